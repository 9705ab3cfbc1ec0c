//! Who is asking: account passwords (Argon2id), app passwords (160 random bits, one fast hash), a
//! cache of verdicts so that a phone's next request costs microseconds, and brakes against guessing.
//! No clear password is kept anywhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use crate::domain::event::EventKind;
use crate::domain::id::{AccountId, CollectionId, CollectionKind, UserName};
use crate::domain::permission::Permissions;
use crate::store::StoreError;
use crate::store::rows::{self, AccountRow, AppPasswordRow};

use super::access::{Caller, Reach};
use super::audit::Origin;
use super::people::permissions_of;
use super::refusal::{Fault, Refusal, Stop};
use super::{Entropy, Service, Settings};

mod bearer;
mod bind;
mod guesses;
pub(super) mod secret;

use guesses::{Guesses, Pace};

/// How long a verdict on a password is remembered without being asked for.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// How many verdicts are remembered.
const VERDICTS: u64 = 100_000;
/// How many checks may wait for their turn: a thousand phones after a restart, and as many again.
const WAITING: usize = 2048;
/// When a caller is told to come back who found the queue full.
const QUEUE_FULL: Duration = Duration::from_secs(5);

/// What one hashing of a password costs.
#[derive(Debug, Clone, Copy)]
pub struct Argon2Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Argon2Cost {
    fn default() -> Self {
        Self { memory_kib: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST }
    }
}

/// A name and a password as a client sent them. Has no `Debug`.
pub struct Credentials {
    /// The name, as sent.
    pub user: String,
    /// The password, as sent.
    pub password: String,
}

/// Where a client wants in: an app password opens DAV alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// DAV.
    Dav,
    /// The API.
    Api,
}

