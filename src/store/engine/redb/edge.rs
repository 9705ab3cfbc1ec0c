//! What the embedded engine does on a disk that is nearly full, takes no writes for a while, or
//! holds a byte that nobody wrote: it refuses in time, goes on reading, recovers by itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ::redb::{Database, StorageBackend};
use bytes::Bytes;
use tempfile::TempDir;

use super::frozen::{Frozen, Ground};
use super::medium::{Medium, Opening, Space, Trouble, open_database};
use super::{Batch, Engine, EngineError, RedbEngine, room};
use crate::store::engine::Write;

const CACHE: usize = 1 << 20;
const MIB: u64 = 1 << 20;
/// Enough, and so little that every commit looks again how much is left.
const LITTLE: u64 = 15 * MIB;

/// A disk that says how much room it has, and takes no writes when told so.
#[derive(Clone, Debug, Default)]
struct Moody(Arc<Mood>);

#[derive(Debug, Default)]
struct Mood {
    bytes: Mutex<Vec<u8>>,
    left: AtomicU64,
    mounted_read_only: AtomicBool,
    refuses: AtomicBool,
    /// Writes that it was asked for while it refused.
    asked: AtomicU64,
}

impl Moody {
    fn new(left: u64) -> Self {
        let disk = Self::default();
        disk.0.left.store(left, Ordering::Relaxed);
        disk
    }

    fn open(&self) -> RedbEngine {
        RedbEngine::with_medium(Box::new(self.clone()), room::KEEP_FREE).unwrap()
    }

    fn refuse(&self, refuses: bool) {
        self.0.refuses.store(refuses, Ordering::Relaxed);
    }

