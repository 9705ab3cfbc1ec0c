//! The index of contacts: what is filtered, sorted and looked up of every contact, in memory and nowhere
//! else. It is made at the first question and then follows the commits: whoever writes brings it up to
//! date before the writing is answered. What it answers are ids; contacts are read from the store.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::domain::contact::{CardFields, Path, Whole, leaves};
use crate::domain::duplicates::{Pair, duplicates};
use crate::domain::id::{AccountId, CollectionId, ContactId};
use crate::domain::phone::Region;
use crate::domain::scim::{Filter, Packed, Query, pack};

use super::keys::{self, TRASH, Table};
use super::query::{Contact, Reader};
use super::rows::Id;
use super::{Store, StoreError};

use copies::Copies;
use entries::{Entries, Entry, Trashed};

mod copies;
mod entries;
mod ordered;
mod page;
#[cfg(test)]
mod tests;

pub use entries::Dialled;
pub use page::{Asked, By, Order, Page, Step};

/// How many contacts are read at a time.
const STEP: usize = 512;

/// How many phone numbers' last digits an extension may be.
const EXTENSION: usize = 4;

/// The fewest digits of a number to which an extension belongs.
const MAIN: usize = 7;

/// The index, once it was asked for.
#[derive(Default)]
pub struct Roster {
    held: RwLock<Option<Entries>>,
    /// Held by who makes the index.
    making: tokio::sync::Mutex<()>,
    /// Held by who brings it up to date: what is read later is taken later.
    telling: tokio::sync::Mutex<()>,
    /// Contacts that changed while the index was made; `None` while nobody makes it.
    meanwhile: Mutex<Option<HashSet<ContactId>>>,
    /// How often it was let go of.
    let_go: AtomicU64,
    region: Option<Region>,
}

/// Whose contacts are asked for.
#[derive(Debug, Clone)]
pub enum Books {
    /// Those of these books.
    These(HashSet<CollectionId>),
    /// Those in the trash, wherever they came from.
    Trash,
    /// Those in the trash that came from some books.
    TrashOf(Origins),
}

/// From which books: told by a book and by whose it was when it had the contact.
#[derive(Clone)]
pub struct Origins(Arc<dyn Fn(CollectionId, Id) -> bool + Send + Sync>);

impl Origins {
    /// Those of which that is true.
    pub fn new(has: impl Fn(CollectionId, Id) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(has))
    }

    fn has(&self, book: CollectionId, owner: Id) -> bool {
        (self.0)(book, owner)
    }
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Origins(…)")
    }
}

/// What leads from one contact to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// Whom it reports to.
    Superior,
    /// Its company.
    Company,
}

impl Link {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Superior, Self::Company];
}

impl Roster {
    /// An index, not made yet, that takes numbers without a country code for the region's.
    pub(super) fn of(region: Option<Region>) -> Self {
        Self { region, ..Self::default() }
    }

    /// Whether somebody has asked for it.
    fn is_followed(&self) -> bool {
        let meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner);
        meanwhile.is_some() || self.held.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Notes contacts for whoever makes the index.
    fn note(&self, contacts: &[ContactId]) {
        let mut meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meanwhile) = &mut *meanwhile {
            meanwhile.extend(contacts);
        }
    }

    /// Lets go of all; what is asked for is made again.
    pub fn let_go(&self) {
        // Whoever makes it now begins anew.
        self.let_go.fetch_add(1, Ordering::SeqCst);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How many contacts it holds.
    fn count(&self) -> usize {
        self.held.read().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, Entries::len)
    }

    /// How many contacts it holds, and in how many octets.
    pub fn size(&self) -> (usize, usize) {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map_or((0, 0), |entries| (entries.len(), entries.bytes()))
    }

    /// The numbers in the form of E.164 of a card's first [`DIALLED`](crate::domain::contact::DIALLED) phones, for each of these contacts that
    /// is known as it is given: to make them takes longer than to read the contact.
    pub fn dialled(&self, contacts: &[Contact]) -> Vec<Option<Dialled>> {
        // Who writes now is not waited for.
        let held = self.held.try_read().ok();
        let entries = held.as_ref().and_then(|held| held.as_ref());
        let of = |contact: &Contact| entries?.at(entries?.slot(&contact.id)?)?.dialled(&contact.etag());
        contacts.iter().map(of).collect()
    }

    /// Begins to note contacts anew, or ends it; answers those that were noted.
    fn set_meanwhile(&self, set: Option<HashSet<ContactId>>) -> HashSet<ContactId> {
        let mut meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *meanwhile, set).unwrap_or_default()
    }

    fn take(&self, contacts: Vec<(ContactId, Option<Entry>)>) {
        if let Some(entries) = &mut *self.held.write().unwrap_or_else(PoisonError::into_inner) {
            for (contact, entry) in contacts {
                entries.set(contact, entry);
            }
        }
    }
}

