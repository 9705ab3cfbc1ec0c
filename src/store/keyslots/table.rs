//! The keys in memory: what reading and allocating go by. Knows no file.

use std::collections::{BTreeSet, VecDeque};

use super::wrap::{Filled, wipe};
use super::{DataKey, KEY, Slot};

/// What a slot is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// An object's key.
    Live,
    /// Handed out for a commit that is on its way: its key is new, and no object's yet.
    Reserved,
    /// A key that nobody uses yet.
    Free,
    /// Free, but the file holds no readable key: one is written before it is handed out.
    Blank,
    /// An object's key that no copy gives any more.
    Lost,
    /// Is being overwritten, or was to be.
    Dying,
}

struct Entry {
    key: [u8; KEY],
    version: u16,
    state: State,
}

impl Entry {
    fn in_hand(&self) -> bool {
        matches!(self.state, State::Live | State::Reserved)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        wipe(&mut self.key);
    }
}

/// All slots.
pub(super) struct Table {
    /// The slots of an extent.
    slots: u32,
    extents: Vec<Box<[Entry]>>,
    /// First in, first out.
    free: VecDeque<u32>,
    blank: Vec<u32>,
    /// Live slots that the file is too short for.
    beyond: BTreeSet<u32>,
}

impl Table {
    pub(super) fn new(slots: u32) -> Self {
        let (free, blank) = (VecDeque::new(), Vec::new());
        Self { slots, extents: Vec::new(), free, blank, beyond: BTreeSet::new() }
    }

    pub(super) fn extents(&self) -> usize {
        self.extents.len()
    }

