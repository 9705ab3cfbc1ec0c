//! Principals: who there is, as far as the caller may know (ACL-23).

use crate::domain::id::{AccountId, UserName};
use crate::store::{StoreError, rows};

use super::access::{Belongs, Caller, rights};
use super::refusal::Refusal;
use super::resolve::property;
use super::view::PrincipalView;
use super::{Answer, Service};

impl Service {
    /// A principal; others than the caller do not exist for it while nothing is shared.
    pub async fn principal(&self, caller: &Caller, name: &UserName) -> Answer<PrincipalView> {
        if caller.name != *name {
            return Err(Refusal::NotFound.into());
        }
        let reader = self.store.read().await?;
        let account = reader.account(name).await?.ok_or(Refusal::NotFound)?;
        let (properties, unreadable) = match reader.properties(&account.id).await {
            Err(StoreError::Damaged(_)) => (Vec::new(), true),
            properties => (properties?, false),
        };
        Ok(PrincipalView {
            account: AccountId::from_bytes(account.id),
            name: name.clone(),
            display_name: account.display_name.unwrap_or(account.name),
            email: account.email,
            created: rows::time(account.created),
            rights: rights(caller, Belongs::To(name)),
            properties: properties.into_iter().map(property).collect(),
            unreadable,
        })
    }

    /// Every principal that the caller may know of.
    pub async fn principals(&self, caller: &Caller) -> Answer<Vec<PrincipalView>> {
        Ok(vec![self.principal(caller, &caller.name).await?])
    }
}
