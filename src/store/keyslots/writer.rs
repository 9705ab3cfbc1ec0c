//! What is done to the file, one thing at a time. Of the two copies of anything, one is always
//! whole and durable while the other is written.

use std::sync::Arc;

use super::layout::{HEADER, Header, SLOT, header_at};
use super::wrap::{Filled, NONCE, Wrapped, Wrapper, marks, newer};
use super::{Entropy, KeySlotsError, Medium, Side};

/// Read in pieces of this size where the whole cannot be read.
const PIECE: usize = 4096;

/// The file.
pub(super) struct Writer {
    pub(super) medium: Box<dyn Medium>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// As the sound copy has it.
    pub(super) header: Header,
    sound: Side,
    /// Whether both copies of the header are as above.
    settled: bool,
    /// All master keys that the header names or is about to.
    pub(super) wrappers: Vec<Wrapper>,
    /// The copy of the slots that is written first: the one that may not be whole after a write
    /// failed.
    first: Side,
}

impl Writer {
    /// Over a medium whose header is still to be written.
    pub(super) fn new(
        medium: Box<dyn Medium>,
        entropy: Arc<dyn Entropy>,
        header: Header,
        wrapper: Wrapper,
    ) -> Self {
        let (wrappers, first) = (vec![wrapper], Side::A);
        Self { medium, entropy, header, sound: Side::B, settled: false, wrappers, first }
    }

    /// Over a medium that has a header.
    pub(super) fn read(medium: Box<dyn Medium>, entropy: Arc<dyn Entropy>) -> Result<Self, KeySlotsError> {
        let (header, sound, settled) = read_header(medium.as_ref())?;
        let wrappers = Vec::new();
        Ok(Self { medium, entropy, header, sound, settled, wrappers, first: Side::A })
    }

    pub(super) fn settled(&self) -> bool {
        self.settled
    }

    /// What wraps from now on. The next master key does so only when both copies of the header
    /// name it.
    fn wrapper(&self) -> Result<&Wrapper, KeySlotsError> {
        let naming = self.header.next.filter(|_| self.settled).unwrap_or(self.header.current);
        let found = self.wrappers.iter().find(|wrapper| wrapper.naming == naming);
        found.ok_or(KeySlotsError::WrongMaster)
    }

    /// Wraps keys, each with a nonce of its own.
    pub(super) fn wrapped(&self, filled: &[Filled]) -> Result<Vec<(u32, Wrapped)>, KeySlotsError> {
        let wrapper = self.wrapper()?;
        let mut nonces = vec![0; filled.len() * NONCE];
        self.entropy.fill(&mut nonces)?;
        let (nonces, _) = nonces.as_chunks::<NONCE>();
        let pairs = filled.iter().zip(nonces);
        pairs.map(|(filled, nonce)| Ok((filled.slot, wrapper.wrap(filled, nonce)?))).collect()
    }

    /// The key in a copy, whichever master key wrapped it.
    pub(super) fn unwrap(&self, slot: u32, copy: &Wrapped) -> Option<Filled> {
        self.wrappers.iter().find_map(|wrapper| wrapper.unwrap(slot, copy))
    }

    /// Reads one copy of an extent; what cannot be read is zeros, which are no key.
    pub(super) fn region(&self, index: usize, side: Side) -> Vec<u8> {
        let first = index as u32 * self.header.slots;
        let offset = self.header.place(first, side);
        let mut bytes = vec![0; self.header.region() as usize];
        if self.medium.read_at(offset, &mut bytes).is_ok() {
            return bytes;
        }
        let length = self.medium.len().unwrap_or(0);
        for (at, piece) in (0_u64..).zip(bytes.chunks_mut(PIECE)) {
            let at = offset + at * PIECE as u64;
            let there = usize::try_from(length.saturating_sub(at)).unwrap_or(usize::MAX);
            piece.fill(0);
            let readable = there.min(piece.len());
            if let Some(readable) = piece.get_mut(..readable)
                && self.medium.read_at(at, readable).is_err()
            {
                readable.fill(0);
            }
        }
        bytes
    }

    /// Reads an extent: the newer key of each slot, and whether all copies of those are whole.
    /// When a copy could only be read with a master key that was not given and the other copy not
    /// at all, `HalfRotated`.
    pub(super) fn extent(&self, index: usize) -> Result<(Vec<Option<Filled>>, bool), KeySlotsError> {
        let first = index as u32 * self.header.slots;
        let (a, b) = (self.region(index, Side::A), self.region(index, Side::B));
        let pairs = a.as_chunks::<SLOT>().0.iter().zip(b.as_chunks::<SLOT>().0);
        let mut whole = true;
        let mut found = Vec::with_capacity(self.header.slots as usize);
        for (slot, (a, b)) in (first..).zip(pairs) {
            let one = self.unwrap(slot, a);
            let other = if a == b { None } else { self.unwrap(slot, b) };
            let filled = match (one, other) {
                (Some(one), Some(other)) => {
                    whole &= one.version == other.version && one.key == other.key;
                    Some(if newer(other.version, one.version) { other } else { one })
                }
                (Some(only), None) | (None, Some(only)) => {
                    whole &= a == b;
                    Some(only)
                }
                (None, None) if self.is_foreign(a) || self.is_foreign(b) => {
                    return Err(KeySlotsError::HalfRotated);
                }
                (None, None) => None,
            };
            found.push(filled);
        }
        Ok((found, whole))
    }

