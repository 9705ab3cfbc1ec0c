//! Principals: which users and groups there are, as far as the caller may know (ACL-23): itself, its
//! groups, and those with whom it shares a book; everybody where the administrator has said so.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::id::{AccountId, CollectionId, Principal};
use crate::store::StoreError;
use crate::store::query::Reader;
use crate::store::rows::{self, AccountRow, Id};

use super::access::{Belongs, Caller, EVERYBODY, Rights, rights};
use super::books::is_everybodys;
use super::place::Place;
use super::refusal::Refusal;
use super::resolve::property;
use super::view::PrincipalView;
use super::{Answer, Service};

/// Whom a caller may know of.
enum Known {
    /// Every account.
    All,
    /// These.
    These(BTreeSet<Id>),
}

impl Known {
    fn holds(&self, account: &AccountRow) -> bool {
        match self {
            Self::All => !account.is_own(),
            Self::These(ids) => ids.contains(&Id(account.id)),
        }
    }
}

impl Service {
    /// A principal; one that the caller may not know of does not exist.
    pub async fn principal(&self, caller: &Caller, name: &Principal) -> Answer<PrincipalView> {
        let reader = self.store.read().await?;
        if *name == Principal::User(caller.name.clone()) {
            return self.myself(&reader, caller).await;
        }
        // Before anything is looked for, so that what is not told takes as long as what is not there.
        let known = self.known(&reader, caller).await?;
        let account = reader.principal(name).await?.filter(|account| known.holds(account));
        let account = account.ok_or(Refusal::NotFound)?;
        let related = match (account.group, &known) {
            (false, _) => {
                let groups: Vec<_> = account.groups.iter().map(|id| id.0).collect();
                self.accounts_of(&reader, &groups).await?.into_iter().flatten().collect()
            }
            (true, Known::These(ids)) => self.accounts_with(&reader, ids).await?,
            (true, Known::All) => reader.accounts().await?,
        };
        let is_related = |other: &&AccountRow| known.holds(other) && is_member(&account, other);
        let related = related.iter().filter(is_related).filter_map(AccountRow::principal).collect();
        view(account, related).ok_or(Refusal::NotFound.into())
    }

    /// Every principal that the caller may know of, by name, users before groups; from one scan at
    /// most, however many there are. Users who left are not told.
    pub async fn principals(&self, caller: &Caller) -> Answer<Vec<PrincipalView>> {
        let reader = self.store.read().await?;
        let own = self.myself(&reader, caller).await?;
        let mut accounts = match self.known(&reader, caller).await? {
            Known::All => reader.accounts().await?,
            Known::These(ids) => self.accounts_with(&reader, &ids).await?,
        };
        let own_id = *caller.account.as_bytes();
        accounts.retain(|account| account.group || account.enabled || account.id == own_id);
        let names = accounts.iter().filter_map(|account| Some((Id(account.id), account.principal()?)));
        let names: BTreeMap<Id, Principal> = names.collect();
        let mut members: BTreeMap<Id, Vec<Principal>> = BTreeMap::new();
        for account in accounts.iter().filter(|account| !account.group) {
            let Some(name) = names.get(&Id(account.id)) else { continue };
            for group in account.groups.iter().filter(|group| names.contains_key(group)) {
                members.entry(*group).or_default().push(name.clone());
            }
        }
        let mut views: Vec<_> = accounts
            .into_iter()
            .filter(|account| account.id != own_id)
            .filter_map(|account| {
                let related = match account.group {
                    true => members.remove(&Id(account.id)).unwrap_or_default(),
                    false => account.groups.iter().filter_map(|group| names.get(group).cloned()).collect(),
                };
                view(account, related)
            })
            .chain([own])
            .collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(views)
    }

    /// The caller's own principal, with what its clients wrote on it.
    async fn myself(&self, reader: &Reader, caller: &Caller) -> Answer<PrincipalView> {
        let account = reader.account(&caller.name).await?.ok_or(Refusal::NotFound)?;
        let (properties, unreadable) = match reader.properties(&account.id).await {
            Err(StoreError::Damaged(_)) => (Vec::new(), true),
            properties => (properties?, false),
        };
        let groups: Vec<_> = account.groups.iter().map(|id| id.0).collect();
        let groups = self.accounts_of(reader, &groups).await?;
        let related = groups.iter().flatten().filter_map(AccountRow::principal).collect();
        let view = view(account, related).ok_or(Refusal::NotFound)?;
        let gateway = self.directory_gateway(caller).await?;
        Ok(PrincipalView {
            gateway: gateway.and_then(|place| match place {
                Place::Collection(_, book) => Some(book),
                _ => None,
            }),
            rights: rights(caller, Belongs::To(&caller.name)),
            properties: properties.into_iter().map(property).collect(),
            unreadable,
            ..view
        })
    }

    async fn known(&self, reader: &Reader, caller: &Caller) -> Answer<Known> {
        if self.settings.principals_visible {
            return Ok(Known::All);
        }
        let mut ids: BTreeSet<_> = caller.groups.iter().copied().collect();
        ids.insert(Id(*caller.account.as_bytes()));
        let links = reader.links(caller.home).await?;
        let books: Vec<CollectionId> = links.iter().map(|link| link.book).collect();
        let found = reader.found_collections(&books).await?;
        for book in found.into_iter().filter_map(|book| book.readable()) {
            if book.row.owner == *caller.account.as_bytes() {
                ids.extend(book.row.shares.iter().map(|share| share.account).filter(|id| *id != EVERYBODY));
            } else if !is_everybodys(&book.row) && rights(caller, Belongs::Mounted(&book.row)).read {
                ids.insert(Id(book.row.owner));
            }
        }
        Ok(Known::These(ids))
    }

    async fn accounts_with(&self, reader: &Reader, ids: &BTreeSet<Id>) -> Answer<Vec<AccountRow>> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        Ok(self.accounts_of(reader, &ids).await?.into_iter().flatten().collect())
    }
}

/// Whether one of them is a group and the other a user in it.
fn is_member(one: &AccountRow, other: &AccountRow) -> bool {
    match (one.group, other.group) {
        (true, false) => other.groups.contains(&Id(one.id)),
        (false, true) => one.groups.contains(&Id(other.id)),
        _ => false,
    }
}

/// An account as others see it.
fn view(account: AccountRow, related: Vec<Principal>) -> Option<PrincipalView> {
    let name = account.principal()?;
    Some(PrincipalView {
        account: AccountId::from_bytes(account.id),
        name,
        display_name: account.display_name.unwrap_or(account.name),
        addresses: account.email.into_iter().chain(account.addresses).collect(),
        related,
        created: rows::time(account.created),
        gateway: None,
        rights: Rights { read: true, ..Rights::NONE },
        properties: Vec::new(),
        unreadable: false,
    })
}
