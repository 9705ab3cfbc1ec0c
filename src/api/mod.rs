//! The admin API: JSON in, use cases, JSON out. `routes::ROUTES` says what there is; dispatch,
//! `Allow`, the OpenAPI description, the reference page and tests derive from it. Knows no store and
//! no connection.

mod body;
mod books;
mod calendars;
mod contacts;
mod describe;
mod docs;
mod fields;
mod filters;
mod groups;
mod jobs;
mod ldap;
mod page;
mod people;
mod problem;
mod query;
mod repeat;
mod reply;
mod routes;
mod shares;
mod tokens;
mod words;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, IF_MATCH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::domain::permission::Permission;
use crate::service::Service;
use crate::service::access::Caller;
use crate::service::refusal::{Fault, Refusal};

use self::problem::{Kind, Problem, Trouble};
use self::query::Query;
use self::repeat::{Repeats, Turn};
use self::reply::Reply;
use self::routes::{Need, ROUTES, Route};

pub use self::contacts::JsonPatches;
pub use self::describe::description;
pub use self::problem::in_place_of;

/// What answers carry.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What a handler comes to.
type Outcome = Result<Reply, Trouble>;

/// A handler at work.
type Work<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// How often a change is tried again when what it was made from has moved meanwhile.
const ROUNDS: usize = 8;

/// The largest body that is read.
pub const BODY_LIMIT: usize = body::LIMIT;

/// What the API remembers between requests.
#[derive(Default)]
pub struct Memory {
    repeats: Repeats,
}

/// One request, as handlers see it.
struct Ask {
    service: Arc<Service>,
    caller: Caller,
    /// What stands before the path in links.
    prefix: String,
    /// What the path says where the template has `{…}`, decoded.
    params: Vec<String>,
    query: Query,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask {
    /// What the path says at one of its `{…}`.
    fn param(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }

    /// The path of a resource, for `Location`.
    fn place(&self, collection: &str, parts: &[&str]) -> String {
        let mut place = format!("{}/api/v1/{collection}", self.prefix);
        for part in parts {
            place.push('/');
            place.extend(utf8_percent_encode(part, SEGMENT));
        }
        place
    }

    /// The path at which DAV clients find something.
    fn dav_place(&self, homes: &str, parts: &[&str]) -> String {
        let mut place = format!("{}/dav/{homes}", self.prefix);
        for part in parts {
            place.push('/');
            place.extend(utf8_percent_encode(part, SEGMENT));
        }
        place
    }

    /// Reads the body of a `POST`.
    fn body<T: body::Read>(&self) -> Result<T, Problem> {
        body::read(body::json(&self.headers, &self.body)?)
    }

    /// The writable fields of a resource after the body's merge patch.
    fn patched(&self, shown: &Reply, writable: &[&str]) -> Result<Map<String, Value>, Trouble> {
        let patch = body::patch(&self.headers, &self.body)?;
        let shown: Value = serde_json::from_slice(&shown.body)
            .map_err(|_| Fault("what is shown of a resource is not JSON".into()))?;
        Ok(body::patched(&shown, patch, writable)?)
    }

    /// Whether the merge patch has any of these fields.
    fn touches(&self, names: &[&str]) -> bool {
        let patch = body::patch(&self.headers, &self.body).unwrap_or_default();
        names.iter().any(|name| patch.contains_key(*name))
    }

    /// Refuses where `If-Match` names another state of the resource than this one (RFC 9110
    /// §13.1.1).
    fn when(&self, shown: &Reply) -> Result<(), Problem> {
        let mut given = self.headers.get_all(IF_MATCH).iter().peekable();
        if given.peek().is_none() {
            return Ok(());
        }
        let etag = shown.tag();
        let tags = given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        match tags.map(str::trim).any(|tag| tag == "*" || tag == etag) {
            true => Ok(()),
            false => Err(Problem::new(Kind::Unmet, "the resource has changed since it was read")),
        }
    }
}

/// What is percent-encoded in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b':')
    .remove(b'+');

/// A field that the body was read to have.
fn there<T>(field: Option<T>) -> Result<T, Trouble> {
    field.ok_or_else(|| Problem::new(Kind::Wrong, "a field is missing").into())
}

/// The answer to give where something moved again and again.
fn moved() -> Trouble {
    Refusal::Busy { retry_after: std::time::Duration::from_secs(1) }.into()
}

/// The id in lists of what has a key only.
fn id_of(key: &str) -> [u8; 16] {
    let mut id = [0; 16];
    blake3::Hasher::new().update(key.as_bytes()).finalize_xof().fill(&mut id);
    id
}

/// An e-mail address, as far as that can be told without writing to it.
fn email(text: &str) -> Result<String, String> {
    let (local, domain) = text.rsplit_once('@').unwrap_or_default();
    let whole = !local.is_empty() && !domain.is_empty() && text.len() <= 254;
    match whole && !text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Ok(text.to_owned()),
        false => Err("this is no e-mail address".into()),
    }
}

