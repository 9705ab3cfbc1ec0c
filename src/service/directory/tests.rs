//! Services that follow a directory which is up, down, slow of mind or panics: who comes and goes,
//! whose books are whose, what phones are told, and what is left when the server dies in between.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::plan::tests::{self as plans, events, happen};
use super::*;
use crate::domain::filter::{Filter, Test};
use crate::domain::id::{CollectionId, GroupName, MemberName, Principal, UserName};
use crate::domain::token::SyncToken;
use crate::service::access::Caller;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::refusal::{Refusal, Stop};
use crate::service::sharing::Access;
use crate::service::sign_in::NotSignedIn;
use crate::service::tests::{Counting, Ticking, alice, card, name, quick, service_with, sign_in};
use crate::service::view::{Carry, Detail, Members};
use crate::service::{Answer, Service, Settings};
use crate::store::commit::{AccountOp, Op};
use crate::store::engine::memory::MemoryEngine;
use crate::store::engine::{Batch, Engine, EngineError, Outcome, Pending, Snapshot};
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::rows::AccountRow;
use crate::store::tests::key_file;

/// How the directory is today.
const UP: u8 = 0;
const DOWN: u8 = 1;
const PANICS: u8 = 2;

/// A directory in memory. Everybody's password is `right`.
#[derive(Default)]
struct Fake {
    now: Mutex<plans::Directory>,
    past: Mutex<Vec<plans::Directory>>,
    tells_changes: bool,
    mood: AtomicU8,
    binds: AtomicUsize,
    readings: AtomicUsize,
    partial: AtomicUsize,
}

impl Fake {
    fn mood(&self) -> Result<(), DirectoryError> {
        match self.mood.load(Ordering::Relaxed) {
            UP => Ok(()),
            DOWN => Err(DirectoryError::Unreachable("it is down".into())),
            _ => panic!("a malformed answer"),
        }
    }

    fn change(&self, change: impl FnOnce(&mut plans::Directory)) {
        change(&mut self.now.lock().unwrap());
    }

    fn put(&self, id: &str, name: &str) {
        self.change(|now| drop(now.people.insert(id.into(), person(id, name))));
    }

    fn remove(&self, id: &str) {
        self.change(|now| drop((now.people.remove(id), now.groups.remove(id))));
    }

    fn group(&self, id: &str, name: &str, members: &[&str]) {
        let members = members.iter().map(|id| Member::Dn(format!("uid={id},dc=x"))).collect();
        let (dn, name) = (format!("uid={id},dc=x"), name.to_owned());
        let group = PeopleGroup { id: id.into(), dn, name, members, ..PeopleGroup::default() };
        self.change(|now| drop(now.groups.insert(id.into(), group)));
    }
}

impl Directory for Fake {
    fn read<'a>(&'a self, since: Option<&'a [u8]>) -> Asked<'a, Reading> {
        Box::pin(async move {
            self.mood()?;
            self.readings.fetch_add(1, Ordering::Relaxed);
            let now = self.now.lock().unwrap().clone();
            let mut past = self.past.lock().unwrap();
            let at = since.map(|since| usize::from(since[0]));
            let reading = match at.and_then(|at| past.get(at)) {
                Some(before) => now.changes_since(before),
                None => now.everything(),
            };
            self.partial.fetch_add(usize::from(at.is_some()), Ordering::Relaxed);
            past.push(now);
            let next = u8::try_from(past.len() - 1).ok().filter(|_| self.tells_changes);
            Ok(Reading { next: next.map(|next| vec![next]), ..reading })
        })
    }

    fn bind<'a>(&'a self, dn: &'a str, id: &'a str, password: &'a str) -> Asked<'a, bool> {
        Box::pin(async move {
            assert!(!dn.is_empty() && !id.is_empty() && !password.is_empty());
            self.binds.fetch_add(1, Ordering::Relaxed);
            self.mood()?;
            Ok(password == "right")
        })
    }

    fn answers(&self) -> Asked<'_, ()> {
        Box::pin(async { self.mood() })
    }

    fn place(&self) -> String {
        "ldap://fake".into()
    }
}

fn person(id: &str, name: &str) -> Person {
    Person {
        id: id.into(),
        dn: format!("uid={id},dc=x"),
        name: name.into(),
        enabled: true,
        display_name: format!("The {name}"),
        emails: vec![format!("{name}@example.org")],
        ..Person::default()
    }
}

