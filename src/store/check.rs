//! The integrity check: whether every row of one snapshot can be read and belongs to the others, and
//! every seal to its owner's key. First the small tables, then each collection with its log
//! (`check/`), then one walk over the rest (`census.rs`). Tells things by their ids and never by a
//! name; what would put them right is found along the way, for `repair.rs`.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::census::{Account, Census, Id, UNREADABLE};
use super::engine::{Extent, KeyRange};
use super::erase::blocking;
use super::keys::{self, Table};
use super::keyslots::{Slot, Verdict};
use super::owner::Owner;
use super::query::Reader;
use super::rows::{self, AccountRow, AppPasswordRow, CollectionRow, NamesRow, PurgeRow};
use super::seal::Sealer;
use super::{SECRETS, Store, StoreError};

use finding::{Finding, Mend, Stage};

mod collection;
pub(super) mod contact;
pub(super) mod events;
pub(super) mod finding;
mod log;
#[cfg(test)]
mod prune_tests;
#[cfg(test)]
mod tests;

/// How many faults are told; a broken disk has no end of them.
const MOST: usize = 1000;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Accounts seen.
    pub accounts: u64,
    /// Address books seen.
    pub books: u64,
    /// Cards seen.
    pub cards: u64,
    /// Calendars seen.
    #[serde(default)]
    pub calendars: u64,
    /// Objects in them seen.
    #[serde(default)]
    pub objects: u64,
    /// vCard 4.0 cards that hold to RFC 6350, counting what RFC 9554, 6474, 6715 and 8605 add.
    pub strict: u64,
    /// vCard 4.0 cards that do not, or are too large to ask, which is no fault: a client's card is
    /// kept as it came.
    pub lenient: u64,
    /// How many things were repaired, where that was asked for.
    pub repaired: u64,
    /// What is wrong.
    pub faults: Vec<String>,
    /// How many more faults there are, that `faults` has no room for.
    pub more_faults: u64,
}

impl CheckReport {
    /// How many faults there are.
    pub fn count(&self) -> u64 {
        self.faults.len() as u64 + self.more_faults
    }

    fn tell(&mut self, finding: &Finding) {
        if self.faults.len() < MOST {
            let id: String = finding.id.iter().map(|byte| format!("{byte:02x}")).collect();
            self.faults.push(format!("{} ({id})", finding.what));
        } else {
            self.more_faults += 1;
        }
    }
}

/// What one look at everything found.
pub(super) struct Examined {
    /// What there is, without faults.
    pub(super) report: CheckReport,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
    /// What it was seen in.
    pub(super) reader: Reader,
    /// The file of key slots.
    pub(super) keys: Verdict,
    /// Whether the engine's own structure is whole.
    pub(super) engine: bool,
}

impl Examined {
    /// Everything that is wrong, told.
    pub(super) fn into_report(self) -> CheckReport {
        let mut report = self.report;
        if !self.engine {
            report.faults.push("the engine's file is damaged".into());
        }
        if self.keys.header_damaged {
            report.faults.push("a copy of the header of the file of data keys is damaged".into());
        }
        for (count, what) in [
            (self.keys.damaged, "data keys have a damaged copy"),
            (self.keys.lost, "data keys in use cannot be read any more: restore a backup"),
        ] {
            if count > 0 {
                report.faults.push(format!("{count} {what}"));
            }
        }
        self.findings.iter().for_each(|finding| report.tell(finding));
        report
    }
}

impl Store {
    /// Checks everything, the engine's own structure and the file of key slots included.
    pub async fn check(&self) -> Result<CheckReport, StoreError> {
        Ok(self.examine_twice(Timestamp::UNIX_EPOCH).await?.into_report())
    }

    /// Looks at everything, and where something seems wrong again: a key may have been overwritten
    /// in the middle of a look, as it should. What both looks find is wrong.
    pub(super) async fn examine_twice(&self, at: Timestamp) -> Result<Examined, StoreError> {
        let engine = self.engine.verify().await?;
        let first = self.examine(at, engine).await?;
        if first.findings.is_empty() {
            return Ok(first);
        }
        let Examined { findings, reader, .. } = first;
        // A snapshot pins pages.
        drop(reader);
        let known: HashSet<_> = findings.into_iter().map(|finding| (finding.id, finding.what)).collect();
        let mut second = self.examine(at, engine).await?;
        second.findings.retain(|finding| known.contains(&(finding.id.clone(), finding.what)));
        Ok(second)
    }

    async fn examine(&self, at: Timestamp, engine: bool) -> Result<Examined, StoreError> {
        let reader = self.read().await?;
        let mut census = Census::new(self.sealer.clone(), rows::micros(at));
        census.read_slots(&reader).await?;
        census.read_collections(&reader).await?;
        census.read_accounts(&reader).await?;
        census.examine_homes(&reader).await?;
        census.examine_ending(&reader).await?;
        census.examine_app_passwords(&reader).await?;
        census.settle_slots();
        let mut census = census.walk(&reader).await?;
        census.hesitate();
        let live: Vec<Slot> = census.slots.keys().copied().collect();
        let slots = self.sealer.slots().clone();
        let keys = blocking(move || slots.verify(&live)).await?;
        Ok(Examined { report: census.report, findings: census.findings, reader, keys, engine })
    }
}

