//! Who may do what through the API, and that it counts from the next request on.

use super::*;

#[test]
fn an_app_password_is_no_api_credential_and_a_token_no_password() {
    let server = shared();
    let app = server.account(&unique("phone"));
    let asker = Asker { server, authorization: app.basic(), name: app.name.clone() };
    problem(&asker.get("/users"), 401);
    problem(&asker.with(format!("Bearer {}", app.password)).get("/users"), 401);
    let user = Asker::user(server, "scripter", false);
    let token = user.token(&[]);
    assert_eq!(names(&token.get("/users")), [user.name.as_str()]);
    let secret = token.authorization.strip_prefix("Bearer ").unwrap();
    let dav = Request::new("PROPFIND", "/dav/").header("Authorization", &basic(&user.name, secret));
    assert_eq!(server.once(&dav).status, 401);
}

#[test]
fn guesses_at_tokens_are_braked_and_a_right_one_is_not() {
    let server = Server::fresh(&[("CARDKEEP_LIMITS__LOGIN_ATTEMPTS", "3")]);
    let user = Asker::user(&server, "u", false).token(&[]);
    let guess = user.with("Bearer nonsense".into());
    for _ in 0..3 {
        problem(&guess.get("/users"), 401);
    }
    let answer = guess.get("/users");
    problem(&answer, 429);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(user.get("/users").status, 200);
}

#[test]
fn who_is_no_administrator_sees_and_changes_their_own() {
    let server = shared();
    let (ann, bob) = (Asker::user(server, "ann", false), Asker::user(server, "bob", false));
    assert_eq!(names(&ann.get("/users")), [ann.name.as_str()]);
    problem(&ann.get(&format!("/users/{}", bob.name)), 404);
    let missing = |answer: &Response, permission: &str| {
        let problem = problem(answer, 403);
        assert_eq!(problem["permission"], permission, "{problem}");
    };
    missing(&ann.post("/users", json!({"name": "x"})), "users");
    missing(&ann.patch(&format!("/users/{}", ann.name), json!({"admin": true})), "users");
    missing(&ann.post("/groups", json!({"name": "x"})), "users");
    assert_eq!(told(&ann.get("/groups"))["total"], 0);
    let token = made(&bob.post("/tokens", json!({"kind": "app"})));
    let path = format!("/tokens/{}", token["id"].as_str().unwrap());
    problem(&ann.get(&path), 404);
    problem(&ann.delete(&path), 404);
    missing(&ann.post("/tokens", json!({"kind": "app", "user": bob.name})), "users");
    let book = format!("/books/{}/contacts", bob.name);
    assert_eq!(bob.get(&book).status, 200);
    problem(&ann.get(&book), 404);
    problem(&ann.delete(&book), 404);
    missing(&ann.post("/books", json!({"name": "x", "owner": bob.name})), "settings");
}

#[test]
fn a_token_is_for_its_scopes_of_what_its_user_may() {
    let server = shared();
    let admin = Asker::admin(server);
    let user = Asker::user(server, "narrow", false);
    let reads = admin.token(&["users"]);
    assert_eq!(reads.get("/users").status, 200);
    assert!(names(&reads.get("/users?limit=1000")).contains(&user.name));
    assert_eq!(problem(&reads.get("/books"), 403)["permission"], "contacts:read");
    assert_eq!(problem(&reads.post("/books", json!({"name": "x"})), 403)["permission"], "contacts:write");
    // A token makes no token that is for more than itself, and no administrator.
    assert_eq!(problem(&reads.post("/tokens", json!({"kind": "api"})), 403)["permission"], "contacts:read");
    let all = json!({"kind": "api", "scopes": ["admin"]});
    assert_eq!(problem(&reads.post("/tokens", all), 403)["permission"], "contacts:read");
    assert_eq!(
        made(&reads.post("/tokens", json!({"kind": "api", "scopes": ["users"]})))["scopes"],
        json!(["users"])
    );
    assert_eq!(
        problem(&reads.post("/users", json!({"name": unique("x"), "admin": true})), 403)["permission"],
        "admin"
    );
    let path = format!("/users/{}", admin.name);
    assert_eq!(problem(&reads.patch(&path, json!({"email": "a@b"})), 403)["permission"], "admin");
    assert_eq!(problem(&admin.token(&["audit"]).delete("/tokens/x"), 403)["permission"], "users");
    // What the user may not, no token may.
    let narrow = user.token(&["users"]);
    assert_eq!(problem(&narrow.post("/users", json!({"name": "x"})), 403)["permission"], "users");
    // What the user may counts at each request.
    let path = format!("/users/{}", user.name);
    assert_eq!(admin.patch(&path, json!({"permissions": ["users"]})).status, 200);
    let made_now = unique("bynarrow");
    assert_eq!(narrow.post("/users", json!({"name": made_now})).status, 201);
    assert_eq!(admin.patch(&path, json!({"permissions": []})).status, 200);
    problem(&narrow.post("/users", json!({"name": unique("x")})), 403);
}

