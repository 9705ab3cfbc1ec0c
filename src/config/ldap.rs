//! `[ldap]`: the directory of people, if there is one. Its keys, their values, and what makes sense
//! of them together. Knows no LDAP beyond the form of its URL (RFC 4516).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::keys::{Given, Key, Shown, duration, filled, number, path, switch};
use super::secret::Secret;

/// A directory of people.
#[derive(Clone, PartialEq)]
pub struct Ldap {
    /// Where it is; without it there is none.
    pub url: Option<LdapUrl>,
    /// What it is, for defaults that depend on it.
    pub kind: LdapKind,
    /// Clear connections turn to TLS before anything else is said.
    pub start_tls: bool,
    /// A clear connection over a network is wanted.
    pub allow_clear: bool,
    /// The certificates of those who vouch for it, PEM.
    pub ca_file: Option<PathBuf>,
    /// Who reads.
    pub bind_dn: Option<String>,
    /// The reader's password.
    pub bind_password: Option<Secret>,
    /// Below what people are.
    pub user_base: Option<String>,
    /// Who of the entries there is one.
    pub user_filter: Option<String>,
    /// Below what groups are.
    pub group_base: Option<String>,
    /// Which of the entries there is one.
    pub group_filter: Option<String>,
    /// How often it is asked what changed.
    pub sync_interval: Duration,
    /// People are shown as an address book.
    pub directory_book: bool,
    /// The number of people above which that book is searched and not synchronised.
    pub gateway_above: usize,
    /// The group whose members administer.
    pub admin_group: Option<String>,
    /// The share of the users that one sync may disable, in percent.
    pub most_leavers: u8,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How many entries are asked for at once.
    pub page_size: usize,
    /// Attributes other than those that are usual there: the first that has a value counts.
    pub attributes: BTreeMap<&'static str, Vec<String>>,
}

/// Where a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapUrl {
    /// How it is spoken to.
    pub scheme: LdapScheme,
    /// Its host; for `ldapi`, the path of its socket.
    pub host: String,
    /// Its port; 0 for `ldapi`.
    pub port: u16,
}

/// How a directory is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LdapScheme {
    /// In clear, or with StartTLS.
    Ldap,
    /// With TLS from the first octet.
    Ldaps,
    /// Through a socket of this machine.
    Ldapi,
}

/// What a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LdapKind {
    /// OpenLDAP, 389 Directory Server and whatever else holds to the RFCs.
    OpenLdap,
    /// Active Directory, Samba.
    ActiveDirectory,
}

impl Default for Ldap {
    fn default() -> Self {
        Self {
            url: None,
            kind: LdapKind::OpenLdap,
            start_tls: false,
            allow_clear: false,
            ca_file: None,
            bind_dn: None,
            bind_password: None,
            user_base: None,
            user_filter: None,
            group_base: None,
            group_filter: None,
            sync_interval: Duration::from_secs(900),
            directory_book: false,
            gateway_above: 5000,
            admin_group: None,
            most_leavers: 20,
            timeout: Duration::from_secs(10),
            page_size: 500,
            attributes: BTreeMap::new(),
        }
    }
}

impl Ldap {
    /// The key that does not go with the others, and why.
    pub fn inconsistent(&self) -> Option<(&'static str, &'static str)> {
        let url = self.url.as_ref()?;
        if self.user_base.is_none() {
            return Some(("url", "a directory needs ldap.user_base, below which its people are; set it"));
        }
        match url.scheme {
            LdapScheme::Ldap if !self.start_tls && !self.allow_clear && !url.is_loopback() => Some((
                "url",
                "passwords would cross the network in clear; write ldaps://, or set ldap.start_tls = true \
                 (ldap.allow_clear = true permits it)",
            )),
            LdapScheme::Ldaps | LdapScheme::Ldapi if self.start_tls => {
                Some(("start_tls", "StartTLS goes with ldap:// only; leave it out"))
            }
            _ => match (&self.bind_dn, &self.bind_password) {
                (Some(_), None) => Some(("bind_dn", "it needs a password; set ldap.bind_password")),
                (None, Some(_)) => Some(("bind_password", "it needs to be somebody's; set ldap.bind_dn")),
                _ => None,
            },
        }
    }
}

