//! Reads a request's XML into a small tree, whatever its encoding, prefixes and layout, and refuses
//! what is not well-formed or out of all bounds (DAV-3 to DAV-5; RFC 4918 §8.2, §20.6). Knows
//! nothing of what the elements mean.

use std::borrow::Cow;
use std::collections::HashMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::name::{Ns, is_ncname};

/// How deep elements may nest.
const MAX_DEPTH: usize = 32;
/// How many elements a body may hold: a multiget of 50,000 cards and room to spare (CARD-53).
const MAX_ELEMENTS: usize = 200_000;
/// How many attributes one element may have.
const MAX_ATTRIBUTES: usize = 32;
/// How many namespaces may be declared in one body altogether.
const MAX_DECLARATIONS: usize = 1_024;
/// How long a namespace's URI and a name may be; both are copied for every element and are written
/// again for every resource of an answer.
const MAX_NAME: usize = 1_024;

/// Why a body was not read; 400 in each case but the first, which some methods allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadXml {
    /// There is no body.
    #[error("the body is empty")]
    Empty,
    /// Not well-formed, a name without a namespace binding, or another encoding than it says.
    #[error("the body is not well-formed XML")]
    Malformed,
    /// A document type or an entity of its own (DAV-5).
    #[error("document types and entities are not accepted")]
    Doctype,
    /// Deeper or more than allowed.
    #[error("the XML is too deep or too large")]
    TooLarge,
    /// Well-formed, but not what was to be there: another root, a missing or senseless element.
    #[error("the XML is not what this request needs")]
    Unexpected,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its namespace; unprefixed attributes have none.
    pub ns: Ns,
    /// Its name as written, with its prefix.
    pub qname: Box<str>,
    /// Its value, unescaped.
    pub value: Box<str>,
}

impl Attribute {
    /// Its name without prefix.
    pub fn local(&self) -> &str {
        local_of(&self.qname)
    }

    /// The prefix that it declares (empty for the default), if it is a namespace declaration.
    pub fn declares(&self) -> Option<&str> {
        match &*self.qname {
            "xmlns" => Some(""),
            name => name.strip_prefix("xmlns:"),
        }
    }
}

/// What an element holds, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child {
    /// An element.
    Element(Element),
    /// Text, unescaped; runs are joined.
    Text(String),
}

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its namespace.
    pub ns: Ns,
    /// Its name as written, with its prefix.
    pub qname: Box<str>,
    /// Its attributes, namespace declarations among them.
    pub attributes: Vec<Attribute>,
    /// What it holds.
    pub children: Vec<Child>,
}

impl Element {
    /// Its name without prefix.
    pub fn local(&self) -> &str {
        local_of(&self.qname)
    }

    /// Whether it has that name.
    pub fn is(&self, ns: &Ns, local: &str) -> bool {
        self.ns == *ns && self.local() == local
    }

    /// The elements in it.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|child| match child {
            Child::Element(element) => Some(element),
            Child::Text(_) => None,
        })
    }

    /// The first element of that name in it.
    pub fn child(&self, ns: &Ns, local: &str) -> Option<&Element> {
        self.elements().find(|element| element.is(ns, local))
    }

    /// The text directly in it.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.children.iter().filter_map(|child| match child {
            Child::Text(text) => Some(text.as_str()),
            Child::Element(_) => None,
        });
        match (texts.next(), texts.next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(only), None) => Cow::Borrowed(only),
            (Some(a), Some(b)) => Cow::Owned([a, b].into_iter().chain(texts).collect()),
        }
    }

    /// The value of its attribute of that name without a namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.ns == Ns::None && &*a.qname == local).map(|a| &*a.value)
    }
}

/// Reads a whole body; its root element.
pub fn parse(body: &[u8]) -> Result<Element, BadXml> {
    let text = decode(body)?;
    if text.trim_ascii().is_empty() {
        return Err(BadXml::Empty);
    }
    if !text.chars().all(is_xml_char) {
        return Err(BadXml::Malformed);
    }
    Builder::default().build(&text)
}

/// The body as text without a byte order mark: UTF-8, or what its mark or its declaration says.
fn decode(body: &[u8]) -> Result<Cow<'_, str>, BadXml> {
    let (encoding, mark) = match encoding_rs::Encoding::for_bom(body) {
        Some(found) => found,
        None => (declared(body)?, 0),
    };
    let rest = body.get(mark..).unwrap_or_default();
    encoding.decode_without_bom_handling_and_without_replacement(rest).ok_or(BadXml::Malformed)
}

