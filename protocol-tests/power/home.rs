//! What a home holds, as its owner knows it and as the server shows it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cardkeep::domain::id::Etag;
use cardkeep::service::access::Caller;
use cardkeep::service::view::{Detail, Members, ObjectView, Property};
use cardkeep::service::{Answer, Service};

/// What a card is, as far as its owner knows; a tag that nobody was told may be any.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    pub body: Bytes,
    pub etag: Option<Etag>,
    /// Those of a card that may have come back from the trash may be any.
    pub properties: Option<Vec<Property>>,
}

/// What a book is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    pub cards: BTreeMap<String, Card>,
    pub properties: Vec<Property>,
}

/// What a home is, and what is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Home {
    pub books: BTreeMap<String, Book>,
    pub properties: Vec<Property>,
    /// The UIDs of cards that may lie in the trash, from which they come back with what they had.
    pub trashed: BTreeSet<String>,
}

/// A card's UID.
pub fn uid(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    text.lines().find_map(|line| line.strip_prefix("UID:")).unwrap().to_owned()
}

impl Home {
    /// Whether this is `other`, but for tags that either does not know.
    pub fn is(&self, other: &Home) -> bool {
        let card = |(a, x): (&String, &Card), (b, y): (&String, &Card)| {
            let tags = x.etag.is_none() || y.etag.is_none() || x.etag == y.etag;
            let properties = x.properties.is_none() || y.properties.is_none() || x.properties == y.properties;
            tags && a == b && x.body == y.body && properties
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
        let view = service.home(caller, &caller.books()).await?;
        // Nobody lists the trash.
        let trashed = (0..8).flat_map(|file| [0, 1].map(|n| format!("c{file}.vcf-{n}"))).collect();
        let mut home = Home { books: BTreeMap::new(), properties: view.home.properties, trashed };
        for book in view.books {
            let at = book.name.unwrap();
            let detail = Detail { properties: true, body: false };
            let listed = service.book(caller, &caller.books(), &at, Members::All, detail).await?.cards;
            let names = listed.iter().map(|card| card.name.clone()).collect();
            let detail = Detail { properties: true, body: true };
            let shown =
                service.book(caller, &caller.books(), &at, Members::Named(names), detail).await?.cards;
            assert_eq!(shown.len(), listed.len());
            let card = |card: ObjectView| {
                let properties = Some(card.properties);
                let known = Card { body: card.body.unwrap(), etag: Some(card.etag), properties };
                (card.name.as_str().to_owned(), known)
            };
            let cards = shown.into_iter().map(card).collect();
            home.books.insert(at.as_str().to_owned(), Book { cards, properties: book.properties });
        }
        Ok(home)
    }
}
