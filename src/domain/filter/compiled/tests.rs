//! What filters must answer: a test an id of the CARD group, and the matrix of rcmcarddav.

use proptest::prelude::*;

use super::super::ParameterFilter;
use super::*;
use crate::domain::collation::Collation;
use crate::domain::vcard::lines::lines;

fn card(lines: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{lines}END:VCARD\r\n")
}

fn contains(text: &str) -> TextMatch {
    TextMatch {
        text: text.into(),
        collation: Collation::UnicodeCasemap,
        kind: MatchKind::Contains,
        negate: false,
    }
}

fn kind(kind: MatchKind, text: &str) -> TextMatch {
    TextMatch { kind, ..contains(text) }
}

fn not(text: TextMatch) -> TextMatch {
    TextMatch { negate: true, ..text }
}

fn property(name: &str, condition: PropertyCondition) -> PropertyFilter {
    PropertyFilter { name: name.into(), condition }
}

fn defined(test: Test, texts: &[TextMatch], parameters: &[ParameterFilter]) -> PropertyCondition {
    PropertyCondition::Defined { test, texts: texts.to_vec(), parameters: parameters.to_vec() }
}

fn exists() -> PropertyCondition {
    defined(Test::AnyOf, &[], &[])
}

fn text(text: TextMatch) -> PropertyCondition {
    defined(Test::AnyOf, &[text], &[])
}

fn parameter(name: &str, condition: ParameterCondition) -> PropertyCondition {
    defined(Test::AnyOf, &[], &[ParameterFilter { name: name.into(), condition }])
}

fn asks(name: &str, condition: PropertyCondition, card: &str) -> bool {
    all(Test::AnyOf, &[property(name, condition)], card)
}

fn all(test: Test, properties: &[PropertyFilter], card: &str) -> bool {
    Filter { test, properties: properties.to_vec() }.compile().matches(card.as_bytes())
}

/// CARD-37.
#[test]
fn an_empty_filter_matches_every_card() {
    for test in [Test::AnyOf, Test::AllOf] {
        assert!(all(test, &[], &card("FN:x\r\n")));
        assert!(all(test, &[], ""));
    }
    let (tel, mail) = (property("TEL", exists()), property("EMAIL", exists()));
    assert!(all(Test::AnyOf, &[tel.clone(), mail.clone()], &card("EMAIL:x\r\n")));
    assert!(!all(Test::AllOf, &[tel.clone(), mail.clone()], &card("EMAIL:x\r\n")));
    assert!(all(Test::AllOf, &[tel, mail], &card("EMAIL:x\r\nTEL:1\r\n")));
}

/// CARD-39, CARD-40, CARD-41.
#[test]
fn existence_groups_and_case() {
    let grouped = card("item1.Email:foo@ex.com\r\n");
    let missing = PropertyCondition::NotDefined;
    assert!(asks("email", exists(), &grouped) && !asks("EMAIL", missing.clone(), &grouped));
    assert!(asks("ITEM1.EMAIL", exists(), &grouped) && !asks("item2.EMAIL", exists(), &grouped));
    assert!(asks("item2.EMAIL", missing.clone(), &grouped) && asks("TEL", missing.clone(), &grouped));
    assert!(!asks("item1.EMAIL", exists(), &card("EMAIL:x\r\n")));
    assert!(asks("X-ODD_name/2", exists(), &card("X-ODD_NAME/2:1\r\n")), "CARD-47");
    assert!(!asks("EMAIL", exists(), &card("AGENT:\r\nBEGIN:VCARD\r\nEMAIL:x\r\nEND:VCARD\r\n")));
    assert!(asks("EMAIL", exists(), &card("EM\r\n AIL:x\r\n")), "a fold may stand in the name");
}

/// B9 #110, VC-9.
#[test]
fn every_card_has_a_formatted_name() {
    assert!(asks("fn", exists(), &card("TEL:1\r\n")));
    assert!(!asks("FN", PropertyCondition::NotDefined, &card("TEL:1\r\n")));
    assert!(!asks("item1.FN", exists(), &card("FN:x\r\n")));
    assert!(!asks("FN", text(not(contains("x"))), &card("TEL:1\r\n")), "CARD-45");
}

