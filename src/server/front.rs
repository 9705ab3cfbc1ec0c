//! How the client sees the server: scheme, host, path prefix and the client's own address, from the
//! connection, or behind a proxy from its forwarded headers (HTTP-23; RFC 7239). Knows no route.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HOST};
use http::request::Parts;
use http::{HeaderMap, Version};

use crate::config;
use crate::dav;

/// What a request's head says of the way it came.
pub struct Arrival {
    /// What links in answers begin with.
    pub front: dav::Front,
    /// Who is asking, as far as addresses tell.
    pub client: IpAddr,
    /// The path that was asked for, without the prefix, still percent-encoded.
    pub path: String,
}

impl Arrival {
    /// The same arrival, with the path spelt our way.
    pub fn with_path(self, path: String) -> Self {
        Self { path, ..self }
    }
}

/// The request's head is not one that HTTP allows.
#[derive(Debug, PartialEq, Eq)]
pub struct BadHead(pub &'static str);

/// Reads the head of a request that came from `peer`.
pub fn arrival(
    head: &Parts,
    peer: SocketAddr,
    encrypted: bool,
    server: &config::Server,
) -> Result<Arrival, BadHead> {
    let mut front = dav::Front {
        prefix: String::new(),
        host: host(head)?,
        scheme: if encrypted { "https" } else { "http" },
    };
    let mut client = peer.ip().to_canonical();
    if server.behind_proxy {
        let told = Forwarded::read(&head.headers);
        if let Some(public) = &server.public_url {
            front.scheme = public.scheme;
            front.host = Some(public.host.clone());
            front.prefix.clone_from(&public.prefix);
        }
        front.scheme = told.scheme.unwrap_or(front.scheme);
        front.host = told.host.or(front.host);
        front.prefix = told.prefix.unwrap_or(front.prefix);
        client = told.client.unwrap_or(client);
    }
    let path = without_prefix(head.uri.path(), &front.prefix).to_owned();
    Ok(Arrival { front, client, path })
}

/// The authority that the client used. HTTP/1.1 demands exactly one `Host` (RFC 9112 §3.2).
fn host(head: &Parts) -> Result<Option<String>, BadHead> {
    let mut named = head.headers.get_all(HOST).iter();
    let first = named.next();
    if named.next().is_some() {
        return Err(BadHead("the request has more than one Host header"));
    }
    if first.is_none() && head.version == Version::HTTP_11 {
        return Err(BadHead("the request has no Host header"));
    }
    if let Some(authority) = head.uri.authority() {
        return authority_of(authority.as_str());
    }
    match first.map(|value| value.to_str()) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(text)) => authority_of(text),
        Some(Err(_)) => Err(BadHead("the Host header is not a host")),
    }
}

fn authority_of(text: &str) -> Result<Option<String>, BadHead> {
    match is_authority(text) {
        true => Ok(Some(text.to_owned())),
        false => Err(BadHead("the Host header is not a host")),
    }
}

/// Host and port and nothing else: it is written into links.
fn is_authority(text: &str) -> bool {
    !text.contains('@') && text.parse::<http::uri::Authority>().is_ok()
}

/// What the proxy nearest to us says; a header that came several times counts from its last value,
/// which that proxy wrote.
#[derive(Default)]
struct Forwarded {
    scheme: Option<&'static str>,
    host: Option<String>,
    prefix: Option<String>,
    client: Option<IpAddr>,
}

impl Forwarded {
    fn read(headers: &HeaderMap) -> Self {
        let mut told = Self::default();
        if let Some(element) = last(headers, FORWARDED.as_str()) {
            for pair in element.split(';') {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => told.client = address(value),
                    "proto" => told.scheme = scheme(value),
                    "host" => told.host = Some(value).filter(|v| is_authority(v)).map(Into::into),
                    _ => {}
                }
            }
        }
        let own = |name| last(headers, name);
        told.client = own("x-forwarded-for").and_then(address).or(told.client);
        told.scheme = own("x-forwarded-proto").and_then(scheme).or(told.scheme);
        told.host =
            own("x-forwarded-host").filter(|value| is_authority(value)).map(str::to_owned).or(told.host);
        told.prefix = own("x-forwarded-prefix").and_then(prefix);
        told
    }
}

/// The last element of a header that is a list.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    let element = value.rsplit(',').next()?.trim();
    (!element.is_empty()).then_some(element)
}

