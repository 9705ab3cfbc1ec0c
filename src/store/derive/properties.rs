//! What follows from a change to written properties: their row, and the log of the collection that
//! holds what they describe, so that other clients see it (RFC 6578 §3.5.1).

use crate::store::commit::{Described, PropertiesOp, Unmet};
use crate::store::keys;
use crate::store::keyslots::Slot;
use crate::store::rows::PropertiesRow;
use crate::store::search::What;

use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    pub(super) async fn properties(&mut self, op: &PropertiesOp) -> Step<()> {
        let (id, slot) = match &op.of {
            // The home goes with its account, and so does its key.
            Described::Account { id, home } => {
                (*id.as_bytes(), Slot(self.need_collection(*home).await?.slot))
            }
            Described::Home(id) => (*id.as_bytes(), Slot(self.need_collection(*id).await?.slot)),
            Described::Book { home, name } => {
                let link = self.link(*home, name).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
                if link.mount {
                    return Err(Halt::Unmet(Unmet::NoMember));
                }
                let (book, slot, revision) = (link.book, link.slot, link.revision);
                self.log_link(*home, name, link, Some(revision)).await?;
                (*book.as_bytes(), slot)
            }
            Described::Mount { home, name } => {
                let link = self.link(*home, name).await?.filter(|link| link.mount);
                let link = link.ok_or(Halt::Unmet(Unmet::NoMember))?;
                let (slot, revision) = (link.slot, link.revision);
                self.log_link(*home, name, link, Some(revision)).await?;
                (self.sealer.member(home.as_bytes(), name), slot)
            }
            Described::Card { book, name } => {
                self.need_collection(*book).await?;
                let member = self.sealer.member(book.as_bytes(), name);
                let mut card = self.present(*book, &member).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
                card.row.described = !op.properties.is_empty();
                let value = self.card_value(*book, &member, &card)?;
                self.log_changed(*book, member, value, Some(card.revision), What::Same).await?;
                (card.row.contact, card.slot)
            }
        };
        let key = keys::properties(&id);
        let before = match self.value(key.clone()).await? {
            Some(value) => self.sealer.decode_sealed::<PropertiesRow>(&key, &value)?.properties,
            None => Vec::new(),
        };
        if before != op.before {
            return Err(Halt::Unmet(Unmet::NoMember));
        }
        if op.properties.is_empty() {
            self.delete(key);
        } else {
            let row = PropertiesRow { properties: op.properties.clone() };
            let value = self.sealer.encode_sealed(slot, &key, &row)?;
            self.put(key, value);
        }
        Ok(())
    }
}
