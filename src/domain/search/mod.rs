//! What searching looks at: the texts of a card that people search, folded so that neither case nor
//! accents matter, and what is asked of them. Knows cards and filters; where the texts are kept is
//! the store's business.
//!
//! A card's *entry* is one run of octets: each text behind an octet that says which field it is of.
//! Those octets are in no UTF-8, so a text that is looked for is never found across two fields. Notes
//! come last: they are longer than all else and few look for them, so they can be kept apart.

mod entry;
mod fold;
mod needles;
mod phone;
mod terms;

pub use entry::{entry, formatted};
pub use fold::fold;
pub use needles::{Needle, Needles};
pub use phone::{extension, international};
pub use terms::{Mode, Terms};

#[cfg(test)]
pub(crate) mod tests;

/// What a text of an entry is, in the order in which an entry holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    /// FN
    Formatted = FIRST,
    /// N
    Name,
    /// NICKNAME
    Nickname,
    /// EMAIL
    Email,
    /// TEL, as it is written.
    Phone,
    /// TEL, only its digits, in the form of E.164 where that is known.
    Digits,
    /// ORG
    Organisation,
    /// CATEGORIES
    Category,
    /// TITLE
    Title,
    /// ADR
    Address,
    /// NOTE
    Note,
}

/// The least octet that names a field: UTF-8 ends below.
const FIRST: u8 = 0xF5;

/// An octet that is in no entry: what overwrites an entry that is gone.
pub const NOTHING: u8 = 0xC0;

/// The properties whose values are in an entry.
const PROPERTIES: [(&str, Field); 10] = [
    ("FN", Field::Formatted),
    ("N", Field::Name),
    ("NICKNAME", Field::Nickname),
    ("EMAIL", Field::Email),
    ("TEL", Field::Phone),
    ("ORG", Field::Organisation),
    ("CATEGORIES", Field::Category),
    ("TITLE", Field::Title),
    ("ADR", Field::Address),
    ("NOTE", Field::Note),
];

impl Field {
    /// The field that holds a property's value.
    fn of(property: &[u8]) -> Option<Self> {
        let found = PROPERTIES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(property));
        found.map(|(_, field)| *field)
    }
}

/// What of entries may be kept, and searched, apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but notes.
    Head,
    /// Notes.
    Notes,
}

impl Part {
    /// Both, in the order in which an entry holds them.
    pub const ALL: [Self; 2] = [Self::Head, Self::Notes];

    /// The fields that are in it.
    const fn fields(self) -> Fields {
        let notes = Fields::one(Field::Note);
        match self {
            Self::Head => Fields(!notes.0),
            Self::Notes => notes,
        }
    }
}

/// Where an entry's notes begin, or else its end.
pub fn notes_at(entry: &[u8]) -> usize {
    memchr::memchr(Field::Note as u8, entry).unwrap_or(entry.len())
}

/// A set of fields, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields(u16);

impl Fields {
    const ALL: Self = Self(u16::MAX);
    const NAMES: Self =
        Self::one(Field::Formatted).and(Self::one(Field::Name)).and(Self::one(Field::Nickname));
    const PHONES: Self = Self::one(Field::Phone).and(Self::one(Field::Digits));

    const fn one(field: Field) -> Self {
        Self(1 << (field as u8 - FIRST))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the field that this octet names is among them.
    fn hold(self, tag: u8) -> bool {
        tag.checked_sub(FIRST).is_some_and(|bit| self.0 >> bit & 1 == 1)
    }
}

/// The octet that names the field which the text at `at` is of.
fn tag_before(text: &[u8], at: usize) -> Option<u8> {
    text.get(..at)?.iter().rev().copied().find(|octet| *octet >= FIRST)
}

/// Where the text at `at` ends: at the next field, or with the octets.
fn text_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|octet| *octet >= FIRST).unwrap_or(rest.len())
}
