//! Contacts that are made and changed: numbers, the record, the card's own lines, what phones see of it.

use super::*;
use crate::domain::id::HomeName;
use crate::service::view::{Detail, Members};

#[tokio::test]
async fn people_and_companies_are_numbered_apart() {
    let desk = Desk::new().await;
    let first = desk.make("Ann One").await;
    let org = desk.make_as(company("Acme"), |_| {}).await;
    let second = desk.make("Bea Two").await;
    assert_eq!(
        (first.number.as_str(), org.number.as_str(), second.number.as_str()),
        ("CON1", "COM1", "CON2")
    );
    assert_eq!(org.fields.kind, Kind::Org);
    let found = desk.service.contact(&desk.alice, ContactRef::parse("com1").unwrap()).await.unwrap();
    assert_eq!(there(found).id, org.id);
    desk.service.delete_contact(&desk.alice, &second).await.unwrap();
    assert_eq!(desk.make("Cid Three").await.number, "CON3", "a number is never given twice");
    assert_eq!(first.book, "alice/contacts");
    assert_eq!((first.created_by.as_deref(), first.updated_by.as_deref()), (Some("alice"), Some("alice")));
    desk.sound().await;
}

#[tokio::test]
async fn who_has_a_valid_address_has_not_opted_out() {
    let desk = Desk::new().await;
    for (address, newsletter) in
        [("a@example.org", true), ("a@localhost", false), ("a b@example.org", false), ("", false)]
    {
        let body =
            format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:X\r\nN:X;;;;\r\nEMAIL:{address}\r\nEND:VCARD\r\n");
        let made = desk.service.create_contact_from_card(&desk.alice, None, body.into()).await.unwrap();
        assert_eq!(made.record.flags.newsletter, newsletter, "{address}");
        assert_eq!(made.record.source, "api");
        assert!(!made.uid.is_empty());
    }
    let out = Flags::default();
    let fields = CardFields { emails: vec![email("a@example.org")], ..person("Out") };
    let made = desk.make_as(fields.clone(), |draft| draft.record.flags = Some(out)).await;
    assert!(!made.record.flags.newsletter);
    assert!(desk.make_as(fields.clone(), |_| {}).await.record.flags.newsletter);
    let off = Desk::with(ContactSettings { newsletter_default: false, ..ContactSettings::default() }).await;
    assert!(!off.make_as(fields, |_| {}).await.record.flags.newsletter);
    // A phone's contact is one too.
    desk.phone("contacts", "p.vcf", FOREIGN.into()).await.unwrap();
    let page = desk.service.list_contacts(&desk.alice, asked("uid eq \"foreign\"")).await.unwrap();
    let made = &page.contacts[0];
    assert!(made.record.flags.newsletter);
    assert_eq!(made.record.source, "carddav");
    assert_eq!(made.e164, [None], "no region is configured");
}

#[tokio::test]
async fn an_edit_keeps_foreign_lines_and_is_one_delta() {
    let desk = Desk::new().await;
    let made = desk.service.create_contact_from_card(&desk.alice, None, FOREIGN.into()).await.unwrap();
    assert_eq!(text(&made), FOREIGN, "octet for octet");
    let mut follower = Follower::default();
    follower.follow(&desk.service, &desk.alice, "contacts").await;
    let changed = desk
        .edit(&made, |draft| {
            draft.fields.title = "Developer".into();
            draft.record.language = "en".into();
        })
        .await
        .unwrap();
    let without = text(&changed).replace("TITLE:Developer\r\n", "");
    assert_eq!(without, FOREIGN);
    follower.follow(&desk.service, &desk.alice, "contacts").await;
    assert_eq!(follower.told, (1, 0));
    assert_eq!((changed.id, &changed.number, &changed.uid), (made.id, &made.number, &made.uid));
    assert_ne!(changed.etag, made.etag);
    // The record alone is nothing that phones see.
    let noted = desk.edit(&changed, |draft| draft.record.salutation = "Dr".into()).await.unwrap();
    follower.follow(&desk.service, &desk.alice, "contacts").await;
    assert_eq!(follower.told, (0, 0));
    assert_ne!(noted.etag, changed.etag);
    assert_eq!(noted.card(), changed.card());
    // Nothing is nothing.
    let same = desk.edit(&noted, |_| {}).await.unwrap();
    assert_eq!((same.etag, same.updated), (noted.etag, noted.updated));
    desk.sound().await;
}

