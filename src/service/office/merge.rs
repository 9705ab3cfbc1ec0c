//! Merging: one contact takes over what others have. What `take` names is taken exactly; single values
//! that it does not name stay the target's, lists are united, and of what must not be done the strictest
//! counts whatever `take` says.

use crate::domain::contact::{
    AddressStatus, CardFields, Custom, CustomValue, Flags, MailPreferences, MailState, Phone, Record, e164,
};
use crate::domain::id::ContactId;
use crate::domain::search::fold;
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::commit::{CardOp, Op, RecordChange};
use crate::store::roster::Books;

use super::change::{moved, name_of, same_record, unchanged};
use super::draft::refuse;
use super::links::LinkTo;
use super::shelves::Deed;
use super::take::{Take, taken};
use super::view::ContactView;

crate::hidden!(MergeAsked);

/// How many contacts may be merged at once, and how many links to them are led on in the same commit.
const SOURCES: usize = 50;
const LINKS: usize = 5_000;

/// What is asked for.
#[derive(Clone)]
pub struct MergeAsked {
    /// The contact that stays.
    pub target: ContactView,
    /// Those that go into it.
    pub sources: Vec<ContactView>,
    /// What is taken exactly.
    pub take: Take,
}

impl Service {
    /// What merging would make of the target: its fields and its record.
    pub async fn preview_merge(&self, caller: &Caller, asked: &MergeAsked) -> Answer<ContactView> {
        let (fields, record) = self.merged(caller, asked).await?;
        Ok(ContactView { fields, record, ..asked.target.clone() })
    }

    /// Merges.
    pub async fn merge_contacts(&self, caller: &Caller, asked: &MergeAsked) -> Answer<ContactView> {
        self.lay_trash().await?;
        let _links = self.links.lock().await;
        let (fields, record) = self.merged(caller, asked).await?;
        let target = &asked.target;
        let merged: Vec<ContactId> = asked.sources.iter().map(|source| source.id).collect();
        let mut ops = self.rewrite(&target.stored, &target.fields, &fields, record, merged.clone())?;
        let mut expect = vec![unchanged(&target.stored)?];
        for source in &asked.sources {
            expect.push(unchanged(&source.stored)?);
            // A restriction that came meanwhile must not be lost.
            ops.push(same_record(&source.stored));
            ops.push(Op::Card(CardOp::Trash {
                book: source.book_id,
                name: name_of(&source.stored)?,
                merged_into: Some(target.id),
            }));
        }
        ops.extend(self.led_on(&merged, target.id).await?);
        self.commit(Some(caller), expect, ops).await.map_err(moved)?;
        self.shown_contact(caller, target.id).await
    }

    async fn merged(&self, caller: &Caller, asked: &MergeAsked) -> Answer<(CardFields, Record)> {
        let mut wrong = self.unmergeable(caller, asked).await?;
        let (mut fields, mut record) = (asked.target.fields.clone(), asked.target.record.clone());
        for source in &asked.sources {
            self.unite(&mut fields, &source.fields);
            unite_records(&mut record, &source.record);
        }
        for (path, from) in &asked.take.from {
            let everyone = std::iter::once(&asked.target).chain(&asked.sources);
            let taken_from = everyone.into_iter().find(|contact| contact.id == *from);
            let after =
                taken_from.and_then(|from| taken(path, &mut fields, &record, (&from.fields, &from.record)));
            match after {
                Some(after) => record = after,
                None => {
                    let text = "there is no such field, or it is none of the contacts that are merged";
                    wrong
                        .push((format!("/take/{}", path.replace('~', "~0").replace('/', "~1")), text.into()));
                }
            }
        }
        self.wrong_taken(asked, &record, &mut wrong).await?;
        asked.take.exactly(&mut fields, &mut record);
        // Whatever was taken: what must not be done is never taken away.
        for source in asked.sources.iter().map(|source| &source.record).chain([&asked.target.record]) {
            strictest(&mut record, source);
        }
        let all: Vec<_> = asked.sources.iter().map(|source| source.id).chain([asked.target.id]).collect();
        record.distinct.retain(|id| !all.contains(id));
        refuse(wrong)?;
        self.lead_out(&mut record, &all).await?;
        Ok((fields, record))
    }

