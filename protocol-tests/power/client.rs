//! A client that follows tokens, and what it then believes.

use std::collections::BTreeMap;

use cardkeep::domain::id::{CollectionId, CollectionKind, Etag, HomeName};
use cardkeep::domain::token::SyncToken;
use cardkeep::service::access::Caller;
use cardkeep::service::refusal::Stop;
use cardkeep::service::{Answer, Service};

use super::home::{Card, Home, SMART, home_of};
use crate::inside::name;

/// What a client knows of one book.
struct Followed {
    id: CollectionId,
    token: Option<SyncToken>,
    holds: BTreeMap<String, Etag>,
}

/// A client that knows only what tokens tell it: of the homes which books and calendars there are, of
/// each of them what is in it.
#[derive(Default)]
pub struct Client {
    tokens: BTreeMap<CollectionKind, SyncToken>,
    books: BTreeMap<String, Followed>,
}

impl Client {
    /// Follows the homes, then every book, `limit` changes at a time; a hasty one takes but one page
    /// of each.
    pub async fn follow(
        &mut self,
        service: &Service,
        caller: &Caller,
        limit: Option<usize>,
        hasty: bool,
    ) -> Answer<()> {
        for kind in CollectionKind::ALL {
            let home = HomeName::new(kind, caller.name.clone());
            loop {
                let since = self.tokens.get(&kind).copied();
                let page = service.home_changes(caller, &home, since, limit).await?;
                for gone in page.removed {
                    self.books.remove(gone.as_str());
                }
                // What is made of the books has no log of its own.
                for book in page.changed.into_iter().filter(|book| book.births.is_none()) {
                    let (id, at) = (book.id, book.name.unwrap().as_str().to_owned());
                    if self.books.get(&at).is_none_or(|known| known.id != id) {
                        self.books.insert(at, Followed { id, token: None, holds: BTreeMap::new() });
                    }
                }
                self.tokens.insert(kind, page.token);
                if hasty || !page.truncated {
                    break;
                }
            }
        }
        for (at, book) in &mut self.books {
            let home = home_of(caller, at);
            loop {
                let page = service.changes(caller, &home, &name(at), book.token, limit).await;
                let page = match page {
                    Ok(page) => page,
                    // It has not heard yet that the book is gone, or is another.
                    Err(Stop::Refused(_)) if hasty => break,
                    Err(stop) => return Err(stop),
                };
                for card in page.changed {
                    book.holds.insert(card.name.as_str().to_owned(), card.etag);
                }
                for gone in page.removed {
                    book.holds.remove(gone.as_str());
                }
                book.token = Some(page.token);
                if hasty || !page.truncated {
                    break;
                }
            }
        }
        Ok(())
    }

    pub fn assert_holds(&self, home: &Home, told: &str) {
        let known = |card: &Card| card.etag.unwrap();
        let there = home.books.iter().map(|(at, book)| {
            (
                at,
                book.cards.iter().map(|(file, card)| (file.clone(), known(card))).collect::<BTreeMap<_, _>>(),
            )
        });
        let smart = SMART.to_owned();
        let there: BTreeMap<_, _> = there.chain([(&smart, home.smart.clone())]).collect();
        let holds: BTreeMap<_, _> = self.books.iter().map(|(at, book)| (at, book.holds.clone())).collect();
        assert_eq!(holds, there, "what tokens tell; {told}");
    }
}
