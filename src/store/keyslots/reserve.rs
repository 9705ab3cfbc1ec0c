//! Slots in the hands of commits that may not come about: they are nobody's to overwrite.

use super::table::Table;
use super::{KeySlots, KeySlotsError, Slot};

impl KeySlots {
    /// As `allocate`, for a commit that may not come about: until `keep` or `release` is called, no
    /// `destroy` touches the slot, whose key is new.
    pub fn reserve(&self) -> Result<Slot, KeySlotsError> {
        self.allocate_with(Table::reserve)
    }

    /// Whether a slot is in the hands of a commit that is on its way.
    pub fn is_reserved(&self, slot: Slot) -> bool {
        self.table().is_reserved(slot.0)
    }

    /// The commit that the slots were reserved for has come about, or may have.
    pub fn keep(&self, slots: &[Slot]) {
        let mut table = self.table_mut();
        slots.iter().for_each(|slot| table.keep(*slot));
    }
}
