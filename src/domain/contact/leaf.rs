//! A contact as a flat list of values, each with the path of contract §3 that leads to it: what
//! filters judge, lists sort by, histories compare and the index of contacts keeps in memory.

use crate::domain::id::{AccountId, CollectionId, ContactId};

crate::hidden!(Leaf, Scalar);

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A text; compared without case and accents.
    Text,
    /// True or false.
    Bool,
    /// A time, in microseconds since 1970; compared in time's order.
    Time,
    /// A decimal number.
    Number,
    /// A user, by name.
    Account,
    /// A contact, by number or id.
    Contact,
    /// A book, as `OWNER/NAME`.
    Book,
}

/// A path: the place in [`PATHS`], or one of the admin's own fields.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// A path of every contact.
    Known(u8),
    /// `custom.KEY`
    Custom(Box<str>),
}

/// Every path of a contact with what it leads to. The part before the dot of a list of objects
/// (`emails.value`) has many values; those of one object have one [`Leaf::index`].
pub const PATHS: [(&str, Type); 68] = [
    ("id", Type::Contact),
    ("number", Type::Contact),
    ("uid", Type::Text),
    ("book", Type::Book),
    ("kind", Type::Text),
    ("stage", Type::Text),
    ("roles", Type::Text),
    ("salutation", Type::Text),
    ("language", Type::Text),
    ("name.formatted", Type::Text),
    ("name.given", Type::Text),
    ("name.family", Type::Text),
    ("name.additional", Type::Text),
    ("name.prefix", Type::Text),
    ("name.suffix", Type::Text),
    ("organization.name", Type::Text),
    ("organization.units", Type::Text),
    ("organization.company", Type::Contact),
    ("title", Type::Text),
    ("emails.value", Type::Text),
    ("emails.types", Type::Text),
    ("emails.pref", Type::Number),
    ("emails.status.state", Type::Text),
    ("emails.status.since", Type::Time),
    ("emails.status.code", Type::Text),
    ("emails.status.detail", Type::Text),
    ("phones.value", Type::Text),
    ("phones.e164", Type::Text),
    ("phones.types", Type::Text),
    ("phones.pref", Type::Number),
    ("addresses.po_box", Type::Text),
    ("addresses.extended", Type::Text),
    ("addresses.street", Type::Text),
    ("addresses.locality", Type::Text),
    ("addresses.region", Type::Text),
    ("addresses.postal_code", Type::Text),
    ("addresses.country", Type::Text),
    ("addresses.types", Type::Text),
    ("addresses.pref", Type::Number),
    ("urls.value", Type::Text),
    ("urls.types", Type::Text),
    ("birthday", Type::Text),
    ("note", Type::Text),
    ("categories", Type::Text),
    ("has_photo", Type::Bool),
    ("assigned_to", Type::Account),
    ("reports_to", Type::Contact),
    ("service_level", Type::Text),
    ("flags.do_not_call", Type::Bool),
    ("flags.block_automatic_mail", Type::Bool),
    ("flags.newsletter", Type::Bool),
    ("flags.blocked", Type::Bool),
    ("mail_preferences.general", Type::Bool),
    ("mail_preferences.product", Type::Bool),
    ("mail_preferences.domain", Type::Bool),
    ("mail_preferences.invoice", Type::Bool),
    ("mail_preferences.support", Type::Bool),
    ("portal.enabled", Type::Bool),
    ("portal.from", Type::Time),
    ("portal.until", Type::Time),
    ("privacy.source", Type::Text),
    ("privacy.restricted", Type::Bool),
    ("privacy.anonymized", Type::Bool),
    ("created_at", Type::Time),
    ("updated_at", Type::Time),
    ("created_by", Type::Account),
    ("updated_by", Type::Account),
    ("etag", Type::Text),
];

/// A value.
#[derive(Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A time, in microseconds since 1970.
    Time(i64),
    /// A decimal number, as its text.
    Number(String),
    /// A user.
    Account(AccountId),
    /// A contact.
    Contact(ContactId),
    /// A book.
    Book(CollectionId),
}

/// One value of a contact.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Where it stands.
    pub path: Path,
    /// Of which object of a list, from 0.
    pub index: u16,
    /// What stands there; never an empty text.
    pub value: Scalar,
}

impl Path {
    /// The path of that name, whatever its case (RFC 7644 §3.4.2.2: attribute names are case-insensitive).
    pub fn parse(name: &str) -> Option<Self> {
        let known = PATHS.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some(at) = known {
            return u8::try_from(at).ok().map(Self::Known);
        }
        let (head, key) = name.split_once('.')?;
        let custom = head.eq_ignore_ascii_case("custom") && !key.is_empty();
        custom.then(|| Self::Custom(key.to_ascii_lowercase().into()))
    }

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Self::Known(at) => PATHS.get(usize::from(*at)).map_or("", |(name, _)| name).to_owned(),
            Self::Custom(key) => format!("custom.{key}"),
        }
    }

    /// What it leads to; the admin's own fields may hold anything.
    pub fn kind(&self) -> Option<Type> {
        match self {
            Self::Known(at) => PATHS.get(usize::from(*at)).map(|(_, kind)| *kind),
            Self::Custom(_) => None,
        }
    }
}

/// The place in [`PATHS`] of a name as it is there, to be found while the program is built; behind all of
/// them where there is no such name.
pub const fn place(name: &str) -> u8 {
    let (mut rest, mut at): (&[(&str, Type)], u8) = (&PATHS, 0);
    while let Some(((known, _), others)) = rest.split_first() {
        if same(known.as_bytes(), name.as_bytes()) {
            return at;
        }
        (rest, at) = (others, at + 1);
    }
    at
}

const fn same(mut one: &[u8], mut two: &[u8]) -> bool {
    while let (Some((a, rest)), Some((b, others))) = (one.split_first(), two.split_first()) {
        if *a != *b {
            return false;
        }
        (one, two) = (rest, others);
    }
    one.is_empty() && two.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_by_their_names_whatever_the_case() {
        for (at, (name, kind)) in PATHS.iter().enumerate() {
            let path = Path::parse(&name.to_uppercase()).unwrap();
            assert_eq!(path, Path::Known(u8::try_from(at).unwrap()));
            assert_eq!((path.name().as_str(), path.kind()), (*name, Some(*kind)));
            assert_eq!(Path::Known(place(name)), path);
        }
        assert_eq!(Path::parse("Custom.Customer_No").unwrap().name(), "custom.customer_no");
        assert_eq!((place("email"), place("etags"), place("")), (68, 68, 68));
        assert_eq!((Path::parse("emails"), Path::parse("custom."), Path::parse("")), (None, None, None));
    }
}
