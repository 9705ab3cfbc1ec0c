//! App passwords, a device each: what their list tells of their last use, and that whoever is out is
//! out with the next request, also on a connection that was let in before.

use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Connection, Request, basic};
use crate::server::{Account, Server, shared, unique};
use crate::short;

const PHONE: &str = "DAVx5/4.4.5-ose (2024/12/15; dav4jvm; okhttp/4.12.0) Android/14";

fn ask(connection: &mut Connection, who: &Account) -> u16 {
    let request = Request::new("PROPFIND", "/dav/")
        .header("Authorization", &who.basic())
        .header("User-Agent", PHONE)
        .header("Depth", "0")
        .body(short::propfind(&["D:current-user-principal"]));
    connection.send(&request.bytes("localhost")).unwrap();
    let answer = connection.receive(false).unwrap();
    assert!(!answer.closes, "the connection is kept");
    answer.status
}

fn tokens(server: &Server, user: &str) -> Vec<serde_json::Value> {
    let text = server.run(&["token", "list", "--user", user, "--json"], "");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_list_of_tokens_tells_when_whence_and_by_what_each_was_used_last() {
    let server = shared();
    let phone = server.account(&unique("phone"));
    let laptop = server.token(&phone.name);
    let before = tokens(server, &phone.name);
    assert_eq!(before.len(), 2);
    assert!(before.iter().all(|row| row["last_use"].is_null() && row["client"].is_null()));
    let mut connection = Connection::open(server.address).unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&mut connection, &phone), 207);
    }
    let after = tokens(server, &phone.name);
    let used: Vec<_> = after.iter().filter(|row| !row["last_use"].is_null()).collect();
    assert_eq!(used.len(), 1, "the laptop's was not used");
    assert_eq!(used[0]["address"], "127.0.0.1");
    assert_eq!(used[0]["client"], PHONE);
    let shown = server.run(&["token", "list", "--user", &phone.name], "");
    let heads = shown.lines().next().unwrap();
    assert!(heads.contains("LAST USE") && heads.contains("CLIENT") && heads.contains("ADDRESS"), "{heads}");
    assert!(shown.contains("127.0.0.1") && shown.contains("DAVx5"), "{shown}");
    assert_eq!(ask(&mut connection, &laptop), 207);
}

#[test]
fn a_revoked_token_and_one_of_a_disabled_account_are_out_on_a_kept_connection() {
    let server = shared();
    let phone = server.account(&unique("phone"));
    let laptop = server.token(&phone.name);
    let mut connection = Connection::open(server.address).unwrap();
    assert_eq!(ask(&mut connection, &phone), 207);
    let used = tokens(server, &phone.name);
    let of_phone = used.iter().find(|row| !row["last_use"].is_null()).unwrap();
    server.run(&["token", "revoke", of_phone["id"].as_str().unwrap()], "");
    assert_eq!(ask(&mut connection, &phone), 401);
    assert_eq!(ask(&mut connection, &laptop), 207, "another device stays");
    server.run(&["user", "disable", &phone.name], "");
    assert_eq!(ask(&mut connection, &laptop), 401);
    server.run(&["user", "enable", &phone.name], "");
    assert_eq!(ask(&mut connection, &laptop), 207);
}

#[test]
fn forty_guesses_at_once_are_braked_and_the_right_app_password_is_let_in_meanwhile() {
    // The shared server lets everybody guess for ever.
    let server = &Server::fresh(&[]);
    let phone = server.account(&unique("guessed"));
    let guess = |n: usize| {
        let request = Request::new("PROPFIND", "/dav/")
            .header("Authorization", &basic(&phone.name, &format!("guess {n}")))
            .header("Depth", "0");
        let answer = server.once(&request);
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
        }
        answer.status
    };
    let statuses = thread::scope(|scope| {
        // As many as are free, one by one.
        let mut statuses: Vec<u16> = (0..10).map(&guess).collect();
        assert_eq!(statuses, [401; 10]);
        let rest: Vec<_> = (10..40).map(|n| scope.spawn(move || guess(n))).collect();
        let mut connection = Connection::open(server.address).unwrap();
        let begun = Instant::now();
        let mut asked = 0;
        while !rest.iter().all(thread::ScopedJoinHandle::is_finished) {
            assert_eq!(ask(&mut connection, &phone), 207);
            asked += 1;
        }
        statuses.extend(rest.into_iter().map(|guess| guess.join().unwrap()));
        // Slowed guesses wait their turn of half a second each; the phone does not wait with them.
        let took = begun.elapsed();
        assert!(asked > 10 && took > Duration::from_secs(2), "{asked} in {took:?}: {statuses:?}");
        statuses
    });
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 30, "{statuses:?}");
    assert_eq!(ask(&mut Connection::open(server.address).unwrap(), &phone), 207);
}
