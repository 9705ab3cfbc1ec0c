//! Homes and books: members, bodies, UIDs, and whose keys seal them.

use std::collections::{HashMap, HashSet};

use crate::domain::ical::{Components, Kind};
use crate::domain::id::{CollectionId, CollectionKind, ContactId};
use crate::store::StoreError;
use crate::store::census::{Census, Contact, Id, UNREADABLE};
use crate::store::codec::{self};
use crate::store::keys::{self, Hash};
use crate::store::keyslots::Slot;
use crate::store::owner::Owner;
use crate::store::query::Reader;
use crate::store::rows::{CollectionRow, UidRow};

use super::finding::{Mend, Stage};
use super::log::Entry;

mod read;

/// What a collection was whose row is lost, as far as others tell.
#[derive(Clone, Copy)]
struct Lost {
    owner: Id,
    /// The home it lies in; `None` for a home.
    home: Option<Id>,
    created: i64,
    kind: CollectionKind,
}

/// A book's place in its home.
struct Link {
    member: Hash,
    entry: Entry,
    slot: Option<Slot>,
    /// The book, and whether it is kept under its name; `None` cannot be read.
    book: Option<(Id, bool)>,
    /// The book is another's.
    mount: bool,
}

/// A card's row.
struct Member {
    member: Hash,
    entry: Entry,
    /// What the row shows without its key.
    place: Option<(Id, u32, Slot)>,
    card: Option<Card>,
}

/// What a readable card's row says.
struct Card {
    named: bool,
    uid: Option<Hash>,
    /// The hash of its UID wherever it is.
    anywhere: Hash,
    /// It lies in the trash and may come back.
    trashed: bool,
    version: u64,
    etag: [u8; 16],
    size: u64,
    four: bool,
    /// It is a calendar object.
    in_calendar: bool,
    described: bool,
}

/// A card's octets.
struct Body {
    contact: Id,
    slot: Option<Slot>,
    /// What was read; `None` cannot be.
    read: Option<Octets>,
}

/// What readable octets say.
struct Octets {
    member: Hash,
    named: bool,
    version: u64,
    etag: [u8; 16],
    size: u64,
    /// Whether a vCard 4.0 holds to its standard.
    strict: Option<bool>,
}

impl Census {
    /// Every account's home, the books in it, and books that have lost their place.
    pub(in crate::store) async fn examine_homes(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let homes = self.accounts.iter().flat_map(|(id, account)| {
            let calendars = account.calendars.map(|home| (home, CollectionKind::Calendar));
            let homes = [(account.home, CollectionKind::AddressBook)].into_iter().chain(calendars);
            homes.map(|(home, kind)| (home, Lost { owner: *id, home: None, created: account.created, kind }))
        });
        let homes: Vec<(Id, Lost)> = homes.collect();
        let mut books: Vec<Id> = Vec::new();
        for (home, lost) in homes {
            let (id, account) = (CollectionId::from_bytes(home), lost.owner);
            match self.collections.get(&home) {
                Some(row) if row.owner != account || row.home.is_some() || row.kind() != lost.kind => {
                    self.fault(&home, "a home is not its account's");
                }
                Some(_) => {}
                None => {
                    let slot = self.slots.iter().find(|(_, owner)| **owner == Owner::collection(home));
                    let slot = slot.map(|(slot, _)| *slot);
                    self.lost_collection(id, slot, lost, "an account has no home");
                }
            }
            books.extend(self.examine_home(reader, id, lost).await?);
        }
        let lost = self.collections.iter().filter(|(id, _)| !self.named.contains(*id));
        let lost: Vec<(Id, Option<Id>)> = lost.map(|(id, row)| (*id, row.home)).collect();
        for (id, home) in lost {
            if !self.ending.contains_key(&id) {
                self.homeless(id, home, &mut books);
            }
        }
        for book in books {
            self.examine_book(reader, CollectionId::from_bytes(book)).await?;
        }
        Ok(())
    }

