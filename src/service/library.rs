//! Books and calendars, as the API lists, makes and gives access to them: by their kind, their owner's
//! name and their own, whoever's they are. What is said of books here holds for calendars; the kind is in
//! the home that they lie in. What DAV does with them is `books.rs`'s.
//!
//! One's own books need no permission; others' need `settings`, and private ones exist for their
//! owner alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::ical::Components;
use crate::domain::id::{AccountId, CollectionId, CollectionKind, MemberName, Principal};
use crate::domain::permission::Permission;
use crate::store::commit::{At, CollectionOp, Expect, Fact, FactState, Op};
use crate::store::keys::TRASH;
use crate::store::query::Reader;
use crate::store::rows::{self, AccountRow, CollectionRow};

use super::access::{Caller, granted};
use super::admin::conflict;
use super::provision::kept_names;
use super::refusal::{Refusal, Stop};
use super::sharing::{Access, Share, busy};
use super::{Answer, Service};

crate::hidden!(BookView, NewBook);

/// A book or a calendar as it is shown.
#[derive(Clone)]
pub struct BookView {
    /// Its identity.
    pub id: CollectionId,
    /// Whose it is.
    pub owner: Principal,
    /// Its name in the owner's home.
    pub name: MemberName,
    /// The saved filter whose contacts it shows, where it is a smart book.
    pub smart: Option<Uuid>,
    /// What a calendar takes; nothing of a book.
    pub components: Components,
    /// It is its owner's alone.
    pub private: bool,
    /// It is the one that the first sign-in made.
    pub default: bool,
    /// What the caller may do with what is in it: nothing with others' calendars, which whoever keeps the
    /// settings can only dispose of.
    pub access: Option<Access>,
    /// Who beside its owner may use it; told to those who may change that.
    pub shares: Option<Vec<Share>>,
    /// When it was made.
    pub created: Timestamp,
    home: CollectionId,
    mine: bool,
    row: CollectionRow,
}

impl BookView {
    /// Which of the two it is.
    pub fn kind(&self) -> CollectionKind {
        self.row.kind()
    }

    /// That it is in its place, and as it is shown.
    fn as_shown(&self) -> Vec<Expect> {
        let place = At::Link(self.home, self.name.clone());
        let shown = FactState::ShownAs(Box::new(self.row.clone()));
        let facts = [(place, FactState::Holds(self.id)), (At::Collection(self.id), shown)];
        let facts = facts.map(|(at, state)| Fact { at: Some(at), state, negate: false });
        vec![Expect(vec![facts.into()])]
    }
}

/// A book or a calendar that is to be made.
#[derive(Clone)]
pub struct NewBook {
    /// Whose.
    pub owner: Principal,
    /// Its name.
    pub name: MemberName,
    /// What a calendar takes, and goes on to take; a book is what takes none.
    pub components: Components,
    /// It is its owner's alone.
    pub private: bool,
    /// Who beside its owner may use it.
    pub shares: Vec<Share>,
}

impl NewBook {
    /// Which of the two it is to be.
    pub fn kind(&self) -> CollectionKind {
        match self.components {
            Components::NONE => CollectionKind::AddressBook,
            _ => CollectionKind::Calendar,
        }
    }
}

/// A book's place in its owner's home.
struct Shelf {
    owner: Principal,
    home: CollectionId,
    name: MemberName,
    book: CollectionId,
}

impl Service {
    /// The books, or the calendars, that the caller may see.
    pub async fn library(&self, caller: &Caller, kind: CollectionKind) -> Answer<Vec<BookView>> {
        let reader = self.store.read().await?;
        let shelves = match caller.permissions.has(Permission::Settings) {
            true => self.everybodys(&reader, kind).await?,
            false => self.within_reach(&reader, caller, kind).await?,
        };
        let ids: Vec<_> = shelves.iter().map(|shelf| shelf.book).collect();
        let rows = reader.found_collections(&ids).await?;
        let mut books = Vec::with_capacity(shelves.len());
        for (shelf, row) in shelves.into_iter().zip(rows) {
            let Some(row) = row.readable() else { continue };
            books.extend(self.book_view(&reader, caller, shelf, row.row).await?);
        }
        Ok(books)
    }

    /// One book, or one calendar, that the caller may see.
    pub async fn library_book(
        &self,
        caller: &Caller,
        kind: CollectionKind,
        owner: &Principal,
        name: &MemberName,
    ) -> Answer<BookView> {
        let reader = self.store.read().await?;
        let account = reader.principal(owner).await?.ok_or(Refusal::NotFound)?;
        let home = account.home_of(kind).ok_or(Refusal::NotFound)?;
        let link = reader.link(home, name).await?.filter(|link| !link.mount && link.book != TRASH);
        let link = link.ok_or(Refusal::NotFound)?;
        let row = reader.collections(&[link.book]).await?.pop().flatten().ok_or(Refusal::NotFound)?;
        let shelf = Shelf { owner: owner.clone(), home, name: name.clone(), book: link.book };
        let view = self.book_view(&reader, caller, shelf, row.row).await?;
        view.ok_or_else(|| Refusal::NotFound.into())
    }

