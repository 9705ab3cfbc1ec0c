//! What is told of who came in and of what changed about accounts, tokens and shares: a closed list.
//! Events hold ids, never names: a name is looked up when an event is shown, so that nobody who was
//! erased can be read in them. Knows no store and no clock.

use std::net::IpAddr;

use jiff::Timestamp;
use uuid::Uuid;

use super::id::{AccountId, CollectionId};

crate::hidden!(Event);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventKind {
    /// Somebody signed in: told once a day for a credential, an address and a client.
    SignIn = 1,
    /// A wrong name or password, or an account that may not sign in.
    SignInFailed = 2,
    /// A sign-in that was slowed down after too many wrong ones.
    SignInSlowed = 3,
    /// A token was made.
    TokenMade = 10,
    /// A token was taken back.
    TokenRevoked = 11,
    /// A token was used for the first time.
    TokenFirstUsed = 12,
    /// A token was tried that has ended.
    TokenExpired = 13,
    /// A password was set.
    PasswordChanged = 20,
    /// An account or a group was made.
    AccountMade = 21,
    /// An account may sign in again.
    AccountEnabled = 22,
    /// An account may not sign in any more.
    AccountDisabled = 23,
    /// An account has another name.
    AccountRenamed = 24,
    /// An account or a group was removed.
    AccountRemoved = 25,
    /// An account may administer.
    AdminGiven = 26,
    /// An account may not administer any more.
    AdminTaken = 27,
    /// An account has other permissions.
    PermissionsChanged = 28,
    /// A book was shared with an account.
    ShareGiven = 30,
    /// An account may do something else with a book.
    ShareChanged = 31,
    /// A book is not shared with an account any more.
    ShareEnded = 32,
    /// A public link to a book or calendar was made.
    LinkMade = 33,
    /// A public link was taken back.
    LinkRevoked = 34,
    /// An account came into a group.
    MemberAdded = 40,
    /// An account went out of a group.
    MemberRemoved = 41,
    /// Accounts and groups were read from the directory.
    DirectoryRead = 50,
    /// They could not be.
    DirectoryFailed = 51,
    /// An archive was made.
    BackupMade = 60,
    /// The store was made from an archive.
    Restored = 61,
    /// The master key is another one.
    MasterKeyReplaced = 62,
}

impl EventKind {
    /// All.
    pub const ALL: [Self; 28] = [
        Self::SignIn,
        Self::SignInFailed,
        Self::SignInSlowed,
        Self::TokenMade,
        Self::TokenRevoked,
        Self::TokenFirstUsed,
        Self::TokenExpired,
        Self::PasswordChanged,
        Self::AccountMade,
        Self::AccountEnabled,
        Self::AccountDisabled,
        Self::AccountRenamed,
        Self::AccountRemoved,
        Self::AdminGiven,
        Self::AdminTaken,
        Self::PermissionsChanged,
        Self::ShareGiven,
        Self::ShareChanged,
        Self::ShareEnded,
        Self::LinkMade,
        Self::LinkRevoked,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::DirectoryRead,
        Self::DirectoryFailed,
        Self::BackupMade,
        Self::Restored,
        Self::MasterKeyReplaced,
    ];

    /// The number that is stored, which never changes.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The kind of that number.
    pub fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its name in the API and in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignInFailed => "sign-in-failed",
            Self::SignInSlowed => "sign-in-slowed",
            Self::TokenMade => "token-made",
            Self::TokenRevoked => "token-revoked",
            Self::TokenFirstUsed => "token-first-used",
            Self::TokenExpired => "token-expired",
            Self::PasswordChanged => "password-changed",
            Self::AccountMade => "account-made",
            Self::AccountEnabled => "account-enabled",
            Self::AccountDisabled => "account-disabled",
            Self::AccountRenamed => "account-renamed",
            Self::AccountRemoved => "account-removed",
            Self::AdminGiven => "admin-given",
            Self::AdminTaken => "admin-taken",
            Self::PermissionsChanged => "permissions-changed",
            Self::ShareGiven => "share-given",
            Self::ShareChanged => "share-changed",
            Self::ShareEnded => "share-ended",
            Self::LinkMade => "link-made",
            Self::LinkRevoked => "link-revoked",
            Self::MemberAdded => "member-added",
            Self::MemberRemoved => "member-removed",
            Self::DirectoryRead => "directory-read",
            Self::DirectoryFailed => "directory-failed",
            Self::BackupMade => "backup-made",
            Self::Restored => "restored",
            Self::MasterKeyReplaced => "master-key-replaced",
        }
    }
}

/// What an event is about, beside an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A collection.
    Collection(CollectionId),
    /// A token.
    Token(Uuid),
    /// A group.
    Group(AccountId),
}

/// Something that happened, once or several times.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// When; of several times the first.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Who did it; `None` for the server, the command line and whoever did not get in.
    pub actor: Option<AccountId>,
    /// Whose account it is about; `None` where there is no such account.
    pub account: Option<AccountId>,
    /// What else it is about.
    pub subject: Option<Subject>,
    /// The client's family, of a fixed list.
    pub client: Option<String>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// How many times.
    pub count: u64,
}

impl Event {
    /// Something that happened once, about nothing and nobody yet.
    pub fn new(kind: EventKind, at: Timestamp) -> Self {
        Self { at, kind, actor: None, account: None, subject: None, client: None, address: None, count: 1 }
    }

    /// Done by that account.
    pub fn by(self, actor: Option<AccountId>) -> Self {
        Self { actor, ..self }
    }

    /// About that account.
    pub fn of(self, account: AccountId) -> Self {
        Self { account: Some(account), ..self }
    }

    /// About that, too.
    pub fn about(self, subject: Subject) -> Self {
        Self { subject: Some(subject), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_have_numbers_and_names_of_their_own() {
        let codes: BTreeSet<u8> = EventKind::ALL.iter().map(|kind| kind.code()).collect();
        let names: BTreeSet<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!((codes.len(), names.len()), (EventKind::ALL.len(), EventKind::ALL.len()));
        assert!(EventKind::ALL.into_iter().all(|kind| EventKind::of(kind.code()) == Some(kind)));
        assert_eq!(EventKind::of(0), None);
    }

    #[test]
    fn an_event_shows_nothing_in_debug() {
        let event = Event::new(EventKind::SignIn, Timestamp::UNIX_EPOCH);
        assert_eq!(format!("{event:?}"), "Event(…)");
    }
}
