//! That folding keeps every match of every collation, that no card which answers a filter is left
//! out, and what people find by what they type.

use proptest::prelude::*;

use super::*;
use crate::domain::collation::Collation;
use crate::domain::filter::{
    Filter, MatchKind, ParameterCondition, ParameterFilter, PropertyCondition, PropertyFilter, Test,
    TextMatch,
};
use crate::domain::phone::Region;

fn is_in(needle: &str, text: &str) -> bool {
    memchr::memmem::find(&fold(text), &fold(needle)).is_some()
}

fn folded(text: &str) -> String {
    String::from_utf8(fold(text)).unwrap()
}

fn entry_of(card: &str) -> Vec<u8> {
    entry_in(card, None)
}

fn entry_in(card: &str, region: Option<Region>) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(entry(card.as_bytes(), usize::MAX, region, &mut out));
    out
}

#[test]
fn folding_takes_case_and_accents_away() {
    assert_eq!(folded("Jörg Müller"), "jorg muller");
    assert_eq!(folded("Jo\u{308}rg"), "jorg");
    assert_eq!(folded("Straße STRASSE"), "strasse strasse");
    assert_eq!(folded("Łukasz Ørsted Đorđe Æsir ﬁ"), "lukasz orsted dorde aesir fi");
    assert_eq!(folded("Ωμέγας ΩΜΈΓΑΣ"), "ωμεγασ ωμεγασ");
    assert_eq!(folded("İıIi"), "iiii");
    assert_eq!(folded("ＡＢ①"), "ab1");
    assert_eq!(folded("Жук"), "жук");
}

/// Characters that fold to several, to marks, to others, or to nothing.
const ODD: &str = "[aAbBäÄéßẞſﬁﬃıİiIǆǅÅÅøΣσςᾳᾼΐ가각が\u{30a}\u{308}\u{301}①５;, \n]";

fn odd(most: usize) -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::collection::vec(ODD, 0..most).prop_map(|parts| parts.concat()), 1 => "\\PC{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What a filter finds, in whatever collation, the folded text has too.
    #[test]
    fn folding_keeps_every_match(before in odd(4), text in odd(5), after in odd(4), which in 0usize..3, case in 0usize..4) {
        use unicode_normalization::UnicodeNormalization;
        let needle = match case {
            0 => text.clone(),
            1 => text.to_uppercase(),
            2 => text.to_lowercase(),
            _ => text.nfkd().collect(),
        };
        let collation = Collation::ALL[which];
        let text = format!("{before}{text}{after}");
        if collation.fold(&text).contains(&*collation.fold(&needle)) {
            prop_assert!(is_in(&needle, &text), "{:?} in {:?}", needle, text);
        }
    }

    #[test]
    fn folding_is_character_by_character(one in odd(6), other in odd(6)) {
        prop_assert_eq!(folded(&format!("{one}{other}")), folded(&one) + &folded(&other));
        prop_assert!(fold(&one).iter().all(|octet| *octet < FIRST && *octet != NOTHING));
    }
}

fn tests() -> impl Strategy<Value = Test> {
    prop::sample::select(vec![Test::AnyOf, Test::AllOf])
}

fn text_matches() -> impl Strategy<Value = TextMatch> {
    let kinds = vec![MatchKind::Equals, MatchKind::Contains, MatchKind::StartsWith, MatchKind::EndsWith];
    let text = prop_oneof![3 => "[aAbäé12;, ]{1,2}", 1 => "[aAbäßﬁé;,\n]{0,3}", 1 => "(anna|example|Müller|ß|\u{301}|030/1|TEL:|004|/12|ext=1|30)"];
    (text, 0usize..3, prop::sample::select(kinds), prop::bool::weighted(0.15)).prop_map(
        |(text, which, kind, negate)| TextMatch { text, collation: Collation::ALL[which], kind, negate },
    )
}

fn parameter_filters() -> impl Strategy<Value = ParameterFilter> {
    let condition = prop_oneof![
        Just(ParameterCondition::NotDefined),
        Just(ParameterCondition::Defined),
        text_matches().prop_map(ParameterCondition::Matches),
    ];
    ("TYPE|X|ENCODING", condition).prop_map(|(name, condition)| ParameterFilter { name, condition })
}

