//! `/ldap`: how the directory of users is followed, and having it followed now.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::directory::{DirectoryStatus, Mode, SyncReport};

use super::body::{Fields, Read};
use super::reply::Reply;
use super::{Ask, Outcome};

/// How the directory is followed. Names nobody; counts are since the server's start.
#[derive(Default, Serialize, ToSchema)]
pub struct Directory {
    /// There is one; without one the rest is empty.
    configured: bool,
    /// Where it is: scheme, host and port.
    place: Option<String>,
    /// When it was last followed to the end.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_success: Option<Timestamp>,
    /// When that last failed.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_failure: Option<Timestamp>,
    /// Why it failed, unless it succeeded since.
    failure: Option<String>,
    /// When it is followed next.
    #[schema(value_type = Option<String>, format = DateTime)]
    next: Option<Timestamp>,
    /// How often it was followed to the end.
    successes: u64,
    /// How often it could not be.
    failures: u64,
    /// How many people of it have an account.
    people: usize,
    /// How many groups of it there are here.
    groups: usize,
    /// How many of its entries could not be taken.
    refused: usize,
    /// How many of its entries were passed over.
    passed_over: usize,
    /// What it would be good to look at.
    warnings: Vec<String>,
    /// So many users or groups would leave that nothing was done; `accept_leavers` does it.
    pending_leavers: Option<usize>,
    /// The staff's book is so large that it can be searched only.
    search_only: bool,
}

/// How to follow the directory.
#[derive(ToSchema)]
pub struct Sync {
    /// Only tell what would be done.
    #[schema(value_type = Option<bool>)]
    dry_run: bool,
    /// However many leave, it is meant.
    #[schema(value_type = Option<bool>)]
    accept_leavers: bool,
    /// Read everything, though the directory could tell what has changed.
    #[schema(value_type = Option<bool>)]
    full: bool,
}

/// What became, or in a dry run would become, of what the directory says.
#[derive(Serialize, ToSchema)]
pub struct Synced {
    /// Nothing was written.
    dry_run: bool,
    /// So many users or groups would leave that nothing was written.
    pending_leavers: Option<usize>,
    /// Users that are new.
    came: Vec<String>,
    /// Users that came back.
    back: Vec<String>,
    /// Users that went.
    went: Vec<String>,
    /// Users and groups that are called otherwise.
    renamed: Vec<Renamed>,
    /// How many users changed otherwise.
    changed: usize,
    /// Groups that are new.
    groups_came: Vec<String>,
    /// Groups that went.
    groups_went: Vec<String>,
    /// Entries that could not be taken.
    refused: Vec<RefusedEntry>,
    /// How many entries were passed over.
    passed_over: usize,
    /// Cards of the staff's book that were written.
    cards_written: usize,
    /// Cards that were removed from it.
    cards_removed: usize,
    /// What it would be good to look at.
    warnings: Vec<String>,
}

/// Another name.
#[derive(Serialize, ToSchema)]
pub struct Renamed {
    /// What it was.
    before: String,
    /// What it is.
    now: String,
}

/// An entry that could not be taken.
#[derive(Serialize, ToSchema)]
pub struct RefusedEntry {
    /// What the directory calls it.
    name: String,
    /// Why.
    why: String,
}

impl Read for Sync {
    fn read(fields: &mut Fields) -> Self {
        Self {
            dry_run: fields.switch("dry_run", Some(false)),
            accept_leavers: fields.switch("accept_leavers", Some(false)),
            full: fields.switch("full", Some(false)),
        }
    }
}

impl From<DirectoryStatus> for Directory {
    fn from(status: DirectoryStatus) -> Self {
        Self {
            configured: true,
            place: Some(status.place),
            last_success: status.last_success,
            last_failure: status.last_failure,
            failure: status.failure,
            next: status.next,
            successes: status.successes,
            failures: status.failures,
            people: status.people,
            groups: status.groups,
            refused: status.refused,
            passed_over: status.passed_over,
            warnings: status.warnings,
            pending_leavers: status.pending_leavers,
            search_only: status.search_only,
        }
    }
}

impl From<SyncReport> for Synced {
    fn from(report: SyncReport) -> Self {
        let renamed = report.renamed.into_iter().map(|(before, now)| Renamed { before, now });
        let refused = report.refused.into_iter();
        Self {
            dry_run: report.dry_run,
            pending_leavers: report.pending_leavers,
            came: report.came,
            back: report.back,
            went: report.went,
            renamed: renamed.collect(),
            changed: report.changed,
            groups_came: report.groups_came,
            groups_went: report.groups_went,
            refused: refused.map(|entry| RefusedEntry { name: entry.name, why: entry.why }).collect(),
            passed_over: report.passed_over,
            cards_written: report.cards_written,
            cards_removed: report.cards_removed,
            warnings: report.warnings,
        }
    }
}

/// `GET /ldap/status`
pub async fn status(ask: &Ask) -> Outcome {
    let status = ask.service.directory_status().map(Directory::from).unwrap_or_default();
    Ok(Reply::resource(&status)?)
}

/// `POST /ldap/sync`
pub async fn sync(ask: &Ask) -> Outcome {
    let Sync { dry_run, accept_leavers, full } = ask.body()?;
    let report = ask.service.directory_sync(Mode { dry_run, accept_leavers, full }).await?;
    Ok(Reply::json(&Synced::from(report))?)
}
