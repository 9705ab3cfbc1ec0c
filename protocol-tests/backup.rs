//! Backups as an administrator makes them: while the server runs, restored elsewhere without the old
//! master key; what was erased since stays erased, and damage is told.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::http::{Client, Request};
use crate::race::Phone;
use crate::server::{Account, Server, attempt, room, run};
use crate::short;

/// Runs a command that fails: its one line.
fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = attempt(data, arguments, "");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {line}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
    line
}

/// Paths in a room, as text.
struct Paths(PathBuf);

impl Paths {
    fn of(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

fn mode(path: &str) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn book_of(who: &Account) -> String {
    format!("/dav/addressbooks/{}/contacts/", who.name)
}

fn put(phone: &mut Phone, book: &str, cards: std::ops::Range<u32>) {
    for n in cards {
        let answer = phone.put(&format!("{book}c{n}.vcf"), &format!("Card {n}"), &format!("c{n}"), &[]);
        assert!([201, 204].contains(&answer.unwrap().status));
    }
}

/// Every card's octets, by its path.
fn cards(phone: &mut Phone, book: &str) -> BTreeMap<String, String> {
    let list = phone.list(book);
    list.into_keys()
        .map(|path| (path.clone(), phone.ask(Request::new("GET", &path)).unwrap().text()))
        .collect()
}

#[test]
fn a_backup_of_a_running_server_is_restored_elsewhere_without_what_was_erased() {
    let room = room();
    let paths = Paths(room.path().to_path_buf());
    let (data, there) = (room.path().join("data"), room.path().join("there"));
    let (first, second, keyring) = (paths.of("first"), paths.of("second"), paths.of("K"));
    // What is deleted is erased at once.
    let mut server = Server::on(&data, &[("CARDKEEP_CONTACTS__TRASH_DAYS", "0")]);
    let who = server.account("ann");
    let book = book_of(&who);
    let mut phone = Phone::new(server.client(), &who);
    put(&mut phone, &book, 0..30);
    put(&mut phone, &book, 0..3);
    let token = phone.sync(&book, "", None).token;
    let told = server.run(&["backup", &first, "--keyring", &keyring], "");
    assert!(
        told.starts_with("1 accounts, 1 address books, 30 contacts, 2 calendars, 0 entries backed up: "),
        "{told}"
    );
    assert_eq!((mode(&first), mode(&keyring)), (0o600, 0o600));
    let before = std::fs::read(&keyring).unwrap();
    let mut expected = cards(&mut phone, &book);
    let erased = format!("{book}c7.vcf");
    assert_eq!(phone.ask(Request::new("DELETE", &erased)).unwrap().status, 204);
    expected.remove(&erased);
    server.run(&["backup", &second, "--keyring", &keyring], "");
    assert_ne!(std::fs::read(&keyring).unwrap(), before);
    server.kill();
    // Another machine has neither the data nor the old master key.
    std::fs::rename(&data, room.path().join("lost")).unwrap();
    std::fs::remove_file(room.path().join("data.key")).unwrap();

    let told = run(&there, &["restore", &first, "--keyring", &keyring], "");
    assert!(
        told.starts_with(
            "1 accounts, 1 address books, 29 contacts, 2 calendars, 0 entries restored, as they were at "
        ),
        "{told}"
    );
    assert!(told.ends_with("\n1 objects could not be opened: they were erased since\n"), "{told}");
    assert!(there.join("cardkeep.redb").exists() && !there.join("restore.new").exists());
    run(&there, &["check"], "");
    let server = Server::on(&there, &[]);
    let mut phone = Phone::new(server.client(), &who);
    assert_eq!(cards(&mut phone, &book), expected);
    // A token of the old log is refused by name, and a sync from the start works.
    let report = short::sync(&token, None, &["D:getetag"]);
    let request = Request::new("REPORT", &book).header("Content-Type", "application/xml").body(report);
    let answer = phone.ask(request).unwrap();
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("valid-sync-token"), "{}", answer.text());
    assert_eq!(phone.sync(&book, "", None).changed.len(), 29);
    put(&mut phone, &book, 40..41);
    // The store is another one's successor: its keyring takes the old one's place.
    let third = paths.of("third");
    server.run(&["backup", &third, "--keyring", &keyring], "");
}

#[test]
fn writes_go_on_during_a_backup_and_are_not_torn_into_it() {
    let room = room();
    let paths = Paths(room.path().to_path_buf());
    let server = Server::on(&room.path().join("data"), &[]);
    let who = server.account("busy");
    let book = book_of(&who);
    put(&mut Phone::new(server.client(), &who), &book, 0..50);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (address, who, book, done) = (server.address, &who, &book, &done);
        scope.spawn(move || {
            let mut phone = Phone::new(Client::new(address), who);
            let mut n = 50;
            while !done.load(Ordering::Acquire) {
                put(&mut phone, book, n - 50..n + 1);
                let gone = format!("{book}c{}.vcf", n - 50);
                assert_eq!(phone.ask(Request::new("DELETE", &gone)).unwrap().status, 204);
                n += 1;
            }
        });
        for n in 0..3 {
            let (file, keyring) = (paths.of(&format!("f{n}")), paths.of("K"));
            server.run(&["backup", &file, "--keyring", &keyring], "");
        }
        done.store(true, Ordering::Release);
    });
    for n in 0..3 {
        let there = room.path().join(format!("there{n}"));
        run(&there, &["restore", &paths.of(&format!("f{n}")), "--keyring", &paths.of("K")], "");
        run(&there, &["check"], "");
    }
}

