//! The disk is full, or takes no writes: what cannot be written is answered 507 or 503, everything
//! is read as before, and when the disk has recovered the server goes on by itself. The real program
//! on real file systems, mounted in a namespace of their own that goes when the test does.
//!
//! A test whose means the machine does not offer says so on standard error and is left out.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::api::{Asker, told};
use crate::http::{Client, Request, Response};
use crate::server::{Account, Server, room};
use crate::short;

/// Which of these tests a process runs that was started by the test itself.
const INNER: &str = "CARDKEEP_TEST_INNER";

/// Runs the test in a process of its own, in which writing past a limit is an error and no signal,
/// and, where it mounts something, in a mount namespace of its own.
fn apart(name: &str, mounts: bool, test: impl FnOnce()) {
    if std::env::var_os(INNER).is_some_and(|inner| inner == name) {
        return test();
    }
    let namespaces: &[&[&str]] = match mounts {
        // As root, and as anybody where users may have namespaces.
        true => &[&["unshare", "--mount"], &["unshare", "--user", "--map-root-user", "--mount"]],
        false => &[&["env"]],
    };
    let possible = |command: &&&[&str]| {
        let mut trial = Command::new(command[0]);
        let told = trial.args(&command[1..]).args(["sh", "-c", "! $0 || mount -t tmpfs none /mnt"]);
        told.arg(mounts.to_string()).output().is_ok_and(|output| output.status.success())
    };
    let Some(namespace) = namespaces.iter().find(possible) else {
        return left_out(name, "nothing can be mounted here");
    };
    let output = Command::new(namespace[0])
        .args(&namespace[1..])
        .args(["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INNER, name)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let [stdout, stderr] = told;
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
    stderr.lines().filter(|line| line.starts_with("left out")).for_each(tell);
}

fn left_out(name: &str, why: &str) {
    tell(&format!("left out: {name}: {why}"));
}

/// Past the test harness, which keeps what a passed test prints to itself.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn command(line: &[&str]) -> bool {
    let output = Command::new(line[0]).args(&line[1..]).output();
    output.is_ok_and(|output| output.status.success())
}

/// An account on a server, and what it was told of its cards.
struct Owner {
    who: Account,
    client: Client,
    book: String,
    cards: BTreeMap<String, Vec<u8>>,
}

impl Owner {
    fn new(server: &Server) -> Self {
        let who = server.account("full");
        let book = format!("/dav/addressbooks/{}/contacts/", who.name);
        let mut owner = Self { who, client: server.client(), book, cards: BTreeMap::new() };
        // The first request makes the book, which must not fail for want of room.
        let book = owner.book.clone();
        owner.ask(Request::new("PROPFIND", &book).header("Depth", "0"));
        owner
    }

    fn ask(&mut self, request: Request) -> Response {
        self.client.send(&request.header("Authorization", &self.who.basic())).unwrap()
    }

    /// PUT of a card with a note of some bytes.
    fn put(&mut self, name: &str, bytes: usize) -> Response {
        let card = String::from_utf8(short::card("3.0", name, name).into()).unwrap();
        let note: String = (0..bytes / 64).map(|line| format!("NOTE:{line:057}\r\n")).collect();
        let card = card.replace("END:VCARD", &format!("{note}END:VCARD")).into_bytes();
        let request = Request::new("PUT", &format!("{}{name}.vcf", self.book));
        let answer = self.ask(request.header("Content-Type", "text/vcard").body(card.clone()));
        if [201, 204].contains(&answer.status) {
            self.cards.insert(name.to_owned(), card);
        }
        answer
    }

    fn delete(&mut self, name: &str) -> u16 {
        let status = self.ask(Request::new("DELETE", &format!("{}{name}.vcf", self.book))).status;
        if status == 204 {
            self.cards.remove(name);
        }
        status
    }

    /// Everything that was acknowledged is there, and nothing else.
    fn assert_all_there(&mut self) {
        for (name, card) in self.cards.clone() {
            let answer = self.ask(Request::new("GET", &format!("{}{name}.vcf", self.book)));
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert!(answer.body == card, "{name} is another");
        }
        let request = Request::new("PROPFIND", &self.book).header("Depth", "1");
        let listing = self.ask(request.header("Content-Type", "application/xml").body(LIST));
        assert_eq!(listing.text().matches(".vcf</").count(), self.cards.len());
    }

    /// PUT until it succeeds, for a while: the server recovers by itself, and may need a moment.
    fn put_soon(&mut self, name: &str) {
        let since = Instant::now();
        loop {
            let answer = self.put(name, 100);
            if answer.status == 201 {
                return;
            }
            assert!([503, 507].contains(&answer.status), "{}", answer.text());
            assert!(since.elapsed() < Duration::from_secs(30), "it does not recover: {}", answer.status);
            std::thread::yield_now();
        }
    }
}

const LIST: &str = "<D:propfind xmlns:D=\"DAV:\"><D:prop><D:getetag/></D:prop></D:propfind>";

/// A file of this size; of what fits, where that is less.
fn ballast(path: PathBuf, bytes: usize) -> PathBuf {
    let mut file = std::fs::File::create(&path).unwrap();
    let block = vec![1; 64 * 1024];
    let _ = (0..bytes.div_ceil(block.len())).try_for_each(|_| file.write_all(&block));
    path
}

/// Mounts something in a directory of its own, where that is allowed.
fn mounted(options: &[&str]) -> Option<(tempfile::TempDir, PathBuf)> {
    let room = room();
    let path = room.path().join("disk");
    std::fs::create_dir(&path).unwrap();
    let line = [&["mount"], options, &[path.to_str().unwrap()]].concat();
    command(&line).then_some((room, path))
}

#[test]
fn a_full_disk_is_507_until_there_is_room() {
    apart("full::a_full_disk_is_507_until_there_is_room", true, || {
        let (_room, disk) = mounted(&["-t", "tmpfs", "-o", "size=24m", "none"]).unwrap();
        let data = disk.join("data");
        // What goes into the trash makes no room.
        let mut server = Server::on(&data, &[("CARDKEEP_CONTACTS__TRASH_DAYS", "0")]);
        let weight = ballast(disk.join("ballast"), 6 << 20);
        let mut owner = Owner::new(&server);
        // First large ones, then small ones, for which there is room a little longer.
        for (kind, bytes) in [("large", 20_000), ("small", 100)] {
            let refused = (0..5000).find_map(|n| {
                let answer = owner.put(&format!("{kind}{n}"), bytes);
                (answer.status != 201).then_some(answer)
            });
            let refused = refused.expect("the disk is larger than it should be");
            assert_eq!(refused.status, 507, "{}", refused.text());
        }
        assert!(owner.cards.len() > 50, "only {} cards fit", owner.cards.len());
        owner.assert_all_there();
        // What makes room is taken though what adds is not.
        assert_eq!(owner.delete("large0"), 204);
        assert_eq!(owner.delete("large1"), 204);
        owner.assert_all_there();

        // Somebody else takes all that is left.
        let rest = ballast(disk.join("rest"), 64 << 20);
        assert_eq!(owner.put("another", 100).status, 507);
        assert!([204, 507].contains(&owner.delete("large2")));
        owner.assert_all_there();

        std::fs::remove_file(rest).unwrap();
        std::fs::remove_file(weight).unwrap();
        owner.put_soon("again");
        for n in 0..20 {
            assert_eq!(owner.put(&format!("more{n}"), 20_000).status, 201);
        }
        owner.assert_all_there();
        server.run(&["check"], "");
        server.kill();
        crate::server::run(&data, &["check"], "");
    });
}

#[test]
fn what_is_deleted_on_a_full_disk_goes_into_the_trash() {
    apart("full::what_is_deleted_on_a_full_disk_goes_into_the_trash", true, || {
        let (_room, disk) = mounted(&["-t", "tmpfs", "-o", "size=24m", "none"]).unwrap();
        let data = disk.join("data");
        let server = Server::on(&data, &[]);
        let weight = ballast(disk.join("ballast"), 6 << 20);
        let (mut owner, boss) = (Owner::new(&server), Asker::admin(&server));
        assert_eq!(told(&boss.get("/contacts/trash"))["total"], 0);
        for (kind, bytes) in [("large", 20_000), ("small", 100)] {
            let refused = (0..5000).find(|n| owner.put(&format!("{kind}{n}"), bytes).status == 507);
            assert!(refused.is_some(), "the disk is larger than it should be");
        }
        // The first thing that is ever deleted here, and many more.
        let names: Vec<_> = owner.cards.keys().take(40).cloned().collect();
        for name in &names {
            assert_eq!(owner.delete(name), 204, "{name}");
        }
        owner.assert_all_there();
        assert_eq!(owner.put("another", 100).status, 507);
        std::fs::remove_file(weight).unwrap();
        // They were not removed for good: written again, each is the contact that it was.
        let trash = told(&boss.get("/contacts/trash?limit=1000"));
        assert_eq!(trash["total"], names.len());
        owner.put_soon(&names[0]);
        assert_eq!(told(&boss.get("/contacts/trash?limit=1000"))["total"], names.len() - 1);
        owner.assert_all_there();
        server.run(&["check"], "");
    });
}

/// No write of the process succeeds any more, or they do again.
fn let_write(server: &Server, may: bool) {
    let own = getrlimit(Resource::Fsize);
    let current = if may { own.current } else { Some(0) };
    let pid = Pid::from_raw(server.pid.try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current, maximum: own.maximum }).unwrap();
}

