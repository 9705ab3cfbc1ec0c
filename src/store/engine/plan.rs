//! What a batch would do, worked out before anything is touched, so that every engine gives guards,
//! counters and stamps the same meaning and a refused batch cannot leave a trace. It knows no
//! engine: it reads through [`View`] and hands back plain changes.

use bytes::Bytes;

use super::{Batch, EngineError, Guard, Outcome, Stamp, Write};

/// The longest key: far above any key of ours, and far below what strains a B-tree page.
const KEY_MAX: usize = 64 * 1024;

/// The longest value. redb itself ends at 3 GiB; nothing of ours comes near this.
const VALUE_MAX: usize = 1024 * 1024 * 1024;

/// How wide a counter's value is, in a row, a key or a value.
const COUNTER_WIDTH: usize = 8;

/// The state that a batch is checked against.
pub(super) trait View {
    /// What reading can fail with; never the batch's fault.
    type Error;

    /// Looks at the key's value without copying it.
    fn look<T>(&self, key: &[u8], at: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, Self::Error>;
}

/// What is to happen to a batch.
pub(super) enum Plan {
    /// A guard did not hold.
    Moved,
    /// The batch itself cannot be applied; the medium is not to blame.
    Refused(EngineError),
    /// Every guard held: these changes, in order.
    Apply(Changes),
}

/// The changes of a batch that may be applied.
pub(super) struct Changes {
    /// The counters' new values, in the batch's order.
    counters: Vec<u64>,
    /// Keys and their new values; `None` removes the key.
    pub(super) rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// How many octets it may add in any case.
    pub(super) may_add: usize,
}

impl Changes {
    /// What the batch's caller is told, once the changes are durable.
    pub(super) fn outcome(self) -> Outcome {
        Outcome::Applied(self.counters)
    }
}

/// Refuses a batch that no state of the map could make applicable. It reads nothing, so callers
/// run it on their own thread, before they queue.
pub(super) fn check_shape(batch: &Batch) -> Result<(), EngineError> {
    let guarded = batch.guards.iter().map(|(key, _)| key);
    let mut keys = guarded.chain(&batch.counters).chain(batch.writes.iter().map(key_of));
    if keys.any(|key| key.len() > KEY_MAX - COUNTER_WIDTH) {
        return Err(EngineError::Failed("a key is too long".into()));
    }
    for write in &batch.writes {
        let Write::Put { value, stamp, .. } = write else {
            continue;
        };
        if value.len() > VALUE_MAX {
            return Err(EngineError::Failed("a value is too long".into()));
        }
        let Some(stamp) = stamp else { continue };
        let fits = stamp
            .in_value
            .is_none_or(|offset| offset.checked_add(COUNTER_WIDTH).is_some_and(|end| end <= value.len()));
        if !fits || stamp.counter >= batch.counters.len() {
            return Err(EngineError::Failed("a stamp does not fit".into()));
        }
    }
    Ok(())
}

/// Roughly how many bytes a batch will write; bounds what may queue up.
pub(super) fn weight(batch: &Batch) -> usize {
    let rows = batch.writes.iter().map(|write| match write {
        Write::Put { key, value, .. } => key.len().saturating_add(value.len()),
        Write::Delete { key } => key.len(),
    });
    rows.fold(batch.counters.len(), usize::saturating_add)
}

/// Works out what the batch does to the state that `view` shows. An error is the medium's.
pub(super) fn plan<V: View>(batch: Batch, view: &V) -> Result<Plan, V::Error> {
    if let Err(refusal) = check_shape(&batch) {
        return Ok(Plan::Refused(refusal));
    }
    for (key, guard) in &batch.guards {
        if !view.look(key, |value| holds(guard, value))? {
            return Ok(Plan::Moved);
        }
    }
    let mut counters: Vec<u64> = Vec::with_capacity(batch.counters.len());
    for key in &batch.counters {
        // As many as have a new value by now.
        let earlier = batch.counters.iter().zip(&counters);
        let before = match earlier.rev().find(|(other, _)| *other == key) {
            Some((_, value)) => Some(*value),
            None => view.look(key, counter_value)?,
        };
        match before.and_then(|value| value.checked_add(1)) {
            Some(next) => counters.push(next),
            None => {
                let refusal = EngineError::Failed("a counter cannot go up".into());
                return Ok(Plan::Refused(refusal));
            }
        }
    }
    Ok(Plan::Apply(changes(batch, counters)))
}

/// Whether a guard holds for what its key has.
fn holds(guard: &Guard, value: Option<&[u8]>) -> bool {
    match guard {
        Guard::Absent => value.is_none(),
        Guard::Is(expected) => value.is_some_and(|value| value == Bytes::as_ref(expected)),
    }
}

/// A counter's stored value; `None` when the row is not a counter.
fn counter_value(stored: Option<&[u8]>) -> Option<u64> {
    match stored {
        None => Some(0),
        Some(bytes) => bytes.try_into().ok().map(u64::from_be_bytes),
    }
}

/// The batch's rows with counters and stamps in place.
fn changes(batch: Batch, counters: Vec<u64>) -> Changes {
    let may_add = batch.may_add;
    let mut rows = Vec::with_capacity(batch.counters.len() + batch.writes.len());
    for (key, value) in batch.counters.into_iter().zip(&counters) {
        rows.push((key, Some(value.to_be_bytes().to_vec())));
    }
    for write in batch.writes {
        match write {
            Write::Put { mut key, mut value, stamp } => {
                if let Some(stamp) = stamp {
                    apply_stamp(stamp, &counters, &mut key, &mut value);
                }
                rows.push((key, Some(value)));
            }
            Write::Delete { key } => rows.push((key, None)),
        }
    }
    Changes { counters, rows, may_add }
}

/// Completes a key and a value; `check_shape` has made sure that the stamp fits.
fn apply_stamp(stamp: Stamp, counters: &[u64], key: &mut Vec<u8>, value: &mut [u8]) {
    let Some(number) = counters.get(stamp.counter) else {
        return;
    };
    let bytes = number.to_be_bytes();
    if stamp.in_key {
        key.extend_from_slice(&bytes);
    }
    let slot = stamp.in_value.and_then(|offset| value.get_mut(offset..)?.get_mut(..COUNTER_WIDTH));
    if let Some(slot) = slot {
        slot.copy_from_slice(&bytes);
    }
}

/// The key that a write names.
fn key_of(write: &Write) -> &Vec<u8> {
    match write {
        Write::Put { key, .. } | Write::Delete { key } => key,
    }
}
