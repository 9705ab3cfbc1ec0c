//! Names of accounts by their ids: rows tell whose a book is by id, and people want to read a name.
//! What is remembered is looked up before it is believed, since accounts are renamed and removed.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::domain::id::Principal;
use crate::store::query::Reader;
use crate::store::rows::AccountRow;

use super::{Answer, Service};

/// The names that were found last.
#[derive(Default)]
pub(super) struct Names(RwLock<HashMap<[u8; 16], Principal>>);

impl Names {
    fn get(&self, id: &[u8; 16]) -> Option<Principal> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn replace(&self, accounts: &[AccountRow]) {
        let named = accounts.iter().filter_map(|account| Some((account.id, account.principal()?)));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = named.collect();
    }
}

impl Service {
    /// The account with that id; one read, unless it has another name than it had.
    pub(super) async fn account_of(&self, reader: &Reader, id: &[u8; 16]) -> Answer<Option<AccountRow>> {
        if let Some(name) = self.names.get(id)
            && let Some(account) = reader.principal(&name).await?
            && account.id == *id
        {
            return Ok(Some(account));
        }
        let accounts = reader.accounts().await?;
        self.names.replace(&accounts);
        Ok(accounts.into_iter().find(|account| account.id == *id))
    }

    /// The accounts with these ids, in their order; one read, unless one has another name than it had.
    pub(super) async fn accounts_of(
        &self,
        reader: &Reader,
        ids: &[[u8; 16]],
    ) -> Answer<Vec<Option<AccountRow>>> {
        let names: Option<Vec<_>> = ids.iter().map(|id| self.names.get(id)).collect();
        if let Some(names) = names {
            let rows = reader.principals(&names).await?;
            if rows.iter().zip(ids).all(|(row, id)| row.as_ref().is_some_and(|row| row.id == *id)) {
                return Ok(rows);
            }
        }
        let accounts = reader.accounts().await?;
        self.names.replace(&accounts);
        let by_id: HashMap<_, _> = accounts.into_iter().map(|account| (account.id, account)).collect();
        Ok(ids.iter().map(|id| by_id.get(id).cloned()).collect())
    }

    /// The name of the account with that id.
    pub(super) async fn named(&self, reader: &Reader, id: &[u8; 16]) -> Answer<Option<Principal>> {
        Ok(self.account_of(reader, id).await?.and_then(|account| account.principal()))
    }
}
