//! Decimal numbers as texts, compared digit by digit: a customer's number of twenty digits is no
//! binary fraction, and is not rounded to one.

use std::cmp::Ordering;

/// A number as JSON writes it (RFC 8259 §6), leading zeros allowed.
#[derive(Clone, Copy)]
pub(super) struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// How many digits stand before the point, leading zeros not counted.
    point: i64,
}

impl<'a> Decimal<'a> {
    /// Reads a number; `None` where the text is none.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let at = rest.iter().position(|octet| octet.eq_ignore_ascii_case(&b'e'));
        let (digits, exponent) = rest.split_at_checked(at.unwrap_or(rest.len()))?;
        let exponent = exponent.split_first().map_or(Some(0), |(_, text)| exponent_of(text))?;
        let at = digits.iter().position(|octet| *octet == b'.');
        let (whole, fraction) = digits.split_at_checked(at.unwrap_or(digits.len()))?;
        let fraction = fraction.split_first().map_or(Some(&[][..]), |(_, f)| (!f.is_empty()).then_some(f))?;
        if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = whole.iter().chain(fraction).take_while(|digit| **digit == b'0').count();
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()?;
        Some(Self { negative, whole, fraction, point: point.saturating_add(exponent) })
    }

    /// Its digits without leading zeros.
    fn digits(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.whole.iter().chain(self.fraction).copied().skip_while(|digit| *digit == b'0')
    }

    /// Which of two numbers is greater.
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        match (self.sign(), other.sign()) {
            (1, 1) => self.cmp_size(other),
            (-1, -1) => other.cmp_size(self),
            (one, two) => one.cmp(&two),
        }
    }

    fn sign(&self) -> i8 {
        match (self.digits().next(), self.negative) {
            (None, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        }
    }

    fn cmp_size(&self, other: &Self) -> Ordering {
        self.point.cmp(&other.point).then_with(|| {
            let (mut one, mut two) = (self.digits(), other.digits());
            loop {
                match (one.next(), two.next()) {
                    (None, None) => return Ordering::Equal,
                    (a, b) => match a.unwrap_or(b'0').cmp(&b.unwrap_or(b'0')) {
                        Ordering::Equal => {}
                        other => return other,
                    },
                }
            }
        })
    }
}

/// An exponent; one that is beyond all use is the largest there is.
fn exponent_of(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = str::from_utf8(digits).ok()?.parse().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Some(if negative { -size } else { size })
}
