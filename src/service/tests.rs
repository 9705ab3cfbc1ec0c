//! The use cases over the memory engine: what a client that follows tokens holds, what overlapping
//! writers get, what sign-in lets in, and that the integrity check finds nothing to say.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;

use crate::domain::filter::Filter;
use crate::domain::id::{Etag, MemberName, UserName};
use crate::domain::token::SyncToken;
use crate::store::engine::memory::MemoryEngine;
use crate::store::engine::{Batch, Outcome, Pending, Snapshot};
use crate::store::keys::Table;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::tests::key_file;

use super::access::{Caller, Reach};
use super::admin::{AdminAnswer, AdminRequest};
use super::place::{Place, Precondition, State};
use super::sign_in::{Argon2Cost, Credentials, NotSignedIn};
use super::transfer::Manner;
use super::view::{
    Carry, Detail, Members, Property, PropertyChange, PropertyName, PropertyValue, Seen, Transferred, Verb,
};
use super::*;

/// A clock that goes on by a millisecond whenever it is read.
pub(crate) struct Ticking(pub(crate) AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

/// Numbers that never repeat.
pub(crate) struct Counting(pub(crate) AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        let seed = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut stream = blake3::Hasher::new().update(&seed).finalize_xof();
        stream.fill(bytes);
        Ok(())
    }
}

pub(super) async fn service() -> Arc<Service> {
    service_over(Arc::new(MemoryEngine::new())).await
}

/// One whose users may look each other up.
pub(super) async fn open_service() -> Arc<Service> {
    let settings = Settings { principals_visible: true, ..quick() };
    service_with(Arc::new(MemoryEngine::new()), settings).await
}

async fn service_over(engine: Arc<dyn Engine>) -> Arc<Service> {
    service_with(engine, quick()).await
}

pub(super) fn quick() -> Settings {
    Settings { argon2: Argon2Cost { memory_kib: 8, passes: 1 }, login_attempts: 3, ..Settings::default() }
}

pub(super) async fn service_with(engine: Arc<dyn Engine>, settings: Settings) -> Arc<Service> {
    let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000)));
    let entropy = Arc::new(Counting(AtomicU64::new(0)));
    Arc::new(Service::open(engine, key_file(&MemoryMedium::new()), clock, entropy, settings).await.unwrap())
}

/// An engine on which something happens just before the next commit, as if another request had been
/// quicker, and which can be full.
#[derive(Default)]
pub(super) struct Meddled {
    inner: MemoryEngine,
    next: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    full: AtomicBool,
}

impl Meddled {
    pub(super) fn before_commit(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.next.lock().unwrap() = Some(Box::pin(work));
    }
}

impl Engine for Meddled {
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch) -> Pending<'_, Outcome> {
        Box::pin(async move {
            let work = self.next.lock().unwrap().take();
            if let Some(work) = work {
                work.await;
            }
            if self.full.load(Ordering::Relaxed) {
                return Err(EngineError::Full);
            }
            self.inner.commit(batch).await
        })
    }

    fn verify(&self) -> Pending<'_, bool> {
        self.inner.verify()
    }

    fn close(&self) -> Pending<'_, ()> {
        self.inner.close()
    }
}

pub(super) async fn meddled() -> (Arc<Meddled>, Arc<Service>) {
    let engine = Arc::new(Meddled::default());
    let service = service_over(engine.clone()).await;
    (engine, service)
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) async fn sign_in(service: &Service, user: &str, password: &str) -> Result<Caller, NotSignedIn> {
    let credentials = Credentials { user: user.into(), password: password.into() };
    service.sign_in(credentials, HERE).await
}

pub(super) async fn alice(service: &Service) -> Caller {
    add(service, "alice").await;
    sign_in(service, "Alice", "secret").await.unwrap()
}

/// Makes an account that has not signed in yet.
pub(super) async fn add(service: &Service, user: &str) {
    let name = UserName::parse(user).unwrap();
    let profile = admin::Profile { email: None, display_name: None, admin: false };
    service.add_user(&name, profile, Some("secret".into())).await.unwrap();
}

pub(super) fn name(text: &str) -> MemberName {
    MemberName::parse(text).unwrap()
}

pub(super) fn card(uid: &str, text: &str) -> Bytes {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{text}\r\nN:{text};;;;\r\nEND:VCARD\r\n").into()
}

impl Service {
    pub(super) async fn store_card(
        &self,
        caller: &Caller,
        book: &str,
        file: &str,
        body: Bytes,
    ) -> Answer<view::Stored> {
        self.put(caller, (&caller.books(), &name(book), &name(file)), body, Vec::new()).await
    }

