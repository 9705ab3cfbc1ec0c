//! The strict RFC 6350 verdict on a 4.0 card, by the crate `vcard_parser`. It serves reports and
//! tests; it never decides a PUT, because it refuses much that is right (shared/crates.md §1) and
//! its work grows with the square of the card. Everything here shields it: one card, unfolded,
//! CRLF, VERSION on line 2, at most 64 KiB and 300 properties, and none of the extensions it does
//! not know.

use vcard_parser::vcard::Vcard;

use super::admit::MEDIA;
use super::lines::LineView;
use super::parts::{Place, parts};
use super::property::Parameter;

/// Properties that came after RFC 6350: RFC 6474, RFC 6715, RFC 8605, RFC 9554, RFC 9555.
pub const EXTENSION_PROPERTIES: [&str; 14] = [
    "BIRTHPLACE",
    "DEATHDATE",
    "DEATHPLACE",
    "EXPERTISE",
    "HOBBY",
    "INTEREST",
    "ORG-DIRECTORY",
    "CONTACT-URI",
    "CREATED",
    "GRAMGENDER",
    "LANGUAGE",
    "PRONOUNS",
    "SOCIALPROFILE",
    "JSPROP",
];

/// Parameters that came after RFC 6350: RFC 6715, RFC 8605, RFC 9554, RFC 9555.
pub const EXTENSION_PARAMETERS: [&str; 14] = [
    "INDEX",
    "LEVEL",
    "CC",
    "AUTHOR",
    "AUTHOR-NAME",
    "CREATED",
    "DERIVED",
    "PHONETIC",
    "PROP-ID",
    "SCRIPT",
    "SERVICE-TYPE",
    "USERNAME",
    "JSCOMPS",
    "JSPTR",
];

/// The largest card that is asked about, media left out, and the most properties.
const LARGEST: usize = 64 << 10;
const MOST: usize = 300;

/// How much of a medium is shown: enough to tell a URI from none.
const MEDIUM: usize = 512;

/// What strict RFC 6350 says of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is a card of RFC 6350.
    Passed,
    /// It is one once these properties and parameters of later RFCs are left out.
    Extension(Vec<&'static str>),
    /// It is larger than is asked about: 64 KiB without media, or 300 properties.
    TooLarge,
    /// It is not a card of RFC 6350; other versions never are.
    Refused,
}

/// The verdict on one card.
pub fn verdict(card: &[u8]) -> Verdict {
    let Ok(card) = std::str::from_utf8(card) else { return Verdict::Refused };
    let mut plain = Plain::default();
    for (place, line) in parts(card.as_bytes()) {
        let text = line.unfold();
        match place {
            Place::Begin => plain.begun += 1,
            Place::End => plain.ended += 1,
            Place::Nested => return Verdict::Refused,
            Place::Outside if text.trim_ascii().is_empty() => {}
            Place::Outside => return Verdict::Refused,
            Place::Own => match LineView::split(&text) {
                Some(view) => plain.take(&view),
                None => return Verdict::Refused,
            },
        }
        if plain.properties > MOST || plain.size > LARGEST {
            return Verdict::TooLarge;
        }
        if plain.refused {
            return Verdict::Refused;
        }
    }
    if (plain.begun, plain.ended, plain.versions) != (1, 1, 1) {
        return Verdict::Refused;
    }
    match Vcard::try_from(format!("BEGIN:VCARD\r\nVERSION:4.0\r\n{}END:VCARD\r\n", plain.lines).as_str()) {
        Err(_) => Verdict::Refused,
        Ok(_) if plain.extensions.is_empty() => Verdict::Passed,
        Ok(_) => Verdict::Extension(plain.extensions),
    }
}

/// The card as it is shown to the parser.
#[derive(Default)]
struct Plain {
    begun: usize,
    ended: usize,
    versions: usize,
    properties: usize,
    size: usize,
    lines: String,
    extensions: Vec<&'static str>,
    refused: bool,
}

impl Plain {
    fn take(&mut self, view: &LineView<'_>) {
        if view.is("VERSION") {
            self.versions += 1;
            self.refused |= view.value != b"4.0" || self.properties > 0;
            return;
        }
        self.properties += 1;
        let medium = MEDIA.iter().any(|name| view.is(name));
        self.size += view.name.len() + view.parameters.len() + if medium { 0 } else { view.value.len() };
        // The parser recurses once for every dot before the name, and RFC 6350 allows one.
        let word = |octets: &[u8]| {
            !octets.is_empty() && octets.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        };
        self.refused |= !word(view.name) || !view.group.is_none_or(word);
        if self.refused || self.size > LARGEST {
            return;
        }
        if let Some(name) = EXTENSION_PROPERTIES.into_iter().find(|name| view.is(name)) {
            self.note(name);
            return;
        }
        if let Some(group) = view.group {
            self.lines.push_str(&String::from_utf8_lossy(group));
            self.lines.push('.');
        }
        self.lines.push_str(&String::from_utf8_lossy(view.name));
        self.parameters(&String::from_utf8_lossy(view.parameters));
        self.lines.push(':');
        let value = String::from_utf8_lossy(view.value);
        let shown = if medium { value.len().min(MEDIUM) } else { value.len() };
        let shown = value.get(..value.floor_char_boundary(shown)).unwrap_or_default();
        // A TAB is a legal value character (RFC 6350 §3.3), which the parser refuses.
        self.lines.extend(shown.chars().map(|character| if character == '\t' { ' ' } else { character }));
        self.lines.push_str("\r\n");
    }

