//! Contacts beside their cards: numbers, records, histories, the trash, moves by copies, and that what
//! is erased leaves nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::*;
use crate::domain::contact::{Custom, CustomValue, Record};
use crate::domain::format::Format;
use crate::domain::id::{AccountId, Uid};
use crate::store::codec::{KeptRecord, RecordPlace};
use crate::store::commit::{Commit, CommitError, Committed, NewCard, RecordChange, Unmet};
use crate::store::damage::Found;
use crate::store::derive::MOVE;
use crate::store::engine::redb::RedbEngine;
use crate::store::keys::TRASH;
use crate::store::number::COMPLETE;
use crate::store::query::{Earlier, With};

pub(super) mod erased;
mod moves;
mod trash;

/// The owner of `THEIRS`.
const BOB: AccountId = AccountId::from_bytes([7; 16]);
const BOBS: CollectionId = CollectionId::from_bytes([8; 16]);
const THEIRS: CollectionId = CollectionId::from_bytes([9; 16]);

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn record(text: &str) -> Record {
    let value = CustomValue::Text(text.into());
    Record { custom: vec![Custom { key: "note".into(), value }], ..Record::default() }
}

fn id(n: u8) -> ContactId {
    ContactId::from_bytes([n, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, n, n, n, n, n, n, n, n])
}

fn vcard(uid: &str, more: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{uid}\r\nFN:{uid}\r\n{more}END:VCARD\r\n")
}

/// A card whose UID is its name.
fn card(book: CollectionId, file: &str, more: &str, fresh: ContactId) -> Op {
    furniture::put((book, file), file, Version::V4, vcard(file, more), fresh)
}

fn trash(book: CollectionId, file: &str) -> Op {
    Op::Card(CardOp::Trash { book, name: name(file), merged_into: None })
}

fn restore(contact: ContactId, book: CollectionId, file: &str) -> Op {
    Op::Card(CardOp::Restore { contact, to: (book, name(file)) })
}

fn adopt(from: (CollectionId, &str), to: (CollectionId, &str)) -> Op {
    Op::Card(CardOp::Adopt { from: (from.0, name(from.1)), to: (to.0, name(to.1)) })
}

fn transfer(from: (CollectionId, &str), to: (CollectionId, &str), copy: Option<ContactId>) -> Op {
    Op::Card(CardOp::Transfer { from: (from.0, name(from.1)), to: (to.0, name(to.1)), copy })
}

fn change(contact: ContactId, before: Record, after: Record) -> Op {
    let change = Box::new(RecordChange { before: Some(before), after, merged: Vec::new() });
    Op::Card(CardOp::Record { contact, change })
}

/// Two accounts, three books and the trash.
async fn lay(store: &Store) {
    let bob = AccountRow { id: *BOB.as_bytes(), home: *BOBS.as_bytes(), ..account("bob") };
    let theirs = CollectionOp::Create {
        home: BOBS,
        name: name("theirs"),
        id: THEIRS,
        owner: BOB,
        default: false,
        components: 0,
        properties: Vec::new(),
        replace: false,
    };
    let ops = [
        add(account("alice")),
        add(bob),
        create(BOOK, "contacts", Vec::new()),
        create(OTHER, "other", Vec::new()),
        create(TRASH, "trash", Vec::new()),
        Op::Collection(theirs),
    ];
    for op in ops {
        furniture::commit(store, at(0), op).await.unwrap();
    }
}

async fn memory() -> Store {
    let store = open(&Arc::new(MemoryEngine::new()), &MemoryMedium::new()).await.unwrap();
    lay(&store).await;
    store
}

async fn on_redb(room: &std::path::Path) -> Store {
    let engine = RedbEngine::open(&room.join("store"), 1 << 20).unwrap();
    let store = Store::open(Arc::new(engine), key_file(&MemoryMedium::new()), Arc::new(Random), at(0));
    let store = store.await.unwrap();
    lay(&store).await;
    store
}

/// Commits what an account does.
async fn by(store: &Store, actor: AccountId, second: i64, op: Op) -> Result<Committed, CommitError> {
    let commit = Commit::new(Some(actor), at(second), Vec::new(), vec![op]);
    store.commit(&Commit { client: Some("tests".into()), ..commit }).await
}

async fn alice(store: &Store, second: i64, op: Op) {
    by(store, ACCOUNT, second, op).await.unwrap();
}

fn unmet(done: Result<Committed, CommitError>) -> Unmet {
    match done {
        Err(CommitError::Unmet(unmet)) => unmet,
        other => panic!("{other:?}"),
    }
}

async fn kept(store: &Store, contact: ContactId) -> Option<KeptRecord> {
    store.read().await.unwrap().records(&[contact]).await.unwrap().pop().unwrap()
}

