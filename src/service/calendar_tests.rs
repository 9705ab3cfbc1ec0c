//! Calendars through the use cases that books have: what is moved and copied, what is deleted, what
//! becomes of an account's calendars, and that contacts know nothing of them.

use crate::domain::ical::filter::{ComponentCondition, ComponentFilter, Filter};
use crate::domain::ical::overlap::Range;
use crate::domain::ical::{Components, Kind};
use crate::domain::id::{CollectionKind, HomeName, MemberName};
use crate::domain::search::Mode;
use crate::store::commit::AccountOp;
use crate::store::engine::memory::MemoryEngine;
use crate::store::keys::Table;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::rows::AccountRow;
use crate::store::tests::furniture::ics;

use super::access::Caller;
use super::admin::{AdminAnswer, AdminRequest};
use super::place::Place;
use super::tests::*;
use super::transfer::Manner;
use super::view::{
    Carry, Detail, Members, Property, PropertyChange, PropertyName, PropertyValue, Stored, Transferred, Verb,
};
use super::*;

fn home(caller: &Caller) -> HomeName {
    HomeName::calendars(caller.name.clone())
}

fn at(caller: &Caller, calendar: &str) -> Place {
    Place::Collection(home(caller), name(calendar))
}

fn object(caller: &Caller, calendar: &str, file: &str) -> Place {
    Place::Object(home(caller), name(calendar), name(file))
}

async fn put(service: &Service, caller: &Caller, at: (&str, &str), kind: Kind, uid: &str) -> Answer<Stored> {
    let place = (&home(caller), &name(at.0), &name(at.1));
    service.put(caller, place, ics(kind, uid, "SUMMARY:Wunderkammer\r\n").into(), Vec::new()).await
}

/// The calendar's components, its properties' texts, and the UIDs of what is in it.
async fn shown(service: &Service, caller: &Caller, calendar: &str) -> (u8, Vec<String>, Vec<String>) {
    let (home, named) = (home(caller), name(calendar));
    let view = service.book(caller, &home, &named, Members::All, Detail::default()).await.unwrap();
    let text = |property: &Property| match &property.value {
        PropertyValue::Text { text, .. } => text.clone(),
        PropertyValue::Xml(xml) => xml.clone(),
    };
    let mut uids: Vec<_> = view.cards.iter().map(|card| card.uid.as_str().to_owned()).collect();
    uids.sort();
    (view.book.components.bits(), view.book.properties.iter().map(text).collect(), uids)
}

fn manner(verb: Verb) -> Manner {
    Manner { verb, overwrite: false, shallow: false }
}

async fn move_to(
    service: &Service,
    caller: &Caller,
    verb: Verb,
    from: &Place,
    to: &Place,
) -> Answer<Transferred> {
    service.transfer(caller, manner(verb), from, to, Vec::new()).await
}

