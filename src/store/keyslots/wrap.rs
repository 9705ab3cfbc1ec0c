//! Wraps data keys with a master key. Knows the bytes of a slot's copy, not where it lies.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::layout::{Naming, SLOT, take};
use super::{KEY, KeySlotsError, MasterKey};

/// The bytes of a nonce.
pub(super) const NONCE: usize = 12;

/// What is derived from a master key is only good for one installation.
const WRAPPING: &str = "cardkeep 2025 master key: wrapping data keys";
const CHECKING: &str = "cardkeep 2025 master key: check value";

/// A slot's copy.
pub(super) type Wrapped = [u8; SLOT];

/// A data key and where it belongs.
pub(super) struct Filled {
    pub(super) slot: u32,
    /// Counts the keys that the slot has had, so that of two copies the newer is known.
    pub(super) version: u16,
    pub(super) key: [u8; KEY],
}

impl Drop for Filled {
    fn drop(&mut self) {
        wipe(&mut self.key);
    }
}

/// Overwrites a key in memory.
pub(super) fn wipe(key: &mut [u8]) {
    key.fill(0);
    std::hint::black_box(key);
}

/// A master key, ready to wrap.
pub(super) struct Wrapper {
    pub(super) naming: Naming,
    installation: [u8; 16],
    cipher: LessSafeKey,
}

/// What shows whether a master key is the one that a header means.
pub(super) fn check_value(master: &MasterKey, installation: &[u8; 16]) -> [u8; 32] {
    derive(CHECKING, master, installation)
}

fn derive(context: &str, master: &MasterKey, installation: &[u8; 16]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(master.as_bytes()).update(installation);
    *hasher.finalize().as_bytes()
}

impl Wrapper {
    pub(super) fn new(master: &MasterKey, installation: [u8; 16], epoch: u16) -> Result<Self, KeySlotsError> {
        let mut key = derive(WRAPPING, master, &installation);
        let unbound = UnboundKey::new(&AES_256_GCM, &key);
        wipe(&mut key);
        let cipher = LessSafeKey::new(unbound.map_err(|_| cipher_failed())?);
        let naming = Naming { epoch, check: check_value(master, &installation) };
        Ok(Self { naming, installation, cipher })
    }

    /// What a copy is bound to: a key moved to another slot does not open.
    fn place(&self, slot: u32, epoch: u16, version: u16) -> Aad<[u8; 24]> {
        let mut bytes = [0; 24];
        let mut rest = bytes.as_mut_slice();
        put(&mut rest, &self.installation);
        put(&mut rest, &slot.to_be_bytes());
        put(&mut rest, &epoch.to_be_bytes());
        put(&mut rest, &version.to_be_bytes());
        Aad::from(bytes)
    }

    pub(super) fn wrap(&self, filled: &Filled, nonce: &[u8; NONCE]) -> Result<Wrapped, KeySlotsError> {
        let epoch = self.naming.epoch;
        let place = self.place(filled.slot, epoch, filled.version);
        let mut key = filled.key;
        let once = Nonce::assume_unique_for_key(*nonce);
        let tag = self.cipher.seal_in_place_separate_tag(once, place, &mut key);
        let tag = tag.map_err(|_| cipher_failed())?;
        let mut wrapped = [0; SLOT];
        let mut rest = wrapped.as_mut_slice();
        put(&mut rest, &epoch.to_be_bytes());
        put(&mut rest, &filled.version.to_be_bytes());
        put(&mut rest, nonce);
        put(&mut rest, &key);
        put(&mut rest, tag.as_ref());
        Ok(wrapped)
    }

    /// The key, unless another master key wrapped the copy or it is not whole.
    pub(super) fn unwrap(&self, slot: u32, wrapped: &Wrapped) -> Option<Filled> {
        let (epoch, version) = marks(wrapped)?;
        if epoch != self.naming.epoch {
            return None;
        }
        let mut rest = wrapped.get(4..)?;
        let nonce = Nonce::assume_unique_for_key(take(&mut rest)?);
        let mut sealed: [u8; KEY + 16] = take(&mut rest)?;
        let place = self.place(slot, epoch, version);
        let opened = self.cipher.open_in_place(nonce, place, &mut sealed).ok()?;
        let key = *opened.first_chunk()?;
        wipe(&mut sealed);
        Some(Filled { slot, version, key })
    }
}

/// Puts bytes in front of the rest, which has room for them.
fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    if let Some((to, after)) = std::mem::take(rest).split_at_mut_checked(bytes.len()) {
        to.copy_from_slice(bytes);
        *rest = after;
    }
}

/// A copy's epoch and version.
pub(super) fn marks(wrapped: &Wrapped) -> Option<(u16, u16)> {
    let mut rest = wrapped.as_slice();
    Some((u16::from_be_bytes(take(&mut rest)?), u16::from_be_bytes(take(&mut rest)?)))
}

/// Of two versions, which count round and round, whether the first is the newer.
pub(super) fn newer(one: u16, other: u16) -> bool {
    (1..0x8000).contains(&one.wrapping_sub(other))
}

fn cipher_failed() -> KeySlotsError {
    KeySlotsError::Io("AES-256-GCM refused to work".into())
}
