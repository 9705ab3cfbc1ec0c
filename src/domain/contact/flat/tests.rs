//! That every path leads to its value, in order.

use super::super::{Custom, Kind, Path, edit};
use super::*;
use crate::domain::contact::create;
use crate::domain::id::Uid;

fn id() -> ContactId {
    ContactId::from_bytes([1; 16])
}

fn whole<'a>(card: &'a CardFields, record: &'a Record) -> Whole<'a> {
    let book = CollectionId::from_bytes([2; 16]);
    let actor = Some(AccountId::from_bytes([3; 16]));
    Whole {
        card,
        record,
        id: id(),
        uid: "u",
        etag: "e".to_owned(),
        book,
        created: 1,
        updated: 2,
        created_by: actor,
        updated_by: actor,
        region: Region::parse("DE"),
    }
}

const CARD: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nKIND:org\r\nFN:a\r\nN:b;c;d;e;f\r\nORG:g;h;i\r\nTITLE:j\r\n\
    EMAIL;TYPE=x,y;PREF=2:k@l\r\nEMAIL:M@n\r\nTEL:030 1234567\r\nTEL;TYPE=z;PREF=1:+49 30 7654321 x12\r\n\
    ADR;TYPE=home;PREF=3:o;p;q;r;s;t;u\r\nURL;TYPE=v:w\r\nBDAY:19800229\r\nNOTE:x\r\nCATEGORIES:y,z\r\n\
    PHOTO:data:,x\r\nEND:VCARD\r\n";

fn record() -> Record {
    let account = Some(AccountId::from_bytes([3; 16]));
    let status = |address: &str| AddressStatus {
        address: address.to_owned(),
        state: MailState::Hard,
        since: 5,
        code: Some("5.1.1".to_owned()),
        detail: Some("gone".to_owned()),
    };
    let field = |key: &str, value| Custom { key: key.to_owned(), value };
    Record {
        roles: vec!["customer".to_owned(), "partner".to_owned()],
        salutation: "Dear".to_owned(),
        language: "de".to_owned(),
        assigned_to: account,
        reports_to: Some(id()),
        company: Some(id()),
        portal: super::super::Portal { enabled: true, from: Some(1), until: Some(2) },
        custom: vec![
            field("A", CustomValue::List(vec!["1".to_owned(), "2".to_owned()])),
            field("b", CustomValue::Number("3".to_owned())),
            field("c", CustomValue::Bool(true)),
            field("d", CustomValue::Text("t".to_owned())),
        ],
        source: "api".to_owned(),
        addresses: vec![status("m@n")],
        service_level: "gold".to_owned(),
        ..Record::default()
    }
}

#[test]
fn every_path_has_its_value_in_order() {
    let (card, record) = (CardFields::read(CARD.as_bytes()), record());
    let leaves = leaves(&whole(&card, &record));
    let mut paths: Vec<_> = leaves.iter().map(|leaf| leaf.path.name()).collect();
    assert!(leaves.is_sorted_by_key(|leaf| (leaf.path.clone(), leaf.index)));
    paths.dedup();
    let known = PATHS.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name != "number");
    let custom = ["a", "b", "c", "d"].map(|key| format!("custom.{key}"));
    assert_eq!(paths, known.chain(custom).collect::<Vec<_>>());
    let texts = |name: &str| -> Vec<(u16, String)> {
        let of = leaves.iter().filter(|leaf| leaf.path == Path::parse(name).unwrap());
        let text = |leaf: &Leaf| match &leaf.value {
            Scalar::Text(text) | Scalar::Number(text) => text.clone(),
            Scalar::Bool(value) => value.to_string(),
            _ => "?".to_owned(),
        };
        of.map(|leaf| (leaf.index, text(leaf))).collect()
    };
    let one = |index: u16, text: &str| (index, text.to_owned());
    assert_eq!(texts("emails.types"), [one(0, "x"), one(0, "y")]);
    assert_eq!(texts("emails.status.state"), [one(0, "ok"), one(1, "hard")]);
    assert_eq!(texts("emails.status.code"), [one(1, "5.1.1")]);
    assert_eq!(texts("phones.e164"), [one(0, "+49301234567"), one(1, "+49307654321")]);
    assert_eq!(texts("phones.pref"), [one(1, "1")]);
    assert_eq!(texts("organization.units"), [one(0, "h"), one(1, "i")]);
    assert_eq!(texts("custom.A"), [one(0, "1"), one(1, "2")]);
    assert_eq!(texts("kind"), [one(0, "org")]);
    assert_eq!(texts("mail_preferences.domain"), [one(0, "true")]);
}

#[test]
fn numbers_and_their_extensions() {
    let germany = Region::parse("DE");
    for (value, region, number, extension) in [
        ("(030) 123 45 67", germany, Some("+49301234567"), None),
        ("tel:+49-30-1234567;ext=12", None, Some("+49301234567"), Some("12")),
        ("+49 (0)30 1234567 ext. 9", None, Some("+49301234567"), Some("9")),
        ("+1 555 010 0100 x123", germany, Some("+15550100100"), Some("123")),
        ("0049 30 1234567", None, Some("+49301234567"), None),
        ("030 1234567", None, None, None),
        ("110", germany, None, None),
        ("+1234567890123456", None, None, None),
        ("xylophone", germany, None, None),
        ("", germany, None, None),
    ] {
        assert_eq!(e164(value, region).as_deref(), number, "{value}");
        assert_eq!(super::super::extension(value).as_deref(), extension, "{value}");
    }
}

#[test]
fn what_may_not_be_written() {
    let long = "x".repeat(1_001);
    let mut fields = CardFields::read(CARD.as_bytes());
    assert!(fields.wrong().is_empty());
    let uid = Uid::new("u").unwrap();
    assert!(CardFields::read(&create(&fields, &uid)).kind == Kind::Org);
    fields.name.given = long;
    fields.title = "a\u{0}b".to_owned();
    fields.emails[0].value = "no address".to_owned();
    fields.emails[1].types = vec!["a b".to_owned()];
    fields.emails[1].pref = Some(0);
    fields.birthday = "2001-02-29".to_owned();
    fields.note = "y".repeat((64 << 10) + 1);
    fields.categories = vec!["a,b".to_owned(); 101];
    let pointers: Vec<_> = fields.wrong().into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(
        pointers,
        [
            "/name/given",
            "/title",
            "/categories",
            "/note",
            "/birthday",
            "/emails/0/value",
            "/emails/0/value",
            "/emails/1/types/0",
            "/emails/1/pref"
        ]
    );
    // What was there before is nobody's fault.
    assert!(fields.wrong_after(&fields.clone()).is_empty());
    for (day, right) in [
        ("1980-02-29", true),
        ("--02-29", true),
        ("--0230", false),
        ("19800229", true),
        ("1980", false),
        ("x", false),
        ("", true),
    ] {
        let fields = CardFields { birthday: day.to_owned(), ..CardFields::default() };
        assert_eq!(fields.wrong().is_empty(), right, "{day}");
        let _ = edit(b"", &CardFields::default(), &fields);
    }
}
