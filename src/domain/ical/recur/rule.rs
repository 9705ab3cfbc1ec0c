//! An RRULE as it is written (RFC 5545 §3.3.10), read as tolerantly as it can be understood: in
//! any case and order, with blanks, unknown parts left out. Knows no start and no time zone.

use crate::domain::ical::time::{Form, Stamp};

/// How often, the largest unit first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Frequency {
    /// Every so many years.
    Yearly,
    /// Every so many months.
    Monthly,
    /// Every so many weeks.
    Weekly,
    /// Every so many days.
    Daily,
    /// Every so many hours.
    Hourly,
    /// Every so many minutes.
    Minutely,
    /// Every so many seconds.
    Secondly,
}

impl Frequency {
    /// Every frequency, the largest unit first.
    pub const ALL: [Self; 7] = [
        Self::Yearly,
        Self::Monthly,
        Self::Weekly,
        Self::Daily,
        Self::Hourly,
        Self::Minutely,
        Self::Secondly,
    ];

    /// The value of FREQ.
    pub fn word(self) -> &'static str {
        match self {
            Self::Yearly => "YEARLY",
            Self::Monthly => "MONTHLY",
            Self::Weekly => "WEEKLY",
            Self::Daily => "DAILY",
            Self::Hourly => "HOURLY",
            Self::Minutely => "MINUTELY",
            Self::Secondly => "SECONDLY",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|frequency| text.eq_ignore_ascii_case(frequency.word()))
    }
}

/// Small numbers, negative ones counted from the end: bits, so that no list is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    forward: [u64; 6],
    backward: [u64; 6],
}

impl Numbers {
    /// Adds a number; one that is too large is left out.
    pub fn insert(&mut self, number: i64) {
        let side = if number < 0 { &mut self.backward } else { &mut self.forward };
        if let Some(word) = usize::try_from(number.abs() / 64).ok().and_then(|at| side.get_mut(at)) {
            *word |= 1 << (number.abs() % 64);
        }
    }

    /// Whether the number is in it.
    pub fn has(&self, number: i64) -> bool {
        let side = if number < 0 { &self.backward } else { &self.forward };
        usize::try_from(number.abs() / 64)
            .ok()
            .and_then(|at| side.get(at))
            .is_some_and(|word| word & (1 << (number.abs() % 64)) != 0)
    }

    /// Whether it holds the `place`th of `count` things, counted from 1 or back from the end.
    pub fn has_place(&self, place: i64, count: i64) -> bool {
        self.has(place) || self.has(place - count - 1)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.forward == [0; 6] && self.backward == [0; 6]
    }

    /// The numbers from the lowest to the highest.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        // Most lists are empty, and every word of bits of a short one but the first.
        let of = |words: &[u64; 6]| words.iter().rposition(|word| *word != 0).map_or(0, |at| at + 1);
        let (least, most) = (of(&self.backward) * 64, of(&self.forward) * 64);
        let end = |count: usize| i64::try_from(count).unwrap_or(0);
        (-end(least)..end(most)).filter(|number| self.has(*number))
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// FREQ.
    pub frequency: Frequency,
    /// INTERVAL, at least 1.
    pub interval: i64,
    /// COUNT: how many instances there are, the start among them.
    pub count: Option<i64>,
    /// UNTIL: the last moment at which an instance may begin.
    pub until: Option<Stamp>,
    /// WKST, from Monday, 0, to Sunday, 6.
    pub week_start: i64,
    /// BYMONTH.
    pub months: Numbers,
    /// BYWEEKNO.
    pub weeks: Numbers,
    /// BYYEARDAY.
    pub year_days: Numbers,
    /// BYMONTHDAY.
    pub month_days: Numbers,
    /// BYDAY without numbers, a bit for each day from Monday.
    pub weekdays: u8,
    /// BYDAY with numbers, for each day from Monday.
    pub nth_weekdays: [Numbers; 7],
    /// BYHOUR.
    pub hours: Numbers,
    /// BYMINUTE.
    pub minutes: Numbers,
    /// BYSECOND, 60 as 59.
    pub seconds: Numbers,
    /// BYSETPOS.
    pub positions: Numbers,
}

/// The days of the week as BYDAY and WKST name them.
const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

