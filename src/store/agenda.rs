//! The agendas: for each calendar when its objects are, what they are and whom they name, in memory and
//! nowhere else, brought up to each snapshot as `follow.rs` does it, so that a month's question of a
//! calendar with 20,000 objects opens the month's only (CAL-42). An agenda yields candidates; whether they
//! answer is judged by their octets.

use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use crate::domain::ical::filter::Scope;
use crate::domain::ical::instances::{self, Span};
use crate::domain::ical::links::{Links, links};
use crate::domain::ical::overlap::Range;
use crate::domain::ical::tree::parse;
use crate::domain::ical::zone::{Zone, Zones};
use crate::domain::ical::{Kind, Limits};
use crate::domain::id::{CollectionId, ContactId};

use super::engine::Extent;
use super::follow::{Followed, Follows, Keep, Position, bring_up};
use super::keys::{self, Hash, Table};
use super::query::{Card, Chosen, Collection, Reader, Room};
use super::{Store, StoreError, codec};

/// How many objects are judged at a time.
const CHUNK: usize = 64;

/// By what the addresses and UIDs that objects name are compared: they are not kept.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The agendas of all calendars that were asked about.
pub type Agendas = Follows<Entry>;

/// When a calendar's objects are.
pub type Agenda = Followed<Entry>;

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
        let agenda = bring_up(&mut held, &reader, Position::of(&calendar)).await?;
        Ok(Some(Opened { reader, calendar, agenda }))
    }
}

impl Agenda {
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
        sorted(self.entries().iter().filter(answers))
    }

    /// The objects that may name one of these addresses or contacts.
    pub fn naming(&self, whom: &Links) -> Vec<Entry> {
        let hashes = hashes(whom);
        sorted(self.entries().iter().filter(|entry| {
            entry.kind.is_none() || hashes.iter().any(|hash| entry.named.binary_search(hash).is_ok())
        }))
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
    fn unreadable(member: Hash, object: [u8; 16]) -> Self {
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
        let Ok(calendar) = parse(octets, &limits) else { return Self::unreadable(member, object) };
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

/// What objects' times without a zone are read in: an agenda is asked by people of any.
pub struct Utc(Zones);

impl Default for Utc {
    fn default() -> Self {
        Self(Zones::new(Zone::UTC))
    }
}

impl Keep for Entry {
    type Tools = Utc;

    fn member(&self) -> Hash {
        self.member
    }

    fn read(
        Utc(zones): &Utc,
        _reader: &Reader,
        _of: CollectionId,
        member: Hash,
        object: &Card,
    ) -> Option<Self> {
        Some(Self::of(member, object.row.contact, object.body.as_deref()?, zones))
    }

    fn unread(member: Hash, before: Option<&Self>) -> Option<Self> {
        before.map(|before| Self::unreadable(member, before.object))
    }

    /// In the order in which octets lie, which is quicker than the log's.
    async fn whole(reader: &Reader, at: Position) -> Result<Agenda, StoreError> {
        let (sealer, mut plain) = (reader.sealer().clone(), Vec::new());
        let Utc(zones) = Utc::default();
        let range = keys::under(Table::Body, at.collection.as_bytes());
        let scan = reader.fold(range, Extent::Many, Agenda::new(&at), move |agenda, key, value| {
            let Some(object) = keys::item(key) else { return Ok(ControlFlow::Continue(())) };
            let (member, entry) = match sealer.scan_body(key, value, &mut plain) {
                Ok((member, octets)) => (member, Self::of(member, object, octets, &zones)),
                Err(StoreError::Erased) => return Ok(ControlFlow::Continue(())),
                Err(StoreError::Damaged(_)) => match codec::body_front(value) {
                    Ok((member, _)) => (member, Self::unreadable(member, object)),
                    Err(_) => return Ok(ControlFlow::Continue(())),
                },
                Err(error) => return Err(error),
            };
            agenda.set(member, Some(entry));
            Ok(ControlFlow::Continue(()))
        });
        scan.await
    }
}

impl Reader {
    /// Every calendar that there is, whoever may see it.
    pub async fn calendars(&self) -> Result<Vec<CollectionId>, StoreError> {
        self.all_collections(true).await
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