/// CARD-38, CARD-42: all conditions on one instance, whichever it is.
#[test]
fn all_of_means_one_instance() {
    let two = card("EMAIL:doe@big.corp\r\nEMAIL:johndoe@example.com\r\n");
    let conditions =
        |test| defined(test, &[kind(MatchKind::StartsWith, "doe"), kind(MatchKind::EndsWith, ".com")], &[]);
    assert!(!asks("EMAIL", conditions(Test::AllOf), &two));
    assert!(asks("EMAIL", conditions(Test::AnyOf), &two));
    let same = defined(Test::AllOf, &[contains("doe"), kind(MatchKind::EndsWith, ".com")], &[]);
    assert!(asks("EMAIL", same, &two));
}

/// CARD-44, CARD-24.
#[test]
fn match_types_and_collations() {
    let mail = card("EMAIL:JohnDoe@Example.com\r\n");
    for (match_kind, yes, no) in [
        (MatchKind::Equals, "johndoe@example.COM", "johndoe"),
        (MatchKind::Contains, "DOE@", "doe.ex"),
        (MatchKind::StartsWith, "JOHN", "doe"),
        (MatchKind::EndsWith, ".COM", "example"),
    ] {
        assert!(asks("EMAIL", text(kind(match_kind, yes)), &mail), "{match_kind:?}");
        assert!(!asks("EMAIL", text(kind(match_kind, no)), &mail), "{match_kind:?}");
    }
    let octet = TextMatch { collation: Collation::Octet, ..contains("doe") };
    assert!(!asks("EMAIL", text(octet), &mail));
    assert!(asks("FN", text(contains("JÖRG")), &card("FN:Jo\u{308}rg\r\n")));
}

/// CARD-46: unfolded, unescaped, whole and in pieces.
#[test]
fn values_are_read_before_they_are_matched() {
    assert!(asks("NOTE", text(contains("one, two\nthree")), &card("NOTE:one\\, t\r\n wo\\nthree\r\n")));
    assert!(asks("FN", text(contains("jörg")), "BEGIN:VCARD\nFN:J\u{f6}rg\nEND:VCARD\n"));
    let doe = card(
        "N:Doe;Jane\\;x;Mary,Ann;;\r\nADR:;;1 Main St\\, 2;Town;;;\r\nORG:Acme\\; Inc;Sales\r\nCATEGORIES:Work, Family\r\n",
    );
    for (name, value) in
        [("N", "doe"), ("N", "jane;x"), ("N", "mary,ann"), ("ADR", "1 main st, 2"), ("ADR", "town")]
    {
        assert!(asks(name, text(kind(MatchKind::Equals, value)), &doe), "{name} {value}");
    }
    assert!(asks("N", text(contains("doe;jane")), &doe));
    assert!(asks("ORG", text(kind(MatchKind::StartsWith, "sales")), &doe));
    assert!(asks("CATEGORIES", text(kind(MatchKind::Equals, "family")), &doe));
    assert!(!asks("CATEGORIES", text(not(kind(MatchKind::Equals, "family"))), &doe), "RFC 6352 §10.5.4");
    assert!(!asks("N", text(not(kind(MatchKind::Equals, "doe"))), &doe));
}

/// CARD-45.
#[test]
fn negation_asks_each_instance_and_never_a_missing_one() {
    let two = card("EMAIL:doe@big.corp\r\nEMAIL:johndoe@example.com\r\n");
    assert!(asks("EMAIL", text(not(contains("@example.com"))), &two), "some instance does not match");
    assert!(!asks("EMAIL", text(not(contains("doe"))), &two));
    assert!(!asks("EMAIL", text(not(contains("doe"))), &card("TEL:1\r\n")));
}

