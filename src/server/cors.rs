//! Web pages elsewhere that may ask the API (Fetch §3.2): those whose origins the configuration lists, and
//! no other. They send a token of their own; what a browser would send by itself, a password that somebody
//! typed, is not let through, since no answer says `Access-Control-Allow-Credentials`.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Empty};

use crate::config::Api;

use super::respond::Answer;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue =
    HeaderValue::from_static("Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match");
const EXPOSED: HeaderValue = HeaderValue::from_static("ETag, Location, Retry-After, X-Request-Id");

/// For how many seconds a browser need not ask again.
const AGE: HeaderValue = HeaderValue::from_static("600");

/// The origin of the page that asks, where it is one that may.
pub fn origin(api: &Api, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut given = headers.get_all(ORIGIN).iter();
    let origin = given.next().filter(|_| given.next().is_none())?;
    let known = api.cors_origins.iter().any(|known| known.as_bytes() == origin.as_bytes());
    known.then(|| origin.clone())
}

/// Whether a browser asks for leave before it sends what the page means to send.
pub fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a browser is answered that asks for leave. It brings no credentials, so nobody signs in.
pub fn preflight() -> Answer {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, AGE);
    answer
}

/// Tells the browser that the page may read the answer.
pub fn told(mut answer: Answer, api: &Api, origin: Option<HeaderValue>) -> Answer {
    if api.cors_origins.is_empty() {
        return answer;
    }
    let headers = answer.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    answer
}
