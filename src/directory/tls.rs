//! Whom we trust to be the directory: rustls with aws-lc-rs, the certificates of a file or those that
//! the system trusts.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::service::directory::DirectoryError;

/// What connections with TLS are made with; the error names the key.
pub fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let wrong = |why: String| format!("ldap.ca_file: {} {why}", path.display());
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| wrong(format!("cannot be read: {error}")))?;
            for certificate in certificates {
                roots
                    .add(certificate)
                    .map_err(|error| wrong(format!("holds a certificate that is none: {error}")))?;
            }
            if roots.is_empty() {
                return Err(wrong("holds no certificate".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(
                    "ldap.ca_file: the system trusts no certificates; name those of the directory here"
                        .to_owned(),
                );
            }
        }
    }
    // Named, so that a second provider in the tree cannot make the choice ambiguous.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("ldap: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What became of a handshake that failed.
pub fn failed(error: &io::Error) -> DirectoryError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(inner) = inner else {
        return DirectoryError::Unreachable(format!("the TLS handshake broke off ({})", error.kind()));
    };
    DirectoryError::Untrusted(match inner {
        rustls::Error::InvalidCertificate(wrong) => match wrong {
            CertificateError::UnknownIssuer => {
                "nobody that we trust vouches for its certificate; name who does in ldap.ca_file".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name than that in ldap.url".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            other => format!("its certificate is refused: {other:?}"),
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS there".to_owned(),
        other => format!("TLS failed: {other}"),
    })
}
