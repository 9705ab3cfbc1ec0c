//! A type per word: the names and ids that rooms hand to each other. Parsed once, at the edge;
//! whoever holds one may rely on its form. Knows nothing of URLs' percent-encoding or of storage.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// Why a text is not the name it was offered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// The text is empty.
    #[error("the name is empty")]
    Empty,
    /// The text is longer than the name may be.
    #[error("the name is longer than {0} bytes")]
    TooLong(usize),
    /// The text holds a character that the name may not hold, or is `.` or `..`.
    #[error("the name holds a character that is not allowed")]
    Forbidden,
}

/// A user's name: NFC, lower-cased, `[a-z0-9._@+-]`, 1 to 64 bytes, neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Box<str>);

impl UserName {
    /// The longest user name, in bytes.
    pub const MAX: usize = 64;

    /// Normalises and checks what a person or a client wrote.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let name: String = text.nfc().flat_map(char::to_lowercase).take(Self::MAX + 1).collect();
        match name.as_str() {
            "" => Err(BadName::Empty),
            "." | ".." => Err(BadName::Forbidden),
            long if long.len() > Self::MAX => Err(BadName::TooLong(Self::MAX)),
            _ if !name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@+-".contains(&b)) =>
            {
                Err(BadName::Forbidden)
            }
            _ => Ok(Self(name.into())),
        }
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a collection of people's data holds, and the collections of a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum CollectionKind {
    /// Cards: an address book.
    #[default]
    AddressBook,
    /// Calendar objects: a calendar.
    Calendar,
}

impl CollectionKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AddressBook, Self::Calendar];

    /// What people are told that one is.
    pub fn word(self) -> &'static str {
        match self {
            Self::AddressBook => "book",
            Self::Calendar => "calendar",
        }
    }
}

/// Whose home, and of which kind its collections are: every user has a home of address books and one of
/// calendars.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HomeName {
    /// What it holds.
    pub kind: CollectionKind,
    /// Whose it is.
    pub user: UserName,
}

impl HomeName {
    /// The user's home of that kind.
    pub fn new(kind: CollectionKind, user: UserName) -> Self {
        Self { kind, user }
    }

    /// The user's home of address books.
    pub fn books(user: UserName) -> Self {
        Self::new(CollectionKind::AddressBook, user)
    }

    /// The user's home of calendars.
    pub fn calendars(user: UserName) -> Self {
        Self::new(CollectionKind::Calendar, user)
    }
}

/// A group's name: NFC, lower-cased, without white space around it, 1 to 128 bytes of UTF-8 without
/// `/`, `*` and control characters, neither `.` nor `..`. Directories name groups in words, so more
/// is allowed than in users' names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Box<str>);

impl GroupName {
    /// The longest group name, in bytes.
    pub const MAX: usize = 128;

    /// Normalises and checks what a person, a client or a directory wrote.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let name: String = text.trim().nfc().flat_map(char::to_lowercase).take(Self::MAX + 1).collect();
        match name.as_str() {
            "" => Err(BadName::Empty),
            "." | ".." => Err(BadName::Forbidden),
            long if long.len() > Self::MAX => Err(BadName::TooLong(Self::MAX)),
            _ if name.chars().any(|c| c.is_control() || matches!(c, '/' | '*')) => Err(BadName::Forbidden),
            _ => Ok(Self(name.into())),
        }
    }

    /// The name of the server's own group, which nobody else can give to one.
    pub fn own() -> Self {
        Self(OWN_GROUP.into())
    }

    /// The name that a stored group has: one that was parsed, or that of the server's own.
    pub fn stored(text: &str) -> Result<Self, BadName> {
        match text {
            OWN_GROUP => Ok(Self::own()),
            text => Self::parse(text),
        }
    }

    /// Whether that is the server's own group, which people are not shown.
    pub fn is_own(&self) -> bool {
        &*self.0 == OWN_GROUP
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The server's own group.
const OWN_GROUP: &str = "*staff";

/// Who may own books and be given access: a user or a group. Their names are two namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// A user.
    User(UserName),
    /// A group.
    Group(GroupName),
}

impl Principal {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(name) => name.as_str(),
            Self::Group(name) => name.as_str(),
        }
    }

    /// As addresses of collections begin: `alice`, `group:sales`, or `*` for the server's own group.
    pub fn written(&self) -> String {
        match self {
            Self::User(name) => name.to_string(),
            Self::Group(name) if name.is_own() => "*".to_owned(),
            Self::Group(name) => format!("group:{name}"),
        }
    }
}

