//! `/filters`: saved filters.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::scim;
use crate::service::definitions::filters::{FilterFields, Saved};
use crate::service::refusal::Refusal;

use super::body::{Fields, Read, read_object};
use super::page::{Asked, Key, Order};
use super::reply::Reply;
use super::{Ask, Outcome, ROUNDS, Trouble, moved, there};

/// A saved filter.
#[derive(Serialize, ToSchema)]
pub struct SavedFilter {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// Its name.
    name: String,
    /// The filter, as `filter` of `/contacts` takes it; empty where `q` alone finds contacts.
    filter: String,
    /// The words that are looked for in all texts, as `q` of `/contacts` takes them.
    q: Option<String>,
    /// Everybody may use it.
    shared: bool,
    /// The user whose it is.
    owner: Option<String>,
    /// When it was saved.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A filter that is to be saved, or what may be changed of one.
#[derive(ToSchema)]
pub struct NewFilter {
    /// Its name; yours all have different ones.
    #[schema(value_type = String)]
    name: Option<String>,
    /// The filter, as `filter` of `/contacts` takes it.
    filter: Option<String>,
    /// Words to look for in all texts; without a filter there must be some.
    q: Option<String>,
    /// Everybody may use it.
    #[schema(value_type = Option<bool>)]
    shared: bool,
}

const WRITABLE: [&str; 4] = ["name", "filter", "q", "shared"];

/// The longest name, in octets.
const LONGEST: usize = 200;

impl Read for NewFilter {
    fn read(fields: &mut Fields) -> Self {
        Self {
            name: fields.label("name", LONGEST),
            filter: fields.long_text("filter", scim::LONGEST),
            q: fields.line("q"),
            shared: fields.switch("shared", Some(false)),
        }
    }
}

impl NewFilter {
    fn fields(self) -> Result<FilterFields, Trouble> {
        Ok(FilterFields {
            name: there(self.name)?,
            filter: self.filter.unwrap_or_default(),
            q: self.q.unwrap_or_default(),
            shared: self.shared,
        })
    }
}

impl From<&Saved> for SavedFilter {
    fn from(saved: &Saved) -> Self {
        let filter = &saved.filter;
        let FilterFields { name, filter: text, q, shared } = filter.fields.clone();
        Self {
            id: filter.id.to_string(),
            name,
            filter: text,
            q: Some(q).filter(|q| !q.is_empty()),
            shared,
            owner: saved.owner.clone(),
            created_at: filter.created,
        }
    }
}

const ORDER: Order<Saved> = Order {
    id: |saved| saved.filter.id.into_bytes(),
    fields: &[
        ("name", |saved| Key::text(&saved.filter.fields.name)),
        ("owner", |saved| Key::text(saved.owner.as_deref().unwrap_or_default())),
        ("created_at", |saved| Key::Number(saved.filter.created.as_microsecond())),
    ],
};

/// `GET /filters`
pub async fn list(ask: &Ask) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let page = asked.piece(ask.service.filters(&ask.caller).await?, &ORDER);
    Ok(Reply::json(&page.map(|saved| SavedFilter::from(&saved)))?)
}

/// `POST /filters`
pub async fn create(ask: &Ask) -> Outcome {
    let new: NewFilter = ask.body()?;
    let saved = ask.service.create_filter(&ask.caller, new.fields()?).await?;
    let place = ask.place("filters", &[&saved.filter.id.to_string()]);
    Ok(Reply::created(&SavedFilter::from(&saved), place)?)
}

/// `GET /filters/{id}`
pub async fn show(ask: &Ask) -> Outcome {
    Ok(Reply::resource(&SavedFilter::from(&named(ask).await?))?)
}

/// `PATCH /filters/{id}`
pub async fn change(ask: &Ask) -> Outcome {
    for _ in 0..ROUNDS {
        let saved = named(ask).await?;
        let shown = Reply::resource(&SavedFilter::from(&saved))?;
        ask.when(&shown)?;
        let fields = read_object::<NewFilter>(ask.patched(&shown, &WRITABLE)?)?.fields()?;
        if ask.service.change_filter(&ask.caller, &saved.filter, fields.clone()).await? {
            // Another's that is no longer shared cannot be looked at again.
            let mut saved = saved;
            saved.filter.fields = fields;
            return Ok(Reply::resource(&SavedFilter::from(&saved))?);
        }
    }
    Err(moved())
}

/// `DELETE /filters/{id}`
pub async fn remove(ask: &Ask) -> Outcome {
    let saved = named(ask).await?;
    ask.when(&Reply::resource(&SavedFilter::from(&saved))?)?;
    ask.service.remove_filter(&ask.caller, &saved.filter).await?;
    Ok(Reply::gone())
}

async fn named(ask: &Ask) -> Result<Saved, Trouble> {
    let id = Uuid::try_parse(ask.param(0)).map_err(|_| Refusal::NotFound)?;
    Ok(ask.service.filter(&ask.caller, id).await?)
}
