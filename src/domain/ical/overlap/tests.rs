//! Tests of overlaps with a time range, table by table of RFC 4791 §9.9.

use proptest::prelude::*;

use super::*;
use crate::domain::ical::Limits;
use crate::domain::ical::tree::{parse, tests::fragments};

/// An instant: `20260401T120000Z`, or midnight of a date.
fn at(text: &str) -> Timestamp {
    let stamp = Stamp::parse(text).unwrap();
    Zone::UTC.instant(stamp.civil)
}

/// A range: `20260401/20260402T120000Z`; an end that is left out is open.
fn range(text: &str) -> Range {
    let (start, end) = text.split_once('/').unwrap();
    let side = |text: &str| (!text.is_empty()).then(|| at(text));
    Range { start: side(start), end: side(end) }
}

fn calendar(body: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}\r\nEND:VCALENDAR\r\n", body.trim().replace('\n', "\r\n"))
}

/// Whether some component of the object of that name overlaps, in the calendar's zone.
fn object_overlaps(body: &str, name: &str, between: &str, zone: &str) -> bool {
    let text = calendar(body);
    let object = parse(text.as_bytes(), &Limits::default()).unwrap();
    let zones = Zones::new(Zone::named(zone).unwrap());
    let range = range(between);
    object.children.iter().any(|component| match name {
        "VALARM" => {
            component.components("VALARM").any(|alarm| overlaps(&object, alarm, &[component], &range, &zones))
        }
        _ => component.is(name) && overlaps(&object, component, &[], &range, &zones),
    })
}

/// One component with these lines, in UTC.
fn check(name: &str, lines: &str, rows: &[(&str, bool)]) {
    let body = format!("BEGIN:{name}\nUID:1\n{}\nEND:{name}", lines.trim());
    for (between, expected) in rows {
        assert_eq!(object_overlaps(&body, name, between, "UTC"), *expected, "{name} {lines} in {between}");
        let text = calendar(&body);
        let object = parse(text.as_bytes(), &Limits::default()).unwrap();
        let spans = crate::domain::ical::instances::span(&object, &Zones::new(Zone::UTC));
        assert!(!expected || touches(spans.instances, &range(between)), "{lines} in {between}: {spans:?}");
    }
}

/// Whether an index by span would find it.
fn touches(span: Option<Span>, range: &Range) -> bool {
    span.is_some_and(|span| {
        range.end.is_none_or(|end| end >= span.first)
            && span.last.zip(range.start).is_none_or(|(last, start)| start <= last)
    })
}

/// RFC 4791 §9.9, the five rows of VEVENT.
#[test]
fn cal_28_events() {
    // DTEND.
    let noon = [
        ("20260401T110000Z/20260401T120000Z", false),
        ("20260401T110000Z/20260401T120001Z", true),
        ("20260401T123000Z/20260401T123001Z", true),
        ("20260401T125959Z/20260401T140000Z", true),
        ("20260401T130000Z/20260401T140000Z", false),
        ("/20260401T120000Z", false),
        ("/20260401T120001Z", true),
        ("20260401T130000Z/", false),
        ("20260401T125959Z/", true),
        ("20000101/20500101", true),
    ];
    check("VEVENT", "DTSTART:20260401T120000Z\nDTEND:20260401T130000Z", &noon);
    // A duration above nothing.
    check("VEVENT", "DTSTART:20260401T120000Z\nDURATION:PT1H", &noon);
    // A duration of nothing, no end, and an end that is none.
    let moment = [
        ("20260401T110000Z/20260401T120000Z", false),
        ("20260401T110000Z/20260401T120001Z", true),
        ("20260401T120000Z/20260401T120001Z", true),
        ("20260401T120001Z/20260401T140000Z", false),
    ];
    for end in
        ["DURATION:PT0S", "SUMMARY:x", "DTEND:20260401T120000Z", "DTEND:20260331T120000Z", "DURATION:-PT1H"]
    {
        check("VEVENT", &format!("DTSTART:20260401T120000Z\n{end}"), &moment);
    }
    // A date lasts a day, unless it says how long.
    let day = [
        ("20260331/20260401", false),
        ("20260331T120000Z/20260401T000001Z", true),
        ("20260401T120000Z/20260401T120001Z", true),
        ("20260401T235959Z/20260402T120000Z", true),
        ("20260402/20260403", false),
    ];
    check("VEVENT", "DTSTART;VALUE=DATE:20260401", &day);
    check("VEVENT", "DTSTART;VALUE=DATE:20260401\nDTEND;VALUE=DATE:20260402", &day);
    check("VEVENT", "DTSTART:20260401\nDTEND;VALUE=DATE:20260401", &day);
    check("VEVENT", "DTSTART;VALUE=DATE:20260401\nDURATION:P1D", &day);
    check(
        "VEVENT",
        "DTSTART;VALUE=DATE:20260401\nDTEND;VALUE=DATE:20260404",
        &[("20260403T235959Z/20260501", true), ("20260404/20260501", false), ("20260301/20260401", false)],
    );
    check(
        "VEVENT",
        "DTSTART;VALUE=DATE:20260401\nDURATION:PT0S",
        &[("20260401/20260402", true), ("20260401T000001Z/20260402", false)],
    );
    // Without DTSTART nothing can be told.
    check("VEVENT", "SUMMARY:x", &[("/20260401", false), ("20260401/", false)]);
}

