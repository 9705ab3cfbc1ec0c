//! Who has a UID in a book: one member at a time (CARD-11).

use crate::domain::id::{CollectionId, MemberName, Uid};
use crate::store::StoreError;
use crate::store::codec::Kept;
use crate::store::commit::Unmet;
use crate::store::keys::{self, Hash};
use crate::store::rows::{CardRow, UidRow};

use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    pub(super) fn uid_key(&self, book: CollectionId, uid: &str) -> Step<Vec<u8>> {
        let uid = Uid::new(uid).ok_or(Halt::Failed(StoreError::Damaged("a card has an empty UID")))?;
        Ok(keys::uid(book, &self.sealer.uid(book.as_bytes(), &uid)))
    }

    /// Makes the UID this member's, unless another has it (CARD-11), or this member has another one
    /// that a client chose (CARD-12).
    pub(super) async fn claim_uid(
        &mut self,
        book: CollectionId,
        member: &Hash,
        name: &MemberName,
        uid: &Uid,
        old: Option<&Kept>,
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
        let value = self.sealer.encode(&key, &UidRow { member: *member });
        self.put(key, value);
        Ok(())
    }

    /// Makes the UID this member's, whoever had it.
    pub(super) fn hold_uid(&mut self, book: CollectionId, member: &Hash, row: &CardRow) -> Step<()> {
        let key = self.uid_key(book, &row.uid)?;
        let value = self.sealer.encode(&key, &UidRow { member: *member });
        self.put(key, value);
        Ok(())
    }

    pub(super) async fn claim_transferred_uid(
        &mut self,
        from: &(CollectionId, MemberName),
        to: &(CollectionId, MemberName),
        row: &CardRow,
        copy: bool,
        old: Option<&Kept>,
    ) -> Step<()> {
        let member = self.sealer.member(to.0.as_bytes(), &to.1);
        let key = self.uid_key(to.0, &row.uid)?;
        let freed = old.is_some_and(|old| old.row.uid == row.uid) || (from.0 == to.0 && !copy);
        if let Some(holder) = self.uid_holder(&key).await?
            && !freed
        {
            return Err(Halt::Unmet(Unmet::UidTaken(self.name_of(to.0, &holder).await?)));
        }
        let value = self.sealer.encode(&key, &UidRow { member });
        self.put(key, value);
        Ok(())
    }

    async fn uid_holder(&mut self, key: &[u8]) -> Step<Option<Hash>> {
        match self.value(key.to_vec()).await? {
            Some(value) => Ok(Some(self.sealer.decode::<UidRow>(key, &value)?.member)),
            None => Ok(None),
        }
    }

    async fn name_of(&self, book: CollectionId, member: &Hash) -> Step<MemberName> {
        const LOST: Halt = Halt::Failed(StoreError::Damaged("a UID belongs to no card"));
        let key = keys::member(book, member);
        let value = self.unguarded(key.clone()).await?.ok_or(LOST)?;
        let card = self.sealer.decode_card(&key, &value)?;
        MemberName::parse(&card.row.name).map_err(|_| LOST)
    }
}
