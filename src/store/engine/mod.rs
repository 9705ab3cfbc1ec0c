//! What a storage engine is: an ordered, transactional map from byte keys to byte values. It
//! knows no contact and no collection; the typed layer above it knows no engine by name. One
//! contract suite (`contract.rs`) runs over every engine here.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;

use bytes::Bytes;

pub mod memory;
mod plan;
pub mod redb;

#[cfg(test)]
mod contract;

/// A future that an engine hands out, so that a networked engine fits as well as an embedded one.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// What an engine could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The medium has no room for the write; nothing of it was answered as applied.
    #[error("the store has no room left")]
    Full,
    /// Another process holds the store.
    #[error("the store is in use by another process")]
    InUse,
    /// The engine was closed.
    #[error("the store is closed")]
    Closed,
    /// The medium does not do its part, or is just being opened again: trying later may help. A
    /// batch that met this is afterwards wholly there or wholly absent, and nobody knows which. The
    /// text names no personal data.
    #[error("the disk does not do its part: {0}")]
    Unavailable(String),
    /// What the medium holds is not what was written; the text names no personal data.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The engine itself failed (then as for `Unavailable`), or the batch makes no sense (a stamp
    /// that does not fit). The text names no personal data.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What must be true of a key for a batch to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// There is no such key.
    Absent,
    /// The key's value is exactly this.
    Is(Bytes),
}

/// Where a counter's new value goes in a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which of the batch's counters.
    pub counter: usize,
    /// Append it to the key (8 bytes, big-endian).
    pub in_key: bool,
    /// Overwrite 8 bytes of the value, from this offset (big-endian); they must be there.
    pub in_value: Option<usize>,
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the key's value.
    Put {
        /// The key, before a stamp completes it.
        key: Vec<u8>,
        /// The value, before a stamp completes it.
        value: Vec<u8>,
        /// The counter value that completes both.
        stamp: Option<Stamp>,
    },
    /// Removes the key; removing what is not there succeeds.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// A conditional, atomic change: applied as a whole when every guard holds, else not at all.
///
/// Guards see the map as it was before the batch. Then the counters go up, in order (one that is
/// named twice goes up twice), then the writes happen, in order. A counter that can no longer go
/// up, or whose stored value is not 8 bytes long, fails the batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must be true.
    pub guards: Vec<(Vec<u8>, Guard)>,
    /// Counters (8 bytes, big-endian; absent counts as 0) that go up by one; stamps name them.
    pub counters: Vec<Vec<u8>>,
    /// The writes, in order.
    pub writes: Vec<Write>,
    /// How many octets it may add where an engine takes only what makes room: what deletes may keep a
    /// little of what it deletes.
    pub may_add: usize,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Applied and durable; the counters' new values, in the batch's order.
    Applied(Vec<u64>),
    /// A guard did not hold; nothing was applied.
    Moved,
}

/// Keys from `start` (inclusive) to `end` (exclusive); empty when `start` is not before `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that belongs to the range.
    pub start: Vec<u8>,
    /// The first key after the range.
    pub end: Vec<u8>,
}

/// How many rows a scan expects to visit: a few run on the calling thread, many on a thread that
/// may block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// At most some dozens of small rows.
    Few,
    /// Any number.
    Many,
}

/// Called with each key and value of a scan, in key order; `Break` ends the scan.
pub type Visit = Box<dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + Send>;

/// A fixed view of the whole map, as of one commit. Let go of it soon: an engine must keep every
/// row that a living snapshot can see, and may stop answering it once the engine is closed.
pub trait Snapshot: Send + Sync {
    /// The values of the keys, in the order asked.
    fn get(&self, keys: Vec<Vec<u8>>) -> Pending<'_, Vec<Option<Bytes>>>;

    /// Visits the range's rows in key order.
    fn scan(&self, range: KeyRange, extent: Extent, visit: Visit) -> Pending<'_, ()>;
}

/// An ordered, transactional map.
pub trait Engine: Send + Sync {
    /// A view as of the newest commit that was answered before this call, or a newer one.
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>>;

    /// Applies a batch; answers after it is durable. Whoever stops waiting for the answer has not
    /// taken the batch back.
    fn commit(&self, batch: Batch) -> Pending<'_, Outcome>;

    /// Verifies the engine's own structure, by reading all of it; `false` where it is damaged.
    /// Commits may have to wait meanwhile.
    fn verify(&self) -> Pending<'_, bool>;

    /// Finishes what was taken and lets go of the medium; later calls answer `Closed`.
    fn close(&self) -> Pending<'_, ()>;
}
