//! Secrets as people write them down: a text that shows nothing of itself, and a master key's 64
//! hexadecimal digits. Knows no file and no environment.

use std::hint::black_box;

/// How many bytes a master key has.
pub const KEY: usize = 32;

/// A text that is in no log line, no error and no `Debug`, and is wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A key's bytes, wiped when they go.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyBytes([u8; KEY]);

crate::hidden!(Secret, KeyBytes);

impl Secret {
    /// Takes the text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut std::mem::take(&mut self.0).into_bytes());
    }
}

impl KeyBytes {
    /// Takes the bytes.
    pub fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits; white space around them does not count.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let mut key = Self([0; KEY]);
        if text.len() != 2 * KEY {
            return None;
        }
        for (byte, digits) in key.0.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | value(*digit)?))?;
        }
        Some(key)
    }

    /// 64 hexadecimal digits, in lower case.
    pub fn to_hex(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(2 * KEY + 1);
        let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
        self.0.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(byte & 15)]));
        text
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites a buffer that held a secret; the compiler may not leave it out.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    black_box(bytes);
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_64_digits() {
        let key = KeyBytes::new(*b"0123456789abcdef\x00\x01\x7f\x80\xfe\xffGHIJKLMNOP");
        let text = key.to_hex();
        assert!(text.starts_with(b"30313233") && text.len() == 64);
        assert_eq!(KeyBytes::from_hex(&text), Some(key.clone()));
        assert_eq!(KeyBytes::from_hex(&text.to_ascii_uppercase()), Some(key.clone()));
        assert_eq!(KeyBytes::from_hex(&[b" ", text.as_slice(), b"\r\n"].concat()), Some(key));
        let wrong = [[b"g", &text[1..]].concat(), text[1..].to_vec(), [&text, &b"0"[..]].concat(), vec![]];
        for wrong in wrong {
            assert_eq!(KeyBytes::from_hex(&wrong), None);
        }
    }

    #[test]
    fn nothing_shows() {
        assert_eq!(format!("{:?}", Secret::new("pass phrase")), "Secret(…)");
        assert_eq!(format!("{:?}", KeyBytes::new([7; KEY])), "KeyBytes(…)");
    }
}