#[tokio::test]
async fn odd_cards_are_not_rewritten_by_a_change_of_something_else() {
    let desk = Desk::new().await;
    let odd = [
        "FN: Spaced  \r\nN: A ; B ;;;",
        "FN:X\r\nN:X\r\nEMAIL:\r\nEMAIL;TYPE=HOME,home,Home:a@example.org\r\nTEL:\r\nADR:;;;;;;\r\nURL: ",
        "FN:X\r\nN:X;;;;\r\nTEL;TYPE=pref,CELL:tel:+49-30-1\r\nTEL:tel:\r\nURL: http://a \r\nBDAY:19800229",
        "FN:X\r\nN:X;;;;\r\nBDAY:once upon a time\r\nNOTE: \\n \r\nCATEGORIES:a,,b\r\nORG:;;x;\r\nTITLE:  ",
        "FN:X\r\nN:X;;;;\r\nADR;TYPE=x-odd:;; a\\n b ;;;;\r\nBDAY;VALUE=date-time:1980-01-01T00:00:00Z",
    ];
    for (at, lines) in odd.iter().enumerate() {
        let body = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:odd{at}\r\n{lines}\r\nEND:VCARD\r\n");
        let made =
            desk.service.create_contact_from_card(&desk.alice, None, body.clone().into()).await.unwrap();
        let changed = desk.edit(&made, |draft| draft.record.salutation = "Ms".into()).await.unwrap();
        assert_eq!(text(&changed), body);
        assert_eq!(changed.record.salutation, "Ms");
    }
}

#[tokio::test]
async fn whoever_looked_at_another_state_is_refused() {
    let desk = Desk::new().await;
    let seen = desk.make("Ann One").await;
    let newer = desk.edit(&seen, |draft| draft.record.salutation = "Dr".into()).await.unwrap();
    let stale = desk.edit(&seen, |draft| draft.record.language = "de".into()).await;
    assert_eq!(refused(stale), Refusal::Unmet);
    let stale = desk.edit(&seen, |draft| draft.fields.title = "Boss".into()).await;
    assert_eq!(refused(stale), Refusal::Unmet, "the record has moved");
    assert_eq!(refused(desk.service.delete_contact(&desk.alice, &seen).await), Refusal::Unmet);
    assert_eq!(refused(desk.service.clone_contact(&desk.alice, &seen).await), Refusal::Unmet);
    desk.edit(&newer, |draft| draft.fields.title = "Boss".into()).await.unwrap();
    let stale = desk.edit(&newer, |draft| draft.record.salutation = "Mr".into()).await;
    assert_eq!(refused(stale), Refusal::Unmet, "the card has moved");
    let now = desk.now(seen.id).await;
    desk.service.delete_contact(&desk.alice, &now).await.unwrap();
    assert_eq!(refused(desk.edit(&now, |draft| draft.fields.title = String::new()).await), Refusal::Unmet);
    assert_eq!(refused(desk.service.delete_contact(&desk.alice, &now).await), Refusal::Unmet);
}

#[tokio::test]
async fn of_two_writers_at_once_one_is_refused() {
    let (engine, service) = meddled().await;
    let desk = Desk::over(service.clone()).await;
    let seen = desk.make("Ann One").await;
    let (rival, view) = (desk.alice.clone(), seen.clone());
    engine.before_commit(async move {
        let mut record = view.record.clone();
        record.flags.blocked = true;
        let ops = service.rewrite(&view.stored, &view.fields, &view.fields, record, Vec::new()).unwrap();
        service.commit(Some(&rival), Vec::new(), ops).await.unwrap();
    });
    let late = desk.edit(&seen, |draft| draft.fields.title = "Boss".into()).await;
    assert_eq!(refused(late), Refusal::Unmet);
    let now = desk.now(seen.id).await;
    assert!(now.record.flags.blocked && now.fields.title.is_empty());
    desk.sound().await;
}

