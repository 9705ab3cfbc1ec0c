//! The stored rows: CBOR with numbered fields, so that a row may gain fields without a new format.
//! How they are sealed and laid into values is `codec.rs`'s.

use jiff::Timestamp;
use minicbor::{Decode, Encode};

use crate::domain::id::CollectionKind;

use super::keys::Hash;
use super::owner::Owner;

mod account;
mod contact;
mod definition;

pub use account::{AccountRow, AppPasswordRow, OriginRow, UseRow};
pub use contact::{NumberRow, RecordHistoryRow, RecordRow, SameUidRow, TrashedRow};
pub use definition::{
    Definition, FieldKind, FieldRow, FilterRow, JobRow, JobState, PartRow, PublicLinkRow, WordRow,
};

crate::hidden!(CardRow, LinkRow, TombstoneRow, PropertiesRow, StoredProperty, HistoryRow, EventRow);

/// An id in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Id(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A home, a book or a calendar.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct CollectionRow {
    /// The account it belongs to.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub owner: [u8; 16],
    /// The home it lies in; `None` for a home.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub home: Option<[u8; 16]>,
    /// When it was made, in microseconds since 1970.
    #[n(2)]
    pub created: i64,
    /// The book made at first sign-in; listed first.
    #[n(3)]
    pub default: bool,
    /// Its key slot.
    #[n(4)]
    pub slot: u32,
    /// What its sync tokens name: another one after its log was made anew, so that older tokens
    /// are refused.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub identity: [u8; 16],
    /// Removals up to this revision are forgotten: older tokens are refused.
    #[n(6)]
    pub floor: u64,
    /// Who beside the owner may use it; sorted by account.
    #[cbor(n(7), default)]
    pub shares: Vec<ShareRow>,
    /// It is its owner's alone: not searched, exported or reported.
    #[cbor(n(8), default)]
    pub private: bool,
    /// It is a smart book: it shows what this saved filter finds, and its cards are those of contacts
    /// in other books.
    #[n(9)]
    pub smart: Option<Id>,
    /// It is a calendar, or a home of calendars.
    #[cbor(n(10), default)]
    pub calendar: bool,
    /// The components that a calendar takes, as the bits of `domain::ical::Kind`s; set when it is made
    /// (CAL-7).
    #[cbor(n(11), default)]
    pub components: u8,
}

impl CollectionRow {
    /// What it holds.
    pub fn kind(&self) -> CollectionKind {
        if self.calendar { CollectionKind::Calendar } else { CollectionKind::AddressBook }
    }

    /// Whether people would be shown the same of it: whose it is, and who may use it.
    pub fn is_shown_as(&self, other: &Self) -> bool {
        let shown = |row: &Self| (row.owner, row.home, row.private, row.default);
        shown(self) == shown(other) && self.shares == other.shares
    }
}

/// What a user or a group may do with another's collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ShareRow {
    /// The account; nil stands for every user.
    #[n(0)]
    pub account: Id,
    /// May write, and not only read.
    #[n(1)]
    pub write: bool,
}

/// A card in a book, or an object in a calendar.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct CardRow {
    /// The contact.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub contact: [u8; 16],
    /// The member's name.
    #[n(1)]
    pub name: String,
    /// The card's UID.
    #[n(2)]
    pub uid: String,
    /// How often the card was written, from 1.
    #[n(3)]
    pub version: u64,
    /// Its entity tag.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub etag: [u8; 16],
    /// Its body's size.
    #[n(5)]
    pub size: u64,
    /// A card's vCard version: 3 or 4. A calendar object's component: 11 VEVENT, 12 VTODO, 13 VJOURNAL,
    /// 14 VAVAILABILITY.
    #[n(6)]
    pub format: u8,
    /// When the contact was made, in microseconds since 1970.
    #[n(7)]
    pub created: i64,
    /// When the card last changed.
    #[n(8)]
    pub modified: i64,
    /// The UID was given by the server.
    #[n(9)]
    pub invented_uid: bool,
    /// Clients wrote properties on it.
    #[n(10)]
    pub described: bool,
    /// Who last changed it.
    #[n(11)]
    pub by: Option<Id>,
    /// With what client.
    #[n(12)]
    pub client: Option<String>,
    /// It lies in the trash: where it came from.
    #[n(13)]
    pub trashed: Option<TrashedRow>,
}

