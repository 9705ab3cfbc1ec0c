//! Who reports to whom, and who belongs to which company. No chain of links leads back to its beginning.

use crate::domain::contact::{Kind, Record};
use crate::domain::id::{CollectionId, ContactId};
use crate::service::access::Caller;
use crate::service::refusal::{Refusal, Stop};
use crate::service::{Answer, Service};
use crate::store::query::Reader;
pub(super) use crate::store::roster::Link as LinkTo;

use super::draft::RecordDraft;
use super::shelves::Deed;
use super::view::{ContactRef, ContactView, NumberedContact};
use super::{Draft, change};

/// The longest chain of links.
const CHAIN: usize = 1_000;

/// How many contacts are told to be linked to one.
const LINKED: usize = 1_000;

/// What a link says of whom it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// The person to whom the contact reports.
    ReportsTo,
    /// A person who reports to the contact.
    Report,
    /// The contact's company.
    Company,
    /// Somebody of the company.
    Member,
}

impl RelationKind {
    /// Every kind with its word in the API.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::ReportsTo, "reports_to"),
        (Self::Report, "report"),
        (Self::Company, "company"),
        (Self::Member, "member"),
    ];
}

/// A link.
#[derive(Clone, PartialEq, Eq)]
pub struct Relation {
    /// What it says.
    pub kind: RelationKind,
    /// Whom it leads to.
    pub contact: NumberedContact,
}

crate::hidden!(Relation);

impl Service {
    /// The turn of who sets links; who sets none waits for nobody.
    pub(super) async fn linking(&self, sets: bool) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match sets {
            true => Some(self.links.lock().await),
            false => None,
        }
    }

    /// The contacts that a draft links to, by number or id. A link that was there before may stay, whether
    /// the caller sees where it leads or not.
    pub(super) async fn links_of(
        &self,
        caller: &Caller,
        reader: &Reader,
        (id, before): (ContactId, Option<&Record>),
        (reports_to, company): (Option<&str>, Option<&str>),
        wrong: &mut Vec<(String, String)>,
    ) -> Answer<(Option<ContactId>, Option<ContactId>)> {
        let mut found = [None, None];
        let links = [(LinkTo::Superior, reports_to), (LinkTo::Company, company)];
        for ((link, named), found) in links.into_iter().zip(&mut found) {
            let Some(named) = named else { continue };
            let target = match ContactRef::parse(named) {
                Some(named) => self.named_contact(reader, named).await?,
                None => None,
            };
            let Some(target) = target else {
                wrong.push((link.pointer().into(), NONE.into()));
                continue;
            };
            if let Some(before) = before.and_then(|before| link.of(before))
                && (before == target
                    || self.last_merged(reader, before).await?.is_some_and(|to| to == target))
            {
                *found = Some(target);
                continue;
            }
            match self.linked(caller, reader, (id, target), link).await? {
                None => *found = Some(target),
                Some(Link::Cycle) => {
                    let text = format!("the links of {} would go in a circle", link.pointer());
                    return Err(Refusal::Conflict(text).into());
                }
                Some(Link::None) => wrong.push((link.pointer().into(), NONE.into())),
                Some(Link::Kind) => wrong.push((link.pointer().into(), link.no_such().into())),
            }
        }
        let [reports_to, company] = found;
        Ok((reports_to, company))
    }

    /// Why a contact cannot be linked with another; `None` where it can.
    async fn linked(
        &self,
        caller: &Caller,
        reader: &Reader,
        (id, target): (ContactId, ContactId),
        link: LinkTo,
    ) -> Answer<Option<Link>> {
        let Some(contact) = reader.contacts(&[target]).await?.pop().flatten() else {
            return Ok(Some(Link::None));
        };
        let book = CollectionId::from_bytes(contact.record.book);
        let seen = self.shelves().await?.allow(caller, &book, Deed::Read);
        if !seen || contact.record.merged_into.is_some() {
            return Ok(Some(Link::None));
        }
        if Kind::of(&contact.body) != link.kind() {
            return Ok(Some(Link::Kind));
        }
        Ok(self.leads_to(reader, Some(target), &[id], link).await?.then_some(Link::Cycle))
    }

    /// Whether links lead from one contact to any of these.
    pub(super) async fn leads_to(
        &self,
        reader: &Reader,
        from: Option<ContactId>,
        to: &[ContactId],
        link: LinkTo,
    ) -> Answer<bool> {
        let mut at = from;
        for _ in 0..CHAIN {
            let Some(here) = at else { return Ok(false) };
            if to.contains(&here) {
                return Ok(true);
            }
            let kept = reader.records(&[here]).await?.pop().flatten();
            at = kept.and_then(|kept| kept.row.merged_into.or_else(|| link.of(&kept.row.record)));
        }
        Ok(true)
    }

    /// Whom a contact is linked with, as far as the caller may see them.
    pub async fn relations(&self, caller: &Caller, shown: &ContactView) -> Answer<Vec<Relation>> {
        let mut found = Vec::new();
        for (kind, id) in [
            (RelationKind::ReportsTo, shown.record.reports_to),
            (RelationKind::Company, shown.record.company),
        ] {
            found.extend(id.map(|id| (kind, id)));
        }
        for (kind, link) in
            [(RelationKind::Report, LinkTo::Superior), (RelationKind::Member, LinkTo::Company)]
        {
            let books = self.seen_books(caller).await?;
            let linked = self.store.linking(books, link, shown.id).await?;
            found.extend(linked.into_iter().take(LINKED).map(|id| (kind, id)));
        }
        let ids: Vec<_> = found.iter().map(|(_, id)| *id).collect();
        let seen = self.seen(caller, &ids).await?;
        let relation = |(kind, id): (RelationKind, ContactId)| {
            let view = seen.iter().find(|view| view.id == id)?;
            let name = view.fields.name.formatted.clone();
            Some(Relation { kind, contact: NumberedContact { id, number: view.number.clone(), name } })
        };
        Ok(found.into_iter().filter_map(relation).collect())
    }

    /// Links a contact with another.
    pub async fn relate(
        &self,
        caller: &Caller,
        shown: &ContactView,
        kind: RelationKind,
        named: String,
    ) -> Answer<()> {
        let (from, to) = match kind {
            RelationKind::ReportsTo | RelationKind::Company => (shown.clone(), named),
            RelationKind::Report | RelationKind::Member => {
                let other = ContactRef::parse(&named).ok_or_else(none)?;
                let other = match self.contact_for(caller, other, Deed::Write).await {
                    Err(Stop::Refused(Refusal::NotFound)) => {
                        return Err(none().into());
                    }
                    found => found?,
                };
                match other {
                    super::Found::There(other) => (*other, shown.number.clone()),
                    super::Found::Merged(_) => return Err(none().into()),
                }
            }
        };
        let names = (from.assigned_to.clone(), from.reports_to.clone(), from.company.clone());
        let mut record = RecordDraft::of(&from.record, names);
        match kind {
            RelationKind::ReportsTo | RelationKind::Report => record.reports_to = Some(to),
            RelationKind::Company | RelationKind::Member => record.company = Some(to),
        }
        let draft = Draft { book: None, fields: from.fields.clone(), record };
        self.change_contact(caller, &from, draft).await.map(drop).map_err(of_contact)
    }
}

