//! What damage to the file does: no live key is lost while one copy is whole, and every error says
//! what it is.

use super::*;

/// A file with two extents, the second in use in part.
fn file() -> (Vec<u8>, Vec<(Slot, DataKey)>) {
    let medium = MemoryMedium::new();
    let keys = create_on(medium.clone(), FEW).unwrap();
    let live = taken(&keys, FEW as usize + 5);
    (medium.bytes(), live)
}

fn reopened(medium: &MemoryMedium, live: &[(Slot, DataKey)]) -> KeySlots {
    let keys = open_on(medium.clone(), &[master(1)]).unwrap();
    occupy(&keys, live);
    keys
}

/// Where a slot's copy lies.
fn place(slot: u32, side: Side) -> usize {
    let sided = if side == Side::A { 0 } else { FEW };
    2 * HEADER + SLOT * (slot / FEW * 2 * FEW + sided + slot % FEW) as usize
}

#[test]
fn no_single_byte_costs_a_key() {
    let (bytes, live) = file();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let medium = MemoryMedium::with(flipped);
        // The header's zeros are much alike, so that the whole way is gone for some of them.
        if at >= 2 * HEADER || at % HEADER < 112 || at % 16 == 0 {
            let keys = reopened(&medium, &live);
            assert_all_there(&keys, &live);
            assert_eq!(keys.unreadable(), 0);
            assert_whole(&keys, &live);
        }
        assert_eq!(KeySlots::standing(&medium, &master(1)).unwrap(), Standing::Current);
    }
}

#[test]
fn a_whole_copy_may_rot() {
    let (bytes, live) = file();
    for side in [Side::A, Side::B] {
        let mut rotten = bytes.clone();
        for slot in [0, FEW] {
            let start = place(slot, side);
            rotten[start..start + SLOT * FEW as usize].fill(0xff);
        }
        let header = layout::header_at(side) as usize;
        rotten[header..header + HEADER].fill(0xff);
        let medium = MemoryMedium::with(rotten);
        assert_all_there(&reopened(&medium, &live), &live);
        assert_whole(&reopened(&medium, &live), &live);
    }
}

#[test]
fn damage_under_a_running_server_is_seen_and_healed() {
    let (bytes, live) = file();
    let medium = MemoryMedium::with(bytes);
    let keys = reopened(&medium, &live);
    medium.write_at(place(3, Side::A) as u64, &[0; SLOT]).unwrap();
    medium.write_at(place(4, Side::B) as u64, &[0; 2 * SLOT]).unwrap();
    medium.write_at(place(5, Side::A) as u64, &[0; SLOT]).unwrap();
    medium.write_at(HEADER as u64, &[0; 7]).unwrap();
    let verdict = keys.verify(&slots(&live)).unwrap();
    assert_eq!(verdict, Verdict { slots: 2 * FEW as usize, damaged: 3, lost: 0, header_damaged: true });
    assert_eq!(keys.heal().unwrap(), 5);
    assert_whole(&keys, &live);
    assert_eq!(keys.heal().unwrap(), 0);
    assert_all_there(&reopened(&medium, &live), &live);
}

#[test]
fn one_lost_slot_leaves_the_others() {
    let (mut bytes, live) = file();
    for side in [Side::A, Side::B] {
        bytes[place(2, side) + 30] ^= 1;
        bytes[place(FEW + 9, side)] ^= 1;
    }
    let medium = MemoryMedium::with(bytes);
    let keys = reopened(&medium, &live);
    assert_eq!(keys.key(Slot(2)), None);
    assert!(!keys.is_free(Slot(2)));
    assert!(keys.is_free(Slot(FEW + 9)));
    assert_eq!(keys.unreadable(), 1);
    assert_eq!(keys.verify(&slots(&live)).unwrap().lost, 1);
    let others: Vec<_> = live.iter().copied().filter(|(slot, _)| *slot != Slot(2)).collect();
    assert_all_there(&keys, &others);
    // The lost one is never handed out, the unreadable free one with a new key, before the file grows.
    let next = taken(&keys, FEW as usize - 5);
    assert_eq!(next.last().unwrap().0, Slot(FEW + 9));
    assert_eq!(medium.bytes().len(), place(2 * FEW, Side::A));
    keys.rotate(&master(2)).unwrap();
    assert_eq!(keys.unreadable(), 1);
    keys.destroy(&[Slot(2)]).unwrap();
    assert_eq!(keys.unreadable(), 0);
    assert!(keys.is_free(Slot(2)));
    let all = [others, next].concat();
    let keys = open_on(medium, &[master(2)]).unwrap();
    occupy(&keys, &all);
    assert_all_there(&keys, &all);
    assert_whole(&keys, &all);
}

