//! Whole exchanges over the memory engine: what is too long for one buffer, what a narrowed app
//! password is told, and that nothing a client sends makes this room panic. The transcripts in
//! `protocol-tests/` hold the rest.

mod damaged;

use std::sync::atomic::{AtomicI64, AtomicU64};

use proptest::prelude::*;

use crate::service::Settings;
use crate::service::access::Reach;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::sign_in::{Argon2Cost, Credentials};
use crate::service::tests::{Counting, Ticking};
use crate::store::engine::memory::MemoryEngine;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::tests::key_file;

use super::xml::name::Ns;
use super::xml::read::{Element, parse};
use super::*;

pub(super) async fn alice() -> (Arc<Service>, Caller) {
    let settings = Settings { argon2: Argon2Cost { memory_kib: 8, passes: 1 }, ..Settings::default() };
    let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000)));
    let entropy = Arc::new(Counting(AtomicU64::new(0)));
    let engine = Arc::new(MemoryEngine::new());
    let service =
        Service::open(engine, key_file(&MemoryMedium::new()), clock, entropy, settings).await.unwrap();
    let add = AdminRequest::UserAdd {
        name: "alice".into(),
        email: Some("alice@example.org".into()),
        display_name: None,
        admin: false,
        password: Some("secret".into()),
    };
    assert!(matches!(service.admin(add).await, AdminAnswer::Done));
    let credentials = Credentials { user: "alice".into(), password: "secret".into() };
    let here = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let caller = service.sign_in(credentials, here).await.unwrap();
    (Arc::new(service), caller)
}

const BOOK: &str = "/dav/addressbooks/alice/contacts/";

/// Sends a request; the answer, the number of its pieces, and its body.
async fn send(
    (service, caller): &(Arc<Service>, Caller),
    method: &str,
    path: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> (http::response::Parts, usize, Bytes) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).unwrap();
    let front = props::tests::front();
    let answer = handle(service, caller, &front, request).await.unwrap();
    let (parts, mut body) = answer.into_parts();
    let (mut pieces, mut whole) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        pieces += 1;
        whole.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    (parts, pieces, whole.into())
}

fn card(number: usize) -> String {
    let note = "x".repeat(200);
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u{number}\r\nFN:N{number}\r\nN:N{number};;;;\r\nNOTE:{note}\r\nEND:VCARD\r\n"
    )
}

pub(super) async fn fill(alice: &(Arc<Service>, Caller), count: usize) {
    for number in 0..count {
        let path = format!("{BOOK}{number}.vcf");
        let (parts, ..) = send(alice, "PUT", &path, &[], card(number)).await;
        assert_eq!(parts.status, StatusCode::CREATED);
    }
}

fn responses(body: &[u8]) -> Vec<Element> {
    let root = parse(body).unwrap();
    assert!(root.is(&Ns::Dav, "multistatus"));
    root.elements().filter(|e| e.is(&Ns::Dav, "response")).cloned().collect()
}

fn href(response: &Element) -> String {
    response.child(&Ns::Dav, "href").unwrap().text().into_owned()
}

