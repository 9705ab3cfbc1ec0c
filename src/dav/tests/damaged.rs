//! One damaged row at a time, of every table, and every read over it: what it struck fails, nothing
//! else changes, nobody is told that something is gone, and a client that syncs misses nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::sign_in::{Argon2Cost, Credentials, NotSignedIn};
use crate::service::tests::{Counting, Ticking};
use crate::service::{ContactSettings, Settings};
use crate::store::engine::memory::MemoryEngine;
use crate::store::engine::{Batch, Engine, Extent, KeyRange, Write};
use crate::store::keys::{self, Table};
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::tests::key_file;

use crate::dav::xml::name::Ns;
use crate::dav::xml::read::parse;
use crate::dav::*;

const HOME: &str = "/dav/addressbooks/alice/";
const BOOK: &str = "/dav/addressbooks/alice/contacts/";
const OTHER: &str = "/dav/addressbooks/alice/other/";
const PRINCIPAL: &str = "/dav/principals/users/alice/";
const NAMESPACES: &str = "xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav'";

/// A status, and of a multistatus each href's response, or the body of anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    status: u16,
    responses: BTreeMap<String, String>,
    rest: String,
}

struct World {
    engine: Arc<MemoryEngine>,
    service: Arc<Service>,
    caller: Caller,
    secret: String,
    /// From before `gone` was removed and `late` came.
    token: String,
}

impl World {
    async fn new() -> Self {
        Self::keeping(30).await
    }

