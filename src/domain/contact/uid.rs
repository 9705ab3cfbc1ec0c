//! A card under another UID, for a copy that is a contact of its own.

use crate::domain::id::Uid;
use crate::domain::vcard::lines::raw_lines;
use crate::domain::vcard::text::escape;

/// The card with that UID in the place of its own, all else octet for octet.
pub fn with_uid(card: &[u8], uid: &Uid) -> Vec<u8> {
    let mut copy = Vec::with_capacity(card.len() + 64);
    for line in raw_lines(card) {
        let is_uid = line.head().is_some_and(|(_, name)| name.eq_ignore_ascii_case(b"UID"));
        if is_uid {
            copy.extend_from_slice(b"UID:");
            copy.extend_from_slice(escape(uid.as_str()).as_bytes());
            copy.extend_from_slice(line.end());
        } else {
            copy.extend_from_slice(line.octets());
        }
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uid_is_another() {
        let uid = Uid::new("new").unwrap();
        let card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID;X=1:o\r\n ld\r\nNOTE:UID:old\r\nEND:VCARD\r\n";
        let copy = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:new\r\nNOTE:UID:old\r\nEND:VCARD\r\n";
        assert_eq!(with_uid(card, &uid), copy);
    }
}
