//! That what commits hand over makes the same index as what is read back, whatever order it comes
//! in and whatever is lost of it.

use crate::store::calls::counted;
use crate::store::search::handed::WAITING;

use super::*;

/// Another handle on the same rows, whose commits tell this one's indexes nothing.
fn silent(store: &Store) -> Store {
    Store { indexes: Arc::default(), ..store.clone() }
}

/// What a commit would have handed over.
#[derive(Clone)]
struct Told {
    file: u8,
    card: Option<(ContactId, Vec<u8>)>,
    at: Revision,
}

impl Told {
    fn to(&self, store: &Store) {
        let member = store.hashes().member(BOOK.as_bytes(), &name(&self.file.to_string()));
        let what = match &self.card {
            Some((contact, card)) => What::Put(*contact, Bytes::from(card.clone())),
            None => What::Gone,
        };
        store.indexes().hand_over(vec![News { collection: book(), member, what }], &[self.at.0]);
    }
}

async fn change(store: &Store, file: u8, card: Option<Vec<u8>>) -> Option<Told> {
    let text = file.to_string();
    let op = match &card {
        Some(card) => furniture::put((BOOK, &text), &text, Version::V3, card.clone(), fresh()),
        None => furniture::remove(BOOK, &text),
    };
    let done = furniture::commit(store, jiff::Timestamp::UNIX_EPOCH, op).await.ok()?;
    let card = card.map(|card| (done.cards[0].contact, card));
    Some(Told { file, card, at: revision(store, &store.read().await.unwrap()).await })
}

#[derive(Debug, Clone)]
enum Step {
    Change(u8, Option<Vec<u8>>),
    /// Hands over one of what was not yet, or never does.
    Tell(prop::sample::Index, bool),
    Refresh,
    Ask(Filter),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0u8..6, prop::option::weighted(0.8, cards())).prop_map(|(file, card)| Step::Change(file, card)),
        5 => (any::<prop::sample::Index>(), prop::bool::weighted(0.9)).prop_map(|(at, told)| Step::Tell(at, told)),
        1 => Just(Step::Refresh),
        1 => common().prop_map(Step::Ask),
    ];
    (prop::collection::vec(step, 1..60), common()).prop_map(|(mut steps, filter)| {
        steps.push(Step::Ask(filter));
        steps
    })
}

async fn run(steps: Vec<Step>) {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    let writer = silent(&store);
    store.refresh_index(book()).await.unwrap();
    let mut untold: Vec<Told> = Vec::new();
    for step in steps {
        match step {
            Step::Change(file, card) => untold.extend(change(&writer, file, card).await),
            Step::Tell(at, told) if !untold.is_empty() => {
                let one = untold.remove(at.index(untold.len()));
                if told {
                    one.to(&store);
                }
            }
            Step::Tell(..) => {}
            Step::Refresh => store.refresh_index(book()).await.unwrap(),
            Step::Ask(filter) => {
                if let Some([indexed, read]) = both(&store, &filter, None).await {
                    assert_eq!(indexed, read, "{filter:?}");
                }
                // The upkeep finds nothing that the index has not.
                assert_eq!(kept(&store).waiting(), 0);
            }
        }
    }
}

fn kept(store: &Store) -> Arc<Book> {
    store.indexes().get(book()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_handed_over_in_any_order_is_what_is_there(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(steps));
    }
}

#[tokio::test]
async fn a_put_reads_nothing_back() {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    let without = counted(put(&store, "before", card("Berta"))).await.1;
    assert!(store.indexes().take_behind().contains(&book()), "there is no index yet");
    store.refresh_index(book()).await.unwrap();
    let with = counted(put(&store, "after", card("Anna"))).await.1;
    assert_eq!(with, without);
    remove(&store, "before").await;
    let from = (book(), name("after"));
    let within = CardOp::Transfer { from, to: (book(), name("moved")), copy: None };
    commit(&store, Op::Card(within)).await;
    assert!(store.indexes().take_behind().is_empty(), "nothing is left to the upkeep");
    let reader = store.read().await.unwrap();
    let at = (book(), revision(&store, &reader).await);
    let accept = |_: &[u8]| true;
    let anna = named("anna");
    let asked = counted(store.matching(&reader, at, &anna, &accept, None, &mut Room::new(true))).await;
    assert!(matches!(asked, (Ok(Matching::Found(found, false)), 1) if found.len() == 1));
    let berta = named("berta");
    let asked = counted(store.matching(&reader, at, &berta, &accept, None, &mut Room::new(true))).await;
    assert!(matches!(asked, (Ok(Matching::Found(found, false)), 0) if found.is_empty()));
    // A move to another book is told to both.
    store.refresh_index(OTHER).await.unwrap();
    let to = (OTHER, name("away"));
    let away = CardOp::Transfer { from: (book(), name("moved")), to, copy: None };
    commit(&store, Op::Card(away)).await;
    assert!(store.indexes().take_behind().is_empty());
    assert!(!kept(&store).held().as_ref().unwrap().arena.holds(b"anna"));
    assert_eq!(store.indexes().size().cards, 1);
}

