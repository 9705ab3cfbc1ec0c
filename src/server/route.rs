//! From a request to its answer, step by step: how it came, where it goes, who asks, what it
//! brings, what the protocol room says. A plain list of steps; each is in a file of its own.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, EXPECT};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use subtle::ConstantTimeEq;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::Instrument;

use crate::service::access::Caller;
use crate::store::calls::counted;
use crate::{api, dav};

use super::front::{self, Arrival, BadHead};
use super::paths::Route;
use super::respond::{self, Answer};
use super::trace::{Line, Tail};
use super::{Shared, auth, body, conn::Pulse, cors, metrics};

/// The connection that a request came on.
#[derive(Clone)]
pub struct Origin {
    /// The other end.
    pub peer: SocketAddr,
    /// TLS is spoken on it.
    pub encrypted: bool,
    /// Its signs of life.
    pub pulse: Arc<Pulse>,
}

/// The longest path and query; a card's is far shorter, whatever its name.
const LONGEST_TARGET: usize = 8 << 10;
/// The most bytes of header fields.
const MOST_HEADERS: usize = 64 << 10;
/// A larger body takes so long, and so much memory, to be read through that it gets a thread of its
/// own beside those that everybody's requests share, and that few are at it at once.
const HEAVY: usize = 1 << 20;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers one request.
pub async fn answer(shared: Arc<Shared>, origin: Origin, request: Request<Incoming>) -> Response<Tail> {
    let running = origin.pulse.running(request.version());
    let sending = origin.pulse.sending();
    let (head, body) = request.into_parts();
    let agent = auth::user_agent(&head.headers);
    let mut line = Line::begin(shared.ids.next(), &head.method, head.version, &agent);
    let mut body = Some(body);
    let mut answer = steps(&shared, &origin, &head, &mut body, &mut line).await;
    if let Some(body) = body {
        let_go(&shared, &head, body, &mut answer);
    }
    let dav_route = line.route.starts_with("/dav") || line.route == "/";
    let answer = respond::finish(answer, &head.method, &line.request, dav_route);
    drop(running);
    Tail::follow(answer, line, sending)
}

/// A body that was not read is thrown away behind the answer, unless its sender waits for our word
/// (`Expect`) or was too slow already. Where it cannot be read to its end, the connection ends too.
fn let_go(shared: &Shared, head: &Parts, body: Incoming, answer: &mut Answer) {
    if body.is_end_stream() {
        return;
    }
    let limits = shared.config.limits.clone();
    let most = u64::try_from(limits.discard_bytes).unwrap_or(u64::MAX);
    let slow = answer.status() == StatusCode::REQUEST_TIMEOUT;
    let asked_first = head.headers.contains_key(EXPECT);
    if slow || asked_first || body.size_hint().lower() > most {
        respond::closing(answer, head.version);
    }
    if !slow && !asked_first {
        tokio::spawn(async move { body::discard(body, &limits).await });
    }
}

