//! How an archive and a keyring come to lie on a disk: whole or not at all, for their owner alone,
//! and of the keyring that was there before nothing stays. Knows nothing of what is in them.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How much is written at a time.
const CHUNK: usize = 256 * 1024;

/// A new file that gets its name once it is whole and durable; dropped before, nothing of it stays.
pub struct NewFile {
    out: BufWriter<File>,
    partial: PathBuf,
    path: PathBuf,
    named: bool,
}

/// A file's replacement; one at a time, until it is dropped.
pub struct Replacement {
    new: File,
    partial: PathBuf,
    path: PathBuf,
    renamed: bool,
}

impl NewFile {
    /// Begins a file; one of that name must not be there yet.
    pub fn create(path: &Path) -> io::Result<Self> {
        // Broken links count as there.
        match fs::symlink_metadata(path) {
            Ok(_) => return Err(exists(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let partial = beside(path, ".partial");
        let file = locked(&partial)?;
        file.set_len(0)?;
        let out = BufWriter::with_capacity(CHUNK, file);
        Ok(Self { out, partial, path: path.to_path_buf(), named: false })
    }

    /// Makes the file durable and gives it its name.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        // A second name instead of a new one: another file that came to be there is left alone.
        match fs::hard_link(&self.partial, &self.path) {
            Ok(()) => fs::remove_file(&self.partial)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(&self.path)),
            // Not every file system knows second names.
            Err(_) if self.path.exists() => return Err(exists(&self.path)),
            Err(_) => fs::rename(&self.partial, &self.path)?,
        }
        self.named = true;
        sync_parent(&self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

impl Replacement {
    /// Begins to replace the file at `path`, which need not be there.
    pub fn begin(path: &Path) -> io::Result<Self> {
        // A link stays a link: what it leads to is replaced, since the keys lie there.
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_path_buf(),
            Err(error) => return Err(error),
        };
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a file"));
        }
        let partial = beside(&path, ".new");
        let new = locked(&partial)?;
        // What an interrupted replacement left.
        scrub(&new)?;
        erase_left_behind(&path)?;
        Ok(Self { new, partial, path, renamed: false })
    }

    /// The file that is there now.
    pub fn old(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the new content, puts it in place, and overwrites the bytes of the old one. When this
    /// fails, the old file is still there, unless only the overwriting failed.
    pub fn finish<E: From<io::Error>>(
        mut self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut out = BufWriter::with_capacity(CHUNK, &self.new);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        self.new.sync_all()?;
        let old = match OpenOptions::new().write(true).open(&self.path) {
            Ok(old) => Some(old),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        // A second name, so that a crash before the overwriting leaves what to overwrite. Not every
        // file system knows second names.
        let doomed = beside(&self.path, ".erasing");
        let named = old.is_some() && fs::hard_link(&self.path, &doomed).is_ok();
        fs::rename(&self.partial, &self.path)?;
        self.renamed = true;
        sync_parent(&self.path)?;
        if let Some(old) = old {
            overwrite(&old)?;
        }
        if named {
            fs::remove_file(&doomed)?;
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = scrub(&self.new);
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Makes the directory of a file durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Overwrites what a replacement that was interrupted between its last steps left.
fn erase_left_behind(path: &Path) -> io::Result<()> {
    let doomed = beside(path, ".erasing");
    let there = match fs::symlink_metadata(&doomed) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // Interrupted earlier, it is the file itself under a second name.
    let same = fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (there.dev(), there.ino()));
    if !same && there.is_file() {
        overwrite(&OpenOptions::new().write(true).open(&doomed)?)?;
    }
    fs::remove_file(&doomed)
}

/// Overwrites all bytes of a file and empties it.
fn scrub(mut file: &File) -> io::Result<()> {
    // The zeros are durable before it is cut: else the file system need not write them at all.
    overwrite(file)?;
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}

/// Overwrites all bytes of a file, durably.
fn overwrite(mut file: &File) -> io::Result<()> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let zeros = vec![0; CHUNK];
    let mut left = length;
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.write_all(zeros.get(..step).unwrap_or(&zeros))?;
        left = left.saturating_sub(step as u64);
    }
    file.sync_all()
}

/// Opens a file for its owner alone, and for one process at a time.
fn locked(path: &Path) -> io::Result<File> {
    let busy = || {
        let text = format!("{} is being written by another command", path.display());
        io::Error::new(ErrorKind::WouldBlock, text)
    };
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(busy()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Another command may have renamed it just before the lock was free.
    let (ours, there) = (file.metadata()?, fs::symlink_metadata(path).map_err(|_| busy())?);
    if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
        return Err(busy());
    }
    if ours.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// A name beside a file's.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn exists(path: &Path) -> io::Error {
    let text = format!("{} is there already; choose another name", path.display());
    io::Error::new(ErrorKind::AlreadyExists, text)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn names(room: &Path) -> Vec<String> {
        let names = fs::read_dir(room).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn replace(path: &Path, with: &[u8]) -> io::Result<()> {
        Replacement::begin(path)?.finish(|out| out.write_all(with))
    }

    #[test]
    fn a_new_file_appears_whole_and_never_over_another() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("FILE");
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        assert_eq!(NewFile::create(&path).err().unwrap().kind(), ErrorKind::WouldBlock);
        drop(file);
        assert!(names(room.path()).is_empty());
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(room.path()), ["FILE"]);
        assert_eq!(NewFile::create(&path).err().unwrap().kind(), ErrorKind::AlreadyExists);
        let late = room.path().join("LATE");
        let file = NewFile::create(&late).unwrap();
        fs::write(&late, "another").unwrap();
        assert_eq!(file.finish().err().unwrap().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&late).unwrap(), b"another");
    }

    #[test]
    fn a_replaced_file_leaves_no_bytes_behind() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("K");
        replace(&path, b"secret of old").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // Another name of the old file shows what became of its bytes.
        let other = room.path().join("other");
        fs::hard_link(&path, &other).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&other).unwrap(), [0; 13]);
        assert_eq!(names(room.path()), ["K", "other"]);
    }

    #[test]
    fn an_interrupted_overwriting_is_made_up_for() {
        let room = tempfile::tempdir().unwrap();
        let (path, doomed) = (room.path().join("K"), room.path().join("K.erasing"));
        let other = room.path().join("other");
        fs::write(&path, "current").unwrap();
        // Interrupted before the renaming, it is the file itself.
        fs::hard_link(&path, &doomed).unwrap();
        drop(Replacement::begin(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"current");
        assert!(!doomed.exists());
        // Interrupted after it, it is the one before.
        fs::write(&doomed, vec![7; CHUNK + 5]).unwrap();
        fs::hard_link(&doomed, &other).unwrap();
        drop(Replacement::begin(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"current");
        assert_eq!(fs::read(&other).unwrap(), vec![0; CHUNK + 5]);
        assert!(!doomed.exists());
    }

    #[test]
    fn a_replacement_that_fails_leaves_the_old_file() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("K");
        fs::write(&path, "old").unwrap();
        let failed = Replacement::begin(&path).unwrap().finish(|out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(room.path()), ["K"]);
    }

    #[test]
    fn one_replacement_at_a_time_and_links_are_followed() {
        let room = tempfile::tempdir().unwrap();
        let (path, link) = (room.path().join("K"), room.path().join("L"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let first = Replacement::begin(&path).unwrap();
        assert_eq!(Replacement::begin(&link).err().unwrap().kind(), ErrorKind::WouldBlock);
        let mut old = String::new();
        first.old().unwrap().unwrap().read_to_string(&mut old).unwrap();
        assert_eq!(old, "old");
        drop(first);
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(Replacement::begin(room.path()).is_err());
    }

    #[test]
    fn what_an_interrupted_replacement_left_is_no_hindrance() {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("K.new"), "half of a keyring").unwrap();
        replace(&room.path().join("K"), b"new").unwrap();
        assert_eq!(fs::read(room.path().join("K")).unwrap(), b"new");
        assert_eq!(names(room.path()), ["K"]);
    }
}
