//! Filters over both forms of a contact: by example, by law, and against hostile texts.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn leaf(path: &str, index: u16, value: Scalar) -> Leaf {
    Leaf { path: Path::parse(path).unwrap(), index, value }
}

fn text(path: &str, index: u16, value: &str) -> Leaf {
    leaf(path, index, Scalar::Text(value.to_owned()))
}

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

const ALICE: AccountId = AccountId::from_bytes([1; 16]);

fn jennifer() -> Vec<Leaf> {
    vec![
        text("name.formatted", 0, "Jennifer Müller-Weiß"),
        text("name.given", 0, "Jennifer"),
        text("organization.name", 0, "Firma 3"),
        text("emails.value", 0, "J.Davis@example.org"),
        text("emails.types", 0, "work"),
        text("emails.types", 0, "other"),
        leaf("emails.pref", 0, Scalar::Number("1".to_owned())),
        text("emails.status.state", 0, "hard"),
        text("emails.value", 1, "jen@x.org"),
        text("emails.types", 1, "home"),
        text("phones.value", 0, "(030) 12345-67"),
        text("phones.e164", 0, "+49301234567"),
        text("addresses.locality", 0, "Köln"),
        text("note", 0, "likes \"quotes\" and \u{1F600}"),
        leaf("flags.blocked", 0, Scalar::Bool(false)),
        leaf("flags.newsletter", 0, Scalar::Bool(true)),
        leaf("assigned_to", 0, Scalar::Account(ALICE)),
        leaf("created_at", 0, Scalar::Time(at("2026-05-05T10:00:00Z"))),
        text("custom.customer_no", 0, "4711"),
        leaf("custom.size", 0, Scalar::Number("2.50".to_owned())),
        leaf("custom.vip", 0, Scalar::Bool(true)),
        text("custom.tags", 0, "red"),
        text("custom.tags", 1, "blue"),
    ]
}

fn packed(leaves: &[Leaf]) -> Vec<u8> {
    let mut out = Vec::new();
    pack(leaves, &mut out);
    out
}

/// Judges both forms, which must agree.
fn judge(filter: &str, leaves: &[Leaf]) -> bool {
    let mut filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    filter.resolve(|kind, name| match (kind, name) {
        (Type::Account, "alice") => Some(Scalar::Account(ALICE)),
        (Type::Account, "bob") => Some(Scalar::Account(AccountId::from_bytes([2; 16]))),
        _ => None,
    });
    let found = filter.matches(leaves);
    assert_eq!(filter.matches(&Packed(&packed(leaves))), found);
    found
}

