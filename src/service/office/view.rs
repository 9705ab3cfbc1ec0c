//! A contact as it is shown: card and record, with the names that ids stand for.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::contact::{CardFields, Custom, DIALLED, Phone, Record, e164};
use crate::domain::id::{AccountId, CollectionId, ContactId, Principal};
use crate::domain::phone::Region;
use crate::service::{Answer, Service};
use crate::store::query::{Contact, Reader};
use crate::store::roster::{Dialled, changed};
use crate::store::rows;

crate::hidden!(ContactView);

/// How a contact is named: by its id, or by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactRef {
    /// By its id.
    Id(ContactId),
    /// By its series and number.
    Number(u8, u64),
}

/// The prefixes of the series of numbers.
const PREFIXES: [&str; 2] = ["CON", "COM"];

impl ContactRef {
    /// Reads `CON32`, `COM7` or an id.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(id) = ContactId::parse(text) {
            return Some(Self::Id(id));
        }
        let found = PREFIXES.iter().zip(0u8..).find_map(|(prefix, series)| {
            let head = text.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then(|| (series, text.get(prefix.len()..)))
        });
        let (series, Some(digits)) = found? else { return None };
        let plain = digits.bytes().all(|octet| octet.is_ascii_digit()) && !digits.starts_with('0');
        plain.then(|| digits.parse().ok().map(|number| Self::Number(series, number))).flatten()
    }
}

/// A number as people read it.
pub(super) fn number(series: u8, number: u64) -> String {
    format!("{}{number}", PREFIXES.get(usize::from(series)).unwrap_or(&"CON"))
}

/// A contact's id, number and name, where another leads to it.
#[derive(Clone, PartialEq, Eq)]
pub struct NumberedContact {
    /// Its id.
    pub id: ContactId,
    /// Its number.
    pub number: String,
    /// Its name.
    pub name: String,
}

crate::hidden!(NumberedContact);

/// A contact.
#[derive(Clone)]
pub struct ContactView {
    /// Its id.
    pub id: ContactId,
    /// Its number: `CON32`.
    pub number: String,
    /// Its card's UID.
    pub uid: String,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// The book, as `OWNER/NAME`; of one in the trash, where it came from.
    pub book: String,
    /// The book's id.
    pub book_id: CollectionId,
    /// What the card says.
    pub fields: CardFields,
    /// Its numbers in the form of E.164, in the order of the card.
    pub e164: Vec<Option<String>>,
    /// What the organisation knows.
    pub record: Record,
    /// Who looks after it.
    pub assigned_to: Option<String>,
    /// The number of the person it reports to.
    pub reports_to: Option<String>,
    /// The number of its company.
    pub company: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Who made it.
    pub created_by: Option<String>,
    /// Who last changed it.
    pub updated_by: Option<String>,
    /// When it was deleted, and by whom.
    pub trashed: Option<(Timestamp, Option<String>)>,
    /// What is stored.
    pub(super) stored: Contact,
}

impl ContactView {
    /// The card, octet for octet.
    pub fn card(&self) -> &bytes::Bytes {
        &self.stored.body
    }

    /// The admin's own fields.
    pub fn custom(&self) -> &[Custom] {
        &self.record.custom
    }
}

/// The names that ids stand for.
#[derive(Default)]
pub(super) struct Named {
    accounts: HashMap<AccountId, String>,
    numbers: HashMap<ContactId, String>,
}

impl Service {
    /// Contacts as they are shown.
    pub(super) async fn views(&self, reader: &Reader, contacts: Vec<Contact>) -> Answer<Vec<ContactView>> {
        let shelves = self.shelves().await?;
        let named = self.named_in(reader, &contacts).await?;
        let account = |id: Option<AccountId>| id.and_then(|id| named.accounts.get(&id).cloned());
        let linked = |id: Option<ContactId>| id.and_then(|id| named.numbers.get(&id).cloned());
        let dialled = self.store.roster().dialled(&contacts);
        let view = |(contact, dialled): (Contact, Option<Dialled>)| {
            let trashed = contact.card.trashed.as_ref();
            let book = CollectionId::from_bytes(trashed.map_or(contact.record.book, |trashed| trashed.book));
            let by = trashed.and_then(|trashed| trashed.by).map(|id| AccountId::from_bytes(id.0));
            let (updated, updated_by) = changed(&contact);
            let fields = CardFields::read(&contact.body);
            let e164 = dialled_of(&fields.phones, dialled, self.settings.default_region);
            ContactView {
                id: contact.id,
                number: number(contact.series, contact.number),
                uid: contact.uid().to_owned(),
                etag: contact.etag(),
                book: shelves.address(&book).unwrap_or_default(),
                book_id: book,
                e164,
                fields,
                assigned_to: account(contact.record.record.assigned_to),
                reports_to: linked(contact.record.record.reports_to),
                company: linked(contact.record.record.company),
                created: rows::time(contact.record.created),
                updated: rows::time(updated),
                created_by: account(contact.record.created_by),
                updated_by: account(updated_by),
                trashed: trashed.map(|trashed| (rows::time(trashed.at), account(by))),
                record: contact.record.record.clone(),
                stored: contact,
            }
        };
        Ok(contacts.into_iter().zip(dialled).map(view).collect())
    }

