//! What is erased is gone: over the real engine and the real file of key slots, in the raw bytes.

use std::path::Path;

use jiff::Timestamp;

use super::*;
use crate::store::codec::ObjectPlace;
use crate::store::engine::redb::RedbEngine;
use crate::store::engine::{EngineError, Outcome, Pending, Snapshot};
use crate::store::keyslots::file::FileMedium;
use crate::store::keyslots::{DataKey, KeySlots, Slot};
use crate::store::owner::Owner;
use crate::store::query::With;

const NAME: &str = "zebulon-quux.vcf";
/// What must be in no file: from the card, its name, its account and its properties.
const PERSONAL: [&str; 6] = ["Zebulon", "Quux", "quux@example.org", NAME, "zebulon", "Wunderkammer"];

async fn on_disk(room: &Path) -> Store {
    let engine = RedbEngine::open(&room.join("cardkeep.redb"), 1 << 20).unwrap();
    let medium = FileMedium::create(&room.join("cardkeep.keys")).unwrap();
    let keys = KeyFile::new(medium, vec![MasterKey::new([7; 32])]);
    Store::open(Arc::new(engine), keys, Arc::new(Random), Timestamp::UNIX_EPOCH).await.unwrap()
}

async fn commit(store: &Store, op: Op) {
    let at = Timestamp::from_second(1_790_000_000).unwrap();
    furniture::commit(store, at, op).await.unwrap();
}

fn name() -> MemberName {
    furniture::name(NAME)
}

fn body(note: &str) -> Bytes {
    format!(
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:zebulon\r\nFN:Zebulon Quux\r\nEMAIL:quux@example.org\r\nNOTE:{note}\r\nEND:VCARD\r\n"
    )
    .into()
}

fn put(note: &str) -> Op {
    let fresh = ContactId::from_bytes([9; 16]);
    furniture::put((BOOK, NAME), "zebulon", Version::V4, body(note), fresh)
}

/// An appointment under the card's name.
fn appointment(note: &str) -> Op {
    let more = format!("SUMMARY:Zebulon Quux\r\nATTENDEE:mailto:quux@example.org\r\nCOMMENT:{note}\r\n");
    put_object((CALENDAR, NAME), Kind::Event, &more, ContactId::from_bytes([0xe; 16]))
}

/// An account, a book, a calendar, and in each something with an earlier body and a property.
async fn with_a_card(room: &Path) -> Store {
    let store = on_disk(room).await;
    let account = AccountRow {
        display_name: Some("Zebulon Quux".into()),
        email: Some("quux@example.org".into()),
        ..with_calendars("zebulon")
    };
    commit(&store, add(account)).await;
    let property = property("Wunderkammer");
    commit(&store, create(BOOK, "Zebulon", vec![property.clone()])).await;
    commit(&store, put("one")).await;
    commit(&store, put("two")).await;
    commit(&store, create_calendar(CALENDAR, "Zebulon", &[Kind::Event], vec![property.clone()])).await;
    for note in ["one", "two"] {
        commit(&store, appointment(note)).await;
    }
    let of = Described::Card { book: CALENDAR, name: name() };
    let properties = PropertiesOp { of, properties: vec![property.clone()], before: Vec::new() };
    commit(&store, Op::Properties(properties)).await;
    let of = Described::Card { book: BOOK, name: name() };
    let properties = vec![property];
    commit(&store, Op::Properties(PropertiesOp { of, properties, before: Vec::new() })).await;
    let contact = ContactId::from_bytes([9; 16]);
    commit(&store, note(contact, None, "Wunderkammer", None)).await;
    commit(&store, note(contact, Some("Wunderkammer"), "Zebulon", None)).await;
    for op in [lay_down(rows::Definition::FIELD), lay_down(rows::Definition::FILTER), work()] {
        commit(&store, op).await;
    }
    store
}

/// The card's key slot, and the key in it.
async fn key_of_the_card(store: &Store) -> (Slot, DataKey) {
    key_in(store, BOOK).await
}

