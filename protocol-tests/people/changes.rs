//! What becomes of people and groups when the directory changes, and when it dies or hangs meanwhile.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::server::Server;
use crate::slapd::{BASE, person, start};

use super::site::{Site, assert_quiet, config, count, home, named, setup, site, staff, who};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn who_leaves_the_directory_is_out_at_once() {
    let Some(site) = site("who_leaves_the_directory_is_out_at_once", 40, "") else { return };
    let (leaver, one) = (who(5), who(1));
    let app = site.server.token("u5");
    assert_eq!((site.status(&leaver), site.status(&app)), (207, 207));
    let card = home(&leaver) + "contacts/ann.vcf";
    assert_eq!(site.put(&leaver, &card, "ann"), 201);
    let mut phone = site.phone(&one);
    let before = phone.sync(&staff(&one), "", None);
    assert_eq!(before.changed.len(), 40);

    site.slapd.delete(&person(5));
    let told = site.sync_with(&["--dry-run"]);
    assert_eq!(told["went"], serde_json::json!(["u5"]));
    assert_eq!(site.status(&app), 207, "told and not done");
    let done = site.sync();
    assert_eq!((&done["went"], &done["cards_removed"]), (&serde_json::json!(["u5"]), &1.into()));
    // Also where the directory said within the last minute that the password is right.
    assert_eq!((site.status(&leaver), site.status(&app)), (401, 401));
    let after = phone.sync(&staff(&one), &before.token, None);
    assert_eq!((after.changed.len(), after.removed.len()), (0, 1));
    assert!(!site.users().contains("u5") && site.listed().to_string().contains("\"u5\""));
    assert_quiet(&site.sync());
    assert_eq!((site.status(&leaver), site.status(&app)), (401, 401));
}

#[test]
fn after_a_restore_the_directory_is_read_anew() {
    let Some(mut site) = site("after_a_restore_the_directory_is_read_anew", 6, "") else { return };
    let room = crate::server::room();
    let path = |name: &str| room.path().join(name).to_str().unwrap().to_owned();
    let (archive, keyring, there) = (path("archive"), path("keyring"), room.path().join("there"));
    site.server.run(&["backup", &archive, "--keyring", &keyring], "");
    // An account that the archive has and the keyring does not open any more; the directory has nothing to
    // tell of it.
    site.server.run(&["user", "remove", "u3", "--erase"], "");
    assert_eq!(count(&site.sync(), "came"), 0);
    assert!(!site.users().contains("u3"));
    site.server.run(&["backup", &path("second"), "--keyring", &keyring], "");
    site.server.kill();
    let restore = ["restore", &archive, "--keyring", &keyring, "--partial"];
    let told = crate::server::run(&there, &restore, "");
    assert!(told.contains("were erased since"), "{told}");
    let file = path("cardkeep.toml");
    std::fs::write(&file, config(site.slapd.port, "")).unwrap();
    site.server = Server::there(&there, &file);
    site.sync();
    assert!(site.users().contains("u3"), "{:?}", site.users());
}

#[test]
fn when_most_leave_at_once_somebody_must_say_that_it_is_so() {
    let Some(site) = site("when_most_leave_at_once_somebody_must_say_that_it_is_so", 40, "") else { return };
    let before = site.listed();
    let app = site.server.token("u30");
    (10..40).for_each(|number| site.slapd.delete(&person(number)));
    let why = site.refused(&[]);
    assert!(why.contains("30 users or groups") && why.contains("--accept-leavers"), "{why}");
    assert_eq!((site.listed(), site.status(&app)), (before.clone(), 207));
    // Asked again it is refused again, and nobody new comes meanwhile.
    site.refused(&[]);
    assert_eq!(site.listed(), before);
    let told = site.sync_with(&["--dry-run"]);
    assert_eq!((count(&told, "went"), &told["pending_leavers"]), (30, &30.into()));
    let done = site.sync_with(&["--accept-leavers"]);
    assert_eq!((count(&done, "went"), &done["cards_removed"]), (30, &30.into()));
    assert_eq!((site.users().len(), site.status(&app), site.status(&who(9))), (10, 401, 207));
    assert_quiet(&site.sync());
}

