//! Rows to values and back: which rows are sealed and with whose key, which are only marked, and
//! what stands in clear before an envelope. Rows that a commit stamps begin with 8 bytes that the
//! engine overwrites with the revision; those alone are bound to nothing.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::domain::id::{CollectionId, ContactId};

use super::StoreError;
use super::keys::{self, Hash};
use super::keyslots::Slot;
use super::owner::Owner;
use super::rows::{CardRow, ErasedRow, LinkRow, RecordRow, SlotRow, TombstoneRow};
use super::seal::{At, Sealer};

/// The length of the revision in front of stamped rows.
pub const STAMP: usize = 8;

/// What a card's row has in clear before its envelope: the contact and the number of its key.
const CONTACT: usize = 16 + 4;
/// What a body has in clear: the member's name hash and the card's version.
const BODY: usize = keys::HASH + 8;
/// What a record has in clear: the series of the contact's number and the hash of its UID.
const RECORD: usize = 1 + keys::HASH;

/// Where the envelopes of cards, of books' places and of bodies begin; those of other sealed rows
/// begin at once.
pub const CARD_AT: usize = STAMP + CONTACT;
/// See [`CARD_AT`].
pub const LINK_AT: usize = STAMP;
/// See [`CARD_AT`].
pub const BODY_AT: usize = BODY;
/// See [`CARD_AT`].
pub const RECORD_AT: usize = STAMP + RECORD;

const SHORT: StoreError = StoreError::Damaged("a row is too short");
const UNREADABLE: StoreError = StoreError::Damaged("a row cannot be read");

/// A card's row with what lies beside it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The revision at which the card last changed.
    pub revision: u64,
    /// The contact's key slot.
    pub slot: Slot,
    /// Which of the contact's keys is in it.
    pub number: u32,
    /// The row.
    pub row: CardRow,
}

impl Kept {
    /// Whose key seals the contact's values.
    pub fn owner(&self) -> Owner {
        Owner::contact(self.row.contact, self.number)
    }
}

/// A body's value, opened.
pub struct Body {
    /// The member's name hash.
    pub member: Hash,
    /// The card's version.
    pub version: u64,
    /// The member's name, a second time: for repair, and for archives.
    pub name: String,
    /// The card's octets.
    pub octets: Bytes,
}

impl Sealer {
    /// A marked row: ids, hashes and numbers only.
    pub fn encode<T: Encode<()>>(&self, key: &[u8], row: &T) -> Vec<u8> {
        let mut value = Vec::with_capacity(64);
        self.mark_into(keys::place(key), &mut value, &cbor(row));
        value
    }

    /// Reads a marked row.
    pub fn decode<T: for<'b> Decode<'b, ()>>(&self, key: &[u8], value: &[u8]) -> Result<T, StoreError> {
        from_cbor(self.unmark(keys::place(key), value)?)
    }

