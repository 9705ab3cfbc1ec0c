//! Making, changing and deleting contacts. The card keeps every line that nobody touched; card and
//! record change in one commit, or neither does.

use bytes::Bytes;

use crate::domain::contact::{CardFields, Flags, Kind, Marks, Record, create, edit, mark, with_uid};
use crate::domain::format::Format;
use crate::domain::id::{CollectionId, ContactId, Etag, MemberName, Uid};
use crate::domain::vcard::admit;
use crate::service::access::Caller;
use crate::service::refusal::{Fault, Refusal, Stop};
use crate::service::{Answer, Service};
use crate::store::commit::{At, CardOp, Expect, Fact, FactState, NewCard, Op, RecordChange};
use crate::store::query::Contact;

use super::draft::{Draft, RecordDraft, refuse};
use super::find::Found;
use super::shelves::Deed;
use super::view::{ContactRef, ContactView};

/// The source of what comes through the API, and of what phones bring.
const BY_API: &str = "api";
pub(in crate::service) const BY_PHONE: &str = "carddav";

/// The longest of the record's texts, in characters.
const LONGEST: usize = 1_000;

impl Service {
    /// Makes a contact from its fields.
    pub async fn create_contact(&self, caller: &Caller, draft: Draft) -> Answer<ContactView> {
        let book = self.book_of(caller, draft.book.as_deref()).await?;
        let fields = draft.fields.tidy();
        refuse(fields.wrong())?;
        let _links = self.linking(draft.record.links() != (None, None)).await;
        let id = ContactId::new(self.fresh()?);
        let record = self.record_of(caller, (book, id), &fields, draft.record, None).await?;
        let uid = self.fresh_uid()?;
        let card = create(&fields, &uid);
        self.store_new(caller, (book, id), card.into(), record).await
    }

    /// Makes a contact from a vCard.
    pub async fn create_contact_from_card(
        &self,
        caller: &Caller,
        book: Option<&str>,
        card: Bytes,
    ) -> Answer<ContactView> {
        let book = self.book_of(caller, book).await?;
        let fields = CardFields::read(&card);
        let record = Record { source: BY_API.into(), ..self.new_record(&fields) };
        self.store_new(caller, (book, ContactId::new(self.fresh()?)), card, record).await
    }

    async fn book_of(&self, caller: &Caller, address: Option<&str>) -> Answer<CollectionId> {
        match address {
            Some(address) => self.shelf_for(caller, address, Deed::Write).await,
            None => self.default_shelf(caller).await,
        }
    }

    async fn store_new(
        &self,
        caller: &Caller,
        (book, id): (CollectionId, ContactId),
        card: Bytes,
        record: Record,
    ) -> Answer<ContactView> {
        let name = fresh_name(id)?;
        let card = self.marked(card, &Record::default(), &record);
        let op =
            self.put_op(book, &name, id, card, RecordChange { before: None, after: record, merged: vec![] })?;
        let committed = self.commit(Some(caller), Vec::new(), vec![op]).await?;
        let made = committed.cards.first().map_or(id, |card| card.contact);
        self.shown_contact(caller, made).await
    }

    /// The op that stores a card of the office's.
    pub(super) fn put_op(
        &self,
        book: CollectionId,
        name: &MemberName,
        fresh: ContactId,
        card: Bytes,
        change: RecordChange,
    ) -> Answer<Op> {
        let admitted = admit(&card, name, self.fresh()?, &self.settings.card)?;
        let card = NewCard {
            format: Format::Card(admitted.version),
            uid: admitted.uid,
            invented_uid: admitted.invented_uid,
            body: admitted.bytes,
        };
        Ok(Op::Card(CardOp::Put { book, name: name.clone(), card, fresh, record: Some(Box::new(change)) }))
    }

    /// A contact as the caller sees it now.
    pub(super) async fn shown_contact(&self, caller: &Caller, id: ContactId) -> Answer<ContactView> {
        match self.contact(caller, ContactRef::Id(id)).await? {
            Found::There(view) => Ok(*view),
            Found::Merged(_) => Err(Refusal::NotFound.into()),
        }
    }