/// Filters of every kind.
pub(crate) fn filters() -> impl Strategy<Value = Filter> {
    let condition = prop_oneof![
        1 => Just(PropertyCondition::NotDefined),
        9 => (tests(), prop::collection::vec(text_matches(), 0..4), prop::collection::vec(parameter_filters(), 0..2))
            .prop_map(|(test, texts, parameters)| PropertyCondition::Defined { test, texts, parameters }),
    ];
    let name = "(i\\.)?(FN|fn|N|NICKNAME|EMAIL|tel|ORG|CATEGORIES|NOTE|TITLE|ADR|X-A)";
    let property = (name, condition).prop_map(|(name, condition)| PropertyFilter { name, condition });
    (tests(), prop::collection::vec(property, 0..4))
        .prop_map(|(test, properties)| Filter { test, properties })
}

/// Cards that are hard to read.
pub(crate) fn cards() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        4 => "[aAbBäÄéßﬁ12\\\\;, ]{0,6}",
        2 => "([aA]nna|EXAMPLE|mu\u{308}ller)[;,\\\\n]{0,2}[ab]{0,2}",
        1 => "\\+49 \\(0\\)[0-9]{3} [0-9]{4}",
        1 => "030/12[0-9]{5}|tel:\\+49-30-12[0-9]{5}(;ext=[12])?|0049 30 12[0-9]{5}",
    ];
    let parameters = "(;(TYPE=[ab]|x|X=\"[a:;]\"|BASE64)){0,2}";
    let name = "([ij]\\.)?(FN|N|n|Nickname|EMAIL|TEL|ORG|CATEGORIES|NOTE|TITLE|ADR|X-A|E\r\n MAIL)";
    let fold = prop::sample::select(vec!["", "", "\r\n ", "\n\t"]);
    let line = (name, parameters, value.clone(), fold, value, prop::sample::select(vec!["\r\n", "\n", "\r"]))
        .prop_map(|(name, parameters, one, fold, two, end)| {
            format!("{name}{parameters}:{one}{fold}{two}{end}").into_bytes()
        });
    let odd = prop::sample::select(vec![
        b"FN:J\xF6rg \xFF\xC0\xF5a\r\n".to_vec(),
        b"NOTE:\xC3\r\n \xA4b\r\n".to_vec(),
        b"AGENT:BEGIN:VCARD\r\nFN:anna\r\nEND:VCARD\r\n".to_vec(),
        b"END:VCARD\r\n".to_vec(),
        b"FN;X=\"a:b\r\n".to_vec(),
        b"\r\n".to_vec(),
    ]);
    prop::collection::vec(prop_oneof![8 => line, 1 => odd], 0..8)
        .prop_map(|lines| [b"BEGIN:VCARD\r\n".to_vec(), lines.concat(), b"END:VCARD\r\n".to_vec()].concat())
}

/// Regions, of which some know the numbers of the cards.
fn regions() -> impl Strategy<Value = Option<Region>> {
    prop::sample::select(vec![None, Region::parse("DE"), Region::parse("HU")])
}

fn candidate(filter: &Filter, card: &[u8], most: usize, region: Option<Region>) -> bool {
    let mut octets = vec![Field::Note as u8];
    let whole = entry(card, most, region, &mut octets);
    assert!(octets.len() <= 1 + most);
    !whole || Needles::of(filter).is_none_or(|needles| needles.are_in(&octets))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A card that answers a filter holds what the filter needs.
    #[test]
    fn no_answer_is_left_out(filter in filters(), card in cards(), most in 0usize..200, region in regions()) {
        if filter.compile().matches(&card) {
            prop_assert!(candidate(&filter, &card, 4096, region));
            prop_assert!(candidate(&filter, &card, most, region));
        }
    }

    #[test]
    fn no_fragment_is_left_out(filter in filters(), card in crate::domain::vcard::fragments(), most in 0usize..100) {
        prop_assert!(!filter.compile().matches(&card) || candidate(&filter, &card, most, None));
    }

    /// What is looked for first finds every card that fits, and nothing typed makes it panic.
    #[test]
    fn what_fits_holds_a_needle(text in "[abA1-3+ ]{0,8}|\\PC{0,12}|0[0-9/]{8,10}", card in cards(), region in regions()) {
        for mode in [Mode::Substring, Mode::Prefix, Mode::Word] {
            let Some(terms) = Terms::parse(&text, mode, region) else { continue };
            let octets = entry_in(&String::from_utf8_lossy(&card), region);
            prop_assert!(terms.rank(&octets).is_none() || terms.needles().are_in(&octets));
        }
    }
}

fn text(property: &str, text: &str) -> PropertyFilter {
    let texts = vec![TextMatch {
        text: text.into(),
        collation: Collation::UnicodeCasemap,
        kind: MatchKind::Contains,
        negate: false,
    }];
    let condition = PropertyCondition::Defined { test: Test::AnyOf, texts, parameters: Vec::new() };
    PropertyFilter { name: property.into(), condition }
}

