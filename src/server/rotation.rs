//! The master key's file when the key changes. The new key lies beside it, in `FILE.next`, until
//! every data key is wrapped with it; then it takes the name. What a crash leaves of that is sorted
//! out at the next start. Knows no data key and no row.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::secret::KeyBytes;
use crate::service::rotation::MasterPlace;
use crate::store::keyslots::{KeySlots, MasterKey, Medium, Standing};

use super::boot::BootError;
use super::master::{self, Masters};

/// How many bytes of a replaced file are overwritten: more than a key's file has.
const SCRUB: usize = 256;

/// What the keys that were found are to the data keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The current key opens them, or there is nothing to open yet, or nobody can say.
    Whole,
    /// They are on their way to the next key.
    Rotating,
    /// The current key has nothing to do with them.
    Wrong,
}

/// Sorts out what a rotation left, whose data keys are in `medium`; nobody else may have the store.
pub fn sort_out(masters: &mut Masters, medium: &dyn Medium) -> Result<Found, BootError> {
    let stands = |key: &MasterKey| KeySlots::standing(medium, key).ok();
    let mut keys = masters.keys.iter();
    let current = keys.next().and_then(stands);
    let Some(next) = keys.next() else {
        return Ok(if current == Some(Standing::Unknown) { Found::Wrong } else { Found::Whole });
    };
    let (next, file) = (stands(next), masters.file.clone().unwrap_or_default());
    let wrong = |error: io::Error| BootError::Failed(cannot("be sorted out", &file, &error));
    match (current, next) {
        (_, Some(Standing::Current)) => {
            promote(&file).map_err(wrong)?;
            masters.keys.swap_remove(0);
            Ok(Found::Whole)
        }
        (_, Some(Standing::Next)) => Ok(Found::Rotating),
        (Some(Standing::Current), Some(Standing::Unknown)) => {
            remove(&master::next_of(&file)).map_err(wrong)?;
            masters.keys.truncate(1);
            Ok(Found::Whole)
        }
        (Some(Standing::Unknown), _) => Ok(Found::Wrong),
        // Either there are no data keys yet, or what is wrong with them is said when they are read.
        _ => {
            masters.keys.truncate(1);
            Ok(Found::Whole)
        }
    }
}

/// Where the master key of an open store is kept.
pub struct Place {
    file: Option<PathBuf>,
    name: String,
}

impl Place {
    /// The place that a master key was found in.
    pub fn of(masters: &Masters) -> Self {
        Self { file: masters.file.clone(), name: masters.place.clone() }
    }
}

impl MasterPlace for Place {
    fn prepare(&self, given: Option<&MasterKey>) -> Result<MasterKey, String> {
        let Some(file) = &self.file else {
            return given.cloned().ok_or_else(|| {
                format!(
                    "the master key is in {}, which this program cannot replace; name a file for the new one with --new-key-file",
                    self.name
                )
            });
        };
        let next = master::next_of(file);
        if let Some(begun) = master::read(&next, true).map_err(|error| error.to_string())? {
            return Ok(begun);
        }
        let key = match given {
            Some(key) => KeyBytes::new(*key.as_bytes()),
            None => master::random().map_err(|error| error.to_string())?,
        };
        master::put(&next, &key).map_err(|error| cannot("be replaced", file, &error))?;
        let kept = master::read(&next, true).map_err(|error| error.to_string())?;
        kept.ok_or_else(|| cannot("be replaced", file, &io::Error::from(ErrorKind::NotFound)))
    }

    fn promote(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.file else { return Ok(None) };
        promote(file).map_err(|error| {
            format!(
                "the new master key is in force, but still in {}: {error}; the next start puts it in its place",
                master::next_of(file).display()
            )
        })?;
        let shown = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        Ok(Some(shown.display().to_string()))
    }
}

fn cannot(what: &str, file: &Path, error: &io::Error) -> String {
    format!("the master key {} cannot {what}: {error}; nothing was changed", file.display())
}

/// The next key's file takes the name of the current one's, of which nothing stays.
fn promote(file: &Path) -> io::Result<()> {
    let old = OpenOptions::new().write(true).open(file);
    std::fs::rename(master::next_of(file), file)?;
    master::sync_directory(file)?;
    // What of the old file cannot be overwritten opens nothing any more.
    drop(old.and_then(scrub));
    Ok(())
}

fn remove(next: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(next);
    match std::fs::remove_file(next) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    drop(file.and_then(scrub));
    master::sync_directory(next)
}

