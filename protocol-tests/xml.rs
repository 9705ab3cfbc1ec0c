//! A strict XML reader and a comparison of documents by meaning. Written for the tests alone, so
//! that a fault of the server's XML room cannot hide behind the same fault here.

use crate::template::{Names, fits, unknown};

/// The DAV namespace.
pub const DAV: &str = "DAV:";

/// Prefixes that short forms and expected documents may use undeclared.
pub const PREFIXES: [(&str, &str); 6] = [
    ("D", DAV),
    ("C", "urn:ietf:params:xml:ns:carddav"),
    ("CS", "http://calendarserver.org/ns/"),
    ("CAL", "urn:ietf:params:xml:ns:caldav"),
    ("ICAL", "http://apple.com/ns/ical/"),
    ("X", "http://example.com/ns/"),
];

/// An element with its names resolved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Element {
    /// `{namespace}local`.
    pub name: String,
    /// Attributes but `xmlns`, names resolved.
    pub attributes: Vec<(String, String)>,
    /// Child elements.
    pub children: Vec<Element>,
    /// All text directly inside, joined.
    pub text: String,
}

impl Element {
    /// All elements with this name, in document order, this one included.
    pub fn all<'a>(&'a self, name: &str, into: &mut Vec<&'a Element>) {
        if self.name == name {
            into.push(self);
        }
        for child in &self.children {
            child.all(name, into);
        }
    }

    /// The children with this name.
    pub fn named<'a>(&'a self, name: &str) -> Vec<&'a Element> {
        self.children.iter().filter(|c| c.name == name).collect()
    }

    /// The text of the first child with this name.
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.children.iter().find(|c| c.name == name).map(|c| c.text.trim())
    }

    /// An indented form for people.
    pub fn pretty(&self, depth: usize, out: &mut String) {
        let pad = "  ".repeat(depth);
        let name = short(&self.name);
        let mut attributes = self.attributes.clone();
        attributes.sort();
        let attributes: String =
            attributes.iter().map(|(n, v)| format!(" {}=\"{}\"", short(n), escape(v))).collect();
        let text = escape(self.text.trim());
        if self.children.is_empty() && text.is_empty() {
            out.push_str(&format!("{pad}<{name}{attributes}/>\n"));
        } else if self.children.is_empty() {
            out.push_str(&format!("{pad}<{name}{attributes}>{text}</{name}>\n"));
        } else {
            out.push_str(&format!("{pad}<{name}{attributes}>{text}\n"));
            for child in &self.children {
                child.pretty(depth + 1, out);
            }
            out.push_str(&format!("{pad}</{name}>\n"));
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\r', "&#13;")
}

/// `{DAV:}prop` as `D:prop`.
pub fn short(name: &str) -> String {
    for (prefix, uri) in PREFIXES {
        if let Some(local) = name.strip_prefix(&format!("{{{uri}}}")) {
            return format!("{prefix}:{local}");
        }
    }
    name.trim_start_matches("{}").to_owned()
}

/// `D:prop` as `{DAV:}prop`; `{uri}local` stays; a name without prefix has no namespace.
pub fn long(name: &str) -> String {
    if name.starts_with('{') {
        return name.to_owned();
    }
    match name.split_once(':') {
        Some((prefix, local)) => {
            for (known, uri) in PREFIXES {
                if known == prefix {
                    return format!("{{{uri}}}{local}");
                }
            }
            format!("{{?{prefix}}}{local}")
        }
        None => format!("{{}}{name}"),
    }
}

struct Reader<'a> {
    rest: &'a str,
    known: bool,
}

/// Reads a document. With `known`, the prefixes of `PREFIXES` need no declaration.
pub fn parse(document: &str, known: bool) -> Result<Element, String> {
    for c in document.chars() {
        let legal =
            matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        if !legal {
            return Err(format!("a character that XML 1.0 does not allow: {c:?}"));
        }
    }
    let mut reader = Reader { rest: document.trim_start_matches('\u{feff}'), known };
    reader.misc()?;
    let root = reader.element(&[])?;
    reader.misc()?;
    if !reader.rest.is_empty() {
        return Err(format!("more after the root: {:.40}", reader.rest));
    }
    Ok(root)
}

