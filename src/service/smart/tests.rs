//! Who follows a smart book's tokens holds what its filter finds, whatever happens to the contacts, the
//! books, the rights and the filter, and whenever the server is killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use uuid::Uuid;

use super::*;
use crate::domain::ical::Components;
use crate::domain::id::CollectionKind::AddressBook;
use crate::domain::id::Principal;
use crate::domain::token::SyncToken;
use crate::service::definitions::filters::{FilterFields, Serves};
use crate::service::library::NewBook;
use crate::service::office::{ContactRef, ContactView, Draft, Found, Listed, MergeAsked, RecordDraft, Take};
use crate::service::place::Place;
use crate::service::refusal::Refusal;
use crate::service::sharing::Access;
use crate::service::tests::{Counting, Ticking, add, card, name, quick, refused, sign_in};
use crate::service::transfer::Manner;
use crate::service::view::{PropertyValue, Verb};
use crate::service::{ContactSettings, Settings};
use crate::store::engine::memory::MemoryEngine;
use crate::store::keys::Table;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::tests::key_file;

/// A server that can be killed and started again.
struct Site {
    engine: Arc<MemoryEngine>,
    medium: MemoryMedium,
    settings: Settings,
    starts: u64,
    service: Arc<Service>,
    alice: Caller,
    bob: Caller,
}

impl Site {
    async fn new(trash_days: u32) -> Self {
        let contacts = ContactSettings { trash_days, ..ContactSettings::default() };
        let settings = Settings { contacts, ..quick() };
        let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
        let service = started(&engine, &medium, &settings, 0).await;
        for user in ["alice", "bob"] {
            add(&service, user).await;
        }
        let alice = sign_in(&service, "alice", "secret").await.unwrap();
        let bob = sign_in(&service, "bob", "secret").await.unwrap();
        Self { engine, medium, settings, starts: 0, service, alice, bob }
    }

    async fn kill(&mut self) {
        self.starts += 1;
        self.service = started(&self.engine, &self.medium, &self.settings, self.starts).await;
    }

    async fn smart(&self, filter: &str) -> Uuid {
        let new = wanted("smart");
        let made = self.service.create_smart_book(&self.alice, new, Serves::Text(filter.into())).await;
        made.unwrap().smart.unwrap()
    }

    async fn put(&self, who: &Caller, book: &str, file: &str, text: &str) -> Answer<()> {
        self.service.store_card(who, book, file, card(&format!("uid-{book}-{file}"), text)).await.map(drop)
    }

    async fn delete(&self, who: &Caller, book: &str, file: &str) -> Answer<()> {
        let place = Place::Object(who.books(), name(book), name(file));
        self.service.delete(who, &place, Vec::new()).await
    }

    async fn moved(&self, from: (&str, &str), to: (&str, &str)) -> Answer<()> {
        let place = |(book, file): (&str, &str)| Place::Object(self.alice.books(), name(book), name(file));
        let manner = Manner { verb: Verb::Move, overwrite: true, shallow: false };
        let (from, to) = (place(from), place(to));
        self.service.transfer(&self.alice, manner, &from, &to, Vec::new()).await.map(drop)
    }

    /// What the owner is told that the filter finds.
    async fn listed(&self, filter: &str) -> Vec<ContactView> {
        let filter = Some(Filter::parse(filter).unwrap());
        let listed =
            Listed { filter, query: None, order: Vec::new(), step: None, limit: 10_000, trash: false };
        self.service.list_contacts(&self.alice, listed).await.unwrap().contacts
    }

    /// Follows, and compares with what the API lists; answers how much was told.
    async fn agree(&self, follower: &mut Follower, filter: &str) -> (usize, usize) {
        self.service.smart_settled().await.unwrap();
        let told = follower.follow(&self.service, &self.alice).await;
        let expected: BTreeMap<String, String> = self
            .listed(filter)
            .await
            .into_iter()
            .map(|contact| {
                let (etag, _) = contact.etag.split_once('-').unwrap();
                (format!("{}.vcf", contact.id), etag.to_owned())
            })
            .collect();
        assert_eq!(follower.holds, expected);
        told
    }

    async fn sound(&self) {
        self.service.assert_sound().await;
        assert_eq!(self.service.damaged_values(), 0);
    }
}