    /// Parameters without the extensions, and with what the parser reads too narrowly made plain:
    /// it knows value types in capitals only, and only the first of several PIDs.
    fn parameters(&mut self, raw: &str) {
        for parameter in Parameter::all(raw) {
            if let Some(name) = EXTENSION_PARAMETERS.into_iter().find(|name| parameter.is(name)) {
                self.note(name);
                continue;
            }
            let raw = parameter.raw().unwrap_or_default();
            self.lines.push(';');
            if parameter.is("VALUE") {
                self.lines.push_str(&raw.to_ascii_uppercase());
            } else if parameter.is("PID") {
                self.lines.push_str(raw.split_once(',').map_or(raw, |(first, _)| first));
            } else {
                self.lines.push_str(raw);
            }
        }
    }

    fn note(&mut self, name: &'static str) {
        if !self.extensions.contains(&name) {
            self.extensions.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::admit::fragments;
    use super::*;

    fn of(lines: &str) -> Verdict {
        verdict(format!("BEGIN:VCARD\r\nVERSION:4.0\r\n{lines}END:VCARD\r\n").as_bytes())
    }

    #[test]
    fn plain_cards_pass() {
        assert_eq!(of("FN:Jörg\r\n"), Verdict::Passed);
        assert_eq!(
            of(
                "FN:J\r\n\t\to\r\nitem1.TEL;VALUE=uri;PID=1.1,2.1;TYPE=\"home,cell\":tel:+1-555\r\nX-ODD;X-P=1:a\tb\r\n"
            ),
            Verdict::Passed
        );
        assert_eq!(verdict(b"begin:vcard\nVERSION:4.0\nFN:x\nEND:VCARD"), Verdict::Passed);
    }

    #[test]
    fn later_rfcs_are_named() {
        let lines =
            "FN;PROP-ID=n:x\r\nPRONOUNS:they\r\nGRAMGENDER:feminine\r\nTEL;INDEX=1;SERVICE-TYPE=x:1\r\n";
        assert_eq!(
            of(lines),
            Verdict::Extension(vec!["PROP-ID", "PRONOUNS", "GRAMGENDER", "INDEX", "SERVICE-TYPE"])
        );
    }

    #[test]
    fn what_is_not_rfc_6350_is_refused() {
        for lines in [
            "",
            "FN:x\r\nno colon\r\n",
            "FN:x\r\nPHOTO;ENCODING=b:AAAA\r\n",
            "a.b.FN:x\r\n",
            "FN:x\r\nVERSION:4.0\r\n",
            "FN;TYPE:x\r\n",
        ] {
            assert_eq!(of(lines), Verdict::Refused, "{lines:?}");
        }
        assert_eq!(verdict(b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:x\r\nEND:VCARD\r\n"), Verdict::Refused);
        assert_eq!(verdict(b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:\xFF\r\nEND:VCARD\r\n"), Verdict::Refused);
    }

    /// The parser is never shown what would keep it busy or overflow its stack.
    #[test]
    fn large_cards_are_not_asked_about() {
        assert_eq!(
            of(&format!("FN:x\r\nPHOTO:data:image/jpeg;base64,{}\r\n", "A".repeat(1 << 20))),
            Verdict::Passed
        );
        assert_eq!(of(&format!("FN:x\r\nNOTE:{}\r\n", "A".repeat(LARGEST))), Verdict::TooLarge);
        assert_eq!(of(&"MEMBER:urn:uuid:x\r\n".repeat(MOST + 1)), Verdict::TooLarge);
        assert_eq!(of(&format!("FN:x\r\n{}X:1\r\n", "a.".repeat(30_000))), Verdict::Refused);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_panics(middle in fragments(), line in "(FN|TEL|ADR|BDAY|REV|GENDER|TZ|N|LANG|GEO|URL|KIND|CLIENTPIDMAP|UID)(;(VALUE|PREF|PID|ALTID|TYPE|GEO|TZ|SORT-AS)=[a-z0-9\",.:]{0,6}){0,2}:[a-z0-9;,:\\\\TZ+-]{0,16}") {
            let text = [&b"BEGIN:VCARD\nVERSION:4.0\nFN:x\n"[..], line.as_bytes(), b"\n", &middle, b"\nEND:VCARD\n"].concat();
            let _ = verdict(&text);
            let _ = of(&format!("FN:x\r\n{line}\r\n"));
        }
    }
}
