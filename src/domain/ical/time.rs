//! The dates and times of iCalendar: DATE, DATE-TIME in its three forms, DURATION and PERIOD
//! (RFC 5545 §3.3.4 to §3.3.9). Reads what clients write, strict or not. Knows no time zone's
//! rules and no property by name.

use jiff::civil::{Date, DateTime, Time};

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// What a clock on the wall shows: seconds since 1970-01-01T00:00:00 of that clock. Recurrences
/// are counted on the wall; only a zone makes an instant of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil(pub i64);

impl Civil {
    /// The first moment that is told: 0001-01-01. What is earlier is cut.
    pub const MIN: Self = Self(-719_162 * DAY);
    /// The last moment that is told: 9999-12-31T23:59:59.
    pub const MAX: Self = Self(2_932_897 * DAY - 1);

    /// The moment as a date and time, cut to what can be told.
    pub fn datetime(self) -> DateTime {
        let at = self.clamped();
        let (year, month, day) = date_of(at.day());
        let date = Date::new(clamp_to(year), clamp_to(month), clamp_to(day)).unwrap_or(Date::MAX);
        let second = at.0.rem_euclid(DAY);
        let time = Time::new(clamp_to(second / 3600), clamp_to(second / 60 % 60), clamp_to(second % 60), 0);
        date.to_datetime(time.unwrap_or(Time::MIN))
    }

    /// Days since 1970-01-01.
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// Midnight of that day.
    pub fn midnight(self) -> Self {
        Self(self.day().saturating_mul(DAY))
    }

    /// So many seconds later.
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds)).clamped()
    }

    /// The nearest moment that can be told.
    pub fn clamped(self) -> Self {
        self.clamp(Self::MIN, Self::MAX)
    }
}

impl From<DateTime> for Civil {
    fn from(at: DateTime) -> Self {
        let date = at.date();
        let day = day_of(i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
        let time = at.time();
        let second = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        Self(day * DAY + second)
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Years begin in March here, so that
/// the leap day is the last one and months have a regular length.
pub fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01: [`day_of`] backwards.
pub fn date_of(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = (shifted_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// Whether the year has a 29 February.
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// How many days the month has.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn clamp_to<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

/// How a value names its time (RFC 5545 §3.3.4, §3.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// A DATE: the whole day, wherever one is.
    Date,
    /// A DATE-TIME without a zone: the same clock wherever one is.
    Floating,
    /// A DATE-TIME in UTC.
    Utc,
    /// A DATE-TIME whose property names a zone.
    Zoned,
}

/// A DATE or DATE-TIME as it is written; `TZID` is the property's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// What the clock shows; midnight for a DATE.
    pub civil: Civil,
    /// `Date`, `Floating` or `Utc`: [`Form::Zoned`] is for who has read the parameters.
    pub form: Form,
}

impl Stamp {
    /// Reads `20260401`, `20260401T120000`, `20260401T120000Z`; also without seconds, with
    /// hyphens and colons, and second 60 as 59 (§3.3.5). A `T24…` is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, time) = match text.find(['T', 't']) {
            Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
            None => (text, None),
        };
        let date = Digits::of(date, '-')?;
        let (8, [year, month, day]) =
            (date.count, [date.number(0, 4)?, date.number(4, 2)?, date.number(6, 2)?])
        else {
            return None;
        };
        if year == 0 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        let midnight = Civil(day_of(year, month, day) * DAY);
        let Some(time) = time else { return Some(Self { civil: midnight, form: Form::Date }) };
        let (time, form) = match time.strip_suffix(['Z', 'z']) {
            Some(time) => (time, Form::Utc),
            None => (time, Form::Floating),
        };
        let time = Digits::of(time, ':')?;
        let (hour, minute) = (time.number(0, 2)?, time.number(2, 2)?);
        let second = match time.count {
            4 => 0,
            6 => time.number(4, 2)?.min(59),
            _ => return None,
        };
        if hour > 23 || minute > 59 {
            return None;
        }
        Some(Self { civil: midnight.plus(hour * 3600 + minute * 60 + second), form })
    }
}

/// Up to fourteen digits of a text, hyphens or colons between them left out.
struct Digits {
    digits: [u8; 14],
    count: usize,
}

impl Digits {
    fn of(text: &str, separator: char) -> Option<Self> {
        let mut out = Self { digits: [0; 14], count: 0 };
        for c in text.trim().chars().filter(|c| *c != separator) {
            *out.digits.get_mut(out.count)? = u8::try_from(c.to_digit(10)?).ok()?;
            out.count += 1;
        }
        Some(out)
    }

