//! The second half of the integrity check: one walk over every row there is, which asks of each
//! whether it can be read and whether what it belongs to exists. Tells rows by their keys, which
//! hold ids and keyed hashes and never a name.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use minicbor::Decode;

use super::check::CheckReport;
use super::derive::HISTORY;
use super::engine::{Extent, KeyRange};
use super::keys::{self, HASH, Table};
use super::owner::Owner;
use super::query::Reader;
use super::rows::{
    AccountRow, AppPasswordRow, CardRow, ChangeRow, CollectionRow, ErasedRow, HistoryRow, NamesRow,
    PropertiesRow, PurgeRow, UidRow,
};
use super::seal::{Hashes, Sealer};
use super::{FORMAT_ROW, MarkRow, SECRETS, SecretsRow, StoreError, check_format};

use crate::domain::id::UserName;

type Id = [u8; 16];

/// What exists, as the first half of the check found it.
pub(super) struct Census {
    sealer: Arc<Sealer>,
    /// The accounts.
    pub(super) accounts: HashSet<Id>,
    /// Homes, and the books that they name.
    pub(super) homes: HashSet<Id>,
    pub(super) books: HashSet<Id>,
    /// What waits to be purged, and the books of homes that do.
    pub(super) ending: HashSet<Id>,
    contacts: HashMap<Id, Contact>,
    /// The row that makes a store of the file was met.
    installed: bool,
}

/// What a contact's card says of the contact's rows, and what was found of them.
struct Contact {
    version: u64,
    described: bool,
    properties: bool,
    history: u64,
}

impl Census {
    pub(super) fn new(sealer: Arc<Sealer>) -> Self {
        Self {
            sealer,
            accounts: HashSet::new(),
            homes: HashSet::new(),
            books: HashSet::new(),
            ending: HashSet::new(),
            contacts: HashMap::new(),
            installed: false,
        }
    }

    /// Notes a card's contact; false when another card has it already.
    pub(super) fn contact(&mut self, card: &CardRow) -> bool {
        let (version, described) = (card.version, card.described);
        let contact = Contact { version, described, properties: false, history: 0 };
        self.contacts.insert(card.contact, contact).is_none()
    }

