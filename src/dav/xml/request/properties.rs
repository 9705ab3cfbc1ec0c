//! The bodies of the methods that read and set properties: PROPFIND, PROPPATCH, MKCOL, MKCALENDAR.
//! RFC 4918 §9.1 and §9.2, RFC 5689 §5, RFC 4791 §9.2. Knows no report.

use crate::service::view::{Property, PropertyChange, PropertyName, PropertyValue};

use super::super::name::{Ns, property_name};
use super::super::read::{BadXml, Element, parse};
use super::super::value::{language, property};
use super::{Asked, MAX_NAMES, Which, asked};

/// How many bytes of properties one request may set; far fewer can be stored (DAV-23).
const MAX_VALUE_BYTES: usize = 4 << 20;

/// A MKCOL with a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mkcol {
    /// The resource types asked for, where any are.
    pub resource_type: Option<Vec<PropertyName>>,
    /// The other properties to set.
    pub properties: Vec<Property>,
}

/// A PROPFIND's body; an empty one asks for everything (DAV-12).
pub fn propfind(body: &[u8]) -> Result<Asked, BadXml> {
    let root = match parse(body) {
        Err(BadXml::Empty) => return Ok(Asked::all()),
        other => rooted(other?, &Ns::Dav, "propfind")?,
    };
    match asked(&root)? {
        Asked { which: Which::Unsaid, .. } => Err(BadXml::Unexpected),
        asked => Ok(asked),
    }
}

/// A PROPPATCH's steps, in document order (DAV-20).
pub fn proppatch(body: &[u8]) -> Result<Vec<PropertyChange>, BadXml> {
    let root = rooted(parse(body)?, &Ns::Dav, "propertyupdate")?;
    let (mut changes, mut bytes) = (Vec::new(), 0);
    for step in root.elements().filter(|e| e.ns == Ns::Dav) {
        let set = match step.local() {
            "set" => true,
            "remove" => false,
            _ => continue,
        };
        let prop = step.child(&Ns::Dav, "prop").ok_or(BadXml::Unexpected)?;
        let lang = [&root, step, prop].into_iter().rev().find_map(language);
        for element in prop.elements() {
            changes.push(match set {
                true => PropertyChange::Set(setting(element, lang, &mut bytes)?),
                false => PropertyChange::Remove(property_name(&element.ns, element.local())),
            });
            if changes.len() > MAX_NAMES {
                return Err(BadXml::TooLarge);
            }
        }
    }
    match changes.is_empty() {
        true => Err(BadXml::Unexpected),
        false => Ok(changes),
    }
}

/// An extended MKCOL's body (RFC 5689 §5.1).
pub fn mkcol(body: &[u8]) -> Result<Mkcol, BadXml> {
    described(&rooted(parse(body)?, &Ns::Dav, "mkcol")?)
}

/// A MKCALENDAR's body (RFC 4791 §9.2), which names no resource type.
pub fn mkcalendar(body: &[u8]) -> Result<Mkcol, BadXml> {
    described(&rooted(parse(body)?, &Ns::Cal, "mkcalendar")?)
}

/// What a new collection is to be.
fn described(root: &Element) -> Result<Mkcol, BadXml> {
    let (mut mkcol, mut bytes) = (Mkcol::default(), 0);
    for set in root.elements().filter(|e| e.is(&Ns::Dav, "set")) {
        let prop = set.child(&Ns::Dav, "prop").ok_or(BadXml::Unexpected)?;
        let lang = [root, set, prop].into_iter().rev().find_map(language);
        for element in prop.elements() {
            if element.is(&Ns::Dav, "resourcetype") {
                let types = element.elements().map(|e| property_name(&e.ns, e.local()));
                mkcol.resource_type.get_or_insert_default().extend(types);
            } else {
                mkcol.properties.push(setting(element, lang, &mut bytes)?);
            }
            if mkcol.properties.len() > MAX_NAMES {
                return Err(BadXml::TooLarge);
            }
        }
    }
    Ok(mkcol)
}

/// One property that is set, while all of them stay within bounds: written so that it stands alone,
/// an element can be far larger than it was in the body.
fn setting(element: &Element, lang: Option<&str>, bytes: &mut usize) -> Result<Property, BadXml> {
    let property = property(element, lang);
    *bytes += match &property.value {
        PropertyValue::Text { text, .. } => text.len(),
        PropertyValue::Xml(xml) => xml.len(),
    };
    if *bytes > MAX_VALUE_BYTES { Err(BadXml::TooLarge) } else { Ok(property) }
}

fn rooted(root: Element, ns: &Ns, local: &str) -> Result<Element, BadXml> {
    match root.is(ns, local) {
        true => Ok(root),
        false => Err(BadXml::Unexpected),
    }
}
