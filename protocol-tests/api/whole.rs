//! The API as a whole: that no body breaks it, and what describes it.

use proptest::prelude::*;

use super::*;
use crate::sources::root;

/// Bytes that are hardly JSON, or objects of the fields that there are with any values.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}|[a-z]{1,8}|group:[a-z]{1,3}".prop_map(Value::from),
    ];
    let value = value.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("user|group|access|\\PC{0,6}", inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    });
    let field = "name|display_name|email|admin|enabled|permissions|members|kind|owner|private|shares|user|\
        group|access|scopes|label|expires|key|type|applies_to|books|section|order|required|options|personal|\
        sensitive|filter|q|shared|components|\\PC{0,8}";
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..120),
        proptest::collection::btree_map(field, value, 0..6).prop_map(|map| map
            .into_iter()
            .collect::<Value>()
            .to_string()
            .into_bytes()),
    ]
}

#[test]
fn no_body_breaks_the_api() {
    let server = Server::fresh(&[("CARDKEEP_API__RATE_LIMIT", "0")]);
    let admin = Asker::admin(&server);
    let (user, group) = (unique("fuzzed"), unique("fuzzies"));
    made(&admin.post("/users", json!({"name": user})));
    made(&admin.post("/groups", json!({"name": group})));
    let token = made(&admin.post("/tokens", json!({"kind": "app"})));
    let book = format!("/books/{}/contacts", admin.name);
    made(&admin.post("/fields", json!({"key": "color", "label": "Color", "type": "text"})));
    let routes = [
        ("POST", "/users".to_owned()),
        ("PATCH", format!("/users/{user}")),
        ("POST", "/groups".to_owned()),
        ("PATCH", format!("/groups/{group}")),
        ("POST", "/books".to_owned()),
        ("PATCH", book.clone()),
        ("POST", format!("{book}/shares")),
        ("POST", "/calendars".to_owned()),
        ("PATCH", format!("/calendars/{}/calendar", admin.name)),
        ("POST", format!("/calendars/{}/calendar/shares", admin.name)),
        ("POST", "/tokens".to_owned()),
        ("PATCH", format!("/tokens/{}", token["id"].as_str().unwrap())),
        ("POST", "/fields".to_owned()),
        ("PATCH", "/fields/color".to_owned()),
        ("POST", "/filters".to_owned()),
        ("POST", "/roles".to_owned()),
        ("PATCH", "/roles/other".to_owned()),
        ("POST", "/service-levels".to_owned()),
    ];
    let client = std::cell::RefCell::new(Client::new(server.address));
    proptest!(ProptestConfig::with_cases(60), |(body in bodies())| {
        for (method, path) in &routes {
            let request = admin.request(method, path).header("Content-Type", "application/json");
            let answer = client.borrow_mut().send(&request.body(body.clone())).unwrap();
            prop_assert!(answer.status < 500, "{} {}: {}", method, path, answer.text());
        }
    });
    assert_eq!(admin.get("/users").status, 200);
}

#[test]
fn the_description_is_that_of_the_golden_file() {
    let server = shared();
    let printed = server.run(&["openapi"], "");
    let answer = server.once(&Request::new("GET", "/api/openapi.json"));
    assert_eq!(answer.status, 200);
    assert_eq!(told(&answer), serde_json::from_str::<Value>(&printed).unwrap());
    let path = root().join("protocol-tests/golden/openapi.json");
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(root().join("protocol-tests/golden")).unwrap();
        std::fs::write(&path, &printed).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let text = "the API's description has changed; UPDATE=1 cargo test --test protocol-tests golden";
    assert!(golden == printed, "{text}");
}

#[test]
fn the_reference_page_runs_nothing() {
    let server = shared();
    let answer = server.once(&Request::new("GET", "/api/docs"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(answer.text().contains("/api/v1/books/{owner}/{name}/shares"));
    problem(&server.once(&Request::new("POST", "/api/docs")), 405);
}
