//! Reads: sets on one snapshot. A reader holds the snapshot, so everything it answers belongs
//! together; it must not outlive the answer it was made for, since it pins the engine's pages. A
//! value that cannot be opened costs a set that member alone (`damage.rs`).

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use crate::domain::id::{CollectionId, MemberName, Principal, Revision, UserName};

use super::codec;
use super::damage::{Broken, Damages, Found};
use super::engine::{Extent, KeyRange, Snapshot};
use super::keys::{self, Hash, Table};
use super::keyslots::Slot;
use super::opened::SignIns;
use super::rows::{
    self, AccountRow, AppPasswordRow, CardRow, CollectionRow, PropertiesRow, PurgeRow, StoredProperty,
};
use super::seal::Sealer;
use super::{MarkRow, Store, StoreError, calls};

mod cards;
mod chosen;
mod contacts;
mod made;

pub use self::cards::{Accept, BODY_BYTES, Unreadable};
pub use self::chosen::{Chosen, Room};
pub use self::contacts::{Contact, Earlier};

/// A view of the whole store as of one commit.
pub struct Reader {
    snapshot: Box<dyn Snapshot>,
    sealer: Arc<Sealer>,
    damages: Arc<Damages>,
    sign_ins: Arc<SignIns>,
    /// The first book's place that was asked for: what is in the book is asked for after it, by its
    /// name again.
    place: OnceLock<(Vec<u8>, Link)>,
}

/// A collection as the snapshot shows it.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// Its row.
    pub row: CollectionRow,
    /// How often it has changed.
    pub revision: Revision,
    /// What clients wrote on it.
    pub properties: Vec<StoredProperty>,
    /// What clients wrote on it cannot be opened.
    pub unreadable: bool,
}

/// A card as the snapshot shows it.
#[derive(Debug, Clone)]
pub struct Card {
    /// Its row.
    pub row: CardRow,
    /// What clients wrote on it, where asked for.
    pub properties: Vec<StoredProperty>,
    /// What clients wrote on it was asked for and cannot be opened.
    pub unreadable: bool,
    /// Its octets, where asked for and read.
    pub body: Option<Bytes>,
}

/// A book's place in a home.
#[derive(Debug, Clone)]
pub struct Link {
    /// The name.
    pub name: String,
    /// The book.
    pub book: CollectionId,
    /// The member's name hash; what the home's user wrote on another's book is kept under it.
    pub member: Hash,
    /// The book is another's.
    pub mount: bool,
    /// The book is a smart one.
    pub smart: bool,
}

/// What is read of cards beside their rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct With {
    /// What clients wrote on them.
    pub properties: bool,
    /// Their octets: the first card's, and the next ones' as long as all together stay within
    /// `BODY_BYTES`.
    pub body: bool,
}

/// How a row is read from its key and value.
type Read<T> = fn(&Sealer, &[u8], &[u8]) -> Result<T, StoreError>;

/// How the key slot is found that a value names.
type NamesSlot = fn(&[u8]) -> Result<Slot, StoreError>;

impl Reader {
    pub(super) fn new(
        snapshot: Box<dyn Snapshot>,
        sealer: Arc<Sealer>,
        damages: Arc<Damages>,
        sign_ins: Arc<SignIns>,
    ) -> Self {
        Self { snapshot, sealer, damages, sign_ins, place: OnceLock::new() }
    }

    /// An account, and the app password with that secret, in one read.
    pub async fn credentials(
        &self,
        name: &UserName,
        secret: &str,
    ) -> Result<(Option<Arc<AccountRow>>, Option<Arc<AppPasswordRow>>), StoreError> {
        let keys_of =
            (keys::account(&self.sealer.user(name)), keys::app_password(&self.sealer.secret(secret)));
        let mut values = self.get(vec![keys_of.0.clone(), keys_of.1.clone()]).await?.into_iter();
        let account = values.next().flatten();
        let secret = values.next().flatten();
        let SignIns { accounts, app_passwords } = &*self.sign_ins;
        Ok((
            self.sealed_once(accounts, &keys_of.0, account).await?,
            self.sealed_once(app_passwords, &keys_of.1, secret).await?,
        ))
    }

    /// A user's account.
    pub async fn account(&self, name: &UserName) -> Result<Option<AccountRow>, StoreError> {
        self.account_at(&self.sealer.user(name)).await
    }

    /// A user's or a group's account.
    pub async fn principal(&self, name: &Principal) -> Result<Option<AccountRow>, StoreError> {
        self.account_at(&self.sealer.principal(name)).await
    }

