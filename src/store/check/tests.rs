//! Every row of every table is damaged, lost and doubled in turn, and repaired: what is left then is
//! what this list says, cards are as they were, and clients that follow tokens end up right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::ical::{Components, Kind};
use crate::domain::id::{CollectionId, MemberName, Revision};
use crate::store::Store;
use crate::store::damage::Found;
use crate::store::engine::memory::MemoryEngine;
use crate::store::keys::{self, Table};
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::log::LogRange;
use crate::store::query::With;
use crate::store::tests::furniture::{CALENDAR, CALENDARS};
use crate::store::tests::{furnished_on, open, rows_of, set};

fn home() -> CollectionId {
    CollectionId::from_bytes([2; 16])
}

fn book() -> CollectionId {
    CollectionId::from_bytes([3; 16])
}

/// A furnished store's bytes, from which copies are made.
struct Original {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    keys: Vec<u8>,
    gone: CollectionId,
}

impl Original {
    async fn new() -> Self {
        let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
        let (_, gone) = furnished_on(&engine, &medium).await;
        Self { rows: rows_of(&engine).await, keys: medium.bytes(), gone }
    }

    /// A copy that was opened before its rows are damaged.
    async fn copy(&self) -> (Arc<MemoryEngine>, Store) {
        let engine = self.engine(|key| key[0] != Table::Doomed as u8).await;
        let store = open(&engine, &MemoryMedium::with(self.keys.clone())).await.unwrap();
        for (key, value) in self.rows.iter().filter(|(key, _)| key[0] == Table::Doomed as u8) {
            set(&engine, key, Some(value)).await;
        }
        (engine, store)
    }

    async fn engine(&self, wanted: impl Fn(&[u8]) -> bool) -> Arc<MemoryEngine> {
        let engine = Arc::new(MemoryEngine::new());
        for (key, value) in self.rows.iter().filter(|(key, _)| wanted(key)) {
            set(&engine, key, Some(value)).await;
        }
        engine
    }
}

/// A client that follows tokens: members by name, each with what tells it from others.
#[derive(Clone)]
struct Client {
    collection: CollectionId,
    held: BTreeMap<String, Vec<u8>>,
    token: Option<([u8; 16], u64)>,
}

impl Client {
    async fn new(store: &Store, collection: CollectionId) -> Self {
        let mut client = Self { collection, held: BTreeMap::new(), token: None };
        client.sync(store).await;
        client
    }

    /// As `service/sync.rs` answers and RFC 6578 has clients do.
    async fn sync(&mut self, store: &Store) {
        let reader = store.read().await.unwrap();
        let collection = reader.collections(&[self.collection]).await.unwrap().pop().unwrap().unwrap();
        let current = collection.revision.0;
        let since = self.token.filter(|(identity, revision)| {
            *identity == collection.row.identity && *revision <= current && *revision >= collection.row.floor
        });
        let since = since.map(|(_, revision)| revision);
        if since.is_none() {
            self.held.clear();
        }
        let began = if since.is_none() { current } else { 0 };
        let range = LogRange { since: Revision(since.unwrap_or(0)), began: Revision(began), limit: None };
        let log = reader.log(self.collection, range).await.unwrap();
        for name in log.removed {
            self.held.remove(name.as_str());
        }
        let now = shown(store, self.collection).await;
        for member in log.changed {
            let name = |name: &&String| {
                let name = MemberName::parse(name).unwrap();
                store.hashes().member(self.collection.as_bytes(), &name) == member
            };
            if let Some(name) = now.keys().find(name) {
                self.held.insert(name.clone(), now[name].clone());
            }
        }
        self.token = Some((collection.row.identity, current));
    }
}

/// What can be read of a collection.
async fn shown(store: &Store, collection: CollectionId) -> BTreeMap<String, Vec<u8>> {
    let reader = store.read().await.unwrap();
    let mut shown = BTreeMap::new();
    if [home(), CALENDARS].contains(&collection) {
        for link in reader.links(collection).await.unwrap() {
            shown.insert(link.name, link.book.as_bytes().to_vec());
        }
        return shown;
    }
    for name in ["a", "b", "c", "e", "g", "n"] {
        let names = [MemberName::parse(name).unwrap()];
        let with = With { body: true, properties: false };
        if let Ok(Found::Whole(card)) =
            reader.cards(collection, &names, with).await.map(|mut cards| cards.remove(0))
        {
            shown.insert(name.to_owned(), card.body.unwrap().to_vec());
        }
    }
    shown
}

/// What is done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    Garbled,
    Lost,
    Doubled,
}

async fn harm(engine: &MemoryEngine, key: &[u8], value: &[u8], harm: Harm) {
    match harm {
        Harm::Garbled => set(engine, key, Some(b"\x07")).await,
        Harm::Lost => set(engine, key, None).await,
        Harm::Doubled => {
            let mut other = key.to_vec();
            *other.last_mut().unwrap() ^= 1;
            set(engine, &other, Some(value)).await;
        }
    }
}

