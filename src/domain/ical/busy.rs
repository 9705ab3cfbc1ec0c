//! When somebody is busy (RFC 4791 §7.10, RFC 7953 §4 and §5; CAL-40, AVAIL-2): periods of events
//! and of availability, merged, and the VFREEBUSY that says them. Says when and never what.

use jiff::Timestamp;

use super::admit::PRODID;
use super::instances::{Moment, Object};
use super::overlap::Range;
use super::time::{DAY, Length};
use super::tree::Component;
use super::zone::Zones;
use crate::domain::vcard::write::Writer;

/// How many instances one object adds: more than one each minute of a month.
const MOST: usize = 50_000;

/// How busy somebody is (RFC 5545 §3.2.9), the strongest first, as RFC 7953 §4 orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BusyType {
    /// `BUSY`.
    Busy,
    /// `BUSY-UNAVAILABLE`.
    Unavailable,
    /// `BUSY-TENTATIVE`.
    Tentative,
}

impl BusyType {
    /// Every type, the strongest first.
    pub const ALL: [Self; 3] = [Self::Busy, Self::Unavailable, Self::Tentative];

    /// The word of `FBTYPE` and `BUSYTYPE`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Busy => "BUSY",
            Self::Unavailable => "BUSY-UNAVAILABLE",
            Self::Tentative => "BUSY-TENTATIVE",
        }
    }

    /// The type that an event's TRANSP and STATUS make (RFC 4791 §7.10); `None` where its time is
    /// free. A status that nobody knows is BUSY.
    fn of_event(event: &Component<'_>) -> Option<Self> {
        let says = |name: &str, word: &str| {
            event.property(name).is_some_and(|p| p.value().trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        if says("TRANSP", "TRANSPARENT") || says("STATUS", "CANCELLED") {
            None
        } else if says("STATUS", "TENTATIVE") {
            Some(Self::Tentative)
        } else {
            Some(Self::Busy)
        }
    }

    /// BUSYTYPE of a VAVAILABILITY, BUSY-UNAVAILABLE where it says none (RFC 7953 §3.2).
    fn of_availability(availability: &Component<'_>) -> Self {
        let said = availability.property("BUSYTYPE").map(|busy| busy.value().trim_ascii());
        let named = |kind: &Self| said.is_some_and(|said| said.eq_ignore_ascii_case(kind.word().as_bytes()));
        Self::ALL.into_iter().find(named).unwrap_or(Self::Unavailable)
    }
}

/// Periods that do not touch each other, in order: seconds since 1970, the end excluded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Spans(Vec<(i64, i64)>);

impl Spans {
    /// Periods of any kind, those that overlap or follow each other made one.
    fn of(mut periods: Vec<(i64, i64)>) -> Self {
        periods.retain(|(start, end)| start < end);
        periods.sort_unstable();
        let mut spans: Vec<(i64, i64)> = Vec::with_capacity(periods.len());
        for (start, end) in periods {
            match spans.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => spans.push((start, end)),
            }
        }
        Self(spans)
    }

    fn with(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied().collect())
    }

    /// These without the others.
    fn without(&self, others: &Self) -> Self {
        let mut left = Vec::with_capacity(self.0.len());
        let mut cuts = others.0.iter().peekable();
        for &(mut start, end) in &self.0 {
            while cuts.peek().is_some_and(|(_, cut_end)| *cut_end <= start) {
                cuts.next();
            }
            // A cut may reach into the next period, so it is looked at and not taken.
            let mut ahead = cuts.clone();
            while let Some(&&(cut, cut_end)) = ahead.peek().filter(|(cut, _)| *cut < end) {
                left.push((start, cut));
                start = cut_end;
                ahead.next();
            }
            left.push((start, end));
        }
        Self::of(left)
    }

    /// What these and the others have in common.
    fn within(&self, others: &Self) -> Self {
        self.without(&self.without(others))
    }
}

/// Gathers the periods of many objects.
#[derive(Debug, Clone)]
pub struct BusyTimes {
    range: (i64, i64),
    events: [Vec<(i64, i64)>; 3],
    availability: Vec<Availability>,
}

