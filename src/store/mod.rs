//! The typed store: snapshots and queries in, one kind of commit out. Derives every index and the
//! change log inside the commit, so that no write can forget them. Knows no HTTP, and no engine by
//! name.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use minicbor::{Decode, Encode};

pub mod agenda;
pub mod archive;
pub mod backup;
pub mod calls;
mod census;
pub mod check;
pub mod codec;
pub mod commit;
pub mod damage;
mod derive;
pub mod engine;
pub mod entropy;
mod erase;
pub mod events;
pub mod follow;
pub mod keys;
pub mod keyslots;
pub mod log;
pub mod mirror;
mod number;
mod opened;
pub mod owner;
mod prune;
pub mod purge;
pub mod query;
mod rebuild;
mod repair;
pub mod restore;
pub mod roster;
mod rotate;
pub mod rows;
pub mod seal;
pub mod search;

#[cfg(test)]
pub(crate) mod tests;

use crate::domain::phone::Region;

use engine::{Batch, Engine, EngineError, Extent, Guard, KeyRange, Outcome, Snapshot, Write};
use entropy::{Entropy, NoEntropy};
use erase::{Eraser, blocking};
use keys::Table;
use keyslots::{KeySlots, KeySlotsError, MasterKey, Medium, Slot};
use owner::Owner;
use seal::{Hashes, Sealer};

/// The format that this program reads and writes.
pub const FORMAT: u32 = 2;

/// What the store could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine's word.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stored value is not what was written; the text names no personal data.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
    /// The file was written by a newer program.
    #[error("the store has format {found}, this program reads up to {FORMAT}: use a newer cardkeep")]
    TooNew {
        /// The file's format.
        found: u32,
    },
    /// The file was written by a version from before stores were sealed.
    #[error(
        "the store has format {found}, which is not sealed and read no more: fetch the contacts with a client of the version that wrote it, and start with an empty data directory"
    )]
    TooOld {
        /// The file's format.
        found: u32,
    },
    /// What is asked for was erased: nothing opens it any more.
    #[error("what was asked for was erased meanwhile")]
    Erased,
    /// The file of key slots.
    #[error(transparent)]
    Keys(#[from] KeySlotsError),
    /// There is no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// A commit asked for something that no commit may hold.
    #[error("a commit is malformed: {0}")]
    Malformed(&'static str),
    /// Others changed the same rows again and again; nothing was written.
    #[error("the commit was overtaken too often")]
    Overtaken,
}

/// Readable without any key.
#[derive(Encode, Decode)]
struct FormatRow {
    #[n(0)]
    format: u32,
}

/// Sealed with the installation's key.
#[derive(Encode, Decode)]
struct SecretsRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    secret: [u8; Hashes::SECRET],
    /// The installation, as the file of key slots names it too.
    #[cbor(n(1), with = "minicbor::bytes")]
    installation: [u8; 16],
}

#[derive(Encode, Decode)]
struct MarkRow {
    #[n(0)]
    text: String,
}

/// Where the data keys lie, and what opens them.
pub struct KeyFile {
    /// The bytes of the key slots.
    pub medium: Box<dyn Medium>,
    /// The master key, and while it is being replaced the next one, in any order.
    pub masters: Vec<MasterKey>,
    /// Seal nothing: only to measure what sealing costs.
    pub null: bool,
}

impl KeyFile {
    /// Data keys on a medium, wrapped by one of these master keys.
    pub fn new(medium: impl Medium + 'static, masters: Vec<MasterKey>) -> Self {
        Self { medium: Box::new(medium), masters, null: false }
    }
}

/// A store over an engine. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    sealer: Arc<Sealer>,
    eraser: Arc<Eraser>,
    indexes: Arc<search::Indexes>,
    agendas: Arc<agenda::Agendas>,
    roster: Arc<roster::Roster>,
    touched: Arc<mirror::Touched>,
    damages: Arc<damage::Damages>,
    sign_ins: Arc<opened::SignIns>,
}

