//! The embedded engine: one redb file, one table of bytes, one thread that writes (group commit),
//! any number of readers. It knows nothing of what the rows mean.
//!
//! `medium.rs` opens the file and turns redb's errors into ours, `frozen.rs` opens it without
//! writing to it, `room.rs` sees a full disk coming, `writer.rs` is the writing thread, this file
//! is the engine and its snapshots.

use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::thread::JoinHandle;

use ::redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, StorageBackend, TableDefinition,
};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::plan::{check_shape, weight};
use super::{Batch, Engine, EngineError, Extent, KeyRange, Outcome, Pending, Snapshot, Visit};
use medium::{FileMedium, Medium, OnceMedium, Trouble};
use writer::{Job, Order, Writer};

mod frozen;
mod medium;
mod room;
mod writer;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod edge;
#[cfg(test)]
#[path = "../../../../protocol-tests/faulty.rs"]
pub(crate) mod faulty;

/// All rows.
const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// How many batches may wait for the writer; whoever comes later waits for room.
const QUEUE_ROOM: u32 = 4096;

/// A large batch takes the room of one batch for each of these bytes, so that a full queue holds
/// at most 64 MiB (or one batch that is larger).
const ROOM_BYTES: usize = 16 * 1024;

/// Up to this many keys are read on the calling thread; at 2 to 6 µs a key, more would keep the
/// other requests of that thread waiting.
const INLINE_KEYS: usize = 64;

/// An ordered, transactional map in one redb file.
pub struct RedbEngine {
    shared: Arc<Shared>,
    /// The writer's queue; `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Order>>>,
    room: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<Result<(), EngineError>>>>,
}

impl RedbEngine {
    /// Opens the file, creating it (mode 0600) if it is not there; its directory must be. After an
    /// unclean end, redb first checks the whole file. `InUse` when it is open elsewhere.
    ///
    /// Some mebibytes of the disk are kept free: when no more are left, writes answer `Full`, first
    /// those that add and last those that make room, and reads go on. When the medium fails while
    /// the engine runs, the engine lets go of the file and opens it again, as redb demands after an
    /// I/O error; for reading alone when the medium takes no writes, which then answer
    /// `Unavailable`. Both pass by themselves once the medium has recovered.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, EngineError> {
        Self::open_keeping(path, cache_bytes, room::KEEP_FREE)
    }

    /// As `open`, keeping so many bytes of the disk free.
    pub fn open_keeping(path: &Path, cache_bytes: usize, keep_free: u64) -> Result<Self, EngineError> {
        Self::with_medium(Box::new(FileMedium::new(path, cache_bytes)), keep_free)
    }

    /// Opens a store on any backend, for tests of what a failing disk does. Having only this one
    /// backend, the engine cannot open it again: after an I/O error every call fails. A backend on
    /// which the power failed before this call first answered cannot be opened any more (`open`
    /// makes a new file under another name for that reason).
    pub fn with_backend(backend: impl StorageBackend, cache_bytes: usize) -> Result<Self, EngineError> {
        Self::with_medium(Box::new(OnceMedium::new(backend, cache_bytes)), 0)
    }

    fn with_medium(medium: Box<dyn Medium>, keep_free: u64) -> Result<Self, EngineError> {
        let database = medium.open().map_err(|trouble| trouble.error)?;
        let shared =
            Arc::new(Shared { held: RwLock::new(Held::Open(database)), failing: AtomicBool::new(false) });
        let (queue, orders) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&shared), orders, medium, keep_free);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| EngineError::Failed(error.to_string()))?;
        Ok(Self {
            shared,
            queue: Mutex::new(Some(queue)),
            room: Arc::new(Semaphore::new(QUEUE_ROOM as usize)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Puts an order in the writer's queue.
    fn send(&self, order: Order) -> Result<(), EngineError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(EngineError::Closed)?;
        queue.send(order).map_err(|_| writer_stopped())
    }

    fn view(&self) -> Result<RedbSnapshot, EngineError> {
        if self.shared.failing.swap(false, Ordering::Relaxed) {
            self.send(Order::Revive)?;
        }
        let shared = Arc::clone(&self.shared);
        let table = shared.guarded(|| {
            let held = shared.held();
            let transaction = held.database()?.begin_read()?;
            Ok(transaction.open_table(TABLE)?)
        })?;
        let table = Arc::new(table);
        Ok(RedbSnapshot { table, shared })
    }

    /// Stops taking orders and hands back the thread to wait for; `None` when that was done before.
    fn shut(&self) -> Option<JoinHandle<Result<(), EngineError>>> {
        self.room.close();
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Engine for RedbEngine {
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        Box::pin(async { Ok(Box::new(self.view()?) as Box<dyn Snapshot>) })
    }

    fn commit(&self, batch: Batch) -> Pending<'_, Outcome> {
        Box::pin(async move {
            check_shape(&batch)?;
            let weight = weight(&batch);
            let places = u32::try_from(weight / ROOM_BYTES).unwrap_or(QUEUE_ROOM);
            let places = places.saturating_add(1).min(QUEUE_ROOM);
            let room = Arc::clone(&self.room).acquire_many_owned(places).await;
            let room = room.map_err(|_| EngineError::Closed)?;
            let (answer, answered) = oneshot::channel();
            self.send(Order::Commit(Job { batch, weight, answer, room }))?;
            answered.await.unwrap_or_else(|_| Err(writer_stopped()))
        })
    }

    /// Reads every row and checks the order of the keys and their number; then, while commits wait,
    /// has redb verify the checksum of every page on the disk.
    fn verify(&self) -> Pending<'_, bool> {
        Box::pin(async {
            let snapshot = self.view()?;
            match blocking(move || snapshot.walk_all()).await {
                Ok(true) => {}
                Err(EngineError::Failed(_) | EngineError::Damaged(_)) => return Ok(false),
                result => return result,
            }
            let (answer, answered) = oneshot::channel();
            self.send(Order::Verify(answer))?;
            answered.await.unwrap_or_else(|_| Err(writer_stopped()))
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let thread = self.shut().ok_or(EngineError::Closed)?;
            blocking(move || thread.join().unwrap_or_else(|_| Err(writer_stopped()))).await
        })
    }
}

