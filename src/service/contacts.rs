//! Cards: reading, querying, storing, removing.

use bytes::Bytes;

use crate::domain::contact::{CardFields, Record};
use crate::domain::filter::Filter;
use crate::domain::format::Format;
use crate::domain::ical;
use crate::domain::id::{CollectionId, CollectionKind, ContactId, HomeName, MemberName};
use crate::domain::search::Needles;
use crate::domain::token::BirthsToken;
use crate::domain::vcard::{Admitted, admit};
use crate::store::commit::{CardOp, NewCard, Op, RecordChange};
use crate::store::damage::Found;
use crate::store::query::{Unreadable, With};
use crate::store::search::Matching;

use super::access::{Caller, Privilege};
use super::birthdays::is_births;
use super::place::{Place, Precondition};
use super::refusal::{Fault, Refusal, Stop};
use super::resolve::{Reached, card_view, card_views, denied};
use super::view::{Carry, CollectionView, Detail, Matches, Members, MembersView, ObjectView, Seen, Stored};
use super::{Answer, Service};

/// A card's place, by its names.
pub type ObjectPlace<'a> = (&'a HomeName, &'a MemberName, &'a MemberName);

/// How often a query takes a newer snapshot because the index went on meanwhile.
const ROUNDS: usize = 3;

/// How many cards a query tells of a book that can be searched only.
const SEARCHED: usize = 200;

impl Service {
    /// A book and those of its members that are asked for.
    pub async fn book(
        &self,
        caller: &Caller,
        owner: &HomeName,
        book: &MemberName,
        members: Members,
        detail: Detail,
    ) -> Answer<MembersView> {
        if is_births(owner, book) {
            return self.births_members(caller, (owner, book), members, detail).await;
        }
        let reader = self.store.read().await?;
        let mut reached = self.reach(&reader, caller, owner, book).await?.ok_or(Refusal::NotFound)?;
        if matches!(members, Members::All) {
            reached = reached.listable(owner, book)?;
        }
        let id = reached.id;
        let collection = reader.collections(&[id]).await?.pop().flatten().ok_or(Refusal::NotFound)?;
        let with = With { properties: detail.properties, body: detail.body };
        let cards: Vec<_> = match members {
            Members::None => Vec::new(),
            Members::All => reader.all_cards(id, detail.properties).await?,
            Members::Named(names) => reader.cards(id, &names, with).await?,
        };
        let (cards, damaged) = card_views(cards);
        let book = self.shown(&reader, caller, (owner, book), &reached, collection).await?;
        Ok(MembersView { book, cards, damaged })
    }

    /// Cards of a book that was shown before, in the order asked. One read for the rows and one for what else is wanted, however many there are. Of
    /// large cards some come without the body that was wanted; they are to be asked for again.
    pub async fn cards(
        &self,
        book: &CollectionView,
        names: &[MemberName],
        detail: Detail,
    ) -> Answer<Vec<Seen>> {
        self.members(book.id, book.births.as_deref(), names, detail).await
    }

    /// The same of a collection by its id, or of the calendar of birthdays by its token.
    pub(super) async fn members(
        &self,
        id: CollectionId,
        births: Option<&BirthsToken>,
        names: &[MemberName],
        detail: Detail,
    ) -> Answer<Vec<Seen>> {
        if let Some(births) = births {
            return self.births_named(births, names, detail).await;
        }
        let reader = self.store.read().await?;
        let with = With { properties: detail.properties, body: detail.body };
        let cards = reader.cards(id, names, with).await?;
        Ok(cards.into_iter().map(card_view).collect())
    }

    /// The cards that a filter matches: those that `carry` has room for, and the others' names.
    pub async fn query(
        &self,
        caller: &Caller,
        owner: &HomeName,
        book: &MemberName,
        filter: Filter,
        mut limit: Option<usize>,
        carry: &mut Carry,
    ) -> Answer<Matches> {
        if limit == Some(0) {
            return Err(Refusal::BadLimit.into());
        }
        let needles = Needles::of(&filter);
        let compiled = filter.compile();
        let accept = |body: &[u8]| compiled.matches(body);
        let mut rounds = 0..ROUNDS;
        let (reader, reached, collection, found) = loop {
            let reader = self.store.read().await?;
            let reached = self.reach(&reader, caller, owner, book).await?.ok_or(Refusal::NotFound)?;
            let id = reached.id;
            if reached.search_only {
                // Whoever names no text asks for everybody (CARD-57).
                needles.as_ref().ok_or(Refusal::BadLimit)?;
                limit = Some(limit.unwrap_or(SEARCHED).min(SEARCHED));
            }
            let collection = reader.collections(&[id]).await?.pop().flatten().ok_or(Refusal::NotFound)?;
            let indexed = match &needles {
                Some(needles) => {
                    let book = (id, collection.revision);
                    self.store.matching(&reader, book, needles, &accept, limit, &mut carry.room).await?
                }
                None => Matching::Unknown,
            };
            match indexed {
                Matching::Found(chosen, truncated) => {
                    break (reader, reached, collection, Some((chosen, truncated)));
                }
                Matching::Newer if rounds.next().is_some() => {}
                Matching::Newer | Matching::Unknown => break (reader, reached, collection, None),
            }
        };
        let id = reached.id;
        let (chosen, truncated) = match found {
            Some(found) => found,
            None => {
                // Whoever looks for a text does not find it in what cannot be read, in an index or not;
                // whoever asks for what there is must not take that for gone.
                let unreadable = needles.map_or(Unreadable::Told, |_| Unreadable::Passed);
                let accept = Box::new(move |body: &[u8]| compiled.matches(body));
                reader.matching(id, accept, unreadable, limit, &mut carry.room).await?
            }
        };
        let (found, names) = reader.chosen(id, chosen, carry.properties).await?;
        let (cards, _) = card_views(found.into_iter().map(Found::Whole).collect());
        let book = self.shown(&reader, caller, (owner, book), &reached, collection).await?;
        Ok(Matches { book, cards, names, truncated })
    }

