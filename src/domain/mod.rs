//! What a contact server knows without doing anything: names, cards, filters, conversion.
//! Pure: no IO, no clock, no randomness, no async; time and ids arrive as arguments.

pub mod class;
pub mod client;
pub mod collation;
pub mod contact;
pub mod convert;
pub mod duplicates;
pub mod event;
pub mod filter;
pub mod format;
mod hidden;
pub mod ical;
pub mod id;
pub mod permission;
pub mod phone;
pub mod scim;
pub mod search;
pub mod token;
pub mod vcard;
