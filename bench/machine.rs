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

/// How long the processors have worked for this process. Nothing where the system does not tell.
#[allow(dead_code, reason = "not every benchmark asks")]
pub struct Worked {
    /// For the threads that there are now, to the nanosecond.
    living: Duration,
    /// For those that have ended too, to the hundredth of a second.
    all: Duration,
}

#[allow(dead_code, reason = "not every benchmark asks")]
impl Worked {
    /// Until now: proc(5), the first number of `schedstat`, and `utime` and `stime` of `stat`.
    pub fn now() -> Self {
        let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let told = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
        let nanoseconds = told.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok());
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let behind_name = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = behind_name.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
        Self {
            living: Duration::from_nanos(nanoseconds.sum()),
            all: Duration::from_millis(10 * ticks.sum::<u64>()),
        }
    }

    /// Since then.
    pub fn since(&self) -> Duration {
        let now = Self::now();
        match now.all.saturating_sub(self.all) {
            long if long >= Duration::from_secs(1) => long,
            _ => now.living.saturating_sub(self.living),
        }
    }
}
