//! The answers that are the server's own, and the one map from faults to HTTP. Whatever a protocol
//! room answers passes `finish` on its way out. Knows no route.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, Full};

use crate::service::refusal::Fault;
use crate::{api, dav};

use super::auth::Denied;
use super::body::Unread;

/// An answer on its way out.
pub type Answer = Response<dav::Body>;

/// The request's id, so that a person can name it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How many calls to the store an answer took, where the configuration asks for it.
pub const STORE_CALLS: HeaderName = HeaderName::from_static("x-cardkeep-store-calls");

/// A status and a line of text.
pub fn plain(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut text = text.into();
    text.push('\n');
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, "text/plain; charset=utf-8");
    answer
}

/// 301 to a path of ours; kept for a short while only (DISC-1, DISC-2).
pub fn moved(path: &str) -> Answer {
    let mut answer = plain(StatusCode::MOVED_PERMANENTLY, path);
    set(&mut answer, LOCATION, path);
    set(&mut answer, CACHE_CONTROL, "max-age=600");
    answer
}

/// 405 with what is allowed.
pub fn not_allowed(allow: &'static str) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here");
    set(&mut answer, ALLOW, allow);
    answer
}

/// 503: try again (HTTP-21).
pub fn busy(retry_after: Duration) -> Answer {
    later(StatusCode::SERVICE_UNAVAILABLE, "the server is busy, try again", retry_after)
}

/// 500 with the request id; the log says more under it.
pub fn failed(fault: &Fault, request: &str) -> Answer {
    tracing::error!(request, %fault, "a request failed");
    broken(request)
}

/// 500 after a panic, which the log has told already.
pub fn broken(request: &str) -> Answer {
    plain(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("the server failed; its log knows this request as {request}"),
    )
}

/// Nobody is signed in.
pub fn denied(why: Denied, request: &str) -> Answer {
    match why {
        Denied::Unknown => unauthorized(),
        Denied::Slowed(wait) => {
            later(StatusCode::TOO_MANY_REQUESTS, "too many failed sign-ins, try again later", wait)
        }
        Denied::Busy(wait) => busy(wait),
        Denied::Failed(fault) => failed(&fault, request),
    }
}

/// Somebody asks the API more often than they may.
pub fn too_often(wait: Duration) -> Answer {
    later(StatusCode::TOO_MANY_REQUESTS, "more requests a minute than one token may send", wait)
}

/// Nobody is signed in at the API.
pub fn denied_at_api(why: Denied, request: &str, bearer: bool) -> Answer {
    match why {
        Denied::Unknown => api::unauthorized(bearer),
        why => denied(why, request),
    }
}

/// The server's own answer to a request of the API, which wants to read what is wrong as a problem.
pub async fn as_problem(answer: Answer) -> Answer {
    let told = answer.headers().get(CONTENT_TYPE);
    let plain = told.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let wrong = answer.status().is_client_error() || answer.status().is_server_error();
    if !plain || !wrong {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let text = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let answer = Response::from_parts(head, Empty::new().map_err(|never| match never {}).boxed_unsync());
    api::in_place_of(answer, &String::from_utf8_lossy(&text))
}

/// The body of a request to the API was not read.
pub fn unread_at_api(why: &Unread) -> Answer {
    match why {
        Unread::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than is read here"),
        why => unread(why, ""),
    }
}

/// The body of a request for what is at `path` was not read.
pub fn unread(why: &Unread, path: &str) -> Answer {
    match why {
        Unread::TooLarge => dav::too_large(path),
        Unread::Slow => plain(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
        Unread::NoRoom => busy(Duration::from_secs(5)),
        Unread::Broken => plain(StatusCode::BAD_REQUEST, "the body is not complete"),
    }
}

/// What every answer carries, and what a HEAD answer does not.
pub fn finish(mut answer: Answer, method: &Method, request: &str, dav_route: bool) -> Answer {
    set(&mut answer, REQUEST_ID, request);
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    let headers = answer.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    if dav_route {
        // Some clients look at error answers only (DAV-49).
        for (name, value) in &dav::discovery_headers() {
            if name != ALLOW && !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
    if method == Method::HEAD { without_body(answer) } else { answer }
}

/// Tells an HTTP/1 client that its connection ends with this answer; HTTP/2 has no such header.
pub fn closing(answer: &mut Answer, version: http::Version) {
    if version < http::Version::HTTP_2 {
        set(answer, CONNECTION, "close");
    }
}

/// Holds the answer back until it is whole.
pub async fn whole(answer: Answer) -> Result<Answer, Fault> {
    let (head, body) = answer.into_parts();
    let bytes =
        body.collect().await.map_err(|error| Fault(format!("an answer broke off: {error}")))?.to_bytes();
    let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
    Ok(Response::from_parts(head, body))
}

/// Sets a header; a value that cannot stand in one is left out.
pub fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

fn unauthorized() -> Answer {
    let mut answer = plain(StatusCode::UNAUTHORIZED, "sign in with a user name and a password");
    set(&mut answer, WWW_AUTHENTICATE, "Basic realm=\"Cardkeep\", charset=\"UTF-8\"");
    answer.headers_mut().extend(dav::discovery_headers());
    answer
}

fn later(status: StatusCode, text: &str, wait: Duration) -> Answer {
    let mut answer = plain(status, text);
    // Whole seconds, rounded up, at least one (RFC 9110 §10.2.3).
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    set(&mut answer, RETRY_AFTER, &seconds.to_string());
    answer
}

fn without_body(mut answer: Answer) -> Answer {
    // What is not sent because it is known has another length than nothing (RFC 9110 §8.6).
    let told = answer.status() != StatusCode::NOT_MODIFIED;
    if let Some(length) = answer.body().size_hint().exact().filter(|_| told) {
        answer.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    answer.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_how_to_sign_in_and_that_this_is_dav() {
        let answer = denied(Denied::Unknown, "1");
        assert_eq!(answer.status(), 401);
        assert_eq!(
            answer.headers().get(WWW_AUTHENTICATE).unwrap(),
            "Basic realm=\"Cardkeep\", charset=\"UTF-8\""
        );
        assert!(answer.headers().contains_key("dav"));
        assert!(!answer.headers().contains_key("set-cookie"));
    }

    #[test]
    fn waiting_is_told_in_whole_seconds() {
        let answer = denied(Denied::Slowed(Duration::from_millis(1200)), "1");
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers().get(RETRY_AFTER).unwrap(), "2");
        assert_eq!(busy(Duration::ZERO).headers().get(RETRY_AFTER).unwrap(), "1");
    }

    #[test]
    fn head_tells_the_length_and_sends_nothing() {
        let answer = finish(plain(StatusCode::OK, "four"), &Method::HEAD, "1", false);
        assert_eq!(answer.headers().get(CONTENT_LENGTH).unwrap(), "5");
        assert!(answer.body().is_end_stream());
    }
}
