//! Changing many contacts: which they are, what would become of them, and each step of the job that does
//! it. A step is one commit; what moved meanwhile is looked at again.

use crate::domain::contact::CardFields;
use crate::domain::id::{CollectionId, ContactId};
use crate::domain::scim::{Filter, Query};
use crate::domain::search::fold;
use crate::service::access::Caller;
use crate::service::jobs::{JobView, StepDone, Work};
use crate::service::refusal::{Refusal, Stop};
use crate::service::{Answer, Service};
use crate::store::commit::{CardOp, Op};
use crate::store::roster::{Asked, Wanted};

use super::change::{fresh_name, name_of, unchanged};
use super::draft::Draft;
use super::shelves::Deed;
use super::view::{ContactRef, ContactView};

/// How many contacts a preview shows as they would be.
const SHOWN: usize = 20;

/// How many contacts may be named by their ids.
pub const NAMED: usize = 100_000;

/// Reads a merge patch against what is shown of a contact; implemented above, where contacts are JSON.
pub trait Patches: Send + Sync {
    /// What the contact is to be; what is wrong with it is told by JSON pointers.
    fn draft(&self, shown: &ContactView, patch: &[u8]) -> Result<Draft, Refusal>;
}

/// Which contacts are meant.
#[expect(clippy::large_enum_variant, reason = "one is made for each request")]
pub enum Meant {
    /// These, by id or number.
    These(Vec<ContactRef>),
    /// Those that a filter and words match.
    Matching(Option<Filter>, Option<Query>),
}

/// What would become of contacts.
pub struct Preview {
    /// How many are meant.
    pub total: usize,
    /// Some of those with which it goes, as they would be; of those that go, as they are.
    pub contacts: Vec<ContactView>,
    /// Those among the first ones with which it does not go, and why.
    pub refused: Vec<(ContactId, String)>,
}

impl Service {
    /// The contacts that are meant, as far as the caller may see them.
    pub async fn meant_contacts(&self, caller: &Caller, meant: Meant) -> Answer<Vec<ContactId>> {
        match meant {
            Meant::These(named) => {
                let reader = self.store.read().await?;
                let mut ids = Vec::with_capacity(named.len());
                for (at, named) in named.into_iter().enumerate() {
                    let id = self.named_contact(&reader, named).await?;
                    let none = || Refusal::Wrong {
                        pointer: format!("/ids/{at}"),
                        text: "there is no such contact".into(),
                    };
                    ids.push(id.ok_or_else(none)?);
                }
                Ok(ids)
            }
            Meant::Matching(mut filter, query) => {
                if let Some(filter) = &mut filter {
                    self.resolve_names(caller, filter).await?;
                }
                let books = self.seen_books(caller).await?;
                let wanted = Wanted { filter, query };
                let asked = Asked { books, wanted, order: Vec::new(), step: None, limit: usize::MAX >> 1 };
                Ok(self.store.contacts_page(asked).await?.contacts)
            }
        }
    }

    /// Starts the job.
    pub async fn start_bulk(&self, caller: &Caller, work: &Work, ids: Vec<ContactId>) -> Answer<JobView> {
        self.sound_work(caller, work).await?;
        let client = Some(caller.client.to_owned()).filter(|client| !client.is_empty());
        self.start_job(caller, work, ids, client).await
    }

    /// What the work would make of the contacts.
    pub async fn preview_bulk(&self, caller: &Caller, work: &Work, ids: &[ContactId]) -> Answer<Preview> {
        self.sound_work(caller, work).await?;
        let some = ids.get(..SHOWN).unwrap_or(ids);
        let mut preview = Preview { total: ids.len(), contacts: Vec::new(), refused: Vec::new() };
        let views = self.seen(caller, some).await?;
        for id in some {
            let Some(view) = views.iter().find(|view| view.id == *id) else {
                preview.refused.push((*id, NONE.into()));
                continue;
            };
            match self.worked(caller, work, view).await? {
                Ok(Worked { after, .. }) => preview.contacts.push(after.unwrap_or_else(|| view.clone())),
                Err(why) => preview.refused.push((*id, why)),
            }
        }
        Ok(preview)
    }

    /// Refuses work that can go with no contact.
    async fn sound_work(&self, caller: &Caller, work: &Work) -> Answer<()> {
        if let Work::Move { book } = work {
            let shelves = self.shelves().await?;
            if !shelves.allow(caller, book, Deed::Write) {
                let text = "there is no such book, or you may not write to it".into();
                return Err(Refusal::Wrong { pointer: "/book".into(), text }.into());
            }
        }
        Ok(())
    }

