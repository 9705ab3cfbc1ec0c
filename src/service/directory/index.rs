//! What is known of the directory's accounts while they are what the directory says, so that a reading of
//! changes is planned with the accounts that it touches and no others. Holds ids and digests, no names.
//!
//! Everybody is planned with nevertheless where a reading tells of groups, where somebody is to have a name
//! or a distinguished name that another account has, and where a group that went could not be removed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::id::UserName;
use crate::store::rows::{AccountRow, Id};

use super::entries::is_gone;
use super::members::fold_dn;
use super::plan::{Plan, Work};
use super::{Gone, Member, Person, Reading};

/// A text, or what stands for it.
type Print = [u8; 16];

fn print(text: &str) -> Print {
    let mut print = [0; 16];
    blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut print);
    print
}

fn print_of_dn(dn: &str) -> Print {
    print(&fold_dn(dn))
}

/// A member as it is compared; `None` where it can be nobody.
fn print_of_member(member: &Member) -> Option<Print> {
    match member {
        Member::Dn(dn) => Some(print_of_dn(dn)),
        Member::UserName(name) => UserName::parse(name).ok().map(|name| print_of_name(name.as_str())),
    }
}

/// No distinguished name has a line break, so that the two are never taken for each other.
fn print_of_name(name: &str) -> Print {
    print(&format!("\n{name}"))
}

pub(super) fn print_of_address(address: &str) -> Print {
    print(&address.to_lowercase())
}

/// What is known of a user.
#[derive(Debug, PartialEq)]
struct User {
    account: Id,
    here: bool,
    admin: bool,
    dn: Print,
    manager: Option<Print>,
    addresses: Vec<Print>,
}

/// What is known of all.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Index {
    /// Users, by the directory's ids.
    users: HashMap<Print, User>,
    /// Those that are here, by their distinguished names.
    by_dn: HashMap<Print, Vec<Id>>,
    /// Those that are here, by the distinguished names of their managers.
    by_manager: HashMap<Print, Vec<Id>>,
    /// How many of those here have an address.
    addresses: HashMap<Print, usize>,
    /// How many addresses several have.
    shared: usize,
    here: usize,
    admins: usize,
    /// Groups, by the directory's ids, and their distinguished names.
    groups: HashMap<Print, Id>,
    group_dns: HashMap<Id, Print>,
    /// The groups that name a member.
    naming: HashMap<Print, Vec<Id>>,
}

/// The groups in which some people are, and by what they are named there.
pub(super) struct Naming {
    /// The groups, and the groups in which these are, and so on.
    pub(super) groups: BTreeSet<Id>,
    /// Who is named in them.
    people: Vec<(Id, Member)>,
    /// A group that is named in another: that one, and its own.
    nested: Vec<(Id, Id)>,
}

impl Naming {
    /// The members of these groups, as far as they matter.
    pub(super) fn members(self, rows: &[AccountRow]) -> HashMap<Id, Vec<Member>> {
        let mut members: HashMap<Id, Vec<Member>> = HashMap::new();
        for (group, member) in self.people {
            members.entry(group).or_default().push(member);
        }
        for (outer, inner) in self.nested {
            let origin = rows.iter().find(|row| row.id == inner.0).and_then(|row| row.origin.as_ref());
            members.entry(outer).or_default().extend(origin.map(|origin| Member::Dn(origin.dn.clone())));
        }
        members
    }
}

impl Index {
    /// What is known where nothing was to be done; `None` where that is no state to go on from.
    pub(super) fn of(accounts: &[AccountRow], members: &HashMap<Id, Vec<Member>>) -> Option<Self> {
        let mut index = Self::default();
        for row in accounts {
            let Some(origin) = &row.origin else { continue };
            if !row.group {
                index.add(row);
                continue;
            }
            // One that went and is still there is for every plan to look at.
            if origin.gone || index.groups.insert(print(&origin.id), Id(row.id)).is_some() {
                return None;
            }
            index.group_dns.insert(Id(row.id), print_of_dn(&origin.dn));
            let named: BTreeSet<_> =
                members.get(&Id(row.id)).into_iter().flatten().filter_map(print_of_member).collect();
            for member in named {
                index.naming.entry(member).or_default().push(Id(row.id));
            }
        }
        Some(index)
    }

