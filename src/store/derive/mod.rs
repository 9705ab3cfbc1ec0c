//! From a commit to a batch: reads what the ops touch, in sets, remembers it as guards, and writes
//! every row that follows. One file a room of ops.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::codec::{self, Kept, KeptRecord};
use super::commit::{At, CardOp, Commit, Committed, Fact, FactState, Op, Unmet};
use super::engine::{Batch, Guard, Snapshot, Stamp, Write};
use super::erase::Taken;
use super::events;
use super::keys::{self, Hash};
use super::keyslots::Slot;
use super::owner::Owner;
use super::rows::{self, AppPasswordRow, ChangeRow, CollectionRow, NamesRow, TombstoneRow};
use super::seal::Sealer;
use super::search::{News, What};
use super::{StoreError, calls};

use self::contact::Numbered;

use crate::domain::event::Event;
use crate::domain::id::{CollectionId, ContactId, Etag, MemberName, Revision};

pub(super) use contact::MOVE;
pub(super) use past::HISTORY;

mod account;
mod card;
mod collection;
mod contact;
mod definition;
mod mirror;
mod past;
mod properties;
mod salvage;
mod uid;

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

/// What a commit comes to.
pub(super) struct Derived {
    /// What the engine is to do.
    pub(super) batch: Batch,
    /// What it means to whoever asked for it.
    pub(super) committed: Committed,
    /// What it means to the search indexes: one for each of the batch's first counters.
    pub(super) news: Vec<News>,
    /// The contacts that it touches.
    pub(super) told: Vec<ContactId>,
}

/// A batch in the making.
pub(super) struct Derivation<'a> {
    commit: &'a Commit,
    snapshot: &'a dyn Snapshot,
    sealer: &'a Sealer,
    /// What was read, each a guard of the batch.
    read: HashMap<Vec<u8>, Option<Bytes>>,
    /// A card that a fact was about, opened: most often the op is about it too.
    judged: Option<(Vec<u8>, Kept)>,
    batch: Batch,
    /// The members that this commit logs, since a member has one log row.
    logged: HashSet<(CollectionId, Hash)>,
    /// The key slots that this commit takes.
    taken: &'a mut Taken,
    /// Key slots for names that this commit lays, which it cannot read back.
    names: HashMap<Vec<u8>, Slot>,
    committed: Committed,
    /// What is logged, one for each of the batch's counters; those of numbers and events follow.
    news: Vec<News>,
    /// Contacts that get their number with this commit.
    numbered: Vec<Numbered>,
    /// Records that there were, as they are to be.
    records: BTreeMap<ContactId, KeptRecord>,
    /// The contacts that are touched.
    told: Vec<ContactId>,
}

