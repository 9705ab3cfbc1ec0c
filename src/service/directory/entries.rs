//! What the directory has, once what it changed is put over what the accounts tell of it: users, or
//! groups, by the ids that it never changes. Nothing is decided here but what is unusable.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::id::{GroupName, UserName};
use crate::service::refusal::Fault;
use crate::store::rows::{AccountRow, Id, OriginRow};

use super::index::{Index, print_of_address};
use super::naming::{Claim, Names, names};
use super::plan::{Known, Plan};
use super::status::{Refused, SyncReport};
use super::{Gone, Member, Reading};

/// How long texts of the directory may be that are kept with an account, and how many addresses.
const TEXT: usize = 512;
const ADDRESSES: usize = 16;
/// The longest id that an entry may have.
const LONGEST_ID: usize = 200;

/// What the directory says of a user or a group.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) dn: String,
    pub(super) name: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) emails: Vec<String>,
    pub(super) manager: Option<String>,
    pub(super) members: Vec<Member>,
}

/// Users, or groups.
pub(super) struct Side<'a> {
    pub(super) group: bool,
    /// The accounts that the directory has or had, by its ids.
    pub(super) rows: BTreeMap<&'a str, &'a AccountRow>,
    /// What is there, by the directory's ids.
    pub(super) there: BTreeMap<String, Facts>,
}

impl<'a> Side<'a> {
    pub(super) fn users(known: &Known<'a>, reading: &Reading, report: &mut SyncReport) -> Self {
        let mut side = Self::stored(known, reading, false);
        for person in &reading.people {
            if !valid_id(&person.id) {
                report.refused.push(refused(&person.name, "the directory gives it no usable id"));
                continue;
            }
            if !person.enabled {
                side.there.remove(&person.id);
                continue;
            }
            let name = UserName::parse(&person.name).ok().map(|name| name.as_str().to_owned());
            if name.is_none() {
                let why = "it is no user name: use a-z, 0-9 and ._@+-, at most 64";
                report.refused.push(refused(&person.name, why));
            }
            let mut emails: Vec<String> = Vec::new();
            for email in person.emails.iter().filter_map(|email| text(email)) {
                if emails.len() < ADDRESSES && !emails.contains(&email) {
                    emails.push(email);
                }
            }
            let facts = Facts {
                dn: person.dn.clone(),
                name,
                display_name: text(&person.display_name),
                emails,
                manager: person.manager.clone(),
                members: Vec::new(),
            };
            side.there.insert(person.id.clone(), facts);
        }
        side.note_shared_addresses(known.beside, report);
        side
    }

    pub(super) fn groups(
        known: &Known<'a>,
        reading: &Reading,
        users: &Self,
        report: &mut SyncReport,
    ) -> Self {
        let mut side = Self::stored(known, reading, true);
        for group in &reading.groups {
            let of_user = users.rows.contains_key(group.id.as_str()) || users.there.contains_key(&group.id);
            if !valid_id(&group.id) || of_user {
                report.refused.push(refused(&group.name, "the directory gives it no usable id"));
                continue;
            }
            let name = GroupName::parse(&group.name).ok().map(|name| name.as_str().to_owned());
            if name.is_none() {
                let why =
                    "it is no name for a group: it holds '/', '*' or control characters, or is too long";
                report.refused.push(refused(&group.name, why));
            }
            let facts = Facts {
                dn: group.dn.clone(),
                name,
                display_name: text(&group.display_name),
                emails: group.email.as_deref().and_then(text).into_iter().collect(),
                manager: None,
                members: group.members.clone(),
            };
            side.there.insert(group.id.clone(), facts);
        }
        side
    }

    /// What is there by the accounts alone, without those that went.
    pub(super) fn stored(known: &Known<'a>, reading: &Reading, group: bool) -> Self {
        let rows: BTreeMap<_, _> = known
            .accounts
            .iter()
            .filter(|account| account.group == group)
            .filter_map(|account| Some((account.origin.as_ref()?.id.as_str(), account)))
            .collect();
        let went = |id: &str| match &reading.gone {
            Gone::These(gone) => gone.contains(id),
            Gone::AllBut(rest) => !rest.contains(id),
        };
        let there = rows
            .iter()
            .filter(|(id, _)| !went(id))
            .filter_map(|(id, row)| Some(((*id).to_owned(), Facts::stored(row, known)?)))
            .collect();
        Self { group, rows, there }
    }

