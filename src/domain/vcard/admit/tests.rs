//! What a PUT may bring and what is made of it: a test an id, and octets of every kind.

use proptest::prelude::*;

use super::*;

const FRESH: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
const FRESH_TEXT: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn put_as(name: &str, card: &[u8]) -> Result<Admitted, NotAdmitted> {
    admit(&Bytes::copy_from_slice(card), &MemberName::parse(name).unwrap(), FRESH, &Limits::default())
}

fn put(card: &str) -> Result<Admitted, NotAdmitted> {
    put_as("jane.vcf", card.as_bytes())
}

fn refused(card: &str) -> NotAdmitted {
    put(card).unwrap_err()
}

fn card(lines: &str) -> String {
    format!("BEGIN:VCARD\r\n{lines}END:VCARD\r\n")
}

/// VC-7, VC-12: the octets stay, the version is the body's.
#[test]
fn keeps_the_submitted_octets() {
    let odd = "\u{feff}BEGIN:VCARD\nversion:4.0\r\n\nFN:\nitem1.X-ODD;x=\"a:b\":\\\u{1}\nno colon here\nUID:a\r\n b\nEND:VCARD \n \n\n";
    let admitted = put(odd).unwrap();
    assert_eq!(admitted.bytes, odd.as_bytes());
    assert_eq!((admitted.version, admitted.uid.as_str()), (Version::V4, "ab"));
    assert!(!admitted.altered && !admitted.invented_uid);
}

/// CARD-2, CARD-10, D13.
#[test]
fn one_card_and_nothing_else() {
    let one = card("VERSION:3.0\r\nUID:1\r\n");
    assert_eq!(refused(&format!("{one}{one}")), NotAdmitted::Several);
    assert_eq!(refused(&format!("{one}\r\n\r\nBEGIN:VCARD\r\n")), NotAdmitted::Several);
    assert_eq!(refused(&format!("{one}garbage\r\n")), NotAdmitted::NotACard);
    assert_eq!(refused(&format!("garbage\r\n{one}")), NotAdmitted::NotACard);
    for nothing in [
        "",
        "\r\n",
        "BEGIN:VCARD\r\nVERSION:3.0\r\n",
        "BEGIN:VCALENDAR\nEND:VCALENDAR\n",
        "END:VCARD",
        "<html>",
    ] {
        assert_eq!(refused(nothing), NotAdmitted::NotACard, "{nothing:?}");
    }
    assert!(put(&format!("\r\n{one} \r\n\t\r\n")).is_ok());
}

/// A 2.1-style AGENT holds a card; it is not a second one, and its UID and VERSION are its own.
#[test]
fn a_nested_card_is_part_of_its_card() {
    let agent = "AGENT:\r\nBEGIN:VCARD\r\nVERSION:2.1\r\nUID:agent\r\nEND:VCARD\r\n";
    let admitted = put(&card(&format!("VERSION:3.0\r\n{agent}UID:boss\r\n"))).unwrap();
    assert_eq!((admitted.version, admitted.uid.as_str()), (Version::V3, "boss"));
}

/// VC-8, VC-12, VC-14, CARD-8.
#[test]
fn the_last_plausible_version_counts() {
    let version = |lines: &str| put(&card(&format!("UID:1\r\n{lines}"))).map(|a| a.version);
    assert_eq!(version("VERSION:3.0\r\nVERSION:4.0\r\n"), Ok(Version::V4));
    assert_eq!(version("VERSION:4.0\r\nVERSION:\r\n"), Ok(Version::V4));
    assert_eq!(version("VERSION:1\r\nVERSION: 3.0 \r\n"), Ok(Version::V3));
    assert_eq!(version("VERS\r\n ION:4\r\n .0\r\n"), Ok(Version::V4));
    assert_eq!(version(""), Ok(Version::V3));
    assert_eq!(version("VERSION:2.1\r\n"), Err(NotAdmitted::Version));
    assert_eq!(version("VERSION:5.0\r\n"), Err(NotAdmitted::Version));
}

/// VC-11, VC-13: the first UID that says something, never rewritten.
#[test]
fn the_first_uid_wins() {
    let uid = |lines: &str| put(&card(&format!("VERSION:3.0\r\n{lines}"))).unwrap().uid.as_str().to_owned();
    assert_eq!(uid("UID:urn:uuid:urn:uuid:X\r\nUID:2\r\n"), "urn:uuid:urn:uuid:X");
    assert_eq!(uid("UID:\r\nitem1.uid;VALUE=text:a\\,b\r\n"), "a\\,b");
}

