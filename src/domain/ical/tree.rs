//! iCalendar octets as a tree of components (RFC 5545 §3.1, §3.6): each property and each component
//! knows the octets it came from, so that what nobody touches is given back unchanged (CAL-14).
//! Bounded in size, lines and depth. Must not know what any component or property means.

use std::borrow::Cow;

use super::{Flaw, Limits, NotAdmitted};
use crate::domain::vcard::lines::{BOM, LineView, RawLine, raw_lines};
use crate::domain::vcard::property::Parameter;
use crate::domain::vcard::text;

/// Properties whose value is a medium, which may be longer than other lines.
const MEDIA: [&str; 3] = ["ATTACH", "IMAGE", "STRUCTURED-DATA"];

/// Reads one VCALENDAR. Blank space and a byte order mark around it are harmless, anything else
/// is not iCalendar; a second VCALENDAR makes it a stream, which is not one object (CAL-2).
pub fn parse<'a>(octets: &'a [u8], limits: &Limits) -> Result<Component<'a>, NotAdmitted> {
    let mut calendars = parse_stream(octets, limits)?;
    match (calendars.pop(), calendars.is_empty()) {
        (Some(calendar), true) => Ok(calendar),
        (Some(_), false) => Err(NotAdmitted::NotAnObject(Flaw::SeveralCalendars)),
        (None, _) => Err(NotAdmitted::NotACalendar),
    }
}

/// Reads a stream of VCALENDARs (RFC 5545 §3.4), as a file has them that is imported.
pub fn parse_stream<'a>(octets: &'a [u8], limits: &Limits) -> Result<Vec<Component<'a>>, NotAdmitted> {
    if octets.len() > limits.bytes {
        return Err(NotAdmitted::TooLarge);
    }
    let text = octets.strip_prefix(BOM).unwrap_or(octets);
    let mut calendars = Vec::new();
    let mut open: Vec<Component<'a>> = Vec::new();
    let mut lines = raw_lines(text);
    let mut count = 0;
    while let Some(raw) = lines.next() {
        count += 1;
        let end = text.len() - lines.rest().len();
        let prop = Prop::new(raw, end - raw.octets().len());
        if count > limits.lines || prop.is_too_long(limits) {
            return Err(NotAdmitted::TooComplex);
        }
        if prop.is("BEGIN") {
            if open.is_empty() && !prop.names("VCALENDAR") {
                return Err(NotAdmitted::NotACalendar);
            }
            if open.len() >= limits.depth {
                return Err(NotAdmitted::TooComplex);
            }
            open.push(Component::opened_by(prop));
        } else if prop.is("END") {
            let mut closed = open.pop().ok_or(NotAdmitted::NotACalendar)?;
            if !prop.value().trim_ascii().eq_ignore_ascii_case(closed.name()) {
                return Err(NotAdmitted::NotACalendar);
            }
            closed.octets = text.get(closed.begin.at..end).unwrap_or_default();
            closed.end = Some(prop);
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => calendars.push(closed),
            }
        } else {
            match open.last_mut() {
                Some(component) => component.properties.push(prop),
                None if raw.octets().trim_ascii().is_empty() => {}
                None => return Err(NotAdmitted::NotACalendar),
            }
        }
    }
    if open.is_empty() { Ok(calendars) } else { Err(NotAdmitted::NotACalendar) }
}

/// A component: what stands from its BEGIN to its END.
#[derive(Clone)]
pub struct Component<'a> {
    /// Its own properties in their order; a line that is no property has an empty name.
    pub properties: Vec<Prop<'a>>,
    /// The components in it, in their order.
    pub children: Vec<Component<'a>>,
    /// Everything from its BEGIN line to its END line, both included.
    pub octets: &'a [u8],
    begin: Prop<'a>,
    end: Option<Prop<'a>>,
}

/// A property or a component, as they follow each other in their component.
pub enum Part<'c, 'a> {
    /// A property.
    Property(&'c Prop<'a>),
    /// A component.
    Component(&'c Component<'a>),
}

impl<'a> Component<'a> {
    fn opened_by(begin: Prop<'a>) -> Self {
        Self { properties: Vec::new(), children: Vec::new(), octets: &[], begin, end: None }
    }

