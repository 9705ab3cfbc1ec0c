//! Contacts by their ids, numbers and UIDs: their records, where their cards are, and what the trash
//! holds.

use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::domain::id::{AccountId, CollectionId, ContactId, MemberName, Uid};
use crate::store::StoreError;
use crate::store::codec::{Kept, KeptRecord};
use crate::store::derive::MOVE;
use crate::store::engine::Extent;
use crate::store::keys::{self, TRASH, Table};
use crate::store::rows::{
    self, Definition, HistoryRow, Id, JobRow, NumberRow, RecordHistoryRow, RecordRow, SameUidRow,
};
use crate::store::seal::Sealer;

use super::Reader;

crate::hidden!(Contact);

/// A contact as the snapshot shows it.
#[derive(Clone)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// Its number.
    pub number: u64,
    /// The number's series: 0 for people and groups, 1 for companies.
    pub series: u8,
    /// Its record.
    pub record: RecordRow,
    /// Its card's row.
    pub card: rows::CardRow,
    /// The card's octets.
    pub body: bytes::Bytes,
}

/// What a history says of one version.
pub struct Earlier {
    /// Bodies with their versions, oldest first; each tells when and by whom it was replaced.
    pub bodies: Vec<(u64, HistoryRow)>,
    /// Records with their numbers, oldest first, in the same way.
    pub records: Vec<(u64, RecordHistoryRow)>,
}

impl Reader {
    /// Whose a number is.
    pub async fn numbered(&self, series: u8, number: u64) -> Result<Option<ContactId>, StoreError> {
        let key = keys::number_of(series, number);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        Ok(value
            .map(|value| self.sealer().decode::<NumberRow>(&key, &value))
            .transpose()?
            .map(|row| row.contact))
    }

    /// Records, in the order asked; one that cannot be read is left out.
    pub async fn records(&self, contacts: &[ContactId]) -> Result<Vec<Option<KeptRecord>>, StoreError> {
        let wanted: Vec<_> = contacts.iter().map(|contact| keys::record(*contact)).collect();
        let values = self.get(wanted.clone()).await?;
        let read = |(key, value): (&Vec<u8>, Option<bytes::Bytes>)| {
            self.sealer().decode_record(key, value?.as_ref()).ok()
        };
        Ok(wanted.iter().zip(values).map(read).collect())
    }

    /// Contacts with their cards, in the order asked; what is not there, or cannot be read, is left out.
    pub async fn contacts(&self, contacts: &[ContactId]) -> Result<Vec<Option<Contact>>, StoreError> {
        let records = self.records(contacts).await?;
        let mut wanted = Vec::with_capacity(2 * contacts.len());
        for (contact, record) in contacts.iter().zip(&records) {
            let row = record.as_ref().map(|kept| (CollectionId::from_bytes(kept.row.book), kept.row.member));
            let (book, member) = row.unwrap_or((CollectionId::from_bytes([0; 16]), [0; 16]));
            wanted.push(keys::member(book, &member));
            wanted.push(keys::body(book, *contact));
        }
        let values = self.get(wanted.clone()).await?;
        let mut found = Vec::with_capacity(contacts.len());
        let pairs = wanted.chunks_exact(2).zip(values.chunks_exact(2));
        for ((id, record), (keys, values)) in contacts.iter().zip(records).zip(pairs) {
            found.push(record.and_then(|record| self.contact(*id, record, keys, values)));
        }
        Ok(found)
    }

    /// A contact from its record, and its card's row and octets.
    fn contact(
        &self,
        id: ContactId,
        record: KeptRecord,
        keys: &[Vec<u8>],
        values: &[Option<bytes::Bytes>],
    ) -> Option<Contact> {
        let ([member, body], [Some(row), Some(octets)]) = (keys, values) else { return None };
        let kept: Kept = self.sealer().decode_card(member, row).ok()?;
        let body = self.sealer().decode_body(body, octets.clone()).ok()?;
        (kept.row.contact == *id.as_bytes()).then_some(Contact {
            id,
            number: record.place.number,
            series: record.place.series,
            record: record.row,
            card: kept.row,
            body: body.octets,
        })
    }

    /// A contact's earlier bodies and records that can be read.
    pub async fn earlier(&self, contact: ContactId) -> Result<Earlier, StoreError> {
        let sealer = self.sealer().clone();
        let read = move |found: &mut Vec<_>, key: &[u8], value: &[u8]| {
            let row = sealer.decode_sealed::<HistoryRow>(key, value).ok();
            found.extend(keys::number(key).zip(row));
            Ok(ControlFlow::Continue(()))
        };
        let range = keys::under(Table::History, contact.as_bytes());
        let bodies = self.fold(range, Extent::Many, Vec::new(), read).await?;
        let sealer = self.sealer().clone();
        let read = move |found: &mut Vec<_>, key: &[u8], value: &[u8]| {
            let row = sealer.decode_sealed::<RecordHistoryRow>(key, value).ok();
            found.extend(keys::number(key).zip(row));
            Ok(ControlFlow::Continue(()))
        };
        let range = keys::under(Table::RecordHistory, contact.as_bytes());
        let records = self.fold(range, Extent::Many, Vec::new(), read).await?;
        Ok(Earlier { bodies, records })
    }

