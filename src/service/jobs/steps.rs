//! What a step of each kind of work does: from some contacts to the ops that are committed together
//! with how far the job is. A step reads and answers; it writes nothing itself.

use crate::domain::id::ContactId;
use crate::service::access::Caller;
use crate::service::{Answer, Service};
use crate::store::commit::{Expect, Op};

use super::Work;

crate::hidden!(StepDone);

/// What a step comes to.
#[derive(Default)]
pub(in crate::service) struct StepDone {
    /// What must hold still, all of it.
    pub(in crate::service) expect: Vec<Expect>,
    /// What it does, all or nothing.
    pub(in crate::service) ops: Vec<Op>,
    /// How many of what came of it.
    pub(in crate::service) counts: Vec<(&'static str, u64)>,
    /// With which contacts it does not go, and why; the text names no person.
    pub(in crate::service) refused: Vec<(ContactId, String)>,
}

impl Service {
    /// What the work does with these contacts, as far as the caller may do it now.
    pub(super) async fn step(&self, caller: &Caller, work: &Work, some: &[ContactId]) -> Answer<StepDone> {
        match some {
            [] => Ok(StepDone::default()),
            some => self.work_on_some(caller, work, some).await,
        }
    }
}
