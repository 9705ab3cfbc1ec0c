//! The writing thread: takes what has queued up, applies it in one transaction, makes it durable
//! once, answers all (group commit). The commit itself is the batching window; there is no timer.
//! It also opens the store again after an I/O error, for reading alone while the disk takes no
//! writes. It knows nothing of readers' requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ::redb::{Durability, ReadableTable, Table};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::warn;

use super::super::plan::{Changes, Plan, View, plan};
use super::super::{Batch, EngineError, Outcome};
use super::medium::{Medium, Trouble};
use super::room::{Leave, Room};
use super::{Held, Shared, TABLE, digest};

/// At most this many batches share a transaction.
const GROUP_BATCHES: usize = 512;

/// No batch joins a transaction that already writes this much.
const GROUP_BYTES: usize = 16 * 1024 * 1024;

/// After this long without a write, the file is marked so that opening it after a crash needs no
/// check of the whole file (redb's quick repair). A mark costs a commit and the next write undoes
/// it, so a busy store does without.
const IDLE: Duration = Duration::from_secs(5);

/// A store that could not be opened again is tried again after this long, then after twice as long,
/// and so on up to `RETRY_MOST`: opening may mean checking the whole file.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(16);

/// Where only what makes room is written, a batch that removes something may still add this much:
/// what is removed leaves a line in a log.
const SLACK: i64 = 512;

/// What the writer is told.
pub(super) enum Order {
    /// Apply a batch.
    Commit(Job),
    /// A reader met an I/O error: see whether the store must be opened again.
    Revive,
    /// Verify every page of the file.
    Verify(oneshot::Sender<Result<bool, EngineError>>),
}

/// A batch, and whom to tell.
pub(super) struct Job {
    pub(super) batch: Batch,
    /// Roughly how many bytes it writes.
    pub(super) weight: usize,
    pub(super) answer: oneshot::Sender<Result<Outcome, EngineError>>,
    /// Its place in the queue, given back once it is answered.
    pub(super) room: OwnedSemaphorePermit,
}

