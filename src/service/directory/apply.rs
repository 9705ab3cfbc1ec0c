//! Carries plans out, in commits of a bounded size. A commit that another one overtook has the rest
//! planned anew from the same reading: what is done already is found done.

use std::collections::{BTreeSet, HashSet};

use crate::domain::id::{CollectionId, CollectionKind};
use crate::service::refusal::{Refusal, Stop};
use crate::service::{Answer, Service};
use crate::store::commit::{AccountOp, Op};
use crate::store::rows::{self, AccountRow, Id};

use super::index::Index;
use super::members::fold_dn;
use super::plan::{Known, Plan, Rules, Work, plan};
use super::settings::DirectorySettings;
use super::status::SyncReport;
use super::{Member, Reading};

/// How many accounts are changed in one commit, and how often the rest is planned anew.
const BATCH: usize = 64;
const ROUNDS: usize = 64;
/// How much of groups' members goes into one commit; a single group may be larger.
const MEMBERS: usize = 1 << 20;

/// What was done to accounts and groups.
#[derive(Default)]
pub(super) struct Done {
    pub(super) report: SyncReport,
    pub(super) contested: bool,
    /// The distinguished names, folded, of users that changed: those whose manager they are follow.
    pub(super) moved: HashSet<String>,
    /// Somebody else wrote meanwhile, and all was planned anew.
    pub(super) anew: bool,
}

impl Service {
    /// Plans from what there is now, and what is known of it where nothing is to be done.
    pub(super) async fn planned(
        &self,
        settings: &DirectorySettings,
        reading: &Reading,
        accept_leavers: bool,
    ) -> Answer<(Plan, Option<Index>)> {
        let reader = self.store.read().await?;
        let accounts: Vec<_> = reader.accounts().await?.into_iter().filter(|row| !row.is_own()).collect();
        let members = self.kept_members(&reader, &accounts).await?;
        drop(reader);
        let known = Known { accounts: &accounts, members: &members, beside: None };
        let mut fresh = || self.fresh().map(uuid::Uuid::into_bytes);
        let plan = plan(&known, reading, self.rules(settings, accept_leavers), &mut fresh)?;
        let nothing = plan.works.is_empty() && plan.gone_groups.is_empty() && !plan.contested;
        let index = if nothing { Index::of(&accounts, &members) } else { None };
        Ok((plan, index))
    }

