//! That an edit says what it should and touches nothing else, in both versions, and that cards
//! made of fields say them.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::{Email, MailState, MarkAs, Marks, Phone, PostalAddress, Url, mark, unmarked};
use super::*;
use crate::domain::vcard::lines::lines;

const CARDS: [&[u8]; 13] = [
    include_bytes!("../../convert/corpus/apple-company-3.vcf"),
    include_bytes!("../../convert/corpus/apple-group-3.vcf"),
    include_bytes!("../../convert/corpus/apple-person-3.vcf"),
    include_bytes!("../../convert/corpus/davx5-4.vcf"),
    include_bytes!("../../convert/corpus/emclient-4.vcf"),
    include_bytes!("../../convert/corpus/evolution-3.vcf"),
    include_bytes!("../../convert/corpus/google-3.vcf"),
    include_bytes!("../../convert/corpus/group-4.vcf"),
    include_bytes!("../../convert/corpus/hard-photos-3.vcf"),
    include_bytes!("../../convert/corpus/no-name-3.vcf"),
    include_bytes!("../../convert/corpus/outlook-3.vcf"),
    include_bytes!("../../convert/corpus/rich-4.vcf"),
    include_bytes!("../../convert/corpus/thunderbird-4.vcf"),
];

fn card(version: &str, lines: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:{version}\r\n{lines}END:VCARD\r\n")
}

/// The lines of a card after a change of its fields.
fn changed(version: &str, lines: &str, change: impl FnOnce(&mut CardFields)) -> String {
    let card = card(version, lines);
    let before = CardFields::read(card.as_bytes());
    let mut after = before.clone();
    change(&mut after);
    let edited = String::from_utf8(edit(card.as_bytes(), &before, &after)).unwrap();
    assert!(CardFields::read(edited.as_bytes()) == after, "{edited}");
    let frame = format!("BEGIN:VCARD\r\nVERSION:{version}\r\n");
    edited.strip_prefix(&frame).unwrap().strip_suffix("END:VCARD\r\n").unwrap().to_owned()
}

fn email(value: &str, types: &[&str], pref: Option<u8>) -> Email {
    Email { value: value.to_owned(), types: types.iter().map(|kind| (*kind).to_owned()).collect(), pref }
}

#[test]
fn only_what_differs_is_written() {
    let lines = "X-ODD;a=\"b:c\":\\x\r\nno colon\r\nFN:Old\r\n  Name\r\nTITLE;LANGUAGE=en:Boss\r\nNOTE:a\r\n\r\nORG:A;B;\r\n";
    assert_eq!(
        changed("3.0", lines, |card| card.title = "Chief; Boss".to_owned()),
        lines.replace("en:Boss", "en:Chief\\; Boss")
    );
    assert_eq!(
        changed("4.0", lines, |card| card.organization.name = "C,D".to_owned()),
        lines.replace("ORG:A;B;", "ORG:C\\,D;B;")
    );
    assert_eq!(
        changed("4.0", lines, |card| card.organization.units.push("E".to_owned())),
        lines.replace("ORG:A;B;", "ORG:A;B;E")
    );
    assert_eq!(changed("4.0", lines, |card| card.note = String::new()), lines.replace("NOTE:a\r\n", ""));
    assert_eq!(
        changed("3.0", lines, |card| card.name.formatted = "New".to_owned()),
        lines.replace("Old\r\n  Name", "New")
    );
}

#[test]
fn names_keep_what_is_not_shown() {
    let lines = "N;SORT-AS=\"D\":van\\;D;A,B;Q,R;;;II;x\r\n";
    assert_eq!(
        changed("4.0", lines, |card| card.name.given = "A,C".to_owned()),
        "N;SORT-AS=\"D\":van\\;D;A,C;Q,R;;;II;x\r\n"
    );
    assert_eq!(
        changed("4.0", lines, |card| card.name.family = "d,e".to_owned()),
        "N;SORT-AS=\"D\":d\\,e;A,B;Q,R;;;II;x\r\n"
    );
    assert_eq!(changed("3.0", "N:;;;;\r\n", |card| card.name.family = "A".to_owned()), "N:A;;;;\r\n");
    assert_eq!(changed("3.0", "", |card| card.name.given = "A".to_owned()), "N:;A;;;\r\n");
}

