//! Octets that are not UTF-8 made UTF-8 (VC-1), as little of the card changed as possible.
//! Knows lines, not properties.

use encoding_rs::WINDOWS_1252;
use memchr::memchr2;

use super::lines::raw_lines;

/// The text in UTF-8, or `None` when it is UTF-8 already. A character that a fold splits is moved
/// before the fold (RFC 6350 §3.2 keeps characters whole; older writers did not); every octet that
/// still belongs to no UTF-8 sequence is read as Windows-1252. Lines that are UTF-8 stay as they are.
pub(in crate::domain) fn repair(text: &[u8]) -> Option<Vec<u8>> {
    if std::str::from_utf8(text).is_ok() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut done = 0;
    let mut lines = raw_lines(text);
    while let Some(line) = lines.next() {
        let end = text.len() - lines.rest().len();
        // What the line iterator passes over: the byte order mark and empty lines.
        out.extend_from_slice(text.get(done..end - line.octets().len()).unwrap_or_default());
        done = end;
        match std::str::from_utf8(line.octets()) {
            Ok(_) => out.extend_from_slice(line.octets()),
            Err(_) => decode(&fold_between_characters(line.octets()), &mut out),
        }
    }
    out.extend_from_slice(text.get(done..).unwrap_or_default());
    Some(out)
}

/// Moves UTF-8 continuation octets that open a continuation line to the line before.
fn fold_between_characters(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        let end = if rest.get(at..at + 2) == Some(b"\r\n") { 2 } else { 1 };
        let (before, fold_on) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        let fold = fold_on.get(..(end + 1).min(fold_on.len())).unwrap_or_default();
        let after = fold_on.get(fold.len()..).unwrap_or_default();
        let torn = after.iter().take(3).take_while(|octet| matches!(octet, 0x80..=0xBF)).count();
        let (torn, after) = after.split_at_checked(torn).unwrap_or((&[], after));
        out.extend_from_slice(torn);
        out.extend_from_slice(fold);
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// UTF-8 as it is, the rest as Windows-1252.
fn decode(octets: &[u8], out: &mut Vec<u8>) {
    for chunk in octets.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        let (text, _) = WINDOWS_1252.decode_without_bom_handling(chunk.invalid());
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repaired(text: &[u8]) -> String {
        String::from_utf8(repair(text).unwrap()).unwrap()
    }

    #[test]
    fn windows_1252_is_read_octet_by_octet() {
        assert_eq!(repair("FN:Jörg\r\n".as_bytes()), None);
        assert_eq!(repaired(b"FN:J\xF6rg \x80\r\nNOTE:\xC3\xB6\r\n\r\n"), "FN:Jörg €\r\nNOTE:ö\r\n\r\n");
        // A client that cuts a long note inside a character does not spoil the rest of it.
        assert_eq!(repaired(b"\n\nNOTE:\xC3\xB6\xC3\n"), "\n\nNOTE:öÃ\n");
    }

    #[test]
    fn a_fold_inside_a_character_moves_behind_it() {
        assert_eq!(repaired(b"FN:J\xC3\r\n \xB6rg\r\nX:\xE2\x82\n\t\xAC"), "FN:Jö\r\n rg\r\nX:€\n\t");
    }

    proptest! {
        #[test]
        fn repairs_anything_once(text in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\r\n a\xC3\xB6".to_vec())], 0..120)) {
            if let Some(out) = repair(&text) {
                prop_assert!(std::str::from_utf8(&out).is_ok());
                prop_assert!(repair(&out).is_none());
            }
        }
    }
}
