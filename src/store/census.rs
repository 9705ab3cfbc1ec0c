//! What exists, as the integrity check gathers it, and what claims to belong to it: key slots, and in
//! one walk over every row whatever is not looked at beside its collection. Tells rows by their keys,
//! which hold ids and keyed hashes and never a name.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use minicbor::Decode;

use super::check::CheckReport;
use super::check::contact::RecordsSeen;
use super::check::events::EventsSeen;
use super::check::finding::{Finding, Mend, Stage};
use super::derive::HISTORY;
use super::engine::{Extent, KeyRange};
use super::keys::{self, HASH, Hash, Table};
use super::keyslots::Slot;
use super::owner::{Kind, Owner};
use super::query::Reader;
use super::rows::{ChangeRow, CollectionRow, ErasedRow, HistoryRow, PropertiesRow, PurgeRow, UidRow};
use super::seal::{Hashes, Sealer};
use super::{FORMAT_ROW, MarkRow, SECRETS, SecretsRow, StoreError, check_format};

use crate::domain::id::{CollectionId, ContactId};

pub(super) type Id = [u8; 16];

pub(super) const UNREADABLE: &str = "a row cannot be read";
const ORPHAN: &str = "a row belongs to nothing";
const UNOWNED: &str = "a key slot belongs to nothing";

/// How many findings are kept; a broken disk has no end of them.
const MOST: usize = 50_000;

/// An account.
pub(super) struct Account {
    pub(super) slot: Option<Slot>,
    pub(super) home: Id,
    /// Its home of calendars.
    pub(super) calendars: Option<Id>,
    pub(super) name: Option<Hash>,
    pub(super) created: i64,
}

/// What a contact's card says of the contact's rows, and what was found of them.
pub(super) struct Contact {
    pub(super) book: CollectionId,
    pub(super) slot: Slot,
    pub(super) number: u32,
    pub(super) version: u64,
    pub(super) described: bool,
    /// The hash of the card's name.
    pub(super) member: Hash,
    /// That of its UID, wherever it is.
    pub(super) uid: Hash,
    /// It lies in the trash and may come back.
    pub(super) trashed: bool,
    /// It is an object in a calendar: it has no record, and no number.
    pub(super) in_calendar: bool,
    properties: bool,
    history: u64,
}

/// What exists.
pub(super) struct Census {
    pub(super) sealer: Arc<Sealer>,
    /// The time that rows made anew bear.
    pub(super) at: i64,
    pub(super) report: CheckReport,
    pub(super) findings: Vec<Finding>,
    pub(super) accounts: HashMap<Id, Account>,
    /// Collections whose row can be read, and those that accounts and homes name.
    pub(super) collections: HashMap<Id, CollectionRow>,
    pub(super) named: HashSet<Id>,
    /// Revision counters; `None` is no number.
    pub(super) revisions: HashMap<Id, Option<u64>>,
    /// What waits to be purged, and the books of homes that do.
    pub(super) ending: HashMap<Id, Option<PurgeRow>>,
    /// Key slots for removed names.
    pub(super) names: HashMap<(Id, u32), Slot>,
    pub(super) slots: HashMap<Slot, Owner>,
    /// Key slots whose row cannot be read.
    pub(super) broken: HashSet<Slot>,
    pub(super) doomed: HashSet<Slot>,
    claimed: HashSet<Slot>,
    pub(super) contacts: HashMap<Id, Contact>,
    /// The places of others' books, by the member's name hash, with their home's key slot.
    pub(super) mounts: HashMap<Id, Option<Slot>>,
    /// What cards or bodies tell of and nothing else does: collections and contacts.
    peopled: HashSet<Id>,
    /// A row that says what exists cannot be read: nothing is known to belong to nothing.
    pub(super) unsure: bool,
    /// How many of the two rows that make a store of the file were met.
    installed: u8,
    pub(super) events: EventsSeen,
    pub(super) records: RecordsSeen,
}

