//! What a PUT may bring (RFC 4791 §4.1, §5.3.2.1; CAL-2, CAL-3, CAL-7, CAL-9, CAL-12, ICAL-2,
//! ICAL-6): the preconditions that the protocol names, and no others. Repairs only what must be
//! there on the wire. Must not know HTTP, nor which kinds a calendar takes.

use bytes::Bytes;
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::edit::Edits;
use super::tree::{self, Component, Prop};
use super::{Admitted, Flaw, Kind, Limits, NotAdmitted};
use crate::domain::id::Uid;
use crate::domain::vcard::charset;

/// Who wrote an object or an answer of ours (RFC 5545 §3.7.3).
pub const PRODID: &str = "-//Cardkeep//Cardkeep//EN";

/// Types of components that are the subject of an object and that no calendar stores (CAL-7).
const NOT_STORED: [&str; 2] = ["VFREEBUSY", "VPOLL"];

/// Properties whose dates an instance has, checked against the limits (RFC 4791 §5.2.6, §5.2.7).
/// Those of a VTIMEZONE are not among them: Outlook's begin in 1601.
const DATES: [&str; 6] = ["DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "RDATE", "EXDATE"];

/// Decides whether `submitted` may be stored, repairing what must be repaired: octets that are not
/// UTF-8 (as VC-1), a missing VERSION or PRODID (ICAL-2), and a missing DTSTAMP, which becomes
/// `stamp` (ICAL-6). Everything else is kept octet for octet, however odd (CAL-14, SCHED-5); an
/// object without the VTIMEZONE of a TZID is none the worse for it (CAL-45).
pub fn admit(submitted: &Bytes, stamp: Timestamp, limits: &Limits) -> Result<Admitted, NotAdmitted> {
    if submitted.len() > limits.bytes {
        return Err(NotAdmitted::TooLarge);
    }
    let repaired = charset::repair(submitted).map(Bytes::from);
    let text = repaired.as_ref().unwrap_or(submitted);
    let calendar = tree::parse(text, limits)?;
    version(&calendar)?;
    let (kind, uid) = subject(&calendar)?;
    bounds(&calendar, kind, limits)?;
    let edits = repairs(&calendar, kind, stamp);
    let altered = repaired.is_some() || !edits.is_empty();
    let bytes = if edits.is_empty() { text.clone() } else { edits.apply(text).into() };
    Ok(Admitted { uid, kind, bytes, altered })
}

/// The first property of that name that has a value.
fn said<'c, 'a>(component: &'c Component<'a>, name: &'c str) -> Option<&'c Prop<'a>> {
    component.all(name).find(|property| !property.value().trim_ascii().is_empty())
}

/// VERSION is 2.0, which may be the upper of two (RFC 5545 §3.7.4); none at all is read as 2.0.
fn version(calendar: &Component<'_>) -> Result<(), NotAdmitted> {
    let Some(version) = said(calendar, "VERSION") else { return Ok(()) };
    let upper = version.value().rsplit(|octet| *octet == b';').next().unwrap_or_default();
    if upper.trim_ascii() == b"2.0" { Ok(()) } else { Err(NotAdmitted::Version) }
}

/// The one kind and the one UID of the object's components (CAL-2, CAL-3, ICAL-6).
fn subject(calendar: &Component<'_>) -> Result<(Kind, Uid), NotAdmitted> {
    let flawed = |flaw| Err(NotAdmitted::NotAnObject(flaw));
    if calendar.property("METHOD").is_some() {
        return flawed(Flaw::Method);
    }
    let (mut subject, mut not_stored, mut unknown): (Option<(Kind, &[u8])>, bool, bool) =
        (None, false, false);
    for component in &calendar.children {
        let Some(kind) = Kind::of(component) else {
            not_stored |= NOT_STORED.iter().any(|name| component.is(name));
            unknown |= !component.is("VTIMEZONE");
            continue;
        };
        let Some(uid) = said(component, "UID").map(Prop::value) else { return flawed(Flaw::NoUid) };
        match subject {
            Some((known, _)) if known != kind => return flawed(Flaw::SeveralKinds),
            Some((_, known)) if known != uid => return flawed(Flaw::SeveralUids),
            _ => subject = Some((kind, uid)),
        }
    }
    match subject {
        Some(_) if not_stored => flawed(Flaw::SeveralKinds),
        Some((kind, uid)) => match Uid::new(&String::from_utf8_lossy(uid)) {
            Some(uid) => Ok((kind, uid)),
            None => flawed(Flaw::NoUid),
        },
        None if unknown => Err(NotAdmitted::Component),
        None => flawed(Flaw::Empty),
    }
}

/// CAL-9: attendees, instances that are written down, dates.
fn bounds(calendar: &Component<'_>, kind: Kind, limits: &Limits) -> Result<(), NotAdmitted> {
    let mut instances = 0_u64;
    for component in calendar.components(kind.word()) {
        if component.all("ATTENDEE").count() > limits.attendees {
            return Err(NotAdmitted::TooManyAttendees);
        }
        let overrides = u64::from(component.property("RECURRENCE-ID").is_some());
        let listed = component.all("RDATE").flat_map(|dates| dates.value().split(|o| *o == b',')).count();
        let counted = component.all("RRULE").filter_map(count).fold(0, u64::saturating_add);
        instances = instances
            .saturating_add(overrides)
            .saturating_add(listed.try_into().unwrap_or(u64::MAX))
            .saturating_add(counted);
        if instances > limits.instances {
            return Err(NotAdmitted::TooManyInstances);
        }
        let dates = component.properties.iter().filter(|property| DATES.iter().any(|name| property.is(name)));
        for value in dates.flat_map(|property| property.value().split(|octet| *octet == b',')) {
            within(value, limits)?;
        }
    }
    Ok(())
}

/// The COUNT of a rule; what is no number is none.
fn count(rule: &Prop<'_>) -> Option<u64> {
    let text = rule.raw_value();
    let parts = text.split(';').filter_map(|part| part.split_once('='));
    let (_, count) = parts.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("COUNT"))?;
    let count = count.trim();
    let is_number = !count.is_empty() && count.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| count.parse().unwrap_or(u64::MAX))
}

