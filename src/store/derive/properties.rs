//! What follows from a change to written properties: their row, and the log of the collection that
//! holds what they describe, so that other clients see it (RFC 6578 §3.5.1).

use crate::store::commit::{Described, PropertiesOp, Unmet};
use crate::store::keys;
use crate::store::rows::{self, CardRow, PropertiesRow};

use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    pub(super) async fn properties(&mut self, op: &PropertiesOp) -> Step<()> {
        let id = match &op.of {
            Described::Account { id, home } => {
                self.need_collection(*home).await?;
                *id.as_bytes()
            }
            Described::Home(id) => {
                self.need_collection(*id).await?;
                *id.as_bytes()
            }
            Described::Book { home, name } => {
                let (revision, id) = self.link(*home, name).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
                self.log_link(*home, name, id, Some(revision)).await?;
                *id.as_bytes()
            }
            Described::Card { book, name } => {
                self.need_collection(*book).await?;
                let member = self.sealer.member(book.as_bytes(), name);
                let value = self.value(keys::member(*book, &member)).await?;
                let value = value.ok_or(Halt::Unmet(Unmet::NoMember))?;
                let (revision, mut row) = rows::decode_slotted::<CardRow>(&value)?;
                row.described = !op.properties.is_empty();
                let contact = row.contact;
                self.log_changed(*book, member, rows::encode_slotted(&row), Some(revision)).await?;
                contact
            }
        };
        let key = keys::properties(&id);
        let before = match self.value(key.clone()).await? {
            Some(value) => rows::decode::<PropertiesRow>(&value)?.properties,
            None => Vec::new(),
        };
        if before != op.before {
            return Err(Halt::Unmet(Unmet::NoMember));
        }
        if op.properties.is_empty() {
            self.delete(key);
        } else {
            self.put(key, rows::encode(&PropertiesRow { properties: op.properties.clone() }));
        }
        Ok(())
    }
}
