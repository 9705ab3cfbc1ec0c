//! What is laid down: read from memory, read again after a change, taken once, and not taken away while
//! contacts have it.

use super::filters::FilterFields;
use super::words::List;
use super::*;
use crate::domain::contact::{Custom, CustomValue, Record};
use crate::domain::id::CollectionKind::AddressBook;
use crate::domain::id::{ContactId, UserName};
use crate::domain::permission::Permissions;
use crate::service::people::Legacy;
use crate::service::place::Place;
use crate::service::tests::{add, alice, card, name, refused, service, sign_in};
use crate::store::commit::{CardOp, RecordChange};

/// Somebody who may lay things down.
async fn admin(service: &Service) -> Caller {
    Caller { permissions: Permissions::ALL, ..alice(service).await }
}

fn text(key: &str) -> Field {
    Field { key: key.into(), label: "Label".into(), ..Field::default() }
}

fn named(fields: &str) -> FilterFields {
    FilterFields { name: fields.into(), filter: "kind eq \"org\"".into(), ..FilterFields::default() }
}

/// Changes the record of the one contact.
async fn record(service: &Service, change: impl FnOnce(&mut Record)) {
    let asked =
        Asked { books: Books::Trash, wanted: Wanted::default(), order: Vec::new(), step: None, limit: 10 };
    let mut found = service.store.contacts_page(asked).await.unwrap().contacts;
    if found.is_empty() {
        let alice = sign_in(service, "alice", "secret").await.unwrap();
        let book = service.library(&alice, AddressBook).await.unwrap().first().unwrap().id;
        let asked = Asked {
            books: Books::These([book].into()),
            wanted: Wanted::default(),
            order: Vec::new(),
            step: None,
            limit: 10,
        };
        found = service.store.contacts_page(asked).await.unwrap().contacts;
    }
    let contact: ContactId = *found.first().unwrap();
    let reader = service.store.read().await.unwrap();
    let before = reader.contacts(&[contact]).await.unwrap().pop().unwrap().unwrap().record.record;
    let mut after = before.clone();
    change(&mut after);
    let change = Box::new(RecordChange { before: Some(before), after, merged: Vec::new() });
    service.commit(None, Vec::new(), vec![Op::Card(CardOp::Record { contact, change })]).await.unwrap();
}

#[tokio::test]
async fn what_is_laid_down_is_read_again_after_a_change_only() {
    let service = service().await;
    let admin = admin(&service).await;
    let first = service.laid_down().await.unwrap();
    assert!(Arc::ptr_eq(&first, &service.laid_down().await.unwrap()));
    service.store_card(&admin, "contacts", "a", card("a", "Ann")).await.unwrap();
    assert!(Arc::ptr_eq(&first, &service.laid_down().await.unwrap()), "a card lays nothing down");
    service.create_field(&admin, text("one")).await.unwrap();
    let second = service.laid_down().await.unwrap();
    assert!(second.field("one").is_some() && first.field("one").is_none());
    assert!(Arc::ptr_eq(&second, &service.laid_down().await.unwrap()));
    service.assert_sound().await;
}

#[tokio::test]
async fn a_key_is_taken_once_however_many_ask_for_it() {
    let service = service().await;
    let admin = admin(&service).await;
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (service, admin) = (service.clone(), admin.clone());
            tokio::spawn(async move { service.create_field(&admin, text("one")).await.is_ok() })
        })
        .collect();
    let mut made = 0;
    for one in asking {
        made += usize::from(one.await.unwrap());
    }
    assert_eq!((made, service.laid_down().await.unwrap().fields.len()), (1, 1));
}

