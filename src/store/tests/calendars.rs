//! Calendars beside address books: what their objects have and have not, what is refused between the
//! two, what the check says of them, and that they come back from an archive.

use jiff::Timestamp;

use super::*;
use crate::domain::contact::Kind as ContactKind;
use crate::domain::format::Format;
use crate::domain::ical::Components;
use crate::domain::id::AccountId;
use crate::store::archive::reader::Mode;
use crate::store::check::CheckReport;
use crate::store::commit::{CommitError, Committed, Unmet};
use crate::store::keyslots::Slot;
use crate::store::owner::Owner;
use crate::store::query::With;
use crate::store::rows::{CollectionRow, Id, LinkRow, ShareRow};

const BOB: AccountId = AccountId::from_bytes([7; 16]);
const BOBS: CollectionId = CollectionId::from_bytes([8; 16]);
const BOBS_CALENDARS: CollectionId = CollectionId::from_bytes([0xc8; 16]);
const TASKS: CollectionId = CollectionId::from_bytes([0xc3; 16]);
const ALL: [Kind; 4] = Kind::ALL;

fn at() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn id(n: u8) -> ContactId {
    ContactId::from_bytes([n, 0xe0, 0xe0, 0xe0, 0xe0, 0xe0, 0xe0, 0xe0, 0xe0, n, n, n, n, n, n, n])
}

fn card(file: &str, fresh: ContactId) -> Op {
    let body = format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{file}\r\nFN:x\r\nEND:VCARD\r\n");
    put((BOOK, file), file, Version::V4, body, fresh)
}

fn transfer(from: (CollectionId, &str), to: (CollectionId, &str), copy: Option<ContactId>) -> Op {
    Op::Card(CardOp::Transfer { from: (from.0, name(from.1)), to: (to.0, name(to.1)), copy })
}

fn describe(of: Described, text: &str) -> Op {
    Op::Properties(PropertiesOp { of, properties: vec![property(text)], before: Vec::new() })
}

async fn run(store: &Store, op: Op) -> Result<Committed, CommitError> {
    commit(store, at(), op).await
}

async fn done(store: &Store, op: Op) {
    run(store, op).await.unwrap();
}

async fn refused(store: &Store, op: Op) -> Unmet {
    match run(store, op).await {
        Err(CommitError::Unmet(unmet)) => unmet,
        other => panic!("{other:?}"),
    }
}

async fn sound(store: &Store) -> CheckReport {
    let report = store.check().await.unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    report
}

/// Two accounts; a card, a calendar of everything that Bob shares and has in his home, one of tasks.
async fn lay(store: &Store) {
    let bob = AccountRow {
        id: *BOB.as_bytes(),
        home: *BOBS.as_bytes(),
        calendars: Some(*BOBS_CALENDARS.as_bytes()),
        granted: vec![Id(*CALENDAR.as_bytes())],
        ..account("bob")
    };
    let shares = vec![ShareRow { account: Id(*BOB.as_bytes()), write: true }];
    let ops = [
        add(with_calendars("alice")),
        add(bob),
        create(BOOK, "contacts", Vec::new()),
        create(TRASH, "trash", Vec::new()),
        card("x", id(1)),
        create_calendar(CALENDAR, "calendar", &ALL, vec![property("colour")]),
        create_calendar(TASKS, "tasks", &[Kind::Todo], Vec::new()),
        put_object((CALENDAR, "e"), Kind::Event, "", id(2)),
        put_object((CALENDAR, "e"), Kind::Event, "SUMMARY:later\r\n", id(3)),
        put_object((CALENDAR, "j"), Kind::Journal, "", id(4)),
        put_object((CALENDAR, "a"), Kind::Availability, "", id(5)),
        put_object((TASKS, "t"), Kind::Todo, "", id(6)),
        // The card's own UID.
        put_object((CALENDAR, "x"), Kind::Event, "", id(7)),
        describe(Described::Card { book: CALENDAR, name: name("e") }, "seen"),
        describe(Described::Home(CALENDARS), "order"),
        describe(Described::Account { id: ACCOUNT, home: HOME }, "principal"),
        Op::Collection(CollectionOp::Share { id: CALENDAR, before: Vec::new(), after: shares }),
        Op::Collection(CollectionOp::Mount { home: BOBS_CALENDARS, name: name("alices"), id: CALENDAR }),
        describe(Described::Mount { home: BOBS_CALENDARS, name: name("alices") }, "another colour"),
    ];
    for op in ops {
        done(store, op).await;
    }
}

