//! From an archive and a keyring to a store: first every block is verified, then a new installation
//! with the old one's secrets is laid, then everything that the keyring still opens is opened once
//! and written, with keys in new slots, and what is derived is derived anew. Collections get a new
//! identity, so that clients with tokens of the old log start again.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;

use super::archive::block::Header;
use super::archive::keyring::Keyring;
use super::archive::objects::{Found, Objects};
use super::archive::reader::{ArchiveError, Gap, Mode};
use super::archive::record::{Kind, Object, Row};
use super::engine::{Batch, Engine, Write};
use super::entropy::Entropy;
use super::erase::blocking;
use super::keyslots::{DataKey, KeySlots, KeySlotsError};
use super::owner::Owner;
use super::rebuild::Rebuild;
use super::seal::{Hashes, Sealer};
use super::{FORMAT, FORMAT_ROW, FormatRow, KeyFile, SECRETS, SecretsRow, Store, StoreError};
use super::{codec, keys, seal};

/// How many contacts are written at a time, and how many bytes of theirs.
const STEP: usize = 1000;
const STEP_BYTES: usize = 16 << 20;
/// How many gaps are told one by one.
const GAPS: usize = 100;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The archive's.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They do not belong together.
    #[error("the keyring belongs to another installation than the archive; give the archive's own")]
    OtherInstallation,
    /// The rows are of another program.
    #[error("the archive holds rows of format {found}, this program reads {FORMAT}: use another cardkeep")]
    OtherFormat {
        /// The rows' format.
        found: u32,
    },
    /// The keyring does not have what hashes are made of.
    #[error("the keyring has no hash secrets that this program knows; use a newer cardkeep")]
    NoSecrets,
    /// Objects do not open although their keys are there.
    #[error(
        "{0} objects were damaged before they were backed up; nothing is restored, unless with --partial \
         all but them"
    )]
    Damaged(u64),
}

/// What a restore brought back, and what it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// When the archive was made, in microseconds since 1970.
    pub made: Option<i64>,
    /// Accounts.
    pub accounts: u64,
    /// Books.
    pub books: u64,
    /// Contacts.
    pub contacts: u64,
    /// Calendars.
    pub calendars: u64,
    /// Objects in them.
    pub objects: u64,
    /// Objects that could not be opened because they were erased since.
    pub erased: u64,
    /// Objects that could not be opened because the keyring is older than they.
    pub keyless: u64,
    /// Objects that do not open although their key is there.
    pub damaged: u64,
    /// Objects that are whole, but whose account or book is not there.
    pub homeless: u64,
    /// How many gaps the archive has.
    pub gaps: u64,
    /// The first of them.
    pub first_gaps: Vec<Gap>,
}

impl Restored {
    fn gap(&mut self, gap: Gap) {
        self.gaps += 1;
        if self.first_gaps.len() < GAPS {
            self.first_gaps.push(gap);
        }
    }
}

/// Where an archive is read from, twice.
pub type Source<'a> = &'a mut dyn FnMut() -> io::Result<Box<dyn Read>>;

/// What a restore needs beside the archive.
pub struct Plan<'a> {
    /// An empty engine.
    pub engine: Arc<dyn Engine>,
    /// An empty medium for data keys, and this installation's master key.
    pub file: KeyFile,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The keyring.
    pub keyring: &'a Keyring,
    /// Told how many bytes are read, of twice the archive's.
    pub progress: &'a mut dyn FnMut(u64),
}

/// An archive that was read from end to end.
pub struct Verified {
    parts: Structure,
    told: Restored,
    mode: Mode,
    bytes: u64,
}

/// Reads all of an archive, to see that it is whole or what of it is lost, and that the keyring
/// belongs to it.
pub fn verify(
    archive: Source<'_>,
    keyring: &Keyring,
    mode: Mode,
    progress: &mut dyn FnMut(u64),
) -> Result<Verified, RestoreError> {
    let mut told = Restored::default();
    let mut parts = Structure::default();
    let mut objects = Objects::new(archive()?, mode);
    while let Some(found) = objects.advance()? {
        match found {
            Found::Header(header) => check(&header, keyring, &mut told)?,
            Found::Object(object) => parts.add(object),
            Found::Gap(gap) => told.gap(gap),
        }
        progress(objects.bytes());
    }
    Ok(Verified { parts, told, mode, bytes: objects.bytes() })
}

impl Store {
    /// Fills an empty engine from an archive that was verified. After an error what is in it is of
    /// no use.
    pub async fn restore(
        plan: Plan<'_>,
        verified: Verified,
        archive: Source<'_>,
    ) -> Result<(Self, Restored), RestoreError> {
        let Plan { engine, file, entropy, keyring, progress } = plan;
        let Verified { parts, told, mode, bytes: first } = verified;
        let store = lay(engine, file, entropy.clone(), keyring).await?;
        let mut rebuild = Rebuild::new(store, keyring, told);
        rebuild.structure(parts, entropy.as_ref()).await?;
        let mut objects = Objects::new(archive()?, mode);
        let (mut some, mut bytes) = (Vec::new(), 0);
        while let Some(found) = objects.advance()? {
            // What is lost was told when it was verified.
            let Found::Object(object) = found else { continue };
            if object.kind == Kind::Events {
                rebuild.events(object.rows).await?;
            } else if matches!(object.kind, Kind::Contact | Kind::History) {
                bytes += object.rows.iter().map(|row| row.value.len()).sum::<usize>();
                some.push(object);
            }
            if some.len() >= STEP || bytes >= STEP_BYTES {
                rebuild.contacts(std::mem::take(&mut some)).await?;
                bytes = 0;
                progress(first + objects.bytes());
            }
        }
        rebuild.contacts(some).await?;
        progress(first + objects.bytes());
        let (store, told) = rebuild.done();
        match told.damaged {
            damaged if damaged > 0 && mode == Mode::Strict => Err(RestoreError::Damaged(damaged)),
            _ => Ok((store, told)),
        }
    }
}

