//! What a look at the store finds wrong, and what would put it right.

use crate::domain::id::{CollectionId, ContactId};
use crate::store::keys::Hash;
use crate::store::keyslots::Slot;
use crate::store::owner::Owner;

/// Something that is wrong. Tells things by their ids and keys, which hold nothing personal.
pub(in crate::store) struct Finding {
    /// What it is about.
    pub(in crate::store) id: Vec<u8>,
    /// What is wrong.
    pub(in crate::store) what: &'static str,
    /// What puts it right.
    pub(in crate::store) mend: Mend,
}

/// The order of repair: what comes later builds on what comes earlier, so after each stage the store
/// is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Stage {
    /// Whose the key slots are.
    Keys,
    /// Collections, and their end.
    Collections,
    /// Logs that lost something, and revision counters.
    Logs,
    /// Cards' rows, and books' places.
    Objects,
    /// What follows from all these.
    Derived,
    /// What belongs to nothing.
    Orphans,
}

impl Stage {
    /// All, in order.
    pub(in crate::store) const ALL: [Self; 6] =
        [Self::Keys, Self::Collections, Self::Logs, Self::Objects, Self::Derived, Self::Orphans];
}

/// A row as it is to be; `None` goes.
pub(in crate::store) type RowWrite = (Vec<u8>, Option<Vec<u8>>);

/// What puts something right.
pub(in crate::store) enum Mend {
    /// Nothing that is known here: it is told and left.
    Nothing,
    /// Rows are written or go, as long as they, and `also`, still are as they were seen.
    Rows {
        /// When.
        stage: Stage,
        /// The rows.
        writes: Vec<RowWrite>,
        /// Rows that they follow from.
        also: Vec<Vec<u8>>,
    },
    /// A key slot is entered as its owner's, once the witness (a row's key) opens with it.
    Slot {
        /// The slot.
        slot: Slot,
        /// Whose it is, where that is known without the witness.
        owner: Option<Owner>,
        /// A row that it seals.
        witness: Option<Vec<u8>>,
    },
    /// A card's row is made from its body.
    Card {
        /// The book.
        book: CollectionId,
        /// The contact.
        contact: ContactId,
    },
    /// A contact without a record gets one, and a number.
    Record {
        /// The book.
        book: CollectionId,
        /// The hash of the card's name.
        member: Hash,
        /// The series and the number of one that leads to it.
        number: Option<(u8, u64)>,
    },
    /// A contact's record says that a number leads to it.
    Number {
        /// The contact.
        contact: ContactId,
        /// The number's series.
        series: u8,
        /// The number.
        number: u64,
    },
    /// A book that has lost its place gets another one.
    Link {
        /// The home.
        home: CollectionId,
        /// The book.
        book: CollectionId,
    },
    /// A member, or its removal, is logged anew.
    Log {
        /// The collection.
        collection: CollectionId,
        /// The member's name hash.
        member: Hash,
        /// It went.
        removed: bool,
    },
}

impl Mend {
    /// A row is written.
    pub(in crate::store) fn put(stage: Stage, key: Vec<u8>, value: Vec<u8>) -> Self {
        Self::Rows { stage, writes: vec![(key, Some(value))], also: Vec::new() }
    }

    /// A row goes.
    pub(in crate::store) fn drop_row(stage: Stage, key: Vec<u8>) -> Self {
        Self::Rows { stage, writes: vec![(key, None)], also: Vec::new() }
    }

    /// When it is due.
    pub(in crate::store) fn stage(&self) -> Option<Stage> {
        Some(match self {
            Self::Nothing => return None,
            Self::Rows { stage, .. } => *stage,
            Self::Slot { .. } => Stage::Keys,
            Self::Card { .. } | Self::Link { .. } => Stage::Objects,
            Self::Log { .. } | Self::Record { .. } | Self::Number { .. } => Stage::Derived,
        })
    }
}