#[test]
fn list_items_keep_their_lines() {
    let lines = "item1.EMAIL;type=INTERNET;X-A=1;type=WORK:a@b\r\nitem1.X-ABLabel:Club\r\nEMAIL;type=INTERNET;type=pref:c@d\r\nTEL:1\r\n";
    assert_eq!(
        changed("3.0", lines, |card| card.emails[0].types = vec!["home".to_owned()]),
        lines.replace(";type=WORK", ";TYPE=home")
    );
    assert_eq!(changed("3.0", lines, |card| card.emails[1].pref = None), lines.replace(";type=pref", ""));
    assert_eq!(
        changed("3.0", lines, |card| card.emails[0].pref = Some(1)),
        lines.replace("type=WORK:", "type=WORK;TYPE=pref:")
    );
    assert_eq!(
        changed("3.0", lines, |card| drop(card.emails.remove(0))),
        "EMAIL;type=INTERNET;type=pref:c@d\r\nTEL:1\r\n"
    );
    assert_eq!(
        changed("3.0", lines, |card| card.emails[0].value = "e@f".to_owned()),
        lines.replace("a@b", "e@f")
    );
    assert_eq!(
        changed("3.0", lines, |card| card.emails.push(email("e@f", &["work"], None))),
        lines.replace("TEL:1", "EMAIL;TYPE=INTERNET;TYPE=work:e@f\r\nTEL:1")
    );
    assert_eq!(
        changed("3.0", lines, |card| card.emails.insert(1, email("e@f", &[], None))),
        lines.replace("Club\r\n", "Club\r\nEMAIL;TYPE=INTERNET:e@f\r\n")
    );
    assert_eq!(
        changed("3.0", lines, |card| card.emails.reverse()),
        "EMAIL;type=INTERNET;type=pref:c@d\r\nitem1.X-ABLabel:Club\r\nitem1.EMAIL;type=INTERNET;X-A=1;type=WORK:a@b\r\nTEL:1\r\n"
    );
    assert_eq!(
        changed("4.0", "EMAIL;PREF=2;TYPE=home:a@b\r\n", |card| {
            card.emails[0].pref = Some(1);
            card.emails[0].types.push("x".to_owned());
        }),
        "EMAIL;TYPE=home;TYPE=x;PREF=1:a@b\r\n"
    );
    // A label that something else needs stays.
    assert_eq!(
        changed("4.0", "a.TEL:1\r\nA.X-ABLabel:x\r\na.URL:y\r\n", |card| card.phones.clear()),
        "A.X-ABLabel:x\r\na.URL:y\r\n"
    );
    assert_eq!(
        changed("4.0", "a.TEL:1\r\nA.X-ABLabel:x\r\na.URL:y\r\n", |card| {
            card.phones.clear();
            card.urls.clear();
        }),
        ""
    );
}

#[test]
fn numbers_and_places() {
    let uri = "TEL;VALUE=uri;TYPE=cell:tel:+49-30-1;ext=2\r\n";
    assert_eq!(
        changed("4.0", uri, |card| card.phones[0].value = "+49.30".to_owned()),
        "TEL;VALUE=uri;TYPE=cell:tel:+49.30\r\n"
    );
    assert_eq!(
        changed("4.0", uri, |card| card.phones[0].value = "030 1;2".to_owned()),
        "TEL;TYPE=cell:030 1\\;2\r\n"
    );
    let place = "ADR;LABEL=\"x\";TYPE=home:;;A,B;C;;;D;E\r\n";
    assert_eq!(
        changed("4.0", place, |card| card.addresses[0].locality = "F".to_owned()),
        "ADR;TYPE=home:;;A,B;F;;;D;E\r\n"
    );
    assert_eq!(
        changed("4.0", "URL:http://a/b;c,d\r\n", |card| card
            .urls
            .push(Url { value: "http://e,f".to_owned(), types: vec![] })),
        "URL:http://a/b;c,d\r\nURL:http://e,f\r\n"
    );
}

#[test]
fn birthdays_in_each_version() {
    let set = |day: &'static str| move |card: &mut CardFields| card.birthday = day.to_owned();
    let apple = "BDAY;X-APPLE-OMIT-YEAR=1604;value=date:1604-04-12\r\n";
    assert_eq!(changed("3.0", apple, set("1980-02-29")), "BDAY:1980-02-29\r\n");
    assert_eq!(
        changed("3.0", "BDAY:1980-02-29\r\n", set("--02-29")),
        "BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-29\r\n"
    );
    assert_eq!(changed("4.0", "", set("--02-29")), "BDAY:--0229\r\n");
    assert_eq!(changed("4.0", "BDAY;VALUE=text:once\r\n", set("1980-02-29")), "BDAY:19800229\r\n");
    assert_eq!(changed("4.0", "BDAY:19800229\r\n", set("")), "");
}