async fn key_in(store: &Store, book: CollectionId) -> (Slot, DataKey) {
    let key = keys::member(book, &store.sealer.member(book.as_bytes(), &name()));
    let value = store.read().await.unwrap().get(vec![key]).await.unwrap().pop().flatten().unwrap();
    let slot = ObjectPlace::read(&value).unwrap().slot;
    (slot, store.sealer.slots().key(slot).unwrap())
}

fn raw(room: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(room).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

fn assert_nowhere(room: &Path, what: &[u8]) {
    for (file, bytes) in raw(room) {
        assert!(memchr::memmem::find(&bytes, what).is_none(), "{:?} is in {file}", what.escape_ascii());
    }
}

/// Whether any slot of the file holds that key, in use or not.
fn some_slot_holds(room: &Path, key: &DataKey) -> bool {
    let path = room.join("cardkeep.keys");
    let medium = FileMedium::open(&path).unwrap();
    let slots = KeySlots::open(Box::new(medium), &[MasterKey::new([7; 32])], Arc::new(Random)).unwrap();
    let most = u32::try_from(std::fs::metadata(path).unwrap().len() / 128).unwrap();
    slots.occupy(&mut (0..most).map(Slot)).unwrap();
    (0..most).any(|slot| slots.key(Slot(slot)).is_some_and(|found| found == *key))
}

async fn octets(store: &Store) -> Option<Bytes> {
    let with = With { properties: true, body: true };
    let found = store.read().await.unwrap().cards(BOOK, &[name()], with).await.unwrap().pop().unwrap();
    found.whole().unwrap().map(|card| {
        assert_eq!(card.properties.len(), 1);
        card.body.unwrap()
    })
}

#[tokio::test]
async fn nothing_personal_is_readable_in_any_file() {
    let room = tempfile::tempdir().unwrap();
    let store = with_a_card(room.path()).await;
    let (_, key) = key_of_the_card(&store).await;
    store.close(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(raw(room.path()).len(), 2);
    PERSONAL.iter().for_each(|text| assert_nowhere(room.path(), text.as_bytes()));
    assert_nowhere(room.path(), key.as_bytes());
    assert_nowhere(room.path(), &[7; 32]);
    assert!(some_slot_holds(room.path(), &key), "the search would not find a key that is there");
}

#[tokio::test]
async fn an_erased_contacts_key_is_in_no_file() {
    let room = tempfile::tempdir().unwrap();
    let store = with_a_card(room.path()).await;
    let (slot, key) = key_of_the_card(&store).await;
    commit(&store, remove(BOOK, NAME)).await;
    assert_eq!(octets(&store).await, None);
    assert_eq!(store.count(Table::Doomed).await.unwrap(), 1);
    assert_eq!(store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap(), 1);
    assert_eq!(store.count(Table::Doomed).await.unwrap(), 0);
    assert_eq!(store.count(Table::Erased).await.unwrap(), 1);
    assert!(store.sealer.slots().is_free(slot));
    store.close(Timestamp::UNIX_EPOCH).await.unwrap();
    drop(store);
    assert!(!some_slot_holds(room.path(), &key));
    PERSONAL.iter().for_each(|text| assert_nowhere(room.path(), text.as_bytes()));
}

#[tokio::test]
async fn a_deleted_appointments_key_and_text_are_in_no_file() {
    let room = tempfile::tempdir().unwrap();
    let store = with_a_card(room.path()).await;
    let (slot, key) = key_in(&store, CALENDAR).await;
    commit(&store, remove(CALENDAR, NAME)).await;
    // It goes for good, with its earlier bodies and its properties; what lies in the book stays.
    for (table, rows) in [(Table::Body, 1), (Table::History, 1), (Table::Erased, 1), (Table::Doomed, 1)] {
        assert_eq!(store.count(table).await.unwrap(), rows, "{table:?}");
    }
    assert_eq!(store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap(), 1);
    assert!(store.sealer.slots().is_free(slot));
    assert!(octets(&store).await.is_some());
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    store.close(Timestamp::UNIX_EPOCH).await.unwrap();
    drop(store);
    assert!(!some_slot_holds(room.path(), &key));
    PERSONAL.iter().for_each(|text| assert_nowhere(room.path(), text.as_bytes()));
}

#[tokio::test]
async fn what_a_killed_server_condemned_is_overwritten_at_the_next_start() {
    let room = tempfile::tempdir().unwrap();
    let store = with_a_card(room.path()).await;
    let (_, key) = key_of_the_card(&store).await;
    commit(&store, remove(BOOK, NAME)).await;
    drop(store);
    assert!(some_slot_holds(room.path(), &key));
    drop(on_disk(room.path()).await);
    assert!(!some_slot_holds(room.path(), &key));
}

#[tokio::test]
async fn a_contact_with_another_key_is_whole_and_its_first_key_is_gone() {
    let room = tempfile::tempdir().unwrap();
    let store = with_a_card(room.path()).await;
    let (_, first) = key_of_the_card(&store).await;
    commit(&store, Op::Card(CardOp::Rekey { book: BOOK, name: name() })).await;
    store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap();
    let (_, second) = key_of_the_card(&store).await;
    assert!(first != second);
    assert_eq!(octets(&store).await, Some(body("two")));
    commit(&store, put("three")).await;
    assert_eq!(octets(&store).await, Some(body("three")));
    store.close(Timestamp::UNIX_EPOCH).await.unwrap();
    drop(store);
    assert!(!some_slot_holds(room.path(), &first) && some_slot_holds(room.path(), &second));
}

#[tokio::test]
async fn an_account_that_goes_takes_every_key_along() {
    let room = tempfile::tempdir().unwrap();
    let store = with_a_card(room.path()).await;
    let account = store.read().await.unwrap().accounts().await.unwrap().pop().unwrap();
    commit(&store, Op::Account(AccountOp::Remove(account))).await;
    loop {
        let condemned = store.condemned().await.unwrap();
        if condemned.is_empty() {
            break;
        }
        for id in condemned {
            while store.purge_step(id, Timestamp::UNIX_EPOCH).await.unwrap() {}
        }
    }
    store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap();
    // The installation's own key is left, and nothing of the account in any table but the ledger.
    for table in Table::ALL {
        let rows = match table {
            Table::Installation => 3,
            // What was laid down, and the newest number.
            Table::Definition => 2,
            Table::Job | Table::Number => 1,
            Table::Slot => 1,
            Table::Erased => 7,
            _ => 0,
        };
        assert_eq!(store.count(table).await.unwrap(), rows, "{table:?}");
    }
}

#[tokio::test]
async fn records_that_were_swapped_are_noticed() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let (store, _) = furnished_on(&engine, &medium).await;
    let rows = rows_of(&engine).await;
    for (key, value) in &rows {
        let table = Table::of(key[0]).unwrap();
        let others = rows.iter().filter(|(other, _)| other[0] == key[0] && other != key);
        for (other, foreign) in others {
            // Counters alone are the engine's, and log rows are bound to their collection.
            let same_log = table == Table::Change && keys::owner(key) == keys::owner(other);
            let counter = |key: &[u8]| table == Table::Number && keys::number_in(key).unwrap().1.is_none();
            let counters = counter(key) && counter(other);
            if table == Table::Revision || same_log || counters || value == foreign {
                continue;
            }
            set(&engine, key, Some(foreign)).await;
            assert!(!store.check().await.unwrap().faults.is_empty(), "{table:?}");
            set(&engine, key, Some(value)).await;
        }
    }
}

#[tokio::test]
async fn a_wrong_master_key_opens_nothing() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    furnished_on(&engine, &medium).await;
    let wrong = KeyFile::new(medium.clone(), vec![MasterKey::new([8; 32])]);
    let opened = Store::open(engine.clone(), wrong, Arc::new(Random), Timestamp::UNIX_EPOCH).await;
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("master key") && !error.contains('\n'), "{error}");
    let foreign = MemoryMedium::new();
    drop(open(&Arc::new(MemoryEngine::new()), &foreign).await.unwrap());
    assert!(open(&engine, &foreign).await.is_err());
    assert!(open(&engine, &MemoryMedium::new()).await.is_err());
    assert!(open(&engine, &medium).await.is_ok());
}

