//! Shared books as those see them who share them: alice and carol have books, bob is given some, and
//! `sales` is a group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use crate::domain::id::HomeName;

use super::super::access::{Caller, Privilege};
use super::super::admin::{AdminAnswer, AdminRequest};
use super::super::place::{Place, Precondition, State};
use super::super::tests::{add, card, name, open_service, refused, service, sign_in};
use super::super::transfer::Manner;
use super::super::view::{
    Carry, Detail, Members, Property, PropertyChange, PropertyName, PropertyValue, Sharer, Transferred, Verb,
};
use super::super::{Service, Stop};
use super::*;
use crate::domain::filter::Filter;
use crate::domain::ical::{Components, Kind};
use crate::domain::id::{Revision, UserName};
use crate::domain::search::Mode;
use crate::domain::token::SyncToken;
use crate::store::tests::furniture::ics;

/// A service with its three users.
struct World {
    service: Arc<Service>,
}

impl World {
    async fn new() -> Self {
        let service = service().await;
        for user in ["alice", "bob", "carol"] {
            add(&service, user).await;
            sign_in(&service, user, "secret").await.unwrap();
        }
        Self { service }
    }

    /// The user as the next request sees it.
    async fn user(&self, user: &str) -> Caller {
        sign_in(&self.service, user, "secret").await.unwrap()
    }

    async fn make(&self, owner: &str, book: &str) {
        let owner = self.user(owner).await;
        self.service.create_book(&owner, &owner.books(), &name(book), Vec::new(), Vec::new()).await.unwrap();
    }

    async fn share(&self, book: &str, with: &str, access: Option<Access>) {
        self.service.share_asked(book, with, access).await.unwrap();
    }

    async fn put(&self, user: &str, at: &str, uid: &str) -> Answer<()> {
        let (caller, (home, book, file)) = (self.user(user).await, split(at));
        let at = (&home, &book, &file);
        self.service.put(&caller, at, card(uid, uid), Vec::new()).await.map(drop)
    }

    /// The books of a user's home, in its order; those that are others' with whose they are.
    async fn home(&self, user: &str) -> Vec<String> {
        self.home_of(user, CollectionKind::AddressBook).await
    }

    /// The same of the user's calendars.
    async fn calendars(&self, user: &str) -> Vec<String> {
        self.home_of(user, CollectionKind::Calendar).await
    }

    async fn home_of(&self, user: &str, kind: CollectionKind) -> Vec<String> {
        let caller = self.user(user).await;
        let home = HomeName::new(kind, caller.name.clone());
        let view = self.service.home(&caller, &home).await.unwrap();
        assert!(view.damaged.is_empty() && !view.nameless);
        let shown = |book: &super::super::view::CollectionView| {
            let name = book.name.as_ref().unwrap().as_str().to_owned();
            match &book.sharer {
                Sharer::Own => name,
                Sharer::Known(who) => format!("{name}<{}", who.as_str()),
                Sharer::Unknown => format!("{name}<?"),
            }
        };
        view.books.iter().map(shown).collect()
    }

    async fn revision(&self, user: &str) -> Revision {
        let caller = self.user(user).await;
        self.service.home(&caller, &caller.books()).await.unwrap().home.revision
    }

    /// Whether the book at `HOME/BOOK` is there for a user, and what may be done with it.
    async fn words(&self, user: &str, at: &str) -> String {
        let (caller, (owner, book)) = (self.user(user).await, at.split_once('/').unwrap());
        let owner = UserName::parse(owner).unwrap();
        let view = self
            .service
            .book(&caller, &HomeName::books(owner.clone()), &name(book), Members::None, Detail::default())
            .await;
        match view {
            Ok(view) => {
                let rights = view.book.rights;
                let all =
                    [(rights.read, 'r'), (rights.write, 'w'), (rights.describe, 'd'), (rights.owner, 'o')];
                all.iter().filter(|(there, _)| *there).map(|(_, word)| word).collect()
            }
            Err(Stop::Refused(Refusal::NotFound)) => "404".into(),
            Err(other) => panic!("{other}"),
        }
    }

    /// What a client that follows its home's tokens is told.
    async fn told(&self, user: &str, since: &mut Option<SyncToken>) -> (Vec<String>, Vec<String>) {
        let caller = self.user(user).await;
        let changes = self.service.home_changes(&caller, &caller.books(), *since, None).await.unwrap();
        *since = Some(changes.token);
        let changed = changes.changed.iter().map(|book| book.name.clone().unwrap().as_str().to_owned());
        let removed = changes.removed.iter().map(|name| name.as_str().to_owned());
        (changed.collect(), removed.collect())
    }

    async fn group(&self, group: &str, members: &[&str]) {
        self.service.group_asked(group).await.unwrap();
        for member in members {
            self.service.member_asked(group, member, true).await.unwrap();
        }
    }

    /// Makes a book that belongs to a group.
    async fn group_book(&self, group: &str, book: &str) {
        let reader = self.service.store.read().await.unwrap();
        let group = Principal::Group(crate::domain::id::GroupName::parse(group).unwrap());
        let row = reader.principal(&group).await.unwrap().unwrap();
        drop(reader);
        let create = CollectionOp::Create {
            home: CollectionId::from_bytes(row.home),
            name: name(book),
            id: CollectionId::new(self.service.fresh().unwrap()),
            owner: crate::domain::id::AccountId::from_bytes(row.id),
            default: false,
            components: 0,
            properties: Vec::new(),
            replace: false,
        };
        self.service.commit(None, Vec::new(), vec![Op::Collection(create)]).await.unwrap();
        self.service.settle_members(&row, None).await.unwrap();
    }
}

fn split(at: &str) -> (HomeName, MemberName, MemberName) {
    let parts: Vec<_> = at.split('/').collect();
    (HomeName::books(UserName::parse(parts[0]).unwrap()), name(parts[1]), name(parts[2]))
}

fn at(text: &str) -> Place {
    let parts: Vec<_> = text.split('/').collect();
    let owner = UserName::parse(parts[0]).unwrap();
    match parts.len() {
        2 => Place::Collection(HomeName::books(owner), name(parts[1])),
        _ => Place::Object(HomeName::books(owner), name(parts[1]), name(parts[2])),
    }
}

fn set(local: &str, text: &str) -> PropertyChange {
    let name = PropertyName { namespace: "DAV:".into(), local: local.into() };
    PropertyChange::Set(Property { name, value: PropertyValue::Text { text: text.into(), lang: None } })
}

/// COPY or MOVE.
async fn go(service: &Service, caller: &Caller, manner: Manner, from: &str, to: &str) -> Answer<Transferred> {
    service.transfer(caller, manner, &at(from), &at(to), Vec::new()).await
}

const READ: Option<Access> = Some(Access::Read);
const WRITE: Option<Access> = Some(Access::Write);

