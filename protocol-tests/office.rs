//! The contact database through the API, as its users meet it: each path, each refusal, each scope, and
//! all of it together with phones. Contract §3 and §4.

use serde_json::{Value, json};

use crate::api::{Asker, made, pointers, problem, told};
use crate::http::{Request, Response};
use crate::server::{Server, shared, unique};

mod paths;
mod refusals;
mod scopes;
mod together;

/// A user with a token for everything, whose default book is there.
fn clerk(server: &Server) -> Asker<'_> {
    let user = Asker::user(server, "clerk", false).token(&[]);
    assert_eq!(user.get("/books").status, 200);
    user
}

/// A person of that family name.
fn person(asker: &Asker, family: &str) -> Value {
    let body = json!({"name": {"given": "Ann", "family": family}, "stage": "lead"});
    made(&asker.post("/contacts", body))
}

/// A company.
fn company(asker: &Asker, name: &str) -> Value {
    made(&asker.post("/contacts", json!({"kind": "org", "name": {"formatted": name}})))
}

/// The number of a contact.
fn number(contact: &Value) -> &str {
    contact["number"].as_str().unwrap()
}

/// The path of a contact, and of something below it.
fn at(contact: &Value, below: &str) -> String {
    format!("/contacts/{}{below}", contact["id"].as_str().unwrap())
}

/// A request with header fields and a body of any kind.
fn raw(asker: &Asker, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let request = headers
        .iter()
        .fold(asker.request(method, path), |request, (name, value)| request.header(name, value));
    asker.server.once(&request.body(body))
}

/// What is asked of one contact, by its path: the method, what stands below, and the body, which may name
/// another contact.
fn asked_of_one(other: &Value) -> Vec<(&'static str, &'static str, Option<Value>)> {
    vec![
        ("GET", "", None),
        ("PATCH", "", Some(json!({"title": "x"}))),
        ("DELETE", "", None),
        ("POST", "/clone", None),
        ("POST", "/convert", None),
        ("GET", "/history", None),
        ("GET", "/versions", None),
        ("GET", "/relations", None),
        ("POST", "/relations", Some(json!({"type": "report", "contact": number(other)}))),
        ("POST", "/restore", Some(json!({"version": "1.1"}))),
    ]
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// All that somebody sees of the database.
fn everything(asker: &Asker) -> Value {
    let list = |path: &str| told(&asker.get(path));
    let contacts = list("/contacts?limit=1000&sort=number");
    let items = contacts["items"].as_array().unwrap().clone();
    let below: Vec<Value> = items
        .iter()
        .flat_map(|contact| ["/versions", "/history", "/relations"].map(|below| list(&at(contact, below))))
        .collect();
    json!([contacts, below, list("/contacts/trash"), list("/contacts/duplicates"), list("/filters")])
}

/// Does what is refused, and looks whether it left anything behind.
fn refused<T>(asker: &Asker, what: impl FnOnce() -> T) -> T {
    let before = everything(asker);
    let answer = what();
    assert_eq!(everything(asker), before, "a refused request left something behind");
    answer
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
