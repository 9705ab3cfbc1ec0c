//! Random cards, from a grammar and from noise (VC-33).

use proptest::prelude::*;

use super::super::vcard::Version::{self, V3, V4};
use super::super::vcard::lines::lines;
use super::super::vcard::property::Line;
use super::convert;
use super::tests::{CORPUS, other, unfolded};

/// A raw text value, well escaped.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![4 => "[a-zA-Z0-9 äß€😀:.'\"^=]{1,12}", 1 => prop::sample::select(vec!["\\n", "\\,", "\\;", "\\\\"]).prop_map(str::to_owned)], 1..12)
        .prop_map(|parts| format!("x{}", parts.concat()))
}

fn parameters_of_types() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        ";TYPE=home",
        ";TYPE=work",
        ";TYPE=home,x-own",
        ";TYPE=\"work,cell\"",
        ";type=home;type=Other",
    ])
    .prop_map(str::to_owned)
}

fn date() -> impl Strategy<Value = (String, String)> {
    (1605..2100_u16, 1..=12_u8, 1..=28_u8, any::<bool>()).prop_map(|(y, m, d, whole)| {
        if whole {
            (format!("{y:04}-{m:02}-{d:02}"), format!("{y:04}{m:02}{d:02}"))
        } else {
            (format!(";X-APPLE-OMIT-YEAR=1604:1604-{m:02}-{d:02}"), format!("--{m:02}{d:02}"))
        }
    })
}

/// Lines that no rule knows.
fn unknown() -> impl Strategy<Value = String> {
    prop_oneof![
        ("[a-z]{1,5}", text())
            .prop_map(|(name, value)| format!("X-OWN-{name};P=\"a:b\";TYPE=x,y;PREF=3:{value}")),
        ("item[1-3]", text()).prop_map(|(group, value)| format!("{group}.X-Thing:{value}")),
        "[a-z]{1,9} [a-z ]{0,90}[a-z]",
    ]
}

/// A line in both versions; what is the same in both is written once.
fn pair() -> impl Strategy<Value = (String, String)> {
    let same = |names: &'static [&'static str]| {
        (prop::sample::select(names), parameters_of_types(), text())
            .prop_map(|(n, p, v)| format!("{n}{p}:{v}"))
    };
    prop_oneof![
        same(&["TEL", "NOTE", "TITLE", "ROLE", "BIRTHPLACE"]).prop_map(|l| (l.clone(), l)),
        unknown().prop_map(|l| (l.clone(), l)),
        (same(&["NICKNAME", "ORG", "HOBBY"]), any::<u8>())
            .prop_map(|(l, n)| (format!("g{n}.{l}"), format!("g{n}.{l}"))),
        (parameters_of_types(), "[a-z]{1,60}@example\\.org")
            .prop_map(|(p, v)| (format!("EMAIL{p};TYPE=INTERNET:{v}"), format!("EMAIL{p}:{v}"))),
        (parameters_of_types(), text())
            .prop_map(|(p, v)| (format!("ADR{p}:;;{v};;;;"), format!("ADR{p}:;;{v};;;;"))),
        prop::collection::vec(any::<[u8; 3]>(), 1..200).prop_map(|octets| {
            let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, octets.concat());
            (format!("PHOTO;ENCODING=b;TYPE=JPEG:{data}"), format!("PHOTO:data:image/jpeg;base64,{data}"))
        }),
        (-90..=90_i32, -180..=180_i32)
            .prop_map(|(a, b)| (format!("GEO:{a}.5;{b}"), format!("GEO:geo:{a}.5,{b}"))),
        "[a-z]{1,20}".prop_map(|v| (format!("X-PRONOUNS:{v}"), format!("PRONOUNS:{v}"))),
        "[a-f0-9-]{1,20}".prop_map(|v| (
            format!("X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:{v}"),
            format!("MEMBER:urn:uuid:{v}")
        )),
    ]
}

/// Lines of which a card has one.
fn once() -> impl Strategy<Value = Vec<(String, String)>> {
    (date(), text(), text(), prop::option::of(text())).prop_map(|((bday3, bday4), full, family, uid)| {
        let bday3 = if bday3.starts_with(';') { format!("BDAY{bday3}") } else { format!("BDAY:{bday3}") };
        let mut rows = vec![
            (format!("FN:{full}"), format!("FN:{full}")),
            (format!("N:{family};;;;"), format!("N:{family};;;;")),
            (bday3, format!("BDAY:{bday4}")),
        ];
        rows.extend(uid.map(|uid| (format!("UID:{uid}"), format!("UID:{uid}"))));
        rows
    })
}

fn card(version: Version, body: &[String]) -> Vec<u8> {
    let number = if version == V3 { "3.0" } else { "4.0" };
    format!("BEGIN:VCARD\r\nVERSION:{number}\r\n{}\r\nEND:VCARD\r\n", body.join("\r\n")).into_bytes()
}

