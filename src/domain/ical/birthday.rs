//! Birthdays, anniversaries and days of death of a card as calendar objects (CAL-46). Reads the
//! card's octets; the words come from the caller. Must not know whose calendar it is.

use jiff::Timestamp;

use super::admit::PRODID;
use super::links::CONTACT_UID;
use super::yearly::Yearly;
use crate::domain::convert::{OMIT_YEAR, whole_date};
use crate::domain::id::ContactId;
use crate::domain::vcard::lines::LineView;
use crate::domain::vcard::parts::{Place, parts};
use crate::domain::vcard::property::Property;
use crate::domain::vcard::text::{escape, unescape};
use crate::domain::vcard::write::Writer;

/// The year of a date that has none: a leap year, so that 29 February exists, and one that every
/// program can show.
const SOME_YEAR: u16 = 1972;

/// What a day is remembered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Occasion {
    /// `BDAY`.
    Birthday,
    /// `ANNIVERSARY`, or what clients wrote before there was one.
    Anniversary,
    /// `DEATHDATE` (RFC 6474).
    Death,
}

impl Occasion {
    /// Every occasion.
    pub const ALL: [Self; 3] = [Self::Birthday, Self::Anniversary, Self::Death];

    /// The word in an event's UID and name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Birthday => "birthday",
            Self::Anniversary => "anniversary",
            Self::Death => "death",
        }
    }

    /// The event's UID: the same as long as the contact is the same.
    pub fn uid(self, contact: ContactId) -> String {
        format!("{contact}-{}", self.word())
    }

    /// The occasion that a property names; Apple's labelled X-ABDATE is seen to elsewhere.
    fn named(property: &Property) -> Option<Self> {
        let among = |names: &[&str]| names.iter().any(|name| property.is(name));
        if property.is("BDAY") {
            Some(Self::Birthday)
        } else if among(&["ANNIVERSARY", "X-ANNIVERSARY", "X-EVOLUTION-ANNIVERSARY"]) {
            Some(Self::Anniversary)
        } else {
            property.is("DEATHDATE").then_some(Self::Death)
        }
    }
}

/// A day of a card.
#[derive(Clone, PartialEq, Eq)]
pub struct Day {
    /// What it is remembered for.
    pub occasion: Occasion,
    /// The year, where it is known.
    pub year: Option<u16>,
    month: u8,
    day: u8,
    /// The card's formatted name, else what NICKNAME or ORG say.
    pub name: String,
    /// The card's UID.
    uid: Option<String>,
}

crate::hidden!(Day);

/// The days of a card, of each occasion the first that is a whole date: `19850412`, `1985-04-12`,
/// date-times, `--0412`, `--02-29`, and Apple's 1604 for an unknown year (VC-20, VC-23). A card
/// without a name has none, for nobody could say whose they are.
pub fn days(card: &[u8]) -> Vec<Day> {
    let mut found: [Option<(Option<u16>, u8, u8)>; 3] = [None; 3];
    let mut names: [Option<String>; 3] = [None, None, None];
    let mut uid = None;
    let mut labelled: Vec<Property> = Vec::new();
    for (_, line) in parts(card).filter(|(place, _)| *place == Place::Own) {
        // Photos are not unfolded to learn that they are no dates.
        if line.head().is_some_and(|(_, name)| !is_read(name)) {
            continue;
        }
        let text = line.unfold();
        let Some(property) =
            LineView::split(&text).and_then(|_| Property::parse(&String::from_utf8_lossy(&text)))
        else {
            continue;
        };
        let at = ["FN", "NICKNAME", "ORG"].iter().position(|name| property.is(name));
        if let Some(name) = at.and_then(|at| names.get_mut(at)) {
            name.get_or_insert_with(|| unescape(&property.value).trim().to_owned());
        } else if property.is("UID") {
            uid = uid.or(Some(property.value).filter(|uid| !uid.trim().is_empty()));
        } else if property.is("X-ABDATE") || property.is("X-ABLABEL") {
            labelled.push(property);
        } else {
            note(Occasion::named(&property), &property, &mut found);
        }
    }
    for date in labelled.iter().filter(|property| property.is("X-ABDATE")) {
        note(apple(date, &labelled), date, &mut found);
    }
    let Some(name) = names.into_iter().flatten().find(|name| !name.is_empty()) else { return Vec::new() };
    let days = Occasion::ALL.into_iter().zip(found);
    days.filter_map(|(occasion, date)| {
        let (year, month, day) = date?;
        Some(Day { occasion, year, month, day, name: name.clone(), uid: uid.clone() })
    })
    .collect()
}

