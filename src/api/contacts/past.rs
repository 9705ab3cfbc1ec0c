//! What became of a contact, and the way back: from an earlier state, and from the trash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::contact::{self, Leaf, Scalar};
use crate::domain::id::ContactId;
use crate::service::office::{self, ContactRef, ContactView, Found, HistoryPlace};
use crate::service::refusal::{Refusal, Stop};

use super::super::body::{Fields, Read};
use super::super::page::{self, Asked, Key, Order};
use super::super::problem::{Kind, Problem};
use super::super::reply::Reply;
use super::super::{Ask, Outcome, ROUNDS, moved};
use super::together::Linked;
use super::{named, shown};

/// A field that was changed.
#[derive(Serialize, ToSchema)]
pub struct HistoryEntry {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// By whom; null for the server itself.
    actor: Option<String>,
    /// With which client.
    client: Option<String>,
    /// The field.
    path: String,
    /// What it held.
    old: Value,
    /// What it held from then on.
    new: Value,
    /// The number of the contact whose field it was, if that was merged into this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    /// Whose field it was, where a company's history tells of its people.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<Linked>,
}

impl From<office::HistoryEntry> for HistoryEntry {
    fn from(entry: office::HistoryEntry) -> Self {
        Self {
            at: entry.at,
            actor: entry.actor,
            client: entry.client,
            old: json(&entry.path, &entry.old),
            new: json(&entry.path, &entry.new),
            path: entry.path,
            of: entry.of,
            contact: entry.contact.map(Linked::from),
        }
    }
}

/// A piece of a company's history. How much there is in all is not known: that would take reading all of
/// its people.
#[derive(Serialize)]
struct Piece {
    items: Vec<HistoryEntry>,
    next_cursor: Option<String>,
    total: Option<usize>,
}

/// Tells a cursor in a company's history from those of other lists.
const CURSOR: [u8; 4] = *b"comh";

