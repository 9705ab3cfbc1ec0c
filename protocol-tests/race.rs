//! Writers that race, and a reader that syncs meanwhile: one winner, and nothing lost
//! (RFC 9110 §13.2, RFC 6578 §3.2).

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::http::{Client, Request, Response};
use crate::judge::status_of;
use crate::server::{Account, shared, unique};
use crate::short;
use crate::xml::{self, Element};

/// A client of one account that speaks in cards and tokens.
pub struct Phone {
    client: Client,
    who: Account,
}

/// What a page of a sync said.
pub struct Page {
    /// Href to ETag, of what came or changed.
    pub changed: Vec<(String, String)>,
    /// Hrefs of what went.
    pub removed: Vec<String>,
    /// The token for this part.
    pub token: String,
    /// There is more.
    pub more: bool,
}

impl Phone {
    /// A client of this account on the shared server.
    pub fn new(client: Client, who: &Account) -> Self {
        Self { client, who: who.clone() }
    }

    /// Any request.
    pub fn ask(&mut self, request: Request) -> std::io::Result<Response> {
        self.client.send(&request.header("Authorization", &self.who.basic()))
    }

    /// PUT of a small card or, under a name that ends so, of a small appointment.
    pub fn put(
        &mut self,
        path: &str,
        name: &str,
        uid: &str,
        extra: &[(&str, &str)],
    ) -> std::io::Result<Response> {
        let (media, body) = match path.ends_with(".ics") {
            true => ("text/calendar", short::object("VEVENT", name, uid)),
            false => ("text/vcard", short::card("3.0", name, uid)),
        };
        let mut request = Request::new("PUT", path).header("Content-Type", media).body(body);
        for (name, value) in extra {
            request = request.header(name, value);
        }
        self.ask(request)
    }

    /// One `sync-collection`.
    pub fn sync(&mut self, book: &str, token: &str, limit: Option<u32>) -> Page {
        let answer = self
            .ask(Request::new("REPORT", book).header("Content-Type", "application/xml").body(short::sync(
                token,
                limit,
                &["D:getetag"],
            )))
            .unwrap();
        assert_eq!(answer.status, 207, "{}", answer.text());
        let root = xml::parse(&answer.text(), false).unwrap();
        let mut page = Page {
            changed: Vec::new(),
            removed: Vec::new(),
            token: root.child_text("{DAV:}sync-token").unwrap().to_owned(),
            more: false,
        };
        for response in root.named("{DAV:}response") {
            let href = response.child_text("{DAV:}href").unwrap().to_owned();
            match response.child_text("{DAV:}status").map(|s| status_of(Some(s))) {
                Some(404) => page.removed.push(href),
                Some(507) if href == book => page.more = true,
                Some(other) => panic!("{href} has status {other}"),
                None => {
                    assert_ne!(href, book, "the collection as its own member (SYNC-7)");
                    page.changed.push((href, etag_of(response)));
                }
            }
        }
        page
    }

    /// The members as PROPFIND lists them, with their ETags.
    pub fn list(&mut self, book: &str) -> BTreeMap<String, String> {
        let answer = self
            .ask(
                Request::new("PROPFIND", book)
                    .header("Depth", "1")
                    .header("Content-Type", "application/xml")
                    .body(short::propfind(&["D:getetag"])),
            )
            .unwrap();
        assert_eq!(answer.status, 207, "{}", answer.text());
        let root = xml::parse(&answer.text(), false).unwrap();
        root.named("{DAV:}response")
            .iter()
            .filter(|r| r.child_text("{DAV:}href") != Some(book))
            .map(|r| (r.child_text("{DAV:}href").unwrap().to_owned(), etag_of(r)))
            .collect()
    }
}

fn etag_of(response: &Element) -> String {
    let mut found = Vec::new();
    response.all("{DAV:}getetag", &mut found);
    found.first().expect("a member without getetag").text.trim().to_owned()
}

/// What a client that only follows tokens knows of a book.
#[derive(Default)]
pub struct Follower {
    /// Its last token; empty at first.
    pub token: String,
    /// Href to ETag.
    pub holds: BTreeMap<String, String>,
}

impl Follower {
    /// Takes one page; true when there is more.
    pub fn page(&mut self, phone: &mut Phone, book: &str, limit: Option<u32>) -> bool {
        let page = phone.sync(book, &self.token, limit);
        let entries = page.changed.len() + page.removed.len();
        if let Some(limit) = limit {
            assert!(entries <= limit as usize, "{entries} entries where {limit} were asked");
        }
        if page.more {
            assert_ne!(page.token, self.token, "a page that leads nowhere");
        }
        for href in page.removed {
            self.holds.remove(&href);
        }
        for (href, etag) in page.changed {
            self.holds.insert(href, etag);
        }
        self.token = page.token;
        page.more
    }

    /// Takes all pages.
    pub fn follow(&mut self, phone: &mut Phone, book: &str, limit: Option<u32>) {
        let mut pages = 0;
        while self.page(phone, book, limit) {
            pages += 1;
            assert!(pages < 100_000, "the pages never end");
        }
    }
}

