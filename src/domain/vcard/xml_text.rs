//! A card as the text of an XML element (CARD-54). Escaping is the XML writer's business, a CR as
//! `&#13;` included; here go only the characters that XML 1.0 cannot hold in any spelling.

use std::borrow::Cow;

use super::lines::BOM;

/// The card as text without the characters that XML 1.0 §2.2 excludes and without a byte order
/// mark, which belongs to a file and not to an element. Stored cards are UTF-8 (VC-1); one that is
/// not gets replacement characters.
pub fn xml_safe(card: &[u8]) -> Cow<'_, str> {
    let card = card.strip_prefix(BOM).unwrap_or(card);
    let text = std::str::from_utf8(card).map_or_else(|_| String::from_utf8_lossy(card), Cow::Borrowed);
    if !suspicious(text.as_bytes()) || text.chars().all(in_xml) {
        return text;
    }
    Cow::Owned(text.chars().filter(|&character| in_xml(character)).collect())
}

/// XML 1.0's `Char`; a Rust character is never a surrogate.
fn in_xml(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}

/// Whether the octets may hold such a character: a control, or 0xEF, with which U+FFFE and U+FFFF
/// begin. Without an early exit inside a block, so that the compiler makes it wide.
fn suspicious(octets: &[u8]) -> bool {
    let odd =
        |octet: u8| (octet < 0x20) & (octet != b'\t') & (octet != b'\n') & (octet != b'\r') | (octet == 0xEF);
    octets.chunks(256).any(|block| block.iter().fold(0, |found, &octet| found | u8::from(odd(octet))) != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_xml_cannot_hold_goes() {
        assert!(matches!(
            xml_safe("FN:Jörg\r\n\t\u{7f}\u{85}".as_bytes()),
            Cow::Borrowed("FN:Jörg\r\n\t\u{7f}\u{85}")
        ));
        assert_eq!(
            xml_safe("\u{feff}a\0b\u{1f}c\u{b}\u{c}d\u{fffe}\u{ffff}\u{fffd}\u{ff21}\u{10ffff}".as_bytes()),
            "abcd\u{fffd}\u{ff21}\u{10ffff}"
        );
        assert_eq!(xml_safe(b"a\xFFb"), "a\u{fffd}b");
        assert!(matches!(xml_safe("ａ".as_bytes()), Cow::Borrowed("ａ")));
    }

    proptest! {
        #[test]
        fn nothing_illegal_is_left(text: Vec<u8>) {
            prop_assert!(xml_safe(&text).chars().all(in_xml));
        }
    }
}