#[tokio::test]
async fn what_must_not_be_done_is_shown_on_phones_and_taken_away_again() {
    for how in [MarkAs::Category, MarkAs::Note, MarkAs::Off] {
        let desk = Desk::with(ContactSettings { marks: how, ..ContactSettings::default() }).await;
        let fields =
            CardFields { note: "Likes tea".into(), categories: vec!["Friends".into()], ..person("Ann One") };
        let made = desk.make_as(fields, |_| {}).await;
        let flags = |do_not_call, blocked| Some(Flags { do_not_call, blocked, ..Flags::default() });
        let both = desk.edit(&made, |draft| draft.record.flags = flags(true, true)).await.unwrap();
        let (categories, note) = (both.fields.categories.join("|"), both.fields.note.clone());
        match how {
            MarkAs::Category => {
                assert_eq!((categories.as_str(), note.as_str()), ("Friends|Blocked|Do not call", "Likes tea"))
            }
            MarkAs::Note => assert_eq!(
                (categories.as_str(), note.as_str()),
                ("Friends", "Do not call\nBlocked\nLikes tea")
            ),
            MarkAs::Off => assert_eq!(both.card(), made.card()),
        }
        // Whoever writes over a mark does not take it off.
        let over = desk
            .edit(&both, |draft| {
                draft.fields.categories = vec!["Friends".into()];
                draft.fields.note = "Likes tea".into();
            })
            .await
            .unwrap();
        assert_eq!(text(&over).contains("Blocked"), how != MarkAs::Off);
        let free = desk.edit(&over, |draft| draft.record.flags = flags(false, false)).await.unwrap();
        assert_eq!(free.fields.categories, ["Friends"]);
        assert_eq!(free.fields.note, "Likes tea");
        // One that is made so is shown so.
        let made = desk.make_as(person("Bea Two"), |draft| draft.record.flags = flags(true, false)).await;
        assert_eq!(text(&made).contains("Do not call"), how != MarkAs::Off);
        // Of whom nothing was ever said, a note is a note.
        let fields = CardFields { note: "Blocked\nsince May".into(), ..person("Cid Three") };
        let plain = desk.make_as(fields, |_| {}).await;
        let changed = desk.edit(&plain, |draft| draft.fields.emails = vec![email("c@example.org")]).await;
        assert_eq!(changed.unwrap().fields.note, "Blocked\nsince May");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_field_by_field_and_nothing_is_written() {
    let desk = Desk::new().await;
    let made = desk.make("Ann One").await;
    let wrong = desk
        .edit(&made, |draft| {
            draft.record.language = "no language".into();
            draft.record.salutation = "a\nb".into();
            draft.record.roles = vec!["customer".into(), "Not A Key".into()];
            draft.record.assigned_to = Some("nobody".into());
            draft.record.reports_to = Some("CON99".into());
            draft.record.service_level = "gold".into();
            draft.record.source = Some("no key!".into());
            draft.record.portal.from = Some(2);
            draft.record.portal.until = Some(1);
        })
        .await;
    let mut found = pointers(wrong);
    found.sort();
    let expected = [
        "/assigned_to",
        "/language",
        "/portal/until",
        "/privacy/source",
        "/reports_to",
        "/roles/1",
        "/salutation",
        "/service_level",
    ];
    assert_eq!(found, expected);
    let fields = CardFields { emails: vec![email("no address")], ..person("X") };
    let draft = Draft { fields, ..Draft::default() };
    let answer = desk.service.create_contact(&desk.alice, draft).await;
    assert!(pointers(answer).contains(&"/emails/0/value".to_owned()));
    assert_eq!(pointers(desk.edit(&made, |draft| draft.fields.kind = Kind::Org).await), ["/kind"]);
    let draft = Draft { book: Some("alice/none".into()), fields: person("X"), ..Draft::default() };
    assert_eq!(pointers(desk.service.create_contact(&desk.alice, draft).await), ["/book"]);
    assert_eq!(desk.listed(&desk.alice, "").await, ["CON1"]);
    assert_eq!(desk.now(made.id).await.etag, made.etag);
}

#[tokio::test]
async fn a_copy_is_a_contact_of_its_own() {
    let desk = Desk::new().await;
    let made = desk.service.create_contact_from_card(&desk.alice, None, FOREIGN.into()).await.unwrap();
    let made = desk.edit(&made, |draft| draft.record.salutation = "Dr".into()).await.unwrap();
    let copy = desk.service.clone_contact(&desk.alice, &made).await.unwrap();
    assert_eq!((copy.number.as_str(), copy.record.salutation.as_str()), ("CON2", "Dr"));
    assert!(copy.id != made.id && copy.uid != made.uid);
    assert_eq!(text(&copy), FOREIGN.replace("UID:foreign", &format!("UID:{}", copy.uid)));
    desk.edit(&copy, |draft| draft.record.salutation = "Mr".into()).await.unwrap();
    assert_eq!(desk.now(made.id).await.record.salutation, "Dr");
    desk.sound().await;
}

#[tokio::test]
async fn a_move_keeps_number_and_history() {
    let desk = Desk::new().await;
    desk.book("alice", "other").await;
    let made = desk.make("Ann One").await;
    let made = desk.edit(&made, |draft| draft.fields.title = "Boss".into()).await.unwrap();
    let mut followers = [Follower::default(), Follower::default()];
    let books = ["contacts", "other"];
    for (follower, book) in followers.iter_mut().zip(books) {
        follower.follow(&desk.service, &desk.alice, book).await;
    }
    let there = desk
        .edit(&made, |draft| {
            draft.book = Some("alice/other".into());
            draft.record.salutation = "Dr".into();
        })
        .await
        .unwrap();
    assert_eq!((there.id, there.number.as_str(), there.book.as_str()), (made.id, "CON1", "alice/other"));
    assert_eq!((there.fields.title.as_str(), there.record.salutation.as_str()), ("Boss", "Dr"));
    for (follower, book) in followers.iter_mut().zip(books) {
        follower.follow(&desk.service, &desk.alice, book).await;
    }
    assert_eq!((followers[0].told, followers[1].told), ((0, 1), (1, 0)));
    let history = desk.history(&made).await;
    let moved = "alice/- book: alice/contacts > alice/other";
    assert_eq!(history, ["alice/- salutation:  > Dr", moved, "alice/- title:  > Boss"]);
    // The same book under another spelling is no move.
    let again = desk.edit(&there, |draft| draft.book = Some("ALICE/other".into())).await.unwrap();
    assert_eq!(again.etag, there.etag);
    // Another contact of that book has the UID.
    let body = card(&made.uid, "Twin");
    let twin = desk.service.create_contact_from_card(&desk.alice, None, body).await.unwrap();
    let answer = desk.edit(&twin, |draft| draft.book = Some("alice/other".into())).await;
    assert!(is_conflict(answer));
    assert_eq!(desk.now(twin.id).await.etag, twin.etag, "nothing half-written");
    desk.sound().await;
}

/// Whoever looks in between sees neither half: each book tells of one change, and the contact of one.
#[tokio::test]
async fn a_contact_that_moves_and_changes_does_both_at_once() {
    let desk = Desk::new().await;
    desk.book("alice", "other").await;
    let made = desk.make("Ann One").await;
    let revision = async |book: &str| {
        let (owner, book) = (&desk.alice.name, name(book));
        let view = desk
            .service
            .book(&desk.alice, &HomeName::books(owner.clone()), &book, Members::None, Detail::default())
            .await;
        view.unwrap().book.revision.0
    };
    let before = (revision("contacts").await, revision("other").await);
    let there = desk
        .edit(&made, |draft| {
            draft.book = Some("alice/other".into());
            draft.fields.title = "Boss".into();
            draft.fields.emails = vec![email("ann@example.org")];
            draft.record.salutation = "Dr".into();
        })
        .await
        .unwrap();
    assert_eq!((there.id, there.number.as_str(), there.book.as_str()), (made.id, "CON1", "alice/other"));
    assert_eq!((revision("contacts").await, revision("other").await), (before.0 + 1, before.1 + 1));
    let versions = desk.service.contact_versions(&there).await.unwrap();
    assert_eq!(versions.len(), 2, "what it was, and what it is: {versions:?}");
    let mut paths: Vec<_> = desk.history(&made).await;
    paths.iter_mut().for_each(|line| *line = line.split(':').next().unwrap().to_owned());
    paths.sort();
    assert_eq!(paths, ["alice/- book", "alice/- emails", "alice/- salutation", "alice/- title"]);
    // And back as it was, book apart.
    let back = desk.service.restore_version(&desk.alice, &there, versions[1].version, None).await.unwrap();
    assert_eq!((back.fields.title.as_str(), back.record.salutation.as_str()), ("", ""));
    assert_eq!(back.book, "alice/other");
    desk.sound().await;
}

/// What a phone wrote meanwhile is not lost: whoever asked looks again.
#[tokio::test]
async fn a_contact_that_has_changed_meanwhile_does_not_move() {
    let desk = Desk::new().await;
    desk.book("alice", "other").await;
    let made = desk.make("Ann One").await;
    let file = made.stored.card.name.clone();
    desk.phone("contacts", &file, card(&made.uid, "Anna")).await.unwrap();
    let answer = desk
        .edit(&made, |draft| {
            draft.book = Some("alice/other".into());
            draft.fields.title = "Boss".into();
        })
        .await;
    assert_eq!(refused(answer), Refusal::Unmet);
    let now = desk.now(made.id).await;
    assert_eq!((now.book.as_str(), now.fields.title.as_str()), ("alice/contacts", ""));
    desk.sound().await;
}

#[tokio::test]
async fn who_moves_a_contact_is_who_changed_it_last() {
    let desk = Desk::new().await;
    desk.book("alice", "other").await;
    let made = desk.make("Ann One").await;
    let bob = desk.user("bob", &["admin"]).await;
    let draft = drafted(&made, |draft| draft.book = Some("alice/other".into()));
    let moved = desk.service.change_contact(&bob, &made, draft).await.unwrap();
    assert_eq!(moved.updated_by.as_deref(), Some("bob"));
    let moved = desk.service.contact(&bob, ContactRef::Id(made.id)).await.unwrap();
    assert_eq!(there(moved).created_by.as_deref(), Some("alice"));
}