/// A word among those that permissions have.
fn permission(word: &str) -> Result<Permission, String> {
    Permission::parse(word).ok_or_else(|| {
        let known: Vec<_> = Permission::ALL.iter().map(|(_, word)| *word).collect();
        format!("there is no such permission; there are {}", known.join(", "))
    })
}

/// The template of a path below `/api`, which names nobody.
pub fn template(path: &str) -> &'static str {
    match path {
        "/api/openapi.json" => "/api/openapi.json",
        "/api/docs" => "/api/docs",
        _ => routes_of(path).first().map_or("/api/other", |route| route.path),
    }
}

/// The routes of a path: where a word stands in one template and a parameter in another, the word's.
fn routes_of(path: &str) -> Vec<&'static Route> {
    let mut here: Vec<_> = ROUTES.iter().filter(|route| route.params(path).is_some()).collect();
    let open = |route: &Route| route.path.matches('{').count();
    let least = here.iter().map(|route| open(route)).min().unwrap_or(0);
    here.retain(|route| open(route) == least);
    here
}

/// What is told to everybody: the description of the API and its reference page.
pub fn open(method: &Method, path: &str, prefix: &str) -> Option<Response<Body>> {
    let page = path == "/api/docs";
    if !page && path != "/api/openapi.json" {
        return None;
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(Problem::method("GET, HEAD".into()).answer());
    }
    let told = match page {
        true => Ok(Reply::page(docs::page(prefix))),
        false => Reply::json(&description(prefix)),
    };
    let told = told.map(Reply::answer);
    Some(told.unwrap_or_else(|_| Problem::new(Kind::Failed, "the description cannot be written").answer()))
}

/// Nobody is signed in: 401, and how one could be (RFC 9110 §11.6.1, RFC 6750 §3).
pub fn unauthorized(bearer: bool) -> Response<Body> {
    use http::header::WWW_AUTHENTICATE;
    let mut answer = Problem::new(Kind::Unauthorized, "send a token, or a user name and a password").answer();
    let headers = answer.headers_mut();
    let told = match bearer {
        true => "Bearer realm=\"Cardkeep\", error=\"invalid_token\"",
        false => "Bearer realm=\"Cardkeep\"",
    };
    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(told));
    let basic = HeaderValue::from_static("Basic realm=\"Cardkeep\", charset=\"UTF-8\"");
    headers.append(WWW_AUTHENTICATE, basic);
    answer
}

/// Answers one request of a signed-in caller. The path has lost the front's prefix and is still
/// percent-encoded.
pub async fn handle(
    service: &Arc<Service>,
    memory: &Memory,
    caller: &Caller,
    prefix: &str,
    request: Request<Bytes>,
) -> Result<Response<Body>, Fault> {
    match dispatch(service, memory, caller, prefix, request).await {
        Ok(answer) => Ok(answer),
        Err(Trouble::Problem(problem)) => Ok(problem.answer()),
        Err(Trouble::Fault(fault)) => Err(fault),
    }
}

