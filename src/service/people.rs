//! Users, as the API shows and changes them: who may see whom, who may change whom, and that an
//! administrator is left. Groups are `groups.rs`'s.

use jiff::Timestamp;

use crate::domain::id::{AccountId, UserName};
use crate::domain::permission::{Permission, Permissions};
use crate::store::commit::{AccountOp, Op};
use crate::store::rows::{self, AccountRow};

use super::access::Caller;
use super::admin::{conflict, one_line};
use super::refusal::{Fault, Refusal, Stop};
use super::{Answer, Service};

crate::hidden!(UserView, UserFields);

/// A user as it is shown.
#[derive(Clone)]
pub struct UserView {
    /// The account.
    pub id: AccountId,
    /// The user name.
    pub name: UserName,
    /// What may be changed of it.
    pub fields: UserFields,
    /// The names of the groups that the user is in.
    pub groups: Vec<String>,
    /// It comes from a directory, which keeps its name, its password and how people call it.
    pub directory: bool,
    /// When it was made.
    pub created: Timestamp,
    row: AccountRow,
}

/// What may be changed of a user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserFields {
    /// How people call the user.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// May do everything.
    pub admin: bool,
    /// May sign in.
    pub enabled: bool,
    /// What the user may do beyond their own books.
    pub permissions: Vec<Permission>,
}

/// What becomes of the books of an account that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Legacy {
    /// There must be no contacts in them.
    Empty,
    /// Another user takes them over, but for private ones, which nobody does.
    HandOver {
        /// Who.
        to: UserName,
        /// Private ones go; otherwise there must be none.
        erase_private: bool,
    },
    /// They go too.
    Erase,
}

/// What an account has of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    /// Books.
    pub(super) books: usize,
    /// Contacts in them.
    pub(super) contacts: usize,
    /// Calendars.
    pub(super) calendars: usize,
    /// Objects in them.
    pub(super) entries: usize,
}

impl Holdings {
    /// Whether anything would be lost.
    pub(super) fn any(self) -> bool {
        self.contacts > 0 || self.entries > 0
    }
}

/// What has to be decided before an account goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecided {
    /// What becomes of what is in its books and calendars.
    Contents(Holdings),
    /// That so many private books go, for nobody takes them over.
    Private(usize),
}

/// Why books cannot be handed over.
pub(super) fn private_books(books: usize) -> String {
    let what = if books == 1 { "private book" } else { "private books" };
    format!("the user has {books} {what}, which nobody takes over")
}

/// What an account may do beyond its own.
pub(super) fn permissions_of(account: &AccountRow) -> Permissions {
    match account.admin {
        true => Permissions::ALL,
        false => Permissions::of(account.permissions.iter().map(String::as_str)),
    }
}

/// Refuses who lacks `users`, or may do less than the account: who changes an account could sign in
/// as it.
pub(super) fn outranked(caller: &Caller, account: &AccountRow) -> Result<(), Refusal> {
    caller.need(Permission::Users)?;
    granted(caller, permissions_of(account))
}

/// Who is gone from the directory comes back with it alone: enabled by hand, the account's app
/// passwords would open it again.
pub(super) fn may_be_enabled(account: &AccountRow) -> Answer<()> {
    match account.origin.as_ref().is_some_and(|origin| origin.gone) {
        true => {
            Err(conflict("the user is gone from the directory; it can sign in when it is back there".into()))
        }
        false => Ok(()),
    }
}

fn granted(caller: &Caller, permissions: Permissions) -> Result<(), Refusal> {
    if permissions.has(Permission::Admin) {
        caller.need(Permission::Admin)?;
    }
    permissions.beyond(caller.permissions).map_or(Ok(()), |missing| Err(Refusal::NeedPermission(missing)))
}

impl Service {
    /// The users that the caller may see: all with `users`, else oneself.
    pub async fn users(&self, caller: &Caller) -> Answer<Vec<UserView>> {
        let accounts = self.store.read().await?.accounts().await?;
        let all = caller.permissions.has(Permission::Users);
        let seen =
            |account: &&AccountRow| !account.group && (all || account.id == *caller.account.as_bytes());
        // Few among the accounts, and each user's are looked for.
        let groups: Vec<_> = accounts.iter().filter(|account| account.group).cloned().collect();
        Ok(accounts.iter().filter(seen).filter_map(|account| view(account, &groups)).collect())
    }

    /// One user that the caller may see.
    pub async fn user(&self, caller: &Caller, name: &UserName) -> Answer<UserView> {
        let found = self.users(caller).await?.into_iter().find(|user| user.name == *name);
        found.ok_or_else(|| Refusal::NotFound.into())
    }

    /// Makes a user; without a password only app passwords and tokens sign in.
    pub async fn create_user(
        &self,
        caller: &Caller,
        name: &UserName,
        fields: UserFields,
        password: Option<String>,
    ) -> Answer<UserView> {
        caller.need(Permission::Users)?;
        checked(&fields)?;
        let password = match password {
            Some(password) => Some(self.hashed(password).await?),
            None => None,
        };
        let mut row = AccountRow {
            id: *self.fresh()?.as_bytes(),
            name: name.as_str().to_owned(),
            password,
            created: rows::micros(self.clock.now()),
            home: *self.fresh()?.as_bytes(),
            calendars: Some(*self.fresh()?.as_bytes()),
            ..AccountRow::default()
        };
        write(&mut row, fields);
        granted(caller, permissions_of(&row))?;
        let create = Op::Account(AccountOp::Create(row.clone()));
        match self.commit(Some(caller), Vec::new(), vec![create]).await {
            Err(Stop::Refused(Refusal::Mapped)) => {
                return Err(conflict(format!("there is a user '{name}' already")));
            }
            done => drop(done?),
        }
        // What everybody has, the new one has.
        self.settle(vec![row.clone()], None).await?;
        Ok(view(&row, &[]).ok_or(Fault("an account has no valid name".into()))?)
    }

