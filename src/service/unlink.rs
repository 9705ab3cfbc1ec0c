//! Contacts that are erased, in calendars: whoever named them names them no more. That comes first, and
//! the erasing after it, so that what a crash leaves undone is done when the erasing is tried again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::contact::CardFields;
use crate::domain::format::Format;
use crate::domain::ical::Limits;
use crate::domain::ical::links::{Links, address, redact};
use crate::domain::ical::tree::parse;
use crate::domain::id::{CollectionId, ContactId, MemberName, Uid};
use crate::store::StoreError;
use crate::store::commit::{At, CardOp, Commit, CommitError, Expect, Fact, FactState, NewCard, Op};
use crate::store::damage::Found;
use crate::store::keys::{Hash, TRASH};
use crate::store::query::{Card, With};
use crate::store::roster::Books;

use super::Service;
use super::office::{add_names, whole_objects};
use super::own::OWN;

/// How many contacts are looked for at a time.
const CONTACTS: usize = 64;

/// How many objects one commit redacts.
const STEP: usize = 16;

/// How often objects that somebody else writes meanwhile are read again.
const ROUNDS: usize = 16;

impl Service {
    /// Takes those whom these ops will erase out of all calendars, if what is expected holds.
    pub(super) async fn unlink_erased(&self, expect: &[Expect], ops: &[Op]) -> Result<(), StoreError> {
        let mut places: HashMap<CollectionId, Vec<MemberName>> = HashMap::new();
        for op in ops {
            if let Op::Card(CardOp::Remove { book, name } | CardOp::Transfer { to: (book, name), .. }) = op {
                places.entry(*book).or_default().push(name.clone());
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        let reader = self.store.read().await?;
        let mut contacts = Vec::new();
        for (book, names) in places {
            let cards = reader.cards(book, &names, With::default()).await?;
            let cards = cards.into_iter().filter_map(Found::readable);
            let cards = cards.filter(|card| !card.row.is_calendar_object());
            contacts.extend(cards.map(|card| ContactId::from_bytes(card.row.contact)));
        }
        drop(reader);
        // What will not be done erases nobody.
        let vain = || async {
            let expected = !expect.is_empty();
            Ok::<_, StoreError>(expected && !self.store.holds(expect.to_vec(), self.clock.now()).await?)
        };
        if contacts.is_empty() || vain().await? {
            return Ok(());
        }
        self.unlink(&contacts).await
    }

    /// Takes the contacts of a deleted book out of all calendars, before their keys go.
    pub(super) async fn unlink_condemned(&self, book: CollectionId) -> Result<(), StoreError> {
        let contacts = self.store.condemned_contacts(book).await?;
        match self.unlink(&contacts).await {
            // What cannot be read is `check`'s to tell, and keeps nobody from being erased.
            Err(error @ StoreError::Damaged(_)) => {
                tracing::error!(%error, "calendars may still name contacts that are erased");
                Ok(())
            }
            done => done,
        }
    }

    async fn unlink(&self, contacts: &[ContactId]) -> Result<(), StoreError> {
        let erased: Arc<HashSet<_>> = Arc::new(contacts.iter().copied().collect());
        for some in contacts.chunks(CONTACTS) {
            let whom = self.names_of_erased(some).await?;
            if whom == Links::default() {
                continue;
            }
            let mut gone = None;
            let calendars = self.store.read().await?.calendars().await?;
            for calendar in calendars {
                let named = match self.store.agenda(calendar).await {
                    Ok(opened) => opened.map(|opened| opened.agenda.naming(&whom)).unwrap_or_default(),
                    Err(error @ StoreError::Damaged(_)) => {
                        tracing::error!(%error, "a calendar may still name contacts that are erased");
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                if named.is_empty() {
                    continue;
                }
                if gone.is_none() {
                    gone = Some(Arc::new(self.nobody_elses(whom.clone(), &erased).await?));
                }
                if let Some(gone) = gone.as_ref().filter(|gone| ***gone != Links::default()) {
                    let members: Vec<_> = named.into_iter().map(|entry| entry.member).collect();
                    self.redact_in(calendar, &members, gone).await?;
                }
            }
        }
        Ok(())
    }

    /// By what calendars may name these contacts. Who is left out of the staff's book, which follows the
    /// directory, is not erased as a person.
    async fn names_of_erased(&self, contacts: &[ContactId]) -> Result<Links, StoreError> {
        let reader = self.store.read().await?;
        let found: Vec<_> = reader.contacts(contacts).await?.into_iter().flatten().collect();
        let books: Vec<_> =
            found.iter().map(|contact| CollectionId::from_bytes(contact.record.book)).collect();
        let rows = reader.found_collections(&books).await?;
        let mut whom = Links::default();
        for ((contact, book), row) in found.iter().zip(&books).zip(rows) {
            let staff = row.readable().is_some_and(|row| row.row.owner == OWN);
            if *book == TRASH || !staff {
                add_names(&mut whom, &contact.card.uid, &CardFields::read(&contact.body));
            }
        }
        Ok(whom)
    }

    /// What belongs to nobody but those who are erased: to no other contact, also none that may come back
    /// from the trash, and to no account.
    async fn nobody_elses(&self, mut whom: Links, erased: &HashSet<ContactId>) -> Result<Links, StoreError> {
        let reader = self.store.read().await?;
        for account in reader.accounts().await? {
            for own in account.email.iter().chain(&account.addresses).filter_map(|text| address(text)) {
                whom.addresses.remove(&own);
            }
        }
        let books: HashSet<_> = reader.books().await?.into_iter().collect();
        let others = |found: Vec<ContactId>| found.iter().any(|contact| !erased.contains(contact));
        for own in whom.addresses.clone() {
            let living = others(self.store.with_email(Books::These(books.clone()), &own).await?);
            if living || others(self.store.with_email(Books::Trash, &own).await?) {
                whom.addresses.remove(&own);
            }
        }
        for text in whom.contacts.clone() {
            let Some(uid) = Uid::new(&text) else { continue };
            let same = reader.with_uid(&uid).await?;
            if others(same.into_iter().map(|(contact, _)| contact).collect()) {
                whom.contacts.remove(&text);
            }
        }
        Ok(whom)
    }

    /// Rewrites those of the objects that name somebody who is gone, some in each commit.
    async fn redact_in(
        &self,
        calendar: CollectionId,
        members: &[Hash],
        gone: &Arc<Links>,
    ) -> Result<(), StoreError> {
        for some in members.chunks(STEP) {
            let mut rounds = 0..ROUNDS;
            loop {
                let reader = self.store.read().await?;
                let cards = whole_objects(&reader, calendar, some).await?;
                drop(reader);
                let gone = gone.clone();
                let work = tokio::task::spawn_blocking(move || redactions(calendar, cards, &gone));
                let broken = |_| StoreError::Malformed("redacting calendar objects broke off");
                let (expect, ops) = work.await.map_err(broken)?;
                if ops.is_empty() {
                    break;
                }
                let commit = Commit::new(None, self.clock.now(), expect, ops);
                match self.store.commit(&commit).await {
                    Ok(_) => break,
                    // Somebody has written one of them: it is read again.
                    Err(CommitError::Unmet(_)) if rounds.next().is_some() => {}
                    Err(CommitError::Unmet(_)) => return Err(StoreError::Overtaken),
                    Err(CommitError::Store(error)) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// The changes that take those who are gone out of objects, if nobody has written them meanwhile.
fn redactions(calendar: CollectionId, cards: Vec<Card>, gone: &Links) -> (Vec<Expect>, Vec<Op>) {
    // They were admitted once, by limits that may have been others.
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let (mut expect, mut ops) = (Vec::new(), Vec::new());
    for card in cards {
        let (Some(octets), Some(uid)) = (&card.body, Uid::new(&card.row.uid)) else { continue };
        let (Ok(object), Ok(name)) = (parse(octets, &limits), MemberName::parse(&card.row.name)) else {
            continue;
        };
        let Some(body) = redact(octets, &object, gone) else { continue };
        let at = Some(At::Card(calendar, name.clone()));
        let state = FactState::EtagIn(vec![crate::domain::id::Etag(card.row.etag)]);
        expect.push(Expect(vec![vec![Fact { at, state, negate: false }]]));
        let format = Format::of(card.row.format);
        let card = NewCard { format, uid, invented_uid: card.row.invented_uid, body: body.into() };
        ops.push(Op::Card(CardOp::Redact { book: calendar, name, card }));
    }
    (expect, ops)
}
