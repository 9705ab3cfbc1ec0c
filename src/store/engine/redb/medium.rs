//! Where the rows lie: opens the file (or, in tests, another backend), says how much room there is,
//! and turns redb's errors into the engine's. It knows nothing of batches.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use ::redb::backends::FileBackend;
use ::redb::{
    Builder, CommitError, Database, DatabaseError, SetDurabilityError, StorageBackend, StorageError,
    TableError, TableHandle as _, TransactionError,
};
use rustix::fs::StatVfsMountFlags;
use tracing::warn;

use super::frozen::Frozen;
use super::{EngineError, TABLE};

/// What is left free after a probe for room succeeded; redb writes more pages than the rows have.
const PROBE_FLOOR: usize = 1024 * 1024;

/// How many bytes the probe writes at a time.
const PROBE_CHUNK: usize = 64 * 1024;

/// What redb may keep in memory of a file that it examines.
const EXAMINING_CACHE: usize = 4 * 1024 * 1024;

/// How much room a medium has.
pub(super) enum Space {
    /// So many bytes.
    Left(u64),
    /// It does not say.
    Unknown,
    /// None, whatever is free: it takes no writes.
    ReadOnly,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// It may be new.
    MayBeNew,
    /// It was there before, so it holds the table.
    Existing,
    /// As `Existing`, and every page of the file is verified.
    Examining,
}

/// Something that holds a store and can be opened, and opened again.
pub(super) trait Medium: Send {
    /// Opens the store, creating it if there is none.
    fn open(&self) -> Result<Database, Trouble>;

    /// Opens the store again after an error; never creates one, since a file that has vanished (an
    /// unmounted disk) must not look like an empty store.
    fn reopen(&self) -> Result<Database, Trouble>;

    /// Opens the store for reading, whatever the medium does with writes: what redb writes stays in
    /// memory and is lost.
    fn open_frozen(&self) -> Result<Database, Trouble>;

    /// Opens the store beside the database that has it open, which must not change meanwhile, and
    /// verifies every page; `None` where the medium cannot be opened twice.
    fn examine(&self) -> Result<Option<Database>, Trouble>;

    /// How much room there is, as the medium says; cheap.
    fn space(&self) -> Space;

    /// Tries whether the medium takes some bytes more; asked only after it did not, because each
    /// failure inside redb costs a reopening.
    fn try_writing(&self, bytes: usize) -> Result<(), EngineError>;
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

    /// A name beside the store's.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Opens a file for its owner alone.
    fn file(path: &Path, create: bool) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(create).mode(0o600);
        let file = options.truncate(false).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }

    /// Makes a store under another name and then gives it its own: redb cannot open a file whose
    /// creation a power failure interrupted, and such a file must not stop the next start.
    fn create(&self) -> Result<Database, Trouble> {
        let unfinished = self.beside(".new");
        let file = Self::file(&unfinished, true)?;
        // Whoever holds this lock may throw away what an interrupted creation left, unless another
        // process finished meanwhile: then this is the store itself. redb keeps the lock.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EngineError::InUse.into()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        if self.path.try_exists()? {
            return Err(EngineError::InUse.into());
        }
        file.set_len(0)?;
        let database = open_database(FileBackend::new(file)?, self.cache_bytes, Opening::MayBeNew)?;
        std::fs::rename(&unfinished, &self.path)?;
        let parent = self.path.parent().filter(|parent| parent.as_os_str() != "");
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(database)
    }

    fn open_existing(&self) -> Result<Option<Database>, Trouble> {
        let file = match Self::file(&self.path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // redb would make a new store of it.
        if file.metadata()?.len() == 0 {
            return Err(EngineError::Damaged("its file is empty".into()).into());
        }
        let database = open_database(FileBackend::new(file)?, self.cache_bytes, Opening::Existing);
        database.map(Some)
    }

    /// Writes some bytes beside the store, to see whether they fit.
    fn probe(&self, bytes: usize) -> io::Result<()> {
        let path = self.beside(".probe");
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
    fn open(&self) -> Result<Database, Trouble> {
        match self.open_existing()? {
            Some(database) => Ok(database),
            None => self.create(),
        }
    }

    fn reopen(&self) -> Result<Database, Trouble> {
        let gone = || EngineError::Unavailable("the store's file is gone".into());
        Ok(self.open_existing()?.ok_or_else(gone)?)
    }

    fn open_frozen(&self) -> Result<Database, Trouble> {
        let file = File::open(&self.path)?;
        // A file system without locks has none to wait for.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(EngineError::InUse.into());
        }
        open_database(Frozen::new(file)?, self.cache_bytes, Opening::Existing)
    }

    fn examine(&self) -> Result<Option<Database>, Trouble> {
        let file = Frozen::new(File::open(&self.path)?)?;
        open_database(file, EXAMINING_CACHE, Opening::Examining).map(Some)
    }

    fn space(&self) -> Space {
        match rustix::fs::statvfs(&self.path) {
            Ok(told) if told.f_flag.contains(StatVfsMountFlags::RDONLY) => Space::ReadOnly,
            // Some file systems that are not on a disk say nothing at all.
            Ok(told) if told.f_blocks == 0 => Space::Unknown,
            Ok(told) => Space::Left(told.f_bavail.saturating_mul(told.f_frsize)),
            Err(_) => Space::Unknown,
        }
    }

    fn try_writing(&self, bytes: usize) -> Result<(), EngineError> {
        // A file may be protected where its directory is not.
        let own = OpenOptions::new().write(true).open(&self.path).map(drop);
        let wanted = bytes.saturating_mul(4).saturating_add(PROBE_FLOOR);
        own.and_then(|()| self.probe(wanted)).map_err(|error| Trouble::from(error).error)
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
        Self { backend, cache_bytes }
    }
}

