//! A VTIMEZONE evaluated as it is written (RFC 5545 §3.6.5, ICAL-4): each STANDARD and DAYLIGHT
//! with its own RRULE and RDATE. A few years are evaluated at a time, in bounds, and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::ical::recur::{Budget, Last, Recurrence, Rule, Step};
use crate::domain::ical::time::{Civil, DAY, Form, Period, Stamp, date_of, day_of, parse_offset};
use crate::domain::ical::tree::Component;

/// How many years are evaluated together.
const YEARS: i64 = 4;
/// How many such blocks are kept.
const BLOCKS: usize = 256;
/// What evaluating one block may cost, in steps; usual zones take some dozens.
const STEPS: u64 = 20_000;
/// How many observances and RDATEs of a zone are read; the longest known history has some 400.
const MOST: usize = 4_000;

/// The rules of a zone.
pub struct Observances {
    list: Vec<Observance>,
    blocks: Mutex<HashMap<i64, Arc<[Change]>>>,
}

/// One STANDARD or DAYLIGHT.
struct Observance {
    /// The offsets before and after, in seconds.
    from: i64,
    to: i64,
    start: Civil,
    recurrence: Option<Recurrence>,
    dates: Vec<Civil>,
}

/// From `at` on (seconds since 1970 in UTC) the zone has the offset `to`.
#[derive(Clone, Copy)]
struct Change {
    at: i64,
    to: i64,
}

impl Observances {
    /// Reads a VTIMEZONE; `None` where it says nothing that could be evaluated.
    pub fn of(component: &Component<'_>) -> Option<Self> {
        let kinds = component.children.iter().filter(|c| c.is("STANDARD") || c.is("DAYLIGHT"));
        let list: Vec<_> = kinds.take(MOST).filter_map(Observance::of).collect();
        (!list.is_empty()).then(|| Self { list, blocks: Mutex::default() })
    }

    /// The offset at an instant, in seconds.
    pub fn offset_at(&self, instant: i64) -> i64 {
        let (year, _, _) = date_of(instant.div_euclid(DAY));
        let changes = self.block(year.div_euclid(YEARS));
        let after = changes.partition_point(|change| change.at <= instant);
        let current = after.checked_sub(1).and_then(|at| changes.get(at));
        current.map_or_else(|| self.first_offset(), |change| change.to)
    }

    /// The instant at which a clock of the zone shows `civil` (§3.3.5): the first one where there
    /// are two; where there is none, the one that the offset before the gap gives.
    pub fn instant_of(&self, civil: Civil) -> i64 {
        let (before, after) = (self.offset_at(civil.0 - DAY), self.offset_at(civil.0 + DAY));
        let (early, late) = (civil.0 - before, civil.0 - after);
        match (self.offset_at(early) == before, self.offset_at(late) == after) {
            (true, true) => early.min(late),
            (false, true) => late,
            _ => early,
        }
    }

    /// The offset before anything is said.
    fn first_offset(&self) -> i64 {
        self.list.iter().min_by_key(|observance| observance.start).map_or(0, |observance| observance.from)
    }

    /// The changes of one block of years, the one that is in force at its begin first.
    fn block(&self, number: i64) -> Arc<[Change]> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = blocks.get(&number) {
            return Arc::clone(block);
        }
        let start = day_of(number * YEARS, 1, 1) * DAY;
        let end = day_of((number + 1) * YEARS, 1, 1) * DAY;
        let mut budget = Budget::new(STEPS);
        let latest = self.list.iter().filter_map(|observance| observance.latest_before(start, &mut budget));
        let mut changes: Vec<Change> = latest.max_by_key(|change| change.at).into_iter().collect();
        for observance in &self.list {
            observance.between(start, end, &mut budget, |change| changes.push(change));
        }
        changes.sort_by_key(|change| change.at);
        if blocks.len() >= BLOCKS {
            blocks.clear();
        }
        let block: Arc<[Change]> = changes.into();
        blocks.insert(number, Arc::clone(&block));
        block
    }
}

impl Observance {
    fn of(component: &Component<'_>) -> Option<Self> {
        let value = |name| component.property(name).map(|property| property.raw_value());
        let offset = |name| value(name).and_then(|text| parse_offset(&text));
        let to = offset("TZOFFSETTO")?;
        let from = offset("TZOFFSETFROM").unwrap_or(to);
        let start = Stamp::parse(&value("DTSTART")?)?.civil;
        let rule = value("RRULE").and_then(|text| Rule::parse(&text));
        let recurrence = rule.and_then(|rule| {
            let until = rule.until.map(|until| match until.form {
                Form::Utc => until.civil.plus(from),
                Form::Date => until.civil.plus(DAY - 1),
                _ => until.civil,
            });
            Recurrence::new(&rule, start, false, until)
        });
        let mut dates: Vec<Civil> = component
            .all("RDATE")
            .flat_map(|property| {
                let text = property.raw_value().into_owned();
                let read = |item: &str| {
                    Stamp::parse(item).or_else(|| Period::parse(item).map(|period| period.start))
                };
                text.split(',').take(MOST).filter_map(read).collect::<Vec<_>>()
            })
            .map(|stamp| if stamp.form == Form::Utc { stamp.civil.plus(from) } else { stamp.civil })
            .take(MOST)
            .chain([start])
            .collect();
        dates.sort_unstable();
        Some(Self { from, to, start, recurrence, dates })
    }

    fn change(&self, civil: Civil) -> Change {
        Change { at: civil.0 - self.from, to: self.to }
    }

    /// Calls `each` with every change in `start..end`, instants both.
    fn between(&self, start: i64, end: i64, budget: &mut Budget, mut each: impl FnMut(Change)) {
        let (first, end) = (Civil(start + self.from), Civil(end + self.from));
        let from = self.dates.partition_point(|date| *date < first);
        let dates = self.dates.get(from..).unwrap_or_default();
        dates.iter().take_while(|date| **date < end).for_each(|date| each(self.change(*date)));
        let Some(recurrence) = &self.recurrence else { return };
        let mut walk = recurrence.between(first, end);
        while let Step::At(civil) = walk.next(budget) {
            if civil >= end {
                break;
            }
            each(self.change(civil));
        }
    }

    /// The latest change before an instant: looked for in the years before it, then in twice as
    /// many, and so on, so that what ended long ago is found with few steps too.
    fn latest_before(&self, instant: i64, budget: &mut Budget) -> Option<Change> {
        let start = self.change(self.start).at;
        let mut end = instant;
        if let Some(Last::At(last)) = self.recurrence.as_ref().map(|recurrence| recurrence.last(budget)) {
            let latest = self.dates.last().copied().unwrap_or(last).max(last);
            end = end.min(self.change(latest).at + 1);
        } else if self.recurrence.is_none() {
            end = end.min(self.change(*self.dates.last()?).at + 1);
        }
        let mut length = 400 * DAY;
        let first = self.change(*self.dates.first().unwrap_or(&self.start)).at.min(start);
        loop {
            if end <= first || budget.is_spent() {
                return None;
            }
            let mut latest: Option<Change> = None;
            self.between(end - length, end, budget, |change| {
                if latest.is_none_or(|latest| latest.at < change.at) {
                    latest = Some(change);
                }
            });
            if latest.is_some() {
                return latest;
            }
            end -= length;
            length *= 2;
        }
    }
}
