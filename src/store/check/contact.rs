//! Records, numbers and what finds contacts by their UID, as the integrity check sees them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::id::ContactId;
use crate::store::census::{Census, Contact, Id, UNREADABLE};
use crate::store::codec::{KeptRecord, RecordPlace};
use crate::store::keys;
use crate::store::rows::{
    Definition, Id as RowId, JobRow, NumberRow, RecordHistoryRow, RecordRow, SameUidRow,
};
use crate::store::seal::Sealer;

use super::finding::{Mend, Stage};

/// How often a record that was made anew is said to have changed.
const REMADE: u64 = 1 << 32;

/// What the walk saw of them.
#[derive(Default)]
pub(in crate::store) struct RecordsSeen {
    /// The number that each record says, and how often the record changed.
    numbers: HashMap<Id, ((u8, u64), u64)>,
    /// The other numbers that records say.
    others: HashMap<(u8, u64), Id>,
    /// Every number that a record says.
    claimed: HashSet<(u8, u64)>,
    /// Whose each number is.
    numbered: HashMap<(u8, u64), Id>,
    /// The newest number of each series, as its counter has it.
    counters: HashMap<u8, Option<u64>>,
    found: HashSet<Id>,
}

impl Census {
    pub(in crate::store) fn look_at_record(&mut self, id: Id, key: &[u8], value: &[u8]) {
        let contact = self.contacts.get(&id).filter(|contact| !contact.in_calendar);
        let Some(contact) = contact else { return self.orphan(key) };
        let (book, member, slot, uid) = (contact.book, contact.member, contact.slot, contact.uid);
        let ends = self.ending.contains_key(book.as_bytes());
        let Ok(place) = RecordPlace::read(value) else {
            return self.finding(key, UNREADABLE, Mend::drop_row(Stage::Derived, key.to_vec()));
        };
        self.records.numbers.insert(id, ((place.series, place.number), u64::MAX));
        self.records.claimed.insert((place.series, place.number));
        let mut kept = match self.sealer.decode_record(key, value) {
            Ok(kept) => kept,
            Err(_) => {
                // More than it ever was, for its earlier records must stay earlier ones.
                let (created, updated, changes) = (self.at, self.at, REMADE);
                let row = RecordRow { created, updated, changes, ..RecordRow::default() };
                let row = RecordRow { book: *book.as_bytes(), member, ..row };
                let kept = KeptRecord { place: RecordPlace { slot, uid, ..place }, row };
                let mend = match self.sealer.encode_record(key, &kept) {
                    Ok(anew) if !ends => Mend::put(Stage::Derived, key.to_vec(), anew),
                    _ => Mend::Nothing,
                };
                return self.finding(key, UNREADABLE, mend);
            }
        };
        self.records.numbers.insert(id, ((place.series, place.number), kept.row.changes));
        self.records.claimed.extend(&kept.row.numbers);
        self.records.others.extend(kept.row.numbers.iter().map(|number| (*number, id)));
        if place.slot != slot {
            return self.fault(key, "a record is sealed with another's key");
        }
        let right = kept.row.book == *book.as_bytes() && kept.row.member == member && place.uid == uid;
        if !right && !ends {
            (kept.row.book, kept.row.member, kept.place.uid) = (*book.as_bytes(), member, uid);
            let mend = match self.sealer.encode_record(key, &kept) {
                Ok(anew) => Mend::put(Stage::Derived, key.to_vec(), anew),
                Err(_) => Mend::Nothing,
            };
            self.finding(key, "a record does not say where its card is", mend);
        }
    }

    pub(in crate::store) fn look_at_number(&mut self, key: &[u8], value: &[u8]) {
        match keys::number_in(key) {
            Some((series, None)) => {
                let newest = value.try_into().ok().map(u64::from_be_bytes);
                self.records.counters.insert(series, newest);
            }
            Some((series, Some(number))) => match self.sealer.decode::<NumberRow>(key, value) {
                Ok(row) if !self.has_record(row.contact.as_bytes()) => self.orphan(key),
                Ok(row) => drop(self.records.numbered.insert((series, number), *row.contact.as_bytes())),
                Err(_) => self.finding(key, UNREADABLE, Mend::drop_row(Stage::Orphans, key.to_vec())),
            },
            None => self.fault(key, "a row's key has a wrong length"),
        }
    }

    pub(in crate::store) fn look_at_same_uid(&mut self, key: &[u8], value: &[u8]) {
        let (Some(uid), Some(id)) = (keys::owner(key), keys::item(key)) else { return };
        let contact = self.contacts.get(&id).filter(|contact| contact.uid == uid && !contact.in_calendar);
        let Some(contact) = contact else { return self.orphan(key) };
        let (book, trashed) = (contact.book, contact.trashed);
        self.records.found.insert(id);
        match self.sealer.decode::<SameUidRow>(key, value) {
            Ok(row) if row.book == *book.as_bytes() && row.trashed == trashed => {}
            _ => {
                let mend = self.found_anew(id);
                self.finding(key, "a contact is not found by its UID", mend);
            }
        }
    }

    /// Whether something has a record: a contact has, an object in a calendar has not.
    fn has_record(&self, id: &Id) -> bool {
        self.contacts.get(id).is_some_and(|contact| !contact.in_calendar)
    }

    fn found_anew(&self, id: Id) -> Mend {
        let Some(contact) = self.contacts.get(&id) else { return Mend::Nothing };
        let owner = self.collections.get(contact.book.as_bytes()).map_or([0; 16], |row| row.owner);
        let key = keys::same_uid(&contact.uid, ContactId::from_bytes(id));
        let row = SameUidRow {
            book: *contact.book.as_bytes(),
            owner: RowId(owner),
            at: self.at,
            by: None,
            trashed: contact.trashed,
        };
        let value = self.sealer.encode(&key, &row);
        Mend::put(Stage::Derived, key, value)
    }

