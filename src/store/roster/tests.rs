//! The index of contacts against the contacts themselves: whatever was done, by however many, it
//! answers what reading all of them answers, and pages tell each contact once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::domain::contact::{Custom, CustomValue, Record};
use crate::domain::id::MemberName;
use crate::domain::vcard::Version;
use crate::store::commit::{CardOp, CollectionOp, Op, RecordChange};
use crate::store::engine::memory::MemoryEngine;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::tests::furniture::{self, ACCOUNT, BOOK, HOME, OTHER, account, add, create, name};
use crate::store::tests::open;

mod plain;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

async fn store() -> Store {
    let store = open(&Arc::new(MemoryEngine::new()), &MemoryMedium::new()).await.unwrap();
    let store = store.with_region(Region::parse("DE"));
    let books = [(BOOK, "contacts"), (OTHER, "other"), (TRASH, "trash")];
    done(&store, 0, add(account("alice"))).await;
    for (book, name) in books {
        done(&store, 0, create(book, name, Vec::new())).await;
    }
    store
}

/// Does something, if it can be done.
async fn done(store: &Store, second: i64, op: Op) -> bool {
    let commit = crate::store::commit::Commit::new(Some(ACCOUNT), at(second), Vec::new(), vec![op]);
    store.commit(&commit).await.is_ok()
}

fn id(n: u8) -> ContactId {
    ContactId::from_bytes([n; 16])
}

fn card(book: CollectionId, file: u8, named: &str, more: &str) -> Op {
    let body = format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{file}\r\nFN:{named}\r\n{more}END:VCARD\r\n");
    furniture::put((book, &file.to_string()), &file.to_string(), Version::V4, body, id(file))
}

fn note(contact: ContactId, before: Record, text: &str) -> Op {
    let custom = vec![Custom { key: "tier".into(), value: CustomValue::Text(text.into()) }];
    let after = Record { custom, ..Record::default() };
    let change = RecordChange { before: Some(before), after, merged: Vec::new() };
    Op::Card(CardOp::Record { contact, change: Box::new(change) })
}

fn all() -> Books {
    Books::These([BOOK, OTHER].into())
}

fn path(name: &str) -> Path {
    Path::parse(name).unwrap()
}

fn asked(books: Books, order: Vec<Order>) -> Asked {
    Asked { books, wanted: Wanted::default(), order, step: None, limit: usize::MAX }
}

fn orders() -> Vec<Vec<Order>> {
    let one = |by, descending| Order { by, descending };
    vec![
        Vec::new(),
        vec![one(By::Number, false)],
        vec![one(By::Number, true)],
        vec![one(By::Created, false)],
        vec![one(By::Updated, true)],
        vec![one(By::Path(path("note")), false)],
        vec![one(By::Path(path("note")), true)],
        vec![one(By::Path(path("custom.tier")), true), one(By::Path(path("name.formatted")), false)],
    ]
}

async fn page(store: &Store, asked: Asked) -> Page {
    store.contacts_page(asked).await.unwrap()
}

/// Every contact, as reading all of them tells.
async fn entries(store: &Store) -> Vec<Entry> {
    let reader = store.read().await.unwrap();
    let ids = reader.numbered_contacts().await.unwrap();
    let found = reader.contacts(&ids).await.unwrap();
    found.iter().flatten().filter_map(|contact| entry(contact, Region::parse("DE"))).collect()
}

/// Asks the index and an index of now, which was never changed.
async fn compare(store: &Store) {
    let mut anew = Entries::default();
    entries(store).await.into_iter().for_each(|entry| anew.set(entry.id, Some(entry)));
    assert_eq!(store.roster().size().0, anew.len());
    assert_eq!(store.roster().size().1, anew.bytes());
    for books in [all(), Books::These([OTHER].into()), Books::Trash] {
        for order in orders() {
            let now = page(store, asked(books.clone(), order.clone())).await;
            assert_eq!(now, page::page(&anew, &asked(books.clone(), order)));
        }
        for mail in ["a@example.org", "b@example.org"] {
            let found = store.with_email(books.clone(), mail).await.unwrap();
            assert_eq!(found, anew.with_email(&books, mail.as_bytes()));
        }
        let found = store.with_phone(books.clone(), "+49 30 1234567").await.unwrap();
        assert_eq!(found, anew.with_phone(&books, "49301234567"));
        let filter = Filter::parse("custom.tier eq \"gold\" or note co \"x\"").unwrap();
        let wanted = Wanted { filter: Some(filter.clone()), query: None };
        let found = page(store, Asked { wanted, ..asked(books.clone(), Vec::new()) }).await;
        let fits = |entry: &&Entry| filter.matches(&Packed(&entry.packed));
        let expected: HashSet<_> = anew.seen(&books).filter(fits).map(|entry| entry.id).collect();
        assert_eq!(
            (found.total, found.contacts.into_iter().collect::<HashSet<_>>()),
            (expected.len(), expected)
        );
    }
    let held = store.roster().held.read().unwrap();
    let held = held.as_ref().unwrap();
    assert_eq!((held.named().count(), held.values()), (anew.named().count(), anew.values()));
}

