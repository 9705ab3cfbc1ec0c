//! Public links: whoever has one reads a whole book or calendar without signing in, until it is revoked
//! or ends (CS-15, ACL-24, ICAL-12). A link is 160 random bits, of which the store keeps a keyed hash.
//! What is private is read through no link, nor what belongs to somebody who may not sign in; of what is
//! in a collection, what calls itself private is left out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use crate::domain::id::{
    AccountId, CollectionId, CollectionKind, Etag, HomeName, MemberName, Principal, UserName,
};
use crate::domain::vcard::Version;
use crate::store::StoreError;
use crate::store::commit::{At, DefinitionOp, Expect, Fact, FactState, Op};
use crate::store::damage::Found;
use crate::store::query::{Collection, Reader};
use crate::store::rows::{self, CollectionRow, Definition, Id, PublicLinkRow};

use super::access::Rights;
use super::admin::{self, NewLink, conflict, one_line};
use super::export::{Export, tag};
use super::refusal::{Fault, Refusal, Stop};
use super::resolve::{card_views, collection_view};
use super::sign_in::secret;
use super::view::{CollectionView, MembersView, Sharer};
use super::{Answer, Service};

/// Where links lead, below the server's root.
pub const PUBLIC: &str = "public";

/// The ending of a kind's file.
pub fn ending(kind: CollectionKind) -> &'static str {
    match kind {
        CollectionKind::AddressBook => "vcf",
        CollectionKind::Calendar => "ics",
    }
}

/// How many files are read through links at once; each holds its place until its end.
pub(super) const AT_ONCE: usize = 16;

/// When a reader is told to come back who found no place.
const LATER: Duration = Duration::from_secs(5);

/// What somebody reads through a link.
pub struct Published {
    service: Arc<Service>,
    reader: Reader,
    view: CollectionView,
    version: Version,
    link: Id,
}

/// A place among those who read through links.
pub(super) struct Passage {
    pub(super) id: Id,
    _place: OwnedSemaphorePermit,
}

impl Published {
    /// The entity tag of the file, which costs no look at what is in it.
    pub fn etag(&self) -> Etag {
        tag(&self.view, self.version, &[])
    }

    /// The file.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`] where many read already; a fault where not all of it can be read.
    pub async fn open(self) -> Answer<Export> {
        let place = self.service.public_readers.clone().try_acquire_owned();
        let place = place.map_err(|_| Refusal::Busy { retry_after: LATER })?;
        let (cards, damaged) = card_views(self.reader.all_cards(self.view.id, false).await?);
        let view = MembersView { book: self.view, cards, damaged };
        Export::of(&self.service, view, self.version, Some(Passage { id: self.link, _place: place }))
    }
}

impl Service {
    /// What the link of that token shows, if that is of this kind.
    pub async fn published(
        self: &Arc<Self>,
        token: &str,
        kind: CollectionKind,
        version: Version,
    ) -> Answer<Published> {
        let link = Id(self.store.hashes().secret(&secret::normal(token)));
        let (reader, collection) = self.passage(link).await?.ok_or(Refusal::NotFound)?;
        if collection.row.kind() != kind {
            return Err(Refusal::NotFound.into());
        }
        let view = nobodys_view(kind, collection)?;
        Ok(Published { service: Arc::clone(self), reader, view, version, link })
    }

    /// What the link with that id leads to now; `None` where it does not.
    pub(super) async fn passage(&self, id: Id) -> Answer<Option<(Reader, Collection)>> {
        let reader = self.store.read().await?;
        let Some(Definition::PublicLink(link)) = reader.definition(Definition::PUBLIC_LINK, id).await? else {
            return Ok(None);
        };
        let found = reader.found_collections(&[link.collection]).await?.pop();
        let Some(collection) = found.map_or(Ok(None), Found::whole)? else { return Ok(None) };
        match self.closed(&reader, &link, &collection.row).await? {
            true => Ok(None),
            false => Ok(Some((reader, collection))),
        }
    }

    /// Makes a link to a collection that is written `OWNER/NAME`. Its path is told this once.
    pub(super) async fn create_public_link(
        &self,
        collection: &str,
        kind: Option<CollectionKind>,
        label: Option<String>,
        expires: Option<Timestamp>,
    ) -> Answer<NewLink> {
        one_line("label", label.as_deref())?;
        let now = self.clock.now();
        if expires.is_some_and(|end| end <= now) {
            return Err(conflict("the link would have ended already; choose a time to come".into()));
        }
        let id = self.collection_asked(collection, kind).await?;
        let reader = self.store.read().await?;
        let found = reader.found_collections(&[id]).await?.pop().map_or(Ok(None), Found::whole)?;
        let row = found.ok_or(Refusal::NotFound)?.row;
        drop(reader);
        if row.private {
            return Err(conflict("it is private, its owner's alone; no link opens it".into()));
        }
        if row.smart.is_some() {
            return Err(conflict("a smart book shows what is in other books; link to those".into()));
        }
        let mut random = [0; secret::BYTES];
        self.entropy.fill(&mut random)?;
        // Without the hyphens, which are for who types it.
        let token = secret::normal(&secret::written(&random));
        let hash = Id(self.store.hashes().secret(&token));
        let (created, expires) = (rows::micros(now), expires.map(rows::micros));
        let (owner, path) =
            (AccountId::from_bytes(row.owner), format!("/{PUBLIC}/{token}.{}", ending(row.kind())));
        let link = PublicLinkRow { collection: id, label, created, expires, owner };
        let lay = DefinitionOp { id: hash, before: None, after: Some(Definition::PublicLink(link)) };
        // Not of what was made private, or given to somebody else, since it was looked at.
        let as_seen = FactState::ShownAs(Box::new(row));
        let as_seen = Fact { at: Some(At::Collection(id)), state: as_seen, negate: false };
        match self.commit(None, vec![Expect(vec![vec![as_seen]])], vec![Op::Definition(lay)]).await {
            Err(Stop::Refused(Refusal::Unmet)) => {
                return Err(conflict(
                    "it has changed meanwhile; look whether it is still to be shown".into(),
                ));
            }
            done => drop(done?),
        }
        Ok(NewLink { id: shown(hash), path })
    }

