//! Cards as events, and the events' names. Knows no caller.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::format::Format;
use crate::domain::ical::Kind;
use crate::domain::ical::birthday::{Day, Occasion, days};
use crate::domain::id::{CollectionId, ContactId, Etag, MemberName, Uid};
use crate::service::Answer;
use crate::service::refusal::Fault;
use crate::service::view::{Detail, ObjectView};
use crate::store::damage::Found;
use crate::store::keys::Hash;
use crate::store::query::{Card, Reader, With};
use crate::store::rows::{self, CardRow};

/// What an event's name tells: `BOOK-MEMBER-OCCASION.ics`, the second the hash of the card's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EventName {
    pub(super) book: CollectionId,
    pub(super) member: Hash,
    pub(super) occasion: Occasion,
}

impl EventName {
    /// The name as a member's.
    pub(super) fn name(&self) -> Answer<MemberName> {
        Ok(MemberName::parse(&self.text()).map_err(|_| Fault("an event's name".into()))?)
    }

    fn text(&self) -> String {
        let member = u128::from_be_bytes(self.member);
        format!("{}-{member:032x}-{}.ics", self.book, self.occasion.word())
    }

    /// Reads a name; `None` for any other.
    pub(super) fn parse(name: &MemberName) -> Option<Self> {
        let (book, rest) = name.as_str().split_at_checked(36)?;
        let (member, word) = rest.strip_prefix('-')?.strip_suffix(".ics")?.split_once('-')?;
        let occasion = Occasion::ALL.into_iter().find(|occasion| occasion.word() == word)?;
        let member = u128::from_str_radix(member, 16).ok()?.to_be_bytes();
        let read = Self { book: CollectionId::parse(book)?, member, occasion };
        (read.text() == name.as_str()).then_some(read)
    }
}

/// The events of one card, by their occasions.
#[derive(Default)]
pub(super) struct Events([Option<ObjectView>; Occasion::ALL.len()]);

impl Events {
    /// That of an occasion.
    pub(super) fn of(&self, occasion: Occasion) -> Option<&ObjectView> {
        Occasion::ALL.iter().zip(&self.0).find(|(known, _)| **known == occasion)?.1.as_ref()
    }

    /// Takes that of an occasion.
    pub(super) fn take(&mut self, occasion: Occasion) -> Option<ObjectView> {
        Occasion::ALL.iter().zip(&mut self.0).find(|(known, _)| **known == occasion)?.1.take()
    }

    fn of_card(reader: &Reader, book: CollectionId, member: Hash, card: &Card) -> Answer<Self> {
        let mut events = Self::default();
        for day in days(card.body.as_deref().unwrap_or_default()) {
            let name = EventName { book, member, occasion: day.occasion };
            let place = Occasion::ALL.iter().zip(&mut events.0).find(|(known, _)| **known == day.occasion);
            if let Some((_, place)) = place {
                *place = event(reader, name, &day, card)?;
            }
        }
        Ok(events)
    }
}

impl ObjectView {
    /// As much of it as was asked for.
    pub(super) fn detailed(self, detail: Detail) -> Self {
        Self { body: self.body.filter(|_| detail.body), ..self }
    }
}

/// The event of a day.
fn event(reader: &Reader, name: EventName, day: &Day, card: &Card) -> Answer<Option<ObjectView>> {
    let octets = octets(day, &card.row);
    let made = Made { etag: reader.etag_of(&octets), size: octets.len() as u64 };
    let event = made.event(name, &card.row)?;
    Ok(event.map(|event| ObjectView { body: Some(octets.into()), ..event }))
}

/// The octets of an event. They change only with what is in it: not with the card's photo.
pub(super) fn octets(day: &Day, card: &CardRow) -> Vec<u8> {
    day.event(ContactId::from_bytes(card.contact), &summary(day), stamp(rows::time(card.created)))
}

/// What of an event's octets is shown without them.
#[derive(Clone, Copy)]
pub(super) struct Made {
    pub(super) etag: Etag,
    pub(super) size: u64,
}

impl Made {
    /// The event of that name, of a card, without its octets.
    pub(super) fn event(self, name: EventName, card: &CardRow) -> Answer<Option<ObjectView>> {
        let Some(uid) = Uid::new(&name.occasion.uid(ContactId::from_bytes(card.contact))) else {
            return Ok(None);
        };
        Ok(Some(ObjectView {
            contact: event_id(&uid, &name),
            name: name.name()?,
            uid,
            etag: self.etag,
            size: self.size,
            format: Format::Calendar(Kind::Event),
            created: rows::time(card.created),
            modified: rows::time(card.modified),
            properties: Vec::new(),
            unreadable: false,
            body: None,
        }))
    }
}

/// When the contact was made, to the second: the time that every event must have, and that stays.
fn stamp(created: Timestamp) -> Timestamp {
    Timestamp::from_second(created.as_second()).unwrap_or(created)
}

/// What a calendar shows.
fn summary(day: &Day) -> String {
    let what = match day.occasion {
        Occasion::Birthday => "Birthday",
        Occasion::Anniversary => "Anniversary",
        Occasion::Death => "Day of death",
    };
    match day.year {
        Some(year) => format!("{what}: {} ({year})", day.name),
        None => format!("{what}: {}", day.name),
    }
}

/// The id of an event (RFC 9562 §5.8).
fn event_id(uid: &Uid, name: &EventName) -> ContactId {
    let mut id = [0; 16];
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.book.as_bytes()).update(&name.member).update(uid.as_str().as_bytes());
    hasher.finalize_xof().fill(&mut id);
    ContactId::new(uuid_of(id))
}

fn uuid_of(bytes: [u8; 16]) -> Uuid {
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The events of cards of a book, in the order asked. No more of the cards is held at once than the
/// store reads at once.
pub(super) async fn read_events(
    reader: &Reader,
    book: CollectionId,
    members: &[Hash],
) -> Answer<Vec<Found<Events>>> {
    let mut events: Vec<Found<Events>> = Vec::with_capacity(members.len());
    while let Some(rest) = members.get(events.len()..).filter(|rest| !rest.is_empty()) {
        let before = events.len();
        let with = With { properties: false, body: true };
        for (member, found) in rest.iter().zip(reader.found_cards(book, rest, with).await?) {
            events.push(match found {
                Found::Absent => Found::Absent,
                Found::Damaged(name) => Found::Damaged(name),
                // The store read no further for now.
                Found::Whole(card) if card.body.is_none() => break,
                Found::Whole(card) => Found::Whole(Events::of_card(reader, book, *member, &card)?),
            });
        }
        if events.len() == before {
            return Err(Fault("a card was read without its octets".into()).into());
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_book_card_and_occasion() {
        for occasion in Occasion::ALL {
            let name = EventName { book: CollectionId::from_bytes([7; 16]), member: [0xab; 16], occasion };
            let text = name.name().unwrap();
            assert_eq!(EventName::parse(&text), Some(name));
            for other in [
                text.as_str().to_uppercase(),
                text.as_str().replace(".ics", ".vcf"),
                text.as_str().replace("-abab", "-+bab"),
                format!("{}x", text.as_str()),
                "ü".repeat(30),
            ] {
                assert_eq!(EventName::parse(&MemberName::parse(&other).unwrap()), None);
            }
        }
    }
}
