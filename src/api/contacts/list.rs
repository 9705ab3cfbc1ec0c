//! Lists of contacts, by filter and full text; who is calling; who may be the same.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::contact::Path;
use crate::domain::duplicates::Reason;
use crate::domain::id::ContactId;
use crate::domain::scim::{Filter, Query as Words};
use crate::service::office::{By, ContactRef, Found, Listed, Order, Step};
use crate::service::refusal::Refusal;

use super::super::body::{Fields, Read};
use super::super::page::{Cursor, Page, limit};
use super::super::problem::{Kind, Problem, Trouble};
use super::super::reply::Reply;
use super::super::{Ask, Outcome};
use super::bodies::contact;
use super::shape::Contact;

/// The most levels of an order.
const LEVELS: usize = 4;

/// The most pairs of contacts that are told to be alike.
const PAIRS: usize = 10_000;

/// What is asked for, from the query of a request.
fn asked(ask: &Ask, trash: bool) -> Result<(Listed, u32), Problem> {
    let wrong = |name: &str, text: String| Problem::parameter(Kind::Unreadable, name, text);
    let filter = match ask.query.get("filter") {
        None => None,
        Some(text) => {
            let filter = Filter::parse(text);
            Some(filter.map_err(|error| wrong("filter", error.to_string()))?)
        }
    };
    let query = match ask.query.get("q") {
        None => None,
        Some(text) => {
            Some(Words::parse(text).ok_or_else(|| wrong("q", "there is nothing to look for".into()))?)
        }
    };
    let order = match ask.query.get("sort") {
        None => Vec::new(),
        Some(text) => order(text)?,
    };
    let of = list_number(ask);
    let step = match ask.query.get("cursor") {
        None => None,
        Some(text) => {
            let cursor = text.split_once('.').and_then(|(cursor, mark)| {
                let cursor = Cursor::parse(cursor).filter(|cursor| cursor.sort == of)?;
                Some((cursor, u64::from_str_radix(mark, 16).ok()?))
            });
            let cursor = cursor.ok_or_else(|| wrong("cursor", "this is no cursor of this list".into()));
            let (cursor, mark) = cursor?;
            let at = usize::try_from(cursor.at).unwrap_or(usize::MAX);
            Some(Step { after: ContactId::from_bytes(cursor.id), at, mark })
        }
    };
    Ok((Listed { filter, query, order, step, limit: limit(&ask.query)?, trash }, of))
}

/// A number for what is asked for, so that a cursor is not taken for one of another list.
fn list_number(ask: &Ask) -> u32 {
    let mut hasher = blake3::Hasher::new();
    for name in ["filter", "q", "sort"] {
        let text = ask.query.get(name).unwrap_or_default();
        hasher.update(&u64::try_from(text.len()).unwrap_or(0).to_be_bytes()).update(text.as_bytes());
    }
    let hash = hasher.finalize();
    hash.as_bytes().first_chunk::<4>().copied().map_or(0, u32::from_be_bytes)
}

fn order(text: &str) -> Result<Vec<Order>, Problem> {
    let wrong = |text: &str| Problem::parameter(Kind::Unreadable, "sort", text);
    let mut levels = Vec::new();
    for word in text.split(',') {
        if levels.len() == LEVELS {
            return Err(wrong("a list is sorted by at most four fields"));
        }
        let word = word.trim();
        let (name, descending) = word.strip_prefix('-').map_or((word, false), |name| (name, true));
        let by = match name {
            "number" => By::Number,
            "created_at" => By::Created,
            "updated_at" => By::Updated,
            "name" => By::Path(Path::parse("name.formatted").ok_or_else(|| wrong("there is no such field"))?),
            name => By::Path(Path::parse(name).ok_or_else(|| wrong("there is no such field"))?),
        };
        levels.push(Order { by, descending });
    }
    Ok(levels)
}

async fn page(ask: &Ask, trash: bool) -> Outcome {
    let (listed, of) = asked(ask, trash)?;
    let found = ask.service.list_contacts(&ask.caller, listed).await?;
    let next_cursor = found.next.map(|step| {
        let at = u32::try_from(step.at).unwrap_or(u32::MAX);
        let cursor = Cursor { sort: of, at, id: *step.after.as_bytes() };
        format!("{}.{:x}", cursor.written(), step.mark)
    });
    let items = found.contacts.iter().map(Contact::from).collect();
    Ok(Reply::json(&Page { items, next_cursor, total: found.total })?)
}

/// `GET /contacts`
pub async fn list(ask: &Ask) -> Outcome {
    page(ask, false).await
}

/// `GET /contacts/trash`
pub async fn trash(ask: &Ask) -> Outcome {
    page(ask, true).await
}

