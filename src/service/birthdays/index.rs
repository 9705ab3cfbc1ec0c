//! When the days of a book's cards are: kept in memory of the cards that have some, once for all who see
//! the book, so that a list of events costs as much as there are events, and a month's question as much
//! as there are in the month. Of an event it is kept what a list shows of it; whether that is still so,
//! the card's row tells, and whoever wants octets has the card read. Knows no caller.

use std::sync::Arc;

use crate::domain::ical::birthday::{Day, Occasion, days};
use crate::domain::ical::filter::Scope;
use crate::domain::ical::overlap::Range;
use crate::domain::ical::yearly::Yearly;
use crate::domain::id::{CollectionId, HomeName};
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::view::Detail;
use crate::service::{Answer, Service};
use crate::store::StoreError;
use crate::store::damage::Found;
use crate::store::follow::{Followed, Keep, Position};
use crate::store::keys::Hash;
use crate::store::query::{Card, Reader, With};
use crate::store::rows::CardRow;

use super::Births;
use super::delta::{Told, shown};
use super::events::{EventName, Made, octets, read_events};

/// How many cards' rows are read at once.
const ROWS: usize = 256;

/// How often a newer snapshot is taken because others asked of a newer one meanwhile.
const ROUNDS: usize = 3;

/// The cards of a book that have days.
pub(in crate::service) type Days = Followed<Kept>;

/// A card, as it is kept.
#[derive(Clone)]
pub(in crate::service) struct Kept {
    member: Hash,
    /// `None` where the card cannot be read, so that every question finds it.
    dated: Option<Dated>,
}

/// The days of a card of that version.
#[derive(Clone)]
struct Dated {
    contact: [u8; 16],
    version: u64,
    days: Box<[KeptDay]>,
}

#[derive(Clone, Copy)]
struct KeptDay {
    occasion: Occasion,
    yearly: Yearly,
    made: Made,
}

crate::hidden!(Kept);

impl Keep for Kept {
    type Tools = ();

    fn member(&self) -> Hash {
        self.member
    }

    fn read(_: &(), reader: &Reader, _of: CollectionId, member: Hash, card: &Card) -> Option<Self> {
        let kept = |day: &Day| {
            let octets = octets(day, &card.row);
            let made = Made { etag: reader.etag_of(&octets), size: octets.len() as u64 };
            Some(KeptDay { occasion: day.occasion, yearly: day.yearly()?, made })
        };
        let days: Box<[_]> = days(card.body.as_deref()?).iter().filter_map(kept).collect();
        let (contact, version) = (card.row.contact, card.row.version);
        (!days.is_empty()).then_some(Self { member, dated: Some(Dated { contact, version, days }) })
    }

    fn unread(member: Hash, _before: Option<&Self>) -> Option<Self> {
        Some(Self { member, dated: None })
    }
}

impl Kept {
    /// The card, by its name's hash.
    pub(super) fn card(&self) -> Hash {
        self.member
    }

    /// The occasions of which the card has a day; `None` where that is not known.
    pub(super) fn occasions(&self) -> Option<impl Iterator<Item = Occasion>> {
        Some(self.dated.as_ref()?.days.iter().map(|day| day.occasion))
    }

    /// Whether one of its events may answer a filter of that scope.
    pub(super) fn may_answer(&self, scope: &Scope) -> bool {
        Occasion::ALL.into_iter().any(|occasion| self.may_answer_with(occasion, scope))
    }

    /// Whether that event may.
    pub(super) fn may_answer_with(&self, occasion: Occasion, scope: &Scope) -> bool {
        let in_scope = |day: &KeptDay| {
            // There is no alarm in any of them.
            scope.alarms.is_none() && scope.instances.is_none_or(|range| day.yearly.may_be_in(&range))
        };
        self.dated.is_none() || self.day(occasion).is_some_and(in_scope)
    }

    /// Whether that event is in the range, whatever the zone.
    pub(super) fn surely_is_in(&self, occasion: Occasion, range: &Range) -> bool {
        self.day(occasion).is_some_and(|day| day.yearly.surely_is_in(range))
    }

