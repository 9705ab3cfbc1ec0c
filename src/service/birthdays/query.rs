//! Which birthdays answer a calendar's filter: what is made is judged like what is stored.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::ical::filter::Filter;
use crate::domain::ical::tree::parse;
use crate::domain::ical::zone::{Zone, Zones};
use crate::domain::ical::{Kind, Limits};
use crate::domain::id::{HomeName, MemberName};
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::view::Matches;
use crate::service::{Answer, Service};

use super::delta::{Told, Walk};

/// How many of the matches come along; the others are made again when their turn comes.
const CARRIED: usize = 512;

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
        let reader = self.store.read().await?;
        let births = self.births(&reader, caller, home).await?.ok_or(Refusal::NotFound)?;
        let book = births.view(home, name);
        let mut matches = Matches { book, cards: Vec::new(), names: Vec::new(), truncated: false };
        // Whoever asks for tasks need not wait.
        if filter.scope().kind.is_some_and(|kind| kind != Kind::Event) {
            return Ok(matches);
        }
        let all = filter.is_kind_only();
        let zones = Zones::new(zone.unwrap_or(Zone::UTC));
        let limits = Limits { bytes: usize::MAX, ..self.settings.calendar };
        let limit = limit.unwrap_or(usize::MAX);
        for book in &births.books {
            let mut tell = |told| {
                let name = match &told {
                    Told::Event(event) => {
                        let octets = event.body.as_deref().unwrap_or_default();
                        let object = parse(octets, &limits);
                        if !all && object.is_ok_and(|object| !filter.matches(&object, &zones)) {
                            return ControlFlow::Continue(());
                        }
                        event.name.clone()
                    }
                    // What cannot be judged may be wanted: whoever reads it is told.
                    Told::Damaged(name) => name.clone(),
                    Told::Gone(_) => return ControlFlow::Continue(()),
                };
                if matches.cards.len() + matches.names.len() == limit {
                    matches.truncated = true;
                    return ControlFlow::Break(());
                }
                match told {
                    Told::Event(event) if matches.names.is_empty() && matches.cards.len() < CARRIED => {
                        matches.cards.push(event);
                    }
                    _ => matches.names.push(name),
                }
                ControlFlow::Continue(())
            };
            if Walk::all(book).go(&reader, &mut tell).await?.is_some() {
                break;
            }
        }
        Ok(matches)
    }
}
