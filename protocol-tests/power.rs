//! The power fails in the middle of a user's day: what was acknowledged is there, what was not is
//! there wholly or not at all, and a client that followed tokens goes on as if nothing had been
//! (RFC 6578 §3.4). The real service over the real engine, on a disk that fails as disks do.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cardkeep::domain::ical::Kind;
use cardkeep::domain::id::{CollectionKind, Principal};
use cardkeep::domain::scim::Filter;
use cardkeep::service::Service;
use cardkeep::service::access::Caller;
use cardkeep::service::admin::{AdminAnswer, AdminRequest};
use cardkeep::service::definitions::filters::Serves;
use cardkeep::service::library::NewBook;
use cardkeep::service::office::Listed;
use cardkeep::service::refusal::{Refusal, Stop};
use cardkeep::service::view::{Detail, Members};
use cardkeep::store::engine::redb::RedbEngine;
use cardkeep::store::keyslots::Medium;
use redb::StorageBackend as _;

use crate::chance::Dice;
use crate::faulty::Disk;
use crate::inside::{self, alice, name, sign_in};

mod client;
mod home;
mod work;

use client::Client;
use home::{FILTER, Home, SMART, home_of};
use work::{DONE, Day, Done, card, object};

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
    let engine = RedbEngine::with_backend(disk.clone(), 1 << 20);
    inside::open(engine, Keys(disk.other()), opening).await.map(Arc::new)
}

/// A disk with one account and a few cards.
async fn first_day() -> Disk {
    let disk = Disk::new();
    let service = open(&disk, 0).await.unwrap();
    let caller = alice(&service).await;
    for n in 0..6 {
        let file = format!("c{n}.vcf");
        let place = (&caller.books(), &name("contacts"), &name(&file));
        service.put(&caller, place, card(&file, 100, 0), Vec::new()).await.unwrap();
    }
    for (n, (calendar, kind)) in
        (0..).zip([("calendar", Kind::Event), ("calendar", Kind::Event), ("tasks", Kind::Todo)])
    {
        let file = format!("c{n}.ics");
        let place = (&home_of(&caller, calendar), &name(calendar), &name(&file));
        service.put(&caller, place, object(kind, &file, 100, 0), Vec::new()).await.unwrap();
    }
    let new = NewBook {
        owner: Principal::User(caller.name.clone()),
        name: name(SMART),
        components: cardkeep::domain::ical::Components::NONE,
        private: false,
        shares: Vec::new(),
    };
    service.create_smart_book(&caller, new, Serves::Text(FILTER.into())).await.unwrap();
    service.smart_settled().await.unwrap();
    service.close().await.unwrap();
    disk.restarted()
}

/// The smart book, once it has followed, shows what its filter finds, as it is.
async fn assert_smart(service: &Service, caller: &Caller, home: &Home, told: &str) {
    let filter = Some(Filter::parse(FILTER).unwrap());
    let asked = Listed { filter, query: None, order: Vec::new(), step: None, limit: 1_000, trash: false };
    let found = service.list_contacts(caller, asked).await.unwrap().contacts;
    let found: BTreeSet<_> = found.iter().map(|contact| format!("{}.vcf", contact.id)).collect();
    let shown: BTreeSet<_> = home.smart.keys().cloned().collect();
    assert_eq!(shown, found, "what the smart book shows; {told}");
    let detail = Detail { properties: false, body: true };
    let smart =
        service.book(caller, &caller.books(), &name(SMART), Members::All, detail).await.unwrap().cards;
    let names = smart.iter().map(|card| card.name.clone()).collect();
    let smart =
        service.book(caller, &caller.books(), &name(SMART), Members::Named(names), detail).await.unwrap();
    let all: Vec<_> =
        home.books.values().flat_map(|book| book.cards.values().map(|card| &card.body)).collect();
    for card in &smart.cards {
        assert!(
            all.contains(&card.body.as_ref().unwrap()),
            "a card of the smart book is no contact's; {told}"
        );
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
    let caller = sign_in(service).await.ok()?;
    let home = Home::read(service, &caller).await.ok()?;
    let clearing = service.clone();
    // As the server does it: beside the requests.
    let clearing = tokio::spawn(async move { clearing.purge().await });
    let home = Home { trashed: Default::default(), ..home };
    let mut day =
        Day { service, caller: &caller, dice: Dice(seed), home, step: 0, kind: CollectionKind::default() };
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
    service.smart_settled().await.unwrap();
    let home = Home::read(service, &caller).await.unwrap();
    assert_smart(service, &caller, &home, told).await;
    client.follow(service, &caller, None, false).await.unwrap();
    client.assert_holds(&home, told);
    let clearing = service.clone();
    let clearing = tokio::spawn(async move { clearing.purge().await });
    let mut day = Day {
        service,
        caller: &caller,
        dice: Dice(seed),
        home,
        step: STEPS,
        kind: CollectionKind::default(),
    };
    for _ in 0..STEPS_AFTER {
        assert!(matches!(day.work().await, Done::Told), "{told}");
    }
    clearing.abort();
    let expected = day.home;
    service.smart_settled().await.unwrap();
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
        let done = DONE.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert!(done.iter().all(|count| *count > DAYS / 10), "too few of these were done: {done:?}");
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