    fn number(&self, from: usize, length: usize) -> Option<i64> {
        let digits = self.digits.get(from..from + length).filter(|_| from + length <= self.count)?;
        Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(*digit)))
    }
}

/// A DURATION (RFC 5545 §3.3.6). Days are days of the calendar, whatever the clocks do meanwhile;
/// hours, minutes and seconds are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Length {
    /// Days, weeks among them.
    pub days: i64,
    /// Seconds, hours and minutes among them.
    pub seconds: i64,
}

impl Length {
    /// No time at all.
    pub const ZERO: Self = Self { days: 0, seconds: 0 };
    /// One day: how long a DATE lasts (RFC 4791 §9.9).
    pub const DAY: Self = Self { days: 1, seconds: 0 };
    /// The longest that is told, in days: twenty thousand years would be more than all.
    const MOST_DAYS: i64 = 4_000_000;

    /// Reads `P1W`, `-PT15M`, `P1DT2H`; also lower case, blanks around and units in any order.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, text) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let text = text.strip_prefix(['P', 'p'])?;
        let (mut days, mut seconds): (i64, i64) = (0, 0);
        let (mut number, mut any) = (None::<i64>, false);
        for c in text.chars() {
            if let Some(digit) = c.to_digit(10) {
                number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(i64::from(digit)));
                continue;
            }
            if c.eq_ignore_ascii_case(&'T') && number.is_none() {
                continue;
            }
            let count = number.take()?;
            match c.to_ascii_uppercase() {
                'W' => days = days.saturating_add(count.saturating_mul(7)),
                'D' => days = days.saturating_add(count),
                'H' => seconds = seconds.saturating_add(count.saturating_mul(3600)),
                'M' => seconds = seconds.saturating_add(count.saturating_mul(60)),
                'S' => seconds = seconds.saturating_add(count),
                _ => return None,
            }
            any = true;
        }
        let most = Self::MOST_DAYS;
        let length = Self { days: sign * days.min(most), seconds: sign * seconds.min(most * DAY) };
        (any && number.is_none()).then_some(length)
    }

    /// Whether it goes forward.
    pub fn is_positive(self) -> bool {
        self.about() > 0
    }

    /// The seconds it has where each day has 24 hours.
    pub fn about(self) -> i64 {
        self.days * DAY + self.seconds
    }
}

/// A PERIOD (RFC 5545 §3.3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// Where it begins.
    pub start: Stamp,
    /// Where it ends.
    pub end: PeriodEnd,
}

/// The two ways in which a period says its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeriodEnd {
    /// By a date and time.
    At(Stamp),
    /// By how long it lasts.
    After(Length),
}

impl Period {
    /// Reads `start/end` and `start/duration`.
    pub fn parse(text: &str) -> Option<Self> {
        let (start, end) = text.split_once('/')?;
        let end = match Length::parse(end) {
            Some(length) => PeriodEnd::After(length),
            None => PeriodEnd::At(Stamp::parse(end)?),
        };
        Some(Self { start: Stamp::parse(start)?, end })
    }
}

