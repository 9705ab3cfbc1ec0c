//! Whether a card is a person's, a company's or a group's.

use crate::domain::vcard::lines::{LineView, lines};

use super::Kind;

impl Kind {
    /// What the card says of itself: KIND (RFC 6350 §6.1.4), Apple's `X-ADDRESSBOOKSERVER-KIND` for
    /// groups and `X-ABShowAs` for companies. Whatever else it says is a person's.
    pub fn of(card: &[u8]) -> Self {
        let mut kind = Self::Individual;
        for line in lines(card) {
            let Some(view) = LineView::split(&line) else { continue };
            let value = view.value.trim_ascii();
            if view.is("KIND") || view.is("X-ADDRESSBOOKSERVER-KIND") {
                if value.eq_ignore_ascii_case(b"group") {
                    return Self::Group;
                }
                if value.eq_ignore_ascii_case(b"org") {
                    kind = Self::Org;
                }
            } else if view.is("X-ABSHOWAS") && value.eq_ignore_ascii_case(b"company") {
                kind = Self::Org;
            }
        }
        kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companies_and_groups_are_told_in_several_ways() {
        let kind = |line: &str| Kind::of(format!("BEGIN:VCARD\r\nFN:x\r\n{line}\r\nEND:VCARD").as_bytes());
        assert_eq!(kind("KIND:org"), Kind::Org);
        assert_eq!(kind("X-ADDRESSBOOKSERVER-KIND:Group"), Kind::Group);
        assert_eq!(kind("X-ABShowAs:COMPANY"), Kind::Org);
        assert_eq!((kind("KIND:individual"), kind("NOTE:KIND:org")), (Kind::Individual, Kind::Individual));
    }
}
