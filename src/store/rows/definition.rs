//! The rows of what admins and users lay down, and of long work. They are the installation's, sealed
//! with its key.

use minicbor::{Decode, Encode};

use crate::domain::contact::Kind;
use crate::domain::id::{AccountId, CollectionId, ContactId};

use super::Id;

crate::hidden!(Definition, FieldRow, FilterRow, WordRow, JobRow, PartRow, PublicLinkRow);

/// Something laid down.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Definition {
    /// A field of the admin's own.
    #[n(0)]
    Field(#[n(0)] FieldRow),
    /// A saved filter.
    #[n(1)]
    Filter(#[n(0)] FilterRow),
    /// A role that contacts may have.
    #[n(2)]
    Role(#[n(0)] WordRow),
    /// A service level that companies may have.
    #[n(3)]
    ServiceLevel(#[n(0)] WordRow),
    /// A part of what long work is about.
    #[n(4)]
    Part(#[n(0)] PartRow),
    /// A public link; its id is the keyed hash of what makes it work.
    #[n(5)]
    PublicLink(#[n(0)] PublicLinkRow),
}

/// A field of the admin's own.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct FieldRow {
    /// What the API calls it, for ever.
    #[n(0)]
    pub key: String,
    /// What people call it.
    #[n(1)]
    pub label: String,
    /// What it holds.
    #[n(2)]
    pub kind: FieldKind,
    /// Of which contacts; none given is all.
    #[cbor(n(3), default)]
    pub applies_to: Vec<Kind>,
    /// In which books; none given is all.
    #[cbor(n(4), default)]
    pub books: Vec<CollectionId>,
    /// Under which heading it is shown.
    #[cbor(n(5), default)]
    pub section: String,
    /// Where among its section's fields.
    #[cbor(n(6), default)]
    pub order: i64,
    /// It must be there.
    #[cbor(n(7), default)]
    pub required: bool,
    /// What may be chosen.
    #[cbor(n(8), default)]
    pub options: Vec<String>,
    /// It is about a person.
    #[cbor(n(9), default)]
    pub personal: bool,
    /// It is of a special category (Art. 9 GDPR).
    #[cbor(n(10), default)]
    pub sensitive: bool,
    /// When it was made, in microseconds since 1970.
    #[cbor(n(11), default)]
    pub created: i64,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum FieldKind {
    /// A text.
    #[default]
    #[n(0)]
    Text,
    /// A decimal number.
    #[n(1)]
    Number,
    /// A date.
    #[n(2)]
    Date,
    /// One of the options.
    #[n(3)]
    Choice,
    /// Several of the options.
    #[n(4)]
    MultiChoice,
    /// Yes or no.
    #[n(5)]
    YesNo,
    /// An address on the web.
    #[n(6)]
    Link,
}

/// A saved filter.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct FilterRow {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Whose it is.
    #[n(1)]
    pub owner: AccountId,
    /// Others may use it.
    #[n(2)]
    pub shared: bool,
    /// The filter, in SCIM's language.
    #[n(3)]
    pub filter: String,
    /// The full-text search that goes with it.
    #[cbor(n(4), default)]
    pub q: String,
    /// When it was made, in microseconds since 1970.
    #[n(5)]
    pub created: i64,
    /// The smart book that serves it.
    #[n(6)]
    pub book: Option<CollectionId>,
}

/// A word with its label.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct WordRow {
    /// The word.
    #[n(0)]
    pub key: String,
    /// What people read.
    #[n(1)]
    pub label: String,
    /// Where in the list.
    #[cbor(n(2), default)]
    pub order: i64,
}

/// Long work.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct JobRow {
    /// Its id.
    #[n(0)]
    pub id: Id,
    /// Who asked for it.
    #[n(1)]
    pub by: AccountId,
    /// How far it is.
    #[n(2)]
    pub state: JobState,
    /// How much is done.
    #[n(3)]
    pub done: u64,
    /// Of how much.
    #[n(4)]
    pub total: u64,
    /// When it was asked for, in microseconds since 1970.
    #[n(5)]
    pub created: i64,
    /// When it last went on.
    #[n(6)]
    pub updated: i64,
    /// What is to be done, as the work's own code writes it (CBOR).
    #[cbor(n(7), with = "minicbor::bytes")]
    pub work: Vec<u8>,
    /// In how many parts its contacts are laid down: a row that is written at each step is small.
    #[cbor(n(8), default)]
    pub parts: u32,
    /// What came of it: counters by name.
    #[cbor(n(9), default)]
    pub counts: Vec<(String, u64)>,
    /// The first contacts with which it did not go, and why.
    #[cbor(n(10), default)]
    pub refused: Vec<(ContactId, String)>,
    /// Why it failed.
    #[n(11)]
    pub error: Option<String>,
    /// With what client it was asked for.
    #[n(12)]
    pub client: Option<String>,
    /// What the token was for with which it was asked for, in the words of permissions.
    #[cbor(n(13), default)]
    pub scopes: Vec<String>,
    /// With how many contacts it did not go.
    #[cbor(n(14), default)]
    pub refusals: u64,
    /// The credential with which it was asked for opens no private book.
    #[cbor(n(15), default)]
    pub foreign: bool,
}

/// Some of the contacts that long work is about, in its order; it never changes.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct PartRow {
    /// The work.
    #[n(0)]
    pub job: Id,
    /// The contacts.
    #[n(1)]
    pub contacts: Vec<ContactId>,
}

/// A public link to a collection.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct PublicLinkRow {
    /// What it shows.
    #[n(0)]
    pub collection: CollectionId,
    /// What is written on it.
    #[n(1)]
    pub label: Option<String>,
    /// When it was made, in microseconds since 1970.
    #[n(2)]
    pub created: i64,
    /// When it ends, in microseconds since 1970.
    #[n(3)]
    pub expires: Option<i64>,
    /// Whose it was when the link was made: it is nobody else's to show.
    #[n(4)]
    pub owner: AccountId,
}

/// How far long work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum JobState {
    /// It waits.
    #[n(0)]
    Queued,
    /// It goes on.
    #[n(1)]
    Running,
    /// It is done.
    #[n(2)]
    Done,
    /// It cannot be done.
    #[n(3)]
    Failed,
    /// Somebody stopped it.
    #[n(4)]
    Cancelled,
}

impl Definition {
    /// The kinds' octets in keys.
    pub const FIELD: u8 = 0;
    /// See [`Definition::FIELD`].
    pub const FILTER: u8 = 1;
    /// See [`Definition::FIELD`].
    pub const ROLE: u8 = 2;
    /// See [`Definition::FIELD`].
    pub const SERVICE_LEVEL: u8 = 3;
    /// See [`Definition::FIELD`].
    pub const PART: u8 = 4;
    /// See [`Definition::FIELD`].
    pub const PUBLIC_LINK: u8 = 5;

    /// The octet that stands for its kind in keys.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Field(_) => Self::FIELD,
            Self::Filter(_) => Self::FILTER,
            Self::Role(_) => Self::ROLE,
            Self::ServiceLevel(_) => Self::SERVICE_LEVEL,
            Self::Part(_) => Self::PART,
            Self::PublicLink(_) => Self::PUBLIC_LINK,
        }
    }
}
