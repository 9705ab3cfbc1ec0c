//! Merging, rule by rule (contract §4), and contacts that are known to be others.

use super::*;
use crate::domain::contact::{AddressStatus, Custom, CustomValue, MailPreferences, MailState};
use crate::domain::duplicates::Reason;

fn into(target: &ContactView, sources: &[&ContactView]) -> MergeAsked {
    let sources = sources.iter().map(|source| (*source).clone()).collect();
    MergeAsked { target: target.clone(), sources, take: Take::default() }
}

impl Desk {
    async fn merge(&self, asked: &MergeAsked) -> Answer<ContactView> {
        self.service.merge_contacts(&self.alice, asked).await
    }

    /// Puts a record in the place of a contact's, for what no draft writes.
    async fn record(&self, shown: &ContactView, change: impl FnOnce(&mut Record)) -> ContactView {
        let mut record = shown.record.clone();
        change(&mut record);
        let ops = self.service.rewrite(&shown.stored, &shown.fields, &shown.fields, record, vec![]).unwrap();
        self.service.commit(Some(&self.alice), Vec::new(), ops).await.unwrap();
        self.now(shown.id).await
    }
}

fn values(emails: &[Email]) -> Vec<&str> {
    emails.iter().map(|email| email.value.as_str()).collect()
}

async fn pair(desk: &Desk) -> (ContactView, ContactView) {
    let target = CardFields {
        title: "Boss".into(),
        emails: vec![email("one@example.org")],
        phones: vec![telephone("+49 30 1234567")],
        categories: vec!["Friends".into()],
        ..person("Ann One")
    };
    let source = CardFields {
        title: "Chief".into(),
        note: "From the fair".into(),
        emails: vec![email("ONE@example.org"), email("two@example.org")],
        phones: vec![telephone("030 1234567"), telephone("+49 30 7654321")],
        categories: vec!["friends".into(), "Fair".into()],
        ..person("Anne One")
    };
    let roles = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>();
    let target = desk.make_as(target, |draft| draft.record.roles = roles(&["customer"])).await;
    let source = desk
        .make_as(source, |draft| {
            draft.record.roles = roles(&["partner"]);
            draft.record.salutation = "Dr".into();
        })
        .await;
    (target, source)
}

#[tokio::test]
async fn lists_are_united_and_single_values_stay_the_targets() {
    let desk = Desk::with(ContactSettings::default()).await;
    let (target, source) = pair(&desk).await;
    let preview = desk.service.preview_merge(&desk.alice, &into(&target, &[&source])).await.unwrap();
    assert_eq!(desk.now(source.id).await.etag, source.etag, "nothing is done");
    let merged = desk.merge(&into(&target, &[&source])).await.unwrap();
    assert!(preview.fields == merged.fields && preview.record == merged.record);
    assert_eq!((merged.id, merged.number.as_str()), (target.id, "CON1"));
    assert_eq!(values(&merged.fields.emails), ["one@example.org", "two@example.org"]);
    let phones: Vec<_> = merged.fields.phones.iter().map(|phone| phone.value.as_str()).collect();
    assert_eq!(phones, ["+49 30 1234567", "+49 30 7654321"]);
    assert_eq!(merged.fields.categories, ["Friends", "Fair"]);
    assert_eq!(merged.record.roles, ["customer", "partner"]);
    assert_eq!((merged.fields.title.as_str(), merged.fields.note.as_str()), ("Boss", ""));
    assert_eq!((merged.fields.name.formatted.as_str(), merged.record.salutation.as_str()), ("Ann One", ""));
    assert_eq!(desk.listed(&desk.alice, "").await, ["CON1"]);
    desk.sound().await;
}

