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
/// CalDAV's namespace (RFC 4791 §4): principals have properties of it.
pub const CAL: &str = "urn:ietf:params:xml:ns:caldav";
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
    /// CalDAV's.
    Cal,
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
            CAL => Self::Cal,
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
            Self::Cal => CAL,
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
            Self::Cal => Some("CAL"),
            Self::Xml => Some("xml"),
            Self::None | Self::Other(_) => None,
        }
    }
}

/// The name of a property whose element is in `ns` and is called `local`.
pub fn property_name(ns: &Ns, local: &str) -> PropertyName {
    PropertyName { namespace: ns.uri().to_owned(), local: local.to_owned() }
}

/// Whether `text` is an NCName (Namespaces in XML 1.0 §3), so that writing it never breaks a document.
pub fn is_ncname(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// XML 1.0 §2.3 without the colon.
fn is_name_start(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c,
            '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_their_uris() {
        for uri in ["", DAV, CARD, CS, CAL, XML, "http://apple.com/ns/ical/"] {
            assert_eq!(Ns::of(uri).uri(), uri);
        }
        assert_eq!(Ns::of("a"), Ns::of("a"));
        assert_ne!(Ns::of("dav:"), Ns::Dav);
    }

    #[test]
    fn names_that_could_break_a_document_are_none() {
        for good in ["a", "_x", "address-data", "é", "a.1", "a\u{301}", "名"] {
            assert!(is_ncname(good), "{good}");
        }
        for bad in [
            "",
            "1a",
            "-a",
            "a b",
            "a>b",
            "a\"",
            "a:b",
            "a/b",
            "a&",
            ".a",
            "a\u{202e}",
            "\u{301}a",
            "a\u{d7}",
            "a\u{2028}",
        ] {
            assert!(!is_ncname(bad), "{bad}");
        }
    }
}
