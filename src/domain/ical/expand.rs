//! A recurring object cut to a time range (RFC 4791 §9.6.5 to §9.6.7): as instances in UTC
//! (CAL-35, CAL-38), as the master with the overrides that matter (CAL-36), and free-busy values
//! (CAL-37). What is not a date keeps its octets.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Kind;
use super::edit::Edits;
use super::instances::{Instance, Moment, Object};
use super::overlap::{Range, bounds, component_overlaps};
use super::time::{Civil, Form, Length, Period, PeriodEnd, Stamp};
use super::tree::{Component, Part, Prop};
use super::zone::{Zone, Zones};
use crate::domain::vcard::write::Writer;

/// The instances of an object.
#[derive(Debug)]
pub struct Expanded {
    /// A VCALENDAR with a component for each instance.
    pub octets: Vec<u8>,
    /// Whether these are all: `false` where there are more than were asked for, or more than the
    /// object's budget tells.
    pub complete: bool,
}

/// What makes components recur, and the dates that an instance has of its own.
const OWN: [&str; 9] =
    ["RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID", "DTSTART", "DTEND", "DUE", "DURATION"];

/// Where the writing of instances ends: a hostile object makes ten thousand of its attachment.
const LARGEST: usize = 16 << 20;

/// CAL-35: each instance that overlaps `range` as a component of its own, at most `most` of them:
/// without rules, with a RECURRENCE-ID where it recurs, local times in UTC and no VTIMEZONE. Days
/// stay days and floating times stay floating, since they are in no zone. A task or an event that
/// does not recur is there when it overlaps; availability is given as it is, for its AVAILABLEs
/// cannot be told without their rules.
pub fn expand(calendar: &Component<'_>, range: &Range, most: usize, zones: &Zones) -> Expanded {
    if calendar.components(Kind::Availability.word()).next().is_some() {
        return Expanded { octets: calendar.octets.to_vec(), complete: true };
    }
    let object = Object::new(calendar, zones);
    let found = object.instances(range, most);
    let mut out = calendar.begin().octets().to_vec();
    for part in calendar.parts() {
        match part {
            Part::Property(property) => out.extend_from_slice(property.octets()),
            // A task without dates has no instances and may overlap all the same (CAL-29).
            Part::Component(child) if Kind::of(child).is_some() => {
                if object.series(child).is_none() && component_overlaps(&object, child, &[], range) {
                    in_utc(child, &object, &mut out);
                }
            }
            Part::Component(child) if child.is("VTIMEZONE") => {}
            Part::Component(child) => out.extend_from_slice(child.octets),
        }
    }
    let mut complete = found.complete;
    let mut bodies: HashMap<usize, Vec<u8>> = HashMap::new();
    for instance in &found.list {
        if out.len() > LARGEST {
            complete = false;
            break;
        }
        let component = instance.component;
        out.extend_from_slice(component.begin().octets());
        dates(instance, &mut out);
        out.extend_from_slice(bodies.entry(component.at()).or_insert_with(|| body(component, &object)));
        out.extend_from_slice(component.end());
    }
    out.extend_from_slice(calendar.end());
    Expanded { octets: out, complete }
}

/// The dates of one instance.
fn dates(instance: &Instance<'_, '_>, out: &mut Vec<u8>) {
    let component = instance.component;
    let end_name = if component.is("VTODO") { "DUE" } else { "DTEND" };
    let length = component.property("DURATION");
    // A DURATION still says how long this instance lasts, unless a period or the clocks say else.
    let lasts = instance.end.as_second() - instance.start.as_second();
    let says = |length: &&Prop<'_>| Length::parse(&length.raw_value()).is_some_and(|l| l.about() == lasts);
    let kept = length.filter(says);
    let mut writer = Writer::default();
    // An override without DTSTART begins where it was planned; a task may have a DUE only.
    if component.property("DTSTART").is_some() || !component.is("VTODO") {
        writer.raw(&dated("DTSTART", instance.local.0, instance.start, instance.form));
    }
    if component.property(end_name).is_some() || (length.is_some() && kept.is_none()) {
        writer.raw(&dated(end_name, instance.local.1, instance.end, instance.form));
    }
    if let Some(planned) = &instance.recurrence_id {
        writer.raw(&dated("RECURRENCE-ID", planned.civil, planned.instant(), planned.form));
    }
    out.extend_from_slice(&writer.finish());
    out.extend_from_slice(kept.map(Prop::octets).unwrap_or_default());
}

