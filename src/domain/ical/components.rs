//! The components that a calendar takes (`supported-calendar-component-set`, RFC 4791 §5.2.3, CAL-7).

use super::Kind;

/// A set of kinds of calendar objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Components(u8);

impl Components {
    /// None: it is no calendar.
    pub const NONE: Self = Self(0);
    /// What a calendar takes where nobody says more: all but availability.
    pub const USUAL: Self = Self(0b0111);

    /// The set of these.
    pub fn of(kinds: &[Kind]) -> Self {
        Self(kinds.iter().fold(0, |bits, kind| bits | bit(*kind)))
    }

    /// As rows keep it.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// As rows keep it: VEVENT 1, VTODO 2, VJOURNAL 4, VAVAILABILITY 8.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether the calendar takes such objects.
    pub fn take(self, kind: Kind) -> bool {
        self.0 & bit(kind) != 0
    }

    /// The kinds, in the order of the table.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.take(*kind))
    }
}

fn bit(kind: Kind) -> u8 {
    match kind {
        Kind::Event => 1,
        Kind::Todo => 2,
        Kind::Journal => 4,
        Kind::Availability => 8,
    }
}
