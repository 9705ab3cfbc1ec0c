//! What became of contacts, and the way back.

use super::*;

#[tokio::test]
async fn a_phones_edit_is_in_the_history_with_its_client() {
    let desk = Desk::new().await;
    desk.phone("contacts", "a.vcf", card("u", "Ann")).await.unwrap();
    let shown = desk.service.list_contacts(&desk.alice, asked("")).await.unwrap().contacts.remove(0);
    let versions = desk.service.contact_versions(&shown).await.unwrap();
    assert_eq!((versions.len(), versions[0].client.as_deref()), (1, Some("DAVx5")));
    desk.edit(&shown, |draft| draft.record.language = "de".into()).await.unwrap();
    desk.phone("contacts", "a.vcf", card("u", "Anna")).await.unwrap();
    let history = desk.history(&shown).await;
    let expected = [
        "alice/DAVx5 name.family: Ann > Anna",
        "alice/DAVx5 name.formatted: Ann > Anna",
        "alice/- language:  > de",
    ];
    assert_eq!(history, expected);
    let now = desk.now(shown.id).await;
    let versions = desk.service.contact_versions(&now).await.unwrap();
    let told: Vec<_> = versions.iter().map(|version| (version.version, version.client.as_deref())).collect();
    assert_eq!(told, [((2, 1), Some("DAVx5")), ((1, 1), None), ((1, 0), None)]);
    assert_eq!(now.updated_by.as_deref(), Some("alice"));
}

#[tokio::test]
async fn names_stand_for_ids_in_the_history() {
    let desk = Desk::new().await;
    desk.make("Ann One").await;
    let made = desk.make("Bea Two").await;
    let changed = desk
        .edit(&made, |draft| {
            draft.record.assigned_to = Some("bob".into());
            draft.record.reports_to = Some("CON1".into());
            draft.record.flags = Some(Flags { blocked: true, ..Flags::default() });
        })
        .await
        .unwrap();
    desk.edit(&changed, |draft| draft.record.assigned_to = None).await.unwrap();
    let mut history = desk.history(&made).await;
    assert_eq!(history.remove(0), "alice/- assigned_to: bob > ");
    history.sort();
    let expected = [
        "alice/- assigned_to:  > bob",
        "alice/- categories:  > Blocked",
        "alice/- flags.blocked: false > true",
        "alice/- reports_to:  > CON1",
    ];
    assert_eq!(history, expected);
}

#[tokio::test]
async fn a_field_or_all_of_an_earlier_state_comes_back() {
    let desk = Desk::new().await;
    let made = desk.service.create_contact_from_card(&desk.alice, None, FOREIGN.into()).await.unwrap();
    let first = desk.service.contact_versions(&made).await.unwrap()[0].version;
    let changed = desk
        .edit(&made, |draft| {
            draft.fields.title = "Boss".into();
            draft.fields.emails = vec![email("new@example.org")];
            draft.record.salutation = "Dr".into();
        })
        .await
        .unwrap();
    let restore = |shown: ContactView, version, field: Option<&'static str>| {
        let desk = &desk;
        async move { desk.service.restore_version(&desk.alice, &shown, version, field).await }
    };
    let field = restore(changed.clone(), first, Some("emails")).await.unwrap();
    assert_eq!(field.fields.emails[0].value, "j@example.org");
    assert_eq!((field.fields.title.as_str(), field.record.salutation.as_str()), ("Boss", "Dr"));
    assert_eq!(refused(restore(changed.clone(), first, None).await), Refusal::Unmet);
    assert_eq!(pointers(restore(field.clone(), first, Some("no.field")).await), ["/field"]);
    assert_eq!(pointers(restore(field.clone(), (9, 9), None).await), ["/version"]);
    let whole = restore(field.clone(), first, None).await.unwrap();
    assert_eq!(text(&whole), FOREIGN, "octet for octet, with its picture");
    assert_eq!(whole.record.salutation, "");
    // And forth again.
    let versions = desk.service.contact_versions(&whole).await.unwrap();
    let back = restore(whole, versions[1].version, None).await.unwrap();
    assert_eq!(back.card(), field.card());
    assert_eq!(back.record.salutation, "Dr");
    desk.sound().await;
}

#[tokio::test]
async fn an_old_state_comes_back_with_todays_picture() {
    let desk = Desk::new().await;
    let mut shown = desk.service.create_contact_from_card(&desk.alice, None, FOREIGN.into()).await.unwrap();
    let first = desk.service.contact_versions(&shown).await.unwrap()[0].version;
    for step in 0..20 {
        shown = desk.edit(&shown, |draft| draft.fields.title = format!("Step {step}")).await.unwrap();
    }
    // Twenty versions later it is still whole.
    let whole = desk.service.restore_version(&desk.alice, &shown, first, None).await.unwrap();
    assert_eq!(text(&whole), FOREIGN);
    let picture = FOREIGN.replace("AAAA", "BBBB");
    let file = whole.stored.card.name.clone();
    desk.phone("contacts", &file, picture.clone().into()).await.unwrap();
    let now = desk.now(shown.id).await;
    let shown = desk.edit(&now, |draft| draft.fields.title = "Last".into()).await.unwrap();
    let old = desk.service.restore_version(&desk.alice, &shown, first, None).await.unwrap();
    assert_eq!(text(&old), picture);
    desk.sound().await;
}

#[tokio::test]
async fn restoring_leads_links_nowhere_they_must_not_go() {
    let desk = Desk::new().await;
    let (a, b, c) = (desk.make("Ann One").await, desk.make("Bea Two").await, desk.make("Cid Three").await);
    let to = |number: &str| Some(number.to_owned());
    let a1 = desk.edit(&a, |draft| draft.record.reports_to = to("CON2")).await.unwrap();
    let with_b = desk.service.contact_versions(&a1).await.unwrap()[0].version;
    let a2 = desk.edit(&a1, |draft| draft.record.reports_to = to("CON3")).await.unwrap();
    let b = desk.edit(&b, |draft| draft.record.reports_to = to("CON1")).await.unwrap();
    let a3 = desk.service.restore_version(&desk.alice, &a2, with_b, Some("reports_to")).await.unwrap();
    assert_eq!(a3.record.reports_to, Some(c.id), "that would be a circle by now");
    // Where it led was merged into another.
    let b = desk.edit(&b, |draft| draft.record.reports_to = None).await.unwrap();
    let other = desk.make("Dan Four").await;
    let merge = MergeAsked { target: other.clone(), sources: vec![b], take: Take::default() };
    desk.service.merge_contacts(&desk.alice, &merge).await.unwrap();
    let a4 = desk.service.restore_version(&desk.alice, &a3, with_b, None).await.unwrap();
    assert_eq!(a4.record.reports_to, Some(other.id));
}

#[tokio::test]
async fn an_earlier_body_comes_back_under_the_uid_that_the_card_has() {
    let desk = Desk::new().await;
    let without = Bytes::from_static(b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:X\r\nN:X;;;;\r\nEND:VCARD\r\n");
    desk.phone("contacts", "a.vcf", without).await.unwrap();
    let shown = desk.service.list_contacts(&desk.alice, asked("")).await.unwrap().contacts.remove(0);
    let first = desk.service.contact_versions(&shown).await.unwrap()[0].version;
    desk.phone("contacts", "a.vcf", card("mine", "Y")).await.unwrap();
    let now = desk.now(shown.id).await;
    let back = desk.service.restore_version(&desk.alice, &now, first, None).await.unwrap();
    assert_eq!((back.uid.as_str(), back.fields.name.formatted.as_str()), ("mine", "X"));
    desk.sound().await;
}
