//! The contract of every engine: one suite, run over each. Beside it, each is compared with a plain
//! ordered map (`model_tests.rs`), and the one that keeps a file with what a file must do
//! (`file_tests.rs`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::memory::MemoryEngine;
use super::redb::RedbEngine;
use super::{Batch, Engine, EngineError, Extent, Guard, KeyRange, Outcome, Snapshot, Stamp, Write};

mod file_tests;
mod model_tests;

/// An engine under test and the directory it may lie in.
struct Subject {
    engine: Arc<dyn Engine>,
    _directory: Option<TempDir>,
}

fn memory() -> Subject {
    let engine = Arc::new(MemoryEngine::new());
    Subject { engine, _directory: None }
}

fn redb() -> Subject {
    let directory = TempDir::new().unwrap();
    let engine = RedbEngine::open(&directory.path().join("store.redb"), 4 << 20).unwrap();
    Subject { engine: Arc::new(engine), _directory: Some(directory) }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

/// Runs each named function of this module over every engine.
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod over_memory {
            $(#[test] fn $case() { super::runtime().block_on(super::$case(super::memory())); })*
        }
        mod over_redb {
            $(#[test] fn $case() { super::runtime().block_on(super::$case(super::redb())); })*
        }
    };
}

contract!(
    guards_decide,
    a_moved_batch_leaves_no_trace,
    a_batch_is_applied_as_a_whole,
    writes_happen_in_order,
    scans_keep_order_and_ends,
    many_keys_are_read_in_the_order_asked,
    counters_start_at_zero,
    stamps_complete_keys_and_values,
    a_stamp_that_does_not_fit_fails_before_anything,
    a_damaged_or_spent_counter_fails_its_batch_alone,
    snapshots_never_change,
    one_of_eight_writers_wins,
    concurrent_batches_lose_nothing,
    odd_keys_and_large_values,
    a_closed_engine_says_so,
);

fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
    let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
    Write::Put { key, value, stamp: None }
}

fn stamped(key: &[u8], value: &[u8], stamp: Stamp) -> Write {
    let (key, value) = (key.to_vec(), value.to_vec());
    Write::Put { key, value, stamp: Some(stamp) }
}

fn delete(key: impl AsRef<[u8]>) -> Write {
    Write::Delete { key: key.as_ref().to_vec() }
}

fn writes(writes: Vec<Write>) -> Batch {
    Batch { writes, ..Batch::default() }
}

fn guarded(key: &[u8], guard: Guard, then: Vec<Write>) -> Batch {
    Batch { guards: vec![(key.to_vec(), guard)], writes: then, ..Batch::default() }
}

fn is(value: &'static [u8]) -> Guard {
    Guard::Is(Bytes::from_static(value))
}

fn applied(counters: &[u64]) -> Outcome {
    Outcome::Applied(counters.to_vec())
}

async fn commit(engine: &Arc<dyn Engine>, batch: Batch) -> Outcome {
    engine.commit(batch).await.unwrap()
}

async fn value(snapshot: &dyn Snapshot, key: &[u8]) -> Option<Bytes> {
    snapshot.get(vec![key.to_vec()]).await.unwrap().remove(0)
}

