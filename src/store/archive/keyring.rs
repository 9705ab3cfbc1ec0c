//! The keyring: the keys of all that is not erased, and the ledger of what is. With it an archive
//! opens on any installation; without a key in it, what that key sealed is gone for good. So a
//! keyring is replaced at each backup, and never by one that forgets what nobody erased.
//!
//! The file: magic (8), format (4), protection (1). Protection 1 adds Argon2id's memory in KiB (4),
//! passes (4), lanes (4), salt (16), and the key check (16). Then the first half of the BLAKE3 hash
//! of everything before it (16), then the body, plain and followed by its BLAKE3 hash (32), or
//! sealed as `stream.rs` says, bound to all before it. The body: installation (16), made (8),
//! length (4) of the hash secrets and they, number (8) of keys and each one's owner (21) and bytes
//! (32), number (8) of erasures and each one's owner (21) and time (8). Numbers are big-endian,
//! times microseconds since 1970, owners in ascending order.

use std::collections::TryReserveError;
use std::io::{self, BufReader, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};

use crate::store::entropy::{Entropy, NoEntropy};
use crate::store::owner::Owner;

use super::stream::{Opened, Sealed};

/// How every keyring begins; see `block::MAGIC`.
pub const MAGIC: [u8; 8] = *b"\x8cCKkring";
/// The newest keyring format that this program reads and writes.
pub const FORMAT: u32 = 1;

/// What a passphrase costs to try: three times the memory of a sign-in, because a stolen keyring
/// may be tried in peace.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
/// The most that a file may ask of whoever opens it.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 64, lanes: 64 };
/// The longest hash secrets.
const SECRETS: u32 = 4096;
const OPEN: u8 = 0;
const PASSPHRASE: u8 = 1;
const SALT: usize = 16;
const CHECK: usize = 16;

/// A data key, as its bytes.
pub type Key = [u8; 32];

/// What protects a keyring.
#[derive(Clone)]
pub struct Passphrase(String);

/// The keys of all that is not erased, and the ledger of what is.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyring {
    /// The installation.
    pub installation: [u8; 16],
    /// When it was made, in microseconds since 1970.
    pub made: i64,
    /// What keyed hashes are made with.
    secrets: Vec<u8>,
    /// In the order of their owners, each once.
    keys: Vec<(Owner, Key)>,
    /// In the order of their owners, each once.
    erased: Vec<(Owner, i64)>,
}

crate::hidden!(Keyring, Passphrase);