#[test]
fn a_damaged_archive_is_refused_by_name_and_restored_in_part() {
    let room = room();
    let paths = Paths(room.path().to_path_buf());
    let data = room.path().join("data");
    let (file, keyring) = (paths.of("FILE"), paths.of("K"));
    let server = Server::on(&data, &[]);
    let who = server.account("dan");
    let book = book_of(&who);
    put(&mut Phone::new(server.client(), &who), &book, 0..200);
    server.run(&["backup", &file, "--keyring", &keyring], "");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let there = room.path().join("there");
    let line = refused(&there, &["restore", &file, "--keyring", &keyring]);
    assert!(line.contains("the archive is damaged: block "), "{line}");
    assert!(line.contains(": its checksum is wrong"), "{line}");
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 0, "a refused restore leaves nothing");
    let told = run(&there, &["restore", &file, "--keyring", &keyring, "--partial"], "");
    // The server's own group and the trash are counted too.
    assert!(told.contains("2 accounts, 2 address books, ") && told.contains("\nlost: bytes "), "{told}");
    run(&there, &["check"], "");
    let line = refused(&there, &["restore", &file, "--keyring", &keyring, "--partial"]);
    assert!(line.contains("there is a store in"), "{line}");
    let line = refused(&data, &["restore", &file, "--keyring", &keyring]);
    assert!(line.contains("in use by another process"), "{line}");
    let line = refused(&room.path().join("x"), &["restore", &keyring, "--keyring", &keyring]);
    assert!(line.contains("this is not an archive of cardkeep"), "{line}");
    let line = refused(&room.path().join("x"), &["restore", &file, "--keyring", &file]);
    assert!(line.contains("this is not a keyring of cardkeep"), "{line}");
}

#[test]
fn a_keyring_is_not_replaced_by_one_that_knows_less() {
    let room = room();
    let paths = Paths(room.path().to_path_buf());
    let (data, other) = (room.path().join("data"), room.path().join("other"));
    let keyring = paths.of("K");
    for data in [&data, &other] {
        run(data, &["user", "add", "eve", "--password-stdin"], "pass phrase\n");
    }
    let backup = |data: &Path, file: &str, more: &[&str]| {
        let file = paths.of(file);
        attempt(data, &[&["backup", &file, "--keyring", &keyring][..], more].concat(), "")
    };
    let said = |output: std::process::Output| String::from_utf8(output.stderr).unwrap();
    // No server runs here: the command opens the store itself.
    assert!(backup(&data, "first", &[]).status.success());
    let kept = std::fs::read(&keyring).unwrap();
    let line = said(backup(&other, "no", &[]));
    assert!(line.contains("another installation") && line.contains("--forget"), "{line}");
    assert!(!Path::new(&paths.of("no")).exists(), "it is refused before the work");
    let line = said(backup(&data, "first", &[]));
    assert!(line.contains("is there already"), "{line}");
    assert_eq!(std::fs::read(&keyring).unwrap(), kept);
    // After a restore from an older archive, the newest keyring knows more than the store.
    run(&data, &["user", "add", "fay", "--password-stdin"], "pass phrase\n");
    assert!(backup(&data, "second", &[]).status.success());
    let there = room.path().join("there");
    run(&there, &["restore", &paths.of("first"), "--keyring", &keyring], "");
    let line = said(backup(&there, "third", &[]));
    // Those of the account and of its two homes.
    assert!(line.contains("3 keys and 0 erasures") && line.contains("--forget"), "{line}");
    assert!(backup(&there, "third", &["--forget"]).status.success());
    // Wrong usage.
    let output = attempt(&data, &["backup", &paths.of("x")], "");
    assert_eq!(output.status.code(), Some(2));
    let line = refused(&room.path().join("none"), &["backup", &paths.of("x"), "--keyring", &keyring]);
    assert!(line.contains("there is nothing to back up"), "{line}");
}

