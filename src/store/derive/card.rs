//! What follows from a change to a card: its row, body, UID and history rows, and the log.

use bytes::Bytes;

use crate::domain::id::{CollectionId, ContactId, Etag, MemberName, Uid};
use crate::domain::vcard::Version;
use crate::store::StoreError;
use crate::store::commit::{CardOp, CommittedCard, NewCard, Unmet};
use crate::store::keys::{self, Hash};
use crate::store::rows::{self, CardRow, HistoryRow, UidRow};

use super::{Derivation, Halt, Step};

/// How many earlier bodies of a card are kept.
pub(in crate::store) const HISTORY: u64 = 20;

/// A card as the snapshot shows it.
struct Present {
    revision: u64,
    row: CardRow,
}

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
            CardOp::Put { book, name, card, .. } => want(*book, name, Some(&card.uid)),
            CardOp::Remove { book, name } => want(*book, name, None),
            CardOp::Transfer { from, to, .. } => {
                want(from.0, &from.1, None);
                want(to.0, &to.1, None);
            }
        }
    }

    pub(super) async fn card(&mut self, op: &CardOp) -> Step<()> {
        match op {
            CardOp::Put { book, name, card, fresh } => self.put_card(*book, name, card, *fresh).await,
            CardOp::Remove { book, name } => self.remove_card(*book, name).await,
            CardOp::Transfer { from, to, copy } => self.transfer_card(from, to, *copy).await,
        }
    }

    async fn put_card(
        &mut self,
        book: CollectionId,
        name: &MemberName,
        card: &NewCard,
        fresh: ContactId,
    ) -> Step<()> {
        self.need_collection(book).await?;
        let member = self.sealer.member(book.as_bytes(), name);
        let old = self.present(book, &member).await?;
        self.claim_uid(book, &member, name, &card.uid, old.as_ref()).await?;
        let now = rows::micros(self.commit.at);
        let version = old.as_ref().map_or(1, |old| old.row.version + 1);
        let row = CardRow {
            contact: old.as_ref().map_or(*fresh.as_bytes(), |old| old.row.contact),
            name: name.as_str().to_owned(),
            uid: card.uid.as_str().to_owned(),
            version,
            etag: self.sealer.etag(version, &card.body).0,
            size: card.body.len() as u64,
            format: match card.version {
                Version::V3 => 3,
                Version::V4 => 4,
            },
            created: old.as_ref().map_or(now, |old| old.row.created),
            modified: now,
            invented_uid: card.invented_uid,
            described: old.as_ref().is_some_and(|old| old.row.described),
        };
        if let Some(old) = &old {
            self.keep_history(book, &old.row).await?;
        }
        let contact = ContactId::from_bytes(row.contact);
        self.put(keys::body(book, contact), rows::encode_body(&member, &card.body));
        self.note(&row, old.is_none());
        let before = old.map(|old| old.revision);
        self.log_changed(book, member, rows::encode_slotted(&row), before).await
    }

    async fn remove_card(&mut self, book: CollectionId, name: &MemberName) -> Step<()> {
        self.need_collection(book).await?;
        let member = self.sealer.member(book.as_bytes(), name);
        let old = self.present(book, &member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        self.forget(book, &old.row)?;
        self.log_removed(book, member, name, old.revision).await
    }

    async fn transfer_card(
        &mut self,
        from: &(CollectionId, MemberName),
        to: &(CollectionId, MemberName),
        copy: Option<ContactId>,
    ) -> Step<()> {
        self.need_collection(from.0).await?;
        self.need_collection(to.0).await?;
        let source_member = self.sealer.member(from.0.as_bytes(), &from.1);
        let member = self.sealer.member(to.0.as_bytes(), &to.1);
        let source = self.present(from.0, &source_member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
        let body = self.body(from.0, &source.row).await?;
        let old = self.present(to.0, &member).await?;
        if copy.is_none() {
            // The source's UID row goes first: within one book the destination claims it again.
            self.leave(from, source_member, &source).await?;
        }
        if let Some(old) = &old {
            self.forget(to.0, &old.row)?;
        }
        self.claim_transferred_uid(from, to, &source.row, copy.is_some(), old.as_ref()).await?;
        let now = rows::micros(self.commit.at);
        let mut row = CardRow { name: to.1.as_str().to_owned(), ..source.row };
        if let Some(fresh) = copy {
            let original = row.contact;
            row = CardRow { contact: *fresh.as_bytes(), version: 1, created: now, ..row };
            self.copy_properties(&original, &row).await?;
            row.etag = self.sealer.etag(row.version, &body).0;
        }
        row.modified = now;
        self.put(keys::body(to.0, ContactId::from_bytes(row.contact)), rows::encode_body(&member, &body));
        self.note(&row, old.is_none());
        let before = old.map(|old| old.revision);
        self.log_changed(to.0, member, rows::encode_slotted(&row), before).await
    }

    /// Gives a copy what clients wrote on the original (RFC 4918 §9.8.2).
    async fn copy_properties(&mut self, original: &[u8; 16], copy: &CardRow) -> Step<()> {
        if copy.described
            && let Some(value) = self.unguarded(keys::properties(original)).await?
        {
            self.put(keys::properties(&copy.contact), value.to_vec());
        }
        Ok(())
    }

    /// Takes a moved card out of where it was; history and properties follow the contact.
    async fn leave(&mut self, from: &(CollectionId, MemberName), member: Hash, source: &Present) -> Step<()> {
        self.delete(keys::body(from.0, ContactId::from_bytes(source.row.contact)));
        self.delete(self.uid_key(from.0, &source.row.uid)?);
        self.log_removed(from.0, member, &from.1, source.revision).await
    }

    async fn present(&mut self, book: CollectionId, member: &Hash) -> Step<Option<Present>> {
        match self.value(keys::member(book, member)).await? {
            Some(value) => {
                let (revision, row) = rows::decode_slotted(&value)?;
                Ok(Some(Present { revision, row }))
            }
            None => Ok(None),
        }
    }

    async fn body(&mut self, book: CollectionId, row: &CardRow) -> Step<Bytes> {
        // The member's row is a guard, and no body changes without it.
        match self.unguarded(keys::body(book, ContactId::from_bytes(row.contact))).await? {
            Some(value) => Ok(rows::body_bytes(&value)?),
            None => Err(Halt::Failed(StoreError::Damaged("a card has no body"))),
        }
    }

    fn uid_key(&self, book: CollectionId, uid: &str) -> Step<Vec<u8>> {
        let uid = Uid::new(uid).ok_or(Halt::Failed(StoreError::Damaged("a card has an empty UID")))?;
        Ok(keys::uid(book, &self.sealer.uid(book.as_bytes(), &uid)))
    }

    /// Makes the UID this member's, unless another has it (CARD-11), or this member has another one
    /// that a client chose (CARD-12).
    async fn claim_uid(
        &mut self,
        book: CollectionId,
        member: &Hash,
        name: &MemberName,
        uid: &Uid,
        old: Option<&Present>,
    ) -> Step<()> {
        let key = keys::uid(book, &self.sealer.uid(book.as_bytes(), uid));
        match self.uid_holder(&key).await? {
            Some(holder) if holder == *member => return Ok(()),
            Some(holder) => {
                return Err(Halt::Unmet(Unmet::UidTaken(self.name_of(book, &holder).await?)));
            }
            None => {}
        }
        if let Some(old) = old {
            if !old.row.invented_uid {
                return Err(Halt::Unmet(Unmet::UidTaken(name.clone())));
            }
            self.delete(self.uid_key(book, &old.row.uid)?);
        }
        self.put(key, rows::encode(&UidRow { member: *member }));
        Ok(())
    }

    async fn claim_transferred_uid(
        &mut self,
        from: &(CollectionId, MemberName),
        to: &(CollectionId, MemberName),
        row: &CardRow,
        copy: bool,
        old: Option<&Present>,
    ) -> Step<()> {
        let member = self.sealer.member(to.0.as_bytes(), &to.1);
        let key = self.uid_key(to.0, &row.uid)?;
        let freed = old.is_some_and(|old| old.row.uid == row.uid) || (from.0 == to.0 && !copy);
        if let Some(holder) = self.uid_holder(&key).await?
            && !freed
        {
            return Err(Halt::Unmet(Unmet::UidTaken(self.name_of(to.0, &holder).await?)));
        }
        self.put(key, rows::encode(&UidRow { member }));
        Ok(())
    }

    async fn uid_holder(&mut self, key: &[u8]) -> Step<Option<Hash>> {
        match self.value(key.to_vec()).await? {
            Some(value) => Ok(Some(rows::decode::<UidRow>(&value)?.member)),
            None => Ok(None),
        }
    }

    async fn name_of(&self, book: CollectionId, member: &Hash) -> Step<MemberName> {
        const LOST: Halt = Halt::Failed(StoreError::Damaged("a UID belongs to no card"));
        let value = self.unguarded(keys::member(book, member)).await?.ok_or(LOST)?;
        let (_, row) = rows::decode_slotted::<CardRow>(&value)?;
        MemberName::parse(&row.name).map_err(|_| LOST)
    }

    /// Keeps the body that is being replaced, and lets the oldest kept one go.
    async fn keep_history(&mut self, book: CollectionId, old: &CardRow) -> Step<()> {
        let body = self.body(book, old).await?;
        let contact = ContactId::from_bytes(old.contact);
        let row = HistoryRow {
            at: rows::micros(self.commit.at),
            actor: self.commit.actor.map(|actor| *actor.as_bytes()),
            body: body.to_vec(),
        };
        self.put(keys::history(contact, old.version), rows::encode(&row));
        if let Some(oldest) = old.version.checked_sub(HISTORY) {
            self.delete(keys::history(contact, oldest));
        }
        Ok(())
    }

    /// Removes every row of a card but its log.
    fn forget(&mut self, book: CollectionId, row: &CardRow) -> Step<()> {
        let uid = self.uid_key(book, &row.uid)?;
        self.delete(uid);
        for key in contact_rows(book, row) {
            self.delete(key);
        }
        Ok(())
    }

    fn note(&mut self, row: &CardRow, created: bool) {
        self.committed.cards.push(CommittedCard {
            contact: ContactId::from_bytes(row.contact),
            etag: Etag(row.etag),
            created,
            created_at: rows::time(row.created),
        });
    }
}

/// The keys of a card's body, properties and history.
pub(in crate::store) fn contact_rows(book: CollectionId, row: &CardRow) -> Vec<Vec<u8>> {
    let contact = ContactId::from_bytes(row.contact);
    let mut keys = vec![keys::body(book, contact)];
    if row.described {
        keys.push(keys::properties(contact.as_bytes()));
    }
    let oldest = row.version.saturating_sub(HISTORY).max(1);
    keys.extend((oldest..row.version).map(|version| keys::history(contact, version)));
    keys
}