/// An engine that takes so many commits and then no more, as if the server had died.
struct Mortal {
    inner: MemoryEngine,
    left: AtomicI64,
}

impl Engine for Mortal {
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch) -> Pending<'_, Outcome> {
        match self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            true => self.inner.commit(batch),
            false => Box::pin(async { Err(EngineError::Full) }),
        }
    }

    fn verify(&self) -> Pending<'_, bool> {
        self.inner.verify()
    }

    fn close(&self) -> Pending<'_, ()> {
        self.inner.close()
    }
}

fn with(settings: DirectorySettings) -> Settings {
    Settings { directory: Some(settings), ..quick() }
}

async fn following(fake: &Arc<Fake>) -> Arc<Service> {
    following_with(fake, |_| {}).await
}

async fn following_with(fake: &Arc<Fake>, change: impl FnOnce(&mut DirectorySettings)) -> Arc<Service> {
    let mut settings = DirectorySettings::new(DirectoryPort(fake.clone()));
    change(&mut settings);
    service_with(Arc::new(MemoryEngine::new()), with(settings)).await
}

async fn sync(service: &Service) -> SyncReport {
    service.directory_sync(Mode::default()).await.unwrap()
}

async fn row(service: &Service, name: &str) -> Option<AccountRow> {
    service.store.read().await.unwrap().account(&UserName::parse(name).unwrap()).await.unwrap()
}

async fn books(service: &Service, caller: &Caller) -> Vec<String> {
    let home = service.home(caller, &caller.books()).await.unwrap();
    home.books.iter().map(|book| book.name.as_ref().unwrap().as_str().to_owned()).collect()
}

/// Accounts and the staff's cards, in words without ids.
async fn told(service: &Service) -> Vec<String> {
    let reader = service.store.read().await.unwrap();
    let rows = reader.accounts().await.unwrap();
    let name = |id: [u8; 16]| rows.iter().find(|row| row.id == id).map(|row| row.name.clone());
    let mut told = Vec::new();
    for row in &rows {
        let groups: std::collections::BTreeSet<_> = row.groups.iter().map(|id| name(id.0).unwrap()).collect();
        let origin = row.origin.as_ref().map(|o| (&o.id, &o.dn, o.gone, &o.manager));
        let links = reader.links(CollectionId::from_bytes(row.home)).await.unwrap();
        let links: std::collections::BTreeSet<_> = links.into_iter().map(|link| link.name).collect();
        told.push(format!("{} {origin:?} {groups:?} {} {links:?} {:?}", row.name, row.enabled, row.email));
    }
    if let Some(book) = service.mounted_staff_book(&reader).await.unwrap() {
        let cards = reader.all_cards(book, false).await.unwrap();
        let names: Vec<_> = cards
            .into_iter()
            .map(|card| MemberName::parse(&card.whole().unwrap().unwrap().row.name).unwrap())
            .collect();
        let with = crate::store::query::With { properties: false, body: true };
        for card in reader.cards(book, &names, with).await.unwrap() {
            let body = card.whole().unwrap().unwrap().body.unwrap();
            told.push(String::from_utf8(body.to_vec()).unwrap());
        }
    }
    told.sort();
    told
}

fn refusal<T>(answer: Answer<T>) -> Refusal {
    match answer {
        Err(Stop::Refused(refusal)) => refusal,
        Err(Stop::Failed(fault)) => panic!("{fault}"),
        Ok(_) => panic!("it was done"),
    }
}

async fn app_password(service: &Service, user: &str) -> String {
    let user = user.into();
    let create = AdminRequest::TokenCreate { user, api: false, scopes: vec![], expires: None, label: None };
    match service.admin(create).await {
        AdminAnswer::Secret { secret, .. } => secret,
        _ => panic!("no password"),
    }
}