    /// How many users there are.
    pub(super) fn people(&self) -> usize {
        self.here
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// How many users are here beside those that are planned with.
    pub(super) fn people_beside(&self, rows: &BTreeMap<&str, &AccountRow>) -> usize {
        self.here.saturating_sub(rows.values().filter(|row| !is_gone(row)).count())
    }

    /// Whether somebody may administer who is not planned with.
    pub(super) fn admin_beside(&self, rows: &BTreeMap<&str, &AccountRow>) -> bool {
        self.admins > rows.values().filter(|row| !is_gone(row) && row.admin).count()
    }

    /// How many addresses several people have when those that are planned with have these.
    pub(super) fn shared_with(
        &self,
        rows: &BTreeMap<&str, &AccountRow>,
        now: impl Iterator<Item = Print>,
    ) -> usize {
        let mut changes: HashMap<Print, (usize, usize)> = HashMap::new();
        for row in rows.values().filter(|row| !is_gone(row)) {
            for address in addresses(row) {
                changes.entry(address).or_default().0 += 1;
            }
        }
        for address in now {
            changes.entry(address).or_default().1 += 1;
        }
        changes.into_iter().fold(self.shared, |shared, (address, (before, after))| {
            let had = self.addresses.get(&address).copied().unwrap_or_default();
            let has = (had + after).saturating_sub(before);
            (shared + usize::from(has > 1)).saturating_sub(usize::from(had > 1))
        })
    }

    /// The accounts that there are of whom a reading tells; `None` where everybody is to be planned with.
    pub(super) fn touched(&self, reading: &Reading) -> Option<BTreeSet<Id>> {
        let told: Vec<_> = reading.people.iter().map(|person| print(&person.id)).collect();
        if !reading.groups.is_empty() || told.iter().any(|id| self.groups.contains_key(id)) {
            return None;
        }
        let known = |id: &Print| self.users.get(id).map(|user| user.account);
        let mut touched: BTreeSet<_> = told.iter().filter_map(known).collect();
        match &reading.gone {
            Gone::These(gone) => {
                let gone: Vec<_> = gone.iter().map(|id| print(id)).collect();
                if gone.iter().any(|id| self.groups.contains_key(id)) {
                    return None;
                }
                touched.extend(gone.iter().filter_map(known));
            }
            Gone::AllBut(rest) => {
                let rest: HashSet<_> = rest.iter().map(|id| print(id)).collect();
                if self.groups.keys().any(|id| !rest.contains(id)) {
                    return None;
                }
                let went = self.users.iter().filter(|(id, user)| user.here && !rest.contains(*id));
                touched.extend(went.map(|(_, user)| user.account));
            }
        }
        Some(touched)
    }

    /// The account of a person.
    pub(super) fn account_of(&self, person: &Person) -> Option<Id> {
        self.users.get(&print(&person.id)).map(|user| user.account)
    }

    /// Whether a name may be given to a person without anybody else having to give it up.
    pub(super) fn may_have(&self, person: &Person, holder: Option<&AccountRow>) -> bool {
        holder.is_none_or(|holder| self.account_of(person) == Some(Id(holder.id)))
    }

    /// The groups in which those are of whom a reading tells; `None` where one has a distinguished name
    /// that another account has.
    pub(super) fn naming(&self, reading: &Reading, rows: &[AccountRow]) -> Option<Naming> {
        let mut naming = Naming { groups: BTreeSet::new(), people: Vec::new(), nested: Vec::new() };
        let mut named = |member: Member| {
            let print = print_of_member(&member);
            for group in print.and_then(|print| self.naming.get(&print)).into_iter().flatten() {
                naming.people.push((*group, member.clone()));
                naming.groups.insert(*group);
            }
        };
        for person in reading.people.iter().filter(|person| person.enabled) {
            let dn = print_of_dn(&person.dn);
            let others = self.by_dn.get(&dn).into_iter().flatten();
            let taken = others.into_iter().any(|other| !rows.iter().any(|row| row.id == other.0));
            if taken || self.group_dns.values().any(|group| *group == dn) {
                return None;
            }
            named(Member::Dn(person.dn.clone()));
            // Whose name is none keeps what there is.
            let account = self.account_of(person);
            let row = rows.iter().find(|row| Some(Id(row.id)) == account);
            let name = UserName::parse(&person.name).ok().map(|name| name.as_str().to_owned());
            if let Some(name) = name.or_else(|| row.map(|row| row.name.clone())) {
                named(Member::UserName(name));
            }
        }
        let mut next: Vec<_> = naming.groups.iter().copied().collect();
        while let Some(inner) = next.pop() {
            let outer = self.group_dns.get(&inner).and_then(|dn| self.naming.get(dn));
            for outer in outer.into_iter().flatten() {
                naming.nested.push((*outer, inner));
                if naming.groups.insert(*outer) {
                    next.push(*outer);
                }
            }
        }
        Some(naming)
    }

    /// The account of the user with that distinguished name.
    pub(super) fn with_dn(&self, dn: &str) -> Option<Id> {
        self.by_dn.get(&print_of_dn(dn)).and_then(|found| found.last()).copied()
    }

    /// The users whose manager has that distinguished name, folded.
    pub(super) fn reporting_to(&self, folded: &str) -> impl Iterator<Item = Id> {
        self.by_manager.get(&print(folded)).into_iter().flatten().copied()
    }

    /// Takes in what was done.
    pub(super) fn follow(&mut self, changes: &[Change]) {
        for Change { before, after } in changes {
            if let Some(before) = before {
                self.remove(before);
            }
            self.add(after);
        }
    }

    fn add(&mut self, row: &AccountRow) {
        let Some(origin) = &row.origin else { return };
        let user = User {
            account: Id(row.id),
            here: !origin.gone,
            admin: row.admin,
            dn: print_of_dn(&origin.dn),
            manager: origin.manager.as_deref().map(print_of_dn),
            addresses: addresses(row).collect(),
        };
        if user.here {
            self.here += 1;
            self.admins += usize::from(user.admin);
            self.by_dn.entry(user.dn).or_default().push(user.account);
            if let Some(manager) = user.manager {
                self.by_manager.entry(manager).or_default().push(user.account);
            }
            for address in &user.addresses {
                let count = self.addresses.entry(*address).or_default();
                *count += 1;
                self.shared += usize::from(*count == 2);
            }
        }
        self.users.insert(print(&origin.id), user);
    }

    fn remove(&mut self, row: &AccountRow) {
        let Some(origin) = &row.origin else { return };
        let Some(user) = self.users.remove(&print(&origin.id)).filter(|user| user.here) else { return };
        self.here = self.here.saturating_sub(1);
        self.admins = self.admins.saturating_sub(usize::from(user.admin));
        leave(&mut self.by_dn, user.dn, user.account);
        if let Some(manager) = user.manager {
            leave(&mut self.by_manager, manager, user.account);
        }
        for address in user.addresses {
            let Some(count) = self.addresses.get_mut(&address) else { continue };
            self.shared = self.shared.saturating_sub(usize::from(*count == 2));
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

/// What was done to a user.
pub(super) struct Change {
    before: Option<AccountRow>,
    after: AccountRow,
}

impl Change {
    /// What a plan does to users; `None` where it does something else too.
    pub(super) fn all(plan: &Plan) -> Option<Vec<Self>> {
        let change = |work: &Work| {
            let (before, after) = match work {
                Work::Update { before, after } | Work::Rename { before, after } => (Some(before), after),
                Work::Create(after) => (None, after),
                Work::Keep { .. } => return None,
            };
            (!after.group)
                .then(|| Self { before: before.map(|row| (**row).clone()), after: (**after).clone() })
        };
        let simple = plan.gone_groups.is_empty() && !plan.contested;
        plan.works.iter().map(change).collect::<Option<Vec<_>>>().filter(|_| simple)
    }

    /// The directory's id of whom it has no more.
    pub(super) fn went(&self) -> Option<&str> {
        self.after.origin.as_ref().filter(|origin| origin.gone).map(|origin| origin.id.as_str())
    }
}

fn addresses(row: &AccountRow) -> impl Iterator<Item = Print> {
    row.email.iter().chain(&row.addresses).map(|address| print_of_address(address))
}

fn leave(of: &mut HashMap<Print, Vec<Id>>, from: Print, account: Id) {
    if let Some(found) = of.get_mut(&from) {
        found.retain(|one| *one != account);
        if found.is_empty() {
            of.remove(&from);
        }
    }
}

#[cfg(test)]
impl Index {
    /// It is what it would be if it were made anew.
    pub(super) fn assert_is(&mut self, accounts: &[AccountRow], members: &HashMap<Id, Vec<Member>>) {
        let mut anew = Self::of(accounts, members).unwrap();
        for index in [&mut *self, &mut anew] {
            let lists = index.by_dn.values_mut().chain(index.by_manager.values_mut());
            lists.chain(index.naming.values_mut()).for_each(|list| list.sort_unstable());
        }
        assert_eq!(*self, anew);
    }
}
