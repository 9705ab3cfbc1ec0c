//! A contact as JSON (contract §3), as it is shown.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::contact::{self, CustomValue, Flags, MailPreferences, MailState, Portal};
use crate::service::office::ContactView;

/// A contact.
#[derive(Serialize, ToSchema)]
pub struct Contact {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// Its number: `CON32`, a company's `COM7`.
    number: String,
    /// Its card's UID.
    uid: String,
    /// Its entity tag, as `ETag` has it in quotes.
    etag: String,
    /// The book it is in, as `OWNER/NAME`.
    book: String,
    /// `individual`, `org` or `group`.
    kind: &'static str,
    /// `lead` or `contact`.
    stage: &'static str,
    /// How the organisation relates to them.
    roles: Vec<String>,
    /// How they are addressed.
    salutation: String,
    /// The language in which to write to them.
    language: String,
    /// Its name.
    name: Name,
    /// Where it works.
    organization: Organization,
    /// What it is there.
    title: String,
    /// E-mail addresses.
    emails: Vec<Email>,
    /// Phone numbers.
    phones: Vec<Phone>,
    /// Postal addresses.
    addresses: Vec<Address>,
    /// Web addresses.
    urls: Vec<Url>,
    /// A date, or one without a year as `--02-29`.
    birthday: Option<String>,
    /// A note.
    note: String,
    /// Categories.
    categories: Vec<String>,
    /// There is a picture.
    has_photo: bool,
    /// The user who looks after it.
    assigned_to: Option<String>,
    /// The number of the person it reports to.
    reports_to: Option<String>,
    /// A company's service level.
    service_level: String,
    /// What must not be done.
    flags: FlagsShown,
    /// Which mail it wants.
    mail_preferences: Preferences,
    /// Access to the portal.
    portal: PortalShown,
    /// Where it comes from, and what data protection says.
    privacy: Privacy,
    /// The admin's own fields.
    custom: BTreeMap<String, Value>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Who made it.
    created_by: Option<String>,
    /// Who last changed it.
    updated_by: Option<String>,
    /// When it was deleted, of one in the trash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<Timestamp>,
    /// Who deleted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_by: Option<String>,
}

/// A name.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = ContactName)]
pub struct Name {
    /// The whole name, as it is shown.
    formatted: String,
    /// Given names.
    given: String,
    /// Family names.
    family: String,
    /// Additional names.
    additional: String,
    /// What stands before the name.
    prefix: String,
    /// What stands behind it.
    suffix: String,
}

/// An organisation.
#[derive(Serialize, ToSchema, Default)]
pub struct Organization {
    /// Its name.
    name: String,
    /// Its units.
    units: Vec<String>,
    /// The number of the company.
    company: Option<String>,
}

/// An e-mail address.
#[derive(Serialize, ToSchema)]
pub struct Email {
    /// The address.
    value: String,
    /// What it is for.
    types: Vec<String>,
    /// 1 is preferred to 100.
    pref: Option<u8>,
    /// What came of writing to it.
    status: Status,
}

/// What came of writing to an address.
#[derive(Serialize, ToSchema)]
pub struct Status {
    /// `ok`, `soft`, `hard`, `complaint` or `unsubscribed`.
    state: &'static str,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// The status code that came back.
    code: Option<String>,
    /// What came back.
    detail: Option<String>,
}

/// A phone number.
#[derive(Serialize, ToSchema)]
pub struct Phone {
    /// The number as it is written.
    value: String,
    /// As it is dialled from anywhere (E.164), where that is known.
    e164: Option<String>,
    /// What it is for.
    types: Vec<String>,
    /// 1 is preferred to 100.
    pref: Option<u8>,
}

/// A postal address.
#[derive(Serialize, ToSchema)]
pub struct Address {
    /// The post-office box.
    po_box: String,
    /// The extended address.
    extended: String,
    /// The street.
    street: String,
    /// The city.
    locality: String,
    /// The state or province.
    region: String,
    /// The postal code.
    postal_code: String,
    /// The country.
    country: String,
    /// What it is for.
    types: Vec<String>,
    /// 1 is preferred to 100.
    pref: Option<u8>,
}

/// A web address.
#[derive(Serialize, ToSchema)]
pub struct Url {
    /// The address.
    value: String,
    /// What it is for.
    types: Vec<String>,
}

/// What must not be done.
#[derive(Serialize, ToSchema)]
#[schema(as = Flags)]
pub struct FlagsShown {
    /// Do not call.
    do_not_call: bool,
    /// No mail by machine.
    block_automatic_mail: bool,
    /// Has not opted out of the newsletter.
    newsletter: bool,
    /// No contact at all.
    blocked: bool,
}

/// Which mail somebody wants.
#[derive(Serialize, ToSchema)]
#[schema(as = MailPreferences)]
pub struct Preferences {
    /// General.
    general: bool,
    /// About products.
    product: bool,
    /// About domains.
    domain: bool,
    /// About invoices.
    invoice: bool,
    /// About support.
    support: bool,
}

