//! What a contact is (contract §3): its card's fields, as the office reads and writes them, and its
//! record, which is what the organisation knows beyond the card. Pure: ids, names of accounts and
//! numbers are looked up by whoever shows a contact.

mod check;
mod diff;
mod edit;
mod flat;
mod kind;
mod leaf;
mod lists;
mod mark;
mod read;
mod record;
mod sheet;
mod uid;

pub use crate::domain::search::extension;
pub use diff::{Change, changes};
pub use edit::{create, edit};
pub use flat::{DIALLED, Whole, e164, leaves};
pub use leaf::{Leaf, PATHS, Path, Scalar, Type, place};
pub use mark::{BLOCKED, DO_NOT_CALL, MarkAs, Marks, mark, unmarked};
pub use record::{
    Address as AddressStatus, Custom, CustomValue, Flags, Kind, MailPreferences, MailState, Portal, Record,
    Stage,
};
pub use uid::with_uid;

crate::hidden!(CardFields, Name, Organization, Email, Phone, PostalAddress, Url);

/// What the card says, field by field. A text that is not there is empty.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CardFields {
    /// Whether it is a person, a company or a group (KIND, RFC 6350 §6.1.4; `X-ADDRESSBOOKSERVER-KIND`;
    /// `X-ABShowAs:COMPANY`).
    pub kind: Kind,
    /// FN and N.
    pub name: Name,
    /// ORG.
    pub organization: Organization,
    /// TITLE.
    pub title: String,
    /// EMAIL.
    pub emails: Vec<Email>,
    /// TEL.
    pub phones: Vec<Phone>,
    /// ADR.
    pub addresses: Vec<PostalAddress>,
    /// URL.
    pub urls: Vec<Url>,
    /// BDAY: a date (`1980-02-29`), one without a year (`--02-29`), or as it is written.
    pub birthday: String,
    /// NOTE.
    pub note: String,
    /// CATEGORIES.
    pub categories: Vec<String>,
    /// There is a PHOTO.
    pub has_photo: bool,
}

/// FN and N.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Name {
    /// FN.
    pub formatted: String,
    /// N: given names.
    pub given: String,
    /// N: family names.
    pub family: String,
    /// N: additional names.
    pub additional: String,
    /// N: honorific prefixes.
    pub prefix: String,
    /// N: honorific suffixes.
    pub suffix: String,
}

/// ORG.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Organization {
    /// The organisation's name.
    pub name: String,
    /// Its units, from large to small.
    pub units: Vec<String>,
}

/// EMAIL.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Email {
    /// The address.
    pub value: String,
    /// TYPE, in lower case and without `internet` and `pref`.
    pub types: Vec<String>,
    /// PREF, from 1 to 100; 1 for `TYPE=pref` of vCard 3.0.
    pub pref: Option<u8>,
}

/// TEL.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Phone {
    /// The number as it is written, without `tel:`.
    pub value: String,
    /// TYPE, in lower case and without `pref`.
    pub types: Vec<String>,
    /// PREF.
    pub pref: Option<u8>,
}

/// ADR.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PostalAddress {
    /// The post-office box.
    pub po_box: String,
    /// The extended address.
    pub extended: String,
    /// The street.
    pub street: String,
    /// The city.
    pub locality: String,
    /// The state or province.
    pub region: String,
    /// The postal code.
    pub postal_code: String,
    /// The country.
    pub country: String,
    /// TYPE, in lower case and without `pref`.
    pub types: Vec<String>,
    /// PREF.
    pub pref: Option<u8>,
}

/// URL.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Url {
    /// The address.
    pub value: String,
    /// TYPE, in lower case.
    pub types: Vec<String>,
}