    pub(super) async fn names(&self, caller: &Caller, book: &str) -> BTreeMap<String, Etag> {
        let view =
            self.book(caller, &caller.books(), &name(book), Members::All, Detail::default()).await.unwrap();
        view.cards.into_iter().map(|card| (card.name.as_str().to_owned(), card.etag)).collect()
    }

    pub(super) async fn assert_sound(&self) {
        let AdminAnswer::Checked(report) = self.admin(AdminRequest::Check { repair: false }).await else {
            panic!("no report")
        };
        assert_eq!(report.faults, Vec::<String>::new());
    }
}

pub(super) fn refused<T>(answer: Answer<T>) -> Refusal {
    match answer {
        Err(Stop::Refused(refusal)) => refusal,
        Err(Stop::Failed(fault)) => panic!("{fault}"),
        Ok(_) => panic!("it was done"),
    }
}

/// A client that knows only what tokens tell it.
#[derive(Default)]
struct Follower {
    token: Option<SyncToken>,
    holds: BTreeMap<String, Etag>,
}

impl Follower {
    /// Follows to the end, `limit` changes at a time.
    async fn follow(&mut self, service: &Service, caller: &Caller, limit: Option<usize>) {
        loop {
            let changes =
                service.changes(caller, &caller.books(), &name("contacts"), self.token, limit).await.unwrap();
            for card in changes.changed {
                self.holds.insert(card.name.as_str().into(), card.etag);
            }
            for gone in changes.removed {
                assert!(self.holds.remove(gone.as_str()).is_some() || self.token.is_some());
            }
            self.token = Some(SyncToken::parse(&changes.token.to_string()).unwrap());
            if !changes.truncated {
                assert_eq!(changes.token, changes.collection.token());
                return;
            }
        }
    }
}

#[tokio::test]
async fn sync_12_followers_hold_the_servers_set_after_every_step() {
    let service = service().await;
    let caller = alice(&service).await;
    service.create_book(&caller, &caller.books(), &name("other"), Vec::new(), Vec::new()).await.unwrap();
    let mut random = 42_u64;
    let mut dice = |sides: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % sides
    };
    let (mut whole, mut paged) = (Follower::default(), Follower::default());
    for step in 0..400 {
        let file = format!("{}.vcf", dice(12));
        let place = |book: &str, file: &str| Place::Object(caller.books(), name(book), name(file));
        match dice(10) {
            0..=4 => {
                let body = card(&format!("uid-{file}"), &format!("Step {step}"));
                let _ = service.store_card(&caller, "contacts", &file, body).await;
            }
            5 | 6 => drop(service.delete(&caller, &place("contacts", &file), Vec::new()).await),
            7 => {
                let manner = Manner { verb: Verb::Move, overwrite: true, shallow: false };
                let books = if dice(2) == 0 { ("contacts", "other") } else { ("other", "contacts") };
                let (from, to) = (place(books.0, &file), place(books.1, &file));
                drop(service.transfer(&caller, manner, &from, &to, Vec::new()).await);
            }
            8 => {
                let manner = Manner { verb: Verb::Move, overwrite: dice(2) == 0, shallow: false };
                let to = format!("{}.vcf", dice(12));
                let (from, to) = (place("contacts", &file), place("contacts", &to));
                drop(service.transfer(&caller, manner, &from, &to, Vec::new()).await);
            }
            _ => {
                let mut fresh = Follower::default();
                fresh.follow(&service, &caller, Some(1 + dice(3) as usize)).await;
                assert_eq!(fresh.holds, service.names(&caller, "contacts").await);
            }
        }
        whole.follow(&service, &caller, None).await;
        assert_eq!(whole.holds, service.names(&caller, "contacts").await, "step {step}");
        if dice(4) == 0 {
            paged.follow(&service, &caller, Some(1 + dice(4) as usize)).await;
            assert_eq!(paged.holds, whole.holds, "step {step}");
        }
    }
    service.assert_sound().await;
}