#[tokio::test]
async fn a_shared_book_lies_in_the_sharees_home_after_the_users_own() {
    let world = World::new().await;
    world.make("alice", "a-team").await;
    world.make("bob", "zoo").await;
    world.share("alice/a-team", "bob", READ).await;
    assert_eq!(world.home("bob").await, ["contacts", "zoo", "a-team<alice"]);
    assert_eq!(world.home("alice").await, ["contacts", "a-team"]);
    assert_eq!(world.home("carol").await, ["contacts"]);
    assert_eq!(world.words("bob", "bob/a-team").await, "rd");
    assert_eq!(world.words("bob", "alice/a-team").await, "r");
    assert_eq!(world.words("carol", "alice/a-team").await, "404");
    assert_eq!(world.words("bob", "alice/contacts").await, "404");
    // Another's book in bob's home is nobody else's way in.
    assert_eq!(world.words("alice", "bob/a-team").await, "404");
    world.share("alice/a-team", "bob", WRITE).await;
    assert_eq!(world.words("bob", "bob/a-team").await, "rwd");
    assert_eq!(world.words("bob", "alice/a-team").await, "rw");
    // Everybody's books come last, and nobody is told whose they are.
    world.make("carol", "all").await;
    let reader = world.service.store.read().await.unwrap();
    let carol = reader.account(&UserName::parse("carol").unwrap()).await.unwrap().unwrap();
    let book = reader.link(CollectionId::from_bytes(carol.home), &name("all")).await.unwrap().unwrap().book;
    drop(reader);
    let after = vec![ShareRow { account: EVERYBODY, write: false }];
    let everybody = CollectionOp::Share { id: book, before: Vec::new(), after };
    let mount = CollectionOp::Mount { home: world.user("bob").await.home, name: name("a-all"), id: book };
    let ops = vec![Op::Collection(everybody), Op::Collection(mount)];
    world.service.commit(None, Vec::new(), ops).await.unwrap();
    assert_eq!(world.home("bob").await, ["contacts", "zoo", "a-team<alice", "a-all<?"]);
    assert_eq!(world.words("bob", "bob/a-all").await, "rd");
}

#[tokio::test]
async fn sync_22_and_26_a_revoked_share_is_gone_for_the_whole_report_and_from_the_homes_sync() {
    let world = World::new().await;
    world.make("alice", "team").await;
    world.put("alice", "alice/team/a", "a").await.unwrap();
    let mut since = None;
    world.told("bob", &mut since).await;
    world.share("alice/team", "bob", READ).await;
    assert_eq!(world.told("bob", &mut since).await, (vec!["team".into()], vec![]));
    let bob = world.user("bob").await;
    let team = name("team");
    let changes = world.service.changes(&bob, &bob.books(), &team, None, None).await.unwrap();
    assert_eq!(changes.changed.len(), 1);
    let token = changes.token;
    // Other rights are told too, since clients look at them only when they hear of a change.
    world.share("alice/team", "bob", WRITE).await;
    assert_eq!(world.told("bob", &mut since).await, (vec!["team".into()], vec![]));
    assert_eq!(world.told("bob", &mut since).await, (vec![], vec![]));
    world.share("alice/team", "bob", WRITE).await;
    assert_eq!(world.told("bob", &mut since).await, (vec![], vec![]), "nothing changed");
    world.share("alice/team", "bob", None).await;
    assert_eq!(world.told("bob", &mut since).await, (vec![], vec!["team".into()]));
    for owner in ["bob", "alice"] {
        let owner = UserName::parse(owner).unwrap();
        let service = &world.service;
        let members = Members::Named(vec![name("a")]);
        let book =
            service.book(&bob, &HomeName::books(owner.clone()), &team, members, Detail::default()).await;
        assert_eq!(refused(book.map(drop)), Refusal::NotFound);
        let changes = service.changes(&bob, &HomeName::books(owner.clone()), &team, Some(token), None).await;
        assert_eq!(refused(changes.map(drop)), Refusal::NotFound);
        let mut carry = Carry::new(Detail::default());
        let query = service
            .query(&bob, &HomeName::books(owner.clone()), &team, Filter::default(), None, &mut carry)
            .await;
        assert_eq!(refused(query.map(drop)), Refusal::NotFound);
    }
    assert_eq!(world.home("bob").await, ["contacts"]);
    world.service.assert_sound().await;
}

#[tokio::test]
async fn a_revoked_share_is_refused_before_its_place_is_gone() {
    let world = World::new().await;
    world.make("alice", "team").await;
    world.share("alice/team", "bob", WRITE).await;
    let reader = world.service.store.read().await.unwrap();
    let alice = world.user("alice").await;
    let book = reader.link(alice.home, &name("team")).await.unwrap().unwrap().book;
    let row = super::collection(&reader, book).await.unwrap().unwrap();
    drop(reader);
    // The server is killed between the two commits.
    let revoke = CollectionOp::Share { id: book, before: row.shares, after: Vec::new() };
    world.service.commit(None, Vec::new(), vec![Op::Collection(revoke)]).await.unwrap();
    assert_eq!(world.home("bob").await, ["contacts"]);
    assert_eq!(world.words("bob", "bob/team").await, "404");
    let refusal = refused(world.put("bob", "bob/team/x", "x").await);
    assert!(matches!(refusal, Refusal::NoParent | Refusal::NotFound), "{refusal:?}");
    let bob = world.user("bob").await;
    assert_eq!(refused(world.service.delete(&bob, &at("bob/team"), Vec::new()).await), Refusal::NotFound);
    let exists = vec![Precondition::one(at("bob/team"), State::Exists, false)];
    assert!(!world.service.check(&bob, exists).await.unwrap());
    assert!(world.service.search(&bob, "a", Mode::Substring, 9).await.unwrap().is_empty());
    world.service.assert_sound().await;
}

#[tokio::test]
async fn places_that_a_kill_left_behind_follow_at_the_next_start() {
    let world = World::new().await;
    for book in ["team", "gone"] {
        world.make("alice", book).await;
        world.share(&format!("alice/{book}"), "bob", READ).await;
    }
    let alice = world.user("alice").await;
    let reader = world.service.store.read().await.unwrap();
    let book = reader.link(alice.home, &name("gone")).await.unwrap().unwrap().book;
    drop(reader);
    let remove = CollectionOp::Remove { home: alice.home, name: name("gone"), book };
    world.service.commit(None, Vec::new(), vec![Op::Collection(remove)]).await.unwrap();
    let bob = world.user("bob").await;
    let unmount = CollectionOp::Unmount { home: bob.home, name: name("team") };
    world.service.commit(None, Vec::new(), vec![Op::Collection(unmount)]).await.unwrap();
    // And two settlings at once gave a book two places.
    world.make("alice", "twice").await;
    world.share("alice/twice", "bob", READ).await;
    let reader = world.service.store.read().await.unwrap();
    let book = reader.link(alice.home, &name("twice")).await.unwrap().unwrap().book;
    drop(reader);
    let mount = CollectionOp::Mount { home: bob.home, name: name("twice-alice"), id: book };
    world.service.commit(None, Vec::new(), vec![Op::Collection(mount)]).await.unwrap();
    world.service.settle_all().await.unwrap();
    let mut home = world.home("bob").await;
    let twice = home.pop().unwrap();
    assert!(twice.starts_with("twice"), "{twice}");
    assert_eq!(home, ["contacts", "team<alice"]);
    let before = world.revision("bob").await;
    world.service.settle_all().await.unwrap();
    assert_eq!(world.revision("bob").await, before, "there is nothing left to do");
    world.service.purge_all().await.unwrap();
    world.service.assert_sound().await;
}

