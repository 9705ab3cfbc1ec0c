//! `cardkeep ldap test`.

use super::*;

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
