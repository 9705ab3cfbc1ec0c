//! What follows from a change to an account: its row, its home, its app passwords.

use crate::domain::id::CollectionKind;
use crate::store::StoreError;
use crate::store::commit::{AccountOp, Unmet};
use crate::store::keys;
use crate::store::keyslots::Slot;
use crate::store::owner::Owner;
use crate::store::rows::{AccountRow, AppPasswordRow, CollectionRow};
use crate::store::seal::Sealer;

use super::collection::Ends;
use super::{Derivation, Halt, Step};

impl Derivation<'_> {
    pub(super) async fn account(&mut self, op: &AccountOp) -> Step<()> {
        match op {
            AccountOp::Create(row) => {
                let key = self.account_key(row)?;
                if self.value(key.clone()).await?.is_some() {
                    return Err(Halt::Unmet(Unmet::Taken));
                }
                for kind in CollectionKind::ALL {
                    self.lay_home(row, kind)?;
                }
                let slot = self.new_key(Owner::account(row.id))?;
                let value = self.sealer.encode_sealed(slot, &key, row)?;
                self.put(key, value);
                Ok(())
            }
            AccountOp::Update { before, after } => {
                let (key, slot) = self.current(before).await?;
                if before.calendars.is_none() {
                    self.lay_home(after, CollectionKind::Calendar)?;
                }
                let value = self.sealer.encode_sealed(slot, &key, after)?;
                self.put(key, value);
                Ok(())
            }
            AccountOp::Rename { before, after, passwords } => self.rename(before, after, passwords).await,
            AccountOp::Remove(row) => {
                let (key, slot) = self.current(row).await?;
                self.delete(key);
                self.delete(keys::properties(&row.id));
                self.destroy_key(slot, Owner::account(row.id));
                for home in CollectionKind::ALL.into_iter().filter_map(|kind| row.home_of(kind)) {
                    let slot = Slot(self.need_collection(home).await?.slot);
                    self.condemn(home, slot, Ends::Home);
                }
                Ok(())
            }
            AccountOp::AddAppPassword(row) => {
                // A user name that returned is another account.
                let account = keys::account(&row.account_name);
                let slot = match self.value(account.clone()).await? {
                    Some(value) if self.read_account(&account, &value)?.id == row.account => {
                        Sealer::slot_of(&value)?
                    }
                    _ => return Err(Halt::Unmet(Unmet::NoMember)),
                };
                if self.value(keys::app_password(&row.secret)).await?.is_some() {
                    return Err(Halt::Unmet(Unmet::Taken));
                }
                self.put_password(slot, row)
            }
            AccountOp::UpdateAppPassword(row) => {
                let key = keys::app_password_of(&row.account, &row.id);
                let value = self.value(key.clone()).await?.ok_or(Halt::Unmet(Unmet::NoMember))?;
                let now: AppPasswordRow = self.sealer.decode_sealed(&key, &value)?;
                // Both may have moved since the row was read, which is no reason to undo that.
                let row = AppPasswordRow { used: now.used, account_name: now.account_name, ..row.clone() };
                self.put_password(Sealer::slot_of(&value)?, &row)
            }
            AccountOp::UseAppPassword { account, id, used } => {
                let key = keys::app_password_of(&account.0, &id.0);
                let Some(value) = self.value(key.clone()).await? else { return Ok(()) };
                let row: AppPasswordRow = self.sealer.decode_sealed(&key, &value)?;
                // Several uses may be noted by several flushes; the latest stays.
                if row.used.as_ref().is_some_and(|known| known.at > used.at) {
                    return Ok(());
                }
                let slot = Sealer::slot_of(&value)?;
                self.put_password(slot, &AppPasswordRow { used: Some(used.clone()), ..row })
            }
            AccountOp::RemoveAppPassword(row) => {
                self.delete(keys::app_password(&row.secret));
                self.delete(keys::app_password_of(&row.account, &row.id));
                Ok(())
            }
        }
    }

    /// Makes an account's home of that kind, if it is to have one.
    fn lay_home(&mut self, account: &AccountRow, kind: CollectionKind) -> Step<()> {
        let Some(id) = account.home_of(kind) else { return Ok(()) };
        let row = CollectionRow {
            owner: account.id,
            created: account.created,
            slot: self.new_key(Owner::collection(*id.as_bytes()))?.0,
            identity: *id.as_bytes(),
            calendar: kind == CollectionKind::Calendar,
            ..CollectionRow::default()
        };
        self.put_collection(id, &row);
        Ok(())
    }

    /// Another name is another key: the row moves there, and app passwords name it.
    async fn rename(
        &mut self,
        before: &AccountRow,
        after: &AccountRow,
        passwords: &[AppPasswordRow],
    ) -> Step<()> {
        let (from, slot) = self.current(before).await?;
        let to = self.account_key(after)?;
        if to != from {
            if self.value(to.clone()).await?.is_some() {
                return Err(Halt::Unmet(Unmet::Taken));
            }
            self.delete(from);
        }
        let value = self.sealer.encode_sealed(slot, &to, after)?;
        let name = keys::owner(&to).ok_or(Halt::Failed(StoreError::Malformed("an account's key")))?;
        self.put(to, value);
        for password in passwords {
            self.put_password(slot, &AppPasswordRow { account_name: name, ..password.clone() })?;
        }
        Ok(())
    }

    /// App passwords are there twice: by their secret, and by their account.
    fn put_password(&mut self, slot: Slot, row: &AppPasswordRow) -> Step<()> {
        for key in [keys::app_password(&row.secret), keys::app_password_of(&row.account, &row.id)] {
            let value = self.sealer.encode_sealed(slot, &key, row)?;
            self.put(key, value);
        }
        Ok(())
    }

    /// The account's key and key slot, once its row is still the one that the caller read.
    async fn current(&mut self, row: &AccountRow) -> Step<(Vec<u8>, Slot)> {
        let key = self.account_key(row)?;
        match self.value(key.clone()).await? {
            Some(value) if self.read_account(&key, &value)? == *row => Ok((key, Sealer::slot_of(&value)?)),
            _ => Err(Halt::Unmet(Unmet::NoMember)),
        }
    }

    fn read_account(&self, key: &[u8], value: &[u8]) -> Step<AccountRow> {
        Ok(self.sealer.decode_sealed(key, value)?)
    }

    fn account_key(&self, row: &AccountRow) -> Step<Vec<u8>> {
        match row.principal() {
            Some(name) => Ok(keys::account(&self.sealer.principal(&name))),
            None => Err(Halt::Failed(StoreError::Malformed("an account has no valid name"))),
        }
    }
}