impl LinkTo {
    /// Where it leads.
    pub(super) fn of(self, record: &Record) -> Option<ContactId> {
        match self {
            Self::Superior => record.reports_to,
            Self::Company => record.company,
        }
    }

    /// Lets it lead there.
    pub(super) fn set(self, record: &mut Record, to: Option<ContactId>) {
        match self {
            Self::Superior => record.reports_to = to,
            Self::Company => record.company = to,
        }
    }

    /// Its place in a body.
    pub(super) fn pointer(self) -> &'static str {
        match self {
            Self::Superior => "/reports_to",
            Self::Company => "/organization/company",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Superior => Kind::Individual,
            Self::Company => Kind::Org,
        }
    }

    fn no_such(self) -> &'static str {
        match self {
            Self::Superior => "this is no person",
            Self::Company => "this is no company",
        }
    }
}

/// Why a link cannot be.
enum Link {
    None,
    Kind,
    Cycle,
}

const NONE: &str = "there is no such contact";

fn none() -> Refusal {
    Refusal::Wrong { pointer: "/contact".into(), text: NONE.into() }
}

/// Of a link that is asked for by itself, every fault is the other contact's.
fn of_contact(stop: Stop) -> Stop {
    match stop {
        Stop::Refused(Refusal::AllWrong(wrong)) => {
            let other = |pointer: &String| LinkTo::ALL.iter().any(|link| link.pointer() == pointer);
            let wrong = wrong.into_iter().map(|(pointer, text)| match other(&pointer) {
                true => ("/contact".into(), text),
                false => (pointer, text),
            });
            Refusal::AllWrong(wrong.collect()).into()
        }
        stop => change::moved(stop),
    }
}
