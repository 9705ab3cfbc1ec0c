//! `cardkeep token`: app passwords and API tokens.

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};

use crate::config::Config;
use crate::service::admin::{AdminAnswer, AdminRequest, TokenRow};

use super::ask::ask;
use super::show;

/// App passwords and API tokens
#[derive(Subcommand)]
pub enum Token {
    /// Make an app password or an API token; it is shown once, alone on the last line
    Create(Create),
    /// List the app passwords and API tokens, without their secrets
    List {
        /// Only this user's
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an app password or an API token useless
    Revoke {
        /// Its id, as the list shows it
        id: String,
    },
}

/// A new app password or API token.
#[derive(Args)]
pub struct Create {
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    user: String,
    /// What it opens: app (DAV clients) or api (the admin API)
    #[arg(long)]
    kind: Kind,
    /// What it may do: dav:contacts, dav:contacts:read… for app, permissions for api; everything that
    /// the user may when left out
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// The day from which on it is useless, or the moment (RFC 3339)
    #[arg(long, value_name = "DATE", value_parser = moment)]
    expires: Option<String>,
    /// What it is called in lists
    #[arg(long, value_name = "L", value_parser = super::line)]
    label: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    App,
    Api,
}

impl Token {
    /// Does it.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => make(config, create).await,
            Self::List { user, json } => list(config, user, json).await,
            Self::Revoke { id } => ask(config, AdminRequest::TokenRevoke { id }).await.map(drop),
        }
    }
}

async fn make(config: &Config, create: Create) -> anyhow::Result<()> {
    let name = create.user.clone();
    let request = AdminRequest::TokenCreate {
        user: create.user,
        api: create.kind == Kind::Api,
        scopes: create.scopes,
        expires: create.expires,
        label: create.label,
    };
    let AdminAnswer::Secret { id, secret } = ask(config, request).await? else {
        bail!("the server answered something else; is it another version?");
    };
    let what = if create.kind == Kind::Api { "API token" } else { "App password" };
    show::print(&format!("{what} {id} of {name}; it is shown this once:\n{secret}\n"))
}

async fn list(config: &Config, user: Option<String>, json: bool) -> anyhow::Result<()> {
    let AdminAnswer::Tokens(tokens) = ask(config, AdminRequest::TokenList { user }).await? else {
        bail!("the server answered something else; is it another version?");
    };
    let heads =
        ["ID", "USER", "KIND", "SCOPES", "LABEL", "CREATED", "EXPIRES", "LAST USE", "CLIENT", "ADDRESS"];
    show::list(&tokens, json, &heads, |token: &TokenRow| {
        vec![
            token.id.clone(),
            token.user.clone(),
            token.kind.clone(),
            token.scopes.join(" "),
            token.label.clone().unwrap_or_default(),
            token.created.to_string(),
            token.expires.map(|end| end.to_string()).unwrap_or_default(),
            token.last_use.map(|at| at.to_string()).unwrap_or_default(),
            token.client.clone().unwrap_or_default(),
            token.address.clone().unwrap_or_default(),
        ]
    })
}

/// A date or an RFC 3339 moment, in UTC.
pub fn moment(text: &str) -> Result<String, String> {
    let date = text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10;
    if date || text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("a date is written 2027-12-31, a moment 2027-12-31T18:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn expiry_is_a_date_or_a_moment() {
        assert!(moment("2027-12-31").is_ok());
        assert!(moment("2027-12-31T18:00:00Z").is_ok());
        for bad in ["", "tomorrow", "2027-13-01", "31.12.2027", "2027-12-31T18:00"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
