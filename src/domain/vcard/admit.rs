//! What a PUT may bring (CARD-2, CARD-3, CARD-10, VC-1, VC-44, D13): one pass over the lines that
//! looks at the frame, VERSION and UID, and repairs only what must be repaired. Must not know HTTP
//! or the other cards of the book.

use bytes::Bytes;
use uuid::Uuid;

use super::charset;
use super::lines::{LineView, RawLine};
use super::parts::{Place, parts};
use super::{Admitted, Limits, NotAdmitted, Version};
use crate::domain::id::{MemberName, Uid};

/// Properties whose value is a medium, which may be longer than other lines (VC-44).
pub(super) const MEDIA: [&str; 4] = ["PHOTO", "LOGO", "SOUND", "KEY"];

/// Decides whether `submitted` may be stored under `name`, repairing what must be repaired: a
/// missing UID (from the name when that is a UUID, else `fresh`; CARD-3) and octets that are not
/// UTF-8 (VC-1). Everything else is kept byte for byte, however odd (D13).
pub fn admit(
    submitted: &Bytes,
    name: &MemberName,
    fresh: Uuid,
    limits: &Limits,
) -> Result<Admitted, NotAdmitted> {
    if submitted.len() > limits.bytes {
        return Err(NotAdmitted::TooLarge);
    }
    let repaired = charset::repair(submitted).map(Bytes::from);
    let text = repaired.as_ref().unwrap_or(submitted);
    if text.len() > limits.bytes {
        return Err(NotAdmitted::TooLarge);
    }
    let survey = Survey::of(text, limits)?;
    let version = survey.version()?;
    let altered = repaired.is_some();
    if let Some(uid) = survey.uid {
        return Ok(Admitted { version, uid, invented_uid: false, bytes: text.clone(), altered });
    }
    let uid = invented_uid(name, fresh).ok_or(NotAdmitted::NotACard)?;
    let bytes = survey.with_uid(text, &uid).into();
    Ok(Admitted { version, uid, invented_uid: true, bytes, altered: true })
}

/// The member name's stem where that is a UUID, as it is spelled, else a fresh UUID (CARD-3).
fn invented_uid(name: &MemberName, fresh: Uuid) -> Option<Uid> {
    let name = name.as_str();
    let stem = match name.len().checked_sub(4).and_then(|at| name.split_at_checked(at)) {
        Some((stem, suffix)) if suffix.eq_ignore_ascii_case(".vcf") => stem,
        _ => name,
    };
    match Uuid::try_parse(stem) {
        Ok(_) if !stem.starts_with('{') => Uid::new(stem),
        _ => Uid::new(fresh.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
    }
}

/// What a VERSION line says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// A version that is stored.
    Stored(Version),
    /// 2.1, which is known and not stored (VC-14).
    Old,
    /// Anything else.
    Unknown,
}

/// What one pass over the lines finds.
#[derive(Default)]
struct Survey<'a> {
    /// The last plausible VERSION, else the last one at all (VC-8).
    said: Option<Said>,
    /// The first UID that is not empty (VC-13).
    uid: Option<Uid>,
    /// Where a UID line goes: after the first VERSION, else after BEGIN.
    slot: usize,
    /// The line end that stands before the slot.
    end: &'a [u8],
    /// Whether the slot is the one after VERSION.
    after_version: bool,
    /// The first UID line without a value, which an invented UID replaces.
    empty_uid: Option<(usize, usize)>,
}

impl<'a> Survey<'a> {
    fn of(text: &'a [u8], limits: &Limits) -> Result<Self, NotAdmitted> {
        let mut survey = Self::default();
        let (mut begun, mut ended) = (false, false);
        let mut parts = parts(text);
        let mut count = 0;
        while let Some((place, line)) = parts.next() {
            count += 1;
            if count > limits.lines || too_long(&line, limits) {
                return Err(NotAdmitted::TooComplex);
            }
            let end = text.len() - parts.rest().len();
            match place {
                Place::Begin if ended => return Err(NotAdmitted::Several),
                Place::Begin => {
                    begun = true;
                    (survey.slot, survey.end) = (end, line.end());
                }
                Place::End => ended = true,
                Place::Own => survey.note(&line, end),
                Place::Nested => {}
                // Blank space around a card is harmless, anything else means that this is not one.
                Place::Outside if line.octets().trim_ascii().is_empty() => {}
                Place::Outside => return Err(NotAdmitted::NotACard),
            }
        }
        if begun && ended { Ok(survey) } else { Err(NotAdmitted::NotACard) }
    }

    /// Notes VERSION and UID; `end` is the line's end in the text.
    fn note(&mut self, line: &RawLine<'a>, end: usize) {
        let interesting =
            |name: &[u8]| name.eq_ignore_ascii_case(b"VERSION") || name.eq_ignore_ascii_case(b"UID");
        if line.head().is_some_and(|(_, name)| !interesting(name)) {
            return;
        }
        let text = line.unfold();
        let Some(view) = LineView::split(&text) else { return };
        if view.is("VERSION") {
            let said = said(view.value.trim_ascii());
            if said != Said::Unknown || self.said.is_none() {
                self.said = Some(said);
            }
            if !self.after_version {
                (self.slot, self.end, self.after_version) = (end, line.end(), true);
            }
        } else if view.is("UID") && self.uid.is_none() {
            let value = std::str::from_utf8(view.value).ok().filter(|uid| !uid.trim().is_empty());
            self.uid = value.and_then(Uid::new);
            if self.uid.is_none() && self.empty_uid.is_none() {
                self.empty_uid = Some((end - line.octets().len(), end));
            }
        }
    }

    /// The version; a card that names none is read as 3.0, the version whose writers forget it.
    fn version(&self) -> Result<Version, NotAdmitted> {
        match self.said {
            None => Ok(Version::V3),
            Some(Said::Stored(version)) => Ok(version),
            Some(Said::Old | Said::Unknown) => Err(NotAdmitted::Version),
        }
    }

    /// The text with a UID line, ended as the card's other lines are.
    fn with_uid(&self, text: &[u8], uid: &Uid) -> Vec<u8> {
        let (from, to) = self.empty_uid.unwrap_or((self.slot, self.slot));
        let (before, after) = (text.get(..from).unwrap_or_default(), text.get(to..).unwrap_or_default());
        [before, b"UID:", uid.as_str().as_bytes(), self.end, after].concat()
    }
}

fn said(value: &[u8]) -> Said {
    match value {
        b"3.0" => Said::Stored(Version::V3),
        b"4.0" => Said::Stored(Version::V4),
        b"2.1" => Said::Old,
        _ => Said::Unknown,
    }
}

/// VC-44: only a line that could be too long is unfolded to be measured.
fn too_long(line: &RawLine<'_>, limits: &Limits) -> bool {
    line.raw_len() > limits.line_bytes && {
        let text = line.unfold();
        let medium = LineView::split(&text).is_some_and(|view| MEDIA.iter().any(|name| view.is(name)));
        text.len() > limits.line_bytes && !medium
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::domain) use tests::fragments;
