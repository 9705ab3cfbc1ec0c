//! A collection's change log, tombstones and revision counter (RFC 6578): whether they tell exactly
//! of the members that are and were there. What the log lost is made good by the least that keeps
//! clients right: a member is logged again; a removal whose name is lost raises the floor, so that
//! only tokens from before it are refused; and when nobody knows what is missing, the collection gets
//! another identity, so that every token is.

use std::collections::{HashMap, HashSet};

use crate::domain::id::{CollectionId, MemberName, Revision};
use crate::store::StoreError;
use crate::store::census::{Census, UNREADABLE};
use crate::store::codec;
use crate::store::derive::period;
use crate::store::keys::{self, Hash, Table};
use crate::store::keyslots::Slot;
use crate::store::query::Reader;
use crate::store::rows::ChangeRow;
use crate::store::seal::Sealer;

use super::finding::{Finding, Mend, RowWrite, Stage};

/// What a member's row says of the log.
#[derive(Clone, Copy)]
pub(in crate::store) enum Entry {
    /// It was logged at that revision.
    At(u64),
    /// Its row is too short to say.
    Garbled,
    /// Its row is lost and will be made from its body, and logged then.
    Expected,
}

impl Entry {
    fn revision(self) -> Option<u64> {
        match self {
            Self::At(revision) => Some(revision),
            Self::Garbled | Self::Expected => None,
        }
    }
}

struct Stone {
    revision: Option<u64>,
    sound: bool,
    /// The period of its time, and its key slot.
    key: Option<(u32, Slot)>,
}

/// What is to be done about one collection's log.
struct Amends {
    collection: CollectionId,
    findings: Vec<Finding>,
    /// Rows that go.
    gone: Vec<Vec<u8>>,
    /// Removals up to here are forgotten.
    floor: u64,
    /// Something that clients would have to be told is lost.
    lost: bool,
    /// Members and removals that are logged again.
    again: HashMap<Hash, bool>,
}

impl Amends {
    fn fault(&mut self, id: &[u8], what: &'static str) {
        self.findings.push(Finding { id: id.to_vec(), what, mend: Mend::Nothing });
    }

    fn again(&mut self, member: Hash, removed: bool, what: &'static str) {
        if self.again.insert(member, removed).is_none() {
            let collection = self.collection;
            let mend = Mend::Log { collection, member, removed };
            self.findings.push(Finding { id: member.to_vec(), what, mend });
        }
    }

    /// A removal is forgotten; `newest` bounds what can be believed.
    fn forget(&mut self, revision: u64, counter: Option<u64>) {
        match counter {
            Some(counter) if revision <= counter => self.floor = self.floor.max(revision),
            _ => self.lost = true,
        }
    }
}

impl Census {
    /// Looks at a collection's log; `members` are what it must tell of.
    pub(in crate::store) async fn examine_log(
        &mut self,
        reader: &Reader,
        id: CollectionId,
        members: &HashMap<Hash, Entry>,
    ) -> Result<(), StoreError> {
        let changes = reader.changes(id).await?;
        let stones = reader.stones(id).await?;
        let counter = match self.revisions.get(id.as_bytes()) {
            None => Some(0),
            Some(counter) => *counter,
        };
        let floor = self.collections.get(id.as_bytes()).map_or(0, |row| row.floor);
        let mut amends = Amends {
            collection: id,
            findings: Vec::new(),
            gone: Vec::new(),
            floor,
            lost: false,
            again: HashMap::new(),
        };
        let logged = compare(&mut amends, &changes, members, &stones, counter);
        look_at_members(&mut amends, members, &stones, &logged);
        self.look_at_stones(&mut amends, &stones, &logged, counter);
        let newest = logged.values().copied().max().unwrap_or(0);
        // Rows that are to be logged again still say where they were.
        let stamps = members.values().filter_map(|entry| entry.revision());
        let stamps = stamps.chain(stones.values().filter_map(|stone| stone.revision));
        let stamped = stamps.max().unwrap_or(0).max(newest).max(floor);
        let unknown =
            counter.is_some_and(|counter| counter > stamped || (changes.is_empty() && counter > floor));
        amends.lost |= unknown && !amends.again.is_empty();
        // Without its counter a log that is lost too would begin anew below what clients know.
        let missing = !self.revisions.contains_key(id.as_bytes());
        self.settle(amends, counter, if missing { stamped } else { newest }, floor);
        Ok(())
    }

    fn look_at_stones(
        &self,
        amends: &mut Amends,
        stones: &HashMap<Hash, Stone>,
        logged: &HashMap<Hash, u64>,
        counter: Option<u64>,
    ) {
        let id = amends.collection;
        for (member, stone) in stones {
            let at = logged.get(member).copied();
            if !stone.sound {
                amends.fault(&keys::tombstone(id, member), UNREADABLE);
                amends.gone.push(keys::tombstone(id, member));
                amends.gone.extend(at.map(|at| keys::change(id, Revision(at))));
                match at {
                    Some(at) => amends.forget(at, counter),
                    None => amends.lost = true,
                }
                continue;
            }
            if at.is_none() {
                amends.again(*member, true, "a removal is not in the log as it should be");
            }
            if let Some((period, slot)) = stone.key
                && self.names.get(&(*id.as_bytes(), period)) != Some(&slot)
            {
                amends.fault(member, "a removed member's name is not sealed with the key of its time");
            }
        }
    }

