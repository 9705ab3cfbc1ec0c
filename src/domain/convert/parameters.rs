//! What every converted property needs, whatever it is: preference, bare words, leftovers of 2.1
//! (VC-16, VC-17). Knows no property by name.

use super::super::vcard::Version;
use super::super::vcard::property::Property;
use super::super::vcard::text;
use super::draft::Draft;

/// Puts the parameters right for the version being written.
pub(super) fn convert(property: &mut Property, draft: &Draft) {
    if property.parameters.is_empty() {
        return;
    }
    name_bare_words(property);
    match draft.to {
        Version::V3 => preference_to_type(property, draft),
        Version::V4 => {
            preference_to_number(property);
            undo_transfer_encoding(property);
        }
    }
}

/// `TEL;HOME:` becomes `TEL;TYPE=HOME:`: Thunderbird mishandles bare words (VC-16, B3 #53).
fn name_bare_words(property: &mut Property) {
    for parameter in property.parameters.iter_mut().filter(|p| p.is_bare()) {
        let name = if parameter.is_bare_encoding() { "ENCODING" } else { "TYPE" };
        parameter.rename(name);
    }
}

/// PREF=n becomes TYPE=pref, for the most preferred of each property only (VC-17).
fn preference_to_type(property: &mut Property, draft: &Draft) {
    let preferred = draft.is_most_preferred(property);
    property.take("PREF");
    if property.has_type("pref") {
        property.remove_types(|t| t.eq_ignore_ascii_case("pref"));
    }
    if preferred {
        property.add_type("pref");
    }
}

/// TYPE=pref becomes PREF=1 (VC-17).
fn preference_to_number(property: &mut Property) {
    if !property.has_type("pref") {
        return;
    }
    property.remove_types(|t| t.eq_ignore_ascii_case("pref"));
    if property.parameter("PREF").is_none() {
        property.set("PREF", "1");
    }
}

/// 4.0 is UTF-8 without transfer encodings (RFC 6350 §3.1, §A.1): CHARSET and 8BIT go, and
/// quoted-printable, which some write into 3.0 cards, is decoded.
fn undo_transfer_encoding(property: &mut Property) {
    property.take("CHARSET");
    let Some(encoding) = property.parameter("ENCODING").map(str::to_ascii_uppercase) else { return };
    match encoding.as_str() {
        "8BIT" | "7BIT" => {
            property.take("ENCODING");
        }
        "QUOTED-PRINTABLE" | "Q" => {
            property.take("ENCODING");
            property.value = quoted_printable(&property.value);
        }
        _ => {}
    }
}

/// Decodes quoted-printable; octets that are not UTF-8 are taken for Latin-1 (VC-1).
fn quoted_printable(value: &str) -> String {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex =
            |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (first, hex(tail.first()), hex(tail.get(1))) {
            (b'=', Some(high), Some(low)) => {
                octets.push(high << 4 | low);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                octets.push(first);
                rest = tail;
            }
        }
    }
    let decoded = String::from_utf8(octets)
        .unwrap_or_else(|bad| bad.as_bytes().iter().map(|b| char::from(*b)).collect());
    // Encoded line breaks are breaks of the text, and a line cannot hold one.
    if decoded.contains(['\r', '\n']) {
        decoded.replace("\r\n", "\\n").replace(['\r', '\n'], "\\n")
    } else {
        decoded
    }
}

/// Sets TYPE and VALUE of a text value that must be well escaped.
pub(super) fn mend_text(property: &mut Property, list: bool) {
    if let std::borrow::Cow::Owned(mended) = text::mend(&property.value, list) {
        property.value = mended;
    }
}
