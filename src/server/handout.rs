//! What a command takes from a running server in a stream: an archive, or the keyring of now. Frames
//! follow the question, each a kind (1), a length (4, big-endian) and so many bytes; the last one says
//! that all went well, or why not, so that a server that dies on the way is noticed.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::service::Service;
use crate::service::backup::{BackedUp, KeysOfNow, Part};
use crate::service::refusal::Fault;

use super::clock::SystemEntropy;

/// How long a taker may take over a frame: a snapshot lives meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest frame.
const LONGEST: u32 = 1 << 28;
/// How much of a keyring goes into a frame.
const CHUNK: usize = 1 << 20;
/// How many parts of an archive wait for their turn.
const AHEAD: usize = 4;

const DATA: u8 = b'd';
const PROGRESS: u8 = b'p';
const END: u8 = b'e';
const FAILED: u8 = b'f';

/// What may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handout {
    /// An archive of everything.
    Archive,
    /// The keyring that opens it.
    Keyring,
}

/// The question.
#[derive(Serialize, Deserialize)]
pub(super) struct Take {
    pub(super) take: Handout,
}

/// What was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Accounts in the archive.
    pub accounts: u64,
    /// Address books in it.
    pub books: u64,
    /// Contacts in it.
    pub contacts: u64,
    /// Calendars in it.
    #[serde(default)]
    pub calendars: u64,
    /// Objects in the calendars.
    #[serde(default)]
    pub objects: u64,
    /// Rows that are not in it, because they belong to nothing.
    pub passed_over: u64,
    /// Objects that the keyring has no key of, because it is lost.
    pub unreadable: u64,
}

/// Takes bytes, and how many objects of how many are done with.
pub type Sink<'a> = &'a mut (dyn FnMut(&[u8], Option<(u64, u64)>) -> io::Result<()> + Send);

impl From<BackedUp> for Taken {
    fn from(done: BackedUp) -> Self {
        let counts = done.counts;
        let (accounts, contacts) = (counts.accounts, counts.contacts);
        let (calendars, objects) = (counts.calendars, counts.objects);
        // Homes are collections too.
        let books = counts.collections.saturating_sub(counts.homes).saturating_sub(calendars);
        Self { accounts, books, contacts, calendars, objects, passed_over: done.passed_over, unreadable: 0 }
    }
}

/// Takes from a service in this process.
pub async fn from_service(service: &Service, what: Handout, sink: Sink<'_>) -> Result<Taken, Fault> {
    let lost = |error: io::Error| Fault(error.to_string());
    if what == Handout::Keyring {
        let (bytes, unreadable) = keyring(service).await?;
        sink(&bytes, None).map_err(lost)?;
        return Ok(Taken { unreadable, ..Taken::default() });
    }
    let of = service.objects().await?;
    let (out, mut parts) = mpsc::channel::<Part>(AHEAD);
    let taking = async move {
        while let Some(part) = parts.recv().await {
            sink(&part.bytes, Some((part.objects, of)))?;
        }
        Ok(())
    };
    let (done, taken) = tokio::join!(service.backup(out), taking);
    // Where nobody takes it any more, that is the reason to tell.
    taken.map_err(lost)?;
    Ok(done?.into())
}

/// Hands out to whoever asked.
pub(super) async fn to(
    socket: &mut (impl AsyncWrite + Unpin),
    service: &Service,
    what: Handout,
) -> io::Result<()> {
    let done = match what {
        Handout::Archive => archive_to(socket, service).await?,
        Handout::Keyring => match keyring(service).await {
            Ok((bytes, unreadable)) => {
                for chunk in bytes.chunks(CHUNK) {
                    frame(socket, DATA, chunk).await?;
                }
                Ok(Taken { unreadable, ..Taken::default() })
            }
            Err(fault) => Err(fault),
        },
    };
    match done {
        Ok(taken) => frame(socket, END, &serde_json::to_vec(&taken)?).await,
        Err(fault) => frame(socket, FAILED, fault.0.as_bytes()).await,
    }?;
    socket.flush().await
}

