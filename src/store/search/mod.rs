//! The search indexes: for each book the texts of its cards that people search, in memory and
//! nowhere else. The change log is the truth: an index knows up to which revision it holds, and
//! catches up with the log of whatever snapshot it is asked for. It yields candidates only; a filter
//! is answered from the cards' octets, so that its answer is what reading every card would give.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use tokio::runtime::Handle;
use tokio::sync::{Mutex as Turn, Notify};

use crate::domain::id::{CollectionId, Revision};
use crate::domain::phone::Region;
use crate::domain::search::{Needles, Terms};

use super::keys::Hash;
use super::query::{Chosen, Collection, Reader, Room};
use super::{Store, StoreError};
use arena::{Arena, Candidate};
use handed::Waiting;
use read::Change;

pub use arena::Ranked;
pub(super) use handed::{News, What};

mod arena;
mod handed;
mod read;

#[cfg(test)]
mod tests;

/// How many changed members a request catches up with; what is behind further is left to the
/// upkeep.
const AT_ONCE: usize = 256;

/// With more changed members than this, a book is read anew.
const ANEW: usize = 4_096;

/// How many octets are searched on the thread that answers requests.
const INLINE: usize = 256 << 10;

/// How often an index and a snapshot try to meet.
const ROUNDS: usize = 3;

/// Decides, from its octets, whether a card is wanted.
type Accept<'a> = dyn Fn(&[u8]) -> bool + Sync + 'a;

/// The indexes of all books.
#[derive(Default)]
pub struct Indexes {
    books: RwLock<HashMap<CollectionId, Arc<Book>>>,
    /// Collections that changed since their index was last looked after.
    behind: Mutex<HashSet<CollectionId>>,
    changed: Notify,
    /// Whose numbers are written without a country code.
    region: Option<Region>,
}

/// How large the indexes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Books that have an index.
    pub books: usize,
    /// Cards in them.
    pub cards: usize,
    /// Octets of memory.
    pub bytes: usize,
}

/// The index of one book, once there is one.
#[derive(Default)]
struct Book {
    /// Held by who brings the index up to date.
    turn: Turn<()>,
    held: RwLock<Option<Held>>,
    /// What commits handed over that came before earlier ones. Locked before `held`.
    waiting: Mutex<Waiting>,
}

struct Held {
    upto: Revision,
    arena: Arena,
}

/// What an index says when asked as of a revision.
enum Found<T> {
    /// This.
    There(T),
    /// It knows less than the asker.
    Behind,
    /// It knows more than the asker.
    Ahead,
    /// It is of no use; the cards must be read.
    Useless,
}

/// What an index found for a filter.
pub enum Matching {
    /// The cards, and whether the limit cut them.
    Found(Vec<Chosen>, bool),
    /// The index holds for a newer snapshot than this one.
    Newer,
    /// The index does not help.
    Unknown,
}

impl Indexes {
    /// Indexes, none made yet, that take numbers without a country code for the region's.
    pub(super) fn of(region: Option<Region>) -> Self {
        Self { region, ..Self::default() }
    }

    /// Says that a commit touched these collections.
    pub fn touch(&self, collections: Vec<CollectionId>) {
        lock(&self.behind).extend(collections);
        self.changed.notify_one();
    }

    /// Waits until a collection is behind, and takes all that are.
    pub async fn behind(&self) -> HashSet<CollectionId> {
        loop {
            let behind = self.take_behind();
            if !behind.is_empty() {
                return behind;
            }
            self.changed.notified().await;
        }
    }

    /// Takes the collections that are behind now.
    pub fn take_behind(&self) -> HashSet<CollectionId> {
        std::mem::take(&mut *lock(&self.behind))
    }

    /// Lets go of a book's index: the book is gone, or its change log is no longer the one that the
    /// index followed.
    pub fn forget(&self, book: CollectionId) {
        self.books.write().unwrap_or_else(PoisonError::into_inner).remove(&book);
    }

    /// Lets go of every index; what is asked for is made again.
    pub fn forget_all(&self) {
        self.books.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How large the indexes are.
    pub fn size(&self) -> Size {
        let books = self.books.read().unwrap_or_else(PoisonError::into_inner);
        books.values().fold(Size::default(), |size, book| match &*book.held() {
            Some(held) => Size {
                books: size.books + 1,
                cards: size.cards + held.arena.len(),
                bytes: size.bytes + held.arena.memory() + size_of::<Book>(),
            },
            None => size,
        })
    }

    fn get(&self, book: CollectionId) -> Option<Arc<Book>> {
        self.books.read().unwrap_or_else(PoisonError::into_inner).get(&book).cloned()
    }

    fn get_or_make(&self, book: CollectionId) -> Arc<Book> {
        self.books.write().unwrap_or_else(PoisonError::into_inner).entry(book).or_default().clone()
    }
}

impl Book {
    fn held(&self) -> RwLockReadGuard<'_, Option<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn upto(&self) -> Option<Revision> {
        self.held().as_ref().map(|held| held.upto)
    }

