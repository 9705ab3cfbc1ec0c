//! A VTIMEZONE for a zone of the tz database (RFC 5545 §3.6.5), for clients that want one
//! (RFC 7809 §7.1, TZ-3) and for calendars made here. What repeats by a rule at the end of the
//! years is written as that rule; what came before is written as dates.

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::{Dst, Offset, TimeZone};

use super::{Rules, Zone};
use crate::domain::vcard::write::Writer;

/// How many years after the last one are looked at to learn the rule that goes on.
const AHEAD: i16 = 30;
/// The years that the tz database and iCalendar both have.
const FIRST: i16 = 1;
const LAST: i16 = 9_900;

/// The VTIMEZONE of `zone` that is right from the year `from` to thirty years after the year `to`,
/// and later where it goes on by a rule that iCalendar can say simply. `tzid` is the name that the object's properties use. `None` for a zone that
/// is not one of the tz database.
pub fn vtimezone(tzid: &str, zone: &Zone, from: i16, to: i16) -> Option<Vec<u8>> {
    let zone = match &zone.0 {
        Rules::Known(zone) => zone.clone(),
        Rules::Fixed(0) => TimeZone::UTC,
        _ => return None,
    };
    let from = from.clamp(FIRST, LAST);
    let to = to.clamp(from, LAST);
    let mut writer = Writer::default();
    writer.raw("BEGIN:VTIMEZONE");
    writer.raw(&format!("TZID:{}", tzid.replace(['\r', '\n'], " ")));
    let changes = changes(&zone, from, to + AHEAD)?;
    for group in grouped(changes) {
        group.write(&mut writer, to);
    }
    writer.raw("END:VTIMEZONE");
    Some(writer.finish())
}

/// From one offset to another.
#[derive(Clone, PartialEq)]
struct Kind {
    from: Offset,
    to: Offset,
    is_summer: bool,
    name: String,
}

/// A change, told by the clock before it.
#[derive(Clone, Copy, PartialEq)]
struct Moment {
    at: jiff::civil::DateTime,
}

struct Group {
    kind: Kind,
    moments: Vec<Moment>,
}

/// What is in force when the years begin, as a change of its own, then every change.
fn changes(zone: &TimeZone, from: i16, to: i16) -> Option<Vec<(Kind, Moment)>> {
    let start = Offset::UTC.to_timestamp(date(from, 1, 1).at(0, 0, 0, 0)).ok()?;
    let end = Offset::UTC.to_timestamp(date(to, 12, 31).at(23, 59, 59, 0)).ok()?;
    let state = |at: Timestamp| {
        let info = zone.to_offset_info(at);
        (info.offset(), info.dst() == Dst::Yes, info.abbreviation().to_owned())
    };
    let (offset, is_summer, name) = state(start);
    let first = Kind { from: offset, to: offset, is_summer, name };
    let mut before = first.to;
    let mut changes = vec![(first, Moment { at: before.to_datetime(start) })];
    for transition in zone.following(start).take_while(|t| t.timestamp() <= end) {
        let at = transition.timestamp();
        let (to, is_summer, name) = state(at);
        let kind = Kind { from: before, to, is_summer, name };
        changes.push((kind, Moment { at: before.to_datetime(at) }));
        before = to;
    }
    Some(changes)
}

/// The changes of a kind together, in the order in which they first happen.
fn grouped(changes: Vec<(Kind, Moment)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (kind, moment) in changes {
        match groups.iter_mut().find(|group| group.kind == kind) {
            Some(group) => group.moments.push(moment),
            None => groups.push(Group { kind, moments: vec![moment] }),
        }
    }
    groups
}

