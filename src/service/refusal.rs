//! What a use case answers when it does not do what was asked: a `Refusal` is expected and belongs
//! to the asker, a `Fault` is ours. Knows no HTTP; each protocol maps these once.

use std::time::Duration;

use crate::domain::ical;
use crate::domain::id::MemberName;
use crate::domain::permission::Permission;
use crate::domain::vcard::NotAdmitted;

use super::NoEntropy;
use super::access::Privilege;
use super::place::Place;

/// An expected answer that is not success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or the asker may not know of it.
    #[error("there is no such resource")]
    NotFound,
    /// The asker lacks these rights (ACL-13).
    #[error("a privilege is missing")]
    NeedPrivileges(Vec<(Place, Privilege)>),
    /// The asker lacks this permission.
    #[error("the permission '{}' is missing", .0.word())]
    NeedPermission(Permission),
    /// The request can be read and asks for what cannot be (422).
    #[error("{text}")]
    Wrong {
        /// Where in the request: a JSON pointer.
        pointer: String,
        /// What is wrong with it.
        text: String,
    },
    /// The request can be read and asks for what cannot be, in these places (422).
    #[error("{} fields are wrong", .0.len())]
    AllWrong(Vec<(String, String)>),
    /// A precondition of the request does not hold (412).
    #[error("a precondition does not hold")]
    Unmet,
    /// The place is taken: MKCOL on a mapped URL (405).
    #[error("the place is taken")]
    Mapped,
    /// The parent collection does not exist (409).
    #[error("the parent collection does not exist")]
    NoParent,
    /// A collection cannot be created or moved there (403, `addressbook-collection-location-ok`).
    #[error("a collection cannot be here")]
    WrongPlace,
    /// Source and destination are the same (403).
    #[error("source and destination are the same")]
    SamePlace,
    /// Another card of the book has the UID (409, `no-uid-conflict` with the holder; CARD-11).
    #[error("the UID is taken in this address book")]
    UidTaken {
        /// The member that has the UID.
        holder: MemberName,
    },
    /// The body is not a card that may be stored.
    #[error("the card is refused: {0}")]
    Card(#[from] NotAdmitted),
    /// The body is not a calendar object that may be stored.
    #[error("the calendar object is refused: {0}")]
    Object(#[from] ical::NotAdmitted),
    /// The sync token was not issued for this collection (`valid-sync-token`; SYNC-15).
    #[error("the sync token is not valid here")]
    BadToken,
    /// A limit of zero or one that cannot be met (`number-of-matches-within-limits`; SYNC-19).
    #[error("the limit cannot be met")]
    BadLimit,
    /// The resource's dead properties would grow over their limit (507; DAV-23).
    #[error("too many or too large properties")]
    PropertiesFull,
    /// The store has no room (507).
    #[error("the store is full")]
    StoreFull,
    /// Try later (503).
    #[error("not now")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Something else stands in the way of an administrative command; the text says what.
    #[error("{0}")]
    Conflict(String),
}

/// Our own failure: logged once, shown as 500 with the request id. Its text names no personal data.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// Why a use case did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stop {
    /// The asker's affair.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours.
    #[error(transparent)]
    Failed(#[from] Fault),
}

impl From<NoEntropy> for Fault {
    fn from(reason: NoEntropy) -> Self {
        Self(reason.to_string())
    }
}

impl From<NoEntropy> for Stop {
    fn from(reason: NoEntropy) -> Self {
        Self::Failed(reason.into())
    }
}

impl From<NotAdmitted> for Stop {
    fn from(reason: NotAdmitted) -> Self {
        Self::Refused(Refusal::Card(reason))
    }
}
