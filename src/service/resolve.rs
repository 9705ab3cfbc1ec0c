//! From places to collection ids and facts: the one way in which names become rows.

use crate::domain::format::Format;
use crate::domain::ical::Components;
use crate::domain::id::{CollectionId, CollectionKind, HomeName, MemberName, Principal, Revision, Uid};
use crate::store::commit::{At, Expect, Fact, FactState};
use crate::store::damage::Found;
use crate::store::keys::Hash;
use crate::store::query::{Card, Collection, Reader};
use crate::store::rows::{self, StoredProperty};

use super::access::{Belongs, Caller, Privilege, Rights, rights};
use super::birthdays::is_births;
use super::books::is_everybodys;
use super::place::{Place, Precondition, Require, State};
use super::refusal::{Fault, Refusal};
use super::view::{
    CollectionView, ObjectView, Property, PropertyName, PropertyValue, Seen, Sharer, Standing,
};
use super::{Answer, Service, Stop};

impl Service {
    /// The home of `owner`, if the caller may read there; what the caller may not see does not
    /// exist. Of other people's homes only the books that they share do.
    pub(super) fn readable_home(&self, caller: &Caller, home: &HomeName) -> Answer<CollectionId> {
        let rights = rights(caller, Belongs::Home(home));
        match (rights.owner, rights.read) {
            (true, true) => caller.home_of(home.kind).ok_or(Refusal::NotFound.into()),
            (true, false) => Err(denied(Place::Home(home.clone()), Privilege::Read)),
            (false, _) => Err(Refusal::NotFound.into()),
        }
    }

    /// The home of `owner`, if the caller has `privilege` at `place`, which is there.
    pub(super) fn writable_home(
        &self,
        caller: &Caller,
        home: &HomeName,
        place: impl FnOnce() -> Place,
        privilege: Privilege,
    ) -> Answer<CollectionId> {
        let id = self.readable_home(caller, home)?;
        if rights(caller, Belongs::Home(home)).allow(privilege) {
            Ok(id)
        } else {
            Err(denied(place(), privilege))
        }
    }

    /// The book of that name, as the caller reaches it: in its own home, where those of others that
    /// are shared with it have places too, or in its owner's. `None` where there is none that the
    /// caller may read.
    pub(super) async fn reach(
        &self,
        reader: &Reader,
        caller: &Caller,
        at: &HomeName,
        book: &MemberName,
    ) -> Answer<Option<Reached>> {
        if is_births(at, book) {
            return self.reach_births(caller, at);
        }
        let owner = &at.user;
        let own = caller.name == *owner;
        let home = match own {
            true => self.readable_home(caller, at)?,
            false => match reader.account(owner).await?.and_then(|account| account.home_of(at.kind)) {
                Some(home) => home,
                None => return Ok(None),
            },
        };
        let Some(link) = reader.link(home, book).await?.filter(|link| own || !link.mount) else {
            let gateway = own && at.kind == CollectionKind::AddressBook;
            return if gateway { self.reach_gateway(reader, caller, home, book).await } else { Ok(None) };
        };
        let (id, mount) = (link.book, link.mount.then_some(link.member));
        if own && !link.mount && !link.smart && caller.private {
            let rights = rights(caller, Belongs::Home(at));
            return Ok(Some(Reached { home, id, mount, rights, search_only: false }));
        }
        let row = reader.collections(&[id]).await?.pop().flatten().map(|collection| collection.row);
        let rights = row.map_or(Rights::NONE, |row| match (own, mount) {
            (true, Some(_)) => rights(caller, Belongs::Mounted(&row)),
            (true, None) => rights(caller, Belongs::Own(owner, &row)),
            (false, _) => rights(caller, Belongs::Shared(&row)),
        });
        Ok(rights.read.then_some(Reached { home, id, mount, rights, search_only: false }))
    }

    /// The staff's book, where it has no place in homes because it is too large for that (CARD-56).
    async fn reach_gateway(
        &self,
        reader: &Reader,
        caller: &Caller,
        home: CollectionId,
        book: &MemberName,
    ) -> Answer<Option<Reached>> {
        if book.as_str() != super::directory::BOOK {
            return Ok(None);
        }
        let Some(id) = self.searched_staff_book(reader).await? else { return Ok(None) };
        let row = reader.collections(&[id]).await?.pop().flatten().map(|collection| collection.row);
        let rights = row.map_or(Rights::NONE, |row| rights(caller, Belongs::Shared(&row)));
        Ok(rights.read.then_some(Reached { home, id, mount: None, rights, search_only: true }))
    }

