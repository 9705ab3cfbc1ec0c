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

/// The memory that request bodies share.
pub struct Room {
    steps: Arc<Semaphore>,
    patience: Duration,
}

/// A body, and the memory it was granted for as long as this value lives.
pub struct Whole {
    /// The octets.
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// As much as the configuration allows, but never less than one of the largest bodies.
    pub fn new(limits: &Limits) -> Self {
        let bytes = limits.body_memory.max(2 * limits.card_bytes).max(LEAST);
        Self { steps: Arc::new(Semaphore::new(bytes.div_ceil(STEP))), patience: PATIENCE }
    }

    async fn take(&self, steps: usize) -> Result<OwnedSemaphorePermit, Unread> {
        let steps = u32::try_from(steps).map_err(|_| Unread::NoRoom)?;
        let permit = self.steps.clone().acquire_many_owned(steps);
        match timeout(self.patience, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Unread::NoRoom),
        }
    }
}

/// The least memory for bodies: the largest report fits, with room for others.
const LEAST: usize = 32 << 20;
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
    let mut granted = None;
    grow(&mut granted, announced, room).await?;
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
        grow(&mut granted, size, room).await?;
        bytes.extend_from_slice(&data);
    }
    Ok(Whole { bytes: bytes.freeze(), _room: granted })
}

async fn grow(granted: &mut Option<OwnedSemaphorePermit>, size: usize, room: &Room) -> Result<(), Unread> {
    let held = granted.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let missing = size.div_ceil(STEP).saturating_sub(held);
    if missing == 0 {
        return Ok(());
    }
    let more = room.take(missing).await?;
    match granted {
        Some(permit) => permit.merge(more),
        None => *granted = Some(more),
    }
    Ok(())
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
        let free = room.steps.available_permits();
        drop(whole);
        assert_eq!(room.steps.available_permits(), free + 1);
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
        let room = Room { steps: Arc::new(Semaphore::new(1)), patience: Duration::from_millis(5) };
        let first = read(&mut Full::new(Bytes::from_static(b"a")), 9, &room, PAUSE).await.ok().unwrap();
        let mut second = Full::new(Bytes::from_static(b"b"));
        assert_eq!(read(&mut second, 9, &room, PAUSE).await.err(), Some(Unread::NoRoom));
        drop(first);
        assert!(read(&mut second, 9, &room, PAUSE).await.is_ok());
    }
}
