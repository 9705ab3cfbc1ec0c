//! Repair: what the check found wrong and other rows can answer for is put right, while the server
//! runs, in batches that hold only as long as every row they follow from is still as it was seen. One
//! stage at a time, and after each everything is looked at again. Nothing that can be opened goes,
//! and what nobody can answer for stays as it is.

use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::contact::Kind;
use crate::domain::id::{CollectionId, ContactId, MemberName, Revision};

use super::check::CheckReport;
use super::check::finding::{Mend, RowWrite, Stage};
use super::codec::{self, Kept};
use super::engine::{Batch, Extent, Guard, Outcome, Stamp, Write};
use super::erase::blocking;
use super::keys::{self, Hash, Table};
use super::keyslots::Slot;
use super::owner::Owner;
use super::query::Reader;
use super::rows::{self, AccountRow, CardRow, ChangeRow, CollectionRow, Id, LinkRow, NumberRow, TrashedRow};
use super::seal::Sealer;
use super::{Store, StoreError, number};

mod body;

/// How often everything is looked at: each stage may need the next one, and others may be quicker.
const ROUNDS: usize = 24;

/// How many rows a batch of several repairs has, about.
const TOGETHER: usize = 512;

/// A repair in the making.
struct Repair<'a> {
    reader: &'a Reader,
    sealer: &'a Sealer,
    at: i64,
    batch: Batch,
    /// A free slot that was found to be in use.
    taken: Option<Slot>,
}

impl Store {
    /// Repairs what can be, then checks: the report tells what was wrong and is, and how much was
    /// repaired.
    pub async fn repair(&self, at: Timestamp) -> Result<CheckReport, StoreError> {
        let mut repaired = 0;
        for _ in 0..ROUNDS {
            let examined = self.examine_twice(at).await?;
            if examined.keys.damaged > 0 || examined.keys.header_damaged {
                let slots = self.sealer.slots().clone();
                repaired += blocking(move || slots.heal()).await? as u64;
            }
            let mut done = 0;
            for stage in Stage::ALL {
                let due = examined.findings.iter().map(|finding| &finding.mend);
                let due = due.filter(|mend| mend.stage() == Some(stage));
                done = self.mend_all(&examined.reader, due, at).await?;
                if done > 0 {
                    break;
                }
            }
            repaired += done;
            if done == 0 {
                break;
            }
            // Keys may have been condemned.
            self.erase_again();
        }
        if repaired > 0 {
            self.indexes().touch(self.all_books().await?);
            self.roster.let_go();
            self.touched.all();
        }
        let mut report = self.check().await?;
        report.repaired = repaired;
        Ok(report)
    }

    /// Applies repairs, many at once where nobody is in the way; answers how many were applied.
    async fn mend_all<'m>(
        &self,
        reader: &Reader,
        mends: impl Iterator<Item = &'m Mend>,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut done = 0;
        let mut waiting: Vec<(Batch, Option<Slot>)> = Vec::new();
        let mut rows = 0;
        for mend in mends {
            let (at, batch) = (rows::micros(at), Batch::default());
            let mut repair = Repair { reader, sealer: &self.sealer, at, batch, taken: None };
            let resolved = repair.resolve(mend).await;
            let Repair { batch, taken, .. } = repair;
            if !matches!(resolved, Ok(Some(()))) {
                self.sealer.slots().release(taken.as_slice());
                match resolved {
                    // What cannot be read cannot be mended by it.
                    Ok(_) | Err(StoreError::Damaged(_) | StoreError::Erased) => continue,
                    Err(error) => return Err(error),
                }
            }
            rows += batch.writes.len();
            waiting.push((batch, taken));
            if rows >= TOGETHER {
                done += self.apply(std::mem::take(&mut waiting)).await?;
                rows = 0;
            }
        }
        Ok(done + self.apply(waiting).await?)
    }

    async fn apply(&self, batches: Vec<(Batch, Option<Slot>)>) -> Result<u64, StoreError> {
        if batches.is_empty() {
            return Ok(0);
        }
        let all = join(batches.iter().map(|(batch, _)| batch));
        if let Outcome::Applied(_) = self.engine.commit(all).await? {
            return Ok(batches.len() as u64);
        }
        let mut done = 0;
        for (batch, taken) in batches {
            match self.engine.commit(batch).await? {
                Outcome::Applied(_) => done += 1,
                Outcome::Moved => self.sealer.slots().release(taken.as_slice()),
            }
        }
        Ok(done)
    }
}