/// The writing thread's state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    orders: Receiver<Order>,
    medium: Box<dyn Medium>,
    /// Something was written since the file was last marked for quick repair.
    unmarked: bool,
    /// How much room the medium has.
    room: Room,
    /// The medium was full when last written to, though it had said otherwise.
    full: bool,
    /// The store is open for reading alone.
    frozen: bool,
    /// When opening the store again last failed, and how long it is left alone from then on.
    missed: Option<(Instant, Duration)>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        orders: Receiver<Order>,
        medium: Box<dyn Medium>,
        keep_free: u64,
    ) -> Self {
        let room = Room::new(keep_free);
        Self { shared, orders, medium, unmarked: true, room, full: false, frozen: false, missed: None }
    }

    /// Works until the queue is closed and empty, then closes the store.
    pub(super) fn run(mut self) -> Result<(), EngineError> {
        loop {
            let order = if self.unmarked {
                self.orders.recv_timeout(IDLE)
            } else {
                self.orders.recv().map_err(RecvTimeoutError::from)
            };
            match order {
                Ok(Order::Commit(first)) => self.group(first),
                Ok(Order::Revive) => self.examine(),
                Ok(Order::Verify(answer)) => self.verify(answer),
                Err(RecvTimeoutError::Timeout) => self.mark(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        match self.shared.replace(Held::Closed) {
            // redb records at a clean close what a quick opening needs.
            Held::Open(database) => {
                let closed = catch_unwind(AssertUnwindSafe(|| Ok(database.close()?)));
                let closed = closed.unwrap_or_else(|_| Err(Trouble::panicked()));
                closed.map_err(|trouble| trouble.error)
            }
            Held::Away => Err(EngineError::Failed("the store was lost before".into())),
            Held::Closed => Ok(()),
        }
    }

    /// Gathers what else has queued up, applies all of it, answers all of it.
    fn group(&mut self, first: Job) {
        let mut weight = first.weight;
        let (mut batches, mut answers) = (vec![first.batch], vec![(first.answer, first.room)]);
        let mut then = None;
        while batches.len() < GROUP_BATCHES && weight < GROUP_BYTES {
            match self.orders.try_recv() {
                Ok(Order::Commit(job)) => {
                    weight = weight.saturating_add(job.weight);
                    batches.push(job.batch);
                    answers.push((job.answer, job.room));
                }
                // Applying the group finds the same error that the reader met.
                Ok(Order::Revive) => {}
                Ok(Order::Verify(answer)) => {
                    then = Some(answer);
                    break;
                }
                Err(_) => break,
            }
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.apply(batches, weight)));
        match result.unwrap_or_else(|_| Err(Trouble::panicked())) {
            Ok(outcomes) => {
                for ((answer, _room), outcome) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(outcome);
                }
            }
            Err(trouble) => {
                // First, so that whoever was refused can read at once.
                self.recover(&trouble);
                for (answer, _room) in answers {
                    let _ = answer.send(Err(trouble.error.clone()));
                }
            }
        }
        if let Some(answer) = then {
            self.verify(answer);
        }
    }

    /// One transaction for all batches. An error means that none of them was made durable, as far
    /// as anybody knows.
    fn apply(&mut self, batches: Vec<Batch>, weight: usize) -> Result<Outcomes, Trouble> {
        self.ensure_open(weight)?;
        let rows = batches.iter().map(|batch| batch.counters.len() + batch.writes.len()).sum();
        let leave = self.room.leave(self.medium.as_ref(), weight, rows)?;
        if self.full {
            self.medium.try_writing(weight)?;
            self.full = false;
        }
        let mut transaction = self.shared.held().database()?.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut changed = false;
        {
            let mut table = Rows(transaction.open_table(TABLE)?);
            for batch in batches {
                outcomes.push(match plan(batch, &table)? {
                    Plan::Moved => Ok(Outcome::Moved),
                    Plan::Refused(error) => Err(error),
                    Plan::Apply(changes) if leave == Leave::Shrinking && table.grows(&changes)? => {
                        Err(EngineError::Full)
                    }
                    Plan::Apply(mut changes) => {
                        changed = true;
                        table.write(std::mem::take(&mut changes.rows))?;
                        Ok(changes.outcome())
                    }
                });
            }
        }
        if changed {
            self.unmarked = true;
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(outcomes)
    }

    /// Marks the file for a quick opening.
    fn mark(&mut self) {
        // A file that is not marked is only slower to open.
        if self.frozen || self.full || self.room.leave(self.medium.as_ref(), 0, 0).is_err() {
            return;
        }
        self.unmarked = false;
        let marked = catch_unwind(AssertUnwindSafe(|| -> Result<(), Trouble> {
            let held = self.shared.held();
            let mut transaction = held.database()?.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.set_quick_repair(true);
            Ok(transaction.commit()?)
        }));
        if let Err(trouble) = marked.unwrap_or_else(|_| Err(Trouble::panicked())) {
            self.recover(&trouble);
        }
    }

    /// Sees whether redb still takes writes, and opens the store again if not.
    fn examine(&mut self) {
        let tried = catch_unwind(AssertUnwindSafe(|| -> Result<(), Trouble> {
            let held = self.shared.held();
            Ok(held.database()?.begin_write()?.abort()?)
        }));
        if let Err(trouble) = tried.unwrap_or_else(|_| Err(Trouble::panicked())) {
            self.recover(&trouble);
        }
    }

    /// Has redb verify every page, over the file as it lies on the disk, and compares what is found
    /// there with what readers see: where the newest commit's pages are damaged, redb goes back to
    /// the commit before. No commit happens meanwhile.
    fn verify(&mut self, answer: oneshot::Sender<Result<bool, EngineError>>) {
        let verified = catch_unwind(AssertUnwindSafe(|| -> Result<bool, Trouble> {
            let seen = digest(self.shared.held().database()?)?;
            match self.medium.examine() {
                Ok(Some(found)) => Ok(digest(&found)? == seen),
                Ok(None) => Ok(true),
                Err(trouble) => Err(trouble),
            }
        }));
        let verified = match verified {
            Ok(Ok(same)) => Ok(same),
            Ok(Err(Trouble { error: EngineError::Damaged(_) | EngineError::Failed(_), .. })) | Err(_) => {
                Ok(false)
            }
            Ok(Err(trouble)) => Err(trouble.error),
        };
        let _ = answer.send(verified);
    }

    /// After an error: opens the store again when redb will not go on without.
    fn recover(&mut self, trouble: &Trouble) {
        self.full |= matches!(trouble.error, EngineError::Full);
        if trouble.lasts {
            warn!("the store is opened again, after an error: {}", trouble.error);
            self.let_go();
            self.missed = None;
            let _ = self.ensure_open(0);
        }
    }

    /// Closes the file; it must be closed before it is opened.
    fn let_go(&mut self) {
        let lost = self.shared.replace(Held::Away);
        self.frozen = false;
        let _ = catch_unwind(AssertUnwindSafe(|| drop(lost)));
    }

    /// Opens the store again if it is not open for writing; where that fails, for reading alone.
    fn ensure_open(&mut self, weight: usize) -> Result<(), Trouble> {
        let away = matches!(*self.shared.held(), Held::Away);
        if !away && !self.frozen {
            return Ok(());
        }
        if self.missed.is_some_and(|(at, wait)| at.elapsed() < wait) {
            return Err(EngineError::Unavailable("it has failed a moment ago".into()).into());
        }
        if self.frozen {
            // While it fails, nothing is lost by staying as we are.
            if let Err(error) = self.medium.try_writing(weight) {
                self.missed = Some((Instant::now(), RETRY));
                return Err(error.into());
            }
            self.let_go();
        }
        match self.medium.reopen() {
            Ok(database) => {
                self.shared.replace(Held::Open(database));
                self.missed = None;
                Ok(())
            }
            Err(trouble) => {
                let wait = self.missed.map_or(RETRY, |(_, wait)| (wait * 2).min(RETRY_MOST));
                if let Ok(database) = self.medium.open_frozen() {
                    warn!("the store is open for reading alone: {}", trouble.error);
                    self.shared.replace(Held::Open(database));
                    self.frozen = true;
                }
                self.missed = Some((Instant::now(), wait));
                Err(trouble)
            }
        }
    }
}

/// What became of each batch of a group.
type Outcomes = Vec<Result<Outcome, EngineError>>;

/// The table inside the group's transaction.
struct Rows<'a>(Table<'a, &'static [u8], &'static [u8]>);