#[tokio::test]
async fn people_come_go_and_come_back_and_a_returned_name_is_another_account() {
    let fake = Arc::new(Fake::default());
    fake.put("1", "Bob");
    fake.put("2", "ann");
    fake.put("3", "alice");
    fake.put("4", "no name");
    let service = following(&fake).await;
    alice(&service).await;
    let report = sync(&service).await;
    assert_eq!((report.came.len(), report.refused.len()), (2, 2), "a local name, and none");
    let bob = sign_in(&service, "bob", "right").await.unwrap();
    service.store_card(&bob, "contacts", "a.vcf", card("u", "Secret")).await.unwrap();
    let secret = app_password(&service, "bob").await;
    assert!(sign_in(&service, "bob", &secret).await.is_ok());
    // He goes; whoever gets the name gets nothing of his.
    fake.remove("1");
    assert_eq!(sync(&service).await.went, ["bob"]);
    for password in ["right", &secret] {
        assert!(matches!(sign_in(&service, "bob", password).await, Err(NotSignedIn::Wrong)));
    }
    fake.put("9", "bob");
    let report = sync(&service).await;
    assert_eq!((report.came.as_slice(), report.renamed.len()), (&["bob".to_owned()][..], 1));
    let other = sign_in(&service, "bob", "right").await.unwrap();
    assert_ne!(other.account, bob.account);
    let view = service.book(&other, &other.books(), &name("contacts"), Members::All, Detail::default()).await;
    assert!(view.unwrap().cards.is_empty());
    assert!(matches!(sign_in(&service, "bob", &secret).await, Err(NotSignedIn::Wrong)));
    // The first one comes back while the second has the name, and then they swap.
    fake.put("1", "robert");
    assert_eq!(sync(&service).await.back, ["robert"]);
    fake.put("1", "bob");
    fake.put("9", "robert");
    sync(&service).await;
    let back = sign_in(&service, "bob", "right").await.unwrap();
    assert_eq!(back.account, bob.account);
    assert_eq!(sign_in(&service, "bob", &secret).await.unwrap().account, bob.account);
    assert_eq!(sign_in(&service, "robert", "right").await.unwrap().account, other.account);
    let view = service.book(&back, &back.books(), &name("contacts"), Members::All, Detail::default()).await;
    assert_eq!(view.unwrap().cards.len(), 1);
    service.assert_sound().await;
}

#[tokio::test]
async fn a_directory_that_is_down_or_panics_changes_nothing_and_calls_no_password_wrong() {
    let fake = Arc::new(Fake::default());
    fake.put("1", "bob");
    let service = following(&fake).await;
    sync(&service).await;
    let secret = app_password(&service, "bob").await;
    sign_in(&service, "bob", &secret).await.unwrap();
    alice(&service).await;
    crate::service::tests::add(&service, "closed").await;
    service.admin(AdminRequest::UserEnable { name: "closed".into(), enabled: false }).await;
    let before = told(&service).await;
    for mood in [DOWN, PANICS] {
        fake.mood.store(mood, Ordering::Relaxed);
        assert!(service.directory_sync(Mode::default()).await.is_err());
        for user in ["bob", "nobody"] {
            assert!(
                matches!(sign_in(&service, user, "right").await, Err(NotSignedIn::Busy { .. })),
                "{user}"
            );
        }
        assert!(sign_in(&service, "bob", &secret).await.is_ok());
        // Nobody learns which names are whose: not whether they are local, known, or free.
        for (user, password) in [("alice", "wrong"), ("bob", ""), ("nobody", "wrong"), ("closed", "secret")] {
            let answer = sign_in(&service, user, password).await;
            assert!(matches!(answer, Err(NotSignedIn::Busy { .. })), "{user}");
        }
        assert!(sign_in(&service, "alice", "secret").await.is_ok(), "a local password needs no directory");
        assert_eq!(told(&service).await, before);
        let status = service.directory_status().unwrap();
        assert!(status.failure.is_some() && status.last_success.is_some() && status.people == 1);
    }
    fake.mood.store(UP, Ordering::Relaxed);
    // It is back for everybody at once, whoever asks first.
    for user in ["closed", "nobody", "alice"] {
        let answer = sign_in(&service, user, "other").await;
        assert!(matches!(answer, Err(NotSignedIn::Wrong | NotSignedIn::Slowed { .. })), "{user}");
    }
    assert!(sign_in(&service, "bob", "right").await.is_ok());
    sync(&service).await;
    assert_eq!(service.directory_status().unwrap().failure, None);
}

