//! `/groups`: groups of users, which may own books and be given access to others'.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::id::{GroupName, UserName};
use crate::service::groups::{GroupFields, GroupView};
use crate::service::people::Legacy;
use crate::service::refusal::Refusal;

use super::body::{Fields, Read, read_object};
use super::page::{Asked, Key, Order};
use super::problem::{Kind, Problem};
use super::reply::Reply;
use super::{Ask, Outcome, ROUNDS, Trouble, email, moved, there};

/// A group.
#[derive(Serialize, ToSchema)]
pub struct Group {
    /// The group's id.
    #[schema(format = Uuid)]
    id: String,
    /// Its name.
    name: String,
    /// What people call it.
    display_name: Option<String>,
    /// Its e-mail address.
    email: Option<String>,
    /// The names of the users in it.
    members: Vec<String>,
    /// It comes from a directory, which keeps it.
    directory: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A group that is to be made.
#[derive(ToSchema)]
pub struct NewGroup {
    /// Its name: words without / and *, at most 128 bytes.
    #[schema(value_type = String)]
    name: Option<GroupName>,
    #[serde(flatten)]
    #[schema(inline)]
    fields: PatchGroup,
}

/// What may be changed of a group.
#[derive(ToSchema)]
pub struct PatchGroup {
    /// What people call it.
    display_name: Option<String>,
    /// Its e-mail address.
    email: Option<String>,
    /// The names of the users in it, all of them.
    #[schema(value_type = Option<Vec<String>>)]
    members: Vec<UserName>,
}

const WRITABLE: [&str; 3] = ["display_name", "email", "members"];

impl Read for PatchGroup {
    fn read(fields: &mut Fields) -> Self {
        Self {
            display_name: fields.line("display_name"),
            email: fields.optional("email", email),
            members: fields.list("members", |text| UserName::parse(text).map_err(|bad| bad.to_string())),
        }
    }
}

impl Read for NewGroup {
    fn read(fields: &mut Fields) -> Self {
        let name = fields.parsed("name", |text| GroupName::parse(text).map_err(|bad| bad.to_string()));
        Self { name, fields: PatchGroup::read(fields) }
    }
}

impl From<PatchGroup> for GroupFields {
    fn from(fields: PatchGroup) -> Self {
        Self { display_name: fields.display_name, email: fields.email, members: fields.members }
    }
}

impl From<&GroupView> for Group {
    fn from(group: &GroupView) -> Self {
        Self {
            id: group.id.to_string(),
            name: group.name.to_string(),
            display_name: group.fields.display_name.clone(),
            email: group.fields.email.clone(),
            members: group.fields.members.iter().map(ToString::to_string).collect(),
            directory: group.directory,
            created_at: group.created,
        }
    }
}

const ORDER: Order<GroupView> = Order {
    id: |group| *group.id.as_bytes(),
    fields: &[
        ("name", |group| Key::text(group.name.as_str())),
        ("display_name", |group| Key::text(group.fields.display_name.as_deref().unwrap_or_default())),
        ("created_at", |group| Key::Number(group.created.as_microsecond())),
    ],
};

/// `GET /groups`
pub async fn list(ask: &Ask) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let page = asked.piece(ask.service.groups(&ask.caller).await?, &ORDER);
    Ok(Reply::json(&page.map(|group| Group::from(&group)))?)
}

/// `POST /groups`
pub async fn create(ask: &Ask) -> Outcome {
    let new: NewGroup = ask.body()?;
    let group = ask.service.create_group(&ask.caller, &there(new.name)?, new.fields.into()).await?;
    Ok(Reply::created(&Group::from(&group), ask.place("groups", &[group.name.as_str()]))?)
}

/// `GET /groups/{name}`
pub async fn show(ask: &Ask) -> Outcome {
    Ok(Reply::resource(&Group::from(&named(ask).await?))?)
}

/// `PATCH /groups/{name}`
pub async fn change(ask: &Ask) -> Outcome {
    for _ in 0..ROUNDS {
        let group = named(ask).await?;
        let shown = Reply::resource(&Group::from(&group))?;
        ask.when(&shown)?;
        let patched = match ask.patched(&shown, &WRITABLE) {
            Err(_) if group.directory && ask.touches(&["name"]) => {
                let text = "the group comes from the directory, which keeps its name";
                return Err(Problem::new(Kind::Conflict, text).into());
            }
            patched => patched?,
        };
        let fields: PatchGroup = read_object(patched)?;
        if ask.service.change_group(&ask.caller, &group, fields.into()).await? {
            return show(ask).await;
        }
    }
    Err(moved())
}

/// `DELETE /groups/{name}`
pub async fn remove(ask: &Ask) -> Outcome {
    let legacy = if ask.query.switch("erase")? { Legacy::Erase } else { Legacy::Empty };
    for _ in 0..ROUNDS {
        let group = named(ask).await?;
        ask.when(&Reply::resource(&Group::from(&group))?)?;
        if ask.service.remove_group(&ask.caller, &group, &legacy).await? {
            return Ok(Reply::gone());
        }
    }
    Err(moved())
}

async fn named(ask: &Ask) -> Result<GroupView, Trouble> {
    let name = GroupName::parse(ask.param(0)).map_err(|_| Refusal::NotFound)?;
    Ok(ask.service.group(&ask.caller, &name).await?)
}