async fn laid() -> (Arc<MemoryEngine>, Store) {
    let engine = Arc::new(MemoryEngine::new());
    let store = open(&engine, &MemoryMedium::new()).await.unwrap();
    lay(&store).await;
    (engine, store)
}

async fn format_of(store: &Store, calendar: CollectionId, file: &str) -> Option<u8> {
    let reader = store.read().await.unwrap();
    let found = reader.cards(calendar, &[name(file)], With::default()).await.unwrap().pop().unwrap();
    found.whole().unwrap().map(|card| card.row.format)
}

async fn row_of(store: &Store, id: CollectionId) -> CollectionRow {
    store.read().await.unwrap().collections(&[id]).await.unwrap().pop().unwrap().unwrap().row
}

async fn purge_all(store: &Store) {
    while let Some(id) = store.condemned().await.unwrap().pop() {
        while store.purge_step(id, at()).await.unwrap() {}
    }
    store.erase_condemned(at()).await.unwrap();
}

#[tokio::test]
async fn a_store_with_shared_calendars_is_whole_and_is_counted() {
    let (_, store) = laid().await;
    let report = sound(&store).await;
    assert_eq!((report.accounts, report.books, report.cards), (2, 2, 1));
    assert_eq!((report.calendars, report.objects), (2, 5));
    // And while a calendar, and all homes of an account, wait to be purged in part.
    let tasks = CollectionOp::Remove { home: CALENDARS, name: name("tasks"), book: TASKS };
    done(&store, Op::Collection(tasks)).await;
    sound(&store).await;
    let alice = store.read().await.unwrap().accounts().await.unwrap();
    let alice = alice.into_iter().find(|account| account.name == "alice").unwrap();
    done(&store, Op::Account(AccountOp::Remove(alice))).await;
    for id in store.condemned().await.unwrap() {
        store.purge_step(id, at()).await.unwrap();
        sound(&store).await;
    }
    purge_all(&store).await;
    let report = sound(&store).await;
    assert_eq!((report.accounts, report.calendars, report.objects), (1, 0, 0));
    assert_eq!(store.count(Table::Body).await.unwrap(), 0);
    // Bob, his two homes, and the installation.
    assert_eq!(store.count(Table::Slot).await.unwrap(), 4);
}

#[tokio::test]
async fn what_is_in_a_calendar_has_no_record_and_lies_in_no_trash() {
    let (_, store) = laid().await;
    let records = async |what: &str| {
        // Those of the one card.
        for (table, rows) in [(Table::Record, 1), (Table::Number, 2), (Table::SameUid, 1)] {
            assert_eq!(store.count(table).await.unwrap(), rows, "{what}: {table:?}");
        }
        sound(&store).await;
    };
    records("laid").await;
    done(&store, transfer((TASKS, "t"), (CALENDAR, "copy"), Some(id(9)))).await;
    records("copied").await;
    done(&store, Op::Card(CardOp::Rekey { book: CALENDAR, name: name("e") })).await;
    records("another key").await;
    for unmet in [
        refused(&store, Op::Card(CardOp::Trash { book: CALENDAR, name: name("e"), merged_into: None })).await,
        refused(&store, note(id(2), None, "text", None)).await,
        refused(&store, transfer((CALENDAR, "x"), (BOOK, "new"), None)).await,
        refused(&store, transfer((CALENDAR, "x"), (BOOK, "new"), Some(id(10)))).await,
        refused(&store, transfer((BOOK, "x"), (CALENDAR, "new"), None)).await,
        refused(&store, Op::Card(CardOp::Adopt { from: (BOOK, name("x")), to: (CALENDAR, name("x")) })).await,
        refused(&store, put((CALENDAR, "card"), "card", Version::V4, "BEGIN:VCARD", id(11))).await,
        refused(&store, put_object((BOOK, "object"), Kind::Event, "", id(11))).await,
    ] {
        assert!(matches!(unmet, Unmet::NoCollection | Unmet::NoMember), "{unmet:?}");
    }
    // What lies in the trash does not come back into a calendar, nor by way of one.
    done(&store, Op::Card(CardOp::Trash { book: BOOK, name: name("x"), merged_into: None })).await;
    let back = Op::Card(CardOp::Restore { contact: id(1), to: (CALENDAR, name("back")) });
    assert!(matches!(refused(&store, back).await, Unmet::NoCollection));
    done(&store, remove(CALENDAR, "x")).await;
    done(&store, put_object((TASKS, "x"), Kind::Todo, "", id(12))).await;
    assert!(store.read().await.unwrap().records(&[id(1)]).await.unwrap()[0].is_some());
    records("the trash").await;
}

