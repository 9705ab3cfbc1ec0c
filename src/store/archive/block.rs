//! The archive as a stream of blocks: each says how long it is and carries a checksum, so that
//! damage is found where it is, and what lies behind it is found again. The first block is the
//! header, the last one holds the totals, so that a missing end is noticed. A record never crosses
//! blocks. Knows nothing of what records mean.
//!
//! A block: magic (8), archive (8), number (4), payload's length (4), kind (1), checksum (16), then
//! the payload; numbers are big-endian. The checksum is the first half of the BLAKE3 hash of the 25
//! bytes before it and the payload. The payload of kind 2 is records, each behind its length (4).

use std::io::{self, Write};

use minicbor::{Decode, Encode};

/// How every block begins. The first byte is in no text and in no UTF-8, so that a file that went
/// through a text conversion is noticed at once.
pub const MAGIC: [u8; 8] = *b"\x8cCKblock";
/// The newest archive format that this program reads and writes.
pub const FORMAT: u32 = 1;
/// The longest payload: a length beyond it is damage, not a reason to take memory.
pub const LONGEST: usize = 64 << 20;
/// The longest record.
pub const LONGEST_RECORD: usize = LONGEST - PREFIX;

/// How many bytes of records a block gathers before it is written.
const AIM: usize = 64 * 1024;
/// A record's length, in front of it.
const PREFIX: usize = 4;
/// What the checksum covers beside the payload.
const CHECKED: usize = 25;
/// What lies in front of a payload.
pub(super) const HEAD: usize = CHECKED + CHECKSUM;
const CHECKSUM: usize = 16;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A [`Header`]; block 0 and no other.
    Header = 1,
    /// Records.
    Records = 2,
    /// The [`Totals`]; the last block and no other.
    Totals = 3,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        [Self::Header, Self::Records, Self::Totals].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// The archive's format.
    #[n(0)]
    pub format: u32,
    /// The installation it is of.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub installation: [u8; 16],
    /// When it was made, in microseconds since 1970.
    #[n(2)]
    pub made: i64,
    /// The program that made it.
    #[n(3)]
    pub program: String,
    /// The format of the rows in it.
    #[n(4)]
    pub rows: u32,
}

/// How much of each kind an archive holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counts {
    /// Accounts.
    #[n(0)]
    pub accounts: u64,
    /// Homes, books and calendars.
    #[n(1)]
    pub collections: u64,
    /// Contacts.
    #[n(2)]
    pub contacts: u64,
    /// Those of the collections that are homes; archives of before there were calendars do not say.
    #[cbor(n(3), default)]
    pub homes: u64,
    /// Those of the collections that are calendars.
    #[cbor(n(4), default)]
    pub calendars: u64,
    /// Objects in calendars.
    #[cbor(n(5), default)]
    pub objects: u64,
}

/// What an archive says of itself at its end.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// How much of each kind.
    #[n(0)]
    pub counts: Counts,
    /// Records in all.
    #[n(1)]
    pub records: u64,
    /// Blocks in all, header and totals included.
    #[n(2)]
    pub blocks: u32,
    /// The BLAKE3 hash of the checksums of all blocks before this one, in order.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub digest: [u8; 32],
}

/// What stands in front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) archive: [u8; 8],
    pub(super) number: u32,
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) checksum: [u8; CHECKSUM],
}

impl Head {
    /// Reads the front of a block; `None` where there is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (archive, rest) = rest.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first()?;
        let checksum = rest.first_chunk::<CHECKSUM>()?;
        (*magic == MAGIC).then_some(Self {
            archive: *archive,
            number: u32::from_be_bytes(*number),
            length: u32::from_be_bytes(*length),
            kind: *kind,
            checksum: *checksum,
        })
    }

    fn checked(&self) -> [u8; CHECKED] {
        let mut bytes = [0; CHECKED];
        let parts = MAGIC.into_iter().chain(self.archive).chain(self.number.to_be_bytes());
        let parts = parts.chain(self.length.to_be_bytes()).chain([self.kind]);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    /// What the checksum of this block must be.
    pub(super) fn sum(&self, payload: &[u8]) -> [u8; CHECKSUM] {
        let mut hasher = blake3::Hasher::new();
        let hash = hasher.update(&self.checked()).update(payload).finalize();
        let mut half = [0; CHECKSUM];
        half.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        half
    }
}