/// That the home of calendars and the calendar are what they were, whatever was made anew of them.
async fn assert_whole_calendars(store: &Store, what: &str) {
    let found = store.read().await.unwrap().collections(&[CALENDARS, CALENDAR]).await.unwrap();
    let rows: Vec<_> = found.into_iter().map(|collection| collection.unwrap().row).collect();
    assert!(rows.iter().all(|row| row.calendar), "{what}");
    assert_eq!(rows[0].components, 0, "{what}");
    let takes = Components::from_bits(rows[1].components);
    assert!(takes.take(Kind::Event) && takes.take(Kind::Todo), "{what}");
    let names = [MemberName::parse("e").unwrap(), MemberName::parse("n").unwrap()];
    let cards = store.read().await.unwrap().cards(CALENDAR, &names, With::default()).await.unwrap();
    let formats: Vec<_> = cards.into_iter().map(|card| card.whole().unwrap().unwrap().row.format).collect();
    assert_eq!(formats, [11, 12], "{what}");
}

async fn purge(store: &Store, gone: CollectionId) {
    while store.purge_step(gone, Timestamp::UNIX_EPOCH).await.unwrap_or(false) {}
    store.erase_condemned(Timestamp::UNIX_EPOCH).await.unwrap();
}

#[tokio::test]
async fn what_other_rows_answer_for_is_repaired_and_the_rest_is_told_and_left() {
    let original = Original::new().await;
    let (_, store) = original.copy().await;
    let whole = shown(&store, book()).await;
    assert_eq!(whole.keys().collect::<Vec<_>>(), ["a", "c"]);
    let events = shown(&store, CALENDAR).await;
    assert_eq!(events.keys().collect::<Vec<_>>(), ["e", "n"]);
    let mut fresh = Vec::new();
    for collection in [book(), home(), CALENDAR, CALENDARS] {
        fresh.push(Client::new(&store, collection).await);
    }
    // One that synced before `b`, the book `gone`, and the appointment `g`, went.
    let mut late = fresh.clone();
    late[2].held.insert("g".into(), b"old".to_vec());
    late[2].token = Some((*CALENDAR.as_bytes(), 4));
    late[0].held.insert("b".into(), b"old".to_vec());
    late[0].token = Some((*book().as_bytes(), 4));
    late[1].held.insert("gone".into(), b"old".to_vec());
    late[1].token = Some((*home().as_bytes(), 2));
    fresh.append(&mut late);

    let of_events = ["e", "n", "g"].map(|file| store.hashes().secret(&format!("{file}in a calendar")));
    let mut left = BTreeSet::new();
    let mut seen = BTreeMap::new();
    for (key, value) in &original.rows {
        let table = Table::of(key[0]).unwrap();
        // Rows of one kind fare alike; two of each will do.
        let of = keys::owner(key).map(|id| if of_events.contains(&id) { 0xc0 } else { id[0] });
        let kind = seen.entry((key[0], of)).or_insert(0);
        *kind += 1;
        if *kind > 2 {
            continue;
        }
        for done in [Harm::Garbled, Harm::Lost, Harm::Doubled] {
            let what = format!("{table:?} {done:?} {key:?}");
            let (engine, store) = original.copy().await;
            harm(&engine, key, value, done).await;
            store.repair(Timestamp::UNIX_EPOCH).await.unwrap();
            purge(&store, original.gone).await;
            let report = store.repair(Timestamp::UNIX_EPOCH).await.unwrap();
            if report.count() > 0 {
                left.insert((format!("{table:?}"), done));
                // A card that cannot be read answers nothing, and no other one is touched.
                for (collection, whole) in [(book(), &whole), (CALENDAR, &events)] {
                    let now = shown(&store, collection).await;
                    let same = whole.iter().filter(|(name, body)| now.get(*name) == Some(body)).count();
                    assert!(same >= 1, "{what}: {:?}", report.faults);
                }
                continue;
            }
            assert_eq!(shown(&store, book()).await, whole, "{what}");
            assert_eq!(shown(&store, CALENDAR).await, events, "{what}");
            assert_whole_calendars(&store, &what).await;
            for client in &fresh {
                let mut client = client.clone();
                client.sync(&store).await;
                assert_eq!(client.held, shown(&store, client.collection).await, "{what}");
            }
        }
    }
    let expected = [
        // Nothing says what was in these.
        ("Installation", Harm::Garbled),
        ("Account", Harm::Garbled),
        ("Account", Harm::Lost),
        ("Body", Harm::Garbled),
        ("Body", Harm::Lost),
        ("History", Harm::Garbled),
        ("History", Harm::Lost),
        ("Properties", Harm::Garbled),
        ("Event", Harm::Garbled),
        ("RecordHistory", Harm::Garbled),
        ("Definition", Harm::Garbled),
        ("Job", Harm::Garbled),
        ("Definition", Harm::Doubled),
        ("Job", Harm::Doubled),
        ("RecordHistory", Harm::Doubled),
        // That a book was deleted, and not lost, nothing else says.
        ("Purge", Harm::Lost),
        // What cannot be read may be somebody's.
        ("Installation", Harm::Doubled),
        ("Event", Harm::Doubled),
        ("Account", Harm::Doubled),
        ("AppPassword", Harm::Doubled),
        ("AppPasswordOf", Harm::Doubled),
        ("Body", Harm::Doubled),
        ("Collection", Harm::Doubled),
        ("Member", Harm::Doubled),
        ("Purge", Harm::Doubled),
        ("Installation", Harm::Lost),
    ];
    let expected: BTreeSet<_> = expected.iter().map(|(table, harm)| ((*table).to_owned(), *harm)).collect();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn a_key_slot_whose_row_is_lost_is_found_again_by_what_it_seals() {
    let original = Original::new().await;
    let slots = original.rows.iter().filter(|(key, _)| key[0] == Table::Slot as u8);
    let mut found = 0;
    for (key, _) in slots {
        let engine = original.engine(|other| other != key).await;
        let medium = MemoryMedium::with(original.keys.clone());
        // Without the installation's nothing opens.
        let Ok(store) = open(&engine, &medium).await else { continue };
        assert!(store.check().await.unwrap().count() > 0);
        store.repair(Timestamp::UNIX_EPOCH).await.unwrap();
        purge(&store, original.gone).await;
        let report = store.repair(Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(report.faults, Vec::<String>::new(), "{key:?}");
        assert_eq!(shown(&store, book()).await.len(), 2);
        assert_eq!(shown(&store, CALENDAR).await.len(), 2);
        let again = open(&engine, &medium).await.unwrap();
        assert_eq!(shown(&again, book()).await.len(), 2);
        found += 1;
    }
    assert!(found >= 5, "{found}");
}

#[tokio::test]
async fn a_log_that_is_lost_altogether_is_made_anew() {
    let original = Original::new().await;
    for tables in [
        &[Table::Change][..],
        &[Table::Change, Table::Tombstone],
        &[Table::Change, Table::Tombstone, Table::Revision],
        &[Table::Uid],
        &[Table::Member],
        &[Table::Member, Table::Uid, Table::Change],
        &[Table::AppPassword],
        &[Table::AppPasswordOf],
        &[Table::Names],
    ] {
        let (engine, store) = original.copy().await;
        let whole = shown(&store, book()).await;
        let (mut of_book, mut of_home) =
            (Client::new(&store, book()).await, Client::new(&store, home()).await);
        let events = shown(&store, CALENDAR).await;
        let mut of_calendar = Client::new(&store, CALENDAR).await;
        let mut of_calendars = Client::new(&store, CALENDARS).await;
        let mut late = of_book.clone();
        late.held.insert("b".into(), b"old".to_vec());
        late.token = Some((*book().as_bytes(), 4));
        let of_gone = |key: &[u8]| keys::owner(key) == Some(*original.gone.as_bytes());
        for (key, _) in &original.rows {
            if tables.iter().any(|table| key[0] == *table as u8) && !of_gone(key) {
                set(&engine, key, None).await;
            }
        }
        let report = store.repair(Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(report.faults, Vec::<String>::new(), "{tables:?}");
        assert!(report.repaired > 0);
        assert_eq!(shown(&store, book()).await, whole);
        assert_eq!(shown(&store, CALENDAR).await, events);
        assert_whole_calendars(&store, &format!("{tables:?}")).await;
        for client in [&mut of_book, &mut of_home, &mut of_calendar, &mut of_calendars, &mut late] {
            client.sync(&store).await;
            assert_eq!(client.held, shown(&store, client.collection).await, "{tables:?}");
        }
    }
}

#[tokio::test]
async fn a_spoilt_copy_of_a_data_key_is_told_and_healed() {
    let original = Original::new().await;
    let medium = MemoryMedium::with(original.keys.clone());
    let engine = original.engine(|_| true).await;
    let store = open(&engine, &medium).await.unwrap();
    let mut bytes = [0; 1];
    use crate::store::keyslots::Medium as _;
    medium.read_at(8192 + 40, &mut bytes).unwrap();
    medium.write_at(8192 + 40, &[bytes[0] ^ 1]).unwrap();
    let report = store.check().await.unwrap();
    assert_eq!(report.faults, ["1 data keys have a damaged copy"]);
    let report = store.repair(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!((report.faults, report.repaired), (Vec::new(), 1));
}
