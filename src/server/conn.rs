//! One connection: its signs of life, who waits for whom, and when it has waited long enough. Slow
//! heads, idle connections and clients that take nothing of their answer all end here. Knows HTTP
//! only as bytes that move and requests that run.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::config;

/// What a connection was last seen doing; times are milliseconds since it began.
pub struct Pulse {
    begun: Instant,
    header_timeout: Duration,
    idle_timeout: Duration,
    /// When a byte last went either way.
    moved: AtomicU64,
    /// When the last answer was finished.
    rested: AtomicU64,
    /// When the head began that is not complete yet, plus one; zero when there is none.
    head: AtomicU64,
    /// Requests whose answer is being worked out.
    running: AtomicUsize,
    /// Requests whose answer is not sent whole.
    sending: AtomicUsize,
    /// HTTP/2, where bytes between requests are no head.
    multiplexed: AtomicBool,
}

/// What is to become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Stay,
    /// It has waited long enough for a request: close it in order.
    Close,
    /// The client sends a head too slowly, or takes nothing of its answer: drop it.
    Drop,
}

impl Pulse {
    /// A connection that begins now, and owes a request.
    pub fn new(server: &config::Server) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            header_timeout: server.header_timeout,
            idle_timeout: server.idle_timeout,
            moved: AtomicU64::new(0),
            rested: AtomicU64::new(0),
            head: AtomicU64::new(1),
            running: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
            multiplexed: AtomicBool::new(false),
        })
    }

    /// A request's head is complete; it runs as long as the guard lives.
    pub fn running(self: &Arc<Self>, version: http::Version) -> Running {
        if version == http::Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        self.head.store(0, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// A request's answer is not sent whole as long as the guard lives.
    pub fn sending(self: &Arc<Self>) -> Sending {
        self.sending.fetch_add(1, Ordering::Relaxed);
        Sending(self.clone())
    }

    /// What is to become of the connection.
    pub fn verdict(&self) -> Verdict {
        self.verdict_at(self.now())
    }

    fn verdict_at(&self, now: u64) -> Verdict {
        let since =
            |then: &AtomicU64| Duration::from_millis(now.saturating_sub(then.load(Ordering::Relaxed)));
        if self.running.load(Ordering::Relaxed) > 0 {
            return Verdict::Stay;
        }
        if self.sending.load(Ordering::Relaxed) > 0 {
            let stalled = since(&self.moved) > self.idle_timeout;
            return if stalled { Verdict::Drop } else { Verdict::Stay };
        }
        let slow = self.head.load(Ordering::Relaxed) > 0 && since(&self.head) > self.header_timeout;
        let idle = since(&self.rested) > self.idle_timeout;
        if slow {
            Verdict::Drop
        } else if idle {
            Verdict::Close
        } else {
            Verdict::Stay
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn bytes_moved(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    fn bytes_read(&self) {
        self.bytes_moved();
        let busy = self.sending.load(Ordering::Relaxed) > 0;
        if !busy && !self.multiplexed.load(Ordering::Relaxed) {
            let now = self.now() + 1;
            let _ = self.head.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// A request whose answer is being worked out.
pub struct Running(Arc<Pulse>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.bytes_moved();
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request whose answer is not sent whole.
pub struct Sending(Arc<Pulse>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.rested.store(self.0.now(), Ordering::Relaxed);
        self.0.sending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that tells its pulse, and that lingers when it is closed: what the client still sends
/// is read for a moment, since closing on unread bytes resets the connection and takes the answer
/// with it (RFC 9112 §9.6).
pub struct Watched<S> {
    inner: S,
    pulse: Arc<Pulse>,
    ended: bool,
    linger: Option<Pin<Box<Sleep>>>,
    left: usize,
}

/// How long, and for how many bytes, a closed connection lingers.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 << 20;

impl<S> Watched<S> {
    /// Watches a socket.
    pub fn new(inner: S, pulse: Arc<Pulse>) -> Self {
        Self { inner, pulse, ended: false, linger: None, left: LINGER_BYTES }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        match &polled {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => self.pulse.bytes_read(),
            Poll::Ready(_) => self.ended = true,
            Poll::Pending => {}
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        if polled.is_ready() {
            self.pulse.bytes_moved();
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        if polled.is_ready() {
            self.pulse.bytes_moved();
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
            self.linger = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        while !self.ended && self.left > 0 {
            let late = self.linger.as_mut().map(|end| end.as_mut().poll(context));
            if late.is_some_and(|end| end.is_ready()) {
                break;
            }
            let mut space = [0; 4096];
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer));
            let size = buffer.filled().len();
            self.ended = read.is_err() || size == 0;
            self.left = self.left.saturating_sub(size);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn pulse() -> Arc<Pulse> {
        Pulse::new(&Config::default().server)
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_the_connection() {
        let pulse = pulse();
        pulse.bytes_read();
        assert_eq!(pulse.verdict_at(30_000), Verdict::Stay);
        assert_eq!(pulse.verdict_at(30_002), Verdict::Drop);
    }

    #[tokio::test]
    async fn a_connection_between_requests_is_kept_for_the_idle_time() {
        let pulse = pulse();
        drop((pulse.running(http::Version::HTTP_11), pulse.sending()));
        pulse.rested.store(1_000, Ordering::Relaxed);
        assert_eq!(pulse.verdict_at(76_000), Verdict::Stay);
        assert_eq!(pulse.verdict_at(76_001), Verdict::Close);
        pulse.bytes_read();
        let head = pulse.head.load(Ordering::Relaxed);
        assert!(head > 0, "the next head has begun");
        assert_eq!(pulse.verdict_at(head + 30_001), Verdict::Drop);
    }

    #[tokio::test]
    async fn work_may_take_its_time_but_answers_must_be_taken() {
        let pulse = pulse();
        let running = pulse.running(http::Version::HTTP_2);
        let sending = pulse.sending();
        assert_eq!(pulse.verdict_at(1_000_000), Verdict::Stay);
        drop(running);
        pulse.moved.store(200_000, Ordering::Relaxed);
        assert_eq!(pulse.verdict_at(275_000), Verdict::Stay);
        assert_eq!(pulse.verdict_at(275_001), Verdict::Drop);
        drop(sending);
        pulse.bytes_read();
        assert_eq!(pulse.head.load(Ordering::Relaxed), 0, "frames are no heads");
    }

    #[tokio::test]
    async fn closing_takes_what_the_client_still_sends() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut watched = Watched::new(ours, pulse());
        let client = tokio::spawn(async move {
            let sent = theirs.write_all(&[7; 100_000]).await;
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            (sent.is_ok(), answer)
        });
        watched.write_all(b"no").await.unwrap();
        watched.shutdown().await.unwrap();
        drop(watched);
        let (sent, answer) = client.await.unwrap();
        assert!(sent && answer == b"no");
    }
}
