//! The certificate: read from its files, and read again when they change or on SIGHUP; a bad new
//! one never replaces a good old one. Knows no HTTP but its names for ALPN.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config;

/// The certificate in force.
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    changed: Times,
}

/// When the two files last changed.
type Times = [Option<SystemTime>; 2];

/// How often the files are looked at.
pub const LOOK: Duration = Duration::from_secs(60);

impl Certificates {
    /// Reads the files that the configuration names; `None` where it names none. The error says
    /// which file is wrong and why.
    pub fn open(tls: &config::Tls) -> Result<Option<Arc<Self>>, String> {
        let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
            return Ok(None);
        };
        let loaded = load(certificate, key)?;
        Ok(Some(Arc::new(Self {
            certificate: certificate.clone(),
            key: key.clone(),
            current: RwLock::new(loaded),
        })))
    }

    /// The configuration for the next connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.config.clone()
    }

    /// Reads the files again, when they changed or `anyway`.
    pub fn reload(&self, anyway: bool) {
        let seen = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            current.changed
        };
        if !anyway && times(&self.certificate, &self.key) == seen {
            return;
        }
        match load(&self.certificate, &self.key) {
            Ok(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                tracing::info!("the certificate was read again");
            }
            Err(why) => {
                tracing::error!(why, "the new certificate is not usable, the old one stays");
            }
        }
    }
}

fn times(certificate: &PathBuf, key: &PathBuf) -> Times {
    [certificate, key].map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
}

fn load(certificate: &PathBuf, key: &PathBuf) -> Result<Loaded, String> {
    let changed = times(certificate, key);
    let shown = certificate.display();
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("tls.certificate: {shown} cannot be read: {error}"))?;
    if chain.is_empty() {
        return Err(format!("tls.certificate: {shown} holds no certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| format!("tls.key: {} cannot be read: {error}", key.display()))?;
    // Named, so that a second provider in the tree cannot make the choice ambiguous.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("tls: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| format!("tls: {shown} and its key do not fit: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), changed })
}