    /// Makes a book or a calendar.
    pub async fn create_library_book(&self, caller: &Caller, new: NewBook) -> Answer<BookView> {
        let mut account = self.may_make(caller, &new).await?;
        if new.kind() == CollectionKind::Calendar {
            account = match self.with_calendars(account).await {
                // The account has moved since it was read.
                Err(Stop::Refused(Refusal::NotFound | Refusal::Unmet)) => return Err(busy()),
                done => done?,
            };
        }
        may_be_called(&account, new.kind(), &new.name)?;
        let id = CollectionId::new(self.fresh()?);
        let create = CollectionOp::Create {
            home: account.home_of(new.kind()).ok_or(Refusal::NotFound)?,
            name: new.name.clone(),
            id,
            owner: AccountId::from_bytes(account.id),
            default: false,
            components: new.components.bits(),
            properties: Vec::new(),
            replace: false,
        };
        self.lay_book(caller, &account, (id, vec![Op::Collection(create)]), &new).await
    }

    /// Whose a book is to be that the caller wants to make.
    pub(super) async fn may_make(&self, caller: &Caller, new: &NewBook) -> Answer<AccountRow> {
        let reader = self.store.read().await?;
        let account = reader.principal(&new.owner).await?;
        let mine = account.as_ref().is_some_and(|account| account.id == *caller.account.as_bytes());
        may_change(caller, new.kind(), mine)?;
        let account = account.ok_or_else(|| wrong("/owner", "there is no user or group of that name"))?;
        opens_private(caller, new.private)?;
        if new.private && (!mine || !new.shares.is_empty()) {
            return Err(not_private(new.kind()));
        }
        for (at, share) in new.shares.iter().enumerate() {
            let with = reader.principal(&share.with).await?;
            let text = "there is no user or group of that name beside the owner";
            with.filter(|with| with.id != account.id).ok_or_else(|| wrong(&format!("/shares/{at}"), text))?;
        }
        Ok(account)
    }

    /// Makes a book by these ops, and then private or shared.
    pub(super) async fn lay_book(
        &self,
        caller: &Caller,
        account: &AccountRow,
        (id, ops): (CollectionId, Vec<Op>),
        new: &NewBook,
    ) -> Answer<BookView> {
        match self.commit(Some(caller), Vec::new(), ops).await {
            Err(Stop::Refused(Refusal::Mapped)) => return Err(taken(new.kind())),
            done => drop(done?),
        }
        if new.private {
            self.set_private(Some(caller), id, true).await?;
        }
        for share in &new.shares {
            self.share(Some(caller), id, &share.with, Some(share.access)).await?;
        }
        self.settle_owners(account).await?;
        self.library_book(caller, new.kind(), &new.owner, &new.name).await
    }

    /// Changes a book's name, whether it is private, and who may use it; `None` where it is no longer as
    /// `book` shows it.
    pub async fn change_library_book(
        &self,
        caller: &Caller,
        book: &BookView,
        name: MemberName,
        private: bool,
        shares: Vec<Share>,
    ) -> Answer<Option<BookView>> {
        changeable(caller, book)?;
        opens_private(caller, private)?;
        if private && (!book.mine || matches!(book.owner, Principal::Group(_)) || !shares.is_empty()) {
            return Err(not_private(book.kind()));
        }
        match self.rewrite_book(caller, book, &name, private, &shares).await {
            Err(Stop::Refused(Refusal::Unmet)) => return Ok(None),
            done => done?,
        }
        self.library_book(caller, book.kind(), &book.owner, &name).await.map(Some)
    }

