//! Many or long values made one text, folded once and then searched by each condition in one linear
//! pass: else a hostile card of a million values costs each of a hundred conditions a million
//! comparisons. Knows texts, not cards.

use memchr::memmem::Finder;

use super::super::MatchKind;
use crate::domain::collation::Collation;

/// Stands around each value; no UTF-8 text holds it.
const BORDER: u8 = 0xFF;

/// Values, folded and kept apart.
pub(super) struct Haystack(Vec<u8>);

impl Haystack {
    /// Folds the values.
    pub(super) fn of<T: AsRef<str>>(collation: Collation, values: impl Iterator<Item = T>) -> Self {
        let mut joined = vec![BORDER];
        for value in values {
            joined.extend_from_slice(collation.fold(value.as_ref()).as_bytes());
            joined.push(BORDER);
        }
        Self(joined)
    }

    /// Whether there is no value at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether one of the values is what the pattern looks for.
    pub(super) fn has(&self, pattern: &Pattern) -> bool {
        !self.is_empty() && pattern.0.find(&self.0).is_some()
    }
}

/// What is looked for in one of the values, at the place that its match type says.
#[derive(Clone)]
pub(super) struct Pattern(Finder<'static>);

impl Pattern {
    /// Folds the text looked for.
    pub(super) fn new(collation: Collation, kind: MatchKind, text: &str) -> Self {
        let (before, after): (&[u8], &[u8]) = match kind {
            MatchKind::Contains => (&[], &[]),
            MatchKind::Equals => (&[BORDER], &[BORDER]),
            MatchKind::StartsWith => (&[BORDER], &[]),
            MatchKind::EndsWith => (&[], &[BORDER]),
        };
        let wanted = [before, collation.fold(text).as_bytes(), after].concat();
        Self(Finder::new(&wanted).into_owned())
    }
}
