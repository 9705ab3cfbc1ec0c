//! Conditional headers become preconditions, which the store decides in the same transaction as the
//! write (HTTP-8). Knows no method's semantics. RFC 9110 §13.1, RFC 4918 §10.4, RFC 6578 §5.

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use jiff::Timestamp;

use crate::domain::id::Etag;
use crate::domain::token::SyncToken;
use crate::service::place::{Place, Precondition, Require, State};

use super::Front;
use super::target::Target;

/// A conditional header that cannot be read (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a conditional header cannot be read")]
pub struct BadCondition;

/// `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`
    Any,
    /// These; tags that are not of our making can never match and are left out.
    Of(Vec<Etag>),
}

impl Tags {
    fn state(self) -> State {
        match self {
            Self::Any => State::Exists,
            Self::Of(tags) => State::EtagIn(tags),
        }
    }

    /// Whether the tag is one of these.
    pub fn hold(&self, tag: Etag) -> bool {
        match self {
            Self::Any => true,
            Self::Of(tags) => tags.contains(&tag),
        }
    }
}

/// What a request's conditional headers say, in the order in which they are decided (HTTP-7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`
    pub matching: Option<Tags>,
    /// `If-Unmodified-Since`, where `If-Match` is absent.
    pub unmodified_since: Option<Timestamp>,
    /// `If-None-Match`
    pub none_matching: Option<Tags>,
    /// `If-Modified-Since`, where `If-None-Match` is absent.
    pub modified_since: Option<Timestamp>,
    /// WebDAV's `If`.
    pub lists: Option<Precondition>,
}

impl Conditions {
    /// Reads the headers of a request for `target`.
    pub fn of(headers: &HeaderMap, front: &Front, target: &Target) -> Result<Self, BadCondition> {
        let matching = tags(headers, IF_MATCH)?;
        let none_matching = tags(headers, IF_NONE_MATCH)?;
        Ok(Self {
            unmodified_since: date(headers, IF_UNMODIFIED_SINCE).filter(|_| matching.is_none()),
            modified_since: date(headers, IF_MODIFIED_SINCE).filter(|_| none_matching.is_none()),
            matching,
            none_matching,
            lists: match text(headers, &HeaderName::from_static("if"))? {
                Some(text) => Some(lists(&text, front, target)?),
                None => None,
            },
        })
    }

    /// What must hold at `place`, and elsewhere by `If`, for a write.
    pub fn for_write(self, place: &Place) -> Vec<Precondition> {
        let at = |state, negate| Precondition::one(place.clone(), state, negate);
        let mut when = Vec::new();
        when.extend(self.matching.map(|tags| at(tags.state(), false)));
        when.extend(self.unmodified_since.map(|time| at(State::UnmodifiedSince(time), false)));
        when.extend(self.none_matching.map(|tags| at(tags.state(), true)));
        when.extend(self.lists);
        when
    }
}

/// Whether the client has what that tag stands for, as far as `If-None-Match` can be read.
pub fn is_known(headers: &HeaderMap, tag: Etag) -> bool {
    tags(headers, IF_NONE_MATCH).is_ok_and(|tags| tags.is_some_and(|tags| tags.hold(tag)))
}

/// A header's text; several lines of it are one list (RFC 9110 §5.3).
fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, BadCondition> {
    let mut whole: Option<String> = None;
    for value in headers.get_all(name) {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| BadCondition)?;
        match &mut whole {
            Some(whole) => {
                whole.push(',');
                whole.push_str(value);
            }
            None => whole = Some(value.to_owned()),
        }
    }
    Ok(whole)
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    // A date that cannot be read is as good as none (RFC 9110 §13.1.3).
    let text = headers.get(name)?.to_str().ok()?;
    Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, BadCondition> {
    let Some(text) = text(headers, &name)? else {
        return Ok(None);
    };
    if text.split(',').any(|part| part.trim() == "*") {
        return Ok(Some(Tags::Any));
    }
    // None of our tags holds a comma, so a foreign one that does may be cut without harm.
    Ok(Some(Tags::Of(text.split(',').filter_map(tag).collect())))
}

/// Reads one tag as proxies and clients mangle it: weak, unquoted, or with a coding's name behind
/// it, because a `-gzip` that a proxy added must not end in an endless 412 (HTTP-9, D10).
fn tag(written: &str) -> Option<Etag> {
    let opaque = written.trim();
    let opaque = opaque.strip_prefix("W/").unwrap_or(opaque).trim_matches('"');
    let codings = ["gzip", "br", "deflate", "zstd"];
    let bare = codings.iter().find_map(|coding| {
        let rest = opaque.strip_suffix(coding)?;
        rest.strip_suffix('-').or_else(|| rest.strip_suffix(';'))
    });
    Etag::parse(bare.unwrap_or(opaque))
}

