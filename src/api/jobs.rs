//! `/jobs`: how far long work is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::service::jobs::{JobState, JobView};
use crate::service::refusal::Refusal;

use super::page::{Asked, Key, Order};
use super::reply::Reply;
use super::{Ask, Outcome, Trouble};

/// Long work.
#[derive(Serialize, ToSchema)]
pub struct Job {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    state: &'static str,
    /// With how many contacts it is done.
    done: u64,
    /// How many contacts it is about.
    total: u64,
    /// What came of it so far.
    result: JobResult,
    /// Why it failed.
    error: Option<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last went on.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What came of a job, with how many contacts.
#[derive(Serialize, ToSchema)]
pub struct JobResult {
    /// With how many contacts it did not go.
    refused_total: u64,
    /// The first of them.
    refused: Vec<Refused>,
    /// With how many contacts what was done, by the word for it.
    #[serde(flatten)]
    counts: BTreeMap<String, u64>,
}

/// A contact with which a job did not go.
#[derive(Serialize, ToSchema)]
pub struct Refused {
    /// The contact's id.
    #[schema(format = Uuid)]
    id: String,
    /// Why.
    reason: String,
}

impl Refused {
    /// A contact with the reason why it did not go.
    pub fn new(id: crate::domain::id::ContactId, reason: String) -> Self {
        Self { id: id.to_string(), reason }
    }
}

/// A state as a word.
fn word(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

impl From<&JobView> for Job {
    fn from(job: &JobView) -> Self {
        let refused = |(id, reason): &(crate::domain::id::ContactId, String)| Refused {
            id: id.to_string(),
            reason: reason.clone(),
        };
        Self {
            id: job.id.to_string(),
            state: word(job.state),
            done: job.done,
            total: job.total,
            result: JobResult {
                refused_total: job.refusals,
                refused: job.refused.iter().map(refused).collect(),
                counts: job.counts.iter().cloned().collect(),
            },
            error: job.error.clone(),
            created_at: job.created,
            updated_at: job.updated,
        }
    }
}

const ORDER: Order<JobView> = Order {
    id: |job| job.id.into_bytes(),
    fields: &[
        ("newest", |job| Key::Number(job.created.as_microsecond().saturating_neg())),
        ("created_at", |job| Key::Number(job.created.as_microsecond())),
        ("updated_at", |job| Key::Number(job.updated.as_microsecond())),
        ("state", |job| Key::text(word(job.state))),
    ],
};

/// `GET /jobs`
pub async fn list(ask: &Ask) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let page = asked.piece(ask.service.jobs(&ask.caller).await?, &ORDER);
    Ok(Reply::json(&page.map(|job| Job::from(&job)))?)
}

/// `GET /jobs/{id}`
pub async fn show(ask: &Ask) -> Outcome {
    Ok(Reply::resource(&Job::from(&ask.service.job(&ask.caller, id(ask)?).await?))?)
}

/// `DELETE /jobs/{id}`
pub async fn cancel(ask: &Ask) -> Outcome {
    let id = id(ask)?;
    ask.when(&Reply::resource(&Job::from(&ask.service.job(&ask.caller, id).await?))?)?;
    ask.service.cancel_job(&ask.caller, id).await?;
    Ok(Reply::gone())
}

fn id(ask: &Ask) -> Result<Uuid, Trouble> {
    Ok(Uuid::try_parse(ask.param(0)).map_err(|_| Refusal::NotFound)?)
}