#[tokio::test]
async fn sync_17_an_initial_page_tells_of_no_older_removal_and_of_every_later_one() {
    let service = service().await;
    let caller = alice(&service).await;
    for i in 0..6 {
        service.store_card(&caller, "contacts", &format!("{i}"), card(&format!("u{i}"), "A")).await.unwrap();
    }
    let contacts = name("contacts");
    let at = |i: u8| Place::Object(caller.books(), contacts.clone(), name(&i.to_string()));
    service.delete(&caller, &at(4), Vec::new()).await.unwrap();
    let first = service.changes(&caller, &caller.books(), &contacts, None, Some(3)).await.unwrap();
    assert!(first.truncated && first.removed.is_empty() && first.changed.len() == 3);
    service.delete(&caller, &at(0), Vec::new()).await.unwrap();
    let second =
        service.changes(&caller, &caller.books(), &contacts, Some(first.token), Some(2)).await.unwrap();
    // 3 and 5 are new to the client, 4 went before it began, 0 went after.
    assert_eq!((second.changed.len(), second.removed.len(), second.truncated), (2, 0, true));
    let third =
        service.changes(&caller, &caller.books(), &contacts, Some(second.token), Some(2)).await.unwrap();
    assert_eq!((third.changed.len(), third.truncated), (0, false));
    assert_eq!(third.removed, vec![name("0")]);
}

#[tokio::test]
async fn sync_15_tokens_of_other_collections_and_of_the_future_are_refused() {
    let service = service().await;
    let caller = alice(&service).await;
    let contacts = name("contacts");
    let now = service.changes(&caller, &caller.books(), &contacts, None, None).await.unwrap().token;
    let home = service.home(&caller, &caller.books()).await.unwrap().home.token();
    for bad in [SyncToken { revision: crate::domain::id::Revision(999), ..now }, home] {
        let answer = service.changes(&caller, &caller.books(), &contacts, Some(bad), None).await;
        assert_eq!(refused(answer), Refusal::BadToken);
    }
}