fn written(place: HistoryPlace) -> String {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend_from_slice(&CURSOR);
    bytes.extend_from_slice(&place.at.to_be_bytes());
    bytes.extend_from_slice(place.contact.as_bytes());
    bytes.extend_from_slice(&place.entry.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn place(text: &str) -> Option<HistoryPlace> {
    if text.len() > 64 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (at, rest) = bytes.strip_prefix(&CURSOR)?.split_first_chunk::<8>()?;
    let (contact, entry) = rest.split_first_chunk::<16>()?;
    Some(HistoryPlace {
        at: i64::from_be_bytes(*at),
        contact: ContactId::from_bytes(*contact),
        entry: u32::from_be_bytes(entry.try_into().ok()?),
    })
}

/// A company's history with its people's.
async fn of_company(ask: &Ask, view: &ContactView) -> Outcome {
    let limit = page::limit(&ask.query)?;
    if ask.query.get("sort").is_some_and(|sort| sort != "at") {
        let text = "what happened with a company's people is told newest first; with own=true, in any order";
        return Err(Problem::parameter(Kind::Unreadable, "sort", text).into());
    }
    let wrong = || Problem::parameter(Kind::Unreadable, "cursor", "this is no cursor of this list");
    let after = ask.query.get("cursor").map(|text| place(text).ok_or_else(wrong)).transpose()?;
    let piece = ask.service.company_history(&ask.caller, view, after, limit).await?;
    let last = piece.entries.last().filter(|_| piece.more).map(|(place, _)| *place);
    let items = piece.entries.into_iter().map(|(_, entry)| entry.into()).collect();
    Ok(Reply::json(&Piece { items, next_cursor: last.map(written), total: None })?)
}

/// The values of a field as JSON: as contacts are shown.
fn json(path: &str, leaves: &[Leaf]) -> Value {
    const LISTS: [&str; 4] = ["emails", "phones", "addresses", "urls"];
    const TEXTS: [&str; 3] = ["roles", "categories", "organization.units"];
    if LISTS.contains(&path) {
        return objects(path, leaves);
    }
    let mut values = leaves.iter().map(|leaf| scalar(&leaf.value));
    match leaves.len() {
        _ if TEXTS.contains(&path) => values.collect(),
        0 => Value::Null,
        1 => values.next().unwrap_or(Value::Null),
        _ => values.collect(),
    }
}

/// A list of objects.
fn objects(list: &str, leaves: &[Leaf]) -> Value {
    let mut objects: Vec<(u16, Map<String, Value>)> = Vec::new();
    for leaf in leaves {
        let path = leaf.path.name();
        let Some(member) = path.strip_prefix(list).and_then(|rest| rest.strip_prefix('.')) else { continue };
        if !objects.iter().any(|(index, _)| *index == leaf.index) {
            objects.push((leaf.index, Map::new()));
        }
        let Some((_, object)) = objects.iter_mut().find(|(index, _)| *index == leaf.index) else { continue };
        let value = scalar(&leaf.value);
        match (member, object.get_mut(member)) {
            ("types", Some(Value::Array(types))) => types.push(value),
            ("types", _) => drop(object.insert(member.into(), Value::Array(vec![value]))),
            _ => drop(object.insert(member.into(), value)),
        }
    }
    objects.sort_by_key(|(index, _)| *index);
    objects.into_iter().map(|(_, object)| Value::Object(object)).collect()
}

fn scalar(value: &Scalar) -> Value {
    match value {
        Scalar::Text(text) => Value::String(text.clone()),
        Scalar::Bool(yes) => Value::Bool(*yes),
        Scalar::Number(number) => number.parse().map_or(Value::Null, Value::Number),
        Scalar::Time(at) => Timestamp::from_microsecond(*at).map_or(Value::Null, |at| at.to_string().into()),
        Scalar::Account(id) => id.to_string().into(),
        Scalar::Contact(id) => id.to_string().into(),
        Scalar::Book(id) => id.to_string().into(),
    }
}

/// An entry and its place in the history.
type Placed = (usize, office::HistoryEntry);

const HISTORY: Order<Placed> = Order {
    id: |(place, _)| u128::try_from(*place).unwrap_or(u128::MAX).to_be_bytes(),
    fields: &[("at", |(place, _)| Key::Number(i64::try_from(*place).unwrap_or(i64::MAX)))],
};

/// `GET /contacts/{id}/history`
pub async fn history(ask: &Ask) -> Outcome {
    let view = match named(ask, "history").await? {
        Ok(view) => view,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let own = ask.query.switch("own")?;
    if view.fields.kind == contact::Kind::Org && !own {
        return of_company(ask, &view).await;
    }
    let asked = Asked::of(&ask.query, &HISTORY)?;
    let entries = ask.service.contact_history(&view).await?;
    let page = asked.piece(entries.into_iter().enumerate().collect(), &HISTORY);
    Ok(Reply::json(&page.map(|(_, entry)| HistoryEntry::from(entry)))?)
}

/// A state that a contact was in.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
pub struct VersionShown {
    /// Its name.
    version: String,
    /// Since when it was so.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who made it so.
    actor: Option<String>,
    /// With which client.
    client: Option<String>,
}

const VERSIONS: Order<(usize, office::Version)> = Order {
    id: |(place, _)| u128::try_from(*place).unwrap_or(u128::MAX).to_be_bytes(),
    fields: &[("at", |(place, _)| Key::Number(i64::try_from(*place).unwrap_or(i64::MAX)))],
};

/// `GET /contacts/{id}/versions`
pub async fn versions(ask: &Ask) -> Outcome {
    let view = match named(ask, "versions").await? {
        Ok(view) => view,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let asked = Asked::of(&ask.query, &VERSIONS)?;
    let versions = ask.service.contact_versions(&view).await?;
    let page = asked.piece(versions.into_iter().enumerate().collect(), &VERSIONS);
    Ok(Reply::json(&page.map(|(_, version)| VersionShown {
        version: format!("{}.{}", version.version.0, version.version.1),
        at: version.at,
        actor: version.actor,
        client: version.client,
    }))?)
}

/// What is to come back: without a version, a contact from the trash.
#[derive(ToSchema)]
pub struct Restore {
    /// The state, as `/versions` names it.
    #[schema(value_type = Option<String>)]
    version: Option<(u64, u64)>,
    /// The one field that comes back; all of them where this is left out.
    field: Option<String>,
    /// The book into which a contact comes back from the trash.
    book: Option<String>,
}

impl Read for Restore {
    fn read(fields: &mut Fields) -> Self {
        let version = |text: &str| {
            let parts = text
                .split_once('.')
                .and_then(|(card, record)| Some((card.parse().ok()?, record.parse().ok()?)));
            parts.ok_or_else(|| "write a version as /versions names it".to_owned())
        };
        let (version, field) = (fields.optional("version", version), fields.line("field"));
        if field.is_some() && version.is_none() {
            fields.wrong("field", "say from which version");
        }
        Self { version, field, book: fields.line("book") }
    }
}

/// `POST /contacts/{id}/restore`
pub async fn restore(ask: &Ask) -> Outcome {
    let Restore { version, field, book } = match ask.body.is_empty() {
        true => Restore { version: None, field: None, book: None },
        false => ask.body()?,
    };
    let Some(version) = version else {
        let id = ContactRef::parse(ask.param(0)).ok_or(Refusal::NotFound)?;
        let trashed = match ask.service.trashed_contact(&ask.caller, id).await {
            // What is not in the trash and is there has nothing to come back from.
            Err(Stop::Refused(Refusal::NotFound)) => {
                return match ask.service.contact(&ask.caller, id).await? {
                    Found::There(_) => {
                        Err(Refusal::Conflict("the contact is not in the trash".into()).into())
                    }
                    Found::Merged(_) => {
                        Err(Refusal::Conflict("the contact was merged, and does not come back".into()).into())
                    }
                };
            }
            found => found?,
        };
        return shown(&ask.service.restore_contact(&ask.caller, &trashed, book.as_deref()).await?);
    };
    for _ in 0..ROUNDS {
        let view = match named(ask, "restore").await? {
            Ok(view) => view,
            Err(elsewhere) => return Ok(elsewhere),
        };
        ask.when(&shown(&view)?)?;
        match ask.service.restore_version(&ask.caller, &view, version, field.as_deref()).await {
            Err(Stop::Refused(Refusal::Unmet)) => {}
            done => return shown(&done?),
        }
    }
    Err(moved())
}
