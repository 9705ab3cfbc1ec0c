//! PROPPATCH: properties that clients write, all or none (DAV-19 to DAV-23). RFC 4918 §9.2.

use http::{Response, StatusCode};

use crate::service::refusal::{Refusal, Stop};
use crate::service::view::{Detail, PropertyChange, PropertyName};

use super::calendar::{self, Wrong};
use super::propfind::Subject;
use super::props;
use super::refuse::Trouble;
use super::target::Kind;
use super::xml::request;
use super::xml::write::{Tag, Writer};
use super::{Exchange, Outcome, full, multistatus};

/// The end of a propstat of properties that clients must not write.
const PROTECTED: &str = "<D:status>HTTP/1.1 403 Forbidden</D:status>\
    <D:error><D:cannot-modify-protected-property/></D:error>";
/// The end of a propstat of those that were not written because others could not be.
const DEPENDENT: &str = "<D:status>HTTP/1.1 424 Failed Dependency</D:status>";
const DONE: &str = "<D:status>HTTP/1.1 200 OK</D:status>";
const FULL: &str = "<D:status>HTTP/1.1 507 Insufficient Storage</D:status>";

/// Handles PROPPATCH.
pub async fn proppatch(exchange: &Exchange<'_>) -> Outcome {
    let changes = request::proppatch(&exchange.body)?;
    let mut names: Vec<PropertyName> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for change in &changes {
        let name = name_of(change);
        if seen.insert(name) {
            names.push(name.clone());
        }
    }
    let (Some(kind), Some(place)) = (exchange.target.kind(), exchange.target.place()) else {
        return Err(Trouble::Status(StatusCode::FORBIDDEN));
    };
    let mut wrong = protected(&names, kind);
    let changes = calendar::settled(kind, changes, year(exchange)).unwrap_or_else(|more| {
        wrong.extend(more);
        Vec::new()
    });
    if !wrong.is_empty() {
        // What is not there has no properties, protected or not.
        Subject::read(exchange, exchange.target, Detail::default(), false).await?;
        return Ok(answer(exchange, &failed(names, &wrong)));
    }
    match exchange.service.patch(exchange.caller, &place, changes, exchange.when(&place)?).await {
        Ok(()) if exchange.prefer.minimal => {
            let mut response = Response::new(full(bytes::Bytes::new()));
            exchange.prefer.applied(response.headers_mut());
            Ok(response)
        }
        Ok(()) => Ok(answer(exchange, &[(names, DONE)])),
        Err(Stop::Refused(Refusal::PropertiesFull)) => Ok(answer(exchange, &[(names, FULL)])),
        Err(stop) => Err(stop.into()),
    }
}

/// Those of the properties that clients must not write there (DAV-21).
pub fn protected<'n>(names: impl IntoIterator<Item = &'n PropertyName>, kind: Kind) -> Wrong {
    let is_protected = |name: &&PropertyName| props::row(name).is_some_and(|row| row.is_protected(kind));
    names.into_iter().filter(is_protected).map(|name| (name.clone(), PROTECTED)).collect()
}

/// A group for each way in which properties are wrong, and one of those that failed with them.
pub fn failed(names: Vec<PropertyName>, wrong: &Wrong) -> Vec<(Vec<PropertyName>, &'static str)> {
    let mut groups: Vec<(Vec<PropertyName>, &'static str)> = Vec::new();
    for name in names {
        let status = wrong.iter().find(|(known, _)| *known == name).map_or(DEPENDENT, |(_, status)| *status);
        match groups.iter_mut().find(|(_, known)| *known == status) {
            Some((group, _)) => group.push(name),
            None => groups.push((vec![name], status)),
        }
    }
    // What is wrong comes before what is only not done.
    groups.sort_by_key(|(_, status)| *status == DEPENDENT);
    groups
}

/// The year in which the request came.
pub fn year(exchange: &Exchange<'_>) -> i16 {
    exchange.service.now().to_zoned(jiff::tz::TimeZone::UTC).year()
}

fn name_of(change: &PropertyChange) -> &PropertyName {
    match change {
        PropertyChange::Set(property) => &property.name,
        PropertyChange::Remove(name) => name,
    }
}

fn answer(exchange: &Exchange<'_>, groups: &[(Vec<PropertyName>, &str)]) -> Response<super::Body> {
    let mut out = Writer::document("D:multistatus", 512);
    out.raw("<D:response><D:href>");
    out.text(&exchange.front.prefix);
    if let Some(href) = exchange.target.href() {
        out.plain(href);
    }
    out.raw("</D:href>");
    propstats(groups, &mut out);
    out.raw("</D:response></D:multistatus>");
    multistatus(full(out.take()), super::prefer::Prefer::default())
}

/// Writes a propstat for each group that holds something.
pub fn propstats(groups: &[(Vec<PropertyName>, &str)], out: &mut Writer) {
    for (names, status) in groups.iter().filter(|(names, _)| !names.is_empty()) {
        out.raw("<D:propstat><D:prop>");
        for name in names {
            Tag::of(name).empty(out);
        }
        out.raw("</D:prop>");
        out.raw(status);
        out.raw("</D:propstat>");
    }
}