/// Something that is done to contacts.
#[derive(Debug, Clone)]
enum Deed {
    Put(bool, u8, u8, u8),
    Record(u8, bool),
    Trash(bool, u8),
    Restore(bool, u8),
    Erase(bool, u8),
    EraseTrashed,
    Move(u8),
    Copy(u8),
    Adopt(u8),
    Rekey(u8),
    Purge,
    LetGo,
}

fn deed() -> impl Strategy<Value = Deed> {
    let file = 0..6_u8;
    prop_oneof![
        8 => (any::<bool>(), file.clone(), 0..4_u8, 0..4_u8).prop_map(|(b, f, n, m)| Deed::Put(b, f, n, m)),
        3 => (file.clone(), any::<bool>()).prop_map(|(f, g)| Deed::Record(f, g)),
        3 => (any::<bool>(), file.clone()).prop_map(|(b, f)| Deed::Trash(b, f)),
        3 => (any::<bool>(), file.clone()).prop_map(|(b, f)| Deed::Restore(b, f)),
        1 => (any::<bool>(), file.clone()).prop_map(|(b, f)| Deed::Erase(b, f)),
        1 => Just(Deed::EraseTrashed),
        1 => file.clone().prop_map(Deed::Move),
        1 => file.clone().prop_map(Deed::Copy),
        1 => file.clone().prop_map(Deed::Adopt),
        1 => file.prop_map(Deed::Rekey),
        1 => Just(Deed::Purge),
        1 => Just(Deed::LetGo),
    ]
}

async fn act(store: &Store, n: u8, deed: &Deed) {
    let book = |other: &bool| if *other { OTHER } else { BOOK };
    let file = |file: &u8| name(&file.to_string());
    let second = i64::from(n);
    let op = match deed {
        Deed::Put(other, of, named, more) => {
            let more = [
                "",
                "NOTE:x\r\nEMAIL:a@example.org\r\n",
                "EMAIL:A@example.org\r\nEMAIL:b@example.org\r\nTEL:030 1234567\r\n",
                "KIND:org\r\nTEL:+49 30 1234567\r\nNOTE:y\r\n",
            ][usize::from(*more)];
            let named = ["Anna", "Änne", "Zoë", "anna"][usize::from(*named)];
            let Op::Card(CardOp::Put { book, name, card, .. }) = card(book(other), *of, named, more) else {
                unreachable!()
            };
            Op::Card(CardOp::Put { book, name, card, fresh: id(100 + n), record: None })
        }
        Deed::Record(of, gold) => {
            let Some(contact) = entries(store).await.get(usize::from(*of)).map(|entry| entry.id) else {
                return;
            };
            let before = store.read().await.unwrap().records(&[contact]).await.unwrap().pop().flatten();
            note(contact, before.unwrap().row.record, if *gold { "gold" } else { "silver" })
        }
        Deed::Trash(other, of) => {
            Op::Card(CardOp::Trash { book: book(other), name: file(of), merged_into: None })
        }
        Deed::Restore(other, of) => {
            let trashed = asked(Books::Trash, Vec::new());
            let Some(contact) = page(store, trashed).await.contacts.first().copied() else { return };
            Op::Card(CardOp::Restore { contact, to: (book(other), file(of)) })
        }
        Deed::Erase(other, of) => Op::Card(CardOp::Remove { book: book(other), name: file(of) }),
        Deed::EraseTrashed => {
            let trashed = asked(Books::Trash, Vec::new());
            let Some(contact) = page(store, trashed).await.contacts.first().copied() else { return };
            let name = MemberName::parse(&contact.to_string()).unwrap();
            Op::Card(CardOp::Remove { book: TRASH, name })
        }
        Deed::Move(of) => transfer(file(of), None),
        Deed::Copy(of) => transfer(file(of), Some(id(100 + n))),
        Deed::Adopt(of) => Op::Card(CardOp::Adopt { from: (BOOK, file(of)), to: (OTHER, file(of)) }),
        Deed::Rekey(of) => Op::Card(CardOp::Rekey { book: BOOK, name: file(of) }),
        Deed::Purge => {
            let remove = CollectionOp::Remove { home: HOME, name: name("other"), book: OTHER };
            // Once only: what was erased has no second life.
            done(store, second, Op::Collection(remove)).await;
            while store.purge_step(OTHER, at(second)).await.unwrap() {}
            return;
        }
        Deed::LetGo => return store.roster().let_go(),
    };
    done(store, second, op).await;
}

