//! What is told of the directory: to monitoring and the API in counts, to the admin who asked on the
//! command line with names.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

crate::hidden!(SyncReport, Refused);

/// How the directory is followed. Names nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryStatus {
    /// Where it is.
    pub place: String,
    /// When it was last followed to the end.
    pub last_success: Option<Timestamp>,
    /// When that last failed.
    pub last_failure: Option<Timestamp>,
    /// Why it failed, unless it succeeded since.
    pub failure: Option<String>,
    /// When it is followed next.
    pub next: Option<Timestamp>,
    /// How often it was followed to the end since the start.
    pub successes: u64,
    /// How often it could not be since the start.
    pub failures: u64,
    /// How many people of it have an account and may sign in.
    pub people: usize,
    /// How many groups of it there are here.
    pub groups: usize,
    /// How many of its entries could not be taken.
    pub refused: usize,
    /// How many of its entries were passed over.
    pub passed_over: usize,
    /// What it would be good to look at.
    pub warnings: Vec<String>,
    /// So many users or groups would leave that nothing was done; `--accept-leavers` does it.
    pub pending_leavers: Option<usize>,
    /// The staff's book can be searched only.
    pub search_only: bool,
}

/// What became, or in a dry run would become, of a reading of the directory. Names users: for the
/// admin who asked for it, never for a log.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// So many users or groups would leave that nothing was written.
    pub pending_leavers: Option<usize>,
    /// Users that are new.
    pub came: Vec<String>,
    /// Users that came back.
    pub back: Vec<String>,
    /// Users that went.
    pub went: Vec<String>,
    /// Users and groups that are called otherwise: before, now.
    pub renamed: Vec<(String, String)>,
    /// How many users changed otherwise.
    pub changed: usize,
    /// Groups that are new.
    pub groups_came: Vec<String>,
    /// Groups that went.
    pub groups_went: Vec<String>,
    /// Entries that could not be taken.
    pub refused: Vec<Refused>,
    /// How many entries were passed over.
    pub passed_over: usize,
    /// Cards of the staff's book that were written.
    pub cards_written: usize,
    /// Cards that were removed from it.
    pub cards_removed: usize,
    /// What it would be good to look at.
    pub warnings: Vec<String>,
}

/// An entry that could not be taken.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What the directory calls it.
    pub name: String,
    /// Why.
    pub why: String,
}
