//! Events in the store: numbered rows without gaps, sealed with the installation's key, written by
//! the commit that they tell of, read newest first and forgotten oldest first. What is told, and
//! when, is `service/audit.rs`'s.

use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::domain::event::{Event, EventKind, Subject};
use crate::domain::id::{AccountId, CollectionId};

use super::codec::{self, STAMP};
use super::engine::{Extent, Write};
use super::keys;
use super::query::Reader;
use super::rows::{self, EventRow, Id};
use super::seal::{At, Sealer};
use super::{Store, StoreError};

/// The most events of a page.
const PAGE: u64 = 1000;

/// How many events a step forgets.
const STEP: usize = 512;

const UNREADABLE: StoreError = StoreError::Damaged("an event cannot be read");

/// Which events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsPage {
    /// Those before this number; the newest where left out.
    pub before: Option<u64>,
    /// How many at most; never more than a thousand.
    pub limit: u64,
}

/// Some events, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// Each with its number.
    pub events: Vec<(u64, Event)>,
    /// Where the next page begins; `None` where there is none.
    pub next: Option<u64>,
}

/// An event as a row.
pub(super) fn row(event: &Event) -> EventRow {
    let id = |account: AccountId| Id(*account.as_bytes());
    let (about, subject) = match event.subject {
        Some(Subject::Collection(collection)) => (Some(1), Some(Id(*collection.as_bytes()))),
        Some(Subject::Token(token)) => (Some(2), Some(Id(*token.as_bytes()))),
        Some(Subject::Group(group)) => (Some(3), Some(id(group))),
        None => (None, None),
    };
    EventRow {
        at: rows::micros(event.at),
        kind: event.kind.code(),
        actor: event.actor.map(id),
        account: event.account.map(id),
        about,
        subject,
        client: event.client.clone(),
        address: event.address.map(|address| address.to_string()),
        count: event.count,
    }
}

/// What a row tells.
fn event(row: EventRow) -> Result<Event, StoreError> {
    let account = |id: Id| AccountId::from_bytes(id.0);
    let subject = match (row.about, row.subject) {
        (None, None) => None,
        (Some(1), Some(id)) => Some(Subject::Collection(CollectionId::from_bytes(id.0))),
        (Some(2), Some(id)) => Some(Subject::Token(uuid::Uuid::from_bytes(id.0))),
        (Some(3), Some(id)) => Some(Subject::Group(account(id))),
        _ => return Err(UNREADABLE),
    };
    Ok(Event {
        at: rows::time(row.at),
        kind: EventKind::of(row.kind).ok_or(UNREADABLE)?,
        actor: row.actor.map(account),
        account: row.account.map(account),
        subject,
        client: row.client,
        address: row.address.map(|text| text.parse().map_err(|_| UNREADABLE)).transpose()?,
        count: row.count,
    })
}

impl Sealer {
    /// An event behind an empty stamp.
    pub(super) fn encode_event(&self, row: &EventRow) -> Result<Vec<u8>, StoreError> {
        let mut value = Vec::with_capacity(192);
        value.extend_from_slice(&[0; STAMP]);
        self.seal(self.installation(), &keys::event_counter(), &mut value, STAMP, &codec::cbor(row))?;
        Ok(value)
    }

    /// Reads an event.
    pub(super) fn decode_event(&self, value: &[u8]) -> Result<Event, StoreError> {
        let (_, sealed) = codec::stamp(value)?;
        event(codec::from_cbor(&self.open(At::key(&keys::event_counter()), sealed)?)?)
    }
}

impl Reader {
    /// Events before a number, newest first. One that cannot be read is left out; `check` tells it.
    pub async fn events(&self, page: EventsPage) -> Result<Events, StoreError> {
        let counter = self.get(vec![keys::event_counter()]).await?.pop().flatten();
        let newest = counter.and_then(|value| value.as_ref().try_into().ok().map(u64::from_be_bytes));
        let after_all = newest.unwrap_or(0).saturating_add(1);
        let end = page.before.unwrap_or(after_all).min(after_all);
        let start = end.saturating_sub(page.limit.clamp(1, PAGE));
        let mut range = keys::events_from(start);
        range.end = keys::event(end);
        let sealer = self.sealer().clone();
        let step = move |found: &mut Vec<(u64, Event)>, key: &[u8], value: &[u8]| {
            let number = keys::event_number(key);
            found.extend(number.and_then(|number| Some((number, sealer.decode_event(value).ok()?))));
            Ok(ControlFlow::Continue(()))
        };
        let mut events = self.fold(range, Extent::Many, Vec::new(), step).await?;
        events.reverse();
        let oldest = self.oldest_event().await?;
        Ok(Events { events, next: oldest.filter(|oldest| *oldest < start).map(|_| start) })
    }

    async fn oldest_event(&self) -> Result<Option<u64>, StoreError> {
        let first = |found: &mut Option<u64>, key: &[u8], _: &[u8]| {
            *found = keys::event_number(key);
            Ok(ControlFlow::Break(()))
        };
        self.fold(keys::events_from(0), Extent::Few, None, first).await
    }
}

impl Store {
    /// Forgets events that are older than so many days; answers how many.
    pub async fn prune_events(&self, at: Timestamp, days: u32) -> Result<usize, StoreError> {
        const DAY: i64 = 86_400 * 1_000_000;
        let kept = rows::micros(at).saturating_sub(i64::from(days).saturating_mul(DAY));
        let mut count = 0;
        loop {
            let sealer = self.sealer.clone();
            let step = move |found: &mut Vec<(Vec<u8>, Option<bool>)>, key: &[u8], value: &[u8]| {
                let event = sealer.decode_event(value).ok();
                found.push((key.to_vec(), event.map(|event| rows::micros(event.at) < kept)));
                Ok(if found.len() < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            };
            let reader = self.read().await?;
            let mut found = reader.fold(keys::events_from(0), Extent::Many, Vec::new(), step).await?;
            drop(reader);
            // One that cannot be read goes with those around it, so that no gap comes.
            let young = found.iter().position(|(_, old)| *old == Some(false)).unwrap_or(found.len());
            let old =
                found.iter().take(young).rposition(|(_, old)| *old == Some(true)).map_or(0, |at| at + 1);
            found.truncate(old);
            if found.is_empty() {
                return Ok(count);
            }
            count += found.len();
            self.write(found.into_iter().map(|(key, _)| Write::Delete { key }).collect()).await?;
            if old < STEP {
                return Ok(count);
            }
        }
    }
}
