//! Reads of the change log: what came, changed or went since a revision (RFC 6578 §3.4).
//!
//! Damage must not cost a client a change: once its token is past a change it was not told of, it
//! never learns of it. So, of what can be damaged here:
//!
//! - A line of the log cannot simply be left out. The revision in its key is also the stamp of the
//!   member's row or tombstone, which tells what the line told. Where no row has that stamp, the
//!   report fails, and with it nothing but the reports on this collection that reach so far back.
//! - A tombstone whose name cannot be opened is a removal that cannot be told, like one whose name
//!   was forgotten: the client must list anew (`valid-sync-token`), and misses the member then.
//!   Leaving it out would keep the contact on that device for ever.
//! - A member's own row loses nothing here: its name comes from its body, and the report says of it
//!   that it failed, which no client takes for a removal. Where nothing has the name, the member is
//!   left out, and the client keeps what it holds. Whatever repairs a card logs it as changed.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use crate::domain::id::{CollectionId, MemberName, Revision};

use super::engine::Extent;
use super::keys::{self, Hash, Table};
use super::query::Reader;
use super::rows::ChangeRow;
use super::{StoreError, codec};

/// A part of a collection's change log.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The name hashes of members that came or changed, oldest change first.
    pub changed: Vec<Hash>,
    /// The names of members that went.
    pub removed: Vec<MemberName>,
    /// The name of a member that went cannot be told: whoever holds it must list anew.
    pub unnamed: bool,
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
    /// The change log after a revision.
    pub async fn log(&self, collection: CollectionId, wanted: LogRange) -> Result<Log, StoreError> {
        let began = wanted.began.0;
        let (entries, truncated) = self.log_lines(collection, wanted).await?;
        let upto = Revision(entries.last().map_or(wanted.since.0, |(revision, _)| *revision));
        let gone: Vec<_> = entries
            .iter()
            .filter(|(revision, row)| row.removed && *revision > began)
            .map(|(_, row)| row.member)
            .collect();
        let changed = entries.iter().filter(|(_, row)| !row.removed).map(|(_, row)| row.member).collect();
        let (removed, unnamed) = self.tombstones(collection, &gone).await?;
        Ok(Log { changed, removed, unnamed, upto, truncated })
    }

    /// The lines of the change log after a revision, with their revisions, oldest first; the flag says
    /// that there are more. Looks one row past the limit, so that a part that ends with the last row is
    /// not called truncated (SYNC-17).
    pub async fn log_lines(
        &self,
        collection: CollectionId,
        wanted: LogRange,
    ) -> Result<(Vec<(u64, ChangeRow)>, bool), StoreError> {
        let extent = if wanted.since.0 == 0 { Extent::Many } else { Extent::Few };
        let limit = wanted.limit.unwrap_or(usize::MAX);
        let began = wanted.began.0;
        let range = keys::changes_after(collection, wanted.since);
        let state = (Vec::new(), false);
        let sealer = self.sealer().clone();
        let (entries, truncated): (Vec<(u64, Option<ChangeRow>)>, _) = self
            .fold(range, extent, state, move |(entries, truncated), key, value| {
                let revision = keys::number(key).ok_or(StoreError::Damaged("a log key"))?;
                let row = match sealer.decode::<ChangeRow>(key, value) {
                    Ok(row) if row.removed && revision <= began => return Ok(ControlFlow::Continue(())),
                    Ok(row) => Some(row),
                    Err(StoreError::Damaged(_)) => None,
                    Err(error) => return Err(error),
                };
                if entries.len() == limit {
                    *truncated = true;
                    return Ok(ControlFlow::Break(()));
                }
                entries.push((revision, row));
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        Ok((self.mended(collection, entries).await?, truncated))
    }

    /// Lines of the log, the damaged ones as the stamps of members and tombstones tell them.
    async fn mended(
        &self,
        collection: CollectionId,
        entries: Vec<(u64, Option<ChangeRow>)>,
    ) -> Result<Vec<(u64, ChangeRow)>, StoreError> {
        const LOST: StoreError = StoreError::Damaged("a line of a change log cannot be read");
        let lost = entries.iter().filter(|(_, row)| row.is_none()).map(|(revision, _)| *revision);
        let lost: HashSet<u64> = lost.collect();
        let mut stamped = HashMap::new();
        if !lost.is_empty() {
            for revision in &lost {
                self.damages().note(&keys::change(collection, Revision(*revision)), &LOST);
            }
            for (table, removed) in [(Table::Tombstone, true), (Table::Member, false)] {
                let range = keys::under(table, collection.as_bytes());
                let lost = lost.clone();
                let rows = self.fold(range, Extent::Many, Vec::new(), move |rows, key, value| {
                    if let (Ok((revision, _)), Some(member)) = (codec::stamp(value), keys::item(key))
                        && lost.contains(&revision)
                    {
                        rows.push((revision, ChangeRow { member, removed }));
                    }
                    Ok(ControlFlow::Continue(()))
                });
                stamped.extend(rows.await?);
            }
        }
        let mend = |(revision, row): (u64, Option<ChangeRow>)| {
            let row = row.or_else(|| stamped.remove(&revision)).ok_or(LOST)?;
            Ok((revision, row))
        };
        entries.into_iter().map(mend).collect()
    }

    /// The names of members that went; the flag says that there are others, whose names cannot be
    /// told (any more).
    async fn tombstones(
        &self,
        collection: CollectionId,
        members: &[Hash],
    ) -> Result<(Vec<MemberName>, bool), StoreError> {
        let wanted: Vec<_> = members.iter().map(|member| keys::tombstone(collection, member)).collect();
        let values = self.get(wanted.clone()).await?;
        let (mut names, mut unnamed) = (Vec::with_capacity(wanted.len()), false);
        for (key, value) in wanted.iter().zip(values) {
            let read = match &value {
                Some(value) => self.sealer().decode_tombstone(key, value),
                None => Err(StoreError::Damaged("a removal has no tombstone")),
            };
            match read.map(|(_, row)| MemberName::parse(&row.name)) {
                Ok(Ok(name)) => names.push(name),
                // The key for the names of its time is destroyed, after the snapshot was taken.
                Err(StoreError::Erased) => unnamed = true,
                Ok(Err(_)) => unnamed = true,
                Err(error @ StoreError::Damaged(_)) => {
                    self.damages().note(key, &error);
                    unnamed = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok((names, unnamed))
    }
}
