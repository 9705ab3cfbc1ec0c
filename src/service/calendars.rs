//! Questions about calendars: which objects answer a filter, and when somebody is busy. What cards are
//! asked in `contacts.rs`, through the same reads.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::ical::busy::BusyTimes;
use crate::domain::ical::filter::{Filter, Scope};
use crate::domain::ical::overlap::Range;
use crate::domain::ical::tree::{parse, parse_stream};
use crate::domain::ical::zone::{Zone, Zones};
use crate::domain::ical::{Kind, Limits};
use crate::domain::id::{HomeName, MemberName};
use crate::store::agenda::Opened;
use crate::store::damage::Found;
use crate::store::query::{Collection, Reader};
use crate::store::rows::StoredProperty;

use super::access::Caller;
use super::birthdays::is_births;
use super::refusal::Refusal;
use super::resolve::{Reached, card_views};
use super::view::{Carry, Matches};
use super::{Answer, Service};

/// CalDAV's namespace, in which clients write a calendar's time zone.
pub(super) const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";

impl Service {
    /// The objects of a calendar that a filter matches: those that `carry` has room for, and the others'
    /// names. Times without a zone are read in that of the request, else in the calendar's (CAL-20).
    pub async fn query_calendar(
        &self,
        caller: &Caller,
        (home, name): (&HomeName, &MemberName),
        filter: Arc<Filter>,
        zone: Option<Zone>,
        limit: Option<usize>,
        carry: &mut Carry,
    ) -> Answer<Matches> {
        if limit == Some(0) {
            return Err(Refusal::BadLimit.into());
        }
        if is_births(home, name) {
            return self.query_births(caller, (home, name), &filter, zone, limit).await;
        }
        let (reached, opened) = self.open_calendar(caller, home, name).await?;
        let Opened { reader, calendar, agenda } = opened;
        let candidates = agenda.candidates(&filter.scope());
        let (chosen, truncated) = if filter.is_kind_only() {
            reader.unjudged(candidates, limit)
        } else {
            let zone = match zone {
                Some(zone) => Some(zone),
                None => zone_at(&reader, &reached, &calendar).await?,
            };
            let zones = Zones::new(zone.unwrap_or(Zone::UTC));
            let limits = Limits { bytes: usize::MAX, ..self.settings.calendar };
            let accept = move |octets: &[u8]| match parse(octets, &limits) {
                Ok(object) => filter.matches(&object, &zones),
                // Stored by other limits: what cannot be judged may be wanted.
                Err(_) => true,
            };
            reader.judged(reached.id, candidates, Arc::new(accept), limit, &mut carry.room).await?
        };
        let (found, names) = reader.chosen(reached.id, chosen, carry.properties).await?;
        let (cards, _) = card_views(found.into_iter().map(Found::Whole).collect());
        let book = self.shown(&reader, caller, (home, name), &reached, calendar).await?;
        Ok(Matches { book, cards, names, truncated })
    }

    /// When a calendar's owner is busy (RFC 4791 §7.10; CAL-40): added to what other calendars say.
    pub async fn busy_times(
        &self,
        caller: &Caller,
        (home, name): (&HomeName, &MemberName),
        range: Range,
        busy: BusyTimes,
    ) -> Answer<BusyTimes> {
        if is_births(home, name) {
            // Nobody is busy for a birthday, and whether there is such a calendar is told all the same.
            self.reach_births(caller, home)?.ok_or(Refusal::NotFound)?;
            return Ok(busy);
        }
        let (reached, Opened { reader, calendar, agenda }) = self.open_calendar(caller, home, name).await?;
        let zones = Zones::new(zone_at(&reader, &reached, &calendar).await?.unwrap_or(Zone::UTC));
        let limits = Limits { bytes: usize::MAX, ..self.settings.calendar };
        let busy = Arc::new(std::sync::Mutex::new(busy));
        let told = busy.clone();
        let add = move |octets: &[u8]| {
            if let (Ok(object), Ok(mut busy)) = (parse(octets, &limits), told.lock()) {
                busy.add(&object, &zones);
            }
            false
        };
        let scope = |kind| Scope { kind: Some(kind), instances: Some(range), alarms: None };
        let mut candidates = agenda.candidates(&scope(Kind::Event));
        candidates.extend(agenda.candidates(&scope(Kind::Availability)));
        let mut room = crate::store::query::Room::new(false);
        reader.judged(reached.id, candidates, Arc::new(add), None, &mut room).await?;
        let busy = Arc::into_inner(busy).and_then(|busy| busy.into_inner().ok());
        Ok(busy.ok_or(super::refusal::Fault("adding up busy times broke off".into()))?)
    }

    /// A calendar as the caller reaches it, with its agenda.
    pub(super) async fn open_calendar(
        &self,
        caller: &Caller,
        home: &HomeName,
        name: &MemberName,
    ) -> Answer<(Reached, Opened)> {
        let reader = self.store.read().await?;
        let reached = self.reach(&reader, caller, home, name).await?.ok_or(Refusal::NotFound)?;
        drop(reader);
        let opened = self.store.agenda(reached.id).await?.ok_or(Refusal::NotFound)?;
        Ok((reached, opened))
    }

    /// The time now, as answers about time need it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The zone of a calendar whose properties have these texts: the tz database's of that name, or a
/// VTIMEZONE of the client's own (CAL-6, TZ-5).
pub(super) fn zone_of<'t>(text: impl Fn(&str) -> Option<&'t str>) -> Option<Zone> {
    let written = || text("calendar-timezone").and_then(written_zone);
    text("calendar-timezone-id").and_then(Zone::named).or_else(written)
}

/// The zone that whoever asks gave a calendar, in whose home it lies, or else that of its owner.
async fn zone_at(reader: &Reader, reached: &Reached, calendar: &Collection) -> Answer<Option<Zone>> {
    let own = match reached.mount {
        Some(member) => reader.properties(&member).await?,
        None => Vec::new(),
    };
    Ok(zone_in(&own).or_else(|| zone_in(&calendar.properties)))
}

/// The zone that somebody wrote on a calendar.
pub(super) fn zone_in(properties: &[StoredProperty]) -> Option<Zone> {
    zone_of(|local| {
        let own = properties.iter().find(|p| p.namespace == CALDAV && p.local == local);
        own.and_then(|own| own.text.as_deref())
    })
}

/// The zone of a VTIMEZONE in a calendar of its own; `None` where it is none.
pub fn written_zone(octets: &str) -> Option<Zone> {
    let calendars = parse_stream(octets.as_bytes(), &Limits::default()).ok()?;
    let mut zones = calendars.iter().flat_map(|calendar| calendar.components("VTIMEZONE"));
    Zone::written(zones.next()?)
}
