//! Whom we trust with what, and what is said where that does not work.

use super::*;

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
