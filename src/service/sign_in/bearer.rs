//! API tokens: as random as app passwords, told without a name. Who guesses at them is braked by
//! address alone; one that is right never waits.

use crate::domain::event::EventKind;
use crate::domain::id::AccountId;
use crate::domain::permission::{Permission, Permissions};
use crate::service::access::{Caller, Reach};
use crate::service::audit::Origin;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::keys::Hash;
use crate::store::rows::{self, AppPasswordRow};

use super::guesses::Pace;
use super::{Narrowed, NotSignedIn, failed, secret};

/// The name under which guesses at tokens are counted; no account's name hashes to it.
const TOKENS: Hash = [0; 16];

impl Service {
    /// Signs a client in by an API token.
    pub async fn sign_in_by_token(&self, token: &str, from: Origin<'_>) -> Result<Caller, NotSignedIn> {
        let now = self.clock.now();
        let ended = |row: &AppPasswordRow| row.expires.is_some_and(|end| rows::time(end) <= now);
        let reader = self.store.read().await.map_err(failed)?;
        let row = reader.token(&secret::normal(token)).await.map_err(failed)?;
        let row = row.filter(|row| row.api);
        if let Some(row) = row.as_ref().filter(|row| ended(row)) {
            self.audit.expired(row, from, now);
        }
        let row = row.filter(|row| !ended(row));
        let account = match &row {
            Some(row) => reader.account_at(&row.account_name).await.map_err(failed)?,
            None => None,
        };
        drop(reader);
        if let (Some(row), Some(account)) = (&row, account)
            && row.account == account.id
            && account.enabled
            && !account.group
        {
            let scopes = match row.scopes.is_empty() {
                true => Permissions::ALL,
                false => Permissions::of(row.scopes.iter().map(String::as_str)),
            };
            self.audit.signed_in(AccountId::from_bytes(account.id), Some(row), from, now);
            let narrowed = Narrowed::To { scopes, foreign: row.foreign };
            return self.admitted(&account, reach(scopes), narrowed).await;
        }
        let guess = self.sign_in.guesses.of(TOKENS, from.address);
        let credential = *blake3::hash(secret::normal(token).as_bytes()).as_bytes();
        match guess.turn(credential).await {
            Pace::Free(_reserved) => {
                guess.count();
                self.turned_away(EventKind::SignInFailed, None, from);
                Err(NotSignedIn::Wrong)
            }
            Pace::Slow { retry_after, .. } | Pace::Full { retry_after } => {
                guess.count();
                self.turned_away(EventKind::SignInSlowed, None, from);
                Err(NotSignedIn::Slowed { retry_after })
            }
        }
    }

    /// An account as it may act now with a credential that is for this; none where it may not sign in.
    pub(in crate::service) async fn acting_for(
        &self,
        account: AccountId,
        scopes: Permissions,
        foreign: bool,
    ) -> Answer<Option<Caller>> {
        let reader = self.store.read().await?;
        let row = self.account_of(&reader, account.as_bytes()).await?;
        drop(reader);
        let Some(row) = row.filter(|row| row.enabled && !row.group) else { return Ok(None) };
        match self.admitted(&row, reach(scopes), Narrowed::To { scopes, foreign }).await {
            Ok(caller) => Ok(Some(caller)),
            Err(NotSignedIn::Busy { retry_after } | NotSignedIn::Slowed { retry_after }) => {
                Err(Refusal::Busy { retry_after }.into())
            }
            Err(NotSignedIn::Failed(fault)) => Err(fault.into()),
            Err(NotSignedIn::Wrong) => Ok(None),
        }
    }
}

/// What a token's scopes allow with contacts, and with calendars.
fn reach(scopes: Permissions) -> (Reach, Reach) {
    let of = |all: Permission, read: Permission| match (scopes.has(all), scopes.has(read)) {
        (true, _) => Reach::Write,
        (false, true) => Reach::Read,
        (false, false) => Reach::None,
    };
    (
        of(Permission::ContactsWrite, Permission::ContactsRead),
        of(Permission::Followups, Permission::Followups),
    )
}
