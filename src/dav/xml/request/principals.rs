//! The bodies of the reports that look for principals: principal-property-search, principal-match.
//! RFC 3744 §9.3 and §9.4.

use crate::domain::filter::MatchKind;
use crate::service::view::PropertyName;

use super::super::name::{Ns, property_name};
use super::super::read::{BadXml, Element};
use super::{Asked, asked, limit, names};

/// How many searches one report makes, and in how many properties all of them together look: each is
/// compared with every principal that the asker may know of.
const MAX_SEARCHES: usize = 50;
const MAX_SEARCHED: usize = 200;

/// `DAV:principal-property-search`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalSearch {
    /// What is asked of each principal.
    pub asked: Asked,
    /// Whether one search suffices (`test="anyof"`).
    pub any: bool,
    /// The searches.
    pub searches: Vec<PropertySearch>,
    /// Whether the whole principal collection set is searched.
    pub everywhere: bool,
    /// How many principals at most.
    pub limit: Option<usize>,
}

/// One `DAV:property-search`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertySearch {
    /// In which properties.
    pub names: Vec<PropertyName>,
    /// For which text.
    pub text: String,
    /// Where in the property's text.
    pub kind: MatchKind,
}

/// `DAV:principal-match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalMatch {
    /// What is asked of each resource found.
    pub asked: Asked,
    /// The property that must point at the asker; `None` for `self`.
    pub property: Option<PropertyName>,
}

/// `DAV:principal-property-search` (RFC 3744 §9.4), with calendarserver.org's `test` and
/// `match-type` (ACL-20).
pub fn principal_search(root: &Element) -> Result<PrincipalSearch, BadXml> {
    let mut searches = Vec::new();
    for search in root.elements().filter(|e| e.is(&Ns::Dav, "property-search")) {
        let prop = search.child(&Ns::Dav, "prop").ok_or(BadXml::Unexpected)?;
        let text = search.child(&Ns::Dav, "match").ok_or(BadXml::Unexpected)?;
        searches.push(PropertySearch {
            names: names(prop)?,
            text: text.text().into_owned(),
            kind: match text.attribute("match-type") {
                Some("equals" | "is") => MatchKind::Equals,
                Some("starts-with") => MatchKind::StartsWith,
                Some("ends-with") => MatchKind::EndsWith,
                _ => MatchKind::Contains,
            },
        });
    }
    let searched: usize = searches.iter().map(|search| search.names.len()).sum();
    match searches.is_empty() || searches.len() > MAX_SEARCHES || searched > MAX_SEARCHED {
        true => Err(BadXml::Unexpected),
        false => Ok(PrincipalSearch {
            asked: asked(root)?,
            any: root.attribute("test") == Some("anyof"),
            searches,
            everywhere: root.child(&Ns::Dav, "apply-to-principal-collection-set").is_some(),
            limit: limit(root, &Ns::Dav)?,
        }),
    }
}

/// `DAV:principal-match` (RFC 3744 §9.3).
pub fn principal_match(root: &Element) -> Result<PrincipalMatch, BadXml> {
    let property = match root.child(&Ns::Dav, "principal-property") {
        Some(element) => {
            let inner = element.elements().next().ok_or(BadXml::Unexpected)?;
            Some(property_name(&inner.ns, inner.local()))
        }
        None if root.child(&Ns::Dav, "self").is_some() => None,
        None => return Err(BadXml::Unexpected),
    };
    Ok(PrincipalMatch { asked: asked(root)?, property })
}
