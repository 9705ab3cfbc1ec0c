//! Writes XML into one growing buffer that can be taken away in pieces. Prefixes are constants,
//! `D:`, `C:`, `CS:`, bound once at the root of every document. RFC 4918 §8.2, §14.

use std::fmt;
use std::io::Write as _;

use bytes::Bytes;

use crate::service::view::{Property, PropertyName, PropertyValue};

use super::name::{Ns, is_ncname};

/// The first bytes of every document.
const PROLOGUE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
/// What every root element declares.
const DECLARATIONS: &str = " xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\" xmlns:CS=\"http://calendarserver.org/ns/\" xmlns:CAL=\"urn:ietf:params:xml:ns:caldav\">";

/// A document being written.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    /// A document with that root (`D:multistatus`), still open.
    pub fn document(root: &'static str, room: usize) -> Self {
        let mut writer = Self { buffer: Vec::with_capacity(room + 200) };
        writer.raw(PROLOGUE);
        writer.raw("<");
        writer.raw(root);
        writer.raw(DECLARATIONS);
        writer
    }

    /// How much is written and not taken.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing is there to be taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Forgets what was written after the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.buffer.truncate(length);
    }

    /// Takes what is written, and goes on with an empty buffer.
    pub fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.buffer))
    }

    /// Writes what another document's part holds.
    pub fn append(&mut self, part: &[u8]) {
        self.buffer.extend_from_slice(part);
    }

    /// Writes markup, or text that is known to need no escapes.
    pub fn raw(&mut self, markup: &str) {
        self.buffer.extend_from_slice(markup.as_bytes());
    }

    /// Writes what displays as text that needs no escapes: numbers, dates, ids.
    pub fn plain(&mut self, value: impl fmt::Display) {
        // Writing into a vector does not fail.
        let _ = write!(self.buffer, "{value}");
    }

    /// Writes text. Carriage returns are kept by a character reference (CARD-54). Cards are most of
    /// what is ever written here, so clean stretches are found by vector search.
    pub fn text(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let Some((clean, tail)) =
            memchr::memchr3(b'&', b'<', b'\r', rest).and_then(|at| rest.split_at_checked(at))
        {
            self.without_ends(clean);
            let Some((special, tail)) = tail.split_first() else {
                break;
            };
            self.raw(match special {
                b'&' => "&amp;",
                b'<' => "&lt;",
                _ => "&#13;",
            });
            rest = tail;
        }
        self.without_ends(rest);
    }

    /// Writes text in which `>` alone may need an escape.
    fn without_ends(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some((clean, tail)) = memchr::memchr(b'>', rest).and_then(|at| rest.split_at_checked(at)) {
            self.buffer.extend_from_slice(clean);
            self.raw("&gt;");
            rest = tail.get(1..).unwrap_or_default();
        }
        self.buffer.extend_from_slice(rest);
    }

    /// Writes an attribute's value, without its quotes, so that normalisation keeps it as it is.
    pub fn attribute(&mut self, value: &str) {
        self.escaped(value, |b| match b {
            b'&' => Some("&amp;"),
            b'<' => Some("&lt;"),
            b'>' => Some("&gt;"),
            b'"' => Some("&quot;"),
            b'\t' => Some("&#9;"),
            b'\n' => Some("&#10;"),
            b'\r' => Some("&#13;"),
            _ => None,
        });
    }

    fn escaped(&mut self, text: &str, escape: impl Fn(u8) -> Option<&'static str>) {
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|&b| b <= b'>' && escape(b).is_some()) {
            let Some((clean, tail)) = rest.split_at_checked(at) else {
                break;
            };
            self.buffer.extend_from_slice(clean);
            let Some((&special, tail)) = tail.split_first() else {
                break;
            };
            self.raw(escape(special).unwrap_or_default());
            rest = tail;
        }
        self.buffer.extend_from_slice(rest);
    }

    /// Writes a property that a client stored.
    pub fn property(&mut self, property: &Property) {
        match &property.value {
            PropertyValue::Xml(element) => self.raw(element),
            PropertyValue::Text { text, lang } => {
                let tag = Tag::of(&property.name);
                tag.open(self, lang.as_deref());
                self.text(text);
                tag.close(self);
            }
        }
    }
}

/// How a property's element is written: a constant prefix where its namespace has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    name: Box<str>,
    namespace: Option<Box<str>>,
}

impl Tag {
    /// The tag of that name.
    pub fn of(name: &PropertyName) -> Self {
        // Names come from documents that were read, so they are names; what is stored is not
        // trusted with breaking an answer.
        let local = match is_ncname(&name.local) {
            true => name.local.as_str(),
            false => "unreadable",
        };
        let ns = Ns::of(&name.namespace);
        match (ns.prefix(), &ns) {
            (Some(prefix), _) => Self { name: format!("{prefix}:{local}").into(), namespace: None },
            (None, Ns::None) => Self { name: local.into(), namespace: None },
            (None, _) => Self { name: format!("x:{local}").into(), namespace: Some(ns.uri().into()) },
        }
    }

    /// Writes the start tag.
    pub fn open(&self, out: &mut Writer, lang: Option<&str>) {
        self.start(out);
        if let Some(lang) = lang {
            out.raw(" xml:lang=\"");
            out.attribute(lang);
            out.raw("\"");
        }
        out.raw(">");
    }

    /// Writes the end tag.
    pub fn close(&self, out: &mut Writer) {
        out.raw("</");
        out.raw(&self.name);
        out.raw(">");
    }

    /// Writes the element without content.
    pub fn empty(&self, out: &mut Writer) {
        self.start(out);
        out.raw("/>");
    }

    fn start(&self, out: &mut Writer) {
        out.raw("<");
        out.raw(&self.name);
        if let Some(namespace) = &self.namespace {
            out.raw(" xmlns:x=\"");
            out.attribute(namespace);
            out.raw("\"");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::name::{CARD, CS, DAV};
    use super::super::read::parse;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn constants_bind_what_is_read() {
        let mut out = Writer::document("D:multistatus", 0);
        out.raw("<C:a/><CS:b/></D:multistatus>");
        let root = parse(&out.take()).unwrap();
        assert_eq!(root.ns.uri(), DAV);
        let inner: Vec<_> = root.elements().map(|e| e.ns.uri().to_owned()).collect();
        assert_eq!(inner, [CARD, CS]);
    }

    #[test]
    fn tags_declare_what_is_not_constant() {
        let mut out = Writer::default();
        for (namespace, local) in [("DAV:", "a"), ("", "b"), ("u:\"&", "c")] {
            Tag::of(&PropertyName { namespace: namespace.into(), local: local.into() }).empty(&mut out);
        }
        assert_eq!(out.take(), "<D:a/><b/><x:c xmlns:x=\"u:&quot;&amp;\"/>");
    }

    proptest! {
        #[test]
        fn text_and_attributes_round_trip(text in "[ -~\t\n\r<>&\"'äß€😀]{0,40}") {
            let mut out = Writer::default();
            out.raw("<a b=\"");
            out.attribute(&text);
            out.raw("\">");
            out.text(&text);
            out.raw("</a>");
            let root = parse(&out.take()).unwrap();
            prop_assert_eq!(root.attribute("b"), Some(text.as_str()));
            prop_assert_eq!(root.text(), text);
        }
    }
}
