//! Where the rows lie: opens the file (or, in tests, another backend), probes for room, and turns
//! redb's errors into the engine's. It knows nothing of batches.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::redb::backends::FileBackend;
use ::redb::{
    Builder, CommitError, Database, DatabaseError, SetDurabilityError, StorageBackend,
    StorageError, TableError, TransactionError,
};

use super::{EngineError, TABLE};

/// What is left free after a probe for room succeeded; redb writes more pages than the rows have.
const PROBE_FLOOR: usize = 1024 * 1024;

/// How many bytes the probe writes at a time.
const PROBE_CHUNK: usize = 64 * 1024;

/// Something that holds a store and can be opened, and opened again.
pub(super) trait Medium: Send {
    /// Opens the store, creating it if there is none.
    fn open(&self) -> Result<Database, EngineError>;

    /// Whether the medium takes some bytes more; asked only after it was full, because each
    /// failure inside redb costs a reopening.
    fn has_room(&self, bytes: usize) -> bool;
}

/// A file.
pub(super) struct FileMedium {
    path: PathBuf,
    cache_bytes: usize,
}

impl FileMedium {
    pub(super) fn new(path: &Path, cache_bytes: usize) -> Self {
        let path = path.to_path_buf();
        Self { path, cache_bytes }
    }

    /// Opens the file for its owner alone, and makes a new file's name durable.
    fn file(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).mode(0o600);
        let file = file.truncate(false).open(&self.path)?;
        let found = file.metadata()?;
        if found.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        let parent = self.path.parent().filter(|parent| parent.as_os_str() != "");
        if found.len() == 0 {
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(file)
    }

    /// Writes some bytes beside the store, to see whether they fit.
    fn probe(&self, bytes: usize) -> io::Result<()> {
        let mut path = self.path.clone().into_os_string();
        path.push(".probe");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = file.open(&path)?;
        let chunk = [0xa5_u8; PROBE_CHUNK];
        let written = (0..bytes.div_ceil(PROBE_CHUNK)).try_for_each(|_| file.write_all(&chunk));
        let written = written.and_then(|()| file.sync_data());
        std::fs::remove_file(&path)?;
        written
    }
}

impl Medium for FileMedium {
    fn open(&self) -> Result<Database, EngineError> {
        let file = self
            .file()
            .map_err(|error| Trouble::from_io(&error).error)?;
        let backend = FileBackend::new(file).map_err(|error| Trouble::from(error).error)?;
        open_database(backend, self.cache_bytes)
    }

    fn has_room(&self, bytes: usize) -> bool {
        let wanted = bytes.saturating_mul(4).saturating_add(PROBE_FLOOR);
        self.probe(wanted).is_ok()
    }
}

/// A backend that can be opened once.
pub(super) struct OnceMedium<B> {
    backend: Mutex<Option<B>>,
    cache_bytes: usize,
}

impl<B> OnceMedium<B> {
    pub(super) fn new(backend: B, cache_bytes: usize) -> Self {
        let backend = Mutex::new(Some(backend));
        Self {
            backend,
            cache_bytes,
        }
    }
}

impl<B: StorageBackend> Medium for OnceMedium<B> {
    fn open(&self) -> Result<Database, EngineError> {
        let mut backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        let backend = backend
            .take()
            .ok_or_else(|| EngineError::Failed("an I/O error has ended the only backend".into()))?;
        open_database(backend, self.cache_bytes)
    }

    fn has_room(&self, _bytes: usize) -> bool {
        true
    }
}

/// Opens a database and makes sure that the table is there. redb may panic on a file that was
/// altered behind its back; that is reported as a failure.
pub(super) fn open_database(
    backend: impl StorageBackend,
    cache_bytes: usize,
) -> Result<Database, EngineError> {
    let open = || -> Result<Database, Trouble> {
        let mut builder = Builder::new();
        builder.set_cache_size(cache_bytes);
        let database = builder.create_with_backend(backend)?;
        let transaction = database.begin_write()?;
        let known = transaction.list_tables()?.next().is_some();
        if known {
            transaction.abort()?;
        } else {
            transaction.open_table(TABLE)?;
            transaction.commit()?;
        }
        Ok(database)
    };
    let opened = catch_unwind(AssertUnwindSafe(open));
    let opened = opened.unwrap_or_else(|_| Err(Trouble::panicked()));
    opened.map_err(|trouble| trouble.error)
}

/// An error of redb's on its way to becoming one of the engine's.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: EngineError,
    /// redb will refuse everything until the store is opened again.
    pub(super) lasts: bool,
}

impl Trouble {
    /// redb panicked; nothing it holds in memory can be relied on.
    pub(super) fn panicked() -> Self {
        let error = EngineError::Failed("the embedded store panicked".into());
        Self { error, lasts: true }
    }

    fn from_io(error: &io::Error) -> Self {
        let error = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => EngineError::Full,
            _ => EngineError::Failed(error.to_string()),
        };
        Self { error, lasts: true }
    }

    fn from_redb(error: ::redb::Error) -> Self {
        use ::redb::Error;
        let (error, lasts) = match error {
            Error::Io(error) => return Self::from_io(&error),
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => (EngineError::InUse, false),
            Error::DatabaseClosed => (EngineError::Closed, false),
            Error::PreviousIo | Error::LockPoisoned(_) => {
                (EngineError::Failed(error.to_string()), true)
            }
            error => (EngineError::Failed(error.to_string()), false),
        };
        Self { error, lasts }
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Self {
            error,
            lasts: false,
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                Self::from_redb(error.into())
            }
        }
    )*};
}

from_redb!(
    CommitError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);