/// The number of a contact that is there, to which it leads.
async fn number(store: &Store, contact: ContactId) -> (u8, u64) {
    let RecordPlace { series, number, .. } = kept(store, contact).await.unwrap().place;
    assert_eq!(leads(store, series, number).await, Some(contact));
    (series, number)
}

async fn leads(store: &Store, series: u8, number: u64) -> Option<ContactId> {
    store.read().await.unwrap().numbered(series, number).await.unwrap()
}

async fn earlier(store: &Store, contact: ContactId) -> Earlier {
    store.read().await.unwrap().earlier(contact).await.unwrap()
}

/// The contact, the octets and the properties of a card.
async fn found(store: &Store, book: CollectionId, file: &str) -> Option<(ContactId, String, usize)> {
    let with = With { body: true, properties: true };
    let found = store.read().await.unwrap().cards(book, &[name(file)], with).await.unwrap().pop().unwrap();
    match found {
        Found::Whole(card) => Some((
            ContactId::from_bytes(card.row.contact),
            String::from_utf8(card.body.unwrap().to_vec()).unwrap(),
            card.properties.len(),
        )),
        _ => None,
    }
}

async fn sound(store: &Store) {
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
}

/// How many rows the tables of contacts have.
async fn rows_of_contacts(store: &Store) -> BTreeMap<char, usize> {
    use Table::*;
    let mut counts = BTreeMap::new();
    for table in [Body, Record, History, RecordHistory, SameUid, Properties] {
        counts.insert(table as u8 as char, store.count(table).await.unwrap());
    }
    // But for the counters.
    let mut numbers = 0;
    for series in 0..=1 {
        let range = KeyRange { start: keys::number_of(series, 0), end: keys::number_of(series, u64::MAX) };
        let count = |count: &mut usize, _: &[u8], _: &[u8]| {
            *count += 1;
            Ok(ControlFlow::Continue(()))
        };
        numbers += store.read().await.unwrap().fold(range, Extent::Many, 0, count).await.unwrap();
    }
    counts.insert('G', numbers);
    counts
}

