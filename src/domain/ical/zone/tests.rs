//! Tests of zones: names that clients write, gaps and folds, and VTIMEZONEs of their own.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::domain::ical::Limits;
use crate::domain::ical::time::DAY;
use crate::domain::ical::tree::parse;

fn known(name: &str) -> Zone {
    Zone::named(name).unwrap()
}

fn instant(zone: &Zone, text: &str) -> String {
    zone.instant_of(text.parse().unwrap()).to_string()
}

/// Evaluates a VTIMEZONE as an object has it.
fn written(vtimezone: &[u8]) -> Zone {
    let text = [b"BEGIN:VCALENDAR\r\n", vtimezone, b"END:VCALENDAR\r\n"].concat();
    let object = parse(&text, &Limits::default()).unwrap();
    Zone::written(&object.children[0]).unwrap()
}

fn rewritten(name: &str, from: i16, to: i16) -> Zone {
    written(&vtimezone(name, &known(name), from, to).unwrap())
}

/// RFC 5545 §3.3.5: the first of two, and the offset before a gap; as tzdb and as VTIMEZONE.
#[test]
fn ical_3_gaps_and_folds() {
    for zone in [known("America/New_York"), rewritten("America/New_York", 2000, 2010)] {
        assert_eq!(instant(&zone, "2007-11-04T01:30:00"), "2007-11-04T05:30:00Z");
        assert_eq!(instant(&zone, "2007-03-11T02:30:00"), "2007-03-11T07:30:00Z");
        assert_eq!(instant(&zone, "2007-03-11T01:59:59"), "2007-03-11T06:59:59Z");
        assert_eq!(instant(&zone, "2007-03-11T03:00:00"), "2007-03-11T07:00:00Z");
    }
    for zone in [known("Australia/Lord_Howe"), rewritten("Australia/Lord_Howe", 2024, 2026)] {
        // Half an hour forward at 02:00 on 5 October, back at 02:00 on 6 April 2025.
        assert_eq!(instant(&zone, "2025-10-05T02:15:00"), "2025-10-04T15:45:00Z");
        assert_eq!(instant(&zone, "2025-04-06T01:45:00"), "2025-04-05T14:45:00Z");
        assert_eq!(instant(&zone, "2025-04-06T02:00:00"), "2025-04-05T15:30:00Z");
    }
    // Samoa had no 30 December 2011.
    for zone in [known("Pacific/Apia"), rewritten("Pacific/Apia", 2009, 2015)] {
        assert_eq!(instant(&zone, "2011-12-30T12:00:00"), "2011-12-30T22:00:00Z");
        assert_eq!(instant(&zone, "2011-12-31T12:00:00"), "2011-12-30T22:00:00Z");
    }
}