/// Why nobody is signed in.
#[derive(Debug, Clone)]
pub enum NotSignedIn {
    /// The name or the password is wrong, or the account may not sign in.
    Wrong,
    /// Too many wrong passwords for this account from this address (429).
    Slowed {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many checks are waiting (503).
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Ours.
    Failed(Fault),
}

/// A verdict on one name and password, true while the account's epoch stays.
#[derive(Clone, Copy)]
struct Verdict {
    account: [u8; 16],
    epoch: u64,
    right: bool,
}

type Credential = [u8; 32];

/// What sign-in remembers, in memory only.
pub(super) struct SignIn {
    key: [u8; 32],
    verdicts: Cache<Credential, Verdict>,
    checking: Mutex<HashMap<Credential, Arc<tokio::sync::Mutex<()>>>>,
    turns: Arc<Semaphore>,
    waiting: Semaphore,
    guesses: Guesses,
    binds: bind::Binds,
    argon2: Argon2<'static>,
    /// The hash of no password: checked for unknown names, so that they take as long.
    nobody: String,
}

impl SignIn {
    pub(super) fn new(settings: &Settings, entropy: &dyn Entropy) -> Result<Self, Fault> {
        let mut key = [0; 32];
        entropy.fill(&mut key)?;
        let cost = settings.argon2;
        let params = Params::new(cost.memory_kib, cost.passes, 1, None)
            .map_err(|_| Fault("the cost of password hashing is out of range".into()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, &key, &[0; 16])?;
        Ok(Self {
            key,
            verdicts: Cache::builder().max_capacity(VERDICTS).time_to_idle(REMEMBERED).build(),
            checking: Mutex::new(HashMap::new()),
            turns: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from))),
            waiting: Semaphore::new(WAITING),
            guesses: Guesses::new(settings.login_attempts),
            binds: bind::Binds::new(),
            argon2,
            nobody,
        })
    }

    fn credential(&self, name: &UserName, password: &str) -> Credential {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_str().as_bytes()).update(&[0]).update(password.as_bytes());
        *hasher.finalize().as_bytes()
    }

    fn remembered(&self, credential: &Credential, account: Option<&AccountRow>) -> Option<bool> {
        let (id, epoch) = identity(account);
        let verdict = self.verdicts.get(credential)?;
        (verdict.account == id && verdict.epoch == epoch).then_some(verdict.right)
    }

    /// Hashes a new password.
    pub(super) async fn hash(&self, password: String, salt: [u8; 16]) -> Result<String, Fault> {
        let argon2 = self.argon2.clone();
        let work = move || hash(&argon2, password.as_bytes(), &salt);
        tokio::task::spawn_blocking(work).await.map_err(|_| Fault("hashing a password failed".into()))?
    }

    /// Checks a password slowly, unless another request with the same credential just did: one check
    /// at a time per credential, as many at once as there are cores, and a bound on those waiting.
    async fn check(
        &self,
        credential: Credential,
        account: Option<&AccountRow>,
        password: String,
    ) -> Result<bool, NotSignedIn> {
        let busy = NotSignedIn::Busy { retry_after: QUEUE_FULL };
        let Ok(_place) = self.waiting.try_acquire() else { return Err(busy) };
        let gate = self.lock_checking().entry(credential).or_default().clone();
        let place = Checking { sign_in: self, credential, gate };
        let _guard = place.gate.lock().await;
        match self.remembered(&credential, account) {
            Some(right) => Ok(right),
            None => self.verify(credential, account, password).await,
        }
    }

    async fn verify(
        &self,
        credential: Credential,
        account: Option<&AccountRow>,
        password: String,
    ) -> Result<bool, NotSignedIn> {
        let failed = |text: &str| NotSignedIn::Failed(Fault(text.into()));
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| failed("sign-in is closed"))?;
        let known = account.and_then(|account| account.password.clone());
        let possible = known.is_some();
        let stored = known.unwrap_or_else(|| self.nobody.clone());
        let argon2 = self.argon2.clone();
        let work = move || {
            // The turn ends with the work, not with the request: a client that hangs up at once
            // would else start one costly check after another.
            let _turn = turn;
            match PasswordHash::new(&stored) {
                Ok(hash) => argon2.verify_password(password.as_bytes(), &hash).is_ok(),
                Err(_) => false,
            }
        };
        let matches = tokio::task::spawn_blocking(work).await;
        let right = matches.map_err(|_| failed("checking a password failed"))? && possible;
        let (account, epoch) = identity(account);
        self.verdicts.insert(credential, Verdict { account, epoch, right });
        Ok(right)
    }

    fn lock_checking(&self) -> std::sync::MutexGuard<'_, HashMap<Credential, Arc<tokio::sync::Mutex<()>>>> {
        self.checking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's place among those that check one credential; left even when the client hangs up.
struct Checking<'a> {
    sign_in: &'a SignIn,
    credential: Credential,
    gate: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Checking<'_> {
    fn drop(&mut self) {
        let mut checking = self.sign_in.lock_checking();
        // The map and this request hold the gate; nobody else waits for it.
        if Arc::strong_count(&self.gate) <= 2 {
            checking.remove(&self.credential);
        }
    }
}

