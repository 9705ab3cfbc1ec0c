//! `cardkeep user`: local accounts.

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::config::Config;
use crate::service::admin::{AdminAnswer, AdminRequest, UserRow};

use super::ask::ask;
use super::secret::new_password;
use super::show;

/// Local accounts
#[derive(Subcommand)]
pub enum User {
    /// Make an account
    Add(Add),
    /// List the accounts
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give an account a new password
    Passwd {
        /// The user's name
        name: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Let an account sign in no more, and keep what it has
    Disable {
        /// The user's name
        name: String,
    },
    /// Let a disabled account sign in again
    Enable {
        /// The user's name
        name: String,
    },
    /// Remove an account and everything it has
    Remove {
        /// The user's name
        name: String,
    },
}

/// A new account.
#[derive(Args)]
pub struct Add {
    /// The user's name
    name: String,
    /// The user's e-mail address
    #[arg(long, value_name = "A", value_parser = super::line)]
    email: Option<String>,
    /// How people call the user
    #[arg(long, value_name = "N", value_parser = super::line)]
    display_name: Option<String>,
    /// May administer the server
    #[arg(long)]
    admin: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl User {
    /// Does it.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        let request = match self {
            Self::List { json } => return list(config, json).await,
            Self::Add(add) => AdminRequest::UserAdd {
                password: Some(new_password(add.password_stdin)?),
                name: add.name,
                email: add.email,
                display_name: add.display_name,
                admin: add.admin,
            },
            Self::Passwd { name, password_stdin } => {
                AdminRequest::UserPasswd { password: new_password(password_stdin)?, name }
            }
            Self::Disable { name } => AdminRequest::UserEnable { name, enabled: false },
            Self::Enable { name } => AdminRequest::UserEnable { name, enabled: true },
            Self::Remove { name } => AdminRequest::UserRemove { name },
        };
        ask(config, request).await.map(drop)
    }
}

async fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let AdminAnswer::Users(users) = ask(config, AdminRequest::UserList).await? else {
        bail!("the server answered something else; is it another version?");
    };
    let heads = ["NAME", "ENABLED", "ADMIN", "DISPLAY NAME", "E-MAIL", "CREATED"];
    show::list(&users, json, &heads, |user: &UserRow| {
        vec![
            user.name.clone(),
            show::yes(user.enabled),
            show::yes(user.admin),
            user.display_name.clone().unwrap_or_default(),
            user.email.clone().unwrap_or_default(),
            user.created.to_string(),
        ]
    })
}