/// The encoding that the XML declaration names; UTF-8 without one.
fn declared(body: &[u8]) -> Result<&'static encoding_rs::Encoding, BadXml> {
    let head = body.get(..body.len().min(200)).unwrap_or_default();
    let declaration = match memchr::memmem::find(head, b"?>") {
        Some(end) if head.starts_with(b"<?xml") => head.get(..end).unwrap_or_default(),
        _ => return Ok(encoding_rs::UTF_8),
    };
    let Some(at) = memchr::memmem::find(declaration, b"encoding") else {
        return Ok(encoding_rs::UTF_8);
    };
    let mut value = declaration.get(at..).unwrap_or_default().split(|&b| b == b'"' || b == b'\'');
    let label = value.nth(1).unwrap_or_default();
    match encoding_rs::Encoding::for_label(label).ok_or(BadXml::Malformed)? {
        // UTF-16 must have a byte order mark (XML 1.0 §4.3.3), and a declaration that can be read
        // byte by byte is not in UTF-16.
        e if e == encoding_rs::UTF_16LE || e == encoding_rs::UTF_16BE => Ok(encoding_rs::UTF_8),
        e => Ok(e),
    }
}

/// XML 1.0 §2.2.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn local_of(qname: &str) -> &str {
    qname.split_once(':').map_or(qname, |(_, local)| local)
}

/// Builds the tree from the tokenizer's events, and counts.
#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    declarations: usize,
    /// One copy of each namespace, by its URI as it was declared, however often it is used.
    known: HashMap<Box<str>, Ns>,
}

impl Builder {
    fn build(mut self, text: &str) -> Result<Element, BadXml> {
        let mut reader = NsReader::from_str(text);
        reader.resolver_mut().set_max_namespace_bindings(4 * MAX_ATTRIBUTES);
        reader.config_mut().check_comments = true;
        loop {
            match reader.read_event().map_err(|_| BadXml::Malformed)? {
                Event::Start(start) => {
                    let element = self.element(&reader, &start)?;
                    self.open.push(element);
                }
                Event::Empty(start) => {
                    let element = self.element(&reader, &start)?;
                    self.close(element)?;
                }
                Event::End(_) => {
                    let element = self.open.pop().ok_or(BadXml::Malformed)?;
                    self.close(element)?;
                }
                Event::Text(text) => self.text(&text.xml10_content())?,
                Event::CData(_) if self.open.is_empty() => return Err(BadXml::Malformed),
                Event::CData(text) => self.text(&text.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let name: &str = &reference;
                    match reference.resolve_char_ref().map_err(|_| BadXml::Malformed)? {
                        Some(c) if is_xml_char(c) && !self.open.is_empty() => {
                            self.text(c.encode_utf8(&mut [0; 4]))?;
                        }
                        Some(_) => return Err(BadXml::Malformed),
                        None => {
                            let text = quick_xml::escape::resolve_xml_entity(name).ok_or(BadXml::Doctype)?;
                            self.text(text)?;
                        }
                    }
                }
                Event::DocType(_) => return Err(BadXml::Doctype),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::Eof => break,
            }
        }
        match (self.open.is_empty(), self.root) {
            (true, Some(root)) => Ok(root),
            _ => Err(BadXml::Malformed),
        }
    }

    fn element(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, BadXml> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS || self.open.len() >= MAX_DEPTH {
            return Err(BadXml::TooLarge);
        }
        let resolver = reader.resolver();
        let name = start.name();
        let ns = self.namespace(resolver.resolve_element(name).0)?;
        let qname = checked(name.0)?;
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| BadXml::Malformed)?;
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(BadXml::TooLarge);
            }
            let qname = checked(attribute.key.0)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| BadXml::Malformed)?;
            if !value.chars().all(is_xml_char) || attribute.value.contains('<') {
                return Err(BadXml::Malformed);
            }
            let ns = if attribute.key.as_namespace_binding().is_some() {
                self.declarations += 1;
                // A prefix cannot be unbound (Namespaces in XML 1.0 §2.2).
                if value.is_empty() && attribute.key.prefix().is_some() {
                    return Err(BadXml::Malformed);
                }
                Ns::None
            } else {
                self.namespace(resolver.resolve_attribute(attribute.key).0)?
            };
            attributes.push(Attribute { ns, qname, value: value.into() });
        }
        match self.declarations > MAX_DECLARATIONS {
            true => Err(BadXml::TooLarge),
            false => Ok(Element { ns, qname, attributes, children: Vec::new() }),
        }
    }

    fn namespace(&mut self, found: ResolveResult<'_>) -> Result<Ns, BadXml> {
        // The resolver hands the declaration out as it was written.
        let declared = match found {
            ResolveResult::Unbound => return Ok(Ns::None),
            ResolveResult::Unknown(_) => return Err(BadXml::Malformed),
            ResolveResult::Bound(ns) => ns.0,
        };
        if declared.len() > MAX_NAME {
            return Err(BadXml::TooLarge);
        }
        if let Some(known) = self.known.get(declared) {
            return Ok(known.clone());
        }
        let uri = quick_xml::escape::unescape(declared).map_err(|_| BadXml::Malformed)?;
        let ns = Ns::of(&uri);
        self.known.insert(declared.into(), ns.clone());
        Ok(ns)
    }

    fn close(&mut self, mut element: Element) -> Result<(), BadXml> {
        // Most elements hold one text, and a growing list begins with room for four.
        element.children.shrink_to_fit();
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Child::Element(element)),
            None if self.root.is_some() => return Err(BadXml::Malformed),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), BadXml> {
        match self.open.last_mut() {
            None if text.trim_ascii().is_empty() => {}
            None => return Err(BadXml::Malformed),
            Some(parent) => match parent.children.last_mut() {
                Some(Child::Text(before)) => before.push_str(text),
                _ => parent.children.push(Child::Text(text.to_owned())),
            },
        }
        Ok(())
    }
}