#[tokio::test]
async fn a_calendar_takes_what_it_was_made_for() {
    let (_, store) = laid().await;
    for op in [
        put_object((TASKS, "e"), Kind::Event, "", id(20)),
        put_object((TASKS, "t"), Kind::Event, "", id(20)),
        transfer((CALENDAR, "e"), (TASKS, "e"), None),
        transfer((CALENDAR, "e"), (TASKS, "e"), Some(id(20))),
    ] {
        assert!(matches!(refused(&store, op).await, Unmet::NotTaken));
    }
    done(&store, transfer((TASKS, "t"), (CALENDAR, "t"), None)).await;
    assert_eq!(format_of(&store, CALENDAR, "t").await, Some(Format::Calendar(Kind::Todo).number()));
    // A home of one kind has no place for the other: for its own, for another's, for what is given.
    let mount = |home, id| Op::Collection(CollectionOp::Mount { home, name: name("new"), id });
    refused(&store, mount(BOBS, CALENDAR)).await;
    refused(&store, mount(BOBS_CALENDARS, BOOK)).await;
    let give = |home, file: &str, to| {
        Op::Collection(CollectionOp::Give { home, name: name(file), owner: BOB, to, new: name("new") })
    };
    refused(&store, give(CALENDARS, "tasks", BOBS)).await;
    refused(&store, give(HOME, "contacts", BOBS_CALENDARS)).await;
    done(&store, give(CALENDARS, "tasks", BOBS_CALENDARS)).await;
    let row = row_of(&store, TASKS).await;
    assert_eq!((row.calendar, row.components), (true, Components::of(&[Kind::Todo]).bits()));
    let serve = CollectionOp::Serve {
        home: CALENDARS,
        name: name("smart"),
        id: OTHER,
        owner: ACCOUNT,
        filter: Id([1; 16]),
        properties: Vec::new(),
    };
    refused(&store, Op::Collection(serve)).await;
    sound(&store).await;
}

#[tokio::test]
async fn earlier_states_are_kept_and_lose_what_is_attached() {
    let (_, store) = laid().await;
    let attached = |n: u8| format!("COMMENT:{n}\r\nATTACH;ENCODING=BASE64:{}\r\n", "A".repeat(5000));
    for n in 0..30 {
        done(&store, put_object((CALENDAR, "e"), Kind::Event, &attached(n), id(30))).await;
    }
    let earlier = store.read().await.unwrap().earlier(id(2)).await.unwrap();
    assert_eq!((earlier.bodies.len(), earlier.records.len()), (31, 0));
    let (old, young) = (&earlier.bodies[3].1.body, &earlier.bodies[30].1.body);
    assert_eq!(*old, ics(Kind::Event, "e", "COMMENT:1\r\n").into_bytes());
    assert_eq!(*young, ics(Kind::Event, "e", &attached(28)).into_bytes());
    done(&store, remove(CALENDAR, "e")).await;
    assert!(store.read().await.unwrap().earlier(id(2)).await.unwrap().bodies.is_empty());
    sound(&store).await;
}

#[tokio::test]
async fn what_is_lost_of_calendars_is_made_anew() {
    let (engine, store) = laid().await;
    let member = |calendar: CollectionId, file: &str| {
        keys::member(calendar, &store.sealer.member(calendar.as_bytes(), &name(file)))
    };
    let lost = [
        keys::collection(CALENDARS),
        keys::collection(CALENDAR),
        keys::collection(TASKS),
        member(CALENDAR, "e"),
        member(CALENDAR, "j"),
        member(CALENDAR, "a"),
        member(TASKS, "t"),
    ];
    for key in &lost {
        set(&engine, key, None).await;
    }
    assert!(store.check().await.unwrap().count() >= lost.len() as u64);
    let report = store.repair(at()).await.unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!((report.calendars, report.objects, report.cards), (2, 5, 1));
    for (calendar, file, kind) in [
        (CALENDAR, "e", Kind::Event),
        (CALENDAR, "j", Kind::Journal),
        (CALENDAR, "a", Kind::Availability),
        (TASKS, "t", Kind::Todo),
    ] {
        let number = Format::Calendar(kind).number();
        assert_eq!(format_of(&store, calendar, file).await, Some(number), "{file}");
    }
    let home = row_of(&store, CALENDARS).await;
    assert!(home.calendar && home.components == 0 && home.home.is_none());
    let calendar = row_of(&store, CALENDAR).await;
    // Nobody knows what it took, so what is in it may be written again.
    assert!(
        calendar.calendar && ALL.iter().all(|kind| Components::from_bits(calendar.components).take(*kind))
    );
    done(&store, put_object((CALENDAR, "a"), Kind::Availability, "COMMENT:new\r\n", id(50))).await;
    assert_eq!(store.count(Table::Record).await.unwrap(), 1);
}

