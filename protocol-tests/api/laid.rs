//! Fields, filters, roles, service levels and jobs over real sockets: success, each refusal, each scope.
//! Issue 5.

use super::*;

fn field(key: &str, kind: &str) -> Value {
    json!({"key": key, "label": "Label", "type": kind})
}

fn items(answer: &Response) -> Vec<Value> {
    told(answer)["items"].as_array().unwrap().clone()
}

fn keys(answer: &Response) -> Vec<String> {
    items(answer).iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn fields_are_added_changed_and_removed() {
    let server = &Server::fresh(&[]);
    let (admin, user) = (Asker::admin(server), Asker::user(server, "reader", false));
    let new = json!({
        "key": "color", "label": "Color", "type": "multi_choice", "options": ["red", "blue"], "section": "Looks",
        "order": 2, "applies_to": ["org", "individual"], "required": true, "sensitive": true,
    });
    let answer = admin.post("/fields", new);
    assert_eq!(answer.header("location").unwrap(), "/api/v1/fields/color");
    let color = made(&answer);
    assert_eq!(
        color,
        json!({
            "key": "color", "type": "multi-choice", "label": "Color", "applies_to": ["individual", "org"], "books": [],
            "section": "Looks", "order": 2, "required": true, "options": ["red", "blue"], "personal": true,
            "sensitive": true, "created_at": color["created_at"],
        })
    );
    problem(&admin.post("/fields", field("color", "text")), 409);
    for (key, kind) in [("size", "number"), ("born", "date"), ("vip", "boolean"), ("site", "link")] {
        made(&admin.post("/fields", field(key, kind)));
    }
    let first = json!({"section": "Looks", "order": -1});
    assert_eq!(told(&admin.patch("/fields/size", first))["order"], -1);
    assert_eq!(keys(&user.get("/fields")), ["born", "site", "vip", "size", "color"]);
    assert_eq!(keys(&user.get("/fields?sort=-key&limit=2")), ["vip", "size"]);
    assert_eq!(told(&user.get("/fields/vip"))["type"], "yes-no");

    // The key and the type stay; options come and go.
    assert_eq!(
        pointers(&admin.patch("/fields/color", json!({"key": "x", "type": "text"}))),
        ["/key", "/type"]
    );
    let changed =
        told(&admin.patch("/fields/color", json!({"options": ["green", "red"], "label": "Colour"})));
    assert_eq!((&changed["options"], &changed["label"]), (&json!(["green", "red"]), &json!("Colour")));
    assert_eq!(pointers(&admin.patch("/fields/color", json!({"options": null}))), ["/options"]);
    assert_eq!(pointers(&admin.patch("/fields/color", json!({"label": null}))), ["/label"]);
    let etag = admin.get("/fields/color").header("etag").unwrap();
    assert_eq!(told(&admin.patch("/fields/color", json!({"required": false})))["required"], false);
    let stale = admin.request("DELETE", "/fields/color").header("If-Match", &etag);
    problem(&server.once(&stale), 412);

    let wrong = json!({
        "key": 1, "label": "", "type": "color", "applies_to": ["firm"], "order": 1.5, "options": [1], "required": "yes",
        "shape": 1,
    });
    let wrong = pointers(&admin.post("/fields", wrong));
    assert_eq!(
        wrong,
        ["/key", "/type", "/label", "/applies_to/0", "/order", "/required", "/options/0", "/shape"]
    );
    assert_eq!(pointers(&admin.post("/fields", field("Upper", "text"))), ["/key"]);
    assert_eq!(pointers(&admin.post("/fields", field("a", "choice"))), ["/options"]);
    assert_eq!(admin.delete("/fields/color").status, 204);
    problem(&admin.get("/fields/color"), 404);
    problem(&admin.delete("/fields/color"), 404);
}

#[test]
fn fields_of_books_are_shown_to_who_sees_the_books() {
    let server = &Server::fresh(&[]);
    let admin = Asker::admin(server);
    let (ann, bob) = (Asker::user(server, "ann", false), Asker::user(server, "bob", false));
    assert_eq!((ann.get("/books").status, bob.get("/books").status), (200, 200));
    let book = format!("{}/contacts", ann.name);
    let new = json!({"key": "shelf", "label": "Shelf", "type": "text", "books": [book]});
    assert_eq!(made(&admin.post("/fields", new))["books"], json!([book]));
    assert_eq!(told(&ann.get("/fields/shelf"))["books"], json!([book]));
    problem(&bob.get("/fields/shelf"), 404);
    assert!(keys(&bob.get("/fields")).is_empty());
    for bad in ["nobody/contacts", "contacts", "", "group:x/y"] {
        assert_eq!(pointers(&admin.patch("/fields/shelf", json!({"books": [bad]}))), ["/books/0"], "{bad}");
    }
    // A book that is private by now has no name, and stays.
    assert_eq!(ann.patch(&format!("/books/{book}"), json!({"private": true})).status, 200);
    let hidden = told(&admin.get("/fields/shelf"))["books"].clone();
    assert!(!hidden.to_string().contains("contacts"), "{hidden}");
    assert_eq!(told(&admin.patch("/fields/shelf", json!({"books": hidden, "order": 1})))["books"], hidden);
    assert_eq!(told(&ann.get("/fields/shelf"))["books"], json!([book]));
}

#[test]
fn laying_down_needs_settings_and_reading_nothing() {
    let server = shared();
    let (admin, user) = (Asker::admin(server), Asker::user(server, "reader", false));
    let key = unique("field");
    made(&admin.post("/fields", field(&key, "text")));
    let settings = admin.token(&["settings"]);
    let word = |key: &str| json!({"key": key, "label": "Label"});
    for who in [&user, &admin.token(&["users"]), &admin.token(&["contacts:read"])] {
        for (method, path, body) in [
            ("POST", "/fields".to_owned(), Some(field("x", "text"))),
            ("PATCH", format!("/fields/{key}"), Some(json!({"order": 1}))),
            ("DELETE", format!("/fields/{key}"), None),
            ("POST", "/roles".to_owned(), Some(word("x"))),
            ("PATCH", "/roles/other".to_owned(), Some(json!({"order": 1}))),
            ("DELETE", "/roles/other".to_owned(), None),
            ("POST", "/service-levels".to_owned(), Some(word("x"))),
        ] {
            let missing = problem(&who.send(method, &path, body), 403);
            assert_eq!(missing["permission"], "settings", "{method} {path}");
        }
        for path in ["/fields", "/roles", "/service-levels", "/jobs"] {
            assert_eq!(who.get(path).status, 200, "{path}");
        }
        assert_eq!(who.get(&format!("/fields/{key}")).status, 200);
    }
    let role = unique("role");
    made(&settings.post("/roles", word(&role)));
    assert_eq!(settings.delete(&format!("/roles/{role}")).status, 204);
    assert_eq!(settings.delete(&format!("/fields/{key}")).status, 204);
    problem(&server.once(&Request::new("GET", "/api/v1/fields")), 401);
}

#[test]
fn roles_and_service_levels_are_the_admins_lists() {
    let server = &Server::fresh(&[]);
    let admin = Asker::admin(server);
    assert_eq!(keys(&admin.get("/roles")), ["customer", "partner", "supplier", "private", "other"]);
    assert!(keys(&admin.get("/service-levels")).is_empty());
    let answer = admin.post("/roles", json!({"key": "scout", "label": "Scout", "order": -1}));
    let scout = json!({"key": "scout", "label": "Scout", "order": -1, "builtin": false});
    assert_eq!(made(&answer), scout);
    assert_eq!(answer.header("location").unwrap(), "/api/v1/roles/scout");
    assert_eq!(keys(&admin.get("/roles")).first().unwrap(), "scout");
    let renamed = told(&admin.patch("/roles/other", json!({"label": "Sonstige", "order": -5})));
    assert_eq!(renamed, json!({"key": "other", "label": "Sonstige", "order": -5, "builtin": true}));
    assert_eq!(keys(&admin.get("/roles")).first().unwrap(), "other");
    problem(&admin.delete("/roles/other"), 409);
    problem(&admin.post("/roles", json!({"key": "customer", "label": "x"})), 409);
    assert_eq!(
        pointers(&admin.post("/roles", json!({"key": "A b", "order": "1"}))),
        ["/key", "/label", "/order"]
    );
    assert_eq!(
        pointers(&admin.patch("/roles/scout", json!({"key": "x", "builtin": true}))),
        ["/builtin", "/key"]
    );
    for level in ["24x7", "gold"] {
        made(&admin.post("/service-levels", json!({"key": level, "label": level})));
    }
    assert_eq!(keys(&admin.get("/service-levels?sort=-label")), ["gold", "24x7"]);
    assert_eq!(told(&admin.get("/service-levels/24x7"))["builtin"], false);
    assert_eq!(admin.delete("/service-levels/24x7").status, 204);
    problem(&admin.get("/service-levels/24x7"), 404);
    problem(&admin.patch("/service-levels/24x7", json!({"order": 1})), 404);
    assert_eq!(admin.delete("/roles/scout").status, 204);
}

#[test]
fn filters_are_saved_shared_and_kept_to_oneself() {
    let server = &Server::fresh(&[]);
    let admin = Asker::admin(server);
    let (ann, bob) = (Asker::user(server, "ann", false), Asker::user(server, "bob", false));
    let answer = ann.post("/filters", json!({"name": "Firms", "filter": "kind eq \"org\"", "q": "berlin"}));
    let mine = made(&answer);
    let path = format!("/filters/{}", mine["id"].as_str().unwrap());
    assert_eq!(answer.header("location").unwrap(), format!("/api/v1{path}"));
    assert_eq!(
        (&mine["owner"], &mine["shared"], &mine["q"]),
        (&json!(ann.name), &json!(false), &json!("berlin"))
    );
    problem(&ann.post("/filters", json!({"name": "Firms", "q": "x"})), 409);
    for other in [&bob, &admin] {
        problem(&other.get(&path), 404);
        problem(&other.patch(&path, json!({"name": "x"})), 404);
        problem(&other.delete(&path), 404);
        assert!(items(&other.get("/filters")).is_empty());
    }
    assert_eq!(told(&ann.patch(&path, json!({"shared": true, "q": null})))["q"], Value::Null);
    assert_eq!(told(&bob.get(&path))["filter"], "kind eq \"org\"");
    assert_eq!(names(&bob.get("/filters")), ["Firms"]);
    assert_eq!(problem(&bob.patch(&path, json!({"name": "x"})), 403)["permission"], "settings");
    assert_eq!(problem(&bob.delete(&path), 403)["permission"], "settings");
    assert_eq!(told(&admin.patch(&path, json!({"name": "Companies"})))["owner"], ann.name.as_str());

    for (body, at) in [
        (json!({"name": "a", "filter": "kind eq"}), "/filter"),
        (json!({"name": "a", "filter": "custom.nothing eq 1"}), "/filter"),
        (json!({"name": "a", "filter": 1}), "/filter"),
        (json!({"name": "a"}), "/filter"),
        (json!({"filter": "title pr"}), "/name"),
        (json!({"name": "a", "filter": "title pr", "shared": 1}), "/shared"),
        (json!({"name": "a", "filter": "title pr", "owner": "x"}), "/owner"),
    ] {
        assert_eq!(pointers(&ann.post("/filters", body.clone())), [at], "{body}");
    }
    let syntax = problem(&ann.post("/filters", json!({"name": "a", "filter": "title xx \"a\""})), 422);
    assert!(syntax["detail"].as_str().unwrap().contains("at character 6"), "{syntax}");
    let long = format!("title eq \"{}\"", "x".repeat(20_000));
    assert_eq!(pointers(&ann.post("/filters", json!({"name": "a", "filter": long}))), ["/filter"]);
    let terms = vec!["title pr"; 10_000].join(" or ");
    assert_eq!(pointers(&ann.post("/filters", json!({"name": "a", "filter": terms}))), ["/filter"]);

    let missing = problem(&ann.token(&["users"]).get("/filters"), 403);
    assert_eq!(missing["permission"], "contacts:read");
    made(&ann.token(&["contacts:read"]).post("/filters", json!({"name": "b", "q": "x"})));
    problem(&ann.get("/filters/nothing"), 404);
    assert_eq!(admin.delete(&path).status, 204);
    problem(&ann.get(&path), 404);
}

#[test]
fn what_is_laid_down_survives_kill_9() {
    let room = crate::server::room();
    let data = room.path().join("data");
    let mut server = Server::on(&data, &[]);
    let admin = Asker::admin(&server);
    let (name, authorization) = (admin.name.clone(), admin.authorization.clone());
    made(&admin.post("/fields", field("kept", "text")));
    made(&admin.post("/roles", json!({"key": "kept", "label": "Kept"})));
    made(&admin.post("/filters", json!({"name": "kept", "filter": "custom.kept pr"})));
    server.kill();
    let server = Server::on(&data, &[]);
    let admin = Asker { server: &server, authorization, name };
    assert_eq!(keys(&admin.get("/fields")), ["kept"]);
    assert_eq!(names(&admin.get("/filters")), ["kept"]);
    assert!(keys(&admin.get("/roles")).contains(&"kept".to_owned()));
    server.run(&["check"], "");
}

#[test]
fn jobs_that_there_are_not_are_not_found() {
    let server = shared();
    let user = Asker::user(server, "worker", false);
    assert_eq!(told(&user.get("/jobs"))["total"], 0);
    for id in ["nothing", "0198f1c2-0000-7000-8000-000000000000"] {
        problem(&user.get(&format!("/jobs/{id}")), 404);
        problem(&user.delete(&format!("/jobs/{id}")), 404);
    }
    problem(&user.get("/jobs?sort=size"), 400);
    problem(&user.post("/jobs", json!({})), 405);
}
