//! COPY and MOVE: of cards between books, of books within their home.

use crate::domain::id::{CollectionId, ContactId, HomeName, MemberName};
use crate::store::commit::{At, CardOp, CollectionOp, Expect, Fact, FactState, Op};
use crate::store::damage::Found;
use crate::store::query::{Card, Reader};

use super::access::{Caller, Privilege};
use super::birthdays::is_births;
use super::place::{Place, Precondition};
use super::refusal::{Fault, Refusal, Stop};
use super::resolve::denied;
use super::sharing::Ending;
use super::view::{Transferred, Verb};
use super::{Answer, Service};

/// How many cards of a copied book go into one commit, and about how many bytes of them.
const CHUNK: usize = 128;
const CHUNK_BYTES: u64 = 4 << 20;

/// How a COPY or MOVE is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// COPY or MOVE.
    pub verb: Verb,
    /// What is at the destination may be replaced (`Overwrite`).
    pub overwrite: bool,
    /// Of a book, the book alone is copied (`Depth: 0`).
    pub shallow: bool,
}

impl Service {
    /// Copies or moves a card to a card's place, or a book to a book's place.
    pub async fn transfer(
        &self,
        caller: &Caller,
        manner: Manner,
        from: &Place,
        to: &Place,
        when: Vec<Precondition>,
    ) -> Answer<Transferred> {
        if from == to {
            return Err(Refusal::SamePlace.into());
        }
        if from.kind() != to.kind() {
            // Cards do not become appointments.
            return Err(Refusal::WrongPlace.into());
        }
        self.spare_births(caller, from, Privilege::Unbind)?;
        self.spare_births(caller, to, Privilege::Bind)?;
        match (from, to) {
            (Place::Object(a, ..), Place::Object(b, ..)) if a.kind != b.kind => {
                Err(Refusal::WrongPlace.into())
            }
            (Place::Object(a, book, card), Place::Object(b, to_book, to_card)) => {
                let reader = self.store.read().await?;
                let source = self.end(&reader, caller, manner, (a, book), true).await?;
                let target = self.end(&reader, caller, manner, (b, to_book), false).await?;
                let source = source.ok_or(Refusal::NotFound)?;
                let target = target.ok_or(if caller.name == b.user {
                    Refusal::NoParent
                } else {
                    Refusal::NotFound
                })?;
                self.transfer_card(caller, manner, (source, card), (target, to_card), (reader, when)).await
            }
            (Place::Collection(a, book), Place::Collection(b, to_book)) => {
                let home = match self.book_home(caller, manner, a, true) {
                    Err(Stop::Refused(Refusal::NotFound)) => {
                        return Err(self.not_from_here(caller, manner, (a, book)).await?);
                    }
                    home => home?,
                };
                if self.book_home(caller, manner, b, false)? != home || is_births(b, to_book) {
                    return Err(Refusal::WrongPlace.into());
                }
                self.transfer_book(caller, manner, (home, a), (book, to_book), when).await
            }
            _ => Err(Refusal::WrongPlace.into()),
        }
    }

    /// The book at one end of a card's way, if the caller may do there what the verb needs (ACL-14).
    async fn end(
        &self,
        reader: &Reader,
        caller: &Caller,
        manner: Manner,
        (owner, book): (&HomeName, &MemberName),
        source: bool,
    ) -> Answer<Option<CollectionId>> {
        let place = || Place::Collection(owner.clone(), book.clone());
        let needed = needed(manner.verb, source);
        let reached = self.reach_with(reader, caller, (owner, book), place, needed).await?;
        Ok(reached.map(|reached| reached.id))
    }

    fn book_home(
        &self,
        caller: &Caller,
        manner: Manner,
        owner: &HomeName,
        source: bool,
    ) -> Answer<CollectionId> {
        let place = || Place::Home(owner.clone());
        self.writable_home(caller, owner, place, needed(manner.verb, source))
    }