    /// The name as spelled; compare it with [`Component::is`].
    pub fn name(&self) -> &[u8] {
        self.begin.value().trim_ascii()
    }

    /// Whether the component is called `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.begin.names(name)
    }

    /// The first property of that name.
    pub fn property(&self, name: &str) -> Option<&Prop<'a>> {
        self.properties.iter().find(|property| property.is(name))
    }

    /// Every property of that name.
    pub fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c Prop<'a>> {
        self.properties.iter().filter(move |property| property.is(name))
    }

    /// Every component of that name in this one.
    pub fn components<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c Component<'a>> {
        self.children.iter().filter(move |component| component.is(name))
    }

    /// The BEGIN line.
    pub fn begin(&self) -> &Prop<'a> {
        &self.begin
    }

    /// The octets of the END line.
    pub fn end(&self) -> &'a [u8] {
        self.end.as_ref().map(Prop::octets).unwrap_or_default()
    }

    /// Where the component begins: octets from the text's start, a byte order mark not counted.
    pub fn at(&self) -> usize {
        self.begin.at
    }

    /// Properties and components in the order in which they stand.
    pub fn parts<'c>(&'c self) -> impl Iterator<Item = Part<'c, 'a>> {
        let mut properties = self.properties.iter().peekable();
        let mut children = self.children.iter().peekable();
        std::iter::from_fn(move || {
            let property_first = match (properties.peek(), children.peek()) {
                (Some(property), Some(child)) => property.at < child.at(),
                (Some(_), None) => true,
                (None, _) => false,
            };
            match property_first {
                true => properties.next().map(Part::Property),
                false => children.next().map(Part::Component),
            }
        })
    }
}

/// A content line of a component.
#[derive(Clone)]
pub struct Prop<'a> {
    raw: RawLine<'a>,
    /// The line without folds.
    line: Cow<'a, [u8]>,
    /// How many octets of the line are its name.
    name: usize,
    /// Where its value begins.
    value: usize,
    /// Where the line begins in the text.
    at: usize,
}

impl<'a> Prop<'a> {
    fn new(raw: RawLine<'a>, at: usize) -> Self {
        let line = raw.unfold();
        let (name, value) = match LineView::split(&line) {
            // Names have no dots in iCalendar, so what cards call a group is a part of the name.
            Some(view) => (
                view.name.len() + view.group.map_or(0, |group| group.len() + 1),
                line.len() - view.value.len(),
            ),
            None => (0, 0),
        };
        Self { raw, line, name, value, at }
    }

    /// The line as it stands in the object, with its folds and its line end.
    pub fn octets(&self) -> &'a [u8] {
        self.raw.octets()
    }

    /// The line with its octets, for who cuts it.
    pub fn raw(&self) -> &RawLine<'a> {
        &self.raw
    }

    /// Where the line begins: octets from the text's start, a byte order mark not counted.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The whole line without folds and line end.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The name as spelled; empty where the line is no property. Compare it with [`Prop::is`].
    pub fn name(&self) -> &[u8] {
        self.line.get(..self.name).unwrap_or_default()
    }

    /// Whether the property is called `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name == name.len() && self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// What stands between the name's `;` and the value's `:`; empty where there is nothing.
    pub fn parameters(&self) -> &[u8] {
        self.line.get(self.name + 1..self.value.saturating_sub(1)).unwrap_or_default()
    }

    /// The value as it stands on the line.
    pub fn value(&self) -> &[u8] {
        self.line.get(self.value..).unwrap_or_default()
    }

    /// The value as a string, still escaped. Stored octets are UTF-8; others show as U+FFFD.
    pub fn raw_value(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.value())
    }

    /// The value as a text: unescaped (RFC 5545 §3.3.11).
    pub fn text(&self) -> String {
        text::unescape(&self.raw_value()).into_owned()
    }

    /// The parameters, unquoted and decoded (RFC 6868, ICAL-8).
    pub fn all_parameters(&self) -> Vec<Parameter> {
        Parameter::all(&String::from_utf8_lossy(self.parameters())).collect()
    }

    /// The first value of the parameter `name`, in any case.
    pub fn parameter(&self, name: &str) -> Option<String> {
        if self.parameters().is_empty() {
            return None;
        }
        let raw = String::from_utf8_lossy(self.parameters());
        Parameter::all(&raw).find(|p| p.is(name)).and_then(|p| p.values().first().cloned())
    }

    /// Whether the property's `VALUE` is this type, in any case.
    pub fn value_is(&self, kind: &str) -> bool {
        self.parameter("VALUE").is_some_and(|value| value.trim().eq_ignore_ascii_case(kind))
    }

    /// Whether the value, as a frame line has it, is this component's name.
    fn names(&self, component: &str) -> bool {
        self.value().trim_ascii().eq_ignore_ascii_case(component.as_bytes())
    }

    fn is_too_long(&self, limits: &Limits) -> bool {
        self.line.len() > limits.line_bytes && !MEDIA.iter().any(|name| self.is(name))
    }
}