impl Store {
    /// Opens what the engine and the key file hold, or lays a new installation when the engine is
    /// empty. What an earlier run condemned and did not overwrite is overwritten before this answers.
    pub async fn open(
        engine: Arc<dyn Engine>,
        file: KeyFile,
        entropy: Arc<dyn Entropy>,
        at: Timestamp,
    ) -> Result<Self, StoreError> {
        let snapshot = engine.snapshot().await?;
        let mut rows =
            snapshot.get(vec![keys::installation(FORMAT_ROW), keys::installation(SECRETS)]).await?;
        let (secrets, format) = (rows.pop().flatten(), rows.pop().flatten());
        let null = file.null;
        let laid = match format {
            Some(value) => {
                check_format(&value)?;
                let (medium, masters, source) = (file.medium, file.masters, entropy.clone());
                let slots = blocking(move || KeySlots::open(medium, &masters, source)).await?;
                Laid::found(snapshot.as_ref(), slots, secrets.as_deref()).await?
            }
            // With other secrets nobody would find what is there.
            None if !is_empty(snapshot.as_ref()).await? => {
                return Err(StoreError::Damaged("the installation's format is missing"));
            }
            None => Laid::new(engine.as_ref(), file, entropy.clone()).await?,
        };
        drop(snapshot);
        let sealer = Sealer::new(laid.hashes, laid.slots, laid.slot, entropy.as_ref(), null)?;
        let store = Self {
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
        store.occupy().await?;
        store.erase_condemned(at).await?;
        store.complete_records(at).await?;
        Ok(store)
    }

    /// Takes phone numbers without a country code for the region's. Indexes made before are let go of.
    pub fn with_region(self, region: Option<Region>) -> Self {
        let indexes = Arc::new(search::Indexes::of(region));
        Self { indexes, roster: Arc::new(roster::Roster::of(region)), ..self }
    }

    /// Tells the key slots which of them are in use: those of living owners, and those that wait to
    /// be overwritten.
    async fn occupy(&self) -> Result<(), StoreError> {
        let reader = self.read().await?;
        let mut live: Vec<Slot> = Vec::new();
        for table in [Table::Slot, Table::Doomed] {
            live = reader
                .fold(keys::whole(table), Extent::Many, live, |live, key, _| {
                    live.push(keys::slot_in(key).ok_or(StoreError::Damaged("a key slot's key"))?);
                    Ok(ControlFlow::Continue(()))
                })
                .await?;
        }
        let slots = self.sealer.slots().clone();
        blocking(move || slots.occupy(&mut live.into_iter())).await
    }

    /// A view of everything as of now.
    pub async fn read(&self) -> Result<query::Reader, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        let (sealer, damages) = (self.sealer.clone(), self.damages.clone());
        Ok(query::Reader::new(snapshot, sealer, damages, self.sign_ins.clone()))
    }

    /// The damage that was noticed since the start.
    pub fn damages(&self) -> &damage::Damages {
        &self.damages
    }

    /// The keyed hashes that keys are made of.
    pub fn hashes(&self) -> &Hashes {
        self.sealer.hashes()
    }

    /// Writes a mark on the installation, such as that it is a demo.
    pub async fn mark(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let key = keys::installation(name);
        let value = self.sealer.encode(&key, &MarkRow { text: text.to_owned() });
        let write = Write::Put { key, value, stamp: None };
        self.engine.commit(Batch { writes: vec![write], ..Batch::default() }).await?;
        Ok(())
    }

    /// Overwrites what is condemned, finishes what was taken and closes the engine.
    pub async fn close(&self, at: Timestamp) -> Result<(), StoreError> {
        let erased = self.erase_condemned(at).await;
        self.engine.close().await?;
        erased.map(drop)
    }
}

/// The installation's rows.
const FORMAT_ROW: &str = "format";
const SECRETS: &str = "secrets";

