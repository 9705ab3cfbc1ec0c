//! Lists: how much of one is told at a time, in which order, and where the next piece begins.
//!
//! A cursor names the last item that was told by its id, and its place in the order for when it has
//! gone meanwhile. It holds nothing of what the items say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::domain::search::fold;

use super::problem::{Kind, Problem};
use super::query::Query;

/// How many items are told where nobody says.
pub const USUAL: usize = 100;
/// The most items that are told at once.
pub const MOST: usize = 1000;

/// A piece of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next piece begins; null after the last one.
    pub next_cursor: Option<String>,
    /// How many items there are in all pieces.
    pub total: usize,
}

impl<T> Page<T> {
    /// The same piece, its items as they are told.
    pub fn map<U>(self, told: impl FnMut(T) -> U) -> Page<U> {
        let Self { items, next_cursor, total } = self;
        Page { items: items.into_iter().map(told).collect(), next_cursor, total }
    }
}

/// What items are sorted by; texts without case and accents.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A number, or a time.
    Number(i64),
    /// A text, and how it is written where that is all the difference.
    Text(Vec<u8>, String),
}

impl Key {
    /// A text's key.
    pub fn text(text: &str) -> Self {
        Self::Text(fold(text), text.to_owned())
    }

    /// The key of what stands under a heading in an order of the admin's own.
    pub fn placed(section: &str, order: i64, key: &str) -> Self {
        let mut place = fold(section);
        place.push(0);
        // So that numbers below zero come first.
        place.extend((order ^ i64::MIN).to_be_bytes());
        place.extend(key.as_bytes());
        Self::Text(place, section.to_owned())
    }
}

/// A field that items may be sorted by: its name, and an item's key.
pub type Sort<T> = (&'static str, fn(&T) -> Key);

/// How a list's items are told apart and put in order.
pub struct Order<T: 'static> {
    /// An item's id.
    pub id: fn(&T) -> [u8; 16],
    /// The fields that it may be sorted by; the first one is what it is sorted by where nobody says.
    pub fields: &'static [Sort<T>],
}

/// What the query asks for of a list.
#[derive(Debug)]
pub struct Asked {
    limit: usize,
    after: Option<Cursor>,
    sort: Vec<(usize, bool)>,
}

/// Where a piece of a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Of which list and order, as a number.
    pub sort: u32,
    /// Where the last item that was told stood.
    pub at: u32,
    /// The last item that was told.
    pub id: [u8; 16],
}

impl Asked {
    /// Reads `limit`, `cursor` and `sort`.
    pub fn of<T: 'static>(query: &Query, order: &Order<T>) -> Result<Self, Problem> {
        let limit = limit(query)?;
        let sort = match query.get("sort") {
            None => vec![(0, false)],
            Some(text) => sort(text, order)?,
        };
        let after = match query.get("cursor") {
            None => None,
            Some(text) => {
                let wrong = || unreadable("cursor", "this is no cursor of this list in this order");
                let cursor = Cursor::parse(text).ok_or_else(wrong)?;
                Some(cursor).filter(|cursor| cursor.sort == number(&sort)).ok_or_else(wrong).map(Some)?
            }
        };
        Ok(Self { limit, after, sort })
    }

    /// The piece of the list that was asked for.
    pub fn piece<T: 'static>(&self, mut items: Vec<T>, order: &Order<T>) -> Page<T> {
        let keys = |item: &T| {
            let keys = self.sort.iter().filter_map(|(at, back)| {
                let (_, key) = order.fields.get(*at)?;
                Some((key(item), *back))
            });
            keys.collect::<Vec<_>>()
        };
        items.sort_by_cached_key(|item| Sorted(keys(item), (order.id)(item)));
        let total = items.len();
        let start = match self.after {
            None => 0,
            Some(cursor) => match items.iter().position(|item| (order.id)(item) == cursor.id) {
                Some(at) => at + 1,
                // It has gone, and those behind it have moved up.
                None => usize::try_from(cursor.at).unwrap_or(usize::MAX).min(total),
            },
        };
        let items: Vec<T> = items.into_iter().skip(start).take(self.limit).collect();
        let end = start.saturating_add(items.len());
        let next_cursor = items.last().filter(|_| end < total).map(|last| {
            let at = u32::try_from(end.saturating_sub(1)).unwrap_or(u32::MAX);
            Cursor { sort: number(&self.sort), at, id: (order.id)(last) }.written()
        });
        Page { items, next_cursor, total }
    }
}

/// How many items are asked for.
pub fn limit(query: &Query) -> Result<usize, Problem> {
    let Some(text) = query.get("limit") else { return Ok(USUAL) };
    let number = text.parse::<usize>().map_err(|_| unreadable("limit", "this must be a number"))?;
    if !(1..=MOST).contains(&number) {
        let text = format!("a list is told in pieces of 1 to {MOST}");
        return Err(Problem::parameter(Kind::Wrong, "limit", text));
    }
    Ok(number)
}

/// Keys of which some count backwards, and the id for where they are equal.
#[derive(PartialEq, Eq)]
struct Sorted(Vec<(Key, bool)>, [u8; 16]);

