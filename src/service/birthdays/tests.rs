//! The calendar of birthdays over the memory engine: what is in it, and what a client that follows its
//! tokens holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::ical::filter::{ComponentCondition, ComponentFilter, Filter};
use crate::domain::ical::overlap::Range;
use crate::domain::ical::{Limits, admit};
use crate::domain::id::{Etag, UserName};
use crate::service::access::{Privilege, Reach};
use crate::service::refusal::Stop;
use crate::service::sharing::Access;
use crate::service::tests::{add, name, refused, service, sign_in};
use crate::service::transfer::Manner;
use crate::service::view::{Carry, PropertyChange, Verb};

use super::*;

mod days;

fn births() -> MemberName {
    name(BIRTHDAYS)
}

fn calendars(caller: &Caller) -> HomeName {
    HomeName::calendars(caller.name.clone())
}

fn born(uid: &str, who: &str, lines: &str) -> Bytes {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{who}\r\nN:{who};;;;\r\n{lines}END:VCARD\r\n")
        .into()
}

async fn user(service: &Service, user: &str) -> Caller {
    add(service, user).await;
    sign_in(service, user, "secret").await.unwrap()
}

/// The switch, or its removal.
fn switch(text: Option<&str>) -> Vec<PropertyChange> {
    let name = PropertyName { namespace: NAMESPACE.into(), local: SWITCH.into() };
    vec![match text {
        Some(text) => {
            let value = PropertyValue::Text { text: text.into(), lang: None };
            PropertyChange::Set(Property { name, value })
        }
        None => PropertyChange::Remove(name),
    }]
}

impl Service {
    async fn set_switch(&self, caller: &Caller, book: &str, text: Option<&str>) -> Answer<()> {
        let place = Place::Collection(caller.books(), name(book));
        self.patch(caller, &place, switch(text), Vec::new()).await
    }

    async fn listed(&self, caller: &Caller) -> BTreeMap<String, Etag> {
        let (members, detail) = (Members::All, Detail::default());
        let view = self.book(caller, &calendars(caller), &births(), members, detail).await.unwrap();
        assert!(view.cards.iter().all(|event| event.body.is_none()) && view.damaged.is_empty());
        view.cards.into_iter().map(|event| (event.name.as_str().to_owned(), event.etag)).collect()
    }

    /// The events' octets, in the order of their names.
    async fn octets(&self, caller: &Caller) -> Vec<String> {
        let names: Vec<_> = self.listed(caller).await.keys().map(|text| name(text)).collect();
        let detail = Detail { properties: false, body: true };
        let members = Members::Named(names);
        let view = self.book(caller, &calendars(caller), &births(), members, detail).await.unwrap();
        view.cards.into_iter().map(|event| String::from_utf8(event.body.unwrap().to_vec()).unwrap()).collect()
    }

    /// What they are of, in order.
    async fn summaries(&self, caller: &Caller) -> Vec<String> {
        let all = self.octets(caller).await;
        let mut all: Vec<_> = all.iter().map(|octets| line(octets, "SUMMARY:").to_owned()).collect();
        all.sort();
        all
    }

    async fn calendar_token(&self, caller: &Caller) -> BirthsToken {
        let (members, detail) = (Members::None, Detail::default());
        let view = self.book(caller, &calendars(caller), &births(), members, detail).await.unwrap();
        (*view.book.births.unwrap()).clone()
    }

    async fn remove(&self, caller: &Caller, book: &str, file: &str) -> Answer<()> {
        let place = Place::Object(caller.books(), name(book), name(file));
        self.delete(caller, &place, Vec::new()).await
    }

    async fn carry(&self, caller: &Caller, from: (&str, &str), to: (&str, &str)) -> Answer<()> {
        let place = |(book, file): (&str, &str)| Place::Object(caller.books(), name(book), name(file));
        let manner = Manner { verb: Verb::Move, overwrite: true, shallow: false };
        self.transfer(caller, manner, &place(from), &place(to), Vec::new()).await.map(drop)
    }
}

fn line<'t>(octets: &'t str, front: &str) -> &'t str {
    octets.lines().find_map(|line| line.strip_prefix(front)).unwrap()
}

