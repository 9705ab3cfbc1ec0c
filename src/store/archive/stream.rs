//! A sealed stream: chunks of 64 KiB under one key, each with its number and whether it is the last
//! in its nonce (the STREAM construction), so that chunks cannot be swapped, dropped or cut off.
//! The key must be of this one stream: nonces begin at zero.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// How many bytes a chunk seals; only the last one has fewer.
const CHUNK: usize = 64 * 1024;
/// What sealing adds to a chunk.
const TAG: usize = 16;

/// Seals what is written into it.
pub struct Sealed<W: Write> {
    out: W,
    chunks: Chunks,
    buffer: Vec<u8>,
}

/// Opens a sealed stream; what it gives was verified.
pub struct Opened<R: Read> {
    inner: R,
    chunks: Chunks,
    /// The chunk in use and how much of it was handed out.
    buffer: Vec<u8>,
    given: usize,
    /// The bytes of the next chunk: whether there are any tells whether this one is the last.
    next: Vec<u8>,
    began: bool,
    ended: bool,
}

/// The key and the number of the next chunk.
struct Chunks {
    key: LessSafeKey,
    /// What every chunk is bound to.
    bound: Vec<u8>,
    number: u32,
}

impl Chunks {
    fn new(key: &[u8; 32], bound: &[u8]) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| io::Error::other("a key is unusable"))?;
        Ok(Self { key: LessSafeKey::new(key), bound: bound.to_vec(), number: 0 })
    }

    /// Seven zeros, the chunk's number, and whether it is the last.
    fn nonce(&mut self, last: bool) -> io::Result<Nonce> {
        let mut nonce = [0; NONCE_LEN];
        let parts = [0; 7].into_iter().chain(self.number.to_be_bytes()).chain([u8::from(last)]);
        nonce.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        let next = self.number.checked_add(1);
        self.number = next.ok_or_else(|| io::Error::other("a sealed stream is too long"))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    fn seal(&mut self, chunk: &mut Vec<u8>, last: bool) -> io::Result<()> {
        let nonce = self.nonce(last)?;
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::from(&self.bound), chunk);
        sealed.map_err(|_| io::Error::other("sealing failed"))
    }

    fn open(&mut self, chunk: &mut Vec<u8>, last: bool) -> io::Result<()> {
        let nonce = self.nonce(last)?;
        let opened = self.key.open_in_place(nonce, Aad::from(&self.bound), chunk);
        let length = opened.map_err(|_| damaged())?.len();
        chunk.truncate(length);
        Ok(())
    }
}

impl<W: Write> Sealed<W> {
    /// Begins a stream under a key of its own; `bound` must be the same when it is opened.
    pub fn new(out: W, key: &[u8; 32], bound: &[u8]) -> io::Result<Self> {
        let chunks = Chunks::new(key, bound)?;
        Ok(Self { out, chunks, buffer: Vec::with_capacity(CHUNK + TAG) })
    }

    /// Writes the last chunk; without it the stream does not open.
    pub fn finish(mut self) -> io::Result<W> {
        self.chunk(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn chunk(&mut self, last: bool) -> io::Result<()> {
        self.chunks.seal(&mut self.buffer, last)?;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is only written once more follows: it may be the last.
        if self.buffer.len() >= CHUNK && !bytes.is_empty() {
            self.chunk(false)?;
        }
        let room = CHUNK.saturating_sub(self.buffer.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.buffer.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<R: Read> Opened<R> {
    /// Opens the stream that begins here and goes on to the end.
    pub fn new(inner: R, key: &[u8; 32], bound: &[u8]) -> io::Result<Self> {
        let chunks = Chunks::new(key, bound)?;
        let (buffer, next) = (Vec::new(), Vec::new());
        Ok(Self { inner, chunks, buffer, given: 0, next, began: false, ended: false })
    }

    fn advance(&mut self) -> io::Result<()> {
        if !self.began {
            self.began = true;
            self.read_next()?;
        }
        self.buffer.fill(0);
        self.given = 0;
        std::mem::swap(&mut self.buffer, &mut self.next);
        self.read_next()?;
        self.ended = self.next.is_empty();
        self.chunks.open(&mut self.buffer, self.ended)
    }

    fn read_next(&mut self) -> io::Result<()> {
        self.next.clear();
        (&mut self.inner).take((CHUNK + TAG) as u64).read_to_end(&mut self.next).map(|_| ())
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.buffer.len() && !self.ended {
            self.advance()?;
        }
        let rest = self.buffer.get(self.given..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.given += count;
        Ok(count)
    }
}

impl<R: Read> Drop for Opened<R> {
    fn drop(&mut self) {
        self.buffer.fill(0);
        std::hint::black_box(&self.buffer);
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a sealed stream does not open")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut out = Sealed::new(Vec::new(), &[3; 32], b"bound").unwrap();
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    }

    fn opened(sealed: &[u8], bound: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opened::new(sealed, &[3; 32], bound)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn streams_of_every_length_open_and_nothing_else_does() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let bytes = sealed(&plain);
            assert_eq!(opened(&bytes, b"bound").unwrap(), plain);
            assert!(opened(&bytes, b"other").is_err());
            assert!(opened(&bytes[..bytes.len() - 1], b"bound").is_err());
            assert!(opened(&[&bytes[..], b"x"].concat(), b"bound").is_err());
        }
        let bytes = sealed(&vec![1; 3 * CHUNK]);
        let chunks: Vec<&[u8]> = bytes.chunks(CHUNK + TAG).collect();
        assert!(opened(&[chunks[1], chunks[0], chunks[2]].concat(), b"bound").is_err());
        assert!(opened(&[chunks[0], chunks[2]].concat(), b"bound").is_err());
        assert!(opened(&[chunks[0], chunks[1]].concat(), b"bound").is_err());
        assert!(opened(b"", b"bound").is_err());
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_noticed(length in 0..200_usize, place: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = sealed(&vec![7; length]);
            let place = place.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
            prop_assert!(opened(&bytes, b"bound").is_err());
        }
    }
}
