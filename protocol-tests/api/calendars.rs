//! Calendars through the API, and what phones find of them.

use crate::short;
use crate::xml;

use super::*;

/// What DAV clients are answered in somebody's name.
fn dav(who: &Asker, method: &str, path: &str, body: Option<(&str, String)>) -> Response {
    let request = Request::new(method, path).header("Authorization", &who.authorization);
    let request = match body {
        Some((kind, body)) => request.header("Content-Type", kind).header("Depth", "1").body(body),
        None => request,
    };
    who.server.once(&request)
}

/// Puts an object of that kind at `HOME/CALENDAR/NAME`.
fn put(who: &Asker, kind: &str, at: &str) -> Response {
    let body = short::object(kind, "Planning", &at.replace('/', "-"));
    dav(who, "PUT", &format!("/dav/calendars/{at}.ics"), Some(("text/calendar", body)))
}

fn get(who: &Asker, at: &str) -> u16 {
    dav(who, "GET", &format!("/dav/calendars/{at}.ics"), None).status
}

/// The calendars of somebody's home, by their names.
fn home(who: &Asker) -> Vec<String> {
    let path = format!("/dav/calendars/{}/", who.name);
    let body = short::propfind(&["D:displayname"]);
    let answer = dav(who, "PROPFIND", &path, Some(("application/xml", body)));
    assert_eq!(answer.status, 207, "{}", answer.text());
    let mut calendars = members(&answer, &path);
    calendars.retain(|name| !name.is_empty());
    calendars
}

fn members(answer: &Response, home: &str) -> Vec<String> {
    let told = xml::parse(&answer.text(), false).unwrap();
    let responses = told.named(&xml::long("D:response"));
    let hrefs = responses.iter().filter_map(|response| response.child_text(&xml::long("D:href")));
    hrefs.map(|href| href.strip_prefix(home).unwrap().trim_matches('/').to_owned()).collect()
}

/// What the home's sync tells since then: the names, those that went with a minus.
fn followed(who: &Asker, since: &mut String) -> Vec<String> {
    let path = format!("/dav/calendars/{}/", who.name);
    let body = short::sync(since, None, &["D:displayname"]);
    let answer = dav(who, "REPORT", &path, Some(("application/xml", body)));
    assert_eq!(answer.status, 207, "{}", answer.text());
    let told = xml::parse(&answer.text(), false).unwrap();
    *since = told.child_text(&xml::long("D:sync-token")).unwrap().to_owned();
    let responses = told.named(&xml::long("D:response"));
    let gone = responses.iter().map(|response| response.child_text(&xml::long("D:status")).is_some());
    members(&answer, &path)
        .into_iter()
        .zip(gone)
        .map(|(name, gone)| if gone { format!("-{name}") } else { name })
        .collect()
}

const OWN: [&str; 3] = ["calendar", "tasks", "birthdays"];

/// The own calendars and these.
fn own_and(more: &[&str]) -> Vec<String> {
    OWN.iter().chain(more).map(|name| (*name).to_owned()).collect()
}

