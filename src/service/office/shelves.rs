//! Which books there are, whose and called what, kept until one of them changes; and what a caller may
//! do with each.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::id::{CollectionId, CollectionKind, MemberName, Principal};
use crate::domain::permission::Permission;
use crate::service::access::{Caller, Reach, granted};
use crate::service::refusal::{Refusal, Stop};
use crate::service::{Answer, Service};
use crate::store::keys::TRASH;
use crate::store::roster::Books;
use crate::store::rows::{CollectionRow, Id};

/// A book, or a calendar, and its place.
pub struct Shelf {
    /// Whose.
    pub owner: Principal,
    /// Its name in the owner's home.
    pub name: MemberName,
    /// Its row.
    pub row: CollectionRow,
}

impl Shelf {
    /// How the API addresses it: `OWNER/NAME`.
    pub fn address(&self) -> String {
        format!("{}/{}", self.owner.written(), self.name.as_str())
    }
}

/// Every book, but for the trash, and every calendar.
#[derive(Default)]
pub struct Shelves {
    books: HashMap<CollectionId, Shelf>,
    calendars: HashMap<CollectionId, Shelf>,
    by_name: HashMap<(Principal, MemberName), CollectionId>,
}

/// The shelves as they were last read.
#[derive(Default)]
pub(in crate::service) struct Kept {
    /// Goes up with every commit that may change them.
    changes: AtomicU64,
    kept: RwLock<Option<(u64, Arc<Shelves>)>>,
}

impl Kept {
    /// Says that books or accounts have changed.
    pub(in crate::service) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}

/// What is to be done with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// See it.
    Read,
    /// Change it, or make one.
    Write,
    /// Delete it.
    Delete,
    /// Merge it with another.
    Merge,
}

impl Deed {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Delete, Self::Merge];

    /// The permission that it needs in others' books, in the word of the API.
    pub fn word(self) -> &'static str {
        self.permission().word()
    }

    fn permission(self) -> Permission {
        match self {
            Self::Read => Permission::ContactsRead,
            Self::Write => Permission::ContactsWrite,
            Self::Delete => Permission::ContactsDelete,
            Self::Merge => Permission::ContactsMerge,
        }
    }
}

impl Shelves {
    /// A book and its place.
    pub fn get(&self, book: &CollectionId) -> Option<&Shelf> {
        self.books.get(book)
    }

    /// The book of that name.
    pub fn named(&self, owner: &Principal, name: &MemberName) -> Option<CollectionId> {
        self.by_name.get(&(owner.clone(), name.clone())).copied()
    }

    /// How the API addresses a book: `OWNER/NAME`.
    pub fn address(&self, book: &CollectionId) -> Option<String> {
        self.books.get(book).map(Shelf::address)
    }

    /// The calendars of which the caller may see what is in them.
    pub fn readable_calendars(&self, caller: &Caller) -> Vec<(CollectionId, &Shelf)> {
        if caller.calendars < Reach::Read {
            return Vec::new();
        }
        let seen = self.calendars.iter().filter(|(_, shelf)| granted(caller, &shelf.row).1);
        seen.map(|(calendar, shelf)| (*calendar, shelf)).collect()
    }

    /// The book that the API addresses so.
    pub fn addressed(&self, address: &str) -> Option<CollectionId> {
        let (owner, name) = address.split_once('/')?;
        let owner = match owner.split_once(':') {
            Some(("group", group)) => Principal::Group(crate::domain::id::GroupName::parse(group).ok()?),
            _ if owner == "*" => Principal::Group(crate::domain::id::GroupName::own()),
            _ => Principal::User(crate::domain::id::UserName::parse(owner).ok()?),
        };
        self.named(&owner, &MemberName::parse(name).ok()?)
    }

    /// Whether the caller may do that with the contacts of a book.
    pub fn allow(&self, caller: &Caller, book: &CollectionId, deed: Deed) -> bool {
        self.books.get(book).is_some_and(|shelf| allows(caller, &shelf.row, deed))
    }

    /// Every book.
    pub fn all(&self) -> HashSet<CollectionId> {
        self.books.keys().copied().collect()
    }

    /// The smart books.
    pub fn smart(&self) -> impl Iterator<Item = (&CollectionId, &Shelf, Id)> {
        self.books.iter().filter_map(|(book, shelf)| Some((book, shelf, shelf.row.smart?)))
    }

    /// The books of which the caller may see the contacts.
    pub fn readable(&self, caller: &Caller) -> HashSet<CollectionId> {
        let seen = self.books.iter().filter(|(_, shelf)| allows(caller, &shelf.row, Deed::Read));
        seen.map(|(book, _)| *book).collect()
    }
}

