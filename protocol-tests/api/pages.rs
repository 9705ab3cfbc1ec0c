//! How often a token may ask the API, and which pages of other sites may. Issue 5; Fetch §3.2.

use super::*;

#[test]
fn who_asks_too_often_is_slowed_and_others_are_not() {
    let server = &Server::fresh(&[("CARDKEEP_API__RATE_LIMIT", "3")]);
    let user = Asker::user(server, "u", false);
    let (one, other) = (user.token(&[]), user.token(&[]));
    for _ in 0..3 {
        assert_eq!(one.get("/users").status, 200);
    }
    let answer = one.get("/users");
    let slowed = problem(&answer, 429);
    assert_eq!(slowed["type"], "urn:cardkeep:problem:too-many-requests");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    problem(&one.post("/tokens", json!({"kind": "app"})), 429);
    for asker in [&other, &user] {
        assert_eq!(asker.get("/users").status, 200);
    }
    assert_eq!(server.once(&Request::new("GET", "/api/openapi.json")).status, 200);
    let dav = Request::new("PROPFIND", "/dav/").header("Authorization", &basic(&user.name, PASSWORD));
    assert_eq!(server.once(&dav.header("Depth", "0")).status, 207, "DAV has no such pace");
}

#[test]
fn zero_is_as_often_as_one_likes() {
    let server = &Server::fresh(&[("CARDKEEP_API__RATE_LIMIT", "0")]);
    let user = Asker::user(server, "u", false).token(&[]);
    let mut client = server.client();
    for _ in 0..50 {
        assert_eq!(client.send(&user.request("GET", "/users")).unwrap().status, 200);
    }
}

const PAGE: &str = "https://office.example.org";

fn preflight(origin: &str) -> Request {
    Request::new("OPTIONS", "/api/v1/tokens")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,content-type")
}

#[test]
fn listed_pages_may_ask_and_no_others() {
    let server =
        &Server::configured(&format!("[api]\ncors_origins = [\"{PAGE}\", \"http://localhost:3000\"]\n"));
    let user = Asker::user(server, "u", false).token(&[]);
    let allowed = |answer: &Response| answer.header("access-control-allow-origin");
    let answer = server.once(&preflight(PAGE));
    assert_eq!((answer.status, allowed(&answer).as_deref()), (204, Some(PAGE)));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("PATCH"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("Authorization"));
    assert!(answer.header("vary").unwrap().contains("Origin"));
    let post = |origin: &str| {
        let request = user.request("POST", "/tokens").header("Origin", origin);
        let request =
            request.header("Sec-Fetch-Site", "cross-site").header("Content-Type", "application/json");
        server.once(&request.body("{\"kind\": \"app\"}"))
    };
    let answer = post(PAGE);
    assert_eq!((answer.status, allowed(&answer).as_deref()), (201, Some(PAGE)), "{}", answer.text());
    assert!(answer.header("access-control-expose-headers").unwrap().contains("Location"));
    assert!(answer.header("access-control-allow-credentials").is_none());
    // A page may read what is wrong, too.
    let nobody = server.once(&Request::new("GET", "/api/v1/users").header("Origin", PAGE));
    assert_eq!((nobody.status, allowed(&nobody).as_deref()), (401, Some(PAGE)));
    for other in ["https://evil.example", "null", "https://office.example.org.evil.example", "*", ""] {
        let answer = server.once(&preflight(other));
        assert_eq!((answer.status, allowed(&answer)), (401, None), "{other}");
        let answer = post(other);
        problem(&answer, 403);
        assert!(allowed(&answer).is_none() && answer.header("vary").unwrap().contains("Origin"), "{other}");
    }
    let dav = Request::new("OPTIONS", "/dav/").header("Origin", PAGE);
    assert!(allowed(&server.once(&dav)).is_none(), "the API alone");
}

#[test]
fn without_a_list_no_page_may_ask() {
    let server = shared();
    let user = Asker::user(server, "u", false);
    assert_eq!(server.once(&preflight(PAGE)).status, 401);
    let answer = server.once(&user.request("GET", "/users").header("Origin", PAGE));
    assert_eq!(answer.status, 200);
    for name in ["access-control-allow-origin", "vary"] {
        assert!(answer.header(name).is_none(), "{name}");
    }
}
