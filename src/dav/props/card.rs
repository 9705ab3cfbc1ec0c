//! CardDAV's properties, and the form in which reports give cards. RFC 6352 §6.2, §7.1, §8.3.1,
//! §10.4.

use std::borrow::Cow;

use bytes::Bytes;

use crate::domain::collation::Collation;
use crate::domain::convert::CannotConvert;
use crate::domain::id::{CollectionKind, Principal};
use crate::domain::vcard::{SelectedProperty, Selection, Version, select};
use crate::service::conversions::Conversions;
use crate::service::view::{ObjectView, PrincipalView};

use super::super::target::{Href, Kind, Kinds};
use super::super::xml::name::CARD;
use super::super::xml::request::AddressData;
use super::{Ask, Node, Row, Value, written};

/// Address books.
const BOOKS: Kinds = Kinds::of(&[Kind::Book]);
/// What the CardDAV reports run on.
const QUERIED: Kinds = Kinds::of(&[Kind::Home, Kind::Book, Kind::Card]);

pub(super) static ROWS: &[Row] = &[
    Row::protected("C:addressbook-home-set", Kinds::of(&[Kind::Principal]), home_set),
    Row::protected("C:directory-gateway", Kinds::of(&[Kind::Principal]), gateway),
    Row::protected("C:addressbook-description", BOOKS, description).writable(BOOKS),
    Row::protected("C:supported-address-data", BOOKS, supported_data),
    Row::protected("C:supported-collation-set", QUERIED, collations),
    Row::protected("C:max-resource-size", Kinds::of(&[Kind::Home, Kind::Book]), max_size),
    // Photos have no limit of their own (CARD-60), nobody has a card of its own yet (CARD-20), and
    // a card is no property (§10.4).
    Row::reserved("C:max-image-size"),
    Row::reserved("C:principal-address"),
    Row::reserved("C:address-data"),
];

/// Exactly one: Apple's clients take the first, and others sync each (D12, CARD-19).
fn home_set<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Principal(PrincipalView { name: Principal::User(name), .. }) => {
            Some(Value::Href(Href::Home(CollectionKind::AddressBook, name)))
        }
        _ => None,
    }
}

/// Where to search a staff that is too many to be a book (CARD-56).
fn gateway<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Principal(PrincipalView { name: Principal::User(name), gateway: Some(book), .. }) => {
            Some(Value::Href(Href::Collection(CollectionKind::AddressBook, name, book)))
        }
        _ => None,
    }
}

fn description<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    written(node, CARD, "addressbook-description")
}

fn supported_data<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let markup = "<C:address-data-type content-type=\"text/vcard\" version=\"3.0\"/>\
        <C:address-data-type content-type=\"text/vcard\" version=\"4.0\"/>";
    Some(Value::Markup(Cow::Borrowed(markup)))
}

fn collations<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let mut markup = String::with_capacity(256);
    for collation in Collation::ALL {
        for part in ["<C:supported-collation>", collation.name(), "</C:supported-collation>"] {
            markup.push_str(part);
        }
    }
    Some(Value::Markup(Cow::Owned(markup)))
}

fn max_size<'a>(_: &Node<'a>, ask: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Number(ask.limits.bytes as u64))
}

/// The form in which a report gives cards.
#[derive(Debug, Clone)]
pub struct AddressDataForm {
    /// The version; `None` as it is stored.
    version: Option<Version>,
    /// Whether the request named the version, so that no other will do (VC-32).
    insisted: bool,
    /// The part of the card; `None` for all of it.
    selection: Option<Selection>,
}

/// The request wants cards in a form that this server does not have (`supported-address-data`;
/// CARD-32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cards are not available in that form")]
pub struct BadAddressData;

impl AddressDataForm {
    /// The form that `asked` names. One that names no version gets 3.0, which every client reads,
    /// but for Thunderbird, which writes 4.0 and reads back what it wrote (D9).
    pub fn of(asked: &AddressData, user_agent: &str) -> Result<Self, BadAddressData> {
        let kind = asked.content_type.as_deref().unwrap_or("text/vcard");
        let bare = kind.split(';').next().unwrap_or_default().trim_ascii();
        if !bare.eq_ignore_ascii_case("text/vcard") {
            return Err(BadAddressData);
        }
        let version = match asked.version.as_deref() {
            Some("3.0") => Some(Version::V3),
            Some("4.0") => Some(Version::V4),
            Some(_) => return Err(BadAddressData),
            None if is_thunderbird(user_agent) => None,
            None => Some(Version::V3),
        };
        let selected = asked
            .properties
            .iter()
            .map(|(name, novalue)| SelectedProperty { name: name.clone(), novalue: *novalue });
        Ok(Self {
            version,
            insisted: asked.version.is_some(),
            selection: (!asked.properties.is_empty())
                .then(|| Selection { all: false, properties: selected.collect() }),
        })
    }
}

/// Whether the agent is Thunderbird (or a relative that calls itself so), for which two answers
/// differ (D3, D9).
pub fn is_thunderbird(user_agent: &str) -> bool {
    user_agent.contains("Thunderbird/")
}

/// The card in that form. One that cannot be converted stays as it is stored, unless the request
/// insisted (CARD-33, VC-32).
pub fn card_text(
    card: &ObjectView,
    form: &AddressDataForm,
    conversions: &Conversions,
) -> Result<Bytes, CannotConvert> {
    let whole = match conversions.of(card, form.version.unwrap_or(card.version())) {
        Err(CannotConvert) if !form.insisted => card.body.clone().unwrap_or_default(),
        form => form?,
    };
    Ok(match &form.selection {
        None => whole,
        Some(selection) => select(&whole, selection).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_was_asked_or_3_0_or_what_thunderbird_wrote() {
        let asked = |kind: Option<&str>, version: Option<&str>| AddressData {
            content_type: kind.map(str::to_owned),
            version: version.map(str::to_owned),
            properties: vec![],
        };
        let of = |kind, version, agent| {
            AddressDataForm::of(&asked(kind, version), agent).map(|f| (f.version, f.insisted))
        };
        assert_eq!(of(None, None, "iOS/18"), Ok((Some(Version::V3), false)));
        let thunderbird = "Mozilla/5.0 Thunderbird/128.0";
        assert_eq!(of(None, None, thunderbird), Ok((None, false)));
        let four = of(Some("Text/VCard"), Some("4.0"), thunderbird);
        assert_eq!(four, Ok((Some(Version::V4), true)));
        assert_eq!(of(None, Some("2.1"), ""), Err(BadAddressData));
        assert_eq!(of(Some("application/vcard+json"), None, ""), Err(BadAddressData));
    }
}