#[tokio::test]
async fn cs_11_a_sharee_calls_a_book_something_else_for_itself_alone() {
    let world = World::new().await;
    world.make("alice", "team").await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let service = &world.service;
    let owners = vec![set("displayname", "The team"), set("colour", "red"), set("note", "n")];
    service.patch(&alice, &at("alice/team"), owners, Vec::new()).await.unwrap();
    for user in ["bob", "carol"] {
        world.share("alice/team", user, READ).await;
    }
    let own = vec![set("displayname", "Alice's"), set("colour", "blue")];
    service.patch(&bob, &at("bob/team"), own, Vec::new()).await.unwrap();
    let mut since = None;
    world.told("bob", &mut since).await;
    let shown = async |user: &str, owner: &str| -> BTreeMap<String, String> {
        let (caller, owner) = (world.user(user).await, UserName::parse(owner).unwrap());
        let view = service
            .book(&caller, &HomeName::books(owner.clone()), &name("team"), Members::None, Detail::default())
            .await;
        let listed = service.home(&caller, &caller.books()).await.unwrap().books;
        let view = view.unwrap().book;
        if caller.name == owner {
            let listed = listed.iter().find(|book| book.id == view.id).unwrap();
            assert_eq!(listed.properties, view.properties, "a listing says the same");
        }
        let text = |property: &Property| match &property.value {
            PropertyValue::Text { text, .. } => (property.name.local.clone(), text.clone()),
            PropertyValue::Xml(_) => panic!("not text"),
        };
        view.properties.iter().map(text).collect()
    };
    let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
    };
    let theirs = of(&[("displayname", "The team"), ("colour", "red"), ("note", "n")]);
    let blue = of(&[("displayname", "Alice's"), ("colour", "blue"), ("note", "n")]);
    assert_eq!(shown("bob", "bob").await, blue);
    for (user, owner) in [("alice", "alice"), ("carol", "carol"), ("carol", "alice"), ("bob", "alice")] {
        assert_eq!(shown(user, owner).await, theirs, "{user} at {owner}'s");
    }
    // What the owner writes shows through where the sharee has written nothing.
    service.patch(&alice, &at("alice/team"), vec![set("note", "m")], Vec::new()).await.unwrap();
    assert_eq!(shown("bob", "bob").await["note"], "m");
    let remove = PropertyChange::Remove(PropertyName { namespace: "DAV:".into(), local: "colour".into() });
    service.patch(&bob, &at("bob/team"), vec![remove], Vec::new()).await.unwrap();
    assert_eq!(shown("bob", "bob").await["colour"], "red");
    assert_eq!(world.told("bob", &mut since).await.0, ["team"], "their other clients hear of it");
    // With the share go the sharee's words.
    world.share("alice/team", "bob", None).await;
    world.share("alice/team", "bob", READ).await;
    assert_eq!(shown("bob", "bob").await["displayname"], "The team");
    world.service.assert_sound().await;
}

#[tokio::test]
async fn cs_10_leaving_is_the_sharees_delete() {
    let world = World::new().await;
    world.make("alice", "team").await;
    world.put("alice", "alice/team/a", "a").await.unwrap();
    world.group("sales", &["bob", "carol"]).await;
    world.share("alice/team", "bob", READ).await;
    world.share("alice/team", "group:sales", WRITE).await;
    let bob = world.user("bob").await;
    let mut since = None;
    world.told("bob", &mut since).await;
    world.service.delete(&bob, &at("bob/team"), Vec::new()).await.unwrap();
    assert_eq!(world.told("bob", &mut since).await, (vec![], vec!["team".into()]));
    assert_eq!(world.home("bob").await, ["contacts"]);
    assert_eq!(world.home("carol").await, ["contacts", "team<alice"]);
    assert_eq!(world.service.names(&world.user("alice").await, "team").await.len(), 1);
    // Whatever is settled later, the group's share does not bring it back; a share of one's own does.
    world.service.settle_all().await.unwrap();
    world.share("alice/team", "group:sales", READ).await;
    assert_eq!(world.home("bob").await, ["contacts"]);
    world.share("alice/team", "bob", None).await;
    assert_eq!(world.home("bob").await, ["contacts"]);
    world.share("alice/team", "bob", READ).await;
    assert_eq!(world.home("bob").await, ["contacts", "team<alice"]);
    assert_eq!(world_shares(&world, "team").await, ["bob", "sales"]);
}

async fn world_shares(world: &World, book: &str) -> Vec<String> {
    let alice = world.user("alice").await;
    let reader = world.service.store.read().await.unwrap();
    let link = reader.link(alice.home, &name(book)).await.unwrap().unwrap();
    drop(reader);
    let shares = world.service.shares(link.book).await.unwrap();
    let mut with: Vec<_> = shares.iter().map(|share| share.with.as_str().to_owned()).collect();
    with.sort();
    with
}

#[tokio::test]
async fn a_name_that_is_taken_gets_the_owners() {
    let world = World::new().await;
    for user in ["alice", "bob", "carol"] {
        world.make(user, "team").await;
    }
    world.share("alice/team", "bob", READ).await;
    world.share("carol/team", "bob", WRITE).await;
    assert_eq!(world.home("bob").await, ["contacts", "team", "team-alice<alice", "team-carol<carol"]);
    assert_eq!(world.words("bob", "bob/team").await, "rwdo");
    // A place keeps its name when another becomes free, in one settling too.
    let bob = world.user("bob").await;
    world.service.delete(&bob, &at("bob/team"), Vec::new()).await.unwrap();
    world.service.settle_all().await.unwrap();
    assert_eq!(world.home("bob").await, ["contacts", "team-alice<alice", "team-carol<carol"]);
    // The default book of a user who has not come yet keeps its name free.
    add(&world.service, "dora").await;
    world.share("alice/contacts", "dora", READ).await;
    assert_eq!(world.home("dora").await, ["contacts", "contacts-alice<alice"]);
    // What others share is not in the way of what is not there, and is not made anew.
    let dora = world.user("dora").await;
    let taken = name("contacts-alice");
    let home = dora.books();
    let make = world.service.create_book(&dora, &home, &taken, Vec::new(), Vec::new());
    assert_eq!(refused(make.await), Refusal::Mapped);
    world.service.assert_sound().await;
}

#[tokio::test]
async fn a_name_is_not_taken_again_in_the_commit_that_frees_it() {
    let world = World::new().await;
    for (group, owner) in [("one", "alice"), ("two", "carol")] {
        world.make(owner, "team").await;
        world.group(group, &[]).await;
        world.share(&format!("{owner}/team"), &format!("group:{group}"), READ).await;
    }
    world.service.member_asked("one", "bob", true).await.unwrap();
    assert_eq!(world.home("bob").await, ["contacts", "team<alice"]);
    // From one group into the other at once, as a directory's sync does it.
    let reader = world.service.store.read().await.unwrap();
    let before = reader.account(&UserName::parse("bob").unwrap()).await.unwrap().unwrap();
    let two = Principal::Group(crate::domain::id::GroupName::parse("two").unwrap());
    let two = reader.principal(&two).await.unwrap().unwrap();
    drop(reader);
    let after = AccountRow { groups: vec![Id(two.id)], ..before.clone() };
    let update = AccountOp::Update { before, after: after.clone() };
    world.service.commit(None, Vec::new(), vec![Op::Account(update)]).await.unwrap();
    world.service.settle(vec![after], None).await.unwrap();
    assert_eq!(world.home("bob").await, ["contacts", "team-carol<carol"]);
    world.service.assert_sound().await;
}

