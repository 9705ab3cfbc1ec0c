//! Whether a contact is as a filter says: one pass over the values of a place for each comparison,
//! without allocating.

use std::cmp::Ordering;

use super::decimal::Decimal;
use super::{Leaves, Node, Order, Seen, Span, Term, Test, Value};

/// Whether the values are as the node says.
pub(super) fn holds(node: &Node, leaves: &(impl Leaves + ?Sized)) -> bool {
    match node {
        Node::Term(term) => {
            let mut found = false;
            leaves.each(&term.at, &mut |_, seen| {
                found = term.passes(seen);
                found
            });
            found
        }
        Node::All(nodes) => nodes.iter().all(|node| holds(node, leaves)),
        Node::Any(nodes) => nodes.iter().any(|node| holds(node, leaves)),
        Node::Not(node) => !holds(node, leaves),
        Node::Within(span, node) => {
            // Only what turns an answer around needs to know which objects there are.
            let all = if turns(node) { objects(span, leaves) } else { Objects::ALL };
            !all.is_empty() && !among(node, &all, leaves).is_empty()
        }
    }
}

/// So many objects of one list are judged each for itself.
const OBJECTS: usize = 1_024;

/// Some of the objects of a list.
#[derive(Clone, Copy)]
struct Objects([u64; OBJECTS / 64]);

impl Objects {
    const NONE: Self = Self([0; OBJECTS / 64]);
    const ALL: Self = Self([u64::MAX; OBJECTS / 64]);

    fn insert(&mut self, index: u16) {
        if let Some(word) = self.0.get_mut(usize::from(index / 64)) {
            *word |= 1 << (index % 64);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn with(mut self, other: &Self, each: impl Fn(u64, u64) -> u64) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(one, two)| *one = each(*one, *two));
        self
    }
}

/// Whether a node holds where another does not.
fn turns(node: &Node) -> bool {
    match node {
        Node::Term(_) => false,
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(turns),
        Node::Not(_) | Node::Within(..) => true,
    }
}

/// The objects of a list.
fn objects(span: &Span, leaves: &(impl Leaves + ?Sized)) -> Objects {
    let mut all = Objects::NONE;
    leaves.each(span, &mut |index, _| {
        all.insert(index);
        false
    });
    all
}

/// Those objects of a list that are as the node says.
fn among(node: &Node, all: &Objects, leaves: &(impl Leaves + ?Sized)) -> Objects {
    match node {
        Node::Term(term) => {
            let mut found = Objects::NONE;
            leaves.each(&term.at, &mut |index, seen| {
                if term.passes(seen) {
                    found.insert(index);
                }
                false
            });
            found
        }
        Node::All(nodes) => {
            let mut found = *all;
            for node in nodes {
                found = found.with(&among(node, all, leaves), |a, b| a & b);
                if found.is_empty() {
                    break;
                }
            }
            found
        }
        Node::Any(nodes) => nodes
            .iter()
            .fold(Objects::NONE, |found, node| found.with(&among(node, all, leaves), |a, b| a | b)),
        Node::Not(node) => all.with(&among(node, all, leaves), |a, b| a & !b),
        // The grammar has no list in a list.
        Node::Within(..) => Objects::NONE,
    }
}

impl Term {
    #[inline]
    fn passes(&self, seen: Seen<'_>) -> bool {
        match &self.test {
            Test::Present => true,
            Test::Contains(finder) => text(seen).is_some_and(|text| finder.find(text).is_some()),
            Test::Starts(part) => text(seen).is_some_and(|text| text.starts_with(part)),
            Test::Ends(part) => text(seen).is_some_and(|text| text.ends_with(part)),
            Test::Is(order, value) => compare(seen, value).is_some_and(|found| order.holds(found)),
        }
    }
}

impl Order {
    fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Equal => found.is_eq(),
            Self::GreaterOrEqual => found.is_ge(),
            Self::Greater => found.is_gt(),
        }
    }
}

fn text(seen: Seen<'_>) -> Option<&[u8]> {
    match seen {
        Seen::Text(text) => Some(text),
        Seen::Number(number) => Some(number.as_bytes()),
        _ => None,
    }
}

/// How a value stands to another; `None` where they are of different kinds, or have no order and
/// differ. The admin's own fields may hold digits as a text or as a number, whatever the filter says.
#[inline]
fn compare(seen: Seen<'_>, value: &Value) -> Option<Ordering> {
    let same = |same: bool| same.then_some(Ordering::Equal);
    match (seen, value) {
        (Seen::Text(seen), Value::Text(value)) => Some(seen.cmp(value)),
        (Seen::Text(seen), Value::Number(value)) => numbers(seen, value.as_bytes()),
        (Seen::Number(seen), Value::Number(value)) => numbers(seen.as_bytes(), value.as_bytes()),
        (Seen::Number(seen), Value::Text(value)) => numbers(seen.as_bytes(), value),
        (Seen::Bool(seen), Value::Bool(value)) => Some(seen.cmp(value)),
        (Seen::Time(seen), Value::Time(from, until)) => Some(match seen {
            before if before < *from => Ordering::Less,
            within if within < *until => Ordering::Equal,
            _ => Ordering::Greater,
        }),
        (Seen::Account(seen), Value::Account(value)) => same(seen == *value),
        (Seen::Contact(seen), Value::Contact(value)) => same(seen == *value),
        (Seen::Book(seen), Value::Book(value)) => same(seen == *value),
        _ => None,
    }
}

fn numbers(seen: &[u8], value: &[u8]) -> Option<Ordering> {
    Some(Decimal::parse(seen)?.cmp(&Decimal::parse(value)?))
}
