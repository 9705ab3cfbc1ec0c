//! The integrity check: walks every account, collection, card, index and log of one snapshot and
//! says what does not belong together; `census.rs` then asks of every row what it belongs to. A row
//! that cannot be read is passed over here and told there. Finds by id and never tells a name.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::domain::id::{CollectionId, MemberName, Uid, UserName};
use crate::domain::vcard::strict::{self, Verdict};

use super::census::Census;
use super::engine::Extent;
use super::keys::{self, Hash, Table};
use super::query::{Collection, Reader};
use super::rows::{AccountRow, AppPasswordRow, CardRow, ChangeRow, LinkRow, PurgeRow, TombstoneRow, UidRow};
use super::seal::Sealer;
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
    pub(super) fn fault(&mut self, id: &[u8], what: &str) {
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
        let mut census = Census::new(self.sealer.clone());
        let accounts: Vec<AccountRow> = reader.table(keys::whole(Table::Account)).await?;
        for account in &accounts {
            report.accounts += 1;
            self.check_account(&reader, account, &mut census, &mut report).await?;
        }
        self.check_app_passwords(&reader, &accounts, &mut report).await?;
        note_ending(&reader, &mut census).await?;
        census.walk(&reader, &mut report).await?;
        Ok(report)
    }

    async fn check_account(
        &self,
        reader: &Reader,
        account: &AccountRow,
        census: &mut Census,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let home = CollectionId::from_bytes(account.home);
        census.accounts.insert(account.id);
        census.homes.insert(account.home);
        let Some(collection) = reader.sound_collection(home).await? else {
            report.fault(&account.id, "an account has no home");
            return Ok(());
        };
        if collection.row.owner != account.id || collection.row.home.is_some() {
            report.fault(&account.home, "a home is not its account's");
        }
        let logged = self.check_log(reader, &collection, report).await?;
        let links = reader.links_in(home).await?;
        self.check_members(
            home,
            links.iter().map(|(hash, revision, row)| (hash, *revision, row.name.as_str())),
            &logged,
            report,
        );
        for (_, _, link) in links {
            if !census.books.insert(link.collection) {
                report.fault(&link.collection, "a book has two places");
            }
            let id = CollectionId::from_bytes(link.collection);
            match reader.sound_collection(id).await? {
                Some(book) => {
                    if book.row.owner != account.id || book.row.home != Some(account.home) {
                        report.fault(&link.collection, "a book is not its home's");
                    }
                    self.check_book(reader, &book, census, report).await?;
                }
                None => report.fault(&link.collection, "a home names a book that is not there"),
            }
        }
        Ok(())
    }

    async fn check_book(
        &self,
        reader: &Reader,
        book: &Collection,
        census: &mut Census,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        report.books += 1;
        let logged = self.check_log(reader, book, report).await?;
        let cards = reader.cards_in(book.id).await?;
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
            if !census.contact(card) {
                report.fault(&card.contact, "two cards are one contact");
            }
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
        let of = |card: &CardRow| (card.contact, (card.version, card.etag, card.format, card.size));
        let expected: HashMap<_, _> = cards.iter().map(|(_, _, card)| of(card)).collect();
        let sealer = self.sealer.clone();
        let range = keys::under(Table::Body, book.as_bytes());
        let state = (Bodies::new(), std::mem::take(report));
        let mut plain = Vec::new();
        let (bodies, filled) = reader
            .fold(range, Extent::Many, state, move |(bodies, report), key, value| {
                let opened = sealer.scan_body(key, value, &mut plain);
                let (Some(contact), Ok((member, body))) = (keys::item(key), opened) else {
                    return Ok(ControlFlow::Continue(()));
                };
                if let Some((version, etag, format, size)) = expected.get(&contact) {
                    if sealer.etag(*version, body).0 != *etag || body.len() as u64 != *size {
                        report.fault(&contact, "a card's body does not match its entity tag or size");
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
        let name = |account: &AccountRow| UserName::parse(&account.name).ok();
        let named = |account: &AccountRow| Some((account.id, self.sealer.user(&name(account)?)));
        let known: HashMap<_, _> = accounts.iter().filter_map(named).collect();
        let by_owner: Vec<AppPasswordRow> = reader.table(keys::whole(Table::AppPasswordOf)).await?;
        let by_secret: Vec<AppPasswordRow> = reader.table(keys::whole(Table::AppPassword)).await?;
        let ids = |rows: &[AppPasswordRow]| rows.iter().map(|row| (row.id, row.clone())).collect();
        let (owned, secret): (HashMap<_, _>, HashMap<_, _>) = (ids(&by_owner), ids(&by_secret));
        let half = |id: &&[u8; 16]| owned.get(*id) != secret.get(*id);
        let all: HashSet<_> = owned.keys().chain(secret.keys()).collect();
        all.into_iter().filter(half).for_each(|id| report.fault(id, "an app password is known by half"));
        let orphans = by_owner.iter().filter(|row| known.get(&row.account) != Some(&row.account_name));
        orphans.for_each(|row| report.fault(&row.id, "an app password belongs to no account"));
        Ok(())
    }
}

/// Notes what waits to be purged: its rows are still there, and nothing is wrong with that.
async fn note_ending(reader: &Reader, census: &mut Census) -> Result<(), StoreError> {
    let sealer = reader.sealer().clone();
    let waiting: Vec<(CollectionId, bool)> = reader
        .fold(keys::whole(Table::Purge), Extent::Many, Vec::new(), move |found: &mut Vec<_>, key, value| {
            if let (Some(id), Ok(row)) = (keys::owner(key), sealer.decode::<PurgeRow>(key, value)) {
                found.push((CollectionId::from_bytes(id), row.home));
            }
            Ok(ControlFlow::Continue(()))
        })
        .await?;
    let mut books = Vec::new();
    for (id, home) in waiting {
        census.ending.insert(*id.as_bytes());
        if home {
            let links = reader.links_in(id).await?;
            books.extend(links.into_iter().map(|(_, _, link)| CollectionId::from_bytes(link.collection)));
        } else {
            books.push(id);
        }
    }
    for book in books {
        census.ending.insert(*book.as_bytes());
        for (_, _, card) in reader.cards_in(book).await? {
            census.contact(&card);
        }
    }
    Ok(())
}

impl Reader {
    /// A collection, unless one of its rows cannot be read.
    async fn sound_collection(&self, id: CollectionId) -> Result<Option<Collection>, StoreError> {
        match self.collections(&[id]).await {
            Err(StoreError::Damaged(_)) => Ok(None),
            found => Ok(found?.pop().flatten()),
        }
    }

    /// Sealed rows that can be read.
    async fn table<T>(&self, range: super::engine::KeyRange) -> Result<Vec<T>, StoreError>
    where
        T: for<'b> minicbor::Decode<'b, ()> + Send + 'static,
    {
        self.readable(range, |sealer, key, value| sealer.decode_sealed(key, value).ok()).await
    }

    /// What can be read of a range.
    async fn readable<T: Send + 'static>(
        &self,
        range: super::engine::KeyRange,
        read: fn(&Sealer, &[u8], &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let sealer = self.sealer().clone();
        self.fold(range, Extent::Many, Vec::new(), move |found, key, value| {
            found.extend(read(&sealer, key, value));
            Ok(ControlFlow::Continue(()))
        })
        .await
    }

    async fn cards_in(&self, book: CollectionId) -> Result<Vec<(Hash, u64, CardRow)>, StoreError> {
        self.readable(keys::under(Table::Member, book.as_bytes()), |sealer, key, value| {
            let card = sealer.decode_card(key, value).ok()?;
            Some((keys::item(key)?, card.revision, card.row))
        })
        .await
    }

    async fn links_in(&self, home: CollectionId) -> Result<Vec<(Hash, u64, LinkRow)>, StoreError> {
        self.readable(keys::under(Table::Member, home.as_bytes()), |sealer, key, value| {
            let (revision, row) = sealer.decode_link(key, value).ok()?;
            Some((keys::item(key)?, revision, row))
        })
        .await
    }

    async fn tombstones_of(
        &self,
        collection: CollectionId,
    ) -> Result<Vec<(Hash, u64, TombstoneRow)>, StoreError> {
        self.readable(keys::under(Table::Tombstone, collection.as_bytes()), |sealer, key, value| {
            let (revision, row) = sealer.decode_tombstone(key, value).ok()?;
            Some((keys::item(key)?, revision, row))
        })
        .await
    }

    async fn changes(&self, collection: CollectionId) -> Result<Vec<(u64, ChangeRow)>, StoreError> {
        self.readable(keys::under(Table::Change, collection.as_bytes()), |sealer, key, value| {
            Some((keys::number(key)?, sealer.decode(key, value).ok()?))
        })
        .await
    }

    async fn uids(&self, collection: CollectionId) -> Result<HashMap<Hash, Hash>, StoreError> {
        let range = keys::under(Table::Uid, collection.as_bytes());
        let uids = self
            .readable(range, |sealer, key, value| {
                Some((keys::item(key)?, sealer.decode::<UidRow>(key, value).ok()?.member))
            })
            .await?;
        Ok(uids.into_iter().collect())
    }
}
