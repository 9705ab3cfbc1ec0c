//! The entries of one book, one behind the other in one run of octets, so that a search is one pass
//! at memory speed; their notes in a second run, because they are most of the octets and few search
//! them. An entry that goes is overwritten at once, and its room is taken back when half of the runs
//! is such rooms. Knows octets and members, and nothing of revisions.

use crate::domain::phone::Region;
use crate::domain::search::{NOTHING, Needle, Needles, Part, Terms, entry, formatted, notes_at};

use super::super::keys::Hash;
use super::read::Change;

crate::hidden!(Arena, Entry, Ranked);

/// How many octets of a card are kept; a card with more, which few people have, is read whenever
/// something is looked for.
pub(super) const ENTRY: usize = 2 << 10;

/// Below so many octets, room is not worth taking back.
const CROWDED: usize = 4 << 10;

/// A card that may be what is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) contact: [u8; 16],
    pub(super) member: Hash,
    /// At least the size of its stored octets.
    pub(super) bytes: u64,
}

/// A card that is what was searched for. Sorts by how well it fits, then by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ranked {
    /// How well it fits; less is better.
    pub rank: u32,
    /// Its folded name, to sort by.
    pub formatted: Box<[u8]>,
    /// The contact.
    pub contact: [u8; 16],
    /// The member's name hash.
    pub member: Hash,
}

impl Ranked {
    /// Judges one entry.
    pub(super) fn of(terms: &Terms, octets: &[u8], contact: [u8; 16], member: Hash) -> Option<Self> {
        let rank = terms.rank(octets)?;
        Some(Self { rank, formatted: formatted(octets).into(), contact, member })
    }

    /// Keeps the best.
    pub(super) fn best(found: &mut Vec<Self>, limit: usize) {
        found.sort_unstable();
        found.truncate(limit);
    }
}

/// A card made ready to be kept.
pub(super) struct Made {
    text: Vec<u8>,
    whole: bool,
    kib: u16,
}

impl Made {
    /// Reads a card's octets.
    pub(super) fn of(card: &[u8], region: Option<Region>) -> Self {
        let mut text = Vec::new();
        let whole = entry(card, ENTRY, region, &mut text);
        Self { text, whole, kib: kib(card) }
    }
}

/// In whole KiB, rounded up.
fn kib(card: &[u8]) -> u16 {
    u16::try_from((card.len() >> 10) + 1).unwrap_or(u16::MAX)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    /// Its card has more than is kept.
    Partial,
    Gone,
}

#[derive(Clone, Copy)]
struct Entry {
    member: Hash,
    contact: [u8; 16],
    start: Start,
    kib: u16,
    state: State,
}

/// Where an entry begins in each of the runs.
#[derive(Clone, Copy, Default)]
struct Start {
    head: u32,
    notes: u32,
}

impl Start {
    fn of(self, part: Part) -> usize {
        let start = match part {
            Part::Head => self.head,
            Part::Notes => self.notes,
        };
        start as usize
    }
}

impl Entry {
    fn candidate(&self) -> Candidate {
        Candidate { contact: self.contact, member: self.member, bytes: u64::from(self.kib) << 10 }
    }
}

/// The octets of entries, those of notes apart.
#[derive(Default)]
struct Runs {
    head: Vec<u8>,
    notes: Vec<u8>,
}

impl Runs {
    fn of(&self, part: Part) -> &[u8] {
        match part {
            Part::Head => &self.head,
            Part::Notes => &self.notes,
        }
    }

    fn of_mut(&mut self, part: Part) -> &mut [u8] {
        match part {
            Part::Head => &mut self.head,
            Part::Notes => &mut self.notes,
        }
    }

    fn len(&self) -> usize {
        self.head.len() + self.notes.len()
    }

    /// Where the next entry would begin; `None` where there is no room for that many octets more.
    fn next(&self, more: usize) -> Option<Start> {
        let [head, notes] = [self.head.len(), self.notes.len()];
        u32::try_from(head.max(notes).checked_add(more)?).ok()?;
        Some(Start { head: u32::try_from(head).ok()?, notes: u32::try_from(notes).ok()? })
    }

    /// The end, as far as it can be told.
    fn end(&self) -> Start {
        let end = |run: &Vec<u8>| u32::try_from(run.len()).unwrap_or(u32::MAX);
        Start { head: end(&self.head), notes: end(&self.notes) }
    }
}

/// The entries of one book.
#[derive(Default)]
pub(super) struct Arena {
    text: Runs,
    /// In the order of `text`.
    entries: Vec<Entry>,
    /// The entries that are not gone, by member.
    by_member: Vec<u32>,
    /// How many octets belong to entries that are gone.
    gone: usize,
    partial: usize,
}