/// One VAVAILABILITY.
#[derive(Debug, Clone)]
struct Availability {
    /// 0 is the lowest, then 9 down to 1 (RFC 7953 §4).
    priority: u8,
    busy: BusyType,
    span: (i64, i64),
    available: Vec<(i64, i64)>,
}

/// A period in which somebody is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// How busy.
    pub kind: BusyType,
    /// From when.
    pub start: Timestamp,
    /// Until when, excluded.
    pub end: Timestamp,
}

impl BusyTimes {
    /// Nothing yet; only what is in `range` counts.
    pub fn new(range: &Range) -> Self {
        let start = range.start.unwrap_or(Timestamp::MIN).as_second();
        let end = range.end.unwrap_or(Timestamp::MAX).as_second();
        Self { range: (start, end), events: Default::default(), availability: Vec::new() }
    }

    /// Adds what a VCALENDAR says. Instances that cannot be told within the object's budget are
    /// left out: a rule that costs more is nobody's appointment (CAL-42).
    pub fn add(&mut self, calendar: &Component<'_>, zones: &Zones) {
        let range = self.as_range();
        if calendar.components("VEVENT").next().is_some() {
            for instance in Object::new(calendar, zones).instances(&range, MOST).list {
                let place = match BusyType::of_event(instance.component) {
                    Some(kind) if instance.component.is("VEVENT") => {
                        BusyType::ALL.iter().position(|known| *known == kind)
                    }
                    _ => None,
                };
                if let Some(periods) = place.and_then(|place| self.events.get_mut(place)) {
                    periods.push((instance.start.as_second(), instance.end.as_second()));
                }
            }
        }
        for component in calendar.components("VAVAILABILITY") {
            let object = Object::within(calendar, component, zones);
            let moment = |name: &str| {
                component.property(name).and_then(|property| Moment::of(property, &object.zones, None))
            };
            let start = moment("DTSTART");
            let lasts = component.property("DURATION").and_then(|length| Length::parse(&length.raw_value()));
            let end = match (&start, moment("DTEND"), lasts) {
                (_, Some(end), _) => end.seconds(),
                (Some(start), None, Some(length)) => {
                    start.zone.seconds(start.civil.plus(length.days * DAY)).saturating_add(length.seconds)
                }
                _ => i64::MAX,
            };
            let available = object.instances(&range, MOST).list;
            self.availability.push(Availability {
                priority: priority(component),
                busy: BusyType::of_availability(component),
                span: (start.map_or(i64::MIN, |start| start.seconds()), end),
                available: available.iter().map(|one| (one.start.as_second(), one.end.as_second())).collect(),
            });
        }
    }

    fn as_range(&self) -> Range {
        let at = |second| Timestamp::from_second(second).ok();
        Range { start: at(self.range.0), end: at(self.range.1) }
    }

    /// The merged periods in order of their beginning; periods of different types may overlap.
    pub fn periods(&self) -> Vec<Busy> {
        let mut spans = self.unavailable();
        for (span, events) in spans.iter_mut().zip(&self.events) {
            *span = span.with(&Spans::of(events.iter().map(|period| self.cut(*period)).collect()));
        }
        let mut periods: Vec<Busy> = BusyType::ALL
            .into_iter()
            .zip(&spans)
            .flat_map(|(kind, spans)| spans.0.iter().map(move |span| (kind, span)))
            .filter_map(|(kind, &(start, end))| {
                let at = |second| Timestamp::from_second(second).ok();
                Some(Busy { kind, start: at(start)?, end: at(end)? })
            })
            .collect();
        periods.sort_by_key(|busy| (busy.start, busy.kind));
        periods
    }

