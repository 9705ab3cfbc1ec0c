//! Text values: backslash escapes and the separators that are not escaped (RFC 6350 §3.4, VC-5).
//! Knows nothing of properties, parameters or versions.

use std::borrow::Cow;

/// The text behind a raw value: `\n` and `\N` are line breaks, an unknown escape keeps its
/// character (VC-5). A backslash at the very end stands for itself.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('n' | 'N') => text.push('\n'),
            Some(escaped) => text.push(escaped),
            None => text.push('\\'),
        }
    }
    Cow::Owned(text)
}

/// The raw value of a text: backslash, comma, semicolon and line breaks are escaped, always, since
/// macOS stops at an unescaped `;` (VC-5, B1 #11).
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| matches!(b, b'\\' | b',' | b';' | b'\n' | b'\r')) {
        return Cow::Borrowed(text);
    }
    let mut raw = String::with_capacity(text.len() + 8);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' | ',' | ';' => {
                raw.push('\\');
                raw.push(c);
            }
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\n' => raw.push_str("\\n"),
            _ => raw.push(c),
        }
    }
    Cow::Owned(raw)
}

/// Escapes the semicolons that a writer forgot to escape, and the commas too unless they separate
/// the items of a list; what is escaped already stays as it is.
pub fn mend(raw: &str, list: bool) -> Cow<'_, str> {
    let forgotten = |c: char| c == ';' || (c == ',' && !list);
    if memchr::memchr2(b';', if list { b';' } else { b',' }, raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut mended = String::with_capacity(raw.len() + 8);
    let mut escaped = false;
    for c in raw.chars() {
        if !escaped && forgotten(c) {
            mended.push('\\');
        }
        escaped = !escaped && c == '\\';
        mended.push(c);
    }
    Cow::Owned(mended)
}

/// The pieces of a raw value between unescaped `separator`s (`;` for compound values, `,` for
/// lists; ASCII), each still escaped. There is always at least one piece.
pub fn split(raw: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(raw);
    std::iter::from_fn(move || {
        let current = rest?;
        let mut escaped = false;
        // Separators are ASCII, and no octet of a longer character is.
        for (at, b) in current.bytes().enumerate() {
            if !escaped && char::from(b) == separator {
                rest = current.get(at + 1..);
                return current.get(..at);
            }
            escaped = !escaped && b == b'\\';
        }
        rest = None;
        Some(current)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vc_5_known_escapes_are_read_and_unknown_ones_keep_the_character() {
        assert_eq!(unescape(r"a\, b\; c\\ d\n e\N f\: g\"), "a, b; c\\ d\n e\n f: g\\");
    }

    #[test]
    fn vc_5_the_writer_always_escapes_separators() {
        assert_eq!(escape("a,b;c\\d\r\ne\nf\rg"), r"a\,b\;c\\d\ne\nf\ng");
        assert_eq!(mend(r"a;b\;c,d\\;e", false), r"a\;b\;c\,d\\\;e");
        assert_eq!(mend("a;b,c", true), r"a\;b,c");
    }

    #[test]
    fn vc_5_compound_values_split_on_unescaped_separators_only() {
        assert_eq!(split(r"a;b\;c;;d\\;", ';').collect::<Vec<_>>(), ["a", r"b\;c", "", r"d\\", ""]);
        assert_eq!(split("", ';').collect::<Vec<_>>(), [""]);
    }

    proptest! {
        #[test]
        fn escaping_returns_the_text(text in "[^\r]{0,60}") {
            let raw = escape(&text).into_owned();
            prop_assert_eq!(unescape(&raw), text.as_str());
            prop_assert_eq!(split(&raw, ';').count(), 1);
            prop_assert_eq!(split(&raw, ',').count(), 1);
            prop_assert!(!raw.contains('\n'));
        }

        #[test]
        fn mending_leaves_one_piece_and_the_same_text(raw in "[a,;\\\\n]{0,30}") {
            let mended = mend(&raw, false).into_owned();
            prop_assert_eq!(split(&mended, ';').count(), 1);
            prop_assert_eq!(unescape(&mended), unescape(&raw));
        }
    }
}