    /// Does what a change of a book asks for, in several commits, of which the first makes sure that
    /// the book is as it is shown.
    async fn rewrite_book(
        &self,
        caller: &Caller,
        book: &BookView,
        name: &MemberName,
        private: bool,
        shares: &[Share],
    ) -> Answer<()> {
        let mut expect = book.as_shown();
        if *name != book.name {
            let owner = self.store.read().await?.principal(&book.owner).await?.ok_or(Refusal::NotFound)?;
            may_be_called(&owner, book.kind(), name)?;
            let (home, from, to) = (book.home, book.name.clone(), name.clone());
            let rename = CollectionOp::Rename { home, from, to, replace: false };
            match self.commit(Some(caller), std::mem::take(&mut expect), vec![Op::Collection(rename)]).await {
                Err(Stop::Refused(Refusal::Mapped)) => return Err(taken(book.kind())),
                done => drop(done?),
            }
        }
        let before = book.shares.clone().unwrap_or_default();
        for gone in before.iter().filter(|share| !shares.iter().any(|kept| kept.with == share.with)) {
            self.share_if(Some(caller), book.id, &gone.with, None, std::mem::take(&mut expect)).await?;
        }
        if private != book.private {
            // With the places of those whose shares count again.
            self.set_private_if(Some(caller), book.id, private, std::mem::take(&mut expect)).await?;
        }
        for (at, share) in shares.iter().enumerate().filter(|(_, share)| !before.contains(share)) {
            let known = self.store.read().await?.principal(&share.with).await?;
            known.ok_or_else(|| wrong(&format!("/shares/{at}"), "there is no user or group of that name"))?;
            let expect = std::mem::take(&mut expect);
            self.share_if(Some(caller), book.id, &share.with, Some(share.access), expect).await?;
        }
        Ok(())
    }

    /// Removes a book with all that is in it; false where it is no longer as `book` shows it.
    pub async fn remove_library_book(&self, caller: &Caller, book: &BookView) -> Answer<bool> {
        changeable(caller, book)?;
        let contacts = book.kind() == CollectionKind::AddressBook;
        if contacts && book.mine && !caller.permissions.has(Permission::Settings) {
            caller.need_scope(Permission::ContactsDelete)?;
        }
        let ending = self.ending_at(&self.store.read().await?, book.id).await?;
        let remove = CollectionOp::Remove { home: book.home, name: book.name.clone(), book: book.id };
        let ops = vec![Op::Collection(remove)];
        match self.commit_ending(Some(caller), book.as_shown(), ops, &ending).await {
            Err(Stop::Refused(Refusal::Unmet | Refusal::NotFound)) => return Ok(false),
            done => drop(done?),
        }
        self.purge_soon();
        self.settle_ended(Some(caller), ending).await.map(|()| true)
    }

    /// Gives access to a book, other access than before, or none; whether it was another before.
    pub async fn share_library_book(
        &self,
        caller: &Caller,
        book: &BookView,
        with: &Principal,
        access: Option<Access>,
    ) -> Answer<()> {
        changeable(caller, book)?;
        if book.private && access.is_some() {
            let text = format!("the {} is private; nobody else gets access", book.kind().word());
            return Err(conflict(text));
        }
        if self.store.read().await?.principal(with).await?.is_none() {
            return Err(match access {
                Some(_) => wrong("", "there is no user or group of that name"),
                None => Refusal::NotFound.into(),
            });
        }
        self.share(Some(caller), book.id, with, access).await
    }

    /// Puts the places of a group's books right in its members' homes.
    async fn settle_owners(&self, owner: &AccountRow) -> Answer<()> {
        match owner.group {
            true => self.settle_members(owner, None).await,
            false => Ok(()),
        }
    }

    /// Every book of every home of that kind.
    async fn everybodys(&self, reader: &Reader, kind: CollectionKind) -> Answer<Vec<Shelf>> {
        let mut shelves = Vec::new();
        for account in reader.accounts().await? {
            if let Some((owner, home)) = account.principal().zip(account.home_of(kind)) {
                shelves.extend(self.shelves_of(reader, home, &owner).await?);
            }
        }
        Ok(shelves)
    }

    /// The caller's own books, and those that have places in the caller's home.
    async fn within_reach(
        &self,
        reader: &Reader,
        caller: &Caller,
        kind: CollectionKind,
    ) -> Answer<Vec<Shelf>> {
        let Some(home) = caller.home_of(kind) else { return Ok(Vec::new()) };
        let own = Principal::User(caller.name.clone());
        let mut shelves = self.shelves_of(reader, home, &own).await?;
        let links = reader.links(home).await?;
        let mut others: Vec<_> = links.iter().filter(|link| link.mount).map(|link| link.book).collect();
        if kind == CollectionKind::AddressBook {
            // A large staff has no place in homes.
            others.extend(self.searched_staff_book(reader).await?);
        }
        // Each home is read once, however many of its books are shared.
        let mut homes = BTreeMap::new();
        for found in reader.found_collections(&others).await? {
            let Some(row) = found.readable().map(|found| found.row) else { continue };
            let owner = self.account_of(reader, &row.owner).await?.and_then(|owner| owner.principal());
            if let (Some(home), Some(owner)) = (row.home, owner) {
                homes.insert(home, owner);
            }
        }
        for (home, owner) in homes {
            let theirs = self.shelves_of(reader, CollectionId::from_bytes(home), &owner).await?;
            shelves.extend(theirs.into_iter().filter(|shelf| others.contains(&shelf.book)));
        }
        Ok(shelves)
    }

