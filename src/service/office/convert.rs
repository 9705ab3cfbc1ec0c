//! From lead to contact, with the company where that is wished.

use crate::domain::contact::{CardFields, Kind, Name, Organization, Record, Stage, create};
use crate::domain::id::ContactId;
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::commit::RecordChange;

use super::change::{fresh_name, moved, unchanged};
use super::shelves::Deed;
use super::view::ContactView;

/// Which company a lead that becomes a contact belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Company {
    /// As before.
    AsIs,
    /// A new one, made of the card's organisation.
    New,
    /// This one, by number or id.
    Named(String),
}

impl Service {
    /// Makes a contact of a lead.
    pub async fn convert_contact(
        &self,
        caller: &Caller,
        shown: &ContactView,
        company: Company,
    ) -> Answer<ContactView> {
        self.need_deed(caller, shown, Deed::Write).await?;
        if shown.record.stage != Stage::Lead {
            return Err(Refusal::Conflict("this is no lead".into()).into());
        }
        let _links = self.links.lock().await;
        let mut record = Record { stage: Stage::Contact, ..shown.record.clone() };
        let mut ops = Vec::new();
        match company {
            Company::AsIs => {}
            Company::Named(named) => {
                let reader = self.store.read().await?;
                let mut wrong = Vec::new();
                let links = (None, Some(named.as_str()));
                record.company = self.links_of(caller, &reader, (shown.id, None), links, &mut wrong).await?.1;
                if !wrong.is_empty() {
                    let text = "there is no such company".into();
                    return Err(Refusal::Wrong { pointer: "/company".into(), text }.into());
                }
            }
            Company::New => {
                let id = ContactId::new(self.fresh()?);
                ops.push(self.new_company(shown, id)?);
                record.company = Some(id);
            }
        }
        ops.extend(self.recard(&shown.stored, shown.stored.body.clone(), record, Vec::new())?);
        self.commit(Some(caller), vec![unchanged(&shown.stored)?], ops).await.map_err(moved)?;
        self.shown_contact(caller, shown.id).await
    }

    /// The op that makes the company of a card's organisation, beside it.
    fn new_company(&self, shown: &ContactView, id: ContactId) -> Answer<crate::store::commit::Op> {
        let name = shown.fields.organization.name.clone();
        if name.is_empty() {
            let text = "the lead names no organisation of which a company could be made".into();
            return Err(Refusal::Wrong { pointer: "/company".into(), text }.into());
        }
        let fields = CardFields {
            kind: Kind::Org,
            name: Name { formatted: name.clone(), ..Name::default() },
            organization: Organization { name, units: Vec::new() },
            ..CardFields::default()
        };
        let uid = self.fresh_uid()?;
        let record = Record { source: shown.record.source.clone(), ..self.new_record(&fields) };
        let change = RecordChange { before: None, after: record, merged: Vec::new() };
        self.put_op(shown.book_id, &fresh_name(id)?, id, create(&fields, &uid).into(), change)
    }
}
