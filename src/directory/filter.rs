//! Filters (RFC 4515) that we make of the configured ones; a value in them cannot be anything else.

/// Whether ldap3 can read it.
pub fn is_filter(text: &str) -> bool {
    ldap3::parse_filter(text).is_ok()
}

/// The entries of that filter whose attribute is not less than the value.
pub fn at_least(filter: &str, attribute: &str, value: &str) -> String {
    let filter = filter.trim();
    let value = ldap3::ldap_escape(value);
    if filter.starts_with('(') {
        format!("(&{filter}({attribute}>={value}))")
    } else {
        format!("(&({filter})({attribute}>={value}))")
    }
}

#[cfg(test)]
mod tests {
    use ldap3::asn1::{ASNTag, PL};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the value, the filter stays an and of two: ours, and one comparison with exactly it.
        #[test]
        fn no_value_gets_out_of_its_place(value in "\\PC*|[()*\\\\&|!=>\u{0}a-z]{0,20}") {
            let made = at_least("(objectClass=person)", "modifyTimestamp", &value);
            let tag = ldap3::parse_filter(&made).unwrap().into_structure();
            let PL::C(parts) = tag.payload else { panic!("no and") };
            prop_assert_eq!((tag.id, parts.len()), (0, 2));
            let comparison = parts.into_iter().nth(1).unwrap();
            prop_assert_eq!(comparison.id, 5);
            let PL::C(sides) = comparison.payload else { panic!("no comparison") };
            let sides: Vec<_> = sides.into_iter().map(|side| side.expect_primitive().unwrap()).collect();
            prop_assert_eq!(sides, vec![b"modifyTimestamp".to_vec(), value.into_bytes()]);
        }
    }

    #[test]
    fn bare_filters_get_their_parentheses() {
        assert_eq!(at_least("a=b", "c", "1"), "(&(a=b)(c>=1))");
        assert!(is_filter("(a=b)") && !is_filter("(a=b") && !is_filter("(&(a=b)"));
    }
}
