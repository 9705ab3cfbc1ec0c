//! What is kept of the days of cards, against reading every card: over random steps, from several
//! snapshots, and over cards that cannot be read.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::domain::ical::birthday::Occasion;
use crate::domain::ical::filter::{PropertyCondition, PropertyFilter, TextMatch};
use crate::domain::ical::tree::parse;
use crate::domain::ical::zone::{Zone, Zones};
use crate::service::birthdays::delta::{Told, Walk};
use crate::service::birthdays::index::{Days, Kept};
use crate::service::tests::{quick, service_with};
use crate::service::view::ObjectView;
use crate::service::{ContactSettings, Settings};
use crate::store::calls::counted;
use crate::store::engine::memory::MemoryEngine;
use crate::store::engine::{Batch, Engine, Write};
use crate::store::follow::Keep;
use crate::store::keys;
use crate::store::query::With;

use super::*;

/// What a list shows of an event.
type Shown = (Etag, u64, String, [u8; 16], Timestamp, Timestamp);

fn shown(event: &ObjectView) -> Shown {
    let (uid, contact) = (event.uid.as_str().to_owned(), *event.contact.as_bytes());
    (event.etag, event.size, uid, contact, event.created, event.modified)
}

fn component(
    name: &str,
    range: Option<Range>,
    properties: Vec<PropertyFilter>,
    inner: Vec<ComponentFilter>,
) -> ComponentFilter {
    let condition = ComponentCondition::Defined { range, properties, components: inner };
    ComponentFilter { name: name.into(), condition }
}

fn asks(inner: ComponentFilter) -> Arc<Filter> {
    Arc::new(Filter(component("VCALENDAR", None, vec![], vec![inner])))
}

/// Events of that text, in that range.
fn of_text(text: &str, range: Option<Range>) -> Arc<Filter> {
    let text = Some(TextMatch::new(text, None, false));
    let condition = PropertyCondition::Defined { range: None, text, parameters: vec![] };
    asks(component("VEVENT", range, vec![PropertyFilter { name: "SUMMARY".into(), condition }], vec![]))
}

fn in_range(range: Option<Range>) -> Arc<Filter> {
    asks(component("VEVENT", range, vec![], vec![]))
}

/// Events with an alarm in that range: none has one.
fn with_alarm(range: Option<Range>) -> Arc<Filter> {
    asks(component("VEVENT", None, vec![], vec![component("VALARM", range, vec![], vec![])]))
}

/// What is kept of each card: of which occasions there are days, and which are in either half of a year.
fn kept(days: &Days) -> BTreeMap<keys::Hash, Option<Vec<(Occasion, bool)>>> {
    let range = span("2025-01-10T00:00:00Z", "2025-06-20T00:00:00Z");
    let of = |kept: &Kept| {
        let occasions = kept.occasions()?;
        Some(occasions.map(|occasion| (occasion, kept.surely_is_in(occasion, &range))).collect())
    };
    days.entries().iter().map(|kept| (kept.card(), of(kept))).collect()
}

fn span(from: &str, to: &str) -> Range {
    Range { start: from.parse().ok(), end: to.parse().ok() }
}

impl Service {
    /// All events with their octets, and the names of what cannot be read, for which every card is read.
    async fn each_read(&self, caller: &Caller) -> (BTreeMap<String, ObjectView>, BTreeSet<String>) {
        let reader = self.store.read().await.unwrap();
        let births = self.births(&reader, caller, &calendars(caller)).await.unwrap().unwrap();
        let (mut events, mut damaged) = (BTreeMap::new(), BTreeSet::new());
        for book in &births.books {
            let mut tell = |told| {
                match told {
                    Told::Event(event) => drop(events.insert(event.name.as_str().to_owned(), event)),
                    Told::Damaged(name) => drop(damaged.insert(name.as_str().to_owned())),
                    Told::Gone(_) => panic!("nothing goes"),
                }
                ControlFlow::Continue(())
            };
            assert!(Walk::all(book).go(&reader, None, &mut tell).await.unwrap().is_none());
        }
        (events, damaged)
    }

