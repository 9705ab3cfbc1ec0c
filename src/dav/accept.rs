//! `Accept` on a card: which vCard version to serve (HTTP-11, CARD-34). RFC 9110 §12.5.1.

use http::HeaderValue;

use crate::domain::vcard::Version;

/// How many entries of an `Accept` are looked at.
const MOST: usize = 64;

/// The version to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The request did not name a version: the stored form will do where this one cannot be made.
    Usual(Version),
    /// The request named it.
    Asked(Version),
}

impl Choice {
    pub(super) fn version(self) -> Version {
        match self {
            Self::Usual(version) | Self::Asked(version) => version,
        }
    }
}

/// One entry: how well it fits (0 not, 3 by version), and its weight in thousandths.
struct Entry {
    fit: u8,
    weight: u16,
}

/// Chooses by the header's lines, `usual` where both versions are equally welcome; `None` where
/// neither is.
pub(super) fn choose<'a>(lines: impl Iterator<Item = &'a HeaderValue>, usual: Version) -> Option<Choice> {
    let text: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    let entries: Vec<&str> = text
        .iter()
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|e| !e.is_empty())
        .take(MOST)
        .collect();
    if entries.is_empty() {
        return Some(Choice::Usual(usual));
    }
    let other = if usual == Version::V3 { Version::V4 } else { Version::V3 };
    let (first, second) = (best(&entries, usual), best(&entries, other));
    let choice = |entry: &Entry, version| match entry.fit {
        3 => Choice::Asked(version),
        _ => Choice::Usual(version),
    };
    match (first.weight, second.weight) {
        (0, 0) => None,
        (a, b) if a >= b => Some(choice(&first, usual)),
        _ => Some(choice(&second, other)),
    }
}

/// The most specific entry that speaks of a version, and its weight.
fn best(entries: &[&str], version: Version) -> Entry {
    let read = entries.iter().map(|entry| read(entry, version)).filter(|entry| entry.fit > 0);
    read.max_by_key(|entry| (entry.fit, entry.weight)).unwrap_or(Entry { fit: 0, weight: 0 })
}

fn read(entry: &str, version: Version) -> Entry {
    let mut parts = entry.split(';').map(str::trim);
    let mut fit = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "text/vcard" | "text/x-vcard" | "text/directory" | "application/vcard" => 2,
        "text/*" | "*/*" => 1,
        _ => 0,
    };
    let mut weight = 1000;
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "version" => {
                let asked = match value.trim().trim_matches('"') {
                    "3.0" => Some(Version::V3),
                    "4.0" => Some(Version::V4),
                    _ => None,
                };
                fit = if asked == Some(version) && fit == 2 { 3 } else { 0 };
            }
            "q" => weight = thousandths(value.trim()),
            _ => {}
        }
    }
    Entry { fit, weight }
}

fn thousandths(q: &str) -> u16 {
    match q.parse::<f32>() {
        // Within 0..=1 after clamping, so the cast keeps the number.
        Ok(q) if q.is_finite() => (q.clamp(0.0, 1.0) * 1000.0) as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &'static str, usual: Version) -> Option<Choice> {
        choose([HeaderValue::from_static(accept)].iter(), usual)
    }

    #[test]
    fn the_version_follows_the_header_and_is_3_0_without_one() {
        use Choice::{Asked, Usual};
        use Version::{V3, V4};
        assert_eq!(choose([].iter(), V3), Some(Usual(V3)));
        assert_eq!(chosen("*/*", V3), Some(Usual(V3)));
        assert_eq!(chosen("text/vcard", V4), Some(Usual(V4)));
        assert_eq!(chosen("text/vcard; version=4.0", V3), Some(Asked(V4)));
        assert_eq!(chosen("text/vcard;version=\"3.0\"", V4), Some(Asked(V3)));
        assert_eq!(chosen("text/vcard;version=4.0;q=0.4, text/vcard;q=0.9", V3), Some(Usual(V3)));
        assert_eq!(chosen("text/vcard;version=4.0, text/vcard;version=3.0;q=0.5", V3), Some(Asked(V4)));
        assert_eq!(chosen("application/vcard+json", V3), None);
        assert_eq!(chosen("text/vcard;version=2.1", V3), None);
        assert_eq!(chosen("text/vcard;q=0", V3), None);
        assert_eq!(chosen("text/html, */*;q=0.1", V3), Some(Usual(V3)));
    }
}
