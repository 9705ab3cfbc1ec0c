//! Finding contacts: one by id or number, lists by filter and full text, callers by phone and e-mail.

use crate::domain::contact::{Path, Scalar, Type};
use crate::domain::id::{AccountId, CollectionId, ContactId, Principal, UserName};
use crate::domain::scim::{Filter, Query};
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::query::{Contact, Reader};
use crate::store::roster::{Asked, Books, By, Order, Origins, Step, Wanted};

use super::shelves::{Deed, missing};
use super::trashed::may_restore;
use super::view::{ContactRef, ContactView};

/// What became of whom a number or an id names.
pub enum Found {
    /// Here it is.
    There(Box<ContactView>),
    /// It was merged into this one.
    Merged(ContactId),
}

/// Which contacts are listed.
pub struct Listed {
    /// Those that a filter matches.
    pub filter: Option<Filter>,
    /// Those that have these words.
    pub query: Option<Query>,
    /// In which order; none is that of the names.
    pub order: Vec<Order>,
    /// From where on.
    pub step: Option<Step>,
    /// How many.
    pub limit: usize,
    /// Those in the trash.
    pub trash: bool,
}

/// A page of contacts.
pub struct ListedContacts {
    /// The contacts.
    pub contacts: Vec<ContactView>,
    /// How many match in all.
    pub total: usize,
    /// Where the next page begins.
    pub next: Option<Step>,
}

impl Service {
    /// A contact that the caller may see.
    pub async fn contact(&self, caller: &Caller, named: ContactRef) -> Answer<Found> {
        self.contact_for(caller, named, Deed::Read).await
    }

    /// A contact with which the caller may do that.
    pub(super) async fn contact_for(&self, caller: &Caller, named: ContactRef, deed: Deed) -> Answer<Found> {
        let reader = self.store.read().await?;
        let id = self.named_contact(&reader, named).await?.ok_or(Refusal::NotFound)?;
        let contact = reader.contacts(&[id]).await?.pop().flatten().ok_or(Refusal::NotFound)?;
        let shelves = self.shelves().await?;
        if let Some(target) = contact.record.merged_into {
            let target = self.last_merged(&reader, target).await?.ok_or(Refusal::NotFound)?;
            let there = reader.contacts(&[target]).await?.pop().flatten().ok_or(Refusal::NotFound)?;
            let book = CollectionId::from_bytes(there.record.book);
            return match shelves.allow(caller, &book, Deed::Read) {
                true => Ok(Found::Merged(target)),
                false => Err(Refusal::NotFound.into()),
            };
        }
        let book = CollectionId::from_bytes(contact.record.book);
        if !shelves.allow(caller, &book, Deed::Read) {
            return Err(Refusal::NotFound.into());
        }
        if !shelves.allow(caller, &book, deed) {
            return Err(missing(deed));
        }
        let view = self.views(&reader, vec![contact]).await?.pop().ok_or(Refusal::NotFound)?;
        Ok(Found::There(Box::new(view)))
    }

    /// The contact that is meant, wherever it lies.
    pub(super) async fn named_contact(
        &self,
        reader: &Reader,
        named: ContactRef,
    ) -> Answer<Option<ContactId>> {
        Ok(match named {
            ContactRef::Id(id) => Some(id),
            ContactRef::Number(series, number) => reader.numbered(series, number).await?,
        })
    }

