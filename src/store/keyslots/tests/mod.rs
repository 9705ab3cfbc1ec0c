//! Tests of the key slots: what they do on a medium that works. Beside it, what damage does, what
//! a failing disk does, and a model.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::FileMedium;
use super::layout::{HEADER, SLOT};
use super::memory::MemoryMedium;
use super::wrap::Wrapper;
use super::*;

mod crash;
mod damage;
mod model;

const INSTALLATION: [u8; 16] = [7; 16];

/// The slots of an extent here: two sectors a copy.
const FEW: u32 = 16;

fn master(number: u8) -> MasterKey {
    MasterKey::new([number; KEY])
}

/// Random enough for tests, by SplitMix64; one row of numbers for all, so that none comes twice.
struct Dice;

static THROWN: AtomicU64 = AtomicU64::new(0);

impl Entropy for Dice {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(8) {
            let step = 0x9e37_79b9_7f4a_7c15_u64;
            let mut mixed = THROWN.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

struct Dry;

impl Entropy for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
        Err(NoEntropy("dry".into()))
    }
}

fn dice() -> Arc<dyn Entropy> {
    Arc::new(Dice)
}

fn create_on(medium: impl Medium + 'static, slots: u32) -> Result<KeySlots, KeySlotsError> {
    KeySlots::create_with(Box::new(medium), &master(1), INSTALLATION, dice(), slots)
}

fn open_on(medium: impl Medium + 'static, masters: &[MasterKey]) -> Result<KeySlots, KeySlotsError> {
    KeySlots::open(Box::new(medium), masters, dice())
}

/// Takes some slots.
fn taken(keys: &KeySlots, count: usize) -> Vec<(Slot, DataKey)> {
    (0..count).map(|_| keys.allocate().unwrap()).collect()
}

fn slots(live: &[(Slot, DataKey)]) -> Vec<Slot> {
    live.iter().map(|(slot, _)| *slot).collect()
}

fn occupy(keys: &KeySlots, live: &[(Slot, DataKey)]) {
    keys.occupy(&mut live.iter().map(|(slot, _)| *slot)).unwrap();
}

#[track_caller]
fn assert_all_there(keys: &KeySlots, live: &[(Slot, DataKey)]) {
    for (slot, key) in live {
        assert_eq!(keys.key(*slot), Some(*key), "{slot:?}");
    }
}

#[track_caller]
fn assert_whole(keys: &KeySlots, live: &[(Slot, DataKey)]) {
    let verdict = keys.verify(&slots(live)).unwrap();
    assert_eq!(verdict, Verdict { slots: verdict.slots, ..Verdict::default() });
}

/// All keys that any copy in the file gives, whichever epoch it bears.
fn keys_in(bytes: &[u8], masters: &[MasterKey]) -> Vec<[u8; KEY]> {
    let mut wrappers: BTreeMap<u16, Vec<Wrapper>> = BTreeMap::new();
    let mut found = Vec::new();
    for (place, copy) in (0..).zip(bytes[2 * HEADER..].as_chunks::<SLOT>().0) {
        let (epoch, _) = wrap::marks(copy).unwrap();
        let under = wrappers.entry(epoch).or_insert_with(|| {
            masters.iter().map(|master| Wrapper::new(master, INSTALLATION, epoch).unwrap()).collect()
        });
        let slot: u32 = place / (2 * FEW) * FEW + place % FEW;
        found.extend(under.iter().filter_map(|wrapper| wrapper.unwrap(slot, copy)).map(|found| found.key));
    }
    found
}

