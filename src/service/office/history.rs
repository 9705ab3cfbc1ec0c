//! What became of a contact, field by field: who changed what from what to what, when and with which
//! client; and the way back to an earlier state of a field or of the whole.

use std::cmp::Reverse;

use bytes::Bytes;
use jiff::Timestamp;

use crate::domain::contact::{CardFields, Change, Leaf, Record, Scalar, Whole, changes, leaves, with_uid};
use crate::domain::id::{AccountId, CollectionId, ContactId, Uid};
use crate::domain::vcard::admit;
use crate::service::access::Caller;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::query::{Contact, Earlier, Reader};
use crate::store::rows;

use super::change::{moved, name_of, unchanged};
use super::links::LinkTo;
use super::shelves::Deed;
use super::take::taken;
use super::view::{ContactView, NumberedContact};

crate::hidden!(HistoryEntry);

/// How many of the newest bodies have kept their pictures.
const WHOLE: u64 = 20;

/// A field that was changed.
#[derive(Clone)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: Option<String>,
    /// With which client.
    pub client: Option<String>,
    /// The field.
    pub path: String,
    /// What it held; names stand for ids.
    pub old: Vec<Leaf>,
    /// What it held from then on.
    pub new: Vec<Leaf>,
    /// The number of the contact it was changed of, if that was merged into this one.
    pub of: Option<String>,
    /// Whose it is, in a company's history: of one of its people. `None` for what is the contact's own.
    pub contact: Option<NumberedContact>,
}

/// A state that a contact was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its name: how often the card had been written, and how often the record had been changed.
    pub version: (u64, u64),
    /// Since when it was so.
    pub at: Timestamp,
    /// Who made it so.
    pub actor: Option<String>,
    /// With which client.
    pub client: Option<String>,
}

/// A state, with what made it so.
struct State {
    version: (u64, u64),
    body: Bytes,
    record: Record,
    book: [u8; 16],
    at: i64,
    actor: Option<AccountId>,
    client: Option<String>,
}

/// What ended a state: of the card, or of the record.
struct Ended {
    at: i64,
    actor: Option<AccountId>,
    client: Option<String>,
    what: Was,
}

enum Was {
    Body(u64, Bytes),
    Record(u64, Box<Record>, [u8; 16]),
}

/// The states that a contact was in, oldest first, the last one being what it is.
fn states(contact: &Contact, earlier: Earlier) -> Vec<State> {
    let account = |id: [u8; 16]| AccountId::from_bytes(id);
    let mut ended: Vec<Ended> = Vec::new();
    for (version, row) in earlier.bodies {
        let (at, actor, client) = (row.at, row.actor.map(account), row.client);
        ended.push(Ended { at, actor, client, what: Was::Body(version, row.body.into()) });
    }
    for (number, row) in earlier.records {
        let (at, actor, client) = (row.at, row.actor, row.client);
        ended.push(Ended { at, actor, client, what: Was::Record(number, Box::new(row.record), row.book) });
    }
    ended.sort_by_key(|ended| ended.at);
    // From the last state back: what ended tells what was before.
    let mut state = (contact.body.clone(), contact.record.record.clone(), contact.record.book);
    let mut version = (contact.card.version, contact.record.changes);
    let mut states = Vec::with_capacity(ended.len() + 1);
    let mut rest = ended.into_iter().rev().peekable();
    loop {
        let Some(last) = rest.next() else { break };
        let shown = (state.clone(), version);
        let (at, actor, client) = (last.at, last.actor, last.client.clone());
        let mut apply = |was: Was| match was {
            Was::Body(number, body) => {
                state.0 = body;
                version.0 = number;
            }
            Was::Record(number, record, book) => {
                (state.1, state.2) = (*record, book);
                version.1 = number;
            }
        };
        apply(last.what);
        // One commit may have ended both.
        while let Some(next) = rest.next_if(|next| next.at == at && next.actor == actor) {
            apply(next.what);
        }
        let ((body, record, book), version) = shown;
        states.push(State { version, body, record, book, at, actor, client });
    }
    let (body, record, book) = state;
    let (at, actor) = (contact.record.created, contact.record.created_by);
    // With which client it was made is known until it changes.
    let client = contact.record.client.clone().filter(|_| contact.record.changes == 0);
    states.push(State { version, body, record, book, at, actor, client });
    states.reverse();
    states
}

