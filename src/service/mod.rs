//! The use cases: may this caller do it, what must hold, what is recorded? Every change goes
//! through one `Store::commit`. Knows no HTTP, no XML and no engine.
//!
//! Methods stand beside their subject: `principals.rs`, `names.rs` (accounts by their ids), `books.rs`
//! (homes, books, their properties), `sharing.rs` (who else may use them), `hand_over.rs` (whose they
//! become), `contacts.rs` (cards), `transfer.rs` (COPY and MOVE), `export.rs` and `import.rs` (whole files),
//! `sync.rs` (change logs), `birthdays.rs` (the calendar that is made of cards), `search.rs` (across books,
//! and the upkeep of the indexes), `sign_in.rs` (who is asking), `audit.rs` (who came in, and what changed),
//! `people.rs`, `groups.rs`, `tokens.rs` and `library.rs` (users, groups, tokens and books as the API shows
//! them), `definitions.rs` (own fields, filters, roles, service levels), `unlink.rs` (contacts that are
//! erased, in calendars), `smart.rs` (smart books), `jobs.rs` (long work), `directory/` (people of a
//! directory), `rotation.rs`
//! (another master key), `backup.rs` (archives), `keyring.rs` (the keyring that follows
//! each erasing), `admin.rs` (what the command line asks), `demo/` (made-up data).

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::contact::MarkAs;
use crate::domain::ical;
use crate::domain::phone::Region;
use crate::domain::vcard::Limits;
pub use crate::store::KeyFile;
use crate::store::commit::{Commit, CommitError, Committed, Expect, Op, Unmet};
use crate::store::engine::{Engine, EngineError};
use crate::store::follow::Follows;
use crate::store::keyslots::KeySlotsError;
use crate::store::{Store, StoreError};

pub mod access;
pub mod admin;
pub mod audit;
pub mod backup;
pub mod birthdays;
mod books;
pub mod calendars;
mod contacts;
pub mod conversions;
pub mod definitions;
pub mod demo;
pub mod directory;
pub mod export;
pub mod groups;
mod hand_over;
pub mod import;
pub mod jobs;
pub mod keyring;
pub mod library;
mod names;
pub mod office;
mod own;
pub mod people;
pub mod place;
mod principals;
mod provision;
pub mod public_links;
pub mod refusal;
mod resolve;
pub mod rotation;
pub mod search;
pub mod sharing;
pub mod sign_in;
pub mod smart;
mod sync;
pub mod tokens;
pub mod transfer;
mod trash;
mod unlink;
pub mod view;

#[cfg(test)]
mod calendar_tests;
#[cfg(test)]
pub(crate) mod tests;

use access::Caller;
use refusal::{Fault, Refusal, Stop};

/// What a use case answers.
pub type Answer<T> = Result<T, Stop>;

/// Tells the time; implemented above.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

pub use crate::store::entropy::{Entropy, NoEntropy};

/// What the configuration says of the use cases.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How large and involved a card may be.
    pub card: Limits,
    /// How large and involved a calendar object may be.
    pub calendar: ical::Limits,
    /// Wrong passwords per account and address within a quarter of an hour before checks are slowed.
    pub login_attempts: u32,
    /// The cost of hashing a password.
    pub argon2: sign_in::Argon2Cost,
    /// How many days the names of removed members are kept for clients that have not synced.
    pub tombstone_days: u32,
    /// How many days events are kept.
    pub audit_days: u32,
    /// The region whose phone numbers are written without a country code.
    pub default_region: Option<Region>,
    /// The keyring that is written anew at each erasing.
    pub keyring: Option<keyring::KeyringPlace>,
    /// Users may look each other up, and not only those with whom they share something.
    pub principals_visible: bool,
    /// What becomes of contacts.
    pub contacts: ContactSettings,
    /// The directory of people that accounts, groups and the staff's book follow.
    pub directory: Option<directory::DirectorySettings>,
}

/// What the configuration says of contacts.
#[derive(Debug, Clone)]
pub struct ContactSettings {
    /// How many days deleted contacts lie in the trash; with none they are erased at once.
    pub trash_days: u32,
    /// A new contact with a valid e-mail address has not opted out of the newsletter.
    pub newsletter_default: bool,
    /// How phones are shown what must not be done with a contact.
    pub marks: MarkAs,
}

impl Default for ContactSettings {
    fn default() -> Self {
        Self { trash_days: 30, newsletter_default: true, marks: MarkAs::Category }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            card: Limits::default(),
            calendar: ical::Limits::default(),
            login_attempts: 10,
            argon2: sign_in::Argon2Cost::default(),
            tombstone_days: 400,
            audit_days: 400,
            default_region: None,
            keyring: None,
            principals_visible: false,
            contacts: ContactSettings::default(),
            directory: None,
        }
    }
}

/// How long the clearing of deleted books rests when the store could not write.
const PURGE_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

