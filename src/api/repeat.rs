//! `Idempotency-Key`: a `POST` that was done is not done again when a client, who did not get the
//! answer, sends it once more; it gets the first answer. Kept in memory for a day, per caller.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use moka::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::domain::id::AccountId;

use super::problem::{Kind, Problem};
use super::reply::Reply;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How many bytes of answers are kept.
const ROOM: u64 = 16 << 20;
/// What an entry costs beside its answer.
const ENTRY: usize = 512;
/// The longest key.
const LONGEST: usize = 255;

/// The header field.
pub const HEADER: &str = "idempotency-key";

/// The answers that are kept.
pub struct Repeats(Cache<[u8; 32], Arc<Entry>>);

struct Entry {
    /// The method, target and body that the key came with.
    request: [u8; 32],
    /// Held by who is working on it.
    gate: Arc<Mutex<()>>,
    answer: RwLock<Option<Reply>>,
}

/// What is to be done with a request.
pub enum Turn {
    /// It has no key.
    Plain,
    /// It is the first with its key; its answer goes there.
    First(Place),
    /// It was done already.
    Done(Reply),
}

/// Where an answer is put.
pub struct Place {
    key: [u8; 32],
    entry: Arc<Entry>,
    _gate: OwnedMutexGuard<()>,
}

impl Default for Repeats {
    fn default() -> Self {
        let weight = |_: &[u8; 32], entry: &Arc<Entry>| {
            let answer = entry.answer.read().unwrap_or_else(PoisonError::into_inner);
            let body = answer.as_ref().map_or(0, |answer| answer.body.len());
            u32::try_from(body.saturating_add(ENTRY)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(ROOM).weigher(weight).time_to_live(KEPT).build())
    }
}

impl Repeats {
    /// Looks a request up by its key.
    pub fn turn(
        &self,
        caller: AccountId,
        target: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Turn, Problem> {
        let mut given = headers.get_all(HEADER).iter();
        let Some(key) = given.next() else { return Ok(Turn::Plain) };
        let key = key.as_bytes();
        let readable = (1..=LONGEST).contains(&key.len()) && key.iter().all(|b| (0x20..0x7f).contains(b));
        if !readable || given.next().is_some() {
            let text = format!("one key of 1 to {LONGEST} visible ASCII characters");
            return Err(Problem::parameter(Kind::Unreadable, "Idempotency-Key", text));
        }
        let key = hash(&[caller.as_bytes(), key]);
        let request = hash(&[target.as_bytes(), body]);
        let fresh = || Arc::new(Entry { request, gate: Arc::default(), answer: RwLock::default() });
        let entry = self.0.get_with(key, fresh);
        if entry.request != request {
            let text = "the key came with another request already";
            return Err(Problem::parameter(Kind::Wrong, "Idempotency-Key", text));
        }
        let Ok(gate) = entry.gate.clone().try_lock_owned() else {
            let text = "the first request with the key is being worked on";
            return Err(Problem::parameter(Kind::Conflict, "Idempotency-Key", text).again(1));
        };
        let done = entry.answer.read().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(match done {
            Some(answer) => Turn::Done(answer),
            None => Turn::First(Place { key, entry, _gate: gate }),
        })
    }

    /// Keeps the answer of what was done. What was refused may be asked for again, changed too.
    pub fn keep(&self, place: Place, answer: Option<&Reply>) {
        match answer {
            Some(answer) => {
                let kept = Some(answer.clone());
                *place.entry.answer.write().unwrap_or_else(PoisonError::into_inner) = kept;
                // Weighed anew.
                self.0.insert(place.key, place.entry.clone());
            }
            None => self.0.invalidate(&place.key),
        }
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(repeats: &Repeats, who: u8, key: &str, body: &'static str) -> Result<Turn, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, key.parse().unwrap());
        let caller = AccountId::from_bytes([who; 16]);
        let turn = repeats.turn(caller, "POST /x", &headers, &Bytes::from_static(body.as_bytes()));
        turn.map_err(|problem| problem.answer().status().as_u16())
    }

    #[test]
    fn what_was_done_is_told_again_and_not_done_again() {
        let repeats = Repeats::default();
        let Ok(Turn::First(place)) = turn(&repeats, 1, "k", "a") else { panic!() };
        assert_eq!(turn(&repeats, 1, "k", "a").err(), Some(409), "it is being worked on");
        repeats.keep(place, Some(&Reply::gone()));
        assert!(matches!(turn(&repeats, 1, "k", "a"), Ok(Turn::Done(_))));
        assert_eq!(turn(&repeats, 1, "k", "b").err(), Some(422));
        assert!(matches!(turn(&repeats, 2, "k", "b"), Ok(Turn::First(_))), "another's key is another");
        assert_eq!(turn(&repeats, 1, "", "a").err(), Some(400));
    }

    #[test]
    fn what_was_refused_may_be_asked_for_again() {
        let repeats = Repeats::default();
        let Ok(Turn::First(place)) = turn(&repeats, 1, "k", "a") else { panic!() };
        repeats.keep(place, None);
        assert!(matches!(turn(&repeats, 1, "k", "b"), Ok(Turn::First(_))));
    }
}