impl Arena {
    /// Adds a card to an arena that is not in order yet; `order` must follow.
    pub(super) fn fill(&mut self, member: Hash, contact: [u8; 16], card: &[u8], region: Option<Region>) {
        // The octets are folded right where they stay; only notes are moved.
        let (from, start) = (self.text.head.len(), self.text.next(ENTRY));
        let mut whole = entry(card, ENTRY, region, &mut self.text.head);
        let octets = self.text.head.get(from..).unwrap_or_default();
        let notes = notes_at(octets);
        if start.is_some() {
            self.text.notes.extend_from_slice(octets.get(notes..).unwrap_or_default());
            self.text.head.truncate(from + notes);
        } else {
            self.text.head.truncate(from);
            whole = false;
        }
        self.add(member, contact, start.unwrap_or(self.text.end()), whole, kib(card));
    }

    /// Puts what was filled in order.
    pub(super) fn order(&mut self) {
        let entries = &self.entries;
        self.by_member = (0..).take(entries.len()).collect();
        self.by_member.sort_unstable_by_key(|at| entries.get(*at as usize).map(|entry| entry.member));
        self.text.head.shrink_to_fit();
        self.text.notes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Takes what became of members, in order.
    pub(super) fn take(&mut self, changes: Vec<(Hash, Change)>) {
        for (member, change) in changes {
            match change {
                Change::Put(contact, made) => self.put(member, *contact.as_bytes(), made),
                Change::Gone => self.remove(&member),
            }
        }
    }

    /// Adds a card, or replaces it.
    pub(super) fn put(&mut self, member: Hash, contact: [u8; 16], made: Made) {
        self.remove(&member);
        let start = self.text.next(made.text.len());
        if start.is_some() {
            let notes = notes_at(&made.text);
            let (head, notes) = made.text.split_at_checked(notes).unwrap_or_default();
            for (run, octets) in [(&mut self.text.head, head), (&mut self.text.notes, notes)] {
                grow(run, octets.len());
                run.extend_from_slice(octets);
            }
        }
        let place = self.place(&member);
        let whole = made.whole && start.is_some();
        let at = self.add(member, contact, start.unwrap_or(self.text.end()), whole, made.kib);
        grow(&mut self.by_member, 1);
        self.by_member.insert(place.min(self.by_member.len()), at);
    }

    fn add(&mut self, member: Hash, contact: [u8; 16], start: Start, whole: bool, kib: u16) -> u32 {
        let at = self.entries.len() as u32;
        let state = if whole { State::Whole } else { State::Partial };
        self.partial += usize::from(!whole);
        grow(&mut self.entries, 1);
        self.entries.push(Entry { member, contact, start, kib, state });
        at
    }

    /// Removes a card, if it is there, and overwrites what was kept of it.
    pub(super) fn remove(&mut self, member: &Hash) {
        let place = self.place(member);
        let at = self.by_member.get(place).map(|at| *at as usize);
        let Some(at) = at.filter(|at| self.entries.get(*at).is_some_and(|entry| entry.member == *member))
        else {
            return;
        };
        self.by_member.remove(place);
        for part in Part::ALL {
            let (start, end) = self.bounds(part, at);
            if let Some(text) = self.text.of_mut(part).get_mut(start..end) {
                text.fill(NOTHING);
            }
            self.gone += end - start;
        }
        if let Some(entry) = self.entries.get_mut(at) {
            self.partial -= usize::from(entry.state == State::Partial);
            *entry =
                Entry { start: entry.start, member: [0; 16], contact: [0; 16], kib: 0, state: State::Gone };
        }
        if self.gone > CROWDED.max(self.text.len() / 2) || self.entries.len() > 64 + 2 * self.by_member.len()
        {
            self.compact();
        }
    }

    /// Takes back the room of what is gone.
    fn compact(&mut self) {
        let mut arena = Self { partial: self.partial, ..Self::default() };
        let there = || self.entries.iter().enumerate().filter(|(_, entry)| entry.state != State::Gone);
        let of = |part| there().map(|(at, _)| self.octets(part, at).len()).sum();
        arena.text.head.reserve_exact(of(Part::Head));
        arena.text.notes.reserve_exact(of(Part::Notes));
        arena.entries.reserve_exact(self.by_member.len());
        for (at, entry) in there() {
            let start = arena.text.end();
            arena.text.head.extend_from_slice(self.octets(Part::Head, at));
            arena.text.notes.extend_from_slice(self.octets(Part::Notes, at));
            arena.entries.push(Entry { start, ..*entry });
        }
        arena.order();
        *self = arena;
    }

    /// Where in `by_member` a member is, or would be.
    fn place(&self, member: &Hash) -> usize {
        self.by_member
            .partition_point(|at| self.entries.get(*at as usize).is_some_and(|entry| entry.member < *member))
    }

    fn bounds(&self, part: Part, at: usize) -> (usize, usize) {
        let end = self.text.of(part).len();
        let start = |at: usize| self.entries.get(at).map_or(end, |entry| entry.start.of(part));
        (start(at), start(at + 1))
    }

    /// What one of the runs has of an entry.
    fn octets(&self, part: Part, at: usize) -> &[u8] {
        let (start, end) = self.bounds(part, at);
        self.text.of(part).get(start..end).unwrap_or_default()
    }

    /// Which entries hold one of the texts; gives up beyond `most`.
    fn holding(&self, needles: &Needles, most: usize) -> Option<Vec<u32>> {
        let mut found = Vec::new();
        for needle in needles.iter() {
            for part in Part::ALL.into_iter().filter(|part| needle.counts_in(*part)) {
                self.hold(part, needle, most, &mut found)?;
            }
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    /// Adds the entries that hold a text in one of the runs; gives up with more than `most`.
    fn hold(&self, part: Part, needle: &Needle, most: usize, found: &mut Vec<u32>) -> Option<()> {
        let (mut from, before) = (0, found.len());
        while let Some(hit) = needle.next(self.text.of(part), from) {
            let after = self.entries.partition_point(|entry| entry.start.of(part) <= hit);
            let at = after.saturating_sub(1);
            found.push(at as u32);
            if found.len() - before > most {
                return None;
            }
            from = self.bounds(part, at).1;
        }
        Some(())
    }

    /// The cards that may hold one of the texts, oldest contact first; `None` when they are so many
    /// that reading all cards is quicker.
    pub(super) fn candidates(&self, needles: &Needles) -> Option<Vec<Candidate>> {
        let most = 64 + self.by_member.len() / 4;
        let mut found = self.holding(needles, most)?;
        if self.partial > 0 {
            let partial = (0..).zip(&self.entries).filter(|(_, entry)| entry.state == State::Partial);
            found.extend(partial.map(|(at, _): (u32, _)| at));
            found.sort_unstable();
            found.dedup();
        }
        if found.len() > most {
            return None;
        }
        let entries = found.iter().filter_map(|at| self.entries.get(*at as usize));
        let mut candidates: Vec<_> = entries.map(Entry::candidate).collect();
        candidates.sort_unstable_by_key(|candidate| candidate.contact);
        Some(candidates)
    }

    /// The best of what was searched for, and the cards of which more must be read to tell.
    pub(super) fn search(&self, terms: &Terms, limit: usize) -> (Vec<Ranked>, Vec<Candidate>) {
        let holding = self.holding(&terms.needles(), usize::MAX).unwrap_or_default();
        let (mut best, mut octets) = (Vec::new(), Vec::new());
        for at in holding.into_iter().map(|at| at as usize) {
            if let Some(entry) = self.entries.get(at).filter(|entry| entry.state == State::Whole) {
                octets.clear();
                Part::ALL.into_iter().for_each(|part| octets.extend_from_slice(self.octets(part, at)));
                best.extend(Ranked::of(terms, &octets, entry.contact, entry.member));
                if best.len() > limit.saturating_mul(2).saturating_add(256) {
                    Ranked::best(&mut best, limit);
                }
            }
        }
        Ranked::best(&mut best, limit);
        let partial = self.entries.iter().filter(|entry| entry.state == State::Partial);
        (best, partial.map(Entry::candidate).collect())
    }

    /// How many cards there are.
    pub(super) fn len(&self) -> usize {
        self.by_member.len()
    }

    /// How many octets a search of everything passes over.
    pub(super) fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Whether these octets are anywhere.
    #[cfg(test)]
    pub(super) fn holds(&self, octets: &[u8]) -> bool {
        Part::ALL.into_iter().any(|part| memchr::memmem::find(self.text.of(part), octets).is_some())
    }

    /// How much memory all of it takes.
    pub(super) fn memory(&self) -> usize {
        self.text.head.capacity()
            + self.text.notes.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.by_member.capacity() * size_of::<u32>()
    }
}

/// Makes room, an eighth more than there is at least: doubling would leave half of it unused.
fn grow<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more.max(vec.len() / 8).max(8));
    }
}
