//! The integrity check: walks every account, collection, card, index and log of one snapshot and
//! says what does not belong together. Finds by id and never tells a name.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::domain::id::{CollectionId, MemberName, Uid};
use crate::domain::vcard::strict::{self, Verdict};

use super::engine::Extent;
use super::keys::{self, Hash, Table};
use super::query::{Collection, Reader};
use super::rows::{self, AccountRow, AppPasswordRow, CardRow, ChangeRow, LinkRow, TombstoneRow, UidRow};
use super::{Store, StoreError};

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
    /// vCard 4.0 cards that hold to RFC 6350, counting what RFC 9554, 6474, 6715 and 8605 add.
    pub strict: u64,
    /// vCard 4.0 cards that do not, or are too large to ask, which is no fault: a client's card is
    /// kept as it came.
    pub lenient: u64,
    /// What is wrong.
    pub faults: Vec<String>,
}

impl CheckReport {
    fn fault(&mut self, id: &[u8], what: &str) {
        if self.faults.len() < MOST {
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            self.faults.push(format!("{what} ({id})"));
        }
    }
}

/// What one collection's log and tombstones say.
#[derive(Default)]
struct Logged {
    changes: HashMap<Hash, (u64, bool)>,
    newest: u64,
}

/// What one collection's bodies say: contact, then the member it names.
type Bodies = HashMap<[u8; 16], Hash>;

impl Store {
    /// Checks everything, the engine's own structure included.
    pub async fn check(&self) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport::default();
        if !self.engine.verify().await? {
            report.faults.push("the engine's file is damaged".into());
        }
        let reader = self.read().await?;
        let accounts = reader.accounts().await?;
        for account in &accounts {
            report.accounts += 1;
            self.check_account(&reader, account, &mut report).await?;
        }
        self.check_app_passwords(&reader, &accounts, &mut report).await?;
        Ok(report)
    }

    async fn check_account(
        &self,
        reader: &Reader,
        account: &AccountRow,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let home = CollectionId::from_bytes(account.home);
        let Some(collection) = reader.collections(&[home]).await?.pop().flatten() else {
            report.fault(&account.id, "an account has no home");
            return Ok(());
        };
        let logged = self.check_log(reader, &collection, report).await?;
        let links = reader.members::<LinkRow>(home).await?;
        self.check_members(
            home,
            links.iter().map(|(hash, revision, row)| (hash, *revision, row.name.as_str())),
            &logged,
            report,
        );
        for (_, _, link) in links {
            let id = CollectionId::from_bytes(link.collection);
            match reader.collections(&[id]).await?.pop().flatten() {
                Some(book) => self.check_book(reader, &book, report).await?,
                None => report.fault(&link.collection, "a home names a book that is not there"),
            }
        }
        Ok(())
    }

    async fn check_book(
        &self,
        reader: &Reader,
        book: &Collection,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        report.books += 1;
        let logged = self.check_log(reader, book, report).await?;
        let cards = reader.members::<CardRow>(book.id).await?;
        self.check_members(
            book.id,
            cards.iter().map(|(hash, revision, row)| (hash, *revision, row.name.as_str())),
            &logged,
            report,
        );
        let mut uids = reader.uids(book.id).await?;
        let mut bodies = self.check_bodies(reader, book.id, &cards, report).await?;
        for (member, _, card) in &cards {
            report.cards += 1;
            if bodies.remove(&card.contact) != Some(*member) {
                report.fault(&card.contact, "a card has no body, or another card's");
            }
            let uid = Uid::new(&card.uid).map(|uid| self.sealer.uid(book.id.as_bytes(), &uid));
            if uid.and_then(|uid| uids.remove(&uid)) != Some(*member) {
                report.fault(&card.contact, "a card's UID is not in the index, or belongs to another card");
            }
        }
        bodies.keys().for_each(|contact| report.fault(contact, "a body belongs to no card"));
        uids.values().for_each(|member| report.fault(member, "the UID index names no card"));
        Ok(())
    }

    /// Compares every body with its card's size and entity tag.
    async fn check_bodies(
        &self,
        reader: &Reader,
        book: CollectionId,
        cards: &[(Hash, u64, CardRow)],
        report: &mut CheckReport,
    ) -> Result<Bodies, StoreError> {
        let expected: HashMap<_, _> =
            cards.iter().map(|(_, _, card)| (card.contact, (card.version, card.etag, card.format))).collect();
        let sealer = self.sealer.clone();
        let range = keys::under(Table::Body, book.as_bytes());
        let state = (Bodies::new(), std::mem::take(report));
        let (bodies, filled) = reader
            .fold(range, Extent::Many, state, move |(bodies, report), key, value| {
                let contact = keys::item(key).ok_or(StoreError::Damaged("a body's key"))?;
                let (member, body) = rows::decode_body(value)?;
                if let Some((version, etag, format)) = expected.get(&contact) {
                    if sealer.etag(*version, body).0 != *etag {
                        report.fault(&contact, "a card's body does not match its entity tag");
                    }
                    if *format == 4 {
                        match strict::verdict(body) {
                            Verdict::Passed | Verdict::Extension(_) => report.strict += 1,
                            Verdict::TooLarge | Verdict::Refused => report.lenient += 1,
                        }
                    }
                }
                bodies.insert(contact, member);
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        *report = filled;
        Ok(bodies)
    }

    /// Reads a collection's log, and checks it against the tombstones and the revision counter.
    async fn check_log(
        &self,
        reader: &Reader,
        collection: &Collection,
        report: &mut CheckReport,
    ) -> Result<Logged, StoreError> {
        let mut logged = Logged::default();
        for (revision, row) in reader.changes(collection.id).await? {
            logged.newest = logged.newest.max(revision);
            if logged.changes.insert(row.member, (revision, row.removed)).is_some() {
                report.fault(&row.member, "a member is in the log twice");
            }
        }
        if logged.newest > collection.revision.0 {
            report.fault(collection.id.as_bytes(), "the log is ahead of its collection's revision");
        }
        let mut gone: HashSet<Hash> = HashSet::new();
        for (member, revision, row) in reader.tombstones_of(collection.id).await? {
            gone.insert(member);
            if logged.changes.get(&member) != Some(&(revision, true))
                || !self.is_name(collection.id, &member, &row.name)
            {
                report.fault(&member, "a tombstone is not in the log as it should be");
            }
        }
        let lost = logged.changes.iter().filter(|(member, (_, removed))| *removed && !gone.contains(*member));
        lost.for_each(|(member, _)| report.fault(member, "a logged removal has no tombstone"));
        Ok(logged)
    }

    /// Checks that members and the log's changes are the same set.
    fn check_members<'a>(
        &self,
        collection: CollectionId,
        members: impl Iterator<Item = (&'a Hash, u64, &'a str)>,
        logged: &Logged,
        report: &mut CheckReport,
    ) {
        let mut seen = 0;
        for (member, revision, name) in members {
            seen += 1;
            if logged.changes.get(member) != Some(&(revision, false)) {
                report.fault(member, "a member is not in the log as it should be");
            }
            if !self.is_name(collection, member, name) {
                report.fault(member, "a member's name is not the one that it is kept under");
            }
        }
        if logged.changes.values().filter(|(_, removed)| !removed).count() != seen {
            report.fault(collection.as_bytes(), "the log tells of members that are not there");
        }
    }

    fn is_name(&self, collection: CollectionId, member: &Hash, name: &str) -> bool {
        MemberName::parse(name).is_ok_and(|name| self.sealer.member(collection.as_bytes(), &name) == *member)
    }

    async fn check_app_passwords(
        &self,
        reader: &Reader,
        accounts: &[AccountRow],
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let known: HashSet<_> = accounts.iter().map(|account| account.id).collect();
        let by_owner = reader.app_passwords(None).await?;
        let by_secret: Vec<AppPasswordRow> = reader.table(keys::whole(Table::AppPassword)).await?;
        let ids = |rows: &[AppPasswordRow]| rows.iter().map(|row| row.id).collect::<HashSet<_>>();
        let (owned, secret) = (ids(&by_owner), ids(&by_secret));
        owned
            .symmetric_difference(&secret)
            .for_each(|id| report.fault(id, "an app password is known by half"));
        let orphans = by_owner.iter().filter(|row| !known.contains(&row.account));
        orphans.for_each(|row| report.fault(&row.id, "an app password belongs to no account"));
        Ok(())
    }
}