/// Contacts are noted while this lives: whoever asked may leave before the index is made.
struct Noting<'a>(&'a Roster);

impl<'a> Noting<'a> {
    fn of(roster: &'a Roster) -> Self {
        roster.set_meanwhile(Some(HashSet::new()));
        Self(roster)
    }
}

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        self.0.set_meanwhile(None);
    }
}

/// What the index keeps of a contact.
fn entry(contact: &Contact, region: Option<Region>) -> Option<Entry> {
    if contact.record.merged_into.is_some() {
        return None;
    }
    let fields = CardFields::read(&contact.body);
    let changed = changed(contact);
    let whole = Whole {
        card: &fields,
        record: &contact.record.record,
        id: contact.id,
        uid: contact.uid(),
        etag: contact.etag(),
        book: CollectionId::from_bytes(contact.record.book),
        created: contact.record.created,
        updated: changed.0,
        created_by: contact.record.created_by,
        updated_by: changed.1,
        region,
    };
    let mut packed = Vec::with_capacity(1_024);
    pack(&leaves(&whole), &mut packed);
    let trashed = contact.card.trashed.as_ref().map(|row| {
        let from = CollectionId::from_bytes(row.book);
        Box::new(Trashed { at: row.at, from, owner: row.owner })
    });
    Some(Entry {
        id: contact.id,
        book: whole.book,
        series: contact.series,
        number: contact.number,
        kind: fields.kind,
        created: contact.record.created,
        updated: changed.0,
        packed: packed.into(),
        distinct: contact.record.record.distinct.as_slice().into(),
        trashed,
    })
}

/// When and by whom card or record last changed.
pub fn changed(contact: &Contact) -> (i64, Option<AccountId>) {
    let by_card = contact.card.by.map(|id| AccountId::from_bytes(id.0));
    match contact.card.modified > contact.record.updated {
        true => (contact.card.modified, by_card),
        false => (contact.record.updated, contact.record.updated_by),
    }
}

impl Store {
    /// The index of contacts.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Brings the index up to date with what a commit did, where there is one.
    pub(super) async fn tell_roster(&self, contacts: &[ContactId]) -> Result<(), StoreError> {
        if contacts.is_empty() || !self.roster.is_followed() {
            return Ok(());
        }
        self.roster.note(contacts);
        let _telling = self.roster.telling.lock().await;
        let region = self.roster.region;
        for some in contacts.chunks(STEP) {
            let found = self.read().await?.contacts(some).await?;
            let entries = found.iter().map(|contact| contact.as_ref().and_then(|one| entry(one, region)));
            self.roster.take(some.iter().copied().zip(entries).collect());
        }
        Ok(())
    }

    /// Makes the index, unless it is made.
    pub async fn make_roster(&self) -> Result<(), StoreError> {
        let made = || self.roster.held.read().unwrap_or_else(PoisonError::into_inner).is_some();
        if made() {
            return Ok(());
        }
        let _making = self.roster.making.lock().await;
        if made() {
            return Ok(());
        }
        loop {
            let begun = self.roster.let_go.load(Ordering::SeqCst);
            // Whatever is committed from here on is read again.
            let _noting = Noting::of(&self.roster);
            if self.made_roster(begun).await? {
                return Ok(());
            }
        }
    }

