//! That a keyring gives back its keys, protects them, and never forgets what nobody erased.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::store::entropy::Fixed;

use super::*;

fn contact(n: u8) -> Owner {
    Owner::contact([n; 16], 0)
}

fn keyring(keys: &[u8], erased: &[u8]) -> Keyring {
    let keys = keys.iter().map(|n| (contact(*n), [*n; 32])).collect();
    let erased = erased.iter().map(|n| (contact(*n), i64::from(*n))).collect();
    Keyring::new([1; 16], 77, vec![2; 64], keys, erased)
}

fn bytes(keyring: &Keyring, passphrase: Option<&Passphrase>) -> Vec<u8> {
    keyring.write(Vec::new(), passphrase, &Fixed).unwrap()
}

#[test]
fn keys_are_found_by_owner() {
    let keyring = keyring(&[3, 1, 2], &[9, 8]);
    assert_eq!(keyring.key(&contact(2)), Some(&[2; 32]));
    assert_eq!(keyring.key(&contact(8)), None);
    assert_eq!(keyring.erased_at(&contact(8)), Some(8));
    assert_eq!(format!("{keyring:?}"), "Keyring(…)");
}

#[test]
fn a_passphrase_protects_and_errors_tell_what_is_wrong() {
    let keyring = keyring(&[1, 2], &[3]);
    let (right, wrong) = (Passphrase::new("right\n").unwrap(), Passphrase::new("wrong").unwrap());
    let sealed = bytes(&keyring, Some(&right));
    assert!(!sealed.windows(32).any(|window| window == [1; 32]));
    let again = Passphrase::new("right").unwrap();
    assert!(Keyring::read(sealed.as_slice(), Some(&again)).unwrap() == keyring);
    let error = |bytes: &[u8], with| Keyring::read(bytes, with).err().unwrap().to_string();
    assert!(error(&sealed, None).contains("--passphrase-file"));
    assert_eq!(error(&sealed, Some(&wrong)), "the passphrase is not the keyring's");
    let mut broken = sealed.clone();
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(error(&broken, Some(&right)), "the keyring is damaged: a part of it does not open");
    let mut newer = sealed.clone();
    newer[11] = 2;
    assert!(error(&newer, Some(&right)).contains("use a newer cardkeep"));
    assert_eq!(error(b"-----BEGIN", None), "this is not a keyring of cardkeep");
    assert!(Passphrase::new("\n").is_none());
    // A keyring that needs none is read whatever is given.
    assert!(Keyring::read(bytes(&keyring, None).as_slice(), Some(&wrong)).unwrap() == keyring);
}

#[test]
fn a_header_cannot_ask_for_more_than_a_machine_has() {
    let mut sealed = bytes(&keyring(&[1], &[]), Some(&Passphrase::new("right").unwrap()));
    sealed[13..17].fill(0xff);
    let sum = half(&sealed[..57]);
    sealed[57..73].copy_from_slice(&sum);
    let error = Keyring::read(sealed.as_slice(), Some(&Passphrase::new("right").unwrap())).err().unwrap();
    assert!(matches!(error, KeyringError::Damaged(_)));
}

#[test]
fn a_keyring_never_forgets_what_nobody_erased() {
    let old = keyring(&[1, 2, 3], &[9]);
    assert_eq!(keyring(&[1, 2, 3, 4], &[9]).may_replace(&old), Ok(()));
    assert_eq!(keyring(&[1, 2], &[3, 9]).may_replace(&old), Ok(()));
    let conflict = |keys, erasures| Err(KeyringConflict::WouldForget { keys, erasures });
    assert_eq!(keyring(&[1, 2], &[9]).may_replace(&old), conflict(1, 0));
    assert_eq!(keyring(&[1, 2, 3], &[]).may_replace(&old), conflict(0, 1));
    // Nor one that has another key for the same contact.
    let keys = [(contact(1), [1; 32]), (contact(2), [0; 32]), (contact(3), [3; 32])];
    let other = Keyring::new([1; 16], 77, Vec::new(), keys.to_vec(), vec![(contact(9), 0)]);
    assert_eq!(other.may_replace(&old), conflict(1, 0));
    let foreign = Keyring::new([2; 16], 77, Vec::new(), Vec::new(), Vec::new());
    assert_eq!(foreign.may_replace(&old), Err(KeyringConflict::OtherInstallation));
}

#[test]
fn a_million_keys_take_53_bytes_each() {
    let key = |n: u32| (Owner::contact([7; 16], n), [1; 32]);
    let large = Keyring::new([1; 16], 77, vec![2; 64], (0..10_000).map(key).collect(), Vec::new());
    let bytes = bytes(&large, None);
    assert!(bytes.len() < 10_000 * 53 + 256);
    assert!(Keyring::read(bytes.as_slice(), None).unwrap() == large);
}

proptest! {
    #[test]
    fn what_was_written_is_read_and_any_change_is_noticed(
        keys in btree_map(any::<([u8; 16], u32)>(), any::<[u8; 32]>(), 0..20),
        erased in btree_map(any::<([u8; 16], u32)>(), any::<i64>(), 0..20),
        place: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let keys = keys.into_iter().map(|((id, n), key)| (Owner::contact(id, n), key)).collect();
        let erased = erased.into_iter().map(|((id, n), at)| (Owner::names(id, n), at)).collect();
        let keyring = Keyring::new([1; 16], -5, vec![2; 64], keys, erased);
        let mut bytes = bytes(&keyring, None);
        prop_assert!(Keyring::read(bytes.as_slice(), None).unwrap() == keyring);
        let place = place.index(bytes.len());
        prop_assert!(Keyring::read(&bytes[..place], None).is_err());
        bytes[place] ^= 1_u8 << bit;
        prop_assert!(Keyring::read(bytes.as_slice(), None).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_harm(rest in vec(any::<u8>(), 0..200)) {
        let _ = Keyring::read(rest.as_slice(), None);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_be_bytes());
        bytes.push(OPEN);
        bytes.extend(half(&bytes));
        bytes.extend(rest);
        let _ = Keyring::read(bytes.as_slice(), None);
    }
}
