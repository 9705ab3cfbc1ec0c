//! Fields into a card: only the properties whose fields differ are written anew, every other line
//! stays as it came. And new cards from fields. Writes vCard 3.0 as Apple's and others' programs
//! expect it, and 4.0 as RFC 6350 has it.

use std::collections::HashMap;

use crate::domain::convert::{NO_YEAR, OMIT_YEAR, whole_date};
use crate::domain::id::Uid;
use crate::domain::vcard::Version;
use crate::domain::vcard::property::{Parameter, Property};
use crate::domain::vcard::text::{escape, split};
use crate::domain::vcard::write::Writer;

use super::lists::set_list;
use super::read::{What, categories, is_company, kind, rank, shown};
use super::sheet::Sheet;
use super::{CardFields, Kind, Name, Organization};

/// Carries a time of day that a date of vCard 3.0 had (`convert`).
const TIME: &str = "X-CARDKEEP-TIME";

/// What is not true of a property any more once it has another value: its text on an envelope, its
/// place, what a program or this server noted of it.
const STALE: [&str; 5] = ["LABEL", "GEO", "X-EVOLUTION-E164", super::mark::STATUS, "ENCODING"];

/// The card with the fields of `after` in place of those of `before`, which are its own. What the
/// two agree on is not touched. `after` counts as [`CardFields::tidy`] makes it.
pub fn edit(card: &[u8], before: &CardFields, after: &CardFields) -> Vec<u8> {
    if before == after {
        return card.to_vec();
    }
    let wanted = after.clone().tidy();
    let mut sheet = Sheet::of(card);
    if before.kind != after.kind {
        set_kind(&mut sheet, wanted.kind);
    }
    if before.name.formatted != after.name.formatted {
        set_text(&mut sheet, What::Formatted, &wanted.formatted());
    }
    if components(&before.name) != components(&after.name) {
        set_name(&mut sheet, &wanted.name);
    }
    if before.organization != after.organization {
        let units = before.organization.units != after.organization.units;
        set_organization(&mut sheet, &wanted.organization, units);
    }
    if before.title != after.title {
        set_text(&mut sheet, What::Title, &wanted.title);
    }
    if before.emails != after.emails {
        set_list(&mut sheet, &wanted.emails);
    }
    if before.phones != after.phones {
        set_list(&mut sheet, &wanted.phones);
    }
    if before.addresses != after.addresses {
        set_list(&mut sheet, &wanted.addresses);
    }
    if before.urls != after.urls {
        set_list(&mut sheet, &wanted.urls);
    }
    if before.birthday != after.birthday {
        set_birthday(&mut sheet, &wanted.birthday);
    }
    if before.note != after.note {
        set_note(&mut sheet, &wanted.note);
    }
    if before.categories != after.categories {
        set_categories(&mut sheet, &wanted.categories);
    }
    sheet.finish(card.len())
}

/// A new card, of vCard 4.0.
pub fn create(fields: &CardFields, uid: &Uid) -> Vec<u8> {
    let mut fields = fields.clone().tidy();
    fields.name.formatted = fields.formatted();
    let mut frame = Writer::default();
    frame.raw("BEGIN:VCARD");
    frame.raw("VERSION:4.0");
    frame.property(&Property::new("UID", uid.as_str()));
    frame.raw("END:VCARD");
    edit(&frame.finish(), &CardFields::default(), &fields)
}

impl CardFields {
    /// What FN says, which must say something (RFC 6350 §6.2.1): how they are called, else
    /// whatever else tells who it is.
    fn formatted(&self) -> String {
        let name = format!("{} {}", self.name.given, self.name.family);
        let email = self.emails.first().map_or("", |email| &email.value);
        let phone = self.phones.first().map_or("", |phone| &phone.value);
        let names = [&self.name.formatted, name.trim(), &self.organization.name, email, phone, "?"];
        names.into_iter().find(|name| !name.is_empty()).unwrap_or("?").to_owned()
    }
}

/// The components of N, in its order.
fn components(name: &Name) -> [&str; 5] {
    [&name.family, &name.given, &name.additional, &name.prefix, &name.suffix]
}

/// Gives a property another value.
pub(super) fn set_value(property: &mut Property, raw: impl Into<String>) {
    property.value = raw.into();
    let stale =
        |parameter: &Parameter| STALE.iter().any(|name| parameter.is(name)) || parameter.is_bare_encoding();
    property.parameters.retain(|parameter| !stale(parameter));
}

