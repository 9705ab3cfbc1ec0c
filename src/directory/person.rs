//! From an entry to a person or a group: which values are taken, how much of each, and what is left
//! out. Knows no connection.

use std::collections::BTreeMap;

use crate::service::directory::{Member, PeopleGroup, Person};

use super::attributes::{Attributes, Field};
use super::entry::Entry;

/// The longest text that is taken.
const TEXT: usize = 1 << 10;
/// The longest distinguished name.
const NAME: usize = 4 << 10;
/// The most values of one attribute of a person.
const VALUES: usize = 20;
/// The largest photo.
const PHOTO: usize = 512 << 10;
/// The octets of photos that one reading holds.
const PHOTOS: usize = 256 << 20;
/// The most members of a group.
pub const MEMBERS: usize = 500_000;

/// What was left out, and how often. Names nobody.
#[derive(Default)]
pub struct Notes {
    counts: BTreeMap<&'static str, usize>,
    photos: usize,
}

pub const NO_ID: &str = "entries have no id";
pub const NO_NAME: &str = "entries have no name";
pub const REFERRALS: &str = "referrals to other directories were not followed";
pub const TWICE: &str = "entries were given more than once";
const LONG_NAME: &str = "entries have a distinguished name that is too long";
const BAD_TEXT: &str = "values are not UTF-8, or longer than 1024 octets, and were left out";
const BAD_PHOTO: &str = "photos are neither JPEG nor PNG, or larger than 512 KiB, and were left out";
const MANY_PHOTOS: &str = "photos were left out, because all together are larger than 256 MiB";
const MANY_VALUES: &str = "attributes have more than 20 values, of which the first were taken";

impl Notes {
    /// Counts one.
    pub fn note(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// In words.
    pub fn in_words(&self) -> Vec<String> {
        self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect()
    }
}

/// What the directory calls an entry for ever.
pub fn id(entry: &Entry, attributes: &Attributes) -> Option<String> {
    let (name, values) = entry.first_of(attributes.get(Field::Id));
    let value = values.first()?;
    if name.eq_ignore_ascii_case("objectGUID") {
        return guid(value);
    }
    let text = std::str::from_utf8(value).ok()?.trim();
    let fits = (1..=255).contains(&text.len()) && !text.contains(char::is_control);
    let text =
        if name.eq_ignore_ascii_case("entryUUID") { text.to_ascii_lowercase() } else { text.to_owned() };
    fits.then_some(text)
}

/// A UUID's 16 octets, as RFC 4122 writes them.
pub fn uuid(octets: &[u8]) -> Option<String> {
    Some(uuid::Uuid::from_slice(octets).ok()?.hyphenated().to_string())
}

/// An `objectGUID`'s: its first three parts have their least octet first (MS-DTYP 2.3.4.2).
fn guid(octets: &[u8]) -> Option<String> {
    let octets: [u8; 16] = octets.try_into().ok()?;
    Some(uuid::Uuid::from_bytes_le(octets).hyphenated().to_string())
}

/// A person; `None` where the entry has no name.
pub fn person(id: String, entry: &Entry, attributes: &Attributes, notes: &mut Notes) -> Option<Person> {
    if entry.dn.len() > NAME {
        notes.note(LONG_NAME);
        return None;
    }
    let mut look = Look { entry, attributes, notes };
    let Some(name) = look.text(Field::Name) else {
        look.notes.note(NO_NAME);
        return None;
    };
    let mut phones = Vec::new();
    for (field, kind) in [
        (Field::PhoneWork, "work"),
        (Field::PhoneMobile, "cell"),
        (Field::PhoneHome, "home"),
        (Field::PhoneFax, "fax"),
    ] {
        phones.extend(look.texts(field, TEXT).into_iter().map(|number| (number, kind.to_owned())));
    }
    let text = |look: &mut Look, field| look.text(field).unwrap_or_default();
    Some(Person {
        id,
        dn: entry.dn.clone(),
        name,
        enabled: is_enabled(entry),
        display_name: text(&mut look, Field::DisplayName),
        given: text(&mut look, Field::Given),
        family: text(&mut look, Field::Family),
        emails: look.texts(Field::Email, TEXT),
        phones,
        title: text(&mut look, Field::Title),
        organization: text(&mut look, Field::Organization),
        department: text(&mut look, Field::Department),
        manager: look.texts(Field::Manager, NAME).into_iter().next(),
        photo: look.photo(),
    })
}

/// A group, and the attribute whose members go on elsewhere, from where; `None` where the entry has no name.
pub fn group(
    id: String,
    entry: &Entry,
    attributes: &Attributes,
    notes: &mut Notes,
) -> Option<(PeopleGroup, Option<(String, usize)>)> {
    if entry.dn.len() > NAME {
        notes.note(LONG_NAME);
        return None;
    }
    let mut look = Look { entry, attributes, notes };
    let Some(name) = look.text(Field::GroupName) else {
        look.notes.note(NO_NAME);
        return None;
    };
    let display_name = look.text(Field::GroupDisplayName).unwrap_or_default();
    let email = look.text(Field::GroupEmail);
    let ranged = attributes
        .get(Field::Member)
        .iter()
        .find_map(|attribute| entry.ranged(attribute).map(|part| (attribute.clone(), part)));
    let (members, more) = match ranged {
        Some((attribute, part)) => {
            let found = members(&attribute, part.values, notes);
            (found, part.next.map(|next| (attribute, next)))
        }
        None => {
            let (attribute, values) = entry.first_of(attributes.get(Field::Member));
            (members(attribute, values, notes), None)
        }
    };
    let group = PeopleGroup { id, dn: entry.dn.clone(), name, display_name, email, members };
    Some((group, more))
}

/// Members, by what their attribute holds: user names (RFC 2307), or else distinguished names.
pub fn members(attribute: &str, values: &[Vec<u8>], notes: &mut Notes) -> Vec<Member> {
    let of_names = attribute.eq_ignore_ascii_case("memberUid");
    let texts = values.iter().filter_map(|value| match short(value, NAME) {
        Some(text) => Some(text),
        None => {
            notes.note(BAD_TEXT);
            None
        }
    });
    texts.map(|text| if of_names { Member::UserName(text) } else { Member::Dn(text) }).collect()
}

/// Whether the directory has not switched the account off: Active Directory's ACCOUNTDISABLE
/// (MS-ADTS 2.2.16), OpenLDAP's lock without an end (draft-behera-ldap-password-policy §5.3.3), 389's
/// inactivation. A lock that ends by itself is the directory's own affair: it refuses the password.
fn is_enabled(entry: &Entry) -> bool {
    let first = |name: &str| {
        entry.values(name).first().and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
    };
    let flags: i64 = first("userAccountControl").trim().parse().unwrap_or(0);
    flags & 2 == 0
        && !first("pwdAccountLockedTime").starts_with("000001010000")
        && !first("nsAccountLock").eq_ignore_ascii_case("true")
}

fn short(value: &[u8], most: usize) -> Option<String> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= most)?.trim();
    Some(text.to_owned())
}

