//! What became of a company's people.

use super::*;
use crate::domain::ical::Components;
use crate::domain::id::Principal;
use crate::service::library::NewBook;
use crate::store::calls;

/// A company of which these are the people; every one has changed once since.
async fn with_people(desk: &Desk, people: usize) -> (ContactView, Vec<ContactView>) {
    let acme = desk.make_as(company("Acme"), |_| {}).await;
    let mut made = Vec::new();
    for place in 0..people {
        let of = |draft: &mut Draft| draft.record.company = Some("COM1".into());
        let person = desk.make_as(person(&format!("Ann No{place}")), of).await;
        made.push(desk.edit(&person, |draft| draft.fields.title = format!("T{place}")).await.unwrap());
    }
    (acme, made)
}

/// Entries as lines: whose, and what.
fn lines<'a>(entries: impl IntoIterator<Item = &'a HistoryEntry>) -> Vec<String> {
    let line = |entry: &HistoryEntry| {
        let whose = entry.contact.as_ref().map_or("-".into(), |of| format!("{} {}", of.number, of.name));
        let text = |leaves: &[crate::domain::contact::Leaf]| match leaves.first().map(|leaf| &leaf.value) {
            Some(Scalar::Text(text)) => text.clone(),
            _ => String::new(),
        };
        format!("{whose} {}: {} > {}", entry.path, text(&entry.old), text(&entry.new))
    };
    entries.into_iter().map(line).collect()
}

async fn all(desk: &Desk, caller: &Caller, acme: &ContactView, limit: usize) -> Vec<HistoryEntry> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let piece = desk.service.company_history(caller, acme, after, limit).await.unwrap();
        assert!(piece.entries.len() <= limit);
        assert!(piece.entries.iter().all(|(place, _)| after.is_none_or(|after| *place < after)));
        after = piece.entries.last().map(|(place, _)| *place);
        all.extend(piece.entries.into_iter().map(|(_, entry)| entry));
        if !piece.more {
            return all;
        }
    }
}

#[tokio::test]
async fn a_company_tells_what_happened_with_its_people() {
    let desk = Desk::new().await;
    let (acme, people) = with_people(&desk, 3).await;
    let acme = desk.edit(&acme, |draft| draft.fields.note = "Big".into()).await.unwrap();
    desk.edit(&people[0], |draft| draft.fields.title = "Boss".into()).await.unwrap();
    // Somebody else's, and one who has left.
    let other = desk.make("Bea Other").await;
    desk.edit(&other, |draft| draft.fields.title = "Other".into()).await.unwrap();
    desk.edit(&people[2], |draft| draft.record.company = None).await.unwrap();
    // One who was merged into one of them brings what became of them.
    let gone = desk.edit(&desk.make("Ann Again").await, |draft| draft.fields.title = "Old".into()).await;
    let merge = MergeAsked {
        target: desk.now(people[1].id).await,
        sources: vec![gone.unwrap()],
        take: Take::default(),
    };
    desk.service.merge_contacts(&desk.alice, &merge).await.unwrap();
    let told = all(&desk, &desk.alice, &acme, 100).await;
    assert!(told.windows(2).all(|pair| pair[0].at >= pair[1].at));
    let of_merged = told.iter().find(|entry| entry.of.as_deref() == Some("CON5")).unwrap();
    assert_eq!(of_merged.contact.as_ref().unwrap().number, "CON2");
    let told = lines(told.iter().filter(|entry| entry.of.is_none() && !entry.path.starts_with("name")));
    let mut expected = ["CON1 Ann No0 title: T0 > Boss", "- note:  > Big", "CON2 Ann No1 title:  > T1", ""];
    expected[3] = "CON1 Ann No0 title:  > T0";
    assert_eq!(told, expected);
    // The company's own is what it was, and a person's too.
    let own = desk.service.contact_history(&acme).await.unwrap();
    assert_eq!(lines(&own), ["- note:  > Big"]);
    let own = desk.service.contact_history(&desk.now(people[0].id).await).await.unwrap();
    assert_eq!(lines(&own), ["- title: T0 > Boss", "- title:  > T0"]);
}

#[tokio::test]
async fn pieces_of_any_length_make_up_the_same_history() {
    let desk = Desk::new().await;
    let (acme, people) = with_people(&desk, 7).await;
    for step in 0..20 {
        let person = desk.now(people[step * 5 % 7].id).await;
        desk.edit(&person, |draft| {
            draft.fields.title = format!("Step {step}");
            draft.record.salutation = format!("Dear {step}");
        })
        .await
        .unwrap();
    }
    let whole = lines(&all(&desk, &desk.alice, &acme, 1_000).await);
    assert_eq!(whole.len(), 7 + 40);
    for limit in [1, 2, 3, 10, 46, 47, 48] {
        assert_eq!(lines(&all(&desk, &desk.alice, &acme, limit).await), whole, "{limit}");
    }
    // What happens between two pieces does not move the next one.
    let first = desk.service.company_history(&desk.alice, &acme, None, 20).await.unwrap();
    let last = desk.now(people[6].id).await;
    desk.edit(&last, |draft| draft.fields.title = "Meanwhile".into()).await.unwrap();
    let after = first.entries.last().map(|(place, _)| *place);
    let second = desk.service.company_history(&desk.alice, &acme, after, 100).await.unwrap();
    let entries = first.entries.iter().chain(&second.entries).map(|(_, entry)| entry);
    assert_eq!(lines(entries), whole);
}

#[tokio::test]
async fn a_piece_reads_no_more_people_than_it_needs() {
    let desk = Desk::new().await;
    let (acme, people) = with_people(&desk, 120).await;
    desk.service.store.make_roster().await.unwrap();
    let piece = |limit| calls::counted(desk.service.company_history(&desk.alice, &acme, None, limit));
    let (few, read_few) = piece(3).await;
    let (most, read_all) = piece(1_000).await;
    assert_eq!((few.unwrap().entries.len(), most.unwrap().entries.len()), (3, 120));
    assert!(read_few < 40 && read_all > 240, "{read_few} and {read_all} calls of {}", people.len());
}

#[tokio::test]
async fn who_may_not_see_a_person_is_not_told_of_them() {
    let desk = Desk::new().await;
    let (acme, people) = with_people(&desk, 2).await;
    let own = Principal::User(desk.alice.name.clone());
    let new = NewBook {
        owner: own,
        name: name("secret"),
        components: Components::NONE,
        private: true,
        shares: Vec::new(),
    };
    desk.service.create_library_book(&desk.alice, new).await.unwrap();
    let hidden = desk.now(people[0].id).await;
    desk.edit(&hidden, |draft| draft.book = Some("alice/secret".into())).await.unwrap();
    let bob = desk.user("bob", &["contacts:read"]).await;
    let told = lines(&all(&desk, &bob, &acme, 100).await);
    assert_eq!(told, ["CON2 Ann No1 title:  > T1"]);
    let told = lines(&all(&desk, &desk.alice, &acme, 100).await);
    let moved = "CON1 Ann No0 book: alice/contacts > alice/secret";
    assert_eq!(told, [moved, "CON2 Ann No1 title:  > T1", "CON1 Ann No0 title:  > T0"]);
}
