//! What is too slow, too long or too much, and what is only nearly so: the server refuses it in words
//! that arrive, and goes on (DAV-48, CARD-9, CARD-53).

use std::io::Read as _;
use std::sync::OnceLock;

use crate::http::{Connection, Request};
use crate::server::{Account, Server, shared};
use crate::short;
use crate::wire::{account, alive, book, raw};

/// A server that loses patience soon and takes small cards only.
fn strict() -> &'static (Server, Account) {
    static STRICT: OnceLock<(Server, Account)> = OnceLock::new();
    STRICT.get_or_init(|| {
        let server = Server::fresh(&[
            ("CARDKEEP_SERVER__HEADER_TIMEOUT", "300ms"),
            ("CARDKEEP_LIMITS__BODY_TIMEOUT", "300ms"),
            ("CARDKEEP_LIMITS__DISCARD_TIMEOUT", "300ms"),
            ("CARDKEEP_LIMITS__CARD_BYTES", "65536"),
            ("CARDKEEP_LIMITS__LOGIN_ATTEMPTS", "1000000"),
        ]);
        let account = server.account("wire");
        (server, account)
    })
}

#[test]
fn dav_48_slow_headers_are_given_up() {
    let (server, who) = strict();
    let mut connection = Connection::open(server.address).unwrap();
    connection.send(b"PROPFIND /dav/ HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let mut rest = Vec::new();
    // Either a 408 or a plain close (RFC 9112 §9.5); the read ends because the server closes.
    let _ = connection.stream().read_to_end(&mut rest);
    let text = String::from_utf8_lossy(&rest).into_owned();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    alive(server, who);
}

#[test]
fn dav_48_slow_bodies_get_408() {
    let (server, who) = strict();
    for head in ["Content-Length: 500", "Transfer-Encoding: chunked"] {
        let request = format!(
            "PUT {}slow.vcf HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: text/vcard\r\n{head}\r\n\r\n",
            book(who),
            who.basic()
        );
        let begun = if head.starts_with('C') { "BEGIN" } else { "5\r\nBEGIN\r\n" };
        let mut connection = Connection::open(server.address).unwrap();
        connection.send(format!("{request}{begun}").as_bytes()).unwrap();
        let answer = connection.receive(false).unwrap();
        assert_eq!(answer.status, 408, "{head}");
        // What comes next cannot be told from the rest of the body, so the connection must end.
        let mut rest = Vec::new();
        let _ = connection.stream().read_to_end(&mut rest);
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
    let missing = server
        .once(&Request::new("GET", &format!("{}slow.vcf", book(who))).header("Authorization", &who.basic()));
    assert_eq!(missing.status, 404, "half a card was stored");
}

#[test]
fn dav_48_long_urls_get_414() {
    let who = account();
    for length in [20_000, 70_000] {
        let path = format!("/dav/{}", "a".repeat(length));
        let answer = shared().once(&Request::new("PROPFIND", &path).header("Authorization", &who.basic()));
        assert_eq!(answer.status, 414, "{length} bytes of path");
    }
    alive(shared(), &who);
}

#[test]
fn dav_48_huge_headers_are_refused() {
    let who = account();
    let many: String = (0..5000).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(2 << 20));
    for fields in [many, long] {
        let mut connection = Connection::open(shared().address).unwrap();
        // The server may close before it has read all; what matters is that it goes on.
        let _ = connection.send(format!("GET /dav/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n").as_bytes());
        if let Ok(answer) = connection.receive(false) {
            assert!([400, 413, 431].contains(&answer.status), "{}", answer.status);
        }
    }
    alive(shared(), &who);
}

#[test]
fn dav_48_big_bodies_are_refused_and_the_answer_arrives() {
    let (server, who) = strict();
    let mut card = short::card("3.0", "big", "big");
    card = card.replace("END:VCARD", &format!("NOTE:{}\r\nEND:VCARD", "x".repeat(4 << 20)));
    let mut client = server.client();
    let put = Request::new("PUT", &format!("{}big.vcf", book(who)))
        .header("Authorization", &who.basic())
        .header("Content-Type", "text/vcard")
        .body(card);
    let answer = client.send(&put).unwrap();
    assert!([403, 413].contains(&answer.status), "{}", answer.status);
    assert!(answer.text().contains("max-resource-size"), "{}", answer.text());
    alive(server, who);

    // A length that nobody will send is answered at once.
    let head = format!(
        "PUT {}huge.vcf HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: text/vcard\r\nContent-Length: 99999999999\r\n\r\n",
        book(who),
        who.basic()
    );
    let answer = raw(server, head.as_bytes());
    assert_eq!(answer.status, 413);
    assert!(answer.closes);
}

#[test]
fn card_9_a_card_just_over_the_limit_is_403() {
    let (server, who) = strict();
    let frame = short::card("3.0", "edge", "edge");
    for (extra, status) in [(0, 201), (1, 403)] {
        let room = 65536 - frame.len() - "NOTE:\r\n".len() + extra;
        let body = frame.replace("END:VCARD", &format!("NOTE:{}\r\nEND:VCARD", "x".repeat(room)));
        assert_eq!(body.len(), 65536 + extra);
        let answer = server.once(
            &Request::new("PUT", &format!("{}edge{extra}.vcf", book(who)))
                .header("Authorization", &who.basic())
                .header("Content-Type", "text/vcard")
                .body(body.replace("UID:edge", &format!("UID:edg{extra}"))),
        );
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let limit = server.once(
        &Request::new("PROPFIND", &book(who))
            .header("Authorization", &who.basic())
            .header("Depth", "0")
            .body(short::propfind(&["C:max-resource-size"])),
    );
    assert!(limit.text().contains(">65536<"), "{}", limit.text());
}

#[test]
fn card_53_thousands_of_hrefs_in_one_multiget() {
    let who = account();
    let path = book(&who);
    let put = Request::new("PUT", &format!("{path}one.vcf"))
        .header("Authorization", &who.basic())
        .header("Content-Type", "text/vcard")
        .body(short::card("3.0", "one", "one"));
    assert_eq!(shared().once(&put).status, 201);
    let mut lines = vec!["@multiget D:getetag".to_owned()];
    // With names this long the request is about ten megabytes.
    let tail = "n".repeat(200);
    lines.extend((0..40_000).map(|n| format!("{path}{n}{tail}.vcf")));
    lines.push(format!("{path}one.vcf"));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let body = short::body(&lines).unwrap().unwrap();
    assert!(body.len() > 10_000_000);
    let answer = shared().once(
        &Request::new("REPORT", &path)
            .header("Authorization", &who.basic())
            .header("Content-Type", "application/xml")
            .body(body),
    );
    assert_eq!(answer.status, 207, "{:.300}", answer.text());
    assert_eq!(answer.text().matches("404 Not Found").count(), 40_000);
    assert_eq!(answer.text().matches("getetag>\"").count(), 1);
}
