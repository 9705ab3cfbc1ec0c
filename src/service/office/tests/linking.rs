//! Links between contacts, and leads that become contacts.

use super::*;

async fn chain(desk: &Desk) -> [ContactView; 3] {
    let a = desk.make("Ann One").await;
    let b = desk.make_as(person("Bea Two"), |draft| draft.record.reports_to = Some("CON1".into())).await;
    let c = desk.make_as(person("Cid Three"), |draft| draft.record.reports_to = Some(b.id.to_string())).await;
    [a, b, c]
}

#[tokio::test]
async fn links_lead_to_people_and_companies_and_never_in_a_circle() {
    let desk = Desk::new().await;
    let [a, b, c] = chain(&desk).await;
    assert_eq!(c.reports_to.as_deref(), Some("CON2"));
    let to = |number: &str| Some(number.to_owned());
    assert!(is_conflict(desk.edit(&a, |draft| draft.record.reports_to = to("CON3")).await));
    assert!(is_conflict(desk.edit(&a, |draft| draft.record.reports_to = to("CON1")).await));
    let answer = desk.edit(&a, |draft| draft.record.company = to("CON2")).await;
    assert_eq!(pointers(answer), ["/organization/company"]);
    let acme = desk.make_as(company("Acme"), |_| {}).await;
    assert_eq!(pointers(desk.edit(&a, |draft| draft.record.reports_to = to("COM1")).await), ["/reports_to"]);
    let a = desk.edit(&a, |draft| draft.record.company = to("COM1")).await.unwrap();
    assert_eq!(a.company.as_deref(), Some("COM1"));
    let told = |relations: Vec<Relation>| {
        let words = relations.iter().map(|relation| {
            let word = RelationKind::ALL.iter().find(|(kind, _)| *kind == relation.kind).unwrap().1;
            format!("{word} {} {}", relation.contact.number, relation.contact.name)
        });
        words.collect::<Vec<_>>()
    };
    let of_b = desk.service.relations(&desk.alice, &b).await.unwrap();
    assert_eq!(told(of_b), ["reports_to CON1 Ann One", "report CON3 Cid Three"]);
    assert_eq!(told(desk.service.relations(&desk.alice, &acme).await.unwrap()), ["member CON1 Ann One"]);
    // By the other end too.
    desk.service.relate(&desk.alice, &acme, RelationKind::Member, "CON3".into()).await.unwrap();
    assert_eq!(desk.now(c.id).await.company.as_deref(), Some("COM1"));
    let relate = |kind, other: &str| desk.service.relate(&desk.alice, &b, kind, other.into());
    assert_eq!(pointers(relate(RelationKind::Company, "CON1").await), ["/contact"]);
    assert_eq!(pointers(relate(RelationKind::Report, "CON77").await), ["/contact"]);
    assert!(is_conflict(relate(RelationKind::Report, "CON1").await));
    desk.sound().await;
}

#[tokio::test]
async fn two_changes_at_once_make_no_circle() {
    let (engine, service) = meddled().await;
    let desk = Arc::new(Desk::over(service).await);
    let (a, b) = (desk.make("Ann One").await, desk.make("Bea Two").await);
    let link = |view: ContactView, to: &'static str| {
        let desk = desk.clone();
        async move { desk.edit(&view, |draft| draft.record.reports_to = Some(to.into())).await.is_ok() }
    };
    // While the first is about to write, the second begins.
    let (second, seen) = (link(b.clone(), "CON1"), std::sync::Arc::new(std::sync::Mutex::new(None)));
    let note = seen.clone();
    engine.before_commit(async move {
        *note.lock().unwrap() = Some(tokio::spawn(second));
        tokio::task::yield_now().await;
    });
    let first = link(a.clone(), "CON2").await;
    let second = seen.lock().unwrap().take().unwrap();
    let second = second.await.unwrap();
    assert!(first && !second);
    assert_eq!(desk.now(b.id).await.reports_to, None);
}

