//! The table of configuration keys, and how a value is read. Knows no file and no environment.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::{KeyBytes, Secret};
use super::{Config, LogFormat, PublicUrl};
use crate::domain::contact::MarkAs;
use crate::domain::phone::Region;

/// One key of the configuration.
pub struct Key {
    /// Its section.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// How the example shows it.
    pub default: Shown,
    /// What it is for; empty where the section's first key says it.
    pub doc: &'static str,
    /// Reads a value into the configuration, or says what is wrong with it.
    pub set: fn(&mut Config, &Given) -> Result<(), String>,
}

/// How the example shows a key.
pub enum Shown {
    /// With its default.
    Is(&'static str),
    /// Commented out, with a sample: there is no default.
    Unset(&'static str),
}

/// A value as it was given.
pub enum Given<'a> {
    /// A TOML string.
    Text(&'a str),
    /// A TOML integer.
    Number(i64),
    /// A TOML boolean.
    Switch(bool),
    /// A TOML array of strings.
    List(Vec<&'a str>),
    /// From the environment, where everything is text.
    Word(&'a str),
}

/// Every key, in the order in which the example shows them.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(super::ldap::KEYS)
}

static KEYS: &[Key] = &[
    Key {
        section: "server",
        name: "listen",
        default: Shown::Is("\"127.0.0.1:8080\""),
        doc: "The address to listen on. Beyond loopback only with [tls], or with behind_proxy.",
        set: |c, v| address(v).map(|v| c.server.listen = v),
    },
    Key {
        section: "server",
        name: "data",
        default: Shown::Is("\"./data\""),
        doc: "The directory that holds everything. It is made, for its owner only, when it is missing.",
        set: |c, v| path(v).map(|v| c.server.data = v),
    },
    Key {
        section: "server",
        name: "behind_proxy",
        default: Shown::Is("false"),
        doc: "A reverse proxy stands in front, and only it can reach this server: Forwarded and\n\
              X-Forwarded-For, -Proto, -Host, -Prefix are believed.",
        set: |c, v| switch(v).map(|v| c.server.behind_proxy = v),
    },
    Key {
        section: "server",
        name: "public_url",
        default: Shown::Unset("\"https://contacts.example.org/\""),
        doc: "How clients reach this server, where the proxy does not say it. Counts with behind_proxy only.",
        set: |c, v| public_url(v).map(|v| c.server.public_url = Some(v)),
    },
    Key {
        section: "server",
        name: "metrics_token",
        default: Shown::Unset("\"a-long-random-text\""),
        doc: "Lets others than this machine read /metrics, with `Authorization: Bearer TOKEN`. A proxy on this\n\
              machine that sends no X-Forwarded-For reads it as this machine does.",
        set: |c, v| filled(v).map(|v| c.server.metrics_token = Some(v.to_owned())),
    },
    Key {
        section: "server",
        name: "request_timeout",
        default: Shown::Is("\"5m\""),
        doc: "The longest that a request may be worked on before it is answered with 503.",
        set: |c, v| duration(v).map(|v| c.server.request_timeout = v),
    },
    Key {
        section: "server",
        name: "header_timeout",
        default: Shown::Is("\"30s\""),
        doc: "The longest that a request's head may take to arrive.",
        set: |c, v| duration(v).map(|v| c.server.header_timeout = v),
    },
    Key {
        section: "server",
        name: "idle_timeout",
        default: Shown::Is("\"75s\""),
        doc: "How long a connection without requests, or a client that takes nothing of its answer, is kept.",
        set: |c, v| duration(v).map(|v| c.server.idle_timeout = v),
    },
    Key {
        section: "server",
        name: "drain_timeout",
        default: Shown::Is("\"30s\""),
        doc: "How long requests in flight may take to finish when the server is told to stop.",
        set: |c, v| duration(v).map(|v| c.server.drain_timeout = v),
    },
    Key {
        section: "server",
        name: "max_connections",
        default: Shown::Is("1024"),
        doc: "Connections served at once; further ones wait.",
        set: |c, v| number(v, 1, 1 << 20).map(|v| c.server.max_connections = v),
    },
    Key {
        section: "server",
        name: "max_requests",
        default: Shown::Is("256"),
        doc: "Requests worked on at once; further ones wait, then are answered with 503.",
        set: |c, v| number(v, 1, 1 << 16).map(|v| c.server.max_requests = v),
    },
    Key {
        section: "tls",
        name: "certificate",
        default: Shown::Unset("\"/etc/cardkeep/fullchain.pem\""),
        doc: "The certificate chain, PEM. With it, the server speaks TLS only. Read again on SIGHUP and when it changes.",
        set: |c, v| path(v).map(|v| c.tls.certificate = Some(v)),
    },
    Key {
        section: "tls",
        name: "key",
        default: Shown::Unset("\"/etc/cardkeep/privkey.pem\""),
        doc: "The certificate's private key, PEM.",
        set: |c, v| path(v).map(|v| c.tls.key = Some(v)),
    },
    Key {
        section: "tls",
        name: "handshake_timeout",
        default: Shown::Is("\"10s\""),
        doc: "The longest that a TLS handshake may take.",
        set: |c, v| duration(v).map(|v| c.tls.handshake_timeout = v),
    },
    Key {
        section: "contacts",
        name: "default_region",
        default: Shown::Unset("\"DE\""),
        doc: "The region, by its two letters of ISO 3166, whose phone numbers are written without a country code.\n\
              Unset, no number without + or 00 is known beyond its digits.",
        set: |c, v| region(v).map(|v| c.contacts.default_region = Some(v)),
    },
    Key {
        section: "contacts",
        name: "trash_days",
        default: Shown::Is("30"),
        doc: "For how many days a deleted contact lies in the trash and may come back with all that it had.\n\
              0: what is deleted is erased at once.",
        set: |c, v| {
            c.contacts.trash_days = u32::try_from(number(v, 0, 3_650)?).unwrap_or(3_650);
            Ok(())
        },
    },
    Key {
        section: "contacts",
        name: "newsletter_default",
        default: Shown::Is("true"),
        doc: "Whether a new contact with a valid e-mail address counts as not having opted out of the newsletter.",
        set: |c, v| switch(v).map(|v| c.contacts.newsletter_default = v),
    },
    Key {
        section: "contacts",
        name: "marks",
        default: Shown::Is("\"category\""),
        doc: "How phones are shown that somebody must not be called or contacted: \"category\", \"note\" (its first line),\n\
              or \"off\".",
        set: |c, v| marks(v).map(|v| c.contacts.marks = v),
    },
    Key {
        section: "api",
        name: "rate_limit",
        default: Shown::Is("6000"),
        doc: "Requests a minute that the API answers to one token, or to one account that signs in with its password;\n\
              further ones are slowed (429). 0 is as many as there come.",
        set: |c, v| {
            c.api.rate_limit = NonZeroU32::new(u32::try_from(number(v, 0, 10_000_000)?).unwrap_or(0));
            Ok(())
        },
    },
    Key {
        section: "api",
        name: "cors_origins",
        default: Shown::Is("[]"),
        doc: "The origins of web pages elsewhere that may ask the API with a token, like [\"https://office.example.org\"].\n\
              In the environment with commas between them.",
        set: |c, v| origins(v).map(|v| c.api.cors_origins = v),
    },
    Key {
        section: "limits",
        name: "card_bytes",
        default: Shown::Is("10485760"),
        doc: "The largest card, photo included, in bytes.",
        set: |c, v| number(v, 1 << 10, 1 << 30).map(|v| c.limits.card_bytes = v),
    },
    Key {
        section: "limits",
        name: "login_attempts",
        default: Shown::Is("10"),
        doc: "Failed sign-ins of one account from one address before further ones are slowed (429).",
        set: |c, v| {
            c.limits.login_attempts = u32::try_from(number(v, 1, 1_000_000)?).unwrap_or(u32::MAX);
            Ok(())
        },
    },
    Key {
        section: "limits",
        name: "body_memory",
        default: Shown::Is("268435456"),
        doc: "Bytes of request bodies held in memory at once, over all requests.",
        set: |c, v| number(v, 1 << 20, 1 << 40).map(|v| c.limits.body_memory = v),
    },
    Key {
        section: "limits",
        name: "body_timeout",
        default: Shown::Is("\"30s\""),
        doc: "How long a request's body may lag behind 8 KiB a second before it is given up (408).",
        set: |c, v| duration(v).map(|v| c.limits.body_timeout = v),
    },
    Key {
        section: "limits",
        name: "discard_bytes",
        default: Shown::Is("134217728"),
        doc: "Bytes of a refused body that are read and thrown away, so that the client sees the answer.",
        set: |c, v| number(v, 0, 1 << 40).map(|v| c.limits.discard_bytes = v),
    },
    Key {
        section: "limits",
        name: "discard_timeout",
        default: Shown::Is("\"10s\""),
        doc: "How long a refused body is read and thrown away.",
        set: |c, v| duration(v).map(|v| c.limits.discard_timeout = v),
    },
    Key {
        section: "log",
        name: "format",
        default: Shown::Is("\"json\""),
        doc: "json (one object a line) or text. Log lines go to standard error and name no person.",
        set: |c, v| format(v).map(|v| c.log.format = v),
    },
    Key {
        section: "log",
        name: "level",
        default: Shown::Is("\"info\""),
        doc: "error, warn, info, debug or trace.",
        set: |c, v| level(v).map(|v| c.log.level = v),
    },
    Key {
        section: "log",
        name: "store_calls",
        default: Shown::Is("false"),
        doc: "Answers carry X-Cardkeep-Store-Calls, the number of store calls; for tests, since answers are then held back until they are whole.",
        set: |c, v| switch(v).map(|v| c.log.store_calls = v),
    },
    Key {
        section: "store",
        name: "cache",
        default: Shown::Is("25165824"),
        doc: "Bytes of the store that are kept in memory.",
        set: |c, v| number(v, 1 << 20, 1 << 40).map(|v| c.store.cache = v),
    },
    Key {
        section: "store",
        name: "master_key_file",
        default: Shown::Unset("\"/var/lib/cardkeep-key/master.key\""),
        doc: "The file with the master key, which opens the store: 64 hexadecimal digits, mode 0600, made at the\n\
              first start. Unset, it is beside the data directory: that path with `.key` at its end. Keep a copy\n\
              of it, apart from copies of the data.",
        set: |c, v| path(v).map(|v| c.store.master_key_file = Some(v)),
    },
    Key {
        section: "store",
        name: "master_key",
        default: Shown::Unset("\"64 hexadecimal digits\""),
        doc: "The master key itself, instead of a file; meant for the environment, CARDKEEP_STORE__MASTER_KEY.\n\
              `openssl rand -hex 32` makes one. A systemd credential named cardkeep-master-key takes the place of both.",
        set: |c, v| master_key(v).map(|v| c.store.master_key = Some(v)),
    },
    Key {
        section: "backup",
        name: "keyring",
        default: Shown::Unset("\"/var/lib/cardkeep-key/keyring\""),
        doc: "A keyring that the server writes again whenever something was erased, so that no backup opens it any\n\
              more. Like the master key, it does not belong among copies of the data.",
        set: |c, v| path(v).map(|v| c.backup.keyring = Some(v)),
    },
    Key {
        section: "backup",
        name: "passphrase",
        default: Shown::Unset("\"a-long-random-text\""),
        doc: "What keyrings are sealed with. Unset, whoever has a keyring can read the archives made before it.",
        set: |c, v| filled(v).map(|v| c.backup.passphrase = Some(Secret::new(v))),
    },
    Key {
        section: "privacy",
        name: "tombstone_days",
        default: Shown::Is("400"),
        doc: "For how many days the name of a removed card is kept, so that clients which were away hear of it.\n\
              Then it is destroyed, and a client that was away for longer lists the book anew.",
        set: |c, v| {
            c.privacy.tombstone_days = u32::try_from(number(v, 1, 36_500)?).unwrap_or(36_500);
            Ok(())
        },
    },
    Key {
        section: "privacy",
        name: "audit_days",
        default: Shown::Is("400"),
        doc: "For how many days it is kept who signed in from where, and who changed accounts, tokens and shares.",
        set: |c, v| {
            c.privacy.audit_days = u32::try_from(number(v, 1, 36_500)?).unwrap_or(36_500);
            Ok(())
        },
    },
];

fn marks(given: &Given) -> Result<MarkAs, String> {
    match text(given)? {
        "category" => Ok(MarkAs::Category),
        "note" => Ok(MarkAs::Note),
        "off" => Ok(MarkAs::Off),
        _ => Err("the value must be \"category\", \"note\" or \"off\"".to_owned()),
    }
}

fn text<'a>(given: &Given<'a>) -> Result<&'a str, String> {
    match given {
        Given::Text(text) | Given::Word(text) => Ok(text),
        Given::Number(_) | Given::Switch(_) | Given::List(_) => {
            Err("the value must be a text in quotes".to_owned())
        }
    }
}

pub(super) fn filled<'a>(given: &Given<'a>) -> Result<&'a str, String> {
    match text(given)?.trim() {
        "" => Err("the value is empty".to_owned()),
        text => Ok(text),
    }
}

