//! Searching across books, and the upkeep of the indexes that make it quick.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::{CollectionId, ContactId, HomeName, MemberName};
use crate::domain::search::{Mode, Terms};
use crate::store::StoreError;
use crate::store::engine::EngineError;
use crate::store::query::With;
use crate::store::search::Ranked;

use super::access::{Belongs, Caller, rights};
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
        let home = self.readable_home(caller, &HomeName::books(caller.name.clone()))?;
        let Some(terms) = Terms::parse(text, mode, self.settings.default_region).map(Arc::new) else {
            return Ok(Vec::new());
        };
        let reader = self.store.read().await?;
        let links = reader.links(home).await?;
        let ids: Vec<_> = links.iter().map(|link| link.book).collect();
        let mut found: Vec<(Ranked, usize)> = Vec::new();
        for (at, collection) in reader.found_collections(&ids).await?.into_iter().enumerate() {
            let Some(collection) = collection.readable() else { continue };
            let belongs = match links.get(at).is_some_and(|link| link.mount) {
                true => Belongs::Mounted(&collection.row),
                false => Belongs::Own(&caller.name, &collection.row),
            };
            if !rights(caller, belongs).read {
                continue;
            }
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
            let cards = reader.found_cards(link.book, &members, With::default()).await?;
            for ((place, (ranked, _)), card) in places.into_iter().zip(cards) {
                let Some(card) = card.readable().filter(|card| card.row.contact == ranked.contact) else {
                    continue;
                };
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

#[cfg(test)]
mod tests {
    use super::super::tests::{alice, card, name, service};
    use super::*;
    use crate::domain::filter::{Filter, MatchKind, PropertyCondition, PropertyFilter, Test, TextMatch};
    use crate::service::place::Place;
    use crate::service::view::{Carry, Detail};

    async fn found(service: &Service, caller: &Caller, text: &str) -> Vec<String> {
        let hits = service.search(caller, text, Mode::Substring, 10).await.unwrap();
        hits.iter().map(|hit| format!("{}/{}", hit.book_name.as_str(), hit.name.as_str())).collect()
    }

    #[tokio::test]
    async fn all_books_are_searched_and_only_ones_own() {
        let service = service().await;
        let caller = alice(&service).await;
        let other = name("other");
        service.create_book(&caller, &caller.books(), &other, Vec::new(), Vec::new()).await.unwrap();
        for indexed in [false, true] {
            for (book, file, text) in
                [("contacts", "a", "Jörg Wolf"), ("other", "b", "Georg Jorgensen"), ("other", "c", "Anna")]
            {
                service.store_card(&caller, book, file, card(file, text)).await.unwrap();
            }
            if indexed {
                service.index_all().await.unwrap();
                assert_eq!(service.store.indexes().size().cards, 3);
            }
            assert_eq!(found(&service, &caller, "jorg").await, ["contacts/a", "other/b"]);
            assert_eq!(found(&service, &caller, "ANN").await, ["other/c"]);
            assert!(found(&service, &caller, " ").await.is_empty());
            let one = service.search(&caller, "r", Mode::Substring, 1).await.unwrap();
            assert_eq!(one.len(), 1);
            assert_eq!(format!("{one:?}"), "[Hit(…)]");
        }
        let stranger = Caller { home: CollectionId::from_bytes([9; 16]), ..caller.clone() };
        assert!(found(&service, &stranger, "jorg").await.is_empty());

        // Cards and books that go are found no more, and nothing is kept of them.
        let gone = Place::Object(caller.books(), name("contacts"), name("a"));
        service.delete(&caller, &gone, Vec::new()).await.unwrap();
        assert_eq!(found(&service, &caller, "jorg").await, ["other/b"]);
        service.delete(&caller, &Place::Collection(caller.books(), other), Vec::new()).await.unwrap();
        assert!(found(&service, &caller, "jorg").await.is_empty());
        service.purge_all().await.unwrap();
        assert_eq!(service.store.indexes().size().cards, 0);
    }

    /// Whoever has written finds it, however far the index is, while others write.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_writer_finds_what_it_wrote() {
        let service = service().await;
        let caller = alice(&service).await;
        let upkeep = tokio::spawn({
            let service = service.clone();
            async move { service.index().await }
        });
        let writers = (0..4).map(|writer| {
            let (service, caller) = (service.clone(), caller.clone());
            tokio::spawn(async move {
                for at in 0..60 {
                    let file = format!("{writer}-{at}");
                    let text = format!("Anna{writer}x{at}y");
                    service.store_card(&caller, "contacts", &file, card(&file, &text)).await.unwrap();
                    let texts = vec![TextMatch {
                        text: text.to_uppercase(),
                        collation: crate::domain::collation::Collation::UnicodeCasemap,
                        kind: MatchKind::Contains,
                        negate: false,
                    }];
                    let condition =
                        PropertyCondition::Defined { test: Test::AllOf, texts, parameters: Vec::new() };
                    let properties = vec![PropertyFilter { name: "FN".into(), condition }];
                    let filter = Filter { test: Test::AllOf, properties };
                    let book = name("contacts");
                    let mut carry = Carry::new(Detail::default());
                    let home = caller.books();
                    let query = service.query(&caller, &home, &book, filter, None, &mut carry);
                    let found_cards = query.await.unwrap().cards;
                    assert_eq!(found_cards.iter().map(|card| &card.name).collect::<Vec<_>>(), [&name(&file)]);
                    assert_eq!(found(&service, &caller, &text).await, [format!("contacts/{file}")]);
                    if at % 10 == 0 {
                        service.index_all().await.unwrap();
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        upkeep.abort();
    }
}
