//! The power fails at every operation of everything that writes, with many seeds of what survives;
//! the disk is full, or does not read.

use std::io;

use ::redb::StorageBackend;

use super::*;
use crate::store::engine::redb::faulty::Disk;

const SEEDS: u64 = 200;

/// A disk that fails as a medium. Writes into slots are cut into pieces, so that even a slot's
/// copy can be torn; 0 cuts none.
#[derive(Clone)]
struct Faulty {
    disk: Disk,
    piece: usize,
}

impl Medium for Faulty {
    fn len(&self) -> io::Result<u64> {
        StorageBackend::len(&self.disk)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > Medium::len(self)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.disk.read(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.piece == 0 || offset < 2 * HEADER as u64 {
            return self.disk.write(offset, bytes);
        }
        let mut pieces = (0_u64..).zip(bytes.chunks(self.piece));
        pieces.try_for_each(|(at, piece)| self.disk.write(offset + at * self.piece as u64, piece))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_data()
    }
}

impl Faulty {
    fn restarted(&self) -> Self {
        Self { disk: self.disk.restarted(), piece: self.piece }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; Medium::len(self).unwrap() as usize];
        self.read_at(0, &mut bytes).unwrap();
        bytes
    }
}

/// A file in which so many slots are in use.
fn prepared(piece: usize, count: usize) -> (Faulty, Vec<(Slot, DataKey)>) {
    let medium = Faulty { disk: Disk::new(), piece };
    let live = taken(&create_on(medium.clone(), FEW).unwrap(), count);
    medium.disk.sync_data().unwrap();
    (medium, live)
}

fn reopened(medium: &Faulty, masters: &[MasterKey], live: &[(Slot, DataKey)]) -> KeySlots {
    let keys = open_on(medium.clone(), masters).unwrap();
    occupy(&keys, live);
    assert_all_there(&keys, live);
    keys
}

/// Lets the power fail at each operation of a work in turn, until it gets by without; then checks
/// what is left. `work` answers whether it was told that all went well.
fn at_every_operation(
    base: &Faulty,
    seeds: u64,
    work: impl Fn(Faulty) -> bool,
    check: impl Fn(Faulty, bool, u64),
) {
    for operation in 0.. {
        let mut ended = false;
        for seed in 0..seeds {
            let medium = base.restarted();
            medium.disk.fail_after(operation, seed * 1000 + operation);
            let well = work(medium.clone());
            ended = !medium.disk.is_dead();
            check(medium.restarted(), well, seed);
            if ended {
                assert!(well);
                break;
            }
        }
        if ended {
            assert!(operation > 1, "the work wrote something");
            return;
        }
    }
}

#[test]
fn creation_can_be_done_again() {
    // On nothing, and on what an earlier creation left.
    let left = prepared(0, 1).0;
    for base in [Faulty { disk: Disk::new(), piece: 0 }, left] {
        let create =
            |medium: Faulty| KeySlots::create_with(Box::new(medium), &master(9), [9; 16], dice(), FEW);
        let check = |medium: Faulty, well: bool, _| {
            match open_on(medium.clone(), &[master(9)]) {
                Ok(keys) => {
                    occupy(&keys, &[]);
                    assert_eq!(keys.table().free(), FEW as usize, "the header vouches for the slots");
                    assert_eq!(keys.installation(), [9; 16]);
                }
                Err(error) => {
                    use KeySlotsError::{Damaged, Missing, WrongMaster};
                    assert!(!well && matches!(error, Missing | Damaged(_) | WrongMaster), "{error}");
                }
            }
            let live = taken(&create(medium.clone()).unwrap(), 3);
            reopened(&medium, &[master(9)], &live);
        };
        at_every_operation(&base, SEEDS, |medium| create(medium).is_ok(), check);
    }
}

#[test]
fn growth_loses_nothing() {
    for (piece, seeds) in [(0, SEEDS), (500, 20), (40, 2)] {
        let (base, live) = prepared(piece, FEW as usize);
        let grown = Mutex::new(None);
        let work = |medium: Faulty| {
            let keys = reopened(&medium, &[master(1)], &live);
            let got = keys.allocate();
            *grown.lock().unwrap() = got.as_ref().ok().copied();
            assert_all_there(&keys, &live);
            got.is_ok()
        };
        let check = |medium: Faulty, _, _| {
            let got = grown.lock().unwrap().take();
            let mut all = live.clone();
            all.extend(got);
            let keys = reopened(&medium, &[master(1)], &all);
            let next = taken(&keys, 3 * FEW as usize);
            assert!(!slots(&next).iter().any(|slot| slots(&all).contains(slot)));
            all.extend(next);
            assert_whole(&reopened(&medium, &[master(1)], &all), &all);
        };
        at_every_operation(&base, seeds, work, check);
    }
}

