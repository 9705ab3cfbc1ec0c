//! Where what lies in the file, and the header's bytes; `mod.rs` describes both. Knows no key but
//! by its check value.

use super::{KeySlotsError, Side};

/// The newest format that this program reads and writes.
pub(super) const FORMAT: u32 = 1;

/// The bytes of a header copy: no disk tears two of them with one sector.
pub(super) const HEADER: usize = 4096;

/// The bytes of a slot's copy.
pub(super) const SLOT: usize = 64;

/// The slots of an extent, so that its copies lie 256 KiB apart.
pub(super) const SLOTS: u32 = 4096;

/// More slots than this (a file of 8 GiB) are not believed.
pub(super) const MOST: u32 = 1 << 26;

const MAGIC: [u8; 8] = *b"ckpkeys\n";

/// A header without its checksum.
const CHECKED: usize = HEADER - blake3::OUT_LEN;

/// A master key as the header names it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Naming {
    /// What the copies that it wrapped bear; never 0.
    pub(super) epoch: u16,
    /// A hash of it.
    pub(super) check: [u8; 32],
}

/// What stands in the header.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sequence: u64,
    /// The slots of an extent; a power of two.
    pub(super) slots: u32,
    pub(super) installation: [u8; 16],
    pub(super) current: Naming,
    /// The master key that a rotation is going to.
    pub(super) next: Option<Naming>,
}

impl Header {
    /// The bytes of a copy.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (epoch, check) = self.next.map_or((0, [0; 32]), |next| (next.epoch, next.check));
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_be_bytes());
        bytes.extend_from_slice(&self.slots.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.installation);
        bytes.extend_from_slice(&self.current.epoch.to_be_bytes());
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.current.check);
        bytes.extend_from_slice(&check);
        bytes.resize(CHECKED, 0);
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }

    /// Reads a copy; `None` when it is not whole. The places of magic, format, sequence and
    /// checksum are the same in every format to come.
    pub(super) fn decode(bytes: &[u8]) -> Option<Result<Self, KeySlotsError>> {
        let (checked, checksum) = bytes.split_at_checked(CHECKED)?;
        if blake3::hash(checked).as_bytes().as_slice() != checksum {
            return None;
        }
        let mut rest = checked;
        if take(&mut rest)? != MAGIC {
            return None;
        }
        let found = u32::from_be_bytes(take(&mut rest)?);
        if found > FORMAT {
            return Some(Err(KeySlotsError::TooNew { found }));
        }
        let slots = u32::from_be_bytes(take(&mut rest)?);
        let sequence = u64::from_be_bytes(take(&mut rest)?);
        let installation = take(&mut rest)?;
        let epoch = u16::from_be_bytes(take(&mut rest)?);
        let next_epoch = u16::from_be_bytes(take(&mut rest)?);
        let _unused: [u8; 4] = take(&mut rest)?;
        let current = Naming { epoch, check: take(&mut rest)? };
        let check = take(&mut rest)?;
        let next = (next_epoch != 0).then_some(Naming { epoch: next_epoch, check });
        let whole = found == FORMAT && slots.is_power_of_two() && slots <= MOST && epoch != 0;
        whole.then_some(Ok(Self { sequence, slots, installation, current, next }))
    }

    /// The sequence of a copy of any format.
    pub(super) fn sequence(bytes: &[u8]) -> u64 {
        bytes.get(16..24).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
    }

    /// The master keys that it names.
    pub(super) fn namings(&self) -> impl Iterator<Item = Naming> {
        std::iter::once(self.current).chain(self.next)
    }

    /// The bytes of one copy of an extent.
    pub(super) fn region(&self) -> u64 {
        u64::from(self.slots) * SLOT as u64
    }

    /// Where an extent starts.
    pub(super) fn extent(&self, index: usize) -> u64 {
        2 * HEADER as u64 + index as u64 * 2 * self.region()
    }

    /// How many extents a file of this length has; the last may be cut off.
    pub(super) fn extents(&self, length: u64) -> u64 {
        length.saturating_sub(2 * HEADER as u64).div_ceil(2 * self.region())
    }

    /// Where a slot's copy lies.
    pub(super) fn place(&self, slot: u32, side: Side) -> u64 {
        let region = if side == Side::A { 0 } else { self.region() };
        let index = (slot / self.slots) as usize;
        self.extent(index) + region + u64::from(slot % self.slots) * SLOT as u64
    }
}

/// Where a header copy lies.
pub(super) fn header_at(side: Side) -> u64 {
    if side == Side::A { 0 } else { HEADER as u64 }
}

/// The next epoch; 0 is none.
pub(super) fn epoch_after(epoch: u16) -> u16 {
    epoch.checked_add(1).unwrap_or(1)
}

/// Takes the first bytes off.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}