#[test]
fn a_keyring_may_be_protected_by_a_passphrase() {
    let room = room();
    let paths = Paths(room.path().to_path_buf());
    let (data, there) = (room.path().join("data"), room.path().join("there"));
    let (file, keyring, right, wrong) =
        (paths.of("FILE"), paths.of("K"), paths.of("right"), paths.of("wrong"));
    std::fs::write(&right, "correct horse\n").unwrap();
    std::fs::write(&wrong, "battery staple\n").unwrap();
    run(&data, &["user", "add", "gus", "--password-stdin"], "pass phrase\n");
    run(&data, &["backup", &file, "--keyring", &keyring, "--passphrase-file", &right], "");
    let restore = ["restore", &file, "--keyring", &keyring];
    assert!(refused(&there, &restore).contains("--passphrase-file"));
    let line = refused(&there, &[&restore[..], &["--passphrase-file", &wrong]].concat());
    assert!(line.contains("the passphrase is not the keyring's") && !line.contains("staple"), "{line}");
    let again = paths.of("again");
    let line = refused(&data, &["backup", &again, "--keyring", &keyring]);
    assert!(line.contains("--passphrase-file"), "{line}");
    let told = run(&there, &[&restore[..], &["--passphrase-file", &right]].concat(), "");
    assert!(told.starts_with("1 accounts, "), "{told}");
}

#[test]
fn a_server_that_dies_on_the_way_leaves_no_archive_and_the_old_keyring() {
    let room = room();
    let paths = Paths(room.path().to_path_buf());
    let data = room.path().join("data");
    run(&data, &["user", "add", "hal", "--password-stdin"], "pass phrase\n");
    let (file, keyring) = (paths.of("FILE"), paths.of("K"));
    run(&data, &["backup", &file, "--keyring", &keyring], "");
    std::fs::remove_file(&file).unwrap();
    let kept = std::fs::read(&keyring).unwrap();
    let listener = UnixListener::bind(data.join("control.sock")).unwrap();
    let answers = kept.clone();
    let dying = std::thread::spawn(move || {
        // It is found, it gives a keyring, and half of an archive.
        let frame = |kind: u8, bytes: &[u8]| {
            [&[kind][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
        };
        let end = br#"{"accounts":0,"books":0,"contacts":0,"passed_over":0,"unreadable":0}"#;
        let whole = [frame(b'd', &answers), frame(b'e', end)].concat();
        let half = frame(b'd', b"half of an archive");
        let mut archives = 0;
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut question = String::new();
            BufReader::new(&socket).read_line(&mut question).unwrap();
            if question.contains("archive") {
                socket.write_all(&half).unwrap();
                archives += 1;
            } else if question.contains("keyring") {
                socket.write_all(&whole).unwrap();
            }
            if archives == 1 {
                break;
            }
        }
    });
    let line = refused(&data, &["backup", &file, "--keyring", &keyring]);
    assert!(line.contains("went away"), "{line}");
    dying.join().unwrap();
    assert!(!Path::new(&file).exists() && !Path::new(&paths.of("FILE.partial")).exists());
    assert_eq!(std::fs::read(&keyring).unwrap(), kept);
}
