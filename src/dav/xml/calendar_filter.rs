//! `CALDAV:filter` and time ranges read into the domain's. RFC 4791 §9.7, §9.9 (CAL-23 to CAL-27). What
//! nests as the grammar does not allow is `valid-filter`; what is legal and not evaluated is
//! `supported-filter` (CAL-26).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::collation::Collation;
use crate::domain::ical::filter::{
    ComponentCondition, ComponentFilter, Filter, ParameterCondition, ParameterFilter, PropertyCondition,
    PropertyFilter, TextMatch,
};
use crate::domain::ical::overlap::Range;

use super::filter::BadFilter;
use super::name::Ns;
use super::read::Element;

/// How many conditions a filter may have; each is tried on each object.
const MAX_CONDITIONS: usize = 100;

/// Reads the filter: one condition on VCALENDAR.
pub fn filter(element: &Element) -> Result<Filter, BadFilter> {
    let mut conditions = 0;
    let mut inner = element.elements().filter(|e| e.is(&Ns::Cal, "comp-filter"));
    let (Some(calendar), None) = (inner.next(), inner.next()) else { return Err(BadFilter::Invalid) };
    let filter = component(calendar, &[], &mut conditions)?;
    match conditions > MAX_CONDITIONS {
        true => Err(BadFilter::TooMany),
        false => Ok(Filter(filter)),
    }
}

/// What may be in a component, and whether a time range may be asked of it.
fn may_nest(parents: &[String], name: &str) -> Result<(), BadFilter> {
    const IN_CALENDAR: [&str; 6] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY"];
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match parents.last().map(|parent| parent.to_ascii_uppercase()).as_deref() {
        None => {
            if is("VCALENDAR") {
                Ok(())
            } else {
                Err(BadFilter::Invalid)
            }
        }
        Some("VCALENDAR") if is("VALARM") || is("VCALENDAR") => Err(BadFilter::Invalid),
        Some(parent) if IN_CALENDAR.contains(&parent) && IN_CALENDAR.iter().any(|known| is(known)) => {
            Err(BadFilter::Invalid)
        }
        _ => Ok(()),
    }
}

fn component(
    element: &Element,
    parents: &[String],
    conditions: &mut usize,
) -> Result<ComponentFilter, BadFilter> {
    *conditions += 1;
    let name = name(element)?;
    may_nest(parents, &name)?;
    let (mut undefined, mut range) = (false, None);
    let (mut properties, mut components) = (Vec::new(), Vec::new());
    let inside: Vec<String> = parents.iter().cloned().chain([name.clone()]).collect();
    for child in element.elements().filter(|e| e.ns == Ns::Cal) {
        match child.local() {
            "is-not-defined" => undefined = true,
            "time-range" if parents.is_empty() || range.is_some() => return Err(BadFilter::Invalid),
            "time-range" => range = Some(time_range(child)?),
            "prop-filter" => properties.push(property(child, conditions)?),
            "comp-filter" if inside.len() < 4 => components.push(component(child, &inside, conditions)?),
            "comp-filter" => return Err(BadFilter::Invalid),
            _ => {}
        }
    }
    let nothing = range.is_none() && properties.is_empty() && components.is_empty();
    let condition = match (undefined, nothing) {
        (true, true) => ComponentCondition::NotDefined,
        (true, false) => return Err(BadFilter::Invalid),
        (false, _) => ComponentCondition::Defined { range, properties, components },
    };
    Ok(ComponentFilter { name, condition })
}

fn property(element: &Element, conditions: &mut usize) -> Result<PropertyFilter, BadFilter> {
    *conditions += 1;
    let (mut undefined, mut range, mut found) = (false, None, None);
    let mut parameters = Vec::new();
    for child in element.elements().filter(|e| e.ns == Ns::Cal) {
        match child.local() {
            "is-not-defined" => undefined = true,
            "time-range" => range = Some(time_range(child)?),
            "text-match" => found = Some(text(child)?),
            "param-filter" => {
                *conditions += 1;
                parameters.push(parameter(child)?);
            }
            _ => {}
        }
    }
    let nothing = range.is_none() && found.is_none() && parameters.is_empty();
    let condition = match (undefined, nothing) {
        (true, true) => PropertyCondition::NotDefined,
        (true, false) => return Err(BadFilter::Invalid),
        (false, _) => PropertyCondition::Defined { range, text: found, parameters },
    };
    Ok(PropertyFilter { name: name(element)?, condition })
}

fn parameter(element: &Element) -> Result<ParameterFilter, BadFilter> {
    let undefined = element.child(&Ns::Cal, "is-not-defined").is_some();
    let condition = match (undefined, element.child(&Ns::Cal, "text-match")) {
        (true, None) => ParameterCondition::NotDefined,
        (true, Some(_)) => return Err(BadFilter::Invalid),
        (false, Some(child)) => ParameterCondition::Matches(text(child)?),
        (false, None) => ParameterCondition::Defined,
    };
    Ok(ParameterFilter { name: name(element)?, condition })
}