    /// The accounts of these names, in the order asked; one that cannot be read is left out.
    pub async fn principals(&self, names: &[Principal]) -> Result<Vec<Option<AccountRow>>, StoreError> {
        let wanted: Vec<_> = names.iter().map(|name| keys::account(&self.sealer.principal(name))).collect();
        let values = self.get(wanted.clone()).await?;
        let (mut found, mut broken) = (Vec::with_capacity(wanted.len()), Vec::new());
        for (key, value) in wanted.iter().zip(&values) {
            found.push(match value.as_ref().map(|value| self.sealer.decode_sealed(key, value)).transpose() {
                Ok(row) => row,
                Err(error) => {
                    let value = value.as_deref().unwrap_or_default();
                    broken.push(Broken::of(found.len(), key, value, error, Sealer::slot_of)?);
                    None
                }
            });
        }
        self.damaged(broken).await?;
        Ok(found)
    }

    /// The account whose name has that hash.
    pub async fn account_at(&self, name: &Hash) -> Result<Option<AccountRow>, StoreError> {
        let key = keys::account(name);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        self.sealed(&key, value).await
    }

    /// The app password or API token with that secret.
    pub async fn token(&self, secret: &str) -> Result<Option<AppPasswordRow>, StoreError> {
        let key = keys::app_password(&self.sealer.secret(secret));
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        self.sealed(&key, value).await
    }