/// What an entry of the directory is made of.
fn entry(number: usize) -> String {
    format!(
        "dn: {}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: u{number}\ncn: Other {number}\nsn: Other\n\
         mail: other{number}@example.org\nuserPassword: another\n",
        person(number)
    )
}

#[test]
fn a_renamed_user_keeps_everything_and_a_namesake_gets_nothing() {
    let test = "a_renamed_user_keeps_everything_and_a_namesake_gets_nothing";
    let Some(site) = site(test, 20, "") else { return };
    let (old, app) = (who(9), site.server.token("u9"));
    assert_eq!(site.put(&old, &(home(&old) + "contacts/ann.vcf"), "ann"), 201);
    site.share("u9/contacts", "u2", "read");
    let token = site.home_sync(&who(2), "").token;
    site.slapd.rename(&person(9), "uid=nine");
    let done = site.sync();
    assert_eq!(done["renamed"], serde_json::json!([["u9", "nine"]]));
    assert!(count(&done, "came") == 0 && count(&done, "went") == 0);
    let (new, new_app) = (named("nine", &old.password), named("nine", &app.password));
    assert_eq!((site.status(&new), site.status(&new_app)), (207, 207));
    assert_eq!((site.status(&old), site.status(&app)), (401, 401));
    for who in [&new, &new_app] {
        assert_eq!(site.ask(who, "GET", &(home(&new) + "contacts/ann.vcf"), None).status, 200);
    }
    assert!(site.members(&new, &home(&new)).contains(&staff(&new)));
    // What was shared is where it was.
    let two = who(2);
    let shared: Vec<_> =
        site.members(&two, &home(&two)).into_iter().filter(|href| href.contains("u9")).collect();
    assert_eq!(shared.len(), 1, "{:?}", site.members(&two, &home(&two)));
    assert_eq!(site.ask(&two, "GET", &format!("{}ann.vcf", shared[0]), None).status, 200);
    assert!(site.home_sync(&two, &token).removed.is_empty());

    // Another person with the name of one who went.
    let (gone, gone_app) = (who(6), site.server.token("u6"));
    assert_eq!(site.put(&gone, &(home(&gone) + "contacts/old.vcf"), "old"), 201);
    site.slapd.delete(&person(6));
    site.slapd.change(&entry(6));
    let done = site.sync();
    assert_eq!((&done["came"], count(&done, "went")), (&serde_json::json!(["u6"]), 1));
    let namesake = named("u6", "another");
    assert_eq!((site.status(&namesake), site.status(&gone), site.status(&gone_app)), (207, 401, 401));
    assert_eq!(site.ask(&namesake, "GET", &(home(&gone) + "contacts/old.vcf"), None).status, 404);
    assert!(site.members(&namesake, &(home(&gone) + "contacts/")).is_empty());
    assert_quiet(&site.sync());
}

fn group(name: &str) -> String {
    format!("cn={name},ou=groups,{BASE}")
}

