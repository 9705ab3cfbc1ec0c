//! What the store refuses to open, and what its check notices.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::domain::ical::Kind;
use crate::domain::id::{CollectionId, ContactId, MemberName, UserName};
use crate::domain::vcard::Version;

use super::commit::{AccountOp, CardOp, CollectionOp, Described, Op, PropertiesOp};
use super::engine::memory::MemoryEngine;
use super::engine::{Batch, Engine, Extent, KeyRange, Write};
use super::entropy::{Entropy, NoEntropy};
use super::keys::{self, TRASH, Table};
use super::keyslots::MasterKey;
use super::keyslots::memory::MemoryMedium;
use super::rows::{AccountRow, AppPasswordRow};
use super::{FORMAT, FORMAT_ROW, FormatRow, KeyFile, SECRETS, Store, StoreError, codec, rows, seal};

mod backups;
mod calendars;
pub(crate) mod contacts;
mod erasing;
mod events;
pub(crate) mod furniture;

use furniture::*;

/// The system's randomness: a seal must hold with any.
pub(crate) struct Random;

impl Entropy for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|error| NoEntropy(error.to_string()))
    }
}

/// Data keys in memory, under a master key of tests.
pub(crate) fn key_file(medium: &MemoryMedium) -> KeyFile {
    KeyFile::new(medium.clone(), vec![MasterKey::new([7; 32])])
}

/// Opens a store over an engine and key slots in memory.
pub(crate) async fn open(engine: &Arc<MemoryEngine>, medium: &MemoryMedium) -> Result<Store, StoreError> {
    Store::open(engine.clone(), key_file(medium), Arc::new(Random), jiff::Timestamp::UNIX_EPOCH).await
}