    /// Turns what was found into findings and what mends them.
    fn settle(&mut self, mut amends: Amends, counter: Option<u64>, newest: u64, floor: u64) {
        let id = amends.collection;
        let expected = newest.max(floor);
        let behind = counter.is_none_or(|counter| counter < expected);
        let quiet = amends.again.is_empty() && amends.gone.is_empty() && !amends.lost;
        let ahead = counter.is_some_and(|counter| counter > expected);
        if behind || (ahead && quiet) {
            amends.fault(id.as_bytes(), "a collection's revision is not its log's");
            amends.lost = true;
        }
        self.findings.append(&mut amends.findings);
        if amends.gone.is_empty() && !amends.lost && amends.floor == floor {
            return;
        }
        let Some(row) = self.collections.get(id.as_bytes()) else { return };
        let mut row = row.clone();
        let revision = counter.map_or(expected, |counter| counter.max(expected));
        row.floor = amends.floor;
        if amends.lost {
            row.identity = self.another_identity(id, &row.identity);
            row.floor = revision;
        }
        let key = keys::collection(id);
        let value = self.sealer.encode(&key, &row);
        let mut writes: Vec<RowWrite> = vec![(key, Some(value))];
        if behind {
            writes.push((keys::revision(id), Some(revision.to_be_bytes().to_vec())));
        }
        writes.extend(amends.gone.into_iter().map(|key| (key, None)));
        let mend = Mend::Rows { stage: Stage::Logs, writes, also: Vec::new() };
        let what = "a collection's log does not tell what clients must be told";
        self.findings.push(Finding { id: id.as_bytes().to_vec(), what, mend });
    }
}

/// Finds, for each line of the log, the member or the removal that it tells of; answers who is
/// logged as it should be, and where.
fn compare(
    amends: &mut Amends,
    changes: &[(u64, Option<ChangeRow>)],
    members: &HashMap<Hash, Entry>,
    stones: &HashMap<Hash, Stone>,
    counter: Option<u64>,
) -> HashMap<Hash, u64> {
    let id = amends.collection;
    let mut logged = HashMap::new();
    let stamped = members.values().filter_map(|entry| entry.revision());
    let held: HashSet<u64> = stamped.chain(stones.values().filter_map(|stone| stone.revision)).collect();
    for (revision, change) in changes {
        let key = keys::change(id, Revision(*revision));
        let Some(change) = change else {
            amends.fault(&key, UNREADABLE);
            amends.gone.push(key);
            amends.lost |= !held.contains(revision);
            continue;
        };
        let (member, stone) = (members.get(&change.member), stones.get(&change.member));
        let told = match (change.removed, member, stone) {
            (false, Some(Entry::At(at)), _) => at == revision,
            // It cannot contradict.
            (false, Some(Entry::Garbled), _) => true,
            (true, None, Some(stone)) => stone.revision == Some(*revision),
            _ => false,
        };
        if told {
            logged.insert(change.member, *revision);
            continue;
        }
        amends.fault(&change.member, "the log tells what is not so");
        amends.gone.push(key);
        match (member, stone) {
            (Some(Entry::At(_)), _) => {
                amends.again(change.member, false, "a member is not in the log as it should be");
            }
            (Some(_), _) => {}
            (None, Some(_)) => {
                amends.again(change.member, true, "a removal is not in the log as it should be");
            }
            (None, None) if change.removed => amends.forget(*revision, counter),
            (None, None) => amends.lost = true,
        }
    }
    logged
}

fn look_at_members(
    amends: &mut Amends,
    members: &HashMap<Hash, Entry>,
    stones: &HashMap<Hash, Stone>,
    logged: &HashMap<Hash, u64>,
) {
    let id = amends.collection;
    for (member, entry) in members {
        if stones.contains_key(member) {
            amends.fault(member, "a member is told to be removed");
            amends.gone.push(keys::tombstone(id, member));
        }
        match entry {
            Entry::At(_) if !logged.contains_key(member) => {
                amends.again(*member, false, "a member is not in the log as it should be");
            }
            Entry::At(_) | Entry::Expected => {}
            Entry::Garbled => amends.fault(member, "a member does not say when it was logged"),
        }
    }
}

impl Reader {
    async fn changes(&self, id: CollectionId) -> Result<Vec<(u64, Option<ChangeRow>)>, StoreError> {
        let sealer = self.sealer().clone();
        let range = keys::under(Table::Change, id.as_bytes());
        self.gather(range, move |key, value| {
            let revision = if key.len() == 25 { keys::number(key)? } else { return None };
            Some((revision, sealer.decode(key, value).ok()))
        })
        .await
    }

    async fn stones(&self, id: CollectionId) -> Result<HashMap<Hash, Stone>, StoreError> {
        let sealer = self.sealer().clone();
        let range = keys::under(Table::Tombstone, id.as_bytes());
        let stones =
            self.gather(range, move |key, value| Some((keys::item(key)?, stone(&sealer, id, key, value))));
        Ok(stones.await?.into_iter().collect())
    }
}

fn stone(sealer: &Sealer, id: CollectionId, key: &[u8], value: &[u8]) -> Stone {
    let revision = codec::stamp(value).ok().map(|(revision, _)| revision);
    let Ok((_, row)) = sealer.decode_tombstone(key, value) else {
        return Stone { revision, sound: false, key: None };
    };
    let named = MemberName::parse(&row.name).ok().map(|name| sealer.member(id.as_bytes(), &name));
    let slot = value.get(codec::STAMP + 8..).and_then(|sealed| Sealer::slot_of(sealed).ok());
    Stone { revision, sound: named == keys::item(key), key: slot.map(|slot| (period(row.at), slot)) }
}
