//! Numbers of contacts: given once, in the commit that makes the contact, by the engine's counters, so
//! that writers do not wait for each other; never given again. And records for contacts of before there
//! were any.

use std::collections::HashMap;
use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::domain::contact::{Kind, Record};
use crate::domain::id::{CollectionId, ContactId, Uid};

use super::codec::{Kept, KeptRecord, RecordPlace};
use super::engine::{Batch, Extent, Guard, Outcome, Stamp, Write};
use super::keys::{self, Hash, Table};
use super::query::Reader;
use super::rows::{self, Id, NumberRow, RecordRow, SameUidRow};
use super::seal::Sealer;
use super::{Store, StoreError};

/// The series of numbers of people and groups, and that of companies.
const SERIES: [(Kind, u8); 3] = [(Kind::Individual, 0), (Kind::Group, 0), (Kind::Org, 1)];

/// The mark of a store in which every contact has a record.
pub(super) const COMPLETE: &str = "records";

/// How many contacts get their records in one commit.
const STEP: usize = 256;

/// The series in which a contact of that kind is numbered.
pub(super) fn series(kind: Kind) -> u8 {
    SERIES.iter().find(|(known, _)| *known == kind).map_or(0, |(_, series)| *series)
}

/// Adds a new contact's record and number to a batch.
pub(super) fn give(
    sealer: &Sealer,
    batch: &mut Batch,
    contact: ContactId,
    kept: &KeptRecord,
) -> Result<(), StoreError> {
    let counter = batch.counters.len();
    let stem = keys::number_counter(kept.place.series);
    batch.counters.push(stem.clone());
    let value = sealer.encode(&stem, &NumberRow { contact });
    let stamp = Some(Stamp { counter, in_key: true, in_value: None });
    batch.writes.push(Write::Put { key: stem, value, stamp });
    let key = keys::record(contact);
    let value = sealer.encode_record(&key, kept)?;
    let stamp = Some(Stamp { counter, in_key: false, in_value: Some(0) });
    batch.writes.push(Write::Put { key, value, stamp });
    Ok(())
}

/// What a contact without a record gets, and the row that finds it by its UID.
pub(super) fn made_anew(
    sealer: &Sealer,
    (book, member): (CollectionId, Hash),
    owner: [u8; 16],
    card: &Kept,
    kind: Kind,
    at: i64,
) -> Result<(KeptRecord, [Vec<u8>; 2]), StoreError> {
    let trashed = card.row.trashed.as_ref();
    let uid = Uid::new(trashed.map_or(&card.row.uid, |trashed| &trashed.uid));
    let uid = sealer.uid_anywhere(&uid.ok_or(StoreError::Damaged("a card has an empty UID"))?);
    let row = RecordRow {
        book: *book.as_bytes(),
        member,
        created: card.row.created,
        updated: card.row.modified,
        record: Record::default(),
        ..RecordRow::default()
    };
    let place = RecordPlace { number: 0, series: series(kind), uid, slot: card.slot };
    let key = keys::same_uid(&uid, ContactId::from_bytes(card.row.contact));
    let trashed = trashed.is_some_and(|trashed| !trashed.merged);
    let same = SameUidRow { book: *book.as_bytes(), owner: Id(owner), at, by: None, trashed };
    let value = sealer.encode(&key, &same);
    Ok((KeptRecord { place, row }, [key, value]))
}

impl Store {
    /// Gives every contact that has none a record and a number: those of before there were any, and
    /// those of an archive from then.
    pub(super) async fn complete_records(&self, at: Timestamp) -> Result<(), StoreError> {
        if self.read().await?.mark(COMPLETE).await?.is_some() {
            return Ok(());
        }
        let earlier = self.read().await?.earlier_records().await?;
        for book in self.all_books().await? {
            let mut range = keys::under(Table::Member, book.as_bytes());
            loop {
                let found = self.read().await?;
                let scan = |found: &mut Vec<Vec<u8>>, key: &[u8], _: &[u8]| {
                    found.push(key.to_vec());
                    Ok(if found.len() < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                };
                let members = found.fold(range.clone(), Extent::Many, Vec::new(), scan).await?;
                drop(found);
                let Some(last) = members.last() else { break };
                range.start = [&last[..], &[0]].concat();
                while !self.complete(book, &members, &earlier, at).await? {}
            }
        }
        self.mark(COMPLETE, "all").await
    }

    /// Gives those members their records; false where something moved meanwhile.
    async fn complete(
        &self,
        book: CollectionId,
        members: &[Vec<u8>],
        earlier: &HashMap<ContactId, u64>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let reader = self.read().await?;
        let Some(collection) = reader.collections(&[book]).await?.pop().flatten() else { return Ok(true) };
        if collection.row.smart.is_some() || collection.row.calendar {
            // Its cards are contacts of other books, or no contacts.
            return Ok(true);
        }
        let rows = reader.get(members.to_vec()).await?;
        let cards: Vec<_> = members
            .iter()
            .zip(rows)
            .filter_map(|(key, value)| {
                let value = value?;
                // One that cannot be read is `check`'s to tell.
                let kept = self.sealer.decode_card(key, &value).ok()?;
                Some((key.clone(), value, kept))
            })
            .collect();
        let contacts = cards.iter().map(|(_, _, kept)| ContactId::from_bytes(kept.row.contact));
        let records = reader.get(contacts.clone().map(keys::record).collect()).await?;
        let bodies = reader.get(contacts.map(|contact| keys::body(book, contact)).collect()).await?;
        let mut batch = Batch::default();
        for (((key, value, kept), record), body) in cards.into_iter().zip(records).zip(bodies) {
            let contact = ContactId::from_bytes(kept.row.contact);
            let (None, Some(body), Some(member)) = (record, body, keys::item(&key)) else { continue };
            let Ok(body) = self.sealer.decode_body(&keys::body(book, contact), body) else { continue };
            let kind = Kind::of(&body.octets);
            let (mut record, [same, found]) =
                made_anew(&self.sealer, (book, member), collection.row.owner, &kept, kind, rows::micros(at))?;
            // Earlier records must stay earlier ones.
            record.row.changes = earlier.get(&contact).map_or(0, |newest| newest.saturating_add(1));
            batch.guards.push((key, Guard::Is(value)));
            batch.guards.push((keys::record(contact), Guard::Absent));
            batch.writes.push(Write::Put { key: same, value: found, stamp: None });
            give(&self.sealer, &mut batch, contact, &record)?;
        }
        if batch.writes.is_empty() {
            return Ok(true);
        }
        Ok(matches!(self.engine.commit(batch).await?, Outcome::Applied(_)))
    }
}

impl Reader {
    /// The newest earlier record of every contact that has one.
    async fn earlier_records(&self) -> Result<HashMap<ContactId, u64>, StoreError> {
        let newest = |found: &mut HashMap<ContactId, u64>, key: &[u8], _: &[u8]| {
            found.extend(keys::owner(key).map(ContactId::from_bytes).zip(keys::number(key)));
            Ok(ControlFlow::Continue(()))
        };
        self.fold(keys::whole(Table::RecordHistory), Extent::Many, HashMap::new(), newest).await
    }
}
