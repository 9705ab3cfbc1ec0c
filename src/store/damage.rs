//! Damage that reads come upon: it is counted and logged, and costs the object that it struck and
//! no other. A value is damaged when it is not what was written there, or when its data key cannot
//! be read; a value whose owner was erased after the snapshot was taken is neither damaged nor there.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::domain::id::{CollectionId, MemberName};

use super::StoreError;
use super::codec::{self, ObjectPlace};
use super::keys::{self, Table};
use super::keyslots::Slot;
use super::owner::Kind;
use super::query::Reader;
use super::rows::CollectionRow;

/// How many damaged values are told apart in the log; of more than that `check` tells.
const TOLD: usize = 1024;

/// What a snapshot shows at a place.
#[derive(Debug, Clone)]
pub enum Found<T> {
    /// Nothing, or nothing any more.
    Absent,
    /// What is there.
    Whole(T),
    /// Something that cannot be opened, with its name where that could be made out.
    Damaged(Option<MemberName>),
}

impl<T> Found<T> {
    /// What is there, for whom damage is the end.
    pub fn whole(self) -> Result<Option<T>, StoreError> {
        match self {
            Self::Absent => Ok(None),
            Self::Whole(found) => Ok(Some(found)),
            Self::Damaged(_) => Err(StoreError::Damaged("what is asked for cannot be opened")),
        }
    }

    /// What is there and not damaged.
    pub fn readable(self) -> Option<T> {
        match self {
            Self::Whole(found) => Some(found),
            Self::Absent | Self::Damaged(_) => None,
        }
    }

    /// Whether something is there.
    pub fn is_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// The damage that was noticed since the start.
#[derive(Default)]
pub struct Damages {
    total: AtomicU64,
    seen: Mutex<HashMap<Vec<u8>, u64>>,
}

impl Damages {
    /// How often a damaged value was read.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts a damaged value.
    pub(super) fn count(&self) {
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a damaged value and logs it: at first, and then ever more rarely, since a client
    /// that polls comes upon it again and again.
    pub(super) fn note(&self, key: &[u8], what: &StoreError) {
        self.count();
        let times = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.len() >= TOLD && !seen.contains_key(key) {
                return;
            }
            let times = seen.entry(key.to_vec()).or_default();
            *times = times.saturating_add(1);
            *times
        };
        // 1, 16, 256, 4096 and so on.
        if !times.is_power_of_two() || times.trailing_zeros() % 4 != 0 {
            return;
        }
        let table = key.first().copied().and_then(Table::of);
        let table = table.map_or_else(|| "unknown".to_owned(), |table| format!("{table:?}"));
        let row: String = key.iter().skip(1).map(|byte| format!("{byte:02x}")).collect();
        tracing::error!(
            table,
            row,
            times,
            "{what}; the rest is served: run `cardkeep check`, then `cardkeep check --repair`"
        );
    }
}

/// A value that could not be opened.
pub(super) struct Broken {
    /// Its place among what was asked for.
    pub(super) at: usize,
    key: Vec<u8>,
    value: Vec<u8>,
    error: StoreError,
    /// The key slot that it names, where that slot is free.
    free: Option<Slot>,
}

impl Broken {
    /// Takes note of a failure; failures of the engine are handed back. `slot` finds the key slot
    /// that a value of this kind names.
    pub(super) fn of(
        at: usize,
        key: &[u8],
        value: &[u8],
        error: StoreError,
        slot: fn(&[u8]) -> Result<Slot, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut broken = Self::without_value(at, key, error, slot(value).ok())?;
        broken.value = value.to_vec();
        Ok(broken)
    }

    /// Takes note of a failure to open a value that is too large to be kept.
    pub(super) fn without_value(
        at: usize,
        key: &[u8],
        error: StoreError,
        slot: Option<Slot>,
    ) -> Result<Self, StoreError> {
        let free = match error {
            StoreError::Damaged(_) => None,
            StoreError::Erased => slot,
            other => return Err(other),
        };
        Ok(Self { at, key: key.to_vec(), value: Vec::new(), error, free })
    }
}

impl Reader {
    /// Of values that could not be opened those that are damaged, each noted. The others were erased
    /// after the snapshot was taken: in the snapshot, their key slot was in use. A free slot that was
    /// not is a damaged number, and what names it must not pass for erased.
    pub(super) async fn damaged(&self, mut broken: Vec<Broken>) -> Result<Vec<Broken>, StoreError> {
        let slots: Vec<_> = broken.iter().filter_map(|broken| broken.free).map(keys::slot).collect();
        let mut in_use = self.get(slots).await?.into_iter().map(|row| row.is_some());
        broken.retain(|broken| broken.free.is_none() || !in_use.next().unwrap_or_default());
        let smart = self.smart_among(&broken).await?;
        broken.retain(|broken| !keys::owner(&broken.key).is_some_and(|of| smart.contains(&of)));
        for broken in &broken {
            let what = match &broken.error {
                StoreError::Erased => &StoreError::Damaged("a value names a data key that is not there"),
                other => other,
            };
            self.damages().note(&broken.key, what);
        }
        Ok(broken)
    }

