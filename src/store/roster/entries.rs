//! The entries of the index of contacts, and the ways to them: by id, in the order of their names, by
//! e-mail address and by phone number.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use crate::domain::contact::{Kind, Path};
use crate::domain::id::{CollectionId, ContactId};
use crate::domain::scim::{Packed, Seen, Span};

use super::super::keys::TRASH;
use super::Books;

/// How many octets of a name the order of names looks at.
const NAME: usize = 48;

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
}

impl Entry {
    /// Whether it is in one of the books.
    pub(super) fn is_in(&self, books: &Books) -> bool {
        match books {
            Books::These(books) => books.contains(&self.book),
            Books::Trash => self.book == TRASH,
        }
    }

    pub(super) fn name(&self) -> Box<[u8]> {
        let name = Path::parse("name.formatted").and_then(|path| Packed(&self.packed).text(&path));
        let name = name.unwrap_or_default();
        name.get(..NAME).unwrap_or(name).into()
    }

    fn texts(&self, path: &str, mut each: impl FnMut(&[u8])) {
        let Some(path) = Path::parse(path) else { return };
        Packed(&self.packed).walk(&Span::of(&path), &mut |_, seen| {
            if let Seen::Text(text) = seen {
                each(text);
            }
            false
        });
    }

    /// The digits of its phone numbers, as they are dialled from anywhere and as they are written.
    fn phones(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for path in ["phones.e164", "phones.value"] {
            self.texts(path, |text| {
                let digits: Vec<u8> = text.iter().filter(|octet| octet.is_ascii_digit()).copied().collect();
                if !digits.is_empty() && !found.contains(&digits) {
                    found.push(digits);
                }
            });
        }
        found
    }

    fn emails(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        self.texts("emails.value", |text| found.push(text.to_vec()));
        found
    }
}

/// All contacts.
#[derive(Default)]
pub(super) struct Entries {
    by_id: HashMap<ContactId, Entry>,
    pub(super) by_name: BTreeMap<(Box<[u8]>, ContactId), ()>,
    /// By hashes, since most values have one contact: what they lead to is compared.
    by_value: HashMap<u64, Vec<ContactId>>,
    hasher: RandomState,
}

impl Entries {
    /// Sets, or with `None` takes away, what is known of a contact.
    pub(super) fn set(&mut self, contact: ContactId, entry: Option<Entry>) {
        if let Some(old) = self.by_id.remove(&contact) {
            self.by_name.remove(&(old.name(), contact));
            for value in old.emails().into_iter().chain(old.phones()) {
                let hash = self.hasher.hash_one(&value);
                if let Some(contacts) = self.by_value.get_mut(&hash) {
                    contacts.retain(|known| *known != contact);
                    if contacts.is_empty() {
                        self.by_value.remove(&hash);
                    }
                }
            }
        }
        let Some(entry) = entry else { return };
        for value in entry.emails().into_iter().chain(entry.phones()) {
            let contacts = self.by_value.entry(self.hasher.hash_one(&value)).or_default();
            if !contacts.contains(&contact) {
                contacts.push(contact);
            }
        }
        self.by_name.insert((entry.name(), contact), ());
        self.by_id.insert(contact, entry);
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn bytes(&self) -> usize {
        const BESIDE: usize = 320;
        self.by_id.values().map(|entry| entry.packed.len() + size_of::<Entry>() + BESIDE).sum()
    }

    /// How many values lead to contacts, and how many contacts are led to.
    #[cfg(test)]
    pub(super) fn values(&self) -> (usize, usize) {
        (self.by_value.len(), self.by_value.values().map(Vec::len).sum())
    }

    /// A number by which a place in an order is known again, until the index is made anew.
    pub(super) fn mark(&self, place: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_id.values()
    }

    pub(super) fn get(&self, contact: &ContactId) -> Option<&Entry> {
        self.by_id.get(contact)
    }

    /// All, in the order of their names.
    pub(super) fn named(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.by_name.keys().filter_map(|(_, contact)| self.by_id.get(contact))
    }

    fn with(&self, books: &Books, value: &[u8], has: fn(&Entry) -> Vec<Vec<u8>>) -> Vec<ContactId> {
        let contacts = self.by_value.get(&self.hasher.hash_one(value.to_vec()));
        let entries = contacts.into_iter().flatten().filter_map(|contact| self.by_id.get(contact));
        let mut found: Vec<&Entry> =
            entries.filter(|entry| entry.is_in(books) && has(entry).iter().any(|own| own == value)).collect();
        found.sort_by_cached_key(|entry| (entry.name(), entry.id));
        found.into_iter().map(|entry| entry.id).collect()
    }

    pub(super) fn with_email(&self, books: &Books, email: &[u8]) -> Vec<ContactId> {
        self.with(books, email, Entry::emails)
    }

    pub(super) fn with_phone(&self, books: &Books, digits: &str) -> Vec<ContactId> {
        self.with(books, digits.as_bytes(), Entry::phones)
    }

    /// How many of the books' contacts have each value of a path.
    pub(super) fn count(&self, books: &Books, path: &Path) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let span = Span::of(path);
        for entry in self.by_id.values().filter(|entry| entry.is_in(books)) {
            Packed(&entry.packed).walk(&span, &mut |_, seen| {
                let word = match seen {
                    Seen::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    Seen::Bool(word) => word.to_string(),
                    Seen::Book(book) => book.to_string(),
                    _ => return false,
                };
                *counts.entry(word).or_default() += 1;
                false
            });
        }
        counts.into_iter().collect()
    }
}
