//! What is refused, how that is told, and that nothing of it is half done.

use super::*;

/// Every path of contacts with the methods that it knows; `{}` is a contact.
const PATHS: [(&str, &str); 15] = [
    ("/contacts", "GET, HEAD, POST, OPTIONS"),
    ("/contacts/trash", "GET, HEAD, OPTIONS"),
    ("/contacts/duplicates", "GET, HEAD, POST, OPTIONS"),
    ("/contacts/merge", "POST, OPTIONS"),
    ("/contacts/bulk", "POST, OPTIONS"),
    ("/contacts/{}", "GET, HEAD, PATCH, DELETE, OPTIONS"),
    ("/contacts/{}/clone", "POST, OPTIONS"),
    ("/contacts/{}/convert", "POST, OPTIONS"),
    ("/contacts/{}/history", "GET, HEAD, OPTIONS"),
    ("/contacts/{}/versions", "GET, HEAD, OPTIONS"),
    ("/contacts/{}/restore", "POST, OPTIONS"),
    ("/contacts/{}/relations", "GET, HEAD, POST, OPTIONS"),
    ("/lookup", "GET, HEAD, OPTIONS"),
    ("/stats", "GET, HEAD, OPTIONS"),
    ("/filters", "GET, HEAD, POST, OPTIONS"),
];

/// The paths that read a body, with the method.
const READING: [(&str, &str); 9] = [
    ("POST", "/contacts"),
    ("POST", "/contacts/duplicates"),
    ("POST", "/contacts/merge"),
    ("POST", "/contacts/bulk"),
    ("PATCH", "/contacts/{}"),
    ("POST", "/contacts/{}/convert"),
    ("POST", "/contacts/{}/restore"),
    ("POST", "/contacts/{}/relations"),
    ("POST", "/filters"),
];

fn with(path: &str, contact: &Value) -> String {
    path.replace("{}", contact["id"].as_str().unwrap())
}

