//! A connection: resolved, connected, covered with TLS, and driven by ldap3, every step within the
//! configured time. Between the socket and ldap3 stands a relay that lets through what `wire.rs` admits,
//! and no faster than it is read.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, StdStream};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::service::directory::DirectoryError;

use super::{Address, Cover, Settings, filter, tls, wire};

/// The octets of entries that may wait to be read.
const WAITING: usize = 2 * wire::LARGEST;
/// The StartTLS request (RFC 4511 §4.14.1), message 1.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// The largest answer to it that is read.
const START_TLS_ANSWER: usize = 4096;

/// A directory and how it is reached.
pub struct Place {
    pub settings: Settings,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection before ldap3 has it.
pub type Stream = Box<dyn Duplex>;

/// What can be read and written.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection; it ends with this value.
pub struct Connection {
    pub ldap: Ldap,
    pub timeout: Duration,
    link: Arc<Link>,
    tasks: [AbortHandle; 2],
}

/// What relay and reader share.
struct Link {
    /// Why the connection ended.
    end: Mutex<Option<DirectoryError>>,
    /// Room for what waits to be read.
    room: Semaphore,
    /// How much room each waiting message takes, in order.
    waiting: Mutex<VecDeque<usize>>,
}

impl Place {
    /// Takes the settings; the error names the key that cannot be.
    pub fn new(settings: Settings) -> Result<Self, String> {
        if !filter::is_filter(&settings.users.filter) {
            return Err("ldap.user_filter: the value is no LDAP filter (RFC 4515)".to_owned());
        }
        if settings.groups.as_ref().is_some_and(|groups| !filter::is_filter(&groups.filter)) {
            return Err("ldap.group_filter: the value is no LDAP filter (RFC 4515)".to_owned());
        }
        let covered = matches!(&settings.address, Address::Network { cover, .. } if *cover != Cover::Clear);
        let tls = covered.then(|| tls::config(settings.ca_file.as_deref())).transpose()?;
        Ok(Self { settings, tls })
    }

    /// Scheme, host and port.
    pub fn shown(&self) -> String {
        match &self.settings.address {
            Address::Network { host, port, cover } => {
                let scheme = if *cover == Cover::Tls { "ldaps" } else { "ldap" };
                let bracket = host.contains(':');
                let (open, close) = if bracket { ("[", "]") } else { ("", "") };
                format!("{scheme}://{open}{host}{close}:{port}")
            }
            Address::Socket(_) => "ldapi://".to_owned(),
        }
    }

    /// A connection, bound as the reader.
    pub async fn reader(&self) -> Result<Connection, DirectoryError> {
        let mut connection = self.connect().await?;
        self.sign_in_reader(&mut connection).await?;
        Ok(connection)
    }

    /// A connection that is nobody's yet.
    pub async fn connect(&self) -> Result<Connection, DirectoryError> {
        let stream = self.cover(self.dial().await?).await?;
        Connection::over(stream, self.settings.timeout).await
    }

    /// Binds as the configured reader, if there is one.
    pub async fn sign_in_reader(&self, connection: &mut Connection) -> Result<(), DirectoryError> {
        let Some((dn, password)) = &self.settings.reader else {
            return Ok(());
        };
        match connection.bind(dn, password).await? {
            0 => Ok(()),
            49 => Err(DirectoryError::Refused(
                "ldap.bind_dn and ldap.bind_password are not accepted (49, invalidCredentials)".to_owned(),
            )),
            code => Err(verdict(code, "ldap.bind_dn")),
        }
    }

    /// Resolves and connects.
    pub async fn dial(&self) -> Result<Stream, DirectoryError> {
        let stream = async {
            Ok::<Stream, std::io::Error>(match &self.settings.address {
                Address::Network { host, port, .. } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
                Address::Socket(path) => Box::new(unix(path).await?),
            })
        };
        match timeout(self.settings.timeout, stream).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(DirectoryError::Unreachable(format!("{}: {error}", self.shown()))),
            Err(_) => Err(self.silent()),
        }
    }