#[tokio::test]
async fn card_53_long_answers_come_in_pieces_and_are_whole() {
    let alice = alice().await;
    fill(&alice, 300).await;
    let hrefs: String = (0..400).map(|n| format!("<D:href>{BOOK}{n}.vcf</D:href>")).collect();
    let body = format!(
        "<C:addressbook-multiget xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'><D:prop><D:getetag/><C:address-data/></D:prop>{hrefs}</C:addressbook-multiget>"
    );
    let (parts, pieces, answer) = send(&alice, "REPORT", BOOK, &[], body).await;
    assert_eq!(parts.status, StatusCode::MULTI_STATUS);
    assert!(pieces > 1);
    let got = responses(&answer);
    let expected: Vec<_> = (0..400).map(|n| format!("{BOOK}{n}.vcf")).collect();
    assert_eq!(got.iter().map(href).collect::<Vec<_>>(), expected);
    let gone = |r: &Element| r.child(&Ns::Dav, "status").is_some();
    assert_eq!(got.iter().filter(|r| gone(r)).count(), 100);

    let (_, pieces, answer) = send(&alice, "PROPFIND", BOOK, &[("depth", "1")], "").await;
    assert!(pieces > 1);
    assert_eq!(responses(&answer).len(), 301);

    let query = "<C:addressbook-query xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'><D:prop><C:address-data/></D:prop><C:limit><C:nresults>200</C:nresults></C:limit></C:addressbook-query>";
    let (_, _, answer) = send(&alice, "REPORT", BOOK, &[], query).await;
    let got = responses(&answer);
    assert_eq!((got.len(), href(&got[200])), (201, BOOK.to_owned()));

    let sync = "<D:sync-collection xmlns:D='DAV:'><D:sync-token/><D:prop><D:getetag/><C:address-data xmlns:C='urn:ietf:params:xml:ns:carddav'/></D:prop></D:sync-collection>";
    let (_, pieces, answer) = send(&alice, "REPORT", BOOK, &[], sync).await;
    assert!(pieces > 1);
    assert_eq!(responses(&answer).len(), 300);
    let root = parse(&answer).unwrap();
    assert!(root.child(&Ns::Dav, "sync-token").is_some());
}

#[tokio::test]
async fn acl_13_a_reader_is_told_what_is_missing() {
    let mut alice = alice().await;
    fill(&alice, 1).await;
    alice.1.contacts = Reach::Read;
    let card = format!("{BOOK}0.vcf");
    let patch = "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set></D:propertyupdate>";
    for (method, path, body, privilege) in [
        ("DELETE", card.as_str(), "", "unbind"),
        ("PROPPATCH", BOOK, patch, "write-properties"),
        ("MKCOL", "/dav/addressbooks/alice/new/", "", "bind"),
        ("DELETE", "/dav/addressbooks/alice/", "", "unbind"),
    ] {
        let (parts, _, answer) = send(&alice, method, path, &[], body).await;
        assert_eq!(parts.status, StatusCode::FORBIDDEN, "{method} {path}");
        let root = parse(&answer).unwrap();
        let need = root.child(&Ns::Dav, "need-privileges").unwrap();
        let resource = need.child(&Ns::Dav, "resource").unwrap();
        let wanted = resource.child(&Ns::Dav, "privilege").unwrap();
        assert!(wanted.child(&Ns::Dav, privilege).is_some(), "{method} {path}");
    }
    let (parts, ..) = send(&alice, "OPTIONS", &card, &[], "").await;
    assert!(!parts.headers["allow"].to_str().unwrap().contains("PUT"));
}

#[tokio::test]
async fn hrefs_carry_the_front_s_prefix_in_and_out() {
    let alice = alice().await;
    fill(&alice, 1).await;
    let body = format!(
        "<C:addressbook-multiget xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'><D:prop><D:owner/></D:prop><D:href>https://h/p{BOOK}0.vcf</D:href><D:href>{BOOK}0.vcf</D:href></C:addressbook-multiget>"
    );
    let request = Request::builder().method("REPORT").uri(BOOK);
    let front = Front { prefix: "/p".into(), host: Some("h".into()), scheme: "https" };
    let request = request.body(body.into()).unwrap();
    let answer = handle(&alice.0, &alice.1, &front, request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let got = responses(&body);
    assert!(got[0].child(&Ns::Dav, "propstat").is_some());
    assert!(got[1].child(&Ns::Dav, "propstat").is_none());
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains("<D:owner><D:href>/p/dav/principals/users/alice/</D:href></D:owner>"));
}

