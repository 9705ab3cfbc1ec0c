//! A byte of the store's file is not what was written, or the file is none: the server says so in
//! one line and does not start, or it starts and serves what is whole. It never panics, never
//! hangs, never serves what nobody stored; and what is missing, `check` misses too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cardkeep::service::Service;
use cardkeep::service::admin::{AdminAnswer, AdminRequest};
use cardkeep::service::refusal::Stop;
use cardkeep::service::view::{Detail, Members};
use cardkeep::store::engine::redb::RedbEngine;
use cardkeep::store::keyslots::memory::MemoryMedium;

use crate::chance::Dice;
use crate::inside::{self, alice, name, sign_in};
use crate::server::{Server, attempt, room};

/// How many cards the store has.
const CARDS: u32 = 120;
/// How many bytes are flipped, each in a file that is whole otherwise.
const FLIPS: u64 = 200;
/// How long opening and reading everything may take.
const SOON: Duration = Duration::from_secs(60);

/// Opens the store that is at `path`.
async fn open(path: &Path, keys: MemoryMedium, opening: u64) -> Result<Service, String> {
    inside::open(RedbEngine::open(path, 1 << 20), keys, opening).await
}

fn card(n: u32) -> Bytes {
    let note: String =
        (0..[0, 4, 40, 150][n as usize % 4]).map(|line| format!("NOTE:{line:043}\r\n")).collect();
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u{n}\r\nFN:Nr {n}\r\nN:N{n};;;;\r\n{note}END:VCARD\r\n").into()
}

/// A store, as its file is while it is open and after it was closed.
#[derive(Clone)]
struct Stored {
    closed: Arc<Vec<u8>>,
    open: Arc<Vec<u8>>,
    keys: Vec<u8>,
    cards: Arc<BTreeMap<String, Bytes>>,
}

/// The last one that is written: where the newest commit's pages are damaged in a file that was not
/// closed, redb takes them for a commit that a power failure tore, and goes back to the one before.
const LAST: &str = "last.vcf";

async fn stored(path: &Path) -> Stored {
    let keys = MemoryMedium::new();
    let service = open(path, keys.clone(), 0).await.unwrap();
    let caller = alice(&service).await;
    let mut cards = BTreeMap::new();
    let files = (0..CARDS).map(|n| format!("c{n}.vcf")).chain([LAST.to_owned()]);
    for (file, n) in files.zip(0..) {
        let place = (&caller.books(), &name("contacts"), &name(&file));
        service.put(&caller, place, card(n), Vec::new()).await.unwrap();
        cards.insert(file, card(n));
    }
    let open = Arc::new(fs::read(path).unwrap());
    service.close().await.unwrap();
    let closed = Arc::new(fs::read(path).unwrap());
    Stored { closed, open, keys: keys.bytes(), cards: Arc::new(cards) }
}

/// What became of a damaged store.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Fate {
    /// It was not opened.
    Refused,
    /// Something could not be read, the rest could.
    Partly,
    /// Everything was there.
    Whole,
}

/// Opens the store and reads everything.
async fn meet(path: &Path, stored: &Stored, closed: bool, told: &str) -> Fate {
    let service = match open(path, MemoryMedium::with(stored.keys.clone()), 1).await {
        Ok(service) => service,
        Err(error) => {
            assert!(!error.contains('\n') && error.len() < 300, "{told}: {error}");
            return Fate::Refused;
        }
    };
    let caller = sign_in(&service).await;
    let (mut missing, mut listed) = (0, false);
    if let Ok(caller) = &caller {
        let book = name("contacts");
        let detail = Detail { properties: true, body: true };
        for (file, body) in stored.cards.iter() {
            let asked = Members::Named(vec![name(file)]);
            match service.book(caller, &caller.books(), &book, asked, detail).await {
                Ok(shown) => match shown.cards.first() {
                    Some(card) => assert!(card.body.as_ref() == Some(body), "{told}: {file} is another"),
                    None if file == LAST && !closed => {}
                    None => missing += 1,
                },
                Err(Stop::Failed(_) | Stop::Refused(_)) => missing += 1,
            }
        }
        if let Ok(shown) = service.book(caller, &caller.books(), &book, Members::All, detail).await {
            listed = true;
            for card in shown.cards {
                let body = stored.cards.get(card.name.as_str());
                let same = body.is_some_and(|body| {
                    card.size == body.len() as u64 && card.body.as_ref().is_none_or(|shown| shown == body)
                });
                assert!(same, "{told}: {} is listed as another", card.name.as_str());
            }
        }
    }
    let sound = match service.admin(AdminRequest::Check { repair: false }).await {
        AdminAnswer::Checked(report) => report.faults.is_empty(),
        _ => false,
    };
    if std::env::var_os("DAMAGE_TOLD").is_some() {
        eprintln!("{told}: signed in {}, missing {missing}, listed {listed}, sound {sound}", caller.is_ok());
    }
    let lost = caller.is_err() || missing > 0;
    assert!(!lost || !sound, "{told}: {missing} cards are lost, and nothing finds that");
    let _ = service.close().await;
    if lost || !sound { Fate::Partly } else { Fate::Whole }
}