pub(super) fn path(given: &Given) -> Result<PathBuf, String> {
    filled(given).map(PathBuf::from)
}

fn master_key(given: &Given) -> Result<KeyBytes, String> {
    KeyBytes::from_hex(text(given)?.as_bytes())
        .ok_or_else(|| "the value must be 64 hexadecimal digits".to_owned())
}

pub(super) fn switch(given: &Given) -> Result<bool, String> {
    match given {
        Given::Switch(switch) => Ok(*switch),
        Given::Word("true" | "1" | "yes") => Ok(true),
        Given::Word("false" | "0" | "no") => Ok(false),
        _ => Err("the value must be true or false".to_owned()),
    }
}

pub(super) fn number(given: &Given, least: usize, most: usize) -> Result<usize, String> {
    let number = match given {
        Given::Number(number) => usize::try_from(*number).ok(),
        Given::Word(word) => word.trim().parse().ok(),
        Given::Text(_) | Given::Switch(_) | Given::List(_) => None,
    };
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("the value must be a whole number from {least} to {most}"))
}

/// The address to listen on; `localhost:PORT` is the loopback address.
pub fn address(given: &Given) -> Result<SocketAddr, String> {
    let text = filled(given)?;
    let port = text.strip_prefix("localhost:").map(str::parse);
    match port {
        Some(Ok(port)) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        _ => text.parse().map_err(|_| {
            "the value must be an IP address and a port, like 127.0.0.1:8080 or [::1]:8080".to_owned()
        }),
    }
}

