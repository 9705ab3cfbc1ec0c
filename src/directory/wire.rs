//! What a server sends, looked at before ldap3 sees it: BER (X.690) in the shapes of RFC 4511 that a
//! client can be sent, and nothing else. ldap3 panics on other shapes, recurses as deep as they nest
//! (which no task survives) and keeps whatever length it is told. Knows no socket.

use std::str;

/// The largest message that is taken: a group's hundred thousand members, some photos.
pub const LARGEST: usize = 32 << 20;

/// What is wrong with a message.
pub type Fault = &'static str;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const CONTROLS: u8 = 0xa0;
/// Active Directory puts the name of its notice of disconnection where controls belong.
const MISPLACED_NAME: u8 = 0x8a;

/// Where the first message of these octets ends; `None` while its head is not whole.
pub fn end(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some((&tag, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if tag != SEQUENCE {
        return Err("it does not speak LDAP");
    }
    let Some(&first) = rest.first() else {
        return Ok(None);
    };
    let octets = match first {
        0..=0x7f => 0,
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return Err("a length that LDAP does not have"),
    };
    if rest.len() < 1 + octets {
        return Ok(None);
    }
    let (length, _) = length(rest).ok_or("a length that LDAP does not have")?;
    if length > LARGEST {
        return Err("a message that is too large");
    }
    Ok(Some(2 + octets + length))
}

/// Whether ldap3 can read that message, which is whole.
pub fn admit(message: &[u8]) -> Result<(), Fault> {
    shape(message).ok_or("a message of a shape that LDAP does not have")
}

/// The result code of an answer to an extended request, if the message is one.
pub fn extended_result(message: &[u8]) -> Option<u64> {
    let (_, body, _) = element(message)?;
    let (_, _, rest) = expect(body, INTEGER)?;
    let (_, result, _) = expect(rest, 0x78)?;
    let (_, code, _) = expect(result, ENUMERATED)?;
    number(code)
}

/// Whether the message, which was admitted, is what a search finds, and not its result.
pub fn is_of_search(message: &[u8]) -> bool {
    let operation = || {
        let (_, body, _) = element(message)?;
        let (_, _, rest) = element(body)?;
        element(rest).map(|(tag, ..)| tag)
    };
    matches!(operation(), Some(0x64 | 0x73 | 0x79))
}

/// One element: its tag, its content, what follows.
pub fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    // A number of 31 announces a tag of several octets; LDAP has none.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = length(rest)?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// An element of that tag.
pub fn expect(bytes: &[u8], tag: u8) -> Option<(u8, &[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag)
}

/// A number of up to four octets that is not negative.
pub fn number(content: &[u8]) -> Option<u64> {
    let fits = (1..=5).contains(&content.len()) && content.first().is_some_and(|first| first & 0x80 == 0);
    fits.then(|| content.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
}

/// The elements of a content, none of which may be cut short.
pub fn elements(mut content: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while !content.is_empty() {
        let (tag, inner, rest) = element(content)?;
        found.push((tag, inner));
        content = rest;
    }
    Some(found)
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..=0x7f => Some((usize::from(first), rest)),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            Some((octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest))
        }
        _ => None,
    }
}

fn shape(message: &[u8]) -> Option<()> {
    let (_, body, after) = expect(message, SEQUENCE)?;
    let (_, id, rest) = expect(body, INTEGER)?;
    number(id)?;
    let (operation, content, rest) = element(rest)?;
    match operation {
        // Results of a bind, a search; then one that is extended.
        0x61 | 0x65 => result(content, &[0x87]),
        0x78 => result(content, &[0x8a, 0x8b]),
        0x64 => entry(content),
        0x73 => texts(content),
        0x79 => intermediate(content),
        _ => None,
    }?;
    match element(rest) {
        None if rest.is_empty() => {}
        Some((CONTROLS, content, [])) => controls(content)?,
        Some((MISPLACED_NAME, _, [])) => {}
        _ => return None,
    }
    after.is_empty().then_some(())
}

fn text(content: &[u8]) -> Option<()> {
    str::from_utf8(content).ok().map(|_| ())
}

/// A list of texts: URLs.
fn texts(content: &[u8]) -> Option<()> {
    elements(content)?.into_iter().try_for_each(
        |(tag, content)| {
            if tag == OCTETS { text(content) } else { None }
        },
    )
}

fn result(content: &[u8], also: &[u8]) -> Option<()> {
    let (_, code, rest) = expect(content, ENUMERATED)?;
    number(code)?;
    let (_, matched, rest) = expect(rest, OCTETS)?;
    let (_, diagnostic, rest) = expect(rest, OCTETS)?;
    text(matched)?;
    text(diagnostic)?;
    elements(rest)?.into_iter().try_for_each(|(tag, content)| match tag {
        0xa3 => texts(content),
        0x8a => text(content).filter(|()| also.contains(&tag)),
        _ => also.contains(&tag).then_some(()),
    })
}

fn entry(content: &[u8]) -> Option<()> {
    let (_, name, rest) = expect(content, OCTETS)?;
    text(name)?;
    let (_, attributes, rest) = expect(rest, SEQUENCE)?;
    for (tag, attribute) in elements(attributes)? {
        let (_, description, values) = (tag == SEQUENCE).then(|| expect(attribute, OCTETS))??;
        text(description)?;
        let (_, values, after) = expect(values, SET)?;
        let good = elements(values)?.into_iter().all(|(tag, _)| tag == OCTETS);
        (good && after.is_empty()).then_some(())?;
    }
    rest.is_empty().then_some(())
}

fn intermediate(content: &[u8]) -> Option<()> {
    elements(content)?.into_iter().try_for_each(|(tag, content)| match tag {
        0x80 => text(content),
        0x81 => Some(()),
        _ => None,
    })
}

fn controls(content: &[u8]) -> Option<()> {
    for (tag, control) in elements(content)? {
        let (_, kind, rest) = (tag == SEQUENCE).then(|| expect(control, OCTETS))??;
        text(kind)?;
        match elements(rest)?.as_slice() {
            [] | [(OCTETS, _)] => {}
            [(BOOLEAN, [_])] | [(BOOLEAN, [_]), (OCTETS, _)] => {}
            _ => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An element of that tag.
    fn e(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        match content.len() {
            length @ 0..=0x7f => bytes.push(length as u8),
            length => {
                bytes.push(0x84);
                bytes.extend((length as u32).to_be_bytes());
            }
        }
        bytes.extend(content);
        bytes
    }

    fn message(parts: &[Vec<u8>]) -> Vec<u8> {
        e(SEQUENCE, &[e(INTEGER, &[1]), parts.concat()].concat())
    }

    fn done(code: u8) -> Vec<u8> {
        e(0x65, &[e(ENUMERATED, &[code]), e(OCTETS, b""), e(OCTETS, b"")].concat())
    }

    fn person() -> Vec<u8> {
        let mail = e(SEQUENCE, &[e(OCTETS, b"mail"), e(SET, &e(OCTETS, b"a@example.org"))].concat());
        let photo = e(SEQUENCE, &[e(OCTETS, b"jpegPhoto"), e(SET, &e(OCTETS, &[0xff; 300]))].concat());
        e(0x64, &[e(OCTETS, b"uid=a"), e(SEQUENCE, &[mail, photo].concat())].concat())
    }

    fn control() -> Vec<u8> {
        let one = e(SEQUENCE, &[e(OCTETS, b"1.2.3"), e(BOOLEAN, &[0]), e(OCTETS, b"x")].concat());
        e(CONTROLS, &one)
    }

    #[test]
    fn what_servers_send_passes() {
        for parts in [
            vec![done(0)],
            vec![done(49), control()],
            vec![person()],
            vec![person(), control()],
            vec![e(0x73, &e(OCTETS, b"ldap://elsewhere/"))],
            vec![e(0x79, &[e(0x80, b"1.3.6.1.4.1.4203.1.9.1.4"), e(0x81, b"\xa1\x00")].concat())],
            vec![e(0x61, &[e(ENUMERATED, &[0]), e(OCTETS, b""), e(OCTETS, b""), e(0x87, b"x")].concat())],
            vec![e(0x78, &[e(ENUMERATED, &[2]), e(OCTETS, b""), e(OCTETS, b"no"), e(0x8a, b"1.2")].concat())],
            vec![e(
                0x65,
                &[e(ENUMERATED, &[10]), e(OCTETS, b""), e(OCTETS, b""), e(0xa3, &e(OCTETS, b"l"))].concat(),
            )],
        ] {
            let bytes = message(&parts);
            assert_eq!(end(&bytes), Ok(Some(bytes.len())));
            assert_eq!(admit(&bytes), Ok(()), "{bytes:02x?}");
            assert_eq!(end(&bytes[..1]), Ok(None));
        }
        let answer = message(&[e(0x78, &[e(ENUMERATED, &[2]), e(OCTETS, b""), e(OCTETS, b"")].concat())]);
        assert_eq!(extended_result(&answer), Some(2));
        assert_eq!(extended_result(&message(&[done(0)])), None);
    }

    #[test]
    fn what_ldap3_would_break_on_is_refused() {
        for parts in [
            vec![],
            vec![e(0x61, b"")],
            vec![e(0x6f, b"")],
            vec![e(0x65, &[e(ENUMERATED, &[0]), e(OCTETS, b"\xff"), e(OCTETS, b"")].concat())],
            vec![e(0x65, &[e(ENUMERATED, b""), e(OCTETS, b""), e(OCTETS, b"")].concat())],
            vec![e(0x64, &e(OCTETS, b"uid=a"))],
            vec![e(0x64, &[e(OCTETS, b"\xff"), e(SEQUENCE, b"")].concat())],
            vec![e(0x64, &[e(OCTETS, b"uid=a"), e(SEQUENCE, &e(SEQUENCE, &e(OCTETS, b"mail")))].concat())],
            vec![done(0), e(CONTROLS, &e(SEQUENCE, b""))],
            vec![done(0), e(CONTROLS, &e(SEQUENCE, &[e(OCTETS, b"1.2"), e(BOOLEAN, b"")].concat()))],
            vec![done(0), e(CONTROLS, b"\x30")],
            vec![done(0), control(), control()],
            vec![e(0x79, &e(0xa1, b""))],
        ] {
            assert!(admit(&message(&parts)).is_err(), "{parts:02x?}");
        }
        for bytes in [&b"\x30\x80"[..], b"\x30\x85\0\0\0\0\0", b"HTTP/1.1", b"\x30\x84\x7f\xff\xff\xff"] {
            assert!(end(bytes).is_err(), "{bytes:02x?}");
        }
        // Ten thousand elements in one another.
        let mut deep = Vec::new();
        for _ in 0..10_000 {
            deep = e(SEQUENCE, &deep);
        }
        assert!(admit(&message(&[e(0x64, &deep)])).is_err());
    }

    proptest! {
        #[test]
        fn anything_is_looked_at_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = end(&bytes);
            let _ = admit(&bytes);
            let _ = extended_result(&bytes);
        }

        /// What passes, ldap3's own reader takes too; what is damaged passes only if it does.
        #[test]
        fn what_passes_is_read_by_ldap3(at in 0usize..300, value in any::<u8>(), cut in 0usize..300) {
            let mut bytes = message(&[person(), control()]);
            let place = at % bytes.len();
            bytes[place] = value;
            bytes.truncate(bytes.len() - cut % 3);
            if admit(&bytes).is_ok() {
                prop_assert!(matches!(ldap3::asn1::parse_tag(&bytes), Ok((b"", _))));
            }
        }
    }
}
