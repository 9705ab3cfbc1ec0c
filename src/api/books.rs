//! `/books`: address books by their owner's name and their own; and what `/calendars` does as `/books`
//! does it, which is all but making one.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::ical::Components;
use crate::domain::id::{CollectionKind, GroupName, MemberName, Principal, UserName};
use crate::domain::scim;
use crate::service::definitions::filters::Serves;
use crate::service::library::{BookView, NewBook as Wanted};
use crate::service::refusal::Refusal;
use crate::service::sharing;

use super::body::{Fields, Read, read_object};
use super::calendars::Calendar;
use super::page::{Asked, Key, Order};
use super::problem::Problem;
use super::reply::Reply;
use super::shares::Share;
use super::{Ask, Outcome, ROUNDS, Trouble, moved, there};

/// A book.
#[derive(Serialize, ToSchema)]
pub struct Book {
    /// The book's id, which stays when its name does not.
    #[schema(format = Uuid)]
    id: String,
    /// `personal` (a user's), `shared` (a group's), `directory` (the staff's, which nobody changes here) or
    /// `smart` (what a saved filter finds, read-only).
    kind: &'static str,
    /// The saved filter whose contacts a smart book shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    filter: Option<String>,
    /// Its name in its owner's home.
    name: String,
    /// Whose it is: a user's name, or `group:` and a group's; `*`, the server's, of the staff's book.
    owner: String,
    /// It is its owner's alone.
    private: bool,
    /// It is the one that the first sign-in made.
    default: bool,
    /// What you may do with its contacts: `read` or `write`.
    access: &'static str,
    /// Who beside its owner may use it; told to those who may change that.
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<Vec<Share>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A book that is to be made.
#[derive(ToSchema)]
pub struct NewBook {
    /// `personal` (a user's, the usual), `shared` (a group's) or `smart`.
    #[schema(value_type = Option<String>)]
    kind: Option<Kind>,
    /// What a smart book shows: the id of a saved filter, or a filter, as `filter` of `/contacts` takes it,
    /// which is saved under the book's name.
    filter: Option<String>,
    /// Its name.
    #[schema(value_type = String)]
    name: Option<MemberName>,
    /// Whose it is to be: a user's name, or `group:` and a group's; yours where left out.
    #[schema(value_type = Option<String>)]
    owner: Option<Principal>,
    /// It is its owner's alone.
    #[schema(value_type = Option<bool>)]
    private: bool,
    /// Who beside its owner may use it.
    #[schema(value_type = Option<Vec<Share>>)]
    shares: Vec<Share>,
}

/// What may be changed of a book, and of a calendar.
#[derive(ToSchema)]
pub struct PatchBook {
    /// Its name; its address changes with it.
    #[schema(value_type = Option<String>)]
    name: Option<MemberName>,
    /// It is its owner's alone.
    #[schema(value_type = Option<bool>)]
    private: bool,
    /// Who beside its owner may use it, all of them.
    #[schema(value_type = Option<Vec<Share>>)]
    shares: Vec<Share>,
}

/// A book or a calendar, as it is told.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Book(Book),
    Calendar(Calendar),
}

/// What a book that is to be made is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A user's.
    Personal,
    /// A group's.
    Shared,
    /// What a filter finds.
    Smart,
}

const WRITABLE: [&str; 3] = ["name", "private", "shares"];

/// The server itself, which owns the staff's book; no user can have that name.
const SERVER: &str = "*";

/// `alice`, or `group:sales`.
pub fn owner(text: &str) -> Result<Principal, String> {
    let parsed = match text.strip_prefix("group:") {
        Some(group) => GroupName::parse(group).map(Principal::Group),
        None => UserName::parse(text).map(Principal::User),
    };
    parsed.map_err(|bad| bad.to_string())
}

/// The name of a book or a calendar.
pub fn name(text: &str) -> Result<MemberName, String> {
    MemberName::parse(text).map_err(|bad| bad.to_string())
}

