//! The one instance of an object by which it is told in a list: the one that is next, or else the last
//! one that was. Knows no calendar but the object's own.

use std::ops::ControlFlow;

use jiff::Timestamp;
use jiff::civil::Date;

use super::Kind;
use super::instances::{Instance, Object};
use super::overlap::Range;
use super::recur::Budget;
use super::time::DAY;
use super::tree::Component;
use super::zone::{Zones, timestamp};

/// How far is looked from now, in days: what recurs often is found near by, what recurs rarely farther.
const DISTANCES: [i64; 4] = [2, 40, 400, 15_000];

/// How many instances of one distance are looked at.
const MOST: usize = 500;

/// When something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// On that day.
    Day(Date),
    /// At that instant.
    Instant(Timestamp),
}

/// What is told of an object.
#[derive(Clone, PartialEq, Eq)]
pub struct Near {
    /// What it is.
    pub kind: Kind,
    /// When it begins, as an instant, for an order; `None` where it has no date.
    pub start: Option<Timestamp>,
    /// When it begins.
    pub at: Option<When>,
    /// The first day, or instant, after it; `None` where it takes no time.
    pub end: Option<When>,
    /// What it is called; empty where nothing is said.
    pub summary: String,
    /// How it stands, in the words of RFC 5545 §3.8.1.11; empty where nothing is said.
    pub status: String,
    /// What was to be done is done since then.
    pub completed: Option<Timestamp>,
}

crate::hidden!(Near);

/// What is told of a VCALENDAR at that time; `None` where it is no event, task or journal entry. What is
/// not found within `budget`, which is what is left of it afterwards, is told by its first instance.
pub fn near(calendar: &Component<'_>, zones: &Zones, now: Timestamp, budget: &mut Budget) -> Option<Near> {
    let told = |component: &&Component<'_>| {
        matches!(Kind::of(component), Some(Kind::Event | Kind::Todo | Kind::Journal))
    };
    let first = calendar.children.iter().find(told)?;
    let kind = Kind::of(first)?;
    let object = Object::new(calendar, zones).with_budget(budget.clone());
    let instance = chosen(&object, first, now);
    *budget = object.budget().clone();
    let component = instance.as_ref().map_or(first, |instance| instance.component);
    let text = |name: &str| component.property(name).map(|found| found.text()).unwrap_or_default();
    let completed = component.property("COMPLETED");
    let completed = completed.and_then(|at| super::instances::Moment::of(at, &object.zones, None));
    let day = |civil: super::time::Civil| When::Day(civil.datetime().date());
    let (at, end) = match &instance {
        None => (None, None),
        Some(instance) if instance.all_day => {
            (Some(day(instance.local.0)), (instance.end > instance.start).then(|| day(instance.local.1)))
        }
        Some(instance) => {
            let end = (instance.end > instance.start).then_some(When::Instant(instance.end));
            (Some(When::Instant(instance.start)), end)
        }
    };
    Some(Near {
        kind,
        start: instance.as_ref().map(|instance| instance.start),
        at,
        end,
        summary: text("SUMMARY"),
        status: text("STATUS").trim().to_ascii_uppercase(),
        completed: completed.map(|moment| moment.instant()),
    })
}

/// The instance that is next or goes on now, else the last one, else the first that is written.
fn chosen<'o, 'a>(
    object: &Object<'o, 'a>,
    first: &'o Component<'a>,
    now: Timestamp,
) -> Option<Instance<'o, 'a>> {
    let written = object.series(first).map(|series| series.instance(&series.first()));
    let alone = object.components().nth(1).is_none();
    let recurs = object.series(first).is_some_and(|series| series.recurs());
    if alone && !recurs {
        return written;
    }
    let moved = |days: i64| timestamp(now.as_second().saturating_add(days.saturating_mul(DAY)));
    let next = DISTANCES.iter().find_map(|days| {
        let range = Range { start: Some(now), end: Some(moved(*days)) };
        object.instances(&range, MOST).list.into_iter().next()
    });
    let last = || {
        DISTANCES.iter().find_map(|days| {
            let range = Range { start: Some(moved(-days)), end: Some(now) };
            object.instances(&range, MOST).list.pop()
        })
    };
    next.or_else(last).or_else(|| any(object)).or(written)
}

