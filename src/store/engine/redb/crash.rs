//! What a failing disk does to the embedded engine: the power fails at any operation, the disk is
//! full, the backend panics.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::redb::Database;
use bytes::Bytes;
use tokio::runtime::Runtime;

use super::faulty::Disk;
use super::medium::{Medium, Opening, Space, Trouble, open_database};
use super::{Batch, Engine, EngineError, Extent, KeyRange, Outcome, RedbEngine};
use crate::store::engine::{Guard, Stamp, Write};

const CACHE: usize = 1 << 20;
const TASKS: u64 = 4;
const BATCHES: u64 = 10;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// The value that a task's batch writes: large enough that some rows fill pages of their own.
fn filling(task: u64, step: u64) -> Vec<u8> {
    let length = [30, 900, 30, 5000, 200][((task + step) % 5) as usize];
    let mut value = vec![(task * 16 + step) as u8; length];
    value[8..16].copy_from_slice(&task.to_be_bytes());
    value[16..24].copy_from_slice(&step.to_be_bytes());
    value
}

fn step_key(task: u64, step: u64) -> Vec<u8> {
    [b"step".as_slice(), &task.to_be_bytes(), &step.to_be_bytes()].concat()
}

/// One step of one task: numbers itself, leaves a row in the log and one of its own, and removes
/// the one of the step before.
fn batch(task: u64, step: u64) -> Batch {
    let stamp = Stamp { counter: 0, in_key: true, in_value: Some(0) };
    let mut writes = vec![
        Write::Put { key: b"log".to_vec(), value: filling(task, step), stamp: Some(stamp) },
        Write::Put { key: step_key(task, step), value: filling(task, step), stamp: None },
    ];
    let mut guards = vec![(step_key(task, step), Guard::Absent)];
    if let Some(before) = step.checked_sub(1) {
        guards.push((step_key(task, before), Guard::Is(filling(task, before).into())));
        writes.push(Write::Delete { key: step_key(task, before) });
    }
    Batch { guards, counters: vec![b"count".to_vec()], writes, may_add: 0 }
}

