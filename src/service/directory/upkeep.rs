//! When the directory is followed: now and then, and when somebody asks; never twice at a time. The
//! reading is complete before anything is written, and where the next one goes on is forgotten
//! before and remembered after all that: whoever dies in between begins with everything.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::domain::event::EventKind;
use crate::domain::id::Revision;
use crate::service::refusal::{Fault, Refusal, Stop};
use crate::service::{Answer, Service};
use crate::store::rows;

use super::apply::Done;
use super::index::Index;
use super::kept::Cookie;
use super::settings::DirectorySettings;
use super::status::{DirectoryStatus, SyncReport};
use super::{DirectoryError, Reading};

/// How long a reading may take.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// When a directory that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(60);
/// How old a reading of everything may be before there is another one. A directory that was killed may
/// forget whom it removed and tell nobody: OpenLDAP's does without `syncprov-checkpoint`.
const WHOLE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many people there are is not known yet.
pub(super) const UNKNOWN: usize = usize::MAX;

/// What is to be done with a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mode {
    /// Only tell.
    pub dry_run: bool,
    /// However many leave, it is meant.
    pub accept_leavers: bool,
    /// Read everything, though the directory could tell what has changed.
    pub full: bool,
}

/// How far the directory is followed, in memory only.
pub(in crate::service) struct Followed {
    running: tokio::sync::Mutex<()>,
    status: Mutex<DirectoryStatus>,
    /// How many people the staff's book has.
    pub(super) people: AtomicUsize,
    /// The book's places were put right since the start.
    pub(super) settled: AtomicBool,
    /// What is known of the accounts while they are what the directory says.
    agreed: Mutex<Option<Agreed>>,
}

/// What there was when accounts, groups and the staff's book were what the directory says.
#[derive(Clone, PartialEq, Eq)]
struct There {
    accounts: [u8; 32],
    /// The staff's book, as of its revision.
    book: Option<Revision>,
}

/// What is known, of what there was.
struct Agreed {
    there: There,
    index: Index,
}

impl Default for Followed {
    fn default() -> Self {
        Self {
            running: tokio::sync::Mutex::default(),
            status: Mutex::default(),
            people: AtomicUsize::new(UNKNOWN),
            settled: AtomicBool::new(false),
            agreed: Mutex::default(),
        }
    }
}

impl Followed {
    fn status(&self) -> MutexGuard<'_, DirectoryStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of what there is, to be told anew when it was followed.
    fn known(&self, there: &There) -> Option<Index> {
        let agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner).take();
        agreed.filter(|agreed| agreed.there == *there).map(|agreed| agreed.index)
    }

    /// Whether the next changes are followed with those that they touch.
    #[cfg(test)]
    pub(super) fn knows(&self) -> bool {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn agree(&self, there: There, index: Index) {
        *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Agreed { there, index });
    }
}

impl Service {
    /// How the directory is followed; `None` where none is configured.
    pub fn directory_status(&self) -> Option<DirectoryStatus> {
        let settings = self.settings.directory.as_ref()?;
        let status = self.followed.status().clone();
        Some(DirectoryStatus { place: settings.port.0.place(), ..status })
    }

    /// Follows the directory now, after whoever does so already.
    pub async fn directory_sync(&self, mode: Mode) -> Answer<SyncReport> {
        let settings = self.settings.directory.clone().ok_or_else(|| {
            Refusal::Conflict("no directory is configured; set ldap.url in the configuration".into())
        })?;
        let _running = self.followed.running.lock().await;
        let followed = self.follow(&settings, mode).await;
        if let Some(kind) = self.note_sync(&followed, mode) {
            self.tell_done(kind).await;
        }
        followed
    }

    /// Keeps what became of a sync; answers what is told of it: one that finds nobody new is no
    /// event, and one that goes on failing is told once.
    fn note_sync(&self, followed: &Answer<SyncReport>, mode: Mode) -> Option<EventKind> {
        let now = self.clock.now();
        let mut status = self.followed.status();
        let failed_before = status.failure.is_some();
        match followed {
            Ok(report) if !mode.dry_run => {
                status.pending_leavers = report.pending_leavers;
                status.refused = report.refused.len();
                status.passed_over = report.passed_over;
                status.warnings.clone_from(&report.warnings);
                status.failure = None;
                match report.pending_leavers {
                    None => {
                        status.last_success = Some(now);
                        status.successes += 1;
                    }
                    Some(_) => {
                        let why = "so many users or groups would leave that nothing was done; see 'cardkeep ldap sync --dry-run'";
                        fail(&mut status, now, why.into());
                    }
                }
            }
            Ok(_) => {}
            Err(stop) => fail(&mut status, now, stop.to_string()),
        }
        let fails = status.failure.is_some();
        let people = |report: &SyncReport| {
            report.came.len() + report.back.len() + report.went.len() + report.renamed.len()
        };
        match followed {
            _ if mode.dry_run => None,
            _ if fails && !failed_before => Some(EventKind::DirectoryFailed),
            Ok(report) if !fails && people(report) > 0 => Some(EventKind::DirectoryRead),
            _ => None,
        }
    }

