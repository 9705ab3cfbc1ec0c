//! `/tokens`: app passwords for DAV clients and tokens for this API.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::id::UserName;
use crate::service::refusal::Refusal;
use crate::service::tokens::{NewToken as Wanted, TokenKind, TokenView};

use super::body::{Fields, Read, read_object};
use super::page::{Asked, Key, Order};
use super::reply::Reply;
use super::{Ask, Outcome, ROUNDS, Trouble, moved, there};

/// An app password or an API token, without its secret.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// Whose it is.
    user: String,
    /// `app` (the password of a DAV client) or `api` (a bearer token).
    kind: &'static str,
    /// What it is for; none is all of DAV, or all that the user may.
    scopes: Vec<String>,
    /// What is written on it.
    label: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// Its last use that is on record.
    used: Option<Used>,
}

/// A use of a token.
#[derive(Serialize, ToSchema)]
pub struct Used {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What the client calls itself.
    client: String,
    /// The client's address.
    address: String,
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    #[serde(flatten)]
    token: Token,
    /// The secret, told this once.
    secret: String,
}

/// A token that is to be made.
#[derive(ToSchema)]
pub struct NewToken {
    /// Whose it is to be; yours where left out.
    #[schema(value_type = Option<String>)]
    user: Option<UserName>,
    /// `app` (the password of a DAV client) or `api` (a bearer token).
    #[schema(value_type = String)]
    kind: Option<TokenKind>,
    /// What it is for: `dav:…` for an app password, permissions for an API token; none is all.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Vec<String>,
    #[serde(flatten)]
    #[schema(inline)]
    fields: PatchToken,
}

/// What may be changed of a token.
#[derive(ToSchema)]
pub struct PatchToken {
    /// What is written on it.
    label: Option<String>,
    /// When it ends: a time, or a date, from whose beginning on it is useless.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
}

const WRITABLE: [&str; 2] = ["label", "expires"];

impl Read for PatchToken {
    fn read(fields: &mut Fields) -> Self {
        Self { label: fields.line("label"), expires: fields.time("expires") }
    }
}

impl Read for NewToken {
    fn read(fields: &mut Fields) -> Self {
        Self {
            user: fields.optional("user", |text| UserName::parse(text).map_err(|bad| bad.to_string())),
            kind: fields.parsed("kind", |kind| match kind {
                "app" => Ok(TokenKind::App),
                "api" => Ok(TokenKind::Api),
                _ => Err("a token is app or api".to_owned()),
            }),
            scopes: fields.list("scopes", |scope| Ok(scope.to_owned())),
            fields: PatchToken::read(fields),
        }
    }
}

impl From<&TokenView> for Token {
    fn from(token: &TokenView) -> Self {
        let used = token.used.as_ref();
        Self {
            id: token.id.to_string(),
            user: token.user.to_string(),
            kind: match token.kind {
                TokenKind::App => "app",
                TokenKind::Api => "api",
            },
            scopes: token.scopes.clone(),
            label: token.label.clone(),
            created_at: token.created,
            expires: token.expires,
            used: used.map(|used| Used {
                at: used.at,
                client: used.client.clone(),
                address: used.address.clone(),
            }),
        }
    }
}

const ORDER: Order<TokenView> = Order {
    id: |token| token.id.into_bytes(),
    fields: &[
        ("created_at", |token| Key::Number(token.created.as_microsecond())),
        ("user", |token| Key::text(token.user.as_str())),
        ("label", |token| Key::text(token.label.as_deref().unwrap_or_default())),
        // What never ends comes last.
        ("expires", |token| Key::Number(token.expires.map_or(i64::MAX, Timestamp::as_microsecond))),
    ],
};

/// `GET /tokens`
pub async fn list(ask: &Ask) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let page = asked.piece(ask.service.tokens(&ask.caller).await?, &ORDER);
    Ok(Reply::json(&page.map(|token| Token::from(&token)))?)
}

/// `POST /tokens`
pub async fn create(ask: &Ask) -> Outcome {
    let new: NewToken = ask.body()?;
    let PatchToken { label, expires } = new.fields;
    let wanted = Wanted { kind: there(new.kind)?, scopes: new.scopes, label, expires };
    let (token, secret) = ask.service.create_token(&ask.caller, new.user.as_ref(), wanted).await?;
    let made = MadeToken { token: Token::from(&token), secret };
    Ok(Reply::created(&made, ask.place("tokens", &[&token.id.to_string()]))?.without_etag())
}

/// `GET /tokens/{id}`
pub async fn show(ask: &Ask) -> Outcome {
    Ok(Reply::resource(&Token::from(&named(ask).await?))?)
}

/// `PATCH /tokens/{id}`
pub async fn change(ask: &Ask) -> Outcome {
    for _ in 0..ROUNDS {
        let token = named(ask).await?;
        let shown = Reply::resource(&Token::from(&token))?;
        ask.when(&shown)?;
        let PatchToken { label, expires } = read_object(ask.patched(&shown, &WRITABLE)?)?;
        if let Some(token) = ask.service.change_token(&ask.caller, &token, label, expires).await? {
            return Ok(Reply::resource(&Token::from(&token))?);
        }
    }
    Err(moved())
}

/// `DELETE /tokens/{id}`
pub async fn remove(ask: &Ask) -> Outcome {
    for _ in 0..ROUNDS {
        let token = named(ask).await?;
        ask.when(&Reply::resource(&Token::from(&token))?)?;
        if ask.service.remove_token(&ask.caller, &token).await? {
            return Ok(Reply::gone());
        }
    }
    Err(moved())
}

async fn named(ask: &Ask) -> Result<TokenView, Trouble> {
    let id = Uuid::try_parse(ask.param(0)).map_err(|_| Refusal::NotFound)?;
    Ok(ask.service.token(&ask.caller, id).await?)
}
