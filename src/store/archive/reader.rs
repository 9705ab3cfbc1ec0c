//! Reads an archive, in bounded memory and time whatever the bytes are. Strict, the first damage is
//! an error that names it; partial, damage becomes a gap, and reading goes on at the next block
//! whose checksum is right.

use std::io::{self, Read};
use std::ops::Range;

use super::block::{self, FORMAT, HEAD, Head, Header, Kind, LONGEST, MAGIC, Totals};

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;
/// How many bytes may be checked in vain, beside a multiple of what was read: made-up blocks within
/// one another could else cost time without end.
const IN_VAIN: u64 = 256 << 20;

/// What is done about damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The first damage ends the reading.
    Strict,
    /// What is whole is read.
    Partial,
}

/// What is wrong with an archive at some place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// No block begins where one should.
    #[error("there is something else than a block")]
    NoBlock,
    /// The file ends within a block.
    #[error("the file ends in the middle of it")]
    CutOff,
    /// No block is that long.
    #[error("its length is impossible")]
    Length,
    /// The checksum is not that of the content.
    #[error("its checksum is wrong")]
    Checksum,
    /// It is of another archive.
    #[error("it belongs to another archive")]
    Foreign,
    /// Blocks are missing in front of it, or it comes twice.
    #[error("it is not the block that belongs there")]
    Number,
    /// What it holds cannot be read.
    #[error("its content cannot be read")]
    Content,
    /// The last block is missing.
    #[error("the file ends before the archive does")]
    NoEnd,
    /// Something follows the last block.
    #[error("something follows the archive's end")]
    Trailing,
    /// The totals are not those of what came.
    #[error("the totals do not agree with the content")]
    Totals,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The medium's word.
    #[error("the archive cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is none.
    #[error("this is not an archive of cardkeep")]
    NotAnArchive,
    /// Written by a newer program.
    #[error("the archive has format {found}, this program reads up to {FORMAT}: use a newer cardkeep")]
    TooNew {
        /// The archive's format.
        found: u32,
    },
    /// It is not what was written.
    #[error("the archive is damaged: block {block} at byte {offset}: {what}")]
    Damaged {
        /// The block that belongs there.
        block: u32,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: Damage,
    },
    /// Looking for what is whole would take too long.
    #[error("the archive is damaged beyond use at byte {offset}")]
    Hopeless {
        /// Where the search was given up.
        offset: u64,
    },
}

/// A part of an archive.
#[derive(Debug)]
pub enum Piece {
    /// What it says of itself; comes first, unless it is lost.
    Header(Header),
    /// A block of records.
    Records(Records),
    /// What it says of itself at its end.
    Totals(Totals),
    /// Something is lost here; in partial mode only.
    Gap(Gap),
}

/// A place where something is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The bytes that are of no use; none where whole blocks are missing.
    pub bytes: Range<u64>,
    /// The numbers of the blocks that are lost; where the end is lost, nobody knows how many.
    pub blocks: Range<u32>,
    /// What was noticed first.
    pub what: Damage,
}

/// The records of one block.
pub struct Records {
    /// The block's number.
    pub block: u32,
    /// Where the block begins in the file.
    pub offset: u64,
    payload: Vec<u8>,
    places: Vec<Range<usize>>,
}

// Records may hold anything: only their number is shown.
impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Records({} in block {})", self.places.len(), self.block)
    }
}

impl Records {
    /// The records, in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().filter_map(|place| self.payload.get(place.clone()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// A block that was found whole.
struct Found {
    number: u32,
    kind: Kind,
    offset: u64,
    archive: [u8; 8],
    checksum: [u8; 16],
    payload: Vec<u8>,
}

/// Reads an archive.
pub struct Reader<R: Read> {
    inner: R,
    mode: Mode,
    /// What was read ahead; everything before `from` is done with.
    window: Vec<u8>,
    from: usize,
    /// Where in the file `from` is.
    offset: u64,
    ended: bool,
    in_vain: u64,
    archive: Option<[u8; 8]>,
    /// The number of the next block.
    expected: u32,
    digest: blake3::Hasher,
    records: u64,
    complete: bool,
    /// A block that waits behind a gap.
    held: Option<Found>,
    done: bool,
}

impl<R: Read> Reader<R> {
    /// Reads from the archive's first byte.
    pub fn new(inner: R, mode: Mode) -> Self {
        Self {
            inner,
            mode,
            window: Vec::new(),
            from: 0,
            offset: 0,
            ended: false,
            in_vain: 0,
            archive: None,
            expected: 0,
            digest: blake3::Hasher::new(),
            records: 0,
            complete: false,
            held: None,
            done: false,
        }
    }