impl Read for NewBook {
    fn read(fields: &mut Fields) -> Self {
        let kind = fields.optional("kind", |kind| match kind {
            "personal" => Ok(Kind::Personal),
            "shared" => Ok(Kind::Shared),
            "smart" => Ok(Kind::Smart),
            "directory" => Err("the staff directory is made by the server".to_owned()),
            _ => Err("a book is personal, shared or smart".to_owned()),
        });
        Self {
            kind,
            filter: fields.long_text("filter", scim::LONGEST),
            name: fields.parsed("name", name),
            owner: fields.optional("owner", owner),
            private: fields.switch("private", Some(false)),
            shares: fields.objects("shares"),
        }
    }
}

impl Read for PatchBook {
    fn read(fields: &mut Fields) -> Self {
        Self {
            name: fields.parsed("name", name),
            private: fields.switch("private", Some(false)),
            shares: fields.objects("shares"),
        }
    }
}

impl From<&BookView> for Book {
    fn from(book: &BookView) -> Self {
        Self {
            id: book.id.to_string(),
            kind: kind(book),
            filter: book.smart.map(|filter| filter.to_string()),
            name: book.name.as_str().to_owned(),
            owner: book.owner.written(),
            private: book.private,
            default: book.default,
            access: book.access.map_or("none", super::shares::word),
            shares: shares(book),
            created_at: book.created,
        }
    }
}

impl From<&BookView> for Shown {
    fn from(book: &BookView) -> Self {
        match book.kind() {
            CollectionKind::AddressBook => Self::Book(book.into()),
            CollectionKind::Calendar => Self::Calendar(book.into()),
        }
    }
}

/// What `kind` says of a book or a calendar.
pub fn kind(book: &BookView) -> &'static str {
    match &book.owner {
        _ if book.smart.is_some() => "smart",
        Principal::User(_) => "personal",
        Principal::Group(name) if name.is_own() => "directory",
        Principal::Group(_) => "shared",
    }
}

/// What `shares` says of a book or a calendar.
pub fn shares(book: &BookView) -> Option<Vec<Share>> {
    book.shares.as_ref().map(|shares| shares.iter().map(Share::from).collect())
}

/// Where books, or calendars, are.
pub fn room(kind: CollectionKind) -> &'static str {
    match kind {
        CollectionKind::AddressBook => "books",
        CollectionKind::Calendar => "calendars",
    }
}

const ORDER: Order<BookView> = Order {
    id: |book| *book.id.as_bytes(),
    fields: &[
        ("name", |book| Key::text(book.name.as_str())),
        ("kind", |book| Key::text(kind(book))),
        ("owner", |book| Key::text(&book.owner.written())),
        ("created_at", |book| Key::Number(book.created.as_microsecond())),
    ],
};

/// `GET /books` and `/calendars`
pub async fn list(ask: &Ask, kind: CollectionKind) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let page = asked.piece(ask.service.library(&ask.caller, kind).await?, &ORDER);
    Ok(Reply::json(&page.map(|book| Shown::from(&book)))?)
}

/// `POST /books`
pub async fn create(ask: &Ask) -> Outcome {
    let new: NewBook = ask.body()?;
    let kind = new.kind;
    let owner = owner_of(ask, new.owner, kind, CollectionKind::AddressBook)?;
    let (name, shares) = (there(new.name)?, chosen(new.shares)?);
    let wanted = Wanted { owner, name, components: Components::NONE, private: new.private, shares };
    let book = match (kind, new.filter) {
        (Some(Kind::Smart), Some(filter)) => {
            let serves = match Uuid::try_parse(&filter) {
                Ok(id) => Serves::Saved(id),
                Err(_) => Serves::Text(filter),
            };
            ask.service.create_smart_book(&ask.caller, wanted, serves).await?
        }
        (Some(Kind::Smart), None) => return Err(wrong("a smart book shows what a filter finds: say which")),
        (_, Some(_)) => return Err(wrong("only a smart book has a filter")),
        (_, None) => ask.service.create_library_book(&ask.caller, wanted).await?,
    };
    created(ask, &book)
}