/// Reads a UTC offset such as `+0100`, `-053028`, also `+01:00` (RFC 5545 §3.3.14), in seconds.
pub fn parse_offset(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = Digits::of(digits, ':')?;
    let (hours, minutes) = (digits.number(0, 2)?, digits.number(2, 2).unwrap_or(0));
    let seconds = digits.number(4, 2).unwrap_or(0);
    let known = matches!(digits.count, 2 | 4 | 6) && hours <= 24 && minutes < 60 && seconds < 60;
    known.then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp(text: &str) -> Option<(String, Form)> {
        Stamp::parse(text).map(|s| (s.civil.datetime().to_string(), s.form))
    }

    #[test]
    fn ical_3_dates_and_times() {
        let is = |text: &str, time: &str, form| assert_eq!(stamp(text), Some((time.into(), form)), "{text}");
        is("20260401", "2026-04-01T00:00:00", Form::Date);
        is("20260401T123456", "2026-04-01T12:34:56", Form::Floating);
        is("20260401T123456Z", "2026-04-01T12:34:56", Form::Utc);
        is(" 2026-04-01t12:34z ", "2026-04-01T12:34:00", Form::Utc);
        is("19970630T235960Z", "1997-06-30T23:59:59", Form::Utc);
        is("20240229", "2024-02-29T00:00:00", Form::Date);
        is("99991231T235959", "9999-12-31T23:59:59", Form::Floating);
        is("00010101", "0001-01-01T00:00:00", Form::Date);
        for broken in [
            "",
            "T",
            "2026",
            "20260230",
            "20250229",
            "20261301",
            "00000101",
            "20260401T",
            "20260401T24",
            "20260401T240000",
            "20260401T126000",
            "20260401T1200000",
            "20260401T120000+0100",
            "2026040١",
        ] {
            assert_eq!(stamp(broken), None, "{broken}");
        }
    }

    #[test]
    fn durations_periods_and_offsets() {
        let length = |days, seconds| Some(Length { days, seconds });
        for (text, meant) in [
            ("P1W", length(7, 0)),
            ("-PT15M", length(0, -900)),
            ("+P15DT5H0M20S", length(15, 18_020)),
            ("p1dt1h", length(1, 3600)),
            ("PT0S", length(0, 0)),
            ("P99999999999999999999D", length(4_000_000, 0)),
            ("P", None),
            ("P1", None),
            ("PT", None),
            ("1D", None),
            ("P1Y", None),
            ("PD", None),
        ] {
            assert_eq!(Length::parse(text), meant, "{text}");
        }
        let period = Period::parse("19970101T180000Z/PT5H30M").unwrap();
        assert_eq!(period.end, PeriodEnd::After(Length { days: 0, seconds: 19_800 }));
        let period = Period::parse("19970101T180000Z/19970102T070000Z").unwrap();
        assert!(matches!(period.end, PeriodEnd::At(end) if end.civil > period.start.civil));
        assert_eq!(Period::parse("19970101T180000Z"), None);
        let offsets = ["+0100", "-0530", "+053028", "-00:30", "0200", "+01", "+9900", "+", "x"];
        let read: Vec<_> = offsets.iter().map(|text| parse_offset(text)).collect();
        let meant = [Some(3600), Some(-19_800), Some(19_828), Some(-1800), Some(7200), Some(3600)];
        assert_eq!(read, [&meant[..], &[None; 3]].concat());
    }

    proptest! {
        /// Our days are jiff's days.
        #[test]
        fn days_are_those_of_the_calendar(day in Civil::MIN.day()..=Civil::MAX.day(), second in 0..DAY) {
            let (year, month, of_month) = date_of(day);
            prop_assert_eq!(day_of(year, month, of_month), day);
            let at = Civil(day * DAY + second);
            prop_assert_eq!(Civil::from(at.datetime()), at);
            let epoch = jiff::civil::date(1970, 1, 1);
            let days = at.datetime().date().since(epoch).unwrap().get_days();
            prop_assert_eq!(i64::from(days), day);
            prop_assert_eq!(i64::from(at.datetime().date().days_in_month()), days_in_month(year, month));
        }

        #[test]
        fn any_text_is_survived(text in "[-+PpTtZz0-9WDHMS:/ é]{0,24}", any in ".{0,20}") {
            for text in [text, any] {
                let _ = (Stamp::parse(&text), Length::parse(&text), Period::parse(&text), parse_offset(&text));
            }
        }
    }
}
