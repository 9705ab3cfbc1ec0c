//! The converted card while it grows, and what a rule must know about the whole card: groups and
//! their labels, preferences, alternatives. Everything is gathered in one pass, so that no rule
//! searches the card (VC-44). Knows no rule.

use std::collections::{BTreeMap, BTreeSet};

use super::super::vcard::Version;
use super::super::vcard::property::{Line, Property};
use super::media;

/// How little a property without `PREF` is preferred: less than the last of 100 (RFC 6350 §5.3).
const NOT_PREFERRED: u8 = 101;

/// The card being written, with what is known about the one being read.
pub(super) struct Draft {
    /// The version being written.
    pub to: Version,
    /// The lines written so far.
    pub out: Vec<Line>,
    /// What waits for the end of the card.
    pub aside: Aside,
    /// What the source holds once at most.
    pub has: Has,
    /// The URIs of all IMPP lines, in lower case: Apple writes them next to X-AIM and the like.
    pub impp: BTreeSet<String>,
    groups: BTreeMap<String, Group>,
    best: BTreeMap<String, u8>,
    picks: BTreeMap<(String, String), (u8, usize)>,
    next_item: u32,
}

/// Properties that are put together at the end of the card.
#[derive(Default)]
pub(super) struct Aside {
    /// LABEL properties, each with the number of lines written before it (VC-25).
    pub labels: Vec<(usize, Property)>,
    /// SORT-STRING (VC-27).
    pub sort_string: Option<Property>,
    /// X-PHONETIC-LAST-NAME, -FIRST-NAME and -MIDDLE-NAME (VC-27).
    pub phonetic: [Option<Property>; 3],
}

/// What the source has.
#[derive(Default)]
pub(super) struct Has {
    /// KIND.
    pub kind: bool,
    /// X-ADDRESSBOOKSERVER-KIND.
    pub apple_kind: bool,
    /// X-ABShowAs.
    pub show_as: bool,
    /// ANNIVERSARY, or another form of it that was converted already: its value.
    pub anniversary: Option<String>,
    /// KIND:org, or X-ABShowAs:COMPANY.
    pub company: bool,
}

/// The properties that share a group name.
#[derive(Default)]
struct Group {
    label: Option<String>,
    members: u32,
    dissolved: bool,
}

impl Draft {
    /// An empty card in version `to`, and all that must be known about `source`.
    pub fn about(source: &[Line], to: Version) -> Self {
        let mut draft = Self {
            to,
            out: Vec::with_capacity(source.len() + 4),
            aside: Aside::default(),
            has: Has::default(),
            impp: BTreeSet::new(),
            groups: BTreeMap::new(),
            best: BTreeMap::new(),
            picks: BTreeMap::new(),
            next_item: 1,
        };
        for (at, property) in source.iter().enumerate().filter_map(|(at, line)| Some((at, line.property()?)))
        {
            draft.note(at, property);
        }
        draft
    }

    fn note(&mut self, at: usize, property: &Property) {
        if let Some(name) = &property.group {
            let group = self.groups.entry(name.to_ascii_lowercase()).or_default();
            if property.is("X-ABLABEL") {
                group.label.get_or_insert_with(|| property.value.clone());
            } else {
                group.members += 1;
            }
        }
        match property.name.len() {
            4 if property.is("KIND") => {
                self.has.kind = true;
                self.has.company |= property.value.eq_ignore_ascii_case("org");
            }
            4 if property.is("IMPP") => {
                self.impp.insert(media::clean_uri(&property.value).to_ascii_lowercase());
            }
            10 if property.is("X-ABSHOWAS") => {
                self.has.show_as = true;
                self.has.company |= property.value.eq_ignore_ascii_case("COMPANY");
            }
            11 if property.is("ANNIVERSARY") => {
                self.has.anniversary.get_or_insert_with(|| property.value.clone());
            }
            24 if property.is("X-ADDRESSBOOKSERVER-KIND") => self.has.apple_kind = true,
            _ => {}
        }
        if self.to == Version::V3 && !property.parameters.is_empty() {
            self.note_preference(at, property);
        }
    }

