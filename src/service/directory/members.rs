//! Who is in a group: distinguished names compared as directories compare them, and groups in
//! groups, also where they go round in a circle. Knows no accounts.

use std::collections::BTreeSet;

/// What a member of a group turned out to be, by its place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    Person(usize),
    Group(usize),
}

/// A distinguished name in a form that is equal where directories take names for equal: case,
/// spaces around separators and the way of escaping do not matter (RFC 4514 §2.4, RFC 4518).
pub(super) fn fold_dn(dn: &str) -> String {
    let mut out: Vec<u8> = Vec::with_capacity(dn.len());
    let mut rest = dn.trim().as_bytes();
    let mut after_separator = true;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'\\' => {
                let (escaped, tail) = unescaped(rest);
                rest = tail;
                match escaped {
                    Some(b' ') => out.extend_from_slice(b"\\20"),
                    Some(special) if b",;+=\"<>#\\".contains(&special) => out.extend([b'\\', special]),
                    Some(plain) => out.push(plain),
                    None => out.push(b'\\'),
                }
                after_separator = false;
            }
            b',' | b';' | b'+' | b'=' => {
                while out.last() == Some(&b' ') {
                    out.pop();
                }
                out.push(if *byte == b';' { b',' } else { *byte });
                after_separator = true;
            }
            b' ' if after_separator || out.last() == Some(&b' ') => {}
            _ => {
                out.push(*byte);
                after_separator = false;
            }
        }
    }
    String::from_utf8_lossy(&out).to_lowercase()
}

/// The octet behind a backslash: two hex digits, or the character itself.
fn unescaped(rest: &[u8]) -> (Option<u8>, &[u8]) {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if let [high, low, tail @ ..] = rest
        && let (Some(high), Some(low)) = (digit(high), digit(low))
    {
        return (Some(high << 4 | low), tail);
    }
    match rest {
        [byte, tail @ ..] => (Some(*byte), tail),
        [] => (None, rest),
    }
}

/// The people in each group, by way of other groups too.
pub(super) fn flatten(groups: &[Vec<Node>]) -> Vec<BTreeSet<usize>> {
    let all = 0..groups.len();
    all.map(|group| {
        let (mut people, mut seen, mut next) = (BTreeSet::new(), BTreeSet::from([group]), vec![group]);
        while let Some(group) = next.pop() {
            for member in groups.get(group).into_iter().flatten() {
                match *member {
                    Node::Person(person) => drop(people.insert(person)),
                    Node::Group(group) if seen.insert(group) => next.push(group),
                    Node::Group(_) => {}
                }
            }
        }
        people
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_directories_take_for_equal_are_equal() {
        let same = [
            ("CN=Jane Doe,OU=Staff,DC=example", "cn=jane doe, ou = staff , dc=EXAMPLE"),
            ("cn=Doe\\, Jane,dc=x", "cn=doe\\2c jane,dc=x"),
            ("cn=J\\C3\\B6rg,dc=x", "cn=Jörg,dc=x"),
            ("cn=a;dc=x", "cn=a,dc=x"),
        ];
        for (a, b) in same {
            assert_eq!(fold_dn(a), fold_dn(b));
        }
        assert_ne!(fold_dn("cn=Doe\\, Jane,dc=x"), fold_dn("cn=Doe, Jane,dc=x"));
        assert_ne!(fold_dn("cn=a\\ ,dc=x"), fold_dn("cn=a,dc=x"));
        assert_eq!(fold_dn("cn=a\\"), "cn=a\\");
    }

    #[test]
    fn groups_in_groups_go_round_without_end() {
        let groups = vec![
            vec![Node::Group(1), Node::Person(0)],
            vec![Node::Group(2)],
            vec![Node::Group(0), Node::Person(7)],
            vec![Node::Group(3)],
        ];
        let people = flatten(&groups);
        assert_eq!(people[0], BTreeSet::from([0, 7]));
        assert_eq!((&people[1], &people[2]), (&people[0], &people[0]));
        assert!(people[3].is_empty());
    }
}
