//! What somebody picks of several contacts, or of several states of one: a field at a time.

use crate::domain::contact::{
    CardFields, Custom, Email, Flags, MailPreferences, Phone, Portal, PostalAddress, Record, Url,
};
use crate::domain::id::ContactId;

crate::hidden!(Take);

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

impl Take {
    /// The lists that are given, as they are to be written.
    pub(super) fn given(&self) -> CardFields {
        let given = CardFields {
            emails: self.emails.clone().unwrap_or_default(),
            phones: self.phones.clone().unwrap_or_default(),
            addresses: self.addresses.clone().unwrap_or_default(),
            urls: self.urls.clone().unwrap_or_default(),
            categories: self.categories.clone().unwrap_or_default(),
            ..CardFields::default()
        };
        given.tidy()
    }

    /// Puts the given lists in the place of those that are there.
    pub(super) fn exactly(&self, fields: &mut CardFields, record: &mut Record) {
        fn set<T>(field: &mut T, taken: T, is_given: bool) {
            if is_given {
                *field = taken;
            }
        }
        let given = self.given();
        set(&mut fields.emails, given.emails, self.emails.is_some());
        set(&mut fields.phones, given.phones, self.phones.is_some());
        set(&mut fields.addresses, given.addresses, self.addresses.is_some());
        set(&mut fields.urls, given.urls, self.urls.is_some());
        set(&mut fields.categories, given.categories, self.categories.is_some());
        if let Some(roles) = &self.roles {
            record.roles.clone_from(roles);
        }
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
    if path == "organization" {
        fields.organization = from.organization.clone();
        record.company = known.company;
        return Some(record);
    }
    (of_card(path, fields, from) || of_record(path, &mut record, known)).then_some(record)
}

/// The same for what the card says; whether there is such a field.
fn of_card(path: &str, fields: &mut CardFields, from: &CardFields) -> bool {
    match path {
        "name" => fields.name = from.name.clone(),
        "name.formatted" => fields.name.formatted = from.name.formatted.clone(),
        "name.given" => fields.name.given = from.name.given.clone(),
        "name.family" => fields.name.family = from.name.family.clone(),
        "name.additional" => fields.name.additional = from.name.additional.clone(),
        "name.prefix" => fields.name.prefix = from.name.prefix.clone(),
        "name.suffix" => fields.name.suffix = from.name.suffix.clone(),
        "organization.name" => fields.organization.name = from.organization.name.clone(),
        "organization.units" => fields.organization.units = from.organization.units.clone(),
        "title" => fields.title = from.title.clone(),
        "emails" => fields.emails = from.emails.clone(),
        "phones" => fields.phones = from.phones.clone(),
        "addresses" => fields.addresses = from.addresses.clone(),
        "urls" => fields.urls = from.urls.clone(),
        "birthday" => fields.birthday = from.birthday.clone(),
        "note" => fields.note = from.note.clone(),
        "categories" => fields.categories = from.categories.clone(),
        _ => return false,
    }
    true
}

/// The same for what the organisation knows.
fn of_record(path: &str, record: &mut Record, known: &Record) -> bool {
    match path {
        "organization.company" => record.company = known.company,
        "stage" => record.stage = known.stage,
        "roles" => record.roles = known.roles.clone(),
        "salutation" => record.salutation = known.salutation.clone(),
        "language" => record.language = known.language.clone(),
        "assigned_to" => record.assigned_to = known.assigned_to,
        "reports_to" => record.reports_to = known.reports_to,
        "flags" => record.flags = known.flags,
        "mail_preferences" => record.mail_preferences = known.mail_preferences,
        "portal" => record.portal = known.portal,
        "service_level" => record.service_level = known.service_level.clone(),
        "privacy.source" => record.source = known.source.clone(),
        "custom" => record.custom = known.custom.clone(),
        _ => {
            let (object, member) = path.split_once('.').unwrap_or((path, ""));
            return match object {
                "custom" => take_custom(&mut record.custom, member, &known.custom),
                "flags" => take_flag(&mut record.flags, member, known.flags),
                "mail_preferences" => {
                    take_topic(&mut record.mail_preferences, member, known.mail_preferences)
                }
                "portal" => take_portal(&mut record.portal, member, known.portal),
                _ => false,
            };
        }
    }
    true
}

fn take_custom(own: &mut Vec<Custom>, key: &str, theirs: &[Custom]) -> bool {
    let had = own.iter().any(|custom| custom.key == key);
    let taken = theirs.iter().find(|custom| custom.key == key);
    if !had && taken.is_none() {
        return false;
    }
    own.retain(|custom| custom.key != key);
    own.extend(taken.cloned());
    own.sort_by(|a, b| a.key.cmp(&b.key));
    true
}

fn take_flag(own: &mut Flags, flag: &str, theirs: Flags) -> bool {
    match flag {
        "do_not_call" => own.do_not_call = theirs.do_not_call,
        "block_automatic_mail" => own.block_automatic_mail = theirs.block_automatic_mail,
        "newsletter" => own.newsletter = theirs.newsletter,
        "blocked" => own.blocked = theirs.blocked,
        _ => return false,
    }
    true
}

fn take_topic(own: &mut MailPreferences, topic: &str, theirs: MailPreferences) -> bool {
    match topic {
        "general" => own.general = theirs.general,
        "product" => own.product = theirs.product,
        "domain" => own.domain = theirs.domain,
        "invoice" => own.invoice = theirs.invoice,
        "support" => own.support = theirs.support,
        _ => return false,
    }
    true
}

fn take_portal(own: &mut Portal, member: &str, theirs: Portal) -> bool {
    match member {
        "enabled" => own.enabled = theirs.enabled,
        "from" => own.from = theirs.from,
        "until" => own.until = theirs.until,
        _ => return false,
    }
    true
}