/// Overwrites a file that has no name any more; one that has another name is somebody's copy.
fn scrub(mut file: File) -> io::Result<()> {
    if file.metadata()?.nlink() == 0 {
        file.write_all(&[0; SCRUB])?;
        file.sync_data()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::store::keyslots::memory::MemoryMedium;

    use super::super::clock::SystemEntropy;
    use super::*;

    struct Room {
        room: tempfile::TempDir,
        medium: MemoryMedium,
    }

    const OLD: [u8; 32] = [1; 32];
    const NEW: [u8; 32] = [2; 32];

    impl Room {
        /// Data keys that a first key wrapped, which is in a file.
        fn new() -> Self {
            let this = Self { room: tempfile::tempdir().unwrap(), medium: MemoryMedium::new() };
            let entropy = Arc::new(SystemEntropy);
            KeySlots::create(Box::new(this.medium.clone()), &MasterKey::new(OLD), [9; 16], entropy).unwrap();
            master::put(&this.file(), &KeyBytes::new(OLD)).unwrap();
            this
        }

        fn file(&self) -> PathBuf {
            self.room.path().join("key")
        }

        fn masters(&self) -> Masters {
            let mut config = crate::config::Config::default();
            config.store.master_key_file = Some(self.file());
            master::obtain(&config, false).unwrap()
        }

        fn rotate(&self, to: [u8; 32]) {
            let masters: Vec<_> = [OLD, NEW].into_iter().map(MasterKey::new).collect();
            let slots = KeySlots::open(Box::new(self.medium.clone()), &masters, Arc::new(SystemEntropy));
            slots.unwrap().rotate(&MasterKey::new(to)).unwrap();
        }

        /// What a start makes of it, the keys that it goes on with, and the files after it.
        fn start(&self) -> (Found, Vec<MasterKey>, usize) {
            let mut masters = self.masters();
            let found = sort_out(&mut masters, &self.medium).unwrap();
            (found, masters.keys, std::fs::read_dir(self.room.path()).unwrap().count())
        }
    }

    #[test]
    fn a_rotation_takes_the_new_key_to_the_old_ones_place() {
        let room = Room::new();
        let place = Place::of(&room.masters());
        let other = room.room.path().join("watch");
        let next = place.prepare(None).unwrap();
        assert!(next != MasterKey::new(OLD) && next == place.prepare(Some(&MasterKey::new(NEW))).unwrap());
        assert_eq!(place.promote().unwrap().unwrap(), room.file().canonicalize().unwrap().to_str().unwrap());
        assert!(room.masters().keys == [next]);
        // Another name of the old file keeps it as it was: somebody made a copy.
        std::fs::hard_link(room.file(), &other).unwrap();
        let newer = place.prepare(Some(&MasterKey::new(NEW))).unwrap();
        place.promote().unwrap();
        assert!(newer == MasterKey::new(NEW) && room.masters().keys == [newer]);
        assert_eq!(std::fs::read(&other).unwrap().len(), 65);
    }

    #[test]
    fn of_a_replaced_file_nothing_stays() {
        let room = Room::new();
        let mut old = File::open(room.file()).unwrap();
        let place = Place::of(&room.masters());
        place.prepare(None).unwrap();
        place.promote().unwrap();
        let mut text = Vec::new();
        io::Read::read_to_end(&mut old, &mut text).unwrap();
        assert_eq!(text, [0; SCRUB]);
    }

    #[test]
    fn a_key_that_is_in_no_file_needs_one_for_the_next() {
        let place = Place { file: None, name: "store.master_key".to_owned() };
        assert!(place.prepare(None).unwrap_err().contains("--new-key-file"));
        assert!(place.prepare(Some(&MasterKey::new(NEW))).unwrap() == MasterKey::new(NEW));
        assert_eq!(place.promote(), Ok(None));
    }

    #[test]
    fn a_start_sorts_out_what_a_rotation_left() {
        let room = Room::new();
        let next = master::next_of(&room.file());
        assert_eq!(room.start(), (Found::Whole, vec![MasterKey::new(OLD)], 1));
        // Made, and then nothing.
        master::put(&next, &KeyBytes::new(NEW)).unwrap();
        assert_eq!(room.start(), (Found::Whole, vec![MasterKey::new(OLD)], 1));
        // All done, but for the name.
        master::put(&next, &KeyBytes::new(NEW)).unwrap();
        room.rotate(NEW);
        assert_eq!(room.start(), (Found::Whole, vec![MasterKey::new(NEW)], 1));
        assert_eq!(room.start(), (Found::Whole, vec![MasterKey::new(NEW)], 1));
        // From long ago.
        master::put(&next, &KeyBytes::new(OLD)).unwrap();
        assert_eq!(room.start(), (Found::Whole, vec![MasterKey::new(NEW)], 1));
    }

    #[test]
    fn another_key_is_told_and_takes_nothing_away() {
        let room = Room::new();
        let next = master::next_of(&room.file());
        room.rotate(NEW);
        assert_eq!(room.start().0, Found::Wrong);
        master::put(&next, &KeyBytes::new([3; 32])).unwrap();
        assert_eq!(room.start(), (Found::Wrong, vec![MasterKey::new(OLD), MasterKey::new([3; 32])], 2));
    }

    #[test]
    fn before_there_are_data_keys_the_current_key_counts() {
        let mut room = Room::new();
        room.medium = MemoryMedium::new();
        assert_eq!(room.start(), (Found::Whole, vec![MasterKey::new(OLD)], 1));
        master::put(&master::next_of(&room.file()), &KeyBytes::new(NEW)).unwrap();
        assert_eq!(room.start(), (Found::Whole, vec![MasterKey::new(OLD)], 2));
    }
}