impl Census {
    pub(super) fn new(sealer: Arc<Sealer>, at: i64) -> Self {
        Self {
            sealer,
            at,
            report: CheckReport::default(),
            findings: Vec::new(),
            accounts: HashMap::new(),
            collections: HashMap::new(),
            named: HashSet::new(),
            revisions: HashMap::new(),
            ending: HashMap::new(),
            names: HashMap::new(),
            slots: HashMap::new(),
            broken: HashSet::new(),
            doomed: HashSet::new(),
            claimed: HashSet::new(),
            contacts: HashMap::new(),
            mounts: HashMap::new(),
            peopled: HashSet::new(),
            unsure: false,
            installed: 0,
            events: EventsSeen::default(),
            records: RecordsSeen::default(),
        }
    }

    pub(super) fn finding(&mut self, id: &[u8], what: &'static str, mend: Mend) {
        if self.findings.len() < MOST {
            self.findings.push(Finding { id: id.to_vec(), what, mend });
        }
    }

    pub(super) fn fault(&mut self, id: &[u8], what: &'static str) {
        self.finding(id, what, Mend::Nothing);
    }

    /// A row that others depend on cannot be read. If only its key slot is not known to be in use,
    /// that can be mended.
    pub(super) fn unreadable(&mut self, key: &[u8], slot: Option<Slot>, owner: Option<Owner>) {
        self.unsure = true;
        let mend = match slot {
            Some(slot) if !self.slots.contains_key(&slot) && !self.doomed.contains(&slot) => {
                Mend::Slot { slot, owner, witness: Some(key.to_vec()) }
            }
            _ => Mend::Nothing,
        };
        self.finding(key, UNREADABLE, mend);
    }

    /// Whether there is, or soon was, a collection.
    pub(super) fn knows(&self, id: &Id) -> bool {
        self.named.contains(id) || self.collections.contains_key(id) || self.ending.contains_key(id)
    }

    /// Whether a collection is, or soon was, a smart book.
    pub(super) fn is_smart(&self, id: &Id) -> bool {
        self.collections.get(id).is_some_and(|row| row.smart.is_some())
            || self.ending.get(id).is_some_and(|row| row.as_ref().is_some_and(|row| row.smart))
    }

    /// Whether a collection is a calendar.
    pub(super) fn is_calendar(&self, id: &Id) -> bool {
        self.collections.get(id).is_some_and(|row| row.calendar)
    }

    /// Whether what a key belongs to is there.
    fn lives(&self, owner: Owner) -> bool {
        match owner.kind {
            Kind::Installation => true,
            Kind::Account => self.accounts.contains_key(&owner.id),
            Kind::Collection => self.knows(&owner.id),
            Kind::Names => self.names.contains_key(&(owner.id, owner.number)),
            Kind::Contact => {
                self.contacts.get(&owner.id).is_some_and(|contact| contact.number == owner.number)
            }
        }
    }

    /// Notes a card's contact; false when another card has it already.
    pub(super) fn contact(&mut self, id: Id, contact: Contact) -> bool {
        self.claim(contact.slot, Owner::contact(id, contact.number), None);
        self.contacts.insert(id, contact).is_none()
    }

    /// Something says that a slot is its own.
    pub(super) fn claim(&mut self, slot: Slot, owner: Owner, witness: Option<&[u8]>) {
        let key = keys::slot(slot);
        match self.slots.get(&slot) {
            Some(held) if *held != owner => self.fault(&owner.to_bytes(), "a key slot is another's"),
            Some(_) if !self.claimed.insert(slot) => {
                self.fault(&owner.to_bytes(), "a key slot is used twice");
            }
            Some(_) if self.doomed.contains(&slot) => {
                let writes = vec![(keys::doomed(slot), None)];
                let mend = Mend::Rows { stage: Stage::Keys, writes, also: vec![key] };
                self.finding(&owner.to_bytes(), "a key in use waits to be overwritten", mend);
            }
            Some(_) => {}
            None => {
                self.claimed.insert(slot);
                let mend = Mend::Slot { slot, owner: Some(owner), witness: witness.map(<[u8]>::to_vec) };
                self.finding(&owner.to_bytes(), "a key slot in use is not among those in use", mend);
            }
        }
    }

