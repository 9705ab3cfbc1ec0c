//! What became of a company and of its people, newest first and a piece at a time. A company may have
//! thousands of people: those that changed last are read first, and no more of them than the piece needs.

use std::cmp::Reverse;

use crate::domain::contact::{CardFields, Scalar};
use crate::domain::id::{CollectionId, ContactId};
use crate::domain::scim::Filter;
use crate::service::access::Caller;
use crate::service::refusal::Fault;
use crate::service::{Answer, Service};
use crate::store::query::Contact;
use crate::store::roster::{Asked, By, Order, Wanted, changed};

use super::history::{Changed, HistoryEntry, HistoryPlace};
use super::shelves::Deed;
use super::view::{ContactView, NumberedContact, number};

/// Of how many people a company's history tells: of those that changed last.
pub const PEOPLE: usize = 500;

/// How many states of these are read for one piece; one who has had more is still read whole.
const STATES: usize = 20_000;

/// How many people are read at a time.
const STEP: usize = 50;

/// A piece of a company's history.
pub struct CompanyHistory {
    /// The entries, each with its place.
    pub entries: Vec<(HistoryPlace, HistoryEntry)>,
    /// Whether there are more.
    pub more: bool,
}

/// The newest entries before a place, at most so many and one.
struct Newest {
    before: Option<HistoryPlace>,
    limit: usize,
    found: Vec<Changed>,
}

impl Newest {
    fn add(&mut self, changed: Vec<Changed>) {
        let before = self.before;
        self.found.extend(changed.into_iter().filter(|one| before.is_none_or(|before| one.place < before)));
        self.found.sort_by_key(|one| Reverse(one.place));
        self.found.truncate(self.limit + 1);
    }

    /// Whether what happened at a time is too old to be among them.
    fn is_past(&self, at: i64) -> bool {
        self.found.get(self.limit).is_some_and(|last| last.place.at > at)
    }

    /// Whether what was made then has nothing to tell any more.
    fn is_before(&self, created: i64) -> bool {
        self.before.is_some_and(|before| created >= before.at)
    }
}

impl Service {
    /// What became of a company and of the people, linked to it by now, that the caller may see: what
    /// comes after a place, newest first.
    pub async fn company_history(
        &self,
        caller: &Caller,
        shown: &ContactView,
        after: Option<HistoryPlace>,
        limit: usize,
    ) -> Answer<CompanyHistory> {
        let people = self.people_of(caller, shown.id).await?;
        // Later than the list of people: nobody in it is known to have changed later than in here.
        let reader = self.store.read().await?;
        let mut newest = Newest { before: after, limit, found: Vec::new() };
        newest.add(self.changed(&reader, &shown.stored, None).await?.0);
        let shelves = self.shelves().await?;
        let mut states = 0;
        'people: for some in people.chunks(STEP) {
            for person in reader.contacts(some).await?.into_iter().flatten() {
                if newest.is_past(changed(&person).0) || states >= STATES {
                    break 'people;
                }
                let book = CollectionId::from_bytes(person.record.book);
                let seen = shelves.allow(caller, &book, Deed::Read) && is_of(&person, shown);
                if !seen || is_as_it_was_made(&person) || newest.is_before(person.record.created) {
                    continue;
                }
                let (found, read) = self.changed(&reader, &person, Some(&whose(&person))).await?;
                states += read;
                newest.add(found);
                tokio::task::yield_now().await;
            }
        }
        let more = newest.found.len() > limit;
        newest.found.truncate(limit);
        let places: Vec<_> = newest.found.iter().map(|changed| changed.place).collect();
        let entries = self.told(&reader, newest.found).await?;
        Ok(CompanyHistory { entries: places.into_iter().zip(entries).collect(), more })
    }

    /// The people of a company that the caller may see, those that changed last first.
    async fn people_of(&self, caller: &Caller, company: ContactId) -> Answer<Vec<ContactId>> {
        let filter = Filter::parse(&format!("organization.company eq \"{company}\""));
        let mut filter = filter.map_err(|_| Fault("a filter of links is none".into()))?;
        filter.resolve(|_, _| Some(Scalar::Contact(company)));
        let wanted = Wanted { filter: Some(filter), query: None };
        let order = vec![Order { by: By::Updated, descending: true }];
        let asked = Asked { books: self.seen_books(caller).await?, wanted, order, step: None, limit: PEOPLE };
        Ok(self.store.contacts_page(asked).await?.contacts)
    }
}

fn is_of(person: &Contact, company: &ContactView) -> bool {
    person.record.merged_into.is_none() && person.record.record.company == Some(company.id)
}

/// Nothing became of it yet, nor of anyone who was merged into it.
fn is_as_it_was_made(person: &Contact) -> bool {
    person.card.version <= 1 && person.record.changes == 0 && person.record.merged.is_empty()
}

fn whose(person: &Contact) -> NumberedContact {
    NumberedContact {
        id: person.id,
        number: number(person.series, person.number),
        name: CardFields::read(&person.body).name.formatted,
    }
}
