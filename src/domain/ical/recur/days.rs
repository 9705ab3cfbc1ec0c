//! Which days a rule asks for: BYMONTH, BYWEEKNO, BYYEARDAY, BYMONTHDAY and BYDAY over the days of
//! one year, month, week or day (RFC 5545 §3.3.10, the table). Knows no time of the day.

use super::rule::{Frequency, Rule};
use crate::domain::ical::time::{date_of, day_of, days_in_month, is_leap};

/// The day parts of a rule, what it does not say taken from its start.
#[derive(Debug, Clone)]
pub struct Days {
    rule: Rule,
    /// Whether the nth weekday is one of the month and not of the year.
    nth_of_month: bool,
    /// Which parts there are: asked for each day, so worked out once.
    has: Has,
}

/// Which parts a rule has.
#[derive(Debug, Clone, Copy)]
struct Has {
    months: bool,
    weeks: bool,
    year_days: bool,
    month_days: bool,
    weekdays: bool,
    nth: bool,
}

/// A day with what the parts ask about it.
struct Day {
    number: i64,
    year: i64,
    month: i64,
    of_month: i64,
}

impl Days {
    /// The days of `rule` for something that starts on the day `start`.
    pub fn new(rule: &Rule, start: i64) -> Self {
        let mut rule = rule.clone();
        let (_, month, day) = date_of(start);
        let without_nth = rule.frequency > Frequency::Monthly
            || (rule.frequency == Frequency::Yearly && !rule.weeks.is_empty());
        if without_nth {
            rule.weekdays = rule.named_weekdays();
            rule.nth_weekdays = Default::default();
        }
        // "Information, not contained in the rule, [is] derived from the Start Time" (§3.3.10).
        let named = rule.named_weekdays() != 0 || !rule.month_days.is_empty() || !rule.year_days.is_empty();
        if !named {
            match rule.frequency {
                Frequency::Yearly if !rule.weeks.is_empty() => rule.weekdays = 1 << weekday(start),
                Frequency::Yearly => {
                    if rule.months.is_empty() {
                        rule.months.insert(month);
                    }
                    rule.month_days.insert(day);
                }
                Frequency::Monthly => rule.month_days.insert(day),
                Frequency::Weekly => rule.weekdays = 1 << weekday(start),
                _ => {}
            }
        }
        let nth_of_month = rule.frequency == Frequency::Monthly || !rule.months.is_empty();
        let has = Has {
            months: !rule.months.is_empty(),
            weeks: !rule.weeks.is_empty(),
            year_days: !rule.year_days.is_empty(),
            month_days: !rule.month_days.is_empty(),
            weekdays: rule.named_weekdays() != 0,
            nth: rule.has_nth(),
        };
        Self { rule, nth_of_month, has }
    }

    /// Whether no day can ever be meant, as with 31 February.
    pub fn are_none(&self) -> bool {
        let (months, days) = (&self.rule.months, &self.rule.month_days);
        if months.is_empty() || days.is_empty() {
            return false;
        }
        // 2000 is a leap year.
        let longest = |month| days_in_month(2000, month);
        let exists = |month: i64| (1..=longest(month)).any(|day| days.has(day) || days.has(-day));
        !(1..=12).any(|month| months.has(month) && exists(month))
    }

    /// Whether the day is asked for.
    pub fn fit(&self, number: i64) -> bool {
        let (year, month, of_month) = date_of(number);
        self.fits(&Day { number, year, month, of_month })
    }

    /// The first day from `number` on that may be asked for: `number` itself, or the first one of
    /// the next month that the rule names.
    pub fn next_candidate(&self, number: i64) -> i64 {
        if !self.has.months {
            return number;
        }
        let (year, month, _) = date_of(number);
        if self.rule.months.has(month) {
            return number;
        }
        let later = (month + 1..=12).find(|month| self.rule.months.has(*month));
        match later.or_else(|| (1..=12).find(|month| self.rule.months.has(*month))) {
            Some(month) => day_of(year + i64::from(later.is_none()), month, 1),
            None => number,
        }
    }

