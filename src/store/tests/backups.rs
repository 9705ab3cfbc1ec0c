//! What is backed up comes back, elsewhere and under another master key; what was erased since does
//! not, and damage is told.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::*;
use crate::domain::id::Revision;
use crate::store::archive::block::MAGIC;
use crate::store::archive::keyring::{Keyring, KeyringConflict};
use crate::store::archive::reader::{ArchiveError, Damage, Mode};
use crate::store::backup::{BackedUp, Part};
use crate::store::codec::ObjectPlace;
use crate::store::engine::redb::RedbEngine;
use crate::store::keyslots::file::FileMedium;
use crate::store::owner::Owner;
use crate::store::restore::{Plan, RestoreError, Restored, verify};
use crate::store::rows::{CollectionRow, NumberRow, SameUidRow, UidRow};

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

/// The archive of a store, and what the store says of it.
pub(super) async fn archive(store: &Store) -> (Vec<u8>, BackedUp) {
    let (out, mut parts) = mpsc::channel::<Part>(4);
    let taken = async {
        let mut bytes = Vec::new();
        while let Some(part) = parts.recv().await {
            bytes.extend(part.bytes);
        }
        bytes
    };
    let backup = async move { store.backup(now(), &Random, &out).await.unwrap() };
    let (told, bytes) = tokio::join!(backup, taken);
    (bytes, told)
}

pub(super) async fn keyring(store: &Store) -> Keyring {
    let keys = store.keyring(now()).await.unwrap();
    assert_eq!(keys.unreadable, 0);
    keys.keyring
}

async fn restored_on(
    engine: Arc<dyn Engine>,
    file: KeyFile,
    archive: &[u8],
    keyring: &Keyring,
    mode: Mode,
) -> Result<(Store, Restored), RestoreError> {
    let mut read = 0;
    let mut progress = |bytes| read = bytes;
    let mut source = || Ok(Box::new(Cursor::new(archive.to_vec())) as Box<dyn Read>);
    let verified = verify(&mut source, keyring, mode, &mut progress)?;
    let entropy = Arc::new(Random);
    let plan = Plan { engine, file, entropy, keyring, progress: &mut progress };
    let done = Store::restore(plan, verified, &mut source).await;
    assert!(done.is_err() || read == 2 * archive.len() as u64);
    done
}

/// Restores into memory under another master key, and opens it again as a start would.
pub(super) async fn restored(
    archive: &[u8],
    keyring: &Keyring,
    mode: Mode,
) -> Result<(Store, Restored), RestoreError> {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let file = || KeyFile::new(medium.clone(), vec![MasterKey::new([8; 32])]);
    let (_, told) = restored_on(engine.clone(), file(), archive, keyring, mode).await?;
    let store = Store::open(engine, file(), Arc::new(Random), now()).await?;
    let mut faults = store.check().await?.faults;
    // A card whose earlier body was lost is worth having all the same.
    faults.retain(|fault| told.damaged == 0 || !fault.starts_with("an earlier body of a card is missing"));
    assert_eq!(faults, Vec::<String>::new());
    Ok((store, told))
}

/// Everything that a backup is of, opened.
pub(super) async fn content(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let sealer = store.sealer.clone();
    let all = KeyRange { start: Vec::new(), end: vec![0xff] };
    let open = move |key: &[u8], value: &[u8]| -> Option<Vec<u8>> {
        Some(match Table::of(key[0]).unwrap() {
            Table::Account
            | Table::AppPassword
            | Table::AppPasswordOf
            | Table::Properties
            | Table::Definition
            | Table::Job
            | Table::RecordHistory
            | Table::History => sealer.open(seal::At::key(key), value).ok()?,
            Table::Member => match sealer.decode_card(key, value) {
                Ok(kept) => codec::cbor(&kept.row),
                Err(_) => codec::cbor(&sealer.decode_link(key, value).ok()?.1),
            },
            Table::Body => sealer.decode_body(key, Bytes::copy_from_slice(value)).ok()?.octets.to_vec(),
            Table::Event if key.len() == 1 => value.to_vec(),
            Table::Event => codec::cbor(&crate::store::events::row(&sealer.decode_event(value).ok()?)),
            Table::Record => {
                let kept = sealer.decode_record(key, value).ok()?;
                [&value[..25], &codec::cbor(&kept.row)].concat()
            }
            Table::Number if keys::number_in(key)?.1.is_none() => value.to_vec(),
            Table::Number => sealer.decode::<NumberRow>(key, value).unwrap().contact.as_bytes().to_vec(),
            Table::SameUid => {
                let row: SameUidRow = sealer.decode(key, value).unwrap();
                codec::cbor(&SameUidRow { at: 0, ..row })
            }
            Table::Uid => sealer.decode::<UidRow>(key, value).unwrap().member.to_vec(),
            Table::Collection => {
                let row: CollectionRow = sealer.decode(key, value).unwrap();
                codec::cbor(&CollectionRow { slot: 0, identity: [0; 16], ..row })
            }
            _ => return None,
        })
    };
    let step = move |found: &mut BTreeMap<_, _>, key: &[u8], value: &[u8]| {
        found.extend(open(key, value).map(|plain| (key.to_vec(), plain)));
        Ok(ControlFlow::Continue(()))
    };
    store.read().await.unwrap().fold(all, Extent::Many, BTreeMap::new(), step).await.unwrap()
}

