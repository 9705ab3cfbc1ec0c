//! What clients write on calendars: read, checked, and completed where two properties say the same
//! (RFC 4791 §5.2.2, §5.3.1; RFC 7809 §5.2; RFC 6638 §9.1). Knows no request and no store.

use crate::domain::ical::timezones::calendar_timezone;
use crate::domain::ical::zone::{Zone, vtimezone};
use crate::domain::ical::{Components, Kind as Component, Limits, PRODID};
use crate::domain::id::CollectionKind;
use crate::service::view::{Property, PropertyChange, PropertyName, PropertyValue};

use super::target::Kind;
use super::xml::name::{CAL, Ns};
use super::xml::read::{Element, parse};

/// The end of a propstat of a `calendar-timezone` that is not one (CAL-6, CAL-11).
const NO_VTIMEZONE: &str = "<D:status>HTTP/1.1 403 Forbidden</D:status>\
    <D:error><CAL:valid-calendar-data/></D:error>";
/// The end of a propstat of a `calendar-timezone-id` that nobody knows (TZ-5).
const NO_ZONE: &str = "<D:status>HTTP/1.1 403 Forbidden</D:status>\
    <D:error><CAL:valid-timezone/></D:error>";
/// The end of a propstat of components that no calendar takes (CAL-7).
const NO_COMPONENT: &str = "<D:status>HTTP/1.1 403 Forbidden</D:status>\
    <D:error><CAL:supported-calendar-component/></D:error>";
/// The end of a propstat of a value that the property cannot have (RFC 4918 §9.2.1).
const NO_VALUE: &str = "<D:status>HTTP/1.1 409 Conflict</D:status>";

/// The first year of the VTIMEZONE that is made of a `calendar-timezone-id`: floating times of before
/// are few, and an hour off at most.
const FIRST_YEAR: i16 = 2000;

/// Components that stand in an object beside what it is about: a set that names them means objects
/// in which they are.
const INNER: [&str; 2] = ["VTIMEZONE", "VALARM"];