#[test]
fn kinds_in_each_version() {
    let set = |kind: Kind| move |card: &mut CardFields| card.kind = kind;
    assert_eq!(changed("3.0", "", set(Kind::Org)), "X-ABShowAs:COMPANY\r\n");
    assert_eq!(
        changed("3.0", "X-ABShowAs:COMPANY\r\n", set(Kind::Group)),
        "X-ADDRESSBOOKSERVER-KIND:group\r\n"
    );
    assert_eq!(changed("3.0", "X-ABShowAs:COMPANY\r\n", set(Kind::Individual)), "");
    assert_eq!(changed("4.0", "", set(Kind::Org)), "KIND:org\r\n");
    assert_eq!(changed("4.0", "KIND:group\r\n", set(Kind::Individual)), "KIND:individual\r\n");
}

#[test]
fn categories_keep_their_lines() {
    let lines = "CATEGORIES:a\\,b, c\r\nCATEGORIES:d\r\n";
    assert_eq!(
        changed("3.0", lines, |card| card.categories.push("e,f".to_owned())),
        "CATEGORIES:a\\,b, c\r\nCATEGORIES:d,e\\,f\r\n"
    );
    assert_eq!(changed("3.0", lines, |card| drop(card.categories.remove(2))), "CATEGORIES:a\\,b, c\r\n");
    assert_eq!(changed("3.0", lines, |card| card.categories.reverse()), "CATEGORIES:d,c,a\\,b\r\n");
    assert_eq!(changed("3.0", "CATEGORIES:a,a\r\n", |card| drop(card.categories.pop())), "CATEGORIES:a\r\n");
    assert_eq!(changed("3.0", "", |card| card.categories.push("a".to_owned())), "CATEGORIES:a\r\n");
}

#[test]
fn new_cards_always_have_a_name() {
    let uid = Uid::new("urn:uuid:1").unwrap();
    let made = |fields: &CardFields| String::from_utf8(create(fields, &uid)).unwrap();
    assert_eq!(
        made(&CardFields::default()),
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:1\r\nFN:?\r\nEND:VCARD\r\n"
    );
    let mut fields =
        CardFields { emails: vec![email("a@b", &["work", "x"], Some(1))], ..CardFields::default() };
    assert!(made(&fields).contains("FN:a@b\r\nEMAIL;TYPE=work,x;PREF=1:a@b\r\n"));
    fields.organization.name = "Firm".to_owned();
    assert!(made(&fields).contains("FN:Firm\r\n"));
    fields.name.family = "Doe".to_owned();
    assert!(made(&fields).contains("FN:Doe\r\nN:Doe;;;;\r\n"));
}

#[test]
fn marks_are_set_and_taken_off() {
    let text =
        card("3.0", "FN:x\r\nEMAIL:A@b\r\nitem1.EMAIL;X-CARDKEEP-STATUS=hard:c@d\r\nNOTE:n\r\nX-A:b\r\n");
    let hard = vec![("a@b".to_owned(), MailState::Hard), ("c@d".to_owned(), MailState::Soft)];
    let mut marks = Marks { do_not_call: true, blocked: false, how: MarkAs::Category, emails: hard };
    let marked = mark(text.as_bytes(), &marks).unwrap();
    let shown = card(
        "3.0",
        "FN:x\r\nEMAIL;X-CARDKEEP-STATUS=hard:A@b\r\nitem1.EMAIL:c@d\r\nNOTE:n\r\nX-A:b\r\nCATEGORIES:Do not call\r\n",
    );
    assert_eq!(std::str::from_utf8(&marked).unwrap(), shown);
    assert!(mark(&marked, &marks).is_none());
    (marks.how, marks.blocked) = (MarkAs::Note, true);
    let noted = mark(&marked, &marks).unwrap();
    assert_eq!(CardFields::read(&noted).note, "Do not call\nBlocked\nn");
    assert!(CardFields::read(&noted).categories.is_empty() && mark(&noted, &marks).is_none());
    let off = mark(&noted, &Marks { how: MarkAs::Off, ..Marks::default() }).unwrap();
    assert_eq!(
        std::str::from_utf8(&off).unwrap(),
        card("3.0", "FN:x\r\nEMAIL:A@b\r\nitem1.EMAIL:c@d\r\nNOTE:n\r\nX-A:b\r\n")
    );
    assert!(unmarked(&off).is_none());
    assert_eq!(unmarked(&marked).unwrap(), shown.replace(";X-CARDKEEP-STATUS=hard", "").as_bytes());
}

