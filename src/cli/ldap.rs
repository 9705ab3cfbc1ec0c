//! `cardkeep ldap`. `test` needs no store: it asks the directory that the configuration names.

use anyhow::{Context as _, bail};
use clap::Subcommand;

use crate::config::Config;
use crate::directory::examine::{Step, examine};
use crate::server::directory;

use super::show;

/// The directory of users
#[derive(Subcommand)]
pub enum Ldap {
    /// Go through every step of reading the directory, and show what is found
    Test,
}

impl Ldap {
    /// Does it.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Test => test(config).await,
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
