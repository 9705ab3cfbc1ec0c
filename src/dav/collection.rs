//! MKCOL, plain and extended, MKCALENDAR, and OPTIONS. RFC 4918 §9.3, RFC 5689, RFC 6352 §6.3.1,
//! RFC 4791 §5.3.1.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::domain::id::{CollectionKind, HomeName, MemberName, Principal};
use crate::service::place::Place;
use crate::service::refusal::{Refusal, Stop};
use crate::service::view::{Detail, Members, PropertyName};

use super::calendar::{self, Described, Wrong};
use super::proppatch::{failed, propstats, protected, year};
use super::refuse::{Condition, Trouble};
use super::target::{Kind, Target};
use super::xml::name::{CAL, CARD, DAV};
use super::xml::read::BadXml;
use super::xml::request::{self, Mkcol};
use super::xml::write::Writer;
use super::{Exchange, Outcome, full};

/// Handles OPTIONS (DAV-1). Others' homes, and what they do not share, do not exist (ACL-23).
pub async fn options(exchange: &Exchange<'_>) -> Outcome {
    match exchange.target {
        Target::Principal(owner) if *owner != exchange.caller.name => {
            exchange.service.principal(exchange.caller, &Principal::User(owner.clone())).await?;
        }
        Target::Group(name) => {
            exchange.service.principal(exchange.caller, &Principal::Group(name.clone())).await?;
        }
        Target::Home(home) if home.user != exchange.caller.name => return Err(Refusal::NotFound.into()),
        Target::Collection(home, book) | Target::Object(home, book, _)
            if home.user != exchange.caller.name =>
        {
            let standing = exchange.service.rights_at(exchange.caller, home, book).await?;
            standing.ok_or(Refusal::NotFound)?;
        }
        _ => {}
    }
    let mut response = Response::new(full(bytes::Bytes::new()));
    response.headers_mut().insert(ALLOW, exchange.allow().await);
    Ok(response)
}

/// Handles MKCOL. In a home it makes what that home holds, asked for or not (MKC-2, MKC-6).
pub async fn mkcol(exchange: &Exchange<'_>) -> Outcome {
    let asked = body(exchange, request::mkcol)?;
    let (home, name) = place(exchange).await?;
    let Some(asked) = asked else {
        return create(exchange, (home, name), Mkcol::default(), Method::Mkcol).await;
    };
    match collection_of(asked.resource_type.as_deref().unwrap_or_default()) {
        Some(kind) if kind == home.kind => create(exchange, (home, name), asked, Method::Mkcol).await,
        Some(kind) => Err(misplaced(exchange, (home, name), kind).await),
        None => Err(Trouble::Condition(StatusCode::FORBIDDEN, Condition::ValidResourceType)),
    }
}

/// Handles MKCALENDAR (RFC 4791 §5.3.1; CAL-10).
pub async fn mkcalendar(exchange: &Exchange<'_>) -> Outcome {
    let asked = body(exchange, request::mkcalendar)?.unwrap_or_default();
    let (home, name) = match place(exchange).await {
        // Of which kind the collection is that it would be in does not matter.
        Err(Trouble::Stop(Stop::Refused(Refusal::WrongPlace))) => return Err(NO_CALENDAR_HERE),
        place => place?,
    };
    match (home.kind, asked.resource_type.as_deref().map(collection_of)) {
        (CollectionKind::AddressBook, _) => {
            Err(misplaced(exchange, (home, name), CollectionKind::Calendar).await)
        }
        (_, None | Some(Some(CollectionKind::Calendar))) => {
            create(exchange, (home, name), asked, Method::Mkcalendar).await
        }
        _ => Err(Trouble::Condition(StatusCode::FORBIDDEN, Condition::ValidResourceType)),
    }
}

/// A calendar cannot be made where it was to be.
const NO_CALENDAR_HERE: Trouble =
    Trouble::About(CollectionKind::Calendar, StatusCode::FORBIDDEN, Condition::CollectionLocation);

/// By which method a collection is made: each has an answer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Mkcol,
    Mkcalendar,
}

/// Where in which home a collection would be.
async fn place<'e>(exchange: &Exchange<'e>) -> Result<(&'e HomeName, &'e MemberName), Trouble> {
    match exchange.target {
        Target::Collection(home, name) => Ok((home, name)),
        Target::Object(home, name, object) => Err(inside(exchange, home, name, object).await?),
        // Of the paths that nothing can be at, most lack their parent.
        _ => Err(Refusal::NoParent.into()),
    }
}

