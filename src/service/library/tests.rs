//! Books of the API as their sharees see them in their homes.

use super::super::tests::{add, service, sign_in};
use super::*;
use crate::domain::id::UserName;

async fn books(service: &Service, caller: &Caller) -> Vec<String> {
    let home = service.home(caller, &caller.name).await.unwrap();
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
    service.change_library_book(&alice, &book, name, false, shares).await.unwrap();
    assert_eq!(books(&service, &bob).await, ["contacts", "team"]);
}
