//! Cards in the version that they are not stored in, remembered for a while: the phones of one
//! house ask for the same cards one after the other, and converting is the dearest part of giving
//! a card. Bounded in bytes, in memory only, and keyed by entity tag, so that a changed or removed
//! card is never given from here.

use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;

use crate::domain::convert::{CannotConvert, convert};
use crate::domain::id::Etag;
use crate::domain::vcard::Version;

use super::view::ObjectView;

/// How many bytes of converted cards are remembered: some thousands of cards without photos.
pub const REMEMBERED: u64 = 8 << 20;
/// How long one is remembered without being asked for.
const IDLE: Duration = Duration::from_secs(10 * 60);
/// What an entry weighs beside its octets.
const OVERHEAD: usize = 128;

/// The converted cards that are remembered.
pub struct Conversions(Cache<(Etag, Version), Bytes>);

impl Conversions {
    /// Remembers at most so many bytes.
    pub fn new(bytes: u64) -> Self {
        let weight = |_: &(Etag, Version), card: &Bytes| {
            u32::try_from(card.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes).weigher(weight).time_to_idle(IDLE).build())
    }

    /// The card's octets in that version; the stored ones where it is theirs.
    pub fn of(&self, card: &ObjectView, version: Version) -> Result<Bytes, CannotConvert> {
        let stored = || card.body.clone().unwrap_or_default();
        if card.version() == version {
            return Ok(stored());
        }
        let key = (card.etag, version);
        if let Some(known) = self.0.get(&key) {
            return Ok(known);
        }
        let converted = Bytes::from(convert(&stored(), card.version(), version)?);
        self.0.insert(key, converted.clone());
        Ok(converted)
    }
}
