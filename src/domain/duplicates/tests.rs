//! Duplicates by example, and against comparing all pairs.

use proptest::prelude::*;

use super::*;
use crate::domain::contact::Path;
use crate::domain::contact::{Leaf, Scalar};
use crate::domain::scim::pack;

fn id(number: u32) -> ContactId {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    ContactId::from_bytes(bytes)
}

fn person<'a>(number: u32, name: &'a str, company: &'a str) -> Candidate<'a> {
    Candidate {
        id: id(number),
        kind: Kind::Individual,
        name: name.into(),
        company: company.into(),
        emails: Vec::new(),
        phones: Vec::new(),
        distinct: &[],
    }
}

fn reached<'a>(number: u32, name: &'a str, email: &'a str, phone: &'a str) -> Candidate<'a> {
    Candidate { emails: vec![email], phones: vec![phone], ..person(number, name, "") }
}

fn ids(pairs: &[Pair]) -> Vec<(ContactId, ContactId)> {
    pairs.iter().map(|pair| pair.ids).collect()
}

#[test]
fn pairs_say_why_and_the_likeliest_come_first() {
    let people = [
        Candidate { emails: vec!["j@x.org"], ..person(3, "davis jennifer", "example gmbh") },
        Candidate { emails: vec!["j@x.org"], ..person(1, "jennifer davis", "example ag") },
        person(4, "jenifer davis", "example"),
        reached(7, "somebody", "", "+49301"),
        reached(8, "else", "", "+49301"),
    ];
    let pairs = duplicates(people, 100);
    let reasons: Vec<_> = pairs.iter().map(|pair| pair.reasons.as_slice()).collect();
    assert_eq!(ids(&pairs), [(id(1), id(3)), (id(1), id(4)), (id(3), id(4)), (id(7), id(8))]);
    assert_eq!(reasons[0], [Reason::Email, Reason::Name, Reason::Company]);
    assert_eq!(reasons[1], [Reason::Name, Reason::Company]);
    assert_eq!(reasons[3], [Reason::Phone]);
    assert_eq!((pairs[0].score, pairs[3].score), (0.92, 0.5));
}

#[test]
fn names_alone_tell_only_where_no_company_speaks_against_it() {
    let pairs = |a: &str, b: &str, c: &str, d: &str| duplicates([person(1, a, b), person(2, c, d)], 9).len();
    assert_eq!(pairs("hans muller", "", "muller hans", ""), 1);
    assert_eq!(pairs("hans muller", "firma 1", "muller hans", ""), 1);
    assert_eq!(pairs("hans muller", "bakery", "muller hans", "smithy"), 0);
    assert_eq!(pairs("hans muller", "", "hans mueller", ""), 0);
    assert_eq!(pairs("hans muller", "bakery", "hans mueller", "bakery"), 1);
    assert_eq!(pairs("hans", "", "hans", ""), 0);
    assert_eq!(pairs("", "", "", ""), 0);
    assert_eq!(pairs("山田 太郎", "", "太郎 山田", ""), 1);
}

#[test]
fn companies_are_alike_whatever_their_legal_form_and_never_people() {
    let org = |number, name| Candidate { kind: Kind::Org, ..person(number, name, "") };
    assert_eq!(ids(&duplicates([org(1, "example gmbh"), org(2, "example a.g.")], 9)), [(id(1), id(2))]);
    assert!(duplicates([org(1, "gmbh"), org(2, "ag")], 9).is_empty());
    let company = Candidate { kind: Kind::Org, ..reached(1, "hans muller", "a@x.org", "+49301") };
    assert!(duplicates([company, reached(2, "hans muller", "a@x.org", "+49301")], 9).is_empty());
}

#[test]
fn what_is_known_to_be_distinct_stays_out() {
    let others = [id(1), id(9)];
    let one = || reached(1, "a b", "a@x.org", "");
    let two = || Candidate { distinct: &others, ..reached(2, "a b", "a@x.org", "") };
    assert!(duplicates([one(), two()], 9).is_empty());
    assert!(duplicates([two(), one()], 9).is_empty());
    assert_eq!(duplicates([reached(3, "a b", "a@x.org", ""), two()], 9).len(), 1);
    assert!(duplicates([one(), one()], 9).is_empty(), "a contact is not its own duplicate");
}

