//! Homes and address books: listing, making, deleting, and the properties that clients write.

use std::collections::{BTreeSet, HashMap};

use crate::domain::ical::Components;
use crate::domain::id::{AccountId, CollectionId, HomeName, MemberName, Principal};
use crate::store::commit::{CollectionOp, Described, Op, PropertiesOp};
use crate::store::damage::Found;
use crate::store::keys::Hash;
use crate::store::query::{Collection, Link, Reader};
use crate::store::rows::{CollectionRow, StoredProperty};

use super::access::{Belongs, Caller, EVERYBODY, Privilege, Reach, rights};
use super::birthdays::is_births;
use super::place::{Place, Precondition};
use super::refusal::{Fault, Refusal, Stop};
use super::resolve::{collection_view, denied, overlay, stored};
use super::view::{CollectionView, HomeView, Property, PropertyChange, Sharer};
use super::{Answer, Service};

/// How much clients may write on one resource: properties, and bytes in all of them (DAV-23).
const PROPERTIES: usize = 200;
const PROPERTY_BYTES: usize = 256 << 10;

/// How often a PROPPATCH is tried again when another one came between.
const ROUNDS: usize = 16;

/// In which order a home shows its books: Apple's clients take the first one (B1 #6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Default,
    Own,
    Others,
    Everybodys,
}

impl Service {
    /// A home and its books: the default book first, because Apple clients take the first (B1 #6).
    pub async fn home(&self, caller: &Caller, owner: &HomeName) -> Answer<HomeView> {
        let home = self.readable_home(caller, owner)?;
        let reader = self.store.read().await?;
        let (links, nameless) = reader.all_links(home).await?;
        let mut view = self.with_links(&reader, caller, owner, home, links).await?;
        self.add_births(&reader, caller, owner, &mut view).await?;
        view.home.digest = Some(digest(&view.home, &view.books));
        view.nameless = nameless;
        Ok(view)
    }

    /// Puts the calendar of birthdays behind the user's own calendars.
    pub(super) async fn add_births(
        &self,
        reader: &Reader,
        caller: &Caller,
        owner: &HomeName,
        view: &mut HomeView,
    ) -> Answer<()> {
        if let Some(births) = self.births_in(reader, caller, owner).await? {
            let own = view.books.iter().take_while(|book| book.sharer == Sharer::Own).count();
            view.books.insert(own, births);
        }
        Ok(())
    }

    /// Reads a home and the books of some links in one call.
    pub(super) async fn with_links(
        &self,
        reader: &Reader,
        caller: &Caller,
        owner: &HomeName,
        home: CollectionId,
        links: Vec<Link>,
    ) -> Answer<HomeView> {
        let mut ids = vec![home];
        ids.extend(links.iter().map(|link| link.book));
        let mut collections = reader.found_collections(&ids).await?.into_iter();
        let home = collections.next().map_or(Ok(None), Found::whole)?.ok_or(Refusal::NotFound)?;
        let mut own = self.overlays(reader, &links).await?;
        let collections: Vec<_> = collections.collect();
        let sharers = self.sharers(reader, &links, &collections).await?;
        let mut books = Vec::with_capacity(links.len());
        let mut damaged = Vec::new();
        for (link, collection) in links.iter().zip(collections) {
            let name = MemberName::parse(&link.name).map_err(|_| Fault("a book has no valid name".into()))?;
            match collection {
                Found::Whole(mut book) if link.mount => {
                    let rights = rights(caller, Belongs::Mounted(&book.row));
                    if !rights.read {
                        // Not shared any more: its place goes soon.
                        continue;
                    }
                    overlay(&mut book, own.remove(&link.member).unwrap_or_default());
                    let (order, sharer) = match is_everybodys(&book.row) {
                        true => (Order::Everybodys, Sharer::Unknown),
                        false => (Order::Others, Sharer::of(sharers.get(&book.row.owner).cloned())),
                    };
                    books.push((order, collection_view(owner, Some(&name), book, (rights, sharer))));
                }
                Found::Absent if link.mount => {}
                Found::Whole(book) => {
                    let order = if book.row.default { Order::Default } else { Order::Own };
                    let rights = rights(caller, Belongs::Own(&owner.user, &book.row));
                    if rights.read {
                        let standing = (rights, Sharer::Own);
                        books.push((order, collection_view(owner, Some(&name), book, standing)));
                    }
                }
                // A link and its book are written and removed in one commit: a book that is not there
                // is damage too.
                Found::Damaged(_) | Found::Absent => damaged.push(name),
            }
        }
        books.sort_by(|(a, x), (b, y)| (a, &x.name).cmp(&(b, &y.name)));
        damaged.sort();
        let books = books.into_iter().map(|(_, book)| book).collect();
        let standing = (rights(caller, Belongs::Home(owner)), Sharer::Own);
        Ok(HomeView { home: collection_view(owner, None, home, standing), books, damaged, nameless: false })
    }

