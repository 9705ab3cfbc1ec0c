//! What use cases show: plain values, all of one answer from one snapshot.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::format::Format;
use crate::domain::ical::Components;
use crate::domain::ical::zone::Zone;
use crate::domain::id::{
    AccountId, CollectionId, CollectionKind, ContactId, Etag, HomeName, MemberName, Principal, Revision, Uid,
};
use crate::domain::token::{BirthsToken, SyncToken};
use crate::domain::vcard::Version;
use crate::store::query::Room;

use super::Answer;
use super::access::Rights;
use super::calendars::{CALDAV, zone_of};
use super::refusal::{Fault, Refusal};

crate::hidden!(Property, PropertyValue, PrincipalView, ObjectView, CollectionView);

/// The name of a property: namespace and local name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PropertyName {
    /// The namespace URI; empty for none.
    pub namespace: String,
    /// The local name.
    pub local: String,
}

/// A property that clients write and read back (dead, or live and writable such as
/// `displayname` and `addressbook-description`).
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: PropertyName,
    /// What it holds.
    pub value: PropertyValue,
}

/// What a written property holds.
#[derive(Clone, PartialEq, Eq)]
pub enum PropertyValue {
    /// Text only, without attributes but `xml:lang`.
    Text {
        /// The text, unescaped.
        text: String,
        /// `xml:lang` in force where it was written.
        lang: Option<String>,
    },
    /// Anything else: the whole element, self-contained (its own namespace declarations), as XML.
    Xml(String),
}

/// One step of a PROPPATCH, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyChange {
    /// Sets the property.
    Set(Property),
    /// Removes it; removing what is not there succeeds (DAV-20).
    Remove(PropertyName),
}

/// A user or a group, as a principal.
#[derive(Clone)]
pub struct PrincipalView {
    /// The account's id, also its `resource-id`.
    pub account: AccountId,
    /// The name in its URL.
    pub name: Principal,
    /// How people call it; its name where none was given.
    pub display_name: String,
    /// Its e-mail addresses, the first of them first.
    pub addresses: Vec<String>,
    /// Of a user the groups that it is in, of a group the users in it, as far as the caller may know
    /// of them.
    pub related: Vec<Principal>,
    /// When the account was made.
    pub created: Timestamp,
    /// The book in its home in which the staff can be searched, where that is no book to look into.
    pub gateway: Option<MemberName>,
    /// What the caller may do with it.
    pub rights: Rights,
    /// Properties that clients wrote; those of others are not told.
    pub properties: Vec<Property>,
    /// What clients wrote cannot be read.
    pub unreadable: bool,
}

/// A home, a book or a calendar.
#[derive(Clone)]
pub struct CollectionView {
    /// Its identity (`resource-id`); stays over a rename.
    pub id: CollectionId,
    /// What its sync tokens name.
    pub log: CollectionId,
    /// Tokens before this revision are refused: removals up to it are forgotten.
    pub floor: Revision,
    /// In whose home it is, and whether that is of books or of calendars.
    pub home: HomeName,
    /// Its name in the home; `None` for a home itself.
    pub name: Option<MemberName>,
    /// When it was made.
    pub created: Timestamp,
    /// How often it has changed.
    pub revision: Revision,
    /// What the caller may do with it.
    pub rights: Rights,
    /// Whose it really is, where that is not the user in whose home it lies.
    pub sharer: Sharer,
    /// Others have access to it.
    pub shared: bool,
    /// The components that a calendar takes.
    pub components: Components,
    /// Properties that clients wrote, `displayname` and `addressbook-description` among them.
    pub properties: Vec<Property>,
    /// What clients wrote cannot be read.
    pub unreadable: bool,
    /// It can be searched, and its members read by their names, and no more.
    pub search_only: bool,
    /// Of a home: a digest over its books, which changes whenever anything in it does (CS-1).
    pub digest: Option<[u8; 16]>,
    /// Of the calendar of birthdays: its current sync token, which names what it is made of.
    pub births: Option<Arc<BirthsToken>>,
}

/// What a caller may do with a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What it may do.
    pub rights: Rights,
    /// It is another's, and lies in the caller's home.
    pub mounted: bool,
}

/// Whose a collection is, beside the user in whose home it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sharer {
    /// It is that user's own.
    Own,
    /// It is another's.
    Known(Principal),
    /// It is another's, who is not told.
    Unknown,
}

impl Sharer {
    /// Another, if the name is known.
    pub fn of(name: Option<Principal>) -> Self {
        name.map_or(Self::Unknown, Self::Known)
    }
}

impl CollectionView {
    /// The time zone that a calendar's owner gave it (CAL-6).
    pub fn zone(&self) -> Option<Zone> {
        let text = |local: &str| {
            let own = self.properties.iter().find(|p| p.name.namespace == CALDAV && p.name.local == local);
            match &own?.value {
                PropertyValue::Text { text, .. } => Some(text.as_str()),
                PropertyValue::Xml(_) => None,
            }
        };
        zone_of(text)
    }

    /// What it holds, or what the collections of this home hold.
    pub fn kind(&self) -> CollectionKind {
        self.home.kind
    }

