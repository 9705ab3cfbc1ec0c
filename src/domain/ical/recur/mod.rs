//! Recurrence rules (RFC 5545 §3.3.10, §3.8.5.3): all frequencies and BY parts, sought by
//! arithmetic and walked in steps that are counted, so that no rule costs more than its budget
//! (CAL-42). Counts what a clock on the wall shows; knows no time zone.

mod days;
mod rule;
mod set;

pub use rule::{Frequency, Rule};

use days::{Days, start_of_week};
use set::{Set, Times};

use super::time::{Civil, DAY, date_of, day_of};

/// How much work may still be done, in steps of some ten nanoseconds. Steps are counted and no
/// clock is read, so that the same question always has the same answer.
#[derive(Debug, Clone)]
pub struct Budget {
    left: u64,
}

impl Budget {
    /// A budget of so many steps.
    pub fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    /// Takes steps away; `false` once there are none left.
    pub fn spend(&mut self, steps: u64) -> bool {
        self.left = self.left.saturating_sub(steps);
        self.left > 0
    }

    /// Whether no step is left, and what was found is not all.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }
}

/// What one calendar object may cost (CAL-42): under 50 ms where optimised, a fifth of it mostly.
impl Default for Budget {
    fn default() -> Self {
        Self::new(400_000)
    }
}

/// What a walk comes to next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An instance begins.
    At(Civil),
    /// There are no more.
    End,
    /// The budget is spent; there may be more.
    Spent,
}

/// Where a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// No instance begins later.
    At(Civil),
    /// It has no end, or none that could be found with the budget.
    Never,
}

/// A rule with its start: the moments at which something begins.
#[derive(Debug, Clone)]
pub struct Recurrence {
    frequency: Frequency,
    interval: i64,
    week_start: i64,
    start: Civil,
    /// No instance begins after it.
    last: Civil,
    /// Whether `last` was said and is not only the end of time.
    ends: bool,
    /// How many instances there are, where only counting can tell which is the last one.
    count: Option<i64>,
    days: Days,
    /// Hours, minutes and seconds that limit a frequency that is as fine or finer.
    limits: [Option<Vec<i64>>; 3],
    times: Times,
    positions: Vec<i64>,
    /// The number of the interval that the start is in.
    base: i64,
}

impl Recurrence {
    /// The rule for something that starts at `start`, none of which begins after `until`. `None`
    /// where the rule makes no sense for it (hours of a DATE): then there is only the start.
    pub fn new(rule: &Rule, start: Civil, all_day: bool, until: Option<Civil>) -> Option<Self> {
        let frequency = rule.frequency;
        if all_day && frequency > Frequency::Daily {
            return None;
        }
        let days = Days::new(rule, start.day());
        let second = start.0.rem_euclid(DAY);
        let own = [second / 3600, second / 60 % 60, second % 60];
        let finest = [Frequency::Hourly, Frequency::Minutely, Frequency::Secondly];
        let mut limits = [None, None, None];
        let mut lists = [vec![0], vec![0], vec![0]];
        let parts = [&rule.hours, &rule.minutes, &rule.seconds];
        let all = parts.iter().zip(own).zip(finest).zip(limits.iter_mut().zip(lists.iter_mut()));
        for (((part, own), finest), (limit, list)) in all {
            let said: Vec<i64> = if all_day { Vec::new() } else { part.iter().collect() };
            match (frequency < finest, said.is_empty()) {
                (true, true) => *list = vec![own],
                (true, false) => *list = said,
                (false, true) => {}
                (false, false) => *limit = Some(said),
            }
        }
        let [hours, minutes, seconds] = lists;
        let mut recurrence = Self {
            frequency,
            interval: rule.interval,
            week_start: rule.week_start,
            start,
            last: until.unwrap_or(Civil::MAX).clamped(),
            ends: until.is_some(),
            count: rule.count,
            limits,
            times: Times::new(hours, minutes, seconds),
            positions: rule.positions.iter().collect(),
            base: 0,
            days,
        };
        recurrence.base = recurrence.unit_of(start);
        if recurrence.days.are_none() {
            recurrence.end_at(start);
        }
        recurrence.count_by_arithmetic(rule);
        Some(recurrence)
    }

