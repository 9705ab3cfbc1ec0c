//! The bodies of the reports about members and properties: addressbook-multiget, addressbook-query,
//! sync-collection, expand-property. RFC 6352 §10, RFC 6578 §6, RFC 3253 §3.8.

use std::sync::Arc;

use crate::domain::filter::Filter;
use crate::domain::ical::filter::{ComponentCondition, ComponentFilter, Filter as ObjectFilter};
use crate::domain::ical::overlap::Range;
use crate::domain::ical::zone::Zone;
use crate::service::calendars::written_zone;
use crate::service::view::PropertyName;

use super::super::calendar_filter;
use super::super::filter::{BadFilter, filter};
use super::super::name::{Ns, is_ncname};
use super::super::read::{BadXml, Element};
use super::{Asked, Budget, asked, asked_data, limit};

/// `CARDDAV:addressbook-multiget`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiget {
    /// What is asked of each card.
    pub asked: Asked,
    /// The cards, as the client wrote them.
    pub hrefs: Vec<String>,
}

/// `CARDDAV:addressbook-query` or `CALDAV:calendar-query`.
#[derive(Clone)]
pub struct Query {
    /// What is asked of each card or object.
    pub asked: Asked,
    /// Which.
    pub question: Question,
    /// How many at most.
    pub limit: Option<usize>,
}

/// Which members are asked for.
#[derive(Clone)]
pub enum Question {
    /// Cards of address books.
    Cards(Filter),
    /// Objects of calendars, with the zone that floating times are read in.
    Objects(Arc<ObjectFilter>, Option<Zone>),
}

/// `CALDAV:free-busy-query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeBusy {
    /// When.
    pub range: Range,
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
        question: Question::Cards(match root.child(&Ns::Card, "filter") {
            Some(element) => filter(element)?,
            None => Filter::default(),
        }),
        limit: limit(root, &Ns::Card)?,
    })
}

/// `CALDAV:calendar-query` (RFC 4791 §9.5); without a filter it asks for every object.
pub fn calendar_query(root: &Element) -> Result<Query, BadFilter> {
    let filter = match root.child(&Ns::Cal, "filter") {
        Some(element) => calendar_filter::filter(element)?,
        None => every_object(),
    };
    Ok(Query {
        asked: asked_data(root)?,
        question: Question::Objects(Arc::new(filter), zone(root)?),
        limit: limit(root, &Ns::Cal)?,
    })
}

fn every_object() -> ObjectFilter {
    let condition =
        ComponentCondition::Defined { range: None, properties: Vec::new(), components: Vec::new() };
    ObjectFilter(ComponentFilter { name: "VCALENDAR".to_owned(), condition })
}

/// The request's `timezone` or `timezone-id` (CAL-20, TZ-6).
fn zone(root: &Element) -> Result<Option<Zone>, BadFilter> {
    if let Some(written) = root.child(&Ns::Cal, "timezone") {
        return written_zone(&written.text()).map(Some).ok_or(BadFilter::Timezone);
    }
    match root.child(&Ns::Cal, "timezone-id") {
        None => Ok(None),
        Some(named) => Zone::named(&named.text()).map(Some).ok_or(BadFilter::UnknownTimezone),
    }
}

/// `CALDAV:free-busy-query` (RFC 4791 §9.11).
pub fn free_busy(root: &Element) -> Result<FreeBusy, BadFilter> {
    let range = root.child(&Ns::Cal, "time-range").ok_or(BadXml::Unexpected)?;
    let range = calendar_filter::time_range(range)?;
    match (range.start, range.end) {
        (Some(_), Some(_)) => Ok(FreeBusy { range }),
        _ => Err(BadXml::Unexpected.into()),
    }
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