/// Why a home does not take a collection of the other kind: it is not for it, or there is one.
async fn misplaced(
    exchange: &Exchange<'_>,
    (home, name): (&HomeName, &MemberName),
    kind: CollectionKind,
) -> Trouble {
    match exchange.service.rights_at(exchange.caller, home, name).await {
        Ok(Some(_)) => Refusal::Mapped.into(),
        Ok(None) => Trouble::About(kind, StatusCode::FORBIDDEN, Condition::CollectionLocation),
        Err(stop) => stop.into(),
    }
}

/// The request's body; `None` where there is none.
fn body(exchange: &Exchange<'_>, read: fn(&[u8]) -> Result<Mkcol, BadXml>) -> Result<Option<Mkcol>, Trouble> {
    if exchange.body.is_empty() {
        return Ok(None);
    }
    let kind = exchange.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or(b"application/xml");
    let bare = kind.split(|&b| b == b';').next().unwrap_or_default();
    let bare = bare.trim_ascii().to_ascii_lowercase();
    match bare.as_slice() {
        b"application/xml" | b"text/xml" => Ok(Some(read(&exchange.body)?)),
        _ => Err(Trouble::Status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

/// Exactly a collection and an address book, or a collection and a calendar (MKC-3).
fn collection_of(types: &[PropertyName]) -> Option<CollectionKind> {
    let has =
        |namespace: &str, local: &str| types.iter().any(|t| t.namespace == namespace && t.local == local);
    if types.len() != 2 || !has(DAV, "collection") {
        return None;
    }
    match (has(CARD, "addressbook"), has(CAL, "calendar")) {
        (true, _) => Some(CollectionKind::AddressBook),
        (_, true) => Some(CollectionKind::Calendar),
        _ => None,
    }
}

async fn create(
    exchange: &Exchange<'_>,
    (home, name): (&HomeName, &MemberName),
    asked: Mkcol,
    method: Method,
) -> Outcome {
    let names: Vec<_> = asked.properties.iter().map(|property| property.name.clone()).collect();
    let (described, mut wrong) = match calendar::described(home.kind, asked.properties, year(exchange)) {
        Ok(described) => (described, Wrong::new()),
        Err(wrong) => (Described::default(), wrong),
    };
    let kind = Kind::collection(home.kind);
    // What only the making can say is not protected from it.
    wrong.extend(protected(names.iter().filter(|name| !calendar::is_of_making(home.kind, name)), kind));
    if !wrong.is_empty() {
        return Ok(refused(&failed(names, &wrong), method));
    }
    let when = exchange.when(&Place::Collection(home.clone(), name.clone()))?;
    let Described { components, properties } = described;
    let made =
        exchange.service.create_collection(exchange.caller, (home, name), components, properties, when).await;
    match made {
        // It would not be what was asked for (CAL-11).
        Err(Stop::Refused(Refusal::PropertiesFull)) if home.kind == CollectionKind::Calendar => {
            let failed = Condition::InitializeCalendar;
            return Err(Trouble::Condition(StatusCode::INSUFFICIENT_STORAGE, failed));
        }
        made => made?,
    }
    let mut response = Response::new(full(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::CREATED;
    if exchange.prefer.minimal {
        exchange.prefer.applied(response.headers_mut());
    }
    Ok(response)
}

/// Which properties stood in the way; nothing was made (MKC-4, CAL-10). RFC 4791 §5.3.1.1 would have a
/// 207 for MKCALENDAR, which clients that look at the first digit take for a success.
fn refused(groups: &[(Vec<PropertyName>, &str)], method: Method) -> Response<super::Body> {
    let (root, end) = match method {
        Method::Mkcol => ("D:mkcol-response", "</D:mkcol-response>"),
        Method::Mkcalendar => ("CAL:mkcalendar-response", "</CAL:mkcalendar-response>"),
    };
    let mut out = Writer::document(root, 512);
    propstats(groups, &mut out);
    out.raw(end);
    let mut response = Response::new(full(out.take()));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Why there is no collection in an address book or a calendar (CARD-5, CAL-4).
async fn inside(
    exchange: &Exchange<'_>,
    owner: &HomeName,
    book: &MemberName,
    card: &MemberName,
) -> Result<Trouble, Trouble> {
    let members = Members::Named(vec![card.clone()]);
    let read = exchange.service.book(exchange.caller, owner, book, members, Detail::default());
    Ok(match read.await {
        Ok(view) if view.cards.is_empty() && view.damaged.is_empty() => Refusal::WrongPlace.into(),
        Ok(_) => Refusal::Mapped.into(),
        Err(Stop::Refused(Refusal::NotFound)) => Refusal::NoParent.into(),
        Err(stop) => stop.into(),
    })
}
