//! A user at work: every step throws dice for what to do, and knows what the home is afterwards if
//! that was acknowledged.

use cardkeep::domain::ical::{Components, Kind};
use cardkeep::domain::id::{CollectionKind, HomeName, MemberName};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cardkeep::domain::contact::edit;
use cardkeep::service::access::Caller;
use cardkeep::service::office::{ContactView, Draft, Listed, RecordDraft};
use cardkeep::service::place::{Place, Precondition, State};
use cardkeep::service::refusal::{Refusal, Stop};
use cardkeep::service::transfer::Manner;
use cardkeep::service::view::{Detail, Members, Property, PropertyChange, PropertyName, PropertyValue, Verb};
use cardkeep::service::{Answer, Service};

use super::home::{BOOKS, Book, CALENDARS, Card, Home, contact, home_of, uid};
use crate::chance::Dice;
use crate::inside::name;

/// What a step did.
pub enum Done {
    /// It was acknowledged, or refused.
    Told,
    /// Nobody said what became of it: the home is as it was, or one of these.
    Untold(Vec<Home>),
}

/// How often contacts were changed by the office, came back from the trash and were shown by the smart
/// book, and how often something was put into a calendar and into a book: what never happens proves
/// nothing.
pub static DONE: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

fn count<T>(what: usize, answer: &Answer<T>) {
    DONE[what].fetch_add(u64::from(answer.is_ok()), Ordering::Relaxed);
}

/// A user at work.
pub struct Day<'a> {
    pub service: &'a Service,
    pub caller: &'a Caller,
    pub dice: Dice,
    pub home: Home,
    pub step: u32,
    /// What this step is about.
    pub kind: CollectionKind,
}