impl Rows<'_> {
    /// Whether the changes leave more in the table than was there, and than they may.
    fn grows(&self, changes: &Changes) -> Result<bool, Trouble> {
        let wide = |key: &[u8], value: usize| i64::try_from(key.len() + value).unwrap_or(i64::MAX);
        let (mut growth, mut removes) = (0_i64, false);
        for (key, value) in &changes.rows {
            let before = self.look(key, |value| value.map(<[u8]>::len))?;
            removes |= value.is_none() && before.is_some();
            growth = growth
                .saturating_add(value.as_ref().map_or(0, |value| wide(key, value.len())))
                .saturating_sub(before.map_or(0, |before| wide(key, before)));
        }
        let slack = SLACK.max(i64::try_from(changes.may_add).unwrap_or(i64::MAX));
        Ok(growth > if removes { slack } else { 0 })
    }

    fn write(&mut self, rows: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), Trouble> {
        for (key, value) in rows {
            match value {
                Some(value) => drop(self.0.insert(key.as_slice(), value.as_slice())?),
                None => drop(self.0.remove(key.as_slice())?),
            }
        }
        Ok(())
    }
}

impl View for Rows<'_> {
    type Error = Trouble;

    fn look<T>(&self, key: &[u8], at: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, Trouble> {
        let value = self.0.get(key)?;
        Ok(at(value.as_ref().map(|value| value.value())))
    }
}