async fn steps(
    shared: &Arc<Shared>,
    origin: &Origin,
    head: &Parts,
    body: &mut Option<Incoming>,
    line: &mut Line,
) -> Answer {
    if let Some(refused) = oversized(head) {
        let came = front::arrival(head, origin.peer, origin.encrypted, &shared.config.server);
        return match came.is_ok_and(|came| matches!(Route::of(&came.path), Route::Api { .. })) {
            true => respond::as_problem(refused).await,
            false => refused,
        };
    }
    let server = &shared.config.server;
    let came = match front::arrival(head, origin.peer, origin.encrypted, server) {
        Ok(came) => came,
        Err(BadHead(why)) => return respond::plain(StatusCode::BAD_REQUEST, why),
    };
    let route = Route::of(&came.path);
    line.route = route.template();
    match route {
        Route::WellKnown(_) => respond::moved(&format!("{}/dav/", came.front.prefix)),
        Route::Health => probe(&head.method, true),
        Route::Ready => probe(&head.method, !shared.stopping() && shared.service.ready().await),
        Route::Metrics => measures(shared, head, &came),
        Route::Dav { path, .. } => Box::pin(dav(shared, head, body, came.with_path(path), line)).await,
        Route::Api { path, .. } => {
            let origin = cors::origin(&shared.config.api, &head.headers);
            let answer = match origin.as_ref().filter(|_| cors::is_preflight(head)) {
                Some(_) => cors::preflight(),
                None => {
                    let answer = api(shared, head, body, came.with_path(path), line, origin.is_some());
                    respond::as_problem(Box::pin(answer).await).await
                }
            };
            cors::told(answer, &shared.config.api, origin)
        }
        Route::Public(link) => public(shared, head, link, line).await,
        Route::Other => respond::plain(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// What a public link shows; nobody signs in, and nothing that is sent is read.
async fn public(shared: &Arc<Shared>, head: &Parts, link: dav::public::Link, line: &mut Line) -> Answer {
    let Some(target) = target("/", &Uri::default()) else {
        return respond::plain(StatusCode::NOT_FOUND, "there is nothing here");
    };
    let request = brought(head, target, Bytes::new(), line);
    handle(shared, Room::Public(link), request, line).await
}

/// 414 and 431 (DAV-48).
fn oversized(head: &Parts) -> Option<Answer> {
    let target = head.uri.path_and_query().map_or(0, |p| p.as_str().len());
    if target > LONGEST_TARGET {
        let text = "the request's target is too long";
        return Some(respond::plain(StatusCode::URI_TOO_LONG, text));
    }
    let fields = head.headers.iter();
    let size: usize = fields.map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    (size > MOST_HEADERS).then(|| {
        let text = "the request's header fields are too large";
        respond::plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text)
    })
}

fn probe(method: &Method, well: bool) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return respond::not_allowed("GET, HEAD");
    }
    let mut answer = match well {
        true => respond::plain(StatusCode::OK, "ok"),
        false => respond::plain(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    respond::set(&mut answer, CACHE_CONTROL, "no-store");
    answer
}

/// `/metrics`, for this machine or with the token; for others there is nothing here.
fn measures(shared: &Shared, head: &Parts, came: &Arrival) -> Answer {
    let bearer = head.headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = shared.config.server.metrics_token.as_deref();
    let known = matches!((token, bearer), (Some(token), Some(bearer))
        if bool::from(token.as_bytes().ct_eq(bearer.as_bytes())));
    if !known && !came.client.is_loopback() {
        return respond::plain(StatusCode::NOT_FOUND, "there is nothing here");
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return respond::not_allowed("GET, HEAD");
    }
    metrics::damaged_values(shared.service.damaged_values());
    let mut answer = respond::plain(StatusCode::OK, shared.metrics.render());
    let form = "text/plain; version=0.0.4; charset=utf-8";
    respond::set(&mut answer, http::header::CONTENT_TYPE, form);
    respond::set(&mut answer, CACHE_CONTROL, "no-store");
    answer
}

/// Everything that asks who is there: sign-in, then the body, then the protocol room (HTTP-12,
/// HTTP-13).
async fn dav(
    shared: &Arc<Shared>,
    head: &Parts,
    body: &mut Option<Incoming>,
    came: Arrival,
    line: &mut Line,
) -> Answer {
    let signing_in = auth::authenticate(&shared.service, &head.headers, came.client);
    let caller = match timeout(shared.config.server.request_timeout, signing_in).await {
        Ok(Ok(caller)) => caller,
        Ok(Err(why)) => return respond::denied(why, &line.request),
        Err(_) => return respond::busy(Duration::from_secs(30)),
    };
    line.account = Some(caller.account);
    if came.path == "/" && matches!(head.method, Method::GET | Method::HEAD) {
        return page(&caller, &came);
    }
    if came.path == "*" {
        return everywhere(&head.method);
    }
    let Some(target) = target(&came.path, &head.uri) else {
        return respond::plain(StatusCode::BAD_REQUEST, "the request's target is not a path");
    };
    let limit = dav::body_limit(&head.method, &came.path, &shared.service);
    let whole = match received(shared, body, limit).await {
        Ok(whole) => whole,
        Err(why) => return respond::unread(&why, &came.path),
    };
    let bytes = whole.as_ref().map(|w| w.bytes.clone()).unwrap_or_default();
    let request = brought(head, target, bytes, line);
    let answer = handle(shared, Room::Dav(came.front, caller), request, line).await;
    drop(whole);
    answer
}

/// Reads a request's body. One that cannot be read stays where it is, to be thrown away.
async fn received(
    shared: &Shared,
    body: &mut Option<Incoming>,
    limit: usize,
) -> Result<Option<body::Whole>, body::Unread> {
    let Some(incoming) = body.as_mut() else { return Ok(None) };
    let pause = shared.config.limits.body_timeout;
    let whole = body::read(incoming, limit, &shared.bodies, pause).await?;
    *body = None;
    Ok(Some(whole))
}

/// The same for the API, whose description alone is everybody's; `welcome` is a web page elsewhere that
/// may ask.
async fn api(
    shared: &Arc<Shared>,
    head: &Parts,
    body: &mut Option<Incoming>,
    came: Arrival,
    line: &mut Line,
    welcome: bool,
) -> Answer {
    if let Some(answer) = api::open(&head.method, &came.path, &came.front.prefix) {
        return answer;
    }
    let signing_in = auth::authenticate_for_api(&shared.service, &head.headers, came.client);
    let caller = match timeout(shared.config.server.request_timeout, signing_in).await {
        Ok(Ok(caller)) => caller,
        Ok(Err(why)) => {
            let bearer = auth::bearer(&head.headers).is_some();
            return respond::denied_at_api(why, &line.request, bearer);
        }
        Err(_) => return respond::busy(Duration::from_secs(30)),
    };
    line.account = Some(caller.account);
    if let Some(Err(wait)) = shared.pace.as_ref().map(|pace| pace.turn(&caller, &head.headers)) {
        return respond::too_often(wait);
    }
    let Some(target) = target(&came.path, &head.uri) else {
        return respond::plain(StatusCode::BAD_REQUEST, "the request's target is not a path");
    };
    let whole = match received(shared, body, api::BODY_LIMIT).await {
        Ok(whole) => whole,
        Err(why) => return respond::unread_at_api(&why),
    };
    let bytes = whole.as_ref().map(|w| w.bytes.clone()).unwrap_or_default();
    let mut request = brought(head, target, bytes, line);
    if welcome {
        request.headers_mut().remove("sec-fetch-site");
    }
    let answer = handle(shared, Room::Api(came.front.prefix, caller), request, line).await;
    drop(whole);
    answer
}

/// The request as the protocol rooms get it.
fn brought(head: &Parts, target: Uri, bytes: Bytes, line: &mut Line) -> Request<Bytes> {
    line.received = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut request = Request::new(bytes);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = target;
    *request.version_mut() = head.version;
    request.headers_mut().clone_from(&head.headers);
    request
}

/// The protocol room that answers, how links begin there, and who asks.
enum Room {
    Dav(dav::Front, Caller),
    Api(String, Caller),
    Public(dav::public::Link),
}

/// Runs the protocol room: a panic ends one request and not its connection, nothing runs for ever,
/// and a change that began is finished on a task of its own even when the client has gone. Futures
/// are boxed where they would be moved about: they are as large as all that they may call.
async fn handle(shared: &Arc<Shared>, room: Room, request: Request<Bytes>, line: &mut Line) -> Answer {
    let heavy = request.body().len() > HEAVY;
    let Ok(Some(turn)) = timeout(PATIENCE, turn(shared, heavy)).await else {
        return respond::busy(Duration::from_secs(5));
    };
    let ours = shared.clone();
    let hold_back = shared.config.log.store_calls;
    let reads = matches!(request.method().as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT");
    let work = Box::pin(async move {
        let _turn = turn;
        let service = &ours.service;
        let answer = match room {
            Room::Dav(front, caller) => dav::handle(service, &caller, &front, request).await?,
            Room::Api(prefix, caller) => api::handle(service, &ours.api, &caller, &prefix, request).await?,
            Room::Public(link) => {
                dav::public::public(service, &link, request.method(), request.headers()).await?
            }
        };
        if hold_back { respond::whole(answer).await } else { Ok(answer) }
    });
    let limited = timeout(shared.config.server.request_timeout, work);
    let span = tracing::info_span!("request", request = line.request);
    let task = counted(limited).instrument(span);
    let done = match (heavy, reads) {
        (true, _) => tokio::task::spawn_blocking(|| Handle::current().block_on(task)).await.ok(),
        (false, true) => unwinding(task).await,
        (false, false) => tokio::spawn(task).await.ok(),
    };
    let Some((outcome, calls)) = done else {
        metrics::panicked();
        return respond::broken(&line.request);
    };
    line.store_calls = calls;
    let mut answer = match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(fault)) => respond::failed(&fault, &line.request),
        Err(_) => {
            tracing::error!(request = line.request, "a request took too long");
            respond::busy(Duration::from_secs(30))
        }
    };
    if hold_back {
        respond::set(&mut answer, respond::STORE_CALLS, &calls.to_string());
    }
    answer
}

/// Waits until a request may be worked on.
async fn turn(shared: &Shared, heavy: bool) -> Option<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit)> {
    let first = match heavy {
        true => Some(shared.heavy.clone().acquire_owned().await.ok()?),
        false => None,
    };
    Some((first, shared.requests.clone().acquire_owned().await.ok()?))
}

