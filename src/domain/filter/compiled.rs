//! A filter made ready to be asked of many cards (CARD-37 to CARD-47): needles folded once, names
//! looked up by the card's lines, so that only lines that are asked for are decoded.
//!
//! One pass over the card; each condition keeps what it has seen. `is-not-defined` in a
//! param-filter looks at every instance of the property, as rcmcarddav's interoperability tests ask
//! (protocol.md B8 #96): one instance with the parameter, and the condition fails.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::{Filter, MatchKind, ParameterCondition, PropertyCondition, PropertyFilter, Test, TextMatch};
use crate::domain::collation::{Collation, Needle};
use crate::domain::vcard::lines::LineView;
use crate::domain::vcard::parts::{Place, parts};
use crate::domain::vcard::property::Parameter;
use crate::domain::vcard::text;

use haystack::{Haystack, Pattern};

mod haystack;

/// A filter, ready to be asked of cards.
#[derive(Clone)]
pub struct Compiled {
    test: Test,
    conditions: Vec<Condition>,
    /// Upper-case names, sorted, each with the conditions that ask for it.
    names: Vec<(Box<[u8]>, Vec<usize>)>,
    /// A bit for each first letter in `names`, which spares most lines the look-up.
    initials: u32,
    /// How many `is-not-defined` parameters there are in all conditions.
    absences: usize,
    /// From how many bytes on values are long.
    long: usize,
}

/// A value, or what parameters a property has, of so many bytes is folded once for all conditions;
/// shorter ones, which nearly all are, are quicker compared one by one.
const LONG: usize = 1 << 10;

impl Filter {
    /// Makes the filter ready to be asked of many cards.
    pub fn compile(&self) -> Compiled {
        let mut names: Vec<(Box<[u8]>, usize)> = Vec::with_capacity(self.properties.len());
        let mut conditions = Vec::with_capacity(self.properties.len());
        let (mut initials, mut absences) = (0, 0);
        for property in &self.properties {
            let (group, name) = match property.name.rsplit_once('.') {
                Some((group, name)) => (Some(group), name),
                None => (None, property.name.as_str()),
            };
            initials |= initial(name.as_bytes());
            names.push((name.to_ascii_uppercase().into_bytes().into(), conditions.len()));
            conditions.push(Condition::new(group, name, property, &mut absences));
        }
        names.sort();
        let mut grouped: Vec<(Box<[u8]>, Vec<usize>)> = Vec::new();
        for (name, index) in names {
            match grouped.last_mut() {
                Some((last, indexes)) if *last == name => indexes.push(index),
                _ => grouped.push((name, vec![index])),
            }
        }
        Compiled { test: self.test, conditions, names: grouped, initials, absences, long: LONG }
    }
}

impl Compiled {
    /// Whether the card answers the filter; an empty filter is answered by every card (CARD-37).
    pub fn matches(&self, card: &[u8]) -> bool {
        if self.conditions.is_empty() {
            return true;
        }
        let mut seen: Vec<Seen> =
            self.conditions.iter().map(|c| Seen { any: c.always, holds: c.always }).collect();
        let mut present = vec![false; self.absences];
        for (place, line) in parts(card) {
            if place != Place::Own {
                continue;
            }
            if let Some((group, name)) = line.head() {
                // Most lines end here, and are never unfolded.
                let asked = self.asked(name);
                if asked.is_empty() || !self.in_group(asked, group) {
                    continue;
                }
            }
            let unfolded = line.unfold();
            let Some(view) = LineView::split(&unfolded) else { continue };
            let instance = Instance::new(view, self.long);
            for &index in self.asked(view.name) {
                let (Some(condition), Some(seen)) = (self.conditions.get(index), seen.get_mut(index)) else {
                    continue;
                };
                if condition.is_in(view.group) {
                    condition.look(&instance, seen, &mut present);
                    match (self.test, &condition.kind) {
                        (Test::AllOf, Kind::Missing) => return false,
                        (Test::AnyOf, Kind::Exists | Kind::Holds { .. }) if seen.holds => return true,
                        _ => {}
                    }
                }
            }
        }
        let mut answers =
            self.conditions.iter().zip(&seen).map(|(condition, seen)| condition.answer(seen, &present));
        match self.test {
            Test::AnyOf => answers.any(|answer| answer),
            Test::AllOf => answers.all(|answer| answer),
        }
    }

    /// The conditions that ask for lines of this name, which has no case (CARD-41).
    fn asked(&self, name: &[u8]) -> &[usize] {
        if self.initials & initial(name) == 0 {
            return &[];
        }
        let upper = || name.iter().map(u8::to_ascii_uppercase);
        let at = self.names.binary_search_by(|(asked, _)| asked.iter().copied().cmp(upper()));
        at.ok().and_then(|at| self.names.get(at)).map_or(&[], |(_, indexes)| indexes)
    }

