//! ADR and LABEL (VC-25, VC-41): in 4.0 the label is a parameter of the address, in 3.0 a property
//! of the same types behind it.

use std::collections::{BTreeMap, VecDeque};

use super::super::vcard::property::{Line, Property};
use super::super::vcard::text;
use super::draft::Draft;
use super::names::{components, property_at};

/// How many components an address has; RFC 9554 §2.1 adds eleven.
const ADR_COMPONENTS: usize = 7;

/// Exactly seven components, or iOS hides the card (B1 #10), and the label on its own.
pub(super) fn adr_to_v3(mut property: Property, draft: &mut Draft) {
    property.value = components(&property.value, ADR_COMPONENTS, true);
    let label = property.take("LABEL").map(|label| {
        let mut line = Property::new("LABEL", text::escape(&label_text(&label)));
        line.group.clone_from(&property.group);
        line.parameters = property.parameters.iter().filter(|p| p.is_type()).cloned().collect();
        line.remove_types(|t| t.eq_ignore_ascii_case("pref"));
        line
    });
    // An address that is nothing but its label came from a LABEL without ADR.
    if label.is_none() || property.value.contains(|c| c != ';') {
        draft.push(property);
    }
    label.into_iter().for_each(|label| draft.push(label));
}

/// At least seven components. Google puts the formatted address behind them, as an eighth: that is
/// a label.
pub(super) fn adr_to_v4(mut property: Property, draft: &mut Draft) {
    if let Some(formatted) = eighth(&property.value) {
        if !formatted.trim().is_empty() && property.parameter("LABEL").is_none() {
            property.set("LABEL", formatted);
        }
        property.value = components(&property.value, ADR_COMPONENTS, true);
    }
    property.value = components(&property.value, ADR_COMPONENTS, false);
    draft.push(property);
}

/// The text of the eighth component, if that is the last one.
fn eighth(raw: &str) -> Option<String> {
    let mut rest = text::split(raw, ';').skip(ADR_COMPONENTS);
    let formatted = rest.next()?;
    rest.next().is_none().then(|| text::unescape(formatted).into_owned())
}

/// LABEL waits until all addresses are known.
pub(super) fn label_to_v4(property: Property, draft: &mut Draft) {
    draft.aside.labels.push((draft.out.len(), property));
}

/// Gives each label to its address: the one right before it if the types are equal, else the first
/// of the same types that has none, else, for a label without types, the first that has none. A
/// label left over becomes an address of its own, as 4.0 has no other place for it.
pub(super) fn join_labels(draft: &mut Draft) {
    let labels = std::mem::take(&mut draft.aside.labels);
    if labels.is_empty() {
        return;
    }
    let mut waiting = Vec::with_capacity(labels.len());
    for (at, label) in labels {
        let before = at.checked_sub(1).and_then(|at| property_at(&mut draft.out, at));
        match before.filter(|adr| is_free(adr) && key(adr) == key(&label)) {
            Some(adr) => attach(adr, &label),
            None => waiting.push(label),
        }
    }
    let mut free: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
    let mut in_order = VecDeque::new();
    for (at, adr) in draft
        .out
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, line.property().filter(|p| is_free(p))?)))
    {
        free.entry(key(adr)).or_default().push_back(at);
        in_order.push_back(at);
    }
    for label in waiting {
        let types = key(&label);
        let at = free.get_mut(&types).and_then(VecDeque::pop_front).or_else(|| {
            if !types.is_empty() {
                return None;
            }
            std::iter::from_fn(|| in_order.pop_front())
                .find(|at| draft.out.get(*at).and_then(Line::property).is_some_and(is_free))
        });
        let adr = at.and_then(|at| property_at(&mut draft.out, at)).filter(|adr| is_free(adr));
        match adr {
            Some(adr) => attach(adr, &label),
            None => {
                let mut adr = Property { name: "ADR".to_owned(), ..label.clone() };
                ";;;;;;".clone_into(&mut adr.value);
                attach(&mut adr, &label);
                draft.push(adr);
            }
        }
    }
}

/// Whether this is an address that has no label yet.
fn is_free(property: &Property) -> bool {
    property.is("ADR") && property.parameter("LABEL").is_none()
}

fn attach(adr: &mut Property, label: &Property) {
    adr.set("LABEL", text::unescape(&label.value));
}

/// RFC 6868 writes a line break as `^n`, the examples of RFC 6350 §6.3.1 as `\n`; both are read.
fn label_text(label: &str) -> String {
    if label.contains('\\') { text::unescape(label).into_owned() } else { label.to_owned() }
}

/// What an address and its label have in common: the types, in any order and case.
fn key(property: &Property) -> String {
    let mut types: Vec<String> =
        property.types().map(str::to_ascii_lowercase).filter(|t| t != "pref").collect();
    types.sort_unstable();
    types.dedup();
    types.join(",")
}