/// A qualified name of which both parts are names.
fn checked(qname: &str) -> Result<Box<str>, BadXml> {
    if qname.len() > MAX_NAME {
        return Err(BadXml::TooLarge);
    }
    let good = match qname.split_once(':') {
        Some((prefix, local)) => is_ncname(prefix) && is_ncname(local),
        None => is_ncname(qname),
    };
    good.then(|| qname.into()).ok_or(BadXml::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_told_by_namespace() {
        for body in [
            "<D:propfind xmlns:D='DAV:'><D:prop/></D:propfind>",
            "<propfind xmlns='DAV:'><prop/></propfind>",
            "<?xml version='1.0'?>\n<!-- c --><x:propfind xmlns:x=\"DAV:\"><prop xmlns='DAV:'></prop></x:propfind>\n",
        ] {
            let root = parse(body.as_bytes()).unwrap();
            assert!(root.is(&Ns::Dav, "propfind"), "{body}");
            assert!(root.child(&Ns::Dav, "prop").is_some(), "{body}");
        }
        let other = parse(b"<prop xmlns='dav:' a='1&amp;2'>x&#x41;&lt;<![CDATA[<&]]></prop>").unwrap();
        assert_eq!(other.ns.uri(), "dav:");
        assert_eq!(other.attribute("a"), Some("1&2"));
        assert_eq!(other.text(), "xA<<&");
    }

    #[test]
    fn encodings_are_read_as_they_say() {
        let body = "<?xml version=\"1.0\" encoding=\"utf-16\"?><a>ü€</a>";
        let mut utf16 = vec![0xff, 0xfe];
        utf16.extend(body.encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(parse(&utf16).unwrap().text(), "ü€");
        assert_eq!(parse(b"\xef\xbb\xbf<a>\xc3\xbc</a>").unwrap().text(), "ü");
        let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xfc</a>";
        assert_eq!(parse(latin).unwrap().text(), "ü");
        assert_eq!(parse(b"<a>\xfc</a>"), Err(BadXml::Malformed));
        let unknown = b"<?xml version='1.0' encoding='klingon'?><a/>";
        assert_eq!(parse(unknown), Err(BadXml::Malformed));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        assert_eq!(parse(b""), Err(BadXml::Empty));
        assert_eq!(parse(b" \r\n"), Err(BadXml::Empty));
        for bad in [
            "hello",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "x<a/>",
            "<D:a/>",
            "<a x:y='1'/>",
            "<a b=1/>",
            "<a b='1' b='2'/>",
            "<a xmlns:p=''/>",
            "<a>&#0;</a>",
            "<a>&#1;</a>",
            "<a>\u{1}</a>",
            "<1a/>",
            "<a\"/>",
            "<a:b:c xmlns:a='x'/>",
            "</a>",
            "<a b='<'/>",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(BadXml::Malformed), "{bad}");
        }
        for bad in [
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
            "<a>&b;</a>",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(BadXml::Doctype), "{bad}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
        assert_eq!(parse(deep.as_bytes()), Err(BadXml::TooLarge));
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
        assert_eq!(parse(many.as_bytes()), Err(BadXml::TooLarge));
        let hrefs = format!("<a>{}</a>", "<b>/dav/x</b>".repeat(50_000));
        assert_eq!(parse(hrefs.as_bytes()).unwrap().elements().count(), 50_000);
        let wide: String = (0..40).map(|i| format!(" a{i}='1'")).collect();
        assert_eq!(parse(format!("<a{wide}/>").as_bytes()), Err(BadXml::TooLarge));
    }

    #[test]
    fn names_are_bounded_and_each_namespace_is_held_once() {
        let long = "n".repeat(MAX_NAME + 1);
        for bad in [
            format!("<a xmlns='{long}'/>"),
            format!("<a xmlns:p='{long}'><p:b/></a>"),
            format!("<{long}/>"),
            format!("<a {long}='1'/>"),
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(BadXml::TooLarge));
        }
        let uri = "u".repeat(MAX_NAME);
        let declared: String = (0..20).map(|i| format!(" xmlns:p{i}='{}{i}'", &uri[2..])).collect();
        let used: String = (0..2_000).map(|i| format!("<p{}:x/>", i % 20)).collect();
        let root = parse(format!("<a{declared}>{used}</a>").as_bytes()).unwrap();
        let held: std::collections::HashSet<*const u8> =
            root.elements().map(|element| element.ns.uri().as_ptr()).collect();
        assert_eq!(held.len(), 20);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }

        #[test]
        fn no_markup_makes_it_panic(body in "[<>/a:x='\"& ;#!\\[\\]?-]{0,60}") {
            let _ = parse(body.as_bytes());
        }
    }
}
