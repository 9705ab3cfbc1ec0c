//! The properties of WebDAV itself, of its principals, reports, sync tokens and resource ids.
//! RFC 4918 §15, RFC 5397, RFC 3253 §3.1.5, RFC 6578 §4, RFC 5842 §3.1.

use std::borrow::Cow;

use crate::domain::format::Format;
use crate::domain::ical::Kind as Component;
use crate::domain::id::CollectionKind;

use super::super::reports;
use super::super::target::{Href, Kind, Kinds};
use super::super::xml::name::DAV;
use super::{Ask, Node, REAL, Row, Value, written};

/// Resources that clients name.
const NAMED: Kinds =
    Kinds::of(&[Kind::Home, Kind::Book, Kind::Card, Kind::CalendarHome, Kind::Calendar, Kind::Event]);
/// Resources with a change log.
const SYNCED: Kinds = Kinds::of(&[Kind::Home, Kind::Book, Kind::CalendarHome, Kind::Calendar]);
/// Cards and calendar objects.
const OBJECTS: Kinds = Kinds::of(&[Kind::Card, Kind::Event]);

pub(super) static ROWS: &[Row] = &[
    Row::protected("D:resourcetype", Kinds::ALL, resource_type).in_allprop(),
    Row::protected("D:displayname", Kinds::except(&[Kind::Card, Kind::Event]), display_name)
        .in_allprop()
        .writable(NAMED),
    Row::protected("D:getetag", OBJECTS, etag).in_allprop(),
    Row::protected("D:getcontenttype", OBJECTS, content_type).in_allprop(),
    Row::protected("D:getcontentlength", OBJECTS, content_length).in_allprop(),
    Row::protected("D:getlastmodified", OBJECTS, last_modified).in_allprop(),
    Row::protected("D:creationdate", REAL, created).in_allprop(),
    Row::protected("D:current-user-principal", Kinds::ALL, current_user),
    Row::protected("D:supported-report-set", Kinds::ALL, reports_of),
    Row::protected("D:sync-token", SYNCED, token),
    Row::protected("D:resource-id", REAL, resource_id),
    // Locks are not offered (DAV-2), quotas not yet; their names stay the server's.
    Row::reserved("D:lockdiscovery"),
    Row::reserved("D:supportedlock"),
    Row::reserved("D:quota-available-bytes"),
    Row::reserved("D:quota-used-bytes"),
    Row::reserved("D:parent-set"),
    Row::reserved("D:add-member"),
];

fn resource_type<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    Some(match node.kind() {
        Kind::Card | Kind::Event => Value::Empty,
        Kind::Principal | Kind::Group => Value::Markup(Cow::Borrowed("<D:principal/>")),
        Kind::Book => Value::Markup(Cow::Borrowed("<D:collection/><C:addressbook/>")),
        Kind::Calendar => Value::Markup(Cow::Borrowed("<D:collection/><CAL:calendar/>")),
        _ => Value::Markup(Cow::Borrowed("<D:collection/>")),
    })
}

/// A collection always has one, its segment where nobody gave it another: Outlook's synchronizer
/// lists only books that have a displayname (B6 #73).
fn display_name<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let text = match node {
        Node::Root(_) => "Cardkeep",
        Node::Principals => "principals",
        Node::PrincipalUsers => "users",
        Node::PrincipalGroups => "groups",
        Node::Homes(CollectionKind::AddressBook) => "addressbooks",
        Node::Homes(CollectionKind::Calendar) => "calendars",
        Node::Principal(view) => &view.display_name,
        Node::Home(view) | Node::Collection(view) => match written(node, DAV, "displayname") {
            Some(value) => return Some(value),
            None => view.name.as_ref().map_or(view.home.user.as_str(), |name| name.as_str()),
        },
        Node::Object(..) => return written(node, DAV, "displayname"),
    };
    Some(Value::Text(Cow::Borrowed(text)))
}

fn etag<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Object(_, card) => Some(Value::Etag(card.etag)),
        _ => None,
    }
}

fn content_type<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Object(_, object) => Some(Value::Markup(Cow::Borrowed(content_type_of(object.format)))),
        _ => None,
    }
}

/// The media type of an object (DAV-45).
pub fn content_type_of(format: Format) -> &'static str {
    match format {
        Format::Card(_) => "text/vcard; charset=utf-8",
        Format::Calendar(Component::Event) => "text/calendar; charset=utf-8; component=vevent",
        Format::Calendar(Component::Todo) => "text/calendar; charset=utf-8; component=vtodo",
        Format::Calendar(Component::Journal) => "text/calendar; charset=utf-8; component=vjournal",
        Format::Calendar(Component::Availability) => "text/calendar; charset=utf-8; component=vavailability",
    }
}

fn content_length<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Object(_, card) => Some(Value::Number(card.size)),
        _ => None,
    }
}

fn last_modified<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Object(_, card) => Some(Value::Date(card.modified)),
        _ => None,
    }
}

fn created<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Principal(view) => Some(Value::Stamp(view.created)),
        Node::Home(view) | Node::Collection(view) => Some(Value::Stamp(view.created)),
        Node::Object(_, card) => Some(Value::Stamp(card.created)),
        _ => None,
    }
}

/// On every URL that a client may probe (CUP-1).
fn current_user<'a>(_: &Node<'a>, ask: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Href(Href::Principal(&ask.caller.name)))
}

fn reports_of<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let mut markup = String::with_capacity(512);
    // What can be searched only is not synchronised (CARD-57).
    let searched = node.collection().is_some_and(|view| view.search_only);
    for tag in reports::names_on(node.kind()).filter(|tag| !searched || *tag != "D:sync-collection") {
        for part in ["<D:supported-report><D:report><", tag, "/></D:report></D:supported-report>"] {
            markup.push_str(part);
        }
    }
    Some(Value::Markup(Cow::Owned(markup)))
}

fn token<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    node.collection().filter(|view| !view.search_only).map(|view| super::token_of(view))
}

fn resource_id<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let id = match node {
        Node::Principal(view) => view.account.to_string(),
        Node::Home(view) | Node::Collection(view) => view.id.to_string(),
        Node::Object(_, card) => card.contact.to_string(),
        _ => return None,
    };
    let markup = format!("<D:href>urn:uuid:{id}</D:href>");
    Some(Value::Markup(Cow::Owned(markup)))
}