/// An entry being read.
struct Look<'a> {
    entry: &'a Entry,
    attributes: &'a Attributes,
    notes: &'a mut Notes,
}

impl Look<'_> {
    fn texts(&mut self, field: Field, most: usize) -> Vec<String> {
        let (_, values) = self.entry.first_of(self.attributes.get(field));
        if values.len() > VALUES {
            self.notes.note(MANY_VALUES);
        }
        let mut texts = Vec::new();
        for value in values.iter().take(VALUES) {
            match short(value, most) {
                Some(text) if text.is_empty() => {}
                Some(text) => texts.push(text),
                None => self.notes.note(BAD_TEXT),
            }
        }
        texts
    }

    fn text(&mut self, field: Field) -> Option<String> {
        self.texts(field, TEXT).into_iter().next()
    }

    fn photo(&mut self) -> Option<Vec<u8>> {
        let (_, values) = self.entry.first_of(self.attributes.get(Field::Photo));
        let photo = values.first()?;
        let known = photo.starts_with(b"\xff\xd8\xff") || photo.starts_with(b"\x89PNG\r\n\x1a\n");
        if photo.len() > PHOTO || !known {
            self.notes.note(BAD_PHOTO);
            return None;
        }
        if self.notes.photos + photo.len() > PHOTOS {
            self.notes.note(MANY_PHOTOS);
            return None;
        }
        self.notes.photos += photo.len();
        Some(photo.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::entry::tests::entry;
    use super::*;

    fn read(attributes: &[(&str, &[&[u8]])]) -> (Option<Person>, Vec<String>) {
        let mut notes = Notes::default();
        let kind = Attributes::of(Kind::OpenLdap);
        let person = person("1".into(), &entry("uid=a,dc=x", attributes), &kind, &mut notes);
        (person, notes.in_words())
    }

    #[test]
    fn a_person_is_read() {
        let (person, notes) = read(&[
            ("uid", &[b"alice"]),
            ("cn", &[b"Alice Ames"]),
            ("mail", &[b"a@example.org", b"alice@example.org"]),
            ("mobile", &[b"+49 1"]),
            ("telephoneNumber", &[b"2"]),
            ("manager", &[b"uid=b,dc=x"]),
            ("jpegPhoto", &[b"\xff\xd8\xff\xe0"]),
        ]);
        let person = person.unwrap();
        assert!(person.enabled && notes.is_empty());
        assert_eq!((person.name.as_str(), person.display_name.as_str()), ("alice", "Alice Ames"));
        assert_eq!(person.emails, ["a@example.org", "alice@example.org"]);
        assert_eq!(person.phones, [("2".into(), "work".into()), ("+49 1".into(), "cell".into())]);
        assert_eq!(person.manager.as_deref(), Some("uid=b,dc=x"));
        assert_eq!(person.photo.as_deref(), Some(&b"\xff\xd8\xff\xe0"[..]));
    }

    #[test]
    fn what_cannot_be_is_left_out_and_counted() {
        let (person, notes) = read(&[
            ("uid", &[b"alice"]),
            ("sn", &[b"\xff\xfe"]),
            ("title", &[&[b'x'; 1025]]),
            ("jpegPhoto", &[b"GIF89a"]),
            ("mail", &[b" "]),
        ]);
        let person = person.unwrap();
        assert!(person.family.is_empty() && person.title.is_empty() && person.photo.is_none());
        assert!(person.emails.is_empty());
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes.iter().any(|note| note.starts_with("2 values are not UTF-8")), "{notes:?}");
        let large = [b"\xff\xd8\xff".as_slice(), &[0; PHOTO]].concat();
        assert!(read(&[("uid", &[b"a"]), ("jpegPhoto", &[&large])]).0.unwrap().photo.is_none());
        assert!(read(&[("cn", &[b"nobody"])]).0.is_none());
    }

    #[test]
    fn switched_off_there_is_disabled_here() {
        for (name, value, enabled) in [
            ("userAccountControl", "512", true),
            ("userAccountControl", "514", false),
            ("userAccountControl", "66050", false),
            ("pwdAccountLockedTime", "000001010000Z", false),
            ("pwdAccountLockedTime", "20261122093000Z", true),
            ("nsAccountLock", "TRUE", false),
        ] {
            let (person, _) = read(&[("uid", &[b"a"]), (name, &[value.as_bytes()])]);
            assert_eq!(person.unwrap().enabled, enabled, "{name} {value}");
        }
    }

    #[test]
    fn ids_are_written_one_way() {
        let open = Attributes::of(Kind::OpenLdap);
        let active = Attributes::of(Kind::ActiveDirectory);
        let octets: Vec<u8> = (0..16).collect();
        let with_guid = entry("cn=x", &[("objectGUID", &[&octets])]);
        assert_eq!(id(&with_guid, &active).as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
        assert_eq!(uuid(&octets).as_deref(), Some("00010203-0405-0607-0809-0a0b0c0d0e0f"));
        let with_uuid = entry("cn=x", &[("entryUUID", &[b"00010203-0405-0607-0809-0A0B0C0D0E0F"])]);
        assert_eq!(id(&with_uuid, &open), uuid(&octets));
        for bad in [&b""[..], b"\xff", b"a\nb", &[b'a'; 256]] {
            assert_eq!(id(&entry("cn=x", &[("entryUUID", &[bad])]), &open), None);
        }
        assert_eq!(id(&entry("cn=x", &[("objectGUID", &[b"short"])]), &active), None);
    }

    #[test]
    fn members_are_names_or_users() {
        let mut notes = Notes::default();
        let kind = Attributes::of(Kind::OpenLdap);
        let mut read = |attributes: &[(&str, &[&[u8]])]| {
            group("1".into(), &entry("cn=g", attributes), &kind, &mut notes).unwrap()
        };
        let (one, more) = read(&[("cn", &[b"g"]), ("uniqueMember", &[b"uid=a"])]);
        assert_eq!((one.members, more), (vec![Member::Dn("uid=a".into())], None));
        let (one, _) = read(&[("cn", &[b"g"]), ("memberUid", &[b"a"])]);
        assert_eq!(one.members, [Member::UserName("a".into())]);
        let (one, more) = read(&[("cn", &[b"g"]), ("member", &[]), ("member;range=0-0", &[b"uid=a"])]);
        assert_eq!((one.members.len(), more), (1, Some(("member".into(), 1))));
    }
}
