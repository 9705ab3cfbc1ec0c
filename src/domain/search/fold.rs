//! Text without case and accents. Folding goes character by character, and by way of
//! `i;unicode-casemap`; therefore, in every collation, where one text is found in another, its
//! folded form is found in the other's.

use unicode_normalization::char::canonical_combining_class;

use crate::domain::collation::casemap;

/// The folded text.
pub fn fold(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    fold_into(text, usize::MAX, &mut out);
    out
}

/// Appends the folded text, as long as what is appended stays within `most` octets; false where it
/// did not.
pub(super) fn fold_into(text: &str, most: usize, out: &mut Vec<u8>) -> bool {
    if text.is_ascii() {
        let whole = text.len() <= most;
        let kept = if whole { text } else { text.get(..most).unwrap_or_default() };
        out.extend(kept.bytes().map(|octet| octet.to_ascii_lowercase()));
        return whole;
    }
    let end = out.len().saturating_add(most);
    for character in text.chars() {
        let before = out.len();
        casemap(character, |part| plain(part, out));
        if out.len() > end {
            out.truncate(before);
            return false;
        }
    }
    true
}

/// A character of a decomposition, in lower case and without marks. Letters with a stroke, and
/// ligatures, are letters of their own to Unicode, but not to who searches.
fn plain(part: char, out: &mut Vec<u8>) {
    if part.is_ascii() {
        out.push(part.to_ascii_lowercase() as u8);
        return;
    }
    let marks = |character: &char| canonical_combining_class(*character) != 0;
    if marks(&part) {
        return;
    }
    for lower in part.to_lowercase().filter(|character| !marks(character)) {
        let plain = match lower {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'ø' => "o",
            'ł' => "l",
            'đ' | 'ð' => "d",
            'ħ' => "h",
            'þ' => "th",
            'ı' => "i",
            other => {
                out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        out.extend_from_slice(plain.as_bytes());
    }
}