    fn in_group(&self, asked: &[usize], group: Option<&[u8]>) -> bool {
        asked.iter().any(|&index| self.conditions.get(index).is_some_and(|condition| condition.is_in(group)))
    }
}

/// The bit of a name's first letter.
fn initial(name: &[u8]) -> u32 {
    name.first().map_or(0, |first| 1 << (first.to_ascii_uppercase() & 31))
}

/// What one condition has seen of a card.
struct Seen {
    /// An instance of the property.
    any: bool,
    /// An instance for which `test` holds.
    holds: bool,
}

/// One prop-filter.
#[derive(Clone)]
struct Condition {
    group: Option<Box<[u8]>>,
    /// FN counts as present in every card: tsdav-based clients list a book by an empty prop-filter
    /// on FN (B9 #110), and VC-9 admits cards without one.
    always: bool,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// No instance.
    Missing,
    /// Any instance.
    Exists,
    /// An instance for which texts and parameters hold, and no instance with one of `absent`.
    Holds { test: Test, texts: Vec<Text>, parameters: Vec<AskedParameter>, absent: Vec<(String, usize)> },
}

impl Condition {
    fn new(group: Option<&str>, name: &str, property: &PropertyFilter, absences: &mut usize) -> Self {
        let kind = match &property.condition {
            PropertyCondition::NotDefined => Kind::Missing,
            PropertyCondition::Defined { texts, parameters, .. }
                if texts.is_empty() && parameters.is_empty() =>
            {
                Kind::Exists
            }
            PropertyCondition::Defined { test, texts, parameters } => {
                let texts = texts.iter().map(Text::new).collect();
                let (mut asked, mut absent) = (Vec::new(), Vec::new());
                for parameter in parameters {
                    let name = parameter.name.clone();
                    match &parameter.condition {
                        ParameterCondition::Defined => asked.push(AskedParameter { name, text: None }),
                        ParameterCondition::Matches(text) => {
                            asked.push(AskedParameter { name, text: Some(Text::new(text)) })
                        }
                        ParameterCondition::NotDefined => {
                            absent.push((name, *absences));
                            *absences += 1;
                        }
                    }
                }
                Kind::Holds { test: *test, texts, parameters: asked, absent }
            }
        };
        let always =
            group.is_none() && name.eq_ignore_ascii_case("FN") && !matches!(kind, Kind::Holds { .. });
        Self { group: group.map(|group| group.as_bytes().into()), always, kind }
    }

    /// CARD-40: without a group any group will do, with one only that.
    fn is_in(&self, group: Option<&[u8]>) -> bool {
        match (&self.group, group) {
            (None, _) => true,
            (Some(asked), Some(group)) => asked.eq_ignore_ascii_case(group),
            (Some(_), None) => false,
        }
    }

    /// Looks at one instance.
    fn look(&self, instance: &Instance<'_>, seen: &mut Seen, present: &mut [bool]) {
        seen.any = true;
        let Kind::Holds { test, texts, parameters, absent } = &self.kind else {
            seen.holds = true;
            return;
        };
        for (name, index) in absent {
            if let Some(present) = present.get_mut(*index) {
                *present = *present || instance.values(name).next().is_some();
            }
        }
        if !seen.holds {
            let mut answers = texts
                .iter()
                .map(|text| text.holds_for(instance))
                .chain(parameters.iter().map(|parameter| parameter.holds_for(instance)));
            seen.holds = match test {
                Test::AnyOf => answers.any(|answer| answer),
                Test::AllOf => answers.all(|answer| answer),
            };
        }
    }

    /// The answer once the whole card has been seen.
    fn answer(&self, seen: &Seen, present: &[bool]) -> bool {
        match &self.kind {
            Kind::Missing => !seen.any,
            Kind::Exists => seen.any,
            Kind::Holds { test, absent, .. } => {
                let mut missing =
                    absent.iter().map(|(_, index)| !present.get(*index).copied().unwrap_or(false));
                match test {
                    Test::AnyOf => seen.holds || (seen.any && missing.any(|answer| answer)),
                    Test::AllOf => seen.holds && missing.all(|answer| answer),
                }
            }
        }
    }
}

/// One text-match.
#[derive(Clone)]
struct Text {
    needle: Needle,
    pattern: Pattern,
    collation: Collation,
    kind: MatchKind,
    negate: bool,
}

impl Text {
    fn new(text: &TextMatch) -> Self {
        let TextMatch { text, collation, kind, negate } = text;
        let (collation, kind, negate) = (*collation, *kind, *negate);
        let pattern = Pattern::new(collation, kind, text);
        Self { needle: Needle::new(collation, text), pattern, collation, kind, negate }
    }

    fn finds(&self, text: &str) -> bool {
        match self.kind {
            MatchKind::Equals => self.needle.equals(text),
            MatchKind::Contains => self.needle.is_in(text),
            MatchKind::StartsWith => self.needle.begins(text),
            MatchKind::EndsWith => self.needle.ends(text),
        }
    }

