//! `CALDAV:filter` (RFC 4791 §9.7): what a query asks of a calendar object, and whether an object
//! answers it (CAL-23 to CAL-26, CAL-32). Knows no XML; what overlaps what is `overlap`'s business.

use std::cell::OnceCell;

use super::Kind;
use super::instances::Object;
use super::overlap::{Range, component_overlaps, property_overlaps};
use super::tree::{Component, Prop};
use super::zone::Zones;
use crate::domain::collation::{Collation, Needle};

/// What is asked of an object: a condition on its VCALENDAR.
#[derive(Clone)]
pub struct Filter(pub ComponentFilter);

/// What is asked of components of one name (RFC 4791 §9.7.1).
#[derive(Clone)]
pub struct ComponentFilter {
    /// The component's name.
    pub name: String,
    /// What must be true of it.
    pub condition: ComponentCondition,
}

impl ComponentFilter {
    /// The range and the inner components that it asks for, where it asks for no properties.
    fn plain(&self) -> Option<(Option<Range>, &[Self])> {
        match &self.condition {
            ComponentCondition::Defined { range, properties, components } if properties.is_empty() => {
                Some((*range, components))
            }
            _ => None,
        }
    }
}

/// What must be true of a component (CAL-23).
#[derive(Clone)]
pub enum ComponentCondition {
    /// There is none.
    NotDefined,
    /// There is one for which all of this holds; nothing asked: there is one.
    Defined {
        /// It overlaps this range.
        range: Option<Range>,
        /// Conditions on its properties.
        properties: Vec<PropertyFilter>,
        /// Conditions on the components in it.
        components: Vec<ComponentFilter>,
    },
}

/// What is asked of properties of one name (RFC 4791 §9.7.2).
#[derive(Clone)]
pub struct PropertyFilter {
    /// The property's name.
    pub name: String,
    /// What must be true of it.
    pub condition: PropertyCondition,
}

/// What must be true of a property (CAL-24).
#[derive(Clone)]
pub enum PropertyCondition {
    /// There is none.
    NotDefined,
    /// There is one for which all of this holds; nothing asked: there is one.
    Defined {
        /// Its value is in this range (CAL-32).
        range: Option<Range>,
        /// Its value, unescaped, has this text.
        text: Option<TextMatch>,
        /// Conditions on its parameters.
        parameters: Vec<ParameterFilter>,
    },
}

/// What is asked of a parameter (RFC 4791 §9.7.3).
#[derive(Clone)]
pub struct ParameterFilter {
    /// The parameter's name.
    pub name: String,
    /// What must be true of it.
    pub condition: ParameterCondition,
}

/// What must be true of a parameter (CAL-25).
#[derive(Clone)]
pub enum ParameterCondition {
    /// The property has none of that name.
    NotDefined,
    /// The property has one.
    Defined,
    /// One of its values has this text.
    Matches(TextMatch),
}

/// A text that must be anywhere in a value, or nowhere in it (RFC 4791 §9.7.5).
#[derive(Clone)]
pub struct TextMatch {
    needle: Box<Needle>,
    negate: bool,
}

crate::hidden!(Filter, ComponentFilter, ComponentCondition, PropertyFilter, PropertyCondition);
crate::hidden!(ParameterFilter, ParameterCondition, TextMatch);

impl TextMatch {
    /// Looks for `text`; `i;ascii-casemap` where the query names no collation (CAL-21).
    pub fn new(text: &str, collation: Option<Collation>, negate: bool) -> Self {
        let collation = collation.unwrap_or(Collation::AsciiCasemap);
        Self { needle: Box::new(Needle::new(collation, text)), negate }
    }

    fn holds_for(&self, text: &str) -> bool {
        self.needle.is_in(text) != self.negate
    }
}

/// What an index can tell of a filter: only objects of this kind that have an instance or an alarm
/// where it says can answer it. What is not said does not narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope {
    /// The kind.
    pub kind: Option<Kind>,
    /// The range in which an instance must be.
    pub instances: Option<Range>,
    /// The range in which an alarm must be.
    pub alarms: Option<Range>,
}

