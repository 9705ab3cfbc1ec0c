//! What is planned and what happened with a contact: the events, tasks and journal entries that name it,
//! in all calendars that the caller may read. Calendars are asked through their agendas, so that only
//! what may name the contact is opened.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::contact::CardFields;
use crate::domain::ical::links::{Links, address, links};
use crate::domain::ical::near::{Near, near};
use crate::domain::ical::recur::Budget;
use crate::domain::ical::tree::parse;
use crate::domain::ical::zone::{Zone, Zones};
use crate::domain::ical::{Kind, Limits};
use crate::domain::id::{CollectionId, ContactId, MemberName, Principal};
use crate::domain::permission::Permission;
use crate::service::access::Caller;
use crate::service::calendars::zone_in;
use crate::service::refusal::Fault;
use crate::service::{Answer, Service};
use crate::store::StoreError;
use crate::store::agenda::{Entry, Opened};
use crate::store::damage::Found;
use crate::store::query::{Card, Reader, With};
use crate::store::rows;

use super::view::ContactView;

crate::hidden!(Planned);

/// How many objects are told: the latest ones.
const MOST: usize = 5_000;

/// How many objects are read at a time.
const CHUNK: usize = 64;

/// How many rules that are not to be worked out one answer pays for.
const HOSTILE: usize = 16;

/// What is planned with a contact, or was.
#[derive(Clone)]
pub struct Planned {
    /// The object's id.
    pub object: ContactId,
    /// What it is, and when: of what recurs the next one, else the last.
    pub near: Near,
    /// Where it stands in time: when it begins, or for what has no date when it was done, or made.
    pub placed: Timestamp,
    /// The calendar, as `OWNER/NAME`.
    pub calendar: String,
    /// Its UID.
    pub uid: String,
    /// Whose calendar that is and what the two are called, where it has a URL.
    pub path: Option<Planning>,
}

/// Where an object is: in the home of that owner, in that calendar, under that name.
pub type Planning = (String, MemberName, MemberName);

/// A calendar in which a contact is named.
struct Named {
    calendar: CollectionId,
    address: String,
    owner: Option<(String, MemberName)>,
    opened: Opened,
}

impl Service {
    /// What is planned and what happened with a contact, in no order.
    pub async fn contact_timeline(&self, caller: &Caller, shown: &ContactView) -> Answer<Vec<Planned>> {
        caller.need_scope(Permission::Followups)?;
        let reader = self.store.read().await?;
        let whom = Arc::new(self.names_of(&reader, shown).await?);
        drop(reader);
        let shelves = self.shelves().await?;
        let mut named = Vec::new();
        let mut entries: Vec<(usize, Entry)> = Vec::new();
        for (calendar, shelf) in shelves.readable_calendars(caller) {
            // It may have gone since the shelves were read.
            let Some(opened) = self.store.agenda(calendar).await? else { continue };
            let found = opened.agenda.naming(&whom);
            if found.is_empty() {
                continue;
            }
            entries.extend(found.into_iter().map(|entry| (named.len(), entry)));
            let owner = match &shelf.owner {
                Principal::User(user) => Some((user.to_string(), shelf.name.clone())),
                Principal::Group(_) => None,
            };
            named.push(Named { calendar, address: shelf.address(), owner, opened });
        }
        if entries.len() > MOST {
            entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.until()));
            entries.truncate(MOST);
        }
        let (now, mut left, mut planned) = (self.now(), HOSTILE, Vec::new());
        for (at, named) in named.iter().enumerate() {
            let members: Vec<_> =
                entries.iter().filter(|(of, _)| *of == at).map(|(_, entry)| entry.member).collect();
            let zone = zone_in(&named.opened.calendar.properties).unwrap_or(Zone::UTC);
            for some in members.chunks(CHUNK) {
                let cards = whole_objects(&named.opened.reader, named.calendar, some).await?;
                let (whom, zone) = (whom.clone(), zone.clone());
                // What recurs in an odd way costs some milliseconds, which those who wait must not pay.
                let work = tokio::task::spawn_blocking(move || judged(cards, &whom, zone, now, left));
                let (found, spared) = work.await.map_err(|_| Fault("reading a timeline broke off".into()))?;
                left = spared;
                planned.extend(found.into_iter().map(|(card, near)| named.planned(&card, near)));
            }
        }
        Ok(planned)
    }

    /// By what calendars may name a contact, and those that were merged into it.
    async fn names_of(&self, reader: &Reader, shown: &ContactView) -> Answer<Links> {
        let mut whom = Links::default();
        add_names(&mut whom, &shown.uid, &shown.fields);
        for merged in reader.contacts(&shown.stored.record.merged).await?.into_iter().flatten() {
            add_names(&mut whom, &merged.card.uid, &CardFields::read(&merged.body));
        }
        Ok(whom)
    }
}

/// Adds by what calendars may name a contact.
pub(in crate::service) fn add_names(whom: &mut Links, uid: &str, fields: &CardFields) {
    whom.addresses.extend(fields.emails.iter().filter_map(|email| address(&email.value)));
    if !uid.trim().is_empty() {
        whom.contacts.insert(uid.to_owned());
    }
}

/// Members of a calendar with their octets; one that cannot be read is left out.
pub(in crate::service) async fn whole_objects(
    reader: &Reader,
    calendar: CollectionId,
    members: &[[u8; 16]],
) -> Result<Vec<Card>, StoreError> {
    let with = With { properties: false, body: true };
    let (mut cards, mut rest) = (Vec::with_capacity(members.len()), members);
    while !rest.is_empty() {
        let mut read = 0;
        for found in reader.found_cards(calendar, rest, with).await? {
            match found {
                Found::Whole(card) if card.body.is_some() => cards.push(card),
                // Large ones are read by themselves.
                Found::Whole(_) => break,
                Found::Absent | Found::Damaged(_) => {}
            }
            read += 1;
        }
        if read == 0 {
            break;
        }
        rest = rest.get(read..).unwrap_or_default();
    }
    Ok(cards)
}

/// Those that name one of them, with what is told of them; and how many hostile ones are still paid for.
fn judged(
    cards: Vec<Card>,
    whom: &Links,
    zone: Zone,
    now: Timestamp,
    mut left: usize,
) -> (Vec<(Card, Near)>, usize) {
    let zones = Zones::new(zone);
    // They were admitted once, by limits that may have been others.
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let mut found = Vec::new();
    for card in cards {
        let near = card.body.as_deref().and_then(|octets| {
            let calendar = parse(octets, &limits).ok()?;
            let named = links(&calendar);
            if named.addresses.is_disjoint(&whom.addresses) && named.contacts.is_disjoint(&whom.contacts) {
                return None;
            }
            let mut budget = if left > 0 { Budget::default() } else { Budget::new(0) };
            let near = near(&calendar, &zones, now, &mut budget);
            left = left.saturating_sub(usize::from(budget.is_spent()));
            near
        });
        found.extend(near.filter(|near| near.kind != Kind::Availability).map(|near| (card, near)));
    }
    (found, left)
}

impl Named {
    fn planned(&self, card: &Card, near: Near) -> Planned {
        let name = MemberName::parse(&card.row.name).ok();
        let path = self.owner.clone().zip(name).map(|((owner, calendar), name)| (owner, calendar, name));
        Planned {
            object: ContactId::from_bytes(card.row.contact),
            placed: near.start.or(near.completed).unwrap_or_else(|| rows::time(card.row.created)),
            near,
            calendar: self.address.clone(),
            uid: card.row.uid.clone(),
            path,
        }
    }
}
