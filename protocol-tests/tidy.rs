//! Looks at the sources as a reviewer would: who uses whom, what every file must have, whether the
//! map of `src/` is true, and whether every requirement that matters is named by a test.

use std::collections::{BTreeMap, BTreeSet};

use crate::runner;
use crate::sources::{code, paths, relative, resolved, root, sources};
use crate::transcript::{ids, is_id};

/// The rooms of `src/`, what of ours each may use beside itself.
const ROOMS: [(&str, &[&str]); 9] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("service", &["domain", "store"]),
    ("dav", &["domain", "service"]),
    ("api", &["domain", "service"]),
    ("directory", &["domain", "service"]),
    ("server", &["domain", "store", "service", "dav", "api", "directory", "config"]),
    ("config", &["domain"]),
    ("cli", &["domain", "store", "service", "dav", "api", "directory", "server", "config"]),
];

/// Crates that a room never names (architecture.md, "Who may use what").
const NEVER: [(&str, &[&str]); 7] = [
    (
        "domain",
        &[
            "tokio",
            "hyper",
            "hyper_util",
            "http",
            "http_body",
            "http_body_util",
            "tracing",
            "redb",
            "serde_json",
            "metrics",
            "getrandom",
            "quick_xml",
            "rustls",
            "moka",
            "argon2",
            "clap",
            "anyhow",
        ],
    ),
    ("store", &["http", "hyper", "hyper_util", "http_body", "http_body_util", "quick_xml", "anyhow", "clap"]),
    (
        "service",
        &["redb", "http", "hyper", "hyper_util", "http_body", "quick_xml", "ldap3", "anyhow", "clap"],
    ),
    ("dav", &["redb", "serde_json", "hyper", "hyper_util", "anyhow", "clap", "minicbor"]),
    ("api", &["redb", "quick_xml", "ldap3", "hyper", "hyper_util", "anyhow", "clap", "minicbor"]),
    ("directory", &["redb", "http", "hyper", "hyper_util", "quick_xml", "anyhow", "clap"]),
    ("server", &["redb", "quick_xml", "ldap3", "anyhow", "minicbor", "calcard"]),
];

/// Crates that only these places may name.
const ONLY: [(&str, &[&str]); 12] = [
    ("redb", &["store/engine/redb"]),
    ("quick_xml", &["dav/xml"]),
    ("rustls", &["server/", "directory/"]),
    ("tokio_rustls", &["server/", "directory/"]),
    ("rustls_native_certs", &["directory/"]),
    ("ldap3", &["directory/"]),
    ("calcard", &["domain/vcard", "domain/convert", "domain/ical"]),
    ("anyhow", &["cli/", "main.rs"]),
    ("utoipa", &["api/"]),
    ("phonenumber", &["domain/"]),
    ("clap", &["cli/", "main.rs"]),
    ("vcard_parser", &["domain/vcard/strict"]),
];