#[tokio::test]
async fn what_comes_early_waits_for_what_is_before_it() {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    store.refresh_index(book()).await.unwrap();
    store.indexes().take_behind();
    let writer = silent(&store);
    let mut told = Vec::new();
    for (file, text) in [(1, "Anna"), (1, "Berta"), (2, "Clara")] {
        told.extend(change(&writer, file, Some(card(text))).await);
    }
    let [first, second, third] = told.as_slice() else { panic!("three changes") };
    let upto = kept(&store).upto().unwrap();
    third.to(&store);
    second.to(&store);
    assert_eq!((kept(&store).upto(), kept(&store).waiting()), (Some(upto), 2));
    assert!(store.indexes().take_behind().contains(&book()), "until it closes, a gap is looked after");
    first.to(&store);
    assert_eq!((kept(&store).upto(), kept(&store).waiting()), (Some(third.at), 0));
    // What is told again, or late, changes nothing.
    first.to(&store);
    assert!(store.indexes().take_behind().is_empty());
    let book = kept(&store);
    let held = book.held();
    let arena = &held.as_ref().unwrap().arena;
    assert!(!arena.holds(b"anna") && arena.holds(b"berta") && arena.holds(b"clara"));
}

#[tokio::test]
async fn a_gap_that_never_closes_is_left_to_the_upkeep() {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    store.refresh_index(book()).await.unwrap();
    let writer = silent(&store);
    change(&writer, 0, Some(card("Lost"))).await.unwrap();
    for round in 0..2 * WAITING {
        change(&writer, 1, Some(card("Anna"))).await.unwrap().to(&store);
        assert!(kept(&store).waiting() <= WAITING, "{round}");
        assert!(store.indexes().take_behind().contains(&book()), "{round}");
    }
    store.refresh_index(book()).await.unwrap();
    assert_eq!(kept(&store).waiting(), 0);
    assert_eq!(store.indexes().size().cards, 2);
    change(&writer, 2, Some(card("Berta"))).await.unwrap().to(&store);
    assert!(store.indexes().take_behind().is_empty(), "from here on it is handed over again");
    assert_eq!(store.indexes().size().cards, 3);
}

/// A catching up that began before a commit was handed over has read what was before it.
#[tokio::test]
async fn what_is_read_late_does_not_undo_what_was_handed_over() {
    let store = furnished(Arc::new(MemoryEngine::new())).await;
    put(&store, "1", card("Anna")).await;
    store.refresh_index(book()).await.unwrap();
    let reader = store.read().await.unwrap();
    let at = revision(&store, &reader).await;
    let arena = reader.arena(book(), None).await.unwrap();
    let touched = reader.touched(book(), Revision(0), ANEW).await.unwrap().unwrap();
    let read = reader.outcomes(book(), &touched, None).await.unwrap();
    put(&store, "1", card("Berta")).await;
    let newest = kept(&store).upto().unwrap();
    assert!(newest > at);
    kept(&store).apply(read, at);
    kept(&store).hold(Held { upto: at, arena });
    assert_eq!(kept(&store).upto(), Some(newest));
    assert!(kept(&store).held().as_ref().unwrap().arena.holds(b"berta"));
}

/// Whoever commits does not wait for a search.
#[test]
fn what_meets_a_search_is_taken_in_after_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = runtime.block_on(furnished(Arc::new(MemoryEngine::new())));
    runtime.block_on(store.refresh_index(book())).unwrap();
    store.indexes().take_behind();
    let book_kept = kept(&store);
    let searching = book_kept.held();
    runtime.block_on(put(&store, "1", card("Anna")));
    assert_eq!(book_kept.waiting(), 1);
    drop(searching);
    assert!(store.indexes().take_behind().contains(&book()));
    runtime.block_on(put(&store, "2", card("Berta")));
    assert_eq!((book_kept.waiting(), store.indexes().size().cards), (0, 2));
    assert!(store.indexes().take_behind().is_empty());
}
