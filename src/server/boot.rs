//! Starting and stopping: the one place that names a storage engine. Opens the data directory,
//! listens, says where, and ends in order.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::api;
use crate::config::Config;
use crate::service::keyring::KeyringPlace;
use crate::service::refusal::Fault;
use crate::service::{KeyFile, Service, Settings};
use crate::store::archive::keyring::Passphrase;
use crate::store::engine::redb::RedbEngine;
use crate::store::engine::{Engine, EngineError};
use crate::store::keyslots::MasterKey;
use crate::store::keyslots::file::FileMedium;

use super::clock::{SystemClock, SystemEntropy};
use super::control::Control;
use super::rotation::Found;
use super::tls::{Certificates, LOOK};
use super::{Shared, body, demo, directory, listen, master, metrics, pace, rotation, trace};

/// Why the program does not start; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Another process holds the data directory.
    #[error("the data directory {0} is in use by another process; stop it, or choose another --data")]
    InUse(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl From<Fault> for BootError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.0)
    }
}

/// The store's file in the data directory.
pub(super) const STORE: &str = "cardkeep.redb";

/// The file of data keys beside it.
pub(super) const KEYS: &str = "cardkeep.keys";

/// Whether a store was ever made in this data directory.
pub fn holds_a_store(data: &Path) -> bool {
    data.join(STORE).exists()
}

/// An open data directory.
pub struct Opened {
    /// What can be done with it.
    pub service: Arc<Service>,
}

impl Opened {
    /// Opens the data directory, and makes it, for its owner only, when it is missing.
    pub async fn open(config: &Config) -> Result<Self, BootError> {
        Self::open_also_with(config, None).await
    }

    /// Opens the data directory, also when a rotation to this master key was interrupted.
    pub async fn open_also_with(config: &Config, next: Option<MasterKey>) -> Result<Self, BootError> {
        let data = &config.server.data;
        make_directory(data)?;
        spare_keys(data)?;
        // Before anything is touched, since it may be missing; and again below.
        master::obtain(config, !holds_a_store(data))?;
        let engine = engine_in(data, config.store.cache).await?;
        let medium = FileMedium::create(&data.join(KEYS)).map_err(|error| cannot_open(data, &error))?;
        // Now that nobody else has the store, nobody else replaces its master key.
        let mut masters = master::obtain(config, false)?;
        let found = rotation::sort_out(&mut masters, &medium)?;
        let place = rotation::Place::of(&masters);
        let keys = masters.keys.into_iter().chain(next).collect();
        let keys = KeyFile { null: config.store.null_seal, ..KeyFile::new(medium, keys) };
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let opened = Service::open(engine, keys, clock, entropy, settings(config)?).await;
        let service = opened.map_err(|fault| match found {
            Found::Wrong => BootError::Failed(format!(
                "the master key in {} is not the one of the data directory {}; put the right one there, or name its place",
                masters.place,
                data.display()
            )),
            Found::Whole | Found::Rotating => cannot_open(data, &fault),
        })?;
        service.keep_master_in(Arc::new(place));
        service.read_patches_with(Arc::new(crate::api::JsonPatches));
        if found == Found::Rotating
            && let Err(stop) = service.rotate(None).await
        {
            tracing::warn!(%stop, "the master key's replacement is not finished; the next start tries again");
        }
        Ok(Self { service: Arc::new(service) })
    }

