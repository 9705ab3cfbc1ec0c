//! A card as rows that are kept, rewritten, taken out or put in: what is not touched stays as it
//! came, octet for octet, and in its place. Knows groups and their labels; what properties mean is
//! [`read`](super::read)'s business.

use std::collections::{HashMap, HashSet};

use crate::domain::vcard::Version;
use crate::domain::vcard::lines::{LineView, RawLine};
use crate::domain::vcard::parts::{Place, parts};
use crate::domain::vcard::property::{Line, Property};
use crate::domain::vcard::write::Writer;

use super::read::What;

/// What only says how another property of its group is called or laid out.
const LABELS: [&str; 2] = ["X-ABLABEL", "X-ABADR"];

/// A card that is being changed.
pub(super) struct Sheet<'a> {
    rows: Vec<Row<'a>>,
    /// The row of END, or the one behind the last.
    end: usize,
    /// What stands behind the last line.
    tail: &'a [u8],
    version: Version,
    /// The groups, in lower case, of rows that were taken out.
    orphaned: HashSet<String>,
}

struct Row<'a> {
    /// What stands between the line before and this one: a mark of UTF-8, empty lines.
    gap: &'a [u8],
    /// New properties before this one.
    before: Vec<Property>,
    /// The line, unless it was taken out.
    content: Option<Content<'a>>,
}

/// A line.
pub(super) struct Content<'a> {
    octets: &'a [u8],
    /// The property, where it is one of those that fields show, or in a group.
    property: Option<Property>,
    what: Option<What>,
    changed: bool,
}

impl<'a> Sheet<'a> {
    /// Lays a card out.
    pub(super) fn of(card: &'a [u8]) -> Self {
        let mut rows = Vec::new();
        let mut end = None;
        let mut said = None;
        let mut parts = parts(card);
        let mut from = 0;
        while let Some((place, line)) = parts.next() {
            let to = card.len() - parts.rest().len();
            let gap = card.get(from..to - line.octets().len()).unwrap_or_default();
            from = to;
            if place == Place::End && end.is_none() {
                end = Some(rows.len());
            }
            let content = match place {
                Place::Own => Content::of(&line, &mut said),
                _ => Content { octets: line.octets(), property: None, what: None, changed: false },
            };
            rows.push(Row { gap, before: Vec::new(), content: Some(content) });
        }
        let end = end.unwrap_or(rows.len());
        // New properties may stand behind the last line of what has no END.
        rows.push(Row { gap: &[], before: Vec::new(), content: None });
        let tail = card.get(from..).unwrap_or_default();
        Self { rows, end, tail, version: said.unwrap_or(Version::V3), orphaned: HashSet::new() }
    }

    /// The card's version; 3.0 where it names none, as when it is stored (VC-12).
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// The rows that say this, with their properties.
    pub(super) fn all(&self, what: What) -> impl Iterator<Item = (usize, &Property)> {
        self.rows.iter().enumerate().filter_map(move |(at, row)| {
            let content = row.content.as_ref().filter(|content| content.what == Some(what))?;
            Some((at, content.property.as_ref()?))
        })
    }

    /// The property of a row, to be changed: the row is written anew.
    pub(super) fn change(&mut self, at: usize) -> Option<&mut Property> {
        let content = self.rows.get_mut(at)?.content.as_mut()?;
        content.changed = true;
        content.property.as_mut()
    }

    /// Takes a row out; the labels of its group go too, if nothing else is in it.
    pub(super) fn remove(&mut self, at: usize) {
        if let Some(content) = self.take(at)
            && let Some(group) = content.property.and_then(|property| property.group)
        {
            self.orphaned.insert(group.to_ascii_lowercase());
        }
    }

