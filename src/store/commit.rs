//! The only way to write: a `Commit` says what must hold and what to do; the store reads what that
//! touches, derives index and change-log rows, and hands the engine one conditional batch. When
//! only the rows it read have moved meanwhile, it derives again.

use jiff::Timestamp;

use crate::domain::event::Event;
use crate::domain::id::{AccountId, CollectionId, ContactId, Etag, MemberName, Revision, UserName};

use super::derive::{Derivation, Derived, Halt};
use super::engine::{Batch, Outcome, Write};
use super::keys::{Hash, Table};
use super::rows::{AppPasswordRow, CollectionRow, Id};
use super::{Store, StoreError, calls};

mod ops;

pub use ops::{
    AccountOp, CardOp, CollectionOp, DefinitionOp, Described, JobOp, NewCard, Op, PropertiesOp, RecordChange,
};

/// How often a commit is derived anew before it gives up: every round means that another commit
/// succeeded, so only a very crowded row gets here.
const ROUNDS: usize = 64;

/// A change to the store.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Who does it; `None` for the server itself.
    pub actor: Option<AccountId>,
    /// When.
    pub at: Timestamp,
    /// What must hold, all of it.
    pub expect: Vec<Expect>,
    /// What to do, all or nothing. No two ops may touch the same member.
    pub ops: Vec<Op>,
    /// What is told of it, in the same batch.
    pub events: Vec<Event>,
    /// With what client it is done.
    pub client: Option<String>,
}

impl Commit {
    /// A commit of which nothing is told.
    pub fn new(actor: Option<AccountId>, at: Timestamp, expect: Vec<Expect>, ops: Vec<Op>) -> Self {
        Self { actor, at, expect, ops, events: Vec::new(), client: None }
    }
}

/// One of these lists of facts must hold.
#[derive(Debug, Clone)]
pub struct Expect(pub Vec<Vec<Fact>>);

/// A fact about a place.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Where; `None` is nowhere, where nothing is.
    pub at: Option<At>,
    /// What.
    pub state: FactState,
    /// Turned around.
    pub negate: bool,
}

/// A place in the store.
#[derive(Debug, Clone)]
pub enum At {
    /// A collection.
    Collection(CollectionId),
    /// A card of a book.
    Card(CollectionId, MemberName),
    /// A book of a home.
    Link(CollectionId, MemberName),
    /// An app password, by its account and its id.
    AppPassword(Id, Id),
}

/// What a fact says.
#[derive(Debug, Clone)]
pub enum FactState {
    /// Something is there.
    Exists,
    /// It is a card whose entity tag is one of these.
    EtagIn(Vec<Etag>),
    /// It is a card that has not changed since.
    UnmodifiedSince(Timestamp),
    /// It is a collection, or a book's place with that book in it: this one, at this revision.
    At(CollectionId, Revision),
    /// It is a book's place with that book in it, whatever became of the book.
    Holds(CollectionId),
    /// It is a collection that people would be shown as this one.
    ShownAs(Box<CollectionRow>),
    /// It is an app password that says what this one does.
    SaysAs(Box<AppPasswordRow>),
    /// Never true.
    Never,
}

/// What a commit did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The cards that were put or moved, in the ops' order.
    pub cards: Vec<CommittedCard>,
}

/// What became of one card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedCard {
    /// Its contact.
    pub contact: ContactId,
    /// Its entity tag.
    pub etag: Etag,
    /// Nothing was there before.
    pub created: bool,
    /// When the contact was made.
    pub created_at: Timestamp,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// An expectation does not hold.
    Expectation,
    /// A member of the book has the UID.
    UidTaken(MemberName),
    /// There is no such collection.
    NoCollection,
    /// There is no such member, or what was read of it has moved.
    NoMember,
    /// The place is taken.
    Taken,
    /// The calendar takes no such objects.
    NotTaken,
}

/// The end of a commit that wrote nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// What it asked for does not hold.
    #[error("the commit's expectations do not hold")]
    Unmet(Unmet),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Whether the facts hold now: for requests that only read.
    pub async fn holds(&self, expect: Vec<Expect>, at: Timestamp) -> Result<bool, StoreError> {
        let commit = Commit::new(None, at, expect, Vec::new());
        let snapshot = self.engine.snapshot().await?;
        let mut taken = self.take();
        match Derivation::of(&commit, snapshot.as_ref(), &self.sealer, &mut taken).await {
            Ok(_) => Ok(true),
            Err(Halt::Unmet(_)) => Ok(false),
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    /// Applies a commit; answers after it is durable.
    pub async fn commit(&self, commit: &Commit) -> Result<Committed, CommitError> {
        for _ in 0..ROUNDS {
            let snapshot = self.engine.snapshot().await.map_err(StoreError::from)?;
            let mut taken = self.take();
            let derived = Derivation::of(commit, snapshot.as_ref(), &self.sealer, &mut taken).await;
            let Derived { batch, committed, news, told } = match derived {
                Ok(derived) => derived,
                Err(Halt::Unmet(unmet)) => return Err(CommitError::Unmet(unmet)),
                Err(Halt::Failed(error)) => {
                    if matches!(error, StoreError::Damaged(_)) {
                        self.damages.count();
                    }
                    return Err(error.into());
                }
            };
            // A snapshot pins pages, so it goes before the commit that may free them.
            drop(snapshot);
            calls::bump();
            let erases = erases(&batch);
            taken.sent();
            // What nobody knows to be written may be.
            let sent = self.engine.commit(batch).await.inspect_err(|_| self.touched.all());
            match sent.map_err(StoreError::from)? {
                Outcome::Applied(revisions) => {
                    taken.kept();
                    // Those of events follow.
                    let logged = revisions.get(..news.len()).unwrap_or(&revisions);
                    self.indexes().hand_over(news, logged);
                    // What was written is written; an index that could not be told is made anew.
                    if self.tell_roster(&told).await.is_err() {
                        self.roster.let_go();
                    }
                    self.touched.note(&commit.ops, &told);
                    if erases {
                        self.eraser.wake();
                    }
                    return Ok(committed);
                }
                Outcome::Moved => taken.refused(),
            }
        }
        Err(StoreError::Overtaken.into())
    }

    /// The hash by which an account's name is kept, for app passwords.
    pub fn account_hash(&self, name: &UserName) -> Hash {
        self.sealer.user(name)
    }
}

/// Whether a batch destroys a key.
fn erases(batch: &Batch) -> bool {
    let condemns = |key: &[u8]| key.first() == Some(&(Table::Doomed as u8));
    batch.writes.iter().any(|write| matches!(write, Write::Put { key, .. } if condemns(key)))
}
