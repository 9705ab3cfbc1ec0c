//! PROPFIND: what a resource and its members are (DAV-9 to DAV-16). RFC 4918 §9.1.

use http::StatusCode;

use crate::service::refusal::Refusal;
use crate::service::view::{BookView, CollectionView, Detail, Members, PrincipalView};

use super::multistatus::Plan;
use super::props::Node;
use super::refuse::{Condition, Trouble};
use super::run::{Run, Scene, Source};
use super::target::{Door, Target};
use super::xml::request;
use super::xml::write::Writer;
use super::{Depth, Exchange, Outcome, full, multistatus};

/// Room for one resource's answer.
const ROOM: usize = 1024;

/// Handles PROPFIND. Without a `Depth` it is 1, since infinity is not offered (D7, DAV-10).
pub async fn propfind(exchange: &Exchange<'_>) -> Outcome {
    let depth = exchange.depth_or(Depth::One)?;
    if depth == Depth::Infinity && !matches!(exchange.target, Target::Card(..)) {
        let finite = Condition::PropfindFiniteDepth;
        return Err(Trouble::Condition(StatusCode::FORBIDDEN, finite));
    }
    let asked = request::propfind(&exchange.body)?;
    let plan = Plan::of_propfind(&asked, exchange.prefer.minimal);
    exchange.check().await?;
    if let (Target::Book(owner, book), Depth::One) = (exchange.target, depth) {
        let view = exchange.service.book(exchange.caller, owner, book, Members::All, plan.detail()).await?;
        return listing(exchange, plan, view).await;
    }
    let subject = Subject::read(exchange, exchange.target, plan.detail(), depth == Depth::One).await?;
    let mut prefer = exchange.prefer;
    prefer.no_root &= depth == Depth::One;
    let mut out = Writer::document("D:multistatus", ROOM);
    let ask = exchange.ask();
    subject.nodes(|node, is_root| {
        if !(is_root && prefer.no_root) {
            plan.respond(&node, None, &ask, &mut out);
        }
    });
    out.raw("</D:multistatus>");
    Ok(multistatus(full(out.take()), prefer))
}

/// A book and its members, in pieces.
async fn listing(exchange: &Exchange<'_>, plan: Plan, view: BookView) -> Outcome {
    let mut scene = Scene::of(exchange, plan);
    let mut out = Writer::document("D:multistatus", ROOM);
    if exchange.prefer.no_root {
        scene = scene.without_root();
    } else {
        let node = Node::Book(&view.book);
        scene.plan().respond(&node, None, &scene.ask(), &mut out);
    }
    let mut tail = Writer::default();
    tail.raw("</D:multistatus>");
    let source = Source::Cards(view.book, view.cards.into_iter());
    let run = Run { scene, out, source, tail };
    run.answer().await
}

/// A resource as it was read, with its members where they were asked for.
pub enum Subject {
    /// The root and the collections in it.
    Root(Door, bool),
    /// The collection of collections of principals.
    Principals(bool),
    /// The collection of users' principals, and those that the caller may see.
    PrincipalUsers(Vec<PrincipalView>),
    /// A principal.
    Principal(PrincipalView),
    /// The collection of homes, and the caller's own.
    Homes(Option<CollectionView>),
    /// A home and its books.
    Home(CollectionView, Vec<CollectionView>),
    /// A book and its cards, or one card of it.
    Book(BookView),
    /// One card, the first of the book's.
    Card(BookView),
}

impl Subject {
    /// Reads `target`, and its members where asked.
    pub async fn read(
        exchange: &Exchange<'_>,
        target: &Target,
        detail: Detail,
        members: bool,
    ) -> Result<Self, Trouble> {
        let (service, caller) = (exchange.service, exchange.caller);
        Ok(match target {
            Target::Root(door) => Self::Root(*door, members),
            Target::Principals => Self::Principals(members),
            Target::PrincipalUsers if members => Self::PrincipalUsers(service.principals(caller).await?),
            Target::PrincipalUsers => Self::PrincipalUsers(Vec::new()),
            Target::Principal(name) => Self::Principal(service.principal(caller, name).await?),
            Target::Homes if members => Self::Homes(Some(service.home(caller, &caller.name).await?.home)),
            Target::Homes => Self::Homes(None),
            Target::Home(owner) => {
                let view = service.home(caller, owner).await?;
                Self::Home(view.home, if members { view.books } else { Vec::new() })
            }
            Target::Book(owner, book) => {
                let which = if members { Members::All } else { Members::None };
                Self::Book(service.book(caller, owner, book, which, detail).await?)
            }
            Target::Card(owner, book, card) => {
                let which = Members::Named(vec![card.clone()]);
                let view = service.book(caller, owner, book, which, detail).await?;
                match view.cards.is_empty() {
                    true => return Err(Refusal::NotFound.into()),
                    false => Self::Card(view),
                }
            }
            Target::Unmapped => return Err(Refusal::NotFound.into()),
        })
    }

    /// Hands out the resource and then its members; the flag tells the resource.
    pub fn nodes<'a>(&'a self, mut each: impl FnMut(Node<'a>, bool)) {
        match self {
            Self::Root(door, members) => {
                each(Node::Root(*door), true);
                if *members && *door == Door::Dav {
                    each(Node::Principals, false);
                    each(Node::Homes, false);
                }
            }
            Self::Principals(members) => {
                each(Node::Principals, true);
                if *members {
                    each(Node::PrincipalUsers, false);
                }
            }
            Self::PrincipalUsers(users) => {
                each(Node::PrincipalUsers, true);
                users.iter().for_each(|user| each(Node::Principal(user), false));
            }
            Self::Principal(view) => each(Node::Principal(view), true),
            Self::Homes(home) => {
                each(Node::Homes, true);
                home.iter().for_each(|home| each(Node::Home(home), false));
            }
            Self::Home(home, books) => {
                each(Node::Home(home), true);
                books.iter().for_each(|book| each(Node::Book(book), false));
            }
            Self::Book(view) => {
                each(Node::Book(&view.book), true);
                for card in &view.cards {
                    each(Node::Card(&view.book, card), false);
                }
            }
            Self::Card(view) => {
                for card in view.cards.iter().take(1) {
                    each(Node::Card(&view.book, card), true);
                }
            }
        }
    }
}
