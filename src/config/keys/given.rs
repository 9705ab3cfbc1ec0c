//! How a value is read, as it was given in the file or in the environment.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Given;
use crate::config::secret::KeyBytes;
use crate::config::{LogFormat, PublicUrl};
use crate::domain::contact::MarkAs;
use crate::domain::phone::Region;

pub(in crate::config) fn marks(given: &Given) -> Result<MarkAs, String> {
    match text(given)? {
        "category" => Ok(MarkAs::Category),
        "note" => Ok(MarkAs::Note),
        "off" => Ok(MarkAs::Off),
        _ => Err("the value must be \"category\", \"note\" or \"off\"".to_owned()),
    }
}

pub(in crate::config) fn text<'a>(given: &Given<'a>) -> Result<&'a str, String> {
    match given {
        Given::Text(text) | Given::Word(text) => Ok(text),
        Given::Number(_) | Given::Switch(_) | Given::List(_) => {
            Err("the value must be a text in quotes".to_owned())
        }
    }
}

pub(in crate::config) fn filled<'a>(given: &Given<'a>) -> Result<&'a str, String> {
    match text(given)?.trim() {
        "" => Err("the value is empty".to_owned()),
        text => Ok(text),
    }
}

pub(in crate::config) fn path(given: &Given) -> Result<PathBuf, String> {
    filled(given).map(PathBuf::from)
}

pub(in crate::config) fn master_key(given: &Given) -> Result<KeyBytes, String> {
    KeyBytes::from_hex(text(given)?.as_bytes())
        .ok_or_else(|| "the value must be 64 hexadecimal digits".to_owned())
}

pub(in crate::config) fn switch(given: &Given) -> Result<bool, String> {
    match given {
        Given::Switch(switch) => Ok(*switch),
        Given::Word("true" | "1" | "yes") => Ok(true),
        Given::Word("false" | "0" | "no") => Ok(false),
        _ => Err("the value must be true or false".to_owned()),
    }
}

pub(in crate::config) fn number(given: &Given, least: usize, most: usize) -> Result<usize, String> {
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

pub(in crate::config) fn region(given: &Given) -> Result<Region, String> {
    Region::parse(text(given)?)
        .ok_or_else(|| "the value must be a region's two capital letters of ISO 3166, like DE".to_owned())
}

pub(in crate::config) fn format(given: &Given) -> Result<LogFormat, String> {
    match text(given)? {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("the value must be json or text".to_owned()),
    }
}

pub(in crate::config) fn level(given: &Given) -> Result<tracing::Level, String> {
    text(given)?.parse().map_err(|_| "the value must be error, warn, info, debug or trace".to_owned())
}

/// Origins as browsers write them (RFC 6454 §6.1): no `*`, which would be every page there is.
pub(in crate::config) fn origins(given: &Given) -> Result<Vec<String>, String> {
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

pub(in crate::config) fn public_url(given: &Given) -> Result<PublicUrl, String> {
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
pub(in crate::config) fn duration(given: &Given) -> Result<Duration, String> {
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
}
