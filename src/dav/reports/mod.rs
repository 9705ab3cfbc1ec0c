//! REPORT: one table of the reports and where each runs; the body's root element chooses (REP-1,
//! REP-2). RFC 3253 §3.6.

mod expand;
mod multiget;
mod principals;
mod query;
mod sync;

use http::StatusCode;

use super::refuse::{Condition, Trouble};
use super::target::{Kind, Kinds};
use super::xml::read::{Element, parse};
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
    Sync,
    Expand,
    PrincipalSearch,
    PrincipalSearchSet,
    PrincipalMatch,
}

/// What the CardDAV reports run on (CARD-22, CARD-23).
const CONTACTS: Kinds = Kinds::of(&[Kind::Home, Kind::Book, Kind::Card]);
/// What has members that are somebody's or principals.
const COLLECTIONS: Kinds = Kinds::except(&[Kind::Principal, Kind::Card]);

/// Every report.
static REPORTS: &[Row] = &[
    Row::new("C:addressbook-multiget", CONTACTS, Report::Multiget),
    Row::new("C:addressbook-query", CONTACTS, Report::Query),
    Row::new("D:sync-collection", Kinds::of(&[Kind::Home, Kind::Book]), Report::Sync),
    Row::new("D:expand-property", Kinds::ALL, Report::Expand),
    Row::new("D:principal-property-search", Kinds::except(&[Kind::Card]), Report::PrincipalSearch),
    Row::new("D:principal-search-property-set", Kinds::except(&[Kind::Card]), Report::PrincipalSearchSet),
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

/// Handles REPORT. A report that is unknown, or does not run here, is 403 (REP-1); no body is 400
/// (REP-7).
pub async fn report(exchange: &Exchange<'_>) -> Outcome {
    let root = parse(&exchange.body)?;
    let kind = exchange.target.kind();
    let row = REPORTS
        .iter()
        .find(|row| row.is(&root) && kind.is_some_and(|kind| row.kinds.hold(kind)))
        .ok_or(Trouble::Condition(StatusCode::FORBIDDEN, Condition::SupportedReport))?;
    // The tree stays behind: handlers keep what they read of it.
    match row.report {
        Report::Multiget => multiget::multiget(exchange, super::xml::request::multiget(&root)?).await,
        Report::Query => query::query(exchange, super::xml::request::query(&root)?).await,
        Report::Sync => sync::sync(exchange, super::xml::request::sync(&root)?).await,
        Report::Expand => expand::expand(exchange, super::xml::request::expand(&root)?).await,
        Report::PrincipalSearch => {
            principals::search(exchange, super::xml::request::principal_search(&root)?).await
        }
        Report::PrincipalSearchSet => principals::search_set(exchange),
        Report::PrincipalMatch => {
            principals::matching(exchange, super::xml::request::principal_match(&root)?).await
        }
    }
}