impl Reader<'_> {
    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn until(&mut self, token: &str) -> Result<String, String> {
        let at = self.rest.find(token).ok_or_else(|| format!("no {token} any more"))?;
        let text = self.rest[..at].to_owned();
        self.rest = &self.rest[at + token.len()..];
        Ok(text)
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn misc(&mut self) -> Result<(), String> {
        loop {
            self.blank();
            if self.eat("<?") {
                self.until("?>")?;
            } else if self.eat("<!--") {
                self.until("-->")?;
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> Result<String, String> {
        let end =
            self.rest.find([' ', '\t', '\r', '\n', '>', '/', '=', '<', '"', '\'']).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(format!("a name is missing before {:.40}", self.rest));
        }
        let word = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        Ok(word)
    }

    fn resolve(&self, name: &str, scope: &[(String, String)], attribute: bool) -> Result<String, String> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if prefix == "xml" {
            return Ok(format!("{{xml}}{local}"));
        }
        if prefix.is_empty() && attribute {
            return Ok(format!("{{}}{local}"));
        }
        if let Some((_, uri)) = scope.iter().rev().find(|(p, _)| p == prefix) {
            return Ok(format!("{{{uri}}}{local}"));
        }
        if prefix.is_empty() {
            return Ok(format!("{{}}{local}"));
        }
        if self.known
            && let Some((_, uri)) = PREFIXES.iter().find(|(p, _)| *p == prefix)
        {
            return Ok(format!("{{{uri}}}{local}"));
        }
        Err(format!("the prefix of {name} is not declared"))
    }

    fn element(&mut self, outer: &[(String, String)]) -> Result<Element, String> {
        if !self.eat("<") {
            return Err(format!("no element at {:.40}", self.rest));
        }
        let tag = self.word()?;
        let mut scope = outer.to_vec();
        let mut raw = Vec::new();
        let empty = loop {
            self.blank();
            if self.eat("/>") {
                break true;
            }
            if self.eat(">") {
                break false;
            }
            let name = self.word()?;
            self.blank();
            if !self.eat("=") {
                return Err(format!("the attribute {name} has no value"));
            }
            self.blank();
            let quote = if self.eat("\"") {
                "\""
            } else if self.eat("'") {
                "'"
            } else {
                return Err(format!("the attribute {name} has no quotes"));
            };
            let value = self.until(quote)?;
            if value.contains('<') {
                return Err(format!("the attribute {name} holds <"));
            }
            let value = unescape(&value)?;
            if name == "xmlns" {
                scope.push((String::new(), value));
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                scope.push((prefix.to_owned(), value));
            } else {
                raw.push((name, value));
            }
        };
        let mut element = Element { name: self.resolve(&tag, &scope, false)?, ..Element::default() };
        for (name, value) in raw {
            element.attributes.push((self.resolve(&name, &scope, true)?, value));
        }
        if empty {
            return Ok(element);
        }
        self.content(&tag, &scope, &mut element)?;
        Ok(element)
    }

    fn content(
        &mut self,
        tag: &str,
        scope: &[(String, String)],
        element: &mut Element,
    ) -> Result<(), String> {
        loop {
            let at = self.rest.find('<').ok_or_else(|| format!("<{tag}> is not closed"))?;
            let text = self.rest[..at].to_owned();
            if text.contains("]]>") {
                return Err("]]> in text".to_owned());
            }
            // §2.11: a line end that is not written as a reference is a line feed.
            element.text.push_str(&unescape(&text.replace("\r\n", "\n").replace('\r', "\n"))?);
            self.rest = &self.rest[at..];
            if self.eat("</") {
                let end = self.word()?;
                self.blank();
                if end != tag || !self.eat(">") {
                    return Err(format!("</{end}> closes <{tag}>"));
                }
                return Ok(());
            } else if self.eat("<!--") {
                self.until("-->")?;
            } else if self.eat("<![CDATA[") {
                let data = self.until("]]>")?;
                element.text.push_str(&data.replace("\r\n", "\n").replace('\r', "\n"));
            } else if self.eat("<?") {
                self.until("?>")?;
            } else {
                let child = self.element(scope)?;
                element.children.push(child);
            }
        }
    }
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let end = after.find(';').ok_or("an & without ;")?;
        let name = &after[..end];
        match name {
            "amp" => out.push('&'),
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "quot" => out.push('"'),
            "apos" => out.push('\''),
            _ => {
                let code = if let Some(hex) = name.strip_prefix("#x") {
                    u32::from_str_radix(hex, 16).ok()
                } else {
                    name.strip_prefix('#').and_then(|d| d.parse().ok())
                };
                let c = code
                    .and_then(char::from_u32)
                    .filter(|c| *c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
                    .ok_or_else(|| format!("the reference &{name};"))?;
                out.push(c);
            }
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn wild(element: &Element, word: &str) -> bool {
    element.name.rsplit('}').next() == Some(word)
}

/// Does the document have the expected form? Children come in any order, except where order means
/// something: in `response` and `propstat`.
pub fn matches(expected: &Element, actual: &Element, names: &mut Names) -> bool {
    if wild(expected, "ANY") {
        return true;
    }
    if expected.name != actual.name || expected.attributes.len() != actual.attributes.len() {
        return false;
    }
    let mut trial = names.clone();
    for (name, template) in &expected.attributes {
        let Some((_, value)) = actual.attributes.iter().find(|(n, _)| n == name) else {
            return false;
        };
        if !fits(template, value, &mut trial) {
            return false;
        }
    }
    let open = expected.children.iter().any(|c| wild(c, "REST"));
    if !open && !fits(expected.text.trim(), actual.text.trim(), &mut trial) {
        return false;
    }
    let wanted: Vec<&Element> = expected.children.iter().filter(|c| !wild(c, "REST")).collect();
    if wanted.len() > actual.children.len() || (!open && wanted.len() != actual.children.len()) {
        return false;
    }
    let ordered = ["{DAV:}response", "{DAV:}propstat"].contains(&actual.name.as_str());
    let good = if ordered && !open {
        wanted.iter().zip(&actual.children).all(|(e, a)| matches(e, a, &mut trial))
    } else {
        let mut wanted = wanted;
        wanted.sort_by_key(|e| wild(e, "ANY") as usize * 1000 + unknowns(e, &trial));
        let mut used = vec![false; actual.children.len()];
        assign(&wanted, &actual.children, &mut used, &mut trial)
    };
    if good {
        *names = trial;
    }
    good
}

fn unknowns(element: &Element, names: &Names) -> usize {
    unknown(&element.text, names) + element.children.iter().map(|c| unknowns(c, names)).sum::<usize>()
}

fn assign(wanted: &[&Element], have: &[Element], used: &mut [bool], names: &mut Names) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return true;
    };
    for (index, candidate) in have.iter().enumerate() {
        if used[index] {
            continue;
        }
        let mut trial = names.clone();
        if matches(first, candidate, &mut trial) {
            used[index] = true;
            if assign(rest, have, used, &mut trial) {
                *names = trial;
                return true;
            }
            used[index] = false;
            if unknowns(first, names) == 0 {
                return false;
            }
        }
    }
    false
}

#[test]
fn documents_are_compared_by_meaning() {
    let mut names = Names::new();
    let expected = parse("<D:a><D:b>{x}</D:b><D:c k='1'/><REST/></D:a>", true).unwrap();
    let actual =
        parse("<?xml version='1.0'?><a xmlns='DAV:'> <c k=\"1\"/>\n<b>&lt;é&#13;</b><d/></a>", false)
            .unwrap();
    assert!(matches(&expected, &actual, &mut names));
    assert_eq!(names["x"], "<é");
    for bad in ["<a>", "<a></b>", "<p:a/>", "<a b=c/>", "<a>&x;</a>", "<a/><b/>", "<a>\u{1}</a>"] {
        assert!(parse(bad, false).is_err(), "{bad}");
    }
}