#[tokio::test]
async fn guesses_are_counted_alike_for_every_name_while_the_directory_is_down() {
    let fake = Arc::new(Fake::default());
    fake.put("1", "bob");
    let service = following(&fake).await;
    sync(&service).await;
    alice(&service).await;
    fake.mood.store(DOWN, Ordering::Relaxed);
    for user in ["alice", "bob", "nobody"] {
        for guess in 0..4 {
            let answer = sign_in(&service, user, &format!("guess {guess}")).await;
            assert!(matches!(answer, Err(NotSignedIn::Busy { .. })), "{user} {guess}");
        }
    }
    fake.mood.store(UP, Ordering::Relaxed);
    for user in ["alice", "bob", "nobody"] {
        let answer = sign_in(&service, user, "guess").await;
        assert!(matches!(answer, Err(NotSignedIn::Slowed { .. })), "{user}");
    }
    assert!(sign_in(&service, "bob", "right").await.is_ok());
}

#[tokio::test]
async fn the_directorys_word_is_asked_once_and_ends_with_the_account() {
    let fake = Arc::new(Fake::default());
    fake.put("1", "bob");
    let service = following(&fake).await;
    assert!(matches!(sign_in(&service, "bob", "right").await, Err(NotSignedIn::Wrong)), "not synced yet");
    sync(&service).await;
    assert!(matches!(sign_in(&service, "bob", "").await, Err(NotSignedIn::Wrong)));
    assert_eq!(fake.binds.load(Ordering::Relaxed), 0);
    for _ in 0..5 {
        sign_in(&service, "bob", "right").await.unwrap();
    }
    assert_eq!(fake.binds.load(Ordering::Relaxed), 1);
    for _ in 0..2 {
        assert!(matches!(sign_in(&service, "bob", "wrong").await, Err(NotSignedIn::Wrong)));
    }
    assert_eq!(fake.binds.load(Ordering::Relaxed), 3, "a no is asked again");
    service.admin(AdminRequest::UserEnable { name: "bob".into(), enabled: false }).await;
    assert!(matches!(sign_in(&service, "bob", "right").await, Err(NotSignedIn::Wrong)));
    service.admin(AdminRequest::UserEnable { name: "bob".into(), enabled: true }).await;
    sign_in(&service, "bob", "right").await.unwrap();
    assert_eq!(fake.binds.load(Ordering::Relaxed), 4);
    // Guesses are slowed as elsewhere.
    for _ in 0..4 {
        assert!(sign_in(&service, "bob", "guess").await.is_err());
    }
    assert!(matches!(sign_in(&service, "bob", "guess").await, Err(NotSignedIn::Slowed { .. })));
    // A password that is set here is the one.
    service.admin(AdminRequest::UserPasswd { name: "bob".into(), password: "local".into() }).await;
    assert!(sign_in(&service, "bob", "local").await.is_ok());
    assert!(sign_in(&service, "bob", "right").await.is_err());
}

#[tokio::test]
async fn groups_in_groups_bring_books_and_take_them_away() {
    let fake = Arc::new(Fake { tells_changes: true, ..Fake::default() });
    fake.put("1", "bob");
    fake.put("2", "carol");
    fake.group("g1", "Sales", &["1", "g2"]);
    fake.group("g2", "Interns", &["2", "g1"]);
    let admin_group = GroupName::parse("sales").ok();
    let service = following_with(&fake, |settings| settings.admin_group = admin_group).await;
    let alice = alice(&service).await;
    sync(&service).await;
    assert!(row(&service, "carol").await.unwrap().admin && row(&service, "bob").await.unwrap().admin);
    let reader = service.store.read().await.unwrap();
    let book = reader.link(alice.home, &name("contacts")).await.unwrap().unwrap().book;
    drop(reader);
    let sales = Principal::Group(GroupName::parse("sales").unwrap());
    service.share(None, book, &sales, Some(Access::Read)).await.unwrap();
    let carol = sign_in(&service, "carol", "right").await.unwrap();
    assert_eq!(books(&service, &carol).await, ["contacts", "contacts-alice", "directory"]);
    // A group is renamed by its id, and tells of changes alone.
    fake.group("g1", "Vertrieb", &["1", "g2"]);
    assert_eq!(sync(&service).await.renamed, [("sales".into(), "vertrieb".into())]);
    fake.group("g2", "Interns", &[]);
    sync(&service).await;
    assert!(fake.partial.load(Ordering::Relaxed) >= 2);
    let carol = sign_in(&service, "carol", "right").await.unwrap();
    assert_eq!(books(&service, &carol).await, ["contacts", "directory"]);
    assert!(!row(&service, "carol").await.unwrap().admin);
    let bob = sign_in(&service, "bob", "right").await.unwrap();
    assert_eq!(books(&service, &bob).await, ["contacts", "contacts-alice", "directory"]);
    fake.remove("g1");
    assert_eq!(sync(&service).await.groups_went, ["vertrieb"]);
    let bob = sign_in(&service, "bob", "right").await.unwrap();
    assert_eq!(books(&service, &bob).await, ["contacts", "directory"]);
    assert!(service.shares(book).await.unwrap().is_empty() && bob.groups.is_empty());
    service.assert_sound().await;
}

