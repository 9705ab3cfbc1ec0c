//! `cardkeep link`: public links to books and calendars.

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};

use crate::config::Config;
use crate::domain::id::CollectionKind;
use crate::service::admin::{AdminAnswer, AdminRequest, LinkRow};
use crate::service::sharing::AskedKind;

use super::ask::ask;
use super::{show, token};

/// Public links to books and calendars
#[derive(Subcommand)]
pub enum Link {
    /// Make a link with which anybody reads a book or calendar without signing in; it is shown once,
    /// alone on the last line
    Create(Create),
    /// List the links, without what makes them work
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a link useless
    Revoke {
        /// Its id, as the list shows it
        id: String,
    },
}

/// A new link.
#[derive(Args)]
pub struct Create {
    /// What it shows
    #[arg(value_name = "OWNER/NAME")]
    collection: String,
    /// Whether that is a book or a calendar, where the owner has both by that name
    #[arg(long)]
    kind: Option<Kind>,
    /// The day from which on it is useless, or the moment (RFC 3339)
    #[arg(long, value_name = "DATE", value_parser = token::moment)]
    expires: Option<String>,
    /// What it is called in lists
    #[arg(long, value_name = "L", value_parser = super::line)]
    label: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Book,
    Calendar,
}

impl Link {
    /// Does it.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => make(config, create).await,
            Self::List { json } => list(config, json).await,
            Self::Revoke { id } => ask(config, AdminRequest::LinkRevoke { id }).await.map(drop),
        }
    }
}

async fn make(config: &Config, create: Create) -> anyhow::Result<()> {
    let Create { collection, kind, expires, label } = create;
    let what = format!("Link to {collection}");
    let kind = kind.map(|kind| match kind {
        Kind::Book => AskedKind::Book,
        Kind::Calendar => AskedKind::Calendar,
    });
    let request = AdminRequest::LinkCreate { collection, kind, label, expires };
    let AdminAnswer::Link(link) = ask(config, request).await? else {
        bail!("the server answered something else; is it another version?");
    };
    let url = format!("{}{}", base(config), link.path);
    let mut told = format!("{what}, id {}: whoever has it can read all of it.\n", link.id);
    if config.server.public_url.is_none() {
        told.push_str("It begins as others reach the server; server.public_url says how.\n");
    }
    show::print(&format!("{told}It is shown this once:\n{url}\n"))
}

async fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let AdminAnswer::Links(links) = ask(config, AdminRequest::LinkList).await? else {
        bail!("the server answered something else; is it another version?");
    };
    let heads = ["ID", "SHOWS", "KIND", "LABEL", "CREATED", "EXPIRES", "OPEN"];
    show::list(&links, json, &heads, |link: &LinkRow| {
        vec![
            link.id.clone(),
            link.collection.clone().unwrap_or_default(),
            link.kind.map(|kind| CollectionKind::from(kind).word().to_owned()).unwrap_or_default(),
            link.label.clone().unwrap_or_default(),
            link.created.to_string(),
            link.expires.map(|end| end.to_string()).unwrap_or_default(),
            show::yes(!link.closed),
        ]
    })
}

/// How links begin: with the server's public URL, or else with the address that it listens on.
fn base(config: &Config) -> String {
    match &config.server.public_url {
        Some(url) => format!("{}://{}{}", url.scheme, url.host, url.prefix),
        None => {
            let scheme = if config.tls.certificate.is_some() { "https" } else { "http" };
            format!("{scheme}://{}", config.server.listen)
        }
    }
}