/// ICAL-4, ICAL-5: what clients put into TZID.
#[test]
fn tzids_as_clients_write_them() {
    for (tzid, name) in [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        (" \"Europe/Berlin\"  ", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("/mozilla.org/20050126_1/Europe/Berlin", "Europe/Berlin"),
        ("/freeassociation.sourceforge.net/Tzfile/Europe/Berlin", "Europe/Berlin"),
        ("/freeassociation.sourceforge.net/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("/softwarestudio.org/Olson_20011030_5/America/Chicago", "America/Chicago"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("Etc/UTC", "Etc/UTC"),
    ] {
        assert_eq!(known(tzid).name(), Some(name), "{tzid}");
    }
    assert_eq!(format!("{:?}", known("GMT+0530")), "Zone(+05:30)");
    for unknown in
        ["", "Europe/Atlantis", "Customized Time Zone", "/", "//", "UTC+", "x".repeat(999).as_str()]
    {
        assert!(Zone::named(unknown).is_none(), "{unknown}");
    }
}

/// ICAL-4: the object's VTIMEZONE wins; what nothing knows is in the calendar's zone (CAL-20).
#[test]
fn ical_4_the_objects_own_zone_wins() {
    let text = b"BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:\"Europe/Berlin\" \r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0542\r\nTZOFFSETTO:+0542\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Paris\r\nEND:VTIMEZONE\r\nEND:VCALENDAR\r\n";
    let object = parse(text, &Limits::default()).unwrap();
    let zones = Zones::new(known("Asia/Tokyo"));
    for _ in 0..2 {
        let zones = zones.of(&object);
        assert_eq!(zones.resolve("Europe/Berlin ").offset(0), 5 * 3600 + 42 * 60);
        assert_eq!(zones.resolve("Europe/Berlin").offset(0), 5 * 3600 + 42 * 60);
        assert_eq!(zones.resolve("Europe/Paris").name(), Some("Europe/Paris"));
        assert_eq!(zones.resolve("Atlantis").name(), Some("Asia/Tokyo"));
    }
}

/// Outlook's way: since 1601, by rules, a new rule where the law changed.
#[test]
fn a_vtimezone_with_rules_that_end() {
    let zone = written(b"BEGIN:VTIMEZONE\r\nTZID:Eastern\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nDTSTART:19870405T020000\r\nRRULE:FREQ=YEARLY;UNTIL=20060402T070000Z;BYMONTH=4;BYDAY=1SU\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:-0400\r\nTZOFFSETTO:-0500\r\nDTSTART:19671029T020000\r\nRRULE:FREQ=YEARLY;UNTIL=20061029T060000Z;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nDTSTART:20070311T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:-0400\r\nTZOFFSETTO:-0500\r\nDTSTART:20071104T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n");
    let truth = known("America/New_York");
    let start = truth.instant_of(date(1988, 1, 1).at(0, 0, 0, 0)).as_second();
    for hour in 0..(60 * 366 * 4) {
        let at = start + hour * 6 * 3600;
        assert_eq!(zone.offset(at), truth.offset(at), "{}", timestamp(at));
    }
    let ended = written(b"BEGIN:VTIMEZONE\r\nTZID:E\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0100\r\nDTSTART:19700401T020000\r\nRRULE:FREQ=YEARLY;UNTIL=19800401T020000Z\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0000\r\nDTSTART:19701001T020000\r\nRRULE:FREQ=YEARLY;COUNT=10\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n");
    assert_eq!(ended.offset(Zone::UTC.instant_of(date(1979, 12, 1).at(0, 0, 0, 0)).as_second()), 0);
    assert_eq!(ended.offset(4_000_000_000), 3600);
    assert_eq!(ended.offset(-4_000_000_000), 0);
}

/// TZ-3: a VTIMEZONE that is written says what the tz database says, in the years it is for and
/// for thirty years more.
#[test]
fn tz_3_written_zones_are_those_of_the_tz_database() {
    let names: Vec<_> = TZDB.available().map(|name| name.to_string()).collect();
    assert!(names.len() > 500);
    for name in &names {
        let truth = known(name);
        if truth.name() == Some("UTC") {
            continue;
        }
        let zone = rewritten(name, 1990, 2030);
        let start = Zone::UTC.instant_of(date(1990, 1, 1).at(0, 0, 0, 0)).as_second();
        let end = Zone::UTC.instant_of(date(2060, 1, 1).at(0, 0, 0, 0)).as_second();
        let Rules::Known(tzdb) = &truth.0 else { continue };
        let changes = tzdb.following(timestamp(start)).map(|change| change.timestamp().as_second());
        for at in [start].into_iter().chain(changes.take_while(|at| *at < end)) {
            for at in [at - 1, at, at + 5000] {
                assert!(at < start || zone.offset(at) == truth.offset(at), "{name} at {}", timestamp(at));
            }
        }
    }
    let (zone, truth) = (rewritten("Europe/Berlin", 1980, 2030), known("Europe/Berlin"));
    for day in (3700..80_000).step_by(3) {
        assert_eq!(zone.offset(day * DAY), truth.offset(day * DAY), "{}", timestamp(day * DAY));
    }
}

#[test]
fn a_written_zone_reads_well() {
    let text =
        String::from_utf8(vtimezone("Europe/Berlin", &known("Europe/Berlin"), 2020, 2030).unwrap()).unwrap();
    assert_eq!(
        text.replace("\r\n", "\n"),
        "BEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:STANDARD\nDTSTART:20200101T010000\nTZOFFSETFROM:+0100\n\
         TZOFFSETTO:+0100\nTZNAME:CET\nEND:STANDARD\nBEGIN:DAYLIGHT\nDTSTART:20200329T020000\n\
         TZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nTZNAME:CEST\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\n\
         END:DAYLIGHT\nBEGIN:STANDARD\nDTSTART:20201025T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
         TZNAME:CET\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nEND:STANDARD\nEND:VTIMEZONE\n"
    );
    assert!(vtimezone("x", &known("GMT+0530"), 2020, 2030).is_none());
}

proptest! {
    /// A VTIMEZONE of any sense or none is evaluated in bounds.
    #[test]
    fn any_vtimezone_is_survived(
        rules in prop::collection::vec(("[0-9]{8}T[0-2][0-9]0000", "[-+][01][0-9]00", "[-+][01][0-9]00", prop::sample::select(vec![
            "FREQ=SECONDLY", "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", "FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2",
            "FREQ=MINUTELY;COUNT=999999999", "FREQ=YEARLY;INTERVAL=1000", "FREQ=HOURLY;UNTIL=99991231T000000Z",
        ])), 0..5),
        at in -70_000_000_000i64..260_000_000_000,
    ) {
        let mut text = String::from("BEGIN:VTIMEZONE\r\nTZID:X\r\n");
        for (start, from, to, rule) in rules {
            text.push_str(&format!("BEGIN:STANDARD\r\nDTSTART:{start}\r\nTZOFFSETFROM:{from}\r\nTZOFFSETTO:{to}\r\nRRULE:{rule}\r\nEND:STANDARD\r\n"));
        }
        let text = format!("BEGIN:VCALENDAR\r\n{text}END:VTIMEZONE\r\nEND:VCALENDAR\r\n");
        let object = parse(text.as_bytes(), &Limits::default()).unwrap();
        if let Some(zone) = Zone::written(&object.children[0]) {
            let _ = zone.instant(Civil(at));
            let _ = zone.civil(timestamp(at));
        }
    }

    /// What a clock shows leads back, except where clocks were put back and show it twice.
    #[test]
    fn clocks_lead_back(name in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Gaza", "Africa/Casablanca", "Pacific/Apia"]), at in 0i64..4_000_000_000) {
        for zone in [known(name), rewritten(name, 1970, 2097)] {
            let civil = zone.civil(timestamp(at));
            let back = zone.seconds(civil);
            prop_assert!(back <= at && at - back <= DAY);
            let (least, most) = zone.civil_around(at);
            prop_assert!(least <= civil && civil <= most);
        }
    }
}
