//! The entries of the index of contacts, one beside the other, and the ways to them: by id, in the order
//! of their names, by e-mail address, by phone number and by whom they are linked with. A way leads to
//! the entry's place, and what it leads to is compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use crate::domain::contact::{Kind, Path, place};
use crate::domain::id::{CollectionId, ContactId};
use crate::domain::scim::{Packed, Seen, Span};

use super::super::keys::TRASH;
use super::super::rows::Id;
use super::ordered::Ordered;
use super::{Books, Link, Origins};

/// How many octets of a name the order of names looks at.
const NAME: usize = 48;

const NAMES: Span = Span::known("name.formatted");
const EMAILS: Span = Span::known("emails.value");
const PHONES: [Span; 2] = [Span::known("phones.e164"), Span::known("phones.value")];

const ETAG: Span = Span::known("etag");

/// Phone numbers in the form of E.164, with the places of the phones in their card.
pub type Dialled = Vec<(u16, String)>;

/// Where an entry is.
pub(super) type Slot = u32;

/// A contact, as the index keeps it.
pub(super) struct Entry {
    pub(super) id: ContactId,
    pub(super) book: CollectionId,
    pub(super) series: u8,
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) packed: Box<[u8]>,
    pub(super) distinct: Box<[ContactId]>,
    /// Where it came from, of one in the trash.
    pub(super) trashed: Option<Box<Trashed>>,
}

/// How a contact came into the trash.
pub(super) struct Trashed {
    pub(super) at: i64,
    pub(super) from: CollectionId,
    /// Whose the book was.
    pub(super) owner: Id,
}

impl Entry {
    /// The beginning of its name, by which the order of names goes.
    pub(super) fn name(&self) -> &[u8] {
        let name = match Packed(&self.packed).first_in(&NAMES) {
            Some(Seen::Text(name)) => name,
            _ => &[],
        };
        name.get(..NAME).unwrap_or(name)
    }

    fn texts<'a>(&'a self, span: &Span, mut each: impl FnMut(&'a [u8])) {
        Packed(&self.packed).walk(span, &mut |_, seen| {
            if let Seen::Text(text) = seen {
                each(text);
            }
            false
        });
    }

    /// The digits of its phone numbers, as they are dialled from anywhere and as they are written.
    fn phones(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for span in &PHONES {
            self.texts(span, |text| {
                let digits: Vec<u8> = text.iter().filter(|octet| octet.is_ascii_digit()).copied().collect();
                if !digits.is_empty() && !found.contains(&digits) {
                    found.push(digits);
                }
            });
        }
        found
    }

    /// Its numbers in the form of E.164, if it is still what has that entity tag.
    pub(super) fn dialled(&self, etag: &str) -> Option<Dialled> {
        let own = Packed(&self.packed).first_in(&ETAG);
        if own != Some(Seen::Text(etag.as_bytes())) {
            return None;
        }
        let mut found = Vec::new();
        let [e164, _] = &PHONES;
        Packed(&self.packed).walk(e164, &mut |at, seen| {
            if let Seen::Text(number) = seen {
                found.push((at, String::from_utf8_lossy(number).into_owned()));
            }
            false
        });
        Some(found)
    }

    fn has_email(&self, email: &[u8]) -> bool {
        let mut found = false;
        self.texts(&EMAILS, |text| found |= text == email);
        found
    }

    /// Whom it is linked with.
    fn linked(&self, link: Link) -> Option<ContactId> {
        match Packed(&self.packed).first_in(&link.span()) {
            Some(Seen::Contact(id)) => Some(id),
            _ => None,
        }
    }

    /// Hashes of what it is found by, each once.
    fn values(&self, hasher: &RandomState) -> Vec<u64> {
        let mut values: Vec<u64> = self.phones().iter().map(|digits| hasher.hash_one(&**digits)).collect();
        self.texts(&EMAILS, |text| values.push(hasher.hash_one(text)));
        for link in Link::ALL {
            values.extend(self.linked(link).map(|to| hasher.hash_one((link, to))));
        }
        values.sort_unstable();
        values.dedup();
        values
    }
}

/// Which books are looked into.
pub(super) struct Sight<'a> {
    /// By the books' places.
    books: Vec<bool>,
    origins: Option<&'a Origins>,
}

