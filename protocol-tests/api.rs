//! The admin API over real sockets: what each kind of bad input is answered with, who may do what,
//! what counts from the next request on. Issue 4; RFC 9457, RFC 7396, RFC 9110.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::http::{Client, Request, Response, basic};
use crate::server::{Server, shared, unique};
use crate::sources::root;

mod private;

/// What all users of these tests sign in with.
const PASSWORD: &str = "correct horse battery staple";

/// Somebody who asks the API.
struct Asker<'a> {
    server: &'a Server,
    authorization: String,
    name: String,
}

impl<'a> Asker<'a> {
    /// A new user, signed in with the account's password.
    fn user(server: &'a Server, stem: &str, admin: bool) -> Self {
        let name = unique(stem);
        let mut arguments = vec!["user", "add", &name, "--password-stdin"];
        if admin {
            arguments.push("--admin");
        }
        server.run(&arguments, &format!("{PASSWORD}\n"));
        Self { server, authorization: basic(&name, PASSWORD), name }
    }

    fn admin(server: &'a Server) -> Self {
        Self::user(server, "boss", true)
    }

    /// The same user by a token, made on the command line.
    fn token(&self, scopes: &[&str]) -> Self {
        let mut arguments = vec!["token", "create", "--user", &self.name, "--kind", "api"];
        scopes.iter().for_each(|scope| arguments.extend(["--scope", scope]));
        let out = self.server.run(&arguments, "");
        let secret = out.lines().last().unwrap();
        self.with(format!("Bearer {secret}"))
    }

    fn with(&self, authorization: String) -> Self {
        Self { server: self.server, authorization, name: self.name.clone() }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, &format!("/api/v1{path}")).header("Authorization", &self.authorization)
    }

    fn send(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        };
        self.server.once(&request)
    }

    fn get(&self, path: &str) -> Response {
        self.send("GET", path, None)
    }

    fn post(&self, path: &str, body: Value) -> Response {
        self.send("POST", path, Some(body))
    }

    fn patch(&self, path: &str, body: Value) -> Response {
        self.send("PATCH", path, Some(body))
    }

    fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, None)
    }
}

fn told(answer: &Response) -> Value {
    let kind = answer.header("content-type").unwrap_or_default();
    assert_eq!(kind, "application/json", "{}", answer.text());
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    serde_json::from_slice(&answer.body).unwrap()
}

/// The problem document of that status.
fn problem(answer: &Response, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], status);
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
    }
    problem
}

/// The pointers of a 422.
fn pointers(answer: &Response) -> Vec<String> {
    let problem = problem(answer, 422);
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().unwrap_or_default().to_owned()).collect()
}

fn made(answer: &Response) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(answer.header("location").is_some());
    told(answer)
}

fn names(answer: &Response) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let items = told(answer)["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn without_credentials_it_says_how_to_sign_in() {
    let server = shared();
    let answer = server.once(&Request::new("GET", "/api/v1/users"));
    problem(&answer, 401);
    let told = answer.header("www-authenticate").unwrap();
    assert!(told.contains("Bearer ") && told.contains("Basic realm="), "{told}");
    assert!(answer.header("dav").is_none());
    let wrong = Request::new("GET", "/api/v1/users").header("Authorization", "Bearer wrong-wrong");
    let answer = server.once(&wrong);
    problem(&answer, 401);
    assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    problem(&server.once(&Request::new("GET", "/api/v1/nothing")), 401);
}

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
fn each_kind_of_bad_input_has_its_problem() {
    let server = shared();
    let admin = Asker::admin(server);
    let post = |kind: &str, body: &[u8]| {
        let request = admin.request("POST", "/users");
        let request = if kind.is_empty() { request } else { request.header("Content-Type", kind) };
        server.once(&request.body(body))
    };
    let unreadable = problem(&post("application/json", b"{\"name\": \"a\",\n oops}"), 400);
    let place = unreadable["detail"].as_str().unwrap();
    assert!(place.contains("line 2, column"), "{place}");
    problem(&post("application/json", b""), 400);
    problem(&post("application/json", b"\xff\xfe"), 400);
    problem(&post("application/json", "[".repeat(100_000).as_bytes()), 400);
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        problem(&post(kind, b"{\"name\": \"a\"}"), 415);
    }
    problem(&post("application/json", &vec![b' '; (1 << 20) + 1]), 413);
    assert_eq!(pointers(&post("application/json", b"[]")), [""]);
    let wrong = json!({
        "name": "not a name", "email": "nobody", "admin": 1, "permissions": ["users", "fly"], "nam~e/": 0,
    });
    let wrong = pointers(&admin.post("/users", wrong));
    assert_eq!(wrong, ["/name", "/email", "/admin", "/permissions/1", "/nam~0e~1"]);
    assert_eq!(pointers(&admin.post("/users", json!({"name": "x", "password": ""}))), ["/password"]);
    problem(&admin.get("/users?limit=ten"), 400);
    problem(&admin.get("/users?limit=1001"), 422);
    problem(&admin.get("/users?cursor=%21"), 400);
    problem(&admin.get("/users?sort=shoe_size"), 400);
    let filter = problem(&admin.get("/users?filter=name%20eq%20%22a%22"), 400);
    assert_eq!(filter["errors"][0]["parameter"], "filter");
    problem(&admin.get("/nothing"), 404);
    problem(&admin.get("/users/nobody"), 404);
    let answer = admin.send("PUT", "/users", None);
    problem(&answer, 405);
    assert_eq!(answer.header("allow").as_deref(), Some("GET, HEAD, POST, OPTIONS"));
    problem(&admin.post("/users", json!({"name": admin.name})), 409);
    let cross = admin.request("POST", "/users").header("Sec-Fetch-Site", "cross-site");
    problem(&server.once(&cross.header("Content-Type", "application/json").body("{}")), 403);
}