async fn dispatch(
    service: &Arc<Service>,
    memory: &Memory,
    caller: &Caller,
    prefix: &str,
    request: Request<Bytes>,
) -> Result<Response<Body>, Trouble> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let here = routes_of(path);
    if here.is_empty() {
        return Err(Refusal::NotFound.into());
    }
    if parts.method == Method::OPTIONS {
        return Ok(options(&here));
    }
    let method = if parts.method == Method::HEAD { "GET" } else { parts.method.as_str() };
    let Some(route) = here.iter().find(|route| route.method == method) else {
        return Err(Problem::method(allow(&here)).into());
    };
    if method != "GET" {
        from_here(&parts.headers)?;
    }
    route.needs.check(caller)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    query.only(&route.parameters())?;
    let ask = Ask {
        service: service.clone(),
        caller: caller.clone(),
        prefix: prefix.to_owned(),
        params: route.params(path).unwrap_or_default(),
        query,
        headers: parts.headers,
        body,
    };
    if method != "POST" {
        return Ok((route.handler)(&ask).await?.answer());
    }
    let target = format!("POST {}?{}", path, parts.uri.query().unwrap_or_default());
    match memory.repeats.turn(ask.caller.account, &target, &ask.headers, &ask.body)? {
        Turn::Done(reply) => Ok(reply.answer()),
        Turn::Plain => Ok((route.handler)(&ask).await?.answer()),
        Turn::First(place) => {
            let outcome = (route.handler)(&ask).await;
            memory.repeats.keep(place, outcome.as_ref().ok());
            Ok(outcome?.answer())
        }
    }
}

/// Refuses what a browser sends for a page of another site, whose user may be signed in here.
fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"cross-site" | b"same-site") => {
            Err(Problem::new(Kind::Forbidden, "a page of another site may change nothing here"))
        }
        _ => Ok(()),
    }
}

fn allow(here: &[&Route]) -> String {
    let mut allow: Vec<&str> = Vec::new();
    for route in here {
        allow.push(route.method);
        if route.method == "GET" {
            allow.push("HEAD");
        }
    }
    allow.push("OPTIONS");
    allow.join(", ")
}

fn options(here: &[&Route]) -> Response<Body> {
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(allow) = HeaderValue::try_from(allow(here)) {
        headers.insert(ALLOW, allow);
    }
    answer
}

/// A body that is there as a whole.
fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

impl Need {
    /// Refuses who lacks it.
    fn check(self, caller: &Caller) -> Result<(), Refusal> {
        match self {
            Self::SignedIn => Ok(()),
            Self::Permission(permission) => caller.need(permission),
            Self::Scope(permission, others) => {
                let all = std::iter::once(&permission).chain(others);
                match all.into_iter().any(|one| caller.scopes.has(*one)) {
                    true => Ok(()),
                    false => Err(Refusal::NeedPermission(permission)),
                }
            }
        }
    }
}

impl Route {
    /// What the path says where the template has `{…}`, if it is a path of this template.
    fn params(&self, path: &str) -> Option<Vec<String>> {
        let mut params = Vec::new();
        let mut given = path.split('/');
        for wanted in self.path.split('/') {
            let segment = percent_decode_str(given.next()?).decode_utf8().ok()?;
            match wanted.starts_with('{') {
                true if segment.is_empty() => return None,
                true => params.push(segment.into_owned()),
                false if segment == wanted => {}
                false => return None,
            }
        }
        given.next().is_none().then_some(params)
    }
}

#[cfg(test)]
mod followed_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_name_nobody() {
        for (path, told) in [
            ("/api/v1/users", "/api/v1/users"),
            ("/api/v1/users/ann", "/api/v1/users/{name}"),
            ("/api/v1/books/group%3Asales/a%20b/shares", "/api/v1/books/{owner}/{name}/shares"),
            ("/api/v1/users/", "/api/other"),
            ("/api/v1/users/ann/x", "/api/other"),
            ("/api/v1/%ff", "/api/other"),
            ("/api/docs", "/api/docs"),
        ] {
            assert_eq!(template(path), told, "{path}");
        }
    }

    #[test]
    fn no_two_routes_are_one() {
        for (at, route) in ROUTES.iter().enumerate() {
            let same = |other: &&Route| (other.method, other.path) == (route.method, route.path);
            assert_eq!(ROUTES.iter().filter(same).count(), 1, "{} {}", route.method, route.path);
            assert!(route.path.starts_with("/api/v1/") && !route.summary.is_empty(), "{at}");
        }
    }

    #[test]
    fn allow_derives_from_the_table() {
        let here: Vec<_> = ROUTES.iter().filter(|route| route.path == "/api/v1/users").collect();
        assert_eq!(allow(&here), "GET, HEAD, POST, OPTIONS");
    }

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in ["a@b", "j.davis@example.org", "\"a@b\"@c"] {
            assert!(email(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b\n"] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }
}
