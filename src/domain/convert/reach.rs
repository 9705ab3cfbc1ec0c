//! TEL and EMAIL (VC-29).

use super::super::vcard::property::Property;
use super::super::vcard::text;
use super::draft::Draft;
use super::parameters::mend_text;

/// `VALUE=uri:tel:+1-555;ext=7` becomes `+1-555 ext. 7`: 3.0 knows numbers as text only.
pub(super) fn tel_to_v3(mut property: Property, draft: &mut Draft) {
    if let Some(number) = number(&property.value) {
        property.value = text::escape(&number).into_owned();
        property.take("VALUE");
    } else if !property.value_is("uri") {
        property.take("VALUE");
        mend_text(&mut property, false);
    }
    draft.push(property);
}

/// A number stays the text it is: 4.0 allows it (RFC 6350 §6.4.1), and not every number is global
/// enough for a tel URI.
pub(super) fn tel_to_v4(mut property: Property, draft: &mut Draft) {
    if !property.value_is("uri") {
        property.take("VALUE");
        mend_text(&mut property, false);
    }
    draft.push(property);
}

/// The number of a tel URI (RFC 3966) as people write it.
fn number(value: &str) -> Option<String> {
    let rest =
        value.get(..4).filter(|start| start.eq_ignore_ascii_case("tel:")).and_then(|_| value.get(4..))?;
    let mut parts = rest.split(';').map(|part| part.trim_end_matches('\\'));
    let number = decode(parts.next().filter(|number| !number.is_empty())?);
    let is_ext = |part: &&str| part.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("ext="));
    Some(match parts.find(is_ext).and_then(|part| part.get(4..)) {
        Some(ext) => format!("{number} ext. {}", decode(ext)),
        None => number,
    })
}

fn decode(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// 3.0 clients look for TYPE=INTERNET.
pub(super) fn email_to_v3(mut property: Property, draft: &mut Draft) {
    if !property.has_type("INTERNET") && !property.has_type("X400") {
        property.add_type("INTERNET");
    }
    property.take("VALUE");
    draft.push(property);
}

/// 4.0 has no other kind of address.
pub(super) fn email_to_v4(mut property: Property, draft: &mut Draft) {
    if property.has_type("INTERNET") {
        property.remove_types(|t| t.eq_ignore_ascii_case("INTERNET"));
    }
    property.take("VALUE");
    draft.push(property);
}
