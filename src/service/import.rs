//! Calendar objects brought from a file: each by its UID, new ones under names of the server's own, those
//! that are there already in their places (ICAL-12).

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::format::Format;
use crate::domain::ical::Components;
use crate::domain::id::{CollectionId, CollectionKind, ContactId, MemberName};
use crate::store::commit::{CardOp, NewCard, Op};
use crate::store::damage::Found;
use crate::store::query::With;

use super::admin::conflict;
use super::refusal::{Fault, Refusal, Stop};
use super::{Answer, Service};

/// How many objects are stored in one commit.
const STEP: usize = 64;

/// What became of what was brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// What was not there.
    pub made: u64,
    /// What was there, and another one.
    pub changed: u64,
    /// What was there as it was brought.
    pub same: u64,
    /// What the calendar does not take.
    pub refused: u64,
}

impl Imported {
    /// The sums of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            made: self.made + other.made,
            changed: self.changed + other.changed,
            same: self.same + other.same,
            refused: self.refused + other.refused,
        }
    }
}

/// An object that may be stored.
struct Brought {
    card: NewCard,
    /// What it is called if it is there already.
    there: Option<MemberName>,
}

impl Service {
    /// Stores calendar objects in a calendar of a user's.
    pub(super) async fn import_asked(
        &self,
        user: &str,
        calendar: &str,
        objects: Vec<String>,
    ) -> Answer<Imported> {
        let unknown = || conflict("the user has no such calendar".into());
        let account = self.account(user).await?;
        let home = account.home_of(CollectionKind::Calendar).ok_or_else(unknown)?;
        let name = MemberName::parse(calendar).map_err(|_| unknown())?;
        let reader = self.store.read().await?;
        let link = reader.link(home, &name).await?.filter(|link| !link.mount).ok_or_else(unknown)?;
        let row = reader.collections(&[link.book]).await?.pop().flatten().ok_or_else(unknown)?;
        // One that cannot be read has a UID that nothing may take.
        let known = reader.all_cards(link.book, false).await?.into_iter().filter_map(Found::readable);
        let known: HashMap<String, String> = known.map(|card| (card.row.uid, card.row.name)).collect();
        drop(reader);
        let takes = Components::from_bits(row.row.components);
        let mut imported = Imported::default();
        let mut brought = Vec::with_capacity(objects.len());
        let mut uids = HashSet::new();
        for object in objects {
            let admitted = self.admitted_object(CollectionKind::Calendar, &Bytes::from(object), &name)?;
            // A UID is one object's, though a file may have an event and a task of the same.
            match admitted {
                Ok((card, _))
                    if matches!(card.format, Format::Calendar(kind) if takes.take(kind))
                        && uids.insert(card.uid.as_str().to_owned()) =>
                {
                    let there = known.get(card.uid.as_str()).map(|name| MemberName::parse(name));
                    let there = there.transpose().map_err(|_| Fault("an object's name".into()))?;
                    brought.push(Brought { card, there });
                }
                _ => imported.refused += 1,
            }
        }
        for some in brought.chunks(STEP) {
            imported = imported.and(self.import_some(link.book, some).await?);
        }
        Ok(imported)
    }

    /// Stores some in one commit, or one after the other where that is refused.
    async fn import_some(&self, calendar: CollectionId, brought: &[Brought]) -> Answer<Imported> {
        let (mut imported, mut ops) = (Imported::default(), Vec::new());
        for one in brought {
            match &one.there {
                Some(name) if self.is_there(calendar, name, &one.card.body).await? => imported.same += 1,
                Some(name) => {
                    imported.changed += 1;
                    ops.push(self.import_op(calendar, Some(name), &one.card)?);
                }
                None => {
                    imported.made += 1;
                    ops.push(self.import_op(calendar, None, &one.card)?);
                }
            }
        }
        if ops.is_empty() {
            return Ok(imported);
        }
        match self.commit(None, Vec::new(), ops.clone()).await {
            Ok(_) => return Ok(imported),
            Err(Stop::Refused(Refusal::NotFound)) => {
                return Err(conflict("the calendar went meanwhile".into()));
            }
            Err(Stop::Refused(_)) => {}
            Err(failed) => return Err(failed),
        }
        let mut alone = Imported { same: imported.same, ..Imported::default() };
        for (op, one) in ops.into_iter().zip(brought.iter()) {
            match self.commit(None, Vec::new(), vec![op]).await {
                Ok(_) if one.there.is_some() => alone.changed += 1,
                Ok(_) => alone.made += 1,
                Err(Stop::Refused(_)) => alone.refused += 1,
                Err(failed) => return Err(failed),
            }
        }
        Ok(alone)
    }

