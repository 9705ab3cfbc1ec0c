//! PROPFIND: what a resource and its members are (DAV-9 to DAV-16). RFC 4918 §9.1.

use http::StatusCode;

use crate::domain::id::{CollectionKind, HomeName, MemberName, Principal};
use crate::service::refusal::Refusal;
use crate::service::view::{CollectionView, Detail, Members, MembersView, PrincipalView};

use super::multistatus::{Plan, Verdict, verdict};
use super::props::Node;
use super::refuse::{Condition, Trouble};
use super::run::{Run, Scene, Source};
use super::target::{Door, Href, Target};
use super::xml::request;
use super::xml::write::Writer;
use super::{Depth, Exchange, Outcome, full, multistatus};

/// Room for one resource's answer.
const ROOM: usize = 1024;

/// Handles PROPFIND. Without a `Depth` it is 1, since infinity is not offered (D7, DAV-10).
pub async fn propfind(exchange: &Exchange<'_>) -> Outcome {
    let depth = exchange.depth_or(Depth::One)?;
    if depth == Depth::Infinity && !matches!(exchange.target, Target::Object(..)) {
        let finite = Condition::PropfindFiniteDepth;
        return Err(Trouble::Condition(StatusCode::FORBIDDEN, finite));
    }
    let asked = request::propfind(&exchange.body)?;
    let plan = Plan::of_propfind(&asked, exchange.prefer.minimal);
    exchange.check().await?;
    if let (Target::Collection(owner, book), Depth::One) = (exchange.target, depth) {
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
    for href in subject.damaged() {
        verdict(Some(href), None, Verdict::Damaged, &ask, &mut out);
    }
    out.raw("</D:multistatus>");
    Ok(multistatus(full(out.take()), prefer))
}

/// A book and its members, in pieces.
async fn listing(exchange: &Exchange<'_>, plan: Plan, view: MembersView) -> Outcome {
    let mut scene = Scene::of(exchange, plan);
    let mut out = Writer::document("D:multistatus", ROOM);
    if exchange.prefer.no_root {
        scene = scene.without_root();
    } else {
        let node = Node::Collection(&view.book);
        scene.plan().respond(&node, None, &scene.ask(), &mut out);
    }
    let mut tail = Writer::default();
    for name in &view.damaged {
        if let Some(book) = &view.book.name {
            let href = Href::object(&view.book.home, book, name);
            verdict(Some(href), None, Verdict::Damaged, &scene.ask(), &mut tail);
        }
    }
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
    /// The collection of groups' principals, and those that the caller may see.
    PrincipalGroups(Vec<PrincipalView>),
    /// A user's or a group's principal.
    Principal(PrincipalView),
    /// The collection of homes, and the caller's own.
    Homes(CollectionKind, Option<CollectionView>),
    /// A home, its books, and the names of those that cannot be read.
    Home(CollectionView, Vec<CollectionView>, Vec<MemberName>),
    /// A book and its cards, or one card of it.
    Book(MembersView),
    /// One card, the first of the book's.
    Card(MembersView),
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
            Target::PrincipalUsers if members => {
                let mut all = service.principals(caller).await?;
                all.retain(|view| matches!(view.name, Principal::User(_)));
                Self::PrincipalUsers(all)
            }
            Target::PrincipalUsers => Self::PrincipalUsers(Vec::new()),
            Target::PrincipalGroups if members => {
                let mut all = service.principals(caller).await?;
                all.retain(|view| matches!(view.name, Principal::Group(_)));
                Self::PrincipalGroups(all)
            }
            Target::PrincipalGroups => Self::PrincipalGroups(Vec::new()),
            Target::Principal(name) => {
                Self::Principal(service.principal(caller, &Principal::User(name.clone())).await?)
            }
            Target::Group(name) => {
                Self::Principal(service.principal(caller, &Principal::Group(name.clone())).await?)
            }
            Target::Homes(kind) if members => {
                let own = HomeName::new(*kind, caller.name.clone());
                Self::Homes(*kind, Some(service.home(caller, &own).await?.home))
            }
            Target::Homes(kind) => Self::Homes(*kind, None),
            Target::Home(owner) => {
                let view = service.home(caller, owner).await?;
                match members {
                    true => Self::Home(view.home, view.books, view.damaged),
                    false => Self::Home(view.home, Vec::new(), Vec::new()),
                }
            }
            Target::Collection(owner, book) => {
                let which = if members { Members::All } else { Members::None };
                Self::Book(service.book(caller, owner, book, which, detail).await?)
            }
            Target::Object(owner, book, card) => {
                let which = Members::Named(vec![card.clone()]);
                let view = service.book(caller, owner, book, which, detail).await?;
                view.one()?;
                Self::Card(view)
            }
            Target::Unmapped => return Err(Refusal::NotFound.into()),
        })
    }

    /// The members that are there and cannot be read.
    pub fn damaged(&self) -> Vec<Href<'_>> {
        match self {
            Self::Home(home, _, damaged) => {
                damaged.iter().map(|name| Href::collection(&home.home, name)).collect()
            }
            Self::Book(MembersView { book, damaged, .. }) => {
                let card = |name| Some(Href::object(&book.home, book.name.as_ref()?, name));
                damaged.iter().filter_map(card).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Hands out the resource and then its members; the flag tells the resource.
    pub fn nodes<'a>(&'a self, mut each: impl FnMut(Node<'a>, bool)) {
        match self {
            Self::Root(door, members) => {
                each(Node::Root(*door), true);
                if *members && *door == Door::Dav {
                    each(Node::Principals, false);
                    CollectionKind::ALL.into_iter().for_each(|kind| each(Node::Homes(kind), false));
                }
            }
            Self::Principals(members) => {
                each(Node::Principals, true);
                if *members {
                    each(Node::PrincipalUsers, false);
                    each(Node::PrincipalGroups, false);
                }
            }
            Self::PrincipalUsers(users) => {
                each(Node::PrincipalUsers, true);
                users.iter().for_each(|user| each(Node::Principal(user), false));
            }
            Self::PrincipalGroups(groups) => {
                each(Node::PrincipalGroups, true);
                groups.iter().for_each(|group| each(Node::Principal(group), false));
            }
            Self::Principal(view) => each(Node::Principal(view), true),
            Self::Homes(kind, home) => {
                each(Node::Homes(*kind), true);
                home.iter().for_each(|home| each(Node::Home(home), false));
            }
            Self::Home(home, books, _) => {
                each(Node::Home(home), true);
                books.iter().for_each(|book| each(Node::Collection(book), false));
            }
            Self::Book(view) => {
                each(Node::Collection(&view.book), true);
                for card in &view.cards {
                    each(Node::Object(&view.book, card), false);
                }
            }
            Self::Card(view) => {
                for card in view.cards.iter().take(1) {
                    each(Node::Object(&view.book, card), true);
                }
            }
        }
    }
}
