//! The calendar of birthdays: read-only, of each user, made of the cards in the books that the user sees
//! (CAL-46). Nothing of it is stored. An event's name tells the book, the hash of the card's name there
//! and the occasion, so that the book's own log tells of its events too, whoever looks at it, and no card
//! is read to learn that it is gone. What is of no smart book, which only shows what is elsewhere, nor of
//! one that the user left out, is in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::ical::{Components, Kind};
use crate::domain::id::{CollectionId, CollectionKind, HomeName, MemberName, Revision};
use crate::domain::token::{BirthsToken, MARK, Source, Stage, Steps};
use crate::store::damage::Found;
use crate::store::follow::Position;
use crate::store::keys::TRASH;
use crate::store::query::{Link, Reader};
use crate::store::rows::{self, CollectionRow, StoredProperty};

use super::access::{Belongs, Caller, Privilege, Reach, Rights, rights};
use super::calendars::CALDAV;
use super::place::Place;
use super::provision::BIRTHDAYS;
use super::refusal::{Fault, Refusal};
use super::resolve::{Reached, denied, property};
use super::smart::display_name;
use super::view::{
    CollectionView, Detail, Members, MembersView, Property, PropertyName, PropertyValue, Seen, Sharer,
};
use super::{Answer, Service};

mod delta;
mod events;
mod index;
mod query;

pub(super) use self::index::Kept;

use self::delta::Told;
use self::events::{EventName, read_events};

/// The namespace of Cardkeep's own properties, and the one that leaves a book out of the birthdays when
/// its text is `off`.
const NAMESPACE: &str = "http://cardkeep.org/ns/";
const SWITCH: &str = "birthdays";

/// What may be done with the calendar and its events.
const READ: Rights = Rights { read: true, write: false, describe: false, owner: false };

/// Whether that is the place of the calendar.
pub fn is_births(home: &HomeName, name: &MemberName) -> bool {
    home.kind == CollectionKind::Calendar && name.as_str() == BIRTHDAYS
}

/// A book of which the calendar is made.
#[derive(Debug, Clone, Copy)]
struct Book {
    id: CollectionId,
    /// What its sync tokens name.
    log: CollectionId,
    /// Removals up to this revision are forgotten.
    floor: Revision,
    revision: Revision,
}

impl Book {
    fn of(id: CollectionId, row: &CollectionRow, revision: Revision) -> Self {
        let log = CollectionId::from_bytes(row.identity);
        Self { id, log, floor: Revision(row.floor), revision }
    }

    fn position(&self) -> Position {
        let identity = *self.log.as_bytes();
        Position { collection: self.id, identity, floor: self.floor, revision: self.revision }
    }
}

/// The calendar as a caller sees it.
struct Births {
    id: CollectionId,
    created: Timestamp,
    books: Vec<Book>,
    /// There are books that cannot be read: whether they belong to it is not known.
    unsure: bool,
    token: BirthsToken,
}

impl Births {
    fn view(&self, home: &HomeName, name: &MemberName) -> CollectionView {
        let mut log = [0; 16];
        blake3::Hasher::new().update(&self.token.packed()).finalize_xof().fill(&mut log);
        CollectionView {
            id: self.id,
            log: CollectionId::from_bytes(log),
            floor: Revision(0),
            home: home.clone(),
            name: Some(name.clone()),
            created: self.created,
            revision: Revision(0),
            rights: READ,
            sharer: Sharer::Own,
            shared: false,
            components: Components::of(&[Kind::Event]),
            properties: vec![property(display_name("Birthdays")), transparent()],
            unreadable: false,
            search_only: false,
            digest: None,
            births: Some(Arc::new(self.token.clone())),
        }
    }
}

/// Nobody is busy for it (RFC 6638 §9.1).
fn transparent() -> Property {
    let local = "schedule-calendar-transp";
    let name = PropertyName { namespace: CALDAV.into(), local: local.into() };
    let xml = format!("<C:{local} xmlns:C=\"{CALDAV}\"><C:transparent/></C:{local}>");
    Property { name, value: PropertyValue::Xml(xml) }
}

/// Whether whoever wrote these properties on a book leaves it out.
fn is_off(properties: &[StoredProperty]) -> bool {
    let switch = properties.iter().find(|p| p.namespace == NAMESPACE && p.local == SWITCH);
    let text = switch.and_then(|switch| switch.text.as_deref());
    text.is_some_and(|text| text.trim().eq_ignore_ascii_case("off"))
}