/// A compound value with other texts in its first components. One whose text stays keeps its
/// spelling, one that is a list stays one, and further components stay.
pub(super) fn compound(raw: &str, texts: &[&str]) -> String {
    let mut pieces: Vec<String> = split(raw, ';').map(str::to_owned).collect();
    pieces.resize(pieces.len().max(texts.len()), String::new());
    for (piece, text) in pieces.iter_mut().zip(texts) {
        if shown(piece) != *text {
            let list = split(piece, ',').nth(1).is_some();
            let escaped = |text: &str| escape(text).into_owned();
            *piece =
                if list { text.split(',').map(escaped).collect::<Vec<_>>().join(",") } else { escaped(text) };
        }
    }
    pieces.join(";")
}

/// The row of the property that is shown, of those that a card should have once.
fn shown_row(sheet: &Sheet<'_>, what: What) -> Option<usize> {
    let ranked = sheet.all(what).map(|(at, property)| (rank(&property.parameters, &property.value), at));
    ranked.min().map(|(_, at)| at)
}

/// Takes out every row that says this, but one.
fn remove_others(sheet: &mut Sheet<'_>, what: What, kept: Option<usize>) {
    let rows: Vec<_> = sheet.all(what).map(|(at, _)| at).filter(|at| Some(*at) != kept).collect();
    rows.into_iter().for_each(|at| sheet.remove(at));
}

/// The property that is shown, made if there is none, with another raw value.
fn set_raw(sheet: &mut Sheet<'_>, what: What, raw: String) {
    match shown_row(sheet, what) {
        Some(at) => {
            if let Some(property) = sheet.change(at) {
                set_value(property, raw);
            }
        }
        None => sheet.insert(sheet.place_of(what), Property::new(what.name(), raw)),
    }
}

/// A text that a card has once. Without one, all its versions and translations go.
fn set_text(sheet: &mut Sheet<'_>, what: What, text: &str) {
    match text {
        "" => remove_others(sheet, what, None),
        text => set_raw(sheet, what, escape(text).into_owned()),
    }
}

fn raw_value(sheet: &Sheet<'_>, what: What) -> String {
    let at = shown_row(sheet, what);
    let found = sheet.all(what).find(|(row, _)| Some(*row) == at);
    found.map_or_else(String::new, |(_, property)| property.value.clone())
}

/// N. vCard 3.0 must have one (RFC 2426 §3.1.2), so it is emptied and not taken out.
fn set_name(sheet: &mut Sheet<'_>, name: &Name) {
    let texts = components(name);
    let raw = compound(&raw_value(sheet, What::Name), &texts);
    if texts.iter().all(|text| text.is_empty()) {
        remove_others(sheet, What::Name, shown_row(sheet, What::Name));
    }
    set_raw(sheet, What::Name, raw);
}

fn set_organization(sheet: &mut Sheet<'_>, organization: &Organization, units: bool) {
    if *organization == Organization::default() {
        return remove_others(sheet, What::Organization, None);
    }
    let mut raw = raw_value(sheet, What::Organization);
    let mut texts = vec![organization.name.as_str()];
    if units {
        texts.extend(organization.units.iter().map(String::as_str));
        // What stood behind the last unit is none any more.
        raw = split(&raw, ';').take(texts.len()).collect::<Vec<_>>().join(";");
    }
    set_raw(sheet, What::Organization, compound(&raw, &texts));
}

/// KIND, or what Apple's programs write in its place in vCard 3.0 (VC-22, VC-36).
fn set_kind(sheet: &mut Sheet<'_>, wanted: Kind) {
    let rows = |what, wrong: &dyn Fn(&Property) -> bool| -> Vec<usize> {
        sheet.all(what).filter(|(_, property)| wrong(property)).map(|(at, _)| at).collect()
    };
    let mut kinds = rows(What::Kind, &|property| kind(&property.value).is_some()).into_iter();
    let apple = rows(What::AppleKind, &|property| kind(&property.value) != Some(wanted));
    let company = rows(What::ShowAs, &|property| is_company(&property.value) && wanted != Kind::Org);
    apple.into_iter().chain(company).for_each(|at| sheet.remove(at));
    if let Some(property) = kinds.next().and_then(|at| sheet.change(at)) {
        wanted.word().clone_into(&mut property.value);
        return kinds.for_each(|at| sheet.remove(at));
    }
    let said = sheet.all(What::AppleKind).next().is_some()
        || sheet.all(What::ShowAs).any(|(_, property)| is_company(&property.value));
    let (what, value) = match (wanted, sheet.version()) {
        (Kind::Individual, _) => return,
        (_, Version::V4) => (What::Kind, wanted.word()),
        (Kind::Org, Version::V3) => (What::ShowAs, "COMPANY"),
        (Kind::Group, Version::V3) => (What::AppleKind, "group"),
    };
    if !said {
        sheet.insert(sheet.place_of(what), Property::new(what.name(), value));
    }
}

