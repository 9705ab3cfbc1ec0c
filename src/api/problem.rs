//! What goes wrong, as RFC 9457 problem documents: one table of kinds, and the one map from what use
//! cases refuse. A problem's texts name what was asked for and no person.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::refusal::{Fault, Refusal, Stop};

use super::{Body, full};

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be read.
    Unreadable,
    /// Nobody is signed in.
    Unauthorized,
    /// A permission is missing.
    Forbidden,
    /// There is no such thing, or the caller may not see it.
    NotFound,
    /// The method is not offered there.
    Method,
    /// The body came too slowly.
    Slow,
    /// Something stands in the way.
    Conflict,
    /// A precondition does not hold.
    Unmet,
    /// The body is too large.
    TooLarge,
    /// The target is too long.
    TargetTooLong,
    /// The body is of another kind.
    MediaType,
    /// The body can be read and asks for what cannot be.
    Wrong,
    /// Too many requests, or too many failed sign-ins.
    Slowed,
    /// The header fields are too large.
    HeadersTooLarge,
    /// Ours.
    Failed,
    /// Try later.
    Busy,
    /// There is no room.
    Full,
}

/// Every kind: its name in `type`, its status and its title.
pub const KINDS: [(Kind, &str, u16, &str); 17] = [
    (Kind::Unreadable, "unreadable", 400, "The request cannot be read"),
    (Kind::Unauthorized, "unauthorized", 401, "Nobody is signed in"),
    (Kind::Forbidden, "forbidden", 403, "A permission is missing"),
    (Kind::NotFound, "not-found", 404, "There is no such resource"),
    (Kind::Method, "method-not-allowed", 405, "The method is not allowed here"),
    (Kind::Slow, "request-timeout", 408, "The body came too slowly"),
    (Kind::Conflict, "conflict", 409, "Something stands in the way"),
    (Kind::Unmet, "precondition-failed", 412, "A precondition does not hold"),
    (Kind::TooLarge, "too-large", 413, "The body is too large"),
    (Kind::TargetTooLong, "target-too-long", 414, "The request's target is too long"),
    (Kind::MediaType, "unsupported-media-type", 415, "The body is of a kind that is not read here"),
    (Kind::Wrong, "invalid", 422, "The request asks for what cannot be"),
    (Kind::Slowed, "too-many-requests", 429, "Too many requests"),
    (Kind::HeadersTooLarge, "headers-too-large", 431, "The request's header fields are too large"),
    (Kind::Failed, "internal", 500, "The server failed"),
    (Kind::Busy, "unavailable", 503, "The server cannot do it now"),
    (Kind::Full, "insufficient-storage", 507, "There is no room"),
];

/// What stands before a kind's name in `type`.
pub const PREFIX: &str = "urn:cardkeep:problem:";

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Detail {
    /// Where in the body: a JSON pointer (RFC 6901), empty for the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Which query parameter or header field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong with it.
    pub detail: String,
}

/// A problem, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Told {
    /// Its kind, for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its kind, for people.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is the matter this time.
    pub detail: String,
    /// The permission that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Detail>,
}

/// Why a request is not done.
#[derive(Debug)]
pub enum Trouble {
    /// The asker's affair.
    Problem(Box<Problem>),
    /// Ours.
    Fault(Fault),
}

