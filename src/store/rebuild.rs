//! Writes the objects of an archive into a new store: opens each row once, gives it the slot that
//! its key has now, and derives what archives do not hold. Whether and what is restored is
//! `restore.rs`'s.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::domain::id::{CollectionId, CollectionKind, ContactId, MemberName, Revision, Uid};

use super::archive::keyring::Keyring;
use super::archive::record::{Kind, Object, Row};
use super::engine::Write;
use super::entropy::Entropy;
use super::erase::blocking;
use super::keyslots::{DataKey, Slot};
use super::owner::Owner;
use super::restore::{Restored, Structure, put};
use super::rows::{AccountRow, AppPasswordRow, CardRow, ChangeRow, CollectionRow, PropertiesRow, UidRow};
use super::seal::Sealer;
use super::{Store, StoreError};
use super::{codec, keys, number};

mod beside;
mod home;

/// A store in the making.
pub(super) struct Rebuild<'a> {
    store: Store,
    keyring: &'a Keyring,
    told: Restored,
    /// The homes that are restored.
    homes: HashSet<[u8; 16]>,
    /// The books that are restored, and how many changes their logs have.
    books: HashMap<CollectionId, u64>,
    /// Those of them that are calendars.
    calendars: HashSet<CollectionId>,
    /// To whom they belong.
    owners: HashMap<CollectionId, [u8; 16]>,
    /// The contacts that came.
    seen: HashSet<[u8; 16]>,
    /// Slots whose owner is not restored after all.
    spoilt: Vec<Slot>,
    /// The highest number of the events that came.
    told_of: u64,
    /// The newest numbers of contacts, by their series.
    newest: HashMap<u8, u64>,
    /// The contact that was written last, and its key slot.
    last: Option<(ContactId, Owner, Slot)>,
}

/// Why an object is not restored.
enum Miss {
    /// It does not open, or contradicts itself.
    Damaged,
    /// What it belongs to is not there.
    Homeless,
    /// The store's fault.
    Failed(StoreError),
}

impl From<StoreError> for Miss {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged(_) | StoreError::Erased => Self::Damaged,
            error => Self::Failed(error),
        }
    }
}

/// A book that may be restored, once a home has a place for it.
struct Candidate {
    row: CollectionRow,
    slot: Slot,
    writes: Vec<Write>,
    placed: bool,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(store: Store, keyring: &'a Keyring, told: Restored) -> Self {
        let (homes, books, owners) = (HashSet::new(), HashMap::new(), HashMap::new());
        let (seen, spoilt) = (HashSet::new(), Vec::new());
        let (calendars, newest) = (HashSet::new(), HashMap::new());
        let (told_of, last) = (0, None);
        Self { store, keyring, told, homes, books, calendars, owners, seen, spoilt, told_of, newest, last }
    }

    /// What was made.
    pub(super) fn done(self) -> (Store, Restored) {
        (self.store, self.told)
    }

    /// Puts the owners' keys into slots; those without one are counted.
    async fn install(&mut self, owners: Vec<Owner>) -> Result<HashMap<Owner, Slot>, StoreError> {
        let mut wanted = Vec::new();
        let mut given = Vec::new();
        for owner in owners {
            match self.keyring.key(&owner) {
                Some(key) => {
                    wanted.push(owner);
                    given.push(DataKey::new(*key));
                }
                None if self.keyring.erased_at(&owner).is_some() => self.told.erased += 1,
                None => self.told.keyless += 1,
            }
        }
        let slots = self.store.sealer.slots().clone();
        let found = blocking(move || slots.install(&given)).await?;
        Ok(wanted.into_iter().zip(found).collect())
    }

    /// Counts an object that is not restored, and gives up its slot.
    fn miss(&mut self, slot: Option<Slot>, miss: Miss) -> Result<(), StoreError> {
        match miss {
            Miss::Damaged => self.told.damaged += 1,
            Miss::Homeless => self.told.homeless += 1,
            Miss::Failed(error) => return Err(error),
        }
        self.spoilt.extend(slot);
        Ok(())
    }

    /// Writes, and destroys the keys of what was given up.
    async fn write(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let spoilt = std::mem::take(&mut self.spoilt);
        if !spoilt.is_empty() {
            let slots = self.store.sealer.slots().clone();
            blocking(move || slots.destroy(&spoilt)).await?;
        }
        self.store.write(writes).await
    }

