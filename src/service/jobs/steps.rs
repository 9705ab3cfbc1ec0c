//! What a step of each kind of work does: from some contacts to the ops that are committed together
//! with how far the job is. A step reads and answers; it writes nothing itself.

use crate::domain::id::{CollectionId, ContactId, MemberName};
use crate::service::access::Caller;
use crate::service::office::Deed;
use crate::service::{Answer, Service};
use crate::store::commit::{CardOp, Op};

use super::Work;

crate::hidden!(StepDone);

/// What a step comes to.
#[derive(Default)]
pub(in crate::service) struct StepDone {
    /// What it does, all or nothing.
    pub(in crate::service) ops: Vec<Op>,
    /// How many of what came of it.
    pub(in crate::service) counts: Vec<(&'static str, u64)>,
    /// With which contacts it does not go, and why; the text names no person.
    pub(in crate::service) refused: Vec<(ContactId, String)>,
}

impl Service {
    /// What the work does with these contacts, as far as the caller may do it now.
    pub(super) async fn step(&self, caller: &Caller, work: &Work, some: &[ContactId]) -> Answer<StepDone> {
        if some.is_empty() {
            return Ok(StepDone::default());
        }
        match work {
            Work::Delete => self.delete_some(caller, some).await,
        }
    }

    async fn delete_some(&self, caller: &Caller, some: &[ContactId]) -> Answer<StepDone> {
        let keeps = self.settings.contacts.trash_days > 0;
        if keeps {
            self.lay_trash().await?;
        }
        let shelves = self.shelves().await?;
        let found = self.store.read().await?.contacts(some).await?;
        let mut done = StepDone::default();
        for (id, contact) in some.iter().zip(found) {
            let there = contact.filter(|contact| !contact.is_trashed());
            let book = there.as_ref().map(|contact| CollectionId::from_bytes(contact.record.book));
            let book = book.filter(|book| shelves.allow(caller, book, Deed::Read));
            let name = there.and_then(|contact| MemberName::parse(&contact.card.name).ok());
            // What somebody may not see, there is not.
            let (Some(book), Some(name)) = (book, name) else {
                done.refused.push((*id, "there is no such contact".to_owned()));
                continue;
            };
            if !shelves.allow(caller, &book, Deed::Delete) {
                done.refused.push((*id, "you may not delete it".to_owned()));
                continue;
            }
            done.ops.push(Op::Card(match keeps {
                true => CardOp::Trash { book, name, merged_into: None },
                false => CardOp::Remove { book, name },
            }));
        }
        done.counts.push(("deleted", u64::try_from(done.ops.len()).unwrap_or(0)));
        Ok(done)
    }
}