/// How long after an erasure its key is overwritten, and how long the overwriting rests when it
/// failed.
const ERASE_AFTER: std::time::Duration = std::time::Duration::from_secs(2);
const ERASE_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// How often names that are old enough are forgotten, and how soon again when that failed.
const PRUNE_EVERY: std::time::Duration = std::time::Duration::from_secs(86_400);
const PRUNE_AGAIN: std::time::Duration = std::time::Duration::from_secs(600);

/// The use cases over one store.
pub struct Service {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    sign_in: sign_in::SignIn,
    conversions: conversions::Conversions,
    purge: tokio::sync::Notify,
    rotation: rotation::Rotation,
    keyring_upkeep: keyring::Upkeep,
    names: names::Names,
    audit: audit::Lane,
    followed: directory::Followed,
    laid: definitions::Laid,
    jobs: jobs::Upkeep,
    /// One change at a time to who may do what, so that an administrator is left.
    people: tokio::sync::Mutex<()>,
    /// One change at a time to whom contacts are linked with, so that no links go in a circle.
    links: tokio::sync::Mutex<()>,
    shelves: office::KeptShelves,
    patches: std::sync::OnceLock<Arc<dyn office::Patches>>,
    smart: smart::Upkeep,
    /// Which cards of the books that calendars of birthdays are made of have days.
    birthdays: Follows<birthdays::Kept>,
    /// Places for those who read through public links.
    public_readers: Arc<tokio::sync::Semaphore>,
}

