//! The only way to write: a `Commit` says what must hold and what to do; the store reads what that
//! touches, derives index and change-log rows, and hands the engine one conditional batch. When
//! only the rows it read have moved meanwhile, it derives again.

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::contact::Record;
use crate::domain::event::Event;
use crate::domain::id::{AccountId, CollectionId, ContactId, Etag, MemberName, Revision, Uid, UserName};
use crate::domain::vcard::Version;

use super::derive::{Derivation, Derived, Halt};
use super::engine::{Batch, Outcome, Write};
use super::keys::{Hash, Table};
use super::rows::{
    AccountRow, AppPasswordRow, CollectionRow, Definition, Id, JobRow, JobState, ShareRow, StoredProperty,
    UseRow,
};
use super::{Store, StoreError, calls};

crate::hidden!(NewCard);

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

/// A change, by its room.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "accounts change rarely, and a commit has few ops")]
pub enum Op {
    /// To a card.
    Card(CardOp),
    /// To a collection.
    Collection(CollectionOp),
    /// To what clients wrote on something.
    Properties(PropertiesOp),
    /// To an account or its app passwords.
    Account(AccountOp),
    /// To what admins and users lay down.
    Definition(DefinitionOp),
    /// To long work.
    Job(JobOp),
}

/// A change to something laid down.
#[derive(Debug, Clone)]
pub struct DefinitionOp {
    /// Its id.
    pub id: Id,
    /// As it was read; the commit is refused when it is not that any more.
    pub before: Option<Definition>,
    /// As it is to be; `None` takes it away.
    pub after: Option<Definition>,
}

/// A change to long work.
#[derive(Debug, Clone)]
pub struct JobOp {
    /// Its id.
    pub id: Id,
    /// Its state and how much was done; the commit is refused when it is not that any more.
    pub before: Option<(JobState, u64)>,
    /// As it is to be; `None` forgets it.
    pub after: Option<JobRow>,
}

/// A change to a card.
#[derive(Debug, Clone)]
pub enum CardOp {
    /// Creates or replaces.
    Put {
        /// The book.
        book: CollectionId,
        /// The member's name.
        name: MemberName,
        /// The card.
        card: NewCard,
        /// The id that a new contact gets, unless one with that UID comes back from the trash.
        fresh: ContactId,
        /// What becomes of the record; left out, a new contact gets an empty one and another keeps its own.
        record: Option<Box<RecordChange>>,
    },
    /// Removes for good.
    Remove {
        /// The book.
        book: CollectionId,
        /// The member's name.
        name: MemberName,
    },
    /// Moves into the book [`TRASH`](super::keys::TRASH), where the contact keeps all that it has.
    Trash {
        /// The book.
        book: CollectionId,
        /// The member's name.
        name: MemberName,
        /// It is merged into this contact and does not come back.
        merged_into: Option<ContactId>,
    },
    /// Takes a contact out of the trash; in the book its UID must be free, and the name.
    Restore {
        /// The contact.
        contact: ContactId,
        /// To this book and name.
        to: (CollectionId, MemberName),
    },
    /// What was copied from one book to another by writing it there anew goes where it was: the copy
    /// becomes the contact, with the contact's number, record and history.
    Adopt {
        /// The contact's book and name.
        from: (CollectionId, MemberName),
        /// The copy's.
        to: (CollectionId, MemberName),
    },
    /// Changes the record only: nothing that phones see.
    Record {
        /// The contact.
        contact: ContactId,
        /// The change.
        change: Box<RecordChange>,
    },
    /// Moves, or copies where `copy` holds the new contact's id. What is at the destination goes.
    Transfer {
        /// From this book and name.
        from: (CollectionId, MemberName),
        /// To this book and name.
        to: (CollectionId, MemberName),
        /// The copy's contact id.
        copy: Option<ContactId>,
    },
    /// Shows a contact in a smart book as it is now, under the name that
    /// [`mirror_name`](super::mirror::mirror_name) gives.
    Mirror {
        /// The smart book.
        book: CollectionId,
        /// The contact.
        contact: ContactId,
    },
    /// Shows a contact in a smart book no more; where it is not shown, nothing is done. The contact itself
    /// keeps all that it has.
    Unmirror {
        /// The smart book.
        book: CollectionId,
        /// The contact.
        contact: ContactId,
    },
    /// Gives the contact another data key and destroys the old one, so that nothing opens what was
    /// ever sealed with it, backups included.
    Rekey {
        /// The book.
        book: CollectionId,
        /// The member's name.
        name: MemberName,
    },
}

/// A change to a contact's record.
#[derive(Debug, Clone)]
pub struct RecordChange {
    /// The record as it was read: the commit is refused when it has moved. `None` where nothing was
    /// read: then a contact that is there keeps its own.
    pub before: Option<Record>,
    /// The record as it is to be.
    pub after: Record,
    /// Contacts that are merged into this one by the same commit.
    pub merged: Vec<ContactId>,
}

/// A card to be stored.
#[derive(Clone)]
pub struct NewCard {
    /// Its version.
    pub version: Version,
    /// Its UID.
    pub uid: Uid,
    /// The server gave it its UID.
    pub invented_uid: bool,
    /// Its octets.
    pub body: Bytes,
}

