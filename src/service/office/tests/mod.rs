//! The office's use cases over the memory engine: alice and bob have books, carol is nobody's friend.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::domain::contact::{CardFields, Email, Flags, Kind, MarkAs, Name, Phone, Record, Scalar, Stage};
use crate::domain::id::{ContactId, UserName};
use crate::domain::permission::{Permission, Permissions};
use crate::service::access::Caller;
use crate::service::place::Place;
use crate::service::refusal::Refusal;
use crate::service::tests::{add, card, meddled, name, quick, refused, service, service_with, sign_in};
use crate::service::{Answer, ContactSettings, Service, Settings};
use crate::store::engine::memory::MemoryEngine;

mod company;
mod finding;
mod linking;
mod making;
mod merging;
mod past;
mod phones;
mod rights;
mod timeline;
mod trash;
mod walk;

/// A service with its users, and what they do with contacts.
struct Desk {
    service: Arc<Service>,
    alice: Caller,
}

impl Desk {
    async fn new() -> Self {
        Self::over(service().await).await
    }

    async fn with(contacts: ContactSettings) -> Self {
        let default_region = crate::domain::phone::Region::parse("DE");
        let settings = Settings { contacts, default_region, ..quick() };
        Self::over(service_with(Arc::new(MemoryEngine::new()), settings).await).await
    }

    async fn over(service: Arc<Service>) -> Self {
        for user in ["alice", "bob", "carol"] {
            add(&service, user).await;
            sign_in(&service, user, "secret").await.unwrap();
        }
        let alice = sign_in(&service, "alice", "secret").await.unwrap();
        Self { service, alice }
    }

    /// A user as the next request sees it, with these permissions.
    async fn user(&self, user: &str, words: &[&str]) -> Caller {
        let caller = sign_in(&self.service, user, "secret").await.unwrap();
        Caller { permissions: Permissions::of(words.iter().copied()), ..caller }
    }

    async fn book(&self, owner: &str, book: &str) {
        let owner = self.user(owner, &[]).await;
        self.service.create_book(&owner, &owner.books(), &name(book), Vec::new(), Vec::new()).await.unwrap();
    }

    async fn make(&self, text: &str) -> ContactView {
        self.make_as(person(text), |_| {}).await
    }

    async fn make_as(&self, fields: CardFields, record: impl FnOnce(&mut Draft)) -> ContactView {
        let mut draft = Draft { fields, ..Draft::default() };
        record(&mut draft);
        self.service.create_contact(&self.alice, draft).await.unwrap()
    }

    /// The contact as it is now.
    async fn now(&self, id: ContactId) -> ContactView {
        there(self.service.contact(&self.alice, ContactRef::Id(id)).await.unwrap())
    }

    /// Changes what was shown.
    async fn edit(&self, shown: &ContactView, change: impl FnOnce(&mut Draft)) -> Answer<ContactView> {
        self.service.change_contact(&self.alice, shown, drafted(shown, change)).await
    }

    async fn phone(&self, book: &str, file: &str, body: Bytes) -> Answer<()> {
        let phone = Caller { client: "DAVx5", ..self.alice.clone() };
        self.service.store_card(&phone, book, file, body).await.map(drop)
    }

    async fn phone_deletes(&self, book: &str, file: &str) -> Answer<()> {
        let phone = Caller { client: "DAVx5", ..self.alice.clone() };
        let place = Place::Object(self.alice.books(), name(book), name(file));
        self.service.delete(&phone, &place, Vec::new()).await
    }

    /// The contacts of a book as lists tell them, sorted.
    async fn listed(&self, caller: &Caller, filter: &str) -> Vec<String> {
        let page = self.service.list_contacts(caller, asked(filter)).await.unwrap();
        assert_eq!(page.total, page.contacts.len());
        page.contacts.iter().map(|contact| contact.number.clone()).collect()
    }

