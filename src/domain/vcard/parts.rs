//! Which lines are the card's own: its frame, its properties, and the cards nested in it (the
//! AGENT of vCard 2.1, kept by tolerant 3.0 writers). Knows the names BEGIN, END and AGENT only.

use super::lines::{LineView, RawLine, RawLines, raw_lines};

/// A folded frame line is short; a longer line is not unfolded only to see that it is none.
const LONGEST_FRAME: usize = 128;

/// Every line of the text with the place it has.
pub fn parts(card: &[u8]) -> Parts<'_> {
    Parts { lines: raw_lines(card), depth: 0 }
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before BEGIN or after END.
    Outside,
    /// The card's BEGIN:VCARD.
    Begin,
    /// A content line of the card itself.
    Own,
    /// Inside a nested card, whose BEGIN and END count as inside.
    Nested,
    /// The card's END:VCARD.
    End,
}

/// The iterator of [`parts`].
#[derive(Clone)]
pub struct Parts<'a> {
    lines: RawLines<'a>,
    depth: usize,
}

impl<'a> Parts<'a> {
    /// The octets after the lines given so far.
    pub fn rest(&self) -> &'a [u8] {
        self.lines.rest()
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (Place, RawLine<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        let before = self.depth;
        let mark = mark(&line);
        match mark {
            Some(Mark::Begin) => self.depth += 1,
            Some(Mark::Agent) if before > 0 => self.depth += 1,
            Some(Mark::End) => self.depth = before.saturating_sub(1),
            _ => {}
        }
        let place = match (before, mark) {
            (0, Some(Mark::Begin)) => Place::Begin,
            (0, _) => Place::Outside,
            (1, Some(Mark::End)) => Place::End,
            (1, Some(Mark::Begin)) => Place::Nested,
            (1, _) => Place::Own,
            _ => Place::Nested,
        };
        Some((place, line))
    }
}

/// What opens or closes a card.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Begin,
    End,
    /// `AGENT:BEGIN:VCARD`, which opens a card on the property's own line.
    Agent,
}

fn mark(line: &RawLine<'_>) -> Option<Mark> {
    // Most lines are settled by their first letters, unless a fold stands among them.
    let first = line.octets().first_chunk::<3>()?.map(|octet| octet.to_ascii_uppercase());
    let folded = first.iter().any(|octet| matches!(octet, b'\r' | b'\n'));
    if !(folded || matches!(&first, b"BEG" | b"END" | b"AGE")) || line.raw_len() > LONGEST_FRAME {
        return None;
    }
    let text = line.unfold();
    let starts =
        |name: &str| text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()));
    if !(starts("BEGIN") || starts("END") || starts("AGENT")) {
        return None;
    }
    let view = LineView::split(&text)?;
    let value = view.value.trim_ascii();
    if view.is("AGENT") && value.eq_ignore_ascii_case(b"BEGIN:VCARD") {
        return Some(Mark::Agent);
    }
    match value.eq_ignore_ascii_case(b"VCARD") {
        true if view.is("BEGIN") => Some(Mark::Begin),
        true if view.is("END") => Some(Mark::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(card: &str) -> Vec<Place> {
        parts(card.as_bytes()).map(|(place, _)| place).collect()
    }

    #[test]
    fn nested_cards_belong_to_the_card_around_them() {
        use Place::*;
        assert_eq!(
            places(
                "x\nBEGIN:VCARD\nFN:a\nAGENT:\nBEGIN:VCARD\nFN:b\nEND:VCARD\nTEL:1\nEND:VCARD\ny\nBEGIN:VCARD"
            ),
            [Outside, Begin, Own, Own, Nested, Nested, Nested, Own, End, Outside, Begin]
        );
        assert_eq!(
            places("begin:vcard \nAGENT:BEGIN:VCARD\nFN:b\nEND:VCARD\nFN:a\nend:VC\r\n ARD\t"),
            [Begin, Own, Nested, Nested, Own, End]
        );
        assert_eq!(places("BEGIN:VCALENDAR\nEND:VCARD\nAGENT:BEGIN:VCARD\nEMAIL:x"), [Outside; 4]);
    }
}