    /// What a step does with these contacts.
    pub(in crate::service) async fn work_on_some(
        &self,
        caller: &Caller,
        work: &Work,
        some: &[ContactId],
    ) -> Answer<StepDone> {
        if matches!(work, Work::Delete) && self.settings.contacts.trash_days > 0 {
            self.lay_trash().await?;
        }
        let views = self.seen(caller, some).await?;
        let mut done = StepDone::default();
        let mut count = 0;
        for id in some {
            let Some(view) = views.iter().find(|view| view.id == *id) else {
                done.refused.push((*id, NONE.into()));
                continue;
            };
            match self.worked(caller, work, view).await? {
                Ok(Worked { ops, .. }) => {
                    if !ops.is_empty() {
                        done.expect.push(unchanged(&view.stored)?);
                    }
                    done.ops.extend(ops);
                    count += 1;
                }
                Err(why) => done.refused.push((*id, why)),
            }
        }
        done.counts.push((work.counted(), count));
        Ok(done)
    }

    /// What the work does with one contact, or why it does not go.
    async fn worked(
        &self,
        caller: &Caller,
        work: &Work,
        view: &ContactView,
    ) -> Answer<Result<Worked, String>> {
        let deed = match work {
            Work::Delete | Work::Move { .. } => Deed::Delete,
            Work::Update { .. } | Work::Tag { .. } => Deed::Write,
        };
        if !self.shelves().await?.allow(caller, &view.book_id, deed) {
            return Ok(Err(format!("the permission '{}' is missing", deed.word())));
        }
        let worked = match work {
            Work::Delete => self.away(view).map(Worked::of),
            Work::Move { book } => self.moved_to(view, *book).await.map(Worked::of),
            Work::Tag { add, remove } => {
                let mut fields = view.fields.clone();
                retag(&mut fields, add, remove);
                self.become_of(view, fields, view.record.clone())
            }
            Work::Update { patch } => self.patched(caller, view, patch).await,
        };
        match worked {
            Ok(worked) => Ok(Ok(worked)),
            Err(Stop::Refused(refusal)) => Ok(Err(why(&refusal))),
            Err(failed) => Err(failed),
        }
    }

    fn away(&self, view: &ContactView) -> Answer<Vec<Op>> {
        let (book, name) = (view.book_id, name_of(&view.stored)?);
        Ok(vec![Op::Card(match self.settings.contacts.trash_days {
            0 => CardOp::Remove { book, name },
            _ => CardOp::Trash { book, name, merged_into: None },
        })])
    }

    async fn moved_to(&self, view: &ContactView, to: CollectionId) -> Answer<Vec<Op>> {
        if view.book_id == to {
            return Ok(Vec::new());
        }
        self.free_in(to, view).await?;
        let from = (view.book_id, name_of(&view.stored)?);
        Ok(vec![Op::Card(CardOp::Transfer { from, to: (to, fresh_name(view.id)?), copy: None })])
    }

    async fn patched(&self, caller: &Caller, view: &ContactView, patch: &[u8]) -> Answer<Worked> {
        let patches = self.patches.get();
        let patches = patches.ok_or_else(|| Refusal::Conflict("nobody here reads such changes".into()))?;
        let draft = patches.draft(view, patch)?;
        let elsewhere = draft.book.as_ref().is_some_and(|book| *book != view.book);
        if elsewhere || draft.fields.kind != view.fields.kind {
            return Err(Refusal::Conflict("book and kind are not changed in this way".into()).into());
        }
        let fields = draft.fields.tidy();
        super::draft::refuse(fields.wrong_after(&view.fields))?;
        let at = (view.book_id, view.id);
        let record = self.record_of(caller, at, &fields, draft.record, Some(&view.record)).await?;
        self.become_of(view, fields, record)
    }

    fn become_of(
        &self,
        view: &ContactView,
        fields: CardFields,
        record: crate::domain::contact::Record,
    ) -> Answer<Worked> {
        let ops = self.rewrite(&view.stored, &view.fields, &fields, record.clone(), Vec::new())?;
        Ok(Worked { ops, after: Some(ContactView { fields, record, ..view.clone() }) })
    }
}

/// What becomes of one contact.
struct Worked {
    ops: Vec<Op>,
    after: Option<ContactView>,
}

impl Worked {
    fn of(ops: Vec<Op>) -> Self {
        Self { ops, after: None }
    }
}

/// What is told of a contact that is not there, or not the caller's to see.
const NONE: &str = "there is no such contact";

/// Why it does not go, in words that name no person.
fn why(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Wrong { pointer, text } => format!("{pointer}: {text}"),
        Refusal::AllWrong(wrong) => {
            let told = wrong.iter().take(5).map(|(pointer, text)| format!("{pointer}: {text}"));
            told.collect::<Vec<_>>().join("; ")
        }
        refusal => refusal.to_string(),
    }
}

/// Adds categories that are not there, and takes others away, whatever their case and accents.
fn retag(fields: &mut CardFields, add: &[String], remove: &[String]) {
    fields.categories.retain(|known| !remove.iter().any(|gone| fold(gone) == fold(known)));
    for tag in add {
        if !fields.categories.iter().any(|known| fold(known) == fold(tag)) {
            fields.categories.push(tag.clone());
        }
    }
}
