//! A store opened without a byte written to it: redb writes even when it only opens a file that
//! was not closed cleanly, so what it writes stays in memory, over what the file holds, and is
//! lost. Reads go on this way on a disk that takes no writes, and a file is examined beside the
//! database that has it open. It knows no row.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::redb::StorageBackend;

/// The unit in which changes are kept.
const PAGE: u64 = 4096;

/// What lies under the changes.
pub(super) trait Ground: Send + Sync + 'static {
    /// How many bytes there are.
    fn length(&self) -> io::Result<u64>;

    /// Reads bytes that are there.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Lets others have it.
    fn release(&self) -> io::Result<()>;
}

impl Ground for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn release(&self) -> io::Result<()> {
        self.unlock()
    }
}

/// A backend whose writes stay in memory.
pub(super) struct Frozen<G> {
    ground: G,
    state: Mutex<State>,
}

struct State {
    length: u64,
    /// How much of the ground still shows: all of it until the length was less.
    shown: u64,
    /// Changed pages, by their number.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl<G: Ground> Frozen<G> {
    pub(super) fn new(ground: G) -> io::Result<Self> {
        let length = ground.length()?;
        let state = State { length, shown: length, pages: BTreeMap::new() };
        Ok(Self { ground, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `out` from the ground, with zeros where it shows nothing.
    fn bare(&self, shown: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(shown.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (from_ground, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if from_ground.is_empty() { Ok(()) } else { self.ground.read(offset, from_ground) }
    }
}

/// The parts of a run of bytes, page by page: the page, the offset in it, the length.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset.saturating_add(length as u64);
    let mut at = offset;
    std::iter::from_fn(move || {
        let (page, inside) = (at / PAGE, at % PAGE);
        let taken = (PAGE - inside).min(end.checked_sub(at)?);
        at += taken;
        (taken > 0).then_some((page, inside as usize, taken as usize))
    })
}

impl<G: Ground> StorageBackend for Frozen<G> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let shown = state.shown;
        let pages = offset / PAGE..=offset.saturating_add(out.len() as u64) / PAGE;
        let changed: Vec<(u64, Vec<u8>)> =
            state.pages.range(pages).map(|(page, bytes)| (*page, bytes.clone())).collect();
        drop(state);
        self.bare(shown, offset, out)?;
        for (page, bytes) in changed {
            let start = (page * PAGE).max(offset);
            let kept = bytes.get((start - page * PAGE) as usize..).unwrap_or_default();
            let place = out.get_mut((start - offset) as usize..).unwrap_or_default();
            place.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.length = length;
        state.shown = state.shown.min(length);
        let _ = state.pages.split_off(&length.div_ceil(PAGE));
        if let Some(last) = state.pages.get_mut(&(length / PAGE)) {
            last.iter_mut().skip((length % PAGE) as usize).for_each(|byte| *byte = 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let mut rest = data;
        for (page, inside, length) in parts(offset, data.len()) {
            if !state.pages.contains_key(&page) {
                let mut bytes = vec![0; PAGE as usize];
                self.bare(state.shown, page * PAGE, &mut bytes)?;
                state.pages.insert(page, bytes);
            }
            let (now, later) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = later;
            let place = state.pages.get_mut(&page).and_then(|bytes| bytes.get_mut(inside..));
            place.unwrap_or_default().iter_mut().zip(now).for_each(|(to, from)| *to = *from);
        }
        state.length = state.length.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.ground.release()
    }
}

impl<G> std::fmt::Debug for Frozen<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frozen").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Ground for Bytes {
        fn length(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let from = self.0.get(offset as usize..offset as usize + out.len());
            out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }

        fn release(&self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest::proptest! {
        /// Whatever is written, it is read as a plain file would have it.
        #[test]
        fn it_is_as_a_file_that_is_written_to(
            ground in proptest::collection::vec(1u8.., 0..9000),
            steps in proptest::collection::vec((0u64..14_000, 0usize..6000, proptest::bool::ANY), 0..12),
        ) {
            let frozen = Frozen::new(Bytes(ground.clone())).unwrap();
            let mut model = ground;
            for (number, (offset, length, resize)) in steps.into_iter().enumerate() {
                if resize {
                    frozen.set_len(offset).unwrap();
                    model.resize(offset as usize, 0);
                } else {
                    let data = vec![number as u8 + 1; length];
                    frozen.write(offset, &data).unwrap();
                    let end = offset as usize + length;
                    model.resize(model.len().max(end), 0);
                    model[offset as usize..end].copy_from_slice(&data);
                }
                proptest::prop_assert_eq!(frozen.len().unwrap(), model.len() as u64);
                let mut whole = vec![0; model.len()];
                frozen.read(0, &mut whole).unwrap();
                proptest::prop_assert!(whole == model);
                let middle = model.len() / 3;
                let mut part = vec![0; model.len() / 2];
                frozen.read(middle as u64, &mut part).unwrap();
                proptest::prop_assert!(part == model[middle..middle + part.len()]);
            }
            let end = frozen.len().unwrap();
            proptest::prop_assert!(frozen.read(end, &mut [0]).is_err());
        }
    }
}
