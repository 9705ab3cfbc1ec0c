//! Contacts that may be the same: those with an equal e-mail address, an equal phone number, or names
//! and companies that are alike. Not all pairs are compared: contacts are put into blocks of those
//! that share an address, a number or a key of their names, and are compared within a block only.
//!
//! A block of [`WHOLE`] contacts or fewer is compared whole. In a larger one (5,000 people of one
//! surname; a mailbox that a whole company shares) each contact is compared with the [`NEIGHBOURS`]
//! that follow it when the block is sorted by name, so the work grows with the number of contacts and
//! not with its square. Knows folded texts; where they are kept is others' business.

mod keys;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::domain::contact::{Kind, place};
use crate::domain::id::ContactId;
use crate::domain::scim::{Packed, Seen, Span};

/// The largest block in which every contact is compared with every other.
pub const WHOLE: usize = 32;

/// With how many contacts each is compared in a larger block.
pub const NEIGHBOURS: usize = 8;

/// So many e-mail addresses and phone numbers of a contact count, so that two contacts with a
/// thousand each do not hold up the others.
pub const REACHED: usize = 32;

/// A contact that may be another's duplicate; texts are folded.
#[derive(Clone)]
pub struct Candidate<'a> {
    /// Which contact it is.
    pub id: ContactId,
    /// Only contacts of one kind are duplicates of each other.
    pub kind: Kind,
    /// Family and given name, in any order, or the formatted name; of a company, its name.
    pub name: Cow<'a, str>,
    /// The company a person belongs to.
    pub company: Cow<'a, str>,
    /// The e-mail addresses.
    pub emails: Vec<&'a str>,
    /// The phone numbers in the form of E.164.
    pub phones: Vec<&'a str>,
    /// Contacts of which it is known that they are others.
    pub distinct: &'a [ContactId],
}

/// Two contacts that may be the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Both, the smaller id first.
    pub ids: (ContactId, ContactId),
    /// How likely they are the same, from 0 to 1, in hundredths.
    pub score: f64,
    /// Why they may be.
    pub reasons: Vec<Reason>,
}

/// Why two contacts may be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// They have an e-mail address in common.
    Email,
    /// They have a phone number in common.
    Phone,
    /// Their names are alike.
    Name,
    /// Their companies are alike.
    Company,
}

/// The pairs among the contacts, the likeliest first, then by their ids; `most` of them at most.
pub fn duplicates<'a>(candidates: impl IntoIterator<Item = Candidate<'a>>, most: usize) -> Vec<Pair> {
    let contacts: Vec<Contact<'a>> = candidates.into_iter().map(Contact::new).collect();
    let mut entries = keys::entries(&contacts);
    // In the order of blocks, and in each of names, then of ids, whatever order they came in.
    let name = |at: &u32| contacts.get(*at as usize).map(|contact| (contact.name.as_str(), contact.seen.id));
    entries.sort_unstable_by(|(one, a), (two, b)| one.cmp(two).then_with(|| name(a).cmp(&name(b))));
    let mut found = Found { most, pairs: Vec::new() };
    for block in entries.chunk_by(|(one, _), (two, _)| one == two) {
        let reach = if block.len() <= WHOLE { WHOLE } else { NEIGHBOURS };
        for (from, (_, one)) in block.iter().enumerate() {
            for (_, two) in block.iter().skip(from + 1).take(reach) {
                let both = contacts.get(*one as usize).zip(contacts.get(*two as usize));
                found.extend(both.and_then(|(one, two)| one.likeness(two)));
            }
        }
    }
    found.pairs()
}

const FORMATTED: Span = Span::known("name.formatted");
const GIVEN: Span = Span::known("name.given");
const FAMILY: Span = Span::known("name.family");
const COMPANY: Span = Span::known("organization.name");
const EMAILS: Span = Span::known("emails.value");
const PHONES: Span = Span::known("phones.e164");

/// The places of a contact that are compared, in order.
pub const COMPARED: [u8; 6] = [
    place("name.formatted"),
    place("name.given"),
    place("name.family"),
    place("organization.name"),
    place("emails.value"),
    place("phones.e164"),
];

impl<'a> Candidate<'a> {
    /// A contact as it is kept in memory.
    pub fn of(id: ContactId, kind: Kind, contact: Packed<'a>, distinct: &'a [ContactId]) -> Self {
        let text = |span: &Span| match contact.first_in(span) {
            Some(Seen::Text(octets)) => str::from_utf8(octets).unwrap_or_default(),
            _ => "",
        };
        let many = |span: &Span| {
            let mut many = Vec::new();
            contact.walk(span, &mut |_, seen| {
                if let Seen::Text(octets) = seen {
                    many.extend(str::from_utf8(octets));
                }
                many.len() == REACHED
            });
            many
        };
        let (family, given, company) = (text(&FAMILY), text(&GIVEN), text(&COMPANY));
        let name = match kind {
            Kind::Org if !company.is_empty() => Cow::Borrowed(company),
            _ if family.is_empty() || given.is_empty() => Cow::Borrowed(text(&FORMATTED)),
            _ => Cow::Owned(format!("{family} {given}")),
        };
        let (emails, phones) = (many(&EMAILS), many(&PHONES));
        Self { id, kind, name, company: Cow::Borrowed(company), emails, phones, distinct }
    }
}

