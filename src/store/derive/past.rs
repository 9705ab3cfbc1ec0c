//! What is kept of a card's earlier bodies, and what goes when the card does.

use bytes::Bytes;

use crate::domain::ical;
use crate::domain::id::{CollectionId, ContactId, MemberName};
use crate::domain::vcard::without_media;
use crate::store::StoreError;
use crate::store::codec::Kept;
use crate::store::commit::{NewCard, Unmet};
use crate::store::keys;
use crate::store::keyslots::Slot;
use crate::store::rows::{self, CardRow, HistoryRow, PropertiesRow};
use crate::store::search::What;

use super::{Derivation, Halt, Step};

/// How many earlier bodies of a card are kept.
pub(in crate::store) const HISTORY: u64 = 1_000;

/// How many of them are kept with their pictures.
const WHOLE: u64 = 20;

impl Derivation<'_> {
    /// Keeps the body that is being replaced, and lets the oldest kept one go. One that cannot be
    /// opened is replaced all the same, and leaves an empty place: that mends the card.
    pub(super) async fn keep_history(&mut self, book: CollectionId, old: &Kept) -> Step<()> {
        let body = match self.body(book, &old.row).await {
            Err(Halt::Failed(StoreError::Damaged(_) | StoreError::Erased)) => Bytes::new(),
            body => body?,
        };
        self.keep_body(old, &body).await
    }

    /// Keeps an earlier body. Of those that are no longer young the pictures go, and the oldest go.
    pub(super) async fn keep_body(&mut self, old: &Kept, body: &[u8]) -> Step<()> {
        let contact = ContactId::from_bytes(old.row.contact);
        let row = HistoryRow {
            at: rows::micros(self.commit.at),
            actor: self.commit.actor.map(|actor| *actor.as_bytes()),
            body: body.to_vec(),
            client: self.commit.client.clone(),
        };
        let key = keys::history(contact, old.row.version);
        let value = self.sealer.encode_sealed(old.slot, &key, &row)?;
        self.put(key, value);
        if let Some(aged) = old.row.version.checked_sub(WHOLE) {
            self.thin(old, aged).await?;
        }
        if let Some(oldest) = old.row.version.checked_sub(HISTORY) {
            self.delete(keys::history(contact, oldest));
        }
        Ok(())
    }

    /// Takes pictures, or what is attached, out of an earlier body.
    async fn thin(&mut self, of: &Kept, version: u64) -> Step<()> {
        let key = keys::history(ContactId::from_bytes(of.row.contact), version);
        let Some(value) = self.unguarded(key.clone()).await? else { return Ok(()) };
        // One that cannot be read is `check`'s to tell.
        let Ok(row) = self.sealer.decode_sealed::<HistoryRow>(&key, &value) else { return Ok(()) };
        let thinned = match of.row.is_calendar_object() {
            true => ical::without_media(&row.body),
            false => without_media(&row.body),
        };
        if let Some(body) = thinned {
            let value = self.sealer.encode_sealed(of.slot, &key, &HistoryRow { body, ..row })?;
            self.put(key, value);
        }
        Ok(())
    }

    /// Erases a card: every row but its log goes, and so does its key. Its numbers, which it answers,
    /// lead to `heir`.
    pub(super) async fn forget_as(
        &mut self,
        book: CollectionId,
        card: &Kept,
        heir: Option<ContactId>,
    ) -> Step<Vec<(u8, u64)>> {
        let uid = self.uid_key(book, &card.row.uid)?;
        let contact = ContactId::from_bytes(card.row.contact);
        self.delete(uid);
        self.delete(keys::body(book, contact));
        if card.row.described {
            self.delete(keys::properties(contact.as_bytes()));
        }
        let numbers = match card.row.is_calendar_object() {
            true => {
                self.forget_history(contact).await?;
                Vec::new()
            }
            false => self.forget_record(contact, heir).await?,
        };
        self.destroy_key(card.slot, card.owner());
        Ok(numbers)
    }

    /// Replaces a calendar object so that nothing opens what it was: of earlier bodies empty places are left,
    /// and the key that sealed them goes.
    pub(super) async fn redact_object(
        &mut self,
        book: CollectionId,
        name: &MemberName,
        card: &NewCard,
    ) -> Step<()> {
        let collection = self.need_book(book).await?;
        let member = self.sealer.member(book.as_bytes(), name);
        let old = self.present(book, &member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        if !collection.calendar || old.row.uid != card.uid.as_str() {
            return Err(Halt::Failed(StoreError::Malformed("only a calendar object is redacted")));
        }
        let contact = ContactId::from_bytes(old.row.contact);
        let (row, slot, number) = self.next_row(name, card, contact, Some(&old))?;
        let another = number.checked_add(1);
        let number = another.ok_or(Halt::Failed(StoreError::Malformed("a contact had every key")))?;
        let mut kept = Kept { revision: 0, slot, number, row };
        self.destroy_key(old.slot, old.owner());
        kept.slot = self.new_key(kept.owner())?;
        self.empty_history(&old, kept.slot).await?;
        let properties = keys::properties(contact.as_bytes());
        if kept.row.described
            && let Some(value) = self.unguarded(properties.clone()).await?
        {
            let row: PropertiesRow = self.sealer.decode_sealed(&properties, &value)?;
            let value = self.sealer.encode_sealed(kept.slot, &properties, &row)?;
            self.put(properties, value);
        }
        self.put_body(book, &member, &kept, &card.body)?;
        self.note(&kept.row, false);
        let value = self.card_value(book, &member, &kept)?;
        self.log_changed(book, member, value, Some(old.revision), What::Put(contact, card.body.clone())).await
    }

    /// Leaves empty places of what an object was and is, under another key.
    async fn empty_history(&mut self, of: &Kept, slot: Slot) -> Step<()> {
        let contact = ContactId::from_bytes(of.row.contact);
        let oldest = of.row.version.checked_sub(HISTORY);
        let now = rows::micros(self.commit.at);
        let empty = |at, actor| HistoryRow { at, actor, body: Vec::new(), client: None };
        let mut places = vec![(keys::history(contact, of.row.version), empty(now, None))];
        for (key, value) in self.range(keys::under(keys::Table::History, contact.as_bytes())).await? {
            if oldest.is_some() && keys::number(&key) == oldest {
                self.delete(key);
                continue;
            }
            let was = self.sealer.decode_sealed::<HistoryRow>(&key, &value).ok();
            let row = was.map_or_else(|| empty(now, None), |was| empty(was.at, was.actor));
            places.push((key, row));
        }
        for (key, row) in places {
            let value = self.sealer.encode_sealed(slot, &key, &row)?;
            self.put(key, value);
        }
        Ok(())
    }

    /// Forgets earlier bodies and records.
    pub(super) async fn forget_history(&mut self, contact: ContactId) -> Step<()> {
        for table in [keys::Table::RecordHistory, keys::Table::History] {
            for (key, _) in self.range(keys::under(table, contact.as_bytes())).await? {
                self.delete(key);
            }
        }
        Ok(())
    }

    /// A card's properties and earlier bodies and records.
    pub(super) async fn beside(&mut self, row: &CardRow) -> Step<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found = Vec::new();
        if row.described {
            let key = keys::properties(&row.contact);
            found.extend(self.unguarded(key.clone()).await?.map(|value| (key, value.to_vec())));
        }
        for table in [keys::Table::History, keys::Table::RecordHistory] {
            found.extend(self.range(keys::under(table, &row.contact)).await?);
        }
        Ok(found)
    }
}
