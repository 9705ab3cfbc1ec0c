//! Smart books: books that show, read-only, the contacts that a saved filter finds. Each shows what its
//! owner may see, but for private books unless it is private itself, and never what other smart books
//! show or what lies in the trash. One loop follows the commits and writes what has to change, so that
//! clients are told of it by the book's own log; what an earlier run left undone it finds at the start.

use std::collections::HashSet;
use std::time::Duration;

use crate::domain::id::{AccountId, CollectionId, ContactId, UserName};
use crate::domain::permission::Permissions;
use crate::domain::scim::{Filter, Query};
use crate::store::commit::{CardOp, Described, Op, PropertiesOp};
use crate::store::mirror::TouchedSince;
use crate::store::roster::{Asked, Books, Wanted};
use crate::store::rows::{Definition, FilterRow, Id, StoredProperty};

use super::access::{Caller, Reach};
use super::office::shelves::{Shelf, Shelves};
use super::people::permissions_of;
use super::refusal::Stop;
use super::{Answer, Service};

/// How many contacts are written in one commit, and how many are looked at together.
const WRITTEN: usize = 64;
const READ: usize = 512;

/// How long the loop rests when the store failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Held by who brings smart books up to date.
#[derive(Default)]
pub(super) struct Upkeep {
    turn: tokio::sync::Mutex<()>,
}

