//! The objects of an archive as records: rows as they lie in the store, each with whose key sealed
//! it. An object that is larger than a record goes on in the next ones.
//!
//! A record: part (1), then bytes of an object; part is 1 for the first record of an object plus 2
//! for the last. An object: kind (1), then rows: owner (21), key's length (2), key, value's length
//! (4), value; numbers are big-endian.

use bytes::Bytes;

use crate::store::owner::Owner;

/// How much of an object a record holds.
const PART: usize = 32 << 20;
/// The largest object: far above what a contact may be, and below what a machine lacks.
const LARGEST: usize = 1536 << 20;
const FIRST: u8 = 1;
const LAST: u8 = 2;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Marks on the installation.
    Installation = 1,
    /// An account.
    Account = 2,
    /// An app password.
    AppPassword = 3,
    /// A home: its row, its and its account's properties, the places of its books.
    Home = 4,
    /// A book: its row and properties.
    Book = 5,
    /// A contact: its place in a book, its body, properties, earlier bodies.
    Contact = 6,
    /// More earlier bodies of the contact before it.
    History = 7,
    /// Some of the events.
    Events = 8,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Installation,
        Self::Account,
        Self::AppPassword,
        Self::Home,
        Self::Book,
        Self::Contact,
        Self::History,
        Self::Events,
    ];
}

/// A row.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose key sealed it; the installation for what is only marked.
    pub owner: Owner,
    /// Its key in the store.
    pub key: Vec<u8>,
    /// Its value, with the slot numbers of the store that it came from.
    pub value: Bytes,
}

/// An object.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its rows.
    pub rows: Vec<Row>,
}

crate::hidden!(Row, Object);

impl Object {
    /// The object as bytes; `None` when it is too large.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let size: usize =
            self.rows.iter().map(|row| Owner::LENGTH + 6 + row.key.len() + row.value.len()).sum();
        if size >= LARGEST {
            return None;
        }
        let mut out = Vec::with_capacity(1 + size);
        out.push(self.kind as u8);
        for row in &self.rows {
            out.extend(row.owner.to_bytes());
            out.extend(u16::try_from(row.key.len()).ok()?.to_be_bytes());
            out.extend(&row.key);
            out.extend(u32::try_from(row.value.len()).ok()?.to_be_bytes());
            out.extend_from_slice(&row.value);
        }
        Some(out)
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
        let mut rows = Vec::new();
        while !rest.is_empty() {
            let (owner, after) = rest.split_at_checked(Owner::LENGTH)?;
            let (length, after) = after.split_first_chunk::<2>()?;
            let (key, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (value, after) = after.split_at_checked(length)?;
            let value = bytes.slice_ref(value);
            rows.push(Row { owner: Owner::from_bytes(owner)?, key: key.to_vec(), value });
            rest = after;
        }
        Some(Self { kind, rows })
    }
}

/// The records that an object is written as.
pub fn records(object: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let last = object.len().div_ceil(PART).saturating_sub(1);
    object.chunks(PART).enumerate().map(move |(at, part)| {
        let first = if at == 0 { FIRST } else { 0 };
        let last = if at == last { LAST } else { 0 };
        let mut record = Vec::with_capacity(1 + part.len());
        record.push(first | last);
        record.extend_from_slice(part);
        record
    })
}

/// Puts objects together again.
#[derive(Default)]
pub struct Assembly {
    parts: Option<Vec<u8>>,
}

/// What a record made.
pub enum Assembled {
    /// An object.
    Whole(Bytes),
    /// Nothing yet.
    Part,
    /// The record belongs to nothing: what is before it was lost.
    Stray,
}

impl Assembly {
    /// Takes the next record.
    pub fn add(&mut self, record: &[u8]) -> Assembled {
        let Some((part, bytes)) = record.split_first() else { return Assembled::Stray };
        let first = part & FIRST != 0;
        let interrupted = self.parts.is_some() == first;
        let parts = if first { Some(Vec::new()) } else { self.parts.take() };
        let Some(mut parts) = parts.filter(|parts| parts.len() + bytes.len() <= LARGEST) else {
            return Assembled::Stray;
        };
        parts.extend_from_slice(bytes);
        if part & LAST != 0 {
            self.parts = None;
            return Assembled::Whole(parts.into());
        }
        self.parts = Some(parts);
        if interrupted { Assembled::Stray } else { Assembled::Part }
    }

    /// Something was lost here: what was begun cannot be ended. Answers whether something was.
    pub fn lose(&mut self) -> bool {
        self.parts.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn assembled(object: &[u8]) -> Option<Bytes> {
        let mut assembly = Assembly::default();
        let mut found = None;
        for record in records(object) {
            if let Assembled::Whole(bytes) = assembly.add(&record) {
                found = Some(bytes);
            }
        }
        found
    }

    #[test]
    fn a_large_object_takes_several_records() {
        let object = vec![7; PART * 2 + 1];
        assert_eq!(records(&object).count(), 3);
        assert_eq!(assembled(&object).unwrap(), object);
        let mut assembly = Assembly::default();
        let parts: Vec<_> = records(&object).collect();
        assert!(matches!(assembly.add(&parts[1]), Assembled::Stray));
        assert!(matches!(assembly.add(&parts[0]), Assembled::Part));
        assert!(assembly.lose());
        assert!(matches!(assembly.add(&parts[2]), Assembled::Stray));
        assert!(!assembly.lose());
    }

    proptest! {
        #[test]
        fn objects_are_read_as_written(
            rows in vec((any::<[u8; 16]>(), vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..300)), 0..5),
        ) {
            let rows = rows.into_iter().map(|(id, key, value)| {
                Row { owner: Owner::contact(id, 3), key, value: value.into() }
            });
            let object = Object { kind: Kind::Contact, rows: rows.collect() };
            let bytes = assembled(&object.encode().unwrap()).unwrap();
            prop_assert!(Object::decode(&bytes).unwrap() == object);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in vec(any::<u8>(), 0..200)) {
            let _ = Object::decode(&bytes.clone().into());
            let _ = Assembly::default().add(&bytes);
        }
    }
}
