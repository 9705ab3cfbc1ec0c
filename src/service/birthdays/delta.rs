//! What changed in the calendar of birthdays since a token (RFC 6578 §3.4): the logs of its books, each
//! read from where the token left it. What a book's log tells of a card is told of the card's events: of
//! those that it has, that they changed, and of the others that they are gone, whether they ever were
//! there or not.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use crate::domain::ical::birthday::Occasion;
use crate::domain::id::{CollectionId, HomeName, MemberName, Revision};
use crate::domain::token::{BirthsToken, Source, Stage, Steps};
use crate::service::access::Caller;
use crate::service::refusal::{Fault, Refusal};
use crate::service::sync::MOST;
use crate::service::view::{Changes, Detail, ObjectView};
use crate::service::{Answer, Service};
use crate::store::damage::Found;
use crate::store::follow::Position;
use crate::store::keys::Hash;
use crate::store::log::LogRange;
use crate::store::query::Reader;

use super::events::{EventName, Events, read_events};
use super::index::Days;
use super::{Births, Book, is_births, issue, mark, told};

/// How many lines of a log are looked at together.
const LINES: usize = 256;

const UNCOUNTED: &str = "a revision is past what can be counted";

/// What is told of an event.
pub(super) enum Told {
    /// It is there.
    Event(ObjectView),
    /// It is not.
    Gone(MemberName),
    /// It may be there: the card cannot be read.
    Damaged(MemberName),
}

/// Whoever is told; breaks off when what it was given is too much, and takes nothing of that.
pub(super) type Tell<'t> = &'t mut (dyn FnMut(Told) -> ControlFlow<()> + Send);

/// A way along a book's log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    book: CollectionId,
    from: Steps,
    /// What went at or before this revision was never held, or is told already.
    began: Revision,
    /// All that is there is told to be gone.
    leaving: bool,
}

impl Walk {
    /// Over all that is in a book.
    #[cfg(test)]
    pub(super) fn all(book: &Book) -> Self {
        Self { book: book.id, from: Steps::default(), began: book.revision, leaving: false }
    }

    /// Goes on to the end of the log; where it was broken off, answers how far that was. Cards are not
    /// read of which `days` keeps that they have none.
    pub(super) async fn go(
        self,
        reader: &Reader,
        days: Option<&Days>,
        tell: Tell<'_>,
    ) -> Answer<Option<Steps>> {
        let has_days = |member: &Hash| days.is_none_or(|days| days.get(member).is_some());
        let mut at = self.from;
        loop {
            let range = LogRange { since: at.revision(), began: self.began, limit: Some(LINES) };
            let (lines, more) = reader.log_lines(self.book, range).await?;
            let there = lines.iter().filter(|(_, row)| !row.removed).map(|(_, row)| row.member);
            let members: Vec<_> = there.filter(has_days).collect();
            let events = read_events(reader, self.book, &members).await?;
            let mut events: HashMap<_, _> = members.into_iter().zip(events).collect();
            for (revision, row) in lines {
                let revision = Revision(revision);
                let mut of_card = events.remove(&row.member).unwrap_or(Found::Absent);
                let mut done = at.done_at(revision);
                for occasion in Occasion::ALL.into_iter().skip(usize::try_from(done).unwrap_or_default()) {
                    let name = EventName { book: self.book, member: row.member, occasion };
                    let told = self.told(&mut of_card, &name, revision)?;
                    if told.is_some_and(|told| tell(told).is_break()) {
                        return Ok(Some(at));
                    }
                    done += 1;
                    at = Steps::within(revision, done).ok_or(Fault(UNCOUNTED.into()))?;
                }
            }
            if !more {
                return Ok(None);
            }
        }
    }

    /// What is told of one event of a card whose line in the log is at that revision.
    fn told(&self, card: &mut Found<Events>, name: &EventName, at: Revision) -> Answer<Option<Told>> {
        Ok(match shown(card, name)? {
            // Of a card that cannot be read, who saw which of its days is not known.
            Some(_) if self.leaving => Some(Told::Gone(name.name()?)),
            Some(told) => Some(told),
            None if at <= self.began => None,
            None => Some(Told::Gone(name.name()?)),
        })
    }
}

/// What there is of an event of a card.
pub(super) fn shown(card: &mut Found<Events>, name: &EventName) -> Answer<Option<Told>> {
    Ok(match card {
        Found::Whole(events) => events.take(name.occasion).map(Told::Event),
        Found::Damaged(_) => Some(Told::Damaged(name.name()?)),
        Found::Absent => None,
    })
}

/// What is to be told of one book: the way there, how the book stands in a token where it is not told to
/// the end, and where it is.
struct Step {
    walk: Walk,
    log: CollectionId,
    partly: fn(Revision) -> Stage,
    after: Option<Source>,
    /// It was in the token: with nothing told of it, it stands there as it did.
    before: Option<Source>,
    /// Where the book is whose every card is told of, so that it is worth to know which have days.
    at: Option<Position>,
}