/// A client that knows only what tokens tell it.
#[derive(Default)]
struct Follower {
    token: Option<BirthsToken>,
    holds: BTreeMap<String, Etag>,
}

impl Follower {
    /// Follows one page; false where there is more.
    async fn page(&mut self, service: &Service, caller: &Caller, limit: Option<usize>) -> Answer<bool> {
        let (home, initial) = (calendars(caller), self.token.is_none());
        let changes = service.birthday_changes(caller, (&home, &births()), self.token.take(), limit).await?;
        let told = changes.changed.len() + changes.removed.len();
        assert!(limit.is_none_or(|limit| told <= limit) && changes.damaged.is_empty());
        assert!(told > 0 || !changes.truncated, "a page that tells nothing is the last");
        assert!(!initial || changes.removed.is_empty(), "SYNC-6");
        for event in changes.changed {
            self.holds.insert(event.name.as_str().into(), event.etag);
        }
        for gone in changes.removed {
            self.holds.remove(gone.as_str());
        }
        if !changes.truncated {
            assert_eq!(Some(&changes.token), changes.collection.births.as_deref());
        }
        self.token = BirthsToken::parse(&changes.token.to_string());
        assert!(self.token.is_some());
        Ok(!changes.truncated)
    }

    /// Follows to the end, from the start again where its token is refused.
    async fn follow(&mut self, service: &Service, caller: &Caller, limit: Option<usize>) {
        loop {
            match self.page(service, caller, limit).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(Stop::Refused(Refusal::BadToken)) => *self = Self::default(),
                Err(stop) => panic!("{stop}"),
            }
        }
    }

    async fn is_told(&mut self, service: &Service, caller: &Caller) {
        self.page(service, caller, None).await.unwrap();
        assert_eq!(self.holds, service.listed(caller).await);
    }
}

#[tokio::test]
async fn cal_46_the_calendar_is_made_of_cards() {
    let service = service().await;
    let alice = user(&service, "alice").await;
    let home = service.home(&alice, &calendars(&alice)).await.unwrap();
    let names: Vec<_> =
        home.books.iter().map(|book| book.name.clone().unwrap().as_str().to_owned()).collect();
    assert_eq!(names, ["calendar", "tasks", BIRTHDAYS]);
    assert_eq!(home.books[2].rights, READ);

    let lines = "BDAY:1985-04-12\r\nANNIVERSARY:20100102\r\nDEATHDATE:20210101\r\n";
    for (file, who, lines) in [
        ("a", "Ann", lines),
        ("b", "Bob", "BDAY:--0229\r\n"),
        ("c", "Cat", "BDAY;X-APPLE-OMIT-YEAR=1604:1604-03-04\r\n"),
        ("d", "Dan", "NOTE:1985-04-12\r\n"),
    ] {
        service.store_card(&alice, "contacts", file, born(file, who, lines)).await.unwrap();
    }
    assert_eq!(
        service.summaries(&alice).await,
        [
            "Anniversary: Ann (2010)",
            "Birthday: Ann (1985)",
            "Birthday: Bob",
            "Birthday: Cat",
            "Day of death: Ann (2021)"
        ]
    );
    let all = service.octets(&alice).await;
    for octets in &all {
        let admitted = admit(&octets.clone().into(), Timestamp::UNIX_EPOCH, &Limits::default()).unwrap();
        assert!(!admitted.altered);
        assert_eq!(line(octets, "TRANSP:"), "TRANSPARENT");
    }
    let of = |who: &str| all.iter().find(|octets| line(octets, "SUMMARY:").ends_with(who)).unwrap();
    assert_eq!(line(of("Bob"), "DTSTART;VALUE=DATE:"), "19720229");
    assert_eq!(line(of("Bob"), "RRULE:"), "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1");
    assert_eq!(line(of("Cat"), "DTSTART;VALUE=DATE:"), "19720304");
    // Names tell nobody's.
    assert!(service.listed(&alice).await.keys().all(|name| EventName::parse(&self::name(name)).is_some()));
    service.assert_sound().await;
}

