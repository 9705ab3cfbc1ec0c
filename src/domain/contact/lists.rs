//! E-mail addresses, numbers, postal addresses and URLs into a card: each stays on its line, with
//! its group and what else is said of it, and only what differs is written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::domain::vcard::Version;
use crate::domain::vcard::property::{Parameter, Property};
use crate::domain::vcard::text::escape;

use super::edit::{compound, set_value};
use super::read::{Item, What, is_silent, pref, types};
use super::sheet::Sheet;
use super::{Email, Phone, PostalAddress, Url};

/// An item that is written.
pub(super) trait Written: Item {
    /// Gives the property the item's value.
    fn write(&self, property: &mut Property);
}

impl Written for Email {
    fn write(&self, property: &mut Property) {
        set_value(property, escape(&self.value));
    }
}

impl Written for Phone {
    fn write(&self, property: &mut Property) {
        let scheme = property.value.trim_start().get(..4);
        if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:")) && is_global(&self.value) {
            return set_value(property, format!("tel:{}", self.value));
        }
        property.take("VALUE");
        set_value(property, escape(&self.value));
    }
}

impl Written for PostalAddress {
    fn write(&self, property: &mut Property) {
        let raw = compound(&property.value, &self.parts());
        set_value(property, raw);
    }
}

impl Written for Url {
    fn write(&self, property: &mut Property) {
        // Commas and semicolons have a meaning in URIs, escapes have none (RFC 6350 §4.2); a
        // backslash is not of them, and would be taken for an escape.
        set_value(property, self.value.replace('\\', "\\\\"));
    }
}

/// Whether a number can stand in a `tel:` URI by itself (RFC 3966 §5.1.4).
fn is_global(value: &str) -> bool {
    let (number, extension) = value.split_once(";ext=").unwrap_or((value, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    number.strip_prefix('+').is_some_and(|rest| digits(&rest.replace(['-', '.', '(', ')'], "")))
        && digits(extension)
}

/// Makes the card's items of a kind those that are wanted, in their order.
pub(super) fn set_list<T: Written>(sheet: &mut Sheet<'_>, wanted: &[T]) {
    let rows = sheet.all(T::WHAT);
    let rows = rows.filter_map(|(at, property)| Some((at, T::read(&property.parameters, &property.value)?)));
    let rows: Vec<(usize, T)> = rows.collect();
    let default = sheet.place_of(T::WHAT);
    let matched = matches(&rows, wanted);
    let kept: HashSet<usize> = matched.iter().flatten().copied().collect();
    for (at, (row, _)) in rows.iter().enumerate() {
        if !kept.contains(&at) {
            sheet.remove(*row);
        }
    }
    let version = sheet.version();
    let mut places = Vec::new();
    for (item, at) in wanted.iter().zip(&matched) {
        let Some((row, old)) = at.and_then(|at| rows.get(at)) else { continue };
        places.push(*row);
        if old != item
            && let Some(property) = sheet.change(*row)
        {
            change(property, old, item, version);
        }
    }
    put_in_order(sheet, &mut places);
    let mut kept = places.iter().copied();
    let mut place = places.first().copied().unwrap_or(default);
    for (item, at) in wanted.iter().zip(&matched) {
        if at.is_some() {
            place = kept.next().map_or(default, |row| sheet.behind(row));
        } else {
            sheet.insert(place, new(item, version));
        }
    }
}

/// Which of the card's items each wanted one is: the equal one, else the one with the same value,
/// else the one in the same place whose value is not wanted any more.
fn matches<T: Item>(rows: &[(usize, T)], wanted: &[T]) -> Vec<Option<usize>> {
    let mut by_key: HashMap<Cow<'_, str>, Vec<usize>> = HashMap::new();
    for (at, (_, item)) in rows.iter().enumerate() {
        by_key.entry(item.key()).or_default().push(at);
    }
    let mut matched = vec![None; wanted.len()];
    for equal in [true, false] {
        for (item, at) in wanted.iter().zip(&mut matched).filter(|(_, at)| at.is_none()) {
            let Some(same) = by_key.get_mut(&item.key()) else { continue };
            let found =
                same.iter().position(|at| !equal || rows.get(*at).is_some_and(|(_, row)| row == item));
            *at = found.map(|found| same.remove(found));
        }
    }
    let mut free = vec![false; rows.len()];
    for at in by_key.into_values().flatten() {
        if let Some(free) = free.get_mut(at) {
            *free = true;
        }
    }
    for (place, at) in matched.iter_mut().enumerate().filter(|(_, at)| at.is_none()) {
        *at = free.get(place).copied().unwrap_or_default().then_some(place);
    }
    matched
}

/// Puts the lines of these rows in the order in which the rows are named, and tells the rows' own.
fn put_in_order(sheet: &mut Sheet<'_>, places: &mut [usize]) {
    if places.is_sorted() {
        return;
    }
    let contents: Vec<_> = places.iter().map(|row| sheet.take(*row)).collect();
    places.sort_unstable();
    places.iter().zip(contents).for_each(|(row, content)| sheet.put(*row, content));
}

/// Writes what differs.
fn change<T: Written>(property: &mut Property, old: &T, item: &T, version: Version) {
    if old.key() != item.key() {
        item.write(property);
    }
    if old.types() != item.types() {
        set_types(property, item.types(), T::WHAT, version);
    }
    if old.pref() != item.pref() {
        set_pref(property, item.pref().flatten(), version);
    }
}

/// A property that says this.
fn new<T: Written>(item: &T, version: Version) -> Property {
    let mut property = Property::new(T::WHAT.name(), "");
    item.write(&mut property);
    if version == Version::V3 && T::WHAT == What::Email {
        property.add_type("INTERNET");
    }
    set_types(&mut property, item.types(), T::WHAT, version);
    set_pref(&mut property, item.pref().flatten(), version);
    property
}

/// Makes these the types that are shown; others keep their spelling.
fn set_types(property: &mut Property, wanted: &[String], what: What, version: Version) {
    property.remove_types(|kind| !is_silent(kind, what) && !wanted.contains(&kind.to_lowercase()));
    let kept = types(&property.parameters, what);
    let missing: Vec<_> = wanted.iter().filter(|kind| !kept.contains(kind)).cloned().collect();
    if kept.iter().chain(&missing).eq(wanted) {
        return add_types(property, missing, version);
    }
    property.remove_types(|kind| !is_silent(kind, what));
    add_types(property, wanted.to_vec(), version);
}

/// In vCard 3.0 Apple's programs want each type in a parameter of its own.
fn add_types(property: &mut Property, kinds: Vec<String>, version: Version) {
    match version {
        Version::V3 => kinds.iter().for_each(|kind| property.add_type(kind)),
        Version::V4 if kinds.is_empty() => {}
        Version::V4 => {
            let mut parameter = Parameter::new("TYPE", "");
            parameter.set(kinds);
            property.parameters.push(parameter);
        }
    }
}

/// The preferred one of vCard 3.0 has `TYPE=pref`; any other preference is PREF (VC-17).
fn set_pref(property: &mut Property, wanted: Option<u8>, version: Version) {
    if pref(&property.parameters) == wanted {
        return;
    }
    property.take("PREF");
    property.remove_types(|kind| kind.eq_ignore_ascii_case("pref"));
    match (wanted, version) {
        (None, _) => {}
        (Some(1), Version::V3) => property.add_type("pref"),
        (Some(number), _) => property.set("PREF", number.to_string()),
    }
}
