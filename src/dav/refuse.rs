//! The one map from what went wrong to a status and its `DAV:error` (DAV-42, DAV-43). RFC 4918 §16,
//! RFC 3744 §7.1.1, RFC 6352 §6.3.2.1, RFC 6578 §3.2.

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::domain::vcard::NotAdmitted;
use crate::service::access::Privilege;
use crate::service::place::Place;
use crate::service::refusal::{Fault, Refusal, Stop};

use super::props::BadAddressData;
use super::target::{BadHref, Target};
use super::xml::filter::BadFilter;
use super::xml::read::BadXml;
use super::xml::write::Writer;
use super::{Body, Call, Front, full, props};

/// Why a request is not done.
#[derive(Debug)]
pub enum Halt {
    /// The use case refused it; it speaks of the request's own resource.
    Refused(Refusal),
    /// The use case refused it; it speaks of that resource, such as a COPY's destination.
    RefusedAt(Refusal, Target),
    /// Our own failure.
    Failed(Fault),
    /// This status says it all.
    Status(StatusCode),
    /// A status and the precondition's element, as markup.
    Condition(StatusCode, &'static str),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(refusal) => Self::Refused(refusal),
            Stop::Failed(fault) => Self::Failed(fault),
        }
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BadXml> for Halt {
    fn from(_: BadXml) -> Self {
        Self::Status(StatusCode::BAD_REQUEST)
    }
}

impl From<BadHref> for Halt {
    fn from(_: BadHref) -> Self {
        Self::Status(StatusCode::BAD_REQUEST)
    }
}

impl From<BadFilter> for Halt {
    fn from(bad: BadFilter) -> Self {
        match bad {
            BadFilter::Xml(bad) => bad.into(),
            BadFilter::Collation => {
                Self::Condition(StatusCode::FORBIDDEN, "<C:supported-collation/>")
            }
        }
    }
}

impl From<BadAddressData> for Halt {
    fn from(_: BadAddressData) -> Self {
        Self::Condition(StatusCode::FORBIDDEN, "<C:supported-address-data/>")
    }
}

/// The answer to a request that is not done; our own failures go to whoever logs them.
pub fn answer(halt: Halt, call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let (refusal, at) = match halt {
        Halt::Failed(fault) => return Err(fault),
        Halt::Status(status) => return Ok(bare(status, call)),
        Halt::Condition(status, markup) => return Ok(condition(status, markup)),
        Halt::Refused(refusal) => (refusal, call.target.clone()),
        Halt::RefusedAt(refusal, at) => (refusal, at),
    };
    Ok(match &refusal {
        Refusal::NeedPrivileges(missing) => need_privileges(missing, call.front),
        Refusal::UidTaken { holder } => {
            let holder = match at {
                Target::Book(owner, book) | Target::Card(owner, book, _) => {
                    Target::Card(owner, book, holder.clone())
                }
                other => other,
            };
            uid_taken(&holder, call.front)
        }
        Refusal::Busy { retry_after } => {
            let mut response = bare(StatusCode::SERVICE_UNAVAILABLE, call);
            let seconds = HeaderValue::from(retry_after.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
            response
        }
        // Thunderbird lists anew after a 400 and never recovers from a 403 (D3, B3 #44).
        Refusal::BadToken => condition(
            match props::is_thunderbird(call.agent()) {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::FORBIDDEN,
            },
            "<D:valid-sync-token/>",
        ),
        other => match status_of(other) {
            (status, "") => bare(status, call),
            (status, markup) => condition(status, markup),
        },
    })
}

/// Status and precondition of the refusals that need no more.
fn status_of(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::NotFound => (StatusCode::NOT_FOUND, ""),
        Refusal::Unmet => (StatusCode::PRECONDITION_FAILED, ""),
        Refusal::Mapped => (StatusCode::METHOD_NOT_ALLOWED, "<D:resource-must-be-null/>"),
        Refusal::NoParent => (StatusCode::CONFLICT, ""),
        Refusal::WrongPlace => (
            StatusCode::FORBIDDEN,
            "<C:addressbook-collection-location-ok/>",
        ),
        Refusal::SamePlace | Refusal::NeedPrivileges(_) => (StatusCode::FORBIDDEN, ""),
        Refusal::Card(NotAdmitted::Version) => {
            (StatusCode::FORBIDDEN, "<C:supported-address-data/>")
        }
        Refusal::Card(NotAdmitted::TooLarge) => (StatusCode::FORBIDDEN, "<C:max-resource-size/>"),
        Refusal::Card(
            NotAdmitted::NotACard | NotAdmitted::Several | NotAdmitted::TooComplex,
        ) => (StatusCode::FORBIDDEN, "<C:valid-address-data/>"),
        Refusal::BadToken => (StatusCode::FORBIDDEN, "<D:valid-sync-token/>"),
        Refusal::BadLimit => (
            StatusCode::INSUFFICIENT_STORAGE,
            "<D:number-of-matches-within-limits/>",
        ),
        Refusal::PropertiesFull => (StatusCode::INSUFFICIENT_STORAGE, ""),
        Refusal::StoreFull => (
            StatusCode::INSUFFICIENT_STORAGE,
            "<D:sufficient-disk-space/>",
        ),
        Refusal::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, ""),
        Refusal::UidTaken { .. } | Refusal::Conflict(_) => (StatusCode::CONFLICT, ""),
    }
}

/// An answer that is its status alone.
fn bare(status: StatusCode, call: &Call<'_>) -> Response<Body> {
    let mut response = Response::new(full(bytes::Bytes::new()));
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, call.allow());
    }
    response
}

/// An answer with a `DAV:error`.
pub fn condition(status: StatusCode, markup: &str) -> Response<Body> {
    let mut out = Writer::document("D:error", markup.len());
    out.raw(markup);
    out.raw("</D:error>");
    let mut response = Response::new(full(out.take()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Each missing right with the resource it is missing on: iOS stops syncing without (ACL-13).
fn need_privileges(missing: &[(Place, Privilege)], front: &Front) -> Response<Body> {
    let mut out = Writer::default();
    out.raw("<D:need-privileges>");
    for (place, privilege) in missing {
        out.raw("<D:resource>");
        href(&Target::from(place), front, &mut out);
        out.raw("<D:privilege><D:");
        out.raw(match privilege {
            Privilege::Read => "read",
            Privilege::WriteContent => "write-content",
            Privilege::WriteProperties => "write-properties",
            Privilege::Bind => "bind",
            Privilege::Unbind => "unbind",
        });
        out.raw("/></D:privilege></D:resource>");
    }
    out.raw("</D:need-privileges>");
    condition(StatusCode::FORBIDDEN, &String::from_utf8_lossy(&out.take()))
}

/// Who has the UID. 409, which DAVx5 takes as "the server wins" (D8, CARD-11).
fn uid_taken(holder: &Target, front: &Front) -> Response<Body> {
    let mut out = Writer::default();
    out.raw("<C:no-uid-conflict>");
    href(holder, front, &mut out);
    out.raw("</C:no-uid-conflict>");
    condition(StatusCode::CONFLICT, &String::from_utf8_lossy(&out.take()))
}

fn href(target: &Target, front: &Front, out: &mut Writer) {
    if let Some(href) = target.href() {
        out.raw("<D:href>");
        out.text(&front.prefix);
        out.plain(href);
        out.raw("</D:href>");
    }
}
