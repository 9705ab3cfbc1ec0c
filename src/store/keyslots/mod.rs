//! The data keys, in a file of their own beside the engine's: an engine that never overwrites in
//! place cannot forget a key, so keys lie in numbered slots that are overwritten when what they
//! sealed is erased. Knows no contact and no row; who owns a slot is the engine's to say.
//!
//! # The file
//!
//! Two copies of the header, then extents; numbers are big-endian. The file's length says how many
//! extents there are; the last may be cut off, and what is missing of it counts as unreadable.
//!
//! | Offset | What |
//! |---|---|
//! | 0 | header, copy A, 4096 bytes |
//! | 4096 | header, copy B |
//! | 8192 + i · 128 · N | extent i: copy A of its N slots, 64 bytes each, then copy B of them |
//!
//! The header (a copy with another magic or checksum counts for nothing; of two good ones, the one
//! with the higher sequence holds):
//!
//! | Offset | Bytes | What |
//! |---|---|---|
//! | 0 | 8 | magic, `ckpkeys` and a line feed |
//! | 8 | 4 | format, 1 |
//! | 12 | 4 | N, slots in an extent, a power of two; 4096 |
//! | 16 | 8 | sequence, one more at each change |
//! | 24 | 16 | the installation's id |
//! | 40 | 2 | epoch of the current master key, never 0 |
//! | 42 | 2 | epoch of the next master key while a rotation is under way, else 0 |
//! | 44 | 4 | zeros |
//! | 48 | 32 | check value of the current master key |
//! | 80 | 32 | check value of the next one, else zeros |
//! | 112 | 3952 | zeros |
//! | 4064 | 32 | BLAKE3 of the 4064 bytes before |
//!
//! A slot's copy (slot s is number s mod N of extent s / N):
//!
//! | Offset | Bytes | What |
//! |---|---|---|
//! | 0 | 2 | epoch of the master key that wrapped it |
//! | 2 | 2 | version, one more (65535 is followed by 0) with each key that the slot gets |
//! | 4 | 12 | nonce, random |
//! | 16 | 32 | the data key, encrypted |
//! | 48 | 16 | tag |
//!
//! AES-256-GCM, with the installation's id, the slot's number (4 bytes), epoch and version as
//! associated data. Its key and the check value are BLAKE3's `derive_key` of the master key
//! followed by the installation's id, with the contexts of `wrap.rs`. Copies of an earlier version
//! lose against the later.
//!
//! # What the order of writing is for
//!
//! Once an extent is there, no two copies of anything in it, or of the header, are written without
//! a sync between, so a power failure, and a disk that spoils the sectors around a write, leave one
//! copy whole. Free slots hold random keys
//! already: a new object's key is durable before the object is. A new extent is durable before a
//! slot of it is handed out. A destroyed slot gets a new key in both copies before `destroy`
//! answers. A rotation names the next master key in both headers, wraps each extent anew (copy A,
//! sync, copy B, sync; both copies of a slot hold the same key, so either will do), and then names
//! it the current one in both headers.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tracing::warn;

use super::entropy::{Entropy, NoEntropy};
use layout::Header;
use table::Table;
use wrap::{Filled, Wrapper, check_value, wipe};
use writer::Writer;

mod care;
pub mod file;
mod layout;
pub mod memory;
mod reserve;
mod table;
mod wrap;
mod writer;

#[cfg(test)]
mod tests;

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

/// Of the two copies of everything, one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    A,
    B,
}

impl Side {
    fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }
}

