//! Answers about resources: which properties are written for each, found ones first, and what is
//! said of those that are gone or that failed. RFC 4918 §13, §14.24; RFC 8144 §2.

use crate::domain::ical::zone::Zone;
use crate::domain::vcard::xml_safe;
use crate::service::view::{Detail, PropertyName};

use super::props::{
    AddressDataForm, Ask, CalendarForm, Node, Row, Shown, Timezones, Value, card_text, row, rows,
};
use super::refuse::Trouble;
use super::target::{Href, Kinds};
use super::xml::name::{CAL, CARD, DAV};
use super::xml::request::{Asked, Which};
use super::xml::write::{Tag, Writer};

/// The end of a propstat whose properties were found. The text is always this, whatever HTTP
/// version the answer travels in: Thunderbird compares it (DAV-14, B3 #40).
const FOUND: &str = "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>";
/// The end of a propstat whose properties were not.
const MISSING: &str = "</D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>";

/// The end of a propstat whose properties cannot be read: they may be there.
const FAILED: &str = "</D:prop><D:status>HTTP/1.1 500 Internal Server Error</D:status></D:propstat>";

/// What is written of each resource.
#[derive(Debug)]
pub struct Plan {
    which: Which,
    items: Vec<Item>,
    form: Option<AddressDataForm>,
    object_form: Option<CalendarForm>,
    minimal: bool,
}

/// What, beside what it names, decides in which form a report gives cards and objects.
pub struct Forms<'a> {
    /// The `User-Agent`.
    pub agent: &'a str,
    /// The request's time zone.
    pub zone: Option<Zone>,
    /// What becomes of VTIMEZONEs.
    pub timezones: Timezones,
}

#[derive(Debug)]
enum Item {
    Live(&'static Row),
    Written(PropertyName, Tag),
    AddressData,
    CalendarData,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.tag)
    }
}

impl Item {
    fn of(name: &PropertyName, report: bool) -> Self {
        match row(name) {
            Some(_) if report && name.local == "address-data" && name.namespace == CARD => Self::AddressData,
            Some(_) | None if report && name.local == "calendar-data" && name.namespace == CAL => {
                Self::CalendarData
            }
            Some(row) => Self::Live(row),
            None => Self::Written(name.clone(), Tag::of(name)),
        }
    }

    fn shown(&self) -> Shown<'_> {
        match self {
            Self::Live(row) => Shown::Constant(row.tag),
            Self::Written(_, tag) => Shown::Tag(tag),
            Self::AddressData => Shown::Constant("C:address-data"),
            Self::CalendarData => Shown::Constant("CAL:calendar-data"),
        }
    }

    /// Whether its value on that resource would be what a client wrote.
    fn is_written_on(&self, node: &Node<'_>) -> bool {
        match self {
            Self::Live(row) => row.is_written_on(node.kind()),
            Self::Written(..) => true,
            Self::AddressData | Self::CalendarData => false,
        }
    }
}

impl Plan {
    /// What a PROPFIND asks; a card is no property there.
    pub fn of_propfind(asked: &Asked, minimal: bool) -> Self {
        Self::new(asked, (None, None), minimal)
    }

    /// What a report asks, in the forms that this client is given cards and objects in.
    pub fn of_report(asked: &Asked, forms: Forms<'_>, minimal: bool) -> Result<Self, Trouble> {
        let Forms { agent, zone, timezones } = forms;
        let cards = asked.address_data.as_ref().map(|data| AddressDataForm::of(data, agent)).transpose()?;
        let objects = asked.calendar_data.as_ref().map(|data| CalendarForm::of(data, zone, timezones));
        Ok(Self::new(asked, (cards, objects.transpose()?), minimal))
    }

    fn new(
        asked: &Asked,
        (form, object_form): (Option<AddressDataForm>, Option<CalendarForm>),
        minimal: bool,
    ) -> Self {
        let report = form.is_some() || object_form.is_some();
        let etag = PropertyName { namespace: DAV.to_owned(), local: "getetag".to_owned() };
        let names = match asked.which {
            // A report that says nothing is told the ETags (SYNC-5).
            Which::Unsaid => std::slice::from_ref(&etag),
            _ => asked.names.as_slice(),
        };
        Self {
            which: match asked.which {
                Which::Unsaid => Which::These,
                which => which,
            },
            items: names.iter().map(|name| Item::of(name, report)).collect(),
            form,
            object_form,
            minimal,
        }
    }

