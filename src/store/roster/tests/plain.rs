//! The index of contacts against a plain list of them: whatever came, changed and went, and whatever is
//! asked for in whichever order, both answer the same.

use std::collections::BTreeMap;

use super::*;
use crate::domain::contact::{Email, Kind, Leaf, Name, Phone, Scalar};
use crate::domain::scim::Leaves as _;

/// What is drawn for a contact.
#[derive(Debug, Clone)]
struct Drawn {
    id: u8,
    book: u8,
    name: u8,
    number: u8,
    /// Bits: an address, another one, a phone, a note, of the trash's other book, a company.
    has: u8,
    links: (u8, u8),
}

struct Known {
    leaves: Vec<Leaf>,
    book: CollectionId,
    series: u8,
    number: u64,
    updated: i64,
    trashed: Option<(i64, CollectionId)>,
    record: Record,
}

const BOOKS: [CollectionId; 3] = [BOOK, OTHER, TRASH];
const FROM: [CollectionId; 2] = [BOOK, OTHER];
const OWNER: Id = Id([9; 16]);

fn made(drawn: &Drawn) -> (Known, Entry) {
    let bit = |at: u8| drawn.has >> at & 1 == 1;
    let name = ["Anna", "Änne", "anna b", "Zoë", "", "Ole"][usize::from(drawn.name)];
    let email = |value: &str| Email { value: value.into(), types: Vec::new(), pref: None };
    let mut fields = CardFields {
        kind: if bit(5) { Kind::Org } else { Kind::Individual },
        name: Name { formatted: name.into(), ..Name::default() },
        note: if bit(3) { format!("Notiz {}", drawn.number % 3) } else { String::new() },
        ..CardFields::default()
    };
    fields.emails.extend(bit(0).then(|| email("A@example.org")));
    fields.emails.extend(bit(1).then(|| email("b@example.org")));
    fields.phones.extend(bit(2).then(|| Phone {
        value: "030 1234567".into(),
        types: Vec::new(),
        pref: None,
    }));
    let link = |to: u8| (to < 4).then(|| id(to));
    let record =
        Record { reports_to: link(drawn.links.0), company: link(drawn.links.1), ..Record::default() };
    let book = BOOKS[usize::from(drawn.book)];
    let (series, number, updated) = (u8::from(bit(5)), drawn.number.into(), i64::from(drawn.number % 4));
    let trashed = (book == TRASH).then(|| (i64::from(drawn.name), FROM[usize::from(bit(4))]));
    let whole = Whole {
        card: &fields,
        record: &record,
        id: id(drawn.id),
        uid: "uid",
        etag: "etag".into(),
        book,
        created: 0,
        updated,
        created_by: None,
        updated_by: None,
        region: Region::parse("DE"),
    };
    let leaves = leaves(&whole);
    let mut packed = Vec::new();
    pack(&leaves, &mut packed);
    let entry = Entry {
        id: id(drawn.id),
        book,
        series,
        number,
        kind: fields.kind,
        created: 0,
        updated,
        packed: packed.into(),
        distinct: [].into(),
        trashed: trashed.map(|(at, from)| Box::new(Trashed { at, from, owner: OWNER })),
    };
    (Known { leaves, book, series, number, updated, trashed, record }, entry)
}

/// What sorts, as the leaves tell; what has nothing comes last.
fn value(known: &Known, by: &By) -> (bool, i64, Vec<u8>) {
    let number = |number: i64| (false, number, Vec::new());
    match by {
        By::Number => number(i64::from(known.series) << 56 | known.number as i64),
        By::Created => number(0),
        By::Updated => number(known.updated),
        By::Trashed => known.trashed.map_or((true, 0, Vec::new()), |(at, _)| number(at)),
        By::Path(path) => {
            let mut found = (true, 0, Vec::new());
            known.leaves.as_slice().each(&crate::domain::scim::Span::of(path), &mut |_, seen| {
                found = match seen {
                    crate::domain::scim::Seen::Text(text) => (false, 0, text.to_vec()),
                    crate::domain::scim::Seen::Contact(id) => (false, 0, id.as_bytes().to_vec()),
                    _ => unreachable!(),
                };
                true
            });
            found
        }
    }
}

fn sorted(known: &BTreeMap<ContactId, Known>, order: &[Order], mut found: Vec<ContactId>) -> Vec<ContactId> {
    let by_name = [Order { by: By::Path(path("name.formatted")), descending: false }];
    found.sort_by(|a, b| {
        // The order of names has those first that have none.
        let (order, absent_last) = if order.is_empty() { (&by_name[..], false) } else { (order, true) };
        let levels = order.iter().map(|order| {
            let (one, two) = (value(&known[a], &order.by), value(&known[b], &order.by));
            match (one.0, two.0) {
                (true, false) if absent_last => std::cmp::Ordering::Greater,
                (false, true) if absent_last => std::cmp::Ordering::Less,
                _ if order.descending => (two.1, two.2).cmp(&(one.1, one.2)),
                _ => (one.1, one.2).cmp(&(two.1, two.2)),
            }
        });
        levels.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then(a.cmp(b))
    });
    found
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let links = (0..8_u8, 0..8_u8);
    (0..40_u8, 0..3_u8, 0..6_u8, 0..12_u8, any::<u8>(), links)
        .prop_map(|(id, book, name, number, has, links)| Drawn { id, book, name, number, has, links })
}