#[tokio::test]
async fn what_changes_in_the_directory_is_what_phones_sync() {
    let fake = Arc::new(Fake::default());
    for (id, name) in [("1", "bob"), ("2", "carol"), ("3", "dan")] {
        fake.put(id, name);
    }
    fake.change(|now| now.people.get_mut("2").unwrap().manager = Some("UID=1, dc=x".into()));
    let service = following(&fake).await;
    assert_eq!(sync(&service).await.cards_written, 3);
    let bob = sign_in(&service, "bob", "right").await.unwrap();
    let book = name("directory");
    let begin = service.changes(&bob, &bob.books(), &book, None, None).await.unwrap();
    assert_eq!(begin.changed.len(), 3);
    let home = bob.books();
    let since = |token: SyncToken| service.changes(&bob, &home, &book, Some(token), None);
    // Nothing new: nothing is written.
    let report = sync(&service).await;
    assert_eq!((report.cards_written, report.changed, report.cards_removed), (0, 0, 0));
    assert_eq!(since(begin.token).await.unwrap().token, begin.token);
    // Another title is one card; another name of a manager is that of who has that manager, too.
    fake.change(|now| now.people.get_mut("3").unwrap().title = "Boss".into());
    assert_eq!(sync(&service).await.cards_written, 1);
    let titled = since(begin.token).await.unwrap();
    assert_eq!((titled.changed.len(), titled.removed.len()), (1, 0));
    fake.change(|now| now.people.get_mut("1").unwrap().display_name = "Bobby".into());
    assert_eq!(sync(&service).await.cards_written, 2);
    fake.remove("3");
    assert_eq!(sync(&service).await.cards_removed, 1);
    assert_eq!(since(titled.token).await.unwrap().removed.len(), 1);
    // It is read only, and nobody's to give away.
    let put = service.store_card(&bob, "directory", "x.vcf", card("u", "X")).await;
    assert!(matches!(refusal(put), Refusal::NeedPrivileges(_)));
    let view = service.book(&bob, &bob.books(), &book, Members::None, Detail::default()).await.unwrap();
    assert_eq!(view.book.sharer, crate::service::view::Sharer::Unknown);
    service.assert_sound().await;
}

#[tokio::test]
async fn where_nothing_is_new_accounts_are_not_gone_through_and_yet_nothing_is_overlooked() {
    let fake = Arc::new(Fake { tells_changes: true, ..Fake::default() });
    for (id, name) in [("1", "bob"), ("2", "carol")] {
        fake.put(id, name);
    }
    fake.change(|now| now.people.get_mut("2").unwrap().emails = vec!["bob@example.org".into()]);
    fake.group("g1", "sales", &["1"]);
    let admin_group = GroupName::parse("sales").ok();
    let service = following_with(&fake, |settings| settings.admin_group = admin_group).await;
    sync(&service).await;
    let counted = || crate::store::calls::counted(sync(&service));
    let (gone_through, many) = counted().await;
    assert_eq!(gone_through.warnings, ["1 e-mail addresses are those of several people"]);
    let (report, few) = counted().await;
    assert!(report == gone_through && few <= many / 2, "{few} calls, {many} before");
    assert_eq!(counted().await.1, few, "and again");
    // What somebody changed here is put right.
    let before = row(&service, "bob").await.unwrap();
    let after = AccountRow { admin: false, ..before.clone() };
    let op = Op::Account(AccountOp::Update { before, after });
    service.commit(None, Vec::new(), vec![op]).await.unwrap();
    sync(&service).await;
    assert!(row(&service, "bob").await.unwrap().admin);
    // What the directory tells is done, whatever was agreed on before.
    sync(&service).await;
    fake.put("2", "caroline");
    assert_eq!(sync(&service).await.renamed, [("carol".into(), "caroline".into())]);
    let told_again = sync(&service).await;
    assert!(told_again.warnings.is_empty() && told_again.renamed.is_empty());
}