impl Step {
    /// Of a book that the calendar is made of, and how far the client knows it.
    fn of(book: &Book, before: Option<Source>) -> Answer<Self> {
        let (from, began) = match before {
            None => (Steps::default(), book.revision),
            Some(known) => match known.stage {
                Stage::Told => (known.upto, Revision(0)),
                Stage::Coming(began) => (known.upto, began),
                // It is back: nobody knows what the client still holds of what it was told then.
                Stage::Leaving(told) => (Steps::default(), told),
            },
        };
        let known = before.map_or(book.revision, |known| match known.stage {
            Stage::Told => known.upto.revision(),
            Stage::Coming(revision) => known.upto.revision().max(revision),
            Stage::Leaving(revision) => revision,
        });
        fits(before, book, known)?;
        let walk = Walk { book: book.id, from, began, leaving: false };
        let after = Some(told(book).ok_or(Fault(UNCOUNTED.into()))?);
        let told = before.is_some_and(|known| known.stage == Stage::Told);
        let at = (!told).then(|| book.position());
        Ok(Self { walk, log: book.log, partly: Stage::Coming, after, before, at })
    }

    /// Of a book that the calendar is made of no more.
    fn away(book: &Book, before: Source) -> Answer<Self> {
        let (from, known) = match before.stage {
            Stage::Told | Stage::Coming(_) => (Steps::default(), before.upto.revision()),
            Stage::Leaving(told) => (before.upto, told),
        };
        fits(Some(before), book, known)?;
        let walk = Walk { book: book.id, from, began: known, leaving: true };
        Ok(Self { walk, log: book.log, partly: Stage::Leaving, after: None, before: Some(before), at: None })
    }

    /// The book in a token when the log was told up to there.
    fn upto(&self, at: Steps) -> Source {
        let stage = match (self.partly)(self.walk.began) {
            Stage::Coming(began) if began <= at.revision() => Stage::Told,
            stage => stage,
        };
        Source { book: self.walk.book, log: self.log, upto: at, stage }
    }
}

/// Refuses a token of another log, of the future, or from before what is forgotten.
fn fits(before: Option<Source>, book: &Book, known: Revision) -> Answer<()> {
    let fits = before.is_none_or(|before| {
        let newest = known.max(before.upto.revision());
        before.log == book.log && newest <= book.revision && known >= book.floor
    });
    if fits { Ok(()) } else { Err(Refusal::BadToken.into()) }
}

impl Service {
    /// The events of the calendar of birthdays that came, changed or went since a token; all, without
    /// one.
    pub async fn birthday_changes(
        &self,
        caller: &Caller,
        (home, name): (&HomeName, &MemberName),
        since: Option<BirthsToken>,
        limit: Option<usize>,
    ) -> Answer<Changes<ObjectView, BirthsToken>> {
        if limit == Some(0) {
            return Err(Refusal::BadLimit.into());
        }
        let reader = self.store.read().await?;
        let births = self.births(&reader, caller, home).await?.filter(|_| is_births(home, name));
        let births = births.ok_or(Refusal::NotFound)?;
        if since.as_ref().is_some_and(|since| mark(&reader, caller, &since.packed()) != since.mark) {
            return Err(Refusal::BadToken.into());
        }
        let steps = steps(&reader, &births, since.as_ref()).await?;
        let mut room = limit.unwrap_or(MOST).min(MOST);
        let (mut changed, mut damaged, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sources, mut truncated) = (Vec::with_capacity(steps.len()), false);
        for step in &steps {
            if truncated {
                sources.extend(step.before);
                continue;
            }
            // Nothing is read of what has not changed.
            if let Some(after) = step.after.filter(|after| after.upto == step.walk.from) {
                sources.push(after);
                continue;
            }
            let mut tell = |told| {
                if room == 0 {
                    return ControlFlow::Break(());
                }
                room -= 1;
                match told {
                    Told::Event(event) => changed.push(event.detailed(Detail::default())),
                    Told::Gone(name) => removed.push(name),
                    Told::Damaged(name) => damaged.push(name),
                }
                ControlFlow::Continue(())
            };
            let days = match step.at {
                Some(at) => self.birthdays.at(&reader, at).await?,
                None => None,
            };
            match step.walk.go(&reader, days.as_deref(), &mut tell).await? {
                None => sources.extend(step.after),
                Some(at) => {
                    truncated = true;
                    sources.push(step.upto(at));
                }
            }
        }
        let token = issue(&reader, caller, Some(sources))?;
        Ok(Changes { collection: births.view(home, name), changed, damaged, removed, token, truncated })
    }
}

/// What is to be told of each book, in the order of their ids.
async fn steps(reader: &Reader, births: &Births, since: Option<&BirthsToken>) -> Answer<Vec<Step>> {
    let known: BTreeMap<_, _> =
        since.iter().flat_map(|token| token.sources()).map(|s| (s.book, *s)).collect();
    let mut steps = BTreeMap::new();
    for book in &births.books {
        steps.insert(book.id, Step::of(book, known.get(&book.id).copied())?);
    }
    let away: Vec<_> = known.keys().filter(|id| !steps.contains_key(*id)).copied().collect();
    if !away.is_empty() && births.unsure {
        // What may only be unreadable must not be told to be gone.
        return Err(Fault("the store is damaged: an address book".into()).into());
    }
    for (id, found) in away.iter().zip(reader.found_collections(&away).await?) {
        let row = found.whole()?.ok_or(Refusal::BadToken)?;
        if let Some(before) = known.get(id) {
            let book = Book::of(*id, &row.row, row.revision);
            steps.insert(*id, Step::away(&book, *before)?);
        }
    }
    Ok(steps.into_values().collect())
}