#[test]
fn keys_outlive_the_process() {
    let medium = MemoryMedium::new();
    let keys = create_on(medium.clone(), layout::SLOTS).unwrap();
    let live = taken(&keys, 5000);
    assert_all_there(&keys, &live);
    let again = open_on(medium.clone(), &[master(1)]).unwrap();
    assert_eq!(again.installation(), INSTALLATION);
    occupy(&again, &live);
    assert_all_there(&again, &live);
    assert_whole(&again, &live);
    assert_eq!(again.unreadable(), 0);
    assert_eq!(medium.bytes().len(), 2 * HEADER + 2 * 2 * SLOT * 4096);
    let mut different: Vec<_> = live.iter().map(|(_, key)| *key.as_bytes()).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), live.len());
    let (slot, key) = again.allocate().unwrap();
    assert!(!live.iter().any(|(taken, known)| *taken == slot || *known == key));
}

#[test]
fn nothing_in_the_file_is_a_key() {
    let medium = MemoryMedium::new();
    let live = taken(&create_on(medium.clone(), FEW).unwrap(), 10);
    let bytes = medium.bytes();
    let secrets = live.iter().map(|(_, key)| *key.as_bytes()).chain([*master(1).as_bytes()]);
    for secret in secrets {
        assert!(!bytes.windows(KEY).any(|window| window == secret));
    }
    assert_eq!(keys_in(&bytes, &[master(1)]).len(), 2 * FEW as usize);
}

#[test]
fn a_free_slot_gives_no_key_and_is_reused_last() {
    let keys = create_on(MemoryMedium::new(), FEW).unwrap();
    let live = taken(&keys, 3);
    assert!(!keys.is_free(live[1].0));
    keys.release(&[live[1].0]);
    keys.release(&[live[1].0, Slot(u32::MAX)]);
    assert!(keys.is_free(live[1].0));
    assert_eq!(keys.key(live[1].0), None);
    let next = taken(&keys, FEW as usize - 2);
    assert_eq!(next.iter().filter(|(slot, _)| *slot == live[1].0).count(), 1);
    assert_eq!(next.last().unwrap().0, live[1].0);
    assert_eq!(keys.key(Slot(FEW)), None);
    assert!(!keys.is_free(Slot(FEW)));
    assert_eq!(keys.allocate().unwrap().0, Slot(FEW));
}

#[test]
fn a_destroyed_key_is_nowhere() {
    let medium = MemoryMedium::new();
    let keys = create_on(medium.clone(), FEW).unwrap();
    let live = taken(&keys, 10);
    let dead = [live[2].0, live[3].0, live[2].0, live[7].0, Slot(4_000_000)];
    for _ in 0..2 {
        keys.destroy(&dead).unwrap();
        let found = keys_in(&medium.bytes(), &[master(1)]);
        for (slot, key) in &live {
            let is_dead = dead.contains(slot);
            assert_eq!(keys.key(*slot), (!is_dead).then_some(*key));
            assert_eq!(keys.is_free(*slot), is_dead);
            assert_eq!(found.contains(key.as_bytes()), !is_dead);
        }
    }
    let next = taken(&keys, 9);
    let reused: Vec<Slot> = slots(&next).into_iter().filter(|slot| dead.contains(slot)).collect();
    assert_eq!(reused, [live[2].0, live[3].0, live[7].0]);
    assert!(!next.iter().any(|(_, key)| live.iter().any(|(_, old)| old == key)));
}

#[test]
fn what_was_to_be_destroyed_before_a_crash_can_be_destroyed_after_it() {
    let medium = MemoryMedium::new();
    let live = taken(&create_on(medium.clone(), FEW).unwrap(), 3);
    let keys = open_on(medium.clone(), &[master(1)]).unwrap();
    occupy(&keys, &live[1..]);
    keys.destroy(&[live[0].0]).unwrap();
    assert!(keys.is_free(live[0].0));
    assert!(!keys_in(&medium.bytes(), &[master(1)]).contains(live[0].1.as_bytes()));
    let all = taken(&keys, FEW as usize - 2);
    assert_eq!(slots(&all).into_iter().filter(|slot| *slot == live[0].0).count(), 1);
}

