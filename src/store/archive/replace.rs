//! The keyring that follows each erasing takes the place of the one that is there, if it may. Knows no
//! store.

use std::path::Path;

use crate::store::entropy::Entropy;

use super::file::Replacement;
use super::keyring::{Keyring, KeyringConflict, KeyringError, Passphrase};

/// Why a keyring was not replaced; the one that was there still is.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// One of the two cannot be read or written.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The one that is there must not go.
    #[error(transparent)]
    Conflict(#[from] KeyringConflict),
}

/// Puts a keyring in the place of the one at `path`, when that is missing or opens what was erased
/// since; false when it is not behind.
pub fn replace_if_behind(
    path: &Path,
    new: &Keyring,
    passphrase: Option<&Passphrase>,
    entropy: &dyn Entropy,
) -> Result<bool, ReplaceError> {
    let replacement = Replacement::begin(path).map_err(KeyringError::from)?;
    if let Some(file) = replacement.old().map_err(KeyringError::from)? {
        let old = Keyring::read(file, passphrase)?;
        new.may_replace(&old)?;
        if new.erased().iter().all(|(owner, _)| old.erased_at(owner).is_some()) {
            return Ok(false);
        }
    }
    replacement.finish(|out| new.write(out, passphrase, entropy).map(drop))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::store::entropy::Fixed;
    use crate::store::owner::Owner;

    use super::*;

    fn keyring(installation: u8, keys: &[u8], erased: &[u8]) -> Keyring {
        let contact = |n: &u8| Owner::contact([*n; 16], 0);
        let keys = keys.iter().map(|n| (contact(n), [*n; 32])).collect();
        let erased = erased.iter().map(|n| (contact(n), 0)).collect();
        Keyring::new([installation; 16], 7, vec![2; 32], keys, erased)
    }

    #[test]
    fn a_keyring_goes_only_for_one_that_knows_as_much_and_more_is_erased() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("K");
        let put = |new: &Keyring| replace_if_behind(&path, new, None, &Fixed);
        assert!(put(&keyring(1, &[1, 2, 3], &[])).unwrap(), "it is missing");
        assert!(!put(&keyring(1, &[1, 2, 3, 4], &[])).unwrap(), "nothing was erased");
        assert!(put(&keyring(1, &[1, 3], &[2])).unwrap());
        let kept = std::fs::read(&path).unwrap();
        for other in [keyring(9, &[1, 3], &[2]), keyring(1, &[1], &[2]), keyring(1, &[1, 3], &[])] {
            assert!(matches!(put(&other), Err(ReplaceError::Conflict(_))));
        }
        assert_eq!(std::fs::read(&path).unwrap(), kept);
        std::fs::write(&path, "my notes").unwrap();
        let refused = put(&keyring(9, &[], &[]));
        assert!(matches!(refused, Err(ReplaceError::Keyring(KeyringError::NotAKeyring))));
        assert_eq!(std::fs::read(&path).unwrap(), b"my notes");
    }
}