    /// Makes the index; false when it was let go of meanwhile.
    async fn made_roster(&self, begun: u64) -> Result<bool, StoreError> {
        let mut entries = Entries::default();
        let ids = self.read().await?.numbered_contacts().await?;
        self.fill(&mut entries, ids).await?;
        // What others wrote until now, while they may write on.
        let changed = self.roster.set_meanwhile(Some(HashSet::new()));
        self.fill(&mut entries, changed.into_iter().collect()).await?;
        // And the rest: nobody who asks may miss what was answered.
        let _telling = self.roster.telling.lock().await;
        let changed = self.roster.set_meanwhile(Some(HashSet::new()));
        self.fill(&mut entries, changed.into_iter().collect()).await?;
        let mut held = self.roster.held.write().unwrap_or_else(PoisonError::into_inner);
        let whole = self.roster.let_go.load(Ordering::SeqCst) == begun;
        *held = whole.then_some(entries);
        Ok(whole)
    }

    /// Sets what is known of contacts as they are now.
    async fn fill(&self, entries: &mut Entries, contacts: Vec<ContactId>) -> Result<(), StoreError> {
        let region = self.roster.region;
        for some in contacts.chunks(STEP) {
            let found = read_apart(self.read().await?, some.to_vec(), region).await?;
            for (contact, entry) in some.iter().zip(found) {
                entries.set(*contact, entry);
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Asks the index, on a thread of its own where it is large.
    async fn ask_roster<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Entries) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        const LARGE: usize = 2_000;
        let mut ask = ask;
        loop {
            self.make_roster().await?;
            let roster = self.roster.clone();
            let work = move || {
                let held = roster.held.read().unwrap_or_else(PoisonError::into_inner);
                match &*held {
                    Some(entries) => Ok(ask(entries)),
                    None => Err(ask),
                }
            };
            let answer = if self.roster.count() < LARGE {
                work()
            } else {
                let broken = |_| StoreError::Malformed("a question to the index of contacts broke off");
                tokio::task::spawn_blocking(work).await.map_err(broken)?
            };
            match answer {
                Ok(answer) => return Ok(answer),
                // It was let go of meanwhile.
                Err(again) => ask = again,
            }
        }
    }

    /// A page of the contacts that match.
    pub async fn contacts_page(&self, asked: Asked) -> Result<Page, StoreError> {
        self.ask_roster(move |entries| page::page(entries, &asked)).await
    }

    /// Those of these contacts that match and are in these books.
    pub async fn contacts_among(
        &self,
        among: Vec<ContactId>,
        books: Books,
        wanted: Wanted,
    ) -> Result<HashSet<ContactId>, StoreError> {
        self.ask_roster(move |entries| {
            let sight = entries.sight(&books);
            let slots = among.iter().filter_map(|contact| entries.slot(contact));
            let seen = slots.filter(|slot| entries.is_seen(*slot, &sight));
            let found = seen.filter_map(|slot| entries.at(slot)).filter(|entry| wanted.has(entry));
            found.map(|entry| entry.id).collect()
        })
        .await
    }

    /// The contacts, in these books, that are linked with one, in the order of their names.
    pub async fn linking(
        &self,
        books: Books,
        link: Link,
        to: ContactId,
    ) -> Result<Vec<ContactId>, StoreError> {
        self.ask_roster(move |entries| entries.linking(&books, link, to)).await
    }

    /// The contacts, in these books, that have an e-mail address.
    pub async fn with_email(&self, books: Books, email: &str) -> Result<Vec<ContactId>, StoreError> {
        let email = crate::domain::search::fold(email);
        self.ask_roster(move |entries| entries.with_email(&books, &email)).await
    }

    /// The contacts, in these books, that are called by that number: those whose number it is, else
    /// those to whose number it adds an extension.
    pub async fn with_phone(&self, books: Books, number: &str) -> Result<Vec<ContactId>, StoreError> {
        let digits = crate::domain::contact::e164(number, self.roster.region)
            .unwrap_or_else(|| number.chars().filter(char::is_ascii_digit).collect());
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        self.ask_roster(move |entries| {
            let shortest = digits.len().saturating_sub(EXTENSION).max(MAIN);
            let mut lengths = (shortest..=digits.len()).rev();
            let found = lengths.find_map(|length| {
                let found = entries.with_phone(&books, digits.get(..length)?);
                (!found.is_empty()).then_some(found)
            });
            found.unwrap_or_else(|| entries.with_phone(&books, &digits))
        })
        .await
    }

    /// Pairs of contacts of these books that may be the same, at most so many.
    pub async fn duplicates(&self, books: Books, most: usize) -> Result<Vec<Pair>, StoreError> {
        // Comparing takes seconds, and nobody is to wait for the index as long.
        let copies = self.ask_roster(move |entries| Copies::of(entries.seen(&books))).await?;
        let work = tokio::task::spawn_blocking(move || duplicates(copies.candidates(), most));
        work.await.map_err(|_| StoreError::Malformed("a comparison of contacts broke off"))
    }

    /// How many contacts of these books there are, by kind, stage and in sum.
    pub async fn count_contacts(&self, books: Books, path: Path) -> Result<Vec<(String, u64)>, StoreError> {
        self.ask_roster(move |entries| entries.count(&books, &path)).await
    }
}

/// Reads contacts for the index, on a thread of its own.
async fn read_apart(
    reader: Reader,
    ids: Vec<ContactId>,
    region: Option<Region>,
) -> Result<Vec<Option<Entry>>, StoreError> {
    let found = reader.contacts(&ids).await?;
    drop(reader);
    let work = move || found.iter().map(|one| one.as_ref().and_then(|one| entry(one, region))).collect();
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| StoreError::Malformed("reading contacts for their index broke off"))
}

