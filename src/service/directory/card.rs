//! A person of the directory as a vCard 4.0 (RFC 6350): the same octets for the same person, so that
//! what did not change is not written. Knows no store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::domain::vcard::text::escape;
use crate::domain::vcard::write::Writer;

use super::Person;

/// The largest photo that is taken, and the most addresses and phone numbers.
const PHOTO: usize = 512 << 10;
const SEVERAL: usize = 16;
/// How long a text may be.
const TEXT: usize = 1024;

/// Somebody's manager, as a card names them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Manager {
    pub(super) id: Uuid,
    pub(super) name: String,
}

/// The UUID by which an entry is known in its card: its own id, or one made of it.
pub(super) fn uuid_of(id: &str) -> Uuid {
    Uuid::try_parse(id).unwrap_or_else(|_| {
        let mut bytes = [0; 16];
        blake3::Hasher::new()
            .update(b"cardkeep directory entry ")
            .update(id.as_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    })
}

/// What the card says of its UID.
pub(super) fn uid(id: Uuid) -> String {
    format!("urn:uuid:{}", id.hyphenated())
}

/// The card. `called` is what its name is where the directory gives none.
pub(super) fn card(person: &Person, called: &str, manager: Option<&Manager>, photo: bool) -> Vec<u8> {
    let mut card = Lines(Writer::with_capacity(512));
    card.line("BEGIN", "VCARD");
    card.line("VERSION", "4.0");
    card.line("UID", &uid(uuid_of(&person.id)));
    let (given, family) = (clean(&person.given), clean(&person.family));
    let formatted =
        [clean(&person.display_name), format!("{given} {family}").trim().to_owned(), clean(called)];
    let formatted = formatted.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    card.line("FN", &escape(&formatted));
    match given.is_empty() && family.is_empty() {
        // Apple's clients want one (VC-10).
        true => card.line("N", &format!("{};;;;", escape(&formatted))),
        false => card.line("N", &format!("{};{};;;", escape(&family), escape(&given))),
    }
    card.several("EMAIL", person.emails.iter().map(|email| ("work", email.as_str())));
    card.several("TEL", person.phones.iter().map(|(phone, kind)| (kind.as_str(), phone.as_str())));
    card.text("TITLE", &person.title);
    let (organization, department) = (clean(&person.organization), clean(&person.department));
    match (organization.is_empty(), department.is_empty()) {
        (true, true) => {}
        (_, true) => card.line("ORG", &escape(&organization)),
        (_, false) => card.line("ORG", &format!("{};{}", escape(&organization), escape(&department))),
    }
    if let Some((kind, octets)) = person.photo.as_deref().filter(|_| photo).and_then(picture) {
        card.line("PHOTO", &format!("data:image/{kind};base64,{}", STANDARD.encode(octets)));
    }
    card.manager(manager);
    card.line("END", "VCARD");
    card.0.finish()
}

/// A card of ours with another manager, and everything else as it is.
pub(super) fn with_manager(card: &[u8], manager: Option<&Manager>) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(card).ok()?.replace("\r\n ", "");
    let mut lines = Lines(Writer::with_capacity(card.len() + 128));
    for line in text.lines() {
        if line == "END:VCARD" {
            lines.manager(manager);
        }
        if !line.starts_with("RELATED;") && !line.starts_with("X-EVOLUTION-MANAGER:") {
            lines.0.raw(line);
        }
    }
    Some(lines.0.finish())
}

/// A card being written.
struct Lines(Writer);

impl Lines {
    fn line(&mut self, name: &str, value: &str) {
        self.0.raw(&format!("{name}:{value}"));
    }

    fn text(&mut self, name: &str, text: &str) {
        let text = clean(text);
        if !text.is_empty() {
            self.line(name, &escape(&text));
        }
    }

    /// Values with their types; the first of several is the preferred one (VC-17).
    fn several<'a>(&mut self, name: &str, values: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut written: Vec<(&str, String)> = Vec::new();
        for (kind, value) in values {
            let known = ["work", "home", "cell", "fax", "pager"].into_iter().find(|known| *known == kind);
            let value = (known.unwrap_or("work"), clean(value));
            if written.len() < SEVERAL && !value.1.is_empty() && !written.contains(&value) {
                written.push(value);
            }
        }
        let several = written.len() > 1;
        for (at, (kind, value)) in written.iter().enumerate() {
            let preferred = if several && at == 0 { ";PREF=1" } else { "" };
            self.line(&format!("{name};TYPE={kind}{preferred}"), &escape(value));
        }
    }

    /// RFC 6350 has no manager: a link for whoever follows links, and what Evolution shows.
    fn manager(&mut self, manager: Option<&Manager>) {
        if let Some(manager) = manager {
            self.line("RELATED;VALUE=uri;TYPE=contact", &uid(manager.id));
            self.text("X-EVOLUTION-MANAGER", &manager.name);
        }
    }
}

