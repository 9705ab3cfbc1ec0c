//! Links: what they show, when they stop, and what is left of them.

use crate::domain::ical::{Components, Kind};
use crate::service::access::Caller;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::definitions::filters::Serves;
use crate::service::library::NewBook;
use crate::service::place::Place;
use crate::service::sharing::AskedKind;
use crate::service::tests::*;
use crate::service::view::{Property, PropertyChange, PropertyName, PropertyValue};
use crate::store::tests::furniture::ics;

use super::*;

async fn make(service: &Service, collection: &str) -> NewLink {
    service.create_public_link(collection, None, Some("the board".into()), None).await.unwrap()
}

fn token(link: &NewLink) -> &str {
    link.path.strip_prefix("/public/").unwrap().rsplit_once('.').unwrap().0
}

async fn read(service: &Arc<Service>, token: &str, kind: CollectionKind) -> Option<(Etag, String)> {
    let published = match service.published(token, kind, Version::V3).await {
        Ok(published) => published,
        Err(Stop::Refused(Refusal::NotFound)) => return None,
        Err(other) => panic!("{other}"),
    };
    let tag = published.etag();
    let mut export = published.open().await.unwrap();
    assert_eq!(export.etag(), tag);
    let mut text = String::new();
    while let Some((piece, rest)) = export.piece().await.unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
        export = rest;
    }
    Some((tag, text))
}

async fn put_event(service: &Service, caller: &Caller, uid: &str) {
    let home = HomeName::calendars(caller.name.clone());
    let place = (&home, &name("calendar"), &name(&format!("{uid}.ics")));
    let event = ics(Kind::Event, uid, "SUMMARY:Wunderkammer\r\n").into();
    service.put(caller, place, event, Vec::new()).await.unwrap();
}

#[tokio::test]
async fn cs_15_a_link_shows_all_of_a_collection_until_it_is_revoked() {
    let service = service().await;
    let alice = alice(&service).await;
    put_event(&service, &alice, "one").await;
    let link = make(&service, "alice/calendar").await;
    let token = token(&link);
    // 160 bits, five a letter.
    assert_eq!((token.len(), link.path.rsplit_once('.').unwrap().1), (32, "ics"));
    let (first, text) = read(&service, token, CollectionKind::Calendar).await.unwrap();
    assert!(text.contains("SUMMARY:Wunderkammer") && text.ends_with("END:VCALENDAR\r\n"), "{text}");
    let (same, _) = read(&service, token, CollectionKind::Calendar).await.unwrap();
    assert_eq!(same, first);
    assert!(read(&service, token, CollectionKind::AddressBook).await.is_none());
    put_event(&service, &alice, "two").await;
    let (next, text) = read(&service, token, CollectionKind::Calendar).await.unwrap();
    assert!(next != first && text.matches("BEGIN:VEVENT").count() == 2);

    let other = make(&service, "alice/contacts").await;
    let AdminAnswer::Links(links) = service.admin(AdminRequest::LinkList).await else { panic!() };
    let shown: Vec<_> =
        links.iter().map(|link| (link.collection.as_deref(), link.kind, link.closed)).collect();
    assert_eq!(
        shown,
        [
            (Some("alice/calendar"), Some(AskedKind::Calendar), false),
            (Some("alice/contacts"), Some(AskedKind::Book), false)
        ]
    );
    let json = serde_json::to_string(&links).unwrap();
    assert!(json.contains("the board") && !json.contains(token), "{json}");

    service.revoke_public_link(&link.id).await.unwrap();
    assert!(read(&service, token, CollectionKind::Calendar).await.is_none());
    assert!(service.revoke_public_link(&link.id).await.is_err());
    assert!(read(&service, self::token(&other), CollectionKind::AddressBook).await.is_some());
}