async fn started(
    engine: &Arc<MemoryEngine>,
    medium: &MemoryMedium,
    settings: &Settings,
    starts: u64,
) -> Arc<Service> {
    let hours = i64::try_from(starts).unwrap();
    let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000 + hours * 3_600_000)));
    let entropy = Arc::new(Counting(AtomicU64::new(starts << 32)));
    let opened = Service::open(engine.clone(), key_file(medium), clock, entropy, settings.clone()).await;
    Arc::new(opened.unwrap())
}

fn wanted(book: &str) -> NewBook {
    let owner = Principal::User(UserName::parse("alice").unwrap());
    NewBook { owner, name: name(book), components: Components::NONE, private: false, shares: Vec::new() }
}

#[derive(Default)]
struct Follower {
    token: Option<SyncToken>,
    /// The entity tag of each member, in hexadecimal digits.
    holds: BTreeMap<String, String>,
}

impl Follower {
    async fn follow(&mut self, service: &Service, caller: &Caller) -> (usize, usize) {
        let changes =
            service.changes(caller, &caller.books(), &name("smart"), self.token, None).await.unwrap();
        assert!(!changes.truncated && changes.damaged.is_empty());
        let told = (changes.changed.len(), changes.removed.len());
        for card in changes.changed {
            let etag = card.etag.0.iter().map(|octet| format!("{octet:02x}")).collect();
            self.holds.insert(card.name.as_str().into(), etag);
        }
        for gone in changes.removed {
            self.holds.remove(gone.as_str());
        }
        self.token = Some(changes.token);
        told
    }
}

const ANN: &str = "name.formatted sw \"Ann\"";

#[tokio::test]
async fn contacts_enter_and_leave_as_one_change_each() {
    let site = Site::new(30).await;
    site.put(&site.alice, "contacts", "a", "Ann").await.unwrap();
    site.put(&site.alice, "contacts", "b", "Bea").await.unwrap();
    let filter = site.smart(ANN).await;
    let mut follower = Follower::default();
    assert_eq!(site.agree(&mut follower, ANN).await, (1, 0));
    assert_eq!(site.agree(&mut follower, ANN).await, (0, 0));
    site.put(&site.alice, "contacts", "b", "Anna").await.unwrap();
    assert_eq!(site.agree(&mut follower, ANN).await, (1, 0), "it enters");
    site.put(&site.alice, "contacts", "b", "Annabel").await.unwrap();
    assert_eq!(site.agree(&mut follower, ANN).await, (1, 0), "it changes");
    site.moved(("contacts", "b"), ("contacts", "c")).await.unwrap();
    assert_eq!(site.agree(&mut follower, ANN).await, (0, 0), "where it lies is no matter");
    site.moved(("contacts", "c"), ("contacts", "b")).await.unwrap();
    site.put(&site.alice, "contacts", "b", "Bea").await.unwrap();
    assert_eq!(site.agree(&mut follower, ANN).await, (0, 1), "it leaves");
    site.delete(&site.alice, "contacts", "a").await.unwrap();
    assert_eq!(site.agree(&mut follower, ANN).await, (0, 1), "it is deleted");

    let mut filters = site.service.filters(&site.alice).await.unwrap();
    let saved = filters.pop().unwrap().filter;
    assert_eq!((saved.id, saved.fields.name.as_str()), (filter, "smart"));
    let refusal = refused(site.service.remove_filter(&site.alice, &saved).await);
    assert!(matches!(refusal, Refusal::Conflict(_)), "a book serves it");
    let again = site.service.create_smart_book(&site.alice, wanted("second"), Serves::Saved(filter)).await;
    assert!(matches!(refused(again), Refusal::Conflict(_)));
    let other = "name.formatted sw \"Bea\"";
    let fields = FilterFields { filter: other.into(), name: "Friends".into(), ..saved.fields.clone() };
    assert!(site.service.change_filter(&site.alice, &saved, fields).await.unwrap());
    assert_eq!(site.agree(&mut follower, other).await, (1, 0), "the filter is another");
    let home = site.service.home(&site.alice, &site.alice.books()).await.unwrap();
    let shown = home.books.iter().flat_map(|book| &book.properties).map(|property| &property.value);
    let called =
        |value: &PropertyValue| matches!(value, PropertyValue::Text { text, .. } if text == "Friends");
    assert!(shown.into_iter().any(called), "and so is its name");

    let alice = Principal::User(site.alice.name.clone());
    let book = site.service.library_book(&site.alice, AddressBook, &alice, &name("smart")).await.unwrap();
    assert!(site.service.remove_library_book(&site.alice, &book).await.unwrap());
    while let Some(id) = site.service.store.condemned().await.unwrap().pop() {
        site.sound().await;
        while site.service.store.purge_step(id, site.service.clock.now()).await.unwrap() {}
    }
    assert_eq!(site.listed(other).await.len(), 1, "its contacts are elsewhere");
    assert!(site.service.contact(&site.alice, ContactRef::Number(0, 2)).await.is_ok());
    let saved = site.service.filter(&site.alice, filter).await.unwrap().filter;
    site.service.remove_filter(&site.alice, &saved).await.unwrap();
    site.sound().await;
}

