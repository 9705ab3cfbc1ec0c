//! REPORT: one table of the reports and where each runs; the body's root element chooses (REP-1,
//! REP-2). RFC 3253 §3.6.

mod expand;
mod free_busy;
mod multiget;
mod principals;
mod query;
mod sync;

use http::StatusCode;

use super::refuse::{Condition, Trouble};
use super::target::{Kind, Kinds};
use super::xml::read::{Element, parse};
use super::xml::request;
use super::{Exchange, Outcome};

/// A report.
struct Row {
    /// Its name as `supported-report-set` lists it.
    tag: &'static str,
    /// Where it runs.
    kinds: Kinds,
    report: Report,
}

#[derive(Debug, Clone, Copy)]
enum Report {
    Multiget,
    Query,
    CalendarQuery,
    FreeBusy,
    Sync,
    Expand,
    PrincipalSearch,
    PrincipalSearchSet,
    PrincipalMatch,
}

/// What the CardDAV reports run on (CARD-22, CARD-23).
const CONTACTS: Kinds = Kinds::of(&[Kind::Home, Kind::Book, Kind::Card]);
/// What the CalDAV reports run on (CAL-18, CAL-19).
const OBJECTS: Kinds = Kinds::of(&[Kind::CalendarHome, Kind::Calendar, Kind::Event]);
/// What has a change log (SYNC-1).
const SYNCED: Kinds = Kinds::of(&[Kind::Home, Kind::Book, Kind::CalendarHome, Kind::Calendar]);
/// What has members that are somebody's or principals.
const COLLECTIONS: Kinds = Kinds::except(&[Kind::Principal, Kind::Group, Kind::Card, Kind::Event]);

/// Every report.
static REPORTS: &[Row] = &[
    Row::new("C:addressbook-multiget", CONTACTS, Report::Multiget),
    Row::new("C:addressbook-query", CONTACTS, Report::Query),
    Row::new("CAL:calendar-multiget", OBJECTS, Report::Multiget),
    Row::new("CAL:calendar-query", OBJECTS, Report::CalendarQuery),
    Row::new("CAL:free-busy-query", Kinds::of(&[Kind::CalendarHome, Kind::Calendar]), Report::FreeBusy),
    Row::new("D:sync-collection", SYNCED, Report::Sync),
    Row::new("D:expand-property", Kinds::ALL, Report::Expand),
    Row::new(
        "D:principal-property-search",
        Kinds::except(&[Kind::Card, Kind::Event]),
        Report::PrincipalSearch,
    ),
    Row::new(
        "D:principal-search-property-set",
        Kinds::except(&[Kind::Card, Kind::Event]),
        Report::PrincipalSearchSet,
    ),
    Row::new("D:principal-match", COLLECTIONS, Report::PrincipalMatch),
];

impl Row {
    const fn new(tag: &'static str, kinds: Kinds, report: Report) -> Self {
        Self { tag, kinds, report }
    }

    fn is(&self, root: &Element) -> bool {
        self.tag
            .split_once(':')
            .is_some_and(|(prefix, local)| root.local() == local && root.ns.prefix() == Some(prefix))
    }
}

/// The names of the reports that run on resources of that kind.
pub fn names_on(kind: Kind) -> impl Iterator<Item = &'static str> {
    REPORTS.iter().filter(move |row| row.kinds.hold(kind)).map(|row| row.tag)
}

/// A report's request, read.
enum Asked {
    Multiget(request::Multiget),
    Query(request::Query),
    FreeBusy(request::FreeBusy),
    Sync(request::Sync),
    Expand(Vec<request::Expand>),
    PrincipalSearch(request::PrincipalSearch),
    PrincipalSearchSet,
    PrincipalMatch(request::PrincipalMatch),
}

/// Handles REPORT. A report that is unknown, or does not run here, is 403 (REP-1); no body is 400
/// (REP-7).
pub async fn report(exchange: &Exchange<'_>) -> Outcome {
    let root = parse(&exchange.body)?;
    let kind = exchange.target.kind();
    let row = REPORTS
        .iter()
        .find(|row| row.is(&root) && kind.is_some_and(|kind| row.kinds.hold(kind)))
        .ok_or(Trouble::Condition(StatusCode::FORBIDDEN, Condition::SupportedReport))?;
    let asked = match row.report {
        Report::Multiget => Asked::Multiget(request::multiget(&root)?),
        Report::Query => Asked::Query(request::query(&root)?),
        Report::CalendarQuery => Asked::Query(request::calendar_query(&root)?),
        Report::FreeBusy => Asked::FreeBusy(request::free_busy(&root)?),
        Report::Sync => Asked::Sync(request::sync(&root)?),
        Report::Expand => Asked::Expand(request::expand(&root)?),
        Report::PrincipalSearch => Asked::PrincipalSearch(request::principal_search(&root)?),
        Report::PrincipalSearchSet => Asked::PrincipalSearchSet,
        Report::PrincipalMatch => Asked::PrincipalMatch(request::principal_match(&root)?),
    };
    // The tree can be ten times as large as what was read of it.
    drop(root);
    match asked {
        Asked::Multiget(asked) => multiget::multiget(exchange, asked).await,
        Asked::Query(asked) => query::query(exchange, asked).await,
        Asked::FreeBusy(asked) => free_busy::free_busy(exchange, asked).await,
        Asked::Sync(asked) => sync::sync(exchange, asked).await,
        Asked::Expand(asked) => expand::expand(exchange, asked).await,
        Asked::PrincipalSearch(asked) => principals::search(exchange, asked).await,
        Asked::PrincipalSearchSet => principals::search_set(exchange),
        Asked::PrincipalMatch(asked) => principals::matching(exchange, asked).await,
    }
}
