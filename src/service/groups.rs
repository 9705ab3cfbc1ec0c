//! Groups, as the API shows and changes them. Who is in a group stands in the users' rows, so that
//! signing in reads it at once; a group that comes from a directory is changed there.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::id::{AccountId, GroupName, Principal, UserName};
use crate::domain::permission::Permission;
use crate::store::commit::{AccountOp, Op};
use crate::store::rows::{self, AccountRow, Id};

use super::access::Caller;
use super::admin::{conflict, one_line};
use super::people::Legacy;
use super::refusal::{Fault, Refusal, Stop};
use super::{Answer, Service};

crate::hidden!(GroupView, GroupFields);

/// A group as it is shown.
#[derive(Clone)]
pub struct GroupView {
    /// The account.
    pub id: AccountId,
    /// Its name.
    pub name: GroupName,
    /// What may be changed of it.
    pub fields: GroupFields,
    /// It comes from a directory, which keeps it.
    pub directory: bool,
    /// When it was made.
    pub created: Timestamp,
    row: AccountRow,
}

/// What may be changed of a group.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GroupFields {
    /// What people call it.
    pub display_name: Option<String>,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Who is in it, sorted.
    pub members: Vec<UserName>,
}

impl Service {
    /// The groups that the caller may see: all with `users`, else those that the caller is in.
    pub async fn groups(&self, caller: &Caller) -> Answer<Vec<GroupView>> {
        let accounts = self.store.read().await?.accounts().await?;
        let all = caller.permissions.has(Permission::Users);
        let seen = |account: &&AccountRow| account.group && (all || caller.groups.contains(&Id(account.id)));
        Ok(accounts.iter().filter(seen).filter_map(|group| view(group, &accounts)).collect())
    }

    /// One group that the caller may see.
    pub async fn group(&self, caller: &Caller, name: &GroupName) -> Answer<GroupView> {
        let found = self.groups(caller).await?.into_iter().find(|group| group.name == *name);
        found.ok_or_else(|| Refusal::NotFound.into())
    }

    /// Makes a group.
    pub async fn create_group(
        &self,
        caller: &Caller,
        name: &GroupName,
        fields: GroupFields,
    ) -> Answer<GroupView> {
        caller.need(Permission::Users)?;
        self.add_group(Some(caller), name, fields).await
    }

    /// Makes a group; the caller's right to do so has been looked at.
    pub(super) async fn add_group(
        &self,
        caller: Option<&Caller>,
        name: &GroupName,
        fields: GroupFields,
    ) -> Answer<GroupView> {
        checked(&fields)?;
        let _turn = self.people.lock().await;
        let accounts = self.store.read().await?.accounts().await?;
        let members = chosen(&accounts, &fields.members)?;
        let row = AccountRow {
            id: *self.fresh()?.as_bytes(),
            name: name.as_str().to_owned(),
            display_name: fields.display_name,
            email: fields.email,
            enabled: true,
            created: rows::micros(self.clock.now()),
            home: *self.fresh()?.as_bytes(),
            calendars: Some(*self.fresh()?.as_bytes()),
            group: true,
            ..AccountRow::default()
        };
        let mut ops = vec![Op::Account(AccountOp::Create(row.clone()))];
        let members: Vec<_> =
            members.into_iter().map(|user| (user.clone(), with(user, &row, true))).collect();
        ops.extend(members.iter().map(update));
        match self.commit(caller, Vec::new(), ops).await {
            Err(Stop::Refused(Refusal::Mapped)) => {
                return Err(conflict(format!("there is a group '{name}' already")));
            }
            Err(Stop::Refused(Refusal::NotFound)) => return Err(moved()),
            done => drop(done?),
        }
        let after: Vec<_> = members.into_iter().map(|(_, after)| after).collect();
        Ok(view(&row, &after).ok_or(Fault("a group has no valid name".into()))?)
    }

    /// Changes a group; false where it is no longer as `group` shows it.
    pub async fn change_group(
        &self,
        caller: &Caller,
        group: &GroupView,
        fields: GroupFields,
    ) -> Answer<bool> {
        caller.need(Permission::Users)?;
        local(group)?;
        checked(&fields)?;
        let _turn = self.people.lock().await;
        let accounts = self.store.read().await?.accounts().await?;
        if !is_shown(group, &accounts) {
            return Ok(false);
        }
        let wanted = chosen(&accounts, &fields.members)?;
        let mut changed = Vec::new();
        for user in accounts.iter().filter(|account| !account.group) {
            let (is, shall) =
                (user.groups.contains(&Id(group.row.id)), wanted.iter().any(|one| one.id == user.id));
            if is != shall {
                changed.push((user.clone(), with(user.clone(), &group.row, shall)));
            }
        }
        let (display_name, email) = (fields.display_name, fields.email);
        let after = AccountRow { display_name, email, ..group.row.clone() };
        let mut ops: Vec<_> = changed.iter().map(update).collect();
        if ops.is_empty() && after == group.row {
            return Ok(true);
        }
        // Though it may stay as it is: who is in it is read off it, and off those who change.
        ops.push(update(&(group.row.clone(), after)));
        match self.commit(Some(caller), Vec::new(), ops).await {
            Err(Stop::Refused(Refusal::NotFound)) => return Ok(false),
            done => drop(done?),
        }
        self.settle(changed.into_iter().map(|(_, after)| after).collect(), None).await?;
        Ok(true)
    }

