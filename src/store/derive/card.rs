//! What follows from a change to a card: its row, body, UID and history rows, and the log. A calendar
//! object is stored as a card is, but for what belongs to contacts: it has no number and no record.

use bytes::Bytes;

use crate::domain::contact::Kind as ContactKind;
use crate::domain::format::Format;
use crate::domain::id::{CollectionId, ContactId, Etag, MemberName, Uid};
use crate::store::StoreError;
use crate::store::codec::Kept;
use crate::store::commit::{CardOp, CommittedCard, NewCard, RecordChange, Unmet};
use crate::store::keys::{self, Hash};
use crate::store::keyslots::Slot;
use crate::store::mirror::mirror_name;
use crate::store::owner::Owner;
use crate::store::rows::{self, CardRow, Id, PropertiesRow};
use crate::store::seal::At;
use crate::store::search::What;

use super::collection::takes;
use super::contact::{self, Lies};
use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    /// The keys that an op surely reads.
    pub(super) fn card_keys(&self, op: &CardOp, wanted: &mut Vec<Vec<u8>>) {
        let mut want = |book: CollectionId, name: &MemberName, uid: Option<&Uid>| {
            let member = self.sealer.member(book.as_bytes(), name);
            wanted.push(keys::collection(book));
            wanted.push(keys::member(book, &member));
            wanted.push(keys::tombstone(book, &member));
            wanted.extend(uid.map(|uid| keys::uid(book, &self.sealer.uid(book.as_bytes(), uid))));
        };
        match op {
            CardOp::Put { book, name, card, .. } => {
                want(*book, name, Some(&card.uid));
                wanted.push(keys::collection(keys::TRASH));
            }
            CardOp::Remove { book, name }
            | CardOp::Rekey { book, name }
            | CardOp::Redact { book, name, .. } => want(*book, name, None),
            CardOp::Trash { book, name, .. } => {
                want(*book, name, None);
                wanted.push(keys::collection(keys::TRASH));
            }
            CardOp::Restore { to, .. } => want(to.0, &to.1, None),
            CardOp::Transfer { from, to, .. } | CardOp::Adopt { from, to } => {
                want(from.0, &from.1, None);
                want(to.0, &to.1, None);
            }
            CardOp::Move { from, to, card, .. } => {
                want(from.0, &from.1, None);
                want(to.0, &to.1, Some(&card.uid));
            }
            CardOp::Record { contact, .. } => wanted.push(keys::record(*contact)),
            CardOp::Mirror { book, contact } | CardOp::Unmirror { book, contact } => {
                if let Ok(name) = mirror_name(*contact) {
                    want(*book, &name, None);
                }
                wanted.push(keys::record(*contact));
            }
        }
    }

    pub(super) async fn card(&mut self, op: &CardOp) -> Step<()> {
        match op {
            CardOp::Put { book, name, card, fresh, record } => {
                self.put_card(*book, name, card, *fresh, record.as_deref()).await
            }
            CardOp::Remove { book, name } => self.remove_card(*book, name).await,
            CardOp::Trash { book, name, merged_into } => self.trash_card(*book, name, *merged_into).await,
            CardOp::Restore { contact, to } => self.restore_card(*contact, to).await,
            CardOp::Adopt { from, to } => self.adopt_card(from, to).await,
            CardOp::Record { contact, change } => self.change_record(*contact, change).await,
            CardOp::Transfer { from, to, copy } => self.transfer_card(from, to, *copy).await,
            CardOp::Move { from, to, card, record } => {
                self.move_card(from, to, card, record.as_deref()).await
            }
            CardOp::Rekey { book, name } => self.rekey_card(*book, name).await,
            CardOp::Redact { book, name, card } => self.redact_object(*book, name, card).await,
            CardOp::Mirror { book, contact } => self.mirror(*book, *contact).await,
            CardOp::Unmirror { book, contact } => self.unmirror(*book, *contact).await,
        }
    }

    async fn put_card(
        &mut self,
        book: CollectionId,
        name: &MemberName,
        card: &NewCard,
        fresh: ContactId,
        change: Option<&RecordChange>,
    ) -> Step<()> {
        let collection = self.need_book(book).await?;
        takes(&collection, card.format)?;
        let member = self.sealer.member(book.as_bytes(), name);
        let body = card.body.clone();
        let (mut old, before) = match self.present(book, &member).await {
            // Nothing of it can be taken over: the card comes as a new contact in its place.
            Err(Halt::Failed(StoreError::Damaged(_) | StoreError::Erased)) => {
                let remains = self.remains(book, &member).await?;
                let uid = keys::uid(book, &self.sealer.uid(book.as_bytes(), &card.uid));
                self.forget_remains(book, &member, &remains, Some(&uid)).await?;
                (None, Some(remains.revision))
            }
            old => {
                let old = old?;
                let revision = old.as_ref().map(|old| old.revision);
                (old, revision)
            }
        };
        self.claim_uid(book, &member, name, &card.uid, old.as_ref()).await?;
        let lies = Lies { book, member, owner: collection.owner };
        let mut revived = None;
        if old.is_none()
            && before.is_none()
            && !collection.calendar
            && let Some(contact) = self.revivable(&card.uid, &collection).await?
        {
            match self.taken_out(contact).await {
                Ok((kept, _, octets)) => {
                    old = Some(kept);
                    revived = Some(octets);
                }
                // What cannot come back is in nobody's way.
                Err(Halt::Unmet(_) | Halt::Failed(StoreError::Damaged(_) | StoreError::Erased)) => {}
                Err(halt) => return Err(halt),
            }
        }
        let (row, slot, number) = self.next_row(name, card, fresh, old.as_ref())?;
        match (&old, revived.is_some()) {
            (Some(old), false) => {
                self.keep_history(book, old).await?;
                if old.row.uid != row.uid && !collection.calendar {
                    self.rename_uid(old, &card.uid, &lies).await?;
                }
            }
            (Some(old), true) => {
                let octets = revived.as_deref().unwrap_or_default();
                self.keep_body(old, octets).await?;
                self.moved_record(old, &card.uid, &lies, false, None).await?;
            }
            (None, _) => {}
        }
        let kept = Kept { revision: 0, slot, number, row };
        match (&old, change) {
            // What is in a calendar has no record.
            _ if collection.calendar => {}
            (None, change) => {
                let record = change.map(|change| change.after.clone()).unwrap_or_default();
                self.new_record(&kept, &card.uid, &lies, ContactKind::of(&card.body), record);
            }
            (Some(_), Some(change)) if revived.is_none() && change.before.is_some() => {
                self.change_record(contact_of(&kept), change).await?;
            }
            _ => {}
        }
        self.put_body(book, &member, &kept, &body)?;
        self.note(&kept.row, before.is_none());
        let value = self.card_value(book, &member, &kept)?;
        let what = What::Put(ContactId::from_bytes(kept.row.contact), body);
        self.log_changed(book, member, value, before, what).await
    }

    /// The row of a card that is put, and the contact's key.
    pub(super) fn next_row(
        &mut self,
        name: &MemberName,
        card: &NewCard,
        fresh: ContactId,
        old: Option<&Kept>,
    ) -> Step<(CardRow, Slot, u32)> {
        let now = rows::micros(self.commit.at);
        let version = old.map_or(1, |old| old.row.version + 1);
        let row = CardRow {
            contact: old.map_or(*fresh.as_bytes(), |old| old.row.contact),
            name: name.as_str().to_owned(),
            uid: card.uid.as_str().to_owned(),
            version,
            etag: self.sealer.etag(version, &card.body).0,
            size: card.body.len() as u64,
            format: card.format.number(),
            created: old.map_or(now, |old| old.row.created),
            modified: now,
            invented_uid: card.invented_uid,
            described: old.is_some_and(|old| old.row.described),
            by: self.commit.actor.map(|actor| Id(*actor.as_bytes())),
            client: self.commit.client.clone(),
            trashed: None,
        };
        let (slot, number) = match old {
            Some(old) => (old.slot, old.number),
            None => (self.new_key(Owner::contact(row.contact, 0))?, 0),
        };
        Ok((row, slot, number))
    }

    /// Notes on a row who writes it, and when.
    pub(super) fn touch(&self, row: &mut CardRow) {
        row.modified = rows::micros(self.commit.at);
        row.by = self.commit.actor.map(|actor| Id(*actor.as_bytes()));
        row.client = self.commit.client.clone();
    }

    pub(super) async fn remove_card(&mut self, book: CollectionId, name: &MemberName) -> Step<()> {
        self.need_book(book).await?;
        let member = self.sealer.member(book.as_bytes(), name);
        let revision = match self.present(book, &member).await {
            Err(Halt::Failed(StoreError::Damaged(_) | StoreError::Erased)) => {
                let remains = self.remains(book, &member).await?;
                self.forget_remains(book, &member, &remains, None).await?;
                remains.revision
            }
            old => {
                let old = old?.ok_or(Halt::Unmet(Unmet::NoMember))?;
                self.forget_as(book, &old, None).await?;
                old.revision
            }
        };
        self.log_removed(book, member, name, revision).await
    }

    async fn transfer_card(
        &mut self,
        from: &(CollectionId, MemberName),
        to: &(CollectionId, MemberName),
        copy: Option<ContactId>,
    ) -> Step<()> {
        match copy {
            Some(_) => self.need_collection(from.0).await?,
            None => self.need_book(from.0).await?,
        };
        let target = self.need_book(to.0).await?;
        let owner = target.owner;
        let source_member = self.sealer.member(from.0.as_bytes(), &from.1);
        let member = self.sealer.member(to.0.as_bytes(), &to.1);
        let source = self.present(from.0, &source_member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        takes(&target, Format::of(source.row.format))?;
        let body = self.body(from.0, &source.row).await?;
        let old = self.present(to.0, &member).await?;
        if copy.is_none() {
            // The source's UID row goes first: within one book the destination claims it again.
            self.leave(from, source_member, &source).await?;
        }
        if let Some(old) = &old {
            self.forget_as(to.0, old, None).await?;
        }
        self.claim_transferred_uid(from, to, &source.row, copy.is_some(), old.as_ref()).await?;
        let now = rows::micros(self.commit.at);
        let mut card = source;
        card.row.name = to.1.as_str().to_owned();
        self.touch(&mut card.row);
        let uid = contact::uid_of(&card.row)?;
        let lies = Lies { book: to.0, member, owner };
        if copy.is_none() && !target.calendar {
            self.moved_record(&card, &uid, &lies, false, None).await?;
        }
        if let Some(fresh) = copy {
            let original = card.row.contact;
            card.slot = self.new_key(Owner::contact(*fresh.as_bytes(), 0))?;
            card.number = 0;
            card.row = CardRow { contact: *fresh.as_bytes(), version: 1, created: now, ..card.row };
            card.row.etag = self.sealer.etag(card.row.version, &body).0;
            self.copy_properties(&original, &card).await?;
            if !target.calendar {
                let record = self.kept_record(ContactId::from_bytes(original)).await?;
                let record = record.map(|kept| kept.row.record).unwrap_or_default();
                self.new_record(&card, &uid, &lies, ContactKind::of(&body), record);
            }
        }
        self.put_body(to.0, &member, &card, &body)?;
        self.note(&card.row, old.is_none());
        let before = old.map(|old| old.revision);
        let value = self.card_value(to.0, &member, &card)?;
        let what = What::Put(ContactId::from_bytes(card.row.contact), body);
        self.log_changed(to.0, member, value, before, what).await
    }

    async fn move_card(
        &mut self,
        from: &(CollectionId, MemberName),
        to: &(CollectionId, MemberName),
        card: &NewCard,
        change: Option<&RecordChange>,
    ) -> Step<()> {
        self.need_address_book(from.0).await?;
        let target = self.need_address_book(to.0).await?;
        takes(&target, card.format)?;
        let owner = target.owner;
        let source_member = self.sealer.member(from.0.as_bytes(), &from.1);
        let member = self.sealer.member(to.0.as_bytes(), &to.1);
        let source = self.present(from.0, &source_member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        if self.present(to.0, &member).await?.is_some() {
            return Err(Halt::Unmet(Unmet::Taken));
        }
        self.keep_history(from.0, &source).await?;
        self.leave(from, source_member, &source).await?;
        self.claim_uid(to.0, &member, &to.1, &card.uid, None).await?;
        let contact = contact_of(&source);
        let (row, slot, number) = self.next_row(&to.1, card, contact, Some(&source))?;
        let kept = Kept { revision: 0, slot, number, row };
        if let Some(change) = change {
            self.change_record(contact, change).await?;
        }
        let lies = Lies { book: to.0, member, owner };
        self.moved_record(&kept, &card.uid, &lies, false, None).await?;
        self.put_body(to.0, &member, &kept, &card.body)?;
        self.note(&kept.row, true);
        let value = self.card_value(to.0, &member, &kept)?;
        self.log_changed(to.0, member, value, None, What::Put(contact, card.body.clone())).await
    }

    /// Gives a contact another key: everything it has is sealed anew, and what the old key sealed
    /// opens no more, in no backup either. The card itself does not change.
    async fn rekey_card(&mut self, book: CollectionId, name: &MemberName) -> Step<()> {
        self.need_book(book).await?;
        let member = self.sealer.member(book.as_bytes(), name);
        let mut card = self.present(book, &member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        let (revision, old) = (card.revision, card.owner());
        let body = self.body(book, &card.row).await?;
        let number = card.number.checked_add(1);
        card.number = number.ok_or(Halt::Failed(StoreError::Malformed("a contact had every key")))?;
        self.destroy_key(card.slot, old);
        card.slot = self.new_key(card.owner())?;
        self.put_body(book, &member, &card, &body)?;
        for (key, value) in self.beside(&card.row).await? {
            let plain = self.sealer.open(At::key(&key), &value)?;
            let mut value = Vec::with_capacity(plain.len() + 64);
            self.sealer.seal(card.slot, &key, &mut value, 0, &plain)?;
            self.put(key, value);
        }
        self.rekey_record(&card).await?;
        let value = self.card_value(book, &member, &card)?;
        self.log_changed(book, member, value, Some(revision), What::Same).await
    }

    /// Gives a copy what clients wrote on the original (RFC 4918 §9.8.2).
    async fn copy_properties(&mut self, original: &[u8; 16], copy: &Kept) -> Step<()> {
        let from = keys::properties(original);
        if copy.row.described
            && let Some(value) = self.unguarded(from.clone()).await?
        {
            let row: PropertiesRow = self.sealer.decode_sealed(&from, &value)?;
            let key = keys::properties(&copy.row.contact);
            let value = self.sealer.encode_sealed(copy.slot, &key, &row)?;
            self.put(key, value);
        }
        Ok(())
    }

    /// Takes a moved card out of where it was; history and properties follow the contact.
    pub(super) async fn leave(
        &mut self,
        from: &(CollectionId, MemberName),
        member: Hash,
        source: &Kept,
    ) -> Step<()> {
        self.delete(keys::body(from.0, ContactId::from_bytes(source.row.contact)));
        self.delete(self.uid_key(from.0, &source.row.uid)?);
        self.log_removed(from.0, member, &from.1, source.revision).await
    }

    /// A card as the snapshot shows it.
    pub(super) async fn present(&mut self, book: CollectionId, member: &Hash) -> Step<Option<Kept>> {
        let key = keys::member(book, member);
        if let Some((_, card)) = self.judged.take_if(|(known, _)| *known == key) {
            return Ok(Some(card));
        }
        match self.value(key.clone()).await? {
            Some(value) => Ok(Some(self.sealer.decode_card(&key, &value)?)),
            None => Ok(None),
        }
    }

    /// A card's row as a value.
    pub(super) fn card_value(&self, book: CollectionId, member: &Hash, card: &Kept) -> Step<Vec<u8>> {
        let key = keys::member(book, member);
        Ok(self.sealer.encode_card(card.slot, card.number, &key, &card.row)?)
    }

    pub(super) fn put_body(
        &mut self,
        book: CollectionId,
        member: &Hash,
        card: &Kept,
        octets: &Bytes,
    ) -> Step<()> {
        let key = keys::body(book, ContactId::from_bytes(card.row.contact));
        let value = self.sealer.encode_body(card.slot, &key, member, &card.row, octets)?;
        self.put(key, value);
        if !card.row.is_calendar_object() {
            self.told.push(ContactId::from_bytes(card.row.contact));
        }
        Ok(())
    }

    pub(super) async fn body(&mut self, book: CollectionId, row: &CardRow) -> Step<Bytes> {
        // The member's row is a guard, and no body changes without it.
        let key = keys::body(book, ContactId::from_bytes(row.contact));
        match self.unguarded(key.clone()).await? {
            Some(value) => Ok(self.sealer.decode_body(&key, value)?.octets),
            None => Err(Halt::Failed(StoreError::Damaged("a card has no body"))),
        }
    }

    pub(super) fn note(&mut self, row: &CardRow, created: bool) {
        self.committed.cards.push(CommittedCard {
            contact: ContactId::from_bytes(row.contact),
            etag: Etag(row.etag),
            created,
            created_at: rows::time(row.created),
        });
    }
}

fn contact_of(card: &Kept) -> ContactId {
    ContactId::from_bytes(card.row.contact)
}