#[test]
fn what_is_shared_with_a_group_follows_its_members() {
    let Some(site) = site("what_is_shared_with_a_group_follows_its_members", 20, "") else { return };
    // u2 is in `round`; u3 is in `about`, which is in `round`, which is in `about`.
    let (owner, direct, nested, other) = (who(1), who(2), who(3), who(4));
    let principal = "/dav/principals/groups/round/";
    let told = site.propfind(&direct, principal, "0", &["D:resourcetype", "D:group-member-set"]);
    assert_eq!(told.status, 207, "{}", told.text());
    assert!(told.text().contains("/dav/principals/users/u2/"), "{}", told.text());
    let team = home(&owner) + "team/";
    assert_eq!(site.ask(&owner, "MKCOL", &team, crate::short::body(&["@mkcol"]).unwrap()).status, 201);
    assert_eq!(site.put(&owner, &(team.clone() + "ann.vcf"), "ann"), 201);
    let token = site.home_sync(&nested, "").token;
    site.share("u1/team", "group:round", "read");
    let there = |who| {
        let members = site.members(who, &home(who));
        members.into_iter().find(|href| href.contains("team"))
    };
    assert_eq!(there(&other), None);
    for member in [&direct, &nested] {
        let book = there(member).unwrap();
        assert_eq!(site.members(member, &book), [book.clone() + "ann.vcf"]);
        assert_eq!(site.put(member, &(book + "bob.vcf"), "bob"), 403);
    }
    let told = site.home_sync(&nested, &token);
    let book = there(&nested).unwrap();
    assert_eq!(told.changed.iter().map(|(href, _)| href).collect::<Vec<_>>(), [&book]);

    // u3 goes, u4 comes.
    let (about, unknown) = (group("about"), site.home_sync(&other, "").token);
    site.slapd.change(&format!("dn: {about}\nchangetype: modify\ndelete: member\nmember: {}\n", person(3)));
    site.slapd.change(&format!("dn: {about}\nchangetype: modify\nadd: member\nmember: {}\n", person(4)));
    site.sync();
    assert_eq!((there(&nested), there(&direct).is_some()), (None, true));
    assert_eq!(site.home_sync(&nested, &told.token).removed, std::slice::from_ref(&book));
    assert_eq!(site.propfind(&nested, &book, "0", &["D:displayname"]).status, 404);
    let came = site.home_sync(&other, &unknown);
    assert_eq!(came.changed.len(), 1, "{:?}", came.changed);
    assert!(there(&other).is_some());
    // The group goes, and with it what its members had by way of it.
    site.slapd.delete(&group("round"));
    assert_eq!(site.sync()["groups_went"], serde_json::json!(["round"]));
    assert_eq!((there(&direct), there(&other)), (None, None));
    assert_eq!(site.members(&owner, &team).len(), 1);
    assert_ne!(site.propfind(&direct, principal, "0", &["D:displayname"]).status, 207);
}

#[test]
fn three_of_the_directory_share_a_book() {
    let Some(site) = site("three_of_the_directory_share_a_book", 20, "") else { return };
    let (owner, writer, reader) = (who(1), who(2), who(3));
    let team = home(&owner) + "team/";
    assert_eq!(site.ask(&owner, "MKCOL", &team, crate::short::body(&["@mkcol"]).unwrap()).status, 201);
    site.share("u1/team", "u2", "write");
    site.share("u1/team", "u3", "read");
    let place = |who| site.members(who, &home(who)).into_iter().find(|href| href.contains("team")).unwrap();
    let (writes, reads) = (place(&writer), place(&reader));
    let mut phones = [(site.phone(&owner), &team), (site.phone(&reader), &reads)];
    let tokens: Vec<_> = phones.iter_mut().map(|(phone, book)| phone.sync(book, "", None).token).collect();
    assert_eq!(site.put(&writer, &(writes.clone() + "ann.vcf"), "ann"), 201);
    for ((phone, book), token) in phones.iter_mut().zip(&tokens) {
        let page = phone.sync(book, token, None);
        assert_eq!(
            page.changed.iter().map(|(href, _)| href.clone()).collect::<Vec<_>>(),
            [book.clone() + "ann.vcf"]
        );
    }
    assert_eq!(site.put(&reader, &(reads.clone() + "ann.vcf"), "ann"), 403);
    assert_eq!(site.ask(&owner, "DELETE", &(team.clone() + "ann.vcf"), None).status, 204);
    assert!(site.members(&writer, &writes).is_empty() && site.members(&reader, &reads).is_empty());
    // Who leaves leaves the share too.
    site.slapd.delete(&person(2));
    site.sync();
    assert_eq!(site.put(&writer, &(writes + "bob.vcf"), "bob"), 401);
    assert!(site.members(&reader, &reads).is_empty());
}

