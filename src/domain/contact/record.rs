//! The record: what the organisation knows of a contact beyond the card. It is stored as it stands
//! here, with numbered fields, so that it may gain some without a new format.

use minicbor::{Decode, Encode};

use crate::domain::id::{AccountId, ContactId};

crate::hidden!(Record, Custom, CustomValue, Address, Portal);

/// What a contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// A person.
    #[default]
    #[n(0)]
    Individual,
    /// A company.
    #[n(1)]
    Org,
    /// A group of contacts.
    #[n(2)]
    Group,
}

/// How far the organisation has come with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Stage {
    /// A contact.
    #[default]
    #[n(0)]
    Contact,
    /// Somebody who may become one.
    #[n(1)]
    Lead,
}

/// The record of a contact.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Record {
    /// Lead or contact.
    #[cbor(n(0), default)]
    pub stage: Stage,
    /// How the organisation relates to them: keys of roles, sorted.
    #[cbor(n(1), default)]
    pub roles: Vec<String>,
    /// How they are addressed.
    #[cbor(n(2), default)]
    pub salutation: String,
    /// The language in which to write to them (BCP 47).
    #[cbor(n(3), default)]
    pub language: String,
    /// The user who looks after them.
    #[n(4)]
    pub assigned_to: Option<AccountId>,
    /// The person they report to.
    #[n(5)]
    pub reports_to: Option<ContactId>,
    /// The company they belong to.
    #[n(6)]
    pub company: Option<ContactId>,
    /// What must not be done to them, and the newsletter.
    #[cbor(n(7), default)]
    pub flags: Flags,
    /// Which mail they want.
    #[cbor(n(8), default)]
    pub mail_preferences: MailPreferences,
    /// Access to the portal.
    #[cbor(n(9), default)]
    pub portal: Portal,
    /// The admin's own fields, sorted by key.
    #[cbor(n(10), default)]
    pub custom: Vec<Custom>,
    /// Where they came from: the key of a source.
    #[cbor(n(11), default)]
    pub source: String,
    /// What is known of their e-mail addresses, by the address in lower case; `ok` is left out.
    #[cbor(n(12), default)]
    pub addresses: Vec<Address>,
    /// A company's service level.
    #[cbor(n(13), default)]
    pub service_level: String,
    /// Contacts that look alike and are others, sorted.
    #[cbor(n(14), default)]
    pub distinct: Vec<ContactId>,
}

/// What must not be done, and the newsletter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Flags {
    /// Do not call.
    #[cbor(n(0), default)]
    pub do_not_call: bool,
    /// No mail by machine.
    #[cbor(n(1), default)]
    pub block_automatic_mail: bool,
    /// Has not opted out of the newsletter; never a lawful basis.
    #[cbor(n(2), default)]
    pub newsletter: bool,
    /// No contact at all.
    #[cbor(n(3), default)]
    pub blocked: bool,
}

/// Which mail somebody wants, by topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct MailPreferences {
    /// General.
    #[n(0)]
    pub general: bool,
    /// About products.
    #[n(1)]
    pub product: bool,
    /// About domains.
    #[n(2)]
    pub domain: bool,
    /// About invoices.
    #[n(3)]
    pub invoice: bool,
    /// About support.
    #[n(4)]
    pub support: bool,
}

impl Default for MailPreferences {
    fn default() -> Self {
        Self { general: true, product: true, domain: true, invoice: true, support: true }
    }
}

/// Access to the portal.
#[derive(Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Portal {
    /// It is given.
    #[cbor(n(0), default)]
    pub enabled: bool,
    /// From when on, in microseconds since 1970.
    #[n(1)]
    pub from: Option<i64>,
    /// Until when.
    #[n(2)]
    pub until: Option<i64>,
}

/// The value of one of the admin's own fields.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Custom {
    /// The field's key.
    #[n(0)]
    pub key: String,
    /// Its value.
    #[n(1)]
    pub value: CustomValue,
}

/// A value, as the field's type has it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum CustomValue {
    /// A text, a choice, a link, or a date as `2027-01-31`.
    #[n(0)]
    Text(#[n(0)] String),
    /// A number, as its shortest decimal text.
    #[n(1)]
    Number(#[n(0)] String),
    /// Yes or no.
    #[n(2)]
    Bool(#[n(0)] bool),
    /// Several choices, in the order of the field's options.
    #[n(3)]
    List(#[n(0)] Vec<String>),
}

/// What is known of an e-mail address.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Address {
    /// The address in lower case.
    #[n(0)]
    pub address: String,
    /// What came of writing to it.
    #[n(1)]
    pub state: MailState,
    /// Since when, in microseconds since 1970.
    #[n(2)]
    pub since: i64,
    /// The status code that came back (RFC 3463).
    #[n(3)]
    pub code: Option<String>,
    /// What came back.
    #[n(4)]
    pub detail: Option<String>,
}

/// What came of writing to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum MailState {
    /// It arrives, as far as is known.
    #[default]
    #[n(0)]
    Ok,
    /// It did not arrive this time.
    #[n(1)]
    Soft,
    /// It never arrives.
    #[n(2)]
    Hard,
    /// They complained.
    #[n(3)]
    Complaint,
    /// They unsubscribed.
    #[n(4)]
    Unsubscribed,
}

impl Kind {
    /// Its word in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Individual => "individual",
            Self::Org => "org",
            Self::Group => "group",
        }
    }
}

impl Stage {
    /// Its word in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Lead => "lead",
        }
    }
}

impl MailState {
    /// Its word in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Soft => "soft",
            Self::Hard => "hard",
            Self::Complaint => "complaint",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}