#[tokio::test]
async fn a_link_that_is_there_stays_though_the_caller_does_not_see_where_it_leads() {
    let desk = Desk::new().await;
    let [_, b, _] = chain(&desk).await;
    desk.book("alice", "team").await;
    let mine = desk
        .make_as(person("Dan Four"), |draft| {
            draft.book = Some("alice/team".into());
            draft.record.reports_to = Some("CON2".into());
        })
        .await;
    desk.service
        .share_asked("alice/team", "bob", Some(crate::service::sharing::Access::Write))
        .await
        .unwrap();
    let bob = desk.user("bob", &[]).await;
    let seen = there(desk.service.contact(&bob, ContactRef::Id(mine.id)).await.unwrap());
    let draft = drafted(&seen, |draft| draft.fields.title = "Boss".into());
    let changed = desk.service.change_contact(&bob, &seen, draft).await.unwrap();
    assert_eq!(changed.record.reports_to, Some(b.id));
    assert!(desk.service.relations(&bob, &changed).await.unwrap().is_empty());
    // A new one needs to be seen.
    let draft = drafted(&changed, |draft| draft.record.reports_to = Some("CON1".into()));
    assert_eq!(pointers(desk.service.change_contact(&bob, &changed, draft).await), ["/reports_to"]);
    // Nor does one to a contact in the trash hinder anything.
    desk.service.delete_contact(&desk.alice, &b).await.unwrap();
    let now = desk.now(mine.id).await;
    let changed = desk.edit(&now, |draft| draft.fields.title = "Chief".into()).await.unwrap();
    assert_eq!(changed.record.reports_to, Some(b.id));
}

#[tokio::test]
async fn a_lead_becomes_a_contact_with_its_company_in_one_commit() {
    let desk = Desk::new().await;
    let mut fields = person("Ann One");
    fields.organization.name = "Acme".into();
    let lead = desk.make_as(fields.clone(), |draft| draft.record.stage = Stage::Lead).await;
    let converted = desk.service.convert_contact(&desk.alice, &lead, Company::New).await.unwrap();
    assert_eq!((converted.record.stage, converted.company.as_deref()), (Stage::Contact, Some("COM1")));
    let acme = there(desk.service.contact(&desk.alice, ContactRef::Number(1, 1)).await.unwrap());
    assert_eq!((acme.fields.name.formatted.as_str(), acme.fields.kind), ("Acme", Kind::Org));
    assert_eq!((acme.book.as_str(), acme.updated), ("alice/contacts", converted.updated), "one commit");
    let again = desk.service.convert_contact(&desk.alice, &converted, Company::AsIs).await;
    assert!(is_conflict(again));
    // Whoever looked at another state makes no company either.
    let lead = desk.make_as(fields, |draft| draft.record.stage = Stage::Lead).await;
    desk.edit(&lead, |draft| draft.record.salutation = "Dr".into()).await.unwrap();
    let stale = desk.service.convert_contact(&desk.alice, &lead, Company::New).await;
    assert_eq!(refused(stale), Refusal::Unmet);
    assert_eq!(desk.listed(&desk.alice, "kind eq \"org\"").await, ["COM1"]);
    let lead = desk.now(lead.id).await;
    let named = |named: &str| Company::Named(named.into());
    let answer = desk.service.convert_contact(&desk.alice, &lead, named("CON1")).await;
    assert_eq!(pointers(answer), ["/company"]);
    let done = desk.service.convert_contact(&desk.alice, &lead, named("COM1")).await.unwrap();
    assert_eq!(done.company.as_deref(), Some("COM1"));
    let nameless = desk.make_as(person("Bea Two"), |draft| draft.record.stage = Stage::Lead).await;
    let answer = desk.service.convert_contact(&desk.alice, &nameless, Company::New).await;
    assert_eq!(pointers(answer), ["/company"]);
    desk.sound().await;
}