#[tokio::test]
async fn a_link_opens_nothing_private_and_nothing_of_who_may_not_sign_in() {
    let service = service().await;
    let alice = alice(&service).await;
    let link = make(&service, "alice/contacts").await;
    let opens = async || read(&service, token(&link), CollectionKind::AddressBook).await.is_some();
    assert!(opens().await);
    let book = service.collection_asked("alice/contacts", None).await.unwrap();
    for enabled in [false, true] {
        service.admin(AdminRequest::UserEnable { name: "alice".into(), enabled }).await;
        assert_eq!(opens().await, enabled);
        let links = service.public_links().await.unwrap();
        assert_eq!(links.first().unwrap().closed, !enabled);
    }
    for (private, open) in [(true, false), (false, true)] {
        service.set_private(Some(&alice), book, private).await.unwrap();
        // The link does not come back with the book.
        assert!(!opens().await && service.public_links().await.unwrap().is_empty());
        assert_eq!(service.create_public_link("alice/contacts", None, None, None).await.is_ok(), open);
    }
    for bad in ["", "alice", "alice/none", "bob/contacts", "alice/birthdays", "/contacts"] {
        assert!(service.create_public_link(bad, None, None, None).await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_link_ends_when_it_was_to_end_and_goes_with_what_it_shows() {
    let service = service().await;
    let alice = alice(&service).await;
    let past = service.clock.now();
    assert!(service.create_public_link("alice/contacts", None, None, Some(past)).await.is_err());
    // The clock goes on by a millisecond whenever it is read.
    let soon = past + jiff::SignedDuration::from_millis(40);
    let ending = service.create_public_link("alice/contacts", None, None, Some(soon)).await.unwrap();
    let lasting = make(&service, "alice/calendar").await;
    assert!(read(&service, token(&ending), CollectionKind::AddressBook).await.is_some());
    while service.clock.now() < soon {}
    assert!(read(&service, token(&ending), CollectionKind::AddressBook).await.is_none());

    let home = HomeName::calendars(alice.name.clone());
    service.delete(&alice, &Place::Collection(home, name("calendar")), Vec::new()).await.unwrap();
    assert!(read(&service, token(&lasting), CollectionKind::Calendar).await.is_none());
    assert!(service.public_links().await.unwrap().iter().all(|link| link.closed));
    service.purge_all().await.unwrap();
    let reader = service.store.read().await.unwrap();
    assert!(reader.definitions(Definition::PUBLIC_LINK).await.unwrap().is_empty());
    // A calendar of that name is another one.
    service.assert_sound().await;
}

#[tokio::test]
async fn what_calls_itself_private_and_what_only_mirrors_others_is_shown_to_nobody() {
    let service = service().await;
    let alice = alice(&service).await;
    let home = HomeName::calendars(alice.name.clone());
    for (uid, class) in [("open", ""), ("shut", "CLASS:PRIVATE\r\n"), ("half", "CLASS:CONFIDENTIAL\r\n")] {
        let place = (&home, &name("calendar"), &name(uid));
        let event = ics(Kind::Event, uid, &format!("{class}SUMMARY:of {uid}\r\n")).into();
        service.put(&alice, place, event, Vec::new()).await.unwrap();
    }
    let link = make(&service, "alice/calendar").await;
    let (_, text) = read(&service, token(&link), CollectionKind::Calendar).await.unwrap();
    assert!(text.contains("of open") && !text.contains("of shut") && !text.contains("of half"), "{text}");

    let smart = NewBook {
        owner: Principal::User(alice.name.clone()),
        name: name("smart"),
        private: false,
        shares: Vec::new(),
        components: Components::NONE,
    };
    service.create_smart_book(&alice, smart, Serves::Text("title pr".into())).await.unwrap();
    assert!(service.create_public_link("alice/smart", None, None, None).await.is_err());
}

#[tokio::test]
async fn a_link_tells_of_another_name_and_breaks_off_when_it_is_revoked() {
    let service = service().await;
    let alice = alice(&service).await;
    put_event(&service, &alice, "one").await;
    let link = make(&service, "alice/calendar").await;
    let (before, _) = read(&service, token(&link), CollectionKind::Calendar).await.unwrap();
    let title = Property {
        name: PropertyName { namespace: "DAV:".into(), local: "displayname".into() },
        value: PropertyValue::Text { text: "Board".into(), lang: None },
    };
    let place = Place::Collection(HomeName::calendars(alice.name.clone()), name("calendar"));
    service.patch(&alice, &place, vec![PropertyChange::Set(title)], Vec::new()).await.unwrap();
    let (after, text) = read(&service, token(&link), CollectionKind::Calendar).await.unwrap();
    assert!(after != before && text.contains("Board"), "{text}");

    let published = service.published(token(&link), CollectionKind::Calendar, Version::V3).await.unwrap();
    let begun = published.open().await.unwrap();
    service.revoke_public_link(&link.id).await.unwrap();
    assert!(begun.piece().await.is_err());
}

#[tokio::test]
async fn no_link_is_made_to_what_becomes_private_meanwhile() {
    let (engine, service) = meddled().await;
    alice(&service).await;
    let (rival, book) =
        (Arc::clone(&service), service.collection_asked("alice/contacts", None).await.unwrap());
    engine.before_commit(async move { rival.set_private(None, book, true).await.unwrap() });
    assert!(service.create_public_link("alice/contacts", None, None, None).await.is_err());
    assert!(service.public_links().await.unwrap().is_empty());
}

#[tokio::test]
async fn few_read_through_links_at_once() {
    let service = service().await;
    alice(&service).await;
    let link = make(&service, "alice/calendar").await;
    let mut readers = Vec::new();
    for _ in 0..AT_ONCE {
        let published = service.published(token(&link), CollectionKind::Calendar, Version::V3).await.unwrap();
        readers.push(published.open().await.unwrap());
    }
    let published = service.published(token(&link), CollectionKind::Calendar, Version::V3).await.unwrap();
    assert!(matches!(published.open().await, Err(Stop::Refused(Refusal::Busy { .. }))));
    drop(readers);
    assert!(read(&service, token(&link), CollectionKind::Calendar).await.is_some());
}

#[tokio::test]
async fn a_link_does_not_outlive_the_owner_who_had_it() {
    let service = service().await;
    let alice = alice(&service).await;
    put_event(&service, &alice, "one").await;
    add(&service, "bob").await;
    sign_in(&service, "bob", "secret").await.unwrap();
    let link = make(&service, "alice/calendar").await;
    let (name, hand_over) = ("alice".into(), Some("bob".into()));
    let done =
        service.admin(AdminRequest::UserRemove { name, hand_over, erase: false, erase_private: false }).await;
    assert!(matches!(done, AdminAnswer::Done));
    assert!(read(&service, token(&link), CollectionKind::Calendar).await.is_none());
    service.purge_all().await.unwrap();
    assert!(service.public_links().await.unwrap().is_empty());
    let of_bob = make(&service, "bob/calendar-alice").await;
    let (_, text) = read(&service, self::token(&of_bob), CollectionKind::Calendar).await.unwrap();
    assert!(text.contains("Wunderkammer"));
}
