//! A page of contacts: those that match, in an order, from where the last page ended.

use std::cmp::Ordering;

use crate::domain::contact::Path;
use crate::domain::id::ContactId;
use crate::domain::scim::{Packed, Seen};

use super::entries::{Entries, Entry};
use super::{Books, Wanted};

/// What a list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The number.
    Number,
    /// When it was made.
    Created,
    /// When it last changed.
    Updated,
    /// A path's first value; what has none comes last.
    Path(Path),
}

/// One level of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: By,
    /// From high to low.
    pub descending: bool,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// After this contact.
    pub after: ContactId,
    /// Where it stood in the list, if it is no longer there.
    pub at: usize,
    /// By what the contact is known to stand where it stood, and not to have moved since. It tells
    /// nobody anything, and nothing after the index was made anew.
    pub mark: u64,
}

/// What is asked for.
pub struct Asked {
    /// Of which books.
    pub books: Books,
    /// Which of their contacts.
    pub wanted: Wanted,
    /// In which order; none is that of the names.
    pub order: Vec<Order>,
    /// From where on.
    pub step: Option<Step>,
    /// How many.
    pub limit: usize,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The contacts.
    pub contacts: Vec<ContactId>,
    /// How many match in all.
    pub total: usize,
    /// Where the next page begins.
    pub next: Option<Step>,
}

/// The contact after which a page begins.
struct Anchor<'a> {
    entry: &'a Entry,
    /// It stands where it stood, as far as its values go.
    stays: bool,
}

/// What is compared.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key<'a> {
    Number(i64),
    Text(&'a [u8]),
    Id([u8; 16]),
    None,
}

pub(super) fn page(entries: &Entries, asked: &Asked) -> Page {
    let matches = |entry: &&Entry| entry.is_in(&asked.books) && asked.wanted.has(entry);
    // The order of names is kept.
    let mark = |entry: &Entry| match asked.order.is_empty() {
        true => entries.mark(entry.name()),
        false => entries.mark(key(entry, &asked.order)),
    };
    let anchor = asked.step.and_then(|step| {
        let anchor = entries.get(&step.after).filter(matches)?;
        Some(Anchor { entry: anchor, stays: mark(anchor) == step.mark })
    });
    if asked.order.is_empty() {
        let found: Vec<&Entry> = entries.named().filter(matches).collect();
        return cut(&found, found.len(), asked, anchor.as_ref(), mark);
    }
    let mut keyed: Vec<(Vec<Key<'_>>, &Entry)> =
        entries.iter().filter(matches).map(|entry| (key(entry, &asked.order), entry)).collect();
    let total = keyed.len();
    let compare = |a: &(Vec<Key<'_>>, &Entry), b: &(Vec<Key<'_>>, &Entry)| ranked(a, b, &asked.order);
    // Only what is shown, and what is before it, is put in order.
    let wanted = match (asked.step, &anchor) {
        (None, _) => asked.limit,
        (Some(_), Some(Anchor { entry, stays: true })) => {
            let anchor = (key(entry, &asked.order), *entry);
            let before = keyed.iter().filter(|one| compare(one, &anchor) != Ordering::Greater).count();
            before + asked.limit
        }
        (Some(step), _) => step.at.saturating_add(asked.limit),
    };
    let most = wanted.saturating_add(2);
    if most < keyed.len() {
        keyed.select_nth_unstable_by(most, compare);
        keyed.truncate(most);
    }
    keyed.sort_unstable_by(compare);
    let found: Vec<&Entry> = keyed.into_iter().map(|(_, entry)| entry).collect();
    cut(&found, total, asked, anchor.as_ref(), mark)
}

/// The piece that is asked for of what is in order.
fn cut(
    found: &[&Entry],
    total: usize,
    asked: &Asked,
    anchor: Option<&Anchor<'_>>,
    mark: impl Fn(&Entry) -> u64,
) -> Page {
    let start = match asked.step {
        None => 0,
        Some(step) => {
            let at = anchor.and_then(|anchor| found.iter().position(|entry| entry.id == anchor.entry.id));
            let start = match (anchor, at) {
                (Some(Anchor { stays: true, .. }), Some(at)) => at + 1,
                // It moved to before where it stood, and pushed on what was shown.
                (_, Some(at)) if at <= step.at => step.at.saturating_add(1),
                // It went: who stands there now was not shown yet.
                _ => step.at,
            };
            start.min(found.len())
        }
    };
    let shown: Vec<&Entry> = found.iter().skip(start).take(asked.limit).copied().collect();
    let end = start + shown.len();
    let last = shown.last().filter(|_| end < total);
    let next = last.map(|last| Step { after: last.id, at: end - 1, mark: mark(last) });
    Page { contacts: shown.into_iter().map(|entry| entry.id).collect(), total, next }
}

fn key<'a>(entry: &'a Entry, order: &[Order]) -> Vec<Key<'a>> {
    let one = |order: &Order| match &order.by {
        By::Number => Key::Number(i64::from(entry.series) << 56 | i64::try_from(entry.number).unwrap_or(0)),
        By::Created => Key::Number(entry.created),
        By::Updated => Key::Number(entry.updated),
        By::Path(path) => match Packed(&entry.packed).first(path) {
            Some(Seen::Text(text)) => Key::Text(text),
            Some(Seen::Bool(yes)) => Key::Number(i64::from(yes)),
            Some(Seen::Time(time)) => Key::Number(time),
            Some(Seen::Number(number)) => decimal(number),
            Some(Seen::Account(id)) => Key::Id(*id.as_bytes()),
            Some(Seen::Contact(id)) => Key::Id(*id.as_bytes()),
            Some(Seen::Book(id)) => Key::Id(*id.as_bytes()),
            None => Key::None,
        },
    };
    order.iter().map(one).collect()
}

/// A number so that whole numbers of its octets are in its order.
fn decimal(number: &str) -> Key<'static> {
    let Ok(number) = number.parse::<f64>() else { return Key::None };
    let bits = number.to_bits().cast_signed();
    Key::Number(if bits < 0 { bits ^ i64::MAX } else { bits })
}

fn ranked(a: &(Vec<Key<'_>>, &Entry), b: &(Vec<Key<'_>>, &Entry), order: &[Order]) -> Ordering {
    let levels = a.0.iter().zip(&b.0).zip(order);
    levels
        .map(|((a, b), order)| match (order.descending, a, b) {
            // What has no value comes last either way.
            (true, Key::None, _) | (true, _, Key::None) => a.cmp(b),
            (true, ..) => b.cmp(a),
            (false, ..) => a.cmp(b),
        })
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.1.id.cmp(&b.1.id))
}
