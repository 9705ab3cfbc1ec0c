//! The preferences that a client states. RFC 7240, RFC 8144; Apple's `Brief` (PREF-7).

use http::header::VARY;
use http::{HeaderMap, HeaderName, HeaderValue};

/// `Preference-Applied` (RFC 7240 §3).
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What the client prefers, of what this server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `return=minimal`, `return-minimal` or `Brief: t`.
    pub minimal: bool,
    /// `return=representation`.
    pub representation: bool,
    /// `depth-noroot`.
    pub no_root: bool,
}

impl Prefer {
    /// Reads the headers; unknown preferences are ignored (PREF-6).
    pub fn of(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        for value in headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok()) {
            for preference in value.split(',') {
                let bare = preference.split(';').next().unwrap_or_default();
                let mut bare: String = bare.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
                bare.make_ascii_lowercase();
                match bare.as_str() {
                    "return=minimal" | "return-minimal" => prefer.minimal = true,
                    "return=representation" => prefer.representation = true,
                    "depth-noroot" => prefer.no_root = true,
                    _ => {}
                }
            }
        }
        let brief = headers.get("brief").and_then(|v| v.to_str().ok());
        prefer.minimal |= brief.is_some_and(|v| v.trim().eq_ignore_ascii_case("t"));
        prefer
    }

    /// Says in the answer what was honoured. `Vary` is said whenever the answer would be another
    /// with a preference.
    pub fn applied(self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Prefer, Brief"));
        let text = match (self.minimal, self.no_root) {
            (true, true) => "return=minimal, depth-noroot",
            (true, false) => "return=minimal",
            (false, true) => "depth-noroot",
            (false, false) => return,
        };
        headers.insert(APPLIED, HeaderValue::from_static(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Prefer {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Prefer::of(&headers)
    }

    #[test]
    fn spellings_of_minimal_are_one() {
        for pairs in [
            [("prefer", "return=minimal")],
            [("prefer", "wait=5, Return = \"minimal\"; x=1")],
            [("prefer", "return-minimal")],
            [("brief", "t")],
        ] {
            assert!(of(&pairs).minimal, "{pairs:?}");
        }
        assert_eq!(of(&[("prefer", "handling=lenient"), ("brief", "f")]), Prefer::default());
        let both = of(&[("prefer", "return=minimal, depth-noroot"), ("brief", "t")]);
        assert!(both.minimal && both.no_root);
    }

    #[test]
    fn what_was_honoured_is_said() {
        let mut headers = HeaderMap::new();
        of(&[("brief", "t")]).applied(&mut headers);
        assert_eq!(headers["preference-applied"], "return=minimal");
        assert_eq!(headers["vary"], "Prefer, Brief");
    }
}
