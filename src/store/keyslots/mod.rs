//! The data keys, in a file of their own beside the engine's: an engine that never overwrites in
//! place cannot forget a key, so keys lie in numbered slots that are overwritten when what they
//! sealed is erased. Knows no contact and no row; who owns a slot is the engine's to say.

use std::io;

/// A key slot's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// How many bytes a key has.
pub const KEY: usize = 32;

/// The installation's master key: it wraps the data keys. It is never written by this room.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; KEY]);

/// The key of one object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DataKey([u8; KEY]);

crate::hidden!(MasterKey, DataKey);

impl MasterKey {
    /// Takes the key's bytes.
    pub fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

impl DataKey {
    /// Takes the key's bytes.
    pub fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

/// Where key slots lie: bytes that are overwritten in place.
pub trait Medium: Send + Sync {
    /// How many bytes there are.
    fn len(&self) -> io::Result<u64>;
    /// Whether there are none.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads exactly `out.len()` bytes.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Overwrites, or appends at the end.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts or grows (with zeros).
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes everything written durable.
    fn sync(&self) -> io::Result<()>;
}
