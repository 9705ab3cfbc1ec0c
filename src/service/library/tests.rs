//! Books of the API as their sharees see them in their homes.

use std::sync::Arc;

use super::super::groups::GroupFields;
use super::super::tests::{add, alice, meddled, refused, service, sign_in};
use super::super::tokens::{NewToken, TokenKind};
use super::*;
use crate::domain::id::{GroupName, UserName};
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
    let new = NewBook { owner, name: name.clone(), private: false, shares: shares.clone() };
    service.create_library_book(&alice, new).await.unwrap();
    service.private_asked("alice/team", true).await.unwrap();
    assert_eq!(books(&service, &bob).await, ["contacts"]);
    let owner = Principal::User(alice.name.clone());
    let book = service.library_book(&alice, &owner, &name).await.unwrap();
    service.change_library_book(&alice, &book, name, false, shares).await.unwrap().unwrap();
    assert_eq!(books(&service, &bob).await, ["contacts", "team"]);
}

/// A service with alice and her book `team`, and that book.
async fn team(service: &Service) -> (Caller, BookView) {
    let alice = alice(service).await;
    let (owner, name) = (Principal::User(alice.name.clone()), MemberName::parse("team").unwrap());
    let new = NewBook { owner, name, private: false, shares: Vec::new() };
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
    let now = service.library_book(&alice, &book.owner, &book.name).await.unwrap();
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
        let now = service.library_book(caller, &book.owner, &book.name).await.unwrap();
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
    let root = Caller { permissions: crate::domain::permission::Permissions::ALL, ..alice.clone() };
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
