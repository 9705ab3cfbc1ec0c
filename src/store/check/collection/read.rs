//! What is read of collections' rows for a close look at them.

use std::collections::HashSet;

use crate::domain::id::{CollectionId, MemberName, Uid};
use crate::domain::vcard::strict::{self, Verdict};
use crate::store::StoreError;
use crate::store::census::Id;
use crate::store::codec::{self, ObjectPlace};
use crate::store::keys::{self, Hash, Table};
use crate::store::query::Reader;
use crate::store::rows::UidRow;
use crate::store::seal::Sealer;

use super::{Body, Card, Link, Member, Octets, entry};

impl Reader {
    pub(super) async fn links_in(&self, home: CollectionId) -> Result<Vec<Link>, StoreError> {
        let sealer = self.sealer().clone();
        self.gather(keys::under(Table::Member, home.as_bytes()), move |key, value| {
            let member = keys::item(key)?;
            let row = sealer.decode_link(key, value).ok().map(|(_, row)| row);
            let mount = row.as_ref().is_some_and(|row| row.mount);
            let book = row.map(|row| {
                let name = MemberName::parse(&row.name).ok();
                (row.collection, name.is_some_and(|name| sealer.member(home.as_bytes(), &name) == member))
            });
            Some(Link { member, entry: entry(value), slot: codec::link_slot(value).ok(), book, mount })
        })
        .await
    }

    pub(super) async fn members_in(&self, book: CollectionId) -> Result<Vec<Member>, StoreError> {
        let sealer = self.sealer().clone();
        self.gather(keys::under(Table::Member, book.as_bytes()), move |key, value| {
            let member = keys::item(key)?;
            let place = ObjectPlace::read(value).ok();
            let place = place.map(|place| (*place.contact.as_bytes(), place.number, place.slot));
            let card = sealer.decode_card(key, value).ok().map(|kept| {
                let name = MemberName::parse(&kept.row.name).ok();
                let uid = kept.row.trashed.as_ref().map_or(&kept.row.uid, |trashed| &trashed.uid);
                Card {
                    anywhere: Uid::new(uid).map(|uid| sealer.uid_anywhere(&uid)).unwrap_or_default(),
                    trashed: kept.row.trashed.as_ref().is_some_and(|trashed| !trashed.merged),
                    named: name.is_some_and(|name| sealer.member(book.as_bytes(), &name) == member),
                    uid: Uid::new(&kept.row.uid).map(|uid| sealer.uid(book.as_bytes(), &uid)),
                    version: kept.row.version,
                    etag: kept.row.etag,
                    size: kept.row.size,
                    four: kept.row.format == 4,
                    in_calendar: kept.row.is_calendar_object(),
                    described: kept.row.described,
                }
            });
            Some(Member { member, entry: entry(value), place, card })
        })
        .await
    }

    /// Bodies; `fours` are the contacts whose card is a vCard 4.0.
    pub(super) async fn bodies_in(
        &self,
        book: CollectionId,
        fours: HashSet<Id>,
    ) -> Result<Vec<Body>, StoreError> {
        let sealer = self.sealer().clone();
        self.gather(keys::under(Table::Body, book.as_bytes()), move |key, value| {
            let contact = keys::item(key)?;
            let slot = value.get(codec::BODY_AT..).and_then(|sealed| Sealer::slot_of(sealed).ok());
            let body = sealer.decode_body(key, bytes::Bytes::copy_from_slice(value)).ok();
            let read = body.map(|body| {
                let name = MemberName::parse(&body.name).ok();
                Octets {
                    member: body.member,
                    named: name.is_some_and(|name| sealer.member(book.as_bytes(), &name) == body.member),
                    version: body.version,
                    etag: sealer.etag(body.version, &body.octets).0,
                    size: body.octets.len() as u64,
                    strict: fours.contains(&contact).then(|| strict(&body.octets)),
                }
            });
            Some(Body { contact, slot, read })
        })
        .await
    }

    pub(super) async fn uids_in(&self, book: CollectionId) -> Result<Vec<(Hash, Option<Hash>)>, StoreError> {
        let sealer = self.sealer().clone();
        self.gather(keys::under(Table::Uid, book.as_bytes()), move |key, value| {
            Some((keys::item(key)?, sealer.decode::<UidRow>(key, value).ok().map(|row| row.member)))
        })
        .await
    }
}

fn strict(card: &[u8]) -> bool {
    match strict::verdict(card) {
        Verdict::Passed | Verdict::Extension(_) => true,
        Verdict::TooLarge | Verdict::Refused => false,
    }
}