/// RFC 4791 §9.9, the eight rows of VTODO.
#[test]
fn cal_29_tasks() {
    // DTSTART and DURATION.
    check(
        "VTODO",
        "DTSTART:20260401T120000Z\nDURATION:PT1H",
        &[
            ("20260401T110000Z/20260401T120000Z", false),
            ("20260401T110000Z/20260401T120001Z", true),
            ("20260401T130000Z/20260401T140000Z", true),
            ("20260401T130001Z/20260401T140000Z", false),
        ],
    );
    // The second alternative of that row: an end that is the start.
    check(
        "VTODO",
        "DTSTART:20260401T120000Z\nDURATION:PT0S",
        &[
            ("20260401T110000Z/20260401T120000Z", true),
            ("20260401T120000Z/20260401T130000Z", true),
            ("20260401T120001Z/20260401T130000Z", false),
        ],
    );
    // DTSTART and DUE.
    check(
        "VTODO",
        "DTSTART:20260401T120000Z\nDUE:20260401T130000Z",
        &[
            ("20260401T110000Z/20260401T120000Z", false),
            ("20260401T110000Z/20260401T120001Z", true),
            ("20260401T125959Z/20260401T140000Z", true),
            ("20260401T130000Z/20260401T140000Z", false),
        ],
    );
    check(
        "VTODO",
        "DTSTART:20260401T120000Z\nDUE:20260401T120000Z",
        &[
            ("20260401T120000Z/20260401T130000Z", true),
            ("20260401T110000Z/20260401T120000Z", true),
            ("20260401T120001Z/20260401T130000Z", false),
        ],
    );
    // DTSTART alone.
    check(
        "VTODO",
        "DTSTART:20260401T120000Z",
        &[
            ("20260401T110000Z/20260401T120000Z", false),
            ("20260401T120000Z/20260401T120001Z", true),
            ("20260401T120001Z/20260501", false),
        ],
    );
    // DUE alone.
    for more in ["SUMMARY:x", "COMPLETED:20200101T000000Z\nCREATED:20200101T000000Z", "DURATION:PT1H"] {
        check(
            "VTODO",
            &format!("DUE:20260401T120000Z\n{more}"),
            &[
                ("20260401T110000Z/20260401T120000Z", true),
                ("20260401T110000Z/20260401T115959Z", false),
                ("20260401T115959Z/20260401T130000Z", true),
                ("20260401T120000Z/20260401T130000Z", false),
            ],
        );
    }
    // COMPLETED and CREATED.
    check(
        "VTODO",
        "CREATED:20260401T000000Z\nCOMPLETED:20260405T000000Z",
        &[
            ("20260101/20260331T235959Z", false),
            ("20260101/20260401", true),
            ("20260402/20260403", true),
            ("20260405/20260406", true),
            ("20260405T000001Z/20260406", false),
        ],
    );
    check(
        "VTODO",
        "COMPLETED:20260405T000000Z",
        &[
            ("20260404/20260405", true),
            ("20260405/20260406", true),
            ("20260405T000001Z/20260406", false),
            ("20260404/20260404T235959Z", false),
        ],
    );
    check(
        "VTODO",
        "CREATED:20260401T000000Z",
        &[("20260101/20260401", false), ("20260101/20260401T000001Z", true), ("20300101/20300102", true)],
    );
    // Nothing at all: always.
    check("VTODO", "SUMMARY:x", &[("19000101/19000102", true), ("/20260401", true), ("20260401/", true)]);
    // Dates, and one that is due by rule.
    check("VTODO", "DUE;VALUE=DATE:20260401", &[("20260331/20260401", true), ("20260401/20260402", false)]);
    check(
        "VTODO",
        "DUE:20260401T120000Z\nRRULE:FREQ=DAILY",
        &[("20260601T110000Z/20260601T120000Z", true), ("20260601T120000Z/20260601T130000Z", false)],
    );
}