/// Runs all tasks until the power fails; the numbers of the acknowledged steps, by task.
async fn work(engine: Arc<RedbEngine>, from: Vec<u64>) -> Vec<Vec<u64>> {
    let tasks: Vec<_> = from
        .into_iter()
        .zip(0..TASKS)
        .map(|(start, task)| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for step in start..start + BATCHES {
                    match engine.commit(batch(task, step)).await {
                        Ok(Outcome::Applied(counters)) => acknowledged.push(counters[0]),
                        Ok(Outcome::Moved) => panic!("nobody else writes these rows"),
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.push(task.await.unwrap());
    }
    acknowledged
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

async fn rows(engine: &RedbEngine) -> Rows {
    let found = Arc::new(Mutex::new(Rows::new()));
    let rows = Arc::clone(&found);
    let visit = move |key: &[u8], value: &[u8]| {
        rows.lock().unwrap().insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    let all = KeyRange { start: vec![], end: vec![0xff] };
    let snapshot = engine.snapshot().await.unwrap();
    snapshot.scan(all, Extent::Few, Box::new(visit)).await.unwrap();
    std::mem::take(&mut *found.lock().unwrap())
}

/// Checks that the rows are those of whole batches, each of which happened once and in its task's
/// order, and that every acknowledged one is among them. Hands back how many steps each task did.
fn check(rows: &Rows, acknowledged: &[Vec<u64>], place: &str) -> Vec<u64> {
    let mut done = vec![0; TASKS as usize];
    let mut numbers: Vec<Vec<u64>> = vec![Vec::new(); TASKS as usize];
    let mut expected = Rows::new();
    let count = rows.get(b"count".as_slice());
    let count = count.map_or(0, |value| u64::from_be_bytes(value.as_slice().try_into().unwrap()));
    for number in 1..=count {
        let key = [b"log".as_slice(), &number.to_be_bytes()].concat();
        let value = rows.get(&key).unwrap_or_else(|| panic!("{place}: number {number} is lost"));
        let task = u64::from_be_bytes(value[8..16].try_into().unwrap());
        let step = u64::from_be_bytes(value[16..24].try_into().unwrap());
        assert_eq!(step, done[task as usize], "{place}: a step is missing");
        done[task as usize] += 1;
        numbers[task as usize].push(number);
        let mut whole = filling(task, step);
        whole[..8].copy_from_slice(&number.to_be_bytes());
        expected.insert(key, whole);
    }
    for (task, steps) in (0..TASKS).zip(&done) {
        if let Some(last) = steps.checked_sub(1) {
            expected.insert(step_key(task, last), filling(task, last));
        }
    }
    if count > 0 {
        expected.insert(b"count".to_vec(), count.to_be_bytes().to_vec());
    }
    assert!(*rows == expected, "{place}: a batch is there in part");
    for (numbers, acknowledged) in numbers.iter().zip(acknowledged) {
        assert!(numbers.starts_with(acknowledged), "{place}: an acknowledged batch is lost");
        assert!(numbers.len() <= acknowledged.len() + 1, "{place}: more than was sent");
    }
    done
}

/// The power fails at operation `at`; then perhaps again while the store is opened; then the rows
/// are checked and the work goes on.
async fn crash(at: u64, seed: u64) -> bool {
    let place = format!("power failure at {at}, seed {seed}");
    let disk = Disk::new();
    disk.fail_after(at, seed);
    let Ok(engine) = RedbEngine::with_backend(disk.clone(), CACHE) else {
        // Never created: `open` throws such a file away.
        assert!(disk.is_dead(), "{place}");
        return true;
    };
    let engine = Arc::new(engine);
    let acknowledged = work(Arc::clone(&engine), vec![0; TASKS as usize]).await;
    let _ = engine.close().await;
    let failed = disk.is_dead();
    let mut disk = disk.restarted();
    if seed.is_multiple_of(3) {
        disk.fail_after(seed / 3 % 12, seed);
        if let Ok(engine) = RedbEngine::with_backend(disk.clone(), CACHE) {
            let _ = engine.close().await;
        }
        disk = disk.restarted();
    }
    let engine = RedbEngine::with_backend(disk.clone(), CACHE);
    let engine = Arc::new(engine.unwrap_or_else(|error| panic!("{place}: {error}")));
    assert!(engine.verify().await.unwrap(), "{place}");
    let done = check(&rows(&engine).await, &acknowledged, &place);
    let more = work(Arc::clone(&engine), done.clone()).await;
    assert!(more.iter().all(|steps| steps.len() == BATCHES as usize), "{place}");
    engine.close().await.unwrap();
    failed
}

#[test]
fn a_power_failure_loses_nothing_acknowledged_and_halves_nothing() {
    let runtime = runtime();
    let total = runtime.block_on(async {
        let disk = Disk::new();
        let engine = Arc::new(RedbEngine::with_backend(disk.clone(), CACHE).unwrap());
        let done = work(Arc::clone(&engine), vec![0; TASKS as usize]).await;
        check(&rows(&engine).await, &done, "no failure");
        engine.close().await.unwrap();
        disk.operations()
    });
    // Every operation, each with two throws of the dice, until a run gets through.
    let mut at = 0;
    loop {
        let failed = [0, 1].map(|throw| runtime.block_on(crash(at, 2 * at + throw)));
        if failed == [false, false] {
            break;
        }
        at += 1;
        assert!(at < 4 * total, "the runs do not end");
    }
    assert!(at > total / 2, "only {at} of {total} operations failed");
}

/// A disk that can be opened again.
struct Again(Disk);

impl Medium for Again {
    fn open(&self) -> Result<Database, Trouble> {
        open_database(self.0.clone(), CACHE, Opening::MayBeNew)
    }

    fn reopen(&self) -> Result<Database, Trouble> {
        self.open()
    }

    fn open_frozen(&self) -> Result<Database, Trouble> {
        self.open()
    }

    fn examine(&self) -> Result<Option<Database>, Trouble> {
        Ok(None)
    }

    fn space(&self) -> Space {
        Space::Unknown
    }

    fn try_writing(&self, _bytes: usize) -> Result<(), EngineError> {
        if self.0.is_full() { Err(EngineError::Full) } else { Ok(()) }
    }
}

fn one_row(key: &[u8], length: usize) -> Batch {
    let write = Write::Put { key: key.to_vec(), value: vec![7; length], stamp: None };
    Batch { writes: vec![write], ..Batch::default() }
}

async fn length(engine: &RedbEngine, key: &[u8]) -> Option<usize> {
    let snapshot = engine.snapshot().await.unwrap();
    let values = snapshot.get(vec![key.to_vec()]).await.unwrap();
    values.first().unwrap().as_ref().map(Bytes::len)
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    runtime().block_on(async {
        let disk = Disk::new();
        let engine = RedbEngine::with_medium(Box::new(Again(disk.clone())), 0).unwrap();
        engine.commit(one_row(b"a", 100)).await.unwrap();
        disk.set_full(true);
        let large = engine.commit(one_row(b"b", 64 << 20)).await;
        assert!(matches!(large, Err(EngineError::Full)), "{large:?}");
        let small = engine.commit(one_row(b"c", 100)).await;
        assert!(matches!(small, Err(EngineError::Full)), "{small:?}");
        assert_eq!(length(&engine, b"a").await, Some(100));
        assert_eq!(length(&engine, b"b").await, None);
        disk.set_full(false);
        engine.commit(one_row(b"b", 64 << 20)).await.unwrap();
        assert_eq!(length(&engine, b"b").await, Some(64 << 20));
        assert_eq!(length(&engine, b"c").await, None);
        engine.close().await.unwrap();
    });
}

/// Answers, or says that an answer did not come.
async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), answer).await.expect("an answer")
}

#[test]
fn a_panic_while_writing_answers_everybody() {
    runtime().block_on(async {
        let disk = Disk::new();
        let engine = RedbEngine::with_backend(disk.clone(), CACHE).unwrap();
        soon(engine.commit(one_row(b"a", 100))).await.unwrap();
        disk.panic_after(0);
        for key in [b"b", b"c"] {
            let answer = soon(engine.commit(one_row(key, 100))).await;
            let failed = matches!(answer, Err(EngineError::Failed(_) | EngineError::Unavailable(_)));
            assert!(failed, "{answer:?}");
        }
        assert!(engine.snapshot().await.is_err());
        let closed = soon(engine.close()).await;
        assert!(matches!(closed, Err(EngineError::Failed(_))), "{closed:?}");
        assert!(matches!(engine.snapshot().await.err(), Some(EngineError::Closed)));
    });
}

#[test]
fn a_store_that_can_be_reopened_outlives_a_panic() {
    runtime().block_on(async {
        let disk = Disk::new();
        let engine = RedbEngine::with_medium(Box::new(Again(disk.clone())), 0).unwrap();
        soon(engine.commit(one_row(b"a", 100))).await.unwrap();
        disk.panic_after(0);
        let answer = soon(engine.commit(one_row(b"b", 100))).await;
        assert!(matches!(answer, Err(EngineError::Failed(_))), "{answer:?}");
        soon(engine.commit(one_row(b"c", 100))).await.unwrap();
        assert_eq!(length(&engine, b"a").await, Some(100));
        assert_eq!(length(&engine, b"c").await, Some(100));
        engine.close().await.unwrap();
    });
}