#[test]
fn an_edit_outside_of_a_card_loses_nothing() {
    let before = CardFields::default();
    let after = CardFields { title: "x".to_owned(), ..CardFields::default() };
    assert_eq!(edit(b"", &before, &after), b"TITLE:x\r\n");
    assert_eq!(edit(b"a\r\n\r\n", &before, &after), b"a\r\nTITLE:x\r\n\r\n");
    assert_eq!(edit(b"BEGIN:VCARD\nA:1", &before, &after), b"BEGIN:VCARD\nA:1\r\nTITLE:x\r\n");
}

/// Lines as programs write them, and some that they should not.
const LINES: [&str; 48] = [
    "FN:Jane Doe",
    "FN;PREF=1:Jane",
    "FN:",
    "N:Doe;Jane;;;",
    "N;ALTID=1:Doe,Roe;J\\;ane;Q,R;Dr.;;x",
    "N:;;;;",
    "ORG:Example;Unit",
    "item5.ORG:A;;B;",
    "ORG:",
    "item5.X-ABLabel:",
    "TITLE:Boss",
    "TITLE;PREF=1:Chef\\, Chief",
    "ROLE:x",
    "EMAIL;type=INTERNET;type=HOME;type=pref:john@example.org",
    "item1.EMAIL;type=INTERNET:a@b",
    "item1.X-ABLabel:Side",
    "EMAIL;PREF=3;TYPE=work,x-y;X-A=\"1;2\":a@b",
    "EMAIL;WORK;PREF:c@d",
    "EMAIL:",
    "EMAIL;TYPE=\"home,WORK\":e@f",
    "EMAIL;X-CARDKEEP-STATUS=hard:g@h",
    "TEL;type=CELL;type=VOICE;type=pref:+1 (555) 010",
    "TEL;VALUE=uri;TYPE=cell:tel:+1-5;ext=2",
    "item2.TEL:030 1",
    "ITEM2.X-ABLabel:_$!<Home>!$_",
    "TEL;PREF=100:tel:5",
    "item1.TEL:7",
    "item3.ADR;type=HOME:;;1 Way\\nRear;Köln;;1;DE",
    "item3.X-ABADR:de",
    "ADR;LABEL=\"x^ny\":;;a,b;;;;;q",
    "ADR:;;;;;;",
    "ADR;TYPE=work;PREF=2:po;ex;st;lo;re;pc;co",
    "URL:https://example.org/a,b;c",
    "item4.URL;type=pref:http\\://x",
    "item4.X-ABLabel:_$!<HomePage>!$_",
    "BDAY:19800229",
    "BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-29",
    "BDAY;VALUE=text:once, maybe",
    "NOTE:one\\ntwo",
    "NOTE: ",
    "NOTE;LANGUAGE=en:three",
    "CATEGORIES:a,b\\,c, d",
    "CATEGORIES:a",
    "KIND:org",
    "X-ABShowAs:COMPANY",
    "X-ADDRESSBOOKSERVER-KIND:group",
    "PHOTO;ENCODING=b:QUJD\r\n RUZH",
    "X-PHONETIC-FIRST-NAME:x\n  y",
];

fn cards() -> impl Strategy<Value = (String, bool)> {
    let line = prop_oneof![9 => select(LINES.to_vec()), 1 => select(vec!["broken", "AGENT:\r\nBEGIN:VCARD\r\nTITLE:z\r\nEND:VCARD", "\r\nX-B:1", "X-\r\n C;D=E:é"])];
    (prop::collection::vec(line, 0..14), any::<bool>(), select(vec!["\r\n", "\n"])).prop_map(
        |(lines, four, end)| {
            let version = if four { "4.0" } else { "3.0" };
            let lines: String = lines.iter().map(|line| format!("{line}{end}")).collect();
            (format!("BEGIN:VCARD{end}VERSION:{version}{end}{lines}END:VCARD{end}"), four)
        },
    )
}

/// A text as the API takes it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => select(vec!["", "x", "Jane", "a, b", "c; d", "e\\f", "ü:\"'^n", ",", ";"]).prop_map(str::to_owned), 1 => "[ -~äß€]{0,90}"]
}

