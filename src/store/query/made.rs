//! Keyed hashes of what is made from stored things and not stored itself.

use crate::domain::id::{AccountId, Etag};
use crate::store::keys::Hash;

use super::Reader;

impl Reader {
    /// The entity tag of octets that are made anew whenever they are asked for: the same octets have the
    /// same one.
    pub fn etag_of(&self, octets: &[u8]) -> Etag {
        self.sealer().etag(0, octets)
    }

    /// The mark of what was issued to an account, which nobody else can make.
    pub fn issued(&self, account: AccountId, what: &[u8]) -> Hash {
        self.sealer().issued(account.as_bytes(), what)
    }
}