/// As `meet`, on a thread of its own, so that what hangs is noticed.
fn meet_soon(path: PathBuf, stored: &Stored, closed: bool, told: String) -> Fate {
    let (tell, hear) = mpsc::channel();
    let (stored, what) = (stored.clone(), told.clone());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let fate = runtime.block_on(meet(&path, &stored, closed, &what));
        let _ = tell.send(fate);
    });
    match hear.recv_timeout(SOON) {
        Ok(fate) => fate,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{told}: it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().unwrap_err()),
    }
}

/// A byte that something lies at: of the file's head every fourth time, else of any block that is
/// not empty.
fn place(dice: &mut Dice, bytes: &[u8]) -> usize {
    const BLOCK: usize = 64;
    if dice.roll(4) == 0 {
        return dice.roll(320) as usize;
    }
    loop {
        let place = dice.roll(bytes.len() as u64) as usize;
        let block = &bytes[place / BLOCK * BLOCK..];
        if block.iter().take(BLOCK).any(|byte| *byte != 0) {
            return place;
        }
    }
}

/// `SEED=17 cargo test --test protocol-tests damage` flips other bytes.
#[test]
fn a_flipped_byte_is_refused_or_costs_what_it_hits() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0_u64);
    let room = room();
    let path = room.path().join("store.redb");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let stored = runtime.block_on(stored(&path));
    let mut fates: BTreeMap<Fate, u64> = BTreeMap::new();
    for number in 0..FLIPS {
        let seed = seed.wrapping_mul(FLIPS) + number;
        let mut dice = Dice(seed);
        let closed = dice.roll(3) > 0;
        let mut bytes = Vec::clone(if closed { &stored.closed } else { &stored.open });
        let place = place(&mut dice, &bytes);
        let flip = if dice.roll(2) == 0 { 1 << dice.roll(8) } else { 1 + dice.roll(255) as u8 };
        bytes[place] ^= flip;
        fs::write(&path, bytes).unwrap();
        let told = format!("byte {place} flipped by {flip:#x}, closed {closed}, seed {seed}");
        *fates.entry(meet_soon(path.clone(), &stored, closed, told)).or_default() += 1;
    }
    let count = |fate| fates.get(&fate).copied().unwrap_or(0);
    // Some flips hit free pages; few hit what everything hangs on.
    assert!(count(Fate::Partly) > FLIPS / 10 && count(Fate::Refused) > 0, "{fates:?}");
}

#[test]
fn a_torn_file_is_refused_or_whole() {
    let room = room();
    let path = room.path().join("store.redb");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let stored = runtime.block_on(stored(&path));
    for closed in [true, false] {
        let whole = if closed { &stored.closed } else { &stored.open };
        for sixteenth in 0..16 {
            let length = whole.len() * sixteenth / 16;
            fs::write(&path, &whole[..length]).unwrap();
            let told = format!("{length} bytes left of {}, closed {closed}", whole.len());
            let fate = meet_soon(path.clone(), &stored, closed, told.clone());
            assert!(sixteenth > 0 || fate == Fate::Refused, "{told}: {fate:?}");
            // What was refused is not made a new store of; redb may have begun to repair it.
            if fate == Fate::Refused {
                let again = meet_soon(path.clone(), &stored, closed, format!("{told}, once more"));
                assert_eq!(again, Fate::Refused, "{told}");
            }
        }
    }
}

/// Starts the program, which must not start; what it says.
fn refused(data: &Path, because: &str) -> String {
    let since = Instant::now();
    let output = attempt(data, &["serve", "--listen", "127.0.0.1:0"], "");
    assert!(since.elapsed() < Duration::from_secs(30), "{because}: it took {:?}", since.elapsed());
    assert_eq!(output.status.code(), Some(1), "{because}");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(lines.len(), 1, "{because}: {said}");
    assert!(lines[0].starts_with("cardkeep: "), "{because}: {said}");
    assert!(!said.contains("panicked"), "{because}: {said}");
    lines[0].to_owned()
}

#[test]
fn the_program_says_in_one_line_why_it_does_not_start() {
    let room = room();
    let data = room.path().join("data");
    let mut server = Server::on(&data, &[]);
    server.account("alice");
    let said = refused(&data, "two servers");
    assert!(said.contains("in use by another process; stop it"), "{said}");
    server.kill();
    drop(server);
    let file = data.join("cardkeep.redb");
    let whole = fs::read(&file).unwrap();
    let mut other = whole.clone();
    other[..16].fill(b'x');
    let cases = [
        ("an empty file", Vec::new()),
        ("some bytes", whole[..700].to_vec()),
        ("half a file", whole[..whole.len() / 2].to_vec()),
        ("no redb file", other),
        ("a text", b"hello, this is no store\n".repeat(400)),
    ];
    for (because, bytes) in cases {
        fs::write(&file, &bytes).unwrap();
        let said = refused(&data, because);
        assert!(said.contains("damaged") && said.contains("restore a backup"), "{because}: {said}");
        // redb begins to repair a file that it knows; what it does not know, it leaves alone.
        let untouched = fs::read(&file).unwrap() == bytes;
        assert!(untouched || because == "half a file", "{because}: it was written to");
    }
    fs::write(&file, &whole).unwrap();
    drop(Server::on(&data, &[]));
}