    /// The names of those whose books have places in a home.
    async fn sharers(
        &self,
        reader: &Reader,
        links: &[Link],
        books: &[Found<Collection>],
    ) -> Answer<HashMap<[u8; 16], Principal>> {
        let mounted = links.iter().zip(books).filter(|(link, _)| link.mount);
        let rows = mounted.filter_map(|(_, book)| match book {
            Found::Whole(book) if !is_everybodys(&book.row) => Some(book.row.owner),
            _ => None,
        });
        let ids: Vec<_> = rows.collect::<BTreeSet<_>>().into_iter().collect();
        let accounts = self.accounts_of(reader, &ids).await?.into_iter().flatten();
        Ok(accounts.filter_map(|account| Some((account.id, account.principal()?))).collect())
    }

    /// What the home's user wrote on others' books, by the names' hashes.
    async fn overlays(&self, reader: &Reader, links: &[Link]) -> Answer<HashMap<Hash, Vec<StoredProperty>>> {
        let mounts: Vec<_> = links.iter().filter(|link| link.mount).map(|link| link.member).collect();
        let written = reader.properties_of(&mounts).await?;
        Ok(mounts.into_iter().zip(written).collect())
    }

    /// Makes a book.
    pub async fn create_book(
        &self,
        caller: &Caller,
        owner: &HomeName,
        book: &MemberName,
        properties: Vec<Property>,
        when: Vec<Precondition>,
    ) -> Answer<()> {
        self.create_collection(caller, (owner, book), Components::NONE, properties, when).await
    }

    /// Makes a book or, in a home of calendars, a calendar that takes these components.
    pub async fn create_collection(
        &self,
        caller: &Caller,
        (owner, book): (&HomeName, &MemberName),
        components: Components,
        properties: Vec<Property>,
        when: Vec<Precondition>,
    ) -> Answer<()> {
        let place = || Place::Home(owner.clone());
        let home = self.writable_home(caller, owner, place, Privilege::Bind)?;
        if is_births(owner, book) {
            return Err(Refusal::Mapped.into());
        }
        let properties: Vec<_> = properties.into_iter().map(stored).collect();
        within_limits(&properties)?;
        let expect = self.facts(&self.store.read().await?, caller, &when).await?;
        let create = CollectionOp::Create {
            home,
            name: book.clone(),
            id: CollectionId::new(self.fresh()?),
            owner: caller.account,
            default: false,
            components: components.bits(),
            properties,
            replace: false,
        };
        self.commit(Some(caller), expect, vec![Op::Collection(create)]).await?;
        Ok(())
    }

    /// Removes a card, or a book with all that is in it.
    pub async fn delete(&self, caller: &Caller, place: &Place, when: Vec<Precondition>) -> Answer<()> {
        match place {
            Place::Object(owner, book, card) => self.delete_card(caller, (owner, book, card), when).await,
            Place::Collection(owner, book) => self.delete_book(caller, owner, book, when).await,
            Place::Home(owner) => {
                self.readable_home(caller, owner)?;
                Err(denied(place.clone(), Privilege::Unbind))
            }
            Place::Principal(name) => {
                self.principal(caller, &Principal::User(name.clone())).await?;
                Err(denied(place.clone(), Privilege::Unbind))
            }
            Place::Group(name) => {
                self.principal(caller, &Principal::Group(name.clone())).await?;
                Err(denied(place.clone(), Privilege::Unbind))
            }
        }
    }

    /// Removes a book with its cards and shares, or takes another's out of the caller's home.
    async fn delete_book(
        &self,
        caller: &Caller,
        owner: &HomeName,
        book: &MemberName,
        when: Vec<Precondition>,
    ) -> Answer<()> {
        let reader = self.store.read().await?;
        let reached = self.reach(&reader, caller, owner, book).await?.ok_or(Refusal::NotFound)?;
        let expect = self.facts(&reader, caller, &when).await?;
        let may = match reached.mount {
            Some(_) => caller.reach_of(owner.kind) >= Reach::Write,
            None => reached.rights.owner && reached.rights.write,
        };
        if !may {
            return Err(denied(Place::Home(owner.clone()), Privilege::Unbind));
        }
        if reached.mount.is_some() {
            return self.leave(caller, book, reached, expect).await;
        }
        let ending = self.ending_at(&reader, reached.id).await?;
        drop(reader);
        let remove = CollectionOp::Remove { home: reached.home, name: book.clone(), book: reached.id };
        self.commit_ending(Some(caller), expect, vec![Op::Collection(remove)], &ending).await?;
        self.purge.notify_one();
        self.settle_ended(Some(caller), ending).await
    }

    /// Starts the clearing of what a removed or replaced book left.
    pub(super) fn purge_soon(&self) {
        self.purge.notify_one();
    }