#[tokio::test]
async fn nobody_writes_into_a_smart_book() {
    let site = Site::new(30).await;
    site.put(&site.alice, "contacts", "a", "Ann").await.unwrap();
    site.smart(ANN).await;
    site.service.smart_settled().await.unwrap();
    let shown = site.listed(ANN).await.pop().unwrap();
    let file = format!("{}.vcf", shown.id);
    let lacks = |refusal: Refusal| matches!(refusal, Refusal::NeedPrivileges(_));
    assert!(lacks(refused(site.put(&site.alice, "smart", "b", "Bea").await)));
    assert!(lacks(refused(site.put(&site.alice, "smart", &file, "Bea").await)));
    assert!(lacks(refused(site.delete(&site.alice, "smart", &file).await)));
    assert!(lacks(refused(site.moved(("smart", &file), ("contacts", "b")).await)));
    assert!(lacks(refused(site.moved(("contacts", "a"), ("smart", "a")).await)));
    let draft = Draft { book: Some("alice/smart".into()), ..drafted(&shown) };
    assert!(matches!(
        refused(site.service.change_contact(&site.alice, &shown, draft).await),
        Refusal::NeedPermission(_)
    ));
    let copy = Manner { verb: Verb::Copy, overwrite: false, shallow: false };
    let place = |book: &str, file: &str| Place::Object(site.alice.books(), name(book), name(file));
    site.service.create_book(&site.alice, &site.alice.books(), &name("other"), vec![], vec![]).await.unwrap();
    let (from, to) = (place("smart", &file), place("other", "b"));
    site.service.transfer(&site.alice, copy, &from, &to, Vec::new()).await.unwrap();
    assert_eq!(site.listed(ANN).await.len(), 2, "a copy is a contact of its own");
    site.sound().await;
}

#[tokio::test]
async fn what_is_private_or_shared_no_more_is_not_shown() {
    let site = Site::new(30).await;
    let ids = |library: Vec<crate::service::library::BookView>| {
        library.into_iter().map(|book| (book.name.as_str().to_owned(), book.id)).collect::<BTreeMap<_, _>>()
    };
    site.put(&site.bob, "contacts", "a", "Ann").await.unwrap();
    let theirs = ids(site.service.library(&site.bob, AddressBook).await.unwrap())["contacts"];
    let alice = Principal::User(site.alice.name.clone());
    site.smart(ANN).await;
    let mut follower = Follower::default();
    assert_eq!(site.agree(&mut follower, ANN).await, (0, 0));
    site.service.share(Some(&site.bob), theirs, &alice, Some(Access::Read)).await.unwrap();
    assert_eq!(site.agree(&mut follower, ANN).await, (1, 0));
    site.service.share(Some(&site.bob), theirs, &alice, None).await.unwrap();
    assert_eq!(site.agree(&mut follower, ANN).await, (0, 1));
    site.put(&site.alice, "contacts", "a", "Anna").await.unwrap();
    assert_eq!(site.agree(&mut follower, ANN).await, (1, 0));
    let own = ids(site.service.library(&site.alice, AddressBook).await.unwrap())["contacts"];
    site.service.set_private(Some(&site.alice), own, true).await.unwrap();
    site.service.smart_settled().await.unwrap();
    assert_eq!(follower.follow(&site.service, &site.alice).await, (0, 1), "others may share the smart one");
    site.sound().await;
}