fn check(header: &Header, keyring: &Keyring, told: &mut Restored) -> Result<(), RestoreError> {
    if header.installation != keyring.installation {
        return Err(RestoreError::OtherInstallation);
    }
    if header.rows != FORMAT {
        return Err(RestoreError::OtherFormat { found: header.rows });
    }
    told.made = Some(header.made);
    Ok(())
}

impl From<io::Error> for RestoreError {
    fn from(error: io::Error) -> Self {
        Self::Archive(error.into())
    }
}

/// Accounts and collections; of what comes twice, the first.
#[derive(Default)]
pub(super) struct Structure {
    pub(super) marks: BTreeMap<Vec<u8>, Bytes>,
    pub(super) accounts: BTreeMap<Vec<u8>, Row>,
    pub(super) passwords: BTreeMap<Vec<u8>, Row>,
    pub(super) homes: BTreeMap<Vec<u8>, Vec<Row>>,
    pub(super) books: BTreeMap<Vec<u8>, Vec<Row>>,
}

impl Structure {
    fn add(&mut self, object: Object) {
        let Object { kind, rows } = object;
        let mut rows = rows.into_iter();
        match kind {
            Kind::Installation => self.marks.extend(rows.map(|row| (row.key, row.value))),
            Kind::Account => self.accounts.extend(rows.map(|row| (row.key.clone(), row))),
            Kind::AppPassword => self.passwords.extend(rows.map(|row| (row.key.clone(), row))),
            Kind::Home | Kind::Book => {
                let Some(first) = rows.next() else { return };
                let key = first.key.clone();
                let rows = std::iter::once(first).chain(rows).collect();
                let all = if kind == Kind::Home { &mut self.homes } else { &mut self.books };
                all.entry(key).or_insert(rows);
            }
            Kind::Contact | Kind::History | Kind::Events => {}
        }
    }
}

/// Lays an installation with a keyring's secrets.
async fn lay(
    engine: Arc<dyn Engine>,
    file: KeyFile,
    entropy: Arc<dyn Entropy>,
    keyring: &Keyring,
) -> Result<Store, RestoreError> {
    let secret: [u8; Hashes::SECRET] = keyring.secrets().try_into().map_err(|_| RestoreError::NoSecrets)?;
    let installation = keyring.installation;
    let master = file.masters.into_iter().next();
    let master = master.ok_or(KeySlotsError::WrongMaster).map_err(StoreError::from)?;
    let (medium, source) = (file.medium, entropy.clone());
    let slots = blocking(move || KeySlots::create(medium, &master, installation, source)).await?;
    let slots = Arc::new(slots);
    slots.occupy(&mut std::iter::empty()).map_err(StoreError::from)?;
    let slot = match keyring.key(&Owner::INSTALLATION) {
        Some(key) => slots.install(&[DataKey::new(*key)]).map(|slots| slots.first().copied()),
        None => slots.allocate().map(|(slot, _)| Some(slot)),
    };
    let slot = slot.map_err(StoreError::from)?.ok_or(StoreError::Damaged("no key slot was given"))?;
    let sealer =
        Sealer::new(Hashes::new(&secret), slots, slot, entropy.as_ref(), false).map_err(StoreError::from)?;
    let key = keys::installation(SECRETS);
    let sealed = sealer.encode_sealed(slot, &key, &SecretsRow { secret, installation })?;
    let mut writes = vec![
        put(keys::installation(FORMAT_ROW), seal::bare(&codec::cbor(&FormatRow { format: FORMAT }))),
        put(key, sealed),
        put(keys::slot(slot), sealer.encode_slot(slot, Owner::INSTALLATION)),
    ];
    for (owner, at) in keyring.erased() {
        let key = keys::erased(*owner);
        let value = sealer.encode_erased(&key, *at);
        writes.push(put(key, value));
    }
    let store = Store {
        engine,
        sealer: Arc::new(sealer),
        eraser: Arc::default(),
        indexes: Arc::default(),
        agendas: Arc::default(),
        roster: Arc::default(),
        touched: Arc::default(),
        damages: Arc::default(),
        sign_ins: Arc::default(),
    };
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(10 * STEP));
        store.write(std::mem::replace(&mut writes, rest)).await?;
    }
    Ok(store)
}

pub(super) fn put(key: Vec<u8>, value: Vec<u8>) -> Write {
    Write::Put { key, value, stamp: None }
}

impl Store {
    pub(super) async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        if !writes.is_empty() {
            self.engine.commit(Batch { writes, ..Batch::default() }).await?;
        }
        Ok(())
    }
}
