//! One component as a series of occurrences: its start, its length, its rules, what it leaves out
//! and what others describe in its place. Knows no time range's conditions.

use std::ops::ControlFlow;

use super::Instance;
use crate::domain::ical::recur::{Budget, Last, Recurrence, Rule, Step};
use crate::domain::ical::time::{Civil, DAY, Form, Length, Period, PeriodEnd, Stamp};
use crate::domain::ical::tree::{Component, Prop};
use crate::domain::ical::zone::{ObjectZones, Zone, timestamp};

/// How many RRULEs of one component are evaluated; more than one should not be (RFC 5545 §3.8.5.3).
const RULES: usize = 8;
/// What reading one date of a list costs, in steps.
const READING: u64 = 4;
/// What placing one occurrence in its zone costs, in steps.
const PLACING: u64 = 6;

/// A DATE or DATE-TIME in its zone.
#[derive(Debug, Clone)]
pub struct Moment {
    /// What the clock shows.
    pub civil: Civil,
    /// How it is written.
    pub form: Form,
    /// Where the clock is; the calendar's zone for floating times and dates.
    pub zone: Zone,
}

impl Moment {
    /// The property's first value. Without TZID a local time is floating, or in the zone of
    /// `beside`, the DTSTART that it belongs to.
    pub fn of(property: &Prop<'_>, zones: &ObjectZones<'_>, beside: Option<&Self>) -> Option<Self> {
        let stamp = Stamp::parse(property.raw_value().split(',').next()?)?;
        Some(Self::place(stamp, zones.of_property(property).as_ref(), zones, beside))
    }

    fn place(stamp: Stamp, named: Option<&Zone>, zones: &ObjectZones<'_>, beside: Option<&Self>) -> Self {
        let (form, zone) = match (stamp.form, named, beside) {
            (Form::Date, ..) => (Form::Date, zones.calendar().clone()),
            (Form::Utc, ..) => (Form::Utc, Zone::UTC),
            (_, Some(zone), _) => (Form::Zoned, zone.clone()),
            (_, None, Some(beside)) if beside.form != Form::Date => (beside.form, beside.zone.clone()),
            _ => (Form::Floating, zones.calendar().clone()),
        };
        Self { civil: stamp.civil, form, zone }
    }

    /// Seconds since 1970.
    pub fn seconds(&self) -> i64 {
        self.zone.seconds(self.civil)
    }

    /// The instant.
    pub fn instant(&self) -> jiff::Timestamp {
        self.zone.instant(self.civil)
    }
}

/// How long each occurrence lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// So many seconds: from DTEND or DUE, "the same exact duration" (§3.8.5.3).
    Exactly(i64),
    /// From DURATION, "the same nominal duration", and from DATEs.
    About(Length),
}

impl Lasts {
    /// An upper bound in seconds, with the clocks changed meanwhile.
    fn at_most(self) -> i64 {
        match self {
            Self::Exactly(seconds) => seconds,
            Self::About(length) if length.days == 0 => length.seconds,
            Self::About(length) => length.about() + DAY,
        }
    }
}

/// When a component occurs.
#[derive(Debug, Clone, Copy)]
pub struct Occurrence {
    /// What the clock shows when it begins.
    pub civil: Civil,
    /// Seconds since 1970 at its begin.
    pub start: i64,
    /// And at its end.
    pub end: i64,
    /// Where it would have been: on the clock of the master's start,
    pub planned: Civil,
    /// and in seconds since 1970.
    pub planned_start: i64,
}

/// What RANGE=THISANDFUTURE says about the occurrences that follow.
#[derive(Debug, Clone)]
pub struct Future {
    /// They would have begun after this, in seconds since 1970.
    pub after: i64,
    /// And not after this, where the next such override begins.
    pub before: i64,
    /// They begin so many seconds later, on the clock of the override.
    pub shift: i64,
}

/// A component's occurrences.
pub struct Series<'o, 'a> {
    /// The component.
    pub component: &'o Component<'a>,
    /// Where it starts: DTSTART, or a task's DUE where it has no DTSTART.
    pub start: Moment,
    /// How long it lasts.
    pub lasts: Lasts,
    /// Whether it has a DTSTART.
    pub has_start: bool,
    /// Whether it has a DTEND or DUE.
    pub has_end: bool,
    /// Whether it has a DURATION.
    pub has_duration: bool,
    /// For an override that speaks for those that follow.
    pub future: Option<Future>,
    /// RECURRENCE-ID: an override.
    recurrence_id: Option<Moment>,
    rules: Vec<(Recurrence, i64)>,
    /// RDATEs, with the end where it is a period's.
    dates: Vec<(Moment, Option<i64>)>,
    longest: i64,
    excluded: Marks,
    overridden: Marks,
    /// Where an override speaks for all that follow.
    ends_before: i64,
}

