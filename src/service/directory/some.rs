//! Following a reading of changes with the accounts that it touches alone, once nothing was to be done with
//! all of them. What is told here is what `plan.rs` and `book.rs` come to when they go through everybody.

use std::collections::{BTreeSet, HashSet};

use crate::domain::id::{CollectionId, MemberName, Principal, UserName};
use crate::service::{Answer, Service};
use crate::store::query::{Reader, With};
use crate::store::rows::{AccountRow, Id};

use super::apply::Done;
use super::book::{CARDS, Staff, member_of};
use super::index::{Change, Index};
use super::members::fold_dn;
use super::plan::{Known, Plan, plan};
use super::settings::DirectorySettings;
use super::{Person, Reading};

/// Of how many people's changes it is quicker to go through everybody.
const MOST: usize = 1_000;

impl Service {
    /// Plans with those that a reading touches, and what that does; `None` where everybody is to be
    /// planned with.
    pub(super) async fn planned_with_some(
        &self,
        settings: &DirectorySettings,
        reading: &Reading,
        accept_leavers: bool,
        index: &Index,
    ) -> Answer<Option<(Plan, Vec<Change>)>> {
        let Some(users) = index.touched(reading).filter(|users| users.len() <= MOST) else { return Ok(None) };
        if reading.people.len() > MOST {
            return Ok(None);
        }
        let reader = self.store.read().await?;
        if !self.names_are_free(&reader, index, &reading.people).await? {
            return Ok(None);
        }
        let Some(mut accounts) = self.all_of(&reader, &users).await? else { return Ok(None) };
        let Some(naming) = index.naming(reading, &accounts) else { return Ok(None) };
        let mut groups = naming.groups.clone();
        groups.extend(accounts.iter().flat_map(|row| &row.groups));
        // Of one that is removed meanwhile, nobody is a member.
        let ids: Vec<_> = groups.iter().map(|id| id.0).collect();
        accounts.extend(self.rows_of(&reader, &ids).await?.into_iter().flatten());
        if let Some(group) =
            settings.admin_group.as_ref().filter(|_| !accounts.is_empty() || !reading.people.is_empty())
        {
            let group = reader.principal(&Principal::Group(group.clone())).await?;
            accounts.extend(group.filter(|group| !groups.contains(&Id(group.id))));
        }
        drop(reader);
        let members = naming.members(&accounts);
        let known = Known { accounts: &accounts, members: &members, beside: Some(index) };
        let mut fresh = || self.fresh().map(uuid::Uuid::into_bytes);
        let plan = plan(&known, reading, self.rules(settings, accept_leavers), &mut fresh)?;
        let changes = Change::all(&plan);
        Ok(changes.map(|changes| (plan, changes)))
    }

    /// Whether every name that somebody is to have is free, or theirs, and no two are to have one.
    async fn names_are_free(&self, reader: &Reader, index: &Index, people: &[Person]) -> Answer<bool> {
        let named = people.iter().filter(|person| person.enabled);
        let named = named.filter_map(|person| Some((person, UserName::parse(&person.name).ok()?)));
        let (people, names): (Vec<_>, Vec<_>) =
            named.map(|(person, name)| (person, Principal::User(name))).unzip();
        if names.iter().collect::<HashSet<_>>().len() < names.len() {
            return Ok(false);
        }
        if names.is_empty() {
            return Ok(true);
        }
        let holders = reader.principals(&names).await?;
        Ok(people.into_iter().zip(holders).all(|(person, holder)| index.may_have(person, holder.as_ref())))
    }

    /// These accounts; `None` where one of them is not there.
    async fn all_of(&self, reader: &Reader, ids: &BTreeSet<Id>) -> Answer<Option<Vec<AccountRow>>> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        Ok(self.rows_of(reader, &ids).await?.into_iter().collect())
    }

    async fn rows_of(&self, reader: &Reader, ids: &[[u8; 16]]) -> Answer<Vec<Option<AccountRow>>> {
        if ids.is_empty() { Ok(Vec::new()) } else { self.accounts_of(reader, ids).await }
    }

    /// Has the staff's book follow changes that the accounts, and what is known of them, follow already.
    pub(super) async fn write_some_staff(
        &self,
        settings: &DirectorySettings,
        reading: &Reading,
        (index, changes): (&Index, &[Change]),
        done: &mut Done,
    ) -> Answer<()> {
        if reading.people.is_empty() && changes.is_empty() {
            return Ok(());
        }
        let reader = self.store.read().await?;
        let Some(book) = self.staff_book(&reader).await?.filter(|_| settings.staff_book) else {
            return Ok(());
        };
        let mut due: BTreeSet<_> =
            reading.people.iter().filter_map(|person| index.account_of(person)).collect();
        due.extend(done.moved.iter().flat_map(|dn| index.reporting_to(dn)));
        let due: Vec<_> = due.iter().map(|id| id.0).collect();
        let rows: Vec<_> = self.rows_of(&reader, &due).await?.into_iter().flatten().collect();
        let origin = |row: &AccountRow| row.origin.clone().unwrap_or_default();
        let rows: Vec<_> = rows.into_iter().filter(|row| row.origin.is_some() && !origin(row).gone).collect();
        let bosses = rows.iter().filter_map(|row| index.with_dn(&origin(row).manager?));
        let bosses: BTreeSet<_> = bosses.map(|id| id.0).collect();
        let bosses = self.rows_of(&reader, &bosses.into_iter().collect::<Vec<_>>()).await?;
        let bosses: Vec<_> = bosses.into_iter().flatten().collect();
        let staff = Staff {
            people: reading.people.iter().map(|person| (person.id.as_str(), person)).collect(),
            by_dn: bosses.iter().map(|row| (fold_dn(&origin(row).dn), row)).collect(),
            moved: &done.moved,
        };
        let names = rows.iter().map(|row| member_of(&origin(row).id)).collect::<Result<Vec<_>, _>>()?;
        let gone = changes.iter().filter_map(Change::went).map(member_of).collect::<Result<Vec<_>, _>>()?;
        let there = there_of(&reader, book, names.clone()).await?;
        let gone = there_of(&reader, book, gone).await?;
        drop(reader);
        let (mut some, mut missing, mut written) = (Vec::new(), false, 0);
        for (member, row) in names.into_iter().zip(&rows) {
            match staff.people.contains_key(origin(row).id.as_str()) || there.contains(&member) {
                true => some.push((member, row)),
                // It is known only by its account; the next reading is of everything.
                false => missing = true,
            }
            if some.len() >= CARDS {
                written += self.write_cards(book, std::mem::take(&mut some), &staff).await?;
            }
        }
        written += self.write_cards(book, some, &staff).await?;
        self.remove_cards(book, &gone).await?;
        done.contested |= missing;
        done.report.cards_written = written;
        done.report.cards_removed = gone.len();
        self.count_people(index.people()).await
    }
}

/// Those of the cards that are there.
async fn there_of(reader: &Reader, book: CollectionId, names: Vec<MemberName>) -> Answer<Vec<MemberName>> {
    let cards = reader.cards(book, &names, With::default()).await?;
    Ok(names.into_iter().zip(cards).filter(|(_, card)| card.is_there()).map(|(name, _)| name).collect())
}