/// Whose a new book or calendar is, which must be somebody who has such.
pub fn owner_of(
    ask: &Ask,
    owner: Option<Principal>,
    kind: Option<Kind>,
    of: CollectionKind,
) -> Result<Principal, Trouble> {
    let owner = owner.unwrap_or_else(|| Principal::User(ask.caller.name.clone()));
    let group = matches!(owner, Principal::Group(_));
    if matches!((kind, group), (Some(Kind::Personal), true) | (Some(Kind::Shared), false)) {
        let text = format!("a personal {} is a user's, a shared one is a group's (group:NAME)", of.word());
        return Err(Problem::wrong(vec![("/owner".to_owned(), text)]).into());
    }
    Ok(owner)
}

/// Answers with a book or a calendar that was made.
pub fn created(ask: &Ask, book: &BookView) -> Outcome {
    let place = ask.place(room(book.kind()), &[&book.owner.written(), book.name.as_str()]);
    Ok(Reply::created(&Shown::from(book), place)?)
}

fn wrong(text: &str) -> Trouble {
    Problem::wrong(vec![("/filter".to_owned(), text.to_owned())]).into()
}

/// `GET /books/{owner}/{name}`, and of calendars
pub async fn show(ask: &Ask, kind: CollectionKind) -> Outcome {
    Ok(Reply::resource(&Shown::from(&named(ask, kind).await?))?)
}

/// `PATCH /books/{owner}/{name}`, and of calendars
pub async fn change(ask: &Ask, kind: CollectionKind) -> Outcome {
    for _ in 0..ROUNDS {
        let book = named(ask, kind).await?;
        let shown = Reply::resource(&Shown::from(&book))?;
        ask.when(&shown)?;
        let fields: PatchBook = read_object(ask.patched(&shown, &WRITABLE)?)?;
        let (name, shares) = (there(fields.name)?, chosen(fields.shares)?);
        let changed = ask.service.change_library_book(&ask.caller, &book, name, fields.private, shares);
        if let Some(book) = changed.await? {
            return Ok(Reply::resource(&Shown::from(&book))?);
        }
    }
    Err(moved())
}

/// `DELETE /books/{owner}/{name}`, and of calendars
pub async fn remove(ask: &Ask, kind: CollectionKind) -> Outcome {
    for _ in 0..ROUNDS {
        let book = named(ask, kind).await?;
        ask.when(&Reply::resource(&Shown::from(&book))?)?;
        if ask.service.remove_library_book(&ask.caller, &book).await? {
            return Ok(Reply::gone());
        }
    }
    Err(moved())
}

/// The shares of a body; nobody is named twice.
pub fn chosen(shares: Vec<Share>) -> Result<Vec<sharing::Share>, Trouble> {
    let mut chosen: Vec<sharing::Share> = Vec::with_capacity(shares.len());
    let mut named = std::collections::BTreeSet::new();
    for (at, share) in shares.into_iter().enumerate() {
        let share = share.meant()?;
        if !named.insert(share.with.clone()) {
            let text = "there is another share of the same user or group".to_owned();
            return Err(Problem::wrong(vec![(format!("/shares/{at}"), text)]).into());
        }
        chosen.push(share);
    }
    Ok(chosen)
}

/// The book, or the calendar, that the path names.
pub async fn named(ask: &Ask, kind: CollectionKind) -> Result<BookView, Trouble> {
    let owner = match ask.param(0) {
        SERVER => Principal::Group(GroupName::own()),
        text => owner(text).map_err(|_| Refusal::NotFound)?,
    };
    let name = MemberName::parse(ask.param(1)).map_err(|_| Refusal::NotFound)?;
    Ok(ask.service.library_book(&ask.caller, kind, &owner, &name).await?)
}
