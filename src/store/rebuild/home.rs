//! Homes of an archive: their properties, the places of their own books, and those of others' books.

use std::collections::HashMap;

use crate::domain::id::{CollectionId, CollectionKind, MemberName};

use super::super::StoreError;
use super::super::codec;
use super::super::engine::Write;
use super::super::entropy::Entropy;
use super::super::keys;
use super::super::keyslots::Slot;
use super::super::owner::Owner;
use super::super::rows::{AccountRow, CollectionRow, LinkRow, PropertiesRow};
use super::super::seal::Sealer;
use super::{Candidate, Miss, Rebuild, Row, counter, fresh, put};

/// The place of another's book: the member's name hash, the row, and the rows beside it.
type Mounted = (keys::Hash, Vec<u8>, Vec<Write>);

impl Rebuild<'_> {
    /// The home of an account whose own was lost: an account has one all the same.
    pub(super) fn empty_home(
        &self,
        account: &AccountRow,
        (home, kind): (CollectionId, CollectionKind),
        entropy: &dyn Entropy,
    ) -> Result<[Write; 2], StoreError> {
        let (slot, _) = self.store.sealer.slots().allocate()?;
        let row = CollectionRow {
            owner: account.id,
            home: None,
            created: account.created,
            default: false,
            slot: slot.0,
            identity: fresh(entropy)?,
            floor: 0,
            calendar: kind == CollectionKind::Calendar,
            ..CollectionRow::default()
        };
        let owner = Owner::collection(*home.as_bytes());
        Ok([self.collection_row(*home.as_bytes(), &row), self.slot_row(slot, owner)])
    }

    /// A home with its properties and the places of its books.
    pub(super) fn home(
        &mut self,
        rows: &[Row],
        slot: Slot,
        accounts: &HashMap<[u8; 16], (AccountRow, Slot)>,
        books: &mut HashMap<[u8; 16], Candidate>,
        entropy: &dyn Entropy,
    ) -> Result<Vec<Write>, Miss> {
        let (id, row, mut writes) = self.collection(rows, slot, entropy)?;
        let own = accounts.get(&row.owner).and_then(|(account, _)| account.home_of(row.kind()));
        if own != Some(CollectionId::from_bytes(id)) {
            return Err(Miss::Homeless);
        }
        let mut revision = 0;
        for link in rows.iter().filter(|row| row.key.first() == Some(&(keys::Table::Member as u8))) {
            if link.owner == Owner::collection(id) {
                match self.mount(rows, link, id, slot, books) {
                    Ok(None) => {}
                    Ok(Some((member, value, beside))) => {
                        revision += 1;
                        writes.extend(beside);
                        let home = CollectionId::from_bytes(id);
                        writes.extend(self.logged(home, member, link.key.clone(), value, revision));
                    }
                    Err(miss) => self.miss(None, miss).map_err(Miss::Failed)?,
                }
                continue;
            }
            // Of a book that is not restored nothing is.
            let Some(book) = books.get_mut(&link.owner.id).filter(|book| book.row.home == Some(id)) else {
                continue;
            };
            match self.link(link, id, book.slot) {
                Ok((member, value)) => {
                    revision += 1;
                    book.placed = true;
                    let home = CollectionId::from_bytes(id);
                    writes.extend(self.logged(home, member, link.key.clone(), value, revision));
                }
                Err(miss) => self.miss(None, miss).map_err(Miss::Failed)?,
            }
        }
        writes.extend((revision > 0).then(|| counter(CollectionId::from_bytes(id), revision)));
        self.homes.insert(id);
        Ok(writes)
    }

    /// The place of another's book, and what the home's user wrote on it; `None` where that book is
    /// not restored.
    fn mount(
        &self,
        rows: &[Row],
        link: &Row,
        home: [u8; 16],
        slot: Slot,
        books: &HashMap<[u8; 16], Candidate>,
    ) -> Result<Option<Mounted>, Miss> {
        let (member, place, value) = self.place(link, home, slot)?;
        if !place.mount || !books.contains_key(&place.collection) {
            return Ok(None);
        }
        let mut beside = Vec::new();
        for row in rows.iter().filter(|row| row.key == keys::properties(&member)) {
            let (_, value) = self.opened::<PropertiesRow>(row, slot)?;
            beside.push(put(row.key.clone(), value));
        }
        Ok(Some((member, value, beside)))
    }

    /// A book's place in its home.
    fn link(&self, link: &Row, home: [u8; 16], slot: Slot) -> Result<(keys::Hash, Vec<u8>), Miss> {
        let (member, place, value) = self.place(link, home, slot)?;
        let right = link.owner == Owner::collection(place.collection);
        if right { Ok((member, value)) } else { Err(Miss::Damaged) }
    }

    /// A member's name hash, row and value, opened with the key in a slot.
    fn place(&self, link: &Row, home: [u8; 16], slot: Slot) -> Result<(keys::Hash, LinkRow, Vec<u8>), Miss> {
        let mut value = link.value.to_vec();
        Sealer::readdress(&mut value, codec::LINK_AT, slot)?;
        let (_, place) = self.store.sealer.decode_link(&link.key, &value)?;
        let name = MemberName::parse(&place.name).map_err(|_| Miss::Damaged)?;
        let member = self.store.sealer.member(&home, &name);
        let right = link.key == keys::member(CollectionId::from_bytes(home), &member);
        if right { Ok((member, place, value)) } else { Err(Miss::Damaged) }
    }
}
