//! Who may see a card or a calendar object beside its owner, by its own `CLASS` (RFC 2426 §3.7.1, RFC 5545
//! §3.8.1.3). Both are content lines, so one reading does for both.

use super::vcard::lines::{LineView, raw_lines};

/// Whether everybody may see it: no part of it has a class but PUBLIC. A class that is not known counts
/// as PRIVATE (RFC 5545 §3.8.1.3).
pub fn is_public(octets: &[u8]) -> bool {
    raw_lines(octets).all(|raw| {
        let line = raw.unfold();
        let class = LineView::split(&line).filter(|line| line.is("CLASS"));
        class.is_none_or(|class| class.value.trim_ascii().eq_ignore_ascii_case(b"PUBLIC"))
    })
}

#[cfg(test)]
mod tests {
    use super::is_public;

    #[test]
    fn whatever_is_not_public_is_private() {
        for (line, public) in [
            ("SUMMARY:CLASS:PRIVATE", true),
            ("CLASS:PUBLIC", true),
            ("class;X-A=1: public ", true),
            ("CLASS:PRIVATE", false),
            ("item1.CLASS:CONFIDENTIAL", false),
            ("CLA\r\n SS:PRIV\r\n ATE", false),
            ("CLASS:X-TEAM", false),
            ("CLASS:", false),
        ] {
            let object = format!("BEGIN:VEVENT\r\nUID:a\r\n{line}\r\nEND:VEVENT\r\n");
            assert_eq!(is_public(object.as_bytes()), public, "{line}");
        }
        assert!(is_public(b"\xff\x00"));
    }
}
