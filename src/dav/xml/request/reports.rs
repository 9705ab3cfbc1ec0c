//! The bodies of the reports about members and properties: addressbook-multiget, addressbook-query,
//! sync-collection, expand-property. RFC 6352 §10, RFC 6578 §6, RFC 3253 §3.8.

use crate::domain::filter::Filter;
use crate::service::view::PropertyName;

use super::super::filter::{BadFilter, filter};
use super::super::name::{Ns, is_ncname};
use super::super::read::{BadXml, Element};
use super::{Asked, Budget, asked, limit};

/// `CARDDAV:addressbook-multiget`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiget {
    /// What is asked of each card.
    pub asked: Asked,
    /// The cards, as the client wrote them.
    pub hrefs: Vec<String>,
}

/// `CARDDAV:addressbook-query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What is asked of each card.
    pub asked: Asked,
    /// Which cards.
    pub filter: Filter,
    /// How many at most.
    pub limit: Option<usize>,
}

/// `DAV:sync-collection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// What is asked of each member.
    pub asked: Asked,
    /// The token; `None` for an initial sync (SYNC-6).
    pub token: Option<String>,
    /// Whether members of members are asked for.
    pub infinite: bool,
    /// How many members at most.
    pub limit: Option<usize>,
}

/// One `DAV:property` of `DAV:expand-property`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expand {
    /// The property.
    pub name: PropertyName,
    /// What is asked of the resources that it points at.
    pub inner: Vec<Expand>,
}

/// `CARDDAV:addressbook-multiget` (RFC 6352 §8.7).
pub fn multiget(root: &Element) -> Result<Multiget, BadXml> {
    let hrefs: Vec<String> = root
        .elements()
        .filter(|e| e.is(&Ns::Dav, "href"))
        .map(|e| e.text().trim_ascii().to_owned())
        .collect();
    match hrefs.is_empty() {
        true => Err(BadXml::Unexpected),
        false => Ok(Multiget { asked: asked(root)?, hrefs }),
    }
}

/// `CARDDAV:addressbook-query` (RFC 6352 §8.6); without a filter it asks for every card (CARD-37).
pub fn query(root: &Element) -> Result<Query, BadFilter> {
    Ok(Query {
        asked: asked(root)?,
        filter: match root.child(&Ns::Card, "filter") {
            Some(element) => filter(element)?,
            None => Filter::default(),
        },
        limit: limit(root, &Ns::Card)?,
    })
}

/// `DAV:sync-collection` (RFC 6578 §6.1), in any order (SYNC-5).
pub fn sync(root: &Element) -> Result<Sync, BadXml> {
    let token = root
        .child(&Ns::Dav, "sync-token")
        .map(|e| e.text().trim_ascii().to_owned())
        .filter(|token| !token.is_empty());
    let level = root.child(&Ns::Dav, "sync-level").map(Element::text);
    let infinite = match level.as_deref().map(str::trim_ascii) {
        // eM Client and Nextcloud's federation leave it out (D2).
        None | Some("1") => false,
        Some("infinite" | "infinity") => true,
        Some(_) => return Err(BadXml::Unexpected),
    };
    Ok(Sync { asked: asked(root)?, token, infinite, limit: limit(root, &Ns::Dav)? })
}

/// `DAV:expand-property` (RFC 3253 §3.8).
pub fn expand(root: &Element) -> Result<Vec<Expand>, BadXml> {
    expanded(root, &mut Budget::default())
}

fn expanded(parent: &Element, budget: &mut Budget) -> Result<Vec<Expand>, BadXml> {
    parent
        .elements()
        .filter(|e| e.is(&Ns::Dav, "property"))
        .map(|element| {
            let local = element.attribute("name").filter(|name| is_ncname(name));
            let name = PropertyName {
                namespace: element.attribute("namespace").unwrap_or("DAV:").to_owned(),
                local: local.ok_or(BadXml::Unexpected)?.to_owned(),
            };
            budget.spend(&name)?;
            Ok(Expand { name, inner: expanded(element, budget)? })
        })
        .collect()
}