/// A text in one line, not too long.
fn clean(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    spaced.take(TEXT).collect::<String>().trim().to_owned()
}

fn picture(octets: &[u8]) -> Option<(&'static str, &[u8])> {
    let kinds: [(&[u8], &str); 2] = [(b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png")];
    let kind = kinds.iter().find(|(magic, _)| octets.starts_with(magic))?.1;
    (octets.len() <= PHOTO).then_some((kind, octets))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::MemberName;
    use crate::domain::vcard::{Limits, Verdict, Version, admit, verdict};

    fn whole() -> Person {
        Person {
            id: "0198f1c2-0000-7000-8000-000000000001".into(),
            name: "jane".into(),
            display_name: "Dr. Jane, Doe;".into(),
            given: "Jane".into(),
            family: "Doe".into(),
            emails: vec!["jane@example.org".into(), "j@example.org".into(), "jane@example.org".into()],
            phones: vec![("+49 170 1".into(), "cell".into()), ("1".into(), "odd".into())],
            title: "Head\nof things".into(),
            organization: "Example".into(),
            department: "IT".into(),
            photo: Some(b"\xff\xd8\xff\xe0 and so on".to_vec()),
            enabled: true,
            ..Person::default()
        }
    }

    #[test]
    fn a_person_is_a_card_of_rfc_6350() {
        let manager = Manager { id: uuid_of("x"), name: "The Boss".into() };
        let written = String::from_utf8(card(&whole(), "jane", Some(&manager), true)).unwrap();
        for line in [
            "UID:urn:uuid:0198f1c2-0000-7000-8000-000000000001\r\n",
            "FN:Dr. Jane\\, Doe\\;\r\nN:Doe;Jane;;;\r\n",
            "EMAIL;TYPE=work;PREF=1:jane@example.org\r\nEMAIL;TYPE=work:j@example.org\r\n",
            "TEL;TYPE=cell;PREF=1:+49 170 1\r\nTEL;TYPE=work:1\r\n",
            "TITLE:Head of things\r\nORG:Example;IT\r\nPHOTO:data:image/jpeg;base64,",
            "X-EVOLUTION-MANAGER:The Boss\r\nEND:VCARD\r\n",
        ] {
            assert!(written.contains(line), "{line} in {written}");
        }
        assert_eq!(verdict(written.as_bytes()), Verdict::Passed, "{written}");
        assert_eq!(with_manager(written.as_bytes(), Some(&manager)).unwrap(), written.as_bytes());
        let without = card(&whole(), "jane", None, true);
        assert_eq!(with_manager(written.as_bytes(), None).unwrap(), without);
        assert_eq!(with_manager(&without, Some(&manager)).unwrap(), written.as_bytes());
    }

    proptest! {
        #[test]
        fn whatever_a_directory_says_is_one_card(
            texts in proptest::collection::vec("\\PC{0,40}|[\\x00-\\x7f]{0,90}", 8),
            id in "[a-f0-9-]{1,40}",
            boss in proptest::option::of("\\PC{0,90}"),
        ) {
            let [display_name, given, family, email, phone, title, organization, department] =
                <[String; 8]>::try_from(texts).unwrap();
            let person = Person {
                id, display_name, given, family, title, organization, department,
                emails: vec![email.clone(), email], phones: vec![(phone.clone(), phone)],
                photo: Some(b"GIF89a".to_vec()), ..Person::default()
            };
            let manager = boss.map(|name| Manager { id: uuid_of(&name), name });
            let written: bytes::Bytes = card(&person, "called", manager.as_ref(), true).into();
            let name = MemberName::parse("a.vcf").unwrap();
            let admitted = admit(&written, &name, Uuid::nil(), &Limits::default()).unwrap();
            prop_assert!(!admitted.altered && admitted.version == Version::V4);
            let expected = uid(uuid_of(&person.id));
            prop_assert_eq!(admitted.uid.as_str(), expected.as_str());
            let again = with_manager(&written, manager.as_ref()).unwrap();
            prop_assert_eq!(again.as_slice(), &written[..]);
        }
    }
}
