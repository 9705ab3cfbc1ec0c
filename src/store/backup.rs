//! Backups: everything that is not derived, of one snapshot, sealed as it lies; nothing is opened. And
//! the keyring of now, which opens it. What became of it is `restore.rs`'s.
//!
//! Accounts and collections are written twice, first and last: without them nobody finds a contact.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc::Sender;

use crate::domain::id::{CollectionId, CollectionKind, ContactId};

use super::archive::block::{Counts, FORMAT as ARCHIVE, Header, Writer};
use super::archive::record::{self, Kind, Object, Row};
use super::codec::{self, ObjectPlace};
use super::engine::{Extent, KeyRange};
use super::entropy::Entropy;
use super::keys::{self, Table};
use super::keyslots::Slot;
use super::owner::{self, Owner};
use super::query::Reader;
use super::rows::{self, CollectionRow};
use super::seal::Sealer;
use super::{FORMAT, FORMAT_ROW, SECRETS, Store, StoreError};

mod keys_of_now;

pub use keys_of_now::KeysOfNow;

/// How many contacts are read at a time, and how many bytes of theirs.
const STEP: usize = 256;
const STEP_BYTES: usize = 4 << 20;
/// How much is gathered before it is handed out.
const HAND_OUT: usize = 256 * 1024;

/// A part of an archive.
pub struct Part {
    /// The next bytes.
    pub bytes: Vec<u8>,
    /// How many objects are done with.
    pub objects: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store's word.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody takes it any more.
    #[error("nobody takes the archive any more")]
    Left,
    /// It does not fit.
    #[error("the archive cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// How much of each kind.
    pub counts: Counts,
    /// Rows that belong to nothing, or whose clear part cannot be read; `check` tells them.
    pub passed_over: u64,
}

/// A row of a scan.
type Pair = (Vec<u8>, Bytes);

impl Store {
    /// About how many objects a backup of now would hold.
    pub async fn objects(&self) -> Result<u64, StoreError> {
        let count = |count: &mut u64, _: &[u8], _: &[u8]| {
            *count += 1;
            Ok(ControlFlow::Continue(()))
        };
        self.read().await?.fold(keys::whole(Table::Slot), Extent::Many, 0, count).await
    }

    /// Hands out an archive of one snapshot. The snapshot lives until all of it is taken.
    pub async fn backup(
        &self,
        at: Timestamp,
        entropy: &dyn Entropy,
        out: &Sender<Part>,
    ) -> Result<BackedUp, BackupError> {
        let mut archive = [0; 8];
        entropy.fill(&mut archive).map_err(StoreError::from)?;
        let header = Header {
            format: ARCHIVE,
            installation: self.sealer.slots().installation(),
            made: rows::micros(at),
            program: concat!("cardkeep ", env!("CARGO_PKG_VERSION")).to_owned(),
            rows: FORMAT,
        };
        let reader = self.read().await?;
        let writer = Writer::new(Vec::new(), archive, &header)?;
        let done = BackedUp::default();
        let mut walk = Walk { reader, sealer: &self.sealer, writer, out, objects: 0, done };
        let (structure, books) = walk.structure().await?;
        for object in &structure {
            walk.put(object).await?;
        }
        for (book, calendar) in books {
            walk.contacts(book, calendar).await?;
        }
        walk.events().await?;
        for object in &structure {
            walk.put(object).await?;
        }
        let Walk { mut writer, done, objects, .. } = walk;
        let mut bytes = std::mem::take(writer.get_mut());
        bytes.append(&mut writer.finish(done.counts)?);
        out.send(Part { bytes, objects }).await.map_err(|_| BackupError::Left)?;
        Ok(done)
    }
}

/// All rows of a range of small ones.
async fn scan(reader: &Reader, range: KeyRange) -> Result<Vec<Pair>, StoreError> {
    reader
        .fold(range, Extent::Many, Vec::new(), |found: &mut Vec<_>, key, value| {
            found.push((key.to_vec(), Bytes::copy_from_slice(value)));
            Ok(ControlFlow::Continue(()))
        })
        .await
}

