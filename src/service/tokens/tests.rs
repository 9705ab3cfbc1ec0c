//! What tokens make of themselves.

use std::net::{IpAddr, Ipv4Addr};

use super::super::access::Reach;
use super::super::refusal::Stop;
use super::super::tests::{add, service, sign_in};
use super::*;

/// The API's caller with a token of these scopes.
async fn by_token(service: &Service, owner: &Caller, scopes: &[&str]) -> Caller {
    let new = fresh(TokenKind::Api, scopes);
    let (_, secret) = service.create_token(owner, None, new).await.unwrap();
    service.sign_in_by_token(&secret, IpAddr::V4(Ipv4Addr::LOCALHOST).into()).await.ok().unwrap()
}

fn fresh(kind: TokenKind, scopes: &[&str]) -> NewToken {
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    NewToken { kind, scopes, label: None, expires: None }
}

#[tokio::test]
async fn a_token_makes_no_app_password_that_opens_more_than_itself() {
    let service = service().await;
    add(&service, "alice").await;
    let alice = sign_in(&service, "alice", "secret").await.unwrap();
    let missing = async |scopes: &[&str], app: &[&str]| {
        let token = by_token(&service, &alice, scopes).await;
        match service.create_token(&token, None, fresh(TokenKind::App, app)).await {
            Ok(_) => None,
            Err(Stop::Refused(Refusal::NeedPermission(missing))) => Some(missing.word()),
            Err(other) => panic!("{other}"),
        }
    };
    let token = by_token(&service, &alice, &["users"]).await;
    assert_eq!(token.contacts, Reach::None);
    for (scopes, app, expected) in [
        (&["users"][..], &[][..], Some("contacts:read")),
        (&["users"], &["dav:contacts"], Some("contacts:read")),
        (&["users"], &["dav:contacts:read"], Some("contacts:read")),
        (&["users", "contacts:read"], &["dav:contacts:read"], None),
        (&["users", "contacts:read"], &["dav:contacts", "dav:contacts:read"], Some("contacts:write")),
        (&["users", "contacts:read", "contacts:write"], &[], Some("contacts:delete")),
        (&["users", "contacts:read", "contacts:write", "contacts:delete"], &[], None),
        (&["users"], &["dav:calendars"], None),
    ] {
        assert_eq!(missing(scopes, app).await, expected, "{scopes:?} {app:?}");
    }
    // With the account's own password everything goes.
    assert!(service.create_token(&alice, None, fresh(TokenKind::App, &[])).await.is_ok());
}