#[tokio::test]
async fn a_groups_share_follows_its_members() {
    let world = World::new().await;
    world.make("alice", "team").await;
    world.group("sales", &["bob"]).await;
    world.share("alice/team", "group:sales", WRITE).await;
    assert_eq!(world.words("bob", "bob/team").await, "rwd");
    assert_eq!(world.words("carol", "carol/team").await, "404");
    world.service.member_asked("sales", "carol", true).await.unwrap();
    assert_eq!(world.home("carol").await, ["contacts", "team<alice"]);
    assert_eq!(world.words("carol", "carol/team").await, "rwd");
    world.put("carol", "carol/team/c", "c").await.unwrap();
    world.put("bob", "alice/team/b", "b").await.unwrap();
    assert_eq!(world.service.names(&world.user("alice").await, "team").await.len(), 2);
    let mut since = None;
    world.told("carol", &mut since).await;
    world.service.member_asked("sales", "carol", false).await.unwrap();
    assert_eq!(world.told("carol", &mut since).await, (vec![], vec!["team".into()]));
    assert_eq!(world.words("carol", "alice/team").await, "404");
    // The owner may be in the group too, and has the book once.
    world.service.member_asked("sales", "alice", true).await.unwrap();
    assert_eq!(world.home("alice").await, ["contacts", "team"]);
    world.share("alice/team", "group:sales", None).await;
    assert_eq!(world.home("bob").await, ["contacts"]);
    world.service.assert_sound().await;
}

#[tokio::test]
async fn a_groups_own_book_is_its_members_work_and_not_theirs_to_dispose_of() {
    let world = World::new().await;
    world.group("sales", &["bob"]).await;
    world.group_book("sales", "leads").await;
    assert_eq!(world.home("bob").await, ["contacts", "leads<sales"]);
    assert_eq!(world.words("bob", "bob/leads").await, "rwd");
    world.put("bob", "bob/leads/a", "a").await.unwrap();
    world.service.member_asked("sales", "carol", true).await.unwrap();
    assert_eq!(world.service.names(&world.user("carol").await, "leads").await.len(), 1);
    world.share("group:sales/leads", "alice", READ).await;
    assert_eq!(world.words("alice", "alice/leads").await, "rd");
    // A member's DELETE leaves it, and what the others have stays.
    let bob = world.user("bob").await;
    world.service.delete(&bob, &at("bob/leads"), Vec::new()).await.unwrap();
    assert_eq!(world.home("bob").await, ["contacts"]);
    assert_eq!(world.home("carol").await, ["contacts", "leads<sales"]);
    assert_eq!(world.service.names(&world.user("carol").await, "leads").await.len(), 1);
    // A user of the group's name is somebody else.
    add(&world.service, "sales").await;
    assert_eq!(world.home("sales").await, ["contacts"]);
    assert_eq!(world.words("carol", "sales/leads").await, "404");
    world.service.assert_sound().await;
}

#[tokio::test]
async fn what_may_only_be_read_is_changed_on_no_way() {
    let world = World::new().await;
    world.make("alice", "team").await;
    world.make("bob", "own").await;
    let first = ["a", "b"];
    for file in first {
        world.put("alice", &format!("alice/team/{file}"), file).await.unwrap();
    }
    world.put("bob", "bob/own/x", "x").await.unwrap();
    world.share("alice/team", "bob", READ).await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let service = &world.service;
    let before = service.names(&alice, "team").await;
    let lacks = |answer: Answer<()>, privilege: Privilege, place: &str| {
        assert_eq!(refused(answer), Refusal::NeedPrivileges(vec![(at(place), privilege)]), "{place}");
    };
    let manner = |verb, overwrite| Manner { verb, overwrite, shallow: false };
    let done = |answer: Answer<Transferred>| answer.map(drop);
    for home in ["bob", "alice"] {
        let [book, there, new] = ["team", "team/a", "team/new"].map(|path| format!("{home}/{path}"));
        lacks(world.put("bob", &there, "a").await, Privilege::WriteContent, &there);
        lacks(world.put("bob", &new, "n").await, Privilege::Bind, &book);
        lacks(service.delete(&bob, &at(&there), Vec::new()).await, Privilege::Unbind, &book);
        // A precondition that holds does not help, and one that does not tells nothing more.
        for state in [State::Exists, State::EtagIn(vec![before["a"]]), State::Never] {
            let when = vec![Precondition::one(at(&there), state, false)];
            lacks(service.delete(&bob, &at(&there), when).await, Privilege::Unbind, &book);
        }
        let note = || vec![set("note", "x")];
        let written = service.patch(&bob, &at(&there), note(), Vec::new()).await;
        lacks(written, Privilege::WriteProperties, &there);
        for verb in [Verb::Copy, Verb::Move] {
            for to in [&there, &new] {
                let into = go(service, &bob, manner(verb, true), "bob/own/x", to);
                lacks(done(into.await), Privilege::Bind, &book);
            }
        }
        let out = go(service, &bob, manner(Verb::Move, true), &there, "bob/own/a");
        lacks(done(out.await), Privilege::Unbind, &book);
        let within = go(service, &bob, manner(Verb::Copy, true), &there, &new);
        lacks(done(within.await), Privilege::Bind, &book);
    }
    let owners = service.patch(&bob, &at("alice/team"), vec![set("displayname", "x")], Vec::new()).await;
    lacks(owners, Privilege::WriteProperties, "alice/team");
    let gone = service.delete(&bob, &at("alice/team"), Vec::new()).await;
    assert_eq!(refused(gone), Refusal::NeedPrivileges(vec![(Place::Home(alice.books()), Privilege::Unbind)]));
    // The book itself: not renamed, not replaced, not moved out of its owner's home.
    let rename = go(service, &bob, manner(Verb::Move, true), "bob/team", "bob/mine");
    lacks(done(rename.await), Privilege::Unbind, "bob/team");
    for verb in [Verb::Copy, Verb::Move] {
        let onto = go(service, &bob, manner(verb, true), "bob/own", "bob/team");
        lacks(done(onto.await), Privilege::Unbind, "bob/team");
        let politely = go(service, &bob, manner(verb, false), "bob/own", "bob/team");
        assert_eq!(refused(done(politely.await)), Refusal::Unmet);
        let away = go(service, &bob, manner(verb, true), "alice/team", "bob/t");
        let away = refused(done(away.await));
        assert!(matches!(away, Refusal::WrongPlace | Refusal::NeedPrivileges(_)), "{away:?}");
    }
    assert_eq!(service.names(&alice, "team").await, before);
    assert_eq!(service.names(&bob, "own").await.len(), 1);
    // What can be read can be copied.
    let copy = go(service, &bob, manner(Verb::Copy, false), "bob/team/a", "bob/own/a");
    assert_eq!(copy.await.unwrap(), Transferred::Created);
    let whole = go(service, &bob, manner(Verb::Copy, false), "bob/team", "bob/copy");
    assert_eq!(whole.await.unwrap(), Transferred::Created);
    assert_eq!(world.words("bob", "bob/copy").await, "rwdo");
    assert_eq!(service.names(&bob, "copy").await.len(), 2);
    world.service.assert_sound().await;
}

