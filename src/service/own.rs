//! The server's own group: it owns what is the server's, the staff's book and the trash, and nobody is
//! in it.

use crate::domain::id::{GroupName, Principal};
use crate::store::commit::{AccountOp, Op};
use crate::store::rows::{self, AccountRow};

use super::{Answer, Service};

/// The group and its home.
pub(super) const OWN: [u8; 16] = *b"cardkeep's group";
pub(super) const HOME: [u8; 16] = *b"its home for all";

impl Service {
    /// Makes the server's own group, if it is not there.
    pub(super) async fn lay_own_group(&self) -> Answer<()> {
        let own = Principal::Group(GroupName::own());
        if self.store.read().await?.principal(&own).await?.is_some() {
            return Ok(());
        }
        let row = AccountRow {
            id: OWN,
            name: own.as_str().to_owned(),
            created: rows::micros(self.clock.now()),
            home: HOME,
            group: true,
            ..AccountRow::default()
        };
        let create = Op::Account(AccountOp::Create(row));
        self.commit(None, Vec::new(), vec![create]).await.map(drop)
    }
}
