//! What is kept of the members of collections, in memory and nowhere else: made at the first question
//! about a collection, and brought up to the change log of the snapshot at each one after it, so that a
//! member that changed costs one reading. Must not know what is kept: that is [`Keep`]'s business.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as Turn;

use crate::domain::id::{CollectionId, Revision};

use super::StoreError;
use super::damage::Found;
use super::keys::Hash;
use super::log::LogRange;
use super::query::{Card, Collection, Reader, With};

/// How many members are read at a time.
const CHUNK: usize = 64;

/// How many lines of a log are looked at together.
const LINES: usize = 256;

/// With more changed members than this, what is kept is made anew.
const ANEW: usize = 4_096;

/// What is kept of a member.
pub trait Keep: Clone + Send + Sync + Sized + 'static {
    /// What reading many members goes more quickly with.
    type Tools: Default + Send + Sync;

    /// The member, by its name's hash.
    fn member(&self) -> Hash;

    /// What is kept of a member that was read with its octets; `None` where nothing is.
    fn read(
        tools: &Self::Tools,
        reader: &Reader,
        of: CollectionId,
        member: Hash,
        card: &Card,
    ) -> Option<Self>;

    /// What is kept of a member that cannot be read, of which something was kept before or nothing.
    fn unread(member: Hash, before: Option<&Self>) -> Option<Self>;

    /// What is kept of all members of a collection.
    fn whole(
        reader: &Reader,
        at: Position,
    ) -> impl Future<Output = Result<Followed<Self>, StoreError>> + Send {
        Followed::by_log(reader, at)
    }
}

/// Where a collection is in its change log.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// The collection.
    pub collection: CollectionId,
    /// What its log is called.
    pub identity: [u8; 16],
    /// Removals up to this revision are forgotten.
    pub floor: Revision,
    /// How far the log goes.
    pub revision: Revision,
}

impl Position {
    /// That of a collection as a snapshot shows it.
    pub fn of(collection: &Collection) -> Self {
        Self {
            collection: collection.id,
            identity: collection.row.identity,
            floor: Revision(collection.row.floor),
            revision: collection.revision,
        }
    }
}

/// What is kept of the members of one collection, as of a revision.
#[derive(Clone)]
pub struct Followed<E> {
    upto: Revision,
    /// What the change log that it follows is called.
    identity: [u8; 16],
    entries: Vec<E>,
    places: HashMap<Hash, usize>,
}

/// What is kept of one collection, held by who brings it up to date.
pub(super) type Held<E> = Turn<Option<Arc<Followed<E>>>>;

/// What is kept of all collections that were asked about.
pub struct Follows<E>(Mutex<HashMap<CollectionId, Arc<Held<E>>>>);

impl<E> Default for Follows<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<E: Keep> Follows<E> {
    /// The collections of which something is kept.
    pub fn known(&self) -> Vec<CollectionId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Lets go of what is kept of a collection: it is gone.
    pub fn forget(&self, collection: CollectionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&collection);
    }

    /// What is kept of a collection, as the snapshot shows it; `None` where others were quicker, and what
    /// is kept is of a newer one.
    pub async fn at(&self, reader: &Reader, at: Position) -> Result<Option<Arc<Followed<E>>>, StoreError> {
        let turn = self.of(at.collection);
        let mut held = turn.lock().await;
        if held.as_ref().is_some_and(|known| known.is_past(&at)) {
            return Ok(None);
        }
        bring_up(&mut held, reader, at).await.map(Some)
    }

    /// What is kept of a collection, of whatever revision.
    #[cfg(test)]
    pub async fn kept_of(&self, collection: CollectionId) -> Option<Arc<Followed<E>>> {
        self.of(collection).lock().await.clone()
    }

    pub(super) fn of(&self, collection: CollectionId) -> Arc<Held<E>> {
        let mut collections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collections.entry(collection).or_default().clone()
    }
}

/// Brings what is kept to where the snapshot is, which must not be older.
pub(super) async fn bring_up<E: Keep>(
    held: &mut Option<Arc<Followed<E>>>,
    reader: &Reader,
    at: Position,
) -> Result<Arc<Followed<E>>, StoreError> {
    let news = match held {
        Some(known) => known.news(reader, &at).await?,
        None => None,
    };
    // Nobody breaks off between taking and putting back.
    let followed = match (held.take(), news) {
        (Some(known), Some(_)) if known.upto == at.revision => known,
        (Some(mut known), Some(news)) => {
            let followed = Arc::make_mut(&mut known);
            news.into_iter().for_each(|(member, entry)| followed.set(member, entry));
            followed.upto = at.revision;
            known
        }
        (known, _) => {
            drop(known);
            Arc::new(E::whole(reader, at).await?)
        }
    };
    *held = Some(followed.clone());
    Ok(followed)
}