#[tokio::test]
async fn what_may_be_written_is_written_on_every_way() {
    let world = World::new().await;
    world.make("alice", "team").await;
    world.share("alice/team", "bob", WRITE).await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let service = &world.service;
    world.put("bob", "bob/team/a", "a").await.unwrap();
    world.put("bob", "alice/team/b", "b").await.unwrap();
    let tag = service.names(&alice, "team").await["a"];
    let when = vec![Precondition::one(at("bob/team/a"), State::EtagIn(vec![tag]), false)];
    service.put(&bob, (&bob.books(), &name("team"), &name("a")), card("a", "A"), when.clone()).await.unwrap();
    let again = service.put(&bob, (&bob.books(), &name("team"), &name("a")), card("a", "A"), when).await;
    assert_eq!(refused(again.map(drop)), Refusal::Unmet);
    // SYNC-24: the shared book's own token, in the sharee's home.
    let token = service.changes(&bob, &bob.books(), &name("team"), None, None).await.unwrap().token;
    let when = vec![Precondition::one(at("bob/team"), State::Token(token), false)];
    service.patch(&bob, &at("bob/team/a"), vec![set("note", "x")], when.clone()).await.unwrap();
    let late = service.patch(&bob, &at("bob/team/a"), vec![set("note", "y")], when).await;
    assert_eq!(refused(late), Refusal::Unmet);
    let manner = Manner { verb: Verb::Move, overwrite: false, shallow: false };
    go(service, &bob, manner, "bob/team/a", "bob/contacts/a").await.unwrap();
    service.delete(&bob, &at("bob/team/b"), Vec::new()).await.unwrap();
    assert!(service.names(&alice, "team").await.is_empty());
    assert_eq!(service.names(&bob, "contacts").await.len(), 1);
    // The book is still not the sharee's to dispose of.
    let owners = service.delete(&bob, &at("alice/team"), Vec::new()).await;
    assert!(matches!(refused(owners), Refusal::NeedPrivileges(_)));
    assert_eq!(world.home("alice").await, ["contacts", "team"]);
    world.service.assert_sound().await;
}

#[tokio::test]
async fn an_app_password_for_reading_changes_nothing_that_is_shared() {
    let world = World::new().await;
    world.make("alice", "team").await;
    world.share("alice/team", "bob", WRITE).await;
    let bob = Caller { contacts: super::super::access::Reach::Read, ..world.user("bob").await };
    let service = &world.service;
    let put = service.put(&bob, (&bob.books(), &name("team"), &name("a")), card("a", "A"), Vec::new()).await;
    assert!(matches!(refused(put.map(drop)), Refusal::NeedPrivileges(_)));
    let leave = service.delete(&bob, &at("bob/team"), Vec::new()).await;
    assert!(matches!(refused(leave), Refusal::NeedPrivileges(_)));
    let patch = service.patch(&bob, &at("bob/team"), vec![set("displayname", "x")], Vec::new()).await;
    assert!(matches!(refused(patch), Refusal::NeedPrivileges(_)));
    assert_eq!(world.home("bob").await, ["contacts", "team<alice"]);
}

#[tokio::test]
async fn a_private_book_is_its_owners_alone() {
    let world = World::new().await;
    world.make("alice", "team").await;
    world.put("alice", "alice/team/a", "a").await.unwrap();
    world.share("alice/team", "bob", WRITE).await;
    let mut since = None;
    world.told("bob", &mut since).await;
    world.service.private_asked("alice/team", true).await.unwrap();
    assert_eq!(world.told("bob", &mut since).await, (vec![], vec!["team".into()]));
    for at in ["bob/team", "alice/team"] {
        assert_eq!(world.words("bob", at).await, "404");
    }
    assert_eq!(world.words("alice", "alice/team").await, "rwdo");
    // No share that is made meanwhile brings it, nor any settling.
    world.share("alice/team", "carol", READ).await;
    world.service.settle_all().await.unwrap();
    assert_eq!(world.home("carol").await, ["contacts"]);
    assert!(
        world.service.search(&world.user("bob").await, "a", Mode::Substring, 9).await.unwrap().is_empty()
    );
    world.service.private_asked("alice/team", false).await.unwrap();
    assert_eq!(world.home("carol").await, ["contacts", "team<alice"]);
    assert_eq!(world.words("bob", "bob/team").await, "rwd");
    world.service.assert_sound().await;
}

#[tokio::test]
async fn a_changed_card_is_one_commit_however_many_share_the_book() {
    let world = World::new().await;
    world.make("alice", "team").await;
    let alice = world.user("alice").await;
    let mut homes = Vec::new();
    let mut commits = Vec::new();
    for sharees in [0, 1, 8] {
        for at in homes.len()..sharees {
            let user = format!("u{at}");
            add(&world.service, &user).await;
            world.user(&user).await;
            world.share("alice/team", &user, WRITE).await;
            homes.push(user);
        }
        let mut before = Vec::new();
        for user in &homes {
            before.push(world.revision(user).await);
        }
        let changes = world.service.store.count(crate::store::keys::Table::Change).await.unwrap();
        let (put, calls) = crate::store::calls::counted(async {
            let at = (&alice.books(), &name("team"), &name(&format!("c{sharees}")));
            world.service.put(&alice, at, card(&format!("u{sharees}"), "A"), Vec::new()).await
        })
        .await;
        put.unwrap();
        let after = world.service.store.count(crate::store::keys::Table::Change).await.unwrap();
        assert_eq!(after - changes, 1, "one line in one log");
        for (user, before) in homes.iter().zip(before) {
            assert_eq!(world.revision(user).await, before, "{user}'s home has not changed");
        }
        commits.push(calls);
    }
    assert!(commits.windows(2).all(|pair| pair[0] == pair[1]), "{commits:?}");
    // A home is listed in as many reads, however many books others share.
    let mut reads = Vec::new();
    for book in ["b1", "b2", "b3"] {
        world.make("carol", book).await;
        world.share(&format!("carol/{book}"), "bob", READ).await;
        let bob = world.user("bob").await;
        let (home, calls) = crate::store::calls::counted(world.service.home(&bob, &bob.books())).await;
        home.unwrap();
        reads.push(calls);
    }
    assert!(reads.windows(2).all(|pair| pair[0] == pair[1]), "{reads:?}");
}

#[tokio::test]
async fn a_book_that_goes_takes_its_shares_along() {
    let world = World::new().await;
    let service = &world.service;
    for book in ["deleted", "replaced", "overwritten", "kept"] {
        world.make("alice", book).await;
        world.share(&format!("alice/{book}"), "bob", WRITE).await;
    }
    let alice = world.user("alice").await;
    // What is not done ends no share.
    let when = vec![Precondition::one(at("alice/deleted"), State::Never, false)];
    assert_eq!(refused(service.delete(&alice, &at("alice/deleted"), when).await), Refusal::Unmet);
    assert_eq!(world.words("bob", "bob/deleted").await, "rwd");
    service.delete(&alice, &at("alice/deleted"), Vec::new()).await.unwrap();
    let manner = |verb| Manner { verb, overwrite: true, shallow: false };
    let copy = go(service, &alice, manner(Verb::Copy), "alice/kept", "alice/replaced");
    assert_eq!(copy.await.unwrap(), Transferred::Replaced);
    world.make("alice", "new").await;
    let onto = go(service, &alice, manner(Verb::Move), "alice/new", "alice/overwritten");
    assert_eq!(onto.await.unwrap(), Transferred::Replaced);
    // A rename is the owner's affair.
    let rename = go(service, &alice, manner(Verb::Move), "alice/kept", "alice/other");
    rename.await.unwrap();
    assert_eq!(world.home("bob").await, ["contacts", "kept<alice"]);
    assert_eq!(world.words("bob", "bob/kept").await, "rwd");
    assert_eq!(world.words("bob", "alice/other").await, "rw");
    let reader = service.store.read().await.unwrap();
    let bob = reader.account(&UserName::parse("bob").unwrap()).await.unwrap().unwrap();
    assert_eq!(bob.granted.len(), 1, "nothing names what is gone");
    drop(reader);
    service.purge_all().await.unwrap();
    service.assert_sound().await;
}