/// An instance, whenever it is: of what is only far away.
fn any<'o, 'a>(object: &Object<'o, 'a>) -> Option<Instance<'o, 'a>> {
    let mut found = None;
    for component in object.components() {
        let flow = object.visit(component, (i64::MIN, i64::MAX), &mut |series, occurrence| {
            found = Some(series.instance(&occurrence));
            ControlFlow::Break(())
        });
        if flow.is_break() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::super::tree::parse;
    use super::super::zone::Zone;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn told(lines: &[&str], now: &str) -> Option<Near> {
        let text = format!("BEGIN:VCALENDAR\r\n{}\r\nEND:VCALENDAR\r\n", lines.join("\r\n"));
        let calendar = parse(text.as_bytes(), &Limits::default()).unwrap();
        near(&calendar, &Zones::new(Zone::UTC), at(now), &mut Budget::default())
    }

    fn event(lines: &[&str], now: &str) -> Near {
        let all: Vec<_> =
            ["BEGIN:VEVENT", "UID:u"].iter().chain(lines).chain(&["END:VEVENT"]).copied().collect();
        told(&all, now).unwrap()
    }

    const NOW: &str = "2026-06-15T12:00:00Z";

    #[test]
    fn what_does_not_recur_is_told_as_it_is_written() {
        let near = event(&["DTSTART:20200101T090000Z", "DURATION:PT1H", "SUMMARY:Visit\\, short"], NOW);
        assert_eq!(near.at, Some(When::Instant(at("2020-01-01T09:00:00Z"))));
        assert_eq!(near.end, Some(When::Instant(at("2020-01-01T10:00:00Z"))));
        assert_eq!((near.summary.as_str(), near.kind), ("Visit, short", Kind::Event));
        let near = event(&["DTSTART;VALUE=DATE:20260701", "STATUS:tentative"], NOW);
        assert_eq!(near.at, Some(When::Day(jiff::civil::date(2026, 7, 1))));
        assert_eq!(near.end, Some(When::Day(jiff::civil::date(2026, 7, 2))));
        assert_eq!(near.status, "TENTATIVE");
    }

    #[test]
    fn of_what_recurs_the_next_one_is_told_else_the_last() {
        for (rule, start) in [
            ("FREQ=DAILY", "2026-06-15T13:00:00Z"),
            ("FREQ=DAILY;COUNT=3", "2020-01-03T13:00:00Z"),
            ("FREQ=WEEKLY;UNTIL=20260601T130000Z", "2026-05-27T13:00:00Z"),
            ("FREQ=YEARLY;BYMONTH=1", "2027-01-01T13:00:00Z"),
            ("FREQ=YEARLY;INTERVAL=20", "2040-01-01T13:00:00Z"),
            ("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", "2020-01-01T13:00:00Z"),
        ] {
            let near = event(&["DTSTART:20200101T130000Z", &format!("RRULE:{rule}")], NOW);
            assert_eq!(near.start, Some(at(start)), "{rule}");
        }
    }

    #[test]
    fn an_override_tells_of_itself() {
        let near = told(
            &[
                "BEGIN:VEVENT",
                "UID:u",
                "DTSTART:20260601T130000Z",
                "RRULE:FREQ=DAILY",
                "SUMMARY:Every day",
                "END:VEVENT",
                "BEGIN:VEVENT",
                "UID:u",
                "RECURRENCE-ID:20260615T130000Z",
                "DTSTART:20260615T123000Z",
                "SUMMARY:Earlier today",
                "END:VEVENT",
            ],
            NOW,
        );
        let near = near.unwrap();
        assert_eq!((near.summary.as_str(), near.start), ("Earlier today", Some(at("2026-06-15T12:30:00Z"))));
    }

    #[test]
    fn a_task_without_dates_has_none() {
        let task = ["BEGIN:VTODO", "UID:u", "COMPLETED:20260101T000000Z", "END:VTODO"];
        let near = told(&task, NOW).unwrap();
        assert_eq!((near.kind, near.at, near.start), (Kind::Todo, None, None));
        assert_eq!(near.completed, Some(at("2026-01-01T00:00:00Z")));
        let due = ["BEGIN:VTODO", "UID:u", "DUE:20260701T000000Z", "END:VTODO"];
        assert_eq!(told(&due, NOW).unwrap().start, Some(at("2026-07-01T00:00:00Z")));
        assert!(told(&["BEGIN:VAVAILABILITY", "UID:u", "END:VAVAILABILITY"], NOW).is_none());
    }
}