#[test]
fn head_and_options_are_answered_from_the_table() {
    let server = shared();
    let user = Asker::user(server, "header", false);
    let path = format!("/users/{}", user.name);
    let (whole, head) = (user.get(&path), user.send("HEAD", &path, None));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), whole.header("etag"));
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    let options = user.send("OPTIONS", &path, None);
    assert_eq!(options.status, 204);
    assert_eq!(options.header("allow").as_deref(), Some("GET, HEAD, PATCH, DELETE, OPTIONS"));
}

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
fn if_match_guards_what_was_read() {
    let server = shared();
    let admin = Asker::admin(server);
    let user = Asker::user(server, "guarded", false);
    let path = format!("/users/{}", user.name);
    let etag = admin.get(&path).header("etag").unwrap();
    let patch = |etag: &str, name: &str| {
        let request = admin.request("PATCH", &path).header("Content-Type", "application/merge-patch+json");
        server.once(&request.header("If-Match", etag).body(json!({"display_name": name}).to_string()))
    };
    let first = patch(&etag, "One");
    assert_eq!(first.status, 200);
    problem(&patch(&etag, "Two"), 412);
    assert_eq!(told(&admin.get(&path))["display_name"], "One");
    let now = first.header("etag").unwrap();
    assert_eq!(Some(now.clone()), admin.get(&path).header("etag"));
    assert_eq!(patch(&format!("\"other\", {now}"), "Three").status, 200);
    assert_eq!(patch("*", "Four").status, 200);
    let delete = admin.request("DELETE", &path).header("If-Match", &etag);
    problem(&server.once(&delete), 412);
    assert_eq!(admin.get(&path).status, 200);
}

#[test]
fn a_repeated_post_is_done_once() {
    let server = shared();
    let user = Asker::user(server, "repeater", false);
    let key = unique("key");
    let post = |who: &Asker, label: &str| {
        let request = who.request("POST", "/tokens").header("Idempotency-Key", &key);
        let body = json!({"kind": "app", "label": label}).to_string();
        server.once(&request.header("Content-Type", "application/json").body(body))
    };
    let (first, second) = (post(&user, "one"), post(&user, "one"));
    assert_eq!(made(&first), made(&second));
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!(told(&user.get("/tokens"))["total"], 1);
    problem(&post(&user, "two"), 422);
    assert_eq!(post(&Asker::user(server, "other", false), "two").status, 201, "another's key is another");
    problem(&server.once(&user.request("POST", "/tokens").header("Idempotency-Key", "")), 400);
}

#[test]
fn lists_come_in_pieces() {
    let server = &Server::fresh(&[]);
    let admin = Asker::admin(server);
    for name in ["Zo\u{eb}", "\u{c4}rger", "bob", "Bob", "anton"] {
        let login = unique("listed");
        made(&admin.post("/users", json!({"name": login, "display_name": name})));
    }
    let (mut all, mut cursor, mut pieces) = (Vec::new(), String::new(), 0);
    loop {
        let page = told(&admin.get(&format!("/users?limit=2&sort=-display_name{cursor}")));
        assert_eq!(page["total"], 6);
        let shown = |item: &Value| item["display_name"].as_str().unwrap_or_default().to_lowercase();
        all.extend(page["items"].as_array().unwrap().iter().map(shown));
        pieces += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(
        (pieces, all),
        (3, ["zo\u{eb}", "bob", "bob", "\u{e4}rger", "anton", ""].map(String::from).to_vec())
    );
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

fn card(server: &Server, who: &Asker, method: &str, path: &str, body: Option<Vec<u8>>) -> u16 {
    let request = Request::new(method, path).header("Authorization", &who.authorization);
    let request = match body {
        Some(body) => request.header("Content-Type", "text/vcard").body(body),
        None => request,
    };
    server.once(&request).status
}

fn put(server: &Server, who: &Asker, owner: &str, book: &str, uid: &str) {
    let body = crate::short::card("3.0", uid, uid);
    let path = format!("/dav/addressbooks/{owner}/{book}/{uid}.vcf");
    assert_eq!(card(server, who, "PUT", &path, Some(body.into())), 201);
}

fn get(server: &Server, who: &Asker, owner: &str, book: &str, uid: &str) -> u16 {
    card(server, who, "GET", &format!("/dav/addressbooks/{owner}/{book}/{uid}.vcf"), None)
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
    assert_eq!(pointers(&ann.post("/books", json!({"kind": "smart", "name": "x"}))), ["/kind"]);
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
        group|access|scopes|label|expires|\\PC{0,8}";
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
    let server = Server::fresh(&[]);
    let admin = Asker::admin(&server);
    let (user, group) = (unique("fuzzed"), unique("fuzzies"));
    made(&admin.post("/users", json!({"name": user})));
    made(&admin.post("/groups", json!({"name": group})));
    let token = made(&admin.post("/tokens", json!({"kind": "app"})));
    let book = format!("/books/{}/contacts", admin.name);
    let routes = [
        ("POST", "/users".to_owned()),
        ("PATCH", format!("/users/{user}")),
        ("POST", "/groups".to_owned()),
        ("PATCH", format!("/groups/{group}")),
        ("POST", "/books".to_owned()),
        ("PATCH", book.clone()),
        ("POST", format!("{book}/shares")),
        ("POST", "/tokens".to_owned()),
        ("PATCH", format!("/tokens/{}", token["id"].as_str().unwrap())),
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
