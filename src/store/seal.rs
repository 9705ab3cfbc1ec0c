//! What everything personal passes on its way to the engine: keyed hashes for the values that keys
//! are made of, entity tags, and the envelope of values. The envelope's first byte says how the
//! rest is kept; `CLEAR` is the only kind yet.

use crate::domain::id::{Etag, MemberName, Uid, UserName};

use super::StoreError;
use super::keys::Hash;

/// The envelope of a value that is kept as it is.
const CLEAR: u8 = 0;

/// What a hash is of: the same text in two roles has two hashes.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Role {
    User = 1,
    Member = 2,
    Uid = 3,
    Secret = 4,
}

/// The installation's secrets, random, made when the store is.
#[derive(Clone)]
pub struct Sealer {
    index: [u8; 32],
    etag: [u8; 32],
}

impl Sealer {
    /// How many random bytes a sealer is made of.
    pub const SECRET: usize = 64;

    /// Takes the installation's secret bytes.
    pub fn new(secret: &[u8; Self::SECRET]) -> Self {
        let (index, etag) = secret.split_at(32);
        let part = |half: &[u8]| blake3::hash(half).into();
        Self { index: part(index), etag: part(etag) }
    }

    /// The key form of a user's name.
    pub fn user(&self, name: &UserName) -> Hash {
        self.hash(Role::User, &[name.as_str().as_bytes()])
    }

    /// The key form of a member's name in its collection.
    pub fn member(&self, collection: &[u8; 16], name: &MemberName) -> Hash {
        self.hash(Role::Member, &[collection, name.as_str().as_bytes()])
    }

    /// The key form of a UID in its collection.
    pub fn uid(&self, collection: &[u8; 16], uid: &Uid) -> Hash {
        self.hash(Role::Uid, &[collection, uid.as_str().as_bytes()])
    }

    /// The key form of an app password: random, so that a fast hash is safe.
    pub fn secret(&self, secret: &str) -> Hash {
        self.hash(Role::Secret, &[secret.as_bytes()])
    }

    /// The entity tag of a card: a keyed hash of its bytes and its version, so that a tag never
    /// returns for another body at the same URL and tells nothing of the body (HTTP-2).
    pub fn etag(&self, version: u64, body: &[u8]) -> Etag {
        let mut hasher = blake3::Hasher::new_keyed(&self.etag);
        hasher.update(&version.to_be_bytes()).update(body);
        Etag(first_half(hasher.finalize()))
    }

    fn hash(&self, role: Role, parts: &[&[u8]]) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.index);
        hasher.update(&[role as u8]);
        parts.iter().for_each(|part| {
            hasher.update(part);
        });
        first_half(hasher.finalize())
    }
}

fn first_half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    half
}

/// Appends a value's envelope to what is already in `out`.
pub fn seal(out: &mut Vec<u8>, plain: &[u8]) {
    out.reserve(1 + plain.len());
    out.push(CLEAR);
    out.extend_from_slice(plain);
}

/// Opens an envelope.
pub fn open(sealed: &[u8]) -> Result<&[u8], StoreError> {
    match sealed.split_first() {
        Some((&CLEAR, plain)) => Ok(plain),
        _ => Err(StoreError::Damaged("a value's envelope cannot be opened")),
    }
}