#[tokio::test]
async fn what_is_erased_is_gone_and_no_damage_before_it_is_looked_at() {
    let mut site = Site::new(0).await;
    site.put(&site.alice, "contacts", "a", "Ann").await.unwrap();
    site.put(&site.alice, "contacts", "b", "Anna").await.unwrap();
    site.smart(ANN).await;
    let mut follower = Follower::default();
    assert_eq!(site.agree(&mut follower, ANN).await, (2, 0));
    site.delete(&site.alice, "contacts", "a").await.unwrap();
    site.service.erase_now().await.unwrap();
    // The key's slot is another's soon.
    site.put(&site.alice, "contacts", "c", "Cleo").await.unwrap();
    assert_eq!(site.service.names(&site.alice, "smart").await.len(), 1);
    site.sound().await;
    site.kill().await;
    assert_eq!(site.service.names(&site.alice, "smart").await.len(), 1);
    site.sound().await;
    assert_eq!(site.agree(&mut follower, ANN).await, (0, 1));
    site.sound().await;
    assert_eq!(site.service.store.count(Table::Body).await.unwrap(), 3);
}

fn drafted(shown: &ContactView) -> Draft {
    let names = (shown.assigned_to.clone(), shown.reports_to.clone(), shown.company.clone());
    Draft { book: None, fields: shown.fields.clone(), record: RecordDraft::of(&shown.record, names) }
}

#[tokio::test]
async fn three_hundred_random_steps_are_followed() {
    for trash in [30, 0] {
        walk(trash).await;
    }
}

async fn walk(trash_days: u32) {
    let mut site = Site::new(trash_days).await;
    for (who, book) in [(&site.alice, "other"), (&site.bob, "team")] {
        site.service.create_book(who, &who.books(), &name(book), Vec::new(), Vec::new()).await.unwrap();
    }
    let team = site.service.library(&site.bob, AddressBook).await.unwrap();
    let team = team.into_iter().find(|book| book.name == name("team")).unwrap().id;
    let mut filter = ANN;
    let id = site.smart(filter).await;
    let mut follower = Follower::default();
    let mut random = 7_u64;
    let mut dice = |sides: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % sides
    };
    for step in 0..300 {
        let (file, text) = (format!("{}.vcf", dice(8)), ["Ann", "Bea", "Anna Bea"][dice(3)]);
        let text = format!("{text} {step}");
        match dice(14) {
            0..=3 => drop(site.put(&site.alice, ["contacts", "other"][dice(2)], &file, &text).await),
            4 | 5 => drop(site.put(&site.bob, "team", &file, &text).await),
            6 => drop(site.delete(&site.alice, ["contacts", "other"][dice(2)], &file).await),
            7 => {
                let books = [["contacts", "other"], ["other", "contacts"]][dice(2)];
                drop(site.moved((books[0], &file), (books[1], &file)).await);
            }
            8 => {
                let access = [None, Some(Access::Read), Some(Access::Write)][dice(3)];
                let alice = Principal::User(site.alice.name.clone());
                site.service.share(Some(&site.bob), team, &alice, access).await.unwrap();
            }
            9 => {
                filter = [ANN, "name.formatted co \"Bea\"", "book eq \"alice/other\""][dice(3)];
                let saved = site.service.filter(&site.alice, id).await.unwrap().filter;
                let fields = FilterFields { filter: filter.into(), ..saved.fields.clone() };
                assert!(site.service.change_filter(&site.alice, &saved, fields).await.unwrap());
            }
            10 => {
                let mut all = site.listed("name.formatted pr and not (book eq \"bob/team\")").await;
                let at = dice(all.len().max(1));
                if all.len() > 1 && all.iter().all(|contact| contact.book.starts_with("alice")) {
                    let source = all.remove(at);
                    let target = all.swap_remove(at % all.len());
                    let asked = MergeAsked { target, sources: vec![source], take: Take::default() };
                    drop(site.service.merge_contacts(&site.alice, &asked).await.unwrap());
                }
            }
            11 => {
                if let Some(shown) = site.listed("name.formatted sw \"Bea\"").await.first() {
                    let mut draft = drafted(shown);
                    draft.fields.name.formatted = text;
                    drop(site.service.change_contact(&site.alice, shown, draft).await);
                }
            }
            12 => site.kill().await,
            _ => {
                site.service.erase_now().await.unwrap();
                site.sound().await;
            }
        }
        if dice(2) == 0 {
            site.agree(&mut follower, filter).await;
        }
    }
    site.agree(&mut follower, filter).await;
    site.sound().await;
    let all = site.listed("name.formatted pr").await;
    for shown in &all {
        let found = site.service.contact(&site.alice, ContactRef::Id(shown.id)).await.unwrap();
        assert!(matches!(found, Found::There(_)));
    }
}
