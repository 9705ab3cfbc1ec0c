//! What following a directory costs: a real slapd, and the program that follows it with its staff's
//! book. Prints seconds and the server's memory; judges nothing. How many people: `PEOPLE=10000`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    unused_imports,
    reason = "it borrows from the tests, which say by panicking that they cannot go on"
)]

use std::time::Instant;

use serde_json::Value;

#[path = "../protocol-tests/http.rs"]
mod http;
#[path = "../protocol-tests/server.rs"]
mod server;
#[path = "../protocol-tests/slapd.rs"]
mod slapd;

use server::Server;
use slapd::{BASE, READER, READER_PASSWORD, Setup};

fn main() {
    let people = std::env::var("PEOPLE").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let setup = Setup { people, ..Setup::default() };
    let Some(mut slapd) = slapd::start("directory", setup) else { return };
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("{people} people, a photo of 3 kB for one of a hundred; {build} build");
    // The server's own first sync fails, so that ours is the one that is measured.
    slapd.stop();
    let server = Server::configured(&format!(
        "[ldap]\nurl = \"ldap://127.0.0.1:{}\"\nbind_dn = \"{READER}\"\nbind_password = \"{READER_PASSWORD}\"\n\
         user_base = \"ou=people,{BASE}\"\ngroup_base = \"ou=groups,{BASE}\"\nsync_interval = \"1h\"\n\
         directory_book = true\n",
        slapd.port
    ));
    while server.control(r#"{"command": "ldap-status"}"#).contains("\"failures\":0") {
        std::thread::yield_now();
    }
    slapd.start();
    measured("the first sync", &server);
    // The first of these goes through all accounts once more, because the sync before it has written.
    measured("a sync after no change", &server);
    measured("another", &server);
    for number in 0..10 {
        slapd.set(&slapd::person(number), "telephoneNumber", "+49 30 777");
    }
    measured("a sync after 10 changes", &server);
}

/// Syncs, and tells how long it took and how far the server's memory grew at most meanwhile.
fn measured(what: &str, server: &Server) {
    // So the peak counts from here (proc(5), clear_refs).
    std::fs::write(format!("/proc/{}/clear_refs", server.pid), "5").unwrap();
    let before = memory(server, "VmRSS:");
    let began = Instant::now();
    let told = server.run(&["ldap", "sync", "--json"], "");
    let took = began.elapsed();
    let told: Value = serde_json::from_str(&told).unwrap();
    println!(
        "{what}: {:.2} s; {} users came, {} changed, {} cards written; memory {before} MiB before, {} MiB at most, {} MiB after",
        took.as_secs_f64(),
        told["came"].as_array().map_or(0, Vec::len),
        told["changed"],
        told["cards_written"],
        memory(server, "VmHWM:"),
        memory(server, "VmRSS:"),
    );
}

/// A line of `/proc/PID/status`, in MiB.
fn memory(server: &Server, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid)).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
