//! Which contacts an object names: by address (ATTENDEE, ORGANIZER, CONTACT) or by UID
//! (X-CARDKEEP-CONTACT), and the same object without one of them. Knows addresses and UIDs, not
//! whose they are.

use std::collections::BTreeSet;

use memchr::memchr;

use super::edit::Edits;
use super::tree::{Component, Prop};
use crate::domain::vcard::property::Parameter;
use crate::domain::vcard::write::Writer;

/// The property that names a contact by the UID of its card.
pub const CONTACT_UID: &str = "X-CARDKEEP-CONTACT";

/// Properties whose value is the address of a calendar user (RFC 5545 §3.8.4.1, §3.8.4.3;
/// RFC 9073 §6.4).
const USERS: [&str; 3] = ["ATTENDEE", "ORGANIZER", "CALENDAR-ADDRESS"];

/// Parameters whose values are addresses of other calendar users (RFC 5545 §3.2; RFC 7986 §6.2).
const OTHERS: [&str; 5] = ["EMAIL", "SENT-BY", "DELEGATED-TO", "DELEGATED-FROM", "MEMBER"];

/// What stands where an address stood in a text.
const GONE: &str = "…";

/// Whom an object names.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Links {
    /// Mail addresses as [`address`] spells them.
    pub addresses: BTreeSet<String>,
    /// UIDs of cards.
    pub contacts: BTreeSet<String>,
}

crate::hidden!(Links);

impl Links {
    fn add(&mut self, property: &Prop<'_>) {
        if property.is(CONTACT_UID) {
            let uid = property.text();
            if !uid.trim().is_empty() {
                self.contacts.insert(uid);
            }
        } else if USERS.iter().any(|name| property.is(name)) {
            self.addresses.extend(address(&property.raw_value()));
            self.addresses.extend(property.parameter("EMAIL").and_then(|email| address(&email)));
        } else if property.is("CONTACT") {
            let text = property.text();
            self.addresses.extend(words(&text).filter_map(|(_, word)| address(word)));
            self.addresses.extend(property.parameter("ALTREP").and_then(|uri| address(&uri)));
        }
    }
}

/// Whom the calendar names, in any component.
pub fn links(calendar: &Component<'_>) -> Links {
    let mut links = Links::default();
    each(calendar, &mut |property| links.add(property));
    links
}

/// The mail address that `text` is, with or without `mailto:`, in the spelling in which addresses
/// are compared: lower case, without what follows a `?` (RFC 6068 §2).
pub fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let decoded = match text.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto:") => {
            let path = rest.split('?').next().unwrap_or_default();
            percent_encoding::percent_decode_str(path).decode_utf8_lossy()
        }
        _ => text.into(),
    };
    let address = decoded.trim().to_lowercase();
    let (local, domain) = address.rsplit_once('@')?;
    let is_address = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || ":/<>".contains(c))
    };
    (is_address(local) && is_address(domain)).then_some(address)
}

/// The object without the people that `gone` names; `None` where it names none of them. A property
/// that is about one of them is taken out, a parameter that names one is taken out of its property,
/// and an address of theirs in any other text gives way to `…`. Every other line stays as it is.
pub fn redact(octets: &[u8], calendar: &Component<'_>, gone: &Links) -> Option<Vec<u8>> {
    let mut edits = Edits::default();
    each(calendar, &mut |property| {
        let mut named = Links::default();
        named.add(property);
        let about =
            !named.addresses.is_disjoint(&gone.addresses) || !named.contacts.is_disjoint(&gone.contacts);
        if about {
            edits.replace(property.at(), property.octets().len(), Vec::new());
        } else if let Some(line) = without(property, gone) {
            let mut writer = Writer::default();
            writer.raw(&line);
            edits.replace(property.at(), property.octets().len(), writer.finish());
        }
    });
    (!edits.is_empty()).then(|| edits.apply(octets))
}

/// Every property of the calendar and of what it holds, time zones left out: they name nobody.
fn each(component: &Component<'_>, visit: &mut impl FnMut(&Prop<'_>)) {
    component.properties.iter().for_each(&mut *visit);
    for child in component.children.iter().filter(|child| !child.is("VTIMEZONE")) {
        each(child, visit);
    }
}

/// The property's line without the addresses, where it has one of them.
fn without(property: &Prop<'_>, gone: &Links) -> Option<String> {
    // An address needs an `@`, which a URI may spell `%40`; most lines have neither.
    memchr(b'@', property.line()).or_else(|| memchr(b'%', property.line()))?;
    let is_gone = |text: &str| address(text).is_some_and(|address| gone.addresses.contains(&address));
    let names_gone = |parameter: &Parameter| {
        OTHERS.iter().any(|name| parameter.is(name)) && parameter.values().iter().any(|value| is_gone(value))
    };
    let mut line = String::from_utf8_lossy(property.name()).into_owned();
    let parameters = property.all_parameters();
    let mut changed = false;
    for parameter in &parameters {
        if names_gone(parameter) {
            changed = true;
        } else if let Some(raw) = parameter.raw() {
            line.push(';');
            changed |= push_without(raw, &is_gone, &mut line);
        }
    }
    line.push(':');
    changed |= push_without(&property.raw_value(), &is_gone, &mut line);
    (changed && !property.name().is_empty()).then_some(line)
}