/// CARD-43, VC-15, VC-16.
#[test]
fn parameters_are_read_value_by_value() {
    let is = |value: &str| parameter("type", ParameterCondition::Matches(kind(MatchKind::Equals, value)));
    for line in
        ["TYPE=home,CELL", "TYPE=\"home,CELL\"", "TYPE=home;type=CELL", "HOME;cell", "X=\"a;b:c\";TYPE=cell"]
    {
        assert!(asks("TEL", is("cell"), &card(&format!("TEL;{line}:1\r\n"))), "{line}");
    }
    assert!(!asks("TEL", is("home,cell"), &card("TEL;TYPE=home,cell:home\r\n")));
    assert!(!asks("TEL", is("home"), &card("TEL;TYPE=cell:home\r\n")), "the value is not a parameter");
    assert!(!asks("PHOTO", is("BASE64"), &card("PHOTO;BASE64;JPEG:x\r\n")));
    let encoding = parameter("ENCODING", ParameterCondition::Matches(contains("base64")));
    assert!(asks("PHOTO", encoding, &card("PHOTO;JPEG;BASE64:x\r\n")));
    let label = parameter("LABEL", ParameterCondition::Matches(contains("\"a\"\nb^")));
    assert!(asks("ADR", label, &card("ADR;LABEL=\"^'A^'^nB^^\":x\r\n")));
    assert!(!asks(
        "TEL",
        parameter("TYPE", ParameterCondition::Defined),
        &card("TEL;PREF=1:1\r\nEMAIL;TYPE=a:x\r\n")
    ));
    assert!(asks("TEL", parameter("pref", ParameterCondition::Defined), &card("TEL;PREF=1:1\r\n")));
}

/// The samples and expectations of rcmcarddav's interoperability tests (B8 #96): each row is a bug
/// that some server has.
#[test]
fn the_rcmcarddav_matrix() {
    let cards = [
        card(
            "EMAIL;TYPE=WORK:doe@big.corp\r\nEMAIL;TYPE=HOME:johndoe@example.com\r\nX-CUSTOMPROP;X-CUSTOMPARAM=WORK:foobar\r\n",
        ),
        card(
            "EMAIL:maxmu@abcd.com\r\nX-CUSTOMPROP;X-CUSTOMPARAM=HOME,WORK;X-SPACEPARAM=\"HELLO, WORLD\":foobar\r\n",
        ),
        card("TEL;TYPE=HOME:12345\r\nTEL:555\r\n"),
        card(
            "item1.EMAIL:foo@ex.com\r\nitem1.X-ABLABEL:CustomLabel\r\nIMPP;X-SERVICE-TYPE=Jabber;TYPE=HOME:xmpp:foo@example.com\r\n",
        ),
    ];
    let found = |name: &str, condition: PropertyCondition| -> Vec<usize> {
        (0..cards.len()).filter(|&i| asks(name, condition.clone(), &cards[i])).collect()
    };
    let matches = |name: &str, text: TextMatch| parameter(name, ParameterCondition::Matches(text));
    let missing = || PropertyCondition::NotDefined;
    assert_eq!(found("email", missing()), [2]);
    assert_eq!(found("email", exists()), [0, 1, 3]);
    assert_eq!(found("EMAIL", text(kind(MatchKind::StartsWith, "MAX"))), [1]);
    assert_eq!(found("EMAIL", text(not(kind(MatchKind::EndsWith, "@abcd.com")))), [0, 3]);
    assert_eq!(found("EMAIL", text(not(contains("@example.com")))), [0, 1, 3]);
    assert_eq!(found("EMAIL", parameter("type", ParameterCondition::NotDefined)), [1, 3]);
    assert_eq!(found("EMAIL", parameter("type", ParameterCondition::Defined)), [0]);
    assert!(found("TEL", parameter("TYPE", ParameterCondition::NotDefined)).is_empty(), "one TEL has a type");
    assert_eq!(found("EMAIL", matches("TYPE", kind(MatchKind::Equals, "hoME"))), [0]);
    assert_eq!(found("EMAIL", matches("TYPE", kind(MatchKind::EndsWith, "ork"))), [0]);
    assert_eq!(found("IMPP", matches("X-SERVICE-TYPE", not(contains("Skype")))), [3]);
    assert!(found("IMPP", matches("X-SERVICE-TYPE", not(contains("Jabber")))).is_empty());
    assert_eq!(found("EMAIL", matches("TYPE", not(contains("WORK")))), [0]);
    assert!(found("TEL", matches("TYPE", not(contains("HOME")))).is_empty());
    assert_eq!(found("X-CUSTOMPROP", matches("X-CUSTOMPARAM", contains("WORK"))), [0, 1]);
    assert_eq!(found("X-CUSTOMPROP", matches("X-CUSTOMPARAM", kind(MatchKind::Equals, "HOME"))), [1]);
    assert_eq!(found("X-CUSTOMPROP", matches("X-SPACEPARAM", contains("lo, W"))), [1]);
    assert_eq!(found("item1.EMAIL", missing()), [0, 1, 2]);
    assert_eq!(found("item1.EMAIL", text(contains("@ex"))), [3]);
}