fn region(given: &Given) -> Result<Region, String> {
    Region::parse(text(given)?)
        .ok_or_else(|| "the value must be a region's two capital letters of ISO 3166, like DE".to_owned())
}

fn format(given: &Given) -> Result<LogFormat, String> {
    match text(given)? {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("the value must be json or text".to_owned()),
    }
}

fn level(given: &Given) -> Result<tracing::Level, String> {
    text(given)?.parse().map_err(|_| "the value must be error, warn, info, debug or trace".to_owned())
}

/// Origins as browsers write them (RFC 6454 §6.1): no `*`, which would be every page there is.
fn origins(given: &Given) -> Result<Vec<String>, String> {
    let listed: Vec<&str> = match given {
        Given::List(list) => list.clone(),
        Given::Word(word) => word.split(',').map(str::trim).filter(|one| !one.is_empty()).collect(),
        _ => {
            return Err("the value must be a list of texts, like [\"https://office.example.org\"]".to_owned());
        }
    };
    let known = |text: &str| {
        let uri: http::Uri = text.parse().ok()?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
        let host = uri.authority().filter(|host| !host.as_str().contains('@'))?;
        let written = format!("{scheme}://{}", host.as_str().to_ascii_lowercase());
        (written == text).then_some(written)
    };
    let wrong = "each must be an origin in small letters, like https://office.example.org, without a path";
    listed.into_iter().map(|text| known(text).ok_or_else(|| wrong.to_owned())).collect()
}

