//! The demo's contacts: a table of invented people, companies and groups (`contacts.txt`) and how
//! its rows become cards, half of them vCard 3.0 and half 4.0. Knows neither store nor accounts:
//! who calls `cards` puts them where they belong. What they have to do with each other and when is
//! `calendar.rs`'s.

pub mod calendar;
mod fill;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::vcard::Version;
use crate::domain::vcard::text::escape;
use crate::domain::vcard::write::Writer;

/// Which of the demo's books a card belongs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoBook {
    /// The book `contacts` of the user `demo`.
    Personal,
    /// The shared book `team`.
    Shared,
}

/// One card of the demo.
#[derive(Clone)]
pub struct DemoCard {
    /// Its name in the book, ending in `.vcf`.
    pub name: &'static str,
    /// The book it belongs into.
    pub book: DemoBook,
    /// The vCard.
    pub card: Vec<u8>,
}

/// All cards of the demo: the same octets at every call.
pub fn cards() -> Vec<DemoCard> {
    let rows = rows();
    rows.iter().map(|row| DemoCard { name: row.name, book: row.book, card: row.card(&rows) }).collect()
}

const TABLE: &str = include_str!("contacts.txt");

/// The pictures that `PHOTO` rows name: file, media type, octets.
const PICTURES: [(&str, &str, &[u8]); 8] = [
    ("person-1.jpg", "JPEG", include_bytes!("photos/person-1.jpg")),
    ("person-2.jpg", "JPEG", include_bytes!("photos/person-2.jpg")),
    ("person-3.jpg", "JPEG", include_bytes!("photos/person-3.jpg")),
    ("person-4.jpg", "JPEG", include_bytes!("photos/person-4.jpg")),
    ("person-5.png", "PNG", include_bytes!("photos/person-5.png")),
    ("person-6.jpg", "JPEG", include_bytes!("photos/person-6.jpg")),
    ("logo-1.png", "PNG", include_bytes!("photos/logo-1.png")),
    ("logo-2.png", "PNG", include_bytes!("photos/logo-2.png")),
];

/// A stanza of the table.
struct Row {
    name: &'static str,
    book: DemoBook,
    version: Version,
    uid: String,
    fields: Vec<(&'static str, &'static str)>,
}

/// Reads the table. A stanza's place gives its UID, so that a demo's UIDs stay the same.
fn rows() -> Vec<Row> {
    let lines = |stanza: &'static str| stanza.lines().filter(|line| !line.starts_with('#'));
    let stanzas = TABLE.split("\n\n").filter(|stanza| lines(stanza).next().is_some());
    stanzas.enumerate().filter_map(|(index, stanza)| Row::read(index + 1, lines(stanza))).collect()
}

impl Row {
    fn read(number: usize, mut lines: impl Iterator<Item = &'static str>) -> Option<Self> {
        let mut head = lines.next()?.split(' ');
        let name = head.next()?;
        let book = match head.next()? {
            "personal" => DemoBook::Personal,
            "team" => DemoBook::Shared,
            _ => return None,
        };
        let version = match head.next()? {
            "3.0" => Version::V3,
            "4.0" => Version::V4,
            _ => return None,
        };
        let uid = format!("3f2a9c10-7b54-4e1d-9a60-{number:012x}");
        Some(Self {
            name,
            book,
            version,
            uid,
            fields: lines.filter_map(|line| line.split_once(' ')).collect(),
        })
    }

    fn field(&self, wanted: &str) -> Option<&'static str> {
        self.fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    /// The UID as the card says it.
    fn written_uid(&self) -> String {
        format!("{}{}", if self.version == Version::V3 { "" } else { "urn:uuid:" }, self.uid)
    }

    /// FN as the table gives it, or else what the name or the organisation makes of it.
    fn formatted(&self) -> String {
        if let Some(given) = self.field("FN") {
            return given.to_owned();
        }
        if let Some(name) = self.field("N") {
            let mut parts = name.split(';');
            let mut part = || parts.next().unwrap_or_default();
            let (family, given, additional, prefix, suffix) = (part(), part(), part(), part(), part());
            let words = [prefix, given, additional, family, suffix];
            return words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        }
        self.field("ORG").unwrap_or_default().to_owned()
    }

    fn card(&self, all: &[Row]) -> Vec<u8> {
        let v3 = self.version == Version::V3;
        let formatted = self.formatted();
        let mut card = CardText { v3, writer: Writer::default(), labels: 0, preferred: Vec::new() };
        card.line("BEGIN", "VCARD");
        card.line("VERSION", if v3 { "3.0" } else { "4.0" });
        card.line("UID", &self.written_uid());
        card.line("FN", &escape(&formatted));
        // 3.0 demands N, and iOS hides cards without it (VC-10).
        if v3 && self.field("N").is_none() {
            let whole = if self.field("KIND") == Some("company") { "" } else { &formatted };
            card.line("N", &format!("{};;;;", escape(whole)));
        }
        for (name, value) in &self.fields {
            match *name {
                "FN" => {}
                "EMAIL" | "TEL" | "ADR" => card.typed(name, value, self.typed_as(name) > 1),
                "MEMBER" => card.member(all.iter().find(|row| row.name == *value)),
                _ => card.plain(name, value),
            }
        }
        card.line("REV", if v3 { "2026-11-02T09:00:00Z" } else { "20261102T090000Z" });
        card.line("END", "VCARD");
        card.writer.finish()
    }