/// A filter of 10,000 conditions is compiled and asked in one pass.
#[test]
fn a_huge_filter_stays_linear() {
    let properties: Vec<_> = (0..10_000).map(|i| property(&format!("X-{i}"), text(contains("x")))).collect();
    let compiled = Filter { test: Test::AllOf, properties }.compile();
    let long = card(&"X-1:x\r\nNOTE:y\r\n".repeat(5_000));
    assert!(!compiled.matches(long.as_bytes()));
}

/// A hundred conditions on a million values are a hundred searches, not a hundred million.
#[test]
fn many_values_stay_linear() {
    let many = (0..100).map(|i| kind(MatchKind::Equals, &format!("z{i}")));
    let types = many
        .clone()
        .map(|text| ParameterFilter { name: "TYPE".into(), condition: ParameterCondition::Matches(text) });
    let types = defined(Test::AnyOf, &[], &types.collect::<Vec<_>>());
    let names = defined(Test::AnyOf, &many.collect::<Vec<_>>(), &[]);
    let card = card(&format!("TEL{}:1\r\nN:{}z100\r\n", ";TYPE=a".repeat(20_000), "\u{e9};".repeat(50_000)));
    assert!(!all(Test::AnyOf, &[property("TEL", types), property("N", names)], &card));
    assert!(asks("N", text(kind(MatchKind::Equals, "Z100")), &card));
    assert!(asks("TEL", parameter("TYPE", ParameterCondition::Matches(kind(MatchKind::Equals, "A"))), &card));
}

/// What the RFC says, said plainly: fold everything, look at everything.
fn naive(filter: &Filter, card: &[u8]) -> bool {
    let unfolded: Vec<_> = lines(card).collect();
    let views: Vec<_> = unfolded.iter().filter_map(|line| LineView::split(line)).collect();
    let finds = |ask: &TextMatch, text: &str| {
        let (text, wanted) = (ask.collation.fold(text), ask.collation.fold(&ask.text));
        match ask.kind {
            MatchKind::Equals => text == wanted,
            MatchKind::Contains => text.contains(&*wanted),
            MatchKind::StartsWith => text.starts_with(&*wanted),
            MatchKind::EndsWith => text.ends_with(&*wanted),
        }
    };
    let answer = |property: &PropertyFilter| {
        let name =
            property.name.rsplit_once('.').map_or((None, property.name.as_str()), |(g, n)| (Some(g), n));
        let instances: Vec<_> = views
            .iter()
            .filter(|view| view.is(name.1))
            .filter(|view| {
                name.0
                    .is_none_or(|g| view.group.is_some_and(|other| g.as_bytes().eq_ignore_ascii_case(other)))
            })
            .collect();
        let always = name.0.is_none() && name.1.eq_ignore_ascii_case("FN");
        match &property.condition {
            PropertyCondition::NotDefined => instances.is_empty() && !always,
            PropertyCondition::Defined { texts, .. } if texts.is_empty() => always || !instances.is_empty(),
            PropertyCondition::Defined { test, texts, .. } => instances.iter().any(|view| {
                let value = String::from_utf8_lossy(view.value);
                let mut own = vec![text::unescape(&value).into_owned()];
                if ["N", "ADR", "ORG"].iter().any(|n| view.is(n)) {
                    own.extend(text::split(&value, ';').map(|piece| text::unescape(piece).trim().to_owned()));
                }
                let holds = |ask: &TextMatch| own.iter().any(|text| finds(ask, text)) != ask.negate;
                match test {
                    Test::AnyOf => texts.iter().any(holds),
                    Test::AllOf => texts.iter().all(holds),
                }
            }),
        }
    };
    match filter.test {
        _ if filter.properties.is_empty() => true,
        Test::AnyOf => filter.properties.iter().any(answer),
        Test::AllOf => filter.properties.iter().all(answer),
    }
}

