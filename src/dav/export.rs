//! `GET ?export` of a book or a calendar: all of it as one file, sent while it is read (ICAL-12).

use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderValue, Response, StatusCode};

use crate::domain::id::{CollectionKind, HomeName, MemberName};
use crate::domain::vcard::Version;
use crate::service::export::Export;
use crate::service::public_links::ending;
use crate::service::refusal::Refusal;

use super::accept::choose;
use super::conditions::Conditions;
use super::refuse::{Condition, Trouble};
use super::run::Pieces;
use super::{Exchange, Outcome, full};

/// Whether the query asks for that.
pub(super) fn is_asked(exchange: &Exchange<'_>) -> bool {
    let query = exchange.query.unwrap_or_default();
    query.split('&').any(|part| part.split('=').next() == Some("export"))
}

/// The file.
pub(super) async fn export(exchange: &Exchange<'_>, home: &HomeName, name: &MemberName) -> Outcome {
    let version = match home.kind {
        CollectionKind::Calendar => Version::V3,
        CollectionKind::AddressBook => {
            let usual = if exchange.takes_stored_form() { Version::V4 } else { Version::V3 };
            let failed = Condition::SupportedAddressDataConversion;
            let choice = choose(exchange.headers.get_all(ACCEPT).iter(), usual);
            choice.ok_or(Trouble::Condition(StatusCode::NOT_ACCEPTABLE, failed))?.version()
        }
    };
    let export = exchange.service.export(exchange.caller, home, name, version).await?;
    let conditions = Conditions::of(exchange.headers, exchange.front, exchange.target)?;
    let tag = export.etag();
    if conditions.matching.as_ref().is_some_and(|tags| !tags.hold(tag)) {
        return Err(Refusal::Unmet.into());
    }
    let mut answer = match conditions.none_matching.as_ref().is_some_and(|tags| tags.hold(tag)) {
        true => {
            let mut answer = Response::new(full(bytes::Bytes::new()));
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer
        }
        false => file(export, name.as_str()),
    };
    if let Ok(tag) = HeaderValue::try_from(tag.quoted()) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept, User-Agent"));
    Ok(answer)
}

/// The file under that name.
pub(super) fn file(export: Export, name: &str) -> Response<super::Body> {
    let kind = export.kind();
    let media = match kind {
        CollectionKind::AddressBook => "text/vcard; charset=utf-8",
        CollectionKind::Calendar => "text/calendar; charset=utf-8",
    };
    let mut answer = Response::new(Pieces::of(export, |export| Box::pin(export.piece())));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    // A quoted-string that needs no escaping (RFC 6266 §4.3).
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}.{}\"", ending(kind))) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    answer
}