#[tokio::test]
async fn what_no_calendar_has_is_noticed_and_taken_out() {
    let (engine, store) = laid().await;
    let key = keys::member(CALENDAR, &store.sealer.member(CALENDAR.as_bytes(), &name("e")));
    let value = store.read().await.unwrap().get(vec![key.clone()]).await.unwrap().pop().flatten().unwrap();
    let kept = store.sealer.decode_card(&key, &value).unwrap();
    // The object with a record, a number and a row that finds it by its UID, as a contact has them.
    let member = store.sealer.member(CALENDAR.as_bytes(), &name("e"));
    let owner = *ACCOUNT.as_bytes();
    let (record, [same, found]) = super::super::number::made_anew(
        &store.sealer,
        (CALENDAR, member),
        owner,
        &kept,
        ContactKind::Individual,
        0,
    )
    .unwrap();
    let number = keys::number_of(0, 77);
    let leads = store.sealer.encode(&number, &rows::NumberRow { contact: id(2) });
    let of_record = keys::record(id(2));
    let mut value = store.sealer.encode_record(&of_record, &record).unwrap();
    value[..8].copy_from_slice(&77_u64.to_be_bytes());
    for (key, value) in [(&same, &found), (&number, &leads), (&of_record, &value)] {
        set(&engine, key, Some(value)).await;
    }
    assert!(store.check().await.unwrap().count() >= 3);
    assert_eq!(store.repair(at()).await.unwrap().faults, Vec::<String>::new());
    for key in [same, number, of_record] {
        assert!(store.read().await.unwrap().get(vec![key]).await.unwrap()[0].is_none());
    }
    // What contradicts itself is told and left.
    let told = async |key: &[u8], value: Vec<u8>| {
        let was = store.read().await.unwrap().get(vec![key.to_vec()]).await.unwrap().pop().flatten().unwrap();
        set(&engine, key, Some(&value)).await;
        let faults = store.check().await.unwrap().faults;
        set(&engine, key, Some(&was)).await;
        faults
    };
    let told_of = async |id: CollectionId| {
        let row = row_of(&store, id).await;
        let key = keys::collection(id);
        let row = CollectionRow { calendar: !row.calendar, ..row };
        told(&key, store.sealer.encode(&key, &row)).await
    };
    assert!(told_of(CALENDARS).await.iter().any(|fault| fault.starts_with("a home is not its account's")));
    assert!(told_of(CALENDAR).await.iter().any(|fault| fault.starts_with("a book is not its home's")));
    assert!(told_of(BOOK).await.iter().any(|fault| fault.starts_with("a book or a calendar holds")));
    let key = keys::member(BOBS_CALENDARS, &store.sealer.member(BOBS_CALENDARS.as_bytes(), &name("alices")));
    let row = LinkRow { name: "alices".into(), collection: *BOOK.as_bytes(), mount: true, smart: false };
    let slot = Slot(row_of(&store, BOBS_CALENDARS).await.slot);
    let mut value = store.sealer.encode_link(slot, &key, &row).unwrap();
    value[7] = 1;
    assert!(told(&key, value).await.iter().any(|fault| fault.starts_with("a home has a place")));
    sound(&store).await;
}

#[tokio::test]
async fn objects_of_calendars_get_no_records_when_a_store_of_before_is_opened() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let store = open(&engine, &medium).await.unwrap();
    lay(&store).await;
    drop(store);
    contacts::erased::without_records(&engine).await;
    let store = open(&engine, &medium).await.unwrap();
    for (table, rows) in [(Table::Record, 1), (Table::Number, 2), (Table::SameUid, 1)] {
        assert_eq!(store.count(table).await.unwrap(), rows, "{table:?}");
    }
    sound(&store).await;
    assert_eq!(store.all_books().await.unwrap().len(), 2);
    store.make_roster().await.unwrap();
    assert_eq!(store.roster().size().0, 1);
    store.refresh_index(CALENDAR).await.unwrap();
    assert_eq!(store.indexes().size().books, 0);
    // A change to a calendar is no news to the index of contacts, nor to smart books.
    store.touched().take();
    done(&store, put_object((CALENDAR, "new"), Kind::Event, "", id(60))).await;
    done(&store, remove(CALENDAR, "new")).await;
    assert!(store.touched().take().is_empty());
    assert_eq!(store.roster().size().0, 1);
}

