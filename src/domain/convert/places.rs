//! GEO and TZ (VC-27).

use super::super::vcard::property::Property;
use super::draft::Draft;
use super::media::{clean_uri, scheme};
use super::parameters::mend_text;

/// `geo:37.386013,-122.082932` becomes `37.386013;-122.082932`; any other URI stays one.
pub(super) fn geo_to_v3(mut property: Property, draft: &mut Draft) {
    match coordinates(&property.value) {
        Some((latitude, longitude)) => {
            property.value = format!("{latitude};{longitude}");
            property.take("VALUE");
        }
        None if scheme(&property.value).is_some() => property.set("VALUE", "uri"),
        None => {}
    }
    draft.push(property);
}

/// `37.386013;-122.082932` becomes `geo:37.386013,-122.082932`.
pub(super) fn geo_to_v4(mut property: Property, draft: &mut Draft) {
    let uncertain = scheme(&property.value).is_some();
    match coordinates(&property.value).filter(|_| !uncertain) {
        Some((latitude, longitude)) => property.value = format!("geo:{latitude},{longitude}"),
        None => property.value = clean_uri(&property.value).into_owned(),
    }
    if property.value_is("uri") || property.value_is("float") {
        property.take("VALUE");
    }
    draft.push(property);
}

/// Latitude and longitude as written; a comma between them is accepted.
fn coordinates(value: &str) -> Option<(String, String)> {
    let clean = clean_uri(value.trim());
    let numbers = match clean.get(..4) {
        Some(start) if start.eq_ignore_ascii_case("geo:") => clean.get(4..)?.split(';').next()?,
        _ => &clean,
    };
    let mut parts = numbers.split([';', ',']).map(str::trim);
    let (latitude, longitude) = (parts.next()?, parts.next()?);
    let is_number = |s: &str| s.len() <= 40 && s.parse::<f64>().is_ok_and(f64::is_finite);
    (is_number(latitude) && is_number(longitude)).then(|| (latitude.to_owned(), longitude.to_owned()))
}

/// 3.0's TZ is an offset unless it says otherwise (RFC 2426 §3.4.1).
pub(super) fn tz_to_v3(mut property: Property, draft: &mut Draft) {
    let kind = match offset(&property.value) {
        Some((sign, hours, minutes)) => {
            property.value = format!("{sign}{hours}:{minutes}");
            None
        }
        None if property.value_is("uri") => Some("uri"),
        None => Some("text"),
    };
    property.take("VALUE");
    if let Some(kind) = kind {
        property.set("VALUE", kind);
    }
    draft.push(property);
}

/// 4.0's TZ is a text unless it says otherwise (RFC 6350 §6.5.1).
pub(super) fn tz_to_v4(mut property: Property, draft: &mut Draft) {
    if let Some((sign, hours, minutes)) = offset(&property.value).filter(|_| !property.value_is("text")) {
        property.value = format!("{sign}{hours}{minutes}");
        property.set("VALUE", "utc-offset");
    } else if !property.value_is("uri") {
        property.take("VALUE");
        mend_text(&mut property, false);
    }
    draft.push(property);
}

/// Sign, hours and minutes of `-05:00`, `-0500`, `+01` or `Z`.
fn offset(value: &str) -> Option<(char, String, String)> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("Z") {
        return Some(('+', "00".to_owned(), "00".to_owned()));
    }
    let sign = value.chars().next().filter(|c| matches!(c, '+' | '-'))?;
    let digits = value.get(1..).filter(|rest| rest.len() <= 5)?.replacen(':', "", 1);
    let (hours, minutes) = match digits.len() {
        1 => (format!("0{digits}"), "00".to_owned()),
        2 => (digits, "00".to_owned()),
        4 => digits.split_at_checked(2).map(|(h, m)| (h.to_owned(), m.to_owned()))?,
        _ => return None,
    };
    (hours.bytes().chain(minutes.bytes()).all(|b| b.is_ascii_digit())).then_some((sign, hours, minutes))
}
