//! The engine that tests and models run on: an ordered map in memory, lost when dropped. It keeps
//! versions of each row, so that a snapshot is a fixed view and neither a snapshot nor a commit
//! costs more than the rows it touches. It knows nothing of what the rows mean.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::plan::{Plan, View, plan};
use super::{Batch, Engine, EngineError, Extent, KeyRange, Outcome, Pending, Snapshot, Visit};

/// How many rows a scan copies out under the lock before it visits them.
const SCAN_CHUNK: usize = 256;

/// An ordered map in memory.
#[derive(Default)]
pub struct MemoryEngine {
    rows: Arc<Mutex<Rows>>,
}

impl MemoryEngine {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Engine for MemoryEngine {
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        Box::pin(async {
            let mut rows = lock(&self.rows);
            rows.open()?;
            let version = rows.version;
            *rows.watched.entry(version).or_default() += 1;
            let rows = Arc::clone(&self.rows);
            Ok(Box::new(MemorySnapshot { rows, version }) as Box<dyn Snapshot>)
        })
    }

    fn commit(&self, batch: Batch) -> Pending<'_, Outcome> {
        Box::pin(async { lock(&self.rows).commit(batch) })
    }

    fn verify(&self) -> Pending<'_, bool> {
        Box::pin(async {
            lock(&self.rows).open()?;
            Ok(true)
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let mut rows = lock(&self.rows);
            rows.open()?;
            rows.closed = true;
            Ok(())
        })
    }
}

/// Every row with the versions of it that somebody may still look at.
#[derive(Default)]
struct Rows {
    map: BTreeMap<Bytes, Versions>,
    /// The number of the newest commit.
    version: u64,
    /// Versions that living snapshots look at, and how many do.
    watched: BTreeMap<u64, usize>,
    /// Removed rows whose older versions were still watched when they were removed.
    removed: Vec<Bytes>,
    closed: bool,
}

impl Rows {
    fn open(&self) -> Result<(), EngineError> {
        if self.closed {
            return Err(EngineError::Closed);
        }
        Ok(())
    }

    fn commit(&mut self, batch: Batch) -> Result<Outcome, EngineError> {
        self.open()?;
        let mut changes = match plan(batch, &*self)? {
            Plan::Moved => return Ok(Outcome::Moved),
            Plan::Refused(error) => return Err(error),
            Plan::Apply(changes) => changes,
        };
        self.version += 1;
        let oldest = self.watched.keys().next().copied().unwrap_or(self.version);
        for (key, value) in std::mem::take(&mut changes.rows) {
            let key = Bytes::from(key);
            if value.is_none() {
                self.removed.push(key.clone());
            }
            let versions = self.map.entry(key).or_default();
            versions.push(self.version, value.map(Bytes::from));
            versions.forget_before(oldest);
        }
        if self.watched.is_empty() {
            for key in std::mem::take(&mut self.removed) {
                if self.map.get(&key).is_some_and(|row| row.newest().is_none()) {
                    self.map.remove(&key);
                }
            }
        }
        Ok(changes.outcome())
    }
}

impl View for Rows {
    type Error = EngineError;

    fn look<T>(&self, key: &[u8], at: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, EngineError> {
        let value = self.map.get(key).and_then(Versions::newest);
        Ok(at(value.map(Bytes::as_ref)))
    }
}

/// One row's values, oldest first, each with the commit that set it.
#[derive(Default)]
struct Versions(Vec<(u64, Option<Bytes>)>);

impl Versions {
    fn newest(&self) -> Option<&Bytes> {
        self.0.last().and_then(|(_, value)| value.as_ref())
    }

    fn at(&self, version: u64) -> Option<&Bytes> {
        let mut newest_first = self.0.iter().rev();
        let (_, value) = newest_first.find(|(set, _)| *set <= version)?;
        value.as_ref()
    }

    fn push(&mut self, version: u64, value: Option<Bytes>) {
        match self.0.last_mut() {
            Some((set, newest)) if *set == version => *newest = value,
            _ => self.0.push((version, value)),
        }
    }

    /// Drops what no snapshot at `oldest` or later can see.
    fn forget_before(&mut self, oldest: u64) {
        let seen = self.0.iter().rposition(|(set, _)| *set <= oldest);
        if let Some(seen) = seen {
            self.0.drain(..seen);
        }
    }
}

/// The map as of one commit.
struct MemorySnapshot {
    rows: Arc<Mutex<Rows>>,
    version: u64,
}

impl MemorySnapshot {
    /// The next rows of a range, copied out so that the lock is not held while they are visited.
    fn chunk(&self, from: Bound<&[u8]>, end: &[u8]) -> (Vec<(Bytes, Bytes)>, Option<Bytes>) {
        let rows = lock(&self.rows);
        let mut found = Vec::new();
        let mut last = None;
        let range = rows.map.range::<[u8], _>((from, Bound::Excluded(end)));
        for (key, versions) in range.take(SCAN_CHUNK) {
            last = Some(key.clone());
            if let Some(value) = versions.at(self.version) {
                found.push((key.clone(), value.clone()));
            }
        }
        (found, last)
    }

    fn walk(&self, range: &KeyRange, mut visit: Visit) {
        if range.start >= range.end {
            return;
        }
        let (mut found, mut last) = self.chunk(Bound::Included(&range.start), &range.end);
        while let Some(after) = last {
            for (key, value) in found {
                if visit(&key, &value).is_break() {
                    return;
                }
            }
            (found, last) = self.chunk(Bound::Excluded(&after), &range.end);
        }
    }
}

impl Snapshot for MemorySnapshot {
    fn get(&self, keys: Vec<Vec<u8>>) -> Pending<'_, Vec<Option<Bytes>>> {
        let rows = lock(&self.rows);
        let value_of = |key: &Vec<u8>| rows.map.get(key.as_slice())?.at(self.version).cloned();
        Box::pin(ready(Ok(keys.iter().map(value_of).collect())))
    }

    fn scan(&self, range: KeyRange, _extent: Extent, visit: Visit) -> Pending<'_, ()> {
        self.walk(&range, visit);
        Box::pin(ready(Ok(())))
    }
}

impl Drop for MemorySnapshot {
    fn drop(&mut self) {
        let mut rows = lock(&self.rows);
        if let Some(count) = rows.watched.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                rows.watched.remove(&self.version);
            }
        }
    }
}

/// A panic under this lock leaves whole rows behind, so a poisoned lock is still good.
fn lock(rows: &Mutex<Rows>) -> MutexGuard<'_, Rows> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}