impl Service {
    /// The home that holds the caller's calendar; `None` where the caller has none there: in others'
    /// homes, and with a credential that reads no contacts.
    fn births_home(&self, caller: &Caller, home: &HomeName) -> Answer<Option<CollectionId>> {
        if caller.name != home.user || home.kind != CollectionKind::Calendar {
            return Ok(None);
        }
        let id = self.readable_home(caller, home)?;
        Ok((caller.contacts >= Reach::Read).then_some(id))
    }

    /// The calendar as a place to reach. Nothing is kept under its id.
    pub(super) fn reach_births(&self, caller: &Caller, home: &HomeName) -> Answer<Option<Reached>> {
        let reached =
            |home| Reached { home, id: calendar_id(home), mount: None, rights: READ, search_only: false };
        Ok(self.births_home(caller, home)?.map(reached))
    }

    /// Refuses what would change the calendar or what is in it.
    pub(super) fn spare_births(&self, caller: &Caller, place: &Place, privilege: Privilege) -> Answer<()> {
        match place {
            Place::Collection(home, name) | Place::Object(home, name, _) if is_births(home, name) => {
                self.births_home(caller, home)?.ok_or(Refusal::NotFound)?;
                Err(denied(place.clone(), privilege))
            }
            _ => Ok(()),
        }
    }

    /// The calendar, as a member of its home.
    pub(super) async fn births_in(
        &self,
        reader: &Reader,
        caller: &Caller,
        home: &HomeName,
    ) -> Answer<Option<CollectionView>> {
        let Some(births) = self.births(reader, caller, home).await? else { return Ok(None) };
        let name = MemberName::parse(BIRTHDAYS).map_err(|_| Fault("a calendar's name".into()))?;
        Ok(Some(births.view(home, &name)))
    }

    /// Reads of which books the calendar is made, and how often each has changed, and no card.
    async fn births(&self, reader: &Reader, caller: &Caller, home: &HomeName) -> Answer<Option<Births>> {
        let Some(at) = self.births_home(caller, home)? else { return Ok(None) };
        let (links, mut unsure) = reader.all_links(caller.home).await?;
        let links: Vec<Link> = links.into_iter().filter(|link| !link.smart && link.book != TRASH).collect();
        let mut ids = vec![at];
        ids.extend(links.iter().map(|link| link.book));
        let mut found = reader.found_collections(&ids).await?.into_iter();
        let mounts: Vec<_> = links.iter().filter(|link| link.mount).map(|link| link.member).collect();
        let written = reader.properties_of(&mounts).await?;
        // What is written on another's book is for its own birthdays.
        let own: HashMap<_, _> = mounts.into_iter().zip(written).collect();
        let calendars = found.next().map_or(Ok(None), Found::whole)?.ok_or(Refusal::NotFound)?;
        let mut books = BTreeMap::new();
        for (link, found) in links.iter().zip(found) {
            let book = match found {
                Found::Whole(book) => book,
                Found::Absent if link.mount => continue,
                Found::Absent | Found::Damaged(_) => {
                    unsure = true;
                    continue;
                }
            };
            let (rights, off) = match link.mount {
                true => {
                    let off = own.get(&link.member).is_some_and(|own| is_off(own));
                    (rights(caller, Belongs::Mounted(&book.row)), off)
                }
                false => (rights(caller, Belongs::Own(&caller.name, &book.row)), is_off(&book.properties)),
            };
            if rights.read && !off && book.row.smart.is_none() {
                books.insert(link.book, Book::of(link.book, &book.row, book.revision));
            }
        }
        let books: Vec<_> = books.into_values().collect();
        let token = issue(reader, caller, books.iter().map(told).collect::<Option<_>>())?;
        let created = rows::time(calendars.row.created);
        Ok(Some(Births { id: calendar_id(at), created, books, unsure, token }))
    }

