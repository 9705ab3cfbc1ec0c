//! `cardkeep ldap`. `test` needs no store: it asks the directory that the configuration names.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::config::Config;
use crate::directory::examine::{Step, examine};
use crate::server::directory;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::directory::SyncReport;

use super::ask::ask;
use super::show;

/// The directory of users
#[derive(Subcommand)]
pub enum Ldap {
    /// Go through every step of reading the directory, and show what is found
    Test,
    /// Have users, groups and the staff's book follow the directory now
    Sync(Sync),
}

/// What is to be done with what the directory says.
#[derive(Args)]
pub struct Sync {
    /// Only tell who would come and go
    #[arg(long)]
    dry_run: bool,
    /// However many users or groups leave, it is meant
    #[arg(long)]
    accept_leavers: bool,
    /// Read everything, though the directory could tell what has changed
    #[arg(long)]
    full: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Ldap {
    /// Does it.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Test => test(config).await,
            Self::Sync(sync) => follow(config, sync).await,
        }
    }
}

async fn test(config: &Config) -> anyhow::Result<()> {
    let settings = directory::settings(&config.ldap)
        .context("no directory is configured; set ldap.url and ldap.user_base")?;
    // In a task of its own: ldap3 may panic on what a server says.
    let (lines, mut said) = tokio::sync::mpsc::unbounded_channel();
    let examined = tokio::spawn(async move {
        let mut say = |step| {
            let _ = lines.send(step);
        };
        examine(settings, &mut say).await
    });
    while let Some(step) = said.recv().await {
        show::print(&match step {
            Step::Ok(what) => format!("OK      {what}\n"),
            Step::Failed(what) => format!("FAILED  {what}\n"),
            Step::Warning(what) => format!("WARNING {what}\n"),
            Step::Sample(what) => format!("        {what}\n"),
        })?;
    }
    match examined.await {
        Ok(true) => Ok(()),
        Ok(false) => bail!("the directory cannot be used; the last line of standard output says why"),
        Err(_) => bail!("the directory's answers cannot be read"),
    }
}

async fn follow(config: &Config, sync: Sync) -> anyhow::Result<()> {
    let Sync { dry_run, accept_leavers, full, json } = sync;
    let request = AdminRequest::LdapSync { dry_run, accept_leavers, full };
    let AdminAnswer::Synced(report) = ask(config, request).await? else {
        bail!("the server answered something else; is it another version?");
    };
    match json {
        true => show::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?,
        false => show::print(&told(&report))?,
    }
    if let (Some(leavers), false) = (report.pending_leavers, dry_run) {
        bail!(
            "{leavers} users or groups would leave, so nothing was done; look at --dry-run, and repeat with --accept-leavers if it is meant"
        );
    }
    Ok(())
}

/// The report in lines; what the directory wrote steers no terminal.
fn told(report: &SyncReport) -> String {
    let mut lines = Vec::new();
    for (what, names) in [
        ("comes", &report.came),
        ("comes back", &report.back),
        ("goes", &report.went),
        ("group comes", &report.groups_came),
        ("group goes", &report.groups_went),
    ] {
        lines.extend(names.iter().map(|name| format!("{what}: {name}")));
    }
    lines.extend(report.renamed.iter().map(|(from, to)| format!("is renamed: {from} -> {to}")));
    lines.extend(report.refused.iter().map(|refused| format!("refused: {} ({})", refused.name, refused.why)));
    lines.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    if report.dry_run {
        lines
            .extend(report.pending_leavers.map(|leavers| format!("{leavers} leavers need --accept-leavers")));
        lines.push(format!("{} users would change otherwise; nothing was written", report.changed));
    } else {
        let cards = format!("{} cards written, {} removed", report.cards_written, report.cards_removed);
        lines.push(format!("{} users changed otherwise; {cards}", report.changed));
    }
    let one_line = |line: &String| line.chars().filter(|c| !c.is_control()).collect::<String>() + "\n";
    lines.iter().map(one_line).collect()
}
