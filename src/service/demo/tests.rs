//! The demo's cards are what they claim to be: whole, folded, distinct, fictional.

use std::collections::HashSet;

use bytes::Bytes;
use uuid::Uuid;

use super::*;
use crate::domain::id::MemberName;
use crate::domain::vcard::strict::{Verdict, verdict};
use crate::domain::vcard::{Limits, admit};

/// The unfolded lines of a card.
fn lines(card: &DemoCard) -> Vec<String> {
    let text = String::from_utf8(card.card.clone()).unwrap();
    text.replace("\r\n ", "").split_terminator("\r\n").map(str::to_owned).collect()
}

fn value<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

#[test]
fn every_row_of_the_table_becomes_a_card() {
    let heads = TABLE.lines().filter(|line| !line.starts_with('#') && line.contains(".vcf ")).count();
    let cards = cards();
    assert_eq!(cards.len(), heads);
    assert!(cards.len() >= 50);
    let known = [
        "N",
        "FN",
        "NICKNAME",
        "ORG",
        "TITLE",
        "KIND",
        "EMAIL",
        "TEL",
        "ADR",
        "URL",
        "IMPP",
        "BDAY",
        "CATEGORIES",
        "NOTE",
        "PHOTO",
        "MEMBER",
    ];
    for row in rows() {
        for (name, value) in &row.fields {
            assert!(known.contains(name), "{}: {name}", row.name);
            assert!(!value.is_empty(), "{}: {name} is empty", row.name);
        }
    }
}

#[test]
fn every_card_is_well_formed() {
    for card in cards() {
        let text = String::from_utf8(card.card.clone()).unwrap();
        assert!(text.ends_with("\r\n"), "{}", card.name);
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{}: a bare line break", card.name);
        for physical in text.split("\r\n") {
            assert!(physical.len() <= 75, "{}: {physical}", card.name);
        }
        let lines = lines(&card);
        assert_eq!(lines.first().map(String::as_str), Some("BEGIN:VCARD"));
        assert!(matches!(lines.get(1).map(String::as_str), Some("VERSION:3.0" | "VERSION:4.0")));
        assert_eq!(lines.last().map(String::as_str), Some("END:VCARD"));
        assert!(value(&lines, "FN").is_some_and(|name| !name.is_empty()), "{}", card.name);
        assert!(value(&lines, "UID").is_some_and(|uid| uid.trim_start_matches("urn:uuid:").len() == 36));
        let n = lines.iter().filter(|line| line.starts_with("N:")).count();
        assert!(n == 1 || (n == 0 && lines.iter().any(|line| line == "VERSION:4.0")), "{}", card.name);
    }
}

#[test]
fn names_and_uids_are_distinct_and_stay_the_same() {
    let (mut names, mut uids) = (HashSet::new(), HashSet::new());
    for card in cards() {
        assert!(names.insert(card.name), "{}", card.name);
        assert!(
            card.name.ends_with(".vcf")
                && card.name.bytes().all(|b| b.is_ascii_lowercase() || b"-.".contains(&b))
        );
        let lines = lines(&card);
        assert!(uids.insert(value(&lines, "UID").unwrap().trim_start_matches("urn:uuid:").to_owned()));
    }
    let first = lines(cards().first().unwrap());
    assert_eq!(value(&first, "UID"), Some("urn:uuid:3f2a9c10-7b54-4e1d-9a60-000000000001"));
}

#[test]
fn groups_name_members_of_their_own_book() {
    let rows = rows();
    let mut groups = 0;
    for row in rows.iter().filter(|row| row.field("KIND") == Some("group")) {
        groups += 1;
        let names: Vec<_> =
            row.fields.iter().filter(|(name, _)| *name == "MEMBER").map(|(_, file)| *file).collect();
        assert!(!names.is_empty());
        for file in &names {
            assert!(
                rows.iter().any(|other| other.name == *file && other.book == row.book),
                "{}: {file}",
                row.name
            );
        }
        let text = String::from_utf8(row.card(&rows)).unwrap().replace("\r\n ", "");
        assert_eq!(text.matches("MEMBER:urn:uuid:").count(), names.len());
    }
    assert!(groups >= 4);
}

#[test]
fn the_mix_is_as_wide_as_an_office_s() {
    let cards = cards();
    let with = |needle: &str| {
        cards.iter().filter(|card| lines(card).iter().any(|line| line.contains(needle))).count()
    };
    assert_eq!(with("VERSION:3.0"), cards.len() / 2);
    assert_eq!(with("VERSION:4.0"), cards.len() / 2);
    for needle in [
        "KIND:org",
        "X-ABShowAs:COMPANY",
        "KIND:group",
        "X-ADDRESSBOOKSERVER-KIND:group",
        "BDAY:--",
        "X-APPLE-OMIT-YEAR=1604:1604-",
        "PHOTO;ENCODING=b;TYPE=JPEG:",
        "PHOTO:data:image/jpeg;base64,",
        "PHOTO:data:image/png;base64,",
        "X-ABLabel:",
        "CATEGORIES:",
        "ü",
        "Олександр",
        "田中",
        "ليلى",
        "TYPE=PREF",
        "PREF=1",
        "VALUE=uri",
        "ADR;TYPE=",
        "\\n",
    ] {
        assert!(with(needle) > 0, "{needle}");
    }
    assert!(cards.iter().filter(|card| card.book == DemoBook::Shared).count() >= 20);
    assert!(cards.iter().filter(|card| card.book == DemoBook::Personal).count() >= 20);
}

#[test]
fn addresses_and_numbers_are_fictional() {
    let reserved = [
        "+49 30 23125 ",
        "+49 40 66969 ",
        "+49 89 99998 ",
        "+49 221 4710 ",
        "+49 69 90009 ",
        "+44 20 7946 0",
        "+44 7700 900",
        "+1 212 555 01",
        "+1 312 555 01",
        "+33 1 99 00 ",
        "+33 6 39 98 ",
    ];
    for row in rows() {
        for (name, value) in &row.fields {
            let host = match *name {
                "EMAIL" | "IMPP" => value.rsplit_once('@').map(|(_, host)| host),
                "URL" => value.strip_prefix("https://").and_then(|rest| rest.split('/').next()),
                "TEL" => {
                    let (_, number) = value.split_once(' ').unwrap();
                    assert!(reserved.iter().any(|range| number.starts_with(range)), "{}: {number}", row.name);
                    continue;
                }
                _ => continue,
            };
            let host = host.unwrap();
            let domain =
                ["example.org", "example.com", "example.net"].into_iter().find(|d| host.ends_with(d));
            let before = host.strip_suffix(domain.unwrap_or("no such domain")).unwrap();
            assert!(before.is_empty() || before.ends_with('.'), "{}: {host}", row.name);
        }
    }
}

#[test]
fn every_4_0_card_passes_the_strict_verdict() {
    for card in cards().iter().filter(|card| lines(card).iter().any(|line| line == "VERSION:4.0")) {
        assert_eq!(verdict(&card.card), Verdict::Passed, "{}", card.name);
    }
}

#[test]
fn every_card_is_stored_as_it_is() {
    for card in cards() {
        let name = MemberName::parse(card.name).unwrap();
        let octets = Bytes::from(card.card.clone());
        let admitted = admit(&octets, &name, Uuid::nil(), &Limits::default()).unwrap();
        assert!(!admitted.altered && !admitted.invented_uid && admitted.bytes == octets, "{}", card.name);
    }
}