/// What was wrong with which property, as the end of its propstat.
pub type Wrong = Vec<(PropertyName, &'static str)>;

/// The properties of a new collection.
#[derive(Debug, Default)]
pub struct Described {
    /// The components that a calendar is to take.
    pub components: Components,
    /// The properties to store.
    pub properties: Vec<Property>,
}

/// The properties that a new collection is asked to have: what only its making can say is taken out of
/// them (CAL-7), the others are as [`settled`] leaves them.
pub fn described(kind: CollectionKind, asked: Vec<Property>, year: i16) -> Result<Described, Wrong> {
    let mut wrong = Wrong::new();
    let mut components = match kind {
        CollectionKind::AddressBook => Components::NONE,
        CollectionKind::Calendar => Components::USUAL,
    };
    let mut others = Vec::with_capacity(asked.len());
    for property in asked {
        if !is_of_making(kind, &property.name) {
            others.push(PropertyChange::Set(property));
            continue;
        }
        match component_set(&property.value) {
            Some(set) => components = set,
            None => wrong.push((property.name, NO_COMPONENT)),
        }
    }
    let changes = settled(Kind::collection(kind), others, year).unwrap_or_else(|more| {
        wrong.extend(more);
        Vec::new()
    });
    let mut properties: Vec<Property> = Vec::with_capacity(changes.len());
    for change in changes {
        let (PropertyChange::Set(Property { name, .. }) | PropertyChange::Remove(name)) = &change;
        properties.retain(|known| known.name != *name);
        if let PropertyChange::Set(property) = change {
            properties.push(property);
        }
    }
    if wrong.is_empty() { Ok(Described { components, properties }) } else { Err(wrong) }
}

/// Whether a property is one that a new collection is asked to have and that nobody changes afterwards.
pub fn is_of_making(kind: CollectionKind, name: &PropertyName) -> bool {
    kind == CollectionKind::Calendar && is(name, "supported-calendar-component-set")
}

/// Changes as they are to be stored: a calendar's time zone is kept by its name and as a VTIMEZONE, so
/// that whichever is set, both are seen (TZ-5).
pub fn settled(kind: Kind, changes: Vec<PropertyChange>, year: i16) -> Result<Vec<PropertyChange>, Wrong> {
    if kind != Kind::Calendar {
        return Ok(changes);
    }
    let together = agree(&changes);
    let mut settled = Vec::with_capacity(changes.len() + 1);
    let mut wrong = Wrong::new();
    for change in changes {
        let own = match &change {
            PropertyChange::Set(Property { name, .. }) | PropertyChange::Remove(name) => Own::of(name),
        };
        match (own, change) {
            (Some(Own::Timezone), PropertyChange::Set(property)) => match timezone(&property.value) {
                None => wrong.push((property.name, NO_VTIMEZONE)),
                Some((text, known)) => {
                    settled.push(set(Own::Timezone, text));
                    match known {
                        _ if together => {}
                        Some(id) => settled.push(set(Own::TimezoneId, id)),
                        None => settled.push(PropertyChange::Remove(Own::TimezoneId.name())),
                    }
                }
            },
            (Some(Own::TimezoneId), PropertyChange::Set(property)) => match timezone_id(&property.value) {
                None => wrong.push((property.name, NO_ZONE)),
                Some(id) => {
                    let written = written(&id, year).filter(|_| !together);
                    settled.push(set(Own::TimezoneId, id));
                    settled.extend(written.map(|text| set(Own::Timezone, text)));
                }
            },
            (Some(Own::Timezone | Own::TimezoneId), PropertyChange::Remove(_)) => {
                settled
                    .extend([Own::Timezone, Own::TimezoneId].map(|own| PropertyChange::Remove(own.name())));
            }
            (Some(Own::Transparency), PropertyChange::Set(property)) => match transparency(&property.value) {
                None => wrong.push((property.name, NO_VALUE)),
                Some(value) => settled.push(PropertyChange::Set(Property { value, ..property })),
            },
            (_, change) => settled.push(change),
        }
    }
    if wrong.is_empty() { Ok(settled) } else { Err(wrong) }
}

/// The properties that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Timezone,
    TimezoneId,
    Transparency,
}

impl Own {
    fn of(name: &PropertyName) -> Option<Self> {
        [Self::Timezone, Self::TimezoneId, Self::Transparency].into_iter().find(|own| is(name, own.local()))
    }

    fn local(self) -> &'static str {
        match self {
            Self::Timezone => "calendar-timezone",
            Self::TimezoneId => "calendar-timezone-id",
            Self::Transparency => "schedule-calendar-transp",
        }
    }

    fn name(self) -> PropertyName {
        PropertyName { namespace: CAL.to_owned(), local: self.local().to_owned() }
    }
}

fn is(name: &PropertyName, local: &str) -> bool {
    name.local == local && name.namespace == CAL
}

fn set(own: Own, text: String) -> PropertyChange {
    let value = PropertyValue::Text { text, lang: None };
    PropertyChange::Set(Property { name: own.name(), value })
}

/// Whether a request sets a zone by its name and as a VTIMEZONE, as DAVx5 does when it makes a
/// calendar, and means one zone by both: then each is kept as it came. A VTIMEZONE whose TZID
/// nobody else knows may be any zone.
fn agree(changes: &[PropertyChange]) -> bool {
    let last = |own: Own| {
        changes.iter().rev().find_map(|change| match change {
            PropertyChange::Set(property) if Own::of(&property.name) == Some(own) => Some(&property.value),
            _ => None,
        })
    };
    match (last(Own::Timezone).and_then(timezone), last(Own::TimezoneId).and_then(timezone_id)) {
        (Some((_, Some(known))), Some(id)) => known == id,
        (Some((_, None)), Some(_)) => true,
        _ => false,
    }
}

/// The text of a `calendar-timezone`, and the name of its zone in the tz database.
fn timezone(value: &PropertyValue) -> Option<(String, Option<String>)> {
    let text = text(value)?;
    let id = calendar_timezone(text.as_bytes(), &Limits::default()).ok()?;
    let known = Zone::named(&id).and_then(|zone| zone.name().map(str::to_owned));
    Some((text, known))
}

