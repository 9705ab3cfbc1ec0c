//! A test aid: a disk that fails as disks do. What was written but not synced is lost in part when
//! the power fails, some of it torn between sectors; writes that need new space can fail for want
//! of it; a write can panic. It is a backend for `RedbEngine::with_backend`. Both the engine's own
//! tests and the protocol tests use this file.
#![allow(dead_code, reason = "each of the two users takes what it needs")]
#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test aid")]

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redb::StorageBackend;

/// The unit that a disk writes wholly or not at all.
const SECTOR: usize = 512;

/// A file of a disk; clones are the same file.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>, usize);

/// What a disk holds of one file.
#[derive(Default)]
struct File {
    /// What survives a power failure for certain.
    durable: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Change>,
}

#[derive(Default)]
struct State {
    files: [File; 2],
    /// Writes, length changes and syncs so far.
    operations: u64,
    fails_at: Option<u64>,
    panics_at: Option<u64>,
    dead: bool,
    /// No byte at or after this offset can be written.
    end: Option<u64>,
    random: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("operations", &self.operations).finish_non_exhaustive()
    }
}

enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl Disk {
    /// An empty disk that does not fail; this is its first file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk's other file: its power fails with that of the first.
    pub fn other(&self) -> Self {
        Self(self.0.clone(), 1 - self.1)
    }

    /// What a reader of the raw disk finds of this file.
    pub fn bytes(&self) -> Vec<u8> {
        let state = self.lock();
        let file = &state.files[self.1];
        if state.dead { file.durable.clone() } else { file.seen.clone() }
    }

    /// Lets the power fail at the given operation from now on (0 is the next one); the seed
    /// decides what survives.
    pub fn fail_after(&self, operations: u64, seed: u64) {
        let mut state = self.lock();
        state.fails_at = Some(state.operations + operations);
        state.random = seed;
    }

    /// Lets the given operation from now on panic.
    pub fn panic_after(&self, operations: u64) {
        let mut state = self.lock();
        state.panics_at = Some(state.operations + operations);
    }

    /// Lets the power fail now.
    pub fn fail_now(&self, seed: u64) {
        let mut state = self.lock();
        state.random = seed;
        state.lose_power();
    }

    /// Turns the power on again: a new disk that has what survived and does not fail.
    pub fn restarted(&self) -> Self {
        let state = self.lock();
        let files = [0, 1].map(|file| {
            let file = &state.files[file];
            let durable = if state.dead { &file.durable } else { &file.seen };
            File { durable: durable.clone(), seen: durable.clone(), unsynced: Vec::new() }
        });
        Self(Arc::new(Mutex::new(State { files, ..State::default() })), self.1)
    }

    /// Whether there is no room beyond what the disk holds now.
    pub fn set_full(&self, full: bool) {
        let mut state = self.lock();
        state.end = full.then_some(state.files[self.1].seen.len() as u64);
    }

    /// Whether it was set full.
    pub fn is_full(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Whether the power has failed.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// How many writes, length changes and syncs there were.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation; a change is kept as unsynced before the power may fail on it.
    fn operate(&self, change: Option<Change>) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        state.alive()?;
        let operation = state.operations;
        state.operations += 1;
        if state.panics_at == Some(operation) {
            panic!("the backend was told to panic");
        }
        if let Some(change) = change {
            let file = &mut state.files[self.1];
            change.apply(&mut file.seen);
            file.unsynced.push(change);
        }
        if state.fails_at == Some(operation) {
            state.lose_power();
        }
        state.alive()?;
        Ok(state)
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the power failed"));
        }
        Ok(())
    }

    /// Decides which unsynced changes survive: none, all, or each by a throw of dice; a surviving
    /// write may end at a sector's border.
    fn lose_power(&mut self) {
        self.dead = true;
        let (survive, tear) = match self.dice(5) {
            0 => (0, 0),
            1 => (100, 0),
            2 => (100, 30),
            3 => (50, 30),
            _ => (85, 15),
        };
        let changes = |file: usize, state: &mut Self| {
            std::mem::take(&mut state.files[file].unsynced).into_iter().map(move |change| (file, change))
        };
        let all: Vec<_> = changes(0, self).chain(changes(1, self)).collect();
        for (file, change) in all {
            if self.dice(100) >= survive {
                continue;
            }
            let torn = self.dice(100) < tear;
            let change = match change {
                Change::Write { offset, mut data } if torn => {
                    // The first border inside the write, then whole sectors.
                    let first = SECTOR - offset % SECTOR;
                    let borders = data.len().saturating_sub(first).div_ceil(SECTOR) as u64 + 1;
                    let kept = self.dice(borders) as usize;
                    data.truncate(if kept == 0 { 0 } else { first + (kept - 1) * SECTOR });
                    Change::Write { offset, data }
                }
                change => change,
            };
            change.apply(&mut self.files[file].durable);
        }
    }

    /// A number below `sides`, by SplitMix64.
    fn dice(&mut self, sides: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Write { offset, data } => {
                if image.len() < offset + data.len() {
                    image.resize(offset + data.len(), 0);
                }
                image[*offset..offset + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let state = self.lock();
        state.alive()?;
        Ok(state.files[self.1].seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        state.alive()?;
        let found = state.files[self.1].seen.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate(Some(Change::Length(len as usize))).map(drop)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.operate(None)?;
        let file = &mut state.files[self.1];
        for change in std::mem::take(&mut file.unsynced) {
            change.apply(&mut file.durable);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let past = offset + data.len() as u64;
        if self.lock().end.is_some_and(|end| past > end) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (offset, data) = (offset as usize, data.to_vec());
        self.operate(Some(Change::Write { offset, data })).map(drop)
    }
}
