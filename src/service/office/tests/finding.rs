//! Lists, full text and callers.

use super::*;
use crate::domain::contact::Path;
use crate::domain::scim::{Filter, Query};
use crate::store::roster::{By, Order};

#[tokio::test]
async fn lists_filter_search_sort_and_page() {
    let desk = Desk::new().await;
    for (at, text) in ["Jörg Köln", "Anna Berg", "Zoë Adam", "Bert Köhler", "Carl Dorn"].iter().enumerate()
    {
        let fields = CardFields { title: if at % 2 == 0 { "Boss" } else { "Clerk" }.into(), ..person(text) };
        desk.make_as(fields, |draft| draft.record.assigned_to = (at == 1).then(|| "bob".into())).await;
    }
    let names = |page: &ListedContacts| {
        page.contacts.iter().map(|contact| contact.fields.name.family.clone()).collect::<Vec<_>>()
    };
    let ask = |listed| desk.service.list_contacts(&desk.alice, listed);
    let query = |text: &str| Listed { query: Query::parse(text), ..asked("") };
    assert_eq!(names(&ask(query("koln")).await.unwrap()), ["Köln"]);
    assert_eq!(names(&ask(query("zoe ad")).await.unwrap()), ["Adam"]);
    let found = ask(asked("title eq \"boss\" and name.family sw \"k\"")).await.unwrap();
    assert_eq!(names(&found), ["Köln"]);
    assert_eq!(names(&ask(asked("assigned_to eq \"bob\"")).await.unwrap()), ["Berg"]);
    assert_eq!(ask(asked("book eq \"alice/contacts\"")).await.unwrap().total, 5);
    assert_eq!(ask(asked("book eq \"bob/contacts\"")).await.unwrap().total, 0);
    let family = Order { by: By::Path(Path::parse("name.family").unwrap()), descending: true };
    let number = Order { by: By::Number, descending: true };
    for (order, expected) in [
        (family, ["Köln", "Köhler", "Dorn", "Berg", "Adam"]),
        (number, ["Dorn", "Köhler", "Adam", "Berg", "Köln"]),
    ] {
        let (mut step, mut seen) = (None, Vec::new());
        loop {
            let listed = Listed { order: vec![order.clone()], step, limit: 2, ..asked("") };
            let page = ask(listed).await.unwrap();
            assert_eq!(page.total, 5);
            seen.extend(names(&page));
            step = page.next;
            if step.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
    // A page goes on where it ended though what it ended with is gone.
    let number = vec![Order { by: By::Number, descending: false }];
    let first = ask(Listed { order: number.clone(), limit: 2, ..asked("") }).await.unwrap();
    desk.service.delete_contact(&desk.alice, &first.contacts[1]).await.unwrap();
    let next = ask(Listed { order: number, step: first.next, limit: 9, ..asked("") }).await.unwrap();
    assert_eq!(names(&next).last().unwrap(), "Dorn");
    assert!(Filter::parse("title eq").is_err());
}

#[tokio::test]
async fn numbers_are_shown_in_one_form_whether_the_index_knows_them_or_not() {
    let desk = Desk::with(ContactSettings::default()).await;
    let phones = |first: usize| {
        // More than the index looks up.
        let numbers = (first..first + 40).map(|n| telephone(&format!("030 20000{n:02}")));
        [telephone("nobody's")].into_iter().chain(numbers).collect::<Vec<_>>()
    };
    let made = desk.make_as(CardFields { phones: phones(10), ..person("Ann One") }, |_| {}).await;
    desk.service.store.roster().let_go();
    let unknown = desk.now(made.id).await.e164;
    assert_eq!((unknown.len(), &unknown[0], unknown[1].as_deref()), (41, &None, Some("+49302000010")));
    assert_eq!(unknown[40].as_deref(), Some("+49302000049"));
    let listed = desk.service.list_contacts(&desk.alice, asked("")).await.unwrap();
    let reader = desk.service.store.read().await.unwrap();
    let stored = reader.contacts(&[made.id]).await.unwrap().pop().flatten().unwrap();
    assert!(desk.service.store.roster().dialled(std::slice::from_ref(&stored))[0].is_some());
    assert_eq!(listed.contacts[0].e164, unknown);
    // What is stale is not believed.
    let shown = desk.now(made.id).await;
    let changed = desk.edit(&shown, |draft| draft.fields.phones = phones(50)).await.unwrap();
    assert_eq!(changed.e164[1].as_deref(), Some("+49302000050"));
    assert_eq!(desk.service.store.roster().dialled(&[stored])[0], None);
}

#[tokio::test]
async fn callers_are_found_by_number_and_address() {
    let desk = Desk::with(ContactSettings::default()).await;
    let fields = CardFields {
        phones: vec![telephone("(030) 123 45-67")],
        emails: vec![email("Ann@Example.org")],
        ..person("Ann One")
    };
    let ann = desk.make_as(fields, |_| {}).await;
    assert_eq!(ann.e164, [Some("+49301234567".to_owned())]);
    let fields = CardFields { phones: vec![telephone("+1 915 291 5192")], ..person("Bea Two") };
    desk.make_as(fields, |_| {}).await;
    for (number, expected) in [
        ("+49301234567", "CON1"),
        ("0049 30 1234567", "CON1"),
        ("030/1234567", "CON1"),
        ("+493012345670", "CON1"),
        ("+4930123456789", "CON1"),
        ("+19152915192", "CON2"),
        ("+4940999999", ""),
        ("", ""),
    ] {
        let found = desk.service.contacts_by_phone(&desk.alice, number).await.unwrap();
        let numbers: Vec<_> = found.iter().map(|contact| contact.number.as_str()).collect();
        assert_eq!(numbers.join(" "), expected, "{number}");
    }
    assert_eq!(desk.service.contacts_by_email(&desk.alice, "ann@example.ORG").await.unwrap()[0].id, ann.id);
    assert!(desk.service.contacts_by_email(&desk.alice, "").await.unwrap().is_empty());
    let bob = desk.user("bob", &[]).await;
    assert!(desk.service.contacts_by_phone(&bob, "+49301234567").await.unwrap().is_empty());
    // A change is found at once, and what is gone is not.
    let ann = desk.edit(&ann, |draft| draft.fields.phones = vec![telephone("030 7654321")]).await.unwrap();
    assert!(desk.service.contacts_by_phone(&desk.alice, "+49301234567").await.unwrap().is_empty());
    desk.service.delete_contact(&desk.alice, &ann).await.unwrap();
    assert!(desk.service.contacts_by_phone(&desk.alice, "030 7654321").await.unwrap().is_empty());
}

#[tokio::test]
async fn numbers_that_were_never_given_lead_nowhere() {
    let desk = Desk::new().await;
    desk.make("Ann One").await;
    for named in ["CON2", "COM1", "0198f1c2-0000-7000-8000-000000000001"] {
        let answer = desk.service.contact(&desk.alice, ContactRef::parse(named).unwrap()).await;
        assert_eq!(refused(answer.map(drop)), Refusal::NotFound, "{named}");
    }
}
