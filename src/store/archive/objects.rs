//! Reads the objects of an archive, in order.

use std::io::Read;

use super::block::Header;
use super::reader::{ArchiveError, Damage, Gap, Mode, Piece, Reader};
use super::record::{Assembled, Assembly, Object};

/// What comes next in an archive.
#[derive(Debug)]
pub enum Found {
    /// What it says of itself; comes first, unless it is lost.
    Header(Header),
    /// An object.
    Object(Object),
    /// Something is lost here; in partial mode only.
    Gap(Gap),
}

/// The objects of an archive.
pub struct Objects<R: Read> {
    reader: Reader<R>,
    assembly: Assembly,
    mode: Mode,
    waiting: std::vec::IntoIter<Object>,
}

impl<R: Read> Objects<R> {
    /// Reads from the archive's first byte.
    pub fn new(from: R, mode: Mode) -> Self {
        let (assembly, waiting) = (Assembly::default(), Vec::new().into_iter());
        Self { reader: Reader::new(from, mode), assembly, mode, waiting }
    }

    /// How many bytes are done with.
    pub fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// What comes next; `None` at the archive's end.
    pub fn advance(&mut self) -> Result<Option<Found>, ArchiveError> {
        loop {
            if let Some(object) = self.waiting.next() {
                return Ok(Some(Found::Object(object)));
            }
            match self.reader.piece()? {
                None => return Ok(None),
                Some(Piece::Header(header)) => return Ok(Some(Found::Header(header))),
                Some(Piece::Totals(_)) => {}
                Some(Piece::Gap(gap)) => {
                    self.assembly.lose();
                    return Ok(Some(Found::Gap(gap)));
                }
                Some(Piece::Records(records)) => {
                    let mut objects = Vec::with_capacity(records.len());
                    for record in records.iter() {
                        let object = match self.assembly.add(record) {
                            Assembled::Part => continue,
                            Assembled::Whole(bytes) => Object::decode(&bytes),
                            Assembled::Stray => None,
                        };
                        match object {
                            Some(object) => objects.push(object),
                            // The block is what was written: another program wrote it.
                            None if self.mode == Mode::Strict => {
                                let (block, offset, what) = (records.block, records.offset, Damage::Content);
                                return Err(ArchiveError::Damaged { block, offset, what });
                            }
                            None => {}
                        }
                    }
                    self.waiting = objects.into_iter();
                }
            }
        }
    }
}
