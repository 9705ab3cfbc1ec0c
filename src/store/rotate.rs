//! Another master key for the store. Knows nothing of where master keys are kept.

use super::erase::blocking;
use super::keyslots::MasterKey;
use super::{Store, StoreError};

impl Store {
    /// Wraps every data key with a new master key, while all else goes on. When this has succeeded,
    /// only the new one opens the store; until then, and after it failed, both are needed.
    pub async fn rotate(&self, new: MasterKey) -> Result<(), StoreError> {
        let slots = self.sealer.slots().clone();
        blocking(move || slots.rotate(&new)).await
    }
}