/// Access to the portal.
#[derive(Serialize, ToSchema)]
#[schema(as = Portal)]
pub struct PortalShown {
    /// It is given.
    enabled: bool,
    /// From when on.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Until when.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// What data protection says.
#[derive(Serialize, ToSchema)]
pub struct Privacy {
    /// The key of the source.
    source: String,
    /// The contact is restricted.
    restricted: bool,
    /// The contact is anonymised.
    anonymized: bool,
}

impl From<&ContactView> for Contact {
    fn from(view: &ContactView) -> Self {
        let (fields, record) = (&view.fields, &view.record);
        let status = |address: &str| {
            let address = address.to_lowercase();
            let known = record.addresses.iter().find(|known| known.address == address);
            Status {
                state: known.map_or(MailState::Ok, |known| known.state).word(),
                since: known.and_then(|known| Timestamp::from_microsecond(known.since).ok()),
                code: known.and_then(|known| known.code.clone()),
                detail: known.and_then(|known| known.detail.clone()),
            }
        };
        let email = |email: &contact::Email| Email {
            status: status(&email.value),
            value: email.value.clone(),
            types: email.types.clone(),
            pref: email.pref,
        };
        let phone = |(phone, e164): (&contact::Phone, &Option<String>)| Phone {
            value: phone.value.clone(),
            e164: e164.clone(),
            types: phone.types.clone(),
            pref: phone.pref,
        };
        let url = |url: &contact::Url| Url { value: url.value.clone(), types: url.types.clone() };
        Self {
            id: view.id.to_string(),
            number: view.number.clone(),
            uid: view.uid.clone(),
            etag: view.etag.clone(),
            book: view.book.clone(),
            kind: fields.kind.word(),
            stage: record.stage.word(),
            roles: record.roles.clone(),
            salutation: record.salutation.clone(),
            language: record.language.clone(),
            name: Name::from(&fields.name),
            organization: Organization {
                name: fields.organization.name.clone(),
                units: fields.organization.units.clone(),
                company: view.company.clone(),
            },
            title: fields.title.clone(),
            emails: fields.emails.iter().map(email).collect(),
            phones: fields.phones.iter().zip(&view.e164).map(phone).collect(),
            addresses: fields.addresses.iter().map(Address::from).collect(),
            urls: fields.urls.iter().map(url).collect(),
            birthday: Some(fields.birthday.clone()).filter(|birthday| !birthday.is_empty()),
            note: fields.note.clone(),
            categories: fields.categories.clone(),
            has_photo: fields.has_photo,
            assigned_to: view.assigned_to.clone(),
            reports_to: view.reports_to.clone(),
            service_level: record.service_level.clone(),
            flags: record.flags.into(),
            mail_preferences: record.mail_preferences.into(),
            portal: record.portal.into(),
            privacy: Privacy { source: record.source.clone(), restricted: false, anonymized: false },
            custom: view.custom().iter().map(|own| (own.key.clone(), custom(&own.value))).collect(),
            created_at: view.created,
            updated_at: view.updated,
            created_by: view.created_by.clone(),
            updated_by: view.updated_by.clone(),
            deleted_at: view.trashed.as_ref().map(|(at, _)| *at),
            deleted_by: view.trashed.as_ref().and_then(|(_, by)| by.clone()),
        }
    }
}

/// A value of one of the admin's own fields.
pub fn custom(value: &CustomValue) -> Value {
    match value {
        CustomValue::Text(text) => Value::String(text.clone()),
        CustomValue::Number(number) => number.parse().map_or(Value::Null, Value::Number),
        CustomValue::Bool(yes) => Value::Bool(*yes),
        CustomValue::List(texts) => texts.iter().cloned().map(Value::String).collect(),
    }
}

impl From<&contact::Name> for Name {
    fn from(name: &contact::Name) -> Self {
        let contact::Name { formatted, given, family, additional, prefix, suffix } = name.clone();
        Self { formatted, given, family, additional, prefix, suffix }
    }
}

impl From<&contact::PostalAddress> for Address {
    fn from(address: &contact::PostalAddress) -> Self {
        let contact::PostalAddress {
            po_box,
            extended,
            street,
            locality,
            region,
            postal_code,
            country,
            types,
            pref,
        } = address.clone();
        Self { po_box, extended, street, locality, region, postal_code, country, types, pref }
    }
}

impl From<Flags> for FlagsShown {
    fn from(flags: Flags) -> Self {
        let Flags { do_not_call, block_automatic_mail, newsletter, blocked } = flags;
        Self { do_not_call, block_automatic_mail, newsletter, blocked }
    }
}

impl From<MailPreferences> for Preferences {
    fn from(preferences: MailPreferences) -> Self {
        let MailPreferences { general, product, domain, invoice, support } = preferences;
        Self { general, product, domain, invoice, support }
    }
}

impl From<Portal> for PortalShown {
    fn from(portal: Portal) -> Self {
        let time = |at: Option<i64>| at.and_then(|at| Timestamp::from_microsecond(at).ok());
        Self { enabled: portal.enabled, from: time(portal.from), until: time(portal.until) }
    }
}
