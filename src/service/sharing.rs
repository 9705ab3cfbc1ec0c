//! Sharing: who beside its owner may use a book or a calendar, and the places that these have in the
//! homes of those who may. A card's commit knows nothing of all this: what is shared is the book itself.
//!
//! Rights are decided by the book's row at each request (`access.rs`); places follow it, so that a
//! home's sync tells of books that came and went (SYNC-22). Places that could not follow at once,
//! because the server was killed in between, follow at the next start.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::id::{CollectionId, CollectionKind, MemberName, Principal};
use crate::store::commit::{AccountOp, CollectionOp, Described, Expect, Op, PropertiesOp};
use crate::store::query::{Link, Reader};
use crate::store::rows::{AccountRow, CollectionRow, Id, ShareRow};

use super::access::{Caller, EVERYBODY};
use super::provision::kept_names;
use super::refusal::{Fault, Refusal, Stop};
use super::resolve::Reached;
use super::{Answer, Service};

mod asked;
mod ending;
#[cfg(test)]
mod tests;

pub use asked::{Asked, AskedKind};
pub(super) use ending::Ending;

/// How often a change is tried again when what it read has moved meanwhile.
pub(super) const ROUNDS: usize = 16;
/// How many homes' places are put right in one commit.
const HOMES: usize = 64;

/// What a share allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read only.
    Read,
    /// Read and change.
    Write,
}

/// Somebody's share of a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Who may use it.
    pub with: Principal,
    /// What they may do.
    pub access: Access,
}

/// The books that a group's members have by way of it, by the group.
type OfGroups = HashMap<Id, Vec<CollectionId>>;

impl Service {
    /// Who beside its owner may use a book. Shares of accounts that are gone are left out.
    pub async fn shares(&self, book: CollectionId) -> Answer<Vec<Share>> {
        let reader = self.store.read().await?;
        let row = collection(&reader, book).await?.ok_or(Refusal::NotFound)?;
        let mut shares = Vec::with_capacity(row.shares.len());
        for share in &row.shares {
            let access = if share.write { Access::Write } else { Access::Read };
            let with = self.named(&reader, &share.account.0).await?;
            shares.extend(with.map(|with| Share { with, access }));
        }
        Ok(shares)
    }

    /// Gives somebody access to a book, other access than before, or none. Says nothing when that is
    /// how it was. The caller's right to do so is the caller's room's business.
    pub async fn share(
        &self,
        caller: Option<&Caller>,
        book: CollectionId,
        with: &Principal,
        access: Option<Access>,
    ) -> Answer<()> {
        self.share_if(caller, book, with, access, Vec::new()).await
    }

    /// The same if something holds. Where it is so already, what was expected does not hold: it would
    /// not have been asked for.
    pub(super) async fn share_if(
        &self,
        caller: Option<&Caller>,
        book: CollectionId,
        with: &Principal,
        access: Option<Access>,
        expect: Vec<Expect>,
    ) -> Answer<()> {
        for _ in 0..ROUNDS {
            let reader = self.store.read().await?;
            let row = collection(&reader, book).await?.ok_or(Refusal::NotFound)?;
            let account = reader.principal(with).await?.ok_or_else(|| unknown(with))?;
            if account.id == row.owner && access.is_some() {
                let text = format!("a {} is not shared with its owner", row.kind().word());
                return Err(Refusal::Conflict(text).into());
            }
            drop(reader);
            let id = Id(account.id);
            let after = with_share(&row.shares, id, access);
            let mut changed = account.clone();
            mark(&mut changed.granted, Id(*book.as_bytes()), access.is_some());
            if access.is_some() {
                // Who is given it anew has it again, even after having left it.
                mark(&mut changed.left, Id(*book.as_bytes()), false);
            }
            if after == row.shares && changed == account {
                return unless_expected(&expect);
            }
            let share = CollectionOp::Share { id: book, before: row.shares, after };
            let note = AccountOp::Update { before: account.clone(), after: changed };
            match self.commit(caller, expect.clone(), vec![Op::Collection(share), Op::Account(note)]).await {
                Err(Stop::Refused(Refusal::NotFound)) => continue,
                done => drop(done?),
            }
            return self.settle_members(&account, Some(book)).await;
        }
        Err(busy())
    }

    /// Says whether a book is its owner's alone. What it was shared as comes back when it is not.
    pub async fn set_private(
        &self,
        caller: Option<&Caller>,
        book: CollectionId,
        private: bool,
    ) -> Answer<()> {
        self.set_private_if(caller, book, private, Vec::new()).await
    }