/// What passes between the server and slapd, until so many octets came from slapd: then slapd is killed.
struct Between {
    port: u16,
    /// How many octets may pass until then.
    fuse: Arc<AtomicUsize>,
    /// Who is killed.
    pid: Arc<AtomicUsize>,
}

const NEVER: usize = usize::MAX;

impl Between {
    fn of(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap().port();
        let (fuse, pid) = (Arc::new(AtomicUsize::new(NEVER)), Arc::new(AtomicUsize::new(0)));
        let between = Self { port: here, fuse: fuse.clone(), pid: pid.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (fuse, pid) = (fuse.clone(), pid.clone());
                let (mut up, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
                std::thread::spawn(move || pass(server, client, &fuse, &pid));
            }
        });
        between
    }

    fn kill_after(&self, octets: usize, pid: u32) {
        self.pid.store(pid as usize, Ordering::SeqCst);
        self.fuse.store(octets, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, fuse: &AtomicUsize, pid: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
        let left = fuse.load(Ordering::SeqCst);
        if left == NEVER {
            continue;
        }
        fuse.store(left.saturating_sub(count), Ordering::SeqCst);
        if left <= count {
            fuse.store(NEVER, Ordering::SeqCst);
            let pid = pid.load(Ordering::SeqCst).to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_directory_that_dies_in_the_midst_of_a_sync_changes_nothing() {
    let test = "a_directory_that_dies_in_the_midst_of_a_sync_changes_nothing";
    let Some(mut slapd) = start(test, setup(300)) else { return };
    let between = Between::of(slapd.port);
    // Nobody is there yet: it dies in the first reading of all.
    between.kill_after(50_000, slapd.pid());
    let server = Server::configured(&config(between.port, ""));
    while super::failures(&server) == 0 {
        std::thread::yield_now();
    }
    slapd.stop_dead();
    slapd.start();
    let mut site = Site { slapd, server };
    assert!(site.users().is_empty());
    assert_eq!(count(&site.sync(), "came"), 300);

    // In the reading of what changed: some left, many changed, one came.
    let before = site.listed();
    let mut changes = String::new();
    for number in 0..200 {
        let dn = person(number);
        writeln!(changes, "dn: {dn}\nchangetype: modify\nreplace: mail\nmail: new{number}@example.org\n")
            .unwrap();
    }
    site.slapd.change(&changes);
    (200..230).for_each(|number| site.slapd.delete(&person(number)));
    site.slapd.change(&entry(301));
    between.kill_after(30_000, site.slapd.pid());
    let began = Instant::now();
    let why = site.refused(&[]);
    assert!(why.contains("does not answer") && began.elapsed() < SOON, "{why}");
    assert_eq!(site.listed(), before);
    site.slapd.stop_dead();
    site.slapd.start();
    let done = site.sync();
    assert_eq!((count(&done, "came"), count(&done, "went"), &done["changed"]), (1, 30, &200.into()));
    let names: BTreeSet<_> = (0..200).chain(230..300).chain([301]).map(|n| format!("u{n}")).collect();
    assert_eq!(site.users(), names);
    assert_quiet(&site.sync());
}

#[test]
fn a_directory_that_hangs_holds_no_sync_for_long() {
    let Some(site) = site("a_directory_that_hangs_holds_no_sync_for_long", 20, "") else { return };
    let before = site.listed();
    let app = site.server.token("u1");
    site.slapd.delete(&person(7));
    site.slapd.hang();
    let began = Instant::now();
    let why = site.refused(&[]);
    assert!(why.contains("does not answer") && began.elapsed() < SOON, "{why} {:?}", began.elapsed());
    assert_eq!((site.listed(), site.status(&app)), (before, 207));
    site.slapd.go_on();
    assert_eq!(site.sync()["went"], serde_json::json!(["u7"]));
}
