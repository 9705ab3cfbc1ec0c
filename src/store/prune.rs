//! Forgets the names of what was removed long ago. All names that a collection lost in one period
//! share a key; when the period has been over for long enough, its tombstones and their log rows go,
//! the collection's floor rises over them, so that tokens from before are refused (SYNC-16), and the
//! key is destroyed. Goes in small steps; a kill between two loses nothing. No value is opened.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::id::{CollectionId, Revision};

use super::codec;
use super::derive::period;
use super::engine::{Batch, Extent, Guard, Outcome, Write};
use super::keys::{self, Table};
use super::keyslots::Slot;
use super::owner::Owner;
use super::query::Reader;
use super::rows::{self, CollectionRow, NamesRow};
use super::{Store, StoreError};

/// How many removals a step forgets.
const STEP: usize = 256;

/// How often a step is tried again while others change the same rows.
const ROUNDS: usize = 64;

/// A removal whose name is to be forgotten.
struct Old {
    key: Vec<u8>,
    value: Vec<u8>,
    revision: u64,
}

/// The first period that is not to be forgotten yet: every earlier one ended `days` ago or longer.
fn first_kept(at: Timestamp, days: u32) -> u32 {
    const DAY: i64 = 86_400 * 1_000_000;
    period(rows::micros(at).saturating_sub(i64::from(days).saturating_mul(DAY)))
}

/// The period of a tombstone's time.
fn period_of(value: &[u8]) -> Option<u32> {
    let (_, rest) = codec::stamp(value).ok()?;
    Some(period(i64::from_be_bytes(*rest.first_chunk::<8>()?)))
}

