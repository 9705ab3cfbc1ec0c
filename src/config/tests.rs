//! That the example is what we ship, and that whatever is wrong is named with its place.

use super::*;

fn read(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    let mut places = Places::new();
    config
        .read("cardkeep.toml", text, &mut places)
        .and_then(|()| config.consistent(&places))
        .map_err(|error| error.to_string())?;
    Ok(config)
}

fn environment(name: &str, value: &str) -> Result<Config, String> {
    Config::load(None, &[(name.to_owned(), value.to_owned())]).map_err(|e| e.to_string())
}

#[test]
fn the_example_says_the_defaults_and_is_the_file_we_ship() {
    assert!(read(&example()).unwrap() == Config::default());
    assert_eq!(example(), include_str!("../../config/cardkeep.toml"));
}

#[test]
fn samples_of_keys_without_default_are_valid() {
    let text: String = example()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')) => {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    // A key that everybody can read here would be no key.
    assert!(read(&text).err().unwrap().contains(": store.master_key: "));
    let text = text.replace("64 hexadecimal digits", &"5e".repeat(32));
    // Not all of them make sense together.
    let mut config = Config::default();
    config.read("cardkeep.toml", &text, &mut Places::new()).unwrap();
    assert!(config.tls.certificate.is_some() && config.server.public_url.is_some());
    assert!(config.store.master_key.is_some() && config.backup.passphrase.is_some());
}

#[test]
fn the_master_key_has_one_place_and_shows_nowhere() {
    let digits = "0123456789abcdef".repeat(4);
    let key = ("CARDKEEP_STORE__MASTER_KEY".to_owned(), digits.clone());
    let file = ("CARDKEEP_STORE__MASTER_KEY_FILE".to_owned(), "/k".to_owned());
    let room = tempfile::tempdir().unwrap();
    let handed = (CREDENTIALS.to_owned(), room.path().display().to_string());
    let load = |given: &[&(String, String)]| {
        let given: Vec<_> = given.iter().map(|pair| (*pair).clone()).collect();
        Config::load(None, &given).map_err(|error| error.to_string())
    };
    assert!(load(&[&key]).unwrap().store.master_key == KeyBytes::from_hex(digits.as_bytes()));
    assert!(load(&[&file, &handed]).unwrap().store.credential.is_none(), "other credentials only");
    std::fs::write(room.path().join(MASTER_KEY), &digits).unwrap();
    assert!(load(&[&handed]).unwrap().store.credential.is_some());
    for two in [[&key, &file], [&key, &handed], [&file, &handed]] {
        let error = load(&two).err().unwrap();
        assert!(error.starts_with("store.master_key") && !error.contains(&digits), "{error}");
    }
    for wrong in [digits.get(1..).unwrap(), &digits.replace('f', "g"), &format!("{digits}00")] {
        let error = environment("CARDKEEP_STORE__MASTER_KEY", wrong).err().unwrap();
        assert!(!error.contains("23456"), "{error}");
        let error = read(&format!("[store]\nmaster_key = \"{wrong}\"\n")).err().unwrap();
        assert!(error.starts_with("cardkeep.toml:2: store.master_key: ") && !error.contains("23456"));
    }
}

#[test]
fn an_unknown_key_stops_with_file_line_and_key() {
    let error = read("[server]\nlisten = \"127.0.0.1:1\"\nlisen = 3\n").err().unwrap();
    assert!(error.starts_with("cardkeep.toml:3: server.lisen "), "{error}");
    let error = read("\n[sever]\n").err().unwrap();
    assert!(error.starts_with("cardkeep.toml:2: sever "), "{error}");
    let error = read("listen = \"127.0.0.1:1\"\n").err().unwrap();
    assert!(error.starts_with("cardkeep.toml:1: listen "), "{error}");
}

#[test]
fn a_bad_value_stops_with_file_line_and_key() {
    for (text, start) in [
        ("[server]\n\nlisten = \"nowhere\"\n", "cardkeep.toml:3: server.listen: "),
        ("[server]\nlisten = 8080\n", "cardkeep.toml:2: server.listen: "),
        ("[contacts]\ndefault_region = \"de\"\n", "cardkeep.toml:2: contacts.default_region: "),
        ("[contacts]\ndefault_region = \"Germany\"\n", "cardkeep.toml:2: contacts.default_region: "),
        ("[contacts]\ndefault_region = 49\n", "cardkeep.toml:2: contacts.default_region: "),
        ("[log]\nlevel = \"loud\"\n", "cardkeep.toml:2: log.level: "),
        ("[limits]\ncard_bytes = -1\n", "cardkeep.toml:2: limits.card_bytes: "),
        ("[limits]\ncard_bytes = \"10\"\n", "cardkeep.toml:2: limits.card_bytes: "),
        ("[server]\nheader_timeout = \"0s\"\n", "cardkeep.toml:2: server.header_timeout: "),
        ("[server]\nmax_requests = [1]\n", "cardkeep.toml:2: server.max_requests: "),
        ("[tls]\nkey = \"k.pem\"\n", "tls.certificate: "),
        ("[server\n", "cardkeep.toml:1: "),
    ] {
        let error = read(text).err().unwrap();
        assert!(error.starts_with(start), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error:?}");
    }
}

