//! The power fails in the middle of a user's day: what was acknowledged is there, what was not is
//! there wholly or not at all, and a client that followed tokens goes on as if nothing had been
//! (RFC 6578 §3.4). The real service over the real engine, on a disk that fails as disks do.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use bytes::Bytes;
use cardkeep::domain::id::{CollectionId, Etag, MemberName};
use cardkeep::domain::token::SyncToken;
use cardkeep::service::access::Caller;
use cardkeep::service::admin::{AdminAnswer, AdminRequest};
use cardkeep::service::place::{Place, Precondition, State};
use cardkeep::service::refusal::{Refusal, Stop};
use cardkeep::service::sign_in::{Argon2Cost, Credentials};
use cardkeep::service::transfer::Manner;
use cardkeep::service::view::{Detail, Members, Property, PropertyChange, PropertyName, PropertyValue, Verb};
use cardkeep::service::{Answer, KeyFile, Service, Settings};
use cardkeep::store::engine::redb::RedbEngine;
use cardkeep::store::keyslots::{MasterKey, Medium};
use redb::StorageBackend as _;

use crate::chance::{Counting, Dice, Ticking};
use crate::faulty::Disk;

/// How many steps a day has before the power is sure to have failed, and afterwards.
const STEPS: u32 = 60;
const STEPS_AFTER: u32 = 8;
/// How many days there are, each with a later failure.
const DAYS: u64 = 300;

/// The disk's other file holds the data keys: the power fails for both at once.
struct Keys(Disk);

impl Medium for Keys {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(offset, bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

async fn open(disk: &Disk, opening: u64) -> Result<Arc<Service>, String> {
    let engine = RedbEngine::with_backend(disk.clone(), 1 << 20).map_err(|error| error.to_string())?;
    let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000 + (opening << 20) as i64)));
    let entropy = Arc::new(Counting(AtomicU64::new(opening << 32)));
    let settings = Settings { argon2: Argon2Cost { memory_kib: 8, passes: 1 }, ..Settings::default() };
    let keys = KeyFile::new(Keys(disk.other()), vec![MasterKey::new([7; 32])]);
    let service = Service::open(Arc::new(engine), keys, clock, entropy, settings).await;
    service.map(Arc::new).map_err(|fault| fault.to_string())
}

async fn sign_in(service: &Service) -> Option<Caller> {
    let credentials = Credentials { user: "alice".into(), password: "secret".into() };
    service.sign_in(credentials, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.ok()
}

/// A disk with one account and a few cards.
async fn first_day() -> Disk {
    let disk = Disk::new();
    let service = open(&disk, 0).await.unwrap();
    let add = AdminRequest::UserAdd {
        name: "alice".into(),
        email: None,
        display_name: None,
        admin: false,
        password: Some("secret".into()),
    };
    assert!(matches!(service.admin(add).await, AdminAnswer::Done));
    let caller = sign_in(&service).await.unwrap();
    for n in 0..6 {
        let file = format!("c{n}.vcf");
        let place = (&caller.name, &name("contacts"), &name(&file));
        service.put(&caller, place, card(&file, 100, 0), Vec::new()).await.unwrap();
    }
    service.close().await.unwrap();
    disk.restarted()
}

fn name(text: &str) -> MemberName {
    MemberName::parse(text).unwrap()
}

fn card(uid: &str, length: usize, step: u32) -> Bytes {
    let note: String = (0..length / 50).map(|_| format!("NOTE:{step:0>43}\r\n")).collect();
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:Step {step}\r\nN:S;;;;\r\n{note}END:VCARD\r\n")
        .into()
}

/// What a card is, as far as its owner knows; a tag that nobody was told may be any.
#[derive(Clone, Debug, PartialEq)]
struct Card {
    body: Bytes,
    etag: Option<Etag>,
    properties: Vec<Property>,
}

/// What a book is.
#[derive(Clone, Debug, Default, PartialEq)]
struct Book {
    cards: BTreeMap<String, Card>,
    properties: Vec<Property>,
}

/// What a home is, and what is in it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Home {
    books: BTreeMap<String, Book>,
    properties: Vec<Property>,
}

