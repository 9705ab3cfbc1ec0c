//! A page of contacts: those that match, in an order, from where the last page ended.

use std::cmp::Ordering;

use crate::domain::contact::Path;
use crate::domain::id::ContactId;
use crate::domain::scim::{Packed, Seen};

use super::entries::{Entries, Entry, Slot};
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
    /// When it came into the trash; what did not comes last.
    Trashed,
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
struct Anchor {
    slot: Slot,
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

/// So many contacts are fetched from memory side by side before they are judged: one after the other,
/// waiting for memory takes longer than judging.
const TOGETHER: usize = 32;

pub(super) fn page(entries: &Entries, asked: &Asked) -> Page {
    let judged = judged(entries, &asked.books, &asked.wanted);
    let matches = |slot: &Slot| judged.get(*slot as usize).is_some_and(|matches| *matches);
    let mark = |entry: &Entry| match asked.order.is_empty() {
        true => entries.mark(entry.name()),
        false => entries.mark(keys(entry, &asked.order).collect::<Vec<_>>()),
    };
    let anchor = asked.step.and_then(|step| {
        let slot = entries.slot(&step.after).filter(matches)?;
        let entry = entries.at(slot)?;
        Some(Anchor { slot, stays: mark(entry) == step.mark })
    });
    let (found, total) = match asked.order.is_empty() {
        // This order is kept.
        true => {
            let found: Vec<Slot> = entries.named().filter(matches).collect();
            let total = found.len();
            (found, total)
        }
        false => sorted(entries, asked, anchor.as_ref(), entries.slots().filter(matches)),
    };
    cut(entries, &found, total, asked, anchor.as_ref(), mark)
}

/// Of each contact, as they lie in memory, whether it is in one of the books and is what is wanted.
fn judged(entries: &Entries, books: &Books, wanted: &Wanted) -> Vec<bool> {
    let sight = entries.sight(books);
    let mut judged: Vec<bool> = entries.slots().map(|slot| entries.is_seen(slot, &sight)).collect();
    if wanted.is_anything() {
        return judged;
    }
    for (some, from) in judged.chunks_mut(TOGETHER).zip(entries.slots().step_by(TOGETHER)) {
        let packed = || {
            let seen = some.iter().zip(from..).filter(|(seen, _)| **seen);
            seen.filter_map(|(_, slot)| entries.at(slot)).map(|entry| Packed(&entry.packed))
        };
        // What is read is not needed here, only that it was read.
        std::hint::black_box(packed().fold(0, |all, packed| all ^ wanted.fetched(packed)));
        std::hint::black_box(packed().fold(0, |all, packed| all ^ wanted.looked_at(packed)));
        for (seen, slot) in some.iter_mut().zip(from..).filter(|(seen, _)| **seen) {
            *seen = entries.at(slot).is_some_and(|entry| wanted.has(entry));
        }
    }
    judged
}

/// Those that match, in an order that is not kept, as far as the page needs them; and how many they are.
fn sorted(
    entries: &Entries,
    asked: &Asked,
    anchor: Option<&Anchor>,
    matching: impl Iterator<Item = Slot>,
) -> (Vec<Slot>, usize) {
    let order = &asked.order;
    let keyed = |slot: Slot| {
        let entry = entries.at(slot)?;
        Some(Keyed { first: keys(entry, order).next().unwrap_or(Key::None), entry, slot })
    };
    let mut found: Vec<Keyed<'_>> = matching.filter_map(keyed).collect();
    let total = found.len();
    let compare = |a: &Keyed<'_>, b: &Keyed<'_>| ranked(a, b, order);
    // Only what is shown, and what is before it, is put in order.
    let wanted = match (asked.step, anchor) {
        (None, _) => asked.limit,
        (Some(_), Some(Anchor { slot, stays: true, .. })) => {
            let anchor = keyed(*slot);
            let upto = |one: &&Keyed<'_>| anchor.as_ref().is_some_and(|anchor| compare(one, anchor).is_le());
            let before = found.iter().filter(upto).count();
            before.saturating_add(asked.limit)
        }
        (Some(step), _) => step.at.saturating_add(asked.limit),
    };
    let most = wanted.saturating_add(2);
    if most < found.len() {
        found.select_nth_unstable_by(most, compare);
        found.truncate(most);
    }
    found.sort_unstable_by(compare);
    (found.into_iter().map(|keyed| keyed.slot).collect(), total)
}

/// The piece that is asked for of what is in order.
fn cut(
    entries: &Entries,
    found: &[Slot],
    total: usize,
    asked: &Asked,
    anchor: Option<&Anchor>,
    mark: impl Fn(&Entry) -> u64,
) -> Page {
    let start = match asked.step {
        None => 0,
        Some(step) => {
            let at = anchor.and_then(|anchor| found.iter().position(|slot| *slot == anchor.slot));
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
    let shown = found.iter().skip(start).take(asked.limit).filter_map(|slot| entries.at(*slot));
    let shown: Vec<&Entry> = shown.collect();
    let end = start + shown.len();
    let last = shown.last().filter(|_| end < total);
    let next = last.map(|last| Step { after: last.id, at: end - 1, mark: mark(last) });
    Page { contacts: shown.into_iter().map(|entry| entry.id).collect(), total, next }
}

/// What is sorted. The other levels of the order are looked up where the first does not tell.
struct Keyed<'a> {
    first: Key<'a>,
    entry: &'a Entry,
    slot: Slot,
}

fn keys<'a>(entry: &'a Entry, order: &[Order]) -> impl Iterator<Item = Key<'a>> {
    order.iter().map(|order| key(entry, order))
}

fn key<'a>(entry: &'a Entry, order: &Order) -> Key<'a> {
    match &order.by {
        By::Number => Key::Number(i64::from(entry.series) << 56 | i64::try_from(entry.number).unwrap_or(0)),
        By::Created => Key::Number(entry.created),
        By::Updated => Key::Number(entry.updated),
        By::Trashed => entry.trashed.as_ref().map_or(Key::None, |trashed| Key::Number(trashed.at)),
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
    }
}

/// A number so that whole numbers of its octets are in its order.
fn decimal(number: &str) -> Key<'static> {
    let Ok(number) = number.parse::<f64>() else { return Key::None };
    let bits = number.to_bits().cast_signed();
    Key::Number(if bits < 0 { bits ^ i64::MAX } else { bits })
}

fn ranked(a: &Keyed<'_>, b: &Keyed<'_>, order: &[Order]) -> Ordering {
    let Some((first, others)) = order.split_first() else { return a.entry.id.cmp(&b.entry.id) };
    let level = |order: &Order, a: &Key<'_>, b: &Key<'_>| match (order.descending, a, b) {
        // What has no value comes last either way.
        (true, Key::None, _) | (true, _, Key::None) => a.cmp(b),
        (true, ..) => b.cmp(a),
        (false, ..) => a.cmp(b),
    };
    let mut others = others.iter().map(|order| level(order, &key(a.entry, order), &key(b.entry, order)));
    level(first, &a.first, &b.first)
        .then_with(|| others.find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
        .then_with(|| a.entry.id.cmp(&b.entry.id))
}
