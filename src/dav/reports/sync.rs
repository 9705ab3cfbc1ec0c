//! `DAV:sync-collection`: what changed since a token (SYNC-1 to SYNC-24). RFC 6578 §3. Token,
//! members and removals come from one snapshot; `Depth` is ignored (D1).

use crate::domain::id::{HomeName, MemberName};
use std::fmt::Display;

use crate::domain::token::{SyncToken, Token};
use crate::service::birthdays::is_births;
use crate::service::refusal::Refusal;
use crate::service::view::{Changes, CollectionView, ObjectView};

use super::super::multistatus::{Plan, Verdict, verdict};
use super::super::props::{Ask, Node};
use super::super::run::{Absent, Run, Scene, Shelf, Source, Wanted};
use super::super::target::{Href, Target};
use super::super::xml::request::Sync;
use super::super::xml::write::Writer;
use super::super::{Exchange, Outcome};

/// Handles the report.
pub async fn sync(exchange: &Exchange<'_>, asked: Sync) -> Outcome {
    let plan = Plan::of_report(&asked.asked, exchange.forms(None), exchange.prefer.minimal)?;
    if asked.limit == Some(0) {
        return Err(Refusal::BadLimit.into());
    }
    let since = asked.token.as_deref().map(|token| Token::parse(token).ok_or(Refusal::BadToken)).transpose();
    exchange.check().await?;
    let since = match since {
        Ok(since) => since,
        Err(refusal) => return unknown(exchange, refusal).await,
    };
    let (service, caller, limit) = (exchange.service, exchange.caller, asked.limit);
    match (exchange.target, since) {
        (Target::Collection(home, name), since) if is_births(home, name) => {
            let since = match since {
                None => None,
                Some(Token::Births(since)) => Some(since),
                Some(Token::Collection(_)) => return unknown(exchange, Refusal::BadToken).await,
            };
            let changes = service.birthday_changes(caller, (home, name), since, limit).await?;
            of_book(exchange, plan, home, name, changes).await
        }
        (Target::Collection(..) | Target::Home(_), Some(Token::Births(_))) => {
            unknown(exchange, Refusal::BadToken).await
        }
        (Target::Collection(owner, book), since) => {
            let changes = service.changes(caller, owner, book, since.and_then(of_log), limit).await?;
            of_book(exchange, plan, owner, book, changes).await
        }
        (Target::Home(owner), since) => {
            let changes = service.home_changes(caller, owner, since.and_then(of_log), limit).await?;
            of_home(exchange, plan, owner, changes, asked.infinite).await
        }
        _ => Err(Refusal::NotFound.into()),
    }
}

fn of_log(token: Token) -> Option<SyncToken> {
    match token {
        Token::Collection(token) => Some(token),
        Token::Births(_) => None,
    }
}

/// A token that nobody issued; what is not there says so first, so that a revoked share does not
/// look like a lost token (SYNC-26).
async fn unknown(exchange: &Exchange<'_>, refusal: Refusal) -> Outcome {
    super::multiget::exists(exchange).await?;
    Err(refusal.into())
}

async fn of_book(
    exchange: &Exchange<'_>,
    plan: Plan,
    owner: &HomeName,
    book: &MemberName,
    changes: Changes<ObjectView, impl Display>,
) -> Outcome {
    let detail = plan.detail();
    let scene = Scene::of(exchange, plan);
    let mut tail = Writer::default();
    let ask = scene.ask();
    for (names, what) in [(&changes.damaged, Verdict::Damaged), (&changes.removed, Verdict::Gone)] {
        for name in names {
            let href = Href::object(owner, book, name);
            verdict(Some(href), None, what, &ask, &mut tail);
        }
    }
    end(exchange, &ask, changes.truncated, changes.token, &mut tail);
    let room = changes.changed.len().min(64) * 512;
    let source = match detail.body || detail.properties {
        false => Source::Cards(changes.collection, changes.changed.into_iter()),
        true => Source::Names {
            books: vec![Shelf::shown(book.clone(), changes.collection)],
            only: true,
            wanted: changes
                .changed
                .into_iter()
                .map(|card| Wanted::named(0, card.name))
                .collect::<Vec<_>>()
                .into_iter(),
            // It went after the snapshot: the next sync would say so, and this one may.
            absent: Absent::Told,
        },
    };
    let run = Run { scene, out: Writer::document("D:multistatus", room), source, tail };
    run.answer().await
}

async fn of_home(
    exchange: &Exchange<'_>,
    plan: Plan,
    owner: &HomeName,
    changes: Changes<CollectionView>,
    infinite: bool,
) -> Outcome {
    let scene = Scene::of(exchange, plan);
    let mut out = Writer::document("D:multistatus", 2048);
    let ask = scene.ask();
    for book in &changes.changed {
        let node = Node::Collection(book);
        match infinite {
            // What changes in a book is not told here: each book has its own tokens (SYNC-20).
            true => verdict(Some(node.href()), None, Verdict::NotTraversed, &ask, &mut out),
            false => scene.plan().respond(&node, None, &ask, &mut out),
        }
    }
    for (names, what) in [(&changes.damaged, Verdict::Damaged), (&changes.removed, Verdict::Gone)] {
        for name in names {
            let href = Href::collection(owner, name);
            verdict(Some(href), None, what, &ask, &mut out);
        }
    }
    end(exchange, &ask, changes.truncated, changes.token, &mut out);
    let run = Run { scene, out, source: Source::Done, tail: Writer::default() };
    run.answer().await
}

/// The rest of the answer: that there is more (SYNC-17), and the one token (SYNC-12).
fn end(exchange: &Exchange<'_>, ask: &Ask<'_>, truncated: bool, token: impl Display, out: &mut Writer) {
    if truncated {
        verdict(exchange.target.href(), None, Verdict::Truncated, ask, out);
    }
    out.raw("<D:sync-token>");
    out.plain(token);
    out.raw("</D:sync-token></D:multistatus>");
}
