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

#[tokio::test]
async fn what_comes_back_from_the_trash_has_all_that_it_had() {
    let store = memory().await;
    furnish(&store).await;
    let (whole, numbered) = (found(&store, BOOK, "a").await, number(&store, id(1)).await);
    alice(&store, 5, trash(BOOK, "a")).await;
    assert_eq!(found(&store, BOOK, "a").await, None);
    let trashed = kept(&store, id(1)).await.unwrap().row;
    assert!(trashed.book == *TRASH.as_bytes() && trashed.record == record("one"));
    assert_eq!(number(&store, id(1)).await, numbered);
    sound(&store).await;
    let reader = store.read().await.unwrap();
    let contact = reader.contacts(&[id(1)]).await.unwrap().pop().unwrap().unwrap();
    drop(reader);
    let row = contact.card.trashed.clone().unwrap();
    assert!(
        contact.is_trashed()
            && contact.uid() == "a"
            && row.name == "a"
            && row.client.as_deref() == Some("tests")
    );
    assert_eq!((row.at, row.by), (rows::micros(at(5)), Some(rows::Id(*ACCOUNT.as_bytes()))));
    alice(&store, 6, restore(id(1), OTHER, "z")).await;
    assert_eq!(found(&store, OTHER, "z").await, whole);
    assert_eq!(number(&store, id(1)).await, numbered);
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    let Earlier { bodies, records } = earlier(&store, id(1)).await;
    let books: Vec<_> = records.iter().map(|(_, row)| row.book).collect();
    assert_eq!((bodies.len(), books), (1, vec![*BOOK.as_bytes(), *BOOK.as_bytes(), *TRASH.as_bytes()]));
    sound(&store).await;
    // It is in the trash no more, and there is none to restore twice.
    assert_eq!(unmet(by(&store, ACCOUNT, 7, restore(id(1), BOOK, "y")).await), Unmet::NoMember);
    let name = MemberName::parse(&id(1).to_string()).unwrap();
    let gone = Op::Card(CardOp::Trash { book: TRASH, name, merged_into: None });
    assert_eq!(unmet(by(&store, ACCOUNT, 7, gone).await), Unmet::NoMember);
}

#[tokio::test]
async fn what_cannot_be_restored_stays_in_the_trash() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, trash(BOOK, "a")).await;
    // The UID and the name are another's by now.
    let later = 6 + MOVE;
    by(&store, BOB, later, furniture::put((THEIRS, "b"), "a", Version::V4, vcard("a", ""), id(2)))
        .await
        .unwrap();
    by(&store, BOB, later, card(THEIRS, "n", "", id(3))).await.unwrap();
    let before = rows_of_contacts(&store).await;
    assert_eq!(unmet(by(&store, BOB, later, restore(id(1), THEIRS, "m")).await), Unmet::UidTaken(name("b")));
    assert_eq!(unmet(by(&store, BOB, later, restore(id(1), THEIRS, "n")).await), Unmet::Taken);
    let nowhere = CollectionId::from_bytes([77; 16]);
    assert_eq!(unmet(by(&store, BOB, later, restore(id(1), nowhere, "m")).await), Unmet::NoCollection);
    assert_eq!(rows_of_contacts(&store).await, before);
    alice(&store, later, restore(id(1), BOOK, "a")).await;
    assert_eq!(found(&store, BOOK, "a").await.unwrap().0, id(1));
    sound(&store).await;
}

#[tokio::test]
async fn a_uid_that_comes_back_brings_its_contact_back() {
    for (actor, book, late, comes) in [
        (ACCOUNT, BOOK, true, true),
        (ACCOUNT, OTHER, true, true),
        (BOB, BOOK, true, true),
        (ACCOUNT, THEIRS, false, true),
        (ACCOUNT, THEIRS, true, false),
        (BOB, THEIRS, false, false),
    ] {
        let store = memory().await;
        furnish(&store).await;
        let numbered = number(&store, id(1)).await;
        alice(&store, 5, trash(BOOK, "a")).await;
        let second = if late { 6 + MOVE / 1_000_000 } else { 5 + MOVE / 1_000_000 };
        let put = furniture::put((book, "new"), "a", Version::V4, vcard("a", "NOTE:new\r\n"), id(9));
        let done = by(&store, actor, second, put).await.unwrap();
        assert_eq!(done.cards[0].contact == id(1), comes, "{book:?} {late}");
        assert!(done.cards[0].created);
        let (contact, body, properties) = found(&store, book, "new").await.unwrap();
        assert!(body.contains("NOTE:new"));
        if comes {
            assert_eq!((contact, properties, number(&store, id(1)).await), (id(1), 1, numbered));
            assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
            assert_eq!(earlier(&store, id(1)).await.bodies.len(), 2);
        } else {
            assert_eq!((contact, properties), (id(9), 0));
            assert!(kept(&store, id(9)).await.unwrap().row.record == Record::default());
            assert!(kept(&store, id(1)).await.unwrap().row.book == *TRASH.as_bytes());
        }
        sound(&store).await;
    }
}

