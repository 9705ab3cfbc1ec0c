//! What follows from a change to a collection: its row, its place in the home, the home's log.

use crate::domain::id::{CollectionId, MemberName};
use crate::store::StoreError;
use crate::store::commit::{CollectionOp, Unmet};
use crate::store::keys::{self, Hash};
use crate::store::rows::{self, CollectionRow, LinkRow, PropertiesRow, PurgeRow};

use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    /// The keys that an op surely reads.
    pub(super) fn collection_keys(&self, op: &CollectionOp, wanted: &mut Vec<Vec<u8>>) {
        match op {
            CollectionOp::Create { home, name, .. } | CollectionOp::Remove { home, name } => {
                wanted.push(keys::collection(*home));
                wanted.push(self.member_key(*home, name));
            }
            CollectionOp::Rename { home, from, to, .. } => {
                wanted.push(self.member_key(*home, from));
                wanted.push(self.member_key(*home, to));
            }
        }
    }

    pub(super) async fn collection(&mut self, op: &CollectionOp) -> Step<()> {
        match op {
            CollectionOp::Create { home, name, id, owner, default, properties, replace } => {
                self.need_collection(*home).await?;
                let before = self.clear_place(*home, name, *replace).await?;
                if self.value(keys::collection(*id)).await?.is_some() {
                    return Err(Halt::Failed(StoreError::Malformed("a collection's id is taken")));
                }
                let row = CollectionRow {
                    owner: *owner.as_bytes(),
                    home: Some(*home.as_bytes()),
                    created: rows::micros(self.commit.at),
                    default: *default,
                };
                self.put(keys::collection(*id), rows::encode(&row));
                if !properties.is_empty() {
                    let row = PropertiesRow { properties: properties.clone() };
                    self.put(keys::properties(id.as_bytes()), rows::encode(&row));
                }
                self.log_link(*home, name, *id, before).await
            }
            CollectionOp::Rename { home, from, to, replace } => {
                let (revision, id) = self.link(*home, from).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
                self.need_collection(id).await?;
                let before = self.clear_place(*home, to, *replace).await?;
                let member = self.sealer.member(home.as_bytes(), from);
                self.log_removed(*home, member, from, revision).await?;
                self.log_link(*home, to, id, before).await
            }
            CollectionOp::Remove { home, name } => {
                let (revision, id) = self.link(*home, name).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
                let member = self.sealer.member(home.as_bytes(), name);
                self.condemn(id, false);
                self.log_removed(*home, member, name, revision).await
            }
        }
    }

    /// Makes room for a book: what is there goes when it may be replaced. Answers the revision that
    /// the place was logged at.
    async fn clear_place(
        &mut self,
        home: CollectionId,
        name: &MemberName,
        replace: bool,
    ) -> Step<Option<u64>> {
        match self.link(home, name).await? {
            None => Ok(None),
            Some(_) if !replace => Err(Halt::Unmet(Unmet::Taken)),
            Some((revision, id)) => {
                self.condemn(id, false);
                Ok(Some(revision))
            }
        }
    }

    /// Ends a collection: from this commit on nothing finds it; its rows are purged later.
    pub(super) fn condemn(&mut self, id: CollectionId, home: bool) {
        self.delete(keys::collection(id));
        self.put(keys::purge(id), rows::encode(&PurgeRow { home }));
    }

    /// A book's place in its home: the revision it was logged at, and its id.
    pub(super) async fn link(
        &mut self,
        home: CollectionId,
        name: &MemberName,
    ) -> Step<Option<(u64, CollectionId)>> {
        match self.value(self.member_key(home, name)).await? {
            Some(value) => {
                let (revision, row) = rows::decode_slotted::<LinkRow>(&value)?;
                Ok(Some((revision, CollectionId::from_bytes(row.collection))))
            }
            None => Ok(None),
        }
    }

    /// Logs in the home that a book came or changed.
    pub(super) async fn log_link(
        &mut self,
        home: CollectionId,
        name: &MemberName,
        id: CollectionId,
        before: Option<u64>,
    ) -> Step<()> {
        let member: Hash = self.sealer.member(home.as_bytes(), name);
        let row = LinkRow { name: name.as_str().to_owned(), collection: *id.as_bytes() };
        self.log_changed(home, member, rows::encode_slotted(&row), before).await
    }
}