async fn purged(store: &Store) {
    for id in store.condemned().await.unwrap() {
        while store.purge_step(id, now()).await.unwrap() {}
    }
    store.erase_condemned(now()).await.unwrap();
}

async fn commit(store: &Store, op: Op) {
    furniture::commit(store, now(), op).await.unwrap();
}

fn put(file: &str, body: Vec<u8>) -> Op {
    let fresh = ContactId::from_bytes(*blake3::hash(file.as_bytes()).as_bytes().first_chunk().unwrap());
    furniture::put((BOOK, file), file, Version::V4, body, fresh)
}

fn remove(file: &str) -> Op {
    furniture::remove(BOOK, file)
}

async fn memory() -> Store {
    furnished(&Arc::new(MemoryEngine::new())).await.0
}

/// A store whose archive has several blocks.
async fn large() -> Store {
    let store = memory().await;
    for n in 0..200_u32 {
        commit(&store, put(&format!("card{n}"), n.to_be_bytes().repeat(2000))).await;
    }
    store
}

fn blocks(archive: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(archive, &MAGIC).collect()
}

#[tokio::test]
async fn everything_comes_back_elsewhere_under_another_master_key() {
    let store = memory().await;
    let (bytes, told) = archive(&store).await;
    assert_eq!((told.counts.accounts, told.counts.collections, told.counts.contacts), (1, 5, 6));
    assert_eq!((told.counts.homes, told.counts.calendars, told.counts.objects), (2, 1, 2));
    assert_eq!(told.passed_over, 0);
    let (there, told) = restored(&bytes, &keyring(&store).await, Mode::Strict).await.unwrap();
    assert_eq!((told.accounts, told.books, told.contacts), (1, 2, 6));
    assert_eq!((told.calendars, told.objects), (1, 2));
    assert_eq!((told.erased, told.keyless, told.damaged, told.homeless, told.gaps), (0, 0, 0, 0, 0));
    assert_eq!(told.made, Some(now().as_microsecond()));
    // What the store was about to purge is not in it.
    purged(&store).await;
    assert_eq!(content(&there).await, content(&store).await);
    assert!(content(&there).await.keys().any(|key| key[0] == Table::History as u8));
    let mark = there.read().await.unwrap().mark("demo").await.unwrap();
    assert_eq!(mark.as_deref(), Some("yes"));
    // And the next keyring takes the old one's place.
    assert_eq!(keyring(&there).await.may_replace(&keyring(&store).await), Ok(()));
}