    /// Changes a contact from what was shown to what the draft says; [`Refusal::Unmet`] where it has
    /// changed since.
    pub async fn change_contact(
        &self,
        caller: &Caller,
        shown: &ContactView,
        draft: Draft,
    ) -> Answer<ContactView> {
        self.need_deed(caller, shown, Deed::Write).await?;
        let to = match draft.book.as_deref() {
            Some(address) if address != shown.book => {
                let book = self.shelf_for(caller, address, Deed::Write).await?;
                Some(book).filter(|book| *book != shown.book_id)
            }
            _ => None,
        };
        if to.is_some() {
            self.need_deed(caller, shown, Deed::Delete).await?;
        }
        if draft.fields.kind != shown.fields.kind {
            let text = "a contact stays what it is: make another one".into();
            return Err(Refusal::Wrong { pointer: "/kind".into(), text }.into());
        }
        let fields = draft.fields.tidy();
        refuse(fields.wrong_after(&shown.fields))?;
        let linked = (shown.reports_to.as_deref(), shown.company.as_deref());
        let _links = self.linking(draft.record.links() != linked).await;
        let (at, before) = ((shown.book_id, shown.id), Some(&shown.record));
        let record = self.record_of(caller, at, &fields, draft.record, before).await?;
        if let Some(book) = to {
            self.free_in(book, shown).await?;
        }
        let mut ops = self.rewrite(&shown.stored, &shown.fields, &fields, record, Vec::new())?;
        if let Some(book) = to {
            ops = moving(&shown.stored, ops, book)?;
        }
        self.commit(Some(caller), vec![unchanged(&shown.stored)?], ops).await.map_err(moved)?;
        self.shown_contact(caller, shown.id).await
    }

    /// The ops that make a stored contact say this.
    pub(super) fn rewrite(
        &self,
        stored: &Contact,
        before: &CardFields,
        after: &CardFields,
        record: Record,
        merged: Vec<ContactId>,
    ) -> Answer<Vec<Op>> {
        let old = &stored.record.record;
        let marks_move = old.flags != record.flags || old.addresses != record.addresses;
        // Whoever writes over a mark does not take it off: the record says what is so.
        let written_over = before.emails != after.emails
            || before.categories != after.categories
            || before.note != after.note;
        let mut card = Bytes::from(edit(&stored.body, before, after));
        if marks_move || written_over {
            card = self.marked(card, old, &record);
        }
        self.recard(stored, card, record, merged)
    }

    /// The ops that give a stored contact this card and this record.
    pub(super) fn recard(
        &self,
        stored: &Contact,
        card: Bytes,
        record: Record,
        merged: Vec<ContactId>,
    ) -> Answer<Vec<Op>> {
        let change = RecordChange { before: Some(stored.record.record.clone()), after: record, merged };
        if card == stored.body {
            let change = Box::new(change);
            return Ok(vec![Op::Card(CardOp::Record { contact: stored.id, change })]);
        }
        let book = CollectionId::from_bytes(stored.record.book);
        Ok(vec![self.put_op(book, &name_of(stored)?, stored.id, card, change)?])
    }

    /// A card with the marks that its record asks for, and without those that it asked for before.
    pub(super) fn marked(&self, card: Bytes, before: &Record, record: &Record) -> Bytes {
        let marks = Marks {
            do_not_call: record.flags.do_not_call,
            blocked: record.flags.blocked,
            how: self.settings.contacts.marks,
            emails: record.addresses.iter().map(|known| (known.address.clone(), known.state)).collect(),
        };
        let plain = |record: &Record| {
            !record.flags.do_not_call && !record.flags.blocked && record.addresses.is_empty()
        };
        if plain(before) && plain(record) {
            return card;
        }
        mark(&card, &marks).map_or(card, Bytes::from)
    }

    /// The record of a contact that comes anew, as far as the card decides it.
    pub(in crate::service) fn new_record(&self, fields: &CardFields) -> Record {
        let valid = fields.emails.iter().any(|email| is_address(&email.value));
        let newsletter = self.settings.contacts.newsletter_default && valid;
        Record { flags: Flags { newsletter, ..Flags::default() }, ..Record::default() }
    }

