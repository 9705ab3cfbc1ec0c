//! `/books/{owner}/{name}/shares`, and the same of calendars: who beside its owner may use one.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::id::{CollectionKind, GroupName, Principal, UserName};
use crate::domain::permission::Permission;
use crate::service::refusal::Refusal;
use crate::service::sharing::{self, Access};

use super::body::{Fields, Read};
use super::page::{Asked, Key, Order};
use super::problem::{Kind, Problem};
use super::reply::Reply;
use super::{Ask, Outcome, Trouble, books, there};

/// A share: a user's or a group's.
#[derive(Clone, Serialize, ToSchema)]
pub struct Share {
    /// The user who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The group that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// `read` or `write`.
    access: String,
    #[serde(skip)]
    #[schema(ignore)]
    meant: Option<sharing::Share>,
}

impl Share {
    /// What the body says, once it was read without fault.
    pub fn meant(self) -> Result<sharing::Share, Trouble> {
        there(self.meant)
    }
}

/// What a share allows, as a word.
pub fn word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

impl Read for Share {
    fn read(fields: &mut Fields) -> Self {
        let user = fields.optional("user", |text| UserName::parse(text).map_err(|bad| bad.to_string()));
        let group = fields.optional("group", |text| GroupName::parse(text).map_err(|bad| bad.to_string()));
        let access = fields.parsed("access", |text| match text {
            "read" => Ok(Access::Read),
            "write" => Ok(Access::Write),
            _ => Err("access is read or write".to_owned()),
        });
        let with = match (user, group) {
            (Some(user), None) => Some(Principal::User(user)),
            (None, Some(group)) => Some(Principal::Group(group)),
            _ => {
                fields.wrong("user", "a share names one user or one group");
                None
            }
        };
        let meant = with.zip(access).map(|(with, access)| sharing::Share { with, access });
        match &meant {
            Some(meant) => Self::from(meant),
            None => Self { user: None, group: None, access: String::new(), meant: None },
        }
    }
}

impl From<&sharing::Share> for Share {
    fn from(share: &sharing::Share) -> Self {
        let (user, group) = match &share.with {
            Principal::User(name) => (Some(name.to_string()), None),
            Principal::Group(name) => (None, Some(name.to_string())),
        };
        Self { user, group, access: word(share.access).to_owned(), meant: Some(share.clone()) }
    }
}

const ORDER: Order<Share> = Order {
    // Names are unique among the shares of a book.
    id: |share| {
        let hash = blake3::hash(named(share).as_bytes());
        hash.as_bytes().first_chunk::<16>().copied().unwrap_or_default()
    },
    fields: &[("name", |share| Key::text(&named(share)))],
};

fn named(share: &Share) -> String {
    share.meant.as_ref().map(|share| share.with.written()).unwrap_or_default()
}

/// `GET /books/{owner}/{name}/shares`, and of calendars
pub async fn list(ask: &Ask, kind: CollectionKind) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let book = books::named(ask, kind).await?;
    let shares = book.shares.ok_or(Refusal::NeedPermission(Permission::Settings))?;
    Ok(Reply::json(&asked.piece(shares.iter().map(Share::from).collect(), &ORDER))?)
}

/// `POST /books/{owner}/{name}/shares`, and of calendars
pub async fn create(ask: &Ask, kind: CollectionKind) -> Outcome {
    let book = books::named(ask, kind).await?;
    let share: Share = ask.body()?;
    let wanted = share.clone().meant()?;
    let known = book.shares.iter().flatten().any(|known| known.with == wanted.with);
    ask.service.share_library_book(&ask.caller, &book, &wanted.with, Some(wanted.access)).await?;
    if known {
        return Ok(Reply::json(&share)?);
    }
    let shares = ask.place(books::room(kind), &[&book.owner.written(), book.name.as_str(), "shares"]);
    let (whose, name) = match &wanted.with {
        Principal::User(name) => ("user", name.as_str()),
        Principal::Group(name) => ("group", name.as_str()),
    };
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    Ok(Reply::created(&share, format!("{shares}?{whose}={name}"))?)
}

/// `DELETE /books/{owner}/{name}/shares?user=…`, and of calendars
pub async fn remove(ask: &Ask, kind: CollectionKind) -> Outcome {
    let book = books::named(ask, kind).await?;
    let with = match (ask.query.get("user"), ask.query.get("group")) {
        (Some(user), None) => UserName::parse(user).map(Principal::User),
        (None, Some(group)) => GroupName::parse(group).map(Principal::Group),
        _ => return Err(Problem::parameter(Kind::Unreadable, "user", "say user=NAME or group=NAME").into()),
    };
    let with = with.map_err(|_| Refusal::NotFound)?;
    let shares = book.shares.as_ref().ok_or(Refusal::NeedPermission(Permission::Settings))?;
    if !shares.iter().any(|share| share.with == with) {
        return Err(Refusal::NotFound.into());
    }
    ask.service.share_library_book(&ask.caller, &book, &with, None).await?;
    Ok(Reply::gone())
}