    /// What must be read of each card.
    pub fn detail(&self) -> Detail {
        Detail {
            properties: self.which != Which::These
                || self.items.iter().any(|item| match item {
                    Item::Live(row) => row.writable != Kinds::NONE,
                    Item::Written(..) => true,
                    Item::AddressData | Item::CalendarData => false,
                }),
            body: self.form.is_some() || self.object_form.is_some(),
        }
    }

    /// Writes the response for one resource, under the href that the client used or else its own.
    pub fn respond(&self, node: &Node<'_>, echo: Option<&str>, ask: &Ask<'_>, out: &mut Writer) {
        // Of all that there is, nobody knows how much is missing.
        if node.unreadable() && matches!(self.which, Which::Names | Which::All) {
            return verdict(Some(node.href()), echo, Verdict::Damaged, ask, out);
        }
        let start = out.len();
        open(Some(node.href()), echo, ask, out);
        out.raw("<D:propstat><D:prop>");
        let props = out.len();
        let (mut missing, mut failed) = (Vec::new(), Vec::new());
        let written = match self.which {
            Which::Names => {
                self.names(node, ask, out);
                Ok(())
            }
            Which::All => {
                self.everything(node, ask, out);
                self.asked(node, ask, out, (&mut missing, &mut failed))
            }
            Which::These | Which::Unsaid => self.asked(node, ask, out, (&mut missing, &mut failed)),
        };
        if written.is_err() {
            out.truncate(start);
            open(Some(node.href()), echo, ask, out);
            out.raw(
                "<D:status>HTTP/1.1 415 Unsupported Media Type</D:status>\
                 <D:error><C:supported-address-data-conversion/></D:error></D:response>",
            );
            return;
        }
        // A response has at least one propstat (DAV-17), an empty one at need (PREF-1).
        let mut nothing = out.len() == props;
        if self.minimal {
            missing.clear();
        }
        if !nothing || (missing.is_empty() && failed.is_empty()) {
            out.raw(FOUND);
            nothing = false;
        }
        for (items, end) in [(missing, MISSING), (failed, FAILED)] {
            if items.is_empty() {
                continue;
            }
            if !nothing {
                out.raw("<D:propstat><D:prop>");
            }
            items.iter().for_each(|item| item.shown().empty(out));
            out.raw(end);
            nothing = false;
        }
        out.raw("</D:response>");
    }

    /// The properties that were named, those that are not there into `missing`, and those that cannot
    /// be read into `failed`. An error is a card that cannot be given in the form that the request
    /// insists on.
    fn asked<'p>(
        &'p self,
        node: &Node<'_>,
        ask: &Ask<'_>,
        out: &mut Writer,
        (missing, failed): (&mut Vec<&'p Item>, &mut Vec<&'p Item>),
    ) -> Result<(), crate::domain::convert::CannotConvert> {
        for item in &self.items {
            if node.unreadable() && item.is_written_on(node) {
                failed.push(item);
                continue;
            }
            let value = match item {
                Item::Live(row) => row.value(node, ask),
                Item::Written(name, _) => node.stored().iter().find(|p| p.name == *name).map(Value::Stored),
                Item::AddressData => match (node, &self.form) {
                    (Node::Object(_, card), Some(form)) if card.format.version().is_some() => {
                        let text = card_text(card, form, ask.conversions)?;
                        out.raw("<C:address-data>");
                        out.text(&xml_safe(&text));
                        out.raw("</C:address-data>");
                        continue;
                    }
                    _ => None,
                },
                Item::CalendarData => match (node, &self.object_form) {
                    (Node::Object(calendar, object), Some(form)) if object.format.version().is_none() => {
                        let text = form.text(calendar, object);
                        out.raw("<CAL:calendar-data>");
                        out.text(&xml_safe(&text));
                        out.raw("</CAL:calendar-data>");
                        continue;
                    }
                    _ => None,
                },
            };
            match value {
                Some(value) => value.write(&item.shown(), ask, out),
                None => missing.push(item),
            }
        }
        Ok(())
    }

    /// What `allprop` brings: the table's rows that say so, and what clients wrote (DAV-15).
    fn everything(&self, node: &Node<'_>, ask: &Ask<'_>, out: &mut Writer) {
        for row in rows().filter(|row| row.allprop && !self.includes_row(row)) {
            if let Some(value) = row.value(node, ask) {
                value.write(&Shown::Constant(row.tag), ask, out);
            }
        }
        for property in node.stored() {
            let ordinary = row(&property.name).is_none_or(|row| !row.kinds.hold(node.kind()) && !row.allprop);
            let included = self
                .items
                .iter()
                .any(|item| matches!(item, Item::Written(name, _) if *name == property.name));
            if ordinary && !included {
                out.property(property);
            }
        }
    }

    fn includes_row(&self, row: &Row) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Live(live) if live.tag == row.tag))
    }

    /// The names of everything that is there (DAV-16).
    fn names(&self, node: &Node<'_>, ask: &Ask<'_>, out: &mut Writer) {
        for row in rows().filter(|row| row.value(node, ask).is_some()) {
            Shown::Constant(row.tag).empty(out);
        }
        for property in node.stored() {
            if row(&property.name).is_none() {
                Tag::of(&property.name).empty(out);
            }
        }
    }
}