#[test]
fn destroying_takes_those_keys_and_no_other() {
    for (piece, seeds) in [(0, SEEDS), (20, 20)] {
        let (base, live) = prepared(piece, FEW as usize + 6);
        let dead = [1_usize, 2, 9, 18];
        let numbers: Vec<Slot> = dead.iter().map(|at| live[*at].0).collect();
        let kept: Vec<_> = live.iter().copied().filter(|(slot, _)| !numbers.contains(slot)).collect();
        let work = |medium: Faulty| {
            let keys = reopened(&medium, &[master(1)], &live);
            let destroyed = keys.destroy(&numbers).is_ok();
            assert_all_there(&keys, &kept);
            assert!(numbers.iter().all(|slot| keys.key(*slot).is_none()));
            assert!(numbers.iter().all(|slot| keys.is_free(*slot) == destroyed));
            destroyed
        };
        let assert_gone = |medium: &Faulty| {
            let found = keys_in(&medium.bytes(), &[master(1)]);
            assert!(dead.iter().all(|at| !found.contains(live[*at].1.as_bytes())));
        };
        let check = |medium: Faulty, well: bool, seed| {
            if well || seed % 20 == 0 {
                if well {
                    assert_gone(&medium);
                }
                let keys = reopened(&medium, &[master(1)], &kept);
                keys.destroy(&numbers).unwrap();
                assert_gone(&medium);
            }
            let keys = reopened(&medium, &[master(1)], &kept);
            keys.destroy(&numbers).unwrap();
            assert!(numbers.iter().all(|slot| keys.is_free(*slot)));
            let next = taken(&keys, 2 * FEW as usize - kept.len());
            assert!(numbers.iter().all(|slot| slots(&next).contains(slot)));
            let all = [kept.clone(), next].concat();
            assert_whole(&reopened(&medium, &[master(1)], &all), &all);
        };
        at_every_operation(&base, seeds, work, check);
    }
}

#[test]
fn installed_keys_are_there_once_it_is_said() {
    let (base, live) = prepared(20, 6);
    let given: Vec<DataKey> = (0..4).map(|byte| DataKey::new([byte; KEY])).collect();
    let installed = Mutex::new(Vec::new());
    let work = |medium: Faulty| {
        let got = reopened(&medium, &[master(1)], &live).install(&given);
        *installed.lock().unwrap() = got.clone().unwrap_or_default();
        got.is_ok()
    };
    let check = |medium: Faulty, _, _| {
        let pairs = installed.lock().unwrap().iter().copied().zip(given.iter().copied()).collect();
        let all = [live.clone(), pairs].concat();
        reopened(&medium, &[master(1)], &all);
    };
    at_every_operation(&base, 50, work, check);
}

#[test]
fn a_rotation_finishes_whatever_happens() {
    for (piece, seeds) in [(0, SEEDS), (100, 4)] {
        let (base, live) = prepared(piece, FEW as usize + 6);
        let both = [master(2), master(1)];
        let work = |medium: Faulty| {
            let keys = reopened(&medium, &[master(1)], &live);
            let rotated = keys.rotate(&master(2));
            assert_all_there(&keys, &live);
            rotated.is_ok()
        };
        let check = |medium: Faulty, well: bool, seed: u64| {
            // With one of the two keys, either all is there or it says that the other is missing.
            for number in [1, 2] {
                let alone = medium.restarted();
                match open_on(alone, &[master(number)]) {
                    Ok(keys) => assert_all_there(&keys, &live),
                    Err(error) => {
                        use KeySlotsError::{HalfRotated, WrongMaster};
                        assert!(matches!(error, HalfRotated | WrongMaster), "{error}");
                        assert!(!(well && number == 2));
                    }
                }
            }
            // The power fails again while the rotation goes on, then it is left in peace.
            medium.disk.fail_after(seed % 24, seed);
            if let Ok(keys) = open_on(medium.clone(), &both) {
                occupy(&keys, &live);
                let _ = keys.destroy(&[]).and_then(|_| keys.rotate(&master(2)));
                assert_all_there(&keys, &live);
            }
            let medium = medium.restarted();
            let keys = reopened(&medium, &both, &live);
            let standing = KeySlots::standing(&medium, &master(2)).unwrap();
            assert!(!well || standing == Standing::Current);
            keys.rotate(&master(2)).unwrap();
            assert_all_there(&keys, &live);
            assert!(keys_in(&medium.bytes(), &[master(1)]).is_empty());
            assert!(matches!(open_on(medium.clone(), &[master(1)]), Err(KeySlotsError::WrongMaster)));
            assert_whole(&reopened(&medium, &[master(2)], &live), &live);
        };
        at_every_operation(&base, seeds, work, check);
    }
}

