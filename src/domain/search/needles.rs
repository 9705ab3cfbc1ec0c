//! From a filter to texts of which every card that answers it holds one. So most cards need not be
//! read; whether one that holds such a text answers the filter, the filter itself must say.

use memchr::memmem::Finder;

use super::fold::fold;
use super::{Field, Fields, Part, tag_before, text_end};
use crate::domain::filter::{Filter, PropertyCondition, PropertyFilter, Test};

crate::hidden!(Needle, Needles);

/// With more texts than this, reading the cards is no slower than looking for the texts.
const MOST: usize = 8;

/// A folded text, and the fields in which it counts.
#[derive(Clone)]
pub struct Needle {
    finder: Finder<'static>,
    fields: Fields,
}

impl Needle {
    pub(super) fn new(text: &[u8], fields: Fields) -> Self {
        Self { finder: Finder::new(text).into_owned(), fields }
    }

    /// Whether the text counts in that part of an entry.
    pub fn counts_in(&self, part: Part) -> bool {
        self.fields.meets(part.fields())
    }

    /// Where the text is next, from an octet on, in entries that lie one behind the other.
    pub fn next(&self, entries: &[u8], mut from: usize) -> Option<usize> {
        loop {
            let at = from + self.finder.find(entries.get(from..)?)?;
            if tag_before(entries, at).is_some_and(|tag| self.fields.hold(tag)) {
                return Some(at);
            }
            from = text_end(entries, at);
        }
    }
}

/// Texts of which a card must hold one, wherever it is to be a candidate.
#[derive(Clone)]
pub struct Needles(Vec<Needle>);

impl Needles {
    /// The texts of which every card that answers the filter holds one; `None` where there are no
    /// such texts, or too many.
    pub fn of(filter: &Filter) -> Option<Self> {
        let wanted = required(filter)?;
        let mut needles: Vec<(Vec<u8>, Fields)> = Vec::new();
        for (text, fields) in wanted {
            match needles.iter_mut().find(|(known, _)| *known == text) {
                Some((_, known)) => *known = known.and(fields),
                None => needles.push((text, fields)),
            }
        }
        let few = (1..=MOST).contains(&needles.len());
        few.then(|| Self(needles.iter().map(|(text, fields)| Needle::new(text, *fields)).collect()))
    }

    pub(super) fn from_list(needles: Vec<Needle>) -> Self {
        Self(needles)
    }

    /// The texts.
    pub fn iter(&self) -> impl Iterator<Item = &Needle> {
        self.0.iter()
    }

    /// Whether an entry holds one of the texts.
    pub fn are_in(&self, entry: &[u8]) -> bool {
        self.iter().any(|needle| needle.next(entry, 0).is_some())
    }
}

/// Texts of which one must be there.
type OneOf = Vec<(Vec<u8>, Fields)>;

fn required(filter: &Filter) -> Option<OneOf> {
    let mut each = filter.properties.iter().map(of_property);
    match filter.test {
        Test::AnyOf => Some(each.collect::<Option<Vec<_>>>()?.concat()),
        Test::AllOf => each.by_ref().flatten().max_by_key(rarity),
    }
}

/// Long texts are in few cards; of several texts the shortest decides.
fn rarity(texts: &OneOf) -> usize {
    texts.iter().map(|(text, _)| text.len()).min().unwrap_or(0)
}

fn of_property(filter: &PropertyFilter) -> Option<OneOf> {
    let PropertyCondition::Defined { test, texts, parameters } = &filter.condition else {
        return None;
    };
    let name = filter.name.rsplit_once('.').map_or(filter.name.as_str(), |(_, name)| name);
    let fields = Fields::one(Field::of(name.as_bytes())?);
    let mut each = texts.iter().map(|text| {
        let folded = fold(&text.text);
        (!text.negate && !folded.is_empty()).then_some((folded, fields))
    });
    match test {
        // What is asked of a parameter may hold without any of the texts.
        Test::AnyOf if texts.is_empty() || !parameters.is_empty() => None,
        Test::AnyOf => each.collect(),
        Test::AllOf => Some(vec![each.by_ref().flatten().max_by_key(|(text, _)| text.len())?]),
    }
}
