//! Whether a component or a property overlaps a time range (RFC 4791 §9.9; CAL-27 to CAL-33).

use jiff::Timestamp;

/// A time range: `start` is in it, `end` is not; one that is missing is without bound (CAL-27).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first instant.
    pub start: Option<Timestamp>,
    /// The first instant after it.
    pub end: Option<Timestamp>,
}