#[test]
fn a_rotation_may_be_given_up_for_another() {
    let (base, live) = prepared(0, FEW as usize + 6);
    let work = |medium: Faulty| reopened(&medium, &[master(1)], &live).rotate(&master(2)).is_ok();
    let check = |medium: Faulty, _, _| {
        let keys = reopened(&medium, &[master(1), master(2)], &live);
        keys.rotate(&master(3)).unwrap();
        assert_whole(&reopened(&medium, &[master(3)], &live), &live);
    };
    at_every_operation(&base, 20, work, check);
}

#[test]
fn healing_loses_nothing() {
    let (base, live) = prepared(30, FEW as usize + 6);
    // One copy of every slot is rotten.
    for slot in 0..2 * FEW {
        let side = if slot % 3 == 0 { FEW } else { 0 };
        let place = 2 * HEADER as u64 + 64 * u64::from(slot / FEW * 2 * FEW + side + slot % FEW);
        base.disk.write(place + 33, &[1; 9]).unwrap();
    }
    base.disk.write(100, &[1; 9]).unwrap();
    let work = |medium: Faulty| {
        let Ok(keys) = open_on(medium.clone(), &[master(1)]) else {
            return false;
        };
        assert_all_there(&keys, &live);
        !medium.disk.is_dead()
    };
    let check = |medium: Faulty, _, _| {
        reopened(&medium, &[master(1)], &live);
        assert_whole(&reopened(&medium, &[master(1)], &live), &live);
    };
    at_every_operation(&base, 5, work, check);
}

#[test]
fn a_full_disk_stops_growth_alone() {
    let (medium, live) = prepared(40, FEW as usize);
    let keys = reopened(&medium, &[master(1)], &live);
    medium.disk.set_full(true);
    for _ in 0..3 {
        assert!(matches!(keys.allocate(), Err(KeySlotsError::Full)));
    }
    assert_all_there(&keys, &live);
    keys.rotate(&master(2)).unwrap();
    keys.destroy(&[live[0].0]).unwrap();
    assert_eq!(keys.allocate().unwrap().0, live[0].0);
    assert!(matches!(keys.install(&[live[0].1]), Err(KeySlotsError::Full)));
    medium.disk.set_full(false);
    let mut all = live[1..].to_vec();
    all.extend(taken(&keys, 20));
    assert_whole(&reopened(&medium, &[master(2)], &all), &all);
}

/// A medium on which some calls fail, though the power does not.
struct Moody {
    bytes: MemoryMedium,
    /// How many writes and syncs go well; then one fails.
    good: Arc<AtomicU64>,
    /// No read that touches this offset succeeds.
    unreadable: Option<u64>,
}

impl Moody {
    fn tried(&self) -> io::Result<()> {
        match self.good.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(io::Error::other("moody")),
            _ => Ok(()),
        }
    }
}

impl Medium for Moody {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let touched = offset..offset + out.len() as u64;
        if self.unreadable.is_some_and(|bad| touched.contains(&bad)) {
            return Err(io::Error::other("a bad sector"));
        }
        self.bytes.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.tried()?;
        self.bytes.write_at(offset, bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.bytes.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.tried()
    }
}