    pub(super) fn slots(&self) -> usize {
        self.extents.len() * self.slots as usize
    }

    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.extents.get((slot / self.slots) as usize)?.get((slot % self.slots) as usize)
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.extents.get_mut((slot / self.slots) as usize)?.get_mut((slot % self.slots) as usize)
    }

    /// Takes in the next extent as it was read. Whose the slots are is not known yet: until
    /// `occupy`, all are taken for live.
    pub(super) fn read(&mut self, found: Vec<Option<Filled>>) {
        let entries = found.into_iter().map(|filled| match filled {
            Some(filled) => Entry { key: filled.key, version: filled.version, state: State::Live },
            None => Entry { key: [0; KEY], version: 0, state: State::Lost },
        });
        self.extents.push(entries.collect());
    }

    /// Takes in an extent that was appended: its keys are free, but for slots that rows name and
    /// the file had no room for.
    pub(super) fn grow(&mut self, filled: &[Filled]) {
        let first = self.slots() as u32;
        let mut entries: Vec<Entry> = Vec::with_capacity(self.slots as usize);
        entries.resize_with(self.slots as usize, || Entry { key: [0; KEY], version: 0, state: State::Lost });
        self.extents.push(entries.into_boxed_slice());
        self.beyond.retain(|slot| *slot < first || *slot - first >= self.slots);
        self.fill(filled, true);
    }

    /// Says which slots are in use; all others are free from now on.
    pub(super) fn occupy(&mut self, live: &mut dyn Iterator<Item = Slot>) {
        for entry in self.extents.iter_mut().flatten() {
            entry.state = match entry.state {
                State::Live | State::Reserved | State::Free => State::Free,
                State::Lost | State::Blank => State::Blank,
                State::Dying => State::Dying,
            };
        }
        self.beyond.clear();
        for Slot(slot) in live {
            match self.entry_mut(slot) {
                Some(entry) if entry.state == State::Free => entry.state = State::Live,
                Some(entry) if entry.state == State::Blank => entry.state = State::Lost,
                Some(_) => {}
                None => drop(self.beyond.insert(slot)),
            }
        }
        let slots = |state| {
            let entries = (0..).zip(self.extents.iter().flatten());
            entries.filter(move |(_, entry)| entry.state == state).map(|(slot, _): (u32, _)| slot)
        };
        let (free, blank) = (slots(State::Free).collect(), slots(State::Blank).collect());
        (self.free, self.blank) = (free, blank);
    }

    pub(super) fn key(&self, slot: Slot) -> Option<DataKey> {
        let entry = self.entry(slot.0)?;
        entry.in_hand().then_some(DataKey(entry.key))
    }

    pub(super) fn is_free(&self, slot: Slot) -> bool {
        self.entry(slot.0).is_some_and(|entry| matches!(entry.state, State::Free | State::Blank))
    }

    /// Whether a slot is taken by an object whose key is gone.
    pub(super) fn is_lost(&self, slot: Slot) -> bool {
        self.entry(slot.0).is_none_or(|entry| entry.state == State::Lost)
    }

    /// How many objects have lost their key.
    pub(super) fn lost(&self) -> usize {
        let entries = self.extents.iter().flatten();
        entries.filter(|entry| entry.state == State::Lost).count() + self.beyond.len()
    }

    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    pub(super) fn blank(&self) -> &[u32] {
        &self.blank
    }

    /// Whether the file was too short for this slot, which rows name.
    pub(super) fn is_beyond(&self, slot: u32) -> bool {
        self.beyond.contains(&slot)
    }

    /// Hands out the slot that has been free for longest.
    pub(super) fn take(&mut self) -> Option<(Slot, DataKey)> {
        let slot = self.free.pop_front()?;
        let entry = self.entry_mut(slot)?;
        entry.state = State::Live;
        Some((Slot(slot), DataKey(entry.key)))
    }

    /// Hands out the slot that has been free for longest, for now.
    pub(super) fn reserve(&mut self) -> Option<Slot> {
        let (slot, _) = self.take()?;
        if let Some(entry) = self.entry_mut(slot.0) {
            entry.state = State::Reserved;
        }
        Some(slot)
    }

    /// A reserved slot is in use now.
    pub(super) fn keep(&mut self, slot: Slot) {
        if let Some(entry) = self.entry_mut(slot.0)
            && entry.state == State::Reserved
        {
            entry.state = State::Live;
        }
    }

    pub(super) fn is_reserved(&self, slot: u32) -> bool {
        self.entry(slot).is_some_and(|entry| entry.state == State::Reserved)
    }

    /// Takes a certain free slot.
    pub(super) fn claim(&mut self, slot: Slot) -> bool {
        match self.entry_mut(slot.0) {
            Some(entry) if entry.state == State::Free => entry.state = State::Live,
            _ => return false,
        }
        self.free.retain(|free| *free != slot.0);
        true
    }

    pub(super) fn release(&mut self, slot: Slot) {
        if let Some(entry) = self.entry_mut(slot.0)
            && entry.in_hand()
        {
            entry.state = State::Free;
            self.free.push_back(slot.0);
        }
    }

    /// Forgets the keys of slots that are to be overwritten (in order, each once) and gives the
    /// version that the next key has. Slots that are not there are left out.
    pub(super) fn condemn(&mut self, slots: &[u32]) -> Vec<(u32, u16)> {
        let mut condemned = Vec::with_capacity(slots.len());
        let (mut free, mut blank) = (false, false);
        for &slot in slots {
            self.beyond.remove(&slot);
            if let Some(entry) = self.entry_mut(slot) {
                free |= entry.state == State::Free;
                blank |= entry.state == State::Blank;
                wipe(&mut entry.key);
                entry.version = entry.version.wrapping_add(1);
                entry.state = State::Dying;
                condemned.push((slot, entry.version));
            }
        }
        if free {
            self.free.retain(|slot| slots.binary_search(slot).is_err());
        }
        if blank {
            self.blank.retain(|slot| slots.binary_search(slot).is_err());
        }
        condemned
    }

    /// Puts in the keys that were written: as free ones, or as ones in use.
    pub(super) fn fill(&mut self, filled: &[Filled], free: bool) {
        for filled in filled {
            if let Some(entry) = self.entry_mut(filled.slot) {
                entry.key = filled.key;
                entry.version = filled.version;
                entry.state = if free { State::Free } else { State::Live };
                if free {
                    self.free.push_back(filled.slot);
                }
            }
        }
    }

    /// Condemned slots whose overwriting failed and which hold nobody's key.
    pub(super) fn abandon(&mut self, slots: impl Iterator<Item = u32>) {
        for slot in slots {
            if let Some(entry) = self.entry_mut(slot)
                && entry.state == State::Dying
            {
                entry.state = State::Blank;
                self.blank.push(slot);
            }
        }
    }

    /// All keys of an extent.
    pub(super) fn filled(&self, index: usize) -> Vec<Filled> {
        let first = index as u32 * self.slots;
        let entries = self.extents.get(index).into_iter().flatten();
        let known = (first..).zip(entries);
        let known = known.filter(|(_, entry)| entry.in_hand() || entry.state == State::Free);
        known.map(|(slot, entry)| Filled { slot, version: entry.version, key: entry.key }).collect()
    }
}