    /// Changes a user; false where it is no longer as `user` shows it.
    pub async fn change_user(&self, caller: &Caller, user: &UserView, fields: UserFields) -> Answer<bool> {
        outranked(caller, &user.row)?;
        checked(&fields)?;
        let mut after = user.row.clone();
        write(&mut after, fields);
        granted(caller, permissions_of(&after))?;
        let (before, called) = (&user.row, |row: &AccountRow| (row.display_name.clone(), row.email.clone()));
        if user.directory && called(before) != called(&after) {
            return Err(conflict("the user comes from the directory; change it there".into()));
        }
        if user.directory && before.admin != after.admin && self.directory_names_admins() {
            let text = "the directory says who may administer (ldap.admin_group); change it there";
            return Err(conflict(text.into()));
        }
        if after.enabled && !before.enabled {
            may_be_enabled(before)?;
        }
        let _turn = self.people.lock().await;
        let goes = !after.enabled || !after.admin;
        if user.id == caller.account && (!after.enabled || (before.admin && !after.admin)) {
            let text = "nobody disables themselves or takes their own administration away";
            return Err(conflict(text.into()));
        }
        if goes {
            self.leaves_an_admin(before).await?;
        }
        if after == *before {
            return Ok(true);
        }
        if after.enabled != before.enabled {
            // Verdicts on passwords of an account that could sign in end here.
            after.epoch += 1;
        }
        let op = Op::Account(AccountOp::Update { before: before.clone(), after });
        match self.commit(Some(caller), Vec::new(), vec![op]).await {
            Err(Stop::Refused(Refusal::NotFound)) => Ok(false),
            done => done.map(|_| true),
        }
    }

    /// Removes a user, with tokens, shares and, as `legacy` says, books; false where the user is no
    /// longer as `user` shows it.
    pub async fn remove_person(&self, caller: &Caller, user: &UserView, legacy: &Legacy) -> Answer<bool> {
        outranked(caller, &user.row)?;
        let _turn = self.people.lock().await;
        if user.id == caller.account {
            return Err(conflict("nobody removes themselves".into()));
        }
        if self.store.read().await?.account(&user.name).await?.as_ref() != Some(&user.row) {
            return Ok(false);
        }
        self.leaves_an_admin(&user.row).await?;
        match self.part_with(Some(caller), &user.row, legacy).await? {
            None => Ok(true),
            Some(Undecided::Contents(holdings)) => {
                let what = match holdings.contacts {
                    0 => "the user's calendars hold entries",
                    _ => "the user's books hold contacts",
                };
                Err(conflict(format!("{what}; say hand_over=USER, or erase=true")))
            }
            Some(Undecided::Private(books)) => {
                let text = format!("{}; say private=erase, and they go with the user", private_books(books));
                Err(conflict(text))
            }
        }
    }

    /// Whether the directory says who may administer.
    fn directory_names_admins(&self) -> bool {
        self.settings.directory.as_ref().is_some_and(|directory| directory.admin_group.is_some())
    }

    /// Refuses to do without the last account that may do everything.
    pub(super) async fn leaves_an_admin(&self, but: &AccountRow) -> Answer<()> {
        let reigns = |account: &AccountRow| {
            let gone = account.origin.as_ref().is_some_and(|origin| origin.gone);
            !account.group && account.enabled && !gone && permissions_of(account).has(Permission::Admin)
        };
        if !reigns(but) {
            return Ok(());
        }
        let accounts = self.store.read().await?.accounts().await?;
        match accounts.iter().any(|account| account.id != but.id && reigns(account)) {
            true => Ok(()),
            false => {
                Err(conflict("the user is the last administrator; there has to be another one first".into()))
            }
        }
    }
}

/// What people are shown is one line.
fn checked(fields: &UserFields) -> Answer<()> {
    one_line("display name", fields.display_name.as_deref())?;
    one_line("e-mail address", fields.email.as_deref())
}

fn write(row: &mut AccountRow, fields: UserFields) {
    let UserFields { display_name, email, admin, enabled, permissions } = fields;
    row.display_name = display_name;
    row.email = email;
    row.admin = admin || permissions.contains(&Permission::Admin);
    row.enabled = enabled;
    let mut permissions = permissions;
    permissions.retain(|permission| *permission != Permission::Admin);
    permissions.sort_unstable();
    permissions.dedup();
    row.permissions = permissions.iter().map(|permission| permission.word().to_owned()).collect();
}

fn view(row: &AccountRow, accounts: &[AccountRow]) -> Option<UserView> {
    let called = |id: &rows::Id| accounts.iter().find(|account| account.id == id.0);
    let mut groups: Vec<_> = row.groups.iter().filter_map(called).map(|group| group.name.clone()).collect();
    groups.sort();
    let permissions = row.permissions.iter().filter_map(|word| Permission::parse(word));
    Some(UserView {
        id: AccountId::from_bytes(row.id),
        name: UserName::parse(&row.name).ok()?,
        fields: UserFields {
            display_name: row.display_name.clone(),
            email: row.email.clone(),
            admin: row.admin,
            enabled: row.enabled,
            permissions: permissions.collect(),
        },
        groups,
        directory: row.origin.is_some(),
        created: rows::time(row.created),
        row: row.clone(),
    })
}