async fn remove(service: &Service, user: &str, to: Option<&str>, erase: bool) -> AdminAnswer {
    let hand_over = to.map(str::to_owned);
    service
        .admin(AdminRequest::UserRemove { name: user.into(), hand_over, erase, erase_private: false })
        .await
}

#[tokio::test]
async fn who_goes_hands_over_or_takes_all_along() {
    let world = World::new().await;
    let service = &world.service;
    world.make("alice", "team").await;
    world.put("alice", "alice/team/a", "a").await.unwrap();
    world.put("alice", "alice/contacts/c", "c").await.unwrap();
    world.make("carol", "hers").await;
    world.group("sales", &["bob", "carol"]).await;
    world.share("alice/team", "bob", WRITE).await;
    world.share("alice/team", "group:sales", READ).await;
    world.share("carol/hers", "alice", WRITE).await;
    // Nothing is lost for want of a word.
    let asked = remove(service, "alice", None, false).await;
    assert!(matches!(asked, AdminAnswer::Undecided { books: 2, contacts: 2, .. }));
    for to in ["alice", "nobody"] {
        assert!(matches!(remove(service, "alice", Some(to), false).await, AdminAnswer::Refused(_)));
    }
    assert_eq!(world.home("alice").await, ["contacts", "team", "hers<carol"]);
    let mut since = None;
    world.told("carol", &mut since).await;
    assert!(matches!(remove(service, "alice", Some("bob"), false).await, AdminAnswer::Done));
    // Bob had a place for it, which stands for his own now; carol's share goes on.
    let bob = world.user("bob").await;
    let home = world.home("bob").await;
    assert_eq!(home, ["contacts", "contacts-alice", "team"], "{home:?}");
    assert_eq!(service.names(&bob, "contacts-alice").await.len(), 1);
    assert_eq!(world.words("bob", "bob/team").await, "rwdo");
    assert_eq!(world.home("carol").await, ["contacts", "hers", "team<bob"]);
    assert_eq!(service.names(&world.user("carol").await, "team").await.len(), 1);
    assert!(sign_in(service, "alice", "secret").await.is_err());
    service.purge_all().await.unwrap();
    service.assert_sound().await;
    // With an empty home there is nothing to decide; what others share is not the leaver's.
    add(service, "dora").await;
    world.share("bob/team", "dora", READ).await;
    world.user("dora").await;
    assert!(matches!(remove(service, "dora", None, false).await, AdminAnswer::Done));
    service.purge_all().await.unwrap();
    assert_eq!(service.names(&world.user("bob").await, "team").await.len(), 1);
    // And whoever takes all along takes it from the others too.
    assert!(matches!(remove(service, "bob", None, true).await, AdminAnswer::Done));
    assert_eq!(world.home("carol").await, ["contacts", "hers"]);
    service.purge_all().await.unwrap();
    service.assert_sound().await;
    let left: Vec<_> = service.store.read().await.unwrap().accounts().await.unwrap();
    assert!(left.iter().all(|account| account.granted.is_empty()), "nothing names what is gone");
}

#[tokio::test]
async fn that_somebody_left_a_book_is_forgotten_with_the_book() {
    let world = World::new().await;
    let service = &world.service;
    world.group("sales", &["bob", "carol"]).await;
    for book in ["kept", "gone"] {
        world.make("alice", book).await;
        world.share(&format!("alice/{book}"), "group:sales", READ).await;
        let bob = world.user("bob").await;
        service.delete(&bob, &at(&format!("bob/{book}")), Vec::new()).await.unwrap();
    }
    let left = async || {
        let reader = service.store.read().await.unwrap();
        let row = reader.account(&UserName::parse("bob").unwrap()).await.unwrap().unwrap();
        row.left.len()
    };
    assert_eq!(left().await, 2);
    let alice = world.user("alice").await;
    service.delete(&alice, &at("alice/gone"), Vec::new()).await.unwrap();
    assert_eq!(left().await, 1);
    // What is left stays so.
    assert_eq!(world.home("bob").await, ["contacts"]);
    assert_eq!(world.home("carol").await, ["contacts", "kept<alice"]);
    service.assert_sound().await;
}

#[tokio::test]
async fn private_books_are_handed_to_nobody() {
    let world = World::new().await;
    let service = &world.service;
    world.make("alice", "team").await;
    world.make("alice", "diary").await;
    world.put("alice", "alice/team/a", "a").await.unwrap();
    service.private_asked("alice/diary", true).await.unwrap();
    let AdminAnswer::Refused(text) = remove(service, "alice", Some("bob"), false).await else {
        panic!("a private book was handed over")
    };
    assert!(text.contains("1 private book,") && text.contains("--erase-private"), "{text}");
    assert_eq!(world.home("alice").await, ["contacts", "diary", "team"], "nothing has happened");
    // Not even where it became private after it was looked at.
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let give = CollectionOp::Give {
        home: alice.home,
        name: name("diary"),
        owner: bob.account,
        to: bob.home,
        new: name("diary"),
    };
    let given = service.commit(None, Vec::new(), vec![Op::Collection(give)]).await;
    assert!(matches!(given, Err(Stop::Refused(_))));
    let gone = AdminRequest::UserRemove {
        name: "alice".into(),
        hand_over: Some("bob".into()),
        erase: false,
        erase_private: true,
    };
    assert!(matches!(service.admin(gone).await, AdminAnswer::Done));
    assert_eq!(world.home("bob").await, ["contacts", "contacts-alice", "team"]);
    service.purge_all().await.unwrap();
    service.assert_sound().await;
}

#[tokio::test]
async fn a_credential_that_somebody_else_made_reaches_no_private_book() {
    let world = World::new().await;
    let service = &world.service;
    world.make("alice", "diary").await;
    world.put("alice", "alice/diary/d", "Secret Santa").await.unwrap();
    world.put("alice", "alice/contacts/c", "Open Santa").await.unwrap();
    service.private_asked("alice/diary", true).await.unwrap();
    let own = world.user("alice").await;
    let foreign = Caller { private: false, ..own.clone() };
    let (diary, santa) = (name("diary"), Place::Object(own.books(), name("diary"), name("d")));
    for (caller, there) in [(&own, true), (&foreign, false)] {
        let books = service.home(caller, &own.books()).await.unwrap().books;
        assert_eq!(books.len(), if there { 2 } else { 1 });
        let changes = service.home_changes(caller, &own.books(), None, None).await.unwrap();
        assert_eq!(changes.changed.len(), books.len());
        let all = service.book(caller, &own.books(), &diary, Members::All, Detail::default()).await;
        assert_eq!(all.is_ok(), there);
        assert_eq!(service.changes(caller, &own.books(), &diary, None, None).await.is_ok(), there);
        let query = Filter { test: crate::domain::filter::Test::AnyOf, properties: Vec::new() };
        let mut carry = Carry::new(Detail::default());
        assert_eq!(service.query(caller, &own.books(), &diary, query, None, &mut carry).await.is_ok(), there);
        let hits = service.search(caller, "santa", Mode::Substring, 10).await.unwrap();
        assert_eq!(hits.len(), books.len());
        assert_eq!(service.library(caller, CollectionKind::AddressBook).await.unwrap().len(), books.len());
        assert_eq!(service.rights_at(caller, &own.books(), &diary).await.unwrap().is_some(), there);
    }
    // Neither written nor replaced, nor taken for free.
    let at = (&own.books(), &diary, &name("e"));
    assert_eq!(refused(service.put(&foreign, at, card("e", "e"), Vec::new()).await), Refusal::NoParent);
    assert_eq!(refused(service.delete(&foreign, &santa, Vec::new()).await), Refusal::NotFound);
    let whole = Place::Collection(own.books(), diary.clone());
    assert_eq!(refused(service.delete(&foreign, &whole, Vec::new()).await), Refusal::NotFound);
    let over = |verb| Manner { verb, overwrite: true, shallow: false };
    for verb in [Verb::Copy, Verb::Move] {
        let onto = go(service, &foreign, over(verb), "alice/contacts", "alice/diary").await;
        assert!(matches!(refused(onto), Refusal::NeedPrivileges(_)));
        let from = go(service, &foreign, over(verb), "alice/diary", "alice/mine").await;
        assert_eq!(refused(from), Refusal::NotFound);
    }
    assert_eq!(service.names(&own, "diary").await.len(), 1);
}