impl<B: StorageBackend> Medium for OnceMedium<B> {
    fn open(&self) -> Result<Database, Trouble> {
        let mut backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        match backend.take() {
            Some(backend) => open_database(backend, self.cache_bytes, Opening::MayBeNew),
            None => Err(EngineError::Unavailable("an I/O error ended the only backend".into()).into()),
        }
    }

    fn reopen(&self) -> Result<Database, Trouble> {
        self.open()
    }

    fn open_frozen(&self) -> Result<Database, Trouble> {
        self.open()
    }

    fn examine(&self) -> Result<Option<Database>, Trouble> {
        Ok(None)
    }

    fn space(&self) -> Space {
        Space::Unknown
    }

    fn try_writing(&self, _bytes: usize) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Opens a database that has the table, or makes the table where the store may be new. redb may
/// panic on a file that was altered behind its back; that is reported as damage.
pub(super) fn open_database(
    backend: impl StorageBackend,
    cache_bytes: usize,
    opening: Opening,
) -> Result<Database, Trouble> {
    let open = || -> Result<Database, Trouble> {
        let mut builder = Builder::new();
        builder.set_cache_size(cache_bytes);
        if opening == Opening::Examining {
            builder.set_check_integrity_on_open(true);
        } else {
            let told = Once::new();
            builder.set_repair_callback(move |_| {
                told.call_once(|| warn!("the store was not closed cleanly, all of it is checked now"));
            });
        }
        let database = builder.create_with_backend(backend)?;
        let transaction = database.begin_write()?;
        let known = transaction.list_tables()?.any(|table| table.name() == TABLE.name());
        if known {
            transaction.abort()?;
        } else if opening == Opening::MayBeNew {
            transaction.open_table(TABLE)?;
            transaction.commit()?;
        } else {
            return Err(EngineError::Damaged("its table is missing".into()).into());
        }
        Ok(database)
    };
    let opened = catch_unwind(AssertUnwindSafe(open));
    opened.unwrap_or_else(|_| Err(EngineError::Damaged("its pages do not fit together".into()).into()))
}

/// An error of redb's on its way to becoming one of the engine's.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: EngineError,
    /// redb will refuse everything until the store is opened again.
    pub(super) lasts: bool,
    /// The medium itself failed, just now.
    pub(super) medium: bool,
}

impl Trouble {
    /// redb panicked; nothing it holds in memory can be relied on.
    pub(super) fn panicked() -> Self {
        let error = EngineError::Failed("the embedded store panicked".into());
        Self { error, lasts: true, medium: false }
    }

    fn from_io(error: &io::Error) -> Self {
        use io::ErrorKind;
        let error = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => EngineError::Full,
            // redb's words for a file that is none of its own, or ends before its time.
            ErrorKind::InvalidData => EngineError::Damaged("its file is not one of this program's".into()),
            ErrorKind::UnexpectedEof => EngineError::Damaged("its file ends too early".into()),
            _ => EngineError::Unavailable(error.to_string()),
        };
        Self { error, lasts: true, medium: true }
    }

    fn from_redb(error: ::redb::Error) -> Self {
        use ::redb::Error;
        let (error, lasts) = match error {
            Error::Io(error) => return Self::from_io(&error),
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => (EngineError::InUse, false),
            Error::DatabaseClosed => (EngineError::Closed, false),
            Error::PreviousIo | Error::LockPoisoned(_) => {
                (EngineError::Unavailable("an error came before".into()), true)
            }
            Error::Corrupted(_) => (EngineError::Damaged("its pages do not fit together".into()), false),
            error => (EngineError::Failed(error.to_string()), false),
        };
        Self { error, lasts, medium: false }
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Self { error, lasts: false, medium: false }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::from_io(&error)
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

from_redb!(CommitError, DatabaseError, SetDurabilityError, StorageError, TableError, TransactionError);
