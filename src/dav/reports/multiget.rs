//! `CARDDAV:addressbook-multiget` and `CALDAV:calendar-multiget` (CAL-39): every href asked is answered once, under the spelling that the
//! client used (CARD-50 to CARD-53). RFC 6352 §8.7. `Depth` is ignored (D5).

use std::collections::{HashMap, HashSet};

use crate::domain::id::MemberName;
use crate::service::view::{CollectionView, Detail, Members};

use super::super::multistatus::Plan;
use super::super::refuse::Trouble;
use super::super::run::{Absent, Run, Scene, Shelf, Source, Wanted};
use super::super::target::Target;
use super::super::xml::request::Multiget;
use super::super::xml::write::Writer;
use super::super::{Exchange, Outcome};

/// Handles the report.
pub async fn multiget(exchange: &Exchange<'_>, asked: Multiget) -> Outcome {
    let plan = Plan::of_report(&asked.asked, exchange.forms(None), exchange.prefer.minimal)?;
    exchange.check().await?;
    let (books, lost) = shelves(exchange).await?;
    let places: HashMap<MemberName, usize> =
        books.iter().enumerate().map(|(at, shelf)| (shelf.name().clone(), at)).collect();
    let mut wanted = Vec::with_capacity(asked.hrefs.len());
    let mut seen = HashSet::with_capacity(asked.hrefs.len());
    for href in &asked.hrefs {
        if !seen.insert(href.as_str()) {
            continue;
        }
        let target = Target::of_href(exchange.front, exchange.target, href).ok();
        let place = target.filter(|target| within(exchange.target, target)).and_then(|target| match target {
            Target::Object(_, book, card) => Some((book, card)),
            _ => None,
        });
        let lost = place.as_ref().is_some_and(|(book, _)| lost.may_be(book));
        let at = place.and_then(|(book, card)| Some((*places.get(&book)?, card)));
        let echo = Some(href.clone());
        wanted.push(Wanted { echo, lost: lost && at.is_none(), at, card: None });
    }
    let only = !matches!(exchange.target, Target::Home(_));
    if only && wanted.iter().all(|wanted: &Wanted| wanted.at.is_none()) {
        exists(exchange).await?;
    }
    let mut tail = Writer::default();
    tail.raw("</D:multistatus>");
    let run = Run {
        scene: Scene::of(exchange, plan),
        out: Writer::document("D:multistatus", asked.hrefs.len().min(64) * 512),
        source: Source::Names { books, only, wanted: wanted.into_iter(), absent: Absent::Told },
        tail,
    };
    run.answer().await
}

/// Books of a home that cannot be read: of their cards, nobody may be told that they are gone.
#[derive(Default)]
struct Lost {
    books: Vec<MemberName>,
    nameless: bool,
}

impl Lost {
    fn may_be(&self, book: &MemberName) -> bool {
        self.nameless || self.books.contains(book)
    }
}

/// The books that cards may be asked of: the request's own, or all of a home, which are read at once
/// however many of them are asked for.
async fn shelves(exchange: &Exchange<'_>) -> Result<(Vec<Shelf>, Lost), Trouble> {
    Ok(match exchange.target {
        Target::Home(owner) => {
            let home = exchange.service.home(exchange.caller, owner).await?;
            let shelf = |view: CollectionView| Some(Shelf::shown(view.name.clone()?, view));
            let shelves = home.books.into_iter().filter_map(shelf).collect();
            (shelves, Lost { books: home.damaged, nameless: home.nameless })
        }
        Target::Collection(owner, book) | Target::Object(owner, book, _) => {
            (vec![Shelf::new(owner.clone(), book.clone())], Lost::default())
        }
        _ => (Vec::new(), Lost::default()),
    })
}

/// Whether `href` is in the resource that the report is for; others are 404, each by itself
/// (CARD-52).
fn within(base: &Target, href: &Target) -> bool {
    match (base, href) {
        (Target::Home(home), Target::Object(owner, _, _)) => home == owner,
        (Target::Collection(home, base), Target::Object(owner, book, _)) => home == owner && base == book,
        (Target::Object(..), Target::Object(..)) => base == href,
        _ => false,
    }
}

/// Fails where the resource that the report is for is not there.
pub async fn exists(exchange: &Exchange<'_>) -> Result<(), Trouble> {
    match exchange.target {
        Target::Collection(owner, book) | Target::Object(owner, book, _) => {
            let read = exchange.service.book(exchange.caller, owner, book, Members::None, Detail::default());
            read.await?;
        }
        Target::Home(owner) => {
            exchange.service.home(exchange.caller, owner).await?;
        }
        _ => {}
    }
    Ok(())
}
