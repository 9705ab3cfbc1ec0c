//! Public links: a whole book or calendar for whoever has its address, without signing in, and nothing
//! for anybody else (CS-15, ICAL-12).

use crate::http::{Request, Response};
use crate::server::{Account, Server, attempt, run, shared, unique};

const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:UID\r\n\
    DTSTAMP:20260101T000000Z\r\nDTSTART:20260704T100000Z\r\nSUMMARY:Wunderkammer\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn put(server: &Server, who: &Account, uid: &str) {
    let path = format!("/dav/calendars/{}/calendar/{uid}.ics", who.name);
    let request = Request::new("PUT", &path)
        .header("Authorization", &who.basic())
        .header("Content-Type", "text/calendar")
        .body(EVENT.replace("UID:UID", &format!("UID:{uid}")));
    assert_eq!(server.once(&request).status, 201);
}

/// The path of a new link.
fn link(server: &Server, arguments: &[&str]) -> String {
    let told = server.run(&[&["link", "create"], arguments].concat(), "");
    let url = told.lines().last().unwrap().to_owned();
    let at = url.find("/public/").unwrap();
    url[at..].to_owned()
}

fn get(server: &Server, path: &str) -> Response {
    server.once(&Request::new("GET", path))
}

fn signed_in(server: &Server) -> Account {
    let who = server.account(&unique("clerk"));
    let request = Request::new("PROPFIND", &format!("/dav/calendars/{}/", who.name))
        .header("Authorization", &who.basic())
        .header("Depth", "0");
    assert_eq!(server.once(&request).status, 207);
    who
}

#[test]
fn cs_15_whoever_has_a_link_reads_and_a_subscriber_asks_again() {
    let server = shared();
    let who = signed_in(server);
    put(server, &who, "one");
    let path = link(server, &[&format!("{}/calendar", who.name), "--label", "the board"]);
    let answer = get(server, &path);
    assert_eq!((answer.status, answer.text().matches("BEGIN:VEVENT").count()), (200, 1));
    assert_eq!(answer.header("content-type").unwrap(), "text/calendar; charset=utf-8");
    assert_eq!(answer.header("x-robots-tag").unwrap(), "noindex");
    assert!(!answer.text().contains(&who.name) && answer.header("content-disposition").is_some());

    let tag = answer.header("etag").unwrap();
    let again = Request::new("GET", &path).header("If-None-Match", &tag);
    let same = server.once(&again);
    assert_eq!((same.status, same.header("etag"), same.text()), (304, Some(tag.clone()), String::new()));
    let head = server.once(&Request::new("HEAD", &path));
    assert_eq!((head.status, head.header("etag")), (200, Some(tag)));
    let length = answer.text().len().to_string();
    assert!(head.header("content-length").is_none_or(|told| told == length));
    put(server, &who, "two");
    let changed = server.once(&again);
    assert_eq!((changed.status, changed.text().matches("BEGIN:VEVENT").count()), (200, 2));

    for method in ["PUT", "DELETE", "PROPFIND", "POST", "REPORT"] {
        let refused = server.once(&Request::new(method, &path).body("x"));
        assert_eq!(
            (refused.status, refused.header("allow").unwrap().as_str()),
            (405, "GET, HEAD"),
            "{method}"
        );
    }
}

#[test]
fn acl_24_a_link_is_told_once_and_revoked_for_good() {
    let server = shared();
    let who = signed_in(server);
    let book = format!("{}/contacts", who.name);
    let path = link(server, &[&book]);
    assert!(path.ends_with(".vcf"), "{path}");
    assert_eq!(get(server, &path).status, 200);
    let token = path.strip_prefix("/public/").unwrap().strip_suffix(".vcf").unwrap().to_owned();
    for elsewhere in
        [format!("/public/{token}.ics"), format!("/public/{token}"), format!("/public/{token}x.vcf")]
    {
        assert_eq!(get(server, &elsewhere).status, 404);
    }
    let listed = server.run(&["link", "list", "--json"], "");
    assert!(!listed.contains(&token) && listed.contains(&book));
    let links: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let ours = links.iter().find(|link| link["collection"] == book.as_str()).unwrap();
    assert_eq!((ours["kind"].as_str(), ours["closed"].as_bool()), (Some("book"), Some(false)));
    server.run(&["link", "revoke", ours["id"].as_str().unwrap()], "");
    let gone = get(server, &path);
    assert_eq!((gone.status, gone.text()), (404, get(server, "/public/aaaabbbbccccdddd.vcf").text()));
    // The token stands in no log line and in no file.
    assert!(!server.log_tail(usize::MAX).contains(&token));
    for file in std::fs::read_dir(&server.data).unwrap().flatten().filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "{:?}", file.path());
    }
}

#[test]
fn links_are_made_without_a_server_too_and_what_is_wrong_is_said() {
    let room = crate::server::room();
    let data = room.path().join("data");
    run(&data, &["user", "add", "ann", "--password-stdin"], "correct horse battery staple\n");
    for (arguments, words) in [
        (&["link", "create", "ann/none"][..], "there is no such"),
        (&["link", "create", "bob/contacts"], "there is no such"),
        (&["link", "revoke", "x"], "there is no link"),
    ] {
        let output = attempt(&data, arguments, "");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.contains(words)), (Some(1), true), "{arguments:?}: {told}");
    }
    let server = Server::on(&data, &[]);
    let ann = server.token("ann");
    let home = Request::new("PROPFIND", "/dav/calendars/ann/").header("Authorization", &ann.basic());
    assert_eq!(server.once(&home.header("Depth", "0")).status, 207);
    drop(server);
    let told = run(&data, &["link", "create", "ann/calendar", "--expires", "2999-01-01"], "");
    let url = told.lines().last().unwrap();
    let server = Server::on(&data, &[]);
    assert_eq!(get(&server, &url[url.find("/public/").unwrap()..]).status, 200);
}
