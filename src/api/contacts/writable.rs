//! What may be written of a contact, as the API's description tells it; `written` reads it.

use utoipa::ToSchema;

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
    name: Option<WriteName>,
    /// Where it works.
    organization: Option<WriteOrganization>,
    /// What it is there.
    title: Option<String>,
    /// E-mail addresses.
    emails: Option<Vec<WriteEmail>>,
    /// Phone numbers.
    phones: Option<Vec<WritePhone>>,
    /// Postal addresses.
    addresses: Option<Vec<WriteAddress>>,
    /// Web addresses.
    urls: Option<Vec<WriteUrl>>,
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
    flags: Option<WriteFlags>,
    /// Which mail it wants.
    mail_preferences: Option<WritePreferences>,
    /// Access to the portal.
    portal: Option<WritePortal>,
    /// Where it comes from.
    privacy: Option<WritePrivacy>,
    /// The admin's own fields, by their keys.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    custom: Option<()>,
}

/// A name that is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WriteName {
    /// The whole name, as it is shown.
    formatted: Option<String>,
    /// Given names.
    given: Option<String>,
    /// Family names.
    family: Option<String>,
    /// Additional names.
    additional: Option<String>,
    /// What stands before the name.
    prefix: Option<String>,
    /// What stands behind it.
    suffix: Option<String>,
}

/// An organisation that is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WriteOrganization {
    /// Its name.
    name: Option<String>,
    /// Its units.
    units: Option<Vec<String>>,
    /// The number or id of the company.
    company: Option<String>,
}

/// An e-mail address that is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WriteEmail {
    /// The address.
    value: String,
    /// What it is for.
    types: Option<Vec<String>>,
    /// 1 is preferred to 100.
    pref: Option<u8>,
    /// Shown only: passed over where it is written.
    #[schema(value_type = Option<Object>)]
    status: Option<()>,
}

/// A phone number that is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WritePhone {
    /// The number.
    value: String,
    /// Shown only: passed over where it is written.
    e164: Option<String>,
    /// What it is for.
    types: Option<Vec<String>>,
    /// 1 is preferred to 100.
    pref: Option<u8>,
}

/// A postal address that is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WriteAddress {
    /// The post-office box.
    po_box: Option<String>,
    /// The extended address.
    extended: Option<String>,
    /// The street.
    street: Option<String>,
    /// The city.
    locality: Option<String>,
    /// The state or province.
    region: Option<String>,
    /// The postal code.
    postal_code: Option<String>,
    /// The country.
    country: Option<String>,
    /// What it is for.
    types: Option<Vec<String>>,
    /// 1 is preferred to 100.
    pref: Option<u8>,
}

/// A web address that is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WriteUrl {
    /// The address.
    value: String,
    /// What it is for.
    types: Option<Vec<String>>,
}

/// What must not be done.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WriteFlags {
    /// Do not call.
    do_not_call: Option<bool>,
    /// No mail by machine.
    block_automatic_mail: Option<bool>,
    /// Has not opted out of the newsletter.
    newsletter: Option<bool>,
    /// No contact at all.
    blocked: Option<bool>,
}

/// Which mail somebody wants.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WritePreferences {
    /// General.
    general: Option<bool>,
    /// About products.
    product: Option<bool>,
    /// About domains.
    domain: Option<bool>,
    /// About invoices.
    invoice: Option<bool>,
    /// About support.
    support: Option<bool>,
}

/// Access to the portal.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WritePortal {
    /// It is given.
    enabled: Option<bool>,
    /// From when on: a time, or a date.
    from: Option<String>,
    /// Until when: a time, or a date.
    until: Option<String>,
}

/// Where a contact comes from.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described only")]
pub struct WritePrivacy {
    /// The key of the source.
    source: Option<String>,
    /// Shown only: passed over where it is written.
    restricted: Option<bool>,
    /// Shown only: passed over where it is written.
    anonymized: Option<bool>,
}
