//! GET, HEAD, PUT and DELETE of cards, calendar objects and what they are in. Knows no store: conditions go down as
//! preconditions, and what was stored comes back. RFC 9110 §9.3, RFC 4918 §9.4 to §9.7, RFC 6352 §6.3.2,
//! RFC 4791 §5.3.2, RFC 7809 §7.1.

use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED,
    VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use jiff::Timestamp;

use crate::domain::format::Format;
use crate::domain::id::{CollectionKind, HomeName, MemberName};
use crate::domain::vcard::Version;
use crate::service::place::Place;
use crate::service::refusal::{Refusal, Stop};
use crate::service::view::{CollectionView, Detail, Members, ObjectView};

use super::accept::{Choice, choose};
use super::conditions::Conditions;
use super::props::{CalendarForm, content_type_of};
use super::refuse::{Condition, Trouble};
use super::target::Target;
use super::{Body, Exchange, full};

/// Media types under which cards are sent (CARD-8); none at all is taken too.
const CARD_TYPES: [&str; 5] =
    ["text/vcard", "text/x-vcard", "text/directory", "application/vcard", "application/x-vcard"];

/// Media types under which calendar objects are sent.
const CALENDAR_TYPES: [&str; 3] = ["text/calendar", "text/x-vcalendar", "application/ics"];

type Reply = Result<Response<Body>, Trouble>;

/// GET and HEAD; the server drops the body of an answer to HEAD.
pub(super) async fn get(exchange: &Exchange<'_>, target: &Target) -> Reply {
    let Target::Object(owner, book, name) = target else {
        return Ok(page(exchange, target));
    };
    let conditions = Conditions::of(exchange.headers, exchange.front, target)?;
    if let Some(lists) = conditions.lists.clone()
        && !exchange.service.check(exchange.caller, vec![lists]).await?
    {
        return Err(Refusal::Unmet.into());
    }
    let (parent, card) = match card(exchange, (owner, book, name)).await {
        Err(Trouble::Stop(Stop::Refused(Refusal::NotFound))) if conditions.matching.is_some() => {
            return Err(Refusal::Unmet.into());
        }
        found => found?,
    };
    if unmet(&conditions, &card) {
        return Err(Refusal::Unmet.into());
    }
    if unchanged(&conditions, &card) {
        let mut answer = Response::new(full(Bytes::new()));
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        validators(answer.headers_mut(), &card);
        return Ok(answer);
    }
    let body = represent(exchange, &parent, &card)?;
    let mut answer = Response::new(full(body));
    validators(answer.headers_mut(), &card);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type_of(card.format)));
    Ok(answer)
}

/// PUT of a card.
pub(super) async fn put(exchange: &Exchange<'_>, target: &Target, body: Bytes) -> Reply {
    let Target::Object(owner, book, name) = target else {
        return Err(Refusal::NoParent.into());
    };
    // A part of a card is not a card (HTTP-19).
    if exchange.headers.contains_key(CONTENT_RANGE) {
        return Err(Trouble::Status(StatusCode::BAD_REQUEST));
    }
    if !is_object_type(exchange.headers, owner.kind) {
        return Err(Trouble::Condition(StatusCode::UNSUPPORTED_MEDIA_TYPE, Condition::SupportedAddressData));
    }
    let place = Place::Object(owner.clone(), book.clone(), name.clone());
    let when = Conditions::of(exchange.headers, exchange.front, target)?.for_write(&place);
    let wants_body = exchange.prefer.representation;
    let stored = match exchange.service.put(exchange.caller, (owner, book, name), body, when).await {
        Err(Stop::Refused(Refusal::Unmet)) if wants_body => {
            let status = StatusCode::PRECONDITION_FAILED;
            return match card(exchange, (owner, book, name)).await {
                Ok((_, card)) => representation(exchange, target, status, &card),
                Err(_) => Err(Refusal::Unmet.into()),
            };
        }
        done => done?,
    };
    if wants_body {
        let status = if stored.created { StatusCode::CREATED } else { StatusCode::OK };
        return representation(exchange, target, status, &stored.card);
    }
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = if stored.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    if stored.verbatim {
        validators(answer.headers_mut(), &stored.card);
    }
    Ok(answer)
}

