//! Contacts that phones move, delete and bring back.

use super::*;

impl Desk {
    async fn by_uid(&self, uid: &str) -> Vec<ContactView> {
        self.service.list_contacts(&self.alice, asked(&format!("uid eq \"{uid}\""))).await.unwrap().contacts
    }

    async fn known(&self) -> ContactView {
        self.book("alice", "other").await;
        self.phone("contacts", "a.vcf", card("u", "Ann")).await.unwrap();
        let shown = self.by_uid("u").await.remove(0);
        self.edit(&shown, |draft| draft.record.salutation = "Dr".into()).await.unwrap()
    }
}

async fn is_same(desk: &Desk, before: &ContactView, book: &str) {
    let found = desk.by_uid("u").await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, &found[0].number, found[0].book.as_str()), (before.id, &before.number, book));
    assert_eq!(found[0].record.salutation, "Dr");
    assert!(desk.history(before).await.contains(&"alice/- salutation:  > Dr".to_owned()));
    desk.sound().await;
}

#[tokio::test]
async fn put_and_delete_is_a_move() {
    let desk = Desk::new().await;
    let before = desk.known().await;
    desk.phone("other", "b.vcf", card("u", "Ann")).await.unwrap();
    assert_eq!(desk.by_uid("u").await.len(), 2, "so far it is a copy");
    desk.phone_deletes("contacts", "a.vcf").await.unwrap();
    is_same(&desk, &before, "alice/other").await;
    let copy = desk.service.contact(&desk.alice, ContactRef::Number(0, 2)).await.unwrap();
    assert_eq!(there(copy).id, before.id, "the copy's number leads to it");
}

#[tokio::test]
async fn delete_and_put_is_a_move() {
    let desk = Desk::new().await;
    let before = desk.known().await;
    desk.phone_deletes("contacts", "a.vcf").await.unwrap();
    assert!(desk.by_uid("u").await.is_empty());
    desk.phone("other", "b.vcf", card("u", "Ann")).await.unwrap();
    is_same(&desk, &before, "alice/other").await;
}

#[tokio::test]
async fn a_uid_that_comes_back_revives_its_contact() {
    let desk = Desk::new().await;
    let before = desk.known().await;
    desk.service.delete_contact(&desk.alice, &before).await.unwrap();
    let made = desk.service.create_contact_from_card(&desk.alice, None, card("u", "Anna")).await.unwrap();
    assert_eq!((made.id, made.fields.name.formatted.as_str()), (before.id, "Anna"));
    is_same(&desk, &before, "alice/contacts").await;
}

#[tokio::test]
async fn a_copy_has_a_number_and_a_record_of_its_own() {
    let desk = Desk::new().await;
    let before = desk.known().await;
    desk.phone("other", "b.vcf", card("u", "Ann")).await.unwrap();
    let found = desk.by_uid("u").await;
    let copy = found.iter().find(|contact| contact.id != before.id).unwrap();
    assert_eq!((copy.number.as_str(), copy.record.salutation.as_str()), ("CON2", ""));
    // Whoever deletes through the API means it.
    desk.service.delete_contact(&desk.alice, &desk.now(before.id).await).await.unwrap();
    let found = desk.by_uid("u").await;
    assert_eq!((found.len(), found[0].id), (1, copy.id));
    desk.sound().await;
}
