//! What the command line asks, of a store that it opened itself or of a running server through the
//! control socket: local accounts, app passwords, the integrity check.

use jiff::Timestamp;

use crate::domain::id::UserName;
use crate::store::commit::{AccountOp, Op};
use crate::store::keyslots::MasterKey;
use crate::store::rows::{self, AccountRow, AppPasswordRow};

use super::access::Caller;
use super::directory::Mode;
use super::people::{Holdings, Legacy, Undecided, may_be_enabled, private_books};
use super::refusal::{Refusal, Stop};
use super::tokens::{NewToken, TokenKind};
use super::{Answer, Service};

mod request;

pub use request::{AdminAnswer, AdminRequest, LinkRow, NewLink, TokenRow, UserRow};

/// How often a command is tried again when the account moved meanwhile, and when it is worth another
/// try after that.
const ROUNDS: usize = 16;
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

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
            AdminRequest::LinkCreate { collection, kind, label, expires } => {
                let expires = expires.as_deref().map(instant).transpose()?;
                return self
                    .create_public_link(&collection, kind.map(Into::into), label, expires)
                    .await
                    .map(AdminAnswer::Link);
            }
            AdminRequest::LinkList => return self.public_links().await.map(AdminAnswer::Links),
            AdminRequest::LinkRevoke { id } => self.revoke_public_link(&id).await?,
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
