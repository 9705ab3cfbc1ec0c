//! A card without its pictures and sounds, for what is kept of it long after.

use super::admit::MEDIA;
use super::lines::without;

/// The card without PHOTO, LOGO, SOUND and KEY, all else octet for octet; `None` where it has none.
pub fn without_media(card: &[u8]) -> Option<Vec<u8>> {
    without(card, |line| {
        let is = |name: &[u8]| MEDIA.iter().any(|medium| medium.as_bytes().eq_ignore_ascii_case(name));
        line.head().is_some_and(|(_, name)| is(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_go_and_all_else_stays() {
        let card = b"BEGIN:VCARD\r\nFN:x\r\nPHOTO;ENCODING=b:AAA\r\n AAA\r\nitem1.LOGO:x\r\nNOTE:a\r\n b\r\nEND:VCARD\r\n";
        let rest = b"BEGIN:VCARD\r\nFN:x\r\nNOTE:a\r\n b\r\nEND:VCARD\r\n";
        assert_eq!(without_media(card).as_deref(), Some(&rest[..]));
        assert_eq!(without_media(rest), None);
    }
}