/// The records of a payload; an error where their lengths do not add up.
pub(super) fn records(mut payload: &[u8]) -> Result<Vec<std::ops::Range<usize>>, ()> {
    let mut found = Vec::new();
    let mut at = 0;
    while !payload.is_empty() {
        let (length, rest) = payload.split_first_chunk::<PREFIX>().ok_or(())?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ())?;
        let (_, rest) = rest.split_at_checked(length).ok_or(())?;
        found.push(at + PREFIX..at + PREFIX + length);
        at += PREFIX + length;
        payload = rest;
    }
    Ok(found)
}

/// Writes an archive.
pub struct Writer<W: Write> {
    out: W,
    archive: [u8; 8],
    number: u32,
    payload: Vec<u8>,
    digest: blake3::Hasher,
    records: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an archive; `archive` is random and tells its blocks from those of others.
    pub fn new(out: W, archive: [u8; 8], header: &Header) -> io::Result<Self> {
        let (payload, digest) = (Vec::with_capacity(2 * AIM), blake3::Hasher::new());
        let mut writer = Self { out, archive, number: 0, payload, digest, records: 0, bytes: 0 };
        writer.payload.extend_from_slice(&encode(header)?);
        writer.block(Kind::Header)?;
        Ok(writer)
    }

    /// Adds a record.
    pub fn record(&mut self, record: &[u8]) -> io::Result<()> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a record is too long for an archive");
        if record.len() > LONGEST_RECORD {
            return Err(too_long());
        }
        let length = u32::try_from(record.len()).map_err(|_| too_long())?;
        // A large record has a block of its own, so that damage to it costs no other.
        if !self.payload.is_empty() && self.payload.len() + PREFIX + record.len() > AIM {
            self.block(Kind::Records)?;
        }
        self.payload.extend_from_slice(&length.to_be_bytes());
        self.payload.extend_from_slice(record);
        self.records += 1;
        if self.payload.len() >= AIM { self.block(Kind::Records) } else { Ok(()) }
    }

    /// What is written into.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// How many bytes were handed out so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the totals and hands back what was written into.
    pub fn finish(mut self, counts: Counts) -> io::Result<W> {
        if !self.payload.is_empty() {
            self.block(Kind::Records)?;
        }
        let blocks = self.number.saturating_add(1);
        let digest = *self.digest.finalize().as_bytes();
        let totals = Totals { counts, records: self.records, blocks, digest };
        self.payload.extend_from_slice(&encode(&totals)?);
        self.block(Kind::Totals)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn block(&mut self, kind: Kind) -> io::Result<()> {
        let full = || io::Error::new(io::ErrorKind::InvalidInput, "an archive has too many blocks");
        let length = u32::try_from(self.payload.len()).map_err(|_| full())?;
        let (archive, number) = (self.archive, self.number);
        let mut head = Head { archive, number, length, kind: kind as u8, checksum: [0; CHECKSUM] };
        head.checksum = head.sum(&self.payload);
        self.digest.update(&head.checksum);
        self.out.write_all(&head.checked())?;
        self.out.write_all(&head.checksum)?;
        self.out.write_all(&self.payload)?;
        self.bytes += u64::from(length) + HEAD as u64;
        self.number = self.number.checked_add(1).ok_or_else(full)?;
        self.payload.clear();
        self.payload.shrink_to(2 * AIM);
        Ok(())
    }
}

fn encode<T: Encode<()>>(what: &T) -> io::Result<Vec<u8>> {
    minicbor::to_vec(what).map_err(|_| io::Error::other("an archive's header cannot be written"))
}
