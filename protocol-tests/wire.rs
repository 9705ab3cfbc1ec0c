//! What needs raw sockets: requests that are chunked, old, pipelined, multiplexed, forwarded or not
//! quite HTTP (RFC 9110, RFC 9112, RFC 9113). Knows the wire, little of WebDAV.

use std::io::Read as _;

use crate::http::{Connection, Request, Response};
use crate::judge::shape;
use crate::server::{Account, Server, shared, unique};
use crate::short;
use crate::xml;

/// A user of the shared server.
pub fn account() -> Account {
    shared().account(&unique("wire"))
}

/// What these bytes are answered with.
pub fn raw(server: &Server, bytes: &[u8]) -> Response {
    let mut connection = Connection::open(server.address).unwrap();
    connection.send(bytes).unwrap();
    connection.receive(false).unwrap()
}

/// The path of the book that every user has.
pub fn book(who: &Account) -> String {
    format!("/dav/addressbooks/{}/contacts/", who.name)
}

/// The server still answers.
pub fn alive(server: &Server, who: &Account) {
    let request =
        Request::new("PROPFIND", "/dav/").header("Authorization", &who.basic()).header("Depth", "0");
    assert_eq!(server.once(&request).status, 207, "the server no longer answers");
}

fn chunked(method: &str, path: &str, who: &Account, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: {kind}\r\nDepth: 0\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
        who.basic()
    )
    .into_bytes();
    for piece in body.chunks(7) {
        out.extend(format!("{:x};ext=\"a\"\r\n", piece.len()).as_bytes());
        out.extend(piece);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\nX-Sum: none\r\n\r\n");
    out
}

#[test]
fn http_18_chunked_bodies_are_taken_everywhere() {
    let who = account();
    let path = book(&who);
    let card = short::card("3.0", "chunky", "chunky");
    let patch = short::body(&["@proppatch D:displayname=Chunky"]).unwrap().unwrap();
    let steps: [(&str, String, &str, Vec<u8>, u16); 4] = [
        ("PUT", format!("{path}c.vcf"), "text/vcard", card.clone().into_bytes(), 201),
        ("PROPPATCH", path.clone(), "application/xml", patch, 207),
        ("PROPFIND", path.clone(), "application/xml", short::propfind(&["D:displayname"]).into_bytes(), 207),
        ("REPORT", path.clone(), "application/xml", short::sync("", None, &["D:getetag"]).into_bytes(), 207),
    ];
    for (method, path, kind, body, status) in steps {
        let answer = raw(shared(), &chunked(method, &path, &who, kind, &body));
        assert_eq!(answer.status, status, "{method}: {}", answer.text());
        if method == "PROPFIND" {
            assert!(answer.text().contains("Chunky"));
        }
    }
    let get =
        shared().once(&Request::new("GET", &format!("{path}c.vcf")).header("Authorization", &who.basic()));
    assert_eq!(get.text(), card);
}

