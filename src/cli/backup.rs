//! `cardkeep backup`: writes an archive, and once that is on the disk puts the keyring of now in the
//! place of the one before, so that what was erased since is in no keyring any more.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::config::Config;
use crate::server::handout::{Handout, Taken};
use crate::server::{SystemEntropy, boot};
use crate::store::archive::file::{NewFile, Replacement};
use crate::store::archive::keyring::{Keyring, KeyringError, Passphrase};

use super::ask::Source;
use super::progress::{Bar, size};
use super::{Usage, secret, show};

/// Write an archive of everything, sealed, and the keyring that opens it
#[derive(Args)]
pub struct Backup {
    /// The archive to write; it must not be there yet
    file: PathBuf,
    /// The keyring, which is replaced; without it, the one that the configuration names
    #[arg(long, value_name = "K")]
    keyring: Option<PathBuf>,
    /// Replace the keyring even when it holds keys that this store does not know
    #[arg(long)]
    forget: bool,
    /// A file whose first line is the passphrase that protects the keyring
    #[arg(long, value_name = "P")]
    passphrase_file: Option<PathBuf>,
}

impl Backup {
    /// Does it.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        let keyring = keyring_path(self.keyring.as_deref(), config)?;
        let passphrase = passphrase(self.passphrase_file.as_deref(), config)?;
        if keyring == self.file {
            return Err(Usage("the archive and the keyring cannot be one file".to_owned()).into());
        }
        let data = &config.server.data;
        if !boot::holds_a_store(data) {
            bail!("there is nothing to back up in {}; name the data directory with --data", data.display());
        }
        let source = Source::find(config).await?;
        let done = self.through(&source, &keyring, passphrase.as_ref()).await;
        source.close().await.and(done)
    }

    async fn through(
        &self,
        source: &Source<'_>,
        keyring: &Path,
        passphrase: Option<&Passphrase>,
    ) -> anyhow::Result<()> {
        // Before the work, and once more before the old keyring goes: it may have changed.
        let (now, _) = take_keyring(source).await?;
        self.check(&now, keyring, Replacement::begin(keyring), passphrase)?;
        let mut bar = Bar::new("backing up");
        let (taken, bytes) = self.archive(source, &mut bar).await?;
        let (now, unreadable) = take_keyring(source).await?;
        let place = self.check(&now, keyring, Replacement::begin(keyring), passphrase)?;
        let written = place.finish(|out| now.write(out, passphrase, &SystemEntropy).map(drop));
        written.with_context(|| wrote(&self.file, keyring))?;
        let took = bar.took();
        drop(bar);
        let Taken { accounts, books, contacts, calendars, objects, passed_over, .. } = taken;
        show::print(&format!(
            "{accounts} accounts, {books} address books, {contacts} contacts, {calendars} calendars, {objects} entries \
             backed up: {} in {:.1} s; {} opens {}\n",
            size(bytes),
            took.as_secs_f64(),
            keyring.display(),
            self.file.display(),
        ))?;
        if passed_over + unreadable > 0 {
            let text =
                "{} objects are damaged in the store and cannot be restored; 'cardkeep check' tells more\n";
            show::print(&text.replace("{}", &(passed_over + unreadable).to_string()))?;
        }
        Ok(())
    }

    async fn archive(&self, source: &Source<'_>, bar: &mut Bar) -> anyhow::Result<(Taken, u64)> {
        let shown = self.file.display();
        let mut file = NewFile::create(&self.file).with_context(|| format!("{shown} cannot be written"))?;
        let mut bytes = 0;
        let mut sink = |part: &[u8], progress: Option<(u64, u64)>| {
            bytes += part.len() as u64;
            let (done, of) = progress.unwrap_or_default();
            bar.show(done, of, bytes);
            file.write_all(part).map_err(|error| io::Error::new(error.kind(), format!("{shown}: {error}")))
        };
        let taken = source.take(Handout::Archive, &mut sink).await?;
        file.finish().with_context(|| format!("{shown} cannot be written"))?;
        Ok((taken, bytes))
    }

    /// Whether the keyring of now may take the place of the one that is there.
    fn check(
        &self,
        now: &Keyring,
        path: &Path,
        place: io::Result<Replacement>,
        passphrase: Option<&Passphrase>,
    ) -> anyhow::Result<Replacement> {
        let shown = path.display();
        let place = place.with_context(|| format!("the keyring {shown} cannot be replaced"))?;
        if self.forget {
            return Ok(place);
        }
        let Some(old) = place.old().with_context(|| format!("the keyring {shown} cannot be read"))? else {
            return Ok(place);
        };
        let old = match Keyring::read(old, passphrase) {
            Ok(old) => old,
            Err(error @ (KeyringError::NeedsPassphrase | KeyringError::WrongPassphrase)) => {
                return Err(error).with_context(|| shown.to_string());
            }
            Err(error) => {
                let what = format!("{shown} is not replaced, unless with --forget or under another name");
                return Err(error).context(what);
            }
        };
        now.may_replace(&old).with_context(|| shown.to_string())?;
        Ok(place)
    }
}

/// The keyring of now, and how many objects have lost their key.
async fn take_keyring(source: &Source<'_>) -> anyhow::Result<(Keyring, u64)> {
    let mut bytes = Vec::new();
    let mut sink = |part: &[u8], _: Option<(u64, u64)>| {
        bytes.extend_from_slice(part);
        Ok(())
    };
    let taken = source.take(Handout::Keyring, &mut sink).await?;
    let keyring = Keyring::read(bytes.as_slice(), None);
    bytes.fill(0);
    Ok((std::hint::black_box(keyring)?, taken.unreadable))
}

/// Where the keyring is.
pub(super) fn keyring_path(given: Option<&Path>, config: &Config) -> anyhow::Result<PathBuf> {
    let path = given.or(config.backup.keyring.as_deref()).map(Path::to_path_buf);
    path.ok_or_else(|| Usage("name the keyring with --keyring, or set backup.keyring".to_owned()).into())
}

/// What protects the keyring.
pub(super) fn passphrase(file: Option<&Path>, config: &Config) -> anyhow::Result<Option<Passphrase>> {
    let Some(file) = file else {
        return Ok(config.backup.passphrase.as_ref().and_then(|secret| Passphrase::new(secret.reveal())));
    };
    let line = secret::line_of(file)?;
    match Passphrase::new(&line) {
        Some(passphrase) => Ok(Some(passphrase)),
        None => bail!("the passphrase in {} is empty", file.display()),
    }
}

fn wrote(file: &Path, keyring: &Path) -> String {
    format!(
        "the archive {} is written, but not the keyring {}; make room there and back up again",
        file.display(),
        keyring.display()
    )
}
