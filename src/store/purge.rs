//! Clears away what deleted collections left, in small commits, so that deleting a book of any size
//! is answered at once. Nothing finds these rows any more; a kill between two steps loses nothing.

use std::ops::ControlFlow;

use crate::domain::id::{CollectionId, Uid};

use super::derive::contact_rows;
use super::engine::{Batch, Extent, KeyRange, Write};
use super::keys::{self, Table};
use super::rows::{self, CardRow, LinkRow, PurgeRow};
use super::{Store, StoreError};

/// How many rows a step reads.
const STEP: usize = 256;

impl Store {
    /// Clears one step of a condemned collection; false when nothing is left of it.
    pub async fn purge_step(&self, id: CollectionId) -> Result<bool, StoreError> {
        let reader = self.read().await?;
        let Some(row) = reader.purge_row(id).await? else {
            return Ok(false);
        };
        let mut doomed = Vec::new();
        let mut condemned = Vec::new();
        for (key, value) in self.some(keys::under(Table::Member, id.as_bytes())).await? {
            if row.home {
                let (_, link) = rows::decode_slotted::<LinkRow>(&value)?;
                condemned.push(CollectionId::from_bytes(link.collection));
            } else {
                let (_, card) = rows::decode_slotted::<CardRow>(&value)?;
                doomed.extend(contact_rows(id, &card));
                let uid = Uid::new(&card.uid).ok_or(StoreError::Damaged("a card has an empty UID"))?;
                doomed.push(keys::uid(id, &self.sealer.uid(id.as_bytes(), &uid)));
            }
            doomed.push(key);
        }
        if doomed.is_empty() {
            for table in [Table::Change, Table::Tombstone] {
                let rows = self.some(keys::under(table, id.as_bytes())).await?;
                doomed.extend(rows.into_iter().map(|(key, _)| key));
            }
        }
        let more = !doomed.is_empty();
        if !more {
            doomed.extend([keys::purge(id), keys::revision(id), keys::properties(id.as_bytes())]);
        }
        self.clear(doomed, condemned).await?;
        Ok(more)
    }

    async fn clear(&self, doomed: Vec<Vec<u8>>, condemned: Vec<CollectionId>) -> Result<(), StoreError> {
        let mut writes: Vec<_> = doomed.into_iter().map(|key| Write::Delete { key }).collect();
        for book in condemned {
            writes.push(Write::Delete { key: keys::collection(book) });
            let value = rows::encode(&PurgeRow { home: false });
            writes.push(Write::Put { key: keys::purge(book), value, stamp: None });
        }
        self.engine.commit(Batch { writes, ..Batch::default() }).await?;
        Ok(())
    }

    /// The first rows of a range.
    async fn some(&self, range: KeyRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let reader = self.read().await?;
        reader
            .fold(range, Extent::Many, Vec::new(), |rows: &mut Vec<_>, key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                Ok(if rows.len() < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })
            .await
    }
}