/// Where an entry stands among others: when, of which contact, and which one of those, the oldest being
/// the first. What comes later stands after it, so a place is found again whatever is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryPlace {
    /// When, in microseconds.
    pub at: i64,
    /// Of which contact.
    pub contact: ContactId,
    /// Which one of the contact's.
    pub entry: u32,
}

/// An entry before names stand for ids.
pub(super) struct Changed {
    pub(super) place: HistoryPlace,
    actor: Option<AccountId>,
    client: Option<String>,
    change: Change,
    of: Option<String>,
    whose: Option<NumberedContact>,
}

impl Service {
    /// What became of a contact and of those that were merged into it, newest first.
    pub async fn contact_history(&self, shown: &ContactView) -> Answer<Vec<HistoryEntry>> {
        let reader = self.store.read().await?;
        let (mut changed, _) = self.changed(&reader, &shown.stored, None).await?;
        changed.sort_by_key(|changed| Reverse(changed.place));
        self.told(&reader, changed).await
    }

    /// What became of a contact and of those that were merged into it, and in how many states they were.
    pub(super) async fn changed(
        &self,
        reader: &Reader,
        contact: &Contact,
        whose: Option<&NumberedContact>,
    ) -> Answer<(Vec<Changed>, usize)> {
        let earlier = reader.earlier(contact.id).await?;
        let mut found = Vec::new();
        let mut read = self.changed_itself(contact, earlier, (None, whose), &mut found);
        let mut waiting = contact.record.merged.clone();
        while let Some(merged) = waiting.pop() {
            let Some(contact) = reader.contacts(&[merged]).await?.pop().flatten() else { continue };
            waiting.extend(&contact.record.merged);
            let number = super::view::number(contact.series, contact.number);
            let earlier = reader.earlier(contact.id).await?;
            read += self.changed_itself(&contact, earlier, (Some(number), whose), &mut found);
        }
        Ok((found, read))
    }

    fn changed_itself(
        &self,
        contact: &Contact,
        earlier: Earlier,
        (of, whose): (Option<String>, Option<&NumberedContact>),
        found: &mut Vec<Changed>,
    ) -> usize {
        let states = states(contact, earlier);
        let mut number = 0u32;
        for pair in states.windows(2) {
            let [before, after] = pair else { continue };
            let fields = [CardFields::read(&before.body), CardFields::read(&after.body)];
            let [old, new] = [(before, &fields[0]), (after, &fields[1])]
                .map(|(state, fields)| leaves(&self.whole(contact.id, state, fields)));
            for change in changes(&old, &new) {
                found.push(Changed {
                    place: HistoryPlace { at: after.at, contact: contact.id, entry: number },
                    actor: after.actor,
                    client: after.client.clone(),
                    change,
                    of: of.clone(),
                    whose: whose.cloned(),
                });
                number = number.saturating_add(1);
            }
        }
        states.len()
    }

    /// Entries as they are told.
    pub(super) async fn told(&self, reader: &Reader, changed: Vec<Changed>) -> Answer<Vec<HistoryEntry>> {
        let mut entries = Vec::with_capacity(changed.len());
        for changed in changed {
            let actor = match changed.actor {
                Some(actor) => self.account_name(reader, actor).await?,
                None => None,
            };
            entries.push(HistoryEntry {
                at: rows::time(changed.place.at),
                actor,
                client: changed.client,
                path: changed.change.path,
                old: self.spoken(reader, changed.change.old).await?,
                new: self.spoken(reader, changed.change.new).await?,
                of: changed.of,
                contact: changed.whose,
            });
        }
        Ok(entries)
    }

    fn whole<'a>(&self, id: ContactId, state: &'a State, fields: &'a CardFields) -> Whole<'a> {
        Whole {
            card: fields,
            record: &state.record,
            id,
            uid: "",
            etag: String::new(),
            book: CollectionId::from_bytes(state.book),
            created: 0,
            updated: 0,
            created_by: None,
            updated_by: None,
            region: self.settings.default_region,
        }
    }