#[test]
fn rooms_use_only_what_lies_below() {
    let rooms: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let mut faults = Vec::new();
    for source in sources() {
        let room = source.path.split(['/', '.']).next().unwrap_or_default();
        for path in paths(&source.ships) {
            let path = resolved(&path, &source.path);
            let first = path.first().map_or("", String::as_str);
            let written = path.join("::");
            if first == "crate" {
                let used = path.get(1).map_or("", String::as_str);
                let allowed = ROOMS.iter().find(|(r, _)| *r == room).map(|(_, a)| *a);
                if let Some(allowed) = allowed
                    && rooms.contains(&used)
                    && used != room
                    && !allowed.contains(&used)
                {
                    faults.push(format!("src/{}: {room} may not use {written}", source.path));
                }
            }
            let never = NEVER.iter().find(|(r, _)| *r == room).map_or(&[][..], |(_, n)| n);
            if never.contains(&first) {
                faults.push(format!("src/{}: {room} may not name {written}", source.path));
            }
            if let Some((_, places)) = ONLY.iter().find(|(krate, _)| *krate == first)
                && !places.iter().any(|place| source.path.starts_with(place))
            {
                faults.push(format!("src/{}: {first} belongs into {places:?}", source.path));
            }
        }
        if let Some(unknown) = (!rooms.contains(&room) && !["lib", "main"].contains(&room)).then_some(room) {
            faults.push(format!("src/{}: the room {unknown} is not in the table of tidy.rs", source.path));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn clock_and_environment_are_arguments() {
    let mut faults = Vec::new();
    for source in sources() {
        let code = code(&source.ships);
        // The engine paces its retries; that time never becomes data.
        let clock = ["server/", "cli/", "main.rs", "store/engine/redb/"];
        for word in ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"] {
            if code.contains(word) && !clock.iter().any(|p| source.path.starts_with(p)) {
                faults.push(format!("src/{}: {word} outside server and cli", source.path));
            }
        }
        let environment = ["config", "main.rs"];
        for word in ["env::var", "env::vars", "env::args"] {
            if code.contains(word) && !environment.iter().any(|p| source.path.starts_with(p)) {
                faults.push(format!("src/{}: {word} outside config", source.path));
            }
        }
        if !["server/", "cli/", "main.rs"].iter().any(|p| source.path.starts_with(p))
            && (code.contains("getrandom::") || code.contains("new_v4(") || code.contains("now_v7("))
        {
            faults.push(format!("src/{}: randomness outside server and cli", source.path));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_short() {
    let mut faults = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            faults.push(format!("src/{} does not open with //!", source.path));
        }
        let lines = source.ships.lines().count();
        if lines > 500 {
            faults.push(format!("src/{} has {lines} lines without its tests", source.path));
        }
        for word in ["TODO", "FIXME", "XXX", "todo!("] {
            // A component of iCalendar is called so.
            if source.text.replace("VTODO", "").contains(word) {
                faults.push(format!("src/{}: {word}", source.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_map_of_the_sources_is_true() {
    let map = std::fs::read_to_string(root().join("src/README.md"))
        .expect("src/README.md is the map of the sources");
    let mut faults = Vec::new();
    let mut folders = BTreeSet::new();
    for source in sources() {
        let mut parts: Vec<&str> = source.path.split('/').collect();
        parts.pop();
        while !parts.is_empty() {
            folders.insert(parts.join("/"));
            parts.pop();
        }
    }
    let mut named = BTreeSet::new();
    for word in map.split(|c: char| c.is_whitespace() || "`(),;|".contains(c)) {
        let word = word.trim_end_matches(['.', ':']);
        let path = word.trim_start_matches("src/").trim_end_matches('/');
        named.insert(path);
        let looks_like_a_path = (word.ends_with(".rs") || word.ends_with('/') || word.starts_with("src/"))
            && !word.starts_with('/')
            && path.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
            && !path.is_empty();
        if looks_like_a_path {
            let here = root().join("src").join(path).exists() || root().join(path).exists();
            let somewhere = sources().iter().any(|s| s.path.ends_with(&format!("/{path}")));
            if !here && !somewhere {
                faults.push(format!("src/README.md names {word}, which is gone"));
            }
        }
    }
    for folder in &folders {
        if !named.contains(folder.as_str()) {
            faults.push(format!("src/README.md does not name {folder}/"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn words_that_are_ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|w| is_id(w))
}

/// Where each id is tested: transcripts by their first line, test code by naming the id.
fn tested() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in runner::files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let place = relative(&path, &root().join("protocol-tests"));
        for id in ids(text.lines().next().unwrap_or_default()) {
            found.entry(id).or_default().insert(place.clone());
        }
    }
    for name in ["access", "privacy", "wire", "limits", "race", "crash", "model", "judge"] {
        let text = std::fs::read_to_string(root().join(format!("protocol-tests/{name}.rs"))).unwrap();
        for id in words_that_are_ids(&text).map(str::to_owned).chain(ids_in_names(&text)) {
            found.entry(id).or_default().insert(format!("{name}.rs"));
        }
    }
    for source in sources() {
        for id in words_that_are_ids(&source.tests).map(str::to_owned).chain(ids_in_names(&source.tests)) {
            found.entry(id).or_default().insert(format!("src/{}", source.path));
        }
    }
    found.retain(|id, _| {
        let group = id.split('-').next().unwrap_or_default();
        GROUPS.iter().any(|(known, _)| *known == group)
    });
    found
}

/// `fn http_18_chunked…` names HTTP-18.
fn ids_in_names(text: &str) -> Vec<String> {
    text.match_indices("fn ")
        .filter_map(|(at, _)| {
            let mut parts = text[at + 3..].split('_');
            let id = format!("{}-{}", parts.next()?.to_ascii_uppercase(), parts.next()?);
            is_id(&id).then_some(id)
        })
        .collect()
}

/// The groups of requirements that exist so far, and their source.
const GROUPS: [(&str, &str); 18] = [
    ("DAV", "RFC 4918, WebDAV"),
    ("HTTP", "RFC 9110, HTTP semantics"),
    ("REP", "RFC 3253, reports"),
    ("ACL", "RFC 3744, access control"),
    ("CUP", "RFC 5397, current-user-principal"),
    ("MKC", "RFC 5689, extended MKCOL"),
    ("CARD", "RFC 6352, CardDAV"),
    ("CAL", "RFC 4791, CalDAV"),
    ("SCHED", "RFC 6638, scheduling, as far as without it"),
    ("TZ", "RFC 7809, time zones by reference"),
    ("AVAIL", "RFC 7953, availability"),
    ("ICAL", "RFC 5545 and its extensions, iCalendar"),
    ("SYNC", "RFC 6578, sync-collection"),
    ("DISC", "RFC 6764, discovery"),
    ("PREF", "RFC 7240 and RFC 8144, Prefer"),
    ("BIND", "RFC 5842, resource-id"),
    ("CS", "calendarserver.org and Apple extensions"),
    ("VC", "RFC 6350 and RFC 2426, vCard"),
];

fn required() -> Vec<String> {
    std::fs::read_to_string(root().join("protocol-tests/p1.txt"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_requirement_that_matters_is_tested() {
    let tested = tested();
    let missing: Vec<String> = required().into_iter().filter(|id| !tested.contains_key(id)).collect();
    assert!(missing.is_empty(), "no test names {}", missing.join(", "));
}

#[test]
fn the_compliance_table_is_current() {
    let tested = tested();
    let required = required();
    let mut page = String::from(
        "# Compliance\n\nWhich requirement is tested where. Made from the tests by `UPDATE=1 cargo test --test protocol-tests tidy`;\n\
         paths without `src/` are below `protocol-tests/`. **Bold** ids are those without which clients break or lose data.\n",
    );
    for (group, source) in GROUPS {
        let mut rows: Vec<(u32, String)> = Vec::new();
        let all: BTreeSet<&String> = tested.keys().chain(&required).collect();
        for id in all {
            let Some((_, number)) = id.split_once('-').filter(|(g, _)| *g == group) else {
                continue;
            };
            let places = tested.get(id).map_or_else(
                || "not yet".to_owned(),
                |p| p.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", "),
            );
            let mark = if required.contains(id) { "**" } else { "" };
            rows.push((number.parse().unwrap_or(0), format!("| {mark}{id}{mark} | {places} |\n")));
        }
        rows.sort();
        page.push_str(&format!("\n## {source}\n\n| id | tested by |\n| --- | --- |\n"));
        page.extend(rows.into_iter().map(|(_, row)| row));
    }
    let path = root().join("docs/compliance.md");
    if std::env::var("UPDATE").is_ok_and(|v| v == "1") {
        std::fs::create_dir_all(root().join("docs")).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let now = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(now == page, "docs/compliance.md is old; run UPDATE=1 cargo test --test protocol-tests tidy");
}
