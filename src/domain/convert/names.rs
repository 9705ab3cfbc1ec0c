//! FN, N, SORT-STRING and phonetic names (VC-9, VC-10, VC-27, VC-41).

use std::borrow::Cow;

use super::super::vcard::property::{Line, Parameter, Property};
use super::super::vcard::{Version, text};
use super::draft::Draft;
use super::hidden;

/// How many components N has in RFC 2426 §3.1.2 and RFC 6350 §6.2.2; RFC 9554 adds two.
const N_COMPONENTS: usize = 5;

/// What FN says when nothing in the card names anyone.
const NAMELESS: &str = "Unnamed";

/// The properties that carry phonetic names in 3.0, in the order of N's components.
const PHONETIC: [&str; 3] = ["X-PHONETIC-LAST-NAME", "X-PHONETIC-FIRST-NAME", "X-PHONETIC-MIDDLE-NAME"];

/// N in 3.0: five components (VC-41), SORT-AS as SORT-STRING, a phonetic N as Apple's properties.
pub(super) fn n_to_v3(mut property: Property, draft: &mut Draft) {
    if property.parameter("PHONETIC").is_some() {
        return phonetic_to_v3(property, draft);
    }
    property.value = components(&property.value, N_COMPONENTS, true);
    let sort_as: Vec<String> = property.values_of("SORT-AS").map(str::to_owned).collect();
    if sort_as.len() == 1 {
        property.take("SORT-AS");
    }
    draft.push(property);
    if !sort_as.is_empty() {
        draft.push(Property::new("SORT-STRING", text::escape(&sort_as.join(" "))));
    }
}

/// N in 4.0: at least five components.
pub(super) fn n_to_v4(mut property: Property, draft: &mut Draft) {
    property.value = components(&property.value, N_COMPONENTS, false);
    draft.push(property);
}

/// SORT-STRING waits until N is known.
pub(super) fn sort_string_to_v4(property: Property, draft: &mut Draft) {
    if draft.aside.sort_string.is_none() {
        draft.aside.sort_string = Some(property)
    } else {
        hidden::hide(property, draft)
    }
}

/// X-PHONETIC-…-NAME waits until all of them are known.
pub(super) fn phonetic_to_v4(property: Property, draft: &mut Draft) {
    let place = PHONETIC.iter().zip(&mut draft.aside.phonetic).find(|(name, _)| property.is(name));
    match place {
        Some((_, place @ None)) => *place = Some(property),
        _ => draft.push(property),
    }
}

/// `N;ALTID=1;PHONETIC=ipa:…` becomes X-PHONETIC-LAST-NAME and its sisters.
fn phonetic_to_v3(property: Property, draft: &mut Draft) {
    for (name, component) in PHONETIC.iter().zip(text::split(&property.value, ';')) {
        if component.is_empty() {
            continue;
        }
        let mut line = Property::new(name, component);
        for kept in ["PHONETIC", "SCRIPT", "LANGUAGE", "ALTID"] {
            let value = property
                .parameter(kept)
                .filter(|v| !(kept == "PHONETIC" && v.eq_ignore_ascii_case("script")));
            line.parameters.extend(value.map(|v| Parameter::new(kept, v)));
        }
        draft.push(line);
    }
}

/// Puts SORT-STRING and the phonetic names next to the N that they belong to.
pub(super) fn join_names(draft: &mut Draft) {
    let sort_string = draft.aside.sort_string.take();
    let phonetic = std::mem::take(&mut draft.aside.phonetic);
    let has_phonetic = phonetic.iter().any(Option::is_some);
    if sort_string.is_none() && !has_phonetic {
        return;
    }
    if find(&draft.out, "N").is_none() {
        derive_n(draft);
    }
    let Some(at) = find(&draft.out, "N") else { return };
    if let (Some(sort), Some(n)) = (sort_string, property_at(&mut draft.out, at)) {
        let wanted = text::unescape(&sort.value).into_owned();
        if n.parameter("SORT-AS").is_none() {
            n.set("SORT-AS", wanted);
        } else if n.values_of("SORT-AS").collect::<Vec<_>>().join(" ") != wanted {
            hidden::hide(sort, draft);
        }
    }
    if let Some(n) = property_at(&mut draft.out, at).filter(|_| has_phonetic) {
        let alternative = phonetic_n(n, phonetic);
        draft.out.insert(at + 1, Line::Property(alternative));
    }
}

