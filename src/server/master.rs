//! Where the master key comes from: the configuration, a credential of systemd, or a file, which is
//! made when a store is. Knows no data key and no row. No key byte is in an error, a log line or
//! anybody else's reach.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::secret::{KeyBytes, wipe};
use crate::store::keyslots::MasterKey;

use super::boot::BootError;

/// The longest text that is read as a key: its digits, and generous white space.
const LONGEST: u64 = 256;

/// The keys that may open the store.
pub struct Masters {
    /// The current one, then the one that a rotation was about to replace it with.
    pub keys: Vec<MasterKey>,
    /// Where they are from, for people.
    pub place: String,
    /// The current key's file, where it is in one that may be replaced.
    pub file: Option<PathBuf>,
}

crate::hidden!(Masters);

/// Finds the master key. A `fresh` data directory, in which no store was ever made, gets a new one
/// in a file, unless the configuration says another place.
pub fn obtain(config: &Config, fresh: bool) -> Result<Masters, BootError> {
    if let Some(key) = &config.store.master_key {
        let place = "store.master_key".to_owned();
        return Ok(Masters { keys: vec![MasterKey::new(*key.as_bytes())], place, file: None });
    }
    if let Some(path) = &config.store.credential {
        // Who may read it is systemd's to say: its access lists show as a mode for the group.
        let key = read(path, false)?.ok_or_else(|| missing(path, &config.server.data))?;
        let place = "the systemd credential cardkeep-master-key".to_owned();
        return Ok(Masters { keys: vec![key], place, file: None });
    }
    let file = key_file(config)?;
    let current = match read(&file, true)? {
        Some(key) => key,
        None if fresh => make(&file, "store.master_key_file")?,
        None => return Err(missing(&file, &config.server.data)),
    };
    // A link stays one when what it leads to is replaced.
    let file = file.canonicalize().unwrap_or(file);
    let next = read(&next_of(&file), true)?;
    let keys = [Some(current), next].into_iter().flatten().collect();
    Ok(Masters { keys, place: file.display().to_string(), file: Some(file) })
}

/// Where a rotation keeps the key that is to replace the one in `file`.
pub fn next_of(file: &Path) -> PathBuf {
    with_end(file, ".next")
}

/// Puts a new key into `file`, which must not be there: whole, for its owner only, on the disk when
/// this returns. False when somebody else was faster.
pub fn put(file: &Path, key: &KeyBytes) -> io::Result<bool> {
    let draft = with_end(file, &format!(".{}", std::process::id()));
    let _ = std::fs::remove_file(&draft);
    let done = write(&draft, key).and_then(|()| match std::fs::hard_link(&draft, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    });
    let _ = std::fs::remove_file(&draft);
    // Also when it was there already: whoever was faster may not have come this far.
    done.and_then(|new| sync_directory(file).map(|()| new))
}

/// Makes what happened to a file's name durable.
pub fn sync_directory(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// A new key.
pub fn random() -> Result<KeyBytes, BootError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| BootError::Failed(format!("the system gives no randomness: {error}")))?;
    let key = KeyBytes::new(bytes);
    wipe(&mut bytes);
    Ok(key)
}

