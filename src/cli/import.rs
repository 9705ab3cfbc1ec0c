//! `cardkeep import`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::config::Config;
use crate::domain::ical::Limits;
use crate::domain::ical::split::split;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::import::Imported;

use super::ask::ask;
use super::{line, show};

/// How large a question to the server is made, in octets of objects: well below what it reads.
const QUESTION: usize = 384 << 10;

/// How many objects one question brings.
const OBJECTS: usize = 512;

/// The largest file that is read.
const LARGEST: u64 = 1 << 30;

/// Bring the entries of an .ics file into a calendar
#[derive(Args)]
pub struct Import {
    /// The file
    file: PathBuf,
    /// Whose calendar
    #[arg(long, value_name = "NAME", value_parser = line)]
    user: String,
    /// The calendar's name in its URL
    #[arg(long, value_name = "NAME", default_value = "calendar", value_parser = line)]
    calendar: String,
}

impl Import {
    /// Does it. Entries that are there already, by their UIDs, are replaced.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        let shown = self.file.display();
        let size = std::fs::metadata(&self.file).with_context(|| format!("{shown} cannot be read"))?.len();
        if size > LARGEST {
            bail!("{shown} is larger than 1 GiB; split it");
        }
        let octets = std::fs::read(&self.file).with_context(|| format!("{shown} cannot be read"))?;
        let limits =
            Limits { bytes: usize::MAX, lines: usize::MAX, instances: u64::MAX, ..Limits::default() };
        // What has no UID gets the same one whenever the file is brought again.
        let uid = |octets: &[u8]| blake3::hash(octets).to_hex().as_str().chars().take(32).collect();
        let (_, pieces) = split(&octets, &limits, uid)
            .map_err(|_| anyhow::anyhow!("{shown} is no iCalendar file that can be read"))?;
        let (mut imported, mut size) = (Imported::default(), 0);
        let mut objects = Vec::new();
        for piece in pieces {
            let object = piece.kind().map(|_| String::from_utf8(piece.octets()));
            match object {
                Some(Ok(object)) if object.len() <= QUESTION => {
                    if size + object.len() > QUESTION || objects.len() == OBJECTS {
                        imported = imported.and(self.bring(config, std::mem::take(&mut objects)).await?);
                        size = 0;
                    }
                    size += object.len();
                    objects.push(object);
                }
                // Of no kind that calendars hold, no text, or larger than a question may be.
                _ => imported.refused += 1,
            }
        }
        if !objects.is_empty() {
            imported = imported.and(self.bring(config, objects).await?);
        }
        let Imported { made, changed, same, refused } = imported;
        show::print(&format!("{made} made, {changed} changed, {same} as they were, {refused} refused\n"))?;
        if refused > 0 {
            bail!("{refused} entries of {shown} were not brought: the calendar does not take them");
        }
        Ok(())
    }

    async fn bring(&self, config: &Config, objects: Vec<String>) -> anyhow::Result<Imported> {
        let (user, calendar) = (self.user.clone(), self.calendar.clone());
        match ask(config, AdminRequest::Import { user, calendar, objects }).await? {
            AdminAnswer::Imported(imported) => Ok(imported),
            _ => bail!("the server answered something else; is it another version?"),
        }
    }
}