#[tokio::test]
async fn card_11_a_uid_belongs_to_one_card_of_a_book() {
    let service = service().await;
    let caller = alice(&service).await;
    service.store_card(&caller, "contacts", "a", card("u", "A")).await.unwrap();
    let taken = service.store_card(&caller, "contacts", "b", card("u", "B")).await;
    assert_eq!(refused(taken), Refusal::UidTaken { holder: name("a") });
    // CARD-12: another UID at the same URL, unless the server had made the old one up.
    let changed = service.store_card(&caller, "contacts", "a", card("v", "A")).await;
    assert_eq!(refused(changed), Refusal::UidTaken { holder: name("a") });
    let without = Bytes::from_static(b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:X\r\nEND:VCARD\r\n");
    assert!(!service.store_card(&caller, "contacts", "c", without).await.unwrap().verbatim);
    assert!(!service.store_card(&caller, "contacts", "c", card("w", "X")).await.unwrap().created);
    // CARD-13: the same UID in another book is fine, and a copy takes it there.
    service.create_book(&caller, &caller.books(), &name("other"), Vec::new(), Vec::new()).await.unwrap();
    let copy = Manner { verb: Verb::Copy, overwrite: false, shallow: false };
    let at = |book: &str, file: &str| Place::Object(caller.books(), name(book), name(file));
    let done = service.transfer(&caller, copy, &at("contacts", "a"), &at("other", "a"), Vec::new()).await;
    assert_eq!(done.unwrap(), Transferred::Created);
    let again = service.transfer(&caller, copy, &at("contacts", "a"), &at("contacts", "z"), Vec::new()).await;
    assert_eq!(refused(again), Refusal::UidTaken { holder: name("a") });
    service.assert_sound().await;
}

#[tokio::test]
async fn http_8_one_of_two_writers_with_one_tag_wins() {
    let service = service().await;
    let caller = alice(&service).await;
    let first = service.store_card(&caller, "contacts", "a", card("u", "A")).await.unwrap();
    let place = Place::Object(caller.books(), name("contacts"), name("a"));
    let mut writers = tokio::task::JoinSet::new();
    for i in 0..8 {
        let (service, caller, place) = (service.clone(), caller.clone(), place.clone());
        let when = vec![Precondition::one(place, State::EtagIn(vec![first.card.etag]), false)];
        writers.spawn(async move {
            let at = (&caller.books(), &name("contacts"), &name("a"));
            service.put(&caller, at, card("u", &format!("Writer {i}")), when).await.is_ok()
        });
    }
    assert_eq!(writers.join_all().await.into_iter().filter(|won| *won).count(), 1);
    service.assert_sound().await;
}

#[tokio::test]
async fn a_deleted_default_book_stays_deleted_and_leaves_nothing() {
    let service = service().await;
    let caller = alice(&service).await;
    for i in 0..300 {
        service.store_card(&caller, "contacts", &format!("{i}"), card(&format!("u{i}"), "A")).await.unwrap();
        service.store_card(&caller, "contacts", &format!("{i}"), card(&format!("u{i}"), "B")).await.unwrap();
    }
    let book = Place::Collection(caller.books(), name("contacts"));
    service.delete(&caller, &book, Vec::new()).await.unwrap();
    sign_in(&service, "alice", "secret").await.unwrap();
    assert!(service.home(&caller, &caller.books()).await.unwrap().books.is_empty());
    service.purge_all().await.unwrap();
    service.assert_sound().await;
    let left = |table| service.store.count(table);
    for table in [Table::Body, Table::Uid, Table::History, Table::Change, Table::Purge] {
        // That the book went, and two calendars came.
        let expected = if table == Table::Change { 3 } else { 0 };
        assert_eq!(left(table).await.unwrap(), expected, "{table:?}");
    }
}

#[tokio::test]
async fn books_are_renamed_copied_and_replaced_whole() {
    let service = service().await;
    let caller = alice(&service).await;
    service.store_card(&caller, "contacts", "a", card("u", "A")).await.unwrap();
    let colour = PropertyName { namespace: "x".into(), local: "color".into() };
    let value = PropertyValue::Text { text: "red".into(), lang: None };
    let set = PropertyChange::Set(Property { name: colour, value });
    let book = |text: &str| Place::Collection(caller.books(), name(text));
    service.patch(&caller, &book("contacts"), vec![set], Vec::new()).await.unwrap();
    let before = service.home(&caller, &caller.books()).await.unwrap().books.remove(0);
    let manner = |verb, overwrite| Manner { verb, overwrite, shallow: false };
    let copied =
        service.transfer(&caller, manner(Verb::Copy, false), &book("contacts"), &book("b"), Vec::new()).await;
    assert_eq!(copied.unwrap(), Transferred::Created);
    assert_eq!(service.names(&caller, "b").await.len(), 1);
    let onto =
        service.transfer(&caller, manner(Verb::Move, false), &book("contacts"), &book("b"), Vec::new()).await;
    assert_eq!(refused(onto), Refusal::Unmet);
    let moved =
        service.transfer(&caller, manner(Verb::Move, true), &book("contacts"), &book("b"), Vec::new()).await;
    assert_eq!(moved.unwrap(), Transferred::Replaced);
    let home = service.home(&caller, &caller.books()).await.unwrap();
    let after = &home.books[0];
    assert_eq!((home.books.len(), after.id, &after.properties), (1, before.id, &before.properties));
    service.purge_all().await.unwrap();
    service.assert_sound().await;
}

#[tokio::test]
async fn a_query_answers_in_order_and_says_what_it_left_out() {
    let service = service().await;
    let caller = alice(&service).await;
    for i in 0..5 {
        service.store_card(&caller, "contacts", &format!("{i}"), card(&format!("u{i}"), "A")).await.unwrap();
    }
    let contacts = name("contacts");
    let detail = Detail { properties: true, body: true };
    let query = async |limit| {
        let mut carry = Carry::new(detail);
        service.query(&caller, &caller.books(), &contacts, Filter::default(), limit, &mut carry).await
    };
    let all: Vec<_> = (0..5).map(|i| name(&i.to_string())).collect();
    let found = query(None).await.unwrap();
    // Few cards come along as reading them by name would show them.
    assert!(found.names.is_empty());
    let read = service.cards(&found.book, &all, detail).await.unwrap();
    for (card, read) in found.cards.iter().zip(&read) {
        let Seen::Whole(read) = read else { panic!("a card is missing") };
        assert_eq!((&card.name, card.etag, &card.body), (&read.name, read.etag, &read.body));
    }
    assert_eq!(found.cards.iter().map(|card| card.name.clone()).collect::<Vec<_>>(), all);
    assert!(query(Some(4)).await.unwrap().truncated && !query(Some(5)).await.unwrap().truncated);
    assert_eq!(refused(query(Some(0)).await), Refusal::BadLimit);
}

#[tokio::test]
async fn large_cards_are_read_few_at_once_and_always_one() {
    let service = service().await;
    let alice = alice(&service).await;
    let photo = "QUJD".repeat(1 << 20);
    for uid in ["a", "b"] {
        let large = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nPHOTO:{photo}\r\nEND:VCARD\r\n");
        service.store_card(&alice, "contacts", uid, large.into()).await.unwrap();
    }
    service.store_card(&alice, "contacts", "c", card("c", "c")).await.unwrap();
    let (contacts, none) = (name("contacts"), Members::None);
    let book = service.book(&alice, &alice.books(), &contacts, none, Detail::default()).await.unwrap().book;
    let detail = Detail { properties: false, body: true };
    let read = async |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|text| name(text)).collect();
        let cards = service.cards(&book, &names, detail).await.unwrap();
        let read = |card| match card {
            view::Seen::Whole(card) => Some(card.body.is_some()),
            view::Seen::Absent => None,
            view::Seen::Damaged => panic!("damage"),
        };
        cards.into_iter().map(read).collect::<Vec<_>>()
    };
    assert_eq!(read(&["a", "x", "b", "c"]).await, [Some(true), None, Some(false), Some(false)]);
    assert_eq!(read(&["c", "a"]).await, [Some(true), Some(false)]);
    assert_eq!(read(&["c", "x"]).await, [Some(true), None]);
}