    /// Why these contacts cannot be merged.
    async fn unmergeable(&self, caller: &Caller, asked: &MergeAsked) -> Answer<Vec<(String, String)>> {
        self.need_deed(caller, &asked.target, Deed::Write).await?;
        self.need_deed(caller, &asked.target, Deed::Merge).await?;
        let mut wrong = Vec::new();
        if asked.sources.is_empty() || asked.sources.len() > SOURCES {
            wrong.push(("/sources".to_owned(), format!("name 1 to {SOURCES} contacts")));
        }
        for (at, source) in asked.sources.iter().enumerate() {
            let pointer = format!("/sources/{at}");
            self.need_deed(caller, source, Deed::Delete).await?;
            self.need_deed(caller, source, Deed::Merge).await?;
            if source.id == asked.target.id {
                wrong.push((pointer, "a contact cannot be merged with itself".into()));
            } else if asked.sources.iter().take(at).any(|other| other.id == source.id) {
                wrong.push((pointer, "this contact is named twice".into()));
            } else if source.fields.kind != asked.target.fields.kind {
                wrong.push((pointer, "this contact is of another kind".into()));
            }
        }
        Ok(wrong)
    }

    /// Notes what may not be written of the lists that are given. What one of the contacts has already is
    /// not judged: a phone may have written it.
    async fn wrong_taken(
        &self,
        asked: &MergeAsked,
        united: &Record,
        wrong: &mut Vec<(String, String)>,
    ) -> Answer<()> {
        let mut known = CardFields::default();
        for contact in std::iter::once(&asked.target).chain(&asked.sources) {
            known.emails.extend_from_slice(&contact.fields.emails);
            known.phones.extend_from_slice(&contact.fields.phones);
            known.addresses.extend_from_slice(&contact.fields.addresses);
            known.urls.extend_from_slice(&contact.fields.urls);
            known.categories.extend_from_slice(&contact.fields.categories);
        }
        let mut found = asked.take.given().wrong_after(&known);
        if let Some(roles) = &asked.take.roles {
            let kind = asked.target.fields.kind;
            self.check_words(roles, "", Some(united), kind, &mut found).await?;
        }
        wrong.extend(found.into_iter().map(|(pointer, text)| (format!("/take{pointer}"), text)));
        Ok(())
    }

    /// Takes away links of the one that stays to itself and to those that go; refuses where other links
    /// would lead it back to itself.
    async fn lead_out(&self, record: &mut Record, all: &[ContactId]) -> Answer<()> {
        let reader = self.store.read().await?;
        for link in LinkTo::ALL {
            let to = link.of(record).filter(|id| !all.contains(id));
            link.set(record, to);
            if self.leads_to(&reader, to, all, link).await? {
                let text = format!("the links of {} would go in a circle", link.pointer());
                return Err(Refusal::Conflict(text).into());
            }
        }
        Ok(())
    }

    /// Adds to lists what others have and they do not.
    fn unite(&self, fields: &mut CardFields, other: &CardFields) {
        let region = self.settings.default_region;
        let dialled = |phone: &Phone| {
            e164(&phone.value, region)
                .unwrap_or_else(|| phone.value.chars().filter(|c| !c.is_whitespace()).collect())
        };
        extend(&mut fields.emails, &other.emails, |email| fold(&email.value));
        extend(&mut fields.phones, &other.phones, dialled);
        extend(&mut fields.addresses, &other.addresses, |address| address.parts().map(fold));
        extend(&mut fields.urls, &other.urls, |url| url.value.clone());
        extend(&mut fields.categories, &other.categories, |category| fold(category));
    }

