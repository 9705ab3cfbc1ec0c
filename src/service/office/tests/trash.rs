//! The trash: what lies there, and what comes back.

use super::*;

impl Desk {
    async fn trash(&self, shown: &ContactView) -> ContactView {
        let now = self.now(shown.id).await;
        self.service.delete_contact(&self.alice, &now).await.unwrap();
        self.service.trashed_contact(&self.alice, ContactRef::Id(shown.id)).await.unwrap()
    }

    async fn restore(&self, trashed: &ContactView, book: Option<&str>) -> Answer<ContactView> {
        self.service.restore_contact(&self.alice, trashed, book).await
    }
}

#[tokio::test]
async fn what_is_deleted_comes_back_as_it_was() {
    let desk = Desk::new().await;
    let made = desk.service.create_contact_from_card(&desk.alice, None, FOREIGN.into()).await.unwrap();
    let made = desk.edit(&made, |draft| draft.record.salutation = "Dr".into()).await.unwrap();
    let trashed = desk.trash(&made).await;
    assert_eq!((trashed.book.as_str(), trashed.uid.as_str()), ("alice/contacts", "foreign"));
    assert_eq!(trashed.trashed.as_ref().unwrap().1.as_deref(), Some("alice"));
    assert_eq!(desk.listed(&desk.alice, "").await, [""; 0]);
    let answer = desk.service.contact(&desk.alice, ContactRef::Id(made.id)).await;
    assert_eq!(refused(answer.map(drop)), Refusal::NotFound);
    // With what lies there nothing else is done.
    assert_eq!(
        refused(desk.edit(&trashed, |draft| draft.fields.title = "X".into()).await),
        Refusal::NotFound
    );
    assert_eq!(refused(desk.service.delete_contact(&desk.alice, &trashed).await), Refusal::NotFound);
    assert_eq!(refused(desk.service.clone_contact(&desk.alice, &trashed).await), Refusal::NotFound);
    let back = desk.restore(&trashed, None).await.unwrap();
    assert_eq!(text(&back), FOREIGN);
    assert_eq!((back.number.as_str(), back.record.salutation.as_str()), ("CON1", "Dr"));
    assert_eq!(back.stored.card.name, made.stored.card.name);
    assert_eq!(refused(desk.restore(&trashed, None).await), Refusal::NotFound);
    let history = desk.history(&made).await;
    assert_eq!(history[0], "alice/- book: trash > alice/contacts");
    assert_eq!(history[1], "alice/- book: alice/contacts > trash");
    desk.sound().await;
}

#[tokio::test]
async fn a_taken_name_is_another_one_and_a_taken_uid_a_conflict() {
    let desk = Desk::new().await;
    desk.book("alice", "other").await;
    desk.phone("contacts", "a.vcf", card("u", "Ann")).await.unwrap();
    let shown = desk.service.list_contacts(&desk.alice, asked("")).await.unwrap().contacts.remove(0);
    let trashed = desk.trash(&shown).await;
    desk.phone("contacts", "a.vcf", card("v", "Bea")).await.unwrap();
    let back = desk.restore(&trashed, None).await.unwrap();
    assert_eq!(back.stored.card.name, format!("{}.vcf", shown.id));
    // A copy in another book has the UID there.
    desk.phone("other", "c.vcf", card("u", "Twin")).await.unwrap();
    let trashed = desk.trash(&back).await;
    assert!(is_conflict(desk.restore(&trashed, Some("alice/other")).await));
    assert_eq!(pointers(desk.restore(&trashed, Some("alice/none")).await), ["/book"]);
    desk.restore(&trashed, None).await.unwrap();
    desk.sound().await;
}

#[tokio::test]
async fn whose_book_is_gone_goes_into_another() {
    let desk = Desk::new().await;
    desk.book("alice", "gone").await;
    let made = desk.make_as(person("Ann One"), |draft| draft.book = Some("alice/gone".into())).await;
    desk.trash(&made).await;
    let place = Place::Collection(desk.alice.books(), name("gone"));
    desk.service.delete(&desk.alice, &place, Vec::new()).await.unwrap();
    let trashed = desk.service.trashed_contact(&desk.alice, ContactRef::Id(made.id)).await.unwrap();
    assert!(is_conflict(desk.restore(&trashed, None).await));
    // Of a book that is gone nobody knows whether it was private.
    let admin = desk.user("carol", &["admin"]).await;
    assert!(desk.service.trashed_contact(&admin, ContactRef::Id(made.id)).await.is_err());
    let back = desk.restore(&trashed, Some("alice/contacts")).await.unwrap();
    assert_eq!((back.book.as_str(), back.number.as_str()), ("alice/contacts", "CON1"));
    desk.sound().await;
}

#[tokio::test]
async fn the_trash_is_listed_newest_first_in_pages() {
    let desk = Desk::new().await;
    for text in ["Ann One", "Bea Two", "Cid Three", "Dan Four", "Eve Five"] {
        let made = desk.make(text).await;
        desk.trash(&made).await;
    }
    let (mut step, mut seen) = (None, Vec::new());
    loop {
        let listed = Listed { trash: true, step, limit: 2, ..asked("name.given ne \"Cid\"") };
        let page = desk.service.list_contacts(&desk.alice, listed).await.unwrap();
        assert_eq!(page.total, 4);
        seen.extend(page.contacts.iter().map(|contact| contact.number.clone()));
        step = page.next;
        if step.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["CON5", "CON4", "CON2", "CON1"]);
}

#[tokio::test]
async fn without_a_trash_what_is_deleted_is_gone() {
    let desk = Desk::with(ContactSettings { trash_days: 0, ..ContactSettings::default() }).await;
    let made = desk.make("Ann One").await;
    desk.service.delete_contact(&desk.alice, &made).await.unwrap();
    assert!(desk.service.trashed_contact(&desk.alice, ContactRef::Id(made.id)).await.is_err());
    desk.sound().await;
}