impl Store {
    /// Forgets the names of what was removed more than `days` ago, give or take a period; answers
    /// how many. What others keep changing meanwhile is left to the next time.
    pub async fn prune(&self, at: Timestamp, days: u32) -> Result<usize, StoreError> {
        let kept = first_kept(at, days);
        let mut count = 0;
        for (collection, periods) in self.expired(kept).await? {
            match self.prune_collection(collection, &periods, kept, at).await {
                Ok(forgotten) => count += forgotten,
                // `check` tells of it; the others' names are forgotten all the same.
                Err(StoreError::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    async fn prune_collection(
        &self,
        id: CollectionId,
        periods: &[u32],
        kept: u32,
        at: Timestamp,
    ) -> Result<usize, StoreError> {
        let count = self.prune_removals(id, kept).await?;
        self.prune_keys(id, periods, at).await?;
        Ok(count)
    }

    /// The collections that have keys for names of periods before that one, and the periods.
    async fn expired(&self, kept: u32) -> Result<BTreeMap<CollectionId, Vec<u32>>, StoreError> {
        type Found = BTreeMap<CollectionId, Vec<u32>>;
        let step = move |found: &mut Found, key: &[u8], _: &[u8]| {
            if let (Some(id), Some(period)) = (keys::owner(key), keys::period(key))
                && period < kept
            {
                found.entry(CollectionId::from_bytes(id)).or_default().push(period);
            }
            Ok(ControlFlow::Continue(()))
        };
        self.read().await?.fold(keys::whole(Table::Names), Extent::Many, Found::new(), step).await
    }

    /// Takes the removals of old periods out of a collection's log, and raises its floor.
    async fn prune_removals(&self, id: CollectionId, kept: u32) -> Result<usize, StoreError> {
        let (mut count, mut tries) = (0, 0);
        let mut after = None;
        loop {
            let reader = self.read().await?;
            let old = reader.old_removals(id, kept, after.clone()).await?;
            let Some(last) = old.last().map(|old| old.key.clone()) else { return Ok(count) };
            let Some((value, mut row)) = self.collection_row(&reader, id).await? else { return Ok(count) };
            drop(reader);
            row.floor = old.iter().fold(row.floor, |floor, old| floor.max(old.revision));
            let key = keys::collection(id);
            let anew = self.sealer.encode(&key, &row);
            let mut batch = Batch {
                guards: vec![(key.clone(), Guard::Is(value))],
                writes: vec![Write::Put { key, value: anew, stamp: None }],
                ..Batch::default()
            };
            let forgotten = old.len();
            for old in old {
                batch.writes.push(Write::Delete { key: keys::change(id, Revision(old.revision)) });
                batch.writes.push(Write::Delete { key: old.key.clone() });
                // A name that comes back takes its tombstone away, and may leave a new one.
                batch.guards.push((old.key, Guard::Is(old.value.into())));
            }
            match self.engine.commit(batch).await? {
                Outcome::Applied(_) => (count, after, tries) = (count + forgotten, Some(last), 0),
                Outcome::Moved if tries == ROUNDS => return Ok(count),
                Outcome::Moved => tries += 1,
            }
        }
    }

    /// Destroys the keys of periods that no tombstone is left of.
    async fn prune_keys(&self, id: CollectionId, periods: &[u32], at: Timestamp) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let reader = self.read().await?;
            if self.collection_row(&reader, id).await?.is_none() {
                // Its purge destroys them.
                return Ok(());
            }
            let used = reader.periods_in_use(id).await?;
            let idle = periods.iter().filter(|period| !used.contains(period));
            let wanted: Vec<_> = idle.map(|period| keys::names(id, *period)).collect();
            let revision = reader.get(vec![keys::revision(id)]).await?.pop().flatten();
            let values = reader.get(wanted.clone()).await?;
            drop(reader);
            // Every removal counts the revision up: none has come since.
            let revision = (keys::revision(id), revision.map_or(Guard::Absent, Guard::Is));
            let mut batch = Batch { guards: vec![revision], ..Batch::default() };
            for (key, value) in wanted.into_iter().zip(values) {
                if let Some(value) = value {
                    self.destroy_names(id, key, value, at, &mut batch)?;
                }
            }
            if batch.writes.is_empty() {
                return Ok(());
            }
            if let Outcome::Applied(_) = self.engine.commit(batch).await? {
                self.erase_again();
                return Ok(());
            }
        }
        Ok(())
    }

    fn destroy_names(
        &self,
        id: CollectionId,
        key: Vec<u8>,
        value: Bytes,
        at: Timestamp,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let Some(period) = keys::period(&key) else { return Ok(()) };
        let slot = Slot(self.sealer.decode::<NamesRow>(&key, &value)?.slot);
        let owner = Owner::names(*id.as_bytes(), period);
        let of_slot = keys::slot(slot);
        // The slot must still be this owner's: nobody else's key is destroyed.
        let held = Guard::Is(self.sealer.encode_slot(slot, owner).into());
        batch.guards.extend([(key.clone(), Guard::Is(value)), (of_slot.clone(), held)]);
        batch.writes.extend([Write::Delete { key }, Write::Delete { key: of_slot }]);
        for key in [keys::doomed(slot), keys::erased(owner)] {
            let value = self.sealer.encode_erased(&key, rows::micros(at));
            batch.writes.push(Write::Put { key, value, stamp: None });
        }
        Ok(())
    }

    /// A collection's row, as it is stored and as it reads.
    async fn collection_row(
        &self,
        reader: &Reader,
        id: CollectionId,
    ) -> Result<Option<(Bytes, CollectionRow)>, StoreError> {
        let key = keys::collection(id);
        let value = reader.get(vec![key.clone()]).await?.pop().flatten();
        value.map(|value| self.sealer.decode(&key, &value).map(|row| (value, row))).transpose()
    }
}

impl Reader {
    /// The next removals of periods before that one, in the order of their keys.
    async fn old_removals(
        &self,
        id: CollectionId,
        kept: u32,
        after: Option<Vec<u8>>,
    ) -> Result<Vec<Old>, StoreError> {
        let mut range = keys::under(Table::Tombstone, id.as_bytes());
        if let Some(mut after) = after {
            after.push(0);
            range.start = after;
        }
        let step = move |found: &mut Vec<Old>, key: &[u8], value: &[u8]| {
            if period_of(value).is_some_and(|period| period < kept) {
                let (revision, _) = codec::stamp(value)?;
                found.push(Old { key: key.to_vec(), value: value.to_vec(), revision });
            }
            Ok(if found.len() < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        self.fold(range, Extent::Many, Vec::new(), step).await
    }

    /// The periods that tombstones of a collection are of.
    async fn periods_in_use(&self, id: CollectionId) -> Result<HashSet<u32>, StoreError> {
        let range = keys::under(Table::Tombstone, id.as_bytes());
        let step = |found: &mut HashSet<u32>, _: &[u8], value: &[u8]| {
            found.extend(period_of(value));
            Ok(ControlFlow::Continue(()))
        };
        self.fold(range, Extent::Many, HashSet::new(), step).await
    }
}