    /// Adds the days of the year that are asked for, in order; tells how many were looked at.
    pub fn of_year(&self, year: i64, out: &mut Vec<i64>) -> u64 {
        (1..=12).map(|month| self.of_month(year, month, out)).sum()
    }

    /// Adds the days of the month that are asked for.
    pub fn of_month(&self, year: i64, month: i64, out: &mut Vec<i64>) -> u64 {
        if self.has.months && !self.rule.months.has(month) {
            return 1;
        }
        let first = day_of(year, month, 1);
        let length = days_in_month(year, month);
        let days = (1..=length).map(|of_month| Day { number: first + of_month - 1, year, month, of_month });
        out.extend(days.filter(|day| self.fits(day)).map(|day| day.number));
        length.unsigned_abs()
    }

    /// Adds the days of the week that begins on the day `first`.
    pub fn of_week(&self, first: i64, out: &mut Vec<i64>) -> u64 {
        out.extend((first..first + 7).filter(|day| self.fit(*day)));
        7
    }

    fn fits(&self, day: &Day) -> bool {
        let (rule, has) = (&self.rule, self.has);
        (!has.months || rule.months.has(day.month))
            && (!has.weekdays || self.is_weekday(day))
            && (!has.month_days
                || rule.month_days.has_place(day.of_month, days_in_month(day.year, day.month)))
            && (!has.year_days || {
                let of_year = day.number - day_of(day.year, 1, 1) + 1;
                rule.year_days.has_place(of_year, length_of(day.year))
            })
            && (!has.weeks || {
                let (week, weeks) = week_of(day.number, day.year, rule.week_start);
                rule.weeks.has_place(week, weeks)
            })
    }

    fn is_weekday(&self, day: &Day) -> bool {
        let rule = &self.rule;
        let weekday = weekday(day.number);
        if rule.weekdays & (1 << weekday) != 0 {
            return true;
        }
        if !self.has.nth {
            return false;
        }
        let numbers = usize::try_from(weekday).ok().and_then(|at| rule.nth_weekdays.get(at));
        let Some(numbers) = numbers else { return false };
        let (at, length) = if self.nth_of_month {
            (day.of_month, days_in_month(day.year, day.month))
        } else {
            (day.number - day_of(day.year, 1, 1) + 1, length_of(day.year))
        };
        let place = (at - 1) / 7 + 1;
        numbers.has_place(place, place + (length - at) / 7)
    }
}

/// The weekday of a day, from Monday, 0.
pub fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// The first day of the week that holds `day`, where weeks begin on the weekday `week_start`.
pub fn start_of_week(day: i64, week_start: i64) -> i64 {
    day - (weekday(day) - week_start).rem_euclid(7)
}

/// Which week of how many the day is in. The first one is the first with four days of the year
/// (ISO 8601), so the week may be one of the year before or after.
fn week_of(day: i64, year: i64, week_start: i64) -> (i64, i64) {
    let first_of = |year| start_of_week(day_of(year, 1, 4), week_start);
    let (mut first, mut next) = (first_of(year), first_of(year + 1));
    if day < first {
        (first, next) = (first_of(year - 1), first);
    } else if day >= next {
        (first, next) = (next, first_of(year + 2));
    }
    ((day - first) / 7 + 1, (next - first) / 7)
}

fn length_of(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Weeks from Monday are those of ISO 8601, as jiff counts them.
        #[test]
        fn weeks_are_those_of_iso_8601(day in -100_000i64..200_000) {
            let date = crate::domain::ical::time::Civil(day * 86_400).datetime().date();
            let iso = date.iso_week_date();
            let (week, weeks) = week_of(day, i64::from(date.year()), 0);
            prop_assert_eq!(week, i64::from(iso.week()));
            prop_assert_eq!(weeks, i64::from(iso.weeks_in_year()));
            prop_assert_eq!(weekday(day), i64::from(date.weekday().to_monday_zero_offset()));
        }
    }
}