/// Sealed rows with the owners of their key slots.
async fn with_owners(
    reader: &Reader,
    pairs: Vec<Pair>,
    slot_of: fn(&[u8]) -> Result<Slot, StoreError>,
) -> Result<Vec<(Pair, Option<Owner>)>, StoreError> {
    let slots: Vec<_> = pairs.iter().map(|(_, value)| slot_of(value).ok().map(keys::slot)).collect();
    let mut owners = HashMap::new();
    let wanted: Vec<_> = slots.iter().flatten().cloned().collect();
    for some in wanted.chunks(STEP) {
        let values = reader.get(some.to_vec()).await?;
        for (key, value) in some.iter().zip(values) {
            if let Some(owner) = value.and_then(|value| reader.sealer().decode_slot(key, &value).ok()) {
                owners.insert(key.clone(), owner);
            }
        }
    }
    let owner = |slot: Option<Vec<u8>>| slot.and_then(|slot| owners.get(&slot).copied());
    Ok(pairs.into_iter().zip(slots).map(|(pair, slot)| (pair, owner(slot))).collect())
}

/// A backup in the making.
struct Walk<'a> {
    reader: Reader,
    sealer: &'a Sealer,
    writer: Writer<Vec<u8>>,
    out: &'a Sender<Part>,
    objects: u64,
    done: BackedUp,
}