/// What the file of keys could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeySlotsError {
    /// None of the given master keys wrapped the data keys.
    #[error("the master key does not open the file of data keys: give the one that belongs to this store")]
    WrongMaster,
    /// A rotation is under way and one of its two master keys was not given.
    #[error(
        "the master key was being replaced: with the old one in its place, 'cardkeep key rotate' with the new one as --new-key-file finishes it"
    )]
    HalfRotated,
    /// There is no file, or nothing in it.
    #[error("the file of data keys is missing: put it back beside the store, or restore a backup")]
    Missing,
    /// The file is not what was written.
    #[error("the file of data keys is damaged, {0}: restore a backup")]
    Damaged(&'static str),
    /// A newer program wrote the file.
    #[error(
        "the file of data keys has format {found}, this program reads up to {}: use a newer cardkeep",
        layout::FORMAT
    )]
    TooNew {
        /// The file's format.
        found: u32,
    },
    /// No room for more keys.
    #[error("there is no room for more data keys: make room on the data directory's disk")]
    Full,
    /// What the disk answered.
    #[error("the file of data keys cannot be read or written, look after its disk: {0}")]
    Io(String),
    /// No randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl From<io::Error> for KeySlotsError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full
            }
            _ => Self::Io(error.to_string()),
        }
    }
}

/// What a master key is to a file of data keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It opens the file. A left-over file with this key is to be put in the place of the old one.
    Current,
    /// A rotation to it is under way: open the file with both, and rotate again.
    Next,
    /// The file knows nothing of it: no rotation to it has begun, or a later one has ended.
    Unknown,
}

/// What a look at the file found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many slots there are.
    pub slots: usize,
    /// Of how many, whose key is known, a copy is bad; `heal` makes them whole.
    pub damaged: usize,
    /// How many of the live ones have lost their key: the objects cannot be read any more.
    pub lost: usize,
    /// Whether a copy of the header is bad or stale; `heal` makes it whole.
    pub header_damaged: bool,
}

/// The data keys of a store. All calls may come from any thread; only those that say so touch the
/// file, and `key` never waits for it.
pub struct KeySlots {
    installation: [u8; 16],
    /// Locked before the table where both are.
    writer: Mutex<Writer>,
    table: RwLock<Table>,
}

crate::hidden!(KeySlots);

