//! What keeps smart books current: which contacts commits touched since somebody asked, and what smart
//! books show of contacts. Which contacts belong there is not decided here.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::id::{CollectionId, ContactId, MemberName};

use super::codec;
use super::commit::{AccountOp, CollectionOp, DefinitionOp, Op};
use super::keys::{self, Hash, Table};
use super::query::Reader;
use super::rows::{AccountRow, Definition};
use super::{Store, StoreError};

/// More touched contacts than so many are not told apart.
const MOST: usize = 20_000;

/// The name under which a smart book shows a contact.
pub fn mirror_name(contact: ContactId) -> Result<MemberName, StoreError> {
    MemberName::parse(&format!("{contact}.vcf"))
        .map_err(|_| StoreError::Malformed("a contact's id is no name"))
}

/// What was touched since smart books were last looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TouchedSince {
    /// Anything may have been, and what a smart book is made of too: filters, books, rights.
    pub all: bool,
    /// These contacts.
    pub contacts: HashSet<ContactId>,
}

impl TouchedSince {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        !self.all && self.contacts.is_empty()
    }
}

struct State {
    since: TouchedSince,
    /// There is no smart book: what happens to contacts is of no interest.
    idle: bool,
}

/// What commits touch.
pub struct Touched {
    state: Mutex<State>,
    wanted: Notify,
}

impl Default for Touched {
    fn default() -> Self {
        // What an earlier run left undone is not known.
        let since = TouchedSince { all: true, ..TouchedSince::default() };
        Self { state: Mutex::new(State { since, idle: false }), wanted: Notify::new() }
    }
}

impl Touched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a commit did; the index of contacts knows of it already.
    pub(super) fn note(&self, ops: &[Op], contacts: &[ContactId]) {
        {
            let mut state = self.state();
            if ops.iter().any(|op| matches!(op, Op::Collection(CollectionOp::Serve { .. }))) {
                state.idle = false;
            }
            if state.idle {
                return;
            }
            state.since.contacts.extend(contacts);
            if state.since.contacts.len() > MOST || ops.iter().any(shifts) {
                state.since.all = true;
            }
            if state.since.is_empty() {
                return;
            }
        }
        self.wanted.notify_one();
    }

    /// Anything may have been touched.
    pub fn all(&self) {
        let idle = {
            let mut state = self.state();
            state.since.all = true;
            state.idle
        };
        if !idle {
            self.wanted.notify_one();
        }
    }

    /// What was touched, which is forgotten here.
    pub fn take(&self) -> TouchedSince {
        std::mem::take(&mut self.state().since)
    }

    /// Puts back what could not be seen to.
    pub fn put_back(&self, since: TouchedSince) {
        let mut state = self.state();
        state.since.all |= since.all;
        state.since.contacts.extend(since.contacts);
    }

    /// There is no smart book, unless something came about meanwhile.
    pub fn rest(&self) {
        let mut state = self.state();
        if !state.since.all {
            state.since.contacts.clear();
            state.idle = true;
        }
    }

    /// Waits until something was touched.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

/// Whether an op may change what a filter finds beside the contacts that are touched: which books there
/// are, who may see them, what names lead to, and filters.
fn shifts(op: &Op) -> bool {
    let seen = |row: &AccountRow| (row.permissions.clone(), row.groups.clone(), row.admin, row.name.clone());
    match op {
        Op::Collection(CollectionOp::Mount { .. } | CollectionOp::Unmount { .. }) => false,
        Op::Collection(_) => true,
        Op::Account(AccountOp::Update { before, after }) => seen(before) != seen(after),
        Op::Account(AccountOp::Create(_) | AccountOp::Rename { .. } | AccountOp::Remove(_)) => true,
        Op::Account(_) | Op::Properties(_) | Op::Job(_) | Op::Card(_) => false,
        Op::Definition(DefinitionOp { before, after, .. }) => {
            [before, after].into_iter().flatten().any(|row| matches!(row, Definition::Filter(_)))
        }
    }
}

impl Store {
    /// What commits touch.
    pub fn touched(&self) -> &Touched {
        &self.touched
    }
}

impl Reader {
    /// The contacts that a smart book shows, readable or not.
    pub async fn mirrored(&self, book: CollectionId) -> Result<HashSet<ContactId>, StoreError> {
        let range = keys::under(Table::Member, book.as_bytes());
        let found = self.gather(range, |_, value| codec::card_contact(value)).await?;
        Ok(found.into_iter().collect())
    }

    /// Those of these contacts that a smart book shows.
    pub async fn mirrored_of(
        &self,
        book: CollectionId,
        contacts: &[ContactId],
    ) -> Result<HashSet<ContactId>, StoreError> {
        let rows = self.get(self.mirror_keys(book, contacts)?).await?;
        let shown = contacts.iter().zip(rows).filter(|(_, row)| row.is_some());
        Ok(shown.map(|(contact, _)| *contact).collect())
    }

    /// Those of these contacts that a smart book does not show as they are: by the entity tag, and the key
    /// that seals it.
    pub async fn not_mirrored(
        &self,
        book: CollectionId,
        contacts: &[ContactId],
    ) -> Result<Vec<ContactId>, StoreError> {
        let records = self.records(contacts).await?;
        let places = records.iter().map(|record| {
            let row = record.as_ref().map(|kept| &kept.row);
            row.map(|row| (CollectionId::from_bytes(row.book), row.member))
        });
        let nowhere: (CollectionId, Hash) = (CollectionId::from_bytes([0; 16]), [0; 16]);
        let sources = places.map(|place| place.unwrap_or(nowhere));
        let sources: Vec<_> = sources.map(|(book, member)| keys::member(book, &member)).collect();
        let mirrors = self.mirror_keys(book, contacts)?;
        let values = self.get(sources.iter().chain(&mirrors).cloned().collect()).await?;
        let (of_sources, of_mirrors) = values.split_at_checked(contacts.len()).unwrap_or_default();
        let sealed = |key: &Vec<u8>, value: &Option<bytes::Bytes>| {
            let kept = self.sealer().decode_card(key, value.as_deref()?).ok()?;
            Some((kept.slot, kept.number, kept.row.etag))
        };
        let source = sources.iter().zip(of_sources).map(|(key, value)| sealed(key, value));
        let mirror = mirrors.iter().zip(of_mirrors).map(|(key, value)| sealed(key, value));
        let differ = contacts.iter().zip(source.zip(mirror)).filter(|(_, (of, shown))| of != shown);
        Ok(differ.filter(|(_, (of, _))| of.is_some()).map(|(contact, _)| *contact).collect())
    }

    fn mirror_keys(&self, book: CollectionId, contacts: &[ContactId]) -> Result<Vec<Vec<u8>>, StoreError> {
        let key = |contact: &ContactId| {
            let name = mirror_name(*contact)?;
            Ok(keys::member(book, &self.sealer().member(book.as_bytes(), &name)))
        };
        contacts.iter().map(key).collect()
    }
}