/// Whether [`days`] reads properties of this name.
fn is_read(name: &[u8]) -> bool {
    const READ: [&str; 10] = [
        "FN",
        "NICKNAME",
        "ORG",
        "UID",
        "BDAY",
        "DEATHDATE",
        "ANNIVERSARY",
        "X-ANNIVERSARY",
        "X-EVOLUTION-ANNIVERSARY",
        "X-ABDATE",
    ];
    READ.iter().any(|read| name.eq_ignore_ascii_case(read.as_bytes()))
        || name.eq_ignore_ascii_case(b"X-ABLABEL")
}

/// The occasion that the label of an X-ABDATE names: Apple's anniversary (VC-23, VC-31).
fn apple(date: &Property, all: &[Property]) -> Option<Occasion> {
    let same_group = |property: &&Property| {
        let group = |property: &Property| property.group.as_deref().map(str::to_ascii_lowercase);
        property.is("X-ABLABEL") && group(property).is_some() && group(property) == group(date)
    };
    let label = all.iter().find(same_group)?;
    label.value.trim().eq_ignore_ascii_case("_$!<Anniversary>!$_").then_some(Occasion::Anniversary)
}

/// Notes the property's date, unless the occasion has one already.
fn note(occasion: Option<Occasion>, property: &Property, found: &mut [Option<(Option<u16>, u8, u8)>; 3]) {
    let place = occasion.and_then(|occasion| Occasion::ALL.iter().position(|known| *known == occasion));
    let Some(known) = place.and_then(|at| found.get_mut(at)) else { return };
    if known.is_none() && !property.value_is("text") {
        let date = whole_date(&property.value, property.parameter(OMIT_YEAR));
        *known = date.map(|(year, month, day)| (year.filter(|year| *year > 0), month, day)).filter(exists);
    }
}

/// Whether there is such a day: 31 April is none, 29 February is one of leap years and of no year.
fn exists((year, month, day): &(Option<u16>, u8, u8)) -> bool {
    let year = i16::try_from(year.unwrap_or(SOME_YEAR));
    let (month, day) = (i8::try_from(*month), i8::try_from(*day));
    matches!((year, month, day), (Ok(year), Ok(month), Ok(day)) if jiff::civil::Date::new(year, month, day).is_ok())
}

impl Day {
    /// When it comes back; that its date exists was seen when it was read.
    pub fn yearly(&self) -> Option<Yearly> {
        Yearly::since(self.year.unwrap_or(SOME_YEAR), self.month, self.day)
    }

    /// The calendar object: every year, the whole day, nobody busy. A 29 February is the last of
    /// February in common years. `stamp` is when the card last changed, so that the same card
    /// makes the same octets.
    pub fn event(&self, contact: ContactId, summary: &str, stamp: Timestamp) -> Vec<u8> {
        let mut writer = Writer::with_capacity(512);
        let rule = match (self.month, self.day) {
            (2, 29) => "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1",
            _ => "FREQ=YEARLY",
        };
        let year = self.year.unwrap_or(SOME_YEAR);
        let lines = [
            "BEGIN:VCALENDAR".to_owned(),
            "VERSION:2.0".to_owned(),
            format!("PRODID:{PRODID}"),
            "CALSCALE:GREGORIAN".to_owned(),
            "BEGIN:VEVENT".to_owned(),
            format!("UID:{}", self.occasion.uid(contact)),
            format!("DTSTAMP:{}", stamp.strftime("%Y%m%dT%H%M%SZ")),
            format!("DTSTART;VALUE=DATE:{year:04}{:02}{:02}", self.month, self.day),
            "DURATION:P1D".to_owned(),
            format!("RRULE:{rule}"),
            format!("SUMMARY:{}", escape(summary)),
            "TRANSP:TRANSPARENT".to_owned(),
        ];
        lines.iter().for_each(|line| writer.raw(line));
        if let Some(uid) = &self.uid {
            writer.raw(&format!("{CONTACT_UID}:{}", escape(uid)));
        }
        ["END:VEVENT", "END:VCALENDAR"].iter().for_each(|line| writer.raw(line));
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::{Limits, admit};
    use super::*;

    const CONTACT: ContactId = ContactId::from_bytes([7; 16]);

    fn card(lines: &str) -> String {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u\\,1\r\nFN:Jane\\, Doe\r\n{lines}END:VCARD\r\n")
    }

    fn event(line: &str) -> Option<String> {
        let days = days(card(&format!("{line}\r\n")).as_bytes());
        assert!(days.len() < 2);
        let day = days.first()?;
        let octets = day.event(CONTACT, &format!("{} ({:?})", day.name, day.year), Timestamp::UNIX_EPOCH);
        assert!(
            !admit(&Bytes::from(octets.clone()), Timestamp::UNIX_EPOCH, &Limits::default()).unwrap().altered
        );
        Some(String::from_utf8(octets).unwrap())
    }

    fn start_and_rule(line: &str) -> Option<(String, String)> {
        let event = event(line)?;
        let value = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        Some((value("DTSTART;VALUE=DATE:"), value("RRULE:")))
    }

    /// CAL-46: the event, whole.
    #[test]
    fn a_birthday_is_an_event() {
        let id = Uuid::from_bytes([7; 16]);
        assert_eq!(
            event("BDAY;VALUE=date:1985-04-12").unwrap(),
            format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:{PRODID}\r\nCALSCALE:GREGORIAN\r\nBEGIN:VEVENT\r\nUID:{id}-birthday\r\n\
                 DTSTAMP:19700101T000000Z\r\nDTSTART;VALUE=DATE:19850412\r\nDURATION:P1D\r\nRRULE:FREQ=YEARLY\r\n\
                 SUMMARY:Jane\\, Doe (Some(1985))\r\nTRANSP:TRANSPARENT\r\nX-CARDKEEP-CONTACT:u\\\\\\,1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            )
        );
    }