#[test]
fn calendars_are_made_shown_and_listed() {
    let server = shared();
    let ann = Asker::user(server, "ann", false);
    let list = told(&ann.get("/calendars"));
    let shown = |item: &Value| (item["name"].clone(), item["components"].clone(), item["default"].clone());
    let mut shown: Vec<_> = list["items"].as_array().unwrap().iter().map(shown).collect();
    shown.sort_by_key(|(name, ..)| name.to_string());
    assert_eq!(
        shown,
        [
            (json!("calendar"), json!(["VEVENT"]), json!(true)),
            (json!("tasks"), json!(["VTODO"]), json!(false))
        ],
        "nothing is stored of the birthdays"
    );
    let answer = ann.post("/calendars", json!({"name": "a plan"}));
    let plan = made(&answer);
    assert_eq!(answer.header("location").unwrap(), format!("/api/v1/calendars/{}/a%20plan", ann.name));
    assert_eq!((&plan["kind"], &plan["owner"]), (&json!("personal"), &json!(ann.name)));
    assert_eq!((&plan["components"], &plan["access"]), (&json!(["VEVENT"]), &json!("write")));
    assert_eq!(
        (&plan["private"], &plan["default"], &plan["shares"]),
        (&json!(false), &json!(false), &json!([]))
    );
    assert!(plan["created_at"].as_str().unwrap().ends_with('Z') && plan.get("filter").is_none());
    let path = format!("/calendars/{}/a%20plan", ann.name);
    assert_eq!(told(&ann.get(&path)), plan);
    problem(&ann.get(&format!("/books/{}/a%20plan", ann.name)), 404);
    problem(&ann.get(&format!("/calendars/{}/contacts", ann.name)), 404);
    problem(&ann.get(&format!("/calendars/{}/birthdays", ann.name)), 404);
    // Lists in pieces, in an order.
    let page = told(&ann.get("/calendars?limit=2&sort=-name"));
    assert_eq!((&page["total"], &page["items"][0]["name"]), (&json!(3), &json!("tasks")));
    let rest =
        ann.get(&format!("/calendars?limit=2&sort=-name&cursor={}", page["next_cursor"].as_str().unwrap()));
    assert_eq!(names(&rest), ["a plan"]);
    problem(&ann.get("/calendars?sort=components"), 400);
    // A key does a thing once.
    let request = || {
        let request = ann.request("POST", "/calendars").header("Idempotency-Key", "\"once\"");
        server.once(&request.header("Content-Type", "application/json").body(r#"{"name": "once"}"#))
    };
    assert_eq!(made(&request()), made(&request()));
    problem(&ann.post("/calendars", json!({"name": "once"})), 409);
    // What is wrong is told.
    let wrong = json!({"kind": "smart", "components": ["VEVENT", "VALARM", 1], "name": "a/b", "filter": "x"});
    assert_eq!(
        pointers(&ann.post("/calendars", wrong)),
        ["/kind", "/components/1", "/components/2", "/name", "/filter"]
    );
    assert_eq!(pointers(&ann.post("/calendars", json!({"name": "x", "components": []}))), ["/components"]);
    assert_eq!(pointers(&ann.post("/calendars", json!({"name": "x", "kind": "shared"}))), ["/owner"]);
    for kept in ["birthdays", "calendar"] {
        problem(&ann.post("/calendars", json!({"name": kept})), 409);
    }
    assert_eq!(ann.delete(&path).status, 204);
    problem(&ann.get(&path), 404);
    assert_eq!(home(&ann), ["calendar", "once", "tasks", "birthdays"]);
}

#[test]
fn a_calendar_takes_what_it_was_made_for() {
    let server = shared();
    let ann = Asker::user(server, "ann", false);
    let takes = json!(["vtodo", "VAVAILABILITY", "VTODO"]);
    let calendar = made(&ann.post("/calendars", json!({"name": "work", "components": takes})));
    assert_eq!(calendar["components"], json!(["VTODO", "VAVAILABILITY"]));
    let at = |name: &str| format!("{}/work/{name}", ann.name);
    assert_eq!(put(&ann, "VTODO", &at("a")).status, 201);
    for (kind, name) in [("VEVENT", "b"), ("VJOURNAL", "c")] {
        let refused = put(&ann, kind, &at(name));
        assert_eq!(refused.status, 403);
        assert!(refused.text().contains("supported-calendar-component"), "{}", refused.text());
    }
    // It stays so.
    let path = format!("/calendars/{}/work", ann.name);
    assert_eq!(pointers(&ann.patch(&path, json!({"components": ["VEVENT"]}))), ["/components"]);
    assert_eq!(pointers(&ann.patch(&path, json!({"kind": "shared"}))), ["/kind"]);
    // What is shown may be sent back, and one state of it is meant.
    let etag = ann.get(&path).header("etag").unwrap();
    assert_eq!(told(&ann.patch(&path, calendar.clone())), calendar);
    let patch = |etag: &str, name: &str| {
        let request = ann.request("PATCH", &path).header("Content-Type", "application/merge-patch+json");
        server.once(&request.header("If-Match", etag).body(json!({"name": name}).to_string()))
    };
    problem(&patch("\"other\"", "jobs"), 412);
    assert_eq!(told(&patch(&etag, "jobs"))["components"], calendar["components"]);
    let renamed = format!("/calendars/{}/jobs", ann.name);
    assert_eq!((get(&ann, &format!("{}/jobs/a", ann.name)), get(&ann, &at("a"))), (200, 404));
    problem(&ann.patch(&renamed, json!({"name": "birthdays"})), 409);
    problem(&ann.patch(&renamed, json!({"name": "tasks"})), 409);
    let stale = ann.request("DELETE", &renamed).header("If-Match", "\"other\"");
    problem(&server.once(&stale), 412);
    assert_eq!(ann.delete(&renamed).status, 204);
    assert_eq!(get(&ann, &format!("{}/jobs/a", ann.name)), 404);
}

#[test]
fn a_shared_calendar_is_in_its_sharees_homes_until_it_is_not() {
    let server = shared();
    let admin = Asker::admin(server);
    let [ann, bob, carol] = ["ann", "bob", "carol"].map(|stem| Asker::user(server, stem, false));
    let group = unique("sales");
    assert!([&ann, &bob, &carol].iter().all(|who| who.get("/users").status == 200));
    made(&admin.post("/groups", json!({"name": group, "members": [carol.name]})));
    let mut since = String::new();
    assert_eq!(followed(&bob, &mut since).len(), 3);

    let shares = json!([{"user": bob.name, "access": "read"}]);
    made(&ann.post("/calendars", json!({"name": "office", "shares": shares})));
    let path = format!("/calendars/{}/office", ann.name);
    let share = json!({"group": group, "access": "write"});
    assert_eq!(made(&ann.post(&format!("{path}/shares"), share.clone())), share);
    assert_eq!(told(&ann.get(&format!("{path}/shares")))["total"], 2);
    assert_eq!((home(&bob), home(&carol)), (own_and(&["office"]), own_and(&["office"])));
    assert_eq!(followed(&bob, &mut since), ["office"]);
    assert_eq!(told(&bob.get(&path))["access"], "read");
    assert!(told(&bob.get(&path)).get("shares").is_none());
    assert_eq!(problem(&bob.get(&format!("{path}/shares")), 403)["permission"], "settings");
    assert_eq!(problem(&bob.patch(&path, json!({"name": "mine"})), 403)["permission"], "settings");
    assert_eq!(told(&carol.get(&path))["access"], "write");
    assert!(names(&bob.get("/calendars")).contains(&"office".to_owned()));
    assert_eq!(names(&bob.get("/books")), ["contacts"]);

    // What is read only is so by every path; what may be written is written by every path.
    assert_eq!(put(&ann, "VEVENT", &format!("{}/office/a", ann.name)).status, 201);
    for owner in [&bob.name, &ann.name] {
        assert_eq!(get(&bob, &format!("{owner}/office/a")), 200);
        assert_eq!(put(&bob, "VEVENT", &format!("{owner}/office/b")).status, 403);
        let remove = dav(&bob, "DELETE", &format!("/dav/calendars/{owner}/office/a.ics"), None);
        assert_eq!(remove.status, 403);
    }
    assert_eq!(put(&carol, "VEVENT", &format!("{}/office/c", carol.name)).status, 201);
    assert_eq!(put(&carol, "VEVENT", &format!("{}/office/d", ann.name)).status, 201);
    assert_eq!(get(&ann, &format!("{}/office/c", ann.name)), 200);

    // Other access is a change, none any more a removal.
    let more = json!({"user": bob.name, "access": "write"});
    assert_eq!(ann.post(&format!("{path}/shares"), more).status, 200);
    assert_eq!(followed(&bob, &mut since), ["office"]);
    assert_eq!(put(&bob, "VEVENT", &format!("{}/office/b", bob.name)).status, 201);
    assert_eq!(ann.delete(&format!("{path}/shares?user={}", bob.name)).status, 204);
    problem(&ann.delete(&format!("{path}/shares?user={}", bob.name)), 404);
    assert_eq!(followed(&bob, &mut since), ["-office"]);
    problem(&bob.get(&path), 404);
    for owner in [&bob.name, &ann.name] {
        assert_eq!(get(&bob, &format!("{owner}/office/a")), 404);
    }

    // A clash of names is told apart, and one may leave.
    made(&carol.post("/calendars", json!({"name": "team"})));
    let with = json!([{"user": carol.name, "access": "read"}]);
    made(&ann.post("/calendars", json!({"name": "team", "shares": with})));
    let clash = format!("team-{}", ann.name);
    assert!(home(&carol).contains(&clash), "{:?}", home(&carol));
    let leave = |name: &str| dav(&carol, "DELETE", &format!("/dav/calendars/{}/{name}/", carol.name), None);
    assert_eq!((leave(&clash).status, leave("office").status), (204, 204));
    assert_eq!(home(&carol).len(), 4);
    assert_eq!(told(&ann.get(&format!("/calendars/{}/team/shares", ann.name)))["total"], 0);
    assert_eq!(told(&ann.get(&format!("{path}/shares")))["items"], json!([share]), "the group keeps it");
    assert_eq!(get(&ann, &format!("{}/office/c", ann.name)), 200);

    // Removing it is the end of it for everybody.
    made(&ann.post(&format!("{path}/shares"), json!({"user": bob.name, "access": "read"})));
    assert_eq!(followed(&bob, &mut since), ["office"]);
    assert_eq!(ann.delete(&path).status, 204);
    assert_eq!(followed(&bob, &mut since), ["-office"]);
}

#[test]
fn private_calendars_are_their_owners_alone() {
    let server = shared();
    let admin = Asker::admin(server);
    let (ann, bob) = (Asker::user(server, "ann", false), Asker::user(server, "bob", false));
    assert_eq!(bob.get("/users").status, 200);
    made(&ann.post("/calendars", json!({"name": "diary", "private": true})));
    let path = format!("/calendars/{}/diary", ann.name);
    problem(&admin.get(&path), 404);
    let of_ann = |who: &Asker| {
        let items = told(&who.get("/calendars?limit=1000"))["items"].as_array().unwrap().clone();
        items.iter().filter(|item| item["owner"] == ann.name.as_str()).count()
    };
    assert_eq!((of_ann(&ann), of_ann(&admin)), (3, 2));
    let share = json!({"user": bob.name, "access": "read"});
    problem(&ann.post(&format!("{path}/shares"), share.clone()), 409);
    let both = json!({"name": "x", "private": true, "shares": [share]});
    assert_eq!(pointers(&ann.post("/calendars", both)), ["/private"]);
    let secret = made(&admin.post("/tokens", json!({"kind": "api", "user": ann.name})))["secret"].clone();
    let foreign = ann.with(format!("Bearer {}", secret.as_str().unwrap()));
    problem(&foreign.get(&path), 404);
    assert_eq!(of_ann(&foreign), 2);
    // Not private any more, it may be shared in the same breath.
    assert_eq!(told(&ann.patch(&path, json!({"private": false, "shares": [share]})))["private"], false);
    assert_eq!(home(&bob), own_and(&["diary"]));
    assert_eq!(told(&ann.patch(&path, json!({"private": true, "shares": []})))["shares"], json!([]));
    assert_eq!(home(&bob), own_and(&[]));
}

#[test]
fn a_groups_calendar_is_its_members() {
    let server = shared();
    let admin = Asker::admin(server);
    let (ann, bob) = (Asker::user(server, "ann", false), Asker::user(server, "bob", false));
    assert_eq!((ann.get("/users").status, bob.get("/users").status), (200, 200));
    let group = unique("team");
    made(&admin.post("/groups", json!({"name": group, "members": [ann.name]})));
    let owner = format!("group:{group}");
    // Groups have no calendars of their own making, so all but one name is free.
    problem(&admin.post("/calendars", json!({"name": "birthdays", "owner": owner})), 409);
    let new =
        json!({"name": "calendar", "owner": owner, "kind": "shared", "components": ["VEVENT", "VTODO"]});
    assert_eq!(problem(&ann.post("/calendars", new.clone()), 403)["permission"], "settings");
    assert_eq!(made(&admin.post("/calendars", new))["kind"], "shared");
    let named = format!("calendar-{group}");
    assert_eq!((home(&ann), home(&bob)), (own_and(&[&named]), own_and(&[])));
    assert_eq!(put(&ann, "VTODO", &format!("{}/{named}/a", ann.name)).status, 201);
    let path = format!("/calendars/{owner}/calendar");
    assert_eq!(told(&ann.get(&path))["access"], "write");
    assert_eq!(problem(&ann.delete(&path), 403)["permission"], "settings");
    problem(&bob.get(&path), 404);
    assert_eq!(admin.patch(&format!("/groups/{group}"), json!({"members": [bob.name]})).status, 200);
    assert_eq!((home(&ann), home(&bob)), (own_and(&[]), own_and(&[&named])));
    assert_eq!(get(&bob, &format!("{}/{named}/a", bob.name)), 200);
    assert_eq!(admin.delete(&path).status, 204);
    assert_eq!(home(&bob), own_and(&[]));
}

#[test]
fn tokens_are_for_calendars_with_followups() {
    let server = shared();
    let admin = Asker::admin(server);
    let ann = Asker::user(server, "ann", false);
    made(&ann.post("/calendars", json!({"name": "plans"})));
    let path = format!("/calendars/{}/plans", ann.name);
    let contacts = ann.token(&["contacts:read", "contacts:write", "contacts:delete"]);
    let missing = |answer: &Response| problem(answer, 403)["permission"].clone();
    for answer in [
        contacts.get("/calendars"),
        contacts.get(&path),
        contacts.post("/calendars", json!({"name": "x"})),
        contacts.patch(&path, json!({"private": true})),
        contacts.delete(&path),
        contacts.get(&format!("{path}/shares")),
        contacts.post(&format!("{path}/shares"), json!({"user": admin.name, "access": "read"})),
        contacts.delete(&format!("{path}/shares?user={}", admin.name)),
    ] {
        assert_eq!(missing(&answer), "followups");
    }
    let followups = ann.token(&["followups"]);
    assert_eq!(problem(&followups.get("/books"), 403)["permission"], "contacts:read");
    assert_eq!(names(&followups.get("/calendars")).len(), 3);
    made(&followups.post("/calendars", json!({"name": "by token"})));
    assert_eq!(followups.delete(&path).status, 204);
    // Others' need the permission, whatever the token is for.
    let bob = Asker::user(server, "bob", false);
    assert_eq!(bob.get("/users").status, 200);
    let of_bob = json!({"name": "x", "owner": bob.name});
    assert_eq!(missing(&ann.post("/calendars", of_bob.clone())), "settings");
    assert_eq!(missing(&admin.token(&["followups"]).post("/calendars", of_bob.clone())), "settings");
    made(&admin.token(&["settings"]).post("/calendars", of_bob));
    assert!(home(&bob).contains(&"x".to_owned()));
    problem(&ann.get(&format!("/calendars/{}/x", bob.name)), 404);
}

#[test]
fn the_calendars_of_who_leaves_are_handed_over() {
    let server = shared();
    let admin = Asker::admin(server);
    let [leaver, heir, carol] = ["goes", "stays", "carol"].map(|stem| Asker::user(server, stem, false));
    assert!([&heir, &carol].iter().all(|who| who.get("/users").status == 200));
    let shares = json!([{"user": carol.name, "access": "read"}, {"user": heir.name, "access": "read"}]);
    made(&leaver.post("/calendars", json!({"name": "office", "components": ["VTODO"], "shares": shares})));
    assert_eq!(put(&leaver, "VTODO", &format!("{}/office/a", leaver.name)).status, 201);
    assert_eq!(put(&leaver, "VEVENT", &format!("{}/calendar/b", leaver.name)).status, 201);
    let user = format!("/users/{}", leaver.name);
    problem(&admin.delete(&user), 409);
    assert_eq!(admin.delete(&format!("{user}?hand_over={}", heir.name)).status, 204);
    let office = told(&heir.get(&format!("/calendars/{}/office", heir.name)));
    assert_eq!((&office["access"], &office["components"]), (&json!("write"), &json!(["VTODO"])));
    assert_eq!(office["shares"], json!([{"user": carol.name, "access": "read"}]));
    assert_eq!(get(&heir, &format!("{}/office/a", heir.name)), 200);
    assert_eq!(get(&heir, &format!("{}/calendar-{}/b", heir.name, leaver.name)), 200);
    assert_eq!(get(&carol, &format!("{}/office/a", carol.name)), 200, "who shared it still does");
    assert_eq!(put(&heir, "VEVENT", &format!("{}/office/c", heir.name)).status, 403);
}
