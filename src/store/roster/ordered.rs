//! Places of entries in an order that is kept, in pieces that are small enough that one more moves
//! little and large enough that all of them are walked at memory's pace. What the order is by, who
//! asks knows.

use std::cmp::Ordering;

use super::entries::Slot;

/// A piece with more is divided, and two pieces that have no more than half of it together are one.
const MOST: usize = 1_024;

/// Places, in their order.
#[derive(Default)]
pub(super) struct Ordered(Vec<Vec<Slot>>);

impl Ordered {
    /// Adds one; `compare` tells how one that is there stands to it.
    pub(super) fn insert(&mut self, slot: Slot, compare: impl Fn(Slot) -> Ordering) {
        let at = self.piece(&compare).min(self.0.len().saturating_sub(1));
        let Some(piece) = self.0.get_mut(at) else {
            self.0.push(vec![slot]);
            return;
        };
        piece.insert(piece.partition_point(|there| compare(*there).is_lt()), slot);
        if piece.len() > MOST {
            let second = piece.split_off(MOST / 2);
            piece.shrink_to_fit();
            self.0.insert(at + 1, second);
        }
    }

    /// Takes one away; `compare` tells how one that is there stands to it.
    pub(super) fn remove(&mut self, slot: Slot, compare: impl Fn(Slot) -> Ordering) {
        let at = self.piece(&compare);
        let Some(piece) = self.0.get_mut(at) else { return };
        let there = piece.partition_point(|there| compare(*there).is_lt());
        if piece.get(there) == Some(&slot) {
            piece.remove(there);
        }
        let (own, next) = (piece.len(), self.0.get(at + 1).map(Vec::len));
        if own == 0 {
            self.0.remove(at);
        } else if next.is_some_and(|next| own + next <= MOST / 2) {
            let next = self.0.remove(at + 1);
            self.0.get_mut(at).into_iter().for_each(|piece| piece.extend_from_slice(&next));
        }
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.0.iter().flatten().copied()
    }

    /// The first piece that does not end before one.
    fn piece(&self, compare: impl Fn(Slot) -> Ordering) -> usize {
        self.0.partition_point(|piece| piece.last().is_some_and(|last| compare(*last).is_lt()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_and_goes_all_are_in_order(steps in prop::collection::vec((any::<bool>(), 0u32..6_000), 1..9_000)) {
            let (mut ordered, mut plain) = (Ordered::default(), std::collections::BTreeSet::new());
            for (comes, slot) in steps {
                match comes {
                    true if plain.insert(slot) => ordered.insert(slot, |there| there.cmp(&slot)),
                    true => {}
                    false => {
                        plain.remove(&slot);
                        ordered.remove(slot, |there| there.cmp(&slot));
                    }
                }
            }
            prop_assert!(ordered.iter().eq(plain.iter().copied()));
            prop_assert!(ordered.0.iter().all(|piece| !piece.is_empty() && piece.len() <= MOST));
            // Those that are there leave one by one.
            for slot in plain.iter().copied().collect::<Vec<_>>() {
                ordered.remove(slot, |there| there.cmp(&slot));
            }
            prop_assert!(ordered.0.is_empty());
        }
    }
}
