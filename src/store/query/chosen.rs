//! Cards that are chosen by their octets. What they were chosen by is kept while there is room for
//! it, so that an answer about few cards reads and opens each of them once.

use bytes::Bytes;

use crate::domain::id::{CollectionId, MemberName};
use crate::store::StoreError;
use crate::store::codec;
use crate::store::damage::Found;
use crate::store::keys::{self, Hash};
use crate::store::rows::CardRow;

use super::{Card, Reader, With};

/// What a card takes beside its octets, roughly.
const BESIDE: u64 = 512;

/// How much is kept of what is chosen: whoever answers holds it until the client has read it.
const MOST: u64 = 1 << 20;

/// The room for what is kept of chosen cards.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    left: u64,
    octets: bool,
}

impl Room {
    /// For cards with their octets, or without.
    pub fn new(octets: bool) -> Self {
        Self { left: MOST, octets }
    }

    /// A card of that body, with as much of it as there is room for: the first ones are kept, and
    /// from the first that does not fit none.
    pub(in crate::store) fn keep(&mut self, member: Hash, key: &[u8], value: &[u8], card: &[u8]) -> Chosen {
        let size = card.len() as u64;
        let octets = if self.octets { size } else { 0 };
        self.left = self.left.saturating_sub(octets.saturating_add(BESIDE));
        let judged = match (self.left, keys::item(key), codec::body_front(value)) {
            (1.., Some(contact), Ok((_, version))) => {
                let octets = self.octets.then(|| Bytes::copy_from_slice(card));
                Some(Judged { contact, version, size, octets })
            }
            _ => None,
        };
        Chosen { member, judged }
    }
}

/// A card that was chosen.
pub struct Chosen {
    /// Its name's hash.
    pub member: Hash,
    judged: Option<Judged>,
}

crate::hidden!(Chosen);

/// What a card was chosen by.
struct Judged {
    contact: [u8; 16],
    version: u64,
    size: u64,
    octets: Option<Bytes>,
}

impl Judged {
    /// Whether it is the body that a card tells of, which nothing else is wrong with.
    fn is_of(&self, row: &CardRow) -> bool {
        (self.contact, self.version, self.size) == (row.contact, row.version, row.size) && !row.uid.is_empty()
    }
}

impl Chosen {
    /// A card of which nothing is kept.
    pub(in crate::store) fn by_name(member: Hash) -> Self {
        Self { member, judged: None }
    }
}

impl Reader {
    /// Of chosen cards those that were kept, with the octets that they were chosen by if these were
    /// kept too, and then the names of the others, as far as they are known: whoever reads them is
    /// told what is wrong with them, if anything is.
    pub async fn chosen(
        &self,
        book: CollectionId,
        chosen: Vec<Chosen>,
        properties: bool,
    ) -> Result<(Vec<Card>, Vec<MemberName>), StoreError> {
        let (mut kept, mut members, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for Chosen { member, judged } in chosen {
            match judged {
                Some(judged) => {
                    kept.push(judged);
                    members.push(member);
                }
                None => rest.push(member),
            }
        }
        let (mut cards, mut names) = (Vec::with_capacity(kept.len()), Vec::new());
        let found = self.found_cards(book, &members, With { properties, body: false }).await?;
        for (found, judged) in found.into_iter().zip(kept) {
            match found {
                Found::Whole(card) if judged.is_of(&card.row) => {
                    cards.push(Card { body: judged.octets, ..card });
                }
                other => names.extend(name_of(other)),
            }
        }
        let found = self.found_cards(book, &rest, With::default()).await?;
        names.extend(found.into_iter().filter_map(name_of));
        Ok((cards, names))
    }
}

fn name_of(found: Found<Card>) -> Option<MemberName> {
    match found {
        Found::Whole(card) => MemberName::parse(&card.row.name).ok(),
        // Its body matched; that its row is damaged is told when it is read.
        Found::Damaged(name) => name,
        Found::Absent => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::id::ContactId;

    use super::*;

    #[test]
    fn the_first_are_kept_and_from_the_first_that_does_not_fit_none() {
        let (key, front) =
            (keys::body(CollectionId::from_bytes([1; 16]), ContactId::from_bytes([2; 16])), [0; 24]);
        let large = vec![b'a'; 400 << 10];
        let mut room = Room::new(true);
        let kept = |room: &mut Room, card: &[u8]| room.keep([3; 16], &key, &front, card).judged.is_some();
        assert!(kept(&mut room, &large) && kept(&mut room, &large));
        assert!(!kept(&mut room, &large) && !kept(&mut room, b"small"));
        let mut room = Room::new(false);
        let most = usize::try_from(MOST / BESIDE).unwrap();
        assert_eq!((0..2 * most).take_while(|_| kept(&mut room, &large)).count(), most - 1);
        assert!(!kept(&mut room, b"small"));
    }
}
