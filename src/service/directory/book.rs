//! The staff as an address book: one book of the server's own group, read by everybody, with a card
//! for each person of the directory that has an account. Written like any card, and only where the
//! octets change, so that phones sync what changed in the directory.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::domain::format::Format;
use crate::domain::id::{AccountId, CollectionId, ContactId, MemberName};
use crate::domain::vcard::admit;
use crate::service::access::EVERYBODY;
use crate::service::own::{HOME, OWN};
use crate::service::refusal::{Fault, Refusal, Stop};
use crate::service::{Answer, Service};
use crate::store::commit::{CardOp, CollectionOp, NewCard, Op};
use crate::store::damage::Found;
use crate::store::query::{Reader, With};
use crate::store::rows::{AccountRow, ShareRow, StoredProperty};

use super::apply::Done;
use super::card::{Manager, card, uuid_of, with_manager};
use super::members::fold_dn;
use super::settings::DirectorySettings;
use super::upkeep::UNKNOWN;
use super::{Person, Reading};

/// The book's name in its owner's home, and in everybody's unless they have one of that name.
pub(in crate::service) const BOOK: &str = "directory";

/// The mark that tells how many people there are.
const PEOPLE: &str = "directory-people";

/// How many cards, and about how many bytes of them, go into one commit.
pub(super) const CARDS: usize = 64;
const BYTES: usize = 4 << 20;
/// How many cards are removed in one commit.
const REMOVALS: usize = 256;

/// What is known of people beyond the reading.
pub(super) struct Staff<'a> {
    pub(super) people: HashMap<&'a str, &'a Person>,
    pub(super) by_dn: HashMap<String, &'a AccountRow>,
    pub(super) moved: &'a HashSet<String>,
}

impl Service {
    /// The staff's book where everybody has it in their home.
    pub(in crate::service) async fn mounted_staff_book(
        &self,
        reader: &Reader,
    ) -> Answer<Option<CollectionId>> {
        match self.staff_is_search_only(reader).await? {
            Some(false) => self.staff_book(reader).await,
            _ => Ok(None),
        }
    }

    /// The staff's book where it is too large for that and can only be searched.
    pub(in crate::service) async fn searched_staff_book(
        &self,
        reader: &Reader,
    ) -> Answer<Option<CollectionId>> {
        match self.staff_is_search_only(reader).await? {
            Some(true) => self.staff_book(reader).await,
            _ => Ok(None),
        }
    }

    /// Whether the staff's book, if there is to be one, can only be searched.
    async fn staff_is_search_only(&self, reader: &Reader) -> Answer<Option<bool>> {
        let Some(settings) = self.settings.directory.as_ref().filter(|settings| settings.staff_book) else {
            return Ok(None);
        };
        let mut people = self.followed.people.load(Ordering::Relaxed);
        if people == UNKNOWN {
            people = reader.mark(PEOPLE).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
            self.followed.people.store(people, Ordering::Relaxed);
        }
        Ok(Some(people > settings.gateway_above))
    }

    pub(super) async fn staff_book(&self, reader: &Reader) -> Answer<Option<CollectionId>> {
        let link = reader.link(CollectionId::from_bytes(HOME), &name(BOOK)?).await?;
        Ok(link.map(|link| link.book))
    }

    /// Makes the staff's book, if it is not there, and shares it with everybody.
    async fn lay_staff_book(&self) -> Answer<CollectionId> {
        let reader = self.store.read().await?;
        let book = match self.staff_book(&reader).await? {
            Some(book) => book,
            None => {
                let id = CollectionId::new(self.fresh()?);
                let title = StoredProperty {
                    namespace: "DAV:".into(),
                    local: "displayname".into(),
                    text: Some("Directory".into()),
                    lang: Some("en".into()),
                    xml: None,
                };
                let create = CollectionOp::Create {
                    home: CollectionId::from_bytes(HOME),
                    name: name(BOOK)?,
                    id,
                    owner: AccountId::from_bytes(OWN),
                    default: false,
                    components: 0,
                    properties: vec![title],
                    replace: false,
                };
                self.commit(None, Vec::new(), vec![Op::Collection(create)]).await?;
                id
            }
        };
        let reader = self.store.read().await?;
        let row = reader.collections(&[book]).await?.pop().flatten().ok_or(Refusal::NotFound)?.row;
        let after = vec![ShareRow { account: EVERYBODY, write: false }];
        if row.shares != after {
            let share = CollectionOp::Share { id: book, before: row.shares, after };
            self.commit(None, Vec::new(), vec![Op::Collection(share)]).await?;
        }
        Ok(book)
    }