/// The name of a collection or of a member in its collection: one decoded URL segment, opaque to
/// us, chosen by the client (CARD-15): 1 to 255 bytes of UTF-8 without `/`, NUL or other ASCII
/// control characters, neither `.` nor `..`. It may name a person, so it has no `Display`, and
/// `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberName(Box<str>);

impl MemberName {
    /// The longest member name, in bytes (CARD-15).
    pub const MAX: usize = 255;

    /// Checks one segment, already percent-decoded.
    pub fn parse(segment: &str) -> Result<Self, BadName> {
        match segment {
            "" => Err(BadName::Empty),
            "." | ".." => Err(BadName::Forbidden),
            long if long.len() > Self::MAX => Err(BadName::TooLong(Self::MAX)),
            s if s.bytes().any(|b| b == b'/' || b.is_ascii_control()) => Err(BadName::Forbidden),
            s => Ok(Self(s.into())),
        }
    }

    /// The name's text, for an href or a key, never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberName(…)")
    }
}

/// A card's UID, exactly as the card says it, compared as text (VC-11). `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(Box<str>);

impl Uid {
    /// Takes the text as it is; an empty one is no UID.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The UID's text, never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uid(…)")
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID made by the caller's entropy and clock.
            pub fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The id's 16 bytes, as keys hold it.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the 16 bytes that a key or row holds.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Reads the hyphenated form.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        // As rows hold it: 16 bytes.
        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(self.as_bytes())?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let bytes = d.bytes()?.try_into();
                bytes.map(Self::from_bytes).map_err(|_| minicbor::decode::Error::message("not an id"))
            }
        }
    };
}

uuid_id!(
    /// A collection's identity: stays over a rename, is never used twice, names its sync tokens.
    CollectionId
);
uuid_id!(
    /// A contact's identity: stays over changes and moves (BIND-2), and names its data key.
    ContactId
);
uuid_id!(
    /// The identity of an account, a user's or a group's: a name that returns is another account.
    AccountId
);

/// How often a collection has changed: the number that its newest commit got, 0 before any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entity tag's opaque part, without quotes: 32 lower-case hex digits (HTTP-1, HTTP-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Etag(pub [u8; 16]);

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every member of every listing has one, so it is written at once and not byte by byte.
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Etag {
    /// The tag as headers and `getetag` carry it: quoted, strong.
    pub fn quoted(&self) -> String {
        format!("\"{self}\"")
    }

    /// Reads 32 hex digits; any other opaque tag is not one of ours.
    pub fn parse(opaque: &str) -> Option<Self> {
        let mut tag = [0; 16];
        if opaque.len() != 32 || !opaque.is_ascii() {
            return None;
        }
        for (i, byte) in tag.iter_mut().enumerate() {
            *byte = u8::from_str_radix(opaque.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        Some(Self(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_folded_and_checked() {
        assert_eq!(UserName::parse("Alice@Example.org").unwrap().as_str(), "alice@example.org");
        assert_eq!(UserName::parse(""), Err(BadName::Empty));
        assert_eq!(UserName::parse(".."), Err(BadName::Forbidden));
        assert_eq!(UserName::parse("a/b"), Err(BadName::Forbidden));
        assert_eq!(UserName::parse("jörg"), Err(BadName::Forbidden));
        assert_eq!(UserName::parse(&"a".repeat(65)), Err(BadName::TooLong(64)));
    }

    #[test]
    fn group_names_are_words() {
        assert_eq!(GroupName::parse(" Domain Admins ").unwrap().as_str(), "domain admins");
        assert_eq!(GroupName::parse("Außendienst").unwrap().as_str(), "außendienst");
        for bad in ["", " ", "..", "a/b", "*", "a\nb"] {
            assert!(GroupName::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(GroupName::parse(&"é".repeat(65)), Err(BadName::TooLong(128)));
    }

    #[test]
    fn member_names_never_leave_their_collection() {
        for bad in [".", "..", "a/b", "a\0b", "a\nb", ""] {
            assert!(MemberName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(MemberName::parse("%2F ü.vcf").is_ok());
        assert_eq!(format!("{:?}", MemberName::parse("jane.vcf").unwrap()), "MemberName(…)");
    }

    #[test]
    fn uids_are_text_as_it_is() {
        assert_ne!(Uid::new("URN:UUID:abc"), Uid::new("abc"));
        assert_eq!(Uid::new(""), None);
        assert_eq!(format!("{:?}", Uid::new("a").unwrap()), "Uid(…)");
    }

    #[test]
    fn etags_round_trip() {
        let tag = Etag([0xab; 16]);
        assert_eq!(Etag::parse(&tag.to_string()), Some(tag));
        assert_eq!(Etag::parse("é"), None);
        assert_eq!(Etag::parse(&"g".repeat(32)), None);
    }
}
