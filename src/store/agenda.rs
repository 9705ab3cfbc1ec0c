//! The agendas: for each calendar when its objects are, what they are and whom they name, in memory and
//! nowhere else. Made at the first question, and brought up to the change log of the snapshot at each
//! one after it, so that a month's question of a calendar with 20,000 objects opens the month's only
//! (CAL-42). An agenda yields candidates; whether they answer is judged by their octets.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::Mutex as Turn;

use crate::domain::ical::filter::Scope;
use crate::domain::ical::instances::{self, Span};
use crate::domain::ical::links::{Links, links};
use crate::domain::ical::overlap::Range;
use crate::domain::ical::tree::parse;
use crate::domain::ical::zone::{Zone, Zones};
use crate::domain::ical::{Kind, Limits};
use crate::domain::id::{CollectionId, ContactId, Revision};

use super::damage::Found;
use super::engine::Extent;
use super::keys::{self, Hash, Table};
use super::query::{Card, Chosen, Collection, Reader, Room, With};
use super::rows::ChangeRow;
use super::{Store, StoreError, codec};

/// How many objects are read at a time.
const CHUNK: usize = 64;

/// With more changed objects than this, an agenda is made anew.
const ANEW: usize = 4_096;

/// By what the addresses and UIDs that objects name are compared: they are not kept.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The agendas of all calendars that were asked about.
#[derive(Default)]
pub struct Agendas(Mutex<HashMap<CollectionId, Arc<Calendar>>>);

/// One calendar's agenda, held by who brings it up to date.
type Calendar = Turn<Option<Arc<Agenda>>>;

/// When a calendar's objects are.
#[derive(Clone)]
pub struct Agenda {
    upto: Revision,
    /// What the change log that it follows is called.
    identity: [u8; 16],
    entries: Vec<Entry>,
    places: HashMap<Hash, usize>,
}

/// An object, as an agenda keeps it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name's hash.
    pub member: Hash,
    /// Its id.
    pub object: [u8; 16],
    /// What it is; `None` where it cannot be read, so that every question finds it.
    kind: Option<Kind>,
    instances: Times,
    alarms: Times,
    /// The hashes of the addresses and UIDs that it names, sorted.
    named: Box<[u64]>,
}

/// From when to when, in seconds since 1970; backwards where never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    first: i64,
    last: i64,
}

impl Times {
    const NEVER: Self = Self { first: i64::MAX, last: i64::MIN };
    const ALWAYS: Self = Self { first: i64::MIN, last: i64::MAX };

    fn of(span: Option<Span>) -> Self {
        match span {
            None => Self::NEVER,
            Some(Span { first, last }) => {
                Self { first: first.as_second(), last: last.map_or(i64::MAX, |last| last.as_second()) }
            }
        }
    }

    fn touch(self, range: &Range) -> bool {
        range.end.is_none_or(|end| self.first <= end.as_second())
            && range.start.is_none_or(|start| self.last >= start.as_second())
            && self.first <= self.last
    }
}

impl Agendas {
    /// Lets go of a calendar's agenda: the calendar is gone.
    pub fn forget(&self, calendar: CollectionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&calendar);
    }

    /// Lets go of every agenda; what is asked for is made again.
    pub fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn of(&self, calendar: CollectionId) -> Arc<Calendar> {
        let mut calendars = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calendars.entry(calendar).or_default().clone()
    }
}

/// What judges an object by its octets.
pub type Judge = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A calendar as it is now: its row, its agenda, and the snapshot that both are of.
pub struct Opened {
    /// The snapshot.
    pub reader: Reader,
    /// The calendar.
    pub calendar: Collection,
    /// When its objects are.
    pub agenda: Arc<Agenda>,
}

impl Store {
    /// The agendas.
    pub fn agendas(&self) -> &Agendas {
        &self.agendas
    }

    /// A calendar with its agenda; `None` where there is no such calendar.
    pub async fn agenda(&self, id: CollectionId) -> Result<Option<Opened>, StoreError> {
        let turn = self.agendas.of(id);
        let mut held = turn.lock().await;
        // Taken while nobody else brings the agenda further: it is never older than the agenda.
        let reader = self.read().await?;
        let calendar = reader.collections(&[id]).await?.pop().flatten();
        let Some(calendar) = calendar.filter(|calendar| calendar.row.calendar) else {
            self.agendas.forget(id);
            return Ok(None);
        };
        let known = held.take().filter(|agenda| agenda.identity == calendar.row.identity);
        let agenda = match known {
            Some(agenda) if agenda.upto == calendar.revision => agenda,
            Some(mut agenda) => match reader.touched(id, agenda.upto, ANEW).await? {
                Some(touched) => {
                    reader.follow(id, Arc::make_mut(&mut agenda), &touched).await?;
                    Arc::make_mut(&mut agenda).upto = calendar.revision;
                    agenda
                }
                None => Arc::new(reader.whole_agenda(&calendar).await?),
            },
            None => Arc::new(reader.whole_agenda(&calendar).await?),
        };
        *held = Some(agenda.clone());
        Ok(Some(Opened { reader, calendar, agenda }))
    }
}

