//! What the office's questions cost with many contacts: pages, filters, full text, look-ups, merging and
//! duplicates. In process, over a store in a directory of its own; CONTACTS says how many (100,000).
//! Prints times; judges nothing.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use cardkeep::domain::contact::{CardFields, Email, Name, Organization, Phone, PostalAddress};
use cardkeep::domain::ical::Components;
use cardkeep::domain::id::{MemberName, Principal};
use cardkeep::domain::scim::{Filter, Query};
use cardkeep::service::access::Caller;
use cardkeep::service::admin::{AdminAnswer, AdminRequest};
use cardkeep::service::audit::Origin;
use cardkeep::service::definitions::filters::Serves;
use cardkeep::service::library::NewBook;
use cardkeep::service::office::{
    By, ContactRef, ContactView, Draft, Found, Listed, MergeAsked, Order, RecordDraft, Take,
};
use cardkeep::service::sign_in::Credentials;
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
/// How many contacts are made at a time.
const WRITERS: usize = 128;

const GIVEN: [&str; 16] = [
    "Jörg", "Anna", "Mehmet", "Zoë", "Lukas", "Émilie", "Paul", "Ayşe", "Nora", "Ilse", "Tim", "Ada", "Ken",
    "Ruth", "Ole", "Vera",
];
const FAMILY: [&str; 16] = [
    "Müller",
    "Schmidt",
    "Öztürk",
    "Łukasz",
    "Novák",
    "García",
    "Weiß",
    "Becker",
    "Sørensen",
    "Dupont",
    "Rossi",
    "Klein",
    "Wolf",
    "Schröder",
    "Neumann",
    "Schwarz",
];

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let count = std::env::var("CONTACTS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let room = tempfile::tempdir()?;
    let engine = Arc::new(RedbEngine::open(&room.path().join("store"), 64 << 20)?);
    let keys = KeyFile::new(FileMedium::create(&room.path().join("keys"))?, vec![MasterKey::new([7; 32])]);
    let region = cardkeep::domain::phone::Region::parse("DE");
    let settings = Settings { default_region: region, ..Settings::default() };
    let service =
        Arc::new(Service::open(engine, keys, Arc::new(Machine), Arc::new(Machine), settings).await?);
    let caller = office(&service).await?;
    fill(&service, &caller, count).await?;

    let begun = Timer::start();
    service.list_contacts(&caller, listed(None, None, 1)?).await?;
    let (took, busy) = begun.ends();
    println!(
        "{count} contacts; the index of contacts was made in {:.1} s, {:.1} of a processor",
        took.as_secs_f64(),
        busy.as_secs_f64()
    );
    let (held, octets) = service.index_size();
    println!("the index has about {} octets a contact; the process, {}", octets / held.max(1), resident());
    lists(&service, &caller).await?;
    look_ups(&service, &caller).await?;
    let begun = Timer::start();
    let pairs = service.duplicate_pairs(&caller, 10_000).await?.len();
    let (took, busy) = begun.ends();
    println!(
        "duplicates of all: {:.1} s, {:.1} of a processor ({pairs} pairs told)",
        took.as_secs_f64(),
        busy.as_secs_f64()
    );
    changes(&service, &caller, count).await?;
    merges(&service, &caller).await?;
    smart(&service, &caller).await?;
    service.close().await?;
    Ok(())
}

async fn lists(service: &Service, caller: &Caller) -> Result<(), Box<dyn Error>> {
    let filter = "organization.name eq \"Firma 3\" and emails.value co \"@example.org\"";
    for (what, filter, words, order) in [
        ("page of 100 by name", None, None, None),
        ("page of 100, changed last", None, None, Some(By::Updated)),
        ("filter by company and address, 100 a page", Some(filter), None, None),
        ("filter by city, 100 a page", Some("addresses.locality sw \"köl\""), None, None),
        ("filter by a word of the note, 100 a page", Some("note co \"nirgends\""), None, None),
        ("full text, a name", None, Some("muller jorg"), None),
        ("full text, one contact", None, Some("person4711"), None),
        ("full text, words of all", None, Some("anrufe vormittag"), None),
    ] {
        let mut times = Times::default();
        let mut total = 0;
        for _ in 0..ROUNDS {
            let order = order.clone().map(|by| Order { by, descending: true });
            let asked = Listed { order: order.into_iter().collect(), ..listed(filter, words, 100)? };
            let begun = Timer::start();
            total = service.list_contacts(caller, asked).await?.total;
            times.add(begun);
        }
        times.print(&format!("{what} ({total} found)"));
    }
    Ok(())
}

