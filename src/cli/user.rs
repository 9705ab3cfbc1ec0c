//! `cardkeep user`: local accounts.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
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
    /// Remove an account; what becomes of its contacts is asked
    Remove {
        /// The user's name
        name: String,
        /// Give its address books and calendars to this user
        #[arg(long, value_name = "USER", conflicts_with = "erase")]
        hand_over: Option<String>,
        /// Remove its address books, contacts and calendars too, without asking
        #[arg(long, alias = "yes")]
        erase: bool,
        /// Remove private address books and calendars, which are not given to anybody
        #[arg(long, requires = "hand_over")]
        erase_private: bool,
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
            Self::Remove { name, hand_over, erase, erase_private } => {
                return remove(config, name, hand_over, (erase, erase_private)).await;
            }
        };
        ask(config, request).await.map(drop)
    }
}

async fn remove(
    config: &Config,
    name: String,
    hand_over: Option<String>,
    (erase, erase_private): (bool, bool),
) -> anyhow::Result<()> {
    let request = |hand_over, erase| {
        let name = name.clone();
        AdminRequest::UserRemove { name, hand_over, erase, erase_private }
    };
    let answer = ask(config, request(hand_over, erase)).await?;
    let AdminAnswer::Undecided { books, contacts, calendars, entries } = answer else { return Ok(()) };
    let mut has = Vec::new();
    if contacts > 0 {
        has.push(format!("{} in {}", many(contacts, "contact"), many(books, "address book")));
    }
    if entries > 0 {
        let entries = if entries == 1 { "1 entry".into() } else { format!("{entries} entries") };
        has.push(format!("{entries} in {}", many(calendars, "calendar")));
    }
    let has = format!("user '{name}' has {}", has.join(" and "));
    if !std::io::stdin().is_terminal() {
        bail!("{has}; give them to somebody with --hand-over USER, or remove them with --erase");
    }
    match fate(&has)? {
        Fate::HandOver(to) => ask(config, request(Some(to), false)).await.map(drop),
        Fate::Erase => ask(config, request(None, true)).await.map(drop),
        Fate::Stay => bail!("nothing was changed"),
    }
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What becomes of a user's address books and calendars.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    HandOver(String),
    Erase,
    Stay,
}

fn fate(has: &str) -> anyhow::Result<Fate> {
    let mut out = std::io::stderr();
    write!(out, "{has}.\nWho gets them? A user's name, 'erase' to remove them, nothing to stop: ")?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().take(1000).read_line(&mut line).context("the terminal cannot be read")?;
    Ok(read(&line))
}

fn read(line: &str) -> Fate {
    match line.trim() {
        "" => Fate::Stay,
        "erase" => Fate::Erase,
        name => Fate::HandOver(name.to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_word_erases() {
        assert_eq!(read("\n"), Fate::Stay);
        assert_eq!(read(" erase \r\n"), Fate::Erase);
        assert_eq!(many(1, "book") + &many(0, "book"), "1 book0 books");
        assert_eq!(read("eras\n"), Fate::HandOver("eras".into()));
    }
}
