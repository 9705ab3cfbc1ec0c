//! What a commit may do: a sum of small enums, one a room, each with its own derivation in `derive/`.

use bytes::Bytes;

use crate::domain::contact::Record;
use crate::domain::format::Format;
use crate::domain::id::{AccountId, CollectionId, ContactId, MemberName, Uid};
use crate::store::rows::{
    AccountRow, AppPasswordRow, Definition, Id, JobRow, JobState, ShareRow, StoredProperty, UseRow,
};

crate::hidden!(NewCard);

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
    /// Moves into the book [`TRASH`](crate::store::keys::TRASH), where the contact keeps all that it has.
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
    /// Moves into another book, and replaces the card and the record on the way: phones see the one go and
    /// the other come, and never half of it. The name must be free there.
    Move {
        /// From this book and name.
        from: (CollectionId, MemberName),
        /// To this book and name.
        to: (CollectionId, MemberName),
        /// The card.
        card: NewCard,
        /// What becomes of the record; left out, the contact keeps its own.
        record: Option<Box<RecordChange>>,
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
    /// Replaces a calendar object so that nothing opens what it was: of what it was earlier empty
    /// places are left, and the key that sealed it goes, backups included.
    Redact {
        /// The calendar.
        book: CollectionId,
        /// The member's name.
        name: MemberName,
        /// What it is from now on, under the same UID.
        card: NewCard,
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

/// A card or a calendar object to be stored.
#[derive(Clone)]
pub struct NewCard {
    /// What it is: a card of that version, or a calendar object of that kind.
    pub format: Format,
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
    /// Makes a book or, in a home of calendars, a calendar.
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
        /// The components that a calendar takes; none for a book. Whether it is the one or the other, its
        /// home says.
        components: u8,
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