#[tokio::test]
async fn who_is_made_again_keeps_the_record() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, trash(BOOK, "a")).await;
    let card = NewCard {
        format: Format::Card(Version::V4),
        uid: Uid::new("a").unwrap(),
        invented_uid: false,
        body: vcard("a", "").into(),
    };
    let change = Some(Box::new(RecordChange { before: None, after: record("again"), merged: Vec::new() }));
    let put = CardOp::Put { book: BOOK, name: name("a"), card, fresh: id(9), record: change };
    alice(&store, 6, Op::Card(put)).await;
    let row = kept(&store, id(1)).await.unwrap().row;
    assert!(row.record == record("one") && row.book == *BOOK.as_bytes());
    sound(&store).await;
}

#[tokio::test]
async fn what_was_merged_away_comes_back_by_no_uid() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, card(BOOK, "b", "", id(2))).await;
    let merge = Op::Card(CardOp::Trash { book: BOOK, name: name("a"), merged_into: Some(id(2)) });
    let told = RecordChange { before: Some(Record::default()), after: record("both"), merged: vec![id(1)] };
    let told = Op::Card(CardOp::Record { contact: id(2), change: Box::new(told) });
    store.commit(&Commit::new(Some(ACCOUNT), at(6), Vec::new(), vec![merge, told])).await.unwrap();
    sound(&store).await;
    let (merged, into) = (kept(&store, id(1)).await.unwrap().row, kept(&store, id(2)).await.unwrap().row);
    assert_eq!((merged.merged_into, into.merged), (Some(id(2)), vec![id(1)]));
    assert_eq!(unmet(by(&store, ACCOUNT, 7, restore(id(1), BOOK, "c")).await), Unmet::NoMember);
    assert_eq!(
        unmet(by(&store, ACCOUNT, 7, change(id(1), record("one"), record("x"))).await),
        Unmet::NoMember
    );
    alice(&store, 7, card(BOOK, "a", "", id(3))).await;
    assert_eq!(found(&store, BOOK, "a").await.unwrap().0, id(3));
    // It stays as long as what it was merged into, in the trash too.
    let due = async || {
        let reader = store.read().await.unwrap();
        reader.overdue(rows::micros(at(1_000)), 10).await.unwrap()
    };
    assert_eq!(due().await, []);
    alice(&store, 8, trash(BOOK, "b")).await;
    assert_eq!(due().await, [id(2)]);
    alice(&store, 9, furniture::remove(TRASH, &id(2).to_string())).await;
    assert_eq!(due().await, [id(1)]);
    alice(&store, 10, furniture::remove(TRASH, &id(1).to_string())).await;
    assert_eq!((due().await, kept(&store, id(1)).await.is_none()), (Vec::new(), true));
    sound(&store).await;
}

#[tokio::test]
async fn a_copy_that_takes_the_original_s_place_is_the_contact() {
    let store = memory().await;
    furnish(&store).await;
    let numbered = number(&store, id(1)).await;
    alice(&store, 5, card(OTHER, "a", "NOTE:copy\r\n", id(2))).await;
    let copy = number(&store, id(2)).await;
    let reader = store.read().await.unwrap();
    let seen = reader.copy_of(BOOK, &name("a"), ACCOUNT, at(6)).await.unwrap();
    assert_eq!(seen, Some((OTHER, name("a"))));
    assert_eq!(reader.copy_of(BOOK, &name("a"), BOB, at(6)).await.unwrap(), None);
    assert_eq!(reader.copy_of(BOOK, &name("a"), ACCOUNT, at(6 + MOVE / 1_000_000)).await.unwrap(), None);
    // The copy is no move of the original to where it was before.
    assert_eq!(reader.copy_of(OTHER, &name("a"), ACCOUNT, at(6)).await.unwrap(), None);
    drop(reader);
    alice(&store, 6, adopt((BOOK, "a"), (OTHER, "a"))).await;
    let (contact, body, properties) = found(&store, OTHER, "a").await.unwrap();
    assert!(contact == id(1) && body.contains("NOTE:copy") && properties == 1);
    assert_eq!((found(&store, BOOK, "a").await, kept(&store, id(2)).await.is_none()), (None, true));
    assert_eq!((number(&store, id(1)).await, leads(&store, copy.0, copy.1).await), (numbered, Some(id(1))));
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    assert_eq!(earlier(&store, id(1)).await.bodies.len(), 2);
    sound(&store).await;
    // Again, and nothing is left of either number when the contact is erased.
    alice(&store, 7, card(BOOK, "a", "", id(3))).await;
    alice(&store, 8, adopt((OTHER, "a"), (BOOK, "a"))).await;
    for n in 1..=3 {
        assert_eq!(leads(&store, 0, n).await, Some(id(1)));
    }
    sound(&store).await;
    alice(&store, 9, furniture::remove(BOOK, "a")).await;
    for n in 1..=3 {
        assert_eq!(leads(&store, 0, n).await, None);
    }
    sound(&store).await;
}