fn types() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(select(vec!["home", "work", "x-y", "cell"]).prop_map(str::to_owned), 0..3)
}

/// A change of some field.
#[derive(Debug, Clone)]
struct Edit {
    which: usize,
    texts: (String, String),
    types: Vec<String>,
    pref: Option<u8>,
    at: prop::sample::Index,
}

fn change() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>();
    (0usize..24, (text(), text()), types(), prop::option::of(1u8..=100), at)
        .prop_map(|(which, texts, types, pref, at)| Edit { which, texts, types, pref, at })
}

impl Edit {
    fn apply(&self, card: &mut CardFields) {
        let Self { which, texts: (a, b), types, pref, at } = self.clone();
        match which {
            0 => card.name.formatted = format!("n{a}"),
            1 => card.name.given = a,
            2 => (card.name.family, card.name.suffix) = (a, b),
            3 => (card.name.additional, card.name.prefix) = (a, b),
            4 => card.organization.name = a,
            5 => card.organization.units = vec![a, b],
            6 => card.organization = Organization::default(),
            7 => card.title = a,
            8 => card.note = format!("{a}\n{b}"),
            9 => card.note.clear(),
            10 => card.birthday = ["", "1980-02-29", "--02-29", "2001-12-31"][at.index(4)].to_owned(),
            11 => card.kind = [Kind::Individual, Kind::Org, Kind::Group][at.index(3)],
            12 => card.categories.insert(at.index(card.categories.len() + 1), a),
            13 => card.categories.reverse(),
            14 => drop(card.categories.pop()),
            15 => card.emails.insert(
                at.index(card.emails.len() + 1),
                Email { value: format!("{}@x", a.replace(' ', "")), types, pref },
            ),
            16 => card
                .phones
                .insert(at.index(card.phones.len() + 1), Phone { value: format!("+1{a}"), types, pref }),
            17 => card.addresses.insert(
                at.index(card.addresses.len() + 1),
                PostalAddress { street: a, country: b, types, pref, ..PostalAddress::default() },
            ),
            18 => {
                card.urls.insert(at.index(card.urls.len() + 1), Url { value: format!("http://{a}"), types })
            }
            19 if !card.emails.is_empty() => drop(card.emails.remove(at.index(card.emails.len()))),
            20 if !card.emails.is_empty() => {
                let at = at.index(card.emails.len());
                (card.emails[at].types, card.emails[at].pref) = (types, pref);
            }
            21 if !card.phones.is_empty() => {
                let at = at.index(card.phones.len());
                (card.phones[at].value, card.phones[at].pref) = (format!("+4{}", b.len()), pref);
                card.phones.rotate_left(1);
            }
            22 if !card.addresses.is_empty() => {
                let last = card.addresses.len() - 1;
                card.addresses[last].locality = a;
            }
            23 => (card.urls, card.phones) = (Vec::new(), Vec::new()),
            _ => {}
        }
    }
}

/// The lines that no field shows and that are no labels.
fn foreign(card: &[u8]) -> Vec<Vec<u8>> {
    let own = |line: &Vec<u8>| {
        let head = String::from_utf8_lossy(line).to_ascii_uppercase();
        let name = head
            .split([':', ';'])
            .next()
            .unwrap_or_default()
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        What::of(name.as_bytes()).is_none_or(|what| what == What::Photo) && !name.starts_with("X-AB")
    };
    lines(card).map(|line| line.into_owned()).filter(own).collect()
}

fn lines_of(card: &[u8], what: What) -> Vec<Vec<u8>> {
    let is = |line: &Vec<u8>| {
        let line = String::from_utf8_lossy(line);
        let name = line
            .split([':', ';'])
            .next()
            .unwrap_or_default()
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        What::of(name.as_bytes()) == Some(what)
    };
    lines(card).map(|line| line.into_owned()).filter(is).collect()
}

