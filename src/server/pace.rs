//! How often one token, or one account with its password, may ask the API: so many requests a minute on
//! average, with a minute's worth at once. Kept in memory only.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use moka::sync::Cache;

use crate::service::access::Caller;

use super::auth;

/// How many askers are remembered; who was forgotten has a whole minute's worth again.
const ASKERS: u64 = 100_000;

const MINUTE: Duration = Duration::from_secs(60);

/// How fast each asker may go on.
pub struct Pace {
    each: Duration,
    askers: Cache<[u8; 32], Arc<Mutex<Duration>>>,
    start: Instant,
}

impl Pace {
    /// So many requests a minute.
    pub fn of(rate: NonZeroU32) -> Self {
        let askers = Cache::builder().max_capacity(ASKERS).time_to_idle(2 * MINUTE).build();
        Self { each: MINUTE / rate.get(), askers, start: Instant::now() }
    }

    /// Takes a turn of the caller, or says how long to wait for one.
    pub fn turn(&self, caller: &Caller, headers: &HeaderMap) -> Result<(), Duration> {
        let asker = match auth::bearer(headers) {
            Some(token) => *blake3::hash(token.as_bytes()).as_bytes(),
            None => *blake3::hash(caller.account.as_bytes()).as_bytes(),
        };
        let until = self.askers.get_with(asker, Arc::default);
        let mut until = until.lock().unwrap_or_else(PoisonError::into_inner);
        taken(&mut until, self.start.elapsed(), self.each)
    }
}

/// Takes a turn: `until` is when all that were taken would be over, had each waited for the one before
/// it. It may be a minute ahead of now.
fn taken(until: &mut Duration, now: Duration, each: Duration) -> Result<(), Duration> {
    let next = (*until).max(now) + each;
    match next.checked_sub(now + MINUTE) {
        Some(wait) if !wait.is_zero() => Err(wait),
        _ => {
            *until = next;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_is_there_at_once_and_comes_back_one_by_one() {
        let (mut until, each) = (Duration::ZERO, MINUTE / 3);
        let mut at = |seconds| taken(&mut until, Duration::from_secs(seconds), each);
        assert_eq!([at(100), at(100), at(100)], [Ok(()); 3]);
        assert_eq!(at(100), Err(Duration::from_secs(20)));
        assert_eq!(at(110), Err(Duration::from_secs(10)));
        assert_eq!((at(120), at(120)), (Ok(()), Err(Duration::from_secs(20))));
        assert_eq!([at(1000), at(1000), at(1000)], [Ok(()); 3]);
        assert!(at(1000).is_err());
    }
}
