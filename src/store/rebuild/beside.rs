//! What an archive holds of a contact beside its card: properties, earlier states, the record.

use crate::domain::id::{CollectionId, ContactId};

use crate::store::StoreError;
use crate::store::archive::record::Row;
use crate::store::engine::Write;
use crate::store::keyslots::Slot;
use crate::store::restore::put;
use crate::store::rows::{HistoryRow, Id, NumberRow, PropertiesRow, RecordHistoryRow, SameUidRow};
use crate::store::seal::Sealer;
use crate::store::{codec, keys};
use codec::Kept;

use super::{Miss, Rebuild};

impl Rebuild<'_> {
    /// What a contact has beside its card; what is damaged is counted, and costs no more than itself.
    pub(super) fn beside(
        &mut self,
        row: &Row,
        contact: ContactId,
        slot: Slot,
    ) -> Result<Vec<Write>, StoreError> {
        let numbered = |key: fn(ContactId, u64) -> Vec<u8>| {
            keys::number(&row.key).is_some_and(|number| row.key == key(contact, number))
        };
        let value = if row.key == keys::properties(contact.as_bytes()) {
            self.opened::<PropertiesRow>(row, slot).map(|(_, value)| value)
        } else if numbered(keys::history) {
            self.opened::<HistoryRow>(row, slot).map(|(_, value)| value)
        } else if numbered(keys::record_history) {
            self.opened::<RecordHistoryRow>(row, slot).map(|(_, value)| value)
        } else {
            Err(Miss::Damaged)
        };
        match value {
            Ok(value) => Ok(vec![put(row.key.clone(), value)]),
            Err(miss) => self.miss(None, miss).map(|()| Vec::new()),
        }
    }

    /// A contact's record, its number and what finds it by its UID.
    pub(super) fn record(&mut self, row: &Row, card: &Kept, slot: Slot) -> Result<Vec<Write>, Miss> {
        let sealer = self.store.sealer.clone();
        let contact = ContactId::from_bytes(card.row.contact);
        let mut value = row.value.to_vec();
        Sealer::readdress(&mut value, codec::RECORD_AT, slot)?;
        let kept = sealer.decode_record(&row.key, &value)?;
        let mut writes = vec![put(row.key.clone(), value)];
        let own = (kept.place.series, kept.place.number);
        for (series, number) in kept.row.numbers.iter().copied().chain([own]) {
            let key = keys::number_of(series, number);
            let value = sealer.encode(&key, &NumberRow { contact });
            writes.push(put(key, value));
            if self.is_given(series, number) {
                writes.push(put(keys::number_counter(series), number.to_be_bytes().to_vec()));
            }
        }
        let key = keys::same_uid(&kept.place.uid, contact);
        let book = kept.row.book;
        let owner = self.owners.get(&CollectionId::from_bytes(book)).copied().unwrap_or_default();
        let mut found = SameUidRow { book, owner: Id(owner), at: kept.row.updated, by: None, trashed: false };
        if let Some(trashed) = &card.row.trashed {
            found = SameUidRow { owner: trashed.owner, at: trashed.at, by: trashed.by, ..found };
            found.trashed = !trashed.merged;
        }
        let value = sealer.encode(&key, &found);
        writes.push(put(key, value));
        Ok(writes)
    }
}