    /// What a draft says, as a record.
    pub(super) async fn record_of(
        &self,
        caller: &Caller,
        (book, id): (CollectionId, ContactId),
        fields: &CardFields,
        draft: RecordDraft,
        before: Option<&Record>,
    ) -> Answer<Record> {
        let mut wrong = wrong_texts(&draft);
        let mut roles = draft.roles;
        self.check_words(&roles, &draft.service_level, before, fields.kind, &mut wrong).await?;
        roles.sort();
        roles.dedup();
        let custom = self.custom_of((book, fields.kind), &draft.custom, before, &mut wrong).await?;
        let source = draft.source.or_else(|| before.map(|before| before.source.clone()));
        let source = source.unwrap_or_else(|| BY_API.into());
        if !is_key(&source) && before.is_none_or(|before| before.source != source) {
            wrong.push(("/privacy/source".into(), "this is no key of a source".into()));
        }
        let reader = self.store.read().await?;
        let assigned_to = match &draft.assigned_to {
            None => None,
            Some(name) => match self.user_id(&reader, name).await? {
                Some(user) => Some(user),
                None => {
                    wrong.push(("/assigned_to".into(), "there is no user of that name".into()));
                    None
                }
            },
        };
        let links = (draft.reports_to.as_deref(), draft.company.as_deref());
        let (reports_to, company) = self.links_of(caller, &reader, (id, before), links, &mut wrong).await?;
        refuse(wrong)?;
        let anew = self.new_record(fields);
        Ok(Record {
            stage: draft.stage,
            roles,
            salutation: draft.salutation,
            language: draft.language,
            assigned_to,
            reports_to,
            company,
            flags: draft.flags.unwrap_or(anew.flags),
            mail_preferences: draft.mail_preferences,
            portal: draft.portal,
            custom,
            source,
            addresses: before.map(|before| before.addresses.clone()).unwrap_or_default(),
            service_level: draft.service_level,
            distinct: before.map(|before| before.distinct.clone()).unwrap_or_default(),
        })
    }

    /// Deletes a contact: into the trash, or for good where there is none.
    pub async fn delete_contact(&self, caller: &Caller, shown: &ContactView) -> Answer<()> {
        self.need_deed(caller, shown, Deed::Delete).await?;
        let expect = vec![unchanged(&shown.stored)?];
        let place = (shown.book_id, &name_of(&shown.stored)?);
        self.throw_away(Some(caller), place, expect, vec![same_record(&shown.stored)]).await.map_err(moved)
    }

    /// Makes a copy of a contact beside it, with a number and a UID of its own.
    pub async fn clone_contact(&self, caller: &Caller, shown: &ContactView) -> Answer<ContactView> {
        self.need_deed(caller, shown, Deed::Write).await?;
        let linked = shown.record.reports_to.or(shown.record.company);
        let _links = self.linking(linked.is_some()).await;
        let (id, uid) = (ContactId::new(self.fresh()?), self.fresh_uid()?);
        let card = with_uid(&shown.stored.body, &uid).into();
        let record = Record { distinct: Vec::new(), ..shown.record.clone() };
        let change = RecordChange { before: None, after: record, merged: Vec::new() };
        let put = self.put_op(shown.book_id, &fresh_name(id)?, id, card, change)?;
        let (expect, ops) = (vec![unchanged(&shown.stored)?], vec![same_record(&shown.stored), put]);
        self.commit(Some(caller), expect, ops).await.map_err(moved)?;
        self.shown_contact(caller, id).await
    }

    /// A UID that no card has.
    pub(super) fn fresh_uid(&self) -> Answer<Uid> {
        let uid = Uid::new(&self.fresh()?.hyphenated().to_string());
        Ok(uid.ok_or_else(|| Fault("a new UID is none".into()))?)
    }

    /// Refuses where another contact of the book has the UID.
    pub(super) async fn free_in(&self, book: CollectionId, shown: &ContactView) -> Answer<()> {
        let Some(uid) = Uid::new(&shown.uid) else { return Ok(()) };
        let found = self.store.read().await?.with_uid(&uid).await?;
        match found.iter().any(|(id, row)| row.book == *book.as_bytes() && *id != shown.id) {
            true => Err(Refusal::Conflict("another contact of that book has the same UID".into()).into()),
            false => Ok(()),
        }
    }

