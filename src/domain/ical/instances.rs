//! A calendar object as the instances that it stands for: the master with its RRULE, RDATE and
//! EXDATE, and the overrides, which may have moved, or changed all that follow (RFC 5545 §3.8.4.4,
//! §3.8.5; CAL-33, ICAL-3). One object costs one budget, whatever is asked about it (CAL-42).

mod series;

pub use series::{Moment, Occurrence, Series};

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use jiff::Timestamp;

use super::overlap::{self, Range};
use super::recur::Budget;
use super::time::{Civil, DAY, Form};
use super::tree::Component;
use super::zone::{ObjectZones, Zones, timestamp};

/// The types of components that have instances.
const KINDS: [&str; 4] = ["VEVENT", "VTODO", "VJOURNAL", "AVAILABLE"];

/// The components of one VCALENDAR (or the AVAILABLEs of one VAVAILABILITY) with what they say
/// about each other. Ask one of these all that is to be known about an object: it keeps what it
/// worked out, and its budget is for all of it.
pub struct Object<'o, 'a> {
    /// The zones that the object's TZIDs mean.
    pub zones: ObjectZones<'o>,
    parent: &'o Component<'a>,
    groups: Vec<Group<'o, 'a>>,
    /// The group of each component, by where it begins.
    places: HashMap<usize, usize>,
    series: RefCell<HashMap<usize, Rc<Series<'o, 'a>>>>,
    budget: RefCell<Budget>,
}

/// The components that are instances of one thing: of one type, with one UID.
struct Group<'o, 'a> {
    master: Option<&'o Component<'a>>,
    overrides: Vec<&'o Component<'a>>,
}

/// One instance.
#[derive(Debug, Clone)]
pub struct Instance<'o, 'a> {
    /// The component that describes it: the master, or the override.
    pub component: &'o Component<'a>,
    /// When it begins.
    pub start: Timestamp,
    /// When it ends; the same where it takes no time.
    pub end: Timestamp,
    /// Whether it is of whole days.
    pub all_day: bool,
    /// The begin and the end as they are written: on the clock of the start's zone.
    pub local: (Civil, Civil),
    /// How the start is written.
    pub form: Form,
    /// Where the instance would have been; `None` for what does not recur.
    pub recurrence_id: Option<Moment>,
}

/// The instances of a range.
#[derive(Debug)]
pub struct Instances<'o, 'a> {
    /// In the order in which they begin.
    pub list: Vec<Instance<'o, 'a>>,
    /// Whether these are all: `false` where there were too many, or the budget was spent.
    pub complete: bool,
}

/// From when to when something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Nothing is before.
    pub first: Timestamp,
    /// Nothing is after; `None` where there is no end.
    pub last: Option<Timestamp>,
}

/// Where an object's instances and alarms are, for an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// What a time range must touch so that a component can overlap it; `None` where none can.
    pub instances: Option<Span>,
    /// The same for the alarms in the components.
    pub alarms: Option<Span>,
}

/// Every instance of a VCALENDAR that overlaps `range`, at most `most` of them (CAL-35).
pub fn instances<'o, 'a>(
    object: &'o Component<'a>,
    range: &Range,
    most: usize,
    zones: &'o Zones,
) -> Instances<'o, 'a> {
    Object::new(object, zones).instances(range, most)
}

/// Where a VCALENDAR's instances and alarms are, whatever zone the reader is in: wider by a day at
/// either side than they are for `zones`, so that an index over it leaves nothing out.
pub fn span(object: &Component<'_>, zones: &Zones) -> Spans {
    Object::new(object, zones).spans()
}

impl<'o, 'a> Object<'o, 'a> {
    /// The components of a VCALENDAR.
    pub fn new(calendar: &'o Component<'a>, zones: &'o Zones) -> Self {
        Self::within(calendar, calendar, zones)
    }

    /// The components of `parent`, which stands in the VCALENDAR `calendar`: for the AVAILABLEs of
    /// a VAVAILABILITY (RFC 7953).
    pub fn within(calendar: &'o Component<'a>, parent: &'o Component<'a>, zones: &'o Zones) -> Self {
        let (groups, places) = Group::all(parent);
        Self {
            zones: zones.of(calendar),
            parent,
            groups,
            places,
            series: RefCell::default(),
            budget: RefCell::default(),
        }
    }

