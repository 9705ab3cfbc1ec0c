//! The key layout: one byte for the table, then ids, keyed hashes and big-endian numbers, so that
//! one collection's rows lie together and in order. No personal value is ever in a key in clear:
//! names and UIDs enter as keyed hashes (`seal.rs`).

use crate::domain::id::{CollectionId, ContactId, Revision};

use super::engine::KeyRange;
use super::keyslots::Slot;
use super::owner::Owner;

/// The length of a keyed hash in a key.
pub const HASH: usize = 16;

/// A keyed hash of a name, a UID or a secret, as keys hold it.
pub type Hash = [u8; HASH];

/// The book of what was deleted and may come back. It lies in the home of the server's own group, and
/// nobody reaches it by a URL.
pub const TRASH: CollectionId = CollectionId::from_bytes(*b"what was deleted");

/// The tables, by their first key byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// The installation: format version, secrets, demo mark.
    Installation = b'0',
    /// Accounts by name hash.
    Account = b'A',
    /// Card bodies by collection and contact.
    Body = b'B',
    /// The change log by collection and revision: one row a name.
    Change = b'C',
    /// Properties that clients wrote, by the id of what they describe.
    Properties = b'D',
    /// The ledger of erasures: whose keys were destroyed.
    Erased = b'E',
    /// Records by contact, in front of each the contact's number.
    Record = b'F',
    /// Numbers by series: whose each is; and the newest of each series.
    Number = b'G',
    /// Earlier bodies by contact and version.
    History = b'H',
    /// What happened to accounts, tokens and shares, by a number that goes up; and that number.
    Event = b'L',
    /// Collections waiting to be purged.
    Purge = b'J',
    /// Collections by id.
    Collection = b'K',
    /// Members by collection and name hash: cards of a book, books of a home.
    Member = b'M',
    /// Key slots for the names of what a collection lost, by collection and period.
    Names = b'N',
    /// What the admins and users lay down: fields, roles, filters; by kind and id.
    Definition = b'O',
    /// App passwords by secret hash.
    AppPassword = b'P',
    /// App passwords by account and id.
    AppPasswordOf = b'Q',
    /// Revision counters by collection.
    Revision = b'R',
    /// Key slots in use: whose key is in it.
    Slot = b'S',
    /// Removed members by collection and name hash.
    Tombstone = b'T',
    /// UIDs by collection and UID hash.
    Uid = b'U',
    /// Earlier records by contact and by how many came before.
    RecordHistory = b'V',
    /// Key slots whose key is to be overwritten.
    Doomed = b'X',
    /// Contacts by the hash of their UID, whichever book they are in.
    SameUid = b'Y',
    /// Long work, by id.
    Job = b'Z',
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 25] = [
        Self::Installation,
        Self::Account,
        Self::Body,
        Self::Change,
        Self::Properties,
        Self::Erased,
        Self::Record,
        Self::Number,
        Self::History,
        Self::Event,
        Self::Purge,
        Self::Collection,
        Self::Member,
        Self::Names,
        Self::Definition,
        Self::AppPassword,
        Self::AppPasswordOf,
        Self::Revision,
        Self::Slot,
        Self::Tombstone,
        Self::Uid,
        Self::RecordHistory,
        Self::Doomed,
        Self::SameUid,
        Self::Job,
    ];

    /// How long the table's keys are; the installation's differ.
    pub(super) fn key_length(self) -> Option<usize> {
        const ID: usize = 16;
        Some(match self {
            Self::Installation => return None,
            // But for the counters'.
            Self::Event | Self::Number => return None,
            Self::Account | Self::AppPassword => 1 + HASH,
            Self::Purge | Self::Collection | Self::Revision | Self::Properties => 1 + ID,
            Self::Record | Self::Job => 1 + ID,
            Self::SameUid => 1 + HASH + ID,
            Self::Definition => 1 + 1 + ID,
            Self::Member | Self::Tombstone | Self::Uid => 1 + ID + HASH,
            Self::Body | Self::AppPasswordOf => 1 + ID + ID,
            Self::Change | Self::History | Self::RecordHistory => 1 + ID + 8,
            Self::Slot | Self::Doomed => 1 + 4,
            Self::Names => 1 + ID + 4,
            Self::Erased => 1 + Owner::LENGTH,
        })
    }

    /// The table whose keys begin with that byte.
    pub fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == byte)
    }
}

