//! From a commit to a batch: reads what the ops touch, in sets, remembers it as guards, and writes
//! every row that follows. One file a room of ops.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::commit::{At, Commit, Committed, Fact, FactState, Op, Unmet};
use super::engine::{Batch, Guard, Snapshot, Stamp, Write};
use super::keys::{self, Hash};
use super::rows::{self, CardRow, ChangeRow, LinkRow, TombstoneRow};
use super::seal::Sealer;
use super::{StoreError, calls};

use crate::domain::id::{CollectionId, Etag, MemberName, Revision};

pub(super) use card::{HISTORY, contact_rows};

mod account;
mod card;
mod collection;
mod properties;

/// Why a derivation ended without a batch.
pub(super) enum Halt {
    Unmet(Unmet),
    Failed(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<super::engine::EngineError> for Halt {
    fn from(error: super::engine::EngineError) -> Self {
        Self::Failed(error.into())
    }
}

type Step<T> = Result<T, Halt>;

/// A batch in the making.
pub(super) struct Derivation<'a> {
    commit: &'a Commit,
    snapshot: &'a dyn Snapshot,
    sealer: &'a Sealer,
    /// What was read, each a guard of the batch.
    read: HashMap<Vec<u8>, Option<Bytes>>,
    batch: Batch,
    /// The members that this commit logs, since a member has one log row.
    logged: HashSet<(CollectionId, Hash)>,
    committed: Committed,
}

impl<'a> Derivation<'a> {
    /// Derives the batch of `commit` from what `snapshot` shows.
    pub(super) async fn of(
        commit: &'a Commit,
        snapshot: &'a dyn Snapshot,
        sealer: &'a Sealer,
    ) -> Step<(Batch, Committed)> {
        let mut this = Self {
            commit,
            snapshot,
            sealer,
            read: HashMap::new(),
            batch: Batch::default(),
            logged: HashSet::new(),
            committed: Committed::default(),
        };
        this.fetch(this.first_keys()).await?;
        for expect in &commit.expect {
            let mut met = false;
            for list in &expect.0 {
                met = met || this.all_hold(list).await?;
            }
            if !met {
                return Err(Halt::Unmet(Unmet::Expectation));
            }
        }
        for op in &commit.ops {
            match op {
                Op::Card(op) => this.card(op).await?,
                Op::Collection(op) => this.collection(op).await?,
                Op::Properties(op) => this.properties(op).await?,
                Op::Account(op) => this.account(op).await?,
            }
        }
        this.batch.guards =
            this.read.into_iter().map(|(key, value)| (key, value.map_or(Guard::Absent, Guard::Is))).collect();
        Ok((this.batch, this.committed))
    }

    /// The keys that can be named without having read anything, so that one call gets them all.
    fn first_keys(&self) -> Vec<Vec<u8>> {
        let facts = self.commit.expect.iter().flat_map(|e| e.0.iter().flatten());
        let mut wanted: Vec<_> = facts.filter_map(|fact| self.fact_key(fact)).collect();
        for op in &self.commit.ops {
            match op {
                Op::Card(op) => self.card_keys(op, &mut wanted),
                Op::Collection(op) => self.collection_keys(op, &mut wanted),
                Op::Properties(_) | Op::Account(_) => {}
            }
        }
        wanted
    }

    /// Reads the keys that are not read yet, in one call.
    async fn fetch(&mut self, mut wanted: Vec<Vec<u8>>) -> Step<()> {
        wanted.retain(|key| !self.read.contains_key(key));
        if wanted.is_empty() {
            return Ok(());
        }
        calls::bump();
        let values = self.snapshot.get(wanted.clone()).await?;
        self.read.extend(wanted.into_iter().zip(values));
        Ok(())
    }

    /// The value of one key, read now if it was not yet.
    async fn value(&mut self, key: Vec<u8>) -> Step<Option<Bytes>> {
        self.fetch(vec![key.clone()]).await?;
        Ok(self.read.get(&key).cloned().flatten())
    }

    /// A value that another guard already covers, so that it needs none of its own.
    async fn unguarded(&self, key: Vec<u8>) -> Step<Option<Bytes>> {
        calls::bump();
        Ok(self.snapshot.get(vec![key]).await?.pop().flatten())
    }