    fn note_preference(&mut self, at: usize, property: &Property) {
        let rank = rank(property);
        if rank < NOT_PREFERRED {
            let best = self.best.entry(property.name.to_ascii_uppercase()).or_insert(rank);
            *best = rank.min(*best);
        }
        if let Some(id) = property.parameter("ALTID").filter(|_| property.parameter("PHONETIC").is_none()) {
            let key = (property.name.to_ascii_uppercase(), id.to_owned());
            let pick = self.picks.entry(key).or_insert((rank, at));
            *pick = (*pick).min((rank, at));
        }
    }

    /// Writes a property.
    pub fn push(&mut self, property: Property) {
        self.out.push(Line::Property(property));
    }

    /// Whether the property is the most preferred of its name (VC-17); ties are all preferred.
    pub fn is_most_preferred(&self, property: &Property) -> bool {
        let rank = rank(property);
        rank < NOT_PREFERRED && self.best.get(&property.name.to_ascii_uppercase()) == Some(&rank)
    }

    /// Whether line `at` is an alternative to a more preferred line (RFC 6350 §5.4, VC-30).
    pub fn is_lesser_alternative(&self, at: usize, property: &Property) -> bool {
        if self.picks.is_empty() || property.parameter("PHONETIC").is_some() {
            return false;
        }
        let Some(id) = property.parameter("ALTID") else { return false };
        let key = (property.name.to_ascii_uppercase(), id.to_owned());
        self.picks.get(&key).is_some_and(|(_, pick)| *pick != at)
    }

    fn group(&self, property: &Property) -> Option<&Group> {
        self.groups.get(&property.group.as_ref()?.to_ascii_lowercase())
    }

    /// The raw X-ABLabel of the property's group.
    pub fn label(&self, property: &Property) -> Option<&str> {
        self.group(property)?.label.as_deref()
    }

    /// Whether nothing else but a label shares the property's group.
    pub fn is_alone(&self, property: &Property) -> bool {
        self.group(property).is_none_or(|group| group.members <= 1)
    }

    /// Takes the label away from a property that says the same by itself, and its group when that
    /// held nothing else and has no name of its own.
    pub fn drop_label(&mut self, property: &mut Property) {
        let Some(name) = property.group.as_ref().map(|g| g.to_ascii_lowercase()) else { return };
        if let Some(group) = self.groups.get_mut(&name).filter(|group| group.members <= 1) {
            group.dissolved = true;
            if name.starts_with("item") {
                property.group = None;
            }
        }
    }

    /// Writes a property with a label behind it, in its own group or in a fresh one.
    pub fn push_labelled(&mut self, mut property: Property, label: &str) {
        let group = property.group.get_or_insert_with(|| fresh(&mut self.next_item, &self.groups)).clone();
        self.push(property);
        let mut line = Property::new("X-ABLabel", label);
        line.group = Some(group);
        self.push(line);
    }

    /// Removes the labels that [`Draft::drop_label`] took away.
    pub fn sweep_labels(&mut self) {
        if !self.groups.values().any(|group| group.dissolved) {
            return;
        }
        let groups = std::mem::take(&mut self.groups);
        let dissolved = |property: &Property| {
            let name = property.group.as_ref().map(|g| g.to_ascii_lowercase());
            name.and_then(|name| groups.get(&name)).is_some_and(|group| group.dissolved)
        };
        self.out.retain(|line| !line.property().is_some_and(|p| p.is("X-ABLABEL") && dissolved(p)));
    }
}

/// A group name that the card does not use.
fn fresh(next: &mut u32, groups: &BTreeMap<String, Group>) -> String {
    loop {
        let name = format!("item{next}");
        *next = next.saturating_add(1);
        if !groups.contains_key(&name) {
            return name;
        }
    }
}

/// How preferred a property is: 1 to 100, less is more.
fn rank(property: &Property) -> u8 {
    let pref =
        property.parameter("PREF").and_then(|n| n.trim().parse().ok()).filter(|n| (1..=100).contains(n));
    let by_type = || if property.has_type("pref") { 1 } else { NOT_PREFERRED };
    pref.unwrap_or_else(by_type)
}