    /// Follows the directory from time to time; runs until dropped.
    pub async fn keep_directory(&self) {
        let Some(settings) = self.settings.directory.clone() else {
            return std::future::pending().await;
        };
        loop {
            let rest = match self.directory_sync(Mode::default()).await {
                Ok(report) => {
                    tell(&report);
                    settings.every
                }
                Err(error) => {
                    tracing::warn!(%error, "the directory could not be followed; it is tried again");
                    settings.every.min(AGAIN)
                }
            };
            let rest = self.jittered(rest);
            self.followed.status().next = self.clock.now().checked_add(rest).ok();
            tokio::time::sleep(rest).await;
        }
    }

    /// A tenth more or less, so that many servers do not ask one directory at the same moment.
    fn jittered(&self, rest: Duration) -> Duration {
        let mut byte = [0];
        // Without randomness it is as it is.
        let _ = self.entropy.fill(&mut byte);
        rest.mul_f64(0.9 + 0.2 * f64::from(byte.first().copied().unwrap_or(128)) / 255.0)
    }

    async fn follow(&self, settings: &DirectorySettings, mode: Mode) -> Answer<SyncReport> {
        let home = crate::service::own::HOME;
        // Switching the book on needs everybody's card, which changes alone do not tell.
        let now = rows::micros(self.clock.now());
        let recent = |cookie: &Cookie| {
            let age = u64::try_from(now.saturating_sub(cookie.whole));
            age.is_ok_and(|age| Duration::from_micros(age) < WHOLE)
        };
        let since = self.cookie(home).await?;
        let since = since.filter(|cookie| !mode.full && cookie.book == settings.staff_book && recent(cookie));
        let whole = since.as_ref().map_or(now, |cookie| cookie.whole);
        let partial = since.is_some();
        let reading = self.reading(settings, since.map(|cookie| cookie.next)).await?;
        let cookie = |next| Cookie { next, book: settings.staff_book, whole };
        // Before the accounts are planned with: what comes meanwhile is not agreed with.
        let there = self.there().await?;
        if partial
            && let Some(index) = self.followed.known(&there)
            && let Some(report) =
                self.follow_some(settings, mode, &reading, (there.clone(), index), &cookie).await?
        {
            return Ok(report);
        }
        let (plan, index) = self.planned(settings, &reading, mode.accept_leavers).await?;
        if mode.dry_run || plan.report.pending_leavers.is_some() {
            return Ok(SyncReport { dry_run: mode.dry_run, ..plan.report });
        }
        self.lay_own_group().await?;
        if index.is_none() {
            self.keep_cookie(home, None).await?;
        }
        let done = self.carry_out(settings, &reading, plan).await?;
        let done = self.finish(settings, &reading, done, &cookie).await?;
        let nothing = !done.contested && done.report.cards_written + done.report.cards_removed == 0;
        if let Some(index) = index.filter(|_| nothing) {
            self.followed.agree(there, index);
        }
        Ok(done.report)
    }

