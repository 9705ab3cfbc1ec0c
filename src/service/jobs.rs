//! Long work: it is asked for, goes on in steps while others' requests are answered, and is looked
//! at meanwhile. Each step is one commit, of what it does and of how far the work is, so that what is
//! interrupted, by a kill too, goes on where it was and does nothing twice. What there is to be done
//! is a [`Work`]; `jobs/steps.rs` does it.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use minicbor::{Decode, Encode};
use uuid::Uuid;

use crate::domain::id::{AccountId, CollectionId, ContactId};
use crate::domain::permission::Permission;
use crate::store::commit::{DefinitionOp, JobOp, Op};
use crate::store::rows::{self, Definition, Id, JobRow, PartRow};

use super::access::Caller;
use super::admin::conflict;
use super::refusal::{Refusal, Stop};
use super::{Answer, Service};

mod run;
mod steps;

#[cfg(test)]
mod tests;

pub use crate::store::rows::JobState;
pub(super) use steps::StepDone;

crate::hidden!(JobView, Work);

/// What is to be done with contacts, as it is kept with the job: a kind keeps its number, and its fields
/// theirs.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Work {
    /// They go into the trash.
    #[n(0)]
    Delete,
    /// They are changed by a merge patch (RFC 7396) of what is shown of them.
    #[n(1)]
    Update {
        /// The patch, as JSON.
        #[cbor(n(0), with = "minicbor::bytes")]
        patch: Vec<u8>,
    },
    /// They go into another book.
    #[n(2)]
    Move {
        /// The book.
        #[n(0)]
        book: CollectionId,
    },
    /// They get categories, and lose others.
    #[n(3)]
    Tag {
        /// Those that they get.
        #[n(0)]
        add: Vec<String>,
        /// Those that they lose.
        #[n(1)]
        remove: Vec<String>,
    },
}

impl Work {
    /// What a contact is counted as with which it went.
    pub(super) fn counted(&self) -> &'static str {
        match self {
            Self::Delete => "deleted",
            Self::Update { .. } => "updated",
            Self::Move { .. } => "moved",
            Self::Tag { .. } => "tagged",
        }
    }
}

/// How many contacts a part of a job's list has.
const PART: usize = 4096;

/// How many jobs of one user may wait or go on at once.
const MOST: usize = 100;

/// How many contacts with which it did not go a job names.
const REFUSED: usize = 200;

/// How long a job that is over can be looked at.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// A job as it is shown.
#[derive(Clone)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// Who asked for it.
    pub by: AccountId,
    /// How far it is.
    pub state: JobState,
    /// With how many contacts it is done.
    pub done: u64,
    /// How many contacts it is about.
    pub total: u64,
    /// What came of it: counters by name.
    pub counts: Vec<(String, u64)>,
    /// The first contacts with which it did not go, and why.
    pub refused: Vec<(ContactId, String)>,
    /// With how many contacts it did not go.
    pub refusals: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it last went on.
    pub updated: Timestamp,
}

/// Wakes whoever works on jobs.
#[derive(Default)]
pub(super) struct Upkeep {
    wanted: tokio::sync::Notify,
}

impl From<JobRow> for JobView {
    fn from(row: JobRow) -> Self {
        Self {
            id: Uuid::from_bytes(row.id.0),
            by: row.by,
            state: row.state,
            done: row.done,
            total: row.total,
            counts: row.counts,
            refused: row.refused,
            refusals: row.refusals,
            error: row.error,
            created: rows::time(row.created),
            updated: rows::time(row.updated),
        }
    }
}

fn is_over(state: JobState) -> bool {
    !matches!(state, JobState::Queued | JobState::Running)
}

/// The id of a part of a job's list.
fn part_id(job: Id, part: u32) -> Id {
    let mut hasher = blake3::Hasher::new_derive_key("cardkeep 2026 part of a job");
    hasher.update(&job.0).update(&part.to_be_bytes());
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    Id(id)
}