/// Arbitrary lines with many known names, well formed or not.
fn wild() -> impl Strategy<Value = Vec<u8>> {
    let names = vec![
        "FN",
        "N",
        "ADR",
        "LABEL",
        "PHOTO",
        "KEY",
        "BDAY",
        "ANNIVERSARY",
        "REV",
        "RELATED",
        "AGENT",
        "TEL",
        "EMAIL",
        "IMPP",
        "X-AIM",
        "GEO",
        "TZ",
        "SORT-STRING",
        "X-PHONETIC-FIRST-NAME",
        "KIND",
        "MEMBER",
        "X-ABDATE",
        "X-ABRELATEDNAMES",
        "X-ABLabel",
        "X-ABShowAs",
        "X-CARDKEEP-HIDDEN",
        "X-SOCIALPROFILE",
        "SOCIALPROFILE",
        "GENDER",
        "X-GENDER",
        "CLASS",
        "X-MANAGER",
        "VERSION",
        "BEGIN",
        "END",
        "UID",
    ];
    let line = (
        prop::option::of("item[12]\\."),
        prop::sample::select(names),
        prop::collection::vec(
            ";(TYPE|VALUE|PREF|ALTID|ENCODING|LABEL|X-NAME|SORT-AS|X-APPLE-OMIT-YEAR|CHARSET)?=?[\"a-z0-9,^=ä]{0,8}",
            0..4,
        ),
        prop_oneof![
            "[-;:,\\\\T0-9a-zZ+=%/ äé\u{7f}\t]{0,40}".prop_map(|v| v),
            "(data:|tel:|geo:|urn:uuid:|_\\$!<|http\\\\:|VCARD)[;:,\\\\a-z0-9>!$_/+]{0,30}".prop_map(|v| v),
            prop::collection::vec(any::<char>(), 0..20).prop_map(|v| v.into_iter().collect()),
        ],
    )
        .prop_map(|(group, name, parameters, value)| {
            format!("{}{name}{}:{value}", group.unwrap_or_default(), parameters.concat())
        });
    prop::collection::vec(line, 0..25)
        .prop_map(|lines| format!("BEGIN:VCARD\n{}\nEND:VCARD\n", lines.join("\n")).into_bytes())
}

/// What holds for every output, however odd the input.
fn well_written(card: &[u8], to: Version) -> Result<(), TestCaseError> {
    let text = String::from_utf8(card.to_vec()).map_err(|_| TestCaseError::fail("not UTF-8"))?;
    let number = if to == V3 { "3.0" } else { "4.0" };
    let start = format!("BEGIN:VCARD\r\nVERSION:{number}\r\n");
    prop_assert!(text.starts_with(&start));
    prop_assert!(text.ends_with("\r\nEND:VCARD\r\n"));
    prop_assert!(text.split("\r\n").all(|line| !line.contains(['\r', '\n'])));
    prop_assert!(
        text.split("\r\n")
            .all(|line| line.len() <= 75 || line.contains(&";".repeat(20)) || line.contains(&":".repeat(20)))
    );
    prop_assert!(!text.contains("\r\n :") && !text.contains("\r\n ;"));
    let has =
        |name: &str| lines(card).filter_map(|l| Line::parse(&l).property().cloned()).any(|p| p.is(name));
    prop_assert!(has("FN"));
    prop_assert!(to == V4 || has("N"));
    Ok(())
}

proptest! {
    #[test]
    fn vc_33_what_both_versions_express_goes_there_and_back(single in once(), many in prop::collection::vec(pair(), 0..12)) {
        let (v3, v4): (Vec<_>, Vec<_>) = single.into_iter().chain(many).unzip();
        for (from, mine, theirs) in [(V3, &v3, &v4), (V4, &v4, &v3)] {
            let there = convert(&card(from, mine), from, other(from)).unwrap();
            well_written(&there, other(from))?;
            prop_assert_eq!(&unfolded(&there), theirs);
            let back = convert(&there, other(from), from).unwrap();
            prop_assert_eq!(&unfolded(&back), mine);
        }
    }

    #[test]
    fn vc_33_unknown_lines_stay_identical(single in once(), odd in prop::collection::vec(unknown(), 1..8)) {
        for from in [V3, V4] {
            let mut body: Vec<String> = single.iter().map(|(a, b)| if from == V3 { a.clone() } else { b.clone() }).collect();
            body.extend(odd.clone());
            let there = unfolded(&convert(&card(from, &body), from, other(from)).unwrap());
            prop_assert_eq!(there.get(there.len() - odd.len()..).unwrap(), odd.as_slice());
        }
    }

    #[test]
    fn wild_cards_become_well_written_ones_and_so_do_their_conversions(wild in wild()) {
        for from in [V3, V4] {
            let Ok(there) = convert(&wild, from, other(from)) else { continue };
            well_written(&there, other(from))?;
            let back = convert(&there, other(from), from).unwrap();
            well_written(&back, from)?;
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..400), from in prop::sample::select(vec![V3, V4])) {
        if let Ok(there) = convert(&octets, from, other(from)) {
            well_written(&there, other(from))?;
        }
    }

    #[test]
    fn damaged_cards_of_the_corpus_never_panic(which in 0..CORPUS.len(), at in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>()) {
        let (_, from, card) = CORPUS[which];
        let mut damaged = card.to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        if cut {
            damaged.truncate(at);
        }
        if let Ok(there) = convert(&damaged, from, other(from)) {
            well_written(&there, other(from))?;
            let back = convert(&there, other(from), from).unwrap();
            well_written(&back, from)?;
        }
    }
}
