//! A calendar object without what is attached to it octet for octet, for what is kept of it long after.

use crate::domain::vcard::lines::without;

/// The properties that may hold a file (RFC 5545 §3.8.1.1, RFC 7986 §5.10, RFC 9073 §6.6).
const HOLDERS: [&[u8]; 3] = [b"ATTACH", b"IMAGE", b"STRUCTURED-DATA"];

/// What is longer than any address of a file is the file.
const ADDRESS: usize = 2048;

/// The object without attached files, all else octet for octet; `None` where it has none.
pub fn without_media(object: &[u8]) -> Option<Vec<u8>> {
    without(object, |line| {
        let holds = |(_, name): (Option<&[u8]>, &[u8])| HOLDERS.iter().any(|h| h.eq_ignore_ascii_case(name));
        line.octets().len() > ADDRESS && line.head().is_some_and(holds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attached_files_go_and_addresses_stay() {
        let rest = "BEGIN:VEVENT\r\nATTACH:https://example.org/a\r\nSUMMARY:x\r\n y\r\nEND:VEVENT\r\n";
        let file = format!("ATTACH;ENCODING=BASE64;VALUE=BINARY:\r\n {}\r\nSUMMARY", "A".repeat(3000));
        let whole = rest.replace("SUMMARY", &file);
        assert_eq!(without_media(whole.as_bytes()).as_deref(), Some(rest.as_bytes()));
        assert_eq!(without_media(rest.as_bytes()), None);
    }
}
