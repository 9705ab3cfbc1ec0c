//! Time zones: which one a TZID means, and what its clocks show (RFC 5545 §3.2.19, §3.3.5, §3.6.5;
//! ICAL-4, ICAL-5, CAL-20, CAL-45). The tz database is the one that is built in, so that the same
//! object means the same on every machine.

mod observances;
mod write;

pub use write::vtimezone;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, civil::DateTime};

use super::time::{Civil, parse_offset};
use super::tree::{Component, Prop};
use super::windows;
use observances::Observances;

static TZDB: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// How many VTIMEZONEs [`Zones`] keeps, and how large one of them may be, in octets.
const KEPT: usize = 256;
const KEPT_OCTETS: usize = 32 << 10;

/// A time zone.
#[derive(Clone)]
pub struct Zone(Rules);

#[derive(Clone)]
enum Rules {
    Fixed(i64),
    Known(TimeZone),
    Written(Arc<Observances>),
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(Rules::Fixed(0));

    /// The zone that a TZID names: one of the tz database in any case, a Windows name, either with
    /// what clients put around it: quotes, blanks, `/mozilla.org/20050126_1/…` (ICAL-5).
    pub fn named(tzid: &str) -> Option<Self> {
        let tzid = bare(tzid);
        if tzid.is_empty() || tzid.len() > 200 {
            return None;
        }
        let known = |name: &str| {
            TZDB.get(name).ok().or_else(|| TZDB.get(windows::olson(name)?).ok()).map(|zone| match name {
                "UTC" => Self::UTC,
                _ => Self(Rules::Known(zone)),
            })
        };
        if let Some(zone) = known(tzid).or_else(|| known(&tzid.replace(' ', "_"))) {
            return Some(zone);
        }
        let mut rest = tzid;
        while let Some((_, after)) = rest.split_once('/') {
            if let Some(zone) = known(after) {
                return Some(zone);
            }
            rest = after;
        }
        let prefixed = tzid.get(..3).filter(|word| matches!(*word, "UTC" | "GMT"));
        let offset = prefixed.and_then(|_| tzid.get(3..)).filter(|rest| rest.starts_with(['+', '-']));
        offset.and_then(parse_offset).map(|seconds| Self(Rules::Fixed(seconds)))
    }

    /// The zone that a VTIMEZONE describes.
    pub fn written(vtimezone: &Component<'_>) -> Option<Self> {
        Observances::of(vtimezone).map(|observances| Self(Rules::Written(Arc::new(observances))))
    }

    /// The tz database's name, where it is one of those.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Rules::Fixed(0) => Some("UTC"),
            Rules::Known(zone) => zone.iana_name(),
            _ => None,
        }
    }

    /// The instant at which a clock of the zone shows `civil`: the first one where there are two,
    /// and where there is none the one that the offset before the gap gives (§3.3.5).
    pub fn instant(&self, civil: Civil) -> Timestamp {
        timestamp(self.seconds(civil))
    }

    /// What a clock of the zone shows at an instant.
    pub fn civil(&self, instant: Timestamp) -> Civil {
        let seconds = instant.as_second();
        Civil(seconds.saturating_add(self.offset(seconds))).clamped()
    }

    /// The instant of a date and time.
    pub fn instant_of(&self, at: DateTime) -> Timestamp {
        self.instant(Civil::from(at))
    }

    /// Seconds since 1970 in UTC at which a clock of the zone shows `civil`.
    pub(super) fn seconds(&self, civil: Civil) -> i64 {
        let civil = civil.clamped();
        match &self.0 {
            Rules::Fixed(offset) => civil.0 - offset,
            Rules::Known(zone) => match zone.to_ambiguous_timestamp(civil.datetime()).compatible() {
                Ok(instant) => instant.as_second(),
                Err(_) => civil.0,
            },
            Rules::Written(observances) => observances.instant_of(civil),
        }
    }

    /// The offset at so many seconds since 1970, in seconds.
    pub(super) fn offset(&self, seconds: i64) -> i64 {
        match &self.0 {
            Rules::Fixed(offset) => *offset,
            Rules::Known(zone) => i64::from(zone.to_offset(timestamp(seconds)).seconds()),
            Rules::Written(observances) => observances.offset_at(seconds),
        }
    }

    /// The earliest clock time that can be an instant not before `seconds`, and the latest one that
    /// can be an instant not after it: apart only where the clocks are changed nearby.
    pub(super) fn civil_around(&self, seconds: i64) -> (Civil, Civil) {
        if let Rules::Fixed(offset) = &self.0 {
            let civil = Civil(seconds.saturating_add(*offset)).clamped();
            return (civil, civil);
        }
        // A change moves clocks by a day at most (Samoa, 2011).
        const NEARBY: i64 = 30 * 3600;
        let offsets = [
            self.offset(seconds.saturating_sub(NEARBY)),
            self.offset(seconds),
            self.offset(seconds.saturating_add(NEARBY)),
        ];
        let [before, now, after] = offsets;
        let least = before.min(now).min(after);
        let most = before.max(now).max(after);
        (Civil(seconds.saturating_add(least)).clamped(), Civil(seconds.saturating_add(most)).clamped())
    }
}