/// Which query parameter a 400 is about.
fn parameter(answer: &Response) -> String {
    problem(answer, 400)["errors"][0]["parameter"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn methods_and_callers_are_looked_at_first() {
    let server = shared();
    let clerk = clerk(server);
    let contact = person(&clerk, "Method");
    for (path, methods) in PATHS {
        let path = with(path, &contact);
        let options = clerk.send("OPTIONS", &path, None);
        assert_eq!((options.status, options.header("allow").as_deref()), (204, Some(methods)), "{path}");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "BREW"] {
            let known = methods.split(", ").any(|one| one == method);
            let anonymous = Request::new(method, &format!("/api/v1{path}"));
            problem(&refused(&clerk, || server.once(&anonymous)), 401);
            if !known {
                let answer = refused(&clerk, || clerk.send(method, &path, None));
                problem(&answer, 405);
                assert_eq!(answer.header("allow").as_deref(), Some(methods), "{method} {path}");
            }
            if known {
                let answer = refused(&clerk, || clerk.send(method, &format!("{path}?shoe=1"), None));
                assert_eq!(parameter(&answer), "shoe", "{method} {path}");
            }
        }
        for id in ["CON999999", "COM1x", "0198f1c2-0000-7000-8000-000000000000", "%ff", "x%2Fy"] {
            if path.contains(contact["id"].as_str().unwrap()) {
                let path = path.replace(contact["id"].as_str().unwrap(), id);
                for method in methods.split(", ").filter(|method| !["HEAD", "OPTIONS"].contains(method)) {
                    let body = (method == "PATCH").then(|| json!({"title": "x"})).or_else(|| {
                        path.ends_with("relations").then(|| json!({"type": "report", "contact": "CON1"}))
                    });
                    let body = body.filter(|_| method != "GET" && method != "DELETE");
                    problem(&clerk.send(method, &path, body), 404);
                }
            }
        }
    }
}

#[test]
fn bodies_that_cannot_be_read_are_refused_with_the_place() {
    let clerk = clerk(shared());
    let contact = person(&clerk, "Body");
    for (method, path) in READING {
        let path = with(path, &contact);
        let ask = |headers: &[(&str, &str)], body: &str| {
            refused(&clerk, || raw(&clerk, method, &path, headers, body))
        };
        let unreadable = problem(&ask(&[JSON], "{\"name\":\n oops}"), 400);
        let place = unreadable["detail"].as_str().unwrap();
        assert!(place.contains("line 2, column 2"), "{method} {path}: {place}");
        problem(&ask(&[JSON], &"[".repeat(100_000)), 400);
        problem(&ask(&[("Content-Type", "text/plain")], "{}"), 415);
        problem(&ask(&[("Content-Type", "application/json; charset=latin1")], "{}"), 415);
        problem(&ask(&[JSON, ("Content-Encoding", "gzip")], "{}"), 415);
        problem(&ask(&[JSON], &" ".repeat((1 << 20) + 1)), 413);
        assert_eq!(pointers(&ask(&[JSON], "[1]")), [""], "{method} {path}");
        assert!(pointers(&ask(&[JSON], "{\"nope\": 1}")).contains(&"/nope".to_owned()), "{method} {path}");
    }
}

#[test]
fn wrong_fields_are_named_by_their_pointers() {
    let clerk = clerk(shared());
    let contact = person(&clerk, "Field");
    let body = json!({
        "kind": "robot", "stage": "x", "roles": ["pirate"], "title": 1, "name": {"given": 1, "shoe": 2},
        "organization": [], "emails": [{"value": "a b"}, 3, {"types": ["work"]}], "phones": {},
        "addresses": [{"pref": "x"}], "birthday": "yesterday", "flags": {"blocked": "yes"},
        "mail_preferences": 1, "portal": {"from": "soon"}, "custom": {"nope": 1}, "id": "x",
    });
    let told = pointers(&refused(&clerk, || clerk.post("/contacts", body)));
    for pointer in [
        "/kind",
        "/stage",
        "/title",
        "/name/given",
        "/name/shoe",
        "/organization",
        "/emails/1",
        "/emails/2/value",
        "/phones",
        "/addresses/0/pref",
        "/flags/blocked",
        "/mail_preferences",
        "/portal/from",
        "/id",
    ] {
        assert!(told.iter().any(|one| one == pointer), "{pointer} is not in {told:?}");
    }
    // What can be read as it stands and cannot be.
    for (body, pointer) in [
        (json!({"emails": [{"value": "a@b.example"}, {"value": "a\u{7f}b"}]}), "/emails/1/value"),
        (json!({"birthday": "yesterday"}), "/birthday"),
        (json!({"roles": ["customer", "pirate"]}), "/roles/1"),
        (json!({"language": "not a language"}), "/language"),
        (json!({"assigned_to": "nobody-there"}), "/assigned_to"),
        (json!({"reports_to": "CON999999"}), "/reports_to"),
        (json!({"reports_to": "not a number"}), "/reports_to"),
        (json!({"organization": {"company": number(&contact)}}), "/organization/company"),
        (json!({"service_level": "gold"}), "/service_level"),
        (json!({"custom": {"nope": 1}}), "/custom/nope"),
        (json!({"book": "nobody/contacts"}), "/book"),
        (json!({"privacy": {"source": "not a key"}}), "/privacy/source"),
        (json!({"portal": {"enabled": true, "from": "2027-01-02", "until": "2027-01-01"}}), "/portal/until"),
    ] {
        let mut told = pointers(&refused(&clerk, || clerk.post("/contacts", body.clone())));
        told.dedup();
        assert_eq!(told, [pointer], "POST {body}");
        let mut told = pointers(&refused(&clerk, || clerk.patch(&at(&contact, ""), body.clone())));
        told.dedup();
        assert_eq!(told, [pointer], "PATCH {body}");
    }
    let fixed = json!({"id": "x", "number": "CON1", "uid": "y", "created_at": null, "kind": "org"});
    let told = pointers(&refused(&clerk, || clerk.patch(&at(&contact, ""), fixed)));
    assert_eq!(told, ["/created_at", "/id", "/number", "/uid"]);
    let told = pointers(&refused(&clerk, || clerk.patch(&at(&contact, ""), json!({"kind": "org"}))));
    assert_eq!(told, ["/kind"]);
    for (path, body, pointer) in [
        ("/convert", json!({"company": 1}), "/company"),
        ("/convert", json!({"company": "COM999999"}), "/company"),
        ("/convert", json!({"company": number(&contact)}), "/company"),
        ("/restore", json!({"version": "one"}), "/version"),
        ("/restore", json!({"field": "title"}), "/field"),
        ("/relations", json!({"type": "friend", "contact": "CON1"}), "/type"),
        ("/relations", json!({"type": "report", "contact": "me"}), "/contact"),
        ("/relations", json!({"type": "report", "contact": "CON999999"}), "/contact"),
    ] {
        let answer = refused(&clerk, || clerk.post(&at(&contact, path), body.clone()));
        assert_eq!(pointers(&answer), [pointer], "{path} {body}");
    }
    let ids = json!({"ids": [number(&contact)]});
    assert_eq!(pointers(&clerk.post("/contacts/duplicates", ids)), ["/ids"]);
    let trash = person(&clerk, "Trash");
    assert_eq!(clerk.delete(&at(&trash, "")).status, 204);
    let gone = json!({"reports_to": number(&trash)});
    assert_eq!(pointers(&refused(&clerk, || clerk.patch(&at(&contact, ""), gone))), ["/reports_to"]);
}

#[test]
fn links_do_not_go_in_a_circle() {
    let clerk = clerk(shared());
    let [one, two, three] = ["One", "Two", "Three"].map(|name| person(&clerk, name));
    let chief = |of: &Value, chief: &Value| clerk.patch(&at(of, ""), json!({"reports_to": number(chief)}));
    assert_eq!((chief(&one, &two).status, chief(&two, &three).status), (200, 200));
    for end in [&one, &two, &three] {
        problem(&refused(&clerk, || chief(&three, end)), 409);
    }
    let link = |kind: &str, of: &Value, to: &Value| {
        clerk.post(&at(of, "/relations"), json!({"type": kind, "contact": number(to)}))
    };
    problem(&refused(&clerk, || link("reports_to", &three, &one)), 409);
    problem(&refused(&clerk, || link("report", &one, &three)), 409);
    problem(&refused(&clerk, || link("report", &one, &one)), 409);
    assert_eq!(refused(&clerk, || link("company", &one, &two)).status, 422);
    let [parent, child] = ["Parent", "Child"].map(|name| company(&clerk, name));
    assert_eq!(link("company", &child, &parent).status, 201);
    problem(&refused(&clerk, || link("company", &parent, &child)), 409);
    problem(&refused(&clerk, || link("member", &child, &parent)), 409);
}

#[test]
fn merges_that_cannot_be_are_refused() {
    let clerk = clerk(shared());
    let (one, two, other) = (person(&clerk, "One"), person(&clerk, "Two"), person(&clerk, "Other"));
    let firm = company(&clerk, "Firm");
    let (to, from) = (number(&one), number(&two));
    for (body, pointer) in [
        (json!({"target": to, "sources": [to]}), "/sources/0"),
        (json!({"target": to, "sources": [from, one["id"]]}), "/sources/1"),
        (json!({"target": to, "sources": [from, two["id"]]}), "/sources/1"),
        (json!({"target": to, "sources": [number(&firm)]}), "/sources/0"),
        (json!({"target": to, "sources": [from, "CON999999"]}), "/sources/1"),
        (json!({"target": to, "sources": [from, "me"]}), "/sources/1"),
        (json!({"target": "CON999999", "sources": [from]}), "/target"),
        (json!({"target": to, "sources": []}), "/sources"),
        (json!({"target": to}), "/sources"),
        (json!({"sources": [from]}), "/target"),
        (json!({"target": to, "sources": from}), "/sources"),
        (json!({"target": to, "sources": [from], "take": []}), "/take"),
        (json!({"target": to, "sources": [from], "take": {"shoe": from}}), "/take/shoe"),
        (json!({"target": to, "sources": [from], "take": {"uid": from}}), "/take/uid"),
        (json!({"target": to, "sources": [from], "take": {"title": number(&other)}}), "/take/title"),
        (json!({"target": to, "sources": [from], "take": {"title": 1}}), "/take/title"),
        (json!({"target": to, "sources": [from], "take": {"emails": [1]}}), "/take/emails/0"),
        (json!({"target": to, "sources": [from], "take": {"emails": ["a b\u{7f}"]}}), "/take/emails/0/value"),
        (json!({"target": to, "sources": [from], "take": {"roles": ["pirate"]}}), "/take/roles/0"),
    ] {
        for path in ["/contacts/merge", "/contacts/merge?preview=true"] {
            let told = pointers(&refused(&clerk, || clerk.post(path, body.clone())));
            assert!(told.iter().any(|one| one == pointer), "{path} {body}: {told:?}");
        }
    }
    let body = json!({"target": to, "sources": [from]});
    let maybe = refused(&clerk, || clerk.post("/contacts/merge?preview=maybe", body));
    assert_eq!(parameter(&maybe), "preview");
}

#[test]
fn stale_entity_tags_are_refused() {
    let clerk = clerk(shared());
    let (contact, other) = (person(&clerk, "Stale"), person(&clerk, "Other"));
    let stale = format!("\"{}\"", contact["etag"].as_str().unwrap());
    let now = clerk.patch(&at(&contact, ""), json!({"salutation": "Dear"})).header("etag").unwrap();
    assert_ne!(stale, now, "a change of the record alone is one");
    let link = json!({"type": "reports_to", "contact": number(&other)}).to_string();
    for (method, below, body) in [
        ("PATCH", "", "{\"title\": \"x\"}"),
        ("DELETE", "", ""),
        ("POST", "/convert", "{}"),
        ("POST", "/relations", link.as_str()),
        ("POST", "/restore", "{\"version\": \"1.1\"}"),
    ] {
        for tag in [stale.as_str(), "\"x\"", "nonsense", &format!("W/{now}")] {
            let ask = || raw(&clerk, method, &at(&contact, below), &[JSON, ("If-Match", tag)], body);
            problem(&refused(&clerk, ask), 412);
        }
    }
    for tag in [now.as_str(), "*"] {
        let headers = [JSON, ("If-Match", tag)];
        assert_eq!(raw(&clerk, "PATCH", &at(&contact, ""), &headers, "{\"title\": null}").status, 200);
    }
}

#[test]
fn lists_refuse_what_they_cannot_find() {
    let clerk = clerk(shared());
    for name in ["One", "Two", "Three"] {
        person(&clerk, name);
    }
    let next = |query: &str| {
        let page = told(&clerk.get(&format!("/contacts?limit=1{query}")));
        page["next_cursor"].as_str().unwrap().to_owned()
    };
    let filter = encoded("name.given eq \"Ann\"");
    let (plain, filtered) = (next(""), next(&format!("&filter={filter}")));
    for query in [
        format!("cursor={plain}&filter={filter}"),
        format!("cursor={plain}&sort=-name"),
        format!("cursor={plain}&q=ann"),
        format!("cursor={filtered}"),
        format!("cursor={filtered}&filter={}", encoded("name.given eq \"Zoe\"")),
        "cursor=AAAA".into(),
        "cursor=%21".into(),
        "cursor=".into(),
    ] {
        assert_eq!(parameter(&clerk.get(&format!("/contacts?{query}"))), "cursor", "{query}");
    }
    assert_eq!(clerk.get(&format!("/contacts?cursor={plain}")).status, 200);
    for path in ["/contacts/trash", "/contacts/duplicates", "/filters", "/users"] {
        let answer = clerk.get(&format!("{path}?cursor={filtered}"));
        assert_eq!(parameter(&answer), "cursor", "{path}");
    }
    for (query, name) in [
        ("sort=shoe", "sort"),
        ("sort=", "sort"),
        ("limit=x", "limit"),
        ("q=", "q"),
        ("filter=", "filter"),
        ("filter=title", "filter"),
        ("filter=shoe+eq+1", "filter"),
        ("filter=title+eq+%22x", "filter"),
        ("filter=%28title+eq+%22x%22", "filter"),
    ] {
        assert_eq!(parameter(&clerk.get(&format!("/contacts?{query}"))), name, "{query}");
    }
    let place = problem(&clerk.get("/contacts?filter=title+is+%22x%22"), 400);
    assert!(place["detail"].as_str().unwrap().contains("at character 6"), "{place}");
    problem(&clerk.get("/contacts?limit=0"), 422);
    for query in ["", "?phone=1&email=a@example.org"] {
        problem(&clerk.get(&format!("/lookup{query}")), 400);
    }
}

#[test]
fn filters_of_ten_thousand_terms_are_refused() {
    let clerk = clerk(shared());
    let terms = |n: usize| vec!["title eq \"x\""; n].join(" or ");
    let deep = |n: usize| format!("{}title pr{}", "(".repeat(n), ")".repeat(n));
    for filter in [terms(300), deep(1_000), format!("{}title pr", "not ".repeat(1_000))] {
        let answer = clerk.get(&format!("/contacts?filter={}", filter.replace(' ', "+").replace('"', "%22")));
        assert_eq!(parameter(&answer), "filter");
    }
    let url = |n: usize| format!("/contacts?filter={}", terms(n).replace(' ', "+").replace('"', "%22"));
    problem(&clerk.get(&url(1_000)), 414);
    // A head of this size is not read to its end.
    assert_eq!(clerk.get(&url(10_000)).status, 431);
    for filter in [terms(300), deep(1_000)] {
        let body = json!({"filter": filter, "action": "delete"});
        let told = problem(&refused(&clerk, || clerk.post("/contacts/bulk", body)), 400);
        assert_eq!(told["errors"][0]["pointer"], "/filter", "{told}");
    }
    for filter in [terms(10_000), terms(300), deep(1_000)] {
        let body = json!({"name": "many", "filter": filter});
        let answer = refused(&clerk, || clerk.post("/filters", body));
        assert!([400, 422].contains(&answer.status), "{}", answer.text());
        let told = problem(&answer, answer.status);
        assert_eq!(told["errors"][0]["pointer"], "/filter", "{told}");
    }
}

#[test]
fn what_is_described_is_read() {
    let server = shared();
    let clerk = clerk(server);
    let contact = person(&clerk, "Described");
    let description: Value = serde_json::from_str(&server.run(&["openapi"], "")).unwrap();
    for (method, path) in READING {
        let template = format!("/paths/~1api~1v1{}/{}", path.replace('/', "~1"), method.to_lowercase());
        let template = template.replace("{}", "{id}");
        let content = &description.pointer(&template).unwrap()["requestBody"]["content"];
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let name = content[kind]["schema"]["$ref"].as_str().unwrap().trim_start_matches('#');
        let properties = description.pointer(name).unwrap()["properties"].as_object().unwrap().clone();
        assert!(!properties.is_empty());
        // No field of these takes a number.
        let body: Value = properties.keys().map(|name| (name.clone(), json!(1))).collect();
        let answer = refused(&clerk, || clerk.send(method, &with(path, &contact), Some(body)));
        let told = problem(&answer, 422);
        let errors = told["errors"].as_array().unwrap();
        for name in properties.keys() {
            let of = |error: &&Value| error["pointer"] == format!("/{name}");
            let error =
                errors.iter().find(of).unwrap_or_else(|| panic!("{path} does not read {name}: {told}"));
            assert_ne!(error["detail"], "there is no such field", "{path} {name}");
        }
    }
}
