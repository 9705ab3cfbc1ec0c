//! Names of XML elements: a namespace by its URI, never by its prefix (DAV-3), and a local name.
//! Knows no protocol but the URIs that this server speaks. RFC 4918 §17, RFC 6352 §10.

use std::sync::Arc;

use crate::service::view::PropertyName;

/// `DAV:`.
pub const DAV: &str = "DAV:";
/// CardDAV's namespace (RFC 6352 §4).
pub const CARD: &str = "urn:ietf:params:xml:ns:carddav";
/// The calendarserver.org extensions' namespace.
pub const CS: &str = "http://calendarserver.org/ns/";
/// The namespace that `xml:` is always bound to.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A namespace; the usual ones cost nothing to hold and to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ns {
    /// No namespace.
    None,
    /// `DAV:`
    Dav,
    /// CardDAV's.
    Card,
    /// calendarserver.org's.
    Cs,
    /// The one of `xml:`.
    Xml,
    /// Any other.
    Other(Arc<str>),
}

impl Ns {
    /// The namespace with that URI.
    pub fn of(uri: &str) -> Self {
        match uri {
            "" => Self::None,
            DAV => Self::Dav,
            CARD => Self::Card,
            CS => Self::Cs,
            XML => Self::Xml,
            other => Self::Other(other.into()),
        }
    }

    /// Its URI; empty for none.
    pub fn uri(&self) -> &str {
        match self {
            Self::None => "",
            Self::Dav => DAV,
            Self::Card => CARD,
            Self::Cs => CS,
            Self::Xml => XML,
            Self::Other(uri) => uri,
        }
    }

    /// The prefix that every answer binds it to at its root, where there is one.
    pub fn prefix(&self) -> Option<&'static str> {
        match self {
            Self::Dav => Some("D"),
            Self::Card => Some("C"),
            Self::Cs => Some("CS"),
            Self::Xml => Some("xml"),
            Self::None | Self::Other(_) => None,
        }
    }
}

/// The name of a property whose element is in `ns` and is called `local`.
pub fn property_name(ns: &Ns, local: &str) -> PropertyName {
    PropertyName { namespace: ns.uri().to_owned(), local: local.to_owned() }
}

/// Whether `text` is an NCName, near enough that writing it can never break a document: XML 1.0's
/// ASCII rules, and any character beyond ASCII.
pub fn is_ncname(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii())
        && chars.all(|c| c.is_ascii_alphanumeric() || "-._".contains(c) || !c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_their_uris() {
        for uri in ["", DAV, CARD, CS, XML, "http://apple.com/ns/ical/"] {
            assert_eq!(Ns::of(uri).uri(), uri);
        }
        assert_eq!(Ns::of("a"), Ns::of("a"));
        assert_ne!(Ns::of("dav:"), Ns::Dav);
    }

    #[test]
    fn names_that_could_break_a_document_are_none() {
        for good in ["a", "_x", "address-data", "é", "a.1"] {
            assert!(is_ncname(good), "{good}");
        }
        for bad in ["", "1a", "-a", "a b", "a>b", "a\"", "a:b", "a/b", "a&", ".a"] {
            assert!(!is_ncname(bad), "{bad}");
        }
    }
}
