//! People and groups that a directory (LDAP) keeps: what it says, as the service understands it, and
//! the port through which it is asked. `directory/` above speaks LDAP; here nobody knows its words.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

mod apply;
mod book;
mod card;
mod entries;
mod index;
mod kept;
mod members;
mod naming;
mod plan;
mod settings;
mod some;
mod status;
mod upkeep;

#[cfg(test)]
mod tests;

pub(super) use book::BOOK;
pub use kept::begin_anew;
pub use settings::DirectorySettings;
pub use status::{DirectoryStatus, Refused, SyncReport};
pub(super) use upkeep::Followed;
pub use upkeep::Mode;

crate::hidden!(Person, PeopleGroup, Reading, DirectoryPort);

/// What a directory answers, some time.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, DirectoryError>> + Send + 'a>>;

/// A directory of people, implemented above. A call may panic on a malformed answer: whoever calls
/// does so in a task of its own, and takes a panic for a failure.
pub trait Directory: Send + Sync {
    /// Reads what there is or, where the directory can tell, what has changed since `since`, which an
    /// earlier reading left.
    fn read<'a>(&'a self, since: Option<&'a [u8]>) -> Asked<'a, Reading>;

    /// Whether that is the password of the entry with that distinguished name. An empty password is
    /// never asked for (RFC 4513 §5.1.2).
    /// Nor is it that of an entry which has the name by now and another id: whoever gets a leaver's name
    /// does not get the leaver's account.
    fn bind<'a>(&'a self, dn: &'a str, id: &'a str, password: &'a str) -> Asked<'a, bool>;

    /// Whether it answers: what `bind` does before a password is asked for.
    fn answers(&self) -> Asked<'_, ()>;

    /// Where the directory is, for status and error texts: scheme, host and port only.
    fn place(&self) -> String;
}

/// A directory, or none.
#[derive(Clone)]
pub struct DirectoryPort(pub Arc<dyn Directory>);

/// Why a directory did not answer. Texts name no person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be reached, or stopped answering.
    #[error("the directory does not answer: {0}")]
    Unreachable(String),
    /// It was reached and is not trusted: wrong certificate, no TLS where TLS is wanted.
    #[error("the directory is not trusted: {0}")]
    Untrusted(String),
    /// It refuses what the configuration has us do: the bind, a search base, a filter.
    #[error("the directory refuses: {0}")]
    Refused(String),
    /// It said what is no answer.
    #[error("the directory's answer cannot be read: {0}")]
    Malformed(String),
}

/// What a directory says.
#[derive(Clone, Default)]
pub struct Reading {
    /// People that came or changed; all of them where `gone` is `AllBut`.
    pub people: Vec<Person>,
    /// Groups that came or changed.
    pub groups: Vec<PeopleGroup>,
    /// Whom and what the directory does not have any more.
    pub gone: Gone,
    /// Where the next reading may go on from; `None` where it has to begin anew.
    pub next: Option<Vec<u8>>,
    /// What was passed over, in words, without personal data: referrals, entries without a name.
    pub warnings: Vec<String>,
    /// How many entries were passed over.
    pub passed_over: usize,
}

/// What went, by the ids that the directory never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// These.
    These(BTreeSet<String>),
    /// Everything but these.
    AllBut(BTreeSet<String>),
}

impl Default for Gone {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

/// A person, as a directory has them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// What the directory calls the entry for ever: `entryUUID`, or `objectGUID` in hyphenated form.
    pub id: String,
    /// Its distinguished name, which changes when it is renamed or moved.
    pub dn: String,
    /// The user name, as it is written there; not checked.
    pub name: String,
    /// The account is enabled there (Active Directory says so).
    pub enabled: bool,
    /// How people call them.
    pub display_name: String,
    /// Given name.
    pub given: String,
    /// Family name.
    pub family: String,
    /// E-mail addresses, the main one first.
    pub emails: Vec<String>,
    /// Phone numbers, each with what it is: `work`, `cell`, `fax`, `home`.
    pub phones: Vec<(String, String)>,
    /// Job title.
    pub title: String,
    /// Organisation.
    pub organization: String,
    /// Department.
    pub department: String,
    /// The distinguished name of their manager.
    pub manager: Option<String>,
    /// A photo's octets: JPEG or PNG.
    pub photo: Option<Vec<u8>>,
}

/// A group, as a directory has it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PeopleGroup {
    /// What the directory calls the entry for ever.
    pub id: String,
    /// Its distinguished name.
    pub dn: String,
    /// Its name, as it is written there; not checked.
    pub name: String,
    /// What it is called beside its name.
    pub display_name: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Its members: distinguished names of people and groups (`member`, `uniqueMember`), or user
    /// names (`memberUid`).
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// An entry, by its distinguished name.
    Dn(String),
    /// A person, by the user name (RFC 2307).
    UserName(String),
}
