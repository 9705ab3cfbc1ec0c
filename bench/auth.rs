//! What a signed-in request pays for being signed in, and whether a wrong password tells who exists:
//! in process, over a store in a directory of its own. Prints microseconds; judges nothing.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardkeep::service::admin::{AdminAnswer, AdminRequest};
use cardkeep::service::audit::Origin;
use cardkeep::service::sign_in::{Credentials, NotSignedIn};
use cardkeep::service::{KeyFile, Service, Settings};
use cardkeep::store::engine::redb::RedbEngine;
use cardkeep::store::keyslots::MasterKey;
use cardkeep::store::keyslots::file::FileMedium;

mod machine;

use machine::Machine;

const ACCOUNTS: usize = 200;
const REQUESTS: usize = 20_000;
const GUESSES: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let room = tempfile::tempdir()?;
    let engine = Arc::new(RedbEngine::open(&room.path().join("store"), 64 << 20)?);
    let keys = KeyFile::new(FileMedium::create(&room.path().join("keys"))?, vec![MasterKey::new([7; 32])]);
    let settings = Settings { login_attempts: u32::MAX, ..Settings::default() };
    let service = Service::open(engine, keys, Arc::new(Machine), Arc::new(Machine), settings).await?;
    for n in 0..ACCOUNTS {
        let password = (n == 0).then(|| "a pass phrase".to_owned());
        let name = format!("user{n}");
        let add = AdminRequest::UserAdd { name, email: None, display_name: None, admin: false, password };
        done(service.admin(add).await)?;
    }
    let create = AdminRequest::TokenCreate {
        user: "user0".into(),
        api: false,
        scopes: Vec::new(),
        expires: None,
        label: None,
    };
    let secret = done(service.admin(create).await)?;
    for (what, password) in [("account password", "a pass phrase"), ("app password", secret.as_str())] {
        let mut times = Vec::with_capacity(REQUESTS);
        for n in 0..REQUESTS + 100 {
            let (right, took) = tried(&service, "user0", password).await;
            if !right {
                return Err("a right password was refused".into());
            }
            if n >= 100 {
                times.push(took);
            }
        }
        print(what, times);
    }
    // Each guess is another, so that no verdict is known; by turns, and now the one first and now the
    // other, so that both meet the same noise.
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..GUESSES {
        let guess = format!("wrong {n}");
        if n % 2 == 0 {
            known.push(tried(&service, "user0", &guess).await.1);
            unknown.push(tried(&service, "nobody", &guess).await.1);
        } else {
            unknown.push(tried(&service, "nobody", &guess).await.1);
            known.push(tried(&service, "user0", &guess).await.1);
        }
    }
    print("wrong password, known account", known);
    print("wrong password, unknown account", unknown);
    service.close().await?;
    Ok(())
}

fn done(answer: AdminAnswer) -> Result<String, Box<dyn Error>> {
    match answer {
        AdminAnswer::Done => Ok(String::new()),
        AdminAnswer::Secret { secret, .. } => Ok(secret),
        AdminAnswer::Refused(why) => Err(why.into()),
        _ => Err("another answer was expected".into()),
    }
}

async fn tried(service: &Service, user: &str, password: &str) -> (bool, Duration) {
    let credentials = Credentials { user: user.to_owned(), password: password.to_owned() };
    let client = "DAVx5/4.4.5-ose (2024/12/15; dav4jvm; okhttp/4.12.0) Android/14";
    let from = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), client };
    let begun = Instant::now();
    let answer = service.sign_in(credentials, from).await;
    let took = begun.elapsed();
    if let Err(NotSignedIn::Failed(fault)) = &answer {
        println!("failed: {fault}");
    }
    (answer.is_ok(), took)
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6);
    println!("{what}: median {:.1} µs, 99th of 100 {:.1} µs", at(50), at(99));
}
