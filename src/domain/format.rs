//! What a stored object is: a card of a version, or a calendar object of a kind.

use super::ical::Kind;
use super::id::CollectionKind;
use super::vcard::Version;

/// What a stored object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A vCard.
    Card(Version),
    /// An iCalendar object.
    Calendar(Kind),
}

/// Every format by the number that rows keep.
const NUMBERS: [(u8, Format); 6] = [
    (3, Format::Card(Version::V3)),
    (4, Format::Card(Version::V4)),
    (11, Format::Calendar(Kind::Event)),
    (12, Format::Calendar(Kind::Todo)),
    (13, Format::Calendar(Kind::Journal)),
    (14, Format::Calendar(Kind::Availability)),
];

impl Format {
    /// The number that rows keep.
    pub fn number(self) -> u8 {
        NUMBERS.iter().find(|(_, format)| *format == self).map_or(0, |(number, _)| *number)
    }

    /// The format of that number; one that is unknown is taken for a card of version 3.
    pub fn of(number: u8) -> Self {
        NUMBERS.iter().find(|(known, _)| *known == number).map_or(Self::Card(Version::V3), |(_, f)| *f)
    }

    /// In what it lies.
    pub fn collection(self) -> CollectionKind {
        match self {
            Self::Card(_) => CollectionKind::AddressBook,
            Self::Calendar(_) => CollectionKind::Calendar,
        }
    }

    /// A card's version.
    pub fn version(self) -> Option<Version> {
        match self {
            Self::Card(version) => Some(version),
            Self::Calendar(_) => None,
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self.collection() {
            CollectionKind::AddressBook => "text/vcard",
            CollectionKind::Calendar => "text/calendar",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_number_of_its_own() {
        for (number, format) in NUMBERS {
            assert_eq!((format.number(), Format::of(number)), (number, format));
        }
        let calendar = NUMBERS.iter().filter(|(_, f)| f.collection() == CollectionKind::Calendar);
        assert!(
            calendar.clone().count() == Kind::ALL.len() && calendar.clone().all(|(number, _)| *number > 10)
        );
    }
}
