//! Who may do what with whose contacts.

use super::*;
use crate::domain::ical::Components;
use crate::domain::id::{GroupName, Principal};
use crate::service::library::NewBook;
use crate::service::sharing::Access;

/// What a caller may do with a contact: see it, change it, delete it.
async fn may(desk: &Desk, caller: &Caller, id: ContactId) -> String {
    let mut words = String::new();
    let found = match desk.service.contact(caller, ContactRef::Id(id)).await {
        Ok(found) => there(found),
        Err(_) => {
            assert!(desk.listed(caller, &format!("id eq \"{id}\"")).await.is_empty());
            return words;
        }
    };
    assert_eq!(desk.listed(caller, &format!("id eq \"{id}\"")).await.len(), 1);
    words.push('r');
    let salutation = format!("{}x", found.record.salutation);
    let draft = drafted(&found, |draft| draft.record.salutation = salutation);
    match desk.service.change_contact(caller, &found, draft).await {
        Ok(_) => words.push('w'),
        other => assert_eq!(refused(other), Refusal::NeedPermission(Permission::ContactsWrite)),
    }
    let found = there(desk.service.contact(caller, ContactRef::Id(id)).await.unwrap());
    match desk.service.delete_contact(caller, &found).await {
        Ok(()) => {
            words.push('d');
            let trashed = desk.service.trashed_contact(caller, ContactRef::Id(id)).await.unwrap();
            if words.contains('w') {
                desk.service.restore_contact(caller, &trashed, None).await.unwrap();
            } else {
                let answer = desk.service.restore_contact(caller, &trashed, None).await;
                assert_eq!(refused(answer), Refusal::NeedPermission(Permission::ContactsWrite));
                let trashed = desk.service.trashed_contact(&desk.alice, ContactRef::Id(id)).await.unwrap();
                desk.service.restore_contact(&desk.alice, &trashed, None).await.unwrap();
            }
        }
        other => {
            assert_eq!(refused(other), Refusal::NeedPermission(Permission::ContactsDelete));
            assert!(desk.service.trashed_contact(caller, ContactRef::Id(id)).await.is_err());
        }
    }
    words
}

#[tokio::test]
async fn others_contacts_need_a_share_or_a_permission() {
    let desk = Desk::new().await;
    let id = desk.make("Ann One").await.id;
    for (words, expected) in [
        (&[][..], ""),
        (&["contacts:read"], "r"),
        (&["contacts:read", "contacts:write"], "rw"),
        (&["contacts:read", "contacts:delete"], "rd"),
        (&["contacts:write", "contacts:delete"], ""),
        (&["users", "settings", "privacy", "export"], ""),
        (&["admin"], "rwd"),
    ] {
        let carol = desk.user("carol", words).await;
        assert_eq!(may(&desk, &carol, id).await, expected, "{words:?}");
    }
    assert_eq!(may(&desk, &desk.alice, id).await, "rwd");
    for (access, expected) in [(Access::Read, "r"), (Access::Write, "rwd")] {
        desk.service.share_asked("alice/contacts", "bob", Some(access)).await.unwrap();
        let bob = desk.user("bob", &[]).await;
        assert_eq!(may(&desk, &bob, id).await, expected);
    }
    desk.service.share_asked("alice/contacts", "bob", None).await.unwrap();
    assert_eq!(may(&desk, &desk.user("bob", &[]).await, id).await, "");
    desk.sound().await;
}

#[tokio::test]
async fn a_token_narrows_what_is_ones_own_too() {
    let desk = Desk::new().await;
    let id = desk.make("Ann One").await.id;
    for (words, expected) in [
        (&[][..], ""),
        (&["contacts:read"], "r"),
        (&["contacts:read", "contacts:write"], "rw"),
        (&["contacts:read", "contacts:write", "contacts:delete"], "rwd"),
        (&["export"], ""),
    ] {
        let scopes = Permissions::of(words.iter().copied());
        let narrowed = Caller { permissions: Permissions::NONE, scopes, ..desk.alice.clone() };
        assert_eq!(may(&desk, &narrowed, id).await, expected, "{words:?}");
    }
    let scopes = Permissions::of(["contacts:read"]);
    let reader = Caller { scopes, ..desk.alice.clone() };
    let draft = || Draft { fields: person("X"), ..Draft::default() };
    let need = Refusal::NeedPermission(Permission::ContactsWrite);
    assert_eq!(refused(desk.service.create_contact(&reader, draft()).await), need);
    let into = Draft { book: Some("alice/contacts".into()), ..draft() };
    assert_eq!(refused(desk.service.create_contact(&reader, into).await), need);
    let body = card("u", "U");
    assert_eq!(refused(desk.service.create_contact_from_card(&reader, None, body).await), need);
    let (a, b) = (desk.make("A A").await, desk.make("B B").await);
    let scopes = Permissions::of(["contacts:read", "contacts:write", "contacts:delete"]);
    let caller = Caller { scopes, ..desk.alice.clone() };
    let merge = MergeAsked { target: a, sources: vec![b], take: Take::default() };
    let need = Refusal::NeedPermission(Permission::ContactsMerge);
    assert_eq!(refused(desk.service.merge_contacts(&caller, &merge).await), need);
    assert_eq!(refused(desk.service.preview_merge(&caller, &merge).await), need);
}

