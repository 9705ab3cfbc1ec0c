//! What changed since a token (RFC 6578): token, members and log come from one snapshot (SYNC-13).

use crate::domain::id::{CollectionId, HomeName, MemberName, Revision};
use crate::domain::token::SyncToken;
use crate::store::log::{Log, LogRange};
use crate::store::query::{Reader, With};

use super::access::Caller;
use super::refusal::Refusal;
use super::resolve::card_views;
use super::view::{Changes, CollectionView, ObjectView};
use super::{Answer, Service};

/// How many changes one answer tells at most (SYNC-18): some clients never page, so it is large.
pub(super) const MOST: usize = 20_000;

impl Service {
    /// The cards of a book that came, changed or went since a token; all, without one.
    pub async fn changes(
        &self,
        caller: &Caller,
        owner: &HomeName,
        book: &MemberName,
        since: Option<SyncToken>,
        limit: Option<usize>,
    ) -> Answer<Changes<ObjectView>> {
        let reader = self.store.read().await?;
        let reached = self.reach(&reader, caller, owner, book).await?.ok_or(Refusal::NotFound)?;
        let reached = reached.listable(owner, book)?;
        let id = reached.id;
        let collection = reader.collections(&[id]).await?.pop().flatten().ok_or(Refusal::NotFound)?;
        let collection = self.shown(&reader, caller, (owner, book), &reached, collection).await?;
        let part = part(&reader, &collection, since, limit).await?;
        let cards = reader.found_cards(id, &part.log.changed, With::default()).await?;
        let (changed, damaged) = card_views(cards);
        Ok(Changes {
            collection,
            changed,
            damaged,
            removed: part.log.removed,
            token: part.token,
            truncated: part.log.truncated,
        })
    }

    /// The books of a home that came, changed or went since a token; all, without one.
    pub async fn home_changes(
        &self,
        caller: &Caller,
        owner: &HomeName,
        since: Option<SyncToken>,
        limit: Option<usize>,
    ) -> Answer<Changes<CollectionView>> {
        let home: CollectionId = self.readable_home(caller, owner)?;
        let reader = self.store.read().await?;
        let collection = self.with_links(&reader, caller, owner, home, Vec::new()).await?.home;
        let part = part(&reader, &collection, since, limit).await?;
        let links = reader.links_of(home, &part.log.changed).await?;
        let mut view = self.with_links(&reader, caller, owner, home, links).await?;
        // It is there from the first, and nothing that a home's log tells of ever changes on it.
        if since.is_none() {
            self.add_births(&reader, caller, owner, &mut view).await?;
        }
        Ok(Changes {
            collection,
            changed: view.books,
            damaged: view.damaged,
            removed: part.log.removed,
            token: part.token,
            truncated: part.log.truncated,
        })
    }
}

/// A part of a log and the token that tells exactly of it.
struct Part {
    log: Log,
    token: SyncToken,
}

async fn part(
    reader: &Reader,
    collection: &CollectionView,
    since: Option<SyncToken>,
    limit: Option<usize>,
) -> Answer<Part> {
    if limit == Some(0) {
        return Err(Refusal::BadLimit.into());
    }
    let current = collection.revision;
    let (since, began) = match since {
        None => (Revision(0), current),
        Some(token) => {
            let began = token.began.unwrap_or(Revision(0));
            // What a client that syncs from there would have to be told is forgotten.
            let forgotten = token.revision.max(began) < collection.floor;
            if token.collection != collection.log || token.revision > current || began > current || forgotten
            {
                return Err(Refusal::BadToken.into());
            }
            (token.revision, began)
        }
    };
    let limit = Some(limit.unwrap_or(MOST).min(MOST));
    let log = reader.log(collection.id, LogRange { since, began, limit }).await?;
    if log.unnamed {
        return Err(Refusal::BadToken.into());
    }
    let token = if log.truncated {
        // Still within an initial sync as long as its first page's revision lies ahead.
        let began = (began > log.upto).then_some(began);
        SyncToken { collection: collection.log, revision: log.upto, began }
    } else {
        collection.token()
    };
    Ok(Part { log, token })
}