    /// What VAVAILABILITY leaves busy, by type. From the lowest priority to the highest, each sets
    /// the time that it covers to busy and its AVAILABLE to free (RFC 7953 §4); those of one
    /// priority do so at once, the stronger type first.
    fn unavailable(&self) -> [Spans; 3] {
        let mut spans: [Spans; 3] = Default::default();
        for priority in [0, 9, 8, 7, 6, 5, 4, 3, 2, 1] {
            let group = || self.availability.iter().filter(|availability| availability.priority == priority);
            let available = |availability: &Availability| {
                let own = Spans::of(vec![availability.span]);
                Spans::of(availability.available.clone()).within(&own).0
            };
            let free = Spans::of(group().flat_map(available).collect());
            let covered = Spans::of(group().map(|availability| self.cut(availability.span)).collect());
            let mut set = free;
            for (kind, span) in BusyType::ALL.into_iter().zip(&mut spans) {
                let of_kind = group().filter(|availability| availability.busy == kind);
                let busy = Spans::of(of_kind.map(|availability| self.cut(availability.span)).collect());
                *span = span.without(&covered).with(&busy.without(&set));
                set = set.with(&busy);
            }
        }
        spans
    }

    /// The part of a period that is in the range.
    fn cut(&self, period: (i64, i64)) -> (i64, i64) {
        (period.0.max(self.range.0), period.1.min(self.range.1))
    }

    /// The answer of a free-busy query: one VFREEBUSY, also where nobody is busy (RFC 4791 §7.10).
    pub fn answer(&self, stamp: Timestamp) -> Vec<u8> {
        let utc =
            |second: i64| Timestamp::from_second(second).map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string());
        let mut writer = Writer::default();
        writer.raw("BEGIN:VCALENDAR");
        writer.raw("VERSION:2.0");
        writer.raw(&format!("PRODID:{PRODID}"));
        writer.raw("BEGIN:VFREEBUSY");
        writer.raw(&format!("DTSTAMP:{}", stamp.strftime("%Y%m%dT%H%M%SZ")));
        for (name, second) in [("DTSTART", self.range.0), ("DTEND", self.range.1)] {
            if let Ok(time) = utc(second) {
                writer.raw(&format!("{name}:{time}"));
            }
        }
        for busy in self.periods() {
            let kind = match busy.kind {
                BusyType::Busy => String::new(),
                other => format!(";FBTYPE={}", other.word()),
            };
            let (start, end) = (busy.start.strftime("%Y%m%dT%H%M%SZ"), busy.end.strftime("%Y%m%dT%H%M%SZ"));
            writer.raw(&format!("FREEBUSY{kind}:{start}/{end}"));
        }
        writer.raw("END:VFREEBUSY");
        writer.raw("END:VCALENDAR");
        writer.finish()
    }
}

