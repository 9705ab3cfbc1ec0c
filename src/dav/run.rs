//! Long answers about cards: read in chunks, written piece by piece, so that neither a snapshot nor
//! a whole book is held while a slow client reads (CARD-53). An answer that is short is one buffer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;

use crate::domain::id::{HomeName, MemberName};
use crate::service::Service;
use crate::service::access::Caller;
use crate::service::refusal::{Refusal, Stop};
use crate::service::view::{CollectionView, Detail, Members, ObjectView, Seen};

use super::multistatus::{Plan, Verdict, verdict};
use super::prefer::Prefer;
use super::props::{Ask, Node};
use super::target::Href;
use super::xml::write::Writer;
use super::{Body, Exchange, Front, Outcome, full, multistatus};

/// How many cards are read with their bodies at once.
const BODIES: usize = 64;
/// How many without.
const ROWS: usize = 512;
/// A longer answer is sent in pieces of about this size.
const PIECE: usize = 64 << 10;

/// What an answer needs after its request is gone.
pub struct Scene {
    service: Arc<Service>,
    caller: Caller,
    front: Front,
    plan: Plan,
    prefer: Prefer,
}

impl Scene {
    /// The scene of that request.
    pub fn of(exchange: &Exchange<'_>, plan: Plan) -> Self {
        Self {
            service: Arc::clone(exchange.service),
            caller: exchange.caller.clone(),
            front: exchange.front.clone(),
            plan,
            prefer: Prefer { minimal: exchange.prefer.minimal, ..Prefer::default() },
        }
    }

    /// Notes that the request's own resource was left out because the client prefers that.
    pub fn without_root(mut self) -> Self {
        self.prefer.no_root = true;
        self
    }

    /// What is written of each resource.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What getters may know.
    pub fn ask(&self) -> Ask<'_> {
        Ask {
            caller: &self.caller,
            limits: self.service.card_limits(),
            calendar: self.service.calendar_limits(),
            front: &self.front,
            conversions: self.service.conversions(),
        }
    }
}

/// A card that is to be written, and read before that if it is not there yet.
pub struct Wanted {
    /// The href that the client used, to be used again (CARD-50).
    pub echo: Option<String>,
    /// The book, by its place in the list, and the name; `None` is nothing that can be there.
    pub at: Option<(usize, MemberName)>,
    /// It may be there, in a book that cannot be read.
    pub lost: bool,
    /// The card, where it was read already, in the answer's detail.
    pub card: Option<Box<ObjectView>>,
}

impl Wanted {
    /// A card of that name in one of the books.
    pub fn named(book: usize, name: MemberName) -> Self {
        Self { echo: None, at: Some((book, name)), lost: false, card: None }
    }

    /// A card of one of the books that was read already.
    pub fn read(book: usize, card: ObjectView) -> Self {
        let named = Self::named(book, card.name.clone());
        Self { card: Some(Box::new(card)), ..named }
    }

    /// Its name, where it is still to be read.
    fn unread(&self) -> Option<&MemberName> {
        let (_, name) = self.at.as_ref().filter(|_| self.card.is_none())?;
        Some(name)
    }
}

/// What is said of a card that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// That it is not.
    Told,
    /// Nothing: it was found a moment ago, and what was asked is what there is.
    Omitted,
}

/// A book that cards are read from. Its rights are asked once in an answer; its cards are read as
/// they are when their turn comes.
pub struct Shelf {
    owner: HomeName,
    name: MemberName,
    shown: Option<CollectionView>,
}

impl Shelf {
    /// A book that was not looked at yet.
    pub fn new(owner: HomeName, name: MemberName) -> Self {
        Self { owner, name, shown: None }
    }

    /// A book that was just shown under that name.
    pub fn shown(name: MemberName, view: CollectionView) -> Self {
        Self { owner: view.home.clone(), name, shown: Some(view) }
    }

    /// Its name in its owner's home.
    pub fn name(&self) -> &MemberName {
        &self.name
    }

    /// Its cards of those names, in their order; nothing where the book is not there, unless the
    /// whole request is for it.
    async fn cards(&mut self, scene: &Scene, names: &[MemberName], only: bool) -> Result<Vec<Seen>, Stop> {
        if self.shown.is_none() {
            let (members, detail) = (Members::None, Detail::default());
            let book = scene.service.book(&scene.caller, &self.owner, &self.name, members, detail);
            match book.await {
                Ok(view) => self.shown = Some(view.book),
                Err(Stop::Refused(Refusal::NotFound)) if !only => return Ok(Vec::new()),
                Err(stop) => return Err(stop),
            }
        }
        match &self.shown {
            Some(book) if !names.is_empty() => scene.service.cards(book, names, scene.plan.detail()).await,
            _ => Ok(Vec::new()),
        }
    }
}

/// Where the cards come from.
pub enum Source {
    /// They are there already.
    Cards(CollectionView, std::vec::IntoIter<ObjectView>),
    /// They are to be read by name.
    Names {
        /// The books.
        books: Vec<Shelf>,
        /// Whether the request is for the one book, so that without the book it fails as a whole.
        only: bool,
        /// The cards.
        wanted: std::vec::IntoIter<Wanted>,
        /// What is said of those that are not there.
        absent: Absent,
    },
    /// There are none left.
    Done,
}

/// An answer in the making.
pub struct Run {
    /// What it needs.
    pub scene: Scene,
    /// What is written.
    pub out: Writer,
    /// What is still to come.
    pub source: Source,
    /// The end of the document, after the cards.
    pub tail: Writer,
}