    /// The ops that lead links to those that go on to the one that stays.
    async fn led_on(&self, gone: &[ContactId], to: ContactId) -> Answer<Vec<Op>> {
        let everywhere = Books::These(self.shelves().await?.all());
        let mut linking = Vec::new();
        for id in gone {
            for link in LinkTo::ALL {
                // Those in the trash may come back.
                for books in [everywhere.clone(), Books::Trash] {
                    linking.extend(self.store.linking(books, link, *id).await?);
                }
            }
        }
        linking.sort_unstable();
        linking.dedup();
        linking.retain(|id| *id != to && !gone.contains(id));
        if linking.len() > LINKS {
            return Err(Refusal::Conflict(format!("more than {LINKS} contacts are linked to them")).into());
        }
        let reader = self.store.read().await?;
        let records = reader.records(&linking).await?;
        let led = |(id, kept): (ContactId, Option<crate::store::codec::KeptRecord>)| {
            let before = kept?.row.record;
            let on = |link: Option<ContactId>| link.map(|id| if gone.contains(&id) { to } else { id });
            let after =
                Record { reports_to: on(before.reports_to), company: on(before.company), ..before.clone() };
            let change = RecordChange { before: Some(before), after, merged: Vec::new() };
            Some(Op::Card(CardOp::Record { contact: id, change: Box::new(change) }))
        };
        Ok(linking.into_iter().zip(records).filter_map(led).collect())
    }

    /// Says that two contacts that look alike are others.
    pub async fn not_duplicates(&self, caller: &Caller, pair: [&ContactView; 2]) -> Answer<()> {
        let mut ops = Vec::new();
        for (own, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
            self.need_deed(caller, own, Deed::Write).await?;
            if own.id == other.id {
                let text = "a contact is no other than itself".into();
                return Err(Refusal::Wrong { pointer: "/ids/1".into(), text }.into());
            }
            let mut record = own.record.clone();
            if let Err(at) = record.distinct.binary_search(&other.id) {
                record.distinct.insert(at, other.id);
            }
            ops.extend(self.recard(&own.stored, own.stored.body.clone(), record, Vec::new())?);
        }
        self.commit(Some(caller), Vec::new(), ops).await.map_err(moved)?;
        Ok(())
    }
}

/// Adds what has no equal yet.
fn extend<T: Clone, K: PartialEq>(own: &mut Vec<T>, theirs: &[T], key: impl Fn(&T) -> K) {
    for item in theirs {
        if !own.iter().any(|known| key(known) == key(item)) {
            own.push(item.clone());
        }
    }
}

/// Unites the lists of records.
fn unite_records(record: &mut Record, other: &Record) {
    record.roles.extend(other.roles.iter().cloned());
    record.roles.sort();
    record.roles.dedup();
    record.distinct.extend(&other.distinct);
    record.distinct.sort_unstable();
    record.distinct.dedup();
    for theirs in &other.addresses {
        match record.addresses.iter_mut().find(|known| known.address == theirs.address) {
            Some(known) if worse(theirs.state) > worse(known.state) => *known = theirs.clone(),
            Some(_) => {}
            None => record.addresses.push(AddressStatus { ..theirs.clone() }),
        }
    }
    for theirs in &other.custom {
        match record.custom.iter_mut().find(|known| known.key == theirs.key) {
            Some(Custom { value: CustomValue::List(own), .. }) => {
                if let CustomValue::List(more) = &theirs.value {
                    extend(own, more, Clone::clone);
                }
            }
            Some(_) => {}
            None if matches!(theirs.value, CustomValue::List(_)) => record.custom.push(theirs.clone()),
            None => {}
        }
    }
    record.custom.sort_by(|a, b| a.key.cmp(&b.key));
}

/// What must not be done to one of them must not be done to both.
fn strictest(record: &mut Record, other: &Record) {
    let (own, theirs) = (record.flags, other.flags);
    record.flags = Flags {
        do_not_call: own.do_not_call || theirs.do_not_call,
        block_automatic_mail: own.block_automatic_mail || theirs.block_automatic_mail,
        newsletter: own.newsletter && theirs.newsletter,
        blocked: own.blocked || theirs.blocked,
    };
    let (own, theirs) = (record.mail_preferences, other.mail_preferences);
    record.mail_preferences = MailPreferences {
        general: own.general && theirs.general,
        product: own.product && theirs.product,
        domain: own.domain && theirs.domain,
        invoice: own.invoice && theirs.invoice,
        support: own.support && theirs.support,
    };
}

fn worse(state: MailState) -> u8 {
    match state {
        MailState::Ok => 0,
        MailState::Soft => 1,
        MailState::Hard => 2,
        MailState::Unsubscribed => 3,
        MailState::Complaint => 4,
    }
}
