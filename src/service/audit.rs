//! Who came in, and what changed about accounts, tokens and shares. Changes are told by the commit
//! that makes them, as they follow from what it does. Sign-ins must not cost a commit for each poll:
//! they, failures and last uses go through a lane in memory, which counts what is alike as one and is
//! written every half a minute and at the end; a crash loses what is in it. Knows no HTTP.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use uuid::Uuid;

use crate::domain::client;
use crate::domain::event::{Event, EventKind, Subject};
use crate::domain::id::AccountId;
use crate::store::commit::{AccountOp, Commit, CommitError, Op};
use crate::store::events::{Events, EventsPage};
use crate::store::rows::{self, AppPasswordRow, Id, UseRow};

use super::{Answer, Fault, Service, fault};

pub(super) mod told;

/// How often the lane is written.
const FLUSH_EVERY: Duration = Duration::from_secs(30);
/// How many different things wait at most; what is more is counted, and nothing else is kept of it.
const MOST: usize = 4096;
/// How many different things one commit writes.
const AT_ONCE: usize = 512;
/// How many sign-ins are known to be told already, and how long they are.
const KNOWN: u64 = 100_000;
const DAY: i64 = 86_400 * 1_000_000;
/// The least time between two writes of a token's last use from one client and address.
const MINUTE: i64 = 60 * 1_000_000;
/// How much is kept of what a client calls itself.
const CLIENT: usize = 64;

/// Where a request comes from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// What the client calls itself; empty when it does not.
    pub client: &'a str,
}

crate::hidden!(UseKnown, What);

impl std::fmt::Debug for Origin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Origin(…)")
    }
}

impl From<IpAddr> for Origin<'_> {
    fn from(address: IpAddr) -> Self {
        Self { address, client: "" }
    }
}

/// What makes two things alike.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct What {
    kind: EventKind,
    account: Option<AccountId>,
    token: Option<Uuid>,
    address: Option<IpAddr>,
    client: &'static str,
}

impl What {
    /// Of too many different things: that there was one.
    fn nameless(kind: EventKind) -> Self {
        Self { kind, account: None, token: None, address: None, client: "" }
    }

    fn event(&self, tally: Tally) -> Event {
        Event {
            at: rows::time(tally.at),
            kind: self.kind,
            // Whoever signs in does it themselves; who fails to is not known.
            actor: self.account.filter(|_| self.kind == EventKind::SignIn),
            account: self.account,
            subject: self.token.map(Subject::Token),
            client: (!self.client.is_empty()).then(|| self.client.to_owned()),
            address: self.address,
            count: tally.count,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    /// When first.
    at: i64,
    count: u64,
}

/// The last use of a token, as it is to be written.
#[derive(Clone, PartialEq, Eq)]
struct UseKnown {
    account: Id,
    used: UseRow,
}

/// What is waiting to be written.
#[derive(Default)]
struct Waiting {
    tallies: HashMap<What, Tally>,
    uses: HashMap<[u8; 16], UseKnown>,
}

impl Waiting {
    fn count(&mut self, what: What, tally: Tally) {
        let what = match self.tallies.len() < MOST || self.tallies.contains_key(&what) {
            true => what,
            false => What::nameless(what.kind),
        };
        let held = self.tallies.entry(what).or_insert(Tally { at: tally.at, count: 0 });
        held.at = held.at.min(tally.at);
        held.count = held.count.saturating_add(tally.count);
    }

    /// A later use takes the place of an earlier one. Of too many tokens the further ones' uses are
    /// noted with their next request.
    fn used(&mut self, token: [u8; 16], known: UseKnown) {
        let room = self.uses.len() < MOST;
        match self.uses.get_mut(&token) {
            Some(held) if held.used.at <= known.used.at => *held = known,
            None if room => drop(self.uses.insert(token, known)),
            _ => {}
        }
    }
}

/// The lane. Its locks are held for a few map look-ups and never across a wait.
pub(super) struct Lane {
    waiting: Mutex<Waiting>,
    /// When which sign-in was told last.
    told: Cache<What, i64>,
    /// One flush at a time, so that none overtakes another.
    flushing: tokio::sync::Mutex<()>,
}

impl Default for Lane {
    fn default() -> Self {
        let told = Cache::builder().max_capacity(KNOWN).build();
        Self { waiting: Mutex::default(), told, flushing: tokio::sync::Mutex::default() }
    }
}

impl Lane {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is in.
    pub(super) fn signed_in(
        &self,
        account: AccountId,
        token: Option<&AppPasswordRow>,
        from: Origin<'_>,
        at: Timestamp,
    ) {
        let at = rows::micros(at);
        self.once_a_day(self.what(EventKind::SignIn, Some(account), token, from), at);
        let Some(token) = token else { return };
        let mut waiting = self.waiting();
        if let Some(held) = waiting.uses.get_mut(&token.id)
            && same_place(&held.used, from)
        {
            held.used.at = held.used.at.max(at);
            return;
        }
        let recent = |known: &UseRow| at - known.at < MINUTE && same_place(known, from);
        if !token.used.as_ref().is_some_and(recent) {
            let client = bounded(from.client).collect();
            let used = UseRow { at, client, address: from.address.to_string() };
            waiting.used(token.id, UseKnown { account: Id(token.account), used });
        }
    }

    /// A token was tried that has ended.
    pub(super) fn expired(&self, token: &AppPasswordRow, from: Origin<'_>, at: Timestamp) {
        let account = AccountId::from_bytes(token.account);
        let what = self.what(EventKind::TokenExpired, Some(account), Some(token), from);
        self.once_a_day(what, rows::micros(at));
    }

    /// Somebody is not in; `account` where there is one of that name.
    pub(super) fn failed(
        &self,
        kind: EventKind,
        account: Option<AccountId>,
        from: Origin<'_>,
        at: Timestamp,
    ) {
        let what = self.what(kind, account, None, from);
        self.waiting().count(what, Tally { at: rows::micros(at), count: 1 });
    }

    fn what(
        &self,
        kind: EventKind,
        account: Option<AccountId>,
        token: Option<&AppPasswordRow>,
        from: Origin<'_>,
    ) -> What {
        let token = token.map(|token| Uuid::from_bytes(token.id));
        What { kind, account, token, address: Some(from.address), client: client::family(from.client) }
    }

    fn once_a_day(&self, what: What, at: i64) {
        if self.told.get(&what).is_some_and(|told| at - told < DAY) {
            return;
        }
        self.told.insert(what.clone(), at);
        self.waiting().count(what, Tally { at, count: 1 });
    }

    /// Takes some of what waits.
    fn take(&self) -> Waiting {
        let mut waiting = self.waiting();
        let mut taken = Waiting::default();
        let tallies: Vec<_> = waiting.tallies.keys().take(AT_ONCE).cloned().collect();
        for what in tallies {
            taken.tallies.extend(waiting.tallies.remove_entry(&what));
        }
        let uses: Vec<_> = waiting.uses.keys().take(AT_ONCE).copied().collect();
        for token in uses {
            taken.uses.extend(waiting.uses.remove_entry(&token));
        }
        taken
    }

    /// Puts back what could not be written.
    fn put_back(&self, taken: Waiting) {
        let mut waiting = self.waiting();
        for (what, tally) in taken.tallies {
            waiting.count(what, tally);
        }
        for (token, known) in taken.uses {
            waiting.used(token, known);
        }
    }
}

/// What is kept of what a client calls itself.
fn bounded(client: &str) -> impl Iterator<Item = char> + '_ {
    client.chars().filter(|c| !c.is_control()).take(CLIENT)
}

fn same_place(known: &UseRow, from: Origin<'_>) -> bool {
    known.client.chars().eq(bounded(from.client)) && known.address.parse() == Ok(from.address)
}

impl Service {
    /// Events, newest first.
    pub async fn events(&self, page: EventsPage) -> Answer<Events> {
        Ok(self.store.read().await?.events(page).await?)
    }

