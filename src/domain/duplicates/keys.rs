//! The keys of blocks: what two contacts that may be the same have in common. A key may be common to
//! contacts that have nothing to do with each other; comparing tells.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Contact;
use crate::domain::contact::Kind;

/// So many words of a name make keys.
const WORDS: usize = 3;

/// Every key with the place of the contact that has it.
pub(super) fn entries(contacts: &[Contact<'_>]) -> Vec<(u64, u32)> {
    let mut entries = Vec::with_capacity(contacts.len() * 4);
    let mut keys: Vec<u64> = Vec::new();
    for (at, contact) in (0u32..).zip(contacts) {
        let seen = &contact.seen;
        keys.extend(seen.emails.iter().map(|email| key(seen.kind, (0, email))));
        keys.extend(seen.phones.iter().map(|phone| key(seen.kind, (1, phone))));
        names(contact, &mut keys);
        keys.sort_unstable();
        keys.dedup();
        entries.extend(keys.drain(..).map(|key| (key, at)));
    }
    entries
}

/// Of a name, how each word sounds together with how another begins: so a first name may be
/// shortened, or one of both be misspelt. Of a company, how each word sounds.
fn names(contact: &Contact<'_>, keys: &mut Vec<u64>) {
    let kind = contact.seen.kind;
    let words: Vec<&str> = contact.name.split(' ').filter(|word| !word.is_empty()).take(WORDS).collect();
    for (at, word) in words.iter().enumerate() {
        let sound = sound(word);
        for (_, other) in words.iter().enumerate().filter(|(other, _)| *other != at) {
            keys.push(key(kind, (2, &sound, other.chars().next())));
        }
        if kind == Kind::Org || words.len() == 1 {
            keys.push(key(kind, (3, &sound, None::<char>)));
        }
    }
}

fn key(kind: Kind, of: impl Hash) -> u64 {
    // Hashes that collide put strangers into one block, which costs a comparison.
    let mut hasher = DefaultHasher::new();
    (kind, of).hash(&mut hasher);
    hasher.finish()
}

/// How a word sounds: its first letter and the next three consonants, by groups of those that sound
/// alike (Soundex, as the National Archives describe it). Of a word in other letters, its beginning.
fn sound(word: &str) -> String {
    if !word.bytes().all(|octet| octet.is_ascii_lowercase()) {
        return word.chars().take(4).collect();
    }
    let mut octets = word.bytes();
    let mut code = String::with_capacity(4);
    let mut last = None;
    if let Some(first) = octets.next() {
        code.push(char::from(first));
        last = group(first);
    }
    for octet in octets {
        let group = group(octet);
        if let Some(group) = group.filter(|_| group != last) {
            code.push(group);
            if code.len() == 4 {
                break;
            }
        }
        // Letters of one group with an h or w between them count once.
        if !b"hw".contains(&octet) {
            last = group;
        }
    }
    code
}

fn group(letter: u8) -> Option<char> {
    match letter {
        b'b' | b'f' | b'p' | b'v' => Some('1'),
        b'c' | b'g' | b'j' | b'k' | b'q' | b's' | b'x' | b'z' => Some('2'),
        b'd' | b't' => Some('3'),
        b'l' => Some('4'),
        b'm' | b'n' => Some('5'),
        b'r' => Some('6'),
        _ => None,
    }
}