impl Day<'_> {
    fn any_book(&mut self) -> String {
        let names = match self.kind {
            CollectionKind::AddressBook => BOOKS,
            CollectionKind::Calendar => CALENDARS,
        };
        names[self.dice.roll(3) as usize].to_owned()
    }

    fn any_card(&mut self) -> (String, String) {
        let ending = match self.kind {
            CollectionKind::AddressBook => "vcf",
            CollectionKind::Calendar => "ics",
        };
        (self.any_book(), format!("c{}.{ending}", self.dice.roll(8)))
    }

    /// Something of the other kind now and then, where nothing goes.
    fn any_destination<T>(&mut self, any: impl FnOnce(&mut Self) -> T) -> T {
        let kind = self.kind;
        if self.dice.roll(10) == 0 {
            self.kind = match kind {
                CollectionKind::AddressBook => CollectionKind::Calendar,
                CollectionKind::Calendar => CollectionKind::AddressBook,
            };
        }
        let found = any(self);
        self.kind = kind;
        found
    }

    fn at_card(&self, (book, file): &(String, String)) -> Place {
        Place::Object(home_of(self.caller, book), name(book), name(file))
    }

    fn at_book(&self, book: &str) -> Place {
        Place::Collection(home_of(self.caller, book), name(book))
    }

    /// Takes in what became of a change that would have led to the last of `ways`, by way of the
    /// others.
    fn learn<T>(&mut self, answer: Answer<T>, mut ways: Vec<Home>) -> Done {
        match answer {
            Ok(_) => {
                self.home = ways.pop().unwrap();
                Done::Told
            }
            Err(Stop::Failed(_) | Stop::Refused(Refusal::Busy { .. })) => Done::Untold(ways),
            Err(Stop::Refused(_)) => Done::Told,
        }
    }

    pub async fn work(&mut self) -> Done {
        self.step += 1;
        let step = self.dice.roll(31);
        self.kind = match step {
            // The office has no calendars.
            0..=19 if self.dice.roll(3) == 0 => CollectionKind::Calendar,
            _ => CollectionKind::AddressBook,
        };
        match step {
            0..=8 => self.put().await,
            9 | 10 => self.delete().await,
            11 | 12 => self.transfer(Verb::Move).await,
            13 => self.transfer(Verb::Copy).await,
            14 | 15 => self.patch().await,
            16 => self.create().await,
            17 => self.transfer_book(Verb::Move).await,
            18 => self.transfer_book(Verb::Copy).await,
            20 | 21 => self.erase().await,
            22..=25 => self.office().await,
            26..=28 => self.restore().await,
            29 | 30 => self.smart().await,
            _ => self.delete_book().await,
        }
    }

    async fn put(&mut self) -> Done {
        let (book, file) = self.any_card();
        let known = self.home.books.get(&book).and_then(|book| book.cards.get(&file)).cloned();
        // A moved card keeps its UID, so most of these are refused when the file's own is elsewhere.
        let uid = format!("{file}-{}", self.dice.roll(2));
        let length = [50, 400, 3000, 9000][self.dice.roll(4) as usize];
        let body = match self.kind {
            CollectionKind::AddressBook => card(&uid, length, self.step),
            CollectionKind::Calendar => {
                let kind = [Kind::Event, Kind::Todo][self.dice.roll(2) as usize];
                object(kind, &uid, length, self.step)
            }
        };
        let (at, place) = ((name(&book), name(&file)), self.at_card(&(book.clone(), file.clone())));
        let when = known.as_ref().and_then(|card| card.etag);
        let when = when.map(|etag| Precondition::one(place, State::EtagIn(vec![etag]), false));
        let when = when.into_iter().collect();
        let answer = self
            .service
            .put(self.caller, (&home_of(self.caller, &book), &at.0, &at.1), body.clone(), when)
            .await;
        count(if self.kind == CollectionKind::Calendar { 3 } else { 4 }, &answer);
        let mut after = self.home.clone();
        if let Some(book) = after.books.get_mut(&book) {
            let etag = answer.as_ref().ok().map(|stored| stored.card.etag);
            let anew = Some(Vec::new()).filter(|_| !self.home.trashed.contains(&uid));
            let fresh =
                anew.as_ref().filter(|_| self.kind == CollectionKind::AddressBook).map(|_| String::new());
            let (properties, salutation) =
                known.map_or((anew, fresh), |card| (card.properties, card.salutation));
            book.cards.insert(file, Card { body, etag, properties, salutation });
        }
        self.learn(answer, vec![after])
    }

    async fn erase(&mut self) -> Done {
        let answer = self.service.erase_now().await.map_err(Stop::Failed);
        self.learn(answer, vec![self.home.clone()])
    }

    async fn delete(&mut self) -> Done {
        let at = self.any_card();
        let answer = self.service.delete(self.caller, &self.at_card(&at), Vec::new()).await;
        let mut after = self.home.clone();
        let there = after.books.get_mut(&at.0).and_then(|book| book.cards.remove(&at.1));
        // What was in a calendar is gone for good.
        if let Some(card) = there.filter(|_| self.kind == CollectionKind::AddressBook) {
            let gone = uid(&card.body);
            // If it was copied by writing it into another book, it was moved there.
            let others = after.books.values_mut().flat_map(|book| book.cards.values_mut());
            for other in others.filter(|other| uid(&other.body) == gone) {
                (other.etag, other.properties, other.salutation) = (None, None, None);
            }
            after.trashed.insert(gone);
        }
        self.learn(answer, vec![after])
    }

    /// The office changes a contact's record, its card too or not, and moves it or not: all in one.
    async fn office(&mut self) -> Done {
        let all = self
            .home
            .books
            .iter()
            .filter(|(book, _)| BOOKS.contains(&book.as_str()))
            .flat_map(|(book, known)| known.cards.keys().map(move |at| (book, at)));
        let all: Vec<_> = all.map(|(book, at)| (book.clone(), at.clone())).collect();
        if all.is_empty() {
            return Done::Told;
        }
        let (book, file) = all[self.dice.roll(all.len() as u64) as usize].clone();
        let to = Some(self.any_book()).filter(|to| *to != book && self.dice.roll(2) == 0);
        let (titled, salutation) = (self.dice.roll(2) == 0, format!("step {}", self.step));
        let shown = match self.shown(&book, &file).await {
            Ok(shown) => shown,
            Err(stop) => return self.learn::<()>(Err(stop), Vec::new()),
        };
        let names = (shown.assigned_to.clone(), shown.reports_to.clone(), shown.company.clone());
        let record = RecordDraft { salutation: salutation.clone(), ..RecordDraft::of(&shown.record, names) };
        let mut fields = shown.fields.clone();
        let mut body = shown.card().clone();
        if titled {
            fields.title = format!("Step {}", self.step);
            body = edit(&body, &shown.fields, &fields.clone().tidy()).into();
        }
        let address = to.as_ref().map(|to| format!("{}/{to}", self.caller.name));
        let draft = Draft { book: address, fields, record };
        let answer = self.service.change_contact(self.caller, &shown, draft).await;
        count(0, &answer);
        let mut after = self.home.clone();
        let card = after.books.get_mut(&book).and_then(|book| book.cards.remove(&file));
        let at = if to.is_some() { format!("{}.vcf", shown.id) } else { file };
        if let (Some(card), Some(book)) = (card, after.books.get_mut(&to.unwrap_or(book))) {
            book.cards.insert(at, Card { body, etag: None, salutation: Some(salutation), ..card });
        }
        self.learn(answer, vec![after])
    }

    /// A card's contact.
    async fn shown(&self, book: &str, file: &str) -> Answer<ContactView> {
        let (book, named) = (name(book), Members::Named(vec![name(file)]));
        let detail = Detail::default();
        let found = self.service.book(self.caller, &self.caller.books(), &book, named, detail).await?;
        contact(self.service, self.caller, found.one()?.contact).await
    }

    /// Something comes back from the trash, into its book or another.
    async fn restore(&mut self) -> Done {
        let book = Some(self.any_book()).filter(|_| self.dice.roll(2) == 0);
        let asked =
            Listed { filter: None, query: None, order: Vec::new(), step: None, limit: 100, trash: true };
        let listed = match self.service.list_contacts(self.caller, asked).await {
            Ok(listed) => listed.contacts,
            Err(stop) => return self.learn::<()>(Err(stop), Vec::new()),
        };
        if listed.is_empty() {
            return Done::Told;
        }
        let shown = &listed[self.dice.roll(listed.len() as u64) as usize];
        let address = book.as_ref().map(|book| format!("{}/{book}", self.caller.name));
        let answer = self.service.restore_contact(self.caller, shown, address.as_deref()).await;
        count(1, &answer);
        let to = book.unwrap_or_else(|| shown.book.split('/').next_back().unwrap().to_owned());
        let (body, salutation) = (shown.card().clone(), Some(shown.record.salutation.clone()));
        let card = Card { body, etag: None, properties: None, salutation };
        // It gets the name that it had, which only the server knows, or its id's.
        let names = (0..8).map(|n| format!("c{n}.vcf")).chain([format!("{}.vcf", shown.id)]);
        let mut ways: Vec<(String, Home)> = Vec::new();
        for at in names {
            let mut after = self.home.clone();
            let Some(known) = after.books.get_mut(&to).filter(|known| !known.cards.contains_key(&at)) else {
                continue;
            };
            known.cards.insert(at.clone(), card.clone());
            ways.push((at, after));
        }
        if let Ok(restored) = &answer {
            let (owner, at, detail) = (&self.caller.name, name(&to), Detail::default());
            let members = self
                .service
                .book(self.caller, &HomeName::books(owner.clone()), &at, Members::All, detail)
                .await;
            let Ok(members) = members else {
                return Done::Untold(ways.into_iter().map(|way| way.1).collect());
            };
            let there = members.cards.into_iter().find(|card| card.contact == restored.id).unwrap();
            ways.retain(|(at, _)| *at == there.name.as_str());
        }
        self.learn(answer, ways.into_iter().map(|way| way.1).collect())
    }

    /// The smart book follows what happened.
    async fn smart(&mut self) -> Done {
        let answer = self.service.smart_settled().await;
        count(2, &answer);
        self.learn(answer, vec![self.home.clone()])
    }

    async fn transfer(&mut self, verb: Verb) -> Done {
        let (from, to) = (self.any_card(), self.any_destination(Self::any_card));
        let manner = Manner { verb, overwrite: self.dice.roll(2) == 0, shallow: false };
        let ends = (self.at_card(&from), self.at_card(&to));
        let answer = self.service.transfer(self.caller, manner, &ends.0, &ends.1, Vec::new()).await;
        let mut after = self.home.clone();
        let card = after.books.get(&from.0).and_then(|book| book.cards.get(&from.1)).cloned();
        if let (Some(card), Some(book)) = (card, after.books.get_mut(&to.0)) {
            book.cards.insert(to.1, Card { etag: None, ..card });
            if verb == Verb::Move {
                after.books.get_mut(&from.0).map(|book| book.cards.remove(&from.1));
            }
        }
        self.learn(answer, vec![after])
    }

    async fn patch(&mut self) -> Done {
        let value = PropertyValue::Text { text: format!("step {}", self.step), lang: None };
        let name = PropertyName { namespace: "x".into(), local: format!("p{}", self.dice.roll(2)) };
        let property = Property { name: name.clone(), value };
        let (remove, kind, at) = (self.dice.roll(3) == 0, self.dice.roll(3), self.any_card());
        let change = match remove {
            true => PropertyChange::Remove(name.clone()),
            false => PropertyChange::Set(property.clone()),
        };
        let place = match kind {
            0 => Place::Home(HomeName::new(self.kind, self.caller.name.clone())),
            1 => self.at_book(&at.0),
            _ => self.at_card(&at),
        };
        let answer = self.service.patch(self.caller, &place, vec![change], Vec::new()).await;
        let mut after = self.home.clone();
        let properties = match kind {
            0 => after.properties.get_mut(&self.kind),
            1 => after.books.get_mut(&at.0).map(|book| &mut book.properties),
            _ => after
                .books
                .get_mut(&at.0)
                .and_then(|book| book.cards.get_mut(&at.1))
                .and_then(|card| card.properties.as_mut()),
        };
        if let Some(properties) = properties {
            match properties.iter_mut().find(|known| known.name == name) {
                Some(known) if !remove => *known = property,
                None if !remove => properties.push(property),
                _ => properties.retain(|known| known.name != name),
            }
        }
        self.learn(answer, vec![after])
    }

    async fn create(&mut self) -> Done {
        let book = self.any_book();
        let value = PropertyValue::Xml("<x:a xmlns:x=\"x\"/>".into());
        let name = PropertyName { namespace: "x".into(), local: "a".into() };
        let properties = vec![Property { name, value }];
        let at = MemberName::parse(&book).unwrap();
        let caller = self.caller;
        let takes = match self.kind {
            CollectionKind::AddressBook => Components::NONE,
            CollectionKind::Calendar => Components::USUAL,
        };
        let answer = self
            .service
            .create_collection(caller, (&home_of(caller, &book), &at), takes, properties.clone(), Vec::new())
            .await;
        let mut after = self.home.clone();
        after.books.insert(book, Book { properties, ..Book::default() });
        self.learn(answer, vec![after])
    }

    async fn transfer_book(&mut self, verb: Verb) -> Done {
        let (from, to) = (self.any_book(), self.any_destination(Self::any_book));
        let manner = Manner { verb, overwrite: self.dice.roll(2) == 0, shallow: self.dice.roll(4) == 0 };
        let ends = (self.at_book(&from), self.at_book(&to));
        let answer = self.service.transfer(self.caller, manner, &ends.0, &ends.1, Vec::new()).await;
        let mut after = self.home.clone();
        let mut ways = Vec::new();
        if let Some(mut book) = after.books.get(&from).cloned() {
            if verb == Verb::Move {
                after.books.remove(&from);
            } else {
                // A COPY of a collection makes the collection first, then its members
                // (RFC 4918 §9.8.3): it may end between the two.
                let cards = std::mem::take(&mut book.cards);
                after.books.insert(to.clone(), book.clone());
                ways.push(after.clone());
                if !manner.shallow {
                    book.cards = cards;
                    book.cards.values_mut().for_each(|card| card.etag = None);
                }
            }
            after.books.insert(to, book);
        }
        ways.push(after);
        self.learn(answer, ways)
    }

    async fn delete_book(&mut self) -> Done {
        let book = self.any_book();
        let answer = self.service.delete(self.caller, &self.at_book(&book), Vec::new()).await;
        let mut after = self.home.clone();
        after.books.remove(&book);
        self.learn(answer, vec![after])
    }
}

/// A calendar object of about so many octets, which says when it was made.
pub fn object(kind: Kind, uid: &str, length: usize, step: u32) -> Bytes {
    let (kind, note) = (kind.word(), "x".repeat(length));
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:{kind}\r\nDTSTAMP:20260101T000000Z\r\n\
         UID:{uid}\r\nSUMMARY:Step {step}\r\nDESCRIPTION:{note}\r\nEND:{kind}\r\nEND:VCALENDAR\r\n"
    )
    .into()
}

/// A card of about so many octets, which says when it was made.
pub fn card(uid: &str, length: usize, step: u32) -> Bytes {
    let note: String = (0..length / 50).map(|_| format!("NOTE:{step:0>43}\r\n")).collect();
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:Step {step}\r\nN:S;;;;\r\n{note}END:VCARD\r\n")
        .into()
}