#[test]
fn broken_framing_is_refused() {
    let who = account();
    let head = format!(
        "PUT {}x.vcf HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: text/vcard\r\n",
        book(&who),
        who.basic()
    );
    let ends = [
        "Transfer-Encoding: chunked\r\n\r\nzz\r\nBEGIN\r\n0\r\n\r\n",
        "Content-Length: 3\r\nContent-Length: 5\r\n\r\nBEGIN",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 0x10\r\n\r\n",
        "Bad Header\r\n\r\n",
    ];
    for end in ends {
        let answer = raw(shared(), format!("{head}{end}").as_bytes());
        assert_eq!(answer.status, 400, "{end:?}");
    }
    let answer = raw(shared(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n");
    assert_eq!(answer.status, 400);
    alive(shared(), &who);
}

#[test]
fn http_18_expect_100_continue_is_answered() {
    let who = account();
    let card = short::card("3.0", "polite", "polite");
    let mut connection = Connection::open(shared().address).unwrap();
    let head = format!(
        "PUT {}p.vcf HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: text/vcard\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        book(&who),
        who.basic(),
        card.len()
    );
    connection.send(head.as_bytes()).unwrap();
    let mut interim = [0u8; 25];
    connection.stream().read_exact(&mut interim).unwrap();
    assert_eq!(&interim[..], b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.send(card.as_bytes()).unwrap();
    assert_eq!(connection.receive(false).unwrap().status, 201);
}

#[test]
fn http_13_a_stranger_gets_401_before_the_body() {
    for expect in ["", "Expect: 100-continue\r\n"] {
        let head = format!(
            "PUT /dav/addressbooks/x/contacts/p.vcf HTTP/1.1\r\nHost: x\r\nContent-Type: text/vcard\r\nContent-Length: 1000000\r\n{expect}\r\n"
        );
        let answer = raw(shared(), head.as_bytes());
        assert_eq!(answer.status, 401);
        assert!(answer.interim.is_empty(), "the body was asked for");
        assert!(answer.header("www-authenticate").is_some());
        assert!(answer.header("dav").is_some());
    }
}

#[test]
fn http_24_http_1_0_works() {
    let who = account();
    let body = short::propfind(&["D:resourcetype", "D:current-user-principal"]);
    let request = format!(
        "PROPFIND {} HTTP/1.0\r\nAuthorization: {}\r\nDepth: 0\r\nContent-Length: {}\r\n\r\n{body}",
        book(&who),
        who.basic(),
        body.len()
    );
    let answer = raw(shared(), request.as_bytes());
    assert_eq!(answer.status, 207);
    assert!(answer.header("transfer-encoding").is_none(), "1.0 knows no chunks");
    assert!(answer.closes);
    let root = xml::parse(&answer.text(), false).unwrap();
    assert_eq!(shape(&root), Vec::<String>::new());
}

#[test]
fn requests_in_a_row_and_pipelined_are_answered_in_order() {
    let who = account();
    let path = book(&who);
    let mut all = Vec::new();
    for n in 0..5 {
        all.extend(
            Request::new("PUT", &format!("{path}{n}.vcf"))
                .header("Authorization", &who.basic())
                .header("Content-Type", "text/vcard")
                .body(short::card("3.0", &format!("n{n}"), &format!("n{n}")))
                .bytes("x"),
        );
        all.extend(
            Request::new("GET", &format!("{path}{n}.vcf")).header("Authorization", &who.basic()).bytes("x"),
        );
    }
    let mut connection = Connection::open(shared().address).unwrap();
    connection.send(&all).unwrap();
    for n in 0..5 {
        assert_eq!(connection.receive(false).unwrap().status, 201);
        let got = connection.receive(false).unwrap();
        assert_eq!(got.status, 200);
        assert!(got.text().contains(&format!("FN:n{n}\r\n")));
        assert!(!got.closes);
    }
}

#[test]
fn dav_8_odd_paths_reach_nothing_and_break_nothing() {
    let who = account();
    let path = book(&who);
    let card = || short::card("3.0", "odd", "odd");
    let bad = [
        format!("{path}%zz.vcf"),
        format!("{path}%"),
        format!("{path}%4"),
        format!("{path}a%2Fb.vcf"),
        format!("{path}a%2fb.vcf"),
        format!("{path}%00.vcf"),
        format!("{path}a%00b"),
        format!("{path}%ff%fe.vcf"),
        format!("{path}%c3.vcf"),
        format!("{path}%ed%a0%80.vcf"),
        format!("{path}."),
        format!("{path}.."),
        format!("{path}%2e%2e"),
        format!("{path}%2E"),
        format!("{path}../../other/contacts/x.vcf"),
        format!("{path}%2e%2e/contacts/x.vcf"),
        format!("{path}a/../b.vcf"),
        format!("{path}a%0d%0aX-Bad:1"),
        "/dav/..%2f..%2fetc/passwd".to_owned(),
    ];
    for path in &bad {
        for method in ["PUT", "GET", "PROPFIND", "DELETE", "MKCOL"] {
            let mut request =
                Request::new(method, path).header("Authorization", &who.basic()).header("Depth", "0");
            if method == "PUT" {
                request = request.header("Content-Type", "text/vcard").body(card());
            }
            let answer = shared().once(&request);
            assert!((400..500).contains(&answer.status), "{method} {path} -> {}", answer.status);
            assert!(answer.header("x-bad").is_none());
        }
        let copy = shared().once(
            &Request::new("MOVE", &format!("{}none.vcf", book(&who)))
                .header("Authorization", &who.basic())
                .header("Destination", path),
        );
        assert!((400..500).contains(&copy.status) || copy.status == 502, "to {path} -> {}", copy.status);
    }
    let list = shared().once(
        &Request::new("PROPFIND", &book(&who))
            .header("Authorization", &who.basic())
            .header("Depth", "1")
            .body(short::propfind(&["D:getetag"])),
    );
    let root = xml::parse(&list.text(), false).unwrap();
    assert_eq!(root.named("{DAV:}response").len(), 1, "{}", list.text());
}

#[test]
fn odd_bytes_in_a_request_line_are_refused() {
    let who = account();
    for line in [
        &b"PROPFIND /dav/\x00 HTTP/1.1"[..],
        b"PROPFIND /dav/ a HTTP/1.1",
        b"PROPFIND /dav/",
        b"PROPFIND /dav/ HTTP/3.7",
        b"\xff\xfe /dav/ HTTP/1.1",
    ] {
        let mut request = line.to_vec();
        request.extend(format!("\r\nHost: x\r\nAuthorization: {}\r\n\r\n", who.basic()).as_bytes());
        let mut connection = Connection::open(shared().address).unwrap();
        connection.send(&request).unwrap();
        if let Ok(answer) = connection.receive(false) {
            assert!((400..506).contains(&answer.status), "{line:?} -> {}", answer.status);
        }
    }
    alive(shared(), &who);
}

#[test]
fn http_24_http_2_answers_as_http_1_1() {
    let who = account();
    let path = book(&who);
    let put = shared().once(
        &Request::new("PUT", &format!("{path}h2.vcf"))
            .header("Authorization", &who.basic())
            .header("Content-Type", "text/vcard")
            .body(short::card("3.0", "h2", "h2")),
    );
    assert_eq!(put.status, 201);
    let find = short::propfind(&["D:getetag", "D:resourcetype", "X:nothing"]);
    let requests = [
        Request::new("OPTIONS", &path),
        Request::new("PROPFIND", &path).header("Depth", "1").body(find),
        Request::new("GET", &format!("{path}h2.vcf")),
        Request::new("HEAD", &format!("{path}h2.vcf")),
        Request::new("GET", &format!("{path}none.vcf")),
        Request::new("REPORT", &path).body(short::sync("", None, &["D:getetag"])),
        Request::new("PUT", &path),
        Request::new("BREW", &path),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for request in requests {
        let request = request.header("authorization", &who.basic());
        let old = shared().once(&request);
        let new = runtime.block_on(over_h2(shared(), &request));
        assert_eq!(old.status, new.status, "{}", request.method);
        assert_eq!(old.text(), new.text(), "{}", request.method);
        for name in ["etag", "dav", "allow", "content-type", "vary", "last-modified"] {
            assert_eq!(old.header(name), new.header(name), "{} {name}", request.method);
        }
        if old.status == 207 {
            assert!(!new.text().contains("HTTP/2"), "{}", new.text());
        }
    }
}

async fn over_h2(server: &Server, request: &Request) -> Response {
    use http_body_util::{BodyExt as _, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut builder = ::http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("http://{}{}", server.address, request.path));
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let body = Full::new(bytes::Bytes::from(request.body.clone().unwrap_or_default()));
    let answer = sender.send_request(builder.body(body).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    driver.abort();
    Response {
        status: head.status.as_u16(),
        headers: head
            .headers
            .iter()
            .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect(),
        body,
        ..Response::default()
    }
}

#[test]
fn http_23_behind_a_proxy_hrefs_are_what_the_client_sees() {
    let server = Server::fresh(&[("CARDKEEP_SERVER__BEHIND_PROXY", "true")]);
    let who = server.account("proxied");
    let through = |method: &str, path: &str| {
        Request::new(method, path)
            .header("Authorization", &who.basic())
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "contacts.example.org")
            .header("X-Forwarded-Prefix", "/cards")
            .header("X-Forwarded-For", "192.0.2.7")
    };
    let found = server.once(
        &through("PROPFIND", "/dav/")
            .header("Depth", "0")
            .body(short::propfind(&["D:current-user-principal"])),
    );
    assert_eq!(found.status, 207);
    assert!(found.text().contains("/cards/dav/principals/users/proxied/"), "{}", found.text());
    let known = server.once(&through("PROPFIND", "/.well-known/carddav"));
    assert_eq!(known.status, 301);
    let location = known.header("location").unwrap();
    assert!(location == "/cards/dav/" || location == "https://contacts.example.org/cards/dav/", "{location}");
    let card = format!("{}a.vcf", book(&who));
    let put = through("PUT", &card).header("Content-Type", "text/vcard").body(short::card("3.0", "a", "a"));
    assert_eq!(server.once(&put).status, 201);
    let destination = |url: &str| through("MOVE", &card).header("Destination", url);
    let away = server.once(&destination("https://elsewhere.example.org/cards/dav/x"));
    assert_eq!(away.status, 502);
    let good = format!("https://contacts.example.org/cards{}b.vcf", book(&who));
    assert_eq!(server.once(&destination(&good)).status, 201);
    let list = server.once(&through("REPORT", &book(&who)).body(short::sync("", None, &["D:getetag"])));
    let href = format!(">/cards{}b.vcf<", book(&who));
    assert!(list.text().contains(&href), "{}", list.text());
    let multiget = short::body(&["@multiget D:getetag", href.trim_matches(['<', '>'])]).unwrap().unwrap();
    let fetched = server.once(&through("REPORT", &book(&who)).body(multiget));
    assert!(fetched.text().contains("getetag>\""), "{}", fetched.text());
}

#[test]
fn http_23_without_a_proxy_forwarded_headers_count_for_nothing() {
    let who = account();
    let found = shared().once(
        &Request::new("PROPFIND", "/dav/")
            .header("Authorization", &who.basic())
            .header("Depth", "0")
            .header("X-Forwarded-Host", "evil.example.org")
            .header("X-Forwarded-Prefix", "/evil")
            .header("Forwarded", "host=evil.example.org;proto=https")
            .body(short::propfind(&["D:current-user-principal"])),
    );
    assert_eq!(found.status, 207);
    assert!(!found.text().contains("evil"), "{}", found.text());
}