    /// Stores a card under the name that the client chose.
    pub async fn put(
        &self,
        caller: &Caller,
        place: ObjectPlace<'_>,
        body: Bytes,
        when: Vec<Precondition>,
    ) -> Answer<Stored> {
        let (owner, book, name) = place;
        let reader = self.store.read().await?;
        let reached = match self.reach(&reader, caller, owner, book).await? {
            Some(reached) => reached,
            // In one's own home a book may be made first; what is in others' does not exist.
            None if caller.name == owner.user => return Err(Refusal::NoParent.into()),
            None => return Err(Refusal::NotFound.into()),
        };
        let id = reached.id;
        if !reached.rights.allow(Privilege::WriteContent) {
            let there = reader.cards(id, std::slice::from_ref(name), With::default()).await?;
            return Err(match there.iter().any(Found::is_there) {
                true => denied(whole(place), Privilege::WriteContent),
                false => denied(Place::Collection(owner.clone(), book.clone()), Privilege::Bind),
            });
        }
        let expect = self.facts(&reader, caller, &when).await?;
        drop(reader);
        let (card, verbatim) = match self.admitted_object(owner.kind, &body, name)? {
            Ok(admitted) => admitted,
            // DAVx5 gives its change up after a 412, and tries for ever after a 403.
            Err(why) if self.check(caller, when).await? => return Err(why.into()),
            Err(_) => return Err(Refusal::Unmet.into()),
        };
        let NewCard { format, uid, body, .. } = card.clone();
        let fresh = ContactId::new(self.fresh()?);
        let of_phone = || Box::new(self.of_phone(&body));
        let record = (owner.kind == CollectionKind::AddressBook).then(of_phone);
        let op = Op::Card(CardOp::Put { book: id, name: name.clone(), card, fresh, record });
        let committed = match self.commit(Some(caller), expect, vec![op]).await {
            // The book went while we were at it.
            Err(Stop::Refused(Refusal::NotFound)) => return Err(Refusal::NoParent.into()),
            done => done?,
        };
        let card = committed.cards.into_iter().next().ok_or(Fault("a put stored no card".into()))?;
        Ok(Stored {
            created: card.created,
            verbatim,
            card: ObjectView {
                contact: card.contact,
                name: name.clone(),
                uid,
                etag: card.etag,
                size: body.len() as u64,
                format,
                created: card.created_at,
                modified: self.clock.now(),
                properties: Vec::new(),
                unreadable: false,
                body: Some(body),
            },
        })
    }

    /// What a PUT brings, as it is to be stored, and whether that is what came; or why it is not stored.
    pub(super) fn admitted_object(
        &self,
        kind: CollectionKind,
        body: &Bytes,
        name: &MemberName,
    ) -> Answer<Result<(NewCard, bool), Refusal>> {
        Ok(match kind {
            CollectionKind::AddressBook => match admit(body, name, self.fresh()?, &self.settings.card) {
                Err(why) => Err(why.into()),
                Ok(vcard) => {
                    let Admitted { version, uid, invented_uid, bytes, altered } = vcard;
                    let card = NewCard { format: Format::Card(version), uid, invented_uid, body: bytes };
                    Ok((card, !altered))
                }
            },
            CollectionKind::Calendar => match ical::admit(body, self.clock.now(), &self.settings.calendar) {
                Err(why) => Err(why.into()),
                Ok(ical::Admitted { uid, kind, bytes, altered }) => {
                    let format = Format::Calendar(kind);
                    Ok((NewCard { format, uid, invented_uid: false, body: bytes }, !altered))
                }
            },
        })
    }

    /// The record of a contact that a phone may be making.
    fn of_phone(&self, card: &[u8]) -> RecordChange {
        let record = self.new_record(&CardFields::read(card));
        let after = Record { source: super::office::BY_PHONE.into(), ..record };
        RecordChange { before: None, after, merged: Vec::new() }
    }

    pub(super) async fn delete_card(
        &self,
        caller: &Caller,
        place: ObjectPlace<'_>,
        when: Vec<Precondition>,
    ) -> Answer<()> {
        let (owner, book, name) = place;
        let parent = || Place::Collection(owner.clone(), book.clone());
        let reader = self.store.read().await?;
        let reached = self.reach_with(&reader, caller, (owner, book), parent, Privilege::Unbind).await?;
        let expect = self.facts(&reader, caller, &when).await?;
        let Some(Reached { id, .. }) = reached else {
            let unmet = !expect.is_empty() && !self.check(caller, when).await?;
            return Err(if unmet { Refusal::Unmet } else { Refusal::NotFound }.into());
        };
        drop(reader);
        match owner.kind {
            CollectionKind::AddressBook => self.discard(Some(caller), (id, name), expect).await,
            // The trash is for contacts.
            CollectionKind::Calendar => {
                let remove = Op::Card(CardOp::Remove { book: id, name: name.clone() });
                self.commit(Some(caller), expect, vec![remove]).await.map(drop)
            }
        }
    }

    /// Whether preconditions hold now, for requests that only read.
    pub async fn check(&self, caller: &Caller, when: Vec<Precondition>) -> Answer<bool> {
        if when.is_empty() {
            return Ok(true);
        }
        let expect = self.facts(&self.store.read().await?, caller, &when).await?;
        Ok(self.store.holds(expect, self.clock.now()).await?)
    }
}

fn whole((owner, book, card): ObjectPlace<'_>) -> Place {
    Place::Object(owner.clone(), book.clone(), card.clone())
}
