//! The `sync-token` of a calendar of birthdays, which is made of several address books: how far each of
//! them was told of. Sealed by whoever issues it, so that nobody asks about books by made-up tokens.
//! Knows no store.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::id::{CollectionId, Revision};

/// The constant front: like that of other tokens, and no collection's id follows it.
const PREFIX: &str = "https://cardkeep.invalid/ns/sync/birthdays/";

/// What a token may name at most, so that reading one is bounded.
const SOURCES: usize = 10_000;

/// The length of the mark in front.
pub const MARK: usize = 8;

/// How far a book's log was told of, in steps: there are three at each revision, one for each event that
/// a card can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Steps(u64);

impl Steps {
    /// The steps of a revision.
    pub const EACH: u64 = 3;

    /// All up to and with a revision; `None` past what can be counted.
    pub fn through(revision: Revision) -> Option<Self> {
        revision.0.checked_mul(Self::EACH).map(Self)
    }

    /// All before a revision, and of it the first `done`.
    pub fn within(revision: Revision, done: u64) -> Option<Self> {
        let before = Self::through(Revision(revision.0.checked_sub(1)?))?;
        before.0.checked_add(done.min(Self::EACH)).map(Self)
    }

    /// The last revision that is told of whole.
    pub fn revision(self) -> Revision {
        Revision(self.0 / Self::EACH)
    }

    /// How many steps of that revision were told.
    pub fn done_at(self, revision: Revision) -> u64 {
        let before = revision.0.saturating_sub(1).saturating_mul(Self::EACH);
        self.0.saturating_sub(before).min(Self::EACH)
    }
}

/// In which part of its way a client is with a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It was told everything once.
    Told,
    /// It is being told everything; at that revision it began, and holds nothing of what went before.
    Coming(Revision),
    /// It was told up to that revision, and is being told that the book's events are gone.
    Leaving(Revision),
}

/// A book in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The book.
    pub book: CollectionId,
    /// What its own sync tokens name: another one after its log was made anew.
    pub log: CollectionId,
    /// How far this stage has come in its log.
    pub upto: Steps,
    /// The stage.
    pub stage: Stage,
}

/// The token: `https://cardkeep.invalid/ns/sync/birthdays/BASE64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirthsToken {
    /// Who issued it to whom.
    pub mark: [u8; MARK],
    sources: Vec<Source>,
}

impl BirthsToken {
    /// A token of these books, with the mark that `seal` makes of them. They are put in order, and each
    /// is named once.
    pub fn new(mut sources: Vec<Source>, seal: impl FnOnce(&[u8]) -> [u8; MARK]) -> Self {
        sources.sort_by_key(|source| source.book);
        sources.dedup_by_key(|source| source.book);
        let mark = seal(&packed(&sources));
        Self { mark, sources }
    }

    /// The books, by their ids.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// What the mark is made of.
    pub fn packed(&self) -> Vec<u8> {
        packed(&self.sources)
    }

    /// Reads a token; `None` for anything that is not one in this form.
    pub fn parse(text: &str) -> Option<Self> {
        let octets = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (mark, mut rest) = octets.split_first_chunk::<MARK>()?;
        let mut sources: Vec<Source> = Vec::new();
        while !rest.is_empty() && sources.len() < SOURCES {
            let source = source(&mut rest)?;
            if sources.last().is_some_and(|last| last.book >= source.book) {
                return None;
            }
            sources.push(source);
        }
        let token = Self { mark: *mark, sources };
        // One way of writing each: what the server did not write is no token.
        (rest.is_empty() && token.to_string() == text).then_some(token)
    }
}

impl fmt::Display for BirthsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [self.mark.as_slice(), &self.packed()].concat();
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(octets))
    }
}

/// The flag of a book whose log has another name than the book itself.
const RENAMED: u8 = 4;

