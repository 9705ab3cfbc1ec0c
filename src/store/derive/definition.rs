//! What follows from laying something down, and from long work going on: its row.

use crate::store::commit::{DefinitionOp, JobOp, Unmet};
use crate::store::keys;
use crate::store::rows::{Definition, JobRow};

use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    pub(super) async fn definition(&mut self, op: &DefinitionOp) -> Step<()> {
        let DefinitionOp { id, before, after } = op;
        let kind = before.as_ref().or(after.as_ref()).map_or(0, Definition::kind);
        let key = keys::definition(kind, &id.0);
        let found: Option<Definition> = self.own(&key).await?;
        if found != *before {
            return Err(Halt::Unmet(Unmet::NoMember));
        }
        self.put_own(key, after.as_ref())
    }

    pub(super) async fn job(&mut self, op: &JobOp) -> Step<()> {
        let JobOp { id, before, after } = op;
        let key = keys::job(&id.0);
        let found: Option<JobRow> = self.own(&key).await?;
        // Work that was stopped meanwhile, or taken further by another.
        let same = match (&found, before) {
            (None, None) => true,
            (Some(found), Some((state, done))) => (found.state, found.done) == (*state, *done),
            _ => false,
        };
        if !same {
            return Err(Halt::Unmet(Unmet::NoMember));
        }
        self.put_own(key, after.as_ref())
    }

    /// A row that is sealed with the installation's key.
    async fn own<T: for<'b> minicbor::Decode<'b, ()>>(&mut self, key: &[u8]) -> Step<Option<T>> {
        let value = self.value(key.to_vec()).await?;
        Ok(value.map(|value| self.sealer.decode_sealed(key, &value)).transpose()?)
    }

    fn put_own<T: minicbor::Encode<()>>(&mut self, key: Vec<u8>, row: Option<&T>) -> Step<()> {
        match row {
            Some(row) => {
                let value = self.sealer.encode_sealed(self.sealer.installation(), &key, row)?;
                self.put(key, value);
            }
            None => self.delete(key),
        }
        Ok(())
    }
}
