//! Directories as Cardkeep meets them: a real slapd that is read, followed, stopped, killed and hung,
//! and its passwords asked for. Without slapd each test says so on standard error and is left out.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cardkeep::directory::{Address, Cover, Ldap, Scope, Settings};
use cardkeep::service::directory::{Directory as _, DirectoryError, Gone, Member, Reading};

use crate::server::{PROGRAM, room};
use crate::slapd::{BASE, READER, READER_PASSWORD, Setup, Slapd, password, person, start};

mod examine;
mod follow;
mod trust;

fn runs<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

fn ldap(settings: Settings) -> Ldap {
    Ldap::new(settings).unwrap()
}

fn read(settings: &Settings, since: Option<&Reading>) -> Result<Reading, DirectoryError> {
    let since = since.and_then(|reading| reading.next.clone());
    runs(ldap(settings.clone()).read(since.as_deref()))
}

/// Whether that is the password of the entry of that name and that id.
fn binds(settings: &Settings, id: &str, dn: &str, password: &str) -> Result<bool, DirectoryError> {
    runs(ldap(settings.clone()).bind(dn, id, password))
}

/// The id of person 1.
fn first(settings: &Settings) -> String {
    id_of(&read(settings, None).unwrap(), "u1")
}

fn id_of(reading: &Reading, name: &str) -> String {
    reading.people.iter().find(|person| person.name == name).unwrap().id.clone()
}

fn with_host(settings: &Settings, host: &str, port: u16) -> Settings {
    let Address::Network { cover, .. } = settings.address else { panic!("no network") };
    Settings { address: Address::Network { host: host.into(), port, cover }, ..settings.clone() }
}

/// Everything that is in it, read right.
fn assert_whole(reading: &Reading, people: usize) {
    assert_eq!((reading.people.len(), reading.groups.len()), (people, 6));
    assert_eq!(reading.passed_over, 1, "{:?}", reading.warnings);
    assert_eq!(reading.warnings, ["1 entries have no name"]);
    let Gone::AllBut(present) = &reading.gone else { panic!("{:?}", reading.gone) };
    assert_eq!(present.len(), people + 1 + 6, "who has no name here is not gone");
    let zero = reading.people.iter().find(|found| found.name == "u0").unwrap();
    assert!(present.contains(&zero.id) && zero.id.len() == 36, "{}", zero.id);
    assert_eq!((zero.dn.as_str(), zero.enabled), (person(0).as_str(), true));
    assert_eq!(zero.emails, ["u0@example.org", "user.0@example.org"]);
    assert_eq!(zero.phones, [("+49 30 0".into(), "work".into()), ("+49 170 0".into(), "cell".into())]);
    let fields =
        [&zero.display_name, &zero.given, &zero.family, &zero.title, &zero.organization, &zero.department];
    assert_eq!(fields, ["User 0", "User", "Number 0", "Tester", "Example GmbH", "Department 0"]);
    assert_eq!(zero.manager, Some(person(0)));
    assert!(zero.photo.as_ref().unwrap().starts_with(b"\xff\xd8\xff"));
    let group = |name: &str| reading.groups.iter().find(|group| group.name == name).unwrap();
    assert_eq!(group("staff").members.len(), people.min(1000));
    assert_eq!(group("nested").members.len(), 2);
    assert!(group("round").members.contains(&Member::Dn(format!("cn=about,ou=groups,{BASE}"))));
    assert_eq!(group("unix").members, [Member::UserName("u1".into()), Member::UserName("u2".into())]);
    assert_eq!(group("unique").members, [Member::Dn(person(4))]);
}

#[test]
fn everything_is_read_whatever_covers_the_connection() {
    let Some(slapd) = start("everything_is_read_whatever_covers_the_connection", Setup::default()) else {
        return;
    };
    for cover in [Cover::Clear, Cover::Tls, Cover::StartTls] {
        assert_whole(&read(&slapd.settings(cover), None).unwrap(), 1200);
    }
    let address = with_host(&slapd.settings(Cover::Tls), "127.0.0.1", slapd.tls_port);
    assert_whole(&read(&address, None).unwrap(), 1200);
    // Who reads anonymously is shown nothing, and that is no empty directory.
    let anonymous = Settings { reader: None, ..slapd.settings(Cover::Clear) };
    assert!(matches!(read(&anonymous, None), Err(DirectoryError::Refused(_))));
    // Other attributes.
    let mut named = slapd.settings(Cover::Clear);
    let field = cardkeep::directory::Field::Name;
    named.attributes = named.attributes.with(field, vec!["employeeNumber".into(), "cn".into()]);
    let read = read(&named, None).unwrap();
    assert!(read.passed_over == 0 && read.people.iter().any(|person| person.name == "User 7"));
}

#[test]
fn pages_are_read_to_their_end() {
    let setup = Setup { sync: false, ..Setup::default() };
    let Some(slapd) = start("pages_are_read_to_their_end", setup) else { return };
    for page_size in [7, 500, 1200, 1201, 100_000] {
        let settings = Settings { page_size, ..slapd.settings(Cover::Clear) };
        assert_whole(&read(&settings, None).unwrap(), 1200);
    }
}

