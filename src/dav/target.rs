//! URLs: an href becomes a `Target`, decoded exactly once, and every href that leaves is encoded in
//! one and the same way (DAV-6 to DAV-8, CARD-51). Knows no method and no store. RFC 4918 §8.3,
//! RFC 3986 §6.2.2.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::domain::id::{CollectionKind, GroupName, HomeName, MemberName, Principal, UserName};
use crate::service::place::Place;

use super::Front;

/// What is written `%XX`: all but the unreserved characters (RFC 3986 §2.3) and `@`, which user
/// names hold and which people read.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// What a URL names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The root, by one of its URLs.
    Root(Door),
    /// `/dav/principals/`
    Principals,
    /// `/dav/principals/users/`
    PrincipalUsers,
    /// `/dav/principals/users/NAME/`
    Principal(UserName),
    /// `/dav/principals/groups/`
    PrincipalGroups,
    /// `/dav/principals/groups/NAME/`
    Group(GroupName),
    /// `/dav/addressbooks/` or `/dav/calendars/`
    Homes(CollectionKind),
    /// `/dav/addressbooks/NAME/` or `/dav/calendars/NAME/`
    Home(HomeName),
    /// `/dav/addressbooks/NAME/BOOK/` or `/dav/calendars/NAME/CALENDAR/`
    Collection(HomeName, MemberName),
    /// `/dav/addressbooks/NAME/BOOK/CARD` or `/dav/calendars/NAME/CALENDAR/OBJECT`
    Object(HomeName, MemberName, MemberName),
    /// A path that nothing can ever be at.
    Unmapped,
}

/// By which URL the root was reached; clients that probe expect the one they asked (DISC-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// `/dav/`
    Dav,
    /// `/`
    Slash,
    /// `/principals/`
    Principals,
}

/// The kinds of resources; what tables of methods, properties and reports speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The root.
    Root,
    /// A collection of principals or of collections of them.
    Principals,
    /// A user's principal.
    Principal,
    /// The collection of homes of address books.
    Homes,
    /// A home of address books.
    Home,
    /// An address book.
    Book,
    /// A card.
    Card,
    /// A group's principal.
    Group,
    /// The collection of homes of calendars.
    CalendarHomes,
    /// A home of calendars.
    CalendarHome,
    /// A calendar.
    Calendar,
    /// A calendar object.
    Event,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Root,
        Self::Principals,
        Self::Principal,
        Self::Homes,
        Self::Home,
        Self::Book,
        Self::Card,
        Self::Group,
        Self::CalendarHomes,
        Self::CalendarHome,
        Self::Calendar,
        Self::Event,
    ];

    /// The collection of homes of that kind.
    pub const fn homes(kind: CollectionKind) -> Self {
        match kind {
            CollectionKind::AddressBook => Self::Homes,
            CollectionKind::Calendar => Self::CalendarHomes,
        }
    }

    /// A home of that kind.
    pub const fn home(kind: CollectionKind) -> Self {
        match kind {
            CollectionKind::AddressBook => Self::Home,
            CollectionKind::Calendar => Self::CalendarHome,
        }
    }

    /// A collection of that kind.
    pub const fn collection(kind: CollectionKind) -> Self {
        match kind {
            CollectionKind::AddressBook => Self::Book,
            CollectionKind::Calendar => Self::Calendar,
        }
    }

    /// What is in a collection of that kind.
    pub const fn object(kind: CollectionKind) -> Self {
        match kind {
            CollectionKind::AddressBook => Self::Card,
            CollectionKind::Calendar => Self::Event,
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Every kind.
    pub const ALL: Self = Self(0x0fff);

    /// The set of these.
    pub const fn of(kinds: &[Kind]) -> Self {
        let mut set = 0;
        let mut rest = kinds;
        while let Some((kind, tail)) = rest.split_first() {
            set |= 1 << *kind as u16;
            rest = tail;
        }
        Self(set)
    }

    /// All but these.
    pub const fn except(kinds: &[Kind]) -> Self {
        Self(Self::ALL.0 & !Self::of(kinds).0)
    }

    /// Whether it holds the kind.
    pub const fn hold(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }
}

/// Why text is not the URL of anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHref {
    /// Not UTF-8 when decoded, a broken escape, or a segment that would leave its collection.
    #[error("the URL cannot be read")]
    Unreadable,
    /// On another host, or below another prefix.
    #[error("the URL is on another server")]
    Foreign,
}