fn phone(who: &Account) -> Phone {
    Phone::new(shared().client(), who)
}

fn two(who: &Account, act: impl Fn(&mut Phone, usize) -> u16 + Sync) -> Vec<u16> {
    let barrier = Barrier::new(2);
    let mut statuses = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|n| {
                let (barrier, act) = (&barrier, &act);
                scope.spawn(move || {
                    let mut phone = phone(who);
                    // A first request opens the connection, so that the race is about the write.
                    phone.ask(Request::new("OPTIONS", "/dav/")).unwrap();
                    barrier.wait();
                    act(&mut phone, n)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<u16>>()
    });
    statuses.sort_unstable();
    statuses
}

#[test]
fn http_8_two_writers_with_one_etag_one_wins() {
    let who = shared().account(&unique("race"));
    let path = format!("/dav/addressbooks/{}/contacts/one.vcf", who.name);
    let mut etag = phone(&who).put(&path, "start", "one", &[]).unwrap().header("etag").unwrap();
    for round in 0..20 {
        let statuses = two(&who, |phone, n| {
            let name = format!("r{round}w{n}");
            phone.put(&path, &name, "one", &[("If-Match", &etag)]).unwrap().status
        });
        assert_eq!(statuses, [204, 412], "round {round}");
        let now = phone(&who).ask(Request::new("GET", &path)).unwrap().header("etag").unwrap();
        assert_ne!(now, etag);
        etag = now;
    }
}

#[test]
fn http_4_two_creates_one_wins() {
    let who = shared().account(&unique("race"));
    let book = format!("/dav/addressbooks/{}/contacts/", who.name);
    for round in 0..20 {
        let path = format!("{book}{round}.vcf");
        let statuses = two(&who, |phone, n| {
            let name = format!("w{n}");
            phone.put(&path, &name, &format!("u{round}"), &[("If-None-Match", "*")]).unwrap().status
        });
        assert_eq!(statuses, [201, 412], "round {round}");
    }
    assert_eq!(phone(&who).list(&book).len(), 20);
}

#[test]
fn card_11_one_uid_under_two_names_one_wins() {
    let who = shared().account(&unique("race"));
    let book = format!("/dav/addressbooks/{}/contacts/", who.name);
    for round in 0..20 {
        let statuses = two(&who, |phone, n| {
            let path = format!("{book}{round}-{n}.vcf");
            phone.put(&path, "same", &format!("u{round}"), &[]).unwrap().status
        });
        assert_eq!(statuses, [201, 409], "round {round}");
    }
    assert_eq!(phone(&who).list(&book).len(), 20);
}

#[test]
fn two_first_logins_make_one_book() {
    for _ in 0..5 {
        let who = shared().account(&unique("race"));
        let home = format!("/dav/addressbooks/{}/", who.name);
        let statuses = two(&who, |phone, _| phone.list(&home).len() as u16);
        assert_eq!(statuses, [1, 1]);
    }
}

#[test]
fn sync_13_a_reader_during_a_thousand_writes_loses_none() {
    let who = shared().account(&unique("race"));
    let book = format!("/dav/addressbooks/{}/contacts/", who.name);
    let done = AtomicBool::new(false);
    let (whole, paged) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|w| {
                let (who, book) = (&who, &book);
                scope.spawn(move || {
                    let mut phone = phone(who);
                    for n in 0..250u32 {
                        // Names come back, so that there are changes and removals too.
                        let slot = n.wrapping_mul(7) % 40;
                        let path = format!("{book}w{w}-{slot}.vcf");
                        if n % 5 == 4 {
                            let gone = phone.ask(Request::new("DELETE", &path)).unwrap();
                            assert!([204, 404].contains(&gone.status), "{}", gone.status);
                        } else {
                            let uid = format!("w{w}-{slot}");
                            let put = phone.put(&path, &format!("n{n}"), &uid, &[]).unwrap();
                            assert!([201, 204].contains(&put.status), "{}", put.status);
                        }
                    }
                })
            })
            .collect();
        let reader = |limit: Option<u32>| {
            let (who, book, done) = (&who, &book, &done);
            move || {
                let mut phone = phone(who);
                let mut follower = Follower::default();
                while !done.load(Ordering::Acquire) {
                    follower.follow(&mut phone, book, limit);
                }
                follower.follow(&mut phone, book, limit);
                follower
            }
        };
        let whole = scope.spawn(reader(None));
        let paged = scope.spawn(reader(Some(3)));
        let results: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        done.store(true, Ordering::Release);
        assert!(results.iter().all(Result::is_ok), "a writer failed");
        (whole.join().unwrap(), paged.join().unwrap())
    });
    let truth = phone(&who).list(&book);
    assert_eq!(whole.holds, truth, "the reader without limit");
    assert_eq!(paged.holds, truth, "the reader by pages");
    assert_eq!(whole.token, paged.token);
}