#[tokio::test]
async fn a_copy_that_went_or_changed_meanwhile_is_not_taken_for_another() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, card(OTHER, "a", "", id(2))).await;
    alice(&store, 6, trash(OTHER, "a")).await;
    assert_eq!(unmet(by(&store, ACCOUNT, 7, adopt((BOOK, "a"), (OTHER, "a"))).await), Unmet::NoMember);
    // Another contact lies there.
    alice(&store, 7, furniture::put((OTHER, "a"), "b", Version::V4, vcard("b", ""), id(3))).await;
    assert_eq!(unmet(by(&store, ACCOUNT, 8, adopt((BOOK, "a"), (OTHER, "a"))).await), Unmet::NoMember);
    assert_eq!(unmet(by(&store, ACCOUNT, 8, adopt((BOOK, "a"), (BOOK, "a"))).await), Unmet::NoMember);
    assert_eq!(found(&store, BOOK, "a").await.unwrap().0, id(1));
    sound(&store).await;
}

#[tokio::test]
async fn moves_and_changes_of_both_halves_at_once_lose_no_contact() {
    let store = Arc::new(memory().await);
    for round in 0..20 {
        let (file, original, copy) = (format!("f{round}"), id(2 * round + 1), id(2 * round + 2));
        alice(&store, 1, card(BOOK, &file, "", original)).await;
        alice(&store, 2, card(OTHER, &file, "", copy)).await;
        let ops = [
            adopt((BOOK, &file), (OTHER, &file)),
            card(OTHER, &file, "NOTE:newer\r\n", id(250)),
            trash(OTHER, &file),
            change(copy, Record::default(), record("copy")),
        ];
        let tasks: Vec<_> = ops
            .into_iter()
            .map(|op| {
                let store = store.clone();
                tokio::spawn(async move { by(&store, ACCOUNT, 3, op).await.map(drop).ok() })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        // The contact is where it was, or where the copy was, or came to lie in the trash as the copy.
        assert!(kept(&store, original).await.is_some());
        sound(&store).await;
    }
}

#[tokio::test]
async fn copies_have_a_number_and_a_record_of_their_own() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, transfer((BOOK, "a"), (OTHER, "a"), Some(id(2)))).await;
    assert_eq!((number(&store, id(1)).await, number(&store, id(2)).await), ((0, 1), (0, 2)));
    let copy = kept(&store, id(2)).await.unwrap().row;
    assert!(copy.record == record("one") && copy.changes == 0 && copy.book == *OTHER.as_bytes());
    assert_eq!(earlier(&store, id(2)).await.records.len(), 0);
    alice(&store, 6, change(id(2), record("one"), record("copy"))).await;
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    // A move keeps both, over what lay there too.
    alice(&store, 7, transfer((BOOK, "a"), (OTHER, "a"), None)).await;
    assert_eq!((number(&store, id(1)).await, leads(&store, 0, 2).await), ((0, 1), None));
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    sound(&store).await;
}

#[tokio::test]
async fn what_is_erased_leaves_no_row_and_no_key() {
    let store = memory().await;
    let empty = rows_of_contacts(&store).await;
    furnish(&store).await;
    assert!(rows_of_contacts(&store).await.iter().all(|(table, count)| *count > empty[table]));
    alice(&store, 5, furniture::remove(BOOK, "a")).await;
    assert_eq!(rows_of_contacts(&store).await, empty);
    assert_eq!(store.erase_condemned(at(6)).await.unwrap(), 1);
    sound(&store).await;
    // From the trash too.
    alice(&store, 7, card(BOOK, "a", "", id(2))).await;
    alice(&store, 8, trash(BOOK, "a")).await;
    alice(&store, 9, furniture::remove(TRASH, &id(2).to_string())).await;
    assert_eq!(rows_of_contacts(&store).await, empty);
    sound(&store).await;
}

