//! Content lines: where one begins and ends, unfolding (RFC 6350 §3.2, VC-2) and the four parts of
//! a line (§3.3). Works on octets, before any decoding, because a fold may split a character.
//! Must not know what any property means.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The mark that some exporters put before the first line.
pub const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The card's unfolded content lines, without line ends, empty ones left out. A line end is CRLF,
/// LF or CR; one that a single space or tab follows is a fold (VC-2).
pub fn lines(card: &[u8]) -> Lines<'_> {
    Lines(raw_lines(card))
}

/// The same lines as they stand in the card, folds and line ends included: for who skips most
/// lines, such as a 10 KB photo, or must give them back unchanged.
pub fn raw_lines(card: &[u8]) -> RawLines<'_> {
    RawLines { rest: card.strip_prefix(BOM).unwrap_or(card) }
}

/// The iterator of [`lines`].
#[derive(Clone)]
pub struct Lines<'a>(RawLines<'a>);

impl<'a> Iterator for Lines<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.by_ref().map(|raw| raw.unfold()).find(|line| !line.is_empty())
    }
}

/// The iterator of [`raw_lines`].
#[derive(Clone)]
pub struct RawLines<'a> {
    rest: &'a [u8],
}

impl<'a> RawLines<'a> {
    /// The octets after the lines given so far.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for RawLines<'a> {
    type Item = RawLine<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (line, rest) = cut(self.rest);
            self.rest = rest;
            if !line.body.is_empty() {
                return Some(line);
            }
        }
    }
}

/// One logical line as it stands in the card.
#[derive(Clone, Copy)]
pub struct RawLine<'a> {
    octets: &'a [u8],
    body: &'a [u8],
    folded: bool,
}

/// The text without the lines that `drop` names, all else octet for octet; `None` where there is none of
/// them.
pub fn without(text: &[u8], drop: impl Fn(&RawLine<'_>) -> bool) -> Option<Vec<u8>> {
    let mut rest = Vec::with_capacity(text.len().min(4 << 10));
    let mut found = false;
    for line in raw_lines(text) {
        match drop(&line) {
            true => found = true,
            false => rest.extend_from_slice(line.octets()),
        }
    }
    found.then_some(rest)
}

impl<'a> RawLine<'a> {
    /// Every octet of the line: folds and the line end, where it has one.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The line's own end: CRLF, LF, CR or nothing.
    pub fn end(&self) -> &'a [u8] {
        self.octets.get(self.body.len()..).unwrap_or_default()
    }

    /// The line without folds and without its end; borrowed when it was not folded.
    pub fn unfold(&self) -> Cow<'a, [u8]> {
        if self.folded { Cow::Owned(unfold(self.body)) } else { Cow::Borrowed(self.body) }
    }

    /// How long the line is with its folds: an upper bound of its unfolded length.
    pub fn raw_len(&self) -> usize {
        self.body.len()
    }

    /// Group and name without unfolding the rest. `None` when a fold stands inside the name, or
    /// the line has neither `:` nor `;`: then only [`RawLine::unfold`] can tell.
    pub fn head(&self) -> Option<(Option<&'a [u8]>, &'a [u8])> {
        // Names are a dozen octets long: a plain loop is quicker than three vectorised searches.
        let mut dot = None;
        for (at, octet) in self.body.iter().enumerate() {
            match octet {
                b':' | b';' => {
                    let head = self.body.get(..at)?;
                    return Some(match dot {
                        Some(dot) => (head.get(..dot), head.get(dot + 1..)?),
                        None => (None, head),
                    });
                }
                b'.' => dot = Some(at),
                b'\r' | b'\n' => return None,
                _ => {}
            }
        }
        None
    }
}

/// A content line's four parts (RFC 6350 §3.3), borrowed, nothing decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LineView<'a> {
    /// What stands before the name's last dot.
    pub group: Option<&'a [u8]>,
    /// The name as spelled; compare it without case (VC-4).
    pub name: &'a [u8],
    /// Everything between the `;` after the name and the `:` before the value; empty where there
    /// is none.
    pub parameters: &'a [u8],
    /// Everything after the `:`.
    pub value: &'a [u8],
}

