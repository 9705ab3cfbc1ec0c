//! What each path does when it does it.

use super::*;

#[test]
fn contacts_are_made_found_changed_and_deleted() {
    let clerk = clerk(shared());
    let name = unique("Davis");
    let body = json!({
        "name": {"given": "Zo\u{eb}", "family": name}, "title": "Developer", "roles": ["customer"],
        "emails": [{"value": format!("{name}@example.org"), "types": ["work"], "pref": 1}],
        "phones": [{"value": "030 1234567", "types": ["cell"]}], "birthday": "--02-29", "language": "en",
        "addresses": [{"street": "Main St 1", "locality": "K\u{f6}ln"}], "urls": [{"value": "https://example.org"}],
        "organization": {"name": "Example GmbH", "units": ["IT"]}, "categories": ["vip"], "note": "a\nb",
        "portal": {"enabled": true, "from": "2027-01-01"}, "mail_preferences": {"product": false},
        "flags": {"do_not_call": true}, "assigned_to": clerk.name,
    });
    let answer = clerk.post("/contacts", body);
    let contact = made(&answer);
    assert_eq!(answer.header("location").unwrap(), format!("/api/v1{}", at(&contact, "")));
    assert_eq!(answer.header("etag").unwrap(), format!("\"{}\"", contact["etag"].as_str().unwrap()));
    assert!(number(&contact).starts_with("CON"), "{contact}");
    for (path, value) in [
        ("/name/formatted", json!(format!("Zo\u{eb} {name}"))),
        ("/book", json!(format!("{}/contacts", clerk.name))),
        ("/emails/0/status/state", json!("ok")),
        ("/addresses/0/locality", json!("K\u{f6}ln")),
        ("/portal/from", json!("2027-01-01T00:00:00Z")),
        ("/mail_preferences/product", json!(false)),
        ("/flags/do_not_call", json!(true)),
        ("/note", json!("a\nb")),
        ("/created_by", json!(clerk.name)),
    ] {
        assert_eq!(contact.pointer(path), Some(&value), "{path}");
    }
    for path in [at(&contact, ""), format!("/contacts/{}", number(&contact))] {
        let (shown, head) = (clerk.get(&path), clerk.send("HEAD", &path, None));
        assert_eq!(told(&shown), contact);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("etag"), shown.header("etag"));
    }
    let filter = encoded(&format!("name.family eq \"{}\" and title sw \"dev\"", name.to_uppercase()));
    for query in [format!("filter={filter}"), format!("q=zoe+{name}"), "q=koln".into(), "sort=-name".into()] {
        let found = told(&clerk.get(&format!("/contacts?{query}")));
        assert_eq!(found, json!({"items": [contact], "next_cursor": null, "total": 1}), "{query}");
    }
    let changed = told(&clerk.patch(&at(&contact, ""), json!({"title": null, "name": {"given": "Ann"}})));
    assert_eq!(changed["name"]["formatted"], format!("Ann {name}"));
    assert_eq!((&changed["title"], &changed["emails"]), (&json!(""), &contact["emails"]));
    assert_eq!(clerk.delete(&at(&contact, "")).status, 204);
    problem(&clerk.get(&at(&contact, "")), 404);
    let trash = told(&clerk.get("/contacts/trash"));
    assert_eq!((&trash["total"], &trash["items"][0]["id"]), (&json!(1), &contact["id"]));
    let restored = told(&clerk.post(&at(&contact, "/restore"), json!({})));
    assert_eq!((&restored["number"], &restored["emails"]), (&contact["number"], &contact["emails"]));
    problem(&clerk.post(&at(&contact, "/restore"), json!({})), 409);
}