impl KeySlots {
    /// Lays a new file, whose slots are all free. Whatever an interrupted creation left in the
    /// medium is replaced.
    pub fn create(
        medium: Box<dyn Medium>,
        master: &MasterKey,
        installation: [u8; 16],
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeySlotsError> {
        Self::create_with(medium, master, installation, entropy, layout::SLOTS)
    }

    /// Lays a file with extents of so many slots (a power of two), for tests that want few.
    pub(crate) fn create_with(
        medium: Box<dyn Medium>,
        master: &MasterKey,
        installation: [u8; 16],
        entropy: Arc<dyn Entropy>,
        slots: u32,
    ) -> Result<Self, KeySlotsError> {
        // An old header must not vouch for new slots.
        medium.set_len(0)?;
        medium.sync()?;
        let wrapper = Wrapper::new(master, installation, 1)?;
        let header = Header { sequence: 0, slots, installation, current: wrapper.naming, next: None };
        let writer = Writer::new(medium, entropy, header.clone(), wrapper);
        let table = RwLock::new(Table::new(slots));
        let created = Self { installation, writer: Mutex::new(writer), table };
        let mut writer = created.writer();
        created.grow(&mut writer)?;
        writer.write_header(header)?;
        drop(writer);
        Ok(created)
    }

    /// Opens a file: reads all keys, and makes a bad copy whole from the good one. Takes the
    /// current master key and, while a rotation is under way, the new one, in any order; others
    /// are ignored. One that is missing is only missed if a key cannot be read without it; the
    /// rotation is then taken for never begun, or for finished.
    pub fn open(
        medium: Box<dyn Medium>,
        masters: &[MasterKey],
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeySlotsError> {
        let mut writer = Writer::read(medium, entropy)?;
        let installation = writer.header.installation;
        for naming in writer.header.namings() {
            let matches = |master: &&MasterKey| check_value(master, &installation) == naming.check;
            if let Some(master) = masters.iter().find(matches) {
                writer.wrappers.push(Wrapper::new(master, installation, naming.epoch)?);
            }
        }
        let current = writer.wrappers.first().ok_or(KeySlotsError::WrongMaster)?.naming;
        let extents = writer.header.extents(writer.medium.len()?);
        if extents == 0 {
            return Err(KeySlotsError::Damaged("it is cut off before the first key"));
        }
        if extents > u64::from(layout::MOST / writer.header.slots) {
            return Err(KeySlotsError::Damaged("it is longer than any that was written"));
        }
        let mut table = Table::new(writer.header.slots);
        let mut hurt = Vec::new();
        for index in 0..extents as usize {
            let (found, whole) = writer.extent(index)?;
            hurt.extend((!whole).then_some(index));
            table.read(found);
        }
        let mut header = writer.header.clone();
        if header.namings().count() > writer.wrappers.len() {
            (header.current, header.next) = (current, None);
        }
        let healed = care::heal(&mut writer, &table, header, &hurt);
        if let Err(error) = healed {
            warn!(%error, "the file of data keys has bad copies that could not be made whole");
        }
        Ok(Self { installation, writer: Mutex::new(writer), table: RwLock::new(table) })
    }

    /// What a master key is to the file in a medium.
    pub fn standing(medium: &dyn Medium, key: &MasterKey) -> Result<Standing, KeySlotsError> {
        let (header, _, _) = writer::read_header(medium)?;
        let check = check_value(key, &header.installation);
        let is = |naming: layout::Naming| naming.check == check;
        Ok(match (is(header.current), header.next.is_some_and(is)) {
            (true, _) => Standing::Current,
            (false, true) => Standing::Next,
            (false, false) => Standing::Unknown,
        })
    }

    /// The installation that the file belongs to.
    pub fn installation(&self) -> [u8; 16] {
        self.installation
    }

    /// Says which slots are in use, once, after opening; all others are free from then on. A slot
    /// in use whose copies are both unreadable stays so, without a key.
    pub fn occupy(&self, live: &mut dyn Iterator<Item = Slot>) -> Result<(), KeySlotsError> {
        self.table_mut().occupy(live);
        Ok(())
    }

    /// How many slots in use have no readable key.
    pub fn unreadable(&self) -> usize {
        self.table().lost()
    }

    /// The key of a slot in use; `None` when it is unreadable, destroyed or free.
    pub fn key(&self, slot: Slot) -> Option<DataKey> {
        self.table().key(slot)
    }

    /// Whether a slot is there and not in use.
    pub fn is_free(&self, slot: Slot) -> bool {
        self.table().is_free(slot)
    }

    /// Takes the slot that has been free for longest. Writes only when there is none: then the
    /// file grows.
    pub fn allocate(&self) -> Result<(Slot, DataKey), KeySlotsError> {
        self.allocate_with(Table::take)
    }

    fn allocate_with<T>(&self, take: fn(&mut Table) -> Option<T>) -> Result<T, KeySlotsError> {
        loop {
            if let Some(taken) = take(&mut self.table_mut()) {
                return Ok(taken);
            }
            let mut writer = self.writer();
            if self.table().free() == 0 {
                self.grow(&mut writer)?;
            }
        }
    }

    /// Takes a certain slot, which rows turn out to name; false when it is not free, or has no key.
    pub fn claim(&self, slot: Slot) -> bool {
        self.table_mut().claim(slot)
    }

    /// Gives back slots that no commit has used, reserved or not.
    pub fn release(&self, slots: &[Slot]) {
        let mut table = self.table_mut();
        slots.iter().for_each(|slot| table.release(*slot));
    }

    /// Overwrites both copies of the slots with new keys; from then on they are free. The keys are
    /// forgotten at once, even if writing fails: then the slots are neither in use nor free until
    /// a later call succeeds. To do it twice is harmless as long as nobody uses the slot between.
    /// Answers the slots that are reserved, which it leaves alone.
    pub fn destroy(&self, slots: &[Slot]) -> Result<Vec<Slot>, KeySlotsError> {
        let slots: BTreeSet<u32> = slots.iter().map(|slot| slot.0).collect();
        let mut writer = self.writer();
        let mut table = self.table_mut();
        let (reserved, slots): (Vec<u32>, Vec<u32>) =
            slots.into_iter().partition(|slot| table.is_reserved(*slot));
        let condemned = table.condemn(&slots);
        drop(table);
        self.fill(&mut writer, condemned)?;
        Ok(reserved.into_iter().map(Slot).collect())
    }

    /// Puts keys that come from elsewhere into free slots, which are in use from then on.
    pub fn install(&self, keys: &[DataKey]) -> Result<Vec<Slot>, KeySlotsError> {
        let mut writer = self.writer();
        let mut taken = Vec::with_capacity(keys.len());
        while taken.len() < keys.len() {
            let next = self.table_mut().take();
            match next {
                Some((slot, _)) => taken.push(slot),
                None => {
                    if let Err(error) = self.grow(&mut writer) {
                        self.release(&taken);
                        return Err(error);
                    }
                }
            }
        }
        taken.sort_unstable();
        let slots: Vec<u32> = taken.iter().map(|slot| slot.0).collect();
        let condemned = self.table_mut().condemn(&slots);
        let filled = condemned.into_iter().zip(keys);
        let filled = filled.map(|((slot, version), key)| Filled { slot, version, key: key.0 });
        let filled: Vec<Filled> = filled.collect();
        let written = writer.wrapped(&filled).and_then(|wrapped| writer.overwrite_both(&wrapped));
        match written {
            Ok(()) => self.table_mut().fill(&filled, false),
            Err(_) => self.table_mut().abandon(slots.into_iter()),
        }
        written.map(|()| taken)
    }

    /// Makes free slots: of those that hold no readable key, or by a new extent.
    fn grow(&self, writer: &mut Writer) -> Result<(), KeySlotsError> {
        let blank: BTreeSet<u32> = self.table().blank().iter().copied().collect();
        if !blank.is_empty() {
            let blank: Vec<u32> = blank.into_iter().collect();
            let renewed = self.renew(writer, &blank);
            if renewed.is_err() {
                self.table_mut().abandon(blank.into_iter());
            }
            return renewed;
        }
        let index = self.table().extents();
        let slots = writer.header.slots;
        if index as u64 >= u64::from(layout::MOST / slots) {
            return Err(KeySlotsError::Full);
        }
        let first = index as u32 * slots;
        let fresh = {
            let table = self.table();
            (first..first + slots).filter(|slot| !table.is_beyond(*slot)).map(|slot| (slot, 0)).collect()
        };
        let filled = random(writer.entropy.as_ref(), fresh)?;
        let wrapped = writer.wrapped(&filled)?;
        writer.append(index, &wrapped)?;
        self.table_mut().grow(&filled);
        Ok(())
    }

    /// Overwrites slots (in order, each once) with new keys.
    fn renew(&self, writer: &mut Writer, slots: &[u32]) -> Result<(), KeySlotsError> {
        let condemned = self.table_mut().condemn(slots);
        self.fill(writer, condemned)
    }

    /// Writes new keys into condemned slots.
    fn fill(&self, writer: &mut Writer, condemned: Vec<(u32, u16)>) -> Result<(), KeySlotsError> {
        let filled = random(writer.entropy.as_ref(), condemned)?;
        let wrapped = writer.wrapped(&filled)?;
        writer.overwrite_both(&wrapped)?;
        self.table_mut().fill(&filled, true);
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// New keys for slots of these versions.
fn random(entropy: &dyn Entropy, slots: Vec<(u32, u16)>) -> Result<Vec<Filled>, KeySlotsError> {
    let mut keys = vec![0; slots.len() * KEY];
    entropy.fill(&mut keys)?;
    let pairs = slots.into_iter().zip(keys.as_chunks::<KEY>().0);
    let filled = pairs.map(|((slot, version), key)| Filled { slot, version, key: *key }).collect();
    wipe(&mut keys);
    Ok(filled)
}