#[test]
fn every_call_can_be_made_again_after_an_error() {
    for fails in 0..60 {
        let (bytes, good) = (MemoryMedium::new(), Arc::new(AtomicU64::new(u64::MAX)));
        let medium = Moody { bytes: bytes.clone(), good: Arc::clone(&good), unreadable: None };
        let keys = create_on(medium, FEW).unwrap();
        let live = taken(&keys, FEW as usize);
        good.store(fails, Ordering::Relaxed);
        let again = |call: &dyn Fn() -> bool| call() || call();
        assert!(again(&|| keys.rotate(&master(2)).is_ok()));
        assert!(again(&|| keys.destroy(&[live[3].0, live[4].0]).is_ok()));
        let installed = keys.install(&[live[0].1]).or_else(|_| keys.install(&[live[0].1])).unwrap();
        let one = keys.allocate().or_else(|_| keys.allocate()).unwrap();
        let two = keys.allocate().or_else(|_| keys.allocate()).unwrap();
        let mut all = vec![(installed[0], live[0].1), one, two];
        all.extend(live.iter().filter(|(slot, _)| ![live[3].0, live[4].0].contains(slot)));
        assert_all_there(&keys, &all);
        let found = keys_in(&bytes.bytes(), &[master(1), master(2)]);
        assert!(!found.contains(live[3].1.as_bytes()));
        let keys = open_on(bytes, &[master(2)]).unwrap();
        occupy(&keys, &all);
        assert_all_there(&keys, &all);
        assert_eq!(keys.unreadable(), 0);
    }
}

#[test]
fn a_bad_sector_costs_no_key() {
    let bytes = MemoryMedium::new();
    let live = taken(&create_on(bytes.clone(), layout::SLOTS).unwrap(), 100);
    let extent = 2 * HEADER as u64;
    for bad in [5, HEADER as u64 + 5, extent + 70, extent + u64::from(layout::SLOTS) * 64 + 900] {
        let good = Arc::new(AtomicU64::new(u64::MAX));
        let medium = Moody { bytes: bytes.clone(), good, unreadable: Some(bad) };
        let keys = open_on(medium, &[master(1)]).unwrap();
        occupy(&keys, &live);
        assert_all_there(&keys, &live);
        assert_eq!(keys.unreadable(), 0);
    }
}

/// A medium that sees whether both copies of anything are ever being written at once: a disk may
/// spoil the sectors around every write that is under way.
struct Watchful {
    bytes: MemoryMedium,
    /// Which copies were written since the last sync.
    written: Mutex<Vec<Side>>,
}

impl Medium for Watchful {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let is_new = offset >= self.bytes.len()?;
        self.bytes.write_at(offset, bytes)?;
        if is_new {
            return Ok(());
        }
        let unit = if offset < 2 * HEADER as u64 { HEADER as u64 } else { u64::from(FEW) * 64 };
        assert_eq!(offset / unit, (offset + bytes.len() as u64 - 1) / unit, "a write stays in its copy");
        let side = if (offset / unit).is_multiple_of(2) { Side::A } else { Side::B };
        let mut written = self.written.lock().unwrap();
        written.push(side);
        assert!(!written.contains(&side.other()), "the other copy is not durable yet");
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.bytes.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.written.lock().unwrap().clear();
        Ok(())
    }
}

#[test]
fn one_copy_is_always_left_alone() {
    let bytes = MemoryMedium::new();
    let watchful = || Watchful { bytes: bytes.clone(), written: Mutex::default() };
    let keys = create_on(watchful(), FEW).unwrap();
    let live = taken(&keys, 2 * FEW as usize);
    keys.destroy(&slots(&live[5..9])).unwrap();
    keys.install(&[live[0].1, live[1].1]).unwrap();
    keys.rotate(&master(2)).unwrap();
    bytes.write_at(2 * HEADER as u64, &[0; 9 * 64]).unwrap();
    bytes.write_at(2 * HEADER as u64 + u64::from(FEW + 9) * 64, &[0; 7 * 64]).unwrap();
    bytes.write_at(9, &[1; 9]).unwrap();
    drop(open_on(watchful(), &[master(2)]).unwrap());
    bytes.write_at(2 * HEADER as u64, &[0; 9 * 64]).unwrap();
    bytes.write_at(2 * HEADER as u64 + u64::from(FEW + 9) * 64, &[0; 7 * 64]).unwrap();
    assert_eq!(keys.heal().unwrap(), 16);
}
