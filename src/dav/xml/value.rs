//! Turns a property's element into what is stored: text, or the element written so that it stands
//! alone, with every namespace it uses declared in itself (DAV-22; RFC 4918 §4.3, §4.4).

use crate::service::view::{Property, PropertyValue};

use super::name::{Ns, property_name};
use super::read::{Attribute, Child, Element};
use super::write::Writer;

/// The property that `element` sets; `lang` is the `xml:lang` in force around it.
pub fn property(element: &Element, lang: Option<&str>) -> Property {
    let own = language(element);
    let lang = match own.or(lang) {
        Some("") | None => None,
        Some(lang) => Some(lang.to_owned()),
    };
    let plain = element.elements().next().is_none()
        && element.attributes.iter().all(|a| a.declares().is_some() || is_language(a));
    let value = if plain {
        PropertyValue::Text { text: element.text().into_owned(), lang }
    } else {
        let mut out = Writer::default();
        let inherited = own.is_none().then_some(lang.as_deref()).flatten();
        write(&mut out, element, &mut Vec::new(), inherited);
        PropertyValue::Xml(String::from_utf8_lossy(&out.take()).into_owned())
    };
    Property { name: property_name(&element.ns, element.local()), value }
}

/// The element's own `xml:lang`.
pub fn language(element: &Element) -> Option<&str> {
    element.attributes.iter().find(|a| is_language(a)).map(|a| &*a.value)
}

fn is_language(attribute: &Attribute) -> bool {
    attribute.ns == Ns::Xml && attribute.local() == "lang"
}

/// Writes an element with its own prefixes, declaring those that are not bound in what was written
/// so far; `scope` holds the bindings in force, the innermost last.
fn write<'e>(
    out: &mut Writer,
    element: &'e Element,
    scope: &mut Vec<(&'e str, &'e str)>,
    lang: Option<&str>,
) {
    let outer = scope.len();
    scope.extend(element.attributes.iter().filter_map(|a| a.declares().map(|prefix| (prefix, &*a.value))));
    bind(scope, prefix(&element.qname), &element.ns);
    for attribute in element.attributes.iter().filter(|a| a.ns != Ns::None) {
        bind(scope, prefix(&attribute.qname), &attribute.ns);
    }
    out.raw("<");
    out.raw(&element.qname);
    for (prefix, uri) in scope.iter().skip(outer) {
        out.raw(match prefix.is_empty() {
            true => " xmlns",
            false => " xmlns:",
        });
        out.raw(prefix);
        out.raw("=\"");
        out.attribute(uri);
        out.raw("\"");
    }
    if let Some(lang) = lang {
        out.raw(" xml:lang=\"");
        out.attribute(lang);
        out.raw("\"");
    }
    for attribute in element.attributes.iter().filter(|a| a.declares().is_none()) {
        out.raw(" ");
        out.raw(&attribute.qname);
        out.raw("=\"");
        out.attribute(&attribute.value);
        out.raw("\"");
    }
    out.raw(">");
    for child in &element.children {
        match child {
            Child::Text(text) => out.text(text),
            Child::Element(inner) => write(out, inner, scope, None),
        }
    }
    out.raw("</");
    out.raw(&element.qname);
    out.raw(">");
    scope.truncate(outer);
}

fn prefix(qname: &str) -> &str {
    qname.split_once(':').map_or("", |(prefix, _)| prefix)
}

/// Declares the prefix, unless it means that namespace already.
fn bind<'e>(scope: &mut Vec<(&'e str, &'e str)>, prefix: &'e str, ns: &'e Ns) {
    let bound = scope.iter().rev().find(|(known, _)| *known == prefix).map_or("", |(_, uri)| uri);
    if bound != ns.uri() && *ns != Ns::Xml {
        scope.push((prefix, ns.uri()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::parse;
    use super::*;

    fn stored(xml: &str) -> PropertyValue {
        let root = parse(xml.as_bytes()).unwrap();
        let lang = language(&root).map(str::to_owned);
        let element = root.elements().next().unwrap();
        property(element, lang.as_deref()).value
    }

    #[test]
    fn text_is_text_with_its_language() {
        let text = |text: &str, lang: Option<&str>| PropertyValue::Text {
            text: text.into(),
            lang: lang.map(str::to_owned),
        };
        assert_eq!(stored("<a><b> x\n</b></a>"), text(" x\n", None));
        assert_eq!(stored("<a xml:lang='de'><b>x</b></a>"), text("x", Some("de")));
        assert_eq!(stored("<a xml:lang='de'><b xml:lang='fr' xmlns:u='u'>x</b></a>"), text("x", Some("fr")));
        assert_eq!(stored("<a xml:lang='de'><b xml:lang=''/></a>"), text("", None));
    }

    #[test]
    fn elements_stand_alone() {
        let PropertyValue::Xml(xml) = stored(
            "<a xmlns:p='P' xmlns:unused='U' xmlns='D' xml:lang='de'>\
             <p:b p:k='1' l='2&quot;'> <c> t&#13; </c><p:d xmlns:p='Q'><p:e/></p:d><f xmlns=''/></p:b></a>",
        ) else {
            panic!("not text only");
        };
        assert_eq!(
            xml,
            "<p:b xmlns:p=\"P\" xml:lang=\"de\" p:k=\"1\" l=\"2&quot;\"> <c xmlns=\"D\"> t&#13; </c>\
             <p:d xmlns:p=\"Q\"><p:e></p:e></p:d><f xmlns=\"\"></f></p:b>"
        );
        assert!(parse(xml.as_bytes()).is_ok());
    }
}