fn scheme(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Some("https"),
        "http" => Some("http"),
        _ => None,
    }
}

/// `192.0.2.1`, `192.0.2.1:99`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:99`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_matches(['[', ']']).parse::<IpAddr>())
        .ok()
        .map(|ip| ip.to_canonical())
}

/// `/x` or `/x/y`, of characters that need no quoting in a link; anything else is not believed.
fn prefix(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    let sound = text.is_empty() || text.starts_with('/');
    let safe = text.bytes().all(plain) && !text.contains("//") && !text.contains("/.");
    (sound && safe).then(|| text.to_owned())
}

/// The path below the prefix. Proxies strip the prefix or leave it; a path that is one of ours as
/// it stands was stripped already.
fn without_prefix<'a>(path: &'a str, prefix: &str) -> &'a str {
    if prefix.is_empty() || path.starts_with("/dav/") && prefix == "/dav" {
        return path;
    }
    match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn arrive(behind_proxy: bool, path: &str, headers: &[(&str, &str)]) -> Arrival {
        let mut config = Config::default();
        config.server.behind_proxy = behind_proxy;
        let mut request = http::Request::builder().uri(path).header("host", "inner:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        arrival(&head, peer, false, &config.server).unwrap()
    }

    const TOLD: &[(&str, &str)] = &[
        ("x-forwarded-for", "203.0.113.7, 192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "contacts.example.org"),
        ("x-forwarded-prefix", "/cards/"),
    ];

    #[test]
    fn forwarded_headers_count_behind_a_proxy() {
        let came = arrive(true, "/cards/dav/x%20y", TOLD);
        assert_eq!(came.front.scheme, "https");
        assert_eq!(came.front.host.as_deref(), Some("contacts.example.org"));
        assert_eq!(came.front.prefix, "/cards");
        assert_eq!(came.path, "/dav/x%20y");
        assert_eq!(came.client, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(arrive(true, "/dav/", TOLD).path, "/dav/", "a proxy that strips");
        assert_eq!(arrive(true, "/cards", TOLD).path, "/");
        assert_eq!(arrive(true, "/cardsharp", TOLD).path, "/cardsharp");
    }

    #[test]
    fn forwarded_headers_count_for_nothing_without_a_proxy() {
        let came = arrive(false, "/cards/dav/", TOLD);
        assert_eq!(came.front.scheme, "http");
        assert_eq!(came.front.host.as_deref(), Some("inner:8080"));
        assert_eq!(came.front.prefix, "");
        assert_eq!(came.path, "/cards/dav/");
        assert!(came.client.is_loopback());
    }

    #[test]
    fn the_standard_header_is_read_too() {
        let value = "for=192.0.2.60, For=\"[2001:db8::1]:4711\";proto=HTTPS; host=a.example";
        let came = arrive(true, "/", &[("forwarded", value)]);
        assert_eq!(came.client, "2001:db8::1".parse::<IpAddr>().unwrap());
        assert_eq!(came.front.scheme, "https");
        assert_eq!(came.front.host.as_deref(), Some("a.example"));
    }

    #[test]
    fn what_could_break_a_link_is_not_believed() {
        for bad in ["x", "/a b", "/a\"b", "//evil.example", "/a/../b", "/%2e"] {
            assert_eq!(prefix(bad), None, "{bad}");
        }
        let came = arrive(true, "/", &[("x-forwarded-host", "a/b"), ("x-forwarded-for", "unknown")]);
        assert_eq!(came.front.host.as_deref(), Some("inner:8080"));
        assert!(came.client.is_loopback());
    }

    #[test]
    fn exactly_one_host_is_demanded() {
        let config = Config::default();
        let read = |request: http::request::Builder| {
            let (head, ()) = request.body(()).unwrap().into_parts();
            let peer = SocketAddr::from(([127, 0, 0, 1], 9));
            arrival(&head, peer, false, &config.server).map(|came| came.front.host)
        };
        let request = || http::Request::builder().uri("/");
        assert!(read(request()).is_err());
        assert!(read(request().header("host", "a").header("host", "b")).is_err());
        assert!(read(request().header("host", "u@a")).is_err());
        assert_eq!(read(request().version(Version::HTTP_10)), Ok(None));
        assert_eq!(
            read(http::Request::builder().uri("http://a:1/").header("host", "b")),
            Ok(Some("a:1".into()))
        );
    }
}