fn tests() -> impl Strategy<Value = Test> {
    prop::sample::select(vec![Test::AnyOf, Test::AllOf])
}

fn text_matches() -> impl Strategy<Value = TextMatch> {
    let kinds = vec![MatchKind::Equals, MatchKind::Contains, MatchKind::StartsWith, MatchKind::EndsWith];
    ("[abAé;,]{0,2}", 0usize..3, prop::sample::select(kinds), any::<bool>()).prop_map(
        |(text, which, kind, negate)| TextMatch { text, collation: Collation::ALL[which], kind, negate },
    )
}

fn filters() -> impl Strategy<Value = Filter> {
    let condition = prop_oneof![
        1 => Just(PropertyCondition::NotDefined),
        4 => (tests(), prop::collection::vec(text_matches(), 0..3))
            .prop_map(|(test, texts)| PropertyCondition::Defined { test, texts, parameters: Vec::new() }),
    ];
    let property =
        ("(i\\.)?(FN|N|tel|X)", condition).prop_map(|(name, condition)| PropertyFilter { name, condition });
    (tests(), prop::collection::vec(property, 0..4))
        .prop_map(|(test, properties)| Filter { test, properties })
}

proptest! {
    #[test]
    fn the_fast_way_is_the_plain_way(filter in filters(), body in prop::collection::vec("([ij]\\.)?(FN|n|TEL|X|NOTE)(;TYPE=a)?:[abBé\\\\;, ]{0,6}(\r\n [aB;]{0,3})?", 0..8)) {
        let card = card(&body.iter().map(|line| format!("{line}\r\n")).collect::<String>());
        let expected = naive(&filter, card.as_bytes());
        prop_assert_eq!(filter.compile().matches(card.as_bytes()), expected);
        let long = Compiled { long: 0, ..filter.compile() };
        prop_assert_eq!(long.matches(card.as_bytes()), expected);
    }

    #[test]
    fn long_parameters_answer_as_short_ones(
        asked in text_matches(),
        name in "TYPE|x|ENCODING",
        body in prop::collection::vec("TEL(;(TYPE=|x=|)[abé\",]{0,4}){0,3}:1", 0..4),
    ) {
        let card = card(&body.iter().map(|line| format!("{line}\r\n")).collect::<String>());
        let condition = parameter(&name, ParameterCondition::Matches(asked));
        let filter = Filter { test: Test::AnyOf, properties: vec![property("TEL", condition)] };
        let long = Compiled { long: 0, ..filter.compile() };
        prop_assert_eq!(long.matches(card.as_bytes()), filter.compile().matches(card.as_bytes()));
    }

    #[test]
    fn no_card_and_no_filter_panics(filter in filters(), card in crate::domain::vcard::fragments(), name in ".{0,12}") {
        let mut filter = filter;
        let absent = ParameterFilter { name: name.clone(), condition: ParameterCondition::NotDefined };
        filter.properties.push(property(&name, defined(Test::AnyOf, &[contains(&name)], &[absent])));
        filter.compile().matches(&card);
    }
}