    async fn is_there(&self, calendar: CollectionId, name: &MemberName, body: &Bytes) -> Answer<bool> {
        let reader = self.store.read().await?;
        let with = With { properties: false, body: true };
        let found = reader.cards(calendar, std::slice::from_ref(name), with).await?.pop();
        Ok(found.and_then(Found::readable).is_some_and(|card| card.body.as_ref() == Some(body)))
    }

    fn import_op(&self, calendar: CollectionId, name: Option<&MemberName>, card: &NewCard) -> Answer<Op> {
        let fresh = ContactId::new(self.fresh()?);
        let name = match name {
            Some(name) => name.clone(),
            None => {
                MemberName::parse(&format!("{fresh}.ics")).map_err(|_| Fault("an id is no name".into()))?
            }
        };
        Ok(Op::Card(CardOp::Put { book: calendar, name, card: card.clone(), fresh, record: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{alice, name, service};
    use super::*;
    use crate::domain::id::HomeName;
    use crate::domain::vcard::Version;
    use crate::service::admin::{AdminAnswer, AdminRequest};

    fn event(uid: &str, summary: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
             DTSTAMP:20260101T000000Z\r\nDTSTART:20260301T090000Z\r\nSUMMARY:{summary}\r\nEND:VEVENT\r\n\
             END:VCALENDAR\r\n"
        )
    }

    async fn bring(service: &Service, calendar: &str, objects: Vec<String>) -> Result<[u64; 4], String> {
        let (user, calendar) = ("alice".into(), calendar.into());
        match service.admin(AdminRequest::Import { user, calendar, objects }).await {
            AdminAnswer::Imported(Imported { made, changed, same, refused }) => {
                Ok([made, changed, same, refused])
            }
            AdminAnswer::Refused(why) => Err(why),
            _ => panic!("another answer"),
        }
    }

    #[tokio::test]
    async fn ical_12_what_is_brought_again_is_replaced_and_an_export_has_it_all() {
        let service = service().await;
        let caller = alice(&service).await;
        let many: Vec<_> = (0..100).map(|n| event(&format!("e{n}"), "One")).collect();
        assert_eq!(bring(&service, "calendar", many.clone()).await, Ok([100, 0, 0, 0]));
        assert_eq!(bring(&service, "calendar", many).await, Ok([0, 0, 100, 0]));
        let task = event("t", "Task").replace("VEVENT", "VTODO");
        let again = vec![event("e7", "Two"), event("n", "New"), event("n", "Twice"), task, "junk".into()];
        assert_eq!(bring(&service, "calendar", again).await, Ok([1, 1, 0, 3]));
        assert!(bring(&service, "nowhere", vec![event("x", "X")]).await.is_err());
        let home = HomeName::calendars(caller.name.clone());
        let mut export = service.export(&caller, &home, &name("calendar"), Version::V3).await.unwrap();
        let tag = export.etag();
        let mut whole = Vec::new();
        while let Some((piece, rest)) = export.piece().await.unwrap() {
            whole.extend_from_slice(&piece);
            export = rest;
        }
        let text = String::from_utf8(whole).unwrap();
        assert_eq!(text.matches("BEGIN:VEVENT").count(), 101);
        assert_eq!(text.matches("BEGIN:VCALENDAR").count(), 1);
        assert!(text.contains("SUMMARY:Two\r\n") && text.ends_with("END:VCALENDAR\r\n"));
        bring(&service, "calendar", vec![event("last", "Last")]).await.unwrap();
        let after = service.export(&caller, &home, &name("calendar"), Version::V3).await.unwrap();
        assert!(after.etag() != tag);
        service.assert_sound().await;
    }
}
