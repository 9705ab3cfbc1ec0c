//! Tests of instances: masters, overrides, exceptions, and spans.

use super::*;
use crate::domain::ical::Limits;
use crate::domain::ical::time::Stamp;
use crate::domain::ical::tree::parse;
use crate::domain::ical::zone::Zone;

fn range(text: &str) -> Range {
    let (start, end) = text.split_once('/').unwrap();
    let side = |text: &str| Stamp::parse(text).map(|stamp| Zone::UTC.instant(stamp.civil));
    Range { start: side(start), end: side(end) }
}

/// The instances of a range, each as `start/end SUMMARY`, days as days.
fn listed(body: &str, between: &str, zone: &str) -> Vec<String> {
    let text = format!("BEGIN:VCALENDAR\r\n{}\r\nEND:VCALENDAR\r\n", body.trim().replace('\n', "\r\n"));
    let object = parse(text.as_bytes(), &Limits::default()).unwrap();
    let zones = Zones::new(Zone::named(zone).unwrap());
    let found = instances(&object, &range(between), 1000, &zones);
    assert!(found.complete);
    let show = |at: Timestamp| at.strftime("%m%dT%H%M").to_string();
    let summary = |instance: &Instance<'_, '_>| match instance.component.property("SUMMARY") {
        Some(summary) => format!(" {}", summary.text()),
        None => String::new(),
    };
    let line = |instance: &Instance<'_, '_>| {
        format!("{}/{}{}", show(instance.start), show(instance.end), summary(instance))
    };
    found.list.iter().map(line).collect()
}

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\n")
}

/// The night in which clocks are put forward or back: RFC 5545 §3.3.5, §3.3.10.
#[test]
fn ical_3_daily_over_a_change_of_the_clocks() {
    let daily = |zone: &str, start: &str, end: &str, between: &str| {
        listed(&event(&format!("DTSTART;TZID={zone}:{start}\n{end}\nRRULE:FREQ=DAILY")), between, "UTC")
    };
    // 02:30 is not on 29 March 2026: the offset before the gap makes it 03:30.
    assert_eq!(
        daily("Europe/Berlin", "20260327T023000", "DURATION:PT1H", "20260328/20260331"),
        ["0328T0130/0328T0230", "0329T0130/0329T0230", "0330T0030/0330T0130"]
    );
    // 02:30 is twice on 25 October: the first one.
    assert_eq!(
        daily("Europe/Berlin", "20261023T023000", "DURATION:PT1H", "20261024/20261027"),
        ["1024T0030/1024T0130", "1025T0030/1025T0130", "1026T0130/1026T0230"]
    );
    // DTEND says an exact length, a duration in days one by the clock (§3.8.5.3).
    assert_eq!(
        daily(
            "America/New_York",
            "20260306T120000",
            "DTEND;TZID=America/New_York:20260307T120000",
            "20260307T180000Z/20260309"
        ),
        ["0307T1700/0308T1700", "0308T1600/0309T1600"]
    );
    assert_eq!(
        daily("America/New_York", "20260306T120000", "DURATION:P1D", "20260307T180000Z/20260309"),
        ["0307T1700/0308T1600", "0308T1600/0309T1600"]
    );
    assert_eq!(
        daily("Australia/Lord_Howe", "20261002T021500", "DURATION:PT1M", "20261002/20261005"),
        ["1002T1545/1002T1546", "1003T1545/1003T1546", "1004T1515/1004T1516"]
    );
    // Gaza, whose clocks went back at 02:00 on Saturday, 25 October 2025.
    assert_eq!(
        daily("Asia/Gaza", "20251023T013000", "DURATION:PT1M", "20251024/20251027"),
        ["1024T2230/1024T2231", "1025T2330/1025T2331", "1026T2330/1026T2331"]
    );
    // São Paulo had no midnight on 4 November 2018: that day begins at 01:00.
    assert_eq!(
        listed(
            &event("DTSTART;VALUE=DATE:20181103\nRRULE:FREQ=DAILY;COUNT=3"),
            "20181101/20181201",
            "America/Sao_Paulo"
        ),
        ["1103T0300/1104T0300", "1104T0300/1105T0200", "1105T0200/1106T0200"]
    );
    // Samoa had no 30 December 2011 at all.
    assert_eq!(
        listed(
            &event("DTSTART;TZID=Pacific/Apia:20111229T120000\nRRULE:FREQ=DAILY;COUNT=3"),
            "20111201/20120201",
            "UTC"
        ),
        ["1229T2200/1229T2200", "1230T2200/1230T2200"]
    );
}

