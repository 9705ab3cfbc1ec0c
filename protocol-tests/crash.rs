//! `kill -9` under write load: what was answered is there, with its ETag, and the store is sound.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::http::Request;
use crate::race::{Follower, Phone};
use crate::server::{Server, room};

/// What is known of one card: its ETag after the last answered write (`None`: absent), and whether
/// a write was under way that nobody answered.
#[derive(Default, Clone, Debug)]
struct Known {
    etag: Option<String>,
    open: bool,
}

#[test]
fn every_answered_write_survives_kill_9() {
    let room = room();
    let data = room.path().join("data");
    let mut server = Server::on(&data, &[]);
    let who = server.account("crash");
    let book = format!("/dav/addressbooks/{}/contacts/", who.name);
    let calendar = format!("/dav/calendars/{}/calendar/", who.name);
    let mut before = Follower::default();
    before.follow(&mut Phone::new(server.client(), &who), &book, None);
    let mut before_calendar = Follower::default();
    before_calendar.follow(&mut Phone::new(server.client(), &who), &calendar, None);

    for round in 0..3 {
        let answered = AtomicU32::new(0);
        let address = server.address;
        let (places, who_ref, answered_ref) = ([(&book, "vcf"), (&calendar, "ics")], &who, &answered);
        let known = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|w| {
                    scope.spawn(move || {
                        // Every other one writes into the calendar.
                        let (place, ending) = places[w % 2];
                        write_until_it_breaks(
                            Phone::new(crate::http::Client::new(address), who_ref),
                            (&format!("{place}r{round}w{w}"), ending),
                            answered_ref,
                        )
                    })
                })
                .collect();
            while answered.load(Ordering::Acquire) < 150 {
                std::thread::yield_now();
            }
            server.kill();
            writers.into_iter().flat_map(|w| w.join().unwrap()).collect::<BTreeMap<String, Known>>()
        });
        assert!(known.len() > 20);

        server = Server::on(&data, &[]);
        let mut phone = Phone::new(server.client(), &who);
        let list = phone.list(&book);
        let appointments = phone.list(&calendar);
        for (path, known) in &known {
            if known.open {
                continue;
            }
            let listed = list.get(path).or(appointments.get(path));
            assert_eq!(listed, known.etag.as_ref(), "round {round}: {path}");
            let got = phone.ask(Request::new("GET", path)).unwrap();
            match &known.etag {
                Some(etag) => {
                    assert_eq!(got.header("etag").as_ref(), Some(etag));
                    let end = if path.ends_with(".ics") { "END:VCALENDAR\r\n" } else { "END:VCARD\r\n" };
                    assert!(got.text().ends_with(end));
                }
                None => assert_eq!(got.status, 404),
            }
        }
        // The token from before the crash still leads to exactly what is there.
        before.follow(&mut phone, &book, None);
        assert_eq!(before.holds, list, "round {round}");
        before_calendar.follow(&mut phone, &calendar, None);
        assert_eq!(before_calendar.holds, appointments, "round {round}");
        server.run(&["check"], "");
    }
    server.kill();
    crate::server::run(&data, &["check"], "");
}

fn write_until_it_breaks(
    mut phone: Phone,
    (stem, ending): (&str, &str),
    answered: &AtomicU32,
) -> Vec<(String, Known)> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for n in 0u32.. {
        let slot = n % 60;
        let path = format!("{stem}-{slot}.{ending}");
        let entry = known.entry(path.clone()).or_default();
        entry.open = true;
        if n % 7 == 6 && entry.etag.is_some() {
            let Ok(answer) = phone.ask(Request::new("DELETE", &path)) else {
                break;
            };
            assert_eq!(answer.status, 204, "{}", answer.text());
            *entry = Known::default();
        } else {
            let uid = path.rsplit('/').next().unwrap_or_default().to_owned();
            let Ok(answer) = phone.put(&path, &format!("n{n}"), &uid, &[]) else {
                break;
            };
            assert!([201, 204].contains(&answer.status), "{}", answer.text());
            *entry = Known { etag: answer.header("etag"), open: false };
        }
        answered.fetch_add(1, Ordering::AcqRel);
    }
    known.into_iter().collect()
}
