//! What follows for a contact's record: its number, its history, where it is found, the trash, and
//! contacts that clients move by writing them anew.

use crate::domain::contact::{Kind, Record};
use crate::domain::id::{CollectionId, ContactId, MemberName, Uid};
use crate::store::StoreError;
use crate::store::codec::{Kept, KeptRecord, RecordPlace};
use crate::store::commit::{RecordChange, Unmet};
use crate::store::engine::Extent;
use crate::store::keys::{self, Hash, TRASH};
use crate::store::number;
use crate::store::rows::{
    self, CardRow, CollectionRow, Id, NumberRow, RecordHistoryRow, RecordRow, SameUidRow, TrashedRow,
};
use crate::store::search::What;

use super::{Derivation, Halt, Step};

/// How many earlier records are kept.
pub(in crate::store) const RECORDS: u64 = 1_000;

/// How long after a card was written in one book its removal from another is the other half of a
/// move, and the other way round, in microseconds.
pub(in crate::store) const MOVE: i64 = 15 * 60 * 1_000_000;

/// A contact that gets its number with the commit.
pub(super) struct Numbered {
    contact: ContactId,
    place: RecordPlace,
    row: RecordRow,
}

/// A place in a book.
pub(super) struct Lies {
    pub(super) book: CollectionId,
    pub(super) member: Hash,
    /// To whom the book belongs.
    pub(super) owner: [u8; 16],
}