fn packed(sources: &[Source]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sources.len() * 22);
    for source in sources {
        let (stage, number) = match source.stage {
            Stage::Told => (0, None),
            Stage::Coming(revision) => (1, Some(revision)),
            Stage::Leaving(revision) => (2, Some(revision)),
        };
        let renamed = source.log != source.book;
        out.extend_from_slice(source.book.as_bytes());
        out.push(stage | if renamed { RENAMED } else { 0 });
        if renamed {
            out.extend_from_slice(source.log.as_bytes());
        }
        put(source.upto.0, &mut out);
        if let Some(Revision(number)) = number {
            put(number, &mut out);
        }
    }
    out
}

fn source(rest: &mut &[u8]) -> Option<Source> {
    let book = CollectionId::from_bytes(take(rest)?);
    let [flags] = take(rest)?;
    let log = match flags & RENAMED {
        0 => book,
        _ => CollectionId::from_bytes(take(rest)?),
    };
    let upto = Steps(get(rest)?);
    let stage = match flags & !RENAMED {
        0 => Stage::Told,
        1 => Stage::Coming(Revision(get(rest)?)),
        2 => Stage::Leaving(Revision(get(rest)?)),
        _ => return None,
    };
    Some(Source { book, log, upto, stage })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

/// Writes a number, seven bits in a byte, the lowest first.
fn put(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn get(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest)?;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SyncToken;
    use super::*;

    fn sources() -> impl Strategy<Value = Vec<Source>> {
        let stage = prop_oneof![
            Just(Stage::Told),
            any::<u64>().prop_map(|n| Stage::Coming(Revision(n))),
            (0..1000_u64).prop_map(|n| Stage::Leaving(Revision(n))),
        ];
        let one = (any::<[u8; 16]>(), any::<Option<[u8; 16]>>(), any::<u64>(), stage);
        proptest::collection::vec(
            one.prop_map(|(book, log, upto, stage)| Source {
                book: CollectionId::from_bytes(book),
                log: CollectionId::from_bytes(log.unwrap_or(book)),
                upto: Steps(upto),
                stage,
            }),
            0..6,
        )
    }

    proptest! {
        #[test]
        fn tokens_round_trip(sources in sources(), mark in any::<[u8; MARK]>()) {
            let token = BirthsToken::new(sources, |_| mark);
            let text = token.to_string();
            prop_assert_eq!(BirthsToken::parse(&text), Some(token));
            prop_assert_eq!(SyncToken::parse(&text), None);
            prop_assert_eq!(BirthsToken::parse(&format!("{text}A")), None);
        }

        #[test]
        fn what_is_read_is_what_would_be_written(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(octets));
            if let Some(token) = BirthsToken::parse(&text) {
                prop_assert_eq!(token.to_string(), text);
            }
        }

        #[test]
        fn nothing_else_is_a_token(text in "\\PC{0,60}|https://cardkeep.invalid/ns/sync/birthdays/[A-Za-z0-9_=-]{0,60}") {
            if let Some(token) = BirthsToken::parse(&text) {
                prop_assert_eq!(token.to_string(), text);
            }
        }

        #[test]
        fn steps_count_three_at_each_revision(revision in 1..1_000_000_u64, done in 0..=3_u64) {
            let steps = Steps::within(Revision(revision), done).unwrap();
            prop_assert_eq!(steps.done_at(Revision(revision)), done);
            prop_assert_eq!(steps.done_at(Revision(revision + 1)), 0);
            prop_assert_eq!(steps.revision().0, if done == 3 { revision } else { revision - 1 });
        }
    }

    #[test]
    fn a_book_takes_few_bytes_and_is_named_once() {
        let source = |book, upto| Source {
            book: CollectionId::from_bytes([book; 16]),
            log: CollectionId::from_bytes([book; 16]),
            upto: Steps::through(Revision(upto)).unwrap(),
            stage: Stage::Told,
        };
        let token = BirthsToken::new(vec![source(2, 1), source(1, 100_000), source(2, 1)], |_| [0; MARK]);
        assert_eq!(token.sources().len(), 2);
        assert!(token.packed().len() < 42);
        // Out of order, it is not what was written.
        let mut swapped = token.clone();
        swapped.sources.swap(0, 1);
        assert_eq!(BirthsToken::parse(&swapped.to_string()), None);
    }
}
