//! Reads: sets on one snapshot. A reader holds the snapshot, so everything it answers belongs
//! together; it must not outlive the answer it was made for, since it pins the engine's pages.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::domain::id::{CollectionId, ContactId, MemberName, Revision, UserName};

use super::engine::{Extent, KeyRange, Snapshot};
use super::keys::{self, Hash, Table};
use super::rows::{
    AccountRow, AppPasswordRow, CardRow, CollectionRow, PropertiesRow, PurgeRow, StoredProperty,
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
        let keys_of =
            (keys::account(&self.sealer.user(name)), keys::app_password(&self.sealer.secret(secret)));
        let mut values = self.get(vec![keys_of.0.clone(), keys_of.1.clone()]).await?.into_iter();
        let account = values.next().flatten();
        let secret = values.next().flatten();
        Ok((self.sealed(&keys_of.0, account)?, self.sealed(&keys_of.1, secret)?))
    }

    /// An account.
    pub async fn account(&self, name: &UserName) -> Result<Option<AccountRow>, StoreError> {
        let key = keys::account(&self.sealer.user(name));
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        self.sealed(&key, value)
    }

    /// Every account.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        self.rows(keys::whole(Table::Account), Extent::Many, Sealer::decode_sealed).await
    }

    /// The app passwords of one account, or of all.
    pub async fn app_passwords(&self, account: Option<&[u8; 16]>) -> Result<Vec<AppPasswordRow>, StoreError> {
        let range = match account {
            Some(id) => keys::under(Table::AppPasswordOf, id),
            None => keys::whole(Table::AppPasswordOf),
        };
        self.rows(range, Extent::Many, Sealer::decode_sealed).await
    }

    /// A mark on the installation.
    pub async fn mark(&self, name: &str) -> Result<Option<String>, StoreError> {
        let key = keys::installation(name);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        value.map(|value| self.sealer.decode::<MarkRow>(&key, &value).map(|row| row.text)).transpose()
    }

    /// The book of that name in a home.
    pub async fn link(
        &self,
        home: CollectionId,
        name: &MemberName,
    ) -> Result<Option<CollectionId>, StoreError> {
        let key = keys::member(home, &self.sealer.member(home.as_bytes(), name));
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        let found = value.map(|value| link(&self.sealer, &key, &value)).transpose();
        Ok(unless_erased(found)?.flatten().map(|link| link.book))
    }

    /// Every book of a home.
    pub async fn links(&self, home: CollectionId) -> Result<Vec<Link>, StoreError> {
        let range = keys::under(Table::Member, home.as_bytes());
        self.rows(range, Extent::Few, link).await
    }

    /// The books of a home that have these name hashes.
    pub async fn links_of(&self, home: CollectionId, members: &[Hash]) -> Result<Vec<Link>, StoreError> {
        let wanted: Vec<_> = members.iter().map(|member| keys::member(home, member)).collect();
        let values = self.get(wanted.clone()).await?;
        let found = wanted.iter().zip(&values).filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let links = found.map(|(key, value)| unless_erased(link(&self.sealer, key, value)));
        links.filter_map(Result::transpose).collect()
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
                    row: self.sealer.decode(&keys::collection(*id), row)?,
                    revision: Revision(revision.as_deref().map_or(Ok(0), counter)?),
                    properties: self.written(id.as_bytes(), properties.as_deref())?,
                }))
            })
            .collect()
    }

    /// Whether, and as what, a collection waits to be purged.
    pub(super) async fn purge_row(&self, id: CollectionId) -> Result<Option<PurgeRow>, StoreError> {
        let key = keys::purge(id);
        let value = self.get(vec![key.clone()]).await?.pop().flatten();
        value.map(|value| self.sealer.decode(&key, &value)).transpose()
    }

    /// What clients wrote on an account's principal.
    pub async fn properties(&self, id: &[u8; 16]) -> Result<Vec<StoredProperty>, StoreError> {
        self.written(id, self.get(vec![keys::properties(id)]).await?.pop().flatten().as_deref())
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
        let wanted: Vec<_> = members.iter().map(|member| keys::member(book, member)).collect();
        let values = self.get(wanted.clone()).await?;
        let cards = wanted.iter().zip(values).map(|(key, value)| match value {
            Some(value) => unless_erased(card(&self.sealer, key, &value)),
            None => Ok(None),
        });
        let mut cards = cards.collect::<Result<Vec<_>, _>>()?;
        self.fill(book, cards.iter_mut().flatten(), with).await?;
        Ok(cards)
    }

    /// Every card of a book, in a stable order, without octets.
    pub async fn all_cards(&self, book: CollectionId, properties: bool) -> Result<Vec<Card>, StoreError> {
        let range = keys::under(Table::Member, book.as_bytes());
        let mut cards = self.rows(range, Extent::Many, card).await?;
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
        let (sealer, mut plain) = (self.sealer.clone(), Vec::new());
        self.fold(range, Extent::Many, (Vec::new(), false), move |(found, truncated), key, value| {
            let Some((member, body)) = unless_erased(sealer.scan_body(key, value, &mut plain))? else {
                return Ok(ControlFlow::Continue(()));
            };
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
            let contact = ContactId::from_bytes(card.row.contact);
            if bodies > 0 {
                bodies -= 1;
                let value = values.next().flatten().ok_or(StoreError::Damaged("a card has no body"))?;
                card.body = Some(self.octets(book, &card.row, value)?);
            }
            if with.properties && card.row.described {
                card.properties = self.written(contact.as_bytes(), values.next().flatten().as_deref())?;
            }
        }
        Ok(())
    }

    /// A body's octets, once it is the one that its card tells of.
    fn octets(&self, book: CollectionId, row: &CardRow, value: Bytes) -> Result<Bytes, StoreError> {
        let key = keys::body(book, ContactId::from_bytes(row.contact));
        let body = self.sealer.decode_body(&key, value)?;
        if body.version == row.version && body.octets.len() as u64 == row.size {
            Ok(body.octets)
        } else {
            Err(StoreError::Damaged("a card's body is of another version"))
        }
    }

    /// Properties that clients wrote on what has that id.
    fn written(&self, id: &[u8; 16], value: Option<&[u8]>) -> Result<Vec<StoredProperty>, StoreError> {
        match value {
            Some(value) => {
                let row: PropertiesRow = self.sealer.decode_sealed(&keys::properties(id), value)?;
                Ok(row.properties)
            }
            None => Ok(Vec::new()),
        }
    }

    /// A sealed row, unless it was erased meanwhile.
    fn sealed<T>(&self, key: &[u8], value: Option<Bytes>) -> Result<Option<T>, StoreError>
    where
        T: for<'b> minicbor::Decode<'b, ()>,
    {
        let row = value.map(|value| self.sealer.decode_sealed(key, &value)).transpose();
        Ok(unless_erased(row)?.flatten())
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

    async fn rows<T: Send + 'static>(
        &self,
        range: KeyRange,
        extent: Extent,
        read: fn(&Sealer, &[u8], &[u8]) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let sealer = self.sealer.clone();
        self.fold(range, extent, Vec::new(), move |found, key, value| {
            found.extend(unless_erased(read(&sealer, key, value))?);
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
            .rows(range, Extent::Few, |_, key, _| {
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

fn link(sealer: &Sealer, key: &[u8], value: &[u8]) -> Result<Link, StoreError> {
    let (_, row) = sealer.decode_link(key, value)?;
    Ok(Link { name: row.name, book: CollectionId::from_bytes(row.collection) })
}

fn card(sealer: &Sealer, key: &[u8], value: &[u8]) -> Result<Card, StoreError> {
    let row = sealer.decode_card(key, value)?.row;
    Ok(Card { row, properties: Vec::new(), body: None })
}

/// What was erased after the snapshot was taken is not there any more.
pub(super) fn unless_erased<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Erased) => Ok(None),
        read => read.map(Some),
    }
}