#[tokio::test]
async fn passwords_app_passwords_and_their_ends() {
    let service = service().await;
    let caller = alice(&service).await;
    assert!(matches!(sign_in(&service, "alice", "wrong").await, Err(NotSignedIn::Wrong)));
    assert!(matches!(sign_in(&service, "nobody", "secret").await, Err(NotSignedIn::Wrong)));
    let scopes = vec!["dav:contacts:read".into()];
    let create =
        AdminRequest::TokenCreate { user: "alice".into(), api: false, scopes, expires: None, label: None };
    let AdminAnswer::Secret { id, secret } = service.admin(create).await else { panic!("no secret") };
    let phone = sign_in(&service, "alice", &secret.to_uppercase()).await.unwrap();
    assert_eq!((phone.account, phone.contacts), (caller.account, Reach::Read));
    let denied = service.store_card(&phone, "contacts", "a", card("u", "A")).await;
    let book = Place::Collection(caller.books(), name("contacts"));
    assert_eq!(refused(denied), Refusal::NeedPrivileges(vec![(book, access::Privilege::Bind)]));
    service.admin(AdminRequest::TokenRevoke { id }).await;
    assert!(sign_in(&service, "alice", &secret).await.is_err());
    service.admin(AdminRequest::UserPasswd { name: "alice".into(), password: "new".into() }).await;
    assert!(sign_in(&service, "alice", "secret").await.is_err());
    assert!(sign_in(&service, "alice", "new").await.is_ok());
    service.admin(AdminRequest::UserEnable { name: "alice".into(), enabled: false }).await;
    assert!(sign_in(&service, "alice", "new").await.is_err());
    service.assert_sound().await;
}

#[tokio::test]
async fn guesses_are_slowed_and_a_right_password_is_not_refused() {
    let service = service().await;
    alice(&service).await;
    for guess in 0..3 {
        let answer = sign_in(&service, "alice", &format!("guess {guess}")).await;
        assert!(matches!(answer, Err(NotSignedIn::Wrong)));
    }
    assert!(matches!(sign_in(&service, "alice", "guess").await, Err(NotSignedIn::Slowed { .. })));
    assert!(sign_in(&service, "alice", "secret").await.is_ok());
}

#[tokio::test]
async fn commands_leave_an_administrator_too() {
    let service = service().await;
    let user = |name: &str, admin| AdminRequest::UserAdd {
        name: name.into(),
        email: None,
        display_name: None,
        admin,
        password: None,
    };
    let off = |name: &str| AdminRequest::UserEnable { name: name.into(), enabled: false };
    let gone = |name: &str| {
        let (hand_over, erase, erase_private) = (None, true, false);
        AdminRequest::UserRemove { name: name.into(), hand_over, erase, erase_private }
    };
    for (name, admin) in [("boss", true), ("ann", false)] {
        assert!(matches!(service.admin(user(name, admin)).await, AdminAnswer::Done));
    }
    for request in [off("boss"), gone("boss")] {
        let AdminAnswer::Refused(why) = service.admin(request).await else { panic!("nobody is left") };
        assert!(why.contains("last administrator"), "{why}");
    }
    assert!(matches!(service.admin(gone("ann")).await, AdminAnswer::Done));
    assert!(matches!(service.admin(user("second", true)).await, AdminAnswer::Done));
    assert!(matches!(service.admin(off("boss")).await, AdminAnswer::Done));
    assert!(matches!(service.admin(gone("second")).await, AdminAnswer::Refused(_)), "the other is disabled");
    assert!(matches!(service.admin(gone("boss")).await, AdminAnswer::Done));
}

#[tokio::test]
async fn guesses_at_once_are_no_more_than_one_by_one() {
    let service = service().await;
    alice(&service).await;
    let guess = |number: usize| {
        let service = service.clone();
        tokio::spawn(async move { sign_in(&service, "alice", &format!("guess {number}")).await })
    };
    let mut wrong = 0;
    for guess in (0..6).map(guess).collect::<Vec<_>>() {
        match guess.await.unwrap() {
            Err(NotSignedIn::Wrong) => wrong += 1,
            Err(NotSignedIn::Slowed { .. }) => {}
            _ => panic!("neither wrong nor slowed"),
        }
    }
    assert_eq!(wrong, 3, "as many as are free");
}

