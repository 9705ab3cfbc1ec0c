//! A contact's values as one run of octets, so that a hundred thousand of them lie in memory side by
//! side, and one place of each is reached without reading the rest.
//!
//! First how many places have values (and, in the highest bit, whether the numbers that follow have
//! four octets instead of two), then the places, sorted, then where the values of each end, then the
//! values. The admin's own fields are the last place, each value behind its key. A value is an octet,
//! the kind and the object of a list, then what its kind asks for; texts are folded.

use super::{Leaves, Seen, Span, judged};
use crate::domain::contact::{Leaf, Path, Scalar};
use crate::domain::id::{AccountId, CollectionId, ContactId};

/// The place of the admin's own fields.
const CUSTOM: u8 = u8::MAX;

/// A line of memory, and how many of them have the ends of most contacts' values.
const LINE: usize = 64;
const HEAD: usize = 3;

/// The bit that says that ends have four octets.
const WIDE: u8 = 0x80;

/// The object of a list that no longer fits beside the kind, and follows.
const FAR: u8 = 31;

/// A contact, packed.
#[derive(Clone, Copy)]
pub struct Packed<'a>(pub &'a [u8]);

/// Appends a packed contact.
pub fn pack(leaves: &[Leaf], out: &mut Vec<u8>) {
    let place = |leaf: &Leaf| match &leaf.path {
        Path::Known(at) => *at,
        Path::Custom(_) => CUSTOM,
    };
    let mut sorted: Vec<(u8, &Leaf)> = leaves.iter().map(|leaf| (place(leaf), leaf)).collect();
    sorted.sort_by_key(|(place, _)| *place);
    let mut body = Vec::with_capacity(leaves.len() * 24);
    let mut places: Vec<(u8, usize)> = Vec::new();
    for (place, leaf) in sorted {
        if let Path::Custom(key) = &leaf.path {
            put_octets(key.as_bytes(), &mut body);
        }
        put(leaf, &mut body);
        match places.last_mut().filter(|(last, _)| *last == place) {
            Some((_, end)) => *end = body.len(),
            None => places.push((place, body.len())),
        }
    }
    put_all(&places, &body, out);
}

/// Appends what is packed: places with the ends of their values, and the values.
fn put_all(places: &[(u8, usize)], body: &[u8], out: &mut Vec<u8>) {
    let wide = body.len() > usize::from(u16::MAX);
    // `PATHS` has fewer places than the seven bits count.
    out.push(places.len() as u8 | if wide { WIDE } else { 0 });
    out.extend(places.iter().map(|(place, _)| *place));
    for (_, end) in places {
        match u16::try_from(*end) {
            Ok(end) if !wide => out.extend_from_slice(&end.to_le_bytes()),
            _ => out.extend_from_slice(&u32::try_from(*end).unwrap_or(u32::MAX).to_le_bytes()),
        }
    }
    out.extend_from_slice(body);
}

impl<'a> Packed<'a> {
    /// The first text of a path, folded.
    pub fn text(self, path: &Path) -> Option<&'a [u8]> {
        match self.first(path)? {
            Seen::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The first value of a path.
    pub fn first(self, path: &Path) -> Option<Seen<'a>> {
        self.first_in(&Span::of(path))
    }

