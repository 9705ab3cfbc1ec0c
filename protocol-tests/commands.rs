//! The command line as people and scripts meet it: the same answers whether a server runs on the data
//! directory, ran once, or was killed; exit codes; errors of one line.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::http::{Connection, basic};
use crate::server::{PROGRAM, Server, attempt, room, run};
use crate::short;

/// Runs a command that does not succeed: its exit code and its one line.
fn refused(data: &Path, arguments: &[&str], stdin: &str) -> (i32, String) {
    let output = attempt(data, arguments, stdin);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {line}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
    (output.status.code().unwrap(), line)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What the lists say, without what differs from run to run.
fn listed(data: &Path, what: &str) -> Vec<String> {
    let text = run(data, &[what, "list", "--json"], "");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let shown = |row: &serde_json::Value| {
        ["name", "user", "display_name", "email", "admin", "enabled", "kind", "label", "scopes", "expires"]
            .iter()
            .filter_map(|key| row.get(key).map(|value| format!("{key}={value}")))
            .collect::<Vec<_>>()
            .join(" ")
    };
    rows.iter().map(shown).collect()
}

/// The administrator who is left.
const ROOT: &str = "name=\"root\" display_name=null email=null admin=true enabled=true";

/// Every command once, and every refusal.
fn all_commands(data: &Path) {
    let add = ["user", "add", "ann", "--email", "ann@example.org", "--display-name", "Ann", "--admin"];
    run(data, &[&add[..], &["--password-stdin"]].concat(), "a pass phrase\n");
    run(data, &["user", "add", "bob", "--password-stdin"], "another\n");
    run(data, &["user", "passwd", "bob", "--password-stdin"], "a third\n");
    run(data, &["user", "disable", "bob"], "");
    assert_eq!(
        listed(data, "user"),
        [
            "name=\"ann\" display_name=\"Ann\" email=\"ann@example.org\" admin=true enabled=true",
            "name=\"bob\" display_name=null email=null admin=false enabled=false",
            ROOT,
        ]
    );
    run(data, &["user", "enable", "bob"], "");
    let token = ["token", "create", "--user", "bob", "--kind", "app", "--scope", "dav:contacts:read"];
    let more = ["--expires", "2031-02-03", "--label", "Bob's phone"];
    let told = run(data, &[&token[..], &more[..]].concat(), "");
    assert!(!told.lines().last().unwrap().contains(' '), "alone on the last line: {told}");
    assert_eq!(
        listed(data, "token"),
        [
            "user=\"bob\" kind=\"app\" label=\"Bob's phone\" scopes=[\"dav:contacts:read\"] expires=\"2031-02-03T00:00:00Z\""
        ]
    );
    let rows: serde_json::Value = serde_json::from_str(&run(data, &["token", "list", "--json"], "")).unwrap();
    let id = rows[0]["id"].as_str().unwrap();
    run(data, &["token", "revoke", id], "");
    assert_eq!(run(data, &["token", "list", "--user", "bob", "--json"], "").trim(), "[]");
    // Where a server ran, its own account keeps the trash.
    let checked = run(data, &["check"], "");
    assert!(["3 accounts, ", "4 accounts, "].iter().any(|told| checked.starts_with(told)), "{checked}");

    let failures: [(&[&str], &str); 10] = [
        (&["user", "add", "ann", "--password-stdin"], "'ann'"),
        (&["user", "add", "no name", "--password-stdin"], "'no name'"),
        (&["user", "passwd", "none", "--password-stdin"], "'none'"),
        (&["user", "disable", "none"], "'none'"),
        (&["user", "enable", "none"], "'none'"),
        (&["user", "remove", "none"], "'none'"),
        (&["token", "create", "--user", "none", "--kind", "app"], "'none'"),
        (&["token", "create", "--user", "ann", "--kind", "app", "--scope", "all"], "'all'"),
        (&["token", "create", "--user", "ann", "--kind", "app", "--expires", "2020-01-31"], "ended already"),
        (&["token", "revoke", id], id),
    ];
    for (arguments, named) in failures {
        let (code, line) = refused(data, arguments, "pass phrase\n");
        assert_eq!(code, 1, "{arguments:?}: {line}");
        assert!(line.contains(named) && !line.contains("phrase"), "{line}");
    }
    assert_eq!(refused(data, &["user", "add", "eve", "--password-stdin"], "\n").0, 1, "no password");
    run(data, &["user", "remove", "ann", "--erase"], "");
    run(data, &["user", "remove", "bob"], "");
    assert_eq!(listed(data, "user"), [ROOT]);
    for last in [&["user", "disable", "root"][..], &["user", "remove", "root", "--erase"]] {
        let (code, line) = refused(data, last, "");
        assert!(code == 1 && line.contains("last administrator"), "{line}");
    }
}

#[test]
fn commands_do_the_same_with_and_without_a_server_and_after_kill_9() {
    let room = room();
    let data = room.path().join("data");
    run(&data, &["user", "add", "root", "--admin", "--password-stdin"], "a pass phrase\n");
    all_commands(&data);
    assert_eq!((mode(&data), mode(&data.join("cardkeep.redb"))), (0o700, 0o600));
    let mut server = Server::on(&data, &[]);
    assert_eq!(mode(&data.join("control.sock")), 0o600);
    all_commands(&data);
    server.kill();
    assert!(data.join("control.sock").exists(), "a killed server leaves its socket behind");
    all_commands(&data);
    let _again = Server::on(&data, &[]);
    all_commands(&data);
}

#[test]
fn wrong_usage_exits_2() {
    let room = room();
    let data = room.path().join("data");
    let wrong: [&[&str]; 12] = [
        &["frobnicate"],
        &["user"],
        &["user", "add"],
        &["user", "add", "eve"],
        &["user", "add", "eve", "--password-stdin", "--display-name", "E\u{1}ve"],
        &["user", "add", "eve", "--password-stdin", "--email", "eve\n@example.org"],
        &["token", "create", "--user", "eve"],
        &["token", "create", "--user", "eve", "--kind", "nonsense"],
        &["token", "create", "--user", "eve", "--kind", "app", "--expires", "soon"],
        &["token", "create", "--user", "eve", "--kind", "app", "--label", "two\nlines"],
        &["serve", "--listen", "nowhere"],
        &["check", "--nonsense"],
    ];
    for arguments in wrong {
        let (code, line) = refused(&data, arguments, "pass phrase\n");
        assert_eq!(code, 2, "{arguments:?}: {line}");
    }
    assert!(!data.exists());
}

#[test]
fn a_check_of_nothing_is_no_success() {
    let room = room();
    let data = room.path().join("mistyped");
    for repair in [&["check"][..], &["check", "--repair"]] {
        let (code, line) = refused(&data, repair, "");
        assert!(code == 1 && line.contains("mistyped"), "{line}");
    }
    assert!(!data.exists(), "looking makes nothing");
    run(&data, &["user", "list"], "");
    assert!(run(&data, &["check", "--repair"], "").contains("0 repaired, 0 left"), "it says so");
}

#[test]
fn a_server_that_goes_away_is_no_success() {
    let room = room();
    let listener = UnixListener::bind(room.path().join("control.sock")).unwrap();
    let gone = std::thread::spawn(move || listener.incoming().take(10).for_each(drop));
    for _ in 0..10 {
        let (code, line) = refused(room.path(), &["user", "list"], "");
        assert!(code == 1 && line.contains("went away"), "{line}");
    }
    gone.join().unwrap();
}

#[test]
fn what_is_wrong_with_the_configuration_stops_the_start() {
    let room = room();
    let data = room.path().join("data");
    let file = room.path().join("c.toml");
    let path = file.to_str().unwrap();
    for (text, named) in [
        ("[server]\nlisen = \"127.0.0.1:0\"\n", "c.toml:2: server.lisen "),
        ("[server]\n\nlisten = \"x\"\n", "c.toml:3: server.listen: "),
        ("[server]\nlisten = \"0.0.0.0:0\"\n", "0.0.0.0:0 would send passwords in clear"),
    ] {
        std::fs::write(&file, text).unwrap();
        for arguments in [["serve", "--config", path], ["--config", path, "serve"]] {
            let (code, line) = refused(&data, &arguments, "");
            assert!(code == 1 && line.contains(named), "{line}");
        }
    }
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        assert_eq!(refused(&data, &["serve", "--listen", listen], "").0, 1, "{listen}");
    }
    assert!(!data.exists());
}