/// Several batches as one.
fn join<'b>(batches: impl Iterator<Item = &'b Batch>) -> Batch {
    let mut all = Batch::default();
    for batch in batches {
        let first = all.counters.len();
        all.guards.extend(batch.guards.iter().cloned());
        all.counters.extend(batch.counters.iter().cloned());
        all.writes.extend(batch.writes.iter().cloned().map(|write| match write {
            Write::Put { key, value, stamp: Some(stamp) } => {
                let stamp = Some(Stamp { counter: stamp.counter + first, ..stamp });
                Write::Put { key, value, stamp }
            }
            other => other,
        }));
    }
    all
}

impl Repair<'_> {
    /// Makes the batch; `None` when this cannot be mended.
    async fn resolve(&mut self, mend: &Mend) -> Result<Option<()>, StoreError> {
        match mend {
            Mend::Nothing => Ok(None),
            Mend::Rows { writes, also, .. } => self.rows(writes, also).await,
            Mend::Slot { slot, owner, witness } => self.slot(*slot, *owner, witness.as_deref()).await,
            Mend::Card { book, contact } => self.card(*book, *contact).await,
            Mend::Record { book, member, number } => self.record(*book, *member, *number).await,
            Mend::Number { contact, series, number } => self.led(*contact, (*series, *number)).await,
            Mend::Link { home, book } => self.link(*home, *book).await,
            Mend::Log { collection, member, removed } => self.log(*collection, member, *removed).await,
        }
    }

    /// A row as it is seen, which becomes a guard.
    async fn see(&mut self, key: Vec<u8>) -> Result<Option<Bytes>, StoreError> {
        let value = self.reader.get(vec![key.clone()]).await?.pop().flatten();
        self.batch.guards.push((key, value.clone().map_or(Guard::Absent, Guard::Is)));
        Ok(value)
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, stamp: Option<Stamp>) {
        self.batch.writes.push(Write::Put { key, value, stamp });
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.batch.writes.push(Write::Delete { key });
    }

    async fn rows(&mut self, writes: &[RowWrite], also: &[Vec<u8>]) -> Result<Option<()>, StoreError> {
        for key in also {
            self.see(key.clone()).await?;
        }
        for (key, value) in writes {
            self.see(key.clone()).await?;
            match value {
                Some(value) => self.put(key.clone(), value.clone(), None),
                None => self.delete(key.clone()),
            }
        }
        Ok(Some(()))
    }

    /// Enters a slot as its owner's.
    async fn slot(
        &mut self,
        slot: Slot,
        owner: Option<Owner>,
        witness: Option<&[u8]>,
    ) -> Result<Option<()>, StoreError> {
        let slots = self.sealer.slots();
        if slots.key(slot).is_none() || slots.is_reserved(slot) {
            if !slots.claim(slot) {
                return Ok(None);
            }
            self.taken = Some(slot);
        }
        let owner = match witness {
            Some(key) => {
                let Some(value) = self.see(key.to_vec()).await? else { return Ok(None) };
                Some(owner_of(self.sealer, key, &value)?)
            }
            None => owner,
        };
        let Some(owner) = owner else { return Ok(None) };
        // The ledger of erasures is believed before a row that was left behind.
        if self.see(keys::erased(owner)).await?.is_some() {
            return Ok(None);
        }
        let key = keys::slot(slot);
        self.see(key.clone()).await?;
        self.put(key, self.sealer.encode_slot(slot, owner), None);
        if self.see(keys::doomed(slot)).await?.is_some() {
            self.delete(keys::doomed(slot));
        }
        Ok(Some(()))
    }

    /// Gives a contact a record, and a number unless one leads to it.
    async fn record(
        &mut self,
        book: CollectionId,
        member: Hash,
        number: Option<(u8, u64)>,
    ) -> Result<Option<()>, StoreError> {
        let key = keys::member(book, &member);
        let Some(value) = self.see(key.clone()).await? else { return Ok(None) };
        let kept = self.sealer.decode_card(&key, &value)?;
        let contact = ContactId::from_bytes(kept.row.contact);
        let key = keys::collection(book);
        let Some(collection) = self.see(key.clone()).await? else { return Ok(None) };
        let owner = self.sealer.decode::<CollectionRow>(&key, &collection)?.owner;
        if self.see(keys::record(contact)).await?.is_some() {
            return Ok(None);
        }
        let key = keys::body(book, contact);
        let Some(body) = self.see(key.clone()).await? else { return Ok(None) };
        let kind = Kind::of(&self.sealer.decode_body(&key, body)?.octets);
        let (mut record, [same, found]) =
            number::made_anew(self.sealer, (book, member), owner, &kept, kind, self.at)?;
        // Earlier records must stay earlier ones.
        record.row.changes = self.changes_of(contact).await?;
        self.put(same, found, None);
        let Some((series, number)) = number else {
            number::give(self.sealer, &mut self.batch, contact, &record)?;
            return Ok(Some(()));
        };
        self.see(keys::number_of(series, number)).await?;
        (record.place.series, record.place.number) = (series, number);
        let key = keys::record(contact);
        let value = self.sealer.encode_record(&key, &record)?;
        self.put(key, value, None);
        Ok(Some(()))
    }

    /// How often a contact's record changed, as its earlier records tell.
    async fn changes_of(&self, contact: ContactId) -> Result<u64, StoreError> {
        let range = keys::under(Table::RecordHistory, contact.as_bytes());
        let newest = |newest: &mut u64, key: &[u8], _: &[u8]| {
            *newest = keys::number(key).map_or(*newest, |before| before.saturating_add(1));
            Ok(ControlFlow::Continue(()))
        };
        self.reader.fold(range, Extent::Few, 0, newest).await
    }

    /// Has a contact's record say that a number leads to it.
    async fn led(&mut self, contact: ContactId, number: (u8, u64)) -> Result<Option<()>, StoreError> {
        let key = keys::record(contact);
        let Some(value) = self.see(key.clone()).await? else { return Ok(None) };
        let mut kept = self.sealer.decode_record(&key, &value)?;
        let led = keys::number_of(number.0, number.1);
        let Some(value) = self.see(led.clone()).await? else { return Ok(None) };
        if self.sealer.decode::<NumberRow>(&led, &value)?.contact != contact {
            return Ok(None);
        }
        kept.row.numbers.push(number);
        let value = self.sealer.encode_record(&key, &kept)?;
        self.put(key, value, None);
        Ok(Some(()))
    }

    /// Makes a card's row from its body, and logs it.
    async fn card(&mut self, book: CollectionId, contact: ContactId) -> Result<Option<()>, StoreError> {
        let key = keys::body(book, contact);
        let Some(value) = self.see(key.clone()).await? else { return Ok(None) };
        let sealed = value.get(codec::BODY_AT..).unwrap_or_default();
        let slot = Sealer::slot_of(sealed)?;
        let body = self.sealer.decode_body(&key, value)?;
        let Ok(name) = MemberName::parse(&body.name) else { return Ok(None) };
        let member = self.sealer.member(book.as_bytes(), &name);
        if member != body.member {
            return Ok(None);
        }
        let key = keys::member(book, &member);
        let former = self.see(key.clone()).await?;
        let old = former.as_ref().and_then(|value| self.sealer.decode_card(&key, value).ok());
        if old.as_ref().is_some_and(|old| old.row.contact != *contact.as_bytes()) {
            return Ok(None);
        }
        let Some(calendar) = self.is_calendar(book).await? else { return Ok(None) };
        let Some((format, uid)) = self.told(&body.octets, &name, calendar) else { return Ok(None) };
        let described = self.see(keys::properties(contact.as_bytes())).await?.is_some();
        let uid = uid.as_str().to_owned();
        let merged = match self.see(keys::record(contact)).await? {
            Some(value) => {
                let record = self.sealer.decode_record(&keys::record(contact), &value);
                record.is_ok_and(|record| record.row.merged_into.is_some())
            }
            None => false,
        };
        let lost = |uid| TrashedRow {
            book: [0; 16],
            owner: Id([0; 16]),
            name: name.as_str().to_owned(),
            uid,
            at: self.at,
            by: None,
            client: None,
            merged,
        };
        let (uid, trashed) = match (book == keys::TRASH, &old) {
            (false, _) => (uid, None),
            (true, Some(old)) => (old.row.uid.clone(), old.row.trashed.clone()),
            (true, None) => (contact.to_string(), Some(lost(uid))),
        };
        let row = CardRow {
            contact: *contact.as_bytes(),
            name: name.as_str().to_owned(),
            uid,
            version: body.version,
            etag: self.sealer.etag(body.version, &body.octets).0,
            size: body.octets.len() as u64,
            format: format.number(),
            created: old.as_ref().map_or(self.at, |old| old.row.created),
            modified: self.at,
            invented_uid: old.as_ref().is_some_and(|old| old.row.invented_uid),
            described,
            by: old.as_ref().and_then(|old| old.row.by),
            client: old.as_ref().and_then(|old| old.row.client.clone()),
            trashed,
        };
        let number = self.number(slot, contact, old.as_ref()).await?;
        let value = self.sealer.encode_card(slot, number, &key, &row)?;
        let Some(stamp) = self.logged(book, &member, false, former).await? else { return Ok(None) };
        self.put(key, value, Some(stamp));
        Ok(Some(()))
    }

    /// Which of a contact's keys is in a slot.
    async fn number(
        &mut self,
        slot: Slot,
        contact: ContactId,
        old: Option<&Kept>,
    ) -> Result<u32, StoreError> {
        let key = keys::slot(slot);
        let value = self.see(key.clone()).await?;
        let owner = value.and_then(|value| self.sealer.decode_slot(&key, &value).ok());
        let owner = owner.filter(|owner| *owner == Owner::contact(*contact.as_bytes(), owner.number));
        Ok(owner.map(|owner| owner.number).or(old.map(|old| old.number)).unwrap_or(0))
    }

    /// Gives a book a place in its home, under a name that says why.
    async fn link(&mut self, home: CollectionId, book: CollectionId) -> Result<Option<()>, StoreError> {
        let key = keys::collection(book);
        let Some(value) = self.see(key.clone()).await? else { return Ok(None) };
        let book_row = self.sealer.decode::<CollectionRow>(&key, &value)?;
        let (slot, smart) = (Slot(book_row.slot), book_row.smart.is_some());
        let Ok(name) = MemberName::parse(&format!("recovered-{book}")) else { return Ok(None) };
        let member = self.sealer.member(home.as_bytes(), &name);
        let key = keys::member(home, &member);
        if self.see(key.clone()).await?.is_some() {
            return Ok(None);
        }
        let row =
            LinkRow { name: name.as_str().to_owned(), collection: *book.as_bytes(), mount: false, smart };
        let value = self.sealer.encode_link(slot, &key, &row)?;
        let Some(stamp) = self.logged(home, &member, false, None).await? else { return Ok(None) };
        self.put(key, value, Some(stamp));
        Ok(Some(()))
    }

    /// Logs a member, or its removal, at a new revision.
    async fn log(
        &mut self,
        collection: CollectionId,
        member: &Hash,
        removed: bool,
    ) -> Result<Option<()>, StoreError> {
        let key = if removed { keys::tombstone } else { keys::member }(collection, member);
        let Some(value) = self.see(key.clone()).await? else { return Ok(None) };
        if value.len() < codec::STAMP {
            return Ok(None);
        }
        let Some(stamp) = self.logged(collection, member, removed, Some(value.clone())).await? else {
            return Ok(None);
        };
        self.put(key, value.to_vec(), Some(stamp));
        Ok(Some(()))
    }

    /// Writes the log's row for a member whose stamped row was `former`, and takes its earlier ones
    /// away; `None` when the collection's revision cannot go up.
    async fn logged(
        &mut self,
        collection: CollectionId,
        member: &Hash,
        removed: bool,
        former: Option<Bytes>,
    ) -> Result<Option<Stamp>, StoreError> {
        let counter = keys::revision(collection);
        let revision = self.reader.get(vec![counter.clone()]).await?.pop().flatten();
        if revision.is_some_and(|value| value.len() != codec::STAMP) {
            return Ok(None);
        }
        if let Some(value) = former {
            self.unlog(collection, member, &value).await?;
        }
        let tombstone = keys::tombstone(collection, member);
        if !removed && let Some(value) = self.see(tombstone.clone()).await? {
            self.unlog(collection, member, &value).await?;
            self.delete(tombstone);
        }
        self.batch.counters.push(counter);
        let key = keys::change_stem(collection);
        let value = self.sealer.encode(&key, &ChangeRow { member: *member, removed });
        self.put(key, value, Some(Stamp { counter: 0, in_key: true, in_value: None }));
        Ok(Some(Stamp { counter: 0, in_key: false, in_value: Some(0) }))
    }

    /// Takes away the log's row that a stamped row names, if it is this member's.
    async fn unlog(
        &mut self,
        collection: CollectionId,
        member: &Hash,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let Ok((revision, _)) = codec::stamp(value) else { return Ok(()) };
        let key = keys::change(collection, Revision(revision));
        if let Some(value) = self.see(key.clone()).await?
            && self.sealer.decode::<ChangeRow>(&key, &value).is_ok_and(|row| row.member == *member)
        {
            self.delete(key);
        }
        Ok(())
    }
}

/// Whose key opens a row, once it does.
fn owner_of(sealer: &Sealer, key: &[u8], value: &[u8]) -> Result<Owner, StoreError> {
    if key.first() == Some(&(Table::Account as u8)) {
        let row: AccountRow = sealer.decode_sealed(key, value)?;
        return Ok(Owner::account(row.id));
    }
    Ok(sealer.decode_card(key, value)?.owner())
}