    /// Where the caller may search the staff, if that has no place in its home (CARD-56).
    pub async fn directory_gateway(&self, caller: &Caller) -> Answer<Option<Place>> {
        let name = MemberName::parse(super::directory::BOOK).map_err(|_| Fault("a book's name".into()))?;
        let reader = self.store.read().await?;
        let home = HomeName::books(caller.name.clone());
        let reached = self.reach(&reader, caller, &home, &name).await?;
        let reached = reached.filter(|reached| reached.search_only);
        Ok(reached.map(|_| Place::Collection(home, name)))
    }

    /// What the caller may do with a book; `None` where there is none that the caller may read.
    pub async fn rights_at(
        &self,
        caller: &Caller,
        home: &HomeName,
        book: &MemberName,
    ) -> Answer<Option<Standing>> {
        let reader = self.store.read().await?;
        let reached = self.reach(&reader, caller, home, book).await?;
        Ok(reached.map(|reached| Standing { rights: reached.rights, mounted: reached.mount.is_some() }))
    }

    /// The book of that name, if the caller has `privilege` there; `place` is what is said to lack it.
    pub(super) async fn reach_with(
        &self,
        reader: &Reader,
        caller: &Caller,
        (home, book): (&HomeName, &MemberName),
        place: impl FnOnce() -> Place,
        privilege: Privilege,
    ) -> Answer<Option<Reached>> {
        match self.reach(reader, caller, home, book).await? {
            Some(reached) if !reached.rights.allow(privilege) => Err(denied(place(), privilege)),
            reached => Ok(reached),
        }
    }

    /// A book as the caller sees it, with what the caller wrote on it if it is another's.
    pub(super) async fn shown(
        &self,
        reader: &Reader,
        caller: &Caller,
        (home, name): (&HomeName, &MemberName),
        reached: &Reached,
        mut collection: Collection,
    ) -> Answer<CollectionView> {
        let belongs = match (reached.mount, caller.name == home.user) {
            _ if reached.search_only => Sharer::Unknown,
            (Some(member), _) => {
                overlay(&mut collection, reader.properties(&member).await?);
                match is_everybodys(&collection.row) {
                    true => Sharer::Unknown,
                    false => Sharer::of(self.named(reader, &collection.row.owner).await?),
                }
            }
            (None, true) => Sharer::Own,
            (None, false) => Sharer::Known(Principal::User(home.user.clone())),
        };
        let view = collection_view(home, Some(name), collection, (reached.rights, belongs));
        Ok(CollectionView { search_only: reached.search_only, ..view })
    }

    /// What a request's preconditions say of the store.
    pub(super) async fn facts(
        &self,
        reader: &Reader,
        caller: &Caller,
        when: &[Precondition],
    ) -> Answer<Vec<Expect>> {
        let mut expect = Vec::with_capacity(when.len());
        for Precondition(lists) in when {
            let mut alternatives = Vec::with_capacity(lists.len());
            for list in lists {
                let mut facts = Vec::with_capacity(list.len());
                for require in list {
                    facts.push(self.fact(reader, caller, require).await?);
                }
                alternatives.push(facts);
            }
            expect.push(Expect(alternatives));
        }
        Ok(expect)
    }

    async fn fact(&self, reader: &Reader, caller: &Caller, require: &Require) -> Answer<Fact> {
        let at = match &require.place {
            Some(Place::Home(owner)) => self.readable_home(caller, owner).ok().map(At::Collection),
            Some(Place::Collection(owner, book)) => match self.reach(reader, caller, owner, book).await {
                Ok(Some(reached)) => Some(At::Link(reached.home, book.clone())),
                // In the caller's own home it may be made meanwhile, and the commit looks again.
                Ok(None) if caller.name == owner.user => match caller.home_of(owner.kind) {
                    Some(home) => {
                        let hidden = reader.link(home, book).await?.is_some();
                        (!hidden).then(|| At::Link(home, book.clone()))
                    }
                    None => None,
                },
                Ok(None) | Err(Stop::Refused(_)) => None,
                Err(failed) => return Err(failed),
            },
            Some(Place::Object(owner, book, card)) => match self.reach(reader, caller, owner, book).await {
                Ok(reached) => reached.map(|reached| At::Card(reached.id, card.clone())),
                Err(Stop::Refused(_)) => None,
                Err(failed) => return Err(failed),
            },
            Some(Place::Principal(_) | Place::Group(_)) | None => None,
        };
        let state = match &require.state {
            State::Exists => FactState::Exists,
            State::EtagIn(tags) => FactState::EtagIn(tags.clone()),
            State::UnmodifiedSince(time) => FactState::UnmodifiedSince(*time),
            State::Token(token) => FactState::At(token.collection, token.revision),
            State::Never => FactState::Never,
        };
        Ok(Fact { at, state, negate: require.negate })
    }
}