async fn now(engine: &Arc<dyn Engine>, key: &[u8]) -> Option<Bytes> {
    value(&*engine.snapshot().await.unwrap(), key).await
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

async fn range(snapshot: &dyn Snapshot, start: &[u8], end: &[u8], extent: Extent) -> Rows {
    let found = Arc::new(Mutex::new(Rows::new()));
    let rows = Arc::clone(&found);
    let range = KeyRange { start: start.to_vec(), end: end.to_vec() };
    let visit = move |key: &[u8], value: &[u8]| {
        rows.lock().unwrap().push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    snapshot.scan(range, extent, Box::new(visit)).await.unwrap();
    std::mem::take(&mut *found.lock().unwrap())
}

async fn everything(engine: &Arc<dyn Engine>) -> Rows {
    let snapshot = engine.snapshot().await.unwrap();
    range(&*snapshot, b"", &[0xff; 40], Extent::Many).await
}

async fn guards_decide(subject: Subject) {
    let engine = &subject.engine;
    let create = || guarded(b"a", Guard::Absent, vec![put(b"a", b"1")]);
    assert_eq!(commit(engine, create()).await, applied(&[]));
    assert_eq!(commit(engine, create()).await, Outcome::Moved);
    let change = guarded(b"a", is(b"1"), vec![put(b"a", b"2")]);
    assert_eq!(commit(engine, change.clone()).await, applied(&[]));
    assert_eq!(commit(engine, change).await, Outcome::Moved);
    let other = guarded(b"b", is(b""), vec![put(b"b", b"2")]);
    assert_eq!(commit(engine, other).await, Outcome::Moved, "absent is not empty");
    let mut two = guarded(b"a", is(b"2"), vec![delete(b"a")]);
    two.guards.push((b"a".to_vec(), Guard::Absent));
    assert_eq!(commit(engine, two).await, Outcome::Moved, "every guard counts");
    let gone = guarded(b"a", is(b"2"), vec![delete(b"a"), delete(b"never")]);
    assert_eq!(commit(engine, gone).await, applied(&[]));
    assert_eq!(commit(engine, create()).await, applied(&[]));
}

async fn a_moved_batch_leaves_no_trace(subject: Subject) {
    let engine = &subject.engine;
    commit(engine, writes(vec![put(b"a", b"1"), put(b"b", b"1")])).await;
    let before = everything(engine).await;
    let stamp = Stamp { counter: 0, in_key: true, in_value: None };
    let batch = Batch {
        guards: vec![(b"a".to_vec(), is(b"1")), (b"b".to_vec(), is(b"2"))],
        counters: vec![b"n".to_vec()],
        writes: vec![stamped(b"row", b"", stamp), put(b"a", b"x"), delete(b"b")],
        ..Batch::default()
    };
    assert_eq!(commit(engine, batch.clone()).await, Outcome::Moved);
    assert_eq!(everything(engine).await, before);
    let holding = Batch { guards: vec![(b"b".to_vec(), is(b"1"))], ..batch };
    assert_eq!(commit(engine, holding).await, applied(&[1]));
}

async fn a_batch_is_applied_as_a_whole(subject: Subject) {
    let engine = &subject.engine;
    let rows: Rows = (0..300u32).map(|n| (n.to_be_bytes().into(), vec![7; 50])).collect();
    let all = rows.iter().map(|(key, value)| put(key, value)).collect();
    assert_eq!(commit(engine, writes(all)).await, applied(&[]));
    assert_eq!(everything(engine).await, rows);
    assert!(engine.verify().await.unwrap());
}

async fn writes_happen_in_order(subject: Subject) {
    let engine = &subject.engine;
    let order =
        vec![put(b"a", b"1"), delete(b"a"), put(b"b", b"1"), put(b"b", b"2"), delete(b"c"), put(b"c", b"3")];
    commit(engine, writes(order)).await;
    let expected = vec![(b"b".to_vec(), b"2".to_vec()), (b"c".to_vec(), b"3".to_vec())];
    assert_eq!(everything(engine).await, expected);
}

async fn scans_keep_order_and_ends(subject: Subject) {
    let engine = &subject.engine;
    let keys = ["b", "a", "ab", "c", "bb", "b\0"];
    commit(engine, writes(keys.iter().map(|key| put(key, b"")).collect())).await;
    let snapshot = engine.snapshot().await.unwrap();
    for extent in [Extent::Few, Extent::Many] {
        let names = async |start: &str, end: &str| -> Vec<String> {
            let rows = range(&*snapshot, start.as_bytes(), end.as_bytes(), extent).await;
            rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
        };
        assert_eq!(names("", "d").await, ["a", "ab", "b", "b\0", "bb", "c"]);
        assert_eq!(names("ab", "bb").await, ["ab", "b", "b\0"], "start counts, end does not");
        assert_eq!(names("b", "b").await, [""; 0]);
        assert_eq!(names("c", "a").await, [""; 0], "ends in the wrong order are an empty range");
        assert_eq!(names("x", "z").await, [""; 0]);
        let seen = Arc::new(Mutex::new(0));
        let count = Arc::clone(&seen);
        let visit = move |_: &[u8], _: &[u8]| {
            *count.lock().unwrap() += 1;
            if *count.lock().unwrap() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let all = KeyRange { start: vec![], end: b"z".to_vec() };
        snapshot.scan(all, extent, Box::new(visit)).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), 2, "a break ends the scan");
    }
}

async fn many_keys_are_read_in_the_order_asked(subject: Subject) {
    let engine = &subject.engine;
    let rows = (0..200u32).map(|n| put(n.to_be_bytes(), n.to_le_bytes())).collect();
    commit(engine, writes(rows)).await;
    let snapshot = engine.snapshot().await.unwrap();
    for count in [0, 1, 64, 65, 250u32] {
        let asked: Vec<u32> = (0..count).rev().collect();
        let keys = asked.iter().map(|n| n.to_be_bytes().to_vec()).collect();
        let expected: Vec<_> =
            asked.iter().map(|n| (*n < 200).then(|| Bytes::copy_from_slice(&n.to_le_bytes()))).collect();
        assert_eq!(snapshot.get(keys).await.unwrap(), expected);
    }
}

async fn counters_start_at_zero(subject: Subject) {
    let engine = &subject.engine;
    let bump = |counters: &[&[u8]]| Batch {
        counters: counters.iter().map(|key| key.to_vec()).collect(),
        ..Batch::default()
    };
    assert_eq!(commit(engine, bump(&[b"x"])).await, applied(&[1]));
    assert_eq!(commit(engine, bump(&[b"y", b"x"])).await, applied(&[1, 2]));
    assert_eq!(commit(engine, bump(&[b"x", b"y", b"x"])).await, applied(&[3, 2, 4]));
    assert_eq!(now(engine, b"x").await.unwrap().as_ref(), 4u64.to_be_bytes());
}

async fn stamps_complete_keys_and_values(subject: Subject) {
    let engine = &subject.engine;
    commit(engine, Batch { counters: vec![b"n".to_vec()], ..Batch::default() }).await;
    let batch = Batch {
        counters: vec![b"n".to_vec(), b"m".to_vec()],
        writes: vec![
            stamped(b"k/", b"0123456789", Stamp { counter: 0, in_key: true, in_value: Some(1) }),
            stamped(b"k/", b"01234567", Stamp { counter: 1, in_key: true, in_value: Some(0) }),
            stamped(b"v", b"0123456789", Stamp { counter: 0, in_key: false, in_value: Some(2) }),
            stamped(b"w", b"plain", Stamp { counter: 1, in_key: false, in_value: None }),
        ],
        ..Batch::default()
    };
    assert_eq!(commit(engine, batch).await, applied(&[2, 1]));
    let key = |n: u64| [b"k/".as_slice(), &n.to_be_bytes()].concat();
    assert_eq!(now(engine, &key(2)).await.unwrap().as_ref(), b"0\0\0\0\0\0\0\0\x029");
    assert_eq!(now(engine, &key(1)).await.unwrap().as_ref(), 1u64.to_be_bytes());
    assert_eq!(now(engine, b"v").await.unwrap().as_ref(), b"01\0\0\0\0\0\0\0\x02");
    assert_eq!(now(engine, b"w").await.unwrap().as_ref(), b"plain");
}

async fn a_stamp_that_does_not_fit_fails_before_anything(subject: Subject) {
    let engine = &subject.engine;
    let misfits = [
        Stamp { counter: 0, in_key: false, in_value: Some(1) },
        Stamp { counter: 0, in_key: false, in_value: Some(usize::MAX) },
        Stamp { counter: 1, in_key: true, in_value: None },
    ];
    for stamp in misfits {
        let batch = Batch {
            counters: vec![b"n".to_vec()],
            writes: vec![put(b"a", b"1"), stamped(b"b", b"01234567", stamp)],
            ..Batch::default()
        };
        let answer = engine.commit(batch).await;
        assert!(matches!(answer, Err(EngineError::Failed(_))), "{answer:?}");
    }
    assert_eq!(everything(engine).await, []);
}

async fn a_damaged_or_spent_counter_fails_its_batch_alone(subject: Subject) {
    let engine = &subject.engine;
    commit(engine, writes(vec![put(b"short", b"1"), put(b"spent", [0xff; 8])])).await;
    for counter in [b"short", b"spent"] {
        let batch = Batch {
            counters: vec![b"good".to_vec(), counter.to_vec()],
            writes: vec![put(b"a", b"1")],
            ..Batch::default()
        };
        let (bad, good) = tokio::join!(engine.commit(batch), engine.commit(writes(vec![put(b"b", b"1")])));
        assert!(matches!(bad, Err(EngineError::Failed(_))), "{bad:?}");
        assert_eq!(good.unwrap(), applied(&[]));
    }
    assert_eq!(now(engine, b"good").await, None);
    assert_eq!(now(engine, b"a").await, None);
    assert!(now(engine, b"b").await.is_some());
}

async fn snapshots_never_change(subject: Subject) {
    let engine = &subject.engine;
    commit(engine, writes(vec![put(b"a", b"1"), put(b"b", b"1")])).await;
    let old = engine.snapshot().await.unwrap();
    commit(engine, writes(vec![put(b"a", b"2"), delete(b"b"), put(b"c", b"2")])).await;
    let middle = engine.snapshot().await.unwrap();
    commit(engine, writes(vec![delete(b"a"), put(b"b", b"3"), delete(b"c")])).await;
    let view = async |snapshot: &dyn Snapshot| -> String {
        let rows = range(snapshot, b"", b"z", Extent::Few).await;
        let shown = rows.into_iter().map(|(key, value)| [key, value].concat());
        String::from_utf8(shown.collect::<Vec<_>>().join(&b' ')).unwrap()
    };
    assert_eq!(view(&*old).await, "a1 b1");
    assert_eq!(view(&*middle).await, "a2 c2");
    assert_eq!(value(&*old, b"c").await, None);
    assert_eq!(value(&*old, b"b").await.unwrap(), "1");
    drop(old);
    commit(engine, writes(vec![put(b"a", b"4")])).await;
    assert_eq!(view(&*middle).await, "a2 c2");
    drop(middle);
    commit(engine, writes(vec![put(b"c", b"5")])).await;
    assert_eq!(view(&*engine.snapshot().await.unwrap()).await, "a4 b3 c5");
}

async fn one_of_eight_writers_wins(subject: Subject) {
    let engine = &subject.engine;
    commit(engine, writes(vec![put(b"row", b"old")])).await;
    let tasks: Vec<_> = (0..8u8)
        .map(|writer| {
            let engine = Arc::clone(engine);
            let batch = guarded(b"row", is(b"old"), vec![put(b"row", [writer]), put([writer], b"")]);
            tokio::spawn(async move { (writer, engine.commit(batch).await.unwrap()) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        let (writer, outcome) = task.await.unwrap();
        if outcome == applied(&[]) {
            winners.push(writer);
        }
    }
    assert_eq!(winners.len(), 1);
    let expected = vec![(winners.clone(), vec![]), (b"row".to_vec(), winners)];
    assert_eq!(everything(engine).await, expected);
}

async fn concurrent_batches_lose_nothing(subject: Subject) {
    let engine = &subject.engine;
    let tasks: Vec<_> = (0..200u32)
        .map(|n| {
            let engine = Arc::clone(engine);
            let batch = Batch {
                counters: vec![b"n".to_vec()],
                writes: vec![stamped(
                    b"row/",
                    &n.to_be_bytes(),
                    Stamp { counter: 0, in_key: true, in_value: None },
                )],
                ..Batch::default()
            };
            tokio::spawn(async move { (n, engine.commit(batch).await.unwrap()) })
        })
        .collect();
    let mut expected = BTreeMap::new();
    for task in tasks {
        let (n, Outcome::Applied(counters)) = task.await.unwrap() else { panic!("moved") };
        let key = [b"row/".as_slice(), &counters[0].to_be_bytes()].concat();
        assert_eq!(expected.insert(key, n.to_be_bytes().to_vec()), None, "a number given twice");
    }
    let last = [b"row/".as_slice(), &200u64.to_be_bytes()].concat();
    assert_eq!(*expected.last_key_value().unwrap().0, last);
    let snapshot = engine.snapshot().await.unwrap();
    let rows = range(&*snapshot, b"row/", b"row0", Extent::Many).await;
    assert_eq!(rows, expected.into_iter().collect::<Rows>());
}

async fn odd_keys_and_large_values(subject: Subject) {
    let engine = &subject.engine;
    let large = vec![0x5a; 3 << 20];
    let long = vec![0x61; 60_000];
    commit(engine, writes(vec![put(b"", b""), put([0], [0]), put(&long, &large), put([0xff; 9], b"x")]))
        .await;
    assert_eq!(now(engine, b"").await.unwrap(), "");
    assert_eq!(now(engine, &long).await.unwrap(), large);
    let keys: Vec<_> = everything(engine).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [vec![], vec![0], long, vec![0xff; 9]]);
    let too_long = engine.commit(writes(vec![put(vec![0; 70_000], b"")])).await;
    assert!(matches!(too_long, Err(EngineError::Failed(_))));
}

async fn a_closed_engine_says_so(subject: Subject) {
    let engine = &subject.engine;
    let queued: Vec<_> = (0..50u8)
        .map(|n| {
            let engine = Arc::clone(engine);
            tokio::spawn(async move { engine.commit(writes(vec![put([n], b"")])).await })
        })
        .collect();
    commit(engine, writes(vec![put(b"last", b"")])).await;
    engine.close().await.unwrap();
    for task in queued {
        let answer = task.await.unwrap();
        assert!(matches!(answer, Ok(Outcome::Applied(_)) | Err(EngineError::Closed)), "{answer:?}");
    }
    assert!(matches!(engine.snapshot().await.err(), Some(EngineError::Closed)));
    assert!(matches!(engine.commit(Batch::default()).await, Err(EngineError::Closed)));
    assert!(matches!(engine.verify().await, Err(EngineError::Closed)));
    assert!(matches!(engine.close().await, Err(EngineError::Closed)));
}