    /// A collection that nothing names.
    fn homeless(&mut self, id: Id, home: Option<Id>, books: &mut Vec<Id>) {
        let ends = home.is_some_and(|home| self.ending.contains_key(&home));
        match home {
            // The home's purge ends it.
            Some(_) if ends => drop(self.ending.insert(id, None)),
            Some(home) if self.named.contains(&home) => {
                let (home, book) = (CollectionId::from_bytes(home), CollectionId::from_bytes(id));
                self.finding(&id, "a book has no place in its home", Mend::Link { home, book });
                books.push(id);
            }
            Some(_) => {
                self.unsure = true;
                self.fault(&id, "a book's home is not there");
                books.push(id);
            }
            None => {
                self.unsure = true;
                self.fault(&id, "a home's account is not there");
            }
        }
    }

    /// The row of a collection that is named is not there, or cannot be read.
    fn lost_collection(&mut self, id: CollectionId, slot: Option<Slot>, lost: Lost, what: &'static str) {
        let Lost { owner, home, created, kind } = lost;
        let calendar = kind == CollectionKind::Calendar;
        // What a calendar took is not known any more, so it refuses nothing.
        let components =
            if calendar && home.is_some() { Components::of(&Kind::ALL) } else { Components::NONE };
        self.unsure = true;
        let Some(slot) = slot else { return self.fault(id.as_bytes(), what) };
        self.claim(slot, Owner::collection(*id.as_bytes()), None);
        let row = CollectionRow {
            owner,
            home,
            created,
            default: false,
            slot: slot.0,
            // Which tokens it gave out is not known any more.
            identity: self.another_identity(id, id.as_bytes()),
            floor: self.revisions.get(id.as_bytes()).copied().flatten().unwrap_or(0),
            calendar,
            components: components.bits(),
            // Who had access is not known any more.
            ..CollectionRow::default()
        };
        let key = keys::collection(id);
        let value = self.sealer.encode(&key, &row);
        self.finding(id.as_bytes(), what, Mend::put(Stage::Collections, key, value));
    }

    /// A home's links and log; answers its books.
    async fn examine_home(
        &mut self,
        reader: &Reader,
        home: CollectionId,
        lost: Lost,
    ) -> Result<Vec<Id>, StoreError> {
        let (account, kind) = (lost.owner, lost.kind);
        let links = reader.links_in(home).await?;
        let mut books = Vec::new();
        let mut entries = HashMap::new();
        let mut garbled = Vec::new();
        for link in links {
            entries.insert(link.member, link.entry);
            let Some((book, named)) = link.book else {
                garbled.push(link.member);
                continue;
            };
            if !named {
                self.fault(&link.member, "a member's name is not the one that it is kept under");
            }
            if link.mount {
                self.examine_mount(home, &link, book, kind);
                continue;
            }
            if !self.named.insert(book) {
                self.fault(&book, "a book has two places");
                continue;
            }
            match self.collections.get(&book) {
                Some(row)
                    if row.owner != account || row.home != Some(*home.as_bytes()) || row.kind() != kind =>
                {
                    self.fault(&book, "a book is not its home's");
                }
                Some(row) if link.slot != Some(Slot(row.slot)) => {
                    self.fault(&book, "a book's place is sealed with another's key");
                }
                Some(_) => {}
                None => {
                    let (id, what) =
                        (CollectionId::from_bytes(book), "a home names a book that is not there");
                    let lost = Lost { home: Some(*home.as_bytes()), created: self.at, ..lost };
                    self.lost_collection(id, link.slot, lost, what);
                }
            }
            books.push(book);
        }
        self.garbled_links(home, garbled);
        self.examine_log(reader, home, &entries).await?;
        Ok(books)
    }

    /// The place of another's book. That a book is not shared any more is no fault: the place goes
    /// when the service looks at it next.
    fn examine_mount(&mut self, home: CollectionId, link: &Link, book: Id, kind: CollectionKind) {
        let slot = self.collections.get(home.as_bytes()).map(|row| Slot(row.slot));
        self.mounts.insert(link.member, slot);
        if slot.is_some() && link.slot != slot {
            self.fault(&link.member, "the place of another's book is not sealed with its home's key");
        }
        if self.collections.get(&book).is_some_and(|row| row.home == Some(*home.as_bytes())) {
            self.fault(&link.member, "a home takes its own book for another's");
        }
        if self.collections.get(&book).is_some_and(|row| row.kind() != kind) {
            self.fault(&link.member, "a home has a place for what it does not hold");
        }
    }