/// A book as a caller reaches it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    /// The home that it was reached through.
    pub(super) home: CollectionId,
    /// The book.
    pub(super) id: CollectionId,
    /// Its member name's hash, where it is another's book in the caller's home.
    pub(super) mount: Option<Hash>,
    /// What the caller may do with it.
    pub(super) rights: Rights,
    /// It can be searched, and its members read by their names, and no more (CARD-57).
    pub(super) search_only: bool,
}

impl Reached {
    /// Refuses to tell everything that is in a book that can be searched only.
    pub(super) fn listable(self, owner: &HomeName, book: &MemberName) -> Answer<Self> {
        match self.search_only {
            true => Err(denied(Place::Collection(owner.clone(), book.clone()), Privilege::Read)),
            false => Ok(self),
        }
    }
}

/// What a user wrote on another's book goes before what its owner wrote.
pub(super) fn overlay(collection: &mut Collection, own: Vec<StoredProperty>) {
    let is = |a: &StoredProperty, b: &StoredProperty| a.namespace == b.namespace && a.local == b.local;
    collection.properties.retain(|theirs| !own.iter().any(|own| is(own, theirs)));
    collection.properties.extend(own);
}

/// The answer to a caller who lacks a privilege.
pub(super) fn denied(place: Place, privilege: Privilege) -> super::Stop {
    Refusal::NeedPrivileges(vec![(place, privilege)]).into()
}

/// A collection as the caller sees it.
pub(super) fn collection_view(
    home: &HomeName,
    name: Option<&MemberName>,
    collection: Collection,
    (rights, sharer): (Rights, Sharer),
) -> CollectionView {
    CollectionView {
        id: collection.id,
        log: CollectionId::from_bytes(collection.row.identity),
        floor: Revision(collection.row.floor),
        home: home.clone(),
        name: name.cloned(),
        created: rows::time(collection.row.created),
        revision: collection.revision,
        rights,
        sharer,
        shared: !collection.row.shares.is_empty(),
        components: Components::from_bits(collection.row.components),
        properties: collection.properties.into_iter().map(property).collect(),
        unreadable: collection.unreadable,
        search_only: false,
        digest: None,
        births: None,
    }
}

/// A card as it is shown; one that no name can be told of is as good as damaged.
pub(super) fn card_view(found: Found<Card>) -> Seen {
    let card = match found {
        Found::Absent => return Seen::Absent,
        Found::Whole(card) => card,
        Found::Damaged(_) => return Seen::Damaged,
    };
    let row = card.row;
    let (Ok(name), Some(uid)) = (MemberName::parse(&row.name), Uid::new(&row.uid)) else {
        return Seen::Damaged;
    };
    Seen::Whole(ObjectView {
        contact: crate::domain::id::ContactId::from_bytes(row.contact),
        name,
        uid,
        etag: crate::domain::id::Etag(row.etag),
        size: row.size,
        format: Format::of(row.format),
        created: rows::time(row.created),
        modified: rows::time(row.modified),
        properties: card.properties.into_iter().map(property).collect(),
        unreadable: card.unreadable,
        body: card.body,
    })
}

/// The cards that can be read, in order, and the names of those that cannot.
pub(super) fn card_views(found: Vec<Found<Card>>) -> (Vec<ObjectView>, Vec<MemberName>) {
    let (mut cards, mut damaged) = (Vec::with_capacity(found.len()), Vec::new());
    for mut found in found {
        if let Found::Damaged(name) = &mut found {
            damaged.extend(name.take());
        }
        if let Seen::Whole(card) = card_view(found) {
            cards.push(card);
        }
    }
    (cards, damaged)
}

/// A stored property as it is shown.
pub(super) fn property(stored: StoredProperty) -> Property {
    let value = match stored.xml {
        Some(xml) => PropertyValue::Xml(xml),
        None => PropertyValue::Text { text: stored.text.unwrap_or_default(), lang: stored.lang },
    };
    Property { name: PropertyName { namespace: stored.namespace, local: stored.local }, value }
}

/// A property as it is stored.
pub(super) fn stored(property: Property) -> StoredProperty {
    let PropertyName { namespace, local } = property.name;
    let (text, lang, xml) = match property.value {
        PropertyValue::Text { text, lang } => (Some(text), lang, None),
        PropertyValue::Xml(xml) => (None, None, Some(xml)),
    };
    StoredProperty { namespace, local, text, lang, xml }
}