    /// One in whose trash things lie for so many days.
    async fn keeping(trash_days: u32) -> Self {
        let contacts = ContactSettings { trash_days, ..ContactSettings::default() };
        let argon2 = Argon2Cost { memory_kib: 8, passes: 1 };
        let settings = Settings { argon2, contacts, ..Settings::default() };
        let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000)));
        let entropy = Arc::new(Counting(AtomicU64::new(0)));
        let engine = Arc::new(MemoryEngine::new());
        let keys = key_file(&MemoryMedium::new());
        let service = Service::open(engine.clone(), keys, clock, entropy, settings).await.unwrap();
        for name in ["alice", "bob"] {
            let add = AdminRequest::UserAdd {
                name: name.into(),
                email: None,
                display_name: None,
                admin: false,
                password: Some("secret".into()),
            };
            assert!(matches!(service.admin(add).await, AdminAnswer::Done));
        }
        let create = AdminRequest::TokenCreate {
            user: "alice".into(),
            api: false,
            scopes: Vec::new(),
            expires: None,
            label: Some("phone".into()),
        };
        let AdminAnswer::Secret { secret, .. } = service.admin(create).await else { panic!("no secret") };
        let mut world = Self {
            caller: sign_in(&service, "alice", "secret").await.unwrap(),
            service: Arc::new(service),
            engine,
            secret,
            token: String::new(),
        };
        sign_in(&world.service, "bob", "secret").await.unwrap();
        world.furnish().await;
        world
    }

    async fn furnish(&mut self) {
        assert_eq!(self.send("MKCOL", OTHER, "", "").await.status, 201);
        for name in ["a", "b", "gone"] {
            self.put(BOOK, name).await;
        }
        self.put(BOOK, "a").await;
        self.put(OTHER, "x").await;
        let patch = format!(
            "<D:propertyupdate {NAMESPACES}><D:set><D:prop><note xmlns='x'>n</note></D:prop></D:set></D:propertyupdate>"
        );
        for path in [PRINCIPAL, HOME, BOOK, &format!("{BOOK}a.vcf")] {
            assert_eq!(self.send("PROPPATCH", path, "", &patch).await.status, 207);
        }
        let sync = self.send("REPORT", BOOK, "", &sync("")).await;
        self.token = sync.rest;
        self.put(BOOK, "late").await;
        assert_eq!(self.send("DELETE", &format!("{BOOK}gone.vcf"), "", "").await.status, 204);
    }

    async fn put(&self, book: &str, name: &str) {
        let status = self.send("PUT", &format!("{book}{name}.vcf"), "", &card(name)).await.status;
        assert!(matches!(status, 201 | 204));
    }

    async fn send(&self, method: &str, path: &str, depth: &str, body: &str) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        if !depth.is_empty() {
            request = request.header("depth", depth);
        }
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let front = props::tests::front();
        let Ok(answer) = handle(&self.service, &self.caller, &front, request).await else {
            return Got { status: 500, responses: BTreeMap::new(), rest: String::new() };
        };
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let mut got = Got { status, responses: BTreeMap::new(), rest: String::new() };
        if status != 207 {
            got.rest = String::from_utf8_lossy(&body).into_owned();
            return got;
        }
        let text = std::str::from_utf8(&body).unwrap();
        let root = parse(&body).unwrap();
        if let Some(token) = root.child(&Ns::Dav, "sync-token") {
            got.rest = token.text().into_owned();
        }
        for response in text.split("<D:response>").skip(1) {
            let response = response.split("</D:response>").next().unwrap();
            let (href, rest) = response.split_once("</D:href>").unwrap();
            let told = got.responses.insert(href.strip_prefix("<D:href>").unwrap().into(), rest.into());
            assert!(told.is_none(), "{href} is told twice");
        }
        got
    }

    /// Everything that can be read.
    async fn reads(&self) -> Vec<(String, Got)> {
        let named = format!(
            "<D:propfind {NAMESPACES}><D:prop><D:resourcetype/><D:getetag/><note xmlns='x'/></D:prop></D:propfind>"
        );
        let names = ["a", "b", "late", "gone"].map(|name| format!("{BOOK}{name}.vcf"));
        let hrefs: String = names.iter().map(|href| format!("<D:href>{href}</D:href>")).collect();
        let both = format!("{hrefs}<D:href>{OTHER}x.vcf</D:href>");
        let multiget = |hrefs: &str| {
            format!(
                "<C:addressbook-multiget {NAMESPACES}><D:prop><D:getetag/><C:address-data/></D:prop>{hrefs}</C:addressbook-multiget>"
            )
        };
        let query = format!(
            "<C:addressbook-query {NAMESPACES}><D:prop><D:getetag/><C:address-data/></D:prop><C:filter><C:prop-filter name='FN'/></C:filter></C:addressbook-query>"
        );
        let mut asked = Vec::new();
        for path in ["/dav/", "/dav/addressbooks/", PRINCIPAL, HOME, BOOK, OTHER] {
            asked.extend(["0", "1"].map(|depth| ("PROPFIND", path.to_owned(), depth, named.clone())));
            asked.push(("PROPFIND", path.to_owned(), "1", String::new()));
        }
        for path in &names {
            asked.push(("PROPFIND", path.clone(), "0", named.clone()));
            asked.extend(["GET", "HEAD"].map(|method| (method, path.clone(), "", String::new())));
        }
        asked.push(("REPORT", BOOK.to_owned(), "", sync("")));
        asked.push(("REPORT", BOOK.to_owned(), "", sync(&self.token)));
        asked.push(("REPORT", HOME.to_owned(), "", sync("")));
        asked.push(("REPORT", BOOK.to_owned(), "", multiget(&hrefs)));
        asked.push(("REPORT", HOME.to_owned(), "", multiget(&both)));
        asked.push(("REPORT", BOOK.to_owned(), "1", query.clone()));
        asked.push(("REPORT", HOME.to_owned(), "infinity", query));
        let mut reads = Vec::new();
        for (method, path, depth, body) in asked {
            let what = format!("{method} {path} {depth} {}", body.get(..30).unwrap_or_default());
            reads.push((what, self.send(method, &path, depth, &body).await));
        }
        for (user, password) in [("alice", "secret"), ("alice", self.secret.as_str()), ("bob", "secret")] {
            let status = match sign_in(&self.service, user, password).await {
                Ok(_) => 200,
                Err(NotSignedIn::Failed(_)) => 500,
                Err(_) => 401,
            };
            let got = Got { status, responses: BTreeMap::new(), rest: String::new() };
            reads.push((format!("sign in {user} {}", password.len()), got));
        }
        reads
    }

    async fn rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let rows = found.clone();
        let visit = move |key: &[u8], value: &[u8]| {
            rows.lock().unwrap().push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        let all = KeyRange { start: Vec::new(), end: vec![0xff] };
        self.engine.snapshot().await.unwrap().scan(all, Extent::Few, Box::new(visit)).await.unwrap();
        std::mem::take(&mut found.lock().unwrap())
    }

    async fn set(&self, key: &[u8], value: &[u8]) {
        let write = Write::Put { key: key.to_vec(), value: value.to_vec(), stamp: None };
        self.engine.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
    }
}

async fn sign_in(service: &Service, user: &str, password: &str) -> Result<Caller, NotSignedIn> {
    let credentials = Credentials { user: user.into(), password: password.into() };
    service.sign_in(credentials, std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)).await
}

fn card(name: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{name}\r\nFN:{name}\r\nN:{name};;;;\r\nEND:VCARD\r\n")
}

fn sync(token: &str) -> String {
    format!(
        "<D:sync-collection {NAMESPACES}><D:sync-token>{token}</D:sync-token><D:prop><D:getetag/></D:prop></D:sync-collection>"
    )
}

/// Which requests a damaged row of the table may fail as a whole.
fn may_fail(table: Table, what: &str) -> bool {
    match table {
        Table::Account => what.contains("principals") || what.starts_with("sign in"),
        Table::AppPassword => what.starts_with("sign in"),
        // A home, its books and what is in them, by their own URLs.
        Table::Member | Table::Collection | Table::Revision => what.contains("addressbooks"),
        Table::Body => what.starts_with("GET") || what.starts_with("HEAD"),
        // The client is told to list anew.
        Table::Tombstone => what.contains("sync-coll"),
        _ => false,
    }
}

