//! What requests' XML says, as types: PROPFIND, PROPPATCH, MKCOL and the reports. Says nothing of
//! what is then done. RFC 4918 §14, RFC 5689 §5, RFC 6352 §10, RFC 6578 §6, RFC 3744 §9,
//! RFC 3253 §3.8.

use crate::domain::filter::{Filter, MatchKind};
use crate::service::view::{Property, PropertyChange, PropertyName, PropertyValue};

use super::filter::{BadFilter, filter};
use super::name::{Ns, property_name};
use super::read::{BadXml, Element, parse};
use super::value::{language, property};

/// How many properties one request may name.
const MAX_NAMES: usize = 1_000;
/// How many bytes the names of those that are asked for may have: an answer repeats them for every
/// resource.
const MAX_NAME_BYTES: usize = 32 << 10;
/// How many bytes of properties one request may set; far fewer can be stored (DAV-23).
const MAX_VALUE_BYTES: usize = 4 << 20;

/// Which properties are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// `allprop`, and those named by `include`.
    All,
    /// `propname`.
    Names,
    /// `prop`.
    These,
    /// The report does not say.
    Unsaid,
}

/// The properties that a PROPFIND or a report asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which.
    pub which: Which,
    /// Those named, each once, in the order asked.
    pub names: Vec<PropertyName>,
    /// What `CARDDAV:address-data` says, where it is named.
    pub address_data: Option<AddressData>,
}

impl Asked {
    /// All properties: what an empty PROPFIND asks (DAV-12).
    pub fn all() -> Self {
        Self { which: Which::All, names: Vec::new(), address_data: None }
    }
}

/// `CARDDAV:address-data` in a request (RFC 6352 §10.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressData {
    /// `content-type`.
    pub content_type: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// The properties wanted and whether without their values; all where there are none.
    pub properties: Vec<(String, bool)>,
}

/// A MKCOL with a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mkcol {
    /// The resource types asked for, where any are.
    pub resource_type: Option<Vec<PropertyName>>,
    /// The other properties to set.
    pub properties: Vec<Property>,
}

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

/// A PROPFIND's body; an empty one asks for everything (DAV-12).
pub fn propfind(body: &[u8]) -> Result<Asked, BadXml> {
    let root = match parse(body) {
        Err(BadXml::Empty) => return Ok(Asked::all()),
        other => rooted(other?, &Ns::Dav, "propfind")?,
    };
    match asked(&root)? {
        Asked { which: Which::Unsaid, .. } => Err(BadXml::Unexpected),
        asked => Ok(asked),
    }
}

/// A PROPPATCH's steps, in document order (DAV-20).
pub fn proppatch(body: &[u8]) -> Result<Vec<PropertyChange>, BadXml> {
    let root = rooted(parse(body)?, &Ns::Dav, "propertyupdate")?;
    let (mut changes, mut bytes) = (Vec::new(), 0);
    for step in root.elements().filter(|e| e.ns == Ns::Dav) {
        let set = match step.local() {
            "set" => true,
            "remove" => false,
            _ => continue,
        };
        let prop = step.child(&Ns::Dav, "prop").ok_or(BadXml::Unexpected)?;
        let lang = [&root, step, prop].into_iter().rev().find_map(language);
        for element in prop.elements() {
            changes.push(match set {
                true => PropertyChange::Set(setting(element, lang, &mut bytes)?),
                false => PropertyChange::Remove(property_name(&element.ns, element.local())),
            });
            if changes.len() > MAX_NAMES {
                return Err(BadXml::TooLarge);
            }
        }
    }
    match changes.is_empty() {
        true => Err(BadXml::Unexpected),
        false => Ok(changes),
    }
}

/// An extended MKCOL's body (RFC 5689 §5.1).
pub fn mkcol(body: &[u8]) -> Result<Mkcol, BadXml> {
    let root = rooted(parse(body)?, &Ns::Dav, "mkcol")?;
    let (mut mkcol, mut bytes) = (Mkcol::default(), 0);
    for set in root.elements().filter(|e| e.is(&Ns::Dav, "set")) {
        let prop = set.child(&Ns::Dav, "prop").ok_or(BadXml::Unexpected)?;
        let lang = [&root, set, prop].into_iter().rev().find_map(language);
        for element in prop.elements() {
            if element.is(&Ns::Dav, "resourcetype") {
                let types = element.elements().map(|e| property_name(&e.ns, e.local()));
                mkcol.resource_type.get_or_insert_default().extend(types);
            } else {
                mkcol.properties.push(setting(element, lang, &mut bytes)?);
            }
            if mkcol.properties.len() > MAX_NAMES {
                return Err(BadXml::TooLarge);
            }
        }
    }
    Ok(mkcol)
}

