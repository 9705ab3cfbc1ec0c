//! The words in which commands and a running server speak with each other: one JSON line each way
//! through the control socket. What is done is `admin.rs`'s.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::check::CheckReport;

use super::super::directory::{DirectoryStatus, SyncReport};
use super::super::import::Imported;
use super::super::sharing::{Access, Asked, AskedKind};

crate::hidden!(UserRow, TokenRow, LinkRow, NewLink);

/// A command. Passwords are in clear here: it never leaves the machine, and is never logged.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum AdminRequest {
    /// Makes an account; without a password only app passwords sign in.
    UserAdd {
        /// The user name.
        name: String,
        /// The e-mail address.
        email: Option<String>,
        /// How people call the user.
        display_name: Option<String>,
        /// May administer.
        admin: bool,
        /// The password.
        password: Option<String>,
    },
    /// Lists the accounts.
    UserList,
    /// Sets a password.
    UserPasswd {
        /// The user name.
        name: String,
        /// The new password.
        password: String,
    },
    /// Lets an account sign in, or not; its data stays.
    UserEnable {
        /// The user name.
        name: String,
        /// Whether it may.
        enabled: bool,
    },
    /// Removes an account with its books and app passwords.
    UserRemove {
        /// The user name.
        name: String,
        /// Who gets the books.
        #[serde(default)]
        hand_over: Option<String>,
        /// The books go too, whatever is in them.
        #[serde(default)]
        erase: bool,
        /// Of books that another gets, private ones go.
        #[serde(default)]
        erase_private: bool,
    },
    /// Shares a book or a calendar.
    Share {
        /// Which.
        #[serde(flatten)]
        book: Asked,
        /// A user's name, or `group:NAME`.
        with: String,
        /// What they may do; nothing any more, where left out.
        access: Option<Access>,
    },
    /// Makes a book or a calendar its owner's alone, or not.
    Private {
        /// Which.
        #[serde(flatten)]
        book: Asked,
        /// Whether it is.
        private: bool,
    },
    /// Brings entries into a calendar; some of a file at a time.
    Import {
        /// Whose.
        user: String,
        /// The calendar's name.
        calendar: String,
        /// The entries, each an iCalendar object of its own.
        objects: Vec<String>,
    },
    /// Makes a group.
    GroupAdd {
        /// The group's name.
        name: String,
    },
    /// Takes a user into a group, or out of it.
    GroupMember {
        /// The group's name.
        group: String,
        /// The user's.
        user: String,
        /// Whether the user is in it.
        member: bool,
    },
    /// Makes an app password or an API token.
    TokenCreate {
        /// Whose.
        user: String,
        /// An API token, and not an app password.
        #[serde(default)]
        api: bool,
        /// What it is for; empty is all of DAV, or all that the user may.
        scopes: Vec<String>,
        /// When it ends: RFC 3339, or a date.
        expires: Option<String>,
        /// What is written on it.
        label: Option<String>,
    },
    /// Lists app passwords and API tokens, of one user or of all.
    TokenList {
        /// Whose.
        user: Option<String>,
    },
    /// Takes an app password or an API token back.
    TokenRevoke {
        /// Its id.
        id: String,
    },
    /// Makes a public link to a book or calendar.
    LinkCreate {
        /// `OWNER/NAME`
        collection: String,
        /// Which of the two it is; needed where the owner has one of each by that name.
        #[serde(default)]
        kind: Option<AskedKind>,
        /// What it is called in lists.
        #[serde(default)]
        label: Option<String>,
        /// When it ends: RFC 3339, or a date.
        #[serde(default)]
        expires: Option<String>,
    },
    /// Lists public links.
    LinkList,
    /// Makes a public link useless.
    LinkRevoke {
        /// Its id.
        id: String,
    },
    /// Verifies every record, index and log.
    Check {
        /// Put right what can be, first.
        repair: bool,
    },
    /// Has users, groups and the staff's book follow the directory now.
    LdapSync {
        /// Only tell what would be done.
        dry_run: bool,
        /// However many leave, it is meant.
        accept_leavers: bool,
        /// Read everything, though the directory could tell what has changed.
        #[serde(default)]
        full: bool,
    },
    /// Tells how the directory is followed.
    LdapStatus,
    /// Wraps all data keys with another master key.
    KeyRotate {
        /// That key; a new one when left out.
        key: Option<[u8; 32]>,
    },
}

/// What became of a command.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", content = "with", rename_all = "kebab-case")]
pub enum AdminAnswer {
    /// It is done.
    Done,
    /// The accounts.
    Users(Vec<UserRow>),
    /// The app passwords and API tokens, without their secrets.
    Tokens(Vec<TokenRow>),
    /// A new app password or API token, told this once.
    Secret {
        /// Its id.
        id: String,
        /// The secret.
        secret: String,
    },
    /// A new public link, told this once.
    Link(NewLink),
    /// The public links, without what makes them work.
    Links(Vec<LinkRow>),
    /// What became of entries.
    Imported(Imported),
    /// The account was not removed: what is in its books and calendars has to be decided on.
    Undecided {
        /// How many books.
        books: usize,
        /// How many contacts in them.
        contacts: usize,
        /// How many calendars.
        #[serde(default)]
        calendars: usize,
        /// How many objects in them.
        #[serde(default)]
        entries: usize,
    },
    /// What the check found.
    Checked(CheckReport),
    /// What became of the directory's people and groups.
    Synced(SyncReport),
    /// How the directory is followed.
    Directory(DirectoryStatus),
    /// The master key is another one now.
    Rotated {
        /// The file that has it, unless it is in the one that was named for it.
        file: Option<String>,
    },
    /// It was not done; the text says why and what to do.
    Refused(String),
}

/// An account, as listed.
#[derive(Clone, Serialize, Deserialize)]
pub struct UserRow {
    /// The user name.
    pub name: String,
    /// How people call the user.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// May administer.
    pub admin: bool,
    /// May sign in.
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// An app password or API token, as listed.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// `app` or `api`.
    pub kind: String,
    /// What is written on it.
    pub label: Option<String>,
    /// What it is for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// When it was used last, give or take a minute.
    #[serde(default)]
    pub last_use: Option<Timestamp>,
    /// What the client called itself that used it last.
    #[serde(default)]
    pub client: Option<String>,
    /// The address that it was used from last.
    #[serde(default)]
    pub address: Option<String>,
}

/// A public link that was just made.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewLink {
    /// Its id.
    pub id: String,
    /// Its path on the server: whoever has it reads the collection.
    pub path: String,
}

/// A public link, as listed.
#[derive(Clone, Serialize, Deserialize)]
pub struct LinkRow {
    /// Its id.
    pub id: String,
    /// `OWNER/NAME` of what it shows; nothing, where that cannot be read.
    pub collection: Option<String>,
    /// `book` or `calendar`.
    pub kind: Option<AskedKind>,
    /// What is written on it.
    pub label: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// It answers nothing for now: its collection is private or cannot be read, or its owner may not sign in.
    pub closed: bool,
}