/// A change to a collection.
#[derive(Debug, Clone)]
pub enum CollectionOp {
    /// Makes a book.
    Create {
        /// The home it lies in.
        home: CollectionId,
        /// Its name there.
        name: MemberName,
        /// Its id.
        id: CollectionId,
        /// The account it belongs to.
        owner: AccountId,
        /// The book made at first sign-in.
        default: bool,
        /// What it starts with.
        properties: Vec<StoredProperty>,
        /// A book of that name goes; otherwise the name must be free.
        replace: bool,
    },
    /// Makes a smart book, which shows what a saved filter finds; the name must be free.
    Serve {
        /// The home it lies in.
        home: CollectionId,
        /// Its name there.
        name: MemberName,
        /// Its id.
        id: CollectionId,
        /// The account it belongs to.
        owner: AccountId,
        /// The filter.
        filter: Id,
        /// What it starts with.
        properties: Vec<StoredProperty>,
    },
    /// Gives a book another name in its home.
    Rename {
        /// The home.
        home: CollectionId,
        /// The old name.
        from: MemberName,
        /// The new name.
        to: MemberName,
        /// A book of the new name goes; otherwise the name must be free.
        replace: bool,
    },
    /// Takes a book out of its home; its content is purged later. Another book that has the name by
    /// now stays.
    Remove {
        /// The home.
        home: CollectionId,
        /// Its name.
        name: MemberName,
        /// The book.
        book: CollectionId,
    },
    /// Says who beside the owner may use a book; refused when it is no longer `before`.
    Share {
        /// The book.
        id: CollectionId,
        /// Its shares as they were read.
        before: Vec<ShareRow>,
        /// Its shares as they are to be, sorted by account.
        after: Vec<ShareRow>,
    },
    /// Says whether a book is its owner's alone.
    Private {
        /// The book.
        id: CollectionId,
        /// Whether it is.
        private: bool,
    },
    /// Gives a book to another owner, in whose home the name must be free, or this book's as another's.
    /// A private one is not given.
    Give {
        /// The home that it lies in.
        home: CollectionId,
        /// Its name there.
        name: MemberName,
        /// The new owner.
        owner: AccountId,
        /// The new owner's home.
        to: CollectionId,
        /// Its name there.
        new: MemberName,
    },
    /// Gives another's book a place in a home; the name must be free.
    Mount {
        /// The home.
        home: CollectionId,
        /// The book's name there.
        name: MemberName,
        /// The book.
        id: CollectionId,
    },
    /// Takes another's book out of a home.
    Unmount {
        /// The home.
        home: CollectionId,
        /// The book's name there.
        name: MemberName,
    },
}

/// A change to written properties.
#[derive(Debug, Clone)]
pub struct PropertiesOp {
    /// Whose.
    pub of: Described,
    /// All of them, as they are afterwards.
    pub properties: Vec<StoredProperty>,
    /// All of them, as the caller read them: the commit is refused when they have moved.
    pub before: Vec<StoredProperty>,
}

/// What properties are written on.
#[derive(Debug, Clone)]
pub enum Described {
    /// An account's principal; the home goes when the account does.
    Account {
        /// The account.
        id: AccountId,
        /// Its home.
        home: CollectionId,
    },
    /// A home.
    Home(CollectionId),
    /// A book: the home's log tells it.
    Book {
        /// The home.
        home: CollectionId,
        /// The book's name in it.
        name: MemberName,
    },
    /// Another's book in a home, as the home's user sees it: the home's log tells it.
    Mount {
        /// The home.
        home: CollectionId,
        /// The book's name in it.
        name: MemberName,
    },
    /// A card: the book's log tells it.
    Card {
        /// The book.
        book: CollectionId,
        /// The card's name.
        name: MemberName,
    },
}

/// A change to an account or its app passwords.
#[derive(Debug, Clone)]
pub enum AccountOp {
    /// Makes an account and its home.
    Create(AccountRow),
    /// Replaces the account's row; refused when it is no longer `before`.
    Update {
        /// The row as it was read.
        before: AccountRow,
        /// The row as it is to be.
        after: AccountRow,
    },
    /// Gives an account another name, under which there must be none; refused when it is no longer
    /// `before`.
    Rename {
        /// The row as it was read.
        before: AccountRow,
        /// The row as it is to be.
        after: AccountRow,
        /// Its app passwords, all of them.
        passwords: Vec<AppPasswordRow>,
    },
    /// Removes the account and its home; its books are purged later.
    Remove(AccountRow),
    /// Makes an app password.
    AddAppPassword(AppPasswordRow),
    /// Replaces what is written on an app password, but for its last use.
    UpdateAppPassword(AppPasswordRow),
    /// Notes the last use of an app password; one that is not there any more is passed over.
    UseAppPassword {
        /// Its account.
        account: Id,
        /// Its id.
        id: Id,
        /// The use.
        used: UseRow,
    },
    /// Takes an app password back.
    RemoveAppPassword(AppPasswordRow),
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
