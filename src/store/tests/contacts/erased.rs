//! What is erased leaves nothing, what cannot be read stands in no way, and stores of before.

use super::*;

#[tokio::test]
async fn what_is_erased_leaves_no_row_and_no_key() {
    let store = memory().await;
    let empty = rows_of_contacts(&store).await;
    furnish(&store).await;
    assert!(rows_of_contacts(&store).await.iter().all(|(table, count)| *count > empty[table]));
    alice(&store, 5, furniture::remove(BOOK, "a")).await;
    assert_eq!(rows_of_contacts(&store).await, empty);
    assert_eq!(store.erase_condemned(at(6)).await.unwrap(), 1);
    sound(&store).await;
    // From the trash too.
    alice(&store, 7, card(BOOK, "a", "", id(2))).await;
    alice(&store, 8, trash(BOOK, "a")).await;
    alice(&store, 9, furniture::remove(TRASH, &id(2).to_string())).await;
    assert_eq!(rows_of_contacts(&store).await, empty);
    sound(&store).await;
}

#[tokio::test]
async fn a_book_that_is_purged_leaves_no_row_of_its_contacts() {
    let store = memory().await;
    let empty = rows_of_contacts(&store).await;
    furnish(&store).await;
    alice(&store, 5, card(OTHER, "a", "", id(2))).await;
    alice(&store, 6, adopt((BOOK, "a"), (OTHER, "a"))).await;
    for n in 10..20 {
        alice(&store, 7, card(OTHER, &format!("c{n}"), "", id(n))).await;
    }
    store.make_roster().await.unwrap();
    assert_eq!(store.roster().size().0, 11);
    alice(&store, 8, Op::Collection(CollectionOp::Remove { home: HOME, name: name("other"), book: OTHER }))
        .await;
    sound(&store).await;
    while store.purge_step(OTHER, at(9)).await.unwrap() {}
    assert_eq!(rows_of_contacts(&store).await, empty);
    assert_eq!(store.roster().size().0, 0);
    sound(&store).await;
}

#[tokio::test]
async fn another_key_seals_records_too() {
    let store = memory().await;
    furnish(&store).await;
    let before = kept(&store, id(1)).await.unwrap().place;
    alice(&store, 5, Op::Card(CardOp::Rekey { book: BOOK, name: name("a") })).await;
    let after = kept(&store, id(1)).await.unwrap();
    assert!(after.place.slot != before.slot && after.place.number == before.number);
    assert!(after.row.record == record("one"));
    assert_eq!(store.erase_condemned(at(6)).await.unwrap(), 1);
    let Earlier { bodies, records } = earlier(&store, id(1)).await;
    assert_eq!((bodies.len(), records.len()), (1, 1));
    sound(&store).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stands_in_no_card_s_way() {
    for harm in [&b"\x07"[..], &[7; 60]] {
        for op in [
            trash(BOOK, "a"),
            furniture::remove(BOOK, "a"),
            card(BOOK, "a", "NOTE:3\r\n", id(9)),
            transfer((BOOK, "a"), (OTHER, "a"), None),
        ] {
            let engine = Arc::new(MemoryEngine::new());
            let store = open(&engine, &MemoryMedium::new()).await.unwrap();
            lay(&store).await;
            furnish(&store).await;
            set(&engine, &keys::record(id(1)), Some(harm)).await;
            alice(&store, 6, op).await;
            store.repair(at(7)).await.unwrap();
            sound(&store).await;
        }
    }
}

/// As the version before contacts had records left it.
pub(in crate::store::tests) async fn without_records(engine: &MemoryEngine) {
    for (key, _) in rows_of(engine).await {
        if [Table::Record as u8, Table::Number as u8, Table::SameUid as u8].contains(&key[0])
            || key == keys::installation(COMPLETE)
        {
            set(engine, &key, None).await;
        }
    }
}

#[tokio::test]
async fn a_store_of_before_is_completed_when_it_is_opened() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let store = open(&engine, &medium).await.unwrap();
    lay(&store).await;
    for n in 0..=255_u8 {
        let kind = if n == 7 { "KIND:org\r\n" } else { "" };
        alice(&store, 1, card(BOOK, &format!("c{n}"), kind, id(n))).await;
    }
    for n in 0..5_u8 {
        let more = ContactId::from_bytes(*[[n; 8], [n + 1; 8]].concat().first_chunk().unwrap());
        alice(&store, 1, card(OTHER, &format!("d{n}"), "", more)).await;
    }
    drop(store);
    without_records(&engine).await;
    let store = open(&engine, &medium).await.unwrap();
    sound(&store).await;
    let rows = rows_of_contacts(&store).await;
    assert_eq!((rows[&'F'], rows[&'G'], rows[&'Y']), (261, 261, 261));
    let all: BTreeSet<_> = {
        let mut all = BTreeSet::new();
        for n in 0..=255 {
            all.insert(number(&store, id(n)).await);
        }
        all
    };
    assert_eq!(all.len(), 256);
    assert_eq!(number(&store, id(7)).await, (1, 1));
    // Nothing is done twice.
    drop(store);
    let store = open(&engine, &medium).await.unwrap();
    assert_eq!(rows_of_contacts(&store).await, rows);
    alice(&store, 2, card(BOOK, "new", "", ContactId::from_bytes(*b"another contact!"))).await;
}