    pub(super) fn rules<'a>(&self, settings: &'a DirectorySettings, accept_leavers: bool) -> Rules<'a> {
        Rules {
            admin_group: settings.admin_group.as_ref(),
            most_leavers: settings.most_leavers,
            accept_leavers,
            now: rows::micros(self.clock.now()),
        }
    }

    /// Has accounts and groups follow a reading, from its first plan on.
    pub(super) async fn carry_out(
        &self,
        settings: &DirectorySettings,
        reading: &Reading,
        mut plan: Plan,
    ) -> Answer<Done> {
        let report = std::mem::take(&mut plan.report);
        let mut done = Done { report, contested: plan.contested, moved: HashSet::new(), anew: false };
        let mut settle = BTreeSet::new();
        for _ in 0..ROUNDS {
            settle.append(&mut plan.settle);
            note_moved(&plan.works, &mut done.moved);
            match self.write_all(plan.works).await {
                Ok(()) => {
                    self.remove_groups(&plan.gone_groups, &mut done.report).await?;
                    self.settle_those(&settle).await?;
                    return Ok(done);
                }
                Err(Stop::Refused(Refusal::NotFound | Refusal::Mapped)) => {}
                Err(failed) => return Err(failed),
            }
            plan = self.planned(settings, reading, true).await?.0;
            done.anew = true;
            done.contested |= plan.contested;
        }
        Err(Refusal::Busy { retry_after: std::time::Duration::from_secs(10) }.into())
    }

    async fn write_all(&self, works: Vec<Work>) -> Answer<()> {
        let (mut ops, mut touched, mut size) = (Vec::new(), HashSet::new(), 0);
        for work in works {
            let keys = keys(&work);
            let full = ops.len() >= BATCH || size > MEMBERS;
            if full || keys.iter().any(|key| touched.contains(key)) {
                self.commit(None, Vec::new(), std::mem::take(&mut ops)).await?;
                touched.clear();
                size = 0;
            }
            touched.extend(keys);
            if let Work::Keep { members, .. } = &work {
                size += members.iter().map(length).sum::<usize>();
            }
            ops.push(self.op(work).await?);
        }
        match ops.is_empty() {
            true => Ok(()),
            false => self.commit(None, Vec::new(), ops).await.map(drop),
        }
    }

    async fn op(&self, work: Work) -> Answer<Op> {
        Ok(match work {
            Work::Create(row) => Op::Account(AccountOp::Create(*row)),
            Work::Update { before, after } => {
                Op::Account(AccountOp::Update { before: *before, after: *after })
            }
            Work::Rename { before, after } => {
                let passwords = self.store.read().await?.app_passwords(Some(&before.id)).await?;
                Op::Account(AccountOp::Rename { before: *before, after: *after, passwords })
            }
            Work::Keep { home, members } => {
                self.keep_members(&self.store.read().await?, home, &members).await?
            }
        })
    }

    /// Removes groups that went. One that owns books stays, without members, so that nothing is lost
    /// that nobody meant to remove.
    async fn remove_groups(&self, groups: &[Id], report: &mut SyncReport) -> Answer<()> {
        let mut kept = 0;
        for id in groups {
            let reader = self.store.read().await?;
            let Some(group) = self.account_of(&reader, &id.0).await? else { continue };
            let mut links = reader.links(CollectionId::from_bytes(group.home)).await?;
            if let Some(home) = group.home_of(CollectionKind::Calendar) {
                links.extend(reader.links(home).await?);
            }
            drop(reader);
            if links.iter().any(|link| !link.mount) {
                kept += 1;
                continue;
            }
            self.withdraw_account(None, &group).await?;
            let reader = self.store.read().await?;
            // As it is without its shares.
            let Some(group) = self.account_of(&reader, &id.0).await? else { continue };
            drop(reader);
            let remove = Op::Account(AccountOp::Remove(group));
            match self.commit(None, Vec::new(), vec![remove]).await {
                // It moved; the next time finds it again.
                Err(Stop::Refused(Refusal::NotFound)) => {}
                done => drop(done?),
            }
            self.purge_soon();
        }
        if kept > 0 {
            report.warnings.push(format!("{kept} groups are gone and still own address books or calendars"));
        }
        Ok(())
    }

    /// Puts the places right in the homes of those whose groups changed.
    async fn settle_those(&self, users: &BTreeSet<Id>) -> Answer<()> {
        if users.is_empty() {
            return Ok(());
        }
        let reader = self.store.read().await?;
        let theirs = match users.len() > BATCH {
            true => reader.accounts().await?.into_iter().filter(|row| users.contains(&Id(row.id))).collect(),
            false => {
                let ids: Vec<_> = users.iter().map(|id| id.0).collect();
                self.accounts_of(&reader, &ids).await?.into_iter().flatten().collect()
            }
        };
        drop(reader);
        self.settle(theirs, None).await
    }
}

fn length(member: &Member) -> usize {
    match member {
        Member::Dn(text) | Member::UserName(text) => text.len(),
    }
}

/// The keys that a change reads or writes: no two in one commit may share one.
fn keys(work: &Work) -> Vec<(u8, Vec<u8>)> {
    let name = |row: &AccountRow| (u8::from(row.group), row.name.clone().into_bytes());
    let home = |home: &[u8; 16]| (2, home.to_vec());
    match work {
        Work::Create(row) => vec![name(row), home(&row.home)],
        Work::Update { before, .. } => vec![name(before)],
        Work::Rename { before, after } => vec![name(before), name(after)],
        Work::Keep { home: of, .. } => vec![home(of)],
    }
}

fn note_moved(works: &[Work], moved: &mut HashSet<String>) {
    for work in works {
        let rows = match work {
            Work::Update { before, after } | Work::Rename { before, after } => vec![before, after],
            Work::Create(row) => vec![row],
            Work::Keep { .. } => Vec::new(),
        };
        let users = rows.into_iter().filter(|row| !row.group);
        moved.extend(users.filter_map(|row| Some(fold_dn(&row.origin.as_ref()?.dn))));
    }
}
