//! The filter language of SCIM (RFC 7644 §3.4.2.2) over the paths of a contact, and full text. Knows
//! contacts as flat lists of values; where they are kept, and what the names of accounts, contacts
//! and books lead to, is others' business.
//!
//! Texts are compared without case and accents, on both sides. `ne` is the opposite of `eq`: where a
//! path has many values, none of them equals; where it has none, it holds.

mod decimal;
mod judge;
mod lex;
mod packed;
mod parse;
mod query;

#[cfg(test)]
mod tests;

use memchr::memmem::Finder;

use crate::domain::contact::{Leaf, PATHS, Path, Scalar, Type, place};
use crate::domain::id::{AccountId, CollectionId, ContactId};
use crate::domain::search::fold;

pub use packed::{Packed, pack};
pub use query::Query;

crate::hidden!(Filter);

/// The longest filter, in octets.
pub const LONGEST: usize = 16 * 1024;

/// The most comparisons of a filter.
pub const TERMS: usize = 200;

/// How deep parentheses and brackets may stand in each other.
pub const DEPTH: usize = 32;

/// A filter, ready to judge contacts.
#[derive(Clone)]
pub struct Filter(Node);

/// Why a text is no filter, and where. Says nothing of what was asked for but attributes' names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at character {position})")]
pub struct SyntaxError {
    /// Before which character, from 0.
    pub position: usize,
    /// What is wrong.
    pub what: String,
}

/// A place of values in a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// From one place in [`PATHS`] to another, both included.
    Known {
        /// The first place.
        first: u8,
        /// The last place.
        last: u8,
    },
    /// One of the admin's own fields, by its key.
    Custom(Box<str>),
    /// All of the admin's own fields.
    Customs,
}

