//! Roles and service levels: lists of words that the admin keeps. Some roles are always there.

use crate::domain::permission::Permission;
use crate::service::access::Caller;
use crate::service::admin::conflict;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::rows::Definition;

use super::{Word, id_of, wrong};

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// How the organisation relates to contacts.
    Roles,
    /// What companies are entitled to.
    ServiceLevels,
}

/// The roles that are always there, in their order.
const ALWAYS: [(&str, &str); 5] = [
    ("customer", "Customer"),
    ("partner", "Partner"),
    ("supplier", "Supplier"),
    ("private", "Private"),
    ("other", "Other"),
];

/// How many words a list may have.
const MOST: usize = 500;

/// The longest key, in octets.
const LONGEST: usize = 64;

/// The roles that are always there, as they are until somebody changes them.
pub(super) fn always() -> impl Iterator<Item = Word> {
    let word = |(key, label): &(&str, &str)| Word { key: (*key).into(), label: (*label).into(), order: 0 };
    ALWAYS.iter().map(word).zip(0..).map(|(word, order)| Word { order, ..word })
}

/// Whether a word is always there.
pub fn is_always(list: List, key: &str) -> bool {
    list == List::Roles && ALWAYS.iter().any(|(known, _)| *known == key)
}

/// Whether a text may be a word's key.
pub fn key(text: &str) -> Result<String, String> {
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
    match begins && text.len() <= LONGEST && text.bytes().all(known) {
        true => Ok(text.to_owned()),
        false => Err(format!("a key is made of a-z, 0-9, _ and -, at most {LONGEST}")),
    }
}

impl Service {
    /// The words of a list, by order and key.
    pub async fn words(&self, list: List) -> Answer<Vec<Word>> {
        let laid = self.laid_down().await?;
        Ok(match list {
            List::Roles => laid.roles.clone(),
            List::ServiceLevels => laid.service_levels.clone(),
        })
    }

    /// One word.
    pub async fn word(&self, list: List, key: &str) -> Answer<Word> {
        let found = self.words(list).await?.into_iter().find(|word| word.key == key);
        found.ok_or_else(|| Refusal::NotFound.into())
    }

    /// Adds a word.
    pub async fn create_word(&self, caller: &Caller, list: List, word: Word) -> Answer<Word> {
        caller.need(Permission::Settings)?;
        key(&word.key).map_err(|why| wrong("/key", why))?;
        let _turn = self.laid.changing.lock().await;
        let words = self.words(list).await?;
        let taken = || conflict(format!("'{}' is there already", word.key));
        if words.iter().any(|known| known.key == word.key) {
            return Err(taken());
        }
        if words.len() >= MOST {
            return Err(conflict(format!("there are no more than {MOST} of them")));
        }
        let definition = list.of(word.clone());
        let id = id_of(definition.kind(), &word.key);
        match self.lay(Some(caller), id, None, Some(definition)).await? {
            true => Ok(word),
            false => Err(taken()),
        }
    }

    /// Changes what a word is called and where it stands; false where it is no longer as it was read.
    pub async fn change_word(&self, caller: &Caller, list: List, before: &Word, after: Word) -> Answer<bool> {
        caller.need(Permission::Settings)?;
        if *before == after {
            return Ok(true);
        }
        let _turn = self.laid.changing.lock().await;
        let after = list.of(Word { key: before.key.clone(), ..after });
        let id = id_of(after.kind(), &before.key);
        // What is always there has no row until it is changed.
        let unchanged = always().any(|word| list == List::Roles && word == *before);
        if unchanged && self.lay(Some(caller), id, None, Some(after.clone())).await? {
            return Ok(true);
        }
        self.lay(Some(caller), id, Some(list.of(before.clone())), Some(after)).await
    }

    /// Takes a word away, unless contacts have it.
    pub async fn remove_word(&self, caller: &Caller, list: List, word: &Word) -> Answer<()> {
        caller.need(Permission::Settings)?;
        if is_always(list, &word.key) {
            return Err(conflict(format!("'{}' is always there", word.key)));
        }
        let path = match list {
            List::Roles => "roles",
            List::ServiceLevels => "service_level",
        };
        let _turn = self.laid.changing.lock().await;
        match self.used(&format!("{path} eq \"{}\"", word.key)).await? {
            0 => {}
            count => {
                return Err(conflict(format!(
                    "{count} contacts have '{}'; take it from them first",
                    word.key
                )));
            }
        }
        let before = list.of(word.clone());
        let id = id_of(before.kind(), &word.key);
        match self.lay(Some(caller), id, Some(before), None).await? {
            true => Ok(()),
            false => Err(Refusal::Unmet.into()),
        }
    }
}

impl List {
    fn of(self, word: Word) -> Definition {
        match self {
            Self::Roles => Definition::Role(word),
            Self::ServiceLevels => Definition::ServiceLevel(word),
        }
    }
}
