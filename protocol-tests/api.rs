//! The admin API over real sockets: what each kind of bad input is answered with, who may do what,
//! what counts from the next request on. Issue 4; RFC 9457, RFC 7396, RFC 9110.

use serde_json::{Value, json};

use crate::http::{Client, Request, Response, basic};
use crate::server::{Server, shared, unique};

mod calendars;
mod laid;
mod pages;
mod private;
mod rights;
mod rooms;
mod smart;
mod whole;

/// What all users of these tests sign in with.
pub const PASSWORD: &str = "correct horse battery staple";

/// Somebody who asks the API.
pub struct Asker<'a> {
    /// The server.
    pub server: &'a Server,
    /// The header field that says who they are.
    pub authorization: String,
    /// Their login name.
    pub name: String,
}

impl<'a> Asker<'a> {
    /// A new user, signed in with the account's password.
    pub fn user(server: &'a Server, stem: &str, admin: bool) -> Self {
        let name = unique(stem);
        let mut arguments = vec!["user", "add", &name, "--password-stdin"];
        if admin {
            arguments.push("--admin");
        }
        server.run(&arguments, &format!("{PASSWORD}\n"));
        Self { server, authorization: basic(&name, PASSWORD), name }
    }

    /// A new administrator.
    pub fn admin(server: &'a Server) -> Self {
        Self::user(server, "boss", true)
    }

    /// The same user by a token, made on the command line.
    pub fn token(&self, scopes: &[&str]) -> Self {
        let mut arguments = vec!["token", "create", "--user", &self.name, "--kind", "api"];
        scopes.iter().for_each(|scope| arguments.extend(["--scope", scope]));
        let out = self.server.run(&arguments, "");
        let secret = out.lines().last().unwrap();
        self.with(format!("Bearer {secret}"))
    }

    /// The same user by another credential.
    pub fn with(&self, authorization: String) -> Self {
        Self { server: self.server, authorization, name: self.name.clone() }
    }

    /// A request of theirs.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, &format!("/api/v1{path}")).header("Authorization", &self.authorization)
    }

    /// Its answer, with a body of JSON where there is one.
    pub fn send(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        };
        self.server.once(&request)
    }

    /// `GET`
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, None)
    }

    /// `POST`
    pub fn post(&self, path: &str, body: Value) -> Response {
        self.send("POST", path, Some(body))
    }

    /// `PATCH`
    pub fn patch(&self, path: &str, body: Value) -> Response {
        self.send("PATCH", path, Some(body))
    }

    /// `DELETE`
    pub fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, None)
    }
}

/// The JSON of an answer.
pub fn told(answer: &Response) -> Value {
    let kind = answer.header("content-type").unwrap_or_default();
    assert_eq!(kind, "application/json", "{}", answer.text());
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    serde_json::from_slice(&answer.body).unwrap()
}

/// The problem document of that status.
pub fn problem(answer: &Response, status: u16) -> Value {
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
pub fn pointers(answer: &Response) -> Vec<String> {
    let problem = problem(answer, 422);
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What was made.
pub fn made(answer: &Response) -> Value {
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