    /// Key slots that nothing has claimed, keys for names that are not named, and what cannot be.
    pub(super) fn settle_slots(&mut self) {
        let names: Vec<_> = self.names.iter().map(|((id, period), slot)| (*id, *period, *slot)).collect();
        for (id, period, slot) in names {
            if self.knows(&id) {
                self.claim(slot, Owner::names(id, period), None);
            }
        }
        let unclaimed = self.slots.iter().filter(|(slot, _)| !self.claimed.contains(slot));
        let unclaimed: Vec<(Slot, Option<Owner>)> =
            unclaimed.map(|(slot, owner)| (*slot, Some(*owner))).collect();
        let broken = self.broken.iter().filter(|slot| !self.claimed.contains(slot));
        let broken: Vec<(Slot, Option<Owner>)> = broken.map(|slot| (*slot, None)).collect();
        for (slot, owner) in unclaimed.into_iter().chain(broken) {
            self.unclaimed(slot, owner);
        }
    }

    fn unclaimed(&mut self, slot: Slot, owner: Option<Owner>) {
        let key = keys::slot(slot);
        if let Some(owner) = owner
            && owner.kind == Kind::Names
            && self.knows(&owner.id)
            && !self.names.contains_key(&(owner.id, owner.number))
        {
            let names = keys::names(CollectionId::from_bytes(owner.id), owner.number);
            let value = self.sealer.encode(&names, &super::rows::NamesRow { slot: slot.0 });
            let mend = Mend::Rows { stage: Stage::Keys, writes: vec![(names, Some(value))], also: vec![key] };
            self.finding(&owner.to_bytes(), "a key for removed names is not named", mend);
            return;
        }
        let erased = owner.filter(|owner| !self.lives(*owner)).map(keys::erased);
        let put = |key: Vec<u8>| {
            let value = self.sealer.encode_erased(&key, self.at);
            (key, Some(value))
        };
        let mut writes = vec![(key.clone(), None), put(keys::doomed(slot))];
        writes.extend(erased.map(put));
        let mend = Mend::Rows { stage: Stage::Orphans, writes, also: Vec::new() };
        let id = owner.map_or(key, |owner| owner.to_bytes().to_vec());
        self.finding(&id, UNOWNED, mend);
    }