impl Agenda {
    /// How many objects it knows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The objects that may answer a filter of that scope, in the order of their ids.
    pub fn candidates(&self, scope: &Scope) -> Vec<Entry> {
        let answers = |entry: &&Entry| match entry.kind {
            None => true,
            Some(kind) => {
                scope.kind.is_none_or(|wanted| wanted == kind)
                    && scope.instances.as_ref().is_none_or(|range| entry.instances.touch(range))
                    && scope.alarms.as_ref().is_none_or(|range| entry.alarms.touch(range))
            }
        };
        sorted(self.entries.iter().filter(answers))
    }

    /// The objects that may name one of these addresses or contacts.
    pub fn naming(&self, whom: &Links) -> Vec<Entry> {
        let hashes = hashes(whom);
        sorted(self.entries.iter().filter(|entry| {
            entry.kind.is_none() || hashes.iter().any(|hash| entry.named.binary_search(hash).is_ok())
        }))
    }

    fn set(&mut self, member: Hash, entry: Option<Entry>) {
        match (self.places.get(&member).copied(), entry) {
            (Some(place), Some(entry)) => {
                if let Some(known) = self.entries.get_mut(place) {
                    *known = entry;
                }
            }
            (None, Some(entry)) => {
                self.places.insert(member, self.entries.len());
                self.entries.push(entry);
            }
            (Some(place), None) => {
                self.places.remove(&member);
                self.entries.swap_remove(place);
                if let Some(moved) = self.entries.get(place) {
                    self.places.insert(moved.member, place);
                }
            }
            (None, None) => {}
        }
    }
}

fn sorted<'e>(entries: impl Iterator<Item = &'e Entry>) -> Vec<Entry> {
    let mut found: Vec<Entry> = entries.cloned().collect();
    found.sort_unstable_by_key(|entry| entry.object);
    found
}

fn hashes(named: &Links) -> Vec<u64> {
    let addresses = named.addresses.iter().map(|address| HASHER.hash_one(("address", address)));
    let contacts = named.contacts.iter().map(|uid| HASHER.hash_one(("uid", uid)));
    let mut hashes: Vec<u64> = addresses.chain(contacts).collect();
    hashes.sort_unstable();
    hashes
}

impl Entry {
    /// Until when it goes on, in seconds since 1970: to tell what is older.
    pub fn until(&self) -> i64 {
        self.instances.last
    }

    /// An object that cannot be read: whoever asks is to be told.
    fn unread(member: Hash, object: [u8; 16]) -> Self {
        Self {
            member,
            object,
            kind: None,
            instances: Times::ALWAYS,
            alarms: Times::ALWAYS,
            named: Box::default(),
        }
    }

    fn of(member: Hash, object: [u8; 16], octets: &[u8], zones: &Zones) -> Self {
        // It was admitted once, by limits that may have been others.
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let Ok(calendar) = parse(octets, &limits) else { return Self::unread(member, object) };
        let spans = instances::span(&calendar, zones);
        Self {
            member,
            object,
            kind: calendar.children.iter().find_map(Kind::of),
            instances: Times::of(spans.instances),
            alarms: Times::of(spans.alarms),
            named: hashes(&links(&calendar)).into(),
        }
    }
}

impl Reader {
    /// Every calendar that there is, whoever may see it.
    pub async fn calendars(&self) -> Result<Vec<CollectionId>, StoreError> {
        self.all_collections(true).await
    }