#[tokio::test]
async fn rep_3_what_is_too_much_to_expand_is_not_called_gone() {
    let alice = alice().await;
    let ask =
        async |request: AdminRequest| assert!(matches!(alice.0.admin(request).await, AdminAnswer::Done));
    ask(AdminRequest::GroupAdd { name: "all".into() }).await;
    for number in 0..80 {
        let name = format!("user{number:02}");
        let (email, display_name, password) = (None, None, None);
        ask(AdminRequest::UserAdd { name: name.clone(), email, display_name, admin: false, password }).await;
        ask(AdminRequest::GroupMember { group: "all".into(), user: name, member: true }).await;
    }
    ask(AdminRequest::GroupMember { group: "all".into(), user: "alice".into(), member: true }).await;
    ask(AdminRequest::Share { book: "alice/contacts".into(), with: "group:all".into(), access: None }).await;
    for number in 0..80 {
        // Whoever shares a book knows of each other.
        let (with, access) = (format!("user{number:02}"), Some(crate::service::sharing::Access::Read));
        ask(AdminRequest::Share { book: "alice/contacts".into(), with, access }).await;
    }
    let again = Credentials { user: "alice".into(), password: "secret".into() };
    let caller = alice.0.sign_in(again, std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)).await.unwrap();
    let alice = (alice.0, caller);
    let body = "<D:expand-property xmlns:D='DAV:'><D:property name='group-member-set'><D:property name='displayname'/></D:property></D:expand-property>";
    let (parts, _, answer) = send(&alice, "REPORT", "/dav/principals/groups/all/", &[], body).await;
    assert_eq!(parts.status, StatusCode::MULTI_STATUS);
    let text = std::str::from_utf8(&answer).unwrap();
    assert_eq!(text.matches("<D:href>/dav/principals/users/").count(), 81, "everybody is named");
    let over = "<D:status>HTTP/1.1 507 Insufficient Storage</D:status><D:error><D:number-of-matches-within-limits/></D:error>";
    assert_eq!(text.matches(over).count(), 81 - 64);
    assert!(!text.contains("404"), "{text}");
}

#[test]
fn discovery_says_what_the_table_says() {
    let headers = discovery_headers();
    let allowed: Vec<_> =
        METHODS.iter().filter(|row| row.kinds.hold(Kind::Root) && !row.writes).map(|row| row.name).collect();
    for name in headers[ALLOW].to_str().unwrap().split(", ") {
        assert!(allowed.contains(&name), "{name}");
    }
    assert!(headers["dav"].to_str().unwrap().contains("addressbook"));
}

#[test]
fn methods_are_named_once() {
    let mut names: Vec<_> = METHODS.iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METHODS.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_sent_makes_it_panic(
        method in "(PROPFIND|PROPPATCH|REPORT|MKCOL|OPTIONS|COPY|LOCK|X)",
        path in "(/dav/addressbooks/alice/contacts/|/dav/addressbooks/alice/|/dav/principals/users/alice/|/dav/|/[a-z%/.]{0,20})",
        depth in "(0|1|infinity|x)",
        root in "(D:propfind|D:propertyupdate|D:mkcol|D:sync-collection|D:expand-property|D:principal-match|D:principal-property-search|C:addressbook-query|C:addressbook-multiget)",
        inner in "(<D:prop>(<D:displayname/>|<C:address-data/>|<x/>|<D:acl/>){0,3}</D:prop>|<D:allprop/>|<D:propname/>|<D:self/>|<D:href>[a-z/%]{0,9}</D:href>|<C:filter><C:prop-filter name='FN'/></C:filter>|<D:set><D:prop><a/></D:prop></D:set>|<D:property name='owner'><D:property name='owner'/></D:property>){0,3}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let alice = alice().await;
            let body = format!("<{root} xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'>{inner}</{root}>");
            let (parts, _, answer) = send(&alice, &method, &path, &[("depth", &depth)], body).await;
            assert!(parts.headers.contains_key("dav"));
            assert_ne!(parts.status, StatusCode::INTERNAL_SERVER_ERROR);
            if parts.status == StatusCode::MULTI_STATUS {
                parse(&answer).unwrap();
            }
        });
    }
}
