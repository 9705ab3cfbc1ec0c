//! The configuration: one static table of keys, from which the example file is printed, the file
//! is read and the environment is honoured. The only place that reads the environment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::contact::MarkAs;
use crate::domain::phone::Region;

mod keys;
pub mod ldap;
pub mod secret;

use keys::{Given, Key, Shown, keys};
use ldap::Ldap;
use secret::{KeyBytes, Secret};

/// What a server and its commands are told.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[tls]`
    pub tls: Tls,
    /// `[contacts]`
    pub contacts: Contacts,
    /// `[api]`
    pub api: Api,
    /// `[limits]`
    pub limits: Limits,
    /// `[log]`
    pub log: Log,
    /// `[store]`
    pub store: Store,
    /// `[backup]`
    pub backup: Backup,
    /// `[privacy]`
    pub privacy: Privacy,
    /// `[ldap]`
    pub ldap: Ldap,
}

/// Where the server listens and keeps its data, and how long it waits.
#[derive(Clone, PartialEq)]
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// A reverse proxy stands in front: its forwarded headers are believed.
    pub behind_proxy: bool,
    /// How clients reach the server, where the proxy in front does not say it.
    pub public_url: Option<PublicUrl>,
    /// What `/metrics` asks for from elsewhere than this machine.
    pub metrics_token: Option<String>,
    /// The longest that one request may take, from its last byte to the answer's first.
    pub request_timeout: Duration,
    /// The longest that a request's head may take to arrive.
    pub header_timeout: Duration,
    /// How long a connection is kept that has no requests, or whose client takes nothing of its answer.
    pub idle_timeout: Duration,
    /// How long requests in flight may take to finish when the server stops.
    pub drain_timeout: Duration,
    /// Connections served at once.
    pub max_connections: usize,
    /// Requests worked on at once.
    pub max_requests: usize,
}

/// The public URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port.
    pub host: String,
    /// The path prefix: empty, or `/x` without a slash at its end.
    pub prefix: String,
}

/// The server's certificate.
#[derive(Clone, PartialEq, Default)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The longest that a handshake may take.
    pub handshake_timeout: Duration,
}

/// How contacts are read, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contacts {
    /// The region whose phone numbers are written without a country code.
    pub default_region: Option<Region>,
    /// For how many days deleted contacts lie in the trash.
    pub trash_days: u32,
    /// Whether a new contact with a valid e-mail address has not opted out of the newsletter.
    pub newsletter_default: bool,
    /// How phones are shown what must not be done.
    pub marks: MarkAs,
}

/// Who may ask the API, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Requests a minute that are answered to one token, or one account that signs in with its password.
    pub rate_limit: Option<NonZeroU32>,
    /// The origins of web pages elsewhere that may ask, each as browsers write it.
    pub cors_origins: Vec<String>,
}

/// How much a client may ask for.
#[derive(Clone, PartialEq)]
pub struct Limits {
    /// The largest card, in bytes.
    pub card_bytes: usize,
    /// Failed sign-ins before further ones are slowed.
    pub login_attempts: u32,
    /// Bytes of request bodies held in memory at once, over all requests.
    pub body_memory: usize,
    /// How far a body may lag behind the pace that is asked of it before it is given up.
    pub body_timeout: Duration,
    /// Bytes of a refused body that are read and thrown away.
    pub discard_bytes: usize,
    /// How long a refused body is read and thrown away.
    pub discard_timeout: Duration,
}