impl Derivation<'_> {
    /// A contact's record as the commit leaves it so far. One that cannot be read is made anew around
    /// its number; one that is not there, or of which nothing can be told, is none.
    pub(super) async fn kept_record(&mut self, contact: ContactId) -> Step<Option<KeptRecord>> {
        if let Some(kept) = self.records.get(&contact) {
            return Ok(Some(kept.clone()));
        }
        let key = keys::record(contact);
        let Some(value) = self.value(key.clone()).await? else { return Ok(None) };
        match self.sealer.decode_record(&key, &value) {
            Err(StoreError::Damaged(_) | StoreError::Erased) => {
                let Ok(place) = RecordPlace::read(&value) else { return Ok(None) };
                // Earlier records must stay earlier ones.
                let earlier = self.range(keys::under(keys::Table::RecordHistory, contact.as_bytes())).await?;
                let newest = earlier.iter().filter_map(|(key, _)| keys::number(key)).max();
                let changes = newest.map_or(0, |newest| newest + 1);
                Ok(Some(KeptRecord { place, row: RecordRow { changes, ..RecordRow::default() } }))
            }
            record => Ok(Some(record?)),
        }
    }

    /// Gives a new contact its record and, with the commit, its number.
    pub(super) fn new_record(&mut self, card: &Kept, uid: &Uid, lies: &Lies, kind: Kind, record: Record) {
        let contact = ContactId::from_bytes(card.row.contact);
        let now = rows::micros(self.commit.at);
        let row = RecordRow {
            book: *lies.book.as_bytes(),
            member: lies.member,
            created: card.row.created,
            created_by: self.commit.actor,
            updated: now,
            updated_by: self.commit.actor,
            client: self.commit.client.clone(),
            record,
            ..RecordRow::default()
        };
        let uid = self.sealer.uid_anywhere(uid);
        self.find_by_uid(&uid, contact, lies, false);
        let place = RecordPlace { number: 0, series: number::series(kind), uid, slot: card.slot };
        self.numbered.push(Numbered { contact, place, row });
    }

    /// Writes records, those of new contacts after everything that is logged: the engine's answer tells
    /// of what is logged first.
    pub(super) fn number(&mut self) -> Step<()> {
        for Numbered { contact, place, row } in std::mem::take(&mut self.numbered) {
            let kept = KeptRecord { place, row };
            number::give(self.sealer, &mut self.batch, contact, &kept)?;
            self.told.push(contact);
        }
        for (contact, kept) in std::mem::take(&mut self.records) {
            let key = keys::record(contact);
            let value = self.sealer.encode_record(&key, &kept)?;
            self.put(key, value);
        }
        Ok(())
    }

    fn put_record(&mut self, contact: ContactId, kept: KeptRecord) {
        self.records.insert(contact, kept);
        self.told.push(contact);
    }

    /// Makes a contact be found by its UID.
    fn find_by_uid(&mut self, uid: &Hash, contact: ContactId, lies: &Lies, trashed: bool) {
        let key = keys::same_uid(uid, contact);
        let row = SameUidRow {
            book: *lies.book.as_bytes(),
            owner: Id(lies.owner),
            at: rows::micros(self.commit.at),
            by: self.commit.actor.map(|actor| Id(*actor.as_bytes())),
            trashed,
        };
        let value = self.sealer.encode(&key, &row);
        self.put(key, value);
    }

    /// A contact's record after its card went somewhere else; `None` where it has none.
    pub(super) async fn moved_record(
        &mut self,
        card: &Kept,
        uid: &Uid,
        lies: &Lies,
        trashed: bool,
        merged_into: Option<ContactId>,
    ) -> Step<()> {
        let contact = ContactId::from_bytes(card.row.contact);
        let Some(mut kept) = self.kept_record(contact).await? else { return Ok(()) };
        if kept.row.book != *lies.book.as_bytes() {
            self.keep_record(contact, &kept)?;
        }
        let hash = self.sealer.uid_anywhere(uid);
        if hash != kept.place.uid {
            self.delete(keys::same_uid(&kept.place.uid, contact));
        }
        kept.place.uid = hash;
        kept.place.slot = card.slot;
        kept.row.book = *lies.book.as_bytes();
        kept.row.member = lies.member;
        kept.row.merged_into = merged_into;
        kept.row.changes += 1;
        self.find_by_uid(&hash, contact, lies, trashed);
        self.put_record(contact, kept);
        Ok(())
    }

    /// Keeps the record that is being replaced, and lets the oldest kept one go.
    fn keep_record(&mut self, contact: ContactId, kept: &KeptRecord) -> Step<()> {
        let row = RecordHistoryRow {
            at: rows::micros(self.commit.at),
            actor: self.commit.actor,
            client: self.commit.client.clone(),
            record: kept.row.record.clone(),
            book: kept.row.book,
        };
        let key = keys::record_history(contact, kept.row.changes);
        let value = self.sealer.encode_sealed(kept.place.slot, &key, &row)?;
        self.put(key, value);
        if let Some(oldest) = kept.row.changes.checked_sub(RECORDS) {
            self.delete(keys::record_history(contact, oldest));
        }
        Ok(())
    }

    /// Changes a record that there is.
    pub(super) async fn change_record(&mut self, contact: ContactId, change: &RecordChange) -> Step<()> {
        let mut kept = self.kept_record(contact).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        // One that was merged away changes no more.
        if change.before.as_ref() != Some(&kept.row.record) || kept.row.merged_into.is_some() {
            return Err(Halt::Unmet(Unmet::NoMember));
        }
        if kept.row.record == change.after && change.merged.is_empty() {
            return Ok(());
        }
        self.keep_record(contact, &kept)?;
        kept.row.record = change.after.clone();
        kept.row.merged.extend(&change.merged);
        kept.row.changes += 1;
        kept.row.updated = rows::micros(self.commit.at);
        kept.row.updated_by = self.commit.actor;
        kept.row.client = self.commit.client.clone();
        self.put_record(contact, kept);
        Ok(())
    }

    /// After the server replaced a UID that it had invented by the client's.
    pub(super) async fn rename_uid(&mut self, card: &Kept, uid: &Uid, lies: &Lies) -> Step<()> {
        let contact = ContactId::from_bytes(card.row.contact);
        let Some(mut kept) = self.kept_record(contact).await? else { return Ok(()) };
        self.delete(keys::same_uid(&kept.place.uid, contact));
        kept.place.uid = self.sealer.uid_anywhere(uid);
        self.find_by_uid(&kept.place.uid.clone(), contact, lies, false);
        self.put_record(contact, kept);
        Ok(())
    }

    /// Seals a record with the contact's new key.
    pub(super) async fn rekey_record(&mut self, card: &Kept) -> Step<()> {
        let contact = ContactId::from_bytes(card.row.contact);
        let Some(mut kept) = self.kept_record(contact).await? else { return Ok(()) };
        kept.place.slot = card.slot;
        self.put_record(contact, kept);
        Ok(())
    }

    /// Forgets a record with all that belongs to it; the contact's key goes too. Its numbers, which
    /// it answers, lead to `heir`, or to nobody for ever.
    pub(super) async fn forget_record(
        &mut self,
        contact: ContactId,
        heir: Option<ContactId>,
    ) -> Step<Vec<(u8, u64)>> {
        let mut numbers = Vec::new();
        if let Some(kept) = self.kept_record(contact).await? {
            numbers.push((kept.place.series, kept.place.number));
            numbers.extend(kept.row.numbers);
            for (series, number) in &numbers {
                let number = keys::number_of(*series, *number);
                match heir {
                    Some(heir) => {
                        let value = self.sealer.encode(&number, &NumberRow { contact: heir });
                        self.put(number, value);
                    }
                    None => self.delete(number),
                }
            }
            self.delete(keys::same_uid(&kept.place.uid, contact));
        }
        self.records.remove(&contact);
        self.delete(keys::record(contact));
        self.forget_history(contact).await?;
        self.told.push(contact);
        Ok(numbers)
    }

    /// Moves a card into the trash.
    pub(super) async fn trash_card(
        &mut self,
        book: CollectionId,
        name: &MemberName,
        merged_into: Option<ContactId>,
    ) -> Step<()> {
        if book == TRASH {
            return Err(Halt::Unmet(Unmet::NoMember));
        }
        let owner = self.need_address_book(book).await?.owner;
        self.need_collection(TRASH).await?;
        let member = self.sealer.member(book.as_bytes(), name);
        // What cannot be opened cannot be moved either.
        let old = match self.present(book, &member).await {
            Err(Halt::Failed(StoreError::Damaged(_) | StoreError::Erased)) => {
                return self.remove_card(book, name).await;
            }
            old => old?.ok_or(Halt::Unmet(Unmet::NoMember))?,
        };
        let body = match self.body(book, &old.row).await {
            Err(Halt::Failed(StoreError::Damaged(_) | StoreError::Erased)) => {
                return self.remove_card(book, name).await;
            }
            body => body?,
        };
        self.leave(&(book, name.clone()), member, &old).await?;
        let uid = uid_of(&old.row)?;
        let mut card = old;
        let (name, uid_text) = (std::mem::take(&mut card.row.name), std::mem::take(&mut card.row.uid));
        card.row.trashed = Some(TrashedRow {
            book: *book.as_bytes(),
            owner: Id(owner),
            name,
            uid: uid_text,
            at: rows::micros(self.commit.at),
            by: self.commit.actor.map(|actor| Id(*actor.as_bytes())),
            client: self.commit.client.clone(),
            merged: merged_into.is_some(),
        });
        // In the trash every card has a UID and a name of its own, whatever others have.
        card.row.uid = ContactId::from_bytes(card.row.contact).to_string();
        card.row.name = card.row.uid.clone();
        let own = name_of(&card.row)?;
        let place = self.sealer.member(TRASH.as_bytes(), &own);
        self.hold_uid(TRASH, &place, &card.row)?;
        self.put_body(TRASH, &place, &card, &body)?;
        let value = self.card_value(TRASH, &place, &card)?;
        let contact = ContactId::from_bytes(card.row.contact);
        let lies = Lies { book: TRASH, member: place, owner };
        self.moved_record(&card, &uid, &lies, merged_into.is_none(), merged_into).await?;
        self.log_changed(TRASH, place, value, None, What::Put(contact, body)).await
    }

    /// Takes a card out of the trash: what it was, and its octets. Whoever asks writes it elsewhere.
    pub(super) async fn taken_out(&mut self, contact: ContactId) -> Step<(Kept, TrashedRow, bytes::Bytes)> {
        let name = MemberName::parse(&contact.to_string()).map_err(|_| Halt::Unmet(Unmet::NoMember))?;
        let member = self.sealer.member(TRASH.as_bytes(), &name);
        let mut card = self.present(TRASH, &member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        let trashed = card.row.trashed.take().filter(|trashed| !trashed.merged);
        let trashed = trashed.ok_or(Halt::Unmet(Unmet::NoMember))?;
        let body = self.body(TRASH, &card.row).await?;
        self.leave(&(TRASH, name), member, &card).await?;
        card.row.uid = trashed.uid.clone();
        card.row.name = trashed.name.clone();
        Ok((card, trashed, body))
    }

    /// Puts a trashed card back into a book.
    pub(super) async fn restore_card(
        &mut self,
        contact: ContactId,
        (book, name): &(CollectionId, MemberName),
    ) -> Step<()> {
        self.need_collection(TRASH).await?;
        let owner = self.need_address_book(*book).await?.owner;
        let member = self.sealer.member(book.as_bytes(), name);
        if self.present(*book, &member).await?.is_some() {
            return Err(Halt::Unmet(Unmet::Taken));
        }
        let (mut card, _, body) = self.taken_out(contact).await?;
        let uid = uid_of(&card.row)?;
        self.claim_uid(*book, &member, name, &uid, None).await?;
        card.row.name = name.as_str().to_owned();
        self.touch(&mut card.row);
        self.put_body(*book, &member, &card, &body)?;
        self.note(&card.row, true);
        let lies = Lies { book: *book, member, owner };
        self.moved_record(&card, &uid, &lies, false, None).await?;
        let value = self.card_value(*book, &member, &card)?;
        self.log_changed(*book, member, value, None, What::Put(contact, body)).await
    }

    /// The contact of the trash that a card with its UID brings back into this book: one that was
    /// deleted from a book of the same owner, or a moment ago by the same person from another's.
    pub(super) async fn revivable(&mut self, uid: &Uid, book: &CollectionRow) -> Step<Option<ContactId>> {
        if self.value(keys::collection(TRASH)).await?.is_none() {
            return Ok(None);
        }
        let hash = self.sealer.uid_anywhere(uid);
        let now = rows::micros(self.commit.at);
        let actor = self.commit.actor.map(|actor| Id(*actor.as_bytes()));
        let mut best: Option<(i64, [u8; 16])> = None;
        for (key, value) in self.scan(keys::under(keys::Table::SameUid, &hash), Extent::Few).await? {
            let (Ok(row), Some(contact)) = (self.sealer.decode::<SameUidRow>(&key, &value), keys::item(&key))
            else {
                continue;
            };
            let moved = actor.is_some() && row.by == actor && now.saturating_sub(row.at) <= MOVE;
            if row.trashed && (row.owner.0 == book.owner || moved) && best.is_none_or(|(at, _)| at < row.at) {
                best = Some((row.at, contact));
            }
        }
        Ok(best.map(|(_, contact)| ContactId::from_bytes(contact)))
    }

    /// The copy takes the contact's place, and the contact the copy's.
    pub(super) async fn adopt_card(
        &mut self,
        from: &(CollectionId, MemberName),
        to: &(CollectionId, MemberName),
    ) -> Step<()> {
        self.need_address_book(from.0).await?;
        let owner = self.need_address_book(to.0).await?.owner;
        let member = self.sealer.member(from.0.as_bytes(), &from.1);
        let place = self.sealer.member(to.0.as_bytes(), &to.1);
        let source = self.present(from.0, &member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        let copy = self.present(to.0, &place).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        if source.row.uid != copy.row.uid || source.row.contact == copy.row.contact {
            return Err(Halt::Unmet(Unmet::NoMember));
        }
        let body = self.body(to.0, &copy.row).await?;
        self.keep_history(from.0, &source).await?;
        self.leave(from, member, &source).await?;
        let contact = ContactId::from_bytes(source.row.contact);
        let numbers = self.forget_as(to.0, &copy, Some(contact)).await?;
        let uid = uid_of(&copy.row)?;
        self.hold_uid(to.0, &place, &copy.row)?;
        let version = source.row.version + 1;
        let row = CardRow {
            contact: source.row.contact,
            version,
            etag: self.sealer.etag(version, &body).0,
            created: source.row.created,
            described: source.row.described,
            ..copy.row
        };
        let card = Kept { row, ..source };
        self.put_body(to.0, &place, &card, &body)?;
        let lies = Lies { book: to.0, member: place, owner };
        self.moved_record(&card, &uid, &lies, false, None).await?;
        if let Some(kept) = self.records.get_mut(&contact) {
            kept.row.numbers.extend(numbers);
        }
        let value = self.card_value(to.0, &place, &card)?;
        let what = What::Put(contact, body);
        self.log_changed(to.0, place, value, Some(copy.revision), what).await
    }
}

pub(super) fn uid_of(row: &CardRow) -> Step<Uid> {
    let uid = row.trashed.as_ref().map_or(&row.uid, |trashed| &trashed.uid);
    Uid::new(uid).ok_or(Halt::Failed(StoreError::Damaged("a card has an empty UID")))
}

fn name_of(row: &CardRow) -> Step<MemberName> {
    MemberName::parse(&row.name).map_err(|_| Halt::Failed(StoreError::Malformed("a contact's id is no name")))
}
