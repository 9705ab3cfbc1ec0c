//! Passwords that only the directory knows: it is asked by signing in there. What it said is
//! remembered for a minute, so that a phone's next requests do not ask again and a password that was
//! changed there is soon the only one. While it does not answer nobody is told that a password is
//! wrong: clients would forget it, and to be told so would tell who is no user of the directory.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::service::Service;
use crate::service::directory::{DirectoryError, DirectoryPort};
use crate::store::rows::AccountRow;

use super::{Checking, Credential, NotSignedIn, QUEUE_FULL, VERDICTS, Verdict, identity};

/// How long the directory's yes is believed. Its no is not remembered.
const BELIEVED: Duration = Duration::from_secs(60);
/// How long it may take.
const LONGEST: Duration = Duration::from_secs(10);
/// How many are asked at once.
const AT_ONCE: usize = 32;
/// When a client is told to come back while it does not answer.
const DOWN: Duration = Duration::from_secs(30);
/// Before that no wrong password is answered where there is a directory: who is unknown costs an
/// Argon2 hash, who is known there costs what the directory takes, and the difference would tell
/// which names there are. Both take a fraction of it.
const EVEN: Duration = Duration::from_millis(300);

/// What is remembered of the directory's answers, in memory only.
pub(super) struct Binds {
    right: Cache<Credential, Verdict>,
    turns: Arc<Semaphore>,
}

impl Binds {
    pub(super) fn new() -> Self {
        Self {
            right: Cache::builder().max_capacity(VERDICTS).time_to_live(BELIEVED).build(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    fn remembered(&self, credential: &Credential, account: &AccountRow) -> bool {
        let verdict = self.right.get(credential);
        verdict.is_some_and(|verdict| (verdict.account, verdict.epoch) == identity(Some(account)))
    }

    /// Asks the directory, when it is its turn. What panics there fails here; and it ends with this
    /// request.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, DirectoryError>> + Send + 'static,
    ) -> Result<T, String> {
        let turn = self.turns.clone().acquire_owned().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _turn = turn;
            question.await
        });
        match tasks.join_next().await {
            Some(Ok(answer)) => answer.map_err(|error| error.to_string()),
            Some(Err(_)) | None => Err("asking the directory failed by a defect of ours".to_owned()),
        }
    }
}

/// An entry of the directory. Has no `Debug`.
pub(super) struct Entry {
    dn: String,
    id: String,
}

impl Service {
    /// The directory, and the entry by which it knows the account, where it is to say
    /// whether a password is right. A password set here goes before; who went is not asked for.
    pub(super) fn binding(&self, account: Option<&AccountRow>) -> Option<(DirectoryPort, Entry)> {
        let settings = self.settings.directory.as_ref()?;
        let account = account.filter(|account| account.enabled && account.password.is_none())?;
        let origin = account.origin.as_ref().filter(|origin| !origin.gone && !origin.dn.is_empty())?;
        let entry = Entry { dn: origin.dn.clone(), id: origin.id.clone() };
        Some((settings.port.clone(), entry))
    }

    /// What the directory said of a password within the last minute, if that was yes.
    pub(super) fn bound(&self, credential: &Credential, account: Option<&AccountRow>) -> Option<bool> {
        self.binding(account)?;
        self.sign_in.binds.remembered(credential, account?).then_some(true)
    }

    /// Whether a password is right, by whoever knows it.
    pub(super) async fn judge(
        &self,
        credential: Credential,
        account: Option<&AccountRow>,
        password: String,
    ) -> Result<bool, NotSignedIn> {
        match (self.binding(account), account) {
            // Without a password a directory signs in nobody, and says yes (RFC 4513 §5.1.2).
            (Some((port, entry)), Some(account)) if !password.is_empty() => {
                self.ask(port, entry, credential, account, password).await
            }
            _ => self.sign_in.check(credential, account, password).await,
        }
    }

    async fn ask(
        &self,
        port: DirectoryPort,
        entry: Entry,
        credential: Credential,
        account: &AccountRow,
        password: String,
    ) -> Result<bool, NotSignedIn> {
        let (sign_in, binds) = (&self.sign_in, &self.sign_in.binds);
        let busy = |retry_after| Err(NotSignedIn::Busy { retry_after });
        let Ok(_place) = sign_in.waiting.try_acquire() else { return busy(QUEUE_FULL) };
        let gate = sign_in.lock_checking().entry(credential).or_default().clone();
        let place = Checking { sign_in, credential, gate };
        let asked = async {
            let _guard = place.gate.lock().await;
            if binds.remembered(&credential, account) {
                return Ok(true);
            }
            binds.ask(async move { port.0.bind(&entry.dn, &entry.id, &password).await }).await
        };
        match in_time(asked).await {
            Ok(right) => {
                if right {
                    let (id, epoch) = identity(Some(account));
                    binds.right.insert(credential, Verdict { account: id, epoch, right });
                }
                Ok(right)
            }
            Err(error) => {
                tracing::warn!(error, "a password could not be checked");
                busy(DOWN)
            }
        }
    }

    /// Until then whoever is not signed in waits, so that everybody is answered at the same time.
    pub(super) fn even(&self) -> Option<tokio::time::Sleep> {
        self.settings.directory.as_ref().map(|_| tokio::time::sleep(EVEN))
    }

    /// What those are told of a wrong password of whom the directory was not asked: while it does not
    /// answer, no more than those whom it knows. It is asked each time, for whoever else asks learns of
    /// it each time too.
    pub(super) async fn if_directory_answers(&self, told: NotSignedIn) -> NotSignedIn {
        let Some(port) = self.settings.directory.as_ref().map(|directory| directory.port.clone()) else {
            return told;
        };
        match in_time(self.sign_in.binds.ask(async move { port.0.answers().await })).await {
            Ok(()) => told,
            Err(_) => NotSignedIn::Busy { retry_after: DOWN },
        }
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let answer = tokio::time::timeout(LONGEST, asked).await;
    answer.unwrap_or_else(|_| Err("the directory takes too long to answer".to_owned()))
}
