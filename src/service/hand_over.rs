//! What becomes of an account's books and calendars when the account goes: they are given to another,
//! and nothing names the account any more.

use std::collections::BTreeSet;

use crate::domain::id::{AccountId, CollectionId, CollectionKind, Principal, UserName};
use crate::store::commit::{CollectionOp, Op};
use crate::store::query::{Collection, Link, Reader};
use crate::store::rows::AccountRow;

use super::access::Caller;
use super::admin::user_name;
use super::people::{Holdings, Legacy, Undecided};
use super::refusal::{Refusal, Stop};
use super::sharing::{ROUNDS, busy, free_name, member, principal, unknown};
use super::{Answer, Service};

impl Service {
    /// Gives every book and calendar of a user to another, under its name, or `NAME-OWNER` where the other has one
    /// of that name. Who else had a share of a book keeps it. Private ones stay where they are, if they
    /// may go with the account; otherwise nothing is done where there are some, and their number told.
    pub(super) async fn hand_over(
        &self,
        caller: Option<&Caller>,
        from: &UserName,
        to: &UserName,
        erase_private: bool,
    ) -> Answer<Option<usize>> {
        if from == to {
            return Err(Refusal::Conflict(format!("'{to}' is the user who goes; name another")).into());
        }
        let (from, to) = (Principal::User(from.clone()), Principal::User(to.clone()));
        for _ in 0..ROUNDS {
            let reader = self.store.read().await?;
            let giver = reader.principal(&from).await?.ok_or_else(|| unknown(&from))?;
            let taker = reader.principal(&to).await?.ok_or_else(|| unknown(&to))?;
            let taker = self.with_calendars(taker).await?;
            let (mut links, mut ops, mut private) = (Vec::new(), Vec::new(), 0);
            for kind in CollectionKind::ALL {
                let homes = giver.home_of(kind).zip(taker.home_of(kind));
                let Some((home, taking)) = homes else { continue };
                let (given, kept) = self.given(&reader, home).await?;
                private += kept;
                let theirs = reader.links(taking).await?;
                let owner = AccountId::from_bytes(taker.id);
                ops.extend(gifts(&given, &theirs, (home, taking), (owner, from.as_str()))?);
                links.extend(given);
            }
            if private > 0 && !erase_private {
                return Ok(Some(private));
            }
            drop(reader);
            if ops.is_empty() {
                return Ok(None);
            }
            match self.commit(caller, Vec::new(), ops).await {
                // One may have become private meanwhile, too.
                Err(Stop::Refused(_)) => continue,
                done => drop(done?),
            }
            for link in &links {
                self.share(caller, link.book, &to, None).await?;
            }
            return Ok(None);
        }
        Err(busy())
    }

    /// A home's own books that somebody may take over, and how many others there are.
    async fn given(&self, reader: &Reader, home: CollectionId) -> Answer<(Vec<Link>, usize)> {
        let mut links = reader.links(home).await?;
        links.retain(|link| !link.mount);
        let ids: Vec<_> = links.iter().map(|link| link.book).collect();
        let rows = reader.collections(&ids).await?;
        let private = |row: &Option<Collection>| row.as_ref().is_some_and(|book| book.row.private);
        let count = rows.iter().filter(|row| private(row)).count();
        let open = links.into_iter().zip(rows).filter(|(_, row)| !private(row)).map(|(link, _)| link);
        Ok((open.collect(), count))
    }

    /// Removes a user with tokens and shares; the books go where `legacy` says. Where it says nothing
    /// and there are contacts in them, nothing is done: how many books and contacts is told instead.
    pub(super) async fn part_with(
        &self,
        caller: Option<&Caller>,
        account: &AccountRow,
        legacy: &Legacy,
    ) -> Answer<Option<Undecided>> {
        match legacy {
            Legacy::HandOver { to, erase_private } => {
                let from = user_name(&account.name)?;
                if let Some(private) = self.hand_over(caller, &from, to, *erase_private).await? {
                    return Ok(Some(Undecided::Private(private)));
                }
            }
            Legacy::Erase => {}
            Legacy::Empty => {
                let holdings = self.holdings(account).await?;
                if holdings.any() {
                    return Ok(Some(Undecided::Contents(holdings)));
                }
            }
        }
        let heir = match legacy {
            Legacy::HandOver { to, .. } => self.store.read().await?.account(to).await?,
            Legacy::Empty | Legacy::Erase => None,
        };
        let heir = heir.map(|heir| AccountId::from_bytes(heir.id));
        self.part_with_filters(caller, AccountId::from_bytes(account.id), heir).await?;
        self.withdraw_account(caller, account).await?;
        self.remove_user(caller, account).await?;
        Ok(None)
    }

    /// What an account has of its own.
    pub(super) async fn holdings(&self, account: &AccountRow) -> Answer<Holdings> {
        let reader = self.store.read().await?;
        let mut holdings = Holdings::default();
        for kind in CollectionKind::ALL {
            let Some(home) = account.home_of(kind) else { continue };
            let (collections, members) = match kind {
                CollectionKind::AddressBook => (&mut holdings.books, &mut holdings.contacts),
                CollectionKind::Calendar => (&mut holdings.calendars, &mut holdings.entries),
            };
            for link in reader.links(home).await?.iter().filter(|link| !link.mount && !link.smart) {
                *collections += 1;
                *members += reader.all_cards(link.book, false).await?.len();
            }
        }
        Ok(holdings)
    }

    /// Ends what an account that goes has of others, and what others have of it: so that nothing
    /// names it any more.
    pub(super) async fn withdraw_account(&self, caller: Option<&Caller>, account: &AccountRow) -> Answer<()> {
        let reader = self.store.read().await?;
        let mut links = Vec::new();
        for home in CollectionKind::ALL.into_iter().filter_map(|kind| account.home_of(kind)) {
            links.extend(reader.links(home).await?);
        }
        drop(reader);
        for link in links.iter().filter(|link| !link.mount) {
            self.withdraw_all(caller, link.book).await?;
        }
        let name = principal(account)?;
        for book in &account.granted {
            match self.share(caller, CollectionId::from_bytes(book.0), &name, None).await {
                // The book is gone already.
                Err(Stop::Refused(Refusal::NotFound)) => {}
                done => done?,
            }
        }
        Ok(())
    }
}

/// The ops that give these books of a home to the owner of another, where some have a place already.
fn gifts(
    given: &[Link],
    theirs: &[Link],
    (home, to): (CollectionId, CollectionId),
    (owner, from): (AccountId, &str),
) -> Answer<Vec<Op>> {
    let mut names: BTreeSet<String> = theirs.iter().map(|link| link.name.clone()).collect();
    let mut ops = Vec::with_capacity(given.len());
    for link in given {
        // Where it has a place as another's, it stays there.
        let new = match theirs.iter().find(|place| place.mount && place.book == link.book) {
            Some(place) => member(&place.name)?,
            None => free_name(&link.name, from, &names).ok_or(Refusal::Mapped)?,
        };
        names.insert(new.as_str().to_owned());
        let name = member(&link.name)?;
        ops.push(Op::Collection(CollectionOp::Give { home, name, owner, to, new }));
    }
    Ok(ops)
}
