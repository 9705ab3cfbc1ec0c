//! What follows from a change to a collection: its row, its place in the home, the home's log.

use crate::domain::format::Format;
use crate::domain::ical::Components;
use crate::domain::id::{CollectionId, MemberName};
use crate::store::StoreError;
use crate::store::codec;
use crate::store::commit::{CollectionOp, Unmet};
use crate::store::keys::{self, Hash};
use crate::store::keyslots::Slot;
use crate::store::owner::Owner;
use crate::store::rows::{self, CollectionRow, LinkRow, PropertiesRow, PurgeRow, ShareRow, StoredProperty};
use crate::store::search::What;

use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    /// The keys that an op surely reads.
    pub(super) fn collection_keys(&self, op: &CollectionOp, wanted: &mut Vec<Vec<u8>>) {
        match op {
            CollectionOp::Create { home, name, .. }
            | CollectionOp::Serve { home, name, .. }
            | CollectionOp::Remove { home, name, .. }
            | CollectionOp::Mount { home, name, .. }
            | CollectionOp::Unmount { home, name } => {
                wanted.push(keys::collection(*home));
                wanted.push(self.member_key(*home, name));
            }
            CollectionOp::Rename { home, from, to, .. } => {
                wanted.push(self.member_key(*home, from));
                wanted.push(self.member_key(*home, to));
            }
            CollectionOp::Give { home, name, to, new, .. } => {
                wanted.push(self.member_key(*home, name));
                wanted.push(self.member_key(*to, new));
            }
            CollectionOp::Share { id, .. } | CollectionOp::Private { id, .. } => {
                wanted.push(keys::collection(*id));
            }
        }
    }

    pub(super) async fn collection(&mut self, op: &CollectionOp) -> Step<()> {
        match op {
            CollectionOp::Create { home, name, id, owner, default, components, properties, replace } => {
                let place = (*home, name, *replace);
                let calendar = self.need_collection(*home).await?.calendar;
                let row = CollectionRow {
                    owner: *owner.as_bytes(),
                    default: *default,
                    calendar,
                    components: *components,
                    ..CollectionRow::default()
                };
                self.create(*id, row, place, properties).await
            }
            CollectionOp::Serve { home, name, id, owner, filter, properties } => {
                let row = CollectionRow {
                    owner: *owner.as_bytes(),
                    smart: Some(*filter),
                    ..CollectionRow::default()
                };
                self.create(*id, row, (*home, name, false), properties).await
            }
            CollectionOp::Rename { home, from, to, replace } => {
                let link = self.link(*home, from).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
                self.need_collection(link.book).await?;
                let before = self.clear_place(*home, to, *replace).await?;
                if link.mount {
                    return Err(Halt::Unmet(Unmet::Taken));
                }
                let member = self.sealer.member(home.as_bytes(), from);
                self.log_removed(*home, member, from, link.revision).await?;
                self.log_link(*home, to, link, before).await
            }
            CollectionOp::Remove { home, name, book } => {
                let link = self.link(*home, name).await?.filter(|link| !link.mount && link.book == *book);
                let link = link.ok_or(Halt::Unmet(Unmet::NoMember))?;
                let member = self.sealer.member(home.as_bytes(), name);
                self.condemn(link.book, link.slot, Ends::book(link.smart));
                self.log_removed(*home, member, name, link.revision).await
            }
            CollectionOp::Share { id, before, after } => self.share(*id, before, after).await,
            CollectionOp::Give { home, name, owner, to, new } => {
                let link = self.link(*home, name).await?.filter(|link| !link.mount);
                let link = link.ok_or(Halt::Unmet(Unmet::NoMember))?;
                let to_calendars = self.need_collection(*to).await?.calendar;
                let before = match self.link(*to, new).await? {
                    // Where the new owner had it as another's, it is the new owner's own.
                    Some(place) if place.mount && place.book == link.book => {
                        self.delete(keys::properties(&self.sealer.member(to.as_bytes(), new)));
                        Some(place.revision)
                    }
                    _ => self.clear_place(*to, new, false).await?,
                };
                let row = self.need_collection(link.book).await?;
                if row.private || row.calendar != to_calendars {
                    return Err(Halt::Unmet(Unmet::Taken));
                }
                let (owner, home_of) = (*owner.as_bytes(), Some(*to.as_bytes()));
                self.put_collection(
                    link.book,
                    &CollectionRow { owner, home: home_of, default: false, ..row },
                );
                let member = self.sealer.member(home.as_bytes(), name);
                self.log_removed(*home, member, name, link.revision).await?;
                self.log_link(*to, new, link, before).await
            }
            CollectionOp::Private { id, private } => {
                let row = self.need_collection(*id).await?;
                self.put_collection(*id, &CollectionRow { private: *private, ..row });
                Ok(())
            }
            CollectionOp::Mount { home, name, id } => {
                let shared = self.need_collection(*id).await?;
                let smart = shared.smart.is_some();
                let home_row = self.need_collection(*home).await?;
                if home_row.calendar != shared.calendar {
                    return Err(Halt::Unmet(Unmet::NoCollection));
                }
                let slot = Slot(home_row.slot);
                let before = self.clear_place(*home, name, false).await?;
                let place = Place { revision: 0, book: *id, slot, mount: true, smart };
                self.log_link(*home, name, place, before).await
            }
            CollectionOp::Unmount { home, name } => {
                let link = self.link(*home, name).await?.filter(|link| link.mount);
                let link = link.ok_or(Halt::Unmet(Unmet::NoMember))?;
                let member = self.sealer.member(home.as_bytes(), name);
                self.delete(keys::properties(&member));
                self.log_removed(*home, member, name, link.revision).await
            }
        }
    }

    /// Makes a book, whose row says all but what follows from its place.
    async fn create(
        &mut self,
        id: CollectionId,
        row: CollectionRow,
        (home, name, replace): (CollectionId, &MemberName, bool),
        properties: &[StoredProperty],
    ) -> Step<()> {
        if self.need_collection(home).await?.calendar != row.calendar {
            return Err(Halt::Unmet(Unmet::NoCollection));
        }
        let before = self.clear_place(home, name, replace).await?;
        if self.value(keys::collection(id)).await?.is_some() {
            return Err(Halt::Failed(StoreError::Malformed("a collection's id is taken")));
        }
        let slot = self.new_key(Owner::collection(*id.as_bytes()))?;
        let row = CollectionRow {
            home: Some(*home.as_bytes()),
            created: rows::micros(self.commit.at),
            slot: slot.0,
            identity: *id.as_bytes(),
            ..row
        };
        self.put_collection(id, &row);
        if !properties.is_empty() {
            let row = PropertiesRow { properties: properties.to_vec() };
            let key = keys::properties(id.as_bytes());
            let value = self.sealer.encode_sealed(slot, &key, &row)?;
            self.put(key, value);
        }
        let place = Place { revision: 0, book: id, slot, mount: false, smart: row.smart.is_some() };
        self.log_link(home, name, place, before).await
    }

    /// Who may use the book is in its row, which is read with it, and not in its log: its members
    /// do not change.
    async fn share(&mut self, id: CollectionId, before: &[ShareRow], after: &[ShareRow]) -> Step<()> {
        let row = self.need_collection(id).await?;
        if row.shares != before {
            return Err(Halt::Unmet(Unmet::NoMember));
        }
        self.put_collection(id, &CollectionRow { shares: after.to_vec(), ..row });
        Ok(())
    }

    /// Makes room for a book: what is there goes when it may be replaced. Answers the revision that
    /// the place was logged at.
    async fn clear_place(
        &mut self,
        home: CollectionId,
        name: &MemberName,
        replace: bool,
    ) -> Step<Option<u64>> {
        match self.link(home, name).await? {
            None => Ok(None),
            // Another's book is not the home's to replace.
            Some(link) if !replace || link.mount => Err(Halt::Unmet(Unmet::Taken)),
            Some(link) => {
                self.condemn(link.book, link.slot, Ends::book(link.smart));
                Ok(Some(link.revision))
            }
        }
    }

    /// Ends a collection: from this commit on nothing finds it; its rows are purged later.
    pub(super) fn condemn(&mut self, id: CollectionId, slot: Slot, ends: Ends) {
        self.delete(keys::collection(id));
        let key = keys::purge(id);
        let value = self
            .sealer
            .encode(&key, &PurgeRow { home: ends == Ends::Home, slot: slot.0, smart: ends == Ends::Smart });
        self.put(key, value);
    }

    pub(super) fn put_collection(&mut self, id: CollectionId, row: &CollectionRow) {
        let key = keys::collection(id);
        let value = self.sealer.encode(&key, row);
        self.put(key, value);
    }

    /// A book's place in its home.
    pub(super) async fn link(&mut self, home: CollectionId, name: &MemberName) -> Step<Option<Place>> {
        let key = self.member_key(home, name);
        let Some(value) = self.value(key.clone()).await? else { return Ok(None) };
        let (revision, row) = self.sealer.decode_link(&key, &value)?;
        let (book, slot) = (CollectionId::from_bytes(row.collection), codec::link_slot(&value)?);
        Ok(Some(Place { revision, book, slot, mount: row.mount, smart: row.smart }))
    }

    /// Logs in the home that a book came or changed.
    pub(super) async fn log_link(
        &mut self,
        home: CollectionId,
        name: &MemberName,
        place: Place,
        before: Option<u64>,
    ) -> Step<()> {
        let member: Hash = self.sealer.member(home.as_bytes(), name);
        let row = LinkRow {
            name: name.as_str().to_owned(),
            collection: *place.book.as_bytes(),
            mount: place.mount,
            smart: place.smart,
        };
        let value = self.sealer.encode_link(place.slot, &keys::member(home, &member), &row)?;
        self.log_changed(home, member, value, before, What::Same).await
    }
}

/// A book's place in its home.
pub(super) struct Place {
    /// The revision that it was logged at.
    pub(super) revision: u64,
    /// The book.
    pub(super) book: CollectionId,
    /// The key slot that seals the place: the book's own, or the home's where it is another's book.
    pub(super) slot: Slot,
    /// The book is another's.
    pub(super) mount: bool,
    /// The book is a smart one.
    pub(super) smart: bool,
}

/// What ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Home,
    Book,
    Smart,
}

impl Ends {
    fn book(smart: bool) -> Self {
        if smart { Self::Smart } else { Self::Book }
    }
}

/// Refuses what a book or a calendar does not hold (CAL-7).
pub(super) fn takes(collection: &CollectionRow, format: Format) -> Step<()> {
    let taken = match format {
        Format::Card(_) => !collection.calendar,
        Format::Calendar(kind) => {
            collection.calendar && Components::from_bits(collection.components).take(kind)
        }
    };
    match taken {
        true => Ok(()),
        false if format.collection() == collection.kind() => Err(Halt::Unmet(Unmet::NotTaken)),
        false => Err(Halt::Unmet(Unmet::NoCollection)),
    }
}
