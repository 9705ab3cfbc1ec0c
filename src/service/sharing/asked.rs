//! Sharing as commands ask for it, in their words: books as `OWNER/BOOK`, groups as `group:NAME`.

use crate::domain::id::{CollectionId, GroupName, MemberName, Principal, UserName};
use crate::store::commit::{AccountOp, Op};
use crate::store::rows::Id;

use super::super::groups::GroupFields;
use super::super::refusal::{Refusal, Stop};
use super::super::{Answer, Service};
use super::{Access, ROUNDS, busy, mark, unknown};

impl Service {
    /// Shares a book with a user or a group, or ends that.
    pub(in crate::service) async fn share_asked(
        &self,
        book: &str,
        with: &str,
        access: Option<Access>,
    ) -> Answer<()> {
        let book = self.book_asked(book).await?;
        self.share(None, book, &who(with)?, access).await
    }

    /// Makes a book its owner's alone, or not.
    pub(in crate::service) async fn private_asked(&self, book: &str, private: bool) -> Answer<()> {
        let book = self.book_asked(book).await?;
        self.set_private(None, book, private).await
    }

    /// Makes a group without members.
    pub(in crate::service) async fn group_asked(&self, name: &str) -> Answer<()> {
        let name = GroupName::parse(name);
        let name = name.map_err(|bad| conflict(format!("that is not a group's name: {bad}")))?;
        self.add_group(None, &name, GroupFields::default()).await.map(drop)
    }

    /// Takes a user into a group, or out of it.
    pub(in crate::service) async fn member_asked(&self, group: &str, user: &str, member: bool) -> Answer<()> {
        let (group, user) = (who(&format!("group:{group}"))?, who(user)?);
        let _turn = self.people.lock().await;
        for _ in 0..ROUNDS {
            let reader = self.store.read().await?;
            let group = reader.principal(&group).await?.ok_or_else(|| unknown(&group))?;
            let before = reader.principal(&user).await?.ok_or_else(|| unknown(&user))?;
            drop(reader);
            if group.origin.is_some() {
                return Err(conflict("the group comes from the directory; change it there".into()));
            }
            let mut after = before.clone();
            mark(&mut after.groups, Id(group.id), member);
            let op = Op::Account(AccountOp::Update { before, after: after.clone() });
            match self.commit(None, Vec::new(), vec![op]).await {
                Err(Stop::Refused(Refusal::NotFound)) => continue,
                done => drop(done?),
            }
            return self.settle_members(&after, None).await;
        }
        Err(busy())
    }

    async fn book_asked(&self, text: &str) -> Answer<CollectionId> {
        let unknown = || conflict("there is no such address book; write OWNER/BOOK".into());
        let (owner, book) = text.rsplit_once('/').ok_or_else(unknown)?;
        let (owner, book) = (who(owner)?, MemberName::parse(book).map_err(|_| unknown())?);
        let reader = self.store.read().await?;
        let owner = reader.principal(&owner).await?.ok_or_else(unknown)?;
        let link = reader.link(CollectionId::from_bytes(owner.home), &book).await?;
        Ok(link.filter(|link| !link.mount).ok_or_else(unknown)?.book)
    }
}

/// A user, or a group.
fn who(text: &str) -> Answer<Principal> {
    let parsed = match text.strip_prefix("group:") {
        Some(name) => GroupName::parse(name).map(Principal::Group),
        None => UserName::parse(text).map(Principal::User),
    };
    parsed.map_err(|bad| conflict(format!("'{text}' names nobody: {bad}")))
}

fn conflict(text: String) -> Stop {
    Refusal::Conflict(text).into()
}
