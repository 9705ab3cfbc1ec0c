//! The fields of a card, from its octets: in one pass, whatever the octets are. What a property
//! says is told here, once, for reading and for editing. Knows vCard 3.0 and 4.0, and what Apple's
//! and Microsoft's programs write instead; nothing of records.

use std::borrow::Cow;

use crate::domain::convert::{OMIT_YEAR, whole_date};
use crate::domain::vcard::lines::LineView;
use crate::domain::vcard::parts::{Place, parts};
use crate::domain::vcard::property::Parameter;
use crate::domain::vcard::text::{split, unescape};

use super::{CardFields, Email, Kind, Name, Organization, Phone, PostalAddress, Url};

impl CardFields {
    /// Reads a card's fields. Never fails: what cannot be read is not there.
    pub fn read(card: &[u8]) -> Self {
        let mut reading = Reading::default();
        for (place, line) in parts(card) {
            if place != Place::Own {
                continue;
            }
            match line.head().map(|(_, name)| What::of(name)) {
                Some(None) => continue,
                // A photo is long, and only whether there is one matters.
                Some(Some(What::Photo)) => {
                    reading.fields.has_photo |= !line.octets().trim_ascii_end().ends_with(b":");
                    continue;
                }
                _ => {}
            }
            let line = line.unfold();
            let text = String::from_utf8_lossy(&line);
            if let Some((what, parameters, value)) = property(&text) {
                let parameters: Vec<_> = Parameter::all(parameters).collect();
                reading.take(what, &parameters, value);
            }
        }
        reading.finish()
    }
}

/// The properties whose fields are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Kind,
    AppleKind,
    ShowAs,
    Formatted,
    Name,
    Organization,
    Title,
    Email,
    Phone,
    Address,
    Url,
    Birthday,
    Note,
    Categories,
    Photo,
}

const NAMES: [(&str, What); 15] = [
    ("EMAIL", What::Email),
    ("TEL", What::Phone),
    ("FN", What::Formatted),
    ("N", What::Name),
    ("ADR", What::Address),
    ("ORG", What::Organization),
    ("TITLE", What::Title),
    ("URL", What::Url),
    ("BDAY", What::Birthday),
    ("NOTE", What::Note),
    ("CATEGORIES", What::Categories),
    ("PHOTO", What::Photo),
    ("KIND", What::Kind),
    ("X-ADDRESSBOOKSERVER-KIND", What::AppleKind),
    ("X-ABSHOWAS", What::ShowAs),
];

impl What {
    /// What a property of that name says.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let found = NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        found.map(|(_, what)| *what)
    }

    /// The property's name, as it is usually written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ShowAs => "X-ABShowAs",
            _ => NAMES.iter().find(|(_, what)| *what == self).map_or("", |(name, _)| name),
        }
    }
}

/// A line's property, parameters and value, by the same rules as
/// [`Property::parse`](crate::domain::vcard::property::Property::parse).
fn property(line: &str) -> Option<(What, &str, &str)> {
    let view = LineView::split(line.as_bytes())?;
    let what = What::of(view.name)?;
    let in_group = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.".contains(octet);
    if !view.group.is_none_or(|group| group.iter().all(in_group)) {
        return None;
    }
    let value = line.get(line.len() - view.value.len()..)?;
    Some((what, str::from_utf8(view.parameters).ok()?, value))
}

/// How much a property that a card should have once deserves to be the one that is shown; less is
/// more. An empty one comes last, then the preferred one first (RFC 6350 §5.3).
pub(super) type Rank = (bool, u8);

/// The rank of a property.
pub(super) fn rank(parameters: &[Parameter], value: &str) -> Rank {
    let empty = value.bytes().all(|octet| matches!(octet, b';' | b',') || octet.is_ascii_whitespace());
    (empty, pref(parameters).unwrap_or(u8::MAX))
}

/// What the card has said so far.
#[derive(Default)]
struct Reading {
    fields: CardFields,
    kind: Option<Kind>,
    apple_kind: Option<Kind>,
    company: bool,
    /// The ranks of what the fields have from FN, N, ORG, TITLE and BDAY.
    ranks: [Option<Rank>; 5],
}

impl Reading {
    fn take(&mut self, what: What, parameters: &[Parameter], value: &str) {
        match what {
            What::Kind => self.kind = self.kind.or(kind(value)),
            What::AppleKind => self.apple_kind = self.apple_kind.or(kind(value)),
            What::ShowAs => self.company |= is_company(value),
            What::Email => self.fields.emails.extend(Email::read(parameters, value)),
            What::Phone => self.fields.phones.extend(Phone::read(parameters, value)),
            What::Address => self.fields.addresses.extend(PostalAddress::read(parameters, value)),
            What::Url => self.fields.urls.extend(Url::read(parameters, value)),
            What::Categories => self.fields.categories.extend(categories(value).map(|(_, text)| text)),
            What::Photo => self.fields.has_photo |= !value.trim().is_empty(),
            What::Note => add_note(&mut self.fields.note, value),
            What::Formatted | What::Name | What::Organization | What::Title | What::Birthday => {
                self.take_best(what, parameters, value);
            }
        }
    }