async fn archive_to(
    socket: &mut (impl AsyncWrite + Unpin),
    service: &Service,
) -> io::Result<Result<Taken, Fault>> {
    let of = match service.objects().await {
        Ok(of) => of,
        Err(fault) => return Ok(Err(fault)),
    };
    let (out, mut parts) = mpsc::channel::<Part>(AHEAD);
    let sending = async move {
        while let Some(part) = parts.recv().await {
            let [done, of] = [part.objects, of].map(u64::to_be_bytes);
            frame(socket, PROGRESS, &[done, of].concat()).await?;
            frame(socket, DATA, &part.bytes).await?;
        }
        io::Result::Ok(())
    };
    let (done, sent) = tokio::join!(service.backup(out), sending);
    sent?;
    Ok(done.map(Taken::from))
}

/// The keyring as bytes; the taker protects it.
async fn keyring(service: &Service) -> Result<(Vec<u8>, u64), Fault> {
    let KeysOfNow { keyring, unreadable } = service.keyring().await?;
    let bytes = keyring.write(Vec::new(), None, &SystemEntropy);
    Ok((bytes.map_err(|error| Fault(error.to_string()))?, unreadable))
}

async fn frame(socket: &mut (impl AsyncWrite + Unpin), kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| io::Error::other("a frame is too long"))?;
    let sending = async {
        socket.write_all(&[&[kind][..], &length.to_be_bytes()].concat()).await?;
        socket.write_all(bytes).await
    };
    timeout(PATIENCE, sending).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Takes from a server.
pub(super) async fn from_socket(
    socket: &mut (impl AsyncRead + Unpin),
    sink: Sink<'_>,
) -> io::Result<Result<Taken, Fault>> {
    const GONE: &str = "the server went away before all of it was there";
    let mut progress = None;
    loop {
        let mut head = [0; 5];
        let read = socket.read_exact(&mut head).await;
        read.map_err(|error| io::Error::new(error.kind(), GONE))?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length);
        if length > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the server sent something else"));
        }
        // Memory is taken for what comes.
        let mut bytes = Vec::new();
        let read = (&mut *socket).take(u64::from(length)).read_to_end(&mut bytes).await?;
        if read != length as usize {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, GONE));
        }
        match kind {
            DATA => sink(&bytes, progress)?,
            PROGRESS => {
                let numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
                let mut numbers = numbers.fuse();
                progress = numbers.next().zip(numbers.next());
            }
            END => return Ok(Ok(serde_json::from_slice(&bytes)?)),
            FAILED => return Ok(Err(Fault(String::from_utf8_lossy(&bytes).into_owned()))),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the server sent something else")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(bytes: &[u8]) -> (io::Result<Result<Taken, Fault>>, Vec<u8>) {
        let mut all = Vec::new();
        let mut sink = |bytes: &[u8], _: Option<(u64, u64)>| {
            all.extend_from_slice(bytes);
            Ok(())
        };
        let mut from = bytes;
        (from_socket(&mut from, &mut sink).await, all)
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_anywhere_is_an_error() {
        let mut stream = Vec::new();
        frame(&mut stream, PROGRESS, &[0; 16]).await.unwrap();
        frame(&mut stream, DATA, b"one").await.unwrap();
        frame(&mut stream, DATA, b"two").await.unwrap();
        let end = Taken { contacts: 7, ..Taken::default() };
        frame(&mut stream, END, &serde_json::to_vec(&end).unwrap()).await.unwrap();
        let (done, bytes) = taken(&stream).await;
        assert_eq!(done.unwrap().unwrap(), end);
        assert_eq!(bytes, b"onetwo");
        for length in 0..stream.len() {
            assert!(taken(&stream[..length]).await.0.is_err(), "{length}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_and_nonsense_refused() {
        let mut stream = Vec::new();
        frame(&mut stream, FAILED, b"the disk").await.unwrap();
        assert_eq!(taken(&stream).await.0.unwrap().unwrap_err().0, "the disk");
        assert!(taken(b"d\xff\xff\xff\xff").await.0.is_err());
        assert!(taken(b"?\0\0\0\0").await.0.is_err());
        assert!(taken(b"e\0\0\0\x01{").await.0.is_err());
    }
}