    /// Opens the data directory; waits a little while another command holds it.
    pub async fn open_patiently(config: &Config) -> Result<Self, BootError> {
        for _ in 0..50 {
            match Self::open(config).await {
                Err(BootError::InUse(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                other => return other,
            }
        }
        Self::open(config).await
    }

    /// Lets go of the data directory; everything that was taken is kept.
    pub async fn close(self) -> Result<(), BootError> {
        Ok(self.service.close().await?)
    }
}

/// The engine whose file lies in a directory.
pub(super) async fn engine_in(directory: &Path, cache: usize) -> Result<Arc<dyn Engine>, BootError> {
    let path = directory.join(STORE);
    match tokio::task::spawn_blocking(move || RedbEngine::open(&path, cache)).await {
        Ok(Ok(engine)) => Ok(Arc::new(engine)),
        Ok(Err(EngineError::InUse)) => Err(BootError::InUse(directory.display().to_string())),
        Ok(Err(error @ EngineError::Damaged(_))) => {
            Err(cannot_open(directory, &format_args!("{error}; restore a backup into a new directory")))
        }
        Ok(Err(error)) => Err(cannot_open(directory, &error)),
        Err(error) => Err(cannot_open(directory, &error)),
    }
}

/// Serves until SIGTERM or SIGINT. `demo` fills an empty data directory first.
pub async fn serve(config: Config, demo: bool) -> Result<(), BootError> {
    check_address(&config, demo)?;
    let certificates = Certificates::open(&config.tls).map_err(BootError::Failed)?;
    trace::install(&config.log);
    let measured =
        metrics::install().map_err(|error| BootError::Failed(format!("metrics do not start: {error}")))?;
    let mut signals = Signals::install()?;
    let opened = Opened::open_patiently(&config).await?;
    warn_if_open_to_others(&config.server.data);
    let ends = demo_data(&opened, demo).await?;
    opened.service.prepare_trash().await;
    let address = config.server.listen;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        BootError::Failed(format!(
            "{address} cannot be listened on: {error}; choose another address with --listen"
        ))
    })?;
    let control = Control::listen(&config.server.data)
        .map_err(|error| BootError::Failed(format!("the control socket cannot be made: {error}")))?;
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        requests: Arc::new(Semaphore::new(config.server.max_requests)),
        heavy: Arc::new(Semaphore::new(2 * std::thread::available_parallelism().map_or(1, usize::from))),
        bodies: body::Room::new(&config.limits),
        ids: trace::Ids::new(boot_number()?),
        api: api::Memory::default(),
        pace: config.api.rate_limit.map(pace::Pace::of),
        service: opened.service.clone(),
        metrics: measured,
        stop: stopped,
        config,
    });
    announce(&listener, certificates.is_some(), ends)?;
    let mut helpers = JoinSet::new();
    helpers.spawn(control.run(opened.service.clone()));
    helpers.spawn(purge(opened.service.clone()));
    let service = opened.service.clone();
    helpers.spawn(async move { service.erase().await });
    helpers.spawn(index(opened.service.clone()));
    helpers.spawn(settle(opened.service.clone()));
    let service = opened.service.clone();
    helpers.spawn(async move { service.prune().await });
    let service = opened.service.clone();
    helpers.spawn(async move { service.run_jobs().await });
    let service = opened.service.clone();
    helpers.spawn(async move { service.keep_smart().await });
    let service = opened.service.clone();
    helpers.spawn(async move { service.keep_keyring().await });
    let service = opened.service.clone();
    helpers.spawn(async move { service.keep_events().await });
    let service = opened.service.clone();
    helpers.spawn(async move { service.keep_directory().await });
    helpers.spawn(upkeep(shared.clone(), certificates.clone()));
    let listening = tokio::spawn(listen::run(listener, shared, certificates.clone()));
    signals.wait(certificates.as_deref()).await;
    tracing::info!("stopping");
    stop.send_replace(true);
    tokio::select! {
        _ = listening => {}
        () = signals.wait(certificates.as_deref()) => tracing::warn!("stopping at once"),
    }
    helpers.shutdown().await;
    opened.close().await
}

/// Beyond loopback only encrypted, or behind a proxy that encrypts; a demo never.
fn check_address(config: &Config, demo: bool) -> Result<(), BootError> {
    let address = config.server.listen;
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if demo {
        return Err(BootError::Failed(format!(
            "a demo does not listen beyond this machine; leave --listen {address} away"
        )));
    }
    if config.tls.certificate.is_none() && !config.server.behind_proxy {
        return Err(BootError::Failed(format!(
            "{address} would send passwords in clear; set tls.certificate and tls.key, or server.behind_proxy = true when a proxy encrypts"
        )));
    }
    Ok(())
}

pub(super) fn make_directory(data: &Path) -> Result<(), BootError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| {
        BootError::Failed(format!("the data directory {} cannot be made: {error}", data.display()))
    })
}

/// A new store overwrites the data keys that are there. Without the store that they belong to, which
/// may have been moved or not put back yet, they must not go: they alone open it.
fn spare_keys(data: &Path) -> Result<(), BootError> {
    // In this order: a first start that is under way makes the store before its keys.
    let keys = std::fs::metadata(data.join(KEYS)).is_ok_and(|keys| keys.len() > 0);
    if keys && !holds_a_store(data) {
        return Err(BootError::Failed(format!(
            "the data directory {} holds {KEYS} without its store; put {STORE} back, or restore once more if that was interrupted, or move {KEYS} away to start anew",
            data.display()
        )));
    }
    Ok(())
}

/// A directory that was there before is left as it is, but not without a word.
fn warn_if_open_to_others(data: &Path) {
    let mode = std::fs::metadata(data).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!("others than its owner may enter the data directory; chmod 700 it");
    }
}

fn cannot_open(data: &Path, error: &dyn std::fmt::Display) -> BootError {
    BootError::Failed(format!("the data directory {} cannot be opened: {error}", data.display()))
}

