//! The keyring of now: the keys of all that lives, and the ledger of what was erased. What waits to be
//! purged counts as erased.

use std::collections::HashSet;
use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::domain::id::CollectionId;
use crate::store::archive::keyring::Keyring;
use crate::store::codec::{self, ObjectPlace};
use crate::store::engine::Extent;
use crate::store::keys::{self, Table};
use crate::store::keyslots::Slot;
use crate::store::owner::{self, Owner};
use crate::store::query::Reader;
use crate::store::rows::{self, ErasedRow, PurgeRow};
use crate::store::{SECRETS, SecretsRow, Store, StoreError};

use super::{scan, with_owners};

/// The keyring of now.
pub struct KeysOfNow {
    /// The keyring.
    pub keyring: Keyring,
    /// How many objects have lost their key, so that nothing opens them.
    pub unreadable: u64,
}

impl Store {
    /// The keys of all that lives and the ledger of what was erased. What waits to be purged counts
    /// as erased: nobody can ask for it any more.
    pub async fn keyring(&self, at: Timestamp) -> Result<KeysOfNow, StoreError> {
        let reader = self.read().await?;
        let key = keys::installation(SECRETS);
        let value = reader.get(vec![key.clone()]).await?.pop().flatten();
        let value = value.ok_or(StoreError::Damaged("the installation's secrets are missing"))?;
        let secrets: SecretsRow = self.sealer.decode_sealed(&key, &value)?;
        let (slots, nameless) = owned(&reader).await?;
        let doomed = doomed(&reader).await?;
        drop(reader);
        let keys = slots.into_iter().map(|(slot, owner)| (owner, self.sealer.slots().key(slot)));
        let mut keys: Vec<_> = keys.collect();
        // Only now: what was erased before a key was read, and may have given its slot to another,
        // is in this ledger.
        let mut erased = self.ledger().await?;
        let known: HashSet<Owner> = erased.iter().map(|(owner, _)| *owner).collect();
        erased
            .extend(doomed.into_iter().filter(|owner| !known.contains(owner)).map(|o| (o, rows::micros(at))));
        let gone: HashSet<Owner> = erased.iter().map(|(owner, _)| *owner).collect();
        keys.retain(|(owner, _)| !gone.contains(owner));
        let unreadable = nameless + keys.iter().filter(|(_, key)| key.is_none()).count() as u64;
        let keys = keys.into_iter().filter_map(|(owner, key)| Some((owner, *key?.as_bytes())));
        let installation = self.sealer.slots().installation();
        let keys = keys.collect();
        let keyring = Keyring::new(installation, rows::micros(at), secrets.secret.to_vec(), keys, erased);
        Ok(KeysOfNow { keyring, unreadable })
    }

    /// What was erased, and when. Names of what is gone are in no archive.
    async fn ledger(&self) -> Result<Vec<(Owner, i64)>, StoreError> {
        let sealer = self.sealer.clone();
        let range = keys::whole(Table::Erased);
        self.read()
            .await?
            .fold(range, Extent::Many, Vec::new(), move |found: &mut Vec<_>, key, value| {
                let owner = keys::owner_in(key).ok_or(StoreError::Damaged("an erasure's key"))?;
                if owner.kind != owner::Kind::Names {
                    // What was erased stays so, whatever became of the row that says when.
                    let at = sealer.decode::<ErasedRow>(key, value).map_or(0, |row| row.at);
                    found.push((owner, at));
                }
                Ok(ControlFlow::Continue(()))
            })
            .await
    }
}

/// The slots in use and whose they are, but for names of what is gone; and of how many slots nobody
/// can tell.
async fn owned(reader: &Reader) -> Result<(Vec<(Slot, Owner)>, u64), StoreError> {
    let sealer = reader.sealer().clone();
    let range = keys::whole(Table::Slot);
    reader
        .fold(range, Extent::Many, (Vec::new(), 0), move |(found, nameless), key, value| {
            let slot = keys::slot_in(key).ok_or(StoreError::Damaged("a key slot's key"))?;
            match sealer.decode_slot(key, value) {
                Ok(owner) if owner.kind == owner::Kind::Names => {}
                Ok(owner) => found.push((slot, owner)),
                Err(_) => *nameless += 1,
            }
            Ok(ControlFlow::Continue(()))
        })
        .await
}

/// The owners of what waits to be purged: homes and books, and the contacts in them.
async fn doomed(reader: &Reader) -> Result<Vec<Owner>, StoreError> {
    let mut found = Vec::new();
    let mut books = Vec::new();
    for (key, value) in scan(reader, keys::whole(Table::Purge)).await? {
        let id = codec::collection_in(&key)?;
        // Which of the two it is, is only half known where the row is damaged: nobody finds either.
        let row = reader.sealer().decode::<PurgeRow>(&key, &value);
        let smart = row.as_ref().is_ok_and(|row| row.smart);
        found.push(Owner::collection(*id.as_bytes()));
        if row.is_ok_and(|row| row.home) {
            let links = scan(reader, keys::under(Table::Member, id.as_bytes())).await?;
            for (_, owner) in with_owners(reader, links, codec::link_slot).await? {
                books.extend(owner.map(|owner| CollectionId::from_bytes(owner.id)));
            }
        } else {
            books.extend((!smart).then_some(id));
        }
    }
    for book in books {
        found.push(Owner::collection(*book.as_bytes()));
        let row = reader.collections(&[book]).await.ok().and_then(|mut rows| rows.pop().flatten());
        if row.is_some_and(|book| book.row.smart.is_some()) {
            continue;
        }
        let range = keys::under(Table::Member, book.as_bytes());
        found = reader
            .fold(range, Extent::Many, found, |found, _, value| {
                // A damaged row names nobody; its contact goes when the purge does.
                let place = ObjectPlace::read(value).ok();
                found.extend(place.map(|place| Owner::contact(*place.contact.as_bytes(), place.number)));
                Ok(ControlFlow::Continue(()))
            })
            .await?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