impl Rule {
    /// Reads a rule. `None` where it has no FREQ that is known, or a part that it knows has no
    /// value that it could mean: then only DTSTART is left (ICAL-3).
    pub fn parse(text: &str) -> Option<Self> {
        let parts = || {
            text.split(';').filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value))
        };
        let (_, frequency) = parts().find(|(name, _)| name.eq_ignore_ascii_case("FREQ"))?;
        let mut rule = Self {
            frequency: Frequency::parse(frequency.trim())?,
            interval: 1,
            count: None,
            until: None,
            week_start: 0,
            months: Numbers::default(),
            weeks: Numbers::default(),
            year_days: Numbers::default(),
            month_days: Numbers::default(),
            weekdays: 0,
            nth_weekdays: [Numbers::default(); 7],
            hours: Numbers::default(),
            minutes: Numbers::default(),
            seconds: Numbers::default(),
            positions: Numbers::default(),
        };
        for (name, value) in parts() {
            rule.part(&name.to_ascii_uppercase(), value.trim())?;
        }
        Some(rule)
    }

    fn part(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "INTERVAL" => self.interval = number(value)?.max(1),
            "COUNT" => self.count = Some(number(value)?.max(1)),
            "UNTIL" => self.until = Some(Stamp::parse(value)?),
            "WKST" => self.week_start = weekday(value)?,
            "BYMONTH" => self.months = numbers(value, 1, 12, false)?,
            "BYWEEKNO" => self.weeks = numbers(value, 1, 53, true)?,
            "BYYEARDAY" => self.year_days = numbers(value, 1, 366, true)?,
            "BYMONTHDAY" => self.month_days = numbers(value, 1, 31, true)?,
            "BYDAY" => self.by_day(value)?,
            "BYHOUR" => self.hours = numbers(value, 0, 23, false)?,
            "BYMINUTE" => self.minutes = numbers(value, 0, 59, false)?,
            "BYSECOND" => self.seconds = numbers(value, 0, 59, false)?,
            "BYSETPOS" => self.positions = numbers(value, 1, 366, true)?,
            _ => {}
        }
        Some(())
    }

    /// `MO,-1FR`. Only months and years have an nth weekday; elsewhere, and beside BYWEEKNO, where
    /// a number must not stand, only the day is taken.
    fn by_day(&mut self, value: &str) -> Option<()> {
        let mut any = false;
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let at = item.len().checked_sub(2)?;
            let day = weekday(item.get(at..)?)?;
            let place = item.get(..at).map(str::trim).filter(|place| !place.is_empty());
            match place.map(number) {
                Some(Some(place)) if (1..=53).contains(&place.abs()) => {
                    self.nth_weekdays.get_mut(usize::try_from(day).ok()?)?.insert(place);
                }
                Some(_) => continue,
                None => self.weekdays |= 1 << day,
            }
            any = true;
        }
        any.then_some(())
    }

    /// Whether some weekday is asked for by its number.
    pub fn has_nth(&self) -> bool {
        self.nth_weekdays.iter().any(|numbers| !numbers.is_empty())
    }

    /// Every weekday that BYDAY names, numbered or not, a bit for each from Monday.
    pub fn named_weekdays(&self) -> u8 {
        let numbered = self.nth_weekdays.iter().enumerate().filter(|(_, numbers)| !numbers.is_empty());
        numbered.fold(self.weekdays, |days, (day, _)| days | 1 << day)
    }

    /// Whether UNTIL is a date, which means the whole day.
    pub fn until_is_date(&self) -> bool {
        self.until.is_some_and(|until| until.form == Form::Date)
    }
}

/// A number with a sign, cut where it is too large for anything.
fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(sign * digits.parse::<i64>().unwrap_or(i64::MAX).min(1 << 48))
}

/// A list; numbers out of range are left out. RFC 7529's leap months (`5L`) are none of ours. A
/// list of which nothing is left means nothing that could be done.
fn numbers(text: &str, least: i64, most: i64, signed: bool) -> Option<Numbers> {
    let mut out = Numbers::default();
    for item in text.split(',') {
        let Some(number) = number(item) else { continue };
        // Second 60 is a leap second, which no clock here shows (§3.3.5).
        let number = if (least, most, number) == (0, 59, 60) { 59 } else { number };
        if (least..=most).contains(&number) || (signed && (least..=most).contains(&-number)) {
            out.insert(number);
        }
    }
    (!out.is_empty()).then_some(out)
}

fn weekday(text: &str) -> Option<i64> {
    let at = WEEKDAYS.iter().position(|day| text.trim().eq_ignore_ascii_case(day))?;
    i64::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// ICAL-3: what is understood is read, what is not is left out, what is broken is no rule.
    #[test]
    fn rules_are_read_tolerantly() {
        let rule = Rule::parse(
            " freq = weekly ; interval=2;ByDay= mo , -1fr;wkst=SU;X-A=1;RSCALE=GREGORIAN;;SKIP=OMIT",
        )
        .unwrap();
        assert_eq!((rule.frequency, rule.interval, rule.week_start), (Frequency::Weekly, 2, 6));
        assert_eq!((rule.weekdays, rule.named_weekdays(), rule.has_nth()), (1, 0b1_0001, true));
        let rule = Rule::parse(
            "BYMONTHDAY=1,-1,0,32,x;COUNT=0;FREQ=MONTHLY;UNTIL=20260101;BYSECOND=60;BYMONTH=5L,6",
        )
        .unwrap();
        assert_eq!(rule.month_days.iter().collect::<Vec<_>>(), [-1, 1]);
        assert_eq!((rule.count, rule.until_is_date()), (Some(1), true));
        assert!(rule.seconds.has(59) && rule.months.has(6) && !rule.months.has(5));
        let rule = Rule::parse("FREQ=DAILY;INTERVAL=99999999999999999999;COUNT=1000000000").unwrap();
        assert_eq!((rule.interval, rule.count), (1 << 48, Some(1_000_000_000)));
        assert_eq!(Rule::parse("FREQ=DAILY;INTERVAL=0").unwrap().interval, 1);
        for broken in [
            "",
            "FREQ",
            "FREQ=",
            "FREQ=FORTNIGHTLY",
            "COUNT=3",
            "FREQ=DAILY;COUNT=many",
            "FREQ=DAILY;UNTIL=later",
            "FREQ=DAILY;BYDAY=XX",
            "FREQ=DAILY;BYDAY=",
            "FREQ=DAILY;BYMONTH=13",
            "FREQ=DAILY;BYHOUR=-1",
            "FREQ=DAILY;INTERVAL=1.5",
        ] {
            assert_eq!(Rule::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn places_count_from_both_ends() {
        let days = numbers("1,-1,-31", 1, 31, true).unwrap();
        let of = |count| (1..=count).filter(|place| days.has_place(*place, count)).collect::<Vec<_>>();
        assert_eq!((of(30), of(31)), (vec![1, 30], vec![1, 31]));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[A-Z0-9=;,+-]{0,60}", tail in ".{0,30}") {
            let _ = Rule::parse(&text);
            let _ = Rule::parse(&format!("FREQ=DAILY;{text}"));
            let _ = Rule::parse(&format!("FREQ=YEARLY;BYDAY={tail}"));
        }
    }
}