#[tokio::test]
async fn calendars_come_back_with_shares_places_and_properties() {
    let (_, store) = laid().await;
    let (bytes, told) = backups::archive(&store).await;
    let counts = told.counts;
    assert_eq!((counts.accounts, counts.collections, counts.contacts), (2, 8, 1));
    assert_eq!((counts.homes, counts.calendars, counts.objects, told.passed_over), (4, 2, 5, 0));
    let keys = backups::keyring(&store).await;
    for mode in [Mode::Strict, Mode::Partial] {
        let (there, told) = backups::restored(&bytes, &keys, mode).await.unwrap();
        assert_eq!((told.books, told.contacts, told.calendars, told.objects), (2, 1, 2, 5));
        assert_eq!((told.damaged, told.homeless, told.keyless, told.erased), (0, 0, 0, 0));
        assert_eq!(backups::content(&there).await, backups::content(&store).await);
        for id in [CALENDARS, CALENDAR, TASKS, BOBS_CALENDARS] {
            let (before, after) = (row_of(&store, id).await, row_of(&there, id).await);
            assert_ne!(before.identity, after.identity);
            assert_eq!((before.components, before.shares), (after.components, after.shares));
        }
    }
    // What was deleted since stays so: an object, a calendar, an account's calendars.
    done(&store, remove(CALENDAR, "e")).await;
    let (_, told) = backups::restored(&bytes, &backups::keyring(&store).await, Mode::Strict).await.unwrap();
    assert_eq!((told.objects, told.erased), (4, 1));
    let tasks = CollectionOp::Remove { home: CALENDARS, name: name("tasks"), book: TASKS };
    done(&store, Op::Collection(tasks)).await;
    let (_, told) = backups::restored(&bytes, &backups::keyring(&store).await, Mode::Strict).await.unwrap();
    assert_eq!((told.calendars, told.objects, told.erased), (1, 3, 3));
    let alice = store.read().await.unwrap().accounts().await.unwrap();
    let alice = alice.into_iter().find(|account| account.name == "alice").unwrap();
    done(&store, Op::Account(AccountOp::Remove(alice))).await;
    let keys = backups::keyring(&store).await;
    assert!(keys.erased_at(&Owner::collection(*CALENDARS.as_bytes())).is_some());
    let (there, told) = backups::restored(&bytes, &keys, Mode::Strict).await.unwrap();
    assert_eq!((told.accounts, told.books, told.contacts, told.calendars, told.objects), (1, 0, 0, 0, 0));
    assert!(there.read().await.unwrap().links(BOBS_CALENDARS).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_account_gets_a_home_of_calendars_where_an_archive_lacks_it() {
    let (engine, store) = laid().await;
    let keys = backups::keyring(&store).await;
    let key = keys::collection(BOBS_CALENDARS);
    set(&engine, &key, Some(b"\x07")).await;
    let (bytes, told) = backups::archive(&store).await;
    assert_eq!(told.passed_over, 1);
    let (there, _) = backups::restored(&bytes, &keys, Mode::Partial).await.unwrap();
    let row = row_of(&there, BOBS_CALENDARS).await;
    assert!(row.calendar && row.owner == *BOB.as_bytes());

    // An archive of before there were calendars brings accounts without any, which get them later.
    let store = open(&Arc::new(MemoryEngine::new()), &MemoryMedium::new()).await.unwrap();
    for op in [add(account("alice")), create(BOOK, "contacts", Vec::new()), card("x", id(1))] {
        done(&store, op).await;
    }
    let (bytes, _) = backups::archive(&store).await;
    let keys = backups::keyring(&store).await;
    let (there, told) = backups::restored(&bytes, &keys, Mode::Strict).await.unwrap();
    assert_eq!((told.accounts, told.books, told.calendars), (1, 1, 0));
    let before = there.read().await.unwrap().accounts().await.unwrap().pop().unwrap();
    assert_eq!(before.calendars, None);
    let after = AccountRow { calendars: Some(*CALENDARS.as_bytes()), ..before.clone() };
    done(&there, Op::Account(AccountOp::Update { before, after })).await;
    done(&there, create_calendar(CALENDAR, "calendar", &ALL, Vec::new())).await;
    done(&there, put_object((CALENDAR, "e"), Kind::Event, "", id(2))).await;
    sound(&there).await;
}