/// `GET /lookup`
pub async fn lookup(ask: &Ask) -> Outcome {
    let found = match (ask.query.get("phone"), ask.query.get("email")) {
        (Some(phone), None) => ask.service.contacts_by_phone(&ask.caller, phone).await?,
        (None, Some(email)) => ask.service.contacts_by_email(&ask.caller, email).await?,
        _ => return Err(Problem::new(Kind::Unreadable, "ask for phone or for email").into()),
    };
    let items: Vec<_> = found.iter().map(Contact::from).collect();
    let total = items.len();
    Ok(Reply::json(&Page { items, next_cursor: None, total })?)
}

/// Two contacts that may be the same.
#[derive(Serialize, ToSchema)]
#[schema(as = DuplicatePair)]
pub struct Pair {
    /// Their ids.
    ids: [String; 2],
    /// How likely that is, from 0 to 1.
    score: f64,
    /// Why: `email`, `phone`, `name`, `company`.
    reasons: Vec<&'static str>,
}

/// `GET /contacts/duplicates`
pub async fn duplicates(ask: &Ask) -> Outcome {
    let limit = limit(&ask.query)?;
    let of = list_number(ask);
    let start = match ask.query.get("cursor") {
        None => 0,
        Some(text) => {
            let cursor = Cursor::parse(text).filter(|cursor| cursor.sort == of && cursor.id == [0; 16]);
            let wrong = || Problem::parameter(Kind::Unreadable, "cursor", "this is no cursor of this list");
            usize::try_from(cursor.ok_or_else(wrong)?.at).unwrap_or(usize::MAX)
        }
    };
    let pairs = ask.service.duplicate_pairs(&ask.caller, PAIRS).await?;
    let total = pairs.len();
    let shown = pairs.into_iter().skip(start).take(limit).map(|pair| Pair {
        ids: [pair.ids.0.to_string(), pair.ids.1.to_string()],
        score: pair.score,
        reasons: pair.reasons.iter().map(|reason| word(*reason)).collect(),
    });
    let items: Vec<_> = shown.collect();
    let end = start.saturating_add(items.len());
    let next_cursor = (end < total && !items.is_empty()).then(|| {
        let at = u32::try_from(end).unwrap_or(u32::MAX);
        Cursor { sort: of, at, id: [0; 16] }.written()
    });
    Ok(Reply::json(&Page { items, next_cursor, total })?)
}

fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Email => "email",
        Reason::Phone => "phone",
        Reason::Name => "name",
        Reason::Company => "company",
    }
}

/// Two contacts that look alike and are others.
#[derive(ToSchema)]
pub struct NotDuplicates {
    /// Their ids or numbers.
    #[schema(value_type = Vec<String>)]
    ids: Vec<ContactRef>,
}

impl Read for NotDuplicates {
    fn read(fields: &mut Fields) -> Self {
        let ids = fields.list("ids", contact);
        if ids.len() != 2 {
            fields.wrong("ids", "name two contacts");
        }
        Self { ids }
    }
}

/// `POST /contacts/duplicates`
pub async fn not_duplicates(ask: &Ask) -> Outcome {
    let NotDuplicates { ids } = ask.body()?;
    let [one, other] = ids.as_slice() else { return Err(Refusal::NotFound.into()) };
    let one = there(ask, *one, "/ids/0").await?;
    let other = there(ask, *other, "/ids/1").await?;
    ask.service.not_duplicates(&ask.caller, [&one, &other]).await?;
    Ok(Reply::gone())
}

/// A contact that a body names.
pub async fn there(
    ask: &Ask,
    named: ContactRef,
    pointer: &str,
) -> Result<crate::service::office::ContactView, Trouble> {
    use crate::service::refusal::Stop;
    match ask.service.contact(&ask.caller, named).await {
        Ok(Found::There(view)) => Ok(*view),
        Ok(Found::Merged(_)) | Err(Stop::Refused(Refusal::NotFound)) => {
            Err(Problem::wrong(vec![(pointer.into(), "there is no such contact".into())]).into())
        }
        Err(stop) => Err(stop.into()),
    }
}

/// How many contacts there are.
#[derive(Serialize, ToSchema)]
pub struct Stats {
    /// In all.
    contacts: u64,
    /// By kind.
    kinds: std::collections::BTreeMap<String, u64>,
    /// By stage.
    stages: std::collections::BTreeMap<String, u64>,
    /// By role.
    roles: std::collections::BTreeMap<String, u64>,
    /// By where they come from.
    sources: std::collections::BTreeMap<String, u64>,
    /// By what came of writing to their addresses.
    addresses: std::collections::BTreeMap<String, u64>,
}

/// `GET /stats`
pub async fn stats(ask: &Ask) -> Outcome {
    let paths = ["kind", "stage", "roles", "privacy.source", "emails.status.state"];
    let counts = ask.service.contact_counts(&ask.caller, &paths).await?;
    let mut counts = counts.into_iter().map(|counts| counts.into_iter().collect());
    let mut next = || counts.next().unwrap_or_default();
    let kinds: std::collections::BTreeMap<String, u64> = next();
    let (stages, roles, sources, addresses) = (next(), next(), next(), next());
    Ok(Reply::json(&Stats { contacts: kinds.values().sum(), kinds, stages, roles, sources, addresses })?)
}
