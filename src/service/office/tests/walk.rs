//! Many changes from everywhere, against a simple model: who follows tokens holds what is listed.

use super::*;

const BOOKS: [&str; 3] = ["contacts", "other", "third"];

/// What is known of the contacts that were made.
#[derive(Default)]
struct Model {
    /// The book of each that is there, by its id, and its title.
    there: BTreeMap<ContactId, (usize, String)>,
    trash: BTreeMap<ContactId, (usize, String)>,
    /// Into which each was merged.
    merged: BTreeMap<ContactId, ContactId>,
    numbers: BTreeMap<ContactId, String>,
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn one(&mut self, of: &BTreeMap<ContactId, (usize, String)>) -> Option<ContactId> {
        (!of.is_empty()).then(|| *of.keys().nth(self.roll(of.len())).unwrap())
    }
}

fn titled(uid: &str, title: &str) -> Bytes {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{uid}\r\nN:{uid};;;;\r\nTITLE:{title}\r\nEND:VCARD\r\n"
    )
    .into()
}

impl Model {
    fn note(&mut self, shown: &ContactView, book: usize, title: &str) {
        self.there.insert(shown.id, (book, title.to_owned()));
        let number = self.numbers.entry(shown.id).or_insert_with(|| shown.number.clone());
        assert_eq!(*number, shown.number, "a number stays");
        assert_eq!(
            (shown.book.as_str(), shown.fields.title.as_str()),
            (format!("alice/{}", BOOKS[book]).as_str(), title)
        );
    }

    async fn step(&mut self, desk: &Desk, dice: &mut Dice, step: usize) {
        let (title, to) = (format!("Step {step}"), dice.roll(BOOKS.len()));
        let address = format!("alice/{}", BOOKS[to]);
        let one = dice.one(&self.there);
        match (dice.roll(10), one) {
            (0 | 1, _) | (_, None) => {
                let body = titled(&format!("uid-{step}"), &title);
                let made =
                    desk.service.create_contact_from_card(&desk.alice, Some(&address), body).await.unwrap();
                self.note(&made, to, &title);
            }
            (2, Some(one)) => {
                let shown = desk.now(one).await;
                let changed = desk.edit(&shown, |draft| draft.fields.title = title.clone()).await.unwrap();
                self.note(&changed, self.there[&one].0, &title);
            }
            (3, Some(one)) => {
                let shown = desk.now(one).await;
                desk.phone(BOOKS[self.there[&one].0], &shown.stored.card.name, titled(&shown.uid, &title))
                    .await
                    .unwrap();
                self.note(&desk.now(one).await, self.there[&one].0, &title);
            }
            (4, Some(one)) => {
                let shown = desk.now(one).await;
                let changed = desk.edit(&shown, |draft| draft.book = Some(address.clone())).await.unwrap();
                let title = self.there[&one].1.clone();
                self.note(&changed, to, &title);
            }
            // A phone's move, in either order.
            (5, Some(one)) if self.there[&one].0 != to => {
                let (shown, file) = (desk.now(one).await, format!("p{step}.vcf"));
                let from = BOOKS[self.there[&one].0];
                let put = titled(&shown.uid, &title);
                if dice.roll(2) == 0 {
                    desk.phone(BOOKS[to], &file, put).await.unwrap();
                    desk.phone_deletes(from, &shown.stored.card.name).await.unwrap();
                } else {
                    desk.phone_deletes(from, &shown.stored.card.name).await.unwrap();
                    desk.phone(BOOKS[to], &file, put).await.unwrap();
                }
                self.note(&desk.now(one).await, to, &title);
            }
            (6, Some(one)) => {
                let Some(other) = dice.one(&self.there).filter(|other| *other != one) else { return };
                let (target, source) = (desk.now(one).await, desk.now(other).await);
                let merge = MergeAsked { target, sources: vec![source], take: Take::default() };
                let merged = desk.service.merge_contacts(&desk.alice, &merge).await.unwrap();
                self.there.remove(&other);
                self.merged.insert(other, one);
                let (book, title) = self.there[&one].clone();
                self.note(&merged, book, &title);
            }
            (7, Some(one)) => {
                let shown = desk.now(one).await;
                desk.service.delete_contact(&desk.alice, &shown).await.unwrap();
                let gone = self.there.remove(&one).unwrap();
                self.trash.insert(one, gone);
            }
            (8, Some(one)) => {
                let shown = desk.now(one).await;
                let note = format!("Salutation {step}");
                desk.edit(&shown, |draft| draft.record.salutation = note).await.unwrap();
            }
            _ => {
                let Some(one) = dice.one(&self.trash) else { return };
                let trashed = desk.service.trashed_contact(&desk.alice, ContactRef::Id(one)).await.unwrap();
                let back = desk.service.restore_contact(&desk.alice, &trashed, Some(&address)).await.unwrap();
                let (_, title) = self.trash.remove(&one).unwrap();
                self.note(&back, to, &title);
            }
        }
    }

    /// Where a contact is by now that may have been merged away.
    fn last(&self, mut id: ContactId) -> ContactId {
        while let Some(next) = self.merged.get(&id) {
            id = *next;
        }
        id
    }

    async fn compare(&self, desk: &Desk, followers: &mut [Follower]) {
        for (at, follower) in followers.iter_mut().enumerate() {
            let book = BOOKS[at];
            follower.follow(&desk.service, &desk.alice, book).await;
            let mut holds: Vec<_> = follower.holds.values().copied().collect();
            holds.sort();
            let page = desk
                .service
                .list_contacts(&desk.alice, asked(&format!("book eq \"alice/{book}\"")))
                .await
                .unwrap();
            let mut listed: Vec<_> = page.contacts.iter().map(|contact| contact.id).collect();
            listed.sort();
            let there = self.there.iter().filter(|(_, (book, _))| *book == at).map(|(id, _)| *id);
            assert_eq!(listed, there.collect::<Vec<_>>());
            assert_eq!(holds, listed);
        }
    }
}

#[tokio::test]
async fn whoever_follows_tokens_holds_what_is_listed() {
    let desk = Desk::new().await;
    for book in BOOKS.iter().skip(1) {
        desk.book("alice", book).await;
    }
    let (mut model, mut dice) = (Model::default(), Dice(7));
    let mut followers = [Follower::default(), Follower::default(), Follower::default()];
    for step in 0..300 {
        model.step(&desk, &mut dice, step).await;
        if dice.roll(8) == 0 {
            model.compare(&desk, &mut followers).await;
        }
    }
    model.compare(&desk, &mut followers).await;
    assert!(model.merged.len() > 5 && model.there.len() > 5, "the walk went somewhere");
    let trash = desk.service.list_contacts(&desk.alice, Listed { trash: true, ..asked("") }).await.unwrap();
    let mut lie: Vec<_> = trash.contacts.iter().map(|contact| contact.id).collect();
    lie.sort();
    assert_eq!(lie, model.trash.keys().copied().collect::<Vec<_>>());
    for (id, number) in &model.numbers {
        let last = model.last(*id);
        let found = desk.service.contact(&desk.alice, ContactRef::parse(number).unwrap()).await;
        match found {
            Ok(Found::There(view)) => assert_eq!((view.id, last), (*id, *id)),
            Ok(Found::Merged(to)) => assert_eq!(to, last),
            Err(_) => assert!(model.trash.contains_key(&last)),
        }
    }
    // An index that is made anew says the same.
    desk.service.store.roster().let_go();
    model.compare(&desk, &mut followers).await;
    desk.sound().await;
}
