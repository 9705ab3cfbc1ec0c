//! Accounts and app passwords as clients meet them: names and passwords of any script, rights that
//! an app password leaves out, accounts that end (RFC 7617, RFC 3744).

use crate::http::{Request, Response, basic};
use crate::judge::status_of;
use crate::server::{Account, Server, shared, unique};
use crate::short;
use crate::xml;

fn principal_of(server: &Server, authorization: &str) -> Response {
    server.once(
        &Request::new("PROPFIND", "/dav/")
            .header("Authorization", authorization)
            .header("Depth", "0")
            .body(short::propfind(&["D:current-user-principal"])),
    )
}

#[test]
fn http_15_passwords_are_utf_8_and_may_hold_colons() {
    let server = shared();
    let name = unique("u");
    let password = "pä:ss:wörd: 密码";
    server.run(&["user", "add", &name, "--password-stdin"], &format!("{password}\n"));
    let answer = principal_of(server, &basic(&name, password));
    assert_eq!(answer.status, 207);
    let href = format!("/dav/principals/users/{name}/");
    assert!(answer.text().contains(&href), "{}", answer.text());
    // The name is found in any case of letters, and hrefs have one form (DISC-6).
    let upper = principal_of(server, &basic(&name.to_uppercase(), password));
    assert_eq!(upper.status, 207);
    assert!(upper.text().contains(&href), "{}", upper.text());
    for (user, pass) in [(name.as_str(), "pä"), (&name, "pä:ss:wörd:"), ("jörg", password), ("", password)]
    {
        let refused = principal_of(server, &basic(user, pass));
        assert_eq!(refused.status, 401);
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("charset=\"UTF-8\""), "{challenge}");
    }
}

fn with(who: &Account, method: &str, path: &str) -> Request {
    Request::new(method, path).header("Authorization", &who.basic())
}

fn card(who: &Account, path: &str, name: &str, uid: &str) -> u16 {
    let request =
        with(who, "PUT", path).header("Content-Type", "text/vcard").body(short::card("3.0", name, uid));
    let answer = shared().once(&request);
    if answer.status == 403 {
        assert_needed(&answer, if name == "old" { "write-content" } else { "bind" });
    }
    answer.status
}

fn assert_needed(answer: &Response, privilege: &str) {
    assert_eq!(answer.status, 403, "{}", answer.text());
    let root = xml::parse(&answer.text(), false).unwrap();
    let mut found = Vec::new();
    root.all(&format!("{{DAV:}}{privilege}"), &mut found);
    assert_eq!(root.name, "{DAV:}error");
    assert!(!found.is_empty(), "need-privileges names {privilege}: {}", answer.text());
    assert!(root.named("{DAV:}need-privileges").len() == 1);
    assert!(answer.header("www-authenticate").is_none());
}

#[test]
fn acl_13_an_app_password_for_reading_cannot_write() {
    let server = shared();
    let owner = server.account(&unique("reader"));
    let out = server.run(
        &["token", "create", "--user", &owner.name, "--kind", "app", "--scope", "dav:contacts:read"],
        "",
    );
    let reader =
        Account { name: owner.name.clone(), password: out.lines().last().unwrap().trim().to_owned() };
    let home = format!("/dav/addressbooks/{}/", owner.name);
    let book = format!("{home}contacts/");
    let path = format!("{book}old.vcf");
    assert_eq!(card(&owner, &path, "old", "old"), 201);

    assert_eq!(server.once(&with(&reader, "GET", &path)).status, 200);
    // ACL-14: each method needs its own privilege; HTTP-14: never 401.
    assert_eq!(card(&reader, &path, "old", "old"), 403);
    assert_eq!(card(&reader, &format!("{book}new.vcf"), "new", "new"), 403);
    assert_needed(&server.once(&with(&reader, "DELETE", &path)), "unbind");
    assert_needed(&server.once(&with(&reader, "DELETE", &book)), "unbind");
    assert_needed(&server.once(&with(&reader, "MKCOL", &format!("{home}more/"))), "bind");
    let moved = with(&reader, "MOVE", &path).header("Destination", &format!("{book}b.vcf"));
    assert_needed(&server.once(&moved), "unbind");
    let copied = with(&reader, "COPY", &path).header("Destination", &format!("{book}b.vcf"));
    assert_needed(&server.once(&copied), "bind");
    let patch = short::body(&["@proppatch D:displayname=Mine"]).unwrap().unwrap();
    let patched = server.once(&with(&reader, "PROPPATCH", &book).body(patch));
    if patched.status == 207 {
        let root = xml::parse(&patched.text(), false).unwrap();
        let mut found = Vec::new();
        root.all("{DAV:}propstat", &mut found);
        assert_eq!(status_of(found[0].child_text("{DAV:}status")), 403);
    } else {
        assert_needed(&patched, "write-properties");
    }

    // ACL-7, ACL-16: what is told is what is enforced; Evolution also reads Allow (B4 #57).
    let told = server.once(
        &with(&reader, "PROPFIND", &book)
            .header("Depth", "1")
            .body(short::propfind(&["D:current-user-privilege-set"])),
    );
    let root = xml::parse(&told.text(), false).unwrap();
    for name in ["write", "write-content", "write-properties", "bind", "unbind", "all"] {
        let mut found = Vec::new();
        root.all(&format!("{{DAV:}}{name}"), &mut found);
        assert!(found.is_empty(), "{name} is told: {}", told.text());
    }
    assert!(told.text().contains("read"));
    let allow = server.once(&with(&reader, "OPTIONS", &path)).header("allow").unwrap();
    assert!(!allow.contains("PUT") && !allow.contains("DELETE"), "{allow}");
    assert_eq!(card(&owner, &path, "old", "old"), 204, "the owner still may");
}