/// Names so alike are those of one; the shortest names differ by a letter (Jaro and Winkler).
const ALIKE: f64 = 0.92;

/// So much of a name is compared: comparing takes time with the square of it.
const NAME: usize = 100;

/// What is compared of a contact.
struct Contact<'a> {
    seen: Candidate<'a>,
    /// The words of the name, sorted: people write either name first.
    name: String,
    company: String,
}

impl<'a> Contact<'a> {
    fn new(mut seen: Candidate<'a>) -> Self {
        for reached in [&mut seen.emails, &mut seen.phones] {
            reached.truncate(REACHED);
            reached.retain(|value| !value.is_empty());
        }
        let (name, company) = match seen.kind {
            Kind::Org => (sorted_words(&seen.name, true), String::new()),
            _ => (sorted_words(&seen.name, false), sorted_words(&seen.company, true)),
        };
        Self { seen, name, company }
    }

    /// What speaks for two contacts being one; `None` where that is not enough.
    fn likeness(&self, other: &Self) -> Option<Likeness> {
        let (one, two) = (&self.seen, &other.seen);
        if one.id == two.id
            || one.kind != two.kind
            || one.distinct.contains(&two.id)
            || two.distinct.contains(&one.id)
        {
            return None;
        }
        let email = one.emails.iter().any(|email| two.emails.contains(email));
        let phone = one.phones.iter().any(|phone| two.phones.contains(phone));
        let name = alike(&self.name, &other.name);
        let company = alike(&self.company, &other.company);
        let told = email || phone || self.are_one_by_name(other, name, company);
        let weights = [
            if email { 0.7 } else { 0.0 },
            if phone { 0.5 } else { 0.0 },
            name.map_or(0.0, |alike| 0.3 + (alike - ALIKE) / (1.0 - ALIKE) * 0.3),
            if company.is_some() { 0.3 } else { 0.0 },
        ];
        let doubt: f64 = weights.iter().map(|weight| 1.0 - weight).product();
        let reasons = weights.iter().enumerate().map(|(bit, weight)| u8::from(*weight > 0.0) << bit).sum();
        let ids = (one.id.min(two.id), one.id.max(two.id));
        told.then_some(Likeness { hundredths: ((1.0 - doubt) * 100.0).round() as u8, ids, reasons })
    }

    /// Whether the names alone tell: a company's always; a person's with that of the company, or
    /// where it is the very same, of two words at least, and one of them has no company.
    fn are_one_by_name(&self, other: &Self, name: Option<f64>, company: Option<f64>) -> bool {
        let unknown = self.company.is_empty() || other.company.is_empty();
        let same = self.name == other.name && self.name.contains(' ');
        name.is_some() && (self.seen.kind == Kind::Org || company.is_some() || (unknown && same))
    }
}

/// How alike two texts are, where that is enough.
fn alike(one: &str, two: &str) -> Option<f64> {
    if one.is_empty() || two.is_empty() {
        return None;
    }
    let alike = if one == two { 1.0 } else { strsim::jaro_winkler(one, two) };
    (alike >= ALIKE).then_some(alike)
}

/// What companies are called by law, which tells nothing of which company it is.
const FORMS: [&str; 24] = [
    "ab", "ag", "as", "bv", "co", "company", "corp", "ev", "gbr", "gmbh", "inc", "kg", "kgaa", "limited",
    "llc", "ltd", "nv", "ohg", "oy", "plc", "sa", "sarl", "srl", "ug",
];

/// The words of a text, sorted, each once; of a company without its legal form, unless there is no more.
fn sorted_words(text: &str, company: bool) -> String {
    let text = text.get(..text.floor_char_boundary(NAME)).unwrap_or_default();
    // `e.V.` and `G.m.b.H.` are one word.
    let text: String = text.chars().filter(|character| !"'.’".contains(*character)).collect();
    let mut words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if company && words.iter().any(|word| !FORMS.contains(word)) {
        words.retain(|word| !FORMS.contains(word));
    }
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

/// A pair, small: there may be a million before the likeliest are known.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Likeness {
    ids: (ContactId, ContactId),
    hundredths: u8,
    /// A bit for each of [`REASONS`].
    reasons: u8,
}

/// The reasons in the order of their bits.
const REASONS: [Reason; 4] = [Reason::Email, Reason::Phone, Reason::Name, Reason::Company];

/// The likeliest pairs so far.
struct Found {
    most: usize,
    pairs: Vec<Likeness>,
}

impl Found {
    fn extend(&mut self, pair: Option<Likeness>) {
        self.pairs.extend(pair);
        // Each is found once in every block that both are in.
        if self.pairs.len() > self.most.saturating_mul(4).max(1 << 16) {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.pairs.sort_unstable_by_key(|pair| (std::cmp::Reverse(pair.hundredths), pair.ids));
        self.pairs.dedup();
        self.pairs.truncate(self.most);
    }

    fn pairs(mut self) -> Vec<Pair> {
        self.shrink();
        let reasons = |bits: u8| {
            REASONS
                .into_iter()
                .enumerate()
                .filter(move |(bit, _)| bits >> bit & 1 == 1)
                .map(|(_, reason)| reason)
        };
        let pair = |pair: &Likeness| Pair {
            ids: pair.ids,
            score: f64::from(pair.hundredths) / 100.0,
            reasons: reasons(pair.reasons).collect(),
        };
        self.pairs.iter().map(pair).collect()
    }
}