fn settings(config: &Config) -> Result<Settings, BootError> {
    let mut settings = Settings::default();
    settings.card.bytes = config.limits.card_bytes;
    settings.login_attempts = config.limits.login_attempts;
    settings.tombstone_days = config.privacy.tombstone_days;
    settings.audit_days = config.privacy.audit_days;
    settings.default_region = config.contacts.default_region;
    settings.contacts.trash_days = config.contacts.trash_days;
    settings.contacts.newsletter_default = config.contacts.newsletter_default;
    settings.contacts.marks = config.contacts.marks;
    settings.keyring = config.backup.keyring.clone().map(|path| {
        let passphrase = config.backup.passphrase.as_ref();
        KeyringPlace { path, passphrase: passphrase.and_then(|secret| Passphrase::new(secret.reveal())) }
    });
    settings.directory = directory::followed(&config.ldap).map_err(BootError::Failed)?;
    Ok(settings)
}

/// What `--demo` adds to the line with the URL.
async fn demo_data(opened: &Opened, demo: bool) -> Result<&'static str, BootError> {
    if !demo {
        return Ok("");
    }
    let filled = opened.service.fill_demo().await;
    filled.map_err(|stop| BootError::Failed(stop.to_string()))?;
    Ok(demo::HOW_TO_CONNECT)
}

/// Clears what deleted address books left, at the pace of the service.
async fn purge(service: Arc<Service>) {
    let fault = service.purge().await;
    tracing::error!(%fault, "what deleted address books left is not cleared until the next start");
}

/// Puts right the places of shared books that a kill left behind.
async fn settle(service: Arc<Service>) {
    let laid = service.lay_calendar_homes().await;
    if let Err(stop) = laid.and(service.settle_all().await) {
        tracing::error!(%stop, "places of shared address books are not put right until the next start");
    }
}

/// Keeps the search indexes, at the pace of the service.
async fn index(service: Arc<Service>) {
    let fault = service.index().await;
    tracing::error!(%fault, "searching reads every card until the next start");
}

/// The line that says where the server is, now that it accepts connections.
fn announce(listener: &TcpListener, encrypted: bool, more: &str) -> Result<(), BootError> {
    let address: SocketAddr = listener.local_addr().map_err(|error| BootError::Failed(error.to_string()))?;
    let scheme = if encrypted { "https" } else { "http" };
    let mut out = std::io::stdout().lock();
    // Whoever started us may not listen; that is no reason to stop.
    let _ = write!(out, "Cardkeep is ready at {scheme}://{address}/\n{more}");
    let _ = out.flush();
    Ok(())
}

fn boot_number() -> Result<u32, BootError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_err(|error| BootError::Failed(format!("the system gives no randomness: {error}")))?;
    Ok(u32::from_be_bytes(bytes))
}

/// What is due from time to time.
async fn upkeep(shared: Arc<Shared>, certificates: Option<Arc<Certificates>>) {
    const METRICS: Duration = Duration::from_secs(5);
    let mut since = Duration::ZERO;
    loop {
        tokio::time::sleep(METRICS).await;
        shared.metrics.run_upkeep();
        if let Some(status) = shared.service.directory_status() {
            metrics::directory(&status);
        }
        since += METRICS;
        if since >= LOOK {
            since = Duration::ZERO;
            look_again(certificates.clone()).await;
        }
    }
}

async fn look_again(certificates: Option<Arc<Certificates>>) {
    if let Some(certificates) = certificates {
        let _ = tokio::task::spawn_blocking(move || certificates.reload(false)).await;
    }
}

struct Signals {
    end: Signal,
    interrupt: Signal,
    again: Signal,
}

impl Signals {
    fn install() -> Result<Self, BootError> {
        let listen = |kind| {
            signal(kind).map_err(|error| BootError::Failed(format!("signals cannot be listened to: {error}")))
        };
        Ok(Self {
            end: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            again: listen(SignalKind::hangup())?,
        })
    }

    /// Waits until the server is told to stop; SIGHUP reads the certificates again.
    async fn wait(&mut self, certificates: Option<&Certificates>) {
        loop {
            tokio::select! {
                _ = self.end.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.again.recv() => {
                    if let Some(certificates) = certificates {
                        certificates.reload(true);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_keys_without_their_store_are_not_overwritten() {
        let room = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.data = room.path().join("data");
        Opened::open(&config).await.unwrap().close().await.unwrap();
        let [store, keys] = [STORE, KEYS].map(|file| config.server.data.join(file));
        let aside = room.path().join("aside");
        std::fs::rename(&store, &aside).unwrap();
        let before = std::fs::read(&keys).unwrap();
        let error = Opened::open(&config).await.err().unwrap().to_string();
        assert!(error.contains("put cardkeep.redb back") && !error.contains('\n'), "{error}");
        assert!(std::fs::read(&keys).unwrap() == before && !store.exists());
        std::fs::rename(&aside, &store).unwrap();
        Opened::open(&config).await.unwrap().close().await.unwrap();
    }
}
