//! What is deleted: it goes into the trash, comes back from there with all that it had, and is erased
//! when its time is over. A card that was written in one book and deleted from another is a move.

use crate::domain::id::{AccountId, CollectionId, ContactId, MemberName};
use crate::store::StoreError;
use crate::store::commit::{CardOp, CollectionOp, Expect, Op};
use crate::store::keys::TRASH;
use crate::store::rows;

use super::access::Caller;
use super::own::{HOME, OWN};
use super::refusal::{Fault, Refusal, Stop};
use super::{Answer, Service};

/// The trash's name in the home that it lies in.
const NAME: &str = "trash";

/// How many contacts are erased in one commit.
const STEP: usize = 64;

const DAY: i64 = 86_400 * 1_000_000;

impl Service {
    /// Deletes a card as whoever asks means it: the other half of a move, into the trash, or for good
    /// where there is no trash.
    pub(super) async fn discard(
        &self,
        caller: Option<&Caller>,
        (book, name): (CollectionId, &MemberName),
        expect: Vec<Expect>,
    ) -> Answer<()> {
        if let Some(caller) = caller
            && let Some(to) = self.copy_elsewhere(caller, book, name).await?
        {
            let adopt = CardOp::Adopt { from: (book, name.clone()), to };
            match self.commit(Some(caller), expect.clone(), vec![Op::Card(adopt)]).await {
                // The copy went, or is another one by now.
                Err(Stop::Refused(Refusal::NotFound)) => {}
                done => return done.map(drop),
            }
        }
        self.throw_away(caller, (book, name), expect, Vec::new()).await
    }

    /// Deletes a card, in one commit with other ops: into the trash, or for good where there is none.
    pub(super) async fn throw_away(
        &self,
        caller: Option<&Caller>,
        (book, name): (CollectionId, &MemberName),
        expect: Vec<Expect>,
        mut ops: Vec<Op>,
    ) -> Answer<()> {
        let name = name.clone();
        if self.settings.contacts.trash_days == 0 {
            ops.push(Op::Card(CardOp::Remove { book, name }));
        } else {
            self.lay_trash().await?;
            ops.push(Op::Card(CardOp::Trash { book, name, merged_into: None }));
        }
        self.commit(caller, expect, ops).await.map(drop)
    }

    /// Where the caller wrote a card with the same UID a moment ago, in a book of which that is left.
    async fn copy_elsewhere(
        &self,
        caller: &Caller,
        book: CollectionId,
        name: &MemberName,
    ) -> Answer<Option<(CollectionId, MemberName)>> {
        let reader = self.store.read().await?;
        Ok(reader.copy_of(book, name, caller.account, self.clock.now()).await?)
    }

    /// Makes the trash before anybody needs it: on a full disk it could not be made any more.
    pub async fn prepare_trash(&self) {
        if self.settings.contacts.trash_days > 0
            && let Err(stop) = self.lay_trash().await
        {
            tracing::warn!(%stop, "the trash is made when something is deleted");
        }
    }

    /// Makes the trash, if it is not there.
    pub(super) async fn lay_trash(&self) -> Answer<()> {
        if self.store.read().await?.collections(&[TRASH]).await?.pop().flatten().is_some() {
            return Ok(());
        }
        self.lay_own_group().await?;
        let create = CollectionOp::Create {
            home: CollectionId::from_bytes(HOME),
            name: MemberName::parse(NAME).map_err(|_| Fault("the trash's name is none".into()))?,
            id: TRASH,
            owner: AccountId::from_bytes(OWN),
            default: false,
            components: 0,
            properties: Vec::new(),
            replace: false,
        };
        match self.commit(None, Vec::new(), vec![Op::Collection(create)]).await {
            // Somebody else made it.
            Err(Stop::Refused(Refusal::Mapped)) => Ok(()),
            done => done.map(drop),
        }
    }

    /// Erases what has lain in the trash long enough, and what was merged into a contact that is no
    /// more.
    pub(super) async fn empty_trash(&self) -> Result<(), StoreError> {
        let days = i64::from(self.settings.contacts.trash_days);
        let before = rows::micros(self.clock.now()).saturating_sub(days.saturating_mul(DAY));
        loop {
            let overdue = self.store.read().await?.overdue(before, STEP).await?;
            if overdue.is_empty() {
                return Ok(());
            }
            let count = overdue.len();
            let erase = |contact: ContactId| {
                let name = MemberName::parse(&contact.to_string()).ok()?;
                Some(Op::Card(CardOp::Remove { book: TRASH, name }))
            };
            let ops: Vec<_> = overdue.into_iter().filter_map(erase).collect();
            match self.commit(None, Vec::new(), ops).await {
                // Somebody took one out meanwhile.
                Ok(_) | Err(Stop::Refused(_)) => {}
                Err(Stop::Failed(fault)) => {
                    tracing::error!(error = %fault, "the trash could not be emptied");
                    return Ok(());
                }
            }
            if count < STEP {
                return Ok(());
            }
        }
    }
}
