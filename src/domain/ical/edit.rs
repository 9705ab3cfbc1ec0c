//! Small changes to octets that otherwise stay as they are: what is put where, gathered first and
//! made in one pass. Knows places, not lines.

use crate::domain::vcard::lines::BOM;

/// Replacements in a text; places count from its start, a byte order mark not counted, as
/// `Prop::at` and `Component::at` do.
#[derive(Default)]
pub(super) struct Edits(Vec<(usize, usize, Vec<u8>)>);

impl Edits {
    /// Puts `octets` at the place.
    pub(super) fn insert(&mut self, at: usize, octets: Vec<u8>) {
        self.0.push((at, at, octets));
    }

    /// Puts `octets` in the place of `length` octets.
    pub(super) fn replace(&mut self, at: usize, length: usize, octets: Vec<u8>) {
        self.0.push((at, at.saturating_add(length), octets));
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with the changes made. What reaches into an earlier change is left out.
    pub(super) fn apply(mut self, octets: &[u8]) -> Vec<u8> {
        let text = octets.strip_prefix(BOM).unwrap_or(octets);
        self.0.sort_by_key(|(from, ..)| *from);
        let added: usize = self.0.iter().map(|(.., octets)| octets.len()).sum();
        let mut out = Vec::with_capacity(octets.len() + added);
        out.extend_from_slice(octets.get(..octets.len() - text.len()).unwrap_or_default());
        let mut done = 0;
        for (from, to, octets) in self.0 {
            if from < done {
                continue;
            }
            out.extend_from_slice(text.get(done..from).unwrap_or_default());
            out.extend_from_slice(&octets);
            done = to;
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_in_their_places() {
        let mut edits = Edits::default();
        assert!(edits.is_empty());
        edits.replace(4, 2, b"XYZ".to_vec());
        edits.insert(0, b"a".to_vec());
        edits.insert(0, b"b".to_vec());
        edits.replace(5, 1, b"lost".to_vec());
        edits.replace(8, 100, Vec::new());
        assert_eq!(edits.apply("\u{feff}0123456789".as_bytes()), "\u{feff}ab0123XYZ67".as_bytes());
    }
}