impl Service {
    /// Signs a client in by name and password. Where it comes from is for slowing down guesses, and
    /// for what is told of it.
    pub async fn sign_in<'a>(
        &self,
        credentials: Credentials,
        from: impl Into<Origin<'a>>,
    ) -> Result<Caller, NotSignedIn> {
        self.sign_in_at(Door::Dav, credentials, from.into()).await
    }

    /// Signs a client in by name and password, where app passwords do not open every door.
    pub async fn sign_in_at(
        &self,
        door: Door,
        credentials: Credentials,
        from: Origin<'_>,
    ) -> Result<Caller, NotSignedIn> {
        let Credentials { user, password } = credentials;
        let Ok(name) = UserName::parse(&user) else {
            self.turned_away(EventKind::SignInFailed, None, from);
            return Err(NotSignedIn::Wrong);
        };
        let even = self.even();
        let reader = self.store.read().await.map_err(failed)?;
        let offered = secret::normal(&password);
        let (account, app) = reader.credentials(&name, &offered).await.map_err(failed)?;
        drop(reader);
        if let (Some(account), Some(app)) = (&account, &app)
            && door == Door::Dav
            && !app.api
            && app.account == account.id
            && account.enabled
        {
            let now = self.clock.now();
            if app.expires.is_none_or(|end| rows::time(end) > now) {
                self.audit.signed_in(AccountId::from_bytes(account.id), Some(app), from, now);
                return self.admitted(account, reach(app), Narrowed::App { foreign: app.foreign }).await;
            }
            self.audit.expired(app, from, now);
        }
        let credential = self.sign_in.credential(&name, &password);
        let known = self.sign_in.remembered(&credential, account.as_deref());
        let known = self.bound(&credential, account.as_deref()).or(known);
        let judged = match known {
            Some(true) => Ok(true),
            _ => self.check_paced(&name, from, credential, account.as_deref(), password).await,
        };
        match (judged, account) {
            (Ok(true), Some(account)) if account.enabled => {
                self.audit.signed_in(AccountId::from_bytes(account.id), None, from, self.clock.now());
                self.admitted(&account, (Reach::Write, Reach::Write), Narrowed::Not).await
            }
            (judged, account) => {
                let why = match judged {
                    // The password of an account that may not sign in.
                    Ok(_) => {
                        self.turned_away(EventKind::SignInFailed, account.as_deref(), from);
                        self.if_directory_answers(NotSignedIn::Wrong).await
                    }
                    Err(why) => why,
                };
                if let Some(even) = even {
                    even.await;
                }
                Err(why)
            }
        }
    }

    fn turned_away(&self, kind: EventKind, account: Option<&AccountRow>, from: Origin<'_>) {
        let account = account.map(|account| AccountId::from_bytes(account.id));
        self.audit.failed(kind, account, from, self.clock.now());
    }

    /// Checks a password that is not known to be right, at the pace that past guesses leave. What is
    /// said of a wrong one is the error.
    async fn check_paced(
        &self,
        name: &UserName,
        from: Origin<'_>,
        credential: Credential,
        account: Option<&AccountRow>,
        password: String,
    ) -> Result<bool, NotSignedIn> {
        let guess = self.sign_in.guesses.of(self.store.account_hash(name), from.address);
        let (reserved, turn, slow) = match guess.turn(credential).await {
            Pace::Free(reserved) => (Some(reserved), None, None),
            Pace::Slow { turn, retry_after } => (None, Some(turn), Some(retry_after)),
            Pace::Full { retry_after } => {
                self.turned_away(EventKind::SignInSlowed, account, from);
                return Err(NotSignedIn::Slowed { retry_after });
            }
        };
        let asked = self.binding(account).is_some() && !password.is_empty();
        let judged = self.judge(credential, account, password).await;
        match judged {
            Ok(true) => {
                guess.forgive();
                return Ok(true);
            }
            // What nobody can tell counts as well: else how often one may guess would tell who has a
            // password here. Before its place is given back, so that nobody takes that in between.
            Ok(false) | Err(NotSignedIn::Busy { .. }) => guess.count(),
            Err(_) => {}
        }
        drop((reserved, turn));
        judged?;
        let (kind, why) = match slow {
            Some(retry_after) => (EventKind::SignInSlowed, NotSignedIn::Slowed { retry_after }),
            None => (EventKind::SignInFailed, NotSignedIn::Wrong),
        };
        self.turned_away(kind, account, from);
        Err(if asked { why } else { self.if_directory_answers(why).await })
    }

    /// The caller, after what the first sign-in makes was made.
    async fn admitted(
        &self,
        account: &AccountRow,
        (contacts, calendars): (Reach, Reach),
        narrowed: Narrowed,
    ) -> Result<Caller, NotSignedIn> {
        let failed = |text: &str| NotSignedIn::Failed(Fault(text.into()));
        let name = UserName::parse(&account.name).map_err(|_| failed("an account has no valid name"))?;
        let (permissions, scopes, foreign) = match narrowed {
            Narrowed::Not => (permissions_of(account), Permissions::ALL, false),
            Narrowed::App { foreign } => (Permissions::NONE, Permissions::NONE, foreign),
            Narrowed::To { scopes, foreign } => (permissions_of(account).and(scopes), scopes, foreign),
        };
        let caller = Caller {
            account: AccountId::from_bytes(account.id),
            name,
            home: CollectionId::from_bytes(account.home),
            calendar_home: account.home_of(CollectionKind::Calendar),
            contacts,
            calendars,
            groups: account.groups.as_slice().into(),
            permissions,
            scopes,
            private: !foreign,
            client: "",
        };
        if account.provisioned && account.calendars_provisioned {
            return Ok(caller);
        }
        match self.provision(&caller, account.clone()).await {
            Ok(calendar_home) => Ok(Caller { calendar_home, ..caller }),
            // Another request was first.
            Err(Stop::Refused(_)) => Ok(caller),
            Err(Stop::Failed(fault)) => Err(NotSignedIn::Failed(fault)),
        }
    }
}