fn transfer(file: MemberName, copy: Option<ContactId>) -> Op {
    Op::Card(CardOp::Transfer { from: (BOOK, file.clone()), to: (OTHER, file), copy })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_index_answers_what_reading_every_contact_answers(deeds in prop::collection::vec(deed(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let store = store().await;
            store.make_roster().await.unwrap();
            for (n, deed) in (0..).zip(&deeds) {
                act(&store, n, deed).await;
                // Whoever wrote finds it, without waiting for anything.
                store.make_roster().await.unwrap();
                if n % 4 == 0 {
                    compare(&store).await;
                }
            }
            compare(&store).await;
            assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
        });
    }
}

/// All contacts, page by page; `between` is done after each page.
async fn pages(
    store: &Store,
    order: &[Order],
    limit: usize,
    mut between: impl AsyncFnMut(usize, Option<Step>),
) -> Vec<ContactId> {
    let mut told = Vec::new();
    let mut step = None;
    for round in 0.. {
        let asked = Asked { step, limit, ..asked(all(), order.to_vec()) };
        let page = page(store, asked).await;
        assert!(page.contacts.len() <= limit && page.total >= page.contacts.len());
        told.extend(page.contacts);
        between(round, page.next).await;
        step = page.next;
        if step.is_none() {
            return told;
        }
    }
    unreachable!()
}

#[tokio::test]
async fn pages_tell_every_contact_once_in_every_order() {
    let store = store().await;
    for n in 0..100 {
        let note = if n % 3 == 0 { format!("NOTE:n{}\r\n", n % 7) } else { String::new() };
        assert!(done(&store, i64::from(n) % 10, card(BOOK, n, &format!("c{}", n % 20), &note)).await);
    }
    for order in orders() {
        let whole = page(&store, asked(all(), order.clone())).await;
        assert_eq!((whole.total, whole.contacts.len(), whole.next), (100, 100, None));
        for limit in [1, 7, 50, 99, 100] {
            assert_eq!(
                pages(&store, &order, limit, async |_, _| {}).await,
                whole.contacts,
                "{order:?} {limit}"
            );
        }
    }
}

