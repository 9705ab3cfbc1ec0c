//! Copies of what is compared of contacts to find duplicates, so that nobody waits for the index as long
//! as comparing takes.

use crate::domain::contact::Kind;
use crate::domain::duplicates::{COMPARED, Candidate};
use crate::domain::id::ContactId;
use crate::domain::scim::Packed;

use super::entries::Entry;

/// What is compared of contacts.
#[derive(Default)]
pub(super) struct Copies {
    octets: Vec<u8>,
    /// Which contact, its kind, where its octets end, and which contacts are others.
    of: Vec<(ContactId, Kind, usize, Box<[ContactId]>)>,
}

impl Copies {
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut copies = Self::default();
        for entry in entries {
            Packed(&entry.packed).pack_some(&COMPARED, &mut copies.octets);
            copies.of.push((entry.id, entry.kind, copies.octets.len(), entry.distinct.clone()));
        }
        copies
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        let mut from = 0;
        self.of.iter().map(move |(id, kind, end, distinct)| {
            let octets = self.octets.get(from..*end).unwrap_or_default();
            from = *end;
            Candidate::of(*id, *kind, Packed(octets), distinct)
        })
    }
}
