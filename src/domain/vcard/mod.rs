//! The card as bytes: lines, properties, what a PUT may bring, what a report may take out.
//! The submitted octets are the truth (VC-7); nothing here rewrites them unless a repair is due.

mod admit;
pub(in crate::domain) mod charset;
pub mod lines;
mod media;
pub mod parts;
pub mod property;
mod select;
pub mod strict;
pub mod text;
pub mod write;
mod xml_text;

use bytes::Bytes;

pub use admit::admit;
#[cfg(test)]
pub(in crate::domain) use admit::fragments;
pub use media::without_media;
pub use select::{SelectedProperty, Selection, select};
pub use strict::{EXTENSION_PARAMETERS, EXTENSION_PROPERTIES, Verdict, verdict};
pub use xml_text::xml_safe;

use super::id::Uid;

/// A vCard version, read from the body, never from the media type (VC-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// vCard 3.0, RFC 2426.
    V3,
    /// vCard 4.0, RFC 6350.
    V4,
}

/// How large and how involved a card may be (VC-44).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The whole card, in bytes.
    pub bytes: usize,
    /// Content lines, after unfolding.
    pub lines: usize,
    /// One unfolded line, in bytes, unless it is a medium (PHOTO, LOGO, SOUND, KEY).
    pub line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 10 << 20, lines: 10_000, line_bytes: 1 << 20 }
    }
}

/// A card that may be stored.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The version that its body names.
    pub version: Version,
    /// Its UID; the first one where it has several (VC-13).
    pub uid: Uid,
    /// True when it came without a UID and was given one (CARD-3).
    pub invented_uid: bool,
    /// The octets to store.
    pub bytes: Bytes,
    /// True when `bytes` differ from what was submitted, so that no ETag may be returned (HTTP-10).
    pub altered: bool,
}

/// Why a body is not a card that may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Not content lines between BEGIN:VCARD and END:VCARD (CARD-10).
    #[error("the body is not one vCard")]
    NotACard,
    /// More than one vCard (CARD-2).
    #[error("the body holds more than one vCard")]
    Several,
    /// A version that is not stored: 2.1, or one we do not know (CARD-8, VC-14).
    #[error("the vCard's version is not supported")]
    Version,
    /// More bytes than `Limits::bytes` (CARD-9).
    #[error("the vCard is larger than allowed")]
    TooLarge,
    /// More lines, or a longer line, than allowed (VC-44).
    #[error("the vCard has too many lines or too long a line")]
    TooComplex,
}
