//! A contact as JSON (contract §3): what is shown, and what may be written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::contact::{
    self, CardFields, CustomValue, Flags, Kind, MailPreferences, MailState, Portal, Stage,
};
use crate::service::definitions::Value as Given;
use crate::service::office::{ContactView, Draft, RecordDraft};

use super::super::body::{Fields, Read};

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
    #[schema(value_type = Object)]
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

/// What may be written of a contact. A field that is left out of a new contact is empty; in a change,
/// which is a merge patch (RFC 7396), it stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only: what is read becomes a draft at once")]
pub struct WriteContact {
    /// The book, as `OWNER/NAME`; a new contact's is one's default book. Another one moves the contact.
    book: Option<String>,
    /// `individual`, `org` or `group`; it does not change.
    kind: Option<String>,
    /// `lead` or `contact`.
    stage: Option<String>,
    /// How the organisation relates to them.
    roles: Option<Vec<String>>,
    /// How they are addressed.
    salutation: Option<String>,
    /// The language in which to write to them (BCP 47).
    language: Option<String>,
    /// Its name; without `formatted`, that is made of the rest.
    #[schema(value_type = Option<Object>)]
    name: Option<()>,
    /// Where it works: `name`, `units`, and `company`, the number or id of one.
    #[schema(value_type = Option<Object>)]
    organization: Option<()>,
    /// What it is there.
    title: Option<String>,
    /// E-mail addresses: `value`, `types`, `pref`.
    #[schema(value_type = Option<Vec<Object>>)]
    emails: Option<()>,
    /// Phone numbers: `value`, `types`, `pref`.
    #[schema(value_type = Option<Vec<Object>>)]
    phones: Option<()>,
    /// Postal addresses.
    #[schema(value_type = Option<Vec<Object>>)]
    addresses: Option<()>,
    /// Web addresses: `value`, `types`.
    #[schema(value_type = Option<Vec<Object>>)]
    urls: Option<()>,
    /// A date, or one without a year as `--02-29`.
    birthday: Option<String>,
    /// A note.
    note: Option<String>,
    /// Categories.
    categories: Option<Vec<String>>,
    /// The user who looks after it.
    assigned_to: Option<String>,
    /// The number or id of the person it reports to.
    reports_to: Option<String>,
    /// A company's service level.
    service_level: Option<String>,
    /// What must not be done, and the newsletter.
    #[schema(value_type = Option<Object>)]
    flags: Option<()>,
    /// Which mail it wants.
    #[schema(value_type = Option<Object>)]
    mail_preferences: Option<()>,
    /// Access to the portal: `enabled`, `from`, `until`.
    #[schema(value_type = Option<Object>)]
    portal: Option<()>,
    /// `source`: the key of where it comes from.
    #[schema(value_type = Option<Object>)]
    privacy: Option<()>,
    /// The admin's own fields.
    #[schema(value_type = Option<Object>)]
    custom: Option<()>,
}

/// The longest text that is read; how long each may be, the contact knows.
const LONGEST: usize = 256 << 10;

/// The fields that may be written.
pub const WRITABLE: [&str; 24] = [
    "book",
    "kind",
    "stage",
    "roles",
    "salutation",
    "language",
    "name",
    "organization",
    "title",
    "emails",
    "phones",
    "addresses",
    "urls",
    "birthday",
    "note",
    "categories",
    "assigned_to",
    "reports_to",
    "service_level",
    "flags",
    "mail_preferences",
    "portal",
    "privacy",
    "custom",
];

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

/// A contact that is to be.
pub struct Written(pub Draft);

impl Read for Written {
    fn read(fields: &mut Fields) -> Self {
        let kind = |word: &str| {
            let known = [Kind::Individual, Kind::Org, Kind::Group];
            let found = known.into_iter().find(|kind| kind.word() == word);
            found.ok_or_else(|| "this must be individual, org or group".to_owned())
        };
        let stage = |word: &str| match word {
            "lead" => Ok(Stage::Lead),
            "contact" => Ok(Stage::Contact),
            _ => Err("this must be lead or contact".to_owned()),
        };
        let plain = |text: &str| Ok(text.to_owned());
        let organization: OrganizationRead = fields.object("organization").unwrap_or_default();
        let name: NameRead = fields.object("name").unwrap_or_default();
        let card = CardFields {
            kind: fields.optional("kind", kind).unwrap_or_default(),
            name: name.0,
            organization: organization.0,
            title: fields.line("title").unwrap_or_default(),
            emails: fields.objects::<EmailRead>("emails").into_iter().map(|read| read.0).collect(),
            phones: fields.objects::<PhoneRead>("phones").into_iter().map(|read| read.0).collect(),
            addresses: fields.objects::<AddressRead>("addresses").into_iter().map(|read| read.0).collect(),
            urls: fields.objects::<UrlRead>("urls").into_iter().map(|read| read.0).collect(),
            birthday: fields.line("birthday").unwrap_or_default(),
            note: fields.long_text("note", LONGEST).unwrap_or_default(),
            categories: fields.list("categories", plain),
            has_photo: false,
        };
        let privacy: Option<PrivacyRead> = fields.object("privacy");
        let record = RecordDraft {
            stage: fields.optional("stage", stage).unwrap_or_default(),
            roles: fields.list("roles", plain),
            salutation: fields.line("salutation").unwrap_or_default(),
            language: fields.line("language").unwrap_or_default(),
            assigned_to: fields.line("assigned_to"),
            reports_to: fields.line("reports_to"),
            company: organization.1,
            flags: fields.object::<FlagsRead>("flags").map(|read| read.0),
            mail_preferences: fields.object::<PreferencesRead>("mail_preferences").unwrap_or_default().0,
            portal: fields.object::<PortalRead>("portal").unwrap_or_default().0,
            custom: fields.map("custom").into_iter().map(|(key, value)| (key, given(value))).collect(),
            source: privacy.and_then(|privacy| privacy.0),
            service_level: fields.line("service_level").unwrap_or_default(),
        };
        Self(Draft { book: fields.line("book"), fields: card, record })
    }
}

