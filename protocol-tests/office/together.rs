//! Edits through the API, edits from phones, merges and `kill -9`, all against each other: who follows
//! tokens holds exactly what the API lists, and the store is sound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::http::Client;
use crate::race::{Follower, Phone};
use crate::server::{Account, room};

/// A small generator (xorshift64*); the seed is in every message.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn of<'a>(&mut self, all: &'a [String]) -> &'a str {
        &all[self.roll(all.len())]
    }
}

const BOOKS: [&str; 2] = ["contacts", "second"];

/// Everybody who works on one server until it breaks.
struct Office<'a> {
    address: std::net::SocketAddr,
    authorization: &'a str,
    account: &'a Account,
    done: AtomicU32,
    over: AtomicBool,
}

/// The server is gone.
struct Gone;

impl Office<'_> {
    fn client(&self) -> Client {
        Client::new(self.address)
    }

    fn ask(
        &self,
        client: &mut Client,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response, Gone> {
        let request = Request::new(method, &format!("/api/v1{path}"))
            .header("Authorization", self.authorization)
            .header("Content-Type", "application/json");
        let request = body.into_iter().fold(request, |request, body| request.body(body.to_string()));
        let answer = client.send(&request).map_err(|_| Gone)?;
        let fine = [200, 201, 204, 308, 404, 409, 412, 422, 503].contains(&answer.status);
        assert!(fine, "{method} {path}: {} {}", answer.status, answer.text());
        self.done.fetch_add(1, Ordering::AcqRel);
        Ok(answer)
    }

    /// What is there, by number, but for what stays.
    fn numbers(&self, client: &mut Client) -> Result<Vec<String>, Gone> {
        let filter = encoded("not (name.family eq \"Stays\")");
        let list = told(&self.ask(client, "GET", &format!("/contacts?limit=1000&filter={filter}"), None)?);
        let items = list["items"].as_array().unwrap().iter();
        Ok(items.map(|item| number(item).to_owned()).collect())
    }

    /// Makes, changes, moves, copies and deletes; what it made and left alone is told.
    fn clerk(&self, mut dice: Dice, kept: &mut Vec<String>) -> Result<(), Gone> {
        let mut client = self.client();
        let mut ids = Vec::new();
        for n in 0u32.. {
            let book = format!("{}/{}", self.account.name, BOOKS[dice.roll(2)]);
            let stays = n % 5 == 4;
            let family = if stays { "Stays" } else { "Goes" };
            let body = json!({"book": book, "name": {"given": format!("n{n}"), "family": family}});
            let new = self.ask(&mut client, "POST", "/contacts", Some(body))?;
            let new = made(&new)["id"].as_str().unwrap().to_owned();
            if stays {
                kept.push(new);
                ids = self.numbers(&mut client)?;
                continue;
            }
            ids.push(new);
            let path = format!("/contacts/{}", dice.of(&ids));
            match dice.roll(6) {
                0 => self.ask(&mut client, "DELETE", &path, None)?,
                1 => self.ask(&mut client, "PATCH", &path, Some(json!({"book": book})))?,
                2 => self.ask(&mut client, "POST", &format!("{path}/clone"), None)?,
                3 => self.ask(&mut client, "PATCH", &path, Some(json!({"salutation": format!("s{n}")})))?,
                _ => self.ask(&mut client, "PATCH", &path, Some(json!({"title": format!("t{n}")})))?,
            };
        }
        Ok(())
    }

    /// Merges whatever is there, but for what stays.
    fn merger(&self, mut dice: Dice) -> Result<(), Gone> {
        let mut client = self.client();
        loop {
            let ids = self.numbers(&mut client)?;
            if ids.len() < 8 {
                continue;
            }
            let body = json!({"target": dice.of(&ids), "sources": [dice.of(&ids), dice.of(&ids)]});
            self.ask(&mut client, "POST", "/contacts/merge", Some(body))?;
        }
    }

    /// A phone with cards of its own, that also edits and deletes what it finds.
    fn phone(&self, mut dice: Dice, stem: &str) -> Result<(), Gone> {
        let mut phone = Phone::new(self.client(), self.account);
        for n in 0u32.. {
            let book = format!("/dav/addressbooks/{}/{}/", self.account.name, BOOKS[dice.roll(2)]);
            let slot = format!("{stem}{}", dice.roll(15));
            let path = format!("{book}{slot}.vcf");
            let answer = match dice.roll(5) {
                0 => phone.ask(Request::new("DELETE", &path)),
                1 => {
                    let to =
                        format!("/dav/addressbooks/{}/{}/{slot}.vcf", self.account.name, BOOKS[dice.roll(2)]);
                    phone.ask(Request::new("MOVE", &path).header("Destination", &to))
                }
                _ => phone.put(&path, &format!("n{n}"), &slot, &[]),
            };
            let answer = answer.map_err(|_| Gone)?;
            let fine = [201, 204, 403, 404, 409, 412].contains(&answer.status);
            assert!(fine, "{path}: {} {}", answer.status, answer.text());
            self.done.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// The API's list: by book and UID the card.
fn listed(asker: &Asker) -> BTreeMap<(String, String), String> {
    let (mut cards, mut numbers, mut cursor) = (BTreeMap::new(), BTreeSet::new(), String::new());
    loop {
        let page = told(&asker.get(&format!("/contacts?limit=40{cursor}")));
        for item in page["items"].as_array().unwrap() {
            let text = |name: &str| item[name].as_str().unwrap().to_owned();
            assert!(numbers.insert(text("number")), "{} is there twice", item["number"]);
            let card = raw(asker, "GET", &at(item, ""), &[("Accept", "text/vcard")], "");
            assert_eq!(card.status, 200);
            let before = cards.insert((text("book"), text("uid")), card.text());
            assert!(before.is_none(), "{} is there twice in {}", text("uid"), text("book"));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break assert_eq!(page["total"], cards.len()),
        }
    }
    cards
}

/// What a client that follows tokens holds: by book and UID the card, in 3.0 and in 4.0.
fn held(
    phone: &mut Phone,
    followers: &mut [Follower; 2],
    name: &str,
) -> BTreeMap<(String, String), [String; 2]> {
    let mut cards = BTreeMap::new();
    for (book, follower) in BOOKS.iter().zip(followers) {
        let path = format!("/dav/addressbooks/{name}/{book}/");
        follower.follow(phone, &path, None);
        assert_eq!(follower.holds, phone.list(&path), "{book}");
        for (href, etag) in &follower.holds {
            let versions = ["3.0", "4.0"].map(|version| {
                let accept = format!("text/vcard; version={version}");
                let card = phone.ask(Request::new("GET", href).header("Accept", &accept)).unwrap();
                assert_eq!((card.status, card.header("etag").as_ref()), (200, Some(etag)), "{href}");
                card.text()
            });
            let uid = versions[0].lines().find_map(|line| line.strip_prefix("UID:")).unwrap_or_default();
            let before = cards.insert((format!("{name}/{book}"), uid.to_owned()), versions);
            assert!(before.is_none(), "{href}");
        }
    }
    cards
}

fn run(seed: u64) {
    let room = room();
    let data = room.path().join("data");
    let mut server = Server::on(&data, &[]);
    let name = "clerk";
    let account = server.account(name);
    let out = server.run(&["token", "create", "--user", name, "--kind", "api"], "");
    let authorization = format!("Bearer {}", out.lines().last().unwrap());
    let home = format!("/dav/addressbooks/{name}/");
    let mut phone = Phone::new(server.client(), &account);
    assert_eq!(phone.ask(Request::new("MKCOL", &format!("{home}second/"))).unwrap().status, 201);
    let mut followers = [Follower::default(), Follower::default()];
    let mut kept = BTreeSet::new();
    for round in 0..3u64 {
        let office = Office {
            address: server.address,
            authorization: &authorization,
            account: &account,
            done: AtomicU32::new(0),
            over: AtomicBool::new(false),
        };
        let dice = |n: u64| Dice(seed ^ (round * 16 + n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let office = &office;
        std::thread::scope(|scope| {
            let clerks: Vec<_> = (0..2)
                .map(|n| {
                    scope.spawn(move || {
                        let mut kept = Vec::new();
                        let _gone = office.clerk(dice(n), &mut kept);
                        kept
                    })
                })
                .collect();
            let phones: Vec<_> = ["a", "b"]
                .into_iter()
                .zip(2..)
                .map(|(stem, n)| scope.spawn(move || office.phone(dice(n), stem)))
                .collect();
            let merger = scope.spawn(move || office.merger(dice(4)));
            // A client syncs meanwhile.
            let reader = scope.spawn({
                let (followers, home, account) = (&mut followers, &home, &account);
                move || {
                    let mut phone = Phone::new(office.client(), account);
                    while !office.over.load(Ordering::Acquire) {
                        for (book, follower) in BOOKS.iter().zip(followers.iter_mut()) {
                            follower.page(&mut phone, &format!("{home}{book}/"), Some(5));
                        }
                    }
                }
            });
            let everybody = || clerks.iter().any(|one| one.is_finished()) || merger.is_finished();
            while office.done.load(Ordering::Acquire) < 400 && !everybody() {
                std::thread::yield_now();
            }
            office.over.store(true, Ordering::Release);
            assert!(reader.join().is_ok(), "seed {seed}: the reader failed");
            server.kill();
            for clerk in clerks {
                kept.extend(clerk.join().unwrap());
            }
            assert!(phones.into_iter().all(|phone| phone.join().is_ok()), "seed {seed}: a phone failed");
            assert!(merger.join().is_ok(), "seed {seed}: the merger failed");
        });
        server = Server::on(&data, &[]);
        let asker = Asker { server: &server, authorization: authorization.clone(), name: name.into() };
        let api = listed(&asker);
        let mut phone = Phone::new(server.client(), &account);
        let held = held(&mut phone, &mut followers, name);
        assert!(
            held.keys().eq(api.keys()),
            "seed {seed}, round {round}: {:?}\n{:?}",
            held.keys(),
            api.keys()
        );
        for (key, versions) in &held {
            // The API shows a card in the version in which it is stored.
            let card = &api[key];
            assert!(versions.contains(card), "seed {seed}, round {round}: {key:?} {versions:?} {card}");
        }
        for id in &kept {
            assert_eq!(asker.get(&format!("/contacts/{id}")).status, 200, "seed {seed}: {id} was answered");
        }
        server.run(&["check"], "");
    }
    server.kill();
    crate::server::run(&data, &["check"], "");
}

#[test]
fn who_follows_tokens_holds_what_the_api_lists() {
    // `SEED=17 cargo test --test protocol-tests together` takes another way.
    run(std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x0FF1_CE05));
}