async fn numbers_of_200(store: Store) {
    let store = Arc::new(store);
    let tasks: Vec<_> = (0..200_u8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let kind = if n % 4 == 0 { "KIND:org\r\n" } else { "" };
                alice(&store, 1, card(BOOK, &format!("c{n}"), kind, id(n))).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut people = BTreeSet::new();
    let mut companies = BTreeSet::new();
    for n in 0..200 {
        match number(&store, id(n)).await {
            (0, number) => assert!(n % 4 != 0 && people.insert(number)),
            (1, number) => assert!(n % 4 == 0 && companies.insert(number)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(people, (1..=150).collect());
    assert_eq!(companies, (1..=50).collect());
    sound(&store).await;
}

#[tokio::test]
async fn concurrent_creations_over_memory_get_a_number_each() {
    numbers_of_200(memory().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_creations_over_redb_get_a_number_each() {
    let room = tempfile::tempdir().unwrap();
    numbers_of_200(on_redb(room.path()).await).await;
}

#[tokio::test]
async fn a_number_is_never_given_again() {
    let store = memory().await;
    alice(&store, 1, card(BOOK, "a", "", id(1))).await;
    alice(&store, 1, card(BOOK, "b", "", id(2))).await;
    assert_eq!(number(&store, id(2)).await, (0, 2));
    alice(&store, 2, furniture::remove(BOOK, "b")).await;
    assert_eq!(leads(&store, 0, 2).await, None);
    alice(&store, 3, card(BOOK, "c", "", id(3))).await;
    assert_eq!(number(&store, id(3)).await, (0, 3));
    alice(&store, 4, trash(BOOK, "a")).await;
    alice(&store, 4, card(BOOK, "d", "", id(4))).await;
    alice(&store, 5, restore(id(1), BOOK, "a")).await;
    assert_eq!(number(&store, id(1)).await, (0, 1));
    assert_eq!(number(&store, id(4)).await, (0, 4));
    // A company that was a person keeps its number.
    alice(&store, 6, card(BOOK, "a", "KIND:org\r\n", id(99))).await;
    assert_eq!(number(&store, id(1)).await, (0, 1));
    sound(&store).await;
}

#[tokio::test]
async fn a_record_changes_only_from_what_was_read_and_keeps_what_it_was() {
    let store = memory().await;
    alice(&store, 1, card(BOOK, "a", "", id(1))).await;
    alice(&store, 2, change(id(1), Record::default(), record("one"))).await;
    let late = by(&store, BOB, 3, change(id(1), Record::default(), record("late"))).await;
    assert_eq!(unmet(late), Unmet::NoMember);
    assert_eq!(
        unmet(by(&store, BOB, 3, change(id(9), Record::default(), record("x"))).await),
        Unmet::NoMember
    );
    by(&store, BOB, 4, change(id(1), record("one"), record("two"))).await.unwrap();
    // The card stays the same, and a card that is put keeps the record.
    let before = found(&store, BOOK, "a").await.unwrap();
    alice(&store, 5, card(BOOK, "a", "NOTE:x\r\n", id(99))).await;
    assert_eq!(found(&store, BOOK, "a").await.unwrap().0, before.0);
    let now = kept(&store, id(1)).await.unwrap().row;
    assert!(now.record == record("two") && now.updated == rows::micros(at(4)) && now.updated_by == Some(BOB));
    assert_eq!((now.created, now.created_by), (rows::micros(at(1)), Some(ACCOUNT)));
    let Earlier { bodies, records } = earlier(&store, id(1)).await;
    assert_eq!(bodies.len(), 1);
    let told = records.iter().map(|(n, row)| (*n, row.at, row.actor, row.record == Record::default()));
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [(0, rows::micros(at(2)), Some(ACCOUNT), true), (1, rows::micros(at(4)), Some(BOB), false)]
    );
    assert_eq!(records[1].1.client.as_deref(), Some("tests"));
    // What changes nothing is no change.
    alice(&store, 6, change(id(1), record("two"), record("two"))).await;
    assert_eq!(earlier(&store, id(1)).await.records.len(), 2);
    sound(&store).await;
}

#[tokio::test]
async fn one_of_many_who_change_a_record_wins_each_round() {
    let store = Arc::new(memory().await);
    alice(&store, 1, card(BOOK, "a", "", id(1))).await;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let change = change(id(1), Record::default(), record(&n.to_string()));
                by(&store, ACCOUNT, 2, change).await.is_ok()
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!((won, earlier(&store, id(1)).await.records.len()), (1, 1));
    sound(&store).await;
}

#[tokio::test]
async fn a_card_and_its_record_change_together_when_the_server_s_uid_goes_too() {
    let store = memory().await;
    let put = |uid: &str, invented_uid, change: Option<RecordChange>| {
        let (uid, body) = (Uid::new(uid).unwrap(), vcard(uid, "").into());
        let card = NewCard { format: Format::Card(Version::V4), uid, invented_uid, body };
        let record = change.map(Box::new);
        Op::Card(CardOp::Put { book: BOOK, name: name("a"), card, fresh: id(1), record })
    };
    alice(&store, 1, put("ours", true, None)).await;
    let change = RecordChange { before: Some(Record::default()), after: record("one"), merged: Vec::new() };
    alice(&store, 2, put("theirs", false, Some(change))).await;
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    let found = store.read().await.unwrap().with_uid(&Uid::new("theirs").unwrap()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(store.read().await.unwrap().with_uid(&Uid::new("ours").unwrap()).await.unwrap().is_empty());
    sound(&store).await;
}

#[tokio::test]
async fn earlier_bodies_lose_their_pictures_and_then_go() {
    let store = memory().await;
    let photo = "PHOTO:data:image/png;base64,AAAA\r\n";
    for n in 0..=1_010 {
        alice(&store, n, card(BOOK, "a", &format!("NOTE:{n}\r\n{photo}"), id(1))).await;
    }
    let bodies = earlier(&store, id(1)).await.bodies;
    assert_eq!(bodies.len(), 1_000);
    assert_eq!((bodies[0].0, bodies[999].0), (11, 1_010));
    for (version, row) in &bodies {
        let text = std::str::from_utf8(&row.body).unwrap();
        assert_eq!(text.contains("PHOTO"), *version > 1_010 - 20, "{version}");
        assert!(text.contains(&format!("NOTE:{}\r\n", version - 1)), "{version}");
    }
    sound(&store).await;
}

#[tokio::test]
async fn earlier_records_go_when_there_are_too_many() {
    let store = memory().await;
    alice(&store, 0, card(BOOK, "a", "", id(1))).await;
    let mut before = Record::default();
    for n in 0..1_005 {
        let after = record(&n.to_string());
        alice(&store, n, change(id(1), before, after.clone())).await;
        before = after;
    }
    let records = earlier(&store, id(1)).await.records;
    assert_eq!((records.len(), records[0].0, records[999].0), (1_000, 5, 1_004));
    sound(&store).await;
}

/// A card with a property, an earlier body, and a record with an earlier one.
async fn furnish(store: &Store) {
    alice(store, 1, card(BOOK, "a", "", id(1))).await;
    alice(store, 2, card(BOOK, "a", "NOTE:two\r\n", id(99))).await;
    let of = Described::Card { book: BOOK, name: name("a") };
    let properties = vec![property("1")];
    alice(store, 3, Op::Properties(PropertiesOp { of, properties, before: Vec::new() })).await;
    alice(store, 4, change(id(1), Record::default(), record("one"))).await;
}