    fn may_write(&self) -> io::Result<()> {
        if self.0.refuses.load(Ordering::Relaxed) {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }
}

impl StorageBackend for Moody {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.bytes.lock().unwrap();
        let found = bytes.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.may_write()?;
        self.0.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.may_write()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.may_write()?;
        let mut bytes = self.0.bytes.lock().unwrap();
        let end = bytes.len().max(offset as usize + data.len());
        bytes.resize(end, 0);
        bytes[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

impl Ground for Moody {
    fn length(&self) -> io::Result<u64> {
        self.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        StorageBackend::read(self, offset, out)
    }

    fn release(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Medium for Moody {
    fn open(&self) -> Result<Database, Trouble> {
        open_database(self.clone(), CACHE, Opening::MayBeNew)
    }

    fn reopen(&self) -> Result<Database, Trouble> {
        open_database(self.clone(), CACHE, Opening::Existing)
    }

    fn open_frozen(&self) -> Result<Database, Trouble> {
        open_database(Frozen::new(self.clone())?, CACHE, Opening::Existing)
    }

    fn examine(&self) -> Result<Option<Database>, Trouble> {
        open_database(Frozen::new(self.clone())?, CACHE, Opening::Examining).map(Some)
    }

    fn space(&self) -> Space {
        if self.0.mounted_read_only.load(Ordering::Relaxed) {
            return Space::ReadOnly;
        }
        Space::Left(self.0.left.load(Ordering::Relaxed))
    }

    fn try_writing(&self, _bytes: usize) -> Result<(), EngineError> {
        self.may_write().map_err(|error| Trouble::from(error).error)
    }
}

fn put(key: &[u8], length: usize) -> Write {
    Write::Put { key: key.to_vec(), value: vec![7; length], stamp: None }
}

fn delete(key: &[u8]) -> Write {
    Write::Delete { key: key.to_vec() }
}

async fn commit(engine: &RedbEngine, writes: Vec<Write>) -> Result<(), EngineError> {
    engine.commit(Batch { writes, ..Batch::default() }).await.map(drop)
}

async fn value(engine: &RedbEngine, key: &[u8]) -> Option<Bytes> {
    let snapshot = engine.snapshot().await.unwrap();
    snapshot.get(vec![key.to_vec()]).await.unwrap().remove(0)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

#[test]
fn a_nearly_full_disk_takes_what_makes_room_and_nothing_else() {
    run(async {
        let disk = Moody::new(LITTLE);
        let engine = disk.open();
        commit(&engine, vec![put(b"a", 900), put(b"b", 900)]).await.unwrap();
        disk.0.left.store(6 * MIB, Ordering::Relaxed);
        for adding in [vec![put(b"c", 100)], vec![put(b"a", 901)], vec![delete(b"no such"), put(b"c", 100)]] {
            let answer = commit(&engine, adding).await;
            assert!(matches!(answer, Err(EngineError::Full)), "{answer:?}");
        }
        commit(&engine, vec![put(b"a", 900)]).await.unwrap();
        commit(&engine, vec![delete(b"a"), put(b"log of a", 200)]).await.unwrap();
        assert_eq!(value(&engine, b"a").await, None);
        assert_eq!(value(&engine, b"c").await, None);
        disk.0.left.store(MIB / 2, Ordering::Relaxed);
        let answer = commit(&engine, vec![delete(b"b")]).await;
        assert!(matches!(answer, Err(EngineError::Full)), "{answer:?}");
        assert_eq!(value(&engine, b"b").await.unwrap().len(), 900);
        disk.0.left.store(100 * MIB, Ordering::Relaxed);
        commit(&engine, vec![put(b"c", 100)]).await.unwrap();
        engine.close().await.unwrap();
    });
}

#[test]
fn a_batch_too_large_for_what_is_left_fails_and_a_small_one_does_not() {
    run(async {
        let engine = Moody::new(100 * MIB).open();
        let answer = commit(&engine, vec![put(b"large", 30 << 20)]).await;
        assert!(matches!(answer, Err(EngineError::Full)), "{answer:?}");
        commit(&engine, vec![put(b"small", 1000)]).await.unwrap();
    });
}

#[test]
fn a_read_only_mount_is_noticed_before_redb_meets_it() {
    run(async {
        let disk = Moody::new(LITTLE);
        let engine = disk.open();
        commit(&engine, vec![put(b"a", 900)]).await.unwrap();
        disk.refuse(true);
        disk.0.mounted_read_only.store(true, Ordering::Relaxed);
        let held = engine.snapshot().await.unwrap();
        for _ in 0..2 {
            let answer = commit(&engine, vec![put(b"b", 1)]).await;
            assert!(matches!(answer, Err(EngineError::Unavailable(_))), "{answer:?}");
        }
        // The snapshot outlives it: nothing was reopened.
        assert_eq!(held.get(vec![b"a".to_vec()]).await.unwrap()[0].as_ref().unwrap().len(), 900);
        assert_eq!(disk.0.asked.load(Ordering::Relaxed), 0);
        disk.refuse(false);
        disk.0.mounted_read_only.store(false, Ordering::Relaxed);
        commit(&engine, vec![put(b"b", 1)]).await.unwrap();
        engine.close().await.unwrap();
    });
}

#[test]
fn a_disk_that_takes_no_writes_is_read_and_later_written_again() {
    run(async {
        let disk = Moody::new(100 * MIB);
        let engine = disk.open();
        commit(&engine, vec![put(b"a", 900)]).await.unwrap();
        disk.refuse(true);
        for _ in 0..3 {
            let answer = commit(&engine, vec![put(b"b", 1)]).await;
            assert!(matches!(answer, Err(EngineError::Unavailable(_))), "{answer:?}");
            assert_eq!(value(&engine, b"a").await.unwrap().len(), 900);
        }
        disk.refuse(false);
        let since = std::time::Instant::now();
        while commit(&engine, vec![put(b"c", 1)]).await.is_err() {
            assert!(since.elapsed() < std::time::Duration::from_secs(10), "it does not recover");
            std::thread::yield_now();
        }
        assert_eq!(value(&engine, b"a").await.unwrap().len(), 900);
        engine.close().await.unwrap();
        let engine = disk.open();
        assert_eq!(value(&engine, b"c").await.unwrap().len(), 1);
    });
}

/// A file with some rows, closed; some rows have pages of their own.
fn file(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("store.redb");
    run(async {
        let engine = RedbEngine::open(&path, CACHE).unwrap();
        for n in 0..60_u32 {
            commit(&engine, vec![put(&n.to_be_bytes(), [30, 700, 5000][(n % 3) as usize])]).await.unwrap();
        }
        engine.close().await.unwrap();
    });
    path
}

#[test]
fn a_flipped_bit_in_a_value_is_found_by_verifying_only() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    run(async {
        let engine = RedbEngine::open(&path, CACHE).unwrap();
        assert!(engine.verify().await.unwrap());
        commit(&engine, vec![put(b"later", 10)]).await.unwrap();
        assert!(engine.verify().await.unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let place = bytes.windows(2000).rposition(|window| window.iter().all(|byte| *byte == 7)).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[6], place as u64 + 1000).unwrap();
        assert!(!engine.verify().await.unwrap());
    });
}

#[test]
fn what_is_no_whole_store_is_refused_in_one_line() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory);
    let whole = std::fs::read(&path).unwrap();
    let mut other_head = whole.clone();
    other_head[..9].fill(b'x');
    let torn = [&[], &whole[..5], &whole[..100], &whole[..4096], &whole[..whole.len() / 2], &other_head];
    for bytes in torn {
        std::fs::write(&path, bytes).unwrap();
        let refused = RedbEngine::open(&path, CACHE).err();
        let told = refused.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(matches!(refused, Some(EngineError::Damaged(_))), "{} bytes: {refused:?}", bytes.len());
        assert!(!told.contains('\n') && told.len() < 100, "{told}");
        // What is refused is left as it is.
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}