#[test]
fn revoking_and_disabling_count_at_the_next_request() {
    let server = shared();
    let admin = Asker::admin(server);
    let user = Asker::user(server, "leaver", false);
    let made = made(&user.post("/tokens", json!({"kind": "api", "scopes": ["contacts:read"]})));
    let token = user.with(format!("Bearer {}", made["secret"].as_str().unwrap()));
    let mut kept = Client::new(server.address);
    let mut ask = |who: &Asker| kept.send(&who.request("GET", "/users")).unwrap().status;
    assert_eq!(ask(&token), 200);
    let path = format!("/users/{}", user.name);
    assert_eq!(admin.patch(&path, json!({"enabled": false})).status, 200);
    assert_eq!((ask(&token), ask(&user)), (401, 401));
    assert_eq!(admin.patch(&path, json!({"enabled": true})).status, 200);
    assert_eq!((ask(&token), ask(&user)), (200, 200));
    assert_eq!(user.delete(&format!("/tokens/{}", made["id"].as_str().unwrap())).status, 204);
    assert_eq!((ask(&token), ask(&user)), (401, 200));
}

#[test]
fn tokens_end_and_never_in_the_past() {
    let server = shared();
    let user = Asker::user(server, "ender", false);
    let past = json!({"kind": "app", "expires": "2020-01-01"});
    assert_eq!(pointers(&user.post("/tokens", past)), ["/expires"]);
    assert_eq!(pointers(&user.post("/tokens", json!({"kind": "app", "expires": "soon"}))), ["/expires"]);
    assert_eq!(
        pointers(&user.post("/tokens", json!({"kind": "app", "scopes": ["dav:contacts", "export"]}))),
        ["/scopes/1"]
    );
    assert_eq!(
        pointers(&user.post("/tokens", json!({"kind": "api", "scopes": ["dav:contacts"]}))),
        ["/scopes/0"]
    );
    assert_eq!(pointers(&user.post("/tokens", json!({"kind": "web"}))), ["/kind"]);
    let token =
        made(&user.post("/tokens", json!({"kind": "app", "label": "phone", "expires": "2099-01-31"})));
    assert_eq!(token["expires"], "2099-01-31T00:00:00Z");
    let path = format!("/tokens/{}", token["id"].as_str().unwrap());
    let shown = told(&user.get(&path));
    assert!(shown.get("secret").is_none() && shown["label"] == "phone");
    let changed = told(&user.patch(&path, json!({"label": "tablet", "expires": null})));
    assert_eq!((&changed["label"], &changed["expires"]), (&json!("tablet"), &Value::Null));
    assert_eq!(pointers(&user.patch(&path, json!({"expires": "2020-01-01"}))), ["/expires"]);
    assert_eq!(pointers(&user.patch(&path, json!({"scopes": ["dav:contacts"]}))), ["/scopes"]);
    let end = ["token", "create", "--user", &user.name, "--kind", "app", "--expires", "2020-01-01"];
    let refused = crate::server::attempt(&server.data, &end, "");
    assert_eq!(refused.status.code(), Some(1));
    let list = server.run(&["token", "list", "--user", &user.name], "");
    assert!(list.contains("KIND") && list.contains("app"), "{list}");
}

#[test]
fn an_administrator_is_left() {
    let server = Server::fresh(&[]);
    let admin = Asker::admin(&server);
    let path = format!("/users/{}", admin.name);
    problem(&admin.patch(&path, json!({"enabled": false})), 409);
    problem(&admin.patch(&path, json!({"admin": false})), 409);
    problem(&admin.delete(&path), 409);
    let second = Asker::admin(&server);
    let other = format!("/users/{}", second.name);
    assert_eq!(admin.patch(&other, json!({"admin": false})).status, 200);
    assert_eq!(admin.patch(&other, json!({"permissions": ["users"]})).status, 200);
    // Who has less than an administrator changes none.
    assert_eq!(problem(&second.patch(&path, json!({"enabled": false})), 403)["permission"], "admin");
    assert_eq!(problem(&second.delete(&path), 403)["permission"], "admin");
}
