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
fn exactly_what_changed_is_read_again() {
    let Some(mut slapd) = start("exactly_what_changed_is_read_again", Setup::default()) else { return };
    let settings = slapd.settings(Cover::StartTls);
    let whole = read(&settings, None).unwrap();
    let nothing = read(&settings, Some(&whole)).unwrap();
    assert!(nothing.people.is_empty() && nothing.groups.is_empty() && nothing.next.is_some());
    assert_eq!(nothing.gone, Gone::These([].into()));

    slapd.set(&person(7), "title", "Director");
    slapd.delete(&person(8));
    let delta = read(&settings, Some(&nothing)).unwrap();
    assert_eq!((delta.people.len(), delta.groups.len()), (1, 0));
    assert_eq!((delta.people[0].name.as_str(), delta.people[0].title.as_str()), ("u7", "Director"));
    assert_eq!(delta.gone, Gone::These([id_of(&whole, "u8")].into()));

    // A rename keeps the id; who leaves the filter is gone; a group is a change too.
    slapd.rename(&person(9), "uid=nine");
    slapd.change(&format!(
        "dn: {}\nchangetype: modify\nreplace: objectClass\nobjectClass: inetOrgPerson\n-\nreplace: sn\nsn: Renamed\n",
        person(10)
    ));
    slapd.set(&format!("cn=unix,ou=groups,{BASE}"), "memberUid", "u3");
    let delta = read(&settings, Some(&delta)).unwrap();
    let nine = delta.people.iter().find(|found| found.name == "nine").unwrap();
    assert_eq!(nine.id, id_of(&whole, "u9"));
    assert_eq!((delta.people.len(), delta.groups.len()), (2, 1));
    assert_eq!(delta.groups[0].members, [Member::UserName("u3".into())]);
    assert_eq!(delta.gone, Gone::These([].into()));

    // A restart loses nothing.
    slapd.set(&person(11), "title", "Before");
    slapd.stop();
    assert!(matches!(read(&settings, Some(&delta)), Err(DirectoryError::Unreachable(_))));
    slapd.start();
    slapd.set(&person(12), "title", "After");
    let delta = read(&settings, Some(&delta)).unwrap();
    let mut names: Vec<&str> = delta.people.iter().map(|person| person.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["u11", "u12"]);
    slapd.delete(&person(13));
    slapd.stop();
    slapd.start();
    // slapd's session log is in memory: now it names who is there instead of who went.
    let after = read(&settings, Some(&delta)).unwrap();
    assert_is_gone(&after, &id_of(&whole, "u13"), &id_of(&whole, "u14"));
}

fn assert_is_gone(reading: &Reading, gone: &str, there: &str) {
    match &reading.gone {
        Gone::These(these) => assert!(these.contains(gone) && !these.contains(there)),
        Gone::AllBut(present) => assert!(!present.contains(gone) && present.contains(there)),
    }
}

#[test]
fn without_a_session_log_the_present_are_named() {
    let setup = Setup { session_log: false, ..Setup::default() };
    let Some(slapd) = start("without_a_session_log_the_present_are_named", setup) else { return };
    let settings = slapd.settings(Cover::Clear);
    let whole = read(&settings, None).unwrap();
    slapd.set(&person(7), "title", "Director");
    slapd.delete(&person(8));
    let delta = read(&settings, Some(&whole)).unwrap();
    assert_eq!(delta.people.len(), 1);
    let Gone::AllBut(present) = &delta.gone else { panic!("{:?}", delta.gone) };
    assert_eq!(present.len(), 1200 + 6, "all but one, and the one without a name");
    assert!(!present.contains(&id_of(&whole, "u8")));
}

#[test]
fn without_synchronisation_times_and_ids_tell() {
    let setup = Setup { sync: false, ..Setup::default() };
    let Some(slapd) = start("without_synchronisation_times_and_ids_tell", setup) else { return };
    let settings = slapd.settings(Cover::Clear);
    let whole = read(&settings, None).unwrap();
    assert_whole(&whole, 1200);
    // Times count whole seconds: that in which everything was loaded must be over.
    let mut loading = 0..1_000;
    let whole = loop {
        slapd.set(&person(10), "title", &format!("Number {:?}", loading.next().unwrap()));
        let whole = read(&settings, None).unwrap();
        if read(&settings, Some(&whole)).unwrap().people.len() < 10 {
            break whole;
        }
    };
    slapd.set(&person(7), "title", "Director");
    slapd.delete(&person(8));
    let delta = read(&settings, Some(&whole)).unwrap();
    assert!(delta.people.iter().any(|person| person.name == "u7" && person.title == "Director"));
    let Gone::AllBut(present) = &delta.gone else { panic!("{:?}", delta.gone) };
    assert_eq!(present.len(), 1200 + 6);
    assert!(!present.contains(&id_of(&whole, "u8")));
    // What was loaded in one second is read again with the newest of it, and never less.
    slapd.set(&person(9), "title", "Later");
    let delta = read(&settings, Some(&delta)).unwrap();
    assert!(delta.people.iter().any(|person| person.name == "u9"));
    assert!(delta.people.len() <= 3, "{}", delta.people.len());
}