/// DELETE of a card or a book.
pub(super) async fn delete(exchange: &Exchange<'_>, target: &Target) -> Reply {
    let Some(place) = target.place() else {
        return Err(Refusal::NotFound.into());
    };
    // A collection goes with all that is in it (DAV-26).
    if matches!(place, Place::Collection(..)) && !matches!(exchange.depth(), None | Some(b"infinity")) {
        return Err(Trouble::Status(StatusCode::BAD_REQUEST));
    }
    let when = Conditions::of(exchange.headers, exchange.front, target)?.for_write(&place);
    exchange.service.delete(exchange.caller, &place, when).await?;
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

/// The card with its octets, and what it is in.
async fn card(
    exchange: &Exchange<'_>,
    (owner, book, name): (&HomeName, &MemberName, &MemberName),
) -> Result<(CollectionView, ObjectView), Trouble> {
    let members = Members::Named(vec![name.clone()]);
    let detail = Detail { properties: false, body: true };
    let view = exchange.service.book(exchange.caller, owner, book, members, detail).await?;
    let card = view.one()?.clone();
    Ok((view.book, card))
}

/// An answer that carries the stored card (RFC 8144 §3; PREF-3, PREF-4).
fn representation(exchange: &Exchange<'_>, target: &Target, status: StatusCode, card: &ObjectView) -> Reply {
    let mut answer = Response::new(full(card.body.clone().unwrap_or_default()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    validators(headers, card);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type_of(card.format)));
    let applied = HeaderValue::from_static("return=representation");
    headers.insert(HeaderName::from_static("preference-applied"), applied);
    headers.insert(VARY, HeaderValue::from_static("Accept, Prefer, User-Agent"));
    if let Some(href) = target.href()
        && let Ok(value) = HeaderValue::try_from(format!("{}{href}", exchange.front.prefix))
    {
        headers.insert(CONTENT_LOCATION, value);
    }
    Ok(answer)
}

/// The octets in the form that the request asks for: a card in 3.0 unless it asks otherwise (D9,
/// CARD-34), a calendar object with or without time zones where it says so (TZ-3).
fn represent(exchange: &Exchange<'_>, parent: &CollectionView, card: &ObjectView) -> Result<Bytes, Trouble> {
    if card.format.version().is_none() {
        return Ok(CalendarForm::with(exchange.timezones()).text(parent, card));
    }
    let not_acceptable =
        || Trouble::Condition(StatusCode::NOT_ACCEPTABLE, Condition::SupportedAddressDataConversion);
    let stored = card.version();
    let usual = if exchange.takes_stored_form() { stored } else { Version::V3 };
    let choice = choose(exchange.headers.get_all(ACCEPT).iter(), usual).ok_or_else(not_acceptable)?;
    match (exchange.service.conversions().of(card, choice.version()), choice) {
        (Ok(form), _) => Ok(form),
        (Err(_), Choice::Usual(_)) => Ok(card.body.clone().unwrap_or_default()),
        (Err(_), Choice::Asked(_)) => Err(not_acceptable()),
    }
}

/// Whether a condition that ends in 412 does not hold.
fn unmet(conditions: &Conditions, card: &ObjectView) -> bool {
    let matching = conditions.matching.as_ref();
    matching.is_some_and(|tags| !tags.hold(card.etag))
        || conditions.unmodified_since.is_some_and(|time| card.modified.as_second() > time.as_second())
}

/// Whether the client has this already (304; HTTP-5, HTTP-6).
fn unchanged(conditions: &Conditions, card: &ObjectView) -> bool {
    let none_matching = conditions.none_matching.as_ref();
    none_matching.is_some_and(|tags| tags.hold(card.etag))
        || conditions.modified_since.is_some_and(|time| card.modified.as_second() <= time.as_second())
}

/// ETag, the same for every form of the card (D19), and the date, which varies with nothing.
fn validators(headers: &mut HeaderMap, card: &ObjectView) {
    if let Ok(tag) = HeaderValue::try_from(card.etag.quoted()) {
        headers.insert(ETAG, tag);
    }
    if let Ok(date) = HeaderValue::try_from(http_date(card.modified)) {
        headers.insert(LAST_MODIFIED, date);
    }
    headers.insert(
        VARY,
        HeaderValue::from_static(match card.format {
            Format::Card(_) => "Accept, User-Agent",
            Format::Calendar(_) => "CalDAV-Timezones",
        }),
    );
}

/// A time as HTTP writes it (RFC 9110 §5.6.7).
pub(super) fn http_date(at: Timestamp) -> String {
    httpdate::fmt_http_date(at.into())
}

fn is_object_type(headers: &HeaderMap, kind: CollectionKind) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let text = value.to_str().unwrap_or("?");
    let essence = text.split(';').next().unwrap_or_default().trim();
    let types = match kind {
        CollectionKind::AddressBook => CARD_TYPES.as_slice(),
        CollectionKind::Calendar => CALENDAR_TYPES.as_slice(),
    };
    essence.is_empty() || types.iter().any(|known| essence.eq_ignore_ascii_case(known))
}

/// What a person sees who opens a collection in a browser (DAV-25).
fn page(exchange: &Exchange<'_>, target: &Target) -> Response<Body> {
    let text = match target {
        Target::Collection(home, _) if home.kind == CollectionKind::Calendar => {
            "This is a calendar. Open it with a CalDAV client.\n"
        }
        Target::Collection(..) => "This is an address book. Open it with a CardDAV client.\n",
        _ => {
            "This is Cardkeep. Give a CardDAV or CalDAV client this server's name, your user name and password.\n"
        }
    };
    let mut answer = Response::new(full(Bytes::from_static(text.as_bytes())));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    let _ = exchange;
    answer
}