    /// Why a book that is reached by its owner's URL is neither moved nor copied from there.
    async fn not_from_here(
        &self,
        caller: &Caller,
        manner: Manner,
        (owner, book): (&HomeName, &MemberName),
    ) -> Answer<Stop> {
        let reader = self.store.read().await?;
        Ok(match (self.reach(&reader, caller, owner, book).await?, manner.verb) {
            (None, _) => Refusal::NotFound.into(),
            (Some(_), Verb::Move) => denied(Place::Home(owner.clone()), Privilege::Unbind),
            (Some(_), Verb::Copy) => Refusal::WrongPlace.into(),
        })
    }

    async fn transfer_card(
        &self,
        caller: &Caller,
        manner: Manner,
        (source, from): (CollectionId, &MemberName),
        (target, to): (CollectionId, &MemberName),
        (reader, when): (Reader, Vec<Precondition>),
    ) -> Answer<Transferred> {
        let mut expect = self.facts(&reader, caller, &when).await?;
        drop(reader);
        if !manner.overwrite {
            expect.push(free(At::Card(target, to.clone())));
        }
        let copy = match manner.verb {
            Verb::Copy => Some(ContactId::new(self.fresh()?)),
            Verb::Move => None,
        };
        let op = CardOp::Transfer { from: (source, from.clone()), to: (target, to.clone()), copy };
        let committed = self.commit(Some(caller), expect, vec![Op::Card(op)]).await?;
        let created = committed.cards.first().is_some_and(|card| card.created);
        Ok(if created { Transferred::Created } else { Transferred::Replaced })
    }

    async fn transfer_book(
        &self,
        caller: &Caller,
        manner: Manner,
        (home, own): (CollectionId, &HomeName),
        (from, to): (&MemberName, &MemberName),
        when: Vec<Precondition>,
    ) -> Answer<Transferred> {
        let reader = self.store.read().await?;
        let link = self.reach(&reader, caller, own, from).await?.ok_or(Refusal::NotFound)?;
        let link = link.listable(own, from)?;
        if link.mount.is_some() && manner.verb == Verb::Move {
            // Where another's book lies is decided by who shares it.
            return Err(denied(Place::Collection(own.clone(), from.clone()), Privilege::Unbind));
        }
        let source = link.id;
        let replaced = reader.link(home, to).await?;
        let mut expect = self.facts(&reader, caller, &when).await?;
        if !manner.overwrite {
            expect.push(free(At::Link(home, to.clone())));
        }
        let ending = match &replaced {
            // Another's book is not the caller's to replace.
            Some(link) if manner.overwrite && link.mount => {
                return Err(denied(Place::Collection(own.clone(), to.clone()), Privilege::Unbind));
            }
            // Nor is one that is too private for the credential.
            Some(_) if self.reach(&reader, caller, own, to).await?.is_none() && manner.overwrite => {
                return Err(denied(Place::Home(own.clone()), Privilege::Unbind));
            }
            Some(link) if manner.overwrite => self.ending_at(&reader, link.book).await?,
            _ => Ending::default(),
        };
        let id = CollectionId::new(self.fresh()?);
        let mut cards = Vec::new();
        let op = match manner.verb {
            Verb::Move => {
                CollectionOp::Rename { home, from: from.clone(), to: to.clone(), replace: manner.overwrite }
            }
            Verb::Copy => {
                let original = reader.collections(&[source]).await?.pop().flatten();
                if original.as_ref().is_some_and(|book| book.unreadable) {
                    return Err(Fault("the store is damaged: a book's properties".into()).into());
                }
                if !manner.shallow {
                    // A copy that silently lacks a card would pass for a whole one.
                    let all = reader.all_cards(source, false).await?.into_iter().map(Found::whole);
                    cards = all.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
                }
                let there =
                    Fact { at: Some(At::Collection(source)), state: FactState::Exists, negate: false };
                expect.push(Expect(vec![vec![there]]));
                let original = original.ok_or(Refusal::NotFound)?;
                CollectionOp::Create {
                    home,
                    name: to.clone(),
                    id,
                    owner: caller.account,
                    default: false,
                    components: original.row.components,
                    properties: original.properties,
                    replace: manner.overwrite,
                }
            }
        };
        drop(reader);
        match self.commit_ending(Some(caller), expect, vec![Op::Collection(op)], &ending).await {
            // Of the things that must hold, one is that there is something to copy.
            Err(Stop::Refused(Refusal::Unmet)) => {
                self.store.read().await?.link(home, from).await?.ok_or(Refusal::NotFound)?;
                return Err(Refusal::Unmet.into());
            }
            done => drop(done?),
        }
        if manner.overwrite {
            self.purge_soon();
        }
        self.settle_ended(Some(caller), ending).await?;
        self.copy_cards(caller, &cards, source, id).await?;
        Ok(if replaced.is_some() { Transferred::Replaced } else { Transferred::Created })
    }