    async fn history(&self, shown: &ContactView) -> Vec<String> {
        let entries = self.service.contact_history(&self.now(shown.id).await).await.unwrap();
        let texts = |leaves: &[crate::domain::contact::Leaf]| {
            let texts = leaves.iter().map(|leaf| match &leaf.value {
                Scalar::Text(text) => text.clone(),
                Scalar::Bool(value) => value.to_string(),
                _ => "?".into(),
            });
            texts.collect::<Vec<_>>().join("+")
        };
        let shown = |entry: &HistoryEntry| {
            let of = entry.of.as_deref().map(|of| format!("{of} ")).unwrap_or_default();
            let by = format!(
                "{}/{}",
                entry.actor.as_deref().unwrap_or("-"),
                entry.client.as_deref().unwrap_or("-")
            );
            format!("{of}{by} {}: {} > {}", entry.path, texts(&entry.old), texts(&entry.new))
        };
        entries.iter().map(shown).collect()
    }

    async fn sound(&self) {
        self.service.assert_sound().await;
    }
}

fn there(found: Found) -> ContactView {
    match found {
        Found::There(view) => *view,
        Found::Merged(_) => panic!("it was merged away"),
    }
}

fn drafted(shown: &ContactView, change: impl FnOnce(&mut Draft)) -> Draft {
    let names = (shown.assigned_to.clone(), shown.reports_to.clone(), shown.company.clone());
    let record = RecordDraft::of(&shown.record, names);
    let mut draft = Draft { book: None, fields: shown.fields.clone(), record };
    change(&mut draft);
    draft
}

fn asked(filter: &str) -> Listed {
    let filter = Some(filter).filter(|text| !text.is_empty());
    let filter = filter.map(|text| crate::domain::scim::Filter::parse(text).unwrap());
    Listed { filter, query: None, order: Vec::new(), step: None, limit: 1_000, trash: false }
}

fn person(text: &str) -> CardFields {
    let (given, family) = text.split_once(' ').unwrap_or(("", text));
    let name = Name { formatted: text.into(), given: given.into(), family: family.into(), ..Name::default() };
    CardFields { name, ..CardFields::default() }
}

fn company(text: &str) -> CardFields {
    let name = Name { formatted: text.into(), ..Name::default() };
    CardFields { kind: Kind::Org, name, ..CardFields::default() }
}

fn email(value: &str) -> Email {
    Email { value: value.into(), ..Email::default() }
}

fn telephone(value: &str) -> Phone {
    Phone { value: value.into(), ..Phone::default() }
}

/// What a refusal of fields points at.
fn pointers<T>(answer: Answer<T>) -> Vec<String> {
    match refused(answer) {
        Refusal::AllWrong(wrong) => wrong.into_iter().map(|(pointer, _)| pointer).collect(),
        Refusal::Wrong { pointer, .. } => vec![pointer],
        other => panic!("{other:?}"),
    }
}

fn is_conflict<T>(answer: Answer<T>) -> bool {
    matches!(refused(answer), Refusal::Conflict(_))
}

fn text(view: &ContactView) -> String {
    String::from_utf8(view.card().to_vec()).unwrap()
}

/// A client that follows a book's tokens and knows nothing else.
#[derive(Default)]
struct Follower {
    token: Option<crate::domain::token::SyncToken>,
    holds: BTreeMap<String, ContactId>,
    /// How many changes and removals the last following told.
    told: (usize, usize),
}

impl Follower {
    async fn follow(&mut self, service: &Service, caller: &Caller, book: &str) {
        let changes = service.changes(caller, &caller.books(), &name(book), self.token, None).await.unwrap();
        assert!(!changes.truncated);
        self.told = (changes.changed.len(), changes.removed.len());
        for card in changes.changed {
            self.holds.insert(card.name.as_str().into(), card.contact);
        }
        for gone in changes.removed {
            self.holds.remove(gone.as_str());
        }
        self.token = Some(changes.token);
    }
}

const FOREIGN: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Apple Inc.//iOS 17.0//EN\r\nUID:foreign\r\n\
    N:Davis;Jennifer;;;\r\nFN:Jennifer Davis\r\nitem1.EMAIL;type=INTERNET;type=pref:j@example.org\r\n\
    item1.X-ABLabel:_$!<Other>!$_\r\nTEL;TYPE=CELL:(915) 291-\r\n 5192\r\nX-FOREIGN;A=\"b;c\":keep  me\\, so\r\n\
    NOTE:\r\nPHOTO;ENCODING=b;TYPE=JPEG:AAAA\r\nREV:2024-01-01T00:00:00Z\r\nEND:VCARD\r\n";