    fn day(&self, occasion: Occasion) -> Option<&KeptDay> {
        self.dated.as_ref()?.days.iter().find(|day| day.occasion == occasion)
    }

    /// The days, where they are those of the card with that row.
    fn days_of(&self, row: &CardRow) -> Option<&[KeptDay]> {
        let dated = self.dated.as_ref()?;
        ((dated.contact, dated.version) == (row.contact, row.version)).then_some(&dated.days)
    }
}

/// The cards that are kept and of which that holds, in an order that stays.
pub(super) fn sorted(days: &Days, holds: impl Fn(&Kept) -> bool) -> Vec<&Kept> {
    let mut found: Vec<_> = days.entries().iter().filter(|kept| holds(kept)).collect();
    found.sort_unstable_by_key(|kept| kept.member);
    found
}

/// Tells of all events of a book, in the detail wanted.
pub(super) async fn list(
    reader: &Reader,
    (book, days): (CollectionId, &Days),
    detail: Detail,
    tell: &mut (dyn FnMut(Told) + Send),
) -> Answer<()> {
    for chunk in sorted(days, |_| true).chunks(ROWS) {
        let mut unmade: Vec<Hash> = chunk.iter().map(|kept| kept.member).collect();
        if !detail.body {
            let found = reader.found_cards(book, &unmade, With::default()).await?;
            unmade.clear();
            for (kept, found) in chunk.iter().zip(found) {
                let event = |occasion| EventName { book, member: kept.member, occasion };
                match found {
                    Found::Whole(card) => match kept.days_of(&card.row) {
                        Some(days) => {
                            for day in days {
                                let view = day.made.event(event(day.occasion), &card.row)?;
                                view.map(Told::Event).into_iter().for_each(&mut *tell);
                            }
                        }
                        None => unmade.push(kept.member),
                    },
                    Found::Damaged(_) => {
                        for occasion in Occasion::ALL {
                            tell(Told::Damaged(event(occasion).name()?));
                        }
                    }
                    Found::Absent => {}
                }
            }
        }
        let read = read_events(reader, book, &unmade).await?;
        for (member, mut found) in unmade.into_iter().zip(read) {
            for occasion in Occasion::ALL {
                match shown(&mut found, &EventName { book, member, occasion })? {
                    Some(Told::Event(event)) => tell(Told::Event(event.detailed(detail))),
                    told => told.into_iter().for_each(&mut *tell),
                }
            }
        }
    }
    Ok(())
}

impl Service {
    /// The caller's calendar with the days of its books, all as of one snapshot.
    pub(super) async fn dated_births(
        &self,
        caller: &Caller,
        home: &HomeName,
    ) -> Answer<(Reader, Births, Vec<Arc<Days>>)> {
        let mut round = 1;
        loop {
            let reader = self.store.read().await?;
            let births = self.births(&reader, caller, home).await?.ok_or(Refusal::NotFound)?;
            if let Some(days) = self.days_of(&reader, &births, round == ROUNDS).await? {
                return Ok((reader, births, days));
            }
            round += 1;
        }
    }

    /// Brings what is kept of days to where the books are: of who was erased nothing is left then.
    pub(in crate::service) async fn freshen_days(&self) -> Result<(), StoreError> {
        for id in self.birthdays.known() {
            let reader = self.store.read().await?;
            match reader.found_collections(&[id]).await?.pop() {
                Some(Found::Whole(book)) => {
                    self.birthdays.at(&reader, Position::of(&book)).await?;
                }
                _ => self.birthdays.forget(id),
            }
        }
        Ok(())
    }

    /// The days of the books; `None` where what is kept of one of them is of a newer snapshot, unless it
    /// is to be made once more then.
    pub(super) async fn days_of(
        &self,
        reader: &Reader,
        births: &Births,
        at_any_cost: bool,
    ) -> Answer<Option<Vec<Arc<Days>>>> {
        let mut all = Vec::with_capacity(births.books.len());
        for book in &births.books {
            let at = book.position();
            all.push(match self.birthdays.at(reader, at).await? {
                Some(days) => days,
                None if at_any_cost => Arc::new(Kept::whole(reader, at).await?),
                None => return Ok(None),
            });
        }
        Ok(Some(all))
    }
}