/// CARD-3: directly after VERSION, with the card's own line ends.
#[test]
fn a_missing_uid_is_added() {
    for end in ["\r\n", "\n", "\r"] {
        let text = ["BEGIN:VCARD", "VERSION:3.0", "FN:x", "END:VCARD", ""].join(end);
        let admitted = put(&text).unwrap();
        let line = format!("UID:{FRESH_TEXT}");
        let expected = ["BEGIN:VCARD", "VERSION:3.0", &line, "FN:x", "END:VCARD", ""].join(end);
        assert_eq!(admitted.bytes, expected.as_bytes());
        assert!(admitted.altered && admitted.invented_uid);
        assert_eq!(admitted.uid.as_str(), FRESH_TEXT);
    }
    let bare = put("BEGIN:VCARD\nUID: \nFN:x\nEND:VCARD").unwrap();
    assert_eq!(bare.bytes, format!("BEGIN:VCARD\nUID:{FRESH_TEXT}\nFN:x\nEND:VCARD").as_bytes());
    assert_eq!(
        put("BEGIN:VCARD\nEND:VCARD").unwrap().bytes,
        format!("BEGIN:VCARD\nUID:{FRESH_TEXT}\nEND:VCARD")
    );
}

/// CARD-3: the name gives the UID where it is one, as it is spelled.
#[test]
fn a_uuid_name_is_the_uid() {
    let uid =
        |name: &str| put_as(name, b"BEGIN:VCARD\nVERSION:3.0\nEND:VCARD").unwrap().uid.as_str().to_owned();
    let spelled = "6BA7B810-9dad-11d1-80b4-00c04fd430c8";
    assert_eq!(uid(&format!("{spelled}.vcf")), spelled);
    assert_eq!(uid(&format!("{spelled}.VCF")), spelled);
    assert_eq!(uid(spelled), spelled);
    for name in
        ["jane.vcf", ".vcf", "vcf", "ü.vcf", "€€", &format!("{{{spelled}}}.vcf"), &format!("{spelled}.txt")]
    {
        assert_eq!(uid(name), FRESH_TEXT, "{name}");
    }
}

/// VC-1: repaired, and no ETag for it.
#[test]
fn octets_that_are_not_utf8_are_read_as_windows_1252() {
    let admitted = put_as("x", b"BEGIN:VCARD\nVERSION:3.0\nUID:1\nFN:J\xF6rg\nEND:VCARD\n").unwrap();
    assert_eq!(admitted.bytes, "BEGIN:VCARD\nVERSION:3.0\nUID:1\nFN:Jörg\nEND:VCARD\n".as_bytes());
    assert!(admitted.altered && !admitted.invented_uid);
}

/// VC-44, CARD-9.
#[test]
fn limits_hold() {
    let limits = Limits { bytes: 300, lines: 6, line_bytes: 40 };
    let put = |lines: &str| {
        let text = card(&format!("VERSION:3.0\r\nUID:1\r\n{lines}"));
        admit(&text.into(), &MemberName::parse("x").unwrap(), FRESH, &limits).err()
    };
    let (long, folded) = ("x".repeat(60), "x\r\n ".repeat(12));
    assert_eq!(put("A:1\r\n"), None);
    assert_eq!(put("A:1\r\nA:1\r\nA:1\r\n"), Some(NotAdmitted::TooComplex));
    assert_eq!(put(&format!("NOTE:{long}\r\n")), Some(NotAdmitted::TooComplex));
    assert_eq!(put(&format!("NOTE:{folded}\r\n")), None, "folds are not part of the line");
    assert_eq!(put(&format!("item1.photo;X=1:{long}\r\n")), None);
    assert_eq!(put(&format!("PHOTO:{}\r\n", "x".repeat(300))), Some(NotAdmitted::TooLarge));
    let grows = [&b"BEGIN:VCARD\nNOTE:"[..], &[0x80; 150], b"\nEND:VCARD\n"].concat();
    let name = MemberName::parse("x").unwrap();
    let small = Limits { line_bytes: 1000, ..limits };
    assert_eq!(admit(&grows.into(), &name, FRESH, &small).err(), Some(NotAdmitted::TooLarge));
}

pub(crate) fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<Vec<u8>> = [
        "BEGIN:VCARD",
        "END:VCARD",
        "VERSION:3.0",
        "VERSION:4.0",
        "UID:1",
        "UID:",
        "AGENT:BEGIN:VCARD",
        "FN:ä",
        "item1.EMAIL;TYPE=a:x",
        "\r\n",
        "\n",
        "\r",
        " ",
        ":",
        ";",
        "\"",
        "=",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let piece = prop_oneof![
        6 => prop::sample::select(known),
        3 => Just(b"\r\n".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn anything_is_admitted_or_refused(middle in fragments(), framed in any::<bool>()) {
        let text = if framed { [&b"BEGIN:VCARD\n"[..], &middle, b"\nEND:VCARD\n"].concat() } else { middle };
        if let Ok(first) = put_as("jane.vcf", &text) {
            prop_assert_eq!(first.altered, first.bytes != text);
            prop_assert!(std::str::from_utf8(&first.bytes).is_ok());
            // What is stored is a card that needs no more repair.
            let again = put_as("other.vcf", &first.bytes).unwrap();
            prop_assert!(!again.altered && !again.invented_uid);
            prop_assert_eq!((again.uid, again.version), (first.uid, first.version));
        }
    }
}