/// RFC 4791 §9.9, the three rows of VJOURNAL.
#[test]
fn cal_30_journals() {
    check(
        "VJOURNAL",
        "DTSTART:20260401T120000Z",
        &[
            ("20260401T110000Z/20260401T120000Z", false),
            ("20260401T120000Z/20260401T120001Z", true),
            ("20260401T120001Z/20260501", false),
        ],
    );
    check(
        "VJOURNAL",
        "DTSTART;VALUE=DATE:20260401",
        &[("20260331/20260401", false), ("20260401T235959Z/20260402", true), ("20260402/20260403", false)],
    );
    check("VJOURNAL", "SUMMARY:x", &[("/20260401", false), ("20000101/20500101", false)]);
}

/// RFC 4791 §9.9, the three rows of VFREEBUSY; RFC 7953 §7.2.2 for VAVAILABILITY.
#[test]
fn cal_31_busy_and_available() {
    check(
        "VFREEBUSY",
        "DTSTART:20260401T000000Z\nDTEND:20260402T000000Z\nDURATION:PT9H\nFREEBUSY:20270101T000000Z/PT1H",
        &[
            ("20260402/20260403", true),
            ("20260402T000001Z/20260403", false),
            ("20260301/20260401", false),
            ("20270101/20270102", false),
        ],
    );
    check(
        "VFREEBUSY",
        "FREEBUSY;FBTYPE=FREE:20260401T120000Z/PT1H,20260403T120000Z/20260403T130000Z\nFREEBUSY:20260405T120000Z/PT1H",
        &[
            ("20260401T130000Z/20260403T120000Z", false),
            ("20260401T125959Z/20260403T120000Z", true),
            ("20260403T123000Z/20260403T124000Z", true),
            ("20260405T120000Z/20260406", true),
            ("20260405T130000Z/20260406", false),
        ],
    );
    check("VFREEBUSY", "DTSTART:20260401T000000Z", &[("20000101/20500101", false)]);
    check(
        "VAVAILABILITY",
        "DTSTART:20260401T000000Z\nDTEND:20260402T000000Z",
        &[("20260331/20260401", false), ("20260401/20260402", true), ("20260402/20260403", false)],
    );
    check(
        "VAVAILABILITY",
        "DTSTART:20260401T000000Z\nDURATION:P1D",
        &[("20260331/20260401", false), ("20260402/20260403", false), ("20260401/20260402", true)],
    );
    check(
        "VAVAILABILITY",
        "DTSTART:20260401T000000Z",
        &[("20260331/20260401", false), ("20300101/20300102", true)],
    );
    check(
        "VAVAILABILITY",
        "DTEND:20260402T000000Z",
        &[("20000101/20000102", true), ("20260402/20260403", false)],
    );
    check("VAVAILABILITY", "SUMMARY:x", &[("20000101/20000102", true)]);
    check("VTIMEZONE", "TZID:x", &[("20000101/20500101", false)]);
}

