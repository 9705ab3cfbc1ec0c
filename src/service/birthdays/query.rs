//! Which birthdays answer a calendar's filter: what is made is judged like what is stored. Which cards may
//! have some is known, and of a plain question about a range mostly also which have.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::ical::birthday::Occasion;
use crate::domain::ical::filter::{Filter, Scope};
use crate::domain::ical::overlap::Range;
use crate::domain::ical::tree::parse;
use crate::domain::ical::zone::{Zone, Zones};
use crate::domain::ical::{Kind, Limits};
use crate::domain::id::{CollectionId, HomeName, MemberName};
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::view::{Matches, ObjectView};
use crate::service::{Answer, Service};
use crate::store::query::Reader;

use super::delta::{Told, shown};
use super::events::{EventName, read_events};
use super::index::{Days, Kept, sorted};

/// How many of the matches come along; the others are made again when their turn comes.
const CARRIED: usize = 512;

/// How many cards are read at once.
const CHUNK: usize = 64;

impl Service {
    /// The events that a filter matches.
    pub(in crate::service) async fn query_births(
        &self,
        caller: &Caller,
        (home, name): (&HomeName, &MemberName),
        filter: &Arc<Filter>,
        zone: Option<Zone>,
        limit: Option<usize>,
    ) -> Answer<Matches> {
        let scope = filter.scope();
        let none = |book| Matches { book, cards: Vec::new(), names: Vec::new(), truncated: false };
        // Whoever asks for tasks need not wait.
        if scope.kind.is_some_and(|kind| kind != Kind::Event) {
            let reader = self.store.read().await?;
            let births = self.births(&reader, caller, home).await?.ok_or(Refusal::NotFound)?;
            return Ok(none(births.view(home, name)));
        }
        let (reader, births, days) = self.dated_births(caller, home).await?;
        let mut picked = Picked {
            filter,
            scope,
            all: filter.is_kind_only(),
            range: filter.is_range_only(Kind::Event),
            zones: Zones::new(zone.unwrap_or(Zone::UTC)),
            limits: Limits { bytes: usize::MAX, ..self.settings.calendar },
            limit: limit.unwrap_or(usize::MAX),
            matches: none(births.view(home, name)),
        };
        for (book, days) in births.books.iter().zip(&days) {
            if picked.of(&reader, book.id, days).await?.is_break() {
                break;
            }
        }
        Ok(picked.matches)
    }
}

/// What was picked so far, and by what.
struct Picked<'f> {
    filter: &'f Filter,
    scope: Scope,
    /// Every event answers.
    all: bool,
    /// What is in that range answers, and nothing else.
    range: Option<Range>,
    zones: Zones,
    limits: Limits,
    limit: usize,
    matches: Matches,
}

impl Picked<'_> {
    /// Picks of one book; breaks off at the limit.
    async fn of(&mut self, reader: &Reader, book: CollectionId, days: &Days) -> Answer<ControlFlow<()>> {
        for chunk in sorted(days, |kept| kept.may_answer(&self.scope)).chunks(CHUNK) {
            let mut unread: Vec<&Kept> = Vec::with_capacity(chunk.len());
            for kept in chunk {
                // Of what comes by its name only, nothing is read.
                let Some(occasions) = kept.occasions().filter(|_| self.all && !self.carries()) else {
                    unread.push(kept);
                    continue;
                };
                for occasion in occasions {
                    let name = EventName { book, member: kept.card(), occasion }.name()?;
                    if self.pick(name, None).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            // Others have their turn between chunks, also where the store answers at once.
            tokio::task::yield_now().await;
            if self.read(reader, book, &unread).await?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads cards, and picks of their events.
    async fn read(
        &mut self,
        reader: &Reader,
        book: CollectionId,
        cards: &[&Kept],
    ) -> Answer<ControlFlow<()>> {
        let members: Vec<_> = cards.iter().map(|kept| kept.card()).collect();
        let events = read_events(reader, book, &members).await?;
        for (kept, mut found) in cards.iter().zip(events) {
            let may_answer = |occasion: &Occasion| kept.may_answer_with(*occasion, &self.scope);
            let occasions: Vec<_> = Occasion::ALL.into_iter().filter(may_answer).collect();
            for occasion in occasions {
                let name = EventName { book, member: kept.card(), occasion };
                let picked = match shown(&mut found, &name)? {
                    Some(Told::Event(event)) if self.answers(kept, occasion, &event) => {
                        self.pick(event.name.clone(), Some(event))
                    }
                    // What cannot be judged may be wanted: whoever reads it is told.
                    Some(Told::Damaged(name)) => self.pick(name, None),
                    _ => ControlFlow::Continue(()),
                };
                if picked.is_break() {
                    return Ok(picked);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether an event answers the filter.
    fn answers(&self, kept: &Kept, occasion: Occasion, event: &ObjectView) -> bool {
        if self.all || self.range.is_some_and(|range| kept.surely_is_in(occasion, &range)) {
            return true;
        }
        let octets = event.body.as_deref().unwrap_or_default();
        parse(octets, &self.limits).map_or(true, |object| self.filter.matches(&object, &self.zones))
    }

    /// Whether there is room for one more to come along.
    fn carries(&self) -> bool {
        self.matches.names.is_empty() && self.matches.cards.len() < CARRIED
    }

    /// Adds an event, unless that is past the limit.
    fn pick(&mut self, name: MemberName, event: Option<ObjectView>) -> ControlFlow<()> {
        if self.matches.cards.len() + self.matches.names.len() == self.limit {
            self.matches.truncated = true;
            return ControlFlow::Break(());
        }
        match event {
            Some(event) if self.carries() => self.matches.cards.push(event),
            _ => self.matches.names.push(name),
        }
        ControlFlow::Continue(())
    }
}
