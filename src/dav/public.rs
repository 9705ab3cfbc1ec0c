//! `GET /public/TOKEN.ics` and `.vcf`: a whole collection for whoever has its link, without signing in
//! (CS-15, ICAL-12). A programme that subscribes asks again and again: as long as nothing has changed
//! it is told so without a look at what is in the collection.

use std::sync::Arc;

use http::header::{ALLOW, ETAG, HeaderName, REFERRER_POLICY, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::domain::id::CollectionKind;
use crate::domain::vcard::Version;
use crate::service::Service;
use crate::service::public_links::ending;
use crate::service::refusal::{Fault, Refusal, Stop};

use super::conditions::is_known;
use super::export::file;
use super::{Body, full};

/// Search engines are not to list what somebody gave a link to.
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

crate::hidden!(Link);

/// What a request for a link asks for.
#[derive(PartialEq, Eq)]
pub struct Link {
    /// What makes it work.
    pub token: String,
    /// What it is to show, as its ending says.
    pub kind: CollectionKind,
}

impl Link {
    /// The link of that file name; `None` where it is no link's.
    pub fn parse(name: &str) -> Option<Self> {
        let (token, after) = name.rsplit_once('.')?;
        let kind = CollectionKind::ALL.into_iter().find(|kind| ending(*kind) == after)?;
        let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| Self { token: token.to_owned(), kind })
    }
}

/// Answers a request for a link.
///
/// # Errors
///
/// A fault where the store cannot be read.
pub async fn public(
    service: &Arc<Service>,
    link: &Link,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<Body>, Fault> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut answer = status(StatusCode::METHOD_NOT_ALLOWED);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(answer);
    }
    match read(service, link, headers).await {
        Ok(answer) => Ok(answer),
        Err(Stop::Refused(Refusal::Busy { retry_after })) => {
            let mut answer = status(StatusCode::SERVICE_UNAVAILABLE);
            answer.headers_mut().insert(RETRY_AFTER, retry_after.as_secs().max(1).into());
            Ok(answer)
        }
        // Whatever a link is refused for, it says as little as one that never was.
        Err(Stop::Refused(_)) => Ok(status(StatusCode::NOT_FOUND)),
        Err(Stop::Failed(fault)) => Err(fault),
    }
}

async fn read(service: &Arc<Service>, link: &Link, headers: &HeaderMap) -> Result<Response<Body>, Stop> {
    // Cards go as 3.0, which every program reads.
    let published = service.published(&link.token, link.kind, Version::V3).await?;
    let tag = published.etag();
    let mut answer = match is_known(headers, tag) {
        true => status(StatusCode::NOT_MODIFIED),
        // HEAD too: it tells of what GET would meet, and no length that is not known.
        false => file(published.open().await?, name(link.kind)),
    };
    let fields = answer.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(tag.quoted()) {
        fields.insert(ETAG, tag);
    }
    fields.insert(ROBOTS, HeaderValue::from_static("noindex"));
    // The link itself is the secret: pages that are opened from what it shows do not learn of it.
    fields.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

/// What the file is called: how the owner calls it is the owner's.
fn name(kind: CollectionKind) -> &'static str {
    match kind {
        CollectionKind::AddressBook => "contacts",
        CollectionKind::Calendar => "calendar",
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(full(bytes::Bytes::new()));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_token_and_the_ending_of_its_kind() {
        let kind = |name| Link::parse(name).map(|link| link.kind);
        assert_eq!(kind("abc234.ics"), Some(CollectionKind::Calendar));
        assert_eq!(kind("abc234.vcf"), Some(CollectionKind::AddressBook));
        for bad in ["", ".ics", "abc", "abc.ICS", "a/b.ics", "a%20b.ics", "ä.vcf", "abc.ics.txt", "../x.ics"]
        {
            assert_eq!(kind(bad), None, "{bad}");
        }
    }
}
