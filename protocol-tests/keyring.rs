//! The keyring that the server writes itself: it opens nothing that was erased, and it never takes the
//! place of what it must not.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::http::Request;
use crate::race::Phone;
use crate::server::{Server, attempt, room};

/// The length of an owner in a keyring (docs/store.md).
const OWNER: usize = 21;
/// The kind of a contact.
const CONTACT: u8 = 5;

/// What a keyring without a passphrase holds: owners with keys, owners that were erased.
struct Held {
    keys: HashSet<Vec<u8>>,
    erased: HashSet<Vec<u8>>,
}

/// The keyring's octets. One that is replaced while it is read is none: what it held is overwritten.
fn octets(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let still = std::fs::metadata(path).ok()?.ino() == file.metadata().unwrap().ino();
    still.then_some(bytes)
}

impl Held {
    fn read(path: &Path) -> Option<Self> {
        let bytes = octets(path)?;
        assert_eq!(&bytes[..8], b"\x8cCKkring");
        assert_eq!(bytes[12], 0, "without a passphrase");
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let secrets = u32::from_be_bytes(bytes[53..57].try_into().unwrap()) as usize;
        let entries = |at: usize, each: usize| {
            let owners = bytes[at + 8..].chunks(each).take(number(at));
            (owners.map(|entry| entry[..OWNER].to_vec()).collect(), at + 8 + each * number(at))
        };
        let (keys, next) = entries(57 + secrets, OWNER + 32);
        let (erased, end) = entries(next, OWNER + 8);
        assert_eq!(end + 32, bytes.len(), "and the checksum");
        Some(Self { keys, erased })
    }

    fn contacts(of: &HashSet<Vec<u8>>) -> HashSet<&Vec<u8>> {
        of.iter().filter(|owner| owner[0] == CONTACT).collect()
    }
}

/// Waits for the keyring to be so; what the server does by itself, it does within seconds.
fn until(path: &Path, so: impl Fn(&Held) -> bool) -> Held {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match Held::read(path) {
            Some(held) if so(&held) => return held,
            _ => assert!(Instant::now() < end, "the keyring does not become what it should"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_servers_keyring_forgets_what_is_erased() {
    let room = room();
    let (data, path) = (room.path().join("data"), room.path().join("keyring"));
    // What is deleted is erased at once.
    let named =
        [("CARDKEEP_BACKUP__KEYRING", path.to_str().unwrap()), ("CARDKEEP_CONTACTS__TRASH_DAYS", "0")];
    let server = Server::on(&data, &named);
    let who = server.account("ann");
    until(&path, |_| true);
    let mut phone = Phone::new(server.client(), &who);
    for n in 0..3 {
        let card = format!("/dav/addressbooks/ann/contacts/{n}.vcf");
        assert_eq!(phone.put(&card, "Ann", &card, &[]).unwrap().status, 201);
    }
    let delete = |phone: &mut Phone, n: u32| {
        let request = Request::new("DELETE", &format!("/dav/addressbooks/ann/contacts/{n}.vcf"));
        assert_eq!(phone.ask(request).unwrap().status, 204);
    };
    delete(&mut phone, 0);
    let held = until(&path, |held| Held::contacts(&held.erased).len() == 1);
    assert_eq!(Held::contacts(&held.keys).len(), 2);
    assert!(held.keys.is_disjoint(&held.erased));
    // Killed before it comes to it, the next start does it.
    delete(&mut phone, 1);
    drop(server);
    let server = Server::on(&data, &named);
    let held = until(&path, |held| Held::contacts(&held.erased).len() == 2);
    assert_eq!(Held::contacts(&held.keys).len(), 1);
    // A command without a server does it before it ends.
    drop(server);
    let removed = std::process::Command::new(crate::server::PROGRAM)
        .args(["user", "remove", "ann", "--erase", "--data"])
        .arg(&data)
        .envs(named)
        .status();
    assert!(removed.unwrap().success());
    let account = |of: &HashSet<Vec<u8>>| of.iter().filter(|owner| owner[0] == 2).count();
    let held = Held::read(&path).unwrap();
    assert_eq!((account(&held.keys), account(&held.erased)), (0, 1));
}

#[test]
fn a_keyring_that_is_not_ours_stays_and_the_server_serves() {
    let room = room();
    let path = room.path().join("keyring");
    let named = [("CARDKEEP_BACKUP__KEYRING", path.to_str().unwrap())];
    let first = Server::on(&room.path().join("first"), &named);
    until(&path, |_| true);
    drop(first);
    let bytes = std::fs::read(&path).unwrap();
    let other = Server::on(&room.path().join("other"), &named);
    let end = Instant::now() + Duration::from_secs(60);
    while !other.log_tail(20).contains("another installation") {
        assert!(Instant::now() < end, "{}", other.log_tail(20));
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    other.account("ann");
}

#[test]
fn a_passphrase_seals_the_keyring() {
    let room = room();
    let (data, path) = (room.path().join("data"), room.path().join("keyring"));
    let server = Server::on(
        &data,
        &[
            ("CARDKEEP_BACKUP__KEYRING", path.to_str().unwrap()),
            ("CARDKEEP_BACKUP__PASSPHRASE", "correct horse"),
        ],
    );
    let end = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < end, "{}", server.log_tail(20));
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read(&path).unwrap()[12], 1);
    assert!(!server.log_tail(100).contains("correct horse"));
    assert!(attempt(&data, &["user", "list"], "").status.success());
}