/// All contacts.
#[derive(Default)]
pub(super) struct Entries {
    slots: Vec<Option<Entry>>,
    free: Vec<Slot>,
    /// The place in `books` of each slot's book: what most questions ask of every contact.
    book_of: Vec<u32>,
    /// Every book that a contact was in.
    books: Vec<CollectionId>,
    by_id: HashMap<ContactId, Slot>,
    pub(super) by_name: Ordered,
    by_value: BTreeSet<(u64, Slot)>,
    hasher: RandomState,
}

/// Where an entry stands in the order of names.
fn place_by_name(slots: &[Option<Entry>], slot: Slot) -> Option<(&[u8], ContactId)> {
    let entry = slots.get(slot as usize)?.as_ref()?;
    Some((entry.name(), entry.id))
}

/// The book of an empty slot.
const NOWHERE: u32 = u32::MAX;

impl Entries {
    /// Sets, or with `None` takes away, what is known of a contact.
    pub(super) fn set(&mut self, contact: ContactId, entry: Option<Entry>) {
        if let Some(slot) = self.by_id.remove(&contact) {
            self.remove(slot);
        }
        if let Some(entry) = entry {
            self.insert(entry);
        }
    }

    fn remove(&mut self, slot: Slot) {
        let slots = &self.slots;
        let gone = place_by_name(slots, slot);
        self.by_name.remove(slot, |there| place_by_name(slots, there).cmp(&gone));
        if let Some(book) = self.book_of.get_mut(slot as usize) {
            *book = NOWHERE;
        }
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        for value in entry.values(&self.hasher) {
            self.by_value.remove(&(value, slot));
        }
        self.free.push(slot);
    }

    fn insert(&mut self, entry: Entry) {
        let book = self.place_of(entry.book);
        let slot = self.free.pop().unwrap_or_else(|| {
            if self.slots.len() == self.slots.capacity() {
                // Doubling would leave half of it unused.
                let more = (self.slots.len() / 8).max(64);
                self.slots.reserve_exact(more);
                self.book_of.reserve_exact(more);
            }
            self.slots.push(None);
            self.book_of.push(NOWHERE);
            // Memory ends long before the numbers do.
            (self.slots.len() - 1) as Slot
        });
        self.by_value.extend(entry.values(&self.hasher).into_iter().map(|value| (value, slot)));
        self.by_id.insert(entry.id, slot);
        if let (Some(kept), Some(of)) =
            (self.slots.get_mut(slot as usize), self.book_of.get_mut(slot as usize))
        {
            *kept = Some(entry);
            *of = book;
        }
        let slots = &self.slots;
        let new = place_by_name(slots, slot);
        self.by_name.insert(slot, |there| place_by_name(slots, there).cmp(&new));
    }

    /// The place in `books` of a book, which is a new one if it has none.
    fn place_of(&mut self, book: CollectionId) -> u32 {
        let known = self.books.iter().position(|known| *known == book);
        let at = known.unwrap_or_else(|| {
            self.books.push(book);
            self.books.len() - 1
        });
        at as u32
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// About how many octets all of it has.
    pub(super) fn bytes(&self) -> usize {
        /// What the ways to an entry have, where it has an address and a number.
        const BESIDE: usize = 160;
        let of = |entry: &Entry| entry.packed.len() + size_of_val(&*entry.distinct);
        self.iter().map(|entry| of(entry) + size_of::<Option<Entry>>() + BESIDE).sum()
    }

    /// How many values lead to contacts.
    #[cfg(test)]
    pub(super) fn values(&self) -> usize {
        self.by_value.len()
    }

    /// A number by which a place in an order is known again, until the index is made anew.
    pub(super) fn mark(&self, place: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(place)
    }

    /// All, as they lie in memory.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().flatten()
    }

    /// Where all are, whether they are there or not, as they lie in memory.
    pub(super) fn slots(&self) -> std::ops::Range<Slot> {
        0..self.slots.len() as Slot
    }

