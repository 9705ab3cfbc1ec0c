//! Merging: one contact takes over what others have. What `take` names is taken exactly; single values
//! that it does not name stay the target's, lists are united, and of what must not be done the strictest
//! counts whatever `take` says.

use crate::domain::contact::{
    AddressStatus, CardFields, Custom, CustomValue, Email, Flags, MailPreferences, MailState, Phone,
    PostalAddress, Record, Url, e164,
};
use crate::domain::id::ContactId;
use crate::domain::search::fold;
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::commit::{CardOp, Op, RecordChange};
use crate::store::query::Contact;
use crate::store::roster::Books;

use super::change::{moved, name_of, unchanged};
use super::draft::refuse;
use super::shelves::Deed;
use super::view::ContactView;

crate::hidden!(MergeAsked, Take);

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

/// What is taken exactly.
#[derive(Clone, Default)]
pub struct Take {
    /// Fields that are taken from one of the contacts: the path, and the contact.
    pub from: Vec<(String, ContactId)>,
    /// The addresses.
    pub emails: Option<Vec<Email>>,
    /// The numbers.
    pub phones: Option<Vec<Phone>>,
    /// The postal addresses.
    pub addresses: Option<Vec<PostalAddress>>,
    /// The web addresses.
    pub urls: Option<Vec<Url>>,
    /// The categories.
    pub categories: Option<Vec<String>>,
    /// The roles.
    pub roles: Option<Vec<String>>,
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
        refuse(fields.wrong_after(&asked.target.fields))?;
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
        self.need_deed(caller, &asked.target, Deed::Write).await?;
        let mut wrong = Vec::new();
        if asked.sources.is_empty() || asked.sources.len() > SOURCES {
            wrong.push(("/sources".to_owned(), format!("name 1 to {SOURCES} contacts")));
        }
        for (at, source) in asked.sources.iter().enumerate() {
            let pointer = format!("/sources/{at}");
            self.need_deed(caller, source, Deed::Delete).await?;
            if source.id == asked.target.id {
                wrong.push((pointer, "a contact cannot be merged with itself".into()));
            } else if asked.sources.iter().take(at).any(|other| other.id == source.id) {
                wrong.push((pointer, "this contact is named twice".into()));
            } else if source.fields.kind != asked.target.fields.kind {
                wrong.push((pointer, "this contact is of another kind".into()));
            }
        }
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
        asked.take.exactly(&mut fields, &mut record);
        // Whatever was taken: what must not be done is never taken away.
        for source in asked.sources.iter().map(|source| &source.record).chain([&asked.target.record]) {
            strictest(&mut record, source);
        }
        let ids: Vec<_> = asked.sources.iter().map(|source| source.id).collect();
        record.reports_to = record.reports_to.filter(|id| *id != asked.target.id && !ids.contains(id));
        record.company = record.company.filter(|id| *id != asked.target.id && !ids.contains(id));
        record.distinct.retain(|id| !ids.contains(id));
        refuse(wrong)?;
        Ok((fields, record))
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
            for path in ["reports_to", "organization.company"] {
                linking.extend(self.linking_to(*id, path, everywhere.clone(), LINKS + 1).await?);
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

/// An op that changes nothing, and is refused where the record is no longer what was read.
fn same_record(stored: &Contact) -> Op {
    let record = stored.record.record.clone();
    let change = RecordChange { before: Some(record.clone()), after: record, merged: Vec::new() };
    Op::Card(CardOp::Record { contact: stored.id, change: Box::new(change) })
}

impl Take {
    fn exactly(&self, fields: &mut CardFields, record: &mut Record) {
        fn set<T: Clone>(field: &mut T, taken: &Option<T>) {
            if let Some(taken) = taken {
                field.clone_from(taken);
            }
        }
        set(&mut fields.emails, &self.emails);
        set(&mut fields.phones, &self.phones);
        set(&mut fields.addresses, &self.addresses);
        set(&mut fields.urls, &self.urls);
        set(&mut fields.categories, &self.categories);
        set(&mut record.roles, &self.roles);
        record.roles.sort();
        record.roles.dedup();
    }
}

/// Puts one field as another contact, or another state, has it; the record afterwards, or `None` where
/// there is no such field.
pub(super) fn taken(
    path: &str,
    fields: &mut CardFields,
    record: &Record,
    (from, known): (&CardFields, &Record),
) -> Option<Record> {
    let mut record = record.clone();
    match path {
        "name" => fields.name = from.name.clone(),
        "name.formatted" => fields.name.formatted = from.name.formatted.clone(),
        "name.given" => fields.name.given = from.name.given.clone(),
        "name.family" => fields.name.family = from.name.family.clone(),
        "name.additional" => fields.name.additional = from.name.additional.clone(),
        "name.prefix" => fields.name.prefix = from.name.prefix.clone(),
        "name.suffix" => fields.name.suffix = from.name.suffix.clone(),
        "organization" => {
            fields.organization = from.organization.clone();
            record.company = known.company;
        }
        "organization.name" => fields.organization.name = from.organization.name.clone(),
        "organization.units" => fields.organization.units = from.organization.units.clone(),
        "organization.company" => record.company = known.company,
        "title" => fields.title = from.title.clone(),
        "emails" => fields.emails = from.emails.clone(),
        "phones" => fields.phones = from.phones.clone(),
        "addresses" => fields.addresses = from.addresses.clone(),
        "urls" => fields.urls = from.urls.clone(),
        "birthday" => fields.birthday = from.birthday.clone(),
        "note" => fields.note = from.note.clone(),
        "categories" => fields.categories = from.categories.clone(),
        "stage" => record.stage = known.stage,
        "roles" => record.roles = known.roles.clone(),
        "salutation" => record.salutation = known.salutation.clone(),
        "language" => record.language = known.language.clone(),
        "assigned_to" => record.assigned_to = known.assigned_to,
        "reports_to" => record.reports_to = known.reports_to,
        "flags" => record.flags = known.flags,
        "flags.do_not_call" => record.flags.do_not_call = known.flags.do_not_call,
        "flags.block_automatic_mail" => {
            record.flags.block_automatic_mail = known.flags.block_automatic_mail;
        }
        "flags.newsletter" => record.flags.newsletter = known.flags.newsletter,
        "flags.blocked" => record.flags.blocked = known.flags.blocked,
        "mail_preferences" => record.mail_preferences = known.mail_preferences,
        "portal" => record.portal = known.portal,
        "portal.enabled" => record.portal.enabled = known.portal.enabled,
        "portal.from" => record.portal.from = known.portal.from,
        "portal.until" => record.portal.until = known.portal.until,
        "service_level" => record.service_level = known.service_level.clone(),
        "privacy.source" => record.source = known.source.clone(),
        "custom" => record.custom = known.custom.clone(),
        _ => match (path.strip_prefix("custom."), path.strip_prefix("mail_preferences.")) {
            (Some(key), _) => take_custom(&mut record.custom, key, &known.custom)?,
            (_, Some(topic)) => {
                let (own, theirs) = (topic_of(&mut record.mail_preferences, topic)?, known.mail_preferences);
                let mut theirs = theirs;
                *own = *topic_of(&mut theirs, topic)?;
            }
            _ => return None,
        },
    }
    Some(record)
}

fn take_custom(own: &mut Vec<Custom>, key: &str, theirs: &[Custom]) -> Option<()> {
    let had = own.iter().position(|custom| custom.key == key);
    let taken = theirs.iter().find(|custom| custom.key == key);
    if had.is_none() && taken.is_none() {
        return None;
    }
    own.retain(|custom| custom.key != key);
    own.extend(taken.cloned());
    own.sort_by(|a, b| a.key.cmp(&b.key));
    Some(())
}

fn topic_of<'a>(preferences: &'a mut MailPreferences, topic: &str) -> Option<&'a mut bool> {
    Some(match topic {
        "general" => &mut preferences.general,
        "product" => &mut preferences.product,
        "domain" => &mut preferences.domain,
        "invoice" => &mut preferences.invoice,
        "support" => &mut preferences.support,
        _ => return None,
    })
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