/// PRIORITY, 0 where it says none or nothing that one could be.
fn priority(component: &Component<'_>) -> u8 {
    let said = component.property("PRIORITY").and_then(|said| said.raw_value().trim().parse().ok());
    said.filter(|priority| *priority <= 9).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Limits;
    use super::super::tree::{parse, tests::fragments};
    use super::super::zone::Zone;
    use super::*;

    fn range(from: &str, to: &str) -> Range {
        Range { start: Some(from.parse().unwrap()), end: Some(to.parse().unwrap()) }
    }

    /// What is busy in a day, one letter for each two hours, as RFC 7953 §5.1 shows it.
    fn day(range: &Range, calendars: &[&str]) -> String {
        let mut times = BusyTimes::new(range);
        let zones = Zones::new(Zone::UTC);
        for lines in calendars {
            let text = format!("BEGIN:VCALENDAR\r\n{lines}END:VCALENDAR\r\n");
            times.add(&parse(text.as_bytes(), &Limits::default()).unwrap(), &zones);
        }
        let start = range.start.unwrap().as_second();
        let letter = |slot: i64| {
            let at = Timestamp::from_second(start + slot * 7200).unwrap();
            let busy = times.periods().into_iter().find(|busy| busy.start <= at && at < busy.end);
            busy.map_or('F', |busy| match busy.kind {
                BusyType::Busy => 'B',
                BusyType::Unavailable => 'U',
                BusyType::Tentative => 'T',
            })
        };
        (0..12).map(letter).collect()
    }

    const WEEK: &str = "BEGIN:VAVAILABILITY\r\nUID:a\r\nBEGIN:AVAILABLE\r\nUID:b\r\nDTSTART;TZID=America/Montreal:20111002T080000\r\n\
        DTEND;TZID=America/Montreal:20111002T180000\r\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR\r\nEND:AVAILABLE\r\nEND:VAVAILABILITY\r\n";
    const DENVER: &str = "BEGIN:VAVAILABILITY\r\nUID:c\r\nPRIORITY:1\r\nDTSTART;TZID=America/Denver:20111023T000000\r\n\
        DTEND;TZID=America/Denver:20111030T000000\r\nBEGIN:AVAILABLE\r\nUID:d\r\nDTSTART;TZID=America/Denver:20111023T080000\r\n\
        DTEND;TZID=America/Denver:20111023T180000\r\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR\r\nEND:AVAILABLE\r\nEND:VAVAILABILITY\r\n";

    fn event(zone: &str, start: &str, more: &str) -> String {
        format!(
            "BEGIN:VEVENT\r\nUID:e\r\nDTSTART;TZID=America/{zone}:{start}\r\nDURATION:PT2H\r\n{more}END:VEVENT\r\n"
        )
    }

    /// AVAIL-2: RFC 7953 §5.1.1 and §5.1.2.
    #[test]
    fn avail_2_the_examples_of_the_rfc() {
        // 6 November 2011 is the Sunday on which clocks are changed; Monday is meant.
        let monday = range("2011-11-07T05:00:00Z", "2011-11-08T05:00:00Z");
        assert_eq!(day(&monday, &[WEEK, &event("Montreal", "20111107T120000", "")]), "UUUUFFBFFUUU");
        let denver = range("2011-10-24T04:00:00Z", "2011-10-25T04:00:00Z");
        let meeting = event("Denver", "20111024T120000", "");
        assert_eq!(day(&denver, &[WEEK, &meeting, DENVER]), "UUUUUFFBFFUU");
        let busy = DENVER.replace("PRIORITY:1", "PRIORITY:1\r\nBUSYTYPE:BUSY");
        assert_eq!(day(&denver, &[&busy, WEEK]), "BBBBBFFFFFBB");
        let short = DENVER.replace("DTEND;TZID=America/Denver:20111030T000000", "DURATION:P1DT2H");
        assert_eq!(day(&denver, &[&short, WEEK]), "UUUUFFFFFUUU");
    }

    /// CAL-40: the table of RFC 4791 §7.10, merged and cut to the range.
    #[test]
    fn cal_40_events() {
        let monday = range("2011-11-07T05:00:00Z", "2011-11-08T05:00:00Z");
        let with = |more: &str| day(&monday, &[&event("Montreal", "20111107T120000", more)]);
        assert_eq!(with("TRANSP:OPAQUE\r\nSTATUS:X-ODD\r\n"), "FFFFFFBFFFFF");
        assert_eq!(with("STATUS:tentative\r\n"), "FFFFFFTFFFFF");
        assert_eq!(with("TRANSP:TRANSPARENT\r\n"), "FFFFFFFFFFFF");
        assert_eq!(with("STATUS:CANCELLED\r\n"), "FFFFFFFFFFFF");
        assert_eq!(with("RRULE:FREQ=HOURLY;INTERVAL=4;COUNT=3\r\n"), "FFFFFFBFBFBF");
        let todo = event("Montreal", "20111107T120000", "").replace("VEVENT", "VTODO");
        assert_eq!(day(&monday, &[&todo]), "FFFFFFFFFFFF");
    }

    #[test]
    fn cal_40_the_answer() {
        let mut times = BusyTimes::new(&range("2011-11-07T17:30:00Z", "2011-11-08T00:00:00Z"));
        let stamp = Timestamp::UNIX_EPOCH;
        let framed = |lines: &str| {
            format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:{PRODID}\r\nBEGIN:VFREEBUSY\r\nDTSTAMP:19700101T000000Z\r\n\
                 DTSTART:20111107T173000Z\r\nDTEND:20111108T000000Z\r\n{lines}END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
            )
        };
        assert_eq!(times.answer(stamp), framed("").into_bytes());
        for (hour, more) in [(12, ""), (13, ""), (14, "STATUS:TENTATIVE\r\n"), (16, "")] {
            let text = event("Montreal", &format!("20111107T{hour}0000"), more);
            let text = format!("BEGIN:VCALENDAR\r\n{text}END:VCALENDAR\r\n");
            times.add(&parse(text.as_bytes(), &Limits::default()).unwrap(), &Zones::new(Zone::UTC));
        }
        let busy = "FREEBUSY:20111107T173000Z/20111107T200000Z\r\nFREEBUSY;FBTYPE=BUSY-TENTATIVE:20111107T190000Z/20111107T210000Z\r\n\
                    FREEBUSY:20111107T210000Z/20111107T230000Z\r\n";
        assert_eq!(String::from_utf8(times.answer(stamp)).unwrap(), framed(busy));
    }

    fn spans() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec(
            (0_i64..40, 0_i64..12).prop_map(|(start, length)| (start, start + length)),
            0..6,
        )
    }

    fn availability() -> impl Strategy<Value = Availability> {
        let kind = prop::sample::select(BusyType::ALL.to_vec());
        (prop::sample::select(vec![0_u8, 9, 5, 1]), kind, (0_i64..40, 0_i64..40), spans())
            .prop_map(|(priority, busy, span, available)| Availability { priority, busy, span, available })
    }

    fn has(spans: &[(i64, i64)], at: i64) -> bool {
        spans.iter().any(|(start, end)| *start <= at && at < *end)
    }

    proptest! {
        #[test]
        fn any_object_is_survived(octets in fragments(), start in any::<i32>(), length in 0_i64..100_000_000) {
            let start = i64::from(start);
            let at = |second| Timestamp::from_second(second).ok();
            let mut times = BusyTimes::new(&Range { start: at(start), end: at(start + length) });
            for calendar in super::super::tree::parse_stream(&octets, &Limits::default()).unwrap_or_default() {
                times.add(&calendar, &Zones::new(Zone::UTC));
            }
            for busy in times.periods() {
                prop_assert!(busy.start < busy.end && busy.start.as_second() >= start && busy.end.as_second() <= start + length);
            }
            prop_assert!(parse(&times.answer(Timestamp::UNIX_EPOCH), &Limits::default()).is_ok());
        }

        /// Spans are what a list of seconds says.
        #[test]
        fn spans_are_sets(a in spans(), b in spans()) {
            let (one, two) = (Spans::of(a.clone()), Spans::of(b.clone()));
            let results = [one.with(&two), one.without(&two), one.within(&two)];
            for at in 0..60 {
                let (a, b) = (has(&a, at), has(&b, at));
                prop_assert_eq!(has(&results[0].0, at), a || b);
                prop_assert_eq!(has(&results[1].0, at), a && !b);
                prop_assert_eq!(has(&results[2].0, at), a && b);
            }
            for spans in results {
                prop_assert!(spans.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }

        /// AVAIL-2: RFC 7953 §4, second by second.
        #[test]
        fn availability_is_combined_by_priority(list in prop::collection::vec(availability(), 0..5)) {
            let times = BusyTimes { range: (5, 35), events: Default::default(), availability: list.clone() };
            let spans = times.unavailable();
            for at in 0..60 {
                let mut state: Option<BusyType> = None;
                for priority in [0, 9, 5, 1] {
                    let group: Vec<_> = list.iter().filter(|a| a.priority == priority && has(&[a.span], at)).collect();
                    if !group.is_empty() {
                        let free = group.iter().any(|a| has(&a.available, at));
                        state = if free { None } else { group.iter().map(|a| a.busy).min() };
                    }
                }
                let expected = state.filter(|_| (5..35).contains(&at));
                for (kind, spans) in BusyType::ALL.into_iter().zip(&spans) {
                    prop_assert_eq!(has(&spans.0, at), expected == Some(kind), "{} {:?}", at, kind);
                }
            }
        }
    }
}
