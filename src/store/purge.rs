//! Clears away what deleted collections left, in small commits, so that deleting a book of any size
//! is answered at once. Nothing finds these rows any more; a kill between two steps loses nothing.
//! Every contact's key goes with its rows. No value is opened, so damage does not stand in the way.

use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::domain::id::{CollectionId, ContactId};

use super::codec::{self, ObjectPlace, RecordPlace};
use super::engine::{Batch, Extent, Guard, KeyRange, Outcome, Write};
use super::keys::{self, Table};
use super::keyslots::Slot;
use super::owner::Owner;
use super::rows::{self, NamesRow, PurgeRow};
use super::{Store, StoreError};

/// How many rows a step reads.
const STEP: usize = 256;

/// What a step clears.
#[derive(Default)]
struct Doomed {
    rows: Vec<Vec<u8>>,
    keys: Vec<(Slot, Owner)>,
    /// Each with its key slot, and whether it is a smart one.
    books: Vec<(CollectionId, Slot, bool)>,
    contacts: Vec<ContactId>,
}

impl Doomed {
    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Store {
    /// Clears one step of a condemned collection; false when nothing is left of it.
    pub async fn purge_step(&self, id: CollectionId, at: Timestamp) -> Result<bool, StoreError> {
        let reader = self.read().await?;
        let Some(row) = reader.purge_row(id).await? else {
            return Ok(false);
        };
        drop(reader);
        let mut doomed = Doomed::default();
        for (key, value) in self.some(keys::under(Table::Member, id.as_bytes())).await? {
            if row.home {
                self.doom_book(id, &value, &mut doomed).await?;
                // What its user wrote on another's book.
                doomed.rows.extend(keys::item(&key).map(|member| keys::properties(&member)));
            } else {
                match row.smart {
                    // The contacts live elsewhere.
                    true => doomed.rows.extend(codec::card_contact(&value).map(|of| keys::body(id, of))),
                    false => self.doom_card(id, &value, &mut doomed).await?,
                }
            }
            doomed.rows.push(key);
        }
        if doomed.is_empty() {
            for table in [Table::Uid, Table::Body, Table::Change, Table::Tombstone] {
                let rows = self.some(keys::under(table, id.as_bytes())).await?;
                doomed.rows.extend(rows.into_iter().map(|(key, _)| key));
            }
        }
        let more = !doomed.is_empty();
        if !more {
            self.doom_collection(id, &row, &mut doomed).await?;
        }
        // What moved is looked at again.
        let contacts = std::mem::take(&mut doomed.contacts);
        let cleared = self.clear(doomed, at).await?;
        if cleared && self.tell_roster(&contacts).await.is_err() {
            self.roster.let_go();
        }
        self.touched.note(&[], &contacts);
        Ok(more || !cleared)
    }

    /// The contacts that will be erased with a condemned book.
    pub async fn condemned_contacts(&self, id: CollectionId) -> Result<Vec<ContactId>, StoreError> {
        let reader = self.read().await?;
        if reader.purge_row(id).await?.is_none_or(|row| row.home || row.smart) {
            return Ok(Vec::new());
        }
        let range = keys::under(Table::Member, id.as_bytes());
        let members = reader
            .fold(range, Extent::Many, Vec::new(), |found: &mut Vec<_>, _, value| {
                found.extend(ObjectPlace::read(value).map(|place| place.contact));
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        let mut contacts = Vec::new();
        for some in members.chunks(STEP) {
            let records = reader.records(some).await?;
            let lives = some.iter().zip(records).filter(|(_, record)| {
                record.as_ref().is_some_and(|record| record.row.book == *id.as_bytes())
            });
            contacts.extend(lives.map(|(contact, _)| *contact));
        }
        Ok(contacts)
    }

    /// A card's body, properties and history, and its key.
    async fn doom_card(
        &self,
        book: CollectionId,
        value: &[u8],
        doomed: &mut Doomed,
    ) -> Result<(), StoreError> {
        // Nothing but the table of slots is believed: the row may be damaged.
        let Ok(place) = ObjectPlace::read(value) else { return Ok(()) };
        let owner = Owner::contact(*place.contact.as_bytes(), place.number);
        if self.lives_elsewhere(book, place.contact).await? {
            doomed.rows.push(keys::body(book, place.contact));
        } else if self.holds_key_of(place.slot, owner).await? {
            doomed.keys.push((place.slot, owner));
            doomed.rows.push(keys::body(book, place.contact));
            doomed.rows.extend(self.rows_beside(place.contact).await?);
            doomed.contacts.push(place.contact);
        }
        Ok(())
    }

    /// Whether a contact's record says that its card is in another book, which is there: then what lies
    /// here shows it in a smart book whose row was lost.
    async fn lives_elsewhere(&self, book: CollectionId, contact: ContactId) -> Result<bool, StoreError> {
        let reader = self.read().await?;
        let Some(record) = reader.records(&[contact]).await?.pop().flatten() else { return Ok(false) };
        let home = CollectionId::from_bytes(record.row.book);
        if home == book {
            return Ok(false);
        }
        let card = reader.get(vec![keys::member(home, &record.row.member)]).await?.pop().flatten();
        Ok(card.as_deref().and_then(codec::card_contact) == Some(contact))
    }

    /// The keys of all that a contact has beside its card.
    async fn rows_beside(&self, contact: ContactId) -> Result<Vec<Vec<u8>>, StoreError> {
        let reader = self.read().await?;
        let mut found = vec![keys::properties(contact.as_bytes())];
        for table in [Table::History, Table::RecordHistory] {
            let range = keys::under(table, contact.as_bytes());
            found = reader
                .fold(range, Extent::Few, found, |found, key, _| {
                    found.push(key.to_vec());
                    Ok(ControlFlow::Continue(()))
                })
                .await?;
        }
        let record = keys::record(contact);
        if let Some(value) = reader.get(vec![record.clone()]).await?.pop().flatten()
            && let Ok(place) = RecordPlace::read(&value)
        {
            found.push(keys::number_of(place.series, place.number));
            found.push(keys::same_uid(&place.uid, contact));
            // Where it cannot be read, `check` tells of what is left.
            if let Ok(kept) = self.sealer.decode_record(&record, &value) {
                let numbers = kept.row.numbers.into_iter();
                found.extend(numbers.map(|(series, number)| keys::number_of(series, number)));
            }
        }
        found.push(record);
        Ok(found)
    }

    /// A book in the home, unless it is another's: its place is sealed with the home's own key.
    async fn doom_book(
        &self,
        home: CollectionId,
        value: &[u8],
        doomed: &mut Doomed,
    ) -> Result<(), StoreError> {
        let Ok(slot) = codec::link_slot(value) else { return Ok(()) };
        let owner = match self.read().await?.owner_of(slot).await {
            Err(StoreError::Damaged(_)) => None,
            owner => owner?,
        };
        if let Some(owner) = owner
            && owner == Owner::collection(owner.id)
            && owner.id != *home.as_bytes()
        {
            let book = CollectionId::from_bytes(owner.id);
            let row = self.read().await?.collections(&[book]).await;
            let row = row.ok().and_then(|mut rows| rows.pop().flatten());
            let smart = row.is_some_and(|book| book.row.smart.is_some());
            doomed.books.push((book, slot, smart));
        }
        Ok(())
    }

    /// What is left of a collection without members: its keys and its last rows.
    async fn doom_collection(
        &self,
        id: CollectionId,
        row: &PurgeRow,
        doomed: &mut Doomed,
    ) -> Result<(), StoreError> {
        let names = keys::under(Table::Names, id.as_bytes());
        let sealer = self.sealer.clone();
        let periods: Vec<(u32, u32)> = self
            .read()
            .await?
            .fold(names, Extent::Many, Vec::new(), move |found: &mut Vec<_>, key, value| {
                let slot = sealer.decode::<NamesRow>(key, value)?.slot;
                found.extend(keys::period(key).map(|period| (period, slot)));
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        let mut owned = vec![(Slot(row.slot), Owner::collection(*id.as_bytes()))];
        for (period, slot) in periods {
            owned.push((Slot(slot), Owner::names(*id.as_bytes(), period)));
            doomed.rows.push(keys::names(id, period));
        }
        for (slot, owner) in owned {
            if self.holds_key_of(slot, owner).await? {
                doomed.keys.push((slot, owner));
            }
        }
        doomed.rows.extend([keys::purge(id), keys::revision(id), keys::properties(id.as_bytes())]);
        Ok(())
    }

    async fn holds_key_of(&self, slot: Slot, owner: Owner) -> Result<bool, StoreError> {
        match self.read().await?.owner_of(slot).await {
            // Whose it is, `check` tells; the rest is cleared all the same.
            Err(StoreError::Damaged(_)) => Ok(false),
            held => Ok(held? == Some(owner)),
        }
    }

    /// False when a key slot has another owner by now: then nothing was cleared.
    async fn clear(&self, doomed: Doomed, at: Timestamp) -> Result<bool, StoreError> {
        let at = rows::micros(at);
        // A book of a deleted home: nothing finds it from here on.
        let books = doomed.books.iter().map(|(book, ..)| keys::collection(*book));
        let slots = doomed.keys.iter().map(|(slot, _)| keys::slot(*slot));
        let held = |(slot, owner): &(Slot, Owner)| {
            (keys::slot(*slot), Guard::Is(self.sealer.encode_slot(*slot, *owner).into()))
        };
        let guards = doomed.keys.iter().map(held).collect();
        let gone: Vec<_> = books.chain(slots).collect();
        let mut writes: Vec<_> =
            doomed.rows.into_iter().chain(gone).map(|key| Write::Delete { key }).collect();
        let mut put = |key: Vec<u8>, value| writes.push(Write::Put { key, value, stamp: None });
        for (book, slot, smart) in doomed.books {
            let key = keys::purge(book);
            let value = self.sealer.encode(&key, &PurgeRow { home: false, slot: slot.0, smart });
            put(key, value);
        }
        let erases = !doomed.keys.is_empty();
        for (slot, owner) in &doomed.keys {
            for key in [keys::doomed(*slot), keys::erased(*owner)] {
                let value = self.sealer.encode_erased(&key, at);
                put(key, value);
            }
        }
        let outcome = self.engine.commit(Batch { guards, writes, ..Batch::default() }).await?;
        let cleared = matches!(outcome, Outcome::Applied(_));
        if cleared && erases {
            self.eraser.wake();
        }
        Ok(cleared)
    }

    /// The first rows of a range.
    async fn some(&self, range: KeyRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let reader = self.read().await?;
        reader
            .fold(range, Extent::Many, Vec::new(), |rows: &mut Vec<_>, key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                Ok(if rows.len() < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })
            .await
    }
}
