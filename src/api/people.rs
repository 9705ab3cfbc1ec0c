//! `/users`: who there is, what they may do, and who goes.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::id::UserName;
use crate::domain::permission::Permission;
use crate::service::people::{Legacy, UserFields, UserView};
use crate::service::refusal::Refusal;

use super::body::{Fields, Read, read_object};
use super::page::{Asked, Key, Order};
use super::problem::{Kind, Problem};
use super::reply::Reply;
use super::{Ask, Outcome, ROUNDS, Trouble, email, moved, permission, there};

/// A user.
#[derive(Serialize, ToSchema)]
pub struct User {
    /// The user's id, which stays when the name does not.
    #[schema(format = Uuid)]
    id: String,
    /// The name to sign in with.
    name: String,
    /// How people call the user.
    display_name: Option<String>,
    /// The e-mail address.
    email: Option<String>,
    /// May do everything, but with others' private books.
    admin: bool,
    /// May sign in.
    enabled: bool,
    /// What the user may do beyond their own books.
    permissions: Vec<&'static str>,
    /// The groups that the user is in.
    groups: Vec<String>,
    /// It comes from a directory, which keeps its name, password, display name and address.
    directory: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A user that is to be made.
#[derive(ToSchema)]
pub struct NewUser {
    /// The name to sign in with: a-z, 0-9 and ._@+-, at most 64 bytes.
    #[schema(value_type = String)]
    name: Option<UserName>,
    /// The password; without one only app passwords and tokens sign in.
    password: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    fields: PatchUser,
}

/// What may be changed of a user.
#[derive(ToSchema)]
pub struct PatchUser {
    /// How people call the user.
    display_name: Option<String>,
    /// The e-mail address.
    email: Option<String>,
    /// May do everything, but with others' private books.
    #[schema(value_type = Option<bool>)]
    admin: bool,
    /// May sign in.
    #[schema(value_type = Option<bool>)]
    enabled: bool,
    /// What the user may do beyond their own books, in the words of permissions.
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Vec<Permission>,
}

const WRITABLE: [&str; 5] = ["display_name", "email", "admin", "enabled", "permissions"];

impl Read for PatchUser {
    fn read(fields: &mut Fields) -> Self {
        Self {
            display_name: fields.line("display_name"),
            email: fields.optional("email", email),
            admin: fields.switch("admin", None),
            enabled: fields.switch("enabled", None),
            permissions: fields.list("permissions", permission),
        }
    }
}

impl Read for NewUser {
    fn read(fields: &mut Fields) -> Self {
        let name = fields.parsed("name", |text| {
            UserName::parse(text).map_err(|bad| format!("{bad}; use a-z, 0-9 and ._@+-, at most 64"))
        });
        let password = fields.text("password");
        if password.as_ref().is_some_and(String::is_empty) {
            fields.wrong("password", "the password is empty; leave it out, or give one");
        }
        fields.usual("admin", false);
        fields.usual("enabled", true);
        Self { name, password, fields: PatchUser::read(fields) }
    }
}

impl From<PatchUser> for UserFields {
    fn from(fields: PatchUser) -> Self {
        let PatchUser { display_name, email, admin, enabled, permissions } = fields;
        Self { display_name, email, admin, enabled, permissions }
    }
}

impl From<&UserView> for User {
    fn from(user: &UserView) -> Self {
        let fields = &user.fields;
        Self {
            id: user.id.to_string(),
            name: user.name.to_string(),
            display_name: fields.display_name.clone(),
            email: fields.email.clone(),
            admin: fields.admin,
            enabled: fields.enabled,
            permissions: fields.permissions.iter().map(|permission| permission.word()).collect(),
            groups: user.groups.clone(),
            directory: user.directory,
            created_at: user.created,
        }
    }
}

const ORDER: Order<UserView> = Order {
    id: |user| *user.id.as_bytes(),
    fields: &[
        ("name", |user| Key::text(user.name.as_str())),
        ("display_name", |user| Key::text(user.fields.display_name.as_deref().unwrap_or_default())),
        ("email", |user| Key::text(user.fields.email.as_deref().unwrap_or_default())),
        ("created_at", |user| Key::Number(user.created.as_microsecond())),
    ],
};

/// `GET /users`
pub async fn list(ask: &Ask) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let page = asked.piece(ask.service.users(&ask.caller).await?, &ORDER);
    Ok(Reply::json(&page.map(|user| User::from(&user)))?)
}

/// `POST /users`
pub async fn create(ask: &Ask) -> Outcome {
    let new: NewUser = ask.body()?;
    let name = there(new.name)?;
    let user = ask.service.create_user(&ask.caller, &name, new.fields.into(), new.password).await?;
    Ok(Reply::created(&User::from(&user), ask.place("users", &[user.name.as_str()]))?)
}

/// `GET /users/{name}`
pub async fn show(ask: &Ask) -> Outcome {
    Ok(Reply::resource(&User::from(&named(ask).await?))?)
}

/// `PATCH /users/{name}`
pub async fn change(ask: &Ask) -> Outcome {
    for _ in 0..ROUNDS {
        let user = named(ask).await?;
        let shown = Reply::resource(&User::from(&user))?;
        ask.when(&shown)?;
        let patched = match ask.patched(&shown, &WRITABLE) {
            Err(_) if user.directory && ask.touches(&["name", "password"]) => {
                let text = "the user comes from the directory, which keeps name and password";
                return Err(Problem::new(Kind::Conflict, text).into());
            }
            patched => patched?,
        };
        let fields: PatchUser = read_object(patched)?;
        if ask.service.change_user(&ask.caller, &user, fields.into()).await? {
            return show(ask).await;
        }
    }
    Err(moved())
}

/// `DELETE /users/{name}`
pub async fn remove(ask: &Ask) -> Outcome {
    let legacy = legacy(ask)?;
    for _ in 0..ROUNDS {
        let user = named(ask).await?;
        ask.when(&Reply::resource(&User::from(&user))?)?;
        if ask.service.remove_person(&ask.caller, &user, &legacy).await? {
            return Ok(Reply::gone());
        }
    }
    Err(moved())
}

/// What is to become of the books.
fn legacy(ask: &Ask) -> Result<Legacy, Trouble> {
    let erase_private = match (ask.query.get("private"), ask.query.get("hand_over")) {
        (None, _) => false,
        (Some("erase"), Some(_)) => true,
        (Some(_), _) => {
            let text = "private=erase goes with hand_over, and is all that can be said of private books";
            return Err(Problem::parameter(Kind::Wrong, "private", text).into());
        }
    };
    Ok(match (ask.query.get("hand_over"), ask.query.switch("erase")?) {
        (Some(_), true) => {
            let text = "books are handed over or erased, not both";
            return Err(Problem::parameter(Kind::Unreadable, "erase", text).into());
        }
        (Some(to), false) => {
            let to = UserName::parse(to).ok();
            let to =
                to.ok_or_else(|| Problem::parameter(Kind::Wrong, "hand_over", "this is no user name"))?;
            Legacy::HandOver { to, erase_private }
        }
        (None, true) => Legacy::Erase,
        (None, false) => Legacy::Empty,
    })
}

async fn named(ask: &Ask) -> Result<UserView, Trouble> {
    let name = UserName::parse(ask.param(0)).map_err(|_| Refusal::NotFound)?;
    Ok(ask.service.user(&ask.caller, &name).await?)
}
