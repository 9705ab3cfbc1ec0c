//! The system's clock and randomness, handed down as arguments: no other room reads them.

use jiff::Timestamp;

use crate::service::refusal::Fault;
use crate::service::{Clock, Entropy};

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The system's randomness.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Fault> {
        getrandom::fill(bytes).map_err(|error| Fault(format!("the system gives no randomness: {error}")))
    }
}
