//! Brakes against guessing, per pair of account and address: after some wrong passwords, checks for
//! the pair run one at a time and not faster than `PACE`. A credential that is right is never turned
//! away for others' guesses: it waits its turn, and one that is known to be right does not even wait.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long wrong passwords count.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The least time between two slowed checks of a pair.
const PACE: Duration = Duration::from_millis(500);
/// How many slowed checks of a pair may wait.
const WAITING: usize = 16;
/// What a slowed client is told.
const RETRY: Duration = Duration::from_secs(10);
/// How many pairs are watched.
const PAIRS: u64 = 100_000;

type Pair = ([u8; 16], IpAddr);

/// Every pair that guessed wrong lately.
pub(super) struct Guesses {
    free: u32,
    pairs: Cache<Pair, Arc<Guess>>,
}

/// One pair.
pub(super) struct Guess {
    free: u32,
    wrong: AtomicU32,
    waiting: Semaphore,
    turn: Arc<Semaphore>,
}

/// How a check may go on.
pub(super) enum Pace {
    /// At once.
    Free,
    /// Now that the turn has come; a wrong password is answered with 429.
    Slow { turn: OwnedSemaphorePermit, retry_after: Duration },
    /// Not at all: too many wait already.
    Full { retry_after: Duration },
}

impl Guesses {
    pub(super) fn new(free: u32) -> Self {
        let pairs = Cache::builder().max_capacity(PAIRS).time_to_idle(WINDOW).build();
        Self { free, pairs }
    }

    /// The pair of an account's name hash and an address; an IPv6 client is its /64 network, since
    /// it has as many addresses as it likes.
    pub(super) fn of(&self, account: [u8; 16], address: IpAddr) -> Arc<Guess> {
        let address = match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 => v4,
        };
        self.pairs.get_with((account, address), || Arc::new(Guess::new(self.free)))
    }
}

impl Guess {
    fn new(free: u32) -> Self {
        let waiting = Semaphore::new(WAITING);
        Self { free, wrong: AtomicU32::new(0), waiting, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Waits for the pair's turn, if it guessed wrong too often.
    pub(super) async fn turn(&self) -> Pace {
        if self.wrong.load(Ordering::Relaxed) < self.free {
            return Pace::Free;
        }
        let Ok(_place) = self.waiting.try_acquire() else { return Pace::Full { retry_after: RETRY } };
        match self.turn.clone().acquire_owned().await {
            Ok(turn) => {
                tokio::time::sleep(PACE).await;
                Pace::Slow { turn, retry_after: RETRY }
            }
            Err(_) => Pace::Full { retry_after: RETRY },
        }
    }

    /// A wrong password.
    pub(super) fn count(&self) {
        let once_more = |wrong: u32| Some(wrong.saturating_add(1));
        // The closure never refuses.
        let _ = self.wrong.fetch_update(Ordering::Relaxed, Ordering::Relaxed, once_more);
    }

    /// A right one: the pair starts anew.
    pub(super) fn forgive(&self) {
        self.wrong.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pair_is_slowed_after_its_free_guesses_and_alone() {
        let guesses = Guesses::new(2);
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        let near: IpAddr = "2001:db8::ffff".parse().unwrap();
        for _ in 0..2 {
            assert!(matches!(guesses.of([1; 16], here).turn().await, Pace::Free));
            guesses.of([1; 16], here).count();
        }
        assert!(matches!(guesses.of([1; 16], near).turn().await, Pace::Slow { .. }));
        assert!(matches!(guesses.of([2; 16], here).turn().await, Pace::Free));
        guesses.of([1; 16], here).forgive();
        assert!(matches!(guesses.of([1; 16], here).turn().await, Pace::Free));
    }
}