    /// Of the books of broken cards the smart ones: what they show of a contact goes with its key, and is
    /// there again when the contact still is.
    async fn smart_among(&self, broken: &[Broken]) -> Result<HashSet<[u8; 16]>, StoreError> {
        let cards = [Some(Table::Member), Some(Table::Body)];
        let lies = broken.iter().filter(|one| cards.contains(&one.key.first().copied().and_then(Table::of)));
        let books: HashSet<[u8; 16]> = lies.filter_map(|broken| keys::owner(&broken.key)).collect();
        let wanted: Vec<_> =
            books.into_iter().map(|id| (id, keys::collection(CollectionId::from_bytes(id)))).collect();
        let rows = self.get(wanted.iter().map(|(_, key)| key.clone()).collect()).await?;
        let smart = |((id, key), row): ((&[u8; 16], &Vec<u8>), Option<bytes::Bytes>)| {
            let row = self.sealer().decode::<CollectionRow>(key, &row?).ok()?;
            row.smart.map(|_| *id)
        };
        Ok(wanted.iter().map(|(id, key)| (id, key)).zip(rows).filter_map(smart).collect())
    }

    /// One value as it was read; `None` where it was erased after the snapshot was taken.
    pub(super) async fn one<T>(
        &self,
        key: &[u8],
        value: &[u8],
        read: Result<T, StoreError>,
        slot: fn(&[u8]) -> Result<Slot, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let broken = match read {
            Ok(row) => return Ok(Some(row)),
            Err(error) => Broken::of(0, key, value, error, slot)?,
        };
        match self.damaged(vec![broken]).await?.pop() {
            Some(Broken { error: StoreError::Erased, .. }) => {
                Err(StoreError::Damaged("a value names a data key that is not there"))
            }
            Some(broken) => Err(broken.error),
            None => Ok(None),
        }
    }

    /// The name of a card whose row cannot be opened. Its body has the name a second time; the
    /// contact, which finds the body, stands in clear in front of the row, and the slot that the row
    /// names has the contact as its owner. The name's hash, which is in the row's key, tells whether
    /// it is this card's.
    pub(super) async fn name_in_body(
        &self,
        book: CollectionId,
        broken: &Broken,
    ) -> Result<Option<MemberName>, StoreError> {
        let Some(member) = keys::item(&broken.key) else { return Ok(None) };
        let mut contacts: Vec<_> = codec::card_contact(&broken.value).into_iter().collect();
        if let Ok(place) = ObjectPlace::read(&broken.value) {
            let owner = match self.owner_of(place.slot).await {
                Err(StoreError::Damaged(_)) => None,
                owner => owner?,
            };
            let owner = owner.filter(|owner| owner.kind == Kind::Contact);
            contacts.extend(owner.map(|owner| crate::domain::id::ContactId::from_bytes(owner.id)));
            contacts.dedup();
        }
        for contact in contacts {
            let key = keys::body(book, contact);
            let Some(value) = self.get(vec![key.clone()]).await?.pop().flatten() else { continue };
            let body = self.sealer().decode_body(&key, value);
            let name = body.ok().and_then(|body| MemberName::parse(&body.name).ok());
            let hash = |name: &MemberName| self.sealer().member(book.as_bytes(), name);
            if let Some(name) = name.filter(|name| hash(name) == member) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_read_is_counted_and_few_values_are_told_apart() {
        let damages = Damages::default();
        for at in 0..2 * TOLD {
            let key = [&[Table::Body as u8][..], &at.to_be_bytes()].concat();
            damages.note(&key, &StoreError::Damaged("x"));
            damages.note(&key, &StoreError::Damaged("x"));
        }
        assert_eq!(damages.total(), 4 * TOLD as u64);
        assert_eq!(damages.seen.lock().unwrap().len(), TOLD);
    }
}