    /// Places whose row cannot be read go once every book of the home has one.
    fn garbled_links(&mut self, home: CollectionId, garbled: Vec<Hash>) {
        let id = Some(*home.as_bytes());
        let placeless = self.collections.iter().any(|(book, row)| {
            row.home == id && !self.named.contains(book) && !self.ending.contains_key(book)
        });
        for member in garbled {
            self.unsure = true;
            let key = keys::member(home, &member);
            let mend = if placeless { Mend::Nothing } else { Mend::drop_row(Stage::Objects, key.clone()) };
            self.finding(&key, UNREADABLE, mend);
        }
    }

    async fn examine_book(&mut self, reader: &Reader, book: CollectionId) -> Result<(), StoreError> {
        let calendar = self.is_calendar(book.as_bytes());
        let count = if calendar { &mut self.report.calendars } else { &mut self.report.books };
        *count += 1;
        let members = reader.members_in(book).await?;
        if self.is_smart(book.as_bytes()) {
            return self.examine_smart(reader, book, members).await;
        }
        let fours = members.iter().filter(|member| member.card.as_ref().is_some_and(|card| card.four));
        let fours = fours.filter_map(|member| Some(member.place?.0)).collect();
        let bodies = reader.bodies_in(book, fours).await?;
        let mut entries: HashMap<Hash, Entry> =
            members.iter().map(|member| (member.member, member.entry)).collect();
        let cards: HashMap<Id, &Member> = members
            .iter()
            .filter(|member| member.card.is_some())
            .filter_map(|member| Some((member.place?.0, member)))
            .collect();
        let expected = self.examine_bodies(book, &cards, &members, bodies);
        for member in &expected {
            entries.insert(*member, Entry::Expected);
        }
        let mut uids: HashMap<Hash, Hash> = HashMap::new();
        for member in &members {
            let (Some(card), Some((contact, number, slot))) = (&member.card, member.place) else {
                if !expected.contains(&member.member) {
                    let place =
                        member.place.map(|(contact, number, slot)| (slot, Owner::contact(contact, number)));
                    let (slot, owner) = place.unzip();
                    self.unreadable(&keys::member(book, &member.member), slot, owner);
                }
                continue;
            };
            let count = if calendar { &mut self.report.objects } else { &mut self.report.cards };
            *count += 1;
            if card.in_calendar != calendar {
                self.fault(&contact, "a book or a calendar holds what it does not take");
            }
            if !card.named {
                self.fault(&member.member, "a member's name is not the one that it is kept under");
            }
            let known = Contact::new(book, slot, number, card.version, card.described);
            let known = known.in_calendar(card.in_calendar);
            if !self.contact(contact, known.at(member.member, card.anywhere, card.trashed)) {
                self.fault(&contact, "two cards are one contact");
            }
            match card.uid {
                Some(uid) => {
                    if uids.insert(uid, member.member).is_some() {
                        self.fault(&contact, "two cards of a book have one UID");
                    }
                }
                None => self.fault(&contact, "a card has no UID"),
            }
        }
        let blind =
            members.iter().filter(|member| member.card.is_none()).map(|member| member.member).collect();
        self.examine_uids(reader, book, uids, blind).await?;
        self.examine_log(reader, book, &entries).await
    }

    /// A smart book: its cards are those of contacts in other books, and what of them cannot be read, or
    /// is missing, is made anew where the contacts are followed. Its log is like others'.
    async fn examine_smart(
        &mut self,
        reader: &Reader,
        book: CollectionId,
        members: Vec<Member>,
    ) -> Result<(), StoreError> {
        let entries = members.iter().map(|member| (member.member, member.entry)).collect();
        let shown: HashSet<Id> = members.iter().filter_map(|member| Some(member.place?.0)).collect();
        for body in reader.bodies_in(book, HashSet::new()).await? {
            if !shown.contains(&body.contact) {
                let key = keys::body(book, ContactId::from_bytes(body.contact));
                let mend = Mend::drop_row(Stage::Derived, key.clone());
                self.finding(&key, "a body belongs to no card", mend);
            }
        }
        self.examine_uids(reader, book, HashMap::new(), HashSet::new()).await?;
        self.examine_log(reader, book, &entries).await
    }