#[tokio::test]
async fn what_take_names_is_taken_exactly() {
    let desk = Desk::with(ContactSettings::default()).await;
    let (target, source) = pair(&desk).await;
    let mut asked = into(&target, &[&source]);
    let paths = ["title", "note", "salutation", "name.given"];
    asked.take.from = paths.iter().map(|path| ((*path).to_owned(), source.id)).collect();
    asked.take.emails = Some(vec![email(" two@example.org ")]);
    asked.take.phones = Some(Vec::new());
    asked.take.categories = Some(Vec::new());
    asked.take.roles = Some(vec!["supplier".into()]);
    let merged = desk.merge(&asked).await.unwrap();
    assert_eq!(values(&merged.fields.emails), ["two@example.org"]);
    assert!(merged.fields.phones.is_empty() && merged.fields.categories.is_empty());
    assert_eq!(merged.record.roles, ["supplier"]);
    assert_eq!((merged.fields.title.as_str(), merged.fields.note.as_str()), ("Chief", "From the fair"));
    assert_eq!((merged.fields.name.given.as_str(), merged.record.salutation.as_str()), ("Anne", "Dr"));
    assert_eq!(merged.fields.name.formatted, "Ann One");
    desk.sound().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_nothing_is_done() {
    let desk = Desk::new().await;
    let (target, source) = pair(&desk).await;
    let stranger = desk.make("Cid Three").await;
    let refusal = |asked: MergeAsked| {
        let desk = &desk;
        async move { pointers(desk.merge(&asked).await) }
    };
    let base = into(&target, &[&source]);
    let taking = |path: &str, from| {
        let take = Take { from: vec![(path.to_owned(), from)], ..Take::default() };
        MergeAsked { take, ..base.clone() }
    };
    assert_eq!(refusal(taking("title", stranger.id)).await, ["/take/title"]);
    assert_eq!(refusal(taking("no/such~", source.id)).await, ["/take/no~1such~0"]);
    assert_eq!(refusal(taking("custom.none", source.id)).await, ["/take/custom.none"]);
    let take = Take {
        emails: Some(vec![email("two@example.org"), email("none")]),
        roles: Some(vec!["No Key".into()]),
        ..Take::default()
    };
    assert_eq!(refusal(MergeAsked { take, ..base.clone() }).await, ["/take/emails/1/value", "/take/roles/0"]);
    assert_eq!(refusal(into(&target, &[])).await, ["/sources"]);
    assert_eq!(refusal(into(&target, &[&target])).await, ["/sources/0"]);
    assert_eq!(refusal(into(&target, &[&source, &source])).await, ["/sources/1"]);
    let org = desk.make_as(company("Acme"), |_| {}).await;
    assert_eq!(refusal(into(&target, &[&org])).await, ["/sources/0"]);
    assert_eq!(desk.listed(&desk.alice, "").await.len(), 4);
    assert_eq!(desk.now(target.id).await.etag, target.etag);
    desk.merge(&base).await.unwrap();
    assert_eq!(refused(desk.merge(&base).await), Refusal::Unmet, "twice");
}

#[tokio::test]
async fn what_a_phone_wrote_hinders_no_merge() {
    let desk = Desk::new().await;
    let body = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:p\r\nFN:P\r\nN:P;;;;\r\nEMAIL:no address\r\nEND:VCARD\r\n";
    desk.phone("contacts", "p.vcf", body.into()).await.unwrap();
    let source =
        desk.service.list_contacts(&desk.alice, asked("uid eq \"p\"")).await.unwrap().contacts.remove(0);
    let target = desk.make("Ann One").await;
    let merged = desk.merge(&into(&target, &[&source])).await.unwrap();
    assert_eq!(values(&merged.fields.emails), ["no address"]);
}

#[tokio::test]
async fn the_strictest_wins_whatever_take_says() {
    let desk = Desk::new().await;
    let fields = |text: &str| CardFields { emails: vec![email("x@example.org")], ..person(text) };
    let flags = |do_not_call, newsletter| Some(Flags { do_not_call, newsletter, ..Flags::default() });
    let target = desk.make_as(fields("Ann One"), |draft| draft.record.flags = flags(false, true)).await;
    let source = desk
        .make_as(fields("Anne One"), |draft| {
            draft.record.flags = flags(true, false);
            draft.record.mail_preferences = MailPreferences { invoice: false, ..MailPreferences::default() };
        })
        .await;
    let status = |state| {
        vec![AddressStatus { address: "x@example.org".into(), state, since: 1, code: None, detail: None }]
    };
    let custom = |key: &str, value| Custom { key: key.into(), value };
    let target = desk
        .record(&target, |record| {
            record.addresses = status(MailState::Soft);
            record.custom = vec![
                custom("many", CustomValue::List(vec!["a".into(), "b".into()])),
                custom("one", CustomValue::Text("own".into())),
            ];
        })
        .await;
    let source = desk
        .record(&source, |record| {
            record.addresses = status(MailState::Hard);
            record.custom = vec![
                custom("many", CustomValue::List(vec!["b".into(), "c".into()])),
                custom("one", CustomValue::Text("theirs".into())),
                custom("other", CustomValue::Bool(true)),
            ];
        })
        .await;
    let mut asked = into(&target, &[&source]);
    asked.take.from = ["flags", "mail_preferences", "flags.newsletter"]
        .iter()
        .map(|path| ((*path).to_owned(), target.id))
        .collect();
    asked.take.categories = Some(Vec::new());
    let merged = desk.merge(&asked).await.unwrap();
    let flags = merged.record.flags;
    assert!(flags.do_not_call && !flags.newsletter);
    assert!(!merged.record.mail_preferences.invoice && merged.record.mail_preferences.general);
    assert!(merged.record.addresses == status(MailState::Hard));
    assert!(text(&merged).contains("X-CARDKEEP-STATUS=hard"));
    assert!(text(&merged).contains("Do not call"), "phones see it");
    let CustomValue::List(many) = &merged.custom()[0].value else { panic!() };
    assert_eq!(many, &["a", "b", "c"]);
    assert!(merged.custom()[1].value == CustomValue::Text("own".into()));
    assert_eq!(merged.custom().len(), 2, "a single value that the target has not stays so");
    desk.sound().await;
}

#[tokio::test]
async fn links_and_histories_go_to_the_target_and_numbers_lead_there() {
    let desk = Desk::new().await;
    let (target, source) = pair(&desk).await;
    let linked =
        desk.make_as(person("Dan Four"), |draft| draft.record.reports_to = Some("CON2".into())).await;
    let lost = desk.make_as(person("Eve Five"), |draft| draft.record.reports_to = Some("CON2".into())).await;
    desk.service.delete_contact(&desk.alice, &lost).await.unwrap();
    let source = desk.edit(&source, |draft| draft.fields.note = "Other".into()).await.unwrap();
    let mut follower = Follower::default();
    follower.follow(&desk.service, &desk.alice, "contacts").await;
    assert_eq!(follower.holds.len(), 3);
    desk.merge(&into(&target, &[&source])).await.unwrap();
    follower.follow(&desk.service, &desk.alice, "contacts").await;
    assert_eq!(follower.told, (1, 1), "the source is a removal, the target a change");
    assert_eq!(desk.now(linked.id).await.reports_to.as_deref(), Some("CON1"));
    let lost = desk.service.trashed_contact(&desk.alice, ContactRef::Id(lost.id)).await.unwrap();
    let lost = desk.service.restore_contact(&desk.alice, &lost, None).await.unwrap();
    assert_eq!(lost.record.reports_to, Some(target.id));
    for named in ["CON2", &source.id.to_string()] {
        let found = desk.service.contact(&desk.alice, ContactRef::parse(named).unwrap()).await.unwrap();
        assert!(matches!(found, Found::Merged(id) if id == target.id), "{named}");
    }
    assert_eq!(
        desk.listed(&desk.alice, "reports_to eq \"CON2\"").await,
        ["CON4", "CON3"].map(String::from).into_iter().rev().collect::<Vec<_>>()
    );
    let history = desk.history(&target).await;
    assert!(history.contains(&"CON2 alice/- note: From the fair > Other".to_owned()), "{history:?}");
    assert!(
        history.contains(
            &"alice/- emails: one@example.org+ok > one@example.org+two@example.org+ok+ok".to_owned()
        ),
        "{history:?}"
    );
    // On and on.
    let last = desk.make("Zoe Last").await;
    desk.merge(&into(&last, &[&desk.now(target.id).await])).await.unwrap();
    for named in ["CON1", "CON2"] {
        let found = desk.service.contact(&desk.alice, ContactRef::parse(named).unwrap()).await.unwrap();
        assert!(matches!(found, Found::Merged(id) if id == last.id), "{named}");
    }
    assert_eq!(desk.now(linked.id).await.reports_to.as_deref(), Some("CON5"));
    assert!(desk.history(&last).await.contains(&"CON2 alice/- note: From the fair > Other".to_owned()));
    // A contact that was merged away is not in the trash, and nobody changes it.
    let trash = desk.service.list_contacts(&desk.alice, Listed { trash: true, ..asked("") }).await.unwrap();
    assert_eq!(trash.total, 0);
    assert!(desk.service.trashed_contact(&desk.alice, ContactRef::Id(source.id)).await.is_err());
    assert_eq!(refused(desk.edit(&source, |draft| draft.fields.title = "X".into()).await), Refusal::Unmet);
    let answer = desk.edit(&last, |draft| draft.record.reports_to = Some("CON2".into())).await;
    assert!(matches!(refused(answer), Refusal::AllWrong(_) | Refusal::Unmet));
    desk.sound().await;
}

#[tokio::test]
async fn a_merge_makes_no_circle() {
    let desk = Desk::new().await;
    let source = desk.make("Ann One").await;
    let between =
        desk.make_as(person("Bea Two"), |draft| draft.record.reports_to = Some("CON1".into())).await;
    let target =
        desk.make_as(person("Cid Three"), |draft| draft.record.reports_to = Some("CON2".into())).await;
    assert!(is_conflict(desk.merge(&into(&target, &[&source])).await));
    // Directly to one that goes is no circle, but no link any more.
    let merged = desk.merge(&into(&target, &[&between])).await.unwrap();
    assert_eq!(merged.reports_to, None);
    assert_eq!(desk.now(source.id).await.etag, source.etag);
    desk.sound().await;
}

#[tokio::test]
async fn a_restriction_that_comes_meanwhile_is_not_lost() {
    let (engine, service) = meddled().await;
    let desk = Desk::over(service.clone()).await;
    let (target, source) = pair(&desk).await;
    let (alice, view) = (desk.alice.clone(), source.clone());
    // The trash is there, so that the next commit is the merge.
    desk.service.lay_trash().await.unwrap();
    engine.before_commit(async move {
        // A record alone, which leaves the card and its tag as they are.
        let mut record = view.record.clone();
        record.flags.block_automatic_mail = true;
        let ops = service.recard(&view.stored, view.stored.body.clone(), record, Vec::new()).unwrap();
        service.commit(Some(&alice), Vec::new(), ops).await.unwrap();
    });
    let answer = desk.merge(&into(&target, &[&source])).await;
    assert_eq!(refused(answer), Refusal::Unmet);
    assert!(desk.now(source.id).await.record.flags.block_automatic_mail);
    let merged = desk.merge(&into(&target, &[&desk.now(source.id).await])).await.unwrap();
    assert!(merged.record.flags.block_automatic_mail);
}

#[tokio::test]
async fn pairs_are_found_with_reasons_and_others_are_remembered() {
    let desk = Desk::with(ContactSettings::default()).await;
    let (target, source) = pair(&desk).await;
    desk.make("Somebody Else").await;
    let pairs = desk.service.duplicate_pairs(&desk.alice, 10).await.unwrap();
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].ids, (target.id, source.id));
    assert!(pairs[0].reasons.contains(&Reason::Email) && pairs[0].reasons.contains(&Reason::Phone));
    desk.service.not_duplicates(&desk.alice, [&target, &source]).await.unwrap();
    assert!(desk.service.duplicate_pairs(&desk.alice, 10).await.unwrap().is_empty());
    let (target, source) = (desk.now(target.id).await, desk.now(source.id).await);
    desk.service.not_duplicates(&desk.alice, [&source, &target]).await.unwrap();
    assert_eq!(pointers(desk.service.not_duplicates(&desk.alice, [&target, &target]).await), ["/ids/1"]);
    // An edit does not forget it; a merge all the same does.
    let target = desk.edit(&target, |draft| draft.fields.title = "X".into()).await.unwrap();
    assert!(desk.service.duplicate_pairs(&desk.alice, 10).await.unwrap().is_empty());
    let merged = desk.merge(&into(&target, &[&source])).await.unwrap();
    assert!(merged.record.distinct.is_empty());
}