/// What all instances of a component have in common.
fn body(component: &Component<'_>, object: &Object<'_, '_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(component.octets.len());
    for part in component.parts() {
        match part {
            Part::Property(property) if OWN.iter().any(|name| property.is(name)) => {}
            Part::Property(property) => property_in_utc(property, object, &mut out),
            Part::Component(child) => in_utc(child, object, &mut out),
        }
    }
    out
}

/// A date as its property has it: the day, the floating time, or the instant in UTC.
fn dated(name: &str, local: Civil, instant: Timestamp, form: Form) -> String {
    match form {
        Form::Date => format!("{name};VALUE=DATE:{}", local.datetime().strftime("%Y%m%d")),
        Form::Floating => format!("{name}:{}", local.datetime().strftime("%Y%m%dT%H%M%S")),
        Form::Utc | Form::Zoned => format!("{name}:{}", instant.strftime("%Y%m%dT%H%M%SZ")),
    }
}

/// A component with the local times of its properties in UTC.
fn in_utc(component: &Component<'_>, object: &Object<'_, '_>, out: &mut Vec<u8>) {
    out.extend_from_slice(component.begin().octets());
    for part in component.parts() {
        match part {
            Part::Property(property) => property_in_utc(property, object, out),
            Part::Component(child) => in_utc(child, object, out),
        }
    }
    out.extend_from_slice(component.end());
}

/// A property whose TZID, where it has one, and local times have given way to UTC. A value that is
/// no time keeps its octets.
fn property_in_utc(property: &Prop<'_>, object: &Object<'_, '_>, out: &mut Vec<u8>) {
    let values = || property.raw_value().split(',').map(Stamp::parse).collect::<Option<Vec<Stamp>>>();
    let Some((zone, stamps)) = object.zones.of_property(property).and_then(|zone| Some((zone, values()?)))
    else {
        return out.extend_from_slice(property.octets());
    };
    let mut line = String::from_utf8_lossy(property.name()).into_owned();
    for parameter in property.all_parameters().iter().filter(|parameter| !parameter.is("TZID")) {
        line.push(';');
        line.push_str(parameter.raw().unwrap_or_default());
    }
    for (index, stamp) in stamps.iter().enumerate() {
        line.push(if index == 0 { ':' } else { ',' });
        let (zone, form) = match stamp.form {
            Form::Utc => (&Zone::UTC, Form::Utc),
            Form::Date => (&zone, Form::Date),
            _ => (&zone, Form::Zoned),
        };
        let value = dated("", stamp.civil, zone.instant(stamp.civil), form);
        line.push_str(value.rsplit(':').next().unwrap_or_default());
    }
    let mut writer = Writer::default();
    writer.raw(&line);
    out.extend_from_slice(&writer.finish());
}

/// CAL-36: the object without the overrides that have nothing to do with `range`: neither they nor
/// what they stand for overlap it, and they say nothing about what follows them. `None` where all
/// of them do. What cannot be told stays.
pub fn limit_recurrence_set(calendar: &Component<'_>, range: &Range, zones: &Zones) -> Option<Vec<u8>> {
    let object = Object::new(calendar, zones);
    let mut edits = Edits::default();
    for component in calendar.children.iter().filter(|child| Kind::of(child).is_some()) {
        let Some(planned) = component.property("RECURRENCE-ID") else { continue };
        let matters = planned.parameter("RANGE").is_some()
            || component_overlaps(&object, component, &[], range)
            || was_in(component, planned, &object, range);
        if !matters {
            edits.replace(component.at() - calendar.at(), component.octets.len(), Vec::new());
        }
    }
    (!edits.is_empty()).then(|| edits.apply(calendar.octets))
}

/// Whether the instance that an override stands for was in the range: as long as the master's, or
/// as the override itself where there is no master.
fn was_in(component: &Component<'_>, planned: &Prop<'_>, object: &Object<'_, '_>, range: &Range) -> bool {
    let (from, to) = bounds(range);
    let master = object.master_of(component);
    let beside = master.as_ref().map(|master| master.start.clone());
    let Some(planned) = Moment::of(planned, &object.zones, beside.as_ref()) else { return true };
    let lasts = master.map_or(0, |master| master.longest());
    let start = planned.seconds();
    start < to && (start >= from || start.saturating_add(lasts) > from)
}