/// Opens a response: the href that the client used, or else the resource's own.
fn open(own: Option<Href<'_>>, echo: Option<&str>, ask: &Ask<'_>, out: &mut Writer) {
    out.raw("<D:response><D:href>");
    match (echo, own) {
        (Some(echo), _) => out.text(echo),
        (None, Some(own)) => {
            out.text(&ask.front.prefix);
            out.plain(own);
        }
        (None, None) => {}
    }
    out.raw("</D:href>");
}

/// What is said of a whole resource, without properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is not there, or went.
    Gone,
    /// It is there and cannot be read; no client takes that for a removal.
    Damaged,
    /// A collection that an infinite sync does not enter (SYNC-20).
    NotTraversed,
    /// The answer was cut short; said of the request's own resource (SYNC-17, CARD-49).
    Truncated,
}

/// Writes a response that has a status and no properties (DAV-17).
pub fn verdict(own: Option<Href<'_>>, echo: Option<&str>, verdict: Verdict, ask: &Ask<'_>, out: &mut Writer) {
    open(own, echo, ask, out);
    out.raw(match verdict {
        Verdict::Gone => "<D:status>HTTP/1.1 404 Not Found</D:status>",
        Verdict::Damaged => "<D:status>HTTP/1.1 500 Internal Server Error</D:status>",
        Verdict::NotTraversed => {
            "<D:status>HTTP/1.1 403 Forbidden</D:status>\
             <D:error><D:sync-traversal-supported/></D:error>"
        }
        Verdict::Truncated => {
            "<D:status>HTTP/1.1 507 Insufficient Storage</D:status>\
             <D:error><D:number-of-matches-within-limits/></D:error>"
        }
    });
    out.raw("</D:response>");
}

#[cfg(test)]
mod tests {
    use super::super::props::tests::{ask, caller, card, collection, front};
    use super::super::xml::name::Ns;
    use super::super::xml::read::{Element, parse};
    use super::super::xml::request::propfind;
    use crate::service::conversions::Conversions;

    use super::*;
    use crate::service::view::{Property, PropertyValue};

    fn answer(plan: &Plan, node: &Node<'_>) -> Element {
        let (caller, front) = (caller(), front());
        let conversions = Conversions::new(0);
        let ask = ask(&caller, &front, &conversions);
        let mut out = Writer::document("D:multistatus", 0);
        plan.respond(node, None, &ask, &mut out);
        out.raw("</D:multistatus>");
        let root = parse(&out.take()).unwrap();
        root.elements().next().unwrap().clone()
    }

    fn shape(response: &Element) -> Vec<(String, Vec<String>)> {
        response
            .elements()
            .filter(|e| e.is(&Ns::Dav, "propstat"))
            .map(|propstat| {
                let status = propstat.child(&Ns::Dav, "status").unwrap().text();
                let prop = propstat.child(&Ns::Dav, "prop").unwrap();
                let names = prop.elements().map(|e| e.local().to_owned()).collect();
                (status.into_owned(), names)
            })
            .collect()
    }

    fn plan(body: &str, minimal: bool) -> Plan {
        Plan::of_propfind(&propfind(body.as_bytes()).unwrap(), minimal)
    }

