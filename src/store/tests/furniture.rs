//! What the stores of tests are furnished with: an account with its home, books and cards. Each is an
//! op, so that a test says when it happens and what becomes of it.

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::event::{Event, EventKind};
use crate::domain::id::{AccountId, CollectionId, ContactId, MemberName, Uid};
use crate::domain::vcard::Version;
use crate::store::Store;
use crate::store::commit::{AccountOp, CardOp, CollectionOp, Commit, CommitError, Committed, NewCard, Op};
use crate::store::rows::{AccountRow, StoredProperty};

/// The one account.
pub(crate) const ACCOUNT: AccountId = AccountId::from_bytes([1; 16]);
/// Its home.
pub(crate) const HOME: CollectionId = CollectionId::from_bytes([2; 16]);
/// A book in it.
pub(crate) const BOOK: CollectionId = CollectionId::from_bytes([3; 16]);
/// Another one.
pub(crate) const OTHER: CollectionId = CollectionId::from_bytes([4; 16]);

/// The name of a member.
pub(crate) fn name(text: &str) -> MemberName {
    MemberName::parse(text).unwrap()
}

/// The row of the account, which says nothing that it need not.
pub(crate) fn account(name: &str) -> AccountRow {
    AccountRow {
        id: *ACCOUNT.as_bytes(),
        name: name.into(),
        display_name: None,
        email: None,
        admin: false,
        password: None,
        enabled: true,
        created: 0,
        home: *HOME.as_bytes(),
        provisioned: true,
        epoch: 0,
        ..AccountRow::default()
    }
}

/// Makes the account.
pub(crate) fn add(account: AccountRow) -> Op {
    Op::Account(AccountOp::Create(account))
}

/// Makes a book in the home.
pub(crate) fn create(id: CollectionId, text: &str, properties: Vec<StoredProperty>) -> Op {
    let (name, default, replace) = (name(text), false, false);
    Op::Collection(CollectionOp::Create {
        home: HOME,
        name,
        id,
        owner: ACCOUNT,
        default,
        properties,
        replace,
    })
}

/// A property that is text.
pub(crate) fn property(text: &str) -> StoredProperty {
    let text = Some(text.into());
    StoredProperty { namespace: "x".into(), local: "a".into(), text, lang: None, xml: None }
}

/// Puts a card, whose UID is `uid`, into a book.
pub(crate) fn put(
    (book, file): (CollectionId, &str),
    uid: &str,
    version: Version,
    body: impl Into<Bytes>,
    fresh: ContactId,
) -> Op {
    let uid = Uid::new(uid).unwrap();
    let card = NewCard { version, uid, invented_uid: false, body: body.into() };
    Op::Card(CardOp::Put { book, name: name(file), card, fresh, record: None })
}

/// Takes a member out of a book.
pub(crate) fn remove(book: CollectionId, file: &str) -> Op {
    Op::Card(CardOp::Remove { book, name: name(file) })
}

/// Commits one op, whoever asks for it.
pub(crate) async fn commit(store: &Store, at: Timestamp, op: Op) -> Result<Committed, CommitError> {
    store.commit(&Commit::new(None, at, Vec::new(), vec![op])).await
}

/// Tells of a sign-in.
pub(crate) async fn tell(store: &Store, at: Timestamp) {
    let event = Event::new(EventKind::SignIn, at).by(Some(ACCOUNT)).of(ACCOUNT);
    let event = Event { address: Some(std::net::Ipv4Addr::LOCALHOST.into()), ..event };
    let commit = Commit { events: vec![event], ..Commit::new(None, at, Vec::new(), Vec::new()) };
    store.commit(&commit).await.unwrap();
}
