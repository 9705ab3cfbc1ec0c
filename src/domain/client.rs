//! What clients call themselves, as few words of a fixed list: for metrics, log lines and events, which
//! must not hold whatever a client likes to say. Knows no HTTP.

/// Client families, the first match counts: what a family's user agent holds, and its name.
const FAMILIES: &[(&str, &str)] = &[
    ("DAVx5", "davx5"),
    ("Thunderbird", "thunderbird"),
    ("CalDavSynchronizer", "outlook-caldavsynchronizer"),
    ("dataaccessd", "ios"),
    ("iOS/", "ios"),
    ("accountsd", "apple"),
    ("AddressBook", "macos"),
    ("macOS/", "macos"),
    ("Mac OS X/", "macos"),
    ("Evolution", "evolution"),
    ("kdepim", "kde"),
    ("Akonadi", "kde"),
    ("vdirsyncer", "vdirsyncer"),
    ("pimsync", "pimsync"),
    ("Outlook", "outlook"),
    ("eM Client", "em-client"),
    ("BlackBerry", "blackberry"),
    ("DAVdroid", "davx5"),
    ("CardBook", "cardbook"),
    ("Roundcube", "roundcube"),
    ("curl/", "curl"),
    ("python", "python"),
    ("Mozilla/", "browser"),
];

/// The family of a client that calls itself that.
pub fn family(agent: &str) -> &'static str {
    match FAMILIES.iter().find(|(part, _)| agent.contains(part)) {
        Some((_, name)) => name,
        None if agent.is_empty() => "none",
        None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_come_from_a_fixed_list() {
        assert_eq!(family("DAVx5/4.5.19-ose (dav4jvm; okhttp)"), "davx5");
        assert_eq!(family("iOS/17.5 (21F79) dataaccessd/1.0"), "ios");
        assert_eq!(family("Alice's own client"), "other");
        assert_eq!(family(""), "none");
    }
}