/// Adds the text with `…` for each address that is gone, and tells whether there was one.
fn push_without(text: &str, is_gone: &impl Fn(&str) -> bool, out: &mut String) -> bool {
    let mut done = 0;
    for (at, word) in words(text) {
        if is_gone(word) {
            out.push_str(text.get(done..at).unwrap_or_default());
            out.push_str(GONE);
            done = at + word.len();
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    done > 0
}

/// The words of a text that may be addresses, with their places: what stands between characters
/// that hardly any address has. A text may still be escaped: a backslash is no part of a word, and
/// neither is the `n` of a line break.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || "@._+-'&%~!#$*".contains(c);
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.find(is_part)?;
        let (before, mut found) = rest.split_at_checked(from)?;
        if before.ends_with('\\') {
            found = found.strip_prefix(['n', 'N']).unwrap_or(found);
        }
        let at = text.len() - found.len();
        let length = found.find(|c| !is_part(c)).unwrap_or(found.len());
        let word = found.get(..length)?;
        rest = found.get(length..)?;
        // `Write to a@b.example.` ends a sentence, not an address.
        Some((at, word.trim_end_matches(['.', '!', '\''])))
    })
    .filter(|(_, word)| word.contains('@'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Limits;
    use super::super::tree::{parse, tests::fragments};
    use super::*;
    use crate::domain::vcard::lines::raw_lines;

    const EVENT: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nORGANIZER;CN=Boss:MAILTO:Boss@Example.com\r\n\
        ATTENDEE;CN=\"Jane: Doe\";SENT-BY=\"mailto:pa@example.com\":mailto:jan\r\n e%2Bx@example.com?subject=a@b.c\r\n\
        ATTENDEE;EMAIL=em@example.com:urn:uuid:1\r\nATTENDEE:invalid:nomail\r\nATTENDEE;DELEGATED-TO=\"mailto:jane+x@example.com\":mailto:d@example.com\r\n\
        CONTACT;ALTREP=\"mailto:alt@example.com\":Jim\\, call\\nJIM@example.com\\, or jim2@example.com.\r\n\
        X-CARDKEEP-CONTACT:urn:uuid:7\r\nDESCRIPTION:Ask jane+x@example.com\\, not xjane+x@example.com\\nJane+X@Example.com.\r\n\
        BEGIN:VALARM\r\nATTENDEE:mailto:alarm@example.com\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    fn without(addresses: &[&str], contacts: &[&str]) -> Option<String> {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let gone = Links { addresses: owned(addresses), contacts: owned(contacts) };
        let calendar = parse(EVENT.as_bytes(), &Limits::default()).unwrap();
        redact(EVENT.as_bytes(), &calendar, &gone).map(|octets| String::from_utf8(octets).unwrap())
    }

    #[test]
    fn whom_an_object_names() {
        let links = links(&parse(EVENT.as_bytes(), &Limits::default()).unwrap());
        let addresses: Vec<_> = links.addresses.iter().map(String::as_str).collect();
        assert_eq!(
            addresses,
            [
                "alarm@example.com",
                "alt@example.com",
                "boss@example.com",
                "d@example.com",
                "em@example.com",
                "jane+x@example.com",
                "jim2@example.com",
                "jim@example.com"
            ]
        );
        assert_eq!(links.contacts.iter().map(String::as_str).collect::<Vec<_>>(), ["urn:uuid:7"]);
        assert_eq!(format!("{links:?}"), "Links(…)");
        for none in ["", "@", "a@", "mailto:", "urn:uuid:1", "a b@c", "https://x/@y"] {
            assert_eq!(address(none), None, "{none}");
        }
    }

    #[test]
    fn nobody_gone_changes_nothing() {
        assert_eq!(without(&["nobody@example.com"], &["urn:uuid:8"]), None);
        assert_eq!(without(&[], &[]), None);
    }

    #[test]
    fn an_address_goes_wherever_it_stands() {
        let redacted = without(&["jane+x@example.com"], &["urn:uuid:7"]).unwrap();
        let expected = EVENT
            .replace("ATTENDEE;CN=\"Jane: Doe\";SENT-BY=\"mailto:pa@example.com\":mailto:jan\r\n e%2Bx@example.com?subject=a@b.c\r\n", "")
            .replace(";DELEGATED-TO=\"mailto:jane+x@example.com\"", "")
            .replace("X-CARDKEEP-CONTACT:urn:uuid:7\r\n", "")
            .replace(
                "DESCRIPTION:Ask jane+x@example.com\\, not xjane+x@example.com\\nJane+X@Example.com.\r\n",
                "DESCRIPTION:Ask …\\, not xjane+x@example.com\\n….\r\n",
            );
        assert_eq!(redacted, expected);
        let alarm = without(&["alarm@example.com", "jim@example.com"], &[]).unwrap();
        assert!(!alarm.contains("alarm@") && !alarm.contains("CONTACT;ALTREP"));
    }

    proptest! {
        /// Only lines that name somebody who is gone change; the rest stays, and nobody is left.
        #[test]
        fn every_other_line_stays(octets in fragments()) {
            let Ok(calendar) = parse(&octets, &Limits::default()) else { return Ok(()) };
            let gone = Links {
                addresses: ["a@b.example".to_owned(), "x@y.example".to_owned()].into(),
                contacts: ["u1".to_owned()].into(),
            };
            let Some(redacted) = redact(&octets, &calendar, &gone) else { return Ok(()) };
            let left = links(&parse(&redacted, &Limits::default()).unwrap());
            prop_assert!(left.addresses.is_disjoint(&gone.addresses) && left.contacts.is_disjoint(&gone.contacts));
            let names = |line: &[u8]| ["a@b", "x@y", "u1"].iter().any(|name| line.windows(name.len()).any(|part| part == name.as_bytes()));
            let others = |text: &[u8]| raw_lines(text).filter(|line| !names(&line.unfold())).map(|line| line.octets().to_vec()).collect::<Vec<_>>();
            let mut before = others(&octets);
            let mut after = others(&redacted);
            after.retain(|line| !line.windows(3).any(|part| part == "…".as_bytes()));
            before.sort();
            after.sort();
            prop_assert_eq!(before, after);
        }
    }
}
