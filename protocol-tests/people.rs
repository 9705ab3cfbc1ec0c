//! The program and a real slapd: who comes and signs in, and the staff's book as phones see it. Without
//! slapd each test says so on standard error and is left out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::server::Server;
use crate::short;
use crate::slapd::{password, person, start};

mod changes;
mod site;

use site::{Site, assert_quiet, config, count, has, home, hrefs, named, parsed, setup, site, staff, who};

/// How often the directory could not be followed.
fn failures(server: &Server) -> u64 {
    let answer: Value = serde_json::from_str(&server.control(r#"{"command": "ldap-status"}"#)).unwrap();
    answer["with"]["failures"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_dry_run_tells_and_a_sync_makes_accounts_and_groups() {
    let test = "a_dry_run_tells_and_a_sync_makes_accounts_and_groups";
    let Some(mut slapd) = start(test, setup(1200)) else { return };
    // Its own first sync fails, so that ours is the first that does something.
    slapd.stop();
    let server = Server::configured(&config(slapd.port, ""));
    while failures(&server) == 0 {
        std::thread::yield_now();
    }
    slapd.start();
    let site = Site { slapd, server };

    let told = site.sync_with(&["--dry-run"]);
    assert_eq!((count(&told, "came"), count(&told, "groups_came")), (1200, 6));
    assert!(told["dry_run"] == true && told["cards_written"] == 0 && told["passed_over"] == 1);
    assert!(site.users().is_empty());
    let lines = String::from_utf8(site.try_sync(&["--dry-run"]).stdout).unwrap();
    assert!(lines.contains("comes: u1199\n") && lines.contains("group comes: staff\n"), "{lines}");

    let done = site.sync();
    assert_eq!((count(&done, "came"), count(&done, "groups_came")), (1200, 6));
    assert_eq!((&done["cards_written"], &done["dry_run"]), (&json!(1200), &json!(false)));
    assert_eq!(site.users().len(), 1200);
    let before = site.listed();
    assert_eq!(before[0]["email"], "u0@example.org");
    assert_quiet(&site.sync());
    assert_quiet(&site.sync_with(&["--dry-run"]));
    assert_eq!(site.listed(), before);
    let checked = site.server.run(&["check"], "");
    assert!(!checked.to_lowercase().contains("damage"), "{checked}");
}

#[test]
fn people_sign_in_with_the_password_of_the_directory() {
    let test = "people_sign_in_with_the_password_of_the_directory";
    let Some(mut site) = site(test, 20, "") else { return };
    let local = named("local", "correct horse battery staple");
    let local_app = site.server.account("local");
    let app = site.server.token("u3");
    let right = site.sign_in(&who(1));
    assert!(right.status == 207 && right.text().contains("/dav/principals/users/u1/"), "{}", right.text());
    for wrong in [named("u1", "wrong"), named("u1", ""), named("u1", &password(2)), named("nobody", "x")] {
        let answer = site.sign_in(&wrong);
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic"));
    }
    // A name is one however it is written; a password of the directory counts as it is there.
    assert_eq!(site.status(&named("U1", &password(1))), 207);
    site.slapd.set(&person(4), "userPassword", "another");
    assert_eq!((site.status(&who(4)), site.status(&named("u4", "another"))), (401, 207));

    site.slapd.stop();
    for asked in [who(2), named("u2", "wrong"), named("u1", "wrong"), app.clone(), who(5)] {
        let right = asked.password == app.password;
        let answer = site.sign_in(&asked);
        assert_eq!(answer.status, if right { 207 } else { 503 });
        if !right {
            assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
            assert!(answer.header("www-authenticate").is_none());
        }
    }
    assert_eq!((site.status(&local), site.status(&local_app)), (207, 207));
    // Whoever is not known there is told no more than whoever is, and no password is no password.
    assert_eq!(site.status(&named("local", "wrong")), 503);
    assert_eq!(site.status(&named("u2", "")), 503);
    assert_eq!(site.status(&named("nobody", "x")), 503);
    assert!(site.refused(&[]).contains("does not answer"));

    site.slapd.start();
    assert_eq!((site.status(&named("nobody", "x")), site.status(&named("local", "wrong"))), (401, 401));
    assert_eq!((site.status(&who(2)), site.status(&named("u2", "wrong"))), (207, 401));

    // One that hangs holds nobody for long, and those whom it does not concern not at all.
    site.slapd.hang();
    let began = Instant::now();
    assert_eq!((site.status(&local), site.status(&app)), (207, 207));
    assert_eq!(site.status(&who(6)), 503);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    site.slapd.go_on();
    assert_eq!(site.status(&who(6)), 207);
}

#[test]
fn the_staff_is_a_book_that_phones_sync_and_nobody_writes() {
    let test = "the_staff_is_a_book_that_phones_sync_and_nobody_writes";
    let Some(site) = site(test, 1200, "") else { return };
    let (one, two) = (who(1), who(2));
    assert_eq!(site.members(&one, &home(&one)), [home(&one) + "contacts/", staff(&one)]);
    let listed = site.members(&one, &staff(&one));
    assert_eq!(listed.len(), 1200);
    let mut phone = site.phone(&one);
    let first = phone.sync(&staff(&one), "", None);
    assert_eq!((first.changed.len(), first.removed.len(), first.more), (1200, 0, false));

    let seven = listed
        .iter()
        .find(|href| site.ask(&one, "GET", href, None).text().contains("u7@example.org"))
        .unwrap();
    let card = site.ask(&one, "GET", seven, None).text();
    assert!(card.contains("FN:User 7\r\n") && card.contains("+49 30 7\r\n"), "{card}");
    site.slapd.set(&person(7), "telephoneNumber", "+49 30 777");
    let done = site.sync();
    assert_eq!((&done["cards_written"], &done["cards_removed"]), (&json!(1), &json!(0)));
    let next = phone.sync(&staff(&one), &first.token, None);
    assert_eq!((next.changed.len(), next.removed.len()), (1, 0));
    assert_eq!(&next.changed[0].0, seven);
    assert!(site.ask(&one, "GET", seven, None).text().contains("+49 30 777\r\n"));

    // Nobody writes, and each is told what is missing.
    let body = Some(short::card("3.0", "Ann", "ann").into_bytes());
    let new = staff(&one) + "new.vcf";
    for (method, path, body) in
        [("PUT", seven, body.clone()), ("PUT", &new, body.clone()), ("DELETE", seven, None)]
    {
        let answer = site.ask(&one, method, path, body);
        assert!(answer.status == 403 && has(&answer, "need-privileges"), "{method}: {}", answer.text());
    }
    let patch = short::body(&["@proppatch D:displayname=Mine"]).unwrap();
    assert_ne!(site.ask(&one, "PROPPATCH", &staff(&one), patch).status, 500);
    assert!(phone.sync(&staff(&one), &next.token, None).changed.is_empty());

    // One who does not want it has it no more; the others do, and so it stays over syncs.
    assert_eq!(site.ask(&one, "DELETE", &staff(&one), None).status, 204);
    site.slapd.set(&person(8), "title", "Director");
    site.sync();
    assert_eq!(site.members(&one, &home(&one)), [home(&one) + "contacts/"]);
    assert_eq!(site.propfind(&one, &staff(&one), "0", &["D:getetag"]).status, 404);
    assert_eq!(site.members(&two, &home(&two)), [home(&two) + "contacts/", staff(&two)]);
    assert_eq!(site.members(&two, &staff(&two)).len(), 1200);
}

#[test]
fn a_staff_that_is_too_many_is_searched() {
    let test = "a_staff_that_is_too_many_is_searched";
    let Some(site) = site(test, 120, "gateway_above = 100\n") else { return };
    let one = who(1);
    assert_eq!(site.members(&one, &home(&one)), [home(&one) + "contacts/"]);
    let principal = site.propfind(&one, "/dav/principals/users/u1/", "0", &["C:directory-gateway"]);
    let root = parsed(&principal);
    let mut found = Vec::new();
    root.all("{urn:ietf:params:xml:ns:carddav}directory-gateway", &mut found);
    assert_eq!(found[0].child_text("{DAV:}href"), Some(staff(&one).as_str()), "{}", principal.text());

    let query = [
        "@query D:getetag C:address-data",
        "<C:filter><C:prop-filter name=\"EMAIL\"><C:text-match match-type=\"equals\">u77@example.org</C:text-match></C:prop-filter></C:filter>",
    ];
    let query = short::body(&query).unwrap();
    let request = Request::new("REPORT", &staff(&one)).header("Authorization", &one.basic());
    let answer = site.server.once(&request.header("Depth", "1").body(query.unwrap()));
    assert_eq!((answer.status, hrefs(&answer).len()), (207, 1), "{}", answer.text());
    assert!(answer.text().contains("FN:User 77"), "{}", answer.text());
    assert_eq!(site.ask(&one, "GET", &hrefs(&answer)[0], None).status, 200);

    assert_eq!(site.propfind(&one, &staff(&one), "0", &["D:displayname"]).status, 207);
    let listing = site.propfind(&one, &staff(&one), "1", &["D:getetag"]);
    assert_eq!(listing.status, 403, "{}", listing.text());
    // What is refused names the right that is missing (RFC 3744 §7.1.1), and no more.
    let lacks = |answer: &Response, privilege: &str| {
        assert_eq!(answer.status, 403, "{}", answer.text());
        let root = parsed(answer);
        let resource = root.named("{DAV:}need-privileges")[0].named("{DAV:}resource")[0];
        assert_eq!(resource.child_text("{DAV:}href"), Some(staff(&one).as_str()));
        let missing = resource.named("{DAV:}privilege")[0];
        assert_eq!(missing.named(&format!("{{DAV:}}{privilege}")).len(), 1, "{}", answer.text());
    };
    lacks(&listing, "read");
    let sync = site.ask(&one, "REPORT", &staff(&one), Some(short::sync("", None, &["D:getetag"]).into()));
    lacks(&sync, "read");
    let name = "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop><D:displayname>Mine</D:displayname></D:prop></D:set></D:propertyupdate>";
    lacks(&site.ask(&one, "PROPPATCH", &staff(&one), Some(name.into())), "write-properties");
    assert_eq!(site.ask(&one, "DELETE", &hrefs(&answer)[0], None).status, 403);

    // Where some leave it is a book again, and the homes tell of it.
    let before = site.home_sync(&one, "");
    (100..120).for_each(|number| site.slapd.delete(&person(number)));
    assert_eq!(count(&site.sync(), "went"), 20);
    let after = site.home_sync(&one, &before.token);
    assert_eq!(after.changed.iter().map(|(href, _)| href.clone()).collect::<Vec<_>>(), [staff(&one)]);
    assert_eq!(site.members(&one, &staff(&one)).len(), 100);
}
