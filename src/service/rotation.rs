//! Another master key, while everything goes on. Where master keys are kept is a port: it is for
//! `server` to know files and the configuration.

use std::sync::{Arc, OnceLock};

use tokio::sync::Mutex;

use crate::domain::event::EventKind;
use crate::store::keyslots::MasterKey;

use super::refusal::{Fault, Refusal};
use super::{Answer, Service, fault};

/// Where the master key is kept; implemented above. Its calls may wait for a disk, and their errors
/// are one line for people.
pub trait MasterPlace: Send + Sync {
    /// The key to go to: of a rotation that was begun before, else `given`, else a new one. It is
    /// where the next start finds it when this answers.
    fn prepare(&self, given: Option<&MasterKey>) -> Result<MasterKey, String>;
    /// The store opens with this key alone from now on: it takes the old one's place, which is
    /// told when it is a file.
    fn promote(&self) -> Result<Option<String>, String>;
}

/// What rotating needs.
#[derive(Default)]
pub struct Rotation {
    place: OnceLock<Arc<dyn MasterPlace>>,
    /// One at a time.
    turn: Mutex<()>,
}

impl Service {
    /// Says where the master key is kept. Without it, no rotation is possible.
    pub fn keep_master_in(&self, place: Arc<dyn MasterPlace>) {
        // There is one place for the life of a service; the first holds.
        let _ = self.rotation.place.set(place);
    }

    /// Goes to another master key; answers which file has it. Whatever fails, or is interrupted,
    /// goes on at the next call or start.
    pub async fn rotate(&self, given: Option<MasterKey>) -> Answer<Option<String>> {
        let place = self.rotation.place.get().cloned();
        let place = place.ok_or_else(|| Fault("no place for master keys is known".to_owned()))?;
        let _turn = self.rotation.turn.lock().await;
        loop {
            let (to, wanted) = (place.clone(), given.clone());
            let next = waiting(move || to.prepare(wanted.as_ref())).await?;
            let reached = given.as_ref().is_none_or(|given| *given == next);
            self.store.rotate(next).await.map_err(fault)?;
            let at = place.clone();
            let file = waiting(move || at.promote()).await?;
            // What was begun before may have gone to another key than the given one.
            if reached {
                tracing::info!("the master key was replaced");
                self.tell_done(EventKind::MasterKeyReplaced).await;
                return Ok(file);
            }
        }
    }
}

/// Runs what waits for a disk; what it says is for whoever asked.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|why| Refusal::Conflict(why).into()),
        Err(_) => Err(Fault("a task of the rotation ended early".to_owned()).into()),
    }
}