    /// The same if something holds.
    pub(super) async fn set_private_if(
        &self,
        caller: Option<&Caller>,
        book: CollectionId,
        private: bool,
        expect: Vec<Expect>,
    ) -> Answer<()> {
        let reader = self.store.read().await?;
        let row = collection(&reader, book).await?.ok_or(Refusal::NotFound)?;
        if row.private == private {
            return unless_expected(&expect);
        }
        let ending = Ending { ops: Vec::new(), ..self.ending(&reader, book, &row).await? };
        let mut ops = vec![Op::Collection(CollectionOp::Private { id: book, private })];
        if private {
            // Whoever had a link has it no more when the book is not private again one day.
            ops.extend(self.ending_links(&reader, book).await?);
        }
        drop(reader);
        self.commit(caller, expect, ops).await?;
        self.settle_ended(caller, ending).await
    }

    /// Takes another's book out of the caller's home, for good: a share of its own ends, one by way
    /// of a group is passed by from now on (CS-10).
    pub(super) async fn leave(
        &self,
        caller: &Caller,
        name: &MemberName,
        reached: Reached,
        expect: Vec<Expect>,
    ) -> Answer<()> {
        for _ in 0..ROUNDS {
            let reader = self.store.read().await?;
            let row = collection(&reader, reached.id).await?.ok_or(Refusal::NotFound)?;
            let before = reader.account(&caller.name).await?.ok_or(Refusal::NotFound)?;
            drop(reader);
            let own = Id(before.id);
            let mut ops = Vec::with_capacity(3);
            let mut after = before.clone();
            mark(&mut after.granted, Id(*reached.id.as_bytes()), false);
            if row.shares.iter().any(|share| share.account == own) {
                let rest = with_share(&row.shares, own, None);
                let end = CollectionOp::Share { id: reached.id, before: row.shares.clone(), after: rest };
                ops.push(Op::Collection(end));
            }
            if row.shares.iter().any(|share| share.account == EVERYBODY) {
                after.staff_book = Some(false);
            }
            let by_group = |id: &Id| before.groups.contains(id);
            if by_group(&Id(row.owner)) || row.shares.iter().any(|share| by_group(&share.account)) {
                mark(&mut after.left, Id(*reached.id.as_bytes()), true);
            }
            if after != before {
                ops.push(Op::Account(AccountOp::Update { before, after }));
            }
            ops.push(Op::Collection(CollectionOp::Unmount { home: reached.home, name: name.clone() }));
            match self.commit(Some(caller), expect.clone(), ops).await {
                // It moved, or is gone; the next round tells which.
                Err(Stop::Refused(Refusal::NotFound)) if self.mounted(reached.home, name).await? => continue,
                done => return done.map(drop),
            }
        }
        Err(busy())
    }

    async fn mounted(&self, home: CollectionId, name: &MemberName) -> Answer<bool> {
        let link = self.store.read().await?.link(home, name).await?;
        Ok(link.is_some_and(|link| link.mount))
    }

    /// Puts the places right in the homes of a user, or of a group's members. Of `told` they are
    /// told even where its place stays: what may be done with it has changed.
    pub(super) async fn settle_members(
        &self,
        account: &AccountRow,
        told: Option<CollectionId>,
    ) -> Answer<()> {
        let accounts = match account.group {
            // As it is after the commit before this.
            false => self.store.read().await?.principal(&principal(account)?).await?.into_iter().collect(),
            true => {
                let of = |row: &AccountRow| row.groups.contains(&Id(account.id));
                self.store.read().await?.accounts().await?.into_iter().filter(of).collect()
            }
        };
        self.settle(accounts, told).await
    }

    /// Puts the places right in every home: at the start, and when what every user has changes.
    pub async fn settle_all(&self) -> Answer<()> {
        let accounts = self.store.read().await?.accounts().await?;
        self.settle(accounts, None).await
    }

