//! What must be written so that accounts and groups are what the directory says: a pure function of
//! the accounts that there are and of what was read. Everything is found by the ids that the
//! directory never changes, so a plan that was carried out in part is finished by the next one.
//!
//! What is not in a reading of changes is taken from the accounts themselves (`entries.rs`), so that
//! such a reading and one of everything come to the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::id::{GroupName, UserName};
use crate::service::refusal::Fault;
use crate::store::rows::{AccountRow, Id, OriginRow};

use super::entries::{Side, is_gone};
use super::index::Index;
use super::members::{Node, flatten, fold_dn};
use super::naming::{Names, in_order};
use super::status::SyncReport;
use super::{Member, Reading};

/// Fewer leavers than these are never too many.
const FEW: usize = 5;

/// What there is.
pub(super) struct Known<'a> {
    /// Every account, or those that matter.
    pub(super) accounts: &'a [AccountRow],
    /// Who is in the directory's groups, as the directory wrote it, by the groups' accounts.
    pub(super) members: &'a HashMap<Id, Vec<Member>>,
    /// What is known of the others, where there are others.
    pub(super) beside: Option<&'a Index>,
}

/// What the configuration and the admin say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// The group whose members may administer.
    pub(super) admin_group: Option<&'a GroupName>,
    /// How many of a thousand may leave at once.
    pub(super) most_leavers: usize,
    /// Any number may.
    pub(super) accept_leavers: bool,
    /// Now, in microseconds since 1970.
    pub(super) now: i64,
}

/// What is to be written, in this order.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) works: Vec<Work>,
    /// The users whose groups change, or that are new.
    pub(super) settle: BTreeSet<Id>,
    /// Groups that went, by their accounts.
    pub(super) gone_groups: Vec<Id>,
    /// Somebody would get something else if another entry or account went: changes alone do not
    /// tell of that, so the next reading is of everything.
    pub(super) contested: bool,
    pub(super) report: SyncReport,
}

/// A change to one account. Rows lie outside, because a plan may have tens of thousands of these.
#[derive(Clone)]
pub(super) enum Work {
    /// Its row, but for its name.
    Update { before: Box<AccountRow>, after: Box<AccountRow> },
    /// Its name.
    Rename { before: Box<AccountRow>, after: Box<AccountRow> },
    /// It is new.
    Create(Box<AccountRow>),
    /// Who is in the group with that home, as the directory wrote it.
    Keep { home: [u8; 16], members: Vec<Member> },
}

/// Makes the plan; `fresh` makes ids.
pub(super) fn plan(
    known: &Known<'_>,
    reading: &Reading,
    rules: Rules<'_>,
    fresh: &mut dyn FnMut() -> Result<[u8; 16], Fault>,
) -> Result<Plan, Fault> {
    let mut plan = Plan::default();
    plan.report.warnings.clone_from(&reading.warnings);
    plan.report.passed_over = reading.passed_over;
    let users = Side::users(known, reading, &mut plan.report);
    let groups = Side::groups(known, reading, &users, &mut plan.report);
    if !rules.accept_leavers {
        plan.report.pending_leavers = too_many(&users, &groups, rules.most_leavers, known.beside);
    }
    let user_names = users.names(known, &mut plan);
    let group_names = groups.names(known, &mut plan);
    let ids = groups.account_ids(&group_names, fresh)?;
    let belongs = Belongs::of(known, (&users, &user_names), (&groups, &group_names), &ids, rules);
    let others = known.beside.is_some_and(|beside| beside.admin_beside(&users.rows));
    if belongs.admins.as_ref().is_some_and(BTreeSet::is_empty) && !others {
        plan.report.warnings.push("nobody is in the group of those who may administer".into());
    }
    let none = Belongs::default();
    let mut draft = Draft { plan, rows: HashMap::new(), ids, fresh, now: rules.now };
    draft.leave(&groups, &none);
    draft.leave(&users, &belongs);
    draft.rename(known, &users, &user_names, UserName::MAX);
    draft.rename(known, &groups, &group_names, GroupName::MAX);
    draft.come(&groups, &group_names, &none)?;
    draft.keep_members(known, &groups, &group_names);
    draft.come(&users, &user_names, &belongs)?;
    Ok(draft.plan)
}

