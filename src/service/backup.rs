//! Backups of the store: the archive and the keyring. Where they go is the asker's to say.

use tokio::sync::mpsc::Sender;

use crate::domain::event::EventKind;
pub use crate::store::backup::{BackedUp, KeysOfNow, Part};

use super::refusal::Fault;
use super::{Service, fault};

impl Service {
    /// About how many objects a backup of now would hold.
    pub async fn objects(&self) -> Result<u64, Fault> {
        self.store.objects().await.map_err(fault)
    }

    /// Hands out an archive of everything as of now, sealed.
    pub async fn backup(&self, out: Sender<Part>) -> Result<BackedUp, Fault> {
        let done = self.store.backup(self.clock.now(), self.entropy.as_ref(), &out).await;
        let done = done.map_err(|error| Fault(error.to_string()))?;
        self.tell_done(EventKind::BackupMade).await;
        Ok(done)
    }

    /// The keys of everything that lives, and the ledger of what was erased.
    pub async fn keyring(&self) -> Result<KeysOfNow, Fault> {
        self.store.keyring(self.clock.now()).await.map_err(fault)
    }
}
