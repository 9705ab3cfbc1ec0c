//! What the stores of tests are furnished with: an account with its home, books and cards. Each is an
//! op, so that a test says when it happens and what becomes of it.

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::contact::{Custom, CustomValue, Record};
use crate::domain::event::{Event, EventKind};
use crate::domain::format::Format;
use crate::domain::ical::{Components, Kind};
use crate::domain::id::{AccountId, CollectionId, ContactId, MemberName, Uid};
use crate::domain::vcard::Version;
use crate::store::Store;
use crate::store::commit::{
    AccountOp, CardOp, CollectionOp, Commit, CommitError, Committed, DefinitionOp, JobOp, NewCard, Op,
    RecordChange,
};
use crate::store::rows::{AccountRow, Definition, FieldRow, FilterRow, Id, JobRow, JobState, StoredProperty};

/// The one account.
pub(crate) const ACCOUNT: AccountId = AccountId::from_bytes([1; 16]);
/// Its home.
pub(crate) const HOME: CollectionId = CollectionId::from_bytes([2; 16]);
/// A book in it.
pub(crate) const BOOK: CollectionId = CollectionId::from_bytes([3; 16]);
/// Another one.
pub(crate) const OTHER: CollectionId = CollectionId::from_bytes([4; 16]);
/// The account's home of calendars, where it has one.
pub(crate) const CALENDARS: CollectionId = CollectionId::from_bytes([0xc1; 16]);
/// A calendar in it.
pub(crate) const CALENDAR: CollectionId = CollectionId::from_bytes([0xc2; 16]);

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

/// The same with a home of calendars.
pub(crate) fn with_calendars(name: &str) -> AccountRow {
    AccountRow { calendars: Some(*CALENDARS.as_bytes()), calendars_provisioned: true, ..account(name) }
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
        components: 0,
        properties,
        replace,
    })
}

/// Makes a calendar in the home of calendars, which takes such objects.
pub(crate) fn create_calendar(
    id: CollectionId,
    text: &str,
    takes: &[Kind],
    properties: Vec<StoredProperty>,
) -> Op {
    Op::Collection(CollectionOp::Create {
        home: CALENDARS,
        name: name(text),
        id,
        owner: ACCOUNT,
        default: false,
        components: Components::of(takes).bits(),
        properties,
        replace: false,
    })
}

/// The octets of a calendar object.
pub(crate) fn ics(kind: Kind, uid: &str, more: &str) -> String {
    let kind = kind.word();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:{kind}\r\nDTSTAMP:20260101T000000Z\r\n\
         UID:{uid}\r\n{more}END:{kind}\r\nEND:VCALENDAR\r\n"
    )
}

/// Puts a calendar object, whose UID is its name, into a calendar.
pub(crate) fn put_object(
    (calendar, file): (CollectionId, &str),
    kind: Kind,
    more: &str,
    fresh: ContactId,
) -> Op {
    let (uid, format) = (Uid::new(file).unwrap(), Format::Calendar(kind));
    let card = NewCard { format, uid, invented_uid: false, body: ics(kind, file, more).into() };
    Op::Card(CardOp::Put { book: calendar, name: name(file), card, fresh, record: None })
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
    let card = NewCard { format: Format::Card(version), uid, invented_uid: false, body: body.into() };
    Op::Card(CardOp::Put { book, name: name(file), card, fresh, record: None })
}

/// Takes a member out of a book.
pub(crate) fn remove(book: CollectionId, file: &str) -> Op {
    Op::Card(CardOp::Remove { book, name: name(file) })
}

/// Has a contact's record say something else, in a text of the admin's own.
pub(crate) fn note(contact: ContactId, before: Option<&str>, after: &str, merged: Option<ContactId>) -> Op {
    let record = |text: &str| {
        let value = CustomValue::Text(text.into());
        Record { custom: vec![Custom { key: "note".into(), value }], ..Record::default() }
    };
    let before = Some(before.map_or_else(Record::default, record));
    let change = RecordChange { before, after: record(after), merged: merged.into_iter().collect() };
    Op::Card(CardOp::Record { contact, change: Box::new(change) })
}

/// Lays down a field or a filter.
pub(crate) fn lay_down(kind: u8) -> Op {
    let text = || "Wunderkammer".to_owned();
    let after = match kind {
        Definition::FIELD => {
            Definition::Field(FieldRow { key: text(), label: text(), ..FieldRow::default() })
        }
        _ => Definition::Filter(FilterRow {
            name: text(),
            owner: ACCOUNT,
            shared: true,
            filter: "note co \"Wunderkammer\"".into(),
            q: text(),
            created: 0,
            book: None,
        }),
    };
    Op::Definition(DefinitionOp { id: Id([0x4f; 16]), before: None, after: Some(after) })
}

/// Asks for long work.
pub(crate) fn work() -> Op {
    let id = Id([0x5a; 16]);
    let job = JobRow {
        id,
        by: ACCOUNT,
        state: JobState::Queued,
        done: 0,
        total: 2,
        created: 0,
        updated: 0,
        work: b"Wunderkammer".to_vec(),
        parts: 0,
        counts: Vec::new(),
        refused: Vec::new(),
        error: Some("Wunderkammer".into()),
        client: None,
        scopes: Vec::new(),
        refusals: 0,
        foreign: false,
    };
    Op::Job(JobOp { id, before: None, after: Some(job) })
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
