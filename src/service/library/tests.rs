//! Books and calendars of the API as their sharees see them in their homes.

use std::sync::Arc;

use super::super::groups::GroupFields;
use super::super::tests::{add, alice, meddled, refused, service, sign_in};
use super::super::tokens::{NewToken, TokenKind};
use super::*;
use crate::domain::ical::Kind;
use crate::domain::id::CollectionKind::{AddressBook, Calendar};
use crate::domain::id::{GroupName, UserName};
use crate::domain::permission::Permissions;
use crate::service::place::Place;

async fn books(service: &Service, caller: &Caller) -> Vec<String> {
    let home = service.home(caller, &caller.books()).await.unwrap();
    home.books.iter().map(|book| book.name.as_ref().unwrap().as_str().to_owned()).collect()
}

#[tokio::test]
async fn a_book_that_is_private_no_more_is_back_in_the_homes_of_those_who_share_it() {
    let service = service().await;
    for user in ["alice", "bob"] {
        add(&service, user).await;
    }
    let alice = sign_in(&service, "alice", "secret").await.unwrap();
    let bob = sign_in(&service, "bob", "secret").await.unwrap();
    let with = Principal::User(UserName::parse("bob").unwrap());
    let (owner, name) = (Principal::User(alice.name.clone()), MemberName::parse("team").unwrap());
    let shares = vec![Share { with, access: Access::Read }];
    let new = NewBook {
        owner,
        name: name.clone(),
        components: Components::NONE,
        private: false,
        shares: shares.clone(),
    };
    service.create_library_book(&alice, new).await.unwrap();
    service.private_asked("alice/team", true).await.unwrap();
    assert_eq!(books(&service, &bob).await, ["contacts"]);
    let owner = Principal::User(alice.name.clone());
    let book = service.library_book(&alice, AddressBook, &owner, &name).await.unwrap();
    service.change_library_book(&alice, &book, name, false, shares).await.unwrap().unwrap();
    assert_eq!(books(&service, &bob).await, ["contacts", "team"]);
}

/// A service with alice and her book `team`, and that book.
async fn team(service: &Service) -> (Caller, BookView) {
    let alice = alice(service).await;
    let (owner, name) = (Principal::User(alice.name.clone()), MemberName::parse("team").unwrap());
    let new = NewBook { owner, name, components: Components::NONE, private: false, shares: Vec::new() };
    let book = service.create_library_book(&alice, new).await.unwrap();
    (alice, book)
}

#[tokio::test]
async fn a_book_that_took_the_name_meanwhile_is_not_removed() {
    let (engine, service) = meddled().await;
    let (alice, book) = team(&service).await;
    let (rival, caller, name) = (Arc::clone(&service), alice.clone(), book.name.clone());
    let replace = async move {
        let place = Place::Collection(caller.books(), name.clone());
        rival.delete(&caller, &place, Vec::new()).await.unwrap();
        rival.create_book(&caller, &caller.books(), &name, Vec::new(), Vec::new()).await.unwrap();
    };
    engine.before_commit(replace);
    assert!(!service.remove_library_book(&alice, &book).await.unwrap());
    assert_eq!(books(&service, &alice).await, ["contacts", "team"]);
    // Nor by DAV, where the name was looked at before.
    let (rival, caller, name) = (Arc::clone(&service), alice.clone(), book.name.clone());
    let place = Place::Collection(caller.books(), name.clone());
    let replace = async move {
        let from = Place::Collection(caller.books(), name.clone());
        rival.delete(&caller, &from, Vec::new()).await.unwrap();
        rival.create_book(&caller, &caller.books(), &name, Vec::new(), Vec::new()).await.unwrap();
    };
    engine.before_commit(replace);
    assert_eq!(refused(service.delete(&alice, &place, Vec::new()).await), Refusal::NotFound);
    let now = service.library_book(&alice, AddressBook, &book.owner, &book.name).await.unwrap();
    assert_ne!(now.id, book.id);
    assert!(service.remove_library_book(&alice, &now).await.unwrap());
    assert_eq!(books(&service, &alice).await, ["contacts"]);
    service.assert_sound().await;
}