#[tokio::test]
async fn everything_comes_back_on_disk() {
    let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = |room: &Path| Arc::new(RedbEngine::open(&room.join("s"), 1 << 20).unwrap());
    let file = |room: &Path| {
        let medium = FileMedium::create(&room.join("k")).unwrap();
        KeyFile::new(medium, vec![MasterKey::new([7; 32])])
    };
    let seed = memory().await;
    let (bytes, _) = archive(&seed).await;
    let keys = keyring(&seed).await;
    // From memory to a disk, and from that disk to another.
    let (store, _) =
        restored_on(engine(here.path()), file(here.path()), &bytes, &keys, Mode::Strict).await.unwrap();
    store.close(now()).await.unwrap();
    let store = Store::open(engine(here.path()), file(here.path()), Arc::new(Random), now()).await.unwrap();
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    let (bytes, _) = archive(&store).await;
    let keys = keyring(&store).await;
    let room = elsewhere.path();
    let (there, told) = restored_on(engine(room), file(room), &bytes, &keys, Mode::Strict).await.unwrap();
    assert_eq!(told.contacts, 6);
    purged(&seed).await;
    assert_eq!(content(&there).await, content(&seed).await);
    assert_eq!(there.check().await.unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn collections_get_a_new_identity_so_that_old_tokens_are_refused() {
    let store = memory().await;
    let (bytes, _) = archive(&store).await;
    let (there, _) = restored(&bytes, &keyring(&store).await, Mode::Strict).await.unwrap();
    let ids = [CollectionId::from_bytes([2; 16]), BOOK, CALENDARS, CALENDAR];
    let before = store.read().await.unwrap().collections(&ids).await.unwrap();
    let after = there.read().await.unwrap().collections(&ids).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        let (before, after) = (before.as_ref().unwrap(), after.as_ref().unwrap());
        assert_ne!(before.row.identity, after.row.identity);
        assert_eq!(after.row.floor, 0);
        assert!(after.revision > Revision(0));
    }
    let again = restored(&bytes, &keyring(&store).await, Mode::Strict).await.unwrap().0;
    let again = again.read().await.unwrap().collections(&ids).await.unwrap();
    assert_ne!(again[1].as_ref().unwrap().row.identity, after[1].as_ref().unwrap().row.identity);
}

#[tokio::test]
async fn an_old_archive_with_the_newest_keyring_brings_back_everyone_but_the_erased() {
    let store = memory().await;
    commit(&store, put("kept", b"kept".to_vec())).await;
    commit(&store, put("erased", b"erased".to_vec())).await;
    commit(&store, put("changed", b"changed".to_vec())).await;
    let (bytes, _) = archive(&store).await;
    let old = keyring(&store).await;
    commit(&store, remove("erased")).await;
    commit(&store, Op::Card(CardOp::Rekey { book: BOOK, name: name("changed") })).await;
    let new = keyring(&store).await;
    assert_eq!(new.may_replace(&old), Ok(()));
    assert!(matches!(old.may_replace(&new), Err(KeyringConflict::WouldForget { keys: 1, erasures: 2 })));
    let (there, told) = restored(&bytes, &new, Mode::Strict).await.unwrap();
    assert_eq!((told.contacts, told.erased, told.keyless), (7, 2, 0));
    let names = [name("kept"), name("erased"), name("changed")];
    let with = crate::store::query::With { body: true, properties: false };
    let cards = there.read().await.unwrap().cards(BOOK, &names, with).await.unwrap();
    let cards: Vec<_> = cards.into_iter().map(|found| found.whole().unwrap()).collect();
    assert_eq!(cards[0].as_ref().unwrap().body.as_deref(), Some(&b"kept"[..]));
    assert!(cards[1].is_none() && cards[2].is_none());
    // The ledger comes along: the restored store's keyring may take the place of the newest, but for
    // what came after the archive.
    let third = keyring(&there).await;
    assert_eq!(third.erased(), new.erased());
    assert_eq!(third.may_replace(&old), Ok(()));
    assert_eq!(third.may_replace(&new), Err(KeyringConflict::WouldForget { keys: 1, erasures: 0 }));
    // The keyring from before brings them all: that is why it is replaced.
    assert_eq!(restored(&bytes, &old, Mode::Strict).await.unwrap().1.contacts, 9);
}

#[tokio::test]
async fn a_deleted_book_is_in_no_keyring_though_its_purge_is_still_to_come() {
    let store = large().await;
    let (bytes, _) = archive(&store).await;
    let old = keyring(&store).await;
    let home = CollectionId::from_bytes([2; 16]);
    let name = name("contacts");
    let book = store.read().await.unwrap().link(home, &name).await.unwrap().unwrap().book;
    commit(&store, Op::Collection(CollectionOp::Remove { home, name, book })).await;
    let new = keyring(&store).await;
    assert_eq!(new.may_replace(&old), Ok(()));
    // But for what lies in the trash, and in the calendar.
    let contacts = new.keys().iter().filter(|(owner, _)| owner.kind == crate::store::owner::Kind::Contact);
    assert_eq!(contacts.count(), 4);
    assert!(new.erased_at(&Owner::collection(*BOOK.as_bytes())).is_some());
    let (_, told) = restored(&bytes, &new, Mode::Strict).await.unwrap();
    assert_eq!((told.accounts, told.books, told.contacts), (1, 1, 2));
    assert_eq!(told.erased, 205);
    purged(&store).await;
    let purged = keyring(&store).await;
    let owners = |keyring: &Keyring| keyring.erased().iter().map(|(owner, _)| *owner).collect::<Vec<_>>();
    assert_eq!(owners(&purged), owners(&new));
}

#[tokio::test]
async fn what_came_after_the_keyring_is_counted_and_a_foreign_keyring_refused() {
    let store = memory().await;
    let old = keyring(&store).await;
    commit(&store, put("later", b"later".to_vec())).await;
    let (bytes, _) = archive(&store).await;
    let (_, told) = restored(&bytes, &old, Mode::Strict).await.unwrap();
    assert_eq!((told.contacts, told.erased, told.keyless), (6, 0, 1));
    let other = keyring(&memory().await).await;
    assert!(matches!(restored(&bytes, &other, Mode::Strict).await, Err(RestoreError::OtherInstallation)));
    assert!(matches!(other.may_replace(&old), Err(KeyringConflict::OtherInstallation)));
}

#[tokio::test]
async fn a_damaged_archive_is_refused_and_what_is_whole_is_brought_back_in_part() {
    let store = large().await;
    let (bytes, _) = archive(&store).await;
    let keys = keyring(&store).await;
    let starts = blocks(&bytes);
    assert!(starts.len() > 10);
    let damaged = |block: usize| {
        let mut bytes = bytes.clone();
        bytes[starts[block] + 100] ^= 1;
        bytes
    };
    let error = restored(&damaged(3), &keys, Mode::Strict).await.err().unwrap();
    let RestoreError::Archive(ArchiveError::Damaged { block: 3, offset, what: Damage::Checksum }) = error
    else {
        panic!("{error}");
    };
    assert_eq!(offset, starts[3] as u64);
    let (_, told) = restored(&damaged(3), &keys, Mode::Partial).await.unwrap();
    assert!(told.contacts < 206 && told.contacts > 180);
    assert_eq!((told.accounts, told.books, told.gaps), (1, 2, 1));
    assert_eq!(told.first_gaps[0].bytes, starts[3] as u64..starts[4] as u64);
    // Accounts and books are in the first block of records and again in the last.
    for block in [0, 1, starts.len() - 2] {
        let (_, told) = restored(&damaged(block), &keys, Mode::Partial).await.unwrap();
        assert_eq!((told.accounts, told.books, told.gaps), (1, 2, 1), "block {block}");
        assert!(told.contacts > 180);
    }
    let cut = &bytes[..bytes.len() / 2];
    let error = restored(cut, &keys, Mode::Strict).await.err().unwrap();
    assert!(matches!(error, RestoreError::Archive(ArchiveError::Damaged { .. })), "{error}");
    let (_, told) = restored(cut, &keys, Mode::Partial).await.unwrap();
    assert!(told.contacts > 50 && told.contacts < 150);
}

#[tokio::test]
async fn what_was_damaged_before_it_was_backed_up_never_enters_a_new_store() {
    let engine = Arc::new(MemoryEngine::new());
    let (store, _) = furnished(&engine).await;
    let keys = keyring(&store).await;
    let rows = rows_of(&engine).await;
    // The book, the account, and the contact that has everything; the calendar, and such an object.
    let of_book = [*BOOK.as_bytes(), [1; 16], store.hashes().secret("aone")];
    let of_calendar = [*CALENDAR.as_bytes(), store.hashes().secret("ein a calendar"), [0; 16]];
    let backed_up = |key: &[u8], table: Table, ids: &[[u8; 16]]| {
        key[0] == table as u8 && keys::owner(key).is_some_and(|id| ids.contains(&id))
    };
    let objects = [Table::Member, Table::Body, Table::Properties, Table::History];
    let contacts = [Table::Record, Table::RecordHistory, Table::AppPasswordOf];
    let of_book = objects.iter().chain(&contacts).map(|table| (*table, of_book));
    for (table, ids) in of_book.chain(objects.iter().map(|table| (*table, of_calendar))) {
        let (key, value) = rows.iter().rfind(|(key, _)| backed_up(key, table, &ids)).unwrap();
        let mut broken = value.clone();
        *broken.last_mut().unwrap() ^= 1;
        set(&engine, key, Some(&broken)).await;
        let (bytes, _) = archive(&store).await;
        let refused = restored(&bytes, &keys, Mode::Strict).await;
        assert!(matches!(refused, Err(RestoreError::Damaged(1))), "{table:?}");
        // `restored` checks the new store, too.
        let (_, told) = restored(&bytes, &keys, Mode::Partial).await.unwrap();
        let lost = u64::from(matches!(table, Table::Member | Table::Body));
        let (lost, lost_objects) = if ids == of_calendar { (0, lost) } else { (lost, 0) };
        assert_eq!((told.contacts, told.objects), (6 - lost, 2 - lost_objects), "{table:?}");
        assert_eq!(told.damaged, 1, "{table:?}");
        set(&engine, key, Some(value)).await;
    }
    // An account that does not open takes its books along; nothing else is lost over it.
    let (key, value) = rows.iter().find(|(key, _)| key[0] == Table::Account as u8).unwrap();
    let mut broken = value.clone();
    *broken.last_mut().unwrap() ^= 1;
    set(&engine, key, Some(&broken)).await;
    let (bytes, _) = archive(&store).await;
    let (there, told) = restored(&bytes, &keys, Mode::Partial).await.unwrap();
    assert_eq!((told.accounts, told.books, told.contacts), (0, 0, 0));
    assert_eq!((told.damaged, told.homeless), (1, 13));
    assert_eq!(there.count(Table::Slot).await.unwrap(), 1);
}

#[tokio::test]
async fn writes_during_a_backup_are_not_torn_into_it() {
    let store = large().await;
    let (out, mut parts) = mpsc::channel::<Part>(1);
    let before = content(&store).await;
    let keys = keyring(&store).await;
    let taken = store.clone();
    let backup = tokio::spawn(async move { taken.backup(now(), &Random, &out).await.unwrap() });
    let mut bytes = parts.recv().await.unwrap().bytes;
    assert!(!backup.is_finished());
    for n in 0..200 {
        let file = format!("card{n}");
        commit(&store, if n % 3 == 0 { remove(&file) } else { put(&file, b"new".to_vec()) }).await;
    }
    store.erase_condemned(now()).await.unwrap();
    commit(&store, put("later", b"later".to_vec())).await;
    while let Some(part) = parts.recv().await {
        bytes.extend(part.bytes);
    }
    assert_eq!(backup.await.unwrap().counts.contacts, 206);
    let (there, told) = restored(&bytes, &keys, Mode::Strict).await.unwrap();
    assert_eq!(told.contacts, 206);
    let mut before = before;
    // But for the book that was to be purged, whose rows are in no backup.
    before.retain(|key, _| keys::owner(key) != Some([4; 16]));
    let after = content(&there).await;
    let missing: Vec<_> = before.keys().filter(|key| !after.contains_key(*key)).collect();
    assert!(missing.iter().all(|key| ![Table::Member as u8, Table::Body as u8].contains(&key[0])));
    assert!(after.iter().all(|(key, value)| before.get(key) == Some(value)));
    // With the keyring of now, the erased are gone, and nothing of the later is there.
    let (_, told) = restored(&bytes, &keyring(&store).await, Mode::Strict).await.unwrap();
    assert_eq!((told.contacts, told.erased), (139, 67));
}

#[tokio::test]
async fn a_contact_with_a_long_history_comes_back_with_all_of_it() {
    let store = memory().await;
    for n in 0..12_u8 {
        commit(&store, put("long", vec![n; 1 << 20])).await;
    }
    let (bytes, _) = archive(&store).await;
    let (there, told) = restored(&bytes, &keyring(&store).await, Mode::Strict).await.unwrap();
    assert_eq!(told.contacts, 7);
    purged(&store).await;
    assert_eq!(content(&there).await, content(&store).await);
}

#[tokio::test]
async fn an_archive_shows_nothing_and_whoever_takes_it_may_leave() {
    let store = memory().await;
    commit(&store, put("zebulon", b"Zebulon Quux".to_vec())).await;
    let (bytes, _) = archive(&store).await;
    for text in ["Zebulon", "zebulon", "alice", "contacts"] {
        assert!(memchr::memmem::find(&bytes, text.as_bytes()).is_none(), "{text}");
    }
    let (out, parts) = mpsc::channel(1);
    drop(parts);
    assert!(store.backup(now(), &Random, &out).await.is_err());
    assert!(store.objects().await.unwrap() >= 5);
}

#[tokio::test]
async fn an_object_that_lost_its_key_is_counted() {
    let store = memory().await;
    let old = keyring(&store).await;
    let key = keys::member(BOOK, &store.sealer.member(BOOK.as_bytes(), &name("a")));
    let value = store.read().await.unwrap().get(vec![key]).await.unwrap().pop().flatten().unwrap();
    store.sealer.slots().destroy(&[ObjectPlace::read(&value).unwrap().slot]).unwrap();
    let keys = store.keyring(now()).await.unwrap();
    assert_eq!(keys.unreadable, 1);
    // The last copy of its key is not given up.
    assert_eq!(keys.keyring.may_replace(&old), Err(KeyringConflict::WouldForget { keys: 1, erasures: 0 }));
}