    /// How many bytes are done with.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// The next part; `None` after the last one. After an error there is nothing more.
    pub fn piece(&mut self) -> Result<Option<Piece>, ArchiveError> {
        if self.done {
            return Ok(None);
        }
        let piece = self.advance();
        self.done = !matches!(piece, Ok(Some(_)));
        piece
    }

    fn advance(&mut self) -> Result<Option<Piece>, ArchiveError> {
        if let Some(found) = self.held.take() {
            return self.take(found);
        }
        let (began, expected) = (self.offset, self.expected);
        let mut first = None;
        loop {
            let attempt = self.attempt()?;
            match attempt {
                Ok(Some(found)) if first.is_none() && found.number == expected => return self.take(found),
                Ok(Some(found)) => {
                    let what = first.unwrap_or(Damage::Number);
                    let gap = Gap { bytes: began..found.offset, blocks: expected..found.number, what };
                    self.held = Some(found);
                    return Ok(Some(Piece::Gap(gap)));
                }
                Ok(None) => return self.end(began, first),
                Err(what) if self.mode == Mode::Strict => return Err(self.damaged(what)),
                Err(what) => {
                    first.get_or_insert(what);
                    self.seek()?;
                }
            }
        }
    }

    /// The file's end, with nothing or something lost before it.
    fn end(&mut self, began: u64, first: Option<Damage>) -> Result<Option<Piece>, ArchiveError> {
        let what = match first {
            None if self.complete => return Ok(None),
            None => Damage::NoEnd,
            Some(_) if self.complete => Damage::Trailing,
            Some(what) => what,
        };
        if self.mode == Mode::Strict {
            return Err(self.damaged(what));
        }
        self.complete = true;
        let blocks = self.expected..self.expected;
        Ok(Some(Piece::Gap(Gap { bytes: began..self.offset, blocks, what })))
    }

    /// Makes a part of a block; a block whose content cannot be read is damage like any other.
    fn take(&mut self, found: Found) -> Result<Option<Piece>, ArchiveError> {
        let (number, offset) = (found.number, found.offset);
        let end = self.offset;
        self.expected = number.saturating_add(1);
        match self.piece_of(found) {
            Ok(piece) => Ok(Some(piece)),
            Err(Trouble::TooNew(found)) => Err(ArchiveError::TooNew { found }),
            Err(Trouble::Damage(what)) if self.mode == Mode::Strict => {
                Err(ArchiveError::Damaged { block: number, offset, what })
            }
            Err(Trouble::Damage(what)) => {
                let blocks = number..number.saturating_add(1);
                Ok(Some(Piece::Gap(Gap { bytes: offset..end, blocks, what })))
            }
        }
    }

    fn piece_of(&mut self, found: Found) -> Result<Piece, Trouble> {
        if self.complete {
            return Err(Damage::Trailing.into());
        }
        let Found { number, kind, offset, archive, checksum, payload } = found;
        self.archive = Some(archive);
        match kind {
            Kind::Header if number == 0 => {
                // The format first: the rest may look otherwise one day.
                let mut decoder = minicbor::Decoder::new(&payload);
                let format = decoder.array().and_then(|_| decoder.u32()).map_err(|_| Damage::Content)?;
                if format > FORMAT {
                    return Err(Trouble::TooNew(format));
                }
                let header: Header = minicbor::decode(&payload).map_err(|_| Damage::Content)?;
                self.digest.update(&checksum);
                Ok(Piece::Header(header))
            }
            Kind::Records if number > 0 => {
                let places = block::records(&payload).map_err(|()| Damage::Content)?;
                self.digest.update(&checksum);
                self.records = self.records.saturating_add(places.len() as u64);
                Ok(Piece::Records(Records { block: number, offset, payload, places }))
            }
            Kind::Totals if number > 0 => {
                let totals: Totals = minicbor::decode(&payload).map_err(|_| Damage::Content)?;
                let agree = totals.blocks == number.saturating_add(1)
                    && totals.records == self.records
                    && totals.digest == *self.digest.finalize().as_bytes();
                if self.mode == Mode::Strict && !agree {
                    return Err(Damage::Totals.into());
                }
                self.complete = true;
                Ok(Piece::Totals(totals))
            }
            _ => Err(Damage::Content.into()),
        }
    }

