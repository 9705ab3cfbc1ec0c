//! The trash: what lies there keeps all that it had, and how it comes back.

use super::*;
use crate::domain::format::Format;

#[tokio::test]
async fn what_comes_back_from_the_trash_has_all_that_it_had() {
    let store = memory().await;
    furnish(&store).await;
    let (whole, numbered) = (found(&store, BOOK, "a").await, number(&store, id(1)).await);
    alice(&store, 5, trash(BOOK, "a")).await;
    assert_eq!(found(&store, BOOK, "a").await, None);
    let trashed = kept(&store, id(1)).await.unwrap().row;
    assert!(trashed.book == *TRASH.as_bytes() && trashed.record == record("one"));
    assert_eq!(number(&store, id(1)).await, numbered);
    sound(&store).await;
    let reader = store.read().await.unwrap();
    let contact = reader.contacts(&[id(1)]).await.unwrap().pop().unwrap().unwrap();
    drop(reader);
    let row = contact.card.trashed.clone().unwrap();
    assert!(
        contact.is_trashed()
            && contact.uid() == "a"
            && row.name == "a"
            && row.client.as_deref() == Some("tests")
    );
    assert_eq!((row.at, row.by), (rows::micros(at(5)), Some(rows::Id(*ACCOUNT.as_bytes()))));
    alice(&store, 6, restore(id(1), OTHER, "z")).await;
    assert_eq!(found(&store, OTHER, "z").await, whole);
    assert_eq!(number(&store, id(1)).await, numbered);
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    let Earlier { bodies, records } = earlier(&store, id(1)).await;
    let books: Vec<_> = records.iter().map(|(_, row)| row.book).collect();
    assert_eq!((bodies.len(), books), (1, vec![*BOOK.as_bytes(), *BOOK.as_bytes(), *TRASH.as_bytes()]));
    sound(&store).await;
    // It is in the trash no more, and there is none to restore twice.
    assert_eq!(unmet(by(&store, ACCOUNT, 7, restore(id(1), BOOK, "y")).await), Unmet::NoMember);
    let name = MemberName::parse(&id(1).to_string()).unwrap();
    let gone = Op::Card(CardOp::Trash { book: TRASH, name, merged_into: None });
    assert_eq!(unmet(by(&store, ACCOUNT, 7, gone).await), Unmet::NoMember);
}

#[tokio::test]
async fn what_cannot_be_restored_stays_in_the_trash() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, trash(BOOK, "a")).await;
    // The UID and the name are another's by now.
    let later = 6 + MOVE;
    by(&store, BOB, later, furniture::put((THEIRS, "b"), "a", Version::V4, vcard("a", ""), id(2)))
        .await
        .unwrap();
    by(&store, BOB, later, card(THEIRS, "n", "", id(3))).await.unwrap();
    let before = rows_of_contacts(&store).await;
    assert_eq!(unmet(by(&store, BOB, later, restore(id(1), THEIRS, "m")).await), Unmet::UidTaken(name("b")));
    assert_eq!(unmet(by(&store, BOB, later, restore(id(1), THEIRS, "n")).await), Unmet::Taken);
    let nowhere = CollectionId::from_bytes([77; 16]);
    assert_eq!(unmet(by(&store, BOB, later, restore(id(1), nowhere, "m")).await), Unmet::NoCollection);
    assert_eq!(rows_of_contacts(&store).await, before);
    alice(&store, later, restore(id(1), BOOK, "a")).await;
    assert_eq!(found(&store, BOOK, "a").await.unwrap().0, id(1));
    sound(&store).await;
}

