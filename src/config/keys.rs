//! The table of configuration keys. Knows no file and no environment.

use super::Config;

pub use given::address;
pub(super) use given::{duration, filled, number, path, switch};

mod contacts;
mod given;
mod server;
mod upkeep;

/// One key of the configuration.
pub struct Key {
    /// Its section.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// How the example shows it.
    pub default: Shown,
    /// What it is for; empty where the section's first key says it.
    pub doc: &'static str,
    /// Reads a value into the configuration, or says what is wrong with it.
    pub set: fn(&mut Config, &Given) -> Result<(), String>,
}

/// How the example shows a key.
pub enum Shown {
    /// With its default.
    Is(&'static str),
    /// Commented out, with a sample: there is no default.
    Unset(&'static str),
}

/// A value as it was given.
pub enum Given<'a> {
    /// A TOML string.
    Text(&'a str),
    /// A TOML integer.
    Number(i64),
    /// A TOML boolean.
    Switch(bool),
    /// A TOML array of strings.
    List(Vec<&'a str>),
    /// From the environment, where everything is text.
    Word(&'a str),
}

/// Every key, in the order in which the example shows them.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [server::KEYS, contacts::KEYS, upkeep::KEYS, super::ldap::KEYS].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_appears_once_and_its_section_is_in_one_piece() {
        let mut seen = std::collections::HashSet::new();
        assert!(keys().all(|key| seen.insert((key.section, key.name))));
        let mut sections: Vec<_> = keys().map(|key| key.section).collect();
        sections.dedup();
        let distinct: std::collections::HashSet<_> = sections.iter().collect();
        assert_eq!(distinct.len(), sections.len());
    }
}
