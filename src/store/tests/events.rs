//! Events: what is told comes back newest first, numbers have no gaps, old ones go, a commit that is
//! refused tells nothing.

use jiff::{Timestamp, ToSpan as _};
use proptest::prelude::*;

use super::*;
use crate::domain::event::{Event, EventKind, Subject};
use crate::domain::id::AccountId;
use crate::store::commit::{Commit, CommitError, Expect, Fact, FactState};
use crate::store::events::{Events, EventsPage};

async fn store() -> Store {
    open(&Arc::new(MemoryEngine::new()), &MemoryMedium::new()).await.unwrap()
}

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap()
}

async fn page(store: &Store, before: Option<u64>, limit: u64) -> Events {
    store.read().await.unwrap().events(EventsPage { before, limit }).await.unwrap()
}

async fn numbers(store: &Store) -> Vec<u64> {
    page(store, None, 1000).await.events.into_iter().map(|(number, _)| number).collect()
}

#[tokio::test]
async fn events_are_read_newest_first_and_page_by_page() {
    let store = store().await;
    assert_eq!(page(&store, None, 5).await, Events { events: Vec::new(), next: None });
    for at in 1..=7 {
        tell(&store, second(at)).await;
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = page(&store, before, 3).await;
        assert!(page.events.iter().all(|(number, event)| event.at == second(*number as i64)));
        seen.extend(page.events.into_iter().map(|(number, _)| number));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    assert!(page(&store, Some(0), 3).await.events.is_empty());
    assert_eq!(page(&store, Some(u64::MAX), 1).await.events[0].0, 7);
}

#[tokio::test]
async fn old_events_go_and_numbers_are_never_given_twice() {
    let store = store().await;
    let day = |day: i64| second(day * 86_400);
    for at in 0..1200 {
        tell(&store, day(at)).await;
    }
    assert_eq!(store.prune_events(day(1200), 100).await.unwrap(), 1100);
    assert_eq!(store.prune_events(day(1200), 100).await.unwrap(), 0);
    assert_eq!(numbers(&store).await, (1101..=1200).rev().collect::<Vec<_>>());
    assert_eq!(page(&store, None, 100).await.next, None);
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    assert_eq!(store.prune_events(day(4000), 100).await.unwrap(), 100);
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    tell(&store, day(4000)).await;
    assert_eq!(numbers(&store).await, [1201]);
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_refused_is_not_told() {
    let store = store().await;
    let never = Expect(vec![vec![Fact { at: None, state: FactState::Never, negate: false }]]);
    let commit = Commit {
        events: vec![Event::new(EventKind::BackupMade, second(1))],
        ..Commit::new(None, second(1), vec![never], Vec::new())
    };
    assert!(matches!(store.commit(&commit).await, Err(CommitError::Unmet(_))));
    assert_eq!(numbers(&store).await, [0; 0]);
}

#[tokio::test]
async fn a_counter_that_is_lost_is_made_anew_and_a_gap_is_told() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let store = open(&engine, &medium).await.unwrap();
    for at in 1..=5 {
        tell(&store, second(at)).await;
    }
    for spoilt in [None, Some(&b"\x07"[..]), Some(&[0; 8])] {
        set(&engine, &keys::event_counter(), spoilt).await;
        assert_eq!(store.check().await.unwrap().faults, ["the counter of events is wrong (4c)"]);
        assert_eq!(store.repair(second(9)).await.unwrap().faults, Vec::<String>::new());
    }
    tell(&store, second(6)).await;
    assert_eq!(numbers(&store).await, [6, 5, 4, 3, 2, 1]);
    set(&engine, &keys::event(6), None).await;
    assert_eq!(store.check().await.unwrap().faults, ["the newest events are missing (4c)"]);
    set(&engine, &keys::event(3), None).await;
    assert_eq!(store.check().await.unwrap().count(), 2);
    assert_eq!(numbers(&store).await, [5, 4, 2, 1]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_hides_no_other() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let store = open(&engine, &medium).await.unwrap();
    for at in 1..=5 {
        tell(&store, second(at)).await;
    }
    set(&engine, &keys::event(2), Some(b"\x07")).await;
    assert_eq!(numbers(&store).await, [5, 4, 3, 1]);
    // It goes with those around it.
    assert_eq!(store.prune_events(second(4) + (24_i64).hours(), 1).await.unwrap(), 3);
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
}

fn some_event() -> impl Strategy<Value = Event> {
    let id = || prop::option::of(any::<[u8; 16]>());
    let address = prop::option::of(any::<std::net::IpAddr>());
    (
        0..EventKind::ALL.len(),
        id(),
        id(),
        0..4,
        any::<[u8; 16]>(),
        prop::option::of(".{0,20}"),
        address,
        any::<u64>(),
    )
        .prop_map(|(kind, actor, account, about, subject, client, address, count)| Event {
            at: second(7),
            kind: EventKind::ALL[kind],
            actor: actor.map(AccountId::from_bytes),
            account: account.map(AccountId::from_bytes),
            subject: match about {
                0 => None,
                1 => Some(Subject::Collection(CollectionId::from_bytes(subject))),
                2 => Some(Subject::Token(uuid::Uuid::from_bytes(subject))),
                _ => Some(Subject::Group(AccountId::from_bytes(subject))),
            },
            client,
            address,
            count,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_event_is_read_as_it_was_told(events in prop::collection::vec(some_event(), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(async {
            let store = store().await;
            let commit = Commit { events: events.clone(), ..Commit::new(None, second(7), Vec::new(), Vec::new()) };
            store.commit(&commit).await.unwrap();
            page(&store, None, 100).await
        });
        let read: Vec<Event> = read.events.into_iter().rev().map(|(_, event)| event).collect();
        prop_assert!(read == events);
    }
}