/// The file that the configuration names, or the one beside the data directory.
fn key_file(config: &Config) -> Result<PathBuf, BootError> {
    if let Some(file) = &config.store.master_key_file {
        return Ok(file.clone());
    }
    let data = &config.server.data;
    // `.` and `..` have no name of their own; a slash at the end does not count.
    let named = match data.file_name() {
        Some(_) => Some(data.components().collect()),
        None => data.canonicalize().ok().filter(|path| path.file_name().is_some()),
    };
    named.map(|path: PathBuf| with_end(&path, ".key")).ok_or_else(|| {
        BootError::Failed(format!(
            "there is no place beside the data directory {} for the master key; set store.master_key_file",
            data.display()
        ))
    })
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// The key in a file that is named for a new one; makes it when there is none.
pub fn at(file: &Path) -> Result<MasterKey, BootError> {
    match read(file, true)? {
        Some(key) => Ok(key),
        None => make(file, "--new-key-file"),
    }
}

/// Reads a key from a file, if there is one. One of `ours` is for its owner only.
pub fn read(path: &Path, ours: bool) -> Result<Option<MasterKey>, BootError> {
    let wrong = |what: String| BootError::Failed(format!("the master key {} {what}", path.display()));
    let meta = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        meta => meta.map_err(|error| wrong(format!("cannot be read: {error}")))?,
    };
    if !meta.is_file() {
        return Err(wrong("is not a file; set store.master_key_file to the file with the key".to_owned()));
    }
    if ours && meta.permissions().mode() & 0o077 != 0 {
        return Err(wrong("can be read by others than its owner; chmod 600 it".to_owned()));
    }
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text)) {
        // A rotation has just given it another name.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        taken => taken.map_err(|error| wrong(format!("cannot be read: {error}")))?,
    };
    let key = KeyBytes::from_hex(&text);
    let empty = text.trim_ascii().is_empty();
    wipe(&mut text);
    match key {
        Some(key) => Ok(Some(MasterKey::new(*key.as_bytes()))),
        None if empty => Err(wrong("is empty; put back the key from your copy of it".to_owned())),
        None => Err(wrong("is not 64 hexadecimal digits; put back the key from your copy of it".to_owned())),
    }
}

/// Makes the key of a store that is about to be made, and says that it must be kept.
fn make(file: &Path, named_by: &str) -> Result<MasterKey, BootError> {
    let wrong = |error: io::Error| {
        BootError::Failed(format!(
            "the master key {} cannot be made: {error}; name a place that can be written with {named_by}",
            file.display()
        ))
    };
    if put(file, &random()?).map_err(wrong)? {
        warn(file);
    }
    // Read again, since it may be another's, and so that what is used is what is on the disk.
    read(file, true)?.ok_or_else(|| wrong(io::Error::from(io::ErrorKind::NotFound)))
}

/// Tells whoever started the first server or command here; commands have no log.
fn warn(file: &Path) {
    let place = file.display();
    let text = "made the master key; without it the data cannot be read: keep a copy of it in a safe place, apart from backups of the data";
    if tracing::dispatcher::has_been_set() {
        tracing::warn!(%place, "{text}");
    } else {
        let _ = writeln!(io::stderr(), "cardkeep: {place}: {text}");
    }
}

fn missing(file: &Path, data: &Path) -> BootError {
    BootError::Failed(format!(
        "the master key {} of the data directory {} is missing; put it back, name its place with store.master_key_file, or restore an archive with its keyring into an empty directory",
        file.display(),
        data.display()
    ))
}