impl<E: Keep> Followed<E> {
    /// Of no member yet.
    pub(super) fn new(at: &Position) -> Self {
        Self { upto: at.revision, identity: at.identity, entries: Vec::new(), places: HashMap::new() }
    }

    /// How many members something is kept of.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is kept, in no order.
    pub fn entries(&self) -> &[E] {
        &self.entries
    }

    /// What is kept of a member.
    pub fn get(&self, member: &Hash) -> Option<&E> {
        self.places.get(member).and_then(|place| self.entries.get(*place))
    }

    /// Keeps that of a member, and nothing else.
    pub(super) fn set(&mut self, member: Hash, entry: Option<E>) {
        match (self.places.get(&member).copied(), entry) {
            (Some(place), Some(entry)) => {
                if let Some(known) = self.entries.get_mut(place) {
                    *known = entry;
                }
            }
            (None, Some(entry)) => {
                self.places.insert(member, self.entries.len());
                self.entries.push(entry);
            }
            (Some(place), None) => {
                self.places.remove(&member);
                self.entries.swap_remove(place);
                if let Some(moved) = self.entries.get(place) {
                    self.places.insert(moved.member(), place);
                }
            }
            (None, None) => {}
        }
    }

    fn is_past(&self, at: &Position) -> bool {
        self.identity == at.identity && self.upto > at.revision
    }

    /// All members that a collection's log tells of.
    async fn by_log(reader: &Reader, at: Position) -> Result<Self, StoreError> {
        let mut followed = Self::new(&at);
        let mut since = Revision(0);
        loop {
            let range = LogRange { since, began: at.revision, limit: Some(LINES) };
            let (lines, more) = reader.log_lines(at.collection, range).await?;
            let there: Vec<_> =
                lines.iter().filter(|(_, row)| !row.removed).map(|(_, row)| row.member).collect();
            let read = followed.read(reader, at.collection, &there).await?;
            read.into_iter().for_each(|(member, entry)| followed.set(member, entry));
            // All of it is one long piece of work where the store answers at once.
            tokio::task::yield_now().await;
            match lines.last() {
                Some((last, _)) if more => since = Revision(*last),
                _ => return Ok(followed),
            }
        }
    }

    /// What became of members up to a position; `None` where that cannot be told, or is too much.
    async fn news(
        &self,
        reader: &Reader,
        at: &Position,
    ) -> Result<Option<Vec<(Hash, Option<E>)>>, StoreError> {
        if self.identity != at.identity || self.upto < at.floor {
            return Ok(None);
        }
        if self.upto == at.revision {
            return Ok(Some(Vec::new()));
        }
        let range = LogRange { since: self.upto, began: Revision(0), limit: Some(ANEW) };
        let lines = match reader.log_lines(at.collection, range).await {
            Ok((lines, false)) => lines,
            Ok((_, true)) | Err(StoreError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (gone, there): (Vec<_>, Vec<_>) =
            lines.into_iter().map(|(_, row)| row).partition(|row| row.removed);
        let there: Vec<_> = there.into_iter().map(|row| row.member).collect();
        let mut news = self.read(reader, at.collection, &there).await?;
        news.extend(gone.into_iter().map(|row| (row.member, None)));
        Ok(Some(news))
    }

    /// What is to be kept of these members.
    async fn read(
        &self,
        reader: &Reader,
        of: CollectionId,
        members: &[Hash],
    ) -> Result<Vec<(Hash, Option<E>)>, StoreError> {
        let tools = E::Tools::default();
        let mut read = Vec::with_capacity(members.len());
        while let Some(rest) = members.get(read.len()..).filter(|rest| !rest.is_empty()) {
            let before = read.len();
            let some = rest.get(..CHUNK).unwrap_or(rest);
            let body = With { properties: false, body: true };
            for (member, found) in some.iter().zip(reader.found_cards(of, some, body).await?) {
                let entry = match found {
                    Found::Absent => None,
                    Found::Damaged(_) => E::unread(*member, self.get(member)),
                    // Large ones are read by themselves.
                    Found::Whole(card) if card.body.is_none() => break,
                    Found::Whole(card) => E::read(&tools, reader, of, *member, &card),
                };
                read.push((*member, entry));
            }
            if read.len() == before {
                return Err(StoreError::Damaged("a member was read without its octets"));
            }
        }
        Ok(read)
    }
}
