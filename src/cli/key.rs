//! `cardkeep key`: the master key.

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;

use crate::config::Config;
use crate::server::{boot, master};
use crate::service::admin::{AdminAnswer, AdminRequest};

use super::ask::ask;
use super::show;

/// The master key
#[derive(Subcommand)]
pub enum Key {
    /// Wrap all data keys with a new master key; goes on where an interrupted one ended
    Rotate {
        /// The file with the new key, made when it is missing; needed where the master key is in no
        /// file
        #[arg(long, value_name = "F")]
        new_key_file: Option<PathBuf>,
    },
}

impl Key {
    /// Does it.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self::Rotate { new_key_file } = self;
        let data = &config.server.data;
        if !boot::holds_a_store(data) {
            bail!("there is no store in {}; name the data directory with --data", data.display());
        }
        let key = new_key_file.as_deref().map(master::at).transpose()?;
        let request = AdminRequest::KeyRotate { key: key.map(|key| *key.as_bytes()) };
        let AdminAnswer::Rotated { file } = ask(config, request).await? else {
            bail!("the server answered something else; is it another version?");
        };
        let then = match (file, new_key_file) {
            (Some(file), _) => {
                format!("The master key in {file} is a new one; keep a copy of it in a safe place.")
            }
            (None, Some(file)) => format!(
                "The master key is the one in {} now. Before the next start, put it where the old one is from: \
                 CARDKEEP_STORE__MASTER_KEY, or the credential cardkeep-master-key.",
                file.display()
            ),
            (None, None) => "The master key is a new one.".to_owned(),
        };
        show::print(&format!("{then}\nThe old one opens this store no more, only earlier copies of it.\n"))
    }
}