impl Home {
    /// Whether this is `other`, but for tags that either does not know.
    fn is(&self, other: &Home) -> bool {
        let card = |(a, x): (&String, &Card), (b, y): (&String, &Card)| {
            let tags = x.etag.is_none() || y.etag.is_none() || x.etag == y.etag;
            tags && a == b && x.body == y.body && x.properties == y.properties
        };
        let book = |(a, x): (&String, &Book), (b, y): (&String, &Book)| {
            let cards = x.cards.iter().zip(&y.cards).all(|(x, y)| card(x, y));
            a == b && x.properties == y.properties && x.cards.len() == y.cards.len() && cards
        };
        let books = self.books.iter().zip(&other.books).all(|(x, y)| book(x, y));
        self.properties == other.properties && self.books.len() == other.books.len() && books
    }

    /// What the server has.
    async fn read(service: &Service, caller: &Caller) -> Answer<Home> {
        let view = service.home(caller, &caller.name).await?;
        let mut home = Home { books: BTreeMap::new(), properties: view.home.properties };
        for book in view.books {
            let at = book.name.unwrap();
            let detail = Detail { properties: true, body: false };
            let listed = service.book(caller, &caller.name, &at, Members::All, detail).await?.cards;
            let names = listed.iter().map(|card| card.name.clone()).collect();
            let detail = Detail { properties: true, body: true };
            let shown = service.book(caller, &caller.name, &at, Members::Named(names), detail).await?.cards;
            assert_eq!(shown.len(), listed.len());
            let card = |card: cardkeep::service::view::CardView| {
                let properties = card.properties;
                let known = Card { body: card.body.unwrap(), etag: Some(card.etag), properties };
                (card.name.as_str().to_owned(), known)
            };
            let cards = shown.into_iter().map(card).collect();
            home.books.insert(at.as_str().to_owned(), Book { cards, properties: book.properties });
        }
        Ok(home)
    }
}

/// What a step did.
enum Done {
    /// It was acknowledged, or refused.
    Told,
    /// Nobody said what became of it: the home is as it was, or one of these.
    Untold(Vec<Home>),
}

/// A user at work.
struct Day<'a> {
    service: &'a Service,
    caller: &'a Caller,
    dice: Dice,
    home: Home,
    step: u32,
}

