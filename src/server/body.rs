//! Request bodies: read whole, within bounds of size, memory and time; a refused one is read and
//! thrown away, so that its sender sees the answer and not a reset connection. Knows no route.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Limits;

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is larger than allowed (413).
    TooLarge,
    /// It came too slowly (408).
    Slow,
    /// Other bodies fill the memory that is set aside for them (503).
    NoRoom,
    /// The connection broke, or the framing is wrong.
    Broken,
}

/// The memory that request bodies share. Small ones have a part of their own, so that no phone waits
/// for others' photos, nor for clients that announce much and send nothing.
pub struct Room {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    patience: Duration,
}

/// A body, and the memory it was granted for as long as this value lives.
pub struct Whole {
    /// The octets.
    pub bytes: Bytes,
    _room: Granted,
}

/// What a body was granted of each part.
#[derive(Default)]
struct Granted {
    small: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// As much as the configuration allows, but never less than one of the largest bodies.
    pub fn new(limits: &Limits) -> Self {
        let small = limits.body_memory / 4;
        let large = (limits.body_memory - small).max(2 * limits.card_bytes).max(LEAST);
        let part = |bytes: usize| Arc::new(Semaphore::new(bytes.max(SMALL).div_ceil(STEP)));
        Self { small: part(small), large: part(large), patience: PATIENCE }
    }

    /// Grants a body memory for `size` bytes: a small one of its part, any other of the rest.
    async fn grow(&self, granted: &mut Granted, size: usize) -> Result<(), Unread> {
        let (part, held) = match size > SMALL {
            true => (&self.large, &mut granted.large),
            false => (&self.small, &mut granted.small),
        };
        let missing = size.div_ceil(STEP).saturating_sub(held.as_ref().map_or(0, |p| p.num_permits()));
        if missing == 0 {
            return Ok(());
        }
        let steps = u32::try_from(missing).map_err(|_| Unread::NoRoom)?;
        let more = match timeout(self.patience, part.clone().acquire_many_owned(steps)).await {
            Ok(Ok(more)) => more,
            _ => return Err(Unread::NoRoom),
        };
        match held {
            Some(permit) => permit.merge(more),
            None => *held = Some(more),
        }
        if size > SMALL {
            granted.small = None;
        }
        Ok(())
    }
}

/// The least memory for bodies: the largest report fits, with room for others.
const LEAST: usize = 32 << 20;
/// The largest small body: most cards, most requests for properties.
const SMALL: usize = 64 << 10;
/// Memory is granted in steps of this many bytes.
const STEP: usize = 16 << 10;
/// How long a body waits for memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes a second that a client must reach on the whole, after a pause of `body_timeout`.
const PACE: u64 = 8 << 10;

/// Reads a body of at most `limit` bytes. One that announces more is not asked for at all.
pub async fn read<B>(body: &mut B, limit: usize, room: &Room, pause: Duration) -> Result<Whole, Unread>
where
    B: Body<Data = Bytes> + Unpin,
{
    let hint = body.size_hint();
    if hint.lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(Unread::TooLarge);
    }
    let announced = usize::try_from(hint.lower()).unwrap_or(limit);
    let mut granted = Granted::default();
    room.grow(&mut granted, announced).await?;
    let begun = Instant::now();
    let mut bytes = BytesMut::new();
    loop {
        let earned = Duration::from_secs(u64::try_from(bytes.len()).unwrap_or(0) / PACE);
        let frame = match timeout_at(begun + pause + earned, body.frame()).await {
            Err(_) => return Err(Unread::Slow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Unread::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let size = bytes.len() + data.len();
        if size > limit {
            return Err(Unread::TooLarge);
        }
        room.grow(&mut granted, size).await?;
        bytes.extend_from_slice(&data);
    }
    Ok(Whole { bytes: bytes.freeze(), _room: granted })
}

/// Reads the rest of a refused body and throws it away, while the answer is on its way.
pub async fn discard<B>(mut body: B, limits: &Limits)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = limits.discard_bytes;
    let empty = async {
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let _ = timeout(limits.discard_timeout, empty).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use http_body_util::Full;

    use super::*;
    use crate::config::Config;

    /// Pieces without an announced size, the last of which never ends when `stuck`.
    struct Pieces {
        left: Vec<&'static [u8]>,
        stuck: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.left.pop() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece))))),
                None if self.stuck => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    fn room() -> Room {
        Room::new(&Config::default().limits)
    }

    const PAUSE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_body_within_the_limit_is_read_whole() {
        let room = room();
        let mut chunks = Pieces { left: vec![b"c", b"b", b"a"], stuck: false };
        let whole = read(&mut chunks, 3, &room, PAUSE).await.ok().unwrap();
        assert_eq!(whole.bytes, "abc");
        let free = room.small.available_permits();
        drop(whole);
        assert_eq!(room.small.available_permits(), free + 1);
    }

    #[tokio::test]
    async fn a_larger_body_is_refused_announced_or_not() {
        let mut announced = Full::new(Bytes::from_static(b"abcd"));
        assert_eq!(read(&mut announced, 3, &room(), PAUSE).await.err(), Some(Unread::TooLarge));
        let mut chunks = Pieces { left: vec![b"cd", b"ab"], stuck: false };
        assert_eq!(read(&mut chunks, 3, &room(), PAUSE).await.err(), Some(Unread::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_stops_is_given_up() {
        let mut chunks = Pieces { left: vec![b"a"], stuck: true };
        let pause = Duration::from_millis(5);
        let error = read(&mut chunks, 3, &room(), pause).await.err();
        assert_eq!(error, Some(Unread::Slow));
        let mut limits = Config::default().limits;
        limits.discard_timeout = pause;
        let stuck = Pieces { left: vec![], stuck: true };
        discard(stuck, &limits).await;
    }

    #[tokio::test]
    async fn bodies_wait_for_memory_but_not_for_ever() {
        let room = tight(1, 1);
        let first = read(&mut Full::new(Bytes::from_static(b"a")), 9, &room, PAUSE).await.ok().unwrap();
        let mut second = Full::new(Bytes::from_static(b"b"));
        assert_eq!(read(&mut second, 9, &room, PAUSE).await.err(), Some(Unread::NoRoom));
        drop(first);
        assert!(read(&mut second, 9, &room, PAUSE).await.is_ok());
    }

    fn tight(small: usize, large: usize) -> Room {
        let part = |steps| Arc::new(Semaphore::new(steps));
        Room { small: part(small), large: part(large), patience: Duration::from_millis(5) }
    }

    #[tokio::test]
    async fn small_bodies_do_not_wait_for_large_ones() {
        let room = tight(SMALL / STEP, 2 * SMALL / STEP);
        let large = || Full::new(Bytes::from(vec![b'x'; SMALL + 1]));
        let mut first = Pieces { left: vec![&[b'x'; 1]; SMALL + 1], stuck: false };
        let first = read(&mut first, 9 * SMALL, &room, PAUSE).await.ok().unwrap();
        assert_eq!(first.bytes.len(), SMALL + 1);
        assert_eq!(room.small.available_permits(), SMALL / STEP, "what grew large left the small part");
        assert_eq!(read(&mut large(), 9 * SMALL, &room, PAUSE).await.err(), Some(Unread::NoRoom));
        assert!(read(&mut Full::new(Bytes::from_static(b"a")), 9, &room, PAUSE).await.is_ok());
        drop(first);
        assert!(read(&mut large(), 9 * SMALL, &room, PAUSE).await.is_ok());
    }
}