    /// Refuses who may not do that with the contact. With one in the trash nothing is done.
    pub(super) async fn need_deed(&self, caller: &Caller, shown: &ContactView, deed: Deed) -> Answer<()> {
        if shown.trashed.is_some() {
            return Err(Refusal::NotFound.into());
        }
        match self.shelves().await?.allow(caller, &shown.book_id, deed) {
            true => Ok(()),
            false => Err(super::shelves::missing(deed)),
        }
    }
}

/// Ops that change a contact where it is, so that it moves into another book by the same commit; number,
/// record and history go with it.
fn moving(stored: &Contact, ops: Vec<Op>, book: CollectionId) -> Answer<Vec<Op>> {
    let from = (CollectionId::from_bytes(stored.record.book), name_of(stored)?);
    let to = (book, fresh_name(stored.id)?);
    let mut moving = Vec::with_capacity(2);
    for op in ops {
        match op {
            Op::Card(CardOp::Put { card, record, .. }) => {
                let (from, to) = (from.clone(), to.clone());
                moving.push(Op::Card(CardOp::Move { from, to, card, record }));
            }
            // The card stays what it is.
            op => {
                let transfer = CardOp::Transfer { from: from.clone(), to: to.clone(), copy: None };
                moving.extend([op, Op::Card(transfer)]);
            }
        }
    }
    Ok(moving)
}

/// The stored card is still the one that was shown.
pub(super) fn unchanged(stored: &Contact) -> Answer<Expect> {
    let book = CollectionId::from_bytes(stored.record.book);
    let state = FactState::EtagIn(vec![Etag(stored.card.etag)]);
    let at = Some(At::Card(book, name_of(stored)?));
    Ok(Expect(vec![vec![Fact { at, state, negate: false }]]))
}

/// What was read has moved: whoever asked is to look again.
pub(super) fn moved(stop: Stop) -> Stop {
    match stop {
        Stop::Refused(Refusal::NotFound) => Refusal::Unmet.into(),
        stop => stop,
    }
}

/// An op that changes nothing, and is refused where the record is no longer what was read.
pub(super) fn same_record(stored: &Contact) -> Op {
    let record = stored.record.record.clone();
    let change = RecordChange { before: Some(record.clone()), after: record, merged: Vec::new() };
    Op::Card(CardOp::Record { contact: stored.id, change: Box::new(change) })
}

pub(super) fn name_of(stored: &Contact) -> Answer<MemberName> {
    Ok(MemberName::parse(&stored.card.name)
        .map_err(|_| Fault("the store is damaged: a card's name".into()))?)
}

/// The name of a card that the office makes.
pub(super) fn fresh_name(id: ContactId) -> Answer<MemberName> {
    Ok(MemberName::parse(&format!("{id}.vcf")).map_err(|_| Fault("a contact's id is no name".into()))?)
}

/// Whether mail could be sent there, as far as that can be told without sending any.
fn is_address(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}

/// What is wrong with a draft by itself.
fn wrong_texts(draft: &RecordDraft) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    for (pointer, text) in [("/salutation", &draft.salutation), ("/language", &draft.language)] {
        if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
            wrong.push((pointer.to_owned(), "this must be one line, and not a long one".to_owned()));
        }
    }
    if !is_language(&draft.language) {
        wrong.push(("/language".into(), "this is no language tag (BCP 47)".into()));
    }
    if let (Some(from), Some(until)) = (draft.portal.from, draft.portal.until)
        && until < from
    {
        wrong.push(("/portal/until".into(), "this is before its beginning".into()));
    }
    wrong
}

/// A key, as admins give them.
pub(super) fn is_key(text: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"_-".contains(&octet);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn is_language(text: &str) -> bool {
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|o| o.is_ascii_alphanumeric());
    text.is_empty() || (text.len() <= 35 && text.split('-').all(part))
}

/// Kinds of contacts that have a service level.
pub(super) fn has_service_level(kind: Kind) -> bool {
    kind == Kind::Org
}