#[test]
fn marks_that_do_not_fit_begin_anew() {
    let Some(slapd) = start("marks_that_do_not_fit_begin_anew", Setup::default()) else { return };
    let settings = slapd.settings(Cover::Clear);
    let whole = read(&settings, None).unwrap();
    // Of another configuration, and nonsense.
    let narrow = Settings {
        users: Scope { filter: "(uid=u1*)".into(), ..settings.users.clone() },
        ..settings.clone()
    };
    assert_eq!(read(&narrow, Some(&whole)).unwrap().people.len(), 311);
    let nonsense = Reading { next: Some(b"nonsense".to_vec()), ..Reading::default() };
    assert_whole(&read(&settings, Some(&nonsense)).unwrap(), 1200);
    // Ahead of the directory, which was restored from a copy: its cookie is turned down.
    let setup = Setup { people: 20, ..Setup::default() };
    let Some(mut other) = start("", setup) else { return };
    let settings = other.settings(Cover::Clear);
    let before = read(&settings, None).unwrap();
    let future = {
        let mut bytes = before.next.clone().unwrap();
        let text = b"csn=20";
        let places: Vec<usize> =
            (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
        assert_eq!(places.len(), 2, "a cookie for people, one for groups");
        places.into_iter().for_each(|at| bytes[at + 4] = b'3');
        Reading { next: Some(bytes), ..Reading::default() }
    };
    let read_again = read(&settings, Some(&future)).unwrap();
    assert_eq!((read_again.people.len(), read_again.groups.len()), (20, 6));
    assert!(matches!(read_again.gone, Gone::AllBut(_)));
    other.stop();
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

fn untrusted(reading: Result<Reading, DirectoryError>) -> String {
    match reading {
        Err(DirectoryError::Untrusted(why)) => why,
        other => panic!("not untrusted: {:?}", other.err()),
    }
}

#[test]
fn who_is_not_trusted_hears_no_password() {
    let Some(slapd) = start("who_is_not_trusted_hears_no_password", Setup { people: 20, ..Setup::default() })
    else {
        return;
    };
    for cover in [Cover::Tls, Cover::StartTls] {
        let fine = slapd.settings(cover);
        let first = first(&fine);
        let others = [
            Settings { ca_file: Some(slapd.other_ca()), ..fine.clone() },
            Settings { ca_file: None, ..fine.clone() },
        ];
        for settings in others {
            let why = untrusted(read(&settings, None));
            assert!(why.contains("ldap.ca_file"), "{why}");
            assert!(matches!(
                binds(&settings, &first, &person(1), &password(1)),
                Err(DirectoryError::Untrusted(_))
            ));
        }
    }
    // A name that the certificate is not for.
    let fine = slapd.settings(Cover::Tls);
    let named = with_host(&fine, "127.0.0.2", slapd.tls_port);
    // slapd listens on one address only, so the other is reached through us.
    let between = TcpListener::bind("127.0.0.2:0").unwrap();
    let (here, there) = (between.local_addr().unwrap().port(), slapd.tls_port);
    std::thread::spawn(move || {
        let (client, _) = between.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", there)).unwrap();
        let (mut up, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut up, &mut to));
        let (mut down, mut from) = (client, server);
        let _ = std::io::copy(&mut from, &mut down);
    });
    let why = untrusted(read(&with_host(&named, "127.0.0.2", here), None));
    assert!(why.contains("another name"), "{why}");
    // LDAP where TLS was expected, and the other way round.
    let clear = with_host(&fine, "localhost", slapd.port);
    assert!(read(&clear, None).is_err());
    let wrong = with_host(&slapd.settings(Cover::Clear), "localhost", slapd.tls_port);
    let wrong = Settings { timeout: Duration::from_secs(2), ..wrong };
    assert!(read(&wrong, None).is_err());
    // What is no certificate.
    let settings = Settings { ca_file: Some("/nonexistent/ca.pem".into()), ..fine };
    assert!(Ldap::new(settings).err().unwrap().starts_with("ldap.ca_file: /nonexistent/ca.pem "));
}

#[test]
fn a_directory_that_wants_tls_says_so() {
    let setup = Setup { people: 20, only_tls: true, ..Setup::default() };
    let Some(slapd) = start("a_directory_that_wants_tls_says_so", setup) else { return };
    let why = untrusted(read(&slapd.settings(Cover::Clear), None));
    assert!(why.contains("ldap.start_tls"), "{why}");
    assert_eq!(read(&slapd.settings(Cover::StartTls), None).unwrap().people.len(), 20);
}

#[test]
fn wrong_settings_are_named() {
    let Some(slapd) = start("wrong_settings_are_named", Setup { people: 20, ..Setup::default() }) else {
        return;
    };
    let fine = slapd.settings(Cover::Clear);
    let refused = |settings: Settings| match read(&settings, None) {
        Err(DirectoryError::Refused(why)) => why,
        other => panic!("{:?}", other.err()),
    };
    for reader in [(READER, "wrong"), ("cn=nobody,dc=example,dc=org", READER_PASSWORD)] {
        let why = refused(Settings { reader: Some((reader.0.into(), reader.1.into())), ..fine.clone() });
        assert!(why.contains("ldap.bind_password") && !why.contains(reader.1), "{why}");
    }
    let scope = |base: &str| Scope { base: base.into(), ..fine.users.clone() };
    let why = refused(Settings { users: scope("ou=elsewhere,dc=example,dc=org"), ..fine.clone() });
    assert!(why.contains("ldap.user_base") && why.contains("noSuchObject"), "{why}");
    let why = refused(Settings { users: scope("no name"), ..fine.clone() });
    assert!(why.contains("ldap.user_base"), "{why}");
    let why = refused(Settings { groups: Some(scope("ou=elsewhere,dc=example,dc=org")), ..fine.clone() });
    assert!(why.contains("ldap.group_base"), "{why}");
    let nothing = Settings { groups: None, ..fine };
    assert!(read(&nothing, None).unwrap().groups.is_empty());
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

fn ldap_test(slapd: &Slapd, more: &[(&str, &str)]) -> Output {
    let nowhere = room();
    let data = nowhere.path().join("data");
    let url = format!("ldap://localhost:{}", slapd.port);
    let base = format!("ou=people,{BASE}");
    let groups = format!("ou=groups,{BASE}");
    let ca = slapd.ca();
    let output = Command::new(PROGRAM)
        .args(["ldap", "test", "--data"])
        .arg(&data)
        .env("CARDKEEP_LDAP__URL", url)
        .env("CARDKEEP_LDAP__START_TLS", "true")
        .env("CARDKEEP_LDAP__CA_FILE", ca)
        .env("CARDKEEP_LDAP__BIND_DN", READER)
        .env("CARDKEEP_LDAP__BIND_PASSWORD", READER_PASSWORD)
        .env("CARDKEEP_LDAP__USER_BASE", base)
        .env("CARDKEEP_LDAP__GROUP_BASE", groups)
        .envs(more.iter().copied())
        .output()
        .unwrap();
    assert!(!data.exists(), "it needs no store");
    output
}

#[test]
fn ldap_test_goes_through_every_step() {
    let Some(mut slapd) =
        start("ldap_test_goes_through_every_step", Setup { people: 20, ..Setup::default() })
    else {
        return;
    };
    slapd.set(&person(5), "mail", "u6@example.org");
    let output = ldap_test(&slapd, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "OK      connecting: ldap://localhost:",
        "OK      TLS: StartTLS",
        "OK      bind: ",
        "OK      what it can do: entries are read in pages, changes by content synchronisation",
        "OK      users: 20 found",
        "OK      groups: 6 found",
        "        name=u0; display_name=User 0; ",
        "WARNING 1 entries have no name",
        "WARNING 1 e-mail addresses belong to more than one user",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}: {text}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("        ")).count(), 3);
    assert!(!text.contains(READER_PASSWORD) && !text.contains("secret of"));

    let failed = |more: &[(&str, &str)], begins: &str| {
        let output = ldap_test(&slapd, more);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().last().unwrap_or_default().starts_with(begins), "{begins}: {text}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    failed(&[("CARDKEEP_LDAP__BIND_PASSWORD", "wrong")], "FAILED  bind: ");
    failed(&[("CARDKEEP_LDAP__CA_FILE", slapd.other_ca().to_str().unwrap())], "FAILED  TLS: ");
    failed(&[("CARDKEEP_LDAP__USER_BASE", "ou=none,dc=example,dc=org")], "FAILED  users: ");
    failed(&[("CARDKEEP_LDAP__USER_FILTER", "(uid=")], "FAILED  ldap.user_filter: ");
    slapd.stop();
    let output = ldap_test(&slapd, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.starts_with(b"FAILED  connecting: "));
}

#[test]
fn ldap_test_needs_a_directory_to_test() {
    let output = Command::new(PROGRAM).args(["ldap", "test"]).current_dir(room().path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("ldap.url"));
    let given = [("CARDKEEP_LDAP__URL", "ldap://ldap.example.org"), ("CARDKEEP_LDAP__USER_BASE", "dc=x")];
    let output = Command::new(PROGRAM).args(["ldap", "test"]).envs(given).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("in clear"));
}