/// BDAY: basic form in vCard 4.0; in 3.0 whole extended dates, with Apple's year for none (VC-20).
fn set_birthday(sheet: &mut Sheet<'_>, text: &str) {
    if text.is_empty() {
        return remove_others(sheet, What::Birthday, None);
    }
    let version = sheet.version();
    match shown_row(sheet, What::Birthday) {
        Some(at) => {
            if let Some(property) = sheet.change(at) {
                write_birthday(property, text, version);
            }
        }
        None => {
            let mut property = Property::new(What::Birthday.name(), "");
            write_birthday(&mut property, text, version);
            sheet.insert(sheet.place_of(What::Birthday), property);
        }
    }
}

fn write_birthday(property: &mut Property, text: &str, version: Version) {
    for parameter in ["VALUE", OMIT_YEAR, TIME] {
        property.take(parameter);
    }
    let raw = match (whole_date(text, None), version) {
        (Some((Some(year), month, day)), Version::V4) => format!("{year:04}{month:02}{day:02}"),
        (Some((None, month, day)), Version::V4) => format!("--{month:02}{day:02}"),
        (Some((year, month, day)), Version::V3) => {
            if year.is_none() {
                property.set(OMIT_YEAR, NO_YEAR.to_string());
            }
            format!("{:04}-{month:02}-{day:02}", year.unwrap_or(NO_YEAR))
        }
        (None, _) => {
            property.set("VALUE", "text");
            escape(text).into_owned()
        }
    };
    set_value(property, raw);
}

/// NOTE. Several are one text to the office, and become one when that is changed.
fn set_note(sheet: &mut Sheet<'_>, text: &str) {
    let said = |property: &Property| !shown(&property.value).is_empty();
    let mut rows: Vec<_> =
        sheet.all(What::Note).filter(|(_, property)| said(property)).map(|(at, _)| at).collect();
    if text.is_empty() {
        return rows.into_iter().for_each(|at| sheet.remove(at));
    }
    let raw = escape(text).into_owned();
    if rows.is_empty() {
        return sheet.insert(sheet.place_of(What::Note), Property::new("NOTE", raw));
    }
    rows.drain(1..).for_each(|at| sheet.remove(at));
    if let Some(property) = rows.first().and_then(|at| sheet.change(*at)) {
        set_value(property, raw);
    }
}

/// CATEGORIES: words that stay keep their line and spelling, new ones go to the last line.
fn set_categories(sheet: &mut Sheet<'_>, wanted: &[String]) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in wanted {
        *counts.entry(word).or_default() += 1;
    }
    let mut lines: Vec<(usize, usize, Vec<String>)> = Vec::new();
    let mut order: Vec<String> = Vec::new();
    for (at, property) in sheet.all(What::Categories) {
        let (mut words, mut kept) = (0, Vec::new());
        for (raw, text) in categories(&property.value) {
            words += 1;
            if let Some(count) = counts.get_mut(text.as_str()).filter(|count| **count > 0) {
                *count -= 1;
                kept.push(raw.to_owned());
                order.push(text);
            }
        }
        lines.push((at, words, kept));
    }
    let new: usize = counts.values().sum();
    let (_, new) = wanted.split_at_checked(wanted.len() - new).unwrap_or_default();
    order.extend_from_slice(new);
    // In another order, all go on one line.
    let in_order = order == wanted;
    if !in_order {
        lines.iter_mut().for_each(|(_, _, kept)| kept.clear());
    }
    let escaped = |words: &[String]| words.iter().map(|word| escape(word).into_owned()).collect();
    let mut added: Vec<String> = escaped(if in_order { new } else { wanted });
    if lines.is_empty() && !added.is_empty() {
        let property = Property::new("CATEGORIES", added.join(","));
        return sheet.insert(sheet.place_of(What::Categories), property);
    }
    for (at, words, mut kept) in lines.into_iter().rev() {
        let same = added.is_empty() && kept.len() == words;
        kept.append(&mut added);
        if kept.is_empty() && words > 0 {
            sheet.remove(at);
        } else if !same && let Some(property) = sheet.change(at) {
            set_value(property, kept.join(","));
        }
    }
}

#[cfg(test)]
mod tests;
