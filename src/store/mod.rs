//! The typed store: snapshots and queries in, one kind of commit out. Derives every index and the
//! change log inside the commit, so that no write can forget them. Knows no HTTP, and no engine by
//! name.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minicbor::{Decode, Encode};

pub mod calls;
mod census;
pub mod check;
pub mod commit;
mod derive;
pub mod engine;
pub mod entropy;
pub mod keys;
pub mod keyslots;
pub mod log;
pub mod owner;
pub mod purge;
pub mod query;
pub mod rows;
pub mod seal;
pub mod search;

#[cfg(test)]
mod tests;

use engine::{Batch, Engine, EngineError, Extent, Guard, KeyRange, Outcome, Snapshot, Write};
use seal::Sealer;

/// The newest format that this program reads and writes.
pub const FORMAT: u32 = 1;

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
    /// A commit asked for something that no commit may hold.
    #[error("a commit is malformed: {0}")]
    Malformed(&'static str),
    /// Others changed the same rows again and again; nothing was written.
    #[error("the commit was overtaken too often")]
    Overtaken,
}

#[derive(Encode, Decode)]
struct InstallationRow {
    #[n(0)]
    format: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    secret: [u8; Sealer::SECRET],
}

#[derive(Encode, Decode)]
struct MarkRow {
    #[n(0)]
    text: String,
}

/// A store over an engine. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    sealer: Arc<Sealer>,
    indexes: Arc<search::Indexes>,
}

impl Store {
    /// Opens what the engine holds, or lays a new installation with `fresh` random bytes.
    pub async fn open(engine: Arc<dyn Engine>, fresh: [u8; Sealer::SECRET]) -> Result<Self, StoreError> {
        let key = keys::installation("format");
        let snapshot = engine.snapshot().await?;
        let stored = snapshot.get(vec![key.clone()]).await?.pop().flatten();
        let row = match stored {
            Some(value) => rows::decode::<InstallationRow>(&value)?,
            // With other secrets nobody would find what is there.
            None if !is_empty(snapshot.as_ref()).await? => {
                return Err(StoreError::Damaged("the installation's secrets are missing"));
            }
            None => {
                let row = InstallationRow { format: FORMAT, secret: fresh };
                let value = rows::encode(&row);
                let batch = Batch {
                    guards: vec![(key.clone(), Guard::Absent)],
                    writes: vec![Write::Put { key, value, stamp: None }],
                    ..Batch::default()
                };
                match engine.commit(batch).await? {
                    Outcome::Applied(_) => row,
                    Outcome::Moved => return Err(StoreError::Overtaken),
                }
            }
        };
        drop(snapshot);
        if row.format > FORMAT {
            return Err(StoreError::TooNew { found: row.format });
        }
        Ok(Self { engine, sealer: Arc::new(Sealer::new(&row.secret)), indexes: Arc::default() })
    }

    /// A view of everything as of now.
    pub async fn read(&self) -> Result<query::Reader, StoreError> {
        Ok(query::Reader::new(self.engine.snapshot().await?, self.sealer.clone()))
    }

    /// The keyed hashes that keys are made of.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Writes a mark on the installation, such as that it is a demo.
    pub async fn mark(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let value = rows::encode(&MarkRow { text: text.to_owned() });
        let write = Write::Put { key: keys::installation(name), value, stamp: None };
        self.engine.commit(Batch { writes: vec![write], ..Batch::default() }).await?;
        Ok(())
    }

    /// Finishes what was taken and closes the engine.
    pub async fn close(&self) -> Result<(), StoreError> {
        Ok(self.engine.close().await?)
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