/// Each of these is followed with those alone that it touches, and comes to what going through everybody
/// comes to: accounts, groups, cards, and what is told.
#[tokio::test]
async fn what_changes_is_followed_with_those_it_touches() {
    let fakes = [false, true].map(|tells| Arc::new(Fake { tells_changes: tells, ..Fake::default() }));
    let both = |change: &dyn Fn(&Fake)| fakes.iter().for_each(|fake| change(fake));
    both(&|fake| {
        for (id, name) in [("1", "bob"), ("2", "carol"), ("3", "dan"), ("4", "eve")] {
            fake.put(id, name);
        }
        fake.change(|now| now.people.get_mut("2").unwrap().manager = Some("UID=1, dc=x".into()));
        fake.group("g1", "sales", &["1", "g2", "5"]);
        fake.group("g2", "east", &["2", "6"]);
    });
    let admins = |settings: &mut DirectorySettings| settings.admin_group = GroupName::parse("sales").ok();
    let (whole, changed) = (following_with(&fakes[0], admins).await, following_with(&fakes[1], admins).await);
    for _ in 0..2 {
        sync(&whole).await;
        sync(&changed).await;
    }
    assert!(changed.followed.knows());
    let changes: [&dyn Fn(&Fake); 10] = [
        &|fake| fake.change(|now| now.people.get_mut("3").unwrap().title = "Boss".into()),
        &|fake| fake.change(|now| now.people.get_mut("1").unwrap().display_name = "Bobby".into()),
        &|fake| fake.put("5", "fay"),
        &|fake| fake.put("6", "gus"),
        &|fake| fake.put("2", "caroline"),
        &|fake| fake.change(|now| now.people.get_mut("4").unwrap().emails = vec!["bob@example.org".into()]),
        &|fake| fake.change(|now| now.people.get_mut("1").unwrap().enabled = false),
        &|fake| fake.remove("3"),
        &|fake| fake.put("3", "dan"),
        &|fake| fake.change(|now| now.people.get_mut("5").unwrap().dn = "uid=7,dc=x".into()),
    ];
    for (number, change) in changes.iter().enumerate() {
        both(change);
        let (one, other) = (sync(&whole).await, sync(&changed).await);
        assert!(one == other, "{number}: {:?}", (one.warnings, other.warnings));
        assert_eq!(told(&whole).await, told(&changed).await, "{number}");
        let status = [&whole, &changed].map(|service| service.directory_status().unwrap());
        assert_eq!((status[0].people, status[0].groups), (status[1].people, status[1].groups), "{number}");
        assert!(changed.followed.knows(), "everybody was gone through after change {number}");
    }
    // A group, and a name that is another's, are for everybody.
    let all: [&dyn Fn(&Fake); 2] = [&|fake| fake.group("g3", "west", &["6"]), &|fake| fake.put("6", "dan")];
    for change in all {
        both(change);
        sync(&whole).await;
        sync(&changed).await;
        assert!(!changed.followed.knows());
        assert_eq!(told(&whole).await, told(&changed).await);
        sync(&changed).await;
    }
    changed.assert_sound().await;
}