#[test]
fn a_cut_off_file_keeps_what_is_there() {
    let (bytes, live) = file();
    for length in (0..bytes.len()).step_by(7).chain([HEADER, 2 * HEADER, 2 * HEADER + 1]) {
        let medium = MemoryMedium::with(bytes[..length].to_vec());
        let opened = open_on(medium.clone(), &[master(1)]);
        if length <= 2 * HEADER {
            let expected = if length == 0 { "missing" } else { "damaged" };
            let error = opened.err().unwrap().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{length}: {error}");
            continue;
        }
        let keys = opened.unwrap();
        occupy(&keys, &live);
        let is_there = |slot: u32| place(slot, Side::A) + SLOT <= length;
        let mut known = Vec::new();
        for (slot, key) in &live {
            assert_eq!(keys.key(*slot), is_there(slot.0).then_some(*key), "{length}");
            known.extend(is_there(slot.0).then_some((*slot, *key)));
        }
        assert_eq!(keys.unreadable(), live.len() - known.len());
        // What is missing is never handed out to others.
        let next = taken(&keys, 40);
        assert!(!slots(&next).iter().any(|slot| slots(&live).contains(slot)));
        known.extend(next);
        let keys = open_on(medium, &[master(1)]).unwrap();
        occupy(&keys, &[known.as_slice(), &live].concat());
        assert_all_there(&keys, &known);
    }
}

#[test]
fn of_two_copies_the_newer_holds() {
    let (before, live) = file();
    let medium = MemoryMedium::with(before.clone());
    let keys = reopened(&medium, &live);
    keys.destroy(&[Slot(1), Slot(2)]).unwrap();
    keys.occupy(&mut slots(&live).into_iter()).unwrap();
    let after: Vec<_> = slots(&live).into_iter().map(|slot| (slot, keys.key(slot).unwrap())).collect();
    // The disk lost one write of each, though it answered for them.
    for (slot, side) in [(1, Side::A), (2, Side::B)] {
        let start = place(slot, side);
        medium.write_at(start as u64, &before[start..start + SLOT]).unwrap();
    }
    assert_all_there(&reopened(&medium, &after), &after);
    let found = keys_in(&medium.bytes(), &[master(1)]);
    for (_, old) in &live[1..3] {
        assert!(!found.contains(old.as_bytes()), "opening overwrites what was to be destroyed");
    }
}

#[test]
fn a_key_moved_to_another_slot_does_not_open() {
    let (mut bytes, live) = file();
    for side in [Side::A, Side::B] {
        bytes.copy_within(place(4, side)..place(5, side), place(9, side));
    }
    let keys = reopened(&MemoryMedium::with(bytes), &live);
    assert_eq!(keys.key(Slot(9)), None);
    assert_eq!(keys.key(Slot(4)), Some(live[4].1));
}

#[test]
fn the_wrong_master_key_is_named_and_changes_nothing() {
    let (bytes, _) = file();
    let medium = MemoryMedium::with(bytes.clone());
    for masters in [&[][..], &[master(2)], &[master(3), master(4)]] {
        assert!(matches!(open_on(medium.clone(), masters), Err(KeySlotsError::WrongMaster)));
    }
    assert_eq!(medium.bytes(), bytes);
}

/// Makes a header copy one of another format.
fn with_format(bytes: &mut [u8], side: Side, format: u32, sequence: u64) {
    let start = layout::header_at(side) as usize;
    let header = &mut bytes[start..start + HEADER];
    header[8..12].copy_from_slice(&format.to_be_bytes());
    header[16..24].copy_from_slice(&sequence.to_be_bytes());
    let checksum = blake3::hash(&header[..HEADER - 32]);
    header[HEADER - 32..].copy_from_slice(checksum.as_bytes());
}

#[test]
fn a_newer_format_is_named() {
    let (bytes, live) = file();
    for sides in [&[Side::A][..], &[Side::B], &[Side::A, Side::B]] {
        let mut newer = bytes.clone();
        sides.iter().for_each(|side| with_format(&mut newer, *side, 2, 9));
        let medium = MemoryMedium::with(newer);
        let error = open_on(medium.clone(), &[master(1)]).err().unwrap();
        assert!(matches!(error, KeySlotsError::TooNew { found: 2 }));
        assert!(error.to_string().contains("reads up to 1: use a newer cardkeep"));
        assert!(KeySlots::standing(&medium, &master(1)).is_err());
    }
    let mut unknown = bytes;
    with_format(&mut unknown, Side::A, 0, 9);
    assert_all_there(&reopened(&MemoryMedium::with(unknown), &live), &live);
}

#[test]
fn bytes_of_any_kind_are_no_file() {
    for seed in 0..200_usize {
        let mut bytes = vec![0; seed * 97];
        dice().fill(&mut bytes).unwrap();
        let opened = open_on(MemoryMedium::with(bytes), &[master(1)]);
        assert!(matches!(opened, Err(KeySlotsError::Damaged(_) | KeySlotsError::Missing)));
    }
}
