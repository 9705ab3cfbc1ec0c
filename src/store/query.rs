//! Reads: sets on one snapshot. A reader holds the snapshot, so everything it answers belongs
//! together; it must not outlive the answer it was made for, since it pins the engine's pages.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::domain::id::{CollectionId, ContactId, MemberName, Revision, UserName};

use super::engine::{Extent, KeyRange, Snapshot};
use super::keys::{self, Hash, Table};
use super::rows::{
    self, AccountRow, AppPasswordRow, CardRow, CollectionRow, LinkRow, PropertiesRow, PurgeRow,
    StoredProperty,
};
use super::seal::Sealer;
use super::{MarkRow, Store, StoreError, calls};

/// A view of the whole store as of one commit.
pub struct Reader {
    snapshot: Box<dyn Snapshot>,
    sealer: Arc<Sealer>,
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
}

/// A card as the snapshot shows it.
#[derive(Debug, Clone)]
pub struct Card {
    /// Its row.
    pub row: CardRow,
    /// What clients wrote on it, where asked for.
    pub properties: Vec<StoredProperty>,
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

/// How many bytes of cards are read at once; a single one may be larger.
pub const BODY_BYTES: u64 = 4 << 20;

/// Decides, from its octets, whether a card is wanted.
pub type Accept = Box<dyn Fn(&[u8]) -> bool + Send>;

impl Reader {
    pub(super) fn new(snapshot: Box<dyn Snapshot>, sealer: Arc<Sealer>) -> Self {
        Self { snapshot, sealer }
    }

    /// An account, and the app password with that secret, in one read.
    pub async fn credentials(
        &self,
        name: &UserName,
        secret: &str,
    ) -> Result<(Option<AccountRow>, Option<AppPasswordRow>), StoreError> {
        let account = keys::account(&self.sealer.user(name));
        let secret = keys::app_password(&self.sealer.secret(secret));
        let mut values = self.get(vec![account, secret]).await?.into_iter();
        let account = values.next().flatten();
        let secret = values.next().flatten();
        Ok((
            account.map(|value| rows::decode(&value)).transpose()?,
            secret.map(|value| rows::decode(&value)).transpose()?,
        ))
    }

    /// An account.
    pub async fn account(&self, name: &UserName) -> Result<Option<AccountRow>, StoreError> {
        let value = self.get(vec![keys::account(&self.sealer.user(name))]).await?.pop().flatten();
        value.map(|value| rows::decode(&value)).transpose()
    }

    /// Every account.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        self.rows(keys::whole(Table::Account), Extent::Many, |_, value| rows::decode(value)).await
    }

    /// The app passwords of one account, or of all.
    pub async fn app_passwords(&self, account: Option<&[u8; 16]>) -> Result<Vec<AppPasswordRow>, StoreError> {
        let range = match account {
            Some(id) => keys::under(Table::AppPasswordOf, id),
            None => keys::whole(Table::AppPasswordOf),
        };
        self.rows(range, Extent::Many, |_, value| rows::decode(value)).await
    }

    /// A mark on the installation.
    pub async fn mark(&self, name: &str) -> Result<Option<String>, StoreError> {
        let value = self.get(vec![keys::installation(name)]).await?.pop().flatten();
        value.map(|value| rows::decode::<MarkRow>(&value).map(|row| row.text)).transpose()
    }

    /// The book of that name in a home.
    pub async fn link(
        &self,
        home: CollectionId,
        name: &MemberName,
    ) -> Result<Option<CollectionId>, StoreError> {
        let member = self.sealer.member(home.as_bytes(), name);
        let value = self.get(vec![keys::member(home, &member)]).await?.pop().flatten();
        let row = value.map(|value| rows::decode_slotted::<LinkRow>(&value)).transpose()?;
        Ok(row.map(|(_, row)| CollectionId::from_bytes(row.collection)))
    }

    /// Every book of a home.
    pub async fn links(&self, home: CollectionId) -> Result<Vec<Link>, StoreError> {
        let range = keys::under(Table::Member, home.as_bytes());
        self.rows(range, Extent::Few, |_, value| link(value)).await
    }

    /// The books of a home that have these name hashes.
    pub async fn links_of(&self, home: CollectionId, members: &[Hash]) -> Result<Vec<Link>, StoreError> {
        let wanted = members.iter().map(|member| keys::member(home, member)).collect();
        let values = self.get(wanted).await?;
        values.iter().flatten().map(|value| link(value)).collect()
    }

    /// Collections with their revisions and properties, in the order asked.
    pub async fn collections(&self, ids: &[CollectionId]) -> Result<Vec<Option<Collection>>, StoreError> {
        let wanted = ids
            .iter()
            .flat_map(|id| [keys::collection(*id), keys::revision(*id), keys::properties(id.as_bytes())])
            .collect();
        let values = self.get(wanted).await?;
        let triples = values.chunks_exact(3).map(|values| match values {
            [row, revision, properties] => (row, revision, properties),
            _ => (&None, &None, &None),
        });
        ids.iter()
            .zip(triples)
            .map(|(id, (row, revision, properties))| {
                let Some(row) = row else { return Ok(None) };
                Ok(Some(Collection {
                    id: *id,
                    row: rows::decode(row)?,
                    revision: Revision(revision.as_deref().map_or(Ok(0), counter)?),
                    properties: written(properties.as_deref())?,
                }))
            })
            .collect()
    }

    /// Whether, and as what, a collection waits to be purged.
    pub(super) async fn purge_row(&self, id: CollectionId) -> Result<Option<PurgeRow>, StoreError> {
        let value = self.get(vec![keys::purge(id)]).await?.pop().flatten();
        value.map(|value| rows::decode(&value)).transpose()
    }

