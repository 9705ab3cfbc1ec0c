//! How near to full the medium is. redb refuses everything after one write that failed for want of
//! room, until it is opened again; so writes are refused before it comes to that, those that add
//! first and those that make room last. It knows no file and no transaction.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::EngineError;
use super::medium::{Medium, Space};

/// How much room stays free unless the caller says otherwise: some commits of any size that is
/// usual, and what other programs write meanwhile.
pub(super) const KEEP_FREE: u64 = 8 * 1024 * 1024;

/// Batches that make room may use all but this part of what is kept free.
const LAST_PART: u64 = 8;

/// redb writes whole pages and the way to them, so a commit needs a multiple of its rows' bytes ...
const PER_BYTE: u64 = 4;

/// ... and something for each row, as small as it may be.
const PER_ROW: u64 = 4096;

/// What was found is believed for this long, and not at all when it was little.
const BELIEVED: Duration = Duration::from_millis(50);

/// What may be written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Anything.
    Any,
    /// What leaves less in the store than was there.
    Shrinking,
}

/// What is known of the room that is left.
pub(super) struct Room {
    keep: u64,
    /// Bytes left when last looked, less what was let through since.
    left: u64,
    looked: Option<Instant>,
    /// The last leave was not for anything; told once.
    tight: bool,
}

impl Room {
    pub(super) fn new(keep: u64) -> Self {
        Self { keep, left: 0, looked: None, tight: false }
    }

    /// Whether a commit of so many bytes in so many rows may be begun.
    pub(super) fn leave(
        &mut self,
        medium: &dyn Medium,
        bytes: usize,
        rows: usize,
    ) -> Result<Leave, EngineError> {
        let need = need(bytes, rows);
        let plenty = self.keep.saturating_add(need).saturating_mul(2);
        if self.left < plenty || self.looked.is_none_or(|looked| looked.elapsed() >= BELIEVED) {
            self.looked = Some(Instant::now());
            self.left = match medium.space() {
                Space::Left(bytes) => bytes,
                Space::Unknown => u64::MAX,
                Space::ReadOnly => {
                    self.looked = None;
                    return Err(EngineError::Unavailable("it is mounted read-only".into()));
                }
            };
        }
        let tight = self.left < self.keep.saturating_add(need);
        if tight != self.tight {
            self.tight = tight;
            if tight {
                warn!(left = self.left, "the disk is nearly full: only what makes room is written");
            } else {
                info!(left = self.left, "the disk has room again");
            }
        }
        if !tight {
            self.left -= need.min(self.left);
            return Ok(Leave::Any);
        }
        if self.left < (self.keep / LAST_PART).saturating_add(need) {
            return Err(EngineError::Full);
        }
        Ok(Leave::Shrinking)
    }
}

/// How much room a commit takes at most, until the pages that it replaces are free again.
fn need(bytes: usize, rows: usize) -> u64 {
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    wide(bytes).saturating_mul(PER_BYTE).saturating_add(wide(rows).saturating_mul(PER_ROW))
}
