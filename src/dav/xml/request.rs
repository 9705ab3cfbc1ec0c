//! What requests' XML says, as types: PROPFIND, PROPPATCH, MKCOL and the reports. Here is what they
//! have in common: which properties are asked for, and how many results. Says nothing of what is then
//! done. RFC 4918 §14, RFC 6352 §10.

use crate::service::view::PropertyName;

use super::filter::BadFilter;
use super::name::{Ns, property_name};
use super::read::{BadXml, Element};

mod calendar_data;
mod principals;
mod properties;
mod reports;
#[cfg(test)]
mod tests;

pub use calendar_data::CalendarData;
pub use principals::{PrincipalMatch, PrincipalSearch, PropertySearch, principal_match, principal_search};
pub use properties::{Mkcol, mkcalendar, mkcol, propfind, proppatch};
pub use reports::{
    Expand, FreeBusy, Multiget, Query, Question, Sync, calendar_query, expand, free_busy, multiget, query,
    sync,
};

/// How many properties one request may name.
const MAX_NAMES: usize = 1_000;
/// How many bytes the names of those that are asked for may have: an answer repeats them for every
/// resource.
const MAX_NAME_BYTES: usize = 32 << 10;

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
    /// What `CALDAV:calendar-data` says, where it is named.
    pub calendar_data: Option<CalendarData>,
}

impl Asked {
    /// All properties: what an empty PROPFIND asks (DAV-12).
    pub fn all() -> Self {
        Self { which: Which::All, names: Vec::new(), address_data: None, calendar_data: None }
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

/// The one of `allprop`, `propname` and `prop` that is in `parent`.
fn asked(parent: &Element) -> Result<Asked, BadXml> {
    asked_data(parent).map_err(|bad| match bad {
        BadFilter::Xml(bad) => bad,
        _ => BadXml::Unexpected,
    })
}

/// The same; what is wrong with a time range in it is told apart.
fn asked_data(parent: &Element) -> Result<Asked, BadFilter> {
    let mut found = None;
    for element in parent.elements().filter(|e| e.ns == Ns::Dav) {
        let which = match element.local() {
            "allprop" => Which::All,
            "propname" => Which::Names,
            "prop" => Which::These,
            _ => continue,
        };
        if found.replace((which, element)).is_some() {
            return Err(BadXml::Unexpected.into());
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
        calendar_data: list
            .and_then(|list| list.child(&Ns::Cal, "calendar-data"))
            .map(calendar_data::calendar_data)
            .transpose()?,
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
