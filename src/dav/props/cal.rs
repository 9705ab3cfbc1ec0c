//! CalDAV's properties. RFC 4791 §5.2, §6.2.1, §7.5.1; RFC 6638 §2.4, §9; RFC 7809 §5.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::domain::collation::Collation;
use crate::domain::ical::Components;
use crate::domain::id::{CollectionKind, Principal};
use crate::service::view::PrincipalView;

use super::super::target::{Href, Kind, Kinds};
use super::super::xml::name::CAL;
use super::{Ask, Node, Row, Value, written};

/// Calendars.
const CALENDARS: Kinds = Kinds::of(&[Kind::Calendar]);
/// Homes of calendars, and calendars.
const PLACES: Kinds = Kinds::of(&[Kind::CalendarHome, Kind::Calendar]);
/// What the CalDAV reports run on.
const QUERIED: Kinds = Kinds::of(&[Kind::CalendarHome, Kind::Calendar, Kind::Event]);

pub(super) static ROWS: &[Row] = &[
    Row::protected("CAL:calendar-home-set", Kinds::of(&[Kind::Principal]), home_set),
    Row::protected("CAL:calendar-user-type", Kinds::of(&[Kind::Principal, Kind::Group]), user_type_of),
    Row::protected("CAL:calendar-description", CALENDARS, description).writable(CALENDARS),
    Row::protected("CAL:calendar-timezone", CALENDARS, timezone).writable(CALENDARS),
    Row::protected("CAL:calendar-timezone-id", CALENDARS, timezone_id).writable(CALENDARS),
    Row::protected("CAL:schedule-calendar-transp", CALENDARS, transparent).writable(CALENDARS),
    // Set once, by whoever makes the calendar (CAL-7).
    Row::protected("CAL:supported-calendar-component-set", CALENDARS, components),
    Row::protected("CAL:supported-calendar-data", CALENDARS, supported_data),
    Row::protected("CAL:supported-collation-set", QUERIED, collations),
    Row::protected("CAL:max-resource-size", PLACES, max_size),
    Row::protected("CAL:max-instances", PLACES, max_instances),
    Row::protected("CAL:max-attendees-per-instance", PLACES, max_attendees),
    Row::protected("CAL:min-date-time", PLACES, earliest),
    Row::protected("CAL:max-date-time", PLACES, latest),
    Row::protected("CAL:timezone-service-set", PLACES, timezone_services),
    // An object is no property (RFC 4791 §9.6).
    Row::reserved("CAL:calendar-data"),
    // Scheduling is not offered: clients deliver invitations themselves (SCHED-1, SCHED-4).
    Row::reserved("CAL:schedule-inbox-URL"),
    Row::reserved("CAL:schedule-outbox-URL"),
    Row::reserved("CAL:schedule-default-calendar-URL"),
    Row::reserved("CAL:schedule-tag"),
    Row::reserved("CAL:calendar-free-busy-set"),
    // Availability is an object of a calendar that takes it, since there is no inbox (AVAIL-3).
    Row::reserved("CAL:calendar-availability"),
    // Attachments are kept in their objects (ATT-1).
    Row::reserved("CAL:managed-attachments-server-URL"),
    Row::reserved("CAL:max-attachment-size"),
    Row::reserved("CAL:max-attachments-per-resource"),
    // Rules are evaluated by the Gregorian calendar alone (ICAL-10).
    Row::reserved("CAL:supported-rscale-set"),
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

/// What an invitation would call the principal (RFC 5545 §3.2.3; SCHED-3).
fn user_type_of<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let Node::Principal(view) = node else { return None };
    Some(Value::Text(Cow::Borrowed(user_type(view))))
}

/// What kind of calendar user a principal is (RFC 6638 §2.4.2; SCHED-3).
pub fn user_type(view: &PrincipalView) -> &'static str {
    match view.name {
        Principal::User(_) => "INDIVIDUAL",
        Principal::Group(_) => "GROUP",
    }
}

fn description<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    written(node, CAL, "calendar-description")
}

fn timezone<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    written(node, CAL, "calendar-timezone")
}

fn timezone_id<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    written(node, CAL, "calendar-timezone-id")
}

/// Opaque where nobody says more: its events make their owner busy (RFC 6638 §9.1).
fn transparent<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let opaque = Value::Markup(Cow::Borrowed("<CAL:opaque/>"));
    Some(written(node, CAL, "schedule-calendar-transp").unwrap_or(opaque))
}

fn components<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Markup(Cow::Owned(component_set(node.collection()?.components))))
}

fn component_set(components: Components) -> String {
    let mut markup = String::with_capacity(96);
    for kind in components.kinds() {
        for part in ["<CAL:comp name=\"", kind.word(), "\"/>"] {
            markup.push_str(part);
        }
    }
    markup
}

fn supported_data<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let markup = "<CAL:calendar-data content-type=\"text/calendar\" version=\"2.0\"/>";
    Some(Value::Markup(Cow::Borrowed(markup)))
}

fn collations<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let mut markup = String::with_capacity(256);
    for collation in Collation::ALL {
        for part in ["<CAL:supported-collation>", collation.name(), "</CAL:supported-collation>"] {
            markup.push_str(part);
        }
    }
    Some(Value::Markup(Cow::Owned(markup)))
}

fn max_size<'a>(_: &Node<'a>, ask: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Number(ask.calendar.bytes as u64))
}

fn max_instances<'a>(_: &Node<'a>, ask: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Number(ask.calendar.instances))
}

fn max_attendees<'a>(_: &Node<'a>, ask: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Number(ask.calendar.attendees as u64))
}

/// Said only where there is a limit: a date that iCalendar can write is not refused without one (CAL-9).
fn earliest<'a>(_: &Node<'a>, ask: &Ask<'a>) -> Option<Value<'a>> {
    (ask.calendar.earliest > Timestamp::MIN).then(|| basic(ask.calendar.earliest))
}

fn latest<'a>(_: &Node<'a>, ask: &Ask<'a>) -> Option<Value<'a>> {
    (ask.calendar.latest < Timestamp::MAX).then(|| basic(ask.calendar.latest))
}

/// A time as iCalendar writes it, in UTC (RFC 4791 §5.2.6).
fn basic<'a>(at: Timestamp) -> Value<'a> {
    Value::Text(Cow::Owned(at.strftime("%Y%m%dT%H%M%SZ").to_string()))
}

/// None: zones are those of the tz database that clients have too (RFC 7809 §5.1; TZ-2).
fn timezone_services<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ical::{Kind as Component, Limits};

    #[test]
    fn cal_7_the_set_lists_what_the_calendar_takes() {
        let set = component_set(Components::of(&[Component::Todo, Component::Event]));
        assert_eq!(set, "<CAL:comp name=\"VEVENT\"/><CAL:comp name=\"VTODO\"/>");
    }

    /// CAL-9: without limits of dates, none is told.
    #[test]
    fn cal_9_dates_are_as_icalendar_writes_them() {
        let limits = Limits::default();
        assert!(limits.earliest == Timestamp::MIN && limits.latest == Timestamp::MAX);
        let Value::Text(text) = basic("1900-01-02T03:04:05Z".parse().unwrap()) else { panic!("no text") };
        assert_eq!(text, "19000102T030405Z");
    }
}
