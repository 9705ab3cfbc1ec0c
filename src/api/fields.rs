//! `/fields`: the own fields of contacts.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::id::{CollectionId, CollectionKind, MemberName};
use crate::domain::permission::Permission;
use crate::service::definitions::{self, FieldKind, Kind};
use crate::service::refusal::{Refusal, Stop};

use super::body::{Fields, Read, read_object};
use super::page::{Asked, Key, Order};
use super::problem::Problem;
use super::reply::Reply;
use super::{Ask, Outcome, ROUNDS, Trouble, books, moved, there};

/// A field.
#[derive(Serialize, ToSchema)]
pub struct Field {
    /// What contacts have it under in `custom`; it never changes.
    key: String,
    /// `text`, `number`, `date`, `choice`, `multi-choice`, `yes-no` or `link`; it never changes.
    r#type: &'static str,
    /// What people read.
    label: String,
    /// The kinds of contacts that have it: `individual`, `org`, `group`; none are all.
    applies_to: Vec<&'static str>,
    /// The books whose contacts have it, as `OWNER/NAME`; none are all. One that you may not see is
    /// told by its id.
    books: Vec<String>,
    /// Under which heading it is shown.
    section: String,
    /// Where among those of its section.
    order: i64,
    /// It must be there when a contact is made, and when its own fields are changed.
    required: bool,
    /// What may be chosen, in this order.
    options: Vec<String>,
    /// It is about a person.
    personal: bool,
    /// It is of a special category (Art. 9 GDPR).
    sensitive: bool,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A field that is to be added.
#[derive(ToSchema)]
pub struct NewField {
    /// What contacts have it under in `custom`: a-z first, then a-z, 0-9 and _, at most 64.
    #[schema(value_type = String)]
    key: Option<String>,
    /// `text`, `number`, `date`, `choice`, `multi-choice`, `yes-no` or `link`.
    #[schema(value_type = String)]
    r#type: Option<FieldKind>,
    #[serde(flatten)]
    #[schema(inline)]
    fields: PatchField,
}

/// What may be changed of a field.
#[derive(ToSchema)]
pub struct PatchField {
    /// What people read, in one line.
    #[schema(value_type = String)]
    label: Option<String>,
    /// The kinds of contacts that have it: `individual`, `org`, `group`; none are all.
    #[schema(value_type = Option<Vec<String>>)]
    applies_to: Vec<Kind>,
    /// The books whose contacts have it, as `OWNER/NAME`; none are all.
    #[schema(value_type = Option<Vec<String>>)]
    books: Vec<String>,
    /// Under which heading it is shown.
    section: Option<String>,
    /// Where among those of its section; 0 where left out.
    #[schema(value_type = Option<i64>)]
    order: i64,
    /// It must be there when a contact is made, and when its own fields are changed.
    #[schema(value_type = Option<bool>)]
    required: bool,
    /// What may be chosen, in this order; for `choice` and `multi-choice` only.
    #[schema(value_type = Option<Vec<String>>)]
    options: Vec<String>,
    /// It is about a person; true where left out.
    #[schema(value_type = Option<bool>)]
    personal: bool,
    /// It is of a special category (Art. 9 GDPR).
    #[schema(value_type = Option<bool>)]
    sensitive: bool,
}

const WRITABLE: [&str; 9] =
    ["label", "applies_to", "books", "section", "order", "required", "options", "personal", "sensitive"];

/// Every type with its word; the first of a type is the one that is told.
const TYPES: [(&str, FieldKind); 10] = [
    ("text", FieldKind::Text),
    ("number", FieldKind::Number),
    ("date", FieldKind::Date),
    ("choice", FieldKind::Choice),
    ("multi-choice", FieldKind::MultiChoice),
    ("yes-no", FieldKind::YesNo),
    ("link", FieldKind::Link),
    ("multi_choice", FieldKind::MultiChoice),
    ("yes_no", FieldKind::YesNo),
    ("boolean", FieldKind::YesNo),
];

/// The longest label, in octets.
const LONGEST: usize = 200;

fn kind_of_field(word: &str) -> Result<FieldKind, String> {
    let found = TYPES.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
    found.ok_or_else(|| "a field is text, number, date, choice, multi-choice, yes-no or link".to_owned())
}

fn kind_of_contact(word: &str) -> Result<Kind, String> {
    let found = [Kind::Individual, Kind::Org, Kind::Group].into_iter().find(|kind| kind.word() == word);
    found.ok_or_else(|| "a contact is individual, org or group".to_owned())
}

impl Read for PatchField {
    fn read(fields: &mut Fields) -> Self {
        Self {
            label: fields.label("label", LONGEST),
            applies_to: fields.list("applies_to", kind_of_contact),
            books: fields.list("books", |book| Ok(book.to_owned())),
            section: fields.line("section"),
            order: fields.integer("order").unwrap_or(0),
            required: fields.switch("required", Some(false)),
            options: fields.list("options", |option| Ok(option.to_owned())),
            personal: fields.switch("personal", Some(true)),
            sensitive: fields.switch("sensitive", Some(false)),
        }
    }
}

impl Read for NewField {
    fn read(fields: &mut Fields) -> Self {
        let key = fields.parsed("key", |key| Ok(key.to_owned()));
        Self { key, r#type: fields.parsed("type", kind_of_field), fields: PatchField::read(fields) }
    }
}

/// A field with its books as the caller knows them.
struct Known {
    field: definitions::Field,
    books: Vec<String>,
}

const ORDER: Order<Known> = Order {
    id: |known| super::id_of(&known.field.key),
    fields: &[
        ("place", |known| Key::placed(&known.field.section, known.field.order, &known.field.key)),
        ("key", |known| Key::text(&known.field.key)),
        ("label", |known| Key::text(&known.field.label)),
        ("created_at", |known| Key::Number(known.field.created)),
    ],
};

impl From<&Known> for Field {
    fn from(known: &Known) -> Self {
        let field = known.field.clone();
        Self {
            r#type: TYPES.iter().find(|(_, kind)| *kind == field.kind).map_or("text", |(word, _)| word),
            key: field.key,
            label: field.label,
            applies_to: field.applies_to.iter().map(|kind| kind.word()).collect(),
            books: known.books.clone(),
            section: field.section,
            order: field.order,
            required: field.required,
            options: field.options,
            personal: field.personal,
            sensitive: field.sensitive,
            created_at: Timestamp::from_microsecond(field.created).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

/// The fields with their books; one that is for books alone of which the caller sees none is none of
/// theirs, unless they may change it.
async fn known(ask: &Ask, fields: Vec<definitions::Field>) -> Result<Vec<Known>, Trouble> {
    let mut names: HashMap<CollectionId, String> = HashMap::new();
    if fields.iter().any(|field| !field.books.is_empty()) {
        let library = ask.service.library(&ask.caller, CollectionKind::AddressBook).await?;
        names.extend(
            library.iter().map(|book| (book.id, format!("{}/{}", book.owner.written(), book.name.as_str()))),
        );
    }
    let changes = ask.caller.permissions.has(Permission::Settings);
    let mut seen = Vec::with_capacity(fields.len());
    for field in fields {
        let name =
            |book: &CollectionId| names.get(book).cloned().or_else(|| changes.then(|| book.to_string()));
        let mut books: Vec<_> = field.books.iter().filter_map(name).collect();
        books.sort_unstable();
        if field.books.is_empty() || !books.is_empty() {
            seen.push(Known { field, books });
        }
    }
    Ok(seen)
}

/// `GET /fields`
pub async fn list(ask: &Ask) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let fields = ask.service.laid_down().await?.fields.clone();
    let page = asked.piece(known(ask, fields).await?, &ORDER);
    Ok(Reply::json(&page.map(|known| Field::from(&known)))?)
}

/// `POST /fields`
pub async fn create(ask: &Ask) -> Outcome {
    let NewField { key, r#type, fields } = ask.body()?;
    let blank = definitions::Field { key: there(key)?, kind: there(r#type)?, ..Default::default() };
    let field = meant(ask, fields, blank).await?;
    let field = ask.service.create_field(&ask.caller, field).await?;
    let place = ask.place("fields", &[&field.key]);
    let shown = known(ask, vec![field]).await?;
    Ok(Reply::created(&Field::from(shown.first().ok_or(Refusal::NotFound)?), place)?)
}

/// `GET /fields/{key}`
pub async fn show(ask: &Ask) -> Outcome {
    Ok(Reply::resource(&Field::from(&named(ask).await?))?)
}

/// `PATCH /fields/{key}`
pub async fn change(ask: &Ask) -> Outcome {
    for _ in 0..ROUNDS {
        let before = named(ask).await?;
        let shown = Reply::resource(&Field::from(&before))?;
        ask.when(&shown)?;
        let fields: PatchField = read_object(ask.patched(&shown, &WRITABLE)?)?;
        let after = meant(ask, fields, before.field.clone()).await?;
        if ask.service.change_field(&ask.caller, &before.field, after).await? {
            return show(ask).await;
        }
    }
    Err(moved())
}

/// `DELETE /fields/{key}`
pub async fn remove(ask: &Ask) -> Outcome {
    let known = named(ask).await?;
    ask.when(&Reply::resource(&Field::from(&known))?)?;
    ask.service.remove_field(&ask.caller, &known.field).await?;
    Ok(Reply::gone())
}

async fn named(ask: &Ask) -> Result<Known, Trouble> {
    let field = ask.service.field(ask.param(0)).await?;
    let found = known(ask, vec![field]).await?.pop();
    Ok(found.ok_or(Refusal::NotFound)?)
}

/// The field as the body says, of the key and the type of `of`.
async fn meant(ask: &Ask, fields: PatchField, of: definitions::Field) -> Result<definitions::Field, Trouble> {
    let mut chosen = Vec::with_capacity(fields.books.len());
    for (at, text) in fields.books.iter().enumerate() {
        // What cannot be named stays where it is.
        if let Some(id) = of.books.iter().find(|id| id.to_string() == *text) {
            chosen.push(*id);
            continue;
        }
        chosen.push(book(ask, text).await?.ok_or_else(|| {
            let text = "there is no book of that name; write OWNER/NAME".to_owned();
            Problem::wrong(vec![(format!("/books/{at}"), text)])
        })?);
    }
    Ok(definitions::Field {
        label: there(fields.label)?,
        applies_to: fields.applies_to,
        books: chosen,
        section: fields.section.unwrap_or_default(),
        order: fields.order,
        required: fields.required,
        options: fields.options,
        personal: fields.personal,
        sensitive: fields.sensitive,
        ..of
    })
}

async fn book(ask: &Ask, text: &str) -> Result<Option<CollectionId>, Trouble> {
    let Some((owner, name)) = text.split_once('/') else { return Ok(None) };
    let (Ok(owner), Ok(name)) = (books::owner(owner), MemberName::parse(name)) else { return Ok(None) };
    match ask.service.library_book(&ask.caller, CollectionKind::AddressBook, &owner, &name).await {
        Ok(book) => Ok(Some(book.id)),
        Err(Stop::Refused(Refusal::NotFound)) => Ok(None),
        Err(stop) => Err(stop.into()),
    }
}
