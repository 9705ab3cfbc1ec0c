//! The demo's appointments, tasks and notes (`calendar.txt`), which name its contacts: how the table's
//! rows become calendar objects around a given day. Knows neither store nor clock.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Span};

use crate::domain::ical::zone::Zone;
use crate::domain::ical::zone::vtimezone;
use crate::domain::vcard::text::escape;
use crate::domain::vcard::write::Writer;

use super::{Row, rows};

/// One calendar object of the demo.
pub struct DemoEntry {
    /// Its name in the calendar, ending in `.ics`.
    pub name: &'static str,
    /// The calendar that it belongs into.
    pub calendar: &'static str,
    /// The object.
    pub octets: Vec<u8>,
}

const TABLE: &str = include_str!("calendar.txt");

/// The calendar of notes, which no first sign-in makes.
pub const JOURNAL: &str = "journal";

/// In which its times are.
const ZONE: &str = "Europe/Berlin";

/// All entries of a demo that is made on that day: the same octets for each day of a week.
pub fn entries(today: Date) -> Vec<DemoEntry> {
    let since_monday = i64::from(today.weekday().to_monday_zero_offset());
    let monday = today.saturating_sub(Span::new().days(since_monday));
    let cards = rows();
    let lines = |stanza: &'static str| stanza.lines().filter(|line| !line.starts_with('#'));
    let stanzas = TABLE.split("\n\n").filter(|stanza| lines(stanza).next().is_some());
    stanzas.enumerate().filter_map(|(number, stanza)| entry(number, monday, &cards, lines(stanza))).collect()
}

/// What a stanza's first line says.
struct Head {
    name: &'static str,
    kind: &'static str,
    day: Date,
    /// When on that day it begins, and how many minutes it takes.
    time: Option<(Time, i64)>,
}

impl Head {
    fn read(line: &'static str, monday: Date) -> Option<Self> {
        let mut words = line.split(' ');
        let (name, kind) = (words.next()?, words.next()?);
        let day = monday.checked_add(Span::new().days(words.next()?.parse::<i64>().ok()?)).ok()?;
        let time = match words.next() {
            Some(time) => {
                let (hour, minute) = time.split_once(':')?;
                let time = Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?;
                Some((time, words.next()?.parse().ok()?))
            }
            None => None,
        };
        Some(Self { name, kind, day, time })
    }

    /// What it is in iCalendar, and the calendar that takes it.
    fn component(&self) -> Option<(&'static str, &'static str)> {
        Some(match self.kind {
            "event" => ("VEVENT", "calendar"),
            "task" => ("VTODO", "tasks"),
            "note" => ("VJOURNAL", JOURNAL),
            _ => return None,
        })
    }
}

fn entry(
    number: usize,
    monday: Date,
    cards: &[Row],
    mut lines: impl Iterator<Item = &'static str>,
) -> Option<DemoEntry> {
    let head = Head::read(lines.next()?, monday)?;
    let (component, calendar) = head.component()?;
    let mut out = Writer::default();
    out.raw("BEGIN:VCALENDAR");
    out.raw("VERSION:2.0");
    out.raw("PRODID:-//Cardkeep//Demo//EN");
    let mut octets = Vec::new();
    if head.time.is_some() {
        octets = vtimezone(ZONE, &Zone::named(ZONE)?, monday.year(), monday.year())?;
    }
    let mut object = Writer::default();
    object.raw(&format!("BEGIN:{component}"));
    object.raw(&format!("UID:5b1e7a40-2c93-4d0f-8e61-{:012x}", number + 1));
    object.raw(&format!("DTSTAMP:{}T080000Z", monday.strftime("%Y%m%d")));
    dates(&head, &mut object)?;
    let mut alarm = None;
    for line in lines {
        let (name, value) = line.split_once(' ')?;
        match name {
            "RULE" => object.raw(&format!("RRULE:{value}")),
            "WITH" => with(head.kind, cards.iter().find(|card| card.name == value)?, &mut object),
            "ALARM" => alarm = Some(value),
            _ => object.raw(&format!("{name}:{}", escape(value))),
        }
    }
    if let Some(minutes) = alarm {
        for line in ["BEGIN:VALARM", "ACTION:DISPLAY", "DESCRIPTION:Reminder"] {
            object.raw(line);
        }
        object.raw(&format!("TRIGGER:-PT{minutes}M"));
        object.raw("END:VALARM");
    }
    object.raw(&format!("END:{component}"));
    object.raw("END:VCALENDAR");
    let octets = [out.finish(), octets, object.finish()].concat();
    Some(DemoEntry { name: head.name, calendar, octets })
}

