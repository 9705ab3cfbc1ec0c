//! What differs between two states of a contact, field by field, as its history tells it: a list
//! is one field, an object's members are fields of their own.

use std::collections::BTreeMap;

use super::{Leaf, PATHS, Path};

crate::hidden!(Change);

/// A field that has another value.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// The field: `title`, `name.family`, `emails`, `custom.KEY`.
    pub path: String,
    /// What it held.
    pub old: Vec<Leaf>,
    /// What it holds.
    pub new: Vec<Leaf>,
}

/// Lists of objects, which change as a whole.
const LISTS: [&str; 4] = ["emails", "phones", "addresses", "urls"];

/// What changes by itself, or never, or is only another form of something else.
const SILENT: [&str; 9] =
    ["id", "number", "uid", "etag", "phones.e164", "created_at", "updated_at", "created_by", "updated_by"];

/// The fields that differ, in the order of [`PATHS`], the admin's own fields last.
pub fn changes(before: &[Leaf], after: &[Leaf]) -> Vec<Change> {
    let mut fields: BTreeMap<(Path, &str), [Vec<&Leaf>; 2]> = BTreeMap::new();
    for leaf in before {
        if let Some(field) = field(&leaf.path) {
            let [old, _] = fields.entry(field).or_default();
            old.push(leaf);
        }
    }
    for leaf in after {
        if let Some(field) = field(&leaf.path) {
            let [_, new] = fields.entry(field).or_default();
            new.push(leaf);
        }
    }
    let differ = fields.into_iter().filter(|(_, [old, new])| old != new);
    let owned = |leaves: Vec<&Leaf>| leaves.into_iter().cloned().collect();
    let change = |((path, name), [old, new]): ((Path, &str), [Vec<&Leaf>; 2])| Change {
        path: if name.is_empty() { path.name() } else { name.to_owned() },
        old: owned(old),
        new: owned(new),
    };
    differ.map(change).collect()
}

/// The field that a path is of, by its first path, with the name of a list.
fn field(path: &Path) -> Option<(Path, &'static str)> {
    let Path::Known(at) = path else { return Some((path.clone(), "")) };
    let (name, _) = PATHS.get(usize::from(*at))?;
    if SILENT.contains(name) {
        return None;
    }
    let list = name.split_once('.').and_then(|(head, _)| LISTS.iter().find(|list| **list == head));
    match list {
        None => Some((path.clone(), "")),
        Some(list) => {
            let first =
                PATHS.iter().position(|(path, _)| path.split_once('.').is_some_and(|(h, _)| h == *list))?;
            Some((Path::Known(u8::try_from(first).ok()?), list))
        }
    }
}

#[cfg(test)]
mod tests;