#[tokio::test]
async fn what_has_moved_since_it_was_shown_is_neither_changed_nor_removed() {
    let (engine, service) = meddled().await;
    let (alice, book) = team(&service).await;
    add(&service, "bob").await;
    let bob = Principal::User(UserName::parse("bob").unwrap());
    let other = MemberName::parse("other").unwrap();
    // A share comes while the book is renamed, is made private, or goes.
    for attempt in 0..3 {
        service.share(None, book.id, &bob, None).await.unwrap();
        let (rival, id, with) = (Arc::clone(&service), book.id, bob.clone());
        engine.before_commit(async move { rival.share(None, id, &with, Some(Access::Read)).await.unwrap() });
        let (service, caller) = (&service, &alice);
        match attempt {
            0 => {
                let changed = service.change_library_book(caller, &book, other.clone(), false, Vec::new());
                assert!(changed.await.unwrap().is_none());
            }
            1 => {
                let changed = service.change_library_book(caller, &book, book.name.clone(), true, Vec::new());
                assert!(changed.await.unwrap().is_none());
            }
            _ => assert!(!service.remove_library_book(caller, &book).await.unwrap()),
        }
        let now = service.library_book(caller, AddressBook, &book.owner, &book.name).await.unwrap();
        assert!(!now.private && now.shares.is_some_and(|shares| shares.len() == 1));
    }
    let new = NewToken { kind: TokenKind::App, scopes: Vec::new(), label: None, expires: None };
    let (token, secret) = service.create_token(&alice, None, new).await.unwrap();
    let label = |text: &str| Some(text.to_owned());
    // Its use is no change of it, and stays.
    assert!(sign_in(&service, "alice", &secret).await.is_ok());
    service.flush_events().await.unwrap();
    let named = service.change_token(&alice, &token, label("phone"), None).await.unwrap().unwrap();
    assert!(service.token(&alice, token.id).await.unwrap().used.is_some());
    assert!(service.change_token(&alice, &token, label("mine"), None).await.unwrap().is_none());
    assert!(!service.remove_token(&alice, &token).await.unwrap());
    assert!(service.remove_token(&alice, &named).await.unwrap());
    // Who is in a group is a part of it.
    let root = Caller { permissions: Permissions::ALL, ..alice.clone() };
    let sales = GroupName::parse("sales").unwrap();
    let group = service.create_group(&root, &sales, GroupFields::default()).await.unwrap();
    let members = vec![UserName::parse("bob").unwrap()];
    let with = GroupFields { members: members.clone(), ..GroupFields::default() };
    assert!(service.change_group(&root, &group, with).await.unwrap());
    let mine = GroupFields { members: vec![alice.name.clone()], ..GroupFields::default() };
    assert!(!service.change_group(&root, &group, mine).await.unwrap());
    assert!(!service.remove_group(&root, &group, &super::super::people::Legacy::Erase).await.unwrap());
    assert_eq!(service.group(&root, &sales).await.unwrap().fields.members, members);
    service.assert_sound().await;
}

/// A calendar of that owner's that takes these.
fn calendar(owner: &Principal, name: &str, takes: &[Kind]) -> NewBook {
    let (owner, name) = (owner.clone(), MemberName::parse(name).unwrap());
    NewBook { owner, name, components: Components::of(takes), private: false, shares: Vec::new() }
}

fn told(library: &[BookView]) -> Vec<String> {
    let address = |view: &BookView| format!("{}/{}", view.owner.as_str(), view.name.as_str());
    let mut all: Vec<_> = library.iter().map(address).collect();
    all.sort();
    all
}

#[tokio::test]
async fn calendars_are_listed_made_and_removed_as_books_are() {
    let service = service().await;
    let alice = alice(&service).await;
    add(&service, "bob").await;
    let bob = sign_in(&service, "bob", "secret").await.unwrap();
    let (own, with) = (Principal::User(alice.name.clone()), Principal::User(bob.name.clone()));
    assert_eq!(told(&service.library(&alice, Calendar).await.unwrap()), ["alice/calendar", "alice/tasks"]);
    let shares = vec![Share { with, access: Access::Read }];
    let new = NewBook { shares, ..calendar(&own, "plans", &[Kind::Event, Kind::Journal]) };
    let made = service.create_library_book(&alice, new).await.unwrap();
    assert_eq!((made.kind(), made.components.bits(), made.access), (Calendar, 0b101, Some(Access::Write)));
    let seen = service.library_book(&bob, Calendar, &own, &made.name).await.unwrap();
    assert_eq!((seen.id, seen.access, seen.shares.is_none()), (made.id, Some(Access::Read), true));
    // Whoever keeps the settings disposes of it, and reads nothing of it.
    let keeper =
        Caller { account: AccountId::from_bytes([9; 16]), permissions: Permissions::ALL, ..bob.clone() };
    let kept = service.library_book(&keeper, Calendar, &own, &made.name).await.unwrap();
    assert_eq!((kept.access, kept.shares.is_some()), (None, true));
    let all = ["alice/plans", "bob/calendar", "bob/tasks"];
    assert_eq!(told(&service.library(&bob, Calendar).await.unwrap()), all);
    // Neither kind is among the other.
    assert_eq!(told(&service.library(&bob, AddressBook).await.unwrap()), ["bob/contacts"]);
    assert_eq!(refused(service.library_book(&alice, AddressBook, &own, &made.name).await), Refusal::NotFound);
    let contacts = MemberName::parse("contacts").unwrap();
    assert_eq!(refused(service.library_book(&alice, Calendar, &own, &contacts).await), Refusal::NotFound);
    let twice = service.create_library_book(&alice, calendar(&own, "plans", &[Kind::Todo])).await;
    assert!(matches!(refused(twice), Refusal::Conflict(text) if text.contains("calendar")));
    assert!(matches!(refused(service.remove_library_book(&bob, &seen).await), Refusal::NeedPermission(_)));
    assert!(service.remove_library_book(&alice, &made).await.unwrap());
    assert!(!service.remove_library_book(&alice, &made).await.unwrap());
    assert_eq!(told(&service.library(&bob, Calendar).await.unwrap()), ["bob/calendar", "bob/tasks"]);
    service.assert_sound().await;
}