/// How many would leave, where that is too many to believe.
fn too_many(users: &Side<'_>, groups: &Side<'_>, most: usize, beside: Option<&Index>) -> Option<usize> {
    let (leaving, all) = users.leaving();
    let all = all + beside.map_or(0, |beside| beside.people_beside(&users.rows));
    let leaving = [(leaving, all), groups.leaving()].into_iter();
    let leaving: usize = leaving
        .filter(|(leaving, all)| *leaving >= FEW && leaving * 1000 > most * all)
        .map(|(leaving, _)| leaving)
        .sum();
    (leaving > 0).then_some(leaving)
}

/// Who is in which groups, and who may administer.
#[derive(Default)]
struct Belongs {
    /// The directory's groups, by the directory's id of their member.
    lists: HashMap<String, Vec<Id>>,
    /// The groups that the directory does not know.
    local: BTreeSet<Id>,
    /// Who may administer, where the directory says so.
    admins: Option<BTreeSet<String>>,
}

impl Belongs {
    fn of(
        known: &Known<'_>,
        (users, user_names): (&Side<'_>, &Names),
        (groups, group_names): (&Side<'_>, &Names),
        ids: &HashMap<String, Id>,
        rules: Rules<'_>,
    ) -> Self {
        let people = people((users, user_names), (groups, group_names));
        let admins = rules.admin_group.map(|wanted| {
            let group = group_names.given.iter().find(|(_, name)| *name == wanted.as_str());
            group.and_then(|(id, _)| people.get(id.as_str())).cloned().unwrap_or_default()
        });
        let mut lists: HashMap<String, Vec<Id>> = HashMap::new();
        for (group, people) in &people {
            for person in people {
                lists.entry(person.clone()).or_default().extend(ids.get(*group));
            }
        }
        let local = known.accounts.iter().filter(|account| account.group && account.origin.is_none());
        Self { lists, local: local.map(|group| Id(group.id)).collect(), admins }
    }

    /// A row that is in the groups that it belongs to.
    fn on(&self, id: &str, mut row: AccountRow) -> AccountRow {
        row.groups.retain(|group| self.local.contains(group));
        row.groups.extend(self.lists.get(id).into_iter().flatten());
        row.groups.sort_unstable();
        row.groups.dedup();
        if let Some(admins) = &self.admins {
            row.admin = admins.contains(id);
        }
        row
    }
}

/// The people in each group, all by the directory's ids. Only entries that have an account count:
/// what is refused as a group leads nowhere.
fn people<'a>(
    (users, user_names): (&'a Side<'_>, &'a Names),
    (groups, group_names): (&'a Side<'_>, &'a Names),
) -> BTreeMap<&'a str, BTreeSet<String>> {
    let (mut by_dn, mut by_name) = (HashMap::new(), HashMap::new());
    let persons: Vec<&String> = user_names.given.keys().collect();
    for (at, id) in persons.iter().enumerate() {
        if let Some(facts) = users.there.get(*id) {
            by_dn.insert(fold_dn(&facts.dn), Node::Person(at));
        }
        if let Some(name) = user_names.given.get(*id) {
            by_name.insert(name.as_str(), Node::Person(at));
        }
    }
    let sets: Vec<&String> = group_names.given.keys().collect();
    for (at, facts) in sets.iter().enumerate().filter_map(|(at, id)| Some((at, groups.there.get(*id)?))) {
        by_dn.insert(fold_dn(&facts.dn), Node::Group(at));
    }
    let node = |member: &Member| match member {
        Member::Dn(dn) => by_dn.get(&fold_dn(dn)).copied(),
        Member::UserName(name) => {
            UserName::parse(name).ok().and_then(|name| by_name.get(name.as_str()).copied())
        }
    };
    let members = |id: &&String| {
        let members = groups.there.get(*id).map(|facts| facts.members.iter().filter_map(node));
        members.into_iter().flatten().collect::<Vec<_>>()
    };
    let flat = flatten(&sets.iter().map(members).collect::<Vec<_>>());
    let named =
        |places: BTreeSet<usize>| places.into_iter().filter_map(|at| persons.get(at).copied().cloned());
    sets.iter().zip(flat).map(|(id, places)| (id.as_str(), named(places).collect())).collect()
}

/// A plan in the making.
struct Draft<'a> {
    plan: Plan,
    /// Rows as they are after what is planned so far, where that changes them.
    rows: HashMap<Id, AccountRow>,
    /// The accounts of groups.
    ids: HashMap<String, Id>,
    fresh: &'a mut dyn FnMut() -> Result<[u8; 16], Fault>,
    now: i64,
}

impl Draft<'_> {
    fn row(&self, row: &AccountRow) -> AccountRow {
        self.rows.get(&Id(row.id)).unwrap_or(row).clone()
    }

