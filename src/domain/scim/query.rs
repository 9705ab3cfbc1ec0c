//! Full text: what people type to find a contact. Every word must be there, as the beginning of a word
//! in one of the texts that people read and write; digits are also found inside of phone numbers.

use memchr::memmem::{self, Finder};

use super::packed::{Parts, each_of};
use super::{Packed, Seen, Span};
use crate::domain::contact::Path;
use crate::domain::search::fold;

crate::hidden!(Query);

/// The longest text and the most words that are looked at.
const LONGEST: usize = 1_000;
const WORDS: usize = 16;

/// Fewer digits than these are no part of a phone number: they would be in every one.
const FEWEST: usize = 3;

/// What is typed as a number has so many digits.
const NUMBER: usize = 5;

/// So many digits of a phone number are looked at.
const DIGITS: usize = 32;

/// The texts that are searched; not those that a machine gave, such as kinds, types and tags.
const TEXTS: [(&str, &str); 5] = [
    ("name.formatted", "emails.value"),
    ("phones.value", "phones.e164"),
    ("addresses.po_box", "addresses.country"),
    ("urls.value", "urls.value"),
    ("birthday", "categories"),
];

/// What was typed.
#[derive(Clone)]
pub struct Query {
    words: Vec<Word>,
    /// All of it, where it is one phone number.
    number: Option<Finder<'static>>,
    /// Where [`TEXTS`] are, and the first of them.
    texts: Vec<Span>,
    first: u8,
    /// The place of numbers as they are written, and as E.164.
    phones: (u8, u8),
}

#[derive(Clone)]
struct Word {
    finder: Finder<'static>,
    /// It begins in the middle of a word just as well: a sign.
    anywhere: bool,
    digits: Option<Finder<'static>>,
}

impl Query {
    /// Reads what was typed; `None` where nothing was.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.get(..text.floor_char_boundary(LONGEST))?;
        let folded = String::from_utf8(fold(text)).ok()?;
        let mut words: Vec<&str> = folded.split_whitespace().take(WORDS).collect();
        // What is longest is in the fewest contacts.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        words.dedup();
        if words.is_empty() {
            return None;
        }
        let place = |name| match Path::parse(name) {
            Some(Path::Known(place)) => place,
            _ => u8::MAX,
        };
        Some(Self {
            words: words.into_iter().map(Word::new).collect(),
            number: digits(&folded, NUMBER),
            first: TEXTS.first().map_or(0, |(first, _)| place(first)),
            texts: TEXTS.iter().map(|(first, last)| Span::between(first, last)).collect(),
            phones: (place("phones.value"), place("phones.e164")),
        })
    }

    /// Whether a contact has it.
    pub fn matches(&self, contact: Packed<'_>) -> bool {
        let Some(parts) = contact.parts() else { return false };
        let first = parts.start(self.first);
        let body = parts.body.get(first..).unwrap_or_default();
        let dials =
            |number: &Option<Finder<'_>>| number.as_ref().is_some_and(|number| self.dials(&parts, number));
        // Most contacts end here, where one search goes over all their texts at once.
        let mut hits = [None; WORDS];
        let maybe = |(word, hit): (&Word, &mut Option<usize>)| {
            *hit = word.finder.find(body).map(|at| first + at);
            hit.is_some() || dials(&word.digits)
        };
        let says = |(word, hit): (&Word, &Option<usize>)| {
            hit.is_some_and(|at| self.says(&parts, word, at)) || dials(&word.digits)
        };
        (self.words.iter().zip(&mut hits).all(maybe) && self.words.iter().zip(&hits).all(says))
            || dials(&self.number)
    }

    /// Whether one of the texts has the word: only places where it is found are looked at, of which one
    /// is given.
    fn says(&self, parts: &Parts<'_>, word: &Word, hit: usize) -> bool {
        let mut next = Some(hit);
        while let Some(at) = next
            && let Some((place, start, end)) = parts.around(at)
        {
            let texts = if self.searches(place) { parts.body.get(start..end) } else { None };
            let mut found = false;
            each_of(place, texts.unwrap_or_default(), &mut |_, seen| {
                found = match seen {
                    Seen::Text(text) => word.is_in(text),
                    Seen::Number(number) => word.is_in(number.as_bytes()),
                    _ => false,
                };
                found
            });
            if found {
                return true;
            }
            next = parts.body.get(end..).and_then(|rest| word.finder.find(rest)).map(|at| end + at);
        }
        false
    }

    fn searches(&self, place: u8) -> bool {
        place == u8::MAX || self.texts.iter().any(|span| span.holds(&Path::Known(place)))
    }

    /// Whether one of the phone numbers has the digits. One that is known as E.164 is not read as it
    /// is written.
    fn dials(&self, parts: &Parts<'_>, number: &Finder<'_>) -> bool {
        let (written, e164) = self.phones;
        let (mut known, mut found) = (0u64, false);
        let bit = |index: u16| 1u64.checked_shl(index.into()).unwrap_or(0);
        each_of(e164, parts.values(e164, e164), &mut |index, seen| {
            known |= bit(index);
            found = matches!(seen, Seen::Text(text) if number.find(text).is_some());
            found
        });
        if found {
            return true;
        }
        each_of(written, parts.values(written, written), &mut |index, seen| {
            if let Seen::Text(text) = seen
                && known & bit(index) == 0
            {
                let mut digits = [0; DIGITS];
                let written = text.iter().filter(|octet| octet.is_ascii_digit());
                let many = digits.iter_mut().zip(written).map(|(to, from)| *to = *from).count();
                found = digits.get(..many).is_some_and(|digits| number.find(digits).is_some());
            }
            found
        });
        found
    }
}

impl Word {
    fn new(word: &str) -> Self {
        Self {
            finder: Finder::new(word).into_owned(),
            anywhere: !word.starts_with(char::is_alphanumeric),
            digits: digits(word, FEWEST),
        }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| self.finder.find(rest)) {
            if self.anywhere || begins(text, from + at) {
                return true;
            }
            from += at + 1;
        }
        false
    }
}

/// Whether a word begins at an octet of a text.
fn begins(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    match before.last() {
        None => true,
        Some(octet) if octet.is_ascii() => !octet.is_ascii_alphanumeric(),
        Some(_) => {
            let start = before.iter().rposition(|octet| octet & 0xC0 != 0x80).unwrap_or(0);
            let last = before.get(start..).and_then(|last| str::from_utf8(last).ok()?.chars().next());
            last.is_some_and(|last| !last.is_alphanumeric())
        }
    }
}

/// The digits that every way of writing a phone number ends with: without what is dialled before a
/// country code or a city, and without a zero in brackets. `None` where the text is no number, or
/// has fewer digits than asked.
fn digits(text: &str, fewest: usize) -> Option<Finder<'static>> {
    if !text.bytes().all(|octet| octet.is_ascii_digit() || b" +-()./".contains(&octet)) {
        return None;
    }
    let text = text.replace("(0)", "");
    let digits: Vec<u8> =
        text.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').collect();
    (digits.len() >= fewest).then(|| memmem::Finder::new(&digits).into_owned())
}