impl LdapUrl {
    /// Whether it is this machine, so that nobody listens in between.
    pub fn is_loopback(&self) -> bool {
        self.scheme == LdapScheme::Ldapi
            || self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (scheme, port) = match scheme {
            "ldap" => (LdapScheme::Ldap, 389),
            "ldaps" => (LdapScheme::Ldaps, 636),
            "ldapi" => (LdapScheme::Ldapi, 0),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty()
            || rest.contains(|c: char| "/?#@".contains(c) || c.is_whitespace() || c.is_control())
        {
            return None;
        }
        if scheme == LdapScheme::Ldapi {
            let host = percent_encoding::percent_decode_str(rest).decode_utf8().ok()?.into_owned();
            return host.starts_with('/').then_some(Self { scheme, host, port });
        }
        let (host, given) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (
                    host,
                    after
                        .strip_prefix(':')
                        .map_or_else(|| after.is_empty().then_some(None), |p| Some(Some(p)))?,
                )
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = match given {
            Some(given) => given.parse().ok().filter(|port| *port != 0)?,
            None => port,
        };
        (!host.is_empty()).then(|| Self { scheme, host: host.to_owned(), port })
    }
}

/// The keys of `[ldap]`, in the order in which the example shows them.
pub static KEYS: &[Key] = &[
    Key {
        section: "ldap",
        name: "url",
        default: Shown::Unset("\"ldaps://ldap.example.org\""),
        doc: "The directory whose people may sign in: ldaps://HOST, ldap://HOST with start_tls, or\n\
              ldapi://%2Fpath%2Fof%2Fsocket. Without it there is none.",
        set: |c, v| url(v).map(|v| c.ldap.url = Some(v)),
    },
    Key {
        section: "ldap",
        name: "kind",
        default: Shown::Is("\"openldap\""),
        doc: "openldap (which also fits other servers that hold to the RFCs) or active-directory: decides the\n\
              filters and attributes that are not set here.",
        set: |c, v| kind(v).map(|v| c.ldap.kind = v),
    },
    Key {
        section: "ldap",
        name: "start_tls",
        default: Shown::Is("false"),
        doc: "An ldap:// connection turns to TLS before a password crosses it.",
        set: |c, v| switch(v).map(|v| c.ldap.start_tls = v),
    },
    Key {
        section: "ldap",
        name: "allow_clear",
        default: Shown::Is("false"),
        doc: "Permits ldap:// without TLS to another machine. Whoever is on the way reads every password.",
        set: |c, v| switch(v).map(|v| c.ldap.allow_clear = v),
    },
    Key {
        section: "ldap",
        name: "ca_file",
        default: Shown::Unset("\"/etc/cardkeep/directory-ca.pem\""),
        doc: "The certificates, PEM, of those who vouch for the directory's. Unset, those that the system trusts.",
        set: |c, v| path(v).map(|v| c.ldap.ca_file = Some(v)),
    },
    Key {
        section: "ldap",
        name: "bind_dn",
        default: Shown::Unset("\"cn=cardkeep,ou=services,dc=example,dc=org\""),
        doc: "Who reads the directory: an account that may read and no more. Unset, it is read anonymously.",
        set: |c, v| filled(v).map(|v| c.ldap.bind_dn = Some(v.to_owned())),
    },
    Key {
        section: "ldap",
        name: "bind_password",
        default: Shown::Unset("\"a-long-random-text\""),
        doc: "The reader's password; better in the environment, CARDKEEP_LDAP__BIND_PASSWORD.",
        set: |c, v| password(v).map(|v| c.ldap.bind_password = Some(v)),
    },
    Key {
        section: "ldap",
        name: "user_base",
        default: Shown::Unset("\"ou=people,dc=example,dc=org\""),
        doc: "Below what the people are.",
        set: |c, v| filled(v).map(|v| c.ldap.user_base = Some(v.to_owned())),
    },
    Key {
        section: "ldap",
        name: "user_filter",
        default: Shown::Unset("\"(objectClass=inetOrgPerson)\""),
        doc: "Who of the entries below user_base becomes a user. Unset, (objectClass=inetOrgPerson), or\n\
              (&(objectCategory=person)(objectClass=user)) in Active Directory.",
        set: |c, v| filled(v).map(|v| c.ldap.user_filter = Some(v.to_owned())),
    },
    Key {
        section: "ldap",
        name: "group_base",
        default: Shown::Unset("\"ou=groups,dc=example,dc=org\""),
        doc: "Below what the groups are. Unset, there are no groups.",
        set: |c, v| filled(v).map(|v| c.ldap.group_base = Some(v.to_owned())),
    },
    Key {
        section: "ldap",
        name: "group_filter",
        default: Shown::Unset("\"(objectClass=groupOfNames)\""),
        doc: "Which of the entries below group_base becomes a group. Unset, groupOfNames, groupOfUniqueNames and\n\
              posixGroup, or group in Active Directory.",
        set: |c, v| filled(v).map(|v| c.ldap.group_filter = Some(v.to_owned())),
    },
    Key {
        section: "ldap",
        name: "sync_interval",
        default: Shown::Is("\"15m\""),
        doc: "How often the directory is asked what changed.",
        set: |c, v| duration(v).map(|v| c.ldap.sync_interval = v),
    },
    Key {
        section: "ldap",
        name: "directory_book",
        default: Shown::Is("false"),
        doc: "Shows the people as a read-only address book named directory in everybody's home.",
        set: |c, v| switch(v).map(|v| c.ldap.directory_book = v),
    },
    Key {
        section: "ldap",
        name: "gateway_above",
        default: Shown::Is("5000"),
        doc: "Above so many people the book named directory is searched by clients and not synchronised to them.",
        set: |c, v| number(v, 0, 1 << 30).map(|v| c.ldap.gateway_above = v),
    },
    Key {
        section: "ldap",
        name: "admin_group",
        default: Shown::Unset("\"cardkeep-admins\""),
        doc: "The name of the group whose members administer.",
        set: |c, v| filled(v).map(|v| c.ldap.admin_group = Some(v.to_owned())),
    },
    Key {
        section: "ldap",
        name: "most_leavers",
        default: Shown::Is("\"20%\""),
        doc: "A sync that would disable a larger share of the directory's users does nothing and says so: a wrong\n\
              filter is likelier than that so many left at once.",
        set: |c, v| percent(v).map(|v| c.ldap.most_leavers = v),
    },
    Key {
        section: "ldap",
        name: "timeout",
        default: Shown::Is("\"10s\""),
        doc: "How long the directory may be silent before it counts as unreachable.",
        set: |c, v| duration(v).map(|v| c.ldap.timeout = v),
    },
    Key {
        section: "ldap",
        name: "page_size",
        default: Shown::Is("500"),
        doc: "How many entries are asked for at once, where the directory does pages (RFC 2696).",
        set: |c, v| number(v, 1, 100_000).map(|v| c.ldap.page_size = v),
    },
    Key {
        doc: "Where the directory keeps what. The attributes that are usual there are used for what is not set;\n\
              of several, separated by commas, the first that has a value counts. This is what the directory\n\
              calls an entry for ever: it is never used again for another.",
        ..attribute("id", "\"entryUUID\"", |c, v| names(c, "id", v))
    },
    attribute("name", "\"uid\"", |c, v| names(c, "name", v)),
    attribute("display_name", "\"displayName,cn\"", |c, v| names(c, "display_name", v)),
    attribute("given", "\"givenName\"", |c, v| names(c, "given", v)),
    attribute("family", "\"sn\"", |c, v| names(c, "family", v)),
    attribute("email", "\"mail\"", |c, v| names(c, "email", v)),
    attribute("phone_work", "\"telephoneNumber\"", |c, v| names(c, "phone_work", v)),
    attribute("phone_mobile", "\"mobile\"", |c, v| names(c, "phone_mobile", v)),
    attribute("phone_home", "\"homePhone\"", |c, v| names(c, "phone_home", v)),
    attribute("phone_fax", "\"facsimileTelephoneNumber\"", |c, v| names(c, "phone_fax", v)),
    attribute("title", "\"title\"", |c, v| names(c, "title", v)),
    attribute("organization", "\"o\"", |c, v| names(c, "organization", v)),
    attribute("department", "\"ou,departmentNumber\"", |c, v| names(c, "department", v)),
    attribute("manager", "\"manager\"", |c, v| names(c, "manager", v)),
    attribute("photo", "\"jpegPhoto\"", |c, v| names(c, "photo", v)),
    attribute("member", "\"member,uniqueMember,memberUid\"", |c, v| names(c, "member", v)),
    attribute("group_name", "\"cn\"", |c, v| names(c, "group_name", v)),
    attribute("group_display_name", "\"displayName,description\"", |c, v| names(c, "group_display_name", v)),
    attribute("group_email", "\"mail\"", |c, v| names(c, "group_email", v)),
];

const fn attribute(
    name: &'static str,
    sample: &'static str,
    set: fn(&mut super::Config, &Given) -> Result<(), String>,
) -> Key {
    Key { section: "ldap.attributes", name, default: Shown::Unset(sample), doc: "", set }
}

/// Attribute names (RFC 4512 §2.5), so that none of them breaks a request.
fn names(config: &mut super::Config, key: &'static str, given: &Given) -> Result<(), String> {
    let names: Vec<String> = filled(given)?.split(',').map(|name| name.trim().to_owned()).collect();
    let good = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.;".contains(c))
    };
    if !names.iter().all(good) {
        return Err("the value must be attribute names, separated by commas".to_owned());
    }
    config.ldap.attributes.insert(key, names);
    Ok(())
}