fn assert_contained(table: Table, whole: &[(String, Got)], now: &[(String, Got)]) {
    for ((what, whole), (_, now)) in whole.iter().zip(now) {
        if whole.status != now.status {
            assert!(may_fail(table, what), "{table:?}: {what}: {} {}", whole.status, now.status);
            let told_to_list = table == Table::Tombstone && now.rest.contains("valid-sync-token");
            assert!(now.status == 500 || told_to_list, "{table:?}: {what}: {}", now.status);
            continue;
        }
        let mut struck = 0;
        for (href, response) in &whole.responses {
            match now.responses.get(href) {
                Some(same) if same == response => {}
                Some(other) => {
                    assert!(other.contains("500 Internal"), "{table:?}: {what}: {href}: {other}");
                    struck += 1;
                }
                // No name is left of it.
                None => struck += 1,
            }
        }
        // A book that cannot be read takes its cards with it where a home's are asked for.
        let of_home = what.contains("REPORT /dav/addressbooks/alice/ ");
        assert!(struck <= 1 || of_home, "{table:?}: {what}: {struck}");
        assert!(now.responses.keys().all(|href| whole.responses.contains_key(href)), "{table:?}: {what}");
        if whole.responses.is_empty() {
            assert_eq!(whole.rest, now.rest, "{table:?}: {what}");
        }
    }
}

fn answer<'a>(reads: &'a [(String, Got)], what: &str) -> &'a Got {
    &reads.iter().find(|(name, _)| name.starts_with(what)).unwrap().1
}

#[tokio::test]
async fn a_damaged_row_of_any_table_strikes_one_object() {
    let world = World::new().await;
    let whole = world.reads().await;
    assert!(whole.iter().all(|(what, got)| got.status < 400 || what.contains("gone")));
    let mut tables = Vec::new();
    for (key, value) in world.rows().await {
        let table = Table::of(key[0]).unwrap();
        tables.push(table);
        let mut forms = vec![b"\x07".to_vec(), Vec::new(), value[..value.len() - 1].to_vec()];
        for at in [value.len() / 2, value.len() - 1] {
            let mut flipped = value.clone();
            flipped[at] ^= 1;
            forms.push(flipped);
        }
        for form in forms {
            // A counter has no mark: only its length can tell.
            if table == Table::Revision && form.len() == 8 {
                continue;
            }
            world.set(&key, &form).await;
            assert_contained(table, &whole, &world.reads().await);
        }
        world.set(&key, &value).await;
    }
    for table in [Table::Account, Table::Body, Table::Change, Table::Properties, Table::Tombstone] {
        assert!(tables.contains(&table), "{table:?}");
    }
    assert!(world.service.damaged_values() > 0);
    assert_contained(Table::Installation, &whole, &world.reads().await);
}

#[tokio::test]
async fn a_card_whose_row_has_any_bit_wrong_is_told_by_its_name() {
    let world = World::new().await;
    let whole = world.reads().await;
    let a = format!("{BOOK}a.vcf");
    let mut struck = 0;
    for (key, value) in world.rows().await {
        if key[0] != Table::Member as u8 {
            continue;
        }
        // The first eight are the revision, which the engine writes.
        for at in 8..value.len() {
            let mut flipped = value.clone();
            flipped[at] ^= 1 << (at % 8);
            world.set(&key, &flipped).await;
            let got = world.send("GET", &a, "", "").await;
            if got.status == 200 {
                break;
            }
            assert_eq!(got.status, 500, "{at}");
            let listing = world.send("PROPFIND", BOOK, "1", "").await;
            if listing.status == 500 {
                break;
            }
            struck += 1;
            assert!(listing.responses[&a].contains("500"), "{at}");
            let initial = world.send("REPORT", BOOK, "", &sync("")).await;
            assert!(initial.responses[&a].contains("500"), "{at}");
        }
        world.set(&key, &value).await;
    }
    assert!(struck > 50);
    assert_contained(Table::Installation, &whole, &world.reads().await);
}

#[tokio::test]
async fn sign_in_with_a_damaged_account_is_not_a_wrong_password() {
    // The trash would be the server's own, as which nobody signs in.
    let world = World::keeping(0).await;
    for (key, value) in world.rows().await {
        if ![Table::Account as u8, Table::AppPassword as u8].contains(&key[0]) {
            continue;
        }
        for at in 0..value.len() {
            let mut flipped = value.clone();
            flipped[at] ^= 0x10;
            world.set(&key, &flipped).await;
            let reads = world.reads_of_sign_in().await;
            assert!(!reads.contains(&401), "{at}");
            assert!(reads.contains(&500) && reads.contains(&200), "{at}");
        }
        world.set(&key, &value).await;
    }
}

