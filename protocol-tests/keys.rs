//! The master key as an administrator meets it: made once, refused when it is another one, replaced
//! while the server runs, whatever happens meanwhile. And it is nowhere in the data directory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::http::Client;
use crate::race::Phone;
use crate::server::{Account, PROGRAM, Server, attempt, room, run};

/// Where the header of `cardkeep.keys` has the epoch of the key that a rotation goes to
/// (docs/store.md).
const NEXT_EPOCH: std::ops::Range<usize> = 42..44;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn end_of(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success() && line.lines().count() == 1, "{line}");
    line
}

/// Why neither a command nor a server starts on this data directory.
fn refused(data: &Path) -> String {
    let line = end_of(&attempt(data, &["user", "list"], ""));
    let served = attempt(data, &["serve", "--listen", "127.0.0.1:0"], "");
    assert_eq!(end_of(&served), line);
    assert!(served.stdout.is_empty());
    line
}

/// Puts some cards, and says which.
fn fill(server: &Server, who: &Account) -> Vec<String> {
    let mut phone = Phone::new(server.client(), who);
    let paths: Vec<_> = (0..20).map(|n| format!("/dav/addressbooks/{}/contacts/{n}.vcf", who.name)).collect();
    for path in &paths {
        assert!([201, 204].contains(&phone.put(path, "Ann", path, &[]).unwrap().status));
    }
    paths
}

fn assert_all_there(server: &Server, who: &Account, paths: &[String]) {
    let mut phone = Phone::new(server.client(), who);
    for path in paths {
        let got = phone.ask(crate::http::Request::new("GET", path)).unwrap();
        assert!(got.status == 200 && got.text().contains("FN:Ann"), "{path}: {}", got.status);
    }
}

/// Every file under a directory, with its bytes.
fn files(under: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.trim().as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_master_key_is_made_once_beside_the_data_and_is_not_in_it() {
    let room = room();
    let data = room.path().join("data");
    let made = attempt(&data, &["user", "list"], "");
    let told = String::from_utf8(made.stderr).unwrap();
    assert!(made.status.success() && told.lines().count() == 1, "{told}");
    assert!(told.contains("data.key") && told.contains("keep a copy"), "{told}");
    let file = room.path().join("data.key");
    assert_eq!(mode(&file), 0o600);
    let digits = std::fs::read_to_string(&file).unwrap();
    let again = attempt(&data, &["user", "list"], "");
    assert!(again.status.success() && again.stderr.is_empty());
    let server = Server::on(&data, &[("CARDKEEP_LOG__LEVEL", "trace")]);
    let who = server.account("ann");
    fill(&server, &who);
    run(&data, &["key", "rotate"], "");
    let rotated = std::fs::read_to_string(&file).unwrap();
    drop(server);
    for (digits, key) in [(&digits, bytes_of(&digits)), (&rotated, bytes_of(&rotated))] {
        let shown = digits.trim().as_bytes();
        assert!(shown.len() == 64 && !told.contains(digits.trim()));
        let mut found = files(&data);
        found.extend([(data.with_extension("log"), std::fs::read(data.with_extension("log")).unwrap())]);
        for (path, bytes) in found {
            let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
            assert!(!holds(shown) && !holds(&key), "{}", path.display());
        }
    }
}

#[test]
fn without_its_master_key_a_store_stays_shut_and_says_what_to_do() {
    let room = room();
    let data = room.path().join("data");
    run(&data, &["user", "list"], "");
    let file = room.path().join("data.key");
    let right = std::fs::read_to_string(&file).unwrap();
    let before = files(&data);
    let put = |text: &str, mode: u32| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let other = "5e".repeat(32);
    for (text, mode, said) in [
        (other.as_str(), 0o600, "is not the one of the data directory"),
        ("", 0o600, "is empty"),
        (right.get(1..).unwrap(), 0o600, "64 hexadecimal digits"),
        (&right, 0o644, "chmod 600"),
        (&right, 0o660, "chmod 600"),
    ] {
        put(text, mode);
        let line = refused(&data);
        assert!(line.contains(said) && line.contains("data.key"), "{line}");
        assert!(!line.contains("5e5e") && !line.contains(right.trim()), "{line}");
    }
    std::fs::remove_file(&file).unwrap();
    let line = refused(&data);
    assert!(line.contains("data.key") && line.contains("missing") && line.contains("keyring"), "{line}");
    assert!(!file.exists(), "a store does not get a second key");
    std::fs::create_dir(&file).unwrap();
    assert!(refused(&data).contains("is not a file"));
    std::fs::remove_dir(&file).unwrap();
    put(&right, 0o600);
    run(&data, &["check"], "");
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    let (mut before, mut after) = (names(&before), names(&files(&data)));
    before.sort();
    after.sort();
    assert_eq!(before, after);
}

#[test]
fn the_master_key_is_replaced_while_cards_are_written() {
    let room = room();
    let data = room.path().join("data");
    let server = Server::on(&data, &[]);
    let who = server.account("ann");
    let paths = fill(&server, &who);
    let file = room.path().join("data.key");
    let first = std::fs::read_to_string(&file).unwrap();
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut phone = Phone::new(Client::new(server.address), &who);
            let mut written = Vec::new();
            for n in 0.. {
                let path = format!("/dav/addressbooks/ann/contacts/meanwhile{n}.vcf");
                assert_eq!(phone.put(&path, "Ann", &path, &[]).unwrap().status, 201);
                written.push(path);
                if stop.load(Ordering::Acquire) {
                    break;
                }
            }
            written
        });
        for _ in 0..3 {
            let before = std::fs::read_to_string(&file).unwrap();
            let told = run(&data, &["key", "rotate"], "");
            let after = std::fs::read_to_string(&file).unwrap();
            assert!(told.contains("data.key") && !told.contains(after.trim()), "{told}");
            assert!(before != after && mode(&file) == 0o600);
            assert!(!room.path().join("data.key.next").exists());
        }
        stop.store(true, Ordering::Release);
        writer.join().unwrap()
    });
    assert!(!written.is_empty());
    drop(server);
    let last = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &first).unwrap();
    assert!(refused(&data).contains("is not the one"));
    std::fs::write(&file, &last).unwrap();
    run(&data, &["key", "rotate"], "");
    run(&data, &["check"], "");
    let server = Server::on(&data, &[]);
    assert_all_there(&server, &who, &paths);
    assert_all_there(&server, &who, &written);
}