    /// The first value of a place.
    #[inline]
    pub fn first_in(self, span: &Span) -> Option<Seen<'a>> {
        let mut first = None;
        self.walk(span, &mut |_, seen| {
            first = Some(seen);
            true
        });
        first
    }

    /// Shows each value of a place, with the object of a list it belongs to, until one is enough.
    #[inline]
    pub fn walk(self, span: &Span, see: &mut impl FnMut(u16, Seen<'a>) -> bool) {
        let Some(parts) = self.parts() else { return };
        match span {
            Span::Known { first, last } => each(parts.values(*first, *last), see),
            Span::Custom(key) => each_custom(parts.values(CUSTOM, CUSTOM), Some(key.as_bytes()), see),
            Span::Customs => each_custom(parts.values(CUSTOM, CUSTOM), None, see),
        }
    }

    /// Reads something of each line of memory (64 octets on most machines) in which the ends of values are,
    /// or `all` values too: what follows finds them near. What it answers says nothing.
    pub fn fetched(self, all: bool) -> u8 {
        let lines = if all { usize::MAX } else { HEAD };
        self.0.iter().step_by(LINE).take(lines).fold(0, |read, octet| read ^ octet)
    }

    /// Reads something of where a place's values begin, in the same way.
    pub fn fetched_at(self, span: Option<&Span>) -> u8 {
        let Some(Span::Known { first, .. }) = span else { return 0 };
        let start = self.parts().and_then(|parts| parts.body.get(parts.start(*first)).copied());
        start.unwrap_or(0)
    }

    /// Appends a packed contact that has of this one what is in these places, which are in order.
    pub fn pack_some(self, some: &[u8], out: &mut Vec<u8>) {
        let (mut places, mut body) = (Vec::with_capacity(some.len()), Vec::with_capacity(128));
        for place in some {
            let values = self.parts().map(|parts| parts.values(*place, *place)).unwrap_or_default();
            if !values.is_empty() {
                body.extend_from_slice(values);
                places.push((*place, body.len()));
            }
        }
        put_all(&places, &body, out);
    }

    #[inline]
    pub(super) fn parts(self) -> Option<Parts<'a>> {
        let (head, rest) = self.0.split_first()?;
        let width = if head & WIDE == 0 { 2 } else { 4 };
        let count = usize::from(head & !WIDE);
        let (places, rest) = rest.split_at_checked(count)?;
        let (ends, body) = rest.split_at_checked(count * width)?;
        Some(Parts { places, ends, width, body })
    }
}

/// A packed contact, taken apart.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    places: &'a [u8],
    ends: &'a [u8],
    width: usize,
    /// All values.
    pub(super) body: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The octets of the values from one place to another.
    #[inline]
    pub(super) fn values(&self, first: u8, last: u8) -> &'a [u8] {
        if first == last {
            let Some(at) = memchr::memchr(first, self.places) else { return &[] };
            return self.body.get(self.end(at)..self.end(at + 1)).unwrap_or_default();
        }
        let from = self.before(first);
        let behind = self.places.get(from..).unwrap_or_default();
        let many = behind.iter().take_while(|place| **place <= last).count();
        self.body.get(self.end(from)..self.end(from + many)).unwrap_or_default()
    }

    /// Where the values begin of a place, or of the next that has some.
    #[inline]
    pub(super) fn start(&self, first: u8) -> usize {
        self.end(self.before(first))
    }

    /// The place whose values an octet of the body is of, and where they begin and end.
    pub(super) fn around(&self, octet: usize) -> Option<(u8, usize, usize)> {
        let ends = self.ends.chunks_exact(self.width);
        let before = ends.take_while(|end| number(end).is_some_and(|end| end <= octet)).count();
        let (start, end) = (self.end(before), self.end(before + 1));
        (start <= octet && octet < end).then_some((*self.places.get(before)?, start, end))
    }

    /// How many places come before one.
    #[inline]
    fn before(&self, first: u8) -> usize {
        self.places.iter().position(|place| *place >= first).unwrap_or(self.places.len())
    }

    /// Where the values end of so many places.
    #[inline]
    fn end(&self, places: usize) -> usize {
        let at = places.checked_sub(1).map(|at| at * self.width);
        at.and_then(|at| number(self.ends.get(at..at + self.width)?)).unwrap_or(0)
    }
}

/// Shows each of the values of one place, whose octets are given.
#[inline]
pub(super) fn each_of<'a>(place: u8, octets: &'a [u8], see: &mut impl FnMut(u16, Seen<'a>) -> bool) {
    match place {
        CUSTOM => each_custom(octets, None, see),
        _ => each(octets, see),
    }
}

