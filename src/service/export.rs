//! A whole book or calendar as one file, made piece by piece, so that it need not be in memory: cards one
//! after the other, and calendar objects in one iCalendar stream (RFC 5545 §3.4; ICAL-12).

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::class::is_public;
use crate::domain::ical::Limits;
use crate::domain::ical::split::{About, Join};
use crate::domain::id::{CollectionId, CollectionKind, Etag, HomeName, MemberName};
use crate::domain::token::BirthsToken;
use crate::domain::vcard::Version;

use super::access::Caller;
use super::calendars::CALDAV;
use super::public_links::Passage;
use super::refusal::Fault;
use super::view::{CollectionView, Detail, Members, MembersView, ObjectView, PropertyValue, Seen};
use super::{Answer, Service};

/// How many members are read at once.
const CHUNK: usize = 64;
/// About how large a piece is.
const PIECE: usize = 64 << 10;

const DAV: &str = "DAV:";
const APPLE: &str = "http://apple.com/ns/ical/";

/// A file in the making.
pub struct Export {
    service: Arc<Service>,
    kind: CollectionKind,
    id: CollectionId,
    /// Of the calendar of birthdays, what it is made of.
    births: Option<Arc<BirthsToken>>,
    names: std::vec::IntoIter<MemberName>,
    /// In which version cards are given.
    version: Version,
    tag: Etag,
    /// The public link through which it is read: it goes no further than that is open, and holds what is
    /// public alone.
    link: Option<Passage>,
    /// Of a calendar, what was written of it.
    join: Option<Join>,
    out: Vec<u8>,
    ended: bool,
}

impl Service {
    /// A book or calendar as a file. One of which a member cannot be read is none: the file would pass for
    /// a whole one.
    pub async fn export(
        self: &Arc<Self>,
        caller: &Caller,
        home: &HomeName,
        name: &MemberName,
        version: Version,
    ) -> Answer<Export> {
        let view = self.book(caller, home, name, Members::All, Detail::default()).await?;
        Export::of(self, view, version, None)
    }
}

impl Export {
    /// The file of a collection that was listed.
    pub(super) fn of(
        service: &Arc<Service>,
        view: MembersView,
        version: Version,
        link: Option<Passage>,
    ) -> Answer<Self> {
        if !view.damaged.is_empty() {
            return Err(Fault("the store is damaged: not all of a collection can be read".into()).into());
        }
        let kind = view.book.kind();
        let tag = match view.book.births {
            // It has no revision; its members' own tags tell of it.
            Some(_) => tag(&view.book, version, &view.cards),
            None => tag(&view.book, version, &[]),
        };
        let begun = (kind == CollectionKind::Calendar).then(|| Join::begin(&about(&view.book)));
        let (join, out) = begun.map_or((None, Vec::new()), |(join, out)| (Some(join), out));
        let names: Vec<_> = view.cards.into_iter().map(|card| card.name).collect();
        let (id, births, names) = (view.book.id, view.book.births, names.into_iter());
        let service = Arc::clone(service);
        Ok(Self { service, kind, id, births, names, version, tag, link, join, out, ended: false })
    }

    /// The entity tag of the whole: another one whenever anything in the collection is another.
    pub fn etag(&self) -> Etag {
        self.tag
    }

    /// What it holds.
    pub fn kind(&self) -> CollectionKind {
        self.kind
    }

    /// The next piece and the rest; `None` at the end.
    pub async fn piece(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while self.out.len() < PIECE && !self.ended {
            self.step().await?;
        }
        match self.out.is_empty() {
            true => Ok(None),
            false => Ok(Some((std::mem::take(&mut self.out).into(), self))),
        }
    }

    /// Writes the next few members, and the end after the last.
    async fn step(&mut self) -> io::Result<()> {
        // The status is sent: whoever reads is told by an answer that breaks off.
        let broken = || io::Error::other("a member of the collection cannot be read");
        if let Some(link) = &self.link {
            let open =
                self.service.passage(link.id).await.map_err(|stop| io::Error::other(stop.to_string()))?;
            open.ok_or_else(broken)?;
        }
        let rest = self.names.as_slice();
        let chunk = rest.get(..CHUNK).unwrap_or(rest);
        if chunk.is_empty() {
            self.ended = true;
            self.out.extend_from_slice(self.join.take().map(Join::end).unwrap_or_default());
            return Ok(());
        }
        let detail = Detail { properties: false, body: true };
        let seen = self.service.members(self.id, self.births.as_deref(), chunk, detail).await;
        let mut done = 0;
        for seen in seen.map_err(|stop| io::Error::other(stop.to_string()))? {
            match seen {
                // Large ones are read by themselves.
                Seen::Whole(card) if card.body.is_none() => break,
                Seen::Whole(card) => self.write(&card),
                // It went after the list was made.
                Seen::Absent => {}
                Seen::Damaged => return Err(broken()),
            }
            done += 1;
        }
        if done == 0 {
            return Err(broken());
        }
        self.names.by_ref().take(done).for_each(drop);
        Ok(())
    }

    fn write(&mut self, card: &ObjectView) {
        let stored = || card.body.clone().unwrap_or_default();
        if self.link.is_some() && !is_public(&stored()) {
            return;
        }
        match &mut self.join {
            Some(join) => {
                // It was admitted once, by limits that may have been others.
                let limits = Limits { bytes: usize::MAX, ..self.service.calendar_limits() };
                self.out.extend_from_slice(&join.object(&stored(), &limits));
            }
            None => {
                let card = self.service.conversions().of(card, self.version).unwrap_or_else(|_| stored());
                self.out.extend_from_slice(&card);
                if !card.ends_with(b"\n") {
                    self.out.extend_from_slice(b"\r\n");
                }
            }
        }
    }
}

/// The entity tag of a collection's file, which also changes with the program that writes it. What is in
/// a collection its revision tells, and of what a sharee wrote on it, its texts.
pub(super) fn tag(collection: &CollectionView, version: Version, members: &[ObjectView]) -> Etag {
    let mut hasher = blake3::Hasher::new();
    hasher.update(collection.log.as_bytes()).update(&collection.revision.0.to_be_bytes());
    hasher.update(&[u8::from(version == Version::V4)]).update(env!("CARGO_PKG_VERSION").as_bytes());
    let About { name, description, color } = about(collection);
    for text in [name, description, color] {
        // None and an empty one are written differently.
        hasher.update(&text.as_ref().map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
        hasher.update(text.unwrap_or_default().as_bytes());
    }
    for card in members {
        hasher.update(&card.etag.0).update(card.contact.as_bytes());
    }
    let mut tag = [0; 16];
    hasher.finalize_xof().fill(&mut tag);
    Etag(tag)
}

/// How a calendar is called, described and coloured.
fn about(calendar: &CollectionView) -> About {
    let text = |namespace: &str, local: &str| {
        let named = |name: &super::view::PropertyName| name.namespace == namespace && name.local == local;
        calendar.properties.iter().find(|property| named(&property.name)).and_then(|property| match &property
            .value
        {
            PropertyValue::Text { text, .. } => Some(text.clone()),
            PropertyValue::Xml(_) => None,
        })
    };
    About {
        name: text(DAV, "displayname"),
        description: text(CALDAV, "calendar-description"),
        color: text(APPLE, "calendar-color"),
    }
}