    /// The instances from `from` on, in order. The start is one of them, whatever the rule says:
    /// "DTSTART always counts as the first occurrence" (§3.3.10).
    pub fn from(&self, from: Civil) -> Walk<'_> {
        self.between(from, Civil::MAX)
    }

    /// The same until `to` at least: looking for what comes later is not worth a step.
    pub fn between(&self, from: Civil, to: Civil) -> Walk<'_> {
        // What only counting can tell is counted from the start.
        let counted = self.count.is_some();
        let first = if counted { self.base } else { self.unit_of(from.clamped()) };
        Walk {
            of: self,
            from: from.clamped(),
            next: self.intervals_until(first),
            set: Set::default(),
            place: 0,
            left: self.count.map_or(i64::MAX, |count| count - 1),
            start_is_due: self.start >= from,
            day: None,
            last_unit: self.unit_of(self.last.min(to.clamped())),
        }
    }

    /// Where it ends.
    pub fn last(&self, budget: &mut Budget) -> Last {
        if self.count.is_none() {
            return if self.ends { Last::At(self.last.max(self.start)) } else { Last::Never };
        }
        let mut walk = self.from(Civil::MAX);
        let mut latest = self.start;
        loop {
            match walk.load(budget) {
                Step::At(_) => {}
                Step::End => return Last::At(latest),
                Step::Spent => return Last::Never,
            }
            let after_start = walk.set.place_of(&self.times, Civil(self.start.0 + 1));
            let count = walk.set.len() - after_start;
            let taken = count.min(usize::try_from(walk.left).unwrap_or(usize::MAX));
            if let Some(at) = taken.checked_sub(1).and_then(|at| walk.set.get(&self.times, after_start + at))
            {
                latest = at.min(self.last);
            }
            walk.left -= i64::try_from(taken).unwrap_or(i64::MAX);
        }
    }

    /// The number of the interval (year, month, … since 1970 or year 0) that a moment is in.
    fn unit_of(&self, at: Civil) -> i64 {
        match self.frequency {
            Frequency::Yearly => date_of(at.day()).0,
            Frequency::Monthly => {
                let (year, month, _) = date_of(at.day());
                year * 12 + month - 1
            }
            // 1970-01-01 was a Thursday; week 0 is the one that it is in.
            Frequency::Weekly => start_of_week(at.day(), self.week_start).div_euclid(7),
            Frequency::Daily => at.day(),
            Frequency::Hourly => at.0.div_euclid(3600),
            Frequency::Minutely => at.0.div_euclid(60),
            Frequency::Secondly => at.0,
        }
    }

    /// Where an interval begins.
    fn start_of(&self, unit: i64) -> Civil {
        match self.frequency {
            Frequency::Yearly => Civil(day_of(unit, 1, 1) * DAY),
            Frequency::Monthly => Civil(day_of(unit.div_euclid(12), unit.rem_euclid(12) + 1, 1) * DAY),
            Frequency::Weekly => Civil(start_of_week(unit * 7 + 6, self.week_start) * DAY),
            Frequency::Daily => Civil(unit * DAY),
            Frequency::Hourly => Civil(unit * 3600),
            Frequency::Minutely => Civil(unit * 60),
            Frequency::Secondly => Civil(unit),
        }
    }

    /// How many times INTERVAL lies between the start's interval and `unit`, rounded up.
    fn intervals_until(&self, unit: i64) -> i64 {
        let units = (unit - self.base).max(0);
        units / self.interval + i64::from(units % self.interval != 0)
    }

    fn end_at(&mut self, last: Civil) {
        self.last = self.last.min(last);
        self.ends = true;
        self.count = None;
    }

    /// Without BY parts the nth instance is the nth interval's, unless months lack the day: then
    /// COUNT says where the rule ends.
    fn count_by_arithmetic(&mut self, rule: &Rule) {
        let Some(count) = self.count else { return };
        let bare = Rule { interval: 1, count: None, until: None, week_start: 0, ..rule.clone() };
        let (year, month, day) = date_of(self.start.day());
        let regular = self.frequency > Frequency::Monthly || day <= 28;
        if !regular || Some(bare) != Rule::parse(&format!("FREQ={}", rule.frequency.word())) {
            return;
        }
        let units = self.interval.saturating_mul(count - 1);
        let seconds = |length: i64| self.start.plus(units.saturating_mul(length));
        let date = |year: i64, month: i64| match year {
            ..=9999 => Civil(day_of(year, month, day) * DAY + self.start.0.rem_euclid(DAY)),
            _ => Civil::MAX,
        };
        let last = match self.frequency {
            Frequency::Yearly => date(year.saturating_add(units), month),
            Frequency::Monthly => {
                let month = (year * 12 + month - 1).saturating_add(units);
                date(month.div_euclid(12), month.rem_euclid(12) + 1)
            }
            Frequency::Weekly => seconds(7 * DAY),
            Frequency::Daily => seconds(DAY),
            Frequency::Hourly => seconds(3600),
            Frequency::Minutely => seconds(60),
            Frequency::Secondly => seconds(1),
        };
        self.end_at(last);
    }
}

