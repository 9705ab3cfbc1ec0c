//! What users find when they first sign in: a book, and calendars for appointments and for tasks, which
//! Apple's Reminders expects to be apart (CAL-43). Made once, noted on the account: what is deleted
//! stays deleted.

use crate::domain::ical::{Components, Kind};
use crate::domain::id::{CollectionId, CollectionKind, MemberName};
use crate::store::commit::{AccountOp, CollectionOp, Op};
use crate::store::rows::AccountRow;

use super::access::Caller;
use super::refusal::{Fault, Refusal, Stop};
use super::{Answer, Service};

/// The book that the first sign-in makes.
pub(super) const DEFAULT_BOOK: &str = "contacts";

/// The calendars that it makes, with what they are for: the first of them is the default one.
const CALENDARS: [(&str, Kind); 2] = [("calendar", Kind::Event), ("tasks", Kind::Todo)];

/// The calendar of the birthdays in a user's books, which nobody makes.
pub(super) const BIRTHDAYS: &str = "birthdays";

/// The names in a home of that kind that nothing else gets: those that the first sign-in will want,
/// which no group has.
pub(super) fn kept_names(account: &AccountRow, kind: CollectionKind) -> impl Iterator<Item = &'static str> {
    let coming = kind == CollectionKind::AddressBook && !account.provisioned && !account.group;
    let book = coming.then_some(DEFAULT_BOOK);
    let provisioned = account.calendars_provisioned || account.group;
    let calendars = kind == CollectionKind::Calendar;
    let coming = CALENDARS.iter().filter(move |_| calendars && !provisioned);
    book.into_iter().chain(coming.map(|(name, _)| *name)).chain(calendars.then_some(BIRTHDAYS))
}

impl Service {
    /// Makes what a user's first sign-in makes, as far as it is not made yet; answers the user's home of
    /// calendars.
    pub(super) async fn provision(
        &self,
        caller: &Caller,
        before: AccountRow,
    ) -> Answer<Option<CollectionId>> {
        let before = self.with_calendars(before).await?;
        let home = before.home_of(CollectionKind::Calendar);
        let after = AccountRow { provisioned: true, calendars_provisioned: true, ..before.clone() };
        let mut makes = Vec::new();
        if !before.provisioned {
            makes.push(self.default_collection(caller, caller.home, DEFAULT_BOOK, None)?);
        }
        if let Some(home) = home.filter(|_| !before.calendars_provisioned) {
            for (name, takes) in CALENDARS {
                makes.push(self.default_collection(caller, home, name, Some(takes))?);
            }
        }
        let flag = Op::Account(AccountOp::Update { before, after });
        let all = std::iter::once(flag.clone()).chain(makes.iter().cloned()).collect();
        match self.commit(Some(caller), Vec::new(), all).await {
            // One of the names is taken: what can be made is made.
            Err(Stop::Refused(Refusal::Mapped)) => {
                for make in makes {
                    match self.commit(Some(caller), Vec::new(), vec![make]).await {
                        Ok(_) | Err(Stop::Refused(Refusal::Mapped)) => {}
                        Err(stop) => return Err(stop),
                    }
                }
                self.commit(Some(caller), Vec::new(), vec![flag]).await?;
            }
            done => drop(done?),
        }
        Ok(home)
    }

    fn default_collection(
        &self,
        caller: &Caller,
        home: CollectionId,
        name: &str,
        takes: Option<Kind>,
    ) -> Answer<Op> {
        Ok(Op::Collection(CollectionOp::Create {
            home,
            name: MemberName::parse(name).map_err(|_| Fault("a default collection's name".into()))?,
            id: CollectionId::new(self.fresh()?),
            owner: caller.account,
            default: takes.is_none_or(|kind| kind == Kind::Event),
            components: Components::of(takes.as_slice()).bits(),
            properties: Vec::new(),
            replace: false,
        }))
    }

    /// The account with a home of calendars, which it is given if it is from before there were any.
    pub(super) async fn with_calendars(&self, before: AccountRow) -> Answer<AccountRow> {
        if before.calendars.is_some() {
            return Ok(before);
        }
        let after = AccountRow { calendars: Some(*self.fresh()?.as_bytes()), ..before.clone() };
        let update = AccountOp::Update { before, after: after.clone() };
        self.commit(None, Vec::new(), vec![Op::Account(update)]).await?;
        Ok(after)
    }

    /// Gives every account of before there were calendars a home of them: at the start.
    pub async fn lay_calendar_homes(&self) -> Answer<()> {
        let accounts = self.store.read().await?.accounts().await?;
        for account in accounts.into_iter().filter(|account| account.calendars.is_none() && !account.is_own())
        {
            match self.with_calendars(account).await {
                // Its user was quicker.
                Ok(_) | Err(Stop::Refused(_)) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }
}
