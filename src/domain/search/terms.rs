//! What a person types into a search field: words, all of which must be in a card, or the digits
//! of a phone number. Answers how well an entry fits.

use memchr::memmem::Finder;

use crate::domain::phone::Region;

use super::fold::fold;
use super::needles::{Needle, Needles};
use super::{Fields, phone, tag_before, text_end};

crate::hidden!(Terms);

/// Where in a text a word must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Anywhere.
    #[default]
    Substring,
    /// Where a word begins.
    Prefix,
    /// A whole word.
    Word,
}

/// What is looked for.
#[derive(Clone)]
pub struct Terms {
    words: Vec<Word>,
    /// The whole text as a phone number.
    phone: Vec<Finder<'static>>,
    mode: Mode,
    region: Option<Region>,
}

#[derive(Clone)]
struct Word {
    text: Finder<'static>,
    /// The word as a phone number.
    phone: Vec<Finder<'static>>,
}

/// How long a text to search for may be, in octets and in words.
const LONGEST: usize = 256;
const MOST_WORDS: usize = 16;

/// How well a word fits; less is better.
const NAMED: u32 = 0;
const NAME_BEGINS: u32 = 1;
const BEGINS: u32 = 2;
const IN_NAME: u32 = 3;
const INSIDE: u32 = 4;

impl Terms {
    /// Reads what was typed; `None` where it holds no word, or is too long. Numbers without a country
    /// code are the region's.
    pub fn parse(text: &str, mode: Mode, region: Option<Region>) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let words = text.split_whitespace().map(fold_word).filter(|word| !word.is_empty());
        let words: Vec<_> = words
            .map(|word| Word {
                text: Finder::new(&word).into_owned(),
                phone: finders(phone::tails(&word, region)),
            })
            .collect();
        let phone = finders(phone::tails(&fold(text), region));
        (1..=MOST_WORDS).contains(&words.len()).then_some(Self { words, phone, mode, region })
    }

    /// The region whose numbers were typed without a country code.
    pub fn region(&self) -> Option<Region> {
        self.region
    }

    /// Texts of which every entry that fits holds one.
    pub fn needles(&self) -> Needles {
        let longest = self.words.iter().max_by_key(|word| word.text.needle().len());
        let texts = longest.iter().map(|word| Needle::new(word.text.needle(), Fields::ALL));
        let phones = longest.iter().flat_map(|word| &word.phone).chain(&self.phone);
        let phones = phones.map(|tail| Needle::new(tail.needle(), Fields::PHONES));
        Needles::from_list(texts.chain(phones).collect())
    }

    /// How well the entry fits, less is better; `None` where it does not.
    pub fn rank(&self, entry: &[u8]) -> Option<u32> {
        if self.phone.iter().any(|tail| ends_a_number(tail, entry)) {
            return Some(NAMED);
        }
        self.words.iter().try_fold(0, |sum, word| Some(sum + word.rank(entry, self.mode)?))
    }
}

impl Word {
    fn rank(&self, entry: &[u8], mode: Mode) -> Option<u32> {
        if self.phone.iter().any(|tail| ends_a_number(tail, entry)) {
            return Some(BEGINS);
        }
        let mut best = None;
        for at in self.text.find_iter(entry) {
            let end = at + self.text.needle().len();
            let name = tag_before(entry, at).is_some_and(|tag| Fields::NAMES.hold(tag));
            let begins = !goes_on(entry.get(..at).and_then(last_character));
            let whole = begins && !goes_on(entry.get(end..).and_then(first_character));
            let rank = match (mode, name) {
                (Mode::Word, _) if !whole => continue,
                (Mode::Prefix, _) if !begins => continue,
                (_, true) if whole => NAMED,
                (_, true) if begins => NAME_BEGINS,
                (_, false) if begins => BEGINS,
                (_, true) => IN_NAME,
                (_, false) => INSIDE,
            };
            if best.is_none_or(|best| rank < best) {
                best = Some(rank);
            }
            if rank == NAMED {
                break;
            }
        }
        best
    }
}

fn finders(tails: Vec<Vec<u8>>) -> Vec<Finder<'static>> {
    tails.iter().map(|tail| Finder::new(tail).into_owned()).collect()
}

/// A word without what punctuation people put around it.
fn fold_word(word: &str) -> Vec<u8> {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && !"+@".contains(c));
    fold(if bare.is_empty() { word } else { bare })
}

/// Whether a phone number of the entry ends with these digits.
fn ends_a_number(tail: &Finder<'_>, entry: &[u8]) -> bool {
    tail.find_iter(entry).any(|at| {
        text_end(entry, at) == at + tail.needle().len()
            && tag_before(entry, at).is_some_and(|tag| Fields::PHONES.hold(tag))
    })
}

/// Whether a word goes on with that neighbour.
fn goes_on(neighbour: Option<char>) -> bool {
    neighbour.is_some_and(char::is_alphanumeric)
}

/// The last character, unless a field begins there.
fn last_character(octets: &[u8]) -> Option<char> {
    let from = octets.len().saturating_sub(4);
    let last = octets.get(from..)?.utf8_chunks().last()?;
    last.invalid().is_empty().then(|| last.valid().chars().next_back()).flatten()
}

/// The first character, unless a field begins there.
fn first_character(octets: &[u8]) -> Option<char> {
    octets.get(..octets.len().min(4))?.utf8_chunks().next()?.valid().chars().next()
}