    /// Compares bodies with their cards; answers the members whose row is made from a body.
    fn examine_bodies(
        &mut self,
        book: CollectionId,
        cards: &HashMap<Id, &Member>,
        members: &[Member],
        bodies: Vec<Body>,
    ) -> HashSet<Hash> {
        let sound: HashSet<Hash> =
            members.iter().filter(|member| member.card.is_some()).map(|member| member.member).collect();
        let (mut seen, mut expected) = (HashSet::new(), HashSet::new());
        for body in bodies {
            let contact = ContactId::from_bytes(body.contact);
            let card = cards.get(&body.contact);
            seen.insert(body.contact);
            let Some(octets) = body.read else {
                self.fault(&keys::body(book, contact), UNREADABLE);
                continue;
            };
            match octets.strict {
                Some(true) => self.report.strict += 1,
                Some(false) => self.report.lenient += 1,
                None => {}
            }
            match card.and_then(|member| Some((member, member.card.as_ref()?))) {
                Some((member, card)) => {
                    let same = octets.member == member.member
                        && octets.named
                        && (octets.version, octets.etag, octets.size) == (card.version, card.etag, card.size);
                    if !same {
                        let mend = Mend::Card { book, contact };
                        self.finding(&body.contact, "a card's row is not its body's", mend);
                    } else if body.slot != member.place.map(|(_, _, slot)| slot) {
                        self.fault(&body.contact, "a body is sealed with another's key");
                    }
                }
                None if sound.contains(&octets.member) || !octets.named => {
                    self.fault(&body.contact, "a body belongs to no card");
                }
                None => {
                    expected.insert(octets.member);
                    self.unsure = true;
                    let mend = Mend::Card { book, contact };
                    self.finding(&body.contact, "a card has lost its row", mend);
                }
            }
        }
        for contact in cards.keys().filter(|contact| !seen.contains(*contact)) {
            self.fault(contact, "a card has no body");
        }
        expected
    }

    /// Compares the index of UIDs with the cards; of the `blind` ones' nothing is known.
    async fn examine_uids(
        &mut self,
        reader: &Reader,
        book: CollectionId,
        mut cards: HashMap<Hash, Hash>,
        blind: HashSet<Hash>,
    ) -> Result<(), StoreError> {
        for (uid, row) in reader.uids_in(book).await? {
            let key = keys::uid(book, &uid);
            match (cards.remove(&uid), row) {
                (Some(member), Some(row)) if row == member => {}
                (Some(member), _) => self.uid(book, uid, member),
                (None, Some(row)) if blind.contains(&row) => {}
                (None, _) => {
                    let mend = Mend::drop_row(Stage::Derived, key.clone());
                    self.finding(&key, "the UID index names no card", mend);
                }
            }
        }
        cards.into_iter().for_each(|(uid, member)| self.uid(book, uid, member));
        Ok(())
    }

    fn uid(&mut self, book: CollectionId, uid: Hash, member: Hash) {
        let key = keys::uid(book, &uid);
        let value = self.sealer.encode(&key, &UidRow { member });
        let also = vec![keys::member(book, &member)];
        let mend = Mend::Rows { stage: Stage::Derived, writes: vec![(key.clone(), Some(value))], also };
        self.finding(&key, "the UID index does not name its card", mend);
    }

    /// What waits to be purged: its rows may be there in part, and what is there has its keys.
    pub(in crate::store) async fn examine_ending(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let waiting: Vec<Id> = self.ending.keys().copied().collect();
        let mut books = HashSet::new();
        for id in waiting {
            let collection = CollectionId::from_bytes(id);
            let named = reader.links_in(collection).await?;
            let named: Vec<Id> = named.iter().filter_map(|link| Some(link.book?.0)).collect();
            if named.is_empty() {
                books.insert(id);
            }
            for book in named {
                self.ending.entry(book).or_insert(None);
                books.insert(book);
            }
        }
        let smart = |book: &Id| self.is_smart(book);
        let books: Vec<Id> = books.into_iter().filter(|book| !smart(book)).collect();
        for book in books.into_iter().map(CollectionId::from_bytes) {
            for member in reader.members_in(book).await? {
                if let (Some(card), Some((contact, number, slot))) = (member.card, member.place) {
                    let known = Contact::new(book, slot, number, card.version, card.described);
                    let known = known.in_calendar(card.in_calendar);
                    self.contact(contact, known.at(member.member, card.anywhere, card.trashed));
                }
            }
        }
        Ok(())
    }
}

fn entry(value: &[u8]) -> Entry {
    codec::stamp(value).map_or(Entry::Garbled, |(revision, _)| Entry::At(revision))
}