#[tokio::test]
async fn fields_are_told_in_their_order_and_keep_key_and_type() {
    let service = service().await;
    let admin = admin(&service).await;
    for (key, section, order) in [("a", "Sales", 2), ("b", "Sales", -1), ("c", "", 9), ("d", "Sales", 2)] {
        let field = Field { section: section.into(), order, ..text(key) };
        service.create_field(&admin, field).await.unwrap();
    }
    let keys = |laid: &LaidDown| laid.fields.iter().map(|field| field.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&service.laid_down().await.unwrap()), ["c", "b", "a", "d"]);
    let field = service.field("a").await.unwrap();
    let other = Field { kind: FieldKind::Number, label: "New".into(), ..text("other") };
    assert!(service.change_field(&admin, &field, other).await.unwrap());
    let changed = service.field("a").await.unwrap();
    assert_eq!((changed.kind, changed.label.as_str()), (FieldKind::Text, "New"));
    assert!(!service.change_field(&admin, &field, text("a")).await.unwrap(), "it was changed meanwhile");
    let nobody = Caller { permissions: Permissions::NONE, ..admin };
    assert_eq!(
        refused(service.create_field(&nobody, text("z")).await),
        Refusal::NeedPermission(crate::domain::permission::Permission::Settings)
    );
}

