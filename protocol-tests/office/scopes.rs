//! Each path with a token for nothing but that path's scope, and with one for everything else.

use super::*;

const SCOPES: [&str; 13] = [
    "contacts:read",
    "contacts:write",
    "contacts:delete",
    "contacts:merge",
    "import",
    "export",
    "documents",
    "followups",
    "privacy",
    "audit",
    "mail",
    "users",
    "settings",
];

type Body = fn(&Value, &Value) -> Value;

const NONE: Body = |_, _| Value::Null;

/// Method, path with `{}` for a contact, the body, and the scopes, the first of which is named as missing.
const PATHS: &[(&str, &str, Body, &[&str])] = &[
    ("GET", "/contacts", NONE, &["contacts:read"]),
    ("HEAD", "/contacts", NONE, &["contacts:read"]),
    ("POST", "/contacts", |_, _| json!({"name": {"family": "New"}}), &["contacts:write"]),
    ("GET", "/contacts/trash", NONE, &["contacts:delete"]),
    ("GET", "/contacts/duplicates", NONE, &["contacts:read"]),
    ("POST", "/contacts/duplicates", |one, two| json!({"ids": [one["id"], two["id"]]}), &["contacts:write"]),
    (
        "POST",
        "/contacts/merge",
        |one, two| json!({"target": one["id"], "sources": [two["id"]]}),
        &["contacts:merge", "contacts:write", "contacts:delete"],
    ),
    (
        "POST",
        "/contacts/bulk",
        |one, _| json!({"ids": [one["id"]], "action": "tag", "add": ["x"]}),
        &["contacts:write", "contacts:delete"],
    ),
    ("GET", "/contacts/{}", NONE, &["contacts:read"]),
    ("PATCH", "/contacts/{}", |_, _| json!({"title": "x"}), &["contacts:write"]),
    ("DELETE", "/contacts/{}", NONE, &["contacts:delete"]),
    ("POST", "/contacts/{}/clone", NONE, &["contacts:write"]),
    ("POST", "/contacts/{}/convert", |_, _| json!({}), &["contacts:write"]),
    ("GET", "/contacts/{}/history", NONE, &["contacts:read"]),
    ("GET", "/contacts/{}/versions", NONE, &["contacts:read"]),
    ("GET", "/contacts/{}/relations", NONE, &["contacts:read"]),
    (
        "POST",
        "/contacts/{}/relations",
        |_, two| json!({"type": "reports_to", "contact": two["id"]}),
        &["contacts:write"],
    ),
    ("GET", "/lookup?email=a@example.org", NONE, &["contacts:read"]),
    ("GET", "/stats", NONE, &["contacts:read"]),
    ("GET", "/filters", NONE, &["contacts:read", "contacts:write", "settings"]),
];

#[test]
fn each_path_takes_its_scope_and_no_other() {
    let server = shared();
    let whole = clerk(server);
    let only: Vec<_> = SCOPES.iter().map(|scope| (*scope, whole.token(&[scope]))).collect();
    for (method, path, body, scopes) in PATHS {
        let (one, two) = (person(&whole, "One"), person(&whole, "Two"));
        let path = path.replace("{}", one["id"].as_str().unwrap());
        let body = Some(body(&one, &two)).filter(|body| !body.is_null());
        // Any of the scopes of lists that are everybody's; all of them of what takes several.
        let merges = path == "/contacts/merge";
        let without = |scope: &&str| if merges { *scope != scopes[0] } else { !scopes.contains(scope) };
        let without = whole.token(&SCOPES.into_iter().filter(without).collect::<Vec<_>>());
        let answer = refused(&whole, || without.send(method, &path, body.clone()));
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        if *method != "HEAD" {
            assert_eq!(problem(&answer, 403)["permission"], scopes[0], "{method} {path}");
        }
        let answer = match merges {
            true => whole.token(scopes).send(method, &path, body),
            false => only.iter().find(|(scope, _)| scope == &scopes[0]).unwrap().1.send(method, &path, body),
        };
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
        for contact in [one, two] {
            let _ = whole.delete(&at(&contact, ""));
        }
    }
}

#[test]
fn what_comes_back_takes_the_right_to_write() {
    let whole = clerk(shared());
    let contact = person(&whole, "Back");
    assert_eq!(whole.patch(&at(&contact, ""), json!({"title": "x"})).status, 200);
    let version = told(&whole.get(&at(&contact, "/versions")))["items"][1]["version"].clone();
    let (reads, writes) =
        (whole.token(&["contacts:read", "contacts:delete"]), whole.token(&["contacts:write"]));
    let body = json!({"version": version});
    let answer = refused(&whole, || reads.post(&at(&contact, "/restore"), body.clone()));
    assert_eq!(problem(&answer, 403)["permission"], "contacts:write");
    assert_eq!(told(&writes.post(&at(&contact, "/restore"), body))["title"], "");
}

#[test]
fn others_contacts_are_not_there() {
    let server = shared();
    let (ann, bob) = (clerk(server), clerk(server));
    let (hers, his) = (person(&ann, "Hers"), person(&bob, "His"));
    for (method, below, body) in asked_of_one(&his).into_iter().chain([("POST", "/restore", None)]) {
        for id in [hers["id"].as_str().unwrap(), number(&hers)] {
            problem(
                &refused(&ann, || bob.send(method, &format!("/contacts/{id}{below}"), body.clone())),
                404,
            );
        }
    }
    let merge = json!({"target": number(&his), "sources": [number(&hers)]});
    assert_eq!(pointers(&refused(&bob, || bob.post("/contacts/merge", merge))), ["/sources/0"]);
    let pair = json!({"ids": [number(&hers), number(&his)]});
    assert_eq!(pointers(&bob.post("/contacts/duplicates", pair)), ["/ids/0"]);
    let link = json!({"reports_to": number(&hers)});
    assert_eq!(pointers(&refused(&bob, || bob.patch(&at(&his, ""), link))), ["/reports_to"]);
    let into = json!({"name": {"family": "x"}, "book": hers["book"]});
    assert_eq!(pointers(&refused(&ann, || bob.post("/contacts", into))), ["/book"]);
    assert_eq!(told(&bob.get("/contacts"))["total"], 1);
    assert_eq!(told(&bob.get("/stats"))["contacts"], 1);

    // Who may read a book changes nothing in it.
    let share = json!({"user": bob.name, "access": "read"});
    made(&ann.post(&format!("/books/{}/contacts/shares", ann.name), share));
    assert_eq!(told(&bob.get(&at(&hers, "")))["id"], hers["id"]);
    for (method, below, body, missing) in [
        ("PATCH", "", Some(json!({"title": "x"})), "contacts:write"),
        ("DELETE", "", None, "contacts:delete"),
        ("POST", "/clone", None, "contacts:write"),
        ("POST", "/convert", None, "contacts:write"),
        (
            "POST",
            "/relations",
            Some(json!({"type": "reports_to", "contact": number(&his)})),
            "contacts:write",
        ),
    ] {
        let answer = refused(&ann, || bob.send(method, &at(&hers, below), body));
        assert_eq!(problem(&answer, 403)["permission"], missing, "{method} {below}");
    }
}