#[tokio::test]
async fn a_book_that_is_purged_leaves_no_row_of_its_contacts() {
    let store = memory().await;
    let empty = rows_of_contacts(&store).await;
    furnish(&store).await;
    alice(&store, 5, card(OTHER, "a", "", id(2))).await;
    alice(&store, 6, adopt((BOOK, "a"), (OTHER, "a"))).await;
    for n in 10..20 {
        alice(&store, 7, card(OTHER, &format!("c{n}"), "", id(n))).await;
    }
    store.make_roster().await.unwrap();
    assert_eq!(store.roster().size().0, 11);
    alice(&store, 8, Op::Collection(CollectionOp::Remove { home: HOME, name: name("other"), book: OTHER }))
        .await;
    sound(&store).await;
    while store.purge_step(OTHER, at(9)).await.unwrap() {}
    assert_eq!(rows_of_contacts(&store).await, empty);
    assert_eq!(store.roster().size().0, 0);
    sound(&store).await;
}

#[tokio::test]
async fn another_key_seals_records_too() {
    let store = memory().await;
    furnish(&store).await;
    let before = kept(&store, id(1)).await.unwrap().place;
    alice(&store, 5, Op::Card(CardOp::Rekey { book: BOOK, name: name("a") })).await;
    let after = kept(&store, id(1)).await.unwrap();
    assert!(after.place.slot != before.slot && after.place.number == before.number);
    assert!(after.row.record == record("one"));
    assert_eq!(store.erase_condemned(at(6)).await.unwrap(), 1);
    let Earlier { bodies, records } = earlier(&store, id(1)).await;
    assert_eq!((bodies.len(), records.len()), (1, 1));
    sound(&store).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stands_in_no_card_s_way() {
    for harm in [&b"\x07"[..], &[7; 60]] {
        for op in [
            trash(BOOK, "a"),
            furniture::remove(BOOK, "a"),
            card(BOOK, "a", "NOTE:3\r\n", id(9)),
            transfer((BOOK, "a"), (OTHER, "a"), None),
        ] {
            let engine = Arc::new(MemoryEngine::new());
            let store = open(&engine, &MemoryMedium::new()).await.unwrap();
            lay(&store).await;
            furnish(&store).await;
            set(&engine, &keys::record(id(1)), Some(harm)).await;
            alice(&store, 6, op).await;
            store.repair(at(7)).await.unwrap();
            sound(&store).await;
        }
    }
}

/// As the version before contacts had records left it.
async fn without_records(engine: &MemoryEngine) {
    for (key, _) in rows_of(engine).await {
        if [Table::Record as u8, Table::Number as u8, Table::SameUid as u8].contains(&key[0])
            || key == keys::installation(COMPLETE)
        {
            set(engine, &key, None).await;
        }
    }
}

#[tokio::test]
async fn a_store_of_before_is_completed_when_it_is_opened() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let store = open(&engine, &medium).await.unwrap();
    lay(&store).await;
    for n in 0..=255_u8 {
        let kind = if n == 7 { "KIND:org\r\n" } else { "" };
        alice(&store, 1, card(BOOK, &format!("c{n}"), kind, id(n))).await;
    }
    for n in 0..5_u8 {
        let more = ContactId::from_bytes(*[[n; 8], [n + 1; 8]].concat().first_chunk().unwrap());
        alice(&store, 1, card(OTHER, &format!("d{n}"), "", more)).await;
    }
    drop(store);
    without_records(&engine).await;
    let store = open(&engine, &medium).await.unwrap();
    sound(&store).await;
    let rows = rows_of_contacts(&store).await;
    assert_eq!((rows[&'F'], rows[&'G'], rows[&'Y']), (261, 261, 261));
    let all: BTreeSet<_> = {
        let mut all = BTreeSet::new();
        for n in 0..=255 {
            all.insert(number(&store, id(n)).await);
        }
        all
    };
    assert_eq!(all.len(), 256);
    assert_eq!(number(&store, id(7)).await, (1, 1));
    // Nothing is done twice.
    drop(store);
    let store = open(&engine, &medium).await.unwrap();
    assert_eq!(rows_of_contacts(&store).await, rows);
    alice(&store, 2, card(BOOK, "new", "", ContactId::from_bytes(*b"another contact!"))).await;
}
