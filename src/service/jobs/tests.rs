//! Long work: each contact once, whatever interrupts it, and with the rights that its creator has at
//! each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::*;
use crate::domain::permission::Permissions;
use crate::service::admin::{AdminAnswer, AdminRequest};
use crate::service::tests::{Counting, Ticking, add, alice, card, quick, refused, service, sign_in};
use crate::store::engine::memory::MemoryEngine;
use crate::store::keyslots::memory::MemoryMedium;
use crate::store::tests::key_file;

/// Puts so many contacts into the caller's book; their ids.
async fn contacts(service: &Service, caller: &Caller, count: usize) -> Vec<ContactId> {
    let mut ids = Vec::new();
    for at in 0..count {
        let uid = format!("c{at}");
        let stored = service.store_card(caller, "contacts", &uid, card(&uid, "Ann")).await.unwrap();
        ids.push(stored.card.contact);
    }
    ids
}

async fn deleted(service: &Service, caller: &Caller, ids: Vec<ContactId>) -> JobView {
    service.start_job(caller, &Work::Delete, ids, Some("test/1".into())).await.unwrap()
}

fn counted(job: &JobView, name: &str) -> u64 {
    job.counts.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count)
}

#[tokio::test]
async fn a_job_does_each_contact_once_and_is_over() {
    let service = service().await;
    let alice = alice(&service).await;
    let mut ids = contacts(&service, &alice, 150).await;
    let stranger = ContactId::from_bytes([9; 16]);
    ids.insert(70, stranger);
    ids.push(*ids.first().unwrap());
    let job = deleted(&service, &alice, ids).await;
    assert_eq!((job.state, job.done, job.total), (JobState::Queued, 0, 151));
    service.work_on_jobs().await.unwrap();
    let job = service.job(&alice, job.id).await.unwrap();
    assert_eq!((job.state, job.done, counted(&job, "deleted")), (JobState::Done, 151, 150));
    assert_eq!((job.refusals, job.refused.len()), (1, 1));
    assert_eq!(job.refused.first().unwrap().0, stranger);
    assert!(service.names(&alice, "contacts").await.is_empty());
    assert!(matches!(refused(service.cancel_job(&alice, job.id).await), Refusal::Conflict(_)));
    let empty = deleted(&service, &alice, Vec::new()).await;
    service.work_on_jobs().await.unwrap();
    assert_eq!(service.job(&alice, empty.id).await.unwrap().state, JobState::Done);
    service.assert_sound().await;
}

/// A server that is killed between any two of its steps, and two that work at once as none should, do
/// what is left.
#[tokio::test]
async fn what_is_interrupted_goes_on_where_it_was() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let open = async |seed: u64| {
        let clock =
            Arc::new(Ticking(AtomicI64::new(1_790_000_000_000 + i64::try_from(seed).unwrap() * 1000)));
        let entropy = Arc::new(Counting(AtomicU64::new(seed << 32)));
        let opened = Service::open(engine.clone(), key_file(&medium), clock, entropy, quick()).await;
        Arc::new(opened.unwrap())
    };
    let first = open(1).await;
    let alice = alice(&first).await;
    let ids = contacts(&first, &alice, 400).await;
    let id = deleted(&first, &alice, ids).await.id;
    let mut seen = 0;
    for polls in 1..40u64 {
        // The work is dropped wherever it happens to wait.
        let service = open(1 + polls).await;
        let mut work = Box::pin(service.work_on_jobs());
        for _ in 0..polls {
            let waker = std::task::Waker::noop();
            if work.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(work);
        let job = service.job(&alice, id).await.unwrap();
        assert!(job.done >= seen && counted(&job, "deleted") == job.done, "{} {}", job.done, seen);
        assert_eq!(service.names(&alice, "contacts").await.len() as u64, job.total - job.done);
        seen = job.done;
    }
    let (one, two) = (open(90).await, open(91).await);
    let (a, b) = tokio::join!(one.work_on_jobs(), two.work_on_jobs());
    a.and(b).unwrap();
    let job = one.job(&alice, id).await.unwrap();
    assert_eq!((job.state, job.done, counted(&job, "deleted")), (JobState::Done, 400, 400));
    assert_eq!((job.refusals, job.error), (0, None));
}

