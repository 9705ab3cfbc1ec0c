//! What `/metrics` tells: one static table of names, labels from fixed lists only, so that no
//! client can make a new time series and none names a person.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::service::directory::DirectoryStatus;

/// Every metric: its name, its kind, what it counts.
pub static NAMES: &[(&str, Kind, &str)] = &[
    (REQUESTS, Kind::Counter, "Requests answered, by route, method and status class."),
    (SECONDS, Kind::Histogram, "Seconds from a request's head to its answer's last byte."),
    (IN_FLIGHT, Kind::Gauge, "Requests that are not fully answered yet."),
    (CONNECTIONS, Kind::Gauge, "Open connections."),
    (ACCEPTED, Kind::Counter, "Connections accepted."),
    (SIGN_INS, Kind::Counter, "Requests by how their credentials were taken."),
    (STORE_CALLS, Kind::Counter, "Calls to the store, by route."),
    (DAMAGED, Kind::Counter, "Reads that came upon a damaged value in the store."),
    (PANICS, Kind::Counter, "Requests that failed by a defect of ours."),
    (SYNCS, Kind::Counter, "How often the directory was followed, by outcome."),
    (PEOPLE, Kind::Gauge, "People of the directory that have an account."),
    (LEAVERS, Kind::Gauge, "Users and groups that would leave, if somebody said that it is meant."),
];

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts by size.
    Histogram,
}

const REQUESTS: &str = "cardkeep_requests_total";
const SECONDS: &str = "cardkeep_request_seconds";
const IN_FLIGHT: &str = "cardkeep_requests_in_flight";
const CONNECTIONS: &str = "cardkeep_connections";
const ACCEPTED: &str = "cardkeep_connections_total";
const SIGN_INS: &str = "cardkeep_sign_ins_total";
const STORE_CALLS: &str = "cardkeep_store_calls_total";
const DAMAGED: &str = "cardkeep_store_damaged_values_total";
const PANICS: &str = "cardkeep_panics_total";
const SYNCS: &str = "cardkeep_directory_syncs_total";
const PEOPLE: &str = "cardkeep_directory_people";
const LEAVERS: &str = "cardkeep_directory_pending_leavers";

const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Begins to count; the handle renders what was counted.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(BUCKETS)?.install_recorder()?;
    for (name, kind, what) in NAMES {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *what),
            Kind::Gauge => metrics::describe_gauge!(*name, *what),
            Kind::Histogram => metrics::describe_histogram!(*name, *what),
        }
    }
    Ok(handle)
}

/// How a request's credentials were taken.
pub fn sign_in(outcome: &'static str) {
    counter!(SIGN_INS, "outcome" => outcome).increment(1);
}

/// A connection that is open for as long as this value lives.
pub struct OpenConnection(());

impl OpenConnection {
    /// A connection was accepted.
    pub fn begin() -> Self {
        counter!(ACCEPTED).increment(1);
        gauge!(CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1.0);
    }
}

/// A request has begun.
pub fn request_begun() {
    gauge!(IN_FLIGHT).increment(1.0);
}

/// A request is answered.
pub fn request_ended(
    route: &'static str,
    method: &'static str,
    status: u16,
    took: Duration,
    store_calls: u64,
) {
    gauge!(IN_FLIGHT).decrement(1.0);
    let class = match status {
        // The client went before it was answered.
        0 => "none",
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    counter!(REQUESTS, "route" => route, "method" => method, "status" => class).increment(1);
    histogram!(SECONDS, "route" => route, "method" => method).record(took.as_secs_f64());
    if store_calls > 0 {
        counter!(STORE_CALLS, "route" => route).increment(store_calls);
    }
}

/// How often a damaged value was read, since the start.
pub fn damaged_values(total: u64) {
    counter!(DAMAGED).absolute(total);
}

/// How the directory is followed.
pub fn directory(status: &DirectoryStatus) {
    counter!(SYNCS, "outcome" => "done").absolute(status.successes);
    counter!(SYNCS, "outcome" => "failed").absolute(status.failures);
    let count = |number: usize| u32::try_from(number).map_or(f64::MAX, f64::from);
    gauge!(PEOPLE).set(count(status.people));
    gauge!(LEAVERS).set(count(status.pending_leavers.unwrap_or(0)));
}

/// A request's handler panicked.
pub fn panicked() {
    counter!(PANICS).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ours_and_each_appears_once() {
        let mut seen = std::collections::HashSet::new();
        for (name, kind, what) in NAMES {
            assert!(name.starts_with("cardkeep_") && seen.insert(name) && what.ends_with('.'));
            assert!(*kind != Kind::Counter || name.ends_with("_total"));
        }
    }
}