#[tokio::test]
async fn what_is_private_is_nobody_elses_whatever_they_may() {
    let desk = Desk::new().await;
    let own = Principal::User(UserName::parse("alice").unwrap());
    let new = NewBook {
        owner: own,
        name: name("secret"),
        components: Components::NONE,
        private: true,
        shares: Vec::new(),
    };
    desk.service.create_library_book(&desk.alice, new).await.unwrap();
    let hidden = desk.make_as(person("Hid Den"), |draft| draft.book = Some("alice/secret".into())).await;
    let fields = CardFields {
        emails: vec![email("h@example.org")],
        phones: vec![telephone("+49301234567")],
        ..person("Hid Den")
    };
    let hidden = desk.edit(&hidden, |draft| draft.fields = fields).await.unwrap();
    let admin = desk.user("carol", &["admin"]).await;
    assert_eq!(may(&desk, &admin, hidden.id).await, "");
    let answer = desk.service.contact(&admin, ContactRef::parse(&hidden.number).unwrap()).await;
    assert_eq!(refused(answer), Refusal::NotFound);
    assert!(desk.service.contacts_by_email(&admin, "h@example.org").await.unwrap().is_empty());
    assert!(desk.service.contacts_by_phone(&admin, "+49301234567").await.unwrap().is_empty());
    assert_eq!(desk.service.contacts_by_email(&desk.alice, "H@Example.org").await.unwrap().len(), 1);
    let twin = CardFields { emails: vec![email("h@example.org")], ..person("Hid Den") };
    desk.make_as(twin, |_| {}).await;
    assert!(desk.service.duplicate_pairs(&admin, 10).await.unwrap().is_empty());
    assert_eq!(desk.service.duplicate_pairs(&desk.alice, 10).await.unwrap().len(), 1);
    // A token that somebody else made does not open it either.
    let foreign = Caller { private: false, permissions: Permissions::ALL, ..desk.alice.clone() };
    assert_eq!(may(&desk, &foreign, hidden.id).await, "");
    let draft = Draft { book: Some("alice/secret".into()), fields: person("X"), ..Draft::default() };
    assert_eq!(pointers(desk.service.create_contact(&admin, draft).await), ["/book"]);
    // In the trash it is as private.
    desk.service.delete_contact(&desk.alice, &desk.now(hidden.id).await).await.unwrap();
    let trash = || Listed { trash: true, ..asked("") };
    assert_eq!(desk.service.list_contacts(&admin, trash()).await.unwrap().total, 0);
    assert_eq!(desk.service.list_contacts(&foreign, trash()).await.unwrap().total, 0);
    assert_eq!(desk.service.list_contacts(&desk.alice, trash()).await.unwrap().total, 1);
    assert!(desk.service.trashed_contact(&admin, ContactRef::Id(hidden.id)).await.is_err());
}

#[tokio::test]
async fn a_groups_contacts_are_its_members() {
    let desk = Desk::new().await;
    desk.service.group_asked("sales").await.unwrap();
    desk.service.member_asked("sales", "bob", true).await.unwrap();
    let group = Principal::Group(GroupName::parse("sales").unwrap());
    let new = NewBook {
        owner: group,
        name: name("clients"),
        components: Components::NONE,
        private: false,
        shares: Vec::new(),
    };
    let admin = desk.user("alice", &["admin"]).await;
    desk.service.create_library_book(&admin, new).await.unwrap();
    let bob = desk.user("bob", &[]).await;
    let draft =
        Draft { book: Some("group:sales/clients".into()), fields: person("Ann One"), ..Draft::default() };
    let made = desk.service.create_contact(&bob, draft.clone()).await.unwrap();
    assert_eq!(made.book, "group:sales/clients");
    assert_eq!(may(&desk, &bob, made.id).await, "rwd");
    assert_eq!(may(&desk, &desk.user("carol", &[]).await, made.id).await, "");
    assert_eq!(pointers(desk.service.create_contact(&desk.user("carol", &[]).await, draft).await), ["/book"]);
    desk.service.member_asked("sales", "bob", false).await.unwrap();
    assert_eq!(may(&desk, &desk.user("bob", &[]).await, made.id).await, "");
    desk.sound().await;
}