#[tokio::test]
async fn whom_the_directory_forgot_to_tell_of_is_found_within_a_day() {
    let fake = Arc::new(Fake { tells_changes: true, ..Fake::default() });
    (0..10).for_each(|n| fake.put(&format!("{n}"), &format!("user{n}")));
    let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000)));
    let settings = with(DirectorySettings::new(DirectoryPort(fake.clone())));
    let (keys, entropy) = (key_file(&MemoryMedium::new()), Arc::new(Counting(AtomicU64::new(0))));
    let engine = Arc::new(MemoryEngine::new());
    let service = Service::open(engine, keys, clock.clone(), entropy, settings).await.unwrap();
    sync(&service).await;
    fake.remove("3");
    // It was killed, and believes that it always was as it is.
    let now = fake.now.lock().unwrap().clone();
    fake.past.lock().unwrap().iter_mut().for_each(|past| *past = now.clone());
    for hours in [0, 12, 11] {
        clock.0.fetch_add(hours * 3_600_000, Ordering::Relaxed);
        assert!(sync(&service).await.went.is_empty());
    }
    clock.0.fetch_add(3_600_000, Ordering::Relaxed);
    assert_eq!(sync(&service).await.went, ["user3"]);
    assert_eq!(fake.partial.load(Ordering::Relaxed), 3);
    sync(&service).await;
    assert_eq!(fake.partial.load(Ordering::Relaxed), 4, "and goes on from there");
    clock.0.fetch_add(-1000 * 3_600_000, Ordering::Relaxed);
    sync(&service).await;
    assert_eq!(fake.partial.load(Ordering::Relaxed), 4, "nor is a clock believed that went back");

    // Whoever knows better does not wait for that.
    let forget = || {
        let now = fake.now.lock().unwrap().clone();
        fake.past.lock().unwrap().iter_mut().for_each(|past| *past = now.clone());
    };
    fake.remove("4");
    forget();
    assert!(sync(&service).await.went.is_empty());
    let full = Mode { full: true, ..Mode::default() };
    assert_eq!(service.directory_sync(full).await.unwrap().went, ["user4"]);
    // Nor does a store that was restored.
    fake.remove("5");
    forget();
    assert!(sync(&service).await.went.is_empty());
    let anew = begin_anew(&service.store).await.unwrap();
    service.commit(None, Vec::new(), anew.into_iter().collect()).await.unwrap();
    assert_eq!(sync(&service).await.went, ["user5"]);
    let (without, anew) = (crate::service::own::HOME, begin_anew(&service.store).await.unwrap());
    assert!(anew.is_some());
    service.keep_cookie(without, None).await.unwrap();
    assert!(begin_anew(&service.store).await.unwrap().is_none());
    service.assert_sound().await;
}

#[tokio::test]
async fn card_57_a_large_staff_can_be_searched_and_no_more() {
    let fake = Arc::new(Fake::default());
    for (id, name) in [("1", "bob"), ("2", "carol"), ("3", "dan")] {
        fake.put(id, name);
    }
    let service = following_with(&fake, |settings| settings.gateway_above = 2).await;
    sync(&service).await;
    let bob = sign_in(&service, "bob", "right").await.unwrap();
    assert_eq!(books(&service, &bob).await, ["contacts"]);
    let book = name("directory");
    assert!(service.directory_gateway(&bob).await.unwrap().is_some());
    let all = service.book(&bob, &bob.books(), &book, Members::All, Detail::default()).await;
    assert!(matches!(refusal(all), Refusal::NeedPrivileges(_)));
    let changes = service.changes(&bob, &bob.books(), &book, None, None).await;
    assert!(matches!(refusal(changes), Refusal::NeedPrivileges(_)));
    let mut carry = Carry::new(Detail::default());
    let everybody = Filter { test: Test::AnyOf, properties: Vec::new() };
    assert!(matches!(
        refusal(service.query(&bob, &bob.books(), &book, everybody, None, &mut carry).await),
        Refusal::BadLimit
    ));
    let member = name(&format!("{}.vcf", card::uuid_of("2").hyphenated()));
    let one = service.book(&bob, &bob.books(), &book, Members::Named(vec![member]), Detail::default()).await;
    assert_eq!(one.unwrap().cards.len(), 1);
    // With one less it is a book again, and with one more it is none.
    fake.remove("3");
    sync(&service).await;
    assert_eq!(books(&service, &bob).await, ["contacts", "directory"]);
    assert!(service.directory_gateway(&bob).await.unwrap().is_none());
    fake.put("4", "eve");
    sync(&service).await;
    assert_eq!(books(&service, &bob).await, ["contacts"]);
    service.assert_sound().await;
}

