//! API tokens: as random as app passwords, told without a name. Who guesses at them is braked by
//! address alone; one that is right never waits.

use std::net::IpAddr;

use crate::domain::permission::{Permission, Permissions};
use crate::service::Service;
use crate::service::access::{Caller, Reach};
use crate::store::keys::Hash;
use crate::store::rows;

use super::guesses::Pace;
use super::{Narrowed, NotSignedIn, failed, secret};

/// The name under which guesses at tokens are counted; no account's name hashes to it.
const TOKENS: Hash = [0; 16];

impl Service {
    /// Signs a client in by an API token.
    pub async fn sign_in_by_token(&self, token: &str, address: IpAddr) -> Result<Caller, NotSignedIn> {
        let reader = self.store.read().await.map_err(failed)?;
        let row = reader.token(&secret::normal(token)).await.map_err(failed)?;
        let row =
            row.filter(|row| row.api && row.expires.is_none_or(|end| rows::time(end) > self.clock.now()));
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
            return self.admitted(&account, reach(scopes), Narrowed::To(scopes)).await;
        }
        let guess = self.sign_in.guesses.of(TOKENS, address);
        match guess.turn().await {
            Pace::Free => {
                guess.count();
                Err(NotSignedIn::Wrong)
            }
            Pace::Slow { retry_after, .. } | Pace::Full { retry_after } => {
                guess.count();
                Err(NotSignedIn::Slowed { retry_after })
            }
        }
    }
}

/// What a token's scopes allow with contacts.
fn reach(scopes: Permissions) -> Reach {
    match (scopes.has(Permission::ContactsWrite), scopes.has(Permission::ContactsRead)) {
        (true, _) => Reach::Write,
        (false, true) => Reach::Read,
        (false, false) => Reach::None,
    }
}
