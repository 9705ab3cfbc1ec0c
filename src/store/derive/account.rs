//! What follows from a change to an account: its row, its home, its app passwords.

use crate::domain::id::{CollectionId, UserName};
use crate::store::StoreError;
use crate::store::commit::{AccountOp, Unmet};
use crate::store::keys;
use crate::store::rows::{self, AccountRow, CollectionRow};

use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    pub(super) async fn account(&mut self, op: &AccountOp) -> Step<()> {
        match op {
            AccountOp::Create(row) => {
                let key = self.account_key(row)?;
                if self.value(key.clone()).await?.is_some() {
                    return Err(Halt::Unmet(Unmet::Taken));
                }
                let home = CollectionRow { owner: row.id, home: None, created: row.created, default: false };
                self.put(keys::collection(CollectionId::from_bytes(row.home)), rows::encode(&home));
                self.put(key, rows::encode(row));
                Ok(())
            }
            AccountOp::Update { before, after } => {
                let key = self.current(before).await?;
                self.put(key, rows::encode(after));
                Ok(())
            }
            AccountOp::Remove(row) => {
                let key = self.current(row).await?;
                self.delete(key);
                self.delete(keys::properties(&row.id));
                self.condemn(CollectionId::from_bytes(row.home), true);
                Ok(())
            }
            AccountOp::AddAppPassword(row) => {
                // A user name that returned is another account.
                match self.value(keys::account(&row.account_name)).await? {
                    Some(value) if rows::decode::<AccountRow>(&value)?.id == row.account => {}
                    _ => return Err(Halt::Unmet(Unmet::NoMember)),
                }
                if self.value(keys::app_password(&row.secret)).await?.is_some() {
                    return Err(Halt::Unmet(Unmet::Taken));
                }
                self.put(keys::app_password(&row.secret), rows::encode(row));
                self.put(keys::app_password_of(&row.account, &row.id), rows::encode(row));
                Ok(())
            }
            AccountOp::RemoveAppPassword(row) => {
                self.delete(keys::app_password(&row.secret));
                self.delete(keys::app_password_of(&row.account, &row.id));
                Ok(())
            }
        }
    }

    /// The account's key, once its row is still the one that the caller read.
    async fn current(&mut self, row: &AccountRow) -> Step<Vec<u8>> {
        let key = self.account_key(row)?;
        match self.value(key.clone()).await? {
            Some(value) if rows::decode::<AccountRow>(&value)? == *row => Ok(key),
            _ => Err(Halt::Unmet(Unmet::NoMember)),
        }
    }

    fn account_key(&self, row: &AccountRow) -> Step<Vec<u8>> {
        match UserName::parse(&row.name) {
            Ok(name) => Ok(keys::account(&self.sealer.user(&name))),
            Err(_) => Err(Halt::Failed(StoreError::Malformed("an account has no valid name"))),
        }
    }
}
