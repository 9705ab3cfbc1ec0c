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
    /// Put right what can be derived from other records, then check
    #[arg(long)]
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
        let AdminAnswer::Checked(report) = ask(config, AdminRequest::Check { repair: self.repair }).await?
        else {
            bail!("the server answered something else; is it another version?");
        };
        for fault in &report.faults {
            show::print(&format!("{fault}\n"))?;
        }
        show::print(&format!(
            "{} accounts, {} address books, {} cards, {} calendars, {} entries checked\n",
            report.accounts, report.books, report.cards, report.calendars, report.objects
        ))?;
        show::print(&format!(
            "vCard 4.0: {} cards hold to RFC 6350, {} are kept as their clients wrote them\n",
            report.strict, report.lenient
        ))?;
        if report.more_faults > 0 {
            show::print(&format!("{} more faults are not listed\n", report.more_faults))?;
        }
        let left = report.count();
        if self.repair {
            show::print(&format!("{} repaired, {left} left\n", report.repaired))?;
        }
        match left {
            0 => Ok(()),
            left if self.repair => bail!(
                "{left} faults are left, listed on standard output: nothing else in the store answers for them; restore a backup"
            ),
            left => bail!(
                "{left} faults found, listed on standard output; 'cardkeep check --repair' mends what it can"
            ),
        }
    }
}
