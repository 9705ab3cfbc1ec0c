//! Working on jobs: all that wait take turns, a step each. A step that cannot be done because something
//! moved is done in smaller ones, down to a single contact, with which it then did not go.

use std::time::Duration;

use crate::domain::id::ContactId;
use crate::domain::permission::Permissions;
use crate::service::access::Caller;
use crate::service::audit;
use crate::service::refusal::{Refusal, Stop};
use crate::service::{Answer, Service, refusal, stop};
use crate::store::commit::{Commit, CommitError, DefinitionOp, JobOp, Op};
use crate::store::rows::{self, Definition, Id, JobRow, JobState};

use super::{KEPT, PART, REFUSED, Work, is_over, part_id, steps::StepDone};

/// How many contacts are done in one commit, and in how many where that was refused.
const STEPS: [usize; 3] = [64, 8, 1];

/// How long it rests without work, and after a failure.
const REST: Duration = Duration::from_secs(3600);
const AGAIN: Duration = Duration::from_secs(10);

impl Service {
    /// Works on jobs, those that were interrupted too, and forgets those that are long over; runs until
    /// dropped.
    pub async fn run_jobs(&self) {
        loop {
            let rest = match self.work_on_jobs().await {
                Ok(()) => REST,
                Err(stop) => {
                    tracing::error!(%stop, "a job cannot go on yet");
                    AGAIN
                }
            };
            tokio::select! {
                () = self.jobs.wanted.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Works until no job waits.
    pub(in crate::service) async fn work_on_jobs(&self) -> Answer<()> {
        self.forget_jobs().await?;
        loop {
            let mut waiting = self.store.read().await?.jobs().await?;
            waiting.retain(|job| !is_over(job.state));
            if waiting.is_empty() {
                return Ok(());
            }
            waiting.sort_by_key(|job| (job.created, job.id.0));
            let mut failed = None;
            for job in waiting {
                // One that has to wait is not in the others' way.
                if let Err(stop) = self.job_goes_on(job).await {
                    failed = Some(stop);
                }
                // Requests come first on a small machine.
                tokio::task::yield_now().await;
            }
            if let Some(stop) = failed {
                return Err(stop);
            }
        }
    }

    /// One step of a job. One of which a defect or damage is in the way ends there.
    async fn job_goes_on(&self, job: JobRow) -> Answer<()> {
        match self.job_step(&job).await {
            Err(Stop::Failed(fault)) => {
                tracing::error!(%fault, "a job failed");
                self.job_ends(&job, "the server failed; its log says more").await
            }
            done => done,
        }
    }

    async fn job_step(&self, job: &JobRow) -> Answer<()> {
        let Ok(work) = minicbor::decode::<Work>(&job.work) else {
            return self.job_ends(job, "this version of the server does not know such work").await;
        };
        let scopes = Permissions::of(job.scopes.iter().map(String::as_str));
        let Some(caller) = self.acting_for(job.by, scopes, job.foreign).await? else {
            return self.job_ends(job, "who asked for it may not sign in any more").await;
        };
        let next = self.next_of(job).await?;
        for most in STEPS {
            let some = next.get(..most).unwrap_or(&next);
            // What links change is decided and written before anybody else's.
            let _links = self.links.lock().await;
            let done = self.step(&caller, &work, some).await?;
            if self.step_committed(&caller, job, some.len(), done).await? {
                return Ok(());
            }
            let now = self.store.read().await?.job(job.id).await?;
            if now.is_none_or(|now| (now.state, now.done) != (job.state, job.done)) {
                // Somebody stopped it, or took it further.
                return Ok(());
            }
        }
        let stuck = next.first().map(|contact| (*contact, "it was changed again and again".to_owned()));
        let done = StepDone { refused: stuck.into_iter().collect(), ..StepDone::default() };
        self.step_committed(&caller, job, 1.min(next.len()), done).await.map(drop)
    }

    /// The contacts that are to be done next.
    async fn next_of(&self, job: &JobRow) -> Answer<Vec<ContactId>> {
        let done = usize::try_from(job.done).unwrap_or(usize::MAX);
        let part = u32::try_from(done / PART).unwrap_or(u32::MAX);
        if job.done >= job.total || part >= job.parts {
            return Ok(Vec::new());
        }
        let reader = self.store.read().await?;
        let found = reader.definition(Definition::PART, part_id(job.id, part)).await?;
        let Some(Definition::Part(part)) = found else { return Ok(Vec::new()) };
        let [first, ..] = STEPS;
        Ok(part.contacts.into_iter().skip(done % PART).take(first).collect())
    }

    /// Commits what a step does together with how far the job is then; false where something moved.
    async fn step_committed(
        &self,
        caller: &Caller,
        job: &JobRow,
        count: usize,
        step: StepDone,
    ) -> Answer<bool> {
        let now = self.clock.now();
        let mut after = JobRow { updated: rows::micros(now), ..job.clone() };
        after.done += u64::try_from(count).unwrap_or(0);
        for (name, more) in step.counts {
            match after.counts.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += more,
                None => after.counts.push((name.to_owned(), more)),
            }
        }
        after.refusals += u64::try_from(step.refused.len()).unwrap_or(0);
        let room = REFUSED.saturating_sub(after.refused.len());
        after.refused.extend(step.refused.into_iter().take(room));
        // A list that ends too early is one of which a part was lost.
        after.state = match (after.done >= after.total, count) {
            (true, _) => JobState::Done,
            (false, 0) => JobState::Failed,
            (false, _) => JobState::Running,
        };
        if after.state == JobState::Failed {
            after.error = Some("what it was about is lost".into());
        }
        let mut ops = step.ops;
        let events = audit::told::told(Some(caller.account), now, &ops);
        ops.push(Op::Job(JobOp { id: job.id, before: Some((job.state, job.done)), after: Some(after) }));
        self.unlink_erased(&step.expect, &ops).await?;
        let client = job.client.clone();
        let commit = Commit { events, client, ..Commit::new(Some(caller.account), now, step.expect, ops) };
        match self.store.commit(&commit).await {
            Ok(_) => Ok(true),
            Err(CommitError::Store(error)) => Err(stop(error)),
            Err(CommitError::Unmet(unmet)) => match refusal(unmet) {
                Refusal::Busy { retry_after } => Err(Refusal::Busy { retry_after }.into()),
                _ => Ok(false),
            },
        }
    }

    /// Ends a job that cannot go on.
    async fn job_ends(&self, job: &JobRow, why: &str) -> Answer<()> {
        let updated = rows::micros(self.clock.now());
        let error = Some(why.to_owned());
        let after = Some(JobRow { state: JobState::Failed, error, updated, ..job.clone() });
        let op = Op::Job(JobOp { id: job.id, before: Some((job.state, job.done)), after });
        match self.commit(None, Vec::new(), vec![op]).await {
            Err(Stop::Refused(Refusal::NotFound)) => Ok(()),
            done => done.map(drop),
        }
    }

    /// Forgets jobs that have been over for long, with the lists of what they were about.
    pub(super) async fn forget_jobs(&self) -> Answer<()> {
        let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
        let since = rows::micros(self.clock.now()).saturating_sub(kept);
        let jobs = self.store.read().await?.jobs().await?;
        for job in jobs.into_iter().filter(|job| is_over(job.state) && job.updated < since) {
            let mut ops = Vec::new();
            for part in 0..job.parts {
                let id: Id = part_id(job.id, part);
                let before = self.store.read().await?.definition(Definition::PART, id).await?;
                if before.is_some() {
                    ops.push(Op::Definition(DefinitionOp { id, before, after: None }));
                }
            }
            ops.push(Op::Job(JobOp { id: job.id, before: Some((job.state, job.done)), after: None }));
            match self.commit(None, Vec::new(), ops).await {
                Err(Stop::Refused(Refusal::NotFound)) => {}
                done => drop(done?),
            }
        }
        Ok(())
    }
}
