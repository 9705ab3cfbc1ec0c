//! The clock and the randomness of the machine, for benchmarks that run in process, and how long its
//! processors worked for them.

use std::time::Duration;

use cardkeep::service::{Clock, Entropy, NoEntropy};

/// The machine.
pub struct Machine;

impl Clock for Machine {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

impl Entropy for Machine {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|error| NoEntropy(error.to_string()))
    }
}

/// For how long the threads that there are now have worked: proc(5), the first number of `schedstat`.
/// Nothing where there is no such file.
#[allow(dead_code, reason = "not every benchmark asks")]
pub fn worked() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let told = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    let nanoseconds = told.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(nanoseconds.sum())
}