    /// All links to what is still there, oldest first.
    pub(super) async fn public_links(&self) -> Answer<Vec<admin::LinkRow>> {
        let reader = self.store.read().await?;
        let mut links = Vec::new();
        for (id, link, found) in with_collections(&reader).await? {
            let (kind, closed) = match found {
                Found::Whole(collection) => {
                    let closed = self.closed(&reader, &link, &collection.row).await?;
                    (Some(collection.row.kind().into()), closed)
                }
                // Listed, so that it can be revoked before what it leads to is mended.
                Found::Damaged(_) => (None, true),
                // Those of what is gone go with the next clearing.
                Found::Absent => continue,
            };
            let called = match kind {
                Some(_) => self.called(&reader, link.collection).await?,
                None => None,
            };
            let owner = |owner: Option<Principal>| owner.map(|owner| owner.written()).unwrap_or_default();
            links.push(admin::LinkRow {
                id: shown(id),
                collection: called.map(|(name, whose)| format!("{}/{name}", owner(whose))),
                kind,
                label: link.label,
                created: rows::time(link.created),
                expires: link.expires.map(rows::time),
                closed,
            });
        }
        links.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(links)
    }

    /// Makes a link useless, by its id.
    pub(super) async fn revoke_public_link(&self, id: &str) -> Answer<()> {
        let none = || conflict(format!("there is no link '{id}'; 'cardkeep link list' shows them"));
        let wanted = uuid::Uuid::try_parse(id).map_err(|_| none())?;
        let id = Id(wanted.into_bytes());
        let before =
            self.store.read().await?.definition(Definition::PUBLIC_LINK, id).await?.ok_or_else(none)?;
        match self.lay(None, id, Some(before), None).await? {
            true => Ok(()),
            false => Err(none()),
        }
    }

    /// Forgets the links to collections that are gone or another's by now, and those that have ended.
    pub(super) async fn forget_dead_links(&self) -> Result<(), StoreError> {
        let now = rows::micros(self.clock.now());
        let reader = self.store.read().await?;
        let links = with_collections(&reader).await?;
        drop(reader);
        for (id, link, found) in links {
            let ended = link.expires.is_some_and(|end| end <= now);
            let gone = match found {
                Found::Absent => true,
                Found::Whole(collection) => collection.row.owner != *link.owner.as_bytes(),
                Found::Damaged(_) => false,
            };
            if ended || gone {
                match self.commit(None, Vec::new(), vec![removal(id, link)]).await {
                    // Somebody was quicker, or the disk is full: there is a next time.
                    Ok(_) | Err(Stop::Refused(_)) => {}
                    Err(Stop::Failed(_)) => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// What ends the links to a collection.
    pub(super) async fn ending_links(&self, reader: &Reader, id: CollectionId) -> Answer<Vec<Op>> {
        let ours = every(reader).await?.into_iter().filter(|(_, link)| link.collection == id);
        Ok(ours.map(|(id, link)| removal(id, link)).collect())
    }

    /// Whether a link to a collection answers nothing: it has ended, the collection is private or another's
    /// by now, or its owner may not sign in.
    async fn closed(&self, reader: &Reader, link: &PublicLinkRow, row: &CollectionRow) -> Answer<bool> {
        let ended = link.expires.is_some_and(|end| rows::time(end) <= self.clock.now());
        if ended || row.private || row.smart.is_some() || row.owner != *link.owner.as_bytes() {
            return Ok(true);
        }
        let owner = self.account_of(reader, &row.owner).await?;
        Ok(!owner.is_some_and(|owner| owner.group || owner.enabled))
    }
}

fn removal(id: Id, link: PublicLinkRow) -> Op {
    Op::Definition(DefinitionOp { id, before: Some(Definition::PublicLink(link)), after: None })
}

/// All links, each with what it leads to.
async fn with_collections(
    reader: &Reader,
) -> Result<Vec<(Id, PublicLinkRow, Found<Collection>)>, StoreError> {
    let links = every(reader).await?;
    let ids: Vec<_> = links.iter().map(|(_, link)| link.collection).collect();
    let found = reader.found_collections(&ids).await?;
    Ok(links.into_iter().zip(found).map(|((id, link), found)| (id, link, found)).collect())
}

async fn every(reader: &Reader) -> Result<Vec<(Id, PublicLinkRow)>, StoreError> {
    let links = reader.definitions(Definition::PUBLIC_LINK).await?.into_iter();
    let link = |(id, definition)| match definition {
        Definition::PublicLink(link) => Some((id, link)),
        _ => None,
    };
    Ok(links.filter_map(link).collect())
}

/// The collection as somebody sees it who may be anybody: in no home.
fn nobodys_view(kind: CollectionKind, collection: Collection) -> Result<CollectionView, Fault> {
    let nobody = UserName::parse("nobody").map_err(|_| Fault("a user's name".into()))?;
    let rights = Rights { read: true, ..Rights::NONE };
    let home = HomeName::new(kind, nobody);
    Ok(collection_view(&home, None::<&MemberName>, collection, (rights, Sharer::Unknown)))
}

/// A link's id as people read it.
fn shown(id: Id) -> String {
    uuid::Uuid::from_bytes(id.0).to_string()
}

#[cfg(test)]
mod tests;
