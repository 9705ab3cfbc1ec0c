//! What the calendar of birthdays costs with many cards: its first list, which makes the index of days, and
//! later ones, a month's question, named events, a first sync, and all of these after a card changed. In
//! process, over a store in a directory of its own; CARDS says how many (10,000), of which each fifth has a
//! birthday, and PHOTO how many octets of a photo each has (none). Prints times; judges nothing.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cardkeep::domain::ical::filter::{ComponentCondition, ComponentFilter, Filter};
use cardkeep::domain::ical::overlap::Range;
use cardkeep::domain::id::{HomeName, MemberName};
use cardkeep::domain::token::BirthsToken;
use cardkeep::service::access::Caller;
use cardkeep::service::admin::{AdminAnswer, AdminRequest};
use cardkeep::service::audit::Origin;
use cardkeep::service::sign_in::Credentials;
use cardkeep::service::view::{Carry, Detail, Members};
use cardkeep::service::{KeyFile, Service, Settings};
use cardkeep::store::engine::redb::RedbEngine;
use cardkeep::store::keyslots::MasterKey;
use cardkeep::store::keyslots::file::FileMedium;

mod machine;

use machine::{Machine, Timer, Times};

/// The allocator of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often each question is asked.
const ROUNDS: usize = 40;
/// How many cards are written at a time.
const WRITERS: usize = 128;
/// How many events are asked for by their names.
const NAMED: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let (count, photo) = (asked("CARDS").unwrap_or(10_000), asked("PHOTO").unwrap_or(0));
    let room = tempfile::tempdir()?;
    let engine = Arc::new(RedbEngine::open(&room.path().join("store"), 64 << 20)?);
    let keys = KeyFile::new(FileMedium::create(&room.path().join("keys"))?, vec![MasterKey::new([7; 32])]);
    let service = Service::open(engine, keys, Arc::new(Machine), Arc::new(Machine), Settings::default());
    let asker = Asker::new(Arc::new(service.await?), photo).await?;
    asker.fill(count).await?;

    asker.first("the first list, which makes the index").await?;
    asker.first("the second list").await?;
    asker.questions().await?;
    asker.after_changes(count).await?;
    asker.service.close().await?;
    Ok(())
}

/// Who asks.
struct Asker {
    service: Arc<Service>,
    caller: Caller,
    /// Where the calendar is.
    home: HomeName,
    births: MemberName,
    /// The octets of each card's photo.
    photo: usize,
}

