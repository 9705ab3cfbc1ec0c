//! MKCOL, plain and extended, and OPTIONS. RFC 4918 §9.3, RFC 5689, RFC 6352 §6.3.1.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::domain::ical::Components;
use crate::domain::id::{CollectionKind, HomeName, MemberName, Principal};
use crate::service::place::Place;
use crate::service::refusal::{Refusal, Stop};
use crate::service::view::{Detail, Members, PropertyName};

use super::proppatch::{DEPENDENT, PROTECTED, is_protected, propstats};
use super::refuse::{Condition, Trouble};
use super::target::{Kind, Target};
use super::xml::name::{CARD, DAV};
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

/// Handles MKCOL. In a home it makes an address book, asked for or not (MKC-2, MKC-6).
pub async fn mkcol(exchange: &Exchange<'_>) -> Outcome {
    let asked = body(exchange)?;
    let (owner, book) = match exchange.target {
        Target::Collection(owner, book) => (owner, book),
        Target::Object(owner, book, card) => return Err(inside(exchange, owner, book, card).await?),
        // Of the paths that nothing can be at, most lack their parent.
        _ => return Err(Refusal::NoParent.into()),
    };
    let Some(asked) = asked else {
        return create(exchange, owner, book, Mkcol::default()).await;
    };
    if !is_address_book(asked.resource_type.as_deref().unwrap_or_default()) {
        let failed = Condition::ValidResourceType;
        return Err(Trouble::Condition(StatusCode::FORBIDDEN, failed));
    }
    create(exchange, owner, book, asked).await
}

/// Handles MKCALENDAR (RFC 4791 §5.3.1; CAL-10).
pub async fn mkcalendar(exchange: &Exchange<'_>) -> Outcome {
    let asked = body(exchange)?.unwrap_or_default();
    match exchange.target {
        Target::Collection(home, name) => create(exchange, home, name, asked).await,
        Target::Object(home, name, object) => Err(inside(exchange, home, name, object).await?),
        _ => Err(Refusal::NoParent.into()),
    }
}

/// The request's body; `None` where there is none.
fn body(exchange: &Exchange<'_>) -> Result<Option<Mkcol>, Trouble> {
    if exchange.body.is_empty() {
        return Ok(None);
    }
    let kind = exchange.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or(b"application/xml");
    let bare = kind.split(|&b| b == b';').next().unwrap_or_default();
    let bare = bare.trim_ascii().to_ascii_lowercase();
    match bare.as_slice() {
        b"application/xml" | b"text/xml" => Ok(Some(request::mkcol(&exchange.body)?)),
        _ => Err(Trouble::Status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

/// Exactly a collection and an address book (MKC-3).
fn is_address_book(types: &[PropertyName]) -> bool {
    let has =
        |namespace: &str, local: &str| types.iter().any(|t| t.namespace == namespace && t.local == local);
    types.len() == 2 && has(DAV, "collection") && has(CARD, "addressbook")
}

async fn create(exchange: &Exchange<'_>, owner: &HomeName, book: &MemberName, asked: Mkcol) -> Outcome {
    let names = asked.properties.iter().map(|p| p.name.clone());
    let (protected, others): (Vec<_>, Vec<_>) =
        names.partition(|name| is_protected(name, Kind::collection(owner.kind)));
    if !protected.is_empty() {
        return Ok(refused(&[(protected, PROTECTED), (others, DEPENDENT)]));
    }
    let place = Place::Collection(owner.clone(), book.clone());
    let components = match owner.kind {
        CollectionKind::AddressBook => Components::NONE,
        CollectionKind::Calendar => Components::USUAL,
    };
    exchange
        .service
        .create_collection(
            exchange.caller,
            (owner, book),
            components,
            asked.properties,
            exchange.when(&place)?,
        )
        .await?;
    let mut response = Response::new(full(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::CREATED;
    if exchange.prefer.minimal {
        exchange.prefer.applied(response.headers_mut());
    }
    Ok(response)
}

/// Which properties stood in the way; nothing was made (MKC-4).
fn refused(groups: &[(Vec<PropertyName>, &str)]) -> Response<super::Body> {
    let mut out = Writer::document("D:mkcol-response", 512);
    propstats(groups, &mut out);
    out.raw("</D:mkcol-response>");
    let mut response = Response::new(full(out.take()));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Why there is no collection in an address book (CARD-5).
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