    /// Has the book follow a reading that accounts follow already. Where it is not wanted, it is empty.
    pub(super) async fn write_staff(
        &self,
        settings: &DirectorySettings,
        reading: &Reading,
        done: &mut Done,
    ) -> Answer<()> {
        let reader = self.store.read().await?;
        if !settings.staff_book && self.staff_book(&reader).await?.is_none() {
            return Ok(());
        }
        let rows = reader.accounts().await?;
        drop(reader);
        let book = self.lay_staff_book().await?;
        let here = |row: &&AccountRow| {
            !row.group && !row.is_own() && row.origin.as_ref().is_some_and(|origin| !origin.gone)
        };
        let here: Vec<&AccountRow> = rows.iter().filter(here).collect();
        let origin = |row: &&AccountRow| row.origin.clone().unwrap_or_default();
        let staff = Staff {
            people: reading.people.iter().map(|person| (person.id.as_str(), person)).collect(),
            by_dn: here.iter().map(|row| (fold_dn(&origin(row).dn), *row)).collect(),
            moved: &done.moved,
        };
        let present = self.members_of(book).await?;
        let mut wanted = BTreeSet::new();
        let (mut due, mut missing, mut written) = (Vec::new(), false, 0);
        for row in here.iter().filter(|_| settings.staff_book) {
            let id = origin(row).id;
            let member = member_of(&id)?;
            let there = present.contains(&member);
            wanted.insert(member.clone());
            match (staff.people.get(id.as_str()), there) {
                (None, true) if !staff.manager_moved(row) => {}
                // It is known only by its account; the next reading is of everything.
                (None, false) => missing = true,
                _ => due.push((member, *row)),
            }
            if due.len() >= CARDS {
                written += self.write_cards(book, std::mem::take(&mut due), &staff).await?;
            }
        }
        written += self.write_cards(book, due, &staff).await?;
        let gone: Vec<_> = present.difference(&wanted).cloned().collect();
        self.remove_cards(book, &gone).await?;
        done.contested |= missing;
        done.report.cards_written = written;
        done.report.cards_removed = gone.len();
        let people = here.len();
        // Whoever counts may go through all accounts: not with another copy of them held.
        drop((staff, here, wanted, present, gone));
        drop(rows);
        self.count_people(people).await
    }

    pub(super) async fn remove_cards(&self, book: CollectionId, gone: &[MemberName]) -> Answer<()> {
        for some in gone.chunks(REMOVALS) {
            let remove = |name: &MemberName| Op::Card(CardOp::Remove { book, name: name.clone() });
            self.commit(None, Vec::new(), some.iter().map(remove).collect()).await?;
        }
        Ok(())
    }

    /// Remembers how many people there are, and where the book has its places in consequence.
    pub(super) async fn count_people(&self, people: usize) -> Answer<()> {
        let reader = self.store.read().await?;
        let before = self.staff_is_search_only(&reader).await?;
        let known = reader.mark(PEOPLE).await?;
        let text = people.to_string();
        if known.as_deref() != Some(&text) {
            self.store.mark(PEOPLE, &text).await?;
        }
        self.followed.people.store(people, Ordering::Relaxed);
        let after = self.staff_is_search_only(&reader).await?;
        drop(reader);
        let first = !self.followed.settled.swap(true, Ordering::Relaxed);
        if first || before != after { self.settle_all().await } else { Ok(()) }
    }

    async fn members_of(&self, book: CollectionId) -> Answer<BTreeSet<MemberName>> {
        let cards = self.store.read().await?.all_cards(book, false).await?;
        let named = cards.into_iter().filter_map(|card| match card {
            Found::Whole(card) => MemberName::parse(&card.row.name).ok(),
            Found::Damaged(name) => name,
            Found::Absent => None,
        });
        Ok(named.collect())
    }