#[tokio::test]
async fn a_group_can_hold_what_a_leaver_takes_over_only_once() {
    let world = World::new().await;
    let service = &world.service;
    world.make("alice", "team").await;
    world.group("sales", &["bob"]).await;
    world.share("alice/team", "group:sales", WRITE).await;
    let (alice, bob) = (UserName::parse("alice").unwrap(), UserName::parse("bob").unwrap());
    service.hand_over(None, &alice, &bob, false).await.unwrap();
    let home = world.home("bob").await;
    assert_eq!(home.iter().filter(|book| book.starts_with("team")).count(), 1, "{home:?}");
    assert!(home.iter().all(|book| !book.contains('<')), "{home:?}");
    service.assert_sound().await;
}

#[tokio::test]
async fn acl_23_callers_know_themselves_their_groups_and_those_they_share_with() {
    let world = World::new().await;
    let service = &world.service;
    let seen = async |user: &str| -> Vec<String> {
        let caller = world.user(user).await;
        let all = service.principals(&caller).await.unwrap();
        for view in &all {
            let alone = service.principal(&caller, &view.name).await.unwrap();
            assert_eq!((&alone.name, &alone.related), (&view.name, &view.related));
            assert!(view.name.as_str() == user || (!view.rights.write && view.properties.is_empty()));
        }
        all.iter().map(|view| view.name.as_str().to_owned()).collect()
    };
    world.group("sales", &["bob", "carol"]).await;
    world.make("alice", "team").await;
    assert_eq!(seen("alice").await, ["alice"]);
    assert_eq!(seen("bob").await, ["bob", "sales"]);
    world.share("alice/team", "group:sales", READ).await;
    assert_eq!(seen("alice").await, ["alice", "sales"]);
    assert_eq!(seen("bob").await, ["alice", "bob", "sales"]);
    world.share("alice/team", "carol", READ).await;
    assert_eq!(seen("alice").await, ["alice", "carol", "sales"]);
    // Of a group, those are told who are known anyway.
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let sales = Principal::Group(crate::domain::id::GroupName::parse("sales").unwrap());
    let user = |name: &str| Principal::User(UserName::parse(name).unwrap());
    assert_eq!(service.principal(&alice, &sales).await.unwrap().related, [user("carol")]);
    assert_eq!(service.principal(&bob, &sales).await.unwrap().related, [user("bob")]);
    assert_eq!(service.principal(&bob, &user("bob")).await.unwrap().related, std::slice::from_ref(&sales));
    for (caller, name) in [(&bob, user("carol")), (&alice, user("bob")), (&alice, user("nobody"))] {
        assert_eq!(refused(service.principal(caller, &name).await.map(drop)), Refusal::NotFound);
        let write = |principal: &Principal| match principal {
            Principal::User(name) => Place::Principal(name.clone()),
            Principal::Group(name) => Place::Group(name.clone()),
        };
        let patch = service.patch(caller, &write(&name), vec![set("x", "y")], Vec::new()).await;
        assert_eq!(refused(patch), Refusal::NotFound);
    }
    for place in [
        Place::Group(crate::domain::id::GroupName::parse("sales").unwrap()),
        Place::Principal(alice.name.clone()),
    ] {
        let patch = service.patch(&bob, &place, vec![set("x", "y")], Vec::new()).await;
        let lacks = Refusal::NeedPrivileges(vec![(place.clone(), Privilege::WriteProperties)]);
        assert_eq!(refused(patch), lacks);
        let gone = service.delete(&bob, &place, Vec::new()).await;
        assert_eq!(refused(gone), Refusal::NeedPrivileges(vec![(place, Privilege::Unbind)]));
    }
    // A private book tells its owner's name to nobody.
    service.private_asked("alice/team", true).await.unwrap();
    assert_eq!(seen("bob").await, ["bob", "sales"]);
}

