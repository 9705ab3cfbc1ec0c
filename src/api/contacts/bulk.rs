//! Changing many contacts: a job, or a preview of it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::scim::{Filter, Query as Words};
use crate::service::jobs::Work;
use crate::service::office::{ContactRef, ContactView, Draft, Meant, NAMED, Patches};
use crate::service::refusal::Refusal;

use super::super::body::{Fields, Read, patched, read_object};
use super::super::jobs::{Job, Refused};
use super::super::problem::{Kind, Problem};
use super::super::reply::Reply;
use super::super::{Ask, Outcome};
use super::bodies::contact;
use super::shape::Contact;
use super::writable::WriteContact;
use super::written::{WRITABLE, Written};

/// Which contacts, and what is to be done with them.
#[derive(ToSchema)]
pub struct Bulk {
    /// Those that a filter matches.
    #[schema(value_type = Option<String>)]
    filter: Option<String>,
    /// Those that have these words.
    q: Option<String>,
    /// These, by number or id.
    #[schema(value_type = Option<Vec<String>>)]
    ids: Option<Vec<ContactRef>>,
    /// `update`, `delete`, `move` or `tag`.
    #[schema(value_type = String)]
    action: Option<Action>,
    /// For `update`: a merge patch (RFC 7396).
    #[schema(value_type = Option<WriteContact>)]
    set: Option<Vec<u8>>,
    /// For `move`: the book, as `OWNER/NAME`.
    book: Option<String>,
    /// For `tag`: categories that they get.
    #[schema(value_type = Option<Vec<String>>)]
    add: Vec<String>,
    /// For `tag`: categories that they lose.
    #[schema(value_type = Option<Vec<String>>)]
    remove: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Update,
    Delete,
    Move,
    Tag,
}

fn action(word: &str) -> Result<Action, String> {
    Ok(match word {
        "update" => Action::Update,
        "delete" => Action::Delete,
        "move" => Action::Move,
        "tag" => Action::Tag,
        "erase" | "anonymize" => return Err("many contacts are not erased or anonymised at once yet".into()),
        _ => return Err("this must be update, delete, move or tag".into()),
    })
}

impl Read for Bulk {
    fn read(fields: &mut Fields) -> Self {
        let (filter, q) = (fields.long_text("filter", 16 << 10), fields.line("q"));
        let ids = fields.is_list("ids").then(|| fields.list("ids", contact));
        match (&ids, filter.is_some() || q.is_some()) {
            (None, false) => fields.wrong("ids", "say which contacts: by filter, q or ids"),
            (Some(_), true) => {
                fields.wrong("ids", "say which contacts by filter and q, or by ids, not by both")
            }
            (Some(ids), _) if ids.len() > NAMED => {
                fields.wrong("ids", format!("name at most {NAMED} contacts; use a filter"));
            }
            _ => {}
        }
        let action = fields.parsed("action", action);
        let mut only = |name: &str, of: Action| {
            if action != Some(of) && fields.value(name).is_some() {
                fields.wrong(name, "this field belongs to another action");
            }
        };
        only("set", Action::Update);
        only("book", Action::Move);
        only("add", Action::Tag);
        only("remove", Action::Tag);
        let text = |text: &str| Ok(text.to_owned());
        let set = match action {
            Some(Action::Update) => match fields.value("set") {
                Some(Value::Object(patch)) => serde_json::to_vec(&patch).ok(),
                _ => {
                    fields.wrong("set", "say what is to be set: an object");
                    None
                }
            },
            _ => None,
        };
        let book = match action {
            Some(Action::Move) => fields.parsed("book", |book| Ok(book.to_owned())),
            _ => None,
        };
        let (add, remove) = (fields.list("add", text), fields.list("remove", text));
        if action == Some(Action::Tag) && add.is_empty() && remove.is_empty() {
            fields.wrong("add", "say which categories they get or lose");
        }
        Self { filter, q, ids, action, set, book, add, remove }
    }
}

/// What would become of contacts.
#[derive(Serialize, ToSchema)]
pub struct BulkPreview {
    /// How many are meant.
    total: usize,
    /// Some of them as they would be.
    items: Vec<Contact>,
    /// Those among these with which it does not go.
    refused: Vec<Refused>,
}

/// `POST /contacts/bulk`
pub async fn bulk(ask: &Ask) -> Outcome {
    let preview = ask.query.switch("preview")?;
    let body: Bulk = ask.body()?;
    let wrong = |pointer: &str, text: String| Problem::wrong(vec![(pointer.into(), text)]);
    let meant = match body.ids {
        Some(ids) => Meant::These(ids),
        None => {
            let filter = body.filter.as_deref().map(Filter::parse).transpose();
            let filter =
                filter.map_err(|error| Problem::at(Kind::Unreadable, "/filter", error.to_string()))?;
            let words = match body.q.as_deref().map(Words::parse) {
                Some(None) => return Err(wrong("/q", "there is nothing to look for".into()).into()),
                words => words.flatten(),
            };
            Meant::Matching(filter, words)
        }
    };
    let work = match (body.action, body.set, body.book) {
        (Some(Action::Update), Some(patch), _) => Work::Update { patch },
        (Some(Action::Delete), ..) => Work::Delete,
        (Some(Action::Tag), ..) => Work::Tag { add: body.add, remove: body.remove },
        (Some(Action::Move), _, Some(book)) => {
            let book = ask.service.book_address(&book).await?;
            Work::Move { book: book.ok_or_else(|| wrong("/book", "there is no such book".into()))? }
        }
        _ => return Err(wrong("/action", "this field must be there".into()).into()),
    };
    needed(ask, &work)?;
    let ids = ask.service.meant_contacts(&ask.caller, meant).await?;
    if preview {
        let preview = ask.service.preview_bulk(&ask.caller, &work, &ids).await?;
        let refused = preview.refused.into_iter().map(|(id, reason)| Refused::new(id, reason));
        return Ok(Reply::json(&BulkPreview {
            total: preview.total,
            items: preview.contacts.iter().map(Contact::from).collect(),
            refused: refused.collect(),
        })?);
    }
    let job = ask.service.start_bulk(&ask.caller, &work, ids).await?;
    let place = ask.place("jobs", &[&job.id.to_string()]);
    Ok(Reply::accepted(&Job::from(&job), place)?)
}

/// Refuses a token that is not for that.
fn needed(ask: &Ask, work: &Work) -> Result<(), Refusal> {
    use crate::domain::permission::Permission;
    match work {
        Work::Delete => ask.caller.need_scope(Permission::ContactsDelete),
        Work::Move { .. } => ask
            .caller
            .need_scope(Permission::ContactsDelete)
            .and_then(|()| ask.caller.need_scope(Permission::ContactsWrite)),
        Work::Update { .. } | Work::Tag { .. } => ask.caller.need_scope(Permission::ContactsWrite),
    }
}

/// Merge patches of contacts, for jobs.
pub struct JsonPatches;

impl Patches for JsonPatches {
    fn draft(&self, shown: &ContactView, patch: &[u8]) -> Result<Draft, Refusal> {
        let unreadable = || Refusal::Conflict("the change cannot be read".into());
        let shown = serde_json::to_value(Contact::from(shown)).map_err(|_| unreadable())?;
        let Ok(Value::Object(patch)) = serde_json::from_slice(patch) else { return Err(unreadable()) };
        let merged = patched(&shown, patch, &WRITABLE).map_err(Problem::refusal)?;
        let Written(draft) = read_object(merged).map_err(Problem::refusal)?;
        Ok(draft)
    }
}