#[test]
fn a_disk_that_takes_no_writes_is_503_until_it_does() {
    apart("full::a_disk_that_takes_no_writes_is_503_until_it_does", false, || {
        let room = room();
        let data = room.path().join("data");
        let mut server = Server::on(&data, &[]);
        let mut owner = Owner::new(&server);
        for n in 0..10 {
            assert_eq!(owner.put(&format!("card{n}"), 1000).status, 201);
        }
        for round in 0..2 {
            let_write(&server, false);
            for n in 0..5 {
                let refused = owner.put(&format!("refused{n}"), 1000);
                assert_eq!(refused.status, 503, "{}", refused.text());
                assert!(refused.header("retry-after").is_some());
                assert_eq!(owner.delete("card0"), 503);
                owner.assert_all_there();
            }
            let_write(&server, true);
            owner.put_soon(&format!("again{round}"));
            owner.assert_all_there();
        }
        server.run(&["check"], "");
        server.kill();
        crate::server::run(&data, &["check"], "");
    });
}

#[test]
fn a_file_system_that_turned_read_only_is_read() {
    let name = "full::a_file_system_that_turned_read_only_is_read";
    apart(name, true, || {
        let room = room();
        let image = room.path().join("image");
        let image = image.to_str().unwrap();
        let made = command(&["truncate", "-s", "48M", image]) && command(&["mkfs.ext4", "-q", image]);
        let options = ["-o", "loop,errors=remount-ro", image];
        let Some((_room, disk)) = made.then(|| mounted(&options)).flatten() else {
            return left_out(name, "there is no mkfs.ext4, or no file may be mounted as a disk");
        };
        let device = std::fs::read_to_string("/proc/mounts").unwrap();
        let device = device.lines().find(|line| line.contains(disk.to_str().unwrap())).unwrap();
        let device = device.split(' ').next().unwrap().trim_start_matches("/dev/").to_owned();
        let mut server = Server::on(&disk.join("data"), &[]);
        let mut owner = Owner::new(&server);
        assert_eq!(owner.put("before", 1000).status, 201);
        // What the kernel does when it finds that the file system is damaged.
        let trigger = Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error");
        if std::fs::write(trigger, "1").is_err() {
            return left_out(name, "the kernel does not pretend errors");
        }
        for n in 0..3 {
            let refused = owner.put(&format!("refused{n}"), 1000);
            assert_eq!(refused.status, 503, "{}", refused.text());
            owner.assert_all_there();
        }
        server.kill();
    });
}