impl World {
    async fn reads_of_sign_in(&self) -> Vec<u16> {
        let mut found = Vec::new();
        for (user, password) in [("alice", "secret"), ("alice", self.secret.as_str()), ("bob", "secret")] {
            found.push(match sign_in(&self.service, user, password).await {
                Ok(_) => 200,
                Err(NotSignedIn::Failed(_)) => 500,
                Err(_) => 401,
            });
        }
        found
    }

    async fn faults(&self) -> Vec<String> {
        let AdminAnswer::Checked(report) = self.service.admin(AdminRequest::Check { repair: false }).await
        else {
            panic!("no report");
        };
        report.faults
    }
}

/// Deleting or replacing a damaged card mends it, and harms no other.
#[tokio::test]
async fn a_damaged_card_can_be_removed_and_replaced() {
    for table in [Table::Member, Table::Body] {
        for method in ["DELETE", "PUT"] {
            for at in [9, 25, 29, 33, 45, 60] {
                let world = World::new().await;
                let whole = world.reads().await;
                let a = format!("{BOOK}a.vcf");
                let mut done = false;
                for (key, value) in world.rows().await {
                    if key[0] != table as u8 {
                        continue;
                    }
                    let mut flipped = value.clone();
                    flipped[at] ^= 1;
                    world.set(&key, &flipped).await;
                    let listing = world.send("PROPFIND", BOOK, "1", "").await;
                    let gets = world.send("GET", &a, "", "").await;
                    if listing.status == 500 || gets.status == 200 {
                        world.set(&key, &value).await;
                        continue;
                    }
                    let body = if method == "PUT" { card("a") } else { String::new() };
                    let got = world.send(method, &a, "", &body).await;
                    assert_eq!(got.status, 204, "{table:?} {method} {at}");
                    done = true;
                    break;
                }
                assert!(done, "{table:?} {method} {at}");
                assert_eq!(world.faults().await, Vec::<String>::new(), "{table:?} {method} {at}");
                let status = if method == "PUT" { 200 } else { 404 };
                assert_eq!(world.send("GET", &a, "", "").await.status, status);
                let delta = world.send("REPORT", BOOK, "", &sync(&answer(&whole, "REPORT").rest)).await;
                let told = &delta.responses[&a];
                assert_eq!(told.contains("404 Not Found</D:status>"), method == "DELETE", "{told}");
                assert_eq!(delta.responses.len(), 1);
                for other in ["b", "late"] {
                    assert_eq!(world.send("GET", &format!("{BOOK}{other}.vcf"), "", "").await.status, 200);
                }
                // The UID is free again, or still the card's.
                let path = if method == "PUT" { a } else { format!("{BOOK}again.vcf") };
                assert!(matches!(world.send("PUT", &path, "", &card("a")).await.status, 201 | 204));
            }
        }
    }
}

/// A row that was written over another one names a contact that must not be harmed.
#[tokio::test]
async fn a_card_s_row_in_another_s_place_destroys_nothing() {
    let world = World::new().await;
    let whole = world.reads().await;
    let rows = world.rows().await;
    let book_of = |key: &[u8]| keys::owner(key);
    let members: Vec<_> = rows.iter().filter(|(key, _)| key[0] == Table::Member as u8).collect();
    let mut swaps = 0;
    for (key, value) in &members {
        for (from, other) in &members {
            if key == from || book_of(key) != book_of(from) || value.len() != other.len() {
                continue;
            }
            world.set(key, other).await;
            for name in ["a", "b"] {
                let path = format!("{BOOK}{name}.vcf");
                if world.send("GET", &path, "", "").await.status == 500 {
                    assert_eq!(world.send("DELETE", &path, "", "").await.status, 500);
                    swaps += 1;
                }
            }
            world.set(key, value).await;
        }
    }
    assert!(swaps > 0);
    assert_contained(Table::Installation, &whole, &world.reads().await);
}

#[tokio::test]
async fn a_damaged_log_costs_no_client_a_change() {
    let world = World::new().await;
    let whole = world.reads().await;
    let delta = sync(&world.token);
    let initial = world.send("REPORT", BOOK, "", &sync("")).await;
    let told = world.send("REPORT", BOOK, "", &delta).await;
    assert_eq!(told.responses.len(), 2);
    for (key, value) in world.rows().await {
        if key[0] != Table::Change as u8 {
            continue;
        }
        world.set(&key, b"\x07").await;
        assert_eq!(world.send("REPORT", BOOK, "", &sync("")).await, initial);
        assert_eq!(world.send("REPORT", BOOK, "", &delta).await, told);
        world.set(&key, &value).await;
    }
    assert_contained(Table::Installation, &whole, &world.reads().await);
}
