//! Who is asking: HTTP Basic (RFC 7617) or a bearer token of the API (RFC 6750), decided before a body is read (HTTP-13). Sets no cookie
//! and reads none (HTTP-26). Knows no account.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};

use crate::domain::client;
use crate::service::Service;
use crate::service::access::Caller;
use crate::service::audit::Origin;
use crate::service::refusal::Fault;
use crate::service::sign_in::{Credentials, Door, NotSignedIn};

use super::metrics;

/// Why nobody is signed in.
pub enum Denied {
    /// No credentials, or wrong ones (401).
    Unknown,
    /// Too many wrong ones (429).
    Slowed(Duration),
    /// No capacity to check them (503).
    Busy(Duration),
    /// They could not be checked (500).
    Failed(Fault),
}

/// Signs in whoever the headers name.
pub async fn authenticate(service: &Service, headers: &HeaderMap, client: IpAddr) -> Result<Caller, Denied> {
    let Some(credentials) = credentials(headers) else {
        metrics::sign_in("none");
        return Err(Denied::Unknown);
    };
    let agent = user_agent(headers);
    let answer = service.sign_in(credentials, Origin { address: client, client: &agent }).await;
    judged(answer, client::family(&agent))
}

/// Signs in whoever the headers name, for the API: by a token of it, or an account's own password.
pub async fn authenticate_for_api(
    service: &Service,
    headers: &HeaderMap,
    client: IpAddr,
) -> Result<Caller, Denied> {
    let agent = user_agent(headers);
    let from = Origin { address: client, client: &agent };
    if let Some(token) = bearer(headers) {
        return judged(service.sign_in_by_token(&token, from).await, BY_API);
    }
    let Some(credentials) = credentials(headers) else {
        metrics::sign_in("none");
        return Err(Denied::Unknown);
    };
    judged(service.sign_in_at(Door::Api, credentials, from).await, BY_API)
}

/// What histories call a program that uses the API.
const BY_API: &str = "api";

/// Counts what became of a sign-in, and notes with what client the caller comes.
fn judged(answer: Result<Caller, NotSignedIn>, client: &'static str) -> Result<Caller, Denied> {
    metrics::sign_in(match &answer {
        Ok(_) => "ok",
        Err(NotSignedIn::Wrong) => "wrong",
        Err(NotSignedIn::Slowed { .. }) => "slowed",
        Err(NotSignedIn::Busy { .. }) => "busy",
        Err(NotSignedIn::Failed(_)) => "failed",
    });
    answer.map(|caller| Caller { client, ..caller }).map_err(|why| match why {
        NotSignedIn::Wrong => Denied::Unknown,
        NotSignedIn::Slowed { retry_after } => Denied::Slowed(retry_after),
        NotSignedIn::Busy { retry_after } => Denied::Busy(retry_after),
        NotSignedIn::Failed(fault) => Denied::Failed(fault),
    })
}

/// The client's name for itself, bounded.
pub fn user_agent(headers: &HeaderMap) -> String {
    headers
        .get(USER_AGENT)
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(256)
        .collect()
}

/// Both alphabets, with and without padding: clients differ.
const READ: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, READ);

/// The longest value that is looked at.
const LONGEST: usize = 8 << 10;

/// The one bearer token of the headers.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let value = given.next()?;
    if given.next().is_some() || value.len() > LONGEST {
        return None;
    }
    let (scheme, rest) = value.to_str().ok()?.trim().split_once([' ', '\t'])?;
    let token = rest.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let value = given.next()?;
    if given.next().is_some() || value.len() > LONGEST {
        return None;
    }
    let (scheme, rest) = value.to_str().ok()?.trim().split_once([' ', '\t'])?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let encoded: String = rest
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    let decoded = STANDARD.decode(encoded).ok()?;
    let pair = text(decoded);
    let (user, password) = pair.split_once(':')?;
    (!user.is_empty()).then(|| Credentials { user: user.to_owned(), password: password.to_owned() })
}

/// UTF-8, as we ask for (HTTP-15); older clients send ISO 8859-1, whose octets are code points.
fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|b| char::from(*b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        credentials(&headers).map(|found| (found.user, found.password))
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn basic_credentials_are_read_however_they_are_encoded() {
        assert_eq!(read("Basic YWxpY2U6cGE6c3M="), pair("alice", "pa:ss"));
        assert_eq!(read("bAsIc   YWxpY2U6cGE6c3M"), pair("alice", "pa:ss"));
        assert_eq!(read("Basic YTo/Pz8+"), pair("a", "???>"));
        assert_eq!(read("Basic YTo_Pz8-"), pair("a", "???>"));
        assert_eq!(read("Basic asO8cmc6cMOkc3M="), pair("j\u{fc}rg", "p\u{e4}ss"));
        assert_eq!(read("Basic avxyZzpw5HNz"), pair("j\u{fc}rg", "p\u{e4}ss"), "ISO 8859-1");
        assert_eq!(read("Basic YTo="), pair("a", ""));
    }

    #[test]
    fn anything_else_is_nobody() {
        for bad in ["Basic", "Basic ", "Basic !!!", "Bearer YTpi", "Basic YWxpY2U=", "Basic OmI=", "YTpi"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(&format!("Basic {}", "YTpi".repeat(3000))), None);
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, "Basic YTpi".parse().unwrap());
        twice.append(AUTHORIZATION, "Basic Yzpk".parse().unwrap());
        assert!(credentials(&twice).is_none());
    }
}