#[test]
fn a_contact_is_also_its_card() {
    let clerk = clerk(shared());
    let uid = unique("card");
    let card = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:Joe Doe\r\nN:Doe;Joe;;;\r\nX-OWN;X-P=1:kept\r\nEND:VCARD\r\n"
    );
    let vcard = ("Content-Type", "text/vcard; charset=utf-8");
    let book = format!("/contacts?book={}/contacts", clerk.name);
    let contact = made(&raw(&clerk, "POST", &book, &[vcard], &card));
    assert_eq!((&contact["uid"], &contact["name"]["family"]), (&json!(uid), &json!("Doe")));
    let accept = ("Accept", "text/html;q=0.1, text/vcard");
    let shown = raw(&clerk, "GET", &at(&contact, ""), &[accept], "");
    assert_eq!(shown.header("content-type").as_deref(), Some("text/vcard; charset=utf-8"));
    assert_eq!(shown.text(), card);
    problem(&refused(&clerk, || raw(&clerk, "POST", &book, &[vcard], &card)), 409);
    problem(&refused(&clerk, || raw(&clerk, "POST", &book, &[vcard], "no card")), 422);
    problem(&refused(&clerk, || raw(&clerk, "POST", &book, &[vcard], "")), 422);
    let nowhere = "/contacts?book=nobody/contacts";
    assert_eq!(pointers(&refused(&clerk, || raw(&clerk, "POST", nowhere, &[vcard], &card))), ["/book"]);
    // An edit leaves what it does not name.
    let changed = told(&clerk.patch(&at(&contact, ""), json!({"title": "Boss"})));
    let shown = raw(&clerk, "GET", &at(&changed, ""), &[accept], "").text();
    assert!(shown.contains("X-OWN;X-P=1:kept\r\n") && shown.contains("TITLE:Boss\r\n"), "{shown}");
}

#[test]
fn a_repeated_contact_is_made_once() {
    let clerk = clerk(shared());
    let key = unique("key");
    let post = |family: &str| {
        let body = json!({"name": {"family": family}}).to_string();
        raw(&clerk, "POST", "/contacts", &[JSON, ("Idempotency-Key", &key)], &body)
    };
    let (first, second) = (made(&post("Once")), made(&post("Once")));
    assert_eq!(first, second);
    problem(&post("Twice"), 422);
    assert_eq!(told(&clerk.get("/contacts"))["total"], 1);
}