    /// CAL-46, VC-20, VC-23: every spelling of a date, without a year, in both versions.
    #[test]
    fn dates_of_both_versions() {
        for (line, start) in [
            ("BDAY:19850412", "19850412"),
            ("BDAY:1985-04-12T00:00:00Z", "19850412"),
            ("item1.BDAY:19850412T102200-0800", "19850412"),
            ("BDAY:--0412", "19720412"),
            ("BDAY:--04-12", "19720412"),
            ("BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12", "19720412"),
            ("BDAY;X-APPLE-OMIT-YEAR=1900:1900-04-12", "19720412"),
            ("BDAY:0000-04-12", "19720412"),
            ("DEATHDATE:20210101", "20210101"),
            ("ANNIVERSARY:20100102", "20100102"),
            ("X-ANNIVERSARY:2010-01-02", "20100102"),
            ("X-EVOLUTION-ANNIVERSARY:2010-01-02", "20100102"),
            ("item1.X-ABDATE;type=pref:2010-01-02\r\nitem1.X-ABLabel:_$!<Anniversary>!$_", "20100102"),
            ("BDAY:1985\r\nBDAY:1985-04-12\r\nBDAY:1986-04-12", "19850412"),
        ] {
            assert_eq!(start_and_rule(line), Some((start.to_owned(), "FREQ=YEARLY".to_owned())), "{line}");
        }
        let last = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1".to_owned();
        assert_eq!(start_and_rule("BDAY:--02-29"), Some(("19720229".to_owned(), last.clone())));
        assert_eq!(start_and_rule("BDAY:19840229"), Some(("19840229".to_owned(), last)));
    }

    #[test]
    fn what_is_no_day() {
        for line in [
            "NOTE:1985-04-12",
            "BDAY:1985-04",
            "BDAY:---12",
            "BDAY;VALUE=text:1985-04-12",
            "BDAY:circa 1800",
            "BDAY:--0431",
            "BDAY:19850229",
            "BDAY:",
            "item1.X-ABDATE:2010-01-02\r\nitem2.X-ABLabel:_$!<Anniversary>!$_",
            "X-ABDATE:2010-01-02\r\nX-ABLabel:_$!<Anniversary>!$_",
        ] {
            assert_eq!(start_and_rule(line), None, "{line}");
        }
        assert!(days(b"BEGIN:VCARD\r\nFN:\r\nBDAY:19850412\r\nEND:VCARD\r\n").is_empty());
    }

    #[test]
    fn a_card_has_a_day_for_each_occasion() {
        let days = days(card("DEATHDATE:20210101\r\nBDAY:19850412\r\nANNIVERSARY:20100102\r\n").as_bytes());
        let uids: Vec<_> = days.iter().map(|day| day.occasion.uid(CONTACT)).collect();
        assert_eq!(days.iter().map(|day| day.occasion).collect::<Vec<_>>(), Occasion::ALL);
        assert!(uids.iter().zip(Occasion::ALL).all(|(uid, occasion)| uid.ends_with(occasion.word())));
        assert_eq!(format!("{:?}", days[0]), "Day(…)");
    }

    proptest! {
        #[test]
        fn any_date_makes_an_event_or_none(value in "[-0-9T:]{0,20}|[0-9]{4}-?[0-9]{2}-?[0-9]{2}|\\PC{0,20}", name in "\\PC{1,20}") {
            let card = format!("BEGIN:VCARD\r\nFN:{name}\r\nBDAY:{value}\r\nEND:VCARD\r\n");
            for day in days(card.as_bytes()) {
                let event = Bytes::from(day.event(CONTACT, &day.name, Timestamp::UNIX_EPOCH));
                let admitted = admit(&event, Timestamp::UNIX_EPOCH, &Limits::default()).unwrap();
                prop_assert!(!admitted.altered);
            }
        }
    }
}