impl Ord for Sorted {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        for ((a, back), (b, _)) in self.0.iter().zip(&other.0) {
            let order = if *back { b.cmp(a) } else { a.cmp(b) };
            if order.is_ne() {
                return order;
            }
        }
        self.1.cmp(&other.1)
    }
}

impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// `name`, `-created`, or several of them with commas.
fn sort<T: 'static>(text: &str, order: &Order<T>) -> Result<Vec<(usize, bool)>, Problem> {
    let names: Vec<_> = order.fields.iter().map(|(name, _)| *name).collect();
    let known = || {
        let text = format!("sort by one or more of {}, with - in front for backwards", names.join(", "));
        unreadable("sort", &text)
    };
    let mut sort = Vec::new();
    for word in text.split(',').take(names.len() + 1) {
        let word = word.trim();
        let (name, back) = word.strip_prefix('-').map_or((word, false), |name| (name, true));
        let at = names.iter().position(|known| *known == name).ok_or_else(known)?;
        sort.push((at, back));
    }
    Ok(sort)
}

/// A number for an order, so that a cursor is not taken for one of another order.
fn number(sort: &[(usize, bool)]) -> u32 {
    let step = |sum: u32, (at, back): &(usize, bool)| {
        let at = u32::try_from(*at).unwrap_or(u32::MAX);
        sum.wrapping_mul(31).wrapping_add(at.wrapping_mul(2).wrapping_add(u32::from(*back)).wrapping_add(1))
    };
    sort.iter().fold(7, step)
}

impl Cursor {
    /// As it is told.
    pub fn written(self) -> String {
        let mut bytes = Vec::with_capacity(24);
        bytes.extend_from_slice(&self.sort.to_be_bytes());
        bytes.extend_from_slice(&self.at.to_be_bytes());
        bytes.extend_from_slice(&self.id);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what was told.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (sort, rest) = bytes.split_first_chunk::<4>()?;
        let (at, id) = rest.split_first_chunk::<4>()?;
        let id = id.try_into().ok()?;
        Some(Self { sort: u32::from_be_bytes(*sort), at: u32::from_be_bytes(*at), id })
    }
}

fn unreadable(name: &str, text: &str) -> Problem {
    Problem::parameter(Kind::Unreadable, name, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Item = (u8, &'static str, i64);

    const ORDER: Order<Item> = Order {
        id: |item| [item.0; 16],
        fields: &[("name", |item| Key::text(item.1)), ("age", |item| Key::Number(item.2))],
    };

    fn items() -> Vec<Item> {
        vec![(1, "Zoe", 3), (2, "ärger", 1), (3, "Bob", 2), (4, "bob", 2), (5, "arno", 9)]
    }

    fn ask(query: &str) -> Result<Page<Item>, Problem> {
        let query = Query::parse(query).unwrap();
        Ok(Asked::of(&query, &ORDER)?.piece(items(), &ORDER))
    }

    fn ids(page: &Page<Item>) -> Vec<u8> {
        page.items.iter().map(|item| item.0).collect()
    }

    #[test]
    fn lists_are_sorted_without_case_and_accents() {
        assert_eq!(ids(&ask("").unwrap()), [2, 5, 3, 4, 1]);
        assert_eq!(ids(&ask("sort=-age,name").unwrap()), [5, 1, 3, 4, 2]);
        for bad in ["sort=other", "sort=", "limit=x", "limit=-1", "cursor=!", "cursor=", "cursor=AAAA"] {
            assert!(ask(bad).is_err(), "{bad}");
        }
        for (bad, status) in [("limit=0", 422), ("limit=1001", 422), ("limit=1e3", 400)] {
            assert_eq!(ask(bad).unwrap_err().answer().status(), status, "{bad}");
        }
    }

    #[test]
    fn pieces_make_up_the_list() {
        for limit in 1..7 {
            let (mut all, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = ask(&format!("sort=-name&limit={limit}{cursor}")).unwrap();
                assert_eq!(page.total, 5);
                all.extend(ids(&page));
                match page.next_cursor {
                    Some(next) => {
                        assert!(next.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
                        cursor = format!("&cursor={next}");
                    }
                    None => break,
                }
            }
            assert_eq!(all, [1, 4, 3, 5, 2]);
        }
        let next = ask("limit=1").unwrap().next_cursor.unwrap();
        assert!(ask(&format!("sort=age&cursor={next}")).is_err(), "of another order");
    }

    #[test]
    fn a_cursor_outlives_its_item() {
        let asked = |query: &str| Asked::of(&Query::parse(query).unwrap(), &ORDER).unwrap();
        let next = asked("limit=2").piece(items(), &ORDER).next_cursor.unwrap();
        let mut left = items();
        left.retain(|item| item.0 != 5);
        let page = asked(&format!("cursor={next}")).piece(left, &ORDER);
        assert_eq!(ids(&page), [3, 4, 1]);
    }

    proptest! {
        #[test]
        fn no_cursor_panics(text in ".{0,80}") {
            let _ = Cursor::parse(&text);
        }
    }
}