#[tokio::test]
async fn a_uid_that_comes_back_brings_its_contact_back() {
    for (actor, book, late, comes) in [
        (ACCOUNT, BOOK, true, true),
        (ACCOUNT, OTHER, true, true),
        (BOB, BOOK, true, true),
        (ACCOUNT, THEIRS, false, true),
        (ACCOUNT, THEIRS, true, false),
        (BOB, THEIRS, false, false),
    ] {
        let store = memory().await;
        furnish(&store).await;
        let numbered = number(&store, id(1)).await;
        alice(&store, 5, trash(BOOK, "a")).await;
        let second = if late { 6 + MOVE / 1_000_000 } else { 5 + MOVE / 1_000_000 };
        let put = furniture::put((book, "new"), "a", Version::V4, vcard("a", "NOTE:new\r\n"), id(9));
        let done = by(&store, actor, second, put).await.unwrap();
        assert_eq!(done.cards[0].contact == id(1), comes, "{book:?} {late}");
        assert!(done.cards[0].created);
        let (contact, body, properties) = found(&store, book, "new").await.unwrap();
        assert!(body.contains("NOTE:new"));
        if comes {
            assert_eq!((contact, properties, number(&store, id(1)).await), (id(1), 1, numbered));
            assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
            assert_eq!(earlier(&store, id(1)).await.bodies.len(), 2);
        } else {
            assert_eq!((contact, properties), (id(9), 0));
            assert!(kept(&store, id(9)).await.unwrap().row.record == Record::default());
            assert!(kept(&store, id(1)).await.unwrap().row.book == *TRASH.as_bytes());
        }
        sound(&store).await;
    }
}

#[tokio::test]
async fn who_is_made_again_keeps_the_record() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, trash(BOOK, "a")).await;
    let card = NewCard {
        format: Format::Card(Version::V4),
        uid: Uid::new("a").unwrap(),
        invented_uid: false,
        body: vcard("a", "").into(),
    };
    let change = Some(Box::new(RecordChange { before: None, after: record("again"), merged: Vec::new() }));
    let put = CardOp::Put { book: BOOK, name: name("a"), card, fresh: id(9), record: change };
    alice(&store, 6, Op::Card(put)).await;
    let row = kept(&store, id(1)).await.unwrap().row;
    assert!(row.record == record("one") && row.book == *BOOK.as_bytes());
    sound(&store).await;
}

#[tokio::test]
async fn what_was_merged_away_comes_back_by_no_uid() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, card(BOOK, "b", "", id(2))).await;
    let merge = Op::Card(CardOp::Trash { book: BOOK, name: name("a"), merged_into: Some(id(2)) });
    let told = RecordChange { before: Some(Record::default()), after: record("both"), merged: vec![id(1)] };
    let told = Op::Card(CardOp::Record { contact: id(2), change: Box::new(told) });
    store.commit(&Commit::new(Some(ACCOUNT), at(6), Vec::new(), vec![merge, told])).await.unwrap();
    sound(&store).await;
    let (merged, into) = (kept(&store, id(1)).await.unwrap().row, kept(&store, id(2)).await.unwrap().row);
    assert_eq!((merged.merged_into, into.merged), (Some(id(2)), vec![id(1)]));
    assert_eq!(unmet(by(&store, ACCOUNT, 7, restore(id(1), BOOK, "c")).await), Unmet::NoMember);
    assert_eq!(
        unmet(by(&store, ACCOUNT, 7, change(id(1), record("one"), record("x"))).await),
        Unmet::NoMember
    );
    alice(&store, 7, card(BOOK, "a", "", id(3))).await;
    assert_eq!(found(&store, BOOK, "a").await.unwrap().0, id(3));
    // It stays as long as what it was merged into, in the trash too.
    let due = async || {
        let reader = store.read().await.unwrap();
        reader.overdue(rows::micros(at(1_000)), 10).await.unwrap()
    };
    assert_eq!(due().await, []);
    alice(&store, 8, trash(BOOK, "b")).await;
    assert_eq!(due().await, [id(2)]);
    alice(&store, 9, furniture::remove(TRASH, &id(2).to_string())).await;
    assert_eq!(due().await, [id(1)]);
    alice(&store, 10, furniture::remove(TRASH, &id(1).to_string())).await;
    assert_eq!((due().await, kept(&store, id(1)).await.is_none()), (Vec::new(), true));
    sound(&store).await;
}