#[test]
fn contacts_are_copied_converted_and_linked() {
    let clerk = clerk(shared());
    let lead = made(&clerk.post(
        "/contacts",
        json!({"stage": "lead", "name": {"family": "Lead"}, "organization": {"name": "New GmbH"}}),
    ));
    let copy = made(&clerk.send("POST", &at(&lead, "/clone"), None));
    assert!(copy["number"] != lead["number"] && copy["uid"] != lead["uid"]);
    assert_eq!(copy["name"], lead["name"]);
    let contact = told(&clerk.post(&at(&lead, "/convert"), json!({"company": true})));
    assert_eq!(contact["stage"], "contact");
    let company = contact["organization"]["company"].as_str().unwrap().to_owned();
    assert!(company.starts_with("COM"));
    assert_eq!(told(&clerk.get(&format!("/contacts/{company}")))["name"]["formatted"], "New GmbH");
    // Without a body it is converted as it is, and to a company that is there.
    let other = told(&clerk.send("POST", &at(&copy, "/convert"), None));
    assert_eq!((&other["stage"], &other["organization"]["company"]), (&json!("contact"), &Value::Null));

    let link = json!({"type": "reports_to", "contact": number(&other)});
    let linked = made(&clerk.post(&at(&lead, "/relations"), link));
    assert_eq!((&linked["type"], &linked["contact"]["number"]), (&json!("reports_to"), &other["number"]));
    assert_eq!(told(&clerk.get(&at(&lead, "")))["reports_to"], other["number"]);
    let of = |path: &str| {
        let items = told(&clerk.get(path))["items"].as_array().unwrap().clone();
        let mut kinds: Vec<_> = items.iter().map(|item| item["type"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(of(&at(&lead, "/relations")), ["company", "reports_to"]);
    assert_eq!(of(&at(&other, "/relations")), ["report"]);
    assert_eq!(of(&format!("/contacts/{company}/relations")), ["member"]);
}

#[test]
fn what_became_of_a_contact_is_told_and_brought_back() {
    let clerk = clerk(shared());
    let contact = person(&clerk, "Then");
    let title = json!({"title": "Boss", "salutation": "Dear"});
    assert_eq!(clerk.patch(&at(&contact, ""), title).status, 200);
    assert_eq!(clerk.patch(&at(&contact, ""), json!({"title": "Chief"})).status, 200);
    let history = told(&clerk.get(&at(&contact, "/history")));
    let entry = |item: &Value| json!([item["path"], item["old"], item["new"], item["actor"]]);
    let entries: Vec<_> = history["items"].as_array().unwrap().iter().map(entry).collect();
    assert_eq!(entries[0], json!(["title", "Boss", "Chief", clerk.name]));
    assert!(entries.contains(&json!(["salutation", null, "Dear", clerk.name])), "{entries:?}");
    let versions = told(&clerk.get(&at(&contact, "/versions")));
    assert_eq!(versions["total"], 3);
    let version = |n: usize| versions["items"][n]["version"].clone();
    let back = told(&clerk.post(&at(&contact, "/restore"), json!({"version": version(1), "field": "title"})));
    assert_eq!((&back["title"], &back["salutation"]), (&json!("Boss"), &json!("Dear")));
    let back = told(&clerk.post(&at(&contact, "/restore"), json!({"version": version(2)})));
    assert_eq!((&back["title"], &back["salutation"]), (&json!(""), &json!("")));
    for version in ["9999.0", "0.9999"] {
        let body = json!({"version": version});
        let answer = refused(&clerk, || clerk.post(&at(&contact, "/restore"), body));
        assert!([404, 422].contains(&answer.status), "{}", answer.text());
    }
}

#[test]
fn a_company_shows_what_happened_with_its_people() {
    let clerk = clerk(shared());
    let (acme, ann) = (company(&clerk, "People"), person(&clerk, "Employee"));
    let link = json!({"organization": {"company": number(&acme)}});
    assert_eq!(clerk.patch(&at(&ann, ""), link).status, 200);
    assert_eq!(clerk.patch(&at(&acme, ""), json!({"note": "Big"})).status, 200);
    assert_eq!(clerk.patch(&at(&ann, ""), json!({"title": "Chief"})).status, 200);
    let whole = told(&clerk.get(&at(&acme, "/history")));
    assert_eq!((&whole["total"], &whole["next_cursor"]), (&Value::Null, &Value::Null));
    let items = whole["items"].as_array().unwrap();
    let of = json!({"id": ann["id"], "number": ann["number"], "name": ann["name"]["formatted"]});
    let first = &items[0];
    assert_eq!((&first["path"], &first["new"], &first["contact"]), (&json!("title"), &json!("Chief"), &of));
    let paths: Vec<_> = items.iter().map(|item| item["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["title", "note", "organization.company"]);
    assert_eq!((items[1].get("contact"), &items[2]["contact"]), (None, &of));
    let (mut pieces, mut cursor) = (Vec::new(), String::new());
    loop {
        let piece = told(&clerk.get(&at(&acme, &format!("/history?limit=1{cursor}"))));
        pieces.extend(piece["items"].as_array().unwrap().clone());
        let Some(next) = piece["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&pieces, items);
    let own = told(&clerk.get(&at(&acme, "/history?own=true")));
    assert_eq!((&own["total"], &own["items"][0]["path"]), (&json!(1), &json!("note")));
    for wrong in ["own=yes", "sort=-at", "cursor=AAAA", "limit=x"] {
        problem(&clerk.get(&at(&acme, &format!("/history?{wrong}"))), 400);
    }
}

#[test]
fn merged_contacts_lead_to_the_one_that_stays() {
    let clerk = clerk(shared());
    let (one, two) = (person(&clerk, "Stays"), person(&clerk, "Goes"));
    let address =
        json!({"emails": [{"value": "goes@example.org"}], "title": "Boss", "flags": {"do_not_call": true}});
    assert_eq!(clerk.patch(&at(&two, ""), address).status, 200);
    let body = json!({"target": number(&one), "sources": [two["id"]], "take": {"title": number(&two)}});
    let shown = refused(&clerk, || told(&clerk.post("/contacts/merge?preview=true", body.clone())));
    assert_eq!((&shown["number"], &shown["title"]), (&one["number"], &json!("Boss")));
    let merged = told(&clerk.post("/contacts/merge", body));
    assert_eq!(
        (&merged["id"], &merged["title"], &merged["emails"][0]["value"], &merged["flags"]["do_not_call"]),
        (&one["id"], &json!("Boss"), &json!("goes@example.org"), &json!(true))
    );
    assert_eq!(merged["name"], one["name"]);
    for from in [two["id"].as_str().unwrap(), number(&two)] {
        for (method, below, body) in asked_of_one(&one).into_iter().chain([("HEAD", "", None)]) {
            let path = format!("/contacts/{from}{below}");
            let answer = refused(&clerk, || clerk.send(method, &path, body));
            assert_eq!(answer.status, 308, "{method} {path}: {}", answer.text());
            assert_eq!(answer.header("location").unwrap(), format!("/api/v1{}", at(&one, below)));
        }
    }
    problem(&clerk.post(&at(&two, "/restore"), json!({})), 409);
    assert_eq!(told(&clerk.get("/contacts"))["total"], 1);
}

#[test]
fn callers_and_duplicates_are_found() {
    let clerk = clerk(shared());
    let mail = format!("{}@example.org", unique("twin"));
    let twin = |number: &str| {
        let body = json!({
            "name": {"given": "Jo", "family": "Twin"}, "emails": [{"value": mail}], "phones": [{"value": number}],
        });
        made(&clerk.post("/contacts", body))
    };
    let (one, two) = (twin("+49 30 7654321"), twin("+49 30 7654322"));
    let found = |query: &str| {
        let list = told(&clerk.get(&format!("/lookup?{query}")));
        let items = list["items"].as_array().unwrap().clone();
        let mut ids: Vec<_> = items.iter().map(|item| item["id"].clone()).collect();
        ids.sort_by_key(Value::to_string);
        ids
    };
    assert_eq!(found(&format!("email={}", mail.to_uppercase())).len(), 2);
    assert_eq!(found("phone=%2B49307654321"), [one["id"].clone()]);
    assert!(found("phone=%2B49307654399").is_empty());
    let pairs = told(&clerk.get("/contacts/duplicates"));
    assert_eq!(pairs["total"], 1, "{pairs}");
    let mut ids = pairs["items"][0]["ids"].as_array().unwrap().clone();
    ids.sort_by_key(Value::to_string);
    let mut both = vec![one["id"].clone(), two["id"].clone()];
    both.sort_by_key(Value::to_string);
    assert_eq!(ids, both);
    assert!(pairs["items"][0]["reasons"].as_array().unwrap().contains(&json!("email")));
    let no = json!({"ids": [number(&one), two["id"]]});
    assert_eq!(clerk.post("/contacts/duplicates", no).status, 204);
    assert_eq!(told(&clerk.get("/contacts/duplicates"))["total"], 0);
    let stats = told(&clerk.get("/stats"));
    assert_eq!((&stats["contacts"], &stats["kinds"]["individual"]), (&json!(2), &json!(2)));
}

#[test]
fn many_contacts_are_changed_by_a_job() {
    let clerk = clerk(shared());
    let (one, two) = (person(&clerk, "Many"), person(&clerk, "Other"));
    let body = json!({"filter": "name.family eq \"Many\"", "action": "update", "set": {"title": "All"}});
    let shown = refused(&clerk, || told(&clerk.post("/contacts/bulk?preview=true", body.clone())));
    assert_eq!((&shown["total"], &shown["items"][0]["title"]), (&json!(1), &json!("All")));
    let answer = clerk.post("/contacts/bulk", body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let place = answer.header("location").unwrap();
    let place = place.strip_prefix("/api/v1").unwrap();
    let job = loop {
        let job = told(&clerk.get(place));
        if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
            break job;
        }
    };
    assert_eq!((&job["state"], &job["total"], &job["done"]), (&json!("done"), &json!(1), &json!(1)), "{job}");
    assert_eq!(told(&clerk.get(&at(&one, "")))["title"], "All");
    assert_eq!(told(&clerk.get(&at(&two, "")))["title"], "");
}
