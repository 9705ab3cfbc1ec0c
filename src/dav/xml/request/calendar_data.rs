//! `CALDAV:calendar-data` in a request: which part of an object is wanted, and in what shape. RFC 4791
//! §9.6 (CAL-34 to CAL-37).

use crate::domain::ical::overlap::Range;
use crate::domain::ical::select::{
    SelectedComponent, SelectedComponents, SelectedProperties, SelectedProperty,
};

use super::super::calendar_filter::time_range;
use super::super::filter::BadFilter;
use super::super::name::Ns;
use super::super::read::Element;
use super::MAX_NAMES;

/// How deep components may be named in each other.
const DEPTH: usize = 8;

/// What is wanted of objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CalendarData {
    /// `content-type`.
    pub content_type: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// The part; `None` for all of it.
    pub component: Option<SelectedComponent>,
    /// `expand`
    pub expand: Option<Range>,
    /// `limit-recurrence-set`
    pub limit_recurrence_set: Option<Range>,
    /// `limit-freebusy-set`
    pub limit_freebusy_set: Option<Range>,
}

/// Reads the element; `expand` and `limit-recurrence-set` exclude each other.
pub fn calendar_data(element: &Element) -> Result<CalendarData, BadFilter> {
    let range = |name: &str| element.child(&Ns::Cal, name).map(bounded).transpose();
    let own = |name| element.attribute(name).map(str::to_owned);
    let data = CalendarData {
        content_type: own("content-type"),
        version: own("version"),
        component: element.child(&Ns::Cal, "comp").map(|e| component(e, 1, &mut 0)).transpose()?,
        expand: range("expand")?,
        limit_recurrence_set: range("limit-recurrence-set")?,
        limit_freebusy_set: range("limit-freebusy-set")?,
    };
    match data.expand.is_some() && data.limit_recurrence_set.is_some() {
        true => Err(BadFilter::Xml(super::BadXml::Unexpected)),
        false => Ok(data),
    }
}

/// A range of which both ends are said: what is made of it would have no end otherwise.
fn bounded(element: &Element) -> Result<Range, BadFilter> {
    let range = time_range(element)?;
    match (range.start, range.end) {
        (Some(_), Some(_)) => Ok(range),
        _ => Err(BadFilter::Xml(super::BadXml::Unexpected)),
    }
}

fn component(element: &Element, depth: usize, names: &mut usize) -> Result<SelectedComponent, BadFilter> {
    let unexpected = BadFilter::Xml(super::BadXml::Unexpected);
    *names += 1;
    let Some(name) = element.attribute("name").filter(|_| depth <= DEPTH && *names <= MAX_NAMES) else {
        return Err(unexpected);
    };
    let is = |local| element.child(&Ns::Cal, local).is_some();
    let mut properties = Vec::new();
    for property in element.elements().filter(|e| e.is(&Ns::Cal, "prop")) {
        *names += 1;
        let name = property.attribute("name").ok_or(unexpected)?.to_owned();
        properties.push(SelectedProperty { name, novalue: property.attribute("novalue") == Some("yes") });
    }
    let inner = element.elements().filter(|e| e.is(&Ns::Cal, "comp"));
    let components = inner.map(|e| component(e, depth + 1, names)).collect::<Result<Vec<_>, _>>()?;
    Ok(SelectedComponent {
        name: name.to_owned(),
        properties: if is("allprop") {
            SelectedProperties::All
        } else {
            SelectedProperties::Some(properties)
        },
        components: if is("allcomp") {
            SelectedComponents::All
        } else {
            SelectedComponents::Some(components)
        },
    })
}