#[tokio::test]
async fn pages_tell_what_stays_once_whatever_others_do_between_them() {
    for order in orders() {
        let store = store().await;
        for n in 0..60 {
            assert!(done(&store, i64::from(n), card(BOOK, n, &format!("c{n:02}"), "NOTE:n\r\n")).await);
        }
        let mut touched = HashSet::new();
        let told = pages(&store, &order, 5, async |round, next| {
            let after = next.map(|step| step.after);
            let op = match round % 3 {
                // The contact after which the next page begins goes.
                0 => {
                    let file = after.map(|contact| contact.as_bytes()[0]);
                    let Some(file) = file.filter(|file| *file < 60) else { return };
                    touched.extend(after);
                    Op::Card(CardOp::Trash { book: BOOK, name: name(&file.to_string()), merged_into: None })
                }
                // It moves to another place.
                1 => {
                    let file = after.map(|contact| contact.as_bytes()[0]);
                    let Some(file) = file.filter(|file| *file < 60) else { return };
                    touched.extend(after);
                    let named = if round % 2 == 0 { "a" } else { "z" };
                    card(BOOK, file, named, "NOTE:z\r\n")
                }
                // Others come, here and there.
                _ => {
                    let new = 100 + u8::try_from(round).unwrap();
                    touched.insert(id(new));
                    card(OTHER, new, if round % 2 == 0 { "a" } else { "z" }, "NOTE:a\r\n")
                }
            };
            assert!(done(&store, 100 + i64::try_from(round).unwrap(), op).await);
        })
        .await;
        let mut counts: BTreeMap<ContactId, usize> = BTreeMap::new();
        told.into_iter().for_each(|contact| *counts.entry(contact).or_default() += 1);
        for n in 0..60 {
            if !touched.contains(&id(n)) {
                assert_eq!(counts.get(&id(n)), Some(&1), "{n} {order:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_written_while_the_index_is_made_is_in_it() {
    let store = Arc::new(store().await);
    for n in 0..60 {
        assert!(done(&store, 0, card(BOOK, n, "before", "")).await);
    }
    let writers: Vec<_> = (0..4_u8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..60_u8 {
                    let file = writer * 15 + n % 15;
                    let named = format!("{writer}-{n}");
                    let gone = CardOp::Trash { book: BOOK, name: name(&file.to_string()), merged_into: None };
                    let op = if n % 5 == 4 { Op::Card(gone) } else { card(BOOK, file, &named, "") };
                    done(&store, 1, op).await;
                    if n % 10 == 3 {
                        store.roster().let_go();
                    }
                    // Nobody misses what was answered to them.
                    let filter = Filter::parse(&format!("name.formatted eq \"{named}\"")).unwrap();
                    let wanted = Wanted { filter: Some(filter), query: None };
                    let found = page(&store, Asked { wanted, ..asked(all(), Vec::new()) }).await;
                    assert_eq!(found.total, usize::from(n % 5 != 4), "{named}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    store.make_roster().await.unwrap();
    compare(&store).await;
    assert!(!store.roster().meanwhile.lock().unwrap().is_some(), "notes are still taken");
}

#[tokio::test]
async fn who_writes_or_calls_is_found() {
    let store = store().await;
    assert!(done(&store, 0, card(BOOK, 1, "Anna", "EMAIL:Anna@Example.org\r\nTEL:030 1234567\r\n")).await);
    assert!(done(&store, 0, card(OTHER, 2, "Office", "KIND:org\r\nTEL:+49 30 765432\r\n")).await);
    assert!(
        done(&store, 0, card(OTHER, 3, "Berta", "TEL:+49 30 765432-17\r\nEMAIL:b@example.org\r\n")).await
    );
    let calls = async |books: Books, number: &str| store.with_phone(books, number).await.unwrap();
    let writes = async |books: Books, mail: &str| store.with_email(books, mail).await.unwrap();
    for number in ["+49301234567", "0049 30 1234567", "030/123 45 67", "+49 (30) 1234567"] {
        assert_eq!(calls(all(), number).await, [id(1)], "{number}");
    }
    // Those whose number it is, before those to whom an extension belongs.
    assert_eq!(calls(all(), "+493076543217").await, [id(3)]);
    assert_eq!(calls(all(), "+493076543288").await, [id(2)]);
    assert_eq!(calls(all(), "+4930765432").await, [id(2)]);
    assert_eq!(calls(Books::These([BOOK].into()), "+493076543288").await, []);
    assert_eq!(calls(all(), "112").await, []);
    assert_eq!(calls(all(), "").await, []);
    assert_eq!(writes(all(), "anna@EXAMPLE.ORG").await, [id(1)]);
    assert_eq!(writes(Books::These([OTHER].into()), "anna@example.org").await, []);
    assert_eq!(writes(all(), "anna@example").await, []);
    // Who is in the trash is found there and nowhere else.
    let trash = CardOp::Trash { book: BOOK, name: name("1"), merged_into: None };
    assert!(done(&store, 1, Op::Card(trash)).await);
    assert_eq!(writes(all(), "anna@example.org").await, []);
    assert_eq!(writes(Books::Trash, "anna@example.org").await, [id(1)]);
    assert_eq!(calls(all(), "+49301234567").await, []);
}

#[tokio::test]
async fn who_was_merged_away_is_not_listed() {
    let store = store().await;
    assert!(done(&store, 0, card(BOOK, 1, "Anna", "")).await);
    assert!(done(&store, 0, card(BOOK, 2, "Anna", "")).await);
    store.make_roster().await.unwrap();
    let trash = CardOp::Trash { book: BOOK, name: name("1"), merged_into: Some(id(2)) };
    assert!(done(&store, 1, Op::Card(trash)).await);
    assert_eq!(page(&store, asked(Books::Trash, Vec::new())).await.total, 0);
    assert_eq!(page(&store, asked(all(), Vec::new())).await.contacts, [id(2)]);
    compare(&store).await;
}
