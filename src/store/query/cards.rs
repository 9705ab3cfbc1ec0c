//! Reads of cards: their rows, and what else is wanted of them, in one more call. Damage to one of
//! them is that one's affair.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::domain::id::{CollectionId, ContactId, MemberName};
use crate::store::StoreError;
use crate::store::codec::{self, ObjectPlace};
use crate::store::damage::{Broken, Found};
use crate::store::engine::Extent;
use crate::store::keys::{self, Hash, Table};
use crate::store::keyslots::Slot;
use crate::store::rows::{CardRow, PropertiesRow};
use crate::store::seal::Sealer;

use super::{Card, Chosen, Reader, Room, With, mark};

/// How many bytes of cards are read at once; a single one may be larger.
pub const BODY_BYTES: u64 = 4 << 20;

/// What becomes of cards whose octets cannot be opened where cards are chosen by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// They may be wanted, so they are among the chosen: whoever goes on to read them is told.
    Told,
    /// They are not chosen.
    Passed,
}

/// Decides, from its octets, whether a card is wanted.
pub type Accept = Box<dyn Fn(&[u8]) -> bool + Send>;

impl Reader {
    /// The cards of those names, in the order asked.
    pub async fn cards(
        &self,
        book: CollectionId,
        names: &[MemberName],
        with: With,
    ) -> Result<Vec<Found<Card>>, StoreError> {
        let members: Vec<_> = names.iter().map(|name| self.sealer.member(book.as_bytes(), name)).collect();
        let (mut found, _) = self.found(book, &members, with).await?;
        for (found, name) in found.iter_mut().zip(names) {
            if let Found::Damaged(known) = found {
                *known = Some(name.clone());
            }
        }
        Ok(found)
    }

    /// The cards of those name hashes, in the order asked; damage to one of them is the end of it.
    pub async fn cards_of(
        &self,
        book: CollectionId,
        members: &[Hash],
        with: With,
    ) -> Result<Vec<Option<Card>>, StoreError> {
        self.found(book, members, with).await?.0.into_iter().map(Found::whole).collect()
    }

    /// The cards of those name hashes, in the order asked, damaged ones with their names.
    pub async fn found_cards(
        &self,
        book: CollectionId,
        members: &[Hash],
        with: With,
    ) -> Result<Vec<Found<Card>>, StoreError> {
        let (mut found, broken) = self.found(book, members, with).await?;
        self.name(book, &mut found, &broken).await?;
        Ok(found)
    }

    /// Every card of a book, in a stable order, without octets.
    pub async fn all_cards(
        &self,
        book: CollectionId,
        properties: bool,
    ) -> Result<Vec<Found<Card>>, StoreError> {
        let range = keys::under(Table::Member, book.as_bytes());
        let (mut found, broken) = self.rows(range, Extent::Many, card, card_slot).await?;
        self.name(book, &mut found, &broken).await?;
        self.fill(book, &mut found, With { properties, body: false }).await?;
        Ok(found)
    }

    /// One call for the rows, one more where octets or properties are wanted. Beside the cards, the
    /// rows that could not be opened.
    async fn found(
        &self,
        book: CollectionId,
        members: &[Hash],
        with: With,
    ) -> Result<(Vec<Found<Card>>, Vec<Broken>), StoreError> {
        let wanted: Vec<_> = members.iter().map(|member| keys::member(book, member)).collect();
        let values = self.get(wanted.clone()).await?;
        let (mut found, mut broken) = (Vec::with_capacity(wanted.len()), Vec::new());
        for (key, value) in wanted.iter().zip(&values) {
            found.push(match value.as_ref().map(|value| (value, card(&self.sealer, key, value))) {
                None => Found::Absent,
                Some((_, Ok(card))) => Found::Whole(card),
                Some((value, Err(error))) => {
                    broken.push(Broken::of(found.len(), key, value, error, card_slot)?);
                    Found::Absent
                }
            });
        }
        let broken = self.damaged(broken).await?;
        mark(&mut found, &broken);
        self.fill(book, &mut found, with).await?;
        Ok((found, broken))
    }

    /// Gives damaged cards the names that can be made out.
    async fn name(
        &self,
        book: CollectionId,
        found: &mut [Found<Card>],
        broken: &[Broken],
    ) -> Result<(), StoreError> {
        for broken in broken {
            let known = self.name_in_body(book, broken).await?;
            if let Some(Found::Damaged(name)) = found.get_mut(broken.at) {
                *name = known;
            }
        }
        Ok(())
    }

