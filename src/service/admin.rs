//! What the command line asks, of a store that it opened itself or of a running server through the
//! control socket: local accounts, app passwords, the integrity check.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::id::UserName;
use crate::store::check::CheckReport;
use crate::store::commit::{AccountOp, Op};
use crate::store::keyslots::MasterKey;
use crate::store::rows::{self, AccountRow, AppPasswordRow};

use super::access::Caller;
use super::directory::{DirectoryStatus, Mode, SyncReport};
use super::import::Imported;
use super::people::{Holdings, Legacy, Undecided, may_be_enabled, private_books};
use super::refusal::{Refusal, Stop};
use super::sharing::{Access, Asked};
use super::tokens::{NewToken, TokenKind};
use super::{Answer, Service};

crate::hidden!(UserRow, TokenRow);

/// How often a command is tried again when the account moved meanwhile, and when it is worth another
/// try after that.
const ROUNDS: usize = 16;
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

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

impl Service {
    /// Does what the command line asks.
    pub async fn admin(&self, request: AdminRequest) -> AdminAnswer {
        match self.administer(request).await {
            Ok(answer) => answer,
            Err(Stop::Refused(refusal)) => AdminAnswer::Refused(refusal.to_string()),
            Err(Stop::Failed(fault)) => AdminAnswer::Refused(fault.to_string()),
        }
    }

    async fn administer(&self, request: AdminRequest) -> Answer<AdminAnswer> {
        match request {
            AdminRequest::UserAdd { name, email, display_name, admin, password } => {
                one_line("e-mail address", email.as_deref())?;
                one_line("display name", display_name.as_deref())?;
                let name = user_name(&name)?;
                let profile = Profile { email, display_name, admin };
                self.add_user(&name, profile, password).await?;
            }
            AdminRequest::UserList => {
                let accounts = self.store.read().await?.accounts().await?;
                let users = accounts.into_iter().filter(|account| !account.group);
                let mut users: Vec<_> = users.map(user_row).collect();
                users.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(AdminAnswer::Users(users));
            }
            AdminRequest::UserPasswd { name, password } => {
                let hash = Some(self.hashed(password).await?);
                self.change(&name, move |row| row.password.clone_from(&hash)).await?;
            }
            AdminRequest::UserEnable { name, enabled } => {
                let account = self.account(&name).await?;
                let _turn = self.people.lock().await;
                match enabled {
                    true => may_be_enabled(&account)?,
                    false => self.leaves_an_admin(&account).await?,
                }
                self.change(&name, move |row| row.enabled = enabled).await?;
            }
            AdminRequest::UserRemove { name, hand_over, erase, erase_private } => {
                let legacy = match hand_over {
                    Some(to) => Legacy::HandOver { to: user_name(&to)?, erase_private },
                    None if erase => Legacy::Erase,
                    None => Legacy::Empty,
                };
                let account = self.account(&name).await?;
                let _turn = self.people.lock().await;
                self.leaves_an_admin(&account).await?;
                return match self.part_with(None, &account, &legacy).await? {
                    None => Ok(AdminAnswer::Done),
                    Some(Undecided::Contents(Holdings { books, contacts, calendars, entries })) => {
                        Ok(AdminAnswer::Undecided { books, contacts, calendars, entries })
                    }
                    Some(Undecided::Private(books)) => {
                        let text = format!("{}; --erase-private removes them", private_books(books));
                        Err(conflict(text))
                    }
                };
            }
            AdminRequest::Share { book, with, access } => self.share_asked(book, &with, access).await?,
            AdminRequest::Private { book, private } => self.private_asked(book, private).await?,
            AdminRequest::Import { user, calendar, objects } => {
                return Ok(AdminAnswer::Imported(self.import_asked(&user, &calendar, objects).await?));
            }
            AdminRequest::GroupAdd { name } => self.group_asked(&name).await?,
            AdminRequest::GroupMember { group, user, member } => {
                self.member_asked(&group, &user, member).await?;
            }
            AdminRequest::TokenCreate { user, api, scopes, expires, label } => {
                let kind = if api { TokenKind::Api } else { TokenKind::App };
                let expires = expires.as_deref().map(instant).transpose()?;
                let account = self.account(&user).await?;
                let fields = NewToken { kind, scopes, label, expires };
                let (row, secret) = self.make_token(None, &account, fields).await?;
                return Ok(AdminAnswer::Secret { id: uuid::Uuid::from_bytes(row.id).to_string(), secret });
            }
            AdminRequest::TokenList { user } => return self.list_tokens(user).await,
            AdminRequest::TokenRevoke { id } => self.revoke_token(&id).await?,
            AdminRequest::Check { repair: false } => {
                return Ok(AdminAnswer::Checked(self.store.check().await?));
            }
            AdminRequest::Check { repair: true } => {
                let report = self.store.repair(self.clock.now()).await?;
                // What could not be purged may be purged now.
                self.purge_soon();
                return Ok(AdminAnswer::Checked(report));
            }
            AdminRequest::LdapSync { dry_run, accept_leavers, full } => {
                let mode = Mode { dry_run, accept_leavers, full };
                return Ok(AdminAnswer::Synced(self.directory_sync(mode).await?));
            }
            AdminRequest::LdapStatus => {
                let none =
                    || conflict("no directory is configured; set ldap.url in the configuration".into());
                return Ok(AdminAnswer::Directory(self.directory_status().ok_or_else(none)?));
            }
            AdminRequest::KeyRotate { key } => {
                return Ok(AdminAnswer::Rotated { file: self.rotate(key.map(MasterKey::new)).await? });
            }
        }
        Ok(AdminAnswer::Done)
    }

