//! An `.ics` of many objects taken apart for an import, and objects put together for an export
//! (RFC 5545 §3.4; RFC 4791 §4.1; ICAL-12). Components keep their octets. Must not know where the
//! objects come from or go to.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use memchr::{memchr_iter, memchr2};

use super::admit::PRODID;
use super::tree::{Component, parse_stream};
use super::{Kind, Limits, NotAdmitted};
use crate::domain::vcard::lines::raw_lines;
use crate::domain::vcard::text::escape;
use crate::domain::vcard::write::Writer;

/// A larger VTIMEZONE is left out of the objects that use it, lest a file of many objects grow a
/// thousandfold.
const LARGEST_ZONE: usize = 64 << 10;

/// What describes a whole calendar (RFC 7986 §5, ICAL-7), as an import finds it and an export says it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct About {
    /// `NAME`, or `X-WR-CALNAME`.
    pub name: Option<String>,
    /// `DESCRIPTION`, or `X-WR-CALDESC`.
    pub description: Option<String>,
    /// `COLOR`, a name of a CSS colour, or `X-APPLE-CALENDAR-COLOR`.
    pub color: Option<String>,
}

crate::hidden!(About);

/// One object of a stream, not yet put together.
pub struct Piece<'a> {
    /// The name of its components, in upper case.
    component: String,
    frame: Vec<&'a [u8]>,
    zones: Vec<&'a [u8]>,
    components: Vec<Cow<'a, [u8]>>,
}

impl Piece<'_> {
    /// What it is about, where calendars store such things.
    pub fn kind(&self) -> Option<Kind> {
        Kind::parse(&self.component)
    }

    /// The object: its calendar's VERSION, PRODID and CALSCALE, the time zones that it names, and
    /// its components. METHOD stays behind, since a stored object has none (CAL-2).
    pub fn octets(&self) -> Vec<u8> {
        let frame = self.frame.iter().copied().chain(self.zones.iter().copied());
        let mut out = b"BEGIN:VCALENDAR\r\n".to_vec();
        frame.for_each(|octets| out.extend_from_slice(octets));
        self.components.iter().for_each(|octets| out.extend_from_slice(octets));
        out.extend_from_slice(b"END:VCALENDAR\r\n");
        out
    }
}

/// The objects of a stream: one for each UID and type of component, in the stream's order. A
/// component without a UID is an object of its own, whose UID `uid` makes from its octets.
pub fn split<'a>(
    octets: &'a [u8],
    limits: &Limits,
    mut uid: impl FnMut(&[u8]) -> String,
) -> Result<(About, Vec<Piece<'a>>), NotAdmitted> {
    let mut about = About::default();
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    for calendar in parse_stream(octets, limits)? {
        about.read(&calendar);
        let frame: Vec<&'a [u8]> = ["VERSION", "PRODID", "CALSCALE"]
            .iter()
            .filter_map(|name| Some(calendar.property(name)?.octets()))
            .collect();
        let mut zones: HashMap<String, &'a [u8]> = HashMap::new();
        for zone in calendar.components("VTIMEZONE").filter(|zone| zone.octets.len() <= LARGEST_ZONE) {
            if let Some(id) = zone.property("TZID") {
                zones.entry(id.text()).or_insert(zone.octets);
            }
        }
        // One calendar's objects: two calendars of a stream may define a zone differently.
        let mut known: HashMap<(String, Vec<u8>), usize> = HashMap::new();
        for component in calendar.children.iter().filter(|child| !child.is("VTIMEZONE")) {
            let name = String::from_utf8_lossy(component.name()).to_ascii_uppercase();
            let (id, octets) = identified(component, &mut uid);
            let at = *known.entry((name.clone(), id)).or_insert(pieces.len());
            if at == pieces.len() {
                let frame = frame.clone();
                pieces.push(Piece { component: name, frame, zones: Vec::new(), components: Vec::new() });
            }
            if let Some(piece) = pieces.get_mut(at) {
                for id in zone_ids(component) {
                    if let Some(zone) = zones.get(&id).filter(|zone| !piece.zones.contains(zone)) {
                        piece.zones.push(zone);
                    }
                }
                piece.components.push(octets);
            }
        }
    }
    Ok((about, pieces))
}

/// The component's UID, and its octets with one.
fn identified<'a>(
    component: &Component<'a>,
    uid: &mut impl FnMut(&[u8]) -> String,
) -> (Vec<u8>, Cow<'a, [u8]>) {
    let said = component.all("UID").find(|property| !property.value().trim_ascii().is_empty());
    if let Some(said) = said {
        return (said.value().to_vec(), Cow::Borrowed(component.octets));
    }
    let mut line = Writer::default();
    line.raw(&format!("UID:{}", escape(&uid(component.octets))));
    let line = line.finish();
    let begin = component.begin().octets();
    let rest = component.octets.get(begin.len()..).unwrap_or_default();
    let octets = [begin, &line, rest].concat();
    (line, Cow::Owned(octets))
}

