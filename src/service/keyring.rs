//! The keyring that the server keeps beside the backups' own: written anew whenever something was
//! erased, so that it opens that in no archive any more.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::archive::keyring::Passphrase;
use crate::store::archive::replace::replace_if_behind;

use super::{Service, fault};

/// How long it rests when it could not be written.
const AGAIN: Duration = Duration::from_secs(60);
/// For how many times as long as writing took it rests afterwards, since it is written whole: at
/// most a tenth of a disk's time goes into it, however much is erased.
const REST: u32 = 9;
/// Whatever the clock says.
const LONGEST_REST: Duration = Duration::from_secs(600);

/// Where the keyring is.
#[derive(Clone)]
pub struct KeyringPlace {
    /// Its file.
    pub path: PathBuf,
    /// What it is sealed with.
    pub passphrase: Option<Passphrase>,
}

crate::hidden!(KeyringPlace);

/// Whether the keyring is behind.
#[derive(Default)]
pub struct Upkeep {
    wanted: Notify,
    behind: AtomicBool,
}

impl Upkeep {
    /// Something was erased.
    pub(super) fn wake(&self) {
        self.behind.store(true, Ordering::Release);
        self.wanted.notify_one();
    }
}

impl Service {
    /// Writes the keyring anew when it is behind, now and whenever something was erased; runs until
    /// dropped. Does nothing when none is configured.
    pub async fn keep_keyring(&self) {
        if self.settings.keyring.is_none() {
            return;
        }
        loop {
            let began = self.clock.now();
            match self.write_keyring().await {
                Ok(()) => {
                    let took = Duration::try_from(self.clock.now().duration_since(began));
                    tokio::time::sleep((took.unwrap_or_default() * REST).min(LONGEST_REST)).await;
                    self.keyring_upkeep.wanted.notified().await;
                }
                Err(why) => {
                    tracing::error!(%why, "the keyring still opens what was erased since it was written");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Writes the keyring anew if something was erased since that was done last.
    pub(super) async fn settle_keyring(&self) {
        if self.keyring_upkeep.behind.load(Ordering::Acquire)
            && let Err(why) = self.write_keyring().await
        {
            tracing::error!(%why, "the keyring still opens what was erased since it was written");
        }
    }

    async fn write_keyring(&self) -> Result<(), String> {
        let Some(place) = self.settings.keyring.clone() else { return Ok(()) };
        // What is erased from here on may be missing in it, and makes it behind again.
        self.keyring_upkeep.behind.store(false, Ordering::Release);
        let done = match self.store.keyring(self.clock.now()).await {
            Ok(now) => {
                let entropy = self.entropy.clone();
                let write = move || {
                    let passphrase = place.passphrase.as_ref();
                    let done = replace_if_behind(&place.path, &now.keyring, passphrase, entropy.as_ref());
                    done.map_err(|error| format!("{}: {error}", place.path.display()))
                };
                let done = tokio::task::spawn_blocking(write).await;
                done.unwrap_or_else(|_| Err("a task of the keyring ended early".to_owned()))
            }
            Err(error) => Err(fault(error).0),
        };
        if done.is_err() {
            self.keyring_upkeep.behind.store(true, Ordering::Release);
        }
        done.map(drop)
    }
}
