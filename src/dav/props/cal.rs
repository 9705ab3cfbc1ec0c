//! CalDAV's properties. RFC 4791 §5.2, §6.2.1.

use std::borrow::Cow;

use crate::domain::id::{CollectionKind, Principal};
use crate::service::view::PrincipalView;

use super::super::target::{Href, Kind, Kinds};
use super::super::xml::name::CAL;
use super::{Ask, Node, Row, Value, written};

/// Calendars.
const CALENDARS: Kinds = Kinds::of(&[Kind::Calendar]);

pub(super) static ROWS: &[Row] = &[
    Row::protected("CAL:calendar-home-set", Kinds::of(&[Kind::Principal]), home_set),
    Row::protected("CAL:calendar-description", CALENDARS, description).writable(CALENDARS),
    Row::protected("CAL:supported-calendar-component-set", CALENDARS, components),
    Row::protected("CAL:supported-calendar-data", CALENDARS, supported_data),
];

/// Exactly one: Apple's clients and python-caldav read only the first (CAL-16).
fn home_set<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Principal(PrincipalView { name: Principal::User(name), .. }) => {
            Some(Value::Href(Href::Home(CollectionKind::Calendar, name)))
        }
        _ => None,
    }
}

fn description<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    written(node, CAL, "calendar-description")
}

fn components<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let mut markup = String::with_capacity(96);
    for kind in node.collection()?.components.kinds() {
        for part in ["<CAL:comp name=\"", kind.word(), "\"/>"] {
            markup.push_str(part);
        }
    }
    Some(Value::Markup(Cow::Owned(markup)))
}

fn supported_data<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let markup = "<CAL:calendar-data content-type=\"text/calendar\" version=\"2.0\"/>";
    Some(Value::Markup(Cow::Borrowed(markup)))
}