    fn write(&mut self, before: AccountRow, after: AccountRow) -> bool {
        if before == after {
            return false;
        }
        if before.groups != after.groups || before.enabled != after.enabled {
            self.plan.settle.insert(Id(after.id));
        }
        self.rows.insert(Id(after.id), after.clone());
        let (before, after) = (Box::new(before), Box::new(after));
        self.plan.works.push(match before.name == after.name {
            true => Work::Update { before, after },
            false => Work::Rename { before, after },
        });
        true
    }

    /// Who is not there any more signs in no more.
    fn leave(&mut self, side: &Side<'_>, belongs: &Belongs) {
        for (id, row) in side.rows.iter().filter(|(id, _)| !side.there.contains_key(**id)) {
            if side.group {
                self.plan.gone_groups.push(Id(row.id));
            }
            let mut after = belongs.on(id, (*row).clone());
            if !is_gone(row) {
                after.origin =
                    row.origin.clone().map(|origin| OriginRow { gone: true, held: row.enabled, ..origin });
                after.epoch += u64::from(row.enabled);
                after.enabled = false;
                let report = &mut self.plan.report;
                if side.group { &mut report.groups_went } else { &mut report.went }.push(row.name.clone());
            }
            self.write((*row).clone(), after);
        }
    }

    fn rename(&mut self, known: &Known<'_>, side: &Side<'_>, names: &Names, longest: usize) {
        let mut rows = Vec::new();
        let mut moves = Vec::new();
        for (id, name) in names.aside.iter().chain(&names.given) {
            let Some(row) = side.rows.get(id.as_str()).filter(|row| row.name != *name) else { continue };
            moves.push((rows.len(), row.name.clone(), name.clone()));
            rows.push(*row);
            self.plan.report.renamed.push((row.name.clone(), name.clone()));
        }
        let occupied = known.accounts.iter().filter(|account| account.group == side.group);
        let occupied = occupied.map(|account| account.name.clone()).collect();
        for (at, name) in in_order(&moves, &occupied, longest) {
            let Some(row) = rows.get(at) else { continue };
            let before = self.row(row);
            let after = AccountRow { name, ..before.clone() };
            self.write(before, after);
        }
    }

    /// Who is there has an account with what the directory says of them.
    fn come(&mut self, side: &Side<'_>, names: &Names, belongs: &Belongs) -> Result<(), Fault> {
        for (id, facts) in &side.there {
            let Some(name) = names.given.get(id) else { continue };
            if let Some(row) = side.rows.get(id.as_str()) {
                let before = self.row(row);
                let after = belongs.on(id, facts.on(&before, id));
                let changed = self.write(before, after);
                match is_gone(row) {
                    true if side.group => self.plan.report.groups_came.push(name.clone()),
                    true => self.plan.report.back.push(name.clone()),
                    false => self.plan.report.changed += usize::from(changed && !side.group),
                }
                continue;
            }
            let account = match self.ids.get(id) {
                Some(id) if side.group => id.0,
                _ => (self.fresh)()?,
            };
            let row = AccountRow {
                id: account,
                name: name.clone(),
                enabled: true,
                created: self.now,
                home: (self.fresh)()?,
                calendars: Some((self.fresh)()?),
                group: side.group,
                ..AccountRow::default()
            };
            let row = belongs.on(id, facts.on(&row, id));
            let report = &mut self.plan.report;
            if side.group { &mut report.groups_came } else { &mut report.came }.push(name.clone());
            if !side.group {
                self.plan.settle.insert(Id(account));
            }
            if side.group {
                // Where its members are kept is asked for later; of a new user nobody asks.
                self.rows.insert(Id(account), row.clone());
            }
            self.plan.works.push(Work::Create(Box::new(row)));
        }
        Ok(())
    }

    /// What the directory wrote of its groups' members is kept, because a reading of changes does
    /// not tell of groups whose members come later.
    fn keep_members(&mut self, known: &Known<'_>, groups: &Side<'_>, names: &Names) {
        for id in names.given.keys() {
            let Some(facts) = groups.there.get(id) else { continue };
            let Some(account) = self.ids.get(id) else { continue };
            let home = groups.rows.get(id.as_str()).map(|row| row.home);
            let home = home.or_else(|| self.rows.get(account).map(|row| row.home));
            let kept = known.members.get(account).map_or(&[][..], Vec::as_slice);
            if let Some(home) = home.filter(|_| kept != facts.members) {
                self.plan.works.push(Work::Keep { home, members: facts.members.clone() });
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
