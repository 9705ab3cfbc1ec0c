//! A contact as a JSContact Card (RFC 9553): what the card's fields say.

use serde_json::{Map, Value, json};

use crate::domain::contact::{Kind, Name, PostalAddress};
use crate::service::office::ContactView;

/// The media type (RFC 9553 §3.1).
pub const MEDIA: &str = "application/jscontact+json";

/// The card.
pub fn card(view: &ContactView) -> Value {
    let fields = &view.fields;
    let mut card = Map::new();
    card.insert("@type".into(), "Card".into());
    card.insert("version".into(), "1.0".into());
    card.insert("uid".into(), view.uid.clone().into());
    card.insert("created".into(), view.created.to_string().into());
    card.insert("updated".into(), view.updated.to_string().into());
    card.insert("kind".into(), kind(fields.kind).into());
    card.insert("name".into(), name(&fields.name));
    if !fields.organization.name.is_empty() || !fields.organization.units.is_empty() {
        let units: Vec<Value> =
            fields.organization.units.iter().map(|unit| json!({ "name": unit })).collect();
        let mut organization = Map::from_iter([("name".into(), fields.organization.name.clone().into())]);
        if !units.is_empty() {
            organization.insert("units".into(), units.into());
        }
        card.insert("organizations".into(), json!({ "o1": organization }));
    }
    if !fields.title.is_empty() {
        card.insert("titles".into(), json!({ "t1": { "kind": "title", "name": fields.title } }));
    }
    let emails =
        fields.emails.iter().map(|email| object(json!({ "address": email.value }), &email.types, email.pref));
    put(&mut card, "emails", "e", emails);
    let phones = fields.phones.iter().map(|phone| {
        let mut told = object(json!({ "number": phone.value }), &phone.types, phone.pref);
        let features =
            phone.types.iter().filter_map(|kind| feature(kind)).map(|kind| (kind.into(), true.into()));
        let features: Map<String, Value> = features.collect();
        if !features.is_empty() {
            told.insert("features".into(), features.into());
        }
        told
    });
    put(&mut card, "phones", "p", phones);
    put(&mut card, "addresses", "a", fields.addresses.iter().map(address));
    let links = fields.urls.iter().map(|url| object(json!({ "uri": url.value }), &url.types, None));
    put(&mut card, "links", "l", links);
    if !fields.note.is_empty() {
        card.insert("notes".into(), json!({ "n1": { "note": fields.note } }));
    }
    if !fields.categories.is_empty() {
        let keywords: Map<String, Value> =
            fields.categories.iter().map(|category| (category.clone(), true.into())).collect();
        card.insert("keywords".into(), keywords.into());
    }
    if let Some(date) = birthday(&fields.birthday) {
        card.insert("anniversaries".into(), json!({ "b1": { "kind": "birth", "date": date } }));
    }
    Value::Object(card)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Individual => "individual",
        Kind::Org => "org",
        Kind::Group => "group",
    }
}

/// RFC 9553 §2.2.1.
fn name(name: &Name) -> Value {
    let parts = [
        ("title", &name.prefix),
        ("given", &name.given),
        ("given2", &name.additional),
        ("surname", &name.family),
        ("credential", &name.suffix),
    ];
    let components: Vec<Value> = parts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(kind, value)| json!({ "kind": kind, "value": value }))
        .collect();
    match components.is_empty() {
        true => json!({ "full": name.formatted }),
        false => json!({ "full": name.formatted, "components": components }),
    }
}

/// RFC 9553 §2.5.1.
fn address(address: &PostalAddress) -> Map<String, Value> {
    let parts = [
        ("postOfficeBox", &address.po_box),
        ("apartment", &address.extended),
        ("name", &address.street),
        ("locality", &address.locality),
        ("region", &address.region),
        ("postcode", &address.postal_code),
        ("country", &address.country),
    ];
    let components: Vec<Value> = parts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(kind, value)| json!({ "kind": kind, "value": value }))
        .collect();
    object(json!({ "components": components }), &address.types, address.pref)
}

/// A member of a map, with its contexts and how much it is preferred (RFC 9553 §1.5.1, §1.5.3).
fn object(told: Value, types: &[String], pref: Option<u8>) -> Map<String, Value> {
    let mut told = match told {
        Value::Object(told) => told,
        _ => Map::new(),
    };
    let contexts = types.iter().filter_map(|kind| match kind.as_str() {
        "home" => Some(("private".to_owned(), Value::Bool(true))),
        "work" => Some(("work".to_owned(), Value::Bool(true))),
        _ => None,
    });
    let contexts: Map<String, Value> = contexts.collect();
    if !contexts.is_empty() {
        told.insert("contexts".into(), contexts.into());
    }
    if let Some(pref) = pref {
        told.insert("pref".into(), pref.into());
    }
    told
}

/// The features of phones that both know (RFC 9553 §2.3.3).
fn feature(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "cell" => "mobile",
        "voice" => "voice",
        "fax" => "fax",
        "pager" => "pager",
        "text" => "text",
        "video" => "video",
        "textphone" => "textphone",
        "main-number" => "main-number",
        _ => return None,
    })
}

/// A date, or one without a year (RFC 9553 §2.8.1).
fn birthday(text: &str) -> Option<Value> {
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return Some(
            json!({ "@type": "PartialDate", "year": date.year(), "month": date.month(), "day": date.day() }),
        );
    }
    let (month, day) = text.strip_prefix("--")?.split_once('-')?;
    let (month, day) = (month.parse::<u8>().ok()?, day.parse::<u8>().ok()?);
    Some(json!({ "@type": "PartialDate", "month": month, "day": day }))
}

fn put(
    card: &mut Map<String, Value>,
    name: &str,
    prefix: &str,
    items: impl Iterator<Item = Map<String, Value>>,
) {
    let items: Map<String, Value> =
        (1..).zip(items).map(|(at, item)| (format!("{prefix}{at}"), Value::Object(item))).collect();
    if !items.is_empty() {
        card.insert(name.into(), items.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birthdays_are_partial_dates() {
        assert_eq!(
            birthday("1980-02-29"),
            Some(json!({ "@type": "PartialDate", "year": 1980, "month": 2, "day": 29 }))
        );
        assert_eq!(birthday("--02-29"), Some(json!({ "@type": "PartialDate", "month": 2, "day": 29 })));
        assert_eq!((birthday(""), birthday("in May")), (None, None));
    }

    #[test]
    fn names_have_their_parts() {
        let whole = Name {
            formatted: "Dr Ada Byron".into(),
            prefix: "Dr".into(),
            given: "Ada".into(),
            ..Name::default()
        };
        let told = name(&whole);
        assert_eq!(told["full"], "Dr Ada Byron");
        assert_eq!(told["components"][1], json!({ "kind": "given", "value": "Ada" }));
        assert_eq!(name(&Name { formatted: "X".into(), ..Name::default() }), json!({ "full": "X" }));
    }
}