fn alarm(event: &str, alarm: &str, rows: &[(&str, bool)]) {
    for (component, lines) in [("VEVENT", event.to_owned()), ("VTODO", event.replace("DTEND", "DUE"))] {
        let body = format!(
            "BEGIN:{component}\nUID:1\n{lines}\nBEGIN:VALARM\nACTION:AUDIO\n{alarm}\nEND:VALARM\nEND:{component}"
        );
        for (between, expected) in rows {
            assert_eq!(
                object_overlaps(&body, "VALARM", between, "UTC"),
                *expected,
                "{component} {alarm} in {between}"
            );
            let text = calendar(&body);
            let object = parse(text.as_bytes(), &Limits::default()).unwrap();
            let spans = crate::domain::ical::instances::span(&object, &Zones::new(Zone::UTC));
            assert!(!expected || touches(spans.alarms, &range(between)), "{alarm} in {between}: {spans:?}");
        }
    }
}

/// RFC 4791 §9.9, VALARM: each of its triggers, before or after each instance's start or end.
#[test]
fn cal_31_alarms() {
    let event = "DTSTART:20260401T120000Z\nDTEND:20260401T130000Z";
    alarm(
        event,
        "TRIGGER:-PT15M",
        &[
            ("20260401T114500Z/20260401T114501Z", true),
            ("20260401T114501Z/20260401T130000Z", false),
            ("20260401T110000Z/20260401T114500Z", false),
        ],
    );
    alarm(
        event,
        "TRIGGER;RELATED=END:PT5M",
        &[("20260401T130500Z/20260401T130501Z", true), ("20260401T120000Z/20260401T130500Z", false)],
    );
    alarm(event, "TRIGGER;RELATED=START:PT0S", &[("20260401T120000Z/20260401T120001Z", true)]);
    alarm(
        event,
        "TRIGGER;VALUE=DATE-TIME:20260101T000000Z",
        &[("20260101/20260102", true), ("20260401/20260402", false)],
    );
    alarm(
        event,
        "TRIGGER:-PT15M\nREPEAT:3\nDURATION:PT5M",
        &[
            ("20260401T114501Z/20260401T115001Z", true),
            ("20260401T115501Z/20260401T120000Z", false),
            ("20260401T120000Z/20260401T120001Z", true),
            ("20260401T120001Z/20260401T130000Z", false),
        ],
    );
    alarm(
        event,
        "TRIGGER;VALUE=DATE-TIME:20260101T000000Z\nREPEAT:1000000000\nDURATION:P1D",
        &[("20900101/20900102", true), ("20900101T000001Z/20900101T235959Z", false)],
    );
    alarm(
        event,
        "TRIGGER:-P1W\nREPEAT:5",
        &[("20260325T120000Z/20260326", true), ("20260326/20260401T120000Z", false)],
    );
    alarm(event, "DESCRIPTION:no trigger", &[("20000101/20500101", false)]);
    alarm(event, "TRIGGER:soon", &[("20000101/20500101", false)]);
    let daily = format!("{event}\nRRULE:FREQ=DAILY\nEXDATE:20500102T120000Z");
    alarm(
        &daily,
        "TRIGGER:-PT15M",
        &[
            ("20500101T110000Z/20500101T120000Z", true),
            ("20500102T110000Z/20500102T120000Z", false),
            ("20500103T114501Z/20500103T235959Z", false),
        ],
    );
    alarm(
        &daily,
        "TRIGGER;RELATED=END:P1D\nREPEAT:2\nDURATION:PT1H",
        &[("20500102T150000Z/20500102T150001Z", true), ("20500102T150001Z/20500103T130000Z", false)],
    );
    alarm(&daily, "TRIGGER;VALUE=DATE-TIME:20260101T000000Z", &[("20500101/20500201", false)]);
}

