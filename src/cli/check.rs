//! `cardkeep check`.

use anyhow::bail;
use clap::Args;

use crate::config::Config;
use crate::service::admin::{AdminAnswer, AdminRequest};

use super::ask::ask;
use super::show;

/// Check every record, index and sync log
#[derive(Args)]
pub struct Check {
    /// Make indexes and sync logs anew where they are wrong
    #[arg(long)]
    repair: bool,
}

impl Check {
    /// Does it; any fault is a failure.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        let request = AdminRequest::Check {
            repair: self.repair,
        };
        let AdminAnswer::Checked(report) = ask(config, request).await? else {
            bail!("the server answered something else; is it another version?");
        };
        for fault in &report.faults {
            show::print(&format!("{fault}\n"))?;
        }
        show::print(&format!("{} records checked\n", report.checked))?;
        match report.faults.len() {
            0 => Ok(()),
            faults => bail!("{faults} faults found; see above"),
        }
    }
}