/// A target and whether its path ended in a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// What is named.
    pub target: Target,
    /// Whether the path ended in a slash.
    pub slash: bool,
}

impl Target {
    /// Reads a path that is still percent-encoded and has no prefix any more.
    pub fn of_path(path: &str) -> Result<Located, BadHref> {
        let mut segments: Vec<String> = Vec::with_capacity(5);
        let bare = path.strip_prefix('/').unwrap_or(path);
        let slash = bare.is_empty() || bare.ends_with('/');
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        for segment in bare.split('/').filter(|_| !bare.is_empty()) {
            let segment = decoded(segment)?;
            // Nothing lies as deep, and what comes after need not be kept.
            if segments.len() < 8 {
                segments.push(segment);
            }
        }
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let target = Self::of_segments(&segments);
        Ok(Located { target, slash })
    }

    fn of_segments(segments: &[&str]) -> Self {
        match segments {
            [] => Self::Root(Door::Slash),
            ["dav"] => Self::Root(Door::Dav),
            ["principals"] => Self::Root(Door::Principals),
            ["dav", "principals"] => Self::Principals,
            ["dav", "principals", "users"] => Self::PrincipalUsers,
            ["dav", "principals", "users", user] => {
                UserName::parse(user).map_or(Self::Unmapped, Self::Principal)
            }
            ["dav", "principals", "groups"] => Self::PrincipalGroups,
            ["dav", "principals", "groups", group] => {
                GroupName::parse(group).map_or(Self::Unmapped, Self::Group)
            }
            ["dav", name, rest @ ..] => {
                let kind = CollectionKind::ALL.into_iter().find(|kind| homes(*kind) == *name);
                kind.map_or(Self::Unmapped, |kind| Self::in_homes(kind, rest))
            }
            _ => Self::Unmapped,
        }
    }

    /// What lies below the collection of homes of that kind.
    fn in_homes(kind: CollectionKind, segments: &[&str]) -> Self {
        let home = |user: &str| UserName::parse(user).map(|user| HomeName::new(kind, user));
        match segments {
            [] => Self::Homes(kind),
            [user] => home(user).map_or(Self::Unmapped, Self::Home),
            [user, name] => match (home(user), MemberName::parse(name)) {
                (Ok(home), Ok(name)) => Self::Collection(home, name),
                _ => Self::Unmapped,
            },
            [user, name, object] => {
                match (home(user), (MemberName::parse(name), MemberName::parse(object))) {
                    (Ok(home), (Ok(name), Ok(object))) => Self::Object(home, name, object),
                    _ => Self::Unmapped,
                }
            }
            _ => Self::Unmapped,
        }
    }

    /// Reads an href as clients write them: an absolute URL on this host, an absolute path, or one
    /// relative to `base`, the resource that the request is for.
    pub fn of_href(front: &Front, base: &Self, href: &str) -> Result<Self, BadHref> {
        let href = href.trim_ascii();
        if href.contains(['?', '#']) {
            return Ok(Self::Unmapped);
        }
        let path = match (href.split_once("://"), href.strip_prefix("//")) {
            (Some((scheme, rest)), _) if is_scheme(scheme) => match is_http(scheme) {
                true => on_host(front, scheme, rest)?,
                false => return Err(BadHref::Foreign),
            },
            (_, Some(rest)) => on_host(front, front.scheme, rest)?,
            _ => href,
        };
        let located = match path.strip_prefix('/') {
            Some(_) => {
                let own = path.strip_prefix(front.prefix.as_str());
                Self::of_path(own.ok_or(BadHref::Foreign)?)
            }
            None => {
                let mut whole = base.directory();
                whole.push_str(path.strip_prefix("./").unwrap_or(path));
                Self::of_path(&whole)
            }
        };
        located.map(|located| located.target)
    }

    /// The path that relative hrefs continue, without the front's prefix.
    fn directory(&self) -> String {
        let mut path = self.href().map(|href| href.to_string()).unwrap_or_default();
        let end = path.rfind('/').map_or(0, |at| at + 1);
        path.truncate(end);
        path
    }

