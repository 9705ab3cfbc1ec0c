//! `cardkeep restore`: an empty data directory gets back what an archive holds and a keyring opens.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::config::Config;
use crate::server::restore::restore;
use crate::store::archive::keyring::Keyring;
use crate::store::archive::reader::Mode;
use crate::store::restore::Restored;
use crate::store::rows;

use super::backup::{keyring_path, passphrase};
use super::progress::Bar;
use super::show;

/// Fill an empty data directory from an archive
#[derive(Args)]
pub struct Restore {
    /// The archive
    file: PathBuf,
    /// The keyring; without it, the one that the configuration names
    #[arg(long, value_name = "K")]
    keyring: Option<PathBuf>,
    /// Bring back what is whole of a damaged archive
    #[arg(long)]
    partial: bool,
    /// A file whose first line is the passphrase that protects the keyring
    #[arg(long, value_name = "P")]
    passphrase_file: Option<PathBuf>,
}

impl Restore {
    /// Does it.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        let path = keyring_path(self.keyring.as_deref(), config)?;
        let passphrase = passphrase(self.passphrase_file.as_deref(), config)?;
        let shown = path.display();
        let keyring = File::open(&path).with_context(|| format!("the keyring {shown} cannot be read"))?;
        let keyring = Keyring::read(keyring, passphrase.as_ref()).with_context(|| shown.to_string())?;
        let archive = self.file.display();
        let size = std::fs::metadata(&self.file).with_context(|| format!("{archive} cannot be read"))?.len();
        let mode = if self.partial { Mode::Partial } else { Mode::Strict };
        let mut bar = Bar::new("restoring");
        // It is read twice: to verify it, and to write what is in it.
        let of = size.saturating_mul(2);
        let mut progress = |done: u64| bar.show(done, of, done / 2);
        let told = restore(config, &self.file, &keyring, mode, &mut progress).await;
        let took = bar.took();
        drop(bar);
        let told = told.with_context(|| archive.to_string())?;
        show::print(&summary(&told, took.as_secs_f64()))
    }
}

fn summary(told: &Restored, seconds: f64) -> String {
    let Restored { accounts, books, contacts, calendars, objects, .. } = told;
    let mut text = format!(
        "{accounts} accounts, {books} address books, {contacts} contacts, {calendars} calendars, {objects} \
         entries restored"
    );
    if let Some(made) = told.made {
        text += &format!(", as they were at {:.0}", rows::time(made));
    }
    text += &format!(", in {seconds:.1} s\n");
    let lines = [
        (told.erased, "could not be opened: they were erased since"),
        (told.keyless, "could not be opened: they are newer than the keyring"),
        (told.damaged, "were damaged before they were backed up, and are left out"),
        (told.homeless, "are left out, because their account, address book or calendar is"),
    ];
    for (count, what) in lines.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!("{count} objects {what}\n");
    }
    for gap in &told.first_gaps {
        let (bytes, blocks) = (&gap.bytes, &gap.blocks);
        let what = match blocks.len() {
            0 => String::new(),
            1 => format!(", block {}", blocks.start),
            _ => format!(", blocks {} to {}", blocks.start, blocks.end - 1),
        };
        text += &format!("lost: bytes {} to {}{what}: {}\n", bytes.start, bytes.end, gap.what);
    }
    let untold = told.gaps.saturating_sub(told.first_gaps.len() as u64);
    if untold > 0 {
        text += &format!("lost: {untold} more places\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::archive::reader::{Damage, Gap};

    #[test]
    fn what_is_missing_is_told_line_by_line() {
        let gap = Gap { bytes: 10..20, blocks: 3..5, what: Damage::Checksum };
        let told = Restored {
            made: Some(0),
            accounts: 1,
            books: 2,
            contacts: 3,
            calendars: 2,
            objects: 9,
            erased: 4,
            keyless: 5,
            gaps: 2,
            first_gaps: vec![gap],
            ..Restored::default()
        };
        let expected = "1 accounts, 2 address books, 3 contacts, 2 calendars, 9 entries restored, as they were at 1970-01-01T00:00:00Z, in 1.5 s\n\
             4 objects could not be opened: they were erased since\n\
             5 objects could not be opened: they are newer than the keyring\n\
             lost: bytes 10 to 20, blocks 3 to 4: its checksum is wrong\n\
             lost: 1 more places\n";
        assert_eq!(summary(&told, 1.52), expected);
    }
}
