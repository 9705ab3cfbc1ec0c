//! Searching across books, and the upkeep of the indexes that make it quick.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::{CollectionId, ContactId, MemberName};
use crate::domain::search::{Mode, Terms};
use crate::store::StoreError;
use crate::store::engine::EngineError;
use crate::store::query::With;
use crate::store::search::Ranked;

use super::access::Caller;
use super::refusal::Fault;
use super::{Answer, Service, fault};

crate::hidden!(Hit);

/// How long changes are gathered before the indexes take them in: a client that uploads a thousand
/// cards makes a thousand commits.
const GATHER: Duration = Duration::from_millis(250);

/// How long the upkeep rests when the store could not be read.
const AGAIN: Duration = Duration::from_secs(60);

/// A card that was found.
#[derive(Clone, PartialEq, Eq)]
pub struct Hit {
    /// The book's identity.
    pub book: CollectionId,
    /// The book's name in the caller's home.
    pub book_name: MemberName,
    /// The card's name in the book.
    pub name: MemberName,
    /// The contact.
    pub contact: ContactId,
}

impl Service {
    /// The cards, in all books that the caller may read, that hold every word of a text, or a phone
    /// number that ends with its digits; neither case nor accents matter. Cards that have the words
    /// in a name come first. A text without words, or of too many, finds nothing.
    pub async fn search(&self, caller: &Caller, text: &str, mode: Mode, limit: usize) -> Answer<Vec<Hit>> {
        let home = self.readable_home(caller, &caller.name)?;
        let Some(terms) = Terms::parse(text, mode).map(Arc::new) else { return Ok(Vec::new()) };
        let reader = self.store.read().await?;
        let links = reader.links(home).await?;
        let ids: Vec<_> = links.iter().map(|link| link.book).collect();
        let mut found: Vec<(Ranked, usize)> = Vec::new();
        for (at, collection) in reader.collections(&ids).await?.into_iter().enumerate() {
            let Some(collection) = collection else { continue };
            let book = (collection.id, collection.revision);
            let best = self.store.search(&reader, book, &terms, limit).await?;
            found.extend(best.into_iter().map(|ranked| (ranked, at)));
        }
        found.sort_unstable();
        found.truncate(limit);
        // An index may know of cards that came after the snapshot.
        let reader = self.store.read().await?;
        let mut hits: Vec<(usize, Hit)> = Vec::with_capacity(found.len());
        for (at, link) in links.iter().enumerate() {
            let places: Vec<_> = (0..).zip(&found).filter(|(_, (_, of))| *of == at).collect();
            let members: Vec<_> = places.iter().map(|(_, (ranked, _))| ranked.member).collect();
            let book_name = MemberName::parse(&link.name);
            let book_name = book_name.map_err(|_| Fault("a book has no valid name".into()))?;
            let cards = reader.cards_of(link.book, &members, With::default()).await?;
            for ((place, (ranked, _)), card) in places.into_iter().zip(cards) {
                let Some(card) = card.filter(|card| card.row.contact == ranked.contact) else { continue };
                let name = MemberName::parse(&card.row.name);
                let name = name.map_err(|_| Fault("the store is damaged: a card's name".into()))?;
                let contact = ContactId::from_bytes(ranked.contact);
                hits.push((place, Hit { book: link.book, book_name: book_name.clone(), name, contact }));
            }
        }
        hits.sort_unstable_by_key(|(place, _)| *place);
        Ok(hits.into_iter().map(|(_, hit)| hit).collect())
    }

    /// Builds the indexes and keeps them current; runs until dropped. Answers only when trying again
    /// is of no use.
    pub async fn index(&self) -> Fault {
        loop {
            match self.index_all().await {
                Ok(()) => break,
                Err(error) if passes(&error) => tokio::time::sleep(AGAIN).await,
                Err(error) => return fault(error),
            }
        }
        let indexes = self.store.indexes();
        loop {
            let mut behind = indexes.behind().await;
            tokio::time::sleep(GATHER).await;
            behind.extend(indexes.take_behind());
            for id in behind {
                match self.store.refresh_index(id).await {
                    // A damaged book is read card by card; it spoils no other book's index.
                    Ok(()) | Err(StoreError::Damaged(_)) => {}
                    Err(error) if passes(&error) => {
                        tokio::time::sleep(AGAIN).await;
                        indexes.touch(vec![id]);
                    }
                    Err(error) => return fault(error),
                }
                // Requests come first on a small machine.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Brings the indexes of all books up to date, and makes those that are missing.
    pub async fn index_all(&self) -> Result<(), StoreError> {
        for id in self.store.all_books().await? {
            match self.store.refresh_index(id).await {
                Ok(()) | Err(StoreError::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// Whether a store that failed so may be read again later.
fn passes(error: &StoreError) -> bool {
    matches!(error, StoreError::Engine(EngineError::Full | EngineError::Failed(_)))
}