impl Walk<'_> {
    /// Accounts and collections as objects, and the books to walk through; of each, whether it is a
    /// calendar.
    async fn structure(&mut self) -> Result<(Vec<Vec<u8>>, Vec<(CollectionId, bool)>), BackupError> {
        let mut objects = Vec::new();
        let marks = scan(&self.reader, keys::whole(Table::Installation)).await?;
        let own = [keys::installation(FORMAT_ROW), keys::installation(SECRETS)];
        let marks = marks.into_iter().filter(|(key, _)| !own.contains(key));
        let laid = self.laid_down().await?;
        let rows =
            marks.chain(laid).map(|(key, value)| Row { owner: Owner::INSTALLATION, key, value }).collect();
        self.add(&mut objects, Kind::Installation, rows)?;
        let accounts = scan(&self.reader, keys::whole(Table::Account)).await?;
        for ((key, value), owner) in with_owners(&self.reader, accounts, Sealer::slot_of).await? {
            match owner.filter(|owner| owner.kind == owner::Kind::Account) {
                Some(owner) => {
                    self.done.counts.accounts += 1;
                    self.add(&mut objects, Kind::Account, vec![Row { owner, key, value }])?;
                }
                None => self.done.passed_over += 1,
            }
        }
        for (key, value) in scan(&self.reader, keys::whole(Table::AppPasswordOf)).await? {
            match keys::owner(&key).map(Owner::account) {
                Some(owner) => self.add(&mut objects, Kind::AppPassword, vec![Row { owner, key, value }])?,
                None => self.done.passed_over += 1,
            }
        }
        let books = self.collections(&mut objects).await?;
        Ok((objects, books))
    }

    /// What admins and users laid down, long work, and the newest numbers.
    async fn laid_down(&self) -> Result<Vec<Pair>, StoreError> {
        let mut rows = scan(&self.reader, keys::whole(Table::Definition)).await?;
        rows.extend(scan(&self.reader, keys::whole(Table::Job)).await?);
        for series in 0..=1 {
            let key = keys::number_counter(series);
            let newest = self.reader.get(vec![key.clone()]).await?.pop().flatten();
            rows.extend(newest.map(|newest| (key, newest)));
        }
        Ok(rows)
    }

    /// Adds homes, books and calendars; answers the latter two.
    async fn collections(
        &mut self,
        objects: &mut Vec<Vec<u8>>,
    ) -> Result<Vec<(CollectionId, bool)>, BackupError> {
        let mut homes = HashSet::new();
        let mut books = Vec::new();
        for (key, value) in scan(&self.reader, keys::whole(Table::Collection)).await? {
            let id = codec::collection_in(&key)?;
            match self.sealer.decode::<CollectionRow>(&key, &value) {
                Ok(row) if row.home.is_none() => {
                    homes.insert(*id.as_bytes());
                    self.home(objects, id, &row, (key, value)).await?;
                }
                Ok(row) => books.push((id, row, (key, value))),
                Err(_) => self.done.passed_over += 1,
            }
        }
        // A book whose home was deleted is only waiting to be purged.
        books.retain(|(_, row, _)| row.home.is_some_and(|home| homes.contains(&home)));
        let mut ids = Vec::new();
        for (id, row, (key, value)) in books {
            self.done.counts.collections += 1;
            self.done.counts.calendars += u64::from(row.calendar);
            let owner = Owner::collection(*id.as_bytes());
            let mut rows = vec![Row { owner, key, value }];
            rows.extend(self.properties(owner, &[*id.as_bytes()]).await?);
            self.add(objects, Kind::Book, rows)?;
            // A smart book's cards follow from its filter.
            ids.extend(row.smart.is_none().then_some((id, row.calendar)));
        }
        Ok(ids)
    }

    async fn home(
        &mut self,
        objects: &mut Vec<Vec<u8>>,
        id: CollectionId,
        row: &CollectionRow,
        (key, value): Pair,
    ) -> Result<(), BackupError> {
        self.done.counts.collections += 1;
        self.done.counts.homes += 1;
        let owner_of_home = Owner::collection(*id.as_bytes());
        let mut rows = vec![Row { owner: owner_of_home, key, value }];
        // Those of the account are sealed with the key of its home of address books.
        let of = match row.kind() {
            CollectionKind::AddressBook => &[*id.as_bytes(), row.owner][..],
            CollectionKind::Calendar => &[*id.as_bytes()],
        };
        rows.extend(self.properties(owner_of_home, of).await?);
        let links = scan(&self.reader, keys::under(Table::Member, id.as_bytes())).await?;
        for ((key, value), owner) in with_owners(&self.reader, links, codec::link_slot).await? {
            match owner {
                Some(of) => {
                    // What the user wrote on another's book, whose place the home's key seals.
                    if let Some(member) = keys::item(&key).filter(|_| of == owner_of_home) {
                        rows.extend(self.properties(of, &[member]).await?);
                    }
                    rows.push(Row { owner: of, key, value });
                }
                None => self.done.passed_over += 1,
            }
        }
        self.add(objects, Kind::Home, rows)
    }

    async fn properties(&self, owner: Owner, of: &[[u8; 16]]) -> Result<Vec<Row>, StoreError> {
        let wanted: Vec<_> = of.iter().map(keys::properties).collect();
        let values = self.reader.get(wanted.clone()).await?;
        let rows = wanted.into_iter().zip(values);
        Ok(rows.filter_map(|(key, value)| Some(Row { owner, key, value: value? })).collect())
    }

    fn add(&mut self, objects: &mut Vec<Vec<u8>>, kind: Kind, rows: Vec<Row>) -> Result<(), BackupError> {
        if !rows.is_empty() {
            objects.push(encoded(&Object { kind, rows })?);
        }
        Ok(())
    }

    /// The contacts of a book, or the objects of a calendar, a step at a time: in the order of their
    /// bodies, whose sizes bound a step.
    async fn contacts(&mut self, book: CollectionId, calendar: bool) -> Result<(), BackupError> {
        let mut range = keys::under(Table::Body, book.as_bytes());
        loop {
            let state = (Vec::<Pair>::new(), 0);
            let scan = |(found, bytes): &mut (Vec<Pair>, usize), key: &[u8], value: &[u8]| {
                found.push((key.to_vec(), Bytes::copy_from_slice(value)));
                *bytes += value.len();
                let full = found.len() == STEP || *bytes >= STEP_BYTES;
                Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            let (bodies, _) = self.reader.fold(range.clone(), Extent::Many, state, scan).await?;
            let Some((last, _)) = bodies.last() else { return Ok(()) };
            range.start = [&last[..], &[0]].concat();
            self.some_contacts((book, calendar), bodies).await?;
        }
    }

    async fn some_contacts(
        &mut self,
        (book, calendar): (CollectionId, bool),
        bodies: Vec<Pair>,
    ) -> Result<(), BackupError> {
        let mut wanted = Vec::with_capacity(3 * bodies.len());
        for (key, value) in &bodies {
            let member = codec::body_front(value).map_or([0; keys::HASH], |(member, _)| member);
            wanted.push(keys::member(book, &member));
            let contact = keys::item(key).unwrap_or_default();
            wanted.push(keys::properties(&contact));
            wanted.push(keys::record(ContactId::from_bytes(contact)));
        }
        let found = self.reader.get(wanted.clone()).await?;
        let beside = wanted.into_iter().zip(found).collect::<Vec<_>>();
        for (body, beside) in bodies.into_iter().zip(beside.chunks_exact(3)) {
            let [(member, Some(card)), (properties, described), (record, known)] = beside else {
                self.done.passed_over += 1;
                continue;
            };
            let Ok(place) = ObjectPlace::read(card) else {
                self.done.passed_over += 1;
                continue;
            };
            let owner = Owner::contact(*place.contact.as_bytes(), place.number);
            let version = codec::body_front(&body.1).map_or(1, |(_, version)| version);
            let row = |key, value| Row { owner, key, value };
            let mut rows = vec![row(member.clone(), card.clone()), row(body.0, body.1)];
            rows.extend(described.clone().map(|value| row(properties.clone(), value)));
            rows.extend(known.clone().map(|value| row(record.clone(), value)));
            match calendar {
                true => self.done.counts.objects += 1,
                false => self.done.counts.contacts += 1,
            }
            if version > 1 || known.is_some() {
                self.with_history(place.contact, owner, rows).await?;
            } else {
                self.put(&encoded(&Object { kind: Kind::Contact, rows })?).await?;
            }
        }
        Ok(())
    }

    /// A contact with its earlier bodies and records, a step at a time.
    async fn with_history(
        &mut self,
        contact: ContactId,
        owner: Owner,
        mut rows: Vec<Row>,
    ) -> Result<(), BackupError> {
        let mut kind = Kind::Contact;
        for table in [Table::History, Table::RecordHistory] {
            let mut range = keys::under(table, contact.as_bytes());
            loop {
                let state = (Vec::<Pair>::new(), 0);
                let scan = |(found, bytes): &mut (Vec<Pair>, usize), key: &[u8], value: &[u8]| {
                    found.push((key.to_vec(), Bytes::copy_from_slice(value)));
                    *bytes += value.len();
                    let full = *bytes >= STEP_BYTES;
                    Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                };
                let (found, bytes) = self.reader.fold(range.clone(), Extent::Few, state, scan).await?;
                if let Some((last, _)) = found.last() {
                    range.start = [&last[..], &[0]].concat();
                }
                rows.extend(found.into_iter().map(|(key, value)| Row { owner, key, value }));
                if !rows.is_empty() {
                    self.put(&encoded(&Object { kind, rows: std::mem::take(&mut rows) })?).await?;
                    kind = Kind::History;
                }
                if bytes < STEP_BYTES {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The events, a step at a time.
    async fn events(&mut self) -> Result<(), BackupError> {
        let mut range = keys::events_from(0);
        loop {
            let scan = |found: &mut Vec<Pair>, key: &[u8], value: &[u8]| {
                found.push((key.to_vec(), Bytes::copy_from_slice(value)));
                Ok(if found.len() == STEP { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            let found = self.reader.fold(range.clone(), Extent::Many, Vec::new(), scan).await?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            range.start = [&last[..], &[0]].concat();
            let row = |(key, value)| Row { owner: Owner::INSTALLATION, key, value };
            let rows = found.into_iter().map(row).collect();
            self.put(&encoded(&Object { kind: Kind::Events, rows })?).await?;
        }
    }

    /// Writes an object, and hands out what has gathered.
    async fn put(&mut self, object: &[u8]) -> Result<(), BackupError> {
        for record in record::records(object) {
            self.writer.record(&record)?;
        }
        self.objects += 1;
        if self.writer.get_mut().len() < HAND_OUT {
            return Ok(());
        }
        let bytes = std::mem::take(self.writer.get_mut());
        let part = Part { bytes, objects: self.objects };
        self.out.send(part).await.map_err(|_| BackupError::Left)
    }
}

fn encoded(object: &Object) -> Result<Vec<u8>, StoreError> {
    object.encode().ok_or(StoreError::Malformed("an object is too large for an archive"))
}
