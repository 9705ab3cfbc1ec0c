//! Copies and moves: by one op, and by a copy that takes the original's place.

use super::*;
use crate::domain::format::Format;

#[tokio::test]
async fn a_copy_that_takes_the_original_s_place_is_the_contact() {
    let store = memory().await;
    furnish(&store).await;
    let numbered = number(&store, id(1)).await;
    alice(&store, 5, card(OTHER, "a", "NOTE:copy\r\n", id(2))).await;
    let copy = number(&store, id(2)).await;
    let reader = store.read().await.unwrap();
    let seen = reader.copy_of(BOOK, &name("a"), ACCOUNT, at(6)).await.unwrap();
    assert_eq!(seen, Some((OTHER, name("a"))));
    assert_eq!(reader.copy_of(BOOK, &name("a"), BOB, at(6)).await.unwrap(), None);
    assert_eq!(reader.copy_of(BOOK, &name("a"), ACCOUNT, at(6 + MOVE / 1_000_000)).await.unwrap(), None);
    // The copy is no move of the original to where it was before.
    assert_eq!(reader.copy_of(OTHER, &name("a"), ACCOUNT, at(6)).await.unwrap(), None);
    drop(reader);
    alice(&store, 6, adopt((BOOK, "a"), (OTHER, "a"))).await;
    let (contact, body, properties) = found(&store, OTHER, "a").await.unwrap();
    assert!(contact == id(1) && body.contains("NOTE:copy") && properties == 1);
    assert_eq!((found(&store, BOOK, "a").await, kept(&store, id(2)).await.is_none()), (None, true));
    assert_eq!((number(&store, id(1)).await, leads(&store, copy.0, copy.1).await), (numbered, Some(id(1))));
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    assert_eq!(earlier(&store, id(1)).await.bodies.len(), 2);
    sound(&store).await;
    // Again, and nothing is left of either number when the contact is erased.
    alice(&store, 7, card(BOOK, "a", "", id(3))).await;
    alice(&store, 8, adopt((OTHER, "a"), (BOOK, "a"))).await;
    for n in 1..=3 {
        assert_eq!(leads(&store, 0, n).await, Some(id(1)));
    }
    sound(&store).await;
    alice(&store, 9, furniture::remove(BOOK, "a")).await;
    for n in 1..=3 {
        assert_eq!(leads(&store, 0, n).await, None);
    }
    sound(&store).await;
}

#[tokio::test]
async fn a_copy_that_went_or_changed_meanwhile_is_not_taken_for_another() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, card(OTHER, "a", "", id(2))).await;
    alice(&store, 6, trash(OTHER, "a")).await;
    assert_eq!(unmet(by(&store, ACCOUNT, 7, adopt((BOOK, "a"), (OTHER, "a"))).await), Unmet::NoMember);
    // Another contact lies there.
    alice(&store, 7, furniture::put((OTHER, "a"), "b", Version::V4, vcard("b", ""), id(3))).await;
    assert_eq!(unmet(by(&store, ACCOUNT, 8, adopt((BOOK, "a"), (OTHER, "a"))).await), Unmet::NoMember);
    assert_eq!(unmet(by(&store, ACCOUNT, 8, adopt((BOOK, "a"), (BOOK, "a"))).await), Unmet::NoMember);
    assert_eq!(found(&store, BOOK, "a").await.unwrap().0, id(1));
    sound(&store).await;
}