impl<'a> Derivation<'a> {
    /// Derives the batch of `commit` from what `snapshot` shows.
    pub(super) async fn of(
        commit: &'a Commit,
        snapshot: &'a dyn Snapshot,
        sealer: &'a Sealer,
        taken: &'a mut Taken,
    ) -> Step<Derived> {
        let mut this = Self {
            commit,
            snapshot,
            sealer,
            read: HashMap::new(),
            judged: None,
            batch: Batch::default(),
            logged: HashSet::new(),
            taken,
            names: HashMap::new(),
            committed: Committed::default(),
            news: Vec::new(),
            numbered: Vec::new(),
            records: BTreeMap::new(),
            told: Vec::new(),
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
                Op::Definition(op) => this.definition(op).await?,
                Op::Job(op) => this.job(op).await?,
            }
        }
        this.number()?;
        for event in &commit.events {
            this.tell(event)?;
        }
        this.batch.may_add = deleting(&commit.ops);
        this.batch.guards =
            this.read.into_iter().map(|(key, value)| (key, value.map_or(Guard::Absent, Guard::Is))).collect();
        Ok(Derived { batch: this.batch, committed: this.committed, news: this.news, told: this.told })
    }

    /// The keys that can be named without having read anything, so that one call gets them all.
    fn first_keys(&self) -> Vec<Vec<u8>> {
        let facts = self.commit.expect.iter().flat_map(|e| e.0.iter().flatten());
        let mut wanted: Vec<_> = facts.filter_map(|fact| self.fact_key(fact)).collect();
        for op in &self.commit.ops {
            match op {
                Op::Card(op) => self.card_keys(op, &mut wanted),
                Op::Collection(op) => self.collection_keys(op, &mut wanted),
                Op::Properties(_) | Op::Account(_) | Op::Definition(_) | Op::Job(_) => {}
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
            (At::Collection(id), _) => keys::collection(*id),
            (At::Card(home, name) | At::Link(home, name), _) => self.member_key(*home, name),
            (At::AppPassword(account, id), _) => keys::app_password_of(&account.0, &id.0),
        })
    }

    async fn holds(&mut self, fact: &Fact) -> Step<bool> {
        let Some(key) = self.fact_key(fact) else {
            return Ok(false);
        };
        let (Some(at), Some(value)) = (&fact.at, self.value(key.clone()).await?) else {
            return Ok(false);
        };
        Ok(match (&fact.state, at) {
            (FactState::Exists, _) => true,
            (FactState::EtagIn(tags), At::Card(book, name)) => match self.sealer.decode_card(&key, &value) {
                Err(StoreError::Damaged(_) | StoreError::Erased) => {
                    let member = self.sealer.member(book.as_bytes(), name);
                    tags.contains(&self.etag_of_remains(*book, &member).await?)
                }
                card => {
                    let card = card?;
                    let etag = Etag(card.row.etag);
                    self.judged = Some((key, card));
                    tags.contains(&etag)
                }
            },
            (FactState::UnmodifiedSince(time), At::Card(..)) => {
                let card = self.sealer.decode_card(&key, &value)?;
                // HTTP dates count whole seconds.
                rows::time(card.row.modified).as_second() <= time.as_second()
            }
            (FactState::At(of, revision), At::Collection(id)) => self.is_at(*id, *of, *revision).await?,
            (FactState::At(of, revision), At::Link(..)) => {
                let (_, row) = self.sealer.decode_link(&key, &value)?;
                let id = CollectionId::from_bytes(row.collection);
                self.is_at(id, *of, *revision).await?
            }
            (FactState::Holds(book), At::Link(..)) => {
                let (_, row) = self.sealer.decode_link(&key, &value)?;
                row.collection == *book.as_bytes()
            }
            (FactState::ShownAs(row), At::Collection(_)) => {
                self.sealer.decode::<CollectionRow>(&key, &value)?.is_shown_as(row)
            }
            (FactState::SaysAs(row), At::AppPassword(..)) => {
                self.sealer.decode_sealed::<AppPasswordRow>(&key, &value)?.says_as(row)
            }
            _ => false,
        })
    }

    /// Whether a collection has that identity and is at that revision; one that never changed has no
    /// counter row yet.
    async fn is_at(&mut self, id: CollectionId, identity: CollectionId, revision: Revision) -> Step<bool> {
        self.fetch(vec![keys::collection(id), keys::revision(id)]).await?;
        let key = keys::collection(id);
        let Some(value) = self.value(key.clone()).await? else { return Ok(false) };
        if self.sealer.decode::<CollectionRow>(&key, &value)?.identity != *identity.as_bytes() {
            return Ok(false);
        }
        Ok(match self.value(keys::revision(id)).await? {
            Some(value) => value.as_ref() == revision.0.to_be_bytes(),
            None => revision.0 == 0,
        })
    }

    /// The same, unless it is a smart book, whose cards nobody writes.
    async fn need_book(&mut self, id: CollectionId) -> Step<CollectionRow> {
        let row = self.need_collection(id).await?;
        match row.smart {
            None => Ok(row),
            Some(_) => Err(Halt::Unmet(Unmet::NoCollection)),
        }
    }

    /// The same, unless it is a calendar, whose objects are no contacts.
    async fn need_address_book(&mut self, id: CollectionId) -> Step<CollectionRow> {
        let row = self.need_book(id).await?;
        match row.calendar {
            false => Ok(row),
            true => Err(Halt::Unmet(Unmet::NoCollection)),
        }
    }

    fn member_key(&self, collection: CollectionId, name: &MemberName) -> Vec<u8> {
        keys::member(collection, &self.sealer.member(collection.as_bytes(), name))
    }

    /// Fails unless the collection is there; its row becomes a guard.
    async fn need_collection(&mut self, id: CollectionId) -> Step<CollectionRow> {
        let key = keys::collection(id);
        match self.value(key.clone()).await? {
            Some(value) => Ok(self.sealer.decode(&key, &value)?),
            None => Err(Halt::Unmet(Unmet::NoCollection)),
        }
    }

    /// Takes a key slot for an owner that has none yet.
    fn new_key(&mut self, owner: Owner) -> Step<Slot> {
        let slot = self.taken.take()?;
        let key = keys::slot(slot);
        // The file of slots and this table must never tell of two owners; and a slot whose former
        // key was overwritten, but which still waits for it in the table, would be overwritten again.
        self.read.extend([(key.clone(), None), (keys::doomed(slot), None)]);
        let value = self.sealer.encode_slot(slot, owner);
        self.put(key, value);
        Ok(slot)
    }

    /// Erases: the key goes with this commit, and with it every copy of what it sealed. The slot is
    /// overwritten soon after (`erase.rs`).
    fn destroy_key(&mut self, slot: Slot, owner: Owner) {
        let at = rows::micros(self.commit.at);
        self.delete(keys::slot(slot));
        let (doomed, erased) = (keys::doomed(slot), keys::erased(owner));
        let (of_doomed, of_erased) =
            (self.sealer.encode_erased(&doomed, at), self.sealer.encode_erased(&erased, at));
        self.put(doomed, of_doomed);
        self.put(erased, of_erased);
    }

    /// The key slot for names that a collection loses now.
    async fn names_key(&mut self, collection: CollectionId) -> Step<Slot> {
        let period = period(rows::micros(self.commit.at));
        let key = keys::names(collection, period);
        if let Some(slot) = self.names.get(&key) {
            return Ok(*slot);
        }
        if let Some(value) = self.value(key.clone()).await? {
            return Ok(Slot(self.sealer.decode::<NamesRow>(&key, &value)?.slot));
        }
        let slot = self.new_key(Owner::names(*collection.as_bytes(), period))?;
        let value = self.sealer.encode(&key, &NamesRow { slot: slot.0 });
        self.put(key.clone(), value);
        self.names.insert(key, slot);
        Ok(slot)
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
        what: What,
    ) -> Step<()> {
        let counter = self.log(collection, member, before, what).await?;
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
        let counter = self.log(collection, member, Some(before), What::Gone).await?;
        self.delete(keys::member(collection, &member));
        let row = TombstoneRow { name: name.as_str().to_owned(), at: rows::micros(self.commit.at) };
        let slot = self.names_key(collection).await?;
        let key = keys::tombstone(collection, &member);
        let value = self.sealer.encode_tombstone(slot, &key, &row)?;
        let stamp = Some(Stamp { counter, in_key: false, in_value: Some(0) });
        self.batch.writes.push(Write::Put { key, value, stamp });
        Ok(())
    }

    /// Writes an event under the next number. Called after everything that is logged.
    fn tell(&mut self, event: &Event) -> Step<()> {
        let counter = self.batch.counters.len();
        self.batch.counters.push(keys::event_counter());
        let value = self.sealer.encode_event(&events::row(event))?;
        let stamp = Some(Stamp { counter, in_key: true, in_value: Some(0) });
        self.batch.writes.push(Write::Put { key: keys::event_counter(), value, stamp });
        Ok(())
    }

    async fn log(
        &mut self,
        collection: CollectionId,
        member: Hash,
        before: Option<u64>,
        what: What,
    ) -> Step<usize> {
        let removed = matches!(what, What::Gone);
        if !self.logged.insert((collection, member)) {
            return Err(Halt::Failed(StoreError::Malformed("a member is touched twice")));
        }
        let tombstone = keys::tombstone(collection, &member);
        if let Some(value) = self.value(tombstone.clone()).await? {
            let (revision, _) = codec::stamp(&value)?;
            self.delete(keys::change(collection, Revision(revision)));
            self.delete(tombstone);
        }
        if let Some(revision) = before {
            self.delete(keys::change(collection, Revision(revision)));
        }
        let counter = self.batch.counters.len();
        self.batch.counters.push(keys::revision(collection));
        self.news.push(News { collection, member, what });
        let key = keys::change_stem(collection);
        let value = self.sealer.encode(&key, &ChangeRow { member, removed });
        let stamp = Some(Stamp { counter, in_key: true, in_value: None });
        self.batch.writes.push(Write::Put { key, value, stamp });
        Ok(counter)
    }
}

/// How much a contact may leave behind where there is only room for what makes room: what goes into the
/// trash, or moves, keeps what its record was, its earlier body, and where it came from.
const LEFT_BEHIND: usize = 16 * 1024;

/// How many octets a commit that only deletes may add.
fn deleting(ops: &[Op]) -> usize {
    let deletes =
        |op: &Op| matches!(op, Op::Card(CardOp::Remove { .. } | CardOp::Trash { .. } | CardOp::Adopt { .. }));
    // Who deletes says what was read: a record that stays the same is no change.
    let same = |op: &Op| match op {
        Op::Card(CardOp::Record { change, .. }) => change.before.as_ref() == Some(&change.after),
        _ => false,
    };
    match ops.iter().all(|op| deletes(op) || same(op)) {
        true => ops.iter().filter(|op| deletes(op)).count().saturating_mul(LEFT_BEHIND),
        false => 0,
    }
}

/// How long the names that a collection loses share a key, in microseconds.
pub(super) const PERIOD: i64 = 7 * 86_400 * 1_000_000;

/// The period that a time lies in.
pub(super) fn period(micros: i64) -> u32 {
    u32::try_from(micros.div_euclid(PERIOD).max(0)).unwrap_or(u32::MAX)
}
