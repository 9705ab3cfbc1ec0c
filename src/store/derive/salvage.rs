//! What a commit may still do to a card whose row cannot be opened: remove it, or put another one in
//! its place, which is how a user mends it. Destroys a key only where the table of slots, the card's
//! body and the member's name agree on whose it is: a row that was written over another one names a
//! contact that must not be harmed.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::id::{CollectionId, ContactId, Etag, Revision};
use crate::store::StoreError;
use crate::store::codec::{self, ObjectPlace};
use crate::store::engine::{Extent, KeyRange};
use crate::store::keys::{self, Hash, Table};
use crate::store::keyslots::Slot;
use crate::store::owner::{Kind, Owner};
use crate::store::rows::{ChangeRow, UidRow};

use super::{Derivation, Halt, Step};

/// There is damage, and nothing that tells for sure what it struck.
const UNSURE: Halt = Halt::Failed(StoreError::Damaged("a card cannot be read, nor told what belongs to it"));

/// What is known for sure of a card whose row cannot be opened.
pub(super) struct Remains {
    /// The revision at which it was last logged.
    pub(super) revision: u64,
    contact: ContactId,
    slot: Slot,
    owner: Owner,
}

impl Derivation<'_> {
    /// Finds out what belongs to a card whose row cannot be opened.
    pub(super) async fn remains(&mut self, book: CollectionId, member: &Hash) -> Step<Remains> {
        let value = self.value(keys::member(book, member)).await?.ok_or(UNSURE)?;
        let (revision, _) = codec::stamp(&value)?;
        let line = keys::change(book, Revision(revision));
        let logged = self.value(line.clone()).await?.ok_or(UNSURE)?;
        if self.sealer.decode::<ChangeRow>(&line, &logged)? != (ChangeRow { member: *member, removed: false })
        {
            return Err(UNSURE);
        }
        let named = ObjectPlace::read(&value).ok().map(|place| place.slot);
        let mut contacts: Vec<_> = codec::card_contact(&value).into_iter().collect();
        if let Some(owner) = self.contact_in(named).await? {
            contacts.push(ContactId::from_bytes(owner.id));
        }
        for contact in contacts {
            let Some(body) = self.value(keys::body(book, contact)).await? else { continue };
            if !codec::body_front(&body).is_ok_and(|(of, _)| of == *member) {
                continue;
            }
            for slot in [named, codec::body_slot(&body).ok()] {
                let owner = self.contact_in(slot).await?.filter(|owner| owner.id == *contact.as_bytes());
                if let (Some(slot), Some(owner)) = (slot, owner) {
                    return Ok(Remains { revision, contact, slot, owner });
                }
            }
        }
        Err(UNSURE)
    }

    /// The contact whose key a slot holds.
    async fn contact_in(&mut self, slot: Option<Slot>) -> Step<Option<Owner>> {
        let Some(slot) = slot else { return Ok(None) };
        let key = keys::slot(slot);
        let value = self.value(key.clone()).await?;
        let owner = value.and_then(|value| self.sealer.decode_slot(&key, &value).ok());
        Ok(owner.filter(|owner| owner.kind == Kind::Contact))
    }

    /// The entity tag of a card whose row cannot be opened, made anew from its body.
    pub(super) async fn etag_of_remains(&mut self, book: CollectionId, member: &Hash) -> Step<Etag> {
        let remains = self.remains(book, member).await?;
        let key = keys::body(book, remains.contact);
        let value = self.value(key.clone()).await?.ok_or(UNSURE)?;
        let body = self.sealer.decode_body(&key, value)?;
        Ok(self.sealer.etag(body.version, &body.octets))
    }

    /// Erases what is left of a card, but for its log and the UID row that is to stay.
    pub(super) async fn forget_remains(
        &mut self,
        book: CollectionId,
        member: &Hash,
        remains: &Remains,
        stays: Option<&[u8]>,
    ) -> Step<()> {
        for (key, value) in self.range(keys::under(Table::Uid, book.as_bytes())).await? {
            let row = self.sealer.decode::<UidRow>(&key, &value);
            if row.is_ok_and(|row| row.member == *member) && stays != Some(key.as_slice()) {
                self.delete(key);
            }
        }
        self.forget_record(remains.contact, None).await?;
        self.delete(keys::body(book, remains.contact));
        self.delete(keys::properties(remains.contact.as_bytes()));
        self.destroy_key(remains.slot, remains.owner);
        Ok(())
    }

    /// The rows of a range; the card's row, which is a guard, covers those that are its.
    pub(super) async fn range(&self, range: KeyRange) -> Step<Vec<(Vec<u8>, Vec<u8>)>> {
        self.scan(range, Extent::Many).await
    }

    /// The rows of a range, which nothing guards.
    pub(super) async fn scan(&self, range: KeyRange, extent: Extent) -> Step<Vec<(Vec<u8>, Vec<u8>)>> {
        crate::store::calls::bump();
        let found = Arc::new(Mutex::new(Vec::new()));
        let rows = found.clone();
        let visit = move |key: &[u8], value: &[u8]| {
            let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        self.snapshot.scan(range, extent, Box::new(visit)).await?;
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *found))
    }
}