fn key(table: Table, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|p| p.len()).sum::<usize>());
    key.push(table as u8);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// A row of the installation table.
pub fn installation(name: &str) -> Vec<u8> {
    key(Table::Installation, &[name.as_bytes()])
}

/// An account.
pub fn account(name: &Hash) -> Vec<u8> {
    key(Table::Account, &[name])
}

/// An app password by its secret.
pub fn app_password(secret: &Hash) -> Vec<u8> {
    key(Table::AppPassword, &[secret])
}

/// An app password by its account and id.
pub fn app_password_of(account: &[u8; 16], id: &[u8; 16]) -> Vec<u8> {
    key(Table::AppPasswordOf, &[account, id])
}

/// A collection.
pub fn collection(id: CollectionId) -> Vec<u8> {
    key(Table::Collection, &[id.as_bytes()])
}

/// A collection's revision counter.
pub fn revision(id: CollectionId) -> Vec<u8> {
    key(Table::Revision, &[id.as_bytes()])
}

/// A collection waiting to be purged.
pub fn purge(id: CollectionId) -> Vec<u8> {
    key(Table::Purge, &[id.as_bytes()])
}

/// A member of a collection.
pub fn member(collection: CollectionId, name: &Hash) -> Vec<u8> {
    key(Table::Member, &[collection.as_bytes(), name])
}

/// A removed member of a collection.
pub fn tombstone(collection: CollectionId, name: &Hash) -> Vec<u8> {
    key(Table::Tombstone, &[collection.as_bytes(), name])
}

/// A UID of a collection.
pub fn uid(collection: CollectionId, uid: &Hash) -> Vec<u8> {
    key(Table::Uid, &[collection.as_bytes(), uid])
}

/// A card's body.
pub fn body(collection: CollectionId, contact: ContactId) -> Vec<u8> {
    key(Table::Body, &[collection.as_bytes(), contact.as_bytes()])
}

/// A change row's key without its revision, which the engine completes.
pub fn change_stem(collection: CollectionId) -> Vec<u8> {
    key(Table::Change, &[collection.as_bytes()])
}

/// A change row.
pub fn change(collection: CollectionId, revision: Revision) -> Vec<u8> {
    key(Table::Change, &[collection.as_bytes(), &revision.0.to_be_bytes()])
}

/// The properties of whatever has that id: collection, contact or account.
pub fn properties(id: &[u8; 16]) -> Vec<u8> {
    key(Table::Properties, &[id])
}

/// An earlier body.
pub fn history(contact: ContactId, version: u64) -> Vec<u8> {
    key(Table::History, &[contact.as_bytes(), &version.to_be_bytes()])
}

/// A contact's record.
pub fn record(contact: ContactId) -> Vec<u8> {
    key(Table::Record, &[contact.as_bytes()])
}

/// An earlier record.
pub fn record_history(contact: ContactId, before: u64) -> Vec<u8> {
    key(Table::RecordHistory, &[contact.as_bytes(), &before.to_be_bytes()])
}

/// The newest number of a series. As a number's key it lacks the number, which the engine completes.
pub fn number_counter(series: u8) -> Vec<u8> {
    key(Table::Number, &[&[series]])
}

/// Whose a number is.
pub fn number_of(series: u8, number: u64) -> Vec<u8> {
    key(Table::Number, &[&[series], &number.to_be_bytes()])
}

/// The series and the number that a key of the table `Number` names; a counter's has no number.
pub fn number_in(key: &[u8]) -> Option<(u8, Option<u64>)> {
    let (series, number) = key.get(1..)?.split_first()?;
    match number.len() {
        0 => Some((*series, None)),
        _ => Some((*series, Some(number.try_into().map(u64::from_be_bytes).ok()?))),
    }
}

/// A contact by its UID.
pub fn same_uid(uid: &Hash, contact: ContactId) -> Vec<u8> {
    key(Table::SameUid, &[uid, contact.as_bytes()])
}

/// Something laid down.
pub fn definition(kind: u8, id: &[u8; 16]) -> Vec<u8> {
    key(Table::Definition, &[&[kind], id])
}

/// All that is laid down of a kind.
pub fn definitions(kind: u8) -> KeyRange {
    prefix(key(Table::Definition, &[&[kind]]))
}

/// Long work.
pub fn job(id: &[u8; 16]) -> Vec<u8> {
    key(Table::Job, &[id])
}