#[tokio::test]
async fn properties_are_patched_all_or_none_and_bounded() {
    let service = service().await;
    let caller = alice(&service).await;
    let home = Place::Home(caller.books());
    let set = |local: &str, text: String| {
        let name = PropertyName { namespace: "x".into(), local: local.into() };
        PropertyChange::Set(Property { name, value: PropertyValue::Text { text, lang: None } })
    };
    service.patch(&caller, &home, vec![set("a", "1".into())], Vec::new()).await.unwrap();
    let big = vec![set("a", "2".into()), set("b", "x".repeat(300 << 10))];
    assert_eq!(refused(service.patch(&caller, &home, big, Vec::new()).await), Refusal::PropertiesFull);
    let properties = service.home(&caller, &caller.books()).await.unwrap().home.properties;
    assert_eq!(properties[0].value, PropertyValue::Text { text: "1".into(), lang: None });
    let name = PropertyName { namespace: "x".into(), local: "a".into() };
    let remove = vec![PropertyChange::Remove(name.clone()), PropertyChange::Remove(name)];
    service.patch(&caller, &home, remove, Vec::new()).await.unwrap();
    assert!(service.home(&caller, &caller.books()).await.unwrap().home.properties.is_empty());
}

fn token_for_alice() -> AdminRequest {
    AdminRequest::TokenCreate {
        user: "alice".into(),
        api: false,
        scopes: Vec::new(),
        expires: None,
        label: None,
    }
}

fn without_alice() -> AdminRequest {
    AdminRequest::UserRemove { name: "alice".into(), hand_over: None, erase: true, erase_private: false }
}

async fn add_alice(service: &Service) {
    let profile = admin::Profile { email: None, display_name: None, admin: false };
    service.add_user(&UserName::parse("alice").unwrap(), profile, Some("secret".into())).await.unwrap();
}

#[tokio::test]
async fn an_app_password_goes_with_its_account_however_late_it_came() {
    let (engine, service) = meddled().await;
    alice(&service).await;
    let other = service.clone();
    engine.before_commit(async move {
        assert!(matches!(other.admin(token_for_alice()).await, AdminAnswer::Secret { .. }));
    });
    assert!(matches!(service.admin(without_alice()).await, AdminAnswer::Done));
    assert_eq!(service.store.count(Table::AppPassword).await.unwrap(), 0);
    assert_eq!(service.store.count(Table::AppPasswordOf).await.unwrap(), 0);
    service.assert_sound().await;
}

#[tokio::test]
async fn an_app_password_is_not_made_for_an_account_that_another_has_followed() {
    let (engine, service) = meddled().await;
    alice(&service).await;
    let other = service.clone();
    engine.before_commit(async move {
        other.admin(without_alice()).await;
        add_alice(&other).await;
    });
    assert!(matches!(service.admin(token_for_alice()).await, AdminAnswer::Refused(_)));
    assert_eq!(service.store.count(Table::AppPassword).await.unwrap(), 0);
    service.assert_sound().await;
}

#[tokio::test]
async fn an_account_that_moves_meanwhile_is_changed_and_removed_all_the_same() {
    let (engine, service) = meddled().await;
    for removed in [false, true] {
        add_alice(&service).await;
        let other = service.clone();
        // The first sign-in marks the account.
        engine.before_commit(async move { drop(sign_in(&other, "alice", "secret").await.unwrap()) });
        let request = match removed {
            true => without_alice(),
            false => AdminRequest::UserPasswd { name: "alice".into(), password: "new".into() },
        };
        assert!(matches!(service.admin(request).await, AdminAnswer::Done));
        assert!(sign_in(&service, "alice", "secret").await.is_err());
        assert_eq!(sign_in(&service, "alice", "new").await.is_ok(), !removed);
        service.admin(without_alice()).await;
    }
    service.purge_all().await.unwrap();
    service.assert_sound().await;
}

#[tokio::test]
async fn nothing_is_written_on_a_principal_that_is_gone() {
    let (engine, service) = meddled().await;
    let caller = alice(&service).await;
    let other = service.clone();
    engine.before_commit(async move { drop(other.admin(without_alice()).await) });
    let name = PropertyName { namespace: "x".into(), local: "a".into() };
    let value = PropertyValue::Text { text: "1".into(), lang: None };
    let set = PropertyChange::Set(Property { name, value });
    let place = Place::Principal(caller.name.clone());
    assert!(service.patch(&caller, &place, vec![set], Vec::new()).await.is_err());
    service.purge_all().await.unwrap();
    assert_eq!(service.store.count(Table::Properties).await.unwrap(), 0);
    service.assert_sound().await;
}