/// A walk along the instances.
pub struct Walk<'r> {
    of: &'r Recurrence,
    from: Civil,
    /// How many intervals after the start's the next one is.
    next: i64,
    set: Set,
    place: usize,
    /// How many instances COUNT still allows.
    left: i64,
    start_is_due: bool,
    /// The last day that was looked at, and whether it is asked for.
    day: Option<(i64, bool)>,
    /// The number of the last interval that may have instances.
    last_unit: i64,
}

impl Walk<'_> {
    /// The next instance.
    pub fn next(&mut self, budget: &mut Budget) -> Step {
        if std::mem::take(&mut self.start_is_due) {
            return Step::At(self.of.start);
        }
        loop {
            if !budget.spend(1) {
                return Step::Spent;
            }
            if let Some(at) = self.set.get(&self.of.times, self.place) {
                self.place += 1;
                self.left -= 1;
                return if self.left < 0 || at > self.of.last { Step::End } else { Step::At(at) };
            }
            match self.load(budget) {
                Step::At(_) => self.skip(),
                other => return other,
            }
        }
    }

    /// Leaves out what is not after the start, and what is before the range, which is counted.
    fn skip(&mut self) {
        let times = &self.of.times;
        let after_start = self.set.place_of(times, Civil(self.of.start.0 + 1));
        self.place = self.set.place_of(times, self.from).max(after_start);
        let skipped = i64::try_from(self.place - after_start).unwrap_or(i64::MAX);
        self.left = self.left.saturating_sub(skipped).max(0);
    }

    /// Loads the next interval that may have instances; `At` says where it begins.
    fn load(&mut self, budget: &mut Budget) -> Step {
        let of = self.of;
        loop {
            if self.left <= 0 {
                return Step::End;
            }
            let unit = of.interval.checked_mul(self.next).and_then(|units| units.checked_add(of.base));
            let Some(unit) = unit.filter(|unit| *unit <= self.last_unit) else { return Step::End };
            if !budget.spend(1) {
                return Step::Spent;
            }
            if let Some(later) = self.unfit(unit) {
                self.next = of.intervals_until(of.unit_of(later)).max(self.next + 1);
                continue;
            }
            self.next += 1;
            let mut looked_at = 0;
            let picked = u64::try_from(of.positions.len()).unwrap_or(u64::MAX);
            self.set.fill(&of.times, &of.positions, |out| looked_at = of.starts_in(unit, out));
            return if budget.spend(looked_at + picked) { Step::At(of.start_of(unit)) } else { Step::Spent };
        }
    }

    /// Where to go on when the day, hour, minute or second of an interval is not asked for.
    fn unfit(&mut self, unit: i64) -> Option<Civil> {
        let of = self.of;
        if of.frequency < Frequency::Daily {
            return None;
        }
        let at = of.start_of(unit);
        let day = at.day();
        let fits = match self.day {
            Some((known, fits)) if known == day => fits,
            _ => of.days.fit(day),
        };
        self.day = Some((day, fits));
        if !fits {
            return Some(Civil(of.days.next_candidate(day + 1) * DAY));
        }
        let second = at.0.rem_euclid(DAY);
        let shown = [(second / 3600, 3600), (second / 60 % 60, 60), (second % 60, 1)];
        for (limit, (number, length)) in of.limits.iter().zip(shown) {
            let Some(limit) = limit else { continue };
            if limit.binary_search(&number).is_err() {
                // To the next number of the list, or the first one of the next round.
                let round = if length == 3600 { 24 } else { 60 };
                let next = limit.iter().find(|allowed| **allowed > number).copied();
                let ahead = next.unwrap_or(round) - number;
                return Some(Civil((at.0.div_euclid(length) + ahead) * length));
            }
        }
        None
    }
}

impl Recurrence {
    /// Adds where the days (hours, minutes, seconds) of an interval begin; tells the work it was.
    fn starts_in(&self, unit: i64, out: &mut Vec<i64>) -> u64 {
        let looked_at = match self.frequency {
            Frequency::Yearly => self.days.of_year(unit, out),
            Frequency::Monthly => self.days.of_month(unit.div_euclid(12), unit.rem_euclid(12) + 1, out),
            Frequency::Weekly => self.days.of_week(self.start_of(unit).day(), out),
            // Whether these fit has been asked before.
            _ => {
                out.push(self.start_of(unit).0);
                return 1;
            }
        };
        out.iter_mut().for_each(|day| *day *= DAY);
        looked_at
    }
}

#[cfg(test)]
mod tests;