    /// Removes a group, with what it was given and its books; false where it is no longer as `group`
    /// shows it.
    pub async fn remove_group(&self, caller: &Caller, group: &GroupView, legacy: &Legacy) -> Answer<bool> {
        caller.need(Permission::Users)?;
        // What the directory has no more, nobody else can remove.
        if !group.row.origin.as_ref().is_some_and(|origin| origin.gone) {
            local(group)?;
        }
        let _turn = self.people.lock().await;
        if !is_shown(group, &self.store.read().await?.accounts().await?) {
            return Ok(false);
        }
        if *legacy != Legacy::Erase && self.holdings(&group.row).await?.any() {
            return Err(conflict("the group's books hold contacts; say erase=true".into()));
        }
        self.withdraw_account(Some(caller), &group.row).await?;
        let reader = self.store.read().await?;
        let name = Principal::Group(group.name.clone());
        let row = reader.principal(&name).await?.ok_or(Refusal::NotFound)?;
        let accounts = reader.accounts().await?;
        drop(reader);
        let members: Vec<_> = accounts
            .into_iter()
            .filter(|user| user.groups.contains(&Id(row.id)))
            .map(|user| (user.clone(), with(user, &row, false)))
            .collect();
        let mut ops: Vec<_> = members.iter().map(update).collect();
        ops.push(Op::Account(AccountOp::Remove(row)));
        match self.commit(Some(caller), Vec::new(), ops).await {
            Err(Stop::Refused(Refusal::NotFound)) => return Err(moved()),
            done => drop(done?),
        }
        self.purge_soon();
        self.settle(members.into_iter().map(|(_, after)| after).collect(), None).await?;
        Ok(true)
    }
}

/// Whether a group and who is in it are as they were shown.
fn is_shown(group: &GroupView, accounts: &[AccountRow]) -> bool {
    let now = accounts.iter().find(|account| account.id == group.row.id && account.group);
    let now = now.and_then(|row| view(row, accounts));
    now.is_some_and(|now| now.row == group.row && now.fields == group.fields)
}

/// The accounts of these users.
fn chosen(accounts: &[AccountRow], names: &[UserName]) -> Answer<Vec<AccountRow>> {
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let user = accounts.iter().find(|account| !account.group && account.name == name.as_str());
        let Some(user) = user else {
            let text = "there is no user of that name".into();
            return Err(Refusal::Wrong { pointer: format!("/members/{at}"), text }.into());
        };
        if seen.insert(user.id) {
            chosen.push(user.clone());
        }
    }
    Ok(chosen)
}

/// The user as a member of the group, or not.
fn with(mut user: AccountRow, group: &AccountRow, member: bool) -> AccountRow {
    user.groups.retain(|id| id.0 != group.id);
    if member {
        user.groups.push(Id(group.id));
        user.groups.sort_unstable();
    }
    user
}

fn update((before, after): &(AccountRow, AccountRow)) -> Op {
    Op::Account(AccountOp::Update { before: before.clone(), after: after.clone() })
}

fn local(group: &GroupView) -> Answer<()> {
    match group.directory {
        true => Err(conflict("the group comes from the directory; change it there".into())),
        false => Ok(()),
    }
}

fn checked(fields: &GroupFields) -> Answer<()> {
    one_line("display name", fields.display_name.as_deref())?;
    one_line("e-mail address", fields.email.as_deref())
}

fn moved() -> Stop {
    Refusal::Busy { retry_after: std::time::Duration::from_secs(1) }.into()
}

fn view(row: &AccountRow, accounts: &[AccountRow]) -> Option<GroupView> {
    let belongs = |user: &&AccountRow| !user.group && user.groups.contains(&Id(row.id));
    let users: Vec<_> = accounts.iter().filter(belongs).cloned().collect();
    let mut members: Vec<_> = users.iter().filter_map(|user| UserName::parse(&user.name).ok()).collect();
    members.sort();
    Some(GroupView {
        id: AccountId::from_bytes(row.id),
        name: GroupName::parse(&row.name).ok()?,
        fields: GroupFields { display_name: row.display_name.clone(), email: row.email.clone(), members },
        directory: row.origin.is_some(),
        created: rows::time(row.created),
        row: row.clone(),
    })
}