    async fn shelves_of(&self, reader: &Reader, home: CollectionId, owner: &Principal) -> Answer<Vec<Shelf>> {
        let links = reader.links(home).await?.into_iter().filter(|link| !link.mount && link.book != TRASH);
        let shelf = |link: crate::store::query::Link| {
            let name = MemberName::parse(&link.name).ok()?;
            Some(Shelf { owner: owner.clone(), home, name, book: link.book })
        };
        Ok(links.filter_map(shelf).collect())
    }

    /// The book as the caller sees it; `None` where it does not exist for the caller.
    async fn book_view(
        &self,
        reader: &Reader,
        caller: &Caller,
        shelf: Shelf,
        row: CollectionRow,
    ) -> Answer<Option<BookView>> {
        let (mine, read, write) = granted(caller, &row);
        let office = caller.permissions.has(Permission::Settings) && !row.private;
        if !read && !office {
            return Ok(None);
        }
        let staff = is_staff(&shelf.owner);
        let shares = match mine || office {
            true => Some(self.shared_with(reader, &row).await?),
            false => None,
        };
        Ok(Some(BookView {
            id: shelf.book,
            owner: shelf.owner,
            name: shelf.name,
            smart: row.smart.map(|filter| Uuid::from_bytes(filter.0)),
            components: Components::from_bits(row.components),
            private: row.private,
            default: row.default,
            access: match row.kind() {
                _ if write => Some(Access::Write),
                CollectionKind::Calendar => read.then_some(Access::Read),
                CollectionKind::AddressBook if office && !staff && row.smart.is_none() => Some(Access::Write),
                CollectionKind::AddressBook => Some(Access::Read),
            },
            shares,
            created: rows::time(row.created),
            home: shelf.home,
            mine,
            row,
        }))
    }

    async fn shared_with(&self, reader: &Reader, row: &CollectionRow) -> Result<Vec<Share>, Stop> {
        let mut shares = Vec::with_capacity(row.shares.len());
        for share in &row.shares {
            let access = if share.write { Access::Write } else { Access::Read };
            let with = self.named(reader, &share.account.0).await?;
            shares.extend(with.map(|with| Share { with, access }));
        }
        shares.sort_by(|a, b| a.with.cmp(&b.with));
        Ok(shares)
    }
}

/// One's own books are one's own to change, by a token only if it is for that; others' are the
/// settings' keeper's.
fn may_change(caller: &Caller, kind: CollectionKind, mine: bool) -> Result<(), Refusal> {
    let scope = match kind {
        CollectionKind::AddressBook => Permission::ContactsWrite,
        CollectionKind::Calendar => Permission::Followups,
    };
    match mine && !caller.permissions.has(Permission::Settings) {
        true => caller.need_scope(scope),
        false => caller.need(Permission::Settings),
    }
}

/// Refuses a calendar the name of one that the server makes or will make, which takes what phones expect
/// of it (CAL-43). A book that has such a name is as good as the one that the first sign-in would make.
fn may_be_called(owner: &AccountRow, kind: CollectionKind, name: &MemberName) -> Answer<()> {
    let kept = || kept_names(owner, kind).any(|kept| kept == name.as_str());
    match kind == CollectionKind::Calendar && kept() {
        true => Err(conflict("a calendar that the server makes has that name".into())),
        false => Ok(()),
    }
}

/// Refuses to make private what the credential would not open then.
fn opens_private(caller: &Caller, private: bool) -> Answer<()> {
    match private && !caller.private {
        true => Err(wrong("/private", "a token that somebody else made opens no private books")),
        false => Ok(()),
    }
}

/// Refuses who may not change a book, and everybody with the staff's, which the directory keeps.
fn changeable(caller: &Caller, book: &BookView) -> Answer<()> {
    may_change(caller, book.kind(), book.mine)?;
    match is_staff(&book.owner) {
        true => Err(conflict("the staff's book follows the directory; change it there".into())),
        false => Ok(()),
    }
}

/// Whether whose books these are is the server itself, which has the staff's alone.
fn is_staff(owner: &Principal) -> bool {
    matches!(owner, Principal::Group(name) if name.is_own())
}

fn taken(kind: CollectionKind) -> Stop {
    conflict(format!("the owner has a {} of that name already", kind.word()))
}

fn not_private(kind: CollectionKind) -> Stop {
    wrong("/private", &format!("only its owner's and unshared, a {} is private", kind.word()))
}

fn wrong(pointer: &str, text: &str) -> Stop {
    Refusal::Wrong { pointer: pointer.into(), text: text.into() }.into()
}

#[cfg(test)]
mod tests;