async fn look_ups(service: &Service, caller: &Caller) -> Result<(), Box<dyn Error>> {
    let (mut phones, mut emails) = (Times::default(), Times::default());
    for n in 0..ROUNDS {
        let begun = Timer::start();
        let found = service.contacts_by_phone(caller, &number(n * 7)).await?.len();
        phones.add(begun);
        let begun = Timer::start();
        let by_email = service.contacts_by_email(caller, &address(n * 7)).await?.len();
        emails.add(begun);
        if found == 0 || by_email == 0 {
            return Err("a contact was not found".into());
        }
    }
    phones.print("look-up by phone");
    emails.print("look-up by e-mail");
    Ok(())
}

/// What changing one contact costs beside the index, and the list of what was deleted.
async fn changes(service: &Service, caller: &Caller, count: usize) -> Result<(), Box<dyn Error>> {
    let (mut made, mut changed, mut deleted) = (Times::default(), Times::default(), Times::default());
    for n in 0..ROUNDS {
        let begun = Timer::start();
        let view = service.create_contact(caller, draft(count + n)).await?;
        made.add(begun);
        let names = (view.assigned_to.clone(), view.reports_to.clone(), view.company.clone());
        let record = RecordDraft::of(&view.record, names);
        let fields = CardFields { title: "Leitung".into(), ..view.fields.clone() };
        let begun = Timer::start();
        let view = service.change_contact(caller, &view, Draft { book: None, fields, record }).await?;
        changed.add(begun);
        let begun = Timer::start();
        service.delete_contact(caller, &view).await?;
        deleted.add(begun);
    }
    made.print("a new contact");
    changed.print("a change of a contact");
    deleted.print("deleting a contact");
    for n in 0..(count / 10).min(10_000) as u64 {
        // Those behind all that are looked for or merged.
        let view = shown(service, caller, count as u64 - n).await?;
        service.delete_contact(caller, &view).await?;
    }
    let mut times = Times::default();
    let mut total = 0;
    for _ in 0..ROUNDS {
        let begun = Timer::start();
        total =
            service.list_contacts(caller, Listed { trash: true, ..listed(None, None, 100)? }).await?.total;
        times.add(begun);
    }
    times.print(&format!("page of 100 of the trash ({total} in it)"));
    Ok(())
}

async fn office(service: &Service) -> Result<Caller, Box<dyn Error>> {
    let password = Some("a pass phrase".to_owned());
    let (name, email, display_name) = ("office".into(), None, None);
    let add = AdminRequest::UserAdd { name, email, display_name, admin: false, password };
    if let AdminAnswer::Refused(why) = service.admin(add).await {
        return Err(why.into());
    }
    let credentials = Credentials { user: "office".into(), password: "a pass phrase".into() };
    let from = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), client: "bench" };
    service.sign_in(credentials, from).await.map_err(|_| "nobody signed in".into())
}

