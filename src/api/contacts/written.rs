//! What may be written of a contact, in JSON (contract §3), as it is read; `writable` describes it.

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::contact::{self, CardFields, Flags, Kind, MailPreferences, Portal, Stage};
use crate::service::definitions::Value as Given;
use crate::service::office::{Draft, RecordDraft};

use super::super::body::{Fields, Read};

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
