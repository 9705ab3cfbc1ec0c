//! What the lane keeps, counts and writes, and what is told of changes.

use std::net::Ipv4Addr;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::service::access::Caller;
use crate::service::admin::{AdminAnswer, AdminRequest, TokenRow};
use crate::service::sign_in::{Credentials, NotSignedIn};
use crate::service::tests::{alice, service};

fn from(last: u8, client: &'static str) -> Origin<'static> {
    Origin { address: Ipv4Addr::new(192, 0, 2, last).into(), client }
}

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap()
}

async fn enters(service: &Service, password: &str, from: Origin<'_>) -> bool {
    let credentials = Credentials { user: "alice".into(), password: password.into() };
    service.sign_in(credentials, from).await.is_ok()
}

async fn kinds(service: &Service) -> Vec<EventKind> {
    let page = service.events(EventsPage { before: None, limit: 1000 }).await.unwrap();
    page.events.into_iter().rev().map(|(_, event)| event.kind).collect()
}

async fn newest(service: &Service) -> Event {
    let page = service.events(EventsPage { before: None, limit: 1 }).await.unwrap();
    page.events.into_iter().next().unwrap().1
}

async fn token(service: &Service) -> (String, String) {
    let create = AdminRequest::TokenCreate {
        user: "alice".into(),
        api: false,
        scopes: vec!["dav:contacts:read".into()],
        expires: None,
        label: None,
    };
    match service.admin(create).await {
        AdminAnswer::Secret { id, secret } => (id, secret),
        _ => panic!("no secret"),
    }
}

async fn listed(service: &Service) -> TokenRow {
    match service.admin(AdminRequest::TokenList { user: None }).await {
        AdminAnswer::Tokens(mut tokens) => tokens.pop().unwrap(),
        _ => panic!("no list"),
    }
}

#[tokio::test]
async fn what_follows_from_a_removal_is_told_of_whoever_removed() {
    let service = service().await;
    let alice = alice(&service).await;
    for user in ["bob", "carol"] {
        crate::service::tests::add(&service, user).await;
    }
    let boss = Caller { permissions: crate::domain::permission::Permissions::ALL, ..alice.clone() };
    let bob = crate::service::tests::sign_in(&service, "bob", "secret").await.unwrap();
    let book = crate::service::tests::name("team");
    for owner in [&alice, &bob] {
        service.create_book(owner, &owner.books(), &book, Vec::new(), Vec::new()).await.unwrap();
        let shared = format!("{}/team", owner.name);
        service.share_asked(&shared, "carol", Some(crate::service::sharing::Access::Read)).await.unwrap();
    }
    service.share_asked("alice/team", "bob", Some(crate::service::sharing::Access::Read)).await.unwrap();
    let user = service.user(&boss, &bob.name).await.unwrap();
    assert!(service.remove_person(&boss, &user, &crate::service::people::Legacy::Erase).await.unwrap());
    let place = crate::service::place::Place::Collection(alice.books(), book);
    service.delete(&alice, &place, Vec::new()).await.unwrap();
    let page = service.events(EventsPage { before: None, limit: 1000 }).await.unwrap();
    let ended = page.events.iter().filter(|(_, event)| event.kind == EventKind::ShareEnded);
    let actors: Vec<_> = ended.map(|(_, event)| event.actor).collect();
    // Of bob's book carol's, of alice's bob's, and at last carol's.
    assert_eq!(actors, [Some(alice.account); 3]);
}

#[tokio::test]
async fn a_phone_that_polls_is_told_once_and_costs_no_commit() {
    let service = service().await;
    alice(&service).await;
    service.flush_events().await.unwrap();
    let before = kinds(&service).await;
    assert_eq!(before, [EventKind::AccountMade, EventKind::SignIn]);
    for _ in 0..50 {
        assert!(enters(&service, "secret", from(1, "DAVx5/4.4")).await);
    }
    assert_eq!(kinds(&service).await, before, "nothing is written by a request");
    service.flush_events().await.unwrap();
    let told = newest(&service).await;
    assert_eq!((told.kind, told.count, told.client.as_deref()), (EventKind::SignIn, 1, Some("davx5")));
    assert_eq!(told.address, Some(from(1, "").address));
    assert!(told.actor.is_some() && told.actor == told.account);
    // Again from there: nothing new. From elsewhere: another one.
    enters(&service, "secret", from(1, "DAVx5/4.4")).await;
    enters(&service, "secret", from(2, "DAVx5/4.4")).await;
    service.flush_events().await.unwrap();
    assert_eq!(kinds(&service).await.len(), before.len() + 2);
}