    /// Copies cards, some in each commit. What is gone meanwhile is left out, as if it had gone
    /// before the copy.
    async fn copy_cards(
        &self,
        caller: &Caller,
        mut cards: &[Card],
        source: CollectionId,
        target: CollectionId,
    ) -> Answer<()> {
        while !cards.is_empty() {
            let (chunk, rest) = cards.split_at(chunk(cards));
            cards = rest;
            let names = chunk.iter().map(|card| MemberName::parse(&card.row.name));
            let names: Vec<_> = names.collect::<Result<_, _>>().map_err(|_| Fault("a card's name".into()))?;
            let copies = self.copies(source, target, &names)?;
            match self.commit(Some(caller), Vec::new(), copies.clone()).await {
                Err(Stop::Refused(Refusal::NotFound)) => {
                    for copy in copies {
                        match self.commit(Some(caller), Vec::new(), vec![copy]).await {
                            Ok(_) | Err(Stop::Refused(Refusal::NotFound)) => {}
                            Err(stop) => return Err(stop),
                        }
                    }
                }
                done => drop(done?),
            }
        }
        Ok(())
    }

    fn copies(
        &self,
        source: CollectionId,
        target: CollectionId,
        names: &[MemberName],
    ) -> Result<Vec<Op>, Fault> {
        let copy = |name: &MemberName| {
            Ok(Op::Card(CardOp::Transfer {
                from: (source, name.clone()),
                to: (target, name.clone()),
                copy: Some(ContactId::new(self.fresh()?)),
            }))
        };
        names.iter().map(copy).collect()
    }
}

/// How many of the cards, at least one, go into the next commit: their bodies are all in memory.
fn chunk(cards: &[Card]) -> usize {
    let mut bytes: u64 = 0;
    let fits = cards.iter().take(CHUNK).take_while(|card| {
        bytes = bytes.saturating_add(card.row.size);
        bytes <= CHUNK_BYTES
    });
    fits.count().max(1)
}

fn needed(verb: Verb, source: bool) -> Privilege {
    match (verb, source) {
        (Verb::Copy, true) => Privilege::Read,
        (Verb::Move, true) => Privilege::Unbind,
        (_, false) => Privilege::Bind,
    }
}

/// The expectation that nothing is there (`Overwrite: F`; DAV-30).
fn free(at: At) -> Expect {
    Expect(vec![vec![Fact { at: Some(at), state: FactState::Exists, negate: true }]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::CardRow;

    #[test]
    fn a_commit_of_copies_is_bounded_in_bytes_and_in_number() {
        let card = |size| {
            let row = CardRow {
                contact: [0; 16],
                name: "a".into(),
                uid: "a".into(),
                version: 1,
                etag: [0; 16],
                size,
                format: 3,
                created: 0,
                modified: 0,
                invented_uid: false,
                described: false,
                by: None,
                client: None,
                trashed: None,
            };
            Card { row, properties: Vec::new(), unreadable: false, body: None }
        };
        assert_eq!(chunk(&vec![card(100); 300]), CHUNK);
        assert_eq!(chunk(&[card(3 << 20), card(1 << 20), card(1)]), 2);
        assert_eq!(chunk(&[card(10 << 20), card(1)]), 1);
        assert_eq!(chunk(&[card(1)]), 1);
    }
}