    /// Takes what should be there once.
    fn take_best(&mut self, what: What, parameters: &[Parameter], value: &str) {
        let [formatted, name, organization, title, birthday] = &mut self.ranks;
        let place = match what {
            What::Formatted => formatted,
            What::Name => name,
            What::Organization => organization,
            What::Title => title,
            _ => birthday,
        };
        let rank = rank(parameters, value);
        if place.is_some_and(|taken| taken <= rank) {
            return;
        }
        *place = Some(rank);
        match what {
            What::Formatted => self.fields.name.formatted = shown(value),
            What::Name => {
                let formatted = std::mem::take(&mut self.fields.name.formatted);
                self.fields.name = Name { formatted, ..read_name(value) };
            }
            What::Organization => self.fields.organization = read_organization(value),
            What::Title => self.fields.title = shown(value),
            _ => self.fields.birthday = read_birthday(parameters, value),
        }
    }

    fn finish(mut self) -> CardFields {
        let company = self.company.then_some(Kind::Org);
        self.fields.kind = self.kind.or(self.apple_kind).or(company).unwrap_or_default();
        self.fields
    }
}

/// The text behind a raw value, without white space around it.
pub(super) fn shown(raw: &str) -> String {
    match unescape(raw) {
        Cow::Borrowed(text) => text.trim().to_owned(),
        Cow::Owned(text) => text.trim().to_owned(),
    }
}

/// The kind that KIND or Apple's property names; those that contacts do not have (RFC 6350 §6.1.4:
/// location; RFC 6473: application; RFC 6869: device) count as individuals.
pub(super) fn kind(value: &str) -> Option<Kind> {
    match value.trim().to_ascii_lowercase().as_str() {
        "" => None,
        "group" => Some(Kind::Group),
        "org" => Some(Kind::Org),
        _ => Some(Kind::Individual),
    }
}

/// Whether `X-ABShowAs` says that the card is a company's.
pub(super) fn is_company(value: &str) -> bool {
    value.trim().eq_ignore_ascii_case("COMPANY")
}

/// The words of a CATEGORIES value: raw and as they are shown.
pub(super) fn categories(value: &str) -> impl Iterator<Item = (&str, String)> {
    split(value, ',').map(|raw| (raw, shown(raw))).filter(|(_, text)| !text.is_empty())
}

/// A card may have several notes; they are one text to the office.
fn add_note(note: &mut String, value: &str) {
    let text = unescape(value);
    if text.trim().is_empty() {
        return;
    }
    if !note.is_empty() {
        note.push('\n');
    }
    note.push_str(&text);
}

/// The five components of N; others (RFC 9554 §2.2) are not shown.
pub(super) fn read_name(value: &str) -> Name {
    let mut parts = split(value, ';').map(shown);
    let mut next = || parts.next().unwrap_or_default();
    let (family, given, additional, prefix, suffix) = (next(), next(), next(), next(), next());
    Name { formatted: String::new(), given, family, additional, prefix, suffix }
}

/// ORG: a name, and its units, of which empty ones are not shown.
pub(super) fn read_organization(value: &str) -> Organization {
    let mut parts = split(value, ';').map(shown);
    let name = parts.next().unwrap_or_default();
    Organization { name, units: parts.filter(|unit| !unit.is_empty()).collect() }
}

/// BDAY: a date, with its year where that is known, or what is written (VC-20).
pub(super) fn read_birthday(parameters: &[Parameter], value: &str) -> String {
    let of = |name: &'static str| parameters.iter().filter(move |parameter| parameter.is(name));
    let first = |name| of(name).flat_map(|parameter| parameter.values()).next();
    let text = first("VALUE").is_some_and(|kind| kind.eq_ignore_ascii_case("text"));
    match whole_date(value, first(OMIT_YEAR).map(String::as_str)).filter(|_| !text) {
        Some(date) => show_date(date),
        None => shown(value),
    }
}

/// A date as fields have it.
pub(super) fn show_date(date: (Option<u16>, u8, u8)) -> String {
    match date {
        (Some(year), month, day) => format!("{year:04}-{month:02}-{day:02}"),
        (None, month, day) => format!("--{month:02}-{day:02}"),
    }
}

/// One of those properties that a card may have many of.
pub(super) trait Item: Sized + Clone + PartialEq {
    /// Which property it is.
    const WHAT: What;

