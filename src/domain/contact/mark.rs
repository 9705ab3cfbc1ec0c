//! What the office knows and a phone should show: that somebody must not be called, and which
//! addresses do not work. The record is the truth, the card only shows it, so marks that come from
//! outside are taken off and never believed.

use super::read::What;
use super::sheet::Sheet;
use super::{CardFields, MailState, edit};

/// The parameter of EMAIL that says what came of writing to the address.
pub(super) const STATUS: &str = "X-CARDKEEP-STATUS";

/// The mark of who must not be called.
pub const DO_NOT_CALL: &str = "Do not call";

/// The mark of who must not be contacted at all.
pub const BLOCKED: &str = "Blocked";

/// How a card shows that somebody must not be called or contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MarkAs {
    /// As a category.
    #[default]
    Category,
    /// As a line of the note.
    Note,
    /// Not at all.
    Off,
}

/// What a card shows of the record.
#[derive(Clone, Default)]
pub struct Marks {
    /// They must not be called.
    pub do_not_call: bool,
    /// They must not be contacted at all.
    pub blocked: bool,
    /// How that is shown.
    pub how: MarkAs,
    /// What is known of their addresses, by the address in lower case.
    pub emails: Vec<(String, MailState)>,
}

crate::hidden!(Marks);

/// The card with exactly these marks; `None` where it has them already.
pub fn mark(card: &[u8], marks: &Marks) -> Option<Vec<u8>> {
    let before = CardFields::read(card);
    let mut after = before.clone();
    for (word, set) in [(BLOCKED, marks.blocked), (DO_NOT_CALL, marks.do_not_call)] {
        mark_categories(&mut after.categories, word, set && marks.how == MarkAs::Category);
        mark_note(&mut after.note, word, set && marks.how == MarkAs::Note);
    }
    let marked = edit(card, &before, &after);
    let marked = mark_emails(&marked, &marks.emails).unwrap_or(marked);
    (marked != card).then_some(marked)
}

/// The card without marks of addresses; `None` where it has none.
pub fn unmarked(card: &[u8]) -> Option<Vec<u8>> {
    mark_emails(card, &[])
}

fn mark_categories(categories: &mut Vec<String>, word: &str, set: bool) {
    let is_mark = |category: &String| category.eq_ignore_ascii_case(word);
    if !set {
        categories.retain(|category| !is_mark(category));
    } else if !categories.iter().any(is_mark) {
        categories.push(word.to_owned());
    }
}

/// The mark is the note's first line, where a phone shows it.
fn mark_note(note: &mut String, word: &str, set: bool) {
    let is_mark = |line: &&str| line.trim().eq_ignore_ascii_case(word);
    let there = note.split('\n').any(|line| is_mark(&line));
    if set && !there {
        let line = if note.is_empty() { word.to_owned() } else { format!("{word}\n") };
        note.insert_str(0, &line);
    } else if !set && there {
        *note = note.split('\n').filter(|line| !is_mark(line)).collect::<Vec<_>>().join("\n");
    }
}

/// Whether the state is shown, and as what: what may still arrive is not.
fn shown(state: MailState) -> Option<&'static str> {
    match state {
        MailState::Ok | MailState::Soft => None,
        MailState::Hard | MailState::Complaint | MailState::Unsubscribed => Some(state.word()),
    }
}

fn mark_emails(card: &[u8], emails: &[(String, MailState)]) -> Option<Vec<u8>> {
    let mut sheet = Sheet::of(card);
    let mut wrong = Vec::new();
    for (at, property) in sheet.all(What::Email) {
        let address = super::read::shown(&property.value).to_lowercase();
        let wanted = emails.iter().find(|(known, _)| *known == address).and_then(|(_, state)| shown(*state));
        let named = property.parameters.iter().filter(|parameter| parameter.is(STATUS)).count();
        if named != usize::from(wanted.is_some()) || property.parameter(STATUS) != wanted {
            wrong.push((at, wanted));
        }
    }
    let any = !wrong.is_empty();
    for (at, wanted) in wrong {
        if let Some(property) = sheet.change(at) {
            property.take(STATUS);
            if let Some(word) = wanted {
                property.set(STATUS, word);
            }
        }
    }
    any.then(|| sheet.finish(card.len()))
}