fn needles(test: Test, properties: &[PropertyFilter]) -> Option<Needles> {
    Needles::of(&Filter { test, properties: properties.to_vec() })
}

#[test]
fn filters_tell_what_they_need() {
    let anna = entry_of("BEGIN:VCARD\nFN:Anna\nEMAIL:x@example.org\nEND:VCARD\n");
    let any = needles(Test::AnyOf, &[text("FN", "ANN"), text("EMAIL", "ann")]).unwrap();
    assert_eq!(any.iter().count(), 1, "one text in two fields is looked for once");
    assert!(any.are_in(&anna));
    assert!(!needles(Test::AnyOf, &[text("EMAIL", "ann")]).unwrap().are_in(&anna), "fields are told apart");
    assert!(needles(Test::AnyOf, &[text("FN", "x"), text("URL", "x")]).is_none(), "a field that is not kept");
    let all = needles(Test::AllOf, &[text("FN", "n"), text("URL", "x"), text("EMAIL", "none")]).unwrap();
    assert!(!all.are_in(&anna), "the longest text is the rarest");
    assert!(needles(Test::AnyOf, &[text("FN", "\u{301}")]).is_none(), "a mark alone is nowhere");
    assert!(needles(Test::AllOf, &[]).is_none());
    let many: Vec<_> = (0..9).map(|i| text("FN", &format!("x{i}"))).collect();
    assert!(needles(Test::AnyOf, &many).is_none());
}

fn rank(typed: &str, mode: Mode, card: &str) -> Option<u32> {
    rank_in(None, typed, mode, card)
}

fn rank_in(region: Option<Region>, typed: &str, mode: Mode, card: &str) -> Option<u32> {
    let card = format!("BEGIN:VCARD\nVERSION:3.0\n{card}END:VCARD\n");
    Terms::parse(typed, mode, region)?.rank(&entry_in(&card, region))
}

#[test]
fn all_words_are_found_wherever_they_are() {
    let card = "FN:Jörg Müller-Lüdenscheidt\nORG:Straßenbau\\, Köln;Leitung\nEMAIL:jm@example.org\nNOTE:spielt Go\\nund Schach\n";
    for typed in ["jorg", "MULLER", "strass koln", "example jörg", "denscheidt, (jorg)", "schach spielt"] {
        assert!(rank(typed, Mode::Substring, card).is_some(), "{typed}");
    }
    assert_eq!(rank("jorg anna", Mode::Substring, card), None);
    assert!(rank("lud", Mode::Prefix, card).is_some() && rank("denscheidt", Mode::Prefix, card).is_none());
    assert!(rank("und", Mode::Word, card).is_some() && rank("schac", Mode::Word, card).is_none());
    assert_eq!(rank(" \u{301} ", Mode::Substring, card), None);
    assert!(Terms::parse(&"a ".repeat(17), Mode::Substring, None).is_none());
}

#[test]
fn names_come_first() {
    let fit = |card: &str| rank("ann", Mode::Substring, card).unwrap();
    let order =
        ["FN:x Ann\n", "N:Annabel;x;;;\n", "EMAIL:ann@x\n", "NICKNAME:Joann\n", "NOTE:joann\n"].map(fit);
    assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
}

#[test]
fn numbers_are_found_by_their_last_digits() {
    let found =
        |typed: &str, number: &str| rank(typed, Mode::Substring, &format!("TEL;X=1:{number}\n")).is_some();
    for number in [
        "+49 (0)170 / 123-4567",
        "0049 170 1234567",
        "+491701234567",
        "0170 1234567",
        "tel:+49-170-1234567;ext=9",
    ] {
        for typed in [
            "34567",
            "0170 1234567",
            "+49 170 1234567",
            "0049 (0)170 1234567",
            "170/1234567",
            "(0170) 123.4567",
        ] {
            assert!(found(typed, number), "{typed} in {number}");
        }
        assert!(!found("+49 171 1234567", number) && !found("99999", number));
    }
    assert!(found("001 212 555 0123", "(212) 555-0123") && found("+1 212 555 0123", "212.555.0123 ext. 4"));
    let inside = rank("550123", Mode::Prefix, "TEL:+1 212 550 1234\n");
    assert!(inside.is_none(), "a number is found by its end");
    assert!(rank("anna 34567", Mode::Prefix, "FN:Anna\nTEL:+49 170 1234567\n").is_some());
    assert!(rank("berta 34567", Mode::Prefix, "FN:Anna\nTEL:+49 170 1234567\n").is_none());
    assert!(rank("34567", Mode::Word, "NOTE:12 34 567\n").is_none(), "a note is no number");
}