    /// The same with another budget.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        self.budget.replace(budget);
        self
    }

    /// What is left of the budget.
    pub fn budget(&self) -> RefMut<'_, Budget> {
        self.budget.borrow_mut()
    }

    /// Calls `each` with every occurrence of a component that begins in `from..=to` (seconds since
    /// 1970), in no order, until it breaks or the budget is spent. An override has one occurrence,
    /// or, with RANGE=THISANDFUTURE, those until the next such override.
    pub fn visit(
        &self,
        component: &'o Component<'a>,
        (from, to): (i64, i64),
        each: &mut dyn FnMut(&Series<'o, 'a>, Occurrence) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(series) = self.series(component) else { return ControlFlow::Continue(()) };
        let mut budget = self.budget.borrow_mut();
        let Some(future) = &series.future else {
            return series.visit((from, to), &mut budget, &mut |occurrence| each(&series, occurrence));
        };
        let own = series.first();
        if (from..=to).contains(&own.start) {
            each(&series, own)?;
        }
        drop(budget);
        let Some(master) = self.master_of(component) else { return ControlFlow::Continue(()) };
        let mut budget = self.budget.borrow_mut();
        // What follows is told by where it would have been; clocks may be changed in between.
        let shifted = |at: i64| at.saturating_sub(future.shift);
        let from = shifted(from).saturating_sub(DAY).max(future.after.saturating_add(1));
        let to = shifted(to).saturating_add(DAY).min(future.before);
        master.visit_all((from, to), &mut budget, &mut |occurrence| {
            each(&series, series.shifted(&master, &occurrence, future.shift))
        })
    }

    /// The series of a component: itself once, or with everything that recurs. `None` where it has
    /// no date to begin with.
    pub fn series(&self, component: &'o Component<'a>) -> Option<Rc<Series<'o, 'a>>> {
        if let Some(series) = self.series.borrow().get(&component.at()) {
            return Some(Rc::clone(series));
        }
        let overrides = self.group(component).map(|group| &group.overrides[..]).unwrap_or_default();
        let series = Series::of(component, overrides, &self.zones, &mut self.budget.borrow_mut())?;
        let series = Rc::new(series);
        self.series.borrow_mut().insert(component.at(), Rc::clone(&series));
        Some(series)
    }

    /// The series of the master that a component belongs to.
    pub fn master_of(&self, component: &Component<'_>) -> Option<Rc<Series<'o, 'a>>> {
        self.series(self.group(component)?.master?)
    }

    /// Every component that has instances.
    pub fn components(&self) -> impl Iterator<Item = &'o Component<'a>> {
        self.parent.children.iter().filter(|component| KINDS.iter().any(|kind| component.is(kind)))
    }

    /// Every instance that overlaps `range`, at most `most` of them.
    pub fn instances(&self, range: &Range, most: usize) -> Instances<'o, 'a> {
        let bounds = overlap::bounds(range);
        let mut list = Vec::new();
        let mut too_many = false;
        for component in self.components() {
            let Some(own) = self.series(component) else { continue };
            let starts = own.starts_for(bounds);
            let flow = self.visit(component, starts, &mut |series, occurrence| {
                if overlap::instance_overlaps(series, &occurrence, bounds) {
                    // Rules and RDATEs may tell the same instance: room for both, then one is left.
                    too_many = list.len() >= most.saturating_mul(2);
                    if too_many {
                        return ControlFlow::Break(());
                    }
                    list.push(series.instance(&occurrence));
                }
                ControlFlow::Continue(())
            });
            if flow.is_break() {
                break;
            }
        }
        list.sort_by_key(|instance| (instance.start, instance.component.at()));
        list.dedup_by(|a, b| a.component.at() == b.component.at() && (a.start, a.end) == (b.start, b.end));
        too_many |= list.len() > most;
        list.truncate(most);
        Instances { list, complete: !too_many && !self.budget().is_spent() }
    }

    /// Where its instances and alarms are.
    pub fn spans(&self) -> Spans {
        let (mut instances, mut alarms) = (None, None);
        for component in &self.parent.children {
            let span = overlap::span_of(self, component);
            instances = Span::around(instances, span);
            for alarm in component.components("VALARM") {
                alarms = Span::around(alarms, overlap::span_of_alarm(self, component, alarm));
            }
        }
        Spans { instances: instances.map(Span::widened), alarms: alarms.map(Span::widened) }
    }

    fn group(&self, component: &Component<'_>) -> Option<&Group<'o, 'a>> {
        self.groups.get(*self.places.get(&component.at())?)
    }
}

impl<'o, 'a> Group<'o, 'a> {
    /// The groups among the components of `parent`, and which one each of them is in.
    fn all(parent: &'o Component<'a>) -> (Vec<Self>, HashMap<usize, usize>) {
        let mut known: HashMap<(Vec<u8>, &[u8]), usize> = HashMap::new();
        let (mut groups, mut places) = (Vec::<Self>::new(), HashMap::new());
        for component in parent.children.iter().filter(|c| KINDS.iter().any(|kind| c.is(kind))) {
            let key = (component.name().to_ascii_uppercase(), uid_of(component));
            let place = *known.entry(key).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Self { master: None, overrides: Vec::new() });
            }
            places.insert(component.at(), place);
            let Some(group) = groups.get_mut(place) else { continue };
            match component.property("RECURRENCE-ID") {
                Some(_) => group.overrides.push(component),
                None => group.master = group.master.or(Some(component)),
            }
        }
        (groups, places)
    }
}

fn uid_of<'c>(component: &'c Component<'_>) -> &'c [u8] {
    component.property("UID").map(|uid| uid.value().trim_ascii()).unwrap_or_default()
}

impl Span {
    /// All time.
    pub const ALWAYS: Self = Self { first: Timestamp::MIN, last: None };

    /// From one number of seconds since 1970 to another.
    pub(super) fn of(first: i64, last: Option<i64>) -> Self {
        Self { first: timestamp(first), last: last.map(timestamp) }
    }

    /// What holds both.
    fn around(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                let last = one.last.zip(other.last).map(|(one, other)| one.max(other));
                Some(Self { first: one.first.min(other.first), last })
            }
            (one, other) => one.or(other),
        }
    }

    /// A day more at either side: readers in other zones see floating and all-day values up to
    /// fourteen hours earlier or later, and the laws of a zone change by an hour or two.
    fn widened(self) -> Self {
        let moved = |at: Timestamp, by: i64| timestamp(at.as_second().saturating_add(by));
        Self { first: moved(self.first, -DAY), last: self.last.map(|last| moved(last, DAY)) }
    }
}

#[cfg(test)]
mod tests;