impl Group {
    /// Writes the rule that the last years keep to, and what was before it as dates. What goes on
    /// by no such rule, such as Cairo's midnight after the last Thursday, is dates for thirty years
    /// more.
    fn write(&self, writer: &mut Writer, to: i16) {
        let rule = self.yearly(to);
        let from = rule.as_ref().map_or(self.moments.len(), |(from, _)| *from);
        let goes_on = self.moments.last().is_some_and(|last| last.at.year() > to);
        let dates = self.moments.get(..from).unwrap_or_default().iter().copied();
        let listed: Vec<_> = dates.filter(|moment| goes_on || moment.at.year() <= to).collect();
        self.observance(writer, listed.into_iter(), None);
        if let Some((from, rule)) = rule {
            self.observance(writer, self.moments.get(from).copied().into_iter(), Some(rule));
        }
    }

    fn observance(
        &self,
        writer: &mut Writer,
        mut moments: impl Iterator<Item = Moment>,
        rule: Option<String>,
    ) {
        let Some(first) = moments.next() else { return };
        let name = if self.kind.is_summer { "DAYLIGHT" } else { "STANDARD" };
        writer.raw(&format!("BEGIN:{name}"));
        writer.raw(&format!("DTSTART:{}", first.stamp()));
        writer.raw(&format!("TZOFFSETFROM:{}", offset(self.kind.from)));
        writer.raw(&format!("TZOFFSETTO:{}", offset(self.kind.to)));
        writer.raw(&format!("TZNAME:{}", self.kind.name));
        rule.into_iter().for_each(|rule| writer.raw(&rule));
        moments.for_each(|moment| writer.raw(&format!("RDATE:{}", moment.stamp())));
        writer.raw(&format!("END:{name}"));
    }

    /// From which moment on one yearly rule holds, and that rule: the same month, weekday and time,
    /// each year until thirty years after the last one that is asked for.
    fn yearly(&self, to: i16) -> Option<(usize, String)> {
        let last = self.moments.last()?;
        if last.at.year() < to + AHEAD - 1 {
            return None;
        }
        let mut from = self.moments.len() - 1;
        let mut days = (last.at.day(), last.at.day());
        while let Some(earlier) = from.checked_sub(1).and_then(|at| self.moments.get(at)) {
            let later = self.moments.get(from)?;
            let day = earlier.at.day();
            let range = (days.0.min(day), days.1.max(day));
            let same = earlier.at.year() + 1 == later.at.year()
                && earlier.at.month() == last.at.month()
                && earlier.at.time() == last.at.time()
                && earlier.at.weekday() == last.at.weekday()
                && range.1 - range.0 < 7;
            if !same {
                break;
            }
            days = range;
            from -= 1;
        }
        // Fewer years than it takes until each of the seven days has come up show no rule.
        (self.moments.len() - from > 12).then(|| (from, last.rule(days.0, days.1)))
    }
}

impl Moment {
    fn stamp(self) -> String {
        let (day, time) = (self.at.date(), self.at.time());
        format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}",
            day.year(),
            day.month(),
            day.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }

    /// The rule of the same weekday among these days of the month.
    fn rule(self, first: i8, last: i8) -> String {
        let weekday = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let at = usize::from(self.at.weekday().to_monday_zero_offset().unsigned_abs());
        let (month, day) = (self.at.month(), weekday.get(at).copied().unwrap_or("SU"));
        if first + 6 == self.at.date().days_in_month() && month != 2 && last == first + 6 {
            return format!("RRULE:FREQ=YEARLY;BYMONTH={month};BYDAY=-1{day}");
        }
        if (first - 1) % 7 == 0 && last == first + 6 {
            return format!("RRULE:FREQ=YEARLY;BYMONTH={month};BYDAY={}{day}", (first - 1) / 7 + 1);
        }
        let days: Vec<_> = (first..first + 7).map(|day| day.to_string()).collect();
        format!("RRULE:FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={};BYDAY={day}", days.join(","))
    }
}

/// `+0100`, with seconds where there are some (RFC 5545 §3.3.14).
fn offset(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let rest = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    match seconds {
        0 => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
    }
}