async fn fill(service: &Arc<Service>, caller: &Caller, count: usize) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let (service, caller) = (service.clone(), caller.clone());
        tokio::spawn(async move {
            for n in (writer..count).step_by(WRITERS) {
                service.create_contact(&caller, draft(n)).await.map_err(|stop| stop.to_string())?;
            }
            Ok::<_, String>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("made {count} contacts, {rate:.0} a second");
    Ok(())
}

async fn merges(service: &Service, caller: &Caller) -> Result<(), Box<dyn Error>> {
    let mut times = Times::default();
    for n in 0..ROUNDS as u64 {
        let target = shown(service, caller, 2 * n + 1).await?;
        let sources = vec![shown(service, caller, 2 * n + 2).await?];
        let asked = MergeAsked { target, sources, take: Take::default() };
        let begun = Timer::start();
        service.merge_contacts(caller, &asked).await?;
        times.add(begun);
    }
    times.print("merge of two");
    Ok(())
}

/// What a smart book of many costs: made, after one change, and looked through after a change to who may
/// see what.
async fn smart(service: &Service, caller: &Caller) -> Result<(), Box<dyn Error>> {
    let owner = Principal::User(caller.name.clone());
    let name = MemberName::parse("smart").map_err(|_| "a book's name is none")?;
    let new = NewBook { owner, name, components: Components::NONE, private: false, shares: Vec::new() };
    let filter = Serves::Text("addresses.locality sw \"köl\"".into());
    service.create_smart_book(caller, new, filter).await.map_err(|stop| stop.to_string())?;
    for what in ["made", "looked through", "after one change"] {
        match what {
            "looked through" => {
                let (name, email, display_name, password) = ("other".into(), None, None, None);
                service
                    .admin(AdminRequest::UserAdd { name, email, display_name, admin: false, password })
                    .await;
            }
            "after one change" => {
                let view = shown(service, caller, 101).await?;
                service.clone_contact(caller, &view).await?;
            }
            _ => {}
        }
        let begun = Timer::start();
        service.smart_settled().await?;
        let (took, busy) = begun.ends();
        println!(
            "a smart book, {what}: {:.2} s, {:.2} of a processor",
            took.as_secs_f64(),
            busy.as_secs_f64()
        );
    }
    Ok(())
}

async fn shown(service: &Service, caller: &Caller, number: u64) -> Result<ContactView, Box<dyn Error>> {
    match service.contact(caller, ContactRef::Number(0, number)).await? {
        Found::There(view) => Ok(*view),
        Found::Merged(_) => Err("a contact was merged already".into()),
    }
}

fn listed(filter: Option<&str>, words: Option<&str>, limit: usize) -> Result<Listed, Box<dyn Error>> {
    let filter = filter.map(Filter::parse).transpose()?;
    let query = words.and_then(Query::parse);
    Ok(Listed { filter, query, order: Vec::new(), step: None, limit, trash: false })
}

fn address(n: usize) -> String {
    let host = if n.is_multiple_of(3) { "example.org" } else { "example.com" };
    format!("person{n}@{host}")
}

fn number(n: usize) -> String {
    format!("030 {:07}", 2_000_000 + n)
}

fn draft(n: usize) -> Draft {
    let pick = |names: [&'static str; 16], at: usize| names.get(at % 16).copied().unwrap_or("X").to_owned();
    let (given, family) = (pick(GIVEN, n), format!("{} {}", pick(FAMILY, n / 16), n / 256));
    let types = |kind: &str| vec![kind.to_owned()];
    let city = ["Köln", "Berlin", "Hamburg", "Wien"].get(n % 4).copied().unwrap_or_default().to_owned();
    let fields = CardFields {
        name: Name { formatted: format!("{given} {family}"), given, family, ..Name::default() },
        organization: Organization { name: format!("Firma {}", n % 1_000), units: vec!["Einkauf".into()] },
        title: "Sachbearbeitung".into(),
        emails: vec![Email { value: address(n), types: types("work"), pref: Some(1) }],
        phones: vec![Phone { value: number(n), types: types("work"), pref: None }],
        addresses: vec![PostalAddress {
            street: format!("Hauptstraße {}", n % 200),
            locality: city,
            postal_code: format!("{:05}", n % 99_999),
            country: "Deutschland".into(),
            types: types("work"),
            ..PostalAddress::default()
        }],
        note: "Kennt das Haus seit Jahren und mag Anrufe am Vormittag.".into(),
        categories: vec!["Kunden".into()],
        ..CardFields::default()
    };
    Draft { book: None, fields, record: RecordDraft::default() }
}

/// How much memory the process has.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or("unknown").trim().to_owned()
}
