//! From places to collection ids and facts: the one way in which names become rows.

use crate::domain::id::{CollectionId, MemberName, Revision, Uid, UserName};
use crate::domain::vcard::Version;
use crate::store::commit::{At, Expect, Fact, FactState};
use crate::store::damage::Found;
use crate::store::query::{Card, Collection, Reader};
use crate::store::rows::{self, StoredProperty};

use super::access::{Caller, Privilege, rights};
use super::place::{Place, Precondition, Require, State};
use super::refusal::Refusal;
use super::view::{CardView, CollectionView, Property, PropertyName, PropertyValue, Seen};
use super::{Answer, Service};

impl Service {
    /// The home of `owner`, if the caller may read there; what the caller may not see does not
    /// exist.
    pub(super) fn readable_home(&self, caller: &Caller, owner: &UserName) -> Answer<CollectionId> {
        let rights = rights(caller, owner);
        match (rights.owner, rights.read) {
            (true, true) => Ok(caller.home),
            (true, false) => Err(denied(Place::Home(owner.clone()), Privilege::Read)),
            (false, _) => Err(Refusal::NotFound.into()),
        }
    }

    /// The home of `owner`, if the caller has `privilege` at `place`, which is there.
    pub(super) fn writable_home(
        &self,
        caller: &Caller,
        owner: &UserName,
        place: impl FnOnce() -> Place,
        privilege: Privilege,
    ) -> Answer<CollectionId> {
        let home = self.readable_home(caller, owner)?;
        if rights(caller, owner).allow(privilege) { Ok(home) } else { Err(denied(place(), privilege)) }
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
            Some(Place::Book(owner, book)) => {
                self.readable_home(caller, owner).ok().map(|home| At::Link(home, book.clone()))
            }
            Some(Place::Card(owner, book, card)) => match self.readable_home(caller, owner) {
                Ok(home) => reader.link(home, book).await?.map(|book| At::Card(book, card.clone())),
                Err(_) => None,
            },
            Some(Place::Principal(_)) | None => None,
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

/// The book of that name in a home.
pub(super) async fn book_id(reader: &Reader, home: CollectionId, book: &MemberName) -> Answer<CollectionId> {
    reader.link(home, book).await?.ok_or(Refusal::NotFound.into())
}

/// The answer to a caller who lacks a privilege.
pub(super) fn denied(place: Place, privilege: Privilege) -> super::Stop {
    Refusal::NeedPrivileges(vec![(place, privilege)]).into()
}

/// A collection as the caller sees it.
pub(super) fn collection_view(
    caller: &Caller,
    owner: &UserName,
    name: Option<&MemberName>,
    collection: Collection,
) -> CollectionView {
    CollectionView {
        id: collection.id,
        log: CollectionId::from_bytes(collection.row.identity),
        floor: Revision(collection.row.floor),
        owner: owner.clone(),
        name: name.cloned(),
        created: rows::time(collection.row.created),
        revision: collection.revision,
        rights: rights(caller, owner),
        properties: collection.properties.into_iter().map(property).collect(),
        unreadable: collection.unreadable,
        digest: None,
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
    Seen::Whole(CardView {
        contact: crate::domain::id::ContactId::from_bytes(row.contact),
        name,
        uid,
        etag: crate::domain::id::Etag(row.etag),
        size: row.size,
        version: if row.format == 4 { Version::V4 } else { Version::V3 },
        created: rows::time(row.created),
        modified: rows::time(row.modified),
        properties: card.properties.into_iter().map(property).collect(),
        unreadable: card.unreadable,
        body: card.body,
    })
}

/// The cards that can be read, in order, and the names of those that cannot.
pub(super) fn card_views(found: Vec<Found<Card>>) -> (Vec<CardView>, Vec<MemberName>) {
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