/// Reads `If` (RFC 4918 §10.4.2): lists of conditions, each list about the request's resource or
/// about the one that a tag in front of it names.
fn lists(text: &str, front: &Front, target: &Target) -> Result<Precondition, BadCondition> {
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    let mut place = target.place();
    let mut lists = Vec::new();
    while !rest.is_empty() {
        if let Some(tagged) = rest.strip_prefix('<') {
            let (href, after) = tagged.split_once('>').ok_or(BadCondition)?;
            place = Target::of_href(front, target, href).ok().and_then(|target| target.place());
            rest = after;
        } else {
            let (list, after) = one_list(rest.strip_prefix('(').ok_or(BadCondition)?, place.as_ref())?;
            lists.push(list);
            rest = after;
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    if lists.is_empty() { Err(BadCondition) } else { Ok(Precondition(lists)) }
}

/// Reads conditions up to the closing parenthesis.
fn one_list<'a>(text: &'a str, place: Option<&Place>) -> Result<(Vec<Require>, &'a str), BadCondition> {
    let mut requires = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix(')') {
            return if requires.is_empty() { Err(BadCondition) } else { Ok((requires, after)) };
        }
        let negated = rest.get(..3).filter(|not| not.eq_ignore_ascii_case("not"));
        let negate = negated.is_some();
        if let Some(not) = negated {
            rest = rest.get(not.len()..).unwrap_or_default().trim_start();
        }
        let (state, after) = if let Some(token) = rest.strip_prefix('<') {
            let (token, after) = token.split_once('>').ok_or(BadCondition)?;
            // A lock token, and any token that is not ours, is simply false (DAV-41).
            (SyncToken::parse(token).map_or(State::Never, State::Token), after)
        } else {
            let (tag, after) = rest.strip_prefix('[').and_then(|t| t.split_once(']')).ok_or(BadCondition)?;
            (State::EtagIn(strong(tag).into_iter().collect()), after)
        };
        requires.push(Require { place: place.cloned(), state, negate });
        rest = after.trim_start();
    }
}

/// A tag within `If` compares strongly (DAV-41).
fn strong(tag: &str) -> Option<Etag> {
    Etag::parse(tag.trim().strip_prefix('"')?.strip_suffix('"')?)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use crate::domain::id::{HomeName, MemberName, UserName};

    use super::*;

    const TAG: &str = "00112233445566778899aabbccddeeff";

    fn front() -> Front {
        Front { prefix: String::new(), host: Some("example.org".into()), scheme: "https" }
    }

    fn card() -> Target {
        let name = |text| MemberName::parse(text).unwrap();
        Target::Object(HomeName::books(UserName::parse("alice").unwrap()), name("contacts"), name("a.vcf"))
    }

    fn read(name: &'static str, value: &str) -> Result<Conditions, BadCondition> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        Conditions::of(&headers, &front(), &card())
    }

    #[test]
    fn http_9_mangled_tags_are_the_tag() {
        let ours = Etag::parse(TAG).unwrap();
        let forms = [
            format!("\"{TAG}\""),
            format!("W/\"{TAG}\""),
            format!("\"{TAG}-gzip\""),
            format!("\"{TAG};gzip\""),
            TAG.to_owned(),
            format!("\"other\", \"{TAG}\""),
        ];
        for form in forms {
            let conditions = read("if-match", &form).unwrap();
            assert_eq!(conditions.matching, Some(Tags::Of(vec![ours])), "{form}");
        }
        assert_eq!(read("if-match", "\"1\"").unwrap().matching, Some(Tags::Of(vec![])));
        assert_eq!(read("if-none-match", "*").unwrap().none_matching, Some(Tags::Any));
    }

    #[test]
    fn dav_40_lists_are_read_with_their_places() {
        let text = format!(
            "</dav/addressbooks/alice/contacts/> (Not <urn:uuid:1> [\"{TAG}\"]) (<DAV:no-lock>) \
             <https://elsewhere.test/x> ([\"x\"])"
        );
        let Precondition(lists) = read("if", &text).unwrap().lists.unwrap();
        let (book, nowhere) = (lists[0][0].place.clone(), lists[2][0].place.clone());
        assert!(matches!(book, Some(Place::Collection(..))));
        assert_eq!(nowhere, None);
        assert_eq!(lists[0][0].state, State::Never);
        assert!(lists[0][0].negate && !lists[0][1].negate);
        assert_eq!(lists[0][1].state, State::EtagIn(vec![Etag::parse(TAG).unwrap()]));
        assert_eq!(lists[2][0].state, State::EtagIn(vec![]));
        for bad in ["", "()", "(<a>", "<a>", "([x)", "nonsense", "(Not )"] {
            assert_eq!(read("if", bad), Err(BadCondition), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_reader(value in "[ -~]{0,200}") {
            for name in ["if", "if-match", "if-none-match", "if-modified-since"] {
                let _ = read(name, &value);
            }
        }
    }
}