#[tokio::test]
async fn a_calendar_that_is_copied_or_moved_keeps_what_it_takes_and_what_was_written_on_it() {
    let service = service().await;
    let caller = alice(&service).await;
    let colour = Property {
        name: PropertyName { namespace: "http://apple.com/ns/ical/".into(), local: "calendar-color".into() },
        value: PropertyValue::Text { text: "#ff0000".into(), lang: None },
    };
    let takes = Components::of(&[Kind::Todo, Kind::Availability]);
    let place = (&home(&caller), &name("mine"));
    service.create_collection(&caller, place, takes, vec![colour], Vec::new()).await.unwrap();
    put(&service, &caller, ("mine", "a"), Kind::Todo, "a").await.unwrap();
    put(&service, &caller, ("mine", "b"), Kind::Availability, "b").await.unwrap();
    let whole = (takes.bits(), vec!["#ff0000".to_owned()], vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(shown(&service, &caller, "mine").await, whole);
    move_to(&service, &caller, Verb::Copy, &at(&caller, "mine"), &at(&caller, "copy")).await.unwrap();
    move_to(&service, &caller, Verb::Move, &at(&caller, "mine"), &at(&caller, "moved")).await.unwrap();
    assert_eq!(shown(&service, &caller, "copy").await, whole);
    assert_eq!(shown(&service, &caller, "moved").await, whole);
    for calendar in ["copy", "moved"] {
        let event = put(&service, &caller, (calendar, "e"), Kind::Event, "e").await;
        assert_eq!(refused(event), Refusal::Object(ical::NotAdmitted::Component));
    }
    service.assert_sound().await;
}

#[tokio::test]
async fn nothing_goes_between_books_and_calendars_nor_where_it_is_not_taken() {
    let service = service().await;
    let caller = alice(&service).await;
    service.store_card(&caller, "contacts", "c", card("c", "C")).await.unwrap();
    put(&service, &caller, ("calendar", "e"), Kind::Event, "e").await.unwrap();
    let of_book = Place::Object(caller.books(), name("contacts"), name("c"));
    let in_book = Place::Object(caller.books(), name("contacts"), name("new"));
    let book = Place::Collection(caller.books(), name("contacts"));
    for verb in [Verb::Copy, Verb::Move] {
        for (from, to) in [
            (of_book.clone(), object(&caller, "calendar", "new")),
            (object(&caller, "calendar", "e"), in_book.clone()),
            (object(&caller, "calendar", "nowhere"), in_book.clone()),
            (book.clone(), at(&caller, "new")),
            (at(&caller, "calendar"), Place::Collection(caller.books(), name("new"))),
        ] {
            assert_eq!(refused(move_to(&service, &caller, verb, &from, &to).await), Refusal::WrongPlace);
        }
        let (from, to) = (object(&caller, "calendar", "e"), object(&caller, "tasks", "e"));
        let answer = move_to(&service, &caller, verb, &from, &to).await;
        assert_eq!(refused(answer), Refusal::Object(ical::NotAdmitted::Component));
    }
    let (from, to) = (object(&caller, "calendar", "e"), object(&caller, "calendar", "f"));
    move_to(&service, &caller, Verb::Move, &from, &to).await.unwrap();
    service.assert_sound().await;
}

#[tokio::test]
async fn what_is_deleted_from_a_calendar_is_gone_and_is_no_half_of_a_move() {
    let service = service().await;
    let caller = alice(&service).await;
    // A card and two objects with one UID, all written a moment ago.
    service.store_card(&caller, "contacts", "c", card("same", "C")).await.unwrap();
    put(&service, &caller, ("calendar", "e"), Kind::Event, "same").await.unwrap();
    put(&service, &caller, ("tasks", "t"), Kind::Todo, "same").await.unwrap();
    service.delete(&caller, &object(&caller, "calendar", "e"), Vec::new()).await.unwrap();
    assert_eq!(service.store.count(Table::Erased).await.unwrap(), 1);
    assert_eq!(service.names(&caller, "contacts").await.len(), 1);
    let gone = service.delete(&caller, &object(&caller, "calendar", "e"), Vec::new()).await;
    assert_eq!(refused(gone), Refusal::NotFound);
    // And a card is no half of a move from a calendar.
    let of_book = Place::Object(caller.books(), name("contacts"), name("c"));
    service.delete(&caller, &of_book, Vec::new()).await.unwrap();
    assert_eq!(shown(&service, &caller, "tasks").await.2, ["same"]);
    put(&service, &caller, ("calendar", "e"), Kind::Event, "same").await.unwrap();
    assert_eq!(service.store.count(Table::Record).await.unwrap(), 1, "the card's, in the trash");
    service.assert_sound().await;
}

#[tokio::test]
async fn contacts_know_nothing_of_calendars() {
    let service = service().await;
    let caller = alice(&service).await;
    service.store_card(&caller, "contacts", "c", card("c", "Wunderkammer")).await.unwrap();
    put(&service, &caller, ("calendar", "e"), Kind::Event, "e").await.unwrap();
    for indexed in [false, true] {
        if indexed {
            service.index_all().await.unwrap();
        }
        let hits = service.search(&caller, "wunderkammer", Mode::Substring, 10).await.unwrap();
        assert_eq!(hits.iter().map(|hit| hit.book_name.as_str()).collect::<Vec<_>>(), ["contacts"]);
    }
    let asked =
        office::Listed { filter: None, query: None, order: Vec::new(), step: None, limit: 10, trash: false };
    assert_eq!(service.list_contacts(&caller, asked).await.unwrap().contacts.len(), 1);
    for (kind, count) in [(CollectionKind::AddressBook, 1), (CollectionKind::Calendar, 2)] {
        assert_eq!(service.library(&caller, kind).await.unwrap().len(), count);
    }
    assert_eq!(service.book_address("alice/calendar").await.unwrap(), None);
}

async fn go(service: &Service, to: Option<&str>, erase: bool) -> AdminAnswer {
    let hand_over = to.map(str::to_owned);
    let name = "alice".into();
    service.admin(AdminRequest::UserRemove { name, hand_over, erase, erase_private: false }).await
}

#[tokio::test]
async fn calendars_go_with_their_owner_or_to_whom_they_are_given() {
    for handed in [true, false] {
        let service = service().await;
        let caller = alice(&service).await;
        add(&service, "bob").await;
        let bob = sign_in(&service, "bob", "secret").await.unwrap();
        put(&service, &caller, ("calendar", "e"), Kind::Event, "e").await.unwrap();
        let asked = go(&service, None, false).await;
        assert!(matches!(asked, AdminAnswer::Undecided { books: 1, contacts: 0, calendars: 2, entries: 1 }));
        let done = go(&service, handed.then_some("bob"), !handed).await;
        assert!(matches!(done, AdminAnswer::Done));
        service.purge_all().await.unwrap();
        if handed {
            let events = Components::of(&[Kind::Event]).bits();
            assert_eq!(shown(&service, &bob, "calendar-alice").await, (events, Vec::new(), vec!["e".into()]));
        }
        let bodies = service.store.count(Table::Body).await.unwrap();
        assert_eq!(bodies, usize::from(handed));
        service.assert_sound().await;
    }
}

#[tokio::test]
async fn an_account_of_before_gets_its_home_of_calendars_at_the_start() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let open = async || {
        let clock = Arc::new(Ticking(1_790_000_000_000.into()));
        let entropy = Arc::new(Counting(stretch()));
        let file = crate::store::tests::key_file(&medium);
        Service::open(engine.clone(), file, clock, entropy, quick()).await.unwrap()
    };
    let service = open().await;
    alice(&service).await;
    // As the version before left it: without a home of calendars, and with a book.
    let before = service.store.read().await.unwrap().accounts().await.unwrap().pop().unwrap();
    let old = AccountRow {
        name: "old".into(),
        id: [9; 16],
        home: [10; 16],
        calendars: None,
        calendars_provisioned: false,
        ..before
    };
    let add = Op::Account(AccountOp::Create(old));
    service.commit(None, Vec::new(), vec![add]).await.unwrap();
    drop(service);
    let service = open().await;
    service.lay_calendar_homes().await.unwrap();
    let homes = async |service: &Service| {
        let accounts = service.store.read().await.unwrap().accounts().await.unwrap();
        let homes = accounts.iter().map(|account| account.home_of(CollectionKind::Calendar));
        homes.collect::<Vec<_>>()
    };
    let laid = homes(&service).await;
    assert!(laid.len() == 2 && laid.iter().all(Option::is_some));
    service.assert_sound().await;
    service.lay_calendar_homes().await.unwrap();
    assert_eq!(homes(&service).await, laid);
    let caller = sign_in(&service, "old", "secret").await.unwrap();
    put(&service, &caller, ("calendar", "e"), Kind::Event, "e").await.unwrap();
    service.assert_sound().await;
}