#[tokio::test]
async fn many_leavers_wait_for_somebodys_word_and_a_dry_run_writes_nothing() {
    let fake = Arc::new(Fake::default());
    (0..10).for_each(|n| fake.put(&format!("{n}"), &format!("user{n}")));
    let service = following(&fake).await;
    let dry = Mode { dry_run: true, ..Mode::default() };
    assert_eq!(service.directory_sync(dry).await.unwrap().came.len(), 10);
    assert!(told(&service).await.is_empty());
    sync(&service).await;
    (0..6).for_each(|n| fake.remove(&format!("{n}")));
    let before = told(&service).await;
    assert_eq!(sync(&service).await.pending_leavers, Some(6));
    assert_eq!(told(&service).await, before);
    assert_eq!(service.directory_status().unwrap().pending_leavers, Some(6));
    let meant = Mode { accept_leavers: true, ..Mode::default() };
    assert_eq!(service.directory_sync(meant).await.unwrap().went.len(), 6);
    assert_eq!(service.directory_status().unwrap().pending_leavers, None);
}

#[tokio::test]
async fn a_server_that_dies_in_between_goes_on_where_it_was() {
    let mut ends = std::collections::BTreeSet::new();
    for commits in 0.. {
        let fake = Arc::new(Fake { tells_changes: true, ..Fake::default() });
        for (id, name) in [("1", "bob"), ("2", "carol"), ("3", "dan")] {
            fake.put(id, name);
        }
        fake.group("g1", "sales", &["1"]);
        let settings = DirectorySettings::new(DirectoryPort(fake.clone()));
        let engine = Arc::new(Mortal { inner: MemoryEngine::new(), left: AtomicI64::new(i64::MAX) });
        let service = service_with(engine.clone(), with(settings)).await;
        sync(&service).await;
        fake.put("1", "carol");
        fake.put("2", "bob");
        fake.remove("3");
        fake.put("4", "dan");
        fake.change(|now| now.people.get_mut("4").unwrap().manager = Some("uid=1,dc=x".into()));
        fake.remove("g1");
        fake.group("g2", "sales", &["2", "4"]);
        engine.left.store(commits, Ordering::Relaxed);
        let died = service.directory_sync(Mode::default()).await.is_err();
        service.assert_sound().await;
        engine.left.store(i64::MAX, Ordering::Relaxed);
        sync(&service).await;
        service.settle_all().await.unwrap();
        service.assert_sound().await;
        ends.insert(told(&service).await);
        if !died {
            assert!(commits > 5);
            break;
        }
    }
    assert_eq!(ends.len(), 1);
}

#[tokio::test]
async fn whoever_the_api_makes_has_the_staffs_book() {
    let fake = Arc::new(Fake::default());
    fake.put("1", "bob");
    let service = following(&fake).await;
    sync(&service).await;
    let profile = crate::service::admin::Profile { email: None, display_name: None, admin: true };
    let root = UserName::parse("root").unwrap();
    service.add_user(&root, profile, Some("secret".into())).await.unwrap();
    let root = sign_in(&service, "root", "secret").await.unwrap();
    let dora = UserName::parse("dora").unwrap();
    let fields = crate::service::people::UserFields { enabled: true, ..Default::default() };
    service.create_user(&root, &dora, fields, Some("secret".into())).await.unwrap();
    let dora = sign_in(&service, "dora", "secret").await.unwrap();
    assert_eq!(books(&service, &dora).await, ["contacts", "directory"]);
}

#[test]
fn changes_and_everything_come_to_the_same_cards_and_books() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig { cases: 16, ..ProptestConfig::default() });
    runner
        .run(&events().no_shrink(), |steps| {
            runtime.block_on(async {
                let fakes =
                    [false, true].map(|tells| Arc::new(Fake { tells_changes: tells, ..Fake::default() }));
                let (whole, changed) = (following(&fakes[0]).await, following(&fakes[1]).await);
                let meant = Mode { accept_leavers: true, ..Mode::default() };
                for step in &steps {
                    for (fake, service) in fakes.iter().zip([&whole, &changed]) {
                        step.iter().for_each(|event| fake.change(|now| happen(now, event)));
                        service.directory_sync(meant).await.unwrap();
                    }
                    // Where that found nothing, the next one goes through nobody who did not change.
                    changed.directory_sync(meant).await.unwrap();
                    assert_eq!(told(&whole).await, told(&changed).await);
                }
                changed.assert_sound().await;
            });
            Ok(())
        })
        .unwrap();
}
