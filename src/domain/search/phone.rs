//! Phone numbers by their digits. A number is found by its last digits, so that it does not matter
//! whether country code and trunk zero were written, neither in the card nor by who asks; which
//! country a number without a code is of need not be known for that.

/// So many digits make a number that can be looked for.
pub(super) const FEWEST: usize = 5;

/// Numbers have at most 15 digits (E.164 §6.2.1), and some room for prefixes.
const MOST: usize = 20;

/// The digits of a number as a card has it, already folded: without the prefix of international
/// calls, a trunk zero in brackets behind a country code, and what follows the number.
pub(super) fn digits(value: &[u8]) -> Option<Vec<u8>> {
    let value = value.strip_prefix(b"tel:").unwrap_or(value).trim_ascii();
    let number =
        value.split(|octet| *octet == b';' || octet.is_ascii_alphabetic()).next().unwrap_or_default();
    let mut digits = Vec::with_capacity(number.len());
    let mut rest = number;
    while let Some((octet, after)) = rest.split_first() {
        match rest.strip_prefix(b"(0)") {
            Some(after) if number.starts_with(b"+") || number.starts_with(b"00") => rest = after,
            _ => {
                digits.extend(octet.is_ascii_digit().then_some(*octet));
                rest = after;
            }
        }
    }
    let digits = match digits.strip_prefix(b"00") {
        Some(international) => international.to_vec(),
        None => digits,
    };
    (FEWEST..=MOST).contains(&digits.len()).then_some(digits)
}

/// What the digits of a number may end with to be the number asked for; none where the text, already
/// folded, is no number.
pub(super) fn tails(asked: &[u8]) -> Vec<Vec<u8>> {
    let asked = asked.strip_prefix(b"tel:").unwrap_or(asked).trim_ascii();
    if !asked.iter().all(|octet| octet.is_ascii_digit() || b" +-()./".contains(octet)) {
        return Vec::new();
    }
    let plain: Vec<u8> = asked.iter().copied().filter(u8::is_ascii_digit).collect();
    let known = digits(asked).unwrap_or_default();
    let zeros = plain.iter().take_while(|digit| **digit == b'0').count();
    let mut tails = vec![plain.get(zeros..).unwrap_or_default().to_vec()];
    if asked.starts_with(b"+") || plain.starts_with(b"00") {
        // A card may have the number without its country code.
        tails.push(known.get(country(&known)..).unwrap_or_default().to_vec());
    }
    tails.extend([known, plain]);
    tails.retain(|tail| (FEWEST..=MOST).contains(&tail.len()));
    tails.sort();
    tails.dedup();
    tails
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
