//! What everything personal passes on its way to the engine: sealing with the owner's data key,
//! marks on what is kept in clear, keyed hashes for the values that keys are made of, entity tags.
//!
//! A value ends in an envelope, whose first byte says how the rest is kept:
//!
//! | byte | then | for |
//! | --- | --- | --- |
//! | 0 bare | the clear row | the format number alone, which must be readable without keys |
//! | 1 sealed | key slot (4), nonce (12), ciphertext, tag (16): AES-256-GCM | what is about a person |
//! | 2 marked | keyed BLAKE3 mark (16), the clear row | ids, hashes and numbers |
//! | 3 null | key slot (4), the clear row | benchmarks only |
//!
//! What comes before an envelope in the value, and the row's key, are its place: associated data of
//! the seal and input of the mark, so that a record that was swapped or altered is noticed.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::{Bytes, BytesMut};

use crate::domain::id::{Etag, GroupName, MemberName, Principal, Uid, UserName};

use super::StoreError;
use super::entropy::{Entropy, NoEntropy};
use super::keys::Hash;
use super::keyslots::{DataKey, KeySlots, Slot};

const BARE: u8 = 0;
const SEALED: u8 = 1;
const MARKED: u8 = 2;
const NULL: u8 = 3;

/// The length of a key slot's number in an envelope.
const SLOT: usize = 4;
/// The length of a seal's tag.
const TAG: usize = 16;
/// What a sealed envelope has in front of its ciphertext.
const HEAD: usize = 1 + SLOT + NONCE_LEN;
/// The length of a mark.
const MARK: usize = 16;

const FORGED: StoreError = StoreError::Damaged("a value is not what was written there");
const KEYLESS: StoreError = StoreError::Damaged("a data key cannot be read");

/// What a hash is of: the same text in two roles has two hashes.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Role {
    User = 1,
    Member = 2,
    Uid = 3,
    Secret = 4,
    Group = 5,
    Token = 6,
}

/// The keyed hashes of an installation, made of its secret.
#[derive(Clone)]
pub struct Hashes {
    index: [u8; 32],
    etag: [u8; 32],
    mark: [u8; 32],
}

impl Hashes {
    /// How many random bytes the hashes are made of.
    pub const SECRET: usize = 32;

    /// Takes the installation's secret.
    pub fn new(secret: &[u8; Self::SECRET]) -> Self {
        Self {
            index: blake3::derive_key("cardkeep 2026 index keys", secret),
            etag: blake3::derive_key("cardkeep 2026 entity tags", secret),
            mark: blake3::derive_key("cardkeep 2026 marks of clear rows", secret),
        }
    }

    /// The key form of a user's name.
    pub fn user(&self, name: &UserName) -> Hash {
        self.hash(Role::User, &[name.as_str().as_bytes()])
    }

    /// The key form of a group's name.
    pub fn group(&self, name: &GroupName) -> Hash {
        self.hash(Role::Group, &[name.as_str().as_bytes()])
    }

    /// The key form of a user's or a group's name.
    pub fn principal(&self, name: &Principal) -> Hash {
        match name {
            Principal::User(name) => self.user(name),
            Principal::Group(name) => self.group(name),
        }
    }

    /// The key form of a member's name in its collection.
    pub fn member(&self, collection: &[u8; 16], name: &MemberName) -> Hash {
        self.hash(Role::Member, &[collection, name.as_str().as_bytes()])
    }

    /// The key form of a UID in its collection.
    pub fn uid(&self, collection: &[u8; 16], uid: &Uid) -> Hash {
        self.hash(Role::Uid, &[collection, uid.as_str().as_bytes()])
    }

    /// The key form of a UID wherever it is.
    pub fn uid_anywhere(&self, uid: &Uid) -> Hash {
        self.hash(Role::Uid, &[&[0; 16], uid.as_str().as_bytes()])
    }

    /// The key form of an app password: random, so that a fast hash is safe.
    pub fn secret(&self, secret: &str) -> Hash {
        self.hash(Role::Secret, &[secret.as_bytes()])
    }

    /// The mark of what was issued to an account.
    pub fn issued(&self, account: &[u8; 16], what: &[u8]) -> Hash {
        self.hash(Role::Token, &[account, what])
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

    /// The mark of a clear row at its place.
    fn mark(&self, key: &[u8], clear: &[u8]) -> [u8; MARK] {
        let length = u64::try_from(key.len()).unwrap_or(u64::MAX);
        let mut hasher = blake3::Hasher::new_keyed(&self.mark);
        hasher.update(&length.to_be_bytes()).update(key).update(clear);
        first_half(hasher.finalize())
    }
}

fn first_half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    half
}

/// Where an envelope lies: the row's key, and what the value holds before the envelope.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The row's key; of a change row, the key without its revision.
    pub key: &'a [u8],
    /// The clear bytes before the envelope, without the revision that the engine writes.
    pub front: &'a [u8],
}

impl<'a> At<'a> {
    /// A value that is nothing but its envelope.
    pub fn key(key: &'a [u8]) -> Self {
        Self { key, front: &[] }
    }

