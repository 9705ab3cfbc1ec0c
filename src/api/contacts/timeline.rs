//! `/contacts/{id}/timeline`: what is planned and what happened with a contact.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ical::Kind;
use crate::domain::ical::near::When;
use crate::service::office::Planned;

use super::super::page::{Asked, Key, Order};
use super::super::reply::Reply;
use super::super::{Ask, Outcome};
use super::named;

/// An event, task or journal entry that names a contact.
#[derive(Serialize, ToSchema)]
#[schema(as = Activity)]
pub struct Activity {
    /// What it is.
    #[schema(value_type = String, pattern = "^(event|task|journal)$")]
    kind: &'static str,
    /// When it begins: a time, or a day where it is of whole days. Of what recurs it is the next one, or
    /// the last where none comes any more; null where it has no date.
    at: Option<String>,
    /// When it is over: the first time, or day, after it; null where it takes no time.
    end: Option<String>,
    /// What it is called; empty where that is not said.
    summary: String,
    /// How it stands, in the words of iCalendar: `CONFIRMED`, `NEEDS-ACTION`, `COMPLETED` …
    status: Option<String>,
    /// The calendar, as `OWNER/NAME`.
    calendar: String,
    /// Its UID.
    uid: String,
    /// The path at which calendar apps find it; left out for a group's calendar.
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
}

/// Newest first: what is farthest ahead is the first.
const ORDER: Order<Planned> = Order {
    id: |planned| *planned.object.as_bytes(),
    fields: &[("at", |planned| Key::Number(planned.placed.as_microsecond().saturating_neg()))],
};

/// `GET /contacts/{id}/timeline`
pub async fn timeline(ask: &Ask) -> Outcome {
    let view = match named(ask, "timeline").await? {
        Ok(view) => view,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let asked = Asked::of(&ask.query, &ORDER)?;
    let planned = ask.service.contact_timeline(&ask.caller, &view).await?;
    let page = asked.piece(planned, &ORDER);
    Ok(Reply::json(&page.map(|planned| told(ask, planned)))?)
}

fn told(ask: &Ask, planned: Planned) -> Activity {
    let near = planned.near;
    let href = planned.path.as_ref().map(|(owner, calendar, object)| {
        ask.dav_place("calendars", &[owner, calendar.as_str(), object.as_str()])
    });
    Activity {
        kind: match near.kind {
            Kind::Todo => "task",
            Kind::Journal => "journal",
            Kind::Event | Kind::Availability => "event",
        },
        at: near.at.map(written),
        end: near.end.map(written),
        summary: near.summary,
        status: Some(near.status).filter(|status| !status.is_empty()),
        calendar: planned.calendar,
        uid: planned.uid,
        href,
    }
}

fn written(when: When) -> String {
    match when {
        When::Day(day) => day.to_string(),
        When::Instant(at) => Timestamp::to_string(&at),
    }
}
