//! A user at work: every step throws dice for what to do, and knows what the home is afterwards if
//! that was acknowledged.

use bytes::Bytes;
use cardkeep::domain::id::MemberName;
use cardkeep::service::access::Caller;
use cardkeep::service::place::{Place, Precondition, State};
use cardkeep::service::refusal::{Refusal, Stop};
use cardkeep::service::transfer::Manner;
use cardkeep::service::view::{Property, PropertyChange, PropertyName, PropertyValue, Verb};
use cardkeep::service::{Answer, Service};

use super::home::{Book, Card, Home, uid};
use crate::chance::Dice;
use crate::inside::name;

/// What a step did.
pub enum Done {
    /// It was acknowledged, or refused.
    Told,
    /// Nobody said what became of it: the home is as it was, or one of these.
    Untold(Vec<Home>),
}

/// A user at work.
pub struct Day<'a> {
    pub service: &'a Service,
    pub caller: &'a Caller,
    pub dice: Dice,
    pub home: Home,
    pub step: u32,
}

impl Day<'_> {
    fn any_book(&mut self) -> String {
        ["contacts", "second", "third"][self.dice.roll(3) as usize].to_owned()
    }

    fn any_card(&mut self) -> (String, String) {
        (self.any_book(), format!("c{}.vcf", self.dice.roll(8)))
    }

    fn at_card(&self, (book, file): &(String, String)) -> Place {
        Place::Object(self.caller.books(), name(book), name(file))
    }

    fn at_book(&self, book: &str) -> Place {
        Place::Collection(self.caller.books(), name(book))
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
        match self.dice.roll(22) {
            0..=8 => self.put().await,
            9 | 10 => self.delete().await,
            11 | 12 => self.transfer(Verb::Move).await,
            13 => self.transfer(Verb::Copy).await,
            14 | 15 => self.patch().await,
            16 => self.create().await,
            17 => self.transfer_book(Verb::Move).await,
            18 => self.transfer_book(Verb::Copy).await,
            20 | 21 => self.erase().await,
            _ => self.delete_book().await,
        }
    }

    async fn put(&mut self) -> Done {
        let (book, file) = self.any_card();
        let known = self.home.books.get(&book).and_then(|book| book.cards.get(&file)).cloned();
        // A moved card keeps its UID, so most of these are refused when the file's own is elsewhere.
        let uid = format!("{file}-{}", self.dice.roll(2));
        let body = card(&uid, [50, 400, 3000, 9000][self.dice.roll(4) as usize], self.step);
        let (at, place) = ((name(&book), name(&file)), self.at_card(&(book.clone(), file.clone())));
        let when = known.as_ref().and_then(|card| card.etag);
        let when = when.map(|etag| Precondition::one(place, State::EtagIn(vec![etag]), false));
        let when = when.into_iter().collect();
        let answer =
            self.service.put(self.caller, (&self.caller.books(), &at.0, &at.1), body.clone(), when).await;
        let mut after = self.home.clone();
        if let Some(book) = after.books.get_mut(&book) {
            let etag = answer.as_ref().ok().map(|stored| stored.card.etag);
            let anew = Some(Vec::new()).filter(|_| !self.home.trashed.contains(&uid));
            let properties = known.map_or(anew, |card| card.properties);
            book.cards.insert(file, Card { body, etag, properties });
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
        if let Some(card) = after.books.get_mut(&at.0).and_then(|book| book.cards.remove(&at.1)) {
            let gone = uid(&card.body);
            // If it was copied by writing it into another book, it was moved there.
            let others = after.books.values_mut().flat_map(|book| book.cards.values_mut());
            for other in others.filter(|other| uid(&other.body) == gone) {
                (other.etag, other.properties) = (None, None);
            }
            after.trashed.insert(gone);
        }
        self.learn(answer, vec![after])
    }

    async fn transfer(&mut self, verb: Verb) -> Done {
        let (from, to) = (self.any_card(), self.any_card());
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
            0 => Place::Home(self.caller.books()),
            1 => self.at_book(&at.0),
            _ => self.at_card(&at),
        };
        let answer = self.service.patch(self.caller, &place, vec![change], Vec::new()).await;
        let mut after = self.home.clone();
        let properties = match kind {
            0 => Some(&mut after.properties),
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
        let answer =
            self.service.create_book(caller, &caller.books(), &at, properties.clone(), Vec::new()).await;
        let mut after = self.home.clone();
        after.books.insert(book, Book { properties, ..Book::default() });
        self.learn(answer, vec![after])
    }

    async fn transfer_book(&mut self, verb: Verb) -> Done {
        let (from, to) = (self.any_book(), self.any_book());
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

/// A card of about so many octets, which says when it was made.
pub fn card(uid: &str, length: usize, step: u32) -> Bytes {
    let note: String = (0..length / 50).map(|_| format!("NOTE:{step:0>43}\r\n")).collect();
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:Step {step}\r\nN:S;;;;\r\n{note}END:VCARD\r\n")
        .into()
}
