//! The command line: reads it, does what it says through a running server or on the data directory
//! itself, and ends with 0 (done), 1 (failed) or 2 (wrong usage). Errors are one line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::api;
use crate::config::{self, Config};

mod ask;
mod backup;
mod check;
mod import;
mod key;
mod ldap;
mod link;
mod progress;
mod restore;
mod secret;
mod serve;
mod show;
mod token;
mod user;

#[derive(Parser)]
#[command(name = "cardkeep", version, about = "A CardDAV server and contact database", max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where a command finds its configuration and its data.
#[derive(Args)]
struct Place {
    /// The configuration file
    #[arg(long, global = true, value_name = "F")]
    config: Option<PathBuf>,
    /// The data directory
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server in the foreground
    Serve(serve::Serve),
    /// Local accounts
    #[command(subcommand)]
    User(user::User),
    /// App passwords and API tokens
    #[command(subcommand)]
    Token(token::Token),
    /// Public links to books and calendars
    #[command(subcommand)]
    Link(link::Link),
    /// Write an archive of everything, sealed, and the keyring that opens it
    Backup(backup::Backup),
    /// Fill an empty data directory from an archive
    Restore(restore::Restore),
    /// Bring the entries of an .ics file into a calendar
    Import(import::Import),
    /// Check every record, index and sync log
    Check(check::Check),
    /// The master key
    #[command(subcommand)]
    Key(key::Key),
    /// Print the description of the admin API (OpenAPI 3.1)
    Openapi,
    /// The directory of users
    #[command(subcommand)]
    Ldap(ldap::Ldap),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the annotated example configuration
    Example,
}

impl Place {
    fn load(&self) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref(), &config::environment()?)?;
        if let Some(data) = &self.data {
            config.server.data.clone_from(data);
        }
        Ok(config)
    }
}

/// The command line was wrong; the text says how.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    if let Command::Config(ConfigCommand::Example) = cli.command {
        return show::print(&config::example());
    }
    if let Command::Openapi = cli.command {
        return show::print(&(serde_json::to_string_pretty(&api::description(""))? + "\n"));
    }
    let config = cli.place.load()?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(cores.max(2)).enable_all().build()?;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => serve.run(config).await,
            Command::User(user) => user.run(&config).await,
            Command::Token(token) => token.run(&config).await,
            Command::Link(link) => link.run(&config).await,
            Command::Backup(backup) => backup.run(&config).await,
            Command::Restore(restore) => restore.run(&config).await,
            Command::Import(import) => import.run(&config).await,
            Command::Check(check) => check.run(&config).await,
            Command::Key(key) => key.run(&config).await,
            Command::Ldap(ldap) => ldap.run(&config).await,
            Command::Openapi | Command::Config(ConfigCommand::Example) => Ok(()),
        }
    });
    // What still runs has outlived its time already.
    runtime.shutdown_background();
    done
}

/// Help and version go to standard output; what is wrong goes to standard error, in one line.
fn misread(error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let bare = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if asked || bare {
        let _ = error.print();
        return ExitCode::from(if asked { 0 } else { 2 });
    }
    let text = error.render().to_string();
    let first =
        text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let what = first.strip_prefix("error: ").unwrap_or(&first);
    complain(&format!("{what}; see cardkeep --help"));
    ExitCode::from(2)
}

fn complain(what: &str) {
    let line = what.replace(['\n', '\r'], " ");
    let _ = writeln!(std::io::stderr(), "cardkeep: {line}");
}

/// A text that people and programs show on a line: nothing in it may steer a terminal, and XML can
/// hold all of it (XML 1.0 §2.2).
fn line(text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err("it holds control characters".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_people_are_shown_is_one_line_of_text() {
        assert_eq!(line("Zoë <&> 密").as_deref(), Ok("Zoë <&> 密"));
        for bad in ["a\u{1}", "a\nb", "\u{1b}[2J", "\u{ffff}", "\u{85}"] {
            assert!(line(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn place_may_follow_any_command() {
        let cli =
            Cli::try_parse_from(["cardkeep", "user", "list", "--json", "--data", "/d", "--config", "/c"])
                .unwrap();
        assert_eq!(cli.place.data.unwrap(), PathBuf::from("/d"));
        assert!(cli.place.config.is_some());
        assert!(Cli::try_parse_from(["cardkeep", "--data", "/d", "serve"]).is_ok());
    }
}