/// The phonetic alternative of N (RFC 9554 §4.6); both share an ALTID.
fn phonetic_n(n: &mut Property, phonetic: [Option<Property>; 3]) -> Property {
    let own = n.parameter("ALTID").map(str::to_owned);
    let id = own.unwrap_or_else(|| {
        n.set("ALTID", "1");
        "1".to_owned()
    });
    let mut alternative = Property::new("N", "");
    alternative.set("ALTID", id);
    let said = |name| phonetic.iter().flatten().find_map(|p| p.parameter(name)).map(str::to_owned);
    alternative.set("PHONETIC", said("PHONETIC").unwrap_or_else(|| "script".to_owned()));
    for name in ["SCRIPT", "LANGUAGE"] {
        alternative.parameters.extend(said(name).map(|value| Parameter::new(name, value)));
    }
    let [last, first, middle] =
        phonetic.map(|p| p.map(|p| text::mend(&p.value, true).into_owned()).unwrap_or_default());
    alternative.value = format!("{last};{first};{middle};;");
    alternative
}

/// Every card has an FN that says something (VC-9); in 3.0 it has one only, in 4.0 it may have
/// several.
pub(super) fn ensure_fn(draft: &mut Draft) {
    if draft.to == Version::V3 {
        keep_one_fn(draft);
    }
    let speaks = |line: &Line| line.property().is_some_and(|p| p.is("FN") && !p.value.trim().is_empty());
    if draft.out.iter().any(speaks) {
        draft.out.retain(|line| speaks(line) || !line.property().is_some_and(|p| p.is("FN")));
        return;
    }
    let name = Property::new("FN", derived_fn(&draft.out));
    match find(&draft.out, "FN") {
        Some(first) => {
            if let Some(empty) = property_at(&mut draft.out, first) {
                empty.value = name.value;
            }
            draft.out.retain(|line| speaks(line) || !line.property().is_some_and(|p| p.is("FN")));
        }
        None => draft.out.insert(0, Line::Property(name)),
    }
}

/// In 3.0 the preferred FN shows, and the others are carried.
fn keep_one_fn(draft: &mut Draft) {
    let mut best: Option<(bool, usize)> = None;
    let mut count = 0;
    for (at, line) in draft.out.iter().enumerate() {
        let Some(property) = line.property().filter(|p| p.is("FN") && !p.value.trim().is_empty()) else {
            continue;
        };
        count += 1;
        let preferred = property.has_type("pref");
        if best.is_none_or(|(is, _)| preferred && !is) {
            best = Some((preferred, at));
        }
    }
    if count < 2 {
        return;
    }
    for (at, line) in std::mem::take(&mut draft.out).into_iter().enumerate() {
        match line {
            Line::Property(p) if p.is("FN") && best.is_some_and(|(_, best)| best != at) => {
                hidden::hide(p, draft)
            }
            line => draft.out.push(line),
        }
    }
}