#[tokio::test]
async fn wrong_passwords_are_counted_by_account_and_address() {
    let service = service().await;
    let caller = alice(&service).await;
    service.flush_events().await.unwrap();
    for guess in 0..3 {
        assert!(!enters(&service, &format!("guess {guess}"), from(1, "")).await);
    }
    for user in ["nobody", "somebody else", "no name at all"] {
        let credentials = Credentials { user: user.into(), password: "secret".into() };
        assert!(matches!(service.sign_in(credentials, from(1, "")).await, Err(NotSignedIn::Wrong)));
    }
    assert!(!enters(&service, "one too many", from(1, "")).await);
    service.flush_events().await.unwrap();
    let page = service.events(EventsPage { before: None, limit: 3 }).await.unwrap();
    let mut told: Vec<_> = page.events.iter().map(|(_, e)| (e.kind, e.account, e.count, e.actor)).collect();
    told.sort_by_key(|(kind, account, ..)| (*kind, *account));
    let of_alice = Some(caller.account);
    assert_eq!(
        told,
        [
            (EventKind::SignInFailed, None, 3, None),
            (EventKind::SignInFailed, of_alice, 3, None),
            (EventKind::SignInSlowed, of_alice, 1, None),
        ]
    );
}

#[tokio::test]
async fn a_token_shows_when_whence_and_by_what_it_was_used_last() {
    let service = service().await;
    alice(&service).await;
    let (id, secret) = token(&service).await;
    assert_eq!(listed(&service).await.last_use, None);
    let client = "iOS/17.5 (21F79) dataaccessd/1.0 and so on, as long as a client likes to talk of itself";
    assert!(enters(&service, &secret, from(7, client)).await);
    service.flush_events().await.unwrap();
    let row = listed(&service).await;
    assert!(row.last_use.is_some());
    assert_eq!(row.address.as_deref(), Some("192.0.2.7"));
    assert_eq!(row.client.as_deref(), client.get(..64));
    let told = kinds(&service).await;
    assert_eq!(told.iter().filter(|kind| **kind == EventKind::TokenFirstUsed).count(), 1);
    // Within a minute from the same place: nothing is written. From another: at the next flush.
    let count = told.len();
    enters(&service, &secret, from(7, client)).await;
    assert!(service.audit.waiting().uses.is_empty());
    enters(&service, &secret, from(8, client)).await;
    service.flush_events().await.unwrap();
    assert_eq!(listed(&service).await.address.as_deref(), Some("192.0.2.8"));
    assert_eq!(kinds(&service).await.len(), count + 1, "the sign-in from elsewhere");
    // A use of a token that is revoked meanwhile brings nothing back.
    enters(&service, &secret, from(9, client)).await;
    assert!(matches!(service.admin(AdminRequest::TokenRevoke { id }).await, AdminAnswer::Done));
    service.flush_events().await.unwrap();
    let AdminAnswer::Tokens(left) = service.admin(AdminRequest::TokenList { user: None }).await else {
        panic!("no list")
    };
    assert!(left.is_empty() && !enters(&service, &secret, from(9, client)).await);
    let AdminAnswer::Checked(report) = service.admin(AdminRequest::Check { repair: false }).await else {
        panic!("no report")
    };
    assert_eq!(report.faults, Vec::<String>::new());
}

#[tokio::test]
async fn what_waits_is_written_at_the_end_and_kept_when_it_cannot_be() {
    let service = service().await;
    alice(&service).await;
    service.flush_events().await.unwrap();
    enters(&service, "wrong", from(1, "")).await;
    service.store.close(second(0)).await.unwrap();
    assert!(service.flush_events().await.is_err());
    assert_eq!(service.audit.waiting().tallies.len(), 1);
}

#[tokio::test]
async fn changes_are_told_by_themselves() {
    let service = service().await;
    alice(&service).await;
    let (_, secret) = token(&service).await;
    let passwd = AdminRequest::UserPasswd { name: "alice".into(), password: "new".into() };
    service.admin(passwd).await;
    assert!(enters(&service, &secret, from(1, "")).await);
    for enabled in [false, true] {
        service.admin(AdminRequest::UserEnable { name: "alice".into(), enabled }).await;
        assert_eq!(enters(&service, &secret, from(1, "")).await, enabled, "with the next request");
    }
    service
        .admin(AdminRequest::UserRemove {
            name: "alice".into(),
            hand_over: None,
            erase: true,
            erase_private: false,
        })
        .await;
    let told = kinds(&service).await;
    let expected = [
        EventKind::AccountMade,
        EventKind::TokenMade,
        EventKind::PasswordChanged,
        EventKind::AccountDisabled,
        EventKind::AccountEnabled,
        EventKind::AccountRemoved,
    ];
    assert_eq!(told, expected);
}