    /// A sealed row.
    pub fn encode_sealed<T: Encode<()>>(
        &self,
        slot: Slot,
        key: &[u8],
        row: &T,
    ) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::with_capacity(192);
        self.seal(slot, key, &mut value, 0, &cbor(row))?;
        Ok(value)
    }

    /// Reads a sealed row.
    pub fn decode_sealed<T: for<'b> Decode<'b, ()>>(
        &self,
        key: &[u8],
        value: &[u8],
    ) -> Result<T, StoreError> {
        from_cbor(&self.open(At::key(key), value)?)
    }

    /// A card's row behind an empty stamp, sealed with the contact's key.
    pub fn encode_card(
        &self,
        slot: Slot,
        number: u32,
        key: &[u8],
        row: &CardRow,
    ) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::with_capacity(256);
        value.extend_from_slice(&[0; STAMP]);
        value.extend_from_slice(&row.contact);
        value.extend_from_slice(&number.to_be_bytes());
        self.seal(slot, key, &mut value, STAMP, &cbor(row))?;
        Ok(value)
    }

    /// Reads a card's row.
    pub fn decode_card(&self, key: &[u8], value: &[u8]) -> Result<Kept, StoreError> {
        let place = ObjectPlace::read(value)?;
        let row: CardRow = from_cbor(&self.open(At { key, front: place.front }, place.sealed)?)?;
        if row.contact != *place.contact.as_bytes() {
            return Err(UNREADABLE);
        }
        Ok(Kept { revision: place.revision, slot: place.slot, number: place.number, row })
    }

    /// A book's place in its home behind an empty stamp, sealed with the book's key.
    pub fn encode_link(&self, slot: Slot, key: &[u8], row: &LinkRow) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::with_capacity(128);
        value.extend_from_slice(&[0; STAMP]);
        self.seal(slot, key, &mut value, STAMP, &cbor(row))?;
        Ok(value)
    }

    /// Reads a book's place and the revision at which it was logged.
    pub fn decode_link(&self, key: &[u8], value: &[u8]) -> Result<(u64, LinkRow), StoreError> {
        let (revision, sealed) = stamp(value)?;
        Ok((revision, from_cbor(&self.open(At::key(key), sealed)?)?))
    }

    /// A removed member's name behind an empty stamp and the time, sealed with the key for names
    /// of that period.
    pub fn encode_tombstone(
        &self,
        slot: Slot,
        key: &[u8],
        row: &TombstoneRow,
    ) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::with_capacity(128);
        value.extend_from_slice(&[0; STAMP]);
        value.extend_from_slice(&row.at.to_be_bytes());
        self.seal(slot, key, &mut value, STAMP, row.name.as_bytes())?;
        Ok(value)
    }

    /// Reads a tombstone and its revision.
    pub fn decode_tombstone(&self, key: &[u8], value: &[u8]) -> Result<(u64, TombstoneRow), StoreError> {
        let (revision, rest) = stamp(value)?;
        let (at, sealed) = rest.split_first_chunk::<8>().ok_or(SHORT)?;
        let name = self.open(At { key, front: at }, sealed)?;
        let name = String::from_utf8(name).map_err(|_| UNREADABLE)?;
        Ok((revision, TombstoneRow { name, at: i64::from_be_bytes(*at) }))
    }

    /// A card's octets, with the member's name hash and the card's version in clear, sealed with the
    /// contact's key.
    pub fn encode_body(
        &self,
        slot: Slot,
        key: &[u8],
        member: &Hash,
        row: &CardRow,
        octets: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let name = row.name.as_bytes();
        let length = u16::try_from(name.len()).map_err(|_| StoreError::Malformed("a name is too long"))?;
        let mut plain = Vec::with_capacity(2 + name.len() + octets.len());
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(name);
        plain.extend_from_slice(octets);
        let mut value = Vec::with_capacity(BODY + plain.len() + 64);
        value.extend_from_slice(member);
        value.extend_from_slice(&row.version.to_be_bytes());
        self.seal(slot, key, &mut value, 0, &plain)?;
        Ok(value)
    }

    /// Reads a card's octets, in the value's own memory where that is possible.
    pub fn decode_body(&self, key: &[u8], value: Bytes) -> Result<Body, StoreError> {
        let (member, version) = body_front(&value)?;
        let plain = self.open_bytes(key, value, BODY)?;
        let (name, _) = named(&plain)?;
        let octets = plain.slice(2 + name.len()..);
        let name = std::str::from_utf8(name).map_err(|_| UNREADABLE)?.to_owned();
        Ok(Body { member, version, name, octets })
    }

    /// Reads a card's octets into a buffer, for scans: the member's name hash, and the octets.
    pub fn scan_body<'p>(
        &self,
        key: &[u8],
        value: &[u8],
        plain: &'p mut Vec<u8>,
    ) -> Result<(Hash, &'p [u8]), StoreError> {
        let (member, _) = body_front(value)?;
        let (front, sealed) = value.split_at_checked(BODY).ok_or(SHORT)?;
        self.open_into(At { key, front }, sealed, plain)?;
        let (_, octets) = named(plain)?;
        Ok((member, octets))
    }

    /// A contact's record behind its number, its number's series and its UID's hash, sealed with the
    /// contact's key.
    pub fn encode_record(&self, key: &[u8], record: &KeptRecord) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::with_capacity(256);
        value.extend_from_slice(&record.place.number.to_be_bytes());
        value.push(record.place.series);
        value.extend_from_slice(&record.place.uid);
        self.seal(record.place.slot, key, &mut value, STAMP, &cbor(&record.row))?;
        Ok(value)
    }

    /// Reads a contact's record.
    pub fn decode_record(&self, key: &[u8], value: &[u8]) -> Result<KeptRecord, StoreError> {
        let place = RecordPlace::read(value)?;
        let (front, sealed) = stamp(value)?.1.split_at_checked(RECORD).ok_or(SHORT)?;
        let row = from_cbor(&self.open(At { key, front }, sealed)?)?;
        Ok(KeptRecord { place, row })
    }

    /// The row that says whose key a slot holds.
    pub fn encode_slot(&self, slot: Slot, owner: Owner) -> Vec<u8> {
        self.encode(&keys::slot(slot), &SlotRow { owner: owner.to_bytes() })
    }

    /// Whose key a slot holds.
    pub fn decode_slot(&self, key: &[u8], value: &[u8]) -> Result<Owner, StoreError> {
        let row: SlotRow = self.decode(key, value)?;
        Owner::from_bytes(&row.owner).ok_or(UNREADABLE)
    }

    /// A row that says when.
    pub fn encode_erased(&self, key: &[u8], at: i64) -> Vec<u8> {
        self.encode(key, &ErasedRow { at })
    }
}