#[tokio::test]
async fn sync_24_a_token_holds_for_the_book_that_is_there_at_the_commit() {
    let (engine, service) = meddled().await;
    let caller = alice(&service).await;
    service.create_book(&caller, &caller.books(), &name("other"), Vec::new(), Vec::new()).await.unwrap();
    let book = |text: &str| Place::Collection(caller.books(), name(text));
    let token = service.home(&caller, &caller.books()).await.unwrap().books[0].token();
    let (other, them) = (service.clone(), caller.clone());
    let swap = [(book("contacts"), book("away")), (book("other"), book("contacts"))];
    engine.before_commit(async move {
        for (from, to) in swap {
            let manner = Manner { verb: Verb::Move, overwrite: false, shallow: false };
            other.transfer(&them, manner, &from, &to, Vec::new()).await.unwrap();
        }
    });
    let when = vec![Precondition::one(book("contacts"), State::Token(token), false)];
    assert_eq!(refused(service.delete(&caller, &book("contacts"), when).await), Refusal::Unmet);
    assert_eq!(service.home(&caller, &caller.books()).await.unwrap().books.len(), 2);
    // And where nothing moves, it holds.
    let when = vec![Precondition::one(book("away"), State::Token(token), false)];
    service.delete(&caller, &book("away"), when).await.unwrap();
}

#[tokio::test]
async fn a_book_that_goes_before_it_is_copied_leaves_no_empty_copy() {
    let (engine, service) = meddled().await;
    let caller = alice(&service).await;
    service.store_card(&caller, "contacts", "a", card("u", "A")).await.unwrap();
    let book = |text: &str| Place::Collection(caller.books(), name(text));
    let (other, them, source) = (service.clone(), caller.clone(), book("contacts"));
    engine.before_commit(async move { other.delete(&them, &source, Vec::new()).await.unwrap() });
    let manner = Manner { verb: Verb::Copy, overwrite: true, shallow: false };
    let copied = service.transfer(&caller, manner, &book("contacts"), &book("copy"), Vec::new()).await;
    assert_eq!(refused(copied), Refusal::NotFound);
    assert!(service.home(&caller, &caller.books()).await.unwrap().books.is_empty());
}

#[tokio::test]
async fn clearing_goes_on_when_a_full_store_has_room_again() {
    let (engine, service) = meddled().await;
    let caller = alice(&service).await;
    service.store_card(&caller, "contacts", "a", card("u", "A")).await.unwrap();
    let book = Place::Collection(caller.books(), name("contacts"));
    service.delete(&caller, &book, Vec::new()).await.unwrap();
    engine.full.store(true, Ordering::Relaxed);
    let mut clearing = Box::pin(service.purge());
    let mut poll = async || {
        tokio::select! {
            biased;
            _ = &mut clearing => false,
            () = std::future::ready(()) => true,
        }
    };
    // Over the memory engine, one poll goes as far as there is something to do.
    for _ in 0..8 {
        assert!(poll().await, "clearing ended");
    }
    assert_eq!(service.store.count(Table::Purge).await.unwrap(), 1);
    engine.full.store(false, Ordering::Relaxed);
    service.purge_soon();
    for _ in 0..8 {
        assert!(poll().await, "clearing ended");
    }
    assert_eq!(service.store.count(Table::Purge).await.unwrap(), 0);
}

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn sync_16_tokens_from_before_a_forgotten_removal_and_only_those_are_refused() {
    let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000)));
    let entropy = Arc::new(Counting(AtomicU64::new(0)));
    let keys = key_file(&MemoryMedium::new());
    let settings = Settings { argon2: Argon2Cost { memory_kib: 8, passes: 1 }, ..Settings::default() };
    let service =
        Service::open(Arc::new(MemoryEngine::new()), keys, clock.clone(), entropy, settings).await.unwrap();
    let caller = alice(&service).await;
    let put = async |file: &str| {
        service.store_card(&caller, "contacts", file, card(file, "A")).await.unwrap();
    };
    let delete = async |file: &str| {
        let place = Place::Object(caller.books(), name("contacts"), name(file));
        service.delete(&caller, &place, Vec::new()).await.unwrap();
    };
    let changes =
        async |since, limit| service.changes(&caller, &caller.books(), &name("contacts"), since, limit).await;
    for file in ["a", "b", "c", "d"] {
        put(file).await;
    }
    let first_page = changes(None, Some(1)).await.unwrap().token;
    let before = changes(None, None).await.unwrap().token;
    delete("a").await;
    let after = changes(None, None).await.unwrap().token;
    // Its first page begins after the removal: it was never to be told of it.
    let later_page = changes(None, Some(1)).await.unwrap().token;
    clock.0.fetch_add(30 * DAY, Ordering::Relaxed);
    delete("b").await;
    put("e").await;
    let newest = changes(None, None).await.unwrap().token;

    clock.0.fetch_add(371 * DAY, Ordering::Relaxed);
    service.store.prune(service.clock.now(), 430).await.unwrap();
    assert!(changes(Some(before), None).await.is_ok(), "it is not old enough");
    clock.0.fetch_add(7 * DAY, Ordering::Relaxed);
    assert_eq!(service.store.prune(service.clock.now(), 400).await.unwrap(), 1);
    for token in [before, first_page] {
        assert!(matches!(refused(changes(Some(token), None).await), Refusal::BadToken));
    }
    let delta = changes(Some(after), None).await.unwrap();
    assert_eq!((delta.changed.len(), delta.removed), (1, vec![name("b")]));
    let rest = changes(Some(later_page), None).await.unwrap();
    assert_eq!((rest.changed.len(), rest.removed), (3, vec![name("b")]));
    assert_eq!(changes(Some(newest), None).await.unwrap().token, newest);
    service.assert_sound().await;

    // A clock that goes back finds the period without a key, and makes another.
    clock.0.fetch_add(-408 * DAY, Ordering::Relaxed);
    delete("c").await;
    let delta = changes(Some(newest), None).await.unwrap();
    assert_eq!(delta.removed, vec![name("c")]);
    service.assert_sound().await;
}