    /// CARD-45, CARD-46: the whole text and each piece count as the instance's own text; negated,
    /// none of them may match.
    fn holds_for(&self, instance: &Instance<'_>) -> bool {
        if instance.value.len() >= instance.long {
            return instance.whole(self.collation).has(&self.pattern) != self.negate;
        }
        // What a piece contains, the whole contains too.
        let in_pieces =
            || self.kind != MatchKind::Contains && instance.pieces().any(|piece| self.finds(piece.trim()));
        let found = self.finds(instance.text()) || in_pieces();
        found != self.negate
    }
}

/// One param-filter other than `is-not-defined`.
#[derive(Clone)]
struct AskedParameter {
    name: String,
    text: Option<Text>,
}

impl AskedParameter {
    /// CARD-43, CARD-45: each value for itself; negated, the parameter must be there and none of
    /// its values may match.
    fn holds_for(&self, instance: &Instance<'_>) -> bool {
        if let (Some(text), true) = (&self.text, instance.view.parameters.len() >= instance.long) {
            let values = instance.folded_values(&self.name, text.collation);
            return !values.is_empty() && values.has(&text.pattern) != text.negate;
        }
        let mut values = instance.values(&self.name);
        match &self.text {
            None => values.next().is_some(),
            Some(text) if text.negate => {
                let mut values = values.peekable();
                values.peek().is_some() && !values.any(|value| text.finds(value))
            }
            Some(text) => values.any(|value| text.finds(value)),
        }
    }
}

/// One property of a card, decoded only as far as it is asked.
struct Instance<'a> {
    view: LineView<'a>,
    value: Cow<'a, str>,
    text: OnceCell<String>,
    parameters: OnceCell<Vec<Parameter>>,
    /// The text and its pieces, and the values of parameters, where they are long.
    folded: RefCell<HashMap<(String, Collation), Rc<Haystack>>>,
    long: usize,
}

impl<'a> Instance<'a> {
    fn new(view: LineView<'a>, long: usize) -> Self {
        let value = std::str::from_utf8(view.value);
        let value = value.map_or_else(|_| String::from_utf8_lossy(view.value), Cow::Borrowed);
        Self {
            view,
            value,
            text: OnceCell::new(),
            parameters: OnceCell::new(),
            long,
            folded: RefCell::default(),
        }
    }

    /// The whole text and its pieces.
    fn whole(&self, collation: Collation) -> Rc<Haystack> {
        self.once(String::new(), collation, || {
            let pieces = self.pieces().map(|piece| Cow::Owned(piece.trim().to_owned()));
            Haystack::of(collation, std::iter::once(Cow::Borrowed(self.text())).chain(pieces))
        })
    }

    /// The values of a parameter.
    fn folded_values(&self, name: &str, collation: Collation) -> Rc<Haystack> {
        self.once(name.to_ascii_uppercase(), collation, || Haystack::of(collation, self.values(name)))
    }

    fn once(&self, name: String, collation: Collation, make: impl FnOnce() -> Haystack) -> Rc<Haystack> {
        self.folded.borrow_mut().entry((name, collation)).or_insert_with(|| Rc::new(make())).clone()
    }

    /// The whole value, unescaped; a structured one with its semicolons.
    fn text(&self) -> &str {
        if self.value.contains('\\') {
            self.text.get_or_init(|| text::unescape(&self.value).into_owned())
        } else {
            &self.value
        }
    }

    /// The components of a structured value, the items of a list, unescaped.
    fn pieces(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let among = |names: &[&str]| names.iter().any(|name| self.view.is(name));
        let structured = among(&["N", "ADR", "ORG"]).then_some(';');
        let separator = structured.or_else(|| among(&["CATEGORIES", "NICKNAME"]).then_some(','));
        separator.into_iter().flat_map(|separator| text::split(&self.value, separator)).map(text::unescape)
    }

    /// Every value of the parameter: RFC 6868 decoded, types one by one however they are spelled
    /// (VC-16); a parameter without `=` is a type, or an encoding, as in vCard 2.1.
    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let (types, encodings) = (name.eq_ignore_ascii_case("TYPE"), name.eq_ignore_ascii_case("ENCODING"));
        let parameters = self.parameters.get_or_init(|| {
            let raw = String::from_utf8_lossy(self.view.parameters);
            Parameter::all(&raw).collect()
        });
        parameters
            .iter()
            .filter(move |parameter| match parameter.is_bare() {
                true if types => parameter.is_type(),
                true => encodings && parameter.is_bare_encoding(),
                false => parameter.is(name),
            })
            .flat_map(Parameter::values)
            .flat_map(move |value| value.split(move |character| types && character == ','))
            .map(move |value| if types { value.trim() } else { value })
    }
}

#[cfg(test)]
mod tests;