impl Drop for RedbEngine {
    /// Waits for the writer, so that whoever opens the file next finds it closed.
    fn drop(&mut self) {
        if let Some(thread) = self.shut() {
            let _ = thread.join();
        }
    }
}

/// What the readers and the writer share.
struct Shared {
    held: RwLock<Held>,
    /// Set by a reader that met an I/O error: redb refuses everything from then on, until the
    /// file is opened again.
    failing: AtomicBool,
}

impl Shared {
    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a read: keeps a panic inside redb (a damaged page can cause one) to this call, and
    /// notes when the file has to be opened again.
    fn guarded<T>(&self, read: impl FnOnce() -> Result<T, Trouble>) -> Result<T, EngineError> {
        let result = catch_unwind(AssertUnwindSafe(read));
        let trouble = match result.unwrap_or_else(|_| Err(Trouble::panicked())) {
            Ok(value) => return Ok(value),
            Err(trouble) => trouble,
        };
        if trouble.lasts {
            self.failing.store(true, Ordering::Relaxed);
        }
        let closed = || matches!(*self.held(), Held::Closed);
        match trouble.error {
            // redb calls it closed when the writer had to open the file again.
            EngineError::Closed if !closed() => {
                Err(EngineError::Unavailable("reopened since the snapshot".into()))
            }
            // What cannot be read now will hardly be readable later.
            EngineError::Unavailable(text) if trouble.medium => Err(EngineError::Failed(text)),
            error => Err(error),
        }
    }

    /// Puts another state in place and hands back the one before.
    fn replace(&self, held: Held) -> Held {
        let mut place = self.held.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, held)
    }
}

/// Whether there is a database to talk to.
enum Held {
    Open(Database),
    /// It failed and is not open again yet.
    Away,
    Closed,
}

impl Held {
    fn database(&self) -> Result<&Database, Trouble> {
        match self {
            Self::Open(database) => Ok(database),
            Self::Away => Err(Trouble::from(EngineError::Unavailable("being reopened".into()))),
            Self::Closed => Err(Trouble::from(EngineError::Closed)),
        }
    }
}

/// A hash of every row and of their order.
fn digest(database: &Database) -> Result<blake3::Hash, Trouble> {
    let table = database.begin_read()?.open_table(TABLE)?;
    let mut hasher = blake3::Hasher::new();
    for row in table.range::<&[u8]>(..)? {
        let (key, value) = row?;
        for bytes in [key.value(), value.value()] {
            hasher.update(&(bytes.len() as u64).to_be_bytes()).update(bytes);
        }
    }
    Ok(hasher.finalize())
}

/// The map as of one commit; the table keeps its read transaction alive.
#[derive(Clone)]
struct RedbSnapshot {
    table: Arc<ReadOnlyTable<&'static [u8], &'static [u8]>>,
    shared: Arc<Shared>,
}

impl RedbSnapshot {
    fn read(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, EngineError> {
        self.shared.guarded(|| {
            let value_of = |key: &Vec<u8>| -> Result<Option<Bytes>, Trouble> {
                let value = self.table.get(key.as_slice())?;
                Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
            };
            keys.iter().map(value_of).collect()
        })
    }

    fn walk(&self, range: &KeyRange, mut visit: Visit) -> Result<(), EngineError> {
        if range.start >= range.end {
            return Ok(());
        }
        let (start, end) = (range.start.as_slice(), range.end.as_slice());
        self.shared.guarded(|| {
            for row in self.table.range(start..end)? {
                let (key, value) = row?;
                if visit(key.value(), value.value()).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Whether every row can be read, the keys ascend and their number is what the file says.
    fn walk_all(&self) -> Result<bool, EngineError> {
        self.shared.guarded(|| {
            let mut count: u64 = 0;
            let mut last: Option<Vec<u8>> = None;
            for row in self.table.range::<&[u8]>(..)? {
                let (key, value) = row?;
                if last.as_deref().is_some_and(|last| last >= key.value()) {
                    return Ok(false);
                }
                std::hint::black_box(value.value());
                let kept = last.get_or_insert_default();
                kept.clear();
                kept.extend_from_slice(key.value());
                count += 1;
            }
            Ok(count == self.table.len()?)
        })
    }
}

impl Snapshot for RedbSnapshot {
    fn get(&self, keys: Vec<Vec<u8>>) -> Pending<'_, Vec<Option<Bytes>>> {
        if keys.len() <= INLINE_KEYS {
            return Box::pin(ready(self.read(&keys)));
        }
        let snapshot = self.clone();
        Box::pin(blocking(move || snapshot.read(&keys)))
    }

    fn scan(&self, range: KeyRange, extent: Extent, visit: Visit) -> Pending<'_, ()> {
        if extent == Extent::Few {
            return Box::pin(ready(self.walk(&range, visit)));
        }
        let snapshot = self.clone();
        Box::pin(blocking(move || snapshot.walk(&range, visit)))
    }
}

/// Runs what may block on a thread that may; where there is no runtime, right here.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let Ok(runtime) = Handle::try_current() else {
        return work();
    };
    let done = runtime.spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(EngineError::Failed("a blocking task ended early".into())))
}

fn writer_stopped() -> EngineError {
    EngineError::Failed("the writing thread ended".into())
}