#[tokio::test]
async fn a_stale_order_to_overwrite_harms_no_commit_that_took_the_slot() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let (store, _) = furnished_on(&engine, &medium).await;
    store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap();
    let mut taken = store.take();
    let Ok(slot) = taken.take() else { panic!("no slot") };
    let key = store.sealer.slots().key(slot).unwrap();
    // As when deleting the order failed after the slot had been overwritten.
    let order = store.sealer.encode_erased(&keys::doomed(slot), 0);
    set(&engine, &keys::doomed(slot), Some(&order)).await;
    assert_eq!(store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap(), 0);
    assert!(store.sealer.slots().key(slot).is_some_and(|now| now == key));
    assert_eq!(store.count(Table::Doomed).await.unwrap(), 1, "the commit must still find it");
    // It came about after all, and was condemned before it knew.
    taken.sent();
    taken.kept();
    drop(taken);
    assert_eq!(store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap(), 1);
    assert_eq!(store.count(Table::Doomed).await.unwrap(), 0);
    assert!(store.sealer.slots().is_free(slot));
}

/// An engine without room for anything more.
struct Full(Arc<MemoryEngine>);

impl Engine for Full {
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        self.0.snapshot()
    }

    fn commit(&self, batch: Batch) -> Pending<'_, Outcome> {
        match batch.writes.iter().all(|write| matches!(write, Write::Delete { .. })) {
            true => self.0.commit(batch),
            false => Box::pin(std::future::ready(Err(EngineError::Full))),
        }
    }

    fn verify(&self) -> Pending<'_, bool> {
        self.0.verify()
    }

    fn close(&self) -> Pending<'_, ()> {
        self.0.close()
    }
}