/// The TZIDs that a component and what it holds name.
pub(super) fn zone_ids(component: &Component<'_>) -> HashSet<String> {
    let mut ids: HashSet<String> = component.children.iter().flat_map(zone_ids).collect();
    // Most properties have no parameters, and dates in UTC or without a time have no TZID.
    let with = component.properties.iter().filter(|property| !property.parameters().is_empty());
    ids.extend(with.filter_map(|property| property.parameter("TZID")));
    ids
}

impl About {
    fn read(&mut self, calendar: &Component<'_>) {
        let text = |names: &[&str]| {
            names.iter().filter_map(|name| calendar.property(name)).map(|property| property.text()).next()
        };
        let or = |known: &mut Option<String>, found: Option<String>| {
            if known.is_none() {
                *known = found.filter(|text| !text.trim().is_empty());
            }
        };
        or(&mut self.name, text(&["NAME", "X-WR-CALNAME"]));
        or(&mut self.description, text(&["DESCRIPTION", "X-WR-CALDESC"]));
        or(&mut self.color, text(&["COLOR", "X-APPLE-CALENDAR-COLOR"]));
    }
}

/// Puts objects together, one after the other, so that an export need not be in memory.
#[derive(Default)]
pub struct Join {
    zones: HashSet<String>,
}

impl Join {
    /// A stream that begins here, with its first octets.
    pub fn begin(about: &About) -> (Self, Vec<u8>) {
        let mut writer = Writer::default();
        writer.raw("BEGIN:VCALENDAR");
        writer.raw("VERSION:2.0");
        writer.raw(&format!("PRODID:{PRODID}"));
        writer.raw("CALSCALE:GREGORIAN");
        let mut say = |names: &[&str], text: &Option<String>| {
            for (name, text) in names.iter().zip(std::iter::repeat(text)) {
                if let Some(text) = text {
                    writer.raw(&format!("{name}:{}", escape(text)));
                }
            }
        };
        // What programs read before RFC 7986 is what most of them still read.
        say(&["NAME", "X-WR-CALNAME"], &about.name);
        say(&["DESCRIPTION", "X-WR-CALDESC"], &about.description);
        let is_css = about.color.as_ref().is_some_and(|color| color.bytes().all(|b| b.is_ascii_alphabetic()));
        say(if is_css { &["COLOR"] } else { &["X-APPLE-CALENDAR-COLOR"] }, &about.color);
        (Self::default(), writer.finish())
    }

    /// The components of an object and those of its time zones that the stream has not yet (of
    /// each TZID the first, since a stream cannot say which one is meant). What was stored is an
    /// object; anything else adds nothing.
    pub fn object(&mut self, octets: &[u8], limits: &Limits) -> Vec<u8> {
        let mut out = Vec::with_capacity(octets.len());
        for calendar in parse_stream(octets, limits).unwrap_or_default() {
            for child in &calendar.children {
                let new = !child.is("VTIMEZONE")
                    || child.property("TZID").is_some_and(|id| self.zones.insert(id.text()));
                if new {
                    push_with_crlf(child.octets, &mut out);
                }
            }
        }
        out
    }

    /// The stream's last octets.
    pub fn end(self) -> &'static [u8] {
        b"END:VCALENDAR\r\n"
    }
}