fn public_url(given: &Given) -> Result<PublicUrl, String> {
    let wrong = || "the value must be a URL like https://contacts.example.org/".to_owned();
    let uri: http::Uri = filled(given)?.parse().map_err(|_| wrong())?;
    let scheme = match uri.scheme_str() {
        Some("https") => "https",
        Some("http") => "http",
        _ => return Err(wrong()),
    };
    let host = uri.authority().ok_or_else(wrong)?;
    if uri.query().is_some() || host.as_str().contains('@') {
        return Err(wrong());
    }
    Ok(PublicUrl {
        scheme,
        host: host.as_str().to_owned(),
        prefix: uri.path().trim_end_matches('/').to_owned(),
    })
}

/// Reads `500ms`, `2s`, `15m`, `12h`, `30d`; nothing shorter than a millisecond or longer than ten years.
pub(super) fn duration(given: &Given) -> Result<Duration, String> {
    const LONGEST: u64 = 3650 * 86_400_000;
    let written =
        text(given).map_err(|_| "the value must be a duration in quotes, like \"2s\"".to_owned())?.trim();
    let digits = written.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match written.strip_prefix(digits) {
        Some("ms") => 1,
        Some("s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        Some("d") => 86_400_000,
        _ => 0,
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit))
        .filter(|millis| (1..=LONGEST).contains(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| "the value must be a duration like 500ms, 2s, 15m, 12h or 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit() {
        for (text, millis) in
            [("500ms", 500), ("2s", 2_000), ("15m", 900_000), ("12h", 43_200_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(duration(&Given::Text(text)).unwrap(), Duration::from_millis(millis));
        }
        for bad in
            ["", "5", "s", "-1s", "1.5s", "0s", "2 weeks", "99999999999999999999s", "9999999999999d", "1S"]
        {
            assert!(duration(&Given::Text(bad)).is_err(), "{bad:?}");
        }
        assert!(duration(&Given::Number(5)).is_err());
    }

    #[test]
    fn origins_are_those_that_browsers_write() {
        let listed = Given::List(vec!["https://office.example.org", "http://localhost:3000"]);
        assert_eq!(origins(&listed).unwrap(), ["https://office.example.org", "http://localhost:3000"]);
        assert_eq!(origins(&Given::Word("https://a, http://b:1")).unwrap(), ["https://a", "http://b:1"]);
        assert!(origins(&Given::Word("")).unwrap().is_empty() && origins(&Given::Text("https://a")).is_err());
        for bad in
            ["*", "null", "https://a/", "https://a/x", "https://A", "ftp://a", "https://u@a", "a.example", ""]
        {
            assert!(origins(&Given::List(vec![bad])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn public_urls_are_taken_apart() {
        let url = public_url(&Given::Text("https://example.org:8443/cards/")).unwrap();
        assert_eq!(
            (url.scheme, url.host.as_str(), url.prefix.as_str()),
            ("https", "example.org:8443", "/cards")
        );
        assert_eq!(public_url(&Given::Text("http://example.org")).unwrap().prefix, "");
        for bad in
            ["example.org", "ftp://example.org/", "https://u:p@example.org/", "https://example.org/?x", "/x"]
        {
            assert!(public_url(&Given::Text(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_key_appears_once_and_its_section_is_in_one_piece() {
        let mut seen = std::collections::HashSet::new();
        assert!(keys().all(|key| seen.insert((key.section, key.name))));
        let mut sections: Vec<_> = keys().map(|key| key.section).collect();
        sections.dedup();
        let distinct: std::collections::HashSet<_> = sections.iter().collect();
        assert_eq!(distinct.len(), sections.len());
    }
}
