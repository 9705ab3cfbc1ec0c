//! Time zones that stand in objects or are left out of them (RFC 7809 §7.1; TZ-3), and the one that
//! a calendar has (RFC 4791 §5.2.2; CAL-6). What zones mean is `zone`'s business.

use std::collections::BTreeMap;

use super::edit::Edits;
use super::split::zone_ids;
use super::tree::{Component, parse};
use super::zone::{Zone, vtimezone};
use super::{Limits, NotAdmitted};

/// The VTIMEZONE's TZID in a `calendar-timezone`: a VCALENDAR with one VTIMEZONE and nothing else
/// (CAL-6); anything else is not `valid-calendar-data`.
pub fn calendar_timezone(octets: &[u8], limits: &Limits) -> Result<String, NotAdmitted> {
    let calendar = parse(octets, limits)?;
    let mut children = calendar.children.iter();
    match (children.next(), children.next()) {
        (Some(zone), None) if zone.is("VTIMEZONE") => {
            let id = zone.property("TZID").map(|id| id.text()).filter(|id| !id.trim().is_empty());
            id.ok_or(NotAdmitted::NotACalendar)
        }
        _ => Err(NotAdmitted::NotACalendar),
    }
}

/// TZ-3, `CalDAV-Timezones: F`: the object without the VTIMEZONEs that everybody knows by their
/// names, those of the tz database. `None` where it has none of them.
pub fn without_timezones(calendar: &Component<'_>) -> Option<Vec<u8>> {
    let mut edits = Edits::default();
    for zone in calendar.components("VTIMEZONE") {
        let id = zone.property("TZID").map(|id| id.text()).unwrap_or_default();
        let standard = Zone::named(&id).is_some_and(|zone| zone.name() == Some(&*id));
        if standard {
            edits.replace(zone.at() - calendar.at(), zone.octets.len(), Vec::new());
        }
    }
    (!edits.is_empty()).then(|| edits.apply(calendar.octets))
}

/// TZ-3, `CalDAV-Timezones: T`: the object with a VTIMEZONE for each TZID that it names and has
/// none for, right from its first year until after `year`. `None` where none is missing, or none of
/// those that are is known.
pub fn with_timezones(calendar: &Component<'_>, year: i16) -> Option<Vec<u8>> {
    let children = || calendar.children.iter().filter(|child| !child.is("VTIMEZONE"));
    let mut missing: BTreeMap<String, (i16, i16)> = BTreeMap::new();
    let known: Vec<String> =
        calendar.components("VTIMEZONE").filter_map(|zone| Some(zone.property("TZID")?.text())).collect();
    for id in children().flat_map(zone_ids).filter(|id| !known.contains(id)) {
        missing.insert(id, (year, year));
    }
    if missing.is_empty() {
        return None;
    }
    children().for_each(|child| note_years(child, &mut missing));
    let zones: Vec<u8> = missing
        .iter()
        .take(MOST)
        .filter_map(|(id, (from, to))| vtimezone(id, &Zone::named(id)?, *from, *to))
        .flatten()
        .collect();
    let first = children().next()?;
    let mut edits = Edits::default();
    if !zones.is_empty() {
        edits.insert(first.at() - calendar.at(), zones);
    }
    (!edits.is_empty()).then(|| edits.apply(calendar.octets))
}

/// How many zones are written into one object; those that people make name two.
const MOST: usize = 20;

/// Widens the years of the zones by those of the dates in them.
fn note_years(component: &Component<'_>, zones: &mut BTreeMap<String, (i16, i16)>) {
    for property in component.properties.iter().filter(|property| !property.parameters().is_empty()) {
        let year = property.value().get(..4).and_then(|year| std::str::from_utf8(year).ok()?.parse().ok());
        let id = property.parameter("TZID");
        if let (Some(year), Some(years)) = (year, id.and_then(|id| zones.get_mut(&id))) {
            *years = (years.0.min(year), years.1.max(year));
        }
    }
    component.children.iter().for_each(|child| note_years(child, zones));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tree::tests::fragments;
    use super::*;

    const EVENT: &str = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Berlin:20100101T100000\r\nDTEND;TZID=My Zone:20100101T110000\r\nEND:VEVENT\r\n";

    fn calendar(components: &[&str]) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}END:VCALENDAR\r\n", components.concat())
    }

    fn changed(text: &str, change: impl Fn(&Component<'_>) -> Option<Vec<u8>>) -> Option<String> {
        let calendar = parse(text.as_bytes(), &Limits::default()).unwrap();
        change(&calendar).map(|octets| String::from_utf8(octets).unwrap())
    }

    /// CAL-6.
    #[test]
    fn cal_6_one_time_zone() {
        let zone = "BEGIN:VTIMEZONE\r\nTZID:A\r\nEND:VTIMEZONE\r\n";
        let read =
            |components: &[&str]| calendar_timezone(calendar(components).as_bytes(), &Limits::default());
        assert_eq!(read(&[zone]), Ok("A".to_owned()));
        for wrong in
            [&[zone, zone][..], &[], &[EVENT], &[zone, EVENT], &["BEGIN:VTIMEZONE\r\nEND:VTIMEZONE\r\n"]]
        {
            assert_eq!(read(wrong), Err(NotAdmitted::NotACalendar));
        }
    }

    /// TZ-3: what is put in is what is taken out; zones of the client's own stay.
    #[test]
    fn tz_3_with_and_without() {
        let bare = calendar(&[EVENT]);
        let with = changed(&bare, |calendar| with_timezones(calendar, 2026)).unwrap();
        assert!(with.starts_with(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:"
        ));
        assert_eq!(with.matches("BEGIN:VTIMEZONE").count(), 1);
        assert_eq!(changed(&with, |calendar| with_timezones(calendar, 2026)), None);
        assert_eq!(changed(&with, without_timezones), Some(bare.clone()));
        assert_eq!(changed(&bare, without_timezones), None);
        let own = "BEGIN:VTIMEZONE\r\nTZID:My Zone\r\nEND:VTIMEZONE\r\nBEGIN:VTIMEZONE\r\nTZID:W. Europe Standard Time\r\nEND:VTIMEZONE\r\n";
        assert_eq!(changed(&calendar(&[own, EVENT]), without_timezones), None);
        let plain = calendar(&["BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20100101T100000Z\r\nEND:VEVENT\r\n"]);
        assert_eq!(changed(&plain, |calendar| with_timezones(calendar, 2026)), None);
    }

    proptest! {
        #[test]
        fn any_object_is_survived(octets in fragments(), year in any::<i16>()) {
            let Ok(calendar) = parse(&octets, &Limits::default()) else { return Ok(()) };
            for changed in [with_timezones(&calendar, year), without_timezones(&calendar)].into_iter().flatten() {
                prop_assert!(parse(&changed, &Limits::default()).is_ok());
            }
        }
    }
}
