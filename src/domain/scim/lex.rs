//! The words and literals of a filter: JSON's (RFC 8259), and names. Knows no attribute.

use super::SyntaxError;
use super::decimal::Decimal;

/// What an attribute is compared with.
pub(super) enum Literal {
    Text(String),
    /// A number, as it is written.
    Number(String),
    Bool(bool),
    Null,
}

/// A place in a text.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The octet at which it stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The character that comes next.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes over a character.
    pub(super) fn skip(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Goes over white space.
    pub(super) fn skip_space(&mut self) {
        self.take_while(|octet| octet.is_ascii_whitespace());
    }

    /// Goes over a name or a number; empty where none comes next.
    pub(super) fn word(&mut self) -> &'t str {
        self.take_while(|octet| octet.is_ascii_alphanumeric() || b"_-.:$+".contains(&octet))
    }

    /// Goes over a word, whatever its case, if it comes next behind white space.
    pub(super) fn keyword(&mut self, wanted: &str) -> bool {
        let before = self.at;
        self.skip_space();
        let found = self.word().eq_ignore_ascii_case(wanted);
        if !found {
            self.at = before;
        }
        found
    }

    /// Goes over what an attribute is compared with.
    pub(super) fn literal(&mut self) -> Result<Literal, SyntaxError> {
        if self.peek() == Some('"') {
            return self.string().map(Literal::Text);
        }
        let start = self.at;
        let word = self.word();
        match word.to_ascii_lowercase().as_str() {
            "true" => Ok(Literal::Bool(true)),
            "false" => Ok(Literal::Bool(false)),
            "null" => Ok(Literal::Null),
            _ if is_number(word) => Ok(Literal::Number(word.to_owned())),
            _ => Err(self
                .error_at(start, "a text in double quotes, a number, true, false or null is expected here")),
        }
    }

    /// An error where it stands.
    pub(super) fn error(&self, what: &str) -> SyntaxError {
        self.error_at(self.at, what)
    }

    /// An error at an octet.
    pub(super) fn error_at(&self, at: usize, what: &str) -> SyntaxError {
        let position = self.text.get(..at).map_or(0, |before| before.chars().count());
        SyntaxError { position, what: what.to_owned() }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.bytes().position(|octet| !wanted(octet)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        self.skip();
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.skip() {
                Some('"') => return Ok(text),
                Some('\\') => {
                    let escaped = self.escaped();
                    text.push(escaped.ok_or_else(|| self.error_at(at, "this is no escape of JSON"))?);
                }
                Some(control) if control < ' ' => {
                    return Err(self.error_at(at, "control characters in texts are written as \\u00XX"));
                }
                Some(other) => text.push(other),
                None => return Err(self.error_at(start, "this text has no closing quote")),
            }
        }
    }

    /// The character of an escape, whose backslash is gone over.
    fn escaped(&mut self) -> Option<char> {
        Some(match self.skip()? {
            same @ ('"' | '\\' | '/') => same,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.hex()?;
                let second = match first {
                    // The first half of a character beyond the sixteen bits.
                    0xD800..0xDC00 => {
                        (self.skip()? == '\\' && self.skip()? == 'u').then_some(())?;
                        Some(self.hex()?)
                    }
                    _ => None,
                };
                let units = [Some(first), second];
                let mut decoded = char::decode_utf16(units.into_iter().flatten());
                decoded.next()?.ok()?
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u16::from_str_radix(digits, 16).ok()
    }
}

/// Whether JSON allows a number to be written so (RFC 8259 §6).
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word).as_bytes();
    let zero = digits.first() == Some(&b'0') && digits.get(1).is_some_and(u8::is_ascii_digit);
    !zero && Decimal::parse(word.as_bytes()).is_some()
}