impl Service {
    /// Asks for long work with these contacts, each at most once, in this order. Each step looks anew
    /// at what the caller may do; the client's name is told with what it changes.
    pub async fn start_job(
        &self,
        caller: &Caller,
        work: &Work,
        contacts: Vec<ContactId>,
        client: Option<String>,
    ) -> Answer<JobView> {
        let reader = self.store.read().await?;
        let theirs = |job: &&JobRow| job.by == caller.account && !is_over(job.state);
        if reader.jobs().await?.iter().filter(theirs).count() >= MOST {
            return Err(conflict(format!("{MOST} of your jobs wait already; come back when some are done")));
        }
        drop(reader);
        let id = Id(*self.fresh()?.as_bytes());
        let mut seen = HashSet::with_capacity(contacts.len());
        let contacts: Vec<_> = contacts.into_iter().filter(|contact| seen.insert(*contact)).collect();
        let mut ops = Vec::new();
        for (part, some) in (0..).zip(contacts.chunks(PART)) {
            let after = Some(Definition::Part(PartRow { job: id, contacts: some.to_vec() }));
            ops.push(Op::Definition(DefinitionOp { id: part_id(id, part), before: None, after }));
        }
        let now = rows::micros(self.clock.now());
        let mut written = Vec::new();
        // Writing to memory does not fail.
        let _ = minicbor::encode(work, &mut written);
        let row = JobRow {
            id,
            by: caller.account,
            state: JobState::Queued,
            done: 0,
            total: u64::try_from(contacts.len()).unwrap_or(u64::MAX),
            created: now,
            updated: now,
            work: written,
            parts: u32::try_from(ops.len()).unwrap_or(u32::MAX),
            counts: Vec::new(),
            refused: Vec::new(),
            error: None,
            client,
            scopes: caller.scopes.words().map(str::to_owned).collect(),
            refusals: 0,
            foreign: !caller.private,
        };
        ops.push(Op::Job(JobOp { id, before: None, after: Some(row.clone()) }));
        self.commit(Some(caller), Vec::new(), ops).await?;
        self.jobs.wanted.notify_one();
        Ok(row.into())
    }

    /// The caller's jobs; everybody's with `admin`.
    pub async fn jobs(&self, caller: &Caller) -> Answer<Vec<JobView>> {
        let all = caller.permissions.has(Permission::Admin);
        let jobs = self.store.read().await?.jobs().await?;
        Ok(jobs.into_iter().filter(|job| all || job.by == caller.account).map(JobView::from).collect())
    }

    /// One job that the caller may see.
    pub async fn job(&self, caller: &Caller, id: Uuid) -> Answer<JobView> {
        self.job_row(caller, id).await.map(JobView::from)
    }

    async fn job_row(&self, caller: &Caller, id: Uuid) -> Answer<JobRow> {
        let row = self.store.read().await?.job(Id(*id.as_bytes())).await?;
        let seen = |row: &JobRow| row.by == caller.account || caller.permissions.has(Permission::Admin);
        row.filter(seen).ok_or_else(|| Refusal::NotFound.into())
    }

    /// Stops a job between two steps; what it has done stays done.
    pub async fn cancel_job(&self, caller: &Caller, id: Uuid) -> Answer<()> {
        loop {
            let row = self.job_row(caller, id).await?;
            match row.state {
                JobState::Cancelled => return Ok(()),
                JobState::Done | JobState::Failed => return Err(conflict("the job is over".into())),
                JobState::Queued | JobState::Running => {}
            }
            let before = Some((row.state, row.done));
            let updated = rows::micros(self.clock.now());
            let after = Some(JobRow { state: JobState::Cancelled, updated, ..row.clone() });
            let op = Op::Job(JobOp { id: row.id, before, after });
            match self.commit(Some(caller), Vec::new(), vec![op]).await {
                // It went on meanwhile.
                Err(Stop::Refused(Refusal::NotFound)) => {}
                done => return done.map(drop),
            }
        }
    }
}