/// CAL-17: reading calendars holds reading busy times.
#[test]
fn cal_11_an_app_password_for_reading_makes_no_calendar() {
    let server = shared();
    let owner = server.account(&unique("planner"));
    let scopes = ["--scope", "dav:calendars:read", "--scope", "dav:contacts"];
    let command = ["token", "create", "--user", &owner.name, "--kind", "app"];
    let out = server.run(&[&command[..], &scopes[..]].concat(), "");
    let reader =
        Account { name: owner.name.clone(), password: out.lines().last().unwrap().trim().to_owned() };
    let home = format!("/dav/calendars/{}/", owner.name);
    let calendar = format!("{home}calendar/");
    let event = |who: &Account, path: &str| {
        let body = short::object("VEVENT", "a", "a");
        server.once(&with(who, "PUT", path).header("Content-Type", "text/calendar").body(body))
    };
    let path = format!("{calendar}a.ics");
    assert_eq!(event(&owner, &path).status, 201);
    assert_eq!(server.once(&with(&reader, "GET", &path)).status, 200);
    assert_needed(&event(&reader, &path), "write-content");
    assert_needed(&event(&reader, &format!("{calendar}b.ics")), "bind");
    assert_needed(&server.once(&with(&reader, "DELETE", &path)), "unbind");
    for method in ["MKCALENDAR", "MKCOL"] {
        assert_needed(&server.once(&with(&reader, method, &format!("{home}more/"))), "bind");
    }
    let asked = with(&reader, "PROPFIND", &calendar).header("Depth", "0");
    let told = server.once(&asked.body(short::propfind(&["D:current-user-privilege-set"])));
    assert!(told.text().contains("read-free-busy") && !told.text().contains("bind"), "{}", told.text());
    let allow = server.once(&with(&reader, "OPTIONS", &calendar)).header("allow").unwrap();
    assert!(!allow.contains("PROPPATCH") && !allow.contains("DELETE"), "{allow}");
}

#[test]
fn a_disabled_account_and_a_removed_one_get_401_at_once() {
    let server = shared();
    let who = server.account(&unique("leaver"));
    assert_eq!(principal_of(server, &who.basic()).status, 207);
    server.run(&["user", "disable", &who.name], "");
    assert_eq!(principal_of(server, &who.basic()).status, 401);
    server.run(&["user", "enable", &who.name], "");
    assert_eq!(principal_of(server, &who.basic()).status, 207);
    server.run(&["user", "remove", &who.name, "--erase"], "");
    assert_eq!(principal_of(server, &who.basic()).status, 401);
}

#[test]
fn a_changed_password_counts_at_once() {
    let server = shared();
    let name = unique("changer");
    server.run(&["user", "add", &name, "--password-stdin"], "first pass phrase\n");
    assert_eq!(principal_of(server, &basic(&name, "first pass phrase")).status, 207);
    server.run(&["user", "passwd", &name, "--password-stdin"], "second pass phrase\n");
    assert_eq!(principal_of(server, &basic(&name, "first pass phrase")).status, 401);
    assert_eq!(principal_of(server, &basic(&name, "second pass phrase")).status, 207);
}

#[test]
fn a_revoked_app_password_gets_401_at_once() {
    let server = shared();
    let who = server.account(&unique("revoker"));
    assert_eq!(principal_of(server, &who.basic()).status, 207);
    let list = server.run(&["token", "list", "--user", &who.name, "--json"], "");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert!(!list.to_string().contains(&who.password), "a list shows a secret");
    let rows = list.as_array().or_else(|| list["items"].as_array()).unwrap();
    assert_eq!(rows.len(), 1);
    let id = rows[0]["id"].as_str().unwrap();
    server.run(&["token", "revoke", id], "");
    assert_eq!(principal_of(server, &who.basic()).status, 401);
    let other = server.token(&who.name);
    assert_eq!(principal_of(server, &other.basic()).status, 207);
}