/// A problem in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    permission: Option<&'static str>,
    errors: Vec<Detail>,
    allow: Option<String>,
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem of that kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { kind, detail, permission: None, errors: Vec::new(), allow: None, retry_after: None }
    }

    /// What is wrong with a body's fields.
    pub fn wrong(errors: Vec<(String, String)>) -> Self {
        let errors: Vec<_> = errors
            .into_iter()
            .map(|(pointer, detail)| Detail { pointer: Some(pointer), parameter: None, detail })
            .collect();
        let detail = match errors.as_slice() {
            [one] => one.detail.clone(),
            several => format!("{} fields are wrong", several.len()),
        };
        Self { errors, ..Self::new(Kind::Wrong, detail) }
    }

    /// What is wrong, as a use case refuses it.
    pub fn refusal(self) -> Refusal {
        let told = |error: Detail| (error.pointer.unwrap_or_default(), error.detail);
        Refusal::AllWrong(self.errors.into_iter().map(told).collect())
    }

    /// What is the matter with one place of the body.
    pub fn at(kind: Kind, pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let error = Detail { pointer: Some(pointer.to_owned()), parameter: None, detail: detail.clone() };
        Self { errors: vec![error], ..Self::new(kind, detail) }
    }

    /// What is wrong with a query parameter or a header field.
    pub fn parameter(kind: Kind, name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let error = Detail { pointer: None, parameter: Some(name.to_owned()), detail: detail.clone() };
        Self { errors: vec![error], ..Self::new(kind, detail) }
    }

    /// 405 with what is allowed.
    pub fn method(allow: String) -> Self {
        let detail = format!("allowed here: {allow}");
        Self { allow: Some(allow), ..Self::new(Kind::Method, detail) }
    }

    /// The same, worth another try after some seconds.
    pub fn again(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..self }
    }

    /// Its answer.
    pub fn answer(self) -> Response<Body> {
        let (name, status, title) = described(self.kind);
        let told = Told {
            kind: format!("{PREFIX}{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            permission: self.permission.map(str::to_owned),
            errors: self.errors,
        };
        let mut answer = Response::new(full(Bytes::from(serde_json::to_vec(&told).unwrap_or_default())));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(Ok(allow)) = self.allow.map(HeaderValue::try_from) {
            headers.insert(ALLOW, allow);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

fn described(kind: Kind) -> (&'static str, StatusCode, &'static str) {
    let row = KINDS.iter().find(|(known, ..)| *known == kind);
    let (name, status, title) =
        row.map_or(("internal", 500, ""), |(_, name, status, title)| (name, *status, title));
    (name, StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), title)
}

/// An answer that the server gave for the API, which never saw the request, as a problem: its status
/// and headers stay, its text becomes the detail.
pub fn in_place_of(answer: Response<Body>, text: &str) -> Response<Body> {
    let status = answer.status();
    let kind = KINDS.iter().find(|(_, _, known, _)| *known == status.as_u16()).map(|(kind, ..)| *kind);
    let mut problem = Problem::new(kind.unwrap_or(Kind::Failed), text.trim_end()).answer();
    for (name, value) in answer.headers() {
        if name != CONTENT_TYPE && name != http::header::CONTENT_LENGTH {
            problem.headers_mut().append(name, value.clone());
        }
    }
    problem
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(fault) => Self::Fault(fault),
            Stop::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Problem::of(refusal).into()
    }
}

impl Problem {
    /// The one map from what use cases refuse.
    fn of(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::NotFound => Self::new(Kind::NotFound, text),
            Refusal::NeedPermission(permission) => {
                Self { permission: Some(permission.word()), ..Self::new(Kind::Forbidden, text) }
            }
            Refusal::NeedPrivileges(_) | Refusal::WrongPlace | Refusal::SamePlace => {
                Self::new(Kind::Forbidden, text)
            }
            Refusal::Wrong { pointer, text } => Self::wrong(vec![(pointer, text)]),
            Refusal::AllWrong(errors) => Self::wrong(errors),
            Refusal::Card(_) | Refusal::Object(_) => Self::new(Kind::Wrong, text),
            Refusal::Unmet => Self::new(Kind::Unmet, text),
            Refusal::Mapped | Refusal::NoParent | Refusal::UidTaken { .. } | Refusal::Conflict(_) => {
                Self::new(Kind::Conflict, text)
            }
            Refusal::BadToken | Refusal::BadLimit => Self::new(Kind::Unreadable, text),
            Refusal::PropertiesFull | Refusal::StoreFull => Self::new(Kind::Full, text),
            Refusal::Busy { retry_after } => Self::new(Kind::Busy, text).again(retry_after.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::permission::Permission;

    #[test]
    fn every_kind_has_one_row_and_one_status() {
        for (kind, name, status, title) in KINDS {
            assert_eq!(described(kind), (name, StatusCode::from_u16(status).unwrap(), title));
            assert_eq!(KINDS.iter().filter(|(_, _, other, _)| *other == status).count(), 1, "{status}");
        }
    }

    #[test]
    fn refusals_become_problems_that_say_what_is_missing() {
        let missing = Problem::of(Refusal::NeedPermission(Permission::Users));
        assert_eq!((missing.kind, missing.permission), (Kind::Forbidden, Some("users")));
        assert!(missing.detail.contains("'users'"));
        let wrong = Problem::of(Refusal::Wrong { pointer: "/a/0".into(), text: "no".into() });
        assert_eq!(wrong.errors.first().and_then(|error| error.pointer.as_deref()), Some("/a/0"));
        let answer = wrong.answer();
        assert_eq!(answer.status(), 422);
        assert_eq!(answer.headers().get(CONTENT_TYPE).unwrap(), "application/problem+json");
    }
}
