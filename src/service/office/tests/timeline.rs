//! What calendars say of contacts, and that they say nothing of who is erased.

use super::*;
use crate::domain::ical::Kind;
use crate::domain::ical::near::When;
use crate::domain::id::{Etag, HomeName};
use crate::service::access::Reach;
use crate::service::place::{Precondition, State};
use crate::service::view::{Detail, Members};

/// An event, or what else is named, of that UID with these lines.
fn object(kind: &str, uid: &str, lines: &str) -> Bytes {
    let stamp = "DTSTAMP:20260101T000000Z";
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:{kind}\r\nUID:{uid}\r\n{stamp}\r\n\
         {lines}END:{kind}\r\nEND:VCALENDAR\r\n"
    )
    .into()
}

impl Desk {
    async fn plan(&self, user: &str, calendar: &str, file: &str, body: Bytes) {
        let caller = self.user(user, &[]).await;
        let home = HomeName::calendars(caller.name.clone());
        self.service.put(&caller, (&home, &name(calendar), &name(file)), body, Vec::new()).await.unwrap();
    }

    async fn planned(&self, user: &str, calendar: &str, file: &str) -> String {
        let caller = self.user(user, &[]).await;
        let home = HomeName::calendars(caller.name.clone());
        let members = Members::Named(vec![name(file)]);
        let detail = Detail { properties: false, body: true };
        let view = self.service.book(&caller, &home, &name(calendar), members, detail).await.unwrap();
        String::from_utf8(view.one().unwrap().body.clone().unwrap().to_vec()).unwrap()
    }

    async fn timeline(&self, caller: &Caller, shown: &ContactView) -> Vec<String> {
        let mut found = self.service.contact_timeline(caller, shown).await.unwrap();
        found.sort_by_key(|planned| std::cmp::Reverse(planned.placed));
        let told =
            |planned: &Planned| format!("{} {} {}", planned.calendar, planned.uid, planned.near.summary);
        found.iter().map(told).collect()
    }

    async fn with_address(&self, text: &str, address: &str) -> ContactView {
        self.make_as(person(text), |draft| draft.fields.emails.push(email(address))).await
    }
}

#[tokio::test]
async fn a_timeline_tells_of_events_tasks_and_entries_in_calendars_that_one_sees() {
    let desk = Desk::new().await;
    let ann = desk.with_address("Ann One", "Ann@Example.org").await;
    let bea = desk.with_address("Bea Two", "bea@example.org").await;
    let by_uid = format!("DTSTART:20260301T090000Z\r\nSUMMARY:By UID\r\nX-CARDKEEP-CONTACT:{}\r\n", ann.uid);
    desk.plan("alice", "calendar", "a.ics", object("VEVENT", "a", &by_uid)).await;
    let attends = "DTSTART:20260401T090000Z\r\nSUMMARY:Attends\r\nATTENDEE:mailto:ann@example.org\r\n";
    desk.plan("alice", "calendar", "b.ics", object("VEVENT", "b", attends)).await;
    let task = "DUE;VALUE=DATE:20260501\r\nSUMMARY:Call\r\nCONTACT:Ann\\, ann@example.org\r\n";
    desk.plan("alice", "tasks", "c.ics", object("VTODO", "c", task)).await;
    // Others' appointments with her.
    desk.plan("bob", "calendar", "d.ics", object("VEVENT", "d", attends)).await;
    let none =
        "DTSTART:20260601T090000Z\r\nATTENDEE:mailto:joann@example.org\r\nDESCRIPTION:ann@example.org\r\n";
    desk.plan("alice", "calendar", "e.ics", object("VEVENT", "e", none)).await;
    let expected = ["alice/tasks c Call", "alice/calendar b Attends", "alice/calendar a By UID"];
    assert_eq!(desk.timeline(&desk.alice, &ann).await, expected);
    assert_eq!(desk.timeline(&desk.alice, &bea).await, [""; 0]);
    let found = desk.service.contact_timeline(&desk.alice, &ann).await.unwrap();
    let task = found.iter().find(|planned| planned.near.kind == Kind::Todo).unwrap();
    assert_eq!(task.near.at, Some(When::Day(jiff::civil::date(2026, 5, 1))));
    let path = task.path.as_ref().unwrap();
    assert_eq!((path.0.as_str(), path.1.as_str(), path.2.as_str()), ("alice", "tasks", "c.ics"));
    // An admin sees contacts of others, and no appointments that are not shared.
    let boss = desk.user("carol", &["admin"]).await;
    assert_eq!(desk.timeline(&boss, &ann).await, [""; 0]);
    let narrow = Caller { calendars: Reach::None, ..desk.alice.clone() };
    assert_eq!(desk.timeline(&narrow, &ann).await, [""; 0]);
    let scoped = Caller { scopes: Permissions::of(["contacts:read"]), ..desk.alice.clone() };
    assert_eq!(
        refused(desk.service.contact_timeline(&scoped, &ann).await.map(drop)),
        Refusal::NeedPermission(Permission::Followups)
    );
}