/// A name for a card without one, raw: from N, ORG, NICKNAME, EMAIL or TEL, in this order (VC-9).
fn derived_fn(lines: &[Line]) -> String {
    let value = |name| find_speaking(lines, name).map(|p| p.value.as_str());
    let from_n = value("N").map(|n| {
        let mut parts = text::split(n, ';');
        let (family, given, middle) = (parts.next(), parts.next(), parts.next());
        let (prefix, suffix) = (parts.next(), parts.next());
        let words = [prefix, given, middle, family, suffix].into_iter().flatten();
        words
            .flat_map(|part| text::split(part, ','))
            .filter(|w| !w.trim().is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    });
    let first = |name, separator| {
        value(name)
            .and_then(|v: &str| text::split(v, separator).find(|p| !p.trim().is_empty()))
            .map(str::to_owned)
    };
    from_n
        .filter(|name| !name.trim().is_empty())
        .or_else(|| first("ORG", ';'))
        .or_else(|| first("NICKNAME", ','))
        .or_else(|| value("EMAIL").map(|v| text::mend(v, false).into_owned()))
        .or_else(|| value("TEL").map(|v| text::mend(v.strip_prefix("tel:").unwrap_or(v), false).into_owned()))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| NAMELESS.to_owned())
}

/// 3.0 demands N, and iOS hides a card without it (VC-10, B1 #10). A company may leave it empty.
pub(super) fn ensure_n(draft: &mut Draft) {
    let says = |p: &Property| p.value.contains(|c| c != ';' && c != ' ');
    match find(&draft.out, "N").and_then(|at| property_at(&mut draft.out, at).map(|n| (at, says(n)))) {
        Some((_, true)) => {}
        Some((at, false)) => {
            let company = draft.has.company || find_speaking(&draft.out, "ORG").is_some();
            let derived = value_from_fn(draft);
            if let Some(n) = property_at(&mut draft.out, at).filter(|_| !company) {
                n.value = derived;
            }
        }
        None => derive_n(draft),
    }
}

/// Writes an N made from FN.
fn derive_n(draft: &mut Draft) {
    let n = Property::new("N", value_from_fn(draft));
    let at = find(&draft.out, "FN").map_or(0, |at| at + 1);
    draft.out.insert(at, Line::Property(n));
}

/// "Given Names Family", "Family, Given"; a group or a company is all family name.
fn value_from_fn(draft: &Draft) -> String {
    let name = find_speaking(&draft.out, "FN")
        .map(|p| p.value.as_str())
        .map_or_else(|| Cow::from(derived_fn(&draft.out)), Cow::from);
    let name = text::unescape(&name);
    let name = name.trim();
    let group = draft.has.company
        || draft.has.apple_kind
        || draft.out.iter().filter_map(Line::property).any(|p| p.is("X-ADDRESSBOOKSERVER-KIND"));
    let (family, given) = match (name.split_once(','), name.rsplit_once(char::is_whitespace)) {
        _ if group => (name, ""),
        (Some((family, given)), _) => (family, given),
        (None, Some((given, family))) => (family, given),
        (None, None) => (name, ""),
    };
    format!("{};{};;;", text::escape(family.trim()), text::escape(given.trim()))
}

/// The raw compound value with at least `count` components, or exactly so many.
pub(super) fn components(raw: &str, count: usize, exactly: bool) -> String {
    let have = text::split(raw, ';').count();
    if have > count && exactly {
        return text::split(raw, ';').take(count).collect::<Vec<_>>().join(";");
    }
    let mut value = raw.to_owned();
    if have < count {
        // A backslash left alone at the end would escape the separator that follows it.
        if raw.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1 {
            value.push('\\');
        }
        value.extend(std::iter::repeat_n(';', count - have));
    }
    value
}

/// Where the first property `name` stands.
pub(super) fn find(lines: &[Line], name: &str) -> Option<usize> {
    lines.iter().position(|line| line.property().is_some_and(|p| p.is(name)))
}

/// The first property `name` whose value is not blank.
fn find_speaking<'a>(lines: &'a [Line], name: &str) -> Option<&'a Property> {
    lines.iter().filter_map(Line::property).find(|p| p.is(name) && p.value.contains(|c| c != ';' && c != ' '))
}

/// The property on line `at`.
pub(super) fn property_at(lines: &mut [Line], at: usize) -> Option<&mut Property> {
    match lines.get_mut(at) {
        Some(Line::Property(property)) => Some(property),
        _ => None,
    }
}
