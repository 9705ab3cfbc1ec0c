//! Starts the real program on a data directory of its own, and makes accounts with its commands.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::http::{Client, Request, Response, basic};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cardkeep");

/// An account and an app password of it.
#[derive(Debug, Clone)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The app password.
    pub password: String,
}

impl Account {
    /// The value of the `Authorization` header.
    pub fn basic(&self) -> String {
        basic(&self.name, &self.password)
    }
}

/// A running server. It ends with this value, and with the test process however that ends.
pub struct Server {
    child: Child,
    /// The process id of the server itself.
    pub pid: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its data directory.
    pub data: PathBuf,
    log: PathBuf,
    room: Option<tempfile::TempDir>,
}

/// A directory for a test's data: in memory where the system offers it, since most tests do not
/// test the disk.
pub fn room() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("cardkeep-test-");
    if memory.is_dir() {
        builder.tempdir_in(memory).or_else(|_| builder.tempdir()).unwrap()
    } else {
        builder.tempdir().unwrap()
    }
}

impl Server {
    /// Starts a server on a fresh data directory.
    pub fn fresh(environment: &[(&str, &str)]) -> Self {
        let room = room();
        let data = room.path().join("data");
        let mut server = Self::begin(&data, environment, &room.path().to_string_lossy(), None);
        server.room = Some(room);
        server
    }

    /// Starts a server on a fresh data directory, with this configuration file.
    pub fn configured(text: &str) -> Self {
        let room = room();
        let (data, file) = (room.path().join("data"), room.path().join("cardkeep.toml"));
        std::fs::write(&file, text).unwrap();
        let mut server = Self::begin(&data, &[], &room.path().to_string_lossy(), Some(&file));
        server.room = Some(room);
        server
    }

    /// Starts a server on this data directory and waits for the line with its URL.
    pub fn on(data: &Path, environment: &[(&str, &str)]) -> Self {
        Self::begin(data, environment, "", None)
    }

    /// The same with a configuration file.
    pub fn there(data: &Path, config: &str) -> Self {
        Self::begin(data, &[], "", Some(Path::new(config)))
    }

    fn begin(data: &Path, environment: &[(&str, &str)], remove: &str, config: Option<&Path>) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let log = data.with_extension("log");
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        // The shell's `read` ends when our end of the pipe closes, so no server outlives the tests,
        // not even when they are killed; then the directory goes too.
        let script = "\"$@\" </dev/null & pid=$!; echo pid $pid; exec >/dev/null 2>&1; \
            while read -r line; do :; done; kill -9 $pid; wait; [ -z \"$0\" ] || rm -rf \"$0\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, remove, PROGRAM, "serve", "--data"])
            .arg(data)
            .args(["--listen", "127.0.0.1:0"])
            .args(config.iter().flat_map(|file| [Path::new("--config"), *file]))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(stderr));
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut pid = 0;
        let mut address = None;
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(number) = line.strip_prefix("pid ") {
                pid = number.parse().unwrap();
            } else if let Some(found) = address_in(&line) {
                address = Some(found);
                break;
            }
        }
        let Some(address) = address else {
            let _ = child.kill();
            panic!("the server did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        // Whatever it prints later must not fill the pipe.
        std::thread::spawn(move || for _line in lines {});
        Self { child, pid, address, data: data.to_owned(), log, room: None }
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// One request on a connection of its own.
    pub fn once(&self, request: &Request) -> Response {
        self.client().send(request).unwrap()
    }

    /// Runs a command of the program on this server's data directory; its standard output.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> String {
        run(&self.data, arguments, stdin)
    }

    /// Makes an account and an app password.
    pub fn account(&self, name: &str) -> Account {
        self.run(&["user", "add", name, "--password-stdin"], "correct horse battery staple\n");
        self.token(name)
    }

    /// Makes an app password of an account.
    pub fn token(&self, name: &str) -> Account {
        let out = self.run(&["token", "create", "--user", name, "--kind", "app"], "");
        let password = out.lines().last().unwrap_or_default().trim().to_owned();
        assert!(!password.is_empty(), "token create printed nothing");
        Account { name: name.to_owned(), password }
    }

    /// Asks the control socket, as commands do: one line of JSON each way.
    pub fn control(&self, question: &str) -> String {
        let mut socket = std::os::unix::net::UnixStream::connect(self.data.join("control.sock")).unwrap();
        socket.write_all(question.replace('\n', " ").as_bytes()).unwrap();
        socket.write_all(b"\n").unwrap();
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).unwrap();
        answer
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// `kill -9`, as a power cut would; returns when the process is gone.
    pub fn kill(&mut self) {
        if self.child.stdin.is_none() {
            return;
        }
        let _ = Command::new("kill").args(["-9", &self.pid.to_string()]).status();
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = self.room.take();
    }
}

/// Runs a command of the program on a data directory; its standard output.
pub fn run(data: &Path, arguments: &[&str], stdin: &str) -> String {
    let output = attempt(data, arguments, stdin);
    assert!(
        output.status.success(),
        "cardkeep {arguments:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command of the program on a data directory, however it ends.
pub fn attempt(data: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let rest = line.split("://").nth(1)?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// The server that all transcripts and most wire tests share.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        Server::fresh(&[
            ("CARDKEEP_LOG__STORE_CALLS", "true"),
            // All tests come from one address, and some mean to fail.
            ("CARDKEEP_LIMITS__LOGIN_ATTEMPTS", "1000000"),
        ])
    })
}

/// A name that no other test of this run uses.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{stem}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