impl Run {
    /// The answer: whole where it is short, else the beginning now and the rest as it is read.
    pub async fn answer(mut self) -> Outcome {
        let prefer = self.scene.prefer;
        while self.step().await? {
            if self.out.len() >= PIECE {
                return Ok(multistatus(streamed(self), prefer));
            }
        }
        Ok(multistatus(full(self.out.take()), prefer))
    }

    /// Writes the next few cards, and the end after the last; false when that is written.
    async fn step(&mut self) -> Result<bool, Stop> {
        match &mut self.source {
            Source::Cards(book, cards) => {
                let mut some = false;
                let ask = self.scene.ask();
                for card in cards.take(ROWS) {
                    some = true;
                    let node = Node::Object(book, &card);
                    self.scene.plan.respond(&node, None, &ask, &mut self.out);
                    if self.out.len() >= PIECE {
                        break;
                    }
                }
                if some {
                    return Ok(true);
                }
            }
            Source::Names { .. } => {
                if self.read().await? {
                    return Ok(true);
                }
            }
            Source::Done => return Ok(false),
        }
        self.source = Source::Done;
        let tail = self.tail.take();
        self.out.append(&tail);
        Ok(true)
    }

    /// Reads and writes a chunk, a book at a time, in the order asked; false when none is left. What
    /// the store did not read for being too large together is left to the next chunk.
    async fn read(&mut self) -> Result<bool, Stop> {
        let Self { scene, out, source: Source::Names { books, only, wanted, absent }, .. } = self else {
            return Ok(false);
        };
        let bodies = scene.plan.detail().body;
        let size = wanted.len().min(if bodies { BODIES } else { ROWS });
        let chunk = wanted.as_slice().get(..size).unwrap_or_default();
        let book_of = |wanted: &Wanted| wanted.at.as_ref().map(|(book, _)| *book);
        let mut done = 0;
        'chunk: for group in chunk.chunk_by(|a, b| book_of(a) == book_of(b)) {
            let book = group.first().and_then(book_of).and_then(|at| books.get_mut(at));
            let names: Vec<MemberName> = group.iter().filter_map(Wanted::unread).cloned().collect();
            let (place, view, cards) = match book {
                None => (None, None, Vec::new()),
                Some(book) => {
                    let cards = book.cards(scene, &names, *only).await?;
                    (Some((&book.owner, &book.name)), book.shown.as_ref(), cards)
                }
            };
            let ask = scene.ask();
            let mut cards = cards.into_iter();
            for wanted in group {
                // Of a book that is not there, no card is told.
                let echo = wanted.echo.as_deref();
                if let (Some(view), Some(card)) = (view, &wanted.card) {
                    scene.plan.respond(&Node::Object(view, card), echo, &ask, out);
                    done += 1;
                    continue;
                }
                let card = cards.next().unwrap_or(if wanted.lost { Seen::Damaged } else { Seen::Absent });
                let of_all = match (view, card) {
                    (Some(_), Seen::Whole(card)) if bodies && card.body.is_none() => break 'chunk,
                    (Some(view), Seen::Whole(card)) => {
                        scene.plan.respond(&Node::Object(view, &card), echo, &ask, out);
                        None
                    }
                    (_, Seen::Damaged) => Some(Verdict::Damaged),
                    _ => (*absent == Absent::Told).then_some(Verdict::Gone),
                };
                if let Some(of_all) = of_all {
                    let name = wanted.at.as_ref().map(|(_, name)| name);
                    let own = place.zip(name).map(|((owner, book), name)| Href::object(owner, book, name));
                    verdict(own, echo, of_all, &ask, out);
                }
                done += 1;
            }
            if out.len() >= PIECE {
                break;
            }
        }
        wanted.by_ref().take(done).for_each(drop);
        Ok(done > 0)
    }

    /// The next piece and the rest; `None` at the end.
    async fn piece(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while self.out.len() < PIECE {
            let more = self.step().await;
            // The status is sent. A document that breaks off is no XML, so the client knows.
            match more.map_err(|stop| io::Error::other(stop.to_string()))? {
                true => {}
                false => break,
            }
        }
        match self.out.is_empty() {
            true => Ok(None),
            false => Ok(Some((self.out.take(), self))),
        }
    }
}

/// The next piece in the making, with what makes the rest; nothing at the end.
type Piece<T> = Pin<Box<dyn Future<Output = io::Result<Option<(Bytes, T)>>> + Send>>;

/// A body that makes its next piece when it is asked for it.
pub struct Pieces<T> {
    piece: Option<Piece<T>>,
    next: fn(T) -> Piece<T>,
}

impl<T: Send + 'static> Pieces<T> {
    /// A body of the pieces that `next` makes.
    pub fn of(first: T, next: fn(T) -> Piece<T>) -> Body {
        Self { piece: Some(next(first)), next }.boxed_unsync()
    }
}

fn streamed(run: Run) -> Body {
    Pieces::of(run, |run| Box::pin(run.piece()))
}

impl<T> http_body::Body for Pieces<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(piece) = self.piece.as_mut() else {
            return Poll::Ready(None);
        };
        let made = ready!(piece.as_mut().poll(context));
        self.piece = None;
        Poll::Ready(match made {
            Err(error) => Some(Err(error)),
            Ok(None) => None,
            Ok(Some((bytes, rest))) => {
                self.piece = Some((self.next)(rest));
                Some(Ok(Frame::data(bytes)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_none()
    }
}