fn write(path: &Path, key: &KeyBytes) -> io::Result<()> {
    let mut text = key.to_hex();
    text.push(b'\n');
    let done = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    wipe(&mut text);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(data: PathBuf) -> Config {
        let mut config = Config::default();
        config.server.data = data;
        config
    }

    fn set(file: &Path, text: &[u8], mode: u32) {
        let _ = std::fs::remove_file(file);
        std::fs::write(file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(config: &Config, fresh: bool) -> String {
        let error = obtain(config, fresh).err().unwrap().to_string();
        assert!(!error.contains('\n') && !error.contains("5e5e"), "{error}");
        error
    }

    const DIGITS: [u8; 64] = *b"5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

    #[test]
    fn a_fresh_store_gets_a_key_beside_it_and_keeps_it() {
        let room = tempfile::tempdir().unwrap();
        let config = configured(room.path().join("data/"));
        let made = obtain(&config, true).unwrap();
        let file = room.path().join("data.key");
        assert_eq!(made.file, Some(file.canonicalize().unwrap()));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read(&file).unwrap();
        assert!(text.len() == 65 && text.ends_with(b"\n"));
        assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 1, "no draft stays");
        for fresh in [true, false] {
            assert!(obtain(&config, fresh).unwrap().keys == made.keys);
        }
        assert_eq!(format!("{made:?} {:?}", made.keys), "Masters(…) [MasterKey(…)]");
    }

    #[test]
    fn of_two_first_starts_the_slower_takes_the_key_of_the_faster() {
        let room = tempfile::tempdir().unwrap();
        let config = configured(room.path().join("data"));
        let put_first = |n: u8| put(&room.path().join("data.key"), &KeyBytes::new([n; 32])).unwrap();
        assert!(put_first(1) && !put_first(2));
        assert!(obtain(&config, true).unwrap().keys == [MasterKey::new([1; 32])]);
    }

    #[test]
    fn a_store_without_its_key_does_not_get_another() {
        let room = tempfile::tempdir().unwrap();
        let mut config = configured(room.path().join("data"));
        let error = refused(&config, false);
        assert!(error.contains("data.key") && error.contains("keyring"), "{error}");
        assert!(!room.path().join("data.key").exists());
        config.store.master_key_file = Some(room.path().join("gone/k"));
        assert!(refused(&config, false).contains("gone/k"));
        assert!(refused(&config, true).contains("cannot be made"));
        config.store.master_key_file = None;
        config.server.data = PathBuf::from("/");
        assert!(refused(&config, true).contains("store.master_key_file"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_its_content() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("k");
        let mut config = configured(room.path().join("data"));
        config.store.master_key_file = Some(file.clone());
        let long = [DIGITS; 2].concat();
        let not_hex = [&DIGITS[..63], b"x"].concat();
        for (text, mode, said) in [
            (&b""[..], 0o600, "is empty"),
            (b"\n", 0o600, "is empty"),
            (&DIGITS[..63], 0o600, "64 hexadecimal"),
            (&long, 0o600, "64 hexadecimal"),
            (&not_hex, 0o600, "64 hexadecimal"),
            (&DIGITS, 0o640, "chmod 600"),
            (&DIGITS, 0o604, "chmod 600"),
        ] {
            set(&file, text, mode);
            for fresh in [true, false] {
                let error = refused(&config, fresh);
                assert!(error.contains(said) && error.contains(file.to_str().unwrap()), "{error}");
            }
        }
        set(&file, &DIGITS, 0o400);
        assert!(obtain(&config, false).unwrap().keys == [MasterKey::new([0x5e; 32])]);
        config.store.master_key_file = Some(room.path().to_owned());
        assert!(refused(&config, true).contains("is not a file"));
    }

    #[test]
    fn the_key_that_a_rotation_brings_is_the_second() {
        let room = tempfile::tempdir().unwrap();
        let config = configured(room.path().join("data"));
        let (old, new) = (KeyBytes::new([1; 32]), KeyBytes::new([2; 32]));
        let file = room.path().join("data.key");
        assert!(put(&file, &old).unwrap() && put(&next_of(&file), &new).unwrap());
        let both = obtain(&config, false).unwrap();
        assert!(both.keys == [MasterKey::new([1; 32]), MasterKey::new([2; 32])]);
    }

    #[test]
    fn keys_from_elsewhere_have_no_file_that_could_be_replaced() {
        let room = tempfile::tempdir().unwrap();
        let mut config = configured(room.path().join("data"));
        let file = room.path().join("credential");
        set(&file, &DIGITS, 0o440);
        config.store.credential = Some(file.clone());
        let masters = obtain(&config, true).unwrap();
        assert!(masters.keys == [MasterKey::new([0x5e; 32])] && masters.file.is_none());
        set(&file, b"5e5e", 0o400);
        assert!(refused(&config, true).contains("64 hexadecimal"));
        config.store.master_key = KeyBytes::from_hex(&[b'7'; 64]);
        let masters = obtain(&config, true).unwrap();
        assert!(masters.keys == [MasterKey::new([0x77; 32])] && masters.file.is_none());
        assert!(!room.path().join("data.key").exists());
    }
}
