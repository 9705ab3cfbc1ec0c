//! From a card's octets to its entry. The texts are exactly those that a filter compares
//! (`filter/compiled.rs`): of the card's own lines, unfolded, octets that are not UTF-8 replaced,
//! unescaped, whole.

use std::borrow::Cow;

use super::fold::fold_into;
use super::{Field, phone, text_end};
use crate::domain::phone::Region;
use crate::domain::vcard::lines::LineView;
use crate::domain::vcard::parts::{Place, parts};
use crate::domain::vcard::text::unescape;

/// So many numbers of a card are looked up in a numbering plan, which takes longer than all else.
const LOOKED_UP: usize = 32;

/// Appends the card's entry, `most` octets of it at most: names first, notes last. False where
/// there would have been more. Numbers without a country code are the region's.
pub fn entry(card: &[u8], most: usize, region: Option<Region>, out: &mut Vec<u8>) -> bool {
    let mut values: Vec<(Field, Cow<'_, [u8]>)> = Vec::new();
    for (place, line) in parts(card) {
        // Most lines of a card with a picture end here, and are never unfolded.
        if place != Place::Own || line.head().is_some_and(|(_, name)| Field::of(name).is_none()) {
            continue;
        }
        let value = match line.unfold() {
            Cow::Borrowed(line) => LineView::split(line)
                .and_then(|view| Some((Field::of(view.name)?, Cow::Borrowed(view.value)))),
            Cow::Owned(line) => LineView::split(&line)
                .and_then(|view| Some((Field::of(view.name)?, Cow::Owned(view.value.to_vec())))),
        };
        values.extend(value);
    }
    values.sort_by_key(|(field, _)| *field);
    let end = out.len().saturating_add(most);
    let mut numbers = 0;
    values.iter().all(|(field, value)| {
        let value = String::from_utf8_lossy(value);
        numbers += usize::from(*field == Field::Phone);
        append(*field, &unescape(&value), region.filter(|_| numbers <= LOOKED_UP), end, out)
    })
}

/// Appends a text; a phone number once more, as digits.
fn append(field: Field, text: &str, region: Option<Region>, end: usize, out: &mut Vec<u8>) -> bool {
    let Some(left) = end.checked_sub(out.len() + 1) else {
        return text.is_empty();
    };
    out.push(field as u8);
    let start = out.len();
    if !fold_into(text, left, out) {
        return false;
    }
    let folded = out.get(start..).filter(|_| field == Field::Phone).unwrap_or_default();
    let mut kept = phone::kept(folded, region);
    kept.retain(|digits| digits != folded);
    kept.iter().all(|digits| {
        let fits = out.len() + digits.len() < end;
        if fits {
            out.push(Field::Digits as u8);
            out.extend_from_slice(digits);
        }
        fits
    })
}

/// The folded FN of an entry, which answers are sorted by.
pub fn formatted(entry: &[u8]) -> &[u8] {
    match entry.split_first() {
        Some((tag, rest)) if *tag == Field::Formatted as u8 => {
            rest.get(..text_end(rest, 0)).unwrap_or_default()
        }
        _ => &[],
    }
}
