//! The form in which reports give calendar objects. RFC 4791 §9.6 (CAL-34 to CAL-38).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::ical::Limits;
use crate::domain::ical::expand::{expand, limit_freebusy_set, limit_recurrence_set};
use crate::domain::ical::overlap::Range;
use crate::domain::ical::select::{SelectedComponent, select};
use crate::domain::ical::timezones::{with_timezones, without_timezones};
use crate::domain::ical::tree::{Component, parse};
use crate::domain::ical::zone::{Zone, Zones};
use crate::service::view::{CollectionView, ObjectView};

use super::super::xml::request::CalendarData;

/// How many instances of one object an answer holds.
const INSTANCES: usize = 10_000;

/// The form in which a report gives objects.
#[derive(Clone)]
pub struct CalendarForm {
    data: CalendarData,
    /// The request's time zone.
    zone: Option<Zone>,
    /// What the zones that objects write out mean, worked out once for an answer.
    known: Option<Arc<Zones>>,
    timezones: Timezones,
}

/// What becomes of standard VTIMEZONEs (`CalDAV-Timezones`, RFC 7809 §7.1; TZ-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timezones {
    /// They are given as they are stored.
    #[default]
    AsStored,
    /// Those that are missing are added, for clients that know no zones by their names.
    Added,
    /// They are left out.
    LeftOut,
}

impl std::fmt::Debug for CalendarForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.data.fmt(f)
    }
}

/// The request wants objects in a form that this server does not have (`supported-calendar-data`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("calendar objects are not available in that form")]
pub struct BadCalendarData;

impl CalendarForm {
    /// The form that `data` names; `zone` is the request's own, in which floating times are.
    pub fn of(
        data: &CalendarData,
        zone: Option<Zone>,
        timezones: Timezones,
    ) -> Result<Self, BadCalendarData> {
        let kind = data.content_type.as_deref().unwrap_or("text/calendar");
        let bare = kind.split(';').next().unwrap_or_default().trim_ascii();
        let known_version = matches!(data.version.as_deref(), None | Some("2.0"));
        if !bare.eq_ignore_ascii_case("text/calendar") || !known_version {
            return Err(BadCalendarData);
        }
        let known = zone.clone().map(|zone| Arc::new(Zones::new(zone)));
        Ok(Self { data: data.clone(), zone, known, timezones })
    }

    /// Whole objects, with or without their time zones.
    pub fn with(timezones: Timezones) -> Self {
        Self { data: CalendarData::default(), zone: None, known: None, timezones }
    }

    /// The object in that form; one that cannot be read is given as it is stored.
    pub fn text(&self, calendar: &CollectionView, object: &ObjectView) -> Bytes {
        let stored = object.body.clone().unwrap_or_default();
        if self.data.is_whole() && self.timezones == Timezones::AsStored {
            return stored;
        }
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let mut octets = Cow::Borrowed(stored.as_ref());
        let mut step = |change: &dyn Fn(&Component<'_>) -> Option<Vec<u8>>| {
            let changed = parse(&octets, &limits).ok().and_then(|parsed| change(&parsed));
            if let Some(changed) = changed {
                octets = Cow::Owned(changed);
            }
        };
        let own;
        let zones: &Zones = match &self.known {
            Some(zones) => zones,
            None => {
                own = Zones::new(calendar.zone().or_else(|| self.zone.clone()).unwrap_or(Zone::UTC));
                &own
            }
        };
        if let Some(range) = &self.data.expand {
            step(&|parsed| Some(expand(parsed, range, INSTANCES, zones).octets));
        }
        if let Some(range) = &self.data.limit_recurrence_set {
            step(&|parsed| limit_recurrence_set(parsed, range, zones));
        }
        if let Some(range) = &self.data.limit_freebusy_set {
            step(&|parsed| limit_freebusy_set(parsed, range));
        }
        match self.timezones {
            Timezones::Added => step(&|parsed| with_timezones(parsed, year_of(object))),
            Timezones::LeftOut => step(&without_timezones),
            Timezones::AsStored => {}
        }
        if let Some(component) = &self.data.component {
            step(&|parsed| Some(take(parsed, component)));
        }
        match octets {
            Cow::Owned(octets) => octets.into(),
            Cow::Borrowed(_) => stored,
        }
    }
}

fn take(parsed: &Component<'_>, component: &SelectedComponent) -> Vec<u8> {
    select(parsed, component)
}

/// The year in which an object was last written: its zones are told up to some years after it.
fn year_of(object: &ObjectView) -> i16 {
    object.modified.to_zoned(jiff::tz::TimeZone::UTC).year()
}

impl CalendarData {
    /// Whether objects are wanted as they are.
    pub fn is_whole(&self) -> bool {
        let none: [&Option<Range>; 3] = [&self.expand, &self.limit_recurrence_set, &self.limit_freebusy_set];
        self.component.is_none() && none.iter().all(|range| range.is_none())
    }
}