    /// Reads it; `None` where it says nothing.
    fn read(parameters: &[Parameter], value: &str) -> Option<Self>;

    /// Its value, by which it is known.
    fn key(&self) -> Cow<'_, str>;

    /// Its types.
    fn types(&self) -> &Vec<String>;

    /// Its preference, where the field shows one.
    fn pref(&self) -> Option<Option<u8>>;
}

/// What somebody is reached by: a value with its types and a preference.
macro_rules! reached_by {
    ($of:ident, $what:expr, $plain:expr) => {
        impl Item for $of {
            const WHAT: What = $what;

            fn read(parameters: &[Parameter], value: &str) -> Option<Self> {
                let value = Some($plain(&shown(value))).filter(|value| !value.is_empty())?;
                Some(Self { value, types: types(parameters, Self::WHAT), pref: pref(parameters) })
            }

            fn key(&self) -> Cow<'_, str> {
                Cow::Borrowed(&self.value)
            }

            fn types(&self) -> &Vec<String> {
                &self.types
            }

            fn pref(&self) -> Option<Option<u8>> {
                Some(self.pref)
            }
        }
    };
}

reached_by!(Email, What::Email, str::to_owned);
reached_by!(Phone, What::Phone, |value: &str| without_scheme(value).to_owned());

impl Item for PostalAddress {
    const WHAT: What = What::Address;

    fn read(parameters: &[Parameter], value: &str) -> Option<Self> {
        let mut parts = split(value, ';').map(shown);
        let mut next = || parts.next().unwrap_or_default();
        let address = Self {
            po_box: next(),
            extended: next(),
            street: next(),
            locality: next(),
            region: next(),
            postal_code: next(),
            country: next(),
            types: types(parameters, Self::WHAT),
            pref: pref(parameters),
        };
        (!address.is_empty()).then_some(address)
    }

    fn key(&self) -> Cow<'_, str> {
        Cow::Owned(self.parts().join("\u{1f}"))
    }

    fn types(&self) -> &Vec<String> {
        &self.types
    }

    fn pref(&self) -> Option<Option<u8>> {
        Some(self.pref)
    }
}

impl Item for Url {
    const WHAT: What = What::Url;

    fn read(parameters: &[Parameter], value: &str) -> Option<Self> {
        let value = Some(shown(value)).filter(|value| !value.is_empty())?;
        Some(Self { value, types: types(parameters, Self::WHAT) })
    }

    fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.value)
    }

    fn types(&self) -> &Vec<String> {
        &self.types
    }

    fn pref(&self) -> Option<Option<u8>> {
        None
    }
}

impl PostalAddress {
    /// Its components, in the order of ADR (RFC 6350 §6.3.1).
    pub fn parts(&self) -> [&str; 7] {
        [
            &self.po_box,
            &self.extended,
            &self.street,
            &self.locality,
            &self.region,
            &self.postal_code,
            &self.country,
        ]
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.parts().iter().all(|part| part.is_empty())
    }
}

/// A number without `tel:` (RFC 3966).
pub(super) fn without_scheme(value: &str) -> &str {
    let mut number = value.trim();
    while let Some((_, rest)) =
        number.split_at_checked(4).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("tel:"))
    {
        number = rest.trim();
    }
    number
}

/// Whether a type is not shown as one: `pref` is a preference, and every address of vCard 3.0 is of
/// the internet.
pub(super) fn is_silent(kind: &str, what: What) -> bool {
    kind.eq_ignore_ascii_case("pref") || (what == What::Email && kind.eq_ignore_ascii_case("internet"))
}

/// The types, in lower case and each once (VC-16).
pub(super) fn types(parameters: &[Parameter], what: What) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for kind in words(parameters).filter(|kind| !is_silent(kind, what)) {
        let kind = kind.to_lowercase();
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    types
}

/// PREF, or `TYPE=pref` (VC-17).
pub(super) fn pref(parameters: &[Parameter]) -> Option<u8> {
    let numbers = parameters.iter().filter(|parameter| parameter.is("PREF")).flat_map(Parameter::values);
    let mut numbers = numbers.filter_map(|number| number.trim().parse().ok());
    let number = numbers.find(|number| (1..=100).contains(number));
    number.or_else(|| words(parameters).any(|kind| kind.eq_ignore_ascii_case("pref")).then_some(1))
}

/// Every type, as [`Property::types`](crate::domain::vcard::property::Property::types) finds them.
fn words(parameters: &[Parameter]) -> impl Iterator<Item = &str> {
    let lists = parameters.iter().filter(|parameter| parameter.is_type()).flat_map(Parameter::values);
    lists.flat_map(|list| list.split(',')).map(str::trim).filter(|kind| !kind.is_empty())
}

#[cfg(test)]
mod tests;
