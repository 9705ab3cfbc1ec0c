//! Where things are, in the service's words: a home, a book, a card, a principal. URLs become
//! places in `dav/target.rs`; places become collection ids here.

use jiff::Timestamp;

use crate::domain::id::{CollectionKind, Etag, GroupName, HomeName, MemberName, UserName};
use crate::domain::token::SyncToken;

/// A place in the trees of homes, collections and what is in them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A user's principal.
    Principal(UserName),
    /// A group's principal.
    Group(GroupName),
    /// A user's home of address books or of calendars.
    Home(HomeName),
    /// An address book or a calendar in a home.
    Collection(HomeName, MemberName),
    /// A card in a book, or an object in a calendar.
    Object(HomeName, MemberName, MemberName),
}

impl Place {
    /// What it holds, is, or lies in; `None` for principals.
    pub fn kind(&self) -> Option<CollectionKind> {
        match self {
            Self::Principal(_) | Self::Group(_) => None,
            Self::Home(home) | Self::Collection(home, _) | Self::Object(home, ..) => Some(home.kind),
        }
    }
}

/// What must be true of a place for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Something is there (`If-Match: *`).
    Exists,
    /// Its entity tag is one of these (`If-Match`, an ETag in `If`).
    EtagIn(Vec<Etag>),
    /// It has not changed since (`If-Unmodified-Since`); false where nothing is there.
    UnmodifiedSince(Timestamp),
    /// It is a collection and this is its current sync token (SYNC-24).
    Token(SyncToken),
    /// Never true: a state token that we do not know (DAV-41).
    Never,
}

/// One requirement on one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// Where; `None` is a place that cannot exist here, where only negated requirements hold.
    pub place: Option<Place>,
    /// What.
    pub state: State,
    /// Turned around (`Not`, `If-None-Match`).
    pub negate: bool,
}

/// A precondition: one of these lists must hold in all its requirements (RFC 4918 §10.4). It is
/// decided in the same transaction as the write (HTTP-8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition(pub Vec<Vec<Require>>);

impl Precondition {
    /// The precondition that is one requirement.
    pub fn one(place: Place, state: State, negate: bool) -> Self {
        Self(vec![vec![Require { place: Some(place), state, negate }]])
    }
}