/// Personal data never shows in debug output: only the structure does.
impl std::fmt::Debug for Component<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (properties, children) = (self.properties.len(), self.children.len());
        write!(f, "Component({properties} properties, {children} components)")
    }
}

impl std::fmt::Debug for Prop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prop(… {} octets)", self.line.len())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Octets that look like iCalendar, more often than chance would have it.
    pub(in crate::domain::ical) fn fragments() -> impl Strategy<Value = Vec<u8>> {
        let pieces = [
            "BEGIN:VCALENDAR\r\n",
            "END:VCALENDAR\r\n",
            "VERSION:2.0\r\n",
            "PRODID:-//x\r\n",
            "BEGIN:VEVENT\r\n",
            "END:VEVENT\r\n",
            "begin:vtodo\n",
            "END:VTODO\n",
            "UID:1\r\n",
            "UID:2\r\n",
            "UID:\r\n",
            "DTSTAMP:20260101T000000Z\r\n",
            "DTSTART:20260101T100000\r\n",
            "DTSTART;VALUE=DATE:20260101\r\n",
            "DTSTART;TZID=Europe/Berlin:20260101T1\r\n 00000\r\n",
            "RRULE:FREQ=DAILY;COUNT=3\r\n",
            "RECURRENCE-ID:20260102T100000\r\n",
            "EXDATE:20260103T100000\r\n",
            "METHOD:PUBLISH\r\n",
            "BEGIN:VALARM\r\n",
            "END:VALARM\r\n",
            "TRIGGER:-PT15M\r\n",
            "BEGIN:VTIMEZONE\r\n",
            "END:VTIMEZONE\r\n",
            "TZID:Europe/Berlin\r\n",
            "ATTENDEE;CN=\"a:b\":mailto:a@b.example\r\n",
            "ORGANIZER:mailto:c@d.example\r\n",
            "CONTACT:Jane\\, x@y.example\r\n",
            "X-CARDKEEP-CONTACT:u1\r\n",
            "SUMMARY:a\\nb\r\n",
            "no colon\r\n",
            "\r\n",
            " \r\n",
            "\u{feff}",
            "\u{e9}",
            ":",
            ";",
        ];
        let piece = prop_oneof![
            12 => prop::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..12),
        ];
        let loose = prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat());
        (loose, any::<bool>()).prop_map(|(loose, framed)| match framed {
            true => [b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", &loose[..], b"END:VEVENT\r\nEND:VCALENDAR\r\n"]
                .concat(),
            false => loose,
        })
    }

    fn calendar(lines: &str) -> String {
        format!("BEGIN:VCALENDAR\r\n{lines}END:VCALENDAR\r\n")
    }

    fn read(text: &str) -> Result<Component<'_>, NotAdmitted> {
        parse(text.as_bytes(), &Limits::default())
    }

    /// ICAL-1: folds, names in any case, quoted parameters, odd lines, blank space around.
    #[test]
    fn components_know_their_octets() {
        let text = "\u{feff}\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nbegin:vevent\nsummary:a\n  b\\, c\nno colon\nDTSTART;TZID=\"Europe/Be\n rlin\";X=^n:2026\nBEGIN:VALARM\nTRIGGER:-PT1M\nEND:VALARM\nUID:1\nEND:VEVENT\nX-A:1\r\nEND:VCALENDAR\r\n \r\n";
        let calendar = read(text).unwrap();
        assert!(calendar.is("vcalendar") && calendar.properties.len() == 2 && calendar.children.len() == 1);
        let event = calendar.components("VEVENT").next().unwrap();
        assert_eq!(event.property("SUMMARY").unwrap().text(), "a b, c");
        let start = event.property("dtstart").unwrap();
        assert_eq!(start.parameter("tzid").unwrap(), "Europe/Berlin");
        assert_eq!(start.parameter("X").unwrap(), "\n");
        assert_eq!(start.value(), b"2026");
        assert_eq!(start.octets(), b"DTSTART;TZID=\"Europe/Be\n rlin\";X=^n:2026\n");
        assert_eq!(event.properties[1].name(), b"");
        assert!(event.octets.starts_with(b"begin:vevent\n") && event.octets.ends_with(b"END:VEVENT\n"));
        let order: Vec<_> = event
            .parts()
            .map(|part| match part {
                Part::Property(property) => property.octets().len(),
                Part::Component(component) => component.octets.len(),
            })
            .collect();
        assert_eq!(order, [18, 9, 41, 38, 6]);
        let text = &text.as_bytes()[3..];
        assert!(text[start.at()..].starts_with(start.octets()));
        assert!(text[event.at()..].starts_with(event.octets));
    }

    #[test]
    fn what_is_not_one_calendar() {
        let one = calendar("VERSION:2.0\r\n");
        for nothing in [
            "",
            "\r\n",
            "BEGIN:VCALENDAR\r\n",
            "END:VCALENDAR\r\n",
            "BEGIN:VCARD\r\nEND:VCARD\r\n",
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VTODO\r\nEND:VCALENDAR\r\n",
            "x\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
            "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\nx\r\n",
            "<html>",
        ] {
            assert_eq!(read(nothing).unwrap_err(), NotAdmitted::NotACalendar, "{nothing:?}");
        }
        let several = NotAdmitted::NotAnObject(Flaw::SeveralCalendars);
        assert_eq!(read(&format!("{one}{one}")).unwrap_err(), several);
        assert_eq!(parse_stream(format!("{one}{one}").as_bytes(), &Limits::default()).unwrap().len(), 2);
    }

    #[test]
    fn limits_hold() {
        let nested = |depth: usize| {
            calendar(&format!("{}{}", "BEGIN:X\r\n".repeat(depth - 1), "END:X\r\n".repeat(depth - 1)))
        };
        assert!(read(&nested(8)).is_ok());
        assert_eq!(read(&nested(9)).unwrap_err(), NotAdmitted::TooComplex);
        let limits = Limits { bytes: 200, lines: 5, line_bytes: 20, ..Limits::default() };
        let tight = |lines: &str| parse(calendar(lines).as_bytes(), &limits).map(|_| ());
        assert_eq!(tight(&"A:1\r\n".repeat(3)), Ok(()));
        assert_eq!(tight(&"A:1\r\n".repeat(4)), Err(NotAdmitted::TooComplex));
        assert_eq!(tight(&format!("A:{}\r\n", "x".repeat(19))), Err(NotAdmitted::TooComplex));
        assert_eq!(tight(&format!("ATTACH:{}\r\n", "x".repeat(50))), Ok(()));
        assert_eq!(tight(&format!("ATTACH:{}\r\n", "x".repeat(200))), Err(NotAdmitted::TooLarge));
        assert_eq!(
            format!("{:?}", read(&calendar("X:1\r\n")).unwrap()),
            "Component(1 properties, 0 components)"
        );
    }

    fn in_order(component: &Component<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(component.begin().octets());
        for part in component.parts() {
            match part {
                Part::Property(property) => out.extend_from_slice(property.octets()),
                Part::Component(component) => in_order(component, out),
            }
        }
        out.extend_from_slice(component.end());
    }

    proptest! {
        #[test]
        fn any_octets_are_survived(octets in fragments()) {
            let Ok(calendars) = parse_stream(&octets, &Limits::default()) else { return Ok(()) };
            for calendar in calendars {
                let mut out = Vec::new();
                in_order(&calendar, &mut out);
                // Only empty lines stand between the lines.
                let lines = |text: &[u8]| raw_lines(text).map(|line| line.octets().to_vec()).collect::<Vec<_>>();
                prop_assert_eq!(lines(&out), lines(calendar.octets));
            }
        }
    }
}