#[tokio::test]
async fn moves_and_changes_of_both_halves_at_once_lose_no_contact() {
    let store = Arc::new(memory().await);
    for round in 0..20 {
        let (file, original, copy) = (format!("f{round}"), id(2 * round + 1), id(2 * round + 2));
        alice(&store, 1, card(BOOK, &file, "", original)).await;
        alice(&store, 2, card(OTHER, &file, "", copy)).await;
        let ops = [
            adopt((BOOK, &file), (OTHER, &file)),
            card(OTHER, &file, "NOTE:newer\r\n", id(250)),
            trash(OTHER, &file),
            change(copy, Record::default(), record("copy")),
        ];
        let tasks: Vec<_> = ops
            .into_iter()
            .map(|op| {
                let store = store.clone();
                tokio::spawn(async move { by(&store, ACCOUNT, 3, op).await.map(drop).ok() })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        // The contact is where it was, or where the copy was, or came to lie in the trash as the copy.
        assert!(kept(&store, original).await.is_some());
        sound(&store).await;
    }
}

#[tokio::test]
async fn copies_have_a_number_and_a_record_of_their_own() {
    let store = memory().await;
    furnish(&store).await;
    alice(&store, 5, transfer((BOOK, "a"), (OTHER, "a"), Some(id(2)))).await;
    assert_eq!((number(&store, id(1)).await, number(&store, id(2)).await), ((0, 1), (0, 2)));
    let copy = kept(&store, id(2)).await.unwrap().row;
    assert!(copy.record == record("one") && copy.changes == 0 && copy.book == *OTHER.as_bytes());
    assert_eq!(earlier(&store, id(2)).await.records.len(), 0);
    alice(&store, 6, change(id(2), record("one"), record("copy"))).await;
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    // A move keeps both, over what lay there too.
    alice(&store, 7, transfer((BOOK, "a"), (OTHER, "a"), None)).await;
    assert_eq!((number(&store, id(1)).await, leads(&store, 0, 2).await), ((0, 1), None));
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("one"));
    sound(&store).await;
}

fn move_to(
    from: (CollectionId, &str),
    to: (CollectionId, &str),
    body: String,
    change: Option<RecordChange>,
) -> Op {
    let uid = Uid::new("a").unwrap();
    let card = NewCard { format: Format::Card(Version::V4), uid, invented_uid: false, body: body.into() };
    let (from, to) = ((from.0, name(from.1)), (to.0, name(to.1)));
    Op::Card(CardOp::Move { from, to, card, record: change.map(Box::new) })
}

#[tokio::test]
async fn a_contact_moves_and_changes_at_once_or_not_at_all() {
    let store = memory().await;
    furnish(&store).await;
    let numbered = number(&store, id(1)).await;
    let change = |before: &str| {
        Some(RecordChange { before: Some(record(before)), after: record("moved"), merged: Vec::new() })
    };
    let new = || vcard("a", "TITLE:Boss\r\n");
    // The record has moved; the name, or the UID, is another's there; there is no such card.
    let before = rows_of_contacts(&store).await;
    let late = move_to((BOOK, "a"), (OTHER, "b"), new(), change("late"));
    assert_eq!(unmet(by(&store, ACCOUNT, 5, late).await), Unmet::NoMember);
    let none = move_to((BOOK, "none"), (OTHER, "b"), new(), None);
    assert_eq!(unmet(by(&store, ACCOUNT, 5, none).await), Unmet::NoMember);
    assert_eq!(rows_of_contacts(&store).await, before);
    alice(&store, 5, card(OTHER, "taken", "", id(2))).await;
    let taken = move_to((BOOK, "a"), (OTHER, "taken"), new(), change("one"));
    assert_eq!(unmet(by(&store, ACCOUNT, 6, taken).await), Unmet::Taken);
    alice(&store, 6, furniture::put((OTHER, "same"), "a", Version::V4, vcard("a", ""), id(3))).await;
    let same = move_to((BOOK, "a"), (OTHER, "b"), new(), change("one"));
    assert_eq!(unmet(by(&store, ACCOUNT, 7, same).await), Unmet::UidTaken(name("same")));
    alice(&store, 7, furniture::remove(OTHER, "same")).await;
    assert!(
        found(&store, BOOK, "a").await.is_some()
            && kept(&store, id(1)).await.unwrap().row.record == record("one")
    );
    sound(&store).await;

    alice(&store, 8, move_to((BOOK, "a"), (OTHER, "b"), new(), change("one"))).await;
    assert_eq!(found(&store, BOOK, "a").await, None);
    let (contact, body, properties) = found(&store, OTHER, "b").await.unwrap();
    assert!(contact == id(1) && body == new() && properties == 1);
    let row = kept(&store, id(1)).await.unwrap().row;
    assert!(row.record == record("moved") && row.book == *OTHER.as_bytes());
    assert_eq!(number(&store, id(1)).await, numbered);
    let Earlier { bodies, records } = earlier(&store, id(1)).await;
    assert_eq!(bodies.len(), 2);
    assert!(records.last().unwrap().1.book == *BOOK.as_bytes());
    sound(&store).await;
    // Without a change of the record it keeps its own.
    alice(&store, 9, move_to((OTHER, "b"), (BOOK, "c"), vcard("a", ""), None)).await;
    assert!(kept(&store, id(1)).await.unwrap().row.record == record("moved"));
    sound(&store).await;
}