impl Store {
    /// How many rows a table has.
    pub(crate) async fn count(&self, table: Table) -> Result<usize, StoreError> {
        let count = |count: &mut usize, _: &[u8], _: &[u8]| {
            *count += 1;
            Ok(ControlFlow::Continue(()))
        };
        self.read().await?.fold(keys::whole(table), Extent::Many, 0, count).await
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_its_secrets_stay() {
    let engine = Arc::new(MemoryEngine::new());
    let medium = MemoryMedium::new();
    let first = open(&engine, &medium).await.unwrap();
    let again = open(&engine, &medium).await.unwrap();
    assert_eq!(first.hashes().etag(1, b"x"), again.hashes().etag(1, b"x"));
    let format = async |format| {
        let value = seal::bare(&codec::cbor(&FormatRow { format }));
        set(&engine, &keys::installation(FORMAT_ROW), Some(&value)).await;
        open(&engine, &medium).await
    };
    let refused = format(FORMAT + 1).await;
    assert!(matches!(refused, Err(StoreError::TooNew { found }) if found == FORMAT + 1));
    assert!(matches!(format(1).await, Err(StoreError::TooOld { found: 1 })));
    assert!(format(FORMAT).await.is_ok());
}

#[tokio::test]
async fn a_store_that_lost_its_secrets_gets_no_new_ones() {
    for row in [FORMAT_ROW, SECRETS] {
        let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
        furnished_on(&engine, &medium).await;
        set(&engine, &keys::installation(row), None).await;
        assert!(matches!(open(&engine, &medium).await, Err(StoreError::Damaged(_))), "{row}");
    }
}

#[tokio::test]
async fn values_in_a_foreign_envelope_are_damage_and_no_panic() {
    let engine = Arc::new(MemoryEngine::new());
    let (store, _) = furnished(&engine).await;
    let sealer = &store.sealer;
    let sealed = [&[1][..], &[0; 40]].concat();
    for value in [&b""[..], b"\x07", b"\x00", b"\x00\xff\xff", b"\x01", b"\x02", b"\x03\0\0\0\0", &sealed] {
        assert!(sealer.decode::<rows::UidRow>(b"U", value).is_err());
        assert!(sealer.decode_sealed::<rows::AccountRow>(b"A", value).is_err());
        assert!(sealer.decode_card(b"M", value).is_err());
        assert!(sealer.decode_link(b"M", value).is_err());
        assert!(sealer.decode_tombstone(b"T", value).is_err());
        assert!(sealer.decode_body(b"B", Bytes::copy_from_slice(value)).is_err());
    }
}

/// Every row of an engine.
pub(super) async fn rows_of(engine: &MemoryEngine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let rows = found.clone();
    let visit = move |key: &[u8], value: &[u8]| {
        rows.lock().unwrap().push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    let all = KeyRange { start: Vec::new(), end: vec![0xff] };
    engine.snapshot().await.unwrap().scan(all, Extent::Few, Box::new(visit)).await.unwrap();
    std::mem::take(&mut found.lock().unwrap())
}

pub(super) async fn set(engine: &MemoryEngine, key: &[u8], value: Option<&[u8]>) {
    let key = key.to_vec();
    let write = match value {
        Some(value) => Write::Put { key, value: value.to_vec(), stamp: None },
        None => Write::Delete { key },
    };
    engine.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
}

/// A store with at least one row in every table, and the id of a book that waits to be purged.
async fn furnished(engine: &Arc<MemoryEngine>) -> (Store, CollectionId) {
    furnished_on(engine, &MemoryMedium::new()).await
}

pub(super) async fn furnished_on(engine: &Arc<MemoryEngine>, medium: &MemoryMedium) -> (Store, CollectionId) {
    let store = open(engine, medium).await.unwrap();
    let gone = OTHER;
    let row = with_calendars("alice");
    let password = AppPasswordRow {
        id: [5; 16],
        account: row.id,
        account_name: store.account_hash(&UserName::parse("alice").unwrap()),
        secret: [6; 16],
        label: None,
        scopes: Vec::new(),
        created: 0,
        expires: None,
        ..AppPasswordRow::default()
    };
    let property = property("1");
    let create = |id, text| create(id, text, vec![property.clone()]);
    let contact =
        |file: &str, text: &str| ContactId::from_bytes(store.hashes().secret(&format!("{file}{text}")));
    let put = |book, file: &str, text: &'static str| {
        let body = format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{file}\r\nFN:{text}\r\nEND:VCARD\r\n");
        let fresh = contact(file, text);
        put((book, file), file, Version::V4, body, fresh)
    };
    let object = |file: &str, kind, text: &str| {
        let more = format!("SUMMARY:{text}\r\n");
        put_object((CALENDAR, file), kind, &more, contact(file, "in a calendar"))
    };
    let describe =
        |of| Op::Properties(PropertiesOp { of, properties: vec![property.clone()], before: Vec::new() });
    let ops = [
        add(row),
        Op::Account(AccountOp::AddAppPassword(password)),
        create(BOOK, "contacts"),
        create(gone, "gone"),
        put(BOOK, "a", "one"),
        put(BOOK, "a", "two"),
        put(BOOK, "b", "three"),
        put(BOOK, "c", "four"),
        put(gone, "d", "five"),
        put(gone, "d", "six"),
        describe(Described::Account { id: ACCOUNT, home: HOME }),
        describe(Described::Card { book: BOOK, name: name("a") }),
        describe(Described::Card { book: gone, name: name("d") }),
        remove(BOOK, "b"),
        create(TRASH, "trash"),
        put(BOOK, "t", "seven"),
        put(BOOK, "m", "eight"),
        put(BOOK, "x", "nine"),
        put(gone, "x", "ten"),
        // Of two changes to records something is kept; of one contact the trash knows, another was
        // merged, and a copy was taken for the original.
        note(contact("t", "seven"), None, "first", None),
        note(contact("t", "seven"), Some("first"), "second", None),
        Op::Card(CardOp::Trash { book: BOOK, name: name("t"), merged_into: None }),
        Op::Card(CardOp::Trash { book: BOOK, name: name("m"), merged_into: Some(contact("a", "one")) }),
        note(contact("a", "one"), None, "both", Some(contact("m", "eight"))),
        Op::Card(CardOp::Adopt { from: (gone, name("x")), to: (BOOK, name("x")) }),
        put(BOOK, "o", "a company\r\nKIND:org"),
        lay_down(rows::Definition::FIELD),
        lay_down(rows::Definition::FILTER),
        work(),
        create_calendar(CALENDAR, "calendar", &[Kind::Event, Kind::Todo], vec![property.clone()]),
        object("e", Kind::Event, "one"),
        object("e", Kind::Event, "two"),
        object("n", Kind::Todo, "three"),
        object("g", Kind::Event, "four"),
        describe(Described::Card { book: CALENDAR, name: name("e") }),
        remove(CALENDAR, "g"),
        Op::Collection(CollectionOp::Remove { home: HOME, name: name("gone"), book: gone }),
    ];
    for op in ops {
        commit(&store, jiff::Timestamp::UNIX_EPOCH, op).await.unwrap();
    }
    for second in 1..=3 {
        tell(&store, jiff::Timestamp::from_second(second).unwrap()).await;
    }
    store.mark("demo", "yes").await.unwrap();
    (store, gone)
}

#[tokio::test]
async fn the_check_notices_damage_to_any_row_of_any_table() {
    let engine = Arc::new(MemoryEngine::new());
    let (store, gone) = furnished(&engine).await;
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    let rows = rows_of(&engine).await;
    for table in Table::ALL {
        assert!(rows.iter().any(|(key, _)| key[0] == table as u8), "no row of {table:?}");
    }
    // What the contact that is to be purged has beside its card.
    let going = ContactId::from_bytes(store.hashes().secret("dfive"));
    let place = store.read().await.unwrap().records(&[going]).await.unwrap().remove(0).unwrap().place;
    let numbered = keys::number_of(place.series, place.number);
    let theirs = [keys::record(going), numbered, keys::same_uid(&place.uid, going)];
    let noticed = async |what: &str, key: &[u8]| {
        let faults = store.check().await.unwrap().faults;
        assert!(!faults.is_empty(), "{what}: {:?} {key:?}", Table::of(key[0]));
    };
    for (key, value) in &rows {
        set(&engine, key, Some(b"\x07")).await;
        noticed("overwritten", key).await;
        set(&engine, key, Some(value)).await;

        // What waits to be purged may be there in part, nobody misses a mark, only a card says that
        // there are properties of it, nothing else knows what was erased, and the oldest events go.
        let ending = keys::owner(key) == Some(*gone.as_bytes()) && key[0] != Table::Purge as u8;
        let ending = ending || theirs.contains(key);
        let described = [[1; 16], [3; 16], *TRASH.as_bytes(), *CALENDAR.as_bytes()];
        let described = described.map(|id| keys::properties(&id)).contains(key);
        let erased = [Table::Erased as u8, Table::Doomed as u8].contains(&key[0]);
        let oldest = *key == keys::event(1);
        // What was laid down, work, and what records said are told of nowhere else.
        let alone = [Table::Definition, Table::Job, Table::RecordHistory].map(|table| table as u8);
        let alone = alone.contains(&key[0]);
        let marks = ["demo", super::number::COMPLETE].map(keys::installation);
        if !ending && !described && !erased && !oldest && !alone && !marks.contains(key) {
            set(&engine, key, None).await;
            noticed("lost", key).await;
            set(&engine, key, Some(value)).await;
        }

        // An order to clear what is not there does no harm, nor does a log that is cleared soon.
        // The newest number of another series may be any.
        let counter = matches!(keys::number_in(key), Some((_, None))) && key[0] == Table::Number as u8;
        let cleared = [Table::Change as u8, Table::Number as u8].contains(&key[0]);
        let harmless = counter || ending && cleared;
        if !harmless && ![Table::Installation as u8, Table::Purge as u8].contains(&key[0]) {
            let mut other = key.clone();
            let last = other.len() - 1;
            other[last] ^= 1;
            set(&engine, &other, Some(value)).await;
            noticed("doubled", key).await;
            let was = rows.iter().find(|(key, _)| *key == other);
            set(&engine, &other, was.map(|(_, value)| value.as_slice())).await;
        }
    }
    for key in [b"?".to_vec(), b"Mx".to_vec()] {
        set(&engine, &key, Some(b"")).await;
        noticed("foreign", &key).await;
        set(&engine, &key, None).await;
    }
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn the_check_notices_rows_that_can_be_read_and_contradict_each_other() {
    let engine = Arc::new(MemoryEngine::new());
    let (store, gone) = furnished(&engine).await;
    for (key, value) in rows_of(&engine).await {
        // The last octets are a body's text or a log row's mark of removal; the first eight are the
        // revision of a member or a tombstone, or the member that a body names.
        let table = Table::of(key[0]).unwrap();
        let places = match table {
            Table::Body => vec![0, value.len() - 1],
            Table::Member | Table::Tombstone => vec![7],
            Table::Change => vec![value.len() - 1],
            Table::Uid => vec![value.len() - 1],
            _ => Vec::new(),
        };
        if keys::owner(&key) == Some(*gone.as_bytes()) {
            continue;
        }
        for place in places {
            let mut other = value.to_vec();
            other[place] ^= 1;
            set(&engine, &key, Some(&other)).await;
            assert!(!store.check().await.unwrap().faults.is_empty(), "{table:?} at {place}");
            set(&engine, &key, Some(&value)).await;
        }
    }
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
}

#[test]
fn rows_show_nothing_personal_in_debug() {
    let row = rows::TombstoneRow { name: "jane.vcf".into(), at: 0 };
    let property = rows::StoredProperty {
        namespace: "x".into(),
        local: "y".into(),
        text: Some("Jane".into()),
        lang: None,
        xml: None,
    };
    let shown = format!("{row:?} {property:?}");
    assert_eq!(shown, "TombstoneRow(…) StoredProperty(…)");
}
