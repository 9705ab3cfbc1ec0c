//! A directory of people over LDAP (RFC 4511): the port of `service/directory`, implemented with
//! ldap3. The only room that knows its words; it knows neither store nor configuration.
//!
//! ldap3's parsers panic on malformed answers, and recurse as deep as an answer nests. So every
//! message passes `wire.rs` before ldap3 sees it, which lets through what it can read, and each call
//! of the port is a task of its own besides: a panic ends the call with an error.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::service::directory::{Asked, Directory, DirectoryError, Reading};

mod attributes;
mod bind;
mod connect;
mod entry;
pub mod examine;
mod filter;
mod follow;
mod mark;
mod person;
mod ranges;
mod read;
mod search;
mod sync;
mod tls;
mod wire;

pub use attributes::{Attributes, Field};

use connect::Place;

/// What a directory is asked, and how it is reached.
#[derive(Clone)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// The certificates, PEM, of those who vouch for it; those that the system trusts where unset.
    pub ca_file: Option<PathBuf>,
    /// Who reads: a distinguished name and its password; anonymous where unset.
    pub reader: Option<(String, String)>,
    /// Below what people are, and who of the entries is one.
    pub users: Scope,
    /// Below what groups are, and which of the entries is one.
    pub groups: Option<Scope>,
    /// What it is.
    pub kind: Kind,
    /// Where it keeps what.
    pub attributes: Attributes,
    /// How long it may be silent.
    pub timeout: Duration,
    /// How many entries are asked for at once.
    pub page_size: usize,
}

/// Where a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host and a port, and how they are spoken to.
    Network {
        /// The host, a name or an IP address.
        host: String,
        /// The port.
        port: u16,
        /// What protects it.
        cover: Cover,
    },
    /// A socket of this machine.
    Socket(PathBuf),
}

/// What protects a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// Nothing.
    Clear,
    /// TLS from the first octet.
    Tls,
    /// TLS after a clear beginning (RFC 4511 §4.14), insisted upon.
    StartTls,
}

/// Entries below a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The base, a distinguished name.
    pub base: String,
    /// The filter (RFC 4515).
    pub filter: String,
}

/// What a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One that holds to the RFCs.
    OpenLdap,
    /// Active Directory or Samba.
    ActiveDirectory,
}

crate::hidden!(Settings);

impl Kind {
    /// Which entries are people, where the settings do not say it.
    pub fn user_filter(self) -> &'static str {
        match self {
            Self::OpenLdap => "(objectClass=inetOrgPerson)",
            Self::ActiveDirectory => "(&(objectCategory=person)(objectClass=user))",
        }
    }

    /// Which entries are groups, where the settings do not say it.
    pub fn group_filter(self) -> &'static str {
        match self {
            Self::OpenLdap => {
                "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
            }
            Self::ActiveDirectory => "(objectClass=group)",
        }
    }
}

/// A directory that speaks LDAP.
#[derive(Clone)]
pub struct Ldap {
    place: Arc<Place>,
}

impl Ldap {
    /// Takes the settings; the error says which of them cannot be.
    pub fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { place: Arc::new(Place::new(settings)?) })
    }
}

impl Directory for Ldap {
    fn read<'a>(&'a self, since: Option<&'a [u8]>) -> Asked<'a, Reading> {
        let (place, since) = (self.place.clone(), since.map(<[u8]>::to_vec));
        Box::pin(apart(async move { follow::read(&place, since.as_deref()).await }))
    }

    fn bind<'a>(&'a self, dn: &'a str, id: &'a str, password: &'a str) -> Asked<'a, bool> {
        let (place, password) = (self.place.clone(), password.to_owned());
        let (dn, id) = (dn.to_owned(), id.to_owned());
        Box::pin(apart(async move { bind::is_password(&place, (&dn, &id), &password).await }))
    }

    fn answers(&self) -> Asked<'_, ()> {
        let place = self.place.clone();
        Box::pin(apart(async move { bind::answers(&place).await }))
    }

    fn place(&self) -> String {
        self.place.shown()
    }
}

/// Runs in a task of its own, which ends with the caller: a panic is a malformed answer.
async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, DirectoryError>> + Send + 'static,
) -> Result<T, DirectoryError> {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(work);
    match tasks.join_next().await {
        Some(Ok(done)) => done,
        _ => Err(DirectoryError::Malformed("it broke what reads it".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_malformed_answer() {
        let broken = apart(async {
            let broken: Result<(), &str> = "x".parse::<u8>().map(|_| ()).map_err(|_| "broken");
            broken.unwrap();
            Ok(())
        });
        assert!(matches!(broken.await, Err(DirectoryError::Malformed(_))));
    }
}