const MEETING: &str = "DTSTART:20260401T090000Z\r\nSUMMARY:Meeting\r\nORGANIZER:mailto:bea@example.org\r\n\
    ATTENDEE;CN=Ann:mailto:ann@example.org\r\nDESCRIPTION:Ring ann@example.org first\r\n";

#[tokio::test]
async fn who_is_erased_is_named_in_nobodys_calendar() {
    let desk = Desk::with(ContactSettings { trash_days: 0, ..ContactSettings::default() }).await;
    let ann = desk.with_address("Ann One", "ann@example.org").await;
    desk.with_address("Bea Two", "bea@example.org").await;
    let lines = format!("{MEETING}X-CARDKEEP-CONTACT:{}\r\n", ann.uid);
    for user in ["alice", "bob"] {
        desk.plan(user, "calendar", "a.ics", object("VEVENT", "a", MEETING)).await;
        desk.plan(user, "calendar", "a.ics", object("VEVENT", "a", &lines)).await;
    }
    let untouched = object("VEVENT", "b", "DTSTART:20260401T090000Z\r\nATTENDEE:mailto:bea@example.org\r\n");
    desk.plan("alice", "calendar", "b.ics", untouched.clone()).await;
    desk.service.erase_now().await.unwrap();
    desk.service.delete_contact(&desk.alice, &desk.now(ann.id).await).await.unwrap();
    for user in ["alice", "bob"] {
        let left = desk.planned(user, "calendar", "a.ics").await;
        assert!(!left.contains("ann@") && !left.contains(&ann.uid) && !left.contains("CN=Ann"), "{left}");
        assert!(left.contains("DESCRIPTION:Ring … first\r\n") && left.contains("bea@example.org"), "{left}");
    }
    assert_eq!(desk.planned("alice", "calendar", "b.ics").await.as_bytes(), untouched);
    // Two keys of objects, and hers: what the calendars said before opens no more.
    assert_eq!(desk.service.erase_now().await.unwrap(), 3);
    desk.sound().await;
}

#[tokio::test]
async fn what_belongs_to_somebody_else_too_stays() {
    let desk = Desk::with(ContactSettings { trash_days: 0, ..ContactSettings::default() }).await;
    let ann = desk.with_address("Ann One", "ann@example.org").await;
    let twin = desk.with_address("Ann Again", "ann@example.org").await;
    let body = object("VEVENT", "a", MEETING);
    desk.plan("alice", "calendar", "a.ics", body.clone()).await;
    desk.service.delete_contact(&desk.alice, &desk.now(ann.id).await).await.unwrap();
    assert_eq!(desk.planned("alice", "calendar", "a.ics").await.as_bytes(), body);
    desk.service.delete_contact(&desk.alice, &desk.now(twin.id).await).await.unwrap();
    assert!(!desk.planned("alice", "calendar", "a.ics").await.contains("ann@"));
    desk.sound().await;
}

#[tokio::test]
async fn a_delete_that_is_refused_takes_nobody_out_of_calendars() {
    let desk = Desk::with(ContactSettings { trash_days: 0, ..ContactSettings::default() }).await;
    let ann = desk.with_address("Ann One", "ann@example.org").await;
    let body = object("VEVENT", "a", MEETING);
    desk.plan("alice", "calendar", "a.ics", body.clone()).await;
    let place = Place::Object(desk.alice.books(), name("contacts"), name(&ann.stored.card.name));
    let state = State::EtagIn(vec![Etag([7; 16])]);
    let when = Precondition::one(place.clone(), state, false);
    assert_eq!(refused(desk.service.delete(&desk.alice, &place, vec![when]).await), Refusal::Unmet);
    assert_eq!(desk.planned("alice", "calendar", "a.ics").await.as_bytes(), body);
}

#[tokio::test]
async fn the_trash_keeps_who_may_come_back_named() {
    let desk = Desk::with(ContactSettings { trash_days: 1, ..ContactSettings::default() }).await;
    let ann = desk.with_address("Ann One", "ann@example.org").await;
    let body = object("VEVENT", "a", MEETING);
    desk.plan("bob", "calendar", "a.ics", body.clone()).await;
    desk.service.delete_contact(&desk.alice, &desk.now(ann.id).await).await.unwrap();
    desk.service.empty_trash().await.unwrap();
    assert_eq!(desk.planned("bob", "calendar", "a.ics").await.as_bytes(), body);
}

#[tokio::test]
async fn a_book_that_goes_takes_its_contacts_out_of_calendars() {
    let desk = Desk::new().await;
    desk.book("alice", "gone").await;
    let made = |draft: &mut Draft| {
        draft.book = Some("alice/gone".into());
        draft.fields.emails.push(email("ann@example.org"));
    };
    desk.make_as(person("Ann One"), made).await;
    desk.plan("bob", "calendar", "a.ics", object("VEVENT", "a", MEETING)).await;
    let place = Place::Collection(desk.alice.books(), name("gone"));
    desk.service.delete(&desk.alice, &place, Vec::new()).await.unwrap();
    desk.service.purge_all().await.unwrap();
    let left = desk.planned("bob", "calendar", "a.ics").await;
    assert!(!left.contains("ann@") && left.contains("bea@"), "{left}");
    desk.sound().await;
}
