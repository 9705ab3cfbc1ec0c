//! Who reports to whom, and who belongs to which company. No chain of links leads back to its beginning.

use crate::domain::contact::{Kind, Record};
use crate::domain::id::{CollectionId, ContactId};
use crate::domain::scim::Filter;
use crate::service::access::Caller;
use crate::service::refusal::{Fault, Refusal};
use crate::service::{Answer, Service};
use crate::store::query::Reader;
use crate::store::roster::{Asked, Books, Wanted};

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
    /// The contacts that a draft links to, by number or id.
    pub(super) async fn links_of(
        &self,
        caller: &Caller,
        reader: &Reader,
        id: ContactId,
        (reports_to, company): (Option<&str>, Option<&str>),
        wrong: &mut Vec<(String, String)>,
    ) -> Answer<(Option<ContactId>, Option<ContactId>)> {
        let mut found = [None, None];
        let links = [
            ("/reports_to", reports_to, Kind::Individual, (|record| record.reports_to) as Next),
            ("/organization/company", company, Kind::Org, |record| record.company),
        ];
        for ((pointer, named, kind, next), found) in links.into_iter().zip(&mut found) {
            let Some(named) = named else { continue };
            match self.linked(caller, reader, (id, named), kind, next).await? {
                Ok(contact) => *found = Some(contact),
                Err(Link::Cycle) => {
                    return Err(
                        Refusal::Conflict(format!("the links of {pointer} would go in a circle")).into()
                    );
                }
                Err(Link::None) => wrong.push((pointer.into(), "there is no such contact".into())),
                Err(Link::Kind) => {
                    let text = if kind == Kind::Org { "this is no company" } else { "this is no person" };
                    wrong.push((pointer.into(), text.into()));
                }
            }
        }
        let [reports_to, company] = found;
        Ok((reports_to, company))
    }

    async fn linked(
        &self,
        caller: &Caller,
        reader: &Reader,
        (id, named): (ContactId, &str),
        kind: Kind,
        next: Next,
    ) -> Answer<Result<ContactId, Link>> {
        let target = match ContactRef::parse(named) {
            Some(named) => self.named_contact(reader, named).await?,
            None => None,
        };
        let Some(target) = target else { return Ok(Err(Link::None)) };
        let Some(contact) = reader.contacts(&[target]).await?.pop().flatten() else {
            return Ok(Err(Link::None));
        };
        let book = CollectionId::from_bytes(contact.record.book);
        let seen = self.shelves().await?.allow(caller, &book, Deed::Read);
        if !seen || contact.record.merged_into.is_some() {
            return Ok(Err(Link::None));
        }
        if Kind::of(&contact.body) != kind {
            return Ok(Err(Link::Kind));
        }
        let mut at = Some(target);
        for _ in 0..CHAIN {
            let Some(here) = at else { return Ok(Ok(target)) };
            if here == id {
                return Ok(Err(Link::Cycle));
            }
            let record = reader.records(&[here]).await?.pop().flatten();
            at = record.and_then(|kept| next(&kept.row.record));
        }
        Ok(Err(Link::Cycle))
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
        for (kind, path) in
            [(RelationKind::Report, "reports_to"), (RelationKind::Member, "organization.company")]
        {
            let linked = self.linking_to(shown.id, path, self.seen_books(caller).await?, LINKED).await?;
            found.extend(linked.into_iter().map(|id| (kind, id)));
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

    /// The contacts whose link leads to one.
    pub(super) async fn linking_to(
        &self,
        id: ContactId,
        path: &str,
        books: Books,
        most: usize,
    ) -> Answer<Vec<ContactId>> {
        let filter = Filter::parse(&format!("{path} eq \"{id}\""));
        let mut filter = filter.map_err(|_| Fault("a filter of links is none".into()))?;
        filter.resolve(|_, _| Some(crate::domain::contact::Scalar::Contact(id)));
        let wanted = Wanted { filter: Some(filter), query: None };
        let asked = Asked { books, wanted, order: Vec::new(), step: None, limit: most };
        Ok(self.store.contacts_page(asked).await?.contacts)
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
                    Err(crate::service::refusal::Stop::Refused(Refusal::NotFound)) => {
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
        self.change_contact(caller, &from, draft).await.map(drop).map_err(change::moved)
    }
}

/// Where a record's link leads.
type Next = fn(&Record) -> Option<ContactId>;

/// Why a link cannot be.
enum Link {
    None,
    Kind,
    Cycle,
}

fn none() -> Refusal {
    Refusal::Wrong { pointer: "/contact".into(), text: "there is no such contact".into() }
}
