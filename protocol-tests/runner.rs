//! Plays the transcripts of `cases/` against one shared server and says, for each that fails, what
//! was asked, what was expected and what came.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::http::{Client, Request, Response, basic};
use crate::judge;
use crate::server::{Account, Server, shared, unique};
use crate::short;
use crate::template::{Names, fill};
use crate::transcript::{Document, Exchange, parse};
use crate::xml;

/// Where the transcripts lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-tests/cases")
}

/// All transcripts, sorted by path.
pub fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&folder(), &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "http") {
            found.push(path);
        }
    }
}

fn short_path(path: &Path) -> String {
    path.strip_prefix(folder()).unwrap_or(path).to_string_lossy().into_owned()
}

#[test]
fn cases() {
    let filter = std::env::var("CASE").unwrap_or_default();
    let todo: VecDeque<PathBuf> = files().into_iter().filter(|p| short_path(p).contains(&filter)).collect();
    assert!(!todo.is_empty(), "no transcript's path contains {filter:?}");
    let total = todo.len();
    let todo = Mutex::new(todo);
    let failures = Mutex::new(Vec::new());
    let server = shared();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(path) = todo.lock().unwrap().pop_front() else {
                        break;
                    };
                    let played =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(server, &path)));
                    let outcome = played.unwrap_or_else(|_| Err("the runner panicked".to_owned()));
                    if let Err(why) = outcome {
                        failures.lock().unwrap().push(format!("{}: {why}", short_path(&path)));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {total} transcripts fail\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn every_transcript_can_be_read() {
    let mut faults = Vec::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        if let Err(why) = readable(&text) {
            faults.push(format!("{}: {why}", short_path(&path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn readable(text: &str) -> Result<(), String> {
    for exchange in parse(text)?.exchanges {
        let lines: Vec<&str> = exchange.body.iter().map(String::as_str).collect();
        short::body(&lines).map_err(|why| format!("line {}: {why}", exchange.line))?;
        if let Some(document) = &exchange.document
            && document.xml
        {
            xml::parse(&document.text, true).map_err(|why| format!("line {}: {why}", document.span.0 + 1))?;
        }
    }
    Ok(())
}

struct Play {
    accounts: Vec<Account>,
    clients: Vec<(String, Client)>,
    names: Names,
    agent: Option<String>,
    anonymous: bool,
}

fn play(server: &Server, path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let transcript = parse(&text)?;
    let mut play = Play {
        accounts: Vec::new(),
        clients: Vec::new(),
        names: Names::new(),
        agent: transcript.agent.clone(),
        anonymous: transcript.anonymous,
    };
    play.names.insert("origin".to_owned(), format!("http://{}", server.address));
    play.names.insert("host".to_owned(), server.address.to_string());
    for (n, suffix) in ["", "2", "3"].iter().enumerate() {
        let mentioned =
            ["{user", "{password", "As: user"].iter().any(|stem| text.contains(&format!("{stem}{suffix}")));
        if n == 0 || mentioned {
            let account = server.account(&unique("tester"));
            play.names.insert(format!("user{suffix}"), account.name.clone());
            play.names.insert(format!("password{suffix}"), account.password.clone());
            play.accounts.push(account);
        }
    }
    let update = std::env::var("UPDATE").is_ok_and(|v| v == "1");
    let mut replaced: Vec<(Document, String)> = Vec::new();
    for exchange in &transcript.exchanges {
        let (request, answer) = play
            .ask(server, exchange)
            .map_err(|why| format!("line {}, {}: {why}", exchange.line, exchange.title))?;
        let mut faults = judge::head(exchange, &answer, &mut play.names);
        let content = judge::body(exchange, &answer, &mut play.names);
        faults.extend(content.faults);
        if let Some(text) = content.replacement
            && let Some(document) = &exchange.document
        {
            if update {
                replaced.push((document.clone(), text));
            } else {
                faults.push(difference(&document.text, &text));
            }
        }
        if answer.status >= 500 && !faults.is_empty() {
            faults.push(format!("the server's log ends:\n{}", server.log_tail(5)));
        }
        if !faults.is_empty() {
            return Err(format!(
                "line {}, {}\n{}\n  got {}",
                exchange.line,
                exchange.title,
                faults.iter().map(|f| format!("  - {f}")).collect::<Vec<_>>().join("\n"),
                shown(&request, &answer)
            ));
        }
    }
    if !replaced.is_empty() {
        rewrite(path, &text, replaced);
    }
    Ok(())
}

fn rewrite(path: &Path, text: &str, replaced: Vec<(Document, String)>) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (document, new) in replaced.into_iter().rev() {
        lines.splice(document.span.0..document.span.1, new.trim_end().lines().map(str::to_owned));
    }
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

impl Play {
    fn account(&self, name: &str) -> Result<&Account, String> {
        let index = match name {
            "user" => 0,
            "user2" => 1,
            "user3" => 2,
            _ => return Err(format!("As: {name}")),
        };
        self.accounts.get(index).ok_or_else(|| format!("{name} is not mentioned as {{{name}}}"))
    }

    fn ask(&mut self, server: &Server, exchange: &Exchange) -> Result<(Request, Response), String> {
        let mut request = Request::new(&exchange.method, &fill(&exchange.path, &self.names)?);
        let lines: Result<Vec<String>, String> = exchange.body.iter().map(|l| fill(l, &self.names)).collect();
        let lines = lines?;
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        request.body = short::body(&lines)?;
        if request.method == "CONTROL" {
            let question = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned();
            let answer = server.control(&question);
            let status = if answer.contains("\"refused\"") { 409 } else { 200 };
            let answer = Response { status, body: answer.into_bytes(), ..Response::default() };
            return Ok((request, answer));
        }
        let mut who = if self.anonymous { "-" } else { "user" }.to_owned();
        let mut withheld = Vec::new();
        for (name, value) in &exchange.headers {
            let value = fill(value, &self.names)?;
            if name == "As" {
                who = value;
            } else if name == "Login" {
                let (user, password) = value.split_once(':').ok_or("Login: NAME:PASSWORD")?;
                request = request.header("Authorization", &basic(user, password));
            } else if value == "-" {
                withheld.push(name.to_ascii_lowercase());
            } else {
                request.headers.push((name.clone(), value));
            }
        }
        let add = |request: &mut Request, name: &str, value: &str| {
            let present = request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
            if !present && !withheld.contains(&name.to_ascii_lowercase()) {
                request.headers.push((name.to_owned(), value.to_owned()));
            }
        };
        if who != "-" {
            let value = self.account(&who)?.basic();
            add(&mut request, "Authorization", &value);
        }
        if let Some(agent) = &self.agent {
            add(&mut request, "User-Agent", agent);
        }
        if let Some(body) = &request.body {
            if body.starts_with(b"<") {
                add(&mut request, "Content-Type", "application/xml; charset=utf-8");
            } else if body.len() > 6 && body[..6].eq_ignore_ascii_case(b"BEGIN:") {
                let calendar = body.get(6..15).is_some_and(|b| b.eq_ignore_ascii_case(b"VCALENDAR"));
                let kind = if calendar { "text/calendar" } else { "text/vcard" };
                add(&mut request, "Content-Type", &format!("{kind}; charset=utf-8"));
            }
        }
        if !self.clients.iter().any(|(n, _)| *n == who) {
            self.clients.push((who.clone(), server.client()));
        }
        let client = self.clients.iter_mut().find(|(n, _)| *n == who).map(|(_, c)| c).ok_or("no client")?;
        let answer = client.send(&request).map_err(|e| e.to_string())?;
        Ok((request, answer))
    }
}

fn difference(expected: &str, actual: &str) -> String {
    let has = |text: &str, line: &str| text.lines().any(|l| l.trim() == line.trim());
    let mut out = String::from("the document differs (- expected only, + came only)\n");
    for line in expected.lines() {
        if !has(actual, line) {
            out.push_str(&format!("      - {line}\n"));
        }
    }
    for line in actual.lines() {
        let mark = if has(expected, line) { ' ' } else { '+' };
        out.push_str(&format!("      {mark} {line}\n"));
    }
    out
}

fn shown(request: &Request, answer: &Response) -> String {
    let mut out = format!("{} {} -> {}\n", request.method, request.path, answer.status);
    for (name, value) in &request.headers {
        if !name.eq_ignore_ascii_case("authorization") {
            out.push_str(&format!("    > {name}: {value}\n"));
        }
    }
    let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned();
    for line in body.lines().take(30) {
        out.push_str(&format!("    > {line:.300}\n"));
    }
    for (name, value) in &answer.headers {
        out.push_str(&format!("    < {name}: {value}\n"));
    }
    let text = answer.text();
    let shown = match xml::parse(&text, false) {
        Ok(root) if text.contains('<') => {
            let mut pretty = String::new();
            root.pretty(0, &mut pretty);
            pretty
        }
        _ => text,
    };
    for line in shown.lines().take(60) {
        out.push_str(&format!("    < {line:.300}\n"));
    }
    out
}