/// What is one's own, or shared, needs a token that is for it; the rest needs the permission, and what is
/// private is its owner's.
fn allows(caller: &Caller, row: &CollectionRow, deed: Deed) -> bool {
    let (_, read, write) = granted(caller, row);
    let within = if deed == Deed::Read { read } else { write };
    let permission = deed.permission();
    if row.smart.is_some() && deed != Deed::Read {
        return false;
    }
    // Who changes a contact is told what became of it, so each of these scopes reads what it names.
    let scoped = match deed {
        Deed::Read => Deed::ALL.iter().any(|deed| caller.scopes.has(deed.permission())),
        deed => caller.scopes.has(deed.permission()),
    };
    (within && scoped)
        || (!row.private && caller.permissions.has(permission) && !is_staff(row))
        || (deed == Deed::Read && is_staff(row) && caller.permissions.has(permission))
}

/// The staff's book follows the directory and is changed there.
fn is_staff(row: &CollectionRow) -> bool {
    row.owner == crate::service::own::OWN
}

impl Service {
    /// Every book.
    pub(in crate::service) async fn shelves(&self) -> Answer<Arc<Shelves>> {
        let changes = self.shelves.changes.load(Ordering::Acquire);
        let kept = || self.shelves.kept.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, shelves)) = kept()
            && at == changes
        {
            return Ok(shelves);
        }
        let reader = self.store.read().await?;
        let mut places = Vec::new();
        for account in reader.accounts().await? {
            let Some(owner) = account.principal() else { continue };
            for home in CollectionKind::ALL.into_iter().filter_map(|kind| account.home_of(kind)) {
                for link in reader.links(home).await? {
                    let own = !link.mount && link.book != TRASH;
                    if let (true, Ok(name)) = (own, MemberName::parse(&link.name)) {
                        places.push((link.book, owner.clone(), name));
                    }
                }
            }
        }
        let ids: Vec<_> = places.iter().map(|(book, ..)| *book).collect();
        let mut shelves = Shelves::default();
        for ((book, owner, name), found) in places.into_iter().zip(reader.found_collections(&ids).await?) {
            let Some(found) = found.readable() else { continue };
            if found.row.calendar {
                shelves.calendars.insert(book, Shelf { owner, name, row: found.row });
            } else {
                shelves.by_name.insert((owner.clone(), name.clone()), book);
                shelves.books.insert(book, Shelf { owner, name, row: found.row });
            }
        }
        let shelves = Arc::new(shelves);
        let known = Some((changes, shelves.clone()));
        *self.shelves.kept.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(shelves)
    }

    /// The book of that address, whoever may use it.
    pub async fn book_address(&self, address: &str) -> Answer<Option<CollectionId>> {
        Ok(self.shelves().await?.addressed(address))
    }

    /// The books whose contacts the caller may see.
    pub(in crate::service) async fn seen_books(&self, caller: &Caller) -> Answer<Books> {
        Ok(Books::These(self.shelves().await?.readable(caller)))
    }

    /// The book of that address, in which the caller may do that.
    pub(super) async fn shelf_for(&self, caller: &Caller, address: &str, deed: Deed) -> Answer<CollectionId> {
        let shelves = self.shelves().await?;
        let wrong = || Refusal::Wrong { pointer: "/book".into(), text: "there is no such book".into() };
        let book = shelves.addressed(address).ok_or_else(wrong)?;
        match shelves.allow(caller, &book, deed) {
            true => Ok(book),
            false if shelves.allow(caller, &book, Deed::Read) => Err(missing(deed)),
            false => Err(wrong().into()),
        }
    }

    /// The caller's default book, or the first of the own ones.
    pub(super) async fn default_shelf(&self, caller: &Caller) -> Answer<CollectionId> {
        let shelves = self.shelves().await?;
        let own = shelves
            .books
            .iter()
            .filter(|(_, shelf)| shelf.row.owner == *caller.account.as_bytes() && shelf.row.smart.is_none());
        let first = own.min_by_key(|(_, shelf)| (!shelf.row.default, shelf.row.created));
        let none = Refusal::Wrong { pointer: "/book".into(), text: "say into which book".into() };
        let book = first.map(|(book, _)| *book).ok_or(none)?;
        match shelves.allow(caller, &book, Deed::Write) {
            true => Ok(book),
            false => Err(missing(Deed::Write)),
        }
    }
}

/// The answer to who may see a contact, and not do that with it.
pub(super) fn missing(deed: Deed) -> Stop {
    Refusal::NeedPermission(deed.permission()).into()
}
