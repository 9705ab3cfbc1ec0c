//! `cardkeep check`.

use anyhow::bail;
use clap::Args;

use crate::config::Config;
use crate::server::boot;
use crate::service::admin::{AdminAnswer, AdminRequest};

use super::ask::ask;
use super::show;

/// Check every record, index and sync log
#[derive(Args)]
pub struct Check {
    /// Taken, so that scripts may say it, and not shown: this version repairs nothing
    #[arg(long, hide = true)]
    repair: bool,
}

impl Check {
    /// Does it; any fault is a failure.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        let data = &config.server.data;
        // Opening would make an empty store, and find it sound.
        if !boot::holds_a_store(data) {
            bail!("there is nothing to check in {}; name the data directory with --data", data.display());
        }
        let AdminAnswer::Checked(report) = ask(config, AdminRequest::Check).await? else {
            bail!("the server answered something else; is it another version?");
        };
        for fault in &report.faults {
            show::print(&format!("{fault}\n"))?;
        }
        show::print(&format!(
            "{} accounts, {} address books, {} cards checked\n",
            report.accounts, report.books, report.cards
        ))?;
        show::print(&format!(
            "vCard 4.0: {} cards hold to RFC 6350, {} are kept as their clients wrote them\n",
            report.strict, report.lenient
        ))?;
        match report.faults.len() {
            0 if self.repair => show::print("nothing needs repair, which this version could not do\n"),
            0 => Ok(()),
            faults if self.repair => bail!(
                "{faults} faults found, listed on standard output; this version repairs none, restore a backup"
            ),
            faults => bail!("{faults} faults found, listed on standard output"),
        }
    }
}