impl Day<'_> {
    fn any_book(&mut self) -> String {
        ["contacts", "second", "third"][self.dice.roll(3) as usize].to_owned()
    }

    fn any_card(&mut self) -> (String, String) {
        (self.any_book(), format!("c{}.vcf", self.dice.roll(8)))
    }

    fn at_card(&self, (book, file): &(String, String)) -> Place {
        Place::Card(self.caller.name.clone(), name(book), name(file))
    }

    fn at_book(&self, book: &str) -> Place {
        Place::Book(self.caller.name.clone(), name(book))
    }

    /// Takes in what became of a change that would have led to the last of `ways`, by way of the
    /// others.
    fn learn<T>(&mut self, answer: Answer<T>, mut ways: Vec<Home>) -> Done {
        match answer {
            Ok(_) => {
                self.home = ways.pop().unwrap();
                Done::Told
            }
            Err(Stop::Failed(_) | Stop::Refused(Refusal::Busy { .. })) => Done::Untold(ways),
            Err(Stop::Refused(_)) => Done::Told,
        }
    }

    async fn work(&mut self) -> Done {
        self.step += 1;
        match self.dice.roll(22) {
            0..=8 => self.put().await,
            9 | 10 => self.delete().await,
            11 | 12 => self.transfer(Verb::Move).await,
            13 => self.transfer(Verb::Copy).await,
            14 | 15 => self.patch().await,
            16 => self.create().await,
            17 => self.transfer_book(Verb::Move).await,
            18 => self.transfer_book(Verb::Copy).await,
            20 | 21 => self.erase().await,
            _ => self.delete_book().await,
        }
    }

    async fn put(&mut self) -> Done {
        let (book, file) = self.any_card();
        let known = self.home.books.get(&book).and_then(|book| book.cards.get(&file)).cloned();
        // A moved card keeps its UID, so most of these are refused when the file's own is elsewhere.
        let uid = format!("{file}-{}", self.dice.roll(2));
        let body = card(&uid, [50, 400, 3000, 9000][self.dice.roll(4) as usize], self.step);
        let (at, place) = ((name(&book), name(&file)), self.at_card(&(book.clone(), file.clone())));
        let when = known.as_ref().and_then(|card| card.etag);
        let when = when.map(|etag| Precondition::one(place, State::EtagIn(vec![etag]), false));
        let when = when.into_iter().collect();
        let answer =
            self.service.put(self.caller, (&self.caller.name, &at.0, &at.1), body.clone(), when).await;
        let mut after = self.home.clone();
        if let Some(book) = after.books.get_mut(&book) {
            let etag = answer.as_ref().ok().map(|stored| stored.card.etag);
            let properties = known.map(|card| card.properties).unwrap_or_default();
            book.cards.insert(file, Card { body, etag, properties });
        }
        self.learn(answer, vec![after])
    }

    async fn erase(&mut self) -> Done {
        let answer = self.service.erase_now().await.map_err(Stop::Failed);
        self.learn(answer, vec![self.home.clone()])
    }

    async fn delete(&mut self) -> Done {
        let at = self.any_card();
        let answer = self.service.delete(self.caller, &self.at_card(&at), Vec::new()).await;
        let mut after = self.home.clone();
        after.books.get_mut(&at.0).map(|book| book.cards.remove(&at.1));
        self.learn(answer, vec![after])
    }

    async fn transfer(&mut self, verb: Verb) -> Done {
        let (from, to) = (self.any_card(), self.any_card());
        let manner = Manner { verb, overwrite: self.dice.roll(2) == 0, shallow: false };
        let ends = (self.at_card(&from), self.at_card(&to));
        let answer = self.service.transfer(self.caller, manner, &ends.0, &ends.1, Vec::new()).await;
        let mut after = self.home.clone();
        let card = after.books.get(&from.0).and_then(|book| book.cards.get(&from.1)).cloned();
        if let (Some(card), Some(book)) = (card, after.books.get_mut(&to.0)) {
            book.cards.insert(to.1, Card { etag: None, ..card });
            if verb == Verb::Move {
                after.books.get_mut(&from.0).map(|book| book.cards.remove(&from.1));
            }
        }
        self.learn(answer, vec![after])
    }

    async fn patch(&mut self) -> Done {
        let value = PropertyValue::Text { text: format!("step {}", self.step), lang: None };
        let name = PropertyName { namespace: "x".into(), local: format!("p{}", self.dice.roll(2)) };
        let property = Property { name: name.clone(), value };
        let (remove, kind, at) = (self.dice.roll(3) == 0, self.dice.roll(3), self.any_card());
        let change = match remove {
            true => PropertyChange::Remove(name.clone()),
            false => PropertyChange::Set(property.clone()),
        };
        let place = match kind {
            0 => Place::Home(self.caller.name.clone()),
            1 => self.at_book(&at.0),
            _ => self.at_card(&at),
        };
        let answer = self.service.patch(self.caller, &place, vec![change], Vec::new()).await;
        let mut after = self.home.clone();
        let properties = match kind {
            0 => Some(&mut after.properties),
            1 => after.books.get_mut(&at.0).map(|book| &mut book.properties),
            _ => after
                .books
                .get_mut(&at.0)
                .and_then(|book| book.cards.get_mut(&at.1))
                .map(|card| &mut card.properties),
        };
        if let Some(properties) = properties {
            match properties.iter_mut().find(|known| known.name == name) {
                Some(known) if !remove => *known = property,
                None if !remove => properties.push(property),
                _ => properties.retain(|known| known.name != name),
            }
        }
        self.learn(answer, vec![after])
    }

    async fn create(&mut self) -> Done {
        let book = self.any_book();
        let value = PropertyValue::Xml("<x:a xmlns:x=\"x\"/>".into());
        let name = PropertyName { namespace: "x".into(), local: "a".into() };
        let properties = vec![Property { name, value }];
        let at = MemberName::parse(&book).unwrap();
        let caller = self.caller;
        let answer =
            self.service.create_book(caller, &caller.name, &at, properties.clone(), Vec::new()).await;
        let mut after = self.home.clone();
        after.books.insert(book, Book { properties, ..Book::default() });
        self.learn(answer, vec![after])
    }

    async fn transfer_book(&mut self, verb: Verb) -> Done {
        let (from, to) = (self.any_book(), self.any_book());
        let manner = Manner { verb, overwrite: self.dice.roll(2) == 0, shallow: self.dice.roll(4) == 0 };
        let ends = (self.at_book(&from), self.at_book(&to));
        let answer = self.service.transfer(self.caller, manner, &ends.0, &ends.1, Vec::new()).await;
        let mut after = self.home.clone();
        let mut ways = Vec::new();
        if let Some(mut book) = after.books.get(&from).cloned() {
            if verb == Verb::Move {
                after.books.remove(&from);
            } else {
                // A COPY of a collection makes the collection first, then its members
                // (RFC 4918 §9.8.3): it may end between the two.
                let cards = std::mem::take(&mut book.cards);
                after.books.insert(to.clone(), book.clone());
                ways.push(after.clone());
                if !manner.shallow {
                    book.cards = cards;
                    book.cards.values_mut().for_each(|card| card.etag = None);
                }
            }
            after.books.insert(to, book);
        }
        ways.push(after);
        self.learn(answer, ways)
    }

    async fn delete_book(&mut self) -> Done {
        let book = self.any_book();
        let answer = self.service.delete(self.caller, &self.at_book(&book), Vec::new()).await;
        let mut after = self.home.clone();
        after.books.remove(&book);
        self.learn(answer, vec![after])
    }
}