/// Why a keyring cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The medium's word.
    #[error("the keyring cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It is none.
    #[error("this is not a keyring of cardkeep")]
    NotAKeyring,
    /// Written by a newer program.
    #[error("the keyring has format {found}, this program reads up to {FORMAT}: use a newer cardkeep")]
    TooNew {
        /// The keyring's format.
        found: u32,
    },
    /// It is protected.
    #[error("the keyring is protected by a passphrase: give it with --passphrase-file")]
    NeedsPassphrase,
    /// It is protected by another passphrase.
    #[error("the passphrase is not the keyring's")]
    WrongPassphrase,
    /// It is not what was written.
    #[error("the keyring is damaged: {0}")]
    Damaged(&'static str),
    /// No salt.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Why a keyring must not take another's place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringConflict {
    /// It is of another installation.
    #[error(
        "the keyring that is there belongs to another installation; choose another path, or give up \
         what it opens with --forget"
    )]
    OtherInstallation,
    /// The one that is there knows more.
    #[error(
        "the keyring that is there has {keys} keys and {erasures} erasures that this store does not \
         know, as after a restore from an older archive; choose another path, or give them up with --forget"
    )]
    WouldForget {
        /// Keys that no erasure explains.
        keys: u64,
        /// Erasures that would be undone.
        erasures: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Passphrase {
    /// Takes a passphrase, without the line end that editors leave; `None` for an empty one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim_end_matches(['\r', '\n']);
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

impl Keyring {
    /// A keyring; keys and erasures may come in any order.
    pub fn new(
        installation: [u8; 16],
        made: i64,
        secrets: Vec<u8>,
        mut keys: Vec<(Owner, Key)>,
        mut erased: Vec<(Owner, i64)>,
    ) -> Self {
        keys.sort_unstable_by_key(|(owner, _)| *owner);
        keys.dedup_by_key(|(owner, _)| *owner);
        erased.sort_unstable_by_key(|(owner, _)| *owner);
        erased.dedup_by_key(|(owner, _)| *owner);
        Self { installation, made, secrets, keys, erased }
    }

    /// What keyed hashes are made with.
    pub fn secrets(&self) -> &[u8] {
        &self.secrets
    }

    /// An object's key.
    pub fn key(&self, owner: &Owner) -> Option<&Key> {
        let at = self.keys.binary_search_by_key(owner, |(owner, _)| *owner).ok()?;
        self.keys.get(at).map(|(_, key)| key)
    }

    /// Every key, in the order of owners.
    pub fn keys(&self) -> &[(Owner, Key)] {
        &self.keys
    }

    /// When an object was erased.
    pub fn erased_at(&self, owner: &Owner) -> Option<i64> {
        let at = self.erased.binary_search_by_key(owner, |(owner, _)| *owner).ok()?;
        self.erased.get(at).map(|(_, at)| *at)
    }

    /// The ledger of erasures, in the order of owners.
    pub fn erased(&self) -> &[(Owner, i64)] {
        &self.erased
    }

    /// Whether this keyring may take `old`'s place: it must be of the same installation, know all
    /// that `old` knows to be erased, and hold every key of `old`'s that no erasure explains.
    pub fn may_replace(&self, old: &Self) -> Result<(), KeyringConflict> {
        if self.installation != old.installation {
            return Err(KeyringConflict::OtherInstallation);
        }
        let lost =
            |(owner, key): &&(Owner, Key)| self.key(owner) != Some(key) && self.erased_at(owner).is_none();
        let keys = old.keys.iter().filter(lost).count() as u64;
        let undone = |(owner, _): &&(Owner, i64)| self.erased_at(owner).is_none();
        let erasures = old.erased.iter().filter(undone).count() as u64;
        match (keys, erasures) {
            (0, 0) => Ok(()),
            (keys, erasures) => Err(KeyringConflict::WouldForget { keys, erasures }),
        }
    }

    /// Writes the keyring, under a passphrase if one is given.
    pub fn write<W: Write>(
        &self,
        mut out: W,
        passphrase: Option<&Passphrase>,
        entropy: &dyn Entropy,
    ) -> Result<W, KeyringError> {
        let mut head = MAGIC.to_vec();
        head.extend(FORMAT.to_be_bytes());
        let Some(passphrase) = passphrase else {
            head.push(OPEN);
            head.extend(half(&head));
            out.write_all(&head)?;
            let mut summed = Summed { inner: out, hasher: blake3::Hasher::new() };
            self.write_body(&mut summed)?;
            let Summed { mut inner, hasher } = summed;
            inner.write_all(hasher.finalize().as_bytes())?;
            inner.flush()?;
            return Ok(inner);
        };
        let mut salt = [0; SALT];
        entropy.fill(&mut salt)?;
        let (key, check) = derive(passphrase, COST, &salt)?;
        head.push(PASSPHRASE);
        for number in [COST.memory_kib, COST.passes, COST.lanes] {
            head.extend(number.to_be_bytes());
        }
        head.extend(salt);
        head.extend(check);
        head.extend(half(&head));
        out.write_all(&head)?;
        let mut sealed = Sealed::new(out, &key, &head)?;
        self.write_body(&mut sealed)?;
        Ok(sealed.finish()?)
    }

    /// Reads a keyring; it must end where the file ends.
    pub fn read(from: impl Read, passphrase: Option<&Passphrase>) -> Result<Self, KeyringError> {
        let mut from = BufReader::new(from);
        let mut head = Vec::new();
        if take(&mut from, &mut head, MAGIC.len()).is_err() || head != MAGIC {
            return Err(KeyringError::NotAKeyring);
        }
        let format = u32::from_be_bytes(next(&mut from, &mut head)?);
        let [protection] = next::<1>(&mut from, &mut head)?;
        // Where the format is newer, what follows may not be a checksum.
        if format > FORMAT {
            return Err(KeyringError::TooNew { found: format });
        }
        match protection {
            OPEN => {
                checked(&mut from, &mut head)?;
                let mut summed = Summed { inner: from, hasher: blake3::Hasher::new() };
                let keyring = Self::read_body(&mut summed)?;
                let Summed { mut inner, hasher } = summed;
                let found: [u8; 32] = next(&mut inner, &mut Vec::new())?;
                if hasher.finalize() != found {
                    return Err(KeyringError::Damaged("its checksum is wrong"));
                }
                ended(&mut inner)?;
                Ok(keyring)
            }
            PASSPHRASE => {
                let cost = Cost {
                    memory_kib: u32::from_be_bytes(next(&mut from, &mut head)?),
                    passes: u32::from_be_bytes(next(&mut from, &mut head)?),
                    lanes: u32::from_be_bytes(next(&mut from, &mut head)?),
                };
                let salt: [u8; SALT] = next(&mut from, &mut head)?;
                let check: [u8; CHECK] = next(&mut from, &mut head)?;
                checked(&mut from, &mut head)?;
                let passphrase = passphrase.ok_or(KeyringError::NeedsPassphrase)?;
                let (key, expected) = derive(passphrase, cost, &salt)?;
                if check != expected {
                    return Err(KeyringError::WrongPassphrase);
                }
                let mut opened = Opened::new(from, &key, &head)?;
                let keyring = Self::read_body(&mut opened)?;
                ended(&mut opened)?;
                Ok(keyring)
            }
            _ => Err(KeyringError::Damaged("its protection is unknown")),
        }
    }

    fn write_body(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.installation)?;
        out.write_all(&self.made.to_be_bytes())?;
        let secrets = u32::try_from(self.secrets.len()).ok().filter(|length| *length <= SECRETS);
        let secrets = secrets.ok_or_else(|| io::Error::other("the hash secrets are too long"))?;
        out.write_all(&secrets.to_be_bytes())?;
        out.write_all(&self.secrets)?;
        out.write_all(&(self.keys.len() as u64).to_be_bytes())?;
        for (owner, key) in &self.keys {
            out.write_all(&owner.to_bytes())?;
            out.write_all(key)?;
        }
        out.write_all(&(self.erased.len() as u64).to_be_bytes())?;
        for (owner, at) in &self.erased {
            out.write_all(&owner.to_bytes())?;
            out.write_all(&at.to_be_bytes())?;
        }
        Ok(())
    }

    fn read_body(from: &mut impl Read) -> Result<Self, KeyringError> {
        // Nothing of it is kept; it only makes `next` serve here too.
        let mut past = Vec::new();
        let installation = next(from, &mut past)?;
        let made = i64::from_be_bytes(next(from, &mut past)?);
        let length = u32::from_be_bytes(next(from, &mut past)?);
        if length > SECRETS {
            return Err(KeyringError::Damaged("its hash secrets are too long"));
        }
        let mut secrets = Vec::new();
        take(from, &mut secrets, length as usize)?;
        let keys = read_entries::<32, Key>(from, |key| key)?;
        let erased = read_entries::<8, i64>(from, i64::from_be_bytes)?;
        Ok(Self { installation, made, secrets, keys, erased })
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.secrets.fill(0);
        self.keys.iter_mut().for_each(|(_, key)| key.fill(0));
        std::hint::black_box((&self.secrets, &self.keys));
    }
}

/// Passes bytes on and sums them up.
struct Summed<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.hasher.update(out.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Reads owners in ascending order, each with a value of `N` bytes. Memory is taken for what comes.
fn read_entries<const N: usize, T>(
    from: &mut impl Read,
    value: fn([u8; N]) -> T,
) -> Result<Vec<(Owner, T)>, KeyringError> {
    let count = u64::from_be_bytes(next(from, &mut Vec::new())?);
    let mut entries: Vec<(Owner, T)> = Vec::new();
    for _ in 0..count {
        let owner: [u8; Owner::LENGTH] = read_exact(from)?;
        let owner = Owner::from_bytes(&owner).ok_or(KeyringError::Damaged("an owner is unknown"))?;
        if entries.last().is_some_and(|(last, _)| *last >= owner) {
            return Err(KeyringError::Damaged("its entries are out of order"));
        }
        if entries.len() == entries.capacity() {
            // A machine that has no room for it must be told, not ended.
            let full = |_: TryReserveError| KeyringError::Io(io::ErrorKind::OutOfMemory.into());
            entries.try_reserve(entries.len().max(1024)).map_err(full)?;
        }
        entries.push((owner, value(read_exact(from)?)));
    }
    Ok(entries)
}

fn read_exact<const N: usize>(from: &mut impl Read) -> Result<[u8; N], KeyringError> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(cut_off)?;
    Ok(bytes)
}

/// Reads `N` bytes and notes them in `past`.
fn next<const N: usize>(from: &mut impl Read, past: &mut Vec<u8>) -> Result<[u8; N], KeyringError> {
    let bytes = read_exact(from)?;
    past.extend(bytes);
    Ok(bytes)
}

fn take(from: &mut impl Read, past: &mut Vec<u8>, count: usize) -> Result<(), KeyringError> {
    let found = from.take(count as u64).read_to_end(past).map_err(cut_off)?;
    if found == count { Ok(()) } else { Err(KeyringError::Damaged("it is cut off")) }
}

/// Reads the header's checksum.
fn checked(from: &mut impl Read, head: &mut Vec<u8>) -> Result<(), KeyringError> {
    let expected = half(head);
    match next(from, head)? == expected {
        true => Ok(()),
        false => Err(KeyringError::Damaged("its header's checksum is wrong")),
    }
}

fn ended(from: &mut impl Read) -> Result<(), KeyringError> {
    match from.read(&mut [0]).map_err(cut_off)? {
        0 => Ok(()),
        _ => Err(KeyringError::Damaged("something follows its end")),
    }
}

fn cut_off(error: io::Error) -> KeyringError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => KeyringError::Damaged("it is cut off"),
        io::ErrorKind::InvalidData => KeyringError::Damaged("a part of it does not open"),
        _ => KeyringError::Io(error),
    }
}

fn half(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(blake3::hash(bytes).as_bytes()).for_each(|(to, from)| *to = *from);
    half
}

/// The key that a passphrase gives, and what tells a wrong one from a damaged keyring.
fn derive(passphrase: &Passphrase, cost: Cost, salt: &[u8]) -> Result<(Key, [u8; CHECK]), KeyringError> {
    let within = cost.memory_kib <= MOST.memory_kib && cost.passes <= MOST.passes && cost.lanes <= MOST.lanes;
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(64));
    let params = params.ok().filter(|_| within);
    let params = params.ok_or(KeyringError::Damaged("its passphrase costs too much to try"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut derived = [0; 64];
    argon2
        .hash_password_into(passphrase.0.as_bytes(), salt, &mut derived)
        .map_err(|_| KeyringError::Io(io::ErrorKind::OutOfMemory.into()))?;
    let (mut key, mut check) = ([0; 32], [0; CHECK]);
    key.iter_mut().zip(&derived).for_each(|(to, from)| *to = *from);
    check.iter_mut().zip(derived.iter().skip(32)).for_each(|(to, from)| *to = *from);
    derived.fill(0);
    Ok((key, check))
}

#[cfg(test)]
mod tests;
