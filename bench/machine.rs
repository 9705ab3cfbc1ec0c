//! The clock and the randomness of the machine, for benchmarks that run in process, and how long its
//! processors worked for them.

use std::time::{Duration, Instant};

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

/// Since when, and how much the processors had done by then.
#[allow(dead_code, reason = "not every benchmark asks")]
pub struct Timer(Instant, Worked);

#[allow(dead_code, reason = "not every benchmark asks")]
impl Timer {
    /// From now on.
    pub fn start() -> Self {
        // What looking costs is no part of it.
        let worked = Worked::now();
        Self(Instant::now(), worked)
    }

    /// Until now, by the clock and of the processors.
    pub fn ends(self) -> (Duration, Duration) {
        (self.0.elapsed(), self.1.since())
    }
}

/// Several of them.
#[allow(dead_code, reason = "not every benchmark asks")]
#[derive(Default)]
pub struct Times(Vec<(Duration, Duration)>);

#[allow(dead_code, reason = "not every benchmark asks")]
impl Times {
    /// One that ends now.
    pub fn add(&mut self, begun: Timer) {
        self.0.push(begun.ends());
    }

    /// Tells the medians and the 95th of 100.
    pub fn print(self, what: &str) {
        let (mut times, mut busy): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        times.sort_unstable();
        busy.sort_unstable();
        let at = |times: &[Duration], part: usize| {
            times.get(times.len() * part / 100).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        println!(
            "{what}: median {:.2} ms, 95th of 100 {:.2} ms, of a processor {:.2} ms",
            at(&times, 50),
            at(&times, 95),
            at(&busy, 50)
        );
    }
}