#[tokio::test]
async fn what_cannot_be_a_field_is_refused_with_its_place() {
    let service = service().await;
    let admin = admin(&service).await;
    let options = |options: &[&str]| options.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let choice = |of: &[&str]| Field { kind: FieldKind::Choice, options: options(of), ..text("a") };
    for (field, at) in [
        (text("Upper"), "/key"),
        (text("1st"), "/key"),
        (text(&"a".repeat(65)), "/key"),
        (Field { label: String::new(), ..text("a") }, "/label"),
        (Field { section: "a\nb".into(), ..text("a") }, "/section"),
        (Field { options: options(&["x"]), ..text("a") }, "/options"),
        (choice(&[]), "/options"),
        (choice(&["x", "y", "x"]), "/options/2"),
        (choice(&["x", " y"]), "/options/1"),
        (choice(&[""]), "/options/0"),
    ] {
        match refused(service.create_field(&admin, field).await) {
            Refusal::Wrong { pointer, .. } => assert_eq!(pointer, at),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn what_contacts_have_is_not_taken_away() {
    let service = service().await;
    let admin = admin(&service).await;
    let number = Field { kind: FieldKind::Number, ..text("no") };
    let number = service.create_field(&admin, number).await.unwrap();
    let word = |key: &str| Word { key: key.into(), label: "Label".into(), order: 0 };
    let role = service.create_word(&admin, List::Roles, word("scout")).await.unwrap();
    let level = service.create_word(&admin, List::ServiceLevels, word("24x7")).await.unwrap();
    service.store_card(&admin, "contacts", "a", card("a", "Ann")).await.unwrap();
    record(&service, |record| {
        record.custom = vec![Custom { key: "no".into(), value: CustomValue::Number("7".into()) }];
        record.roles = vec!["scout".into()];
        record.service_level = "24x7".into();
    })
    .await;
    for round in ["in a book", "in the trash"] {
        let gone = [
            refused(service.remove_field(&admin, &number).await),
            refused(service.remove_word(&admin, List::Roles, &role).await),
            refused(service.remove_word(&admin, List::ServiceLevels, &level).await),
        ];
        for refusal in gone {
            let Refusal::Conflict(text) = refusal else { panic!("{refusal}") };
            assert!(text.starts_with("1 contacts have "), "{round}: {text}");
        }
        if round == "in a book" {
            let card = Place::Object(admin.books(), name("contacts"), name("a"));
            service.delete(&admin, &card, Vec::new()).await.unwrap();
        }
    }
    record(&service, |record| *record = Record::default()).await;
    service.remove_field(&admin, &number).await.unwrap();
    service.remove_word(&admin, List::Roles, &role).await.unwrap();
    service.remove_word(&admin, List::ServiceLevels, &level).await.unwrap();
    assert_eq!(refused(service.remove_field(&admin, &number).await), Refusal::Unmet);
    service.assert_sound().await;
}

#[tokio::test]
async fn roles_that_are_always_there_may_be_called_otherwise() {
    let service = service().await;
    let admin = admin(&service).await;
    let keys = |words: Vec<Word>| words.into_iter().map(|word| word.key).collect::<Vec<_>>();
    let always = ["customer", "partner", "supplier", "private", "other"];
    assert_eq!(keys(service.words(List::Roles).await.unwrap()), always);
    assert!(service.words(List::ServiceLevels).await.unwrap().is_empty());
    let partner = service.word(List::Roles, "partner").await.unwrap();
    for label in ["Ally", "Friend"] {
        let before = service.word(List::Roles, "partner").await.unwrap();
        let after = Word { label: label.into(), order: -1, ..partner.clone() };
        assert!(service.change_word(&admin, List::Roles, &before, after).await.unwrap());
    }
    let stale = Word { label: "X".into(), ..partner.clone() };
    assert!(!service.change_word(&admin, List::Roles, &partner, stale).await.unwrap());
    assert_eq!(service.word(List::Roles, "partner").await.unwrap().label, "Friend");
    assert_eq!(keys(service.words(List::Roles).await.unwrap()).first().unwrap(), "partner");
    assert!(matches!(
        refused(service.remove_word(&admin, List::Roles, &partner).await),
        Refusal::Conflict(_)
    ));
    let again = Word { key: "other".into(), ..partner };
    assert!(matches!(refused(service.create_word(&admin, List::Roles, again).await), Refusal::Conflict(_)));
}

#[tokio::test]
async fn filters_are_ones_own_until_they_are_shared() {
    let service = service().await;
    let admin = admin(&service).await;
    add(&service, "bob").await;
    let bob = sign_in(&service, "bob", "secret").await.unwrap();
    let own = service.create_filter(&bob, named("mine")).await.unwrap();
    assert_eq!(own.owner.as_deref(), Some("bob"));
    assert!(service.filters(&admin).await.unwrap().is_empty());
    assert_eq!(refused(service.filter(&admin, own.filter.id).await), Refusal::NotFound);
    let shared = FilterFields { shared: true, ..named("mine") };
    assert!(service.change_filter(&bob, &own.filter, shared).await.unwrap());
    let seen = service.filter(&admin, own.filter.id).await.unwrap();
    let plain = Caller { permissions: Permissions::NONE, ..admin.clone() };
    assert!(matches!(
        refused(service.change_filter(&plain, &seen.filter, named("x")).await),
        Refusal::NeedPermission(_)
    ));
    assert!(matches!(refused(service.create_filter(&bob, named("mine")).await), Refusal::Conflict(_)));
    service.create_filter(&admin, named("mine")).await.unwrap();
    let renamed = FilterFields { shared: true, ..named("ours") };
    assert!(service.change_filter(&admin, &seen.filter, renamed).await.unwrap());
    assert!(!service.change_filter(&bob, &seen.filter, named("late")).await.unwrap());

    for (fields, at) in [
        (FilterFields { filter: "kind eq".into(), ..named("a") }, "/filter"),
        (FilterFields { filter: "custom.nothing pr".into(), ..named("a") }, "/filter"),
        (FilterFields { filter: String::new(), ..named("a") }, "/filter"),
        (FilterFields { q: " ".into(), ..named("a") }, "/q"),
        (named(""), "/name"),
    ] {
        match refused(service.create_filter(&bob, fields).await) {
            Refusal::Wrong { pointer, .. } => assert_eq!(pointer, at),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn filters_go_with_their_owner_and_shared_ones_to_the_heir() {
    let service = service().await;
    let admin = admin(&service).await;
    for (user, heir) in [("bob", true), ("carl", false)] {
        add(&service, user).await;
        let leaver = sign_in(&service, user, "secret").await.unwrap();
        service.create_filter(&leaver, named("private")).await.unwrap();
        service.create_filter(&leaver, FilterFields { shared: true, ..named("shared") }).await.unwrap();
        let user = service.user(&admin, &UserName::parse(user).unwrap()).await.unwrap();
        let legacy = if heir {
            Legacy::HandOver { to: admin.name.clone(), erase_private: true }
        } else {
            Legacy::Erase
        };
        assert!(service.remove_person(&admin, &user, &legacy).await.unwrap());
    }
    let left = service.filters(&admin).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left.first().unwrap().owner.as_deref(), Some("alice"));
    assert_eq!(service.laid_down().await.unwrap().filters.len(), 1);
}