impl Asker {
    async fn new(service: Arc<Service>, photo: usize) -> Result<Self, Box<dyn Error>> {
        let password = Some("a pass phrase".to_owned());
        let (name, email, display_name) = ("office".into(), None, None);
        let add = AdminRequest::UserAdd { name, email, display_name, admin: false, password };
        if let AdminAnswer::Refused(why) = service.admin(add).await {
            return Err(why.into());
        }
        let credentials = Credentials { user: "office".into(), password: "a pass phrase".into() };
        let from = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), client: "bench" };
        let caller = service.sign_in(credentials, from).await.map_err(|_| "nobody signed in")?;
        let home = HomeName::calendars(caller.name.clone());
        Ok(Self { service, caller, home, births: named("birthdays")?, photo })
    }

    async fn fill(&self, count: usize) -> Result<(), Box<dyn Error>> {
        let begun = Instant::now();
        let writers = (0..WRITERS).map(|writer| {
            let (service, caller, photo) = (self.service.clone(), self.caller.clone(), self.photo);
            tokio::spawn(async move {
                for n in (writer..count).step_by(WRITERS) {
                    put(&service, &caller, n, "", photo).await.map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(())
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await??;
        }
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        println!("made {count} cards, {rate:.0} a second");
        Ok(())
    }

    async fn first(&self, what: &str) -> Result<(), Box<dyn Error>> {
        let begun = Timer::start();
        let found = self.list().await?.len();
        let (took, busy) = begun.ends();
        let (took, busy) = (took.as_secs_f64() * 1e3, busy.as_secs_f64() * 1e3);
        println!("{what} ({found} found): {took:.2} ms, of a processor {busy:.2} ms");
        Ok(())
    }

    async fn questions(&self) -> Result<(), Box<dyn Error>> {
        let names: Vec<MemberName> = self.list().await?.into_iter().take(NAMED).collect();
        let (mut list, mut month, mut some, mut sync) =
            (Times::default(), Times::default(), Times::default(), Times::default());
        let (mut in_list, mut in_month, mut in_sync) = (0, 0, 0);
        for n in 0..ROUNDS {
            let begun = Timer::start();
            in_list = self.list().await?.len();
            list.add(begun);
            let begun = Timer::start();
            in_month = self.month(n % 12).await?;
            month.add(begun);
            let detail = Detail { properties: false, body: true };
            let begun = Timer::start();
            let members = Members::Named(names.clone());
            self.service.book(&self.caller, &self.home, &self.births, members, detail).await?;
            some.add(begun);
            let begun = Timer::start();
            in_sync = self.sync(None).await?.0;
            sync.add(begun);
        }
        list.print(&format!("list ({in_list} found)"));
        month.print(&format!("a month ({in_month} found)"));
        some.print(&format!("{} events by name", names.len()));
        sync.print(&format!("a first sync ({in_sync} told)"));
        Ok(())
    }

    /// Each question as the first one after a card changed.
    async fn after_changes(&self, count: usize) -> Result<(), Box<dyn Error>> {
        let (mut list, mut month, mut delta) = (Times::default(), Times::default(), Times::default());
        let mut token = self.sync(None).await?.1;
        for n in 0..ROUNDS {
            let change = async |what: &str| {
                let note = format!("NOTE:{what} {n}\r\n");
                put(&self.service, &self.caller, n * 5 % count, &note, self.photo).await?;
                Ok::<_, Box<dyn Error>>(Timer::start())
            };
            let begun = change("list").await?;
            self.list().await?;
            list.add(begun);
            let begun = change("month").await?;
            self.month(n % 12).await?;
            month.add(begun);
            let begun = change("delta").await?;
            token = self.sync(Some(token)).await?.1;
            delta.add(begun);
        }
        list.print("list after one change");
        month.print("a month after one change");
        delta.print("a sync after changes to one card");
        Ok(())
    }

    async fn list(&self) -> Result<Vec<MemberName>, Box<dyn Error>> {
        let (members, detail) = (Members::All, Detail::default());
        let view = self.service.book(&self.caller, &self.home, &self.births, members, detail).await?;
        Ok(view.cards.into_iter().map(|event| event.name).collect())
    }

    async fn month(&self, month: usize) -> Result<usize, Box<dyn Error>> {
        let edge = |month: usize| {
            format!("{}-{:02}-01T00:00:00Z", 2026 + month / 12, 1 + month % 12).parse::<jiff::Timestamp>()
        };
        let range = Some(Range { start: Some(edge(month)?), end: Some(edge(month + 1)?) });
        let asks = |name: &str, range, components| ComponentFilter {
            name: name.to_owned(),
            condition: ComponentCondition::Defined { range, properties: Vec::new(), components },
        };
        let filter = Arc::new(Filter(asks("VCALENDAR", None, vec![asks("VEVENT", range, Vec::new())])));
        let mut carry = Carry::new(Detail { properties: false, body: true });
        let place = (&self.home, &self.births);
        let found = self.service.query_calendar(&self.caller, place, filter, None, None, &mut carry).await?;
        Ok(found.cards.len() + found.names.len())
    }

    /// How many events a sync tells of, and the token after it.
    async fn sync(&self, since: Option<BirthsToken>) -> Result<(usize, BirthsToken), Box<dyn Error>> {
        let place = (&self.home, &self.births);
        let changes = self.service.birthday_changes(&self.caller, place, since, None).await?;
        Ok((changes.changed.len() + changes.removed.len(), changes.token))
    }
}

fn named(text: &str) -> Result<MemberName, Box<dyn Error>> {
    MemberName::parse(text).map_err(|_| "a name is none".into())
}

async fn put(
    service: &Service,
    caller: &Caller,
    n: usize,
    lines: &str,
    photo: usize,
) -> Result<(), Box<dyn Error>> {
    let (books, book, file) = (caller.books(), named("contacts")?, named(&format!("{n}.vcf"))?);
    service.put(caller, (&books, &book, &file), card(n, lines, photo), Vec::new()).await?;
    Ok(())
}

fn card(n: usize, lines: &str, photo: usize) -> Bytes {
    let (year, month, day) = (1930 + n % 90, 1 + n / 5 % 12, 1 + n / 60 % 28);
    let birthday = match n % 5 {
        0 if n.is_multiple_of(3) => format!("BDAY:--{month:02}{day:02}\r\n"),
        0 => format!("BDAY:{year}-{month:02}-{day:02}\r\n"),
        _ => String::new(),
    };
    let photo = match photo {
        0 => String::new(),
        octets => format!("PHOTO;ENCODING=b;TYPE=JPEG:{}\r\n", "/9j/".repeat(octets / 3)),
    };
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:births-{n}\r\nFN:Person {n}\r\nN:{n};Person;;;\r\n\
         ORG:Firma {}\r\nTITLE:Sachbearbeitung\r\nEMAIL;TYPE=WORK:person{n}@example.com\r\n\
         TEL;TYPE=WORK:030 {:07}\r\nADR;TYPE=WORK:;;Hauptstraße {};Berlin;;10115;Deutschland\r\n\
         {birthday}{photo}{lines}END:VCARD\r\n",
        n % 1_000,
        2_000_000 + n,
        n % 200
    )
    .into()
}
