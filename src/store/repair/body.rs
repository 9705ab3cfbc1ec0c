//! What the octets of a body tell of the card or calendar object whose row is lost.

use bytes::Bytes;

use crate::domain::format::Format;
use crate::domain::ical;
use crate::domain::id::{CollectionId, MemberName, Uid};
use crate::domain::vcard::{Limits, admit};
use crate::store::rows::CollectionRow;
use crate::store::{StoreError, keys, rows};

use super::Repair;

/// How deep the components of a calendar object may stand in each other: deeper ones were never stored.
const DEPTH: usize = 64;

impl Repair<'_> {
    /// Whether a collection is a calendar; `None` where it is not there.
    pub(super) async fn is_calendar(&mut self, id: CollectionId) -> Result<Option<bool>, StoreError> {
        let key = keys::collection(id);
        let Some(value) = self.see(key.clone()).await? else { return Ok(None) };
        Ok(Some(self.sealer.decode::<CollectionRow>(&key, &value)?.calendar))
    }

    /// What octets tell of the object that they are, which no limit bounds any more.
    pub(super) fn told(&self, octets: &Bytes, name: &MemberName, calendar: bool) -> Option<(Format, Uid)> {
        const MOST: usize = usize::MAX;
        if calendar {
            let limits = ical::Limits {
                bytes: MOST,
                lines: MOST,
                line_bytes: MOST,
                depth: DEPTH,
                instances: u64::MAX,
                attendees: MOST,
                ..ical::Limits::default()
            };
            let admitted = ical::admit(octets, rows::time(self.at), &limits).ok()?;
            return Some((Format::Calendar(admitted.kind), admitted.uid));
        }
        let limits = Limits { bytes: MOST, lines: MOST, line_bytes: MOST };
        let admitted = admit(octets, name, uuid::Uuid::nil(), &limits).ok()?;
        Some((Format::Card(admitted.version), admitted.uid))
    }
}
