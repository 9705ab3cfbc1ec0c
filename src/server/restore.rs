//! Restoring into an empty data directory: the store is built in a directory of its own within it,
//! and put in place once it is whole, so that an interrupted restore leaves nothing that counts.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::domain::event::{Event, EventKind};
use crate::service::directory::begin_anew;
use crate::service::{Clock as _, KeyFile};
use crate::store::Store;
use crate::store::archive::keyring::Keyring;
use crate::store::archive::reader::Mode;
use crate::store::commit::Commit;
use crate::store::keyslots::file::FileMedium;
use crate::store::restore::{Plan, RestoreError, Restored, verify};

use super::boot::{self, BootError, KEYS, STORE};
use super::clock::{SystemClock, SystemEntropy};
use super::{control, master};

/// Where the store is built.
const SITE: &str = "restore.new";
/// Held by whoever builds.
const LOCK: &str = "lock";

/// Brings back what an archive holds and a keyring opens; `progress` learns how many bytes are read,
/// of twice the archive's.
pub async fn restore(
    config: &Config,
    archive: &Path,
    keyring: &Keyring,
    mode: Mode,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, BootError> {
    let data = &config.server.data;
    boot::make_directory(data)?;
    let running = control::find(data).await;
    if running.is_ok_and(|running| running.is_some()) {
        return Err(BootError::InUse(data.display().to_string()));
    }
    let site = Site::lay(data)?;
    let told = |error: RestoreError| BootError::Failed(error.to_string());
    let mut source = || -> io::Result<Box<dyn Read>> { Ok(Box::new(File::open(archive)?)) };
    let verified = verify(&mut source, keyring, mode, progress).map_err(told)?;
    let masters = master::obtain(config, true)?;
    let engine = boot::engine_in(&site.path, config.store.cache).await?;
    let medium = FileMedium::create(&site.path.join(KEYS)).map_err(|error| failed(data, &error))?;
    let file = KeyFile::new(medium, masters.keys);
    let plan = Plan { engine: engine.clone(), file, entropy: Arc::new(SystemEntropy), keyring, progress };
    let (store, done) = match Store::restore(plan, verified, &mut source).await {
        Ok(restored) => restored,
        Err(error) => {
            let _ = engine.close().await;
            return Err(told(error));
        }
    };
    let now = SystemClock.now();
    let events = vec![Event::new(EventKind::Restored, now)];
    let anew = begin_anew(&store).await.map_err(|error| failed(data, &error))?;
    let commit = Commit { events, ..Commit::new(None, now, Vec::new(), anew.into_iter().collect()) };
    store.commit(&commit).await.map_err(|error| failed(data, &error))?;
    store.close(now).await.map_err(|error| failed(data, &error))?;
    site.move_in(data).map_err(|error| failed(data, &error))?;
    Ok(done)
}

/// Where a store is built; cleared away when this goes.
struct Site {
    path: PathBuf,
    _lock: File,
}

impl Site {
    fn lay(data: &Path) -> Result<Self, BootError> {
        let path = data.join(SITE);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| failed(data, &error))?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.join(LOCK)).map_err(|error| failed(data, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BootError::InUse(data.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(failed(data, &error)),
        }
        let site = Self { path, _lock: lock };
        site.clear(data).map_err(|error| failed(data, &error))?;
        for file in [STORE, KEYS] {
            if data.join(file).exists() {
                return Err(BootError::Failed(format!(
                    "there is a store in {} already; name an empty data directory with --data",
                    data.display()
                )));
            }
        }
        Ok(site)
    }

    /// Removes what an interrupted restore left.
    fn clear(&self, data: &Path) -> io::Result<()> {
        let (keys, placed) = (self.path.join(KEYS), data.join(KEYS));
        // The keys come first; without their store they are of no use.
        if !data.join(STORE).exists() && same(&keys, &placed) {
            fs::remove_file(&placed)?;
        }
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() != LOCK {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Gives the store its place, the keys first: what has no store's file counts as empty.
    fn move_in(&self, data: &Path) -> io::Result<()> {
        for file in [KEYS, STORE] {
            let (from, to) = (self.path.join(file), data.join(file));
            // Never over what came there meanwhile. Not every file system knows second names.
            match fs::hard_link(&from, &to) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
                Err(_) if to.exists() => return Err(ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(&from, &to)?,
            }
            File::open(data)?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether two names are of one file.
fn same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    id(one).is_some_and(|one| Some(one) == id(other))
}

fn failed(data: &Path, error: &dyn std::fmt::Display) -> BootError {
    BootError::Failed(format!("nothing can be restored into {}: {error}", data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interrupted_restore_left_is_cleared_and_a_store_is_not() {
        let room = tempfile::tempdir().unwrap();
        let data = room.path();
        let site = Site::lay(data).unwrap();
        assert!(matches!(Site::lay(data), Err(BootError::InUse(_))));
        fs::write(site.path.join(KEYS), "keys").unwrap();
        fs::write(site.path.join(STORE), "store").unwrap();
        // Interrupted when the keys were in place.
        fs::hard_link(site.path.join(KEYS), data.join(KEYS)).unwrap();
        std::mem::forget(site);
        // The lock of the forgotten one is still held by this process.
        fs::remove_file(data.join(SITE).join(LOCK)).unwrap();
        let site = Site::lay(data).unwrap();
        assert!(!data.join(KEYS).exists() && !site.path.join(STORE).exists());
        fs::write(site.path.join(KEYS), "keys").unwrap();
        fs::write(site.path.join(STORE), "store").unwrap();
        site.move_in(data).unwrap();
        assert!(site.move_in(data).is_err());
        drop(site);
        assert_eq!(fs::read(data.join(STORE)).unwrap(), b"store");
        assert!(!data.join(SITE).exists());
        let error = Site::lay(data).err().unwrap().to_string();
        assert!(error.contains("there is a store in"), "{error}");
        assert_eq!(fs::read(data.join(KEYS)).unwrap(), b"keys");
        assert!(!data.join(SITE).exists());
    }
}