/// A key slot in use.
pub fn slot(slot: Slot) -> Vec<u8> {
    key(Table::Slot, &[&slot.0.to_be_bytes()])
}

/// A key slot that is to be overwritten.
pub fn doomed(slot: Slot) -> Vec<u8> {
    key(Table::Doomed, &[&slot.0.to_be_bytes()])
}

/// An erasure.
pub fn erased(owner: Owner) -> Vec<u8> {
    key(Table::Erased, &[&owner.to_bytes()])
}

/// The key slot for the names of what a collection lost in a period.
pub fn names(collection: CollectionId, period: u32) -> Vec<u8> {
    key(Table::Names, &[collection.as_bytes(), &period.to_be_bytes()])
}

/// The number of the newest event. As an event's key it lacks the number, which the engine completes.
pub fn event_counter() -> Vec<u8> {
    key(Table::Event, &[])
}

/// An event.
pub fn event(number: u64) -> Vec<u8> {
    key(Table::Event, &[&number.to_be_bytes()])
}

/// The events from that number on.
pub fn events_from(number: u64) -> KeyRange {
    KeyRange { start: event(number), end: vec![Table::Event as u8 + 1] }
}

/// The number that an event's key names.
pub fn event_number(key: &[u8]) -> Option<u64> {
    key.get(1..)?.try_into().ok().map(u64::from_be_bytes)
}

/// All rows of a table.
pub fn whole(table: Table) -> KeyRange {
    KeyRange { start: vec![table as u8], end: vec![table as u8 + 1] }
}

/// All rows of a table that begin with a collection's, contact's or account's id.
pub fn under(table: Table, id: &[u8; 16]) -> KeyRange {
    prefix(key(table, &[id]))
}

/// The change rows after `since`.
pub fn changes_after(collection: CollectionId, since: Revision) -> KeyRange {
    let mut range = under(Table::Change, collection.as_bytes());
    range.start = change(collection, Revision(since.0.saturating_add(1)));
    range
}

/// Every key that begins with `start`.
fn prefix(start: Vec<u8>) -> KeyRange {
    let mut end = start.clone();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    KeyRange { start, end }
}

/// The 16 bytes that follow a key's table byte.
pub fn owner(key: &[u8]) -> Option<[u8; 16]> {
    key.get(1..17)?.try_into().ok()
}

/// The 16 bytes that follow a key's owner: a name hash, a UID hash or a contact.
pub fn item(key: &[u8]) -> Option<[u8; 16]> {
    key.get(17..33)?.try_into().ok()
}

/// The key slot that a key of the tables `Slot` and `Doomed` names.
pub fn slot_in(key: &[u8]) -> Option<Slot> {
    key.get(1..)?.try_into().ok().map(u32::from_be_bytes).map(Slot)
}

/// The owner that a key of the table `Erased` names.
pub fn owner_in(key: &[u8]) -> Option<Owner> {
    Owner::from_bytes(key.get(1..)?)
}

/// The period that a key of the table `Names` names.
pub fn period(key: &[u8]) -> Option<u32> {
    key.get(17..)?.try_into().ok().map(u32::from_be_bytes)
}

/// The part of a key that is known before the engine completes it: all of it, but for the revision
/// of a change row, the number of an event and that of a contact. Seals and marks are bound to this.
pub fn place(key: &[u8]) -> &[u8] {
    match key.first() {
        Some(first) if *first == Table::Number as u8 => key.get(..2).unwrap_or(key),
        Some(first) if *first == Table::Change as u8 => key.get(..17).unwrap_or(key),
        Some(first) if *first == Table::Event as u8 => key.get(..1).unwrap_or(key),
        _ => key,
    }
}

/// The number that follows a key's owner.
pub fn number(key: &[u8]) -> Option<u64> {
    key.get(17..25)?.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_rows_and_no_others() {
        let id = CollectionId::from_bytes([0xff; 16]);
        let range = under(Table::Member, id.as_bytes());
        let inside = member(id, &[0xff; 16]);
        assert!(range.start <= inside && inside < range.end);
        assert_eq!(range.end, vec![b'M' + 1]);
        let after = changes_after(id, Revision(7));
        assert!(change(id, Revision(7)) < after.start && change(id, Revision(8)) >= after.start);
        assert_eq!(number(&change(id, Revision(8))), Some(8));
        assert_eq!(item(&inside), Some([0xff; 16]));
    }
}