/// When it is: with a time in the demo's zone, or all day; a task when it is due.
fn dates(head: &Head, object: &mut Writer) -> Option<()> {
    let day = head.day.strftime("%Y%m%d");
    match (head.kind, head.time) {
        ("task", _) => object.raw(&format!("DUE;VALUE=DATE:{day}")),
        (_, None) => object.raw(&format!("DTSTART;VALUE=DATE:{day}")),
        (_, Some((time, minutes))) => {
            let start = head.day.to_datetime(time);
            let end = start.checked_add(SignedDuration::from_mins(minutes)).ok()?;
            for (name, at) in [("DTSTART", start), ("DTEND", end)] {
                object.raw(&format!("{name};TZID={ZONE}:{}", at.strftime("%Y%m%dT%H%M%S")));
            }
        }
    }
    Some(())
}

/// Names a contact: who is invited by address, and whom something is about by the card's UID.
fn with(kind: &str, card: &Row, object: &mut Writer) {
    let address = card.field("EMAIL").and_then(|value| value.split_once(' '));
    match address.filter(|_| kind == "event") {
        Some((_, address)) => {
            let name = card.formatted();
            object.raw(&format!("ATTENDEE;CN=\"{name}\";PARTSTAT=ACCEPTED:mailto:{address}"));
        }
        None => object.raw(&format!("X-CARDKEEP-CONTACT:{}", card.written_uid())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;
    use jiff::civil::date;

    use super::*;
    use crate::domain::ical::admit;
    use crate::domain::ical::links::links;
    use crate::domain::ical::tree::parse;
    use crate::domain::ical::{Kind, Limits};

    #[test]
    fn every_entry_is_stored_as_it_is_and_names_contacts_of_the_demo() {
        let entries = entries(date(2026, 11, 22));
        let heads = TABLE.lines().filter(|line| !line.starts_with('#') && line.contains(".ics ")).count();
        assert_eq!(entries.len(), heads);
        let (mut uids, mut named) = (HashSet::new(), 0);
        for entry in &entries {
            let octets = Bytes::from(entry.octets.clone());
            let admitted = admit(&octets, jiff::Timestamp::UNIX_EPOCH, &Limits::default()).unwrap();
            assert!(!admitted.altered && admitted.bytes == octets, "{}", entry.name);
            let calendar = match admitted.kind {
                Kind::Event => "calendar",
                Kind::Todo => "tasks",
                _ => JOURNAL,
            };
            assert_eq!(entry.calendar, calendar, "{}", entry.name);
            assert!(uids.insert(admitted.uid.as_str().to_owned()));
            let object = parse(&octets, &Limits::default()).unwrap();
            let links = links(&object);
            named += links.addresses.len() + links.contacts.len();
        }
        let wanted = TABLE.lines().filter(|line| line.starts_with("WITH ")).count();
        assert_eq!(named, wanted);
    }

    #[test]
    fn entries_lie_around_the_week_of_the_day() {
        let text = |today| {
            let all: Vec<_> = entries(today).into_iter().map(|entry| entry.octets).collect();
            String::from_utf8(all.concat()).unwrap()
        };
        let (monday, sunday) = (text(date(2026, 11, 16)), text(date(2026, 11, 22)));
        assert_eq!(monday, sunday);
        assert!(monday.contains("DTSTART;TZID=Europe/Berlin:20261116T093000"), "{monday}");
        assert!(text(date(2026, 11, 23)).contains("DTSTART;TZID=Europe/Berlin:20261123T093000"));
    }
}