    /// Where all are, in the order of their names.
    pub(super) fn named(&self) -> impl Iterator<Item = Slot> {
        self.by_name.iter()
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn slot(&self, contact: &ContactId) -> Option<Slot> {
        self.by_id.get(contact).copied()
    }

    /// What is seen of these books.
    pub(super) fn sight<'a>(&self, books: &'a Books) -> Sight<'a> {
        let (is_seen, origins): (Vec<bool>, _) = match books {
            Books::These(these) => (self.books.iter().map(|book| these.contains(book)).collect(), None),
            Books::Trash => (self.books.iter().map(|book| *book == TRASH).collect(), None),
            Books::TrashOf(from) => (self.books.iter().map(|book| *book == TRASH).collect(), Some(from)),
        };
        Sight { books: is_seen, origins }
    }

    /// Whether there is a contact, and it is in one of the books.
    pub(super) fn is_seen(&self, slot: Slot, sight: &Sight<'_>) -> bool {
        let book = self.book_of.get(slot as usize).and_then(|book| sight.books.get(*book as usize));
        let from = |origins: &Origins| {
            let trashed = self.at(slot).and_then(|entry| entry.trashed.as_ref());
            trashed.is_some_and(|trashed| origins.has(trashed.from, trashed.owner))
        };
        book.is_some_and(|seen| *seen) && sight.origins.is_none_or(from)
    }

    /// All of these books.
    pub(super) fn seen(&self, books: &Books) -> impl Iterator<Item = &Entry> {
        let sight = self.sight(books);
        self.slots().filter(move |slot| self.is_seen(*slot, &sight)).filter_map(|slot| self.at(slot))
    }

    /// Those that a value leads to, in the order of their names.
    fn with(&self, books: &Books, value: u64, has: impl Fn(&Entry) -> bool) -> Vec<ContactId> {
        let sight = self.sight(books);
        let slots = self.by_value.range((value, 0)..=(value, Slot::MAX)).map(|(_, slot)| *slot);
        let seen = slots.filter(|slot| self.is_seen(*slot, &sight)).filter_map(|slot| self.at(slot));
        let mut found: Vec<&Entry> = seen.filter(|entry| has(entry)).collect();
        found.sort_unstable_by_key(|entry| (entry.name(), entry.id));
        found.into_iter().map(|entry| entry.id).collect()
    }

    pub(super) fn with_email(&self, books: &Books, email: &[u8]) -> Vec<ContactId> {
        self.with(books, self.hasher.hash_one(email), |entry| entry.has_email(email))
    }

    pub(super) fn with_phone(&self, books: &Books, digits: &str) -> Vec<ContactId> {
        let digits = digits.as_bytes();
        self.with(books, self.hasher.hash_one(digits), |entry| entry.phones().iter().any(|own| own == digits))
    }

    /// Those that are linked with a contact.
    pub(super) fn linking(&self, books: &Books, link: Link, to: ContactId) -> Vec<ContactId> {
        let value = self.hasher.hash_one((link, to));
        self.with(books, value, |entry| entry.linked(link) == Some(to))
    }

    /// How many of the books' contacts have each value of a path.
    pub(super) fn count(&self, books: &Books, path: &Path) -> Vec<(String, u64)> {
        let (mut texts, mut words, mut of_books) =
            (HashMap::<&[u8], u64>::new(), [0u64; 2], HashMap::<CollectionId, u64>::new());
        let span = Span::of(path);
        for entry in self.seen(books) {
            Packed(&entry.packed).walk(&span, &mut |_, seen| {
                match seen {
                    Seen::Text(text) => *texts.entry(text).or_default() += 1,
                    Seen::Bool(word) => {
                        words.iter_mut().skip(usize::from(word)).take(1).for_each(|n| *n += 1)
                    }
                    Seen::Book(book) => *of_books.entry(book).or_default() += 1,
                    _ => {}
                }
                false
            });
        }
        // Different octets may be one text, where they are none.
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let words = [false, true].into_iter().zip(words).filter(|(_, count)| *count > 0);
        let texts =
            texts.into_iter().map(|(text, count)| (String::from_utf8_lossy(text).into_owned(), count));
        let told = texts
            .chain(words.map(|(word, count)| (word.to_string(), count)))
            .chain(of_books.into_iter().map(|(book, count)| (book.to_string(), count)));
        told.for_each(|(word, count)| *counts.entry(word).or_default() += count);
        counts.into_iter().collect()
    }
}

impl Link {
    const fn span(self) -> Span {
        let at = match self {
            Self::Superior => place("reports_to"),
            Self::Company => place("organization.company"),
        };
        Span::Known { first: at, last: at }
    }
}