    async fn all_hold(&mut self, facts: &[Fact]) -> Step<bool> {
        for fact in facts {
            if self.holds(fact).await? == fact.negate {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fact_key(&self, fact: &Fact) -> Option<Vec<u8>> {
        Some(match (fact.at.as_ref()?, &fact.state) {
            (At::Collection(id), FactState::At(..)) => keys::revision(*id),
            (At::Collection(id), _) => keys::collection(*id),
            (At::Card(home, name) | At::Link(home, name), _) => self.member_key(*home, name),
        })
    }

    async fn holds(&mut self, fact: &Fact) -> Step<bool> {
        let Some(key) = self.fact_key(fact) else {
            return Ok(false);
        };
        let value = self.value(key).await?;
        let (Some(at), Some(value)) = (&fact.at, value) else {
            // A collection that never changed has no counter row yet.
            return Ok(matches!((&fact.at, &fact.state),
                (Some(At::Collection(id)), FactState::At(of, Revision(0))) if id == of));
        };
        Ok(match (&fact.state, at) {
            (FactState::Exists, _) => true,
            (FactState::EtagIn(tags), At::Card(..)) => {
                let (_, row) = rows::decode_slotted::<CardRow>(&value)?;
                tags.contains(&Etag(row.etag))
            }
            (FactState::UnmodifiedSince(time), At::Card(..)) => {
                let (_, row) = rows::decode_slotted::<CardRow>(&value)?;
                // HTTP dates count whole seconds.
                rows::time(row.modified).as_second() <= time.as_second()
            }
            (FactState::At(of, revision), At::Collection(id)) => {
                of == id && value.as_ref() == revision.0.to_be_bytes()
            }
            (FactState::At(of, revision), At::Link(..)) => {
                let (_, row) = rows::decode_slotted::<LinkRow>(&value)?;
                row.collection == *of.as_bytes() && self.is_at(*of, *revision).await?
            }
            _ => false,
        })
    }

    /// Whether a collection is at a revision; one that never changed has no counter row yet.
    async fn is_at(&mut self, id: CollectionId, revision: Revision) -> Step<bool> {
        Ok(match self.value(keys::revision(id)).await? {
            Some(value) => value.as_ref() == revision.0.to_be_bytes(),
            None => revision.0 == 0,
        })
    }

    fn member_key(&self, collection: CollectionId, name: &MemberName) -> Vec<u8> {
        keys::member(collection, &self.sealer.member(collection.as_bytes(), name))
    }

    /// Fails unless the collection is there; its row becomes a guard.
    async fn need_collection(&mut self, id: CollectionId) -> Step<rows::CollectionRow> {
        match self.value(keys::collection(id)).await? {
            Some(value) => Ok(rows::decode(&value)?),
            None => Err(Halt::Unmet(Unmet::NoCollection)),
        }
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch.writes.push(Write::Put { key, value, stamp: None });
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.batch.writes.push(Write::Delete { key });
    }

    /// Logs that a member came or changed: its row, with the new revision, and the log's row. The
    /// member's former log row, at `before`, goes: the log has one row a name (SYNC-16).
    async fn log_changed(
        &mut self,
        collection: CollectionId,
        member: Hash,
        row: Vec<u8>,
        before: Option<u64>,
    ) -> Step<()> {
        let counter = self.log(collection, member, false, before).await?;
        let stamp = Some(Stamp { counter, in_key: false, in_value: Some(0) });
        self.batch.writes.push(Write::Put { key: keys::member(collection, &member), value: row, stamp });
        Ok(())
    }

    /// Logs that a member went, and leaves its tombstone.
    async fn log_removed(
        &mut self,
        collection: CollectionId,
        member: Hash,
        name: &MemberName,
        before: u64,
    ) -> Step<()> {
        let counter = self.log(collection, member, true, Some(before)).await?;
        self.delete(keys::member(collection, &member));
        let row = TombstoneRow { name: name.as_str().to_owned(), at: rows::micros(self.commit.at) };
        let (key, value) = (keys::tombstone(collection, &member), rows::encode_slotted(&row));
        let stamp = Some(Stamp { counter, in_key: false, in_value: Some(0) });
        self.batch.writes.push(Write::Put { key, value, stamp });
        Ok(())
    }

    async fn log(
        &mut self,
        collection: CollectionId,
        member: Hash,
        removed: bool,
        before: Option<u64>,
    ) -> Step<usize> {
        if !self.logged.insert((collection, member)) {
            return Err(Halt::Failed(StoreError::Malformed("a member is touched twice")));
        }
        let tombstone = keys::tombstone(collection, &member);
        if let Some(value) = self.value(tombstone.clone()).await? {
            let (revision, _) = rows::decode_slotted::<TombstoneRow>(&value)?;
            self.delete(keys::change(collection, Revision(revision)));
            self.delete(tombstone);
        }
        if let Some(revision) = before {
            self.delete(keys::change(collection, Revision(revision)));
        }
        let counter = self.batch.counters.len();
        self.batch.counters.push(keys::revision(collection));
        let value = rows::encode(&ChangeRow { member, removed });
        let stamp = Some(Stamp { counter, in_key: true, in_value: None });
        self.batch.writes.push(Write::Put { key: keys::change_stem(collection), value, stamp });
        Ok(counter)
    }
}
