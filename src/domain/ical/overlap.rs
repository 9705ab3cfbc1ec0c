//! Whether a component or a property overlaps a time range: the tables of RFC 4791 §9.9 (CAL-27 to
//! CAL-33) and of RFC 7953 §7.2.2. What recurs overlaps where one of its instances does; what
//! cannot be told within the budget overlaps, since a client can leave out what it is given, but
//! cannot know what it is not (CAL-42).

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::instances::{Moment, Object, Occurrence, Series, Span};
use super::time::{DAY, Form, Length, Period, PeriodEnd, Stamp};
use super::tree::Component;
use super::zone::{Zone, Zones};

/// A time range: `start` is in it, `end` is not; one that is missing is without bound (CAL-27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// The first instant.
    pub start: Option<Timestamp>,
    /// The first instant after it.
    pub end: Option<Timestamp>,
}

/// Whether `component` overlaps `range`. `object` is the VCALENDAR, `parents` are the components
/// between the two, the outermost first: none for a VEVENT, the VEVENT for a VALARM. Who asks
/// several questions about one object asks one [`Object`] with [`component_overlaps`].
pub fn overlaps(
    object: &Component<'_>,
    component: &Component<'_>,
    parents: &[&Component<'_>],
    range: &Range,
    zones: &Zones,
) -> bool {
    component_overlaps(&Object::new(object, zones), component, parents, range)
}

/// Whether a component of `object` overlaps `range`; see [`overlaps`].
pub fn component_overlaps<'o, 'a>(
    object: &Object<'o, 'a>,
    component: &'o Component<'a>,
    parents: &[&'o Component<'a>],
    range: &Range,
) -> bool {
    let bounds = bounds(range);
    match parents.last() {
        Some(parent) if component.is("VALARM") => alarm_overlaps(object, parent, component, bounds),
        Some(_) => false,
        None if component.is("VFREEBUSY") => busy_overlaps(object, component, bounds),
        None if component.is("VAVAILABILITY") => availability_overlaps(object, component, bounds),
        None if ["VEVENT", "VTODO", "VJOURNAL"].iter().any(|kind| component.is(kind)) => {
            match object.series(component) {
                Some(series) => {
                    any(object, component, series.starts_for(bounds), &mut |series, occurrence| {
                        instance_overlaps(series, occurrence, bounds)
                    })
                }
                None => component.is("VTODO") && dateless_task_overlaps(object, component, bounds),
            }
        }
        None => false,
    }
}

/// Whether a property of a component is in `range` (CAL-32): DTSTART, DTEND and DUE of any
/// instance, where DURATION may stand for the latter two; COMPLETED, CREATED and other dates as
/// they are.
pub fn property_overlaps<'o, 'a>(
    object: &Object<'o, 'a>,
    component: &'o Component<'a>,
    name: &str,
    range: &Range,
) -> bool {
    let bounds = bounds(range);
    let named = |other: &str| name.eq_ignore_ascii_case(other);
    let is_end = (named("DTEND") && !component.is("VTODO")) || (named("DUE") && component.is("VTODO"));
    let recurs = ["VEVENT", "VTODO", "VJOURNAL"].iter().any(|kind| component.is(kind));
    if let Some(series) = object.series(component).filter(|_| recurs && (is_end || named("DTSTART"))) {
        let has = if is_end {
            series.has_end || (series.has_duration && series.has_start)
        } else {
            series.has_start
        };
        return has
            && any(object, component, series.starts_for(bounds), &mut |_, occurrence| {
                is_in(bounds, if is_end { occurrence.end } else { occurrence.start })
            });
    }
    let moments = component.all(name).filter_map(|property| Moment::of(property, &object.zones, None));
    moments.take(1000).any(|moment| is_in(bounds, moment.seconds()))
}

/// A range in seconds since 1970: the first one, and the first one after it.
pub(super) fn bounds(range: &Range) -> (i64, i64) {
    // A start between two seconds leaves the first of them out.
    let up = |at: Timestamp| at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    (range.start.map_or(i64::MIN, up), range.end.map_or(i64::MAX, up))
}

/// The rows for what has a start: VEVENT, VJOURNAL and AVAILABLE, and five of the eight of VTODO.
pub(super) fn instance_overlaps(
    series: &Series<'_, '_>,
    occurrence: &Occurrence,
    bounds: (i64, i64),
) -> bool {
    let (from, to) = bounds;
    let (start, end) = (occurrence.start, occurrence.end);
    if !series.component.is("VTODO") {
        return if end > start { from < end && to > start } else { from <= start && to > start };
    }
    match (series.has_start, series.has_end, series.has_duration) {
        (true, true, _) => (from < end || from <= start) && (to > start || to >= end),
        (true, false, true) => from <= end && (to > start || to >= end),
        (true, false, false) => from <= start && to > start,
        // DUE alone: the occurrence begins and ends there.
        (false, ..) => from < end && to >= end,
    }
}

/// Whether some occurrence that begins in `starts` is what is looked for, or nobody can tell.
fn any<'o, 'a>(
    object: &Object<'o, 'a>,
    component: &'o Component<'a>,
    starts: (i64, i64),
    wanted: &mut dyn FnMut(&Series<'o, 'a>, &Occurrence) -> bool,
) -> bool {
    let found = object.visit(component, starts, &mut |series, occurrence| {
        if wanted(series, &occurrence) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found.is_break() || object.budget().is_spent()
}

/// The three rows of a VTODO without DTSTART and DUE.
fn dateless_task_overlaps(
    object: &Object<'_, '_>,
    component: &Component<'_>,
    (from, to): (i64, i64),
) -> bool {
    let (completed, created) = (moment(object, component, "COMPLETED"), moment(object, component, "CREATED"));
    match (completed, created) {
        (Some(completed), Some(created)) => {
            (from <= created || from <= completed) && (to >= created || to >= completed)
        }
        (Some(completed), None) => from <= completed && to >= completed,
        (None, Some(created)) => to > created,
        (None, None) => true,
    }
}

fn busy_overlaps(object: &Object<'_, '_>, component: &Component<'_>, (from, to): (i64, i64)) -> bool {
    let (start, end) = (moment(object, component, "DTSTART"), moment(object, component, "DTEND"));
    if let (Some(start), Some(end)) = (start, end) {
        return from <= end && to > start;
    }
    busy_periods(object, component).any(|(start, end)| from < end && to > start)
}

/// The periods of FREEBUSY, whose times are in UTC (RFC 5545 §3.8.2.6).
fn busy_periods(object: &Object<'_, '_>, component: &Component<'_>) -> impl Iterator<Item = (i64, i64)> {
    let values = component.all("FREEBUSY").map(|property| property.raw_value().into_owned());
    let mut periods = Vec::new();
    for value in values {
        for item in value.split(',') {
            if !object.budget().spend(4) {
                // Nobody can tell: all time.
                periods.push((i64::MIN, i64::MAX));
                return periods.into_iter();
            }
            let Some(period) = Period::parse(item) else { continue };
            let seconds = |stamp: Stamp| match stamp.form {
                Form::Utc => stamp.civil.0,
                _ => object.zones.calendar().seconds(stamp.civil),
            };
            let start = seconds(period.start);
            let end = match period.end {
                PeriodEnd::At(stamp) => seconds(stamp),
                PeriodEnd::After(length) => start.saturating_add(length.about()),
            };
            periods.push((start, end));
        }
    }
    periods.into_iter()
}

/// RFC 7953 §7.2.2.
fn availability_overlaps(object: &Object<'_, '_>, component: &Component<'_>, (from, to): (i64, i64)) -> bool {
    let (start, end) = availability(object, component);
    from < end && to > start
}

/// From when to when a VAVAILABILITY says something.
fn availability(object: &Object<'_, '_>, component: &Component<'_>) -> (i64, i64) {
    let start = moment(object, component, "DTSTART");
    let length = || component.property("DURATION").and_then(|p| Length::parse(&p.raw_value()));
    let end = moment(object, component, "DTEND").or_else(|| Some(start?.saturating_add(length()?.about())));
    (start.unwrap_or(i64::MIN), end.unwrap_or(i64::MAX))
}

fn moment(object: &Object<'_, '_>, component: &Component<'_>, name: &str) -> Option<i64> {
    component.property(name).and_then(|p| Moment::of(p, &object.zones, None)).map(|moment| moment.seconds())
}

/// When an alarm goes off.
struct Alarm {
    trigger: Trigger,
    /// How many times more, and how many seconds apart.
    repeat: i64,
    every: i64,
}

enum Trigger {
    At(i64),
    Around { end: bool, by: Length },
}

impl Alarm {
    fn of(object: &Object<'_, '_>, alarm: &Component<'_>) -> Option<Self> {
        let property = alarm.property("TRIGGER")?;
        let trigger = match Length::parse(&property.raw_value()) {
            Some(by) => {
                let related = property.parameter("RELATED");
                Trigger::Around { end: related.is_some_and(|r| r.trim().eq_ignore_ascii_case("END")), by }
            }
            None => Trigger::At(Moment::of(property, &object.zones, None)?.seconds()),
        };
        let text = |name| alarm.property(name).map(|p| p.raw_value());
        let every = text("DURATION").and_then(|text| Length::parse(&text)).map_or(0, Length::about);
        let repeat = text("REPEAT").and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let repeat = if every > 0 { i64::clamp(repeat, 0, 1 << 40) } else { 0 };
        Some(Self { trigger, repeat, every: every.max(1) })
    }

    /// When it first goes off for an occurrence.
    fn first(&self, zone: &Zone, occurrence: &Occurrence) -> i64 {
        match self.trigger {
            Trigger::At(at) => at,
            Trigger::Around { end, by } => {
                let base = if end { occurrence.end } else { occurrence.start };
                if by.days == 0 {
                    return base.saturating_add(by.seconds);
                }
                let shown = zone.civil(super::zone::timestamp(base));
                zone.seconds(shown.plus(by.days.saturating_mul(DAY))).saturating_add(by.seconds)
            }
        }
    }

    /// How long it goes on after it first went off.
    fn goes_on(&self) -> i64 {
        self.repeat.saturating_mul(self.every)
    }

    /// Whether one of the times it goes off is in the range (CAL-31).
    fn goes_off(&self, first: i64, (from, to): (i64, i64)) -> bool {
        let missed = from.saturating_sub(first).max(0);
        let times = missed / self.every + i64::from(missed % self.every != 0);
        times <= self.repeat && first.saturating_add(times.saturating_mul(self.every)) < to
    }

    /// How long before and after the begin of an occurrence of the series it may go off.
    fn reach(&self, series: &Series<'_, '_>) -> (i64, i64) {
        match self.trigger {
            Trigger::At(_) => (i64::MIN, i64::MAX),
            Trigger::Around { end, by } => {
                let slack = if by.days == 0 { 0 } else { DAY };
                let longest = if end { series.longest() } else { 0 };
                let last = by.about().saturating_add(longest).saturating_add(slack);
                (by.about() - slack, last.saturating_add(self.goes_on()))
            }
        }
    }
}

fn alarm_overlaps<'o, 'a>(
    object: &Object<'o, 'a>,
    parent: &'o Component<'a>,
    alarm: &Component<'_>,
    bounds: (i64, i64),
) -> bool {
    let Some(alarm) = Alarm::of(object, alarm) else { return false };
    if let Trigger::At(at) = alarm.trigger {
        return alarm.goes_off(at, bounds);
    }
    let Some(series) = object.series(parent) else { return false };
    let (before, after) = alarm.reach(&series);
    let starts = (bounds.0.saturating_sub(after), bounds.1.saturating_sub(before));
    any(object, parent, starts, &mut |series, occurrence| {
        alarm.goes_off(alarm.first(&series.start.zone, occurrence), bounds)
    })
}

fn is_in((from, to): (i64, i64), at: i64) -> bool {
    from <= at && to > at
}

/// What a range must touch so that a component can overlap it.
pub(super) fn span_of<'o, 'a>(object: &Object<'o, 'a>, component: &'o Component<'a>) -> Option<Span> {
    if component.is("VFREEBUSY") {
        let (start, end) = (moment(object, component, "DTSTART"), moment(object, component, "DTEND"));
        let whole = start.zip(end);
        let periods = busy_periods(object, component).chain(whole);
        let both = periods.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        return both.map(|(first, last)| Span::of(first, (last < i64::MAX).then_some(last)));
    }
    if component.is("VAVAILABILITY") {
        let (start, end) = availability(object, component);
        return Some(Span::of(start, (end < i64::MAX).then_some(end)));
    }
    if !["VEVENT", "VTODO", "VJOURNAL"].iter().any(|kind| component.is(kind)) {
        return None;
    }
    let Some(series) = object.series(component) else {
        return component.is("VTODO").then_some(Span::ALWAYS);
    };
    let (first, last) = extent(object, component, &series);
    Some(Span::of(first, last.map(|last| last.saturating_add(series.longest()))))
}

/// The same for an alarm of a component.
pub(super) fn span_of_alarm<'o, 'a>(
    object: &Object<'o, 'a>,
    parent: &'o Component<'a>,
    alarm: &Component<'_>,
) -> Option<Span> {
    let alarm = Alarm::of(object, alarm)?;
    if let Trigger::At(at) = alarm.trigger {
        return Some(Span::of(at, Some(at.saturating_add(alarm.goes_on()))));
    }
    let series = object.series(parent)?;
    let (before, after) = alarm.reach(&series);
    let (first, last) = extent(object, parent, &series);
    Some(Span::of(first.saturating_add(before), last.map(|last| last.saturating_add(after))))
}

fn extent<'o, 'a>(
    object: &Object<'o, 'a>,
    component: &'o Component<'a>,
    series: &Series<'o, 'a>,
) -> (i64, Option<i64>) {
    let master = object.master_of(component);
    series.extent(master.as_deref(), &mut object.budget())
}

#[cfg(test)]
mod tests;