impl Service {
    /// Keeps smart books as their filters say; runs until dropped.
    pub async fn keep_smart(&self) {
        loop {
            match self.smart_settled().await {
                Ok(()) => self.store.touched().wanted().await,
                Err(stop) => {
                    tracing::error!(%stop, "smart address books are not brought up to date yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Brings smart books up to date with all that was committed before.
    pub async fn smart_settled(&self) -> Answer<()> {
        let _turn = self.smart.turn.lock().await;
        loop {
            let since = self.store.touched().take();
            if since.is_empty() {
                return Ok(());
            }
            if let Err(stop) = self.follow_commits(&since).await {
                self.store.touched().put_back(since);
                return Err(stop);
            }
        }
    }

    async fn follow_commits(&self, since: &TouchedSince) -> Answer<()> {
        if since.all {
            // Whoever committed it may not have said so yet.
            self.shelves.changed();
        }
        let shelves = self.shelves().await?;
        let (mut any, mut failed) = (false, None);
        for (book, shelf, filter) in shelves.smart() {
            any = true;
            match self.follow_book(*book, (shelf, filter), since, &shelves).await {
                Ok(()) | Err(Stop::Refused(_)) => {}
                // The others are not to wait for it.
                Err(stop) => failed = Some(stop),
            }
        }
        if !any {
            self.store.touched().rest();
        }
        failed.map_or(Ok(()), Err)
    }

    async fn follow_book(
        &self,
        book: CollectionId,
        (shelf, filter): (&Shelf, Id),
        since: &TouchedSince,
        shelves: &Shelves,
    ) -> Answer<()> {
        let found = self.finds(shelf, filter, shelves).await?;
        if since.all {
            let wanted = match found {
                Some((books, wanted)) => {
                    let asked = Asked { books, wanted, order: Vec::new(), step: None, limit: usize::MAX };
                    self.store.contacts_page(asked).await?.contacts
                }
                None => Vec::new(),
            };
            let shown = self.store.read().await?.mirrored(book).await?;
            return self.show(book, &wanted, shown).await;
        }
        for some in since.contacts.iter().copied().collect::<Vec<_>>().chunks(READ) {
            let wanted = match &found {
                Some((books, wanted)) => {
                    self.store.contacts_among(some.to_vec(), books.clone(), wanted.clone()).await?
                }
                None => HashSet::new(),
            };
            let shown = self.store.read().await?.mirrored_of(book, some).await?;
            self.show(book, &wanted.into_iter().collect::<Vec<_>>(), shown).await?;
        }
        Ok(())
    }

    /// What a smart book's filter asks for, and where; `None` where it asks for nothing.
    async fn finds(&self, shelf: &Shelf, filter: Id, shelves: &Shelves) -> Answer<Option<(Books, Wanted)>> {
        let reader = self.store.read().await?;
        let Some(Definition::Filter(row)) = reader.definition(Definition::FILTER, filter).await? else {
            return Ok(None);
        };
        let account = self.account_of(&reader, &shelf.row.owner).await?.filter(|account| !account.group);
        drop(reader);
        let Some(account) = account else { return Ok(None) };
        let Ok(name) = UserName::parse(&account.name) else { return Ok(None) };
        let caller = Caller {
            account: AccountId::from_bytes(account.id),
            name,
            home: CollectionId::from_bytes(account.home),
            calendar_home: None,
            contacts: Reach::Read,
            calendars: Reach::None,
            groups: account.groups.as_slice().into(),
            permissions: permissions_of(&account),
            scopes: Permissions::ALL,
            // Who shares a book does not share what is private.
            private: shelf.row.private,
            client: "",
        };
        let FilterRow { filter, q, .. } = row;
        let mut wanted = Wanted::default();
        if !filter.is_empty() {
            let Ok(mut filter) = Filter::parse(&filter) else { return Ok(None) };
            self.resolve_names(&caller, &mut filter).await?;
            wanted.filter = Some(filter);
        }
        if !q.is_empty() {
            let Some(query) = Query::parse(&q) else { return Ok(None) };
            wanted.query = Some(query);
        }
        let mut books = shelves.readable(&caller);
        books.retain(|book| shelves.get(book).is_some_and(|shelf| shelf.row.smart.is_none()));
        Ok(Some((Books::These(books), wanted)))
    }

    /// Makes a book show these contacts, as they are, and of those that it shows no others.
    async fn show(
        &self,
        book: CollectionId,
        wanted: &[ContactId],
        mut shown: HashSet<ContactId>,
    ) -> Answer<()> {
        for contact in wanted {
            shown.remove(contact);
        }
        let mut gone: Vec<_> = shown.into_iter().collect();
        gone.sort_unstable();
        let gone: Vec<_> =
            gone.into_iter().map(|contact| Op::Card(CardOp::Unmirror { book, contact })).collect();
        self.write_mirrors(&gone).await?;
        for some in wanted.chunks(READ) {
            let differ = self.store.read().await?.not_mirrored(book, some).await?;
            let come = differ.into_iter().map(|contact| Op::Card(CardOp::Mirror { book, contact }));
            self.write_mirrors(&come.collect::<Vec<_>>()).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn write_mirrors(&self, ops: &[Op]) -> Answer<()> {
        for some in ops.chunks(WRITTEN) {
            match self.commit(None, Vec::new(), some.to_vec()).await {
                // One of them went elsewhere meanwhile; that commit is followed next.
                Err(Stop::Refused(_)) => {
                    for op in some {
                        match self.commit(None, Vec::new(), vec![op.clone()]).await {
                            Ok(_) | Err(Stop::Refused(_)) => {}
                            Err(stop) => return Err(stop),
                        }
                    }
                }
                done => drop(done?),
            }
        }
        Ok(())
    }

    /// Whether a filter is what that book shows.
    pub(super) async fn is_served(&self, book: Option<CollectionId>, filter: Id) -> Answer<bool> {
        let Some(book) = book else { return Ok(false) };
        let row = self.store.read().await?.collections(&[book]).await?.pop().flatten();
        Ok(row.is_some_and(|book| book.row.smart == Some(filter)))
    }

    /// Gives a smart book its filter's new name to show, unless its owner wrote another one on it.
    pub(super) async fn show_name(&self, book: CollectionId, old: &str, new: &str) -> Answer<()> {
        let shelves = self.shelves().await?;
        let Some(shelf) = shelves.get(&book).filter(|shelf| shelf.row.smart.is_some()) else { return Ok(()) };
        let Some(home) = shelf.row.home.map(CollectionId::from_bytes) else { return Ok(()) };
        let before = self.store.read().await?.properties(book.as_bytes()).await?;
        let mut properties = before.clone();
        let shown = properties.iter_mut().find(|known| **known == display_name(old));
        let Some(shown) = shown else { return Ok(()) };
        *shown = display_name(new);
        let of = Described::Book { home, name: shelf.name.clone() };
        let op = Op::Properties(PropertiesOp { of, properties, before });
        match self.commit(None, Vec::new(), vec![op]).await {
            // Somebody was quicker.
            Ok(_) | Err(Stop::Refused(_)) => Ok(()),
            Err(stop) => Err(stop),
        }
    }
}

/// What clients show as a book's name (RFC 4918 §15.2).
pub(super) fn display_name(text: &str) -> StoredProperty {
    StoredProperty {
        namespace: "DAV:".into(),
        local: "displayname".into(),
        text: Some(text.into()),
        lang: None,
        xml: None,
    }
}

#[cfg(test)]
mod tests;