    /// Walks every row.
    pub(super) async fn walk(self, reader: &Reader) -> Result<Self, StoreError> {
        let range = KeyRange { start: Vec::new(), end: vec![u8::MAX; 64] };
        let mut census = reader
            .fold(range, Extent::Many, self, |census, key, value| {
                census.look(key, value);
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        if census.installed < 2 {
            census.fault(&[], "the installation's format or secrets are missing");
        }
        census.settle_events();
        census.settle_records();
        let mut short = Vec::new();
        for (id, contact) in &census.contacts {
            if contact.history < contact.version.saturating_sub(1).min(HISTORY) {
                short.push((*id, "an earlier body of a card is missing", Mend::Nothing));
            }
            if contact.described && !contact.properties {
                let mend = match census.ending.contains_key(contact.book.as_bytes()) {
                    true => Mend::Nothing,
                    false => Mend::Card { book: contact.book, contact: ContactId::from_bytes(*id) },
                };
                short.push((*id, "a card's properties are missing", mend));
            }
        }
        short.into_iter().for_each(|(id, what, mend)| census.finding(&id, what, mend));
        Ok(census)
    }

    /// Looks at a row, unless it was looked at beside others.
    fn look(&mut self, key: &[u8], value: &[u8]) {
        let Some(table) = key.first().and_then(|byte| Table::of(*byte)) else {
            return self.fault(key, "a row belongs to no table");
        };
        if table.key_length().is_some_and(|length| length != key.len()) {
            return self.fault(key, "a row's key has a wrong length");
        }
        let owner = keys::owner(key).unwrap_or_default();
        match table {
            Table::Installation => self.look_at_installation(key, value),
            Table::Erased => self.look_at_erasure(key, value),
            Table::Properties => self.look_at_properties(owner, key, value),
            Table::History => self.look_at_history(owner, key, value),
            Table::Event => self.look_at_event(key, value),
            Table::Record => self.look_at_record(owner, key, value),
            Table::RecordHistory => self.look_at_earlier_record(owner, key, value),
            Table::Number => self.look_at_number(key, value),
            Table::SameUid => self.look_at_same_uid(key, value),
            Table::Definition => self.look_at_definition(key, value),
            Table::Job => self.look_at_job(key, value),
            Table::Doomed => {
                if !self.marked::<ErasedRow>(key, value) {
                    let lives = keys::slot_in(key).is_some_and(|slot| self.slots.contains_key(&slot));
                    let anew = self.sealer.encode_erased(key, self.at);
                    let mend = match lives {
                        // It must not condemn what lives; what claims the slot says so.
                        true => Mend::Nothing,
                        false => Mend::put(Stage::Keys, key.to_vec(), anew),
                    };
                    self.finding(key, UNREADABLE, mend);
                }
            }
            Table::Names if !self.knows(&owner) => self.orphan(key),
            Table::Member | Table::Body => {
                if self.is_smart(&owner) {
                    return;
                }
                let contact = keys::item(key).filter(|_| table == Table::Body);
                self.peopled.extend(contact.filter(|id| !self.contacts.contains_key(id)));
                if !self.knows(&owner) {
                    self.peopled.insert(owner);
                    self.fault(key, ORPHAN);
                } else if self.ending.contains_key(&owner) && !self.opens(table, key, value) {
                    self.fault(key, UNREADABLE);
                }
            }
            Table::Change | Table::Tombstone | Table::Revision | Table::Uid => {
                if !self.knows(&owner) {
                    self.orphan(key);
                } else if self.ending.contains_key(&owner) && !self.opens(table, key, value) {
                    self.fault(key, UNREADABLE);
                }
            }
            // Looked at first.
            Table::Account | Table::Collection | Table::Purge | Table::Slot | Table::Names => {}
            Table::AppPassword | Table::AppPasswordOf => {}
        }
    }

    pub(super) fn orphan(&mut self, key: &[u8]) {
        self.finding(key, ORPHAN, Mend::drop_row(Stage::Orphans, key.to_vec()));
    }

    /// Whether a row of a collection that ends can be read.
    fn opens(&self, table: Table, key: &[u8], value: &[u8]) -> bool {
        match table {
            Table::Member => {
                self.sealer.decode_card(key, value).is_ok() || self.sealer.decode_link(key, value).is_ok()
            }
            Table::Body => self.sealer.scan_body(key, value, &mut Vec::new()).is_ok(),
            Table::Change => self.marked::<ChangeRow>(key, value),
            Table::Tombstone => self.sealer.decode_tombstone(key, value).is_ok(),
            Table::Uid => self.marked::<UidRow>(key, value),
            _ => value.len() == 8,
        }
    }

    fn look_at_installation(&mut self, key: &[u8], value: &[u8]) {
        let sound = if key == keys::installation(FORMAT_ROW) {
            self.installed += 1;
            check_format(value).is_ok()
        } else if key == keys::installation(SECRETS) {
            self.installed += 1;
            let ours = self.sealer.etag(0, b"");
            let row = self.sealer.decode_sealed::<SecretsRow>(key, value);
            row.is_ok_and(|row| Hashes::new(&row.secret).etag(0, b"") == ours)
        } else {
            self.marked::<MarkRow>(key, value)
        };
        if !sound {
            self.fault(key, UNREADABLE);
        }
    }

    fn look_at_erasure(&mut self, key: &[u8], value: &[u8]) {
        let Some(owner) = keys::owner_in(key) else {
            return self.fault(key, "a row's key is of no known kind");
        };
        // A period may be gone through again by a clock that went back.
        if self.lives(owner) && owner.kind != Kind::Names {
            let mend =
                if self.claims(owner) { Mend::drop_row(Stage::Derived, key.to_vec()) } else { Mend::Nothing };
            self.finding(key, "what lives is told to be erased", mend);
        } else if !self.marked::<ErasedRow>(key, value) {
            let anew = self.sealer.encode_erased(key, self.at);
            self.finding(key, UNREADABLE, Mend::put(Stage::Derived, key.to_vec(), anew));
        }
    }

    /// Whether a living owner has the key slot that it says.
    fn claims(&self, owner: Owner) -> bool {
        let slot = match owner.kind {
            Kind::Contact => self.contacts.get(&owner.id).map(|contact| contact.slot),
            Kind::Account => self.accounts.get(&owner.id).and_then(|account| account.slot),
            Kind::Collection => self.collections.get(&owner.id).map(|row| Slot(row.slot)),
            Kind::Names | Kind::Installation => None,
        };
        slot.is_some_and(|slot| self.slots.get(&slot) == Some(&owner))
    }

    /// Whose key seals the properties of what has that id.
    fn slot_for(&self, id: &Id) -> Option<Slot> {
        let home = self.accounts.get(id).map_or(id, |account| &account.home);
        let collection = self.collections.get(home).map(|row| Slot(row.slot));
        let ending = || self.ending.get(home)?.as_ref().map(|row| Slot(row.slot));
        let mount = || self.mounts.get(id).copied().flatten();
        collection
            .or_else(ending)
            .or_else(mount)
            .or_else(|| self.contacts.get(id).map(|contact| contact.slot))
    }

    fn look_at_properties(&mut self, id: Id, key: &[u8], value: &[u8]) {
        let sound = self.sealed::<PropertiesRow>(key, value);
        let slot = Sealer::slot_of(value).ok();
        if let Some(contact) = self.contacts.get_mut(&id) {
            contact.properties = true;
            let ends = self.ending.contains_key(contact.book.as_bytes());
            if !contact.described && sound && !ends {
                let mend = Mend::Card { book: contact.book, contact: ContactId::from_bytes(id) };
                return self.finding(key, "a card does not tell of its properties", mend);
            }
        } else if !self.knows(&id) && !self.accounts.contains_key(&id) && !self.mounts.contains_key(&id) {
            return self.orphan(key);
        }
        if !sound {
            self.fault(key, UNREADABLE);
        } else if self.slot_for(&id).is_some_and(|expected| slot != Some(expected)) {
            self.fault(key, "properties are sealed with another's key");
        }
    }

    fn look_at_history(&mut self, id: Id, key: &[u8], value: &[u8]) {
        let Some(contact) = self.contacts.get_mut(&id) else { return self.orphan(key) };
        let oldest = contact.version.saturating_sub(HISTORY).max(1);
        if !keys::number(key).is_some_and(|version| (oldest..contact.version).contains(&version)) {
            return self.orphan(key);
        }
        contact.history += 1;
        let slot = contact.slot;
        if !self.sealed::<HistoryRow>(key, value) {
            self.fault(key, UNREADABLE);
        } else if Sealer::slot_of(value).ok() != Some(slot) {
            self.fault(key, "an earlier body is sealed with another's key");
        }
    }

    pub(super) fn marked<T: for<'b> Decode<'b, ()>>(&self, key: &[u8], value: &[u8]) -> bool {
        self.sealer.decode::<T>(key, value).is_ok()
    }

    fn sealed<T: for<'b> Decode<'b, ()>>(&self, key: &[u8], value: &[u8]) -> bool {
        self.sealer.decode_sealed::<T>(key, value).is_ok()
    }

    /// An identity that a collection never had: whoever does not know the installation's secret
    /// cannot tell it beforehand.
    pub(super) fn another_identity(&self, id: CollectionId, former: &Id) -> Id {
        let former = CollectionId::from_bytes(*former);
        self.sealer.secret(&format!("another identity of {id} after {former} at {}", self.at))
    }

    /// Takes back what would destroy something while it is not known what exists.
    pub(super) fn hesitate(&mut self) {
        let of_slot = |finding: &Finding| finding.id.first() == Some(&(Table::Slot as u8));
        let mut findings = self.findings.iter();
        let unreadable = findings.any(|finding| finding.what == UNREADABLE && !of_slot(finding));
        for finding in &mut self.findings {
            let lies_among_people = keys::owner(&finding.id).is_some_and(|id| self.peopled.contains(&id));
            let destroys = finding.what == UNOWNED;
            if finding.mend.stage() == Some(Stage::Orphans)
                && (self.unsure || (destroys && unreadable) || lies_among_people)
            {
                finding.mend = Mend::Nothing;
            }
        }
    }
}

impl Contact {
    /// What a card's row says.
    pub(super) fn new(book: CollectionId, slot: Slot, number: u32, version: u64, described: bool) -> Self {
        let (member, uid) = ([0; HASH], [0; HASH]);
        let (trashed, in_calendar, properties, history) = (false, false, false, 0);
        Self {
            book,
            slot,
            number,
            version,
            described,
            member,
            uid,
            trashed,
            in_calendar,
            properties,
            history,
        }
    }
}