    /// How it is written in answers; `None` where nothing is.
    pub fn href(&self) -> Option<Href<'_>> {
        Some(match self {
            Self::Root(door) => Href::Root(*door),
            Self::Principals => Href::Principals,
            Self::PrincipalUsers => Href::PrincipalUsers,
            Self::Principal(user) => Href::Principal(user),
            Self::PrincipalGroups => Href::PrincipalGroups,
            Self::Group(group) => Href::Group(group),
            Self::Homes(kind) => Href::Homes(*kind),
            Self::Home(home) => Href::home(home),
            Self::Collection(home, name) => Href::collection(home, name),
            Self::Object(home, name, object) => Href::object(home, name, object),
            Self::Unmapped => return None,
        })
    }

    /// Its kind; `None` where nothing is.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Root(_) => Kind::Root,
            Self::Principals | Self::PrincipalUsers | Self::PrincipalGroups => Kind::Principals,
            Self::Principal(_) => Kind::Principal,
            Self::Group(_) => Kind::Group,
            Self::Homes(kind) => Kind::homes(*kind),
            Self::Home(home) => Kind::home(home.kind),
            Self::Collection(home, _) => Kind::collection(home.kind),
            Self::Object(home, ..) => Kind::object(home.kind),
            Self::Unmapped => return None,
        })
    }

    /// Whose it is, where it is somebody's.
    pub fn owner(&self) -> Option<&UserName> {
        match self {
            Self::Principal(user) => Some(user),
            Self::Home(home) | Self::Collection(home, _) | Self::Object(home, _, _) => Some(&home.user),
            _ => None,
        }
    }

    /// What is kept where it is; address books where nothing is.
    pub fn collection_kind(&self) -> CollectionKind {
        match self {
            Self::Homes(kind) => *kind,
            Self::Home(home) | Self::Collection(home, _) | Self::Object(home, _, _) => home.kind,
            _ => CollectionKind::AddressBook,
        }
    }

    /// The place that the service knows it by, where it is one.
    pub fn place(&self) -> Option<Place> {
        Some(match self {
            Self::Principal(user) => Place::Principal(user.clone()),
            Self::Group(group) => Place::Group(group.clone()),
            Self::Home(home) => Place::Home(home.clone()),
            Self::Collection(home, name) => Place::Collection(home.clone(), name.clone()),
            Self::Object(home, name, object) => Place::Object(home.clone(), name.clone(), object.clone()),
            _ => return None,
        })
    }
}

impl From<&Place> for Target {
    fn from(place: &Place) -> Self {
        match place {
            Place::Principal(user) => Self::Principal(user.clone()),
            Place::Group(group) => Self::Group(group.clone()),
            Place::Home(home) => Self::Home(home.clone()),
            Place::Collection(home, name) => Self::Collection(home.clone(), name.clone()),
            Place::Object(home, name, object) => Self::Object(home.clone(), name.clone(), object.clone()),
        }
    }
}

/// The canonical path of a resource, without the front's prefix; collections end in a slash. It
/// displays as plain ASCII that needs no escapes in XML and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Href<'a> {
    /// The root.
    Root(Door),
    /// The collection of collections of principals.
    Principals,
    /// The collection of users' principals.
    PrincipalUsers,
    /// A user's principal.
    Principal(&'a UserName),
    /// The collection of groups' principals.
    PrincipalGroups,
    /// A group's principal.
    Group(&'a GroupName),
    /// The collection of homes.
    Homes(CollectionKind),
    /// A user's home of that kind.
    Home(CollectionKind, &'a UserName),
    /// A book or a calendar.
    Collection(CollectionKind, &'a UserName, &'a MemberName),
    /// A card or a calendar object.
    Object(CollectionKind, &'a UserName, &'a MemberName, &'a MemberName),
}

impl<'a> Href<'a> {
    /// That home.
    pub fn home(home: &'a HomeName) -> Self {
        Self::Home(home.kind, &home.user)
    }

    /// The collection of that name in a home.
    pub fn collection(home: &'a HomeName, name: &'a MemberName) -> Self {
        Self::Collection(home.kind, &home.user, name)
    }

    /// An object of a collection.
    pub fn object(home: &'a HomeName, name: &'a MemberName, object: &'a MemberName) -> Self {
        Self::Object(home.kind, &home.user, name, object)
    }

    /// The principal of that user or group.
    pub fn principal(name: &'a Principal) -> Self {
        match name {
            Principal::User(name) => Self::Principal(name),
            Principal::Group(name) => Self::Group(name),
        }
    }
}

impl fmt::Display for Href<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(Door::Dav) => f.write_str("/dav/"),
            Self::Root(Door::Slash) => f.write_str("/"),
            Self::Root(Door::Principals) => f.write_str("/principals/"),
            Self::Principals => f.write_str("/dav/principals/"),
            Self::PrincipalUsers => f.write_str("/dav/principals/users/"),
            Self::Principal(name) => write!(f, "/dav/principals/users/{}/", user(name)),
            Self::PrincipalGroups => f.write_str("/dav/principals/groups/"),
            Self::Group(name) => {
                write!(f, "/dav/principals/groups/{}/", utf8_percent_encode(name.as_str(), ENCODED))
            }
            Self::Homes(kind) => write!(f, "/dav/{}/", homes(*kind)),
            Self::Home(kind, owner) => write!(f, "/dav/{}/{}/", homes(*kind), user(owner)),
            Self::Collection(kind, owner, name) => {
                write!(f, "{}{}/", Self::Home(*kind, owner), segment(name))
            }
            Self::Object(kind, owner, name, object) => {
                write!(f, "{}{}", Self::Collection(*kind, owner, name), segment(object))
            }
        }
    }
}

