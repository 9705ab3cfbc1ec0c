//! What is told of a change, as it follows from the change itself, so that whoever makes one cannot
//! forget it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::event::{Event, EventKind, Subject};
use crate::domain::id::{AccountId, CollectionId};
use crate::store::commit::{AccountOp, CollectionOp, DefinitionOp, Op};
use crate::store::rows::{AccountRow, AppPasswordRow, Definition, Id, ShareRow};

/// The events of a commit.
pub(in crate::service) fn told(actor: Option<AccountId>, at: Timestamp, ops: &[Op]) -> Vec<Event> {
    let mut told = Told { actor, at, events: Vec::new() };
    let removed = |op: &Op| match op {
        Op::Account(AccountOp::Remove(row)) => Some(row.id),
        _ => None,
    };
    let removed: BTreeSet<_> = ops.iter().filter_map(removed).collect();
    for op in ops {
        match op {
            Op::Account(op) => told.account(op, &removed),
            Op::Collection(CollectionOp::Share { id, before, after }) => told.shares(*id, before, after),
            Op::Definition(op) => told.link(op),
            _ => {}
        }
    }
    told.events
}

/// The events of a book that goes: its shares end.
pub(in crate::service) fn ended(
    actor: Option<AccountId>,
    at: Timestamp,
    book: CollectionId,
    shares: &[ShareRow],
) -> Vec<Event> {
    let mut told = Told { actor, at, events: Vec::new() };
    told.shares(book, shares, &[]);
    told.events
}

struct Told {
    actor: Option<AccountId>,
    at: Timestamp,
    events: Vec<Event>,
}

impl Told {
    fn event(&self, kind: EventKind) -> Event {
        Event::new(kind, self.at).by(self.actor)
    }

    fn tell(&mut self, kind: EventKind, account: [u8; 16]) {
        let event = self.event(kind).of(AccountId::from_bytes(account));
        self.events.push(event);
    }

    fn token(&mut self, kind: EventKind, row: &AppPasswordRow) {
        let event = self.event(kind).of(AccountId::from_bytes(row.account));
        self.events.push(event.about(Subject::Token(Uuid::from_bytes(row.id))));
    }

    fn account(&mut self, op: &AccountOp, removed: &BTreeSet<[u8; 16]>) {
        match op {
            AccountOp::Create(row) => {
                self.tell(EventKind::AccountMade, row.id);
                if row.admin {
                    self.tell(EventKind::AdminGiven, row.id);
                }
                self.groups(row.id, &[], &row.groups);
            }
            AccountOp::Update { before, after } => self.update(before, after),
            AccountOp::Rename { before, after, .. } => {
                if before.name != after.name {
                    self.tell(EventKind::AccountRenamed, after.id);
                }
                self.update(before, after);
            }
            AccountOp::Remove(row) => self.tell(EventKind::AccountRemoved, row.id),
            AccountOp::AddAppPassword(row) => self.token(EventKind::TokenMade, row),
            // Those of an account that goes, go with it.
            AccountOp::RemoveAppPassword(row) if !removed.contains(&row.account) => {
                self.token(EventKind::TokenRevoked, row);
            }
            AccountOp::RemoveAppPassword(_)
            | AccountOp::UpdateAppPassword(_)
            | AccountOp::UseAppPassword { .. } => {}
        }
    }

    fn update(&mut self, before: &AccountRow, after: &AccountRow) {
        let id = after.id;
        if before.password != after.password {
            self.tell(EventKind::PasswordChanged, id);
        }
        match (before.enabled, after.enabled) {
            (false, true) => self.tell(EventKind::AccountEnabled, id),
            (true, false) => self.tell(EventKind::AccountDisabled, id),
            _ => {}
        }
        match (before.admin, after.admin) {
            (false, true) => self.tell(EventKind::AdminGiven, id),
            (true, false) => self.tell(EventKind::AdminTaken, id),
            _ => {}
        }
        if before.permissions != after.permissions {
            self.tell(EventKind::PermissionsChanged, id);
        }
        self.groups(id, &before.groups, &after.groups);
    }

    fn groups(&mut self, account: [u8; 16], before: &[Id], after: &[Id]) {
        let (was, is): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
        let member = |kind, group: &Id| {
            let group = AccountId::from_bytes(group.0);
            self.event(kind).of(AccountId::from_bytes(account)).about(Subject::Group(group))
        };
        let came = is.difference(&was).map(|group| member(EventKind::MemberAdded, group));
        let went = was.difference(&is).map(|group| member(EventKind::MemberRemoved, group));
        let events: Vec<_> = came.chain(went).collect();
        self.events.extend(events);
    }

    /// Of what is laid down, links let somebody in.
    fn link(&mut self, op: &DefinitionOp) {
        let (kind, link) = match (&op.before, &op.after) {
            (None, Some(Definition::PublicLink(link))) => (EventKind::LinkMade, link),
            (Some(Definition::PublicLink(link)), None) => (EventKind::LinkRevoked, link),
            _ => return,
        };
        self.events.push(self.event(kind).about(Subject::Collection(link.collection)));
    }

    /// Of a share for everybody no account is told.
    fn shares(&mut self, book: CollectionId, before: &[ShareRow], after: &[ShareRow]) {
        let map = |shares: &[ShareRow]| -> BTreeMap<[u8; 16], bool> {
            shares.iter().map(|share| (share.account.0, share.write)).collect()
        };
        let (was, is) = (map(before), map(after));
        for account in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
            let kind = match (was.get(account), is.get(account)) {
                (None, Some(_)) => EventKind::ShareGiven,
                (Some(_), None) => EventKind::ShareEnded,
                (Some(was), Some(is)) if was != is => EventKind::ShareChanged,
                _ => continue,
            };
            let event = self.event(kind).about(Subject::Collection(book));
            let account = (*account != [0; 16]).then(|| AccountId::from_bytes(*account));
            self.events.push(Event { account, ..event });
        }
    }
}