    /// Takes an index that was made anew, unless commits have brought the old one further meanwhile.
    fn hold(&self, new: Held) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_none_or(|held| held.upto < new.upto) {
            *held = Some(new);
        }
        drop(held);
        self.settle();
    }

    /// Takes what became of members as of `upto`. The index may have got on since these were read, by
    /// what commits handed over: if it is further, they are old; if not, they hold for every member
    /// that changed in between.
    fn apply(&self, changes: Vec<(Hash, Change)>, upto: Revision) {
        if let Some(held) = &mut *self.held.write().unwrap_or_else(PoisonError::into_inner)
            && held.upto < upto
        {
            held.arena.take(changes);
            held.upto = upto;
        }
        self.settle();
    }

    /// Asks the index as of a revision, or of any that is no older.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        at: Revision,
        newer: bool,
        ask: impl FnOnce(&Arena) -> Option<T> + Send + 'static,
    ) -> Found<T> {
        let large = self.held().as_ref().is_some_and(|held| held.arena.text_len() > INLINE);
        let book = self.clone();
        let work = move || match &*book.held() {
            None => Found::Useless,
            Some(held) if held.upto < at => Found::Behind,
            Some(held) if held.upto > at && !newer => Found::Ahead,
            Some(held) => ask(&held.arena).map_or(Found::Useless, Found::There),
        };
        match Handle::try_current() {
            Ok(runtime) if large => runtime.spawn_blocking(work).await.unwrap_or(Found::Useless),
            _ => work(),
        }
    }
}

impl Store {
    /// The search indexes.
    pub fn indexes(&self) -> &Indexes {
        &self.indexes
    }

    /// Every book that there is.
    pub async fn all_books(&self) -> Result<Vec<CollectionId>, StoreError> {
        self.read().await?.books().await
    }

    /// Brings the index of a book up to date, makes it where there is none, and lets go of it where
    /// the book is gone. What is no book is left alone.
    pub async fn refresh_index(&self, id: CollectionId) -> Result<(), StoreError> {
        if self.book_of(id, &self.read().await?).await?.is_none() {
            return Ok(());
        }
        // Who forgets a book after this lets go of what is made here.
        let book = self.indexes.get_or_make(id);
        let reader = self.read().await?;
        let Some(collection) = self.book_of(id, &reader).await? else { return Ok(()) };
        self.catch_up(&book, &reader, id, collection.revision, ANEW).await?;
        Ok(())
    }

    async fn book_of(&self, id: CollectionId, reader: &Reader) -> Result<Option<Collection>, StoreError> {
        let collection = reader.collections(&[id]).await?.pop().flatten();
        let book = collection.filter(|collection| collection.row.home.is_some() && !collection.row.calendar);
        if book.is_none() {
            self.indexes.forget(id);
        }
        Ok(book)
    }

    /// Brings an index to where the snapshot is; false where that is too much for who asks.
    async fn catch_up(
        &self,
        book: &Book,
        reader: &Reader,
        id: CollectionId,
        revision: Revision,
        most: usize,
    ) -> Result<bool, StoreError> {
        let _turn = book.turn.lock().await;
        book.settle();
        let upto = book.upto();
        if upto.is_some_and(|upto| upto >= revision) {
            return Ok(true);
        }
        if let Some(upto) = upto {
            match reader.touched(id, upto, most).await {
                Ok(Some(touched)) => {
                    let changes = reader.outcomes(id, &touched, self.indexes.region).await?;
                    book.apply(changes, revision);
                    return Ok(true);
                }
                // A log that cannot be read is no reason to have no index.
                Ok(None) | Err(StoreError::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if most < ANEW {
            return Ok(false);
        }
        book.hold(Held { upto: revision, arena: reader.arena(id, self.indexes.region).await? });
        Ok(true)
    }

    /// Asks the index of a book, which catches up with the snapshot if it is a little behind.
    async fn ask<T: Send + 'static>(
        &self,
        reader: &Reader,
        (id, revision): (CollectionId, Revision),
        newer: bool,
        ask: impl FnOnce(&Arena) -> Option<T> + Clone + Send + 'static,
    ) -> Result<Found<T>, StoreError> {
        let Some(book) = self.indexes.get(id) else {
            self.indexes.touch(vec![id]);
            return Ok(Found::Useless);
        };
        for _ in 0..ROUNDS {
            match book.ask(revision, newer, ask.clone()).await {
                Found::Behind if self.catch_up(&book, reader, id, revision, AT_ONCE).await? => {}
                Found::Behind => {
                    self.indexes.touch(vec![id]);
                    return Ok(Found::Useless);
                }
                found => return Ok(found),
            }
        }
        Ok(Found::Useless)
    }

    /// What [`Reader::matching`] answers, by way of the index: the cards whose octets `accept` takes,
    /// all of which hold one of the needles, oldest contact first.
    pub async fn matching(
        &self,
        reader: &Reader,
        book: (CollectionId, Revision),
        needles: &Needles,
        accept: &Accept<'_>,
        limit: Option<usize>,
        room: &mut Room,
    ) -> Result<Matching, StoreError> {
        let needles = needles.clone();
        let candidates: Vec<Candidate> =
            match self.ask(reader, book, false, move |arena| arena.candidates(&needles)).await? {
                Found::There(candidates) => candidates,
                Found::Ahead => return Ok(Matching::Newer),
                Found::Behind | Found::Useless => return Ok(Matching::Unknown),
            };
        let (found, truncated) = reader.accepted(book.0, &candidates, accept, limit, room).await?;
        Ok(Matching::Found(found, truncated))
    }

    /// The best cards of a book for what is searched, best first, as of the snapshot or later.
    pub async fn search(
        &self,
        reader: &Reader,
        book: (CollectionId, Revision),
        terms: &Arc<Terms>,
        limit: usize,
    ) -> Result<Vec<Ranked>, StoreError> {
        let asked = terms.clone();
        let mut found =
            match self.ask(reader, book, true, move |arena| Some(arena.search(&asked, limit))).await? {
                Found::There((mut found, partial)) => {
                    found.extend(reader.ranked(book.0, &partial, terms).await?);
                    found
                }
                _ => reader.all_ranked(book.0, terms.clone(), limit).await?,
            };
        Ranked::best(&mut found, limit);
        Ok(found)
    }
}

/// What is behind this lock is whole whenever a panic may happen.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