    /// Follows changes with those that they touch; `None` where everybody is to be gone through, and then
    /// nothing is done yet.
    async fn follow_some(
        &self,
        settings: &DirectorySettings,
        mode: Mode,
        reading: &Reading,
        (mut there, mut index): (There, Index),
        cookie: &(dyn Fn(Vec<u8>) -> Cookie + Sync),
    ) -> Answer<Option<SyncReport>> {
        let planned = self.planned_with_some(settings, reading, mode.accept_leavers, &index).await?;
        let Some((plan, changes)) = planned else { return Ok(None) };
        if mode.dry_run || plan.report.pending_leavers.is_some() {
            self.followed.agree(there, index);
            return Ok(Some(SyncReport { dry_run: mode.dry_run, ..plan.report }));
        }
        let home = crate::service::own::HOME;
        if !changes.is_empty() {
            self.keep_cookie(home, None).await?;
        }
        index.follow(&changes);
        let mut done = self.carry_out(settings, reading, plan).await?;
        if done.anew {
            return Ok(Some(self.finish(settings, reading, done, cookie).await?.report));
        }
        self.write_some_staff(settings, reading, (&index, &changes), &mut done).await?;
        let next = reading.next.clone().filter(|_| !done.contested);
        self.keep_cookie(home, next.map(cookie).as_ref()).await?;
        if done.contested {
            return Ok(Some(done.report));
        }
        if !changes.is_empty() || done.report.cards_written > 0 {
            self.count_with(&index).await?;
            // What somebody else changed meanwhile is put right when everything is read.
            there = self.there().await?;
        }
        self.followed.agree(there, index);
        Ok(Some(done.report))
    }

    /// Goes through everybody once accounts follow a reading.
    async fn finish(
        &self,
        settings: &DirectorySettings,
        reading: &Reading,
        mut done: Done,
        cookie: &(dyn Fn(Vec<u8>) -> Cookie + Sync),
    ) -> Answer<Done> {
        self.write_staff(settings, reading, &mut done).await?;
        let next = reading.next.clone().filter(|_| !done.contested);
        self.keep_cookie(crate::service::own::HOME, next.map(cookie).as_ref()).await?;
        self.count().await?;
        Ok(done)
    }

    /// What there is, by what changes with it.
    async fn there(&self) -> Answer<There> {
        let reader = self.store.read().await?;
        let book: Vec<_> = self.staff_book(&reader).await?.into_iter().collect();
        let book = reader.collections(&book).await?.pop().flatten().map(|book| book.revision);
        Ok(There { accounts: reader.accounts_digest().await?, book })
    }

    /// Asks the directory, in a task of its own: what panics there fails here.
    async fn reading(&self, settings: &DirectorySettings, since: Option<Vec<u8>>) -> Answer<Reading> {
        let port = settings.port.clone();
        // Dropped with this request, it ends the task.
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { port.0.read(since.as_deref()).await });
        let answer = tokio::time::timeout(LONGEST, tasks.join_next()).await;
        match answer {
            Ok(Some(Ok(Ok(reading)))) => Ok(reading),
            Ok(Some(Ok(Err(error)))) => Err(refused(&error)),
            Ok(Some(Err(_)) | None) => {
                Err(Fault("reading the directory failed by a defect of ours".into()).into())
            }
            Err(_) => Err(refused(&DirectoryError::Unreachable("it takes longer than half an hour".into()))),
        }
    }

    async fn count_with(&self, index: &Index) -> Answer<()> {
        let search_only = self.searched_staff_book(&self.store.read().await?).await?.is_some();
        let mut status = self.followed.status();
        (status.people, status.groups) = (index.people(), index.groups());
        status.search_only = search_only;
        Ok(())
    }

    async fn count(&self) -> Answer<()> {
        let reader = self.store.read().await?;
        let rows = reader.accounts().await?;
        let search_only = self.searched_staff_book(&reader).await?.is_some();
        let here = || {
            rows.iter()
                .filter(|row| !row.is_own())
                .filter(|row| row.origin.as_ref().is_some_and(|origin| !origin.gone))
        };
        let mut status = self.followed.status();
        status.people = here().filter(|row| !row.group).count();
        status.groups = here().filter(|row| row.group).count();
        status.search_only = search_only;
        Ok(())
    }
}

fn fail(status: &mut DirectoryStatus, now: Timestamp, why: String) {
    status.last_failure = Some(now);
    status.failures += 1;
    status.failure = Some(why);
}

fn refused(error: &DirectoryError) -> Stop {
    Refusal::Conflict(error.to_string()).into()
}

/// How many, never who.
fn tell(report: &SyncReport) {
    if let Some(leavers) = report.pending_leavers {
        tracing::error!(
            leavers,
            "so many would leave the directory that it is not followed; 'cardkeep ldap sync --accept-leavers' does"
        );
        return;
    }
    tracing::info!(
        came = report.came.len() + report.back.len(),
        went = report.went.len(),
        renamed = report.renamed.len(),
        changed = report.changed,
        refused = report.refused.len(),
        cards = report.cards_written + report.cards_removed,
        "the directory was followed"
    );
}
