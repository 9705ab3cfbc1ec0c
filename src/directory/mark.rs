//! Where a reading left off, as octets that the service keeps for us: versioned, and bound to what
//! was asked for, so that other settings begin anew.

use minicbor::{Decode, Encode};

use super::{Address, Cover, Kind, Scope, Settings};

/// Where a reading left off.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Mark {
    /// What the directory gave us to go on with, for people and for groups (RFC 4533).
    #[n(0)]
    Sync(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>),
    /// The newest changes that were seen, of people and of groups; empty where there was none.
    #[n(1)]
    Stamps(#[n(0)] String, #[n(1)] String),
    /// The last change of one domain controller; its name.
    #[n(2)]
    Usn(#[n(0)] String, #[n(1)] u64),
}

#[derive(Encode, Decode)]
struct Written {
    #[n(0)]
    version: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    of: [u8; 32],
    #[n(2)]
    mark: Mark,
}

/// What is read otherwise than before makes another number.
const VERSION: u8 = 1;

impl Mark {
    /// Writes it down.
    pub fn write(self, settings: &Settings) -> Option<Vec<u8>> {
        minicbor::to_vec(Written { version: VERSION, of: digest(settings), mark: self }).ok()
    }

    /// Reads it; `None` where it is of another version, of other settings, or damaged.
    pub fn read(bytes: &[u8], settings: &Settings) -> Option<Self> {
        let written: Written = minicbor::decode(bytes).ok()?;
        (written.version == VERSION && written.of == digest(settings)).then_some(written.mark)
    }
}

/// What decides which entries are read, and what of them.
fn digest(settings: &Settings) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    let mut add = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    match &settings.address {
        Address::Network { host, port, cover } => {
            add(host);
            add(&port.to_string());
            add(if *cover == Cover::Tls { "tls" } else { "" });
        }
        Address::Socket(path) => add(&path.to_string_lossy()),
    }
    // Another reader may see other entries.
    add(settings.reader.as_ref().map_or("", |(dn, _)| dn));
    add(match settings.kind {
        Kind::OpenLdap => "openldap",
        Kind::ActiveDirectory => "active-directory",
    });
    let mut scope = |scope: Option<&Scope>| match scope {
        Some(scope) => {
            add(&scope.base);
            add(&scope.filter);
        }
        None => add(""),
    };
    scope(Some(&settings.users));
    scope(settings.groups.as_ref());
    for names in settings.attributes.all() {
        add(&names.join(","));
    }
    *hash.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Attributes, Field};
    use super::*;

    fn settings() -> Settings {
        Settings {
            address: Address::Network { host: "h".into(), port: 389, cover: Cover::StartTls },
            ca_file: None,
            reader: Some(("cn=r".into(), "p".into())),
            users: Scope { base: "ou=p".into(), filter: "(a=b)".into() },
            groups: None,
            kind: Kind::OpenLdap,
            attributes: Attributes::of(Kind::OpenLdap),
            timeout: Duration::from_secs(1),
            page_size: 1,
        }
    }

    #[test]
    fn marks_are_of_their_settings() {
        let marks = [
            Mark::Sync(b"a".to_vec(), vec![]),
            Mark::Stamps("20261122093000Z".into(), String::new()),
            Mark::Usn("cn=dc1".into(), u64::MAX),
        ];
        let others = [
            Settings { address: Address::Socket("/h".into()), ..settings() },
            Settings { reader: None, ..settings() },
            Settings { users: Scope { base: "ou=q".into(), filter: "(a=b)".into() }, ..settings() },
            Settings { users: Scope { base: "ou=p".into(), filter: "(a=c)".into() }, ..settings() },
            Settings { groups: Some(settings().users), ..settings() },
            Settings { kind: Kind::ActiveDirectory, ..settings() },
            Settings { attributes: settings().attributes.with(Field::Email, vec!["m".into()]), ..settings() },
        ];
        for mark in marks {
            let bytes = mark.clone().write(&settings()).unwrap();
            assert_eq!(Mark::read(&bytes, &settings()), Some(mark));
            for other in &others {
                assert_eq!(Mark::read(&bytes, other), None);
            }
            // Neither of these changes what is read.
            let password = Some(("cn=r".into(), "q".into()));
            assert!(Mark::read(&bytes, &Settings { reader: password, page_size: 2, ..settings() }).is_some());
            for cut in 0..bytes.len() {
                assert_eq!(Mark::read(&bytes[..cut], &settings()), None);
            }
        }
        assert_eq!(Mark::read(b"", &settings()), None);
    }
}