    /// The current sync token of what has a log of its own: of all but the calendar of birthdays.
    pub fn token(&self) -> SyncToken {
        SyncToken { collection: self.log, revision: self.revision, began: None }
    }
}

/// A home and its books, from one snapshot.
#[derive(Debug, Clone)]
pub struct HomeView {
    /// The home itself.
    pub home: CollectionView,
    /// Its books, the user's default book first, the rest by name (B1 #6); always filled.
    pub books: Vec<CollectionView>,
    /// Books that cannot be read.
    pub damaged: Vec<MemberName>,
    /// There are books whose names cannot be read either.
    pub nameless: bool,
}

/// A card or a calendar object as it is stored.
#[derive(Clone)]
pub struct ObjectView {
    /// Its identity (`resource-id`): the contact's, or the calendar object's.
    pub contact: ContactId,
    /// Its name in the book.
    pub name: MemberName,
    /// Its UID.
    pub uid: Uid,
    /// Its entity tag.
    pub etag: Etag,
    /// The stored body's size in bytes.
    pub size: u64,
    /// What the stored body is.
    pub format: Format,
    /// When the contact was made.
    pub created: Timestamp,
    /// When its card last changed.
    pub modified: Timestamp,
    /// Properties that clients wrote; empty unless they were asked for.
    pub properties: Vec<Property>,
    /// What clients wrote was asked for and cannot be read.
    pub unreadable: bool,
    /// The stored octets, where they were asked for.
    pub body: Option<Bytes>,
}

impl ObjectView {
    /// A card's version; of what is none, the oldest that there is.
    pub fn version(&self) -> Version {
        self.format.version().unwrap_or(Version::V3)
    }
}

/// How much of each card an answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Detail {
    /// Properties that clients wrote.
    pub properties: bool,
    /// The stored octets.
    pub body: bool,
}

/// Which members of a book are asked for.
#[derive(Debug, Clone)]
pub enum Members {
    /// None: the book alone.
    None,
    /// All, in a stable order.
    All,
    /// These, in the order asked; what is not there is left out of the answer.
    Named(Vec<MemberName>),
}

/// A book and those of its members that were asked for, from one snapshot.
#[derive(Debug, Clone)]
pub struct MembersView {
    /// The book.
    pub book: CollectionView,
    /// The members.
    pub cards: Vec<ObjectView>,
    /// Members that are there and cannot be read, as far as their names can.
    pub damaged: Vec<MemberName>,
}

impl MembersView {
    /// The one card that was asked for.
    pub fn one(&self) -> Answer<&ObjectView> {
        match (self.cards.first(), self.damaged.is_empty()) {
            (Some(card), _) => Ok(card),
            (None, true) => Err(Refusal::NotFound.into()),
            (None, false) => Err(Fault("the store is damaged: a card cannot be read".into()).into()),
        }
    }
}

/// A card that was asked for by its name.
#[derive(Debug, Clone)]
pub enum Seen {
    /// There is none (any more).
    Absent,
    /// It.
    Whole(ObjectView),
    /// It is there and cannot be read.
    Damaged,
}

/// What changed since a token, from one snapshot (RFC 6578 §3.4).
#[derive(Debug, Clone)]
pub struct Changes<T, K = SyncToken> {
    /// The collection.
    pub collection: CollectionView,
    /// Members that came or changed, each once (SYNC-8).
    pub changed: Vec<T>,
    /// Members that came or changed and cannot be read, as far as their names can.
    pub damaged: Vec<MemberName>,
    /// Members that went, each once (SYNC-9).
    pub removed: Vec<MemberName>,
    /// The token for exactly this part.
    pub token: K,
    /// True when there is more: the answer tells so with 507 (SYNC-17).
    pub truncated: bool,
}

/// How much of what a query reads comes along with its matches: with several queries for one answer,
/// of all together.
pub struct Carry {
    pub(super) properties: bool,
    pub(super) room: Room,
}

impl Carry {
    /// Cards in such detail, as far as there is room for them.
    pub fn new(detail: Detail) -> Self {
        Self { properties: detail.properties, room: Room::new(detail.body) }
    }
}

/// The cards that a query matched, at most as many as the limit, in a stable order: first those that
/// come along, and then the names of those that are to be read in chunks.
#[derive(Debug, Clone)]
pub struct Matches {
    /// The book.
    pub book: CollectionView,
    /// The first matching cards, in the detail that was asked for, from the same snapshot.
    pub cards: Vec<ObjectView>,
    /// The other matching cards' names.
    pub names: Vec<MemberName>,
    /// True when the limit cut the list (CARD-49).
    pub truncated: bool,
}

/// What a PUT did.
#[derive(Debug, Clone)]
pub struct Stored {
    /// True when the card is new.
    pub created: bool,
    /// The card as stored, without properties; `body` is set.
    pub card: ObjectView,
    /// True when the stored octets are the submitted ones, so that the ETag may be told (HTTP-10).
    pub verbatim: bool,
}

/// What a COPY or MOVE did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transferred {
    /// The destination is new (201).
    Created,
    /// The destination was replaced (204).
    Replaced,
}

/// COPY or MOVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The source stays.
    Copy,
    /// The source goes.
    Move,
}
