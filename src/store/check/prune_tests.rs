//! Forgetting old names, with a crash after every commit of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{Timestamp, ToSpan as _};

use crate::store::engine::memory::MemoryEngine;
use crate::store::engine::{Batch, Engine, EngineError, Outcome, Pending, Snapshot};
use crate::store::entropy::Entropy;
use crate::store::keys::Table;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::tests::{Random, furnished_on, key_file, open, rows_of};
use crate::store::{Store, StoreError};

/// An engine that takes so many commits, and then none.
struct Stopping {
    inner: Arc<MemoryEngine>,
    left: AtomicUsize,
}

impl Engine for Stopping {
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch) -> Pending<'_, Outcome> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.inner.commit(batch),
            Err(_) => Box::pin(async { Err(EngineError::Full) }),
        }
    }

    fn verify(&self) -> Pending<'_, bool> {
        self.inner.verify()
    }

    fn close(&self) -> Pending<'_, ()> {
        self.inner.close()
    }
}

fn later() -> Timestamp {
    Timestamp::UNIX_EPOCH + (408 * 24).hours()
}

#[tokio::test]
async fn a_forgotten_name_is_in_no_row_and_what_held_it_opens_no_more() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let (store, gone) = furnished_on(&engine, &medium).await;
    while store.purge_step(gone, Timestamp::UNIX_EPOCH).await.unwrap() {}
    let soon = Timestamp::UNIX_EPOCH + (406 * 24).hours();
    assert_eq!(store.prune(soon, 400).await.unwrap(), 0, "the period has not been over for long enough");
    let stones: Vec<_> =
        rows_of(&engine).await.into_iter().filter(|(key, _)| key[0] == Table::Tombstone as u8).collect();
    assert_eq!(stones.len(), 5, "three in the book, one in the home, one in the calendar");
    for (key, value) in &stones {
        assert!(store.sealer.decode_tombstone(key, value).is_ok());
    }
    assert_eq!(store.prune(later(), 400).await.unwrap(), 5);
    assert_eq!(
        (store.count(Table::Tombstone).await.unwrap(), store.count(Table::Names).await.unwrap()),
        (0, 0)
    );
    store.erase_condemned(later()).await.unwrap();
    for (key, value) in &stones {
        assert!(matches!(store.sealer.decode_tombstone(key, value), Err(StoreError::Erased)));
    }
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    assert_eq!(store.prune(later(), 400).await.unwrap(), 0);
}

#[tokio::test]
async fn forgetting_that_ends_anywhere_leaves_a_sound_store_and_goes_on() {
    let mut stops = 0;
    for commits in 0.. {
        let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
        let (store, gone) = furnished_on(&engine, &medium).await;
        while store.purge_step(gone, Timestamp::UNIX_EPOCH).await.unwrap() {}
        let erased = open(&engine, &medium).await.unwrap();
        drop(erased);
        let stopping = Arc::new(Stopping { inner: engine.clone(), left: AtomicUsize::new(commits) });
        let entropy: Arc<dyn Entropy> = Arc::new(Random);
        let store = Store::open(stopping, key_file(&medium), entropy, Timestamp::UNIX_EPOCH).await.unwrap();
        let ended = store.prune(later(), 400).await;
        let again = open(&engine, &medium).await.unwrap();
        assert_eq!(again.check().await.unwrap().faults, Vec::<String>::new(), "after {commits} commits");
        again.prune(later(), 400).await.unwrap();
        assert_eq!(again.count(Table::Tombstone).await.unwrap(), 0);
        assert_eq!(again.count(Table::Names).await.unwrap(), 0);
        assert_eq!(again.check().await.unwrap().faults, Vec::<String>::new());
        if ended.is_ok() {
            break;
        }
        stops += 1;
    }
    assert_eq!(stops, 6, "three collections, their removals and their keys");
}
