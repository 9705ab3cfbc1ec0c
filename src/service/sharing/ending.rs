//! What ends with a book that goes, or that nobody else is to use any more: its shares, the notes of
//! them in accounts, and its places in homes.

use crate::domain::id::CollectionId;
use crate::store::commit::{AccountOp, CollectionOp, Op};
use crate::store::damage::Found;
use crate::store::query::Reader;
use crate::store::rows::{AccountRow, CollectionRow, Id, ShareRow};

use super::super::access::{Caller, EVERYBODY};
use super::super::refusal::{Refusal, Stop};
use super::super::{Answer, Service};
use super::{ROUNDS, busy, collection, mark};

/// What ends with a book.
#[derive(Default)]
pub(in crate::service) struct Ending {
    /// What is to be committed with its end, or after it.
    pub(super) ops: Vec<Op>,
    pub(super) touched: Vec<AccountRow>,
    pub(super) everybody: bool,
    /// The book, and the shares that it had.
    pub(in crate::service) shared: Option<(CollectionId, Vec<ShareRow>)>,
}

impl Service {
    /// Ends every share of a book.
    pub(in crate::service) async fn withdraw_all(
        &self,
        caller: Option<&Caller>,
        book: CollectionId,
    ) -> Answer<()> {
        for _ in 0..ROUNDS {
            let reader = self.store.read().await?;
            let Some(row) = collection(&reader, book).await? else { return Ok(()) };
            if row.shares.is_empty() {
                return Ok(());
            }
            let mut ending = self.ending(&reader, book, &row).await?;
            drop(reader);
            let mut ops = std::mem::take(&mut ending.ops);
            let end = CollectionOp::Share { id: book, before: row.shares, after: Vec::new() };
            ops.push(Op::Collection(end));
            match self.commit(caller, Vec::new(), ops).await {
                Err(Stop::Refused(Refusal::NotFound)) => continue,
                done => drop(done?),
            }
            return self.settle_ended(caller, ending).await;
        }
        Err(busy())
    }

    /// What ends with a book: the notes of it in the rows of those that it is shared with.
    pub(super) async fn ending(
        &self,
        reader: &Reader,
        book: CollectionId,
        row: &CollectionRow,
    ) -> Answer<Ending> {
        let everybody = row.shares.iter().any(|share| share.account == EVERYBODY);
        let shares = row.shares.iter().map(|share| share.account).filter(|id| *id != EVERYBODY);
        // The members of a group that owns it have places for it too.
        let ids: Vec<_> = shares.chain([Id(row.owner)]).map(|id| id.0).collect();
        let shared = Some((book, row.shares.clone()));
        let mut ending = Ending { everybody, shared, ..Ending::default() };
        for before in self.accounts_of(reader, &ids).await?.into_iter().flatten() {
            let mut after = before.clone();
            mark(&mut after.granted, Id(*book.as_bytes()), false);
            if after != before {
                ending.ops.push(Op::Account(AccountOp::Update { before, after: after.clone() }));
            }
            if after.id != row.owner || after.group {
                ending.touched.push(after);
            }
        }
        Ok(ending)
    }

    /// The same of a book by its id; nothing, where it is gone already.
    pub(in crate::service) async fn ending_at(&self, reader: &Reader, book: CollectionId) -> Answer<Ending> {
        let found = reader.found_collections(&[book]).await?.pop().and_then(Found::readable);
        match found {
            Some(collection) => self.ending(reader, book, &collection.row).await,
            None => Ok(Ending::default()),
        }
    }

    /// Puts the places right of those who had a book that ended.
    pub(in crate::service) async fn settle_ended(
        &self,
        caller: Option<&Caller>,
        ending: Ending,
    ) -> Answer<()> {
        for note in ending.ops {
            match self.commit(caller, Vec::new(), vec![note]).await {
                // A row that moved keeps its note, which names nothing any more.
                Ok(_) | Err(Stop::Refused(_)) => {}
                Err(failed) => return Err(failed),
            }
        }
        if ending.everybody {
            return self.settle_all().await;
        }
        for account in &ending.touched {
            self.settle_members(account, None).await?;
        }
        Ok(())
    }
}