#[inline]
fn each<'a>(mut rest: &'a [u8], see: &mut impl FnMut(u16, Seen<'a>) -> bool) {
    while let Some((index, seen)) = value(&mut rest) {
        if see(index, seen) {
            return;
        }
    }
}

fn each_custom<'a>(mut rest: &'a [u8], wanted: Option<&[u8]>, see: &mut impl FnMut(u16, Seen<'a>) -> bool) {
    while let Some(key) = octets(&mut rest)
        && let Some((index, seen)) = value(&mut rest)
    {
        if wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(key)) && see(index, seen) {
            return;
        }
    }
}

impl std::fmt::Debug for Packed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packed(…)")
    }
}

impl Leaves for Packed<'_> {
    #[inline]
    fn each(&self, span: &Span, see: &mut impl FnMut(u16, Seen<'_>) -> bool) {
        self.walk(span, &mut |index, seen| see(index, seen));
    }
}

fn put(leaf: &Leaf, out: &mut Vec<u8>) {
    let kind = match &leaf.value {
        Scalar::Text(_) => 0,
        Scalar::Bool(false) => 1,
        Scalar::Bool(true) => 2,
        Scalar::Time(_) => 3,
        Scalar::Number(_) => 4,
        Scalar::Account(_) => 5,
        Scalar::Contact(_) => 6,
        Scalar::Book(_) => 7,
    };
    match u8::try_from(leaf.index) {
        Ok(near) if near < FAR => out.push(near << 3 | kind),
        _ => {
            out.push(FAR << 3 | kind);
            out.extend_from_slice(&leaf.index.to_le_bytes());
        }
    }
    match &leaf.value {
        Scalar::Text(text) => put_octets(&judged(&leaf.path, text), out),
        Scalar::Bool(_) => {}
        Scalar::Time(time) => out.extend_from_slice(&time.to_le_bytes()),
        Scalar::Number(number) => put_octets(number.as_bytes(), out),
        Scalar::Account(id) => out.extend_from_slice(id.as_bytes()),
        Scalar::Contact(id) => out.extend_from_slice(id.as_bytes()),
        Scalar::Book(id) => out.extend_from_slice(id.as_bytes()),
    }
}

/// Octets behind their number, seven bits of it an octet, the last without the highest bit.
fn put_octets(octets: &[u8], out: &mut Vec<u8>) {
    let mut left = octets.len();
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
    out.extend_from_slice(octets);
}

#[inline]
fn octets<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0usize;
    for shift in (0..=28).step_by(7) {
        let octet = *rest.split_off_first()?;
        length |= usize::from(octet & 0x7F) << shift;
        if octet & 0x80 == 0 {
            return rest.split_off(..length);
        }
    }
    None
}

#[inline]
fn value<'a>(rest: &mut &'a [u8]) -> Option<(u16, Seen<'a>)> {
    let head = *rest.split_off_first()?;
    let index = match head >> 3 {
        FAR => u16::from_le_bytes(take(rest)?),
        near => u16::from(near),
    };
    let seen = match head & 7 {
        0 => Seen::Text(octets(rest)?),
        1 => Seen::Bool(false),
        2 => Seen::Bool(true),
        3 => Seen::Time(i64::from_le_bytes(take(rest)?)),
        4 => Seen::Number(str::from_utf8(octets(rest)?).ok()?),
        5 => Seen::Account(AccountId::from_bytes(take(rest)?)),
        6 => Seen::Contact(ContactId::from_bytes(take(rest)?)),
        _ => Seen::Book(CollectionId::from_bytes(take(rest)?)),
    };
    Some((index, seen))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn number(octets: &[u8]) -> Option<usize> {
    match octets {
        [a, b] => Some(usize::from(u16::from_le_bytes([*a, *b]))),
        [a, b, c, d] => usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).ok(),
        _ => None,
    }
}