/// The name of a collection of homes.
fn homes(kind: CollectionKind) -> &'static str {
    match kind {
        CollectionKind::AddressBook => "addressbooks",
        CollectionKind::Calendar => "calendars",
    }
}

/// A user's name as a segment.
fn user(name: &UserName) -> impl fmt::Display + '_ {
    utf8_percent_encode(name.as_str(), ENCODED)
}

/// One segment, encoded.
pub fn segment(name: &MemberName) -> impl fmt::Display + '_ {
    utf8_percent_encode(name.as_str(), ENCODED)
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// The path in `rest`, which begins with an authority, if that authority is this server.
fn on_host<'h>(front: &Front, scheme: &str, rest: &'h str) -> Result<&'h str, BadHref> {
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at).ok_or(BadHref::Unreadable)?;
    let own = match &front.host {
        None => true,
        Some(host) => bare(scheme, authority).eq_ignore_ascii_case(bare(front.scheme, host)),
    };
    let path = if path.is_empty() { "/" } else { path };
    if own { Ok(path) } else { Err(BadHref::Foreign) }
}

/// The authority without its scheme's own port.
fn bare<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// One segment decoded, once.
fn decoded(segment: &str) -> Result<String, BadHref> {
    let mut escapes = segment.split('%');
    escapes.next();
    for escape in escapes {
        let hex = escape.as_bytes().get(..2).unwrap_or_default();
        if hex.len() < 2 || !hex.iter().all(u8::is_ascii_hexdigit) {
            return Err(BadHref::Unreadable);
        }
    }
    let text = percent_decode_str(segment).decode_utf8().map_err(|_| BadHref::Unreadable)?;
    match text.as_ref() {
        "." | ".." => Err(BadHref::Unreadable),
        text if text.contains(['/', '\0']) => Err(BadHref::Unreadable),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn front() -> Front {
        Front { prefix: "/x".into(), host: Some("Example.org".into()), scheme: "https" }
    }

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    fn books(name: &str) -> HomeName {
        HomeName::books(user(name))
    }

    fn member(name: &str) -> MemberName {
        MemberName::parse(name).unwrap()
    }

    #[test]
    fn paths_name_targets_with_and_without_their_slash() {
        for (path, target) in [
            ("/", Target::Root(Door::Slash)),
            ("/dav", Target::Root(Door::Dav)),
            ("/dav/", Target::Root(Door::Dav)),
            ("/principals", Target::Root(Door::Principals)),
            ("/dav/principals/", Target::Principals),
            ("/dav/principals/users", Target::PrincipalUsers),
            ("/dav/principals/users/A%40b/", Target::Principal(user("a@b"))),
            ("/dav/principals/groups", Target::PrincipalGroups),
            ("/dav/principals/groups/Sales%20%C3%84/", Target::Group(GroupName::parse("sales ä").unwrap())),
            ("/dav/principals/groups/%2a/", Target::Unmapped),
            ("/dav/addressbooks/", Target::Homes(CollectionKind::AddressBook)),
            ("/dav/addressbooks/a@b", Target::Home(books("a@b"))),
            ("/dav/addressbooks/a/%C3%BC/", Target::Collection(books("a"), member("ü"))),
            ("/dav/addressbooks/a/b/%63+%2b.vcf", Target::Object(books("a"), member("b"), member("c++.vcf"))),
            ("/dav/addressbooks/a/b/c/d", Target::Unmapped),
            ("/dav/calendars", Target::Homes(CollectionKind::Calendar)),
            ("/dav/calendars/a/", Target::Home(HomeName::calendars(user("a")))),
            ("/dav/else", Target::Unmapped),
            ("//dav/addressbooks/a/b/c.vcf", Target::Unmapped),
            ("/dav/addressbooks/a/b//c.vcf", Target::Unmapped),
            ("/dav//", Target::Unmapped),
            ("/dav/addressbooks/%20/", Target::Unmapped),
        ] {
            assert_eq!(Target::of_path(path).unwrap().target, target, "{path}");
        }
    }

    #[test]
    fn nothing_leaves_its_collection() {
        for path in [
            "/dav/addressbooks/a/../b/",
            "/dav/addressbooks/a/%2e%2E/b/",
            "/dav/addressbooks/a/b%2Fc",
            "/dav/addressbooks/a/b%00",
            "/dav/addressbooks/a/%ff",
            "/dav/%",
            "/dav/%zz",
            "/dav/%é",
        ] {
            assert_eq!(Target::of_path(path), Err(BadHref::Unreadable), "{path}");
        }
    }

    #[test]
    fn hrefs_are_urls_paths_or_relative() {
        let book = Target::Collection(books("a"), member("b"));
        let card = Target::Object(books("a"), member("b"), member("c.vcf"));
        for href in [
            "/x/dav/addressbooks/a/b/c.vcf",
            "https://example.org/x/dav/addressbooks/a/b/c.vcf",
            "HTTPS://EXAMPLE.ORG:443/x/dav/addressbooks/a/b/c.vcf",
            "//example.org/x/dav/addressbooks/a/b/c.vcf",
            " c.vcf\n",
            "./%63.vcf",
        ] {
            assert_eq!(Target::of_href(&front(), &book, href).as_ref(), Ok(&card), "{href}");
            assert_eq!(Target::of_href(&front(), &card, href).as_ref(), Ok(&card), "{href}");
        }
        for href in [
            "https://elsewhere.org/x/dav/addressbooks/a/b/c.vcf",
            "https://example.org:8443/x/dav/",
            "ftp://example.org/x/dav/addressbooks/a/b/c.vcf",
            "/dav/addressbooks/a/b/c.vcf",
            "//dav/addressbooks/",
        ] {
            let got = Target::of_href(&front(), &book, href);
            assert_eq!(got, Err(BadHref::Foreign), "{href}");
        }
        let up = Target::of_href(&front(), &book, "../b/c.vcf");
        assert_eq!(up, Err(BadHref::Unreadable));
    }

    proptest! {
        #[test]
        fn canonical_hrefs_round_trip(name in "[a-z0-9._@+-]{1,20}", book in "\\PC{1,20}", card in "\\PC{1,20}") {
            if let Ok(group) = GroupName::parse(&book) {
                let target = Target::Group(group);
                let href = target.href().unwrap().to_string();
                prop_assert!(href.is_ascii() && !href.contains(['<', '&', '"', '\'', ' ']));
                prop_assert_eq!(Target::of_path(&href).unwrap().target, target);
            }
            let names = (UserName::parse(&name), MemberName::parse(&book), MemberName::parse(&card));
            if let (Ok(user), Ok(book), Ok(card)) = names {
                let homes = CollectionKind::ALL.map(|kind| HomeName::new(kind, user.clone()));
                for target in homes.into_iter().flat_map(|home| [
                    Target::Principal(home.user.clone()),
                    Target::Home(home.clone()),
                    Target::Collection(home.clone(), book.clone()),
                    Target::Object(home, book.clone(), card.clone()),
                ]) {
                    let href = target.href().unwrap().to_string();
                    prop_assert!(!href.contains(['<', '&', '"', '\'', ' ']) && href.is_ascii());
                    let located = Target::of_path(&href).unwrap();
                    let object = matches!(target, Target::Object(..));
                    prop_assert_eq!(located.slash, !object);
                    prop_assert_eq!(located.target, target);
                }
            }
        }

        #[test]
        fn no_href_makes_it_panic(href in "\\PC{0,40}") {
            let _ = Target::of_href(&front(), &Target::Homes(CollectionKind::AddressBook), &href);
        }
    }
}