fn one(by: By, descending: bool) -> Order {
    Order { by, descending }
}

fn any_order() -> impl Strategy<Value = Vec<Order>> {
    let by = prop_oneof![
        Just(By::Number),
        Just(By::Created),
        Just(By::Updated),
        Just(By::Trashed),
        Just(By::Path(path("note"))),
        Just(By::Path(path("name.formatted"))),
        Just(By::Path(path("reports_to"))),
    ];
    prop::collection::vec((by, any::<bool>()).prop_map(|(by, descending)| one(by, descending)), 0..4)
}

const FILTERS: [&str; 7] = [
    "",
    "note co \"notiz\"",
    "not (emails.value eq \"a@example.org\")",
    "emails[value sw \"b@\"] or kind eq \"org\"",
    "name.formatted sw \"an\" and updated_at gt \"1970-01-01T00:00:00Z\"",
    "phones.value pr and not (note pr)",
    "phones.e164 co \"4930\"",
];

proptest! {
    #[test]
    fn the_index_answers_what_a_plain_list_answers(
        drawn in prop::collection::vec((drawn(), 0..5_u8), 1..120),
        order in any_order(),
        filter in 0..FILTERS.len(),
        query in prop::option::of(prop_oneof![Just("anna"), Just("notiz 1"), Just("0301234567"), Just("b example")]),
        limit in 1..9_usize,
    ) {
        let (mut entries, mut plain) = (Entries::default(), BTreeMap::new());
        for (drawn, goes) in &drawn {
            let (known, entry) = made(drawn);
            match goes {
                0 => {
                    entries.set(id(drawn.id), None);
                    plain.remove(&id(drawn.id));
                }
                _ => {
                    entries.set(id(drawn.id), Some(entry));
                    plain.insert(id(drawn.id), known);
                }
            }
        }
        let filter = Some(FILTERS[filter]).filter(|text| !text.is_empty()).map(|text| Filter::parse(text).unwrap());
        let wanted = Wanted { filter, query: query.and_then(Query::parse) };
        let of_other = Books::TrashOf(Origins::new(|book, owner| book == OTHER && owner == OWNER));
        for books in [all(), Books::These([OTHER].into()), Books::Trash, of_other] {
            let is_in = |known: &Known| match &books {
                Books::These(these) => these.contains(&known.book),
                Books::Trash => known.book == TRASH,
                Books::TrashOf(_) => known.trashed.is_some_and(|(_, from)| from == OTHER),
            };
            let seen: Vec<_> = plain.iter().filter(|(_, known)| is_in(known)).collect();
            // Of words, the leaves know nothing: those are judged as the index keeps them.
            let has = |(contact, known): &(&ContactId, &Known)| {
                wanted.filter.as_ref().is_none_or(|filter| filter.matches(known.leaves.as_slice()))
                    && wanted.query.as_ref().is_none_or(|query| {
                        query.matches(Packed(&entries.at(entries.slot(contact).unwrap()).unwrap().packed))
                    })
            };
            let expected = sorted(&plain, &order, seen.iter().copied().filter(has).map(|(id, _)| *id).collect());
            let (mut told, mut step) = (Vec::new(), None);
            loop {
                let (books, wanted, order) = (books.clone(), wanted.clone(), order.clone());
                let page = page::page(&entries, &Asked { books, wanted, order, step, limit });
                prop_assert_eq!(page.total, expected.len());
                told.extend(page.contacts);
                step = page.next;
                if step.is_none() {
                    break;
                }
            }
            prop_assert_eq!(told, expected);
            let named = |has: &dyn Fn(&Known) -> bool| {
                let found = seen.iter().filter(|(_, known)| has(known)).map(|(id, _)| **id).collect();
                sorted(&plain, &[], found)
            };
            for link in Link::ALL {
                for to in 0..5 {
                    let linked = |known: &Known| match link {
                        Link::Superior => known.record.reports_to == Some(id(to)),
                        Link::Company => known.record.company == Some(id(to)),
                    };
                    prop_assert_eq!(entries.linking(&books, link, id(to)), named(&linked));
                }
            }
            let has = |known: &Known, at: &str, text: &str| {
                known.leaves.iter().any(|leaf| leaf.path == path(at) && matches!(&leaf.value, Scalar::Text(own) if own.eq_ignore_ascii_case(text)))
            };
            prop_assert_eq!(
                entries.with_email(&books, b"a@example.org"),
                named(&|known| has(known, "emails.value", "a@example.org"))
            );
            for digits in ["0301234567", "49301234567"] {
                prop_assert_eq!(
                    entries.with_phone(&books, digits),
                    named(&|known| has(known, "phones.value", "030 1234567"))
                );
            }
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            seen.iter().for_each(|(_, known)| *counts.entry(if known.series == 1 { "org" } else { "individual" }).or_default() += 1);
            let counts: Vec<_> = counts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
            prop_assert_eq!(entries.count(&books, &path("kind")), counts);
        }
        prop_assert_eq!(entries.len(), plain.len());
        prop_assert!(entries.named().count() == plain.len() && entries.iter().count() == plain.len());
        plain.keys().for_each(|contact| entries.set(*contact, None));
        prop_assert_eq!((entries.values(), entries.named().count(), entries.bytes()), (0, 0, 0));
    }
}