    /// Where a card with the same UID as this one was written a moment ago by that account, in another
    /// book.
    pub async fn copy_of(
        &self,
        book: CollectionId,
        name: &MemberName,
        by: AccountId,
        at: Timestamp,
    ) -> Result<Option<(CollectionId, MemberName)>, StoreError> {
        let Some(super::Found::Whole(card)) =
            self.cards(book, std::slice::from_ref(name), super::With::default()).await?.pop()
        else {
            return Ok(None);
        };
        let Some(uid) = Uid::new(&card.row.uid) else { return Ok(None) };
        let mut found = self.with_uid(&uid).await?;
        let since = rows::micros(at).saturating_sub(MOVE);
        found.retain(|(contact, row)| {
            let fresh = row.at >= since && row.by == Some(Id(*by.as_bytes()));
            fresh
                && row.book != *TRASH.as_bytes()
                && row.book != *book.as_bytes()
                && contact.as_bytes() != &card.row.contact
        });
        let Some((contact, row)) = found.into_iter().max_by_key(|(_, row)| row.at) else { return Ok(None) };
        let Some(contact) = self.contacts(&[contact]).await?.pop().flatten() else { return Ok(None) };
        // Where both are as old, the one that is deleted is no older half of a move.
        if contact.card.created < card.row.created {
            return Ok(None);
        }
        let name = MemberName::parse(&contact.card.name);
        Ok(name.ok().map(|name| (CollectionId::from_bytes(row.book), name)))
    }

    /// The contacts that have a UID, whichever book they are in.
    pub async fn with_uid(&self, uid: &Uid) -> Result<Vec<(ContactId, SameUidRow)>, StoreError> {
        let sealer = self.sealer().clone();
        let range = keys::under(Table::SameUid, &sealer.uid_anywhere(uid));
        let read = move |found: &mut Vec<_>, key: &[u8], value: &[u8]| {
            let row = sealer.decode::<SameUidRow>(key, value).ok();
            found.extend(keys::item(key).map(ContactId::from_bytes).zip(row));
            Ok(ControlFlow::Continue(()))
        };
        self.fold(range, Extent::Few, Vec::new(), read).await
    }

    /// Some of what has lain in the trash since before that time, or was merged into what is no more.
    pub async fn overdue(&self, before: i64, most: usize) -> Result<Vec<ContactId>, StoreError> {
        let sealer = self.sealer().clone();
        let state: (Vec<ContactId>, Vec<ContactId>) = Default::default();
        let read = move |(due, merged): &mut (Vec<ContactId>, Vec<ContactId>), key: &[u8], value: &[u8]| {
            if let Ok(kept) = sealer.decode_card(key, value)
                && let Some(trashed) = &kept.row.trashed
            {
                let contact = ContactId::from_bytes(kept.row.contact);
                match trashed.merged {
                    true => merged.push(contact),
                    false if trashed.at < before => due.push(contact),
                    false => {}
                }
            }
            Ok(if due.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        let range = keys::under(Table::Member, TRASH.as_bytes());
        let (mut due, merged) = self.fold(range, Extent::Many, state, read).await?;
        for some in merged.chunks(256) {
            let records = self.records(some).await?;
            let into: Vec<_> =
                records.iter().map(|kept| kept.as_ref().and_then(|kept| kept.row.merged_into)).collect();
            let targets: Vec<_> = into.iter().flatten().copied().collect();
            let there = self.get(targets.iter().map(|target| keys::record(*target)).collect()).await?;
            let gone: std::collections::HashSet<_> =
                targets.iter().zip(there).filter(|(_, value)| value.is_none()).map(|(id, _)| *id).collect();
            let orphans =
                some.iter().zip(into).filter(|(_, into)| into.is_none_or(|into| gone.contains(&into)));
            due.extend(orphans.map(|(contact, _)| *contact).take(most.saturating_sub(due.len())));
        }
        Ok(due)
    }

    /// All that is laid down of a kind, with its ids.
    pub async fn definitions(&self, kind: u8) -> Result<Vec<(Id, Definition)>, StoreError> {
        let sealer = self.sealer().clone();
        let read = move |found: &mut Vec<_>, key: &[u8], value: &[u8]| {
            let id = key.get(2..).and_then(|id| id.try_into().ok()).map(Id);
            found.extend(id.zip(sealer.decode_sealed::<Definition>(key, value).ok()));
            Ok(ControlFlow::Continue(()))
        };
        self.fold(keys::definitions(kind), Extent::Many, Vec::new(), read).await
    }

    /// Something laid down, by its kind and id.
    pub async fn definition(&self, kind: u8, id: Id) -> Result<Option<Definition>, StoreError> {
        let key = keys::definition(kind, &id.0);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        value.map(|value| self.sealer().decode_sealed(&key, &value)).transpose()
    }

    /// Long work.
    pub async fn job(&self, id: Id) -> Result<Option<JobRow>, StoreError> {
        let key = keys::job(&id.0);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        value.map(|value| self.sealer().decode_sealed(&key, &value)).transpose()
    }

    /// All long work that can be read.
    pub async fn jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        self.whole_rows(keys::whole(Table::Job), Extent::Many, Sealer::decode_sealed, Sealer::slot_of).await
    }
}