/// The zone that a `calendar-timezone-id` names, as the tz database writes it.
fn timezone_id(value: &PropertyValue) -> Option<String> {
    Zone::named(&text(value)?)?.name().map(str::to_owned)
}

/// That zone as a `calendar-timezone`, right until long after `year`.
fn written(id: &str, year: i16) -> Option<String> {
    let zone = vtimezone(id, &Zone::named(id)?, FIRST_YEAR.min(year), year)?;
    let zone = String::from_utf8(zone).ok()?;
    Some(format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:{PRODID}\r\n{zone}END:VCALENDAR\r\n"))
}

/// A value that is text, whatever attributes its element has; clients write it indented.
fn text(value: &PropertyValue) -> Option<String> {
    Some(match value {
        PropertyValue::Text { text, .. } => text.trim().to_owned(),
        PropertyValue::Xml(xml) => {
            let element = element(xml).filter(|element| element.elements().next().is_none())?;
            element.text().trim().to_owned()
        }
    })
}

fn element(xml: &str) -> Option<Element> {
    parse(xml.as_bytes()).ok()
}

/// A `schedule-calendar-transp` as it is kept, always in the same words; `None` where it says neither.
fn transparency(value: &PropertyValue) -> Option<PropertyValue> {
    let PropertyValue::Xml(xml) = value else { return None };
    let element = element(xml)?;
    let mut inner = element.elements();
    let word = match (inner.next(), inner.next()) {
        (Some(one), None) if one.is(&Ns::Cal, "transparent") => "transparent",
        (Some(one), None) if one.is(&Ns::Cal, "opaque") => "opaque",
        _ => return None,
    };
    let local = Own::Transparency.local();
    Some(PropertyValue::Xml(format!(
        "<CAL:{local} xmlns:CAL=\"{CAL}\"><CAL:{word}></CAL:{word}></CAL:{local}>"
    )))
}

/// The components of a `supported-calendar-component-set`; `None` where it names one that no
/// calendar takes, or nothing that one could hold.
fn component_set(value: &PropertyValue) -> Option<Components> {
    let PropertyValue::Xml(xml) = value else { return None };
    let element = element(xml)?;
    let mut kinds = Vec::new();
    for component in element.elements().filter(|element| element.is(&Ns::Cal, "comp")) {
        let name = component.attribute("name")?;
        match Component::parse(name) {
            Some(kind) => kinds.push(kind),
            None if INNER.iter().any(|inner| name.eq_ignore_ascii_case(inner)) => {}
            None => return None,
        }
    }
    (!kinds.is_empty()).then(|| Components::of(&kinds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:STANDARD\nDTSTART:19701025T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\nEND:VCALENDAR";

    fn text_value(text: &str) -> PropertyValue {
        PropertyValue::Text { text: text.into(), lang: None }
    }

    fn xml(inner: &str) -> PropertyValue {
        PropertyValue::Xml(format!("<a xmlns=\"{CAL}\">{inner}</a>"))
    }

    fn change(own: Own, value: PropertyValue) -> PropertyChange {
        PropertyChange::Set(Property { name: own.name(), value })
    }

    /// What is stored of the zone, by its name and as text.
    fn zones(changes: Vec<PropertyChange>) -> Result<(Option<String>, Option<String>), Wrong> {
        let mut stored = (Some("old".to_owned()), Some("old".to_owned()));
        for change in settled(Kind::Calendar, changes, 2026)? {
            let (name, value) = match change {
                PropertyChange::Set(Property { name, value }) => (name, text(&value)),
                PropertyChange::Remove(name) => (name, None),
            };
            match Own::of(&name).unwrap() {
                Own::TimezoneId => stored.0 = value,
                Own::Timezone => stored.1 = value,
                Own::Transparency => unreachable!(),
            }
        }
        Ok(stored)
    }

    /// TZ-5, CAL-6: whichever is set, both are seen.
    #[test]
    fn tz_5_the_two_names_of_a_zone_are_one() {
        let custom = BERLIN.replace("Europe/Berlin", "My Zone");
        let berlin = || Some("Europe/Berlin".to_owned());
        let by_text = zones(vec![change(Own::Timezone, text_value(&format!("\n  {BERLIN}\n ")))]);
        assert_eq!(by_text, Ok((berlin(), Some(BERLIN.to_owned()))));
        let (id, text) = zones(vec![change(Own::TimezoneId, text_value(" europe/berlin "))]).unwrap();
        assert_eq!(id, berlin());
        let text = text.unwrap();
        assert_eq!(calendar_timezone(text.as_bytes(), &Limits::default()), Ok("Europe/Berlin".into()));
        assert_eq!(zones(vec![change(Own::Timezone, text_value(&custom))]), Ok((None, Some(custom.clone()))));
        // Both at once, in either order: each as it came where they mean one zone, else the last wins.
        for flip in [false, true] {
            let both = |text: &str| {
                let mut both = vec![
                    change(Own::Timezone, text_value(text)),
                    change(Own::TimezoneId, text_value("Europe/Berlin")),
                ];
                if flip {
                    both.reverse();
                }
                zones(both).unwrap()
            };
            assert_eq!(both(BERLIN), (berlin(), Some(BERLIN.to_owned())));
            assert_eq!(both(&custom), (berlin(), Some(custom.clone())));
            let (id, text) = both(&BERLIN.replace("Berlin", "Paris"));
            let wins = if flip { "Europe/Paris" } else { "Europe/Berlin" };
            assert_eq!(id.as_deref(), Some(wins));
            assert!(text.unwrap().contains(wins));
        }
        for own in [Own::Timezone, Own::TimezoneId] {
            assert_eq!(zones(vec![PropertyChange::Remove(own.name())]), Ok((None, None)));
        }
        for (own, value, status) in [
            (Own::Timezone, text_value("x"), NO_VTIMEZONE),
            (Own::Timezone, xml("<b/>"), NO_VTIMEZONE),
            (Own::TimezoneId, text_value("Nowhere/Land"), NO_ZONE),
            (Own::TimezoneId, text_value(""), NO_ZONE),
            (Own::Transparency, text_value("opaque"), NO_VALUE),
            (Own::Transparency, xml("<opaque/><transparent/>"), NO_VALUE),
        ] {
            assert_eq!(settled(Kind::Calendar, vec![change(own, value.clone())], 2026), {
                Err(vec![(own.name(), status)])
            });
            // Elsewhere they are properties like others.
            assert!(settled(Kind::Book, vec![change(own, value)], 2026).is_ok());
        }
    }

    /// CAL-7: known components, at least one.
    #[test]
    fn cal_7_component_sets() {
        let set = |inner: &str| component_set(&xml(inner));
        assert_eq!(set("<comp name='VEVENT'/>"), Some(Components::of(&[Component::Event])));
        let two = Components::of(&[Component::Event, Component::Todo]);
        assert_eq!(set("<comp name='VTODO'/><comp name='vevent'/><comp name='VALARM'/>"), Some(two));
        for wrong in ["", "<comp name='VPOLL'/>", "<comp name='VEVENT'/><comp name='VFREEBUSY'/>", "<comp/>"]
        {
            assert_eq!(set(wrong), None, "{wrong}");
        }
        assert_eq!(set("<comp name='VTIMEZONE'/>"), None);
        assert_eq!(component_set(&text_value("VEVENT")), None);
    }

    /// SCHED-6.
    #[test]
    fn sched_6_transparency() {
        let PropertyValue::Xml(kept) = transparency(&xml(" <transparent/> ")).unwrap() else {
            panic!("text")
        };
        assert!(kept.contains("<CAL:transparent>") && parse(kept.as_bytes()).is_ok());
        assert!(transparency(&xml("<opaque/>")).is_some());
        assert_eq!(transparency(&xml("<other/>")), None);
    }
}
