//! `CALDAV:free-busy-query`: when somebody is busy, as one VFREEBUSY (CAL-40, AVAIL-2). RFC 4791 §7.10.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::domain::ical::busy::BusyTimes;
use crate::service::refusal::{Refusal, Stop};
use crate::service::view::{CollectionView, PropertyValue};

use super::super::refuse::Trouble;
use super::super::target::Target;
use super::super::xml::name::CAL;
use super::super::xml::request::FreeBusy;
use super::super::{Depth, Exchange, Outcome, full};

/// Handles the report. Of a calendar it tells what is in it; of a home, with a depth, what is in the
/// calendars that say how busy their owner is (SCHED-6). Without a depth that is what is meant.
pub async fn free_busy(exchange: &Exchange<'_>, asked: FreeBusy) -> Outcome {
    let depth = exchange.depth_or(Depth::Infinity)?;
    exchange.check().await?;
    let (service, caller) = (exchange.service, exchange.caller);
    let mut busy = BusyTimes::new(&asked.range);
    match exchange.target {
        Target::Collection(home, name) => {
            // A calendar's objects are one step away: none are looked at with depth 0.
            match depth {
                Depth::Zero => super::multiget::exists(exchange).await?,
                _ => busy = service.busy_times(caller, (home, name), asked.range, busy).await?,
            }
        }
        Target::Home(home) => {
            let calendars = service.home(caller, home).await?.books;
            for view in calendars.iter().filter(|view| depth == Depth::Infinity && is_opaque(view)) {
                let Some(name) = &view.name else { continue };
                let told = service.busy_times(caller, (&view.home, name), asked.range, busy.clone()).await;
                match told {
                    Ok(told) => busy = told,
                    Err(Stop::Refused(Refusal::NotFound)) => {}
                    Err(stop) => return Err(stop.into()),
                }
            }
        }
        _ => return Err(Trouble::Status(StatusCode::FORBIDDEN)),
    }
    let mut answer = Response::new(full(Bytes::from(busy.answer(service.now()))));
    let kind = HeaderValue::from_static("text/calendar; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(answer)
}

/// Whether what is in a calendar makes its owner busy (RFC 6638 §9.1).
fn is_opaque(view: &CollectionView) -> bool {
    let own = view
        .properties
        .iter()
        .find(|p| p.name.namespace == CAL && p.name.local == "schedule-calendar-transp");
    match own.map(|property| &property.value) {
        Some(PropertyValue::Xml(xml)) => !xml.contains("transparent"),
        Some(PropertyValue::Text { .. }) | None => true,
    }
}