    fn damaged(&self, what: Damage) -> ArchiveError {
        match what {
            Damage::NoBlock if self.offset == 0 => ArchiveError::NotAnArchive,
            what => ArchiveError::Damaged { block: self.expected, offset: self.offset, what },
        }
    }

    /// The block that begins here, which is then done with; `None` at the file's end.
    fn attempt(&mut self) -> io::Result<Result<Option<Found>, Damage>> {
        let whole_head = self.fill(HEAD)?;
        if self.view().is_empty() {
            return Ok(Ok(None));
        }
        if self.complete && self.mode == Mode::Strict {
            return Ok(Err(Damage::Trailing));
        }
        let known = self.view().len().min(MAGIC.len());
        if self.view().get(..known) != MAGIC.get(..known) {
            return Ok(Err(Damage::NoBlock));
        }
        let Some(head) = Head::read(self.view()).filter(|_| whole_head) else {
            return Ok(Err(Damage::CutOff));
        };
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Ok(Err(Damage::Length));
        }
        if !self.fill(HEAD + length)? {
            return Ok(Err(Damage::CutOff));
        }
        let payload = self.view().get(HEAD..HEAD + length).unwrap_or_default();
        if head.sum(payload) != head.checksum {
            self.in_vain = self.in_vain.saturating_add(u64::from(head.length));
            return Ok(Err(Damage::Checksum));
        }
        let Some(kind) = Kind::of(head.kind) else { return Ok(Err(Damage::Content)) };
        if self.archive.is_some_and(|archive| archive != head.archive) {
            return Ok(Err(Damage::Foreign));
        }
        let right = match self.mode {
            Mode::Strict => head.number == self.expected,
            Mode::Partial => head.number >= self.expected,
        };
        if !right {
            return Ok(Err(Damage::Number));
        }
        let Head { archive, number, checksum, .. } = head;
        let found = Found { number, kind, offset: self.offset, archive, checksum, payload: payload.to_vec() };
        self.skip(HEAD + length);
        Ok(Ok(Some(found)))
    }

    /// Goes on to where the next block may begin.
    fn seek(&mut self) -> Result<(), ArchiveError> {
        if self.in_vain > IN_VAIN.saturating_add(self.offset.saturating_mul(64)) {
            return Err(ArchiveError::Hopeless { offset: self.offset });
        }
        self.skip(1);
        loop {
            if let Some(at) = memchr::memmem::find(self.view(), &MAGIC) {
                self.skip(at);
                return Ok(());
            }
            // The beginning of one may already be there.
            self.skip((self.view().len() + 1).saturating_sub(MAGIC.len()));
            if !self.fill(MAGIC.len())? {
                self.skip(self.view().len());
                return Ok(());
            }
        }
    }

    fn view(&self) -> &[u8] {
        self.window.get(self.from..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) {
        self.from += bytes;
        self.offset += bytes as u64;
    }

    /// Reads on until so many bytes are in view; false when the file ends before. Memory is taken
    /// for what comes, not for what a length promises.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.view().len() < wanted && !self.ended {
            if self.from > 0 {
                self.window.drain(..self.from);
                self.from = 0;
            }
            let missing = wanted.saturating_sub(self.window.len());
            let step = missing.clamp(CHUNK, LONGEST) as u64;
            let read = (&mut self.inner).take(step).read_to_end(&mut self.window)?;
            self.ended = (read as u64) < step;
        }
        if self.window.len() == self.from && self.window.capacity() > 4 * CHUNK {
            self.window = Vec::new();
            self.from = 0;
        }
        Ok(self.view().len() >= wanted)
    }
}

/// Why a block is no part of the archive.
enum Trouble {
    Damage(Damage),
    TooNew(u32),
}

impl From<Damage> for Trouble {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

#[cfg(test)]
mod tests;