    fn typed_as(&self, wanted: &str) -> usize {
        self.fields.iter().filter(|(name, _)| *name == wanted).count()
    }
}

/// A card being written, in the dialect of its version.
struct CardText {
    v3: bool,
    writer: Writer,
    /// How many `itemN` groups there are so far.
    labels: u32,
    /// The properties whose first, preferred value is written.
    preferred: Vec<&'static str>,
}

impl CardText {
    fn line(&mut self, name: &str, value: &str) {
        self.writer.raw(&format!("{name}:{value}"));
    }

    /// EMAIL, TEL, ADR: `TYPE VALUE`. A type with a capital is a label of the user's own, which both
    /// versions carry in X-ABLabel (VC-31); the first of several is the preferred one (VC-17).
    fn typed(&mut self, name: &'static str, value: &str, several: bool) {
        let (kind, value) = value.split_once(' ').unwrap_or(("work", value));
        let own_label = kind.starts_with(|c: char| c.is_uppercase());
        let first = !self.preferred.contains(&name);
        let mut head = String::new();
        if own_label {
            self.labels += 1;
            head = format!("item{}.", self.labels);
        }
        head += name;
        match (self.v3, name) {
            (true, "EMAIL") => head += ";TYPE=INTERNET",
            (false, "TEL") => head += ";VALUE=uri",
            _ => {}
        }
        if !own_label && kind != "other" {
            head += ";TYPE=";
            head += &if self.v3 { kind.to_uppercase() } else { kind.to_owned() };
        }
        if several && first {
            head += if self.v3 { ";TYPE=PREF" } else { ";PREF=1" };
            self.preferred.push(name);
        }
        let value = match (self.v3, name) {
            (false, "TEL") => format!("tel:{}", value.replace(' ', "-")),
            (_, "ADR") => format!(";;{}", value.replace(',', "\\,")),
            _ => value.to_owned(),
        };
        self.line(&head, &value);
        if own_label {
            self.line(&format!("item{}.X-ABLabel", self.labels), &escape(kind));
        }
    }

    /// Companies and groups are KIND in 4.0 and what Apple's address books know in 3.0 (VC-22, VC-36).
    fn kind(&mut self, kind: &str) {
        match (self.v3, kind) {
            (true, "company") => self.line("X-ABShowAs", "COMPANY"),
            (true, _) => self.line("X-ADDRESSBOOKSERVER-KIND", kind),
            (false, "company") => self.line("KIND", "org"),
            (false, _) => self.line("KIND", kind),
        }
    }

    fn member(&mut self, row: Option<&Row>) {
        if let Some(row) = row {
            let name = if self.v3 { "X-ADDRESSBOOKSERVER-MEMBER" } else { "MEMBER" };
            self.line(name, &format!("urn:uuid:{}", row.uid));
        }
    }

    fn plain(&mut self, name: &str, value: &str) {
        match name {
            "KIND" => self.kind(value),
            "BDAY" => self.birthday(value),
            "PHOTO" => self.picture(value),
            // Parts, lists and a note's line breaks stand in the table as they do in a card.
            "N" | "CATEGORIES" | "URL" | "IMPP" => self.line(name, value),
            "ORG" => self.line(name, &value.replace(',', "\\,")),
            "NOTE" => self.line(name, &value.replace(',', "\\,").replace(';', "\\;")),
            _ => self.line(name, &escape(value)),
        }
    }

    /// A date, or a day without a year (VC-20).
    fn birthday(&mut self, date: &str) {
        match (self.v3, date.strip_prefix("--")) {
            (true, None) => self.line("BDAY", date),
            (true, Some(day)) => self.line("BDAY;X-APPLE-OMIT-YEAR=1604", &format!("1604-{day}")),
            (false, _) => {
                let basic = date.strip_prefix("--").unwrap_or(date).replace('-', "");
                self.line("BDAY", &format!("{}{basic}", if date.starts_with("--") { "--" } else { "" }));
            }
        }
    }

    fn picture(&mut self, file: &str) {
        let Some((_, kind, octets)) = PICTURES.iter().find(|(name, ..)| *name == file) else {
            return;
        };
        let text = STANDARD.encode(octets);
        if self.v3 {
            self.line(&format!("PHOTO;ENCODING=b;TYPE={kind}"), &text);
        } else {
            self.line("PHOTO", &format!("data:image/{};base64,{text}", kind.to_lowercase()));
        }
    }
}

#[cfg(test)]
mod tests;