/// One property that is set, while all of them stay within bounds: written so that it stands alone,
/// an element can be far larger than it was in the body.
fn setting(element: &Element, lang: Option<&str>, bytes: &mut usize) -> Result<Property, BadXml> {
    let property = property(element, lang);
    *bytes += match &property.value {
        PropertyValue::Text { text, .. } => text.len(),
        PropertyValue::Xml(xml) => xml.len(),
    };
    if *bytes > MAX_VALUE_BYTES { Err(BadXml::TooLarge) } else { Ok(property) }
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
            let local = element.attribute("name").filter(|name| super::name::is_ncname(name));
            let name = PropertyName {
                namespace: element.attribute("namespace").unwrap_or("DAV:").to_owned(),
                local: local.ok_or(BadXml::Unexpected)?.to_owned(),
            };
            budget.spend(&name)?;
            Ok(Expand { name, inner: expanded(element, budget)? })
        })
        .collect()
}

/// What the names that a request asks for may come to (REP-4).
#[derive(Default)]
struct Budget {
    names: usize,
    bytes: usize,
}

impl Budget {
    fn spend(&mut self, name: &PropertyName) -> Result<(), BadXml> {
        self.names += 1;
        self.bytes += name.namespace.len() + name.local.len();
        match self.names > MAX_NAMES || self.bytes > MAX_NAME_BYTES {
            true => Err(BadXml::TooLarge),
            false => Ok(()),
        }
    }
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
    match searches.is_empty() {
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

fn rooted(root: Element, ns: &Ns, local: &str) -> Result<Element, BadXml> {
    match root.is(ns, local) {
        true => Ok(root),
        false => Err(BadXml::Unexpected),
    }
}

/// The one of `allprop`, `propname` and `prop` that is in `parent`.
fn asked(parent: &Element) -> Result<Asked, BadXml> {
    let mut found = None;
    for element in parent.elements().filter(|e| e.ns == Ns::Dav) {
        let which = match element.local() {
            "allprop" => Which::All,
            "propname" => Which::Names,
            "prop" => Which::These,
            _ => continue,
        };
        if found.replace((which, element)).is_some() {
            return Err(BadXml::Unexpected);
        }
    }
    let (which, list) = match found {
        None => (Which::Unsaid, None),
        Some((Which::All, _)) => (Which::All, parent.child(&Ns::Dav, "include")),
        Some((Which::These, element)) => (Which::These, Some(element)),
        Some((which, _)) => (which, None),
    };
    Ok(Asked {
        which,
        names: list.map(names).transpose()?.unwrap_or_default(),
        address_data: list.and_then(|list| list.child(&Ns::Card, "address-data")).map(address_data),
    })
}

/// The names of the elements in `list`, each once.
fn names(list: &Element) -> Result<Vec<PropertyName>, BadXml> {
    let mut names: Vec<PropertyName> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut budget = Budget::default();
    for element in list.elements() {
        if seen.insert((element.ns.uri(), element.local())) {
            let name = property_name(&element.ns, element.local());
            budget.spend(&name)?;
            names.push(name);
        }
    }
    Ok(names)
}

fn address_data(element: &Element) -> AddressData {
    let own = |name| element.attribute(name).map(str::to_owned);
    AddressData {
        content_type: own("content-type"),
        version: own("version"),
        properties: element
            .elements()
            .filter(|e| e.is(&Ns::Card, "prop"))
            .filter_map(|e| {
                let bare = e.attribute("novalue") == Some("yes");
                Some((e.attribute("name")?.to_owned(), bare))
            })
            .take(MAX_NAMES)
            .collect(),
    }
}

/// `limit/nresults`; CardDAV and WebDAV each have their own.
fn limit(root: &Element, ns: &Ns) -> Result<Option<usize>, BadXml> {
    let limit = root.child(ns, "limit").or_else(|| root.child(&Ns::Dav, "limit"));
    let Some(limit) = limit else { return Ok(None) };
    limit
        .elements()
        .find(|e| e.local() == "nresults")
        .and_then(|e| e.text().trim_ascii().parse().ok())
        .map(Some)
        .ok_or(BadXml::Unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(namespace: &str, local: &str) -> PropertyName {
        PropertyName { namespace: namespace.into(), local: local.into() }
    }

    #[test]
    fn propfind_has_its_three_forms() {
        assert_eq!(propfind(b"").unwrap(), Asked::all());
        let body = b"<propfind xmlns='DAV:'><allprop/><include><a/></include></propfind>";
        let all = propfind(body).unwrap();
        assert_eq!((all.which, all.names.len()), (Which::All, 1));
        let body = b"<propfind xmlns='DAV:' xmlns:x='X'><x:unknown/><prop><a/><x:a/><a/></prop></propfind>";
        let some = propfind(body).unwrap();
        assert_eq!(some.names, [name("DAV:", "a"), name("X", "a")]);
        for bad in [
            "<propfind xmlns='DAV:'/>",
            "<propfind/>",
            "<prop xmlns='DAV:'/>",
            "<propfind xmlns='DAV:'><allprop/><propname/></propfind>",
        ] {
            assert_eq!(propfind(bad.as_bytes()), Err(BadXml::Unexpected), "{bad}");
        }
    }

    #[test]
    fn names_that_an_answer_repeats_are_bounded() {
        let many: String = (0..=MAX_NAMES).map(|i| format!("<p{i}/>")).collect();
        let long: String = (0..70).map(|i| format!("<p{i} xmlns='{}'/>", "n".repeat(1_000))).collect();
        for names in [many, long] {
            let body = format!("<propfind xmlns='DAV:'><prop>{names}</prop></propfind>");
            assert_eq!(propfind(body.as_bytes()), Err(BadXml::TooLarge));
        }
        let wide = "<property name='a'><property name='b'/></property>".repeat(MAX_NAMES / 2 + 1);
        let long = format!("<property name='a' namespace='{}'/>", "n".repeat(MAX_NAME_BYTES));
        for names in [wide, long] {
            let root = parse(format!("<e xmlns='DAV:'>{names}</e>").as_bytes()).unwrap();
            assert_eq!(expand(&root), Err(BadXml::TooLarge));
        }
    }

    #[test]
    fn values_that_grow_when_they_stand_alone_are_bounded() {
        let inner = "<x:a/>".repeat(10_000);
        let uri = "n".repeat(1_000);
        let body = format!(
            "<propertyupdate xmlns='DAV:' xmlns:x='{uri}'><set><prop><p>{inner}</p></prop></set></propertyupdate>"
        );
        assert_eq!(proppatch(body.as_bytes()), Err(BadXml::TooLarge));
    }

    #[test]
    fn steps_keep_their_order() {
        let body = b"<propertyupdate xmlns='DAV:'><remove><prop><a/></prop></remove>\
            <set><prop xml:lang='en'><a>1</a><b/></prop></set></propertyupdate>";
        let steps = proppatch(body).unwrap();
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[0], PropertyChange::Remove(name("DAV:", "a")));
        assert!(matches!(&steps[1], PropertyChange::Set(p) if p.name.local == "a"));
        assert_eq!(proppatch(b""), Err(BadXml::Empty));
        assert_eq!(proppatch(b"<propertyupdate xmlns='DAV:'/>"), Err(BadXml::Unexpected));
    }

    #[test]
    fn sync_tolerates_what_clients_leave_out() {
        let read = |xml: &str| sync(&parse(xml.as_bytes()).unwrap());
        let bare = read("<sync-collection xmlns='DAV:'><sync-token/></sync-collection>").unwrap();
        assert_eq!((bare.token, bare.infinite, bare.limit), (None, false, None));
        let full = read(
            "<sync-collection xmlns='DAV:'><limit><nresults> 5 </nresults></limit><prop/>\
             <sync-level>infinite</sync-level><sync-token> t </sync-token></sync-collection>",
        )
        .unwrap();
        assert_eq!(full.token.as_deref(), Some("t"));
        assert!(full.infinite && full.limit == Some(5));
        for bad in [
            "<s xmlns='DAV:'><sync-level>2</sync-level></s>",
            "<s xmlns='DAV:'><limit><nresults>-1</nresults></limit></s>",
            "<s xmlns='DAV:'><limit/></s>",
        ] {
            assert_eq!(read(bad), Err(BadXml::Unexpected), "{bad}");
        }
    }

    #[test]
    fn address_data_is_read_with_its_parts() {
        let xml = "<m xmlns='urn:ietf:params:xml:ns:carddav' xmlns:D='DAV:'><D:prop><D:getetag/>\
            <address-data content-type='text/vcard' version='4.0'><prop name='FN'/>\
            <prop name='NOTE' novalue='yes'/></address-data></D:prop><D:href> /a </D:href></m>";
        let got = multiget(&parse(xml.as_bytes()).unwrap()).unwrap();
        assert_eq!(got.hrefs, ["/a"]);
        assert_eq!(got.asked.names.len(), 2);
        let data = got.asked.address_data.unwrap();
        assert_eq!(data.version.as_deref(), Some("4.0"));
        assert_eq!(data.properties, [("FN".to_owned(), false), ("NOTE".to_owned(), true)]);
    }
}