fn url(given: &Given) -> Result<LdapUrl, String> {
    LdapUrl::parse(filled(given)?).ok_or_else(|| {
        "the value must be a URL like ldaps://ldap.example.org or ldap://ldap.example.org:389, without a path"
            .to_owned()
    })
}

fn kind(given: &Given) -> Result<LdapKind, String> {
    match filled(given)? {
        "openldap" => Ok(LdapKind::OpenLdap),
        "active-directory" => Ok(LdapKind::ActiveDirectory),
        _ => Err("the value must be openldap or active-directory".to_owned()),
    }
}

fn password(given: &Given) -> Result<Secret, String> {
    match given {
        // Spaces at its ends may belong to it.
        Given::Text(text) | Given::Word(text) if !text.is_empty() => Ok(Secret::new(text)),
        _ => Err("the value must be a text in quotes that is not empty".to_owned()),
    }
}

fn percent(given: &Given) -> Result<u8, String> {
    let wrong = "the value must be a share like \"20%\"";
    let text = filled(given).map_err(|_| wrong.to_owned())?;
    text.strip_suffix('%')
        .and_then(|digits| digits.trim_end().parse().ok())
        .filter(|share| *share <= 100)
        .ok_or_else(|| wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(LdapScheme, String, u16)> {
        LdapUrl::parse(text).map(|url| (url.scheme, url.host, url.port))
    }

    #[test]
    fn urls_are_taken_apart() {
        let found = |scheme, host: &str, port| Some((scheme, host.to_owned(), port));
        assert_eq!(parse("ldap://h"), found(LdapScheme::Ldap, "h", 389));
        assert_eq!(parse("ldaps://h.example.org/"), found(LdapScheme::Ldaps, "h.example.org", 636));
        assert_eq!(parse("ldap://[::1]:1389"), found(LdapScheme::Ldap, "::1", 1389));
        assert_eq!(parse("ldap://[::1]"), found(LdapScheme::Ldap, "::1", 389));
        assert_eq!(parse("ldapi://%2Frun%2Fldapi"), found(LdapScheme::Ldapi, "/run/ldapi", 0));
        for bad in [
            "h",
            "http://h",
            "ldap://",
            "ldap:///",
            "ldap://h:0",
            "ldap://h:x",
            "ldap://h/dc=x",
            "ldap://h?x",
            "ldap://u@h",
            "ldap://h h",
            "ldap://[x]",
            "ldap://[::1]x",
            "ldap://:389",
            "ldapi://x",
            "ldapi://%ff",
            "ldap://h:99999",
            "LDAP//h",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("ldap://localhost", true),
            ("ldap://LOCALHOST", true),
            ("ldap://127.0.0.1", true),
            ("ldap://127.9.9.9:1", true),
            ("ldap://[::1]", true),
            ("ldapi://%2Fs", true),
            ("ldap://localhost.example.org", false),
            ("ldap://127.0.0.1.example.org", false),
            ("ldap://10.0.0.1", false),
            ("ldap://0.0.0.0", false),
        ] {
            assert_eq!(LdapUrl::parse(text).unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(percent(&Given::Text("20%")), Ok(20));
        assert_eq!(percent(&Given::Word("0 %")), Ok(0));
        for bad in ["", "%", "20", "101%", "-1%", "0.2", "2e1%"] {
            assert!(percent(&Given::Text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn attributes_are_names_and_nothing_else() {
        let mut config = super::super::Config::default();
        names(&mut config, "email", &Given::Text("mail, rfc822Mailbox")).unwrap();
        assert_eq!(config.ldap.attributes.get("email").unwrap(), &["mail", "rfc822Mailbox"]);
        for bad in ["", ",", "a,,b", "a b", "*", "(x", "a=b", "é", "-a"] {
            assert!(names(&mut config, "email", &Given::Text(bad)).is_err(), "{bad}");
        }
    }
}