    /// Covers it with TLS, where the settings want that.
    pub async fn cover(&self, mut stream: Stream) -> Result<Stream, DirectoryError> {
        let (Address::Network { host, cover, .. }, Some(config)) = (&self.settings.address, &self.tls) else {
            return Ok(stream);
        };
        let name = ServerName::try_from(host.clone()).map_err(|_| {
            DirectoryError::Untrusted("no certificate can be for the host in ldap.url".to_owned())
        })?;
        let handshake = async {
            if *cover == Cover::StartTls {
                start_tls(&mut stream).await?;
            }
            let connector = tokio_rustls::TlsConnector::from(config.clone());
            connector.connect(name, stream).await.map_err(|error| tls::failed(&error))
        };
        match timeout(self.settings.timeout, handshake).await {
            Ok(done) => Ok(Box::new(done?)),
            Err(_) => Err(self.silent()),
        }
    }

    fn silent(&self) -> DirectoryError {
        silent(self.settings.timeout)
    }
}

async fn unix(path: &Path) -> std::io::Result<UnixStream> {
    UnixStream::connect(path).await
}

fn silent(timeout: Duration) -> DirectoryError {
    DirectoryError::Unreachable(format!("no answer within {} s", timeout.as_secs_f32()))
}

/// Asks for TLS. Not an octet of the clear connection may follow the answer: it would be taken for what
/// TLS protects.
async fn start_tls(stream: &mut Stream) -> Result<(), DirectoryError> {
    let broke = |error: std::io::Error| DirectoryError::Unreachable(error.kind().to_string());
    stream.write_all(START_TLS).await.map_err(broke)?;
    let mut answer = BytesMut::new();
    let end = loop {
        if stream.read_buf(&mut answer).await.map_err(broke)? == 0 {
            return Err(DirectoryError::Unreachable("it hung up on StartTLS".to_owned()));
        }
        match wire::end(&answer).map_err(malformed)? {
            Some(end) if end > START_TLS_ANSWER => return Err(malformed("a message that is too large")),
            Some(end) if answer.len() >= end => break end,
            _ => {}
        }
    };
    if answer.len() > end {
        return Err(DirectoryError::Untrusted("it sent more after its answer to StartTLS".to_owned()));
    }
    wire::admit(&answer).map_err(malformed)?;
    match wire::extended_result(&answer) {
        Some(0) => Ok(()),
        Some(code) => Err(DirectoryError::Untrusted(format!("it refuses StartTLS (result {code})"))),
        None => Err(malformed("no answer to StartTLS")),
    }
}

fn malformed(why: wire::Fault) -> DirectoryError {
    DirectoryError::Malformed(why.to_owned())
}

impl Connection {
    /// Gives the stream to ldap3, through the relay.
    pub async fn over(stream: Stream, timeout: Duration) -> Result<Self, DirectoryError> {
        let broke = |error: std::io::Error| DirectoryError::Unreachable(error.to_string());
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(broke)?;
        ours.set_nonblocking(true).map_err(broke)?;
        let ours = UnixStream::from_std(ours).map_err(broke)?;
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
        let (driver, ldap) = LdapConnAsync::with_settings(settings, "ldapi:///")
            .await
            .map_err(|error| DirectoryError::Unreachable(error.to_string()))?;
        let link = Arc::new(Link {
            end: Mutex::new(None),
            room: Semaphore::new(WAITING),
            waiting: Mutex::new(VecDeque::new()),
        });
        let relay = tokio::spawn(relay(stream, ours, link.clone())).abort_handle();
        let driver = tokio::spawn(async {
            // Why it ended, the relay knows better.
            let _ = driver.drive().await;
        })
        .abort_handle();
        Ok(Self { ldap, timeout, link, tasks: [relay, driver] })
    }

    /// Binds; the result code.
    pub async fn bind(&mut self, dn: &str, password: &str) -> Result<u32, DirectoryError> {
        let timeout = self.timeout;
        let result = self.ldap.with_timeout(timeout).simple_bind(dn, password).await;
        result.map(|result| result.rc).map_err(|error| self.broken(&error))
    }