/// Whether a date is within the limits; what does not read as a date is none (ICAL-1). A time in
/// no particular zone may be a day away from the same time in UTC.
fn within(value: &[u8], limits: &Limits) -> Result<(), NotAdmitted> {
    let Some((time, utc)) = written_date(value) else { return Ok(()) };
    let Ok(time) = time.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()) else { return Ok(()) };
    let slack = SignedDuration::from_hours(if utc { 0 } else { 24 });
    if time.checked_add(slack).is_ok_and(|time| time < limits.earliest) {
        return Err(NotAdmitted::TooEarly);
    }
    if time.checked_sub(slack).is_ok_and(|time| time > limits.latest) {
        return Err(NotAdmitted::TooLate);
    }
    Ok(())
}

/// A DATE or DATE-TIME as it is written, and whether it says that it is in UTC; of a PERIOD its
/// beginning.
fn written_date(value: &[u8]) -> Option<(DateTime, bool)> {
    let number = |octets: &[u8]| -> Option<i16> {
        let digits = octets.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(octets).ok().filter(|_| digits)?.parse().ok()
    };
    let (date, time) = value.trim_ascii().split_at_checked(8)?;
    let month_and_day = (number(date.get(4..6)?)?, number(date.get(6..)?)?);
    let date = Date::new(
        number(date.get(..4)?)?,
        i8::try_from(month_and_day.0).ok()?,
        i8::try_from(month_and_day.1).ok()?,
    );
    let part = |from: usize| {
        let part = number(time.get(from..from + 2)?)?;
        i8::try_from(part).ok()
    };
    // A second of 60 is a leap second (RFC 5545 §3.3.12).
    let clock = match (part(1), part(3), part(5)) {
        (Some(hour), Some(minute), Some(second)) => Time::new(hour, minute, second.min(59), 0).ok()?,
        _ => Time::midnight(),
    };
    Some((date.ok()?.to_datetime(clock), time.get(7) == Some(&b'Z')))
}