/// CAL-25: `i;ascii-casemap` where no collation is named.
fn text(element: &Element) -> Result<TextMatch, BadFilter> {
    let collation = match element.attribute("collation") {
        None | Some("default") => None,
        Some(name) => Some(Collation::named(name).ok_or(BadFilter::Collation)?),
    };
    let negate = match element.attribute("negate-condition") {
        None | Some("no") => false,
        Some("yes") => true,
        Some(_) => return Err(BadFilter::Invalid),
    };
    Ok(TextMatch::new(&element.text(), collation, negate))
}

/// CAL-27: times in UTC, the start within, the end without; one of them may be missing.
pub fn time_range(element: &Element) -> Result<Range, BadFilter> {
    let bound = |name: &str| match element.attribute(name) {
        None => Ok(None),
        Some(text) => utc(text).map(Some).ok_or(BadFilter::Invalid),
    };
    let range = Range { start: bound("start")?, end: bound("end")? };
    match (range.start, range.end) {
        (None, None) => Err(BadFilter::Invalid),
        (Some(start), Some(end)) if start >= end => Err(BadFilter::Invalid),
        _ => Ok(range),
    }
}

/// A time as iCalendar writes it in UTC.
fn utc(text: &str) -> Option<Timestamp> {
    let text = text.trim_ascii().strip_suffix(['Z', 'z'])?;
    let plain = text.len() == 15 && text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'T');
    let time = plain.then(|| DateTime::strptime("%Y%m%dT%H%M%S", text).ok()).flatten()?;
    Some(TimeZone::UTC.to_ambiguous_timestamp(time).compatible().unwrap_or(Timestamp::MAX))
}

fn name(element: &Element) -> Result<String, BadFilter> {
    match element.attribute("name") {
        Some(name) if !name.is_empty() && name.len() <= 255 => Ok(name.to_owned()),
        _ => Err(BadFilter::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::parse;
    use super::*;

    fn read(inner: &str) -> Result<Filter, BadFilter> {
        let xml = format!("<filter xmlns='urn:ietf:params:xml:ns:caldav'>{inner}</filter>");
        filter(&parse(xml.as_bytes()).unwrap())
    }

    fn calendar(inner: &str) -> Result<Filter, BadFilter> {
        read(&format!("<comp-filter name='VCALENDAR'>{inner}</comp-filter>"))
    }

    #[test]
    fn cal_26_what_nests_wrongly_is_no_filter() {
        for bad in [
            "",
            "<comp-filter name='VEVENT'/>",
            "<comp-filter/>",
            "<comp-filter name='VCALENDAR'/><comp-filter name='VCALENDAR'/>",
            "<comp-filter name='VCALENDAR'><time-range start='20240101T000000Z'/></comp-filter>",
        ] {
            assert!(matches!(read(bad), Err(BadFilter::Invalid)), "{bad}");
        }
        for bad in [
            "<comp-filter name='VALARM'/>",
            "<comp-filter name='VCALENDAR'/>",
            "<comp-filter name='VEVENT'><comp-filter name='VTODO'/></comp-filter>",
            "<comp-filter name='VEVENT'><is-not-defined/><prop-filter name='UID'/></comp-filter>",
            "<comp-filter name='VEVENT'><time-range/></comp-filter>",
            "<comp-filter name='VEVENT'><time-range start='20240101T000000'/></comp-filter>",
            "<comp-filter name='VEVENT'><time-range start='2024'/></comp-filter>",
            "<comp-filter name='VEVENT'><time-range start='20240102T000000Z' end='20240101T000000Z'/></comp-filter>",
            "<comp-filter name='VEVENT'><prop-filter/></comp-filter>",
        ] {
            assert!(matches!(calendar(bad), Err(BadFilter::Invalid)), "{bad}");
        }
        let odd = "<comp-filter name='VEVENT'><prop-filter name='A'><text-match collation='x'>b</text-match></prop-filter></comp-filter>";
        assert!(matches!(calendar(odd), Err(BadFilter::Collation)));
        let many = "<comp-filter name='VEVENT'/>".repeat(101);
        assert!(matches!(calendar(&many), Err(BadFilter::TooMany)));
    }

    #[test]
    fn cal_27_ranges_are_half_open_and_may_lack_an_end() {
        let of = |text: &str| {
            let xml = format!("<time-range xmlns='urn:ietf:params:xml:ns:caldav' {text}/>");
            time_range(&parse(xml.as_bytes()).unwrap()).unwrap()
        };
        let range = of("start='20240101T000000Z'");
        assert_eq!((range.start.unwrap().to_string().as_str(), range.end), ("2024-01-01T00:00:00Z", None));
        assert!(of("end='99991231T235959Z'").end.is_some());
        let scope = calendar(
            "<comp-filter name='VEVENT'><time-range start='20240101T000000Z' end='20240201T000000Z'/></comp-filter>",
        );
        let scope = scope.unwrap().scope();
        assert!(scope.instances.is_some() && scope.alarms.is_none());
    }
}