#[tokio::test]
async fn acl_23_where_the_directory_is_switched_on_everybody_is_found_by_one_scan() {
    let world = World { service: open_service().await };
    let service = &world.service;
    add(service, "alice").await;
    world.group("sales", &["alice"]).await;
    let alice = world.user("alice").await;
    let sales = Principal::Group(crate::domain::id::GroupName::parse("sales").unwrap());
    let mut counts = Vec::new();
    for (at, many) in [(0, 3), (3, 30)] {
        for at in at..many {
            add(service, &format!("u{at}")).await;
            service.member_asked("sales", &format!("u{at}"), true).await.unwrap();
        }
        let (all, calls) = crate::store::calls::counted(service.principals(&alice)).await;
        assert_eq!(all.unwrap().len(), many + 2);
        let (group, of_one) = crate::store::calls::counted(service.principal(&alice, &sales)).await;
        assert_eq!(group.unwrap().related.len(), many + 1);
        counts.push((calls, of_one));
    }
    assert!(counts[0] == counts[1] && counts[0].0 <= 6, "{counts:?}");
    // Who was let go is found no more.
    service.admin(AdminRequest::UserEnable { name: "u1".into(), enabled: false }).await;
    let all = service.principals(&alice).await.unwrap();
    assert!(all.len() == 31 && all.iter().all(|view| view.name.as_str() != "u1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever comes, each home has places for exactly the books that its user may read, and a client
    /// that follows the home's tokens knows them.
    #[test]
    fn homes_follow_rights(steps in proptest::collection::vec((0..8_u8, 0..3_usize, 0..3_usize, 0..2_usize), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(&steps));
    }
}

async fn walk(steps: &[(u8, usize, usize, usize)]) {
    const USERS: [&str; 3] = ["alice", "bob", "carol"];
    const BOOKS: [&str; 2] = ["contacts", "team"];
    const GROUPS: [&str; 2] = ["one", "two"];
    let world = World::new().await;
    for group in GROUPS {
        world.group(group, &[]).await;
    }
    let mut since = [None; 3];
    let mut held: [BTreeSet<String>; 3] = Default::default();
    for (what, owner, other, which) in steps {
        let (owner, other) = (USERS[*owner], USERS[*other]);
        let (book, group) = (format!("{owner}/{}", BOOKS[*which]), format!("group:{}", GROUPS[*which]));
        let service = &world.service;
        // What cannot be done is refused, and changes nothing.
        let _ = match what {
            0 => service.share_asked(&book, other, READ).await,
            1 => service.share_asked(&book, other, WRITE).await,
            2 => service.share_asked(&book, &group, READ).await,
            3 => service.share_asked(&book, if *which == 0 { other } else { &group }, None).await,
            4 => service.member_asked(GROUPS[*which], other, true).await,
            5 => service.member_asked(GROUPS[*which], other, false).await,
            6 => {
                let caller = world.user(owner).await;
                let home = service.home(&caller, &caller.books()).await.unwrap();
                match home.books.iter().rfind(|book| book.sharer != Sharer::Own) {
                    Some(book) => {
                        let place = Place::Collection(caller.books(), book.name.clone().unwrap());
                        service.delete(&caller, &place, Vec::new()).await
                    }
                    None => Ok(()),
                }
            }
            _ => {
                let caller = world.user(owner).await;
                match service
                    .create_book(&caller, &caller.books(), &name("team"), Vec::new(), Vec::new())
                    .await
                {
                    Err(_) => service.delete(&caller, &at(&format!("{owner}/team")), Vec::new()).await,
                    made => made,
                }
            }
        };
        for (at, user) in USERS.iter().enumerate() {
            let (changed, removed) = world.told(user, &mut since[at]).await;
            held[at].retain(|name| !removed.contains(name));
            held[at].extend(changed);
            let home = world.home(user).await;
            let names: BTreeSet<_> =
                home.iter().map(|book| book.split('<').next().unwrap().to_owned()).collect();
            assert_eq!(held[at], names, "{user} after {what}");
            let mut before: Vec<_> = home.iter().map(|book| book.contains('<')).collect();
            before.dedup();
            assert!(before.len() <= 2 && before.first() != Some(&true), "own first: {home:?}");
        }
    }
    world.service.settle_all().await.unwrap();
    for (at, user) in USERS.iter().enumerate() {
        assert_eq!(world.told(user, &mut since[at]).await, (vec![], vec![]), "{user}: all had followed");
    }
    world.service.purge_all().await.unwrap();
    world.service.assert_sound().await;
}

/// Makes a calendar of appointments.
async fn make_calendar(world: &World, owner: &str, calendar: &str) {
    let owner = world.user(owner).await;
    let home = HomeName::calendars(owner.name.clone());
    let takes = Components::of(&[Kind::Event]);
    let place = (&home, &name(calendar));
    world.service.create_collection(&owner, place, takes, Vec::new(), Vec::new()).await.unwrap();
}

/// Puts an appointment at `HOME/CALENDAR/NAME`.
async fn put_event(world: &World, user: &str, at: &str, uid: &str) -> Answer<()> {
    let (caller, (home, calendar, file)) = (world.user(user).await, split(at));
    let home = HomeName::calendars(home.user);
    let event = ics(Kind::Event, uid, "SUMMARY:Planning\r\n").into();
    world.service.put(&caller, (&home, &calendar, &file), event, Vec::new()).await.map(drop)
}

#[tokio::test]
async fn a_shared_calendar_lies_in_the_sharees_home_of_calendars_and_no_other() {
    let world = World::new().await;
    make_calendar(&world, "alice", "office").await;
    world.group("sales", &["carol"]).await;
    world.share("alice/office", "bob", READ).await;
    world.share("alice/office", "group:sales", WRITE).await;
    for user in ["bob", "carol"] {
        assert_eq!(world.calendars(user).await, ["calendar", "tasks", "birthdays", "office<alice"]);
        assert_eq!(world.home(user).await, ["contacts"]);
    }
    for at in ["bob/office/e", "alice/office/e"] {
        assert!(
            matches!(refused(put_event(&world, "bob", at, "e").await), Refusal::NeedPrivileges(_)),
            "{at}"
        );
    }
    put_event(&world, "carol", "carol/office/e", "e").await.unwrap();
    put_event(&world, "carol", "alice/office/f", "f").await.unwrap();
    world.share("alice/office", "bob", None).await;
    assert_eq!(world.calendars("bob").await, ["calendar", "tasks", "birthdays"]);
    assert_eq!(refused(put_event(&world, "bob", "alice/office/e", "e").await), Refusal::NotFound);
    world.service.private_asked("alice/office", true).await.unwrap();
    assert_eq!(world.calendars("carol").await, ["calendar", "tasks", "birthdays"]);
    world.service.private_asked("alice/office", false).await.unwrap();
    assert_eq!(world.calendars("carol").await, ["calendar", "tasks", "birthdays", "office<alice"]);
    world.service.assert_sound().await;
}

#[tokio::test]
async fn shared_calendars_get_no_name_that_the_home_keeps() {
    let world = World::new().await;
    world.share("alice/calendar", "bob", READ).await;
    assert_eq!(world.calendars("bob").await, ["calendar", "tasks", "birthdays", "calendar-alice<alice"]);
    // Who has never signed in finds the own ones at first all the same.
    add(&world.service, "dave").await;
    world.share("alice/tasks", "dave", WRITE).await;
    assert_eq!(world.calendars("dave").await, ["calendar", "tasks", "birthdays", "tasks-alice<alice"]);
    world.service.assert_sound().await;
}

#[tokio::test]
async fn commands_ask_which_where_a_name_is_a_books_and_a_calendars() {
    let world = World::new().await;
    let service = &world.service;
    for one in ["team", "only-book"] {
        world.make("alice", one).await;
    }
    for one in ["team", "only-calendar"] {
        make_calendar(&world, "alice", one).await;
    }
    let asked = async |text: &str, kind| service.collection_asked(text, kind).await;
    let kinds = CollectionKind::ALL.map(Some);
    let [book, calendar] =
        [asked("alice/team", kinds[0]).await.unwrap(), asked("alice/team", kinds[1]).await.unwrap()];
    assert_ne!(book, calendar);
    assert!(
        matches!(refused(asked("alice/team", None).await), Refusal::Conflict(text) if text.contains("which"))
    );
    for (one, kind, other) in
        [("alice/only-book", kinds[0], kinds[1]), ("alice/only-calendar", kinds[1], kinds[0])]
    {
        assert_eq!(asked(one, None).await.unwrap(), asked(one, kind).await.unwrap());
        assert!(matches!(refused(asked(one, other).await), Refusal::Conflict(_)));
    }
    // What is nobody's own is not what a command means.
    for none in ["alice/birthdays", "alice/nothing", "nobody/team", "team", "alice/", "/", ""] {
        assert!(matches!(refused(asked(none, None).await), Refusal::Conflict(_)), "{none}");
    }
    // As it comes over the control socket.
    for (kind, books, calendars) in [("book", 2, 3), ("calendar", 2, 4)] {
        let request = format!(
            r#"{{"command": "share", "book": "alice/team", "kind": "{kind}", "with": "bob", "access": "read"}}"#
        );
        let request: AdminRequest = serde_json::from_str(&request).unwrap();
        assert!(matches!(service.admin(request).await, AdminAnswer::Done));
        assert_eq!((world.home("bob").await.len(), world.calendars("bob").await.len()), (books, calendars));
    }
    let unsaid = r#"{"command": "private", "book": "alice/team", "private": true}"#;
    assert!(matches!(service.admin(serde_json::from_str(unsaid).unwrap()).await, AdminAnswer::Refused(_)));
    let said = r#"{"command": "private", "book": "alice/team", "private": true, "kind": "calendar"}"#;
    assert!(matches!(service.admin(serde_json::from_str(said).unwrap()).await, AdminAnswer::Done));
    assert_eq!((world.home("bob").await.len(), world.calendars("bob").await.len()), (2, 3));
    for wrong in [r#""kind": "tasks""#, r#""kind": 1"#] {
        let request = format!(r#"{{"command": "private", "book": "alice/team", "private": true, {wrong}}}"#);
        assert!(serde_json::from_str::<AdminRequest>(&request).is_err());
    }
    service.assert_sound().await;
}
