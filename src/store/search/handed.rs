//! What commits hand to the indexes: the changes themselves, so that nobody reads back what was
//! just written. Commits complete in any order, so a change that comes early waits for those before
//! it. Nothing depends on any of this: an index that was handed nothing catches up with the log.

use std::collections::BTreeMap;
use std::sync::TryLockError;

use bytes::Bytes;

use crate::domain::id::{CollectionId, ContactId, Revision};

use super::super::keys::Hash;
use super::arena::Made;
use super::read::Change;
use super::{Book, Held, Indexes, lock};

/// How many commits to a book may wait for an earlier one.
pub(super) const WAITING: usize = 64;

/// A commit that changes more of a book is left to the upkeep.
const MOST: usize = 64;

/// What a commit logged of one member.
pub(in crate::store) struct News {
    /// The book, or another collection.
    pub(in crate::store) collection: CollectionId,
    /// The member.
    pub(in crate::store) member: Hash,
    /// What became of it.
    pub(in crate::store) what: What,
}

/// What became of a member.
pub(in crate::store) enum What {
    /// It has these octets now.
    Put(ContactId, Bytes),
    /// It went.
    Gone,
    /// Nothing that is searched has changed.
    Same,
}

/// What one commit changed in a book, by the first revision that the commit made.
pub(super) type Waiting = BTreeMap<Revision, Handed>;

/// What one commit changed in a book.
pub(super) struct Handed {
    last: Revision,
    changes: Vec<(Hash, Change)>,
}

impl Indexes {
    /// Takes what a commit logged, with the revisions that the engine answered, one for each. What an
    /// index cannot use now makes its collection one that is behind.
    pub(in crate::store) fn hand_over(&self, news: Vec<News>, revisions: &[u64]) {
        if news.len() != revisions.len() {
            return self.touch(news.iter().map(|news| news.collection).collect());
        }
        let mut left: Vec<_> = news.into_iter().zip(revisions.iter().map(|at| Revision(*at))).collect();
        let mut behind = Vec::new();
        // One collection, or two of a move between books.
        while let Some(id) = left.first().map(|(news, _)| news.collection) {
            let (these, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(news, _)| news.collection == id);
            left = others;
            if !self.take_in(id, these) {
                behind.push(id);
            }
        }
        if !behind.is_empty() {
            self.touch(behind);
        }
    }

    /// Whether the book's index is as far as these changes now.
    fn take_in(&self, id: CollectionId, news: Vec<(News, Revision)>) -> bool {
        let Some(book) = self.get(id) else { return false };
        let revisions = || news.iter().map(|(_, at)| *at);
        let (Some(first), Some(last), Some(upto)) = (revisions().min(), revisions().max(), book.upto())
        else {
            return false;
        };
        if upto >= last {
            return true;
        }
        if news.len() > MOST {
            return false;
        }
        let region = self.region;
        // Folding a card's texts takes its time, so no lock is held meanwhile.
        let changes = news.into_iter().filter_map(|(news, _)| match news.what {
            What::Put(contact, body) => Some((news.member, Change::Put(contact, Made::of(&body, region)))),
            What::Gone => Some((news.member, Change::Gone)),
            What::Same => None,
        });
        book.wait(first, Handed { last, changes: changes.collect() }) && book.settle()
    }
}

impl Book {
    /// Keeps what a commit changed until its turn comes. Where already too much waits, a change is
    /// missing that nobody hands over: all of it is left to the upkeep.
    fn wait(&self, first: Revision, handed: Handed) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= WAITING {
            waiting.clear();
            return false;
        }
        waiting.insert(first, handed);
        true
    }

    /// Takes in what waits and whose turn has come; false where something still waits. Whoever
    /// commits does not wait for a search to end.
    pub(super) fn settle(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.is_empty() {
            return true;
        }
        let mut held = match self.held.try_write() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let Some(Held { upto, arena }) = &mut *held else {
            waiting.clear();
            return false;
        };
        while let Some(next) = waiting.first_entry() {
            let due = Revision(upto.0.saturating_add(1));
            if *next.key() > due {
                return false;
            }
            let (first, handed) = next.remove_entry();
            // A snapshot shows a commit as a whole or not at all: of one that began before, everything
            // has been read from the log.
            if first == due {
                arena.take(handed.changes);
                *upto = handed.last;
            }
        }
        true
    }

    /// How many commits wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.waiting).len()
    }
}
