//! Links: what they show, when they stop, and what is left of them.

use crate::domain::ical::Kind;
use crate::service::access::Caller;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::place::Place;
use crate::service::sharing::AskedKind;
use crate::service::tests::*;
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
    let shown: Vec<_> = links.iter().map(|link| (link.collection.as_str(), link.kind, link.closed)).collect();
    assert_eq!(
        shown,
        [("alice/calendar", AskedKind::Calendar, false), ("alice/contacts", AskedKind::Book, false)]
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
    for (private, open) in [(true, false), (false, true)] {
        service.set_private(Some(&alice), book, private).await.unwrap();
        assert_eq!(opens().await, open);
        let links = service.public_links().await.unwrap();
        assert_eq!(links.first().unwrap().closed, !open);
        assert_eq!(service.create_public_link("alice/contacts", None, None, None).await.is_ok(), open);
    }
    for enabled in [false, true] {
        service.admin(AdminRequest::UserEnable { name: "alice".into(), enabled }).await;
        assert_eq!(opens().await, enabled);
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
    assert!(service.public_links().await.unwrap().iter().all(|link| link.collection == "alice/contacts"));
    service.purge_all().await.unwrap();
    let reader = service.store.read().await.unwrap();
    assert!(reader.definitions(Definition::PUBLIC_LINK).await.unwrap().is_empty());
    // A calendar of that name is another one.
    service.assert_sound().await;
}