#[tokio::test]
async fn what_is_erased_is_overwritten_while_there_is_no_room() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let (store, _) = furnished_on(&engine, &medium).await;
    let store = Store { engine: Arc::new(Full(engine)), ..store };
    assert!(store.count(Table::Doomed).await.unwrap() > 0);
    // A commit whose end nobody knows, and which cannot be settled for want of room.
    let mut taken = store.take();
    assert!(taken.take().is_ok());
    taken.sent();
    drop(taken);
    assert!(store.erase_condemned(Timestamp::UNIX_EPOCH).await.is_err());
    assert_eq!(store.count(Table::Doomed).await.unwrap(), 0);
}

#[tokio::test]
async fn a_damaged_slot_row_does_not_keep_what_is_deleted_from_being_cleared() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let (store, gone) = furnished_on(&engine, &medium).await;
    let living = key_slots(&engine).await;
    let of_gone = living.iter().find(|(_, owner)| *owner == Owner::collection(*gone.as_bytes()));
    set(&engine, &keys::slot(of_gone.unwrap().0), Some(b"\x07")).await;
    while store.purge_step(gone, Timestamp::UNIX_EPOCH).await.unwrap() {}
    assert!(store.condemned().await.unwrap().is_empty());
    store.repair(Timestamp::UNIX_EPOCH).await.unwrap();
    store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(store.sealer.slots().is_free(of_gone.unwrap().0), "its key is gone once that is repaired");
}

/// The slots in use, and whose they are.
async fn key_slots(engine: &Arc<MemoryEngine>) -> Vec<(Slot, Owner)> {
    let rows = rows_of(engine).await.into_iter().filter(|(key, _)| key[0] == Table::Slot as u8);
    let owner = |value: &[u8]| (0..value.len()).find_map(|at| Owner::from_bytes(&value[at..]));
    rows.map(|(key, value)| (keys::slot_in(&key).unwrap(), owner(&value).unwrap())).collect()
}