#[test]
fn filters_judge_as_rfc_7644_says() {
    for (filter, expected) in [
        (r#"organization.name eq "firma 3" and emails.value co "@EXAMPLE.org""#, true),
        (r#"ORGANIZATION.Name EQ "Firma 3" AND NOT (emails.value ew "@nowhere")"#, true),
        (r#"name.formatted co "MULLER""#, true),
        (r#"name.formatted co "müller-weiss""#, true),
        (r#"name.formatted sw "weiss""#, false),
        (r#"name.formatted ew "Weiß""#, true),
        (r#"name.given gt "jen" and name.given lt "JO""#, true),
        (r#"name.given ge "JENNIFER" and name.given le "jennifer""#, true),
        (r#"name.given gt "jennifer""#, false),
        (r#"title eq "x" or title eq "y" and name pr or emails.value eq "jen@x.org""#, true),
        (r#"name pr or title pr and title pr"#, true),
        (r#"(name pr or title pr) and title pr"#, false),
        (r#"title pr"#, false),
        (r#"title eq null"#, true),
        (r#"title eq """#, true),
        (r#"title ne """#, false),
        (r#"title ne "x""#, true),
        (r#"name.given ne null"#, true),
        // Of several values none may equal.
        (r#"emails.value ne "jen@x.org""#, false),
        (r#"emails.types ne "fax""#, true),
        // Lists stand for their values.
        (r#"emails co "@x.org""#, true),
        (r#"phones eq "(030) 12345-67""#, true),
        (r#"addresses eq "koln""#, true),
        (r#"addresses.country pr or urls pr"#, false),
        (r#"addresses eq "work""#, false),
        (r#"custom pr and flags pr and emails.status pr"#, true),
        // Brackets are of one object.
        (r#"emails[types eq "work" and value co "@x.org"]"#, false),
        (r#"emails[types eq "home" and value co "@x.org"]"#, true),
        (r#"emails.types eq "work" and emails.value co "@x.org""#, true),
        (r#"Emails[not (types eq "work")]"#, true),
        (r#"emails[types ne "work" and value ew "example.org"]"#, false),
        (r#"emails[types eq "work" and status.state eq "HARD" and status pr and pref le 1.0]"#, true),
        (r#"emails[pref eq null and (value sw "jen" or value sw "x")]"#, true),
        (r#"not (emails[types eq "home"])"#, false),
        (r#"urls[not (value eq "x")]"#, false),
        // Flags that are not there are not set.
        (r#"flags.blocked eq false and flags.do_not_call eq false"#, true),
        (r#"flags.newsletter eq TRUE and flags.newsletter ne false"#, true),
        (r#"flags.do_not_call ne false"#, false),
        (r#"assigned_to eq "alice" and assigned_to ne "bob""#, true),
        (r#"assigned_to eq "carol""#, false),
        (r#"assigned_to ne "carol" and assigned_to pr"#, true),
        (r#"reports_to eq null"#, true),
        // A date is a day.
        (r#"created_at eq "2026-05-05""#, true),
        (r#"created_at gt "2026-05-05""#, false),
        (r#"created_at ge "2026-05-05" and created_at le "2026-05-05""#, true),
        (r#"created_at eq "2026-05-05T12:00:00+02:00""#, true),
        (r#"created_at lt "2026-05-05T10:00:00Z""#, false),
        (r#"updated_at lt "2026-05-05""#, false),
        // The admin's own fields.
        (r#"custom.customer_no eq "4711" and Custom.Customer_No eq 4711"#, true),
        (r#"custom.customer_no gt 999 and custom.size eq 2.5 and custom.size eq "2.500""#, true),
        (r#"custom.size gt 25e-1 or custom.size lt -1"#, false),
        (r#"custom.vip eq true and custom.vip ne false"#, true),
        (r#"custom.nothing eq false"#, false),
        (r#"custom.tags eq "BLUE" and custom.tags ne "green""#, true),
        (r#"note co "\"Quotes\"" and note co "\ud83d\ude00" and note co "\u0041ND""#, true),
    ] {
        assert_eq!(judge(filter, &jennifer()), expected, "{filter}");
    }
}

#[test]
fn errors_name_their_place() {
    for (filter, position, what) in [
        ("", 0, "an attribute is expected"),
        ("titel eq \"x\"", 0, "there is no attribute titel here"),
        ("title pr and (titel pr)", 14, "there is no attribute titel here"),
        ("title eq \"ü\" and titel pr", 17, "there is no attribute titel here"),
        ("title", 5, "an operator is expected"),
        ("title is \"x\"", 6, "an operator is expected"),
        ("title eq x", 9, "a text in double quotes, a number"),
        ("title eq 7", 9, "a text in double quotes is expected"),
        ("title eq true", 9, "a text in double quotes is expected"),
        ("title co null", 9, "a text"),
        ("title gt null", 6, "only eq, ne and pr"),
        ("title eq \"x", 9, "this text has no closing quote"),
        ("title eq \"\\x\"", 10, "this is no escape of JSON"),
        ("title eq \"\\ud800\"", 10, "this is no escape of JSON"),
        ("title eq \"\\udc00\"", 10, "this is no escape of JSON"),
        ("title eq \"a\nb\"", 11, "control characters"),
        ("title pr title pr", 9, "\"and\", \"or\" or the filter's end"),
        ("title pr and", 12, "an attribute is expected"),
        ("title pr)", 8, "\"and\", \"or\""),
        ("(title pr", 9, "a closing parenthesis"),
        ("not title pr", 4, "an opening parenthesis"),
        ("flags.blocked gt true", 14, "only eq, ne and pr"),
        ("flags.blocked co \"t\"", 14, "co, sw and ew"),
        ("flags.blocked eq \"true\"", 17, "true or false"),
        ("assigned_to gt \"alice\"", 12, "only eq, ne and pr"),
        ("assigned_to eq 7", 15, "the name of a user"),
        ("created_at gt \"soon\"", 14, "a time"),
        ("created_at gt 7", 14, "a time"),
        ("created_at co \"2026\"", 11, "co, sw and ew"),
        ("emails.pref eq \"1\"", 15, "a number"),
        ("emails.pref eq 01", 15, "a text in double quotes, a number"),
        ("emails.pref eq 1.", 15, "a text in double quotes, a number"),
        ("name eq \"x\"", 5, "this attribute has others below it"),
        ("custom eq \"x\"", 7, "this attribute has others below it"),
        ("custom.x gt true", 9, "only eq, ne and pr"),
        ("name[given eq \"x\"]", 4, "brackets follow"),
        ("emails[value eq \"x\"", 19, "a closing bracket"),
        ("emails[emails.value pr]", 7, "there is no attribute emails.value here"),
        ("emails[types[x pr]]", 12, "an operator is expected"),
        ("emails[value pr].value pr", 16, "\"and\", \"or\""),
        ("emails[]", 7, "an attribute is expected"),
        ("urn:ietf:params:scim:schemas:core:2.0:User:title pr", 0, "attributes have no schema"),
    ] {
        let error = Filter::parse(filter).unwrap_err();
        assert!(error.what.starts_with(what), "{filter}: {error}");
        assert_eq!(error.position, position, "{filter}: {error}");
    }
}

#[test]
fn what_is_too_much_is_refused_and_said() {
    let many = |n: usize| vec!["title pr"; n].join(" or ");
    assert!(Filter::parse(&many(TERMS)).is_ok());
    let error = Filter::parse(&many(TERMS + 1)).unwrap_err();
    assert_eq!((error.position, error.what.as_str()), (2_400, "the filter has more than 200 comparisons"));
    let error = Filter::parse(&many(10_000)).unwrap_err();
    assert_eq!((error.position, error.what.as_str()), (LONGEST, "the filter is longer than 16384 octets"));
    let deep = |n: usize, open: &str| format!("{}title pr{}", open.repeat(n), ")".repeat(n));
    for open in ["(", "not ("] {
        assert!(Filter::parse(&deep(DEPTH, open)).is_ok());
        let error = Filter::parse(&deep(DEPTH + 1, open)).unwrap_err();
        assert_eq!(error.what, "the filter is nested deeper than 32 levels");
        assert!(Filter::parse(&deep(1_000, open)).is_err());
    }
    assert!(Filter::parse(&"(".repeat(LONGEST)).is_err());
}

#[test]
fn names_are_told_and_resolved() {
    let filter = r#"assigned_to eq "alice" and not (reports_to eq "CON5" or book ne "a/b") and custom.x pr"#;
    let mut filter = Filter::parse(filter).unwrap();
    let names = [(Type::Account, "alice"), (Type::Contact, "CON5"), (Type::Book, "a/b")];
    assert_eq!(filter.names(), names.map(|(kind, name)| (kind, name.to_owned())));
    assert_eq!(filter.fields(), ["x"]);
    filter.resolve(|_, _| None);
    assert!(filter.names().is_empty());
    assert_eq!(format!("{filter:?}"), "Filter(…)");
}

#[test]
fn every_parent_has_its_paths_side_by_side() {
    for (name, _) in PATHS {
        for (at, _) in name.match_indices('.') {
            let parent = &name[..at];
            let Some(Span::Known { first, last }) = Span::below(parent) else { panic!("{parent}") };
            for (place, (path, _)) in PATHS.iter().enumerate() {
                let below = path.starts_with(&format!("{parent}."));
                assert_eq!(
                    (usize::from(first)..=usize::from(last)).contains(&place),
                    below,
                    "{parent} {path}"
                );
            }
        }
    }
    assert_eq!(Span::below("title"), None);
    assert_eq!(Span::below("e"), None);
}

#[test]
fn long_texts_are_judged_by_their_beginning() {
    let leaves = [text("title", 0, &"ä".repeat(5_000)), text("note", 0, &format!("{}x", "日".repeat(1_500)))];
    let octets = packed(&leaves);
    let long = |path: &str| Packed(&octets).text(&Path::parse(path).unwrap()).unwrap().len();
    assert_eq!((long("title"), long("note")), (JUDGED, 3_999));
    assert!(judge(r#"title sw "aaa" and note co "日""#, &leaves));
}

#[test]
fn many_and_large_values_are_reached() {
    let mut leaves: Vec<Leaf> =
        (0..2_000).map(|n| text("emails.value", n, &format!("{n}@x.org{}", "y".repeat(60)))).collect();
    leaves.push(text("emails.types", 1_000, "work"));
    leaves.push(text("urls.value", 0, "z"));
    assert!(judge(r#"emails sw "1999@" and urls eq "z""#, &leaves));
    assert!(judge(r#"emails[types eq "work" and value sw "1000@"]"#, &leaves));
    assert!(!judge(r#"emails[types eq "work" and value sw "1001@"]"#, &leaves));
    assert!(judge(r#"emails[types ne "work" and value sw "1001@"]"#, &leaves));
}

#[test]
fn full_text_finds_words_by_their_beginning() {
    let octets = packed(&jennifer());
    for (query, expected) in [
        ("jenn mull", true),
        ("WEISS müller", true),
        ("ennifer", false),
        ("jennifer nobody", false),
        ("koln 4711 red", true),
        ("davis@example", true),
        ("@x.org", true),
        ("2.5", true),
        // Numbers, however they are written.
        ("+49 30 123", true),
        ("0049 (0)30 / 1234567", true),
        ("030 12345", true),
        ("123 345", true),
        ("34", false),
        ("99999", false),
        ("jennifer 1234567", true),
        // Not what a machine gave.
        ("hard", false),
        ("work", false),
    ] {
        assert_eq!(Query::parse(query).unwrap().matches(Packed(&octets)), expected, "{query}");
    }
    assert!(Query::parse(" \t").is_none() && Query::parse("").is_none());
    assert!(Query::parse(&"ß ".repeat(10_000)).is_some());
}

fn a_leaf() -> impl Strategy<Value = Leaf> {
    let path = prop_oneof![
        (0..u8::try_from(PATHS.len()).unwrap()).prop_map(Path::Known),
        "[abA]{1,2}".prop_map(|key| Path::Custom(key.into()))
    ];
    let value = prop_oneof![
        "[abÄß ]{1,4}|\\PC{1,6}".prop_map(Scalar::Text),
        any::<bool>().prop_map(Scalar::Bool),
        (-3i64..3).prop_map(Scalar::Time),
        "-?[0-9]{1,3}(\\.[0-9]{1,2})?(e-?[12])?".prop_map(Scalar::Number),
        any::<[u8; 16]>().prop_map(|id| Scalar::Account(AccountId::from_bytes(id))),
        any::<u128>().prop_map(|id| Scalar::Contact(ContactId::new(Uuid::from_u128(id)))),
        any::<u128>().prop_map(|id| Scalar::Book(CollectionId::new(Uuid::from_u128(id)))),
    ];
    (path, prop_oneof![0u16..3, 29u16..34, any::<u16>()], value).prop_map(|(path, index, value)| Leaf {
        path,
        index,
        value,
    })
}

/// One comparison.
fn a_term() -> impl Strategy<Value = String> {
    let text = "(title|emails|emails\\.value|emails\\.types|name\\.given|custom\\.a|custom\\.ab) (eq|ne|co|sw|ew|gt|ge|lt|le) \"[abäß]{0,2}\"";
    let flag = "(flags\\.blocked|has_photo|custom\\.b) (eq|ne) (true|false|null)";
    let number = "(emails\\.pref|custom\\.a) (eq|ne|gt|ge|lt|le) -?[1-9]{1,2}(\\.[0-9])?";
    let time = "(created_at|portal\\.from) (eq|gt|le) \"1970-01-01(T00:00:00Z)?\"";
    let present = "(name|emails|addresses|flags|custom|title|emails\\.status) pr";
    let within = "(emails|urls)\\[(not \\()?types (eq|ne|co) \"[ab]\"";
    prop_oneof![
        4 => text,
        1 => flag,
        1 => number,
        1 => time,
        1 => present,
        2 => (within, "(and|or) value (sw|ne|pr) ?").prop_map(|(within, more)| {
            let close = if within.contains('(') { ")" } else { "" };
            let value = if more.trim_end().ends_with("pr") { "" } else { " \"a\"" };
            format!("{within}{close} {}{value}]", more.trim_end())
        }),
    ]
}

fn a_filter() -> impl Strategy<Value = String> {
    a_term().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or {b}")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn every_text_is_read_or_refused(text in "\\PC{0,60}|([a-z]{2,5}|[ ().\\[\\]\"\\\\]|not|and|or|emails|title|eq|pr|-?[0-9.eE]{1,4}){0,30}") {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(error.position <= text.chars().count() && !error.what.is_empty());
        }
        if let Some(query) = Query::parse(&text) {
            query.matches(Packed(&packed(&jennifer())));
        }
    }

    #[test]
    fn both_forms_are_judged_alike(filter in a_filter(), leaves in prop::collection::vec(a_leaf(), 0..40)) {
        judge(&filter, &leaves);
    }

    #[test]
    fn not_and_ne_turn_the_answer_around(filter in a_filter(), leaves in prop::collection::vec(a_leaf(), 0..40)) {
        prop_assert_ne!(judge(&filter, &leaves), judge(&format!("not ({filter})"), &leaves));
        for path in ["title", "emails", "emails.types", "custom.a"] {
            let [eq, ne] = ["eq", "ne"].map(|op| judge(&format!("{path} {op} \"a\""), &leaves));
            prop_assert_ne!(eq, ne);
            prop_assert_eq!(judge(&format!("{path} eq null"), &leaves), !judge(&format!("{path} pr"), &leaves));
        }
    }

    #[test]
    fn order_is_whole(leaf in a_leaf(), number in -20i32..20) {
        let mut leaf = leaf;
        leaf.path = Path::parse("custom.a").unwrap();
        let [less, equal, greater, at_most, at_least] = ["lt", "eq", "gt", "le", "ge"]
            .map(|op| judge(&format!("custom.a {op} {number}"), std::slice::from_ref(&leaf)));
        prop_assert!(u8::from(less) + u8::from(equal) + u8::from(greater) <= 1);
        prop_assert_eq!((at_most, at_least), (less || equal, greater || equal));
        if let Scalar::Number(value) = &leaf.value {
            let value: f64 = value.parse().unwrap();
            let number = f64::from(number);
            prop_assert_eq!((less, equal, greater), (value < number, value == number, value > number));
        }
    }

    #[test]
    fn what_is_packed_comes_out(leaves in prop::collection::vec(a_leaf(), 0..60)) {
        let octets = packed(&leaves);
        for leaf in &leaves {
            let mut found = 0;
            let wanted = leaves.iter().filter(|other| Span::of(&leaf.path).holds(&other.path)).count();
            Packed(&octets).walk(&Span::of(&leaf.path), &mut |_, _| { found += 1; false });
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn damaged_octets_are_no_more_than_wrong(octets in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), octet: u8) {
        let mut packed = packed(&jennifer());
        *at.get_mut(&mut packed) = octet;
        for octets in [&octets, &packed] {
            let filter = Filter::parse("emails[value co \"a\" or types ne \"b\"] or custom.a eq 1 or custom pr or name pr").unwrap();
            filter.matches(&Packed(octets));
            Query::parse("a 12345").unwrap().matches(Packed(octets));
        }
    }
}