    /// Whether a contact's record says that number.
    fn says(&self, number: &(u8, u64), id: &Id) -> bool {
        let own = self.records.numbers.get(id).is_some_and(|(own, _)| own == number);
        own || self.records.others.get(number) == Some(id)
    }

    /// A number leads to the contact whose record says it, unless two do.
    fn led_anew(&self, number: (u8, u64), id: Id) -> Mend {
        let key = keys::number_of(number.0, number.1);
        match self.records.numbered.get(&number) {
            Some(other) if self.says(&number, other) => Mend::Nothing,
            _ => {
                let contact = ContactId::from_bytes(id);
                let value = self.sealer.encode(&key, &NumberRow { contact });
                Mend::put(Stage::Derived, key, value)
            }
        }
    }

    pub(in crate::store) fn look_at_earlier_record(&mut self, id: Id, key: &[u8], value: &[u8]) {
        let contact = self.contacts.get(&id).filter(|contact| !contact.in_calendar);
        let Some(contact) = contact else { return self.orphan(key) };
        let slot = contact.slot;
        // Those of a record that is gone or cannot be read are kept.
        let changes = self.records.numbers.get(&id).map_or(u64::MAX, |(_, changes)| *changes);
        if keys::number(key).is_none_or(|before| before >= changes) {
            return self.orphan(key);
        }
        if self.sealer.decode_sealed::<RecordHistoryRow>(key, value).is_err() {
            self.fault(key, UNREADABLE);
        } else if Sealer::slot_of(value).ok() != Some(slot) {
            self.fault(key, "an earlier record is sealed with another's key");
        }
    }

    pub(in crate::store) fn look_at_definition(&mut self, key: &[u8], value: &[u8]) {
        let read = self.sealer.decode_sealed::<Definition>(key, value);
        if !read.is_ok_and(|row| key.get(1) == Some(&row.kind())) {
            self.fault(key, UNREADABLE);
        }
    }

    pub(in crate::store) fn look_at_job(&mut self, key: &[u8], value: &[u8]) {
        let read = self.sealer.decode_sealed::<JobRow>(key, value);
        if !read.is_ok_and(|row| keys::owner(key) == Some(row.id.0)) {
            self.fault(key, UNREADABLE);
        }
    }

    /// What is missing, once every row was seen.
    pub(in crate::store) fn settle_records(&mut self) {
        const LOST: &str = "a number does not lead to its contact";
        let mut missing = Vec::new();
        let ends = |id: &Id| {
            let contact = self.contacts.get(id);
            contact.is_none_or(|contact| self.ending.contains_key(contact.book.as_bytes()))
        };
        // Those whose contacts say nothing of them.
        let mut alone: BTreeMap<Id, (u8, u64)> = BTreeMap::new();
        for (number, id) in self.records.numbered.iter().filter(|(_, id)| !ends(id)) {
            if !self.says(number, id) {
                let lowest = alone.entry(*id).or_insert(*number);
                *lowest = (*lowest).min(*number);
                let contact = ContactId::from_bytes(*id);
                let mend = Mend::Number { contact, series: number.0, number: number.1 };
                // One that another contact says is led back there.
                let taken = self.records.claimed.contains(number);
                let mend = if taken { Mend::Nothing } else { mend };
                missing.push((*id, "a contact does not say one of its numbers", mend));
            }
        }
        for (number, id) in self.records.others.iter().filter(|(_, id)| !ends(id)) {
            if self.records.numbered.get(number) != Some(id) {
                missing.push((*id, LOST, self.led_anew(*number, *id)));
            }
        }
        for (id, contact) in &self.contacts {
            if contact.in_calendar || self.ending.contains_key(contact.book.as_bytes()) {
                continue;
            }
            match self.records.numbers.get(id) {
                None => {
                    let number = alone.get(id).copied();
                    let mend = Mend::Record { book: contact.book, member: contact.member, number };
                    missing.push((*id, "a contact has no record", mend));
                }
                Some((number, _)) if self.records.numbered.get(number) != Some(id) => {
                    missing.push((*id, LOST, self.led_anew(*number, *id)));
                }
                Some(_) => {}
            }
            if !self.records.found.contains(id) && self.records.numbers.contains_key(id) {
                missing.push((*id, "a contact is not found by its UID", self.found_anew(*id)));
            }
        }
        missing.into_iter().for_each(|(id, what, mend)| self.finding(&id, what, mend));
        let mut newest: HashMap<u8, u64> = HashMap::new();
        for (series, number) in self.records.numbered.keys().chain(&self.records.claimed) {
            let known = newest.entry(*series).or_default();
            *known = (*known).max(*number);
        }
        for (series, number) in newest {
            if self.records.counters.get(&series).copied().flatten().is_none_or(|counter| counter < number) {
                let key = keys::number_counter(series);
                let mend = Mend::put(Stage::Logs, key.clone(), number.to_be_bytes().to_vec());
                self.finding(&key, "a counter of numbers is wrong", mend);
            }
        }
    }
}

impl Contact {
    /// What the record and what finds it must say: where its card is, the card's UID, and whether it
    /// may come back from the trash.
    pub(in crate::store) fn at(mut self, member: Id, uid: Id, trashed: bool) -> Self {
        (self.member, self.uid, self.trashed) = (member, uid, trashed);
        self
    }

    /// It is an object in a calendar.
    pub(in crate::store) fn in_calendar(mut self, in_calendar: bool) -> Self {
        self.in_calendar = in_calendar;
        self
    }
}
