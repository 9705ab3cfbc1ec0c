//! That the index answers what reading every card answers, whatever was written before, and that it
//! keeps nothing of what is gone.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;

use crate::domain::collation::Collation;
use crate::domain::filter::{Filter, MatchKind, PropertyCondition, PropertyFilter, Test, TextMatch};
use crate::domain::id::ContactId;
use crate::domain::phone::Region;
use crate::domain::search::Mode;
use crate::domain::search::tests::{cards, filters};
use crate::domain::vcard::Version;
use crate::store::commit::{CardOp, CollectionOp, Op};
use crate::store::engine::memory::MemoryEngine;
use crate::store::engine::{Batch, Engine, Write};
use crate::store::keys;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::query::Unreadable;
use crate::store::tests::furniture::{self, BOOK, HOME, OTHER, name};

use super::arena::{ENTRY, Made};
use super::*;

mod handed;

fn book() -> CollectionId {
    BOOK
}

async fn commit(store: &Store, op: Op) {
    // What the dice ask for is not always there.
    let _ = furniture::commit(store, jiff::Timestamp::UNIX_EPOCH, op).await;
}

async fn furnished(engine: Arc<MemoryEngine>) -> Store {
    let store = crate::store::tests::open(&engine, &MemoryMedium::new()).await.unwrap();
    commit(&store, furniture::add(furniture::account("alice"))).await;
    for (id, text) in [(BOOK, "contacts"), (OTHER, "other")] {
        commit(&store, furniture::create(id, text, Vec::new())).await;
    }
    store
}

/// Ids of contacts that do not sort by when they were made.
fn fresh() -> ContactId {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut id = [0; 16];
    blake3::Hasher::new().update(&next).finalize_xof().fill(&mut id);
    ContactId::from_bytes(id)
}

async fn put(store: &Store, file: &str, body: Vec<u8>) {
    commit(store, furniture::put((BOOK, file), file, Version::V3, body, fresh())).await;
}

async fn remove(store: &Store, file: &str) {
    commit(store, furniture::remove(BOOK, file)).await;
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Vec<u8>, bool),
    Remove(u8),
    Move(u8, u8, bool, bool),
    Refresh,
    Ask(Filter, Option<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0u8..12, cards(), prop::bool::weighted(0.1)).prop_map(|(at, card, long)| Step::Put(at, card, long)),
        2 => (0u8..12).prop_map(Step::Remove),
        2 => (0u8..12, 0u8..12, any::<bool>(), any::<bool>()).prop_map(|(from, to, copy, away)| Step::Move(from, to, copy, away)),
        1 => Just(Step::Refresh),
        3 => (common(), prop::option::of(1usize..5)).prop_map(|(filter, limit)| Step::Ask(filter, limit)),
        3 => (filters(), prop::option::of(1usize..5)).prop_map(|(filter, limit)| Step::Ask(filter, limit)),
    ];
    prop::collection::vec(step, 1..60)
}

/// Filters as clients send them, which many cards answer.
fn common() -> impl Strategy<Value = Filter> {
    "[aAbé]".prop_map(|text| {
        let property = |name: &str| PropertyFilter {
            name: name.into(),
            condition: PropertyCondition::Defined {
                test: Test::AllOf,
                texts: vec![TextMatch {
                    text: text.clone(),
                    collation: Collation::UnicodeCasemap,
                    kind: MatchKind::Contains,
                    negate: false,
                }],
                parameters: Vec::new(),
            },
        };
        Filter { test: Test::AnyOf, properties: ["FN", "N", "EMAIL", "NOTE"].map(property).to_vec() }
    })
}

/// What a card of the odd ones is made too long for the index by.
fn stretched(card: Vec<u8>) -> Vec<u8> {
    let mut long = b"BEGIN:VCARD\r\nNOTE:".to_vec();
    long.resize(long.len() + ENTRY, b'a');
    long.extend_from_slice(b" anna\r\n");
    long.extend_from_slice(card.strip_prefix(b"BEGIN:VCARD\r\n").unwrap());
    long
}

async fn revision(store: &Store, reader: &Reader) -> Revision {
    store.book_of(book(), reader).await.unwrap().unwrap().revision
}

