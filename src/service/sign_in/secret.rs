//! App passwords: 160 random bits in an alphabet that survives typing on a phone.

/// 32 letters and digits that are not mistaken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// How many random bytes an app password is made of.
pub(in crate::service) const BYTES: usize = 20;

/// Eight groups of four: `abcd-efgh-…`, five bits a letter.
pub(in crate::service) fn written(random: &[u8; BYTES]) -> String {
    let mut text = String::with_capacity(39);
    let (mut bits, mut held, mut count) = (0_u32, 0_u32, 0);
    for byte in random {
        bits = (bits << 8) | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            if count > 0 && count % 4 == 0 {
                text.push('-');
            }
            let letter = ALPHABET.get(((bits >> held) & 31) as usize).copied().unwrap_or(b'a');
            text.push(char::from(letter));
            count += 1;
        }
    }
    text
}

/// What a person typed as it was written: without hyphens and spaces, in lower case.
pub(in crate::service) fn normal(typed: &str) -> String {
    typed.chars().filter(|c| *c != '-' && !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_password_holds_all_its_bits_and_survives_typing() {
        let (zero, ones) = (written(&[0; BYTES]), written(&[0xff; BYTES]));
        assert_eq!(zero, "aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa");
        assert_eq!(ones, zero.replace('a', "9"));
        assert_eq!(normal(" AAAA-aaaa 9999"), "aaaaaaaa9999");
        let mut random = [0; BYTES];
        let mut seen = std::collections::HashSet::new();
        for byte in 0..BYTES {
            for bit in 0..8 {
                random[byte] ^= 1 << bit;
                assert!(seen.insert(written(&random)));
            }
        }
    }
}