    async fn named_in(&self, reader: &Reader, contacts: &[Contact]) -> Answer<Named> {
        let mut named = Named::default();
        let (mut accounts, mut links) = (Vec::new(), Vec::new());
        for contact in contacts {
            let record = &contact.record.record;
            let trashed = contact.card.trashed.as_ref().and_then(|trashed| trashed.by);
            let trashed = trashed.map(|id| AccountId::from_bytes(id.0));
            let by = [record.assigned_to, contact.record.created_by, changed(contact).1, trashed];
            accounts.extend(by.into_iter().flatten().map(|id| *id.as_bytes()));
            links.extend(record.reports_to.into_iter().chain(record.company));
        }
        accounts.sort_unstable();
        accounts.dedup();
        for account in self.accounts_of(reader, &accounts).await?.into_iter().flatten() {
            let name = account.principal().and_then(|name| shown_name(&name));
            named.accounts.extend(name.map(|name| (AccountId::from_bytes(account.id), name)));
        }
        links.sort_unstable();
        links.dedup();
        named.numbers = self.numbers_of(reader, &links).await?;
        Ok(named)
    }

    /// A user's name.
    pub(super) async fn account_name(&self, reader: &Reader, id: AccountId) -> Answer<Option<String>> {
        Ok(self.named(reader, id.as_bytes()).await?.and_then(|name| shown_name(&name)))
    }

    /// The numbers of contacts that are there; of merged ones, those of what they were merged into.
    pub(super) async fn numbers_of(
        &self,
        reader: &Reader,
        contacts: &[ContactId],
    ) -> Answer<HashMap<ContactId, String>> {
        let records = reader.records(contacts).await?;
        let mut numbers = HashMap::with_capacity(contacts.len());
        for (id, kept) in contacts.iter().zip(records) {
            let Some(mut kept) = kept else { continue };
            if kept.row.merged_into.is_some() {
                let Some(last) = self.last_merged(reader, *id).await? else { continue };
                let Some(there) = reader.records(&[last]).await?.pop().flatten() else { continue };
                kept = there;
            }
            numbers.insert(*id, number(kept.place.series, kept.place.number));
        }
        Ok(numbers)
    }
}

/// An account's name as the office reads it; the server's own group has none to show.
fn shown_name(name: &Principal) -> Option<String> {
    match name {
        Principal::Group(name) if name.is_own() => None,
        name => Some(name.written()),
    }
}

/// The numbers of a card's phones in the form of E.164, where they are known already as they are known.
fn dialled_of(phones: &[Phone], known: Option<Dialled>, region: Option<Region>) -> Vec<Option<String>> {
    let Some(known) = known else {
        return phones.iter().map(|phone| e164(&phone.value, region)).collect();
    };
    let mut found = vec![None; phones.len()];
    for (at, number) in known {
        found.iter_mut().skip(at.into()).take(1).for_each(|place| *place = Some(number.clone()));
    }
    let others = phones.iter().zip(&mut found).skip(DIALLED);
    others.for_each(|(phone, place)| *place = e164(&phone.value, region));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_named_by_numbers_and_ids() {
        assert_eq!(ContactRef::parse("CON32"), Some(ContactRef::Number(0, 32)));
        assert_eq!(ContactRef::parse("com7"), Some(ContactRef::Number(1, 7)));
        let id = "0198f1c2-0000-7000-8000-000000000001";
        assert!(matches!(ContactRef::parse(id), Some(ContactRef::Id(_))));
        for bad in ["", "CON", "CON0", "CON-1", "CON 1", "CON1x", "COX1", "CON99999999999999999999", "é"] {
            assert_eq!(ContactRef::parse(bad), None, "{bad}");
        }
    }
}
