//! Partial retrieval (RFC 4791 §9.6.1 to §9.6.4, CAL-34): some components and properties of an
//! object, their octets unchanged. Must not know what a component or property means.

use super::tree::{Component, Part, Prop};

/// One `comp`: what is taken of components of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedComponent {
    /// The component's name.
    pub name: String,
    /// Its properties.
    pub properties: SelectedProperties,
    /// The components in it.
    pub components: SelectedComponents,
}

/// `allprop`, or some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectedProperties {
    /// Every property.
    All,
    /// Those of these names.
    Some(Vec<SelectedProperty>),
}

/// `allcomp`, or some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectedComponents {
    /// Every component, whole.
    All,
    /// Of these components what they select.
    Some(Vec<SelectedComponent>),
}

/// One `prop` (RFC 4791 §9.6.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedProperty {
    /// Its name.
    pub name: String,
    /// Name and parameters only, no value.
    pub novalue: bool,
}

impl SelectedComponent {
    /// A `comp` without children is the whole component: so the RFC's own example takes VTIMEZONE
    /// (§7.8.1).
    fn is_whole(&self) -> bool {
        match (&self.properties, &self.components) {
            (SelectedProperties::All, SelectedComponents::All) => true,
            (SelectedProperties::Some(properties), SelectedComponents::Some(components)) => {
                properties.is_empty() && components.is_empty()
            }
            _ => false,
        }
    }
}

/// The selected part of a calendar in the order of its lines, with their folds and line ends. Its
/// VERSION is always there, as a card's is, so that the part is still iCalendar 2.0.
pub fn select(calendar: &Component<'_>, selected: &SelectedComponent) -> Vec<u8> {
    let mut out = Vec::with_capacity(calendar.octets.len().min(4096));
    let framed;
    let wanted = match calendar.is(&selected.name) {
        true => selected,
        // Not every client begins with VCALENDAR.
        false => {
            framed = SelectedComponent {
                name: "VCALENDAR".to_owned(),
                properties: SelectedProperties::Some(Vec::new()),
                components: SelectedComponents::Some(vec![selected.clone()]),
            };
            &framed
        }
    };
    take(calendar, &[wanted], &mut out);
    out
}

/// Takes what any of `wanted`, all of the component's name, selects.
fn take(component: &Component<'_>, wanted: &[&SelectedComponent], out: &mut Vec<u8>) {
    if wanted.iter().any(|selected| selected.is_whole()) {
        out.extend_from_slice(component.octets);
        return;
    }
    out.extend_from_slice(component.begin().octets());
    for part in component.parts() {
        match part {
            Part::Property(property) => take_property(component, property, wanted, out),
            Part::Component(child) => {
                let all = |selected: &&SelectedComponent| selected.components == SelectedComponents::All;
                let inner: Vec<&SelectedComponent> =
                    wanted.iter().flat_map(|selected| named(selected, child)).collect();
                if wanted.iter().any(all) {
                    out.extend_from_slice(child.octets);
                } else if !inner.is_empty() {
                    take(child, &inner, out);
                }
            }
        }
    }
    out.extend_from_slice(component.end());
}

/// The selections in this one that are of the child's name.
fn named<'s>(
    selected: &'s SelectedComponent,
    child: &Component<'_>,
) -> impl Iterator<Item = &'s SelectedComponent> {
    let inner = match &selected.components {
        SelectedComponents::All => &[][..],
        SelectedComponents::Some(components) => components,
    };
    inner.iter().filter(|selected| child.is(&selected.name))
}