    #[test]
    fn found_properties_come_first_and_missing_ones_second() {
        let body = "<propfind xmlns='DAV:'><prop><nope/><getetag/><resourcetype/></prop></propfind>";
        let (book, card) = (collection(Some("b")), card());
        let response = answer(&plan(body, false), &Node::Object(&book, &card));
        assert_eq!(
            shape(&response),
            [
                ("HTTP/1.1 200 OK".into(), vec!["getetag".to_owned(), "resourcetype".into()]),
                ("HTTP/1.1 404 Not Found".into(), vec!["nope".to_owned()]),
            ]
        );
        let href = response.child(&Ns::Dav, "href").unwrap();
        assert_eq!(href.text(), "/dav/addressbooks/alice/b/jane%20doe.vcf");
        let minimal = answer(&plan(body, true), &Node::Object(&book, &card));
        assert_eq!(shape(&minimal).len(), 1);
    }

    #[test]
    fn a_response_always_has_a_propstat() {
        let body = "<propfind xmlns='DAV:'><prop><nope/></prop></propfind>";
        let none = "<propfind xmlns='DAV:'><prop/></propfind>";
        let node = Node::Homes(crate::domain::id::CollectionKind::AddressBook);
        let ok = || ("HTTP/1.1 200 OK".to_owned(), Vec::<String>::new());
        assert_eq!(shape(&answer(&plan(body, true), &node)), [ok()]);
        assert_eq!(shape(&answer(&plan(none, false), &node)), [ok()]);
        let missing = shape(&answer(&plan(body, false), &node));
        assert_eq!(missing, [("HTTP/1.1 404 Not Found".into(), vec!["nope".into()])]);
    }

    #[test]
    fn allprop_brings_what_clients_wrote_and_no_acl() {
        let mut book = collection(Some("b"));
        for (namespace, local) in [("DAV:", "displayname"), (CARD, "addressbook-description"), ("X", "dead")]
        {
            book.properties.push(Property {
                name: PropertyName { namespace: namespace.into(), local: local.into() },
                value: PropertyValue::Text { text: "t".into(), lang: None },
            });
        }
        let all = shape(&answer(&plan("", false), &Node::Collection(&book)));
        let [(_, names)] = all.as_slice() else {
            panic!("one propstat");
        };
        let mut names = names.clone();
        names.sort();
        assert_eq!(names, ["creationdate", "dead", "displayname", "resourcetype"]);
        let include =
            "<propfind xmlns='DAV:'><allprop/><include><resourcetype/><sync-token/><x/></include></propfind>";
        let response = shape(&answer(&plan(include, false), &Node::Collection(&book)));
        assert_eq!(response[0].1.iter().filter(|n| *n == "resourcetype").count(), 1);
        assert!(response[0].1.contains(&"sync-token".to_owned()));
        assert_eq!(response[1].1, ["x"]);
        let propname = "<propfind xmlns='DAV:'><propname/></propfind>";
        let names = shape(&answer(&plan(propname, false), &Node::Collection(&book)));
        assert!(names[0].1.contains(&"dead".to_owned()));
        assert!(names[0].1.contains(&"addressbook-description".to_owned()));
    }

    #[test]
    fn a_card_that_cannot_be_converted_fails_alone() {
        let mut card = card();
        let book = collection(Some("b"));
        let asked = |version: &str| {
            let xml = format!(
                "<m xmlns='{CARD}' xmlns:D='DAV:'><D:prop><D:getetag/><address-data version='{version}'/></D:prop><D:href>/x</D:href></m>"
            );
            let got = super::super::xml::request::multiget(&parse(xml.as_bytes()).unwrap());
            Plan::of_report(
                &got.unwrap().asked,
                Forms { agent: "", zone: None, timezones: Timezones::AsStored },
                false,
            )
            .unwrap()
        };
        let good = answer(&asked("3.0"), &Node::Object(&book, &card));
        let prop = good.child(&Ns::Dav, "propstat").unwrap().child(&Ns::Dav, "prop").unwrap();
        let data = prop.child(&Ns::Card, "address-data").unwrap();
        assert_eq!(data.text().as_bytes(), card.body.clone().unwrap());
        card.body = Some(bytes::Bytes::from_static(b"\xff"));
        card.format = crate::domain::format::Format::Card(crate::domain::vcard::Version::V4);
        let bad = answer(&asked("3.0"), &Node::Object(&book, &card));
        if let Some(status) = bad.child(&Ns::Dav, "status") {
            assert_eq!(status.text(), "HTTP/1.1 415 Unsupported Media Type");
            assert!(shape(&bad).is_empty());
        }
    }
}