impl Census {
    /// The tables of key slots, and the installation's own.
    async fn read_slots(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let sealer = self.sealer.clone();
        let slots = reader.gather(keys::whole(Table::Slot), move |key, value| {
            Some((keys::slot_in(key)?, sealer.decode_slot(key, value).ok()))
        });
        for (slot, owner) in slots.await? {
            match owner {
                Some(owner) => drop(self.slots.insert(slot, owner)),
                None => {
                    self.broken.insert(slot);
                    self.fault(&keys::slot(slot), UNREADABLE);
                }
            }
        }
        let doomed = reader.gather(keys::whole(Table::Doomed), |key, _| keys::slot_in(key));
        self.doomed = doomed.await?.into_iter().collect();
        let secrets = reader.get(vec![keys::installation(SECRETS)]).await?.pop().flatten();
        if let Some(slot) = secrets.and_then(|value| Sealer::slot_of(&value).ok()) {
            self.claim(slot, Owner::INSTALLATION, None);
        }
        Ok(())
    }

    /// Collections, counters, what waits to be purged, keys for names.
    async fn read_collections(&mut self, reader: &Reader) -> Result<(), StoreError> {
        for (id, key, row) in reader.marked::<CollectionRow>(Table::Collection).await? {
            match row {
                Some(row) => {
                    self.claim(Slot(row.slot), Owner::collection(id), None);
                    self.collections.insert(id, row);
                }
                None => self.unreadable(&key, None, None),
            }
        }
        for (id, key, row) in reader.marked::<PurgeRow>(Table::Purge).await? {
            match &row {
                Some(row) => self.claim(Slot(row.slot), Owner::collection(id), None),
                None => self.unreadable_purge(reader, id, &key).await?,
            }
            if self.collections.contains_key(&id) {
                self.fault(&key, "a collection that lives waits to be purged");
            }
            if row.as_ref().is_none_or(|row| row.home) {
                // What was written on others' books goes with their places.
                let members = keys::under(Table::Member, &id);
                let members = reader.gather(members, |key, _| keys::item(key)).await?;
                self.mounts.extend(members.into_iter().map(|member| (member, None)));
            }
            self.ending.insert(id, row);
        }
        let revisions = reader.gather(keys::whole(Table::Revision), |key, value| {
            Some((keys::owner(key)?, value.try_into().ok().map(u64::from_be_bytes)))
        });
        self.revisions = revisions.await?.into_iter().collect();
        for (id, key, row) in reader.marked::<NamesRow>(Table::Names).await? {
            match (row, keys::period(&key)) {
                (Some(row), Some(period)) => drop(self.names.insert((id, period), Slot(row.slot))),
                (None, Some(period)) => {
                    // If there is such a key, its slot's row says so (`settle_slots`).
                    let owner = Owner::names(id, period);
                    let kept = self.slots.values().any(|held| *held == owner);
                    let mend = match kept {
                        true => Mend::Nothing,
                        false => Mend::drop_row(Stage::Derived, key.clone()),
                    };
                    self.finding(&key, UNREADABLE, mend);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A row that has a collection purged, which follows from its key slot and its members.
    async fn unreadable_purge(&mut self, reader: &Reader, id: Id, key: &[u8]) -> Result<(), StoreError> {
        self.unsure = true;
        let owner = Owner::collection(id);
        let slot = self.slots.iter().find(|(_, held)| **held == owner).map(|(slot, _)| *slot);
        let sealer = self.sealer.clone();
        let home = reader.gather(keys::under(Table::Member, &id), move |key, value| {
            sealer.decode_link(key, value).ok().map(drop)
        });
        let home = !home.await?.is_empty();
        let mend = match slot {
            Some(slot) => {
                self.claim(slot, owner, None);
                let value = self.sealer.encode(key, &PurgeRow { home, slot: slot.0, smart: false });
                Mend::put(Stage::Collections, key.to_vec(), value)
            }
            None => Mend::Nothing,
        };
        self.finding(key, UNREADABLE, mend);
        Ok(())
    }

    async fn read_accounts(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let sealer = self.sealer.clone();
        let accounts = reader.gather(keys::whole(Table::Account), move |key, value| {
            let row = sealer.decode_sealed::<AccountRow>(key, value).ok();
            Some((key.to_vec(), Sealer::slot_of(value).ok(), row))
        });
        for (key, slot, row) in accounts.await? {
            let Some(row) = row else {
                self.unreadable(&key, slot, None);
                continue;
            };
            self.report.accounts += 1;
            if let Some(slot) = slot {
                self.claim(slot, Owner::account(row.id), Some(&key));
            }
            let name = row.principal().map(|name| self.sealer.principal(&name));
            if name.is_none_or(|name| keys::account(&name) != key) {
                self.fault(&key, "an account is not kept under its name");
            }
            self.named.insert(row.home);
            self.named.extend(row.calendars);
            let (home, calendars, created) = (row.home, row.calendars, row.created);
            let account = Account { slot, home, calendars, name, created };
            if self.accounts.insert(row.id, account).is_some() {
                self.fault(&row.id, "two accounts are one");
            }
        }
        Ok(())
    }

    /// Every app password is there twice: by its secret, and by its account.
    async fn examine_app_passwords(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let by_secret = reader.app_passwords_in(Table::AppPassword).await?;
        let by_owner = reader.app_passwords_in(Table::AppPasswordOf).await?;
        let rows = |found: &Passwords| -> HashMap<Id, AppPasswordRow> {
            found.iter().filter_map(|(_, _, row)| row.clone()).map(|row| (row.id, row)).collect()
        };
        let (secret, owner) = (rows(&by_secret), rows(&by_owner));
        for (key, slot, row) in by_secret.iter().chain(&by_owner) {
            let Some(row) = row else {
                self.unreadable_app_password(key, &secret, &owner);
                continue;
            };
            let Some(account) = self.accounts.get(&row.account) else {
                let mend = Mend::drop_row(Stage::Orphans, key.clone());
                self.finding(key, "an app password belongs to no account", mend);
                continue;
            };
            let (of, name) = (account.slot, account.name);
            if name != Some(row.account_name) || of != *slot {
                self.fault(key, "an app password is not its account's");
            }
            let places = [keys::app_password(&row.secret), keys::app_password_of(&row.account, &row.id)];
            if !places.contains(key) {
                self.fault(key, "an app password is not kept where it belongs");
            }
        }
        for (id, row) in secret.iter().chain(&owner) {
            if secret.get(id) != owner.get(id) {
                self.half_app_password(row, secret.contains_key(id), owner.contains_key(id));
            }
        }
        Ok(())
    }

    /// The row that is there says what the other one was, unless they differ.
    fn half_app_password(&mut self, row: &AppPasswordRow, by_secret: bool, by_owner: bool) {
        let slot = self.accounts.get(&row.account).and_then(|account| account.slot);
        let (from, to) = (keys::app_password(&row.secret), keys::app_password_of(&row.account, &row.id));
        let (from, to) = if by_secret { (from, to) } else { (to, from) };
        let anew = slot.and_then(|slot| self.sealer.encode_sealed(slot, &to, row).ok());
        let mend = match anew {
            Some(anew) if by_secret != by_owner => {
                Mend::Rows { stage: Stage::Derived, writes: vec![(to, Some(anew))], also: vec![from] }
            }
            _ => Mend::Nothing,
        };
        self.finding(&row.id, "an app password is known by half", mend);
    }

    /// Its other row is written in its place (`half_app_password`), if there is one.
    fn unreadable_app_password(
        &mut self,
        key: &[u8],
        secret: &HashMap<Id, AppPasswordRow>,
        owner: &HashMap<Id, AppPasswordRow>,
    ) {
        let is = |row: &AppPasswordRow| {
            keys::app_password(&row.secret) == key || keys::app_password_of(&row.account, &row.id) == key
        };
        if !secret.values().chain(owner.values()).any(is) {
            self.unsure = true;
        }
        self.fault(key, UNREADABLE);
    }
}

/// App passwords: key, key slot, and the row where it can be read.
type Passwords = Vec<(Vec<u8>, Option<Slot>, Option<AppPasswordRow>)>;

/// Marked rows by the id that their keys begin with: the row, where it can be read.
type Marked<T> = Vec<(Id, Vec<u8>, Option<T>)>;

impl Reader {
    /// What `read` makes of the rows of a range.
    pub(super) async fn gather<T: Send + 'static>(
        &self,
        range: KeyRange,
        mut read: impl FnMut(&[u8], &[u8]) -> Option<T> + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        self.fold(range, Extent::Many, Vec::new(), move |found: &mut Vec<T>, key, value| {
            found.extend(read(key, value));
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    async fn marked<T>(&self, table: Table) -> Result<Marked<T>, StoreError>
    where
        T: for<'b> minicbor::Decode<'b, ()> + Send + 'static,
    {
        let sealer = self.sealer().clone();
        self.gather(keys::whole(table), move |key, value| {
            Some((keys::owner(key)?, key.to_vec(), sealer.decode::<T>(key, value).ok()))
        })
        .await
    }

    async fn app_passwords_in(&self, table: Table) -> Result<Passwords, StoreError> {
        let sealer = self.sealer().clone();
        self.gather(keys::whole(table), move |key, value| {
            let row = sealer.decode_sealed::<AppPasswordRow>(key, value).ok();
            Some((key.to_vec(), Sealer::slot_of(value).ok(), row))
        })
        .await
    }
}