/// What the future comes to, or `None` where it panicked. It is not polled again after that.
async fn unwinding<F: Future>(work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}

fn target(path: &str, uri: &Uri) -> Option<Uri> {
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(text).ok().map(Uri::from)
}

/// `OPTIONS *` asks about the server as a whole (RFC 9110 §9.3.7).
fn everywhere(method: &Method) -> Answer {
    if method != Method::OPTIONS {
        return respond::plain(StatusCode::BAD_REQUEST, "only OPTIONS asks for *");
    }
    let mut answer = respond::plain(StatusCode::OK, "");
    answer.headers_mut().extend(dav::discovery_headers());
    answer
}

/// What a person sees who opens the server in a browser.
fn page(caller: &Caller, came: &Arrival) -> Answer {
    let prefix = &came.front.prefix;
    let name = &caller.name;
    respond::plain(
        StatusCode::OK,
        format!(
            "Cardkeep\n\nYou are signed in as {name}.\n\n\
             To connect a phone or a program, add a CardDAV account there with this server's\n\
             address, your user name, and an app password.\n\n\
             Your address books: {prefix}/dav/addressbooks/{name}/"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_one_request_and_no_more() {
        assert_eq!(unwinding(async { 1 }).await, Some(1));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("a defect")
        };
        assert_eq!(unwinding::<_>(panics).await, None::<()>);
    }

    #[test]
    fn queries_stay_with_their_path() {
        let uri: Uri = "http://h/cards/dav/?x=1".parse().unwrap();
        assert_eq!(target("/dav/", &uri).unwrap(), "/dav/?x=1");
    }
}
