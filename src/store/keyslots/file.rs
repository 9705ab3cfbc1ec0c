//! Key slots in a file of the data directory. Knows nothing of what the bytes mean.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{KeySlotsError, Medium};

/// A file that its owner alone may read.
pub struct FileMedium(File);

impl FileMedium {
    /// Opens the file; `Missing` if it is not there.
    pub fn open(path: &Path) -> Result<Self, KeySlotsError> {
        match Self::with(path, false) {
            Ok(medium) => Ok(medium),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeySlotsError::Missing),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file, making an empty one (and its name durable) if it is not there.
    pub fn create(path: &Path) -> Result<Self, KeySlotsError> {
        let medium = Self::with(path, true)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(medium)
    }

    fn with(path: &Path, create: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(create).truncate(false).mode(0o600);
        let file = options.open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(Self(file))
    }
}

impl Medium for FileMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