#[test]
fn restored_keys_are_in_use() {
    let medium = MemoryMedium::new();
    let keys = create_on(medium.clone(), FEW).unwrap();
    let live = taken(&keys, 3);
    keys.release(&[live[0].0]);
    let given: Vec<DataKey> = (0..40).map(|number| DataKey::new([number; KEY])).collect();
    let installed = keys.install(&given).unwrap();
    let mut all: Vec<_> = installed.into_iter().zip(given).collect();
    all.extend(&live[1..]);
    let again = open_on(medium, &[master(1)]).unwrap();
    for keys in [keys, again] {
        assert_all_there(&keys, &all);
        assert_whole(&keys, &all);
    }
    let mut numbers = slots(&all);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 42);
}

#[test]
fn after_a_rotation_only_the_new_master_key_opens() {
    let medium = MemoryMedium::new();
    let keys = create_on(medium.clone(), FEW).unwrap();
    let mut live = taken(&keys, 30);
    assert_eq!(KeySlots::standing(&medium, &master(1)).unwrap(), Standing::Current);
    assert_eq!(KeySlots::standing(&medium, &master(2)).unwrap(), Standing::Unknown);
    keys.rotate(&master(2)).unwrap();
    assert_all_there(&keys, &live);
    live.extend(taken(&keys, 10));
    let before = medium.bytes();
    keys.rotate(&master(2)).unwrap();
    assert_eq!(medium.bytes(), before, "there was nothing to do");
    assert_eq!(KeySlots::standing(&medium, &master(1)).unwrap(), Standing::Unknown);
    assert_eq!(KeySlots::standing(&medium, &master(2)).unwrap(), Standing::Current);
    assert!(keys_in(&medium.bytes(), &[master(1)]).is_empty());
    assert!(matches!(open_on(medium.clone(), &[master(1)]), Err(KeySlotsError::WrongMaster)));
    let keys = open_on(medium.clone(), &[master(1), master(2)]).unwrap();
    occupy(&keys, &live);
    assert_all_there(&keys, &live);
    keys.rotate(&master(1)).unwrap();
    let keys = open_on(medium, &[master(1)]).unwrap();
    occupy(&keys, &live);
    assert_all_there(&keys, &live);
    assert_whole(&keys, &live);
}

#[test]
fn epochs_go_round() {
    assert_eq!(layout::epoch_after(1), 2);
    assert_eq!(layout::epoch_after(u16::MAX), 1);
    assert!(wrap::newer(0, u16::MAX) && !wrap::newer(u16::MAX, 0) && !wrap::newer(3, 3));
}

#[test]
fn without_randomness_nothing_changes() {
    let medium = MemoryMedium::new();
    let live = taken(&create_on(medium.clone(), FEW).unwrap(), FEW as usize);
    let keys = KeySlots::open(Box::new(medium.clone()), &[master(1)], Arc::new(Dry)).unwrap();
    occupy(&keys, &live);
    let before = medium.bytes();
    assert!(matches!(keys.allocate(), Err(KeySlotsError::NoEntropy(_))));
    assert!(matches!(keys.destroy(&[live[0].0]), Err(KeySlotsError::NoEntropy(_))));
    assert_eq!(medium.bytes(), before);
    assert_eq!(keys.key(live[0].0), None);
    assert!(!keys.is_free(live[0].0), "its key still lies in the file");
    assert_all_there(&keys, &live[1..]);
}

#[test]
fn the_file_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cardkeep.keys");
    assert!(matches!(FileMedium::open(&path), Err(KeySlotsError::Missing)));
    let keys = create_on(FileMedium::create(&path).unwrap(), FEW).unwrap();
    let live = taken(&keys, 20);
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let keys = open_on(FileMedium::open(&path).unwrap(), &[master(1)]).unwrap();
    assert_eq!(mode(), 0o600);
    occupy(&keys, &live);
    keys.destroy(&[live[0].0]).unwrap();
    assert_all_there(&keys, &live[1..]);
    assert_whole(&keys, &live[1..]);
    let found = keys_in(&std::fs::read(&path).unwrap(), &[master(1)]);
    assert!(!found.contains(live[0].1.as_bytes()) && found.contains(live[1].1.as_bytes()));
}