    /// The contact that is meant by one that may have been merged away, into others one after the other;
    /// `None` where it is no more.
    pub(super) async fn last_merged(&self, reader: &Reader, mut id: ContactId) -> Answer<Option<ContactId>> {
        // A chain is as long as there were merges; none leads back.
        for _ in 0..MERGES {
            match reader.records(&[id]).await?.pop().flatten().map(|kept| kept.row.merged_into) {
                Some(Some(next)) => id = next,
                Some(None) => return Ok(Some(id)),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// A page of the contacts that the caller may see, or, of the trash, that the caller may delete.
    pub async fn list_contacts(&self, caller: &Caller, listed: Listed) -> Answer<ListedContacts> {
        let Listed { mut filter, query, order, step, limit, trash } = listed;
        if let Some(filter) = &mut filter {
            self.resolve_names(caller, filter).await?;
        }
        let books = match trash {
            false => self.seen_books(caller).await?,
            true => return self.list_trash(caller, (filter, query), (step, limit)).await,
        };
        let asked = Asked { books, wanted: Wanted { filter, query }, order, step, limit };
        let page = self.store.contacts_page(asked).await?;
        let contacts = self.seen(caller, &page.contacts).await?;
        Ok(ListedContacts { contacts, total: page.total, next: page.next })
    }

    /// Those of these contacts that are there and that the caller may see, in this order.
    pub(super) async fn seen(&self, caller: &Caller, ids: &[ContactId]) -> Answer<Vec<ContactView>> {
        let reader = self.store.read().await?;
        let shelves = self.shelves().await?;
        let found: Vec<Contact> = reader.contacts(ids).await?.into_iter().flatten().collect();
        let seen = found.into_iter().filter(|contact| {
            let book = CollectionId::from_bytes(contact.record.book);
            contact.record.merged_into.is_none() && shelves.allow(caller, &book, Deed::Read)
        });
        self.views(&reader, seen.collect()).await
    }

    /// Puts ids in the place of the names that a filter compares with.
    pub(in crate::service) async fn resolve_names(&self, caller: &Caller, filter: &mut Filter) -> Answer<()> {
        let reader = self.store.read().await?;
        let shelves = self.shelves().await?;
        let mut known = Vec::new();
        for (kind, name) in filter.names() {
            let scalar = match kind {
                Type::Account => self.user_id(&reader, &name).await?.map(Scalar::Account),
                Type::Contact => match ContactRef::parse(&name) {
                    Some(named) => match self.named_contact(&reader, named).await? {
                        Some(id) => self.last_merged(&reader, id).await?.map(Scalar::Contact),
                        None => None,
                    },
                    None => None,
                },
                Type::Book => {
                    let book = shelves.addressed(&name);
                    book.filter(|book| shelves.allow(caller, book, Deed::Read)).map(Scalar::Book)
                }
                _ => None,
            };
            known.push(((kind, name), scalar));
        }
        filter.resolve(|kind, name| {
            let found = known.iter().find(|((of, known), _)| *of == kind && known == name);
            found.and_then(|(_, scalar)| scalar.clone())
        });
        Ok(())
    }

    /// A user's id.
    pub(super) async fn user_id(&self, reader: &Reader, name: &str) -> Answer<Option<AccountId>> {
        let Ok(name) = UserName::parse(name) else { return Ok(None) };
        let account = reader.principal(&Principal::User(name)).await?;
        Ok(account.map(|account| AccountId::from_bytes(account.id)))
    }

    /// Who is calling: the contacts with that number, in all books that the caller may see.
    pub async fn contacts_by_phone(&self, caller: &Caller, number: &str) -> Answer<Vec<ContactView>> {
        let found = self.store.with_phone(self.seen_books(caller).await?, number).await?;
        self.seen(caller, found.get(..LOOKED_UP).unwrap_or(&found)).await
    }

    /// The contacts with that e-mail address.
    pub async fn contacts_by_email(&self, caller: &Caller, email: &str) -> Answer<Vec<ContactView>> {
        let found = self.store.with_email(self.seen_books(caller).await?, email).await?;
        self.seen(caller, found.get(..LOOKED_UP).unwrap_or(&found)).await
    }

    /// How many contacts the caller may see, by some of their fields.
    pub async fn contact_counts(&self, caller: &Caller, paths: &[&str]) -> Answer<Vec<Vec<(String, u64)>>> {
        let mut counts = Vec::with_capacity(paths.len());
        for path in paths {
            let path = Path::parse(path).ok_or(Refusal::NotFound)?;
            counts.push(self.store.count_contacts(self.seen_books(caller).await?, path).await?);
        }
        Ok(counts)
    }

    /// Pairs of contacts that may be the same, with both, the likeliest first.
    pub async fn duplicate_pairs(
        &self,
        caller: &Caller,
        most: usize,
    ) -> Answer<Vec<crate::domain::duplicates::Pair>> {
        let books = self.seen_books(caller).await?;
        Ok(self.store.duplicates(books, most).await?)
    }

    /// How many contacts the index of contacts holds, and in about how many octets.
    pub fn index_size(&self) -> (usize, usize) {
        self.store.roster().size()
    }

    /// Contacts in the trash that came from books in which the caller may delete.
    async fn list_trash(
        &self,
        caller: &Caller,
        (filter, query): (Option<Filter>, Option<Query>),
        (step, limit): (Option<Step>, usize),
    ) -> Answer<ListedContacts> {
        let shelves = self.shelves().await?;
        let origins = {
            let (shelves, caller) = (shelves.clone(), caller.clone());
            Origins::new(move |book, owner| may_restore(&shelves, &caller, book, owner))
        };
        let asked = Asked {
            books: Books::TrashOf(origins),
            wanted: Wanted { filter, query },
            order: vec![Order { by: By::Trashed, descending: true }],
            step,
            limit,
        };
        let page = self.store.contacts_page(asked).await?;
        let reader = self.store.read().await?;
        let mut found: Vec<Contact> = reader.contacts(&page.contacts).await?.into_iter().flatten().collect();
        // Who brought one back meanwhile sees it elsewhere.
        found.retain(|contact| {
            contact.card.trashed.as_ref().is_some_and(|trashed| {
                may_restore(&shelves, caller, CollectionId::from_bytes(trashed.book), trashed.owner)
            })
        });
        let contacts = self.views(&reader, found).await?;
        Ok(ListedContacts { contacts, total: page.total, next: page.next })
    }
}

/// How many contacts are told of one number or address.
const LOOKED_UP: usize = 50;

/// The longest chain of merges.
const MERGES: usize = 1_000;