/// What is logged.
#[derive(Clone, PartialEq)]
pub struct Log {
    /// JSON or text.
    pub format: LogFormat,
    /// The least important level that is logged.
    pub level: tracing::Level,
    /// Answers carry `X-Cardkeep-Store-Calls`.
    pub store_calls: bool,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The embedded store.
#[derive(Clone, PartialEq)]
pub struct Store {
    /// Bytes of the store kept in memory.
    pub cache: usize,
    /// The file with the master key, where one is named.
    pub master_key_file: Option<PathBuf>,
    /// The master key itself.
    pub master_key: Option<KeyBytes>,
    /// The file with the master key that systemd handed over.
    pub credential: Option<PathBuf>,
    /// Seal nothing. No key of the configuration sets this: `bench/seal.rs` measures against it.
    pub null_seal: bool,
}

/// What backups need beside the store.
#[derive(Clone, PartialEq, Default)]
pub struct Backup {
    /// The keyring that is rewritten at each erasing.
    pub keyring: Option<PathBuf>,
    /// What keyrings are sealed with.
    pub passphrase: Option<Secret>,
}

/// What the law asks for.
#[derive(Clone, PartialEq)]
pub struct Privacy {
    /// How many days the name of a removed member is kept for clients that were away.
    pub tombstone_days: u32,
    /// How many days events are kept.
    pub audit_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server {
                listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
                data: PathBuf::from("./data"),
                behind_proxy: false,
                public_url: None,
                metrics_token: None,
                request_timeout: Duration::from_secs(300),
                header_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(75),
                drain_timeout: Duration::from_secs(30),
                max_connections: 1024,
                max_requests: 256,
            },
            tls: Tls { certificate: None, key: None, handshake_timeout: Duration::from_secs(10) },
            contacts: Contacts {
                default_region: None,
                trash_days: 30,
                newsletter_default: true,
                marks: MarkAs::Category,
            },
            api: Api { rate_limit: NonZeroU32::new(6000), cors_origins: Vec::new() },
            limits: Limits {
                card_bytes: 10 << 20,
                login_attempts: 10,
                body_memory: 256 << 20,
                body_timeout: Duration::from_secs(30),
                discard_bytes: 128 << 20,
                discard_timeout: Duration::from_secs(10),
            },
            log: Log { format: LogFormat::Json, level: tracing::Level::INFO, store_calls: false },
            store: Store {
                cache: 24 << 20,
                master_key_file: None,
                master_key: None,
                credential: None,
                null_seal: false,
            },
            backup: Backup::default(),
            privacy: Privacy { tombstone_days: 400, audit_days: 400 },
            ldap: Ldap::default(),
        }
    }
}

/// What is wrong with the configuration: where, which key, why.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ConfigError {
    place: String,
    what: String,
}

impl Config {
    /// Reads the file, if one is named, then lets the environment override it.
    pub fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut places = Places::new();
        if let Some(path) = file {
            let place = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
                place: place.clone(),
                what: format!("the configuration cannot be read: {error}"),
            })?;
            config.read(&place, &text, &mut places)?;
        }
        config.override_from(environment, &mut places)?;
        config.consistent(&places)?;
        Ok(config)
    }

    fn read(&mut self, place: &str, text: &str, places: &mut Places) -> Result<(), ConfigError> {
        let at = |offset: usize, what: String| ConfigError {
            place: format!("{place}:{}", line_of(text, offset)),
            what,
        };
        let document = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            at(offset, error.message().replace('\n', " "))
        })?;
        let mut sections = Vec::new();
        for (section, value) in document.get_ref().iter() {
            let name = section.get_ref();
            let known = keys().any(|key| key.section == name.as_ref());
            match value.get_ref() {
                DeValue::Table(table) if known => sections.push((name.to_string(), table)),
                _ => return Err(at(section.span().start, unknown_section(name))),
            }
        }
        while let Some((name, table)) = sections.pop() {
            for (key, value) in table.iter() {
                let label = format!("{name}.{}", key.get_ref());
                if let DeValue::Table(table) = value.get_ref()
                    && keys().any(|key| key.section == label)
                {
                    sections.push((label, table));
                    continue;
                }
                let row = row(&name, key.get_ref())
                    .ok_or_else(|| at(key.span().start, unknown_key(&label, &name)))?;
                given(value.get_ref())
                    .and_then(|given| (row.set)(self, &given))
                    .map_err(|why| at(value.span().start, format!("{label}: {why}")))?;
                places.insert(label, format!("{place}:{}", line_of(text, key.span().start)));
            }
        }
        Ok(())
    }

    fn override_from(
        &mut self,
        environment: &[(String, String)],
        places: &mut Places,
    ) -> Result<(), ConfigError> {
        for (variable, value) in environment {
            if variable == CREDENTIALS {
                self.store.credential = credential(Path::new(value))?;
                continue;
            }
            let Some((section, key)) = variable.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once("__"))
            else {
                continue;
            };
            let (section, key) = (section.to_ascii_lowercase().replace("__", "."), key.to_ascii_lowercase());
            let at = |what: String| ConfigError { place: format!("environment variable {variable}"), what };
            let row = row(&section, &key).ok_or_else(|| {
                at(format!("there is no key {section}.{key}; `cardkeep config example` shows them all"))
            })?;
            (row.set)(self, &Given::Word(value)).map_err(|why| at(format!("{section}.{key}: {why}")))?;
            places.insert(format!("{section}.{key}"), format!("environment variable {variable}"));
        }
        Ok(())
    }

    fn consistent(&self, places: &Places) -> Result<(), ConfigError> {
        let wrong = |key: &str, what: &str| Err(ConfigError { place: key.to_owned(), what: what.to_owned() });
        match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => wrong("tls.key", "a certificate needs its private key; set it"),
            (None, Some(_)) => wrong("tls.certificate", "a private key needs its certificate; set it"),
            _ => Ok(()),
        }?;
        let store = &self.store;
        match (&store.master_key, &store.credential, &store.master_key_file) {
            (Some(_), Some(_), _) => wrong(
                "store.master_key",
                "the systemd credential cardkeep-master-key is there too; leave one out",
            ),
            (Some(_), _, Some(_)) => {
                wrong("store.master_key", "store.master_key_file is set too; leave one out")
            }
            (_, Some(_), Some(_)) => wrong(
                "store.master_key_file",
                "the systemd credential cardkeep-master-key is there too; leave one out",
            ),
            _ => Ok(()),
        }?;
        match self.ldap.inconsistent() {
            Some((key, what)) => {
                let key = format!("ldap.{key}");
                match places.get(&key) {
                    Some(place) => wrong(place, &format!("{key}: {what}")),
                    None => wrong(&key, what),
                }
            }
            None => Ok(()),
        }
    }
}