/// Whose verdict it is: the account and its epoch, or nobody.
fn identity(account: Option<&AccountRow>) -> ([u8; 16], u64) {
    account.map_or(([0; 16], 0), |account| (account.id, account.epoch))
}

/// What a store's failure means to who signs in.
fn failed(error: StoreError) -> NotSignedIn {
    match super::stop(error) {
        Stop::Refused(Refusal::Busy { retry_after }) => NotSignedIn::Busy { retry_after },
        Stop::Refused(refusal) => NotSignedIn::Failed(Fault(refusal.to_string())),
        Stop::Failed(fault) => NotSignedIn::Failed(fault),
    }
}

/// How a credential narrows what the account may.
enum Narrowed {
    /// Not at all: it is the account's password.
    Not,
    /// To DAV.
    App {
        /// Somebody else made it.
        foreign: bool,
    },
    /// To these permissions, of those that the account has at each request.
    To {
        /// What the token is for.
        scopes: Permissions,
        /// Somebody else made it.
        foreign: bool,
    },
}

/// What an app password's scopes allow for contacts and for calendars; none given is all of DAV.
fn reach(app: &AppPasswordRow) -> (Reach, Reach) {
    let named = |name: &str| app.scopes.iter().any(|scope| scope == name);
    let of = |all: &str, read: &str| match app.scopes.is_empty() {
        true => Reach::Write,
        false if named(all) => Reach::Write,
        false if named(read) => Reach::Read,
        false => Reach::None,
    };
    (of("dav:contacts", "dav:contacts:read"), of("dav:calendars", "dav:calendars:read"))
}

fn hash(argon2: &Argon2<'_>, password: &[u8], salt: &[u8]) -> Result<String, Fault> {
    match argon2.hash_password_with_salt(password, salt) {
        Ok(hash) => Ok(hash.to_string()),
        Err(_) => Err(Fault("hashing a password failed".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), crate::service::NoEntropy> {
            bytes.fill(0);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_leaves_no_trace_and_keeps_its_turn() {
        // Some tenths of a second, so that the check outlives the request.
        let argon2 = Argon2Cost { memory_kib: 64 << 10, passes: 4 };
        let sign_in = SignIn::new(&Settings { argon2, ..Settings::default() }, &Zeros).unwrap();
        let turns = sign_in.turns.available_permits();
        tokio::select! {
            biased;
            _ = sign_in.check([1; 32], None, "guess".into()) => panic!("a check takes longer"),
            () = ready(()) => {}
        }
        assert_eq!(sign_in.turns.available_permits(), turns - 1);
        assert!(sign_in.lock_checking().is_empty());
        assert_eq!(sign_in.waiting.available_permits(), WAITING);
        // The turn comes back once the work is done.
        let _all = sign_in.turns.acquire_many(u32::try_from(turns).unwrap()).await.unwrap();
    }
}
