//! What requests are answered with when they succeed: a status, JSON, and the few header fields that
//! go with it. Single resources carry an entity tag over what is shown.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::service::refusal::Fault;

use super::{Body, full};

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
    kind: &'static str,
    etag: Option<String>,
    location: Option<String>,
}

impl Reply {
    /// 200 with JSON.
    pub fn json(shown: &impl Serialize) -> Result<Self, Fault> {
        let body =
            serde_json::to_vec(shown).map_err(|_| Fault("an answer cannot be written as JSON".into()))?;
        let kind = "application/json";
        Ok(Self { status: StatusCode::OK, body: body.into(), kind, etag: None, location: None })
    }

    /// 200 with a resource and its entity tag.
    pub fn resource(shown: &impl Serialize) -> Result<Self, Fault> {
        let mut reply = Self::json(shown)?;
        reply.etag = Some(etag(&reply.body));
        Ok(reply)
    }

    /// 200 with a resource that has an entity tag of its own.
    pub fn tagged(shown: &impl Serialize, tag: &str) -> Result<Self, Fault> {
        Ok(Self { etag: Some(format!("\"{tag}\"")), ..Self::json(shown)? })
    }

    /// The same, made just now, and where it is.
    pub fn made_at(self, location: String) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..self }
    }

    /// 200 with something that is no JSON.
    pub fn other(body: Bytes, kind: &'static str, tag: &str) -> Self {
        let etag = Some(format!("\"{tag}\""));
        Self { status: StatusCode::OK, body, kind, etag, location: None }
    }

    /// 308: it is somewhere else, for ever.
    pub fn elsewhere(shown: &impl Serialize, location: String) -> Result<Self, Fault> {
        let status = StatusCode::PERMANENT_REDIRECT;
        Ok(Self { status, location: Some(location), ..Self::json(shown)? })
    }

    /// Its entity tag: its own, or one of what is shown.
    pub fn tag(&self) -> String {
        self.etag.clone().unwrap_or_else(|| etag(&self.body))
    }

    /// 201 with a resource and where it is.
    pub fn created(shown: &impl Serialize, location: String) -> Result<Self, Fault> {
        Ok(Self { status: StatusCode::CREATED, location: Some(location), ..Self::resource(shown)? })
    }

    /// 202 with a job and where it is.
    #[allow(dead_code, reason = "rooms that ask for long work come with their own routes")]
    pub fn accepted(job: &impl Serialize, location: String) -> Result<Self, Fault> {
        Ok(Self { status: StatusCode::ACCEPTED, location: Some(location), ..Self::json(job)? })
    }

    /// The same, where what was made is told with more than it is shown with.
    pub fn without_etag(self) -> Self {
        Self { etag: None, ..self }
    }

    /// 204: it is gone.
    pub fn gone() -> Self {
        let body = Bytes::new();
        Self { status: StatusCode::NO_CONTENT, body, kind: "", etag: None, location: None }
    }

    /// 200 with a page.
    pub fn page(html: String) -> Self {
        let kind = "text/html; charset=utf-8";
        Self { status: StatusCode::OK, body: html.into(), kind, etag: None, location: None }
    }

    /// The answer as it is sent.
    pub fn answer(self) -> Response<Body> {
        let mut answer = Response::new(full(self.body));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind.starts_with("text/html") {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(super::docs::POLICY));
        }
        if !self.kind.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        for (name, value) in [(ETAG, self.etag), (LOCATION, self.location)] {
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
        answer
    }
}

/// The entity tag of what is shown.
pub fn etag(shown: &[u8]) -> String {
    let hash = blake3::hash(shown).to_hex();
    format!("\"{}\"", hash.get(..32).unwrap_or_default())
}