    /// What an error of ldap3 means.
    pub fn broken(&self, error: &LdapError) -> DirectoryError {
        let end = self.link.end.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (error, end) {
            (LdapError::Timeout { .. }, None) => silent(self.timeout),
            (LdapError::FilterParsing, _) => DirectoryError::Refused("a filter is none".to_owned()),
            (_, Some(end)) => end,
            (LdapError::Io { source }, None) => DirectoryError::Unreachable(source.kind().to_string()),
            // ldap3 gave up although the relay did not: an answer to what was not asked.
            (_, None) => DirectoryError::Malformed("an answer to what was not asked".to_owned()),
        }
    }

    /// One message of a search was read: there is room for another.
    pub fn taken(&self) {
        let size = self.link.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        self.link.room.add_permits(size.unwrap_or(0));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn relay(stream: Stream, ours: UnixStream, link: Arc<Link>) {
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    let (mut from_us, mut to_us) = ours.into_split();
    let end = tokio::select! {
        end = down(&mut from_server, &mut to_us, &link) => Some(end),
        _ = tokio::io::copy(&mut from_us, &mut to_server) => None,
    };
    if end.is_some() {
        *link.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

/// From the server to us, message by message; why it ended.
async fn down(
    server: &mut (impl AsyncRead + Unpin),
    us: &mut (impl AsyncWrite + Unpin),
    link: &Link,
) -> DirectoryError {
    let hung_up = |what: &str| DirectoryError::Unreachable(format!("it hung up{what}"));
    let mut buffer = BytesMut::with_capacity(64 << 10);
    loop {
        match wire::end(&buffer) {
            Err(why) => return malformed(why),
            Ok(Some(end)) if buffer.len() >= end => {
                let message = buffer.split_to(end);
                if let Err(why) = wire::admit(&message) {
                    return malformed(why);
                }
                if wire::is_of_search(&message) {
                    wait_for_room(link, end).await;
                }
                if us.write_all(&message).await.is_err() {
                    return hung_up("");
                }
            }
            Ok(_) => match server.read_buf(&mut buffer).await {
                Ok(0) if buffer.is_empty() => return hung_up(""),
                Ok(0) => return hung_up(" in the midst of a message"),
                Ok(_) => {}
                Err(error) => return DirectoryError::Unreachable(error.kind().to_string()),
            },
        }
    }
}

async fn wait_for_room(link: &Link, size: usize) {
    if let Ok(permit) = link.room.acquire_many(u32::try_from(size).unwrap_or(u32::MAX)).await {
        permit.forget();
        link.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(size);
    }
}

/// What a result other than success means, `key` being what of the configuration it is about.
pub fn verdict(code: u32, key: &str) -> DirectoryError {
    let refused = |what: String| DirectoryError::Refused(what);
    match code {
        1 => {
            refused("it wants a bind before anything else (1, operationsError); set ldap.bind_dn".to_owned())
        }
        3 | 51 | 52 => DirectoryError::Unreachable(format!("it is too busy (result {code})")),
        4 | 11 => refused(format!(
            "it gives a part of the entries only (result {code}); raise the size limit of ldap.bind_dn there"
        )),
        8 | 13 => DirectoryError::Untrusted(format!(
            "it wants TLS (result {code}); write ldaps:// or set ldap.start_tls"
        )),
        10 => refused(format!("what {key} names lies in another directory (10, referral)")),
        32 => refused(format!(
            "what {key} names is not there, or ldap.bind_dn may not see it (32, noSuchObject)"
        )),
        34 => refused(format!("{key} is no distinguished name (34, invalidDNSyntax)")),
        49 => refused("the password is not accepted (49, invalidCredentials)".to_owned()),
        50 => refused(format!("ldap.bind_dn may not read what {key} names (50, insufficientAccessRights)")),
        code => refused(format!("result {code}, about {key}")),
    }
}