impl Reader {
    /// Every contact that has a record.
    async fn numbered_contacts(&self) -> Result<Vec<ContactId>, StoreError> {
        let read = |found: &mut Vec<ContactId>, key: &[u8], _: &[u8]| {
            found.extend(keys::owner(key).map(ContactId::from_bytes));
            Ok(std::ops::ControlFlow::Continue(()))
        };
        self.fold(keys::whole(Table::Record), super::engine::Extent::Many, Vec::new(), read).await
    }
}

impl Contact {
    /// Its UID, in the trash as elsewhere.
    pub fn uid(&self) -> &str {
        self.card.trashed.as_ref().map_or(&self.card.uid, |trashed| &trashed.uid)
    }

    /// What its entity tag is: the card's, and how often the record changed.
    pub fn etag(&self) -> String {
        let halves = self.card.etag.iter().flat_map(|octet| [octet >> 4, octet & 0xF]);
        let mut tag: String = halves.filter_map(|half| char::from_digit(half.into(), 16)).collect();
        tag.push('-');
        tag.push_str(&self.record.changes.to_string());
        tag
    }

    /// Whether it lies in the trash.
    pub fn is_trashed(&self) -> bool {
        self.record.book == *TRASH.as_bytes()
    }
}

/// What a question asks for besides the books.
#[derive(Clone, Default)]
pub struct Wanted {
    /// Those that a filter matches.
    pub filter: Option<Filter>,
    /// Those that have these words.
    pub query: Option<Query>,
}

impl Wanted {
    fn is_anything(&self) -> bool {
        self.filter.is_none() && self.query.is_none()
    }

    /// Fetches from memory what is read first of a contact.
    fn fetched(&self, packed: Packed<'_>) -> u8 {
        packed.fetched(self.filter.is_none())
    }

    /// Fetches from memory what is compared first, where that is known.
    fn looked_at(&self, packed: Packed<'_>) -> u8 {
        self.filter.as_ref().map_or(0, |filter| packed.fetched_at(filter.first()))
    }

    fn has(&self, entry: &Entry) -> bool {
        let packed = Packed(&entry.packed);
        self.filter.as_ref().is_none_or(|filter| filter.matches(&packed))
            && self.query.as_ref().is_none_or(|query| query.matches(packed))
    }
}
