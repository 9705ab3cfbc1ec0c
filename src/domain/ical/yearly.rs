//! When a day of the year comes back, by arithmetic: whether it falls in a time range is told without an
//! object and without a rule. Knows no zone, so it tells what holds in every zone and what in none.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

use super::overlap::Range;

/// How many days a range's edge may be from where it is in UTC: a zone is not a day ahead or behind, the
/// edge may be at any time of its day, and the day itself goes on for one.
const MARGIN: i32 = 3;

/// From this year on there may be no next time that can be told.
const LAST: i16 = 9_998;

/// A day that comes back each year from its first on; 29 February on the last of February.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Yearly {
    first: i16,
    month: i8,
    day: i8,
}

crate::hidden!(Yearly);

impl Yearly {
    /// From that date on, which there must be.
    pub fn since(year: u16, month: u8, day: u8) -> Option<Self> {
        let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
        Some(Self { first: date.year(), month: date.month(), day: date.day() })
    }

    /// Whether it may be in the range, in whatever zone; a range that says nothing has every day in it.
    pub fn may_be_in(self, range: &Range) -> bool {
        let from = range.start.map(|start| shifted(start, -MARGIN));
        let to = range.end.map(|end| shifted(end, MARGIN));
        self.is_between(from, to) || from.is_some_and(|from| from.year() >= LAST)
    }

    /// Whether it is in the range in every zone.
    pub fn surely_is_in(self, range: &Range) -> bool {
        let from = range.start.map(|start| shifted(start, MARGIN));
        let to = range.end.map(|end| shifted(end, -MARGIN));
        self.is_between(from, to)
    }

    /// Whether it comes back between these dates, both of which count.
    fn is_between(self, from: Option<Date>, to: Option<Date>) -> bool {
        let first = from.map_or(self.first, |from| from.year().max(self.first));
        // The next time is in the first of these years, or in the one after it.
        let mut next = (first..=first.saturating_add(1)).filter_map(|year| self.of(year));
        next.find(|date| from.is_none_or(|from| from <= *date))
            .is_some_and(|date| to.is_none_or(|to| date <= to))
    }

    fn of(self, year: i16) -> Option<Date> {
        let common = || Date::new(year, self.month, 28);
        Date::new(year, self.month, self.day).or_else(|_| common()).ok()
    }
}

fn shifted(edge: Timestamp, days: i32) -> Date {
    Offset::UTC.to_datetime(edge).date().saturating_add(days.days())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Limits;
    use super::super::filter::{ComponentCondition, ComponentFilter, Filter};
    use super::super::tree::parse;
    use super::super::zone::{Zone, Zones};
    use super::*;
    use crate::domain::ical::birthday::days;
    use crate::domain::id::ContactId;

    /// What the filter says of the event that is made of such a card.
    fn judged(date: &str, range: Range, zone: &Zone) -> bool {
        let card = format!("BEGIN:VCARD\r\nFN:x\r\nBDAY:{date}\r\nEND:VCARD\r\n");
        let day = days(card.as_bytes()).remove(0);
        let octets = day.event(ContactId::from_bytes([7; 16]), "x", Timestamp::UNIX_EPOCH);
        let condition =
            ComponentCondition::Defined { range: Some(range), properties: vec![], components: vec![] };
        let components = vec![ComponentFilter { name: "VEVENT".into(), condition }];
        let condition = ComponentCondition::Defined { range: None, properties: vec![], components };
        let filter = Filter(ComponentFilter { name: "VCALENDAR".into(), condition });
        let object = parse(&octets, &Limits::default()).unwrap();
        filter.matches(&object, &Zones::new(zone.clone()))
    }

    fn range(from: &str, to: &str) -> Range {
        let edge = |text: &str| (!text.is_empty()).then(|| format!("{text}T00:00:00Z").parse().unwrap());
        Range { start: edge(from), end: edge(to) }
    }

    #[test]
    fn a_day_comes_back_each_year() {
        let leap = Yearly::since(1972, 2, 29).unwrap();
        let eve = Yearly::since(1985, 12, 31).unwrap();
        for (day, from, to, may, surely) in [
            (leap, "2023-02-01", "2023-03-10", true, true),
            (leap, "2023-03-04", "2023-03-31", false, false),
            (leap, "2024-02-01", "2024-03-10", true, true),
            (leap, "2023-03-01", "2023-03-31", true, false),
            (leap, "1960-01-01", "1971-12-31", false, false),
            (eve, "2020-12-20", "2021-01-10", true, true),
            (eve, "2021-01-01", "2021-02-01", true, false),
            (eve, "2021-01-05", "2021-02-01", false, false),
            (eve, "", "1985-12-01", false, false),
            (eve, "", "1986-01-10", true, true),
            (eve, "2500-06-01", "", true, true),
            (eve, "2020-03-01", "2020-03-31", false, false),
            (eve, "", "", true, true),
        ] {
            let range = range(from, to);
            assert_eq!((day.may_be_in(&range), day.surely_is_in(&range)), (may, surely), "{from} {to}");
        }
        assert!(Yearly::since(1985, 2, 29).is_none());
        assert_eq!(format!("{leap:?}"), "Yearly(…)");
    }

    proptest! {
        /// What the arithmetic excludes is not in the range, and what it is sure of is, in any zone.
        #[test]
        fn arithmetic_never_contradicts_the_rule(
            year in prop_oneof![Just(None), (1_u16..=9999).prop_map(Some), (1900_u16..2040).prop_map(Some)],
            (month, day) in prop_oneof![(1_u8..=12, 1_u8..=28), Just((2, 29)), Just((12, 31)), Just((1, 1))],
            start in prop_oneof![
                Just(None),
                (-62_000_000_000_i64..253_000_000_000).prop_map(Some),
                (0_i64..2_000_000_000).prop_map(Some),
            ],
            length in prop_oneof![Just(None), (1_i64..100_000_000).prop_map(Some), (1_i64..3_000_000).prop_map(Some)],
            zone in prop_oneof![
                Just("UTC"), Just("Pacific/Kiritimati"), Just("Etc/GMT+12"), Just("Europe/Berlin"),
            ],
        ) {
            let leap = (month, day) == (2, 29);
            prop_assume!(year.is_none_or(|year| !leap || Yearly::since(year, 2, 29).is_some()));
            let date = match year {
                Some(year) => format!("{year:04}{month:02}{day:02}"),
                None => format!("--{month:02}{day:02}"),
            };
            let end = length.map(|length| Timestamp::from_second(start.unwrap_or(1_000_000_000) + length).unwrap());
            let range = Range { start: start.map(|start| Timestamp::from_second(start).unwrap()), end };
            let yearly = Yearly::since(year.unwrap_or(1972), month, day).unwrap();
            let judged = judged(&date, range, &Zone::named(zone).unwrap());
            prop_assert!(yearly.may_be_in(&range) || !judged);
            prop_assert!(!yearly.surely_is_in(&range) || judged);
            prop_assert!(!yearly.surely_is_in(&range) || yearly.may_be_in(&range));
        }
    }
}
