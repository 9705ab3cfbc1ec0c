//! COPY and MOVE. RFC 4918 §9.8, §9.9; DAV-29 to DAV-33.

use bytes::Bytes;
use http::header::HeaderName;
use http::{Response, StatusCode};

use crate::service::place::Place;
use crate::service::refusal::Refusal;
use crate::service::transfer::Manner;
use crate::service::view::{Transferred, Verb};

use super::conditions::Conditions;
use super::refuse::{Condition, Trouble};
use super::target::{BadHref, Target};
use super::{Body, Exchange, full};

/// Copies or moves what `target` names to where `Destination` says.
pub(super) async fn transfer(
    exchange: &Exchange<'_>,
    target: &Target,
    verb: Verb,
) -> Result<Response<Body>, Trouble> {
    let from = match target.place() {
        Some(place @ (Place::Object(..) | Place::Collection(..))) => place,
        Some(_) | None => return Err(Trouble::Status(StatusCode::FORBIDDEN)),
    };
    let to = destination(exchange, target)?;
    if let (Place::Object(source, ..), Place::Object(home, ..)) = (&from, &to)
        && source.kind != home.kind
    {
        // A card is no calendar object, nor the other way round (CAL-4, CARD-5).
        let failed = Condition::SupportedAddressData;
        return Err(Trouble::About(home.kind, StatusCode::FORBIDDEN, failed));
    }
    let shallow = shallow(exchange, &from, verb)?;
    let manner = Manner { verb, overwrite: overwrite(exchange)?, shallow };
    let when = Conditions::of(exchange.headers, exchange.front, target)?.for_write(&from);
    let done = exchange.service.transfer(exchange.caller, manner, &from, &to, when).await?;
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = match done {
        Transferred::Created => StatusCode::CREATED,
        Transferred::Replaced => StatusCode::NO_CONTENT,
    };
    Ok(answer)
}

fn destination(exchange: &Exchange<'_>, target: &Target) -> Result<Place, Trouble> {
    let bad = Trouble::Status(StatusCode::BAD_REQUEST);
    let value = exchange.headers.get(HeaderName::from_static("destination"));
    let Some(href) = value.and_then(|value| value.to_str().ok()) else {
        return Err(bad);
    };
    // A relative reference is not allowed here (RFC 4918 §10.3).
    if !href.starts_with('/') && !href.contains("://") {
        return Err(bad);
    }
    match Target::of_href(exchange.front, target, href) {
        Ok(to) => match to.place() {
            Some(place) => Ok(place),
            None if to == Target::Unmapped => Err(Refusal::NoParent.into()),
            None => Err(Refusal::WrongPlace.into()),
        },
        Err(BadHref::Foreign) => Err(Trouble::Status(StatusCode::BAD_GATEWAY)),
        Err(BadHref::Unreadable) => Err(bad),
    }
}

fn overwrite(exchange: &Exchange<'_>) -> Result<bool, Trouble> {
    match exchange.headers.get(HeaderName::from_static("overwrite")).map(|value| value.as_bytes()) {
        None | Some(b"T" | b"t") => Ok(true),
        Some(b"F" | b"f") => Ok(false),
        Some(_) => Err(Trouble::Status(StatusCode::BAD_REQUEST)),
    }
}

/// Whether a book is copied without its cards; a card has no depth (DAV-32).
fn shallow(exchange: &Exchange<'_>, from: &Place, verb: Verb) -> Result<bool, Trouble> {
    match (from, verb, exchange.depth()) {
        (Place::Object(..), ..) | (_, _, None | Some(b"infinity")) => Ok(false),
        (_, Verb::Copy, Some(b"0")) => Ok(true),
        _ => Err(Trouble::Status(StatusCode::BAD_REQUEST)),
    }
}