    fn associated(self) -> Aad<Associated<'a>> {
        associated(self.key, self.front)
    }
}

/// The associated data of a place.
enum Associated<'a> {
    Key(&'a [u8]),
    Short(usize, [u8; SHORT]),
    Long(Vec<u8>),
}

/// The places of cards and bodies, which are nearly all that have a front, are shorter than this.
const SHORT: usize = 96;

impl AsRef<[u8]> for Associated<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Key(key) => key,
            Self::Short(length, bytes) => bytes.get(..*length).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

fn associated<'k>(key: &'k [u8], front: &[u8]) -> Aad<Associated<'k>> {
    let mut bytes = [0; SHORT];
    Aad::from(match bytes.get_mut(..key.len() + front.len()) {
        _ if front.is_empty() => Associated::Key(key),
        Some(short) => {
            short.iter_mut().zip(key.iter().chain(front)).for_each(|(to, from)| *to = *from);
            Associated::Short(key.len() + front.len(), bytes)
        }
        None => Associated::Long([key, front].concat()),
    })
}

/// Seals, opens, marks and hashes. One for a store.
pub struct Sealer {
    hashes: Hashes,
    slots: Arc<KeySlots>,
    nonces: Mutex<blake3::OutputReader>,
    /// The installation's own slot.
    installation: Slot,
    /// Leave everything in clear: what sealing costs is measured against this.
    null: bool,
}

impl std::ops::Deref for Sealer {
    type Target = Hashes;

    fn deref(&self) -> &Hashes {
        &self.hashes
    }
}

impl Sealer {
    /// A sealer over the key slots, of which one is the installation's; nonces come from a stream that `entropy` seeds.
    pub fn new(
        hashes: Hashes,
        slots: Arc<KeySlots>,
        installation: Slot,
        entropy: &dyn Entropy,
        null: bool,
    ) -> Result<Self, NoEntropy> {
        let mut seed = [0; 32];
        entropy.fill(&mut seed)?;
        let nonces = Mutex::new(blake3::Hasher::new_keyed(&seed).finalize_xof());
        Ok(Self { hashes, slots, nonces, installation, null })
    }

    /// The installation's key slot.
    pub fn installation(&self) -> Slot {
        self.installation
    }

    /// The key slots.
    pub fn slots(&self) -> &Arc<KeySlots> {
        &self.slots
    }

    /// The keyed hashes.
    pub fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// Appends a sealed envelope to `value`, which so far holds `skip` bytes that the engine will
    /// overwrite and then what comes before the envelope.
    pub fn seal(
        &self,
        slot: Slot,
        key: &[u8],
        value: &mut Vec<u8>,
        skip: usize,
        plain: &[u8],
    ) -> Result<(), StoreError> {
        value.reserve(HEAD + plain.len() + TAG);
        let front = value.len();
        let place = associated(key, value.get(skip..).unwrap_or_default());
        if self.null {
            value.push(NULL);
            value.extend_from_slice(&slot.0.to_be_bytes());
            value.extend_from_slice(plain);
            return Ok(());
        }
        let data_key = key_in(&self.slots, slot)?;
        let nonce = self.nonce();
        value.push(SEALED);
        value.extend_from_slice(&slot.0.to_be_bytes());
        value.extend_from_slice(&nonce);
        value.extend_from_slice(plain);
        let text = value.get_mut(front + HEAD..).unwrap_or_default();
        let tag = cipher(&data_key)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), place, text)
            .map_err(|_| StoreError::Malformed("a value cannot be sealed"))?;
        value.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens a sealed envelope.
    pub fn open(&self, at: At<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut plain = Vec::new();
        self.open_into(at, sealed, &mut plain)?;
        Ok(plain)
    }

    /// Opens a sealed envelope into a buffer whose content it replaces.
    pub fn open_into(&self, at: At<'_>, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), StoreError> {
        plain.clear();
        let envelope = Envelope::read(sealed)?;
        plain.extend_from_slice(envelope.rest);
        let length = match envelope.nonce {
            Some(nonce) => self.open_in_place(at, envelope.slot, nonce, plain)?,
            None if self.null => plain.len(),
            None => return Err(FORGED),
        };
        plain.truncate(length);
        Ok(())
    }

    /// Opens the envelope that begins `front` bytes into a value, in the value's own memory where
    /// nobody else holds it.
    pub fn open_bytes(&self, key: &[u8], value: Bytes, front: usize) -> Result<Bytes, StoreError> {
        let (before, sealed) = value.split_at_checked(front).ok_or(FORGED)?;
        let before = before.to_vec();
        let envelope = Envelope::read(sealed)?;
        let (slot, nonce) = (envelope.slot, envelope.nonce);
        let Some(nonce) = nonce else {
            return if self.null { Ok(value.slice(front + 1 + SLOT..)) } else { Err(FORGED) };
        };
        let mut value = value.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        let mut text = value.split_off(front + HEAD);
        let length = self.open_in_place(At { key, front: &before }, slot, nonce, &mut text)?;
        text.truncate(length);
        Ok(text.freeze())
    }

    /// Whose slot an envelope names; it is believed only once the envelope was opened.
    pub fn slot_of(sealed: &[u8]) -> Result<Slot, StoreError> {
        Ok(Envelope::read(sealed)?.slot)
    }

    /// Names another slot in the sealed envelope that begins `front` bytes into a value: for a key
    /// that lies elsewhere now. The seal is not bound to the slot.
    pub fn readdress(value: &mut [u8], front: usize, slot: Slot) -> Result<(), StoreError> {
        match value.get_mut(front..).and_then(<[u8]>::split_first_mut) {
            Some((&mut SEALED, rest)) => {
                let number = rest.first_chunk_mut::<SLOT>().ok_or(FORGED)?;
                *number = slot.0.to_be_bytes();
                Ok(())
            }
            _ => Err(FORGED),
        }
    }

    /// Appends a marked envelope to `value`.
    pub fn mark_into(&self, key: &[u8], value: &mut Vec<u8>, clear: &[u8]) {
        value.reserve(1 + MARK + clear.len());
        value.push(MARKED);
        value.extend_from_slice(&self.hashes.mark(key, clear));
        value.extend_from_slice(clear);
    }

    /// The clear row of a marked envelope.
    pub fn unmark<'v>(&self, key: &[u8], marked: &'v [u8]) -> Result<&'v [u8], StoreError> {
        let Some((&MARKED, rest)) = marked.split_first() else { return Err(FORGED) };
        let (mark, clear) = rest.split_first_chunk::<MARK>().ok_or(FORGED)?;
        if self.hashes.mark(key, clear) == *mark { Ok(clear) } else { Err(FORGED) }
    }

    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut nonce);
        nonce
    }

    /// Opens ciphertext and tag where they lie; answers the plaintext's length.
    fn open_in_place(
        &self,
        at: At<'_>,
        slot: Slot,
        nonce: [u8; NONCE_LEN],
        text: &mut [u8],
    ) -> Result<usize, StoreError> {
        let key = key_in(&self.slots, slot)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = cipher(&key)?.open_in_place(nonce, at.associated(), text);
        opened.map(|plain| plain.len()).map_err(|_| FORGED)
    }
}