    /// What is listed, in that detail.
    async fn all_listed(&self, caller: &Caller, body: bool) -> (BTreeMap<String, Shown>, BTreeSet<String>) {
        let detail = Detail { properties: false, body };
        let view = self.book(caller, &calendars(caller), &births(), Members::All, detail).await.unwrap();
        assert!(view.cards.iter().all(|event| event.body.is_some() == body));
        let events = view.cards.iter().map(|event| (event.name.as_str().to_owned(), shown(event)));
        (events.collect(), view.damaged.iter().map(|name| name.as_str().to_owned()).collect())
    }

    /// Asks what is kept and what is read, and compares the answers.
    async fn assert_answers(
        &self,
        caller: &Caller,
        filter: Arc<Filter>,
        zone: Option<Zone>,
        limit: Option<usize>,
    ) {
        let (all, damaged) = self.each_read(caller).await;
        let zones = Zones::new(zone.clone().unwrap_or(Zone::UTC));
        let answers = |event: &ObjectView| {
            filter.matches(&parse(event.body.as_ref().unwrap(), &Limits::default()).unwrap(), &zones)
        };
        let mut wanted: BTreeSet<String> =
            all.iter().filter(|(_, event)| answers(event)).map(|(name, _)| name.clone()).collect();
        wanted.extend(damaged);
        let mut carry = Carry::new(Detail { properties: false, body: true });
        let place = (&calendars(caller), &births());
        let found = self.query_calendar(caller, place, filter, zone, limit, &mut carry).await.unwrap();
        for event in &found.cards {
            let read = &all[event.name.as_str()];
            assert_eq!((shown(event), &event.body), (shown(read), &read.body));
        }
        let cards = found.cards.iter().map(|event| event.name.as_str());
        let names: Vec<_> = cards.chain(found.names.iter().map(MemberName::as_str)).collect();
        let told: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(told.len(), names.len());
        let limit = limit.unwrap_or(usize::MAX);
        assert_eq!(found.truncated, wanted.len() > limit);
        assert!(told.is_subset(&wanted) && told.len() == wanted.len().min(limit));
    }

    /// That lists and what is kept are what reading every card gives.
    async fn assert_kept(&self, caller: &Caller) {
        let (all, damaged) = self.each_read(caller).await;
        let all: BTreeMap<_, _> = all.iter().map(|(name, event)| (name.clone(), shown(event))).collect();
        for body in [false, true] {
            assert_eq!(self.all_listed(caller, body).await, (all.clone(), damaged.clone()));
        }
        let (reader, births, days) = self.dated_births(caller, &calendars(caller)).await.unwrap();
        for (book, days) in births.books.iter().zip(days) {
            let anew = Kept::whole(&reader, book.position()).await.unwrap();
            assert_eq!(kept(&days), kept(&anew));
        }
    }
}