#[tokio::test]
async fn no_calendar_takes_a_name_that_the_server_keeps() {
    let service = service().await;
    let root = Caller { permissions: Permissions::ALL, ..alice(&service).await };
    let sales = GroupName::parse("sales").unwrap();
    service.create_group(&root, &sales, GroupFields::default()).await.unwrap();
    add(&service, "bob").await;
    let (own, group) = (Principal::User(root.name.clone()), Principal::Group(sales));
    let bob = Principal::User(UserName::parse("bob").unwrap());
    let make = async |owner: &Principal, name: &str| {
        service.create_library_book(&root, calendar(owner, name, &[Kind::Event])).await
    };
    // Bob has not signed in yet, and groups never do.
    for (owner, name) in
        [(&own, "birthdays"), (&group, "birthdays"), (&bob, "birthdays"), (&bob, "calendar"), (&bob, "tasks")]
    {
        assert!(matches!(refused(make(owner, name).await), Refusal::Conflict(_)), "{name}");
    }
    for (owner, name) in [(&group, "calendar"), (&bob, "plans"), (&own, "plans")] {
        let made = make(owner, name).await.unwrap();
        for kept in if *owner == bob { &["birthdays", "tasks"][..] } else { &["birthdays"] } {
            let kept = MemberName::parse(kept).unwrap();
            let renamed = service.change_library_book(&root, &made, kept, false, Vec::new()).await;
            assert!(matches!(refused(renamed), Refusal::Conflict(_)));
        }
    }
    let caller = sign_in(&service, "bob", "secret").await.unwrap();
    let theirs = service.library(&caller, Calendar).await.unwrap();
    assert_eq!(told(&theirs), ["bob/calendar", "bob/plans", "bob/tasks"]);
    // A book of such a name is a book.
    let book = NewBook { components: Components::NONE, ..calendar(&bob, "birthdays", &[]) };
    assert_eq!(service.create_library_book(&root, book).await.unwrap().kind(), AddressBook);
    service.assert_sound().await;
}

#[tokio::test]
async fn a_token_changes_calendars_where_it_is_for_followups() {
    let service = service().await;
    let alice = alice(&service).await;
    let own = Principal::User(alice.name.clone());
    let scoped = |words: &[&str]| Caller { scopes: Permissions::of(words.iter().copied()), ..alice.clone() };
    let contacts = scoped(&["contacts:read", "contacts:write", "contacts:delete"]);
    let followups = scoped(&["followups"]);
    let refused_to = Refusal::NeedPermission(Permission::Followups);
    let new = || calendar(&own, "plans", &[Kind::Event]);
    assert_eq!(refused(service.create_library_book(&contacts, new()).await), refused_to);
    let made = service.create_library_book(&followups, new()).await.unwrap();
    assert_eq!(refused(service.remove_library_book(&contacts, &made).await), refused_to);
    assert!(service.remove_library_book(&followups, &made).await.unwrap());
}

#[tokio::test]
async fn an_account_of_before_gets_its_home_with_its_first_calendar() {
    let service = service().await;
    let root = Caller { permissions: Permissions::ALL, ..alice(&service).await };
    let before = service.store.read().await.unwrap().accounts().await.unwrap().pop().unwrap();
    let old = AccountRow {
        name: "old".into(),
        id: [9; 16],
        home: [10; 16],
        calendars: None,
        calendars_provisioned: false,
        ..before
    };
    let add = Op::Account(crate::store::commit::AccountOp::Create(old));
    service.commit(None, Vec::new(), vec![add]).await.unwrap();
    let owner = Principal::User(UserName::parse("old").unwrap());
    let (plans, none) =
        (MemberName::parse("plans").unwrap(), service.library(&root, Calendar).await.unwrap());
    assert_eq!(told(&none), ["alice/calendar", "alice/tasks"]);
    assert_eq!(refused(service.library_book(&root, Calendar, &owner, &plans).await), Refusal::NotFound);
    service.create_library_book(&root, calendar(&owner, "plans", &[Kind::Todo])).await.unwrap();
    assert_eq!(service.library_book(&root, Calendar, &owner, &plans).await.unwrap().components.bits(), 2);
    service.assert_sound().await;
}