#[test]
fn large_blocks_cost_no_more_than_their_length() {
    let names: Vec<String> = (0..5_000).map(|n| format!("muller {:04}a", n / 2)).collect();
    let people = names.iter().zip(0..).map(|(name, at)| reached(at, name, "info@x.org", ""));
    let pairs = duplicates(people, usize::MAX);
    assert!(pairs.len() <= 5_000 * NEIGHBOURS);
    // In each large block the namesakes are neighbours.
    let namesakes = pairs.iter().filter(|pair| pair.score > 0.87).count();
    assert!(namesakes >= 2_500, "{namesakes}");
    let few: Vec<_> = duplicates(names.iter().zip(0..).map(|(n, at)| reached(at, n, "info@x.org", "")), 10);
    assert_eq!(few, pairs[..10]);
}

#[test]
fn packed_contacts_are_candidates() {
    let leaf = |name, text: &str| Leaf {
        path: Path::parse(name).unwrap(),
        index: 0,
        value: Scalar::Text(text.to_owned()),
    };
    let leaves = [
        leaf("name.formatted", "Dr. Jörg Größe"),
        leaf("name.family", "Größe"),
        leaf("name.given", "Jörg"),
        leaf("organization.name", "Example GmbH"),
        leaf("emails.value", "J@X.org"),
        leaf("phones.e164", "+49301234567"),
    ];
    let mut octets = Vec::new();
    pack(&leaves, &mut octets);
    let person = Candidate::of(id(1), Kind::Individual, Packed(&octets), &[]);
    assert_eq!((&*person.name, &*person.company), ("grosse jorg", "example gmbh"));
    assert_eq!((person.emails, person.phones), (vec!["j@x.org"], vec!["+49301234567"]));
    assert_eq!(Candidate::of(id(1), Kind::Org, Packed(&octets), &[]).name, "example gmbh");
    // Of what is not compared nothing is copied.
    let mut more = vec![leaf("note", "Ruft nicht an"), leaf("title", "Boss")];
    more.extend(leaves.clone());
    let (mut whole, mut copied) = (Vec::new(), Vec::new());
    pack(&more, &mut whole);
    assert_ne!(whole, octets);
    Packed(&whole).pack_some(&COMPARED, &mut copied);
    assert_eq!(copied, octets);
    let (mut none, mut nothing) = (Vec::new(), Vec::new());
    Packed(&[]).pack_some(&COMPARED, &mut none);
    pack(&[], &mut nothing);
    assert_eq!(none, nothing);
    let mut formatted = Vec::new();
    pack(&leaves[..2], &mut formatted);
    assert_eq!(Candidate::of(id(1), Kind::Group, Packed(&formatted), &[]).name, "dr. jorg grosse");
}

proptest! {
    /// What shares an address or a number is found, and nothing else of strangers; in any order.
    #[test]
    fn blocks_lose_no_equal_address_or_number(people in prop::collection::vec((0..12u8, 0..12u8, 0..3u8), 0..24)) {
        let texts: Vec<(String, String, String)> = people.iter().zip(0..)
            .map(|((email, phone, _), at): (_, usize)| {
                // Names that have nothing in common.
                let name = char::from(b'a' + u8::try_from(at).unwrap()).to_string().repeat(6);
                (name, format!("{email}@x.org"), format!("+4930{phone}"))
            })
            .collect();
        let kinds = [Kind::Individual, Kind::Org, Kind::Group];
        let candidates: Vec<_> = texts.iter().zip(&people).zip(0..)
            .map(|(((name, email, phone), (.., kind)), at)| Candidate {
                kind: kinds[usize::from(*kind)], ..reached(at, name, email, phone)
            })
            .collect();
        let mut naive = Vec::new();
        for (at, one) in candidates.iter().enumerate() {
            for two in &candidates[at + 1..] {
                let reached = one.emails == two.emails || one.phones == two.phones;
                if one.kind == two.kind && reached {
                    naive.push((one.id, two.id));
                }
            }
        }
        let found = duplicates(candidates.clone(), usize::MAX);
        let mut sorted = ids(&found);
        sorted.sort();
        prop_assert_eq!(sorted, naive);
        let ordered = found.windows(2).all(|w| (w[1].score, w[0].ids) <= (w[0].score, w[1].ids) || w[0].score > w[1].score);
        prop_assert!(ordered);
        prop_assert!(found.iter().all(|pair| (0.0..=1.0).contains(&pair.score) && !pair.reasons.is_empty()));
        let mut turned = candidates;
        turned.reverse();
        prop_assert_eq!(duplicates(turned, usize::MAX), found);
    }

    #[test]
    fn no_text_makes_it_panic(names in prop::collection::vec(("\\PC{0,20}", "\\PC{0,20}"), 0..6)) {
        duplicates(names.iter().zip(0..).map(|((name, company), at)| person(at, name, company)), 9);
    }
}
