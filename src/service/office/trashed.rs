//! Contacts in the trash, and their way back.

use crate::domain::id::{CollectionId, MemberName, Uid};
use crate::domain::permission::Permission;
use crate::service::access::Caller;
use crate::service::refusal::{Refusal, Stop};
use crate::service::{Answer, Service};
use crate::store::commit::{CardOp, Op};
use crate::store::query::With;
use crate::store::rows::Id;

use super::change::fresh_name;
use super::shelves::{Deed, Shelves, missing};
use super::view::{ContactRef, ContactView};

impl Service {
    /// A contact in the trash that came from a book in which the caller may delete.
    pub async fn trashed_contact(&self, caller: &Caller, named: ContactRef) -> Answer<ContactView> {
        let reader = self.store.read().await?;
        let id = self.named_contact(&reader, named).await?.ok_or(Refusal::NotFound)?;
        let contact = reader.contacts(&[id]).await?.pop().flatten();
        let contact = contact.filter(|contact| contact.is_trashed() && contact.record.merged_into.is_none());
        let contact = contact.ok_or(Refusal::NotFound)?;
        let trashed = contact.card.trashed.as_ref().ok_or(Refusal::NotFound)?;
        let book = CollectionId::from_bytes(trashed.book);
        if !may_restore(&*self.shelves().await?, caller, book, trashed.owner) {
            return Err(Refusal::NotFound.into());
        }
        self.views(&reader, vec![contact]).await?.pop().ok_or_else(|| Refusal::NotFound.into())
    }

    /// Brings a contact back from the trash, into the book that it came from or another one.
    pub async fn restore_contact(
        &self,
        caller: &Caller,
        shown: &ContactView,
        book: Option<&str>,
    ) -> Answer<ContactView> {
        let shelves = self.shelves().await?;
        let book = match book {
            Some(address) => self.shelf_for(caller, address, Deed::Write).await?,
            None if shelves.get(&shown.book_id).is_none() => {
                return Err(Refusal::Conflict("the book it came from is gone: say into which".into()).into());
            }
            None if !shelves.allow(caller, &shown.book_id, Deed::Write) => return Err(missing(Deed::Write)),
            None => shown.book_id,
        };
        if Uid::new(&shown.uid).is_some() {
            self.free_in(book, shown).await?;
        }
        let name = self.free_name(book, shown).await?;
        let op = Op::Card(CardOp::Restore { contact: shown.id, to: (book, name) });
        match self.commit(Some(caller), Vec::new(), vec![op]).await {
            Err(Stop::Refused(Refusal::Mapped | Refusal::UidTaken { .. })) => {
                // Or it is what took it: somebody else was quicker.
                self.trashed_contact(caller, ContactRef::Id(shown.id)).await?;
                Err(Refusal::Conflict("another contact has taken its place".into()).into())
            }
            Err(stop) => Err(stop),
            Ok(_) => self.shown_contact(caller, shown.id).await,
        }
    }

    /// The name that it had, or a new one where that is taken.
    async fn free_name(&self, book: CollectionId, shown: &ContactView) -> Answer<MemberName> {
        let had = shown.stored.card.trashed.as_ref().map(|trashed| MemberName::parse(&trashed.name));
        let Some(Ok(had)) = had else { return fresh_name(shown.id) };
        let reader = self.store.read().await?;
        let there = reader.cards(book, std::slice::from_ref(&had), With::default()).await?;
        match there.iter().any(crate::store::damage::Found::is_there) {
            true => fresh_name(shown.id),
            false => Ok(had),
        }
    }
}

/// Whether the caller may delete in the book that a contact of the trash came from, which was that owner's.
/// Of a book that is gone nobody knows whether it was private: what it held is its owner's.
pub(super) fn may_restore(shelves: &Shelves, caller: &Caller, book: CollectionId, owner: Id) -> bool {
    if shelves.get(&book).is_some() {
        return shelves.allow(caller, &book, Deed::Delete);
    }
    let own = caller.private && owner.0 == *caller.account.as_bytes();
    (own || caller.groups.contains(&owner)) && caller.scopes.has(Permission::ContactsDelete)
}
