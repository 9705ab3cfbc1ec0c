//! Erasing for good: what a commit condemned is overwritten in the file of key slots, soon after, and
//! first thing at a start. Also keeps account of slots whose commit's outcome nobody knows.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::derive::Halt;
use super::engine::{Batch, Extent, Guard, Outcome, Write};
use super::keys::{self, Table};
use super::keyslots::{KeySlots, KeySlotsError, Slot};
use super::owner::Owner;
use super::query::Reader;
use super::rows;
use super::{Store, StoreError};

/// How many keys are overwritten at once.
const STEP: usize = 4096;

/// What waits to be overwritten, and whom to wake.
#[derive(Default)]
pub(super) struct Eraser {
    wanted: Notify,
    /// Slots that a commit of unknown outcome took.
    unsure: Mutex<HashSet<Slot>>,
}

impl Eraser {
    /// There may be something to overwrite.
    pub(super) fn wake(&self) {
        self.wanted.notify_one();
    }

    fn doubt(&self, slots: Vec<Slot>) {
        if !slots.is_empty() {
            self.unsure.lock().unwrap_or_else(PoisonError::into_inner).extend(slots);
            self.wake();
        }
    }
}

/// The key slots that one attempt at a commit takes. Whatever becomes of the attempt, also when its
/// future is dropped, no slot is lost or given to two owners.
pub(super) struct Taken {
    keys: Arc<KeySlots>,
    eraser: Arc<Eraser>,
    slots: Vec<Slot>,
    sent: bool,
}

impl Taken {
    /// Takes a slot.
    pub(super) fn take(&mut self) -> Result<Slot, Halt> {
        let slot = self.keys.reserve().map_err(StoreError::from)?;
        self.slots.push(slot);
        Ok(slot)
    }

    /// The engine has the batch: from now on it may be applied.
    pub(super) fn sent(&mut self) {
        self.sent = true;
    }

    /// The batch was applied.
    pub(super) fn kept(&mut self) {
        self.keys.keep(&std::mem::take(&mut self.slots));
    }

    /// The batch was not applied.
    pub(super) fn refused(&mut self) {
        self.sent = false;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        if self.sent {
            self.keys.keep(&slots);
            self.eraser.doubt(slots);
        } else {
            self.keys.release(&slots);
        }
    }
}

impl Store {
    pub(super) fn take(&self) -> Taken {
        Taken {
            keys: self.sealer.slots().clone(),
            eraser: self.eraser.clone(),
            slots: Vec::new(),
            sent: false,
        }
    }

    /// Waits until a commit may have condemned a key.
    pub async fn erasing_wanted(&self) {
        self.eraser.wanted.notified().await;
    }

    /// Asks for another try.
    pub fn erase_again(&self) {
        self.eraser.wake();
    }

    /// Overwrites every key that was condemned; answers how many. What fails stays condemned.
    pub async fn erase_condemned(&self, at: Timestamp) -> Result<usize, StoreError> {
        // Where there is no room for that, what was erased is overwritten all the same.
        let settled = self.settle_doubts(at).await;
        let mut count = 0;
        loop {
            let mut slots = self.condemned_slots(STEP).await?;
            let (keys, doomed) = (self.sealer.slots().clone(), slots.clone());
            let destroyed = blocking(move || keys.destroy(&doomed)).await;
            // Some keys are forgotten even where overwriting them failed.
            self.sign_ins.forget_erased(self.sealer.slots());
            let reserved = destroyed?;
            if !reserved.is_empty() {
                // A commit has just taken them: it fails, since they are condemned, or it has
                // succeeded and does not know yet.
                slots.retain(|slot| !reserved.contains(slot));
                self.erase_again();
            }
            if slots.is_empty() {
                return settled.map(|()| count);
            }
            count += slots.len();
            let writes = slots.iter().map(|slot| Write::Delete { key: keys::doomed(*slot) }).collect();
            self.engine.commit(Batch { writes, ..Batch::default() }).await?;
        }
    }

    /// Key slots that wait to be overwritten.
    async fn condemned_slots(&self, most: usize) -> Result<Vec<Slot>, StoreError> {
        let reader = self.read().await?;
        let range = keys::whole(Table::Doomed);
        reader
            .fold(range, Extent::Many, Vec::new(), move |found: &mut Vec<_>, key, _| {
                found.push(keys::slot_in(key).ok_or(StoreError::Damaged("a key slot's key"))?);
                Ok(if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })
            .await
    }

    /// Finds out whether slots of commits that ended in an error are in use; those that are not are
    /// overwritten before anybody else gets them, since the batch may lie in the file's free pages.
    async fn settle_doubts(&self, at: Timestamp) -> Result<(), StoreError> {
        let doubts: Vec<_> = {
            let mut unsure = self.eraser.unsure.lock().unwrap_or_else(PoisonError::into_inner);
            unsure.drain().collect()
        };
        for (index, slot) in doubts.iter().enumerate() {
            let key = keys::doomed(*slot);
            let value = self.sealer.encode_erased(&key, rows::micros(at));
            let batch = Batch {
                guards: vec![(keys::slot(*slot), Guard::Absent)],
                writes: vec![Write::Put { key, value, stamp: None }],
                ..Batch::default()
            };
            match self.engine.commit(batch).await {
                // Either it is condemned now, or it is in use after all.
                Ok(Outcome::Applied(_) | Outcome::Moved) => {}
                Err(error) => {
                    self.eraser.doubt(doubts.get(index..).unwrap_or_default().to_vec());
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }
}

impl Reader {
    /// Whose key a slot holds.
    pub(super) async fn owner_of(&self, slot: Slot) -> Result<Option<Owner>, StoreError> {
        let key = keys::slot(slot);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        value.map(|value| self.sealer().decode_slot(&key, &value)).transpose()
    }
}

/// Runs what waits for the disk where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeySlotsError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await,
        Err(_) => return Ok(work()?),
    };
    done.unwrap_or_else(|_| Err(KeySlotsError::Damaged("a blocking task ended early"))).map_err(Into::into)
}