    /// What clients wrote on an account's principal.
    pub async fn properties(&self, id: &[u8; 16]) -> Result<Vec<StoredProperty>, StoreError> {
        written(self.get(vec![keys::properties(id)]).await?.pop().flatten().as_deref())
    }

    /// The cards of those names, in the order asked.
    pub async fn cards(
        &self,
        book: CollectionId,
        names: &[MemberName],
        with: With,
    ) -> Result<Vec<Option<Card>>, StoreError> {
        let members: Vec<_> = names.iter().map(|name| self.sealer.member(book.as_bytes(), name)).collect();
        self.cards_of(book, &members, with).await
    }

    /// The cards of those name hashes, in the order asked: one call for the rows, one more where
    /// octets or properties are wanted.
    pub async fn cards_of(
        &self,
        book: CollectionId,
        members: &[Hash],
        with: With,
    ) -> Result<Vec<Option<Card>>, StoreError> {
        let wanted = members.iter().map(|member| keys::member(book, member)).collect();
        let cards = self.get(wanted).await?.into_iter().map(|value| match value {
            Some(value) => card(&value).map(Some),
            None => Ok(None),
        });
        let mut cards = cards.collect::<Result<Vec<_>, _>>()?;
        self.fill(book, cards.iter_mut().flatten(), with).await?;
        Ok(cards)
    }

    /// Every card of a book, in a stable order, without octets.
    pub async fn all_cards(&self, book: CollectionId, properties: bool) -> Result<Vec<Card>, StoreError> {
        let range = keys::under(Table::Member, book.as_bytes());
        let mut cards = self.rows(range, Extent::Many, |_, value| card(value)).await?;
        self.fill(book, cards.iter_mut(), With { properties, body: false }).await?;
        Ok(cards)
    }

    /// The name hashes of the cards whose octets `accept` takes, oldest contact first; the flag
    /// says that the limit cut the list.
    pub async fn matching(
        &self,
        book: CollectionId,
        accept: Accept,
        limit: Option<usize>,
    ) -> Result<(Vec<Hash>, bool), StoreError> {
        let limit = limit.unwrap_or(usize::MAX);
        let range = keys::under(Table::Body, book.as_bytes());
        self.fold(range, Extent::Many, (Vec::new(), false), move |(found, truncated), _, value| {
            let (member, body) = rows::decode_body(value)?;
            if !accept(body) {
                return Ok(ControlFlow::Continue(()));
            }
            if found.len() == limit {
                *truncated = true;
                return Ok(ControlFlow::Break(()));
            }
            found.push(member);
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    /// Reads what else is wanted of cards, for all of them in one call.
    async fn fill(
        &self,
        book: CollectionId,
        cards: impl Iterator<Item = &mut Card>,
        with: With,
    ) -> Result<(), StoreError> {
        let mut wanted = Vec::new();
        let mut cards: Vec<&mut Card> = cards.collect();
        let mut bodies = if with.body { bodies_at_once(&cards) } else { 0 };
        for (at, card) in cards.iter().enumerate() {
            let contact = ContactId::from_bytes(card.row.contact);
            if at < bodies {
                wanted.push(keys::body(book, contact));
            }
            if with.properties && card.row.described {
                wanted.push(keys::properties(contact.as_bytes()));
            }
        }
        let mut values = self.get(wanted).await?.into_iter();
        for card in &mut cards {
            if bodies > 0 {
                bodies -= 1;
                let value = values.next().flatten().ok_or(StoreError::Damaged("a card has no body"))?;
                card.body = Some(rows::body_bytes(&value)?);
            }
            if with.properties && card.row.described {
                card.properties = written(values.next().flatten().as_deref())?;
            }
        }
        Ok(())
    }

    pub(super) async fn get(&self, wanted: Vec<Vec<u8>>) -> Result<Vec<Option<Bytes>>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        calls::bump();
        Ok(self.snapshot.get(wanted).await?)
    }

    async fn rows<T: Send + 'static>(
        &self,
        range: KeyRange,
        extent: Extent,
        read: fn(&[u8], &[u8]) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.fold(range, extent, Vec::new(), move |found, key, value| {
            found.push(read(key, value)?);
            Ok(ControlFlow::Continue(()))
        })
        .await
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
            .rows(range, Extent::Few, |key, _| {
                keys::owner(key).map(CollectionId::from_bytes).ok_or(StoreError::Damaged("a purge key"))
            })
            .await
    }
}

/// How many of the cards' bodies are read at once.
fn bodies_at_once(cards: &[&mut Card]) -> usize {
    let mut bytes = 0;
    let sizes = cards.iter().map(|card| card.row.size);
    let within = sizes.take_while(|size| {
        bytes += size;
        bytes <= BODY_BYTES
    });
    within.count().max(1)
}

fn counter(value: &[u8]) -> Result<u64, StoreError> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Damaged("a revision counter"))
}

fn written(value: Option<&[u8]>) -> Result<Vec<StoredProperty>, StoreError> {
    match value {
        Some(value) => Ok(rows::decode::<PropertiesRow>(value)?.properties),
        None => Ok(Vec::new()),
    }
}

fn link(value: &[u8]) -> Result<Link, StoreError> {
    let (_, row) = rows::decode_slotted::<LinkRow>(value)?;
    Ok(Link { name: row.name, book: CollectionId::from_bytes(row.collection) })
}

fn card(value: &[u8]) -> Result<Card, StoreError> {
    let (_, row) = rows::decode_slotted(value)?;
    Ok(Card { row, properties: Vec::new(), body: None })
}