/// Adds octets with every line ended by CRLF: objects with different line ends stand in one
/// stream, and not every reader bears that.
fn push_with_crlf(octets: &[u8], out: &mut Vec<u8>) {
    let all_crlf = |end: u8, at: &dyn Fn(usize) -> Option<usize>, other: u8| {
        memchr_iter(end, octets).all(|place| at(place).and_then(|at| octets.get(at)) == Some(&other))
    };
    let clean =
        all_crlf(b'\n', &|at| at.checked_sub(1), b'\r') && all_crlf(b'\r', &|at| at.checked_add(1), b'\n');
    if clean {
        out.extend_from_slice(octets);
        return;
    }
    for line in raw_lines(octets) {
        let mut rest = line.octets();
        while let Some(at) = memchr2(b'\r', b'\n', rest) {
            out.extend_from_slice(rest.get(..at).unwrap_or_default());
            out.extend_from_slice(b"\r\n");
            let end = if rest.get(at..at + 2) == Some(b"\r\n") { 2 } else { 1 };
            rest = rest.get(at + end..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::admit;
    use super::super::tree::{parse, tests::fragments};
    use super::*;

    fn limits() -> Limits {
        Limits::default()
    }

    fn pieces(stream: &str) -> (About, Vec<String>) {
        let (about, pieces) =
            split(stream.as_bytes(), &limits(), |octets| format!("made;{}", octets.len())).unwrap();
        (about, pieces.iter().map(|piece| String::from_utf8(piece.octets()).unwrap()).collect())
    }

    const STREAM: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:PUBLISH\r\nX-WR-CALNAME:Work\\, mine\r\n\
        BEGIN:VTIMEZONE\r\nTZID:A\r\nEND:VTIMEZONE\r\nBEGIN:VTIMEZONE\r\nTZID:B\r\nEND:VTIMEZONE\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=A:1\r\nEND:VEVENT\r\n\
        BEGIN:VTODO\r\nUID:1\r\nEND:VTODO\r\n\
        BEGIN:VEVENT\r\nUID:2\r\nBEGIN:VALARM\r\nTRIGGER;TZID=\"B\":1\r\nEND:VALARM\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID;TZID=A:2\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT\n\
        END:VCALENDAR\r\n";

    /// ICAL-12, CAL-2, CAL-3: an object for each UID and type, with the zones that it uses.
    #[test]
    fn a_stream_is_taken_apart() {
        let (about, objects) = pieces(STREAM);
        assert_eq!(about.name.as_deref(), Some("Work, mine"));
        let framed =
            |lines: &str| format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{lines}END:VCALENDAR\r\n");
        assert_eq!(
            objects,
            [
                framed(
                    "BEGIN:VTIMEZONE\r\nTZID:A\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=A:1\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID;TZID=A:2\r\nEND:VEVENT\r\n"
                ),
                framed("BEGIN:VTODO\r\nUID:1\r\nEND:VTODO\r\n"),
                framed(
                    "BEGIN:VTIMEZONE\r\nTZID:B\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:2\r\nBEGIN:VALARM\r\nTRIGGER;TZID=\"B\":1\r\nEND:VALARM\r\nEND:VEVENT\r\n"
                ),
                framed("BEGIN:VEVENT\nUID:made\\;34\r\nSUMMARY:x\nEND:VEVENT\n"),
            ]
        );
        for object in objects {
            assert!(admit(&Bytes::from(object), jiff::Timestamp::UNIX_EPOCH, &limits()).is_ok());
        }
        assert!(split(b"nothing", &limits(), |_| String::new()).is_err());
    }

    /// ICAL-7, ICAL-12: one calendar, each zone once, CRLF throughout.
    #[test]
    fn objects_are_put_together() {
        let about = About {
            name: Some("Mine; all".to_owned()),
            description: None,
            color: Some("#ff0000".to_owned()),
        };
        let (mut join, mut stream) = Join::begin(&about);
        let (_, objects) = pieces(STREAM);
        for object in objects.iter().chain(&objects) {
            stream.extend(join.object(object.as_bytes(), &limits()));
        }
        assert!(join.object(b"nothing", &limits()).is_empty());
        stream.extend(join.end());
        let text = String::from_utf8(stream).unwrap();
        assert!(text.starts_with(&format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:{PRODID}\r\nCALSCALE:GREGORIAN\r\nNAME:Mine\\; all\r\nX-WR-CALNAME:Mine\\; all\r\nX-APPLE-CALENDAR-COLOR:#ff0000\r\nBEGIN:VTIMEZONE\r\n"
        )));
        assert_eq!(text.matches("BEGIN:VTIMEZONE").count(), 2);
        assert_eq!(text.matches("BEGIN:VEVENT").count(), 8);
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        assert!(text.contains("BEGIN:VEVENT\r\nUID:made\\;34\r\nSUMMARY:x\r\nEND:VEVENT\r\n"));
    }

    #[test]
    fn a_huge_zone_is_not_repeated() {
        let stream = STREAM.replace("TZID:B\r\n", &format!("TZID:B\r\n{}", "X:1\r\n".repeat(20_000)));
        let (_, objects) = pieces(&stream);
        assert!(objects.iter().all(|object| object.len() < 300));
    }

    /// The components, their lines with one line end: how many of each there are, without those
    /// that have no UID of their own.
    fn components(octets: &[u8]) -> (BTreeMap<String, usize>, usize) {
        let (mut found, mut count) = (BTreeMap::new(), 0);
        for child in parse_stream(octets, &limits()).unwrap().iter().flat_map(|calendar| &calendar.children) {
            if child.is("VTIMEZONE") {
                continue;
            }
            count += 1;
            if child.all("UID").any(|uid| matches!(uid.value(), b"1" | b"2")) {
                let lines: Vec<_> = raw_lines(child.octets)
                    .map(|line| String::from_utf8_lossy(&line.unfold()).into_owned())
                    .collect();
                *found.entry(lines.join("\n")).or_insert(0) += 1;
            }
        }
        (found, count)
    }

    proptest! {
        /// Nothing is lost on the way apart and together again.
        #[test]
        fn split_and_joined_is_the_same(streams in prop::collection::vec(fragments(), 1..3)) {
            let whole: Vec<u8> = streams.into_iter().filter(|stream| parse_stream(stream, &limits()).is_ok()).flatten().collect();
            let Ok((_, pieces)) = split(&whole, &limits(), |_| "made".to_owned()) else { return Ok(()) };
            let (mut join, mut stream) = Join::begin(&About::default());
            for piece in &pieces {
                let octets = piece.octets();
                prop_assert!(parse(&octets, &limits()).is_ok());
                stream.extend(join.object(&octets, &limits()));
            }
            stream.extend(join.end());
            prop_assert_eq!(components(&whole), components(&stream));
        }
    }
}