/// Whether the header of the file of data keys says that a rotation is under way.
fn is_under_way(data: &Path) -> bool {
    let bytes = std::fs::read(data.join("cardkeep.keys")).unwrap_or_default();
    let epoch = |copy: usize| bytes.get(copy + NEXT_EPOCH.start..copy + NEXT_EPOCH.end);
    [0, 4096].into_iter().any(|copy| epoch(copy).is_some_and(|epoch| epoch != [0, 0]))
}

#[test]
fn a_rotation_that_kill_9_interrupts_goes_on_at_the_next_start() {
    let room = room();
    let data = room.path().join("data");
    let mut server = Server::on(&data, &[]);
    let who = server.account("ann");
    let paths = fill(&server, &who);
    let next = room.path().join("data.key.next");
    let (mut within, mut rounds) = (0, 0);
    while within < 2 {
        rounds += 1;
        assert!(rounds < 60, "no kill hit a rotation");
        let command = Command::new(PROGRAM)
            .args(["key", "rotate", "--data"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut command = command.unwrap();
        // Some rounds end as soon as there is a key to go to, some once data keys go to it.
        while !(next.exists() && (rounds % 3 == 0 || is_under_way(&data))) {
            if command.try_wait().unwrap().is_some() {
                break;
            }
        }
        server.kill();
        let _ = command.wait();
        within += u32::from(is_under_way(&data));
        if rounds % 2 == 0 {
            // A command finishes it as well as a server does.
            run(&data, &["check"], "");
            assert!(!next.exists() && !is_under_way(&data));
        }
        server = Server::on(&data, &[]);
        assert!(!next.exists() && !is_under_way(&data));
        assert_all_there(&server, &who, &paths);
    }
    server.run(&["check"], "");
}

/// A command with a master key from the environment.
fn with_key(data: &Path, key: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).arg("--data").arg(data).env("CARDKEEP_STORE__MASTER_KEY", key);
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_master_key_from_the_environment_or_systemd_lies_in_no_file_of_ours() {
    let room = room();
    let data = room.path().join("data");
    let (old, new) = ("1d".repeat(32), room.path().join("new.key"));
    let server = Server::on(&data, &[("CARDKEEP_STORE__MASTER_KEY", &old)]);
    let who = server.account("ann");
    let paths = fill(&server, &who);
    assert!(!room.path().join("data.key").exists());
    let line = end_of(&attempt(&data, &["key", "rotate"], ""));
    assert!(line.contains("--new-key-file") && line.contains("store.master_key"), "{line}");
    let told = run(&data, &["key", "rotate", "--new-key-file", new.to_str().unwrap()], "");
    assert!(told.contains("new.key") && told.contains("CARDKEEP_STORE__MASTER_KEY"), "{told}");
    assert_eq!(mode(&new), 0o600);
    drop(server);
    let line = end_of(&with_key(&data, &old, &["user", "list"]));
    assert!(line.contains("store.master_key") && !line.contains(&old), "{line}");
    let digits = std::fs::read_to_string(&new).unwrap();
    assert!(with_key(&data, digits.trim(), &["check"]).status.success());
    // The same command again does nothing, and says the same.
    let again = with_key(&data, digits.trim(), &["key", "rotate", "--new-key-file", new.to_str().unwrap()]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), told);
    let handed = room.path().join("credentials");
    std::fs::create_dir(&handed).unwrap();
    std::fs::write(handed.join("cardkeep-master-key"), &digits).unwrap();
    let server = Server::on(&data, &[("CREDENTIALS_DIRECTORY", handed.to_str().unwrap())]);
    assert_all_there(&server, &who, &paths);
    let line = end_of(&attempt(&data, &["key", "rotate"], ""));
    assert!(line.contains("cardkeep-master-key"), "{line}");
    assert!(!room.path().join("data.key").exists());
}