impl Reader {
    async fn table<T>(&self, range: super::engine::KeyRange) -> Result<Vec<T>, StoreError>
    where
        T: for<'b> minicbor::Decode<'b, ()> + Send + 'static,
    {
        self.fold(range, Extent::Many, Vec::new(), |found, _, value| {
            found.push(rows::decode(value)?);
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    /// A collection's stamped rows of one table: name hash, revision, row.
    async fn slotted<T>(
        &self,
        table: Table,
        collection: CollectionId,
    ) -> Result<Vec<(Hash, u64, T)>, StoreError>
    where
        T: for<'b> minicbor::Decode<'b, ()> + Send + 'static,
    {
        let range = keys::under(table, collection.as_bytes());
        self.fold(range, Extent::Many, Vec::new(), |found, key, value| {
            let member = keys::item(key).ok_or(StoreError::Damaged("a member's key"))?;
            let (revision, row) = rows::decode_slotted(value)?;
            found.push((member, revision, row));
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    async fn members<T>(&self, collection: CollectionId) -> Result<Vec<(Hash, u64, T)>, StoreError>
    where
        T: for<'b> minicbor::Decode<'b, ()> + Send + 'static,
    {
        self.slotted(Table::Member, collection).await
    }

    async fn tombstones_of(
        &self,
        collection: CollectionId,
    ) -> Result<Vec<(Hash, u64, TombstoneRow)>, StoreError> {
        self.slotted(Table::Tombstone, collection).await
    }

    async fn changes(&self, collection: CollectionId) -> Result<Vec<(u64, ChangeRow)>, StoreError> {
        let range = keys::under(Table::Change, collection.as_bytes());
        self.fold(range, Extent::Many, Vec::new(), |found, key, value| {
            let revision = keys::number(key).ok_or(StoreError::Damaged("a log key"))?;
            found.push((revision, rows::decode(value)?));
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    async fn uids(&self, collection: CollectionId) -> Result<HashMap<Hash, Hash>, StoreError> {
        let range = keys::under(Table::Uid, collection.as_bytes());
        self.fold(range, Extent::Many, HashMap::new(), |found, key, value| {
            let uid = keys::item(key).ok_or(StoreError::Damaged("a UID's key"))?;
            found.insert(uid, rows::decode::<UidRow>(value)?.member);
            Ok(ControlFlow::Continue(()))
        })
        .await
    }
}
