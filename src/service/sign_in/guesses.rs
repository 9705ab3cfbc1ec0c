//! Brakes against guessing, per pair of account and address: after some wrong passwords, checks for
//! the pair run one at a time and not faster than `PACE`. What is being checked counts like what was
//! wrong until it is known, so that guesses at once are no more than guesses one by one. A credential that is right is never turned
//! away for others' guesses: it waits its turn, and one that is known to be right does not even wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Credential;

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
    tally: Mutex<Tally>,
    waiting: Semaphore,
    turn: Arc<Semaphore>,
}

/// What counts of a pair.
#[derive(Default)]
struct Tally {
    wrong: u32,
    /// The credentials that are being checked, each with by how many requests: a client that sends the
    /// same one ten times at once guesses once.
    checking: HashMap<Credential, u32>,
}

/// A free check's place in the tally; given back where nothing was learned, or the client hung up.
pub(super) struct Reserved {
    guess: Arc<Guess>,
    credential: Credential,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut tally = self.guess.tally();
        if let Some(requests) = tally.checking.get_mut(&self.credential) {
            *requests -= 1;
            if *requests == 0 {
                tally.checking.remove(&self.credential);
            }
        }
    }
}

/// How a check may go on.
pub(super) enum Pace {
    /// At once.
    Free(Reserved),
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
        Self { free, tally: Mutex::default(), waiting, turn: Arc::new(Semaphore::new(1)) }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the free checks, while there is one.
    fn reserve(self: &Arc<Self>, credential: Credential) -> Option<Reserved> {
        let mut tally = self.tally();
        let others = tally.checking.keys().filter(|checked| **checked != credential).count();
        let counted = tally.wrong.saturating_add(u32::try_from(others).unwrap_or(u32::MAX));
        if counted >= self.free {
            return None;
        }
        *tally.checking.entry(credential).or_default() += 1;
        Some(Reserved { guess: self.clone(), credential })
    }

    /// Waits for the pair's turn, if it guessed wrong too often.
    pub(super) async fn turn(self: &Arc<Self>, credential: Credential) -> Pace {
        if let Some(reserved) = self.reserve(credential) {
            return Pace::Free(reserved);
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
        let mut tally = self.tally();
        tally.wrong = tally.wrong.saturating_add(1);
    }

    /// A right one: the pair starts anew.
    pub(super) fn forgive(&self) {
        self.tally().wrong = 0;
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
            assert!(matches!(guesses.of([1; 16], here).turn([0; 32]).await, Pace::Free(_)));
            guesses.of([1; 16], here).count();
        }
        assert!(matches!(guesses.of([1; 16], near).turn([0; 32]).await, Pace::Slow { .. }));
        assert!(matches!(guesses.of([2; 16], here).turn([0; 32]).await, Pace::Free(_)));
        guesses.of([1; 16], here).forgive();
        assert!(matches!(guesses.of([1; 16], here).turn([0; 32]).await, Pace::Free(_)));
    }

    #[tokio::test]
    async fn what_is_being_checked_counts_until_it_is_known() {
        let guess = Guesses::new(2).of([1; 16], IpAddr::from([127, 0, 0, 1]));
        let first = guess.turn([1; 32]).await;
        let second = guess.turn([2; 32]).await;
        assert!(matches!((&first, &second), (Pace::Free(_), Pace::Free(_))));
        assert!(matches!(guess.turn([3; 32]).await, Pace::Slow { .. }));
        // The same once more is no other guess.
        let again = guess.turn([2; 32]).await;
        assert!(matches!(again, Pace::Free(_)));
        // One was wrong, and of the other nothing is known any more.
        guess.count();
        drop(first);
        assert!(matches!(guess.turn([3; 32]).await, Pace::Slow { .. }));
        drop((second, again));
        assert!(matches!(guess.turn([3; 32]).await, Pace::Free(_)));
    }
}