    /// Puts the places right in the homes of these users, some in each commit.
    pub(super) async fn settle(&self, accounts: Vec<AccountRow>, told: Option<CollectionId>) -> Answer<()> {
        let users: Vec<_> = accounts.into_iter().filter(|account| !account.group).collect();
        let mut of_groups = OfGroups::new();
        for some in users.chunks(HOMES) {
            let mut ops = Vec::new();
            let reader = self.store.read().await?;
            for user in some {
                ops.extend(self.places(&reader, user, &mut of_groups, told).await?);
            }
            drop(reader);
            if ops.is_empty() {
                continue;
            }
            match self.commit(None, Vec::new(), ops).await {
                Ok(_) => {}
                // One of the homes moved: each by itself, looking again.
                Err(Stop::Refused(_)) => {
                    for user in some {
                        self.settle_one(&principal(user)?, told).await?;
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }

    async fn settle_one(&self, user: &Principal, told: Option<CollectionId>) -> Answer<()> {
        for _ in 0..ROUNDS {
            let reader = self.store.read().await?;
            let Some(account) = reader.principal(user).await? else { return Ok(()) };
            let ops = self.places(&reader, &account, &mut OfGroups::new(), told).await?;
            drop(reader);
            if ops.is_empty() {
                return Ok(());
            }
            match self.commit(None, Vec::new(), ops).await {
                Err(Stop::Refused(_)) => continue,
                done => return done.map(drop),
            }
        }
        Err(busy())
    }

    /// What must be done to a user's home so that it has places for exactly the books that others
    /// share with the user.
    async fn places(
        &self,
        reader: &Reader,
        user: &AccountRow,
        of_groups: &mut OfGroups,
        told: Option<CollectionId>,
    ) -> Answer<Vec<Op>> {
        let wanted = self.wanted(reader, user, of_groups).await?;
        let mut ops = Vec::new();
        for kind in CollectionKind::ALL {
            let Some(home) = user.home_of(kind) else { continue };
            let of_kind = wanted.iter().filter(|(_, known)| **known == kind).map(|(id, _)| *id).collect();
            ops.extend(self.places_in(reader, user, (kind, home), &of_kind, told).await?);
        }
        ops.extend(self.forgotten(reader, user).await?);
        Ok(ops)
    }

    /// The same of one of the user's homes, and of the collections that are to have places there.
    async fn places_in(
        &self,
        reader: &Reader,
        user: &AccountRow,
        (kind, home): (CollectionKind, CollectionId),
        wanted: &BTreeSet<CollectionId>,
        told: Option<CollectionId>,
    ) -> Answer<Vec<Op>> {
        let links = reader.links(home).await?;
        // A name that becomes free in this commit is not taken again in it.
        let mut names: BTreeSet<String> = links.iter().map(|link| link.name.clone()).collect();
        names.extend(kept_names(user, kind).map(str::to_owned));
        let mut ops = Vec::new();
        let mut placed = BTreeSet::new();
        for link in links.iter().filter(|link| link.mount) {
            // Two settlings at once may have given it two places.
            if !wanted.contains(&link.book) || !placed.insert(link.book) {
                ops.push(Op::Collection(CollectionOp::Unmount { home, name: member(&link.name)? }));
            } else if told == Some(link.book) {
                ops.push(self.touch(reader, home, link).await?);
            }
        }
        for id in wanted.iter().filter(|id| !links.iter().any(|link| link.book == **id)) {
            let Some((name, owner)) = self.called(reader, *id).await? else { continue };
            let owner = owner.as_ref().map_or("", Principal::as_str);
            let Some(name) = free_name(&name, owner, &names) else { continue };
            names.insert(name.as_str().to_owned());
            ops.push(Op::Collection(CollectionOp::Mount { home, name, id: *id }));
        }
        Ok(ops)
    }

    /// What forgets that a user left books which are gone.
    async fn forgotten(&self, reader: &Reader, user: &AccountRow) -> Answer<Option<Op>> {
        if user.left.is_empty() {
            return Ok(None);
        }
        let left: Vec<_> = user.left.iter().map(|id| CollectionId::from_bytes(id.0)).collect();
        let found = reader.found_collections(&left).await?;
        let kept = user.left.iter().zip(&found).filter(|(_, found)| found.is_there());
        let after = AccountRow { left: kept.map(|(id, _)| *id).collect(), ..user.clone() };
        Ok((after != *user).then(|| Op::Account(AccountOp::Update { before: user.clone(), after })))
    }

    /// Has the home's log tell of a place once more.
    async fn touch(&self, reader: &Reader, home: CollectionId, link: &Link) -> Answer<Op> {
        let before = reader.properties(&link.member).await?;
        let of = Described::Mount { home, name: member(&link.name)? };
        Ok(Op::Properties(PropertiesOp { of, properties: before.clone(), before }))
    }

    /// The books of others that a user has: shared with the user, with a group, or with everybody,
    /// and those that a group owns.
    async fn wanted(
        &self,
        reader: &Reader,
        user: &AccountRow,
        of_groups: &mut OfGroups,
    ) -> Answer<BTreeMap<CollectionId, CollectionKind>> {
        let id = |id: &Id| CollectionId::from_bytes(id.0);
        let mut wanted: BTreeSet<_> = user.granted.iter().map(id).collect();
        for group in &user.groups {
            if !of_groups.contains_key(group) {
                let books = self.books_of_group(reader, group).await?;
                of_groups.insert(*group, books);
            }
            let books = of_groups.get(group).into_iter().flatten();
            wanted.extend(books.filter(|book| !user.left.iter().any(|left| id(left) == **book)));
        }
        wanted.extend(self.staff_book_of(reader, user).await?);
        // A grant outlives its book by the moment between two commits.
        let ids: Vec<_> = wanted.into_iter().collect();
        let rows = reader.found_collections(&ids).await?;
        let there = rows.into_iter().filter_map(|row| row.readable());
        let ours = |owner: &[u8; 16]| user.groups.iter().any(|group| group.0 == *owner);
        let open = there.filter(|book| !book.row.private || ours(&book.row.owner));
        let others = open.filter(|book| book.row.owner != user.id);
        Ok(others.map(|book| (book.id, book.row.kind())).collect())
    }

    async fn books_of_group(&self, reader: &Reader, group: &Id) -> Answer<Vec<CollectionId>> {
        let Some(account) = self.account_of(reader, &group.0).await? else { return Ok(Vec::new()) };
        let granted = account.granted.iter().map(|id| CollectionId::from_bytes(id.0));
        let mut books: Vec<_> = granted.collect();
        for home in CollectionKind::ALL.into_iter().filter_map(|kind| account.home_of(kind)) {
            books.extend(reader.links(home).await?.iter().map(|link| link.book));
        }
        Ok(books)
    }

    /// What a book is called in its owner's home, and who that is.
    pub(super) async fn called(
        &self,
        reader: &Reader,
        id: CollectionId,
    ) -> Answer<Option<(String, Option<Principal>)>> {
        let row = collection(reader, id).await?;
        let Some((home, owner)) = row.and_then(|row| Some((row.home?, row.owner))) else { return Ok(None) };
        let links = reader.links(CollectionId::from_bytes(home)).await?;
        let name = links.into_iter().find(|link| link.book == id && !link.mount).map(|link| link.name);
        let owner = self.named(reader, &owner).await?;
        Ok(name.map(|name| (name, owner)))
    }

    /// The staff directory's book, if this user has it.
    async fn staff_book_of(&self, reader: &Reader, user: &AccountRow) -> Answer<Option<CollectionId>> {
        match user.staff_book {
            Some(false) => Ok(None),
            _ => self.mounted_staff_book(reader).await,
        }
    }
}

pub(super) async fn collection(reader: &Reader, id: CollectionId) -> Answer<Option<CollectionRow>> {
    Ok(reader.collections(&[id]).await?.pop().flatten().map(|collection| collection.row))
}

/// Nothing was to be done, though something was expected to be otherwise.
fn unless_expected(expect: &[Expect]) -> Answer<()> {
    if expect.is_empty() { Ok(()) } else { Err(Refusal::Unmet.into()) }
}

/// The shares after one of them changed, sorted.
fn with_share(shares: &[ShareRow], account: Id, access: Option<Access>) -> Vec<ShareRow> {
    let mut after: Vec<_> = shares.iter().copied().filter(|share| share.account != account).collect();
    after.extend(access.map(|access| ShareRow { account, write: access == Access::Write }));
    after.sort_unstable();
    after
}

/// Puts an id into a sorted list, or takes it out.
fn mark(list: &mut Vec<Id>, id: Id, there: bool) {
    match (list.binary_search(&id), there) {
        (Err(at), true) => list.insert(at, id),
        (Ok(at), false) => drop(list.remove(at)),
        _ => {}
    }
}

/// The name under which another's book gets a place where these names are taken.
pub(super) fn free_name(name: &str, owner: &str, taken: &BTreeSet<String>) -> Option<MemberName> {
    let numbered = (2..100).map(|number| format!("{name}-{owner}-{number}"));
    let plain = (1..1000).map(|number| format!("shared-{number}"));
    // A long name may be too long with more behind it.
    let mut tried = [name.to_owned(), format!("{name}-{owner}")].into_iter().chain(numbered).chain(plain);
    tried.find_map(|name| MemberName::parse(&name).ok().filter(|name| !taken.contains(name.as_str())))
}

pub(super) fn member(name: &str) -> Result<MemberName, Fault> {
    MemberName::parse(name).map_err(|_| Fault("a book has no valid name".into()))
}

pub(super) fn principal(account: &AccountRow) -> Result<Principal, Fault> {
    account.principal().ok_or(Fault("an account has no valid name".into()))
}

pub(super) fn unknown(name: &Principal) -> Stop {
    let text = match name {
        Principal::User(name) => format!("there is no user '{name}'; 'cardkeep user list' shows them"),
        Principal::Group(name) => format!("there is no group '{name}'"),
    };
    Refusal::Conflict(text).into()
}

pub(super) fn busy() -> Stop {
    Refusal::Busy { retry_after: std::time::Duration::from_secs(1) }.into()
}
