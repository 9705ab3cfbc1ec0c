//! `/contacts`: found, made, changed, linked and deleted, each by its id or its number.

mod bodies;
mod bulk;
mod jscontact;
mod list;
mod past;
mod shape;
mod timeline;
mod together;
mod writable;
mod written;

pub use bulk::{Bulk, BulkPreview, JsonPatches, bulk};
pub use list::{NotDuplicates, Pair, Stats};
pub use list::{duplicates, list, lookup, not_duplicates, stats, trash};
pub use past::{HistoryEntry, Restore, VersionShown, history, restore, versions};
pub use shape::Contact;
pub use timeline::{Activity, timeline};
pub use together::{Convert, Merge, Relate, Relation, clone, convert, merge, relate, relations};
pub use writable::WriteContact;

use http::header::{ACCEPT, CONTENT_TYPE};
use serde::Serialize;

use crate::service::office::{ContactRef, ContactView, Found};
use crate::service::refusal::{Refusal, Stop};

use self::written::{WRITABLE, Written};
use super::body::read_object;
use super::problem::{Kind, Problem, Trouble};
use super::reply::Reply;
use super::{Ask, Outcome, ROUNDS, moved};

/// The media type of cards.
const VCARD: &str = "text/vcard";

/// Where a contact is that was merged.
#[derive(Serialize)]
struct Merged {
    id: String,
}

/// The contact that the path names, or the answer that says where it is.
async fn named(ask: &Ask, below: &str) -> Result<Result<Box<ContactView>, Reply>, Trouble> {
    let named = ContactRef::parse(ask.param(0)).ok_or(Refusal::NotFound)?;
    Ok(match ask.service.contact(&ask.caller, named).await? {
        Found::There(view) => Ok(view),
        Found::Merged(into) => {
            let id = into.to_string();
            let mut parts = vec![id.as_str()];
            parts.extend(Some(below).filter(|below| !below.is_empty()));
            let place = ask.place("contacts", &parts);
            Err(Reply::elsewhere(&Merged { id: id.clone() }, place)?)
        }
    })
}

fn shown(view: &ContactView) -> Result<Reply, Trouble> {
    Ok(Reply::tagged(&Contact::from(view), &view.etag)?)
}

fn made(ask: &Ask, view: &ContactView) -> Outcome {
    Ok(shown(view)?.made_at(ask.place("contacts", &[&view.id.to_string()])))
}

/// `POST /contacts`
pub async fn create(ask: &Ask) -> Outcome {
    let kind = ask.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let view = if kind.eq_ignore_ascii_case(VCARD) {
        let book = ask.query.get("book");
        ask.service.create_contact_from_card(&ask.caller, book, ask.body.clone()).await?
    } else {
        if ask.query.get("book").is_some() {
            let text = "the book of a contact in JSON is one of its fields";
            return Err(Problem::parameter(Kind::Wrong, "book", text).into());
        }
        let Written(draft) = ask.body()?;
        ask.service.create_contact(&ask.caller, draft).await?
    };
    made(ask, &view)
}

/// `GET /contacts/{id}`
pub async fn show(ask: &Ask) -> Outcome {
    let view = match named(ask, "").await? {
        Ok(view) => view,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let wanted = ask.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = wanted.flat_map(|value| value.split(','));
    let kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    // The first that is known; JSON where none is.
    let known = |kind: &str| {
        [VCARD, jscontact::MEDIA, "application/json"].into_iter().find(|one| kind.eq_ignore_ascii_case(one))
    };
    match kinds.filter_map(known).next() {
        Some(VCARD) => Ok(Reply::other(view.card().clone(), "text/vcard; charset=utf-8", &view.etag)),
        Some(jscontact::MEDIA) => {
            let card = serde_json::to_vec(&jscontact::card(&view)).unwrap_or_default();
            Ok(Reply::other(card.into(), jscontact::MEDIA, &view.etag))
        }
        _ => shown(&view),
    }
}

/// `PATCH /contacts/{id}`
pub async fn change(ask: &Ask) -> Outcome {
    for _ in 0..ROUNDS {
        let view = match named(ask, "").await? {
            Ok(view) => view,
            Err(elsewhere) => return Ok(elsewhere),
        };
        let before = shown(&view)?;
        ask.when(&before)?;
        let mut patched = ask.patched(&before, &WRITABLE)?;
        renamed(&view, &mut patched);
        let Written(draft) = read_object(patched)?;
        match ask.service.change_contact(&ask.caller, &view, draft).await {
            // It changed since it was read; with `If-Match` the next round says so.
            Err(Stop::Refused(Refusal::Unmet)) => {}
            done => return shown(&done?),
        }
    }
    Err(moved())
}

/// A name whose parts were changed, and the whole not, is made of its parts, if it was before.
fn renamed(view: &ContactView, patched: &mut serde_json::Map<String, serde_json::Value>) {
    let name = &view.fields.name;
    let parts = [&name.prefix, &name.given, &name.additional, &name.family, &name.suffix];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let Some(serde_json::Value::Object(after)) = patched.get_mut("name") else { return };
    let same = after.get("formatted").and_then(|text| text.as_str()) == Some(name.formatted.as_str());
    let text = |key: &str| after.get(key).and_then(|text| text.as_str()).unwrap_or_default();
    let before = [&name.prefix, &name.given, &name.additional, &name.family, &name.suffix];
    let keys = ["prefix", "given", "additional", "family", "suffix"];
    let changed = keys.iter().zip(before).any(|(key, before)| text(key) != before.as_str());
    if same && changed && parts.join(" ") == name.formatted {
        after.remove("formatted");
    }
}

/// `DELETE /contacts/{id}`
pub async fn remove(ask: &Ask) -> Outcome {
    for _ in 0..ROUNDS {
        let view = match named(ask, "").await? {
            Ok(view) => view,
            Err(elsewhere) => return Ok(elsewhere),
        };
        ask.when(&shown(&view)?)?;
        match ask.service.delete_contact(&ask.caller, &view).await {
            Err(Stop::Refused(Refusal::Unmet)) => {}
            done => {
                done?;
                return Ok(Reply::gone());
            }
        }
    }
    Err(moved())
}
