//! Phone numbers by their digits, in the form of E.164 where country code and number are known. A
//! number is found by its last digits, so that it does not matter whether country code and trunk
//! zero were written, neither in the card nor by who asks.

use super::fold::fold;
use crate::domain::phone::Region;

/// So many digits make a number that can be looked for.
pub(super) const FEWEST: usize = 5;

/// Numbers have at most 15 digits (E.164 §6.2.1), and some room for prefixes.
const MOST: usize = 20;

/// How many digits a number with its country code may have (E.164 §6.2.1).
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 7..=15;

/// Country codes behind which the zero in brackets is dialled: Italy's and San Marino's numbers have
/// no trunk prefix, their zero is of the number.
const OF_THE_NUMBER: [&[u8]; 4] = [b"39", b"0039", b"378", b"00378"];

/// What a number of a card, already folded, is kept as: its E.164 digits where they are known, and
/// the digits as they are written where those are no tail of them.
pub(super) fn kept(value: &[u8], region: Option<Region>) -> Vec<Vec<u8>> {
    let number = number(uri(value).unwrap_or(value));
    let dialled = dialled(number);
    let mut kept: Vec<_> = e164(number, &dialled, region).into_iter().collect();
    let written = plain(&dialled);
    let bare = bare(written);
    if bare.len() < FEWEST || kept.iter().all(|e164| !e164.ends_with(bare)) {
        kept.push(written.to_vec());
    }
    kept.retain(|digits| (FEWEST..=MOST).contains(&digits.len()));
    kept
}

/// The digits of a number in the form of E.164, where country code and number are known.
pub fn international(value: &str, region: Option<Region>) -> Option<String> {
    let value = fold(value);
    let number = number(uri(&value).unwrap_or(&value));
    let dialled = dialled(number);
    let digits = match e164(number, &dialled, region) {
        Some(digits) => digits,
        None if number.starts_with(b"+") => dialled,
        // Where no region says what is dialled before a country code, it is what most dial.
        None if region.is_none() => dialled.strip_prefix(b"00")?.to_vec(),
        None => return None,
    };
    let whole = INTERNATIONAL.contains(&digits.len()) && !digits.starts_with(b"0");
    String::from_utf8(digits).ok().filter(|_| whole)
}

/// What is dialled behind a number to reach one person: `;ext=12` (RFC 3966), `x12`, `ext. 12`.
pub fn extension(value: &str) -> Option<String> {
    let value = fold(value);
    let value = uri(&value).unwrap_or(&value).trim_ascii();
    let rest = value.get(number(value).len()..)?;
    let words = rest.trim_ascii_start().strip_prefix(b";").unwrap_or(rest.trim_ascii_start());
    let words = [&b"extension"[..], b"ext", b"x"].iter().find_map(|word| words.strip_prefix(*word))?;
    let digits = words.iter().skip_while(|octet| b" .:=".contains(octet));
    let digits: Vec<u8> = digits.take_while(|octet| octet.is_ascii_digit()).copied().collect();
    String::from_utf8(digits).ok().filter(|digits| (1..=MOST).contains(&digits.len()))
}

/// What the digits of a number may end with to be the number asked for; none where the text, already
/// folded, is no number.
pub(super) fn tails(asked: &[u8], region: Option<Region>) -> Vec<Vec<u8>> {
    let asked = uri(asked).map_or(asked, number).trim_ascii();
    if !asked.iter().all(|octet| octet.is_ascii_digit() || b" +-()./".contains(octet)) {
        return Vec::new();
    }
    let written: Vec<u8> = asked.iter().copied().filter(u8::is_ascii_digit).collect();
    let dialled = dialled(asked);
    let known = plain(&dialled);
    let mut tails = vec![bare(&written).to_vec(), known.to_vec()];
    if asked.starts_with(b"+") || written.starts_with(b"00") {
        // A card may have the number without its country code.
        tails.push(known.get(country(known)..).unwrap_or_default().to_vec());
    }
    tails.extend(e164(asked, &dialled, region));
    tails.push(written);
    tails.retain(|tail| (FEWEST..=MOST).contains(&tail.len()));
    tails.sort();
    tails.dedup();
    tails
}

/// What follows the scheme of a URI (RFC 3966).
fn uri(value: &[u8]) -> Option<&[u8]> {
    value.trim_ascii_start().strip_prefix(b"tel:")
}

/// A number without what follows it: parameters, an extension, what is dialled later.
fn number(value: &[u8]) -> &[u8] {
    let mut digits = 0;
    let end = value.iter().position(|octet| {
        digits += usize::from(octet.is_ascii_digit());
        // A code that hides who calls ends with this sign too.
        b";,".contains(octet) || octet.is_ascii_alphabetic() || (*octet == b'#' && digits >= FEWEST)
    });
    value.get(..end.unwrap_or(value.len())).unwrap_or_default().trim_ascii()
}

/// The digits of a number, without a trunk zero in brackets behind a country code.
fn dialled(number: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(number.len());
    let mut rest = number;
    while let Some((octet, after)) = rest.split_first() {
        match rest.strip_prefix(b"(0)") {
            Some(after)
                if (number.starts_with(b"+") || number.starts_with(b"00"))
                    && !OF_THE_NUMBER.contains(&digits.as_slice()) =>
            {
                rest = after;
            }
            _ => {
                digits.extend(octet.is_ascii_digit().then_some(*octet));
                rest = after;
            }
        }
    }
    digits
}

/// The digits of E.164, where the region knows them. Behind a plus they are what is written.
fn e164(number: &[u8], dialled: &[u8], region: Option<Region>) -> Option<Vec<u8>> {
    let region = region.filter(|_| !number.starts_with(b"+"))?;
    region.e164(str::from_utf8(dialled).ok()?).map(String::into_bytes)
}

/// Without what most of the world dials before a country code.
fn plain(dialled: &[u8]) -> &[u8] {
    dialled.strip_prefix(b"00").unwrap_or(dialled)
}

/// Without leading zeros.
fn bare(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

/// How many digits the country code has that the number begins with (ITU-T E.164, annex D).
fn country(digits: &[u8]) -> usize {
    match digits {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    }
}
