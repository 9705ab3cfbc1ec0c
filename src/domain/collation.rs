//! The collations that text matches name (RFC 4790, RFC 5051): `i;octet`, `i;ascii-casemap`,
//! `i;unicode-casemap`. Knows texts, not cards.

use std::borrow::Cow;

use memchr::memmem::Finder;
use unicode_normalization::char::decompose_compatible;

/// A collation that filters may ask for (CARD-24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collation {
    /// `i;octet`: the bytes as they are.
    Octet,
    /// `i;ascii-casemap`: ASCII letters without their case.
    AsciiCasemap,
    /// `i;unicode-casemap` (RFC 5051), the default (CARD-25).
    UnicodeCasemap,
}

impl Collation {
    /// Every collation, in the order that `supported-collation-set` lists them (CARD-27).
    pub const ALL: [Self; 3] = [Self::AsciiCasemap, Self::UnicodeCasemap, Self::Octet];

    /// The collation's registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Octet => "i;octet",
            Self::AsciiCasemap => "i;ascii-casemap",
            Self::UnicodeCasemap => "i;unicode-casemap",
        }
    }

    /// The collation of that name, `default` included; `None` where it is not supported (CARD-26).
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::UnicodeCasemap),
            _ => Self::ALL.into_iter().find(|c| c.name() == name),
        }
    }
}

impl Collation {
    /// The text as this collation compares it, octet by octet.
    pub fn fold(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Octet => Cow::Borrowed(text),
            Self::AsciiCasemap => ascii_fold(text),
            Self::UnicodeCasemap if text.is_ascii() => ascii_fold(text),
            Self::UnicodeCasemap => Cow::Owned(unicode_fold(text)),
        }
    }
}

/// A text that is looked for, folded once, in one collation.
#[derive(Debug, Clone)]
pub struct Needle {
    collation: Collation,
    finder: Finder<'static>,
}

impl Needle {
    /// Folds the text looked for.
    pub fn new(collation: Collation, text: &str) -> Self {
        Self { collation, finder: Finder::new(collation.fold(text).as_bytes()).into_owned() }
    }

    /// Whether `text` is the text looked for.
    pub fn equals(&self, text: &str) -> bool {
        self.compare(text, |folded, needle| folded == needle.needle())
    }

    /// Whether the text looked for is anywhere in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.compare(text, |folded, needle| needle.find(folded).is_some())
    }

    /// Whether `text` begins with the text looked for.
    pub fn begins(&self, text: &str) -> bool {
        self.compare(text, |folded, needle| folded.starts_with(needle.needle()))
    }

    /// Whether `text` ends with the text looked for.
    pub fn ends(&self, text: &str) -> bool {
        self.compare(text, |folded, needle| folded.ends_with(needle.needle()))
    }

    /// Folds `text` and asks. A short ASCII text, which most values are, is folded on the stack.
    fn compare(&self, text: &str, ask: impl FnOnce(&[u8], &Finder<'static>) -> bool) -> bool {
        let mut short = [0; SHORT];
        match short.get_mut(..text.len()) {
            _ if self.collation == Collation::Octet => ask(text.as_bytes(), &self.finder),
            Some(copy) if text.is_ascii() => {
                copy.copy_from_slice(text.as_bytes());
                copy.make_ascii_uppercase();
                ask(copy, &self.finder)
            }
            _ => ask(self.collation.fold(text).as_bytes(), &self.finder),
        }
    }
}

/// How long a value may be to be folded without an allocation.
const SHORT: usize = 128;

/// `i;ascii-casemap` compares in upper case (RFC 4790 §9.2.1).
fn ascii_fold(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|octet| octet.is_ascii_lowercase()) {
        Cow::Owned(text.to_ascii_uppercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// RFC 5051 §2, character by character.
fn unicode_fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len() + text.len() / 4);
    text.chars().for_each(|character| casemap(character, |part| folded.push(part)));
    folded
}

/// RFC 5051 §2: a character to its titlecase by the one-to-one mapping, then decomposed,
/// compatibility decompositions included, until nothing is left to decompose.
pub(super) fn casemap(character: char, mut each: impl FnMut(char)) {
    match character {
        ascii if ascii.is_ascii() => each(ascii.to_ascii_uppercase()),
        other => decompose_compatible(titlecase(other), each),
    }
}

