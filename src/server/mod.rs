//! The way in: it listens, speaks HTTP and TLS, finds out who is asking, holds limits, hands
//! requests to the protocol rooms, and logs what came of them. Knows no XML, no card and, but for
//! `boot`, no storage engine.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Semaphore, watch};

use crate::api;
use crate::config::Config;
use crate::service::Service;

pub mod boot;
pub mod control;
pub mod directory;
pub mod handout;
pub mod restore;

mod auth;
mod body;
mod clock;
mod conn;
mod cors;
mod demo;
mod front;
mod listen;
pub mod master;
mod metrics;
mod pace;
mod paths;
mod respond;
mod rotation;
mod route;
mod tls;
mod trace;

pub use clock::SystemEntropy;

/// What all requests share.
struct Shared {
    config: Config,
    service: Arc<Service>,
    metrics: PrometheusHandle,
    /// Turns of requests that are worked on.
    requests: Arc<Semaphore>,
    /// Turns of those among them whose bodies are large.
    heavy: Arc<Semaphore>,
    /// Memory for request bodies.
    bodies: body::Room,
    ids: trace::Ids,
    /// What the API remembers between requests.
    api: api::Memory,
    /// How often each token asks the API.
    pace: Option<pace::Pace>,
    stop: watch::Receiver<bool>,
}

impl Shared {
    fn stopping(&self) -> bool {
        *self.stop.borrow()
    }
}