/// ICAL-3: UNTIL as a date, in UTC, local; the last instance belongs to it.
#[test]
fn ical_3_until() {
    let until = |start: &str, until: &str| {
        listed(
            &event(&format!("DTSTART{start}\nDURATION:PT1M\nRRULE:FREQ=DAILY;UNTIL={until}")),
            "20260101/20270101",
            "Asia/Tokyo",
        )
        .len()
    };
    let berlin = ";TZID=Europe/Berlin:20260401T003000";
    assert_eq!(until(berlin, "20260403T223000Z"), 4);
    assert_eq!(until(berlin, "20260403T222959Z"), 3);
    assert_eq!(until(berlin, "20260403"), 3);
    assert_eq!(until(berlin, "20260403T003000"), 3);
    assert_eq!(until(":20260401T003000Z", "20260403T003000Z"), 3);
    assert_eq!(until(":20260401T003000", "20260403T003000"), 3);
    assert_eq!(until(":20260401T003000", "20260403T003000Z"), 3);
    assert_eq!(until(";VALUE=DATE:20260401", "20260403"), 3);
    assert_eq!(until(";VALUE=DATE:20260401", "20260403T120000Z"), 3);
    assert_eq!(until(berlin, "20200101"), 1);
    assert_eq!(until(berlin, "nonsense"), 1);
}

/// CAL-33: RDATE, EXDATE, overrides, in all forms that clients write.
#[test]
fn cal_33_sets() {
    let base = "SUMMARY:a\nDTSTART;TZID=Europe/Berlin:20260105T100000\nDTEND;TZID=Europe/Berlin:20260105T110000\nRRULE:FREQ=DAILY;COUNT=5";
    let with = |lines: &str| listed(&event(&format!("{base}\n{lines}")), "20260101/20260201", "UTC");
    let days =
        |lines: &str| with(lines).iter().map(|line| line[2..4].to_owned()).collect::<Vec<_>>().join(" ");
    assert_eq!(days("X-A:1"), "05 06 07 08 09");
    assert_eq!(days("EXDATE;TZID=Europe/Berlin:20260106T100000,20260107T100000"), "05 08 09");
    assert_eq!(days("EXDATE:20260105T090000Z"), "06 07 08 09");
    assert_eq!(days("EXDATE:20260106T100000"), "05 07 08 09");
    assert_eq!(days("EXDATE;VALUE=DATE:20260106"), "05 07 08 09");
    assert_eq!(days("EXDATE;TZID=Asia/Tokyo:20260106T180000"), "05 07 08 09");
    assert_eq!(days("EXDATE:20260106T103000\nEXDATE:never"), "05 06 07 08 09");
    assert_eq!(days("RDATE;TZID=Europe/Berlin:20260109T100000,20260110T100000"), "05 06 07 08 09 10");
    assert_eq!(days("RDATE:20260103T100000\nEXDATE:20260103T100000"), "05 06 07 08 09");
    assert_eq!(
        with("RDATE;VALUE=PERIOD:20260120T100000Z/20260120T170000Z").last().unwrap(),
        "0120T1000/0120T1700 a"
    );
    let two = listed(
        &event("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT=2\nRRULE:FREQ=WEEKLY;COUNT=2"),
        "20260101/20260201",
        "UTC",
    );
    assert_eq!(two.len(), 3);
    let all_day = event(
        "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260106T000000Z\nRDATE;VALUE=DATE:20260110",
    );
    assert_eq!(
        listed(&all_day, "20260101/20260201", "UTC"),
        ["0105T0000/0106T0000", "0107T0000/0108T0000", "0110T0000/0111T0000"]
    );
}

