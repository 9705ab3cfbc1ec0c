//! A real slapd and a server that follows it, and what tests ask of the two.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::race::{Page, Phone};
use crate::server::{Account, Server, attempt};
use crate::short;
use crate::slapd::{BASE, READER, READER_PASSWORD, Setup, Slapd, password, start};
use crate::xml::{self, Element};

/// A directory and a server that follows it.
pub struct Site {
    pub slapd: Slapd,
    pub server: Server,
}

/// A configuration file that names the directory on this port.
pub fn config(port: u16, more: &str) -> String {
    format!(
        "[limits]\nlogin_attempts = 1000000\n[ldap]\nurl = \"ldap://127.0.0.1:{port}\"\n\
         bind_dn = \"{READER}\"\nbind_password = \"{READER_PASSWORD}\"\n\
         user_base = \"ou=people,{BASE}\"\ngroup_base = \"ou=groups,{BASE}\"\n\
         sync_interval = \"1h\"\ndirectory_book = true\ntimeout = \"2s\"\n{more}"
    )
}

pub fn setup(people: usize) -> Setup {
    Setup { people, ..Setup::default() }
}

/// Both, with everybody in; or a word on standard error that the test is left out.
pub fn site(test: &str, people: usize, more: &str) -> Option<Site> {
    let slapd = start(test, setup(people))?;
    let server = Server::configured(&config(slapd.port, more));
    let site = Site { slapd, server };
    site.sync();
    assert_eq!(site.users().len(), people);
    Some(site)
}

/// One of the people, with the password of the directory.
pub fn who(number: usize) -> Account {
    Account { name: format!("u{number}"), password: password(number) }
}

pub fn named(name: &str, password: &str) -> Account {
    Account { name: name.to_owned(), password: password.to_owned() }
}

pub fn home(who: &Account) -> String {
    format!("/dav/addressbooks/{}/", who.name)
}

pub fn staff(who: &Account) -> String {
    home(who) + "directory/"
}

impl Site {
    /// `ldap sync` with more words, however it ends.
    pub fn try_sync(&self, words: &[&str]) -> Output {
        attempt(&self.server.data, &[&["ldap", "sync"], words].concat(), "")
    }

    /// `ldap sync` with more words, and what it says.
    pub fn sync_with(&self, words: &[&str]) -> Value {
        let output = self.try_sync(&[words, &["--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn sync(&self) -> Value {
        self.sync_with(&[])
    }

    /// `ldap sync` that does nothing, and why.
    pub fn refused(&self, words: &[&str]) -> String {
        let output = self.try_sync(words);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    /// The accounts as they are listed.
    pub fn listed(&self) -> Value {
        serde_json::from_str(&self.server.run(&["user", "list", "--json"], "")).unwrap()
    }

    /// The names of accounts that may sign in.
    pub fn users(&self) -> BTreeSet<String> {
        let listed = self.listed();
        let users = listed.as_array().unwrap().iter().filter(|user| user["enabled"] == true);
        users.map(|user| user["name"].as_str().unwrap().to_owned()).collect()
    }

    pub fn share(&self, book: &str, with: &str, access: &str) {
        let question = json!({"command": "share", "book": book, "with": with, "access": access});
        let answer = self.server.control(&question.to_string());
        assert!(answer.contains("done"), "{answer}");
    }

    pub fn ask(&self, who: &Account, method: &str, path: &str, body: Option<Vec<u8>>) -> Response {
        let mut request = Request::new(method, path).header("Authorization", &who.basic());
        if method == "PUT" {
            request = request.header("Content-Type", "text/vcard");
        }
        request.body = body;
        self.server.once(&request)
    }

    pub fn propfind(&self, who: &Account, path: &str, depth: &str, names: &[&str]) -> Response {
        let request = Request::new("PROPFIND", path).header("Authorization", &who.basic());
        self.server.once(&request.header("Depth", depth).body(short::propfind(names)))
    }

    /// What the first request of any client answers.
    pub fn sign_in(&self, who: &Account) -> Response {
        self.propfind(who, "/dav/", "0", &["D:current-user-principal"])
    }

    pub fn status(&self, who: &Account) -> u16 {
        self.sign_in(who).status
    }

    /// The hrefs in a collection, in the order in which they are told.
    pub fn members(&self, who: &Account, path: &str) -> Vec<String> {
        let answer = self.propfind(who, path, "1", &["D:resourcetype"]);
        assert_eq!(answer.status, 207, "{}", answer.text());
        hrefs(&answer).into_iter().filter(|href| href != path).collect()
    }

    pub fn phone(&self, who: &Account) -> Phone {
        Phone::new(self.server.client(), who)
    }

    pub fn put(&self, who: &Account, path: &str, uid: &str) -> u16 {
        self.ask(who, "PUT", path, Some(short::card("3.0", uid, uid).into_bytes())).status
    }

    /// What changed in a home.
    pub fn home_sync(&self, who: &Account, token: &str) -> Page {
        let answer =
            self.ask(who, "REPORT", &home(who), Some(short::sync(token, None, &["D:displayname"]).into()));
        assert_eq!(answer.status, 207, "{}", answer.text());
        let root = parsed(&answer);
        let mut page = Page {
            changed: Vec::new(),
            removed: Vec::new(),
            token: root.child_text("{DAV:}sync-token").unwrap().to_owned(),
            more: false,
        };
        for response in root.named("{DAV:}response") {
            let href = response.child_text("{DAV:}href").unwrap().to_owned();
            match response.child_text("{DAV:}status") {
                Some(_) => page.removed.push(href),
                None => page.changed.push((href, String::new())),
            }
        }
        page
    }
}

pub fn parsed(answer: &Response) -> Element {
    xml::parse(&answer.text(), false).unwrap()
}

pub fn hrefs(answer: &Response) -> Vec<String> {
    let root = parsed(answer);
    root.named("{DAV:}response")
        .iter()
        .map(|response| response.child_text("{DAV:}href").unwrap().to_owned())
        .collect()
}

pub fn has(answer: &Response, element: &str) -> bool {
    let root = parsed(answer);
    let mut found = Vec::new();
    root.all(&format!("{{DAV:}}{element}"), &mut found);
    !found.is_empty()
}

pub fn count(report: &Value, what: &str) -> usize {
    report[what].as_array().unwrap().len()
}

/// Nothing was to be done.
pub fn assert_quiet(report: &Value) {
    for list in ["came", "back", "went", "renamed", "groups_came", "groups_went", "refused"] {
        assert_eq!(count(report, list), 0, "{list}");
    }
    for number in ["changed", "cards_written", "cards_removed"] {
        assert_eq!(report[number], 0, "{number}");
    }
}