    /// Whether a copy was wrapped by a master key that the header names and nobody gave.
    fn is_foreign(&self, copy: &Wrapped) -> bool {
        let epoch = marks(copy).map_or(0, |(epoch, _)| epoch);
        let named = self.header.namings().any(|naming| naming.epoch == epoch);
        named && !self.wrappers.iter().any(|wrapper| wrapper.naming.epoch == epoch)
    }

    /// Those of the keys that a copy of their extent does not give.
    pub(super) fn bad(&self, filled: &[Filled], index: usize, side: Side) -> Vec<Filled> {
        let first = index as u32 * self.header.slots;
        let bytes = self.region(index, side);
        let (copies, _) = bytes.as_chunks::<SLOT>();
        let is_good = |filled: &Filled| {
            let copy = copies.get(filled.slot.saturating_sub(first) as usize);
            let found = copy.and_then(|copy| self.unwrap(filled.slot, copy));
            found.is_some_and(|found| found.key == filled.key && found.version == filled.version)
        };
        let bad = filled.iter().filter(|filled| !is_good(filled));
        bad.map(|bad| Filled { slot: bad.slot, version: bad.version, key: bad.key }).collect()
    }

    /// The order in which the copies are to be written.
    pub(super) fn sides(&self) -> [Side; 2] {
        [self.first, self.first.other()]
    }

    /// Writes one copy of some slots (in order), and makes it durable.
    pub(super) fn overwrite(&mut self, side: Side, list: &[(u32, Wrapped)]) -> Result<(), KeySlotsError> {
        let written = self.overwrite_runs(side, list);
        if written.is_err() {
            self.first = side;
        }
        written
    }

    fn overwrite_runs(&self, side: Side, list: &[(u32, Wrapped)]) -> Result<(), KeySlotsError> {
        let follows = |one: &(u32, Wrapped), next: &(u32, Wrapped)| {
            next.0 == one.0 + 1 && !next.0.is_multiple_of(self.header.slots)
        };
        for run in list.chunk_by(follows) {
            let mut bytes = Vec::with_capacity(run.len() * SLOT);
            run.iter().for_each(|(_, wrapped)| bytes.extend_from_slice(wrapped));
            if let Some((slot, _)) = run.first() {
                self.write(self.header.place(*slot, side), &bytes)?;
            }
        }
        Ok(self.medium.sync()?)
    }

    /// Writes both copies of some slots (in order): one, then the other, so that the slots beside
    /// them, too, are whole in one copy if the disk spoils what it was writing.
    pub(super) fn overwrite_both(&mut self, list: &[(u32, Wrapped)]) -> Result<(), KeySlotsError> {
        if list.is_empty() {
            return Ok(());
        }
        let [one, other] = self.sides();
        self.overwrite(one, list)?;
        self.overwrite(other, list)
    }

    /// Appends an extent, durably; slots that are not in the list have no key.
    pub(super) fn append(&mut self, index: usize, list: &[(u32, Wrapped)]) -> Result<(), KeySlotsError> {
        let first = index as u32 * self.header.slots;
        let mut region = vec![0; self.header.region() as usize];
        let (copies, _) = region.as_chunks_mut::<SLOT>();
        for (slot, wrapped) in list {
            if let Some(copy) = copies.get_mut(slot.saturating_sub(first) as usize) {
                *copy = *wrapped;
            }
        }
        region.extend_from_within(..);
        let start = self.header.extent(index);
        let written = self.write(start, &region).and_then(|()| Ok(self.medium.sync()?));
        if written.is_err() {
            // What room there was is better left to others; if this fails too, the extent counts
            // as one without keys.
            let _ = self.medium.set_len(start);
        }
        written
    }

    /// A medium need not know gaps; a cut off file has them.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), KeySlotsError> {
        if self.medium.len()? < offset {
            self.medium.set_len(offset)?;
        }
        Ok(self.medium.write_at(offset, bytes)?)
    }

    /// Writes the header: the copy that is not sound, then the other. As soon as the first is
    /// durable the header counts as changed.
    pub(super) fn write_header(&mut self, mut header: Header) -> Result<(), KeySlotsError> {
        header.sequence = self.header.sequence + 1;
        let bytes = header.encode();
        let (one, other) = (self.sound.other(), self.sound);
        self.write(header_at(one), &bytes)?;
        self.medium.sync()?;
        (self.header, self.sound, self.settled) = (header, one, false);
        self.write(header_at(other), &bytes)?;
        self.medium.sync()?;
        self.settled = true;
        Ok(())
    }
}

/// The newest whole copy of the header, which one that is, and whether the other is like it.
pub(super) fn read_header(medium: &dyn Medium) -> Result<(Header, Side, bool), KeySlotsError> {
    let length = medium.len()?;
    if length == 0 {
        return Err(KeySlotsError::Missing);
    }
    let mut copies = Vec::new();
    let mut failed = None;
    for side in [Side::A, Side::B] {
        let mut bytes = vec![0; HEADER];
        if header_at(side) + HEADER as u64 > length {
            continue;
        }
        match medium.read_at(header_at(side), &mut bytes) {
            Ok(()) => copies.extend(Header::decode(&bytes).map(|header| (header, side, bytes))),
            Err(error) => failed = Some(error),
        }
    }
    let settled = matches!(copies.as_slice(), [(_, _, one), (_, _, other)] if one == other);
    let newest = copies.into_iter().max_by_key(|(_, _, bytes)| Header::sequence(bytes));
    match (newest, failed) {
        (Some((header, side, _)), _) => Ok((header?, side, settled)),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(KeySlotsError::Damaged("no copy of its header is whole")),
    }
}
