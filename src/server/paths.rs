//! Where a path leads, and what log lines and metrics call it: a template that names nobody.

use crate::{api, dav};

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Discovery.
    WellKnown(&'static str),
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// Something that a signed-in user asks a protocol for.
    Dav { path: String, template: &'static str },
    /// Something of the API.
    Api { path: String, template: &'static str },
    /// A public link, which is a secret: no log line names it.
    Public(dav::public::Link),
    /// Nowhere.
    Other,
}

impl Route {
    /// Where `path` leads, which is percent-encoded and without the prefix.
    pub(super) fn of(path: &str) -> Self {
        if let Some(found) = well_known(path) {
            return Self::WellKnown(found);
        }
        let dav = |path: &str, template| Self::Dav { path: path.to_owned(), template };
        match path {
            "/healthz" => return Self::Health,
            "/readyz" => return Self::Ready,
            "/metrics" => return Self::Metrics,
            "/" | "" => return dav("/", "/"),
            "*" => return dav("*", "/"),
            _ => {}
        }
        // Any equivalent encoding of our own names leads to the same place (DAV-8).
        let rest = path.strip_prefix('/').unwrap_or(path);
        let (first, below) = match rest.find('/').and_then(|at| rest.split_at_checked(at)) {
            Some((first, below)) => (first, below),
            None => (rest, ""),
        };
        let first = percent_encoding::percent_decode_str(first).collect::<Vec<u8>>();
        match first.as_slice() {
            b"dav" => dav(&format!("/dav{below}"), template(below)),
            b"api" => {
                let path = format!("/api{below}");
                let template = api::template(&path);
                Self::Api { path, template }
            }
            b"principals" => dav(&format!("/principals{below}"), "/"),
            b"public" => match dav::public::Link::parse(below.strip_prefix('/').unwrap_or(below)) {
                Some(link) => Self::Public(link),
                None => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// What log lines and metrics call it: it names nobody.
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::WellKnown(template) | Self::Dav { template, .. } | Self::Api { template, .. } => template,
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::Public(_) => "/public/{token}",
            Self::Other => "other",
        }
    }
}

/// Discovery (RFC 6764 §5), with and without a slash at its end, at the root, below `/dav`, and
/// below whatever prefix a proxy left in place.
fn well_known(path: &str) -> Option<&'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (before, name) = path.split_once("/.well-known/")?;
    let deep_in_dav = before.starts_with("/dav/");
    match name {
        "carddav" if !deep_in_dav => Some("/.well-known/carddav"),
        "caldav" if !deep_in_dav => Some("/.well-known/caldav"),
        _ => None,
    }
}

/// The template of a path below `/dav`.
fn template(below: &str) -> &'static str {
    let mut parts = below.split('/').filter(|part| !part.is_empty());
    let first = parts.next();
    match (first, parts.count()) {
        (None, _) => "/dav/",
        (Some("principals"), 0 | 1) => "/dav/principals/",
        (Some("principals"), 2) => "/dav/principals/users/{user}/",
        (Some("addressbooks"), 0) => "/dav/addressbooks/",
        (Some("addressbooks"), 1) => "/dav/addressbooks/{user}/",
        (Some("addressbooks"), 2) => "/dav/addressbooks/{user}/{book}/",
        (Some("addressbooks"), 3) => "/dav/addressbooks/{user}/{book}/{card}",
        (Some("calendars"), 0) => "/dav/calendars/",
        (Some("calendars"), 1) => "/dav/calendars/{user}/",
        (Some("calendars"), 2) => "/dav/calendars/{user}/{calendar}/",
        (Some("calendars"), 3) => "/dav/calendars/{user}/{calendar}/{object}",
        _ => "/dav/other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(path: &str) -> (String, &'static str) {
        match Route::of(path) {
            Route::Dav { path, template } => (path, template),
            other => (String::new(), other.template()),
        }
    }

    #[test]
    fn discovery_is_found_wherever_it_is_asked_for() {
        for path in [
            "/.well-known/carddav",
            "/.well-known/carddav/",
            "/x/.well-known/carddav",
            "/dav/.well-known/carddav",
        ] {
            assert_eq!(Route::of(path), Route::WellKnown("/.well-known/carddav"), "{path}");
        }
        assert_eq!(Route::of("/.well-known/caldav"), Route::WellKnown("/.well-known/caldav"));
        assert_eq!(Route::of("/.well-known/other"), Route::Other);
        assert_eq!(leads("/dav/addressbooks/.well-known/carddav").1, "/dav/addressbooks/{user}/{book}/");
    }

    #[test]
    fn templates_name_nobody() {
        for (path, template) in [
            ("/", "/"),
            ("/dav", "/dav/"),
            ("/dav/", "/dav/"),
            ("/dav/principals/users/ann/", "/dav/principals/users/{user}/"),
            ("/dav/addressbooks/ann", "/dav/addressbooks/{user}/"),
            ("/dav/addressbooks/ann/contacts/", "/dav/addressbooks/{user}/{book}/"),
            ("/dav/addressbooks/ann/contacts/x%2Fy.vcf", "/dav/addressbooks/{user}/{book}/{card}"),
            ("/dav/addressbooks/ann/contacts/x/y", "/dav/other"),
            ("/dav/calendars/ann/calendar/x.ics", "/dav/calendars/{user}/{calendar}/{object}"),
            ("/favicon.ico", "other"),
            ("/davx", "other"),
            ("/healthz", "/healthz"),
            ("/public/abcd2345.ics", "/public/{token}"),
            ("/public/abcd2345.txt", "other"),
        ] {
            assert_eq!(leads(path).1, template, "{path}");
        }
    }

    #[test]
    fn our_own_names_may_be_percent_encoded() {
        assert_eq!(leads("/%64av/addressbooks/a%20b").0, "/dav/addressbooks/a%20b");
        assert_eq!(leads("/principals").0, "/principals");
    }
}
