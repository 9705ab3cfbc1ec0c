//! The calendar object as bytes: its components, what a PUT may bring, what a report may take out.
//! The submitted octets are the truth, as with cards (RFC 4791 §5.3.3, CAL-14); nothing here
//! rewrites them unless a repair is due. Pure: dates, zones and limits arrive as arguments.

mod admit;
pub mod birthday;
pub mod busy;
mod components;
mod edit;
pub mod expand;
pub mod filter;
pub mod instances;
pub mod links;
mod media;
pub mod near;
pub mod overlap;
pub mod recur;
pub mod select;
pub mod split;
pub mod time;
pub mod timezones;
pub mod tree;
pub mod windows;
pub mod yearly;
pub mod zone;

use bytes::Bytes;
use jiff::Timestamp;

use super::id::Uid;

pub use admit::{PRODID, admit};
pub use components::Components;
pub use media::without_media;
pub use tree::{Component, Part, Prop};

/// What a calendar object is about: the one type of component that it holds (RFC 4791 §4.1, CAL-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `VEVENT`, an appointment.
    Event,
    /// `VTODO`, a task.
    Todo,
    /// `VJOURNAL`, an entry of a journal.
    Journal,
    /// `VAVAILABILITY` (RFC 7953), when somebody may be asked.
    Availability,
}

impl Kind {
    /// Every kind, in the order that `supported-calendar-component-set` lists them (CAL-7).
    pub const ALL: [Self; 4] = [Self::Event, Self::Todo, Self::Journal, Self::Availability];

    /// The component's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Event => "VEVENT",
            Self::Todo => "VTODO",
            Self::Journal => "VJOURNAL",
            Self::Availability => "VAVAILABILITY",
        }
    }

    /// The kind of that name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(name))
    }

    /// The kind of a component; `None` for time zones, alarms and everything else.
    pub fn of(component: &Component<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| component.is(kind.word()))
    }
}

/// How large and how involved a calendar object may be (RFC 4791 §5.2.5 to §5.2.9, CAL-9).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The whole object, in bytes: `max-resource-size`.
    pub bytes: usize,
    /// Content lines, after unfolding.
    pub lines: usize,
    /// One unfolded line, in bytes, unless it is a medium (ATTACH, IMAGE, STRUCTURED-DATA).
    pub line_bytes: usize,
    /// How deep components may stand in each other; VCALENDAR is 1.
    pub depth: usize,
    /// Instances that the object itself counts up (COUNT, RDATE, overrides): `max-instances`.
    /// Rules without an end are not refused, since they are evaluated in bounds (CAL-42).
    pub instances: u64,
    /// ATTENDEE properties of one component: `max-attendees-per-instance`.
    pub attendees: usize,
    /// The earliest date of an instance: `min-date-time`.
    pub earliest: Timestamp,
    /// The latest date of an instance: `max-date-time`.
    pub latest: Timestamp,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 10 << 20,
            lines: 100_000,
            line_bytes: 1 << 20,
            depth: 8,
            instances: 100_000,
            attendees: 10_000,
            earliest: Timestamp::MIN,
            latest: Timestamp::MAX,
        }
    }
}

/// A calendar object that may be stored.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The UID of all its components (RFC 4791 §4.1).
    pub uid: Uid,
    /// What it is about.
    pub kind: Kind,
    /// The octets to store.
    pub bytes: Bytes,
    /// True when `bytes` differ from what was submitted, so that no ETag may be returned (HTTP-10).
    pub altered: bool,
}

/// Why a body is not a calendar object that may be stored: a variant per precondition (CAL-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Not content lines between BEGIN:VCALENDAR and END:VCALENDAR: `valid-calendar-data`.
    #[error("the body is not iCalendar")]
    NotACalendar,
    /// A version other than 2.0: `supported-calendar-data`.
    #[error("the iCalendar version is not supported")]
    Version,
    /// iCalendar, but not one calendar object: `valid-calendar-object-resource` (CAL-2, ICAL-6).
    #[error("{0}")]
    NotAnObject(Flaw),
    /// A type of component that no calendar stores: `supported-calendar-component` (CAL-7).
    #[error("the component's type is not supported")]
    Component,
    /// More bytes than `Limits::bytes`: `max-resource-size`.
    #[error("the calendar object is larger than allowed")]
    TooLarge,
    /// More lines, a longer line or deeper components than allowed: `valid-calendar-data`.
    #[error("the calendar object has too many lines, too long a line or too deep components")]
    TooComplex,
    /// More instances than `Limits::instances`: `max-instances`.
    #[error("the calendar object has too many instances")]
    TooManyInstances,
    /// More attendees than `Limits::attendees`: `max-attendees-per-instance`.
    #[error("the calendar object has too many attendees")]
    TooManyAttendees,
    /// A date before `Limits::earliest`: `min-date-time`.
    #[error("the calendar object has a date that is too early")]
    TooEarly,
    /// A date after `Limits::latest`: `max-date-time`.
    #[error("the calendar object has a date that is too late")]
    TooLate,
}

/// What keeps iCalendar from being one calendar object (RFC 4791 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// More than one VCALENDAR.
    #[error("the body holds more than one VCALENDAR")]
    SeveralCalendars,
    /// A METHOD, which only messages between people have.
    #[error("a stored calendar object has no METHOD")]
    Method,
    /// Nothing but time zones, or nothing at all.
    #[error("the calendar object holds no component")]
    Empty,
    /// Components of different types.
    #[error("the calendar object holds components of different types")]
    SeveralKinds,
    /// A component without a UID (ICAL-6).
    #[error("a component has no UID")]
    NoUid,
    /// Components with different UIDs.
    #[error("the calendar object holds components with different UIDs")]
    SeveralUids,
}
