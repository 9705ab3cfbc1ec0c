//! The rows of accounts, users' and groups', and of what opens them.

use minicbor::{Decode, Encode};

use crate::domain::id::{CollectionId, CollectionKind, GroupName, Principal, UserName};
use crate::store::keys::Hash;

use super::Id;

crate::hidden!(AccountRow, OriginRow, AppPasswordRow, UseRow);

/// A user or a group.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct AccountRow {
    /// The account's id.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: [u8; 16],
    /// Its name.
    #[n(1)]
    pub name: String,
    /// How people call it.
    #[n(2)]
    pub display_name: Option<String>,
    /// Its e-mail address.
    #[n(3)]
    pub email: Option<String>,
    /// May administer.
    #[n(4)]
    pub admin: bool,
    /// The password's Argon2id hash in PHC form.
    #[n(5)]
    pub password: Option<String>,
    /// May sign in.
    #[n(6)]
    pub enabled: bool,
    /// When it was made, in microseconds since 1970.
    #[n(7)]
    pub created: i64,
    /// Its address-book home.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub home: [u8; 16],
    /// The default book was made at first sign-in; a deleted one stays deleted.
    #[n(9)]
    pub provisioned: bool,
    /// Goes up whenever the password, or whether it may sign in, changes.
    #[n(10)]
    pub epoch: u64,
    /// It is a group: it has members and books, and never signs in.
    #[cbor(n(11), default)]
    pub group: bool,
    /// Where it comes from, unless it is local.
    #[n(12)]
    pub origin: Option<OriginRow>,
    /// The groups that a user is in, those in which it is by way of others too; sorted.
    #[cbor(n(13), default)]
    pub groups: Vec<Id>,
    /// The books of others that it has been given access to; sorted.
    #[cbor(n(14), default)]
    pub granted: Vec<Id>,
    /// The books that a user has left, though a group of theirs has access; sorted.
    #[cbor(n(15), default)]
    pub left: Vec<Id>,
    /// Further e-mail addresses.
    #[cbor(n(16), default)]
    pub addresses: Vec<String>,
    /// Whether a user sees the staff directory as a book; where left out, as configured.
    #[n(17)]
    pub staff_book: Option<bool>,
    /// What a user may do beyond their own books, in the words of the API.
    #[cbor(n(18), default)]
    pub permissions: Vec<String>,
    /// Its home of calendars; accounts of before there were any get one at the start.
    #[cbor(n(19), with = "minicbor::bytes")]
    pub calendars: Option<[u8; 16]>,
    /// The calendars of the first sign-in were made; deleted ones stay deleted.
    #[cbor(n(20), default)]
    pub calendars_provisioned: bool,
}

impl AccountRow {
    /// Its home of that kind.
    pub fn home_of(&self, kind: CollectionKind) -> Option<CollectionId> {
        match kind {
            CollectionKind::AddressBook => Some(CollectionId::from_bytes(self.home)),
            CollectionKind::Calendar => self.calendars.map(CollectionId::from_bytes),
        }
    }

    /// It is the server's own group, which people are not shown.
    pub fn is_own(&self) -> bool {
        matches!(self.principal(), Some(Principal::Group(name)) if name.is_own())
    }

    /// Whose it is, where its name is one.
    pub fn principal(&self) -> Option<Principal> {
        match self.group {
            true => GroupName::stored(&self.name).ok().map(Principal::Group),
            false => UserName::parse(&self.name).ok().map(Principal::User),
        }
    }
}

/// Where an account comes from.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct OriginRow {
    /// What the directory calls it for ever: `entryUUID` or `objectGUID`.
    #[n(0)]
    pub id: String,
    /// Its distinguished name.
    #[n(1)]
    pub dn: String,
    /// The directory does not have it any more.
    #[n(2)]
    pub gone: bool,
    /// The distinguished name of a user's manager.
    #[n(3)]
    pub manager: Option<String>,
    /// It might sign in until it went, and may again when it comes back: no admin had disabled it.
    #[cbor(n(4), default)]
    pub held: bool,
}

/// An app password or an API token.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct AppPasswordRow {
    /// Its id.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: [u8; 16],
    /// The account's id.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub account: [u8; 16],
    /// The hash of the account's name.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub account_name: Hash,
    /// The secret's hash.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub secret: Hash,
    /// What the admin wrote on it.
    #[n(4)]
    pub label: Option<String>,
    /// Scopes; none given is all of DAV.
    #[n(5)]
    pub scopes: Vec<String>,
    /// When it was made, in microseconds since 1970.
    #[n(6)]
    pub created: i64,
    /// When it ends.
    #[n(7)]
    pub expires: Option<i64>,
    /// It is for the API, sent as a bearer token; otherwise for DAV, sent as a password.
    #[cbor(n(8), default)]
    pub api: bool,
    /// Its last use that is on record.
    #[n(9)]
    pub used: Option<UseRow>,
    /// Somebody else than the account made it, who might have kept it: it opens no private books.
    #[cbor(n(10), default)]
    pub foreign: bool,
}

impl AppPasswordRow {
    /// Whether it is the same and says the same; its uses, and what its account is called by now, are
    /// not its own.
    pub fn says_as(&self, other: &Self) -> bool {
        let own = |row: &Self| Self { used: None, account_name: [0; 16], ..row.clone() };
        own(self) == own(other)
    }
}

/// A use of a token.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct UseRow {
    /// When, in microseconds since 1970.
    #[n(0)]
    pub at: i64,
    /// What the client calls itself.
    #[n(1)]
    pub client: String,
    /// The client's address.
    #[n(2)]
    pub address: String,
}