/// What must be put into the object: what the wire requires and the client forgot.
fn repairs(calendar: &Component<'_>, kind: Kind, stamp: Timestamp) -> Edits {
    let mut edits = Edits::default();
    let stamp = stamp.strftime("%Y%m%dT%H%M%SZ").to_string();
    give(calendar, "VERSION", "2.0", &mut edits);
    give(calendar, "PRODID", PRODID, &mut edits);
    for component in calendar.components(kind.word()) {
        give(component, "DTSTAMP", &stamp, &mut edits);
    }
    edits
}

/// Gives the component a property unless it has one with a value: in the place of the one without,
/// else after its BEGIN, ended as that is.
fn give(component: &Component<'_>, name: &str, value: &str, edits: &mut Edits) {
    if said(component, name).is_some() {
        return;
    }
    let begin = component.begin();
    let line = |end: &[u8]| [name.as_bytes(), b":", value.as_bytes(), end].concat();
    match component.property(name) {
        Some(empty) => edits.replace(empty.at(), empty.octets().len(), line(empty.raw().end())),
        None => edits.insert(begin.at() + begin.octets().len(), line(begin.raw().end())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tree::tests::fragments;
    use super::*;

    const FRAME: &str = "VERSION:2.0\r\nPRODID:-//a//b//EN\r\n";
    const STAMP: &str = "DTSTAMP:20260101T000000Z\r\n";

    fn put_within(text: &[u8], limits: &Limits) -> Result<Admitted, NotAdmitted> {
        let stamp = "2026-02-03T04:05:06.789Z".parse().unwrap();
        admit(&Bytes::copy_from_slice(text), stamp, limits)
    }

    fn put(text: &str) -> Result<Admitted, NotAdmitted> {
        put_within(text.as_bytes(), &Limits::default())
    }

    fn calendar(lines: &str) -> String {
        format!("BEGIN:VCALENDAR\r\n{FRAME}{lines}END:VCALENDAR\r\n")
    }

    fn component(kind: &str, lines: &str) -> String {
        format!("BEGIN:{kind}\r\n{STAMP}{lines}END:{kind}\r\n")
    }

    fn event(lines: &str) -> String {
        calendar(&component("VEVENT", lines))
    }

    fn flaw(text: &str) -> Flaw {
        match put(text).unwrap_err() {
            NotAdmitted::NotAnObject(flaw) => flaw,
            other => panic!("{other}"),
        }
    }

    /// CAL-14, ICAL-1, ICAL-11, SCHED-5, CAL-45: whatever a client says comes back as it was.
    #[test]
    fn keeps_the_submitted_octets() {
        let odd = "\u{feff}begin:vcalendar\nVERSION:2.0\nPRODID:x\nX-WR-CALNAME:\u{1}\nBEGIN:X-THING\nUID:other\nEND:X-THING\n\n\
                   BEGIN:VEVENT\nDTSTAMP:whenever\nno colon\nUID:a\n b\nDTSTART;TZID=\"Nowhere\":2026-01-01\nRRULE:FREQ=NEVER;COUNT=x\n\
                   ATTENDEE;SCHEDULE-AGENT=CLIENT;SCHEDULE-STATUS=\"1.1\";SCHEDULE-FORCE-SEND=REQUEST:mailto:a@b.example\nDURATION:soon\n\
                   BEGIN:PARTICIPANT\nUID:p\nEND:PARTICIPANT\nEND:VEVENT\nEND:VCALENDAR\n \n";
        let admitted = put(odd).unwrap();
        assert_eq!(admitted.bytes, odd.as_bytes());
        assert!(!admitted.altered);
        assert_eq!((admitted.uid.as_str(), admitted.kind), ("ab", Kind::Event));
    }

    /// CAL-2, CAL-3: one UID, one kind; the master and overrides, or overrides alone.
    #[test]
    fn one_subject() {
        let two = |a: &str, b: &str| calendar(&format!("{a}{b}"));
        let event = |lines: &str| component("VEVENT", lines);
        assert!(put(&two(&event("UID:1\r\n"), &event("UID:1\r\nRECURRENCE-ID:20260101\r\n"))).is_ok());
        assert!(put(&calendar(&event("UID:1\r\nRECURRENCE-ID:20260101\r\n"))).is_ok());
        assert_eq!(flaw(&two(&event("UID:1\r\n"), &event("UID:2\r\n"))), Flaw::SeveralUids);
        assert_eq!(flaw(&two(&event("UID:1\r\n"), &component("VTODO", "UID:1\r\n"))), Flaw::SeveralKinds);
        assert_eq!(flaw(&two(&event("UID:1\r\n"), &component("VFREEBUSY", "UID:1\r\n"))), Flaw::SeveralKinds);
        assert_eq!(flaw(&two("METHOD:REQUEST\r\n", &event("UID:1\r\n"))), Flaw::Method);
        assert_eq!(flaw(&calendar("")), Flaw::Empty);
        assert_eq!(flaw(&calendar("BEGIN:VTIMEZONE\r\nTZID:x\r\nEND:VTIMEZONE\r\n")), Flaw::Empty);
        let calendars = calendar(&event("UID:1\r\n")).repeat(2);
        assert_eq!(flaw(&calendars), Flaw::SeveralCalendars);
        for kind in Kind::ALL {
            let put = put(&calendar(&component(kind.word(), "UID:1\r\n"))).unwrap();
            assert_eq!((put.kind, put.altered), (kind, false));
            assert_eq!(Kind::parse(&kind.word().to_lowercase()), Some(kind));
        }
    }

    /// CAL-7: a type that no calendar stores.
    #[test]
    fn a_type_that_is_not_stored() {
        for kind in ["VFREEBUSY", "VPOLL", "X-THING"] {
            let put = put(&calendar(&component(kind, "UID:1\r\n")));
            assert_eq!(put.unwrap_err(), NotAdmitted::Component, "{kind}");
        }
    }

    /// ICAL-6: a UID must be there; VC-13 as with cards: the first that says something.
    #[test]
    fn uids() {
        assert_eq!(flaw(&event("")), Flaw::NoUid);
        assert_eq!(flaw(&event("UID: \r\n")), Flaw::NoUid);
        assert_eq!(put(&event("UID:\r\nUID:2\r\nUID:3\r\n")).unwrap().uid.as_str(), "2");
        let alarm = "BEGIN:VALARM\r\nUID:other\r\nEND:VALARM\r\n";
        assert_eq!(flaw(&event(alarm)), Flaw::NoUid);
    }

    /// ICAL-2, ICAL-6: PRODID, VERSION and DTSTAMP are put in, ended as their surroundings are.
    #[test]
    fn repairs() {
        let bare = "BEGIN:VCALENDAR\nX:1\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:\r\nEND:VEVENT\r\nBEGIN:VEVENT\nUID:1\nEND:VEVENT\nEND:VCALENDAR\n";
        let admitted = put(bare).unwrap();
        assert!(admitted.altered);
        let repaired = format!(
            "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:{PRODID}\nX:1\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260203T040506Z\r\nEND:VEVENT\r\nBEGIN:VEVENT\nDTSTAMP:20260203T040506Z\nUID:1\nEND:VEVENT\nEND:VCALENDAR\n"
        );
        assert_eq!(admitted.bytes, repaired.as_bytes());
        let latin = event("UID:1\r\nSUMMARY:").replace("SUMMARY:", "SUMMARY:J?rg\r\n");
        let latin: Vec<u8> = latin.bytes().map(|octet| if octet == b'?' { 0xF6 } else { octet }).collect();
        let admitted = put_within(&latin, &Limits::default()).unwrap();
        assert!(admitted.altered && admitted.bytes.windows(5).any(|octets| octets == "Jörg".as_bytes()));
    }

    /// CAL-12: `supported-calendar-data`, `valid-calendar-data`.
    #[test]
    fn versions() {
        let with = |version: &str| {
            put(&format!(
                "BEGIN:VCALENDAR\r\nPRODID:x\r\nVERSION:{version}\r\nBEGIN:VEVENT\r\n{STAMP}UID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            ))
        };
        assert_eq!(with("1.0").unwrap_err(), NotAdmitted::Version);
        assert!(!with("2.0 ").unwrap().altered && !with("1.0;2.0").unwrap().altered);
        assert!(with("").unwrap().altered);
        assert_eq!(put("BEGIN:VCARD\r\nEND:VCARD\r\n").unwrap_err(), NotAdmitted::NotACalendar);
    }

    /// CAL-9: each limit has its precondition; what is no date or number breaks none.
    #[test]
    fn limits() {
        let limits = Limits {
            bytes: 1000,
            instances: 3,
            attendees: 2,
            earliest: "1900-01-01T00:00:00Z".parse().unwrap(),
            latest: "2100-01-01T00:00:00Z".parse().unwrap(),
            ..Limits::default()
        };
        let put = |lines: &str| {
            put_within(event(&format!("UID:1\r\n{lines}")).as_bytes(), &limits).map(|_| ()).err()
        };
        assert_eq!(put(&format!("X:{}\r\n", "x".repeat(1000))), Some(NotAdmitted::TooLarge));
        assert_eq!(put(&"ATTENDEE:mailto:a@b\r\n".repeat(2)), None);
        assert_eq!(put(&"ATTENDEE:mailto:a@b\r\n".repeat(3)), Some(NotAdmitted::TooManyAttendees));
        assert_eq!(put("RRULE:FREQ=DAILY;COUNT=3\r\n"), None);
        assert_eq!(put("RRULE:FREQ=DAILY\r\n"), None);
        for many in [
            "RRULE:FREQ=DAILY;count=4\r\n",
            "RRULE:COUNT=99999999999999999999\r\n",
            "RDATE:2,3\r\nRDATE:4,5\r\n",
        ] {
            assert_eq!(put(many), Some(NotAdmitted::TooManyInstances), "{many}");
        }
        for early in [
            "DTSTART:18991231T235959Z\r\n",
            "DTSTART;VALUE=DATE:18991230\r\n",
            "RDATE;VALUE=PERIOD:20200101T000000Z/PT1H,16010101T000000/PT1H\r\n",
        ] {
            assert_eq!(put(early), Some(NotAdmitted::TooEarly), "{early}");
        }
        assert_eq!(put("DTEND:21000101T000001Z\r\n"), Some(NotAdmitted::TooLate));
        for fine in [
            "DTSTART:19000101T000000Z\r\n",
            "DTSTART:18991231T120000\r\n",
            "DTEND:21000101T120000\r\n",
            "DTEND:21009999\r\n",
            "DTEND:+210-999\r\n",
            "DTEND:1\r\n",
            "X-OLD:10000101\r\n",
        ] {
            assert_eq!(put(fine), None, "{fine}");
        }
        let zone = format!(
            "BEGIN:VTIMEZONE\r\nTZID:x\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n{}",
            component("VEVENT", "UID:1\r\n")
        );
        assert!(put_within(calendar(&zone).as_bytes(), &limits).is_ok());
    }

    proptest! {
        /// What was repaired needs no repair again, and says the same.
        #[test]
        fn admitted_octets_are_admitted_again(octets in fragments()) {
            if let Ok(admitted) = put_within(&octets, &Limits::default()) {
                prop_assert_eq!(admitted.altered, admitted.bytes != octets);
                let again = put_within(&admitted.bytes, &Limits::default()).unwrap();
                prop_assert!(!again.altered && again.bytes == admitted.bytes);
                prop_assert!(again.uid == admitted.uid && again.kind == admitted.kind);
            }
        }
    }
}
