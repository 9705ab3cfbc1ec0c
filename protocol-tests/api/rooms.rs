//! Users, groups and books, made, changed and removed.

use super::*;

#[test]
fn users_are_made_changed_and_removed() {
    let server = shared();
    let admin = Asker::admin(server);
    let name = unique("made");
    let new = json!({
        "name": name, "password": "p\u{e4}ss", "display_name": "Zo\u{eb}", "email": "zoe@example.org",
        "permissions": ["export", "users"],
    });
    let answer = admin.post("/users", new);
    let user = made(&answer);
    assert_eq!(answer.header("location").unwrap(), format!("/api/v1/users/{name}"));
    assert!(user.get("password").is_none());
    assert_eq!(
        (&user["enabled"], &user["admin"], &user["directory"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!(user["permissions"], json!(["export", "users"]));
    assert!(user["created_at"].as_str().unwrap().ends_with('Z'));
    let path = format!("/users/{name}");
    let themselves = admin.with(basic(&name, "p\u{e4}ss"));
    assert_eq!(themselves.get(&path).status, 200);
    // A merge patch: null takes away, what is left out stays.
    let changed = told(&admin.patch(&path, json!({"display_name": null, "permissions": ["users"]})));
    assert_eq!((&changed["display_name"], &changed["email"]), (&Value::Null, &user["email"]));
    assert_eq!(changed["permissions"], json!(["users"]));
    // What is shown may be sent back as it is, but not changed.
    assert_eq!(told(&admin.patch(&path, changed.clone())), changed);
    assert_eq!(pointers(&admin.patch(&path, json!({"name": "other", "shoe": 1}))), ["/name", "/shoe"]);
    assert_eq!(pointers(&admin.patch(&path, json!({"enabled": null}))), ["/enabled"]);
    assert_eq!(pointers(&admin.patch(&path, json!({"password": "x"}))), ["/password"]);
    assert_eq!(admin.delete(&path).status, 204);
    problem(&admin.get(&path), 404);
    problem(&themselves.get(&path), 401);
}

#[test]
fn the_books_of_who_leaves_are_handed_over_or_erased() {
    let server = shared();
    let admin = Asker::admin(server);
    let (leaver, heir) = (Asker::user(server, "goes", false), Asker::user(server, "stays", false));
    assert_eq!(heir.get("/books").status, 200);
    put(server, &leaver, &leaver.name, "contacts", "jane");
    let path = format!("/users/{}", leaver.name);
    problem(&admin.delete(&path), 409);
    problem(&admin.delete(&format!("{path}?hand_over={}&erase=true", heir.name)), 400);
    problem(&admin.delete(&format!("{path}?hand_over=nobody")), 409);
    assert_eq!(admin.delete(&format!("{path}?hand_over={}", heir.name)).status, 204);
    problem(&leaver.get("/books"), 401);
    let inherited = format!("contacts-{}", leaver.name);
    assert_eq!(get(server, &heir, &heir.name, &inherited, "jane"), 200);
    let second = Asker::user(server, "erased", false);
    put(server, &second, &second.name, "contacts", "joe");
    problem(&admin.delete(&format!("/users/{}", second.name)), 409);
    assert_eq!(admin.delete(&format!("/users/{}?erase=true", second.name)).status, 204);
}

#[test]
fn groups_have_members_and_their_books_reach_them() {
    let server = shared();
    let admin = Asker::admin(server);
    let (ann, bob) = (Asker::user(server, "ann", false), Asker::user(server, "bob", false));
    assert_eq!((ann.get("/users").status, bob.get("/users").status), (200, 200));
    let name = format!("{} \u{e4}", unique("sales"));
    let answer = admin.post("/groups", json!({"name": name, "display_name": "Sales", "members": [ann.name]}));
    let group = made(&answer);
    assert_eq!(group["members"], json!([ann.name]));
    let path = answer.header("location").unwrap().strip_prefix("/api/v1").unwrap().to_owned();
    assert_eq!(names(&ann.get("/groups")), [name.as_str()]);
    problem(&bob.get(&path), 404);
    problem(&admin.post("/groups", json!({"name": name})), 409);
    assert_eq!(
        pointers(&admin.post("/groups", json!({"name": "x/y", "members": [1]}))),
        ["/name", "/members/0"]
    );
    assert_eq!(pointers(&admin.patch(&path, json!({"members": [ann.name, "nobody"]}))), ["/members/1"]);

    let shelf = unique("shelf");
    let book = made(
        &admin.post("/books", json!({"kind": "shared", "name": shelf, "owner": format!("group:{name}")})),
    );
    assert_eq!(book["kind"], "shared");
    put(server, &ann, &ann.name, &shelf, "jane");
    assert_eq!(get(server, &bob, &bob.name, &shelf, "jane"), 404);
    let members = told(&admin.patch(&path, json!({"members": [bob.name]})))["members"].clone();
    assert_eq!(members, json!([bob.name]));
    assert_eq!(get(server, &ann, &ann.name, &shelf, "jane"), 404);
    assert_eq!(get(server, &bob, &bob.name, &shelf, "jane"), 200);
    let user = told(&admin.get(&format!("/users/{}", bob.name)));
    assert_eq!(user["groups"], json!([name]));
    assert!(names(&bob.get("/books")).contains(&shelf));
    // A member works with the group's book and does not dispose of it.
    let encoded = book["owner"].as_str().unwrap().replace(' ', "%20").replace('\u{e4}', "%C3%A4");
    assert_eq!(problem(&bob.delete(&format!("/books/{encoded}/{shelf}")), 403)["permission"], "settings");

    problem(&admin.delete(&path), 409);
    assert_eq!(admin.delete(&format!("{path}?erase=true")).status, 204);
    assert_eq!(get(server, &bob, &bob.name, &shelf, "jane"), 404);
    assert_eq!(told(&admin.get(&format!("/users/{}", bob.name)))["groups"], json!([]));
}

#[test]
fn books_are_made_shared_and_kept_private() {
    let server = shared();
    let admin = Asker::admin(server);
    let (ann, bob) = (Asker::user(server, "ann", false), Asker::user(server, "bob", false));
    assert_eq!((ann.get("/books").status, bob.get("/books").status), (200, 200));
    let shelf = unique("shelf");
    let book = made(&ann.post("/books", json!({"kind": "personal", "name": shelf})));
    assert_eq!(
        (&book["owner"], &book["kind"], &book["access"]),
        (&json!(ann.name), &json!("personal"), &json!("write"))
    );
    problem(&ann.post("/books", json!({"name": shelf})), 409);
    assert_eq!(pointers(&ann.post("/books", json!({"kind": "smart", "name": "x"}))), ["/filter"]);
    assert_eq!(pointers(&ann.post("/books", json!({"name": "x", "filter": "kind eq \"org\""}))), ["/filter"]);
    assert_eq!(pointers(&ann.post("/books", json!({"kind": "directory", "name": "x"}))), ["/kind"]);
    assert_eq!(pointers(&ann.post("/books", json!({"kind": "shared", "name": "x"}))), ["/owner"]);
    assert_eq!(pointers(&ann.post("/books", json!({"name": ".."}))), ["/name"]);
    let path = format!("/books/{}/{shelf}", ann.name);

    let share = json!({"user": bob.name, "access": "read"});
    assert_eq!(made(&ann.post(&format!("{path}/shares"), share.clone())), share);
    assert_eq!(told(&bob.get(&path))["access"], "read");
    assert!(told(&bob.get(&path)).get("shares").is_none(), "who else has it is its owner's to know");
    problem(&bob.get(&format!("{path}/shares")), 403);
    let more = json!({"user": bob.name, "access": "write"});
    assert_eq!(ann.post(&format!("{path}/shares"), more.clone()).status, 200);
    assert_eq!(told(&ann.get(&format!("{path}/shares")))["items"], json!([more]));
    put(server, &bob, &bob.name, &shelf, "jane");
    assert_eq!(
        pointers(&ann.post(&format!("{path}/shares"), json!({"access": "own"}))),
        ["/access", "/user"]
    );
    assert_eq!(
        problem(&ann.post(&format!("{path}/shares"), json!({"user": "nobody", "access": "read"})), 422)["status"],
        422
    );
    problem(&ann.post(&format!("{path}/shares"), json!({"user": ann.name, "access": "read"})), 409);
    assert_eq!(pointers(&ann.patch(&path, json!({"private": true}))), ["/private"]);
    assert_eq!(ann.delete(&format!("{path}/shares?user={}", bob.name)).status, 204);
    problem(&ann.delete(&format!("{path}/shares?user={}", bob.name)), 404);
    problem(&bob.get(&path), 404);
    assert_eq!(get(server, &bob, &bob.name, &shelf, "jane"), 404);

    // An administrator sees others' books, and private ones not.
    assert_eq!(admin.get(&path).status, 200);
    assert_eq!(told(&ann.patch(&path, json!({"private": true})))["private"], true);
    problem(&admin.get(&path), 404);
    assert!(!names(&admin.get("/books?limit=1000")).contains(&shelf));
    problem(&ann.post(&format!("{path}/shares"), share), 409);
    let renamed = unique("renamed");
    assert_eq!(told(&ann.patch(&path, json!({"name": renamed, "private": false})))["name"], renamed.as_str());
    problem(&ann.get(&path), 404);
    let path = format!("/books/{}/{renamed}", ann.name);
    assert_eq!(problem(&ann.token(&["contacts:read"]).delete(&path), 403)["permission"], "contacts:write");
    assert_eq!(problem(&ann.token(&["contacts:write"]).delete(&path), 403)["permission"], "contacts:delete");
    assert_eq!(ann.delete(&path).status, 204);
    problem(&ann.get(&path), 404);
}
