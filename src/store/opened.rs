//! Rows that every request asks for, opened: the account that signs in, and its app password. The
//! stored octets are read each time, and what is kept counts only while they are those that it was
//! opened from. Each write seals with a nonce of its own, so octets that are the same are the same
//! row: whoever is disabled or revoked is out with the next request.
//!
//! The rows hold hashes of passwords, as the store and its answers do while a request is signed in;
//! the verdicts on clear passwords, which sign-in remembers for as long, are worth more to whoever
//! can read this memory, and so are the data keys. No row of an account that was erased stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::StoreError;
use super::keyslots::KeySlots;
use super::query::Reader;
use super::rows::{AccountRow, AppPasswordRow};
use super::seal::Sealer;

/// How many rows of a kind are kept, of about one KiB each.
const MOST: usize = 4096;

/// What is kept of the rows that sign-in asks for.
#[derive(Default)]
pub(super) struct SignIns {
    pub(super) accounts: Opened<AccountRow>,
    pub(super) app_passwords: Opened<AppPasswordRow>,
}

impl SignIns {
    /// Forgets the rows whose keys were destroyed.
    pub(super) fn forget_erased(&self, slots: &KeySlots) {
        self.accounts.forget_erased(slots);
        self.app_passwords.forget_erased(slots);
    }
}

/// Rows by their keys, with the stored octets.
type Rows<T> = HashMap<Vec<u8>, (Bytes, Arc<T>)>;

/// Opened rows of one kind. Has no `Debug`.
pub(super) struct Opened<T> {
    rows: Mutex<Rows<T>>,
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self { rows: Mutex::default() }
    }
}

impl<T> Opened<T> {
    fn rows(&self) -> MutexGuard<'_, Rows<T>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row that these octets are; one of other octets is forgotten.
    fn get(&self, key: &[u8], stored: Option<&Bytes>) -> Option<Arc<T>> {
        let mut rows = self.rows();
        let (octets, row) = rows.get(key)?;
        if stored.is_some_and(|stored| stored == octets) {
            return Some(row.clone());
        }
        rows.remove(key);
        None
    }

    fn keep(&self, key: &[u8], stored: Bytes, row: Arc<T>) {
        let mut rows = self.rows();
        if rows.len() >= MOST
            && let Some(any) = rows.keys().next().cloned()
        {
            rows.remove(&any);
        }
        rows.insert(key.to_vec(), (stored, row));
    }

    fn forget_erased(&self, slots: &KeySlots) {
        self.rows().retain(|_, (stored, _)| has_key(slots, stored));
    }

    /// How many rows are kept.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.rows().len()
    }
}

impl Reader {
    /// A sealed row by way of what is kept.
    pub(super) async fn sealed_once<T>(
        &self,
        opened: &Opened<T>,
        key: &[u8],
        value: Option<Bytes>,
    ) -> Result<Option<Arc<T>>, StoreError>
    where
        T: for<'b> minicbor::Decode<'b, ()>,
    {
        if let Some(row) = opened.get(key, value.as_ref()) {
            return Ok(Some(row));
        }
        let Some(row) = self.sealed(key, value.clone()).await?.map(Arc::new) else { return Ok(None) };
        if let Some(stored) = value {
            opened.keep(key, stored.clone(), Arc::clone(&row));
            // Whoever destroys keys forgets rows after that; what is kept too late for that goes now.
            if !has_key(self.sealer().slots(), &stored) {
                opened.rows().remove(key);
            }
        }
        Ok(Some(row))
    }
}

/// Whether the key that sealed these octets is still there.
fn has_key(slots: &KeySlots, stored: &[u8]) -> bool {
    Sealer::slot_of(stored).is_ok_and(|slot| slots.key(slot).is_some())
}

#[cfg(test)]
mod tests {
    use crate::domain::id::UserName;
    use crate::store::commit::{AccountOp, Commit, Op};
    use crate::store::engine::memory::MemoryEngine;
    use crate::store::keyslots::memory::MemoryMedium;
    use crate::store::tests::furniture;

    use super::*;

    #[tokio::test]
    async fn nothing_is_kept_of_an_account_that_was_erased() {
        let store =
            crate::store::tests::open(&Arc::new(MemoryEngine::new()), &MemoryMedium::new()).await.unwrap();
        let at = jiff::Timestamp::UNIX_EPOCH;
        let row = |id: u8, name: &str| AccountRow {
            id: [id; 16],
            password: Some("hash".into()),
            home: [id + 1; 16],
            ..furniture::account(name)
        };
        let commit = async |op| {
            let commit = Commit { actor: None, at, expect: Vec::new(), ops: vec![Op::Account(op)] };
            store.commit(&commit).await.unwrap();
        };
        let read = async |name: &str| {
            let name = UserName::parse(name).unwrap();
            store.read().await.unwrap().credentials(&name, "").await.unwrap().0
        };
        for (id, name) in [(1, "alice"), (3, "bob")] {
            commit(AccountOp::Create(row(id, name))).await;
            assert_eq!(read(name).await.as_deref(), Some(&row(id, name)));
        }
        assert_eq!(store.sign_ins.accounts.len(), 2);
        assert!(Arc::ptr_eq(&read("bob").await.unwrap(), &read("bob").await.unwrap()));
        let after = AccountRow { enabled: false, ..row(3, "bob") };
        commit(AccountOp::Update { before: row(3, "bob"), after }).await;
        assert!(!read("bob").await.unwrap().enabled);
        commit(AccountOp::Remove(row(1, "alice"))).await;
        store.erase_condemned(at).await.unwrap();
        assert_eq!(store.sign_ins.accounts.len(), 1, "without being asked for");
        assert!(read("alice").await.is_none());
        assert!(!read("bob").await.unwrap().enabled);
    }

    #[test]
    fn a_row_counts_for_its_octets_alone_and_few_are_kept() {
        let opened = Opened::default();
        let stored = Bytes::from_static(b"sealed");
        opened.keep(b"a", stored.clone(), Arc::new(1));
        assert_eq!(opened.get(b"a", Some(&stored)).as_deref(), Some(&1));
        assert!(opened.get(b"b", Some(&stored)).is_none());
        // Another row, or none, and the old one is forgotten.
        for other in [Some(Bytes::from_static(b"Sealed")), None] {
            opened.keep(b"a", stored.clone(), Arc::new(1));
            assert!(opened.get(b"a", other.as_ref()).is_none());
            assert_eq!(opened.len(), 0);
        }
        for at in 0..MOST + 10 {
            opened.keep(&at.to_be_bytes(), stored.clone(), Arc::new(at));
            assert_eq!(opened.get(&at.to_be_bytes(), Some(&stored)).as_deref(), Some(&at));
        }
        assert_eq!(opened.len(), MOST);
    }
}