/// Simple_Titlecase_Mapping of UnicodeData.txt. It is the one-to-one upper case except for the
/// digraphs that have a title form and for Georgian, which has none. A character whose upper case
/// is several (`ß`) has no one-to-one mapping and stays, unless it is Greek with a iota below.
fn titlecase(character: char) -> char {
    match character {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        '\u{10D0}'..='\u{10FF}' => character,
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => {
            char::from_u32(u32::from(character) + 8).unwrap_or(character)
        }
        'ᾳ' => 'ᾼ',
        'ῃ' => 'ῌ',
        'ῳ' => 'ῼ',
        _ => {
            let mut upper = character.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                _ => character,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unicode(text: &str) -> String {
        Collation::UnicodeCasemap.fold(text).into_owned()
    }

    #[test]
    fn collations_have_their_names() {
        for collation in Collation::ALL {
            assert_eq!(Collation::named(collation.name()), Some(collation));
        }
        assert_eq!(Collation::named("default"), Some(Collation::UnicodeCasemap));
        assert_eq!(Collation::named("i;*"), None);
    }

    /// CARD-28, RFC 5051 §2.
    #[test]
    fn unicode_casemap_is_titlecase_and_decomposition() {
        assert_eq!(unicode("jörg"), "JO\u{308}RG");
        assert_eq!(unicode("JO\u{308}RG"), unicode("Jörg"));
        assert_eq!(unicode("straße"), "STRAßE", "ß has no one-to-one mapping");
        assert_ne!(unicode("straße"), unicode("STRASSE"));
        assert_eq!(unicode("İi"), "I\u{307}I");
        assert_eq!(unicode("ıI"), "II");
        assert_eq!(unicode("Ωμέγα"), unicode("ΩΜΈΓΑ"));
        assert_eq!(unicode("σοφός"), unicode("ΣΟΦΌΣ"), "both small sigmas");
        assert_eq!(unicode("ᾳ"), "Α\u{345}");
        assert_eq!(unicode("ǆ"), "Dz\u{30c}");
        assert_eq!(unicode("ǆ"), unicode("Ǆ"));
        assert_eq!(unicode("ﬁ"), "fi", "decomposed after the mapping, as the RFC orders it");
        assert_eq!(unicode("გ"), "გ");
        assert_eq!(unicode("ＡＢｃ①"), "ABC1");
        assert_eq!(unicode("жук"), "ЖУК");
        assert_eq!(unicode("각"), "\u{1100}\u{1161}\u{11A8}");
    }

    #[test]
    fn ascii_casemap_leaves_the_rest_alone() {
        assert_eq!(Collation::AsciiCasemap.fold("aÉé"), "AÉé");
        assert_eq!(Collation::Octet.fold("aÉ"), "aÉ");
        assert!(matches!(Collation::UnicodeCasemap.fold("ABC 1"), Cow::Borrowed(_)));
    }

    #[test]
    fn needles_find() {
        let needle = |text| Needle::new(Collation::UnicodeCasemap, text);
        assert!(needle("jose").is_in("San José"), "an accent follows its letter");
        assert!(!needle("José").is_in("Jose"));
        assert!(needle("doe@").begins("Doe@big.corp") && needle("CORP").ends("doe@big.corp"));
        assert!(needle("").is_in("") && needle("").equals("") && !needle("").equals("x"));
        assert!(!needle("ﬁ").is_in("fish"), "the needle folds to small letters, which no text has");
        assert!(!Needle::new(Collation::Octet, "Doe").is_in("doe"));
        assert!(needle("x").is_in(&format!("{}X", "a".repeat(SHORT))));
    }

    proptest! {
        /// The short way gives what folding and searching gives.
        #[test]
        fn needles_agree_with_folding(needle in "[aAbBéÉßİ ﬁ]{0,3}", text in "[aAbBéÉßİ ﬁ]{0,8}|[aAbB ]{0,200}", which in 0usize..3) {
            let collation = Collation::ALL[which];
            let (folded, wanted) = (collation.fold(&text), collation.fold(&needle));
            let needle = Needle::new(collation, &needle);
            prop_assert_eq!(needle.is_in(&text), folded.contains(&*wanted));
            prop_assert_eq!(needle.equals(&text), folded == wanted);
            prop_assert_eq!(needle.begins(&text), folded.starts_with(&*wanted));
            prop_assert_eq!(needle.ends(&text), folded.ends_with(&*wanted));
        }

        #[test]
        fn folding_knows_no_case(text in "\\PC{0,20}") {
            prop_assert_eq!(unicode(&text.to_ascii_lowercase()), unicode(&text.to_ascii_uppercase()));
        }
    }
}