/// Instants and days, in order.
#[derive(Default)]
struct Marks {
    instants: Vec<i64>,
    days: Vec<i64>,
}

impl<'o, 'a> Series<'o, 'a> {
    /// The series of a component whose group has these overrides.
    pub fn of(
        component: &'o Component<'a>,
        overrides: &[&'o Component<'a>],
        zones: &ObjectZones<'_>,
        budget: &mut Budget,
    ) -> Option<Self> {
        let moment = |name: &str| component.property(name).and_then(|p| Moment::of(p, zones, None));
        let is_task = component.is("VTODO");
        let planned = component.property("RECURRENCE-ID");
        let dtstart = moment("DTSTART");
        let due = if is_task { moment("DUE") } else { None };
        let start = dtstart.clone().or(due.clone());
        let planned = planned.and_then(|p| Moment::of(p, zones, start.as_ref()));
        // An override without DTSTART is where it was planned.
        let start = start.or_else(|| planned.clone())?;
        let end = if is_task { due } else { moment("DTEND") };
        let duration = component.property("DURATION").and_then(|p| Length::parse(&p.raw_value()));
        let lasts = lasts(component, &start, end.as_ref(), duration);
        let mut series = Self {
            component,
            lasts,
            longest: lasts.at_most(),
            has_start: dtstart.is_some() || !is_task,
            has_end: end.is_some(),
            has_duration: duration.is_some(),
            future: None,
            recurrence_id: planned,
            rules: Vec::new(),
            dates: Vec::new(),
            excluded: Marks::default(),
            overridden: Marks::default(),
            ends_before: i64::MAX,
            start,
        };
        match series.recurrence_id.clone() {
            None => series.recur(overrides, zones, budget),
            Some(planned) if is_for_the_future(component) => {
                series.future = Some(series.following(&planned, overrides, zones, budget));
            }
            Some(_) => {}
        }
        Some(series)
    }

