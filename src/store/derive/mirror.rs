//! What a smart book shows of contacts that are in other books: a row and a body of its own for each,
//! sealed with the contact's key, so that what destroys that key ends them too. A contact's record,
//! number, history, UIDs and properties are no business of a smart book's.

use crate::domain::id::{CollectionId, ContactId};
use crate::store::codec;
use crate::store::commit::Unmet;
use crate::store::keys::{self, TRASH};
use crate::store::mirror::mirror_name;
use crate::store::rows::CardRow;
use crate::store::search::What;

use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    async fn need_smart(&mut self, book: CollectionId) -> Step<()> {
        match self.need_collection(book).await?.smart {
            Some(_) => Ok(()),
            None => Err(Halt::Unmet(Unmet::NoCollection)),
        }
    }

    /// Shows a contact as it is now; where it is shown so already, nothing is done.
    pub(super) async fn mirror(&mut self, book: CollectionId, contact: ContactId) -> Step<()> {
        const GONE: Halt = Halt::Unmet(Unmet::NoMember);
        self.need_smart(book).await?;
        let record = self.kept_record(contact).await?.ok_or(GONE)?.row;
        let from = CollectionId::from_bytes(record.book);
        if from == TRASH || record.merged_into.is_some() {
            return Err(GONE);
        }
        let source = self.present(from, &record.member).await?.ok_or(GONE)?;
        if source.row.contact != *contact.as_bytes() {
            return Err(GONE);
        }
        let name = mirror_name(contact)?;
        let member = self.sealer.member(book.as_bytes(), &name);
        let key = keys::member(book, &member);
        let mut before = None;
        if let Some(value) = self.value(key.clone()).await? {
            let sealed = (source.slot, source.number, source.row.etag);
            if let Ok(old) = self.sealer.decode_card(&key, &value)
                && (old.slot, old.number, old.row.etag) == sealed
            {
                return Ok(());
            }
            before = Some(codec::stamp(&value)?.0);
        }
        let body = self.body(from, &source.row).await?;
        let name = name.as_str().to_owned();
        let mut card = source;
        card.row = CardRow { name, described: false, trashed: None, ..card.row };
        let of_body = keys::body(book, contact);
        let octets = self.sealer.encode_body(card.slot, &of_body, &member, &card.row, &body)?;
        self.put(of_body, octets);
        let value = self.card_value(book, &member, &card)?;
        self.log_changed(book, member, value, before, What::Put(contact, body)).await
    }

    /// Shows a contact no more, whether what was shown can be read or not.
    pub(super) async fn unmirror(&mut self, book: CollectionId, contact: ContactId) -> Step<()> {
        self.need_smart(book).await?;
        let name = mirror_name(contact)?;
        let member = self.sealer.member(book.as_bytes(), &name);
        let Some(value) = self.value(keys::member(book, &member)).await? else { return Ok(()) };
        let (revision, _) = codec::stamp(&value)?;
        self.delete(keys::body(book, contact));
        self.log_removed(book, member, &name, revision).await
    }
}