    /// Names in the place of ids.
    async fn spoken(&self, reader: &Reader, leaves: Vec<Leaf>) -> Answer<Vec<Leaf>> {
        let shelves = self.shelves().await?;
        let mut spoken = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let text = match &leaf.value {
                Scalar::Account(id) => self.account_name(reader, *id).await?,
                Scalar::Contact(id) => self.numbers_of(reader, &[*id]).await?.remove(id),
                Scalar::Book(id) => Some(shelves.address(id).unwrap_or_else(|| "trash".into())),
                _ => {
                    spoken.push(leaf);
                    continue;
                }
            };
            spoken.extend(text.map(|text| Leaf { value: Scalar::Text(text), ..leaf }));
        }
        Ok(spoken)
    }

    /// The states that a contact was in, newest first.
    pub async fn contact_versions(&self, shown: &ContactView) -> Answer<Vec<Version>> {
        let reader = self.store.read().await?;
        let mut versions = Vec::new();
        for state in states(&shown.stored, reader.earlier(shown.id).await?) {
            let actor = match state.actor {
                Some(actor) => self.account_name(&reader, actor).await?,
                None => None,
            };
            let at = rows::time(state.at);
            versions.push(Version { version: state.version, at, actor, client: state.client });
        }
        versions.reverse();
        Ok(versions)
    }

    /// Brings back how a contact was in an earlier state: as a whole, or one field of it.
    pub async fn restore_version(
        &self,
        caller: &Caller,
        shown: &ContactView,
        version: (u64, u64),
        field: Option<&str>,
    ) -> Answer<ContactView> {
        self.need_deed(caller, shown, Deed::Write).await?;
        let reader = self.store.read().await?;
        let earlier = reader.earlier(shown.id).await?;
        drop(reader);
        let found = states(&shown.stored, earlier).into_iter().find(|state| state.version == version);
        let wrong = || Refusal::Wrong { pointer: "/version".into(), text: "there is no such version".into() };
        let state = found.ok_or_else(wrong)?;
        let then = CardFields::read(&state.body);
        // What is known of addresses, and of who is somebody else, is no field that anybody wrote.
        let mut record = Record {
            addresses: shown.record.addresses.clone(),
            distinct: shown.record.distinct.clone(),
            ..state.record.clone()
        };
        let _links = self.links.lock().await;
        let mut fields = then.clone();
        if let Some(field) = field {
            fields = shown.fields.clone();
            let none = || Refusal::Wrong { pointer: "/field".into(), text: "there is no such field".into() };
            let after = taken(field, &mut fields, &shown.record, (&then, &record));
            record = after.ok_or_else(none)?;
        }
        self.sound_links(&shown.record, &mut record, shown.id).await?;
        let young = state.version.0 + WHOLE >= shown.stored.card.version;
        let ops = match field {
            None if young => {
                let card = self.marked(self.under_own_uid(shown, state.body)?, &state.record, &record);
                self.recard(&shown.stored, card, record, Vec::new())?
            }
            // Of an old one the pictures are gone: what there is now stays, and the fields come back.
            _ => self.rewrite(&shown.stored, &shown.fields, &fields, record, Vec::new())?,
        };
        self.commit(Some(caller), vec![unchanged(&shown.stored)?], ops).await.map_err(moved)?;
        self.shown_contact(caller, shown.id).await
    }

    /// An earlier body with the UID that the card has now: a client may have replaced one that the server
    /// had made up.
    fn under_own_uid(&self, shown: &ContactView, body: Bytes) -> Answer<Bytes> {
        let admitted = admit(&body, &name_of(&shown.stored)?, self.fresh()?, &self.settings.card)?;
        match Uid::new(&shown.uid) {
            Some(uid) if uid != admitted.uid => Ok(with_uid(&admitted.bytes, &uid).into()),
            _ => Ok(body),
        }
    }

    /// Keeps today's links where those of then lead nowhere or back.
    async fn sound_links(&self, now: &Record, then: &mut Record, id: ContactId) -> Answer<()> {
        let reader = self.store.read().await?;
        for link in LinkTo::ALL {
            let (today, Some(wanted)) = (link.of(now), link.of(then)) else { continue };
            if Some(wanted) == today {
                continue;
            }
            let to = self.last_merged(&reader, wanted).await?;
            let sound = to.is_some() && !self.leads_to(&reader, to, &[id], link).await?;
            link.set(then, if sound { to } else { today });
        }
        Ok(())
    }
}
