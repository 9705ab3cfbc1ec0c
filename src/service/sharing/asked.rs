//! Sharing as commands ask for it, in their words: books and calendars as `OWNER/NAME`, groups as
//! `group:NAME`.

use serde::{Deserialize, Serialize};

use crate::domain::id::{CollectionId, CollectionKind, GroupName, MemberName, Principal, UserName};
use crate::store::commit::{AccountOp, Op};
use crate::store::keys::TRASH;
use crate::store::rows::Id;

use super::super::groups::GroupFields;
use super::super::refusal::{Refusal, Stop};
use super::super::{Answer, Service};
use super::{Access, ROUNDS, busy, mark, unknown};

/// A book or a calendar, as a command names it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Asked {
    /// `OWNER/NAME`
    book: String,
    /// Which of the two it is; need not be said where its owner has but one of that name.
    #[serde(default)]
    kind: Option<AskedKind>,
}

/// What a command calls a kind of collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskedKind {
    /// An address book.
    Book,
    /// A calendar.
    Calendar,
}

impl From<AskedKind> for CollectionKind {
    fn from(kind: AskedKind) -> Self {
        match kind {
            AskedKind::Book => Self::AddressBook,
            AskedKind::Calendar => Self::Calendar,
        }
    }
}

impl From<CollectionKind> for AskedKind {
    fn from(kind: CollectionKind) -> Self {
        match kind {
            CollectionKind::AddressBook => Self::Book,
            CollectionKind::Calendar => Self::Calendar,
        }
    }
}

impl<T: AsRef<str> + ?Sized> From<&T> for Asked {
    fn from(name: &T) -> Self {
        Self { book: name.as_ref().to_owned(), kind: None }
    }
}

impl Service {
    /// Shares a book or a calendar with a user or a group, or ends that.
    pub(in crate::service) async fn share_asked(
        &self,
        asked: impl Into<Asked>,
        with: &str,
        access: Option<Access>,
    ) -> Answer<()> {
        let Asked { book, kind } = asked.into();
        let id = self.collection_asked(&book, kind.map(CollectionKind::from)).await?;
        self.share(None, id, &who(with)?, access).await
    }

    /// Makes a book or a calendar its owner's alone, or not.
    pub(in crate::service) async fn private_asked(
        &self,
        asked: impl Into<Asked>,
        private: bool,
    ) -> Answer<()> {
        let Asked { book, kind } = asked.into();
        let id = self.collection_asked(&book, kind.map(CollectionKind::from)).await?;
        self.set_private(None, id, private).await
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

    /// The book or calendar that its owner has of that name: `OWNER/NAME`, where a group's is
    /// `group:OWNER/NAME`. Of the kind that is said, or else of whichever kind there is one.
    pub(in crate::service) async fn collection_asked(
        &self,
        text: &str,
        kind: Option<CollectionKind>,
    ) -> Answer<CollectionId> {
        let unknown = || conflict(format!("there is no such {}; write OWNER/NAME", words(kind)));
        let (owner, name) = text.rsplit_once('/').ok_or_else(unknown)?;
        let (owner, name) = (who(owner)?, MemberName::parse(name).map_err(|_| unknown())?);
        let reader = self.store.read().await?;
        let owner = reader.principal(&owner).await?.ok_or_else(unknown)?;
        let mut found = Vec::new();
        for of in CollectionKind::ALL.into_iter().filter(|of| kind.is_none_or(|kind| kind == *of)) {
            let Some(home) = owner.home_of(of) else { continue };
            let link = reader.link(home, &name).await?;
            found.extend(link.filter(|link| !link.mount && link.book != TRASH).map(|link| link.book));
        }
        match found.as_slice() {
            [] => Err(unknown()),
            [one] => Ok(*one),
            _ => {
                let text =
                    "there are an address book and a calendar of that name; say which: book or calendar";
                Err(conflict(text.into()))
            }
        }
    }
}

/// What was looked for.
fn words(kind: Option<CollectionKind>) -> &'static str {
    match kind {
        Some(CollectionKind::AddressBook) => "address book",
        Some(CollectionKind::Calendar) => "calendar",
        None => "address book or calendar",
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