    /// The agenda of a calendar, made of all its objects.
    async fn whole_agenda(&self, calendar: &Collection) -> Result<Agenda, StoreError> {
        let agenda = Agenda {
            upto: calendar.revision,
            identity: calendar.row.identity,
            entries: Vec::new(),
            places: HashMap::new(),
        };
        let (sealer, mut plain) = (self.sealer().clone(), Vec::new());
        let zones = Zones::new(Zone::UTC);
        let range = keys::under(Table::Body, calendar.id.as_bytes());
        self.fold(range, Extent::Many, agenda, move |agenda, key, value| {
            let Some(object) = keys::item(key) else { return Ok(ControlFlow::Continue(())) };
            let (member, entry) = match sealer.scan_body(key, value, &mut plain) {
                Ok((member, octets)) => (member, Entry::of(member, object, octets, &zones)),
                Err(StoreError::Erased) => return Ok(ControlFlow::Continue(())),
                Err(StoreError::Damaged(_)) => match codec::body_front(value) {
                    Ok((member, _)) => (member, Entry::unread(member, object)),
                    Err(_) => return Ok(ControlFlow::Continue(())),
                },
                Err(error) => return Err(error),
            };
            agenda.set(member, Some(entry));
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    /// Brings an agenda up to what became of these members.
    async fn follow(
        &self,
        calendar: CollectionId,
        agenda: &mut Agenda,
        touched: &[ChangeRow],
    ) -> Result<(), StoreError> {
        let zones = Zones::new(Zone::UTC);
        let (gone, there): (Vec<_>, Vec<_>) = touched.iter().partition(|row| row.removed);
        gone.iter().for_each(|row| agenda.set(row.member, None));
        let there: Vec<Hash> = there.iter().map(|row| row.member).collect();
        let mut rest = there.as_slice();
        while !rest.is_empty() {
            let some = rest.get(..CHUNK).unwrap_or(rest);
            let body = With { properties: false, body: true };
            let found = self.found_cards(calendar, some, body).await?;
            let mut read = 0;
            for (member, found) in some.iter().zip(found) {
                let entry = match found {
                    Found::Absent => None,
                    Found::Damaged(_) => agenda
                        .places
                        .get(member)
                        .and_then(|place| agenda.entries.get(*place))
                        .map(|known| Entry::unread(*member, known.object)),
                    Found::Whole(Card { row, body: Some(body), .. }) => {
                        Some(Entry::of(*member, row.contact, &body, &zones))
                    }
                    // Large ones are read by themselves.
                    Found::Whole(_) => break,
                };
                agenda.set(*member, entry);
                read += 1;
            }
            if read == 0 {
                return Err(StoreError::Damaged("an object has no body"));
            }
            rest = rest.get(read..).unwrap_or_default();
        }
        Ok(())
    }

    /// All of the candidates, which need not be judged.
    pub fn unjudged(&self, candidates: Vec<Entry>, limit: Option<usize>) -> (Vec<Chosen>, bool) {
        let limit = limit.unwrap_or(usize::MAX);
        let truncated = candidates.len() > limit;
        (candidates.into_iter().take(limit).map(|entry| Chosen::by_name(entry.member)).collect(), truncated)
    }

    /// Of the candidates those whose octets `accept` takes; the flag says that the limit cut the list.
    /// What cannot be read is among them: whoever goes on to read it is told.
    pub async fn judged(
        &self,
        calendar: CollectionId,
        candidates: Vec<Entry>,
        accept: Judge,
        limit: Option<usize>,
        room: &mut Room,
    ) -> Result<(Vec<Chosen>, bool), StoreError> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for chunk in candidates.chunks(CHUNK) {
            let wanted: Vec<_> =
                chunk.iter().map(|entry| keys::body(calendar, ContactId::from_bytes(entry.object))).collect();
            let values = self.get(wanted.clone()).await?;
            let (sealer, accept, mut left) = (self.sealer().clone(), accept.clone(), *room);
            let members: Vec<Hash> = chunk.iter().map(|entry| entry.member).collect();
            let work = move || {
                let (mut chosen, mut plain) = (Vec::new(), Vec::new());
                for ((member, key), value) in members.into_iter().zip(wanted).zip(values) {
                    let Some(value) = value else { continue };
                    match sealer.scan_body(&key, &value, &mut plain) {
                        Ok((_, octets)) if accept(octets) => {
                            chosen.push(left.keep(member, &key, &value, octets));
                        }
                        Ok(_) | Err(StoreError::Erased) => {}
                        Err(StoreError::Damaged(_)) => chosen.push(Chosen::by_name(member)),
                        Err(error) => return Err(error),
                    }
                }
                Ok((chosen, left))
            };
            // A hostile object costs some milliseconds, which those who only wait must not pay.
            let done = tokio::task::spawn_blocking(work).await;
            let broken = |_| StoreError::Malformed("judging calendar objects broke off");
            let (chosen, left) = done.map_err(broken)??;
            *room = left;
            found.extend(chosen);
            if found.len() > limit {
                found.truncate(limit);
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }
}