    /// Every account that can be read.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        self.whole_rows(keys::whole(Table::Account), Extent::Many, Sealer::decode_sealed, Sealer::slot_of)
            .await
    }

    /// A digest of all accounts as they are stored. No row is sealed twice alike, so whoever finds the
    /// digest of before finds the accounts of before, and need not open them.
    pub async fn accounts_digest(&self) -> Result<[u8; 32], StoreError> {
        let range = keys::whole(Table::Account);
        let scan = self.fold(range, Extent::Many, blake3::Hasher::new(), |hasher, key, value| {
            for part in [key, value] {
                hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
            }
            Ok(ControlFlow::Continue(()))
        });
        Ok(*scan.await?.finalize().as_bytes())
    }

    /// The app passwords of one account, or of all, that can be read.
    pub async fn app_passwords(&self, account: Option<&[u8; 16]>) -> Result<Vec<AppPasswordRow>, StoreError> {
        let range = match account {
            Some(id) => keys::under(Table::AppPasswordOf, id),
            None => keys::whole(Table::AppPasswordOf),
        };
        self.whole_rows(range, Extent::Many, Sealer::decode_sealed, Sealer::slot_of).await
    }

    /// Those app passwords, by account and id, that are there and can be read.
    pub async fn app_passwords_of(
        &self,
        wanted: &[(rows::Id, rows::Id)],
    ) -> Result<Vec<AppPasswordRow>, StoreError> {
        let keys: Vec<_> =
            wanted.iter().map(|(account, id)| keys::app_password_of(&account.0, &id.0)).collect();
        let values = self.get(keys.clone()).await?;
        let rows = keys.iter().zip(values);
        Ok(rows.filter_map(|(key, value)| self.sealer.decode_sealed(key, value?.as_ref()).ok()).collect())
    }

    /// A mark on the installation.
    pub async fn mark(&self, name: &str) -> Result<Option<String>, StoreError> {
        let key = keys::installation(name);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        value.map(|value| self.sealer.decode::<MarkRow>(&key, &value).map(|row| row.text)).transpose()
    }

    /// The book of that name in a home.
    pub async fn link(&self, home: CollectionId, name: &MemberName) -> Result<Option<Link>, StoreError> {
        let key = keys::member(home, &self.sealer.member(home.as_bytes(), name));
        if let Some((_, link)) = self.place.get().filter(|(known, _)| *known == key) {
            return Ok(Some(link.clone()));
        }
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        let Some(value) = value else { return Ok(None) };
        let read = link(&self.sealer, &key, &value);
        let link = self.one(&key, &value, read, codec::link_slot).await?;
        if let Some(link) = &link {
            let _ = self.place.set((key, link.clone()));
        }
        Ok(link)
    }

    /// The books of a home whose names can be read.
    pub async fn links(&self, home: CollectionId) -> Result<Vec<Link>, StoreError> {
        Ok(self.all_links(home).await?.0)
    }

    /// The books of a home; the flag says that there are others, whose names cannot be read.
    pub async fn all_links(&self, home: CollectionId) -> Result<(Vec<Link>, bool), StoreError> {
        let range = keys::under(Table::Member, home.as_bytes());
        let (found, broken) = self.rows(range, Extent::Few, link, codec::link_slot).await?;
        Ok((found.into_iter().filter_map(Found::readable).collect(), !broken.is_empty()))
    }

    /// The books of a home that have these name hashes, as far as their names can be read.
    pub async fn links_of(&self, home: CollectionId, members: &[Hash]) -> Result<Vec<Link>, StoreError> {
        let wanted: Vec<_> = members.iter().map(|member| keys::member(home, member)).collect();
        let values = self.get(wanted.clone()).await?;
        let (mut links, mut broken) = (Vec::with_capacity(wanted.len()), Vec::new());
        for (key, value) in wanted.iter().zip(&values) {
            let Some(value) = value else { continue };
            match link(&self.sealer, key, value) {
                Ok(link) => links.push(link),
                Err(error) => broken.push(Broken::of(0, key, value, error, codec::link_slot)?),
            }
        }
        self.damaged(broken).await?;
        Ok(links)
    }

    /// Collections with their revisions and properties, in the order asked; damage to one of them is
    /// the end of it.
    pub async fn collections(&self, ids: &[CollectionId]) -> Result<Vec<Option<Collection>>, StoreError> {
        self.found_collections(ids).await?.into_iter().map(Found::whole).collect()
    }

    /// Collections with their revisions and properties, in the order asked. One whose properties
    /// alone are damaged is whole but for those.
    pub async fn found_collections(
        &self,
        ids: &[CollectionId],
    ) -> Result<Vec<Found<Collection>>, StoreError> {
        let wanted = ids
            .iter()
            .flat_map(|id| [keys::collection(*id), keys::revision(*id), keys::properties(id.as_bytes())])
            .collect();
        let values = self.get(wanted).await?;
        let (mut found, mut broken) = (Vec::with_capacity(ids.len()), Vec::new());
        for (id, values) in ids.iter().zip(values.chunks_exact(3)) {
            let [Some(row), revision, properties] = values else {
                found.push(Found::Absent);
                continue;
            };
            match self.collection(*id, row, revision.as_deref()) {
                Ok(mut collection) => {
                    if let Some(value) = properties {
                        let key = keys::properties(id.as_bytes());
                        match self.sealer.decode_sealed::<PropertiesRow>(&key, value) {
                            Ok(row) => collection.properties = row.properties,
                            Err(error) => {
                                broken.push(Broken::of(found.len(), &key, value, error, Sealer::slot_of)?);
                            }
                        }
                    }
                    found.push(Found::Whole(collection));
                }
                Err(error @ StoreError::Damaged(_)) => {
                    self.damages.note(&keys::collection(*id), &error);
                    found.push(Found::Damaged(None));
                }
                Err(error) => return Err(error),
            }
        }
        for broken in self.damaged(broken).await? {
            if let Some(Found::Whole(collection)) = found.get_mut(broken.at) {
                collection.unreadable = true;
            }
        }
        Ok(found)
    }

    fn collection(
        &self,
        id: CollectionId,
        row: &[u8],
        revision: Option<&[u8]>,
    ) -> Result<Collection, StoreError> {
        Ok(Collection {
            id,
            row: self.sealer.decode(&keys::collection(id), row)?,
            revision: Revision(revision.map_or(Ok(0), counter)?),
            properties: Vec::new(),
            unreadable: false,
        })
    }

    /// Whether, and as what, a collection waits to be purged.
    pub(super) async fn purge_row(&self, id: CollectionId) -> Result<Option<PurgeRow>, StoreError> {
        let key = keys::purge(id);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        value.map(|value| self.sealer.decode(&key, &value)).transpose()
    }

    /// What clients wrote on an account's principal, a home or a book.
    pub async fn properties(&self, id: &[u8; 16]) -> Result<Vec<StoredProperty>, StoreError> {
        let key = keys::properties(id);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        let row: Option<PropertiesRow> = self.sealed(&key, value).await?;
        Ok(row.map(|row| row.properties).unwrap_or_default())
    }

    /// What clients wrote on each of these, in the order asked; what cannot be read is left out.
    pub async fn properties_of(&self, ids: &[Hash]) -> Result<Vec<Vec<StoredProperty>>, StoreError> {
        let wanted: Vec<_> = ids.iter().map(keys::properties).collect();
        let values = self.get(wanted.clone()).await?;
        let (mut found, mut broken) = (Vec::with_capacity(ids.len()), Vec::new());
        for (key, value) in wanted.iter().zip(&values) {
            let row = value.as_ref().map(|value| self.sealer.decode_sealed::<PropertiesRow>(key, value));
            found.push(match row.transpose() {
                Ok(row) => row.map(|row| row.properties).unwrap_or_default(),
                Err(error) => {
                    let value = value.as_deref().unwrap_or_default();
                    broken.push(Broken::of(found.len(), key, value, error, Sealer::slot_of)?);
                    Vec::new()
                }
            });
        }
        self.damaged(broken).await?;
        Ok(found)
    }

    /// A sealed row, unless it was erased meanwhile.
    pub(super) async fn sealed<T>(&self, key: &[u8], value: Option<Bytes>) -> Result<Option<T>, StoreError>
    where
        T: for<'b> minicbor::Decode<'b, ()>,
    {
        let Some(value) = value else { return Ok(None) };
        self.one(key, &value, self.sealer.decode_sealed(key, &value), Sealer::slot_of).await
    }

    pub(super) fn damages(&self) -> &Damages {
        &self.damages
    }

    pub(super) fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    pub(super) async fn get(&self, wanted: Vec<Vec<u8>>) -> Result<Vec<Option<Bytes>>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        calls::bump();
        Ok(self.snapshot.get(wanted).await?)
    }

    /// The rows of a range in order, and those that could not be opened.
    async fn rows<T: Send + 'static>(
        &self,
        range: KeyRange,
        extent: Extent,
        read: Read<T>,
        slot: NamesSlot,
    ) -> Result<(Vec<Found<T>>, Vec<Broken>), StoreError> {
        let sealer = self.sealer.clone();
        let state = (Vec::new(), Vec::new());
        let scan = self.fold(range, extent, state, move |(found, broken), key, value| {
            found.push(match read(&sealer, key, value) {
                Ok(row) => Found::Whole(row),
                Err(error) => {
                    broken.push(Broken::of(found.len(), key, value, error, slot)?);
                    Found::Absent
                }
            });
            Ok(ControlFlow::Continue(()))
        });
        let (mut found, broken) = scan.await?;
        let broken = self.damaged(broken).await?;
        mark(&mut found, &broken);
        Ok((found, broken))
    }

    /// The rows of a range that can be opened.
    async fn whole_rows<T: Send + 'static>(
        &self,
        range: KeyRange,
        extent: Extent,
        read: Read<T>,
        slot: NamesSlot,
    ) -> Result<Vec<T>, StoreError> {
        let (found, _) = self.rows(range, extent, read, slot).await?;
        Ok(found.into_iter().filter_map(Found::readable).collect())
    }

    /// Scans a range into a state. The state is shared with the engine's thread for the scan only.
    pub(super) async fn fold<T: Send + 'static>(
        &self,
        range: KeyRange,
        extent: Extent,
        state: T,
        mut step: impl FnMut(&mut T, &[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        calls::bump();
        let shared = Arc::new(Mutex::new((state, Ok(()))));
        let ours = shared.clone();
        let visit = Box::new(move |key: &[u8], value: &[u8]| {
            let mut guard = ours.lock().unwrap_or_else(PoisonError::into_inner);
            let (state, outcome) = &mut *guard;
            step(state, key, value).unwrap_or_else(|error| {
                *outcome = Err(error);
                ControlFlow::Break(())
            })
        });
        self.snapshot.scan(range, extent, visit).await?;
        let shared = Arc::into_inner(shared).ok_or(StoreError::Malformed("a scan outlived its answer"))?;
        let (state, outcome) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome.map(|()| state)
    }
}

impl Store {
    /// The collections that wait to be purged.
    pub async fn condemned(&self) -> Result<Vec<CollectionId>, StoreError> {
        let reader = self.read().await?;
        let range = keys::whole(Table::Purge);
        reader
            .whole_rows(
                range,
                Extent::Few,
                |_, key, _| {
                    keys::owner(key).map(CollectionId::from_bytes).ok_or(StoreError::Damaged("a purge key"))
                },
                Sealer::slot_of,
            )
            .await
    }
}

/// Says which of them are damaged.
fn mark<T>(found: &mut [Found<T>], broken: &[Broken]) {
    for broken in broken {
        if let Some(found) = found.get_mut(broken.at) {
            *found = Found::Damaged(None);
        }
    }
}

fn counter(value: &[u8]) -> Result<u64, StoreError> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Damaged("a revision counter"))
}

fn link(sealer: &Sealer, key: &[u8], value: &[u8]) -> Result<Link, StoreError> {
    let (_, row) = sealer.decode_link(key, value)?;
    let member = keys::item(key).ok_or(StoreError::Damaged("a key is too short"))?;
    Ok(Link {
        name: row.name,
        book: CollectionId::from_bytes(row.collection),
        member,
        mount: row.mount,
        smart: row.smart,
    })
}
