//! `user remove`: what becomes of a leaver's contacts is said, or asked on a terminal, and never guessed.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::http::Request;
use crate::server::{Account, PROGRAM, attempt, shared, unique};
use crate::short;

/// An account with a contact.
fn leaver() -> Account {
    let server = shared();
    let account = server.account(&unique("leaver"));
    let path = format!("/dav/addressbooks/{}/contacts/ann.vcf", account.name);
    let put = Request::new("PUT", &path)
        .header("Authorization", &account.basic())
        .header("Content-Type", "text/vcard")
        .body(short::body(&["@card ann"]).unwrap().unwrap());
    assert_eq!(server.once(&put).status, 201);
    account
}

fn status(who: &Account, path: &str) -> u16 {
    shared().once(&Request::new("GET", path).header("Authorization", &who.basic())).status
}

#[test]
fn without_a_terminal_it_must_be_said_what_becomes_of_contacts() {
    let server = shared();
    let (ann, heir) = (leaver(), leaver());
    let refused = |arguments: &[&str]| {
        let output = attempt(&server.data, arguments, "");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
        text
    };
    let told = refused(&["user", "remove", &ann.name]);
    assert!(
        told.contains("1 contact in 1 address book;")
            && told.contains("--hand-over USER")
            && told.contains("--erase"),
        "{told}"
    );
    refused(&["user", "remove", &ann.name, "--hand-over", "nobody-at-all"]);
    refused(&["user", "remove", &ann.name, "--hand-over", &ann.name]);
    let both =
        attempt(&server.data, &["user", "remove", &ann.name, "--erase", "--hand-over", &heir.name], "");
    assert_eq!(both.status.code(), Some(2));
    assert_eq!(status(&ann, &format!("/dav/addressbooks/{}/contacts/ann.vcf", ann.name)), 200);

    server.run(&["user", "remove", &ann.name, "--hand-over", &heir.name], "");
    let (own, given) = ("contacts".to_owned(), format!("contacts-{}", ann.name));
    for book in [own, given] {
        assert_eq!(status(&heir, &format!("/dav/addressbooks/{}/{book}/ann.vcf", heir.name)), 200, "{book}");
    }
    assert_eq!(status(&ann, "/dav/"), 401);

    server.run(&["user", "remove", &heir.name, "--erase"], "");
    assert_eq!(status(&heir, "/dav/"), 401);
    // Who has none is just removed.
    let empty = server.account(&unique("empty"));
    server.run(&["user", "remove", &empty.name], "");
}

/// Runs the command on a terminal of its own, where somebody types.
fn on_a_terminal(name: &str, typed: &str) -> Output {
    let data = shared().data.display().to_string();
    let mut child = Command::new("script")
        .args(["-qec", &format!("'{PROGRAM}' user remove {name} --data '{data}'"), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept open until the end: it ends the terminal too.
    let mut input = child.stdin.take().unwrap();
    let _ = input.write_all(typed.as_bytes());
    let output = child.wait_with_output().unwrap();
    drop(input);
    output
}

#[test]
fn on_a_terminal_it_is_asked() {
    if !Path::new("/usr/bin/script").exists() {
        eprintln!("left out: there is no script(1) to make a terminal with");
        return;
    }
    let (ann, heir) = (leaver(), leaver());
    let stopped = on_a_terminal(&ann.name, "\n");
    assert!(!stopped.status.success() && status(&ann, "/dav/") == 200);
    let asked = String::from_utf8_lossy(&stopped.stdout).into_owned();
    assert!(asked.contains("has 1 contact in 1 address book"), "{asked}");
    let mistyped = on_a_terminal(&ann.name, "nobody-at-all\n");
    assert!(!mistyped.status.success() && status(&ann, "/dav/") == 200);
    assert!(on_a_terminal(&ann.name, &format!("{}\n", heir.name)).status.success());
    let given = format!("/dav/addressbooks/{}/contacts-{}/ann.vcf", heir.name, ann.name);
    assert_eq!((status(&ann, "/dav/"), status(&heir, &given)), (401, 200));
    assert!(on_a_terminal(&heir.name, "erase\n").status.success());
    assert_eq!(status(&heir, "/dav/"), 401);
}
