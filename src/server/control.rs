//! The control socket `DATA/control.sock`: commands reach a running server through it. One JSON
//! line asks; one JSON line answers, or what `handout.rs` streams. Only the server's own user and root
//! may ask.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::service::Service;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::refusal::Fault;

use super::handout::{self, Handout, Sink, Take, Taken};

/// The socket's name in the data directory.
const NAME: &str = "control.sock";
/// The longest question, in bytes.
const LONGEST_QUESTION: u64 = 1 << 20;
/// The longest answer, in bytes: a list of every account fits.
const LONGEST_ANSWER: u64 = 256 << 20;
/// How long a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions answered at once.
const AT_ONCE: usize = 8;
/// The longest path that a socket's address holds on every system (`sun_path`, with its NUL).
const LONGEST_PATH: usize = 103;

/// The server's end of the socket; the file goes with this value.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl Control {
    /// Listens in the data directory. The caller holds the store, so that a socket that is there
    /// already was left behind by a server that is gone.
    pub fn listen(data: &Path) -> io::Result<Self> {
        let path = data.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = with_short_path(data, UnixListener::bind)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let owner = std::fs::metadata(&path)?.uid();
        Ok(Self { listener, path, owner })
    }

    /// Answers for as long as the task lives: while requests are being finished too, since until then
    /// no command can open the store itself.
    pub async fn run(self, service: Arc<Service>) {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok((socket, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if !self.may_ask(&socket) {
                tracing::warn!("another user was refused at the control socket");
                continue;
            }
            let (service, slots) = (service.clone(), slots.clone());
            tokio::spawn(async move {
                let _slot = slots.acquire().await;
                if let Err(error) = converse(socket, &service).await {
                    tracing::warn!(%error, "a command at the control socket broke off");
                }
            });
        }
    }

    fn may_ask(&self, socket: &UnixStream) -> bool {
        let peer = socket.peer_cred().map(|peer| peer.uid());
        peer.is_ok_and(|uid| uid == 0 || uid == self.owner)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What may be asked.
#[derive(Deserialize)]
#[serde(untagged)]
enum Question {
    Take(Take),
    Admin(AdminRequest),
}

async fn converse(socket: UnixStream, service: &Service) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    let question: Question = timeout(PATIENCE, receive(&mut socket, LONGEST_QUESTION))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    match question {
        Question::Admin(request) => send(socket.get_mut(), &service.admin(request).await).await,
        Question::Take(take) => handout::to(socket.get_mut(), service, take.take).await,
    }
}

/// The other end: a running server.
pub struct Running(UnixStream);

/// Finds the server that runs on this data directory; `None` when none does.
pub async fn find(data: &Path) -> io::Result<Option<Running>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    if !data.join(NAME).exists() {
        return Ok(None);
    }
    let socket = with_short_path(data, std::os::unix::net::UnixStream::connect);
    match socket {
        Ok(socket) => {
            socket.set_nonblocking(true)?;
            UnixStream::from_std(socket).map(Running).map(Some)
        }
        // Nobody listens: left behind by a server that was killed.
        Err(error) if matches!(error.kind(), ConnectionRefused | NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Running {
    /// Has the server do it.
    pub async fn ask(self, request: &AdminRequest) -> io::Result<AdminAnswer> {
        let mut socket = BufReader::new(self.0);
        send(socket.get_mut(), request).await?;
        receive(&mut socket, LONGEST_ANSWER).await
    }

    /// Takes what it hands out.
    pub async fn take(self, what: Handout, sink: Sink<'_>) -> io::Result<Result<Taken, Fault>> {
        let mut socket = BufReader::with_capacity(1 << 16, self.0);
        send(socket.get_mut(), &Take { take: what }).await?;
        handout::from_socket(&mut socket, sink).await
    }
}

/// Calls with a path to the socket that fits into a socket's address. Where the real one is too
/// long, it goes through the directory's descriptor, which Linux names under `/proc`.
fn with_short_path<T>(data: &Path, call: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let path = data.join(NAME);
    if path.as_os_str().len() <= LONGEST_PATH {
        return call(path);
    }
    let directory = File::open(data)?;
    let through = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    if !through.exists() {
        let text =
            format!("the path {} is too long for a socket; choose a shorter data directory", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    call(through.join(NAME))
}

async fn send<T: Serialize>(socket: &mut (impl AsyncWrite + Unpin), what: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    socket.write_all(&line).await?;
    socket.flush().await
}

/// Reads one line of at most `longest` bytes.
async fn receive<T: DeserializeOwned>(
    socket: &mut BufReader<impl AsyncRead + Unpin>,
    longest: u64,
) -> io::Result<T> {
    let mut line = Vec::new();
    socket.take(longest).read_until(b'\n', &mut line).await?;
    if line.pop() != Some(b'\n') {
        let text = "the message is cut off or too long";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    // What was wrong in it may be a password: the error says no more than that it is wrong.
    serde_json::from_slice(&line)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the message is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_lines_of_bounded_length() {
        let (mut near, far) = tokio::io::duplex(1 << 12);
        let mut far = BufReader::new(far);
        send(&mut near, &"two\nlines").await.unwrap();
        assert_eq!(receive::<String>(&mut far, 100).await.unwrap(), "two\nlines");
        send(&mut near, &"x".repeat(100)).await.unwrap();
        let error = receive::<String>(&mut far, 100).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn what_is_not_understood_is_not_repeated() {
        let (mut near, far) = tokio::io::duplex(1 << 12);
        near.write_all(b"{\"password\":\"secret\"}\n").await.unwrap();
        let error = receive::<bool>(&mut BufReader::new(far), 100).await.unwrap_err();
        assert!(!error.to_string().contains("secret"));
        let (mut near, far) = tokio::io::duplex(1 << 12);
        near.write_all(b"tru").await.unwrap();
        drop(near);
        assert!(receive::<bool>(&mut BufReader::new(far), 100).await.is_err());
    }

    #[tokio::test]
    async fn a_socket_is_found_while_its_server_runs_and_never_after() {
        let room = tempfile::tempdir().unwrap();
        let long = room.path().join("d".repeat(120));
        std::fs::create_dir(&long).unwrap();
        for data in [room.path(), &long] {
            assert!(find(data).await.unwrap().is_none());
            let control = Control::listen(data).unwrap();
            let mode = std::fs::metadata(data.join(NAME)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(find(data).await.unwrap().is_some());
            let (socket, _) = control.listener.accept().await.unwrap();
            assert!(control.may_ask(&socket));
            drop(control);
            assert!(find(data).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced() {
        let room = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(room.path().join(NAME)).unwrap());
        assert!(find(room.path()).await.unwrap().is_none());
        let _control = Control::listen(room.path()).unwrap();
        assert!(find(room.path()).await.unwrap().is_some());
    }
}