#[tokio::test]
async fn a_job_that_is_stopped_does_no_more() {
    let service = service().await;
    let alice = alice(&service).await;
    let ids = contacts(&service, &alice, 10).await;
    let job = deleted(&service, &alice, ids).await;
    add(&service, "bob").await;
    let bob = sign_in(&service, "bob", "secret").await.unwrap();
    assert_eq!(refused(service.job(&bob, job.id).await), Refusal::NotFound);
    assert_eq!(refused(service.cancel_job(&bob, job.id).await), Refusal::NotFound);
    assert!(service.jobs(&bob).await.unwrap().is_empty());
    let admin = Caller { permissions: Permissions::ALL, ..bob };
    assert_eq!(service.jobs(&admin).await.unwrap().len(), 1);
    service.cancel_job(&alice, job.id).await.unwrap();
    service.cancel_job(&alice, job.id).await.unwrap();
    service.work_on_jobs().await.unwrap();
    let job = service.job(&alice, job.id).await.unwrap();
    assert_eq!((job.state, job.done), (JobState::Cancelled, 0));
    assert_eq!(service.names(&alice, "contacts").await.len(), 10);
}

#[tokio::test]
async fn rights_are_those_of_the_moment() {
    let service = service().await;
    let alice = alice(&service).await;
    let ids = contacts(&service, &alice, 3).await;
    add(&service, "bob").await;
    let bob = sign_in(&service, "bob", "secret").await.unwrap();
    // What bob may not see there is not, and what his token is not for is not done.
    let others = deleted(&service, &bob, ids.clone()).await;
    let narrow = Caller { scopes: Permissions::of(["contacts:read", "contacts:write"]), ..alice.clone() };
    let narrow = deleted(&service, &narrow, ids.clone()).await;
    service.work_on_jobs().await.unwrap();
    for (caller, job, reason) in [
        (&bob, others, "there is no such contact"),
        (&alice, narrow, "the permission 'contacts:delete' is missing"),
    ] {
        let job = service.job(caller, job.id).await.unwrap();
        assert_eq!((job.state, job.refusals, counted(&job, "deleted")), (JobState::Done, 3, 0));
        assert!(job.refused.iter().all(|(_, why)| why == reason));
    }
    let late = deleted(&service, &bob, ids).await;
    let disable = AdminRequest::UserEnable { name: "bob".into(), enabled: false };
    assert!(matches!(service.admin(disable).await, AdminAnswer::Done));
    service.work_on_jobs().await.unwrap();
    let late = service.job(&bob, late.id).await.unwrap();
    assert_eq!((late.state, late.done), (JobState::Failed, 0));
    assert!(late.error.unwrap().contains("sign in"));
    assert_eq!(service.names(&alice, "contacts").await.len(), 3);
}

#[tokio::test]
async fn long_lists_have_parts_and_all_is_forgotten_after_a_week() {
    let (engine, medium) = (Arc::new(MemoryEngine::new()), MemoryMedium::new());
    let clock = Arc::new(Ticking(AtomicI64::new(1_790_000_000_000)));
    let entropy = Arc::new(Counting(AtomicU64::new(0)));
    let opened = Service::open(engine, key_file(&medium), clock.clone(), entropy, quick()).await;
    let service = Arc::new(opened.unwrap());
    let alice = alice(&service).await;
    let id = |at: usize| ContactId::from_bytes((at as u128 + 1).to_be_bytes());
    let job = deleted(&service, &alice, (0..PART + 5).map(id).collect()).await;
    let parts =
        async || service.store.read().await.unwrap().definitions(Definition::PART).await.unwrap().len();
    assert_eq!(parts().await, 2);
    service.assert_sound().await;
    service.work_on_jobs().await.unwrap();
    let over = service.job(&alice, job.id).await.unwrap();
    assert_eq!((over.state, over.done, over.refusals), (JobState::Done, 4101, 4101));
    assert_eq!(over.refused.len(), REFUSED);
    service.forget_jobs().await.unwrap();
    assert!(service.job(&alice, job.id).await.is_ok());
    clock.0.fetch_add(8 * 86_400_000, Ordering::Relaxed);
    service.forget_jobs().await.unwrap();
    assert_eq!(refused(service.job(&alice, job.id).await), Refusal::NotFound);
    assert_eq!(parts().await, 0);
}