/// What a client knows of one book.
struct Followed {
    id: CollectionId,
    token: Option<SyncToken>,
    holds: BTreeMap<String, Etag>,
}

/// A client that knows only what tokens tell it: of the home which books there are, of each book
/// which cards.
#[derive(Default)]
struct Client {
    token: Option<SyncToken>,
    books: BTreeMap<String, Followed>,
}

impl Client {
    /// Follows the home, then every book, `limit` changes at a time; a hasty one takes but one page
    /// of each.
    async fn follow(
        &mut self,
        service: &Service,
        caller: &Caller,
        limit: Option<usize>,
        hasty: bool,
    ) -> Answer<()> {
        loop {
            let page = service.home_changes(caller, &caller.name, self.token, limit).await?;
            for gone in page.removed {
                self.books.remove(gone.as_str());
            }
            for book in page.changed {
                let (id, at) = (book.id, book.name.unwrap().as_str().to_owned());
                if self.books.get(&at).is_none_or(|known| known.id != id) {
                    self.books.insert(at, Followed { id, token: None, holds: BTreeMap::new() });
                }
            }
            self.token = Some(page.token);
            if hasty || !page.truncated {
                break;
            }
        }
        for (at, book) in &mut self.books {
            loop {
                let page = service.changes(caller, &caller.name, &name(at), book.token, limit).await;
                let page = match page {
                    Ok(page) => page,
                    // It has not heard yet that the book is gone, or is another.
                    Err(Stop::Refused(_)) if hasty => break,
                    Err(stop) => return Err(stop),
                };
                for card in page.changed {
                    book.holds.insert(card.name.as_str().to_owned(), card.etag);
                }
                for gone in page.removed {
                    book.holds.remove(gone.as_str());
                }
                book.token = Some(page.token);
                if hasty || !page.truncated {
                    break;
                }
            }
        }
        Ok(())
    }

    fn assert_holds(&self, home: &Home, told: &str) {
        let known = |card: &Card| card.etag.unwrap();
        let there = home.books.iter().map(|(at, book)| {
            (
                at,
                book.cards.iter().map(|(file, card)| (file.clone(), known(card))).collect::<BTreeMap<_, _>>(),
            )
        });
        let there: BTreeMap<_, _> = there.collect();
        let holds: BTreeMap<_, _> = self.books.iter().map(|(at, book)| (at, book.holds.clone())).collect();
        assert_eq!(holds, there, "what tokens tell; {told}");
    }
}

async fn assert_sound(service: &Service, told: &str) {
    let AdminAnswer::Checked(report) = service.admin(AdminRequest::Check { repair: false }).await else {
        panic!("no report; {told}")
    };
    assert_eq!(report.faults, Vec::<String>::new(), "{told}");
}

/// Works until the power fails or the day ends; what the home may be then, and whether it failed.
async fn morning(
    service: &Arc<Service>,
    (steps, seed): (u32, u64),
    client: &mut Client,
    told: &str,
) -> Option<(Vec<Home>, bool)> {
    let caller = sign_in(service).await?;
    let home = Home::read(service, &caller).await.ok()?;
    let clearing = service.clone();
    // As the server does it: beside the requests.
    let clearing = tokio::spawn(async move { clearing.purge().await });
    let mut day = Day { service, caller: &caller, dice: Dice(seed), home, step: 0 };
    let mut outcome = None;
    while outcome.is_none() && day.step < steps {
        if let Done::Untold(mut ways) = day.work().await {
            ways.push(day.home.clone());
            outcome = Some((ways, true));
        }
        if outcome.is_none() && day.dice.roll(2) == 0 {
            let (limit, hasty) = (Some(1 + day.dice.roll(4) as usize), day.dice.roll(2) == 0);
            match client.follow(service, &caller, limit, hasty).await {
                Ok(()) => {}
                // A medium that does not answer is for the asker to try again.
                Err(Stop::Failed(_) | Stop::Refused(Refusal::Busy { .. })) => {
                    outcome = Some((vec![day.home.clone()], true));
                }
                Err(Stop::Refused(refusal)) => panic!("{refusal}; {told}"),
            }
        }
    }
    clearing.abort();
    Some(outcome.unwrap_or_else(|| (vec![day.home.clone()], false)))
}