#[test]
fn the_environment_overrides_and_is_named_when_wrong() {
    let config = environment("CARDKEEP_SERVER__LISTEN", "127.0.0.1:9").unwrap();
    assert_eq!(config.server.listen.port(), 9);
    let config = environment("CARDKEEP_CONTACTS__DEFAULT_REGION", "DE").unwrap();
    assert_eq!(config.contacts.default_region, Region::parse("DE"));
    assert!(environment("CARDKEEP_LOG__STORE_CALLS", "true").unwrap().log.store_calls);
    assert_eq!(environment("CARDKEEP_LIMITS__CARD_BYTES", "2048").unwrap().limits.card_bytes, 2048);
    for (name, value) in [
        ("CARDKEEP_SERVER__LISEN", "127.0.0.1:9"),
        ("CARDKEEP_LOG__STORE_CALLS", "perhaps"),
        ("CARDKEEP_CONTACTS__DEFAULT_REGION", "ZZ"),
        ("CARDKEEP_SERVER__IDLE_TIMEOUT", "5"),
    ] {
        let error = environment(name, value).err().unwrap();
        assert!(error.starts_with(&format!("environment variable {name}: ")), "{error}");
    }
    assert!(environment("CARDKEEP_HOME", "x").is_ok(), "not of the form SECTION__KEY");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Some(Path::new("/nonexistent/c.toml")), &[]).err().unwrap();
    assert!(error.to_string().starts_with("/nonexistent/c.toml: "));
}

#[test]
fn passwords_do_not_cross_a_network_in_clear() {
    let ldap = |lines: &str| read(&format!("[ldap]\nuser_base = \"dc=x\"\n{lines}"));
    let error = ldap("url = \"ldap://ldap.example.org\"\n").err().unwrap();
    assert!(error.starts_with("cardkeep.toml:3: ldap.url: passwords would cross"), "{error}");
    for fine in [
        "url = \"ldaps://ldap.example.org\"\n",
        "url = \"ldap://127.0.0.1\"\n",
        "url = \"ldap://ldap.example.org\"\nstart_tls = true\n",
        "url = \"ldap://ldap.example.org\"\nallow_clear = true\n",
        "url = \"ldapi://%2Frun%2Fldapi\"\n",
    ] {
        assert!(ldap(fine).unwrap().ldap.url.is_some(), "{fine}");
    }
    let given = [
        ("CARDKEEP_LDAP__URL".to_owned(), "ldap://ldap.example.org".to_owned()),
        ("CARDKEEP_LDAP__USER_BASE".to_owned(), "dc=x".to_owned()),
    ];
    let error = Config::load(None, &given).err().unwrap().to_string();
    assert!(error.starts_with("environment variable CARDKEEP_LDAP__URL: ldap.url: "), "{error}");
}

#[test]
fn the_directory_keys_are_checked_with_file_line_and_key() {
    for (text, start) in [
        ("[ldap]\nurl = \"http://h\"\n", "cardkeep.toml:2: ldap.url: "),
        ("[ldap]\nurl = \"ldaps://h\"\n", "cardkeep.toml:2: ldap.url: a directory needs ldap.user_base"),
        ("[ldap]\nkind = \"nis\"\n", "cardkeep.toml:2: ldap.kind: "),
        ("[ldap]\nmost_leavers = 20\n", "cardkeep.toml:2: ldap.most_leavers: "),
        ("[ldap]\nmost_leavers = \"120%\"\n", "cardkeep.toml:2: ldap.most_leavers: "),
        ("[ldap]\npage_size = 0\n", "cardkeep.toml:2: ldap.page_size: "),
        ("[ldap]\ntimeout = 10\n", "cardkeep.toml:2: ldap.timeout: "),
        ("[ldap.attributes]\nmail = \"mail\"\n", "cardkeep.toml:2: ldap.attributes.mail "),
        ("[ldap.attributes]\nemail = \"(mail\"\n", "cardkeep.toml:2: ldap.attributes.email: "),
        ("[ldap]\nattributes = 1\n", "cardkeep.toml:2: ldap.attributes "),
        ("[ldap.attribute]\nemail = \"mail\"\n", "cardkeep.toml:1: ldap.attribute "),
        (
            "[ldap]\nurl = \"ldaps://h\"\nuser_base = \"dc=x\"\nstart_tls = true\n",
            "cardkeep.toml:4: ldap.start_tls: ",
        ),
        (
            "[ldap]\nurl = \"ldaps://h\"\nuser_base = \"dc=x\"\nbind_dn = \"cn=r\"\n",
            "cardkeep.toml:4: ldap.bind_dn: ",
        ),
    ] {
        let error = read(text).err().unwrap();
        assert!(error.starts_with(start), "{text:?}: {error}");
    }
    let config = read("[ldap]\nmost_leavers = \"5%\"\nattributes.email = \"mail\"\n").unwrap();
    assert_eq!((config.ldap.most_leavers, config.ldap.attributes.len()), (5, 1));
    let config = environment("CARDKEEP_LDAP__ATTRIBUTES__EMAIL", "mail,email").unwrap();
    assert_eq!(config.ldap.attributes.get("email").unwrap().len(), 2);
}

#[test]
fn the_directory_password_shows_nowhere() {
    let config = environment("CARDKEEP_LDAP__BIND_PASSWORD", " s3cr3t ").unwrap();
    let password = config.ldap.bind_password.unwrap();
    assert_eq!(password.reveal(), " s3cr3t ");
    assert_eq!(format!("{password:?}"), "Secret(…)");
    let given = [
        ("CARDKEEP_LDAP__BIND_PASSWORD".to_owned(), "s3cr3t".to_owned()),
        ("CARDKEEP_LDAP__URL".to_owned(), "ldaps://h".to_owned()),
        ("CARDKEEP_LDAP__USER_BASE".to_owned(), "dc=x".to_owned()),
    ];
    let error = Config::load(None, &given).err().unwrap().to_string();
    assert!(error.contains("ldap.bind_password") && !error.contains("s3cr3t"), "{error}");
    let error = read("[ldap]\nbind_password = [\"s3cr3t\"]\n").err().unwrap();
    assert!(
        error.starts_with("cardkeep.toml:2: ldap.bind_password: ") && !error.contains("s3cr3t"),
        "{error}"
    );
}