/// Where each key was set: file and line, or the environment variable.
type Places = BTreeMap<String, String>;

/// The variables of the environment that are ours to read.
pub fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    let mut ours = Vec::new();
    for (name, value) in std::env::vars_os() {
        let ours_too = |name: &&str| name.starts_with(PREFIX) || *name == CREDENTIALS;
        let Some(name) = name.to_str().filter(ours_too) else {
            continue;
        };
        let value = value.into_string().map_err(|_| ConfigError {
            place: format!("environment variable {name}"),
            what: "the value is not UTF-8".to_owned(),
        })?;
        ours.push((name.to_owned(), value));
    }
    ours.sort();
    Ok(ours)
}

/// Reads an address to listen on, as `server.listen` and `--listen` are written.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    keys::address(&Given::Text(text))
}

/// The annotated example configuration: every key with its default.
pub fn example() -> String {
    let mut text = String::from(
        "# Cardkeep's configuration, with every key at its default.\n\
         # Each key can also be set by the environment: CARDKEEP_SECTION__KEY=value.\n\
         # Durations are written 500ms, 2s, 15m, 12h, 30d.\n",
    );
    let mut section = "";
    for key in keys() {
        if key.section != section {
            section = key.section;
            let _ = write!(text, "\n[{section}]\n");
        } else if !key.doc.is_empty() {
            text.push('\n');
        }
        for line in key.doc.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = match key.default {
            Shown::Is(value) => writeln!(text, "{} = {value}", key.name),
            Shown::Unset(sample) => writeln!(text, "# {} = {sample}", key.name),
        };
    }
    text
}

const PREFIX: &str = "CARDKEEP_";
/// Where systemd puts what LoadCredential names (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// The credential that is the master key.
const MASTER_KEY: &str = "cardkeep-master-key";

/// The master key among the credentials that systemd handed over, if it is one of them.
fn credential(directory: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let path = directory.join(MASTER_KEY);
    match path.try_exists() {
        Ok(there) => Ok(there.then_some(path)),
        Err(error) => Err(ConfigError {
            place: path.display().to_string(),
            what: format!("the credential cannot be read: {error}"),
        }),
    }
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    let newlines = |head: &str| head.bytes().filter(|b| *b == b'\n').count();
    1 + text.get(..offset).map_or(0, newlines)
}

fn given<'a>(value: &'a DeValue<'_>) -> Result<Given<'a>, String> {
    match value {
        DeValue::String(text) => Ok(Given::Text(text)),
        DeValue::Boolean(switch) => Ok(Given::Switch(*switch)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Given::Number)
            .map_err(|_| "the number is too large".to_owned()),
        DeValue::Array(values) => {
            let text = |value: &'a Spanned<DeValue<'_>>| match value.get_ref() {
                DeValue::String(text) => Ok(text.as_ref()),
                other => Err(format!("a {} cannot stand in a list", other.type_str())),
            };
            values.iter().map(text).collect::<Result<_, _>>().map(Given::List)
        }
        other => Err(format!("a {} cannot stand here", other.type_str())),
    }
}

fn row(section: &str, name: &str) -> Option<&'static Key> {
    keys().find(|key| key.section == section && key.name == name)
}

fn unknown_section(name: &str) -> String {
    let mut known: Vec<&str> = keys().map(|key| key.section).collect();
    known.dedup();
    format!("{name} is not a section; the sections are {}", known.join(", "))
}

fn unknown_key(label: &str, section: &str) -> String {
    let known: Vec<&str> = keys().filter(|key| key.section == section).map(|key| key.name).collect();
    format!("{label} is not a key; [{section}] has {}", known.join(", "))
}

#[cfg(test)]
mod tests;