    /// Writes those of the cards whose octets are to be others; answers how many.
    pub(super) async fn write_cards(
        &self,
        book: CollectionId,
        mut due: Vec<(MemberName, &AccountRow)>,
        staff: &Staff<'_>,
    ) -> Answer<usize> {
        let mut written = 0;
        while !due.is_empty() {
            let reader = self.store.read().await?;
            let names: Vec<_> = due.iter().map(|(name, _)| name.clone()).collect();
            let cards = reader.cards(book, &names, With { properties: false, body: true }).await?;
            drop(reader);
            let (mut ops, mut size, mut later) = (Vec::new(), 0, Vec::new());
            for ((name, row), card) in due.into_iter().zip(cards) {
                let stored = match card {
                    // So many large ones at once are not read; the next round reads them.
                    Found::Whole(card) if card.body.is_none() => {
                        later.push((name, row));
                        continue;
                    }
                    Found::Whole(card) => card.body,
                    Found::Absent | Found::Damaged(_) => None,
                };
                if size > BYTES {
                    later.push((name, row));
                    continue;
                }
                let Some(card) = self.new_card(&name, row, staff, stored.as_deref())? else { continue };
                size += card.body.len();
                let fresh = ContactId::new(self.fresh()?);
                ops.push(Op::Card(CardOp::Put { book, name, card, fresh, record: None }));
            }
            due = later;
            written += ops.len();
            if !ops.is_empty() {
                self.commit(None, Vec::new(), ops).await.map_err(|stop| match stop {
                    Stop::Refused(Refusal::UidTaken { .. }) => {
                        Fault("two members of the staff's book have one UID".into()).into()
                    }
                    other => other,
                })?;
            }
        }
        Ok(written)
    }

    /// The card that takes the place of the stored one, unless that is the same.
    fn new_card(
        &self,
        name: &MemberName,
        row: &AccountRow,
        staff: &Staff<'_>,
        stored: Option<&[u8]>,
    ) -> Answer<Option<NewCard>> {
        let manager = staff.manager(row);
        let id = row.origin.as_ref().map_or("", |origin| origin.id.as_str());
        let person = staff.people.get(id).copied();
        let body = |photo| match (person, stored) {
            (Some(person), _) => Some(card(person, &row.name, manager.as_ref(), photo)),
            (None, Some(stored)) => with_manager(stored, manager.as_ref()),
            (None, None) => None,
        };
        // A photo may be too large for the limits that clients' cards keep to.
        for photo in [true, false] {
            let Some(body) = body(photo).map(Bytes::from) else { return Ok(None) };
            if stored.is_some_and(|stored| *stored == *body) {
                return Ok(None);
            }
            if let Ok(admitted) = admit(&body, name, self.fresh()?, &self.settings.card) {
                return Ok(Some(NewCard {
                    format: Format::Card(admitted.version),
                    uid: admitted.uid,
                    invented_uid: false,
                    body: admitted.bytes,
                }));
            }
        }
        Ok(None)
    }
}

impl Staff<'_> {
    fn manager(&self, row: &AccountRow) -> Option<Manager> {
        let dn = row.origin.as_ref()?.manager.as_deref()?;
        let manager = self.by_dn.get(&fold_dn(dn)).filter(|manager| manager.id != row.id)?;
        let id = uuid_of(&manager.origin.as_ref()?.id);
        Some(Manager { id, name: manager.display_name.clone().unwrap_or_else(|| manager.name.clone()) })
    }

    fn manager_moved(&self, row: &AccountRow) -> bool {
        let manager = row.origin.as_ref().and_then(|origin| origin.manager.as_deref());
        manager.is_some_and(|dn| self.moved.contains(&fold_dn(dn)))
    }
}

/// The name of a person's card.
pub(super) fn member_of(id: &str) -> Result<MemberName, Fault> {
    name(&format!("{}.vcf", uuid_of(id).hyphenated()))
}

fn name(text: &str) -> Result<MemberName, Fault> {
    MemberName::parse(text).map_err(|_| Fault("a name in the staff's book".into()))
}