#[test]
fn the_environment_overrides_the_file_and_the_command_line_overrides_both() {
    let room = room();
    let file = room.path().join("c.toml");
    std::fs::write(&file, format!("[server]\ndata = \"{}\"\n", room.path().join("a").display())).unwrap();
    let list = |environment: &[(&str, &Path)], more: &[&Path]| {
        let mut command = Command::new(PROGRAM);
        command.args(["user", "list", "--config"]).arg(&file).envs(environment.iter().copied());
        if let [data] = more {
            command.arg("--data").arg(data);
        }
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| room.path().join(name));
    list(&[], &[]);
    assert!(a.exists() && !b.exists());
    list(&[("CARDKEEP_SERVER__DATA", &b)], &[]);
    assert!(b.exists() && !c.exists());
    list(&[("CARDKEEP_SERVER__DATA", &b)], &[&c]);
    assert!(c.exists());
    let unknown =
        Command::new(PROGRAM).args(["user", "list"]).env("CARDKEEP_SERVER__DAATA", &b).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("CARDKEEP_SERVER__DAATA"));
}

/// A program that ends with its value, for tests that look at how it ends.
struct Direct(std::process::Child);

impl Drop for Direct {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sigterm_finishes_requests_in_flight_and_exits_0() {
    let room = room();
    let data = room.path().join("data");
    let mut child = Direct(
        Command::new(PROGRAM)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let address: std::net::SocketAddr =
        line.split("http://").nth(1).unwrap().trim().trim_end_matches('/').parse().unwrap();
    run(&data, &["user", "add", "term", "--password-stdin"], "secret pass phrase\n");
    let card = short::card("3.0", "late", "late");
    let mut connection = Connection::open(address).unwrap();
    let head = format!(
        "PUT /dav/addressbooks/term/contacts/late.vcf HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: text/vcard\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        basic("term", "secret pass phrase"),
        card.len()
    );
    connection.send(head.as_bytes()).unwrap();
    // The interim answer shows that the request has begun.
    let mut interim = [0u8; 25];
    connection.stream().read_exact(&mut interim).unwrap();
    let pid = child.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // Once nothing new is accepted, commands still reach it, since it holds the store.
    while std::net::TcpStream::connect(address).is_ok() {}
    assert!(run(&data, &["user", "list"], "").contains("term"));
    connection.stream().write_all(card.as_bytes()).unwrap();
    assert_eq!(connection.receive(false).unwrap().status, 201);
    let status = child.0.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}
