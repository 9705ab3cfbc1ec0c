//! Accepts connections and speaks HTTP/1.0, 1.1 and 2 on them, in clear or over TLS, within limits
//! of number, time and size; ends them in order when the server stops (HTTP-24, DAV-48).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::conn::{Pulse, Verdict, Watched};
use super::metrics::OpenConnection;
use super::route::{self, Origin};
use super::tls::Certificates;

/// Accepts until the server stops, then waits for what is in flight, within bounds.
pub async fn run(listener: TcpListener, shared: Arc<Shared>, tls: Option<Arc<Certificates>>) {
    let server = &shared.config.server;
    let slots = Arc::new(Semaphore::new(server.max_connections));
    let http = Arc::new(protocol());
    let mut stop = shared.stop.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Some((socket, peer, slot)) = accepted else {
            continue;
        };
        let connection = connection(socket, peer, shared.clone(), tls.clone(), http.clone());
        connections.spawn(async move {
            let _open = OpenConnection::begin();
            connection.await;
            drop(slot);
        });
    }
    drop(listener);
    let ended = timeout(server.drain_timeout, async {
        while connections.join_next().await.is_some() {}
        // What runs on after its client has gone.
        let all = u32::try_from(server.max_requests).unwrap_or(u32::MAX);
        let _ = shared.requests.acquire_many(all).await;
    });
    if ended.await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "requests were still in flight when the time to finish them was over"
        );
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, peer)) => Some((socket, peer, slot)),
        Err(error) => {
            // The connection is gone already, or the process is out of descriptors: not for long.
            tracing::warn!(%error, "a connection could not be accepted");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn protocol() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // Heads are timed by the connection's pulse, which tells them from idle time.
        .header_read_timeout(None)
        .max_headers(100)
        .max_buf_size(128 << 10);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        // What a client may send ahead of being asked, a connection: it is held in memory.
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(512 << 10)
        .max_header_list_size(128 << 10)
        .max_send_buf_size(256 << 10)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    http
}

async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    tls: Option<Arc<Certificates>>,
    http: Arc<Builder<TokioExecutor>>,
) {
    // Answers are written whole; waiting to fill packets only delays them.
    let _ = socket.set_nodelay(true);
    let Some(certificates) = tls else {
        return serve(socket, peer, false, shared, &http).await;
    };
    let handshake = TlsAcceptor::from(certificates.current()).accept(socket);
    match timeout(shared.config.tls.handshake_timeout, handshake).await {
        Ok(Ok(socket)) => serve(socket, peer, true, shared, &http).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn serve<S>(
    socket: S,
    peer: SocketAddr,
    encrypted: bool,
    shared: Arc<Shared>,
    http: &Builder<TokioExecutor>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Pulse::new(&shared.config.server);
    let socket = TokioIo::new(Watched::new(socket, pulse.clone()));
    let mut stop = shared.stop.clone();
    let look = look_every(&shared);
    let origin = Origin { peer, encrypted, pulse: pulse.clone() };
    let answers = service_fn(move |request| {
        let answer = route::answer(shared.clone(), origin.clone(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = std::pin::pin!(http.serve_connection(socket, answers));
    let mut last: Option<Instant> = None;
    loop {
        let next = Instant::now() + look;
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection broke");
                }
                return;
            }
            () = stopped(&mut stop), if last.is_none() => {
                connection.as_mut().graceful_shutdown();
                // From here on only the drain's end cuts it off.
                return finish(connection, &pulse, look).await;
            }
            () = sleep_until(last.map_or(next, |end| end.min(next))) => {
                match pulse.verdict() {
                    Verdict::Drop => return,
                    _ if last.is_some_and(|end| Instant::now() >= end) => return,
                    Verdict::Close if last.is_none() => {
                        connection.as_mut().graceful_shutdown();
                        last = Some(Instant::now() + CLOSING);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// How long a connection may take to close in order.
const CLOSING: Duration = Duration::from_secs(5);

/// Sees a connection to its end that was told to end: it may finish what it is at, but waits for
/// nothing new.
async fn finish<C: Future>(mut connection: std::pin::Pin<&mut C>, pulse: &Pulse, look: Duration) {
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = sleep(look) => if pulse.verdict() != Verdict::Stay { return },
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, and the server with it.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How often a connection's pulse is felt: finely enough for the shortest time that is set.
fn look_every(shared: &Shared) -> Duration {
    let server = &shared.config.server;
    let shortest = server.header_timeout.min(server.idle_timeout);
    (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
}