fn take_property(
    parent: &Component<'_>,
    property: &Prop<'_>,
    wanted: &[&SelectedComponent],
    out: &mut Vec<u8>,
) {
    let (mut whole, mut bare) = (parent.is("VCALENDAR") && property.is("VERSION"), false);
    for selected in wanted {
        match &selected.properties {
            SelectedProperties::All => whole = true,
            SelectedProperties::Some(properties) => {
                for chosen in properties.iter().filter(|chosen| property.is(&chosen.name)) {
                    if chosen.novalue { bare = true } else { whole = true }
                }
            }
        }
    }
    if whole {
        out.extend_from_slice(property.octets());
    } else if bare {
        let line = property.line();
        out.extend_from_slice(line.get(..line.len() - property.value().len()).unwrap_or_default());
        out.extend_from_slice(property.raw().end());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Limits;
    use super::super::tree::{parse, tests::fragments};
    use super::*;

    const OBJECT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VTIMEZONE\r\nTZID:A\r\nBEGIN:STANDARD\r\nX:1\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nSUMMARY;LANGUAGE=\r\n en:a\r\n b\r\nno colon\r\nBEGIN:VALARM\r\nTRIGGER:-PT1M\r\nACTION:DISPLAY\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    fn comp(
        name: &str,
        properties: &[(&str, bool)],
        components: Vec<SelectedComponent>,
    ) -> SelectedComponent {
        let property = |&(name, novalue): &(&str, bool)| SelectedProperty { name: name.to_owned(), novalue };
        SelectedComponent {
            name: name.to_owned(),
            properties: SelectedProperties::Some(properties.iter().map(property).collect()),
            components: SelectedComponents::Some(components),
        }
    }

    fn part(selected: &SelectedComponent) -> String {
        let calendar = parse(OBJECT.as_bytes(), &Limits::default()).unwrap();
        String::from_utf8(select(&calendar, selected)).unwrap()
    }

    fn framed(lines: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{lines}END:VCALENDAR\r\n")
    }

    /// CAL-34: RFC 4791 §7.8.1: a property without its value, a whole component, properties of one.
    #[test]
    fn components_and_properties() {
        let zone = "BEGIN:VTIMEZONE\r\nTZID:A\r\nBEGIN:STANDARD\r\nX:1\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
        let event = comp("VEVENT", &[("summary", true), ("UID", false)], Vec::new());
        assert_eq!(
            part(&comp(
                "vcalendar",
                &[("VERSION", false)],
                vec![event.clone(), comp("VTIMEZONE", &[], vec![])]
            )),
            framed(&format!("{zone}BEGIN:VEVENT\r\nUID:1\r\nSUMMARY;LANGUAGE=en:\r\nEND:VEVENT\r\n"))
        );
        assert_eq!(part(&event), framed("BEGIN:VEVENT\r\nUID:1\r\nSUMMARY;LANGUAGE=en:\r\nEND:VEVENT\r\n"));
        let twice = vec![
            event,
            comp("VEVENT", &[("SUMMARY", false)], vec![comp("VALARM", &[("TRIGGER", false)], vec![])]),
        ];
        assert_eq!(
            part(&comp("VCALENDAR", &[], twice)),
            framed(
                "BEGIN:VEVENT\r\nUID:1\r\nSUMMARY;LANGUAGE=\r\n en:a\r\n b\r\nBEGIN:VALARM\r\nTRIGGER:-PT1M\r\nEND:VALARM\r\nEND:VEVENT\r\n"
            )
        );
        assert_eq!(part(&comp("VCALENDAR", &[], vec![comp("VTODO", &[], vec![])])), framed(""));
    }

    /// CAL-34: allprop, allcomp.
    #[test]
    fn all_of_them() {
        let mut all = comp("VEVENT", &[], vec![comp("VALARM", &[("ACTION", false)], vec![])]);
        all.properties = SelectedProperties::All;
        let alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nEND:VALARM\r\n";
        let lines = "UID:1\r\nSUMMARY;LANGUAGE=\r\n en:a\r\n b\r\nno colon\r\n";
        assert_eq!(part(&all), framed(&format!("BEGIN:VEVENT\r\n{lines}{alarm}END:VEVENT\r\n")));
        let mut all = comp("VCALENDAR", &[("PRODID", false)], vec![]);
        all.components = SelectedComponents::All;
        assert_eq!(part(&all), OBJECT);
        assert_eq!(part(&comp("VCALENDAR", &[], vec![])), OBJECT);
    }

    proptest! {
        /// Everything is the octets; a part of a part is the part.
        #[test]
        fn everything_is_the_octets(octets in fragments(), property in "UID|X|DTSTART|SUMMARY", novalue: bool) {
            let Ok(calendar) = parse(&octets, &Limits::default()) else { return Ok(()) };
            let everything = SelectedComponent {
                name: "VCALENDAR".to_owned(),
                properties: SelectedProperties::All,
                components: SelectedComponents::All,
            };
            prop_assert_eq!(select(&calendar, &everything), calendar.octets);
            let some = comp("VCALENDAR", &[("PRODID", false)], vec![comp("VEVENT", &[(&property, novalue)], vec![comp("VALARM", &[], vec![])])]);
            let first = select(&calendar, &some);
            let again = parse(&first, &Limits::default());
            prop_assert!(again.is_ok());
            prop_assert_eq!(select(&again.unwrap(), &some), first.clone());
        }
    }
}