fn check_format(value: &[u8]) -> Result<(), StoreError> {
    let row: FormatRow = codec::from_cbor(seal::unwrap_bare(value)?)?;
    match row.format {
        FORMAT => Ok(()),
        found if found > FORMAT => Err(StoreError::TooNew { found }),
        found => Err(StoreError::TooOld { found }),
    }
}

/// An installation's secrets and key slots.
struct Laid {
    hashes: Hashes,
    slots: Arc<KeySlots>,
    /// The installation's.
    slot: Slot,
}

impl Laid {
    /// Reads the secrets of an installation.
    async fn found(
        snapshot: &dyn Snapshot,
        slots: KeySlots,
        secrets: Option<&[u8]>,
    ) -> Result<Self, StoreError> {
        const MISSING: StoreError = StoreError::Damaged("the installation's secrets are missing");
        let value = secrets.ok_or(MISSING)?;
        let slots = Arc::new(slots);
        // Until the slots in use are known, every slot counts as free; this one is in use.
        let slot = Sealer::slot_of(value)?;
        slots.occupy(&mut std::iter::once(slot))?;
        let key = keys::installation(SECRETS);
        let plain = seal::open_with(&slots, seal::At::key(&key), value)?;
        let row: SecretsRow = codec::from_cbor(&plain)?;
        if row.installation != slots.installation() {
            return Err(StoreError::Damaged("the file of data keys belongs to another installation"));
        }
        let hashes = Hashes::new(&row.secret);
        let slot_key = keys::slot(slot);
        if snapshot.get(vec![slot_key]).await?.pop().flatten().is_none() {
            return Err(StoreError::Damaged("the installation's key slot is not in use"));
        }
        Ok(Self { hashes, slots, slot })
    }

    /// Makes an installation.
    async fn new(engine: &dyn Engine, file: KeyFile, entropy: Arc<dyn Entropy>) -> Result<Self, StoreError> {
        let (mut secret, mut installation) = ([0; Hashes::SECRET], [0; 16]);
        entropy.fill(&mut secret)?;
        entropy.fill(&mut installation)?;
        let master = file.masters.into_iter().next().ok_or(KeySlotsError::WrongMaster)?;
        let (medium, source) = (file.medium, entropy.clone());
        let slots = blocking(move || KeySlots::create(medium, &master, installation, source)).await?;
        let slots = Arc::new(slots);
        slots.occupy(&mut std::iter::empty())?;
        let hashes = Hashes::new(&secret);
        let (slot, _) = slots.allocate()?;
        let sealer = Sealer::new(hashes.clone(), slots.clone(), slot, entropy.as_ref(), false)?;
        let secrets = keys::installation(SECRETS);
        let sealed = sealer.encode_sealed(slot, &secrets, &SecretsRow { secret, installation })?;
        let format = keys::installation(FORMAT_ROW);
        let put = |key: Vec<u8>, value| Write::Put { key, value, stamp: None };
        let batch = Batch {
            guards: vec![(format.clone(), Guard::Absent)],
            writes: vec![
                put(format, seal::bare(&codec::cbor(&FormatRow { format: FORMAT }))),
                put(secrets, sealed),
                put(keys::slot(slot), sealer.encode_slot(slot, Owner::INSTALLATION)),
            ],
            ..Batch::default()
        };
        match engine.commit(batch).await? {
            Outcome::Applied(_) => Ok(Self { hashes, slots, slot }),
            Outcome::Moved => Err(StoreError::Overtaken),
        }
    }
}

/// Whether the engine holds no row.
async fn is_empty(snapshot: &dyn Snapshot) -> Result<bool, StoreError> {
    let found = Arc::new(AtomicBool::new(false));
    let seen = found.clone();
    let visit = move |_: &[u8], _: &[u8]| {
        seen.store(true, Ordering::Relaxed);
        ControlFlow::Break(())
    };
    let range = KeyRange { start: Vec::new(), end: vec![u8::MAX] };
    snapshot.scan(range, Extent::Few, Box::new(visit)).await?;
    Ok(!found.load(Ordering::Relaxed))
}