    /// Writes accounts, homes and books.
    pub(super) async fn structure(
        &mut self,
        parts: Structure,
        entropy: &dyn Entropy,
    ) -> Result<(), StoreError> {
        let Structure { marks, accounts, passwords, homes, books } = parts;
        let collections = homes.values().chain(books.values()).filter_map(|rows| rows.first());
        let owners = accounts.values().chain(collections).map(|row| row.owner).collect();
        let slots = self.install(owners).await?;
        let slot_of = |rows: &[Row]| rows.first().and_then(|row| slots.get(&row.owner)).copied();
        let mut writes = Vec::new();
        for (key, value) in marks {
            match self.laid_down(&key, &value) {
                Ok(Some(value)) => writes.push(put(key, value)),
                Ok(None) => {}
                Err(error) => self.miss(None, error)?,
            }
        }
        let mut known = HashMap::new();
        for row in accounts.into_values() {
            let Some(slot) = slots.get(&row.owner).copied() else { continue };
            match self.account(&row, slot) {
                Ok((account, value)) => {
                    writes.extend([put(row.key.clone(), value), self.slot_row(slot, row.owner)]);
                    known.insert(account.id, (account, slot));
                    self.told.accounts += 1;
                }
                Err(miss) => self.miss(Some(slot), miss)?,
            }
        }
        for row in passwords.into_values() {
            // One of an account that is not there was counted with it.
            let Some((_, slot)) = known.get(&row.owner.id) else { continue };
            match self.password(&row, *slot) {
                Ok(rows) => writes.extend(rows),
                Err(miss) => self.miss(None, miss)?,
            }
        }
        let mut candidates = HashMap::new();
        for rows in books.into_values() {
            let Some(slot) = slot_of(&rows) else { continue };
            match self.collection(&rows, slot, entropy) {
                Ok((id, row, writes)) => {
                    candidates.insert(id, Candidate { row, slot, writes, placed: false });
                }
                Err(miss) => self.miss(Some(slot), miss)?,
            }
        }
        for rows in homes.into_values() {
            let Some(slot) = slot_of(&rows) else { continue };
            match self.home(&rows, slot, &known, &mut candidates, entropy) {
                Ok(rows) => writes.extend(rows),
                Err(miss) => self.miss(Some(slot), miss)?,
            }
        }
        for (account, _) in known.values() {
            for kind in CollectionKind::ALL {
                let home = account.home_of(kind).filter(|home| !self.homes.contains(home.as_bytes()));
                if let Some(home) = home {
                    writes.extend(self.empty_home(account, (home, kind), entropy)?);
                }
            }
        }
        for (id, candidate) in candidates {
            if candidate.placed {
                writes.extend(candidate.writes);
                self.books.insert(CollectionId::from_bytes(id), 0);
                if candidate.row.calendar {
                    self.calendars.insert(CollectionId::from_bytes(id));
                    self.told.calendars += 1;
                } else {
                    self.told.books += 1;
                }
                self.owners.insert(CollectionId::from_bytes(id), candidate.row.owner);
            } else {
                self.miss(Some(candidate.slot), Miss::Homeless)?;
            }
        }
        self.write(writes).await
    }

