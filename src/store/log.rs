//! Reads of the change log: what came, changed or went since a revision (RFC 6578 §3.4).

use std::ops::ControlFlow;

use crate::domain::id::{CollectionId, MemberName, Revision};

use super::StoreError;
use super::engine::Extent;
use super::keys::{self, Hash};
use super::query::Reader;
use super::rows::ChangeRow;

/// A part of a collection's change log.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The name hashes of members that came or changed, oldest change first.
    pub changed: Vec<Hash>,
    /// The names of members that went.
    pub removed: Vec<MemberName>,
    /// The revision up to which this part tells.
    pub upto: Revision,
    /// There is more.
    pub truncated: bool,
}

/// Which part of a change log is wanted.
#[derive(Debug, Clone, Copy)]
pub struct LogRange {
    /// Changes after this revision.
    pub since: Revision,
    /// Removals at or before this revision are of no interest: the client never held the member.
    pub began: Revision,
    /// At most so many.
    pub limit: Option<usize>,
}

impl Reader {
    /// The change log after a revision. Looks one row past the limit, so that a part that ends
    /// with the last row is not called truncated (SYNC-17).
    pub async fn log(&self, collection: CollectionId, wanted: LogRange) -> Result<Log, StoreError> {
        let extent = if wanted.since.0 == 0 { Extent::Many } else { Extent::Few };
        let limit = wanted.limit.unwrap_or(usize::MAX);
        let began = wanted.began.0;
        let range = keys::changes_after(collection, wanted.since);
        let state = (Vec::new(), false);
        let sealer = self.sealer().clone();
        let (entries, truncated) = self
            .fold(range, extent, state, move |(entries, truncated), key, value| {
                let revision = keys::number(key).ok_or(StoreError::Damaged("a log key"))?;
                let row: ChangeRow = sealer.decode(key, value)?;
                if row.removed && revision <= began {
                    return Ok(ControlFlow::Continue(()));
                }
                if entries.len() == limit {
                    *truncated = true;
                    return Ok(ControlFlow::Break(()));
                }
                entries.push((revision, row));
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        let upto = Revision(entries.last().map_or(wanted.since.0, |(revision, _)| *revision));
        let gone: Vec<_> = entries.iter().filter(|(_, row)| row.removed).map(|(_, row)| row.member).collect();
        let changed = entries.iter().filter(|(_, row)| !row.removed).map(|(_, row)| row.member).collect();
        Ok(Log { changed, removed: self.tombstones(collection, &gone).await?, upto, truncated })
    }

    async fn tombstones(
        &self,
        collection: CollectionId,
        members: &[Hash],
    ) -> Result<Vec<MemberName>, StoreError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<_> = members.iter().map(|member| keys::tombstone(collection, member)).collect();
        let values = self.get(wanted.clone()).await?;
        let names = wanted.into_iter().zip(values).map(|(key, value)| {
            let value = value.ok_or(StoreError::Damaged("a removal has no tombstone"))?;
            let (_, row) = self.sealer().decode_tombstone(&key, &value)?;
            MemberName::parse(&row.name).map_err(|_| StoreError::Damaged("a tombstone's name"))
        });
        names.collect()
    }
}