#[tokio::test]
async fn cal_46_a_delta_tells_what_became_of_events() {
    let service = service().await;
    let alice = user(&service, "alice").await;
    service.create_book(&alice, &alice.books(), &name("other"), Vec::new(), Vec::new()).await.unwrap();
    let mut follower = Follower::default();
    follower.is_told(&service, &alice).await;
    let none = follower.token.clone();
    follower.is_told(&service, &alice).await;
    assert_eq!(follower.token, none, "SYNC-12");

    let put = async |file: &str, who: &str, lines: &str| {
        service.store_card(&alice, "contacts", file, born(file, who, lines)).await.unwrap()
    };
    put("a", "Ann", "BDAY:1985-04-12\r\n").await;
    put("b", "Bob", "BDAY:1986-05-13\r\nANNIVERSARY:20100102\r\n").await;
    follower.is_told(&service, &alice).await;
    assert_eq!(follower.holds.len(), 3);
    let before = follower.holds.clone();

    // What is not in the event does not change it, though the log tells of it once more.
    put("a", "Ann", "BDAY:1985-04-12\r\nNOTE:tall\r\n").await;
    assert_ne!(Some(service.calendar_token(&alice).await), follower.token, "SYNC-25");
    follower.is_told(&service, &alice).await;
    assert_eq!(follower.holds, before);
    put("a", "Anna", "BDAY:1985-04-12\r\n").await;
    follower.is_told(&service, &alice).await;
    assert_ne!(follower.holds, before);
    assert_eq!(follower.holds.len(), 3);

    put("b", "Bob", "ANNIVERSARY:20100102\r\n").await;
    follower.is_told(&service, &alice).await;
    assert_eq!(follower.holds.len(), 2);

    let uids = async || {
        let octets = service.octets(&alice).await;
        let mut uids: Vec<_> = octets.iter().map(|octets| line(octets, "UID:").to_owned()).collect();
        uids.sort();
        uids
    };
    let (names, had) = (follower.holds.clone(), uids().await);
    service.carry(&alice, ("contacts", "a"), ("other", "z")).await.unwrap();
    follower.is_told(&service, &alice).await;
    assert_ne!(follower.holds.keys().collect::<Vec<_>>(), names.keys().collect::<Vec<_>>());
    assert_eq!(uids().await, had, "it is the same event under another name");

    service.remove(&alice, "contacts", "b").await.unwrap();
    follower.is_told(&service, &alice).await;
    assert_eq!(follower.holds.len(), 1);
    // Of a book that is gone nobody can tell what was in it.
    let other = Place::Collection(alice.books(), name("other"));
    service.delete(&alice, &other, Vec::new()).await.unwrap();
    let answer = follower.page(&service, &alice, None).await;
    assert!(matches!(refused(answer), Refusal::BadToken));
    service.assert_sound().await;
}

#[tokio::test]
async fn cal_46_shares_and_switches_decide_which_books_are_in_it() {
    let service = service().await;
    let (alice, bob) = (user(&service, "alice").await, user(&service, "bob").await);
    service.create_book(&bob, &bob.books(), &name("team"), Vec::new(), Vec::new()).await.unwrap();
    service.store_card(&bob, "team", "t", born("t", "Tom", "BDAY:19850412\r\n")).await.unwrap();
    service.store_card(&alice, "contacts", "a", born("a", "Ann", "BDAY:19850412\r\n")).await.unwrap();
    let (mut hers, mut his) = (Follower::default(), Follower::default());
    let mut both = async |counts: (usize, usize)| {
        let alice = sign_in(&service, "alice", "secret").await.unwrap();
        hers.is_told(&service, &alice).await;
        his.is_told(&service, &bob).await;
        assert_eq!((hers.holds.len(), his.holds.len()), counts);
    };
    let share = async |access| service.share_asked("bob/team", "alice", access).await.unwrap();
    both((1, 1)).await;
    share(Some(Access::Read)).await;
    both((2, 1)).await;
    service.set_switch(&alice, "team", Some(" Off ")).await.unwrap();
    both((1, 1)).await;
    service.set_switch(&alice, "team", Some("on")).await.unwrap();
    both((2, 1)).await;
    // Each for themselves.
    service.set_switch(&bob, "team", Some("off")).await.unwrap();
    both((2, 0)).await;
    service.set_switch(&bob, "team", None).await.unwrap();
    service.set_switch(&alice, "contacts", Some("off")).await.unwrap();
    both((1, 1)).await;
    // What happens meanwhile is told too when the share ends.
    service.store_card(&bob, "team", "t", born("t", "Tom", "ANNIVERSARY:19850412\r\n")).await.unwrap();
    service.store_card(&bob, "team", "u", born("u", "Uma", "BDAY:19850412\r\n")).await.unwrap();
    share(None).await;
    both((0, 2)).await;
    service.set_switch(&alice, "contacts", None).await.unwrap();
    service.private_asked("alice/contacts", true).await.unwrap();
    both((1, 2)).await;
    let narrow = Caller { private: false, ..alice };
    assert_eq!(service.listed(&narrow).await.len(), 0);
    service.assert_sound().await;
}