    /// Takes a row's line out, to [`put`](Self::put) it elsewhere.
    pub(super) fn take(&mut self, at: usize) -> Option<Content<'a>> {
        self.rows.get_mut(at)?.content.take()
    }

    /// Puts a line where one was taken out.
    pub(super) fn put(&mut self, at: usize, content: Option<Content<'a>>) {
        if let Some(row) = self.rows.get_mut(at) {
            row.content = content;
        }
    }

    /// Adds a property before a row.
    pub(super) fn insert(&mut self, before: usize, property: Property) {
        if let Some(row) = self.rows.get_mut(before) {
            row.before.push(property);
        }
    }

    /// The row behind this one, and behind the labels of its group that follow it.
    pub(super) fn behind(&self, at: usize) -> usize {
        let property = |at: usize| self.rows.get(at)?.content.as_ref()?.property.as_ref();
        let group = property(at).and_then(|property| property.group.as_deref());
        let label = |at: &usize| {
            property(*at).is_some_and(|property| {
                let same =
                    property.group.as_deref().zip(group).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
                same && is_label(property)
            })
        };
        (at + 1..self.end).find(|at| !label(at)).unwrap_or(self.end).min(self.end)
    }

    /// Where a new property goes that says this: behind the last of its kind, else before END.
    pub(super) fn place_of(&self, what: What) -> usize {
        self.all(what).map(|(at, _)| at).last().map_or(self.end, |at| self.behind(at))
    }

    /// The card's octets.
    pub(super) fn finish(mut self, size: usize) -> Vec<u8> {
        self.drop_labels();
        let mut out = Vec::with_capacity(size + 256);
        for row in &self.rows {
            for property in &row.before {
                write(property, &mut out);
            }
            append(row.gap, &mut out);
            match &row.content {
                Some(Content { changed: true, property: Some(property), .. }) => write(property, &mut out),
                Some(content) => append(content.octets, &mut out),
                None => {}
            }
        }
        append(self.tail, &mut out);
        out
    }

    /// Takes the labels out whose groups have nothing else any more.
    fn drop_labels(&mut self) {
        if self.orphaned.is_empty() {
            return;
        }
        let mut in_use: HashMap<String, bool> = HashMap::new();
        for property in self.rows.iter().filter_map(|row| row.content.as_ref()?.property.as_ref()) {
            if let Some(group) = &property.group {
                *in_use.entry(group.to_ascii_lowercase()).or_default() |= !is_label(property);
            }
        }
        for row in &mut self.rows {
            let group = row.content.as_ref().and_then(|content| content.property.as_ref()?.group.as_ref());
            let group = group.map(|group| group.to_ascii_lowercase());
            if group.is_some_and(|group| self.orphaned.contains(&group) && in_use.get(&group) == Some(&false))
            {
                row.content = None;
            }
        }
    }
}

impl<'a> Content<'a> {
    /// Reads an own line of the card as far as it matters; `said` is the version (VC-8).
    fn of(line: &RawLine<'a>, said: &mut Option<Version>) -> Self {
        let octets = line.octets();
        let plain = Self { octets, property: None, what: None, changed: false };
        let is_version = |name: &[u8]| name.eq_ignore_ascii_case(b"VERSION");
        if let Some((group, name)) = line.head()
            && ((group.is_none() && What::of(name).is_none() && !is_version(name)) || is_photo(name))
        {
            // A photo's group counts as in use, so its name is enough.
            let group = group.and_then(|group| String::from_utf8(group.to_vec()).ok());
            let property = group.map(|group| Property { group: Some(group), ..Property::new("PHOTO", "") });
            return Self { property, ..plain };
        }
        let text = line.unfold();
        if LineView::split(&text).is_some_and(|view| is_version(view.name)) {
            match LineView::split(&text).map(|view| view.value.trim_ascii()) {
                Some(b"3.0") => *said = Some(Version::V3),
                Some(b"4.0") => *said = Some(Version::V4),
                _ => {}
            }
            return plain;
        }
        match Line::parse(&text) {
            Line::Property(property) => {
                let what = What::of(property.name.as_bytes());
                Self { what, property: Some(property), ..plain }
            }
            Line::Unknown(_) => plain,
        }
    }
}

fn is_photo(name: &[u8]) -> bool {
    What::of(name) == Some(What::Photo)
}

fn is_label(property: &Property) -> bool {
    LABELS.iter().any(|label| property.is(label))
}

/// Writes a property on a line of its own.
fn write(property: &Property, out: &mut Vec<u8>) {
    if out.last().is_some_and(|last| !matches!(last, b'\r' | b'\n')) {
        out.extend_from_slice(b"\r\n");
    }
    let mut writer = Writer::default();
    writer.property(property);
    append(&writer.finish(), out);
}

/// Appends octets as they are. Where a line between a CR and an LF was taken out, those two must
/// not become one line end.
fn append(octets: &[u8], out: &mut Vec<u8>) {
    if out.ends_with(b"\r") && octets.starts_with(b"\n") {
        out.push(b'\n');
    }
    out.extend_from_slice(octets);
}