#[test]
fn a_directory_that_dies_while_it_is_read_gives_nothing() {
    let Some(slapd) = start("a_directory_that_dies_while_it_is_read_gives_nothing", Setup::default()) else {
        return;
    };
    let settings = slapd.settings(Cover::Clear);
    let (port, pid) = (slapd.port, slapd.pid());
    // Everything passes through here, until a part of the entries has.
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = between.local_addr().unwrap().port();
    let killer = std::thread::spawn(move || {
        let (mut client, _) = between.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut up, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let asks = std::thread::spawn(move || {
            let _ = std::io::copy(&mut up, &mut to);
        });
        let mut passed = 0;
        let mut buffer = [0; 4096];
        while passed < 100_000 {
            let count = server.read(&mut buffer).unwrap();
            assert!(count > 0, "slapd hung up");
            client.write_all(&buffer[..count]).unwrap();
            passed += count;
        }
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        let _ = std::io::copy(&mut server, &mut std::io::sink());
        let _ = client.shutdown(Shutdown::Both);
        asks.join().unwrap();
    });
    let broken = read(&with_host(&settings, "localhost", here), None);
    assert!(matches!(broken, Err(DirectoryError::Unreachable(_))), "{:?}", broken.err());
    killer.join().unwrap();
    drop(slapd);
}

#[test]
fn a_limit_of_the_directory_is_no_half_reading() {
    let Some(slapd) = start("a_limit_of_the_directory_is_no_half_reading", Setup::default()) else { return };
    // This account may read as much as the reader, of which the directory gives no more than 500.
    slapd.change(&format!(
        "dn: cn=small,{BASE}\nchangetype: add\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: small\nuserPassword: s\n"
    ));
    let mut settings = slapd.settings(Cover::Clear);
    settings.reader = Some((format!("cn=small,{BASE}"), "s".into()));
    let reading = read(&settings, None);
    assert!(matches!(reading, Err(DirectoryError::Refused(_))), "{:?}", reading.err());
}

#[test]
fn passwords_are_the_directorys() {
    let Some(mut slapd) = start("passwords_are_the_directorys", Setup { people: 20, ..Setup::default() })
    else {
        return;
    };
    let settings = slapd.settings(Cover::StartTls);
    let first = first(&settings);
    assert_eq!(binds(&settings, &first, &person(1), &password(1)), Ok(true));
    // Another that has got the name of somebody who went.
    assert_eq!(binds(&settings, "5ca1ab1e-0000-0000-0000-000000000000", &person(1), &password(1)), Ok(false));
    for (dn, secret) in [
        (person(1), password(2)),
        (person(1), String::new()),
        (String::new(), String::new()),
        (String::new(), "x".into()),
        (" ".into(), "x".into()),
        (format!("uid=nobody,ou=people,{BASE}"), password(1)),
        // Names that are none, or that hope to be pasted into a filter.
        ("*".into(), password(1)),
        (format!("uid=*,ou=people,{BASE}"), password(1)),
        (format!("uid=u1)(uid=*,ou=people,{BASE}"), password(1)),
        (format!("uid=u1\0,ou=people,{BASE}"), password(1)),
        (format!("{}\n", "uid=u1"), password(1)),
        (person(1), format!("{}\0", password(1))),
        (person(1), "x".repeat(100_000)),
    ] {
        assert_eq!(binds(&settings, &first, &dn, &secret), Ok(false), "{dn:?}");
    }
    slapd.stop();
    let refused = binds(&settings, &first, &person(1), &password(1));
    assert!(matches!(refused, Err(DirectoryError::Unreachable(_))), "{refused:?}");
    assert_eq!(binds(&settings, &first, &person(1), ""), Ok(false), "nobody needs to be asked");
    slapd.start();
    assert_eq!(binds(&settings, &first, &person(1), &password(1)), Ok(true));
}

#[test]
fn a_directory_that_hangs_does_not_hold_us() {
    let Some(slapd) =
        start("a_directory_that_hangs_does_not_hold_us", Setup { people: 20, ..Setup::default() })
    else {
        return;
    };
    for cover in [Cover::Clear, Cover::Tls, Cover::StartTls] {
        let settings = Settings { timeout: Duration::from_millis(300), ..slapd.settings(cover) };
        let first = first(&slapd.settings(cover));
        slapd.hang();
        let began = Instant::now();
        assert!(matches!(read(&settings, None), Err(DirectoryError::Unreachable(_))));
        assert!(matches!(
            binds(&settings, &first, &person(1), &password(1)),
            Err(DirectoryError::Unreachable(_))
        ));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        slapd.go_on();
        assert_eq!(binds(&slapd.settings(cover), &first, &person(1), &password(1)), Ok(true));
    }
}

#[test]
fn ten_thousand_people_are_read() {
    let setup = Setup { people: 10_000, photo: 20_000, ..Setup::default() };
    let Some(slapd) = start("ten_thousand_people_are_read", setup) else { return };
    let settings = slapd.settings(Cover::StartTls);
    let before = resident();
    let began = Instant::now();
    let whole = read(&settings, None).unwrap();
    let took = began.elapsed();
    assert_eq!(whole.people.len(), 10_000);
    let began = Instant::now();
    let delta = read(&settings, Some(&whole)).unwrap();
    assert!(delta.people.is_empty());
    let _ = writeln!(
        std::io::stderr(),
        "10,000 people: read in {took:?}, {} KiB more resident; nothing new in {:?}",
        resident().saturating_sub(before),
        began.elapsed()
    );
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