impl Filter {
    /// Whether a VCALENDAR answers the filter. Times without a zone are read in that of `zones`
    /// (CAL-20); what cannot be told within bounds counts as an answer (CAL-42).
    pub fn matches(&self, calendar: &Component<'_>, zones: &Zones) -> bool {
        let query = Query { calendar, zones, object: OnceCell::new() };
        match (&self.0.condition, calendar.is(&self.0.name)) {
            (ComponentCondition::NotDefined, is) => !is,
            (condition, is) => is && query.component(calendar, &[], condition),
        }
    }

    /// Whether every object of the scope's kind answers it, and no other.
    pub fn is_kind_only(&self) -> bool {
        match self.plain() {
            Some([]) => true,
            Some([one]) => Kind::parse(&one.name).is_some() && matches!(one.plain(), Some((None, []))),
            _ => false,
        }
    }

    /// The range, where those objects of a kind answer it that have an instance in the range, and no
    /// others.
    pub fn is_range_only(&self, kind: Kind) -> Option<Range> {
        match self.plain()? {
            [one] if Kind::parse(&one.name) == Some(kind) => {
                one.plain().filter(|(_, inner)| inner.is_empty())?.0
            }
            _ => None,
        }
    }

    /// What is asked of the components in the VCALENDAR, where nothing is asked of itself.
    fn plain(&self) -> Option<&[ComponentFilter]> {
        let (range, components) = self.0.plain().filter(|_| self.0.name.eq_ignore_ascii_case("VCALENDAR"))?;
        range.is_none().then_some(components)
    }

    /// What an index can tell.
    pub fn scope(&self) -> Scope {
        let ComponentCondition::Defined { components, .. } = &self.0.condition else {
            return Scope::default();
        };
        let scopes = components.iter().filter_map(|filter| {
            let ComponentCondition::Defined { range, components, .. } = &filter.condition else {
                return None;
            };
            let alarms = components.iter().find_map(|inner| match &inner.condition {
                ComponentCondition::Defined { range, .. } if inner.name.eq_ignore_ascii_case("VALARM") => {
                    *range
                }
                _ => None,
            });
            Some(Scope { kind: Some(Kind::parse(&filter.name)?), instances: *range, alarms })
        });
        scopes.max_by_key(|scope| (scope.instances.is_some(), scope.alarms.is_some())).unwrap_or_default()
    }
}

/// An object that is asked.
struct Query<'q, 'a> {
    calendar: &'q Component<'a>,
    zones: &'q Zones,
    /// Its instances, where a range asks for them.
    object: OnceCell<Object<'q, 'a>>,
}

impl<'q, 'a> Query<'q, 'a> {
    fn object(&self) -> &Object<'q, 'a> {
        self.object.get_or_init(|| Object::new(self.calendar, self.zones))
    }

    /// CAL-23: one component for which everything holds at once. `parents` are those between it
    /// and the VCALENDAR.
    fn component(
        &self,
        component: &'q Component<'a>,
        parents: &[&'q Component<'a>],
        condition: &ComponentCondition,
    ) -> bool {
        let ComponentCondition::Defined { range, properties, components } = condition else { return false };
        let in_range = |range: &Range| component_overlaps(self.object(), component, parents, range);
        // Texts are compared sooner than instances are counted.
        properties.iter().all(|filter| self.property(component, filter))
            && range.as_ref().is_none_or(in_range)
            && components.iter().all(|filter| self.inner(component, parents, filter))
    }

    /// A condition on the components in this one.
    fn inner(
        &self,
        component: &'q Component<'a>,
        parents: &[&'q Component<'a>],
        filter: &ComponentFilter,
    ) -> bool {
        let mut inner = component.children.iter().filter(|child| child.is(&filter.name)).peekable();
        if matches!(filter.condition, ComponentCondition::NotDefined) {
            return inner.peek().is_none();
        }
        let itself = (!std::ptr::eq(component, self.calendar)).then_some(component);
        let parents: Vec<&'q Component<'a>> = parents.iter().copied().chain(itself).collect();
        inner.any(|inner| self.component(inner, &parents, &filter.condition))
    }