#[tokio::test]
async fn what_is_kept_answers_as_reading_every_card_does() {
    const LINES: [&str; 9] = [
        "BDAY:19840229\r\n",
        "BDAY:--0229\r\n",
        "BDAY:--1231\r\n",
        "BDAY:20000101\r\n",
        "ANNIVERSARY:20100101\r\n",
        "ANNIVERSARY:--0301\r\n",
        "DEATHDATE:20211231\r\n",
        "DEATHDATE:19990715\r\n",
        "NOTE:no day at all\r\n",
    ];
    let service = service().await;
    let (alice, bob) = (user(&service, "alice").await, user(&service, "bob").await);
    for (caller, book) in [(&alice, "other"), (&bob, "team")] {
        service.create_book(caller, &caller.books(), &name(book), Vec::new(), Vec::new()).await.unwrap();
    }
    service.share_asked("bob/team", "alice", Some(Access::Read)).await.unwrap();
    let mut random = 29_u64;
    let mut dice = |sides: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % sides
    };
    for step in 0..120 {
        let file = format!("{}", dice(12));
        let books = [(&alice, "contacts"), (&alice, "other"), (&bob, "team")];
        let (owner, book) = books[dice(3) as usize];
        match dice(12) {
            0..=6 => {
                let lines: String = LINES.into_iter().filter(|_| dice(4) == 0).collect();
                let body = born(&format!("uid-{file}"), &format!("Step {}", step / 3), &lines);
                let _ = service.store_card(owner, book, &file, body).await;
            }
            7 | 8 => drop(service.remove(owner, book, &file).await),
            9 => {
                let books = if dice(2) == 0 { ("contacts", "other") } else { ("other", "contacts") };
                drop(service.carry(&alice, (books.0, &file), (books.1, &file)).await);
            }
            _ => {
                let text = if dice(2) == 0 { Some("off") } else { None };
                drop(service.set_switch(&alice, book, text).await);
            }
        }
        // Now and then nobody asks for a while.
        if dice(3) == 0 {
            continue;
        }
        for caller in [&alice, &bob] {
            service.assert_kept(caller).await;
        }
        for _ in 0..3 {
            const DAY: i64 = 86_400;
            // From just before the year that series without one begin in.
            let start = (dice(22_000) as i64 + 700) * DAY - [0, 1, DAY / 2][dice(3) as usize];
            let end = start + [1, DAY, 3 * DAY, 31 * DAY, 400 * DAY][dice(5) as usize];
            let edge = |second: i64| Timestamp::from_second(second).ok();
            let range = match dice(8) {
                0 => Some(span("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z")),
                1 => Some(span("2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z")),
                2 => Some(span("2026-12-31T12:00:00Z", "2027-01-01T12:00:00Z")),
                3 => Some(Range { start: edge(start), end: None }),
                4 => Some(Range { start: None, end: edge(end) }),
                5 => None,
                _ => Some(Range { start: edge(start), end: edge(end) }),
            };
            let filter = match dice(6) {
                0 => of_text("Birthday", range),
                1 => with_alarm(range),
                _ => in_range(range),
            };
            let zone = ["Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin", "none"][dice(4) as usize];
            let limit = (dice(3) == 0).then(|| 1 + dice(4) as usize);
            service.assert_answers(&alice, filter, Zone::named(zone), limit).await;
        }
    }
    service.assert_sound().await;
}

#[tokio::test]
async fn cards_without_days_cost_lists_nothing() {
    let service = service().await;
    let alice = user(&service, "alice").await;
    for n in 0..4 {
        let body = born(&format!("born-{n}"), "Born", "BDAY:19850412\r\n");
        service.store_card(&alice, "contacts", &format!("born-{n}"), body).await.unwrap();
    }
    let asked = async || {
        let first = counted(service.listed(&alice)).await;
        let again = counted(service.listed(&alice)).await;
        assert_eq!((first.0.len(), again.0.len()), (4, 4));
        (first.1, again.1)
    };
    let few = asked().await;
    for n in 0..300 {
        let body = born(&format!("plain-{n}"), "Plain", "");
        service.store_card(&alice, "contacts", &format!("plain-{n}"), body).await.unwrap();
    }
    let many = asked().await;
    assert_eq!(few.1, many.1);
    assert!(many.1 < many.0, "{many:?}");
    // One card that changed is read, and no other.
    let body = born("plain-0", "Plain", "NOTE:changed\r\n");
    service.store_card(&alice, "contacts", "plain-0", body).await.unwrap();
    let changed = asked().await;
    assert!(changed.0 <= few.1 + 3 && changed.1 == few.1, "{changed:?} {few:?}");
}

#[tokio::test]
async fn an_older_snapshot_is_told_of_itself() {
    let service = service().await;
    let alice = user(&service, "alice").await;
    let put = async |file: &str, lines: &str| {
        service.store_card(&alice, "contacts", file, born(file, "Ann", lines)).await.unwrap();
    };
    put("a", "BDAY:19850412\r\n").await;
    put("b", "ANNIVERSARY:20100102\r\n").await;
    let old = service.store.read().await.unwrap();
    let births = service.births(&old, &alice, &calendars(&alice)).await.unwrap().unwrap();
    put("a", "").await;
    put("c", "BDAY:19850412\r\n").await;
    service.remove(&alice, "contacts", "b").await.unwrap();
    assert_eq!(service.listed(&alice).await.len(), 1);
    assert!(service.days_of(&old, &births, false).await.unwrap().is_none());
    let days = service.days_of(&old, &births, true).await.unwrap().unwrap();
    assert_eq!(days.iter().map(|days| days.len()).sum::<usize>(), 2);
    assert_eq!(format!("{:?}", days[0].entries()[0]), "Kept(…)");
    // What is kept goes on from where it is.
    put("d", "BDAY:19850412\r\n").await;
    assert_eq!(service.listed(&alice).await.len(), 2);
}