/// CAL-32: properties that are dates, and those that stand for an instance's start and end.
#[test]
fn cal_32_properties() {
    let text = calendar(
        "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nCREATED:20260102T000000Z\nLAST-MODIFIED:20260103T000000Z\nDTSTART:20260401T120000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY\nEND:VEVENT\nBEGIN:VTODO\nUID:2\nCOMPLETED:20260105T000000Z\nDTSTART:20260401T120000Z\nDUE:20260402T120000Z\nEND:VTODO\nBEGIN:VTODO\nUID:3\nDUE:20260402T120000Z\nEND:VTODO",
    );
    let object = parse(text.as_bytes(), &Limits::default()).unwrap();
    let zones = Zones::new(Zone::UTC);
    let asked = Object::new(&object, &zones);
    let [event, task, due] = &object.children[..] else { panic!() };
    for (component, name, between, expected) in [
        (event, "DTSTAMP", "20260101/20260102", true),
        (event, "dtstamp", "20260101T000001Z/20260102", false),
        (event, "DTSTAMP", "20251231/20260101", false),
        (event, "CREATED", "20260102/20260103", true),
        (event, "LAST-MODIFIED", "/20260103", false),
        (event, "LAST-MODIFIED", "20260103/", true),
        (event, "COMPLETED", "20000101/20500101", false),
        (event, "DTSTART", "20260408T120000Z/20260408T120001Z", true),
        (event, "DTSTART", "20260408T120001Z/20260409", false),
        (event, "DTEND", "20260408T130000Z/20260408T130001Z", true),
        (event, "DTEND", "20260408T120000Z/20260408T130000Z", false),
        (event, "DUE", "20000101/20500101", false),
        (task, "COMPLETED", "20260105/20260106", true),
        (task, "DUE", "20260402T120000Z/20260403", true),
        (task, "DTSTART", "20260401T120000Z/20260402", true),
        (due, "DTSTART", "20000101/20500101", false),
        (due, "DUE", "20260402T120000Z/20260403", true),
    ] {
        assert_eq!(property_overlaps(&asked, component, name, &range(between)), expected, "{name} {between}");
    }
}

/// CAL-20: floating times and dates are where the calendar is.
#[test]
fn cal_20_floating_and_all_day() {
    let floating = "BEGIN:VEVENT\nUID:1\nDTSTART:20260401T120000\nDURATION:PT1H\nEND:VEVENT";
    let day = "BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20260401\nEND:VEVENT";
    for (body, zone, between, expected) in [
        (floating, "UTC", "20260401T120000Z/20260401T120001Z", true),
        (floating, "America/New_York", "20260401T120000Z/20260401T120001Z", false),
        (floating, "America/New_York", "20260401T160000Z/20260401T160001Z", true),
        (day, "Asia/Tokyo", "20260331T150000Z/20260331T150001Z", true),
        (day, "Asia/Tokyo", "20260401T150000Z/20260401T160000Z", false),
        (day, "America/New_York", "20260402T035959Z/20260402T040000Z", true),
    ] {
        assert_eq!(object_overlaps(body, "VEVENT", between, zone), expected, "{zone} {between}");
        let text = calendar(body);
        let object = parse(text.as_bytes(), &Limits::default()).unwrap();
        let spans = crate::domain::ical::instances::span(&object, &Zones::new(Zone::UTC));
        assert!(!expected || touches(spans.instances, &range(between)), "an index in UTC finds it in {zone}");
    }
}

const WEEKLY: &str = "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=Europe/Berlin:20260107T100000\nDTEND;TZID=Europe/Berlin:20260107T110000\nRRULE:FREQ=WEEKLY\nEXDATE;TZID=Europe/Berlin:20260114T100000\nRDATE;TZID=Europe/Berlin;VALUE=PERIOD:20260109T100000/PT3H\nRDATE;TZID=Europe/Berlin:20260110T100000\nEND:VEVENT\n";

