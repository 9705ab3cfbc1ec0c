//! What the homes of books and of calendars hold, as their owner knows it and as the server shows it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cardkeep::domain::id::{CollectionKind, ContactId, Etag, HomeName};
use cardkeep::service::access::Caller;
use cardkeep::service::office::{ContactRef, ContactView, Found};
use cardkeep::service::refusal::Refusal;
use cardkeep::service::view::{Detail, Members, Property};
use cardkeep::service::{Answer, Service};

/// What a card is, as far as its owner knows; a tag that nobody was told may be any.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    pub body: Bytes,
    pub etag: Option<Etag>,
    /// Those of a card that may have come back from the trash may be any.
    pub properties: Option<Vec<Property>>,
    /// What the record says; of a card that may have come back, as unknown, and of what is in calendars.
    pub salutation: Option<String>,
}

/// What a book is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    pub cards: BTreeMap<String, Card>,
    pub properties: Vec<Property>,
}

/// What the homes are, and what is in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Home {
    /// Books and calendars, none of which are called alike.
    pub books: BTreeMap<String, Book>,
    pub properties: BTreeMap<CollectionKind, Vec<Property>>,
    /// The UIDs of cards that may lie in the trash, from which they come back with what they had.
    pub trashed: BTreeSet<String>,
    /// What the smart book showed; it follows later.
    pub smart: BTreeMap<String, Etag>,
}

/// The smart book, and what it shows.
pub const SMART: &str = "smart";
pub const FILTER: &str = "title pr";

/// What books and calendars may be called.
pub const BOOKS: [&str; 3] = ["contacts", "second", "third"];
pub const CALENDARS: [&str; 3] = ["calendar", "tasks", "work"];

/// What is called so.
pub fn kind_of(book: &str) -> CollectionKind {
    match CALENDARS.contains(&book) {
        true => CollectionKind::Calendar,
        false => CollectionKind::AddressBook,
    }
}

/// The home in which it lies.
pub fn home_of(caller: &Caller, book: &str) -> HomeName {
    HomeName::new(kind_of(book), caller.name.clone())
}

/// A card's UID.
pub fn uid(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    text.lines().find_map(|line| line.strip_prefix("UID:")).unwrap().to_owned()
}

/// A contact that is there.
pub async fn contact(service: &Service, caller: &Caller, id: ContactId) -> Answer<ContactView> {
    match service.contact(caller, ContactRef::Id(id)).await? {
        Found::There(view) => Ok(*view),
        Found::Merged(_) => Err(Refusal::NotFound.into()),
    }
}

impl Home {
    /// Whether this is `other`, but for tags that either does not know.
    pub fn is(&self, other: &Home) -> bool {
        let card = |(a, x): (&String, &Card), (b, y): (&String, &Card)| {
            let tags = x.etag.is_none() || y.etag.is_none() || x.etag == y.etag;
            let properties = x.properties.is_none() || y.properties.is_none() || x.properties == y.properties;
            let records = x.salutation.is_none() || y.salutation.is_none() || x.salutation == y.salutation;
            tags && a == b && x.body == y.body && properties && records
        };
        let book = |(a, x): (&String, &Book), (b, y): (&String, &Book)| {
            let cards = x.cards.iter().zip(&y.cards).all(|(x, y)| card(x, y));
            a == b && x.properties == y.properties && x.cards.len() == y.cards.len() && cards
        };
        let books = self.books.iter().zip(&other.books).all(|(x, y)| book(x, y));
        self.properties == other.properties && self.books.len() == other.books.len() && books
    }

    /// What the server has.
    pub async fn read(service: &Service, caller: &Caller) -> Answer<Home> {
        // Nobody lists the trash.
        let trashed = (0..8).flat_map(|file| [0, 1].map(|n| format!("c{file}.vcf-{n}"))).collect();
        let mut home = Home { trashed, ..Home::default() };
        for kind in CollectionKind::ALL {
            home.read_home(service, caller, &HomeName::new(kind, caller.name.clone())).await?;
        }
        Ok(home)
    }

    async fn read_home(&mut self, service: &Service, caller: &Caller, owner: &HomeName) -> Answer<()> {
        let view = service.home(caller, owner).await?;
        self.properties.insert(owner.kind, view.home.properties);
        // What is made of the books is not the owner's to fill.
        for book in view.books.into_iter().filter(|book| book.births.is_none()) {
            let at = book.name.unwrap();
            let detail = Detail { properties: true, body: false };
            let listed = service.book(caller, owner, &at, Members::All, detail).await?.cards;
            let names = listed.iter().map(|card| card.name.clone()).collect();
            let detail = Detail { properties: true, body: true };
            let shown = service.book(caller, owner, &at, Members::Named(names), detail).await?.cards;
            assert_eq!(shown.len(), listed.len());
            if at.as_str() == SMART {
                self.smart = shown.into_iter().map(|card| (card.name.as_str().into(), card.etag)).collect();
                continue;
            }
            let mut cards = BTreeMap::new();
            for card in shown {
                let salutation = match owner.kind {
                    CollectionKind::AddressBook => {
                        Some(contact(service, caller, card.contact).await?.record.salutation)
                    }
                    CollectionKind::Calendar => None,
                };
                let (properties, etag) = (Some(card.properties), Some(card.etag));
                let known = Card { body: card.body.unwrap(), etag, properties, salutation };
                cards.insert(card.name.as_str().to_owned(), known);
            }
            self.books.insert(at.as_str().to_owned(), Book { cards, properties: book.properties });
        }
        Ok(())
    }
}
