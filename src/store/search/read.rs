//! What the indexes read of a snapshot. A card that is damaged is left out, here and in what is
//! found: it must not hide the others.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::id::{CollectionId, ContactId, Revision};
use crate::domain::phone::Region;
use crate::domain::search::{Terms, entry};

use super::super::StoreError;
use super::super::engine::Extent;
use super::super::keys::{self, Hash, Table};
use super::super::query::{BODY_BYTES, Chosen, Reader, Room, With};
use super::super::rows::{ChangeRow, CollectionRow};
use super::super::seal::Sealer;
use super::Accept;
use super::arena::{Arena, Candidate, Made, Ranked};

/// How many cards are read at once.
const CHUNK: usize = 64;

/// How many octets of a card a search looks at, where what is kept of it does not suffice.
const SEARCHED: usize = 64 << 10;

/// What became of a member.
pub(super) enum Change {
    Put(ContactId, Made),
    Gone,
}

impl Reader {
    /// Every book that there is.
    pub async fn books(&self) -> Result<Vec<CollectionId>, StoreError> {
        self.all_collections(false).await
    }

    /// Every book, or every calendar.
    pub(in crate::store) async fn all_collections(
        &self,
        calendars: bool,
    ) -> Result<Vec<CollectionId>, StoreError> {
        let (range, sealer) = (keys::whole(Table::Collection), self.sealer().clone());
        self.fold(range, Extent::Many, Vec::new(), move |books, key, value| {
            let id = keys::owner(key).ok_or(StoreError::Damaged("a collection's key"))?;
            // One damaged row costs its own book the index, not all books theirs.
            let wanted = |row: CollectionRow| row.home.is_some() && row.calendar == calendars;
            if sealer.decode::<CollectionRow>(key, value).is_ok_and(wanted) {
                books.push(CollectionId::from_bytes(id));
            }
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    /// The entries of all cards of a book.
    pub(super) async fn arena(
        &self,
        book: CollectionId,
        region: Option<Region>,
    ) -> Result<Arena, StoreError> {
        let range = keys::under(Table::Body, book.as_bytes());
        let (sealer, mut plain) = (self.sealer().clone(), Vec::new());
        let scan = self.fold(range, Extent::Many, Arena::default(), move |arena, key, value| {
            let opened = opened(&sealer, key, value, &mut plain)?;
            if let (Some(contact), Some((member, card))) = (keys::item(key), opened) {
                arena.fill(member, contact, card, region);
            }
            Ok(ControlFlow::Continue(()))
        });
        let mut arena = scan.await?;
        arena.order();
        Ok(arena)
    }

    /// The members that came, changed or went since a revision, each once; `None` when they are more
    /// than `most`.
    pub(in crate::store) async fn touched(
        &self,
        book: CollectionId,
        since: Revision,
        most: usize,
    ) -> Result<Option<Vec<ChangeRow>>, StoreError> {
        let range = keys::changes_after(book, since);
        let sealer = self.sealer().clone();
        let rows = self.fold(range, Extent::Few, Vec::new(), move |rows, key, value| {
            rows.push(sealer.decode::<ChangeRow>(key, value)?);
            Ok(if rows.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        let rows = rows.await?;
        Ok((rows.len() <= most).then_some(rows))
    }

    /// What became of these members.
    pub(super) async fn outcomes(
        &self,
        book: CollectionId,
        touched: &[ChangeRow],
        region: Option<Region>,
    ) -> Result<Vec<(Hash, Change)>, StoreError> {
        let mut changes = Vec::with_capacity(touched.len());
        let (gone, there): (Vec<_>, Vec<_>) = touched.iter().partition(|row| row.removed);
        changes.extend(gone.iter().map(|row| (row.member, Change::Gone)));
        let there: Vec<Hash> = there.iter().map(|row| row.member).collect();
        for members in there.chunks(CHUNK) {
            match self.made(book, members, region).await {
                Ok(made) => changes.extend(made),
                // One of them is damaged; each for itself tells which.
                Err(StoreError::Damaged(_)) => {
                    for member in members {
                        match self.made(book, std::slice::from_ref(member), region).await {
                            Ok(made) => changes.extend(made),
                            Err(StoreError::Damaged(_)) => changes.push((*member, Change::Gone)),
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(changes)
    }

    /// The entries of these members, which are there; large cards are read by themselves.
    async fn made(
        &self,
        book: CollectionId,
        members: &[Hash],
        region: Option<Region>,
    ) -> Result<Vec<(Hash, Change)>, StoreError> {
        let body = With { properties: false, body: true };
        let mut changes = Vec::with_capacity(members.len());
        let mut rest = members;
        while !rest.is_empty() {
            let cards = self.cards_of(book, rest, body).await?;
            let before = rest;
            for (member, card) in before.iter().zip(cards) {
                let change = match card {
                    Some(card) => match card.body {
                        Some(body) => {
                            Change::Put(ContactId::from_bytes(card.row.contact), Made::of(&body, region))
                        }
                        None => break,
                    },
                    None => Change::Gone,
                };
                changes.push((*member, change));
                rest = rest.get(1..).unwrap_or_default();
            }
            if rest.len() == before.len() {
                return Err(StoreError::Damaged("a card has no body"));
            }
        }
        Ok(changes)
    }

    /// Of the candidates, which are in the order of their contacts, those whose octets `accept` takes;
    /// the flag says that the limit cut the list.
    pub(super) async fn accepted(
        &self,
        book: CollectionId,
        candidates: &[Candidate],
        accept: &Accept<'_>,
        limit: Option<usize>,
        room: &mut Room,
    ) -> Result<(Vec<Chosen>, bool), StoreError> {
        let limit = limit.unwrap_or(usize::MAX);
        let (mut found, mut plain) = (Vec::new(), Vec::new());
        for chunk in chunks(candidates) {
            for (candidate, (key, value)) in chunk.iter().zip(self.bodies(book, chunk).await?) {
                let card = match opened(self.sealer(), &key, &value, &mut plain)? {
                    Some((_, card)) if accept(card) => card,
                    _ => continue,
                };
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.push(room.keep(candidate.member, &key, &value, card));
            }
        }
        Ok((found, false))
    }

    /// Of the candidates those that are searched for.
    pub(super) async fn ranked(
        &self,
        book: CollectionId,
        candidates: &[Candidate],
        terms: &Terms,
    ) -> Result<Vec<Ranked>, StoreError> {
        let (mut found, mut plain) = (Vec::new(), Vec::new());
        for chunk in chunks(candidates) {
            let values = self.bodies(book, chunk).await?;
            for (candidate, (key, value)) in chunk.iter().zip(values) {
                if let Some((_, card)) = opened(self.sealer(), &key, &value, &mut plain)? {
                    found.extend(ranked(terms, card, candidate.contact, candidate.member));
                }
            }
        }
        Ok(found)
    }

    /// The best of a book whose cards must all be read.
    pub(super) async fn all_ranked(
        &self,
        book: CollectionId,
        terms: Arc<Terms>,
        limit: usize,
    ) -> Result<Vec<Ranked>, StoreError> {
        let range = keys::under(Table::Body, book.as_bytes());
        let (sealer, mut plain) = (self.sealer().clone(), Vec::new());
        self.fold(range, Extent::Many, Vec::new(), move |found, key, value| {
            let opened = opened(&sealer, key, value, &mut plain)?;
            if let (Some(contact), Some((member, card))) = (keys::item(key), opened) {
                found.extend(ranked(&terms, card, contact, member));
                if found.len() > limit.saturating_mul(2).saturating_add(256) {
                    Ranked::best(found, limit);
                }
            }
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    /// The keys and stored values of bodies, one for each candidate; empty where there is none.
    async fn bodies(
        &self,
        book: CollectionId,
        candidates: &[Candidate],
    ) -> Result<Vec<(Vec<u8>, bytes::Bytes)>, StoreError> {
        let body = |candidate: &Candidate| keys::body(book, ContactId::from_bytes(candidate.contact));
        let keys: Vec<_> = candidates.iter().map(body).collect();
        let values = self.get(keys.clone()).await?;
        Ok(keys.into_iter().zip(values.into_iter().map(Option::unwrap_or_default)).collect())
    }
}

/// The member and the octets of a body's value; `None` where it is damaged, or erased meanwhile.
fn opened<'p>(
    sealer: &Sealer,
    key: &[u8],
    value: &[u8],
    plain: &'p mut Vec<u8>,
) -> Result<Option<(Hash, &'p [u8])>, StoreError> {
    match sealer.scan_body(key, value, plain) {
        Ok(opened) => Ok(Some(opened)),
        Err(StoreError::Damaged(_) | StoreError::Erased) => Ok(None),
        Err(error) => Err(error),
    }
}

fn ranked(terms: &Terms, card: &[u8], contact: [u8; 16], member: Hash) -> Option<Ranked> {
    let mut octets = Vec::new();
    entry(card, SEARCHED, terms.region(), &mut octets);
    Ranked::of(terms, &octets, contact, member)
}

/// Candidates to be read at once: not many, nor much.
fn chunks(candidates: &[Candidate]) -> impl Iterator<Item = &[Candidate]> {
    let mut rest = candidates;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let sizes = rest.iter().take(CHUNK).take_while(|candidate| {
            bytes += candidate.bytes;
            bytes <= BODY_BYTES
        });
        let (chunk, after) = rest.split_at_checked(sizes.count().max(1))?;
        rest = after;
        Some(chunk)
    })
}
