//! Partial address data (RFC 6352 §10.4, CARD-29, CARD-30): some properties of a card, their
//! octets unchanged. Must not know what a property means.

use super::lines::{LineView, RawLine};
use super::parts::{Place, parts};

/// What a report takes out of a card.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The whole card; `properties` says nothing then.
    pub all: bool,
    /// The properties asked for.
    pub properties: Vec<SelectedProperty>,
}

/// One property that is asked for (RFC 6352 §10.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedProperty {
    /// Its name, with `GROUP.` in front where only that group is meant.
    pub name: String,
    /// Group, name and parameters only, no value.
    pub novalue: bool,
}

/// The selected part of `card`: its frame, its VERSION and the chosen properties in the card's
/// order, with the card's folds and line ends. A name without group chooses grouped properties too.
pub fn select(card: &[u8], selection: &Selection) -> Vec<u8> {
    if selection.all {
        return card.to_vec();
    }
    let wanted: Vec<Wanted<'_>> = selection.properties.iter().map(Wanted::new).collect();
    let mut out = Vec::with_capacity(card.len().min(4096));
    // A nested card goes where its AGENT goes.
    let mut nested = false;
    for (place, line) in parts(card) {
        match place {
            Place::Begin | Place::End => out.extend_from_slice(line.octets()),
            Place::Own => nested = take(&line, &wanted, &mut out),
            Place::Nested if nested => out.extend_from_slice(line.octets()),
            Place::Nested | Place::Outside => {}
        }
    }
    out
}

/// A selected name, taken apart once.
struct Wanted<'a> {
    group: Option<&'a [u8]>,
    name: &'a [u8],
    novalue: bool,
}

impl<'a> Wanted<'a> {
    fn new(property: &'a SelectedProperty) -> Self {
        let (group, name) = match property.name.rsplit_once('.') {
            Some((group, name)) => (Some(group.as_bytes()), name),
            None => (None, property.name.as_str()),
        };
        Self { group, name: name.as_bytes(), novalue: property.novalue }
    }

    fn is(&self, group: Option<&[u8]>, name: &[u8]) -> bool {
        let same_group = || match (self.group, group) {
            (None, _) => true,
            (Some(wanted), Some(group)) => wanted.eq_ignore_ascii_case(group),
            (Some(_), None) => false,
        };
        self.name.eq_ignore_ascii_case(name) && same_group()
    }
}

/// Takes the line when it is chosen; true when it is taken whole.
fn take(line: &RawLine<'_>, wanted: &[Wanted<'_>], out: &mut Vec<u8>) -> bool {
    let unfolded;
    let head = match line.head() {
        Some(head) => head,
        None => {
            unfolded = line.unfold();
            match LineView::split(&unfolded) {
                Some(view) => (view.group, view.name),
                None => return false,
            }
        }
    };
    let whole = head.1.eq_ignore_ascii_case(b"VERSION")
        || wanted.iter().any(|property| !property.novalue && property.is(head.0, head.1));
    if whole {
        out.extend_from_slice(line.octets());
    } else if wanted.iter().any(|property| property.novalue && property.is(head.0, head.1)) {
        let text = line.unfold();
        if let Some(view) = LineView::split(&text) {
            out.extend_from_slice(text.get(..text.len() - view.value.len()).unwrap_or_default());
            out.extend_from_slice(line.end());
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::admit::fragments;
    use super::*;

    const CARD: &str = "\u{feff}BEGIN:VCARD\r\nUID:1\r\nversion:3.0\r\nFN:Ja\r\n ne\r\nTEL:1\r\nitem1.TEL;TYPE=\r\n home:2\r\n\
                        item2.tel:3\r\nPHOTO:AAAA\r\nAGENT:\r\nBEGIN:VCARD\r\nTEL:4\r\nEND:VCARD\r\nno colon\r\nEND:VCARD\r\n \r\n";

    fn some(names: &[(&str, bool)]) -> String {
        let properties = names
            .iter()
            .map(|&(name, novalue)| SelectedProperty { name: name.to_owned(), novalue })
            .collect();
        let card = select(CARD.as_bytes(), &Selection { all: false, properties });
        String::from_utf8(card).unwrap()
    }

    fn framed(lines: &str) -> String {
        format!("BEGIN:VCARD\r\n{lines}END:VCARD\r\n \r\n")
    }

    /// CARD-29: VERSION always, UID only when asked, octets as they are.
    #[test]
    fn chosen_properties_in_the_cards_order() {
        assert_eq!(some(&[]), framed("version:3.0\r\n"));
        assert_eq!(
            some(&[("fn", false), ("UID", false)]),
            framed("UID:1\r\nversion:3.0\r\nFN:Ja\r\n ne\r\n")
        );
    }

    /// CARD-30, RFC 6352 §10.4.2.
    #[test]
    fn groups_and_novalue() {
        let home = "item1.TEL;TYPE=\r\n home:2\r\n";
        assert_eq!(
            some(&[("TEL", false)]),
            framed(&format!("version:3.0\r\nTEL:1\r\n{home}item2.tel:3\r\n"))
        );
        assert_eq!(some(&[("ITEM1.tel", false)]), framed(&format!("version:3.0\r\n{home}")));
        assert_eq!(some(&[("item1.TEL", true)]), framed("version:3.0\r\nitem1.TEL;TYPE=home:\r\n"));
        assert_eq!(
            some(&[("item1.TEL", true), ("item1.tel", false), ("PHOTO", true)]),
            framed(&format!("version:3.0\r\n{home}PHOTO:\r\n"))
        );
    }

    #[test]
    fn a_nested_card_goes_with_its_agent() {
        assert_eq!(
            some(&[("AGENT", false)]),
            framed("version:3.0\r\nAGENT:\r\nBEGIN:VCARD\r\nTEL:4\r\nEND:VCARD\r\n")
        );
    }

    proptest! {
        #[test]
        fn everything_is_the_card_and_nothing_panics(card in fragments(), name in "(item1\\.)?(EMAIL|UID|X)", novalue: bool) {
            let all = Selection { all: true, properties: Vec::new() };
            prop_assert_eq!(select(&card, &all), card.clone());
            let one = Selection { all: false, properties: vec![SelectedProperty { name, novalue }] };
            let first = select(&card, &one);
            prop_assert_eq!(select(&first, &one), first.clone());
        }
    }
}
