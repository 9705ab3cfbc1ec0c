//! Smart books as phones see them: read-only, followed by tokens, also across a kill.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::*;
use crate::short;
use crate::xml;

/// A phone that follows a book's tokens.
#[derive(Default)]
struct Phone {
    token: String,
    holds: BTreeSet<String>,
}

impl Phone {
    fn follow(&mut self, ask: &Asker, book: &str) {
        let request = Request::new("REPORT", book).header("Authorization", &ask.authorization);
        let request = request.header("Content-Type", "application/xml");
        let answer = ask.server.once(&request.body(short::sync(&self.token, None, &["D:getetag"])));
        assert_eq!(answer.status, 207, "{}", answer.text());
        let root = xml::parse(&answer.text(), false).unwrap();
        self.token = root.child_text("{DAV:}sync-token").unwrap().to_owned();
        for response in root.named("{DAV:}response") {
            let href = response.child_text("{DAV:}href").unwrap();
            let file = href.rsplit('/').next().unwrap().to_owned();
            match response.child_text("{DAV:}status") {
                Some(_) => drop(self.holds.remove(&file)),
                None => drop(self.holds.insert(file)),
            }
        }
    }

    /// Follows until the phone holds what the API lists.
    fn agrees(&mut self, ask: &Asker, book: &str, filter: &str) -> usize {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let listed = told(&ask.get(&format!("/contacts?limit=1000&filter={filter}")));
            let ids = listed["items"].as_array().unwrap().iter();
            let wanted: BTreeSet<_> =
                ids.map(|contact| format!("{}.vcf", contact["id"].as_str().unwrap())).collect();
            self.follow(ask, book);
            if self.holds == wanted {
                return wanted.len();
            }
            assert!(Instant::now() < until, "the phone holds something else");
        }
    }
}

#[test]
fn a_smart_book_is_followed_and_not_written() {
    let room = crate::server::room();
    let data = room.path().join("data");
    let mut server = Server::on(&data, &[]);
    let ann = Asker::user(&server, "ann", false);
    let filter = "name.formatted%20sw%20%22Jane%22";
    assert_eq!(ann.get("/books").status, 200);
    let wanted = json!({"kind": "smart", "name": "janes", "filter": "name.formatted sw \"Jane\""});
    let book = made(&ann.post("/books", wanted));
    assert_eq!((&book["kind"], &book["access"]), (&json!("smart"), &json!("read")));
    let saved = format!("/filters/{}", book["filter"].as_str().unwrap());
    problem(&ann.delete(&saved), 409);
    let path = format!("/dav/addressbooks/{}/janes/", ann.name);
    let mut phone = Phone::default();
    assert_eq!(phone.agrees(&ann, &path, filter), 0);
    for uid in ["jane", "janet", "john"] {
        put(&server, &ann, &ann.name, "contacts", uid);
    }
    let changed = format!("/dav/addressbooks/{}/contacts/john.vcf", ann.name);
    assert_eq!(phone.agrees(&ann, &path, filter), 2);
    let renamed = short::card("3.0", "Jane John", "john");
    assert_eq!(card(&server, &ann, "PUT", &changed, Some(renamed.into())), 204);
    assert_eq!(phone.agrees(&ann, &path, filter), 3);

    let member = format!("{path}{}", phone.holds.first().unwrap());
    assert_eq!(card(&server, &ann, "GET", &member, None), 200);
    let body = || Some(short::card("3.0", "Jane", "new").into());
    assert_eq!(card(&server, &ann, "PUT", &format!("{path}new.vcf"), body()), 403);
    assert_eq!(card(&server, &ann, "PUT", &member, body()), 403);
    assert_eq!(card(&server, &ann, "DELETE", &member, None), 403);
    assert_eq!(card(&server, &ann, "DELETE", &path, None), 403);

    assert_eq!(card(&server, &ann, "DELETE", &changed, None), 204);
    let (name, authorization) = (ann.name.clone(), ann.authorization.clone());
    server.kill();
    let server = Server::on(&data, &[]);
    let ann = Asker { server: &server, authorization, name };
    assert_eq!(phone.agrees(&ann, &path, filter), 2);
    assert_eq!(ann.delete(&format!("/books/{}/janes", ann.name)).status, 204);
    assert_eq!(ann.delete(&saved).status, 204);
    assert_eq!(get(&server, &ann, &ann.name, "contacts", "jane"), 200);
    server.run(&["check"], "");
}

#[test]
fn a_smart_book_comes_back_with_a_backup() {
    let room = crate::server::room();
    let path = |name: &str| room.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let mut server = Server::on(&path("data"), &[]);
    let ann = Asker::user(&server, "ann", false);
    let filter = "name.formatted%20sw%20%22Jane%22";
    assert_eq!(ann.get("/books").status, 200);
    let wanted = json!({"kind": "smart", "name": "janes", "filter": "name.formatted sw \"Jane\""});
    let book = made(&ann.post("/books", wanted));
    for uid in ["jane", "janet", "john"] {
        put(&server, &ann, &ann.name, "contacts", uid);
    }
    let janes = format!("/dav/addressbooks/{}/janes/", ann.name);
    let mut phone = Phone::default();
    assert_eq!(phone.agrees(&ann, &janes, filter), 2);
    let held = phone.holds.clone();
    server.run(&["backup", &text("file"), "--keyring", &text("K")], "");
    // What happened since is not in it.
    put(&server, &ann, &ann.name, "contacts", "janey");
    assert_eq!(phone.agrees(&ann, &janes, filter), 3);
    let (name, authorization) = (ann.name.clone(), ann.authorization.clone());
    server.kill();
    crate::server::run(&path("there"), &["restore", &text("file"), "--keyring", &text("K")], "");
    crate::server::run(&path("there"), &["check"], "");

    let server = Server::on(&path("there"), &[]);
    let ann = Asker { server: &server, authorization, name };
    let shown = told(&ann.get(&format!("/books/{}/janes", ann.name)));
    assert_eq!(
        (&shown["kind"], &shown["filter"], &shown["access"]),
        (&book["kind"], &book["filter"], &json!("read"))
    );
    let mut phone = Phone::default();
    assert_eq!(phone.agrees(&ann, &janes, filter), 2);
    assert_eq!(phone.holds, held, "the same contacts under the same names");
    let member = format!("{janes}{}", phone.holds.first().unwrap());
    assert_eq!(card(&server, &ann, "GET", &member, None), 200);
    assert_eq!(card(&server, &ann, "DELETE", &member, None), 403);
    // It goes on following.
    put(&server, &ann, &ann.name, "contacts", "jane-again");
    assert_eq!(phone.agrees(&ann, &janes, filter), 3);
    let gone = format!("/dav/addressbooks/{}/contacts/jane.vcf", ann.name);
    assert_eq!(card(&server, &ann, "DELETE", &gone, None), 204);
    assert_eq!(phone.agrees(&ann, &janes, filter), 2);
    server.run(&["check"], "");
}
