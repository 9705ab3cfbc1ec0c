//! An entry as a server sends it: its name and the values of its attributes, as octets. Unlike
//! ldap3's own reader it neither panics nor shows a value.

use ldap3::asn1::{PL, StructureTag};

/// An entry.
pub struct Entry {
    /// Its distinguished name.
    pub dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// A part of an attribute's values, as Active Directory gives them out (MS-ADTS 3.1.1.3.1.3.3).
pub struct Ranged<'a> {
    /// The values.
    pub values: &'a [Vec<u8>],
    /// Where the next part begins; `None` after the last.
    pub next: Option<usize>,
}

crate::hidden!(Entry);

impl Entry {
    /// Reads what ldap3 took apart.
    pub fn read(tag: StructureTag) -> Option<Self> {
        let mut parts = constructed(tag)?.into_iter();
        let dn = String::from_utf8(primitive(parts.next()?)?).ok()?;
        let mut attributes = Vec::new();
        for attribute in constructed(parts.next()?)? {
            let mut parts = constructed(attribute)?.into_iter();
            let name = String::from_utf8(primitive(parts.next()?)?).ok()?;
            let values: Option<Vec<_>> = constructed(parts.next()?)?.into_iter().map(primitive).collect();
            attributes.push((name, values?));
        }
        Some(Self { dn, attributes })
    }

    /// The values of an attribute; none is empty.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes
            .iter()
            .find(|(found, values)| !values.is_empty() && is_called(found, name))
            .map_or(&[], |(_, values)| values.as_slice())
    }

    /// The values of the first of these attributes that has one.
    pub fn first_of<'a>(&'a self, names: &'a [String]) -> (&'a str, &'a [Vec<u8>]) {
        names
            .iter()
            .map(|name| (name.as_str(), self.values(name)))
            .find(|(_, values)| !values.is_empty())
            .unwrap_or(("", &[]))
    }

    /// A part of an attribute's values, if the server gave only a part.
    pub fn ranged(&self, name: &str) -> Option<Ranged<'_>> {
        self.attributes.iter().find_map(|(found, values)| {
            let (base, range) = found.split_once(";range=")?;
            let (_, last) = range.split_once('-')?;
            let next = match last {
                "*" => None,
                last => Some(last.parse::<usize>().ok()?.checked_add(1)?),
            };
            base.eq_ignore_ascii_case(name).then_some(Ranged { values, next })
        })
    }
}

fn is_called(found: &str, name: &str) -> bool {
    let found = found.strip_suffix(";binary").unwrap_or(found);
    found.eq_ignore_ascii_case(name)
}

fn constructed(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn primitive(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(octets) => Some(octets),
        PL::C(_) => None,
    }
}

#[cfg(test)]
pub mod tests {
    use ldap3::asn1::TagClass;

    use super::*;

    /// An entry with these attributes.
    pub fn entry(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Entry {
        let attributes = attributes
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(|v| v.to_vec()).collect()))
            .collect();
        Entry { dn: dn.to_owned(), attributes }
    }

    #[test]
    fn values_are_found_by_any_case() {
        let entry = entry("cn=x", &[("MAIL", &[b"a"]), ("cn", &[]), ("userSMIME;binary", &[b"b"])]);
        assert_eq!(entry.values("mail"), [b"a".to_vec()]);
        assert_eq!(entry.values("userSMIME"), [b"b".to_vec()]);
        assert_eq!(entry.first_of(&["cn".to_owned(), "mail".to_owned()]).0, "mail");
        assert!(entry.values("cn").is_empty());
    }

    #[test]
    fn ranges_say_where_they_go_on() {
        let part = entry("cn=x", &[("member", &[]), ("member;range=0-1499", &[b"a"])]);
        assert_eq!(part.ranged("member").unwrap().next, Some(1500));
        let last = entry("cn=x", &[("member;range=1500-*", &[b"a"])]);
        assert_eq!(last.ranged("MEMBER").unwrap().next, None);
        for odd in ["member", "member;range=1", "member;range=0-x", "other;range=0-1"] {
            assert!(entry("cn=x", &[(odd, &[b"a"])]).ranged("member").is_none(), "{odd}");
        }
    }

    #[test]
    fn other_shapes_are_none() {
        let tag = |payload| StructureTag { class: TagClass::Universal, id: 4, payload };
        assert!(Entry::read(tag(PL::P(vec![]))).is_none());
        assert!(Entry::read(tag(PL::C(vec![]))).is_none());
        assert!(Entry::read(tag(PL::C(vec![tag(PL::P(vec![0xff])), tag(PL::C(vec![]))]))).is_none());
        assert!(Entry::read(tag(PL::C(vec![tag(PL::P(vec![])), tag(PL::C(vec![]))]))).is_some());
    }
}