/// A value of one of the admin's own fields, as it came.
pub fn given(value: Value) -> Given {
    match value {
        Value::Null => Given::Nothing,
        Value::String(text) => Given::Text(text),
        Value::Number(number) => Given::Number(number.to_string()),
        Value::Bool(yes) => Given::Bool(yes),
        Value::Array(list) => Given::List(list.into_iter().map(given).collect()),
        Value::Object(_) => Given::Other,
    }
}

#[derive(Default)]
struct NameRead(contact::Name);
#[derive(Default)]
struct OrganizationRead(contact::Organization, Option<String>);
/// An e-mail address that is written.
pub struct EmailRead(pub contact::Email);
/// A phone number that is written.
pub struct PhoneRead(pub contact::Phone);
/// A postal address that is written.
pub struct AddressRead(pub contact::PostalAddress);
/// A web address that is written.
pub struct UrlRead(pub contact::Url);
struct FlagsRead(Flags);
#[derive(Default)]
struct PreferencesRead(MailPreferences);
#[derive(Default)]
struct PortalRead(Portal);
struct PrivacyRead(Option<String>);

impl Read for NameRead {
    fn read(fields: &mut Fields) -> Self {
        let mut line = |name: &str| fields.line(name).unwrap_or_default();
        let name = contact::Name {
            given: line("given"),
            family: line("family"),
            additional: line("additional"),
            prefix: line("prefix"),
            suffix: line("suffix"),
            formatted: line("formatted"),
        };
        if !name.formatted.is_empty() {
            return Self(name);
        }
        let parts = [&name.prefix, &name.given, &name.additional, &name.family, &name.suffix];
        let parts: Vec<&str> =
            parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        Self(contact::Name { formatted: parts.join(" "), ..name })
    }
}

impl Read for OrganizationRead {
    fn read(fields: &mut Fields) -> Self {
        let name = fields.line("name").unwrap_or_default();
        let units = fields.list("units", |unit| Ok(unit.to_owned()));
        Self(contact::Organization { name, units }, fields.line("company"))
    }
}

fn types(fields: &mut Fields) -> Vec<String> {
    fields.list("types", |kind| Ok(kind.to_owned()))
}

fn value(fields: &mut Fields) -> String {
    fields.parsed("value", |text| Ok(text.to_owned())).unwrap_or_default()
}

impl Read for EmailRead {
    fn read(fields: &mut Fields) -> Self {
        // What came of writing to it is not the writer's to say.
        fields.shown_only("status");
        Self(contact::Email { value: value(fields), types: types(fields), pref: fields.small("pref") })
    }
}

impl Read for PhoneRead {
    fn read(fields: &mut Fields) -> Self {
        fields.shown_only("e164");
        Self(contact::Phone { value: value(fields), types: types(fields), pref: fields.small("pref") })
    }
}

impl Read for AddressRead {
    fn read(fields: &mut Fields) -> Self {
        let mut line = |name: &str| fields.long_text(name, LONGEST).unwrap_or_default();
        let address = contact::PostalAddress {
            po_box: line("po_box"),
            extended: line("extended"),
            street: line("street"),
            locality: line("locality"),
            region: line("region"),
            postal_code: line("postal_code"),
            country: line("country"),
            ..contact::PostalAddress::default()
        };
        Self(contact::PostalAddress { types: types(fields), pref: fields.small("pref"), ..address })
    }
}

impl Read for UrlRead {
    fn read(fields: &mut Fields) -> Self {
        Self(contact::Url { value: value(fields), types: types(fields) })
    }
}

impl Read for FlagsRead {
    fn read(fields: &mut Fields) -> Self {
        let mut flag = |name: &str| fields.switch(name, Some(false));
        Self(Flags {
            do_not_call: flag("do_not_call"),
            block_automatic_mail: flag("block_automatic_mail"),
            newsletter: flag("newsletter"),
            blocked: flag("blocked"),
        })
    }
}

impl Read for PreferencesRead {
    fn read(fields: &mut Fields) -> Self {
        let mut topic = |name: &str| fields.switch(name, Some(true));
        Self(MailPreferences {
            general: topic("general"),
            product: topic("product"),
            domain: topic("domain"),
            invoice: topic("invoice"),
            support: topic("support"),
        })
    }
}

impl Read for PortalRead {
    fn read(fields: &mut Fields) -> Self {
        let enabled = fields.switch("enabled", Some(false));
        let mut time = |name: &str| fields.time(name).map(Timestamp::as_microsecond);
        Self(Portal { enabled, from: time("from"), until: time("until") })
    }
}

impl Read for PrivacyRead {
    fn read(fields: &mut Fields) -> Self {
        fields.shown_only("restricted");
        fields.shown_only("anonymized");
        Self(fields.line("source"))
    }
}