#[test]
fn groups_shares_and_rights_are_told_one_by_one() {
    use crate::domain::id::CollectionId;
    use crate::store::commit::CollectionOp;
    use crate::store::rows::{AccountRow, ShareRow};
    let row =
        AccountRow { id: [1; 16], name: "a".into(), groups: vec![Id([5; 16])], ..AccountRow::default() };
    let after = AccountRow {
        name: "b".into(),
        admin: true,
        permissions: vec!["export".into()],
        groups: vec![Id([6; 16])],
        ..row.clone()
    };
    let share = |account: u8, write| ShareRow { account: Id([account; 16]), write };
    let ops = [
        Op::Account(AccountOp::Rename { before: row, after, passwords: Vec::new() }),
        Op::Collection(CollectionOp::Share {
            id: CollectionId::from_bytes([9; 16]),
            before: vec![share(2, true), share(3, true), share(4, true)],
            after: vec![share(0, false), share(3, false), share(4, true)],
        }),
    ];
    let actor = Some(AccountId::from_bytes([8; 16]));
    let events = told::told(actor, second(1), &ops);
    assert!(events.iter().all(|event| event.actor == actor && event.at == second(1)));
    let told: Vec<_> =
        events.iter().map(|e| (e.kind, e.account.map(|account| account.as_bytes()[0]))).collect();
    assert_eq!(
        told,
        [
            (EventKind::AccountRenamed, Some(1)),
            (EventKind::AdminGiven, Some(1)),
            (EventKind::PermissionsChanged, Some(1)),
            (EventKind::MemberAdded, Some(1)),
            (EventKind::MemberRemoved, Some(1)),
            (EventKind::ShareGiven, None),
            (EventKind::ShareEnded, Some(2)),
            (EventKind::ShareChanged, Some(3)),
        ]
    );
}

#[tokio::test]
async fn a_token_that_has_ended_is_refused_and_told() {
    let service: Arc<Service> = service().await;
    alice(&service).await;
    let create = |expires: &str| AdminRequest::TokenCreate {
        user: "alice".into(),
        api: false,
        scopes: Vec::new(),
        expires: Some(expires.into()),
        label: None,
    };
    // The clock stands in September 2026 and goes on by a millisecond at each look.
    for past in ["2020-01-31", "2026-09-21T14:13:20Z"] {
        assert!(matches!(service.admin(create(past)).await, AdminAnswer::Refused(_)), "{past}");
    }
    let now = service.clock.now();
    let soon = now + jiff::SignedDuration::from_millis(40);
    let AdminAnswer::Secret { secret, .. } = service.admin(create(&soon.to_string())).await else {
        panic!("no secret")
    };
    assert!(enters(&service, &secret, from(1, "")).await);
    while service.clock.now() < soon {}
    assert!(!enters(&service, &secret, from(1, "")).await);
    service.flush_events().await.unwrap();
    assert!(kinds(&service).await.contains(&EventKind::TokenExpired));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However much happens, and whatever is taken and put back: each thing is counted once.
    #[test]
    fn coalescing_loses_nothing_but_detail(
        noted in prop::collection::vec((0..3_usize, 0..40_u8, any::<u16>()), 0..12_000),
        every in 100..4000_usize,
    ) {
        let all = [EventKind::SignInFailed, EventKind::SignInSlowed, EventKind::SignIn];
        let lane = Lane::default();
        let mut written = HashMap::<EventKind, u64>::new();
        let mut write = |taken: Waiting| {
            for (what, tally) in taken.tallies {
                let event = what.event(tally);
                *written.entry(event.kind).or_default() += event.count;
            }
        };
        for (at, (kind, account, address)) in noted.iter().enumerate() {
            let account = (*account > 0).then(|| AccountId::from_bytes([*account; 16]));
            let address = std::net::Ipv4Addr::from(u32::from(*address));
            lane.failed(all[*kind], account, IpAddr::V4(address).into(), second(at as i64));
            prop_assert!(lane.waiting().tallies.len() <= MOST + all.len());
            if at % every == 0 {
                let taken = lane.take();
                prop_assert!(taken.tallies.len() <= AT_ONCE);
                if at % 2 == 0 { write(taken) } else { lane.put_back(taken) }
            }
        }
        loop {
            let taken = lane.take();
            if taken.tallies.is_empty() {
                break;
            }
            write(taken);
        }
        for kind in all {
            let count = noted.iter().filter(|(of, ..)| all[*of] == kind).count() as u64;
            prop_assert_eq!(written.get(&kind).copied().unwrap_or(0), count);
        }
    }
}
