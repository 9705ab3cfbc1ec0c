//! Public links: whoever has one reads a whole book or calendar without signing in, until it is revoked
//! or ends (CS-15, ACL-24, ICAL-12). A link is 160 random bits, of which the store keeps a keyed hash.
//! What is private is read through no link, nor what belongs to somebody who may not sign in.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::id::{CollectionKind, Etag, HomeName, MemberName, Principal, UserName};
use crate::domain::vcard::Version;
use crate::store::StoreError;
use crate::store::commit::{DefinitionOp, Op};
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

/// What somebody reads through a link.
pub struct Published {
    service: Arc<Service>,
    reader: Reader,
    view: CollectionView,
    version: Version,
}

impl Published {
    /// The entity tag of the file, which costs no look at what is in it.
    pub fn etag(&self) -> Etag {
        tag(&self.view, self.version, &[])
    }

    /// The file.
    pub async fn open(self) -> Answer<Export> {
        let (cards, damaged) = card_views(self.reader.all_cards(self.view.id, false).await?);
        Export::of(&self.service, MembersView { book: self.view, cards, damaged }, self.version)
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
        let id = Id(self.store.hashes().secret(&secret::normal(token)));
        let reader = self.store.read().await?;
        let Some(Definition::PublicLink(link)) = reader.definition(Definition::PUBLIC_LINK, id).await? else {
            return Err(Refusal::NotFound.into());
        };
        if link.expires.is_some_and(|end| rows::time(end) <= self.clock.now()) {
            return Err(Refusal::NotFound.into());
        }
        let found = reader.found_collections(&[link.collection]).await?.pop();
        let collection = found.map_or(Ok(None), Found::whole)?.ok_or(Refusal::NotFound)?;
        if collection.row.kind() != kind || self.closed(&reader, &collection.row).await? {
            return Err(Refusal::NotFound.into());
        }
        let view = nobodys_view(kind, collection)?;
        Ok(Published { service: Arc::clone(self), reader, view, version })
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
        let mut random = [0; secret::BYTES];
        self.entropy.fill(&mut random)?;
        // Without the hyphens, which are for who types it.
        let token = secret::normal(&secret::written(&random));
        let hash = Id(self.store.hashes().secret(&token));
        let (created, expires) = (rows::micros(now), expires.map(rows::micros));
        let link = Definition::PublicLink(PublicLinkRow { collection: id, label, created, expires });
        if !self.lay(None, hash, None, Some(link)).await? {
            return Err(Fault("random numbers repeat themselves".into()).into());
        }
        let path = format!("/{PUBLIC}/{token}.{}", ending(row.kind()));
        Ok(NewLink { id: shown(hash), path })
    }

    /// All links to what is still there, oldest first.
    pub(super) async fn public_links(&self) -> Answer<Vec<admin::LinkRow>> {
        let reader = self.store.read().await?;
        let mut links = Vec::new();
        for (id, link) in every(&reader).await? {
            let found = reader.found_collections(&[link.collection]).await?.pop();
            // Those of what is gone go with the next clearing.
            let Some(Found::Whole(collection)) = found else { continue };
            let Some((name, owner)) = self.called(&reader, link.collection).await? else { continue };
            let owner = owner.map(|owner| match owner {
                Principal::User(name) => name.to_string(),
                Principal::Group(name) => format!("group:{name}"),
            });
            links.push(admin::LinkRow {
                id: shown(id),
                collection: format!("{}/{name}", owner.unwrap_or_default()),
                kind: collection.row.kind().into(),
                label: link.label,
                created: rows::time(link.created),
                expires: link.expires.map(rows::time),
                closed: self.closed(&reader, &collection.row).await?,
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

    /// Forgets the links to collections that are gone, and those that have ended.
    pub(super) async fn forget_dead_links(&self) -> Result<(), StoreError> {
        let now = rows::micros(self.clock.now());
        let reader = self.store.read().await?;
        let links = every(&reader).await?;
        let ids: Vec<_> = links.iter().map(|(_, link)| link.collection).collect();
        let found = reader.found_collections(&ids).await?;
        drop(reader);
        for ((id, link), found) in links.into_iter().zip(found) {
            let ended = link.expires.is_some_and(|end| end <= now);
            if ended || matches!(found, Found::Absent) {
                let gone = DefinitionOp { id, before: Some(Definition::PublicLink(link)), after: None };
                match self.commit(None, Vec::new(), vec![Op::Definition(gone)]).await {
                    // Somebody was quicker, or the disk is full: there is a next time.
                    Ok(_) | Err(Stop::Refused(_)) => {}
                    Err(Stop::Failed(_)) => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Whether links to a collection answer nothing: it is private, or its owner may not sign in.
    async fn closed(&self, reader: &Reader, row: &CollectionRow) -> Answer<bool> {
        let owner = self.account_of(reader, &row.owner).await?;
        Ok(row.private || !owner.is_some_and(|owner| owner.group || owner.enabled))
    }
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
