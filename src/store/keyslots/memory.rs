//! Key slots in memory, for the memory engine and for tests; clones are the same bytes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Medium;

/// Bytes that last as long as somebody holds them.
#[derive(Clone, Default)]
pub struct MemoryMedium(Arc<Mutex<Vec<u8>>>);

impl MemoryMedium {
    /// No bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with these bytes.
    pub fn with(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(bytes)))
    }

    /// A copy of the bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An offset as a place in memory.
fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::StorageFull.into())
}

impl Medium for MemoryMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.lock();
        let found = bytes.get(place(offset)?..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        let mut bytes = self.lock();
        let offset = place(offset)?;
        let end = offset.saturating_add(new.len());
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        if let Some(old) = bytes.get_mut(offset..end) {
            old.copy_from_slice(new);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.lock().resize(place(length)?, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