fn check(card: &[u8], before: &CardFields, after: &CardFields) -> Result<Vec<u8>, TestCaseError> {
    let edited = edit(card, before, after);
    let wanted = after.clone().tidy();
    let read = CardFields::read(&edited);
    let shown = || format!("{}\n---\n{}", String::from_utf8_lossy(card), String::from_utf8_lossy(&edited));
    prop_assert!(read.name == wanted.name && read.organization == wanted.organization, "{}", shown());
    prop_assert!(read.emails == wanted.emails && read.phones == wanted.phones, "{}", shown());
    prop_assert!(read.addresses == wanted.addresses && read.urls == wanted.urls, "{}", shown());
    prop_assert!(read == wanted, "{}", shown());
    prop_assert_eq!(edit(&edited, &read, &wanted), edited.clone());
    prop_assert_eq!(foreign(card), foreign(&edited));
    for (what, same) in [
        (What::Formatted, before.name.formatted == after.name.formatted),
        (What::Name, components(&before.name) == components(&after.name)),
        (What::Organization, before.organization == after.organization),
        (What::Title, before.title == after.title),
        (What::Email, before.emails == after.emails),
        (What::Phone, before.phones == after.phones),
        (What::Address, before.addresses == after.addresses),
        (What::Url, before.urls == after.urls),
        (What::Birthday, before.birthday == after.birthday),
        (What::Note, before.note == after.note),
        (What::Categories, before.categories == after.categories),
    ] {
        prop_assert!(!same || lines_of(card, what) == lines_of(&edited, what), "{}", shown());
    }
    Ok(edited)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn an_edit_says_what_it_should_and_touches_nothing_else(
        (card, _) in cards(),
        corpus in prop::option::weighted(0.3, select(CARDS.to_vec())),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let card = corpus.unwrap_or(card.as_bytes());
        let before = CardFields::read(card);
        prop_assert_eq!(edit(card, &before, &before), card);
        let mut after = before.clone();
        changes.iter().for_each(|change| change.apply(&mut after));
        check(card, &before, &after)?;
    }

    /// A card made of fields says them, to another reader too.
    #[test]
    fn a_new_card_says_its_fields(changes in prop::collection::vec(change(), 0..12)) {
        let mut fields = CardFields::default();
        fields.name.formatted = "x".to_owned();
        changes.iter().for_each(|change| change.apply(&mut fields));
        let made = create(&fields, &Uid::new("u").unwrap());
        let wanted = fields.tidy();
        prop_assert!(CardFields::read(&made) == wanted, "{}", String::from_utf8_lossy(&made));
        let text = String::from_utf8(made).unwrap();
        let other = calcard::vcard::VCard::parse(&text).map_err(|_| TestCaseError::fail(text.clone()))?;
        let count = |name: &str| other.entries.iter().filter(|entry| entry.name.as_str() == name).count();
        prop_assert_eq!((count("EMAIL"), count("TEL")), (wanted.emails.len(), wanted.phones.len()));
        prop_assert_eq!((count("ADR"), count("URL")), (wanted.addresses.len(), wanted.urls.len()));
    }

    /// Whatever the octets are, an edit and marks only end.
    #[test]
    fn no_octets_make_it_panic(
        octets in prop::collection::vec(prop_oneof![any::<u8>().prop_map(|octet| vec![octet]), select(LINES.to_vec()).prop_map(|line| line.as_bytes().to_vec()), select(vec!["\r\n", "\n", "\r", "BEGIN:VCARD\r\n", "END:VCARD"]).prop_map(|text| text.as_bytes().to_vec())], 0..30),
        changes in prop::collection::vec(change(), 1..4),
        how in select(vec![MarkAs::Category, MarkAs::Note, MarkAs::Off]),
    ) {
        let octets = octets.concat();
        let before = CardFields::read(&octets);
        let mut after = before.clone();
        changes.iter().for_each(|change| change.apply(&mut after));
        let _ = edit(&octets, &before, &after);
        let _ = unmarked(&octets);
        let _ = mark(&octets, &Marks { do_not_call: true, how, ..Marks::default() });
    }

    /// Marks are there after one go, and go away.
    #[test]
    fn marks_need_one_go((card, _) in cards(), how in select(vec![MarkAs::Category, MarkAs::Note, MarkAs::Off])) {
        let emails = vec![("a@b".to_owned(), MailState::Hard), ("g@h".to_owned(), MailState::Ok)];
        let marks = Marks { do_not_call: true, blocked: true, how, emails };
        let marked = mark(card.as_bytes(), &marks).unwrap_or_else(|| card.clone().into_bytes());
        prop_assert!(mark(&marked, &marks).is_none());
        prop_assert_eq!(foreign(card.as_bytes()), foreign(&marked));
        let clean = mark(&marked, &Marks::default()).unwrap_or(marked);
        prop_assert!(!String::from_utf8_lossy(&clean).contains("X-CARDKEEP-STATUS"));
        let fields = CardFields::read(card.as_bytes());
        prop_assert!(CardFields::read(&clean) == fields);
    }
}