fn key_in(slots: &KeySlots, slot: Slot) -> Result<DataKey, StoreError> {
    match slots.key(slot) {
        Some(key) => Ok(key),
        None if slots.is_free(slot) => Err(StoreError::Erased),
        None => Err(KEYLESS),
    }
}

/// Opens the sealed envelope that the installation's secrets lie in: there is no sealer without them.
pub(super) fn open_with(slots: &KeySlots, at: At<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let envelope = Envelope::read(sealed)?;
    let nonce = Nonce::assume_unique_for_key(envelope.nonce.ok_or(FORGED)?);
    let key = key_in(slots, envelope.slot)?;
    let mut text = envelope.rest.to_vec();
    let length = match cipher(&key)?.open_in_place(nonce, at.associated(), &mut text) {
        Ok(plain) => plain.len(),
        Err(_) => return Err(FORGED),
    };
    text.truncate(length);
    Ok(text)
}

fn cipher(key: &DataKey) -> Result<LessSafeKey, StoreError> {
    UnboundKey::new(&AES_256_GCM, key.as_bytes()).map(LessSafeKey::new).map_err(|_| KEYLESS)
}

/// A sealed or null envelope, taken apart.
struct Envelope<'a> {
    slot: Slot,
    /// `None` where nothing is sealed.
    nonce: Option<[u8; NONCE_LEN]>,
    rest: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, StoreError> {
        let (kind, rest) = sealed.split_first().ok_or(FORGED)?;
        let (slot, rest) = rest.split_first_chunk::<SLOT>().ok_or(FORGED)?;
        let slot = Slot(u32::from_be_bytes(*slot));
        match *kind {
            SEALED => {
                let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(FORGED)?;
                Ok(Self { slot, nonce: Some(*nonce), rest })
            }
            NULL => Ok(Self { slot, nonce: None, rest }),
            _ => Err(FORGED),
        }
    }
}

/// A bare envelope: nothing but a byte that says so.
pub fn bare(clear: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(1 + clear.len());
    value.push(BARE);
    value.extend_from_slice(clear);
    value
}

/// The clear row of a bare envelope.
pub fn unwrap_bare(value: &[u8]) -> Result<&[u8], StoreError> {
    match value.split_first() {
        Some((&BARE, clear)) => Ok(clear),
        _ => Err(FORGED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn associated_data_is_the_key_and_what_is_before_the_envelope() {
        for (key, front) in
            [(33, 0), (33, 24), (SHORT - 24, 24), (SHORT - 23, 24), (300, 24), (300, 0), (0, 3)]
        {
            let (key, front) = (vec![1; key], vec![2; front]);
            let all = [key.as_slice(), &front].concat();
            assert_eq!(At { key: &key, front: &front }.associated().as_ref(), all);
        }
    }
}