    /// Reads what makes a master recur.
    fn recur(&mut self, overrides: &[&Component<'_>], zones: &ObjectZones<'_>, budget: &mut Budget) {
        let all_day = self.start.form == Form::Date;
        for property in self.component.all("RRULE").take(RULES) {
            let Some(rule) = Rule::parse(&property.raw_value()) else { continue };
            let (civil, instant) = self.until(&rule);
            if let Some(recurrence) = Recurrence::new(&rule, self.start.civil, all_day, civil) {
                self.rules.push((recurrence, instant));
            }
        }
        self.rdates(zones, budget);
        for property in self.component.all("EXDATE") {
            let zone = zones.of_property(property);
            for item in property.raw_value().split(',') {
                if !budget.spend(READING) {
                    break;
                }
                if let Some(stamp) = Stamp::parse(item) {
                    self.excluded
                        .insert(&Moment::place(stamp, zone.as_ref(), zones, Some(&self.start)), all_day);
                }
            }
        }
        for component in overrides {
            if !budget.spend(READING) {
                break;
            }
            let planned = component.property("RECURRENCE-ID");
            let Some(planned) = planned.and_then(|p| Moment::of(p, zones, Some(&self.start))) else {
                continue;
            };
            self.overridden.insert(&planned, all_day);
            if is_for_the_future(component) {
                self.ends_before = self.ends_before.min(planned.seconds());
            }
        }
        self.excluded.sort();
        self.overridden.sort();
    }

    fn rdates(&mut self, zones: &ObjectZones<'_>, budget: &mut Budget) {
        for property in self.component.all("RDATE") {
            let zone = zones.of_property(property);
            for item in property.raw_value().split(',') {
                if !budget.spend(READING) {
                    return;
                }
                let place = |stamp| Moment::place(stamp, zone.as_ref(), zones, Some(&self.start));
                let (stamp, end) = match (Stamp::parse(item), Period::parse(item)) {
                    (Some(stamp), _) => (stamp, None),
                    (None, Some(period)) => (period.start, Some(period.end)),
                    (None, None) => continue,
                };
                let start = place(stamp);
                let end = end.map(|end| match end {
                    PeriodEnd::At(stamp) => place(stamp).seconds().max(start.seconds()),
                    PeriodEnd::After(length) => end_of(&start.zone, start.civil, Lasts::About(length)),
                });
                if let Some(end) = end {
                    self.longest = self.longest.max(end - start.seconds());
                }
                self.dates.push((start, end));
            }
        }
    }

    /// UNTIL as the latest moment of the clock, and as the latest instant where it says one. The
    /// clock's bound is a day wider then, since clocks may be changed.
    fn until(&self, rule: &Rule) -> (Option<Civil>, i64) {
        let Some(until) = rule.until else { return (None, i64::MAX) };
        match (until.form, self.start.form) {
            // A date means its whole day, and dates know no time of the day.
            (Form::Date, _) | (_, Form::Date) => (Some(until.civil.midnight().plus(DAY - 1)), i64::MAX),
            (Form::Utc, Form::Zoned | Form::Utc) => {
                (Some(self.start.zone.civil(timestamp(until.civil.0)).plus(DAY)), until.civil.0)
            }
            _ => (Some(until.civil), i64::MAX),
        }
    }

    /// What THISANDFUTURE means for those after `planned`.
    fn following(
        &self,
        planned: &Moment,
        overrides: &[&Component<'_>],
        zones: &ObjectZones<'_>,
        budget: &mut Budget,
    ) -> Future {
        let after = planned.seconds();
        let mut before = i64::MAX;
        for component in overrides.iter().filter(|component| is_for_the_future(component)) {
            if !budget.spend(READING) {
                break;
            }
            let other = component.property("RECURRENCE-ID").and_then(|p| Moment::of(p, zones, Some(planned)));
            let other = other.map_or(i64::MAX, |other| other.seconds());
            if other > after {
                before = before.min(other - 1);
            }
        }
        let would_show = self.shown(planned.civil, after, planned.form);
        Future { after, before, shift: self.start.civil.0 - would_show.0 }
    }

    /// Whether it has more than one occurrence.
    pub fn recurs(&self) -> bool {
        !self.rules.is_empty() || !self.dates.is_empty() || self.future.is_some()
    }

    /// The first occurrence: the component as it is written.
    pub fn first(&self) -> Occurrence {
        self.occurrence(self.start.civil)
    }

    /// Calls `each` with every occurrence that begins in `from..=to` and that no override describes.
    pub fn visit(
        &self,
        (from, to): (i64, i64),
        budget: &mut Budget,
        each: &mut dyn FnMut(Occurrence) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.visit_all((from, to.min(self.ends_before.saturating_sub(1))), budget, each)
    }

    /// The same, also where an override speaks for all that follow.
    pub fn visit_all(
        &self,
        (from, to): (i64, i64),
        budget: &mut Budget,
        each: &mut dyn FnMut(Occurrence) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut offer = |occurrence: Occurrence, start: &Moment| {
            let in_range = (from..=to).contains(&occurrence.start);
            let left_out = |marks: &Marks| marks.has(&occurrence, start.form == Form::Date);
            if in_range && !left_out(&self.excluded) && !left_out(&self.overridden) {
                return each(occurrence);
            }
            ControlFlow::Continue(())
        };
        if self.rules.is_empty() && self.recurrence_id.is_none() {
            offer(self.first(), &self.start)?;
        } else if self.recurrence_id.is_some() && (from..=to).contains(&self.first().start) {
            // An override is where it says, whatever else it says.
            return each(self.first());
        }
        let zone = &self.start.zone;
        let (first, last) = (zone.civil_around(from).0, zone.civil_around(to).1);
        for (recurrence, until) in &self.rules {
            let mut walk = recurrence.between(first, last);
            while let Step::At(civil) = walk.next(budget) {
                if civil > last || !budget.spend(PLACING) {
                    break;
                }
                let occurrence = self.occurrence(civil);
                if occurrence.start <= *until || civil == self.start.civil {
                    offer(occurrence, &self.start)?;
                }
            }
        }
        for (date, end) in &self.dates {
            if !budget.spend(PLACING) {
                break;
            }
            let start = date.seconds();
            let end = end.unwrap_or_else(|| end_of(&date.zone, date.civil, self.lasts));
            let civil = self.start.zone.civil(timestamp(start));
            let civil = if self.start.form == Form::Date { date.civil.midnight() } else { civil };
            offer(Occurrence { civil, start, end, planned: civil, planned_start: start }, &self.start)?;
        }
        ControlFlow::Continue(())
    }

    /// From when to when occurrences may begin that last into `bounds`, seconds both.
    pub fn starts_for(&self, (from, to): (i64, i64)) -> (i64, i64) {
        (from.saturating_sub(self.longest), to)
    }

    /// The longest that an occurrence may last, in seconds.
    pub fn longest(&self) -> i64 {
        self.longest
    }

    /// Where the occurrences begin: the first and the last; no last where there is no end.
    pub fn extent(&self, master: Option<&Self>, budget: &mut Budget) -> (i64, Option<i64>) {
        let own = self.first().start;
        if let (Some(future), Some(master)) = (&self.future, master) {
            let last = master.extent(None, budget).1.map(|last| last.saturating_add(future.shift + DAY));
            return (own, last.map(|last| last.max(own)));
        }
        let dates = self.dates.iter().map(|(date, _)| date.seconds());
        let first = dates.clone().min().unwrap_or(own).min(own);
        let mut last = dates.max().unwrap_or(own).max(own);
        for (recurrence, until) in &self.rules {
            match recurrence.last(budget) {
                Last::Never => return (first, None),
                Last::At(civil) => last = last.max(self.start.zone.seconds(civil).min(*until)),
            }
        }
        (first, if budget.is_spent() { None } else { Some(last) })
    }

    /// The master's occurrence as this override has it, `shift` seconds from where it was planned.
    pub fn shifted(&self, master: &Self, occurrence: &Occurrence, shift: i64) -> Occurrence {
        let Occurrence { planned, planned_start, .. } = *occurrence;
        let would_show = self.shown(planned, planned_start, master.start.form);
        Occurrence { planned, planned_start, ..self.occurrence(would_show.plus(shift)) }
    }

    /// What this override's clock shows where the master's shows `civil`. Dates are the same day
    /// wherever one is.
    fn shown(&self, civil: Civil, seconds: i64, form: Form) -> Civil {
        match (form, self.start.form) {
            (Form::Date, _) | (_, Form::Date) => civil,
            _ => self.start.zone.civil(timestamp(seconds)),
        }
    }

    /// The occurrence as an instance.
    pub fn instance(&self, occurrence: &Occurrence) -> Instance<'o, 'a> {
        let zone = &self.start.zone;
        let end = timestamp(occurrence.end);
        let planned = match &self.recurrence_id {
            Some(own) if occurrence.civil == self.start.civil => Some(own.clone()),
            Some(own) if own.form == Form::Date => Some(Moment { civil: occurrence.planned, ..own.clone() }),
            Some(own) => {
                let civil = own.zone.civil(timestamp(occurrence.planned_start));
                Some(Moment { civil, ..own.clone() })
            }
            None => self.recurs().then(|| Moment { civil: occurrence.planned, ..self.start.clone() }),
        };
        Instance {
            component: self.component,
            start: timestamp(occurrence.start),
            end,
            all_day: self.start.form == Form::Date,
            local: (occurrence.civil, zone.civil(end)),
            form: self.start.form,
            recurrence_id: planned,
        }
    }

    fn occurrence(&self, civil: Civil) -> Occurrence {
        let zone = &self.start.zone;
        let start = zone.seconds(civil);
        let end = match self.lasts {
            Lasts::Exactly(seconds) => start.saturating_add(seconds),
            lasts => end_of(zone, civil, lasts),
        };
        Occurrence { civil, start, end: end.max(start), planned: civil, planned_start: start }
    }
}

/// Seconds since 1970 at the end of what begins at `civil`: days are those of the clock, the rest
/// is exact.
fn end_of(zone: &Zone, civil: Civil, lasts: Lasts) -> i64 {
    match lasts {
        Lasts::Exactly(seconds) => zone.seconds(civil).saturating_add(seconds),
        Lasts::About(length) => {
            zone.seconds(civil.plus(length.days.saturating_mul(DAY))).saturating_add(length.seconds)
        }
    }
}

/// How long a component lasts: by its end, its duration, or what RFC 4791 §9.9 says without both.
/// An end that is not after the start is none: clients write such days.
fn lasts(component: &Component<'_>, start: &Moment, end: Option<&Moment>, duration: Option<Length>) -> Lasts {
    let none = if start.form == Form::Date && !component.is("VTODO") { Length::DAY } else { Length::ZERO };
    match (end, duration) {
        (Some(end), _) if start.form == Form::Date && end.form == Form::Date => {
            let days = end.civil.day() - start.civil.day();
            Lasts::About(if days > 0 { Length { days, seconds: 0 } } else { none })
        }
        (Some(end), _) => match end.seconds() - start.seconds() {
            seconds if seconds > 0 => Lasts::Exactly(seconds),
            _ => Lasts::About(none),
        },
        (None, Some(length)) => Lasts::About(if length.is_positive() { length } else { Length::ZERO }),
        (None, None) => Lasts::About(none),
    }
}

fn is_for_the_future(component: &Component<'_>) -> bool {
    let range = component.property("RECURRENCE-ID").and_then(|property| property.parameter("RANGE"));
    range.is_some_and(|range| range.trim().eq_ignore_ascii_case("THISANDFUTURE"))
}

impl Marks {
    /// Marks a moment: its day, where it is a date or the series is of whole days.
    fn insert(&mut self, moment: &Moment, all_day: bool) {
        if all_day || moment.form == Form::Date {
            self.days.push(moment.civil.day());
        } else {
            self.instants.push(moment.seconds());
        }
    }

    fn sort(&mut self) {
        self.instants.sort_unstable();
        self.days.sort_unstable();
    }

    fn has(&self, occurrence: &Occurrence, all_day: bool) -> bool {
        (!self.days.is_empty() && self.days.binary_search(&occurrence.planned.day()).is_ok())
            || (!all_day && self.instants.binary_search(&occurrence.start).is_ok())
    }
}