/// Goes on after the power came back: everything is as it was told, and stays so.
async fn afternoon(service: &Arc<Service>, seed: u64, ways: &[Home], mut client: Client, told: &str) {
    assert_sound(service, told).await;
    let caller = sign_in(service).await.unwrap();
    let home = Home::read(service, &caller).await.unwrap();
    if !ways.iter().any(|way| home.is(way)) {
        panic!("the home is none of what it may be; {told}\n{home:#?}\n{ways:#?}");
    }
    client.follow(service, &caller, None, false).await.unwrap();
    client.assert_holds(&home, told);
    let clearing = service.clone();
    let clearing = tokio::spawn(async move { clearing.purge().await });
    let mut day = Day { service, caller: &caller, dice: Dice(seed), home, step: STEPS };
    for _ in 0..STEPS_AFTER {
        assert!(matches!(day.work().await, Done::Told), "{told}");
    }
    clearing.abort();
    let expected = day.home;
    let home = Home::read(service, &caller).await.unwrap();
    assert!(home.is(&expected), "after more work; {told}");
    for limit in [Some(2), None] {
        client.follow(service, &caller, limit, false).await.unwrap();
        client.assert_holds(&home, told);
        client = Client::default();
    }
    assert_sound(service, told).await;
}

/// One day on which the power fails at operation `at`, if the day has that many; whether it did, and
/// how many operations the day had.
async fn day(first: &Disk, steps: u32, at: u64, seed: u64) -> (bool, u64) {
    let told = format!("power failure at {at}, seed {seed}");
    let disk = first.restarted();
    disk.fail_after(at, seed);
    let mut client = Client::default();
    let opened = open(&disk, 1).await;
    let before = match &opened {
        Ok(service) => morning(service, (steps, seed), &mut client, &told).await,
        Err(_) => None,
    };
    if let Ok(service) = opened {
        let _ = service.close().await;
    }
    let (failed, operations) = (disk.is_dead(), disk.operations());
    let mut disk = disk.restarted();
    if seed.is_multiple_of(3) {
        // And once more, while the store is opened.
        disk.fail_after(seed / 3 % 12, seed);
        if let Ok(service) = open(&disk, 2).await {
            let _ = service.close().await;
        }
        disk = disk.restarted();
    }
    let service = open(&disk, 3).await.unwrap_or_else(|error| panic!("{told}: {error}"));
    match before {
        Some((ways, untold)) => {
            assert!(failed || !untold, "a step failed without a reason; {told}");
            afternoon(&service, seed, &ways, client, &told).await;
        }
        // It failed before anything was asked for.
        None => assert_sound(&service, &told).await,
    }
    service.close().await.unwrap();
    (failed, operations)
}

/// `SEED=17 cargo test --test protocol-tests power` takes other days.
#[test]
fn sync_13_a_power_failure_loses_nothing_acknowledged_and_halves_nothing() {
    let chosen = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0_u64);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let first = first_day().await;
        let (failed, operations) = day(&first, STEPS, u64::MAX / 2, chosen).await;
        assert!(!failed);
        let mut failures = 0;
        for number in 0..DAYS {
            let seed = chosen.wrapping_mul(DAYS) + number;
            let (failed, _) = day(&first, STEPS, number * operations / DAYS, seed).await;
            failures += u64::from(failed);
        }
        // Days differ, so some end before their failure comes.
        assert!(failures > DAYS / 2, "only {failures} of {DAYS} days saw a failure");
    });
}

/// Every operation of a short day, each with some seeds; `SEEDS=200 cargo test --test protocol-tests
/// the_power_may` takes more.
#[test]
fn the_power_may_fail_at_every_operation() {
    const FEW: u32 = 8;
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3_u64);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let first = first_day().await;
        for seed in 0..seeds {
            // Until a day ends before its failure comes.
            let mut at = 0;
            while day(&first, FEW, at, seed).await.0 {
                at += 1;
            }
            assert!(at > u64::from(FEW), "seed {seed} saw failures at {at} operations only");
        }
    });
}