impl<'a> LineView<'a> {
    /// Splits an unfolded line. A `:` inside a quoted parameter value does not end the parameters;
    /// a quote opens only where a value begins, after `=` or `,`, and one that is never closed is
    /// an ordinary character. `None` where the line has no `:`.
    pub fn split(line: &'a [u8]) -> Option<Self> {
        let head_end = memchr2(b':', b';', line)?;
        let (head, tail) = line.split_at_checked(head_end)?;
        let (group, name) = group_and_name(head);
        let (delimiter, rest) = tail.split_first()?;
        let (parameters, value) = match delimiter {
            b':' => (&[][..], rest),
            _ => {
                let colon = colon_outside_quotes(rest)?;
                (rest.get(..colon)?, rest.get(colon + 1..)?)
            }
        };
        Some(Self { group, name, parameters, value })
    }

    /// Whether the line is called `name`, in any case (VC-4).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Cuts the first logical line off.
#[inline]
fn cut(text: &[u8]) -> (RawLine<'_>, &[u8]) {
    let mut from = 0;
    let mut folded = false;
    loop {
        let Some(at) = text.get(from..).and_then(|rest| memchr2(b'\r', b'\n', rest)).map(|i| from + i) else {
            return (RawLine { octets: text, body: text, folded }, &[]);
        };
        let after = at + end_len(text, at);
        if matches!(text.get(after), Some(b' ' | b'\t')) {
            folded = true;
            from = after + 1;
            continue;
        }
        let body = text.get(..at).unwrap_or_default();
        let (octets, rest) = text.split_at_checked(after).unwrap_or((text, &[]));
        return (RawLine { octets, body, folded }, rest);
    }
}

/// How long the line end at `at` is: two octets for CRLF, one for LF or CR.
fn end_len(text: &[u8], at: usize) -> usize {
    if text.get(at..at + 2) == Some(b"\r\n") { 2 } else { 1 }
}

/// Takes every line end of a logical line out, with the one blank that follows it.
fn unfold(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + end_len(rest, at) + 1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// `item1.EMAIL` is group `item1`, name `EMAIL`; no name holds a dot, so the last one counts.
fn group_and_name(head: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match memchr::memrchr(b'.', head) {
        Some(dot) => (head.get(..dot), head.get(dot + 1..).unwrap_or_default()),
        None => (None, head),
    }
}

/// Where the parameters end.
fn colon_outside_quotes(parameters: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = parameters.get(from..)?;
        let at = from + memchr2(b':', b'"', rest)?;
        if parameters.get(at) == Some(&b':') {
            return Some(at);
        }
        let opens = matches!(parameters.get(..at).and_then(<[u8]>::last), Some(b'=' | b','));
        let closing =
            if opens { parameters.get(at + 1..).and_then(|quoted| memchr(b'"', quoted)) } else { None };
        from = at + 1 + closing.map_or(0, |length| length + 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(card: &[u8]) -> Vec<Vec<u8>> {
        lines(card).map(Cow::into_owned).collect()
    }

    fn split(line: &str) -> Option<(Option<&str>, &str, &str, &str)> {
        let text = |octets| std::str::from_utf8(octets).unwrap();
        LineView::split(line.as_bytes())
            .map(|v| (v.group.map(text), text(v.name), text(v.parameters), text(v.value)))
    }

    /// VC-2: every line end, either blank, one blank only, and inside a character.
    #[test]
    fn unfolds_on_bytes() {
        for end in ["\r\n", "\n", "\r"] {
            for blank in [" ", "\t"] {
                let card = format!("NOTE:a{end}{blank}b{end}{blank} c{end}X:1{end}{end}Y:2");
                assert_eq!(all(card.as_bytes()), [&b"NOTE:ab c"[..], b"X:1", b"Y:2"], "{end:?} {blank:?}");
            }
        }
        assert_eq!(all(b"FN:J\xC3\r\n \xB6rg\r\n"), ["FN:Jörg".as_bytes()]);
        assert_eq!(all(b"\xEF\xBB\xBFBEGIN:VCARD"), [&b"BEGIN:VCARD"[..]]);
        assert_eq!(all(b" \r\nA:1"), [&b" "[..], b"A:1"]);
        assert!(all(b"\r\n\n\r").is_empty());
        assert!(matches!(lines(b"A:1\r\n").next(), Some(Cow::Borrowed(b"A:1"))));
    }

    #[test]
    fn raw_lines_keep_their_octets() {
        let card = b"A:1\r\n 2\r\n\r\nB:3";
        let octets: Vec<_> = raw_lines(card).map(|l| l.octets()).collect();
        assert_eq!(octets, [&b"A:1\r\n 2\r\n"[..], b"B:3"]);
        let ends: Vec<_> = raw_lines(card).map(|l| l.end()).collect();
        assert_eq!(ends, [&b"\r\n"[..], b""]);
        assert_eq!(
            raw_lines(b"item1.TEL;X=1:\r\n 2").next().unwrap().head(),
            Some((Some(&b"item1"[..]), &b"TEL"[..]))
        );
        assert!(raw_lines(b"TE\r\n L:2").next().unwrap().head().is_none());
    }

    #[test]
    fn splits_a_line_in_four() {
        assert_eq!(split("FN:a:b"), Some((None, "FN", "", "a:b")));
        assert_eq!(split("item1.EMAIL;TYPE=a;X=b:c;d"), Some((Some("item1"), "EMAIL", "TYPE=a;X=b", "c;d")));
        assert_eq!(split(r#"N;X="a:b;c":v"#), Some((None, "N", r#"X="a:b;c""#, "v")));
        assert_eq!(split(r#"N;X=a,"b:c";Y=1:v"v"#), Some((None, "N", r#"X=a,"b:c";Y=1"#, r#"v"v"#)));
        assert_eq!(split("a.b.TEL:1"), Some((Some("a.b"), "TEL", "", "1")));
        assert_eq!(split("no colon"), None);
        assert_eq!(split("TEL;TYPE=home"), None);
        assert_eq!(split(""), None);
    }

    /// A quote that nothing closes, or inside a value, does not swallow the card's value.
    #[test]
    fn stray_quotes_are_characters() {
        assert_eq!(split(r#"N;X="a:v"#), Some((None, "N", r#"X="a"#, "v")));
        assert_eq!(split(r#"N;X=5"a:he said "x: y""#), Some((None, "N", r#"X=5"a"#, r#"he said "x: y""#)));
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(card in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\r\n :;\"=,.".to_vec())], 0..200)) {
            for line in lines(&card) {
                prop_assert!(!line.is_empty());
                let _ = LineView::split(&line);
            }
            for raw in raw_lines(&card) {
                let line = raw.unfold();
                if let (Some((group, name)), Some(view)) = (raw.head(), LineView::split(&line)) {
                    prop_assert_eq!((group, name), (view.group, view.name));
                }
            }
        }

        /// VC-2: unfold(fold(x)) = x, wherever the folds stand.
        #[test]
        fn unfolding_undoes_folding(line in "[^\r\n \t][^\r\n]{0,120}", width in 1usize..80, end in prop::sample::select(vec!["\r\n", "\n", "\r"])) {
            let mut folded = Vec::new();
            for (i, chunk) in line.as_bytes().chunks(width).enumerate() {
                if i > 0 {
                    folded.extend_from_slice(end.as_bytes());
                    folded.push(b' ');
                }
                folded.extend_from_slice(chunk);
            }
            prop_assume!(!folded.starts_with(BOM));
            prop_assert_eq!(all(&folded), vec![line.into_bytes()]);
        }
    }
}
