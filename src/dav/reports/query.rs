//! `CARDDAV:addressbook-query` and `CALDAV:calendar-query`: the cards, or calendar objects, that a filter
//! matches (CARD-35 to CARD-49, CAL-22 to CAL-33, CAL-41). RFC 6352 §8.6, RFC 4791 §7.8.

use crate::domain::id::{HomeName, MemberName};
use crate::service::Service;
use crate::service::access::Caller;
use crate::service::refusal::{Refusal, Stop};
use crate::service::view::{Carry, CollectionView, Matches};

use super::super::multistatus::{Plan, Verdict, verdict};
use super::super::run::{Absent, Run, Scene, Shelf, Source, Wanted};
use super::super::target::Target;
use super::super::xml::request::{Query, Question};
use super::super::xml::write::Writer;
use super::super::{Depth, Exchange, Outcome};
use super::multiget::exists;

/// Handles the report. Without a `Depth` it looks at a book's cards (D6).
pub async fn query(exchange: &Exchange<'_>, asked: Query) -> Outcome {
    let zone = match &asked.question {
        Question::Objects(_, zone) => zone.clone(),
        Question::Cards(_) => None,
    };
    let plan = Plan::of_report(&asked.asked, exchange.forms(zone), exchange.prefer.minimal)?;
    let depth = exchange.depth_or(Depth::One)?;
    if asked.limit == Some(0) {
        return Err(Refusal::BadLimit.into());
    }
    exchange.check().await?;
    let found = find(exchange, depth, asked, Carry::new(plan.detail())).await?;
    let scene = Scene::of(exchange, plan);
    let mut tail = Writer::default();
    if found.truncated {
        // After the matches: Thunderbird looks at what comes first (B3 #41).
        let own = exchange.target.href();
        verdict(own, None, Verdict::Truncated, &scene.ask(), &mut tail);
    }
    tail.raw("</D:multistatus>");
    let run = Run {
        scene,
        out: Writer::document("D:multistatus", found.wanted.len().min(64) * 512),
        source: Source::Names {
            books: found.books,
            only: matches!(exchange.target, Target::Collection(..)),
            wanted: found.wanted.into_iter(),
            absent: Absent::Omitted,
        },
        tail,
    };
    run.answer().await
}

/// What was found.
#[derive(Default)]
struct Found {
    books: Vec<Shelf>,
    wanted: Vec<Wanted>,
    truncated: bool,
}

impl Found {
    fn add(&mut self, name: &MemberName, matches: Matches) {
        let at = self.books.len();
        self.books.push(Shelf::shown(name.clone(), matches.book));
        self.wanted.extend(matches.cards.into_iter().map(|card| Wanted::read(at, card)));
        self.wanted.extend(matches.names.into_iter().map(|name| Wanted::named(at, name)));
    }
}

/// The cards within reach that match: the book's, with infinite depth those of a home's books, or
/// the one card that the request is for.
async fn find(
    exchange: &Exchange<'_>,
    depth: Depth,
    asked: Query,
    mut carry: Carry,
) -> Result<Found, super::super::refuse::Trouble> {
    let (service, caller, carry) = (exchange.service, exchange.caller, &mut carry);
    let mut found = Found::default();
    match (exchange.target, depth) {
        (Target::Collection(owner, book), Depth::One | Depth::Infinity) => {
            let limit = asked.limit;
            let matches = answers(service, caller, (owner, book), &asked.question, limit, carry).await?;
            found.truncated = matches.truncated;
            found.add(book, matches);
        }
        (Target::Object(owner, book, card), _) => {
            let mut matches = answers(service, caller, (owner, book), &asked.question, None, carry).await?;
            matches.cards.retain(|view| view.name == *card);
            matches.names.retain(|name| name == card);
            found.add(book, matches);
        }
        (Target::Home(owner), Depth::Infinity) => {
            let books = service.home(caller, owner).await?.books;
            found = across(service, caller, books, asked, carry).await?;
        }
        _ => exists(exchange).await?,
    }
    Ok(found)
}

/// What in one collection answers the question.
async fn answers(
    service: &Service,
    caller: &Caller,
    (home, name): (&HomeName, &MemberName),
    question: &Question,
    limit: Option<usize>,
    carry: &mut Carry,
) -> Result<Matches, Stop> {
    match question {
        Question::Cards(filter) => service.query(caller, home, name, filter.clone(), limit, carry).await,
        Question::Objects(filter, zone) => {
            let (filter, zone) = (filter.clone(), zone.clone());
            service.query_calendar(caller, (home, name), filter, zone, limit, carry).await
        }
    }
}

/// The cards of a home's books that match. A book that is there no more when its turn comes, because
/// it went or its share ended, has none.
async fn across(
    service: &Service,
    caller: &Caller,
    books: Vec<CollectionView>,
    asked: Query,
    carry: &mut Carry,
) -> Result<Found, Stop> {
    let mut found = Found::default();
    for view in books {
        let Some(book) = &view.name else { continue };
        let left = asked.limit.map(|limit| limit.saturating_sub(found.wanted.len()));
        // With none left, one more match is looked for, only to know of it.
        let limit = left.map(|left| left.max(1));
        let query = answers(service, caller, (&view.home, book), &asked.question, limit, carry);
        let matches = match query.await {
            Err(Stop::Refused(Refusal::NotFound)) => continue,
            matches => matches?,
        };
        match left {
            Some(0) => found.truncated |= !(matches.cards.is_empty() && matches.names.is_empty()),
            _ => {
                found.truncated |= matches.truncated;
                found.add(book, matches);
            }
        }
        if found.truncated {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::tests::{alice, fill};
    use crate::dav::xml::read::parse;
    use crate::dav::xml::request;
    use crate::domain::id::{HomeName, UserName};
    use crate::service::place::Place;
    use crate::service::view::Detail;

    #[tokio::test]
    async fn card_36_a_book_that_goes_meanwhile_spoils_no_query_of_its_home() {
        let alice = alice().await;
        fill(&alice, 3).await;
        let (service, caller) = &alice;
        let owner = HomeName::books(UserName::parse("alice").unwrap());
        for book in ["a", "z"] {
            let name = MemberName::parse(book).unwrap();
            service.create_book(caller, &owner, &name, Vec::new(), Vec::new()).await.unwrap();
        }
        let books = service.home(caller, &owner).await.unwrap().books;
        assert_eq!(books.len(), 3);
        let gone = Place::Collection(owner.clone(), MemberName::parse("a").unwrap());
        service.delete(caller, &gone, Vec::new()).await.unwrap();
        let body = b"<C:addressbook-query xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'><D:prop><D:getetag/></D:prop></C:addressbook-query>";
        let asked = request::query(&parse(body).unwrap()).unwrap();
        let mut carry = Carry::new(Detail::default());
        let found = across(service, caller, books, asked, &mut carry).await.unwrap();
        assert_eq!((found.wanted.len(), found.books.len(), found.truncated), (3, 2, false));
    }
}