/// Whether a number in a card is found by what was typed, where neither stands in a text otherwise.
fn found_in(region: &str, typed: &str, number: &str) -> bool {
    rank_in(Region::parse(region), typed, Mode::Word, &format!("TEL:{number}\n")).is_some()
}

#[test]
fn however_a_number_is_written_it_is_found() {
    let written = [
        "+49 30 1234567",
        "0049301234567",
        "030/1234567",
        "tel:+49-30-1234567",
        "+49 (0)30 1234567",
        "(030) 12 34 567",
        "tel:+49-30-1234567;ext=12",
        "030 1234567#12",
        "030 1234567\\,\\,12",
        "030 1234567 x12",
    ];
    for number in written {
        let typed = number.replace('\\', "");
        let numeric = !typed.contains([',', '#', 'x']) || typed.starts_with("tel:");
        for other in written {
            assert!(!numeric || found_in("DE", &typed, other), "{typed} in {other}");
        }
        for tail in ["34567", "1234567", "301234567", "0301234567", "49301234567"] {
            assert!(found_in("DE", tail, number), "{tail} in {number}");
        }
        for other in ["+49 31 1234567", "+43 30 1234567 0", "030/1234568"] {
            assert!(!found_in("DE", other, number), "{other} in {number}");
        }
    }
}

#[test]
fn trunk_and_dialling_prefixes_are_those_of_the_region() {
    for (region, national, international) in [
        ("LT", "8 612 34567", "+370 612 34567"),
        ("RU", "8 (495) 123-45-67", "+7 495 123-45-67"),
        ("AR", "011 15 2345-6789", "+54 9 11 2345-6789"),
        ("US", "011 49 30 1234567", "+49 30 1234567"),
        ("AU", "0011 49 30 1234567", "+49 30 1234567"),
    ] {
        assert!(found_in(region, national, international), "{national} for {international}");
        assert!(found_in(region, international, national), "{international} for {national}");
        assert!(found_in(region, national, national));
        assert!(rank(national, Mode::Word, &format!("TEL:{international}\n")).is_none());
    }
    // What was typed of a number as it is written is a tail of it still.
    assert!(found_in("AR", "1523456789", "011 15 2345-6789"));
    assert!(
        found_in("IT", "+39 06 1234 5678", "06 1234 5678")
            && found_in("IT", "06 1234 5678", "+39 (0)6 1234 5678")
    );
    assert!(found_in("DE", "77777", "0 77777"), "no number of the plan, and found all the same");
}

#[test]
fn only_some_numbers_of_a_card_are_looked_up() {
    let tel = "TEL:8 (495) 123-45-67\n";
    let many = |others: usize| format!("{}{tel}", "TEL:1\n".repeat(others));
    let found = |card: &str| rank_in(Region::parse("RU"), "7 495 123-45-67", Mode::Word, card).is_some();
    assert!(found(&many(31)) && !found(&many(32)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever a region makes of a number, a filter finds it by any part of it as it is written.
    #[test]
    fn a_filter_finds_numbers_as_they_are_written(number in "(030/|0049 30 |tel:\\+49-30-|0)[1-9][0-9]{5,8}(;ext=1)?", from in 0usize..16, many in 1usize..8, region in regions()) {
        let card = format!("BEGIN:VCARD\r\nTEL:{number}\r\nEND:VCARD\r\n");
        let part: String = number.chars().skip(from).take(many).collect();
        let filter = Filter { test: Test::AllOf, properties: vec![text("TEL", &part)] };
        prop_assert!(filter.compile().matches(card.as_bytes()));
        prop_assert!(candidate(&filter, card.as_bytes(), 4096, region));
    }

    /// Whatever a region makes of a number, the tails that find it without one find it still.
    #[test]
    fn a_region_loses_no_number(number in "[0+]{0,2}[0-9]{1,4}[ /-]?[0-9]{3,12}|(06|8|0|011|00)[0-9]{8,12}|011 ?15[2-7][0-9]{3}-[0-9]{4}", from in 0usize..12, at in 0usize..4) {
        let region = Region::parse(["DE", "HU", "AR", "US"][at]);
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let typed = &digits[from.min(digits.len())..];
        let card = format!("TEL:{number}\n");
        prop_assert!(rank(typed, Mode::Word, &card).is_none() || rank_in(region, typed, Mode::Word, &card).is_some());
        prop_assert!(rank(&number, Mode::Word, &card).is_none() || rank_in(region, &number, Mode::Word, &card).is_some());
    }
}

#[test]
fn nothing_personal_shows() {
    let terms = Terms::parse("anna", Mode::Word, None).unwrap();
    assert_eq!(format!("{terms:?} {:?}", terms.needles()), "Terms(…) Needles(…)");
}