    /// Makes an account and its home; its default book comes with the first sign-in.
    pub(super) async fn add_user(
        &self,
        name: &UserName,
        profile: Profile,
        password: Option<String>,
    ) -> Answer<()> {
        let password = match password {
            Some(password) => Some(self.hashed(password).await?),
            None => None,
        };
        let row = AccountRow {
            id: *self.fresh()?.as_bytes(),
            name: name.as_str().to_owned(),
            display_name: profile.display_name,
            email: profile.email,
            admin: profile.admin,
            password,
            enabled: true,
            created: rows::micros(self.clock.now()),
            home: *self.fresh()?.as_bytes(),
            calendars: Some(*self.fresh()?.as_bytes()),
            provisioned: false,
            epoch: 0,
            ..AccountRow::default()
        };
        let create = Op::Account(AccountOp::Create(row.clone()));
        match self.commit(None, Vec::new(), vec![create]).await {
            Err(Stop::Refused(Refusal::Mapped)) => {
                return Err(conflict(format!("user '{name}' exists already; choose another name")));
            }
            done => drop(done?),
        }
        // What everybody has, the new one has.
        self.settle(vec![row], None).await
    }

    pub(super) async fn hashed(&self, password: String) -> Answer<String> {
        if password.is_empty() {
            return Err(conflict("the password is empty; give one".into()));
        }
        let mut salt = [0; 16];
        self.entropy.fill(&mut salt)?;
        Ok(self.sign_in.hash(password, salt).await?)
    }

    /// The account of that name.
    pub(super) async fn account(&self, name: &str) -> Answer<AccountRow> {
        let name = user_name(name)?;
        let account = self.store.read().await?.account(&name).await?;
        account.ok_or_else(|| conflict(format!("there is no user '{name}'; 'cardkeep user list' shows them")))
    }

    async fn change(&self, name: &str, change: impl Fn(&mut AccountRow)) -> Answer<()> {
        for _ in 0..ROUNDS {
            let before = self.account(name).await?;
            let mut after = before.clone();
            change(&mut after);
            // Verdicts on the old password, or on an account that could sign in, end here.
            after.epoch += 1;
            let op = Op::Account(AccountOp::Update { before, after });
            match self.commit(None, Vec::new(), vec![op]).await {
                // The account has moved (its first sign-in, another command) or is gone.
                Err(Stop::Refused(Refusal::NotFound)) => continue,
                done => return done.map(|_| ()),
            }
        }
        Err(Refusal::Busy { retry_after: RETRY }.into())
    }

    /// Removes that account, even if it has moved meanwhile, and no other that has its name by now.
    pub(super) async fn remove_user(&self, caller: Option<&Caller>, account: &AccountRow) -> Answer<()> {
        let id = account.id;
        for _ in 0..ROUNDS {
            let reader = self.store.read().await?;
            let account = self.account_of(&reader, &id).await?.ok_or(Refusal::NotFound)?;
            drop(reader);
            let tokens = self.store.read().await?.app_passwords(Some(&id)).await?;
            let mut ops = vec![Op::Account(AccountOp::Remove(account))];
            ops.extend(tokens.into_iter().map(removal));
            match self.commit(caller, Vec::new(), ops).await {
                Err(Stop::Refused(Refusal::NotFound)) => continue,
                done => drop(done?),
            }
            self.purge_soon();
            // One may have been made since the tokens were read; none can be any more.
            let late = self.store.read().await?.app_passwords(Some(&id)).await?;
            if !late.is_empty() {
                self.commit(caller, Vec::new(), late.into_iter().map(removal).collect()).await?;
            }
            return Ok(());
        }
        Err(Refusal::Busy { retry_after: RETRY }.into())
    }
}

pub(super) fn removal(token: AppPasswordRow) -> Op {
    Op::Account(AccountOp::RemoveAppPassword(token))
}

/// What an admin says of a new user.
pub(super) struct Profile {
    pub(super) email: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) admin: bool,
}

pub(super) fn user_name(text: &str) -> Answer<UserName> {
    UserName::parse(text).map_err(|bad| {
        conflict(format!("'{text}' is not a user name ({bad}); use a-z, 0-9 and ._@+-, at most 64"))
    })
}

/// What stands in answers and lists is one line: a control character would break both.
pub(super) fn one_line(what: &str, text: Option<&str>) -> Answer<()> {
    match text.is_some_and(|text| text.contains(char::is_control)) {
        true => Err(conflict(format!("the {what} holds a control character; write it in one line"))),
        false => Ok(()),
    }
}

pub(super) fn conflict(text: String) -> Stop {
    Refusal::Conflict(text).into()
}

fn instant(text: &str) -> Answer<Timestamp> {
    let date = || text.parse::<jiff::civil::Date>()?.to_zoned(jiff::tz::TimeZone::UTC);
    let parsed = text.parse::<Timestamp>().or_else(|_| date().map(|day| day.timestamp()));
    parsed.map_err(|_| conflict(format!("'{text}' is no date; write 2027-01-31 or 2027-01-31T12:00:00Z")))
}

fn user_row(row: AccountRow) -> UserRow {
    UserRow {
        name: row.name,
        display_name: row.display_name,
        email: row.email,
        admin: row.admin,
        enabled: row.enabled,
        created: rows::time(row.created),
    }
}