/// Seconds since 1970 as a timestamp, cut to what can be told.
pub(super) fn timestamp(seconds: i64) -> Timestamp {
    match Timestamp::from_second(seconds) {
        Ok(instant) => instant,
        Err(_) if seconds < 0 => Timestamp::MIN,
        Err(_) => Timestamp::MAX,
    }
}

/// Zones are shown by name only.
impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Rules::Fixed(offset) => {
                write!(f, "Zone({})", Offset::from_seconds(clamp(*offset)).unwrap_or(Offset::UTC))
            }
            Rules::Known(zone) => write!(f, "Zone({})", zone.iana_name().unwrap_or("?")),
            Rules::Written(_) => f.write_str("Zone(VTIMEZONE)"),
        }
    }
}

fn clamp(offset: i64) -> i32 {
    i32::try_from(offset).unwrap_or_default()
}

/// A TZID without the quotes and blanks that clients put around it.
fn bare(tzid: &str) -> &str {
    tzid.trim().trim_matches('"').trim()
}

/// What zones mean to one question: the calendar's own zone, in which floating and all-day values
/// are (CAL-20), and the VTIMEZONEs met so far, since a client writes the same into each object.
pub struct Zones {
    calendar: Zone,
    written: Mutex<HashMap<Box<[u8]>, Option<Zone>>>,
}

impl Zones {
    /// For a calendar whose floating and all-day values are in `calendar`: the request's zone, else
    /// the collection's `calendar-timezone`, else UTC.
    pub fn new(calendar: Zone) -> Self {
        Self { calendar, written: Mutex::default() }
    }

    /// The zone of floating and all-day values.
    pub fn calendar(&self) -> &Zone {
        &self.calendar
    }

    /// The zones of one object, a VCALENDAR.
    pub fn of<'z>(&'z self, object: &'z Component<'z>) -> ObjectZones<'z> {
        ObjectZones::new(self, object)
    }

    fn written(&self, vtimezone: &Component<'_>) -> Option<Zone> {
        if vtimezone.octets.len() > KEPT_OCTETS {
            return Zone::written(vtimezone);
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = written.get(vtimezone.octets) {
            return zone.clone();
        }
        if written.len() >= KEPT {
            written.clear();
        }
        let zone = Zone::written(vtimezone);
        written.insert(vtimezone.octets.into(), zone.clone());
        zone
    }
}

/// The zones that one object's TZIDs mean.
pub struct ObjectZones<'z> {
    zones: &'z Zones,
    /// The object's VTIMEZONEs by their TZIDs.
    own: Vec<(String, &'z Component<'z>)>,
    /// TZIDs that were resolved: an object names one or two.
    met: RefCell<Vec<(String, Zone)>>,
}

impl<'z> ObjectZones<'z> {
    /// How many zones an object may name; what it names beyond them is in the calendar's.
    const MOST: usize = 64;

    fn new(zones: &'z Zones, object: &'z Component<'z>) -> Self {
        let tzid = |vtimezone: &'z Component<'z>| {
            let tzid = vtimezone.property("TZID")?.text();
            Some((bare(&tzid).to_owned(), vtimezone))
        };
        let own = object.children.iter().filter(|c| c.is("VTIMEZONE")).take(Self::MOST).filter_map(tzid);
        Self { zones, own: own.collect(), met: RefCell::default() }
    }

    /// The zone of floating and all-day values.
    pub fn calendar(&self) -> &'z Zone {
        &self.zones.calendar
    }

    /// The zone that a property's TZID names, where it has one.
    pub fn of_property(&self, property: &Prop<'_>) -> Option<Zone> {
        property.parameter("TZID").map(|tzid| self.resolve(&tzid))
    }

    /// The zone of a TZID: the object's own VTIMEZONE, else the one of that name, else the
    /// calendar's (ICAL-4).
    pub fn resolve(&self, tzid: &str) -> Zone {
        let tzid = bare(tzid);
        if let Some((_, zone)) = self.met.borrow().iter().find(|(known, _)| known == tzid) {
            return zone.clone();
        }
        let mut met = self.met.borrow_mut();
        if met.len() >= Self::MOST {
            return self.zones.calendar.clone();
        }
        let own = self.own.iter().find(|(own, _)| own.eq_ignore_ascii_case(tzid));
        let zone = own
            .and_then(|(_, vtimezone)| self.zones.written(vtimezone))
            .or_else(|| Zone::named(tzid))
            .unwrap_or_else(|| self.zones.calendar.clone());
        met.push((tzid.to_owned(), zone.clone()));
        zone
    }
}

#[cfg(test)]
mod tests;
