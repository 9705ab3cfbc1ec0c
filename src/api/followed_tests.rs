//! Whole exchanges over a service that follows a directory: what comes from there is shown and not
//! changed here. `protocol-tests/api.rs` holds the rest.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64};

use serde_json::json;

use super::*;
use crate::domain::event::EventKind;
use crate::domain::id::GroupName;
use crate::service::Settings;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::directory::{
    Asked, Directory, DirectoryPort, DirectorySettings, Gone, Member, PeopleGroup, Person, Reading,
};
use crate::service::sign_in::{Argon2Cost, Credentials};
use crate::service::tests::{Counting, Ticking};
use crate::store::engine::memory::MemoryEngine;
use crate::store::events::EventsPage;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::tests::key_file;

type People = Vec<&'static str>;

/// A directory of these people, and of groups with them in it. Everybody's password is `right`.
#[derive(Default)]
struct Fake(Mutex<(People, Vec<(&'static str, People)>)>);

impl Directory for Fake {
    fn read<'a>(&'a self, _: Option<&'a [u8]>) -> Asked<'a, Reading> {
        let (people, groups) = self.0.lock().unwrap().clone();
        let dn = |name: &str| format!("cn={name},dc=x");
        let ids = people.iter().copied().chain(groups.iter().map(|(name, _)| *name));
        let gone = Gone::AllBut(ids.map(str::to_owned).collect());
        let people = people.iter().map(|name| Person {
            id: (*name).into(),
            dn: dn(name),
            name: (*name).into(),
            enabled: true,
            display_name: format!("The {name}"),
            ..Person::default()
        });
        let groups = groups.iter().map(|(name, members)| PeopleGroup {
            id: (*name).into(),
            dn: dn(name),
            name: (*name).into(),
            members: members.iter().map(|member| Member::Dn(dn(member))).collect(),
            ..PeopleGroup::default()
        });
        let reading =
            Reading { people: people.collect(), groups: groups.collect(), gone, ..Reading::default() };
        Box::pin(async move { Ok(reading) })
    }

    fn bind<'a>(&'a self, _: &'a str, _: &'a str, password: &'a str) -> Asked<'a, bool> {
        Box::pin(async move { Ok(password == "right") })
    }

    fn answers(&self) -> Asked<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn place(&self) -> String {
        "ldap://fake".into()
    }
}

struct World {
    service: Arc<Service>,
    memory: Memory,
}

impl World {
    async fn new(directory: Option<DirectorySettings>) -> Self {
        let argon2 = Argon2Cost { memory_kib: 8, passes: 1 };
        let settings = Settings { argon2, directory, ..Settings::default() };
        let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000)));
        let entropy = Arc::new(Counting(AtomicU64::new(0)));
        let key = key_file(&MemoryMedium::new());
        let service = Service::open(Arc::new(MemoryEngine::new()), key, clock, entropy, settings);
        let world = Self { service: Arc::new(service.await.unwrap()), memory: Memory::default() };
        let add = AdminRequest::UserAdd {
            name: "boss".into(),
            email: None,
            display_name: None,
            admin: true,
            password: Some("right".into()),
        };
        assert!(matches!(world.service.admin(add).await, AdminAnswer::Done));
        world
    }

    /// One who follows that directory, and has done so once.
    async fn following(fake: &Arc<Fake>, admin_group: Option<&str>) -> Self {
        let mut settings = DirectorySettings::new(DirectoryPort(fake.clone()));
        settings.admin_group = admin_group.map(|name| GroupName::parse(name).unwrap());
        let world = Self::new(Some(settings)).await;
        assert_eq!(world.ask("boss", "POST", "/ldap/sync", json!({})).await.0, 200);
        world
    }

    async fn caller(&self, user: &str) -> Caller {
        let credentials = Credentials { user: user.into(), password: "right".into() };
        let here = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        self.service.sign_in(credentials, here).await.unwrap()
    }

    /// The status, and what is told.
    async fn ask(&self, user: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let caller = self.caller(user).await;
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = match body.is_null() {
            true => request.body(Bytes::new()),
            false => request.header("content-type", "application/json").body(body.to_string().into()),
        };
        let answer = handle(&self.service, &self.memory, &caller, "", request.unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&self, user: &str, path: &str) -> Value {
        let (status, told) = self.ask(user, "GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {told}");
        told
    }

    async fn assert_sound(&self) {
        let answer = self.service.admin(AdminRequest::Check { repair: false }).await;
        let AdminAnswer::Checked(report) = answer else { panic!("no report") };
        assert_eq!(report.faults, Vec::<String>::new());
    }

    async fn status(&self, user: &str, method: &str, path: &str, body: Value) -> u16 {
        self.ask(user, method, path, body).await.0
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn without_a_directory_there_is_none_to_follow() {
    let world = World::new(None).await;
    let status = world.get("boss", "/ldap/status").await;
    assert_eq!((&status["configured"], &status["place"]), (&json!(false), &Value::Null));
    assert_eq!(world.status("boss", "POST", "/ldap/sync", json!({})).await, 409);
    assert_eq!(world.status("boss", "POST", "/ldap/sync", json!({"dry_run": 1, "x": 2})).await, 422);
}

#[tokio::test]
async fn the_directory_is_followed_when_somebody_asks() {
    let fake = Arc::new(Fake::default());
    let world = World::following(&fake, None).await;
    fake.0.lock().unwrap().0 = vec!["ann", "bob"];
    let (_, dry) = world.ask("boss", "POST", "/ldap/sync", json!({"dry_run": true})).await;
    assert_eq!((&dry["dry_run"], &dry["came"]), (&json!(true), &json!(["ann", "bob"])));
    assert_eq!(names(&world.get("boss", "/users").await), ["boss"]);
    let (status, done) = world.ask("boss", "POST", "/ldap/sync", json!({})).await;
    assert_eq!((status, &done["came"], &done["cards_written"]), (200, &json!(["ann", "bob"]), &json!(2)));
    assert_eq!(names(&world.get("boss", "/users").await), ["ann", "bob", "boss"]);
    let status = world.get("boss", "/ldap/status").await;
    assert_eq!((&status["configured"], &status["people"]), (&json!(true), &json!(2)));
    assert_eq!((&status["place"], &status["failure"]), (&json!("ldap://fake"), &Value::Null));
    for (method, path) in [("GET", "/ldap/status"), ("POST", "/ldap/sync")] {
        assert_eq!(world.status("ann", method, path, json!({})).await, 403, "{path}");
    }
    // Many who leave wait for somebody's word.
    fake.0.lock().unwrap().0 = vec!["a", "b", "c", "d", "e", "f"];
    world.ask("boss", "POST", "/ldap/sync", json!({"accept_leavers": true})).await;
    fake.0.lock().unwrap().0 = vec![];
    let (_, held) = world.ask("boss", "POST", "/ldap/sync", json!({})).await;
    assert_eq!(held["pending_leavers"], 6);
    let (_, done) = world.ask("boss", "POST", "/ldap/sync", json!({"accept_leavers": true})).await;
    assert_eq!((&done["pending_leavers"], done["went"].as_array().unwrap().len()), (&Value::Null, 6));
}

#[tokio::test]
async fn the_staffs_book_is_told_apart_and_nobody_changes_it() {
    let fake = Arc::new(Fake::default());
    fake.0.lock().unwrap().0 = vec!["ann"];
    let world = World::following(&fake, None).await;
    // Who is made through the API has it from the beginning.
    let new = json!({"name": "carol", "password": "right"});
    assert_eq!(world.status("boss", "POST", "/users", new).await, 201);
    let path = "/books/%2A/directory";
    for user in ["ann", "boss", "carol"] {
        let list = world.get(user, "/books").await;
        let of_staff = |book: &&Value| book["kind"] == "directory";
        let books: Vec<_> = list["items"].as_array().unwrap().iter().filter(of_staff).collect();
        assert_eq!(books.len(), 1, "{user}: {list}");
        let told = world.get(user, path).await;
        assert_eq!((*books.first().unwrap(), &told["owner"]), (&told, &json!("*")), "{user}");
        assert_eq!((&told["name"], &told["access"]), (&json!("directory"), &json!("read")));
    }
    assert_eq!(names(&json!({"items": world.get("boss", path).await["shares"].as_array()})), [""; 0]);
    for (method, path, body) in [
        ("PATCH", path.to_owned(), json!({"name": "mine"})),
        ("PATCH", path.to_owned(), json!({"shares": [{"user": "carol", "access": "write"}]})),
        ("DELETE", path.to_owned(), Value::Null),
        ("POST", format!("{path}/shares"), json!({"user": "carol", "access": "write"})),
    ] {
        assert_eq!(world.status("boss", method, &path, body.clone()).await, 409, "{method} {path}");
        assert_eq!(world.status("ann", method, &path, body).await, 403, "{method} {path}");
    }
    // Whose it is cannot be named as an owner, nor as a group.
    for owner in ["*", "group:*staff"] {
        let new = json!({"name": "x", "owner": owner});
        assert_eq!(world.status("boss", "POST", "/books", new).await, 422, "{owner}");
    }
    assert_eq!(names(&world.get("boss", "/groups").await), [""; 0]);
    assert_eq!(world.status("boss", "GET", "/groups/%2Astaff", Value::Null).await, 404);
    assert_eq!(world.status("boss", "POST", "/groups", json!({"name": "*staff"})).await, 422);
    let share = json!({"group": "*staff", "access": "read"});
    assert_eq!(world.status("boss", "POST", "/books/boss/contacts/shares", share).await, 422);
}

#[tokio::test]
async fn who_comes_from_the_directory_is_changed_there_and_stays_in_groups_of_ours() {
    let fake = Arc::new(Fake::default());
    *fake.0.lock().unwrap() = (vec!["ann", "bob"], vec![("sales", vec!["ann"])]);
    let world = World::following(&fake, Some("sales")).await;
    let patch = |path: &'static str, body| world.status("boss", "PATCH", path, body);
    for body in [
        json!({"name": "anna"}),
        json!({"password": "x"}),
        json!({"display_name": "A"}),
        json!({"email": "a@example.org"}),
        json!({"admin": false}),
    ] {
        assert_eq!(patch("/users/ann", body.clone()).await, 409, "{body}");
    }
    for body in [json!({"name": "vertrieb"}), json!({"members": ["bob"]}), json!({"display_name": "S"})] {
        assert_eq!(patch("/groups/sales", body.clone()).await, 409, "{body}");
    }
    assert_eq!(world.status("boss", "DELETE", "/groups/sales", Value::Null).await, 409);
    // A group of ours is ours, whoever is in it.
    let new = json!({"name": "choir", "members": ["ann", "boss"]});
    assert_eq!(world.status("boss", "POST", "/groups", new).await, 201);
    assert_eq!(patch("/groups/choir", json!({"members": ["ann", "bob"]})).await, 200);
    fake.0.lock().unwrap().1 = vec![("sales", vec!["bob"])];
    world.ask("boss", "POST", "/ldap/sync", json!({})).await;
    assert_eq!(world.get("boss", "/users/ann").await["groups"], json!(["choir"]));
    assert_eq!(world.get("boss", "/users/bob").await["groups"], json!(["choir", "sales"]));
    // Who is gone is not let in by hand; who is back is in the group again.
    fake.0.lock().unwrap().0 = vec!["bob"];
    world.ask("boss", "POST", "/ldap/sync", json!({})).await;
    assert_eq!(world.get("boss", "/users/ann").await["enabled"], false);
    assert_eq!(patch("/users/ann", json!({"enabled": true})).await, 409);
    let enable = AdminRequest::UserEnable { name: "ann".into(), enabled: true };
    assert!(matches!(world.service.admin(enable).await, AdminAnswer::Refused(_)));
    fake.0.lock().unwrap().0 = vec!["ann", "bob"];
    world.ask("boss", "POST", "/ldap/sync", json!({})).await;
    assert_eq!(names(&world.get("ann", "/groups").await), ["choir"]);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_group_that_is_gone_and_kept_for_its_books_is_removed_here() {
    let fake = Arc::new(Fake::default());
    *fake.0.lock().unwrap() = (vec!["ann"], vec![("sales", vec!["ann"])]);
    let world = World::following(&fake, None).await;
    let book = json!({"kind": "shared", "name": "leads", "owner": "group:sales"});
    assert_eq!(world.status("boss", "POST", "/books", book).await, 201);
    fake.0.lock().unwrap().1 = vec![];
    let (_, report) = world.ask("boss", "POST", "/ldap/sync", json!({})).await;
    assert_eq!(report["groups_went"], json!(["sales"]));
    assert_eq!(names(&world.get("boss", "/groups").await), ["sales"]);
    assert_eq!(world.status("boss", "DELETE", "/groups/sales", Value::Null).await, 204);
    assert_eq!(names(&world.get("boss", "/groups").await), [""; 0]);
    world.assert_sound().await;
}

#[tokio::test]
async fn who_removed_an_account_is_on_record() {
    let world = World::new(None).await;
    for name in ["ann", "bob"] {
        let new = json!({"name": name, "password": "right"});
        assert_eq!(world.status("boss", "POST", "/users", new).await, 201);
    }
    assert_eq!(world.status("boss", "DELETE", "/users/ann?hand_over=bob", Value::Null).await, 204);
    let boss = world.caller("boss").await.account;
    let page = EventsPage { before: None, limit: 100 };
    let events = world.service.events(page).await.unwrap().events;
    let removed: Vec<_> =
        events.iter().filter(|(_, event)| matches!(event.kind, EventKind::AccountRemoved)).collect();
    assert_eq!(removed.len(), 1);
    assert!(removed.iter().all(|(_, event)| event.actor == Some(boss)));
}
