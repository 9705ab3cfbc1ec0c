//! The request log: one structured line a request, its fields a fixed list, the route a template
//! and never the path, so that no line names a person. Also counts what `/metrics` tells.

use std::future::poll_fn;
use std::io::IsTerminal as _;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::dav;
use crate::domain::client;
use crate::domain::id::AccountId;
use crate::store::calls;

use super::conn::Sending;
use super::metrics;

/// Log lines go to standard error from here on.
pub fn install(log: &Log) {
    // Other crates' finer levels would show headers and bodies.
    let filter = EnvFilter::new(format!("warn,cardkeep={}", log.level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // It would say so on standard error, and panic when that fails too: a log that lies on a
        // full disk must not end the server.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let done = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.try_init(),
    };
    // Something else listens already, as tests do: it stays.
    drop(done);
    std::panic::set_hook(Box::new(|panic| {
        // A panic's message may hold what it was working on; its place does not.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a defect: the program panicked");
    }));
}

/// Makes request ids: unique over restarts, and saying nothing.
pub struct Ids {
    boot: u32,
    next: AtomicU64,
}

impl Ids {
    /// Ids of this run of the program.
    pub fn new(boot: u32) -> Self {
        Self { boot, next: AtomicU64::new(1) }
    }

    /// The next id.
    pub fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{number:x}", self.boot)
    }
}

/// What one request did, for its log line; the line is written when this value goes.
pub struct Line {
    /// The request's id.
    pub request: String,
    /// The method, from a fixed list.
    pub method: &'static str,
    /// The route's template.
    pub route: &'static str,
    /// The client's family.
    pub client: &'static str,
    /// The HTTP version.
    pub version: http::Version,
    /// Who asked.
    pub account: Option<AccountId>,
    /// Bytes of the request's body.
    pub received: u64,
    /// The calls to the store.
    pub store_calls: u64,
    status: u16,
    sent: u64,
    whole: bool,
    begun: Instant,
}

impl Line {
    /// A request began.
    pub fn begin(request: String, method: &Method, version: http::Version, agent: &str) -> Self {
        metrics::request_begun();
        Self {
            request,
            method: method_name(method),
            route: "other",
            client: client::family(agent),
            version,
            account: None,
            received: 0,
            store_calls: 0,
            status: 0,
            sent: 0,
            whole: false,
            begun: Instant::now(),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        metrics::request_ended(self.route, self.method, self.status, took, self.store_calls);
        let account = self.account.map(|id| id.to_string()).unwrap_or_default();
        tracing::info!(
            request = self.request,
            method = self.method,
            route = self.route,
            status = self.status,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            account,
            client = self.client,
            version = ?self.version,
            bytes_in = self.received,
            bytes_out = self.sent,
            store_calls = self.store_calls,
            whole = self.whole,
            "request"
        );
    }
}

/// An answer's body that counts itself, and ends its request's log line.
pub struct Tail {
    inner: dav::Body,
    line: Line,
    _sending: Sending,
}

impl Tail {
    /// Follows the answer's body to its end.
    pub fn follow(answer: Response<dav::Body>, mut line: Line, sending: Sending) -> Response<Self> {
        line.status = answer.status().as_u16();
        line.whole = answer.body().is_end_stream();
        answer.map(|inner| Self { inner, line, _sending: sending })
    }
}

impl Body for Tail {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let inner = &mut self.inner;
        // One poll of the body, counted: ready at once, whether or not the body is.
        let once = poll_fn(|context| Poll::Ready(Pin::new(&mut *inner).poll_frame(context)));
        let (polled, calls) = ready!(pin!(calls::counted(once)).poll(context));
        self.line.store_calls += calls;
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, Bytes::len);
                self.line.sent += u64::try_from(size).unwrap_or(0);
                self.line.whole = self.inner.is_end_stream();
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::error!(request = self.line.request, %error, "an answer broke off");
            }
            Poll::Ready(None) => self.line.whole = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The methods that are told apart.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "OPTIONS",
    "PUT",
    "DELETE",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "ACL",
    "PATCH",
    "MKCALENDAR",
    "TRACE",
    "CONNECT",
    "SEARCH",
];

fn method_name(method: &Method) -> &'static str {
    METHODS.iter().find(|known| **known == method.as_str()).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_come_from_a_fixed_list() {
        assert_eq!(method_name(&Method::from_bytes(b"REPORT").unwrap()), "REPORT");
        assert_eq!(method_name(&Method::from_bytes(b"ALICE").unwrap()), "other");
    }

    #[test]
    fn request_ids_differ() {
        let ids = Ids::new(0xab);
        assert_eq!(ids.next(), "000000ab-1");
        assert_eq!(ids.next(), "000000ab-2");
    }
}
