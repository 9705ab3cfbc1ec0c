//! That nobody reaches others' private books by way of the API.

use super::*;

/// A user with an open book and a private one, with a card in each.
fn diarist(server: &Server) -> Asker<'_> {
    let user = Asker::user(server, "diarist", false);
    assert_eq!(user.get("/books").status, 200);
    made(&user.post("/books", json!({"name": "diary", "private": true})));
    put(server, &user, &user.name, "contacts", "open");
    put(server, &user, &user.name, "diary", "secret");
    user
}

/// What of both cards a DAV client finds, and how many books in the home.
fn reached(server: &Server, user: &Asker, secret: &str) -> (u16, u16, usize) {
    let phone = user.with(basic(&user.name, secret));
    let card = |book, uid| get(server, &phone, &user.name, book, uid);
    let home = Request::new("PROPFIND", &format!("/dav/addressbooks/{}/", user.name));
    let home = home.header("Authorization", &phone.authorization).header("Depth", "1");
    let listed = server.once(&home).text();
    let books = ["contacts", "diary"].into_iter();
    let there = books.filter(|book| listed.contains(&format!("/dav/addressbooks/{}/{book}/<", user.name)));
    (card("contacts", "open"), card("diary", "secret"), there.count())
}

#[test]
fn a_credential_made_for_another_opens_no_private_book() {
    let server = shared();
    let (admin, user) = (Asker::admin(server), diarist(server));
    let secret =
        |who: &Asker, body: Value| made(&who.post("/tokens", body))["secret"].as_str().unwrap().to_owned();
    let app = |who: &Asker| secret(who, json!({"kind": "app", "user": user.name}));
    assert_eq!(reached(server, &user, &app(&user)), (200, 200, 2));
    assert_eq!(reached(server, &user, &app(&admin)), (200, 404, 1));
    // The command line sets up phones.
    let out = server.run(&["token", "create", "--user", &user.name, "--kind", "app"], "");
    assert_eq!(reached(server, &user, out.lines().last().unwrap()), (200, 200, 2));

    let foreign = user.with(format!("Bearer {}", secret(&admin, json!({"kind": "api", "user": user.name}))));
    assert_eq!(names(&user.get("/books")), ["contacts", "diary"]);
    assert_eq!(names(&foreign.get("/books")), ["contacts"]);
    let diary = format!("/books/{}/diary", user.name);
    problem(&foreign.get(&diary), 404);
    problem(&foreign.patch(&diary, json!({"private": false})), 404);
    problem(&foreign.delete(&diary), 404);
    assert_eq!(pointers(&foreign.post("/books", json!({"name": "own", "private": true}))), ["/private"]);
    let contacts = format!("/books/{}/contacts", user.name);
    assert_eq!(pointers(&foreign.patch(&contacts, json!({"private": true}))), ["/private"]);
    // Nor does what it makes.
    assert_eq!(reached(server, &user, &app(&foreign)), (200, 404, 1));
    // Changing a token makes it no other.
    let token = made(&admin.post("/tokens", json!({"kind": "app", "user": user.name})));
    let path = format!("/tokens/{}", token["id"].as_str().unwrap());
    assert_eq!(user.patch(&path, json!({"label": "mine"})).status, 200);
    assert_eq!(reached(server, &user, token["secret"].as_str().unwrap()), (200, 404, 1));
}

#[test]
fn private_books_are_not_handed_over() {
    let server = shared();
    let (admin, user) = (Asker::admin(server), diarist(server));
    let path = format!("/users/{}", user.name);
    let over = format!("{path}?hand_over={}", admin.name);
    let refused = problem(&admin.delete(&over), 409);
    assert!(refused["detail"].as_str().unwrap().contains("1 private book,"), "{refused}");
    assert_eq!(get(server, &user, &user.name, "diary", "secret"), 200, "nothing has happened");
    problem(&admin.delete(&format!("{over}&private=yes")), 422);
    problem(&admin.delete(&format!("{path}?private=erase")), 422);
    let refused =
        crate::server::attempt(&server.data, &["user", "remove", &user.name, "--hand-over", &admin.name], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--erase-private"));
    assert_eq!(admin.delete(&format!("{over}&private=erase")).status, 204);
    let books = names(&admin.get("/books?limit=1000"));
    assert!(books.contains(&format!("contacts-{}", user.name)), "{books:?}");
    assert!(!books.iter().any(|book| book.starts_with("diary")), "{books:?}");
}