/// The answer by the index and the answer by reading every card.
async fn both(store: &Store, filter: &Filter, limit: Option<usize>) -> Option<[(Vec<Hash>, bool); 2]> {
    let needles = Needles::of(filter)?;
    let compiled = filter.compile();
    let reader = store.read().await.unwrap();
    let at = (book(), revision(store, &reader).await);
    let accept = |card: &[u8]| compiled.matches(card);
    let Matching::Found(found, truncated) =
        store.matching(&reader, at, &needles, &accept, limit, &mut Room::new(true)).await.unwrap()
    else {
        panic!("the index gave no answer");
    };
    let compiled = compiled.clone();
    let read = reader
        .matching(
            book(),
            Box::new(move |card| compiled.matches(card)),
            Unreadable::Passed,
            limit,
            &mut Room::new(false),
        )
        .await
        .unwrap();
    let members = |found: Vec<Chosen>| found.iter().map(|chosen| chosen.member).collect();
    Some([(members(found), truncated), (members(read.0), read.1)])
}

async fn run(steps: Vec<Step>) {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    store.refresh_index(book()).await.unwrap();
    for step in steps {
        match step {
            Step::Put(at, card, long) => {
                put(&store, &at.to_string(), if long { stretched(card) } else { card }).await;
            }
            Step::Remove(at) => remove(&store, &at.to_string()).await,
            Step::Move(from, to, copy, away) => {
                let to = (if away { OTHER } else { book() }, name(&to.to_string()));
                let (from, copy) = ((book(), name(&from.to_string())), copy.then(fresh));
                commit(&store, Op::Card(CardOp::Transfer { from, to, copy })).await;
            }
            Step::Refresh => store.refresh_index(book()).await.unwrap(),
            Step::Ask(filter, limit) => {
                if let Some([indexed, read]) = both(&store, &filter, limit).await {
                    assert_eq!(indexed, read, "{filter:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_index_answers_what_reading_every_card_answers(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(steps));
    }

    /// An arena that was changed holds what one that was filled anew holds, and its order.
    #[test]
    fn an_arena_forgets_nothing_and_keeps_nothing(steps in prop::collection::vec((0u8..200, prop::option::weighted(0.6, "[a-d]{1,60}")), 0..900)) {
        let mut arena = Arena::default();
        let mut model = std::collections::BTreeMap::new();
        // Notes are kept apart.
        let names = |at: u8| [&["FN"][..], &["NOTE"], &["NOTE", "FN"]][usize::from(at % 3)];
        for (at, text) in steps {
            let member = *blake3::hash(&[at]).as_bytes().first_chunk().unwrap();
            match text {
                Some(text) => {
                    let lines = names(at).iter().map(|name| format!("{name}:{text}\r\n"));
                    let card = format!("BEGIN:VCARD\r\n{}END:VCARD\r\n", lines.collect::<String>());
                    arena.put(member, [at; 16], Made::of(card.as_bytes(), None));
                    model.insert(at, text);
                }
                None => {
                    arena.remove(&member);
                    model.remove(&at);
                }
            }
        }
        prop_assert_eq!(arena.len(), model.len());
        let bytes: usize = model.iter().map(|(at, text)| names(*at).len() * (text.len() + 1)).sum();
        prop_assert!(arena.text_len() <= 2 * bytes + (4 << 10) + 122, "{} for {}", arena.text_len(), bytes);
        for wanted in ["a", "bc", "dda"] {
            let terms = Terms::parse(wanted, Mode::Substring, None).unwrap();
            let (found, _) = arena.search(&terms, usize::MAX);
            let mut found: Vec<u8> = found.iter().map(|ranked| ranked.contact[0]).collect();
            found.sort_unstable();
            let expected: Vec<u8> = model.iter().filter(|(_, text)| text.contains(wanted)).map(|(at, _)| *at).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

fn card(text: &str) -> Vec<u8> {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{text}\r\nEND:VCARD\r\n").into_bytes()
}

fn named(text: &str) -> Needles {
    Terms::parse(text, Mode::Substring, None).unwrap().needles()
}

#[tokio::test]
async fn an_index_that_is_ahead_asks_for_a_newer_snapshot() {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    let accept = |_: &[u8]| true;
    let old = store.read().await.unwrap();
    let at = (book(), revision(&store, &old).await);
    let unknown =
        store.matching(&old, at, &named("anna"), &accept, None, &mut Room::new(true)).await.unwrap();
    assert!(matches!(unknown, Matching::Unknown));
    assert_eq!(store.indexes().take_behind().len(), 2, "the home has changed, and the book was asked for");
    put(&store, "a", card("Anna")).await;
    store.refresh_index(book()).await.unwrap();
    let newer = store.matching(&old, at, &named("anna"), &accept, None, &mut Room::new(true)).await.unwrap();
    assert!(matches!(newer, Matching::Newer));
    assert_eq!(store.indexes().take_behind().into_iter().collect::<Vec<_>>(), [book()]);
}

#[tokio::test]
async fn an_index_far_behind_is_left_to_the_upkeep() {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    store.refresh_index(book()).await.unwrap();
    // What is written by another handle is not handed over.
    let writer = Store { indexes: Arc::default(), ..store.clone() };
    for at in 0..=AT_ONCE {
        put(&writer, &at.to_string(), card("Anna")).await;
    }
    let reader = store.read().await.unwrap();
    let at = (book(), revision(&store, &reader).await);
    let accept = |_: &[u8]| true;
    let answer =
        store.matching(&reader, at, &named("berta"), &accept, None, &mut Room::new(true)).await.unwrap();
    assert!(matches!(answer, Matching::Unknown));
    assert!(store.indexes().take_behind().contains(&book()));
    store.refresh_index(book()).await.unwrap();
    assert_eq!(store.indexes().size().cards, AT_ONCE + 1);
    let answer =
        store.matching(&reader, at, &named("berta"), &accept, None, &mut Room::new(true)).await.unwrap();
    assert!(matches!(answer, Matching::Found(found, false) if found.is_empty()));
    let many =
        store.matching(&reader, at, &named("anna"), &accept, None, &mut Room::new(true)).await.unwrap();
    assert!(matches!(many, Matching::Unknown), "reading every card is quicker");
}

#[tokio::test]
async fn a_damaged_card_hides_no_other() {
    let engine = Arc::new(MemoryEngine::new());
    let store = furnished(engine.clone()).await;
    for file in ["a", "b", "c"] {
        put(&store, file, card("Anna")).await;
    }
    let reader = store.read().await.unwrap();
    let at = (book(), revision(&store, &reader).await);
    let card = reader.all_cards(book(), false).await.unwrap().remove(0).readable().unwrap();
    let damaged = ContactId::from_bytes(card.row.contact);
    let write = Write::Put { key: keys::body(book(), damaged), value: b"\x07".to_vec(), stamp: None };
    engine.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
    drop(reader);

    let reader = store.read().await.unwrap();
    let accept = |_: &[u8]| true;
    for made_before in [false, true] {
        if !made_before {
            store.refresh_index(book()).await.unwrap();
            assert_eq!(store.indexes().size().cards, 2);
        }
        let found =
            store.matching(&reader, at, &named("anna"), &accept, None, &mut Room::new(true)).await.unwrap();
        assert!(matches!(found, Matching::Found(found, false) if found.len() == 2));
    }
    let touched = reader.touched(book(), Revision(0), ANEW).await.unwrap().unwrap();
    let outcomes = reader.outcomes(book(), &touched, None).await.unwrap();
    assert_eq!(outcomes.iter().filter(|(_, change)| matches!(change, Change::Put(..))).count(), 2);
    let terms = Arc::new(Terms::parse("anna", Mode::Substring, None).unwrap());
    assert_eq!(store.search(&reader, at, &terms, 10).await.unwrap().len(), 2);
}

/// What a card was chosen by is shown only as the body of the card that there is.
#[tokio::test]
async fn a_body_of_another_version_is_not_shown() {
    let engine = Arc::new(MemoryEngine::new());
    let store = furnished(engine.clone()).await;
    store.refresh_index(book()).await.unwrap();
    put(&store, "a", card("Anna")).await;
    put(&store, "b", card("Anna")).await;
    let reader = store.read().await.unwrap();
    let cards = reader.cards(book(), &[name("a")], Default::default()).await.unwrap();
    let row = cards.into_iter().next().and_then(|found| found.readable()).unwrap().row;
    let key = keys::body(book(), ContactId::from_bytes(row.contact));
    let older = reader.get(vec![key.clone()]).await.unwrap().remove(0).unwrap();
    put(&store, "a", card("Anna!")).await;
    let chosen = async |indexed| {
        let reader = store.read().await.unwrap();
        let (mut room, anna) = (Room::new(true), named("anna"));
        let at = (book(), revision(&store, &reader).await);
        let found = match indexed {
            true => store.matching(&reader, at, &anna, &|_: &[u8]| true, None, &mut room).await.unwrap(),
            false => {
                let all = Box::new(|_: &[u8]| true);
                let read = reader.matching(book(), all, Unreadable::Told, None, &mut room).await.unwrap();
                Matching::Found(read.0, read.1)
            }
        };
        let Matching::Found(found, false) = found else { panic!("the index gave no answer") };
        reader.chosen(book(), found, true).await.unwrap()
    };
    for indexed in [true, false] {
        let (cards, names) = chosen(indexed).await;
        assert_eq!((cards.len(), names.len()), (2, 0));
        assert!(cards.iter().all(|card| card.body.as_ref().unwrap().len() as u64 == card.row.size));
    }
    let write = Write::Put { key, value: older.to_vec(), stamp: None };
    engine.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
    for indexed in [true, false] {
        let (cards, names) = chosen(indexed).await;
        assert_eq!((cards.len(), names), (1, vec![name("a")]), "whoever reads it is told");
    }
}

#[tokio::test]
async fn searching_is_the_same_with_and_without_an_index() {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    for (file, text) in [("a", "Joanna"), ("b", "Anna"), ("c", "Berta"), ("d", "Änne")] {
        put(&store, file, card(text)).await;
    }
    put(&store, "e", stretched(card("Long"))).await;
    let terms = Arc::new(Terms::parse("ann", Mode::Substring, None).unwrap());
    let reader = store.read().await.unwrap();
    let at = (book(), revision(&store, &reader).await);
    let without = store.search(&reader, at, &terms, 10).await.unwrap();
    store.refresh_index(book()).await.unwrap();
    assert_eq!(store.indexes().size().cards, 5);
    assert_eq!(store.search(&reader, at, &terms, 10).await.unwrap(), without);
    let names: Vec<_> = without.iter().map(|ranked| String::from_utf8_lossy(&ranked.formatted)).collect();
    assert_eq!(names, ["anna", "anne", "long", "joanna"], "what begins so, in the name before in a note");
    assert_eq!(store.search(&reader, at, &terms, 1).await.unwrap(), without[..1]);
}

/// The region reaches the index that is made, the one that catches up, and cards that are read.
#[tokio::test]
async fn numbers_are_found_in_the_form_of_e164() {
    let region = Region::parse("RU");
    let store = furnished(Arc::new(MemoryEngine::new())).await.with_region(region);
    let tel = |name: &str| {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nTEL:8 (495) 123-45-67\r\nEND:VCARD\r\n")
            .into_bytes()
    };
    put(&store, "a", tel("Anna")).await;
    put(&store, "b", stretched(tel("Berta"))).await;
    let terms = Arc::new(Terms::parse("7 495 123-45-67", Mode::Substring, region).unwrap());
    for (cards, refresh) in [(2, false), (2, true), (3, false), (3, true)] {
        if cards == 3 && !refresh {
            put(&store, "c", tel("Cara")).await;
        }
        if refresh {
            store.refresh_index(book()).await.unwrap();
        }
        let reader = store.read().await.unwrap();
        let at = (book(), revision(&store, &reader).await);
        assert_eq!(store.search(&reader, at, &terms, 10).await.unwrap().len(), cards);
    }
}

#[tokio::test]
async fn what_is_gone_is_overwritten() {
    let mut arena = Arena::default();
    let body = Bytes::from(card("Anna"));
    arena.put([1; 16], [1; 16], Made::of(&body, None));
    arena.put([2; 16], [2; 16], Made::of(&card("Berta"), None));
    assert!(arena.holds(b"anna"));
    arena.remove(&[1; 16]);
    assert!(!arena.holds(b"anna") && arena.holds(b"berta"));

    let store = furnished(Arc::new(MemoryEngine::new())).await;
    put(&store, "a", card("Anna")).await;
    store.refresh_index(book()).await.unwrap();
    put(&store, "b", card("Berta")).await;
    remove(&store, "a").await;
    store.refresh_index(book()).await.unwrap();
    let kept = store.indexes().get(book()).unwrap();
    assert!(
        kept.held().as_ref().is_some_and(|held| !held.arena.holds(b"anna") && held.arena.holds(b"berta"))
    );
    commit(&store, Op::Collection(CollectionOp::Remove { home: HOME, name: name("contacts"), book: book() }))
        .await;
    store.refresh_index(book()).await.unwrap();
    assert_eq!(store.indexes().size(), Size::default());
    assert_eq!(store.all_books().await.unwrap(), [OTHER]);
}