#[tokio::test]
async fn a_repair_leaves_clients_and_a_sound_store_as_they_are() {
    let service = service().await;
    let caller = alice(&service).await;
    service.store_card(&caller, "contacts", "a", card("a", "A")).await.unwrap();
    let mut follower = Follower::default();
    follower.follow(&service, &caller, None).await;
    let AdminAnswer::Checked(report) = service.admin(AdminRequest::Check { repair: true }).await else {
        panic!("no report")
    };
    assert_eq!((report.repaired, report.count(), report.cards), (0, 0, 1));
    let token = follower.token;
    follower.follow(&service, &caller, None).await;
    assert_eq!(follower.token, token);
}

#[tokio::test]
async fn a_repair_gives_way_to_others_and_looks_again() {
    let (engine, service) = meddled().await;
    let caller = alice(&service).await;
    for file in ["a", "b", "c"] {
        service.store_card(&caller, "contacts", file, card(file, "A")).await.unwrap();
    }
    let mut follower = Follower::default();
    follower.follow(&service, &caller, None).await;
    let lost = [Table::Uid, Table::Change].map(crate::store::keys::whole);
    for range in lost {
        let found = Arc::new(Mutex::new(Vec::new()));
        let keys = found.clone();
        let visit = Box::new(move |key: &[u8], _: &[u8]| {
            keys.lock().unwrap().push(crate::store::engine::Write::Delete { key: key.to_vec() });
            std::ops::ControlFlow::Continue(())
        });
        let snapshot = engine.snapshot().await.unwrap();
        snapshot.scan(range, crate::store::engine::Extent::Few, visit).await.unwrap();
        let writes = std::mem::take(&mut *found.lock().unwrap());
        engine.inner.commit(Batch { writes, ..Batch::default() }).await.unwrap();
    }
    let (writer, by) = (service.clone(), caller.clone());
    engine.before_commit(async move {
        writer.store_card(&by, "contacts", "d", card("d", "A")).await.unwrap();
    });
    let AdminAnswer::Checked(report) = service.admin(AdminRequest::Check { repair: true }).await else {
        panic!("no report")
    };
    assert_eq!(report.faults, Vec::<String>::new());
    assert!(report.repaired > 0);
    // The whole log was gone: nobody knows what a client of before would have to be told.
    let answer = service.changes(&caller, &caller.books(), &name("contacts"), follower.token, None).await;
    assert!(matches!(refused(answer), Refusal::BadToken));
    let mut follower = Follower::default();
    follower.follow(&service, &caller, Some(1)).await;
    assert_eq!(follower.holds, service.names(&caller, "contacts").await);
    assert_eq!(follower.holds.len(), 4);
    let taken = service.store_card(&caller, "contacts", "e", card("a", "A")).await;
    assert!(matches!(refused(taken), Refusal::UidTaken { .. }));
}