    /// Changes the properties that clients write, all steps or none (DAV-19). What is protected is
    /// the protocol's business.
    pub async fn patch(
        &self,
        caller: &Caller,
        place: &Place,
        changes: Vec<PropertyChange>,
        when: Vec<Precondition>,
    ) -> Answer<()> {
        for _ in 0..ROUNDS {
            let reader = self.store.read().await?;
            let (of, before) = self.described(&reader, caller, place).await?;
            let properties = changed(&before, &changes);
            within_limits(&properties)?;
            let expect = self.facts(&reader, caller, &when).await?;
            drop(reader);
            if properties == before && expect.is_empty() {
                return Ok(());
            }
            let op = Op::Properties(PropertiesOp { of, properties, before });
            match self.commit(Some(caller), expect, vec![op]).await {
                // What was read has moved, or is gone; the next round tells which.
                Err(Stop::Refused(Refusal::NotFound)) => continue,
                done => return done.map(|_| ()),
            }
        }
        Err(Refusal::Busy { retry_after: std::time::Duration::from_secs(1) }.into())
    }

    /// What a place's properties are kept under, and those it has.
    async fn described(
        &self,
        reader: &Reader,
        caller: &Caller,
        place: &Place,
    ) -> Answer<(Described, Vec<StoredProperty>)> {
        let own = |home| self.writable_home(caller, home, || place.clone(), Privilege::WriteProperties);
        let account: AccountId = caller.account;
        Ok(match place {
            Place::Group(name) => {
                self.principal(caller, &Principal::Group(name.clone())).await?;
                return Err(denied(place.clone(), Privilege::WriteProperties));
            }
            Place::Principal(name) if *name != caller.name => {
                self.principal(caller, &Principal::User(name.clone())).await?;
                return Err(denied(place.clone(), Privilege::WriteProperties));
            }
            Place::Principal(name) => {
                let id = account.as_bytes();
                let home = own(&HomeName::books(name.clone()))?;
                (Described::Account { id: account, home }, reader.properties(id).await?)
            }
            Place::Home(name) => {
                let home = own(name)?;
                (Described::Home(home), reader.properties(home.as_bytes()).await?)
            }
            Place::Collection(owner, name) => {
                let reached = self.reach(reader, caller, owner, name).await?.ok_or(Refusal::NotFound)?;
                if !reached.rights.allow(Privilege::WriteProperties) {
                    return Err(denied(place.clone(), Privilege::WriteProperties));
                }
                let (home, name) = (reached.home, name.clone());
                match reached.mount {
                    Some(member) => (Described::Mount { home, name }, reader.properties(&member).await?),
                    None => (Described::Book { home, name }, reader.properties(reached.id.as_bytes()).await?),
                }
            }
            Place::Object(owner, book, name) => {
                let reached = self.reach(reader, caller, owner, book).await?.ok_or(Refusal::NotFound)?;
                if !reached.rights.on_members().allow(Privilege::WriteProperties) {
                    return Err(denied(place.clone(), Privilege::WriteProperties));
                }
                let book = reached.id;
                let with = crate::store::query::With { properties: true, body: false };
                let card = reader.cards(book, std::slice::from_ref(name), with).await?.pop();
                let card = card.map_or(Ok(None), Found::whole)?.ok_or(Refusal::NotFound)?;
                if card.unreadable {
                    return Err(Fault("the store is damaged: a card's properties".into()).into());
                }
                (Described::Card { book, name: name.clone() }, card.properties)
            }
        })
    }
}

/// Whether every user has a share of a book: the staff directory, whose owner is nobody that a user
/// would know.
pub(super) fn is_everybodys(book: &CollectionRow) -> bool {
    book.shares.iter().any(|share| share.account == EVERYBODY)
}

/// What a home and its books are, in few bytes: each one's identity and revision.
fn digest(home: &CollectionView, books: &[CollectionView]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for collection in std::iter::once(home).chain(books) {
        hasher.update(collection.log.as_bytes()).update(&collection.revision.0.to_be_bytes());
    }
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

/// The properties after the changes, in document order (DAV-20).
fn changed(before: &[StoredProperty], changes: &[PropertyChange]) -> Vec<StoredProperty> {
    let mut properties = before.to_vec();
    for change in changes {
        match change {
            PropertyChange::Set(property) => {
                let property = stored(property.clone());
                let known = properties
                    .iter_mut()
                    .find(|known| known.namespace == property.namespace && known.local == property.local);
                match known {
                    Some(known) => *known = property,
                    None => properties.push(property),
                }
            }
            PropertyChange::Remove(name) => {
                properties.retain(|known| known.namespace != name.namespace || known.local != name.local);
            }
        }
    }
    properties
}

fn within_limits(properties: &[StoredProperty]) -> Result<(), Refusal> {
    let text = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    let size = |p: &StoredProperty| p.namespace.len() + p.local.len() + text(&p.text) + text(&p.xml);
    let bytes: usize = properties.iter().map(size).sum();
    if properties.len() > PROPERTIES || bytes > PROPERTY_BYTES {
        return Err(Refusal::PropertiesFull);
    }
    Ok(())
}