    fn note_shared_addresses(&self, beside: Option<&Index>, report: &mut SyncReport) {
        let addresses = self.there.values().flat_map(|facts| &facts.emails);
        let shared = match beside {
            Some(beside) => beside.shared_with(&self.rows, addresses.map(|email| print_of_address(email))),
            None => {
                let mut seen: HashMap<_, usize> = HashMap::new();
                addresses.for_each(|email| *seen.entry(email.to_lowercase()).or_default() += 1);
                seen.values().filter(|count| **count > 1).count()
            }
        };
        if shared > 0 {
            report.warnings.push(format!("{shared} e-mail addresses are those of several people"));
        }
    }

    /// How many leave, of how many.
    pub(super) fn leaving(&self) -> (usize, usize) {
        let here = || self.rows.iter().filter(|(_, row)| !is_gone(row));
        (here().filter(|(id, _)| !self.there.contains_key(**id)).count(), here().count())
    }

    pub(super) fn names(&self, known: &Known<'_>, plan: &mut Plan) -> Names {
        let claim = |(id, facts): (&String, &Facts)| Claim {
            id: id.clone(),
            name: facts.name.clone(),
            current: self.rows.get(id.as_str()).map(|row| row.name.clone()),
        };
        let claims: Vec<_> = self.there.iter().map(claim).collect();
        let gone = self.rows.iter().filter(|(id, _)| !self.there.contains_key(**id));
        let gone: Vec<_> = gone.map(|(id, row)| ((*id).to_owned(), row.name.clone())).collect();
        let local = known.accounts.iter().filter(|account| account.group == self.group);
        let local = local.filter(|account| account.origin.is_none());
        let local: BTreeSet<_> = local.map(|account| account.name.clone()).collect();
        let longest = if self.group { GroupName::MAX } else { UserName::MAX };
        let names = names(&claims, &gone, &local, longest);
        plan.contested |= !names.local.is_empty() || !names.twice.is_empty();
        for (ids, why) in [
            (&names.local, "a local account has that name"),
            (&names.twice, "another entry of the directory has that name"),
        ] {
            let named = ids.iter().filter_map(|id| self.there.get(id)?.name.as_deref());
            plan.report.refused.extend(named.map(|name| refused(name, why)));
        }
        names
    }

    /// The accounts of those that get one, new ones among them.
    pub(super) fn account_ids(
        &self,
        names: &Names,
        fresh: &mut dyn FnMut() -> Result<[u8; 16], Fault>,
    ) -> Result<HashMap<String, Id>, Fault> {
        let mut ids = HashMap::with_capacity(names.given.len());
        for id in names.given.keys() {
            let account = match self.rows.get(id.as_str()) {
                Some(row) => row.id,
                None => fresh()?,
            };
            ids.insert(id.clone(), Id(account));
        }
        Ok(ids)
    }
}

impl Facts {
    /// What an account tells of its entry.
    pub(super) fn stored(row: &AccountRow, known: &Known<'_>) -> Option<Self> {
        let origin = row.origin.as_ref().filter(|origin| !origin.gone)?;
        Some(Self {
            dn: origin.dn.clone(),
            name: Some(row.name.clone()),
            display_name: row.display_name.clone(),
            emails: row.email.iter().chain(&row.addresses).cloned().collect(),
            manager: origin.manager.clone(),
            members: known.members.get(&Id(row.id)).cloned().unwrap_or_default(),
        })
    }

    /// A row with these facts, and everything else as it is.
    pub(super) fn on(&self, row: &AccountRow, id: &str) -> AccountRow {
        let back = row.origin.as_ref().is_some_and(|origin| origin.gone && origin.held);
        let enabled = row.enabled || back;
        let mut emails = self.emails.iter().cloned();
        AccountRow {
            display_name: self.display_name.clone(),
            email: emails.next(),
            addresses: emails.collect(),
            enabled,
            epoch: row.epoch + u64::from(enabled != row.enabled),
            origin: Some(OriginRow {
                id: id.to_owned(),
                dn: self.dn.clone(),
                gone: false,
                manager: self.manager.clone(),
                held: false,
            }),
            ..row.clone()
        }
    }
}

pub(super) fn is_gone(row: &AccountRow) -> bool {
    row.origin.as_ref().is_some_and(|origin| origin.gone)
}

fn valid_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && !id.contains(char::is_control)
}

/// A text of the directory, in one line and not too long.
fn text(written: &str) -> Option<String> {
    let line: String = written.trim().chars().filter(|c| !c.is_control()).take(TEXT).collect();
    (!line.is_empty()).then_some(line)
}

fn refused(name: &str, why: &str) -> Refused {
    Refused { name: text(name).unwrap_or_default(), why: why.to_owned() }
}