#[tokio::test]
async fn cal_46_nobody_writes_it_and_nobody_else_sees_it() {
    let service = service().await;
    let (alice, bob) = (user(&service, "alice").await, user(&service, "bob").await);
    service.store_card(&alice, "contacts", "a", born("a", "Ann", "BDAY:19850412\r\n")).await.unwrap();
    let (home, births) = (calendars(&alice), births());
    let event = name(service.listed(&alice).await.keys().next().unwrap());
    let calendar = Place::Collection(home.clone(), births.clone());
    let in_it = Place::Object(home.clone(), births.clone(), event.clone());
    let own = Place::Object(home.clone(), name("calendar"), name("e.ics"));
    let moved = Manner { verb: Verb::Move, overwrite: true, shallow: false };
    let copied = Manner { verb: Verb::Copy, ..moved };
    let lacks = |answer: Answer<()>, privilege| match refused(answer) {
        Refusal::NeedPrivileges(lacked) => assert_eq!(lacked[0].1, privilege),
        _ => panic!("another refusal"),
    };
    let octets = Bytes::from(service.octets(&alice).await.remove(0));
    let put = service.put(&alice, (&home, &births, &event), octets, Vec::new()).await;
    lacks(put.map(drop), Privilege::Bind);
    for place in [&calendar, &in_it] {
        lacks(service.delete(&alice, place, Vec::new()).await, Privilege::Unbind);
        let patch = service.patch(&alice, place, switch(Some("off")), Vec::new()).await;
        lacks(patch, Privilege::WriteProperties);
    }
    for manner in [moved, copied] {
        let away = service.transfer(&alice, manner, &in_it, &own, Vec::new()).await;
        lacks(away.map(drop), Privilege::Unbind);
        let into = service.transfer(&alice, manner, &own, &in_it, Vec::new()).await;
        lacks(into.map(drop), Privilege::Bind);
        let other = Place::Collection(home.clone(), name("other"));
        let away = service.transfer(&alice, manner, &calendar, &other, Vec::new()).await;
        lacks(away.map(drop), Privilege::Unbind);
    }
    let made = service.create_collection(&alice, (&home, &births), Components::USUAL, Vec::new(), Vec::new());
    assert!(matches!(refused(made.await), Refusal::Mapped));

    let see = async |caller: &Caller, home: &HomeName| {
        service
            .book(caller, home, &births, Members::All, Detail::default())
            .await
            .map(|view| view.cards.len())
    };
    assert_eq!(see(&alice, &home).await.unwrap(), 1);
    assert!(matches!(refused(see(&bob, &home).await), Refusal::NotFound));
    // Another's token asks nothing, and one that was made up neither.
    let token = service.calendar_token(&alice).await;
    let mut forged = token.clone();
    forged.mark[0] ^= 1;
    for (caller, token) in [(&bob, token), (&alice, forged)] {
        let answer = service.birthday_changes(caller, (&calendars(caller), &births), Some(token), None).await;
        assert!(matches!(refused(answer), Refusal::BadToken));
    }
    let blind = Caller { contacts: Reach::None, ..alice };
    assert!(matches!(refused(see(&blind, &home).await), Refusal::NotFound));
    assert_eq!(service.home(&blind, &home).await.unwrap().books.len(), 2);
    let user = UserName::parse("nobody").unwrap();
    assert!(matches!(refused(see(&bob, &HomeName::calendars(user)).await), Refusal::NotFound));
}