impl Service {
    /// Opens the store that the engine holds, or lays a new one.
    pub async fn open(
        engine: Arc<dyn Engine>,
        keys: KeyFile,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> Result<Self, Fault> {
        let store = Store::open(engine, keys, entropy.clone(), clock.now()).await.map_err(fault)?;
        let store = store.with_region(settings.default_region);
        let sign_in = sign_in::SignIn::new(&settings, entropy.as_ref())?;
        let conversions = conversions::Conversions::new(conversions::REMEMBERED);
        let (purge, rotation) = (tokio::sync::Notify::new(), rotation::Rotation::default());
        let (keyring_upkeep, names) = (keyring::Upkeep::default(), names::Names::default());
        let followed = directory::Followed::default();
        Ok(Self {
            store,
            clock,
            entropy,
            settings,
            sign_in,
            conversions,
            purge,
            rotation,
            keyring_upkeep,
            names,
            audit: audit::Lane::default(),
            followed,
            laid: definitions::Laid::default(),
            jobs: jobs::Upkeep::default(),
            people: tokio::sync::Mutex::new(()),
            links: tokio::sync::Mutex::new(()),
            shelves: office::KeptShelves::default(),
            patches: std::sync::OnceLock::new(),
            smart: smart::Upkeep::default(),
            birthdays: Follows::default(),
            public_readers: Arc::new(tokio::sync::Semaphore::new(public_links::AT_ONCE)),
        })
    }

    /// Names who reads merge patches of contacts; the first one counts.
    pub fn read_patches_with(&self, patches: Arc<dyn office::Patches>) {
        let _ = self.patches.set(patches);
    }

    /// How large and involved a card may be.
    pub fn card_limits(&self) -> Limits {
        self.settings.card
    }

    /// How large and involved a calendar object may be.
    pub fn calendar_limits(&self) -> ical::Limits {
        self.settings.calendar
    }

    /// Cards in the version that they are not stored in.
    pub fn conversions(&self) -> &conversions::Conversions {
        &self.conversions
    }

    /// How often a damaged value was read since the start.
    pub fn damaged_values(&self) -> u64 {
        self.store.damages().total()
    }

    /// Finishes what was taken and closes the store.
    pub async fn close(&self) -> Result<(), Fault> {
        // What cannot be done now is done at the next start, or lost where it may be.
        let _ = self.flush_events().await;
        let _ = self.erase_now().await;
        self.settle_keyring().await;
        self.store.close(self.clock.now()).await.map_err(fault)
    }

    /// Whether the store answers.
    pub async fn ready(&self) -> bool {
        match self.store.read().await {
            Ok(reader) => reader.mark("ready").await.is_ok(),
            Err(_) => false,
        }
    }

    /// Clears what deleted books left, now and whenever one is deleted; runs until dropped.
    /// Answers only when trying again is of no use.
    pub async fn purge(&self) -> Fault {
        loop {
            match self.purge_all().await {
                Ok(()) => self.purge.notified().await,
                // A full disk gets room again, also by what is cleared.
                Err(StoreError::Engine(
                    EngineError::Full | EngineError::Unavailable(_) | EngineError::Failed(_),
                )) => {
                    tokio::select! {
                        () = self.purge.notified() => {}
                        () = tokio::time::sleep(PURGE_AGAIN) => {}
                    }
                }
                Err(error) => return fault(error),
            }
        }
    }

    async fn purge_all(&self) -> Result<(), StoreError> {
        loop {
            let condemned = self.store.condemned().await?;
            if condemned.is_empty() {
                return self.forget_dead_links().await;
            }
            for id in condemned {
                self.store.indexes().forget(id);
                self.store.agendas().forget(id);
                self.birthdays.forget(id);
                self.unlink_condemned(id).await?;
                while self.store.purge_step(id, self.clock.now()).await? {
                    // Requests come first on a small machine.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Overwrites the keys of what was erased so far; answers how many.
    pub async fn erase_now(&self) -> Result<usize, Fault> {
        let erased = self.store.erase_condemned(self.clock.now()).await;
        // Part of it may have been done.
        if !matches!(erased, Ok(0)) {
            self.keyring_upkeep.wake();
            // Not even days of the year are left of who was erased.
            if let Err(error) = self.freshen_days().await {
                tracing::warn!(%error, "the days of erased contacts are let go when somebody asks for birthdays");
            }
        }
        erased.map_err(fault)
    }

    /// Overwrites the keys of what was erased, soon after; runs until dropped.
    pub async fn erase(&self) {
        loop {
            self.store.erasing_wanted().await;
            // Whoever still reads from a snapshot in which it was there may finish.
            tokio::time::sleep(ERASE_AFTER).await;
            if let Err(error) = self.erase_now().await {
                tracing::error!(%error, "keys of what was erased could not be overwritten yet");
                tokio::time::sleep(ERASE_AGAIN).await;
                self.store.erase_again();
            }
        }
    }

    /// Forgets the names of what was removed long ago, and old events, now and once a day; runs until
    /// dropped.
    pub async fn prune(&self) {
        loop {
            let rest = match self.prune_now().await {
                Ok(()) => PRUNE_EVERY,
                Err(error) => {
                    tracing::error!(%error, "what is old enough could not be forgotten yet");
                    PRUNE_AGAIN
                }
            };
            tokio::time::sleep(rest).await;
        }
    }

    async fn prune_now(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.empty_trash().await?;
        self.store.prune_events(now, self.settings.audit_days).await?;
        self.store.prune(now, self.settings.tombstone_days).await.map(drop)
    }

    /// An id that sorts by the time it was made.
    fn fresh(&self) -> Result<Uuid, Fault> {
        let mut random = [0; 10];
        self.entropy.fill(&mut random)?;
        let millis = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    async fn commit(&self, caller: Option<&Caller>, expect: Vec<Expect>, ops: Vec<Op>) -> Answer<Committed> {
        self.commit_ending(caller, expect, ops, &sharing::Ending::default()).await
    }

    /// A commit with which a book goes; that its shares end is told too.
    async fn commit_ending(
        &self,
        caller: Option<&Caller>,
        expect: Vec<Expect>,
        ops: Vec<Op>,
        ending: &sharing::Ending,
    ) -> Answer<Committed> {
        self.unlink_erased(&expect, &ops).await?;
        let actor = caller.map(|caller| caller.account);
        let at = self.clock.now();
        let mut events = audit::told::told(actor, at, &ops);
        if let Some((book, shares)) = &ending.shared {
            events.extend(audit::told::ended(actor, at, *book, shares));
        }
        let _changing = self.laid.changing(&ops);
        let moves = ops.iter().any(|op| matches!(op, Op::Collection(_) | Op::Account(_)));
        let client = caller.map(|caller| caller.client.to_owned()).filter(|client| !client.is_empty());
        let commit = Commit { events, client, ..Commit::new(actor, at, expect, ops) };
        let done = self.store.commit(&commit).await;
        if moves {
            self.shelves.changed();
        }
        done.map_err(|error| match error {
            CommitError::Unmet(unmet) => Stop::Refused(refusal(unmet)),
            CommitError::Store(error) => stop(error),
        })
    }
}

fn refusal(unmet: Unmet) -> Refusal {
    match unmet {
        Unmet::Expectation => Refusal::Unmet,
        Unmet::UidTaken(holder) => Refusal::UidTaken { holder },
        Unmet::NoCollection | Unmet::NoMember => Refusal::NotFound,
        Unmet::Taken => Refusal::Mapped,
        Unmet::NotTaken => Refusal::Object(ical::NotAdmitted::Component),
    }
}

/// When to try again what a disk refused; it takes longer to recover than a rival's commit.
const DISK_AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// How a store's failure is answered: a full store and one whose disk does not do its part are the
/// asker's to know, the rest is ours.
fn stop(error: StoreError) -> Stop {
    match error {
        StoreError::Engine(EngineError::Full) | StoreError::Keys(KeySlotsError::Full) => {
            Refusal::StoreFull.into()
        }
        StoreError::Engine(EngineError::Unavailable(_)) | StoreError::Keys(KeySlotsError::Io(_)) => {
            Refusal::Busy { retry_after: DISK_AGAIN }.into()
        }
        StoreError::Erased => Refusal::NotFound.into(),
        StoreError::Overtaken => Refusal::Busy { retry_after: std::time::Duration::from_secs(1) }.into(),
        other => fault(other).into(),
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        stop(error)
    }
}

fn fault(error: StoreError) -> Fault {
    Fault(error.to_string())
}