/// Another stretch of numbers for each service that is opened.
fn stretch() -> std::sync::atomic::AtomicU64 {
    static OPENED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    (OPENED.fetch_add(1, std::sync::atomic::Ordering::Relaxed) << 32).into()
}

#[tokio::test]
async fn cal_20_whoever_asks_has_its_own_time_zone_on_a_calendar_of_others() {
    let service = service().await;
    let alice = alice(&service).await;
    add(&service, "bob").await;
    let bob = sign_in(&service, "bob", "secret").await.unwrap();
    let event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:late\r\nDTSTAMP:20260101T000000Z\r\n\
                 DTSTART:20260301T230000\r\nDTEND:20260301T233000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let place = (&home(&alice), &name("calendar"), &name("late.ics"));
    service.put(&alice, place, event.into(), Vec::new()).await.unwrap();
    service.share_asked("alice/calendar", "bob", Some(sharing::Access::Read)).await.unwrap();
    let shared = name("calendar-alice");
    let finds = async |caller: &Caller, calendar: &MemberName| {
        let range =
            Range { start: "2026-03-02T00:00:00Z".parse().ok(), end: "2026-03-02T23:59:00Z".parse().ok() };
        let within = |name: &str, range, components| ComponentFilter {
            name: name.into(),
            condition: ComponentCondition::Defined { range, properties: vec![], components },
        };
        let events = within("VEVENT", Some(range), vec![]);
        let filter = Arc::new(Filter(within("VCALENDAR", None, vec![events])));
        let mut carry = Carry::new(Detail::default());
        let place = (&home(caller), calendar);
        service.query_calendar(caller, place, filter, None, None, &mut carry).await.unwrap().cards.len()
    };
    let zone = async |caller: &Caller, calendar: &MemberName, tzid: &str| {
        let named =
            PropertyName { namespace: calendars::CALDAV.into(), local: "calendar-timezone-id".into() };
        let value = PropertyValue::Text { text: tzid.into(), lang: None };
        let set = PropertyChange::Set(Property { name: named, value });
        let place = Place::Collection(home(caller), calendar.clone());
        service.patch(caller, &place, vec![set], Vec::new()).await.unwrap();
    };
    let own = name("calendar");
    assert_eq!((finds(&alice, &own).await, finds(&bob, &shared).await), (0, 0));
    // Eleven at night is the next day in UTC.
    zone(&bob, &shared, "America/New_York").await;
    assert_eq!((finds(&alice, &own).await, finds(&bob, &shared).await), (0, 1));
    zone(&alice, &own, "America/New_York").await;
    zone(&bob, &shared, "Europe/Berlin").await;
    assert_eq!((finds(&alice, &own).await, finds(&bob, &shared).await), (1, 0));
}