#[tokio::test]
async fn cal_46_queries_judge_what_is_made() {
    let service = service().await;
    let alice = user(&service, "alice").await;
    for (file, day) in [("a", "1985-04-12"), ("b", "1985-05-12"), ("c", "--04-30")] {
        let body = born(file, file, &format!("BDAY:{day}\r\n"));
        service.store_card(&alice, "contacts", file, body).await.unwrap();
    }
    let found = async |kind: &str, range: Option<(&str, &str)>, limit| {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let range = range.map(|(a, b)| Range { start: Some(time(a)), end: Some(time(b)) });
        let condition = ComponentCondition::Defined { range, properties: vec![], components: vec![] };
        let components = vec![ComponentFilter { name: kind.into(), condition }];
        let condition = ComponentCondition::Defined { range: None, properties: vec![], components };
        let filter = Arc::new(Filter(ComponentFilter { name: "VCALENDAR".into(), condition }));
        let mut carry = Carry::new(Detail::default());
        let place = (&calendars(&alice), &births());
        let found = service.query_calendar(&alice, place, filter, None, limit, &mut carry).await.unwrap();
        (found.cards.len() + found.names.len(), found.truncated)
    };
    let april = Some(("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"));
    assert_eq!(found("VEVENT", None, None).await, (3, false));
    assert_eq!(found("VEVENT", april, None).await, (2, false));
    assert_eq!(found("VEVENT", april, Some(1)).await, (1, true));
    assert_eq!(found("VEVENT", april, Some(2)).await, (2, false));
    assert_eq!(found("VTODO", None, None).await, (0, false));
}

#[tokio::test]
async fn cal_46_followers_hold_what_is_listed_after_every_step() {
    let service = service().await;
    let (alice, bob) = (user(&service, "alice").await, user(&service, "bob").await);
    for (caller, book) in [(&alice, "other"), (&bob, "team")] {
        service.create_book(caller, &caller.books(), &name(book), Vec::new(), Vec::new()).await.unwrap();
    }
    let mut random = 46_u64;
    let mut dice = |sides: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % sides
    };
    // One that follows all, one that follows pages to the end, and one that never gets there in peace.
    let (mut whole, mut paged, mut late) = (Follower::default(), Follower::default(), Follower::default());
    let mut shared = false;
    for step in 0..300 {
        let file = format!("{}", dice(8));
        let (owner, book) = match dice(3) {
            0 => (&bob, "team"),
            1 => (&alice, "other"),
            _ => (&alice, "contacts"),
        };
        match dice(10) {
            0..=4 => {
                let days = ["BDAY:19850412\r\n", "ANNIVERSARY:20100102\r\n", "DEATHDATE:20210101\r\n"];
                let lines: String = days.into_iter().filter(|_| dice(2) == 0).collect();
                let body = born(&format!("uid-{file}"), &format!("Step {}", step / 3), &lines);
                let _ = service.store_card(owner, book, &file, body).await;
            }
            5 => drop(service.remove(owner, book, &file).await),
            6 => {
                let books = if dice(2) == 0 { ("contacts", "other") } else { ("other", "contacts") };
                drop(service.carry(&alice, (books.0, &file), (books.1, &file)).await);
            }
            7 => {
                shared = !shared;
                let access = shared.then_some(Access::Read);
                service.share_asked("bob/team", "alice", access).await.unwrap();
            }
            8 => {
                let text = if dice(2) == 0 { Some("off") } else { None };
                let book = ["contacts", "other", "team"][dice(3) as usize];
                drop(service.set_switch(&alice, book, text).await);
            }
            _ => {
                let mut fresh = Follower::default();
                fresh.follow(&service, &alice, Some(1 + dice(4) as usize)).await;
                assert_eq!(fresh.holds, service.listed(&alice).await, "step {step}");
            }
        }
        whole.page(&service, &alice, None).await.unwrap();
        assert_eq!(whole.holds, service.listed(&alice).await, "step {step}");
        late.page(&service, &alice, Some(1 + dice(3) as usize)).await.unwrap();
        if dice(8) == 0 {
            paged.follow(&service, &alice, Some(1 + dice(4) as usize)).await;
            assert_eq!(paged.holds, whole.holds, "step {step}");
            late.follow(&service, &alice, Some(1)).await;
            assert_eq!(late.holds, whole.holds, "step {step}");
        }
    }
    service.assert_sound().await;
}