/// A contact's record with what lies beside it.
#[derive(Debug, Clone)]
pub struct KeptRecord {
    /// What stands in clear.
    pub place: RecordPlace,
    /// The record.
    pub row: RecordRow,
}

/// What a record shows without its key.
#[derive(Debug, Clone, Copy)]
pub struct RecordPlace {
    /// The contact's number in its series.
    pub number: u64,
    /// The series.
    pub series: u8,
    /// The hash of the contact's UID, wherever it is.
    pub uid: Hash,
    /// The key slot.
    pub slot: Slot,
}

impl RecordPlace {
    /// Takes a record's row apart.
    pub fn read(value: &[u8]) -> Result<Self, StoreError> {
        let (number, rest) = stamp(value)?;
        let (series, rest) = rest.split_first().ok_or(SHORT)?;
        let (uid, sealed) = rest.split_first_chunk::<{ keys::HASH }>().ok_or(SHORT)?;
        Ok(Self { number, series: *series, uid: *uid, slot: Sealer::slot_of(sealed)? })
    }
}

/// What a card's row shows without its key. It is believed only once the envelope was opened.
pub struct ObjectPlace<'a> {
    /// The revision at which the card last changed.
    pub revision: u64,
    /// The contact.
    pub contact: ContactId,
    /// Which of the contact's keys.
    pub number: u32,
    /// The key slot.
    pub slot: Slot,
    front: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> ObjectPlace<'a> {
    /// Takes a card's row apart.
    pub fn read(value: &'a [u8]) -> Result<Self, StoreError> {
        let (revision, rest) = stamp(value)?;
        let (front, sealed) = rest.split_at_checked(CONTACT).ok_or(SHORT)?;
        let (contact, number) = front.split_first_chunk::<16>().ok_or(SHORT)?;
        let number = number.try_into().map(u32::from_be_bytes).map_err(|_| SHORT)?;
        let slot = Sealer::slot_of(sealed)?;
        Ok(Self { revision, contact: ContactId::from_bytes(*contact), number, slot, front, sealed })
    }
}

/// The contact that a card's row names in clear, whatever follows.
pub fn card_contact(value: &[u8]) -> Option<ContactId> {
    let (_, rest) = stamp(value).ok()?;
    rest.first_chunk::<16>().copied().map(ContactId::from_bytes)
}

/// The revision of a stamped row, and what follows it.
pub fn stamp(value: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    let (revision, rest) = value.split_first_chunk::<STAMP>().ok_or(SHORT)?;
    Ok((u64::from_be_bytes(*revision), rest))
}

/// The key slot that a book's place in its home names.
pub fn link_slot(value: &[u8]) -> Result<Slot, StoreError> {
    Sealer::slot_of(stamp(value)?.1)
}

/// The key slot that a body names.
pub fn body_slot(value: &[u8]) -> Result<Slot, StoreError> {
    Sealer::slot_of(value.split_at_checked(BODY).ok_or(SHORT)?.1)
}

/// The member's name hash and the version of a body.
pub fn body_front(value: &[u8]) -> Result<(Hash, u64), StoreError> {
    let (member, rest) = value.split_first_chunk::<{ keys::HASH }>().ok_or(SHORT)?;
    let (version, _) = rest.split_first_chunk::<8>().ok_or(SHORT)?;
    Ok((*member, u64::from_be_bytes(*version)))
}

/// The collection that a key of its tables names.
pub fn collection_in(key: &[u8]) -> Result<CollectionId, StoreError> {
    keys::owner(key).map(CollectionId::from_bytes).ok_or(StoreError::Damaged("a key is too short"))
}

/// A length-prefixed name, and what follows it.
fn named(plain: &[u8]) -> Result<(&[u8], &[u8]), StoreError> {
    let (length, rest) = plain.split_first_chunk::<2>().ok_or(SHORT)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(SHORT)
}

/// A row as CBOR.
pub fn cbor<T: Encode<()>>(row: &T) -> Vec<u8> {
    // Writing into a Vec cannot fail, and no row's `Encode` refuses a value.
    minicbor::to_vec(row).unwrap_or_default()
}

/// A row from CBOR.
pub fn from_cbor<T: for<'b> Decode<'b, ()>>(clear: &[u8]) -> Result<T, StoreError> {
    minicbor::decode(clear).map_err(|_| UNREADABLE)
}