    /// A mark, the newest number of a series, or what admins and users laid down.
    fn laid_down(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, Miss> {
        if let Some((series, None)) = keys::number_in(key)
            && key == keys::number_counter(series)
        {
            let newest = value.try_into().map(u64::from_be_bytes).map_err(|_| Miss::Damaged)?;
            self.is_given(series, newest);
            return Ok(Some(value.to_vec()));
        }
        let sealer = &self.store.sealer;
        match key.first().copied().and_then(keys::Table::of) {
            // Whether every contact has a record is found out when the store is opened.
            Some(keys::Table::Installation) if key == keys::installation(number::COMPLETE) => Ok(None),
            Some(keys::Table::Installation) => {
                sealer.unmark(key, value)?;
                Ok(Some(value.to_vec()))
            }
            Some(keys::Table::Definition | keys::Table::Job) => {
                if self.keyring.key(&Owner::INSTALLATION).is_none() {
                    return Err(Miss::Damaged);
                }
                let mut value = value.to_vec();
                Sealer::readdress(&mut value, 0, sealer.installation())?;
                sealer.open(super::seal::At::key(key), &value)?;
                Ok(Some(value))
            }
            _ => Err(Miss::Damaged),
        }
    }

    /// A number was given, and is not to be given again; true where that was not known.
    fn is_given(&mut self, series: u8, number: u64) -> bool {
        let newest = self.newest.entry(series).or_default();
        let news = number > *newest;
        *newest = number.max(*newest);
        news
    }

    fn account(&self, row: &Row, slot: Slot) -> Result<(AccountRow, Vec<u8>), Miss> {
        let (account, value): (AccountRow, _) = self.opened(row, slot)?;
        let name = account.principal().ok_or(Miss::Damaged)?;
        let right = row.key == keys::account(&self.store.sealer.principal(&name));
        if right && row.owner == Owner::account(account.id) {
            Ok((account, value))
        } else {
            Err(Miss::Damaged)
        }
    }

    fn password(&self, row: &Row, slot: Slot) -> Result<Vec<Write>, Miss> {
        let (password, value): (AppPasswordRow, _) = self.opened(row, slot)?;
        if row.key != keys::app_password_of(&password.account, &password.id) {
            return Err(Miss::Damaged);
        }
        let by_secret = keys::app_password(&password.secret);
        let again = self.store.sealer.encode_sealed(slot, &by_secret, &password)?;
        Ok(vec![put(row.key.clone(), value), put(by_secret, again)])
    }

    /// A collection's row, with a new identity, and its properties.
    fn collection(
        &mut self,
        rows: &[Row],
        slot: Slot,
        entropy: &dyn Entropy,
    ) -> Result<([u8; 16], CollectionRow, Vec<Write>), Miss> {
        let (first, rest) = rows.split_first().ok_or(Miss::Damaged)?;
        let id = *codec::collection_in(&first.key)?.as_bytes();
        let row: CollectionRow = self.store.sealer.decode(&first.key, &first.value)?;
        if first.owner != Owner::collection(id) || first.key != keys::collection(CollectionId::from_bytes(id))
        {
            return Err(Miss::Damaged);
        }
        let row = CollectionRow { slot: slot.0, identity: fresh(entropy)?, floor: 0, ..row };
        let mut writes = vec![self.collection_row(id, &row), self.slot_row(slot, first.owner)];
        let of_account = (!row.calendar).then_some(row.owner);
        for written in std::iter::once(id).chain(of_account).map(|id| keys::properties(&id)) {
            for row in rest.iter().filter(|row| row.key == written) {
                match self.opened::<PropertiesRow>(row, slot) {
                    Ok((_, value)) => writes.push(put(row.key.clone(), value)),
                    Err(miss) => self.miss(None, miss).map_err(Miss::Failed)?,
                }
            }
        }
        Ok((id, row, writes))
    }

    /// Writes events under the numbers that they had.
    pub(super) async fn events(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        if self.keyring.key(&Owner::INSTALLATION).is_none() {
            self.told.keyless += rows.len() as u64;
            return Ok(());
        }
        let slot = self.store.sealer.installation();
        let mut writes = Vec::new();
        for row in rows {
            match self.event(&row, slot) {
                Ok((number, value)) => {
                    self.told_of = self.told_of.max(number);
                    writes.push(put(row.key, value));
                }
                Err(miss) => self.miss(None, miss)?,
            }
        }
        writes.push(put(keys::event_counter(), self.told_of.to_be_bytes().to_vec()));
        self.write(writes).await
    }

    fn event(&self, row: &Row, slot: Slot) -> Result<(u64, Vec<u8>), Miss> {
        let number = keys::event_number(&row.key).ok_or(Miss::Damaged)?;
        let mut value = row.value.to_vec();
        Sealer::readdress(&mut value, codec::STAMP, slot)?;
        let placed = row.key == keys::event(number) && codec::stamp(&value)?.0 == number;
        self.store.sealer.decode_event(&value)?;
        if placed { Ok((number, value)) } else { Err(Miss::Damaged) }
    }

    /// Writes contacts, whose keys are put into slots at once.
    pub(super) async fn contacts(&mut self, mut objects: Vec<Object>) -> Result<(), StoreError> {
        let mut owners = Vec::new();
        objects.retain(|object| match object.rows.first() {
            Some(row) if object.kind == Kind::Contact => {
                let new = self.seen.insert(row.owner.id);
                owners.extend(new.then_some(row.owner));
                new
            }
            first => first.is_some(),
        });
        let slots = self.install(owners).await?;
        let mut writes = Vec::new();
        let mut touched = HashSet::new();
        for object in objects {
            if object.kind == Kind::History {
                // That of a contact that was not restored is counted with it.
                if let Some((contact, owner, slot)) = self.last {
                    let theirs = object.rows.iter().filter(|row| row.owner == owner);
                    for row in theirs {
                        writes.extend(self.beside(row, contact, slot)?);
                    }
                }
                continue;
            }
            self.last = None;
            let Some(slot) = object.rows.first().and_then(|row| slots.get(&row.owner)).copied() else {
                continue;
            };
            match self.contact(&object.rows, slot) {
                Ok((book, rows)) => {
                    writes.extend(rows);
                    touched.insert(book);
                    match self.calendars.contains(&book) {
                        true => self.told.objects += 1,
                        false => self.told.contacts += 1,
                    }
                }
                Err(miss) => self.miss(Some(slot), miss)?,
            }
        }
        for book in touched {
            writes.push(counter(book, self.books.get(&book).copied().unwrap_or_default()));
        }
        self.write(writes).await
    }

    fn contact(&mut self, rows: &[Row], slot: Slot) -> Result<(CollectionId, Vec<Write>), Miss> {
        let sealer = self.store.sealer.clone();
        let [card, body, rest @ ..] = rows else { return Err(Miss::Damaged) };
        let mut value = card.value.to_vec();
        Sealer::readdress(&mut value, codec::CARD_AT, slot)?;
        let kept = sealer.decode_card(&card.key, &value)?;
        let book = codec::collection_in(&card.key)?;
        let contact = ContactId::from_bytes(kept.row.contact);
        let name = MemberName::parse(&kept.row.name).map_err(|_| Miss::Damaged)?;
        let member = sealer.member(book.as_bytes(), &name);
        let uid = Uid::new(&kept.row.uid).ok_or(Miss::Damaged)?;
        let placed = card.key == keys::member(book, &member) && body.key == keys::body(book, contact);
        if !placed || card.owner != kept.owner() {
            return Err(Miss::Damaged);
        }
        let mut octets = body.value.to_vec();
        Sealer::readdress(&mut octets, codec::BODY_AT, slot)?;
        let opened = sealer.decode_body(&body.key, Bytes::copy_from_slice(&octets))?;
        let same = opened.member == member && opened.version == kept.row.version;
        if !same || opened.octets.len() as u64 != kept.row.size {
            return Err(Miss::Damaged);
        }
        if !self.books.contains_key(&book) {
            return Err(Miss::Homeless);
        }
        let in_calendar = kept.row.is_calendar_object();
        if in_calendar != self.calendars.contains(&book) {
            return Err(Miss::Damaged);
        }
        let mut writes = vec![self.slot_row(slot, card.owner), put(body.key.clone(), octets)];
        let described = keys::properties(contact.as_bytes());
        for row in rest {
            if row.key == keys::record(contact) && !in_calendar {
                match self.record(row, &kept, slot) {
                    Ok(record) => writes.extend(record),
                    Err(miss) => self.miss(None, miss).map_err(Miss::Failed)?,
                }
                continue;
            }
            let beside = self.beside(row, contact, slot).map_err(Miss::Failed)?;
            if beside.is_empty() && row.key == described {
                let row = CardRow { described: false, ..kept.row.clone() };
                value = sealer.encode_card(slot, kept.number, &card.key, &row)?;
            }
            writes.extend(beside);
        }
        let revision = self.books.entry(book).or_default();
        *revision += 1;
        let revision = *revision;
        let by_uid = keys::uid(book, &sealer.uid(book.as_bytes(), &uid));
        let holder = sealer.encode(&by_uid, &UidRow { member });
        writes.push(put(by_uid, holder));
        writes.extend(self.logged(book, member, card.key.clone(), value, revision));
        self.last = Some((contact, card.owner, slot));
        Ok((book, writes))
    }

    /// A row that is nothing but its envelope, opened, and with its new slot.
    fn opened<T>(&self, row: &Row, slot: Slot) -> Result<(T, Vec<u8>), Miss>
    where
        T: for<'b> minicbor::Decode<'b, ()>,
    {
        let mut value = row.value.to_vec();
        Sealer::readdress(&mut value, 0, slot)?;
        Ok((self.store.sealer.decode_sealed(&row.key, &value)?, value))
    }

    /// A member's row at its new revision, and its line in the log.
    fn logged(
        &self,
        of: CollectionId,
        member: keys::Hash,
        key: Vec<u8>,
        mut value: Vec<u8>,
        revision: u64,
    ) -> [Write; 2] {
        if let Some(stamp) = value.first_chunk_mut::<{ codec::STAMP }>() {
            *stamp = revision.to_be_bytes();
        }
        let line = keys::change(of, Revision(revision));
        let change = self.store.sealer.encode(&line, &ChangeRow { member, removed: false });
        [put(key, value), put(line, change)]
    }

    fn collection_row(&self, id: [u8; 16], row: &CollectionRow) -> Write {
        let key = keys::collection(CollectionId::from_bytes(id));
        let value = self.store.sealer.encode(&key, row);
        put(key, value)
    }

    fn slot_row(&self, slot: Slot, owner: Owner) -> Write {
        put(keys::slot(slot), self.store.sealer.encode_slot(slot, owner))
    }
}

/// A collection's counter of changes.
fn counter(of: CollectionId, revision: u64) -> Write {
    put(keys::revision(of), revision.to_be_bytes().to_vec())
}

/// A new identity for a collection's log.
fn fresh(entropy: &dyn Entropy) -> Result<[u8; 16], StoreError> {
    let mut id = [0; 16];
    entropy.fill(&mut id)?;
    Ok(id)
}