#[tokio::test]
async fn a_card_that_cannot_be_read_is_told_of() {
    let engine = Arc::new(MemoryEngine::new());
    let service = service_with(engine.clone(), quick()).await;
    let alice = user(&service, "alice").await;
    for (file, lines) in [("a", "BDAY:19850412\r\n"), ("b", "BDAY:19860513\r\n"), ("c", "")] {
        service.store_card(&alice, "contacts", file, born(file, file, lines)).await.unwrap();
    }
    let body = async |file: &str| {
        let reader = service.store.read().await.unwrap();
        let births = service.births(&reader, &alice, &calendars(&alice)).await.unwrap().unwrap();
        let book = births.books[0].id;
        let found = reader.cards(book, &[name(file)], With::default()).await.unwrap().remove(0);
        let contact = crate::domain::id::ContactId::from_bytes(found.whole().unwrap().unwrap().row.contact);
        keys::body(book, contact)
    };
    let (struck, later) = (body("c").await, body("a").await);
    let write = async |key: &[u8], value: Vec<u8>| {
        let write = Write::Put { key: key.to_vec(), value, stamp: None };
        engine.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
    };
    let whole = engine.snapshot().await.unwrap().get(vec![struck.clone()]).await.unwrap().remove(0).unwrap();
    // Whether it has days is not known.
    write(&struck, vec![7; 40]).await;
    let march = Some(span("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"));
    let (found, damaged) = service.all_listed(&alice, false).await;
    assert_eq!((found.len(), damaged.len()), (2, 3));
    service.assert_kept(&alice).await;
    for filter in [in_range(None), in_range(march), with_alarm(march), of_text("Birthday", march)] {
        service.assert_answers(&alice, filter, None, None).await;
    }
    // It is looked at each time, so nothing is told of it any more when it can be read.
    write(&struck, whole.to_vec()).await;
    assert_eq!(service.all_listed(&alice, false).await.1.len(), 0);
    // What cannot be read any more is told by whoever reads it.
    write(&later, vec![7; 40]).await;
    assert_eq!(service.all_listed(&alice, true).await.1.len(), 3);
    let april = Some(span("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"));
    let mut carry = Carry::new(Detail::default());
    let (home, births) = (calendars(&alice), births());
    let asked = service.query_calendar(&alice, (&home, &births), in_range(april), None, None, &mut carry);
    let found = asked.await.unwrap();
    assert_eq!((found.cards.len(), found.names.len()), (0, 1));
}

#[tokio::test]
async fn nothing_is_kept_of_who_was_erased_though_nobody_asks_again() {
    let contacts = ContactSettings { trash_days: 0, ..ContactSettings::default() };
    let service = service_with(Arc::new(MemoryEngine::new()), Settings { contacts, ..quick() }).await;
    let alice = user(&service, "alice").await;
    for file in ["a", "b"] {
        service.store_card(&alice, "contacts", file, born(file, file, "BDAY:19850412\r\n")).await.unwrap();
    }
    assert_eq!(service.listed(&alice).await.len(), 2);
    let known = async || {
        let reader = service.store.read().await.unwrap();
        let births = service.births(&reader, &alice, &calendars(&alice)).await.unwrap().unwrap();
        service.birthdays.kept_of(births.books[0].id).await.unwrap().len()
    };
    assert_eq!(known().await, 2);
    let place = Place::Object(alice.books(), name("contacts"), name("a"));
    service.delete(&alice, &place, Vec::new()).await.unwrap();
    assert_eq!(known().await, 2, "nobody has looked yet");
    assert!(service.erase_now().await.unwrap() > 0);
    assert_eq!(known().await, 1);
    service.delete(&alice, &Place::Collection(alice.books(), name("contacts")), Vec::new()).await.unwrap();
    service.purge_all().await.unwrap();
    service.erase_now().await.unwrap();
    assert!(service.birthdays.known().is_empty());
}