    /// CAL-24: one property whose text and parameters hold at once. A range asks for the dates that
    /// the component has by that name, in any of its instances.
    fn property(&self, component: &'q Component<'a>, filter: &PropertyFilter) -> bool {
        let mut named = component.all(&filter.name);
        match &filter.condition {
            PropertyCondition::NotDefined => named.next().is_none(),
            PropertyCondition::Defined { range, text, parameters } => {
                let plain = range.is_some() && text.is_none() && parameters.is_empty();
                let holds = |property: &Prop<'_>| {
                    text.as_ref().is_none_or(|text| text.holds_for(&property.text()))
                        && parameters.iter().all(|filter| parameter(property, filter))
                };
                let in_range =
                    |range: &Range| property_overlaps(self.object(), component, &filter.name, range);
                (plain || named.any(holds)) && range.as_ref().is_none_or(in_range)
            }
        }
    }
}

/// CAL-25: every value of the parameter counts; negated, one that lacks the text is enough, as
/// with properties.
fn parameter(property: &Prop<'_>, filter: &ParameterFilter) -> bool {
    let parameters = property.all_parameters();
    let mut named = parameters.iter().filter(|parameter| parameter.is(&filter.name)).peekable();
    match &filter.condition {
        ParameterCondition::NotDefined => named.peek().is_none(),
        ParameterCondition::Defined => named.peek().is_some(),
        ParameterCondition::Matches(text) => {
            named.flat_map(|parameter| parameter.values()).any(|value| text.holds_for(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Limits;
    use super::super::tree::{parse, tests::fragments};
    use super::super::zone::Zone;
    use super::*;

    const OBJECT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Jour fixe\\, Z\u{fc}rich\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260105T090000Z\r\nDTEND:20260105T100000Z\r\n\
        RRULE:FREQ=WEEKLY;COUNT=4\r\nATTENDEE;CN=\"Jane: D\";PARTSTAT=ACCEPTED:mailto:jane@a.example\r\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@a.example\r\n\
        BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Moved\r\nRECURRENCE-ID:20260112T090000Z\r\nDTSTART:20260220T090000Z\r\nDTEND:20260220T100000Z\r\nEND:VEVENT\r\n\
        END:VCALENDAR\r\n";

    fn range(from: &str, to: &str) -> Option<Range> {
        Some(Range { start: from.parse().ok(), end: to.parse().ok() })
    }

    fn comp(
        name: &str,
        range: Option<Range>,
        properties: Vec<PropertyFilter>,
        components: Vec<ComponentFilter>,
    ) -> ComponentFilter {
        ComponentFilter {
            name: name.to_owned(),
            condition: ComponentCondition::Defined { range, properties, components },
        }
    }

    fn no_comp(name: &str) -> ComponentFilter {
        ComponentFilter { name: name.to_owned(), condition: ComponentCondition::NotDefined }
    }

    fn prop(name: &str, text: Option<TextMatch>, parameters: Vec<ParameterFilter>) -> PropertyFilter {
        PropertyFilter {
            name: name.to_owned(),
            condition: PropertyCondition::Defined { range: None, text, parameters },
        }
    }

    fn param(name: &str, condition: ParameterCondition) -> ParameterFilter {
        ParameterFilter { name: name.to_owned(), condition }
    }

    fn text(text: &str) -> TextMatch {
        TextMatch::new(text, None, false)
    }

    fn not(text: &str) -> TextMatch {
        TextMatch::new(text, None, true)
    }

    fn asked(components: Vec<ComponentFilter>) -> bool {
        let calendar = parse(OBJECT.as_bytes(), &Limits::default()).unwrap();
        Filter(comp("vcalendar", None, vec![], components)).matches(&calendar, &Zones::new(Zone::UTC))
    }

    fn event(range: Option<Range>, properties: Vec<PropertyFilter>) -> bool {
        asked(vec![comp("VEVENT", range, properties, vec![])])
    }

    /// CAL-23.
    #[test]
    fn components() {
        assert!(asked(vec![]) && asked(vec![comp("vevent", None, vec![], vec![])]));
        assert!(!asked(vec![comp("VTODO", None, vec![], vec![])]) && asked(vec![no_comp("VTODO")]));
        assert!(!asked(vec![no_comp("VEVENT")]));
        assert!(!asked(vec![comp("VEVENT", None, vec![], vec![]), comp("VTODO", None, vec![], vec![])]));
        let alarm =
            |range| asked(vec![comp("VEVENT", None, vec![], vec![comp("VALARM", range, vec![], vec![])])]);
        assert!(alarm(None));
        assert!(alarm(range("2026-01-19T08:40:00Z", "2026-01-19T08:50:00Z")));
        assert!(!alarm(range("2026-01-19T08:50:00Z", "2026-01-19T09:50:00Z")));
        // The override has no alarm.
        assert!(asked(vec![comp("VEVENT", None, vec![], vec![no_comp("VALARM")])]));
        let calendar = parse(OBJECT.as_bytes(), &Limits::default()).unwrap();
        for (filter, answer) in
            [(no_comp("VCALENDAR"), false), (no_comp("X"), true), (comp("X", None, vec![], vec![]), false)]
        {
            assert_eq!(Filter(filter).matches(&calendar, &Zones::new(Zone::UTC)), answer);
        }
    }

    /// CAL-24, CAL-21, CAL-25.
    #[test]
    fn texts() {
        assert!(event(None, vec![prop("summary", Some(text("jour FIXE, z")), vec![])]));
        assert!(!event(None, vec![prop("SUMMARY", Some(text("Z\u{dc}RICH")), vec![])]));
        let unicode = TextMatch::new("Z\u{dc}RICH", Some(Collation::UnicodeCasemap), false);
        assert!(event(None, vec![prop("SUMMARY", Some(unicode), vec![])]));
        let octet = TextMatch::new("jour", Some(Collation::Octet), false);
        assert!(!event(None, vec![prop("SUMMARY", Some(octet), vec![])]));
        assert!(event(None, vec![prop("SUMMARY", Some(not("moved")), vec![])]));
        assert!(!event(None, vec![prop("UID", Some(not("1")), vec![])]));
        assert!(
            event(None, vec![prop("DTSTAMP", None, vec![])])
                && !event(None, vec![prop("LOCATION", None, vec![])])
        );
        let missing =
            |name: &str| PropertyFilter { name: name.to_owned(), condition: PropertyCondition::NotDefined };
        assert!(event(None, vec![missing("LOCATION")]) && !event(None, vec![missing("UID")]));
        // One component must answer everything at once.
        let both = vec![prop("SUMMARY", Some(text("Moved")), vec![]), prop("RRULE", None, vec![])];
        assert!(!event(None, both));
    }

    /// CAL-25: RFC 4791 §7.8.7: everything must hold for one and the same property.
    #[test]
    fn parameters() {
        let attendee = |who: &str, parameters: Vec<ParameterFilter>| {
            event(None, vec![prop("ATTENDEE", Some(text(who)), parameters)])
        };
        let status = |status: &str| vec![param("partstat", ParameterCondition::Matches(text(status)))];
        assert!(attendee("mailto:bob", status("NEEDS")) && !attendee("mailto:bob", status("ACCEPTED")));
        assert!(attendee("jane", vec![param("CN", ParameterCondition::Matches(text("jane: d")))]));
        assert!(attendee("jane", vec![param("CN", ParameterCondition::Defined)]));
        assert!(attendee("bob", vec![param("CN", ParameterCondition::NotDefined)]));
        assert!(!attendee("bob", vec![param("CN", ParameterCondition::Matches(not("x")))]));
        assert!(attendee("jane", vec![param("CN", ParameterCondition::Matches(not("x")))]));
    }

    /// CAL-33, CAL-32: the range and the rest hold for one component.
    #[test]
    fn ranges() {
        assert!(event(range("2026-01-19T00:00:00Z", "2026-01-20T00:00:00Z"), vec![]));
        assert!(!event(range("2026-01-12T00:00:00Z", "2026-01-13T00:00:00Z"), vec![]));
        let february = range("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
        assert!(event(february, vec![]));
        assert!(!event(february, vec![prop("RRULE", None, vec![])]));
        assert!(event(february, vec![prop("SUMMARY", Some(text("moved")), vec![])]));
        let stamped = |range: Option<Range>, text: Option<TextMatch>| {
            let condition = PropertyCondition::Defined { range, text, parameters: vec![] };
            event(None, vec![PropertyFilter { name: "DTSTAMP".to_owned(), condition }])
        };
        assert!(stamped(range("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"), None));
        assert!(!stamped(range("2026-01-01T00:00:01Z", "2026-01-02T00:00:01Z"), None));
        assert!(!stamped(range("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"), Some(text("x"))));
    }

    #[test]
    fn what_an_index_can_tell() {
        let february = range("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
        let scope = |components| Filter(comp("VCALENDAR", None, vec![], components)).scope();
        assert_eq!(scope(vec![]), Scope::default());
        assert_eq!(scope(vec![no_comp("VEVENT")]), Scope::default());
        let alarm = comp("VALARM", february, vec![], vec![]);
        assert_eq!(scope(vec![comp("vevent", None, vec![], vec![])]).kind, Some(Kind::Event));
        let todo = scope(vec![comp("VTODO", february, vec![], vec![])]);
        assert_eq!((todo.kind, todo.instances, todo.alarms), (Some(Kind::Todo), february, None));
        let alarmed = scope(vec![comp("VEVENT", None, vec![], vec![alarm])]);
        assert_eq!((alarmed.kind, alarmed.instances, alarmed.alarms), (Some(Kind::Event), None, february));
    }

    #[test]
    fn what_asks_for_a_kind_or_a_range_only() {
        let asks = |components| {
            let filter = Filter(comp("vcalendar", None, vec![], components));
            (filter.is_kind_only(), filter.is_range_only(Kind::Event))
        };
        let february = range("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
        let event = |range, properties, inner| comp("vevent", range, properties, inner);
        assert_eq!(asks(vec![]), (true, None));
        assert_eq!(asks(vec![event(None, vec![], vec![])]), (true, None));
        assert_eq!(asks(vec![event(february, vec![], vec![])]), (false, february));
        assert_eq!(asks(vec![comp("VTODO", february, vec![], vec![])]), (false, None));
        assert_eq!(asks(vec![event(february, vec![prop("UID", None, vec![])], vec![])]), (false, None));
        assert_eq!(asks(vec![event(february, vec![], vec![no_comp("VALARM")])]), (false, None));
        assert_eq!(asks(vec![event(february, vec![], vec![]), no_comp("VTODO")]), (false, None));
        assert_eq!(asks(vec![no_comp("VEVENT")]), (false, None));
        let other = comp("X", None, vec![], vec![event(february, vec![], vec![])]);
        assert_eq!(Filter(other).is_range_only(Kind::Event), None);
        let ranged = comp("VCALENDAR", february, vec![], vec![event(None, vec![], vec![])]);
        assert!(!Filter(ranged).is_kind_only());
    }

    proptest! {
        /// Any object answers or does not; a condition and its opposite never both.
        #[test]
        fn any_object_is_asked(octets in fragments(), name in "VEVENT|VTODO|VALARM|X", property in "UID|DTSTART|ATTENDEE", start in -100_i64..100_000_000_000) {
            let Ok(calendar) = parse(&octets, &Limits::default()) else { return Ok(()) };
            let zones = Zones::new(Zone::UTC);
            let ask = |component| Filter(comp("VCALENDAR", None, vec![], vec![component])).matches(&calendar, &zones);
            prop_assert_ne!(ask(comp(&name, None, vec![], vec![])), ask(no_comp(&name)));
            let start = jiff::Timestamp::from_second(start).ok();
            let in_range = ask(comp(&name, Some(Range { start, end: None }), vec![prop(&property, None, vec![])], vec![]));
            prop_assert!(!in_range || ask(comp(&name, None, vec![prop(&property, None, vec![])], vec![])));
        }
    }
}