/// CAL-37: the object with those values only of FREEBUSY that overlap `range`; `None` where all do.
/// What is no period stays.
pub fn limit_freebusy_set(calendar: &Component<'_>, range: &Range) -> Option<Vec<u8>> {
    let (from, to) = bounds(range);
    let overlaps = |value: &&str| {
        let Some(period) = Period::parse(value.trim()) else { return true };
        let start = Zone::UTC.seconds(period.start.civil);
        let end = match period.end {
            PeriodEnd::At(end) => Zone::UTC.seconds(end.civil),
            PeriodEnd::After(length) => start.saturating_add(length.about()),
        };
        start < to && (end > from || start >= from)
    };
    let mut edits = Edits::default();
    for busy in calendar.components("VFREEBUSY") {
        for property in busy.all("FREEBUSY") {
            let value = property.raw_value();
            let kept: Vec<&str> = value.split(',').filter(overlaps).collect();
            if kept.len() == value.split(',').count() {
                continue;
            }
            let head =
                String::from_utf8_lossy(property.line().strip_suffix(property.value()).unwrap_or_default());
            let mut writer = Writer::default();
            if !kept.is_empty() {
                writer.raw(&format!("{head}{}", kept.join(",")));
            }
            edits.replace(property.at() - calendar.at(), property.octets().len(), writer.finish());
        }
    }
    (!edits.is_empty()).then(|| edits.apply(calendar.octets))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Limits;
    use super::super::tree::{parse, tests::fragments};
    use super::*;

    const FRAME: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n";
    const ZONE: &str = "BEGIN:VTIMEZONE\r\nTZID:US/Eastern\r\nBEGIN:STANDARD\r\nDTSTART:20001029T020000\r\nTZOFFSETFROM:-0400\r\nTZOFFSETTO:-0500\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
    const MASTER: &str = "BEGIN:VEVENT\r\nUID:2\r\nDTSTART;TZID=US/Eastern:20060102T120000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=5\r\nSUMMARY:Event\r\n  #2\r\nEND:VEVENT\r\n";
    const OVERRIDE: &str = "BEGIN:VEVENT\r\nUID:2\r\nDTSTART;TZID=US/Eastern:20060104T140000\r\nDURATION:PT1H\r\nRECURRENCE-ID;TZID=US/Eastern:20060104T120000\r\nSUMMARY:Event #2 bis\r\nEND:VEVENT\r\n";
    const OTHER: &str = "BEGIN:VEVENT\r\nUID:2\r\nDTSTART;TZID=US/Eastern:20060106T140000\r\nDURATION:PT1H\r\nRECURRENCE-ID;TZID=US/Eastern:20060106T120000\r\nEND:VEVENT\r\n";

    fn range(from: &str, to: &str) -> Range {
        Range { start: Some(from.parse().unwrap()), end: Some(to.parse().unwrap()) }
    }

    fn calendar(components: &[&str]) -> String {
        format!("{FRAME}{}END:VCALENDAR\r\n", components.concat())
    }

    fn expanded(text: &str, range: &Range) -> String {
        let calendar = parse(text.as_bytes(), &Limits::default()).unwrap();
        let expanded = expand(&calendar, range, 100, &Zones::new(Zone::named("Europe/Berlin").unwrap()));
        assert!(expanded.complete);
        String::from_utf8(expanded.octets).unwrap()
    }

    /// CAL-35: RFC 4791 §7.8.3.
    #[test]
    fn cal_35_the_example_of_the_rfc() {
        let two_days = range("2006-01-03T00:00:00Z", "2006-01-05T00:00:00Z");
        let third = "BEGIN:VEVENT\r\nDTSTART:20060103T170000Z\r\nRECURRENCE-ID:20060103T170000Z\r\nDURATION:PT1H\r\nUID:2\r\nSUMMARY:Event\r\n  #2\r\nEND:VEVENT\r\n";
        let fourth = "BEGIN:VEVENT\r\nDTSTART:20060104T190000Z\r\nRECURRENCE-ID:20060104T170000Z\r\nDURATION:PT1H\r\nUID:2\r\nSUMMARY:Event #2 bis\r\nEND:VEVENT\r\n";
        assert_eq!(expanded(&calendar(&[ZONE, MASTER, OVERRIDE]), &two_days), calendar(&[third, fourth]));
    }

    /// CAL-35: ends, days, floating times, tasks, what does not recur, other dates in a zone.
    #[test]
    fn cal_35_every_form() {
        let january = range("2026-01-01T00:00:00Z", "2026-01-03T12:00:00Z");
        let one = |kind: &str, lines: &str| {
            expanded(&calendar(&[&format!("BEGIN:{kind}\r\nUID:1\r\n{lines}END:{kind}\r\n")]), &january)
        };
        let is =
            |kind: &str, dates: &str| calendar(&[&format!("BEGIN:{kind}\r\n{dates}UID:1\r\nEND:{kind}\r\n")]);
        assert_eq!(
            one(
                "VEVENT",
                "DTSTART;TZID=Europe/Berlin:20260101T100000\r\nDTEND;TZID=America/New_York:20260101T100000\r\n"
            ),
            is("VEVENT", "DTSTART:20260101T090000Z\r\nDTEND:20260101T150000Z\r\n")
        );
        assert_eq!(
            one(
                "VEVENT",
                "DTSTART;VALUE=DATE:20260103\r\nDTEND;VALUE=DATE:20260105\r\nRRULE:FREQ=YEARLY\r\n"
            ),
            is(
                "VEVENT",
                "DTSTART;VALUE=DATE:20260103\r\nDTEND;VALUE=DATE:20260105\r\nRECURRENCE-ID;VALUE=DATE:20260103\r\n"
            )
        );
        assert_eq!(
            one(
                "VEVENT",
                "DTSTART:20251201T100000\r\nDTEND:20251201T103000\r\nRRULE:FREQ=MONTHLY\r\nEXDATE:20260201T100000\r\n"
            ),
            is(
                "VEVENT",
                "DTSTART:20260101T100000\r\nDTEND:20260101T103000\r\nRECURRENCE-ID:20260101T100000\r\n"
            )
        );
        assert_eq!(
            one("VTODO", "DUE;TZID=Europe/Berlin:20260101T100000\r\n"),
            is("VTODO", "DUE:20260101T090000Z\r\n")
        );
        assert_eq!(
            one("VTODO", "SUMMARY:x\r\n"),
            calendar(&["BEGIN:VTODO\r\nUID:1\r\nSUMMARY:x\r\nEND:VTODO\r\n"])
        );
        assert_eq!(one("VEVENT", "DTSTART:20270101T100000Z\r\n"), calendar(&[]));
        assert_eq!(one("VJOURNAL", "SUMMARY:x\r\n"), calendar(&[]));
        let odd = one(
            "VEVENT",
            "DTSTART:20260101T100000Z\r\nX-AT;TZID=Europe/Berlin;X=\"a:b\":20260101T100000,20260701T100000\r\nX-ODD;TZID=Europe/Berlin:soon\r\n",
        );
        assert!(odd.contains("X-AT;X=\"a:b\":20260101T090000Z,20260701T080000Z\r\n"));
        assert!(odd.contains("X-ODD;TZID=Europe/Berlin:soon\r\n"));
    }

    #[test]
    fn cal_35_periods_and_bounds() {
        let january = range("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        let rdate = calendar(&[
            "BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260101T100000Z\r\nDURATION:PT1H\r\nRDATE;VALUE=PERIOD:20260102T100000Z/PT3H\r\nEND:VEVENT\r\n",
        ]);
        assert!(expanded(&rdate, &january).contains(
            "DTSTART:20260102T100000Z\r\nDTEND:20260102T130000Z\r\nRECURRENCE-ID:20260102T100000Z\r\nUID:1\r\n"
        ));
        let hourly = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260101T100000Z\r\nRRULE:FREQ=HOURLY\r\n";
        let text = calendar(&[hourly, "END:VEVENT\r\n"]);
        let parsed = parse(text.as_bytes(), &Limits::default()).unwrap();
        let few = expand(&parsed, &january, 10, &Zones::new(Zone::UTC));
        assert_eq!(
            (few.complete, String::from_utf8(few.octets).unwrap().matches("BEGIN:VEVENT").count()),
            (false, 10)
        );
        let text = calendar(&[hourly, "ATTACH:", &"x".repeat(2 << 20), "\r\nEND:VEVENT\r\n"]);
        let parsed = parse(text.as_bytes(), &Limits::default()).unwrap();
        let large = expand(&parsed, &january, 1000, &Zones::new(Zone::UTC));
        assert!(!large.complete && large.octets.len() < 20 << 20);
    }

    /// CAL-36: RFC 4791 §7.8.2, and overrides that moved out of the range or into it.
    #[test]
    fn cal_36_overrides_that_matter() {
        let text = calendar(&[ZONE, MASTER, OVERRIDE, OTHER]);
        let parsed = parse(text.as_bytes(), &Limits::default()).unwrap();
        let limited = |from: &str, to: &str| {
            let octets = limit_recurrence_set(&parsed, &range(from, to), &Zones::new(Zone::UTC));
            octets.map(|octets| String::from_utf8(octets).unwrap())
        };
        let example = limited("2006-01-03T00:00:00Z", "2006-01-05T00:00:00Z");
        assert_eq!(example, Some(calendar(&[ZONE, MASTER, OVERRIDE])));
        let original = limited("2006-01-04T17:30:00Z", "2006-01-04T17:40:00Z");
        assert_eq!(original, Some(calendar(&[ZONE, MASTER, OVERRIDE])));
        let moved = limited("2006-01-04T19:30:00Z", "2006-01-04T19:40:00Z");
        assert_eq!(moved, Some(calendar(&[ZONE, MASTER, OVERRIDE])));
        assert_eq!(limited("2006-01-04T18:00:00Z", "2006-01-04T19:00:00Z"), Some(calendar(&[ZONE, MASTER])));
        assert_eq!(limited("2006-01-01T00:00:00Z", "2006-02-01T00:00:00Z"), None);
        let future = text.replace("RECURRENCE-ID;", "RECURRENCE-ID;RANGE=THISANDFUTURE;");
        let parsed = parse(future.as_bytes(), &Limits::default()).unwrap();
        let none = range("2007-01-01T00:00:00Z", "2007-02-01T00:00:00Z");
        assert_eq!(limit_recurrence_set(&parsed, &none, &Zones::new(Zone::UTC)), None);
    }

    /// CAL-37: RFC 4791 §7.8.4.
    #[test]
    fn cal_37_free_busy_values() {
        let busy =
            |values: &str| calendar(&[&format!("BEGIN:VFREEBUSY\r\nUID:3\r\n{values}END:VFREEBUSY\r\n")]);
        let text = busy(
            "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20060102T100000Z/20060102T120000Z\r\nFREEBUSY:20060103T100000Z/PT2H,20060102T220000Z/PT\r\n 4H,soon\r\nFREEBUSY:20060104T100000Z/20060104T120000Z\r\n",
        );
        let parsed = parse(text.as_bytes(), &Limits::default()).unwrap();
        let limited =
            limit_freebusy_set(&parsed, &range("2006-01-02T00:00:00Z", "2006-01-03T00:00:00Z")).unwrap();
        assert_eq!(
            String::from_utf8(limited).unwrap(),
            busy(
                "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20060102T100000Z/20060102T120000Z\r\nFREEBUSY:20060102T220000Z/PT4H,soon\r\n"
            )
        );
        assert_eq!(limit_freebusy_set(&parsed, &range("2006-01-01T00:00:00Z", "2006-02-03T00:00:00Z")), None);
    }

    proptest! {
        /// Whatever is expanded is iCalendar without rules, and what is limited has no new lines.
        #[test]
        fn any_object_is_survived(octets in fragments()) {
            let Ok(calendar) = parse(&octets, &Limits::default()) else { return Ok(()) };
            let zones = Zones::new(Zone::UTC);
            let range = range("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z");
            let expanded = expand(&calendar, &range, 10, &zones);
            let again = parse(&expanded.octets, &Limits::default()).unwrap();
            prop_assert!(again.children.iter().all(|child| child.property("RRULE").is_none() || Kind::of(child).is_none()));
            prop_assert!(again.components("VTIMEZONE").next().is_none());
            for octets in limit_recurrence_set(&calendar, &range, &zones).into_iter().chain(limit_freebusy_set(&calendar, &range)) {
                prop_assert!(octets.len() < calendar.octets.len());
                prop_assert!(parse(&octets, &Limits::default()).is_ok());
            }
        }
    }
}
