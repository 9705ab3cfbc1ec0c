//! The rows of a contact beside its card: the record, what finds it, and what the trash knows.

use minicbor::{Decode, Encode};

use crate::domain::contact::Record;
use crate::domain::id::{AccountId, ContactId};

use super::Id;
use crate::store::keys::Hash;

crate::hidden!(RecordRow, RecordHistoryRow, TrashedRow);

/// A contact's record and where its card is.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct RecordRow {
    /// The book its card lies in.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub book: [u8; 16],
    /// The hash of the card's name there.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub member: Hash,
    /// The contact into which it was merged; its card lies in the trash then.
    #[n(2)]
    pub merged_into: Option<ContactId>,
    /// The contacts that were merged into it, in that order.
    #[cbor(n(3), default)]
    pub merged: Vec<ContactId>,
    /// How often the record was changed.
    #[n(4)]
    pub changes: u64,
    /// When the contact was made, in microseconds since 1970.
    #[n(5)]
    pub created: i64,
    /// Who made it.
    #[n(6)]
    pub created_by: Option<AccountId>,
    /// When the record last changed.
    #[n(7)]
    pub updated: i64,
    /// Who changed it.
    #[n(8)]
    pub updated_by: Option<AccountId>,
    /// With what client.
    #[n(9)]
    pub client: Option<String>,
    /// What is known beyond the card.
    #[n(10)]
    pub record: Record,
    /// Numbers beside its own that lead to it, with their series: those of copies that it took over.
    #[cbor(n(11), default)]
    pub numbers: Vec<(u8, u64)>,
}

/// An earlier record.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct RecordHistoryRow {
    /// When it was replaced, in microseconds since 1970.
    #[n(0)]
    pub at: i64,
    /// Who replaced it.
    #[n(1)]
    pub actor: Option<AccountId>,
    /// With what client.
    #[n(2)]
    pub client: Option<String>,
    /// What it was.
    #[n(3)]
    pub record: Record,
    /// The book that the card was in.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub book: [u8; 16],
}

/// Whose a number is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NumberRow {
    /// The contact.
    #[n(0)]
    pub contact: ContactId,
}

/// A contact that has a UID.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SameUidRow {
    /// The book its card lies in.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub book: [u8; 16],
    /// The account to which the book belongs, or did when the card was trashed.
    #[n(1)]
    pub owner: Id,
    /// When the contact came there, in microseconds since 1970.
    #[n(2)]
    pub at: i64,
    /// Who brought it there, or trashed it.
    #[n(3)]
    pub by: Option<Id>,
    /// It lies in the trash and may come back.
    #[n(4)]
    pub trashed: bool,
}

/// Where a card in the trash came from.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct TrashedRow {
    /// The book.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub book: [u8; 16],
    /// The account to which the book belonged.
    #[n(1)]
    pub owner: Id,
    /// Its name there.
    #[n(2)]
    pub name: String,
    /// Its UID.
    #[n(3)]
    pub uid: String,
    /// When it was deleted, in microseconds since 1970.
    #[n(4)]
    pub at: i64,
    /// Who deleted it.
    #[n(5)]
    pub by: Option<Id>,
    /// With what client.
    #[n(6)]
    pub client: Option<String>,
    /// It was merged into another contact, and does not come back.
    #[n(7)]
    pub merged: bool,
}