    /// Walks every row.
    pub(super) async fn walk(self, reader: &Reader, report: &mut CheckReport) -> Result<(), StoreError> {
        let range = KeyRange { start: Vec::new(), end: vec![u8::MAX; 64] };
        let state = (self, std::mem::take(report));
        let (census, filled) = reader
            .fold(range, Extent::Many, state, |(census, report), key, value| {
                if let Some(fault) = census.fault(key, value) {
                    report.fault(key, fault);
                }
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        *report = filled;
        if !census.installed {
            report.fault(&[], "the installation's secrets are missing");
        }
        for (id, contact) in &census.contacts {
            if contact.history != contact.version.saturating_sub(1).min(HISTORY) {
                report.fault(id, "an earlier body of a card is missing");
            }
            if contact.described && !contact.properties {
                report.fault(id, "a card's properties are missing");
            }
        }
        Ok(())
    }

    /// What is wrong with a row.
    fn fault(&mut self, key: &[u8], value: &[u8]) -> Option<&'static str> {
        let Some(table) = key.first().and_then(|byte| Table::of(*byte)) else {
            return Some("a row belongs to no table");
        };
        if table.key_length().is_some_and(|length| length != key.len()) {
            return Some("a row's key has a wrong length");
        }
        if !self.readable(table, key, value) {
            return Some("a row cannot be read");
        }
        let Some(owner) = keys::owner(key) else {
            // Only the installation's own rows have short keys.
            return None;
        };
        let collection = || self.homes.contains(&owner) || self.books.contains(&owner);
        let known = match table {
            Table::Installation | Table::Erased => true,
            // Not yet asked of the file of key slots: `check.rs` does.
            Table::Slot | Table::Doomed => true,
            Table::Account => self.is_account(key, value),
            Table::AppPassword | Table::AppPasswordOf => self.is_app_password(key, value),
            Table::Purge => !collection(),
            Table::Collection | Table::Member | Table::Body | Table::Uid => {
                collection() || self.ending.contains(&owner)
            }
            Table::Change | Table::Tombstone | Table::Revision | Table::Names => {
                collection() || self.ending.contains(&owner)
            }
            Table::Properties => {
                collection()
                    || self.ending.contains(&owner)
                    || self.accounts.contains(&owner)
                    || self.has_properties(&owner)
            }
            Table::History => self.has_version(&owner, keys::number(key)),
        };
        (!known).then_some("a row belongs to nothing")
    }

    fn readable(&mut self, table: Table, key: &[u8], value: &[u8]) -> bool {
        match table {
            Table::Installation if key == keys::installation(FORMAT_ROW) => check_format(value).is_ok(),
            Table::Installation if key == keys::installation(SECRETS) => {
                self.installed = true;
                let ours = self.sealer.etag(0, b"");
                let row = self.sealer.decode_sealed::<SecretsRow>(key, value);
                row.is_ok_and(|row| Hashes::new(&row.secret).etag(0, b"") == ours)
            }
            Table::Installation => self.marked::<MarkRow>(key, value),
            Table::Account => self.sealed::<AccountRow>(key, value),
            Table::Body => self.sealer.decode_body(key, Bytes::copy_from_slice(value)).is_ok(),
            Table::Change => self.marked::<ChangeRow>(key, value),
            Table::Properties => self.sealed::<PropertiesRow>(key, value),
            Table::History => self.sealed::<HistoryRow>(key, value),
            Table::Purge => self.marked::<PurgeRow>(key, value),
            Table::Collection => self.marked::<CollectionRow>(key, value),
            Table::Member if keys::owner(key).is_some_and(|owner| self.homes.contains(&owner)) => {
                self.sealer.decode_link(key, value).is_ok()
            }
            Table::Member => {
                self.sealer.decode_card(key, value).is_ok() || self.sealer.decode_link(key, value).is_ok()
            }
            Table::AppPassword | Table::AppPasswordOf => self.sealed::<AppPasswordRow>(key, value),
            Table::Revision => value.len() == 8,
            Table::Tombstone => self.sealer.decode_tombstone(key, value).is_ok(),
            Table::Uid => self.marked::<UidRow>(key, value),
            Table::Slot => self.sealer.decode_slot(key, value).is_ok(),
            Table::Names => self.marked::<NamesRow>(key, value),
            Table::Erased | Table::Doomed => self.marked::<ErasedRow>(key, value),
        }
    }

    fn marked<T: for<'b> Decode<'b, ()>>(&self, key: &[u8], value: &[u8]) -> bool {
        self.sealer.decode::<T>(key, value).is_ok()
    }

    fn sealed<T: for<'b> Decode<'b, ()>>(&self, key: &[u8], value: &[u8]) -> bool {
        self.sealer.decode_sealed::<T>(key, value).is_ok()
    }

    fn is_account(&self, key: &[u8], value: &[u8]) -> bool {
        let row = self.sealer.decode_sealed::<AccountRow>(key, value);
        let name = row.ok().and_then(|row| UserName::parse(&row.name).ok());
        name.is_some_and(|name| keys::account(&self.sealer.user(&name)) == key)
    }

    fn is_app_password(&self, key: &[u8], value: &[u8]) -> bool {
        self.sealer.decode_sealed::<AppPasswordRow>(key, value).is_ok_and(|row| {
            key == keys::app_password(&row.secret) || key == keys::app_password_of(&row.account, &row.id)
        })
    }

    fn has_properties(&mut self, contact: &Id) -> bool {
        self.contacts.get_mut(contact).is_some_and(|contact| {
            contact.properties = true;
            contact.described
        })
    }

    fn has_version(&mut self, contact: &Id, version: Option<u64>) -> bool {
        let (Some(contact), Some(version)) = (self.contacts.get_mut(contact), version) else {
            return false;
        };
        contact.history += 1;
        let oldest = contact.version.saturating_sub(HISTORY).max(1);
        (oldest..contact.version).contains(&version)
    }
}

impl Table {
    /// How long the table's keys are; the installation's differ.
    fn key_length(self) -> Option<usize> {
        const ID: usize = 16;
        Some(match self {
            Self::Installation => return None,
            Self::Account | Self::AppPassword => 1 + HASH,
            Self::Purge | Self::Collection | Self::Revision | Self::Properties => 1 + ID,
            Self::Member | Self::Tombstone | Self::Uid => 1 + ID + HASH,
            Self::Body | Self::AppPasswordOf => 1 + ID + ID,
            Self::Change | Self::History => 1 + ID + 8,
            Self::Slot | Self::Doomed => 1 + 4,
            Self::Names => 1 + ID + 4,
            Self::Erased => 1 + Owner::LENGTH,
        })
    }
}