impl CardRow {
    /// It is an object in a calendar.
    pub fn is_calendar_object(&self) -> bool {
        self.format > 10
    }
}

/// A book in a home: its own place there, or that of another's which is shared.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct LinkRow {
    /// The member's name.
    #[n(0)]
    pub name: String,
    /// The book.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub collection: [u8; 16],
    /// The book is another's. What this user wrote on it is kept under the member's name hash.
    #[cbor(n(2), default)]
    pub mount: bool,
    /// The book is a smart one.
    #[cbor(n(3), default)]
    pub smart: bool,
}

/// A member that is gone: its name, because a sync must still tell it (SYNC-9).
#[derive(Clone, PartialEq, Eq)]
pub struct TombstoneRow {
    /// The member's name.
    pub name: String,
    /// When it went, in microseconds since 1970.
    pub at: i64,
}

/// A line of the change log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ChangeRow {
    /// The member's name hash.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub member: Hash,
    /// It went.
    #[n(1)]
    pub removed: bool,
}

/// Who has a UID.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct UidRow {
    /// The member's name hash.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub member: Hash,
}

/// Properties that clients wrote.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct PropertiesRow {
    /// In the order they were first written.
    #[n(0)]
    pub properties: Vec<StoredProperty>,
}

/// One property.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct StoredProperty {
    /// The namespace URI; empty for none.
    #[n(0)]
    pub namespace: String,
    /// The local name.
    #[n(1)]
    pub local: String,
    /// Plain text.
    #[n(2)]
    pub text: Option<String>,
    /// The text's `xml:lang`.
    #[n(3)]
    pub lang: Option<String>,
    /// The whole element, where it is more than text.
    #[n(4)]
    pub xml: Option<String>,
}

/// An earlier body of a card, kept because some clients overwrite without asking (CARD-55).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct HistoryRow {
    /// When it was replaced, in microseconds since 1970.
    #[n(0)]
    pub at: i64,
    /// The account that replaced it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub actor: Option<[u8; 16]>,
    /// The body; empty where it was damaged.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// The client that replaced it.
    #[n(3)]
    pub client: Option<String>,
}

/// A collection that waits to be purged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PurgeRow {
    /// Its members are books, not cards.
    #[n(0)]
    pub home: bool,
    /// Its key slot.
    #[n(1)]
    pub slot: u32,
    /// It was a smart book: the keys of its cards are those of contacts that live elsewhere.
    #[cbor(n(2), default)]
    pub smart: bool,
}

/// A key slot in use.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SlotRow {
    /// Whose key it holds.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub owner: [u8; Owner::LENGTH],
}

/// The key slot for names that a collection lost in a period.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NamesRow {
    /// The slot.
    #[n(0)]
    pub slot: u32,
}

/// An erasure, or a key slot that waits to be overwritten.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ErasedRow {
    /// When, in microseconds since 1970.
    #[n(0)]
    pub at: i64,
}

/// Something that happened. What a later version says of it besides follows in further fields.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct EventRow {
    /// When, in microseconds since 1970.
    #[n(0)]
    pub at: i64,
    /// What, by its number.
    #[n(1)]
    pub kind: u8,
    /// The account that did it.
    #[n(2)]
    pub actor: Option<Id>,
    /// The account that it is about.
    #[n(3)]
    pub account: Option<Id>,
    /// What the next field is: 1 a collection, 2 a token, 3 a group.
    #[n(4)]
    pub about: Option<u8>,
    /// What else it is about.
    #[n(5)]
    pub subject: Option<Id>,
    /// The client's family.
    #[n(6)]
    pub client: Option<String>,
    /// The client's address.
    #[n(7)]
    pub address: Option<String>,
    /// How many times.
    #[n(8)]
    pub count: u64,
}

/// A time as rows hold it.
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A row's time.
pub fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}