/// A value, as it is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A folded text.
    Text(&'a [u8]),
    /// True or false.
    Bool(bool),
    /// A time, in microseconds since 1970.
    Time(i64),
    /// A decimal number, as its text.
    Number(&'a str),
    /// A user.
    Account(AccountId),
    /// A contact.
    Contact(ContactId),
    /// A book.
    Book(CollectionId),
}

/// What can be judged.
pub trait Leaves {
    /// Shows each value of a place, with the object of a list it belongs to, until one is enough.
    fn each(&self, span: &Span, see: &mut impl FnMut(u16, Seen<'_>) -> bool);
}

#[derive(Clone)]
enum Node {
    Term(Term),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// One object of a list, whose values stand in the span, is as the node says.
    Within(Span, Box<Node>),
}

/// One value of the place passes the test.
#[derive(Clone)]
struct Term {
    at: Span,
    test: Test,
}

#[derive(Clone)]
enum Test {
    Present,
    Contains(Box<Finder<'static>>),
    Starts(Vec<u8>),
    Ends(Vec<u8>),
    Is(Order, Value),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// What a value is compared with.
#[derive(Clone)]
enum Value {
    Text(Vec<u8>),
    Bool(bool),
    /// From a time to another, which is the first behind it: a moment, or a day.
    Time(i64, i64),
    Number(String),
    Account(AccountId),
    Contact(ContactId),
    Book(CollectionId),
    /// A name of which it is not known yet what it leads to.
    Name(Type, String),
    /// What no value equals.
    Nothing,
}

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parse::parse(text).map(Self)
    }

    /// The names of accounts, contacts and books in it that are not resolved yet.
    pub fn names(&self) -> Vec<(Type, String)> {
        let mut names = Vec::new();
        each_term(&self.0, &mut |term| {
            if let Test::Is(_, Value::Name(kind, name)) = &term.test {
                names.push((*kind, name.clone()));
            }
        });
        names
    }

    /// Puts in the place of each name what it leads to. A name that leads nowhere equals nothing, as
    /// does one that was never resolved.
    pub fn resolve(&mut self, mut look: impl FnMut(Type, &str) -> Option<Scalar>) {
        each_value(&mut self.0, &mut |value| {
            if let Value::Name(kind, name) = value {
                *value = match look(*kind, name) {
                    Some(Scalar::Account(id)) => Value::Account(id),
                    Some(Scalar::Contact(id)) => Value::Contact(id),
                    Some(Scalar::Book(id)) => Value::Book(id),
                    _ => Value::Nothing,
                };
            }
        });
    }

    /// The keys of the admin's own fields in it: whether there are such fields, the filter cannot know.
    pub fn fields(&self) -> Vec<&str> {
        let mut keys = Vec::new();
        each_term(&self.0, &mut |term| {
            if let Span::Custom(key) = &term.at {
                keys.push(&**key);
            }
        });
        keys
    }

    /// Where the values are that are compared first.
    pub fn first(&self) -> Option<&Span> {
        let mut node = &self.0;
        loop {
            node = match node {
                Node::Term(term) => return Some(&term.at),
                Node::All(nodes) | Node::Any(nodes) => nodes.first()?,
                Node::Not(node) | Node::Within(_, node) => node,
            };
        }
    }

    /// Whether a contact is as the filter says.
    pub fn matches(&self, leaves: &(impl Leaves + ?Sized)) -> bool {
        judge::holds(&self.0, leaves)
    }
}

impl Span {
    /// Where the values of a path are.
    pub fn of(path: &Path) -> Self {
        match path {
            Path::Known(at) => Self::Known { first: *at, last: *at },
            Path::Custom(key) => Self::Custom(key.clone()),
        }
    }

    /// Where the values of the path are that has this name in [`PATHS`].
    pub const fn known(name: &str) -> Self {
        let at = place(name);
        Self::Known { first: at, last: at }
    }

    /// From a path to another of [`PATHS`]; a name that is not there leads to nothing.
    fn between(first: &str, last: &str) -> Self {
        let place = |name| match Path::parse(name) {
            Some(Path::Known(at)) => Some(at),
            _ => None,
        };
        let (first, last) = place(first).zip(place(last)).unwrap_or((u8::MAX, 0));
        Self::Known { first, last }
    }

    /// The paths below one that has no value itself, as `emails` or `emails.status`.
    fn below(parent: &str) -> Option<Self> {
        if parent.eq_ignore_ascii_case("custom") {
            return Some(Self::Customs);
        }
        let below = |(name, _): &(&str, Type)| {
            let head = name.get(..parent.len()).filter(|head| head.eq_ignore_ascii_case(parent));
            head.is_some() && name.as_bytes().get(parent.len()) == Some(&b'.')
        };
        let first = PATHS.iter().position(below)?;
        let last = PATHS.iter().rposition(below)?;
        Some(Self::Known { first: u8::try_from(first).ok()?, last: u8::try_from(last).ok()? })
    }

    /// Whether the values of a path are in it.
    fn holds(&self, path: &Path) -> bool {
        match (self, path) {
            (Self::Known { first, last }, Path::Known(at)) => (first..=last).contains(&at),
            (Self::Custom(wanted), Path::Custom(key)) => wanted.eq_ignore_ascii_case(key),
            (Self::Customs, Path::Custom(_)) => true,
            _ => false,
        }
    }
}

impl std::fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seen(…)")
    }
}

impl Leaves for [Leaf] {
    fn each(&self, span: &Span, see: &mut impl FnMut(u16, Seen<'_>) -> bool) {
        for leaf in self.iter().filter(|leaf| span.holds(&leaf.path)) {
            let enough = match &leaf.value {
                Scalar::Text(text) => see(leaf.index, Seen::Text(&judged(&leaf.path, text))),
                Scalar::Bool(value) => see(leaf.index, Seen::Bool(*value)),
                Scalar::Time(value) => see(leaf.index, Seen::Time(*value)),
                Scalar::Number(text) => see(leaf.index, Seen::Number(text)),
                Scalar::Account(id) => see(leaf.index, Seen::Account(*id)),
                Scalar::Contact(id) => see(leaf.index, Seen::Contact(*id)),
                Scalar::Book(id) => see(leaf.index, Seen::Book(*id)),
            };
            if enough {
                return;
            }
        }
    }
}

/// So many octets of a folded text are judged, and of a note.
const JUDGED: usize = 1_000;
const JUDGED_OF_NOTE: usize = 4_000;

/// What is judged of a text: the beginning, folded. A contact in memory is no larger for it, and a
/// card of a megabyte is not read at each filter.
fn judged(path: &Path, text: &str) -> Vec<u8> {
    const NOTE: u8 = place("note");
    let most = if matches!(path, Path::Known(NOTE)) { JUDGED_OF_NOTE } else { JUDGED };
    // Accents that are left out are some octets each, rarely more than one for a letter.
    let mut folded = fold(text.get(..text.floor_char_boundary(4 * most)).unwrap_or(text));
    if folded.len() > most {
        let begins = |octet: &u8| octet & 0xC0 != 0x80;
        let end = (0..=most).rev().find(|at| folded.get(*at).is_some_and(begins));
        folded.truncate(end.unwrap_or(0));
    }
    folded
}

fn each_term<'a>(node: &'a Node, see: &mut impl FnMut(&'a Term)) {
    match node {
        Node::Term(term) => see(term),
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|node| each_term(node, see)),
        Node::Not(node) | Node::Within(_, node) => each_term(node, see),
    }
}

fn each_value(node: &mut Node, see: &mut impl FnMut(&mut Value)) {
    match node {
        Node::Term(Term { test: Test::Is(_, value), .. }) => see(value),
        Node::Term(_) => {}
        Node::All(nodes) | Node::Any(nodes) => nodes.iter_mut().for_each(|node| each_value(node, see)),
        Node::Not(node) | Node::Within(_, node) => each_value(node, see),
    }
}