    /// The cards whose octets `accept` takes, oldest contact first; the flag says that the limit cut
    /// the list.
    pub async fn matching(
        &self,
        book: CollectionId,
        accept: Accept,
        unreadable: Unreadable,
        limit: Option<usize>,
        room: &mut Room,
    ) -> Result<(Vec<Chosen>, bool), StoreError> {
        let limit = limit.unwrap_or(usize::MAX);
        let range = keys::under(Table::Body, book.as_bytes());
        let (sealer, mut plain) = (self.sealer.clone(), Vec::new());
        let state = (Vec::new(), Vec::new(), false, *room);
        let scan = self.fold(range, Extent::Many, state, move |state, key, value| {
            let (found, broken, truncated, room) = state;
            let (member, error) = match sealer.scan_body(key, value, &mut plain) {
                Ok((member, body)) if accept(body) => {
                    if found.len() < limit {
                        found.push(room.keep(member, key, value, body));
                        return Ok(ControlFlow::Continue(()));
                    }
                    (member, None)
                }
                Ok(_) => return Ok(ControlFlow::Continue(())),
                // Where it cannot even be told whose it is, its card tells of the damage.
                Err(error) => (codec::body_front(value).map_or([0; 16], |(member, _)| member), Some(error)),
            };
            if let Some(error) = error {
                let slot = codec::body_slot(value).ok();
                broken.push(Broken::without_value(found.len(), key, error, slot)?);
                if unreadable == Unreadable::Passed {
                    return Ok(ControlFlow::Continue(()));
                }
            }
            if found.len() == limit {
                *truncated = true;
                return Ok(ControlFlow::Break(()));
            }
            found.push(Chosen::by_name(member));
            Ok(ControlFlow::Continue(()))
        });
        // What was erased meanwhile need not be taken out: nothing is found of it.
        let (found, broken, truncated, left) = scan.await?;
        *room = left;
        self.damaged(broken).await?;
        Ok((found, truncated))
    }

    /// Reads what else is wanted of cards, for all of them in one call.
    async fn fill(
        &self,
        book: CollectionId,
        found: &mut [Found<Card>],
        with: With,
    ) -> Result<(), StoreError> {
        let bodies = if with.body { bodies_at_once(found) } else { 0 };
        let mut wanted = Vec::new();
        for (at, card) in whole(found).enumerate() {
            let contact = ContactId::from_bytes(card.row.contact);
            if at < bodies {
                wanted.push(keys::body(book, contact));
            }
            if with.properties && card.row.described {
                wanted.push(keys::properties(contact.as_bytes()));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut values = self.get(wanted).await?.into_iter();
        let (mut bodyless, mut undescribed, mut count) = (Vec::new(), Vec::new(), 0);
        for (at, found) in found.iter_mut().enumerate() {
            let Found::Whole(card) = found else { continue };
            let contact = ContactId::from_bytes(card.row.contact);
            count += 1;
            if count <= bodies {
                let (key, value) = (keys::body(book, contact), values.next().flatten().unwrap_or_default());
                let slot = codec::body_slot(&value).ok();
                match self.octets(&key, &card.row, value) {
                    Ok(octets) => card.body = Some(octets),
                    Err(error) => bodyless.push(Broken::without_value(at, &key, error, slot)?),
                }
            }
            if with.properties
                && card.row.described
                && let Some(value) = values.next().flatten()
            {
                let key = keys::properties(contact.as_bytes());
                match self.sealer.decode_sealed::<PropertiesRow>(&key, &value) {
                    Ok(row) => card.properties = row.properties,
                    Err(error) => undescribed.push(Broken::of(at, &key, &value, error, Sealer::slot_of)?),
                }
            }
        }
        for broken in self.damaged(undescribed).await? {
            if let Some(Found::Whole(card)) = found.get_mut(broken.at) {
                card.unreadable = true;
            }
        }
        self.without_bodies(found, bodyless).await
    }

    /// Cards whose bodies could not be opened are damaged, or were erased meanwhile.
    async fn without_bodies(
        &self,
        found: &mut [Found<Card>],
        bodyless: Vec<Broken>,
    ) -> Result<(), StoreError> {
        let all: Vec<_> = bodyless.iter().map(|broken| broken.at).collect();
        let damaged: Vec<_> = self.damaged(bodyless).await?.iter().map(|broken| broken.at).collect();
        for at in all {
            let Some(found) = found.get_mut(at) else { continue };
            let name = match found {
                Found::Whole(card) if damaged.contains(&at) => MemberName::parse(&card.row.name).ok(),
                _ => None,
            };
            *found = if damaged.contains(&at) { Found::Damaged(name) } else { Found::Absent };
        }
        Ok(())
    }

    /// A body's octets, once it is the one that its card tells of.
    fn octets(&self, key: &[u8], row: &CardRow, value: Bytes) -> Result<Bytes, StoreError> {
        if value.is_empty() {
            return Err(StoreError::Damaged("a card has no body"));
        }
        let body = self.sealer.decode_body(key, value)?;
        if body.version == row.version && body.octets.len() as u64 == row.size {
            Ok(body.octets)
        } else {
            Err(StoreError::Damaged("a card's body is of another version"))
        }
    }
}

/// How many of the cards' bodies are read at once.
fn bodies_at_once(found: &[Found<Card>]) -> usize {
    let mut bytes = 0;
    let within = whole(found).take_while(|card| {
        bytes += card.row.size;
        bytes <= BODY_BYTES
    });
    within.count().max(1)
}

/// The cards that could be opened.
fn whole(found: &[Found<Card>]) -> impl Iterator<Item = &Card> {
    found.iter().filter_map(|found| match found {
        Found::Whole(card) => Some(card),
        Found::Absent | Found::Damaged(_) => None,
    })
}

fn card_slot(value: &[u8]) -> Result<Slot, StoreError> {
    Ok(ObjectPlace::read(value)?.slot)
}

fn card(sealer: &Sealer, key: &[u8], value: &[u8]) -> Result<Card, StoreError> {
    let row = sealer.decode_card(key, value)?.row;
    Ok(Card { row, properties: Vec::new(), unreadable: false, body: None })
}