#[test]
fn cal_33_overrides() {
    let base = event(
        "SUMMARY:a\nDTSTART;TZID=Europe/Berlin:20260105T100000\nDTEND;TZID=Europe/Berlin:20260105T110000\nRRULE:FREQ=DAILY;COUNT=5",
    );
    let with = |lines: &[&str], between| {
        listed(&format!("{base}{}", lines.iter().map(|l| event(l)).collect::<String>()), between, "UTC")
    };
    let moved = "SUMMARY:b\nRECURRENCE-ID;TZID=Europe/Berlin:20260106T100000\nDTSTART:20260301T000000Z\nDURATION:PT30M";
    assert_eq!(with(&[moved], "20260301/20260302"), ["0301T0000/0301T0030 b"]);
    assert_eq!(with(&[moved], "20260106/20260108"), ["0107T0900/0107T1000 a"]);
    // The same instant in another form; on its own day too.
    for id in [":20260106T090000Z", ":20260106T100000", ";VALUE=DATE:20260106"] {
        let other = format!("SUMMARY:b\nRECURRENCE-ID{id}\nDTSTART:20260106T090000Z");
        assert_eq!(with(&[&other], "20260106/20260107"), ["0106T0900/0106T0900 b"], "{id}");
    }
    // An override of nothing that was planned is an instance all the same.
    let stray = "SUMMARY:b\nRECURRENCE-ID:20270101T000000Z\nDTSTART:20270101T000000Z";
    assert_eq!(with(&[stray], "20270101/20270102"), ["0101T0000/0101T0000 b"]);
    // Overrides only (CAL-3).
    assert_eq!(listed(&event(moved), "20260101/20270101", "UTC"), ["0301T0000/0301T0030 b"]);
    // THISANDFUTURE, then another, then one for itself.
    let later = "SUMMARY:b\nRECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260106T100000\nDTSTART;TZID=Europe/Berlin:20260106T120000\nDURATION:PT2H";
    let latest = "SUMMARY:c\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260108T090000Z\nDTSTART;TZID=Asia/Tokyo:20260108T100000\nDURATION:PT2H";
    let once = "SUMMARY:d\nRECURRENCE-ID:20260109T090000Z\nDTSTART:20260109T230000Z";
    assert_eq!(
        with(&[latest, later, once], "20260101/20260201"),
        [
            "0105T0900/0105T1000 a",
            "0106T1100/0106T1300 b",
            "0107T1100/0107T1300 b",
            "0108T0100/0108T0300 c",
            "0109T2300/0109T2300 d",
        ]
    );
    let text = format!("BEGIN:VCALENDAR\r\n{base}{}END:VCALENDAR\r\n", event(later));
    let object = parse(text.as_bytes(), &Limits::default()).unwrap();
    let zones = Zones::new(Zone::UTC);
    let found = instances(&object, &range("20260107/20260201"), 2, &zones);
    assert!(!found.complete && found.list.len() == 2);
    let planned = found.list[0].recurrence_id.as_ref().unwrap();
    assert_eq!(
        (planned.civil.datetime().to_string().as_str(), planned.form),
        ("2026-01-07T10:00:00", Form::Zoned)
    );
    assert_eq!(found.list[0].local.0.datetime().to_string(), "2026-01-07T12:00:00");
    assert_eq!(found.list[0].form, Form::Zoned);
}

/// Twins with the same zone, written out by the object or known by name, are the same.
#[test]
fn cal_45_with_and_without_vtimezone() {
    let rule =
        event("DTSTART;TZID=Europe/Berlin:20260105T023000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=MO,SU");
    let zone = crate::domain::ical::zone::vtimezone(
        "Europe/Berlin",
        &Zone::named("Europe/Berlin").unwrap(),
        2025,
        2030,
    )
    .unwrap();
    let with = format!("{}{rule}", String::from_utf8(zone).unwrap().replace("\r\n", "\n"));
    let between = "20260101/20341231";
    let list = listed(&rule, between, "UTC");
    assert_eq!(list.len(), 937);
    assert_eq!(listed(&with, between, "UTC"), list);
}

#[test]
fn spans_hold_all() {
    let spans = |body: &str| {
        let text = format!("BEGIN:VCALENDAR\r\n{body}END:VCALENDAR\r\n");
        let object = parse(text.as_bytes(), &Limits::default()).unwrap();
        let spans = span(&object, &Zones::new(Zone::UTC));
        let show = |span: Option<Span>| match span {
            None => "none".to_owned(),
            Some(span) => format!(
                "{:.10}/{:.10}",
                span.first.to_string(),
                span.last.map_or("never".to_owned(), |l| l.to_string())
            ),
        };
        (show(spans.instances), show(spans.alarms))
    };
    let both = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(
        spans(&event("DTSTART:20260110T120000Z\nDURATION:PT1H")),
        both("2026-01-09/2026-01-11", "none")
    );
    assert_eq!(spans(&event("DTSTART:20260110T120000Z\nRRULE:FREQ=DAILY")), both("2026-01-09/never", "none"));
    assert_eq!(
        spans(&event("DTSTART:20260110T120000Z\nRRULE:FREQ=DAILY;COUNT=11")),
        both("2026-01-09/2026-01-21", "none")
    );
    assert_eq!(
        spans(&event("DTSTART:20260110T120000Z\nRRULE:FREQ=DAILY;UNTIL=20260601")),
        both("2026-01-09/2026-06-02", "none")
    );
    assert_eq!(
        spans(&event(
            "DTSTART:20260110T120000Z\nRDATE:20260301T000000Z\nBEGIN:VALARM\nTRIGGER:-P9D\nEND:VALARM\nBEGIN:VALARM\nTRIGGER:20270101T120000Z\nEND:VALARM"
        )),
        both("2026-01-09/2026-03-02", "2025-12-30/2027-01-02")
    );
    let override_ = event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260112T120000Z\nDTSTART:20260120T120000Z");
    assert_eq!(
        spans(&format!("{}{override_}", event("DTSTART:20260110T120000Z\nRRULE:FREQ=DAILY;COUNT=11"))).0,
        "2026-01-09/2026-01-30"
    );
    assert_eq!(spans("BEGIN:VTODO\nEND:VTODO\n").0, "-009999-01/never");
    assert_eq!(spans("BEGIN:VJOURNAL\nEND:VJOURNAL\n").0, "none");
}