    /// Tells something that no other commit tells.
    pub async fn tell(&self, events: Vec<Event>) -> Result<(), Fault> {
        let commit = Commit { events, ..Commit::new(None, self.clock.now(), Vec::new(), Vec::new()) };
        match self.store.commit(&commit).await {
            Ok(_) => Ok(()),
            Err(CommitError::Store(error)) => Err(fault(error)),
            Err(CommitError::Unmet(_)) => Err(Fault("events were refused".into())),
        }
    }

    /// Tells what is done already, and stays so when it cannot be told.
    pub(super) async fn tell_done(&self, kind: EventKind) {
        if let Err(error) = self.tell(vec![Event::new(kind, self.clock.now())]).await {
            tracing::warn!(%error, event = kind.name(), "an event could not be noted");
        }
    }

    /// Writes what waits in the lane now and then; runs until dropped.
    pub async fn keep_events(&self) {
        loop {
            tokio::time::sleep(FLUSH_EVERY).await;
            if let Err(error) = self.flush_events().await {
                tracing::warn!(%error, "sign-ins and last uses could not be noted yet");
            }
        }
    }

    /// Writes what waits in the lane.
    pub async fn flush_events(&self) -> Result<(), Fault> {
        let _turn = self.audit.flushing.lock().await;
        loop {
            let taken = self.audit.take();
            if taken.tallies.is_empty() && taken.uses.is_empty() {
                return Ok(());
            }
            let commit = self.of_lane(&taken).await;
            let done = match commit {
                Ok(commit) => self.store.commit(&commit).await.map(drop).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = done {
                self.audit.put_back(taken);
                return Err(Fault(error));
            }
        }
    }

    /// One commit of what was taken from the lane.
    async fn of_lane(&self, taken: &Waiting) -> Result<Commit, Fault> {
        let now = self.clock.now();
        let mut events: Vec<Event> = taken.tallies.iter().map(|(what, tally)| what.event(*tally)).collect();
        let mut ops = Vec::with_capacity(taken.uses.len());
        let reader = self.store.read().await.map_err(fault)?;
        let wanted: Vec<_> = taken.uses.iter().map(|(token, known)| (known.account, Id(*token))).collect();
        for row in reader.app_passwords_of(&wanted).await.map_err(fault)? {
            let Some(known) = taken.uses.get(&row.id) else { continue };
            let used = known.used.clone();
            if row.used.is_none() {
                let kind = EventKind::TokenFirstUsed;
                let account = AccountId::from_bytes(row.account);
                let first = Event::new(kind, rows::time(used.at)).by(Some(account)).of(account);
                events.push(Event {
                    client: Some(client::family(&used.client).to_owned()),
                    address: used.address.parse().ok(),
                    ..first.about(Subject::Token(Uuid::from_bytes(row.id)))
                });
            }
            ops.push(Op::Account(AccountOp::UseAppPassword { account: known.account, id: Id(row.id), used }));
        }
        events.sort_by_key(|event| event.at);
        Ok(Commit { events, ..Commit::new(None, now, Vec::new(), ops) })
    }
}

#[cfg(test)]
mod tests;