    /// The calendar and those of its events that are asked for.
    pub(super) async fn births_members(
        &self,
        caller: &Caller,
        (home, name): (&HomeName, &MemberName),
        members: Members,
        detail: Detail,
    ) -> Answer<MembersView> {
        if matches!(members, Members::All) {
            return self.all_births(caller, (home, name), detail).await;
        }
        let reader = self.store.read().await?;
        let births = self.births(&reader, caller, home).await?.ok_or(Refusal::NotFound)?;
        let book = births.view(home, name);
        let (mut cards, mut damaged) = (Vec::new(), Vec::new());
        if let Members::Named(names) = members {
            let seen = named(&reader, &births.token, &names, detail).await?;
            for (name, seen) in names.into_iter().zip(seen) {
                match seen {
                    Seen::Whole(event) => cards.push(event),
                    Seen::Damaged => damaged.push(name),
                    Seen::Absent => {}
                }
            }
        }
        Ok(MembersView { book, cards, damaged })
    }

    /// The calendar and all of its events.
    async fn all_births(
        &self,
        caller: &Caller,
        (home, name): (&HomeName, &MemberName),
        detail: Detail,
    ) -> Answer<MembersView> {
        let (reader, births, days) = self.dated_births(caller, home).await?;
        let (mut cards, mut damaged) = (Vec::new(), Vec::new());
        for (book, days) in births.books.iter().zip(&days) {
            let mut tell = |told| match told {
                Told::Event(event) => cards.push(event),
                Told::Damaged(name) => damaged.push(name),
                Told::Gone(_) => {}
            };
            index::list(&reader, (book.id, days), detail, &mut tell).await?;
        }
        Ok(MembersView { book: births.view(home, name), cards, damaged })
    }

    /// Events of a calendar that was shown before, in the order asked.
    pub(super) async fn births_named(
        &self,
        token: &BirthsToken,
        names: &[MemberName],
        detail: Detail,
    ) -> Answer<Vec<Seen>> {
        named(&self.store.read().await?, token, names, detail).await
    }
}

/// The events of these names in the books that a calendar is made of.
async fn named(
    reader: &Reader,
    token: &BirthsToken,
    names: &[MemberName],
    detail: Detail,
) -> Answer<Vec<Seen>> {
    let names: Vec<Option<EventName>> = names.iter().map(EventName::parse).collect();
    let mut events: HashMap<EventName, Seen> = HashMap::new();
    for source in token.sources() {
        let of_book = names.iter().flatten().filter(|name| name.book == source.book);
        let mut members: Vec<_> = of_book.map(|name| name.member).collect();
        members.sort_unstable();
        members.dedup();
        let found = read_events(reader, source.book, &members).await?;
        for name in names.iter().flatten().filter(|name| name.book == source.book) {
            let found = members.binary_search(&name.member).ok().and_then(|at| found.get(at));
            let seen = match found {
                None | Some(Found::Absent) => Seen::Absent,
                Some(Found::Damaged(_)) => Seen::Damaged,
                Some(Found::Whole(events)) => match events.of(name.occasion) {
                    Some(event) => Seen::Whole(event.clone().detailed(detail)),
                    None => Seen::Absent,
                },
            };
            events.insert(*name, seen);
        }
    }
    let seen = |name: Option<EventName>| name.and_then(|name| events.get(&name).cloned());
    Ok(names.into_iter().map(|name| seen(name).unwrap_or(Seen::Absent)).collect())
}

/// The id of the calendar in a home of calendars: made of the home's, in the form of UUIDs that
/// their maker defines (RFC 9562 §5.8).
fn calendar_id(home: CollectionId) -> CollectionId {
    let mut id = [0; 16];
    let mut hasher = blake3::Hasher::new();
    hasher.update(home.as_bytes()).update(BIRTHDAYS.as_bytes()).finalize_xof().fill(&mut id);
    CollectionId::new(uuid::Builder::from_custom_bytes(id).into_uuid())
}

/// A book of which everything was told.
fn told(book: &Book) -> Option<Source> {
    let upto = Steps::through(book.revision)?;
    Some(Source { book: book.id, log: book.log, upto, stage: Stage::Told })
}

/// A token for that caller.
fn issue(reader: &Reader, caller: &Caller, sources: Option<Vec<Source>>) -> Answer<BirthsToken> {
    let sources = sources.ok_or(Fault("a revision is past what can be counted".into()))?;
    Ok(BirthsToken::new(sources, |packed| mark(reader, caller, packed)))
}

/// The mark of a token of that caller.
fn mark(reader: &Reader, caller: &Caller, packed: &[u8]) -> [u8; MARK] {
    let mut mark = [0; MARK];
    mark.iter_mut().zip(reader.issued(caller.account, packed)).for_each(|(to, from)| *to = from);
    mark
}

#[cfg(test)]
mod tests;