/// CAL-33: rules, RDATE, EXDATE, overrides moved into and out of a range, THISANDFUTURE.
#[test]
fn cal_33_recurring_events() {
    let moved = format!(
        "{WEEKLY}BEGIN:VEVENT\nUID:1\nRECURRENCE-ID;TZID=Europe/Berlin:20260121T100000\nDTSTART:20260220T100000Z\nDTEND:20260220T110000Z\nEND:VEVENT"
    );
    let later = format!(
        "{WEEKLY}BEGIN:VEVENT\nUID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260204T090000Z\nDTSTART;TZID=Europe/Berlin:20260205T140000\nDURATION:PT2H\nEND:VEVENT"
    );
    for (body, between, expected) in [
        (WEEKLY, "20260107T090000Z/20260107T090001Z", true),
        (WEEKLY, "20260114/20260115", false),
        (WEEKLY, "20260109T115959Z/20260109T130000Z", true),
        (WEEKLY, "20260109T120000Z/20260110", false),
        (WEEKLY, "20260110T090000Z/20260110T100000Z", true),
        (WEEKLY, "20260701T080000Z/20260701T083000Z", true),
        (WEEKLY, "20260701T090000Z/20260701T093000Z", false),
        (WEEKLY, "20760101/20760108", true),
        (WEEKLY, "20760102T000000Z/20760107T000000Z", false),
        (&moved, "20260121/20260122", false),
        (&moved, "20260220T103000Z/20260220T103001Z", true),
        (&moved, "20260128T090000Z/20260128T091000Z", true),
        (&later, "20260204/20260205", false),
        (&later, "20260205T130000Z/20260205T130001Z", true),
        (&later, "20260211/20260212", false),
        (&later, "20260212T143000Z/20260212T150000Z", true),
        (&later, "20260212T150000Z/20260219T130000Z", false),
        // In summer the same clock is an hour earlier.
        (&later, "20760702T123000Z/20760702T123001Z", true),
        (&later, "20760701T080000Z/20760701T090000Z", false),
    ] {
        assert_eq!(object_overlaps(body, "VEVENT", between, "UTC"), expected, "{between}");
    }
}

/// CAL-42: a hostile object has an answer, which is yes where nobody can tell.
#[test]
fn cal_42_hostile_objects() {
    let event = |lines: &str| format!("BEGIN:VEVENT\nUID:1\nDTSTART:19700101T000000Z\n{lines}\nEND:VEVENT");
    let every_second: Vec<_> = (0..50_000)
        .map(|second| format!("20260101T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60))
        .collect();
    for (lines, between, expected) in [
        ("RRULE:FREQ=SECONDLY".to_owned(), "20760101/20760102", true),
        ("RRULE:FREQ=SECONDLY;COUNT=1000000000".to_owned(), "20760101/20760102", false),
        ("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31".to_owned(), "20760101/20760102", false),
        ("RRULE:FREQ=SECONDLY;BYSECOND=0;COUNT=1000000000".to_owned(), "20760101/20760102", true),
        (
            format!("RRULE:FREQ=SECONDLY\nEXDATE:{}", every_second.join(",")),
            "20260101/20260101T100000Z",
            true,
        ),
        ("DURATION:P9999999D\nRRULE:FREQ=SECONDLY".to_owned(), "20260101/20260102", true),
        ("RRULE:FREQ=SECONDLY;INTERVAL=999999999999".to_owned(), "20260101/20260102", false),
    ] {
        assert_eq!(
            object_overlaps(&event(&lines), "VEVENT", between, "Europe/Berlin"),
            expected,
            "{between}"
        );
    }
    let alarm = event(
        "RRULE:FREQ=DAILY\nBEGIN:VALARM\nTRIGGER:-P4000000D\nREPEAT:1000000000000\nDURATION:PT1S\nEND:VALARM",
    );
    assert!(object_overlaps(&alarm, "VALARM", "20260101/20260102", "Europe/Berlin"));
}

proptest! {
    /// Whatever octets are stored, a question about them has an answer.
    #[test]
    fn any_object_is_survived(octets in fragments(), from in 0i64..4_000_000_000, length in 0i64..100_000_000) {
        let Ok(object) = parse(&octets, &Limits::default()) else { return Ok(()) };
        let zones = Zones::new(Zone::named("America/Sao_Paulo").unwrap());
        let range = Range { start: Timestamp::from_second(from).ok(), end: Timestamp::from_second(from + length).ok() };
        let asked = Object::new(&object, &zones);
        let spans = asked.spans();
        for component in &object.children {
            let found = component_overlaps(&asked, component, &[], &range);
            prop_assert!(!found || touches(spans.instances, &range) || asked.budget().is_spent());
            for alarm in &component.children {
                let found = component_overlaps(&asked, alarm, &[component], &range);
                prop_assert!(!found || touches(spans.alarms, &range) || asked.budget().is_spent());
            }
            for name in ["DTSTART", "DTEND", "DUE", "COMPLETED", "X"] {
                property_overlaps(&asked, component, name, &range);
            }
        }
        asked.instances(&range, 100);
    }
}
